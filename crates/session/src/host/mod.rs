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

mod bulk;
mod cadence;
mod clip;
mod coded;
mod desk;
mod input;
mod life;
mod outbox;
mod policy;
mod proof;
mod pump;
mod receive;
mod showing;
mod sound;

pub use input::{InputGate, LEASE, TOO_OLD};
pub(crate) use receive::{ANSWER_INPUT, ANSWER_LETTING_GO};
pub use showing::ShownFigures;

use crate::bulk::{Bulk, ChunkTag};
use crate::clip::Clip;
use crate::clock_map::ClockEstimate;
use crate::film::{Film, FilmPace};
use crate::ledger::Ledger;
use crate::link::Link;
use crate::output::{Alarm, HostOutput, Incoming};
use cadence::Cadence;
use outbox::{Outbox, ShardRef};
use policy::Agreed;
use std::collections::{BTreeSet, VecDeque};
use telepane_model::{
    BitRate, BudgetWhy, Bytes, CursorShape, CursorState, Epoch, FrameFacts, HostClock, InputSeq, JobId, Monitor, Note,
    Point, Rect, Region, SessionPolicy, Size, Span, Stamp, Surf, SurfaceId, Trust, UpdateId, Version, ViewerClock,
};
use telepane_protocol::control::Held as HeldSurface;
use telepane_protocol::{Capabilities, Capability, Control, Fault, Goodbye};
use telepane_rate::{Followed, Ladder, Policy};

/// What a person can set.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Limits of the rate.
    pub policy: Policy,
    /// What the host's owner allows.
    pub session: SessionPolicy,
    /// Whether motion may be coded as film. Off: everything is exact at once.
    pub film: bool,
    /// The most that sound may take.
    pub sound_limit: Option<BitRate>,
    /// The transport's own congestion control says how much may be sent ([`Host::on_window`]), for comparison only.
    pub follows_transport: bool,
}

/// See the module.
pub struct Host {
    options: HostOptions,
    agreed: Agreed,
    cadence: Cadence,
    /// How often a film's frames are sent, and in which size.
    ladder: Ladder<HostClock>,
    now: Stamp<HostClock>,
    out: VecDeque<HostOutput>,
    link: Option<Link<HostClock, ViewerClock, Carried>>,
    max_datagram: usize,
    /// The longest datagram the path takes, longer than any of ours.
    path_datagram: usize,
    surface: Option<Surface>,
    input: InputGate,
    injected: Option<(InputSeq, Stamp<HostClock>)>,
    /// The last presses, newest first, and when each was injected, for the journeys of what answers them.
    pressed: VecDeque<(InputSeq, Stamp<HostClock>)>,
    focus: Point<Surf>,
    /// The pointer was last moved by a distance: the viewer does not know where it is, and is told every place.
    relative: bool,
    /// A pen touched when it was heard of last.
    draws: bool,
    cursor: Option<CursorState>,
    cursor_dirty: bool,
    shapes_told: BTreeSet<u32>,
    shape: Option<CursorShape>,
    /// The desktop's monitors, once they are known.
    monitors: Vec<Monitor>,
    clip: Clip<HostClock>,
    bulk: Bulk<HostClock>,
    next_job: u64,
    last_epoch: Epoch,
    /// Bytes that may still be made up to complete a probe.
    filler: u64,
    /// Shards that are sent once more, and when, soonest first.
    again: VecDeque<Again>,
    /// In packets of this size.
    filler_packet: u64,
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
    peer: Peer,
    stages: Stages,
    /// When the budget was last noted, and what it was.
    told: Option<(Stamp<HostClock>, BudgetTold)>,
    sound: sound::Sound,
    life: life::Told,
    checks: proof::Checks,
    /// What its screen makes of a film.
    showing: showing::Showing,
}

/// What a note says of a budget; a note is made when it differs from the last.
type BudgetTold = (BitRate, BitRate, Span, BudgetWhy);

/// How long the parts of the way took that the host knows, since they were asked for last; for figures, never for
/// decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// From the capture to the plan, one for each frame that was coded to its end.
    pub wait: Vec<Span>,
    /// From the plan to coded.
    pub code: Vec<Span>,
    /// From coded to the first datagram sent.
    pub pace: Vec<Span>,
}

impl Stages {
    /// The most of each that is kept.
    const MOST: usize = 64;
}

/// What the viewer's capabilities leave of what the host may do.
#[derive(Clone, Copy, Debug)]
struct Peer {
    /// Bytes on the way: half of its receive buffer (DESIGN §3.1).
    in_flight: Bytes,
    /// Bytes of slices that may wait for their turn there.
    pending: u64,
    /// It shows 4:2:0 film.
    film: bool,
    /// And such that is coded smaller.
    film_scales: bool,
    /// It understands parity shards.
    fec: bool,
    /// It reads feedback in its closer form.
    closely: bool,
}

impl Peer {
    /// A viewer that said nothing yet, which nothing is sent to either.
    const UNKNOWN: Self = Self {
        in_flight: Bytes(u64::MAX),
        pending: 4 << 20,
        film: true,
        film_scales: false,
        fec: false,
        closely: false,
    };
}

/// The op kind of FILM, as capability 1 counts it (`protocol-spec/codec.md` C-7).
const FILM_OP: u64 = 1 << 5;

/// The one surface there is so far.
#[derive(Debug)]
struct Surface {
    ledger: Ledger,
    film: Film,
    outbox: Outbox,
    size: Size<Surf>,
    version: Version,
    captured: Stamp<HostClock>,
    /// The last versions and when each was captured, oldest first: what is coded for another viewer too may be an older one.
    captures: VecDeque<(Version, Stamp<HostClock>)>,
    /// The newest press that the newest capture can show.
    answers: Option<(InputSeq, Stamp<HostClock>)>,
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
    /// How long the last job took to its first slice, at most a slice's time: the next one is ordered so long before the path runs dry.
    lead: Span,
    /// Film's own pace.
    pace: FilmPace,
    /// Of the film frame of which not everything is in slices: when it was captured and planned, and what it answers.
    begun: Option<Begun>,
}

/// Where a frame's journey begins.
type Begun = (Stamp<HostClock>, Stamp<HostClock>, Option<(InputSeq, Stamp<HostClock>)>);

/// What a job that is still being coded came to so far.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    /// Bytes of its slices.
    bytes: u64,
    /// They show some tile whole.
    settle: bool,
}

/// A job that is out.
#[derive(Clone, Copy, Debug)]
struct Ordered {
    id: JobId,
    planned: Stamp<HostClock>,
    captured: Stamp<HostClock>,
    injected: Option<(InputSeq, Stamp<HostClock>)>,
    answers: Option<(InputSeq, Stamp<HostClock>)>,
    shard: usize,
    /// Packets of a full slice, without parity and that.
    group: (u8, u8),
    /// Bytes it may take.
    room: u64,
    /// The film region that it wants a frame of, and what that may take.
    film: Option<(Rect<Surf>, u64)>,
    /// What came of it so far.
    parts: Parts,
    /// It was overtaken by a give-up: its slices are thrown away. Nothing is ordered until it is back, because the coder
    /// is with it.
    void: bool,
}

/// A shard that is sent once more at this time.
#[derive(Clone, Copy, Debug)]
struct Again {
    at: Stamp<HostClock>,
    epoch: Epoch,
    shard: ShardRef,
    /// Only if nothing was coded since.
    alone: bool,
}

/// What a datagram of the host's carried.
#[derive(Clone, Copy, Debug)]
enum Carried {
    Shard(Epoch, ShardRef),
    /// The pointer's place, with the number of its change.
    Cursor(u32),
    /// The frame of sound with this number.
    Sound(u32),
    Chunk(ChunkTag),
    Other,
}

// spec: O-2
const SURFACE: SurfaceId = SurfaceId(0);
/// What every path carries (RFC 9000 §14), less QUIC's own overhead.
const LEAST_DATAGRAM: usize = 1_100;
/// Datagrams are no larger than this even where the path allows it: what is lost with one stays small (DESIGN §3.4), and
/// a shard that was cut before QUIC fell back to packets of 1,200 bytes still passes.
// spec: L-5
const MOST_DATAGRAM: usize = 1_150;
/// Captures kept: more than a viewer in step with others can be behind them.
const CAPTURES: usize = 16;
/// What was captured so soon after input, and is no larger, answers it.
const ECHO: Span = Span::millis(200);
/// What was captured later than this after a press is not told to answer it: an application that is slower still cannot be
/// told from one that does something of its own.
// spec: D-15
const ANSWERS: Span = Span::secs(1);
/// Presses that may be waiting for a capture: more than a hand makes in the 50 ms that reading a screen may take.
const PRESSES: usize = 16;
/// A viewer that claims to hold a later epoch than this is not believed: the numbers would run out.
const LAST_EPOCH: u32 = u32::MAX / 2;
/// Bytes of slices that are kept for a viewer until it confirms them, whatever it says it takes: what ours holds.
const MOST_PENDING: u64 = 4 << 20;

impl Surface {
    /// What the coder has coded when it has done all that the ledger knows of.
    fn coded(&self) -> UpdateId {
        Some(self.ledger.tip()).filter(|tip| self.announced != Some(*tip)).unwrap_or(UpdateId::BLANK)
    }

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
        let agreed = Agreed::new(options.session);
        let mut cadence = Cadence::default();
        cadence.set(agreed.both().max_fps());
        let ladder = Ladder::new(policy::ladder_policy(agreed.both(), false));
        Self {
            options,
            agreed,
            cadence,
            ladder,
            now,
            out: VecDeque::new(),
            link: None,
            max_datagram: LEAST_DATAGRAM,
            path_datagram: LEAST_DATAGRAM,
            surface: None,
            input: InputGate::adopting(),
            injected: None,
            pressed: VecDeque::new(),
            focus: Point::default(),
            relative: false,
            draws: false,
            cursor: None,
            cursor_dirty: false,
            shapes_told: BTreeSet::new(),
            shape: None,
            monitors: Vec::new(),
            clip: Clip::default(),
            bulk: Bulk::default(),
            next_job: 1,
            last_epoch: Epoch(0),
            filler: 0,
            again: VecDeque::new(),
            filler_packet: 0,
            attached_at: now,
            clock: ClockEstimate::new(),
            reports: 0,
            ask_now: false,
            asks: 0,
            cursor_serial: 0,
            peer: Peer::UNKNOWN,
            stages: Stages::default(),
            told: None,
            sound: sound::Sound::default(),
            life: life::Told::default(),
            checks: proof::Checks::default(),
            showing: showing::Showing::default(),
        }
    }

    /// What the viewer of the next connection said it can do; before [`Host::on_attached`].
    // spec: V-5
    pub fn on_capabilities(&mut self, capabilities: &Capabilities) {
        let value = |c| capabilities.value(c);
        self.peer = Peer {
            in_flight: Bytes(value(Capability::ReceiveBuffer) / 2),
            // What may wait there is also kept here, until it is confirmed.
            // spec: T-2
            pending: value(Capability::PendingBytes).min(MOST_PENDING),
            film: value(Capability::Chroma) & 1 != 0 && value(Capability::Ops) & FILM_OP != 0,
            // spec: V-5
            film_scales: value(Capability::Film) & 1 != 0,
            // spec: D-13
            fec: value(Capability::Fec) & 1 != 0,
            // spec: D-37
            closely: value(Capability::Reports) & 2 != 0,
        };
        self.clip.on_capabilities(capabilities);
        // spec: S-5
        self.sound.understood = value(Capability::Sound) & 1 != 0;
        self.life.understood = value(Capability::Life) & 1 != 0;
        if !self.films()
            && let Some(surface) = &mut self.surface
        {
            surface.film = Film::new();
        }
    }

    const fn films(&self) -> bool {
        self.options.film && self.peer.film
    }

    /// A connection stands and its viewer is who it says. `held` is what a resuming viewer kept of the surfaces.
    // spec: H-15, H-16, A-39
    pub fn on_attached(&mut self, now: Stamp<HostClock>, max_datagram: usize, held: &[HeldSurface]) {
        self.advance(now);
        if let Some(old) = self.link.take() {
            self.clock = old.clock;
            self.forget_pastes();
        }
        self.bulk.on_link_lost();
        self.clip.on_attached();
        let same = held.iter().find(|h| h.surface == SURFACE).copied();
        let resumes = same.filter(|h| self.surface.as_ref().is_some_and(|s| s.resumes_at(*h)));
        // Only a viewer that holds what was sent is surely the one whose clock is known.
        let clock = std::mem::take(&mut self.clock);
        let clock = if resumes.is_some() { clock } else { ClockEstimate::new() };
        let mut link = Link::renewed(now, self.rate_policy(), clock);
        link.closely = self.peer.closely;
        self.link = Some(link);
        self.ladder = Ladder::new(self.ladder_policy());
        self.forget_wish();
        self.showing = showing::Showing::default();
        self.cadence.suppress(false);
        self.attached_at = now;
        self.input.on_attached(now);
        (self.reports, self.asks, self.ask_now) = (0, 0, true);
        self.on_max_datagram(max_datagram);
        self.shapes_told.clear();
        self.cursor_dirty = self.cursor.is_some();
        self.tell_monitors();
        self.begin_sound();
        self.begin_life();
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

    /// Whether the viewer is there and somebody may see its screen: where nobody does, the shell need not look at the desktop either.
    pub const fn is_seen(&self) -> bool {
        self.link.is_some() && self.cadence.is_seen()
    }

    /// The connection is gone; the session waits for another one.
    pub fn on_link_lost(&mut self, now: Stamp<HostClock>) {
        self.advance(now);
        if let Some(old) = self.link.take() {
            self.clock = old.clock;
        }
        self.cadence.suppress(false);
        self.release_held();
        self.forget_pastes();
        self.set_sound();
        self.bulk.on_link_lost();
    }

    fn forget_pastes(&mut self) {
        self.clip.on_link_lost();
        while let Some(wish) = self.clip.wish() {
            self.out.push_back(HostOutput::Clip(wish));
        }
    }

    /// The path marks packets of ours as having met congestion, instead of dropping them (ECN).
    // spec: T-6
    pub fn on_marked(&mut self, now: Stamp<HostClock>) {
        self.advance(now);
        if let Some(link) = &mut self.link {
            link.rate.on_marked(now);
        }
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
        (self.max_datagram, self.path_datagram) = (bytes.min(MOST_DATAGRAM), bytes);
    }

    /// A frame was captured.
    pub fn on_frame(&mut self, now: Stamp<HostClock>, facts: &FrameFacts) {
        self.advance(now);
        if facts.surface != SURFACE || !facts.size.is_valid() {
            return;
        }
        // spec: H-1
        let resized = self.surface.as_ref().is_none_or(|s| s.size != facts.size);
        if resized {
            self.cadence.forget();
            self.replace_surface(facts.size, Version(facts.id.0), facts.captured);
            return;
        }
        if let Some(facts) = self.cadence.on_frame(now, facts) {
            self.take_frame(&facts);
        }
    }

    /// A frame's changes are wanted at the viewer.
    fn take_frame(&mut self, facts: &FrameFacts) {
        let (now, version) = (self.now, Version(facts.id.0));
        let films = self.films();
        let Some(surface) = &mut self.surface else { return };
        surface.version = version;
        surface.captured = facts.captured;
        if surface.captures.len() == CAPTURES {
            surface.captures.pop_front();
        }
        surface.captures.push_back((version, facts.captured));
        // spec: D-15
        let shown = |(_, at): &&(InputSeq, Stamp<HostClock>)| *at <= facts.captured;
        surface.answers = self.pressed.iter().find(shown).copied();
        surface.answers.take_if(|(_, at)| facts.captured.since(*at) > ANSWERS);
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
        if films {
            surface.film.on_frame(&surface.ledger, changed.bounds(), now);
            if surface.film.region().is_some_and(|film| !film.intersect(changed.bounds()).is_empty()) {
                self.ladder.on_change(now);
            }
        }
    }

    /// A sentence for the person at the viewer.
    // spec: K-14
    pub fn say(&mut self, now: Stamp<HostClock>, text: &str) {
        self.advance(now);
        self.send_control(Control::Notice(text.into()));
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

    /// The variation of the round trip, for statistics.
    pub fn rtt_variation(&self) -> Option<Span> {
        self.link.as_ref().map(|l| l.rate.rtt().variation)
    }

    /// How many datagrams of the viewer's should have come on this connection by now, and how many did.
    pub fn uplink(&self) -> (u64, u64) {
        self.link.as_ref().map_or((0, 0), |l| l.arrivals.counts())
    }

    /// How long the parts of the way took since this was asked last.
    pub fn take_stages(&mut self) -> Stages {
        std::mem::take(&mut self.stages)
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

    /// The transport's own congestion control allows this; with [`HostOptions::follows_transport`].
    pub fn on_window(&mut self, followed: Followed) {
        if let Some(link) = self.link.as_mut().filter(|_| self.options.follows_transport) {
            link.rate.follow(followed);
        }
    }

    /// Whether [`Host::on_window`] is to be told.
    pub const fn follows_transport(&self) -> bool {
        self.options.follows_transport
    }

    /// Bytes of slices that are kept for the viewer until it confirms them.
    pub fn kept_bytes(&self) -> u64 {
        self.surface.as_ref().map_or(0, |s| s.outbox.waiting_bytes())
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
            captures: VecDeque::from([(version, captured)]),
            answers: None,
            job: None,
            known: false,
            answered: None,
            exact: false,
            quiet: None,
            announced: None,
            cramped: 0,
            lead: Span::ZERO,
            pace: FilmPace::default(),
            begun: None,
        });
        if let Some(surface) = &mut self.surface {
            surface.ledger.expect_pictures(self.cadence.every());
        }
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

    /// Everything held is let go.
    // spec: H-23
    fn release_held(&mut self) {
        if self.input.holds_anything() {
            self.input.release_all();
            self.draws = false;
            self.out.push_back(HostOutput::ReleaseAll);
        }
    }

    /// The surface's present size, once a frame has come.
    pub fn size(&self) -> Option<Size<Surf>> {
        self.surface.as_ref().map(|s| s.size)
    }

    /// What of a film the viewer's screen shows.
    pub fn shown_figures(&self) -> ShownFigures {
        self.showing.figures()
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
