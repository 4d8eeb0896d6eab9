//! The binary range coder of the TEXT op: bins with adaptive probabilities in, bytes out, and back.
//!
//! Encoder and decoder are one trait, so that the model is written once and cannot disagree with itself. A bin's
//! probability moves by a share that falls with the number of times it was used, so that a fresh model learns at once and
//! a used one keeps still. The decoder takes zeros past the end of its bytes; its caller asks how far it went.

use super::model::Overwritten;

/// A binary decision's probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bin {
    /// The probability of 0, in 1/65536.
    pub p: u16,
    /// How often it was used, up to [`SETTLED`].
    pub n: u16,
}

/// How many bins a model has. A power of two, so that an index is masked instead of checked.
pub const BINS: usize = 4096;
/// A model's bins.
pub type Bins = [Bin; BINS];

/// Uses after which a bin moves by a constant share.
// spec: C-92
pub const SETTLED: u16 = 31;
/// The share by which a bin that was used `n` times moves: 1 / (n + 1.6), in 1/65536, but no less than 1/32 of the way.
// spec: C-92
pub const SHARES: [u16; 32] = shares();
/// A probability stays this far from certainty.
// spec: C-92
pub const LEAST: u16 = 48;

const fn shares() -> [u16; 32] {
    let mut all = [0; 32];
    let mut n = 0;
    while n < 32 {
        all[n] = (655_360 / (10 * n + 16)) as u16;
        n += 1;
    }
    all
}

impl Bin {
    /// Nothing known.
    pub const EVEN: Self = Self { p: 1 << 15, n: 0 };

    // spec: C-92
    #[inline(always)]
    fn learn(&mut self, bit: u32) {
        let share = u32::from(SHARES[usize::from(self.n & 31)]);
        let p = u32::from(self.p);
        let up = ((65_536 - p) * share) >> 16;
        let down = (p * share) >> 16;
        let p = if bit == 0 { p + up } else { p - down };
        self.p = p.clamp(u32::from(LEAST), 65_536 - u32::from(LEAST)) as u16;
        self.n = (self.n + 1).min(SETTLED);
    }
}

/// Codes bins: an encoder takes the bit it is given and answers with it, a decoder answers with the bit it finds.
pub trait Coder {
    /// Whether bits are given.
    const ENCODES: bool;
    /// A bin of the model.
    fn bit(&mut self, bins: &mut Bins, at: usize, bit: u32) -> u32;
    /// A bin that is as likely as not.
    fn even(&mut self, bit: u32) -> u32;
    /// The model's tables are about to change; an encoder can be asked what they had.
    fn overwrites(&mut self, _: Overwritten) {}
}

/// Bins in, bytes out.
#[derive(Debug)]
pub struct RangeEncoder {
    low: u64,
    range: u32,
    cache: u8,
    /// Bytes not written yet, since a carry may still change them: the cached one and 0xff after it.
    waiting: usize,
    out: Vec<u8>,
    used: u64,
    /// Since the last mark.
    overwritten: Vec<Overwritten>,
}

impl Default for RangeEncoder {
    fn default() -> Self {
        Self { low: 0, range: u32::MAX, cache: 0, waiting: 1, out: Vec::new(), used: 0, overwritten: Vec::new() }
    }
}

/// A place in an encoder's output to come back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    low: u64,
    range: u32,
    cache: u8,
    waiting: usize,
    len: usize,
    used: u64,
}

impl RangeEncoder {
    /// Begins anew, keeping its memory.
    pub fn clear(&mut self) {
        let (out, overwritten) = (core::mem::take(&mut self.out), core::mem::take(&mut self.overwritten));
        *self = Self { out, overwritten, ..Self::default() };
        self.out.clear();
        self.overwritten.clear();
    }

    /// What the model's tables had where they were changed since the last mark, the latest last.
    pub fn overwritten(&self) -> &[Overwritten] {
        &self.overwritten
    }

    /// Where it is.
    pub fn mark(&mut self) -> Mark {
        self.overwritten.clear();
        let Self { low, range, cache, waiting, used, .. } = *self;
        Mark { low, range, cache, waiting, len: self.out.len(), used }
    }

    /// Goes back to where it was.
    pub fn return_to(&mut self, mark: &Mark) {
        let Mark { low, range, cache, waiting, len, used } = *mark;
        (self.low, self.range, self.cache, self.waiting, self.used) = (low, range, cache, waiting, used);
        self.out.truncate(len);
        self.overwritten.clear();
    }

    /// How many bytes [`RangeEncoder::finish`] would give now, at most.
    pub fn most(&self) -> usize {
        self.out.len() + self.waiting + 2
    }

    /// How many bins were coded.
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// The bytes. They are the shortest that decode to the bins when zeros follow, but at most [`TAIL`] zeros are left out.
    // spec: C-91
    pub fn finish(&mut self) -> &[u8] {
        for zeros in [24, 16] {
            let mask = (1u64 << zeros) - 1;
            let low = (self.low + mask) & !mask;
            if low < self.low + u64::from(self.range) {
                self.low = low;
                break;
            }
        }
        (0..5).for_each(|_| self.shift());
        for _ in 0..TAIL {
            if self.out.len() > 1 && self.out.last() == Some(&0) {
                self.out.pop();
            }
        }
        // The first byte only ever took a carry that cannot come.
        self.out.get(1..).unwrap_or_default()
    }

    #[inline]
    fn shift(&mut self) {
        if self.low < 0xff00_0000 || self.low > 0xffff_ffff {
            let carry = (self.low >> 32) as u8;
            self.out.push(self.cache.wrapping_add(carry));
            for _ in 1..self.waiting {
                self.out.push(0xffu8.wrapping_add(carry));
            }
            self.waiting = 0;
            self.cache = (self.low >> 24) as u8;
        }
        self.waiting += 1;
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    #[inline(always)]
    fn narrow(&mut self, bound: u32, bit: u32) -> u32 {
        self.used += 1;
        if bit == 0 {
            self.range = bound;
        } else {
            self.low += u64::from(bound);
            self.range -= bound;
        }
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.shift();
        }
        bit
    }
}

impl Coder for RangeEncoder {
    const ENCODES: bool = true;

    #[inline(always)]
    fn bit(&mut self, bins: &mut Bins, at: usize, bit: u32) -> u32 {
        let bin = &mut bins[at & (BINS - 1)];
        let bound = (self.range >> 16) * u32::from(bin.p);
        bin.learn(bit);
        self.narrow(bound, bit)
    }

    #[inline]
    fn even(&mut self, bit: u32) -> u32 {
        let bound = self.range >> 1;
        self.narrow(bound, bit)
    }

    #[inline(always)]
    fn overwrites(&mut self, what: Overwritten) {
        self.overwritten.push(what);
    }
}

/// Zeros that may be missing at the end.
// spec: C-91
pub const TAIL: usize = 4;

/// Bytes in, bins out.
#[derive(Debug)]
pub struct RangeDecoder<'a> {
    range: u32,
    code: u32,
    bytes: &'a [u8],
    at: usize,
    used: u64,
}

impl<'a> RangeDecoder<'a> {
    /// Begins.
    // spec: C-90
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut new = Self { range: u32::MAX, code: 0, bytes, at: 0, used: 0 };
        for _ in 0..4 {
            new.code = new.code << 8 | new.byte();
        }
        new
    }

    /// How many bytes were taken, those past the end included.
    pub const fn taken(&self) -> usize {
        self.at
    }

    /// How many bins were decoded.
    pub const fn used(&self) -> u64 {
        self.used
    }

    #[inline(always)]
    fn byte(&mut self) -> u32 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        u32::from(byte)
    }

    // spec: C-90
    #[inline(always)]
    fn narrow(&mut self, bound: u32) -> u32 {
        self.used += 1;
        let bit = u32::from(self.code >= bound);
        if bit == 0 {
            self.range = bound;
        } else {
            self.code -= bound;
            self.range -= bound;
        }
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.code = self.code << 8 | self.byte();
        }
        bit
    }
}

impl Coder for RangeDecoder<'_> {
    const ENCODES: bool = false;

    // spec: C-90
    #[inline(always)]
    fn bit(&mut self, bins: &mut Bins, at: usize, _: u32) -> u32 {
        let bin = &mut bins[at & (BINS - 1)];
        let bound = (self.range >> 16) * u32::from(bin.p);
        let bit = self.narrow(bound);
        bin.learn(bit);
        bit
    }

    #[inline]
    fn even(&mut self, _: u32) -> u32 {
        let bound = self.range >> 1;
        self.narrow(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    // spec: C-90 C-91 C-92
    #[test]
    fn bins_come_back_and_the_end_is_known() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut coder = RangeEncoder::default();
            let mut bins = Box::new([Bin::EVEN; BINS]);
            let skew = 1 + rng.below(1000);
            let all: Vec<(usize, u32)> =
                (0..rng.below(3000)).map(|_| (rng.below(9) as usize, u32::from(rng.below(skew) == 0))).collect();
            for (at, bit) in &all {
                if *at == 0 {
                    coder.even(*bit);
                } else {
                    coder.bit(&mut bins, *at, *bit);
                }
            }
            let most = coder.most();
            let bytes = coder.finish().to_vec();
            assert!(bytes.len() <= most, "{} {most}", bytes.len());
            let mut bins = Box::new([Bin::EVEN; BINS]);
            let mut decoder = RangeDecoder::new(&bytes);
            for (at, bit) in &all {
                assert_eq!(if *at == 0 { decoder.even(0) } else { decoder.bit(&mut bins, *at, 0) }, *bit);
            }
            assert!((bytes.len()..=bytes.len() + TAIL).contains(&decoder.taken()));
            assert_eq!(decoder.used(), all.len() as u64);
        }
    }

    #[test]
    fn a_marked_place_is_returned_to() {
        let mut rng = Rng::new(4);
        let (mut a, mut b) = (RangeEncoder::default(), RangeEncoder::default());
        let (mut bins_a, mut bins_b) = (Box::new([Bin::EVEN; BINS]), Box::new([Bin::EVEN; BINS]));
        for _ in 0..50 {
            let kept = (a.mark(), bins_a.clone());
            (0..rng.below(99)).for_each(|_| assert!(a.bit(&mut bins_a, 3, rng.below(2) as u32) < 2));
            a.return_to(&kept.0);
            bins_a = kept.1;
            for _ in 0..rng.below(99) {
                let (at, bit) = (rng.below(5) as usize, u32::from(rng.below(40) == 0));
                assert_eq!(a.bit(&mut bins_a, at, bit), b.bit(&mut bins_b, at, bit));
            }
        }
        assert_eq!(a.finish(), b.finish());
    }
}
