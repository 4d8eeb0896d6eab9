//! The mouse: where it is, which buttons are down, how far the wheel turned.
//!
//! Motion within one batch of events is reported as its last place only, always before anything that happens there.
//! The wheel is counted in 1/120 of a notch; what a touchpad scrolls in pixels is kept as a remainder until it makes a
//! whole unit. winit counts up and left as positive, the desktop protocol down and right.
//!
//! While the pointer is captured (relative mode) its motion is told, summed over a batch. Where the platform locks the
//! pointer that is the device's own motion. Where it can only be confined to the window (X11, Windows) it is put back to
//! the middle before it reaches an edge, and its steps are told: X servers give the client that holds the pointer the
//! device's motion twice, and tablets of virtual machines give places instead.

use std::collections::BTreeSet;
use telepane_model::{Button, Desk, InputEvent, Point};
use winit::event::{MouseButton, MouseScrollDelta};

/// Pixels of scrolling, by a touchpad or fingers, that count as one notch: about three lines of text, as toolkits scroll.
pub(super) const PIXELS_PER_NOTCH: f64 = 50.0;
/// Units of a notch, as in Windows' WHEEL_DELTA and libinput's v120.
pub(super) const NOTCH: f64 = 120.0;

/// The button by winit's name; `None` for those the protocol does not carry.
fn button(b: MouseButton) -> Option<Button> {
    Some(match b {
        MouseButton::Left => Button::Left,
        MouseButton::Right => Button::Right,
        MouseButton::Middle => Button::Middle,
        MouseButton::Back => Button::Back,
        MouseButton::Forward => Button::Forward,
        MouseButton::Other(_) => return None,
    })
}

/// The button by X's number.
#[cfg(all(unix, not(target_os = "macos")))]
pub(super) const fn x11_number(b: MouseButton) -> u32 {
    match b {
        MouseButton::Left => 1,
        MouseButton::Middle => 2,
        MouseButton::Right => 3,
        MouseButton::Back => 8,
        MouseButton::Forward => 9,
        MouseButton::Other(n) => n as u32,
    }
}

/// The state of the mouse as the model knows it.
#[derive(Debug, Default)]
pub(super) struct Pointer {
    pending: Option<Point<Desk>>,
    told: Option<Point<Desk>>,
    down: BTreeSet<Button>,
    rest: (f64, f64),
    /// Captured: the motion not yet told.
    by: Option<(f64, f64)>,
    /// Captured by confining it.
    confined: Option<Confined>,
    releases: [bool; 4],
}

impl Pointer {
    /// It went to this place; said with the next [`Pointer::flush`].
    pub(super) fn moved(&mut self, to: Point<Desk>) {
        if self.by.is_none() {
            self.pending = Some(to);
        }
    }

    /// An application put it to this place: the hand's next place is told only if it is another.
    pub(super) fn put(&mut self, to: Point<Desk>) {
        (self.pending, self.told) = (None, Some(to));
    }

    /// The device moved by so many of its units; heard only while captured by a lock.
    pub(super) fn moved_by(&mut self, dx: f64, dy: f64) {
        if self.confined.is_none() {
            self.add(dx, dy);
        }
    }

    /// The pointer is at this place of the window of this size; says where it has to be put, if it has to.
    pub(super) fn confined_at(&mut self, x: f64, y: f64, size: (u32, u32)) -> Option<(f64, f64)> {
        let confined = self.confined.as_mut()?;
        let (dx, dy, put) = confined.at((x, y), (f64::from(size.0 / 2), f64::from(size.1 / 2)));
        self.add(dx, dy);
        put
    }

    fn add(&mut self, dx: f64, dy: f64) {
        if let Some(by) = self.by.as_mut().filter(|_| dx.is_finite() && dy.is_finite()) {
            *by = (by.0 + dx, by.1 + dy);
        }
    }

    /// Captures the pointer, or sets it free; it is nowhere known then.
    pub(super) fn capture(&mut self, how: Option<Capture>) {
        self.by = how.map(|_| (0.0, 0.0));
        self.confined = how.filter(|how| *how == Capture::Confined).map(|_| Confined::default());
        (self.pending, self.told) = (None, None);
    }

    /// Whether it is captured.
    pub(super) const fn is_captured(&self) -> bool {
        self.by.is_some()
    }

    /// The motion not yet told.
    pub(super) fn flush(&mut self) -> Option<InputEvent> {
        if let Some(by) = &mut self.by {
            let (dx, dy) = (whole(&mut by.0, 0.0), whole(&mut by.1, 0.0));
            return (dx != 0 || dy != 0).then_some(InputEvent::PointerBy { dx, dy });
        }
        let to = self.pending.take()?;
        (self.told.replace(to) != Some(to)).then_some(InputEvent::PointerTo(to))
    }

    /// A button moved. A release whose press was not told is not told either.
    pub(super) fn button(&mut self, b: MouseButton, down: bool) -> Option<InputEvent> {
        self.press(button(b)?, down)
    }

    /// The same of a finger that is a mouse.
    pub(super) fn press(&mut self, button: Button, down: bool) -> Option<InputEvent> {
        let changed = if down { self.down.insert(button) } else { self.down.remove(&button) };
        changed.then_some(InputEvent::Button { button, down })
    }

    /// The wheel turned; `None` until a whole unit is reached.
    pub(super) fn wheel(&mut self, delta: MouseScrollDelta) -> Option<InputEvent> {
        if self.is_button_release(delta) {
            return None;
        }
        let (x, y) = match delta {
            MouseScrollDelta::LineDelta(x, y) => (f64::from(x) * NOTCH, f64::from(y) * NOTCH),
            MouseScrollDelta::PixelDelta(p) => (p.x * NOTCH / PIXELS_PER_NOTCH, p.y * NOTCH / PIXELS_PER_NOTCH),
        };
        let x = whole(&mut self.rest.0, -x);
        let y = whole(&mut self.rest.1, -y);
        (x != 0 || y != 0).then_some(InputEvent::Wheel { x, y })
    }

    /// A raw button event of the device, which winit sends before the window's. On X11 a wheel without scroll
    /// valuators (XTEST, Xvnc, old mice) turns by pressing and releasing buttons 4 to 7, and winit 0.30 makes a
    /// notch of the release as well; the release is remembered here and its notch dropped.
    pub(super) fn raw_button(&mut self, number: u32, down: bool) {
        if let Some(seen) = number.checked_sub(4).and_then(|n| self.releases.get_mut(n as usize)) {
            *seen = !down;
        }
    }

    fn is_button_release(&mut self, delta: MouseScrollDelta) -> bool {
        let number = match delta {
            MouseScrollDelta::LineDelta(0.0, 1.0) => 0,
            MouseScrollDelta::LineDelta(0.0, -1.0) => 1,
            MouseScrollDelta::LineDelta(1.0, 0.0) => 2,
            MouseScrollDelta::LineDelta(-1.0, 0.0) => 3,
            _ => return false,
        };
        self.releases.get_mut(number).is_some_and(std::mem::take)
    }

    /// The window lost the keyboard; the model releases what was held.
    pub(super) fn blur(&mut self) {
        self.down.clear();
        self.releases = [false; 4];
    }

    /// What the model knows is no longer true (it took over from a question, or began a new session).
    pub(super) fn forget(&mut self) {
        self.told = None;
        self.down.clear();
    }
}

/// How the pointer is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// It stays where it is.
    Locked,
    /// It moves within the window.
    Confined,
}

/// A pointer that is put back to the middle.
#[derive(Debug, Default)]
struct Confined {
    last: Option<(f64, f64)>,
    /// It was put here, and that has not been seen yet: what is seen before happened before.
    put: Option<(f64, f64)>,
}

impl Confined {
    /// It is at `at`: the step from where it was, and where it has to be put.
    fn at(&mut self, at: (f64, f64), middle: (f64, f64)) -> (f64, f64, Option<(f64, f64)>) {
        if self.put == Some((at.0.floor(), at.1.floor())) {
            (self.put, self.last) = (None, Some(at));
            return (0.0, 0.0, None);
        }
        let last = self.last.replace(at);
        let (dx, dy) = last.map_or((0.0, 0.0), |last| (at.0 - last.0, at.1 - last.1));
        // Half of the way to the edge is left for what comes before it is put back.
        let off = |at: f64, middle: f64| (at - middle).abs() * 2.0 > middle;
        let put = self.put.is_none() && (last.is_none() || off(at.0, middle.0) || off(at.1, middle.1)) && at != middle;
        if put {
            self.put = Some(middle);
        }
        (dx, dy, self.put.filter(|_| put))
    }
}

/// Adds to a remainder and takes the whole units out of it.
pub(super) fn whole(rest: &mut f64, add: f64) -> i32 {
    if !add.is_finite() {
        return 0;
    }
    *rest += add;
    let units = rest.trunc();
    *rest -= units;
    units.clamp(-1e6, 1e6) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use winit::dpi::PhysicalPosition;

    fn pixels(p: &mut Pointer, y: f64) -> Option<InputEvent> {
        p.wheel(MouseScrollDelta::PixelDelta(PhysicalPosition::new(0.0, y)))
    }

    #[test]
    fn a_notch_down_is_positive() {
        let mut p = Pointer::default();
        assert_eq!(p.wheel(MouseScrollDelta::LineDelta(0.0, -1.0)), Some(InputEvent::Wheel { x: 0, y: 120 }));
        assert_eq!(p.wheel(MouseScrollDelta::LineDelta(1.0, 0.0)), Some(InputEvent::Wheel { x: -120, y: 0 }));
    }

    #[test]
    fn small_steps_add_up() {
        let mut p = Pointer::default();
        let mut sum = 0;
        for _ in 0..500 {
            if let Some(InputEvent::Wheel { y, .. }) = pixels(&mut p, -0.1) {
                sum += y;
            }
        }
        assert!((119..=120).contains(&sum), "{sum}");
        assert_eq!(pixels(&mut p, f64::INFINITY), None);
        assert_eq!(pixels(&mut p, -50.0).map(|_| ()), Some(()));
    }

    #[test]
    fn a_place_it_was_put_to_is_not_told_back() {
        let mut p = Pointer::default();
        p.moved(Point::new(1, 1));
        p.put(Point::new(40, 30));
        assert_eq!(p.flush(), None, "the hand's place is of before");
        p.moved(Point::new(40, 30));
        assert_eq!(p.flush(), None);
        p.moved(Point::new(41, 30));
        assert_eq!(p.flush(), Some(InputEvent::PointerTo(Point::new(41, 30))));
    }

    #[test]
    fn captured_motion_is_summed_and_places_are_not_told() {
        let mut p = Pointer::default();
        p.moved_by(5.0, 5.0);
        assert_eq!(p.flush(), None, "not captured");
        p.moved(Point::new(3, 3));
        p.capture(Some(Capture::Locked));
        p.moved(Point::new(9, 9));
        assert_eq!(p.confined_at(1.0, 1.0, (80, 60)), None, "it is locked");
        p.moved_by(1.25, -2.0);
        p.moved_by(1.5, -2.0);
        p.moved_by(f64::NAN, 1.0);
        assert_eq!(p.flush(), Some(InputEvent::PointerBy { dx: 2, dy: -4 }));
        p.moved_by(0.25, 0.0);
        assert_eq!(p.flush(), Some(InputEvent::PointerBy { dx: 1, dy: 0 }), "parts of a unit add up");
        assert_eq!(p.flush(), None);
        p.capture(None);
        p.moved(Point::new(3, 3));
        assert_eq!(p.flush(), Some(InputEvent::PointerTo(Point::new(3, 3))));
    }

    #[test]
    fn a_confined_pointer_is_put_back_and_loses_nothing() {
        let mut p = Pointer::default();
        p.capture(Some(Capture::Confined));
        let size = (800, 600);
        p.moved_by(7.0, 7.0);
        assert_eq!(p.confined_at(100.0, 100.0, size), Some((400.0, 300.0)), "first of all into the middle");
        assert_eq!(p.confined_at(104.0, 100.0, size), None, "on the way");
        assert_eq!(p.confined_at(400.0, 300.0, size), None);
        assert_eq!(p.flush(), Some(InputEvent::PointerBy { dx: 4, dy: 0 }), "being put is no motion");
        assert_eq!(p.confined_at(700.0, 300.0, size), Some((400.0, 300.0)));
        assert_eq!(p.confined_at(710.0, 290.0, size), None, "before it was put");
        assert_eq!(p.confined_at(400.0, 300.0, size), None);
        assert_eq!(p.confined_at(395.0, 300.0, size), None);
        assert_eq!(p.flush(), Some(InputEvent::PointerBy { dx: 305, dy: -10 }));
    }

    #[test]
    fn the_release_of_a_wheel_button_is_no_notch() {
        let mut p = Pointer::default();
        for _ in 0..3 {
            p.raw_button(5, true);
            assert!(p.wheel(MouseScrollDelta::LineDelta(0.0, -1.0)).is_some());
            p.raw_button(5, false);
            assert!(p.wheel(MouseScrollDelta::LineDelta(0.0, -1.0)).is_none());
        }
        // A release outside the window must not eat the next notch.
        p.raw_button(5, false);
        p.raw_button(5, true);
        assert!(p.wheel(MouseScrollDelta::LineDelta(0.0, -1.0)).is_some());
    }

    #[test]
    fn motion_is_merged_and_buttons_come_in_pairs() {
        let mut p = Pointer::default();
        p.moved(Point::new(1, 1));
        p.moved(Point::new(2, 2));
        assert_eq!(p.flush(), Some(InputEvent::PointerTo(Point::new(2, 2))));
        p.moved(Point::new(2, 2));
        assert_eq!(p.flush(), None);
        assert_eq!(p.button(MouseButton::Left, false), None);
        assert!(p.button(MouseButton::Left, true).is_some());
        p.blur();
        assert_eq!(p.button(MouseButton::Left, false), None);
        assert_eq!(p.button(MouseButton::Other(12), true), None);
    }
}
