//! Fitted scaling: a separable triangle filter whose support grows with the reduction, so that it is bilinear when
//! enlarging and an area average when reducing.
//!
//! Weights are 14-bit fixed point and sum to exactly one for every pixel, so a flat area keeps its colour bit for
//! bit. Each pixel of the window depends only on its own weights: painting a part gives the same pixels as painting
//! everything, which the tests hold it to.

use super::canvas::Canvas;
use super::layout::Layout;
use telepane_model::{Pixels, Rect, View};

/// Bits of a weight: 14 + 8 bits of a sample + the sum fit 32 bits with room.
const BITS: u32 = 14;
/// Bits dropped between the passes; the middle values keep 8 + 14 - 8 = 14 bits.
const MIDDLE: u32 = 8;
/// Rows of the window resampled at once; bounds the middle buffer.
const BAND: i32 = 32;

/// The weights along one axis.
#[derive(Debug)]
struct Axis {
    taps: usize,
    starts: Vec<u32>,
    weights: Vec<u16>,
}

impl Axis {
    /// From `from` samples to `to`, both at least 1.
    fn new(from: u32, to: u32) -> Self {
        let ratio = f64::from(from) / f64::from(to);
        let radius = ratio.max(1.0);
        let taps = (2.0 * radius).ceil().min(f64::from(from)).max(1.0) as usize;
        let mut starts = Vec::with_capacity(to as usize);
        let mut weights = Vec::with_capacity(to as usize * taps);
        for d in 0..to {
            let centre = (f64::from(d) + 0.5) * ratio - 0.5;
            let last_start = i64::from(from) - taps as i64;
            let start = ((centre - radius).floor() as i64 + 1).clamp(0, last_start.max(0)) as u32;
            starts.push(start);
            let raw: Vec<f64> =
                (0..taps).map(|t| (1.0 - (f64::from(start) + t as f64 - centre).abs() / radius).max(0.0)).collect();
            let sum: f64 = raw.iter().sum();
            let first = weights.len();
            weights.extend(raw.iter().map(|w| (w / sum * f64::from(1u32 << BITS)).round() as u16));
            // Rounding may miss one by a few units; the heaviest weight takes them, where they show least.
            let missing = (1i32 << BITS) - weights.iter().skip(first).map(|w| i32::from(*w)).sum::<i32>();
            if let Some(heaviest) = weights.iter_mut().skip(first).max_by_key(|w| **w) {
                *heaviest = (i32::from(*heaviest) + missing) as u16;
            }
        }
        Self { taps, starts, weights }
    }

    /// The first sample and the weights of output `d`.
    fn at(&self, d: usize) -> (usize, &[u16]) {
        let start = self.starts.get(d).map_or(0, |s| *s as usize);
        (start, self.weights.get(d * self.taps..(d + 1) * self.taps).unwrap_or_default())
    }
}

/// The weights of one layout, and room for the middle values.
#[derive(Debug)]
pub(super) struct Resampler {
    layout: Layout,
    xs: Axis,
    ys: Axis,
    middle: Vec<[u16; 3]>,
}

impl Resampler {
    pub(super) fn new(layout: Layout) -> Self {
        let (part, shown) = (layout.part(), layout.picture());
        Self { layout, xs: Axis::new(part.w, shown.w), ys: Axis::new(part.h, shown.h), middle: Vec::new() }
    }

    pub(super) const fn layout(&self) -> Layout {
        self.layout
    }

    /// Draws the part of the picture that lies in `rect` of the window.
    pub(super) fn paint(&mut self, canvas: &mut Canvas<'_>, rect: Rect<View>, from: &Pixels) {
        let picture = self.layout.picture();
        let rect = rect.intersect(picture).intersect(canvas.size().rect());
        if rect.is_empty() || from.size() != self.layout.desk() {
            return;
        }
        let mut y = rect.y;
        while y < rect.bottom() {
            let band = Rect::between(rect.x, y, rect.right(), rect.bottom().min(y + BAND));
            self.paint_band(canvas, band, from);
            y += BAND;
        }
    }

    fn paint_band(&mut self, canvas: &mut Canvas<'_>, band: Rect<View>, from: &Pixels) {
        let (picture, of) = (self.layout.picture(), self.layout.part());
        let (x0, y0) = ((band.x - picture.x) as usize, (band.y - picture.y) as usize);
        let (w, h) = (band.w as usize, band.h as usize);
        let (top, _) = self.ys.at(y0);
        let (low, _) = self.ys.at(y0 + h - 1);
        let rows = low + self.ys.taps - top;
        self.middle.resize(rows * w, [0; 3]);
        // From the columns of the picture to those of the window, on every row of the picture the band needs.
        for (r, out) in self.middle.chunks_exact_mut(w).enumerate() {
            let row = from.row(of.x as u32, of.y as u32 + (top + r) as u32, of.w);
            for (i, out) in out.iter_mut().enumerate() {
                let (start, weights) = self.xs.at(x0 + i);
                let mut sum = [1u32 << (MIDDLE - 1); 3];
                let samples = row.get(start * 4..(start + weights.len()) * 4).unwrap_or_default();
                for (px, weight) in samples.chunks_exact(4).zip(weights) {
                    for (s, c) in sum.iter_mut().zip(px) {
                        *s += u32::from(*c) * u32::from(*weight);
                    }
                }
                *out = sum.map(|s| (s >> MIDDLE) as u16);
            }
        }
        // From its rows to the window's.
        const SHIFT: u32 = 2 * BITS - MIDDLE;
        for dy in 0..h {
            let (start, weights) = self.ys.at(y0 + dy);
            let out = canvas.row(band.x, band.y + dy as i32, band.w);
            for (i, px) in out.chunks_exact_mut(4).enumerate() {
                let mut sum = [1u32 << (SHIFT - 1); 3];
                for (t, weight) in weights.iter().enumerate() {
                    let Some(sample) = self.middle.get((start - top + t) * w + i) else { continue };
                    for (s, c) in sum.iter_mut().zip(sample) {
                        *s += u32::from(*c) * u32::from(*weight);
                    }
                }
                let [b, g, r] = sum.map(|s| (s >> SHIFT).min(255) as u8);
                px.copy_from_slice(&[b, g, r, 0]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::Scaling;
    use super::*;
    use telepane_model::{Rng, Size};

    fn noise(w: u32, h: u32) -> Pixels {
        let mut rng = Rng::new(3);
        let mut p = Pixels::new(Size::new(w, h));
        for px in p.data_mut().chunks_exact_mut(4) {
            let v = rng.below(1 << 24);
            px.copy_from_slice(&[v as u8, (v >> 8) as u8, (v >> 16) as u8, 0]);
        }
        p
    }

    fn whole(from: &Pixels, vw: u32, vh: u32) -> (Layout, Vec<u8>) {
        let view = Size::new(vw, vh);
        let layout = Layout::new(Scaling::Fit, from.size(), view).unwrap();
        let mut data = vec![0; vw as usize * vh as usize * 4];
        let mut canvas = Canvas::new(&mut data, view).unwrap();
        Resampler::new(layout).paint(&mut canvas, view.rect(), from);
        (layout, data)
    }

    #[test]
    fn weights_sum_to_one() {
        for (from, to) in [(1, 1), (1, 9), (2, 7), (640, 641), (640, 639), (1920, 31), (5, 1), (16384, 3)] {
            let axis = Axis::new(from, to);
            for d in 0..to as usize {
                let (start, weights) = axis.at(d);
                assert_eq!(weights.iter().map(|w| u32::from(*w)).sum::<u32>(), 1 << BITS, "{from}->{to} at {d}");
                assert!(start + weights.len() <= from as usize, "{from}->{to} at {d}");
            }
        }
    }

    #[test]
    fn a_flat_area_keeps_its_colour() {
        let mut p = Pixels::new(Size::new(37, 21));
        for colour in [[255, 255, 255], [1, 128, 254], [0, 0, 0]] {
            p.fill(p.size().rect(), colour);
            for (vw, vh) in [(100, 80), (20, 20), (3, 2)] {
                let (layout, data) = whole(&p, vw, vh);
                let r = layout.picture();
                for y in r.y..r.bottom() {
                    for x in r.x..r.right() {
                        let at = (y as usize * vw as usize + x as usize) * 4;
                        assert_eq!(&data[at..at + 3], &colour);
                    }
                }
            }
        }
    }

    #[test]
    fn halving_averages_and_agrees_with_a_plain_reference() {
        let p = noise(24, 16);
        let (layout, data) = whole(&p, 12, 8);
        let picture = layout.picture();
        let tent = |s: u32, d: u32| (1.0 - (f64::from(s) - (f64::from(d) * 2.0 + 0.5)).abs() / 2.0).max(0.0);
        for y in 0..picture.h {
            for x in 0..picture.w {
                for c in 0..3 {
                    let (mut sum, mut weight) = (0.0, 0.0);
                    for sy in 0..16 {
                        for sx in 0..24 {
                            let w = tent(sx, x) * tent(sy, y);
                            sum += w * f64::from(p.get(sx, sy).unwrap()[c]);
                            weight += w;
                        }
                    }
                    let got = f64::from(data[(y as usize * 12 + x as usize) * 4 + c]);
                    assert!((got - sum / weight).abs() <= 1.0, "{x},{y}: {got} {}", sum / weight);
                }
            }
        }
    }

    /// What a change touches, painted alone over the old picture, equals the new picture painted whole.
    #[test]
    fn parts_equal_the_whole() {
        let mut rng = Rng::new(11);
        for (w, h, vw, vh) in [(40, 30, 97, 80), (97, 80, 40, 33), (50, 50, 51, 50), (64, 8, 9, 70)] {
            let mut p = noise(w, h);
            let (layout, mut data) = whole(&p, vw, vh);
            for _ in 0..20 {
                let rect = Rect::new(
                    rng.below(u64::from(w)) as i32,
                    rng.below(u64::from(h)) as i32,
                    1 + rng.below(7) as u32,
                    1 + rng.below(7) as u32,
                );
                p.fill(rect, [rng.below(256) as u8, 7, 200]);
                let view = Size::new(vw, vh);
                let mut canvas = Canvas::new(&mut data, view).unwrap();
                Resampler::new(layout).paint(&mut canvas, layout.to_view(rect), &p);
                assert_eq!(data, whole(&p, vw, vh).1, "{w}x{h} in {vw}x{vh}, {rect:?}");
            }
        }
    }
}
