//! What the TEXT coder has learnt: probabilities, colours seen in contexts, and colours seen at all.
//!
//! A model begins in the trained state (`protocol-spec/vectors/codec-text-start.bin`), runs on from op to op, and is
//! about 60 KiB, so that it stays in the second-level cache. Colours are 24 bits: blue lowest, red highest.

use super::range::{BINS, Bin, Bins, Coder};

/// How many colours each table of contexts keeps: of ten neighbours, of six, of two.
// spec: C-96
pub const TABLES: [usize; 3] = [4096, 4096, 2048];
/// How many colours are kept by themselves.
// spec: C-98
pub const COLOURS: usize = 256;
/// The highest trust that a table's entry earns.
const TRUST: u32 = 7;

/// The first bin of each group.
// spec: C-93
pub mod group {
    /// Whether a run goes all the way: kind, logarithm of its length, whether the last one of this kind did not.
    pub const WHOLE: usize = 0;
    /// The logarithm of where a run ends: kind, logarithm of its length, step.
    pub const END: usize = 64;
    /// The bits of where a run ends: their number, those before.
    pub const END_BITS: usize = 576;
    /// Whether it is the old colour: which neighbours kept theirs, what the first table says.
    pub const OLD: usize = 832;
    /// Whether it is the left colour: whether a table knew something, pattern.
    pub const LEFT: usize = 896;
    /// Whether it is the upper colour: whether a table knew something, pattern.
    pub const ABOVE: usize = 1024;
    /// Whether it is one of the kept colours.
    pub const KNOWN: usize = 1152;
    /// Whether a residual is 0: channel, size of the last ones.
    pub const ZERO: usize = 1168;
    /// A residual's sign: channel.
    pub const SIGN: usize = 1192;
    /// The logarithm of a residual: channel, size of the last ones, step.
    pub const SIZE: usize = 1200;
    /// The first two bits of a residual behind its highest: channel, logarithm, those before.
    pub const BITS: usize = 1392;
    /// Which of the kept colours: whether left and above agree, bits before.
    pub const WHICH: usize = 1536;
    /// Whether it is what the first, second and third table say: trust (the first: and agreement), pattern.
    pub const TABLE: [usize; 3] = [3072, 2560, 2048];
}

/// One lane's model.
#[derive(Clone, Copy)]
pub struct Model {
    /// The probabilities.
    pub bins: Bins,
    /// A colour in the low 24 bits, trust in the next 3 (0: empty), a check of the context in the highest 5.
    first: [u32; TABLES[0]],
    second: [u32; TABLES[1]],
    third: [u32; TABLES[2]],
    colours: [u32; COLOURS],
    /// The size of the last residuals: green, red, blue.
    sizes: [u8; 3],
    /// Whether the last run in one colour, and the last in step with what was, ended early.
    pub missed: [u8; 2],
}

/// Where a pixel's contexts stand in the tables, and their checks.
#[derive(Clone, Copy)]
pub struct Places {
    first: (usize, u32),
    second: (usize, u32),
    third: (usize, u32),
}

/// The colours around a pixel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Near {
    /// One, two and three to the left.
    pub w: [u32; 3],
    /// The row above, from two to the left to two to the right.
    pub n: [u32; 5],
    /// The row above that, straight above and one to the right.
    pub nn: [u32; 2],
}

impl Near {
    /// Which neighbours agree: six bits.
    // spec: C-95
    #[inline(always)]
    pub fn pattern(&self) -> usize {
        let [w, ww, _] = self.w;
        let [_, nw, n, ne, _] = self.n;
        usize::from(w == n)
            | usize::from(w == nw) << 1
            | usize::from(n == ne) << 2
            | usize::from(n == nw) << 3
            | usize::from(ww == w) << 4
            | usize::from(self.nn[0] == n) << 5
    }

    // spec: C-96
    #[inline(always)]
    fn places(&self) -> Places {
        let two = |a: u32, b: u32| u64::from(a) | u64::from(b) << 24;
        let [nww, nw, n, ne, nee] = self.n;
        let third = two(self.w[0], n).wrapping_mul(FACTORS[0]);
        let second = third
            .wrapping_add(two(nw, ne).wrapping_mul(FACTORS[1]))
            .wrapping_add(two(self.w[1], self.nn[0]).wrapping_mul(FACTORS[2]));
        let first = second
            .wrapping_add(two(nww, nee).wrapping_mul(FACTORS[3]))
            .wrapping_add(two(self.w[2], self.nn[1]).wrapping_mul(FACTORS[4]));
        let place = |hash: u64, bits: u32| ((hash >> (64 - bits)) as usize, (hash >> (59 - bits)) as u32 & 31);
        Places { first: place(first, 12), second: place(second, 12), third: place(third, 11) }
    }
}

/// What the hashes of contexts are multiplied by: odd numbers without pattern (the fractions of square roots).
// spec: C-96
const FACTORS: [u64; 5] =
    [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1, 0x510e_527f_ade6_82d1];

/// The colour and the trust of an entry, which is trusted not at all when it belongs to another context.
#[inline(always)]
fn look(entry: u32, check: u32) -> (u32, usize) {
    let trust = if entry >> 27 == check { (entry >> 24) & TRUST } else { 0 };
    (entry & 0x00ff_ffff, trust as usize)
}

// spec: C-97
#[inline(always)]
fn learn(entry: &mut u32, check: u32, colour: u32) {
    let (was, trust) = look(*entry, check);
    let same = trust > 0 && was == colour;
    let firm = trust >= 3;
    // Selections, not branches: what follows is as hard to foretell as the text itself.
    let grown = (trust as u32 + 1).min(TRUST);
    let fallen = if firm { trust as u32 / 2 } else { 1 };
    let trust = if same { grown } else { fallen };
    let colour = if firm { was } else { colour };
    *entry = colour | trust << 24 | check << 27;
}

/// The place of a colour among the kept ones.
// spec: C-98
#[inline(always)]
fn slot(colour: u32) -> usize {
    (colour.wrapping_mul(0x9e37_79b1) >> 24) as usize
}

/// The predictor of a channel from left, above and above left.
// spec: C-99
#[inline(always)]
fn median(w: i32, n: i32, nw: i32) -> i32 {
    (w + n - nw).clamp(w.min(n), w.max(n))
}

impl Model {
    /// In the trained state.
    // spec: C-93
    pub fn new() -> Box<Self> {
        let mut new = Box::new(Self {
            bins: [Bin::EVEN; BINS],
            first: [0; TABLES[0]],
            second: [0; TABLES[1]],
            third: [0; TABLES[2]],
            colours: [0; COLOURS],
            sizes: [0; 3],
            missed: [0; 2],
        });
        new.reset();
        new
    }

    /// Goes back to the trained state.
    // spec: C-93
    pub fn reset(&mut self) {
        self.bins = [Bin::EVEN; BINS];
        for (bin, start) in self.bins.iter_mut().zip(START.as_chunks::<2>().0) {
            let start = u16::from_le_bytes(*start);
            *bin = Bin { p: (start & 0xfff0) | 8, n: 2 * (start & 15) };
        }
        self.first.fill(0);
        self.second.fill(0);
        self.third.fill(0);
        self.colours.fill(0);
        for grey in 0..=255 {
            let colour = grey * 0x01_01_01;
            self.colours[slot(colour)] = colour;
        }
        (self.sizes, self.missed) = ([0; 3], [0; 2]);
    }

    /// Codes one pixel by candidates. `not` is a colour that it is known not to have; `old` the colour that was here and
    /// which neighbours kept theirs, if that is to be looked at.
    // spec: C-95 C-96 C-97 C-98 C-99
    #[inline]
    pub fn pixel<C: Coder>(
        &mut self,
        coder: &mut C,
        near: &Near,
        now: u32,
        not: Option<u32>,
        old: Option<(u32, usize)>,
    ) -> u32 {
        let places = near.places();
        let pattern = near.pattern();
        let (first, trust_1) = look(self.first[places.first.0 & (TABLES[0] - 1)], places.first.1);
        let (second, trust_2) = look(self.second[places.second.0 & (TABLES[1] - 1)], places.second.1);
        let (third, trust_3) = look(self.third[places.third.0 & (TABLES[2] - 1)], places.third.1);
        let got = 'found: {
            const NONE: u32 = u32::MAX;
            let mut seen = [NONE; 6];
            seen[0] = not.unwrap_or(NONE);
            macro_rules! is {
                ($colour:expr, $bin:expr, $place:literal) => {
                    if !seen.contains(&$colour) {
                        if coder.bit(&mut self.bins, $bin, u32::from(now != $colour)) == 0 {
                            break 'found $colour;
                        }
                        seen[$place] = $colour;
                    }
                };
            }
            if let Some((old, kept)) = old {
                let table = match trust_1 {
                    0 => 0,
                    _ if first != old => 1,
                    1..4 => 2,
                    _ => 3,
                };
                is!(old, group::OLD + kept * 4 + table, 1);
            }
            if trust_1 > 0 {
                let agree = usize::from(trust_2 > 0 && second == first);
                is!(first, group::TABLE[0] + agree * 512 + trust_1 * 64 + pattern, 2);
            }
            if trust_2 > 0 {
                is!(second, group::TABLE[1] + trust_2 * 64 + pattern, 3);
            }
            if trust_3 > 0 {
                is!(third, group::TABLE[2] + trust_3 * 64 + pattern, 4);
            }
            let known = usize::from(trust_3 > 0);
            is!(near.w[0], group::LEFT + known * 64 + pattern, 5);
            let above = near.n[2];
            if !seen.contains(&above)
                && coder.bit(&mut self.bins, group::ABOVE + known * 64 + pattern, u32::from(now != above)) == 0
            {
                break 'found above;
            }
            self.fresh(coder, near, now, known)
        };
        learn(&mut self.first[places.first.0 & (TABLES[0] - 1)], places.first.1, got);
        learn(&mut self.second[places.second.0 & (TABLES[1] - 1)], places.second.1, got);
        learn(&mut self.third[places.third.0 & (TABLES[2] - 1)], places.third.1, got);
        self.colours[slot(got)] = got;
        got
    }

    /// A colour that no neighbour foretold: one of the kept, or a new one.
    // spec: C-98 C-99
    fn fresh<C: Coder>(&mut self, coder: &mut C, near: &Near, now: u32, known: usize) -> u32 {
        let (w, n) = (near.w[0], near.n[2]);
        let even = usize::from(w == n);
        let miss = u32::from(self.colours[slot(now)] != now);
        if coder.bit(&mut self.bins, group::KNOWN + even * 2 + known, miss) == 0 {
            let which = slot(now);
            let mut node = 1;
            for shift in (0..8).rev() {
                let bit = (which >> shift) as u32 & 1;
                node = node << 1 | coder.bit(&mut self.bins, group::WHICH + even * 256 + node, bit) as usize;
            }
            return self.colours[node & (COLOURS - 1)];
        }
        let channel = |colour: u32, shift: u32| (colour >> shift) as i32 & 255;
        let nw = near.n[1];
        let left = |shift| channel(now, shift) - median(channel(w, shift), channel(n, shift), channel(nw, shift));
        let [g, r, b] = [left(8), left(16), left(0)];
        let green = self.residual(coder, 0, g as i8);
        let red = self.residual(coder, 1, (r - g) as i8);
        let blue = self.residual(coder, 2, (b - g) as i8);
        let whole = |shift, residual: i32| {
            let base = median(channel(w, shift), channel(n, shift), channel(nw, shift));
            ((base + residual) & 255) as u32
        };
        let (green, red, blue) = (i32::from(green), i32::from(red), i32::from(blue));
        whole(8, green) << 8 | whole(16, green + red) << 16 | whole(0, green + blue)
    }

    // spec: C-100
    fn residual<C: Coder>(&mut self, coder: &mut C, channel: usize, value: i8) -> i8 {
        let last = usize::from(self.sizes[channel] & 7);
        let mut got = 0i8;
        if coder.bit(&mut self.bins, group::ZERO + channel * 8 + last, u32::from(value != 0)) != 0 {
            let sign = coder.bit(&mut self.bins, group::SIGN + channel, u32::from(value < 0));
            let size = u32::from(value.unsigned_abs());
            let highest = size.max(1).ilog2();
            let mut bits = 0;
            while bits < 7
                && coder.bit(
                    &mut self.bins,
                    group::SIZE + (channel * 8 + last) * 8 + bits as usize,
                    u32::from(highest > bits),
                ) != 0
            {
                bits += 1;
            }
            let mut number = 1u32;
            for shift in (0..bits).rev() {
                let bit = (size >> shift) & 1;
                number = number << 1
                    | if number < 4 {
                        let at = group::BITS + (channel * 8 + bits as usize) * 4 + number as usize;
                        coder.bit(&mut self.bins, at, bit)
                    } else {
                        coder.even(bit)
                    };
            }
            got = number as u8 as i8;
            if sign != 0 {
                got = got.wrapping_neg();
            }
        }
        let size = 8 - got.unsigned_abs().leading_zeros() as u8;
        self.sizes[channel] = (self.sizes[channel] + size).div_ceil(2).min(7);
        got
    }
}

/// The trained state: for each bin two bytes, little endian: probability in the highest twelve bits, half the number of
/// uses in the lowest four. What is not there is even and new.
static START: &[u8] = include_bytes!("../../../../protocol-spec/vectors/codec-text-start.bin");

#[cfg(test)]
mod tests {
    use super::*;

    // spec: C-93
    #[test]
    fn a_reset_forgets_everything() {
        let fresh = Model::new();
        let mut used = Model::new();
        let mut coder = crate::text::range::RangeEncoder::default();
        for i in 0..5000u32 {
            let near = Near { w: [i % 7, i % 3, 1], n: [i % 5, 3, 4, 5, 6], nn: [i % 2, 9] };
            used.pixel(&mut coder, &near, i.wrapping_mul(77_777) & 0x00ff_ffff, None, None);
        }
        (used.missed, used.sizes) = ([1, 1], [7; 3]);
        assert!(used.bins != fresh.bins && used.first != fresh.first && used.colours != fresh.colours);
        used.reset();
        assert!(used.bins == fresh.bins && used.colours == fresh.colours);
        assert!(used.first == fresh.first && used.second == fresh.second && used.third == fresh.third);
        assert_eq!((used.missed, used.sizes), (fresh.missed, fresh.sizes));
        assert_eq!(START.len(), 2 * BINS);
        // Between the groups there are bins that nothing uses; all others must be able to decide both ways.
        assert!(fresh.bins.iter().all(|b| (48..=65_488).contains(&b.p)));
    }
}
