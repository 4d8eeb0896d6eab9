//! Which rectangles some vectors explain, byte for byte.
//!
//! The surface is a grid of blocks of 16 by 8 pixels, of which those that differ are marked once for a frame. For each
//! vector they are compared with where it says they come from, each as far as the first row that does not agree, and the
//! blocks around them only if it mends enough. Blocks that differ and agree with their source are joined to few large
//! rectangles, which grow to the last row and column that agrees. Every vector is held against the frame before any copy,
//! so that one vector's rectangles do not destroy what another one's come from; all are then put in an order in which none
//! overwrites what a later one reads.

use crate::kernel::{self, CELL};
use crate::motion::{Vector, bands};
use crate::shift::source;
use telepane_model::{Grid, Pixels, Rect, Region, Surf, TileAt};

/// A block is verified whole.
const BLOCK_W: u32 = CELL as u32;
const BLOCK_H: u32 = 8;
/// A rectangle mends at least this many blocks, or coding them is cheaper than naming it.
const LEAST_BLOCKS: u32 = 3;
/// The most rectangles for one vector: enough for text torn in the middle of a repaint; more are searched longer than
/// they save.
const MOST_RECTS: usize = 24;

/// What a vector does to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Cell {
    /// Something wrong, or it must not be written.
    #[default]
    No,
    /// It is right before and after, or another vector mends it.
    Harmless,
    /// It mends it.
    Useful,
}

/// A rectangle and the way its pixels came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Where they go.
    pub to: Rect<Surf>,
    /// The way they came.
    pub by: Vector,
}

impl Copy {
    fn from(&self) -> Option<Rect<Surf>> {
        source(self.to, self.by.0, self.by.1)
    }
}

/// Verifies vectors; holds memory to use again.
#[derive(Default)]
pub struct Blocks {
    cells: Vec<Cell>,
    /// By block: 1 where it differs and no vector mends it yet.
    open: Vec<u8>,
    wrong: Vec<u8>,
    area: Area,
}

impl Blocks {
    /// A new pair of frames of the same size; what differs and is to be mended lies in `boxes`.
    pub fn begin(&mut self, before: &Pixels, now: &Pixels, boxes: &[Rect<Surf>]) {
        let surface = now.size().rect();
        let cols = surface.w.div_ceil(BLOCK_W) as usize;
        self.open.clear();
        self.open.resize(cols * surface.h.div_ceil(BLOCK_H) as usize, 0);
        let (w, h) = (BLOCK_W as i32, BLOCK_H as i32);
        let blocks =
            |r: Rect<Surf>| Rect::between(r.x & -w, r.y & -h, (r.right() + w - 1) & -w, (r.bottom() + h - 1) & -h);
        let whole: Vec<_> = boxes.iter().map(|r| blocks(r.intersect(surface))).collect();
        for band in bands(&whole) {
            let band = band.intersect(surface);
            let (first, count) = (band.x as usize / CELL, band.w.div_ceil(BLOCK_W) as usize);
            for y in (band.y..band.bottom()).step_by(BLOCK_H as usize) {
                let line = y as usize / BLOCK_H as usize * cols + first;
                let Some(open) = self.open.get_mut(line..line + count) else { continue };
                let rows = (band.bottom() - y).min(h) as usize;
                let at = y as usize * now.stride() + band.x as usize * 4;
                let [old, new] = [before, now].map(|p| p.data().get(at..).unwrap_or(&[]));
                kernel::cells(old, new, now.stride(), band.w as usize * 4, rows, open);
            }
        }
    }

    /// How many blocks of a tile differ that no vector mends yet.
    pub fn open_in(&self, tile: Rect<Surf>, width: u32) -> usize {
        let cols = width.div_ceil(BLOCK_W) as usize;
        let (x, w) = (tile.x.max(0) as usize / CELL, tile.w.div_ceil(BLOCK_W) as usize);
        let rows = self.open.chunks_exact(cols.max(1)).skip(tile.y.max(0) as usize / BLOCK_H as usize);
        let rows = rows.take(tile.h.div_ceil(BLOCK_H) as usize);
        rows.flat_map(|row| row.iter().skip(x).take(w)).filter(|open| **open != 0).count()
    }

    /// The rectangles that hold, in `now`, exactly what `before` holds at the place the vector comes from, and that mend
    /// what no vector before mended. `tiles` are the tiles that differ, without repetition; only tiles that `allowed`
    /// names are written to, and of these those outside `tiles` do not differ. The copies are yet to be put
    /// [`in_order`].
    pub fn explained(
        &mut self,
        before: &Pixels,
        now: &Pixels,
        tiles: &[Rect<Surf>],
        (dx, dy): Vector,
        allowed: impl Fn(TileAt) -> bool,
    ) -> Vec<Copy> {
        let surface = now.size().rect();
        let cols = surface.w.div_ceil(BLOCK_W) as usize;
        self.cells.clear();
        self.cells.resize(cols * surface.h.div_ceil(BLOCK_H) as usize, Cell::No);
        // What is open alone can be mended; the rest is looked at where something is.
        let changed = bands(tiles);
        let mended: u32 = changed.iter().map(|band| self.compare(before, now, *band, (dx, dy), true)).sum();
        // No rectangle mends more than all of them.
        if mended < LEAST_BLOCKS {
            return Vec::new();
        }
        let Some(bounds) = self.useful(cols) else { return Vec::new() };
        // Blocks that stay as they are may be written again where that makes rectangles larger.
        let grid = Grid::new(now.size());
        let [x, y, w, h] = bounds;
        let pixels = Rect::new(
            (x * CELL) as i32,
            (y * BLOCK_H as usize) as i32,
            (w * CELL) as u32,
            (h * BLOCK_H as usize) as u32,
        );
        let mut known = tiles.to_vec();
        known.sort_unstable_by_key(|t| (t.y, t.x));
        let fresh = |at: &TileAt| {
            let tile = grid.rect(*at);
            allowed(*at) && known.binary_search_by_key(&(tile.y, tile.x), |t| (t.y, t.x)).is_err()
        };
        let others: Vec<_> = grid.touching(pixels).filter(fresh).map(|at| grid.rect(at).intersect(pixels)).collect();
        let within = changed.iter().map(|band| band.intersect(pixels)).filter(|band| !band.is_empty());
        for band in within.chain(bands(&others)) {
            self.compare(before, now, band, (dx, dy), false);
        }
        self.area.load(&self.cells, cols, bounds);
        let mut rects: Vec<Rect<Surf>> = Vec::new();
        while rects.len() < MOST_RECTS
            && let Some([bx, by, bw, bh]) = self.area.take_best()
        {
            for row in self.open.chunks_exact_mut(cols).skip(y + by).take(bh) {
                row.iter_mut().skip(x + bx).take(bw).for_each(|open| *open = 0);
            }
            let (px, py) = (pixels.x + (bx * CELL) as i32, pixels.y + (by * BLOCK_H as usize) as i32);
            rects.push(Rect::new(px, py, (bw * CELL) as u32, bh as u32 * BLOCK_H).intersect(surface));
        }
        grown(before, now, rects, (dx, dy), |r| grid.touching(r).all(&allowed))
    }

    /// Enters the blocks of `band`, whose corner is a block's, that agree with their source: of those that are open, or of the
    /// others. Answers how many.
    fn compare(&mut self, before: &Pixels, now: &Pixels, band: Rect<Surf>, (dx, dy): Vector, are_open: bool) -> u32 {
        let (w, h) = (now.size().w as i64, now.size().h as i64);
        let cols = (w as usize).div_ceil(CELL);
        let (x, right) = (i64::from(band.x), i64::from(band.right()).min(w));
        if right <= x {
            return 0;
        }
        let n = (right - x) as usize;
        let count = n.div_ceil(CELL);
        // The blocks whose source is inside: from the first whole one to the last whole one.
        let (dx, dy) = (i64::from(dx), i64::from(dy));
        let left = (dx - x).clamp(0, n as i64) as usize;
        let end = (w + dx - x).clamp(0, n as i64) as usize;
        let (g0, g1) = (left.div_ceil(CELL), if end == n { count } else { end / CELL });
        if g0 >= g1 {
            return 0;
        }
        let (x, len) = (x + (g0 * CELL) as i64, ((g1 * CELL).min(n) - g0 * CELL) * 4);
        let place = |p: &Pixels, x: i64, y: i64| y as usize * p.stride() + x as usize * 4;
        let Self { cells, open, wrong, .. } = self;
        let as_found = if are_open { Cell::Useful } else { Cell::Harmless };
        let mut found = 0;
        for top in (band.y..band.bottom()).step_by(BLOCK_H as usize) {
            let rows = i64::from(top)..i64::from(top + BLOCK_H as i32).min(i64::from(band.bottom())).min(h);
            if rows.start - dy < 0 || rows.end - dy > h || rows.is_empty() {
                continue;
            }
            let line = top as usize / BLOCK_H as usize * cols + band.x as usize / CELL;
            let Some(open) = open.get(line + g0..line + g1) else { continue };
            // What is not asked for is taken for wrong, so that it is not looked at.
            wrong.clear();
            wrong.extend(open.iter().map(|open| u8::from((*open != 0) != are_open)));
            if !wrong.contains(&0) {
                continue;
            }
            let from = before.data().get(place(before, x - dx, rows.start - dy)..).unwrap_or(&[]);
            let here = now.data().get(place(now, x, rows.start)..).unwrap_or(&[]);
            kernel::cells(from, here, now.stride(), len, (rows.end - rows.start) as usize, wrong);
            let Some(cells) = cells.get_mut(line + g0..line + g1) else { continue };
            for (cell, wrong) in cells.iter_mut().zip(wrong.iter()) {
                *cell = if *wrong == 0 { as_found } else { *cell };
            }
            found += wrong.iter().map(|wrong| u32::from(*wrong == 0)).sum::<u32>();
        }
        found
    }

    /// The box around the useful blocks, in blocks: column, row, columns, rows.
    fn useful(&self, cols: usize) -> Option<[usize; 4]> {
        let (mut x0, mut x1, mut y0, mut y1) = (usize::MAX, 0, usize::MAX, 0);
        for (y, row) in self.cells.chunks_exact(cols).enumerate() {
            if let Some(first) = row.iter().position(|c| *c == Cell::Useful) {
                let last = row.iter().rposition(|c| *c == Cell::Useful).unwrap_or(first);
                (x0, x1, y0, y1) = (x0.min(first), x1.max(last), y0.min(y), y);
            }
        }
        (x0 <= x1).then(|| [x0, y0, x1 + 1 - x0, y1 + 1 - y0])
    }
}

/// The blocks inside some bounds, and the best rectangle that ends in each row of them.
#[derive(Default)]
struct Area {
    cols: usize,
    cells: Vec<Cell>,
    /// How many useful blocks are above and left of each corner, at the start: a rectangle without a taken block
    /// has as many still.
    sums: Vec<u32>,
    /// How many blocks upwards, from each on, can be written; above the first row stands one of zeros.
    heights: Vec<u16>,
    /// By row: what the rectangle mends, how little it writes, and where it is.
    best: Vec<(u32, usize, [usize; 4])>,
    open: Vec<(usize, usize)>,
}

impl Area {
    fn load(&mut self, all: &[Cell], all_cols: usize, [x, y, cols, rows]: [usize; 4]) {
        self.cols = cols;
        self.cells.clear();
        for row in all.chunks_exact(all_cols).skip(y).take(rows) {
            self.cells.extend(row.iter().skip(x).take(cols));
        }
        self.sums.clear();
        self.sums.resize((cols + 1) * (rows + 1), 0);
        for (y, row) in self.cells.chunks_exact(cols).enumerate() {
            let (above, line) = self.sums[y * (cols + 1)..(y + 2) * (cols + 1)].split_at_mut(cols + 1);
            let mut sum = 0;
            for ((out, above), cell) in line[1..].iter_mut().zip(&above[1..]).zip(row) {
                sum += u32::from(*cell == Cell::Useful);
                *out = above + sum;
            }
        }
        self.heights.clear();
        self.heights.resize(cols, 0);
        self.heights.resize(cols * (rows + 1), u16::MAX);
        self.best.clear();
        self.best.resize(rows, Default::default());
        self.scan(0, rows);
    }

    /// Finds the best rectangles anew from row `from` on; past row `sure` it ends where nothing has changed.
    fn scan(&mut self, from: usize, sure: usize) {
        let Self { cols, cells, sums, heights, best, open } = self;
        let cols = *cols;
        let within = |[x, y, w, h]: [usize; 4]| {
            let sum = |x: usize, y: usize| sums[y * (cols + 1) + x];
            sum(x + w, y + h) + sum(x, y) - sum(x + w, y) - sum(x, y + h)
        };
        for y in from..best.len() {
            let (above, line) = heights.split_at_mut((y + 1) * cols);
            let (above, line) = (&above[y * cols..], &mut line[..cols]);
            let mut changed = false;
            for ((height, cell), above) in line.iter_mut().zip(&cells[y * cols..]).zip(above) {
                let tall = if *cell == Cell::No { 0 } else { above.saturating_add(1) };
                changed |= tall != *height;
                *height = tall;
            }
            if !changed && y >= sure {
                return;
            }
            // The largest rectangle under a histogram: every one that cannot be widened is looked at.
            let mut top = (0, 0, [0; 4]);
            open.clear();
            for x in 0..=cols {
                let height = line.get(x).map_or(0, |h| usize::from(*h));
                if open.last().is_some_and(|(_, tall)| *tall == height) {
                    continue;
                }
                let mut left = x;
                while let Some((start, tall)) = open.pop_if(|(_, tall)| *tall > height) {
                    left = start;
                    // It mends no more than it covers.
                    if (x - start) * tall < top.0.max(LEAST_BLOCKS) as usize {
                        continue;
                    }
                    let rect = [start, y + 1 - tall, x - start, tall];
                    let score = (within(rect), usize::MAX - rect[2] * tall, rect);
                    if score > top {
                        top = score;
                    }
                }
                if height > 0 && open.last().is_none_or(|(_, tall)| *tall < height) {
                    open.push((left, height));
                }
            }
            best[y] = top;
        }
    }

    /// Takes out the rectangle that mends most blocks: column, row, columns, rows.
    fn take_best(&mut self) -> Option<[usize; 4]> {
        let (gain, _, rect) = *self.best.iter().max()?;
        if gain < LEAST_BLOCKS {
            return None;
        }
        let [x, y, w, h] = rect;
        for row in self.cells.chunks_exact_mut(self.cols).skip(y).take(h) {
            row[x..x + w].fill(Cell::No);
        }
        self.scan(y, y + h);
        Some(rect)
    }
}

/// `rects`, of one vector, each grown into what is `free`.
fn grown(
    before: &Pixels,
    now: &Pixels,
    rects: Vec<Rect<Surf>>,
    by: Vector,
    free: impl Fn(Rect<Surf>) -> bool,
) -> Vec<Copy> {
    // Large ones came first and grow first; what they reach is not named again.
    let mut grown: Vec<Rect<Surf>> = Vec::with_capacity(rects.len());
    for rect in rects {
        let mut rest = Region::from(rect);
        grown.iter().for_each(|r| rest.subtract(*r));
        let Some(rect) = rest.rects().iter().copied().max_by_key(|r| r.area()) else { continue };
        let others = |edge: Rect<Surf>| grown.iter().all(|r| r.intersect(edge).is_empty());
        grown.push(grow(before, now, rect, by, |edge| others(edge) && free(edge)));
    }
    grown.into_iter().map(|to| Copy { to, by }).collect()
}

/// Adds the rows and columns up to one block beyond each side that the vector explains too and that are `free`.
fn grow(
    before: &Pixels,
    now: &Pixels,
    mut r: Rect<Surf>,
    (dx, dy): Vector,
    free: impl Fn(Rect<Surf>) -> bool,
) -> Rect<Surf> {
    let surface = now.size().rect();
    let from = |edge: Rect<Surf>| {
        let from = source(edge, dx, dy)?;
        (surface.contains(edge) && surface.contains(from) && free(edge)).then_some(from)
    };
    let row_above = |r: Rect<Surf>| Rect::new(r.x, r.y - 1, r.w, 1);
    let row_below = |r: Rect<Surf>| Rect::new(r.x, r.bottom(), r.w, 1);
    for side in [row_above, row_below] {
        for _ in 0..BLOCK_H {
            let edge = side(r);
            let same = |from: Rect<Surf>| {
                let old = before.row(from.x as u32, from.y as u32, from.w);
                kernel::same(old, now.row(edge.x as u32, edge.y as u32, edge.w))
            };
            if !from(edge).is_some_and(same) {
                break;
            }
            r = r.union(edge);
        }
    }
    // Columns all at once, as far as every row agrees.
    for left in [true, false] {
        let strip =
            |w: u32| if left { Rect::new(r.x - w as i32, r.y, w, r.h) } else { Rect::new(r.right(), r.y, w, r.h) };
        let Some(mut w) = (1..=BLOCK_W).rev().find(|w| from(strip(*w)).is_some()) else { continue };
        let Some(source) = from(strip(w)) else { continue };
        let edge = strip(w);
        for y in 0..r.h {
            let old = before.row(source.x as u32, source.y as u32 + y, source.w);
            let new = now.row(edge.x as u32, edge.y as u32 + y, edge.w);
            let far = if left {
                kernel::last(old, new).map_or(edge.w, |i| edge.w - 1 - i as u32)
            } else {
                kernel::first(old, new).map_or(edge.w, |i| i as u32)
            };
            w = w.min(far);
            if w == 0 {
                break;
            }
        }
        if w > 0 {
            r = r.union(strip(w));
        }
    }
    r
}

/// Puts the copies in an order in which none overwrites what a later one reads; of what stands in a circle the smallest
/// is left out.
pub fn in_order(mut copies: Vec<Copy>) -> Vec<Copy> {
    // Downward moves from the bottom up, rightward ones from the right: for one straight move that is the order.
    copies.sort_by_key(|c| (c.by, -c.to.y * c.by.1.signum(), -c.to.x * c.by.0.signum()));
    // How many others read what each overwrites: it waits for them.
    let waits = |a: &Copy, b: &Copy| b.from().is_some_and(|s| !s.intersect(a.to).is_empty());
    let mut readers: Vec<usize> = (0..copies.len())
        .map(|i| (0..copies.len()).filter(|j| *j != i && waits(&copies[i], &copies[*j])).count())
        .collect();
    let mut left: Vec<usize> = (0..copies.len()).collect();
    let mut out: Vec<Copy> = Vec::with_capacity(copies.len());
    while !left.is_empty() {
        let ready = |i: &usize| readers[left[*i]] == 0;
        let last = out.last().map(|c| c.by);
        // One vector's copies stay together where they can: they share an op.
        let next = (0..left.len()).filter(ready).min_by_key(|i| Some(copies[left[*i]].by) != last);
        let gone = match next {
            Some(i) => {
                let gone = left.remove(i);
                out.push(copies[gone]);
                gone
            }
            None => {
                let least = (0..left.len()).min_by_key(|i| copies[left[*i]].to.area()).unwrap_or(0);
                left.remove(least)
            }
        };
        for i in &left {
            readers[*i] -= usize::from(waits(&copies[*i], &copies[gone]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::tests::{noise, text};
    use crate::{diff, shift};
    use telepane_model::{Rng, Size, TILE};

    fn tiles(size: Size<Surf>) -> Vec<Rect<Surf>> {
        let grid = Grid::new(size);
        grid.all().map(|t| grid.rect(t)).collect()
    }

    fn explained(
        before: &Pixels,
        now: &Pixels,
        tiles: &[Rect<Surf>],
        vector: Vector,
        allowed: impl Fn(TileAt) -> bool,
    ) -> Vec<Copy> {
        let mut blocks = Blocks::default();
        blocks.begin(before, now, tiles);
        blocks.explained(before, now, tiles, vector, allowed)
    }

    #[test]
    fn a_scroll_and_a_drag_are_explained_whole() {
        let size = Size::new(640, 400);
        let before = text(size, 1);
        for (dx, dy) in [(0, -17), (0, 54), (40, 0), (-23, 31)] {
            let mut now = before.clone();
            let window = Rect::new(100, 90, 400, 200);
            now.paste(&before.crop(window), window.x + dx, window.y + dy);
            let copies = explained(&before, &now, &tiles(size), (dx, dy), |_| true);
            let area: u64 = copies.iter().map(|c| c.to.area()).sum();
            assert!(area >= window.area() * 95 / 100, "{dx},{dy}: {area}");
        }
    }

    /// Whatever the screens and the vector: after the copies, in their order, every rectangle is right.
    #[test]
    fn copies_in_order_are_exact() {
        let mut rng = Rng::new(4);
        let mut blocks = Blocks::default();
        let mut moved = 0;
        for round in 0..300 {
            let size = Size::new(100 + rng.below(300) as u32, 80 + rng.below(200) as u32);
            let before = text(size, round);
            let mut now = before.clone();
            let mut way = || (rng.below(90) as i32 - 45, rng.below(90) as i32 - 45);
            let vectors = [way(), way(), way()];
            for i in 0..1 + rng.below(5) {
                let (x, y) = (rng.below(size.w as u64) as i32, rng.below(size.h as u64) as i32);
                let r = Rect::new(x, y, 40 + rng.below(200) as u32, 20 + rng.below(150) as u32);
                let from = r.intersect(size.rect());
                let vector = vectors[i as usize % 3];
                now.paste(&before.crop(from), from.x + vector.0, from.y + vector.1);
            }
            let some = rng.below(4);
            let allowed = |at: TileAt| some != 0 || at.col != 1;
            let grid = Grid::new(size);
            let dirty: Vec<_> = grid.all().filter(|t| allowed(*t)).map(|t| grid.rect(t)).collect();
            blocks.begin(&before, &now, &dirty);
            let found = vectors.iter().flat_map(|v| blocks.explained(&before, &now, &dirty, *v, allowed)).collect();
            let copies = in_order(found);
            let mut got = before.clone();
            for copy in &copies {
                assert!(grid.touching(copy.to).all(allowed));
                shift::copy(&mut got, copy.from().unwrap(), copy.to);
            }
            copies.iter().for_each(|c| assert!(got.same(&now, c.to), "{round}: {c:?}"));
            moved += copies.len();
        }
        assert!(moved > 300, "{moved}");
    }

    /// Whether two rows show the same colours.
    fn alike(a: &[u8], b: &[u8]) -> bool {
        a.chunks(4).zip(b.chunks(4)).all(|(a, b)| a[..3] == b[..3])
    }

    /// What [`Blocks::explained`] answers, without its short cuts: every block is compared, and for each rectangle all that
    /// cannot be widened are counted anew.
    fn plainly(
        open: &mut [bool],
        [before, now]: [&Pixels; 2],
        tiles: &[Rect<Surf>],
        vector: Vector,
        allowed: impl Fn(TileAt) -> bool,
    ) -> Vec<Copy> {
        let (surface, grid) = (now.size().rect(), Grid::new(now.size()));
        let (cols, rows) = (surface.w.div_ceil(BLOCK_W) as usize, surface.h.div_ceil(BLOCK_H) as usize);
        let place = |x: usize, y: usize, w: usize, h: usize| {
            let (left, top) = ((x * CELL) as i32, y as i32 * BLOCK_H as i32);
            Rect::new(left, top, (w * CELL) as u32, h as u32 * BLOCK_H).intersect(surface)
        };
        let agrees = |to: Rect<Surf>| {
            let from = source(to, vector.0, vector.1).filter(|from| surface.contains(*from));
            from.is_some_and(|from| before.rows(from).zip(now.rows(to)).all(|(a, b)| alike(a, b)))
        };
        let (mut cells, mut bounds) = (vec![Cell::No; cols * rows], Rect::default());
        for (i, cell) in cells.iter_mut().enumerate() {
            let block = place(i % cols, i / cols, 1, 1);
            let tile = grid.touching(block).next().unwrap();
            if (tiles.contains(&grid.rect(tile)) || allowed(tile)) && agrees(block) {
                *cell = if open[i] { Cell::Useful } else { Cell::Harmless };
                bounds = if open[i] { bounds.union(block) } else { bounds };
            }
        }
        let outside = |i: usize| !bounds.contains(place(i % cols, i / cols, 1, 1));
        cells.iter_mut().enumerate().filter(|(i, _)| outside(*i)).for_each(|(_, cell)| *cell = Cell::No);
        let mut rects = Vec::new();
        while rects.len() < MOST_RECTS {
            let (mut best, mut heights) = ((0, 0, [0; 4]), vec![0; cols]);
            for y in 0..rows {
                for (height, cell) in heights.iter_mut().zip(&cells[y * cols..]) {
                    *height = if *cell == Cell::No { 0 } else { *height + 1 };
                }
                for x in 0..cols {
                    let mut tall = usize::MAX;
                    for end in x + 1..=cols {
                        tall = tall.min(heights[end - 1]);
                        let widens = |x: Option<usize>| x.and_then(|x| heights.get(x)).is_some_and(|h| *h >= tall);
                        if tall == 0 || widens(x.checked_sub(1)) || widens(Some(end)) {
                            continue;
                        }
                        let useful =
                            |y: usize| cells[y * cols..][x..end].iter().filter(|c| **c == Cell::Useful).count();
                        let gain: usize = (y + 1 - tall..=y).map(useful).sum();
                        best = best.max((gain, usize::MAX - (end - x) * tall, [x, y + 1 - tall, end - x, tall]));
                    }
                }
            }
            let (gain, _, [x, y, w, h]) = best;
            if gain < LEAST_BLOCKS as usize {
                break;
            }
            for y in y..y + h {
                cells[y * cols..][x..x + w].fill(Cell::No);
                open[y * cols..][x..x + w].fill(false);
            }
            rects.push(place(x, y, w, h));
        }
        grown(before, now, rects, vector, |r| grid.touching(r).all(&allowed))
    }

    /// One colour, two by turns, noise and text, of any size, with what moved, what changed and what means nothing.
    #[test]
    fn short_cuts_change_no_answer() {
        let mut rng = Rng::new(9);
        let (mut blocks, mut found) = (Blocks::default(), [0; 4]);
        for round in 0..1_000 {
            let size = Size::new(1 + rng.below(230) as u32, 1 + rng.below(150) as u32);
            let mut before = match round % 4 {
                0 => Pixels::new(size),
                2 => noise(size, round),
                _ => text(size, round),
            };
            if round % 4 == 1 {
                let w = size.w as usize;
                let data = before.data_mut().as_chunks_mut::<4>().0;
                data.iter_mut().enumerate().for_each(|(i, px)| *px = [((i % w + i / w) % 2) as u8 * u8::MAX; 4]);
            }
            let mut now = before.clone();
            let mut way = || (rng.below(70) as i32 - 35, rng.below(70) as i32 - 35);
            let mut vectors = vec![way(), way(), (0, -24), (16, 8), (1, 0), (0, size.h as i32 - 1)];
            vectors.extend([(i32::MIN, 0), (0, i32::MAX), (i32::MAX, i32::MIN), (size.w as i32, 0), (0, 0)]);
            for _ in 0..rng.below(4) {
                let (x, y) = (rng.below(size.w.into()) as i32, rng.below(size.h.into()) as i32);
                let from =
                    Rect::new(x, y, 30 + rng.below(200) as u32, 20 + rng.below(150) as u32).intersect(size.rect());
                let (dx, dy) = vectors[rng.below(4) as usize];
                now.paste(&before.crop(from), x + dx, y + dy);
            }
            for _ in 0..rng.below(9) {
                let (x, y) = (rng.below(size.w.into()) as i32, rng.below(size.h.into()) as i32);
                now.fill(Rect::new(x, y, 1 + rng.below(9) as u32, 1 + rng.below(9) as u32), [9, 8, 7]);
            }
            if round % 3 == 0 {
                now.data_mut().iter_mut().skip(3).step_by(4).for_each(|byte| *byte = 77);
            }
            let grid = Grid::new(size);
            let free: Vec<bool> = grid.all().map(|_| rng.below(8) > 0).collect();
            let allowed = |at: TileAt| free[grid.index(at).unwrap()];
            let few = rng.below(3) == 0;
            let wanted = grid.all().filter(|at| allowed(*at)).filter(|_| !few || rng.below(2) == 0);
            let dirty: Vec<_> = wanted.map(|at| grid.rect(at)).collect();
            let mut boxes = Vec::new();
            dirty.iter().for_each(|tile| diff::boxes(&before, &now, *tile, |_, bbox| boxes.push(bbox)));
            blocks.begin(&before, &now, &boxes);
            let block = |i: usize| {
                let cols = size.w.div_ceil(BLOCK_W) as usize;
                Rect::new((i % cols * CELL) as i32, (i / cols) as i32 * BLOCK_H as i32, BLOCK_W, BLOCK_H)
            };
            let same = |r: Rect<Surf>| before.rows(r).zip(now.rows(r)).all(|(a, b)| alike(a, b));
            let differs = |r: Rect<Surf>| dirty.iter().any(|t| t.contains(r)) && !same(r);
            let places = (0..blocks.open.len()).map(|i| block(i).intersect(size.rect()));
            let mut open: Vec<bool> = places.map(differs).collect();
            let told = |blocks: &Blocks| blocks.open.iter().map(|open| *open != 0).collect::<Vec<_>>();
            assert_eq!(told(&blocks), open, "{round}");
            for vector in vectors {
                let got = blocks.explained(&before, &now, &dirty, vector, allowed);
                let want = plainly(&mut open, [&before, &now], &dirty, vector, allowed);
                assert_eq!(got, want, "{round}: {size} {vector:?}");
                assert_eq!(told(&blocks), open, "{round}: {size} {vector:?}");
                found[round as usize % 4] += got.len();
            }
        }
        // Of one colour nothing differs by a move.
        assert!(found[1..].iter().all(|n| *n > 20), "{found:?}");
    }

    #[test]
    fn a_circle_loses_its_smallest() {
        let copy = |x, y, w, h, by| Copy { to: Rect::new(x, y, w, h), by };
        // The second reads what the first overwrites.
        let (a, b) = (copy(0, 0, 40, 40, (30, 0)), copy(40, 0, 20, 40, (30, 0)));
        assert_eq!(in_order(vec![a, b]), [b, a]);
        // Two that change places: whichever came first would destroy the other's source.
        let (large, small) = (copy(0, 0, 40, 40, (-40, 0)), copy(40, 0, 40, 30, (40, 0)));
        assert_eq!(in_order(vec![small, large]), [large]);
        // Three in a row by unlike vectors, the last of which has to begin.
        let (a, b, c) = (copy(0, 0, 9, 9, (-10, 0)), copy(10, 0, 9, 9, (-20, 0)), copy(30, 0, 9, 9, (0, -50)));
        assert_eq!(in_order(vec![c, b, a]), [a, b, c]);
    }

    /// Content that went two ways at once, as in a picture torn in the middle of a repaint: neither destroys the other.
    #[test]
    fn two_vectors_that_cross_are_both_explained() {
        let size = Size::new(640, 400);
        let before = text(size, 7);
        let mut now = before.clone();
        now.paste(&before.crop(Rect::new(0, 100, 640, 100)), 0, 64);
        now.paste(&before.crop(Rect::new(0, 200, 640, 136)), 0, 184);
        let mut blocks = Blocks::default();
        blocks.begin(&before, &now, &tiles(size));
        let mut found = blocks.explained(&before, &now, &tiles(size), (0, -16), |_| true);
        found.extend(blocks.explained(&before, &now, &tiles(size), (0, -36), |_| true));
        let mut got = before.clone();
        let copies = in_order(found);
        copies.iter().for_each(|c| shift::copy(&mut got, c.from().unwrap(), c.to));
        assert!(got.same(&now, Rect::new(0, 64, 640, 96)) && got.same(&now, Rect::new(0, 184, 640, 136)));
        let open: usize = tiles(size).iter().map(|t| blocks.open_in(*t, size.w)).sum();
        assert!(open < 100, "{open}");
    }

    #[test]
    fn only_allowed_tiles_are_written() {
        let size = Size::new(640, 400);
        let before = text(size, 2);
        let mut now = before.clone();
        now.paste(&before, 0, -20);
        let allowed = |at: TileAt| at.col < 5;
        let grid = Grid::new(size);
        let some: Vec<_> = grid.all().filter(|t| allowed(*t)).map(|t| grid.rect(t)).collect();
        let copies = explained(&before, &now, &some, (0, -20), allowed);
        assert!(!copies.is_empty() && copies.iter().all(|c| c.to.right() <= 5 * TILE as i32));
    }

    #[test]
    fn absurd_vectors_explain_nothing() {
        let size = Size::new(130, 70);
        let p = text(size, 1);
        for v in [(i32::MIN, 0), (i32::MAX, i32::MIN), (0, i32::MAX), (500, 0), (0, -70)] {
            assert_eq!(explained(&p, &text(size, 2), &tiles(size), v, |_| true), []);
        }
    }
}
