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
            Self::Text(_) | Self::Wheel { .. } => true,
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
