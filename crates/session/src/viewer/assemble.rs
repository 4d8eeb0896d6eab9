//! Shards become slices, and slices wait for their turn. The viewer, never the host, gives up.

use std::collections::BTreeMap;
use telepane_model::journey::HostJourney;
use telepane_model::{Epoch, HostClock, Size, Span, Stamp, Surf, SurfaceId, UpdateId, ViewerClock};
use telepane_protocol::{Fault, Shard, SliceBody, SurfaceReport, fec};

/// One surface's slices as they come in.
#[derive(Debug)]
pub struct Assembler {
    surface: SurfaceId,
    epoch: Epoch,
    size: Option<Size<Surf>>,
    /// The framebuffer is what this slice left.
    applied: UpdateId,
    /// Slices up to this one are no longer taken.
    ignore: UpdateId,
    /// A rebase on `applied` is awaited.
    waiting_for_rebase: bool,
    /// A slice was taken for decoding and is not applied yet. It could have been decoded since then.
    taken: Option<Stamp<ViewerClock>>,
    /// When the last slice taken could first have been decoded: it and all before it were whole.
    turn_at: Stamp<ViewerClock>,
    /// What was given up while a slice was being decoded counts from that slice on.
    gave_up_meanwhile: bool,
    pending: BTreeMap<UpdateId, Partial>,
    bytes: usize,
    highest: UpdateId,
    /// Since when slices wait for one that is missing.
    blocked_since: Option<Stamp<ViewerClock>>,
}

#[derive(Debug)]
struct Partial {
    header: Shard,
    shards: Vec<Option<Vec<u8>>>,
    missing: u8,
    complete_at: Stamp<ViewerClock>,
    /// What it changes, once it is whole and that was asked for.
    changes: Option<Changes>,
}

/// What a slice changes, as far as it matters to when it may be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changes {
    /// Film, and it ends a frame that was captured then.
    Frame(Stamp<HostClock>),
    /// A part of a frame of film.
    Part,
    Else,
}

/// A slice whose turn has come, that ends a frame of film, and behind which nothing waits but film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilmAlone {
    /// Which.
    pub id: UpdateId,
    /// When its frame was captured.
    pub captured: Stamp<HostClock>,
    /// When the last of it came.
    pub whole: Stamp<ViewerClock>,
}

/// A slice whose turn has come.
#[derive(Debug, PartialEq, Eq)]
pub struct Ready {
    /// Which.
    pub id: UpdateId,
    /// The epoch's size.
    pub size: Size<Surf>,
    /// The ops.
    pub ops: Vec<u8>,
    /// It ends a frame.
    pub last: bool,
    /// The host's half of the journey.
    pub journey: Option<HostJourney>,
    /// When its last shard came.
    pub arrived: Stamp<ViewerClock>,
}

/// What may wait, in bytes (DESIGN §3.3).
// spec: Y-5
pub const MOST_PENDING: usize = 4 << 20;
/// What a waiting slice, and a place in it, take besides the payload: tiny shards must not cost more than they count.
pub const SLICE_COST: usize = 160;
/// See [`SLICE_COST`].
pub const SHARD_COST: usize = 32;
/// An epoch may be this far ahead of the present one: a host that resizes at 100 Hz through an hour of silence.
// spec: Y-1
const EPOCHS_AHEAD: u32 = 360_000;

impl Assembler {
    /// Nothing is known of the surface.
    pub const fn new(surface: SurfaceId) -> Self {
        Self {
            surface,
            epoch: Epoch(0),
            size: None,
            applied: UpdateId::BLANK,
            ignore: UpdateId::BLANK,
            waiting_for_rebase: false,
            taken: None,
            turn_at: Stamp::ZERO,
            gave_up_meanwhile: false,
            pending: BTreeMap::new(),
            bytes: 0,
            highest: UpdateId::BLANK,
            blocked_since: None,
        }
    }

    /// The present epoch; 0 before the first shard.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the framebuffer holds.
    pub const fn applied(&self) -> UpdateId {
        self.applied
    }

    /// The highest slice ever heard of in this epoch.
    pub const fn highest(&self) -> UpdateId {
        self.highest
    }

    /// A shard came. `Ok(true)` when it completed a slice.
    // spec: D-13, D-22, Y-1, Y-2, Y-5
    pub fn on_shard(&mut self, shard: Shard, at: Stamp<ViewerClock>) -> Result<bool, Fault> {
        if shard.epoch < self.epoch {
            return Ok(false);
        }
        if shard.epoch > self.epoch {
            if shard.epoch.0 - self.epoch.0 > EPOCHS_AHEAD {
                return Err(Fault::BadEpoch);
            }
            *self = Self { epoch: shard.epoch, ..Self::new(self.surface) };
        }
        if shard.id <= self.applied || shard.id <= self.ignore {
            return Ok(false);
        }
        self.highest = self.highest.max(shard.id);
        let count = usize::from(shard.data) + usize::from(shard.parity);
        if !self.pending.contains_key(&shard.id) {
            self.bytes += SLICE_COST + count * SHARD_COST;
        }
        let partial = self.pending.entry(shard.id).or_insert_with(|| Partial {
            header: Shard { payload: Vec::new(), index: 0, ..shard.clone() },
            shards: vec![None; count],
            missing: shard.data,
            complete_at: at,
            changes: None,
        });
        if (Shard { payload: Vec::new(), index: 0, ..shard.clone() }) != partial.header {
            return Err(Fault::SliceReused);
        }
        let Some(place) = partial.shards.get_mut(usize::from(shard.index)) else { return Ok(false) };
        if place.is_some() || partial.missing == 0 {
            return Ok(false);
        }
        self.bytes += shard.payload.len();
        *place = Some(shard.payload);
        partial.missing -= 1;
        partial.complete_at = at;
        let complete = partial.missing == 0;
        if self.bytes > MOST_PENDING {
            self.give_up();
            return Err(Fault::TooMuchPending);
        }
        if self.blocked_since.is_none() && !self.pending.is_empty() {
            self.blocked_since = Some(at);
        }
        Ok(complete)
    }

    /// The next slice, if its turn has come. The caller decodes it and says [`Assembler::on_applied`].
    // spec: D-13, D-16, Y-3, Y-8, O-5
    pub fn take_ready(&mut self, near: Stamp<HostClock>) -> Result<Option<Ready>, Fault> {
        let Some(id) = self.ready() else { return Ok(None) };
        let Some(partial) = self.pending.remove(&id) else { return Ok(None) };
        self.bytes = self.bytes.saturating_sub(partial.cost());
        let body = partial.body()?;
        let header = partial.header;
        let body = SliceBody::decode(&body, header.has_size, header.has_journey, near)?;
        match (self.size, body.size) {
            (Some(known), Some(said)) if known != said => return Err(Fault::BadSize),
            (None, said) => self.size = said,
            _ => {}
        }
        // A slice that comes before any that says the size cannot be the first of its epoch.
        let size = self.size.ok_or(Fault::BadSize)?;
        self.turn_at = self.turn_at.max(partial.complete_at);
        self.taken = Some(self.turn_at);
        Ok(Some(Ready {
            id,
            size,
            ops: body.ops,
            last: header.last,
            journey: body.journey,
            arrived: partial.complete_at,
        }))
    }

    /// What [`Assembler::take_ready`] would give now, if it is film and nothing that is whole waits but film.
    // spec: S-17
    pub fn film_alone(&mut self, near: Stamp<HostClock>) -> Option<FilmAlone> {
        let id = self.ready()?;
        let mut whole = self.pending.values_mut().filter(|p| p.missing == 0);
        if whole.any(|p| p.changes(near) == Changes::Else) {
            return None;
        }
        let next = self.pending.get_mut(&id)?;
        match next.changes(near) {
            Changes::Frame(captured) => Some(FilmAlone { id, captured, whole: next.complete_at }),
            _ => None,
        }
    }

    /// What is taken next was let wait until now, and could not have been decoded before.
    pub fn on_let_go(&mut self, now: Stamp<ViewerClock>) {
        self.turn_at = self.turn_at.max(now);
    }

    fn ready(&self) -> Option<UpdateId> {
        let ready = |p: &Partial| p.header.base == self.applied && p.missing == 0;
        self.pending.iter().rev().find(|(_, p)| ready(p)).map(|(id, _)| *id)
    }

    /// The framebuffer is now what slice `id` left.
    // spec: Y-4
    pub fn on_applied(&mut self, id: UpdateId, now: Stamp<ViewerClock>) {
        self.applied = id;
        self.taken = None;
        self.waiting_for_rebase = std::mem::take(&mut self.gave_up_meanwhile);
        // After a rebase, what was pending below it belongs to a chain that ended.
        let keep = self.pending.split_off(&id.next());
        self.pending = keep;
        self.count_bytes();
        self.blocked_since = (!self.pending.is_empty()).then_some(now);
    }

    /// When to give up, if slices wait for a missing one. `patience` covers loss detection and a second resend.
    pub fn gives_up_at(&self, patience: Span) -> Option<Stamp<ViewerClock>> {
        self.blocked_since.map(|since| since + patience)
    }

    /// Gives up what is missing: everything seen so far is discarded, and the host is asked for a rebase.
    // spec: Y-7
    pub fn give_up(&mut self) {
        self.ignore = self.highest;
        // While a slice is being decoded `applied` is about to change; what is reported then must be what is held.
        *(if self.taken.is_some() { &mut self.gave_up_meanwhile } else { &mut self.waiting_for_rebase }) = true;
        self.pending.clear();
        self.bytes = 0;
        self.blocked_since = None;
    }

    /// Whether nothing waits for its turn, nor for a rebase.
    pub fn rests(&self) -> bool {
        self.pending.is_empty() && self.taken.is_none() && !self.waiting_for_rebase
    }

    /// Whether a rebase is awaited.
    pub const fn waits_for_rebase(&self) -> bool {
        self.waiting_for_rebase
    }

    /// Slices up to this one are not taken any more.
    pub const fn ignored(&self) -> UpdateId {
        self.ignore
    }

    /// What the host is told.
    // spec: D-20, Y-7
    pub fn report(&self, now: Stamp<ViewerClock>) -> Option<SurfaceReport> {
        (self.epoch.0 > 0).then(|| SurfaceReport {
            surface: self.surface,
            epoch: self.epoch,
            applied: self.applied,
            gave_up: self.waiting_for_rebase.then_some(self.ignore),
            queue: self.taken.map_or(Span::ZERO, |since| now.since(since)),
            shown: None,
        })
    }

    fn count_bytes(&mut self) {
        self.bytes = self.pending.values().map(Partial::cost).sum();
    }

    /// Checks what always holds; for tests and the fuzzer.
    pub fn verify(&self) {
        assert!(self.bytes <= MOST_PENDING, "what waits is bounded");
        assert_eq!(self.bytes, self.pending.values().map(Partial::cost).sum::<usize>(), "and counted right");
        assert!(self.pending.keys().all(|id| *id > self.applied && *id > self.ignore), "nothing old waits");
        assert!(self.applied <= self.highest || self.highest == UpdateId::BLANK);
    }
}

impl Partial {
    fn cost(&self) -> usize {
        let payload: usize = self.shards.iter().flatten().map(Vec::len).sum();
        SLICE_COST + self.shards.len() * SHARD_COST + payload
    }

    // spec: D-16
    fn body(&self) -> Result<Vec<u8>, Fault> {
        let header = &self.header;
        let body = if header.parity > 0 {
            let body = fec::body(&self.shards, usize::from(header.data), header.total as usize)?;
            body.ok_or(Fault::BadShard)?
        } else {
            let whole: Vec<&[u8]> = self.shards.iter().flatten().map(Vec::as_slice).collect();
            whole.concat()
        };
        if header.data > 1 && header.total as usize != body.len() {
            return Err(Fault::BadShard);
        }
        Ok(body)
    }

    /// What it changes; it is whole. What cannot be read is refused when its turn comes.
    fn changes(&mut self, near: Stamp<HostClock>) -> Changes {
        if let Some(known) = self.changes {
            return known;
        }
        let (has_size, has_journey) = (self.header.has_size, self.header.has_journey);
        let body = self.body().and_then(|body| SliceBody::decode(&body, has_size, has_journey, near));
        let changes = match body.ok().filter(SliceBody::is_film).map(|body| body.journey) {
            Some(Some(journey)) => Changes::Frame(journey.captured),
            Some(None) => Changes::Part,
            None => Changes::Else,
        };
        self.changes = Some(changes);
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Stamp<ViewerClock> {
        Stamp::from_micros(ms * 1_000)
    }

    fn shard(id: u32, base: u32, index: u8, data: u8) -> Shard {
        let body = SliceBody { size: Some(Size::new(64, 64)), journey: None, ops: vec![id as u8; 20] }.encode();
        let piece = body.len().div_ceil(usize::from(data));
        Shard {
            epoch: Epoch(1),
            id: UpdateId(id),
            base: UpdateId(base),
            has_size: true,
            last: true,
            index,
            data,
            total: if data > 1 { body.len() as u32 } else { 0 },
            payload: body.chunks(piece).nth(usize::from(index)).unwrap_or_default().to_vec(),
            ..Shard::default()
        }
    }

    fn ready(a: &mut Assembler) -> Option<u32> {
        a.take_ready(Stamp::ZERO).expect("well formed").map(|r| r.id.0)
    }

    // spec: Y-3, O-5
    #[test]
    fn slices_wait_for_their_base() {
        let mut a = Assembler::new(SurfaceId(0));
        assert_eq!(a.on_shard(shard(2, 1, 0, 1), at(1)), Ok(true));
        assert_eq!(ready(&mut a), None);
        assert_eq!(a.on_shard(shard(1, 0, 1, 2), at(2)), Ok(false));
        assert_eq!(a.on_shard(shard(1, 0, 0, 2), at(3)), Ok(true));
        assert_eq!(ready(&mut a), Some(1));
        a.on_applied(UpdateId(1), at(3));
        assert_eq!(ready(&mut a), Some(2));
        a.on_applied(UpdateId(2), at(3));
        assert_eq!(a.gives_up_at(Span::ZERO), None);
    }

    // spec: Y-2, Y-3, Y-4, Y-7
    #[test]
    fn after_giving_up_only_the_rebase_counts() {
        let mut a = Assembler::new(SurfaceId(0));
        a.on_shard(shard(1, 0, 0, 1), at(0)).expect("fine");
        assert_eq!(ready(&mut a), Some(1));
        a.on_applied(UpdateId(1), at(0));
        a.on_shard(shard(3, 2, 0, 1), at(5)).expect("fine");
        assert_eq!(a.gives_up_at(Span::millis(100)), Some(at(105)));
        a.give_up();
        let report = a.report(at(120)).expect("an epoch");
        assert_eq!((report.applied, report.gave_up), (UpdateId(1), Some(UpdateId(3))));
        // Late shards of the discarded chain, and the chain going on, change nothing.
        a.on_shard(shard(2, 1, 0, 1), at(110)).expect("fine");
        a.on_shard(shard(4, 3, 0, 1), at(111)).expect("fine");
        assert_eq!(ready(&mut a), None);
        a.on_shard(shard(5, 1, 0, 1), at(150)).expect("fine");
        assert_eq!(ready(&mut a), Some(5));
        a.on_applied(UpdateId(5), at(150));
        assert_eq!(a.report(at(150)).and_then(|r| r.gave_up), None);
        assert!(a.pending.is_empty() && a.bytes == 0);
    }

    // spec: D-20
    #[test]
    fn the_report_says_how_long_decoding_is_behind() {
        let mut a = Assembler::new(SurfaceId(0));
        let queue = |a: &Assembler, ms| a.report(at(ms)).map(|r| r.queue);
        a.on_shard(shard(2, 1, 0, 1), at(1)).expect("fine");
        assert_eq!(queue(&a, 9), Some(Span::ZERO), "what waits for a lost slice is no queue");
        a.on_shard(shard(1, 0, 0, 1), at(10)).expect("fine");
        assert_eq!(ready(&mut a), Some(1));
        assert_eq!(queue(&a, 14), Some(Span::millis(4)));
        a.on_applied(UpdateId(1), at(15));
        assert_eq!(ready(&mut a), Some(2));
        assert_eq!(queue(&a, 21), Some(Span::millis(11)), "it could have been decoded with the first");
        a.on_applied(UpdateId(2), at(22));
        assert_eq!(queue(&a, 30), Some(Span::ZERO));
    }

    // spec: D-13, D-32
    #[test]
    fn parity_stands_in_for_what_is_lost() {
        let body = SliceBody { size: Some(Size::new(64, 64)), journey: None, ops: (0..99).collect() }.encode();
        let piece = fec::piece_len(body.len(), 3);
        let own: Vec<Vec<u8>> = body.chunks(piece).map(<[u8]>::to_vec).collect();
        let all: Vec<Vec<u8>> = own.iter().cloned().chain(fec::parity(&own, 2)).collect();
        let send = |a: &mut Assembler, index: usize, payload: Vec<u8>| {
            let total = body.len() as u32;
            let s = Shard { index: index as u8, data: 3, parity: 2, total, payload, ..shard(1, 0, 0, 1) };
            a.on_shard(s, at(0))
        };
        let mut a = Assembler::new(SurfaceId(0));
        assert_eq!([4, 1].map(|i| send(&mut a, i, all[i].clone())), [Ok(false); 2]);
        assert_eq!(send(&mut a, 3, all[3].clone()), Ok(true));
        assert_eq!(send(&mut a, 0, all[0].clone()), Ok(false), "three of five are enough");
        a.verify();
        let ready = a.take_ready(Stamp::ZERO).expect("well formed").expect("complete");
        assert_eq!(ready.ops, (0..99).collect::<Vec<u8>>());
        let mut a = Assembler::new(SurfaceId(0));
        assert_eq!(send(&mut a, 4, all[4][1..].to_vec()), Ok(false));
        assert_eq!([0, 1].map(|i| send(&mut a, i, all[i].clone())), [Ok(false), Ok(true)]);
        assert_eq!(a.take_ready(Stamp::ZERO), Err(Fault::BadShard));
    }

    // spec: D-22
    #[test]
    fn siblings_must_agree() {
        let mut a = Assembler::new(SurfaceId(0));
        a.on_shard(shard(1, 0, 0, 2), at(0)).expect("fine");
        let other = Shard { base: UpdateId(0), last: false, ..shard(1, 0, 1, 2) };
        assert_eq!(a.on_shard(other, at(0)), Err(Fault::SliceReused));
    }

    // spec: Y-1
    #[test]
    fn a_new_epoch_forgets_the_old_one() {
        let mut a = Assembler::new(SurfaceId(0));
        a.on_shard(shard(2, 1, 0, 1), at(0)).expect("fine");
        a.on_shard(Shard { epoch: Epoch(2), ..shard(1, 0, 0, 1) }, at(1)).expect("fine");
        assert_eq!(ready(&mut a), Some(1));
        assert_eq!(a.on_shard(shard(1, 0, 0, 1), at(2)), Ok(false), "the old epoch is over");
        let far = Shard { epoch: Epoch(u32::MAX), ..shard(1, 0, 0, 1) };
        assert_eq!(a.on_shard(far, at(3)), Err(Fault::BadEpoch));
    }

    // spec: Y-5, F-1
    #[test]
    fn what_waits_is_bounded() {
        let mut a = Assembler::new(SurfaceId(0));
        let mut fault = None;
        for id in 2..10_000 {
            let s = Shard { payload: vec![0; 1_200], ..shard(id, id - 1, 0, 1) };
            fault = a.on_shard(s, at(0)).err();
            if fault.is_some() {
                break;
            }
        }
        assert_eq!(fault, Some(Fault::TooMuchPending));
        assert!(a.bytes <= MOST_PENDING && a.waits_for_rebase());
    }
}
