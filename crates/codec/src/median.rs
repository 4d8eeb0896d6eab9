//! Prediction: subtract green, then the median edge detector (LOCO-I) on each channel.
//!
//! The channels are G, R-G and B-G modulo 256, so grey pixels leave two channels of zeros. Residuals of an op's
//! rectangles stand in three planes, one channel after the other, which is what zstd packs best. Nothing outside a
//! rectangle is looked at.

use telepane_model::{Pixels, Rect, Surf};

/// Scratch for one row of each channel, this one and the one above.
#[derive(Debug, Default)]
pub struct Rows {
    now: [Vec<u8>; 3],
    above: [Vec<u8>; 3],
}

/// Writes the residuals of `rects` (inside `pixels`) to `planes`: three planes of as many bytes as the rectangles have
/// pixels.
// spec: C-50 C-51
pub fn residuals(pixels: &Pixels, rects: &[Rect<Surf>], rows: &mut Rows, planes: &mut Vec<u8>) {
    let total = rects.iter().map(|r| r.area() as usize).sum::<usize>();
    planes.clear();
    planes.resize(total * 3, 0);
    let (g, rest) = planes.split_at_mut(total);
    let (r, b) = rest.split_at_mut(total);
    let mut out = [g, r, b];
    let mut at = 0;
    for rect in rects {
        let w = rect.w as usize;
        rows.prepare(w);
        for (y, row) in pixels.rows(*rect).enumerate() {
            let [g, r, b] = &mut rows.now;
            channels(row, g, r, b);
            for ((plane, now), above) in out.iter_mut().zip(&rows.now).zip(&rows.above) {
                let line = &mut plane[at..at + w];
                if y == 0 {
                    predict_first(now, line);
                } else {
                    predict(now, above, line);
                }
            }
            core::mem::swap(&mut rows.now, &mut rows.above);
            at += w;
        }
    }
}

/// Writes the pixels of `rects` (inside `pixels`) from their residuals. `planes` holds three bytes for each pixel.
// spec: C-50 C-51
pub fn restore(planes: &[u8], rects: &[Rect<Surf>], rows: &mut Rows, pixels: &mut Pixels) {
    let total = planes.len() / 3;
    let mut at = 0;
    for rect in rects {
        let w = rect.w as usize;
        rows.prepare(w);
        for y in 0..rect.h {
            let line = |plane: usize| planes.get(plane * total + at..plane * total + at + w).unwrap_or(&[]);
            let out = pixels.row_mut(rect.x as u32, rect.y as u32 + y, rect.w);
            if y == 0 {
                restore_row::<true>([line(0), line(1), line(2)], rows, out);
            } else {
                restore_row::<false>([line(0), line(1), line(2)], rows, out);
            }
            core::mem::swap(&mut rows.now, &mut rows.above);
            at += w;
        }
    }
}

impl Rows {
    fn prepare(&mut self, w: usize) {
        for row in self.now.iter_mut().chain(&mut self.above) {
            row.resize(w, 0);
        }
    }
}

fn channels(row: &[u8], g: &mut [u8], r: &mut [u8], b: &mut [u8]) {
    for (((px, g), r), b) in row.chunks_exact(4).zip(g).zip(r).zip(b) {
        *g = px[1];
        *r = px[2].wrapping_sub(px[1]);
        *b = px[0].wrapping_sub(px[1]);
    }
}

/// The median of left, above and left + above - corner.
#[inline(always)]
fn median(left: u8, above: u8, corner: u8) -> u8 {
    let (low, high) = (left.min(above), left.max(above));
    if corner >= high {
        low
    } else if corner <= low {
        high
    } else {
        left.wrapping_add(above).wrapping_sub(corner)
    }
}

fn predict_first(now: &[u8], out: &mut [u8]) {
    let mut left = 0;
    for (v, o) in now.iter().zip(out) {
        *o = v.wrapping_sub(left);
        left = *v;
    }
}

fn predict(now: &[u8], above: &[u8], out: &mut [u8]) {
    let (Some(o), Some(v), Some(n)) = (out.first_mut(), now.first(), above.first()) else { return };
    *o = v.wrapping_sub(*n);
    let lefts = now.iter();
    let corners = above.iter();
    let rest = now.iter().skip(1).zip(above.iter().skip(1));
    for ((((v, n), left), corner), o) in rest.zip(lefts).zip(corners).zip(out.iter_mut().skip(1)) {
        *o = v.wrapping_sub(median(*left, *n, *corner));
    }
}

fn restore_row<const FIRST: bool>(lines: [&[u8]; 3], rows: &mut Rows, out: &mut [u8]) {
    let [g_now, r_now, b_now] = &mut rows.now;
    let [g_above, r_above, b_above] = &rows.above;
    let above = g_above.iter().zip(r_above).zip(b_above);
    let now = g_now.iter_mut().zip(r_now).zip(b_now);
    let residuals = lines[0].iter().zip(lines[1]).zip(lines[2]);
    let (mut left, mut corner) = ([0u8; 3], [0u8; 3]);
    let mut first = true;
    for (((px, ((eg, er), eb)), ((ng, nr), nb)), ((g, r), b)) in
        out.chunks_exact_mut(4).zip(residuals).zip(above).zip(now)
    {
        let up = [*ng, *nr, *nb];
        let e = [*eg, *er, *eb];
        let mut v = [0u8; 3];
        for c in 0..3 {
            let guess = if FIRST {
                left[c]
            } else if first {
                up[c]
            } else {
                median(left[c], up[c], corner[c])
            };
            v[c] = e[c].wrapping_add(guess);
        }
        (*g, *r, *b) = (v[0], v[1], v[2]);
        px.copy_from_slice(&[v[2].wrapping_add(v[0]), v[0], v[1].wrapping_add(v[0]), 0]);
        left = v;
        corner = up;
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    #[test]
    fn residuals_restore_any_pixels() {
        let mut rng = Rng::new(5);
        for round in 0..40 {
            let size = Size::new(1 + rng.below(40) as u32, 1 + rng.below(40) as u32);
            let mut p = Pixels::new(size);
            for px in p.data_mut().chunks_exact_mut(4) {
                let v = rng.next_u64();
                px[..3].copy_from_slice(&v.to_le_bytes()[..3]);
                if round % 2 == 0 {
                    px[1] = px[0];
                    px[2] = px[0];
                }
            }
            let half = size.h / 2;
            let rects = [Rect::new(0, 0, size.w, half), Rect::new(0, half as i32, size.w, size.h - half)];
            let mut planes = Vec::new();
            residuals(&p, &rects, &mut Rows::default(), &mut planes);
            let mut q = Pixels::new(size);
            restore(&planes, &rects, &mut Rows::default(), &mut q);
            assert!(p == q);
        }
    }

    // spec: C-51
    #[test]
    fn the_median_is_the_middle_value() {
        for (l, a, c, m) in [(10, 20, 15, 15), (10, 20, 25, 10), (10, 20, 5, 20), (7, 7, 9, 7)] {
            assert_eq!(median(l, a, c), m);
        }
    }
}
