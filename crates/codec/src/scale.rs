//! Film that is coded smaller than it is shown: pictures made smaller before, and larger after.
//!
//! The way down is the encoder's own business: each sample is the mean of the area that it stands for. The way up is part
//! of the format, exact in every bit, because the host must know what the viewer shows: bilinear in 1/256 of a sample, each
//! plane for itself, rows first.

use crate::h264::{I420, Picture};
use telepane_model::{FilmScale, Rect, Surf};

/// The sides of the coded picture of a region: rounded up to even.
// spec: C-63, C-181
pub fn coded_sides(rect: Rect<Surf>, scale: FilmScale) -> (u32, u32) {
    let side = |n: u32| (n * scale.quarters()).div_ceil(4).next_multiple_of(2);
    (side(rect.w), side(rect.h))
}

/// Makes `out` of `w` by `h` (even, not larger than `picture`) from `picture`.
pub fn shrink(picture: &I420, w: u32, h: u32, out: &mut I420) {
    out.resize(w, h);
    let planes = [(&picture.y, &mut out.y, 1), (&picture.u, &mut out.u, 2), (&picture.v, &mut out.v, 2)];
    for (from, to, part) in planes {
        let (fw, fh) = ((picture.w / part) as usize, (picture.h / part) as usize);
        shrink_plane(from, (fw, fh), to, ((w / part) as usize, (h / part) as usize));
    }
}

/// Which samples the output sample `at` of `to` stands for, among `from`: the first, and a weight for each of those that
/// follow, 256 together.
fn covered(at: usize, from: usize, to: usize) -> (usize, [u32; 4]) {
    // In units of 1/`to` of a sample, output sample `at` covers `from` of them.
    let (start, end) = (at * from, (at + 1) * from);
    let first = start / to;
    let mut weights = [0; 4];
    let mut left = 256;
    for (n, weight) in weights.iter_mut().enumerate() {
        let (a, b) = (start.max((first + n) * to), end.min((first + n + 1) * to));
        *weight = ((b.saturating_sub(a) * 256 + from / 2) / from.max(1)) as u32;
        *weight = (*weight).min(left);
        left -= *weight;
    }
    weights[0] += left;
    (first, weights)
}

fn shrink_plane(from: &[u8], (fw, fh): (usize, usize), to: &mut [u8], (tw, th): (usize, usize)) {
    let columns: Vec<_> = (0..tw).map(|x| covered(x, fw, tw)).collect();
    let mut sums = vec![0u32; fw + 4];
    for (y, out) in to.chunks_exact_mut(tw.max(1)).enumerate().take(th) {
        let (first, weights) = covered(y, fh, th);
        sums.fill(0);
        for (n, weight) in weights.into_iter().enumerate().filter(|(_, w)| *w > 0) {
            let row = from.get((first + n) * fw..).unwrap_or(&[]);
            sums.iter_mut().zip(row.iter().take(fw)).for_each(|(sum, v)| *sum += weight * u32::from(*v));
        }
        for (out, (first, weights)) in out.iter_mut().zip(&columns) {
            let near = sums.get(*first..*first + 4).unwrap_or(&[0; 4]);
            let sum: u32 = near.iter().zip(weights).map(|(v, w)| v * w).sum();
            *out = ((sum + (1 << 15)) >> 16).min(255) as u8;
        }
    }
}

/// For each of `to` samples the one of `from` before it, and how far behind that it lies in 1/256.
// spec: C-182
fn places(from: u32, to: u32) -> Vec<(usize, u32)> {
    let last = i64::from(from.max(1) - 1) * 256;
    let place = |x: u32| {
        let at = i64::from(2 * x + 1) * i64::from(from) * 128 / i64::from(to.max(1)) - 128;
        at.clamp(0, last)
    };
    (0..to).map(place).map(|at| ((at / 256) as usize, (at % 256) as u32)).collect()
}

/// The planes of a picture in the size in which it is shown; kept to be used again.
#[derive(Clone, Debug, Default)]
pub struct Enlarged(I420);

impl Enlarged {
    /// `picture` made `w` by `h`, both even and not smaller than it.
    // spec: C-182
    pub fn of(&mut self, picture: &Picture<'_>, w: u32, h: u32) -> Picture<'_> {
        let out = &mut self.0;
        out.resize(w, h);
        let [y, u, v] = picture.planes;
        let planes = [
            (y, picture.strides[0], &mut out.y, 1),
            (u, picture.strides[1], &mut out.u, 2),
            (v, picture.strides[1], &mut out.v, 2),
        ];
        for (from, stride, to, part) in planes {
            enlarge_plane(from, stride, (picture.w / part, picture.h / part), to, (w / part, h / part));
        }
        let (luma, chroma) = (w as usize, w as usize / 2);
        Picture { w, h, planes: [&out.y, &out.u, &out.v], strides: [luma, chroma] }
    }
}

fn enlarge_plane(from: &[u8], stride: usize, (fw, fh): (u32, u32), to: &mut [u8], (tw, th): (u32, u32)) {
    let (columns, rows) = (places(fw, tw), places(fh, th));
    let fw = fw as usize;
    // One sample more, so that the last has a neighbour; its weight is 0.
    let mut mixed = vec![0u16; fw + 1];
    for (out, (row, part)) in to.chunks_exact_mut(tw.max(1) as usize).zip(rows) {
        let upper = from.get(row * stride..).unwrap_or(&[]);
        let lower = from.get((row + 1) * stride..).filter(|_| part > 0).unwrap_or(upper);
        for (mixed, (a, b)) in mixed.iter_mut().zip(upper.iter().zip(lower)).take(fw) {
            *mixed = u16::from(*a) * (256 - part) as u16 + u16::from(*b) * part as u16;
        }
        for (out, (at, part)) in out.iter_mut().zip(&columns) {
            let (Some(a), Some(b)) = (mixed.get(*at), mixed.get(*at + 1)) else { continue };
            *out = ((u32::from(*a) * (256 - part) + u32::from(*b) * part + (1 << 15)) >> 16) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    fn noise(w: u32, h: u32, seed: u64) -> I420 {
        let mut rng = Rng::new(seed);
        let mut p = I420::default();
        p.resize(w, h);
        for plane in [&mut p.y, &mut p.u, &mut p.v] {
            plane.iter_mut().for_each(|v| *v = rng.next_u64() as u8);
        }
        p
    }

    fn view(p: &I420) -> Picture<'_> {
        Picture { w: p.w, h: p.h, planes: [&p.y, &p.u, &p.v], strides: [p.w as usize, p.w as usize / 2] }
    }

    // spec: C-181
    #[test]
    fn sides_are_quarters_rounded_up_to_even() {
        let rect = Rect::new(0, 0, 1281, 719);
        assert_eq!(coded_sides(rect, FilmScale::Full), (1282, 720));
        assert_eq!(coded_sides(rect, FilmScale::ThreeQuarters), (962, 540));
        assert_eq!(coded_sides(rect, FilmScale::Half), (642, 360));
    }

    /// The sentence itself, sample by sample.
    // spec: C-182
    #[test]
    fn larger_is_as_it_is_written() {
        for (w, h, scale) in
            [(64, 32, FilmScale::Half), (66, 34, FilmScale::ThreeQuarters), (1282, 18, FilmScale::Half)]
        {
            let (cw, ch) = coded_sides(Rect::new(0, 0, w, h), scale);
            let small = noise(cw, ch, 5);
            let mut large = Enlarged::default();
            let large = large.of(&view(&small), w, h);
            let position = |x: u32, from: u32, to: u32| {
                ((2 * i64::from(x) + 1) * i64::from(from) * 128 / i64::from(to) - 128)
                    .clamp(0, i64::from(from - 1) * 256)
            };
            for (plane, part) in [(0, 1), (1, 2), (2, 2)] {
                let (fw, fh, tw, th) = (cw / part, ch / part, w / part, h / part);
                let from = [&small.y, &small.u, &small.v][plane];
                for y in 0..th {
                    for x in 0..tw {
                        let (px, py) = (position(x, fw, tw), position(y, fh, th));
                        let sample = |x: i64, y: i64| {
                            let (x, y) = (x.min(i64::from(fw) - 1), y.min(i64::from(fh) - 1));
                            i64::from(from[(y * i64::from(fw) + x) as usize])
                        };
                        let (i, f, j, g) = (px / 256, px % 256, py / 256, py % 256);
                        let column = |i: i64| sample(i, j) * (256 - g) + sample(i, j + 1) * g;
                        let want = (column(i) * (256 - f) + column(i + 1) * f + 32_768) >> 16;
                        let stride = large.strides[plane.min(1)];
                        assert_eq!(i64::from(large.planes[plane][y as usize * stride + x as usize]), want);
                    }
                }
            }
        }
    }

    #[test]
    fn smaller_keeps_what_is_flat_and_the_mean() {
        for (w, h, scale) in [(64, 48, FilmScale::Half), (128, 64, FilmScale::ThreeQuarters), (66, 34, FilmScale::Half)]
        {
            let (cw, ch) = coded_sides(Rect::new(0, 0, w, h), scale);
            let mut flat = I420::default();
            flat.resize(w, h);
            flat.y.fill(255);
            flat.u.fill(1);
            flat.v.fill(77);
            let mut out = I420::default();
            shrink(&flat, cw, ch, &mut out);
            assert!(out.y.iter().all(|v| *v == 255) && out.u.iter().all(|v| *v == 1) && out.v.iter().all(|v| *v == 77));
            let grain = noise(w, h, 3);
            shrink(&grain, cw, ch, &mut out);
            let mean = |p: &[u8]| p.iter().map(|v| u64::from(*v)).sum::<u64>() * 100 / p.len() as u64;
            assert!(mean(&grain.y).abs_diff(mean(&out.y)) < 200, "{} {}", mean(&grain.y), mean(&out.y));
            let spread = |p: &[u8]| p.iter().map(|v| v.abs_diff(127) as u64).sum::<u64>() / p.len() as u64;
            assert!(spread(&out.y) < spread(&grain.y), "grain is averaged");
        }
    }
}
