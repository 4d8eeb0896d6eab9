//! Finds what moved: a scroll, a dragged window.
//!
//! Content anchors: places whose two-pixel hash passes one time in 32, so that the same content gives the same places
//! wherever it stands. Anchors of the old frame are indexed by a hash of the pixels around them; those of the new frame
//! look theirs up and vote for the way they came. The ways with most votes are then verified block by block, byte for
//! byte, so a move can be useless but never wrong.

use crate::kernel::{pixel, same_block};
use crate::shift::source;
use std::collections::BTreeMap;
use telepane_model::{Grid, Pixels, Rect, Surf, TileAt};

/// The pixels of an anchor's key: this many from the anchor on, in its row and in the row [`BELOW`] it.
const KEY: usize = 24;
const BELOW: u32 = 3;
/// Every so many rows of the new frame are looked at.
const STEP: usize = 4;
/// One in so many edges is an anchor (a power of two).
const RARE: u32 = 32;
/// The fewest votes of a vector that is tried.
const VOTES: u32 = 4;
/// The most vectors that are tried.
const VECTORS: usize = 3;
/// A block is verified whole.
const BLOCK_W: u32 = 16;
const BLOCK_H: u32 = 8;
/// A rectangle mends at least this many blocks, or coding them is cheaper than naming it.
const LEAST_BLOCKS: u32 = 3;
/// The most rectangles for one vector.
const MOST_RECTS: usize = 16;

/// The ways in which content of `tiles` (sorted by row, then column) seems to have gone, best first.
pub fn vectors(before: &Pixels, now: &Pixels, tiles: &[Rect<Surf>]) -> Vec<(i32, i32)> {
    let bands = bands(tiles);
    let mut index = Index::new(bands.iter().map(|b| b.area()).sum());
    for band in &bands {
        anchors(before, *band, 1, |x, y, key| index.add(key, x, y));
    }
    if index.empty {
        return Vec::new();
    }
    let mut votes: BTreeMap<(i32, i32), u32> = BTreeMap::new();
    for band in &bands {
        anchors(now, *band, STEP, |x, y, key| {
            if let Some((from_x, from_y)) = index.find(key)
                && (from_x, from_y) != (x, y)
            {
                *votes.entry((x - from_x, y - from_y)).or_default() += 1;
            }
        });
    }
    let mut best: Vec<_> = votes.into_iter().filter(|(_, n)| *n >= VOTES).map(|(v, n)| (n, v)).collect();
    best.sort_unstable_by(|a, b| b.cmp(a));
    best.into_iter().take(VECTORS).map(|(_, v)| v).collect()
}

/// The rectangles that hold, in `now`, exactly what `before` holds at the place the vector comes from; in the order in
/// which they can be copied one after the other. Only tiles that `allowed` names are written to.
pub fn verified(
    before: &Pixels,
    now: &Pixels,
    tiles: &[Rect<Surf>],
    (dx, dy): (i32, i32),
    allowed: impl Fn(TileAt) -> bool,
) -> Vec<Rect<Surf>> {
    let surface = now.size().rect();
    let equal = |from: Rect<Surf>, r: Rect<Surf>| {
        let stride = now.stride();
        let place = |r: Rect<Surf>| r.y as usize * stride + r.x as usize * 4;
        surface.contains(from)
            && surface.contains(r)
            && same_block(before.data(), place(from), now.data(), place(r), stride, r.w as usize * 4, r.h as usize)
    };
    let matches = |r: Rect<Surf>| source(r, dx, dy).is_some_and(|from| equal(from, r));
    let grid = Grid::new(now.size());
    let free = |r: Rect<Surf>| grid.touching(r).all(&allowed);
    // Blocks that differ and that the vector explains, and the box around them. Blocks that stay as they are may be
    // written again where that makes rectangles larger.
    let cols = surface.w.div_ceil(BLOCK_W) as usize;
    let mut cells = Cells { cols, state: vec![None; cols * surface.h.div_ceil(BLOCK_H) as usize] };
    let place = |b: &Rect<Surf>| b.y as usize / BLOCK_H as usize * cols + b.x as usize / BLOCK_W as usize;
    let mut bounds = Rect::default();
    for block in tiles.iter().flat_map(|t| blocks(*t)) {
        cells.state[place(&block)] = Some(match matches(block) {
            false => Cell::No,
            true if equal(block, block) => Cell::Harmless,
            true => {
                bounds = bounds.union(block);
                Cell::Useful
            }
        });
    }
    if bounds.is_empty() {
        return Vec::new();
    }
    for block in blocks(bounds) {
        let cell = &mut cells.state[place(&block)];
        if cell.is_none() {
            *cell = Some(if free(block) && matches(block) { Cell::Harmless } else { Cell::No });
        }
    }
    let mut cells = cells.part(bounds);
    let mut rects: Vec<Rect<Surf>> = Vec::new();
    while rects.len() < MOST_RECTS
        && let Some((x, y, w, h)) = cells.take_best()
    {
        let corner = (bounds.x + (x as u32 * BLOCK_W) as i32, bounds.y + (y as u32 * BLOCK_H) as i32);
        rects.push(Rect::new(corner.0, corner.1, w as u32 * BLOCK_W, h as u32 * BLOCK_H).intersect(bounds));
    }
    for i in 0..rects.len() {
        let alone = |edge: Rect<Surf>| rects.iter().all(|r| r.intersect(edge).is_empty());
        rects[i] = grow(rects[i], |edge| alone(edge) && free(edge) && matches(edge));
    }
    // Downward moves from the bottom up, rightward ones from the right: as no two rectangles overlap, a straight move
    // then overwrites no source before it is read.
    rects.sort_unstable_by_key(|r| (-r.y * dy.signum(), -r.x * dx.signum()));
    rects
}

/// What a vector does to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// Something wrong, or it must not be written.
    No,
    /// It is right before and after.
    Harmless,
    /// It mends it.
    Useful,
}

/// Blocks in rows.
struct Cells<C> {
    cols: usize,
    state: Vec<C>,
}

impl Cells<Option<Cell>> {
    /// The blocks of `bounds`, which begins and ends with whole blocks.
    fn part(&self, bounds: Rect<Surf>) -> Cells<Cell> {
        let (x, y) = (bounds.x as usize / BLOCK_W as usize, bounds.y as usize / BLOCK_H as usize);
        let (cols, rows) = (bounds.w.div_ceil(BLOCK_W) as usize, bounds.h.div_ceil(BLOCK_H) as usize);
        let rows = self.state.chunks_exact(self.cols).skip(y).take(rows);
        let state = rows.flat_map(|row| row.iter().skip(x).take(cols).map(|c| c.unwrap_or(Cell::No))).collect();
        Cells { cols, state }
    }
}

impl Cells<Cell> {
    /// Takes out the rectangle that mends most blocks: column, row, columns, rows.
    fn take_best(&mut self) -> Option<(usize, usize, usize, usize)> {
        let cols = self.cols;
        // How many useful blocks are above and left of each corner.
        let mut sums = vec![0u32; (cols + 1) * (self.state.len() / cols + 1)];
        for (i, cell) in self.state.iter().enumerate() {
            let at = (i / cols + 1) * (cols + 1) + i % cols + 1;
            sums[at] = u32::from(*cell == Cell::Useful) + sums[at - 1] + sums[at - cols - 1] - sums[at - cols - 2];
        }
        let within = |x: usize, y: usize, w: usize, h: usize| {
            let sum = |x: usize, y: usize| sums[y * (cols + 1) + x];
            sum(x + w, y + h) + sum(x, y) - sum(x + w, y) - sum(x, y + h)
        };
        // The largest rectangle under a histogram, row by row: every rectangle that cannot be widened is looked at.
        let mut best = (0, 0, (0, 0, 0, 0));
        let mut heights = vec![0usize; cols];
        let mut open: Vec<(usize, usize)> = Vec::new();
        for (y, row) in self.state.chunks_exact(cols).enumerate() {
            for (height, cell) in heights.iter_mut().zip(row) {
                *height = if *cell == Cell::No { 0 } else { *height + 1 };
            }
            open.clear();
            for x in 0..=cols {
                let height = heights.get(x).copied().unwrap_or(0);
                let mut left = x;
                while let Some((start, tall)) = open.pop_if(|(_, tall)| *tall >= height) {
                    left = start;
                    if tall > 0 {
                        let (w, top) = (x - start, y + 1 - tall);
                        let gain = within(start, top, w, tall);
                        let score = (gain, usize::MAX - w * tall, (start, top, w, tall));
                        if score > best {
                            best = score;
                        }
                    }
                }
                open.push((left, height));
            }
        }
        let (gain, _, (x, y, w, h)) = best;
        for row in y..y + h {
            self.state[row * cols + x..row * cols + x + w].fill(Cell::No);
        }
        (gain >= LEAST_BLOCKS).then_some((x, y, w, h))
    }
}

/// Adds the rows and columns up to one block beyond each side that the vector explains too.
fn grow(mut r: Rect<Surf>, explains: impl Fn(Rect<Surf>) -> bool) -> Rect<Surf> {
    let try_side = |r: &mut Rect<Surf>, side: fn(Rect<Surf>) -> Rect<Surf>, most: u32| {
        for _ in 0..most {
            let edge = side(*r);
            if !explains(edge) {
                break;
            }
            *r = r.union(edge);
        }
    };
    try_side(&mut r, |r| Rect::new(r.x, r.y - 1, r.w, 1), BLOCK_H);
    try_side(&mut r, |r| Rect::new(r.x, r.bottom(), r.w, 1), BLOCK_H);
    try_side(&mut r, |r| Rect::new(r.x - 1, r.y, 1, r.h), BLOCK_W);
    try_side(&mut r, |r| Rect::new(r.right(), r.y, 1, r.h), BLOCK_W);
    r
}

/// The blocks of a rectangle whose corner is a multiple of the block's size.
fn blocks(r: Rect<Surf>) -> impl Iterator<Item = Rect<Surf>> {
    let rows = (r.y..r.bottom()).step_by(BLOCK_H as usize);
    rows.flat_map(move |y| {
        let cols = (r.x..r.right()).step_by(BLOCK_W as usize);
        cols.map(move |x| Rect::new(x, y, BLOCK_W, BLOCK_H).intersect(r))
    })
}

/// Neighbouring tiles of a row as one rectangle.
fn bands(tiles: &[Rect<Surf>]) -> Vec<Rect<Surf>> {
    let mut sorted = tiles.to_vec();
    sorted.sort_unstable_by_key(|t| (t.y, t.x));
    sorted.dedup_by(|next, kept| {
        let joins = next.y == kept.y && next.x <= kept.right();
        if joins {
            *kept = kept.union(*next);
        }
        joins
    });
    sorted
}

/// Calls `each` with the anchors in every `step`th row of `band`.
fn anchors(pixels: &Pixels, band: Rect<Surf>, step: usize, mut each: impl FnMut(i32, i32, u64)) {
    // An anchor has a left neighbour, and its key must fit.
    let right = band.right().min(pixels.size().w as i32 - KEY as i32);
    let bottom = band.bottom().min(pixels.size().h as i32 - BELOW as i32);
    let left = band.x.max(1);
    if right <= left {
        return;
    }
    for y in (band.y..bottom).step_by(step) {
        let row = pixels.row(left as u32 - 1, y as u32, (right - left) as u32 + 1);
        let mut last = pixel(row);
        for (i, px) in row.chunks_exact(4).enumerate().skip(1) {
            let now = pixel(px);
            if now != last && (now ^ last.rotate_left(11)).wrapping_mul(0x9e37_79b1) >> 27 == 0 {
                let x = left + i as i32 - 1;
                each(x, y, key(pixels, x as u32, y as u32));
            }
            last = now;
        }
    }
    const { assert!(RARE == 1 << 5) }
}

/// The hash of the pixels at an anchor.
fn key(pixels: &Pixels, x: u32, y: u32) -> u64 {
    let mut h = 0u64;
    for row in [y, y + BELOW] {
        for pair in pixels.row(x, row, KEY as u32).as_chunks::<8>().0 {
            let v = u64::from_le_bytes(*pair) & 0x00ff_ffff_00ff_ffff;
            h = (h ^ v).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
    }
    h ^ h >> 32
}

/// Anchors by key. A key that comes twice says nothing and finds nothing.
struct Index {
    slots: Vec<(u64, i32, i32)>,
    empty: bool,
}

/// No anchor has this column: none yet, or more than one.
const EMPTY: i32 = -1;
const TWICE: i32 = -2;

impl Index {
    /// For the anchors of `area` pixels; when there are more, the later ones are not found.
    fn new(area: u64) -> Self {
        let slots = (area / 32).next_power_of_two().clamp(1 << 10, 1 << 17) as usize;
        Self { slots: vec![(0, EMPTY, 0); slots], empty: true }
    }

    fn add(&mut self, key: u64, x: i32, y: i32) {
        self.empty = false;
        if let Some(slot) = self.slot(key) {
            match slot.1 {
                EMPTY => *slot = (key, x, y),
                _ => slot.1 = TWICE,
            }
        }
    }

    fn find(&mut self, key: u64) -> Option<(i32, i32)> {
        let (found, x, y) = *self.slot(key)?;
        (found == key && x >= 0).then_some((x, y))
    }

    /// The slot of this key or a free one, within a few steps.
    fn slot(&mut self, key: u64) -> Option<&mut (u64, i32, i32)> {
        let mask = self.slots.len() - 1;
        let at = (0..8).map(|i| (key as usize).wrapping_add(i) & mask);
        let at = { at }.find(|i| self.slots.get(*i).is_some_and(|s| s.1 == EMPTY || s.0 == key))?;
        self.slots.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size, TILE};

    fn text(size: Size<Surf>, seed: u64) -> Pixels {
        let mut rng = Rng::new(seed);
        let mut p = Pixels::new(size);
        p.fill(size.rect(), [250, 250, 250]);
        for _ in 0..size.area() / 60 {
            let v = (rng.below(10) * 20) as u8;
            let (x, y) = (rng.below(size.w as u64) as i32, rng.below(size.h as u64) as i32);
            p.fill(Rect::new(x, y, 1 + rng.below(4) as u32, 1 + rng.below(3) as u32), [v, v, v]);
        }
        p
    }

    #[test]
    fn a_scroll_and_a_drag_are_found_and_true() {
        let size = Size::new(640, 400);
        let before = text(size, 1);
        let grid = Grid::new(size);
        let tiles: Vec<_> = grid.all().map(|t| grid.rect(t)).collect();
        for (dx, dy) in [(0, -17), (0, 54), (40, 0), (-23, 31)] {
            let mut now = before.clone();
            let window = Rect::new(100, 90, 400, 200);
            now.paste(&before.crop(window), window.x + dx, window.y + dy);
            assert_eq!(vectors(&before, &now, &tiles).first(), Some(&(dx, dy)));
            let rects = verified(&before, &now, &tiles, (dx, dy), |_| true);
            let area: u64 = rects.iter().map(|r| r.area()).sum();
            assert!(area >= window.area() * 95 / 100, "{dx},{dy}: {area}");
            let mut got = before.clone();
            for to in &rects {
                crate::shift::copy(&mut got, source(*to, dx, dy).unwrap(), *to);
            }
            for to in &rects {
                assert!(got.same(&now, *to), "{dx},{dy}: {to:?}");
            }
        }
    }

    #[test]
    fn only_allowed_tiles_are_written() {
        let size = Size::new(640, 400);
        let before = text(size, 2);
        let mut now = before.clone();
        now.paste(&before, 0, -20);
        let grid = Grid::new(size);
        let allowed = |at: TileAt| at.col < 5;
        let tiles: Vec<_> = grid.all().filter(|t| allowed(*t)).map(|t| grid.rect(t)).collect();
        for r in verified(&before, &now, &tiles, (0, -20), allowed) {
            assert!(r.right() <= 5 * TILE as i32);
        }
    }

    #[test]
    fn unlike_screens_give_no_move() {
        let size = Size::new(640, 400);
        let (before, now) = (text(size, 3), text(size, 4));
        assert_eq!(vectors(&before, &now, &[size.rect()]), []);
    }
}
