//! Fingers on this machine's touch screen: which of the desktop's fingers each is, and what they do to the mouse of a host
//! that takes no touch.
//!
//! Fingers that begin over the picture are the desktop's until they lift, wherever they go; others are nobody's. The
//! platform numbers them as it likes, the protocol from 0. Their motion within one batch of events is told as its last place
//! only, before whatever happens next.
//!
//! Where the host takes no touch the first finger is the mouse. What it means is known only by what follows, so the left
//! button goes down when it moves (a drag) or lifts (a click). One that rests is the right button, and a second one beside
//! it turns the wheel.

use super::pointer::{NOTCH, PIXELS_PER_NOTCH, whole};
use std::collections::BTreeMap;
use telepane_model::{Button, Desk, InputEvent, MAX_FINGERS, Point, Span, Stamp, TouchPhase, ViewerClock};

/// A finger that rests as long as this is the right button.
const LONG_PRESS: Span = Span::millis(500);

/// What the platform tells of a finger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Its number at the platform.
    pub(super) id: u64,
    /// The window, by winit's number.
    pub(super) window: u64,
    pub(super) phase: TouchPhase,
    /// Where it is in the window.
    pub(super) view: (f64, f64),
    /// The desktop's pixel there; `None` without a picture.
    pub(super) at: Option<Point<Desk>>,
    /// Whether the picture is there.
    pub(super) inside: bool,
    /// 0 where the platform does not tell.
    pub(super) pressure: u16,
    /// Pixels of the desktop for one of the window.
    pub(super) zoom: f64,
    /// So many pixels of the window may a finger wander that rests.
    pub(super) slop: f64,
}

/// A finger that is the desktop's.
#[derive(Clone, Copy, Debug)]
struct Finger {
    slot: u8,
    window: u64,
    view: (f64, f64),
    at: Point<Desk>,
    pressure: u16,
    /// It moved, and that has not been told.
    moved: bool,
}

/// All fingers.
#[derive(Debug, Default)]
pub(super) struct Touches {
    fingers: BTreeMap<u64, Finger>,
    /// What they are, from the first that touches until the last that lifts, if not the host's own.
    mouse: Option<Mouse>,
}

impl Touches {
    /// A finger did something; says what of that has to be told. `takes`: the host takes touch.
    pub(super) fn on_told(&mut self, now: Stamp<ViewerClock>, told: Told, takes: bool) -> Vec<InputEvent> {
        let mut events = self.on_time(now);
        match told.phase {
            TouchPhase::Down => events.extend(self.down(now, told, takes)),
            TouchPhase::Move => events.extend(self.moved(told)),
            TouchPhase::Up | TouchPhase::Cancel => events.extend(self.lift(told)),
        }
        events
    }

    fn down(&mut self, now: Stamp<ViewerClock>, told: Told, takes: bool) -> Vec<InputEvent> {
        // One that is there already has lifted unnoticed.
        let mut events = self.lift(Told { phase: TouchPhase::Cancel, ..told });
        let free = (0..MAX_FINGERS).find(|slot| self.fingers.values().all(|f| f.slot != *slot));
        let (Some(at), Some(slot)) = (told.at.filter(|_| told.inside), free) else { return events };
        if self.fingers.is_empty() {
            self.mouse = (!takes).then(Mouse::default);
        }
        let Told { window, view, pressure, .. } = told;
        self.fingers.insert(told.id, Finger { slot, window, view, at, pressure, moved: false });
        match &mut self.mouse {
            Some(mouse) => events.extend(mouse.on_down(now, told, at)),
            None => events.push(InputEvent::Touch { finger: slot, phase: TouchPhase::Down, at, pressure }),
        }
        events
    }

    fn moved(&mut self, told: Told) -> Vec<InputEvent> {
        let Some(finger) = self.fingers.get_mut(&told.id) else { return Vec::new() };
        let at = told.at.unwrap_or(finger.at);
        finger.moved |= (at, told.pressure) != (finger.at, finger.pressure);
        (finger.view, finger.at, finger.pressure) = (told.view, at, told.pressure);
        self.mouse.as_mut().map(|mouse| mouse.on_move(told, at)).unwrap_or_default()
    }

    fn lift(&mut self, told: Told) -> Vec<InputEvent> {
        let Some(finger) = self.fingers.remove(&told.id) else { return Vec::new() };
        let events = match &mut self.mouse {
            Some(mouse) if told.phase == TouchPhase::Up => mouse.on_up(told.id),
            Some(mouse) => mouse.end(),
            None => {
                let at = told.at.filter(|_| told.phase == TouchPhase::Up).unwrap_or(finger.at);
                vec![InputEvent::Touch { finger: finger.slot, phase: told.phase, at, pressure: 0 }]
            }
        };
        if self.fingers.is_empty() {
            self.mouse = None;
        }
        events
    }

    /// The motion not yet told.
    pub(super) fn flush(&mut self) -> Vec<InputEvent> {
        let direct = self.mouse.is_none();
        let moved = |f: &mut Finger| {
            let Finger { slot, at, pressure, .. } = *f;
            let touch = InputEvent::Touch { finger: slot, phase: TouchPhase::Move, at, pressure };
            (std::mem::take(&mut f.moved) && direct).then_some(touch)
        };
        self.fingers.values_mut().filter_map(moved).collect()
    }

    /// Takes back what the fingers of these windows began; they are nobody's until they lift.
    pub(super) fn cancel(&mut self, is_meant: impl Fn(u64) -> bool) -> Vec<InputEvent> {
        let meant = |f: &Finger| is_meant(f.window);
        if !self.fingers.values().any(meant) {
            return Vec::new();
        }
        let mut events = Vec::new();
        match &mut self.mouse {
            // All of them are one mouse.
            Some(mouse) => {
                events = mouse.end();
                self.fingers.clear();
            }
            None => self.fingers.retain(|_, f| {
                if meant(f) {
                    let (phase, pressure) = (TouchPhase::Cancel, 0);
                    events.push(InputEvent::Touch { finger: f.slot, phase, at: f.at, pressure });
                }
                !meant(f)
            }),
        }
        if self.fingers.is_empty() {
            self.mouse = None;
        }
        events
    }

    /// Time has passed.
    pub(super) fn on_time(&mut self, now: Stamp<ViewerClock>) -> Vec<InputEvent> {
        self.mouse.as_mut().map(|mouse| mouse.on_time(now)).unwrap_or_default()
    }

    /// When [`Touches::on_time`] is due.
    pub(super) fn due(&self) -> Option<Stamp<ViewerClock>> {
        self.mouse.as_ref()?.due()
    }

    /// Whether any are there that the host itself takes.
    pub(super) fn are_the_hosts(&self) -> bool {
        self.mouse.is_none() && !self.fingers.is_empty()
    }

    /// Whether any are there.
    pub(super) fn are_there(&self) -> bool {
        !self.fingers.is_empty()
    }

    /// Whether one is at this place of a window, to a pixel: X11 tells some of the motion that a finger makes the pointer do
    /// in whole pixels.
    pub(super) fn is_at(&self, window: u64, (x, y): (f64, f64)) -> bool {
        let near = |f: &Finger| (f.view.0 - x).abs() < 1.0 && (f.view.1 - y).abs() < 1.0;
        self.fingers.values().any(|f| f.window == window && near(f))
    }
}

/// A mouse made of fingers.
#[derive(Debug, Default)]
enum Mouse {
    /// Nothing yet.
    #[default]
    Idle,
    /// One finger, and what it holds down.
    One { id: u64, from: (f64, f64), view: (f64, f64), until: Stamp<ViewerClock>, held: Option<Button> },
    /// Two fingers turn the wheel; parts of a unit that are left.
    Two { fingers: [(u64, (f64, f64)); 2], rest: (f64, f64) },
    /// Whatever else the fingers do until all have lifted means nothing.
    Spent,
}

impl Mouse {
    fn on_down(&mut self, now: Stamp<ViewerClock>, told: Told, at: Point<Desk>) -> Vec<InputEvent> {
        match self {
            Self::Idle => {
                let until = now + LONG_PRESS;
                *self = Self::One { id: told.id, from: told.view, view: told.view, until, held: None };
                vec![InputEvent::PointerTo(at)]
            }
            Self::One { id, view, held: None, .. } => {
                *self = Self::Two { fingers: [(*id, *view), (told.id, told.view)], rest: (0.0, 0.0) };
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn on_move(&mut self, told: Told, at: Point<Desk>) -> Vec<InputEvent> {
        match self {
            Self::One { id, from, view, held, .. } if *id == told.id => {
                *view = told.view;
                if held.is_some() {
                    return vec![InputEvent::PointerTo(at)];
                }
                let (dx, dy) = (view.0 - from.0, view.1 - from.1);
                if dx.hypot(dy) <= told.slop {
                    return Vec::new();
                }
                *held = Some(Button::Left);
                // It goes down where the finger did: the pointer is there.
                vec![InputEvent::Button { button: Button::Left, down: true }, InputEvent::PointerTo(at)]
            }
            Self::Two { fingers, rest } => {
                let Some((_, before)) = fingers.iter_mut().find(|(id, _)| *id == told.id) else { return Vec::new() };
                // Each finger is half of their common motion: those that move apart turn nothing. What lies under them
                // goes with them.
                let units = -told.zoom * NOTCH / PIXELS_PER_NOTCH / 2.0;
                let x = whole(&mut rest.0, (told.view.0 - before.0) * units);
                let y = whole(&mut rest.1, (told.view.1 - before.1) * units);
                *before = told.view;
                let turned = (x != 0 || y != 0).then_some(InputEvent::Wheel { x, y });
                turned.into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn on_up(&mut self, id: u64) -> Vec<InputEvent> {
        match self {
            Self::One { id: own, held: None, .. } if *own == id => {
                *self = Self::Spent;
                let left = |down| InputEvent::Button { button: Button::Left, down };
                vec![left(true), left(false)]
            }
            Self::One { id: own, .. } if *own != id => Vec::new(),
            _ => self.end(),
        }
    }

    /// Lets go of what it holds.
    fn end(&mut self) -> Vec<InputEvent> {
        match std::mem::replace(self, Self::Spent) {
            Self::One { held: Some(button), .. } => vec![InputEvent::Button { button, down: false }],
            _ => Vec::new(),
        }
    }

    fn on_time(&mut self, now: Stamp<ViewerClock>) -> Vec<InputEvent> {
        match self {
            Self::One { until, held: held @ None, .. } if now >= *until => {
                *held = Some(Button::Right);
                vec![InputEvent::Button { button: Button::Right, down: true }]
            }
            _ => Vec::new(),
        }
    }

    const fn due(&self) -> Option<Stamp<ViewerClock>> {
        match self {
            Self::One { until, held: None, .. } => Some(*until),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TouchPhase::{Cancel, Down, Move, Up};
    use super::*;

    /// A host, which takes touch or not, and a clock.
    struct Stage {
        touches: Touches,
        takes: bool,
        now: Stamp<ViewerClock>,
    }

    impl Stage {
        fn new(takes: bool) -> Self {
            Self { touches: Touches::default(), takes, now: Stamp::from_micros(1_000_000) }
        }

        /// A finger at a place of the desktop, which is shown at half its size, right and below of (10, 10).
        fn told(&mut self, id: u64, phase: TouchPhase, (x, y): (i32, i32)) -> Vec<InputEvent> {
            let view = (10.0 + f64::from(x) / 2.0, 10.0 + f64::from(y) / 2.0);
            let (at, inside) = (Some(Point::new(x.max(0), y.max(0))), x >= 0 && y >= 0);
            let told = Told { id, window: 1, phase, view, at, inside, pressure: 7, zoom: 2.0, slop: 8.0 };
            self.touches.on_told(self.now, told, self.takes)
        }

        fn after(&mut self, millis: u64) -> Vec<InputEvent> {
            self.now += Span::millis(millis);
            self.touches.on_time(self.now)
        }
    }

    fn touch(finger: u8, phase: TouchPhase, x: i32, y: i32) -> InputEvent {
        let pressure = if matches!(phase, Down | Move) { 7 } else { 0 };
        InputEvent::Touch { finger, phase, at: Point::new(x, y), pressure }
    }

    fn to(x: i32, y: i32) -> InputEvent {
        InputEvent::PointerTo(Point::new(x, y))
    }

    fn button(button: Button, down: bool) -> InputEvent {
        InputEvent::Button { button, down }
    }

    #[test]
    fn fingers_get_the_lowest_number_that_is_free() {
        let mut s = Stage::new(true);
        assert_eq!(s.told(900, Down, (1, 2)), [touch(0, Down, 1, 2)]);
        assert_eq!(s.told(17, Down, (3, 4)), [touch(1, Down, 3, 4)]);
        assert_eq!(s.told(900, Up, (5, 6)), [touch(0, Up, 5, 6)]);
        assert_eq!(s.told(900, Move, (7, 7)), [], "it has lifted");
        assert_eq!(s.told(18, Down, (8, 8)), [touch(0, Down, 8, 8)]);
        for id in 20..28 {
            assert_eq!(s.told(id, Down, (0, 0)).len(), 1);
        }
        assert_eq!(s.told(28, Down, (0, 0)), [], "there are no more than ten");
        assert_eq!(s.told(28, Up, (0, 0)), []);
        assert_eq!(s.told(17, Cancel, (9, 9)), [touch(1, Cancel, 3, 4)], "where it was");
        assert_eq!(s.told(18, Down, (2, 2)), [touch(0, Cancel, 8, 8), touch(0, Down, 2, 2)], "its end was not told");
    }

    #[test]
    fn motion_is_merged_and_told_before_what_follows() {
        let mut s = Stage::new(true);
        s.told(1, Down, (1, 1));
        s.told(2, Down, (2, 2));
        assert_eq!(s.told(1, Move, (5, 5)), []);
        assert_eq!(s.told(1, Move, (6, 6)), []);
        assert_eq!(s.touches.flush(), [touch(0, Move, 6, 6)]);
        assert_eq!(s.touches.flush(), []);
        s.told(2, Move, (2, 2));
        assert_eq!(s.touches.flush(), [], "it did not move");
        s.told(2, Move, (-4, 3));
        assert_eq!(s.touches.flush(), [touch(1, Move, 0, 3)], "beside the picture it is the desktop's still");
        assert!(s.touches.are_the_hosts() && s.touches.is_at(1, (8.5, 11.0)) && !s.touches.is_at(2, (8.5, 11.0)));
    }

    #[test]
    fn one_that_begins_beside_the_picture_is_nobodys() {
        for takes in [true, false] {
            let mut s = Stage::new(takes);
            assert_eq!(s.told(1, Down, (-1, 5)), []);
            assert_eq!(s.told(1, Move, (5, 5)), []);
            assert_eq!(s.touches.flush(), []);
            assert_eq!((s.told(1, Up, (5, 5)), s.touches.are_there()), (vec![], false));
        }
    }

    #[test]
    fn fingers_are_taken_back() {
        let mut s = Stage::new(true);
        s.told(1, Down, (1, 1));
        s.told(2, Down, (2, 2));
        assert_eq!(s.touches.cancel(|window| window == 2), []);
        assert_eq!(s.touches.cancel(|_| true), [touch(0, Cancel, 1, 1), touch(1, Cancel, 2, 2)]);
        assert_eq!((s.told(1, Move, (5, 5)), s.told(1, Up, (5, 5))), (vec![], vec![]));
        let mut s = Stage::new(false);
        s.told(1, Down, (1, 1));
        s.told(1, Move, (50, 1));
        assert_eq!(s.touches.cancel(|_| true), [button(Button::Left, false)]);
        assert_eq!((s.told(1, Up, (5, 5)), s.after(900)), (vec![], vec![]));
    }

    #[test]
    fn a_tap_is_a_click() {
        let mut s = Stage::new(false);
        assert_eq!(s.told(1, Down, (40, 30)), [to(40, 30)]);
        assert!(!s.touches.are_the_hosts());
        assert_eq!(s.told(1, Move, (44, 30)), [], "a finger is never quite still");
        assert_eq!(s.after(499), []);
        assert_eq!(s.told(1, Up, (44, 30)), [button(Button::Left, true), button(Button::Left, false)]);
        assert_eq!((s.touches.due(), s.after(900)), (None, vec![]));
    }

    #[test]
    fn a_finger_that_moves_drags_from_where_it_began() {
        let mut s = Stage::new(false);
        s.told(1, Down, (40, 30));
        assert_eq!(s.told(1, Move, (60, 30)), [button(Button::Left, true), to(60, 30)]);
        assert_eq!(s.after(900), [], "it does not rest");
        assert_eq!(s.told(2, Down, (0, 0)), [], "another one changes nothing");
        assert_eq!(s.told(2, Up, (0, 0)), []);
        assert_eq!(s.told(1, Move, (70, 31)), [to(70, 31)]);
        assert_eq!(s.touches.flush(), []);
        assert_eq!(s.told(1, Up, (70, 31)), [button(Button::Left, false)]);
    }

    #[test]
    fn a_finger_that_rests_is_the_right_button() {
        let mut s = Stage::new(false);
        s.told(1, Down, (40, 30));
        assert_eq!(s.touches.due(), Some(s.now + Span::millis(500)));
        assert_eq!(s.after(500), [button(Button::Right, true)]);
        assert_eq!((s.touches.due(), s.after(500)), (None, vec![]));
        assert_eq!(s.told(1, Move, (41, 30)), [to(41, 30)]);
        assert_eq!(s.told(1, Up, (41, 30)), [button(Button::Right, false)]);
        // The clock is looked at late.
        s.told(1, Down, (40, 30));
        s.now += Span::millis(700);
        assert_eq!(s.told(1, Up, (40, 30)), [button(Button::Right, true), button(Button::Right, false)]);
    }

    #[test]
    fn two_fingers_turn_the_wheel_and_click_nothing() {
        let mut s = Stage::new(false);
        s.told(1, Down, (100, 300));
        assert_eq!(s.told(2, Down, (200, 300)), []);
        let mut sum = (0, 0);
        let mut add = |events: Vec<InputEvent>| {
            for event in events {
                let InputEvent::Wheel { x, y } = event else { panic!("{event:?}") };
                sum = (sum.0 + x, sum.1 + y);
            }
            sum
        };
        // Both go up by 100 of the desktop's pixels: two notches down.
        for step in 1..=50 {
            for (id, x) in [(1, 100), (2, 200)] {
                add(s.told(id, Move, (x, 300 - 2 * step)));
            }
        }
        let up = add(Vec::new());
        assert!(up.0 == 0 && (239..=240).contains(&up.1), "{up:?}");
        // Apart.
        add(s.told(1, Move, (50, 200)));
        let apart = add(s.told(2, Move, (250, 200)));
        assert!(apart.0.abs() <= 1 && apart.1 == up.1, "{apart:?}");
        assert_eq!(s.told(3, Down, (0, 0)), []);
        let mut silent = s.told(3, Move, (0, 90));
        silent.extend(s.after(900));
        silent.extend(s.told(1, Up, (100, 200)));
        silent.extend(s.told(2, Move, (200, 100)));
        silent.extend(s.told(2, Up, (200, 100)));
        silent.extend(s.told(3, Up, (0, 0)));
        assert_eq!((silent, s.touches.are_there()), (vec![], false));
        assert_eq!(s.told(4, Down, (1, 1)), [to(1, 1)], "and from the start");
    }

    #[test]
    fn what_they_are_is_said_by_the_first() {
        let mut s = Stage::new(false);
        s.told(1, Down, (1, 1));
        s.takes = true;
        assert_eq!(s.told(2, Down, (2, 2)), [], "a wheel");
        s.told(1, Up, (1, 1));
        s.told(2, Up, (2, 2));
        assert_eq!(s.told(1, Down, (1, 1)), [touch(0, Down, 1, 1)]);
    }
}
