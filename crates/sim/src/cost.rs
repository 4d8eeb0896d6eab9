//! What work costs in virtual time. Measured once, named by machine, and part of a scenario's input.

use telepane_model::Span;

/// The virtual time of each piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostTable {
    /// Every job, however small.
    pub encode_base: Span,
    /// And this much for each megapixel wanted.
    pub encode_per_mpx: Span,
    /// Every slice.
    pub decode_base: Span,
    /// And this much for each kilobyte.
    pub decode_per_kb: Span,
    /// From a present wish to the screen.
    pub present: Span,
}

impl CostTable {
    /// One 2.5 GHz core, first-stage coder: 25 ms per megapixel of new text to code; decoding and showing as in the
    /// study's tables (`codec.md` T3).
    pub const REFERENCE: Self = Self {
        encode_base: Span::micros(150),
        encode_per_mpx: Span::millis(25),
        decode_base: Span::micros(60),
        decode_per_kb: Span::micros(60),
        present: Span::micros(200),
    };
}
