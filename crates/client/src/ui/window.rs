//! The event loop: winit's events in, the model's turns, and the present that follows at once.
//!
//! One iteration: events go to the model as they come; when the batch is over (`about_to_wait`) the model takes its
//! turn, and what it says changed is painted and presented before the loop sleeps. Nothing waits for a redraw event.

use super::cursor::{self, Cursors};
use super::keys::{Keyboard, Stroke, is_typing_key, key_code};
use super::layout::Layout;
use super::live::{FOCUS_TRIES, LOOKS, Live};
use super::paint::pointer_rect;
use super::panel;
use super::pointer::Pointer;
use super::present::{Presenter, Probe};
use super::span;
#[cfg(all(unix, not(target_os = "macos")))]
use super::x11::X11;
use super::{Model, UiError, UiOptions, Veil, WindowFact, text};
use std::sync::Arc;
use std::time::Duration;
use telepane_model::input::MAX_TEXT;
use telepane_model::{Desk, InputEvent, Point, Region, Size, Surf};
use winit::application::ApplicationHandler;
use winit::dpi::{PhysicalPosition, PhysicalSize};
use winit::event::{DeviceEvent, DeviceId, ElementState, Ime, KeyEvent, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop, EventLoopProxy};
use winit::keyboard::{Key, NamedKey};
use winit::window::{Fullscreen, Window, WindowId};

/// The most characters an answer may have.
const MAX_ANSWER: usize = 256;
/// The pause between two of them.
const FOCUS_PAUSE: Duration = Duration::from_millis(20);

/// What reaches the window's thread from others.
#[derive(Debug)]
enum UserEvent<W> {
    Wake(W),
    GpuFound,
}

/// Wakes the window's thread from any other.
#[derive(Debug)]
pub struct Waker<W: Send + 'static>(EventLoopProxy<UserEvent<W>>);

impl<W: Send + 'static> Clone for Waker<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W: Send + 'static> Waker<W> {
    /// Posts `wake` for [`Model::on_wake`]; `false` when the window is gone.
    pub fn wake(&self, wake: W) -> bool {
        self.0.send_event(UserEvent::Wake(wake)).is_ok()
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
    let model = make(Waker(proxy.clone())).map_err(UiError::Model)?;
    let mut shell = Shell {
        model,
        options,
        proxy,
        live: None,
        probe: None,
        keyboard: Keyboard::default(),
        pointer: Pointer::default(),
        typed: String::new(),
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
struct Shell<M: Model> {
    model: M,
    options: UiOptions,
    proxy: EventLoopProxy<UserEvent<M::Wake>>,
    live: Option<Live>,
    probe: Option<Probe>,
    keyboard: Keyboard,
    pointer: Pointer,
    typed: String,
    code: Option<i32>,
    error: Option<UiError>,
}

impl<M: Model> Shell<M> {
    fn open(&mut self, events: &ActiveEventLoop) -> Result<(), UiError> {
        let size = self.options.size.filter(|s| s.is_valid()).unwrap_or(Size::new(1280, 800));
        let monitor = events.primary_monitor().or_else(|| events.available_monitors().next());
        let windowed = PhysicalSize::new(size.w, size.h);
        let seen = span::seen(events.available_monitors(), events.primary_monitor());
        let over = if self.options.fullscreen { self.options.spread.over(&seen) } else { Vec::new() };
        let whole = span::around(&over);
        let mut attributes = Window::default_attributes().with_title(self.options.title.as_str());
        attributes = match monitor.filter(|_| self.options.fullscreen) {
            Some(_) if !over.is_empty() => attributes
                .with_inner_size(PhysicalSize::new(whole.w, whole.h))
                .with_position(PhysicalPosition::new(whole.x, whole.y))
                .with_decorations(false),
            // With its final size from the start, so that no desktop is made for a size that lasts a moment.
            Some(monitor) => attributes
                .with_inner_size(monitor.size())
                .with_position(monitor.position())
                .with_fullscreen(Some(Fullscreen::Borderless(Some(monitor)))),
            None => attributes.with_inner_size(windowed),
        };
        let window = Arc::new(events.create_window(attributes).map_err(UiError::Window)?);
        window.set_ime_allowed(true);
        #[cfg(all(unix, not(target_os = "macos")))]
        let x11 = X11::open(events);
        #[cfg(all(unix, not(target_os = "macos")))]
        let on_x11 = x11.is_some();
        #[cfg(not(all(unix, not(target_os = "macos"))))]
        let on_x11 = false;
        let choice = self.options.renderer;
        let presenter = Presenter::new(&window, choice).map_err(|e| UiError::Renderer(e.to_string()))?;
        let inner = window.inner_size();
        let mut live = Live {
            presenter,
            cursors: Cursors::new(on_x11),
            #[cfg(all(unix, not(target_os = "macos")))]
            x11,
            scaling: self.options.scaling,
            size: Size::new(inner.width, inner.height),
            scale: window.scale_factor(),
            window,
            layout: None,
            resampler: None,
            veil: Veil::Clear,
            awake: false,
            marks: Vec::new(),
            panels: Vec::new(),
            title: self.options.title.clone(),
            at: None,
            pointer: None,
            drawn_at: None,
            focused: false,
            focus_tries: FOCUS_TRIES,
            stale: true,
            seen,
            looks: 0,
            over,
            spans: Vec::new(),
            windowed,
        };
        if !live.over.is_empty() {
            live.ask_to_spread();
        }
        self.model.window(WindowFact::Resized { physical: live.size, scale: live.scale });
        if let Some(spans) = live.spans_anew() {
            self.model.window(WindowFact::Spans(spans));
        }
        self.model.window(WindowFact::Renderer(live.presenter.name()));
        self.live = Some(live);
        if choice.is_none() {
            let proxy = self.proxy.clone();
            self.probe = Probe::start(move || {
                let _ = proxy.send_event(UserEvent::GpuFound);
            });
        }
        Ok(())
    }

    /// The renderer changed.
    fn renderer(&mut self, presenter: Presenter) {
        if let Some(live) = &mut self.live {
            live.presenter = presenter;
            live.stale = true;
            self.model.window(WindowFact::Renderer(live.presenter.name()));
        }
    }

    /// Whether the window itself takes what is typed and clicked.
    fn asking(&self) -> bool {
        matches!(self.model.veil(), Veil::Ask { .. })
    }

    fn key(&mut self, event: &KeyEvent, synthetic: bool) {
        let pressed = event.state == ElementState::Pressed;
        let code = key_code(event.physical_key);
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
            Stroke::Send(action) => self.input(InputEvent::Key { code, action }),
            Stroke::Overlay => self.model.window(WindowFact::OverlayToggled),
            Stroke::Sharpen(steps) => self.model.window(WindowFact::Sharpen(steps)),
            Stroke::Scale(steps) => self.model.window(WindowFact::ScaleWished(steps)),
            Stroke::Sound => self.model.window(WindowFact::SoundToggled),
            Stroke::Microphone => self.model.window(WindowFact::MicrophoneToggled),
            Stroke::PasteAsKeys => self.model.window(WindowFact::PasteAsKeys),
            Stroke::Fullscreen => {
                if let Some(live) = &mut self.live {
                    let over = self.options.spread.over(&live.seen);
                    let on = live.toggle_fullscreen(over);
                    self.model.window(WindowFact::Fullscreen(on));
                }
            }
            Stroke::Relative => self.capture(!self.pointer.is_captured()),
            Stroke::Swallow => {}
        }
    }

    /// Captures the pointer or sets it free, and tells.
    fn capture(&mut self, on: bool) {
        let Some(live) = self.live.as_mut().filter(|_| on != self.pointer.is_captured()) else { return };
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

    fn ime(&mut self, ime: Ime) {
        let Ime::Commit(text) = ime else { return };
        if self.asking() {
            self.add_answer(&text);
            return;
        }
        self.type_text(&text);
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
    fn input(&mut self, event: InputEvent) {
        self.flush_motion();
        self.model.input(event);
    }

    fn flush_motion(&mut self) {
        if let Some(motion) = self.pointer.flush() {
            self.model.input(motion);
        }
    }

    fn moved(&mut self, position: PhysicalPosition<f64>) {
        let asking = self.asking();
        if let Some(live) = &mut self.live {
            live.at = Some(Point::new(position.x.floor() as i32, position.y.floor() as i32));
            if let Some(place) = self.pointer.confined_at(position.x, position.y, (live.size.w, live.size.h)) {
                live.put(place);
            }
            if let (Some(layout), false) = (live.layout, asking) {
                self.pointer.moved(layout.to_desk(position.x, position.y));
            }
        }
    }

    fn focus(&mut self, focused: bool) {
        let Some(live) = &mut self.live else { return };
        if live.focused == focused {
            return;
        }
        live.focused = focused;
        if focused {
            live.insist_on_spreading();
            let (caps, num) = live.locks();
            self.input(InputEvent::Focus { caps, num });
        } else {
            // Whoever took the keyboard keeps it, and wants the pointer too.
            live.focus_tries = 0;
            self.capture(false);
            self.flush_motion();
            self.keyboard.blur();
            self.pointer.blur();
            self.model.input(InputEvent::Blur);
        }
    }

    /// Puts the platform's pointer where an application has put the desktop's: under the hand that holds it, and no other.
    fn put(&mut self, at: Point<Desk>) {
        let Some(live) = self.live.as_ref().filter(|l| l.focused && !self.pointer.is_captured()) else { return };
        let over = live.at.zip(live.layout).is_some_and(|(at, layout)| layout.picture().holds(at));
        if let Some(place) = live.to_view(at).filter(|_| over) {
            self.pointer.put(at);
            live.put((f64::from(place.x), f64::from(place.y)));
        }
    }

    /// Follows monitors that come and go.
    fn look_at_monitors(&mut self) {
        let Some(live) = &mut self.live else { return };
        if !live.monitors_changed() {
            return;
        }
        let seen = live.monitors_now();
        if seen == live.seen || seen.is_empty() {
            return;
        }
        live.seen = seen;
        if !live.over.is_empty() || live.window.fullscreen().is_some() {
            let over = self.options.spread.over(&live.seen);
            if over != live.over {
                live.cover(over);
            }
        }
        if let Some(spans) = live.spans_anew() {
            self.model.window(WindowFact::Spans(spans));
        }
    }

    /// Follows the model's title, pointer, veil and overlay, and presents what changed.
    fn show(&mut self, events: &ActiveEventLoop, damage: &Region<Surf>, all: bool) {
        let Some(live) = &mut self.live else { return };
        let title = self.model.title();
        if title != live.title {
            live.window.set_title(&title);
            live.title = title;
        }
        let veil = self.model.veil();
        let over = matches!(veil, Veil::Ask { .. } | Veil::Message { .. });
        let captured = self.pointer.is_captured();
        let cursor = self.model.cursor().filter(|_| !over);
        let want = cursor.map(|(shape, state)| (state.visible && cursor::is_visible(shape)).then_some(shape));
        let quarters = live.layout.map_or(4, |l| cursor::quarters(l.desk().w, l.picture().w));
        live.cursors.follow(&live.window, events, want, captured, quarters);

        if !matches!(veil, Veil::Ask { .. }) {
            self.typed.clear();
        }
        let shown = match &veil {
            Veil::Ask { secret: true, .. } => self.typed.chars().map(|_| text::BULLET).collect(),
            _ => self.typed.clone(),
        };
        let overlay = self.model.overlay();
        let marks = overlay.as_ref().map(|o| o.marks.clone()).unwrap_or_default();
        let overlay = overlay.map(|mut o| {
            o.lines.push(vec![("drawn by   ".into(), panel::FAINT), (live.presenter.name(), panel::PLAIN)]);
            o.lines
        });
        let panels = panel::panels(live.size, live.scale, &veil, &shown, overlay, self.model.hint());
        let mut region = panel::damage(&live.panels, &panels);
        live.panels = panels;
        live.stale |= veil.dims() != live.veil.dims();
        live.keep_awake(self.model.keep_awake());
        live.veil = veil;

        let layout = self.model.pixels().and_then(|p| Layout::new(live.scaling, p.size(), live.size));
        if live.layout != layout {
            live.layout = layout;
            live.stale = true;
            self.pointer.forget();
        }
        let place = |(r, colour): &(_, _)| live.layout.map(|l: Layout| (l.to_view(*r), *colour));
        let marks: Vec<_> = marks.iter().filter_map(place).collect();
        if marks != live.marks {
            let gone = live.marks.iter().filter(|m| !marks.contains(m));
            let come = marks.iter().filter(|m| !live.marks.contains(m));
            gone.chain(come).for_each(|(r, _)| region.add(*r));
            live.marks = marks;
        }
        // A captured pointer is where the host has it, a free one where the hand has it.
        let host_at = cursor.filter(|_| captured).and_then(|(_, state)| live.to_view(state.at));
        live.drawn_at = if captured { host_at } else { live.at };
        let pointer = live.cursors.drawn().zip(live.drawn_at).map(|(s, at)| (pointer_rect(s, at), s.id));
        if pointer != live.pointer {
            let places = [live.pointer, pointer].into_iter().flatten();
            places.for_each(|(r, _)| region.add(r.intersect(live.size.rect())));
            live.pointer = pointer;
        }
        if live.stale || all {
            region = live.size.rect().into();
        } else if let Some(layout) = layout {
            damage.rects().iter().for_each(|r| region.add(layout.to_view(*r)));
        }
        if region.is_empty() || live.size.area() == 0 {
            return;
        }
        let pixels = self.model.pixels();
        if let Err(error) = live.present(region.clone(), pixels) {
            tracing::warn!(%error, "the renderer failed; softbuffer takes its place");
            match Presenter::new(&live.window, Some(super::RendererChoice::Softbuffer)) {
                Ok(presenter) if !live.presenter.is_softbuffer() => {
                    self.renderer(presenter);
                    self.show(events, damage, true);
                }
                Ok(_) => {
                    // One present of softbuffer failed (a resize under way, say): the next one paints everything.
                    live.stale = true;
                }
                Err(error) => {
                    self.error = Some(UiError::Renderer(error.to_string()));
                    events.exit();
                }
            }
            return;
        }
        live.stale = false;
        self.model.shown();
    }
}

impl<M: Model> ApplicationHandler<UserEvent<M::Wake>> for Shell<M> {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        if self.live.is_none()
            && let Err(error) = self.open(events)
        {
            self.error = Some(error);
            events.exit();
        }
    }

    fn user_event(&mut self, _: &ActiveEventLoop, event: UserEvent<M::Wake>) {
        match event {
            UserEvent::Wake(wake) => self.model.on_wake(wake),
            UserEvent::GpuFound => {
                let Some(live) = &self.live else { return };
                match Presenter::on_gpu(&live.window) {
                    Ok(presenter) => self.renderer(presenter),
                    Err(error) => tracing::debug!(%error, "the GPU is not used"),
                }
            }
        }
    }

    fn window_event(&mut self, events: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        match event {
            WindowEvent::CloseRequested => self.model.window(WindowFact::CloseRequested),
            WindowEvent::Resized(_) | WindowEvent::ScaleFactorChanged { .. } => {
                let Some(live) = &mut self.live else { return };
                let inner = live.window.inner_size();
                let (size, scale) = (Size::new(inner.width, inner.height), live.window.scale_factor());
                (live.stale, live.looks) = (true, LOOKS);
                if (size, scale) != (live.size, live.scale) {
                    (live.size, live.scale) = (size, scale);
                    self.model.window(WindowFact::Resized { physical: size, scale });
                }
                live.insist_on_spreading();
                if let Some(spans) = live.spans_anew() {
                    self.model.window(WindowFact::Spans(spans));
                }
            }
            WindowEvent::RedrawRequested => {
                // Some platforms send it after `about_to_wait`, so it is served here.
                if let Some(live) = &mut self.live {
                    live.stale = true;
                }
                self.show(events, &Region::new(), true);
            }
            WindowEvent::DroppedFile(path) => self.model.window(WindowFact::Dropped(path)),
            WindowEvent::Moved(_) => {
                if let Some(live) = &self.live {
                    live.insist_on_spreading();
                }
            }
            WindowEvent::Occluded(occluded) => self.model.window(WindowFact::Occluded(occluded)),
            WindowEvent::Focused(focused) => self.focus(focused),
            WindowEvent::KeyboardInput { event, is_synthetic, .. } => self.key(&event, is_synthetic),
            WindowEvent::Ime(ime) => self.ime(ime),
            WindowEvent::CursorMoved { position, .. } => self.moved(position),
            WindowEvent::CursorLeft { .. } => {
                if let Some(live) = self.live.as_mut().filter(|_| !self.pointer.is_captured()) {
                    live.at = None;
                }
            }
            WindowEvent::MouseInput { state, button, .. } => {
                let down = state == ElementState::Pressed;
                if let Some(live) = self.live.as_mut().filter(|l| down && !l.focused) {
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
        if self.asking() {
            self.capture(false);
        }
        self.flush_motion();
        self.look_at_monitors();
        let turn = self.model.turn();
        if let Some(code) = turn.exit {
            self.code = Some(code);
            events.exit();
            return;
        }
        if let Some(at) = turn.put {
            self.put(at);
        }
        self.show(events, &turn.damage, turn.redraw_all);
        let again = self.live.as_mut().is_some_and(Live::take_focus).then_some(FOCUS_PAUSE);
        let wake = turn.wake_in.map(|s| Duration::from_micros(s.as_micros()));
        events.set_control_flow(match [wake, again].into_iter().flatten().min() {
            Some(after) => ControlFlow::wait_duration(after),
            None => ControlFlow::Wait,
        });
    }

    fn exiting(&mut self, _: &ActiveEventLoop) {
        // The renderer and the window end while the connection to the display still lives.
        self.live = None;
    }
}
