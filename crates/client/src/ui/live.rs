//! The window while it exists: its renderer, its place on the screen, and what it showed last.

use super::Veil;
use super::cursor::Cursors;
use super::layout::{Layout, Scaling};
use super::paint::{self, Scene};
use super::panel::Panel;
use super::present::{PresentError, Presenter};
use super::scale::Resampler;
#[cfg(all(unix, not(target_os = "macos")))]
use super::x11::X11;
use std::sync::Arc;
use telepane_model::{Pixels, Point, Region, Size, View};
use winit::dpi::PhysicalSize;
use winit::window::{Fullscreen, Window};

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
    pub(super) panels: Vec<Panel>,
    pub(super) title: String,
    pub(super) at: Option<Point<View>>,
    pub(super) focused: bool,
    pub(super) focus_tries: u8,
    pub(super) stale: bool,
    pub(super) windowed: PhysicalSize<u32>,
}

impl Live {
    pub(super) fn present(&mut self, region: Region<View>, pixels: Option<&Pixels>) -> Result<(), PresentError> {
        let scene = Scene {
            picture: pixels.zip(self.layout),
            dim: matches!(self.veil, Veil::Dim { .. }),
            panels: &self.panels,
            pointer: self.cursors.drawn().zip(self.at),
        };
        let resampler = &mut self.resampler;
        self.presenter.present(self.size, region, &mut |canvas, rects| {
            for rect in rects {
                paint::paint(canvas, *rect, &scene, resampler);
            }
        })
    }

    pub(super) fn toggle_fullscreen(&mut self) {
        if self.window.fullscreen().is_some() {
            self.window.set_fullscreen(None);
            let _ = self.window.request_inner_size(self.windowed);
            return;
        }
        self.windowed = self.window.inner_size();
        let monitor = self.window.current_monitor();
        self.window.set_fullscreen(Some(Fullscreen::Borderless(monitor.clone())));
        if let Some(monitor) = monitor.filter(|_| !self.is_managed()) {
            // Nobody else makes it cover the monitor.
            self.window.set_outer_position(monitor.position());
            let _ = self.window.request_inner_size(monitor.size());
        }
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    fn is_managed(&self) -> bool {
        self.x11.as_ref().is_none_or(X11::is_managed)
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    fn is_managed(&self) -> bool {
        true
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
