//! A plane's coefficients, band by band and row by row: contexts, differences to what is shown, and back.
//!
//! The same walk serves coder and decoder ([`Rows`]). What a row's contexts depend on is known before the row: the two
//! rows above it, the band one level coarser, and what the framebuffer shows. So contexts are made in SIMD, and the
//! entropy coder never waits for the value to the left.

use super::wavelet::{LEVELS, Plane, SIDE, sides};

/// The shift of a band that a layer leaves out.
pub const ABSENT: u8 = 15;

/// How coarsely a layer keeps the bands of one plane: shifts for the lowest band, and for each level, coarsest first, the two
/// bands that are high in one direction and the one that is high in both.
// spec: C-120
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shifts {
    /// The lowest band.
    pub low: u8,
    /// High in one direction, and in both, by level, coarsest first.
    pub high: [[u8; 2]; LEVELS],
}

/// Codes or decodes a row of values.
pub trait Rows {
    /// Whether the values are given (true) or wanted.
    const CODES: bool;
    /// A row with its contexts.
    fn row(&mut self, contexts: &[u8], values: &mut [i16]);
}

/// Walks one plane of a cell of `w` by `h`. A coder finds the coefficients in `plane`; both leave there what the layer `to`
/// makes of them. `shown` is the same plane of the framebuffer, transformed, which was left by the layer `from`.
// spec: C-119 C-121 C-122
pub fn walk<R: Rows>(
    rows: &mut R,
    plane: &mut Plane,
    shown: Option<(&Plane, &Shifts)>,
    to: &Shifts,
    (w, h): (usize, usize),
    start: i16,
) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function requires.
        return unsafe { walk_avx2(rows, plane, shown, to, (w, h), start) };
    }
    walk_scalar(rows, plane, shown, to, (w, h), start);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn walk_avx2<R: Rows>(
    rows: &mut R,
    plane: &mut Plane,
    shown: Option<(&Plane, &Shifts)>,
    to: &Shifts,
    size: (usize, usize),
    start: i16,
) {
    walk_scalar(rows, plane, shown, to, size, start);
}

/// Where a band lies in its plane.
#[derive(Clone, Copy)]
struct Band {
    x: usize,
    y: usize,
    w: usize,
    h: usize,
}

#[inline(always)]
fn walk_scalar<R: Rows>(
    rows: &mut R,
    plane: &mut Plane,
    shown: Option<(&Plane, &Shifts)>,
    to: &Shifts,
    (w, h): (usize, usize),
    start: i16,
) {
    let (ws, hs) = (sides(w.min(SIDE)), sides(h.min(SIDE)));
    let mut last = true;
    let low = Band { x: 0, y: 0, w: ws[LEVELS], h: hs[LEVELS] };
    match shown {
        Some((fb, from)) => band(rows, plane, None, low, Some((fb, from.low)), to.low, true, start == 0, &mut last),
        None => lowest(rows, plane, low, to.low, start),
    }
    for level in (0..LEVELS).rev() {
        let at = |level: usize, orient: usize| {
            let (lw, lh) = (ws[level + 1], hs[level + 1]);
            let (right, below) = (orient != 1, orient != 0);
            let (x, w) = if right { (lw, ws[level] - lw) } else { (0, lw) };
            let (y, h) = if below { (lh, hs[level] - lh) } else { (0, lh) };
            Band { x, y, w, h }
        };
        for orient in 0..3 {
            let index = (LEVELS - 1 - level, orient / 2);
            let parent = (level + 1 < LEVELS).then(|| at(level + 1, orient)).filter(|b| b.w > 0 && b.h > 0);
            let fb = shown.map(|(fb, from)| (fb, from.high[index.0][index.1]));
            let to = to.high[index.0][index.1];
            band(rows, plane, parent, at(level, orient), fb, to, level + 1 == LEVELS, start == 0, &mut last);
        }
    }
}

/// The lowest band when nothing of it is shown: each value is predicted from those left and above.
// spec: C-121
#[inline(always)]
fn lowest<R: Rows>(rows: &mut R, plane: &mut Plane, band: Band, shift: u8, start: i16) {
    let mut above = [0i16; SIDE];
    for y in 0..band.h {
        let row = &mut plane[y * SIDE..][..band.w];
        let mut values = [0i16; SIDE];
        let mut left = 0i16;
        let guess = |x: usize, left: i16, above: i16| match (x, y) {
            (0, 0) => start >> shift,
            (0, _) => above,
            (_, 0) => left,
            _ => left.wrapping_add(above) >> 1,
        };
        if R::CODES {
            for (x, ((value, c), above)) in values.iter_mut().zip(row.iter()).zip(above).enumerate() {
                let index = index(*c, shift);
                *value = index.wrapping_sub(guess(x, left, above));
                left = index;
            }
        }
        let context = LOWEST + 2 * u8::from(start == 0) + u8::from(y > 0);
        rows.row(&[context; SIDE][..band.w], &mut values[..band.w]);
        for (x, ((value, c), above)) in values.iter().zip(row).zip(&mut above).enumerate() {
            left = value.wrapping_add(guess(x, left, *above));
            (*above, *c) = (left, restored(left, shift));
        }
    }
}

/// One band. `plain` says that it has no coarser one, though bands like it have.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn band<R: Rows>(
    rows: &mut R,
    plane: &mut Plane,
    parent: Option<Band>,
    band: Band,
    shown: Option<(&Plane, u8)>,
    shift: u8,
    plain: bool,
    chroma: bool,
    last: &mut bool,
) {
    if band.w == 0 || band.h == 0 {
        return;
    }
    if shift >= ABSENT {
        for y in 0..band.h {
            plane[(band.y + y) * SIDE + band.x..][..band.w].fill(0);
        }
        return;
    }
    // Magnitudes of the two rows above, with a zero at either side; of the band above, twice as wide.
    let (mut above, mut second) = ([0i16; SIDE + 2], [0i16; SIDE + 2]);
    let mut coarse = [0i16; SIDE + 2];
    let mut contexts = [0u8; SIDE];
    let mut values = [0i16; SIDE];
    let steps = shown.map_or(15, |(_, from)| from.saturating_sub(shift).max(1));
    let mut y = 0;
    while y < band.h {
        if band.w >= WIDE && y % STRIPE == 0 {
            let rows_left = STRIPE.min(band.h - y);
            let stripe = Band { y: band.y + y, h: rows_left, ..band };
            *last = any(rows, plane, stripe, shown, shift, 2 * u8::from(chroma) + u8::from(*last));
            if !*last {
                for y in stripe.y..stripe.y + stripe.h {
                    let at = y * SIDE + band.x;
                    let row = &mut plane[at..][..band.w];
                    match shown {
                        None => row.fill(0),
                        Some((fb, _)) => {
                            row.iter_mut().zip(&fb[at..]).for_each(|(c, f)| *c = restored(index(*f, shift), shift));
                        }
                    }
                }
                (above, second) = ([0; SIDE + 2], [0; SIDE + 2]);
                y += rows_left;
                continue;
            }
        }
        if let (true, Some(p)) = (y % 2 == 0, parent) {
            let from = &plane[(p.y + (y / 2).min(p.h - 1)) * SIDE + p.x..][..p.w];
            for (two, v) in coarse.as_chunks_mut::<2>().0.iter_mut().zip(from) {
                *two = [(v.unsigned_abs() >> shift).min(1023) as i16; 2];
            }
            if band.w > 2 * p.w {
                coarse[2 * p.w] = coarse[2 * p.w - 1];
            }
        }
        let w = band.w;
        let mut near = [0i16; SIDE];
        if y == 0 {
            near[..w].iter_mut().zip(&coarse).for_each(|(n, c)| *n = c.wrapping_shl(1));
        } else {
            let around = above[..w].iter().zip(&above[1..=w]).zip(&above[2..w + 2]).zip(&second[1..=w]);
            for (n, (((a, b), c), d)) in near[..w].iter_mut().zip(around) {
                *n = a.wrapping_add(b.wrapping_shl(1)).wrapping_add(*c).wrapping_add(*d);
            }
        }
        let at = (band.y + y) * SIDE + band.x;
        let row = &mut plane[at..][..w];
        if steps > FINEST {
            fresh(&near[..w], &coarse[..w], plain, &mut contexts[..w]);
        }
        if let Some((fb, from)) = shown {
            refining(&near[..w], &coarse[..w], &fb[at..][..w], from, steps, &mut contexts[..w]);
        }
        let fb = shown.map(|(fb, _)| &fb[at..][..w]);
        if R::CODES {
            for (value, c) in values.iter_mut().zip(row.iter()) {
                *value = index(*c, shift);
            }
            for (value, f) in values.iter_mut().zip(fb.unwrap_or_default()) {
                let d = value.wrapping_sub(index(*f, shift));
                *value = if *f < 0 { d.wrapping_neg() } else { d };
            }
        }
        rows.row(&contexts[..w], &mut values[..w]);
        second = above;
        for (a, value) in above[1..=w].iter_mut().zip(&values) {
            *a = value.unsigned_abs().min(255) as i16;
        }
        match fb {
            None => row.iter_mut().zip(&values).for_each(|(c, v)| *c = restored(*v, shift)),
            Some(fb) => {
                for ((c, v), f) in row.iter_mut().zip(&values).zip(fb) {
                    let v = if *f < 0 { v.wrapping_neg() } else { *v };
                    *c = restored(index(*f, shift).wrapping_add(v), shift);
                }
            }
        }
        y += 1;
    }
}

/// Whether a stripe has values that are not 0, which is coded before them: the finest bands of smooth pictures have few,
/// and are most of the work.
// spec: C-129
#[inline(always)]
fn any<R: Rows>(rows: &mut R, plane: &Plane, band: Band, shown: Option<(&Plane, u8)>, shift: u8, context: u8) -> bool {
    let mut any = [0i16];
    if R::CODES {
        let mut all = [0i16; SIDE];
        for y in 0..band.h {
            let at = (band.y + y) * SIDE + band.x;
            let row = &plane[at..][..band.w];
            match shown {
                None => all.iter_mut().zip(row).for_each(|(all, c)| *all |= index(*c, shift)),
                Some((fb, _)) => {
                    for ((all, c), f) in all.iter_mut().zip(row).zip(&fb[at..]) {
                        *all |= index(*c, shift) ^ index(*f, shift);
                    }
                }
            }
        }
        any = [i16::from(all.iter().any(|a| *a != 0))];
    }
    rows.row(&[ANY + context], &mut any);
    any != [0]
}

/// Contexts where nothing is shown yet: by what is near and by the coarser band.
// spec: C-122
#[inline(always)]
fn fresh(near: &[i16], coarse: &[i16], plain: bool, contexts: &mut [u8]) {
    // In two passes: lanes of one width each.
    let mut wide = [0i16; SIDE];
    for ((context, near), coarse) in wide.iter_mut().zip(near).zip(coarse) {
        let parent = if plain { PLAIN } else { passed(*coarse, &COARSE) };
        *context = parent.wrapping_mul(CLASSES).wrapping_add(class(*near));
    }
    contexts.iter_mut().zip(&wide).for_each(|(to, from)| *to = *from as u8);
}

/// Contexts where a coarser layer is shown: by how much finer this one is, whether the value was nothing, and what is near.
/// Past [`FINEST`] what was nothing keeps the context that it has.
// spec: C-122
#[inline(always)]
fn refining(near: &[i16], coarse: &[i16], fb: &[i16], from: u8, steps: u8, contexts: &mut [u8]) {
    let zero = i16::from(NOTHING + (steps.min(FINEST) - 1) * CLASSES as u8);
    let other = i16::from(SOMETHING + (steps.min(STEPS) - 1) * 2);
    let mut wide = [0i16; SIDE];
    wide.iter_mut().zip(contexts.iter()).for_each(|(to, from)| *to = i16::from(*from));
    for (((context, near), coarse), f) in wide.iter_mut().zip(near).zip(coarse).zip(fb) {
        let class = class(near.wrapping_add(coarse >> 2));
        let nothing = if steps > FINEST { *context } else { zero.wrapping_add(class) };
        let was = f.unsigned_abs() >> (from & 15) == 0;
        *context = if was { nothing } else { other.wrapping_add(i16::from(class >= 4)) };
    }
    contexts.iter_mut().zip(&wide).for_each(|(to, from)| *to = *from as u8);
}

/// How busy a place is, from 0 to 11.
#[inline(always)]
fn class(near: i16) -> i16 {
    passed(near, &NEAR)
}

/// How many of these it has reached. Sums wrap, that the compiler may make SIMD of them with its checks on, too.
#[inline(always)]
fn passed<const N: usize>(value: i16, steps: &[i16; N]) -> i16 {
    steps.iter().fold(0, |n, step| n.wrapping_add(i16::from(value >= *step)))
}

/// A coefficient's index: its magnitude without the lowest bits, its sign.
// spec: C-119
#[inline(always)]
pub fn index(c: i16, shift: u8) -> i16 {
    let size = (c.unsigned_abs() >> (shift & 15)) as i16;
    if c < 0 { size.wrapping_neg() } else { size }
}

/// What an index stands for: a little below the middle of its coefficients.
// spec: C-119
#[inline(always)]
pub fn restored(index: i16, shift: u8) -> i16 {
    let shift = u32::from(shift & 15);
    let size = (index.unsigned_abs() << shift).wrapping_add((3u16 << shift) >> 3) as i16;
    match index {
        0 => 0,
        1.. => size,
        _ => size.wrapping_neg(),
    }
}

/// Where what is near changes class.
const NEAR: [i16; 11] = [1, 2, 3, 5, 7, 10, 15, 22, 32, 48, 72];
/// Where the coarser band's value changes class.
const COARSE: [i16; 3] = [1, 3, 8];
/// The class of bands that have no coarser one.
const PLAIN: i16 = 4;
/// Classes of what is near.
const CLASSES: i16 = 12;
/// From more steps than these a value that was nothing is as good as fresh, and the others are alike.
const FINEST: u8 = 4;
const STEPS: u8 = 6;
/// Bands of this width say of so many rows at a time whether they have any values.
const WIDE: usize = 16;
const STRIPE: usize = 8;
/// Contexts of the lowest band, of values that were nothing, of the others, and of whether a stripe has any.
const LOWEST: u8 = 60;
const NOTHING: u8 = 64;
const SOMETHING: u8 = 112;
const ANY: u8 = 124;

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    /// Keeps what it was given, or gives it back.
    struct Tape<const CODES: bool>(Vec<(Vec<u8>, Vec<i16>)>);

    impl<const CODES: bool> Rows for Tape<CODES> {
        const CODES: bool = CODES;

        fn row(&mut self, contexts: &[u8], values: &mut [i16]) {
            if CODES {
                self.0.push((contexts.to_vec(), values.to_vec()));
            } else {
                let (wrote, was) = self.0.remove(0);
                assert_eq!(wrote, contexts);
                values.copy_from_slice(&was);
            }
        }
    }

    const TO: Shifts = Shifts { low: 1, high: [[2, 2], [3, 3], [4, 4], [ABSENT, 5]] };
    const FROM: Shifts = Shifts { low: 2, high: [[4, 4], [7, 7], [9, 10], [ABSENT, ABSENT]] };

    // spec: C-119 C-122 C-129
    #[test]
    fn the_decoder_walks_as_the_coder_did_in_simd_and_without() {
        let mut rng = Rng::new(9);
        for (w, h) in [(64, 64), (1, 1), (5, 64), (33, 2), (64, 3), (17, 40)] {
            for kind in 0..4 {
                let mut noise = || -> Plane {
                    std::array::from_fn(|i| match kind {
                        0 => rng.next_u64() as i16,
                        1 => [i16::MIN, i16::MAX][i % 2],
                        2 => (rng.next_u64() as i16) >> 8,
                        _ => (rng.next_u64() as i16) * i16::from(rng.below(400) == 0),
                    })
                };
                let (true_one, fb) = (noise(), noise());
                for shown in [None, Some((&fb, &FROM))] {
                    let (mut plane, mut slow, mut back) = (true_one, true_one, [7; SIDE * SIDE]);
                    let (mut tape, mut other) = (Tape::<true>(vec![]), Tape::<true>(vec![]));
                    walk(&mut tape, &mut plane, shown, &TO, (w, h), 128);
                    walk_scalar(&mut other, &mut slow, shown, &TO, (w, h), 128);
                    assert!(tape.0 == other.0 && plane == slow);
                    assert!(tape.0.iter().all(|(c, _)| c.iter().all(|c| *c < 128)));
                    let stripes = |any: i16| tape.0.iter().any(|(c, v)| c[0] >= ANY && v[..] == [any]);
                    assert!(kind < 3 || (w, h) != (64, 64) || (stripes(0) && stripes(1)));
                    let mut tape = Tape::<false>(tape.0);
                    walk(&mut tape, &mut back, shown, &TO, (w, h), 128);
                    assert!(tape.0.is_empty());
                    for y in 0..h {
                        assert_eq!(plane[y * SIDE..][..w], back[y * SIDE..][..w]);
                    }
                }
            }
        }
    }

    // spec: C-119
    #[test]
    fn an_index_restores_to_itself() {
        for shift in 0..10 {
            for c in -3000..3000 {
                let i = index(c, shift);
                assert_eq!(index(restored(i, shift), shift), i);
                assert!((restored(i, shift) - c).abs() < 1 << shift);
            }
        }
        assert_eq!(index(-1234, 0), -1234);
    }
}
