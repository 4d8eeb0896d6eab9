//! Opening windows and closing them: the one there is first, and those that follow the monitors where each has its own.

use super::cursor::Cursors;
use super::live::{FOCUS_TRIES, Live};
use super::present::{Presenter, Probe};
use super::screen::Screen;
use super::set::{self, Closed, Slot, Wanted};
use super::window::{Shell, UserEvent};
use super::{Model, UiError, WindowFact, span};
use std::sync::Arc;
use telepane_model::monitor::from_the_origin;
use telepane_model::{Monitor, Pixels, Rect, Size, Surf};
use winit::dpi::{PhysicalPosition, PhysicalSize};
use winit::event_loop::ActiveEventLoop;
use winit::window::{Fullscreen, Window, WindowAttributes, WindowId};

/// Where a window is to be at first, and how large.
struct Place {
    size: PhysicalSize<u32>,
    at: Option<PhysicalPosition<i32>>,
    fullscreen: Option<Fullscreen>,
    frame: bool,
}

impl<M: Model> Shell<M> {
    /// Opens what there is to be seen before the host has said anything.
    pub(super) fn open(&mut self, events: &ActiveEventLoop) -> Result<(), UiError> {
        let screen = Screen::open(events);
        self.set.covering =
            self.options.fullscreen && (self.options.windows || self.options.spread.is_apart(&screen.seen));
        self.set.several = self.options.windows || self.set.covering;
        let size = self.options.size.filter(|s| s.is_valid()).unwrap_or(Size::new(1280, 800));
        let windowed = PhysicalSize::new(size.w, size.h);
        if self.set.covering {
            self.set.here = self.options.spread.each(&screen.seen);
            self.screen = Some(screen);
            self.follow_monitors(events);
        } else {
            let over = match self.options.fullscreen {
                true => self.options.spread.over(&screen.seen),
                false => Vec::new(),
            };
            let whole = span::around(&over);
            let monitor = events.primary_monitor().or_else(|| events.available_monitors().next());
            let place = match monitor.filter(|_| self.options.fullscreen) {
                Some(_) if !over.is_empty() => Place {
                    size: PhysicalSize::new(whole.w, whole.h),
                    at: Some(PhysicalPosition::new(whole.x, whole.y)),
                    fullscreen: None,
                    frame: false,
                },
                // With its final size from the start, so that no desktop is made for a size that lasts a moment.
                Some(monitor) => Place {
                    size: monitor.size(),
                    at: Some(monitor.position()),
                    fullscreen: Some(Fullscreen::Borderless(Some(monitor))),
                    frame: true,
                },
                None => Place { size: windowed, at: None, fullscreen: None, frame: true },
            };
            let mut live = self.make(events, &screen, Slot::default(), place)?;
            (live.over, live.windowed) = (over, windowed);
            if !live.over.is_empty() {
                screen.spread(&live.window, &live.over);
            }
            (self.screen, self.lives) = (Some(screen), vec![live]);
            self.tell_shape(0);
        }
        let Some(first) = self.lives.first_mut() else { return Ok(()) };
        first.focus_tries = FOCUS_TRIES;
        self.model.window(WindowFact::Renderer(first.presenter.name()));
        if self.options.renderer.is_none() {
            let proxy = self.proxy.clone();
            self.probe = Probe::start(move || {
                let _ = proxy.send_event(UserEvent::GpuFound);
            });
        }
        Ok(())
    }

    fn make(&self, events: &ActiveEventLoop, screen: &Screen, slot: Slot, place: Place) -> Result<Live, UiError> {
        let mut attributes = Window::default_attributes()
            .with_title(self.options.title.as_str())
            .with_inner_size(place.size)
            .with_decorations(place.frame)
            .with_fullscreen(place.fullscreen);
        if let Some(at) = place.at {
            attributes = attributes.with_position(at);
        }
        let window = Arc::new(events.create_window(named(attributes)).map_err(UiError::Window)?);
        window.set_ime_allowed(true);
        screen.keep_while_resized(&window);
        screen.watch(&window);
        let presenter = Presenter::new(&window, self.options.renderer).map_err(|e| UiError::Renderer(e.to_string()))?;
        let presenter = match self.gpu.then(|| Presenter::on_gpu(&window)) {
            Some(Ok(gpu)) => gpu,
            _ => presenter,
        };
        let inner = window.inner_size();
        Ok(Live {
            presenter,
            cursors: Cursors::new(screen.is_x11()),
            slot,
            scaling: self.options.scaling,
            size: Size::new(inner.width, inner.height),
            scale: window.scale_factor(),
            window,
            layout: None,
            resampler: None,
            dim: false,
            marks: Vec::new(),
            panels: Vec::new(),
            preedit: None,
            composing: None,
            composed: None,
            title: self.options.title.clone(),
            at: None,
            pointer: None,
            drawn_at: None,
            focused: false,
            covered: false,
            focus_tries: 0,
            stale: true,
            over: Vec::new(),
            spans: Vec::new(),
            windowed: place.size,
            told: None,
            refresh_told: 0,
            wanted: None,
            had: Vec::new(),
        })
    }

    /// The renderer of a window changed.
    pub(super) fn renderer(&mut self, window: usize, presenter: Presenter) {
        if let Some(live) = self.lives.get_mut(window) {
            live.presenter = presenter;
            live.stale = true;
            if window == 0 {
                self.model.window(WindowFact::Renderer(live.presenter.name()));
            }
        }
    }

    pub(super) fn gpu_found(&mut self) {
        self.gpu = true;
        for window in 0..self.lives.len() {
            let found = self.lives.get(window).map(|live| Presenter::on_gpu(&live.window));
            match found {
                Some(Ok(presenter)) => self.renderer(window, presenter),
                Some(Err(error)) => tracing::debug!(%error, "the GPU is not used"),
                None => {}
            }
        }
    }

    /// Which window this is.
    pub(super) fn number(&self, id: WindowId) -> Option<usize> {
        self.lives.iter().position(|live| live.window.id() == id)
    }

    /// The one the hands are in, or were in last.
    pub(super) fn front(&self) -> usize {
        let focused = self.lives.iter().position(|live| live.focused);
        focused.or_else(|| self.front.and_then(|id| self.number(id))).unwrap_or(0)
    }

    /// Tells the model what a window's size, or the monitors it lies over, ask of the desktop.
    pub(super) fn tell_shape(&mut self, window: usize) {
        if self.set.several {
            return self.lay();
        }
        let Some(live) = self.lives.get_mut(window) else { return };
        if live.told != Some((live.size, live.scale)) {
            live.told = Some((live.size, live.scale));
            self.model.window(WindowFact::Resized { physical: live.size, scale: live.scale });
        }
        if let Some(refresh) = self.screen.as_ref().and_then(|screen| live.refresh_anew(screen)) {
            self.model.window(WindowFact::Refresh(refresh));
        }
        if let Some(spans) = live.spans_anew() {
            self.model.window(WindowFact::Spans(spans));
        }
    }

    /// Tells the model which monitors the windows together ask for, if that changed.
    fn lay(&mut self) {
        let lives = &mut self.lives;
        let asked = match (&self.screen, self.set.covering) {
            (None, _) => return,
            (Some(_), true) => from_the_origin(self.set.here.clone()),
            (Some(screen), false) => set::asked_for(&self.set.host, |key| {
                let live = lives.iter_mut().find(|live| live.slot.key == key)?;
                let (size, scale, refresh) = (live.as_monitor()?, span::percent(live.scale), live.refresh(screen));
                Some(Wanted { size, scale, refresh })
            }),
        };
        if !asked.is_empty() && asked != self.set.asked {
            self.set.asked.clone_from(&asked);
            self.model.window(WindowFact::Laid(asked));
        }
    }

    /// Follows the monitors where each has a window of its own: the host's, or this machine's when its screen is covered.
    pub(super) fn follow_monitors(&mut self, events: &ActiveEventLoop) {
        if !self.set.several {
            return;
        }
        let host = self.model.monitors();
        self.set.forget_returned(host);
        let slots = match self.set.covering {
            true => set::covering(&self.set.here, host, self.model.pixels().map(Pixels::size)),
            false => set::framed(host, &self.set.closed),
        };
        // Without a word of the host's there is the one window that says so.
        if slots.is_empty() {
            return;
        }
        if slots != self.set.slots {
            self.set.host = host.to_vec();
            self.set.slots.clone_from(&slots);
            if let Err(error) = self.become_these(events, slots) {
                tracing::warn!(%error, "a monitor has no window");
                if self.lives.is_empty() {
                    self.error = Some(error);
                    return events.exit();
                }
            }
            self.lay();
        } else if self.set.host != host {
            self.set.host = host.to_vec();
            self.lay();
        }
    }

    /// Closes windows that show nothing any more, changes those that show something else, and opens those that lack.
    fn become_these(&mut self, events: &ActiveEventLoop, slots: Vec<Slot>) -> Result<(), UiError> {
        let has = |slot: &Slot, live: &Live| live.slot.key == slot.key;
        if !slots.iter().any(|slot| self.lives.iter().any(|live| has(slot, live))) {
            // Windows for something else altogether become these in turn.
            for (live, slot) in self.lives.iter_mut().zip(&slots) {
                live.slot.key.clone_from(&slot.key);
            }
        }
        let gone = |live: &Live| !slots.iter().any(|slot| has(slot, live));
        if self.lives.iter().any(|live| gone(live) && live.focused) {
            // Its keyboard goes to whichever window is left, or to nobody; told by the platform.
            self.capture(false);
            self.losing = LOSING;
        }
        self.lives.retain(|live| !gone(live));
        if self.losing > 0
            && let Some(first) = self.lives.first_mut()
        {
            // Where nobody else hands the keyboard on.
            first.focus_tries = FOCUS_TRIES;
        }
        for (n, slot) in slots.into_iter().enumerate() {
            let there = self.lives.iter().position(|live| has(&slot, live));
            let place = self.place_of(events, &slot);
            let Some(screen) = &self.screen else { return Ok(()) };
            match there {
                Some(there) => {
                    if let Some(live) = self.lives.get_mut(there) {
                        let before = std::mem::replace(&mut live.slot, slot);
                        live.become_its_slot(screen, &before);
                    }
                    self.lives.swap(n, there);
                }
                None => {
                    let live = self.make(events, screen, slot, place)?;
                    self.lives.insert(n.min(self.lives.len()), live);
                }
            }
        }
        if let Some(screen) = &mut self.screen {
            screen.look_again();
        }
        Ok(())
    }

    /// Where a new window goes: over its monitor, or as the host's monitors lie where there is room for that.
    fn place_of(&self, events: &ActiveEventLoop, slot: &Slot) -> Place {
        if let Some(here) = &slot.covers {
            let is_it = |m: &winit::monitor::MonitorHandle| {
                let (at, size) = (m.position(), m.size());
                here.place == Rect::new(at.x, at.y, size.width, size.height)
            };
            let handle = events.available_monitors().find(is_it);
            return Place {
                size: PhysicalSize::new(here.place.w, here.place.h),
                at: Some(PhysicalPosition::new(here.place.x, here.place.y)),
                fullscreen: handle.map(|handle| Fullscreen::Borderless(Some(handle))),
                frame: false,
            };
        }
        let part = slot.part.unwrap_or_default();
        let seen = self.screen.as_ref().map(|s| span::around(&s.seen)).unwrap_or_default();
        let all: Size<Surf> = span::around(&self.set.host).size();
        let room = all.w <= seen.w && all.h <= seen.h;
        let at = room.then(|| PhysicalPosition::new(seen.x + part.x, seen.y + part.y));
        Place { size: PhysicalSize::new(part.w.max(1), part.h.max(1)), at, fullscreen: None, frame: true }
    }

    /// The person closes a window: the session, or one of several monitors.
    pub(super) fn close(&mut self, window: usize) {
        let open = self.lives.len();
        let framed = self.set.several && !self.set.covering;
        let live = self.lives.get(window).filter(|_| framed && open > 1);
        let monitor = live.and_then(|live| {
            let shows = |m: &&Monitor| Some(m.place) == live.slot.part;
            Some((live.slot.key.clone(), self.set.host.iter().find(shows)?.clone()))
        });
        match monitor {
            Some((key, monitor)) => {
                self.set.closed.push(Closed { key, monitor, gone: false });
                self.model.window(WindowFact::MonitorClosed);
            }
            None => self.model.window(WindowFact::CloseRequested),
        }
    }

    /// Every monitor has its window again.
    pub(super) fn reopen(&mut self) {
        let closed = std::mem::take(&mut self.set.closed);
        // One that the host took away for it is asked for where it was; beside the others, if they have moved there.
        let gone = closed.into_iter().map(|c| c.monitor).filter(|m| !self.set.host.iter().any(|h| h.name == m.name));
        let mut asked = self.set.asked.clone();
        for monitor in gone {
            let free = asked.iter().all(|a| a.place.intersect(monitor.place).is_empty());
            let right = asked.iter().map(|a| a.place.right()).max().unwrap_or(0);
            let place = if free { monitor.place } else { Rect::new(right, 0, monitor.place.w, monitor.place.h) };
            asked.push(Monitor { place, primary: false, ..monitor });
        }
        if asked != self.set.asked {
            self.set.asked.clone_from(&asked);
            self.model.window(WindowFact::Laid(asked));
        }
    }

    /// Covers the screen, or no longer.
    pub(super) fn toggle_fullscreen(&mut self) {
        let front = self.front();
        if self.set.several {
            self.set.covering = !self.set.covering;
            let seen = self.screen.as_ref().map(|s| s.seen.as_slice()).unwrap_or_default();
            self.set.here = self.options.spread.each(seen);
            self.model.window(WindowFact::Fullscreen(self.set.covering));
            return;
        }
        let (Some(screen), Some(live)) = (&self.screen, self.lives.get_mut(front)) else { return };
        let on = live.toggle_fullscreen(screen, self.options.spread.over(&screen.seen));
        self.model.window(WindowFact::Fullscreen(on));
    }

    /// Follows monitors of this machine that come and go.
    pub(super) fn look_at_monitors(&mut self) {
        let (Some(screen), Some(live)) = (&mut self.screen, self.lives.first_mut()) else { return };
        if !screen.changed(&live.window) {
            if screen.moved() {
                self.tell_shape(0);
            }
            return;
        }
        if self.set.several {
            self.set.here = self.options.spread.each(&screen.seen);
            return self.lay();
        }
        if !live.over.is_empty() || live.window.fullscreen().is_some() {
            let over = self.options.spread.over(&screen.seen);
            if over != live.over {
                live.cover(screen, over);
            }
        }
        self.tell_shape(0);
    }
}

/// Rounds of the loop for which a lost keyboard may yet come to another window of ours.
pub(super) const LOSING: u8 = 2;

impl Live {
    /// Does what is due to what it is for now.
    fn become_its_slot(&mut self, screen: &Screen, before: &Slot) {
        self.stale |= self.slot.part != before.part;
        let place = |slot: &Slot| slot.covers.as_ref().map(|m| m.place);
        match &self.slot.covers {
            Some(here) if place(&self.slot) != place(before) => {
                let here = here.clone();
                self.cover_one(screen, &here);
            }
            Some(_) => {}
            None => {
                if before.covers.is_some() {
                    self.uncover();
                    self.had.clear();
                }
                self.follow_its_monitor();
            }
        }
    }

    /// The platform gave it another size, or scale.
    pub(super) fn resized(&mut self) {
        let inner = self.window.inner_size();
        (self.size, self.scale) = (Size::new(inner.width, inner.height), self.window.scale_factor());
        (self.stale, self.wanted) = (true, None);
    }

    /// Whether the platform did so without a word.
    pub(super) fn has_another_size(&self) -> bool {
        let inner = self.window.inner_size();
        (inner.width, inner.height) != (self.size.w, self.size.h)
    }
}

/// By this name a desktop finds the icon, and its rules for the window: Wayland's app_id, X11's class.
#[cfg(all(unix, not(target_os = "macos")))]
fn named(attributes: WindowAttributes) -> WindowAttributes {
    winit::platform::wayland::WindowAttributesExtWayland::with_name(attributes, "telepane", "telepane")
}

#[cfg(not(all(unix, not(target_os = "macos"))))]
const fn named(attributes: WindowAttributes) -> WindowAttributes {
    attributes
}
