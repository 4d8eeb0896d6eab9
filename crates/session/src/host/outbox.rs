//! Slices on their way: cut into shards, sent, acknowledged, sent again, and forgotten once the viewer has them.

use crate::viewer::{SHARD_COST, SLICE_COST};
use std::collections::{BTreeMap, VecDeque};
use telepane_model::{BitRate, Bytes, Epoch, HostClock, Span, Stamp, SurfaceId, UpdateId};
use telepane_protocol::{MAX_DATA_SHARDS, Shard, SliceBody, fec};

/// Slices not yet confirmed, of one surface in one epoch.
#[derive(Debug, Default)]
pub struct Outbox {
    /// How long the last slice that left waited here, until that is asked for.
    pub waited: Option<Span>,
    slices: BTreeMap<UpdateId, OutSlice>,
    /// Shards never sent, in coding order.
    fresh: VecDeque<ShardRef>,
    /// Shards to send again; they go first.
    repair: VecDeque<ShardRef>,
    fresh_bytes: usize,
}

/// One shard of one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardRef {
    /// The slice.
    pub id: UpdateId,
    /// The shard.
    pub index: u8,
}

#[derive(Debug)]
struct OutSlice {
    header: Shard,
    shards: Vec<Vec<u8>>,
    arrived: Vec<bool>,
    /// Taken for lost, and not sent again since.
    lost: Vec<bool>,
    /// Waits to be sent again.
    queued: Vec<bool>,
    /// When its first shard left.
    left: Option<Stamp<HostClock>>,
    /// After this a repair is no longer worth waiting for.
    worth: Span,
    /// It answers input.
    echo: bool,
    /// When it was coded, until its journey says how long it waited.
    unstamped: Option<Stamp<HostClock>>,
}

/// A slice ready to be cut.
#[derive(Debug)]
pub struct Whole {
    /// Of which surface.
    pub surface: SurfaceId,
    /// In which epoch.
    pub epoch: Epoch,
    /// Which slice.
    pub id: UpdateId,
    /// Coded against which.
    pub base: UpdateId,
    /// The body carries the surface's size.
    pub has_size: bool,
    /// The body carries a journey.
    pub has_journey: bool,
    /// The slice ends a frame.
    pub last: bool,
    /// When it was coded, if the body carries a journey.
    pub coded: Option<Stamp<HostClock>>,
    /// After this long a repair is no longer worth waiting for (DESIGN §3.3).
    pub worth: Span,
    /// It answers input.
    pub echo: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// How slices are cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// The longest shard's payload.
    pub shard: usize,
    /// So many shards at least, if they do not become tiny.
    pub least: usize,
    /// What a packet of the path takes: shards that fit into one together may be lost together.
    pub packet: usize,
    /// The slice is better mended than short: as many shards as do not share packets.
    pub apart: bool,
}

/// What the path's state means for a repair.
#[derive(Clone, Copy, Debug)]
pub struct Repair {
    /// Now.
    pub now: Stamp<HostClock>,
    /// The round trip.
    pub rtt: Span,
    /// The viewer has given up what it waited for so long.
    pub patience: Span,
    /// So much is lost that a repair may be too.
    pub lossy: bool,
}

/// More shards than needed are no smaller than this: headers would be the most of them.
const LEAST_SHARD: usize = 200;
/// What stands before the payload of one shard of several, with every number at its shortest (D-8 to D-11).
const LEAST_HEADER: usize = 12;
/// From a loss to its being noticed, besides a round trip.
const NOTICED: Span = Span::millis(5);

impl Outbox {
    /// Cuts a slice into as few shards as hold it, or more if `cut` says so, of nearly equal size, and queues them. `parity`
    /// says how many more packets so many should have.
    // spec: H-6, D-13, D-16
    pub fn push(&mut self, whole: Whole, cut: Cut, parity: impl FnOnce(u8) -> u8) {
        let apart = if cut.apart { whole.body.len() / (cut.packet / 2).max(LEAST_SHARD) } else { 1 };
        let least = cut.least.min(whole.body.len() / LEAST_SHARD).max(apart);
        let data = whole.body.len().div_ceil(cut.shard.max(1)).max(least).clamp(1, usize::from(MAX_DATA_SHARDS));
        let piece = whole.body.len().div_ceil(data).max(1);
        let mut shards: Vec<Vec<u8>> = whole.body.chunks(piece).map(<[u8]>::to_vec).collect();
        if shards.is_empty() {
            shards.push(Vec::new());
        }
        let data = shards.len() as u8;
        // Shards that leave one after the other share a packet where they fit, and its fate.
        let together = (cut.packet / (piece + LEAST_HEADER)).clamp(1, usize::from(MAX_DATA_SHARDS)) as u8;
        let parity = parity(data.div_ceil(together)).saturating_mul(together).min(telepane_protocol::MAX_SHARDS - data);
        // What they hold is known when the first shard leaves, which says when that was.
        shards.extend((0..parity).map(|_| vec![0; piece]));
        let header = Shard {
            surface: whole.surface,
            epoch: whole.epoch,
            id: whole.id,
            base: whole.base,
            has_size: whole.has_size,
            has_journey: whole.has_journey,
            last: whole.last,
            index: 0,
            data,
            parity,
            total: if shards.len() > 1 { whole.body.len() as u32 } else { 0 },
            payload: Vec::new(),
        };
        self.fresh.extend((0..shards.len()).map(|i| ShardRef { id: whole.id, index: i as u8 }));
        self.fresh_bytes += shards.iter().map(Vec::len).sum::<usize>();
        let n = shards.len();
        let slice = OutSlice {
            header,
            shards,
            arrived: vec![false; n],
            lost: vec![false; n],
            queued: vec![false; n],
            left: None,
            worth: whole.worth,
            echo: whole.echo,
            unstamped: whole.coded,
        };
        self.slices.insert(whole.id, slice);
    }

    /// The shard that goes next and whether it is a repair, without taking it.
    // spec: H-7
    pub fn peek(&mut self) -> Option<(ShardRef, usize, bool)> {
        while let Some(r) = self.repair.front() {
            match self.slices.get(&r.id).and_then(|s| s.pending(r.index)) {
                Some(len) => return Some((*r, len, true)),
                None => self.repair.pop_front(),
            };
        }
        let r = *self.fresh.front()?;
        Some((r, self.slices.get(&r.id).and_then(|s| s.shards.get(usize::from(r.index))).map_or(0, Vec::len), false))
    }

    /// Takes what [`Outbox::peek`] showed.
    pub fn take(&mut self, now: Stamp<HostClock>) -> Option<(ShardRef, Shard)> {
        let (r, len, repair) = self.peek()?;
        if repair {
            self.repair.pop_front();
        } else {
            self.fresh.pop_front();
            self.fresh_bytes = self.fresh_bytes.saturating_sub(len);
        }
        let slice = self.slices.get_mut(&r.id)?;
        let i = usize::from(r.index);
        if let (true, Some(queued), Some(lost)) = (repair, slice.queued.get_mut(i), slice.lost.get_mut(i)) {
            (*queued, *lost) = (false, false);
        }
        if slice.left.is_none() {
            slice.left = Some(now);
        }
        // The first shard to leave says how long the slice waited here; what is sent again says the same.
        if let (0, Some(coded), Some(front)) = (r.index, slice.unstamped.take(), slice.shards.first_mut()) {
            self.waited = Some(now.since(coded));
            SliceBody::stamp_queued(front, slice.header.has_size, now.since(coded));
        }
        if !repair && r.index == 0 {
            slice.fill_parity();
        }
        let payload = slice.shards.get(usize::from(r.index)).cloned().unwrap_or_default();
        Some((r, Shard { index: r.index, payload, ..slice.header.clone() }))
    }

    /// A shard arrived.
    pub fn on_arrived(&mut self, r: ShardRef) {
        if let Some(arrived) = self.slices.get_mut(&r.id).and_then(|s| s.arrived.get_mut(usize::from(r.index))) {
            *arrived = true;
        }
    }

    /// A shard was lost: queue it again if it still matters. Says how many copies should go, two if a second loss would come
    /// too late; the other is the caller's to send a little later ([`Outbox::again`]), in another packet. It does not matter
    /// while enough of the slice's other shards are there or on the way; nor when it is so old that the viewer, which is
    /// known to hold later ones, has given it up.
    // spec: H-7, H-9
    pub fn on_lost(&mut self, r: ShardRef, path: Repair) -> u8 {
        let later = self.slices.range(r.id..).any(|(_, s)| s.arrived.contains(&true));
        let Some(slice) = self.slices.get_mut(&r.id) else { return 0 };
        if slice.pending(r.index).is_none() {
            return 0;
        }
        let i = usize::from(r.index);
        if let Some(lost) = slice.lost.get_mut(i) {
            *lost = true;
        }
        let alive = slice.lost.iter().filter(|l| !**l).count();
        let age = slice.left.map_or(Span::ZERO, |left| path.now.since(left));
        if alive >= usize::from(slice.header.data) || later && age > path.patience + path.rtt {
            return 0;
        }
        let too_late = age + path.rtt.scaled(3, 2) + NOTICED > slice.worth;
        let copies = if path.lossy && too_late { 2 } else { 1 };
        self.queue_again(r);
        copies
    }

    /// A slice of one shard is alone on its way: it is sent again if nothing says yet that it arrived.
    // spec: H-32
    pub fn again(&mut self, r: ShardRef) {
        if self.slices.get(&r.id).is_some_and(|s| s.pending(r.index).is_some()) {
            self.queue_again(r);
        }
    }

    /// Whether a slice answers input.
    pub fn is_echo(&self, id: UpdateId) -> bool {
        self.slices.get(&id).is_some_and(|s| s.echo)
    }

    fn queue_again(&mut self, r: ShardRef) {
        let queued = self.slices.get_mut(&r.id).and_then(|s| s.queued.get_mut(usize::from(r.index)));
        if let Some(queued) = queued
            && !std::mem::replace(queued, true)
        {
            // The oldest slice first: everything behind it waits for it.
            let at = self.repair.partition_point(|q| q.id <= r.id);
            self.repair.insert(at, r);
        }
    }

    /// The viewer has applied everything up to `id`.
    pub fn confirm(&mut self, id: UpdateId) {
        self.slices = self.slices.split_off(&id.next());
        self.drop_orphans();
    }

    /// Nothing after `base` is wanted any more.
    pub fn discard_after(&mut self, base: UpdateId) {
        self.slices.split_off(&base.next());
        self.drop_orphans();
    }

    fn drop_orphans(&mut self) {
        let slices = &self.slices;
        self.fresh.retain(|r| slices.contains_key(&r.id));
        self.repair.retain(|r| slices.contains_key(&r.id));
        self.fresh_bytes = self
            .fresh
            .iter()
            .filter_map(|r| slices.get(&r.id).and_then(|s| s.shards.get(usize::from(r.index))))
            .map(Vec::len)
            .sum();
    }

    /// Whether something waits to be sent, for the first time or again.
    pub fn is_idle(&mut self) -> bool {
        self.peek().is_none()
    }

    /// What slices that are not confirmed may take at the viewer while they wait for their turn.
    pub fn waiting_bytes(&self) -> u64 {
        self.slices.values().map(OutSlice::cost).sum()
    }

    /// How long what was coded and never sent takes at this pace.
    pub fn unsent(&self, pace: BitRate) -> Span {
        pace.time_for(Bytes(self.fresh_bytes as u64))
    }

    /// Bytes coded and never sent.
    pub const fn fresh_bytes(&self) -> usize {
        self.fresh_bytes
    }
}

impl OutSlice {
    // spec: V-5
    fn cost(&self) -> u64 {
        let payload: usize = self.shards.iter().map(Vec::len).sum();
        (SLICE_COST + self.shards.len() * SHARD_COST + payload) as u64
    }

    fn fill_parity(&mut self) {
        let (data, parity) = (usize::from(self.header.data), usize::from(self.header.parity));
        if parity > 0
            && let Some(own) = self.shards.get(..data)
        {
            let made = fec::parity(own, parity);
            self.shards.truncate(data);
            self.shards.extend(made);
        }
    }

    /// The shard's size, if it has been sent and is not known to have arrived.
    fn pending(&self, index: u8) -> Option<usize> {
        let i = usize::from(index);
        if *self.arrived.get(i)? { None } else { self.shards.get(i).map(Vec::len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(id: u32, len: usize) -> Whole {
        Whole {
            surface: SurfaceId(0),
            epoch: Epoch(1),
            id: UpdateId(id),
            base: UpdateId(id - 1),
            has_size: false,
            has_journey: false,
            last: true,
            coded: None,
            worth: Span::millis(150),
            echo: false,
            body: vec![id as u8; len],
        }
    }

    const FEW: Cut = Cut { shard: 1_200, least: 1, packet: 1_200, apart: false };

    const NEAR: Repair = Repair { now: Stamp::ZERO, rtt: Span::millis(10), patience: Span::millis(150), lossy: false };

    fn plain(o: &mut Outbox, id: u32, len: usize) {
        o.push(whole(id, len), FEW, |_| 0);
    }

    // spec: H-6, H-7, H-9
    #[test]
    fn shards_are_even_and_repairs_go_first() {
        let mut o = Outbox::default();
        plain(&mut o, 1, 2_500);
        plain(&mut o, 2, 10);
        let first: Vec<_> =
            (0..3).filter_map(|_| o.take(Stamp::ZERO)).map(|(r, s)| (r.index, s.payload.len())).collect();
        assert_eq!(first, vec![(0, 834), (1, 834), (2, 832)]);
        assert_eq!(o.on_lost(ShardRef { id: UpdateId(1), index: 1 }, NEAR), 1);
        assert_eq!(o.on_lost(ShardRef { id: UpdateId(1), index: 1 }, NEAR), 1, "told twice, queued once");
        assert_eq!(o.take(Stamp::ZERO).map(|(r, _)| r), Some(ShardRef { id: UpdateId(1), index: 1 }));
        assert_eq!(o.take(Stamp::ZERO).map(|(r, _)| r.id), Some(UpdateId(2)));
        assert!(o.take(Stamp::ZERO).is_none());
    }

    // spec: H-6
    #[test]
    fn more_shards_than_needed_are_made_where_they_do_not_become_tiny() {
        let sizes = |len| {
            let mut o = Outbox::default();
            o.push(whole(1, len), Cut { least: 5, ..FEW }, |_| 0);
            std::iter::from_fn(|| o.take(Stamp::ZERO)).map(|(_, s)| s.payload.len()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(2_400), [480; 5]);
        assert_eq!(sizes(600), [200; 3]);
        assert_eq!(sizes(90), [90]);
        assert_eq!(sizes(7_200), [1_200; 6]);
    }

    // spec: H-6
    #[test]
    fn a_lost_packet_takes_no_more_shards_than_parity_stands_in_for() {
        let sizes = |len, cut| {
            let mut o = Outbox::default();
            o.push(whole(1, len), cut, |packets| u8::from(packets > 1));
            let sent: Vec<Shard> = std::iter::from_fn(|| o.take(Stamp::ZERO)).map(|(_, s)| s).collect();
            (sent[0].data, sent.len(), sent[0].payload.len())
        };
        let apart = Cut { apart: true, ..FEW };
        // Two do not fit into a packet, and one of parity stands in for whichever packet is lost.
        assert_eq!(sizes(2_300, apart), (3, 4, 767));
        assert_eq!(sizes(2_400, apart), (4, 5, 600));
        assert_eq!(sizes(1_250, apart), (2, 3, 625));
        assert_eq!(sizes(700, apart), (1, 1, 700));
        // Five in three packets: two are lost together.
        assert_eq!(sizes(2_400, Cut { least: 5, ..apart }), (5, 7, 480));
    }

    // spec: H-9, H-10
    #[test]
    fn what_is_confirmed_or_given_up_is_not_sent_again() {
        let mut o = Outbox::default();
        (1..=3).for_each(|id| plain(&mut o, id, 10));
        while o.take(Stamp::ZERO).is_some() {}
        o.confirm(UpdateId(1));
        assert_eq!(o.on_lost(ShardRef { id: UpdateId(1), index: 0 }, NEAR), 0);
        assert_eq!(o.on_lost(ShardRef { id: UpdateId(3), index: 0 }, NEAR), 1);
        o.discard_after(UpdateId(2));
        assert!(o.take(Stamp::ZERO).is_none());
        assert_eq!(o.slices.len(), 1);
    }

    // spec: H-9
    #[test]
    fn what_parity_replaces_is_not_sent_again_and_the_rest_is() {
        let mut o = Outbox::default();
        o.push(whole(1, 4_000), FEW, |data| data / 2);
        let sent: Vec<Shard> = std::iter::from_fn(|| o.take(Stamp::ZERO)).map(|(_, s)| s).collect();
        assert_eq!(sent.iter().map(|s| s.payload.len()).collect::<Vec<_>>(), [1_000; 6]);
        let mut came: Vec<Option<Vec<u8>>> = sent.into_iter().map(|s| Some(s.payload)).collect();
        (came[0], came[3]) = (None, None);
        assert_eq!(fec::body(&came, 4, 4_000), Ok(Some(vec![1; 4_000])));
        let lose = |o: &mut Outbox, index| o.on_lost(ShardRef { id: UpdateId(1), index }, NEAR);
        assert_eq!((lose(&mut o, 5), lose(&mut o, 0), lose(&mut o, 3)), (0, 0, 1));
        assert_eq!(o.take(Stamp::ZERO).map(|(r, _)| r.index), Some(3));
        assert!(o.take(Stamp::ZERO).is_none());
    }

    // spec: H-9
    #[test]
    fn a_repair_that_must_not_be_lost_goes_twice_and_one_that_comes_too_late_not_at_all() {
        let mut o = Outbox::default();
        (1..=2).for_each(|id| plain(&mut o, id, 10));
        while o.take(Stamp::ZERO).is_some() {}
        let path = |ms: u64, rtt: u64| Repair {
            now: Stamp::from_micros(ms * 1_000),
            rtt: Span::millis(rtt),
            lossy: true,
            ..NEAR
        };
        let r = ShardRef { id: UpdateId(1), index: 0 };
        assert_eq!(o.on_lost(r, path(20, 10)), 1, "there is time to notice a second loss");
        o.take(Stamp::ZERO);
        assert_eq!(o.on_lost(r, path(70, 60)), 2);
        assert_eq!(o.take(Stamp::ZERO).map(|(r, _)| r.id.0), Some(1));
        assert!(o.take(Stamp::ZERO).is_none(), "the other goes later, lest one loss takes both");
        o.again(r);
        assert_eq!(o.take(Stamp::ZERO).map(|(r, _)| r.id.0), Some(1));
        assert_eq!(o.on_lost(r, path(400, 60)), 2, "the viewer may not know that there is anything");
        o.on_arrived(ShardRef { id: UpdateId(2), index: 0 });
        while o.take(Stamp::ZERO).is_some() {}
        assert_eq!(o.on_lost(r, path(400, 60)), 0);
    }

    // spec: H-32
    #[test]
    fn a_lone_shard_goes_again_unless_it_is_known_to_be_there() {
        let mut o = Outbox::default();
        plain(&mut o, 1, 10);
        let (r, _) = o.take(Stamp::ZERO).expect("a shard");
        o.again(r);
        assert_eq!(o.take(Stamp::ZERO).map(|(again, _)| again), Some(r));
        assert!(o.take(Stamp::ZERO).is_none());
        o.on_arrived(r);
        o.again(r);
        assert!(o.take(Stamp::ZERO).is_none());
    }
}
