//! One coder for several viewers that are in step.
//!
//! Viewers of one surface that hold the same pixels need the same slices. Whoever asks first has them coded; the others
//! are given copies under ids of their own, as long as what they missed fits into a few jobs as large as their last ones
//! were. Who cannot keep up, or lost something and goes back, leaves with a coder of its own. It may join again when its
//! pixels are the same, or after its own coder has brought it to what the others held at some moment
//! ([`Shared::expect`]). Then the coder starts anew, so that what it sends from that moment on refers to nothing but
//! those pixels.
//!
//! A slice's bytes do not contain its id, so a copy is the same for every viewer.

use crate::encoder::{BaseGone, Encoder, SlotMap};
use crate::film::FilmTask;
use std::collections::{BTreeMap, VecDeque};
use telepane_model::{
    EncodeJob, EncodedSlice, EncodedSlices, FilmScale, Move, Pixels, Proof, Rect, Size, Surf, TileAt, UpdateId, Version,
};

/// Slices kept for those behind, in bytes and in number; who is further behind leaves.
const LOG_BYTES: u64 = 4 << 20;
const LOG_SLICES: usize = 1024;

/// A member that missed more than this many jobs' bytes is out of step: the newest pixels serve it better.
const JOBS_BEHIND: u64 = 4;
/// So many of a member's last jobs say how large a job of its is. A path that is narrow for one job, as it is while a loss
/// is mended, parts nobody: a coder of its own costs as much as the first viewer's, and coming together again costs
/// both what their coder has learnt. At 20 ms a job, a path that stays narrow is believed within a tenth of a second.
const LAST_JOBS: usize = 4;

/// A viewer, by a number of the caller's.
pub type Member = u64;

/// Why a member was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// It is not in step any more: let it leave, and ask its own coder.
    #[error("not in step with the others")]
    OutOfStep,
    /// It has no state to go on from: begin a new epoch.
    #[error(transparent)]
    BaseGone(#[from] BaseGone),
}

/// See the module. Ids inside are the coder's own; each member's are mapped.
pub struct Shared {
    encoder: Encoder,
    /// The last state coded, and the highest id used.
    tip: UpdateId,
    highest: UpdateId,
    members: BTreeMap<Member, Chain>,
    /// The size in which each would have film coded; for all of them the smallest holds.
    scales: BTreeMap<Member, FilmScale>,
    /// What the last jobs of each had room for.
    rooms: BTreeMap<Member, Rooms>,
    log: VecDeque<Logged>,
    log_bytes: u64,
}

/// The states of a member from the last confirmed one to the last given: its id and the coder's. Never empty.
#[derive(Clone, Debug)]
struct Chain(VecDeque<(UpdateId, UpdateId)>);

/// What a member's last jobs had room for.
#[derive(Default)]
struct Rooms(VecDeque<Room>);

/// Bytes of a job, and of one slice of it.
#[derive(Clone, Copy, Default)]
struct Room {
    job: u64,
    slice: u64,
}

/// A slice for those that have not had it, with what else its answer said.
struct Logged {
    slice: EncodedSlice,
    version: Version,
    moved: Vec<Move>,
    no_film: Vec<Rect<Surf>>,
    /// After it nothing was left of what its job wanted.
    ends: bool,
}

impl Chain {
    fn of(own: UpdateId, coder: UpdateId) -> Self {
        Self(VecDeque::from([(own, coder)]))
    }

    fn tip(&self) -> UpdateId {
        self.0.back().map_or(UpdateId::BLANK, |(_, coder)| *coder)
    }

    fn coder_id(&self, own: UpdateId) -> Option<UpdateId> {
        self.0.iter().rev().find(|(o, _)| *o == own).map(|(_, coder)| *coder)
    }

    fn confirm(&mut self, own: UpdateId) {
        while self.0.get(1).is_some_and(|(o, _)| *o <= own) {
            self.0.pop_front();
        }
    }

    fn return_to(&mut self, own: UpdateId) {
        while self.0.len() > 1 && self.0.back().is_some_and(|(o, _)| *o > own) {
            self.0.pop_back();
        }
    }
}

impl Rooms {
    fn on_job(&mut self, job: &EncodeJob) {
        self.0.truncate(LAST_JOBS - 1);
        self.0.push_front(Room { job: job.max_bytes.max(job.film_bytes).0, slice: job.slice_bytes.0 });
    }

    /// The most of them.
    fn most(&self) -> Room {
        let most = |a: Room, b: &Room| Room { job: a.job.max(b.job), slice: a.slice.max(b.slice) };
        self.0.iter().fold(Room::default(), most)
    }
}

impl Shared {
    /// For one member, whose viewer holds a black surface.
    pub fn new(member: Member, encoder: Encoder) -> Self {
        let start = encoder.coded();
        Self::of(member, Chain::of(start, start), encoder)
    }

    fn of(member: Member, chain: Chain, encoder: Encoder) -> Self {
        let tip = encoder.coded();
        let highest = chain.0.iter().map(|(_, coder)| *coder).fold(tip, UpdateId::max);
        let members = BTreeMap::from([(member, chain)]);
        let (scales, rooms) = (BTreeMap::new(), BTreeMap::new());
        Self { encoder, tip, highest, members, scales, rooms, log: VecDeque::new(), log_bytes: 0 }
    }

    /// Who shares.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        self.members.keys().copied()
    }

    /// Whether the others were given slices that `member` was not: its next answer is copied, not coded.
    pub fn is_behind(&self, member: Member) -> bool {
        self.members.get(&member).is_some_and(|c| c.tip() != self.tip)
    }

    /// See [`Encoder::works_for_film`].
    pub fn works_for_film(&self, rect: Rect<Surf>) -> bool {
        self.encoder.works_for_film(rect)
    }

    /// See [`Encoder::take_film`].
    pub fn take_film(&mut self) -> Option<FilmTask> {
        self.encoder.take_film()
    }

    /// See [`Encoder::on_film`].
    pub fn on_film(&mut self, task: FilmTask) {
        self.encoder.on_film(task);
    }

    /// The surface's size.
    pub const fn size(&self) -> Size<Surf> {
        self.encoder.sent().size()
    }

    /// What the viewers hold when everything coded has arrived.
    pub const fn sent(&self) -> &Pixels {
        self.encoder.sent()
    }

    /// Answers `job` of `member`: with copies of what the others got before it, or by coding `newest`.
    ///
    /// Copies may concern other tiles than the job asked for, and are of the versions they were coded from. What the job
    /// asked for is said to be left unless they end with the slice that ended a frame: the picture is whole then, as it was
    /// at that version.
    ///
    /// # Errors
    /// The member must [`Shared::leave`], or begin a new epoch.
    pub fn encode(
        &mut self,
        member: Member,
        job: &EncodeJob,
        newest: &Pixels,
        version: Version,
    ) -> Result<EncodedSlices, NotServed> {
        self.encode_by_slices(member, job, newest, version, &mut |_| {})
    }

    /// As [`Shared::encode`], and gives each slice behind which another one is begun to `each`: see
    /// [`Encoder::encode_by_slices`]. All slices are in the answer too. Copies are ready at once and given whole.
    ///
    /// # Errors
    /// As [`Shared::encode`]; then nothing was given.
    pub fn encode_by_slices(
        &mut self,
        member: Member,
        job: &EncodeJob,
        newest: &Pixels,
        version: Version,
        each: &mut dyn FnMut(EncodedSlice),
    ) -> Result<EncodedSlices, NotServed> {
        let alone = self.members.len() == 1;
        let gone = BaseGone { base: job.base };
        let chain = self.members.get_mut(&member).ok_or(gone)?;
        let base = chain.coder_id(job.base).ok_or(gone)?;
        self.rooms.entry(member).or_default().on_job(job);
        if base != chain.tip() {
            if !alone {
                return Err(NotServed::OutOfStep);
            }
            chain.return_to(job.base);
            self.forget_log();
        } else if base != self.tip {
            return self.copies(member, job);
        }
        self.scales.insert(member, job.film_scale);
        let film_scale = self.scales.values().copied().min().unwrap_or_default();
        let own = EncodeJob { base, first: self.highest.next(), film_scale, ..job.clone() };
        if alone {
            // What is too large for one may suit the others.
            self.encoder.refit(&own);
        }
        let (mut id, mut before) = (job.first, job.base);
        let mut answer = self.encoder.encode_by_slices(&own, newest, version, &mut |slice| {
            each(EncodedSlice { id, base: before, ..slice.clone() });
            (before, id) = (id, id.next());
        })?;
        self.tip = self.encoder.coded();
        self.highest = self.highest.max(self.tip);
        if !alone {
            let (mut moved, mut no_film) = (answer.moved.clone(), answer.no_film.clone());
            let count = answer.slices.len();
            for (i, slice) in answer.slices.iter().enumerate() {
                self.log_bytes += slice.bytes.len() as u64;
                self.log.push_back(Logged {
                    slice: slice.clone(),
                    version: answer.version,
                    moved: std::mem::take(&mut moved),
                    no_film: std::mem::take(&mut no_film),
                    ends: answer.left.is_empty() && !answer.anew && i + 1 == count,
                });
            }
            self.trim();
        }
        self.give(member, job, &mut answer.slices);
        Ok(answer)
    }

    /// See [`Encoder::wrong`]; nothing while the others were given slices that `member` was not.
    pub fn wrong(&mut self, member: Member, proofs: &[Proof]) -> Option<Vec<TileAt>> {
        let behind = self.members.get(&member).is_none_or(|c| c.tip() != self.tip);
        (!behind).then(|| self.encoder.wrong(proofs))
    }

    /// The viewer of `member` has applied everything up to `applied`.
    pub fn confirm(&mut self, member: Member, applied: UpdateId) {
        if let Some(chain) = self.members.get_mut(&member) {
            chain.confirm(applied);
        }
        let oldest = self.members.values().filter_map(|c| c.0.front()).map(|(_, coder)| *coder).min();
        if let Some(oldest) = oldest {
            self.encoder.confirm(oldest);
        }
    }

    /// Takes `member` out, with a coder of its own at its state `base`.
    ///
    /// # Errors
    /// That state is no longer kept; the member is out all the same, and begins a new epoch.
    pub fn leave(&mut self, member: Member, base: UpdateId) -> Result<Box<Self>, BaseGone> {
        let chain = self.members.remove(&member);
        self.scales.remove(&member);
        self.rooms.remove(&member);
        self.trim();
        let coder = chain.and_then(|c| c.coder_id(base)).ok_or(BaseGone { base })?;
        let encoder = self.encoder.fork(coder).ok_or(BaseGone { base })?;
        Ok(Box::new(Self::of(member, Chain::of(base, coder), encoder)))
    }

    /// Takes `member` out for good. Answers whether somebody is left.
    pub fn remove(&mut self, member: Member) -> bool {
        self.members.remove(&member);
        self.scales.remove(&member);
        self.rooms.remove(&member);
        self.trim();
        !self.members.is_empty()
    }

    /// Takes in the only member of `other`, if its viewer has confirmed everything, understands the same ops and holds the
    /// same pixels.
    ///
    /// # Errors
    /// `other`, unchanged, if not.
    pub fn join(&mut self, other: Box<Self>) -> Result<(), Box<Self>> {
        let Some((member, own)) = other.settled() else { return Err(other) };
        let alike = self.encoder.options() == other.encoder.options() && self.sent() == other.sent();
        if self.members.contains_key(&member) || !alike {
            return Err(other);
        }
        self.encoder.start_anew();
        self.members.insert(member, Chain::of(own, self.tip));
        Ok(())
    }

    /// Keeps a place for `member`, who will come with what the viewers hold when everything coded so far has arrived.
    pub fn expect(&mut self, member: Member) -> Pixels {
        self.encoder.start_anew();
        self.members.insert(member, Chain::of(UpdateId::BLANK, self.tip));
        self.sent().clone()
    }

    /// Takes in the only member of `other`, who was [expected](Shared::expect) and whose viewer has confirmed that it
    /// holds `pixels`, which it was expected with.
    ///
    /// # Errors
    /// `other`, unchanged, if not.
    pub fn welcome(&mut self, other: Box<Self>, pixels: &Pixels) -> Result<(), Box<Self>> {
        let Some((member, own)) = other.settled().filter(|_| other.sent() == pixels) else { return Err(other) };
        let Some(chain) = self.members.get_mut(&member) else { return Err(other) };
        *chain = Chain::of(own, chain.tip());
        Ok(())
    }

    /// What the slots of `member`'s viewer surely hold, for its next epoch.
    pub fn slots_of(&self, member: Member) -> Option<SlotMap> {
        let (_, coder) = self.members.get(&member)?.0.front()?;
        Some(self.encoder.slots_at(*coder))
    }

    /// The viewer of the only member says what its slots held when the session began, from slot `first` on.
    pub fn offer(&mut self, first: u32, hashes: &[u128]) {
        if self.members.len() == 1 {
            self.encoder.offer(first, hashes);
        }
    }

    /// Whether everything coded for the only member is confirmed.
    pub fn is_settled(&self) -> bool {
        self.settled().is_some()
    }

    /// Whether the last that `member` was given is `own`.
    pub fn is_at(&self, member: Member, own: UpdateId) -> bool {
        self.members.get(&member).and_then(|c| c.0.back()).is_some_and(|(o, _)| *o == own)
    }

    /// The only member and its id for the last state, if that is confirmed.
    fn settled(&self) -> Option<(Member, UpdateId)> {
        let mut members = self.members.iter();
        let (member, chain) = members.next().filter(|(_, c)| c.0.len() == 1)?;
        let (own, coder) = chain.0.front()?;
        (members.next().is_none() && *coder == self.tip).then_some((*member, *own))
    }

    /// What the others got after `member`'s state, as much as fits the job.
    fn copies(&mut self, member: Member, job: &EncodeJob) -> Result<EncodedSlices, NotServed> {
        let at = self.members.get(&member).map_or(UpdateId::BLANK, Chain::tip);
        let behind = self.log.partition_point(|l| l.slice.id <= at);
        let missed = self.log.range(behind..);
        let reaches = self.log.get(behind).is_some_and(|l| l.slice.base == at);
        let total: u64 = missed.clone().map(|l| l.slice.bytes.len() as u64).sum();
        let longest = missed.clone().map(|l| l.slice.bytes.len() as u64).max().unwrap_or(0);
        let room = self.rooms.get(&member).map_or(Room::default(), Rooms::most);
        if !reaches || total > room.job.saturating_mul(JOBS_BEHIND) || longest > room.slice {
            return Err(NotServed::OutOfStep);
        }
        let mut answer = EncodedSlices { job: job.id, ..EncodedSlices::default() };
        let (mut room, mut ends) = (job.max_bytes.0, false);
        for logged in missed {
            let bytes = logged.slice.bytes.len() as u64;
            if bytes > room && !answer.slices.is_empty() {
                break;
            }
            room = room.saturating_sub(bytes);
            (answer.version, ends) = (logged.version, logged.ends);
            answer.moved.extend_from_slice(&logged.moved);
            answer.no_film.extend_from_slice(&logged.no_film);
            answer.slices.push(logged.slice.clone());
        }
        if !ends {
            answer.left = job.items.iter().map(|i| i.rect).filter(|r| !r.is_empty()).collect();
        }
        self.give(member, job, &mut answer.slices);
        self.trim();
        Ok(answer)
    }

    /// Gives the slices the member's ids.
    fn give(&mut self, member: Member, job: &EncodeJob, slices: &mut [EncodedSlice]) {
        let Some(chain) = self.members.get_mut(&member) else { return };
        let (mut id, mut base) = (job.first, job.base);
        for slice in slices {
            chain.0.push_back((id, slice.id));
            (slice.id, slice.base) = (id, base);
            (base, id) = (id, id.next());
        }
    }

    /// Drops what every member has, and what is too much to keep.
    fn trim(&mut self) {
        let slowest = self.members.values().map(Chain::tip).min().unwrap_or(self.tip);
        while let Some(first) = self.log.front()
            && (first.slice.id <= slowest || self.log_bytes > LOG_BYTES || self.log.len() > LOG_SLICES)
        {
            self.log_bytes -= first.slice.bytes.len() as u64;
            self.log.pop_front();
        }
    }

    fn forget_log(&mut self) {
        self.log.clear();
        self.log_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::tests::text;
    use crate::wire::kind;
    use crate::{Decoder, EncoderOptions};
    use telepane_model::{Bytes, EncodeItem, Quality, Rng};

    const SIZE: Size<Surf> = Size::new(300, 200);

    /// A viewer with its ids.
    struct Viewer {
        member: Member,
        decoder: Decoder,
        tip: UpdateId,
        highest: UpdateId,
    }

    impl Viewer {
        fn new(member: Member) -> Self {
            let (tip, highest) = (UpdateId::BLANK, UpdateId::BLANK);
            Self { member, decoder: Decoder::new(SIZE), tip, highest }
        }

        fn job(&self, max: u64) -> EncodeJob {
            EncodeJob {
                base: self.tip,
                first: self.highest.next(),
                size: SIZE,
                items: vec![EncodeItem { rect: SIZE.rect(), version: Version(0), quality: Quality::EXACT }],
                max_bytes: Bytes(max),
                film_bytes: Bytes(max),
                film_scale: Default::default(),
                slice_bytes: Bytes(max.min(1100)),
                pictures: Default::default(),
                anew: false,
                id: Default::default(),
                surface: Default::default(),
                epoch: Default::default(),
            }
        }

        /// Asks once; the viewer applies what comes.
        fn ask(&mut self, shared: &mut Shared, newest: &Pixels, max: u64) -> Result<EncodedSlices, NotServed> {
            let answer = shared.encode(self.member, &self.job(max), newest, Version(1))?;
            for slice in &answer.slices {
                assert_eq!((slice.base, slice.id), (self.tip, self.highest.next()));
                (self.tip, self.highest) = (slice.id, slice.id);
                self.decoder.apply(&slice.bytes).unwrap();
            }
            Ok(answer)
        }

        fn settle(&mut self, shared: &mut Shared, newest: &Pixels) {
            while !self.ask(shared, newest, 1 << 20).unwrap().left.is_empty() {}
            shared.confirm(self.member, self.tip);
            assert!(self.decoder.pixels() == newest);
        }
    }

    fn screen(rng: &mut Rng, old: &Pixels) -> Pixels {
        let mut p = old.clone();
        for _ in 0..40 {
            let r = Rect::new(rng.below(280) as i32, rng.below(180) as i32, 9, 12).intersect(SIZE.rect());
            p.fill(r, [rng.next_u64() as u8, 0, 9]);
        }
        p
    }

    fn alone(member: Member) -> Box<Shared> {
        Box::new(Shared::new(member, Encoder::new(SIZE, EncoderOptions::default())))
    }

    /// Two viewers in step, the second of which came later.
    fn pair() -> (Box<Shared>, Viewer, Viewer, Pixels, Rng) {
        let mut rng = Rng::new(4);
        let newest = screen(&mut rng, &Pixels::new(SIZE));
        let (mut one, mut two) = (alone(1), alone(2));
        let (mut a, mut b) = (Viewer::new(1), Viewer::new(2));
        a.settle(&mut one, &Pixels::new(SIZE));
        let newest = screen(&mut rng, &newest);
        a.settle(&mut one, &newest);
        b.settle(&mut two, &newest);
        assert!(one.join(two).is_ok());
        (one, a, b, newest, rng)
    }

    #[test]
    fn the_second_gets_copies() {
        let (mut shared, mut a, mut b, mut newest, mut rng) = pair();
        for turn in 0..20 {
            newest = screen(&mut rng, &newest);
            let (first, second) = if turn % 3 == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
            let coded = first.ask(&mut shared, &newest, 1 << 20).unwrap();
            let copied = second.ask(&mut shared, &newest, 1 << 20).unwrap();
            assert!(coded.left.is_empty() && !coded.slices.is_empty());
            let bytes = |e: &EncodedSlices| e.slices.iter().map(|s| s.bytes.clone()).collect::<Vec<_>>();
            assert_eq!(bytes(&coded), bytes(&copied));
            assert!(copied.left.is_empty(), "the copy of a frame's end ends it");
            assert!(a.decoder.pixels() == &newest && b.decoder.pixels() == &newest);
            // What was copied is said to be of that version; asking again finds nothing to code.
            let again = b.ask(&mut shared, &newest, 1 << 20).unwrap();
            assert!(again.slices.is_empty() && again.left.is_empty() && !again.same.is_empty());
        }
        assert!(shared.log.is_empty() && shared.log_bytes == 0);
    }

    #[test]
    fn slices_given_early_have_the_members_ids_and_the_others_copy_them() {
        let (mut shared, mut a, mut b, newest, mut rng) = pair();
        // Ids that differ from the coder's.
        (a.highest, b.highest) = (UpdateId(1_000), UpdateId(2_000));
        let newest = screen(&mut rng, &newest);
        let job = EncodeJob { slice_bytes: Bytes(150), ..a.job(1 << 20) };
        let mut early = Vec::new();
        let answer = shared.encode_by_slices(1, &job, &newest, Version(5), &mut |s| early.push(s)).unwrap();
        assert!(early.len() > 1 && early.len() + 1 == answer.slices.len() && answer.left.is_empty());
        assert_eq!(early, answer.slices[..early.len()]);
        let mut base = job.base;
        for (slice, id) in answer.slices.iter().zip(job.first.0..) {
            assert_eq!((slice.id, slice.base), (UpdateId(id), base));
            base = slice.id;
        }
        let copies = b.ask(&mut shared, &newest, 1 << 20).unwrap();
        let bytes = |slices: &[EncodedSlice]| slices.iter().map(|s| s.bytes.clone()).collect::<Vec<_>>();
        assert_eq!(bytes(&copies.slices), bytes(&answer.slices));
        assert!(b.decoder.pixels() == &newest);
    }

    #[test]
    fn who_lost_something_leaves_and_joins_again() {
        let (mut shared, mut a, mut b, newest, mut rng) = pair();
        let held = b.tip;
        let pixels = b.decoder.pixels().clone();
        let newest = screen(&mut rng, &newest);
        a.ask(&mut shared, &newest, 1 << 20).unwrap();
        b.ask(&mut shared, &newest, 1 << 20).unwrap();
        // What b was sent was lost: it returns to what it holds.
        b.tip = held;
        let job = b.job(1 << 20);
        assert_eq!(shared.encode(2, &job, &newest, Version(1)), Err(NotServed::OutOfStep));
        let mut own = shared.leave(2, held).unwrap();
        assert!(*own.sent() == pixels);
        let mut at_held = Decoder::new(SIZE);
        std::mem::swap(&mut b.decoder, &mut at_held);
        b.decoder.set_for_test(pixels);
        b.settle(&mut own, &newest);
        a.settle(&mut shared, &newest);
        let Ok(()) = shared.join(own) else { panic!("b holds what a holds") };
        let newest = screen(&mut rng, &newest);
        b.ask(&mut shared, &newest, 1 << 20).unwrap();
        a.ask(&mut shared, &newest, 1 << 20).unwrap();
        assert!(a.decoder.pixels() == &newest && b.decoder.pixels() == &newest);
    }

    #[test]
    fn who_cannot_keep_up_leaves() {
        let (mut shared, mut a, mut b, newest, mut rng) = pair();
        let newest = screen(&mut rng, &newest);
        a.settle(&mut shared, &newest);
        assert_eq!(b.ask(&mut shared, &newest, 80).map(|_| ()), Err(NotServed::OutOfStep));
        let mut own = shared.leave(2, b.tip).unwrap();
        assert_eq!(shared.members().collect::<Vec<_>>(), [1]);
        assert!(shared.log.is_empty());
        b.settle(&mut own, &newest);
        assert!(!own.remove(2));
    }

    #[test]
    fn who_is_slow_for_a_moment_stays() {
        let (mut shared, mut a, mut b, mut newest, mut rng) = pair();
        // One job with room enough, then none: what others got is given slice by slice for a while, every byte of it.
        for round in 0..3 {
            newest = screen(&mut rng, &newest);
            a.settle(&mut shared, &newest);
            b.ask(&mut shared, &newest, 1 << 20).unwrap();
            assert!(b.decoder.pixels() == &newest, "round {round}");
            newest = screen(&mut rng, &newest);
            let coded = a.ask(&mut shared, &newest, 1 << 20).unwrap();
            assert!(coded.slices.iter().any(|s| s.bytes.len() > 80), "more than the job has room for");
            let mut copied = Vec::new();
            for _ in 0..coded.slices.len() {
                let answer = b.ask(&mut shared, &newest, 80).unwrap();
                assert_eq!(answer.slices.len(), 1, "no more than one slice beyond its room");
                copied.extend(answer.slices);
            }
            let bytes = |slices: &[EncodedSlice]| slices.iter().map(|s| s.bytes.clone()).collect::<Vec<_>>();
            assert_eq!(bytes(&copied), bytes(&coded.slices));
            assert!(b.decoder.pixels() == &newest && !shared.is_behind(2));
        }
        // It stays slow: that is believed soon.
        let refused = (0..=LAST_JOBS).find(|_| {
            newest = screen(&mut rng, &newest);
            a.settle(&mut shared, &newest);
            b.ask(&mut shared, &newest, 80).is_err()
        });
        assert!(refused.is_some(), "it is given what is old although it cannot keep up");
        let mut own = shared.leave(2, b.tip).unwrap();
        b.settle(&mut own, &newest);
    }

    #[test]
    fn one_is_brought_to_where_the_others_were() {
        let mut rng = Rng::new(9);
        let mut newest = screen(&mut rng, &Pixels::new(SIZE));
        let (mut one, mut two) = (alone(1), alone(2));
        let (mut a, mut b) = (Viewer::new(1), Viewer::new(2));
        a.settle(&mut one, &newest);
        b.ask(&mut two, &newest, 900).unwrap();
        let expected = one.expect(2);
        for _ in 0..5 {
            newest = screen(&mut rng, &newest);
            a.settle(&mut one, &newest);
        }
        b.settle(&mut two, &expected);
        let Ok(()) = one.welcome(two, &expected) else { panic!("b is where it was expected") };
        let copied = b.ask(&mut one, &newest, 1 << 20).unwrap();
        assert!(!copied.slices.is_empty() && b.decoder.pixels() == &newest);
        // A stranger is not let in.
        let mut c = Viewer::new(3);
        let mut three = alone(3);
        c.settle(&mut three, &newest);
        assert!(one.welcome(three, &newest).is_err());
    }

    #[test]
    fn nobody_joins_with_other_pixels_or_unconfirmed() {
        let (mut shared, mut a, _b, newest, mut rng) = pair();
        let mut c = Viewer::new(3);
        let mut third = alone(3);
        c.settle(&mut third, &newest);
        let newest = screen(&mut rng, &newest);
        a.settle(&mut shared, &newest);
        let Err(mut third) = shared.join(third) else { panic!("other pixels") };
        c.ask(&mut third, &newest, 1 << 20).unwrap();
        let Err(mut third) = shared.join(third) else { panic!("unconfirmed") };
        third.confirm(3, c.tip);
        assert!(shared.join(third).is_ok());
    }

    #[test]
    fn a_silent_member_does_not_grow_the_log() {
        let (mut shared, mut a, mut b, mut newest, mut rng) = pair();
        for _ in 0..=LOG_SLICES {
            newest = screen(&mut rng, &newest);
            a.settle(&mut shared, &newest);
        }
        assert!(shared.log.len() <= LOG_SLICES && shared.log_bytes <= LOG_BYTES);
        assert_eq!(b.ask(&mut shared, &newest, 1 << 20).map(|_| ()), Err(NotServed::OutOfStep));
    }

    /// A day's work in all ops: what is shown, how much may be spent at a time, and where film is.
    fn scenes(seed: u64) -> Vec<(Pixels, u64, Option<Rect<Surf>>)> {
        let mut rng = Rng::new(seed);
        let (page, other) = (text(SIZE, seed), text(SIZE, seed + 1));
        let mut scrolled = page.clone();
        scrolled.paste(&page.crop(Rect::new(0, 21, 300, 179)), 0, 0);
        let mut filled = scrolled.clone();
        filled.fill(Rect::new(40, 40, 150, 90), [seed as u8, 7, 9]);
        let mut picture = |p: &mut Pixels, at: Rect<Surf>| {
            for y in at.y..at.bottom() {
                for (x, px) in p.row_mut(at.x as u32, y as u32, at.w).chunks_exact_mut(4).enumerate() {
                    let v = (x as u64 + y as u64 * 2 + seed) / 3 + rng.below(9);
                    px[..3].copy_from_slice(&[v as u8, (v / 2 + rng.below(5)) as u8, 255 - v as u8]);
                }
            }
        };
        let mut film = other.clone();
        picture(&mut film, Rect::new(0, 0, 128, 128));
        let (mut photo, mut album) = (page.clone(), other.clone());
        picture(&mut photo, Rect::new(0, 0, 256, 192));
        picture(&mut album, Rect::new(64, 64, 128, 128));
        let much = 1 << 20;
        // Text, a scroll, a fill, another window and back again, a picture in layers, a picture at once, a film.
        vec![
            (page.clone(), much, None),
            (scrolled, much, None),
            (filled, much, None),
            (page.clone(), much, None),
            (other, much, None),
            (page.clone(), much, None),
            (photo, 3_000, None),
            (album, much, None),
            (film, much, Some(Rect::new(0, 0, 128, 128))),
            (page, much, None),
        ]
    }

    /// `one` asks first, the others get copies; answers the ops that were coded.
    fn go_through(shared: &mut Shared, viewers: &mut [&mut Viewer], seed: u64) -> u64 {
        let mut kinds = 0;
        for (n, (newest, max, film)) in scenes(seed).into_iter().enumerate() {
            for _ in 0..60 {
                let mut coded = None;
                for viewer in viewers.iter_mut() {
                    let mut job = viewer.job(max);
                    let film = film.map(|rect| EncodeItem { rect, version: Version(0), quality: Quality::FILM });
                    job.items.splice(0..0, film);
                    let answer = shared.encode(viewer.member, &job, &newest, Version(n as u64)).unwrap();
                    for slice in &answer.slices {
                        let mut ops = crate::wire::Reader::new(&slice.bytes);
                        while !ops.is_empty() {
                            let (kind, _) = crate::wire::next_op(&mut ops).unwrap();
                            kinds |= 1 << kind;
                        }
                        (viewer.tip, viewer.highest) = (slice.id, slice.id);
                        viewer.decoder.apply(&slice.bytes).unwrap();
                    }
                    shared.confirm(viewer.member, viewer.tip);
                    assert!(viewer.decoder.pixels() == shared.sent(), "viewer {} shows something else", viewer.member);
                    coded.get_or_insert(answer.slices.len());
                }
                if film.is_some() || coded == Some(0) {
                    break;
                }
            }
            assert!(film.is_some() || shared.sent() == &newest);
        }
        kinds
    }

    // spec: C-180
    #[test]
    fn the_smallest_size_of_film_that_one_wants_holds_for_all() {
        let size = Size::new(256, 256);
        let film = Rect::new(0, 0, 192, 192);
        let mut shared = Shared::new(1, Encoder::new(size, EncoderOptions::default()));
        shared.expect(2);
        let mut newest = Pixels::new(size);
        let mut base = UpdateId::BLANK;
        let mut scales = Vec::new();
        for (n, wanted) in [FilmScale::Full, FilmScale::Half, FilmScale::Full].into_iter().enumerate() {
            let mut rng = Rng::new(n as u64);
            newest
                .data_mut()
                .iter_mut()
                .enumerate()
                .for_each(|(i, v)| *v = (i / 97 + n * 9) as u8 ^ (rng.next_u64() & 7) as u8);
            if wanted == FilmScale::Half {
                shared.scales.insert(2, wanted);
            }
            let item = EncodeItem { rect: film, version: Version(0), quality: Quality::FILM };
            let job = EncodeJob {
                id: Default::default(),
                surface: Default::default(),
                epoch: Default::default(),
                size,
                base,
                first: UpdateId(base.0 + 1),
                items: vec![item],
                max_bytes: Bytes(1 << 20),
                film_bytes: Bytes(9_000),
                film_scale: FilmScale::Full,
                slice_bytes: Bytes(60_000),
                pictures: Default::default(),
                anew: false,
            };
            let answer = shared.encode(1, &job, &newest, Version(n as u64 + 1)).unwrap();
            scales.extend(answer.filmed.map(|f| f.scale));
            base = answer.slices.last().unwrap().id;
        }
        assert_eq!(scales, [FilmScale::Full, FilmScale::Half, FilmScale::Half]);
        shared.remove(2);
        assert_eq!(shared.scales.values().copied().min(), Some(FilmScale::Full));
    }

    /// An op whose coder remembers something has to begin it anew when viewers come and go. Whoever adds an op adds a
    /// scene that makes the encoder use it.
    #[test]
    fn every_op_goes_on_across_a_join_and_a_parting() {
        let (mut one, mut two) = (alone(1), alone(2));
        let (mut a, mut b) = (Viewer::new(1), Viewer::new(2));
        // Both have done all there is, each other things in another number, before they meet.
        for seed in [1, 2] {
            assert_eq!(go_through(&mut one, &mut [&mut a], seed), kind::CODED, "alone");
        }
        go_through(&mut two, &mut [&mut b], 3);
        let place = text(SIZE, 90);
        a.settle(&mut one, &place);
        b.settle(&mut two, &place);
        assert!(one.join(two).is_ok());
        assert_eq!(go_through(&mut one, &mut [&mut a, &mut b], 4), kind::CODED, "together");
        let mut two = one.leave(2, b.tip).unwrap();
        assert_eq!(go_through(&mut two, &mut [&mut b], 5), kind::CODED, "apart, the one who left");
        assert_eq!(go_through(&mut one, &mut [&mut a], 6), kind::CODED, "apart, the one who stayed");
        // And once more by the other door.
        let expected = one.expect(2);
        assert_eq!(go_through(&mut one, &mut [&mut a], 7), kind::CODED, "while one is expected");
        b.settle(&mut two, &expected);
    }
}
