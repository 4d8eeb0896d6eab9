//! What capture says: pixels, and what it knows of their change.

use crate::geometry::{Rect, Size, Surf};
use crate::region::Region;
use crate::tile::SurfaceId;
use crate::time::{HostClock, Stamp};
use alloc::vec::Vec;

/// Frames of one surface, counted from 1 without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FrameId(pub u64);

/// How far a [`Damage`] can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Every pixel that changed is inside, and hardly any other.
    Exact,
    /// Every pixel that changed is inside, and many others may be.
    Hint,
    /// Nothing is known: look at everything.
    Unknown,
}

/// A rectangle of pixels that now stands `dx`, `dy` away from where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Move {
    /// Where the pixels stand now.
    pub to: Rect<Surf>,
    /// How far right they went; the source is `to` shifted by `-dx`.
    pub dx: i32,
    /// How far down they went.
    pub dy: i32,
}

/// What changed between two captures of a surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// How far to believe it.
    pub trust: Trust,
    /// The pixels that may have changed.
    pub changed: Region<Surf>,
    /// Moves the source knows of; hints, to be verified.
    pub moves: Vec<Move>,
}

impl Damage {
    /// Everything may have changed.
    pub fn all(size: Size<Surf>) -> Self {
        Self { trust: Trust::Unknown, changed: size.rect().into(), moves: Vec::new() }
    }

    /// Exactly this changed.
    pub fn exact(changed: Region<Surf>) -> Self {
        Self { trust: Trust::Exact, changed, moves: Vec::new() }
    }
}

/// What the mind hears of a frame: everything but the pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameFacts {
    /// Which frame.
    pub id: FrameId,
    /// Of which surface.
    pub surface: SurfaceId,
    /// The surface's size. A change of size is a new geometry epoch.
    pub size: Size<Surf>,
    /// When the pixels were read.
    pub captured: Stamp<HostClock>,
    /// What changed since the frame before.
    pub damage: Damage,
}

/// A frame with its pixels `P`.
#[derive(Clone, Debug)]
pub struct Frame<P> {
    /// What the mind hears of it.
    pub facts: FrameFacts,
    /// The pixels.
    pub pixels: P,
}
