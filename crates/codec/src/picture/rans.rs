//! The entropy coder: tokens under static probabilities in eight interleaved rANS states, and raw bits beside them.
//!
//! A state is in 2^15..2^31 and moves in words of sixteen bits; probabilities have twelve. The values of a row take the
//! states in turn, so that a processor works on eight at once: one step waits some thirty cycles for its tables and its
//! multiplication. The coder goes through its tokens backwards, the decoder
//! forwards; it ends in the states in which the coder began, which a broken body does not.

use super::tables::{CONTEXTS, FREQUENCIES, SETS, TOKENS};
use crate::fault::CodecFault;
use crate::kernel::wavelet::SIDE;
use crate::wire::{Reader, put_varint};
use std::sync::LazyLock;

/// Bits of a probability.
const BITS: u32 = 12;
/// The states at the decoder's end, and the least a state is between two values.
const LEAST: u32 = 1 << 15;
/// A bit in the coder's sum of what its tokens cost.
const BIT: u16 = 256;
/// States.
const LANES: usize = 8;
/// A token that changes no state: it fills rows up to whole groups. Its place is one that no value takes.
const NOTHING: u16 = (CONTEXTS * TOKENS - 2) as u16;
/// The cost of what has no room in a context, or has raw bits: the row is gone through value by value.
const SPECIAL: u16 = 0x8000;
/// The first number that is not a token of its own.
const LARGE: u16 = 21;

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
    slots: Box<[u8; CONTEXTS << BITS]>,
    /// Frequency in the upper half, what lies below in the lower.
    ranges: Box<[u32; CONTEXTS * TOKENS]>,
    /// By context and token.
    coding: Box<[Coding; CONTEXTS * TOKENS]>,
    /// What a value without raw bits costs, in 1/[`BIT`], or [`SPECIAL`]; by context and token.
    plain: Box<[u16; CONTEXTS * TOKENS]>,
    /// What a token costs with its raw bits, in 1/[`BIT`]; 0 where it has no room and the value goes as a literal.
    costs: Box<[[u16; TOKENS]; CONTEXTS]>,
}

/// How a token goes into a state without a division (Giesen's reciprocals, exact for states below 2^31; 32 is in the shift).
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
pub static TABLES: [LazyLock<Tables>; SETS] =
    [LazyLock::new(|| Tables::new(&FREQUENCIES[0])), LazyLock::new(|| Tables::new(&FREQUENCIES[1]))];

/// One set of them.
fn tables(set: usize) -> &'static Tables {
    &TABLES[set % SETS]
}

/// Of so many groups of tokens one is looked at to compare the sets.
const SAMPLE: usize = 32;

impl Tables {
    fn new(frequencies: &[[u16; TOKENS]; CONTEXTS]) -> Self {
        let mut new = Self {
            slots: vec![0u8; CONTEXTS << BITS].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!()),
            ranges: Box::new([0; CONTEXTS * TOKENS]),
            coding: Box::new([Coding::default(); CONTEXTS * TOKENS]),
            plain: Box::new([SPECIAL; CONTEXTS * TOKENS]),
            costs: Box::new([[0; TOKENS]; CONTEXTS]),
        };
        for (context, row) in frequencies.iter().enumerate() {
            let mut start = 0u32;
            for (token, frequency) in row.iter().enumerate() {
                let f = u32::from(*frequency);
                if f == 0 {
                    continue;
                }
                new.slots[context << BITS..][start as usize..(start + f) as usize].fill(token as u8);
                new.ranges[context * TOKENS + token] = f << 16 | start;
                new.coding[context * TOKENS + token] = Coding::new(start, f);
                let raw = (token as u8).checked_sub(21).and_then(|class| CLASSES.get(usize::from(class) / 2));
                let raw = if token == usize::from(LITERAL) { 16 } else { raw.map_or(0, |(bits, _)| *bits) };
                let bits = f64::from(BITS) - f64::from(f).log2() + f64::from(raw);
                let cost = (bits * f64::from(BIT)).round().max(1.0) as u16;
                new.costs[context][token] = cost;
                if token < usize::from(LARGE) {
                    new.plain[context * TOKENS + token] = cost;
                }
                start += f;
            }
        }
        new.coding[usize::from(NOTHING)] = Coding { most: u32::MAX, ..Coding::default() };
        new
    }
}

impl Coding {
    fn new(start: u32, frequency: u32) -> Self {
        let most = ((LEAST >> BITS) << 16) * frequency;
        let complement = ((1u32 << BITS) - frequency) as u16;
        if frequency == 1 {
            let bias = start + (1 << BITS) - 1;
            return Self { most, reciprocal: u32::MAX, bias, complement, shift: 32 };
        }
        let shift = 32 - (frequency - 1).leading_zeros();
        let reciprocal = (1u64 << (shift + 31)).div_ceil(u64::from(frequency));
        Self { most, reciprocal: reciprocal as u32, bias: start, complement, shift: shift as u16 + 31 }
    }
}

/// Collects tokens and codes them.
#[derive(Default)]
pub struct Coder {
    /// Context and token, 7 and 5 bits; each row is filled up to groups of [`LANES`].
    tokens: Vec<u16>,
    words: Vec<u16>,
    raw: Raw,
    cost: u64,
    /// Of probabilities.
    set: usize,
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
    /// Forgets everything; what comes goes by these probabilities.
    pub fn clear(&mut self, set: usize) {
        self.back(Mark::default());
        self.set = set;
    }

    /// What a sample of the tokens costs by each set of probabilities.
    pub fn rivals(&self) -> [u64; SETS] {
        let mut costs = [0; SETS];
        for group in self.tokens.as_chunks::<LANES>().0.iter().step_by(SAMPLE) {
            for token in group.iter().filter(|t| **t != NOTHING) {
                let (context, token) = (usize::from(token >> 5) % CONTEXTS, usize::from(token & 31));
                for (set, cost) in costs.iter_mut().enumerate() {
                    let all = &tables(set).costs[context];
                    // What has no room goes as a literal.
                    let own = if all[token] == 0 { all[usize::from(LITERAL)] } else { all[token] };
                    *cost += u64::from(own);
                }
            }
        }
        costs
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
    #[inline(always)]
    pub fn put(&mut self, contexts: &[u8], values: &[i16]) {
        let tables = tables(self.set);
        let start = self.tokens.len();
        self.tokens.resize(start + values.len().next_multiple_of(LANES), NOTHING);
        let row = &mut self.tokens[start..][..values.len()];
        for ((to, context), value) in row.iter_mut().zip(contexts).zip(values) {
            let token = ((*value << 1 ^ *value >> 15) as u16).min(LARGE);
            *to = u16::from(*context) << 5 | token;
        }
        let (mut cost, mut any) = (0u32, 0u16);
        for at in row.iter() {
            let price = tables.plain[usize::from(*at) % (CONTEXTS * TOKENS)];
            any |= price;
            cost = cost.wrapping_add(u32::from(price));
        }
        if any & SPECIAL != 0 {
            cost = Self::special(&mut self.raw, tables, row, values);
        }
        self.cost += u64::from(cost);
    }

    /// A row with values that have raw bits or no room; answers its cost.
    #[inline(never)]
    fn special(raw: &mut Raw, tables: &Tables, row: &mut [u16], values: &[i16]) -> u32 {
        let mut cost = 0u32;
        for (to, value) in row.iter_mut().zip(values) {
            let at = usize::from(*to) % (CONTEXTS * TOKENS);
            let mut price = tables.plain[at];
            if price == SPECIAL {
                let token;
                (token, price) = Self::large(raw, &tables.costs[at / TOKENS], *value);
                *to = *to >> 5 << 5 | token;
            }
            cost = cost.wrapping_add(u32::from(price));
        }
        cost
    }

    /// A value with raw bits: its token, and what that costs.
    #[inline]
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
        let tables = tables(self.set);
        let mut states = [LEAST; LANES];
        // At most a word for each token, a group to write in vain, and the states.
        self.words.resize(self.tokens.len() + LANES, 0);
        let mut at = 0;
        for group in self.tokens.as_chunks::<LANES>().0.iter().rev() {
            let Some(words) = self.words.get_mut(at..).and_then(|w| w.first_chunk_mut::<LANES>()) else { break };
            let mut written = 0;
            for (token, x) in group.iter().zip(&mut states).rev() {
                let c = &tables.coding[usize::from(*token) % (CONTEXTS * TOKENS)];
                // Written always and kept if it was due, for want of a branch that can be foreseen.
                let due = *x >= c.most;
                words[written % LANES] = *x as u16;
                written = written.wrapping_add(usize::from(due));
                let y = *x >> (u32::from(due) * 16);
                let q = (u64::from(y).wrapping_mul(u64::from(c.reciprocal)) >> (c.shift & 63)) as u32;
                *x = y.wrapping_add(c.bias).wrapping_add(q.wrapping_mul(u32::from(c.complement)));
            }
            at += written;
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

/// A token from a state, which then may be too low.
// spec: C-124
#[inline(always)]
fn step(tables: &Tables, state: &mut u32, context: u8) -> u8 {
    let context = usize::from(context) % CONTEXTS;
    let slot = *state & ((1 << BITS) - 1);
    let token = tables.slots[context << BITS | slot as usize];
    let range = tables.ranges[context * TOKENS + usize::from(token) % TOKENS];
    *state = (range >> 16).wrapping_mul(*state >> BITS).wrapping_add(slot).wrapping_sub(range & 0xffff);
    token
}

/// The value of a token without raw bits.
// spec: C-126
#[inline(always)]
fn small(token: u8) -> i16 {
    let t = i16::from(token);
    t >> 1 ^ -(t & 1)
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
    /// Begins with the body that is the rest of `payload`, by these probabilities.
    // spec: C-123
    pub fn new(payload: &mut Reader<'a>, set: usize) -> Result<Self, CodecFault> {
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
        Ok(Self { tables: tables(set), words, at: 2 * LANES, states, raw: payload.rest(), bit: 0 })
    }

    /// The values of a row with these contexts, at most [`SIDE`]. Past the end of the body zeros are read, and
    /// [`Source::finish`] says so.
    // spec: C-125
    #[inline(always)]
    pub fn take(&mut self, contexts: &[u8], values: &mut [i16]) {
        let mut tokens = [0u8; SIDE];
        if self.tokens(contexts, &mut tokens) {
            values.iter_mut().zip(&tokens).for_each(|(value, token)| *value = self.value(*token));
        } else {
            values.iter_mut().zip(&tokens).for_each(|(value, token)| *value = small(*token));
        }
    }

    /// The tokens of a row, and whether one of them has raw bits.
    #[inline(never)]
    fn tokens(&mut self, contexts: &[u8], tokens: &mut [u8; SIDE]) -> bool {
        let (contexts, rest) = contexts.as_chunks::<LANES>();
        let mut chunks = tokens.as_chunks_mut::<LANES>().0.iter_mut();
        // The fifth bit of a token plus this says that it is large; the highest bit of a state less the least, that it is
        // too low.
        const BESIDE: u8 = 32 - LARGE as u8;
        let mut large = 0;
        for (contexts, tokens) in contexts.iter().zip(&mut chunks) {
            let mut low = 0;
            for ((token, state), context) in tokens.iter_mut().zip(&mut self.states).zip(contexts) {
                *token = step(self.tables, state, *context);
                large |= token.wrapping_add(BESIDE);
                low |= state.wrapping_sub(LEAST);
            }
            if low >> 31 != 0 {
                self.refill();
            }
        }
        if let (false, Some(tokens)) = (rest.is_empty(), chunks.next()) {
            for ((token, state), context) in tokens.iter_mut().zip(&mut self.states).zip(rest) {
                *token = step(self.tables, state, *context);
                large |= token.wrapping_add(BESIDE);
            }
            self.refill();
        }
        large >> 5 != 0
    }

    /// Gives each state that is too low the next word.
    // spec: C-124
    #[inline]
    fn refill(&mut self) {
        let mut window = [[0; 2]; LANES];
        let left = self.words.get(self.at..).unwrap_or_default();
        match left.first_chunk::<LANES>() {
            Some(whole) => window = *whole,
            None => window.iter_mut().zip(left).for_each(|(to, from)| *to = *from),
        }
        let mut taken = 0;
        for x in &mut self.states {
            let due = *x < LEAST;
            let next = *x << 16 | u32::from(u16::from_le_bytes(window[taken % LANES]));
            *x = if due { next } else { *x };
            taken += usize::from(due);
        }
        self.at += taken;
    }

    // spec: C-126
    #[inline(always)]
    fn value(&mut self, token: u8) -> i16 {
        if token < LARGE as u8 { small(token) } else { self.large(token) }
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
        for (i, row) in FREQUENCIES.iter().flatten().enumerate() {
            assert_eq!(row.iter().map(|f| u32::from(*f)).sum::<u32>(), 1 << BITS, "context {i}");
            assert!(row[usize::from(LITERAL)] > 0, "context {i}");
        }
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../protocol-spec/tables/picture.txt");
        let page = std::fs::read_to_string(page).unwrap();
        let lines: Vec<&str> = page.lines().skip(1).collect();
        let ours: Vec<String> = FREQUENCIES.iter().flatten().map(|r| r.map(|f| f.to_string()).join(" ")).collect();
        assert_eq!(lines, ours);
    }

    // spec: C-123 C-124 C-125 C-126
    #[test]
    fn all_values_in_all_contexts_come_back() {
        (0..SETS).for_each(come_back);
    }

    fn come_back(set: usize) {
        let mut rng = Rng::new(1);
        let mut coder = Coder::default();
        coder.clear(set);
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
            let mut source = Source::new(&mut Reader::new(body), set)?;
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
            let mut out = vec![2 * LANES as u8];
            (0..LANES).for_each(|_| out.extend(state.to_le_bytes()));
            out
        };
        let empty = |b: &[u8]| Source::new(&mut Reader::new(b), 0).and_then(Source::finish);
        assert_eq!(empty(&body(LEAST)), Ok(()));
        assert_eq!(empty(&body(LEAST - 1)), Err(CodecFault::PictureBody));
        assert_eq!(empty(&body(1 << 31)), Err(CodecFault::PictureBody));
        assert_eq!(empty(&body(LEAST + 1)), Err(CodecFault::PictureBody));
        assert_eq!(empty(&[15; 31]), Err(CodecFault::Truncated));
    }
}
