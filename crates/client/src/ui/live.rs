//! A window while it exists: its renderer, its place on the screen, and what it showed last.

use super::canvas::Bgr;
use super::composing::{Composed, Composing, Preedit};
use super::cursor::Cursors;
use super::glyphs::Glyphs;
use super::layout::{Layout, Scaling};
use super::paint::{self, Scene};
use super::panel::Panel;
use super::pointer::Capture;
use super::present::{PresentError, Presenter};
use super::scale::Resampler;
use super::screen::Screen;
use super::set::Slot;
use super::span;
use std::sync::Arc;
use telepane_model::monitor::from_the_origin;
use telepane_model::{Desk, Monitor, Pixels, Point, Rect, Region, Size, Surf, View};
use winit::dpi::{PhysicalPosition, PhysicalSize};
use winit::error::ExternalError;
use winit::monitor::MonitorHandle;
use winit::window::{CursorGrabMode, Fullscreen, Window};

/// How often the focus is asked for while the window is not yet on the screen.
pub(super) const FOCUS_TRIES: u8 = 100;
/// Sizes of a window that the host may still answer: it is asked for a few in a second, and answers each.
const MOST_SIZES: usize = 64;

/// A window while it exists. Fields are dropped in this order: the renderer before the window.
pub(super) struct Live {
    pub(super) presenter: Presenter,
    pub(super) cursors: Cursors,
    pub(super) window: Arc<Window>,
    /// What it is for.
    pub(super) slot: Slot,
    pub(super) scaling: Scaling,
    pub(super) size: Size<View>,
    pub(super) scale: f64,
    pub(super) layout: Option<Layout>,
    pub(super) resampler: Option<Resampler>,
    /// The picture is at half brightness.
    pub(super) dim: bool,
    pub(super) marks: Vec<(Rect<View>, Bgr)>,
    pub(super) panels: Vec<Panel>,
    /// What an input method composes, and how that was drawn last.
    pub(super) preedit: Option<Preedit>,
    pub(super) composing: Option<Composing>,
    pub(super) composed: Option<Composed>,
    pub(super) title: String,
    /// Where the platform's pointer is.
    pub(super) at: Option<Point<View>>,
    /// Where a pointer was drawn last, and which.
    pub(super) pointer: Option<(Rect<View>, u32)>,
    /// Where the pointer is to be drawn now.
    pub(super) drawn_at: Option<Point<View>>,
    pub(super) focused: bool,
    /// Others lie over all of it.
    pub(super) covered: bool,
    pub(super) focus_tries: u8,
    pub(super) stale: bool,
    /// The monitors that the window is made to lie over, if several.
    pub(super) over: Vec<Monitor>,
    /// What was told of them last.
    pub(super) spans: Vec<Monitor>,
    pub(super) windowed: PhysicalSize<u32>,
    /// Its size and scale as the model was told last.
    pub(super) told: Option<(Size<View>, f64)>,
    /// The rate that the model was told last.
    pub(super) refresh_told: u32,
    /// The size it was asked to take for its monitor, until it has one.
    pub(super) wanted: Option<Size<View>>,
    /// Sizes it had since its monitor was last as large as it: the host's answers to them are no reason to change it.
    pub(super) had: Vec<Size<Surf>>,
}

impl Live {
    pub(super) fn present(&mut self, region: Region<View>, pixels: Option<&Pixels>) -> Result<(), PresentError> {
        let scene = Scene {
            picture: pixels.zip(self.layout),
            dim: self.dim,
            marks: &self.marks,
            panels: &self.panels,
            composing: self.composing.as_ref(),
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

    /// Draws what is composed at the desktop's caret, or in the middle where nothing is known of that; gives what is to be painted
    /// anew for it. The input method is told the place too: it shows what there is to choose from beside it.
    pub(super) fn compose(&mut self, caret: Option<Rect<Surf>>, screen: &Screen, glyphs: &mut Glyphs) -> Region<View> {
        let middle = Rect::new((self.size.w / 2) as i32, (self.size.h / 2) as i32, 1, 20);
        let place = caret.zip(self.layout).map(|(at, layout)| layout.to_view(at)).filter(|place| !place.is_empty());
        let caret = place.unwrap_or(middle);
        let composed = |preedit| Composed { preedit, caret, view: self.size, fonts: glyphs.are_there() };
        let now = self.preedit.clone().map(composed);
        if now == self.composed {
            return Region::new();
        }
        let drawn = now.as_ref().and_then(|now| Composing::draw(now, glyphs));
        if let Some(line) = drawn.as_ref().map(Composing::rect) {
            // X11 takes a point, and puts below it what there is to choose from.
            let top = if screen.is_x11() { line.bottom() } else { line.y };
            let (at, size) = (PhysicalPosition::new(line.x, top), PhysicalSize::new(line.w, line.h));
            self.window.set_ime_cursor_area(at, size);
        }
        self.composed = now;
        let before = std::mem::replace(&mut self.composing, drawn);
        before.iter().chain(&self.composing).map(Composing::rect).collect()
    }

    /// Where a place in it lies on this machine's screen.
    pub(super) fn on_screen(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let at = self.window.inner_position().ok()?;
        Some((f64::from(at.x) + x, f64::from(at.y) + y))
    }

    /// The place in it that lies at this place of the screen, if one does.
    pub(super) fn in_window(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let (left, top) = self.on_screen((0.0, 0.0))?;
        let at = (x - left, y - top);
        let inside = |at: f64, size: u32| (0.0..f64::from(size)).contains(&at);
        (inside(at.0, self.size.w) && inside(at.1, self.size.h)).then_some(at)
    }

    /// Whether nothing else is to be seen on its monitors.
    pub(super) fn covers_the_screen(&self) -> bool {
        self.slot.covers.is_some() || !self.over.is_empty() || self.window.fullscreen().is_some()
    }

    /// Covers the monitors, or no longer; says which.
    pub(super) fn toggle_fullscreen(&mut self, screen: &Screen, over: Vec<Monitor>) -> bool {
        if self.window.fullscreen().is_some() || !self.over.is_empty() {
            self.spread(screen, Vec::new());
            self.window.set_fullscreen(None);
            let _ = self.window.request_inner_size(self.windowed);
            return false;
        }
        self.windowed = self.window.inner_size();
        self.cover(screen, over);
        true
    }

    /// Covers these monitors, or the one it is on if they are none.
    pub(super) fn cover(&mut self, screen: &Screen, over: Vec<Monitor>) {
        let several = !over.is_empty();
        if several {
            self.window.set_fullscreen(None);
        }
        self.spread(screen, over);
        if several {
            return;
        }
        // One that is still there.
        let is_there = |m: &MonitorHandle| {
            let (at, size) = (m.position(), m.size());
            screen.seen.iter().any(|s| s.place == Rect::new(at.x, at.y, size.width, size.height))
        };
        let any = || self.window.available_monitors().find(is_there);
        let monitor = self.window.current_monitor().filter(is_there).or_else(any);
        self.window.set_fullscreen(Some(Fullscreen::Borderless(monitor.clone())));
        if !screen.is_managed() {
            // Nobody else makes it cover the monitor.
            let place = monitor.map(|m| (m.position(), m.size())).or_else(|| {
                let m = screen.seen.iter().find(|m| m.primary).or(screen.seen.first())?;
                Some((PhysicalPosition::new(m.place.x, m.place.y), PhysicalSize::new(m.place.w, m.place.h)))
            });
            if let Some((at, size)) = place {
                self.window.set_outer_position(at);
                let _ = self.window.request_inner_size(size);
            }
        }
    }

    /// Covers this monitor.
    pub(super) fn cover_one(&mut self, screen: &Screen, monitor: &Monitor) {
        let place = monitor.place;
        let is_it = |m: &MonitorHandle| {
            let (at, size) = (m.position(), m.size());
            place == Rect::new(at.x, at.y, size.width, size.height)
        };
        let handle = self.window.available_monitors().find(is_it);
        let managed = screen.is_managed();
        // One that winit has not heard of yet is covered by a window without a frame that is as large.
        self.window.set_fullscreen(handle.is_some().then(|| Fullscreen::Borderless(handle.clone())));
        self.window.set_decorations(false);
        if handle.is_none() || !managed {
            self.window.set_outer_position(PhysicalPosition::new(place.x, place.y));
            let _ = self.window.request_inner_size(PhysicalSize::new(place.w, place.h));
        }
    }

    /// Covers its monitor no longer.
    pub(super) fn uncover(&mut self) {
        self.window.set_fullscreen(None);
        self.window.set_decorations(true);
    }

    /// Becomes as large as its monitor, if that changed otherwise than by the window's own sizes.
    pub(super) fn follow_its_monitor(&mut self) {
        let Some(part) = self.slot.part.filter(|_| self.slot.covers.is_none()) else { return };
        if part.size() == self.surf_size() {
            self.had.clear();
        } else if !self.had.contains(&part.size()) {
            self.had.clear();
            self.wanted = Some(Size::new(part.w, part.h));
            let _ = self.window.request_inner_size(PhysicalSize::new(part.w, part.h));
        }
    }

    /// Its inside, or what it was asked to be, as a monitor's size; remembered as one that the host may answer.
    pub(super) fn as_monitor(&mut self) -> Option<Size<Surf>> {
        let size = self.wanted.unwrap_or(self.size);
        let size = Some(Size::new(size.w, size.h)).filter(|s| s.is_valid())?;
        if self.wanted.is_none() && !self.had.contains(&size) {
            if self.had.len() == MOST_SIZES {
                self.had.remove(0);
            }
            self.had.push(size);
        }
        Some(size)
    }

    const fn surf_size(&self) -> Size<Surf> {
        Size::new(self.size.w, self.size.h)
    }

    /// Lies over these monitors; over none, it has its frame again.
    fn spread(&mut self, screen: &Screen, over: Vec<Monitor>) {
        if over == self.over {
            return;
        }
        self.over = over;
        self.window.set_decorations(self.over.is_empty());
        self.lie_over();
        screen.spread(&self.window, &self.over);
    }

    /// Asks for the place and size of what it lies over.
    fn lie_over(&self) {
        if !self.over.is_empty() {
            let whole = span::around(&self.over);
            self.window.set_outer_position(PhysicalPosition::new(whole.x, whole.y));
            let _ = self.window.request_inner_size(PhysicalSize::new(whole.w, whole.h));
        }
    }

    /// Asks again while it is not so: a window manager hears nothing of a window that it has not taken in yet.
    pub(super) fn insist_on_spreading(&self, screen: &Screen) {
        let whole = span::around(&self.over);
        let there = self.window.inner_position().is_ok_and(|at| (at.x, at.y) == (whole.x, whole.y));
        let lies = there && (whole.w, whole.h) == (self.size.w, self.size.h);
        if !self.over.is_empty() && !lies {
            self.lie_over();
            screen.spread(&self.window, &self.over);
        }
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

    /// How many pictures are shown of it in 1000 s; 0 where that is not known.
    pub(super) fn refresh(&self, screen: &Screen) -> u32 {
        match self.window.inner_position() {
            Ok(at) => span::fastest(&screen.seen, Rect::new(at.x, at.y, self.size.w, self.size.h)),
            // Wayland tells no place, but the monitor.
            Err(_) => self.window.current_monitor().and_then(|m| m.refresh_rate_millihertz()).unwrap_or(0),
        }
    }

    /// The same, if that is to be told.
    pub(super) fn refresh_anew(&mut self, screen: &Screen) -> Option<u32> {
        let refresh = self.refresh(screen);
        (refresh != self.refresh_told).then(|| {
            self.refresh_told = refresh;
            refresh
        })
    }

    /// Asks for the keyboard until the window has it or refuses for good; says whether to try again.
    pub(super) fn take_focus(&mut self, screen: &Screen) -> bool {
        if self.focused || self.focus_tries == 0 {
            return false;
        }
        self.focus_tries -= 1;
        if let Some(has) = screen.focus(&self.window) {
            if has {
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
