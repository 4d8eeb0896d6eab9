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

/// Sets `unlike[i]` to 1 where the rows of `a` and `b`, `rows` of them and `stride` bytes apart, differ in their `i`th sixteen
/// pixels; what is set already is not looked at. A row has `len` bytes from there on, so that the last cell may be
/// narrower. Everything is set if that reaches past an end.
pub fn cells(a: &[u8], b: &[u8], stride: usize, len: usize, rows: usize, unlike: &mut [u8]) {
    let end = stride.saturating_mul(rows.saturating_sub(1)).saturating_add(len);
    if end > a.len() || end > b.len() {
        unlike.fill(1);
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, and both slices hold the `rows` rows of `len` bytes: that is what the function
        // requires.
        return unsafe { cells_avx2(a, b, stride, len, rows, unlike) };
    }
    cells_scalar(a, b, stride, len, rows, unlike);
}

/// The reference for [`cells`]; both slices hold all rows.
fn cells_scalar(a: &[u8], b: &[u8], stride: usize, len: usize, rows: usize, unlike: &mut [u8]) {
    for (i, cell) in unlike.iter_mut().enumerate().take(len.div_ceil(CELL * 4)) {
        let (from, to) = (i * CELL * 4, ((i + 1) * CELL * 4).min(len));
        if *cell == 0 {
            let same = |y: usize| first_scalar(&a[y + from..y + to], &b[y + from..y + to]).is_none();
            *cell = u8::from(!(0..rows).map(|y| y * stride).all(same));
        }
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

/// # Safety
/// `a` and `b` hold `rows` rows of `len` bytes, `stride` bytes apart.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn cells_avx2(a: &[u8], b: &[u8], stride: usize, len: usize, rows: usize, unlike: &mut [u8]) {
    use std::arch::x86_64::*;
    let mask = _mm256_set1_epi32(COLOUR as i32);
    let whole = len / (CELL * 4);
    for (i, cell) in unlike.iter_mut().enumerate().take(whole) {
        if *cell != 0 {
            continue;
        }
        // Most cells that differ do so in their first rows: no row is read after that.
        let mut at = i * CELL * 4;
        for _ in 0..rows {
            // SAFETY: the cell is a whole one, so its 64 bytes lie in a row of `len` bytes, which the caller says is there;
            // the load needs no alignment.
            let load = |row: &[u8], at: usize| unsafe { _mm256_loadu_si256(row.as_ptr().wrapping_add(at).cast()) };
            let d0 = _mm256_xor_si256(load(a, at), load(b, at));
            let d1 = _mm256_xor_si256(load(a, at.wrapping_add(32)), load(b, at.wrapping_add(32)));
            if _mm256_testz_si256(_mm256_or_si256(d0, d1), mask) == 0 {
                *cell = 1;
                break;
            }
            at = at.wrapping_add(stride);
        }
    }
    let done = whole * CELL * 4;
    if let Some(rest) = unlike.get_mut(whole..).filter(|_| done < len) {
        cells_scalar(&a[done..], &b[done..], stride, len - done, rows, rest);
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
                cells(&a, &b, pixels * 4, pixels * 4, 1, &mut got);
                cells_scalar(&a, &b, pixels * 4, pixels * 4, 1, &mut want);
                assert_eq!(got, want, "{pixels} {i}");
                assert_eq!(want.iter().map(|c| *c as usize).sum::<usize>(), usize::from(i % 4 != 3));
            }
        }
    }

    /// Rows that are all 0, all 255, by turns, or random, of every width and height, with some cells set before.
    #[test]
    fn cells_of_several_rows_agree_with_a_comparison_pixel_by_pixel() {
        let mut rng = Rng::new(4);
        let mut unlike = [0; 2];
        for round in 0..6_000 {
            let (w, rows) = (1 + rng.below(70) as usize, 1 + rng.below(8) as usize);
            let stride = (w + rng.below(9) as usize) * 4;
            let a: Vec<u8> = (0..stride * rows)
                .map(|i| match round % 4 {
                    0 => 0,
                    1 => u8::MAX,
                    2 => (i % 2) as u8 * u8::MAX,
                    _ => rng.next_u64() as u8,
                })
                .collect();
            let mut b = a.clone();
            (0..rng.below(6)).for_each(|_| b[rng.below(a.len() as u64) as usize] ^= 1 << rng.below(8));
            let set: Vec<u8> = (0..w.div_ceil(CELL)).map(|_| u8::from(rng.below(5) == 0)).collect();
            let differs = |x: usize, y: usize| {
                let at = y * stride + x * 4;
                a[at..at + 3] != b[at..at + 3]
            };
            let wrong = |i: usize| (0..rows).any(|y| (i * CELL..((i + 1) * CELL).min(w)).any(|x| differs(x, y)));
            let want: Vec<u8> = set.iter().enumerate().map(|(i, set)| *set | u8::from(wrong(i))).collect();
            let (mut got, mut plain) = (set.clone(), set.clone());
            cells(&a, &b, stride, w * 4, rows, &mut got);
            cells_scalar(&a, &b, stride, w * 4, rows, &mut plain);
            assert_eq!((&got, &plain), (&want, &want), "{round}: {w} x {rows}");
            want.iter().for_each(|w| unlike[usize::from(*w)] += 1);
        }
        assert!(unlike[0] > 3_000 && unlike[1] > 3_000, "{unlike:?}");
        // What reaches past an end differs, and cells that no pixel belongs to are left alone.
        for (stride, len, rows) in
            [(64, 65, 1), (40, 30, 2), (usize::MAX, 1, 2), (0, usize::MAX, 1), (1, 1, usize::MAX)]
        {
            let mut got = [0; 3];
            cells(&[1; 64], &[1; 64], stride, len, rows, &mut got);
            assert_eq!(got, [1; 3], "{stride} {len} {rows}");
        }
        let mut got = [0; 3];
        cells(&[1; 64], &[2; 64], 64, 64, 1, &mut got);
        assert_eq!(got, [1, 0, 0]);
        cells(&[1; 200], &[0; 200], 100, 100, 2, &mut []);
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
