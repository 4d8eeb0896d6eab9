//! The host's mind for one viewer: what to code, what to send and when, and what the user's hands may do.
//!
//! Facts come in with their time, wishes go out through [`Host::poll_output`] until it says
//! [`HostOutput::Idle`]. Several facts before one drain are fine. The mind outlives its connection: a lost link is
//! [`Host::on_link_lost`], a resumed one [`Host::on_attached`], and what the viewer still holds is not sent again.
//!
//! A surface's way from a change to the wire:
//!
//! ```text
//! on_frame -> Ledger::touch -> [outbox empty, pacer ready, no job] -> plan -> Encode wish
//!   -> on_coded -> Ledger::on_coded, Outbox::push -> [pacer] -> Datagram wishes -> feedback -> confirm | repair | revert
//! ```

mod input;
mod outbox;

pub use input::{InputGate, LEASE, TOO_OLD};

use crate::clip::Clip;
use crate::clock_map::ClockEstimate;
use crate::film::Film;
use crate::ledger::Ledger;
use crate::link::Link;
use crate::output::{Alarm, ClipWish, HostOutput, Incoming, Wake};
use crate::planner::plan;
use outbox::{Outbox, ShardRef, Whole};
use std::collections::{BTreeSet, VecDeque};
use telepane_model::journey::HostJourney;
use telepane_model::{
    BudgetWhy, Bytes, CursorShape, CursorState, EncodeJob, EncodedSlice, EncodedSlices, Epoch, FrameFacts, HostClock,
    InputEvent, InputSeq, JobId, Note, Point, Quality, Rect, Region, Size, Span, Stamp, Surf, SurfaceId, Trust,
    UpdateId, Version, ViewerClock,
};
use telepane_protocol::control::Held as HeldSurface;
use telepane_protocol::{Control, Datagram, Fault, Feedback, Goodbye, InputBatch, Shard, SliceBody, SurfaceReport};
use telepane_rate::{Policy, SendClass};

/// What a person can set.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Limits of the rate.
    pub policy: Policy,
    /// Whether motion may be coded as film. Off: everything is exact at once.
    pub film: bool,
}

/// See the module.
pub struct Host {
    options: HostOptions,
    now: Stamp<HostClock>,
    out: VecDeque<HostOutput>,
    link: Option<Link<HostClock, ViewerClock, Carried>>,
    max_datagram: usize,
    surface: Option<Surface>,
    input: InputGate,
    injected: Option<(InputSeq, Stamp<HostClock>)>,
    focus: Point<Surf>,
    cursor: Option<CursorState>,
    cursor_dirty: bool,
    shapes_told: BTreeSet<u32>,
    shape: Option<CursorShape>,
    clip: Clip,
    next_job: u64,
    last_epoch: Epoch,
    /// Bytes that may still be made up to complete a probe.
    filler: u64,
    attached_at: Stamp<HostClock>,
    /// The viewer's clock as the last link knew it.
    clock: ClockEstimate<HostClock, ViewerClock>,
    /// Feedback messages read on this link.
    reports: u32,
    /// The viewer is to be asked at once what it holds.
    ask_now: bool,
    /// Asked so often since something was left to confirm.
    asks: u32,
    cursor_serial: u32,
}

/// The one surface there is so far.
#[derive(Debug)]
struct Surface {
    ledger: Ledger,
    film: Film,
    outbox: Outbox,
    size: Size<Surf>,
    version: Version,
    captured: Stamp<HostClock>,
    job: Option<Ordered>,
    /// The viewer has shown that it knows this epoch.
    known: bool,
    /// The give-up that was answered last.
    answered: Option<(UpdateId, UpdateId)>,
    exact: bool,
    /// The last plan was empty and nothing happened since; it becomes due again then, if at all.
    quiet: Option<Option<Stamp<HostClock>>>,
    /// A slice that changes nothing and tells of the epoch, when all of it is black: the coder does not know it, and
    /// takes it for the blank that it equals.
    announced: Option<UpdateId>,
    /// Jobs in a row that settled no tile for lack of room; each doubles the room of the next, so that there is an end.
    cramped: u32,
}

/// A job that is out.
#[derive(Debug)]
struct Ordered {
    id: JobId,
    planned: Stamp<HostClock>,
    captured: Stamp<HostClock>,
    injected: Option<(InputSeq, Stamp<HostClock>)>,
    shard: usize,
    /// Bytes it may take.
    room: u64,
    /// It was overtaken by a give-up: its slices are thrown away. Nothing is ordered until it is back, because the coder
    /// is with it.
    void: bool,
}

/// What a datagram of the host's carried.
#[derive(Clone, Copy, Debug)]
enum Carried {
    Shard(Epoch, ShardRef),
    /// The pointer's place, with the number of its change.
    Cursor(u32),
    Other,
}

// spec: O-2
/// The image, halved until its message fits a control frame. Large cursors are rare and mostly transparent.
// spec: K-12
fn fitting(mut shape: CursorShape) -> CursorShape {
    while Control::CursorShape(shape.clone()).encode().len() > telepane_protocol::MAX_CONTROL {
        let (w, h) = (shape.w / 2, shape.h / 2);
        let row = usize::from(shape.w) * 4;
        let pixel = |x: usize, y: usize| shape.bgra.get(2 * y * row + 8 * x..).and_then(|p| p.first_chunk::<4>());
        let bgra = (0..usize::from(h))
            .flat_map(|y| (0..usize::from(w)).map(move |x| (x, y)))
            .flat_map(|(x, y)| pixel(x, y).copied().unwrap_or_default())
            .collect();
        shape = CursorShape { id: shape.id, w, h, hot_x: shape.hot_x / 2, hot_y: shape.hot_y / 2, bgra };
    }
    shape
}

const SURFACE: SurfaceId = SurfaceId(0);
/// What every path carries (RFC 9000 §14), less QUIC's own overhead.
const LEAST_DATAGRAM: usize = 1_100;
/// Datagrams are no larger than this even where the path allows it: what is lost with one stays small (DESIGN §3.4).
// spec: L-5
const MOST_DATAGRAM: usize = 1_200;
/// A slice takes at most this long at the present pace (DESIGN §3.4).
const SLICE_TIME: Span = Span::millis(10);
/// A job asks for about this much at the present pace, so that the newest pixels are read often.
const JOB_TIME: Span = Span::millis(20);
/// A job's bytes on the fastest link.
const MOST_JOB: u64 = 2 << 20;
/// The viewer's feedback is answered after this long when nothing else wants an answer: it tells the viewer its round
/// trip and that it was heard. The first ones are answered sooner, a give-up at once.
const ANSWER_FEEDBACK: Span = Span::secs(1);
const ANSWER_FIRST: Span = Span::millis(20);
const ANSWER_GAVE_UP: Span = Span::millis(2);
/// Feedback messages that count as the first ones.
const FIRST_REPORTS: u32 = 4;
/// What the viewer needs, besides a round trip, to decode and to say so, before it is asked what it holds.
const ASK_AFTER: Span = Span::millis(100);
/// It is asked less and less often, but this often at least, and no more often than that.
const ASK_AT_LEAST: Span = Span::secs(2);
const ASK_AT_MOST: Span = Span::millis(50);
/// A viewer that claims to hold a later epoch than this is not believed: the numbers would run out.
const LAST_EPOCH: u32 = u32::MAX / 2;

impl Surface {
    /// Whether the viewer's framebuffer is a state that can be coded against.
    // spec: H-15
    fn resumes_at(&self, held: HeldSurface) -> bool {
        held.epoch == self.ledger.epoch()
            && held.applied >= self.ledger.confirmed()
            && held.through <= self.ledger.highest()
            && self.ledger.leads_to_tip(held.applied)
    }
}

impl Host {
    /// A mind that has seen nothing and has no viewer.
    pub fn new(now: Stamp<HostClock>, options: HostOptions) -> Self {
        Self {
            options,
            now,
            out: VecDeque::new(),
            link: None,
            max_datagram: LEAST_DATAGRAM,
            surface: None,
            input: InputGate::adopting(),
            injected: None,
            focus: Point::default(),
            cursor: None,
            cursor_dirty: false,
            shapes_told: BTreeSet::new(),
            shape: None,
            clip: Clip::default(),
            next_job: 1,
            last_epoch: Epoch(0),
            filler: 0,
            attached_at: now,
            clock: ClockEstimate::new(),
            reports: 0,
            ask_now: false,
            asks: 0,
            cursor_serial: 0,
        }
    }

    /// A connection stands and its viewer is who it says. `held` is what a resuming viewer kept of the surfaces.
    // spec: H-15, H-16, A-39
    pub fn on_attached(&mut self, now: Stamp<HostClock>, max_datagram: usize, held: &[HeldSurface]) {
        self.advance(now);
        if let Some(old) = self.link.take() {
            self.clock = old.clock;
            self.forget_pastes();
        }
        let same = held.iter().find(|h| h.surface == SURFACE).copied();
        let resumes = same.filter(|h| self.surface.as_ref().is_some_and(|s| s.resumes_at(*h)));
        // Only a viewer that holds what was sent is surely the one whose clock is known.
        let clock = std::mem::take(&mut self.clock);
        let clock = if resumes.is_some() { clock } else { ClockEstimate::new() };
        self.link = Some(Link::renewed(now, self.options.policy, clock));
        self.attached_at = now;
        self.input.on_attached(now);
        (self.reports, self.asks, self.ask_now) = (0, 0, true);
        self.on_max_datagram(max_datagram);
        self.shapes_told.clear();
        self.cursor_dirty = self.cursor.is_some();
        // Epochs go on where an agent before this one stopped, else the viewer would take ours for old ones.
        match (resumes, &mut self.surface) {
            // What the viewer kept is a state to code against, like any other it gave up at.
            (Some(h), Some(surface)) => {
                surface.known = h.applied > UpdateId::BLANK;
                self.on_gave_up(h.applied, h.through);
            }
            _ => self.begin_epoch_after(same.map_or(Epoch(0), |h| h.epoch)),
        }
    }

    /// The connection is gone; the session waits for another one.
    pub fn on_link_lost(&mut self, now: Stamp<HostClock>) {
        self.advance(now);
        if let Some(old) = self.link.take() {
            self.clock = old.clock;
        }
        self.release_held();
        self.forget_pastes();
    }

    fn forget_pastes(&mut self) {
        let wishes = self.clip.on_link_lost();
        self.out.extend(wishes.into_iter().map(HostOutput::Clip));
    }

    /// The packets take another path (an address changed): delays are measured anew.
    pub fn on_path_changed(&mut self, now: Stamp<HostClock>) {
        self.advance(now);
        if let Some(link) = &mut self.link {
            link.rate.on_path_change(now);
            self.ask_now = true;
        }
    }

    /// Whether a viewer is connected.
    pub const fn is_attached(&self) -> bool {
        self.link.is_some()
    }

    /// The largest datagram the path takes now.
    pub fn on_max_datagram(&mut self, bytes: usize) {
        self.max_datagram = bytes.min(MOST_DATAGRAM);
    }

    /// A frame was captured.
    pub fn on_frame(&mut self, now: Stamp<HostClock>, facts: &FrameFacts) {
        self.advance(now);
        if facts.surface != SURFACE || !facts.size.is_valid() {
            return;
        }
        let version = Version(facts.id.0);
        // spec: H-1
        let resized = self.surface.as_ref().is_none_or(|s| s.size != facts.size);
        if resized {
            self.replace_surface(facts.size, version, facts.captured);
            return;
        }
        let Some(surface) = &mut self.surface else { return };
        surface.version = version;
        surface.captured = facts.captured;
        let everything: Region<Surf> = facts.size.rect().into();
        let changed = if facts.damage.trust == Trust::Unknown { &everything } else { &facts.damage.changed };
        if changed.is_empty() {
            return;
        }
        surface.ledger.touch(changed, version, now);
        surface.exact = false;
        surface.quiet = None;
        if let Some(link) = &mut self.link {
            // What the frame before wanted is not even sent.
            link.rate.on_limited(now, surface.outbox.fresh_bytes() > 0);
        }
        if self.options.film {
            surface.film.on_frame(&surface.ledger, changed.bounds(), now);
        }
    }

    /// A job was done.
    pub fn on_coded(&mut self, now: Stamp<HostClock>, mut done: EncodedSlices) {
        self.advance(now);
        let Some(surface) = &mut self.surface else { return };
        // A job that was overtaken by a give-up or a new epoch is void.
        let Some(job) = surface.job.take_if(|j| j.id == done.job) else { return };
        surface.quiet = None;
        if job.void {
            return;
        }
        let epoch = surface.ledger.epoch();
        let tip = surface.ledger.tip();
        if let Some(first) = done.slices.first_mut()
            && surface.announced == Some(tip)
            && first.base == UpdateId::BLANK
        {
            first.base = tip;
        } else if tip == UpdateId::BLANK && done.slices.is_empty() && done.left.is_empty() && !done.same.is_empty() {
            let id = surface.ledger.next_id();
            surface.announced = Some(id);
            done.slices.push(EncodedSlice { id, base: tip, tiles: Vec::new(), bytes: Vec::new() });
        }
        surface.ledger.on_coded(&done);
        // spec: H-5
        let ends_frame = done.left.is_empty();
        let whole = |s: &EncodedSlice| s.tiles.iter().any(|t| t.quality != Quality::NONE);
        let settled = ends_frame || !done.same.is_empty() || done.slices.iter().any(whole);
        surface.cramped = if settled { 0 } else { (surface.cramped + 1).min(10) };
        let count = done.slices.len();
        let coded: u64 = done.slices.iter().map(|s| s.bytes.len() as u64).sum();
        let limited = !ends_frame || coded.saturating_mul(10) >= job.room.saturating_mul(9);
        for (i, slice) in done.slices.into_iter().enumerate() {
            let last = ends_frame && i + 1 == count;
            let journey = last.then_some(HostJourney {
                input: job.injected,
                captured: job.captured,
                planned: job.planned,
                encoded: now,
                sent: now,
            });
            // spec: H-4
            let size = (!surface.known).then_some(surface.size);
            let body = SliceBody { size, journey, ops: slice.bytes };
            self.out.push_back(HostOutput::Note(Note::SliceSent {
                id: slice.id,
                base: slice.base,
                bytes: Bytes(body.ops.len() as u64),
            }));
            let whole = Whole {
                surface: SURFACE,
                epoch,
                id: slice.id,
                base: slice.base,
                has_size: size.is_some(),
                has_journey: last,
                last,
                coded: last.then_some(now),
                body: body.encode(),
            };
            surface.outbox.push(whole, job.shard);
        }
        if let Some(link) = &mut self.link {
            link.rate.on_limited(now, limited);
            link.rate.on_backlog(now, Bytes(surface.outbox.fresh_bytes() as u64));
        }
    }

    /// The coder no longer keeps the state a job was based on: everything is sent anew.
    // spec: H-14
    pub fn on_base_gone(&mut self, now: Stamp<HostClock>, job: JobId) {
        self.advance(now);
        let Some(surface) = &mut self.surface else { return };
        let Some(job) = surface.job.take_if(|j| j.id == job) else { return };
        surface.quiet = None;
        if !job.void {
            self.out.push_back(HostOutput::Note(Note::Refreshed));
            self.begin_epoch();
        }
    }

    /// The pointer moved or changed its shape on the host.
    pub fn on_cursor(&mut self, now: Stamp<HostClock>, state: CursorState) {
        self.advance(now);
        // Where this viewer itself put the pointer, it has drawn it already.
        let same_look = self.cursor.is_some_and(|c| CursorState { at: state.at, ..c } == state);
        let echo = same_look && (state.at.x, state.at.y) == (self.focus.x, self.focus.y);
        if self.cursor != Some(state) && !echo {
            self.cursor_dirty = true;
            self.cursor_serial = self.cursor_serial.wrapping_add(1);
        }
        self.cursor = Some(state);
    }

    /// A cursor image.
    pub fn on_cursor_shape(&mut self, now: Stamp<HostClock>, shape: CursorShape) {
        self.advance(now);
        self.cursor_dirty = true;
        self.shape = Some(fitting(shape));
    }

    /// The desktop's clipboard has (or no longer has) text.
    pub fn on_clip_changed(&mut self, now: Stamp<HostClock>, has_text: bool) {
        self.advance(now);
        let offer = self.clip.on_local_change(has_text);
        self.send_control(offer);
    }

    /// An application on the desktop pastes what the viewer offered.
    pub fn on_clip_wanted(&mut self, now: Stamp<HostClock>, asker: u32) {
        self.advance(now);
        match self.clip.on_wanted(asker) {
            Ok(request) if self.link.is_some() => self.send_control(request),
            Ok(_) => self.out.push_back(HostOutput::Clip(ClipWish::Paste { id: asker, text: None })),
            Err(wish) => self.out.push_back(HostOutput::Clip(wish)),
        }
    }

    /// The answer to [`ClipWish::Fetch`].
    pub fn on_clip_text(&mut self, now: Stamp<HostClock>, id: u32, text: Option<&str>) {
        self.advance(now);
        for chunk in self.clip.on_local_text(id, text) {
            self.send_control(chunk);
        }
    }

    /// A datagram came.
    pub fn on_datagram(&mut self, incoming: &Incoming<HostClock>) {
        // The stamp is the network thread's: the mind may have been told a later time meanwhile.
        self.now = self.now.max(incoming.arrived);
        if let Err(fault) = self.read_datagram(&incoming.bytes, incoming.arrived) {
            self.out.push_back(HostOutput::Note(Note::Rejected { fault: fault.name() }));
        }
    }

    /// A control message came, after authentication.
    pub fn on_control(&mut self, now: Stamp<HostClock>, message: Control) {
        self.advance(now);
        if let Some(link) = &mut self.link {
            link.on_heard(now);
        }
        let result = if message.from_viewer() { self.read_control(message) } else { Err(Fault::WrongDirection) };
        if let Err(fault) = result {
            self.out.push_back(HostOutput::Note(Note::Rejected { fault: fault.name() }));
        }
    }

    /// Time passed.
    pub fn on_time(&mut self, now: Stamp<HostClock>) {
        self.advance(now);
    }

    /// What is wanted next. Ends in [`HostOutput::Idle`].
    pub fn poll_output(&mut self) -> HostOutput {
        if let Some(out) = self.out.pop_front() {
            return out;
        }
        let mut alarm = Alarm::new();
        self.pump(&mut alarm);
        match self.out.pop_front() {
            Some(out) => out,
            None => {
                let (until, why) = alarm.earliest();
                HostOutput::Idle { until, why }
            }
        }
    }

    /// The controller's present view, for statistics.
    pub fn budget(&self) -> Option<telepane_model::Budget<HostClock>> {
        self.link.as_ref().map(|l| l.rate.budget(self.now))
    }

    /// The round trip's smoothed time, for statistics.
    pub fn rtt(&self) -> Option<Span> {
        self.link.as_ref().map(|l| l.rate.rtt().smoothed)
    }

    /// Whether the viewer has confirmed every tile exact.
    pub fn is_exact(&self) -> bool {
        self.surface.as_ref().is_some_and(|s| s.ledger.all_confirmed_exact())
    }

    /// Checks what always holds; for tests and the simulator.
    pub fn verify(&self) {
        if let Some(s) = &self.surface {
            s.ledger.verify();
        }
    }

    fn advance(&mut self, now: Stamp<HostClock>) {
        debug_assert!(now >= self.now, "time goes forwards");
        self.now = self.now.max(now);
    }

    fn send_control(&mut self, message: Control) {
        if self.link.is_some() {
            self.out.push_back(HostOutput::Control(message));
        }
    }

    // spec: H-1, O-3
    fn replace_surface(&mut self, size: Size<Surf>, version: Version, captured: Stamp<HostClock>) {
        self.last_epoch = Epoch(self.last_epoch.0.saturating_add(1));
        self.surface = Some(Surface {
            ledger: Ledger::new(self.last_epoch, size, version, self.now),
            film: Film::new(),
            outbox: Outbox::default(),
            size,
            version,
            captured,
            job: None,
            known: false,
            answered: None,
            exact: false,
            quiet: None,
            announced: None,
            cramped: 0,
        });
        self.out.push_back(HostOutput::Note(Note::EpochBegan { surface: SURFACE, epoch: self.last_epoch, size }));
    }

    /// Begins an epoch that a viewer which saw `seen` takes for a newer one.
    fn begin_epoch_after(&mut self, seen: Epoch) {
        if seen.0 <= LAST_EPOCH {
            self.last_epoch = self.last_epoch.max(seen);
        }
        self.begin_epoch();
    }

    fn begin_epoch(&mut self) {
        if let Some((size, version, captured)) = self.surface.as_ref().map(|s| (s.size, s.version, s.captured)) {
            self.replace_surface(size, version, captured);
        }
    }

    fn read_datagram(&mut self, bytes: &[u8], at: Stamp<HostClock>) -> Result<(), Fault> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let (low, datagram) = Datagram::decode(bytes)?;
        let is_feedback = matches!(datagram, Datagram::Feedback(_));
        let fresh = link.arrivals.on_datagram(low, at, !is_feedback, false).is_some();
        // Something passes again: what the viewer holds is asked for at once, not when the next repair is due.
        self.ask_now |= link.rate.state() == BudgetWhy::Silent;
        link.on_heard(at);
        if !fresh {
            return Ok(());
        }
        match datagram {
            Datagram::Feedback(f) => self.on_feedback(at, &f),
            Datagram::Input(batch) => self.on_input(at, &batch),
            Datagram::Padding(_) => Ok(()),
            Datagram::Shard(_) | Datagram::Cursor(_) => Err(Fault::WrongDirection),
        }
    }

    fn on_feedback(&mut self, at: Stamp<HostClock>, f: &Feedback) -> Result<(), Fault> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let settled = link.on_feedback(at, f)?;
        self.reports = self.reports.saturating_add(1);
        // spec: H-31
        let answer = match f.surfaces.iter().any(|r| r.gave_up.is_some()) {
            true => ANSWER_GAVE_UP,
            false if self.reports <= FIRST_REPORTS => ANSWER_FIRST,
            false => ANSWER_FEEDBACK,
        };
        link.arrivals.hurry(at + answer);
        if let Some(surface) = &mut self.surface {
            let epoch = surface.ledger.epoch();
            for carried in settled.arrived {
                if let Carried::Shard(e, r) = carried
                    && e == epoch
                {
                    surface.outbox.on_arrived(r);
                }
            }
        }
        self.repair(settled.lost);
        for report in f.surfaces.iter().filter(|r| r.surface == SURFACE) {
            self.on_report(*report)?;
        }
        Ok(())
    }

    // spec: H-9
    fn repair(&mut self, lost: Vec<Carried>) {
        for carried in lost {
            match carried {
                Carried::Shard(e, r) => {
                    let surface = self.surface.as_mut().filter(|s| s.ledger.epoch() == e);
                    if surface.is_some_and(|s| s.outbox.on_lost(r)) {
                        self.out.push_back(HostOutput::Note(Note::Resent { id: r.id, shards: 1 }));
                    }
                }
                // A place that was left meanwhile is not worth sending again.
                Carried::Cursor(serial) => self.cursor_dirty |= serial == self.cursor_serial,
                Carried::Other => {}
            }
        }
    }

    // spec: H-10, H-12, H-13
    fn on_report(&mut self, report: SurfaceReport) -> Result<(), Fault> {
        let Some(surface) = &mut self.surface else { return Ok(()) };
        let epoch = surface.ledger.epoch();
        if report.epoch > epoch {
            // Whatever led it there, only a later epoch leads it out again.
            self.begin_epoch_after(report.epoch);
            return Err(Fault::AppliedFromTheFuture);
        }
        if report.epoch == epoch && report.applied > surface.ledger.highest() {
            return Err(Fault::AppliedFromTheFuture);
        }
        if report.epoch < epoch {
            return Ok(());
        }
        if report.gave_up.is_some_and(|through| through >= surface.ledger.confirmed())
            && report.applied < surface.ledger.confirmed()
        {
            // It waits for a rebase on less than it confirmed before: one of the two was not true.
            self.begin_epoch();
            return Err(Fault::AppliedFromTheFuture);
        }
        // Before the first slice it has seen shards at most, and the size is in the slice.
        // spec: H-4
        surface.known |= report.applied > UpdateId::BLANK;
        // An answered give-up stays in the reports until the rebase is applied, and reports may overtake each other.
        if let Some(through) = report.gave_up
            && surface.answered.is_none_or(|answered| (report.applied, through) > answered)
            && report.applied >= surface.ledger.confirmed()
        {
            if through > surface.ledger.highest() {
                return Err(Fault::AppliedFromTheFuture);
            }
            self.on_gave_up(report.applied, through);
            return Ok(());
        }
        if report.applied > surface.ledger.confirmed() && report.applied <= surface.ledger.tip() {
            surface.ledger.confirm(report.applied);
            surface.outbox.confirm(report.applied);
            self.out.push_back(HostOutput::Confirmed { epoch, applied: report.applied });
        }
        if !surface.exact && surface.ledger.all_confirmed_exact() {
            surface.exact = true;
            self.out.push_back(HostOutput::Note(Note::Exact { surface: SURFACE }));
        }
        Ok(())
    }

    /// The viewer holds what `base` left and takes no slice up to `through`: the newest pixels are coded against that.
    // spec: H-3, H-11, H-14
    fn on_gave_up(&mut self, base: UpdateId, through: UpdateId) {
        let Some(surface) = &mut self.surface else { return };
        if !surface.ledger.leads_to_tip(base) {
            // A state of a chain that was left meanwhile: nobody can code against it.
            self.out.push_back(HostOutput::Note(Note::Refreshed));
            self.begin_epoch();
            return;
        }
        surface.quiet = None;
        surface.answered = Some((base, through));
        surface.ledger.confirm(base);
        surface.ledger.revert(base, through);
        surface.outbox.confirm(base);
        surface.outbox.discard_after(base);
        if let Some(job) = &mut surface.job {
            job.void = true;
        }
        surface.exact = false;
        let epoch = surface.ledger.epoch();
        self.out.push_back(HostOutput::Note(Note::GaveUp { at: base }));
        self.out.push_back(HostOutput::Confirmed { epoch, applied: base });
        self.out.push_back(HostOutput::Note(Note::Rebased { base }));
    }

    fn on_input(&mut self, at: Stamp<HostClock>, batch: &InputBatch) -> Result<(), Fault> {
        let Some(link) = &mut self.link else { return Ok(()) };
        link.rate.on_active(at);
        let sent = link.clock.whole(batch.sent);
        // Without a clock map (the first round trip) the age when sent is the best there is.
        let left = link.clock.to_own(sent, at).map_or(at, |t| t.min(at));
        self.input.doubt = link.clock.offset(at).map_or(at - self.attached_at, |(_, error)| error);
        let delivery = self.input.on_batch(at, batch, |age| left - age)?;
        // spec: H-26
        if !batch.events.is_empty() {
            link.arrivals.hurry(at + Span::millis(2));
        }
        if delivery.expired > 0 {
            self.out.push_back(HostOutput::Note(Note::InputExpired { count: delivery.expired }));
        }
        for (seq, age, event) in delivery.events {
            if let InputEvent::PointerTo(p) = &event {
                self.focus = Point::new(p.x, p.y);
            }
            if seq.0 != 0 {
                self.injected = Some((seq, at));
                self.out.push_back(HostOutput::Note(Note::Injected { seq, age }));
            }
            self.out.push_back(HostOutput::Inject { seq, event });
        }
        Ok(())
    }

    // spec: H-14, K-3, K-10, K-11
    fn read_control(&mut self, message: Control) -> Result<(), Fault> {
        match message {
            Control::Resize { size, scale } => self.out.push_back(HostOutput::Resize { size, scale }),
            Control::Refresh { surface, epoch } => {
                if surface != SURFACE {
                    return Err(Fault::UnknownSurface);
                }
                if self.surface.as_ref().is_some_and(|s| s.ledger.epoch() <= epoch) {
                    self.out.push_back(HostOutput::Note(Note::Refreshed));
                    self.begin_epoch_after(epoch);
                }
            }
            m @ (Control::ClipOffer { .. }
            | Control::ClipRequest { .. }
            | Control::ClipChunk { .. }
            | Control::ClipRefuse { .. }) => {
                let wish = self.clip.on_control(m)?;
                self.out.extend(wish.map(HostOutput::Clip));
            }
            Control::Bye { reason, .. } => self.out.push_back(HostOutput::Closed(reason)),
            _ => return Err(Fault::Unexpected),
        }
        Ok(())
    }

    /// Everything held is let go.
    // spec: H-23
    fn release_held(&mut self) {
        if self.input.holds_anything() {
            self.input.release_all();
            self.out.push_back(HostOutput::ReleaseAll);
        }
    }

    /// Does what is due now and sets alarms for the rest.
    fn pump(&mut self, alarm: &mut Alarm<HostClock>) {
        let now = self.now;
        let released = self.input.on_time(now);
        if !released.is_empty() {
            self.out.push_back(HostOutput::Note(Note::LeaseExpired));
            self.out.extend(released.into_iter().map(|event| HostOutput::Inject { seq: InputSeq(0), event }));
        }
        alarm.set_if(self.input.lease_ends(), Wake::Lease);
        let Some(link) = &mut self.link else { return };
        let lost = link.on_time(now);
        alarm.set_if(link.rate.next_wake(), Wake::Repair);
        self.repair(lost);
        self.send_feedback(alarm);
        self.send_cursor();
        self.send_shards(alarm);
        self.ask_viewer(alarm);
    }

    /// Asks the viewer what it holds (any datagram that wants an answer does), when something was left to say and
    /// nothing is on the way that would bring the answer.
    // spec: H-30
    fn ask_viewer(&mut self, alarm: &mut Alarm<HostClock>) {
        let now = self.now;
        let Some(link) = &mut self.link else { return };
        let unconfirmed = self.surface.as_ref().is_some_and(|s| s.ledger.tip() > s.ledger.confirmed());
        if !unconfirmed && link.rate.state() != BudgetWhy::Silent {
            self.asks = 0;
            if !self.ask_now {
                return;
            }
        }
        let asked = link.asked_at();
        if self.ask_now {
            self.ask_now = false;
            if asked.is_some_and(|at| now - at < ASK_AT_MOST) {
                return;
            }
        } else {
            let sends = self.surface.as_mut().is_some_and(|s| s.job.is_some() || !s.outbox.is_idle());
            if sends || link.rate.in_flight() > Bytes(0) {
                return;
            }
            let wait = link.patience(ASK_AFTER).scaled(1 << self.asks.min(5), 1).min(ASK_AT_LEAST);
            let due = asked.map_or(link.heard, |at| at.max(link.heard)) + wait;
            if due > now {
                alarm.set(due, Wake::Repair);
                return;
            }
            self.asks = self.asks.saturating_add(1);
        }
        let bytes = link.send(now, &Datagram::Padding(1), Carried::Other, SendClass::Unpaced, Bytes::default());
        alarm.set_if(link.rate.next_wake(), Wake::Repair);
        self.out.push_back(HostOutput::Datagram(bytes));
    }

    // spec: H-26
    fn send_feedback(&mut self, alarm: &mut Alarm<HostClock>) {
        let now = self.now;
        let Some(link) = &mut self.link else { return };
        match link.arrivals.due() {
            Some(at) if at <= now => {
                if let Some(mut f) = link.arrivals.report(now) {
                    f.input = Some(self.input.report());
                    let bytes =
                        link.send(now, &Datagram::Feedback(f), Carried::Other, SendClass::Unpaced, Bytes::default());
                    self.out.push_back(HostOutput::Datagram(bytes));
                }
            }
            at => alarm.set_if(at, Wake::Feedback),
        }
    }

    // spec: H-16, K-12
    fn send_cursor(&mut self) {
        if !self.cursor_dirty {
            return;
        }
        self.cursor_dirty = false;
        if let Some(shape) = self.shape.clone()
            && self.shapes_told.insert(shape.id)
        {
            self.send_control(Control::CursorShape(shape));
        }
        if let (Some(state), Some(link)) = (self.cursor, &mut self.link) {
            let carried = Carried::Cursor(self.cursor_serial);
            let bytes = link.send(self.now, &Datagram::Cursor(state), carried, SendClass::Unpaced, Bytes::default());
            self.out.push_back(HostOutput::Datagram(bytes));
        }
    }

    // spec: H-2, H-7, H-8, H-28
    fn send_shards(&mut self, alarm: &mut Alarm<HostClock>) {
        let now = self.now;
        let (Some(link), Some(surface)) = (&mut self.link, &mut self.surface) else { return };
        // Whether the person is at work, and filler therefore allowed, the controller knows itself.
        if link.pacer.probing().is_none()
            && let Some(probe) = link.rate.probe(now)
        {
            link.pacer.begin(now, probe);
            self.filler = probe.filler.0;
        }
        while let Some((r, len, _)) = surface.outbox.peek() {
            let at = link.next_send_at(now, len + Shard::HEADER);
            if at > now {
                alarm.set(at, Wake::Pacing);
                return;
            }
            let class = if link.pacer.probing().is_some() { SendClass::Probe } else { SendClass::Paced };
            let Some((_, shard)) = surface.outbox.take(now) else { break };
            let backlog = Bytes(surface.outbox.fresh_bytes() as u64);
            let carried = Carried::Shard(surface.ledger.epoch(), r);
            let bytes = link.send(now, &Datagram::Shard(shard), carried, class, backlog);
            self.out.push_back(HostOutput::Datagram(bytes));
        }
        if surface.job.is_some() {
            return;
        }
        if let Some(refine_at) = surface.quiet
            && refine_at.is_none_or(|at| at > now)
        {
            alarm.set_if(refine_at, Wake::Refine);
            self.send_filler(alarm);
            return;
        }
        let shard = self.max_datagram.max(LEAST_DATAGRAM / 2).saturating_sub(Shard::HEADER);
        let at = link.next_send_at(now, shard);
        if at > now {
            alarm.set(at, Wake::Pacing);
            return;
        }
        surface.film.on_time(now);
        let plan = plan(&surface.ledger, &surface.film, self.focus, now);
        if plan.items.is_empty() {
            surface.quiet = Some(plan.refine_at);
            alarm.set_if(plan.refine_at, Wake::Refine);
            self.send_filler(alarm);
            return;
        }
        let budget = link.rate.budget(now);
        let per_slice = budget.pace.bytes_in(SLICE_TIME).0 / shard as u64;
        let shards = per_slice.clamp(1, u64::from(telepane_protocol::MAX_DATA_SHARDS));
        let slice_bytes = shards * shard as u64 - SliceBody::OVERHEAD as u64;
        let room = match surface.film.region() {
            Some(_) => link.rate.frame_budget(now, 30).0,
            None => budget.pace.bytes_in(JOB_TIME).0,
        };
        let id = JobId(self.next_job);
        self.next_job += 1;
        let room = (room << surface.cramped).clamp(slice_bytes, MOST_JOB);
        surface.job = Some(Ordered {
            id,
            planned: now,
            captured: surface.captured,
            injected: self.injected,
            shard,
            room,
            void: false,
        });
        self.out.push_back(HostOutput::Encode(EncodeJob {
            id,
            surface: SURFACE,
            epoch: surface.ledger.epoch(),
            size: surface.size,
            base: Some(surface.ledger.tip()).filter(|tip| surface.announced != Some(*tip)).unwrap_or(UpdateId::BLANK),
            first: surface.ledger.next_id(),
            items: plan.items,
            max_bytes: Bytes(room),
            slice_bytes: Bytes(slice_bytes),
        }));
    }

    /// Completes a probe with padding when there is nothing better to send.
    fn send_filler(&mut self, alarm: &mut Alarm<HostClock>) {
        let now = self.now;
        let Some(link) = &mut self.link else { return };
        while link.pacer.probing().is_some() {
            if self.filler == 0 {
                link.pacer.end_probe();
                return;
            }
            let size = LEAST_DATAGRAM.min(self.filler as usize);
            let at = link.next_send_at(now, size);
            if at > now {
                alarm.set(at, Wake::Pacing);
                return;
            }
            self.filler -= size as u64;
            let padding = Datagram::Padding(size.saturating_sub(3));
            let bytes = link.send(now, &padding, Carried::Other, SendClass::Probe, Bytes::default());
            self.out.push_back(HostOutput::Datagram(bytes));
        }
    }

    /// The surface's present size, once a frame has come.
    pub fn size(&self) -> Option<Size<Surf>> {
        self.surface.as_ref().map(|s| s.size)
    }

    /// The present film region, for the overlay.
    pub fn film_region(&self) -> Option<Rect<Surf>> {
        self.surface.as_ref().and_then(|s| s.film.region())
    }

    /// Ends the session aloud.
    pub fn close(&mut self, now: Stamp<HostClock>, reason: Goodbye, text: &str) {
        self.advance(now);
        self.release_held();
        self.send_control(Control::Bye { reason, text: text.into() });
        self.out.push_back(HostOutput::Closed(reason));
    }
}
