//! The pointer's look and place on the host, drawn by the client.

use crate::geometry::{Desk, Point};
use alloc::vec::Vec;

/// The widest or highest cursor there may be, in pixels.
pub const MAX_CURSOR: u16 = 256;

/// A cursor image.
///
/// INVARIANT: `w, h <= MAX_CURSOR`, `bgra.len() == 4 * w * h`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CursorShape {
    /// Its number; the same number is the same image within a session.
    pub id: u32,
    /// Width in pixels; 0 by 0 is an invisible cursor.
    pub w: u16,
    /// Height in pixels.
    pub h: u16,
    /// The pixel that points, from the left.
    pub hot_x: u16,
    /// The pixel that points, from the top.
    pub hot_y: u16,
    /// Blue, green, red (premultiplied by alpha), alpha; rows without padding.
    pub bgra: Vec<u8>,
}

/// Where the host's pointer is and which shape it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CursorState {
    /// The hotspot's place on the desktop.
    pub at: Point<Desk>,
    /// The shape's number.
    pub shape: u32,
    /// Whether it is shown at all.
    pub visible: bool,
}
