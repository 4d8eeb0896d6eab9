//! A plane's coefficients, band by band and row by row: contexts, differences to what is shown, and back.
//!
//! The same walk serves coder and decoder ([`Rows`]). What a row's contexts depend on is known before the row: the two
//! rows above it, the band one level coarser, the other bands of its level, the plane before, and what the framebuffer
//! shows. So contexts are made in SIMD, and the entropy coder never waits for the value to the left.

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

/// Which plane is walked, and the coefficients of one that was walked before.
#[derive(Clone, Copy)]
pub enum Kind<'a> {
    /// Luma.
    Luma,
    /// Orange, and luma if the op brings it.
    Orange(Option<&'a Plane>),
    /// Green, and orange if the op brings it.
    Green(Option<&'a Plane>),
}

impl<'a> Kind<'a> {
    const fn is_chroma(self) -> bool {
        !matches!(self, Self::Luma)
    }

    /// The other plane, and of how many parts it has one. Luma says less of colour than one colour of the other.
    const fn other(self) -> Option<(&'a Plane, u32)> {
        match self {
            Self::Orange(Some(luma)) => Some((luma, 3)),
            Self::Green(Some(orange)) => Some((orange, 2)),
            _ => None,
        }
    }
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
    kind: Kind<'_>,
) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function requires.
        return unsafe { walk_avx2(rows, plane, shown, to, (w, h), kind) };
    }
    walk_scalar(rows, plane, shown, to, (w, h), kind);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn walk_avx2<R: Rows>(
    rows: &mut R,
    plane: &mut Plane,
    shown: Option<(&Plane, &Shifts)>,
    to: &Shifts,
    size: (usize, usize),
    kind: Kind<'_>,
) {
    walk_scalar(rows, plane, shown, to, size, kind);
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
    kind: Kind<'_>,
) {
    let (ws, hs) = (sides(w.min(SIDE)), sides(h.min(SIDE)));
    let mut last = true;
    let low = Band { x: 0, y: 0, w: ws[LEVELS], h: hs[LEVELS] };
    match shown {
        Some((fb, from)) => band_of(rows, plane, Around::default(), low, Some((fb, from.low)), to.low, kind, &mut last),
        None => lowest(rows, plane, low, to.low, kind.is_chroma()),
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
            let some = |b: Band| (b.w > 0 && b.h > 0).then_some(b);
            let around = Around {
                parent: (level + 1 < LEVELS).then(|| at(level + 1, orient)).and_then(some),
                beside: [0, 1].map(|other| (other < orient).then(|| at(level, other)).and_then(some)),
            };
            let fb = shown.map(|(fb, from)| (fb, from.high[index.0][index.1]));
            let to = to.high[index.0][index.1];
            band(rows, plane, around, at(level, orient), fb, to, kind, &mut last);
        }
    }
}

/// The bands that are walked before a band and say something of it.
#[derive(Clone, Copy, Default)]
struct Around {
    /// The band of the same direction one level coarser.
    parent: Option<Band>,
    /// Those of the same level.
    beside: [Option<Band>; 2],
}

impl Around {
    /// Whether it has the widths that it has around a band of this one, in a whole cell.
    fn is_as_wide(&self, w: usize) -> bool {
        self.parent.is_none_or(|p| p.w == w / 2) && self.beside.iter().flatten().all(|b| b.w == w)
    }

    /// The same with these widths, which it has already, as numbers that the compiler sees.
    #[inline(always)]
    fn of(self, w: usize) -> Self {
        let wide = |w| move |b| Band { w, ..b };
        Self { parent: self.parent.map(wide(w / 2)), beside: self.beside.map(|b| b.map(wide(w))) }
    }
}

/// The lowest band when nothing of it is shown: each value is predicted from those left and above.
// spec: C-121
#[inline(always)]
fn lowest<R: Rows>(rows: &mut R, plane: &mut Plane, band: Band, shift: u8, chroma: bool) {
    let start = if chroma { 0 } else { 128i16 };
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
        let context = LOWEST + 2 * u8::from(chroma) + u8::from(y > 0);
        rows.row(&[context; SIDE][..band.w], &mut values[..band.w]);
        for (x, ((value, c), above)) in values.iter().zip(row).zip(&mut above).enumerate() {
            left = value.wrapping_add(guess(x, left, *above));
            (*above, *c) = (left, restored(left, shift));
        }
    }
}

/// One band. The widths of whole cells are made each for itself: loops of known length are SIMD without a rest.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn band<R: Rows>(
    rows: &mut R,
    plane: &mut Plane,
    around: Around,
    band: Band,
    shown: Option<(&Plane, u8)>,
    shift: u8,
    kind: Kind<'_>,
    last: &mut bool,
) {
    let whole = |w| band.w == w && around.is_as_wide(w);
    if whole(32) {
        band_of(rows, plane, around.of(32), Band { w: 32, ..band }, shown, shift, kind, last);
    } else if whole(16) {
        band_of(rows, plane, around.of(16), Band { w: 16, ..band }, shown, shift, kind, last);
    } else if whole(8) {
        band_of(rows, plane, around.of(8), Band { w: 8, ..band }, shown, shift, kind, last);
    } else if band.w > 0 {
        band_of(rows, plane, around, band, shown, shift, kind, last);
    }
}

#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn band_of<R: Rows>(
    rows: &mut R,
    plane: &mut Plane,
    around: Around,
    band: Band,
    shown: Option<(&Plane, u8)>,
    shift: u8,
    kind: Kind<'_>,
    last: &mut bool,
) {
    if band.h == 0 {
        return;
    }
    if shift >= ABSENT {
        for y in 0..band.h {
            plane[(band.y + y) * SIDE + band.x..][..band.w].fill(0);
        }
        return;
    }
    // Sizes of the row above, and what the coarser band says.
    let mut above = [0i16; SIZES];
    let mut coarse = [0i16; SIDE + 2];
    let mut contexts = [0u8; SIDE];
    let mut values = [0i16; SIDE];
    let mut expected = [0i16; SIDE];
    let steps = shown.map_or(ABSENT, |(_, from)| from.saturating_sub(shift).max(1));
    let w = band.w;
    let mut y = 0;
    while y < band.h {
        if band.w >= WIDE && y % STRIPE == 0 {
            let rows_left = STRIPE.min(band.h - y);
            let stripe = Band { y: band.y + y, h: rows_left, ..band };
            *last = any(rows, plane, stripe, shown, shift, 2 * u8::from(kind.is_chroma()) + u8::from(*last));
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
                y += rows_left;
                sizes(plane, band, y.saturating_sub(2), shift, &mut above);
                continue;
            }
        }
        if let (true, Some(p)) = (y % 2 == 0, around.parent) {
            let from = &plane[(p.y + (y / 2).min(p.h - 1)) * SIDE + p.x..][..p.w];
            for (two, v) in coarse.as_chunks_mut::<2>().0.iter_mut().zip(from) {
                *two = [((v.unsigned_abs() >> (shift & 15)).min(510) as i16) << 3; 2];
            }
            if w > 2 * p.w {
                coarse[2 * p.w] = coarse[2 * p.w - 1];
            }
        }
        if y == 0 {
            expected[..w].copy_from_slice(&coarse[..w]);
        } else {
            let mut second = above;
            sizes(plane, band, y - 1, shift, &mut above);
            if y == 1 {
                second = above;
            }
            let near = above[..w].iter().zip(&above[1..=w]).zip(&above[2..w + 2]).zip(&second[1..=w]);
            for (e, (((a, b), c), d)) in expected[..w].iter_mut().zip(near) {
                let beside = a.wrapping_add(*c).wrapping_mul(4);
                *e = b.wrapping_mul(6).wrapping_add(beside).wrapping_add(d.wrapping_mul(2));
            }
        }
        if around.parent.is_some() {
            mix::<2>(&mut expected[..w], &coarse[..w]);
        }
        for beside in around.beside.into_iter().flatten() {
            let said = said(plane, beside, y, shift, w);
            mix::<2>(&mut expected[..w], &said[..w]);
        }
        if let Some((other, parts)) = kind.other() {
            let said = said(other, band, y, shift, w);
            if parts == 2 {
                mix::<2>(&mut expected[..w], &said[..w]);
            } else {
                mix::<3>(&mut expected[..w], &said[..w]);
            }
        }
        let at = (band.y + y) * SIDE + band.x;
        let row = &mut plane[at..][..w];
        choose(&expected[..w], shown.map(|(fb, from)| (&fb[at..][..w], from)), steps, &mut contexts[..w]);
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

/// Sizes of a row of a band: magnitudes in this shift, limited; the first and the last are repeated outside, on the right
/// twice, for a band that is one wider.
// spec: C-122
#[inline(always)]
fn sizes(plane: &Plane, band: Band, y: usize, shift: u8, to: &mut [i16; SIZES]) {
    let w = band.w.min(SIDE);
    let from = &plane[(band.y + y.min(band.h - 1)) * SIDE + band.x..][..w];
    for (to, v) in to[1..=w].iter_mut().zip(from) {
        *to = (v.unsigned_abs() >> (shift & 15)).min(255) as i16;
    }
    to[0] = to[1];
    to[w + 1] = to[w];
    to[w + 2] = to[w];
}

/// What row `y` of another band says of `w` values: sixteen times the mean size around each place.
// spec: C-122
#[inline(always)]
fn said(plane: &Plane, band: Band, y: usize, shift: u8, w: usize) -> [i16; SIDE] {
    let (mut here, mut below) = ([0i16; SIZES], [0i16; SIZES]);
    sizes(plane, band, y, shift, &mut here);
    sizes(plane, band, y + 1, shift, &mut below);
    let mut said = [0i16; SIDE];
    let around = here[..w].iter().zip(&here[1..=w]).zip(&here[2..w + 2]).zip(&below[1..=w]);
    for (to, (((left, at), right), below)) in said.iter_mut().zip(around) {
        let beside = left.wrapping_add(*right).wrapping_mul(2);
        *to = at.wrapping_mul(8).wrapping_add(beside).wrapping_add(below.wrapping_mul(4));
    }
    said
}

/// Gives `said` one part of 2^`PARTS` in what is expected.
#[inline(always)]
fn mix<const PARTS: u32>(expected: &mut [i16], said: &[i16]) {
    for (e, s) in expected.iter_mut().zip(said) {
        *e = e.wrapping_mul((1 << PARTS) - 1).wrapping_add(*s) >> PARTS;
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

/// Contexts, by the size that is expected; where a coarser layer is shown, also by how much finer this one is and whether
/// the value was nothing.
// spec: C-122
#[inline(always)]
fn choose(expected: &[i16], shown: Option<(&[i16], u8)>, steps: u8, contexts: &mut [u8]) {
    // In two passes: lanes of one width each.
    let mut wide = [0i16; SIDE];
    match shown {
        None => wide.iter_mut().zip(expected).for_each(|(to, e)| *to = passed(*e, &EXPECTED)),
        Some((fb, from)) => {
            let zero = if steps > STEPS { 0 } else { CLASSES * i16::from(steps.min(FINEST)) };
            let k = steps.min(STEPS);
            let other = i16::from(SOMETHING) + 3 * i16::from(k - 1);
            let (middle, high) = (4i16 << k, 10i16 << k);
            for ((to, e), f) in wide.iter_mut().zip(expected).zip(fb) {
                let nothing = passed(*e, &EXPECTED).wrapping_add(zero);
                let something = i16::from(*e >= middle).wrapping_add(i16::from(*e >= high)).wrapping_add(other);
                *to = if f.unsigned_abs() >> (from & 15) == 0 { nothing } else { something };
            }
        }
    }
    contexts.iter_mut().zip(&wide).for_each(|(to, from)| *to = *from as u8);
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

/// Where sixteen times the expected size changes class.
const EXPECTED: [i16; 15] = [1, 2, 4, 6, 9, 13, 18, 25, 35, 48, 66, 90, 125, 190, 330];
/// Classes of it.
const CLASSES: i16 = 16;
/// From more steps than these on what was nothing is alike, and from more than [`STEPS`] as good as fresh.
const FINEST: u8 = 5;
const STEPS: u8 = 6;
/// A row of sizes, with one repeated on the left and two on the right.
const SIZES: usize = SIDE + 3;
/// Bands of this width say of so many rows at a time whether they have any values.
const WIDE: usize = 16;
const STRIPE: usize = 8;
/// Contexts of values that were something, of the lowest band, and of whether a stripe has any.
const SOMETHING: u8 = 96;
const LOWEST: u8 = 114;
const ANY: u8 = 118;

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
        let (mut rng, mut apart) = (Rng::new(9), Rng::new(10));
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
                let other: Plane = std::array::from_fn(|_| apart.next_u64() as i16 >> 6);
                let kinds = [Kind::Luma, Kind::Orange(Some(&other)), Kind::Green(Some(&other)), Kind::Green(None)];
                for (shown, of) in [None, Some((&fb, &FROM))].into_iter().flat_map(|s| kinds.map(|of| (s, of))) {
                    let (mut plane, mut slow, mut back) = (true_one, true_one, [7; SIDE * SIDE]);
                    let (mut tape, mut other) = (Tape::<true>(vec![]), Tape::<true>(vec![]));
                    walk(&mut tape, &mut plane, shown, &TO, (w, h), of);
                    walk_scalar(&mut other, &mut slow, shown, &TO, (w, h), of);
                    assert!(tape.0 == other.0 && plane == slow);
                    assert!(tape.0.iter().all(|(c, _)| c.iter().all(|c| *c < 128)));
                    let stripes = |any: i16| tape.0.iter().any(|(c, v)| c[0] >= ANY && v[..] == [any]);
                    assert!(kind < 3 || (w, h) != (64, 64) || (stripes(0) && stripes(1)));
                    let mut tape = Tape::<false>(tape.0);
                    walk(&mut tape, &mut back, shown, &TO, (w, h), of);
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
