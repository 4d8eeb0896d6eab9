//! The desk loop: capture, seats, input and clipboard on one thread. Each turn drains what happened, lets every mind
//! act, and waits for whatever comes first: a frame, a packet, a job done, an alarm.

mod asked;
mod clip;
mod files;
mod life;
mod paste;
mod screens;
mod watch;

use crate::ask::Ask;
use crate::clock::Clock;
use crate::coders::Coders;
use crate::door::{Answer, Caller, Doorkeeper};
use crate::files::Files;
use crate::guest::Guest;
use crate::hooks::Hooks;
use crate::notes::Notes;
use crate::seat::{Seat, Wish};
use crate::sound::Sound;
use crate::surface::Desktop;
use polling::{Events, Poller};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;
use telepane_capture::Event as CaptureEvent;
use telepane_input::clipboard::Clipboard;
use telepane_model::{
    ClipOffer, CursorShape, CursorState, Damage, FrameFacts, HostClock, InputEvent, Monitor, Span, Stamp, Version,
};
use telepane_protocol::{Capability, Control, FileWord, Goodbye, HostState, RefuseReason, VERSION};
use telepane_session::hands::Hands;
use telepane_session::life::{Caller as Newcomer, Left, Life, LifeOptions};
use telepane_session::places::Places;
use telepane_session::{HostOptions, Incoming};
use telepane_transport::{ConnFacts, ConnId, Event as NetEvent, Handle, Lanes};

pub use paste::Pastes;

/// Everything the loop owns.
pub struct Desk {
    /// The clock.
    pub clock: Clock,
    /// The desktop.
    pub desktop: Desktop,
    /// Who decides who comes in.
    pub door: Doorkeeper,
    /// The network's sending side.
    pub net: Handle,
    /// What the network says.
    pub events: Receiver<NetEvent>,
    /// What other threads ask.
    pub asks: Receiver<Ask>,
    /// Wakes the loop.
    pub poller: Arc<Poller>,
    /// What the desktop plays, and where microphones go.
    pub sound: Sound,
    /// The seats' coders.
    pub coders: Coders,
    /// The directory that is given out, if one is.
    pub files: Option<Files>,
    /// Packs and unpacks files of the clipboard.
    pub pastes: Option<Pastes>,
    /// Where notes go.
    pub notes: Notes,
    /// Who may be here, for how long, and who is told.
    pub life: Life,
    /// The same options that it has, for words.
    pub life_options: LifeOptions,
    /// Where events go, and what locks the desktop.
    pub hooks: Hooks,
    /// What the machine says of itself, where it says anything.
    pub machine: Option<Receiver<telepane_machine::Fact>>,
    /// Given to every seat.
    pub options: HostOptions,
    /// Set by a signal.
    pub stop: Arc<AtomicBool>,
    /// The name shown to viewers.
    pub host_name: String,
    /// Renews the short-lived certificate if it is time; asked once an hour.
    pub renew: Box<dyn FnMut()>,
}

/// What changes from turn to turn.
#[derive(Default)]
struct State {
    callers: BTreeMap<ConnId, (Caller, ConnFacts)>,
    seats: BTreeMap<u64, Seat>,
    next_seat: u64,
    /// Who was there, for the last events of their sessions.
    gone: BTreeMap<u64, serde_json::Value>,
    /// Somebody came or went.
    people_changed: bool,
    /// Whether the machine is there, and whether something on it asks that screens stay on.
    machine: HostState,
    keep_awake: bool,
    last_frame: Option<FrameFacts>,
    /// What everybody holds of the keyboard, the mouse, the touch screen and the pen.
    hands: Hands,
    cursor: Option<CursorState>,
    shape: Option<CursorShape>,
    monitors: Vec<Monitor>,
    places: Places,
    /// Descriptors the poller watches: capture, clipboard, the second selection.
    watched: [Option<i32>; 3],
    /// What the desktop's selections hold, and which viewer's offer that is, if it is one's.
    clips: [ClipOffer; 2],
    clip_of: [Option<u64>; 2],
    /// Whose offer each of them was last.
    clip_from: [Option<u64>; 2],
    /// What viewers paste of each other's, by the number it is asked for under.
    between: BTreeMap<u32, clip::Between>,
    next_between: u32,
    /// What is being read for a seat's request, and whether that is files.
    fetches: BTreeMap<u64, (u64, u32, bool)>,
    /// For which paste something is unpacked, by the thread's number, and whether the offer it is of still stands.
    unpacking: BTreeMap<u64, (u32, bool)>,
    /// What was unpacked last, of whose offer.
    unpacked: Option<paste::Unpacked>,
    next_fetch: u64,
    renew_at: Stamp<HostClock>,
    /// When the list of enrolled clients and the permissions are looked at next, if somebody is connected.
    rights_at: Stamp<HostClock>,
    /// What the doorkeeper answered last.
    rights_seen: u64,
    /// When the keys borrowed for typing text are given back.
    rest_at: Option<Stamp<HostClock>>,
}

/// Text that comes sooner than this after the last is typed with the same borrowed keys.
const REST_AFTER: Span = Span::secs(3);
/// What was revoked ends within this (DESIGN §2: no timer faster than this when idle).
const RIGHTS_EVERY: Span = Span::secs(1);
/// Sessions that are over and whose last events may not be told yet.
const MOST_GONE: usize = 16;
const HOUR: Span = Span::secs(3_600);
const CAPTURE: usize = 0;
const CLIPBOARD: usize = 1;
const PRIMARY: usize = 2;

impl Desk {
    /// Runs until a signal asks it to stop, or the desktop is gone for good.
    pub fn run(mut self) -> anyhow::Result<()> {
        let mut state = State { next_seat: 1, next_fetch: 1, ..State::default() };
        let mut happened = Events::new();
        let mut end = (Goodbye::Stopping, "the agent stops");
        let mut result = Ok(());
        while !self.stop.load(Ordering::Relaxed) {
            while let Ok(event) = self.events.try_recv() {
                self.on_net(&mut state, event);
            }
            while let Ok(ask) = self.asks.try_recv() {
                self.answer(&mut state, ask);
            }
            self.take_places(&mut state);
            self.rest(&mut state);
            if let Err(lost) = self.poll_capture(&mut state) {
                tracing::warn!(%lost, "the desktop is gone");
                end = (Goodbye::DesktopGone, "the desktop is gone");
                // A service that is stopped may lose its X server first.
                if !self.stop.load(Ordering::Relaxed) {
                    result = Err(anyhow::Error::new(lost).context("the desktop is gone for good"));
                }
                break;
            }
            self.poll_clipboard(&mut state);
            self.watch_rights(&mut state);
            self.take_coded(&mut state);
            self.take_sound(&mut state);
            self.take_files(&mut state);
            self.take_pastes(&mut state);
            self.take_machine(&mut state);
            self.desktop.begin_session(self.clock.now());
            let wake = self.drain_seats(&mut state);
            let wakes = [wake, self.take_life(&mut state), self.desktop.waits_until(), state.places.due()];
            let wake = wakes.into_iter().flatten().min();
            self.notes.flush();
            self.wait(&mut state, wake, &mut happened)?;
        }
        self.net.refuse_new();
        let now = self.clock.now();
        for seat in state.seats.values_mut() {
            seat.host.close(now, end.0, end.1);
            let pixels = self.desktop.source.pixels();
            seat.drain(&self.clock, &self.net, &mut self.coders, (&pixels, Version(0)), &mut self.notes, &mut |_| {});
        }
        for id in state.seats.keys().copied().collect::<Vec<_>>() {
            self.life.on_ended(now, id, Left::Stopping);
        }
        self.take_life(&mut state);
        if let Some(injector) = &mut self.desktop.injector {
            // A desktop that is gone holds no keys.
            let _ = injector.release_all();
        }
        self.notes.finish(now);
        self.notes.flush();
        result
    }

    fn on_net(&mut self, state: &mut State, event: NetEvent) {
        match event {
            NetEvent::Connected { conn, facts } => {
                match self.door.greet(facts.remote.ip(), facts.exporter, facts.recv_buffer) {
                    Ok(caller) => {
                        state.callers.insert(conn, (caller, facts));
                    }
                    Err(error) => {
                        tracing::error!(%error, "no randomness for a handshake");
                        self.net.close(conn, 0, "the agent cannot authenticate now");
                    }
                }
            }
            NetEvent::Datagram { conn, bytes, arrived_us } => {
                self.notes.counts.received_bytes += bytes.len() as u64;
                self.notes.counts.received_kinds.count(&bytes);
                if let Some(seat) = seat_of(state, conn) {
                    seat.received += bytes.len() as u64;
                    // The mind's time never goes back, however the threads were scheduled.
                    let arrived = Stamp::from_micros(arrived_us);
                    seat.host.on_datagram(&Incoming { bytes: bytes.to_vec(), arrived });
                }
            }
            NetEvent::Chunk { conn, bytes, arrived_us, .. } => {
                self.notes.counts.received_bytes += bytes.len() as u64;
                if let Some(seat) = seat_of(state, conn) {
                    seat.received += bytes.len() as u64;
                    seat.host.on_chunk(&Incoming { bytes, arrived: Stamp::from_micros(arrived_us) });
                }
            }
            NetEvent::Control { conn, message, .. } => self.on_control(state, conn, &message),
            NetEvent::PathChanged { conn, remote, max_datagram } => {
                tracing::info!(%remote, max_datagram, "the path changed");
                let now = self.clock.now();
                if let Some(seat) = seat_of(state, conn) {
                    if seat.guest.remote != remote {
                        seat.host.on_path_changed(now);
                    }
                    seat.guest.remote = remote;
                    seat.host.on_max_datagram(max_datagram);
                }
            }
            NetEvent::Marked { conn } => {
                let now = self.clock.now();
                if let Some(seat) = seat_of(state, conn) {
                    seat.host.on_marked(now);
                }
            }
            NetEvent::Closed { conn, reason } => {
                state.callers.remove(&conn);
                let now = self.clock.now();
                if let Some(seat) = seat_of(state, conn) {
                    tracing::info!(%reason, "connection over");
                    seat.detach(now);
                    let (id, over) = (seat.id, seat.files_only);
                    self.life.on_lost(now, id);
                    state.people_changed = true;
                    self.on_files_gone(state, id, over);
                }
            }
            _ => {}
        }
    }

    fn on_control(&mut self, state: &mut State, conn: ConnId, message: &[u8]) {
        let now = self.clock.now();
        self.notes.counts.received_bytes += message.len() as u64;
        if let Some(seat) = seat_of(state, conn) {
            seat.received += message.len() as u64;
            match Control::decode(message) {
                Ok(message) => seat.host.on_control(now, message),
                Err(fault) => self.notes.write(now, &telepane_model::Note::Rejected { fault: fault.name() }),
            }
            return;
        }
        let Some((caller, facts)) = state.callers.get_mut(&conn) else { return };
        if let Some(who) = &caller.who {
            let (max_datagram, remote) = (facts.max_datagram, facts.remote);
            let peer = caller.capabilities.clone();
            let enrolled = who.client.is_some_and(|c| self.door.is_enrolled(&c));
            let guest = Guest::new(who, remote, enrolled, self.door.features(who.user.as_str()));
            match Control::decode(message) {
                Ok(Control::Attach { session, want, scale, held }) => {
                    state.callers.remove(&conn);
                    let seat = self.attach(state, (conn, max_datagram), guest, session, &held, &peer);
                    // Who was refused, or only watches, gives the desktop no other shape.
                    if let Some(id) = seat.filter(|id| state.seats.get(id).is_some_and(Seat::may_shape)) {
                        self.rescale(state, id, scale);
                        if let Some(size) = want {
                            self.resize(state, size);
                        }
                    }
                }
                Ok(Control::File(FileWord::Attach)) => {
                    state.callers.remove(&conn);
                    self.attach_files(state, (conn, max_datagram), guest, &peer);
                }
                _ => self.net.close(conn, 0, "attach first"),
            }
            return;
        }
        let (messages, out) = match self.door.on_message(caller, message, now) {
            Answer::Go(messages) => (messages, false),
            Answer::In(messages) => {
                self.notes.counts.logins += 1;
                self.net.authenticated(conn);
                (messages, false)
            }
            Answer::Out(messages) => (messages, true),
        };
        for m in messages {
            // A connection that is already gone needs no answer.
            let _ = self.net.send_control(conn, &m.encode());
        }
        if out {
            self.notes.counts.logins_refused += 1;
            state.callers.remove(&conn);
            self.net.close(conn, 0, "not let in");
        }
    }

    fn attach(
        &mut self,
        state: &mut State,
        (conn, max_datagram): (ConnId, usize),
        guest: Guest,
        token: [u8; 16],
        held: &[telepane_protocol::control::Held],
        peer: &telepane_protocol::Capabilities,
    ) -> Option<u64> {
        let now = self.clock.now();
        let known = state.seats.values().find(|s| s.is_resumed_by(token, guest.client)).map(|s| s.id);
        let resumed = known.is_some();
        let caller = Newcomer { token, client: guest.client, user: &guest.user };
        match self.life.on_knock(&caller, known) {
            Ok(evicted) => evicted.into_iter().for_each(|id| {
                self.end_seat(state, id, Left::TakenOver, life::TAKEN_OVER);
            }),
            Err(refused) => {
                let (reason, text) = life::refusal(refused);
                tracing::info!(?refused, name = guest.name, "no session");
                let _ = self.net.send_control(conn, &Control::Refuse { reason, text: text.into() }.encode());
                self.net.close(conn, 0, text);
                return None;
            }
        }
        let id = match known {
            Some(id) => id,
            None => match self.new_seat(state, guest.clone(), now) {
                Some(id) => id,
                None => {
                    let text = "the agent has no randomness".into();
                    let refuse = Control::Refuse { reason: RefuseReason::Other, text };
                    let _ = self.net.send_control(conn, &refuse.encode());
                    self.net.close(conn, 0, "busy");
                    return None;
                }
            },
        };
        let resizable = self.desktop.source.describe().can_resize;
        let seat = state.seats.get_mut(&id)?;
        if let Some(old) = seat.conn.take() {
            seat.host.on_link_lost(now);
            if let Some(files) = &self.files {
                files.on_gone(id);
            }
            self.net.close(old, 0, "resumed on another connection");
        }
        let welcome = Control::Welcome {
            version: VERSION,
            session: seat.token,
            resumed,
            now,
            resizable,
            host: self.host_name.clone(),
        };
        // If the connection is gone meanwhile, its end is told next.
        let _ = self.net.send_control(conn, &welcome.encode());
        self.coders.agreed(id, peer);
        life::tell_machine(seat, now, (state.machine, state.keep_awake));
        let caller = Newcomer { token: seat.token, client: guest.client, user: &guest.user };
        self.life.on_came(now, id, &caller);
        state.people_changed = true;
        // An older client says nothing of its place.
        self.desktop.expect_place(now, peer.value(Capability::Life) & 1 != 0);
        seat.attach(now, conn, max_datagram, held, guest, peer);
        seat.on_sound(now, self.sound.has());
        let clips = clip::of_others(state.clips, state.clip_of, id);
        clips.filter(|c| !c.formats.is_empty()).for_each(|c| seat.on_clip_changed(now, c));
        self.open_primary(state);
        tracing::info!(seat = id, resumed, "attached");
        Some(id)
    }

    /// A seat is over for good: whoever wants to know is told.
    fn seat_over(&mut self, state: &mut State, seat: &Seat, why: Left) {
        if seat.files_only {
            return;
        }
        self.life.on_ended(self.clock.now(), seat.id, why);
        self.on_clip_owner_gone(state, seat.id);
        state.people_changed = true;
        state.gone.insert(seat.id, life::who_of(seat));
        while state.gone.len() > MOST_GONE {
            state.gone.pop_first();
        }
    }

    fn new_seat(&mut self, state: &mut State, guest: Guest, now: Stamp<HostClock>) -> Option<u64> {
        let token = telepane_auth::random::bytes().ok()?;
        let id = state.next_seat;
        state.next_seat += 1;
        let mut seat = Seat::new(id, token, guest, now, self.options.clone());
        if let Some(last) = &state.last_frame {
            let size = self.desktop.source.pixels().size();
            let whole = FrameFacts { damage: Damage::all(size), size, ..last.clone() };
            seat.host.on_frame(now, &whole);
        }
        seat.host.on_monitors(now, &state.monitors);
        if let Some(shape) = &state.shape {
            seat.on_cursor_shape(now, shape);
        }
        if let Some(cursor) = state.cursor {
            seat.on_cursor(now, cursor);
        }
        state.seats.insert(id, seat);
        Some(id)
    }

    /// Lets the screen be where nobody sees it. A display that is not known, or is back without its hands, is looked at all the same.
    fn rest(&mut self, state: &mut State) {
        let known = state.last_frame.is_some() && (self.desktop.injector.is_some() || self.desktop.display.is_none());
        let seen = viewers(state).any(|seat| seat.host.is_seen());
        self.desktop.source.rest(known && !seen);
    }

    fn poll_capture(&mut self, state: &mut State) -> Result<(), telepane_capture::Lost> {
        loop {
            let now = self.clock.now();
            let Some(event) = self.desktop.source.poll(now)? else { return Ok(()) };
            let now = self.clock.now();
            match event {
                CaptureEvent::Frame(facts) => {
                    self.notes.counts.frames_captured += 1;
                    self.notes.frame(&facts, &self.desktop.source.pixels());
                    for seat in viewers(state) {
                        seat.host.on_frame(now, &facts);
                    }
                    if self.desktop.injector.is_none() && self.desktop.display.is_some() {
                        self.reopen_hands();
                        state.hands = Hands::default();
                        self.open_primary(state);
                    }
                    state.last_frame = Some(facts);
                }
                CaptureEvent::Cursor(cursor) => {
                    state.cursor = Some(cursor);
                    viewers(state).for_each(|s| s.on_cursor(now, cursor));
                }
                CaptureEvent::CursorShape(shape) => {
                    viewers(state).for_each(|s| s.on_cursor_shape(now, &shape));
                    state.shape = Some(shape);
                }
                CaptureEvent::PointerPut(at) => viewers(state).for_each(|s| s.on_pointer_put(now, at)),
                CaptureEvent::Monitors(monitors) => {
                    viewers(state).for_each(|s| s.host.on_monitors(now, &monitors));
                    state.places.on_layout(now, &monitors);
                    state.monitors = monitors;
                }
                CaptureEvent::Gone => {
                    tracing::warn!("the display is gone; waiting for it to come back");
                    self.desktop.injector = None;
                    (self.desktop.clipboard, self.desktop.primary) = (None, None);
                    if let Some(why) = self.desktop.running.as_mut().and_then(|r| r.server_ended()) {
                        tracing::warn!(why, "the virtual desktop's server ended");
                    }
                }
            }
        }
    }

    fn reopen_hands(&mut self) {
        if let Err(error) = self.desktop.open_hands() {
            tracing::warn!(%error, "input cannot be opened yet");
        }
        self.door.hands = self.desktop.hands();
    }

    fn take_coded(&mut self, state: &mut State) {
        self.coders.retain(|seat| state.seats.contains_key(&seat));
        let version = Version(state.last_frame.as_ref().map_or(0, |f| f.id.0));
        let pixels = self.desktop.source.pixels();
        for answer in self.coders.done(&self.clock, (&pixels, version)) {
            if let Some(seat) = state.seats.get_mut(&answer.seat) {
                // Read anew: what the network said before carries later stamps than the turn's beginning.
                seat.on_answer(self.clock.now(), answer, &mut self.notes);
            }
        }
        for film in self.coders.film_coded() {
            film.took.iter().for_each(|took| self.notes.counts.encode.observe(*took));
            if let Some(seat) = state.seats.get_mut(&film.seat) {
                seat.host.on_film_coded(self.clock.now(), film.job);
            }
        }
    }

    fn take_sound(&mut self, state: &mut State) {
        while let Some(frame) = self.sound.next_frame() {
            let now = self.clock.now();
            state.seats.values_mut().for_each(|seat| seat.host.on_sound(now, frame.clone()));
        }
    }

    fn drain_seats(&mut self, state: &mut State) -> Option<Stamp<HostClock>> {
        let version = Version(state.last_frame.as_ref().map_or(0, |f| f.id.0));
        let pixels = self.desktop.source.pixels();
        let mut wake: Option<Stamp<HostClock>> = None;
        let mut wishes = Vec::new();
        for seat in state.seats.values_mut() {
            let id = seat.id;
            seat.drain(&self.clock, &self.net, &mut self.coders, (&pixels, version), &mut self.notes, &mut |w| {
                // Of several sizes wished for at once only the last is worth a mode.
                if w.shapes_desktop() {
                    wishes.retain(|(_, earlier): &(_, Wish)| !earlier.shapes_desktop());
                }
                wishes.push((id, w))
            });
            wake = [wake, seat.wake].into_iter().flatten().min();
            if let Some(at) = seat.input_at.take().filter(|_| !seat.files_only) {
                self.life.on_input(at, id);
            }
        }
        drop(pixels);
        self.sound.follow(state.seats.values().map(|s| s.coding));
        for (id, wish) in wishes {
            // What one viewer pastes another one is asked for, and that one's answer goes to the first.
            if matches!(wish, Wish::Clip(_)) {
                wake = Some(self.clock.now());
            }
            self.grant(state, id, wish);
        }
        wake
    }

    fn grant(&mut self, state: &mut State, seat: u64, wish: Wish) {
        match wish {
            Wish::Inject(event) => {
                let events = state.hands.on_event(seat, event);
                self.inject(state, &events);
            }
            Wish::ReleaseAll => self.let_go(state, seat),
            Wish::Resize(size, scale) => {
                self.rescale(state, seat, scale);
                self.resize(state, size);
            }
            Wish::Monitors(monitors) => self.arrange(state, seat, &monitors),
            Wish::Clip(wish) => self.on_clip_wish(state, seat, wish),
            Wish::Microphone(packet) => self.sound.play(self.clock.now(), seat, packet),
            Wish::Bulk(wish) => self.on_bulk_wish(state, seat, wish),
            Wish::File(word) => self.on_file_word(state, seat, word),
            Wish::Left => {
                if let Some(files) = &self.files {
                    files.on_gone(seat);
                }
                self.let_go(state, seat);
                if let Some(seat) = state.seats.remove(&seat) {
                    self.seat_over(state, &seat, Left::Left);
                    if let Some(conn) = seat.conn {
                        self.net.close(conn, 0, "goodbye");
                    }
                }
            }
            Wish::Place(place) => self.desktop.on_place(self.clock.now(), &place),
        }
    }

    /// Lets go of what this seat holds.
    fn let_go(&mut self, state: &mut State, seat: u64) {
        let events = state.hands.on_released(seat);
        self.inject(state, &events);
    }

    /// The desktop's devices do this.
    fn inject(&mut self, state: &mut State, events: &[InputEvent]) {
        let now = self.clock.now();
        for event in events {
            self.desktop.source.expect_echo(now);
            match event {
                InputEvent::PointerTo(at) => self.desktop.source.expect_pointer(Some(*at)),
                InputEvent::PointerBy { .. } | InputEvent::Touch { .. } | InputEvent::Pen(_) => {
                    self.desktop.source.expect_pointer(None);
                }
                _ => {}
            }
            let Some(injector) = &mut self.desktop.injector else {
                self.desktop.source.input(event);
                continue;
            };
            let done = injector.inject(event);
            if injector.has_borrowed() {
                state.rest_at = Some(now + REST_AFTER);
            }
            if let Err(error) = done {
                tracing::warn!(%error, "input is gone");
                self.desktop.injector = None;
                state.hands = Hands::default();
                return;
            }
        }
    }

    fn wait(&mut self, state: &mut State, wake: Option<Stamp<HostClock>>, happened: &mut Events) -> anyhow::Result<()> {
        let source = self.desktop.source.wake();
        let clipboards = [self.desktop.clipboard.as_ref(), self.desktop.primary.as_ref()];
        let clip_at = clipboards.into_iter().flatten().filter_map(Clipboard::deadline).min();
        let [clipboard, primary] = clipboards.map(|c| c.and_then(watch::descriptor));
        self.watch(state, CAPTURE, source.fd)?;
        self.watch(state, CLIPBOARD, clipboard)?;
        self.watch(state, PRIMARY, primary)?;
        let at = [wake, source.at, clip_at].into_iter().flatten().min();
        let now = self.clock.now();
        if now >= state.renew_at {
            (self.renew)();
            self.tidy();
            state.renew_at = now + HOUR;
        }
        if state.rest_at.is_some_and(|at| now >= at) {
            state.rest_at = None;
            if let Some(error) = self.desktop.injector.as_mut().and_then(|i| i.rest().err()) {
                tracing::warn!(%error, "input is gone");
                self.desktop.injector = None;
            }
        }
        let at = [at, state.rest_at, Self::rights_due(state)].into_iter().flatten().fold(state.renew_at, Stamp::min);
        happened.clear();
        self.poller.wait(happened, Some(Duration::from_micros(at.since(now).as_micros())))?;
        Ok(())
    }
}

/// The seats that see the desktop.
fn viewers(state: &mut State) -> impl Iterator<Item = &mut Seat> {
    state.seats.values_mut().filter(|s| !s.files_only)
}

fn seat_of(state: &mut State, conn: ConnId) -> Option<&mut Seat> {
    state.seats.values_mut().find(|s| s.conn == Some(conn))
}
