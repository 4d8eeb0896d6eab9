//! The event loop: winit's events in, the model's turns, and the present that follows at once.
//!
//! One iteration: events go to the model as they come; when the batch is over (`about_to_wait`) the model takes its
//! turn, and what it says changed is painted and presented before the loop sleeps. Nothing waits for a redraw event.

use super::caret::Caret;
use super::composing::Preedit;
use super::glyphs::Glyphs;
use super::grab::Grab;
use super::hands::Hands;
use super::keys::{Keyboard, Stroke, is_typing_key, key_code};
use super::live::Live;
use super::meaning::{Sense, is_modifier, sense};
use super::pointer::Pointer;
use super::present::Probe;
use super::screen::{self, Screen};
use super::seen::Seen;
use super::set::Set;
use super::taken::TakenKey;
use super::windows::LOSING;
use super::{Model, UiError, UiOptions, Veil, WindowFact};
use std::time::Duration;
use telepane_model::input::MAX_TEXT;
use telepane_model::{Button, Desk, InputEvent, KeyCode, KeyMove, Pen, Point, Region, TouchPhase};
use winit::application::ApplicationHandler;
use winit::event::{DeviceEvent, DeviceId, ElementState, Ime, KeyEvent, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop, EventLoopProxy};
use winit::keyboard::{Key, ModifiersState, NamedKey};
use winit::window::WindowId;

/// The most characters an answer may have.
const MAX_ANSWER: usize = 256;
/// The pause between two of them.
const FOCUS_PAUSE: Duration = Duration::from_millis(20);

/// What reaches the window's thread from others.
#[derive(Debug)]
pub(super) enum UserEvent<W> {
    Wake(W),
    GpuFound,
    FontsFound(Box<fontdb::Database>),
}

/// Wakes the window's thread from any other.
#[derive(Debug)]
pub struct Waker<W: Send + 'static> {
    proxy: EventLoopProxy<UserEvent<W>>,
    on_wayland: bool,
}

impl<W: Send + 'static> Clone for Waker<W> {
    fn clone(&self) -> Self {
        Self { proxy: self.proxy.clone(), on_wayland: self.on_wayland }
    }
}

impl<W: Send + 'static> Waker<W> {
    /// Posts `wake` for [`Model::on_wake`]; `false` when the window is gone.
    pub fn wake(&self, wake: W) -> bool {
        self.proxy.send_event(UserEvent::Wake(wake)).is_ok()
    }

    /// Whether the window is on Wayland.
    pub const fn is_on_wayland(&self) -> bool {
        self.on_wayland
    }
}

/// Opens the window and runs it until the model exits; returns the model's code. Blocks the calling thread, which
/// must be the main one on macOS. `make` is called before the window exists, so that the network need not wait for it.
///
/// # Errors
/// [`UiError`] when there is no display, no window or no renderer.
pub fn run<M: Model>(
    make: impl FnOnce(Waker<M::Wake>) -> anyhow::Result<M>,
    options: UiOptions,
) -> Result<i32, UiError> {
    let events = EventLoop::with_user_event().build().map_err(UiError::NoDisplay)?;
    let proxy = events.create_proxy();
    let waker = Waker { proxy: proxy.clone(), on_wayland: screen::is_wayland(&events) };
    let model = make(waker).map_err(UiError::Model)?;
    let mut shell = Shell {
        model,
        options,
        proxy,
        screen: None,
        lives: Vec::new(),
        set: Set::default(),
        front: None,
        losing: 0,
        gpu: false,
        probe: None,
        keyboard: Keyboard::default(),
        pointer: Pointer::default(),
        hands: Hands::default(),
        typed: String::new(),
        caret: Caret::default(),
        glyphs: Glyphs::default(),
        modifiers: ModifiersState::empty(),
        grab: Grab::default(),
        seen: Seen::default(),
        code: None,
        error: None,
    };
    let ended = events.run_app(&mut shell);
    if let Some(probe) = &shell.probe {
        probe.settle();
    }
    match (shell.error, ended) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(UiError::Loop(error)),
        (None, Ok(())) => Ok(shell.code.unwrap_or(0)),
    }
}

/// The application as winit sees it.
pub(super) struct Shell<M: Model> {
    pub(super) model: M,
    pub(super) options: UiOptions,
    pub(super) proxy: EventLoopProxy<UserEvent<M::Wake>>,
    /// Once the loop runs.
    pub(super) screen: Option<Screen>,
    /// The windows, in the order of what they show.
    pub(super) lives: Vec<Live>,
    pub(super) set: Set,
    /// The window that had the keyboard last.
    pub(super) front: Option<WindowId>,
    /// The keyboard left a window of ours, and may come to another in so many more rounds of the loop.
    pub(super) losing: u8,
    /// There is a real GPU.
    pub(super) gpu: bool,
    pub(super) probe: Option<Probe>,
    keyboard: Keyboard,
    pub(super) pointer: Pointer,
    pub(super) hands: Hands,
    pub(super) typed: String,
    /// Where the desktop's text is being written.
    pub(super) caret: Caret,
    pub(super) glyphs: Glyphs,
    /// The modifiers that are down here.
    modifiers: ModifiersState,
    pub(super) grab: Grab,
    pub(super) seen: Seen,
    code: Option<i32>,
    pub(super) error: Option<UiError>,
}

impl<M: Model> Shell<M> {
    /// Whether the window itself takes what is typed and clicked.
    pub(super) fn asking(&self) -> bool {
        matches!(self.model.veil(), Veil::Ask { .. })
    }

    fn key(&mut self, event: &KeyEvent, synthetic: bool) {
        let pressed = event.state == ElementState::Pressed;
        let code = key_code(event.physical_key);
        if let (Some(screen), Some(code)) = (self.screen.as_mut().filter(|_| !synthetic), code) {
            let earlier = screen.taken_before(code, pressed);
            self.hear_taken(earlier);
        }
        if pressed && !synthetic && self.asking() {
            if let Some(code) = code {
                self.keyboard.mute(code);
            }
            self.type_answer(event);
            return;
        }
        // A spare key that something here has given a character: on the host it would type nothing.
        if pressed && !synthetic && code.is_none_or(|c| !is_typing_key(c)) {
            let text = event.text.as_ref().filter(|t| !t.chars().any(char::is_control));
            if let Some(text) = text {
                self.type_text(text.as_str());
                return;
            }
        }
        let Some(code) = code else { return };
        match self.keyboard.key(code, pressed, event.repeat, synthetic) {
            stroke @ Stroke::Send(KeyMove::Down) if !synthetic && !self.pointer.is_captured() => {
                self.tell_way_out(stroke, code);
                self.go_down(code, event);
            }
            stroke => self.follow(stroke, code),
        }
    }

    /// Keys that a hook kept from the system, in their place among the others. Without the keyboard they are nobody's.
    // spec: Y-34
    fn hear_taken(&mut self, keys: Vec<TakenKey>) {
        for TakenKey { code, down, repeat } in keys {
            if !self.lives.iter().any(|live| live.focused) {
                continue;
            }
            if down && self.asking() {
                self.keyboard.mute(code);
                continue;
            }
            let stroke = self.keyboard.key(code, down, repeat, false);
            self.follow(stroke, code);
        }
    }

    /// The same at a moment at which no other key is on its way.
    fn hear_all_taken(&mut self) {
        let taken = self.screen.as_mut().map(Screen::taken).unwrap_or_default();
        self.hear_taken(taken);
    }

    /// The first shortcut that went to the desktop says how to get out.
    fn tell_way_out(&mut self, stroke: Stroke, code: KeyCode) {
        if stroke == Stroke::Send(KeyMove::Down) && self.keyboard.is_shortcut(code) && self.grab.is_first() {
            self.model.window(WindowFact::Grabbed(true));
        }
    }

    fn follow(&mut self, stroke: Stroke, code: KeyCode) {
        self.tell_way_out(stroke, code);
        match stroke {
            Stroke::Send(action) => self.input(InputEvent::Key { code, action }),
            Stroke::Overlay => self.model.window(WindowFact::OverlayToggled),
            Stroke::Sharpen(steps) => self.model.window(WindowFact::Sharpen(steps)),
            Stroke::Scale(steps) => self.model.window(WindowFact::ScaleWished(steps)),
            Stroke::Sound => self.model.window(WindowFact::SoundToggled),
            Stroke::Microphone => self.model.window(WindowFact::MicrophoneToggled),
            Stroke::PasteAsKeys => self.model.window(WindowFact::PasteAsKeys),
            Stroke::AllWindows => self.reopen(),
            Stroke::Fullscreen => self.toggle_fullscreen(),
            Stroke::Shortcuts => self.toggle_grab(),
            Stroke::Relative => self.capture(!self.pointer.is_captured()),
            Stroke::Swallow => {}
        }
    }

    /// A key went down, and is told with what it means here.
    // spec: Y-32
    fn go_down(&mut self, code: KeyCode, event: &KeyEvent) {
        match sense(code, event) {
            Sense::Place => self.input(InputEvent::Key { code, action: KeyMove::Down }),
            Sense::Means(means) => self.input(InputEvent::Press { code, means }),
            Sense::Text(text) => {
                self.keyboard.forget(code);
                self.type_text(&text);
            }
            Sense::Nothing => self.keyboard.forget(code),
        }
    }

    /// Captures the pointer or sets it free, and tells.
    pub(super) fn capture(&mut self, on: bool) {
        let front = self.front();
        let Some(live) = self.lives.get_mut(front).filter(|_| on != self.pointer.is_captured()) else { return };
        let how = on.then(|| live.capture()).transpose();
        if let Err(error) = &how {
            tracing::warn!(%error, "the pointer cannot be captured");
        }
        if !on {
            live.set_free(self.model.cursor().map(|(_, state)| state.at));
        }
        self.flush_motion();
        self.pointer.capture(how.as_ref().ok().copied().flatten());
        self.model.window(WindowFact::Captured(how.is_ok().then_some(on)));
    }

    fn type_answer(&mut self, event: &KeyEvent) {
        match &event.logical_key {
            Key::Named(NamedKey::Enter) if !event.repeat => {
                let answer = std::mem::take(&mut self.typed);
                self.model.answer(answer);
            }
            Key::Named(NamedKey::Escape) if !event.repeat => {
                self.typed.clear();
                self.model.window(WindowFact::CloseRequested);
            }
            Key::Named(NamedKey::Backspace) => {
                self.typed.pop();
            }
            _ => {
                if let Some(text) = &event.text {
                    self.add_answer(text.as_str());
                }
            }
        }
    }

    fn add_answer(&mut self, text: &str) {
        let room = MAX_ANSWER.saturating_sub(self.typed.chars().count());
        self.typed.extend(text.chars().filter(|c| !c.is_control()).take(room));
    }

    // spec: Y-33
    fn ime(&mut self, window: usize, ime: Ime) {
        let asking = self.asking();
        match ime {
            Ime::Commit(text) if asking => self.add_answer(&text),
            Ime::Commit(text) => self.type_text(&text),
            Ime::Preedit(text, cursor) if !text.is_empty() && !asking => {
                self.look_for_fonts();
                if let Some(live) = self.lives.get_mut(window) {
                    live.preedit = Some(Preedit { text, cursor: cursor.map(|(_, end)| end) });
                }
                self.let_go();
            }
            Ime::Preedit(..) | Ime::Enabled | Ime::Disabled => {
                let composed = self.lives.get_mut(window).and_then(|live| live.preedit.take());
                if composed.is_some() {
                    self.let_go();
                }
            }
        }
    }

    /// The platform does not say what comes up while an input method composes.
    fn let_go(&mut self) {
        for code in self.keyboard.composing(self.modifiers) {
            self.input(InputEvent::Key { code, action: KeyMove::Up });
        }
    }

    /// Once, and on a thread of its own.
    fn look_for_fonts(&mut self) {
        if self.glyphs.are_wanted() {
            let proxy = self.proxy.clone();
            let body = move || {
                let _ = proxy.send_event(UserEvent::FontsFound(Glyphs::look()));
            };
            if let Err(error) = std::thread::Builder::new().name("fonts".to_owned()).spawn(body) {
                tracing::warn!(%error, "no fonts are looked for");
            }
        }
    }

    /// Text that no key of the host gives, in parts that an event may hold.
    fn type_text(&mut self, text: &str) {
        let mut part = String::new();
        for c in text.chars() {
            if part.len() + c.len_utf8() > MAX_TEXT {
                self.input(InputEvent::Text(std::mem::take(&mut part)));
            }
            part.push(c);
        }
        if !part.is_empty() {
            self.input(InputEvent::Text(part));
        }
    }

    /// Tells the model, after the motion that came before.
    pub(super) fn input(&mut self, event: InputEvent) {
        self.flush_motion();
        match event {
            InputEvent::Key { code, .. } | InputEvent::Press { code, .. } if is_modifier(code) => {}
            InputEvent::Button { button: Button::Left, down: true } => self.caret.on_click(),
            InputEvent::Touch { phase: TouchPhase::Down, at, .. } | InputEvent::Pen(Pen { touching: true, at, .. }) => {
                self.caret.on_pointed(Some(at));
                self.caret.on_click();
            }
            InputEvent::Button { .. } | InputEvent::Wheel { .. } | InputEvent::Touch { .. } | InputEvent::Pen(_) => {}
            _ if event.is_press() => self.caret.on_typed(),
            _ => {}
        }
        self.model.input(event);
    }

    fn flush_motion(&mut self) {
        for moved in self.hands.flush() {
            self.model.input(moved);
        }
        if let Some(motion) = self.pointer.flush() {
            self.caret.on_pointed(match motion {
                InputEvent::PointerTo(at) => Some(at),
                _ => None,
            });
            self.model.input(motion);
        }
    }

    pub(super) fn moved(&mut self, window: usize, at: (f64, f64)) {
        let asking = self.asking();
        let Some(live) = self.lives.get_mut(window) else { return };
        live.at = Some(Point::new(at.0.floor() as i32, at.1.floor() as i32));
        if let Some(place) = self.pointer.confined_at(at.0, at.1, (live.size.w, live.size.h)) {
            live.put(place);
        }
        if asking {
            return;
        }
        let (window, at) = self.dragged_to(window, at);
        if let Some(layout) = self.lives.get(window).and_then(|live| live.layout) {
            self.pointer.moved(layout.to_desk(at.0, at.1));
        }
    }

    /// Which window lies under a place of this one, and where in it: with a button held a pointer belongs to the window in
    /// which it was pressed, wherever it goes.
    pub(super) fn dragged_to(&self, window: usize, at: (f64, f64)) -> (usize, (f64, f64)) {
        let Some(live) = self.lives.get(window).filter(|_| self.lives.len() > 1) else { return (window, at) };
        let (w, h) = (f64::from(live.size.w), f64::from(live.size.h));
        if (0.0..w).contains(&at.0) && (0.0..h).contains(&at.1) {
            return (window, at);
        }
        let Some(on_screen) = live.on_screen(at) else { return (window, at) };
        let there = self.lives.iter().enumerate().find_map(|(n, live)| Some((n, live.in_window(on_screen)?)));
        there.unwrap_or((window, at))
    }

    fn focus(&mut self, window: usize, focused: bool) {
        if self.lives.get(window).is_none_or(|live| live.focused == focused) {
            return;
        }
        if !focused {
            // What was taken is the desktop's, which lets go of it next.
            self.hear_all_taken();
        }
        let Some(live) = self.lives.get_mut(window) else { return };
        live.focused = focused;
        if focused {
            if let Some(screen) = &self.screen {
                live.insist_on_spreading(screen);
            }
            self.front = Some(live.window.id());
            self.grab.try_anew();
            if std::mem::take(&mut self.losing) > 0 {
                self.keyboard.hand_over();
                return;
            }
            let (caps, num) = self.screen.as_mut().map(Screen::locks).unwrap_or_default();
            self.input(InputEvent::Focus { caps, num });
        } else {
            // Whoever took the keyboard keeps it, and wants the pointer too.
            live.focus_tries = 0;
            live.preedit = None;
            let id = live.window.id();
            self.capture(false);
            self.take_back(id);
            if self.lives.iter().any(|live| live.focused) {
                // Another window of ours had it before this one heard so.
                self.keyboard.hand_over();
            } else if self.lives.len() > 1 {
                self.losing = LOSING;
            } else {
                self.blur();
            }
        }
    }

    fn resized(&mut self, window: usize) {
        let (Some(screen), Some(live)) = (&mut self.screen, self.lives.get_mut(window)) else { return };
        screen.look_again();
        live.resized();
        live.insist_on_spreading(screen);
        self.tell_shape(window);
    }

    /// No window of ours has the keyboard.
    fn blur(&mut self) {
        self.losing = 0;
        self.flush_motion();
        self.keyboard.blur();
        self.pointer.blur();
        self.model.input(InputEvent::Blur);
    }

    /// The keyboard that one window lost has not come to another; or what was held on its way there is known by now.
    fn settle_focus(&mut self) {
        for code in self.keyboard.came_up() {
            self.input(InputEvent::Key { code, action: KeyMove::Up });
        }
        if self.losing > 0 {
            self.losing -= 1;
            if self.losing == 0 {
                self.blur();
            }
        }
    }

    /// Puts the platform's pointer where an application has put the desktop's: under the hand that holds it, and no other.
    fn put(&mut self, at: Point<Desk>) {
        let free = !self.pointer.is_captured() && !self.hands.have_the_pointer();
        let ours = self.lives.iter().any(|live| live.focused) && free;
        let is_over = |live: &Live| live.at.zip(live.layout).is_some_and(|(at, layout)| layout.picture().holds(at));
        if !ours || !self.lives.iter().any(is_over) {
            return;
        }
        if let Some((live, place)) = self.lives.iter().find_map(|live| Some((live, live.to_view(at)?))) {
            self.pointer.put(at);
            live.put((f64::from(place.x), f64::from(place.y)));
        }
    }
}

impl<M: Model> ApplicationHandler<UserEvent<M::Wake>> for Shell<M> {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        if self.screen.is_none()
            && let Err(error) = self.open(events)
        {
            self.error = Some(error);
            events.exit();
        }
    }

    fn user_event(&mut self, _: &ActiveEventLoop, event: UserEvent<M::Wake>) {
        match event {
            UserEvent::Wake(wake) => self.model.on_wake(wake),
            UserEvent::GpuFound => self.gpu_found(),
            UserEvent::FontsFound(system) => self.glyphs.on_found(system),
        }
    }

    fn window_event(&mut self, events: &ActiveEventLoop, id: WindowId, event: WindowEvent) {
        // One that is closed may have more to say.
        let Some(window) = self.number(id) else { return };
        let held = matches!(
            event,
            WindowEvent::CursorMoved { .. }
                | WindowEvent::CursorEntered { .. }
                | WindowEvent::AxisMotion { .. }
                | WindowEvent::Touch(_)
        );
        if !held {
            self.release_motion();
        }
        match event {
            WindowEvent::CloseRequested => self.close(window),
            WindowEvent::Resized(_) | WindowEvent::ScaleFactorChanged { .. } => self.resized(window),
            WindowEvent::RedrawRequested => {
                // Some platforms send it after `about_to_wait`, so it is served here.
                if self.lives.get(window).is_some_and(Live::has_another_size) {
                    self.resized(window);
                }
                if let Some(live) = self.lives.get_mut(window) {
                    live.stale = true;
                }
                self.show(events, &Region::new(), false);
            }
            WindowEvent::DroppedFile(path) => self.model.window(WindowFact::Dropped(path)),
            WindowEvent::Moved(_) => {
                if let (Some(screen), Some(live)) = (&self.screen, self.lives.get(window)) {
                    live.insist_on_spreading(screen);
                }
                self.tell_shape(window);
            }
            WindowEvent::Occluded(covered) => {
                if let Some(live) = self.lives.get_mut(window) {
                    live.covered = covered;
                }
            }
            WindowEvent::Focused(focused) => self.focus(window, focused),
            WindowEvent::KeyboardInput { event, is_synthetic, .. } => self.key(&event, is_synthetic),
            WindowEvent::Ime(ime) => self.ime(window, ime),
            WindowEvent::ModifiersChanged(modifiers) => {
                self.modifiers = modifiers.state();
                if self.lives.iter().any(|live| live.preedit.is_some()) {
                    self.let_go();
                }
            }
            WindowEvent::CursorMoved { position, .. } => self.hold_motion(id, position),
            WindowEvent::Touch(touch) => self.touched(window, &touch),
            WindowEvent::CursorLeft { .. } => {
                if let Some(live) = self.lives.get_mut(window).filter(|_| !self.pointer.is_captured()) {
                    live.at = None;
                }
            }
            WindowEvent::MouseInput { state, button, .. } => {
                let down = state == ElementState::Pressed;
                if self.is_a_pens_button(button, down) {
                    return;
                }
                if let Some(live) = self.lives.get_mut(window).filter(|l| down && !l.focused) {
                    // Without a window manager a click gives nobody the keyboard.
                    live.focus_tries = live.focus_tries.max(1);
                }
                if !(down && self.asking())
                    && let Some(event) = self.pointer.button(button, down)
                {
                    self.input(event);
                }
            }
            WindowEvent::MouseWheel { delta, .. } => {
                if let Some(event) = self.pointer.wheel(delta).filter(|_| !self.asking()) {
                    self.input(event);
                }
            }
            _ => {}
        }
    }

    fn device_event(&mut self, _: &ActiveEventLoop, _: DeviceId, event: DeviceEvent) {
        match event {
            DeviceEvent::Button { button, state } => self.pointer.raw_button(button, state == ElementState::Pressed),
            DeviceEvent::MouseMotion { delta: (dx, dy) } => self.pointer.moved_by(dx, dy),
            _ => {}
        }
    }

    fn about_to_wait(&mut self, events: &ActiveEventLoop) {
        if events.exiting() {
            return;
        }
        self.hear_all_taken();
        let asking = self.asking();
        if asking {
            self.capture(false);
        }
        let hands = self.follow_hands();
        self.flush_motion();
        self.settle_focus();
        self.look_at_monitors();
        let seen = self.look_whether_seen();
        let turn = self.model.turn();
        if let Some(code) = turn.exit {
            self.code = Some(code);
            events.exit();
            return;
        }
        if let Some(at) = turn.put {
            self.put(at);
        }
        self.follow_monitors(events);
        self.caret.on_changed(&turn.damage);
        self.show(events, &turn.damage, turn.redraw_all);
        let mut tries = self.follow_grab(asking);
        if let Some(screen) = &self.screen {
            for live in &mut self.lives {
                tries |= live.take_focus(screen);
            }
        }
        let again = (tries || self.losing > 0).then_some(FOCUS_PAUSE);
        let wake = turn.wake_in.map(|s| Duration::from_micros(s.as_micros()));
        events.set_control_flow(match [wake, again, hands, seen].into_iter().flatten().min() {
            Some(after) => ControlFlow::wait_duration(after),
            None => ControlFlow::Wait,
        });
    }

    fn exiting(&mut self, _: &ActiveEventLoop) {
        // The renderers and the windows end while the connection to the display still lives.
        self.lives.clear();
        self.screen = None;
    }
}
