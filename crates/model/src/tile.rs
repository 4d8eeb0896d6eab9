//! Surfaces, the grid of tiles over them, and how good a tile is.

use crate::geometry::{Rect, Size, Surf};

/// The side of a tile in pixels (`research/codec.md` §4: smaller costs headers, larger costs bytes per glyph).
pub const TILE: u32 = 64;

/// A surface: one monitor of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SurfaceId(pub u16);

/// A surface's geometry number. Each change of size, and each refresh, begins a new epoch, in which both sides start
/// from a black framebuffer. Rises by one; 0 is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u32);

/// A content counter: which capture last touched a tile. Rises; a tile holding version `v` shows that capture's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

/// How good a tile is, in ordered steps up to [`Quality::EXACT`]. Refinement never lowers it for one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quality(pub u8);

impl Quality {
    /// Nothing of this version has been sent.
    pub const NONE: Self = Self(0);
    /// A picture's colours, hardly its shapes.
    pub const PREVIEW: Self = Self(16);
    /// A picture at some 35 dB.
    pub const FIRST_VIEW: Self = Self(32);
    /// A picture at some 40 dB.
    pub const FINE: Self = Self(48);
    /// Coded as film: 4:2:0, moving.
    pub const FILM: Self = Self(64);
    /// Every bit of every colour.
    pub const EXACT: Self = Self(255);

    /// Whether this is a picture's layer, to be refined as soon as nothing else is behind.
    pub const fn is_layer(self) -> bool {
        matches!(self, Self::PREVIEW | Self::FIRST_VIEW | Self::FINE)
    }
}

/// A tile's place in the grid: column and row, counted in tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TileAt {
    /// Tiles from the left.
    pub col: u16,
    /// Tiles from the top.
    pub row: u16,
}

/// The tiles of a surface. They cover it exactly once; those at the right and bottom edges may be smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Grid {
    size: Size<Surf>,
}

impl Grid {
    /// The grid over a surface of `size`.
    pub const fn new(size: Size<Surf>) -> Self {
        Self { size }
    }

    /// The surface's size in pixels.
    pub const fn size(&self) -> Size<Surf> {
        self.size
    }

    /// Columns of tiles.
    pub const fn cols(&self) -> u16 {
        self.size.w.div_ceil(TILE) as u16
    }

    /// Rows of tiles.
    pub const fn rows(&self) -> u16 {
        self.size.h.div_ceil(TILE) as u16
    }

    /// Tiles in all.
    pub const fn count(&self) -> usize {
        self.cols() as usize * self.rows() as usize
    }

    /// A tile's number in row order, if it is in the grid.
    pub fn index(&self, at: TileAt) -> Option<usize> {
        (at.col < self.cols() && at.row < self.rows()).then(|| at.row as usize * self.cols() as usize + at.col as usize)
    }

    /// The tile with this number.
    pub fn at(&self, index: usize) -> TileAt {
        let cols = (self.cols() as usize).max(1);
        TileAt { col: (index % cols) as u16, row: (index / cols) as u16 }
    }

    /// A tile's pixels, clipped to the surface.
    pub fn rect(&self, at: TileAt) -> Rect<Surf> {
        let (x, y) = (at.col as i32 * TILE as i32, at.row as i32 * TILE as i32);
        Rect::new(x, y, TILE, TILE).intersect(self.size.rect())
    }

    /// The tiles that `rect` touches, in row order.
    pub fn touching(&self, rect: Rect<Surf>) -> impl Iterator<Item = TileAt> + use<> {
        let r = rect.intersect(self.size.rect());
        let t = TILE as i32;
        let (c0, r0) = (r.x / t, r.y / t);
        let (c1, r1) = if r.is_empty() { (c0, r0) } else { ((r.right() + t - 1) / t, (r.bottom() + t - 1) / t) };
        (r0..r1).flat_map(move |row| (c0..c1).map(move |col| TileAt { col: col as u16, row: row as u16 }))
    }

    /// All tiles, in row order.
    pub fn all(&self) -> impl Iterator<Item = TileAt> + use<> {
        self.touching(self.size.rect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_the_surface_once() {
        for (w, h) in [(1, 1), (64, 64), (65, 63), (1920, 1080)] {
            let grid = Grid::new(Size::new(w, h));
            assert_eq!(grid.all().map(|t| grid.rect(t).area()).sum::<u64>(), grid.size().area());
            assert_eq!(grid.all().count(), grid.count());
            for (i, t) in grid.all().enumerate() {
                assert_eq!(grid.index(t), Some(i));
                assert_eq!(grid.at(i), t);
            }
        }
    }

    #[test]
    fn touching_is_clipped() {
        let grid = Grid::new(Size::new(100, 100));
        assert_eq!(grid.touching(Rect::new(-500, -500, 5, 5)).count(), 0);
        assert_eq!(grid.touching(Rect::new(63, 0, 2, 1)).count(), 2);
        assert_eq!(grid.touching(Rect::new(90, 90, 1000, 1000)).count(), 1);
    }
}
