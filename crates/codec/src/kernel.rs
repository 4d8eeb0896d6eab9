//! Where two rows of pixels differ, as fast as memory can be read; below it the kernels of the coders.
//!
//! The only unsafe code beside openh264's. Each SIMD path stands beside its scalar reference and is compared with it
//! on every length and position in the tests. The fourth byte of a pixel means nothing and is not compared.
#![allow(unsafe_code)]

pub mod anchor;
pub mod bands;
pub mod median;
pub mod run;
pub mod wavelet;
pub mod yuv;

// spec: C-11
/// The three colour bytes of a pixel read as a little-endian number.
pub const COLOUR: u32 = 0x00ff_ffff;

/// The index of the first pixel in which `a` and `b` differ. Rows are BGRX; the shorter one ends the search.
pub fn first(a: &[u8], b: &[u8]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function requires.
        return unsafe { first_avx2(a, b) };
    }
    first_scalar(a, b)
}

/// The index of the last pixel in which `a` and `b`, rows of the same length, differ.
pub fn last(a: &[u8], b: &[u8]) -> Option<usize> {
    // Only called on the few rows that differ, mostly near their end.
    a.chunks_exact(4).zip(b.chunks_exact(4)).rposition(|(a, b)| pixel(a) != pixel(b))
}

/// Whether the rows show the same colours.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && first(a, b).is_none()
}

/// Whether `h` rows of `len` bytes are the same in `a` from byte `at_a` on and in `b` from `at_b` on, both with rows
/// `stride` bytes apart. False if that reaches past an end.
pub fn same_block(a: &[u8], at_a: usize, b: &[u8], at_b: usize, stride: usize, len: usize, h: usize) -> bool {
    let end = |at: usize| at.saturating_add(stride.saturating_mul(h.saturating_sub(1))).saturating_add(len);
    if end(at_a) > a.len() || end(at_b) > b.len() {
        return false;
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function requires.
        return unsafe { same_block_avx2(a, at_a, b, at_b, stride, len, h) };
    }
    same_block_scalar(a, at_a, b, at_b, stride, len, h)
}

/// The width in pixels of a cell of [`cells`].
pub const CELL: usize = 16;

/// Sets `unlike[i]` to 1 where the rows differ in their `i`th sixteen pixels; what is set stays set. Both rows have the
/// same length; the last cell may be narrower.
pub fn cells(a: &[u8], b: &[u8], unlike: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function requires.
        return unsafe { cells_avx2(a, b, unlike) };
    }
    cells_scalar(a, b, unlike);
}

/// The reference for [`cells`].
fn cells_scalar(a: &[u8], b: &[u8], unlike: &mut [u8]) {
    for ((a, b), cell) in a.chunks(CELL * 4).zip(b.chunks(CELL * 4)).zip(unlike) {
        *cell |= u8::from(first_scalar(a, b).is_some());
    }
}

/// The reference for [`same_block`].
fn same_block_scalar(a: &[u8], at_a: usize, b: &[u8], at_b: usize, stride: usize, len: usize, h: usize) -> bool {
    (0..h).map(|y| y * stride).all(|y| first_scalar(&a[at_a + y..][..len], &b[at_b + y..][..len]).is_none())
}

/// One pixel's colour.
pub fn pixel(bytes: &[u8]) -> u32 {
    match bytes {
        [b, g, r, ..] => u32::from_le_bytes([*b, *g, *r, 0]),
        _ => 0,
    }
}

/// The reference for [`first`].
fn first_scalar(a: &[u8], b: &[u8]) -> Option<usize> {
    a.chunks_exact(4).zip(b.chunks_exact(4)).position(|(a, b)| pixel(a) != pixel(b))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn first_avx2(a: &[u8], b: &[u8]) -> Option<usize> {
    use std::arch::x86_64::*;
    let mask = _mm256_set1_epi32(COLOUR as i32);
    let len = a.len().min(b.len());
    let load = |row: &[u8], at: usize| {
        let bytes: &[u8] = &row[at..at + 32];
        // SAFETY: the slice holds 32 bytes, and the load needs no alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    };
    // Whole chunks, so that no bound is checked in between: this loop is what a full scan costs.
    let half = |chunk: &[u8; 128], i: usize| {
        // SAFETY: `i` is 0 to 3, so the 32 bytes lie in the chunk, and the load needs no alignment.
        unsafe { _mm256_loadu_si256(chunk.as_ptr().add(i * 32).cast()) }
    };
    let chunks = a[..len].as_chunks::<128>().0.iter().zip(b[..len].as_chunks::<128>().0);
    let mut at = 0;
    for (a, b) in chunks {
        let d = |i: usize| _mm256_xor_si256(half(a, i), half(b, i));
        let any = _mm256_or_si256(_mm256_or_si256(d(0), d(1)), _mm256_or_si256(d(2), d(3)));
        if _mm256_testz_si256(any, mask) == 0 {
            break;
        }
        at += 128;
    }
    while at + 32 <= len {
        let differ = _mm256_and_si256(_mm256_xor_si256(load(a, at), load(b, at)), mask);
        let equal = _mm256_movemask_epi8(_mm256_cmpeq_epi32(differ, _mm256_setzero_si256())) as u32;
        if equal != u32::MAX {
            return Some((at + (!equal).trailing_zeros() as usize) / 4);
        }
        at += 32;
    }
    first_scalar(&a[at..len], &b[at..len]).map(|i| at / 4 + i)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn same_block_avx2(a: &[u8], at_a: usize, b: &[u8], at_b: usize, stride: usize, len: usize, h: usize) -> bool {
    use std::arch::x86_64::*;
    let mask = _mm256_set1_epi32(COLOUR as i32);
    let load = |row: &[u8], at: usize| {
        let bytes: &[u8] = &row[at..at + 32];
        // SAFETY: the slice holds 32 bytes, and the load needs no alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    };
    for y in 0..h {
        let (a, b) = (&a[at_a + y * stride..][..len], &b[at_b + y * stride..][..len]);
        let mut at = 0;
        while at + 32 <= len {
            if _mm256_testz_si256(_mm256_xor_si256(load(a, at), load(b, at)), mask) == 0 {
                return false;
            }
            at += 32;
        }
        if first_scalar(&a[at..], &b[at..]).is_some() {
            return false;
        }
    }
    true
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn cells_avx2(a: &[u8], b: &[u8], unlike: &mut [u8]) {
    use std::arch::x86_64::*;
    let mask = _mm256_set1_epi32(COLOUR as i32);
    let load = |half: &[u8; 32]| {
        // SAFETY: the array holds 32 bytes, and the load needs no alignment.
        unsafe { _mm256_loadu_si256(half.as_ptr().cast()) }
    };
    let ((a, a_end), (b, b_end)) = (a.as_chunks::<{ CELL * 4 }>(), b.as_chunks::<{ CELL * 4 }>());
    for ((a, b), cell) in a.iter().zip(b).zip(unlike.iter_mut()) {
        let (a, b) = (a.as_chunks::<32>().0, b.as_chunks::<32>().0);
        let d0 = _mm256_xor_si256(load(&a[0]), load(&b[0]));
        let d1 = _mm256_xor_si256(load(&a[1]), load(&b[1]));
        *cell |= u8::from(_mm256_testz_si256(_mm256_or_si256(d0, d1), mask) == 0);
    }
    if let Some(rest) = unlike.get_mut(a.len().min(b.len())..) {
        cells_scalar(a_end, b_end, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    #[test]
    fn simd_agrees_with_scalar_everywhere() {
        let mut rng = Rng::new(1);
        for pixels in 0..90usize {
            let a: Vec<u8> = (0..pixels * 4).map(|_| rng.next_u64() as u8).collect();
            assert_eq!(first(&a, &a), None);
            for i in 0..a.len() {
                let mut b = a.clone();
                b[i] ^= 1 << rng.below(8);
                if rng.below(3) == 0 {
                    let j = rng.below(b.len() as u64) as usize;
                    b[j] ^= 0x10;
                }
                assert_eq!(first(&a, &b), first_scalar(&a, &b));
                let want = (0..pixels).filter(|p| a[p * 4..p * 4 + 3] != b[p * 4..p * 4 + 3]).collect::<Vec<_>>();
                assert_eq!(first(&a, &b), want.first().copied());
                assert_eq!(last(&a, &b), want.last().copied());
            }
        }
    }

    #[test]
    fn blocks_agree_with_scalar_everywhere() {
        let mut rng = Rng::new(2);
        let a: Vec<u8> = (0..60 * 9 * 4).map(|_| rng.next_u64() as u8).collect();
        for _ in 0..4000 {
            let mut b = a.clone();
            (0..rng.below(3)).for_each(|_| b[rng.below(a.len() as u64) as usize] ^= 1);
            let (x, y) = (rng.below(30) as usize, rng.below(5) as usize);
            let (w, h) = (rng.below(31) as usize, rng.below(5) as usize);
            let at = (y * 60 + x) * 4;
            let want = same_block_scalar(&a, at, &b, at, 240, w * 4, h);
            assert_eq!(same_block(&a, at, &b, at, 240, w * 4, h), want);
        }
        assert!(!same_block(&a, 0, &a, 8, 240, 240, 9));
        assert!(!same_block(&a, 0, &a, usize::MAX, 240, 240, usize::MAX));
    }

    #[test]
    fn cells_agree_with_scalar_everywhere() {
        let mut rng = Rng::new(3);
        for pixels in 0..70usize {
            let a: Vec<u8> = (0..pixels * 4).map(|_| rng.next_u64() as u8).collect();
            for i in 0..a.len() {
                let mut b = a.clone();
                b[i] ^= 1 << rng.below(8);
                let (mut got, mut want) = (vec![0; pixels.div_ceil(CELL)], vec![0; pixels.div_ceil(CELL)]);
                cells(&a, &b, &mut got);
                cells_scalar(&a, &b, &mut want);
                assert_eq!(got, want, "{pixels} {i}");
                assert_eq!(want.iter().map(|c| *c as usize).sum::<usize>(), usize::from(i % 4 != 3));
            }
        }
        cells(&[1; 200], &[0; 200], &mut []);
    }

    #[test]
    fn rows_of_unlike_length_are_safe() {
        let a = [0u8; 400];
        for n in [0, 1, 3, 31, 33, 127, 129, 399] {
            assert_eq!(first(&a, &a[..n]), None);
            assert!(!same(&a, &a[..n]));
        }
    }
}
