//! Lists of damaged rectangles, kept short.
//!
//! A read of a rectangle costs about 6 us beyond its pixels (pipelined SHM requests on Xvfb), as much as copying
//! some 4000 pixels: rectangles are joined when that wastes less. What is still too many becomes one bounding
//! rectangle for each band of tiles.

use telepane_model::{Rect, Region, Surf, TILE};

/// A list longer than this is replaced by bounding rectangles.
pub const MOST_RECTS: usize = 64;

/// Joining two rectangles may add this many pixels that neither has.
const JOIN_WASTE: u64 = 4096;

/// Joins rectangles that are cheaper as one; the result is disjoint and at most [`MOST_RECTS`] long.
pub fn join(rects: &mut Vec<Rect<Surf>>) {
    rects.retain(|r| !r.is_empty());
    if rects.len() > MOST_RECTS {
        bound_by_band(rects);
    }
    // Each round of the outer loop removes at least one of at most 64 rectangles.
    'again: loop {
        for i in 0..rects.len() {
            for j in i + 1..rects.len() {
                let (a, b) = (rects[i], rects[j]);
                let both = a.union(b);
                let overlap = !a.intersect(b).is_empty();
                if overlap || both.area() <= a.area() + b.area() + JOIN_WASTE {
                    rects[i] = both;
                    rects.swap_remove(j);
                    continue 'again;
                }
            }
        }
        return;
    }
}

/// Replaces the list by at most one rectangle for each band of tiles that it touches; then, if these are still too
/// many, by one around all.
pub fn bound_by_band(rects: &mut Vec<Rect<Surf>>) {
    let tile = TILE as i32;
    let mut bands = std::collections::BTreeMap::<i32, Rect<Surf>>::new();
    for r in rects.iter() {
        for band in r.y.div_euclid(tile)..=(r.bottom() - 1).div_euclid(tile) {
            let part = r.intersect(Rect::new(r.x, band * tile, r.w, TILE));
            let whole = bands.entry(band).or_default();
            *whole = whole.union(part);
        }
    }
    rects.clear();
    rects.extend(bands.into_values());
    if rects.len() > MOST_RECTS {
        let all = rects.iter().fold(Rect::default(), |a, r| a.union(*r));
        rects.clear();
        rects.push(all);
    }
}

/// The list as a region of at most [`MOST_RECTS`] rectangles.
pub fn region(mut rects: Vec<Rect<Surf>>) -> Region<Surf> {
    if rects.len() > MOST_RECTS {
        bound_by_band(&mut rects);
    }
    rects.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    fn covered(rects: &[Rect<Surf>], x: i32, y: i32) -> bool {
        rects.iter().any(|r| r.holds(telepane_model::Point::new(x, y)))
    }

    /// Nothing is lost, nothing overlaps, the list is short: over random lists of every length.
    #[test]
    fn joining_keeps_every_pixel() {
        let mut rng = Rng::new(3);
        for round in 0..60 {
            let before: Vec<Rect<Surf>> = (0..round * 4)
                .map(|_| {
                    Rect::new(rng.below(900) as i32, rng.below(700) as i32, rng.below(60) as u32, rng.below(60) as u32)
                })
                .collect();
            let mut after = before.clone();
            join(&mut after);
            assert!(after.len() <= MOST_RECTS);
            for (i, a) in after.iter().enumerate() {
                assert!(after[i + 1..].iter().all(|b| a.intersect(*b).is_empty()));
            }
            for r in &before {
                for y in (r.y..r.bottom()).step_by(7) {
                    for x in (r.x..r.right()).step_by(7) {
                        assert!(covered(&after, x, y));
                    }
                }
            }
        }
    }

    #[test]
    fn far_apart_rectangles_stay_apart() {
        let mut rects = vec![Rect::new(0, 0, 10, 10), Rect::new(1000, 800, 10, 10)];
        join(&mut rects);
        assert_eq!(rects.len(), 2);
    }
}
