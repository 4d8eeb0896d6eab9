//! The entropy coder: tokens under static probabilities in four interleaved rANS states, and raw bits beside them.
//!
//! A state is in 2^15..2^31 and moves in words of sixteen bits; probabilities have twelve. The values of a row take the
//! states in turn, so that a processor works on four at once. The coder goes through its tokens backwards, the decoder
//! forwards; it ends in the states in which the coder began, which a broken body does not.

use super::tables::{CONTEXTS, FREQUENCIES, TOKENS};
use crate::fault::CodecFault;
use crate::wire::{Reader, put_varint};
use std::sync::LazyLock;

/// Bits of a probability.
const BITS: u32 = 12;
/// The states at the decoder's end, and the least a state is between two values.
const LEAST: u32 = 1 << 15;
/// A bit in the coder's sum of what its tokens cost.
const BIT: u16 = 256;
/// States.
const LANES: usize = 4;

/// The largest value that has a token of its own.
const DIRECT: i32 = 10;
/// The token of a value sent in sixteen raw bits.
const LITERAL: u8 = 31;

/// A token's number of raw bits, and the magnitude they count from, for tokens 21 to 30 by pairs.
const CLASSES: [(u32, i32); 5] = [(2, 11), (3, 15), (4, 23), (5, 39), (6, 71)];
/// The first magnitude without a class.
const ABOVE: i32 = 71 + 64;

/// What a value is sent as: its token, how many raw bits, and those bits.
// spec: C-126
pub fn token(value: i16) -> (u8, u32, u16) {
    let v = i32::from(value);
    let size = v.abs();
    if size <= DIRECT {
        return ((v << 1 ^ v >> 31) as u8, 0, 0);
    }
    for (i, (bits, from)) in CLASSES.iter().enumerate() {
        if size < from + (1 << bits) {
            return (21 + 2 * i as u8 + u8::from(v < 0), *bits, (size - from) as u16);
        }
    }
    debug_assert!(size >= ABOVE);
    (LITERAL, 16, value as u16)
}

/// The probabilities in the forms that coder and decoder need.
pub struct Tables {
    /// For each context and each twelve bits the token.
    slots: Box<[[u8; 1 << BITS]; CONTEXTS]>,
    /// Frequency in the upper half, what lies below in the lower.
    ranges: Box<[[u32; TOKENS]; CONTEXTS]>,
    coding: Box<[[Coding; TOKENS]; CONTEXTS]>,
    /// What a token costs with its raw bits, in 1/[`BIT`]; 0 where it has no room and the value goes as a literal.
    costs: Box<[[u16; TOKENS]; CONTEXTS]>,
}

/// How a token goes into a state without a division (Giesen's reciprocals, exact for states below 2^31).
#[derive(Clone, Copy, Default)]
struct Coding {
    most: u32,
    reciprocal: u32,
    bias: u32,
    complement: u16,
    shift: u16,
}

/// The probabilities of this version of the format.
// spec: C-127
pub static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::new(&FREQUENCIES));

impl Tables {
    fn new(frequencies: &[[u16; TOKENS]; CONTEXTS]) -> Self {
        let mut new = Self {
            slots: vec![[0u8; 1 << BITS]; CONTEXTS].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!()),
            ranges: Box::new([[0; TOKENS]; CONTEXTS]),
            coding: Box::new([[Coding::default(); TOKENS]; CONTEXTS]),
            costs: Box::new([[0; TOKENS]; CONTEXTS]),
        };
        for (context, row) in frequencies.iter().enumerate() {
            let mut start = 0u32;
            for (token, frequency) in row.iter().enumerate() {
                let f = u32::from(*frequency);
                if f == 0 {
                    continue;
                }
                new.slots[context][start as usize..(start + f) as usize].fill(token as u8);
                new.ranges[context][token] = f << 16 | start;
                new.coding[context][token] = Coding::new(start, f);
                let raw = (token as u8).checked_sub(21).and_then(|class| CLASSES.get(usize::from(class) / 2));
                let raw = if token == usize::from(LITERAL) { 16 } else { raw.map_or(0, |(bits, _)| *bits) };
                let bits = f64::from(BITS) - f64::from(f).log2() + f64::from(raw);
                new.costs[context][token] = (bits * f64::from(BIT)).round().max(1.0) as u16;
                start += f;
            }
        }
        new
    }
}

impl Coding {
    fn new(start: u32, frequency: u32) -> Self {
        let most = ((LEAST >> BITS) << 16) * frequency;
        let complement = ((1u32 << BITS) - frequency) as u16;
        if frequency == 1 {
            let bias = start + (1 << BITS) - 1;
            return Self { most, reciprocal: u32::MAX, bias, complement, shift: 0 };
        }
        let shift = 32 - (frequency - 1).leading_zeros();
        let reciprocal = (1u64 << (shift + 31)).div_ceil(u64::from(frequency));
        Self { most, reciprocal: reciprocal as u32, bias: start, complement, shift: shift as u16 - 1 }
    }
}

/// Collects tokens and codes them.
#[derive(Default)]
pub struct Coder {
    /// Context, token and state: 7, 5 and 2 bits.
    tokens: Vec<u16>,
    words: Vec<u16>,
    raw: Raw,
    cost: u64,
}

/// A place to return to.
#[derive(Clone, Copy, Default)]
pub struct Mark {
    tokens: usize,
    raw: (usize, u64, u32),
    cost: u64,
}

#[derive(Default)]
struct Raw {
    bytes: Vec<u8>,
    bits: u64,
    count: u32,
}

impl Raw {
    fn put(&mut self, value: u16, bits: u32) {
        self.bits |= u64::from(value) << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.bytes.push(self.bits as u8);
            self.bits >>= 8;
            self.count -= 8;
        }
    }
}

impl Coder {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.back(Mark::default());
    }

    /// Where the coder is.
    pub const fn mark(&self) -> Mark {
        Mark { tokens: self.tokens.len(), raw: (self.raw.bytes.len(), self.raw.bits, self.raw.count), cost: self.cost }
    }

    /// Forgets what came after.
    pub fn back(&mut self, mark: Mark) {
        self.tokens.truncate(mark.tokens);
        self.raw.bytes.truncate(mark.raw.0);
        (self.raw.bits, self.raw.count, self.cost) = (mark.raw.1, mark.raw.2, mark.cost);
    }

    /// How long the body will be, hardly ever less than it is.
    pub const fn expected(&self) -> usize {
        (self.cost / (8 * BIT as u64)) as usize + 4 * LANES + 6 + self.tokens.len() / 8192
    }

    /// Takes a row of values with their contexts.
    // spec: C-125
    #[inline]
    pub fn put(&mut self, contexts: &[u8], values: &[i16]) {
        let tables = &*TABLES;
        let start = self.tokens.len();
        self.tokens.resize(start + values.len(), 0);
        let (mut cost, mut lane) = (0u32, 0u16);
        for ((to, context), value) in self.tokens[start..].iter_mut().zip(contexts).zip(values) {
            let context = usize::from(*context) % CONTEXTS;
            let v = *value;
            // Those without raw bits.
            let mut token = ((v << 1 ^ v >> 15) as u16).min(u16::from(LITERAL));
            let mut price = tables.costs[context][usize::from(token) % TOKENS];
            if token > 20 || price == 0 {
                (token, price) = Self::large(&mut self.raw, &tables.costs[context], v);
            }
            cost = cost.wrapping_add(u32::from(price));
            *to = (context as u16) << 7 | token << 2 | lane;
            lane = lane.wrapping_add(1) % LANES as u16;
        }
        self.cost += u64::from(cost);
    }

    /// A value with raw bits: its token, and what that costs.
    #[inline(never)]
    fn large(raw: &mut Raw, costs: &[u16; TOKENS], value: i16) -> (u16, u16) {
        let (mut token, mut count, mut bits) = token(value);
        if costs[usize::from(token) % TOKENS] == 0 {
            (token, count, bits) = (LITERAL, 16, value as u16);
        }
        raw.put(bits, count);
        (u16::from(token), costs[usize::from(token) % TOKENS])
    }

    /// Appends the body.
    // spec: C-123 C-124
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let tables = &*TABLES;
        let mut states = [LEAST; LANES];
        // At most a word for each token, one to write in vain, and the states.
        self.words.resize(self.tokens.len() + 1, 0);
        let (words, mut at) = (&mut self.words[..], 0);
        for token in self.tokens.iter().rev() {
            let c = &tables.coding[usize::from(token >> 7) % CONTEXTS][usize::from(token >> 2) % TOKENS];
            let x = &mut states[usize::from(*token) % LANES];
            // Written always and kept if it was due, for want of a branch that can be foreseen.
            let due = *x >= c.most;
            words[at] = *x as u16;
            at = at.wrapping_add(usize::from(due));
            *x >>= if due { 16 } else { 0 };
            let q = ((u64::from(*x) * u64::from(c.reciprocal)) >> 32 >> c.shift) as u32;
            *x = x.wrapping_add(c.bias).wrapping_add(q.wrapping_mul(u32::from(c.complement)));
        }
        self.words.truncate(at);
        for x in states.iter().rev() {
            self.words.extend([(x >> 16) as u16, *x as u16]);
        }
        put_varint(out, self.words.len() as u32);
        out.extend(self.words.iter().rev().flat_map(|w| w.to_le_bytes()));
        if self.raw.count > 0 {
            self.raw.put(0, 8 - self.raw.count);
        }
        out.extend_from_slice(&self.raw.bytes);
    }
}

/// Decodes a body.
pub struct Source<'a> {
    tables: &'static Tables,
    words: &'a [[u8; 2]],
    at: usize,
    states: [u32; LANES],
    raw: &'a [u8],
    /// Raw bits read.
    bit: usize,
}

impl<'a> Source<'a> {
    /// Begins with the body that is the rest of `payload`.
    // spec: C-123
    pub fn new(payload: &mut Reader<'a>) -> Result<Self, CodecFault> {
        let count = payload.varint()? as usize;
        let words = payload.take(count.checked_mul(2).ok_or(CodecFault::Truncated)?)?.as_chunks::<2>().0;
        let mut states = [0; LANES];
        for (i, x) in states.iter_mut().enumerate() {
            let [a, b] = [words.get(2 * i), words.get(2 * i + 1)].map(|w| w.copied());
            let [Some(a), Some(b)] = [a, b] else { return Err(CodecFault::Truncated) };
            *x = u32::from_le_bytes([a[0], a[1], b[0], b[1]]);
            if !(LEAST..1 << 31).contains(x) {
                return Err(CodecFault::PictureBody);
            }
        }
        Ok(Self { tables: &TABLES, words, at: 2 * LANES, states, raw: payload.rest(), bit: 0 })
    }

    /// The values of a row with these contexts. Past the end of the body zeros are read, and [`Source::finish`] says so.
    // spec: C-125
    #[inline]
    pub fn take(&mut self, contexts: &[u8], values: &mut [i16]) {
        let mut states = self.states;
        let (contexts, rest) = contexts.as_chunks::<LANES>();
        let (chunks, last) = values.as_chunks_mut::<LANES>();
        for (contexts, values) in contexts.iter().zip(chunks) {
            let mut tokens = [0u8; LANES];
            for lane in 0..LANES {
                tokens[lane] = self.step(&mut states[lane], contexts[lane]);
            }
            for lane in 0..LANES {
                values[lane] = self.value(tokens[lane]);
            }
        }
        for ((context, value), state) in rest.iter().zip(last).zip(&mut states) {
            let token = self.step(state, *context);
            *value = self.value(token);
        }
        self.states = states;
    }

    // spec: C-124
    #[inline(always)]
    fn step(&mut self, state: &mut u32, context: u8) -> u8 {
        let context = usize::from(context) % CONTEXTS;
        let slot = *state & ((1 << BITS) - 1);
        let token = self.tables.slots[context][slot as usize];
        let range = self.tables.ranges[context][usize::from(token) % TOKENS];
        let mut x = (range >> 16).wrapping_mul(*state >> BITS).wrapping_add(slot).wrapping_sub(range & 0xffff);
        if x < LEAST {
            x = x << 16 | self.words.get(self.at).map_or(0, |w| u32::from(u16::from_le_bytes(*w)));
            self.at = self.at.wrapping_add(1);
        }
        *state = x;
        token
    }

    // spec: C-126
    #[inline(always)]
    fn value(&mut self, token: u8) -> i16 {
        if token <= 20 {
            let t = i16::from(token);
            return t >> 1 ^ -(t & 1);
        }
        self.large(token)
    }

    #[cold]
    #[inline(never)]
    fn large(&mut self, token: u8) -> i16 {
        if token >= LITERAL {
            return self.bits(16) as i16;
        }
        let class = usize::from(token - 21);
        let (bits, from) = CLASSES[class / 2 % CLASSES.len()];
        let size = from as i16 + self.bits(bits) as i16;
        if class % 2 == 0 { size } else { -size }
    }

    fn bits(&mut self, count: u32) -> u16 {
        let at = self.bit / 8;
        let byte = |i: usize| u32::from(self.raw.get(at + i).copied().unwrap_or(0)) << (8 * i);
        let all = byte(0) | byte(1) | byte(2);
        let value = all >> (self.bit % 8) & ((1 << count) - 1);
        self.bit += count as usize;
        value as u16
    }

    /// Whether the body ended where its values ended.
    // spec: C-128
    pub fn finish(self) -> Result<(), CodecFault> {
        if self.at > self.words.len() || self.bit.div_ceil(8) > self.raw.len() {
            return Err(CodecFault::Truncated);
        }
        let whole = self.at == self.words.len() && self.bit.div_ceil(8) == self.raw.len();
        if whole && self.states == [LEAST; LANES] { Ok(()) } else { Err(CodecFault::PictureBody) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    // spec: C-127
    #[test]
    fn every_context_has_4096_and_a_literal() {
        for (i, row) in FREQUENCIES.iter().enumerate() {
            assert_eq!(row.iter().map(|f| u32::from(*f)).sum::<u32>(), 1 << BITS, "context {i}");
            assert!(row[usize::from(LITERAL)] > 0, "context {i}");
        }
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../protocol-spec/tables/picture.txt");
        let page = std::fs::read_to_string(page).unwrap();
        let lines: Vec<&str> = page.lines().skip(1).collect();
        let ours: Vec<String> = FREQUENCIES.iter().map(|r| r.map(|f| f.to_string()).join(" ")).collect();
        assert_eq!(lines, ours);
    }

    // spec: C-123 C-124 C-125 C-126
    #[test]
    fn all_values_in_all_contexts_come_back() {
        let mut rng = Rng::new(1);
        let mut coder = Coder::default();
        let mut rows = Vec::new();
        for n in 0..600usize {
            let len = 1 + n % 64;
            let contexts: Vec<u8> = (0..len).map(|_| rng.below(CONTEXTS as u64) as u8).collect();
            let values: Vec<i16> = (0..len)
                .map(|i| match n % 4 {
                    0 => 0,
                    1 => i as i16 - 32,
                    2 => (rng.next_u64() as i16) >> 7,
                    _ => rng.next_u64() as i16,
                })
                .collect();
            coder.put(&contexts, &values);
            rows.push((contexts, values));
        }
        let mut body = Vec::new();
        coder.finish(&mut body);
        let decode = |body: &[u8]| {
            let mut source = Source::new(&mut Reader::new(body))?;
            let mut same = true;
            for (contexts, values) in &rows {
                let mut out = vec![0; values.len()];
                source.take(contexts, &mut out);
                same &= out == *values;
            }
            source.finish().map(|()| same)
        };
        assert_eq!(decode(&body), Ok(true));
        // spec: C-128
        assert_eq!(decode(&body[..body.len() - 1]), Err(CodecFault::Truncated));
        body.push(0);
        assert_eq!(decode(&body), Err(CodecFault::PictureBody));
    }

    // spec: C-128
    #[test]
    fn states_out_of_range_are_refused() {
        let body = |state: u32| {
            let mut out = vec![8];
            (0..LANES).for_each(|_| out.extend(state.to_le_bytes()));
            out
        };
        let empty = |b: &[u8]| Source::new(&mut Reader::new(b)).and_then(Source::finish);
        assert_eq!(empty(&body(LEAST)), Ok(()));
        assert_eq!(empty(&body(LEAST - 1)), Err(CodecFault::PictureBody));
        assert_eq!(empty(&body(1 << 31)), Err(CodecFault::PictureBody));
        assert_eq!(empty(&body(LEAST + 1)), Err(CodecFault::PictureBody));
        assert_eq!(empty(&[7; 15]), Err(CodecFault::Truncated));
    }
}
