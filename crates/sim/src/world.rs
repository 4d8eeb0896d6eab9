//! The world: a host, a viewer and a path each way, stepped from deadline to deadline.
//!
//! The host has two cores: one codes its jobs one after the other, the other codes film. What else a desktop's machine
//! does (the applications, the X server, reading the screen, sending) takes no time here but what the cost table says.

mod clip;
mod coding;
mod handles;
mod life;
mod proof;
mod showing;
mod ways;

use crate::cost::CostTable;
use crate::link::{LinkModel, Path};
use crate::oracle::Oracle;
use crate::quic::{PING_AFTER, Quic};
use crate::screen::Screen;
use crate::sound::Sounds;
use crate::streams::Streams;
use clip::Board;
pub use proof::ProofTally;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use telepane_codec::film::FilmTask;
use telepane_codec::{Decoder, Encoder};
use telepane_model::monitor::surface_of;
use telepane_model::{
    EncodeJob, EncodedSlices, Epoch, FrameFacts, HostClock, InputEvent, JobId, Journey, Pixels, Rect, Region, Span,
    Stamp, Surf, UpdateId, Version, ViewerClock,
};
use telepane_protocol::control::{Held, MAX_OFFER};
use telepane_protocol::{Capabilities, Capability, Control};
use telepane_rate::Policy;
use telepane_session::life::{Life, LifeEvent};
use telepane_session::{DecodeJob, Host, HostOptions, HostOutput, Incoming, Viewer, ViewerOutput};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Host to viewer.
    Down,
    /// Viewer to host.
    Up,
}

/// What a world is made of.
pub struct WorldOptions {
    /// Seeds the links.
    pub seed: u64,
    /// Host to viewer.
    pub down: LinkModel,
    /// Viewer to host.
    pub up: LinkModel,
    /// What stands on the host's desk.
    pub screen: Box<dyn Screen>,
    /// What work costs.
    pub cost: CostTable,
    /// The host's limits.
    pub host: HostOptions,
    /// How much faster the viewer's clock runs, in millionths.
    pub drift_ppm: i64,
    /// Keep the journal. Hours of it do not fit into memory.
    pub journal: bool,
    /// The oracle and the minds' own checks watch every step. They hash every picture.
    pub judged: bool,
    /// Every so many frames the viewer's picture is compared with the frame it shows ([`World::samples`]).
    pub sample_every: Option<u64>,
}

impl WorldOptions {
    /// The same link both ways, reference costs, film on, everything watched.
    pub fn new(seed: u64, link: LinkModel, screen: Box<dyn Screen>) -> Self {
        let host = HostOptions { film: true, ..HostOptions::default() };
        Self {
            seed,
            down: link,
            up: link,
            screen,
            cost: CostTable::REFERENCE,
            host,
            drift_ppm: 20,
            journal: true,
            judged: true,
            sample_every: None,
        }
    }
}

/// Bulk of one direction: pipes filled with bytes that say where they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    /// By pipe: bytes to give in all, and bytes given.
    pub give: BTreeMap<u32, (u64, u64)>,
    /// By pipe: bytes that came in order.
    pub came: BTreeMap<u32, u64>,
    /// Pipes whose end came, and when.
    pub done: BTreeMap<u32, u64>,
}

/// How far a shown picture is from the frame it shows, in the part of it that the frame changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was shown, in microseconds.
    pub at: u64,
    /// The sum of the squared differences of luma (BT.709, in 256 steps).
    pub squared: u64,
    /// Of so many pixels.
    pub pixels: u64,
}

/// A frame of film under way.
struct Filming {
    /// When it is coded.
    at: u64,
    epoch: Epoch,
    task: FilmTask,
}

/// See the module.
pub struct World {
    now: u64,
    down: Path,
    up: Path,
    controls: BTreeMap<(u64, u64), (Direction, Control)>,
    control_count: u64,
    control_free: [u64; 2],
    host: Host,
    viewer: Viewer,
    screen: Box<dyn Screen>,
    cost: CostTable,
    drift_ppm: i64,
    encoder: Option<(Epoch, Encoder)>,
    /// A frame that is being read from the screen.
    looking: Option<(u64, FrameFacts, Arc<Pixels>)>,
    /// The pixels of the newest frame that was read.
    seen: Arc<Pixels>,
    to_code: VecDeque<EncodeJob>,
    /// What comes of the job under way, at its end.
    coding: Option<(u64, Result<EncodedSlices, JobId>)>,
    /// Slices of that job that can leave before it is done, and when.
    parts: VecDeque<(u64, EncodedSlices)>,
    /// The frame of film that is being coded: when it is begun and when it is coded.
    filming: Option<Filming>,
    /// Who waits for it.
    film_jobs: Vec<JobId>,
    /// Pixels in which the last frame of film is coded.
    filmed_pixels: u64,
    /// Slices of film that were coded and not decoded yet, and how many pixels their frames are coded in.
    films: BTreeMap<(Epoch, UpdateId), u64>,
    decoder: Option<(Epoch, Decoder)>,
    /// What the viewer said its slots hold, until there is an encoder.
    offers: Vec<(u32, Vec<u128>)>,
    /// The viewer could not decode: nothing is known of its slots.
    spoilt: bool,
    /// What was applied, to be told at the end of its time, and what it changed.
    decoding: Option<(u64, DecodeJob, Option<Region<Surf>>)>,
    kept: BTreeMap<u64, (Arc<Pixels>, Rect<Surf>)>,
    journal_on: bool,
    judged: bool,
    sample_every: Option<u64>,
    quic: [Quic; 2],
    /// The bulk lane: down, up.
    streams: [Streams; 2],
    /// What of bulk each side still has to give and what came: down, up.
    pub bulk: [Loads; 2],
    /// The clipboards: the host's, the viewer's.
    boards: [Board; 2],
    /// When a packet last left either side.
    last_packet: u64,
    /// What is painted now, and until when.
    presenting: Option<(u64, (Epoch, UpdateId, Journey))>,
    /// The newest wish that came meanwhile.
    present_next: Option<(Epoch, UpdateId, Journey)>,
    host_wake: Option<u64>,
    viewer_wake: Option<u64>,
    attach_at: Option<u64>,
    /// Nothing has kept the handshake under way from passing.
    attach_passes: bool,
    asleep: bool,
    /// Since when nothing can have kept the connection alive.
    cut_since: Option<u64>,
    /// The connection has timed out, or its host is gone.
    dead: bool,
    host_options: HostOptions,
    /// The capture that the screen's pixels are.
    newest: Version,
    keys: BTreeMap<(u64, u64), InputEvent>,
    key_count: u64,
    journal: String,
    /// Judges what is seen.
    pub oracle: Oracle,
    /// From capture to the viewer's screen, of every shown frame that carries a journey, in true time.
    pub ages: Vec<Span>,
    /// When each of these was shown.
    pub aged_at: Vec<u64>,
    /// From press to the first picture that can show it, in true time.
    pub key_times: Vec<Span>,
    /// Shown pictures beside the frames they show, when asked for.
    pub samples: Vec<Sample>,
    /// Slices' bytes as coded.
    pub coded_bytes: u64,
    /// Rebases the host made.
    pub rebases: u32,
    /// How often each side was woken by its own alarm: host, viewer.
    pub wakes: [u64; 2],
    /// Why, by the name of the reason.
    pub wake_reasons: BTreeMap<String, u64>,
    /// When the viewer said it is silent, and when it said the host is back.
    pub silences: Vec<(u64, Option<u64>)>,
    /// When connections were made anew.
    pub attached: Vec<u64>,
    /// Every present: when.
    pub presents: Vec<u64>,
    /// Key and button releases the host made itself, because a lease ended or the link was lost.
    pub lease_ends: Vec<u64>,
    /// What was handed to the desktop, and when.
    pub injected: Vec<(u64, InputEvent)>,
    /// Before which of these everything was let go at once.
    released: Vec<usize>,
    /// Whether a frame of film was ever begun.
    pub film_seen: bool,
    why: [telepane_session::Wake; 2],
    /// What is played and heard.
    pub sound: Sounds,
    /// What viewers' tiles were said to show.
    pub proofs: ProofTally,
    /// Faults either side noted.
    pub faults: Vec<&'static str>,
    /// When the viewer last held exactly the host's newest pixels.
    pub exact_at: Option<u64>,
    /// Whether the viewer's picture is dimmed.
    pub dimmed: bool,
    /// What lets the session rest and end, where a scenario wants that.
    life: Option<Life>,
    life_wake: Option<u64>,
    /// What is told of the session.
    pub life_events: Vec<LifeEvent>,
    /// When the desktop was locked, in microseconds.
    pub locks: Vec<u64>,
    /// What the viewer was told that impends, and when: whether something does.
    pub warnings: Vec<(u64, bool)>,
    /// When the viewer was told that its session is over, and why.
    pub over: Option<(u64, telepane_protocol::Goodbye)>,
    /// Whether the viewer's machine is to stay awake.
    pub kept_awake: bool,
    /// Whether the viewer was told that the host is not there.
    pub host_state: telepane_protocol::HostState,
}

/// The host's clock starts here, the viewer's there: far apart, so that only the clock map can relate them.
pub const HOST_EPOCH: u64 = 7_000_000_000;
const VIEWER_EPOCH: u64 = 90_000_000_000;
/// QUIC gives a connection up after this much silence (DESIGN §3.1), in microseconds.
const IDLE_TIMEOUT: u64 = 120_000_000;
/// Frames kept to be compared with what is shown of them.
const MOST_KEPT: usize = 8;
/// The session's number, as an agent gives it.
const SESSION: u64 = 1;
/// A step that does not advance time this often is a loop in a mind.
const MOST_TURNS: u32 = 100_000;

impl World {
    /// A world in which host and viewer are connected from the start.
    pub fn new(options: WorldOptions) -> Self {
        let mut world = Self {
            now: 0,
            down: Path::new(options.down, options.seed),
            up: Path::new(options.up, options.seed ^ 0x5bd1),
            controls: BTreeMap::new(),
            control_count: 0,
            control_free: [0; 2],
            host: Host::new(Stamp::from_micros(HOST_EPOCH), options.host.clone()),
            viewer: Viewer::new(Stamp::from_micros(VIEWER_EPOCH), Policy::default()),
            screen: options.screen,
            cost: options.cost,
            drift_ppm: options.drift_ppm,
            encoder: None,
            looking: None,
            seen: Arc::default(),
            to_code: VecDeque::new(),
            coding: None,
            parts: VecDeque::new(),
            filming: None,
            film_jobs: Vec::new(),
            films: BTreeMap::new(),
            filmed_pixels: 0,
            kept: BTreeMap::new(),
            journal_on: options.journal,
            judged: options.judged,
            sample_every: options.sample_every,
            quic: [Quic::default(); 2],
            streams: Default::default(),
            bulk: Default::default(),
            boards: Default::default(),
            last_packet: 0,
            samples: Vec::new(),
            decoder: None,
            offers: Vec::new(),
            spoilt: false,
            decoding: None,
            presenting: None,
            present_next: None,
            host_wake: Some(0),
            viewer_wake: Some(0),
            attach_at: None,
            attach_passes: false,
            asleep: false,
            cut_since: None,
            dead: false,
            host_options: options.host,
            newest: Version(0),
            keys: BTreeMap::new(),
            key_count: 0,
            journal: String::new(),
            oracle: Oracle::default(),
            ages: Vec::new(),
            aged_at: Vec::new(),
            key_times: Vec::new(),
            coded_bytes: 0,
            rebases: 0,
            wakes: [0; 2],
            wake_reasons: BTreeMap::new(),
            silences: Vec::new(),
            attached: Vec::new(),
            presents: Vec::new(),
            lease_ends: Vec::new(),
            injected: Vec::new(),
            released: Vec::new(),
            film_seen: false,
            why: [telepane_session::Wake::Nothing; 2],
            sound: Sounds::default(),
            proofs: ProofTally::default(),
            faults: Vec::new(),
            exact_at: None,
            dimmed: false,
            life: None,
            life_wake: None,
            life_events: Vec::new(),
            locks: Vec::new(),
            warnings: Vec::new(),
            over: None,
            kept_awake: false,
            host_state: Default::default(),
        };
        world.attach(&[]);
        world
    }

    fn host_now(&self) -> Stamp<HostClock> {
        Stamp::from_micros(HOST_EPOCH + self.now)
    }

    fn viewer_now(&self) -> Stamp<ViewerClock> {
        let drift = self.now as i128 * i128::from(self.drift_ppm) / 1_000_000;
        Stamp::from_micros((i128::from(VIEWER_EPOCH + self.now) + drift) as u64)
    }

    /// The world's time at which the viewer's clock shows `at`, rounded up.
    fn viewer_time(&self, at: Stamp<ViewerClock>) -> u64 {
        let shown = i128::from(at.as_micros()) - i128::from(VIEWER_EPOCH);
        let true_time = shown * 1_000_000 / (1_000_000 + i128::from(self.drift_ppm));
        (true_time + 1).max(i128::from(self.now)) as u64
    }

    fn note(&mut self, side: &str, what: std::fmt::Arguments<'_>) {
        if !self.journal_on {
            return;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(self.journal, "{:>12} {side:<6} {what}", self.now);
    }

    fn attach(&mut self, held: &[Held]) {
        self.dead = false;
        self.streams.iter_mut().for_each(Streams::cut);
        self.mark_cut();
        self.controls.clear();
        self.control_free = [0; 2];
        // What our own client says, as far as it bears on the minds.
        let viewer = Capabilities::default()
            .with(Capability::Clipboard, telepane_protocol::clip::taken(false))
            .with(Capability::Fec, 1)
            .with(Capability::Reports, 2)
            .with(Capability::Sound, 1)
            .with(Capability::TextModels, 1)
            .with(Capability::Film, 1)
            .with(Capability::Life, 1)
            .with(Capability::ReceiveBuffer, 4 << 20);
        self.host.on_capabilities(&viewer);
        self.viewer.on_capabilities(&Self::host_capabilities());
        self.host.on_attached(self.host_now(), 1_200, held);
        self.viewer.on_attached(self.viewer_now(), self.host_now());
        self.life_came();
        self.host_wake = Some(self.now);
        self.viewer_wake = Some(self.now);
    }

    /// A viewer that meets an agent which knows nothing of it says what its slots hold.
    fn offer(&mut self) {
        if self.encoder.is_some() {
            return;
        }
        let Some((_, decoder)) = &self.decoder else { return };
        for (n, hashes) in decoder.cache().hashes().chunks(MAX_OFFER).enumerate() {
            let offer = Control::CacheOffer { first: (n * MAX_OFFER) as u32, hashes: hashes.to_vec() };
            self.send_control(Direction::Up, offer);
        }
    }

    fn next_at(&self) -> Option<u64> {
        // While a frame is being read the screen is not looked at.
        let screen = match &self.looking {
            Some((at, ..)) => Some(*at),
            None => self.screen.next_at().map(|t| t.as_micros().saturating_sub(HOST_EPOCH)),
        };
        let viewer = if self.asleep {
            [None; 4]
        } else {
            [
                self.viewer_wake,
                self.decoding.as_ref().map(|(at, ..)| *at),
                self.presenting.as_ref().map(|(at, _)| *at),
                self.keys.first_key_value().map(|((at, _), _)| *at),
            ]
        };
        let host = [
            self.host_wake,
            self.up.next_at(),
            self.down.next_at(),
            self.streams[0].next_at(),
            self.streams[1].next_at(),
            self.cut_since.filter(|_| !self.dead).map(|at| at + IDLE_TIMEOUT),
            screen,
            self.coding.as_ref().map(|(at, _)| *at),
            self.parts.front().map(|(at, _)| *at),
            self.filming.as_ref().map(|f| f.at),
            self.controls.first_key_value().map(|((at, _), _)| *at),
            self.attach_at,
            self.sound.next_at(),
            self.life_wake,
        ];
        host.into_iter().chain(viewer).flatten().min()
    }

    fn step(&mut self) {
        if !self.dead && self.cut_since.is_some_and(|at| at + IDLE_TIMEOUT <= self.now) {
            self.note("world", format_args!("the connection timed out"));
            self.dead = true;
            self.host.on_link_lost(self.host_now());
            self.life_lost();
            if !self.asleep {
                self.viewer.on_link_lost(self.viewer_now());
            }
        }
        if self.attach_at.is_some_and(|at| at <= self.now) {
            self.attach_at = None;
            if self.attach_passes {
                self.attached.push(self.now);
                self.note("world", format_args!("attached anew"));
                let held = self.viewer.held();
                self.down.cut();
                self.up.cut();
                self.attach(&held);
                self.offer();
            } else {
                self.viewer.on_reconnect_failed(self.viewer_now());
                self.viewer_wake = Some(self.now);
            }
        }
        self.deliver_controls();
        self.send_again();
        self.step_host();
        self.step_life();
        if self.asleep {
            // Nobody is there to receive.
            while self.down.pop(self.now).is_some() {}
        } else {
            self.step_viewer();
        }
    }

    fn step_host(&mut self) {
        let now = self.host_now();
        if self.host_wake.take_if(|at| *at <= self.now).is_some() {
            self.wakes[0] += 1;
            *self.wake_reasons.entry(format!("host {:?}", self.why[0])).or_default() += 1;
        }
        while let Some(bytes) = self.up.pop(self.now) {
            if self.dead {
                continue;
            }
            if let Some(whole) = self.streams[1].arrive(&bytes) {
                if let Some(bytes) = whole {
                    self.host.on_chunk(&Incoming { bytes, arrived: now });
                }
                continue;
            }
            self.quic[0].on_arrival(self.now, self.ack_delay());
            self.host.on_datagram(&Incoming { bytes, arrived: now });
        }
        while let Some((_, part)) = self.parts.pop_front_if(|(at, _)| *at <= self.now) {
            self.host.on_coded(now, part);
        }
        if let Some((_, done)) = self.coding.take_if(|(at, _)| *at <= self.now) {
            match done {
                Ok(done) => self.host.on_coded(now, done),
                Err(job) => self.host.on_base_gone(now, job),
            }
            self.begin_coding();
        }
        if let Some(Filming { epoch, task, .. }) = self.filming.take_if(|f| f.at <= self.now) {
            if let Some((_, encoder)) = self.encoder.as_mut().filter(|(e, _)| *e == epoch) {
                encoder.on_film(task);
            }
            std::mem::take(&mut self.film_jobs).into_iter().for_each(|job| self.host.on_film_coded(now, job));
        }
        self.look();
        while let Some(frame) = self.sound.take_frame(self.now, now) {
            self.host.on_sound(now, frame);
        }
        self.host.on_time(now);
        loop {
            match self.host.poll_output() {
                HostOutput::Datagram(_) if self.dead => {}
                HostOutput::Datagram(bytes) => {
                    self.on_packet(Direction::Down);
                    self.down.push(self.now, bytes);
                }
                HostOutput::Control(message) => self.send_control(Direction::Down, message),
                HostOutput::Chunk(bytes) => self.send_chunk(Direction::Down, bytes),
                HostOutput::Bulk(wish) => self.on_bulk(Direction::Down, wish),
                HostOutput::File(word) => self.note("host", format_args!("{word:?}")),
                HostOutput::Encode(job) => {
                    // One thread codes: a job waits for the one before it.
                    self.to_code.push_back(job);
                    self.begin_coding();
                }
                HostOutput::Confirmed { epoch, applied } => {
                    if let Some((_, encoder)) = self.encoder.as_mut().filter(|(e, _)| *e == epoch) {
                        encoder.confirm(applied);
                    }
                }
                HostOutput::Check { epoch, coded, proofs } => self.check(epoch, coded, &proofs),
                HostOutput::Inject { seq, event } => {
                    if let Some(life) = self.life.as_mut().filter(|_| seq.0 != 0) {
                        life.on_input(now, SESSION);
                        self.life_wake = Some(self.now);
                    }
                    self.note("host", format_args!("inject {event:?}"));
                    self.oracle.on_injected(&event, self.now);
                    self.injected.push((self.now, event.clone()));
                    self.screen.input(now, &event);
                    self.look();
                }
                HostOutput::ReleaseAll => {
                    self.lease_ends.push(self.now);
                    self.released.push(self.injected.len());
                    self.note("host", format_args!("release all"));
                }
                HostOutput::Resize { size, .. } => {
                    self.screen.resize(size);
                    self.looking = None;
                    self.look();
                }
                HostOutput::Monitors(monitors) => {
                    // A screen in virtual time has no monitors: it is as large as all of them.
                    if let Ok(size) = surface_of(&monitors) {
                        self.screen.resize(size);
                        self.looking = None;
                        self.look();
                    }
                }
                HostOutput::Clip(wish) => self.on_clip(Direction::Down, wish),
                HostOutput::Place(place) => self.note("host", format_args!("{place:?}")),
                HostOutput::SoundCoding(coding) => {
                    self.sound.most_rate = self.sound.most_rate.max(coding.rate);
                    self.sound.coding = coding;
                }
                HostOutput::Sound(packet) => {
                    self.sound.spoken += 1;
                    self.note("host", format_args!("microphone {}", packet.number));
                }
                HostOutput::Spoilt => self.spoilt = true,
                HostOutput::CacheOffer { first, hashes } => match &mut self.encoder {
                    Some((_, encoder)) => encoder.offer(first, &hashes),
                    None => self.offers.push((first, hashes)),
                },
                HostOutput::Note(note) => self.on_note("host", &note),
                HostOutput::Closed(reason) => self.note("host", format_args!("closed {reason:?}")),
                HostOutput::Idle { until, why } => {
                    self.why[0] = why;
                    self.host_wake = until.map(|t| t.as_micros().saturating_sub(HOST_EPOCH).max(self.now));
                    break;
                }
            }
        }
    }

    /// Reads what changed on the screen, which takes its time.
    fn look(&mut self) {
        loop {
            if let Some((at, facts, pixels)) = self.looking.take() {
                if at > self.now {
                    self.looking = Some((at, facts, pixels));
                    return;
                }
                self.seen = pixels;
                self.see(&facts);
            }
            let Some(facts) = self.screen.poll(self.host_now()) else { return };
            let cost = self.cost.capture(facts.damage.changed.area());
            self.looking = Some((self.now + cost.as_micros(), facts, self.screen.pixels()));
        }
    }

    fn see(&mut self, facts: &FrameFacts) {
        let bounds = facts.damage.changed.bounds();
        self.note("host", format_args!("frame {} {bounds:?}", facts.id.0));
        self.newest = Version(facts.id.0);
        if self.sample_every.is_some_and(|n| facts.id.0.is_multiple_of(n)) {
            self.kept.insert(facts.captured.as_micros(), (self.seen.clone(), bounds));
            if self.kept.len() > MOST_KEPT {
                self.kept.pop_first();
            }
        }
        self.host.on_frame(self.host_now(), facts);
        self.exact_at = None;
    }

    /// For how long an end keeps an acknowledgement back: both ask for 100 ms, and quinn holds that to the round-trip time, and
    /// that to 25 ms at least.
    fn ack_delay(&self) -> u64 {
        let rtt = self.down.model.delay.as_micros() + self.up.model.delay.as_micros();
        rtt.clamp(25_000, 100_000)
    }

    /// A datagram leaves one side.
    fn on_packet(&mut self, direction: Direction) {
        let pings = (self.now - self.last_packet) / PING_AFTER;
        self.last_packet = self.now;
        self.quic[0].on_pings(pings);
        self.quic[1].on_pings(pings);
        self.quic[usize::from(direction == Direction::Up)].on_sent(self.now);
    }

    fn step_viewer(&mut self) {
        let now = self.viewer_now();
        if self.viewer_wake.take_if(|at| *at <= self.now).is_some() {
            self.wakes[1] += 1;
            *self.wake_reasons.entry(format!("viewer {:?}", self.why[1])).or_default() += 1;
        }
        while let Some(bytes) = self.down.pop(self.now) {
            if self.dead {
                continue;
            }
            if let Some(whole) = self.streams[0].arrive(&bytes) {
                if let Some(bytes) = whole {
                    self.viewer.on_chunk(&Incoming { bytes, arrived: now });
                }
                continue;
            }
            self.quic[1].on_arrival(self.now, self.ack_delay());
            self.viewer.on_datagram(&Incoming { bytes, arrived: now });
        }
        while let Some(entry) = self.keys.first_entry().filter(|e| e.key().0 <= self.now) {
            let event = entry.remove();
            self.oracle.on_pressed(&event, self.now);
            self.viewer.on_input(now, event);
        }
        if let Some((_, job, changed)) = self.decoding.take_if(|(at, ..)| *at <= self.now) {
            if self.exact_at.is_none() && self.is_exact() {
                self.exact_at = Some(self.now);
            }
            self.viewer.on_decoded(now, job.epoch, job.id, changed.as_ref());
        }
        if let Some((_, shown)) = self.presenting.take_if(|(at, _)| *at <= self.now) {
            self.show(shown);
            self.presenting = self.present_next.take().map(|next| (self.now + self.cost.present.as_micros(), next));
        }
        self.viewer.on_time(now);
        self.sound.turn(self.now, now);
        loop {
            match self.viewer.poll_output() {
                ViewerOutput::Datagram(_) if self.dead => {}
                ViewerOutput::Datagram(bytes) => {
                    self.on_packet(Direction::Up);
                    self.up.push(self.now, bytes);
                }
                ViewerOutput::Control(message) => self.send_control(Direction::Up, message),
                ViewerOutput::Chunk(bytes) => self.send_chunk(Direction::Up, bytes),
                ViewerOutput::Bulk(wish) => self.on_bulk(Direction::Up, wish),
                ViewerOutput::File(word) => self.note("viewer", format_args!("{word:?}")),
                ViewerOutput::Decode(job) => {
                    let (cost, changed) = self.decode(&job);
                    self.decoding = Some((self.now + cost.as_micros(), job, changed));
                }
                ViewerOutput::Prove { epoch, tiles, .. } => self.prove(epoch, &tiles),
                ViewerOutput::Present { epoch, upto, journey, .. } => {
                    self.note("viewer", format_args!("present {}", upto.0));
                    self.compare(&journey);
                    let wish = (epoch, upto, journey);
                    match self.presenting {
                        // One screen paints one picture at a time.
                        Some(_) => self.present_next = Some(wish),
                        None => self.presenting = Some((self.now + self.cost.present.as_micros(), wish)),
                    }
                }
                ViewerOutput::Cursor(_) | ViewerOutput::CursorShape(_) => {}
                ViewerOutput::Clip(wish) => self.on_clip(Direction::Up, wish),
                ViewerOutput::Sound(packet) => self.sound.on_packet(self.now, now, packet),
                ViewerOutput::SoundCoding(_) | ViewerOutput::SoundState { .. } => {}
                ViewerOutput::Silent(silence) => {
                    match (self.dimmed, silence) {
                        (false, Some(_)) => self.silences.push((self.now, None)),
                        (true, None) => {
                            if let Some((_, back)) = self.silences.last_mut() {
                                *back = Some(self.now);
                            }
                        }
                        _ => {}
                    }
                    self.dimmed = silence.is_some();
                }
                ViewerOutput::Reconnect => {
                    // A handshake takes two round trips and a half.
                    let rtt = self.down.model.delay + self.up.model.delay;
                    if self.attach_at.is_none() {
                        self.attach_passes = !self.down.model.blackout && !self.up.model.blackout && !self.asleep;
                    }
                    self.attach_at = self.attach_at.or(Some(self.now + rtt.scaled(5, 2).as_micros() + 1_000));
                    self.note("viewer", format_args!("reconnect"));
                }
                ViewerOutput::PointerPut(at) => self.note("viewer", format_args!("the pointer is put to {at:?}")),
                ViewerOutput::Monitors(monitors) => self.note("viewer", format_args!("{} monitors", monitors.len())),
                ViewerOutput::Notice(text) => self.note("viewer", format_args!("notice {text}")),
                ViewerOutput::Note(note) => self.on_note("viewer", &note),
                ViewerOutput::Closed { reason, .. } => {
                    self.over = Some((self.now, reason));
                    self.note("viewer", format_args!("closed {reason:?}"));
                }
                ViewerOutput::Ending(ending) => {
                    self.warnings.push((self.now, ending.is_some()));
                    self.note("viewer", format_args!("ending {ending:?}"));
                }
                ViewerOutput::HostState(state) => {
                    self.host_state = state;
                    self.note("viewer", format_args!("the host {state:?}"));
                }
                ViewerOutput::KeepAwake(on) => {
                    self.kept_awake = on;
                    self.note("viewer", format_args!("keep awake {on}"));
                }
                ViewerOutput::People(people) => self.note("viewer", format_args!("{people:?}")),
                ViewerOutput::Idle { until, why } => {
                    self.why[1] = why;
                    self.viewer_wake = until.map(|t| self.viewer_time(t));
                    break;
                }
            }
        }
    }

    fn on_note(&mut self, side: &str, note: &telepane_model::Note) {
        match note {
            telepane_model::Note::Rejected { fault } => self.faults.push(fault),
            telepane_model::Note::Rebased { .. } => self.rebases += 1,
            telepane_model::Note::Proven { tiles, .. } => self.proofs.checked += u64::from(*tiles),
            telepane_model::Note::ProofFailed { at, .. } => self.proofs.failed.push((self.now, *at)),
            telepane_model::Note::LeaseExpired => self.lease_ends.push(self.now),
            _ => {}
        }
        self.note(side, format_args!("{note:?}"));
    }

    /// What the viewer holds: its epoch and the last slice applied.
    pub const fn position(&self) -> (Epoch, UpdateId) {
        self.viewer.position()
    }
}
