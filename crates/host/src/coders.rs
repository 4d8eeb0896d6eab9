//! The coders of all seats. Seats in step share one (`telepane_codec::shared`): what one has coded is copied to the
//! others. Large pictures are coded by a worker; jobs for a coder that is away wait for it. Frames of film are coded by
//! another, while their coder is here: a seat whose answer says that it awaits one is told when it is coded.
//!
//! A seat whose picture is exact joins others whose pictures are. Where something always moves nobody's is; there a seat
//! that keeps up is brought to what the others hold at one moment, exactly, and gets copies from then on.

mod boarding;

use crate::clock::Clock;
use crate::worker::{Coded, Done, Filmed, Job, Reel, Work, Worker};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use telepane_codec::shared::NotServed;
use telepane_codec::{BaseGone, Encoder, EncoderOptions, Shared, SlotMap};
use telepane_model::{
    Bytes, EncodeItem, EncodeJob, EncodedSlices, Epoch, HostClock, JobId, Pixels, Proof, Quality, Size, Span, Stamp,
    Surf, TileAt, UpdateId, Version,
};
use telepane_protocol::{Capabilities, Capability};

/// Jobs up to this many pixels are coded on the thread that captured them (DESIGN §3.4).
const INLINE_PIXELS: u64 = 100_000;
/// A seat that fell out of step codes for itself this long at least: joining costs the coder what it has learnt.
const JOIN_AFTER: Span = Span::secs(5);
/// A seat that could not join tries again after this.
const TRY_AGAIN: Span = Span::secs(1);
/// A seat that codes for itself this long although others could share with it is brought to them.
const BOARD_AFTER: Span = Span::secs(2);
/// It has this long to get there, and waits longer each time that it does not or falls back.
const BOARD_WITHIN: Span = Span::secs(1);
const BOARD_RARELY: Span = Span::secs(300);

/// The tile cache this host has a use for; it keeps 16 bytes and some for each slot.
pub const CACHE_BYTES: u64 = 64 << 20;
/// Offers kept: so many messages name every slot there can be.
const MOST_OFFERS: usize = telepane_codec::limits::CACHE_SLOTS as usize / telepane_protocol::control::MAX_OFFER;

/// A seat's number.
pub type SeatId = u64;

/// A job done, or a part of it.
pub struct Answer {
    /// Whose job.
    pub seat: SeatId,
    /// Which.
    pub job: JobId,
    /// What came of it.
    pub result: Result<EncodedSlices, BaseGone>,
    /// How long it took, when it is done.
    pub took: Span,
    /// Another seat had it coded before.
    pub copied: bool,
}

/// A frame of film that a seat waited for is coded, or not worth waiting for any more.
pub struct FilmCoded {
    /// Whose.
    pub seat: SeatId,
    /// The job that was told to await it.
    pub job: JobId,
    /// How long coding took, for one of those who waited.
    pub took: Option<Span>,
}

/// See the module.
pub struct Coders {
    worker: Worker<Job>,
    filmer: Worker<Reel>,
    filmed: Vec<FilmCoded>,
    groups: BTreeMap<u64, Group>,
    parts: BTreeMap<SeatId, Part>,
    viewers: BTreeMap<SeatId, Viewer>,
    next: u64,
}

/// What is known of a seat's viewer from one coder to the next.
struct Viewer {
    options: EncoderOptions,
    /// What the viewer's slots were said to hold, for the coder that comes back, or for the first one.
    offers: Vec<(u32, Vec<u128>)>,
    /// What the viewer said its slots hold still counts: no coder's knowledge of them was lost.
    offers_count: bool,
    /// The viewer could not decode a slice: the next coder knows nothing of its slots.
    spoilt: bool,
}

/// Which coder a seat has.
struct Part {
    group: u64,
    epoch: Epoch,
    join_at: Stamp<HostClock>,
    board_at: Stamp<HostClock>,
    patience: Span,
    boarding: Option<Boarding>,
}

/// Where a seat is being brought.
struct Boarding {
    group: u64,
    /// What it is to hold; not known while the others' coder is away.
    pixels: Option<Arc<Pixels>>,
    until: Stamp<HostClock>,
    /// Everything is sent; it waits for the confirmation.
    sent: bool,
}

struct Group {
    coder: Coder,
    /// What happened while the coder was away.
    told: Vec<Told>,
    waiting: VecDeque<(SeatId, EncodeJob)>,
    /// Who awaits the frame of film that is being coded.
    awaiting: Vec<(SeatId, JobId)>,
}

enum Coder {
    Here(Box<Shared>),
    /// With the worker.
    Away,
}

enum Told {
    Confirmed(SeatId, UpdateId),
    Expected(SeatId),
    Left(SeatId),
    Filmed(Box<Filmed>),
}

/// The newest pixels and their version.
pub type Newest<'a> = (&'a Arc<Pixels>, Version);

/// What may be sent to a viewer that can do this.
// spec: V-5
fn coding_for(peer: &Capabilities) -> EncoderOptions {
    EncoderOptions {
        ops: peer.value(Capability::Ops),
        cache: Bytes(peer.value(Capability::CacheBytes).min(CACHE_BYTES)),
        slice_pixels: peer.value(Capability::SlicePixels),
        wide: peer.value(Capability::TextModels) & 1 != 0,
        film_scales: peer.value(Capability::Film) & 1 != 0,
        film_apart: true,
        film_judged: true,
        ..EncoderOptions::default()
    }
}

impl Coders {
    /// No coders yet; `worker` codes what is large, `filmer` film.
    pub const fn new(worker: Worker<Job>, filmer: Worker<Reel>) -> Self {
        Self {
            worker,
            filmer,
            filmed: Vec::new(),
            groups: BTreeMap::new(),
            parts: BTreeMap::new(),
            viewers: BTreeMap::new(),
            next: 0,
        }
    }

    /// Has `job` coded for `seat`. Nothing, if the answer comes later from [`Coders::done`].
    pub fn encode(&mut self, clock: &Clock, seat: SeatId, job: EncodeJob, newest: Newest<'_>) -> Option<Answer> {
        if self.parts.get(&seat).is_none_or(|p| p.epoch != job.epoch) {
            let encoder = self.new_encoder(seat, job.size);
            self.left(seat);
            let group = self.add(Box::new(Shared::new(seat, encoder)));
            let now = clock.now();
            let (join_at, board_at) = (Stamp::ZERO, now + BOARD_AFTER);
            let part = Part { group, epoch: job.epoch, join_at, board_at, patience: JOIN_AFTER, boarding: None };
            self.parts.insert(seat, part);
        }
        self.run(clock, seat, job, newest)
    }

    /// The viewer of `seat` can do what `peer` says. What was coded for other abilities is not gone on with.
    pub fn agreed(&mut self, seat: SeatId, peer: &Capabilities) {
        let options = coding_for(peer);
        let had = self.parts.contains_key(&seat);
        let viewer = self.viewers.entry(seat).or_default();
        if viewer.options != options {
            viewer.options = options;
            viewer.offers_count &= !had;
            self.left(seat);
        }
    }

    /// The viewer of `seat` could not decode a slice: what its slots hold is not known.
    pub fn spoilt(&mut self, seat: SeatId) {
        let viewer = self.viewers.entry(seat).or_default();
        (viewer.spoilt, viewer.offers_count) = (true, false);
    }

    /// The viewer of `seat` says what it kept from the agent before this one, from slot `first` on.
    pub fn offered(&mut self, seat: SeatId, first: u32, hashes: Vec<u128>) {
        let viewer = self.viewers.entry(seat).or_default();
        // No more than fill the slots.
        if viewer.offers_count && viewer.offers.len() < MOST_OFFERS {
            viewer.offers.push((first, hashes));
        }
        self.offer(seat);
    }

    /// Hands on what the viewer of `seat` said of its slots, if its coder is here.
    fn offer(&mut self, seat: SeatId) {
        let Some(group) = self.parts.get(&seat).and_then(|p| self.groups.get_mut(&p.group)) else { return };
        if let (Coder::Here(shared), Some(viewer)) = (&mut group.coder, self.viewers.get_mut(&seat)) {
            viewer.offers.drain(..).for_each(|(first, hashes)| shared.offer(first, &hashes));
        }
    }

    /// A coder for a new epoch, which knows what the one before knew of the viewer's slots.
    fn new_encoder(&mut self, seat: SeatId, size: Size<Surf>) -> Encoder {
        let viewer = self.viewers.entry(seat).or_default();
        let before = self.parts.get(&seat).and_then(|p| self.groups.get(&p.group)).map(|g| &g.coder);
        let slots = match before {
            Some(Coder::Here(shared)) => shared.slots_of(seat),
            // It is with the worker, and takes what it knows of the slots with it.
            Some(Coder::Away) => {
                viewer.offers_count = false;
                None
            }
            None => None,
        };
        // spec: C-155
        let slots = slots.filter(|_| !std::mem::take(&mut viewer.spoilt));
        let slots = slots.unwrap_or_else(|| SlotMap::new(viewer.options.cache));
        let mut encoder = Encoder::with_slots(size, viewer.options, slots);
        for (first, hashes) in std::mem::take(&mut viewer.offers) {
            if viewer.offers_count {
                encoder.offer(first, &hashes);
            }
        }
        encoder
    }

    /// The viewer of `seat` has applied everything up to `applied` of `epoch`.
    pub fn confirmed(&mut self, seat: SeatId, epoch: Epoch, applied: UpdateId) {
        let Some(part) = self.parts.get(&seat).filter(|p| p.epoch == epoch) else { return };
        let Some(group) = self.groups.get_mut(&part.group) else { return };
        match &mut group.coder {
            Coder::Here(shared) => shared.confirm(seat, applied),
            Coder::Away => group.told.push(Told::Confirmed(seat, applied)),
        }
    }

    /// Which tiles of `seat` do not show what they should when everything up to `coded` is applied, by what its viewer says of
    /// them; nothing, if its coder is away or at another state: what was said is to be kept until it is back.
    pub fn wrong(&mut self, seat: SeatId, epoch: Epoch, coded: UpdateId, proofs: &[Proof]) -> Option<Vec<TileAt>> {
        let part = self.parts.get(&seat).filter(|p| p.epoch == epoch)?;
        let Coder::Here(shared) = &mut self.groups.get_mut(&part.group)?.coder else { return None };
        if !shared.is_at(seat, coded) {
            return None;
        }
        shared.wrong(seat, proofs)
    }

    /// `seat` needs no coder any more.
    fn left(&mut self, seat: SeatId) {
        self.stay(seat);
        let Some(part) = self.parts.remove(&seat) else { return };
        let Some(group) = self.groups.get_mut(&part.group) else { return };
        group.waiting.retain(|(s, _)| *s != seat);
        if !group.leave(seat) {
            self.dissolve(part.group);
        }
    }

    /// A coder that nobody needs ends, and with it what it films.
    fn dissolve(&mut self, group: u64) {
        let awaiting = self.groups.remove(&group).map(|g| g.awaiting).unwrap_or_default();
        self.filmed.extend(awaiting.into_iter().map(|(seat, job)| FilmCoded { seat, job, took: None }));
    }

    /// Forgets the seats that are not kept.
    pub fn retain(&mut self, keep: impl Fn(SeatId) -> bool) {
        let gone: Vec<_> = self.parts.keys().copied().filter(|seat| !keep(*seat)).collect();
        gone.into_iter().for_each(|seat| self.left(seat));
        self.viewers.retain(|seat, _| keep(*seat));
    }

    /// What the worker has done since, and what waited for it.
    pub fn done(&mut self, clock: &Clock, newest: Newest<'_>) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(filmed) = self.filmer.take() {
            self.on_filmed(filmed);
        }
        while let Some(coded) = self.worker.take() {
            let Done { group: id, shared, seat, job, pixels, result, took } = match coded {
                Coded::Part { seat, slices } => {
                    let (job, result, took) = (slices.job, Ok(slices), Span::ZERO);
                    answers.push(Answer { seat, job, result, took, copied: false });
                    continue;
                }
                Coded::Done(done) => done,
            };
            let Some(group) = self.groups.get_mut(&id) else { continue };
            let mut shared = shared;
            let mut film = None;
            for told in group.told.drain(..) {
                match told {
                    Told::Filmed(filmed) => film = Some(*filmed),
                    Told::Confirmed(seat, applied) => shared.confirm(seat, applied),
                    Told::Expected(seat) => {
                        let boarding = self.parts.get_mut(&seat).and_then(|p| p.boarding.as_mut());
                        if let Some(boarding) = boarding.filter(|b| b.group == id) {
                            boarding.pixels = Some(Arc::new(shared.expect(seat)));
                        }
                    }
                    Told::Left(seat) => drop(shared.remove(seat)),
                }
            }
            let some = shared.members().next().is_some();
            let waiting = std::mem::take(&mut group.waiting);
            group.coder = Coder::Here(shared);
            film.into_iter().for_each(|filmed| self.on_filmed(filmed));
            if !some {
                self.dissolve(id);
            }
            self.offer(seat);
            match result {
                Ok(mut slices) => {
                    self.begin_film(clock, id, (seat, job.id), &slices, &pixels);
                    self.carry(seat, &job, &mut slices);
                    answers.push(Answer { seat, job: job.id, result: Ok(slices), took, copied: false });
                }
                Err(why) => answers.extend(self.not_served(clock, seat, job, newest, why)),
            }
            for (seat, job) in waiting {
                answers.extend(self.run(clock, seat, job, newest));
            }
        }
        let boarding: Vec<_> = self.parts.iter().filter(|(_, p)| p.boarding.is_some()).map(|(s, _)| *s).collect();
        answers.extend(boarding.into_iter().filter_map(|seat| self.board(clock, seat, newest)));
        answers
    }

    /// What seats that awaited a frame of film are to be told.
    pub fn film_coded(&mut self) -> Vec<FilmCoded> {
        std::mem::take(&mut self.filmed)
    }

    /// After a job of `group` for a seat: has the frame of film coded that it began, and notes who awaits one.
    fn begin_film(
        &mut self,
        clock: &Clock,
        id: u64,
        asked: (SeatId, JobId),
        slices: &EncodedSlices,
        pixels: &Arc<Pixels>,
    ) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        if slices.awaits {
            group.awaiting.push(asked);
        }
        let Coder::Here(shared) = &mut group.coder else { return };
        let Some(task) = shared.take_film() else { return };
        if let Err(reel) = self.filmer.give(Reel { group: id, task, pixels: pixels.clone() }) {
            tracing::error!("the filming thread has ended");
            self.on_filmed(reel.run(clock, &mut |_| {}));
        }
    }

    /// A frame of film is coded. A coder that is away hears of it when it is back.
    fn on_filmed(&mut self, filmed: Filmed) {
        let Some(group) = self.groups.get_mut(&filmed.group) else { return };
        match &mut group.coder {
            Coder::Away => group.told.push(Told::Filmed(Box::new(filmed))),
            Coder::Here(shared) => {
                shared.on_film(filmed.task);
                let took = std::iter::once(Some(filmed.took)).chain(std::iter::repeat(None));
                let told = group.awaiting.drain(..).zip(took);
                self.filmed.extend(told.map(|((seat, job), took)| FilmCoded { seat, job, took }));
            }
        }
    }

    /// How many coders there are.
    pub fn count(&self) -> usize {
        self.groups.len()
    }

    fn add(&mut self, coder: Box<Shared>) -> u64 {
        let id = self.next;
        self.next += 1;
        self.groups.insert(id, Group::here(coder));
        id
    }

    fn run(&mut self, clock: &Clock, seat: SeatId, job: EncodeJob, newest: Newest<'_>) -> Option<Answer> {
        let (pixels, version) = newest;
        let nothing = |job: &EncodeJob| EncodedSlices { job: job.id, ..EncodedSlices::default() };
        if pixels.size() != job.size {
            // The desktop changed its size under the job; the frame that says so is on its way and makes it void.
            return Some(Answer { seat, job: job.id, result: Ok(nothing(&job)), took: Span::ZERO, copied: false });
        }
        self.set_out(clock.now(), seat, job.size);
        let part = self.parts.get(&seat)?;
        let id = part.group;
        let group = self.groups.get_mut(&id)?;
        let mut target = (pixels.clone(), version);
        let mut job = job;
        if let (Some(Boarding { pixels: Some(there), sent, .. }), Coder::Here(shared)) = (&part.boarding, &group.coder)
        {
            if there.size() != job.size || !shared.is_at(seat, job.base) {
                self.stay(seat);
                return self.run(clock, seat, job, newest);
            }
            if *sent {
                group.wait(seat, job);
                return None;
            }
            target = (there.clone(), Version(0));
            // All of it is coded against what the others hold; what is to be coded from nothing waits.
            job.anew = false;
            job.items = vec![EncodeItem { rect: job.size.rect(), version: Version(0), quality: Quality::EXACT }];
        }
        let (pixels, version) = target;
        let Coder::Here(mut shared) = std::mem::replace(&mut group.coder, Coder::Away) else {
            group.wait(seat, job);
            return None;
        };
        // Film is coded elsewhere, and then only has to be put into slices.
        let works = |i: &&EncodeItem| i.quality != Quality::FILM || shared.works_for_film(i.rect);
        let wanted: u64 = job.items.iter().filter(works).map(|i| i.rect.area()).sum();
        if wanted > INLINE_PIXELS && !shared.is_behind(seat) {
            let work = Job { group: id, shared, seat, job, pixels, version };
            match self.worker.give(work) {
                Ok(()) => return None,
                Err(work) => {
                    tracing::error!("the coding thread has ended");
                    let done = work.code(clock, &mut |_| {});
                    group.coder = Coder::Here(done.shared);
                    if let Ok(slices) = &done.result {
                        self.begin_film(clock, id, (seat, done.job.id), slices, &done.pixels);
                    }
                    let answer = |result| Answer { seat, job: done.job.id, result, took: done.took, copied: false };
                    return match done.result {
                        Ok(slices) => Some(answer(Ok(slices))),
                        Err(_) => Some(answer(Err(BaseGone { base: done.job.base }))),
                    };
                }
            }
        }
        let copied = shared.is_behind(seat);
        let began = clock.now();
        let result = shared.encode(seat, &job, &pixels, version);
        group.coder = Coder::Here(shared);
        match result {
            Ok(mut slices) => {
                let took = clock.now().since(began);
                self.begin_film(clock, id, (seat, job.id), &slices, &pixels);
                self.carry(seat, &job, &mut slices);
                Some(Answer { seat, job: job.id, result: Ok(slices), took, copied })
            }
            Err(why) => self.not_served(clock, seat, job, newest, why),
        }
    }

    /// A seat out of step gets a coder of its own, which does the job.
    fn not_served(
        &mut self,
        clock: &Clock,
        seat: SeatId,
        job: EncodeJob,
        newest: Newest<'_>,
        why: NotServed,
    ) -> Option<Answer> {
        let base = job.base;
        let gone = Answer { seat, job: job.id, result: Err(BaseGone { base }), took: Span::ZERO, copied: false };
        let (NotServed::OutOfStep, Some(part)) = (why, self.parts.get(&seat)) else { return Some(gone) };
        let Some(Group { coder: Coder::Here(shared), .. }) = self.groups.get_mut(&part.group) else {
            return Some(gone);
        };
        let Ok(own) = shared.leave(seat, base) else {
            // It is out, and its next epoch finds it without a coder.
            self.parts.remove(&seat);
            return Some(gone);
        };
        tracing::debug!(seat, "out of step");
        let group = self.add(own);
        if let Some(part) = self.parts.get_mut(&seat) {
            let now = clock.now();
            (part.group, part.join_at, part.board_at) = (group, now + JOIN_AFTER, now + part.patience);
            part.patience = (part.patience + part.patience).min(BOARD_RARELY);
        }
        self.run(clock, seat, job, newest)
    }
}

impl Default for Viewer {
    /// Of whom nothing is known.
    fn default() -> Self {
        Self { options: EncoderOptions::default(), offers: Vec::new(), offers_count: true, spoilt: false }
    }
}

impl Group {
    const fn here(shared: Box<Shared>) -> Self {
        Self { coder: Coder::Here(shared), told: Vec::new(), waiting: VecDeque::new(), awaiting: Vec::new() }
    }

    /// Whether it is one seat's, and nothing is under way.
    fn is_idle_alone(&self) -> bool {
        let idle = self.waiting.is_empty() && self.awaiting.is_empty();
        matches!(&self.coder, Coder::Here(shared) if idle && shared.members().count() == 1)
    }

    /// The seat's newest job waits.
    fn wait(&mut self, seat: SeatId, job: EncodeJob) {
        self.waiting.retain(|(s, _)| *s != seat);
        self.waiting.push_back((seat, job));
    }

    /// Takes a seat out. False if nobody is left.
    fn leave(&mut self, seat: SeatId) -> bool {
        match &mut self.coder {
            Coder::Here(shared) => shared.remove(seat),
            Coder::Away => {
                self.told.push(Told::Left(seat));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
