//! What work costs in virtual time. Measured once, named by machine, and part of a scenario's input.

use telepane_model::Span;

/// The virtual time of each piece of work: a base, so much for each megapixel looked at, so much for each kilobyte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostTable {
    /// Reading a frame from the screen, however little changed.
    pub capture_base: Span,
    /// And this much for each megapixel that changed.
    pub capture_per_mpx: Span,
    /// Every job, however small.
    pub encode_base: Span,
    /// And this much for each megapixel wanted exactly.
    pub encode_per_mpx: Span,
    /// And this much for each kilobyte that came out.
    pub encode_per_kb: Span,
    /// And this much for each megapixel wanted as film.
    pub film_encode_per_mpx: Span,
    /// Every slice.
    pub decode_base: Span,
    /// And this much for each megapixel it changed.
    pub decode_per_mpx: Span,
    /// And this much for each kilobyte.
    pub decode_per_kb: Span,
    /// In a slice of film this much for each megapixel, and nothing for its kilobytes.
    pub film_decode_per_mpx: Span,
    /// From a present wish to the screen.
    pub present: Span,
}

impl CostTable {
    /// One 2.5 GHz core, first-stage coder: 25 ms per megapixel of new text to code; decoding and showing as in the
    /// study's tables (`codec.md` T3).
    pub const REFERENCE: Self = Self {
        capture_base: Span::ZERO,
        capture_per_mpx: Span::ZERO,
        encode_base: Span::micros(150),
        encode_per_mpx: Span::millis(25),
        encode_per_kb: Span::ZERO,
        film_encode_per_mpx: Span::millis(25),
        decode_base: Span::micros(60),
        decode_per_mpx: Span::ZERO,
        decode_per_kb: Span::micros(60),
        film_decode_per_mpx: Span::ZERO,
        present: Span::micros(200),
    };

    /// Reading a frame of which `pixels` changed.
    pub fn capture(&self, pixels: u64) -> Span {
        self.capture_base + self.capture_per_mpx.scaled(pixels, 1_000_000)
    }

    /// Coding `exact` and `film` pixels into `bytes`.
    pub fn encode(&self, exact: u64, film: u64, bytes: u64) -> Span {
        let mut all = self.encode_base + self.encode_per_mpx.scaled(exact, 1_000_000);
        all += self.film_encode_per_mpx.scaled(film, 1_000_000);
        // Film's entropy coder is in its megapixels.
        if exact > 0 {
            all += self.encode_per_kb.scaled(bytes, 1_000);
        }
        all
    }

    /// Applying a slice of `bytes` that changed `pixels`.
    pub fn decode(&self, film: bool, pixels: u64, bytes: u64) -> Span {
        let (per_mpx, bytes) = if film { (self.film_decode_per_mpx, 0) } else { (self.decode_per_mpx, bytes) };
        self.decode_base + per_mpx.scaled(pixels, 1_000_000) + self.decode_per_kb.scaled(bytes, 1_000)
    }
}
