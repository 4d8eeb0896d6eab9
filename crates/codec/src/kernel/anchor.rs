//! Places that a picture's content names, so that the same content gives the same places wherever it stands.
//!
//! An anchor is an edge (a pixel unlike its left neighbour) whose hash, over four pixels of its row and three of a row
//! below, begins with a given number of zero bits. Seven pixels in two rows, because two-coloured text has too few
//! kinds of edges in fewer. More bits give a subset of the anchors.

#[cfg(target_arch = "x86_64")]
use super::COLOUR;
use super::pixel;

/// The fewest bits of an anchor that are asked for: one edge in 16.
pub const LEAST_BITS: u32 = 4;
/// An anchor looks at pixels up to this far to the right, and at one on its left.
pub const REACH: usize = 5;
/// Spreads the sum's bits to the top (2^32 divided by the golden ratio).
const SPREAD: u32 = 0x9e37_79b1;

/// Appends the index in `row` of each anchor with `bits` zero bits (1 to 31). Both rows have the same length.
pub fn anchors(row: &[u8], below: &[u8], bits: u32, found: &mut Vec<u32>) {
    let below = below.get(..row.len()).unwrap_or(&[]);
    let n = (below.len() / 4).saturating_sub(REACH);
    let bits = bits.clamp(1, 31);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, and both rows have `n` pixels and REACH more, if `n` is not 0: that is what the
        // function requires.
        return unsafe { anchors_avx2(row, below, n, bits, found) };
    }
    anchors_scalar(row, below, 1..n, bits, found);
}

/// The reference for [`anchors`], of the pixels in `range`.
fn anchors_scalar(row: &[u8], below: &[u8], range: core::ops::Range<usize>, bits: u32, found: &mut Vec<u32>) {
    for i in range {
        let at = |row: &[u8], i: usize| row.get(i * 4..i * 4 + 4).map_or(0, pixel);
        let (left, here) = (at(row, i - 1), at(row, i));
        if left == here {
            continue;
        }
        let sum = left
            .wrapping_add(here << 2)
            .wrapping_add(at(row, i + 1) << 5)
            .wrapping_add(at(row, i + 3) << 7)
            .wrapping_add(at(below, i) << 1)
            .wrapping_add(at(below, i + 2) << 4)
            .wrapping_add(at(below, i + 5) << 8);
        if sum.wrapping_mul(SPREAD) >> (32 - bits) == 0 {
            found.push(i as u32);
        }
    }
}

/// # Safety
/// Both rows have `n` pixels and [`REACH`] more, if `n` is not 0.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn anchors_avx2(row: &[u8], below: &[u8], n: usize, bits: u32, found: &mut Vec<u32>) {
    use std::arch::x86_64::*;
    let mask = _mm256_set1_epi32(COLOUR as i32);
    let spread = _mm256_set1_epi32(SPREAD as i32);
    let shift = _mm_cvtsi32_si128((32 - bits) as i32);
    let load = |row: &[u8], i: usize| {
        // SAFETY: eight pixels from the `i`th on are read where `i` is at most `n - 8 + REACH`, and the row has `n + REACH`;
        // the load needs no alignment. Not checked for each: this loop is most of what a search costs.
        let pixels = unsafe { _mm256_loadu_si256(row.as_ptr().wrapping_add(i * 4).cast()) };
        _mm256_and_si256(pixels, mask)
    };
    let mut i = 1;
    while i + 8 <= n {
        let (left, here) = (load(row, i - 1), load(row, i));
        let flat = _mm256_cmpeq_epi32(left, here);
        if _mm256_movemask_epi8(flat) != -1 {
            let mut sum = _mm256_add_epi32(left, _mm256_slli_epi32::<2>(here));
            sum = _mm256_add_epi32(sum, _mm256_slli_epi32::<5>(load(row, i + 1)));
            sum = _mm256_add_epi32(sum, _mm256_slli_epi32::<7>(load(row, i + 3)));
            sum = _mm256_add_epi32(sum, _mm256_slli_epi32::<1>(load(below, i)));
            sum = _mm256_add_epi32(sum, _mm256_slli_epi32::<4>(load(below, i + 2)));
            sum = _mm256_add_epi32(sum, _mm256_slli_epi32::<8>(load(below, i + 5)));
            let top = _mm256_srl_epi32(_mm256_mullo_epi32(sum, spread), shift);
            let hits = _mm256_andnot_si256(flat, _mm256_cmpeq_epi32(top, _mm256_setzero_si256()));
            let mut hits = _mm256_movemask_ps(_mm256_castsi256_ps(hits)) as u32;
            while hits != 0 {
                found.push(i as u32 + hits.trailing_zeros());
                hits &= hits - 1;
            }
        }
        i += 8;
    }
    anchors_scalar(row, below, i..n, bits, found);
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    #[test]
    fn simd_agrees_with_scalar_and_more_bits_are_fewer() {
        let mut rng = Rng::new(1);
        let mut total = 0;
        for len in 0..400usize {
            let mut row = |flat: u64| -> Vec<u8> {
                let mut v = 0;
                let mut byte = || {
                    v = if rng.below(flat) == 0 { rng.next_u64() as u8 } else { v };
                    v
                };
                (0..len).map(|_| byte()).collect()
            };
            let (a, b) = (row(1 + len as u64 % 3), row(2));
            let (mut got, mut want, mut fewer) = (vec![], vec![], vec![]);
            anchors(&a, &b, LEAST_BITS, &mut got);
            anchors_scalar(&a, &b, 1..(len / 4).saturating_sub(REACH), LEAST_BITS, &mut want);
            assert_eq!(got, want);
            anchors(&a, &b, LEAST_BITS + 2, &mut fewer);
            assert!(fewer.iter().all(|i| got.contains(i)));
            total += got.len();
            // Rows of unlike length are no trouble.
            anchors(&a, &b[..len / 2], LEAST_BITS, &mut fewer);
        }
        assert!(total > 100);
    }
}
