//! What the TEXT coder has learnt: probabilities, colours seen in contexts, and colours seen at all.
//!
//! A model begins in the trained state (`protocol-spec/vectors/codec-text-start.bin`) and runs on from op to op. A narrow one
//! is about 60 KiB, a wide one ten times that: it knows a page's letters again, where the narrow one knows a line's. Colours are
//! 24 bits: blue lowest, red highest.

use super::range::{BINS, Bin, Bins, Coder};

/// How many bits of a context's hash are its place in each table: of ten neighbours, of six, of two. A window of letters that
/// it has seen before takes a third fewer bytes with a wide model than with a narrow one; with two bits less, a quarter fewer.
// spec: C-96 C-157
const fn bits(wide: bool) -> [u32; 3] {
    if wide { [16, 16, 14] } else { [12, 12, 11] }
}

/// Where each table begins, and where the last one ends, in any model: what a narrow one never touches takes no memory.
const BEGIN: [usize; 3] = [0, 1 << bits(true)[0], (1 << bits(true)[0]) + (1 << bits(true)[1])];
const END: usize = BEGIN[2] + (1 << bits(true)[2]);
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
pub struct Model {
    /// The probabilities.
    pub bins: Bins,
    wide: bool,
    /// The three tables: a colour in the low 24 bits, trust in the next 3 (0: empty), a check of the context in the highest 5.
    tables: Box<[u32; END]>,
    colours: [u32; COLOURS],
    /// The size of the last residuals: green, red, blue.
    sizes: [u8; 3],
    /// Whether the last run in one colour, and the last in step with what was, ended early.
    pub missed: [u8; 2],
}

/// All of a model but its tables, to go back to.
#[derive(Clone)]
pub struct Kept {
    bins: Bins,
    colours: [u32; COLOURS],
    sizes: [u8; 3],
    missed: [u8; 2],
}

impl Default for Kept {
    fn default() -> Self {
        Self { bins: [Bin::EVEN; BINS], colours: [0; COLOURS], sizes: [0; 3], missed: [0; 2] }
    }
}

/// What the tables had at the places that a pixel overwrote.
#[derive(Clone, Copy, Debug)]
pub struct Overwritten {
    places: [u32; 3],
    entries: [u32; 3],
}

/// Where a pixel's contexts stand in each of the tables, and their checks.
type Places = [(usize, u32); 3];

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
    fn places<const WIDE: bool>(&self) -> Places {
        let two = |a: u32, b: u32| u64::from(a) | u64::from(b) << 24;
        let [nww, nw, n, ne, nee] = self.n;
        let third = two(self.w[0], n).wrapping_mul(FACTORS[0]);
        let second = third
            .wrapping_add(two(nw, ne).wrapping_mul(FACTORS[1]))
            .wrapping_add(two(self.w[1], self.nn[0]).wrapping_mul(FACTORS[2]));
        let first = second
            .wrapping_add(two(nww, nee).wrapping_mul(FACTORS[3]))
            .wrapping_add(two(self.w[2], self.nn[1]).wrapping_mul(FACTORS[4]));
        let bits = const { bits(WIDE) };
        let place = |table: usize, hash: u64| {
            (BEGIN[table] + (hash >> (64 - bits[table])) as usize, (hash >> (59 - bits[table])) as u32 & 31)
        };
        [place(0, first), place(1, second), place(2, third)]
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
    // spec: C-93 C-157
    pub fn new(wide: bool) -> Box<Self> {
        let mut new = Box::new(Self {
            bins: [Bin::EVEN; BINS],
            wide,
            // Never on the stack, and no memory before it is written to.
            tables: vec![0; END].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!()),
            colours: [0; COLOURS],
            sizes: [0; 3],
            missed: [0; 2],
        });
        new.begin();
        new
    }

    /// Goes back to the trained state.
    // spec: C-93
    pub fn reset(&mut self) {
        for (begin, bits) in BEGIN.into_iter().zip(bits(self.wide)) {
            self.tables[begin..begin + (1 << bits)].fill(0);
        }
        self.begin();
    }

    /// Whether it is a wide one.
    pub const fn is_wide(&self) -> bool {
        self.wide
    }

    /// Remembers what [`Model::go_back`] needs besides what is overwritten meanwhile.
    pub fn keep(&self, kept: &mut Kept) {
        (kept.bins, kept.colours) = (self.bins, self.colours);
        (kept.sizes, kept.missed) = (self.sizes, self.missed);
    }

    /// Goes back to what was kept; `overwritten` since then, the latest last.
    pub fn go_back(&mut self, kept: &Kept, overwritten: &[Overwritten]) {
        (self.bins, self.colours) = (kept.bins, kept.colours);
        (self.sizes, self.missed) = (kept.sizes, kept.missed);
        for Overwritten { places, entries } in overwritten.iter().rev() {
            for (place, entry) in places.iter().zip(entries) {
                self.tables[*place as usize] = *entry;
            }
        }
    }

    /// All but the tables in the trained state.
    fn begin(&mut self) {
        self.bins = [Bin::EVEN; BINS];
        for (bin, start) in self.bins.iter_mut().zip(START.as_chunks::<2>().0) {
            let start = u16::from_le_bytes(*start);
            *bin = Bin { p: (start & 0xfff0) | 8, n: 2 * (start & 15) };
        }
        self.colours.fill(0);
        for grey in 0..=255 {
            let colour = grey * 0x01_01_01;
            self.colours[slot(colour)] = colour;
        }
        (self.sizes, self.missed) = ([0; 3], [0; 2]);
    }

    /// Codes one pixel by candidates, with a model that is wide or not. `not` is a colour that it is known not to have; `old` the colour that was here and
    /// which neighbours kept theirs, if that is to be looked at.
    // spec: C-95 C-96 C-97 C-98 C-99
    #[inline]
    pub fn pixel<C: Coder, const WIDE: bool>(
        &mut self,
        coder: &mut C,
        near: &Near,
        now: u32,
        not: Option<u32>,
        old: Option<(u32, usize)>,
    ) -> u32 {
        let places = near.places::<WIDE>();
        let pattern = near.pattern();
        let entries = places.map(|(place, _)| self.tables[place]);
        let (first, trust_1) = look(entries[0], places[0].1);
        let (second, trust_2) = look(entries[1], places[1].1);
        let (third, trust_3) = look(entries[2], places[2].1);
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
        if C::ENCODES {
            coder.overwrites(Overwritten { places: places.map(|(place, _)| place as u32), entries });
        }
        places.into_iter().for_each(|(place, check)| learn(&mut self.tables[place], check, got));
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
        let fresh = Model::new(false);
        let mut used = Model::new(false);
        let mut coder = crate::text::range::RangeEncoder::default();
        for i in 0..5000u32 {
            let near = Near { w: [i % 7, i % 3, 1], n: [i % 5, 3, 4, 5, 6], nn: [i % 2, 9] };
            used.pixel::<_, false>(&mut coder, &near, i.wrapping_mul(77_777) & 0x00ff_ffff, None, None);
        }
        (used.missed, used.sizes) = ([1, 1], [7; 3]);
        assert!(used.bins != fresh.bins && used.tables != fresh.tables && used.colours != fresh.colours);
        used.reset();
        assert!(used.bins == fresh.bins && used.colours == fresh.colours);
        assert!(used.tables == fresh.tables);
        assert_eq!((used.missed, used.sizes), (fresh.missed, fresh.sizes));
        assert_eq!(START.len(), 2 * BINS);
        // Between the groups there are bins that nothing uses; all others must be able to decide both ways.
        assert!(fresh.bins.iter().all(|b| (48..=65_488).contains(&b.p)));
    }

    // spec: C-157
    #[test]
    fn going_back_undoes_what_was_learnt() {
        for wide in [false, true] {
            let (mut model, fresh) = (Model::new(wide), Model::new(wide));
            let mut coder = crate::text::range::RangeEncoder::default();
            let some = |model: &mut Model, coder: &mut crate::text::range::RangeEncoder| {
                for i in 0..3000u32 {
                    let near = Near { w: [i % 7, i % 3, 1], n: [i % 5, 3, 4, 5, 6], nn: [i % 11, 9] };
                    let now = i % 13 * 77_777;
                    match wide {
                        true => model.pixel::<_, true>(coder, &near, now, None, None),
                        false => model.pixel::<_, false>(coder, &near, now, None, None),
                    };
                }
            };
            let mut kept = Kept::default();
            let mark = coder.mark();
            model.keep(&mut kept);
            some(&mut model, &mut coder);
            let reach = model.tables[..BEGIN[1]].iter().rposition(|e| *e != 0).unwrap_or(0);
            assert_eq!((reach >= 4096, model.is_wide()), (wide, wide));
            assert!(model.tables[BEGIN[1]..BEGIN[2]] != fresh.tables[BEGIN[1]..BEGIN[2]]);
            assert!(model.tables[BEGIN[2]..] != fresh.tables[BEGIN[2]..]);
            model.go_back(&kept, coder.overwritten());
            coder.return_to(&mark);
            assert!(model.bins == fresh.bins && model.colours == fresh.colours && model.tables == fresh.tables);
        }
    }
}
