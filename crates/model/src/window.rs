//! The windows of a desktop's applications, as far as its monitors concern them.

use crate::geometry::{Rect, Surf};

/// The most windows that are looked after; people have a few dozen.
pub const MOST_WINDOWS: usize = 512;

/// One application's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppWindow {
    /// Stands for it as long as it is there, and may stand for another one later.
    pub id: u32,
    /// Where it lies, with the frame that a window manager gave it.
    pub place: Rect<Surf>,
}
