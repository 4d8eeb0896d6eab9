//! What coded each tile last, and whether that was without loss: for the overlay's marks over the picture, and for its
//! sentence about exactness.
//!
//! Film writes with loss, and so do all layers of a picture but the last; every other op writes what the host has. Moved
//! pixels keep what they were. A tile that was written with loss counts as exact again once an exact op has written all of it. That is what the
//! viewer can know by itself: what the host has not sent yet it cannot.

use telepane_codec::Seen;
use telepane_codec::wire::kind;
use telepane_model::tile::TILE;
use telepane_model::{Rect, Size, Span, Stamp, Surf, ViewerClock};

/// A mark fades after this long.
pub const MARKED: Span = Span::millis(900);

/// The coders a person is told of, with the colour of their marks (blue, green, red).
pub const CODERS: [(&str, [u8; 3]); 7] = [
    ("fill", [0x9c, 0x9c, 0x9c]),
    ("move", [0xf0, 0xa0, 0x30]),
    ("cache", [0xe0, 0x60, 0xe0]),
    ("text", [0x50, 0xd0, 0x50]),
    ("picture", [0x30, 0xc8, 0xf0]),
    ("film", [0x50, 0x50, 0xf0]),
    ("exact", [0xe8, 0xe8, 0x50]),
];

/// One tile.
#[derive(Clone, Copy, Debug, Default)]
struct Tile {
    op: u8,
    lossy: bool,
    at: Option<Stamp<ViewerClock>>,
}

/// The tiles of one epoch.
#[derive(Clone, Debug)]
pub struct Tiles {
    size: Size<Surf>,
    columns: usize,
    tiles: Vec<Tile>,
    lossy: usize,
    exact_since: Option<Stamp<ViewerClock>>,
}

impl Tiles {
    /// Nothing has been written yet.
    pub fn new(size: Size<Surf>) -> Self {
        let columns = size.w.div_ceil(TILE) as usize;
        let count = columns * size.h.div_ceil(TILE) as usize;
        Self { size, columns, tiles: vec![Tile::default(); count], lossy: 0, exact_since: None }
    }

    /// A slice was applied.
    pub fn on_slice(&mut self, now: Stamp<ViewerClock>, seen: &[Seen]) {
        for seen in seen {
            let whole_rect = seen.rect;
            let moved_lossy = seen.from.is_some_and(|from| self.any_lossy(from));
            for index in self.indices(seen.rect) {
                let place = self.place(index);
                let whole = whole_rect.contains(place);
                let Some(tile) = self.tiles.get_mut(index) else { continue };
                let was = tile.lossy;
                tile.lossy = match seen.op {
                    _ if seen.lossy => true,
                    kind::MOVE => moved_lossy || (was && !whole),
                    _ => was && !whole,
                };
                (tile.op, tile.at) = (seen.op, Some(now));
                self.lossy = self.lossy + usize::from(tile.lossy) - usize::from(was);
            }
        }
        self.exact_since = if self.lossy > 0 { None } else { self.exact_since.or(Some(now)) };
    }

    /// How many tiles were last written with loss, and since when none is.
    pub const fn exactness(&self) -> (usize, Option<Stamp<ViewerClock>>) {
        (self.lossy, self.exact_since)
    }

    /// What was written lately and by what, tiles of one row and one coder joined; and whether any mark is left to fade.
    pub fn marks(&self, now: Stamp<ViewerClock>) -> Vec<(Rect<Surf>, u8)> {
        let mut marks: Vec<(Rect<Surf>, u8)> = Vec::new();
        for (index, tile) in self.tiles.iter().enumerate() {
            if tile.at.is_none_or(|at| now.since(at) >= MARKED) {
                continue;
            }
            let place = self.place(index);
            match marks.last_mut() {
                Some((run, op)) if *op == tile.op && run.y == place.y && run.right() == place.x => run.w += place.w,
                _ => marks.push((place, tile.op)),
            }
        }
        // Equal runs above one another become one box.
        let mut boxes: Vec<(Rect<Surf>, u8)> = Vec::new();
        for (run, op) in marks {
            let above = boxes.iter_mut().rev().take(64);
            let mut above = above.filter(|(b, o)| *o == op && b.bottom() == run.y && b.x == run.x && b.w == run.w);
            match above.next() {
                Some((b, _)) => b.h += run.h,
                None => boxes.push((run, op)),
            }
        }
        boxes
    }

    fn any_lossy(&self, rect: Rect<Surf>) -> bool {
        self.lossy > 0 && self.indices(rect).any(|i| self.tiles.get(i).is_some_and(|t| t.lossy))
    }

    fn place(&self, index: usize) -> Rect<Surf> {
        let (x, y) = (index % self.columns.max(1), index / self.columns.max(1));
        Rect::new((x * TILE as usize) as i32, (y * TILE as usize) as i32, TILE, TILE).intersect(self.size.rect())
    }

    fn indices(&self, rect: Rect<Surf>) -> impl Iterator<Item = usize> + use<> {
        let r = rect.intersect(self.size.rect());
        let (t, columns) = (TILE as i32, self.columns);
        let rows = if r.is_empty() { 0..0 } else { r.y / t..(r.bottom() - 1) / t + 1 };
        let span = r.x / t..(r.right() - 1).max(0) / t + 1;
        rows.flat_map(move |y| span.clone().map(move |x| y as usize * columns + x as usize))
    }
}

/// A coder's name.
pub fn coder(op: u8) -> (&'static str, [u8; 3]) {
    CODERS.get(usize::from(op)).copied().unwrap_or(("other", [0xff, 0xff, 0xff]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Stamp<ViewerClock> {
        Stamp::from_micros(ms * 1_000)
    }

    fn seen(op: u8, rect: Rect<Surf>) -> Seen {
        Seen { op, rect, lossy: op == kind::FILM, from: None }
    }

    #[test]
    fn loss_goes_when_all_of_a_tile_is_written_exactly_and_moves_along() {
        let mut t = Tiles::new(Size::new(200, 130));
        t.on_slice(at(1), &[seen(kind::EXACT, Rect::new(0, 0, 200, 130))]);
        assert_eq!(t.exactness(), (0, Some(at(1))));
        t.on_slice(at(2), &[seen(kind::FILM, Rect::new(10, 10, 20, 20))]);
        assert_eq!(t.exactness(), (1, None));
        t.on_slice(at(3), &[seen(kind::EXACT, Rect::new(0, 0, 60, 64))]);
        assert_eq!(t.exactness(), (1, None), "a part of it may still be film");
        let from = Some(Rect::new(0, 0, 64, 64));
        let down = Seen { from, ..seen(kind::MOVE, Rect::new(0, 64, 64, 64)) };
        t.on_slice(at(4), &[down]);
        assert_eq!(t.exactness(), (2, None), "film that was moved is film");
        t.on_slice(at(5), &[seen(kind::FILL, Rect::new(0, 0, 64, 128))]);
        assert_eq!(t.exactness(), (0, Some(at(5))));
        t.on_slice(at(6), &[seen(kind::MOVE, Rect::new(0, 0, 200, 130))]);
        assert_eq!(t.exactness(), (0, Some(at(5))));
        // The last column and row are smaller than a tile.
        t.on_slice(at(7), &[seen(kind::FILM, Rect::new(199, 129, 500, 500)), seen(9, Rect::new(192, 128, 8, 2))]);
        assert_eq!(t.exactness().0, 0);
    }

    #[test]
    fn a_picture_counts_as_exact_from_its_last_layer_on() {
        let whole = Rect::new(0, 0, 128, 64);
        let mut t = Tiles::new(Size::new(128, 64));
        t.on_slice(at(1), &[Seen { lossy: true, ..seen(kind::PICTURE, whole) }]);
        assert_eq!(t.exactness(), (2, None));
        t.on_slice(at(2), &[seen(kind::PICTURE, Rect::new(0, 0, 64, 64))]);
        assert_eq!(t.exactness(), (1, None));
        t.on_slice(at(3), &[seen(kind::PICTURE, Rect::new(64, 0, 64, 64))]);
        assert_eq!(t.exactness(), (0, Some(at(3))));
        assert_eq!(t.marks(at(4)), [(whole, kind::PICTURE)]);
    }

    #[test]
    fn marks_are_joined_and_fade() {
        let mut t = Tiles::new(Size::new(320, 192));
        t.on_slice(at(0), &[seen(kind::EXACT, Rect::new(64, 0, 128, 128)), seen(kind::MOVE, Rect::new(256, 0, 1, 1))]);
        let marks = t.marks(at(100));
        assert_eq!(marks, [(Rect::new(64, 0, 128, 128), kind::EXACT), (Rect::new(256, 0, 64, 64), kind::MOVE)]);
        t.on_slice(at(500), &[seen(kind::FILL, Rect::new(0, 130, 1, 1))]);
        assert_eq!(t.marks(at(1_000)), [(Rect::new(0, 128, 64, 64), kind::FILL)]);
        assert!(t.marks(at(2_000)).is_empty());
        assert!(Tiles::new(Size::new(0, 0)).marks(at(0)).is_empty());
    }
}
