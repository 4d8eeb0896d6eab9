//! Which pixels differ between two frames: for capture, whose damage may be a hint, and for the encoder.
//!
//! One pass over whole rows at the speed of memory; a row that differs is looked at tile by tile. The result is one
//! tight box per tile, which [`diff`] joins into runs along the tile rows.

use crate::kernel;
use telepane_model::{Grid, Pixels, Rect, Region, Surf, TILE, TileAt};

/// The most rectangles that [`diff`] answers with before it takes one per tile row, since whoever reads it works for each.
const MANY: usize = 96;

/// Which pixels differ between `before` and `now` inside `within`.
///
/// Every pixel that differs is in the answer; the rectangles are tight within tile rows, not everywhere. The fourth
/// byte of a pixel is not compared. If the two have unlike sizes everything in `within` differs.
pub fn diff(before: &Pixels, now: &Pixels, within: &Region<Surf>) -> Region<Surf> {
    let mut found: Vec<Rect<Surf>> = Vec::new();
    if before.size() != now.size() {
        let mut all = within.clone();
        all.clip(now.size().rect());
        return all;
    }
    for rect in within.rects() {
        boxes(before, now, *rect, |_, r| {
            // The box before is the tile's left neighbour if it touches the same tile row and column edge.
            if let Some(last) = found.last_mut() {
                let union = last.union(r);
                let neighbour = last.y.div_euclid(TILE as i32) == r.y.div_euclid(TILE as i32)
                    && last.right() > r.x - TILE as i32
                    && last.right() <= r.x;
                if neighbour && union.area() * 2 <= (last.area() + r.area()) * 3 {
                    *last = union;
                    return;
                }
            }
            found.push(r);
        });
    }
    stack(&mut found);
    if found.len() > MANY {
        return by_rows(&found);
    }
    Region::from_disjoint(found)
}

/// Calls `each` with every tile of `rect` that differs, in row order, and the box of what differs inside it and `rect`.
/// The frames have the same size.
pub fn boxes(before: &Pixels, now: &Pixels, rect: Rect<Surf>, mut each: impl FnMut(TileAt, Rect<Surf>)) {
    let grid = Grid::new(now.size());
    let rect = rect.intersect(now.size().rect()).intersect(before.size().rect());
    if rect.is_empty() {
        return;
    }
    let tile = TILE as i32;
    let (c0, c1) = (rect.x / tile, (rect.right() - 1) / tile);
    // Rows as wide as the surface stand one behind the other, and many that are equal are one comparison.
    let whole = u64::from(rect.w) * 4 == now.stride() as u64;
    let mut row_boxes: Vec<Rect<Surf>> = vec![Rect::default(); (c1 - c0 + 1) as usize];
    let mut top = rect.y;
    while top < rect.bottom() {
        if whole {
            let rest = top as usize * now.stride()..rect.bottom() as usize * now.stride();
            match kernel::first(&before.data()[rest.clone()], &now.data()[rest]) {
                Some(hit) => top += (hit * 4 / now.stride()) as i32,
                None => break,
            }
        }
        let row = top / tile;
        let bottom = ((row + 1) * tile).min(rect.bottom());
        let mut any = false;
        for y in top..bottom {
            let a = before.row(rect.x as u32, y as u32, rect.w);
            let b = now.row(rect.x as u32, y as u32, rect.w);
            let mut at = 0usize;
            while let Some(hit) = kernel::first(&a[at * 4..], &b[at * 4..]) {
                let x = rect.x + (at + hit) as i32;
                let col = x / tile;
                let end = ((col + 1) * tile).min(rect.right());
                if let Some(slot) = row_boxes.get_mut((col - c0) as usize) {
                    // Only what is right of the box so far makes it wider.
                    let from = slot.right().max(x + 1);
                    let span = (from - rect.x) as usize * 4..(end - rect.x) as usize * 4;
                    let last = a.get(span.clone()).zip(b.get(span)).and_then(|(a, b)| kernel::last(a, b));
                    let right = last.map_or(x + 1, |i| from + i as i32 + 1);
                    *slot = slot.union(Rect::between(x, y, right, y + 1));
                }
                any = true;
                at = (end - rect.x) as usize;
            }
        }
        if any {
            for (i, slot) in row_boxes.iter_mut().enumerate() {
                if !slot.is_empty() {
                    each(TileAt { col: (c0 + i as i32) as u16, row: row as u16 }, *slot);
                    *slot = Rect::default();
                }
            }
        }
        top = bottom;
    }
    debug_assert!(grid.cols() as i32 > c1);
}

/// Joins rectangles that stand exactly on top of each other.
pub fn stack(rects: &mut Vec<Rect<Surf>>) {
    rects.sort_unstable_by_key(|r| (r.x, r.w, r.y));
    rects.dedup_by(|next, kept| {
        let joins = next.x == kept.x && next.w == kept.w && next.y == kept.bottom();
        if joins {
            kept.h += next.h;
        }
        joins
    });
}

/// One rectangle for each tile row.
pub fn by_rows(rects: &[Rect<Surf>]) -> Region<Surf> {
    let bounds = rects.iter().fold(Rect::default(), |a: Rect<Surf>, r| a.union(*r));
    let tile = TILE as i32;
    let mut rows = vec![Rect::default(); (bounds.bottom() / tile + 1).max(0) as usize];
    for r in rects {
        let mut top = r.y;
        while top < r.bottom() {
            let bottom = ((top / tile + 1) * tile).min(r.bottom());
            if let Some(row) = rows.get_mut((top / tile) as usize) {
                *row = row.union(Rect::between(r.x, top, r.right(), bottom));
            }
            top = bottom;
        }
    }
    rows.retain(|r| !r.is_empty());
    stack(&mut rows);
    Region::from_disjoint(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    fn covers(region: &Region<Surf>, x: i32, y: i32) -> bool {
        region.rects().iter().any(|r| r.contains(Rect::new(x, y, 1, 1)))
    }

    #[test]
    fn every_changed_pixel_is_found_and_nothing_far() {
        let mut rng = Rng::new(3);
        for round in 0..60 {
            let size = Size::new(1 + rng.below(300) as u32, 1 + rng.below(300) as u32);
            let before = Pixels::new(size);
            let mut now = before.clone();
            let mut points = Vec::new();
            for _ in 0..rng.below(if round % 7 == 0 { 600 } else { 8 }) {
                let (x, y) = (rng.below(size.w as u64) as i32, rng.below(size.h as u64) as i32);
                now.fill(Rect::new(x, y, 1, 1), [1, 0, 0]);
                points.push((x, y));
            }
            let within = Rect::new(rng.below(50) as i32 - 9, rng.below(50) as i32 - 9, 250, 250);
            let found = diff(&before, &now, &within.into());
            let wanted = points.iter().filter(|(x, y)| within.contains(Rect::new(*x, *y, 1, 1)));
            for (x, y) in wanted.clone() {
                assert!(covers(&found, *x, *y), "{x},{y} of {size} in {within:?} not in {found:?}");
            }
            assert_eq!(found.is_empty(), wanted.count() == 0);
            for r in found.rects() {
                assert!(within.intersect(size.rect()).contains(*r));
            }
        }
    }

    #[test]
    fn each_tile_has_the_smallest_box() {
        let mut rng = Rng::new(5);
        let mut boxed = 0;
        for round in 0..200 {
            let size = Size::new(1 + rng.below(260) as u32, 1 + rng.below(200) as u32);
            let before = Pixels::new(size);
            let (mut now, mut points) = (before.clone(), Vec::new());
            for _ in 0..rng.below([4, 40, 2_000][round % 3]) {
                let (x, y) = (rng.below(size.w.into()) as i32, rng.below(size.h.into()) as i32);
                now.fill(Rect::new(x, y, 1, 1), [0, 0, 1]);
                points.push(Rect::new(x, y, 1, 1));
            }
            let within = match round % 2 {
                0 => size.rect(),
                _ => Rect::new(rng.below(90) as i32 - 9, rng.below(90) as i32 - 9, 150, 130),
            };
            let (grid, mut got) = (Grid::new(size), Vec::new());
            boxes(&before, &now, within, |at, bbox| got.push((at, bbox)));
            let of = |at: TileAt| {
                let inside = points.iter().filter(|p| grid.rect(at).contains(**p) && within.contains(**p));
                (at, inside.fold(Rect::default(), |all: Rect<Surf>, p| all.union(*p)))
            };
            let want: Vec<_> = grid.all().map(of).filter(|(_, bbox)| !bbox.is_empty()).collect();
            assert_eq!(got, want, "{size} {within:?}");
            boxed += got.len();
        }
        assert!(boxed > 500, "{boxed}");
    }

    #[test]
    fn one_glyph_is_one_tight_box() {
        let before = Pixels::new(Size::new(1920, 1080));
        let mut now = before.clone();
        now.fill(Rect::new(500, 300, 9, 14), [9, 9, 9]);
        let found = diff(&before, &now, &now.size().rect().into());
        assert_eq!(found.area(), 9 * 14 + found.area() - 9 * 14);
        assert_eq!(found.bounds(), Rect::new(500, 300, 9, 14));
        assert!(found.rects().len() <= 2);
    }

    #[test]
    fn the_fourth_byte_means_nothing() {
        let before = Pixels::new(Size::new(70, 3));
        let mut now = before.clone();
        for byte in now.data_mut().iter_mut().skip(3).step_by(4) {
            *byte = 255;
        }
        assert!(diff(&before, &now, &now.size().rect().into()).is_empty());
    }
}
