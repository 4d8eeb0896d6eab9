//! The viewer's mind: puts slices in order, says what it holds, gives up what does not come, and carries the user's
//! input across. It outlives its connection as the host's mind does.

mod assemble;
mod bulk;
mod clip;
mod hidden;
mod input;
mod life;
mod lips;
mod narrow;
mod policy;
mod proof;
mod shape;
mod silence;
mod sound;

use crate::arrivals::{Answer, DELAY, alone};
use crate::bulk::{Bulk, ChunkTag};
use crate::clip::Clip;
use crate::host::ANSWER_INPUT;
use crate::link::{LONE_AGAIN, Link};
use crate::output::{Alarm, DecodeJob, Incoming, ViewerOutput, Wake};
use assemble::{Assembler, Ready};
pub use assemble::{SHARD_COST, SLICE_COST};
use input::Outgoing;
use std::collections::VecDeque;
use telepane_model::journey::HostJourney;
use telepane_model::{
    Bytes, ClockMap, Epoch, HostClock, InputEvent, InputSeq, Journey, KeyMove, MAX_FINGERS, Note, Region,
    SessionPolicy, Span, Stamp, Surf, SurfaceId, UpdateId, ViewerClock,
};
use telepane_protocol::capability::{HANDS_FINE_WHEEL, HANDS_PEN, HANDS_TOUCH};
use telepane_protocol::control::Held;
use telepane_protocol::{Capabilities, Capability, Control, Datagram, Fault, Feedback, InputBatch};
use telepane_rate::{Policy, SendClass};

/// See the module.
pub struct Viewer {
    now: Stamp<ViewerClock>,
    policy: Policy,
    /// What the host's capabilities leave of the policy's.
    in_flight_max: Bytes,
    out: VecDeque<ViewerOutput>,
    link: Option<Link<ViewerClock, HostClock, Carried>>,
    assembler: Assembler,
    decoding: Option<(Epoch, Ready)>,
    /// The framebuffer of this epoch is spoilt; a new epoch was asked for.
    spoilt: Option<Epoch>,
    /// The host has heard what was given up last; until then it is told again and again.
    told: bool,
    /// What was decoded and not shown: up to this slice, with its story, and since when.
    unshown: Option<((Epoch, UpdateId), Journey, Stamp<ViewerClock>)>,
    /// The newest slice that is on the screen, and the host takes reports of it.
    shown: (Epoch, UpdateId),
    says_shown: bool,
    /// The host reads feedback in its closer form.
    closely: bool,
    host_near: Stamp<HostClock>,
    input: Outgoing,
    clip: Clip<ViewerClock>,
    bulk: Bulk<ViewerClock>,
    /// Since silence was noticed: when it was said last.
    silent: Option<Stamp<ViewerClock>>,
    ask_at: Option<Stamp<ViewerClock>>,
    reconnect_at: Option<Stamp<ViewerClock>>,
    link_lost_at: Option<Stamp<ViewerClock>>,
    /// The machine woke up and nothing has answered since: a new connection is tried as soon as silence is noticed.
    woke: bool,
    last_input_shown: InputSeq,
    /// The number of the newest cursor datagram of this connection.
    cursor_number: u64,
    /// What the person wishes the session to keep to.
    wish: SessionPolicy,
    /// What the host says that holds.
    holds: SessionPolicy,
    figures: Figures,
    sound: sound::Sound,
    lips: lips::Lips,
    life: life::Life,
    /// The host takes keys with what they mean here.
    meanings: bool,
    /// What its desktop takes of hands: the bits of [`Capability::Hands`].
    hands: u64,
    /// The newest epoch that had a whole frame.
    whole: Option<Epoch>,
    /// What the desktop should be.
    shape: shape::Shape,
    /// Whether anybody sees it.
    hidden: hidden::Hidden,
    /// Tiles of which it is to be said what they show.
    rested: proof::Rested,
    /// Whether the path still carries long datagrams.
    widths: narrow::Widths,
}

/// What came since the viewer began, by kind; for people and scripts, never for decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Figures {
    /// Datagrams of pictures, and their bytes.
    pub picture: (u64, u64),
    /// Datagrams of the pointer, and their bytes.
    pub cursor: (u64, u64),
    /// Feedback, and its bytes.
    pub feedback: (u64, u64),
    /// Sound, and its bytes.
    pub sound: (u64, u64),
    /// Padding of measurements and what is not understood, and its bytes.
    pub other: (u64, u64),
    /// Datagrams of the host's that should have come on this connection by now, and that came.
    pub expected: u64,
    /// See `expected`.
    pub received: u64,
    /// Times the viewer gave up waiting.
    pub gave_up: u64,
    /// Tiles of which the host was told what they show.
    pub proven: u64,
    /// The round trip's variation.
    pub rtt_variation: Span,
    /// How long the last frame of film waited for its sound.
    pub film_held: Span,
    /// What the uplink's controller takes the path upwards to carry, in bits per second.
    pub uplink_bps: u64,
}

/// What a datagram of the viewer's carried.
#[derive(Clone, Copy, Debug)]
enum Carried {
    /// A report that slices up to this one are given up.
    GaveUp(UpdateId),
    /// The frame of sound with this number.
    Sound(u32),
    Chunk(ChunkTag),
    Other,
}

/// How long a key press took, from the user's hand to the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyJourney {
    /// The newest press that the shown picture can have been changed by.
    pub seq: InputSeq,
    /// Taken from the user.
    pub taken: Stamp<ViewerClock>,
    /// Handed to the desktop.
    pub injected: Stamp<HostClock>,
}

const SURFACE: SurfaceId = SurfaceId(0);
/// A frame that takes longer than this to arrive is shown as far as it is.
// spec: Y-10
const SHOW_PARTS_AFTER: Span = Span::millis(100);
/// And the first one of an epoch that follows another, whose last picture is whole: while the desktop takes another size,
/// that one is better to look at than a new one with holes.
// spec: Y-31
const SHOW_FIRST_PARTS_AFTER: Span = Span::millis(500);
/// Silence before the picture is dimmed: at least this, or three round trips (DESIGN §2).
// spec: Y-20
const SILENCE: Span = Span::millis(400);
/// The least patience with a missing slice.
// spec: Y-6
const PATIENCE: Span = Span::millis(150);

impl Figures {
    fn count(&mut self, datagram: &Datagram, bytes: usize) {
        let place = match datagram {
            Datagram::Shard(_) => &mut self.picture,
            Datagram::Cursor(_) => &mut self.cursor,
            Datagram::Feedback(_) => &mut self.feedback,
            Datagram::Sound(_) => &mut self.sound,
            Datagram::Padding(_) | Datagram::Input(_) => &mut self.other,
        };
        *place = (place.0 + 1, place.1 + bytes as u64);
    }
}

impl Viewer {
    /// A mind without a connection.
    pub fn new(now: Stamp<ViewerClock>, policy: Policy) -> Self {
        Self {
            now,
            policy,
            in_flight_max: policy.in_flight_max,
            out: VecDeque::new(),
            link: None,
            assembler: Assembler::new(SURFACE),
            decoding: None,
            spoilt: None,
            told: true,
            unshown: None,
            shown: (Epoch(0), UpdateId::BLANK),
            says_shown: false,
            closely: false,
            host_near: Stamp::ZERO,
            input: Outgoing::new(),
            clip: Clip::default(),
            bulk: Bulk::default(),
            silent: None,
            ask_at: None,
            reconnect_at: None,
            link_lost_at: None,
            woke: false,
            last_input_shown: InputSeq(0),
            cursor_number: 0,
            wish: SessionPolicy::NONE,
            holds: SessionPolicy::NONE,
            figures: Figures::default(),
            sound: sound::Sound::default(),
            lips: lips::Lips::default(),
            life: life::Life::default(),
            meanings: false,
            hands: 0,
            whole: None,
            shape: shape::Shape::default(),
            hidden: hidden::Hidden::default(),
            rested: proof::Rested::default(),
            widths: narrow::Widths::default(),
        }
    }

    /// What is still held, for [`Control::Attach`].
    // spec: Y-23
    pub fn held(&self) -> Vec<Held> {
        let a = &self.assembler;
        let usable = a.epoch().0 > 0 && self.spoilt != Some(a.epoch());
        // A slice that is being decoded will be held by the time the host acts on this.
        let decoding = self.decoding.as_ref().filter(|(e, _)| *e == a.epoch()).map(|(_, r)| r.id);
        let applied = decoding.unwrap_or(a.applied());
        let held = Held { surface: SURFACE, epoch: a.epoch(), applied, through: a.highest().max(applied) };
        usable.then_some(held).into_iter().collect()
    }

    /// What the host of the next connection said it can do; before [`Viewer::on_attached`].
    // spec: V-5
    pub fn on_capabilities(&mut self, capabilities: &Capabilities) {
        let half = Bytes(capabilities.value(Capability::ReceiveBuffer) / 2);
        self.in_flight_max = self.policy.in_flight_max.min(half);
        self.clip.on_capabilities(capabilities);
        // spec: S-5
        self.sound.understood = capabilities.value(Capability::Sound) & 1 != 0;
        self.life.understood = capabilities.value(Capability::Life) & 1 != 0;
        // spec: D-36
        self.says_shown = capabilities.value(Capability::Reports) & 1 != 0;
        // spec: D-37
        self.closely = capabilities.value(Capability::Reports) & 2 != 0;
        self.meanings = capabilities.value(Capability::Keys) & 1 != 0;
        // spec: D-34, D-35
        self.hands = capabilities.value(Capability::Hands);
        self.input.withhold(!self.peer_takes_touch(), !self.peer_takes_pen());
        self.agree_proofs(capabilities);
    }

    /// A connection stands and the host let us in. `host_now` is its clock when it said so.
    // spec: Y-24, Y-25, A-39
    pub fn on_attached(&mut self, now: Stamp<ViewerClock>, host_now: Stamp<HostClock>) {
        self.advance(now);
        if self.link.is_some() {
            self.forget_pastes();
        }
        self.bulk.on_link_lost();
        self.clip.on_attached();
        let mut link = Link::new(now, self.begin_policy());
        link.closely = self.closely;
        self.link.insert(link).clock.hear(host_now, now);
        self.woke = false;
        self.widths.on_attached(now);
        self.cursor_number = 0;
        self.host_near = host_now;
        self.input.on_new_link();
        self.link_lost_at = None;
        self.reconnect_at = None;
        self.ask_at = None;
        // What the old connection still had on the way will not come; the host codes against what was told in `held`.
        if self.assembler.epoch().0 > 0 {
            self.assembler.give_up();
            self.told = false;
        }
        self.shape.on_attached();
        self.hidden.on_attached();
        self.begin_sound();
        self.begin_life();
        self.be_silent(None);
        self.say_wish();
    }

    /// The connection is gone.
    // spec: Y-22
    pub fn on_link_lost(&mut self, now: Stamp<ViewerClock>) {
        self.advance(now);
        if self.link.take().is_none() {
            return;
        }
        self.link_lost_at = Some(now);
        self.reconnect_at = Some(now);
        self.forget_pastes();
        self.set_sound();
        self.forget_life();
        self.bulk.on_link_lost();
    }

    fn forget_pastes(&mut self) {
        self.clip.on_link_lost();
        while let Some(wish) = self.clip.wish() {
            self.out.push_back(ViewerOutput::Clip(wish));
        }
    }

    /// The path marks packets of ours as having met congestion, instead of dropping them (ECN).
    // spec: T-6
    pub fn on_marked(&mut self, now: Stamp<ViewerClock>) {
        self.advance(now);
        if let Some(link) = &mut self.link {
            link.rate.on_marked(now);
        }
    }

    /// The packets take another path (an address changed): delays are measured anew.
    pub fn on_path_changed(&mut self, now: Stamp<ViewerClock>) {
        self.advance(now);
        if let Some(link) = &mut self.link {
            link.rate.on_path_change(now);
            self.ask_at = Some(now);
        }
    }

    /// The user did something. A finger or a pen that the host does not take does nothing.
    // spec: D-34, D-35
    pub fn on_input(&mut self, now: Stamp<ViewerClock>, event: InputEvent) {
        self.advance(now);
        let event = match event {
            // spec: Y-32
            InputEvent::Press { code, .. } if !self.meanings => InputEvent::Key { code, action: KeyMove::Down },
            InputEvent::Touch { .. } if !self.peer_takes_touch() => return,
            InputEvent::Touch { finger, .. } if finger >= MAX_FINGERS => return,
            InputEvent::Pen(_) if !self.peer_takes_pen() => return,
            InputEvent::Pen(pen) => InputEvent::Pen(pen.possible()),
            event => event,
        };
        if let Some(link) = &mut self.link {
            link.rate.on_active(now);
        }
        self.lips.on_input(now);
        self.input.on_event(now, event);
    }

    /// Whether the host's desktop takes fingers, as it said when it was connected to last.
    pub const fn peer_takes_touch(&self) -> bool {
        self.hands & HANDS_TOUCH != 0
    }

    /// Whether it takes a pen.
    pub const fn peer_takes_pen(&self) -> bool {
        self.hands & HANDS_PEN != 0
    }

    /// Whether parts of a notch of the wheel act there by themselves.
    pub const fn peer_turns_finely(&self) -> bool {
        self.hands & HANDS_FINE_WHEEL != 0
    }

    /// A datagram came.
    // spec: F-2
    pub fn on_datagram(&mut self, incoming: &Incoming<ViewerClock>) {
        // The stamp is the network thread's: the mind may have been told a later time meanwhile.
        self.now = self.now.max(incoming.arrived);
        if let Err(fault) = self.read_datagram(&incoming.bytes, incoming.arrived) {
            self.reject(fault);
        }
    }

    /// A control message came, after authentication.
    // spec: K-3
    pub fn on_control(&mut self, now: Stamp<ViewerClock>, message: Control) {
        self.advance(now);
        if let Some(link) = &mut self.link {
            link.on_heard(now);
        }
        let result = if message.from_host() { self.read_control(message) } else { Err(Fault::WrongDirection) };
        if let Err(fault) = result {
            self.reject(fault);
        }
    }

    /// A [`DecodeJob`] was carried out and changed these pixels, or its bytes were refused.
    // spec: F-4, Y-9, Y-10, Y-11, Y-12
    pub fn on_decoded(&mut self, now: Stamp<ViewerClock>, epoch: Epoch, id: UpdateId, changed: Option<&Region<Surf>>) {
        self.advance(now);
        let Some((_, ready)) = self.decoding.take_if(|(e, r)| *e == epoch && r.id == id) else { return };
        if epoch != self.assembler.epoch() {
            return;
        }
        let Some(changed) = changed else {
            self.reject(Fault::BadPixels);
            self.spoil();
            return;
        };
        self.rest(epoch, ready.size, changed);
        let awaited = self.assembler.waits_for_rebase();
        self.assembler.on_applied(id, now);
        self.out.push_back(ViewerOutput::Note(Note::Applied { id }));
        let host = ready.journey.unwrap_or(self.unshown.map_or(HostJourney::default(), |(_, j, _)| j.host));
        let journey = Journey { host, arrived: ready.arrived, decoded: now, shown: Stamp::ZERO };
        if let Some(j) = ready.journey {
            self.host_near = self.host_near.max(j.sent);
        }
        self.unshown = Some(((epoch, id), journey, self.unshown.map_or(now, |(_, _, since)| since)));
        if let Some(link) = &mut self.link {
            match awaited {
                true => link.arrivals.hurry(now),
                false => link.arrivals.hurry_use(if ready.last { now } else { now + DELAY }),
            }
        }
        if ready.last {
            self.whole = Some(epoch);
            self.present();
        }
    }

    /// A present wish was carried out. Returns the whole journey, and the key press it answered, if it did.
    // spec: Y-44
    pub fn on_shown(
        &mut self,
        now: Stamp<ViewerClock>,
        epoch: Epoch,
        upto: UpdateId,
        journey: Journey,
    ) -> (Journey, Option<KeyJourney>) {
        self.advance(now);
        self.shown = self.shown.max((epoch, upto));
        self.lips.on_shown(now, (epoch, upto));
        let journey = Journey { shown: now, ..journey };
        let key = journey.host.input.filter(|(seq, _)| *seq > self.last_input_shown).and_then(|(seq, injected)| {
            self.last_input_shown = seq;
            self.input.taken_at(seq).map(|taken| KeyJourney { seq, taken, injected })
        });
        // A part of a frame that is shown early has no story of its own.
        if journey.host.sent != Stamp::ZERO
            && let Some(map) = self.clock_map()
        {
            let captured = journey.host.captured;
            let age = now.since(map.to_viewer(captured));
            self.out.push_back(ViewerOutput::Note(Note::Shown { captured, age }));
        }
        (journey, key)
    }

    /// Time passed.
    pub fn on_time(&mut self, now: Stamp<ViewerClock>) {
        self.advance(now);
    }

    /// What is wanted next. Ends in [`ViewerOutput::Idle`].
    pub fn poll_output(&mut self) -> ViewerOutput {
        if let Some(out) = self.out.pop_front() {
            return out;
        }
        let mut alarm = Alarm::new();
        self.pump(&mut alarm);
        match self.out.pop_front() {
            Some(out) => out,
            None => {
                let (until, why) = alarm.earliest();
                ViewerOutput::Idle { until, why }
            }
        }
    }

    /// How the two clocks stand to each other.
    pub fn clock_map(&self) -> Option<ClockMap> {
        // The link's estimate is host minus viewer; the map is viewer minus host.
        self.link.as_ref()?.clock.offset(self.now).map(|(o, error)| ClockMap { offset_us: o.saturating_neg(), error })
    }

    /// The round trip's smoothed time.
    pub fn rtt(&self) -> Option<Span> {
        self.link.as_ref().map(Link::rtt)
    }

    /// What came so far.
    pub fn figures(&self) -> Figures {
        let Some(link) = &self.link else { return self.figures };
        let (expected, received) = link.arrivals.counts();
        let rtt_variation = link.rate.rtt().variation;
        let uplink_bps = link.rate.budget(self.now).pace.as_bps();
        let film_held = self.lips.held(self.now);
        Figures { expected, received, rtt_variation, uplink_bps, film_held, ..self.figures }
    }

    /// Input events that were never delivered, as far as known.
    pub fn dropped_input(&self) -> u32 {
        self.input.dropped()
    }

    /// The surface's epoch and the last slice applied.
    pub const fn position(&self) -> (Epoch, UpdateId) {
        (self.assembler.epoch(), self.assembler.applied())
    }

    /// Checks what always holds; for tests and the fuzzer.
    pub fn verify(&self) {
        self.assembler.verify();
        assert!(self.out.len() < 100_000, "wishes are bounded by facts");
    }

    fn advance(&mut self, now: Stamp<ViewerClock>) {
        debug_assert!(now >= self.now, "time goes forwards");
        self.now = self.now.max(now);
    }

    fn reject(&mut self, fault: Fault) {
        self.out.push_back(ViewerOutput::Note(Note::Rejected { fault: fault.name() }));
    }

    fn send_control(&mut self, message: Control) {
        if self.link.is_some() {
            self.out.push_back(ViewerOutput::Control(message));
        }
    }

    // spec: F-4, Y-9
    fn spoil(&mut self) {
        let epoch = self.assembler.epoch();
        if self.spoilt != Some(epoch) {
            self.spoilt = Some(epoch);
            self.send_control(Control::Refresh { surface: SURFACE, epoch });
        }
    }

    fn present(&mut self) {
        if let Some(((epoch, upto), journey, _)) = self.unshown.take() {
            self.out.push_back(ViewerOutput::Present { surface: SURFACE, epoch, upto, journey });
        }
    }

    fn read_datagram(&mut self, bytes: &[u8], at: Stamp<ViewerClock>) -> Result<(), Fault> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let (low, datagram) = Datagram::decode(bytes)?;
        // spec: Y-12
        let lone = Answer::Lone(alone(link.rtt(), self.input.holds_anything()));
        let answer = match &datagram {
            Datagram::Feedback(_) => Answer::No,
            Datagram::Shard(s) if s.last && s.data == 1 => lone,
            Datagram::Cursor(_) => lone,
            _ => Answer::Within(DELAY),
        };
        let number = link.arrivals.on_datagram(low, at, answer);
        self.widths.on_datagram(at, bytes.len(), link.arrivals.counts());
        link.on_heard(at);
        let Some(number) = number else { return Ok(()) };
        self.figures.count(&datagram, bytes.len());
        match datagram {
            Datagram::Shard(shard) => {
                // spec: O-2
                if shard.surface != SURFACE {
                    return Err(Fault::UnknownSurface);
                }
                let result = self.assembler.on_shard(shard, at);
                if result == Err(Fault::TooMuchPending) {
                    self.told = false;
                    link.arrivals.hurry(at);
                }
                result.map(|_| ())
            }
            Datagram::Feedback(f) => self.on_feedback(at, &f),
            Datagram::Cursor(state) => {
                // spec: Y-27
                if number >= self.cursor_number {
                    self.cursor_number = number;
                    self.out.push_back(ViewerOutput::Cursor(state));
                }
                Ok(())
            }
            Datagram::Padding(_) => Ok(()),
            Datagram::Sound(packet) => self.on_sound(packet),
            Datagram::Input(_) => Err(Fault::WrongDirection),
        }
    }

    fn on_feedback(&mut self, at: Stamp<ViewerClock>, f: &Feedback) -> Result<(), Fault> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let settled = link.on_feedback(at, f)?;
        self.woke = false;
        for (carried, _) in &settled.arrived {
            if let Carried::Chunk(tag) = carried {
                self.bulk.on_settled(*tag, true);
            }
        }
        settled.lost.iter().for_each(|c| self.on_lost(*c));
        let ignored = self.assembler.ignored();
        self.told |= settled.arrived.iter().any(|(c, _)| matches!(c, Carried::GaveUp(id) if *id == ignored));
        if let Some(report) = f.input {
            self.input.on_report(report);
        }
        Ok(())
    }

    fn read_control(&mut self, message: Control) -> Result<(), Fault> {
        match message {
            Control::CursorShape(shape) => self.out.push_back(ViewerOutput::CursorShape(shape)),
            Control::PolicyTold(policy) => self.on_policy_told(policy),
            Control::PointerPut(at) => self.out.push_back(ViewerOutput::PointerPut(at)),
            Control::MonitorsTold(monitors) => {
                self.shape.on_told(self.now);
                self.out.push_back(ViewerOutput::Monitors(monitors));
            }
            Control::Notice(text) => self.out.push_back(ViewerOutput::Notice(text)),
            Control::SoundState { offers, takes } => self.on_sound_state(offers, takes),
            Control::Life(word) => self.on_life(word),
            Control::Bye { reason, text } => self.out.push_back(ViewerOutput::Closed { reason, text }),
            m @ (Control::ClipOffer { .. }
            | Control::ClipRequest { .. }
            | Control::ClipChunk { .. }
            | Control::ClipRefuse { .. }
            | Control::Clip(_)) => self.clip.on_control(self.now, &mut self.bulk, m)?,
            Control::BulkMore { pipe, upto } => self.bulk.on_more(pipe, upto),
            Control::File(word) => self.out.push_back(ViewerOutput::File(word)),
            _ => return Err(Fault::Unexpected),
        }
        Ok(())
    }

    fn pump(&mut self, alarm: &mut Alarm<ViewerClock>) {
        self.decode_next(alarm);
        self.show_parts(alarm);
        self.send_input(alarm);
        self.say_shape(alarm);
        self.say_hidden(alarm);
        self.watch_silence(alarm);
        self.send_clip(alarm);
        self.send_bulk(alarm);
        self.send_feedback(alarm);
        self.prove(alarm);
    }

    /// Shows what there is of a frame whose rest takes too long, or never comes because nothing of it differs any more.
    // spec: Y-10, Y-31
    fn show_parts(&mut self, alarm: &mut Alarm<ViewerClock>) {
        let waits = match self.whole.is_some_and(|whole| whole < self.assembler.epoch()) {
            true => SHOW_FIRST_PARTS_AFTER,
            false => SHOW_PARTS_AFTER,
        };
        match self.unshown.map(|(_, _, since)| since + waits) {
            Some(at) if at <= self.now => self.present(),
            at => alarm.set_if(at, Wake::Show),
        }
    }

    // spec: Y-6, Y-7, Y-9
    fn decode_next(&mut self, alarm: &mut Alarm<ViewerClock>) {
        let epoch = self.assembler.epoch();
        if self.decoding.is_some() || self.spoilt == Some(epoch) {
            return;
        }
        let waits = self.waits_for_sound();
        alarm.set_if(waits, Wake::Sound);
        let ready = if waits.is_some() { Ok(None) } else { self.assembler.take_ready(self.host_near) };
        match ready {
            Ok(Some(ready)) => {
                self.out.push_back(ViewerOutput::Decode(DecodeJob {
                    surface: SURFACE,
                    epoch,
                    size: ready.size,
                    id: ready.id,
                    ops: ready.ops.clone(),
                }));
                self.decoding = Some((epoch, Ready { ops: Vec::new(), ..ready }));
                return;
            }
            Ok(None) => {}
            Err(fault) => {
                self.reject(fault);
                self.spoil();
                return;
            }
        }
        let Some(link) = &mut self.link else { return };
        let rtt = link.rtt();
        // Time for the host to hear of the loss, to send again, and to do both once more.
        let patience = patience(rtt);
        match self.assembler.gives_up_at(patience) {
            Some(at) if at <= self.now => {
                self.assembler.give_up();
                self.figures.gave_up += 1;
                self.told = false;
                link.arrivals.hurry(self.now);
                self.out.push_back(ViewerOutput::Note(Note::GaveUp { at: self.assembler.applied() }));
            }
            Some(at) => alarm.set(at, Wake::GiveUp),
            None => {}
        }
        if self.assembler.waits_for_rebase() && !self.told {
            // The request itself may be lost: it is repeated until the host has it. The answer is the host's to repeat.
            let again = self.now + patience;
            link.arrivals.hurry(again);
        }
    }

    fn on_lost(&mut self, carried: Carried) {
        match carried {
            Carried::Sound(number) => self.on_sound_lost(number),
            // QUIC repairs bulk.
            Carried::Chunk(tag) => self.bulk.on_settled(tag, false),
            _ => {}
        }
    }

    fn send_input(&mut self, alarm: &mut Alarm<ViewerClock>) {
        let now = self.now;
        let Some(link) = &mut self.link else {
            // Without a link input still grows old, so that nothing late is delivered after it returns.
            self.input.due(now, SILENCE, None);
            return;
        };
        let rtt = link.rate.rtt();
        // spec: Y-16
        let rto = (rtt.smoothed + rtt.variation.scaled(4, 1) + ANSWER_INPUT + Span::millis(5)).max(Span::millis(30));
        let lone = link.is_lossy().then_some(LONE_AGAIN);
        if let Some(batch) = self.input.due(now, rto, lone) {
            let bytes = send_batch(link, now, batch, self.input.is_patient());
            self.out.push_back(ViewerOutput::Datagram(bytes));
            link.arrivals.ride(now);
        }
        alarm.set_if(self.input.next_wake(), Wake::Resend);
    }

    // spec: Y-13
    fn send_feedback(&mut self, alarm: &mut Alarm<ViewerClock>) {
        let now = self.now;
        let Some(link) = &mut self.link else { return };
        // The uplink's losses need no repair of their own: input repeats itself.
        let lost = link.on_time(now);
        lost.into_iter().for_each(|c| self.on_lost(c));
        let Some(link) = &mut self.link else { return };
        let mut report = self.assembler.report(now);
        // spec: D-36, Y-44
        if let Some(report) = report.as_mut().filter(|_| self.says_shown) {
            if self.hidden.is_hidden() {
                self.shown = (report.epoch, report.applied);
            }
            let (epoch, upto) = self.shown;
            report.shown = Some(if epoch == report.epoch { upto.min(report.applied) } else { UpdateId::BLANK });
        }
        let bytes = link.feedback(now, |f| {
            f.surfaces.extend(report);
            report.and_then(|r| r.gave_up).map_or(Carried::Other, Carried::GaveUp)
        });
        alarm.set_if(link.arrivals.due(), Wake::Feedback);
        self.out.extend(bytes.map(ViewerOutput::Datagram));
    }
}

/// Numbers and writes a batch; `patient`: its answer waits for company.
fn send_batch(
    link: &mut Link<ViewerClock, HostClock, Carried>,
    now: Stamp<ViewerClock>,
    batch: InputBatch,
    patient: bool,
) -> Vec<u8> {
    let sent = Datagram::Input(batch);
    match patient {
        true => link.send_patiently(now, &sent, Carried::Other),
        false => link.send(now, &sent, Carried::Other, SendClass::Unpaced, Bytes::default()),
    }
}

/// How long a viewer waits for a missing slice on a path with this round trip.
// spec: Y-6
pub(crate) fn patience(rtt: Span) -> Span {
    PATIENCE.max(rtt.scaled(2, 1) + Span::millis(40))
}
