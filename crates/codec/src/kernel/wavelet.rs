//! The wavelet coder's inner loops: colours to luma and two chroma planes and back, and the reversible 5/3 transform.
//!
//! All values are sixteen-bit lanes, and every sum wraps, so that any coefficients decode to the same pixels
//! everywhere. Of real pixels nothing wraps: four levels of 5/3 on values of nine bits stay below 2^14. The functions
//! in AVX2 are the scalar ones, of which the compiler makes SIMD; the tests compare them on hostile planes.

/// The side of a cell, and the distance of its rows in a plane.
pub const SIDE: usize = 64;
/// One plane of a cell, rows of [`SIDE`] values. Only the cell's width and height are used.
pub type Plane = [i16; SIDE * SIDE];
/// How often a plane is split.
pub const LEVELS: usize = 4;

/// A function in AVX2 where the processor has it, made by the compiler from the scalar one.
macro_rules! either {
    ($(#[$doc:meta])* $name:ident, $scalar:ident, $avx2:ident ($($arg:ident: $ty:ty),*)) => {
        $(#[$doc])*
        pub fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2, which is all that the function requires.
                return unsafe { $avx2($($arg),*) };
            }
            $scalar($($arg),*);
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn $avx2($($arg: $ty),*) {
            $scalar($($arg),*);
        }
    };
}

either! {
    /// Splits a row of BGRX pixels into Y, Co and Cg; all rows hold as many values as pixels.
    // spec: C-116
    split, split_scalar, split_avx2 (row: &[u8], y: &mut [i16], co: &mut [i16], cg: &mut [i16])
}

#[inline(always)]
fn split_scalar(row: &[u8], y: &mut [i16], co: &mut [i16], cg: &mut [i16]) {
    for (((px, y), co), cg) in row.as_chunks::<4>().0.iter().zip(y).zip(co).zip(cg) {
        let [b, g, r, _] = px.map(i16::from);
        *co = r.wrapping_sub(b);
        let t = b.wrapping_add(*co >> 1);
        *cg = g.wrapping_sub(t);
        *y = t.wrapping_add(*cg >> 1);
    }
}

either! {
    /// The way back from [`split`], limited to bytes.
    // spec: C-116
    join, join_scalar, join_avx2 (y: &[i16], co: &[i16], cg: &[i16], row: &mut [u8])
}

#[inline(always)]
fn join_scalar(y: &[i16], co: &[i16], cg: &[i16], row: &mut [u8]) {
    let byte = |v: i16| v.clamp(0, 255) as u8;
    for (((px, y), co), cg) in row.as_chunks_mut::<4>().0.iter_mut().zip(y).zip(co).zip(cg) {
        let t = y.wrapping_sub(*cg >> 1);
        let b = t.wrapping_sub(*co >> 1);
        *px = [byte(b), byte(cg.wrapping_add(t)), byte(b.wrapping_add(*co)), 0];
    }
}

/// What a side of `n` is at each level, the cell's own first.
pub const fn sides(n: usize) -> [usize; LEVELS + 1] {
    let mut all = [n; LEVELS + 1];
    let mut level = 1;
    while level <= LEVELS {
        all[level] = all[level - 1].div_ceil(2);
        level += 1;
    }
    all
}

either! {
    /// Transforms the `w` by `h` values in the plane's corner, four levels; each leaves what is low left and above.
    // spec: C-117 C-118
    forward, forward_scalar, forward_avx2 (plane: &mut Plane, w: usize, h: usize)
}

#[inline(always)]
fn forward_scalar(plane: &mut Plane, w: usize, h: usize) {
    let mut rows = [0i16; SIDE * SIDE];
    let (ws, hs) = (sides(w.min(SIDE)), sides(h.min(SIDE)));
    for level in 0..LEVELS {
        let (w, h) = (ws[level], hs[level]);
        // The widths of whole cells are made each for itself: loops of known length are SIMD without a rest.
        match w {
            64 => forward_level(plane, &mut rows, 64, h),
            32 => forward_level(plane, &mut rows, 32, h),
            16 => forward_level(plane, &mut rows, 16, h),
            8 => forward_level(plane, &mut rows, 8, h),
            _ => forward_level(plane, &mut rows, w, h),
        }
    }
}

#[inline(always)]
fn forward_level(plane: &mut Plane, rows: &mut Plane, w: usize, h: usize) {
    for (from, to) in plane.chunks_exact(SIDE).zip(rows.chunks_exact_mut(SIDE)).take(h) {
        forward_row(&from[..w], &mut to[..w]);
    }
    let (low, high) = plane.split_at_mut(h.div_ceil(2) * SIDE);
    let row = |y: usize| &rows[y * SIDE..][..w];
    for i in 0..h / 2 {
        let next = row((2 * i + 2).min((h - 1) & !1));
        for (((d, odd), a), b) in high[i * SIDE..][..w].iter_mut().zip(row(2 * i + 1)).zip(row(2 * i)).zip(next) {
            *d = odd.wrapping_sub(a.wrapping_add(*b) >> 1);
        }
    }
    let highs = h / 2;
    for i in 0..h.div_ceil(2) {
        let to = &mut low[i * SIDE..][..w];
        if highs == 0 {
            to.copy_from_slice(row(0));
            continue;
        }
        let (above, below) = (i.saturating_sub(1) * SIDE, i.min(highs - 1) * SIDE);
        let (above, below) = (&high[above..][..w], &high[below..][..w]);
        for (((s, even), a), b) in to.iter_mut().zip(row(2 * i)).zip(above).zip(below) {
            *s = even.wrapping_add(a.wrapping_add(*b).wrapping_add(2) >> 2);
        }
    }
}

#[inline(always)]
fn forward_row(from: &[i16], to: &mut [i16]) {
    let (lows, highs) = (from.len().div_ceil(2), from.len() / 2);
    // Room for a repeated value behind the last.
    let (mut even, mut high) = ([0i16; SIDE / 2 + 1], [0i16; SIDE / 2 + 2]);
    let (pairs, rest) = from.as_chunks::<2>();
    if highs == 0 {
        to.copy_from_slice(from);
        return;
    }
    let (low_to, high_to) = to.split_at_mut(lows);
    for ((p, e), o) in pairs.iter().zip(&mut even).zip(high_to.iter_mut()) {
        (*e, *o) = (p[0], p[1]);
    }
    even[highs] = rest.first().copied().unwrap_or(even[highs - 1]);
    for (((d, a), b), keep) in high_to.iter_mut().zip(&even[..highs]).zip(&even[1..=highs]).zip(&mut high[1..]) {
        *d = d.wrapping_sub(a.wrapping_add(*b) >> 1);
        *keep = *d;
    }
    high[0] = high[1];
    high[highs + 1] = high[highs];
    for (((s, e), a), b) in low_to.iter_mut().zip(&even).zip(&high[..lows]).zip(&high[1..=lows]) {
        *s = e.wrapping_add(a.wrapping_add(*b).wrapping_add(2) >> 2);
    }
}

either! {
    /// The way back from [`forward`].
    // spec: C-117 C-118
    inverse, inverse_scalar, inverse_avx2 (plane: &mut Plane, w: usize, h: usize)
}

#[inline(always)]
fn inverse_scalar(plane: &mut Plane, w: usize, h: usize) {
    let mut rows = [0i16; SIDE * SIDE];
    let (ws, hs) = (sides(w.min(SIDE)), sides(h.min(SIDE)));
    for level in (0..LEVELS).rev() {
        let (w, h) = (ws[level], hs[level]);
        match w {
            64 => inverse_level(plane, &mut rows, 64, h),
            32 => inverse_level(plane, &mut rows, 32, h),
            16 => inverse_level(plane, &mut rows, 16, h),
            8 => inverse_level(plane, &mut rows, 8, h),
            _ => inverse_level(plane, &mut rows, w, h),
        }
    }
}

#[inline(always)]
fn inverse_level(plane: &mut Plane, rows: &mut Plane, w: usize, h: usize) {
    let (low, high) = plane.split_at(h.div_ceil(2) * SIDE);
    let highs = h / 2;
    for i in 0..h.div_ceil(2) {
        let from = &low[i * SIDE..][..w];
        let to = &mut rows[2 * i * SIDE..][..w];
        if highs == 0 {
            to.copy_from_slice(from);
            continue;
        }
        let (above, below) = (i.saturating_sub(1) * SIDE, i.min(highs - 1) * SIDE);
        let (above, below) = (&high[above..][..w], &high[below..][..w]);
        for (((even, s), a), b) in to.iter_mut().zip(from).zip(above).zip(below) {
            *even = s.wrapping_sub(a.wrapping_add(*b).wrapping_add(2) >> 2);
        }
    }
    for i in 0..highs {
        let (before, after) = rows.split_at_mut((2 * i + 1) * SIDE);
        let (to, after) = after.split_at_mut(SIDE);
        let a = &before[2 * i * SIDE..][..w];
        let b = if 2 * i + 2 < h { &after[..w] } else { a };
        for (((odd, d), a), b) in to[..w].iter_mut().zip(&high[i * SIDE..][..w]).zip(a).zip(b) {
            *odd = d.wrapping_add(a.wrapping_add(*b) >> 1);
        }
    }
    for (from, to) in rows.chunks_exact(SIDE).zip(plane.chunks_exact_mut(SIDE)).take(h) {
        inverse_row(&from[..w], &mut to[..w]);
    }
}

#[inline(always)]
fn inverse_row(from: &[i16], to: &mut [i16]) {
    let (lows, highs) = (from.len().div_ceil(2), from.len() / 2);
    if highs == 0 {
        to.copy_from_slice(from);
        return;
    }
    let (mut even, mut high) = ([0i16; SIDE / 2 + 1], [0i16; SIDE / 2 + 2]);
    let (low, highs_in) = from.split_at(lows);
    high[1..=highs].copy_from_slice(highs_in);
    high[0] = high[1];
    high[highs + 1] = high[highs];
    for (((e, s), a), b) in even.iter_mut().zip(low).zip(&high[..lows]).zip(&high[1..=lows]) {
        *e = s.wrapping_sub(a.wrapping_add(*b).wrapping_add(2) >> 2);
    }
    if lows == highs {
        even[highs] = even[highs - 1];
    }
    let (pairs, rest) = to.as_chunks_mut::<2>();
    for (((p, d), a), b) in pairs.iter_mut().zip(highs_in).zip(&even[..highs]).zip(&even[1..=highs]) {
        *p = [*a, d.wrapping_add(a.wrapping_add(*b) >> 1)];
    }
    rest.iter_mut().for_each(|last| *last = even[highs]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    /// Planes that wrap, saturate, alternate, and noise.
    fn hostile(rng: &mut Rng) -> Vec<Plane> {
        let mut noise = [0; SIDE * SIDE];
        noise.iter_mut().for_each(|v| *v = rng.next_u64() as i16);
        let mut waves = [i16::MIN; SIDE * SIDE];
        waves.iter_mut().step_by(2).for_each(|v| *v = i16::MAX);
        let mut small = noise;
        small.iter_mut().for_each(|v| *v &= 255);
        vec![noise, waves, small, [i16::MAX; SIDE * SIDE], [i16::MIN; SIDE * SIDE]]
    }

    // spec: C-117 C-118
    #[test]
    fn every_size_comes_back_and_simd_agrees() {
        let mut rng = Rng::new(3);
        for plane in hostile(&mut rng) {
            for (w, h) in [(64, 64), (1, 1), (1, 64), (64, 1), (2, 3), (63, 33), (17, 5), (16, 64), (3, 2)] {
                let (mut fast, mut slow) = (plane, plane);
                forward(&mut fast, w, h);
                forward_scalar(&mut slow, w, h);
                assert!(fast == slow, "forward {w}x{h}");
                inverse(&mut fast, w, h);
                assert!(fast == plane, "there and back {w}x{h}");
                let (mut fast, mut slow) = (plane, plane);
                inverse(&mut fast, w, h);
                inverse_scalar(&mut slow, w, h);
                assert!(fast == slow, "inverse {w}x{h}");
            }
        }
    }

    // spec: C-118
    #[test]
    fn a_row_of_five_is_as_the_specification_says() {
        let mut plane = [0; SIDE * SIDE];
        plane[..5].copy_from_slice(&[10, 20, 40, 0, -8]);
        let mut out = [0; 5];
        forward_row(&plane[..5], &mut out);
        // High: 20 - (10+40)/2, 0 - (40-8)/2; low: 10 + (-5-5+2)/4, 40 + (-5-16+2)/4, -8 + (-16-16+2)/4.
        assert_eq!(out, [8, 35, -16, -5, -16]);
    }

    // spec: C-116
    #[test]
    fn colours_come_back_and_simd_agrees() {
        let mut rng = Rng::new(5);
        for len in [1, 7, 16, 63, 64] {
            let mut row = vec![0u8; len * 4];
            row.iter_mut().enumerate().filter(|(i, _)| i % 4 < 3).for_each(|(_, v)| *v = rng.next_u64() as u8);
            let mut planes = [[0i16; 64], [0; 64], [0; 64]];
            let mut slow = planes;
            let [y, co, cg] = &mut planes;
            split(&row, y, co, cg);
            let [a, b, c] = &mut slow;
            split_scalar(&row, a, b, c);
            assert_eq!(planes, slow);
            let mut back = vec![1u8; len * 4];
            let [y, co, cg] = &planes;
            join(y, co, cg, &mut back);
            assert_eq!(back, row);
        }
        for v in [i16::MIN, -1, 0, 300, i16::MAX] {
            let (y, co, cg) = ([v; 33], [i16::MAX; 33], [i16::MIN; 33]);
            let (mut fast, mut slow) = ([9u8; 132], [9u8; 132]);
            join(&y, &co, &cg, &mut fast);
            join_scalar(&y, &co, &cg, &mut slow);
            assert_eq!(fast, slow);
        }
    }
}
