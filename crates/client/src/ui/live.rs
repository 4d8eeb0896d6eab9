//! The window while it exists: its renderer, its place on the screen, and what it showed last.

use super::Veil;
use super::canvas::Bgr;
use super::cursor::Cursors;
use super::layout::{Layout, Scaling};
use super::paint::{self, Scene};
use super::panel::Panel;
use super::pointer::Capture;
use super::present::{PresentError, Presenter};
use super::scale::Resampler;
use super::span;
#[cfg(all(unix, not(target_os = "macos")))]
use super::x11::X11;
use std::sync::Arc;
use telepane_model::monitor::from_the_origin;
use telepane_model::{Desk, Monitor, Pixels, Point, Rect, Region, Size, View};
use winit::dpi::{PhysicalPosition, PhysicalSize};
use winit::error::ExternalError;
use winit::monitor::MonitorHandle;
use winit::window::{CursorGrabMode, Fullscreen, Window};

/// How often monitors are looked at after a notice of a change: winit, which is asked, hears of it by a connection of its own.
pub(super) const LOOKS: u8 = 8;
/// How often the focus is asked for while the window is not yet on the screen.
pub(super) const FOCUS_TRIES: u8 = 100;

/// The window while it exists. Fields are dropped in this order: the renderer before the window.
pub(super) struct Live {
    pub(super) presenter: Presenter,
    pub(super) cursors: Cursors,
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) x11: Option<X11>,
    pub(super) window: Arc<Window>,
    pub(super) scaling: Scaling,
    pub(super) size: Size<View>,
    pub(super) scale: f64,
    pub(super) layout: Option<Layout>,
    pub(super) resampler: Option<Resampler>,
    pub(super) veil: Veil,
    /// The screen is kept on.
    pub(super) awake: bool,
    pub(super) marks: Vec<(Rect<View>, Bgr)>,
    pub(super) panels: Vec<Panel>,
    pub(super) title: String,
    /// Where the platform's pointer is.
    pub(super) at: Option<Point<View>>,
    /// Where a pointer was drawn last, and which.
    pub(super) pointer: Option<(Rect<View>, u32)>,
    /// Where the pointer is to be drawn now.
    pub(super) drawn_at: Option<Point<View>>,
    pub(super) focused: bool,
    pub(super) focus_tries: u8,
    pub(super) stale: bool,
    /// This machine's monitors, and those the window is made to lie over, if several.
    pub(super) seen: Vec<Monitor>,
    /// So often they are looked at again, because something may have changed about them.
    pub(super) looks: u8,
    pub(super) over: Vec<Monitor>,
    /// What was told of them last.
    pub(super) spans: Vec<Monitor>,
    pub(super) windowed: PhysicalSize<u32>,
}

impl Live {
    pub(super) fn present(&mut self, region: Region<View>, pixels: Option<&Pixels>) -> Result<(), PresentError> {
        let scene = Scene {
            picture: pixels.zip(self.layout),
            dim: self.veil.dims(),
            marks: &self.marks,
            panels: &self.panels,
            pointer: self.cursors.drawn().zip(self.drawn_at),
        };
        let resampler = &mut self.resampler;
        self.presenter.present(self.size, region, &mut |canvas, rects| {
            for rect in rects {
                paint::paint(canvas, *rect, &scene, resampler);
            }
        })
    }

    /// Keeps the platform's pointer in the window.
    pub(super) fn capture(&self) -> Result<Capture, ExternalError> {
        // X11 and Windows can only confine it, macOS can only lock it.
        if self.window.set_cursor_grab(CursorGrabMode::Locked).is_ok() {
            return Ok(Capture::Locked);
        }
        self.window.set_cursor_grab(CursorGrabMode::Confined).map(|()| {
            self.put((f64::from(self.size.w / 2), f64::from(self.size.h / 2)));
            Capture::Confined
        })
    }

    /// Puts the platform's pointer to a place of the window.
    pub(super) fn put(&self, (x, y): (f64, f64)) {
        if let Err(error) = self.window.set_cursor_position(PhysicalPosition::new(x, y)) {
            tracing::debug!(%error, "the pointer cannot be placed");
        }
    }

    /// Sets it free, over the desktop's pixel `at`.
    pub(super) fn set_free(&mut self, at: Option<Point<Desk>>) {
        if let Err(error) = self.window.set_cursor_grab(CursorGrabMode::None) {
            tracing::warn!(%error, "the pointer stays captured");
        }
        if let Some(place) = at.and_then(|at| self.to_view(at)) {
            self.put((f64::from(place.x), f64::from(place.y)));
        }
    }

    /// Where a pixel of the desktop begins in the window.
    pub(super) fn to_view(&self, at: Point<Desk>) -> Option<Point<View>> {
        let place = self.layout?.to_view(Rect::new(at.x, at.y, 1, 1));
        (!place.is_empty()).then(|| Point::new(place.x, place.y))
    }

    /// Covers the monitors, or no longer; says which.
    pub(super) fn toggle_fullscreen(&mut self, over: Vec<Monitor>) -> bool {
        if self.window.fullscreen().is_some() || !self.over.is_empty() {
            self.spread(Vec::new());
            self.window.set_fullscreen(None);
            let _ = self.window.request_inner_size(self.windowed);
            return false;
        }
        self.windowed = self.window.inner_size();
        self.cover(over);
        true
    }

    /// Covers these monitors, or the one it is on if they are none.
    pub(super) fn cover(&mut self, over: Vec<Monitor>) {
        let several = !over.is_empty();
        if several {
            self.window.set_fullscreen(None);
        }
        self.spread(over);
        if several {
            return;
        }
        // One that is still there.
        let is_there = |m: &MonitorHandle| {
            let (at, size) = (m.position(), m.size());
            self.seen.iter().any(|s| s.place == Rect::new(at.x, at.y, size.width, size.height))
        };
        let any = || self.window.available_monitors().find(is_there);
        let monitor = self.window.current_monitor().filter(is_there).or_else(any);
        self.window.set_fullscreen(Some(Fullscreen::Borderless(monitor.clone())));
        if !self.is_managed() {
            // Nobody else makes it cover the monitor.
            let place = monitor.map(|m| (m.position(), m.size())).or_else(|| {
                let m = self.seen.iter().find(|m| m.primary).or(self.seen.first())?;
                Some((PhysicalPosition::new(m.place.x, m.place.y), PhysicalSize::new(m.place.w, m.place.h)))
            });
            if let Some((at, size)) = place {
                self.window.set_outer_position(at);
                let _ = self.window.request_inner_size(size);
            }
        }
    }

    /// Lies over these monitors; over none, it has its frame again.
    fn spread(&mut self, over: Vec<Monitor>) {
        if over == self.over {
            return;
        }
        self.over = over;
        self.window.set_decorations(self.over.is_empty());
        self.lie_over();
        self.ask_to_spread();
    }

    /// Asks for the place and size of what it lies over.
    fn lie_over(&self) {
        if !self.over.is_empty() {
            let whole = span::around(&self.over);
            self.window.set_outer_position(PhysicalPosition::new(whole.x, whole.y));
            let _ = self.window.request_inner_size(PhysicalSize::new(whole.w, whole.h));
        }
    }

    /// Asks the window manager for the same, where there is one.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn ask_to_spread(&self) {
        if let Some(x11) = self.x11.as_ref().filter(|x| x.is_managed()) {
            x11.spread(&self.window, &self.over);
        }
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) fn ask_to_spread(&self) {}

    /// Asks again while it is not so: a window manager hears nothing of a window that it has not taken in yet.
    pub(super) fn insist_on_spreading(&self) {
        let whole = span::around(&self.over);
        let there = self.window.inner_position().is_ok_and(|at| (at.x, at.y) == (whole.x, whole.y));
        let lies = there && (whole.w, whole.h) == (self.size.w, self.size.h);
        if !self.over.is_empty() && !lies {
            self.lie_over();
            self.ask_to_spread();
        }
    }

    /// Whether monitors may have come or gone since this was asked last.
    pub(super) fn monitors_changed(&mut self) -> bool {
        #[cfg(all(unix, not(target_os = "macos")))]
        let told = self.x11.as_ref().is_some_and(X11::monitors_changed);
        #[cfg(not(all(unix, not(target_os = "macos"))))]
        let told = false;
        if told {
            self.looks = LOOKS;
        }
        let looks = self.looks > 0;
        self.looks = self.looks.saturating_sub(1);
        looks
    }

    /// This machine's monitors now.
    pub(super) fn monitors_now(&self) -> Vec<Monitor> {
        #[cfg(all(unix, not(target_os = "macos")))]
        if let Some(told) = self.x11.as_ref().and_then(X11::monitors) {
            return span::renewed(told, &self.seen, self.scale);
        }
        span::seen(self.window.available_monitors(), self.window.primary_monitor())
    }

    /// The monitors it really lies over, from its own top left corner, if that is to be told.
    pub(super) fn spans_anew(&mut self) -> Option<Vec<Monitor>> {
        let whole = span::around(&self.over);
        let covered = (whole.w, whole.h) == (self.size.w, self.size.h);
        let spans = if covered { from_the_origin(self.over.clone()) } else { Vec::new() };
        (spans != self.spans).then(|| {
            self.spans.clone_from(&spans);
            spans
        })
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    fn is_managed(&self) -> bool {
        self.x11.as_ref().is_none_or(X11::is_managed)
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    fn is_managed(&self) -> bool {
        true
    }

    /// Keeps the screen on, or no longer.
    pub(super) fn keep_awake(&mut self, on: bool) {
        if on != self.awake {
            self.awake = on;
            #[cfg(all(unix, not(target_os = "macos")))]
            if let Some(x11) = &self.x11 {
                x11.keep_awake(on);
            }
        }
    }

    /// Caps Lock and Num Lock as far as the platform tells; off where it does not.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn locks(&self) -> (bool, bool) {
        self.x11.as_ref().and_then(X11::locks).unwrap_or_default()
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) fn locks(&self) -> (bool, bool) {
        (false, false)
    }

    /// Asks for the keyboard until the window has it or refuses for good; says whether to try again.
    pub(super) fn take_focus(&mut self) -> bool {
        if self.focused || self.focus_tries == 0 {
            return false;
        }
        self.focus_tries -= 1;
        #[cfg(all(unix, not(target_os = "macos")))]
        if let Some(x11) = self.x11.as_ref().filter(|x| !x.is_managed()) {
            if x11.focus(&self.window) {
                self.focus_tries = 0;
            }
            return self.focus_tries > 0;
        }
        self.focus_tries = 0;
        if self.window.fullscreen().is_some() {
            self.window.focus_window();
        }
        false
    }
}
