//! The hands of all viewers at one desktop, which has one keyboard, one mouse, one touch screen and one pen.
//!
//! ```text
//! each viewer's events, through its gate --Hands--> what the desktop's devices do
//! ```
//! A key or a button is down while anybody holds it. Fingers are told apart by who they are of: each gets a contact of the
//! desktop's touch screen for as long as it touches, and one that finds none free is nobody's until it has left. The pen
//! is whoever's was in reach first. So what one viewer lets go of, by losing the keyboard or its link, is its own and nobody
//! else's.

use std::collections::{BTreeMap, BTreeSet};
use telepane_model::{Button, Desk, InputEvent, KeyCode, KeyMove, MAX_FINGERS, Pen, Point, TouchPhase};

/// A finger that touches.
#[derive(Clone, Copy, Debug)]
struct Contact {
    seat: u64,
    finger: u8,
    at: Point<Desk>,
}

/// Who holds what; viewers are known by the numbers of their seats.
#[derive(Debug, Default)]
pub struct Hands {
    keys: Holders<KeyCode>,
    buttons: Holders<Button>,
    /// The touch screen's contacts, by number.
    contacts: [Option<Contact>; MAX_FINGERS as usize],
    pen: Option<(u64, Pen)>,
}

impl Hands {
    /// Somebody did something that may be done: what the desktop's devices do.
    // spec: H-66
    pub fn on_event(&mut self, seat: u64, event: InputEvent) -> Vec<InputEvent> {
        match event {
            InputEvent::Key { code, action: KeyMove::Down } => {
                vec![if self.keys.press(code, seat) { event } else { again(code) }]
            }
            InputEvent::Press { code, .. } => vec![if self.keys.press(code, seat) { event } else { again(code) }],
            InputEvent::Key { code, action: KeyMove::Repeat } if !self.keys.is_held_by(code, seat) => Vec::new(),
            InputEvent::Key { code, action: KeyMove::Up } if !self.keys.lift(code, seat) => Vec::new(),
            InputEvent::Button { button, down: true } if !self.buttons.press(button, seat) => Vec::new(),
            InputEvent::Button { button, down: false } if !self.buttons.lift(button, seat) => Vec::new(),
            InputEvent::Touch { finger, phase, at, pressure } => {
                let contact = self.contact(seat, finger, phase, at);
                contact.map(|finger| InputEvent::Touch { finger, phase, at, pressure }).into_iter().collect()
            }
            InputEvent::Pen(pen)
                if self.pen.is_some_and(|(owner, _)| owner != seat) || !(pen.near || self.pen.is_some()) =>
            {
                Vec::new()
            }
            InputEvent::Pen(pen) => {
                self.pen = Some((seat, pen)).filter(|_| pen.near);
                vec![event]
            }
            InputEvent::Focus { .. } => {
                let mut events = self.lift_keys(seat);
                events.push(event);
                events
            }
            InputEvent::Blur => self.on_released(seat),
            _ => vec![event],
        }
    }

    /// Everything that somebody holds is let go: they lost the keyboard, their link, or the right to it. `Blur`, which releases
    /// everything, where nobody else holds anything.
    // spec: H-66
    pub fn on_released(&mut self, seat: u64) -> Vec<InputEvent> {
        // Buttons first: a drag ends while its modifiers still hold, as a hand would end it.
        let buttons = self.buttons.lift_all(seat);
        let mut events: Vec<_> = buttons.into_iter().map(|button| InputEvent::Button { button, down: false }).collect();
        for (number, place) in self.contacts.iter_mut().enumerate() {
            if let Some(gone) = place.take_if(|contact| contact.seat == seat) {
                let (finger, phase) = (number as u8, TouchPhase::Cancel);
                events.push(InputEvent::Touch { finger, phase, at: gone.at, pressure: 0 });
            }
        }
        events.extend(self.pen.take_if(|(owner, _)| *owner == seat).map(|(_, pen)| InputEvent::Pen(pen.away())));
        events.extend(self.lift_keys(seat));
        if self.hold_nothing() {
            events.push(InputEvent::Blur);
        }
        events
    }

    fn lift_keys(&mut self, seat: u64) -> Vec<InputEvent> {
        let up = |code| InputEvent::Key { code, action: KeyMove::Up };
        self.keys.lift_all(seat).into_iter().map(up).collect()
    }

    fn hold_nothing(&self) -> bool {
        self.keys.0.is_empty()
            && self.buttons.0.is_empty()
            && self.pen.is_none()
            && self.contacts.iter().all(Option::is_none)
    }

    /// The contact's number of a finger that did something, if it has one.
    fn contact(&mut self, seat: u64, finger: u8, phase: TouchPhase, at: Point<Desk>) -> Option<u8> {
        let is_its = |c: &Option<Contact>| c.is_some_and(|c| (c.seat, c.finger) == (seat, finger));
        let its = self.contacts.iter().position(is_its);
        let number = match (phase, its) {
            (TouchPhase::Down, None) => self.contacts.iter().position(Option::is_none)?,
            (TouchPhase::Down, Some(_)) => return None,
            (_, its) => its?,
        };
        let leaves = matches!(phase, TouchPhase::Up | TouchPhase::Cancel);
        *self.contacts.get_mut(number)? = (!leaves).then_some(Contact { seat, finger, at });
        u8::try_from(number).ok()
    }
}

/// Somebody else holds the key: it is struck once more. A modifier has no repeats, and is down.
const fn again(code: KeyCode) -> InputEvent {
    InputEvent::Key { code, action: KeyMove::Repeat }
}

/// Who holds each thing that is down.
#[derive(Debug)]
struct Holders<T>(BTreeMap<T, BTreeSet<u64>>);

impl<T> Default for Holders<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Copy + Ord> Holders<T> {
    /// Says whether it goes down by that.
    fn press(&mut self, what: T, seat: u64) -> bool {
        let holders = self.0.entry(what).or_default();
        let was_up = holders.is_empty();
        holders.insert(seat);
        was_up
    }

    /// Says whether it comes up by that.
    fn lift(&mut self, what: T, seat: u64) -> bool {
        let Some(holders) = self.0.get_mut(&what) else { return false };
        let held = holders.remove(&seat);
        if holders.is_empty() {
            self.0.remove(&what);
            return held;
        }
        false
    }

    /// What comes up when somebody lets go of everything.
    fn lift_all(&mut self, seat: u64) -> Vec<T> {
        let held: Vec<T> = self.0.keys().copied().filter(|what| self.is_held_by(*what, seat)).collect();
        held.into_iter().filter(|what| self.lift(*what, seat)).collect()
    }

    fn is_held_by(&self, what: T, seat: u64) -> bool {
        self.0.get(&what).is_some_and(|holders| holders.contains(&seat))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Meaning;

    const ANN: u64 = 1;
    const BOB: u64 = 2;
    const A: KeyCode = KeyCode(30);
    const SHIFT: KeyCode = KeyCode(42);
    const FOCUS: InputEvent = InputEvent::Focus { caps: false, num: true };

    const fn key(code: KeyCode, action: KeyMove) -> InputEvent {
        InputEvent::Key { code, action }
    }

    const fn left(down: bool) -> InputEvent {
        InputEvent::Button { button: Button::Left, down }
    }

    const fn touch(finger: u8, phase: TouchPhase, x: i32) -> InputEvent {
        InputEvent::Touch { finger, phase, at: Point::new(x, 0), pressure: 5 }
    }

    const fn cancelled(finger: u8, x: i32) -> InputEvent {
        InputEvent::Touch { finger, phase: TouchPhase::Cancel, at: Point::new(x, 0), pressure: 0 }
    }

    /// What each event of a seat makes the devices do.
    #[track_caller]
    fn check(hands: &mut Hands, seat: u64, event: InputEvent, does: &[InputEvent]) {
        assert_eq!(hands.on_event(seat, event.clone()), does, "{event:?} of {seat}");
    }

    // spec: H-66
    #[test]
    fn two_viewers_first_fingers_are_two() {
        use TouchPhase::{Down, Move, Up};
        let mut hands = Hands::default();
        check(&mut hands, ANN, touch(0, Down, 10), &[touch(0, Down, 10)]);
        check(&mut hands, BOB, touch(0, Down, 20), &[touch(1, Down, 20)]);
        check(&mut hands, ANN, touch(0, Move, 11), &[touch(0, Move, 11)]);
        check(&mut hands, BOB, touch(0, Move, 21), &[touch(1, Move, 21)]);
        check(&mut hands, BOB, touch(0, Down, 22), &[]);
        check(&mut hands, ANN, touch(0, Up, 12), &[touch(0, Up, 12)]);
        check(&mut hands, BOB, touch(0, Move, 23), &[touch(1, Move, 23)]);
        check(&mut hands, ANN, touch(0, Move, 12), &[]);
        check(&mut hands, ANN, touch(7, Down, 30), &[touch(0, Down, 30)]);
        check(&mut hands, BOB, touch(0, Up, 24), &[touch(1, Up, 24)]);
    }

    // spec: H-66
    #[test]
    fn a_screen_full_of_fingers_takes_no_more_and_forgets_none() {
        use TouchPhase::{Cancel, Down, Move, Up};
        let mut hands = Hands::default();
        for finger in 0..MAX_FINGERS {
            check(&mut hands, ANN, touch(finger, Down, 1), &[touch(finger, Down, 1)]);
        }
        for phase in [Down, Move, Up] {
            check(&mut hands, BOB, touch(0, phase, 2), &[]);
        }
        check(&mut hands, ANN, touch(3, Cancel, 4), &[touch(3, Cancel, 4)]);
        // It touched while there was no room: it is nobody's until it has left.
        check(&mut hands, BOB, touch(0, Move, 2), &[]);
        check(&mut hands, BOB, touch(0, Down, 5), &[touch(3, Down, 5)]);
        let gone = hands.on_released(ANN);
        assert_eq!(gone.len(), usize::from(MAX_FINGERS) - 1, "{gone:?}");
        check(&mut hands, BOB, touch(0, Up, 6), &[touch(3, Up, 6)]);
    }

    // spec: H-23, H-66
    #[test]
    fn who_loses_the_keyboard_or_the_link_lets_go_of_their_own() {
        use TouchPhase::{Down, Move};
        let mut hands = Hands::default();
        for (seat, event) in [(ANN, key(SHIFT, KeyMove::Down)), (ANN, touch(0, Down, 1)), (BOB, left(true))] {
            check(&mut hands, seat, event.clone(), &[event]);
        }
        check(&mut hands, BOB, touch(0, Down, 2), &[touch(1, Down, 2)]);
        check(&mut hands, BOB, InputEvent::Blur, &[left(false), cancelled(1, 2)]);
        check(&mut hands, BOB, FOCUS, &[FOCUS]);
        check(&mut hands, ANN, touch(0, Move, 3), &[touch(0, Move, 3)]);
        assert_eq!(hands.on_released(ANN), [cancelled(0, 3), key(SHIFT, KeyMove::Up), InputEvent::Blur]);
        assert_eq!(hands.on_released(ANN), [InputEvent::Blur], "nobody holds anything");
    }

    // spec: H-23
    #[test]
    fn the_keyboard_that_comes_lifts_its_keys_and_nothing_else() {
        let mut hands = Hands::default();
        let pressed = [key(A, KeyMove::Down), left(true), touch(0, TouchPhase::Down, 1)];
        pressed.into_iter().for_each(|event| check(&mut hands, ANN, event.clone(), &[event]));
        check(&mut hands, BOB, key(SHIFT, KeyMove::Down), &[key(SHIFT, KeyMove::Down)]);
        check(&mut hands, ANN, FOCUS, &[key(A, KeyMove::Up), FOCUS]);
        check(&mut hands, ANN, left(false), &[left(false)]);
        check(&mut hands, ANN, touch(0, TouchPhase::Up, 1), &[touch(0, TouchPhase::Up, 1)]);
        check(&mut hands, BOB, key(SHIFT, KeyMove::Up), &[key(SHIFT, KeyMove::Up)]);
    }

    // spec: H-66
    #[test]
    fn a_key_is_down_while_anybody_holds_it() {
        let mut hands = Hands::default();
        let (down, up, repeat) = (key(A, KeyMove::Down), key(A, KeyMove::Up), key(A, KeyMove::Repeat));
        check(&mut hands, ANN, down.clone(), &[down]);
        check(&mut hands, BOB, repeat.clone(), &[]);
        // Typed by both.
        check(&mut hands, BOB, InputEvent::Press { code: A, means: Meaning(0x61) }, std::slice::from_ref(&repeat));
        check(&mut hands, BOB, repeat.clone(), &[repeat]);
        check(&mut hands, ANN, up.clone(), &[]);
        check(&mut hands, ANN, up.clone(), &[]);
        check(&mut hands, BOB, up.clone(), std::slice::from_ref(&up));
        check(&mut hands, BOB, up, &[]);
        check(&mut hands, ANN, left(true), &[left(true)]);
        check(&mut hands, BOB, left(true), &[]);
        check(&mut hands, ANN, left(false), &[]);
        assert_eq!(hands.on_released(BOB), [left(false), InputEvent::Blur]);
    }

    // spec: H-66
    #[test]
    fn the_pen_is_whose_was_there_first() {
        let near = |x| Pen {
            at: Point::new(x, 0),
            pressure: 9,
            tilt: (0, 0),
            touching: true,
            eraser: false,
            buttons: 0,
            near: true,
        };
        let pen = |x| InputEvent::Pen(near(x));
        let away = |x| InputEvent::Pen(near(x).away());
        let mut hands = Hands::default();
        check(&mut hands, BOB, away(1), &[]);
        check(&mut hands, ANN, pen(1), &[pen(1)]);
        check(&mut hands, BOB, pen(2), &[]);
        check(&mut hands, BOB, away(2), &[]);
        check(&mut hands, ANN, pen(3), &[pen(3)]);
        assert_eq!(hands.on_released(BOB), []);
        assert_eq!(hands.on_released(ANN), [away(3), InputEvent::Blur]);
        check(&mut hands, BOB, pen(4), &[pen(4)]);
        check(&mut hands, BOB, away(4), &[away(4)]);
    }
}
