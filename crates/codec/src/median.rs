//! Prediction: subtract green, then the median edge detector (LOCO-I) on each channel.
//!
//! The channels are G, R-G and B-G modulo 256, so grey pixels leave two channels of zeros. Residuals of an op's
//! rectangles stand in three planes, one channel after the other, which is what zstd packs best. Nothing outside a
//! rectangle is looked at.

use crate::kernel::median::{self as kernel, Place};
use telepane_model::{Pixels, Rect, Surf};

/// Scratch: one row of each channel, this one and the one above, and a row of pixels.
#[derive(Debug, Default)]
pub struct Rows {
    now: [Vec<u8>; 3],
    above: [Vec<u8>; 3],
    line: Vec<u32>,
}

/// Writes the residuals of `rects` (inside `pixels`) to `planes`: three planes of as many bytes as the rectangles have
/// pixels.
// spec: C-50 C-51
pub fn residuals(pixels: &Pixels, rects: &[Rect<Surf>], rows: &mut Rows, planes: &mut Vec<u8>) {
    let total = rects.iter().map(|r| r.area() as usize).sum::<usize>();
    // Every byte is written below, so what an earlier op left need not be cleared.
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
            kernel::channels(row, g, r, b);
            for ((plane, now), above) in out.iter_mut().zip(&rows.now).zip(&rows.above) {
                let line = &mut plane[at..at + w];
                if y == 0 {
                    predict_first(now, line);
                } else {
                    kernel::residuals(now, above, line);
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
    let stride = pixels.stride();
    let mut start = 0;
    for rect in rects {
        let area = rect.area() as usize;
        let part = |plane: usize| planes.get(plane * total + start..plane * total + start + area).unwrap_or(&[]);
        let at = rect.y as usize * stride + rect.x as usize * 4;
        let place = Place { at, stride, w: rect.w as usize, h: rect.h as usize };
        kernel::restore([part(0), part(1), part(2)], pixels.data_mut(), place, &mut rows.line);
        start += area;
    }
}

impl Rows {
    fn prepare(&mut self, w: usize) {
        for row in self.now.iter_mut().chain(&mut self.above) {
            row.resize(w, 0);
        }
    }
}

fn predict_first(now: &[u8], out: &mut [u8]) {
    let mut left = 0;
    for (v, o) in now.iter().zip(out) {
        *o = v.wrapping_sub(left);
        left = *v;
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
}
