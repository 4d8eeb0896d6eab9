//! The median edge detector's inner loops: residuals of a row, and a rectangle from its residuals.
//!
//! The way back is serial along a row, since each pixel is predicted from its restored left neighbour. So four rows go at
//! once, each a pixel behind the one above it: what the row above gave in the last step is *above* in this one, and what
//! was *above* in the last step is *corner*. Four pixels of four bytes fill a register.
//!
//! In eight bits the prediction is min(low + (high - corner), high), both saturating, with low and high those of left
//! and above; outside the rectangle everything counts as 0, which gives the rules for the first row and column.

/// What a pixel is thought to be.
// spec: C-51
#[inline(always)]
pub fn guess(left: u8, above: u8, corner: u8) -> u8 {
    let (low, high) = (left.min(above), left.max(above));
    low.saturating_add(high.saturating_sub(corner)).min(high)
}

/// Writes the residuals of `now`, a channel's row, under the row `above`; without one it is the rectangle's first. All
/// rows have the same length.
// spec: C-51
pub fn residuals(now: &[u8], above: &[u8], out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function requires.
        return unsafe { residuals_avx2(now, above, out) };
    }
    residuals_scalar(now, above, out);
}

/// The reference for [`residuals`]; the compiler makes SIMD of it.
#[inline(always)]
fn residuals_scalar(now: &[u8], above: &[u8], out: &mut [u8]) {
    let (Some(o), Some(v), Some(n)) = (out.first_mut(), now.first(), above.first()) else { return };
    *o = v.wrapping_sub(*n);
    let len = now.len().min(above.len()).min(out.len());
    let (left, v) = (&now[..len - 1], &now[1..len]);
    let (corner, n) = (&above[..len - 1], &above[1..len]);
    for ((((o, v), n), left), corner) in out[1..len].iter_mut().zip(v).zip(n).zip(left).zip(corner) {
        *o = v.wrapping_sub(guess(*left, *n, *corner));
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn residuals_avx2(now: &[u8], above: &[u8], out: &mut [u8]) {
    residuals_scalar(now, above, out);
}

/// Splits a row of BGRX pixels into G, R - G and B - G. All rows hold as many values as pixels.
// spec: C-50
pub fn channels(row: &[u8], g: &mut [u8], r: &mut [u8], b: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function requires.
        return unsafe { channels_avx2(row, g, r, b) };
    }
    channels_scalar(row, g, r, b);
}

/// The reference for [`channels`]; the compiler makes SIMD of it.
#[inline(always)]
fn channels_scalar(row: &[u8], g: &mut [u8], r: &mut [u8], b: &mut [u8]) {
    for (((px, g), r), b) in row.as_chunks::<4>().0.iter().zip(g).zip(r).zip(b) {
        *g = px[1];
        *r = px[2].wrapping_sub(px[1]);
        *b = px[0].wrapping_sub(px[1]);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn channels_avx2(row: &[u8], g: &mut [u8], r: &mut [u8], b: &mut [u8]) {
    channels_scalar(row, g, r, b);
}

/// A rectangle in a block of pixels.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The byte where its first pixel stands.
    pub at: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Its width in pixels.
    pub w: usize,
    /// Its height in rows.
    pub h: usize,
}

impl Place {
    /// Whether the rectangle lies inside `len` bytes and its rows do not overlap.
    fn fits(self, len: usize) -> bool {
        let end = self.h.saturating_sub(1).saturating_mul(self.stride).saturating_add(self.at);
        self.w > 0 && self.h > 0 && self.w * 4 <= self.stride && end.saturating_add(self.w * 4) <= len
    }
}

/// Writes the rectangle from its residuals: G, R - G and B - G, `w * h` bytes each. Nothing is written if it does not
/// lie inside `data` or residuals are missing. `above` is scratch.
// spec: C-50 C-51
pub fn restore(planes: [&[u8]; 3], data: &mut [u8], place: Place, above: &mut Vec<u32>) {
    let area = place.w.saturating_mul(place.h);
    let [Some(g), Some(r), Some(b)] = planes.map(|p| p.get(..area)) else { return };
    if !place.fits(data.len()) {
        return;
    }
    above.clear();
    above.resize(place.w, 0);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2; the planes hold `w * h` bytes, `above` holds `w` pixels, and the rectangle lies
        // inside `data`, all checked above.
        return unsafe { restore_avx2([g, r, b], data, place, above) };
    }
    restore_scalar([g, r, b], data, place, above);
}

/// The reference for [`restore`].
fn restore_scalar(planes: [&[u8]; 3], data: &mut [u8], place: Place, above: &mut [u32]) {
    for y in 0..place.h {
        let row = &mut data[place.at + y * place.stride..][..place.w * 4];
        let (mut left, mut corner) = ([0u8; 4], [0u8; 4]);
        for (x, (px, above)) in row.as_chunks_mut::<4>().0.iter_mut().zip(above.iter_mut()).enumerate() {
            let up = above.to_le_bytes();
            // In the order of the pixel's bytes: B - G, G, R - G.
            for (c, plane) in [2, 0, 1].into_iter().enumerate() {
                left[c] = planes[plane][y * place.w + x].wrapping_add(guess(left[c], up[c], corner[c]));
            }
            *px = [left[0].wrapping_add(left[1]), left[1], left[2].wrapping_add(left[1]), 0];
            *above = u32::from_le_bytes(left);
            corner = up;
        }
    }
}

/// # Safety
/// The planes hold `w * h` bytes, `above` holds `w` pixels, and `place` fits `data`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn restore_avx2(planes: [&[u8]; 3], data: &mut [u8], place: Place, above: &mut [u32]) {
    use std::arch::x86_64::*;
    let Place { at, stride, w, h } = place;
    // First the residuals, a pixel's three together, where the pixels will stand.
    for y in 0..h {
        let line = |plane: usize| planes[plane][y * w..][..w].as_chunks::<16>();
        let ((g, g_end), (r, r_end), (b, b_end)) = (line(0), line(1), line(2));
        let (px, px_end) = data[at + y * stride..][..w * 4].as_chunks_mut::<64>();
        for (((px, g), r), b) in px.iter_mut().zip(g).zip(r).zip(b) {
            // SAFETY: the arrays hold the 16 bytes that are read.
            let (g, r, b) = unsafe {
                let load = |v: &[u8; 16]| _mm_loadu_si128(v.as_ptr().cast());
                (load(g), load(r), load(b))
            };
            let zero = _mm_setzero_si128();
            let (bg_lo, bg_hi) = (_mm_unpacklo_epi8(b, g), _mm_unpackhi_epi8(b, g));
            let (r_lo, r_hi) = (_mm_unpacklo_epi8(r, zero), _mm_unpackhi_epi8(r, zero));
            let out: *mut __m128i = px.as_mut_ptr().cast();
            // SAFETY: the array holds the four registers that are written.
            unsafe {
                _mm_storeu_si128(out, _mm_unpacklo_epi16(bg_lo, r_lo));
                _mm_storeu_si128(out.add(1), _mm_unpackhi_epi16(bg_lo, r_lo));
                _mm_storeu_si128(out.add(2), _mm_unpacklo_epi16(bg_hi, r_hi));
                _mm_storeu_si128(out.add(3), _mm_unpackhi_epi16(bg_hi, r_hi));
            }
        }
        let ends = px_end.as_chunks_mut::<4>().0.iter_mut().zip(g_end).zip(r_end).zip(b_end);
        ends.for_each(|(((px, g), r), b)| *px = [*b, *g, *r, 0]);
    }
    // A pixel's green goes to its blue and red.
    let green = _mm_setr_epi8(1, -1, 1, -1, 5, -1, 5, -1, 9, -1, 9, -1, 13, -1, 13, -1);
    let step = |left: __m128i, corner: __m128i, first: u32, residuals: __m128i| {
        let above = _mm_or_si128(_mm_slli_si128::<4>(left), _mm_cvtsi32_si128(first as i32));
        let (low, high) = (_mm_min_epu8(left, above), _mm_max_epu8(left, above));
        let guess = _mm_min_epu8(_mm_adds_epu8(low, _mm_subs_epu8(high, corner)), high);
        (_mm_add_epi8(residuals, guess), above)
    };
    let finish = |v: __m128i| _mm_add_epi8(v, _mm_shuffle_epi8(v, green));
    for y in (0..h).step_by(4) {
        let rows = (h - y).min(4);
        let top = at + y * stride;
        let (mut left, mut corner) = (_mm_setzero_si128(), _mm_setzero_si128());
        // The steps in which some row is before its first or past its last pixel.
        let careful = |t: usize, left: &mut __m128i, corner: &mut __m128i, data: &mut [u8], above: &mut [u32]| {
            let inside = |k: usize| (k < rows && (k..k + w).contains(&t)).then(|| top + k * stride + (t - k) * 4);
            let mut lanes = [0u32; 4];
            for (k, lane) in lanes.iter_mut().enumerate() {
                if let Some(at) = inside(k) {
                    *lane = u32::from_le_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
                }
            }
            let lane = |k: usize| lanes[k] as i32;
            let residuals = _mm_setr_epi32(lane(0), lane(1), lane(2), lane(3));
            (*left, *corner) = step(*left, *corner, above.get(t).copied().unwrap_or(0), residuals);
            let (mut raw, mut done) = ([0u32; 4], [0u32; 4]);
            // SAFETY: both arrays hold the 16 bytes that are written.
            unsafe {
                _mm_storeu_si128(raw.as_mut_ptr().cast(), *left);
                _mm_storeu_si128(done.as_mut_ptr().cast(), finish(*left));
            }
            for k in 0..4 {
                if let Some(at) = inside(k) {
                    data[at..at + 4].copy_from_slice(&done[k].to_le_bytes());
                    if k + 1 == rows {
                        above[t - k] = raw[k];
                    }
                }
            }
        };
        let steps = w + rows - 1;
        let (head, tail) = if rows == 4 && w > 3 { (3, w) } else { (steps, steps) };
        for t in 0..head {
            careful(t, &mut left, &mut corner, data, above);
        }
        let base = data.as_mut_ptr();
        let line = above.as_mut_ptr();
        for t in head..tail {
            // SAFETY: here all four rows are inside the rectangle, row k at its pixel t - k, which lies inside `data`;
            // t and t - 3 are below `w`, which is how many pixels `above` holds.
            unsafe {
                let px = |k: usize| base.add(top + k * stride + (t - k) * 4).cast::<i32>();
                let lane = |k: usize| px(k).read_unaligned();
                let residuals = _mm_setr_epi32(lane(0), lane(1), lane(2), lane(3));
                (left, corner) = step(left, corner, line.add(t).read(), residuals);
                line.add(t - 3).write(_mm_extract_epi32::<3>(left) as u32);
                let done = finish(left);
                px(0).write_unaligned(_mm_cvtsi128_si32(done));
                px(1).write_unaligned(_mm_extract_epi32::<1>(done));
                px(2).write_unaligned(_mm_extract_epi32::<2>(done));
                px(3).write_unaligned(_mm_extract_epi32::<3>(done));
            }
        }
        for t in tail..steps {
            careful(t, &mut left, &mut corner, data, above);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    // spec: C-51
    #[test]
    fn the_guess_is_the_specifications() {
        for left in 0..=255u8 {
            for above in 0..=255u8 {
                for corner in 0..=255u8 {
                    let (low, high) = (left.min(above), left.max(above));
                    let want = match corner {
                        c if c >= high => low,
                        c if c <= low => high,
                        c => left.wrapping_add(above).wrapping_sub(c),
                    };
                    assert_eq!(guess(left, above, corner), want);
                }
            }
        }
    }

    #[test]
    fn simd_agrees_with_scalar_on_any_residuals() {
        let mut rng = Rng::new(8);
        for round in 0..600 {
            let (w, h) = (1 + rng.below(40) as usize, 1 + rng.below(14) as usize);
            let (x, stride) = (rng.below(5) as usize * 4, (w + rng.below(9) as usize) * 4 + 16);
            let place = Place { at: x, stride, w, h };
            let noise = |rng: &mut Rng, n: usize| (0..n).map(|_| rng.next_u64() as u8).collect::<Vec<_>>();
            let planes = [noise(&mut rng, w * h), noise(&mut rng, w * h), noise(&mut rng, w * h)];
            let before = noise(&mut rng, stride * h);
            let lines = [&planes[0][..], &planes[1], &planes[2]];
            let (mut got, mut want) = (before.clone(), before.clone());
            restore(lines, &mut got, place, &mut vec![7; round]);
            restore_scalar(lines, &mut want, place, &mut vec![0; w]);
            assert!(got == want, "{w}x{h}");
            // A rectangle that reaches outside, and residuals that are missing, write nothing.
            restore(lines, &mut got, Place { h: h + 1, ..place }, &mut vec![]);
            restore([lines[0], &lines[1][1..], lines[2]], &mut got, place, &mut vec![]);
            restore(lines, &mut got, Place { at: usize::MAX, ..place }, &mut vec![]);
            assert!(got == want);
        }
    }

    #[test]
    fn rows_agree_with_scalar_at_every_length() {
        let mut rng = Rng::new(9);
        for n in 0..150usize {
            let noise = |rng: &mut Rng, n: usize| (0..n).map(|_| rng.next_u64() as u8).collect::<Vec<_>>();
            let (now, above) = (noise(&mut rng, n), noise(&mut rng, n));
            let (mut got, mut want) = (vec![1; n], vec![1; n]);
            residuals(&now, &above, &mut got);
            residuals_scalar(&now, &above, &mut want);
            assert_eq!(got, want);
            let row = noise(&mut rng, n * 4);
            let (mut got, mut want) = (vec![vec![1; n]; 3], vec![vec![1; n]; 3]);
            if let ([a, b, c], [d, e, f]) = (&mut got[..], &mut want[..]) {
                channels(&row, a, b, c);
                channels_scalar(&row, d, e, f);
            }
            assert_eq!(got, want);
            residuals(&now, &above[n / 2..], &mut got[0]);
        }
    }
}
