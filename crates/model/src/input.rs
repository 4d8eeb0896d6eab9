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
    /// The client's window got the keyboard: the lock keys that are on there. Held keys are released on the host.
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
