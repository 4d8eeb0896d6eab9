//! What the user's hands did.

use crate::geometry::{Desk, Point};
use crate::time::{Stamp, ViewerClock};
use alloc::string::String;

/// A physical key: its code in Linux's `input-event-codes.h` (evdev), on every platform. 1 to 767.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyCode(pub u16);

impl KeyCode {
    /// The highest code there is (`KEY_MAX` in `input-event-codes.h`).
    pub const MAX: u16 = 767;
}

/// What a key means on the client, as its layout and modifiers say: an X keysym (the X protocol's appendix A). A character is
/// Latin-1 as it is or `0x0100_0000` plus its code point; everything else is a key's function, such as 0xffe9 for Alt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Meaning(pub u32);

impl Meaning {
    /// The highest keysym there is: X keeps the three bits above for itself.
    pub const MAX: u32 = 0x1fff_ffff;
    /// Above this, a keysym is a character's code point.
    const UNICODE: u32 = 0x0100_0000;

    /// A key that gives this character; `None` for control characters, which are functions.
    pub fn of(c: char) -> Option<Self> {
        let n = u32::from(c);
        let latin = matches!(n, 0x20..=0x7e | 0xa0..=0xff);
        (!c.is_control()).then_some(Self(if latin { n } else { Self::UNICODE + n }))
    }

    /// The character, if it is one.
    pub fn char(self) -> Option<char> {
        match self.0 {
            0x20..=0x7e | 0xa0..=0xff => char::from_u32(self.0),
            n => n.checked_sub(Self::UNICODE).and_then(char::from_u32).filter(|c| !c.is_control()),
        }
    }
}

/// What a key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMove {
    /// Went down.
    Down,
    /// Came up.
    Up,
    /// Repeated while held, by the client's repeat.
    Repeat,
}

/// A button of a pointing device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Button {
    /// The first, usually left.
    Left,
    /// The second, usually right.
    Right,
    /// The wheel.
    Middle,
    /// Backwards.
    Back,
    /// Forwards.
    Forward,
}

/// What a finger did on a touch screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TouchPhase {
    /// Touched the screen.
    Down,
    /// Moved, or pressed otherwise, while touching.
    Move,
    /// Left the screen.
    Up,
    /// Touches no more, without having meant what it did: the client's system took the touch for something else.
    Cancel,
}

/// Fingers that may touch at once: those of two hands.
pub const MAX_FINGERS: u8 = 10;

/// A pen's state: every event says all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pen {
    /// Where its tip points.
    pub at: Point<Desk>,
    /// How hard it presses: 0 where it does not touch, full at 65535. A pen that cannot tell and touches says 65535.
    pub pressure: u16,
    /// How far its upper end leans right and towards the hand, in degrees: −90 to 90 each, 0 upright or not known.
    pub tilt: (i8, i8),
    /// Whether it touches the surface.
    pub touching: bool,
    /// Whether the end that rubs out points down.
    pub eraser: bool,
    /// The buttons held on its barrel: bit 0 the lower, bit 1 the upper.
    pub buttons: u8,
    /// Whether it is in reach of the surface. `false` ends it: then it touches nothing and holds nothing.
    pub near: bool,
}

impl Pen {
    /// The most degrees it may lean.
    pub const MAX_TILT: i8 = 90;
    /// The buttons there are: bits 0 and 1.
    pub const BUTTONS: u8 = 3;

    /// Whether a pen can be like this: out of reach it touches nothing and holds nothing, and without touching it presses
    /// nothing.
    pub const fn is_possible(&self) -> bool {
        (self.near || !self.touching && self.buttons == 0) && (self.touching || self.pressure == 0)
    }

    /// The nearest state that a pen can be in.
    #[must_use]
    pub fn possible(self) -> Self {
        let touching = self.touching && self.near;
        let lean = |degrees: i8| degrees.clamp(-Self::MAX_TILT, Self::MAX_TILT);
        Self {
            pressure: if touching { self.pressure } else { 0 },
            tilt: (lean(self.tilt.0), lean(self.tilt.1)),
            touching,
            buttons: if self.near { self.buttons & Self::BUTTONS } else { 0 },
            ..self
        }
    }

    /// The same pen where it left: out of reach.
    #[must_use]
    pub fn away(self) -> Self {
        Self { near: false, ..self }.possible()
    }
}

/// Input events of a session, counted from 1 without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct InputSeq(pub u32);

/// One thing the user did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputEvent {
    /// A physical key moved.
    Key {
        /// Which.
        code: KeyCode,
        /// How.
        action: KeyMove,
    },
    /// A physical key went down that is a character there, or is not what the key of this place mostly is.
    Press {
        /// Which.
        code: KeyCode,
        /// What it means there.
        means: Meaning,
    },
    /// Text that no single key gives (an input method, a dead-key result). At most [`MAX_TEXT`] bytes.
    Text(String),
    /// The pointer went to a place on the desktop.
    PointerTo(Point<Desk>),
    /// The pointer moved by this many pixels (relative mode).
    PointerBy {
        /// Right.
        dx: i32,
        /// Down.
        dy: i32,
    },
    /// A button moved.
    Button {
        /// Which.
        button: Button,
        /// Whether it went down.
        down: bool,
    },
    /// The wheel turned, in 1/120 of a notch: positive is right and down.
    Wheel {
        /// Sideways.
        x: i32,
        /// Down.
        y: i32,
    },
    /// A finger on a touch screen.
    Touch {
        /// Which: below [`MAX_FINGERS`]; a number is free again once its finger left.
        finger: u8,
        /// What it did.
        phase: TouchPhase,
        /// Where it is, or was when it left.
        at: Point<Desk>,
        /// How hard it presses: 0 where the screen does not tell, full at 65535.
        pressure: u16,
    },
    /// A pen's state changed.
    Pen(Pen),
    /// The client's window got the keyboard: the lock keys that are on there. Keys held are released on the host; what a
    /// button, a finger or a pen began goes on.
    Focus {
        /// Caps Lock.
        caps: bool,
        /// Num Lock.
        num: bool,
    },
    /// The client's window lost the keyboard: everything held is released.
    Blur,
}

impl InputEvent {
    /// Whether a person expects the desktop to answer it at once: something went down, was turned or written. Letting go
    /// and moving are not.
    pub const fn is_press(&self) -> bool {
        match self {
            Self::Key { action, .. } => !matches!(action, KeyMove::Up),
            Self::Button { down, .. } => *down,
            Self::Touch { phase, .. } => matches!(phase, TouchPhase::Down),
            // One that touched before as well goes on with what it does: only who knows that can tell the two apart.
            Self::Pen(pen) => pen.touching,
            Self::Press { .. } | Self::Text(_) | Self::Wheel { .. } => true,
            Self::PointerTo(_) | Self::PointerBy { .. } | Self::Focus { .. } | Self::Blur => false,
        }
    }
}

/// The most bytes of text one event may hold.
pub const MAX_TEXT: usize = 256;

/// An event with its number and the time it was taken from the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampedInput {
    /// Its number.
    pub seq: InputSeq,
    /// When the client got it.
    pub at: Stamp<ViewerClock>,
    /// What it was.
    pub event: InputEvent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pen_is_brought_into_a_state_that_it_can_have() {
        let pen = Pen {
            at: Point::new(1, 2),
            pressure: 9,
            tilt: (-128, 100),
            touching: true,
            eraser: true,
            buttons: 0xff,
            near: true,
        };
        let draws = pen.possible();
        assert_eq!((draws.pressure, draws.tilt, draws.touching, draws.buttons), (9, (-90, 90), true, 3));
        let away = pen.away();
        assert_eq!((away.pressure, away.touching, away.buttons, away.eraser, away.near), (0, false, 0, true, false));
        assert!(draws.is_possible() && away.is_possible());
        let hovers = Pen { touching: false, ..draws };
        assert!(!hovers.is_possible() && hovers.possible().is_possible());
        assert!(!Pen { near: false, ..draws }.is_possible());
    }

    #[test]
    fn characters_are_keysyms_and_back() {
        for (c, n) in [('a', 0x61), ('ä', 0xe4), ('€', 0x0100_20ac), ('😀', 0x0101_f600), (' ', 0x20)] {
            assert_eq!((Meaning::of(c), Meaning(n).char()), (Some(Meaning(n)), Some(c)));
        }
        assert_eq!(['\r', '\u{7f}', '\u{85}'].map(Meaning::of), [None; 3]);
        for n in [0, 0xff0d, 0xffe9, 0x0100_0009, 0x0100_d800, 0x0111_0000, Meaning::MAX] {
            assert_eq!(Meaning(n).char(), None, "{n:#x}");
        }
    }
}
