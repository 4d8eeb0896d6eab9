//! What work costs in virtual time. Measured once, named by machine, and part of a scenario's input.
//!
//! Each coder is priced by what drives it: text by the pixels that go through its model, pictures and what is packed by
//! their bytes, film by its pixels; everything else a job does is in the pixels it looks at.

use telepane_codec::text::TextOp;
use telepane_codec::wire::{Reader, kind, next_op};
use telepane_model::{EncodeJob, EncodedSlice, Quality, Size, Span, Surf};

/// The virtual time of each piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostTable {
    /// Reading a frame from the screen, however little changed.
    pub capture_base: Span,
    /// And this much for each megapixel that changed.
    pub capture_per_mpx: Span,
    /// Coding.
    pub encode: Prices,
    /// For each megapixel of a coded frame of film that is put onto what the host keeps of the viewer's picture.
    pub film_show_per_mpx: Span,
    /// Applying a slice.
    pub decode: Prices,
    /// From a present wish to the screen.
    pub present: Span,
}

/// What one side pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// For every job or slice, however small.
    pub base: Span,
    /// For each megapixel that is looked at, or written.
    pub per_mpx: Span,
    /// For each megapixel that goes through the text coder.
    pub text_per_mpx: Span,
    /// For each kilobyte of pictures.
    pub picture_per_kb: Span,
    /// For each kilobyte of what is packed without a model (EXACT).
    pub exact_per_kb: Span,
    /// For each megapixel of film; its entropy coder and its colours are in this. The host pays it on a core of its own.
    pub film_per_mpx: Span,
}

/// How much was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Pixels looked at for coding, or written by a slice, without film.
    pub pixels: u64,
    /// Pixels of text.
    pub text: u64,
    /// Bytes of pictures.
    pub picture: u64,
    /// Bytes packed.
    pub exact: u64,
    /// Pixels of film.
    pub film: u64,
}

impl Work {
    /// What a job asked for and what came of it. Film is coded elsewhere.
    pub fn of_job(job: &EncodeJob, slices: &[EncodedSlice]) -> Self {
        let mut work = Self::default();
        let looked_at = job.items.iter().filter(|i| i.quality != Quality::FILM);
        work.pixels = looked_at.map(|i| i.rect.area()).sum();
        slices.iter().for_each(|s| work.add_ops(&s.bytes, job.size));
        work
    }

    /// What applying a slice is that wrote `pixels`; if that was film, `film` says in how many it was coded. Making it
    /// larger is priced as what else writes pixels, four times.
    pub fn of_slice(ops: &[u8], size: Size<Surf>, pixels: u64, film: Option<u64>) -> Self {
        let mut work = Self { pixels, ..Self::default() };
        if let Some(coded) = film {
            (work.pixels, work.film) = (if coded < pixels { 4 * pixels } else { 0 }, coded.min(pixels));
        }
        work.add_ops(ops, size);
        work
    }

    /// Ops are our own coder's; what cannot be read costs nothing here and is refused elsewhere.
    fn add_ops(&mut self, ops: &[u8], size: Size<Surf>) {
        let mut reader = Reader::new(ops);
        while let Ok((op, payload)) = next_op(&mut reader) {
            match op {
                kind::TEXT => self.text += TextOp::parse(payload, u64::MAX, size).map_or(0, |t| t.work()),
                kind::PICTURE => self.picture += payload.len() as u64,
                kind::EXACT => self.exact += payload.len() as u64,
                _ => {}
            }
        }
    }
}

impl Prices {
    /// What this work costs.
    pub fn of(&self, work: &Work) -> Span {
        self.base
            + self.per_mpx.scaled(work.pixels, 1_000_000)
            + self.text_per_mpx.scaled(work.text, 1_000_000)
            + self.picture_per_kb.scaled(work.picture, 1_000)
            + self.exact_per_kb.scaled(work.exact, 1_000)
            + self.film_per_mpx.scaled(work.film, 1_000_000)
    }
}

impl CostTable {
    /// One 2.5 GHz core, rounded up from `benches/costs.json`. Reading the screen is free, so that what a scenario judges
    /// begins at the capture.
    pub const REFERENCE: Self = Self {
        capture_base: Span::ZERO,
        capture_per_mpx: Span::ZERO,
        encode: Prices {
            base: Span::micros(150),
            per_mpx: Span::millis(6),
            text_per_mpx: Span::millis(20),
            picture_per_kb: Span::micros(80),
            exact_per_kb: Span::micros(60),
            film_per_mpx: Span::millis(25),
        },
        decode: Prices {
            base: Span::micros(60),
            per_mpx: Span::millis(1),
            text_per_mpx: Span::millis(16),
            picture_per_kb: Span::micros(60),
            exact_per_kb: Span::micros(30),
            film_per_mpx: Span::millis(7),
        },
        film_show_per_mpx: Span::millis(3),
        present: Span::micros(200),
    };

    /// Coding a frame of film of so many pixels.
    pub fn film(&self, pixels: u64) -> Span {
        self.encode.base + self.encode.film_per_mpx.scaled(pixels, 1_000_000)
    }

    /// Reading a frame of which `pixels` changed.
    pub fn capture(&self, pixels: u64) -> Span {
        self.capture_base + self.capture_per_mpx.scaled(pixels, 1_000_000)
    }
}
