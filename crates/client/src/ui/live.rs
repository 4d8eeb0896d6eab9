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
#[cfg(all(unix, not(target_os = "macos")))]
use super::x11::X11;
use std::sync::Arc;
use telepane_model::{Desk, Pixels, Point, Rect, Region, Size, View};
use winit::dpi::{PhysicalPosition, PhysicalSize};
use winit::error::ExternalError;
use winit::window::{CursorGrabMode, Fullscreen, Window};

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

    /// Covers the monitor, or no longer; says which.
    pub(super) fn toggle_fullscreen(&mut self) -> bool {
        if self.window.fullscreen().is_some() {
            self.window.set_fullscreen(None);
            let _ = self.window.request_inner_size(self.windowed);
            return false;
        }
        self.windowed = self.window.inner_size();
        let monitor = self.window.current_monitor();
        self.window.set_fullscreen(Some(Fullscreen::Borderless(monitor.clone())));
        if let Some(monitor) = monitor.filter(|_| !self.is_managed()) {
            // Nobody else makes it cover the monitor.
            self.window.set_outer_position(monitor.position());
            let _ = self.window.request_inner_size(monitor.size());
        }
        true
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
