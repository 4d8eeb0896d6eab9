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
#[path = "shared_tests.rs"]
mod tests;
