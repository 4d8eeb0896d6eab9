//! What drives the viewer's mind: connections, decoder, statistics. The window and the headless loop call it; it never
//! calls them.

mod clip;
mod decode;
pub mod exit;
mod reach;
mod standby;

use crate::clipboard::{ClipFact, LocalClipboard, System};
use crate::clock::Clock;
use crate::drops::{Drops, Uploading};
use crate::entry::CACHE_BYTES;
use crate::files::{Transfers, Wish};
use crate::life::Life;
use crate::overlay;
use crate::policy;
use crate::slow::{self, Moments};
use crate::sound::{self, Sound, SoundOptions};
use crate::stats::Stats;
use crate::tiles::Tiles;
use crate::traffic::{Counted, Traffic};
use crate::ui::Overlay;
use bytes::Bytes;
use reach::Line;
pub use standby::Paths;
use standby::Spare;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use telepane_auth::KnownHosts;
use telepane_codec::streams::FilmStreams;
use telepane_codec::{Decoder, TileCache};
use telepane_model::{
    CursorShape, CursorState, Desk, Epoch, InputEvent, Journey, Monitor, Pixels, Point, Region, SessionPolicy, Size,
    Span, Stamp, Surf, UpdateId, ViewerClock,
};
use telepane_protocol::control::MAX_OFFER;
use telepane_protocol::{Capability, Control, Goodbye};
use telepane_rate::Policy;
use telepane_sandbox::Films;
use telepane_session::{BulkWish, Homing, StandbyMode, Viewer, ViewerOutput};
use telepane_transport::{Event as NetEvent, Lanes, LinkStats, Options, Sink};
use telepane_trust::{AccessCode, CodeWanted, Fingerprint};

/// What other threads tell the driver.
#[derive(Debug)]
pub enum Wake {
    /// The network.
    Net(NetEvent),
    /// The local clipboard.
    Clip(ClipFact),
    /// The microphone heard something.
    Microphone(telepane_audio::Heard),
    /// A code was typed on the terminal, or nothing more will be.
    Code(Option<String>),
    /// The interfaces were looked at.
    Ways(telepane_model::Ways),
    /// Ctrl+C, or the system wants the program to end.
    Stop,
}

/// What to connect to, and with what.
pub struct Target {
    /// As the person wrote it, without the port.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Where that is.
    pub addresses: Vec<SocketAddr>,
    /// What to connect over.
    pub network: Options,
    /// Keys and pins.
    pub state: PathBuf,
    /// The user asked for.
    pub user: String,
    /// The code, if it is at hand.
    pub code: Option<AccessCode>,
    /// The only fingerprint to accept.
    pub fingerprint: Option<Fingerprint>,
    /// Trust a new host without asking.
    pub trust_new: bool,
    /// Where notes go.
    pub notes: Option<PathBuf>,
    /// The desktop size to ask for.
    pub want: Option<Size<Surf>>,
    /// The scale the desktop should have, in percent.
    pub scale: u16,
    /// How many pictures it is to show in 1000 s; 0 where that is not known.
    pub refresh: u32,
    /// The monitors the desktop should have, when it should have more than one.
    pub monitors: Vec<Monitor>,
    /// What the session is wished to keep to.
    pub wish: SessionPolicy,
    /// When another interface stands by.
    pub standby: StandbyMode,
    /// For files alone: beside whoever works there.
    pub files_only: bool,
    /// The second selection is shared too.
    pub primary: bool,
    /// Whose clipboard is shared.
    pub clipboard: System,
    /// Who is asked for a code.
    pub ask: Ask,
    /// What is heard and said.
    pub sound: SoundOptions,
    /// The host is told of this machine's time zone and language.
    pub place: bool,
    /// Where films are decoded.
    pub films: Films,
}

/// Who is asked for an access code.
pub enum Ask {
    /// The terminal: the closure is given the question and answers with [`Wake::Code`].
    Terminal(Box<dyn Fn(String)>),
    /// The window.
    Window,
    /// Nobody: there is a code already, or there is no one to ask.
    Nobody,
}

/// What the person should see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No picture yet.
    Connecting,
    /// A code is needed.
    NeedCode(CodeWanted),
    /// In session.
    Live,
    /// It is over; the code and the words to end with.
    Over(i32, String),
}

/// See the module.
pub struct Driver {
    clock: Clock,
    target: Target,
    sink: Sink,
    viewer: Viewer,
    key_pinned: Option<Fingerprint>,
    /// The connection in use.
    line: Option<Line>,
    /// One that is coming about.
    candidate: Option<Line>,
    /// How long the next may stay silent.
    attempt: Span,
    /// When QUIC is tried again while something else carries the session.
    homing: Homing,
    /// The path that stands by.
    spare: Spare,
    session: [u8; 16],
    /// What the decoder of the present epoch holds.
    decoder: Option<(Epoch, Decoder)>,
    /// What decodes films, while there is no decoder.
    films: Box<dyn FilmStreams>,
    /// Tiles kept while there is no decoder, and whose host they are from.
    cache: TileCache,
    cache_of: Option<Fingerprint>,
    /// The last whole picture of the epoch before, shown until the new one has a whole frame.
    before: Option<Decoder>,
    damage: Region<Surf>,
    redraw_all: bool,
    presenting: Option<(Epoch, UpdateId, Journey)>,
    cursor: CursorState,
    shapes: Vec<CursorShape>,
    silent: Option<Span>,
    clipboard: Option<LocalClipboard>,
    /// Loudspeaker and microphone.
    pub sound: Sound,
    notes: Option<BufWriter<File>>,
    slept: Option<(u64, Duration)>,
    /// Files on their way.
    pub files: Transfers,
    drops: Drops,
    /// The tenth of an upload that the person was told of last.
    tenth_told: Option<u64>,
    /// Figures.
    pub stats: Stats,
    /// What the person should see.
    pub phase: Phase,
    /// The host's name for itself.
    pub host_name: String,
    /// The desktop follows the window.
    pub resizable: bool,
    /// The desktop's monitors, as the host told them last.
    pub monitors: Vec<Monitor>,
    /// Where an application put the pointer, until the window has done so too.
    pub put: Option<Point<Desk>>,
    /// What Attach asked for.
    attached: (Option<Size<Surf>>, u16),
    /// What was wrong with the code that was typed.
    pub notice: Option<String>,
    /// What came of something the person asked for, to be shown for a while.
    pub said: Option<String>,
    /// What the person is told of the session's life.
    pub life: Life,
    wake_at: Option<Stamp<ViewerClock>>,
    window_told: u64,
    /// What the transport said last.
    link_stats: Option<LinkStats>,
    traffic: Traffic,
    /// What coded each tile of the decoder's epoch.
    tiles: Option<Tiles>,
    /// The longest round trip so far.
    rtt_max: Span,
}

/// The machine's sleep is looked for this often while connected.
const SLEEP_CHECK: Span = Span::secs(1);
/// What counts as sleep.
const SLEPT: Duration = Duration::from_secs(2);
/// Cursor images kept.
const MOST_SHAPES: usize = 64;

impl Driver {
    /// Begins to connect. `wake` is called on other threads.
    pub fn start(clock: Clock, mut target: Target, wake: Arc<dyn Fn(Wake) + Send + Sync>) -> anyhow::Result<Self> {
        let pins = KnownHosts::open(&target.state)?;
        let key_pinned = target.fingerprint.or_else(|| pins.pinned(&target.host, target.port));
        let notes = match &target.notes {
            Some(path) => {
                let mut file = BufWriter::new(File::create(path)?);
                writeln!(file, "telepane-notes 1 viewer")?;
                Some(file)
            }
            None => None,
        };
        let spare = Spare::new(target.standby, wake.clone());
        let to_loop = wake.clone();
        let sink: Sink = Arc::new(move |event| to_loop(Wake::Net(event)));
        let sound = Sound::start(&target.sound, clock, wake.clone());
        let (on, primary) = (target.clipboard, target.primary);
        let pasted = target.state.join("pasted");
        let start =
            || LocalClipboard::start(on, primary, &pasted, move || clock.micros(), move |fact| wake(Wake::Clip(fact)));
        let clipboard = match target.files_only {
            true => None,
            false => start().inspect_err(|error| tracing::warn!(%error, "no clipboard is shared")).ok(),
        };
        let mut viewer = Viewer::new(clock.now(), Policy::default());
        viewer.set_wish(clock.now(), target.wish);
        if target.place {
            viewer.set_place(clock.now(), telepane_machine::place::here());
        }
        let mut films = std::mem::take(&mut target.films);
        if !target.files_only {
            films.start();
        }
        let mut driver = Self {
            clock,
            target,
            sink,
            viewer,
            key_pinned,
            line: None,
            candidate: None,
            attempt: reach::ATTEMPT,
            homing: Homing::default(),
            spare,
            session: [0; 16],
            decoder: None,
            films: Box::new(films),
            cache: TileCache::new(telepane_model::Bytes(0)),
            cache_of: None,
            before: None,
            damage: Region::new(),
            redraw_all: false,
            presenting: None,
            cursor: CursorState::default(),
            shapes: Vec::new(),
            silent: None,
            clipboard,
            sound,
            notes,
            slept: None,
            files: Transfers::default(),
            drops: Drops::default(),
            tenth_told: None,
            stats: Stats::default(),
            phase: Phase::Connecting,
            host_name: String::new(),
            resizable: false,
            monitors: Vec::new(),
            put: None,
            attached: (None, 100),
            notice: None,
            said: None,
            life: Life::start(),
            wake_at: None,
            window_told: 0,
            link_stats: None,
            traffic: Traffic::default(),
            tiles: None,
            rtt_max: Span::ZERO,
        };
        driver.wish_sound();
        driver.dial(false);
        Ok(driver)
    }

    /// Something happened on another thread.
    pub fn on_wake(&mut self, wake: Wake) {
        match wake {
            Wake::Net(event) => self.on_net(event),
            Wake::Clip(fact) => self.on_clip(fact),
            Wake::Microphone(heard) => self.viewer.on_microphone(self.clock.now(), sound::frame(heard)),
            Wake::Ways(ways) => self.on_ways(&ways),
            Wake::Code(Some(text)) => self.on_code(&text),
            Wake::Code(None) => self.over(exit::NOT_TRUSTED, "no access code was given"),
            Wake::Stop => self.leave(),
        }
    }

    /// The user did something.
    pub fn on_input(&mut self, event: InputEvent) {
        if self.phase == Phase::Live {
            self.spare.on_input(self.clock.now());
            self.homing.on_input(self.clock.now());
            self.viewer.on_input(self.clock.now(), event);
        }
    }

    /// Whether the host takes fingers.
    pub fn takes_touch(&self) -> bool {
        self.phase == Phase::Live && self.viewer.peer_takes_touch()
    }

    /// Whether the host takes a pen.
    pub fn takes_pen(&self) -> bool {
        self.phase == Phase::Live && self.viewer.peer_takes_pen()
    }

    /// The desktop should be like this, if it can. Without a size it keeps the one it has; `monitors` of which there are
    /// several count before a size, and `refresh` is the rate of the one it should have otherwise.
    pub fn on_shape(&mut self, size: Option<Size<Surf>>, scale: u16, refresh: u32, monitors: Vec<Monitor>) {
        let target = &mut self.target;
        (target.want, target.scale) = (size.filter(|s| s.is_valid()), scale);
        (target.refresh, target.monitors) = (refresh, monitors);
        self.say_shape();
    }

    fn say_shape(&mut self) {
        let Target { scale, refresh, want, .. } = self.target;
        // A rate says how often to send, also to a desktop that keeps its size.
        let rate = refresh > 0 && want.is_some();
        if self.phase != Phase::Live || !(self.resizable || rate) {
            return;
        }
        let (now, size) = (self.clock.now(), want.or(self.pixels().map(Pixels::size)));
        if self.target.monitors.len() > 1 && self.resizable {
            self.viewer.on_monitors(now, self.target.monitors.clone());
        } else if let Some(size) = size {
            let one = || Monitor { place: size.rect(), scale, refresh, primary: true, name: String::new() };
            match rate {
                true => self.viewer.on_monitors(now, vec![one()]),
                false => self.viewer.on_resize(now, size, scale),
            }
        }
    }

    /// What Attach asks for. Several monitors are asked for afterwards.
    fn shape(&self) -> (Option<Size<Surf>>, u16) {
        (self.target.want.filter(|_| self.target.monitors.len() < 2), self.target.scale)
    }

    /// The person wants to hear the desktop no longer, or again.
    pub fn toggle_listening(&mut self) {
        self.sound.toggle_listening();
        self.wish_sound();
    }

    /// The person turns the microphone on or off.
    pub fn toggle_microphone(&mut self) {
        self.sound.toggle_microphone();
        self.wish_sound();
    }

    /// Nothing of the windows is seen any more, or something is again.
    pub fn on_hidden(&mut self, hidden: bool) {
        self.viewer.on_hidden(self.clock.now(), hidden);
    }

    fn wish_sound(&mut self) {
        self.viewer.on_sound_wish(self.clock.now(), self.sound.listens, self.sound.speaks);
    }

    /// The person typed a code.
    pub fn on_code(&mut self, text: &str) {
        let code = match AccessCode::parse(text) {
            Ok(code) => code,
            Err(error) => {
                self.notice = Some(error.to_string());
                if let Phase::NeedCode(why) = self.phase {
                    self.ask_for_code(why);
                }
                return;
            }
        };
        self.target.code = Some(code.clone());
        self.phase = Phase::Connecting;
        let Some(line) = &mut self.candidate else { return };
        if let Some(entry) = &mut line.entry {
            let step = entry.with_code(code);
            self.follow(step);
        }
    }

    /// The person wants to end it.
    pub fn leave(&mut self) {
        if let Some(line) = &self.line {
            self.link_stats = line.handle().and_then(|h| h.stats(line.client.conn())).or(self.link_stats);
            line.say(&Control::Bye { reason: Goodbye::Left, text: String::new() });
        }
        self.over(exit::FINE, "");
    }

    /// Runs the mind until it is idle. Returns when to come back.
    pub fn turn(&mut self) -> Option<Span> {
        let now = self.clock.now();
        self.look_for_sleep(now);
        self.move_files(now);
        self.viewer.on_time(now);
        // What follows one another without anything between goes into one packet where it fits.
        let mut together = Vec::new();
        loop {
            let output = self.viewer.poll_output();
            if !matches!(output, ViewerOutput::Datagram(_)) {
                self.send_datagrams(&mut together);
            }
            match output {
                ViewerOutput::Datagram(bytes) => together.push(Bytes::from(bytes)),
                ViewerOutput::Control(message) => {
                    if let Some(line) = &self.line {
                        line.say(&message);
                    }
                }
                ViewerOutput::Chunk(bytes) => self.send_chunk(bytes),
                ViewerOutput::Bulk(wish @ (BulkWish::Fill { pipe, .. } | BulkWish::Data { pipe, .. }))
                    if pipe % 2 == 1 =>
                {
                    self.on_paste_wish(wish);
                }
                ViewerOutput::Bulk(wish) => {
                    self.files.on_bulk(wish);
                    self.move_files(now);
                }
                ViewerOutput::File(word) => {
                    self.files.on_word(word);
                    self.move_files(now);
                }
                ViewerOutput::Decode(job) => self.decode(&job),
                ViewerOutput::Prove { epoch, tiles, .. } => self.prove(epoch, &tiles),
                ViewerOutput::Present { epoch, upto, journey, .. } => {
                    if self.before.take().is_some() {
                        self.redraw_all = true;
                    }
                    self.presenting = Some((epoch, upto, journey));
                }
                ViewerOutput::Cursor(state) => self.cursor = state,
                ViewerOutput::CursorShape(shape) => {
                    self.shapes.retain(|s| s.id != shape.id);
                    self.shapes.push(shape);
                    if self.shapes.len() > MOST_SHAPES {
                        self.shapes.remove(0);
                    }
                }
                ViewerOutput::Clip(wish) => self.on_clip_wish(wish),
                ViewerOutput::Sound(packet) => self.sound.play(packet),
                ViewerOutput::SoundCoding(coding) => self.sound.set(coding),
                ViewerOutput::SoundState { offers, takes } => self.sound.state = (offers, takes),
                ViewerOutput::Silent(silence) => {
                    self.redraw_all |= self.silent.is_some() != silence.is_some();
                    self.silent = silence;
                    if silence.is_none() {
                        self.call_off();
                    }
                }
                ViewerOutput::Reconnect => self.redial(),
                ViewerOutput::Notice(text) => self.life.on_message(now, &text),
                ViewerOutput::Ending(ending) => self.life.on_ending(ending),
                ViewerOutput::HostState(state) => self.life.on_host_state(state),
                ViewerOutput::KeepAwake(on) => self.life.on_keep_awake(on),
                ViewerOutput::People(people) => self.life.on_people(people),
                ViewerOutput::PointerPut(at) => self.put = Some(at),
                ViewerOutput::Monitors(monitors) => self.monitors = monitors,
                ViewerOutput::Note(note) => {
                    tracing::debug!(?note);
                    if let Some(notes) = &mut self.notes {
                        // A full disk must not end the session.
                        let _ = writeln!(notes, "{} {note:?}", now.as_micros());
                    }
                }
                ViewerOutput::Closed { reason, text } => self.on_goodbye(reason, &text),
                ViewerOutput::Idle { until, .. } => {
                    self.wake_at = until;
                    break;
                }
            }
        }
        let now = self.clock.now();
        self.refresh_window();
        let check = (self.phase == Phase::Live).then_some(SLEEP_CHECK);
        self.go_home(now);
        let paths = self.mind_paths();
        [self.wake_at, self.homing.at(), paths]
            .map(|at| at.map(|at| at.since(now)))
            .into_iter()
            .chain([check])
            .flatten()
            .min()
    }

    /// What changed in [`Driver::pixels`] and is to be shown now, and whether everything did.
    pub fn take_damage(&mut self) -> (Region<Surf>, bool) {
        if self.presenting.is_none() && !self.redraw_all {
            return (Region::new(), false);
        }
        (std::mem::take(&mut self.damage), std::mem::take(&mut self.redraw_all))
    }

    /// What was to be shown is on the screen.
    pub fn shown(&mut self) {
        if let Some((epoch, upto, journey)) = self.presenting.take() {
            let (journey, key) = self.viewer.on_shown(self.clock.now(), epoch, upto, journey);
            if let Some(age) = self.sound.on_shown(&journey, self.viewer.clock_map()) {
                self.viewer.on_heard(journey.shown, age);
            }
            self.stats.on_shown(&journey, key, self.viewer.clock_map());
        }
    }

    /// The host's picture.
    pub fn pixels(&self) -> Option<&Pixels> {
        let newest = || self.decoder.as_ref().map(|(_, d)| d.pixels());
        self.before.as_ref().map(Decoder::pixels).or_else(newest)
    }

    /// The host's pointer.
    pub fn cursor(&self) -> Option<(&CursorShape, CursorState)> {
        self.shapes.iter().find(|s| s.id == self.cursor.shape).map(|s| (s, self.cursor))
    }

    /// What is shown over the picture for the present, and when that changes.
    pub fn life_hint(&self) -> Option<(String, Span)> {
        self.life.hint(self.clock.now())
    }

    /// How long the host has not answered.
    pub const fn silent(&self) -> Option<Span> {
        self.silent
    }

    /// The statistics overlay.
    pub fn overlay(&self) -> Overlay {
        overlay::draw(&self.readings())
    }

    /// What is known now, for people and scripts.
    fn readings(&self) -> overlay::Readings<'_> {
        let now = self.clock.now();
        let figures = self.viewer.figures();
        let lost = figures.expected.saturating_sub(figures.received);
        overlay::Readings {
            now,
            host: &self.host_name,
            size: self.pixels().map(Pixels::size),
            stats: &self.stats,
            rates: self.traffic.rates(),
            burst: self.traffic.burst(),
            rtt: self.viewer.rtt(),
            rtt_max: self.rtt_max,
            paths: self.spare.paths(),
            link: self.link_stats,
            tiles: self.tiles.as_ref(),
            dropped_input: self.viewer.dropped_input(),
            sound: self.sound.readings(),
            moments: Moments {
                silent: self.silent,
                lost_permille: (lost * 1_000 / figures.expected.max(1)) as u32,
                ..self.stats.moments(now)
            },
            people: self.life.row(),
            monitors: &self.monitors,
            uploading: self.uploading(),
            figures,
            wish: *self.viewer.wish(),
            holds: *self.viewer.holds(),
        }
    }

    /// A step towards sharp pictures (positive) or smooth motion (negative); where the slider then stands.
    pub fn sharpen(&mut self, steps: i8) -> u8 {
        let wish = policy::sharpened(*self.viewer.wish(), steps);
        self.viewer.set_wish(self.clock.now(), wish);
        wish.sharpness()
    }

    /// The statistics for `--stats-json`.
    pub fn stats_json(&self) -> serde_json::Value {
        let mut value = self.stats.json();
        let readings = self.readings();
        if let (Some(map), Some(more)) = (value.as_object_mut(), overlay::json(&readings).as_object_mut()) {
            map.append(more);
            let line = self.link_stats;
            map.insert("host".into(), self.host_name.clone().into());
            map.insert("dropped_input".into(), self.viewer.dropped_input().into());
            map.insert("bytes_received".into(), line.map(|s| s.recv_bytes).into());
            map.insert("bytes_sent".into(), line.map(|s| s.sent_bytes).into());
            map.insert("rtt_us".into(), line.map(|s| s.rtt_us).into());
            map.insert("sound".into(), self.sound.readings().json(&self.viewer.figures()));
            map.insert("life".into(), self.life.json(readings.now));
            map.insert("slow".into(), slow::sentence(&readings.moments).into());
            map.insert("slow_who".into(), slow::judge(&readings.moments).name().into());
        }
        value
    }

    fn over(&mut self, code: i32, text: impl Into<String>) {
        if !matches!(self.phase, Phase::Over(..)) {
            self.phase = Phase::Over(code, text.into());
        }
    }

    fn send_datagrams(&self, together: &mut Vec<Bytes>) {
        let datagrams = std::mem::take(together);
        let Some(line) = self.line.as_ref().filter(|_| !datagrams.is_empty()) else { return };
        let Some(handle) = line.handle() else { return };
        let conn = line.client.conn();
        let sent = match <[Bytes; 1]>::try_from(datagrams) {
            Ok([alone]) => handle.send_datagram(conn, alone),
            Err(several) => handle.send_together(conn, several),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "datagram not sent");
        }
    }

    fn send_chunk(&self, bytes: Vec<u8>) {
        if let Some(line) = &self.line
            && let Some(handle) = line.handle()
            && let Err(error) = handle.send_chunk(line.client.conn(), bytes)
        {
            tracing::debug!(%error, "chunk not sent");
        }
    }

    /// Files were dropped onto the window.
    pub fn on_dropped(&mut self, path: PathBuf) {
        let entry = self.line.as_ref().and_then(|line| line.entry.as_ref());
        let host = entry.map(|e| &e.host_capabilities).filter(|_| self.phase == Phase::Live);
        if let Err(why) = self.drops.on_dropped(path, host, &mut self.files) {
            self.said = Some(why);
        }
    }

    /// How much of what was dropped is on the host, while it is on its way.
    pub fn uploading(&self) -> Option<Uploading> {
        self.drops.progress(&self.files)
    }

    /// A window over the whole screen has no title to show it in.
    fn tell_uploading(&mut self) {
        let uploading = self.uploading().filter(|u| u.bytes >= clip::WORTH_TELLING);
        let tenth = uploading.map(|u| u.percent() / 10);
        if tenth != self.tenth_told {
            self.tenth_told = tenth;
            self.said = uploading.map(|u| format!("Uploading: {}", u.line())).or(self.said.take());
        }
    }

    fn take_drops(&mut self) {
        // Otherwise what comes of transfers is for whoever asked for them.
        if self.target.files_only {
            return;
        }
        while let Some(result) = self.files.result() {
            if let Some(text) = self.drops.on_result(result, &mut self.files) {
                tracing::info!(text, "dropped files");
                self.said = Some(text);
            }
        }
    }

    /// Does what the transfers want done.
    fn move_files(&mut self, now: Stamp<ViewerClock>) {
        self.take_drops();
        self.tell_uploading();
        while let Some(wish) = self.files.wish() {
            match wish {
                Wish::Say(word) => self.viewer.on_file_word(now, word),
                Wish::Expect(pipe) => self.viewer.on_bulk_expected(now, pipe),
                Wish::Offer(pipe) => self.viewer.on_bulk_offered(now, pipe),
                Wish::Data(pipe, bytes, last) => self.viewer.on_bulk_data(now, pipe, bytes, last),
                Wish::Used(pipe, bytes) => self.viewer.on_bulk_used(now, pipe, bytes),
                Wish::Drop(pipe) => self.viewer.on_bulk_dropped(now, pipe),
            }
        }
    }

    fn refresh_window(&mut self) {
        let now = self.clock.micros();
        if now - self.window_told < 200_000 {
            return;
        }
        self.window_told = now;
        if let Some(line) = &self.line
            && let Some(handle) = line.handle()
        {
            self.link_stats = handle.stats(line.client.conn()).or(self.link_stats);
            if let Some(stats) = self.link_stats {
                let (received, sent) = (stats.recv_bytes, stats.sent_bytes);
                let counted = Counted { received, sent, shown: self.stats.shown, pixels: self.stats.pixels };
                self.traffic.sample(Stamp::from_micros(now), counted);
            }
            self.rtt_max = self.rtt_max.max(self.viewer.rtt().unwrap_or_default());
            // Input and feedback are small, and bulk keeps within its own bound: the uplink is never meant to be held back by
            // QUIC's window.
            handle.set_window(line.client.conn(), 4 << 20);
        }
    }

    /// Does what both ends' capabilities say, and tells a host that knows nothing of us which tiles are kept of its own.
    // spec: V-5 C-152
    fn agree(&mut self, resumed: bool) {
        let Some(line) = &self.line else { return };
        let Some(entry) = &line.entry else { return };
        self.viewer.on_capabilities(&entry.host_capabilities);
        let agreed = entry.host_capabilities.value(Capability::CacheBytes).min(CACHE_BYTES);
        let agreed = telepane_model::Bytes(agreed);
        let cache = self.decoder.as_mut().map_or(&mut self.cache, |(_, d)| d.cache_mut());
        if self.cache_of.replace(entry.fingerprint) != Some(entry.fingerprint) {
            *cache = TileCache::new(agreed);
        }
        cache.resize(agreed);
        if !resumed {
            for (n, hashes) in cache.hashes().chunks(MAX_OFFER).enumerate() {
                line.say(&Control::CacheOffer { first: (n * MAX_OFFER) as u32, hashes: hashes.to_vec() });
            }
        }
    }

    fn look_for_sleep(&mut self, now: Stamp<ViewerClock>) {
        if self.phase == Phase::Live && self.clock.slept(&mut self.slept) > SLEPT {
            tracing::info!("the machine slept");
            self.viewer.on_woke(now);
            self.homing.on_woke(now);
        }
    }
}

/// What the person is asked.
pub fn code_prompt(why: CodeWanted, notice: Option<&str>) -> String {
    let prompt = match why {
        CodeWanted::FirstContact => "Access code of this host",
        CodeWanted::UnknownClient => "The host does not know this client yet. Access code",
        CodeWanted::WrongCode => "That code was wrong. Access code",
        CodeWanted::Throttled => "Too many wrong codes; wait a little. Access code",
    };
    notice.map_or_else(|| prompt.into(), |n| format!("{n}. {prompt}"))
}
