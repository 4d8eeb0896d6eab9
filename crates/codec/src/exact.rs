//! The EXACT op: rectangles without loss, by palette or by prediction, then zstd where that gains.
//!
//! All rectangles of an op share one body, so that zstd sees them together: 64-pixel tiles alone cost half as much
//! again. For little areas every method is tried and the smallest kept; for large ones the palette is tried only when
//! colours are few. Text goes to its own coder ([`crate::text`]) when the viewer has it, and pictures that do not fit at
//! once go by layers ([`crate::picture`]).

use crate::fault::CodecFault;
use crate::median;
use crate::packer::{Packer, Unpacker};
use crate::palette::{self, Palette};
use crate::wire::{Reader, limits, put_rect, put_varint};
use telepane_model::{Pixels, Rect, Surf, TileClass};

/// Prediction residuals in three planes.
const MEDIAN: u8 = 0;
/// Palette symbols, packed.
const PACKED: u8 = 1;
/// Palette symbols, a byte each.
const BYTES: u8 = 2;
/// The palette's colours are grey and take a byte each.
const GREY: u8 = 0x40;
/// The body is a zstd frame.
const ZSTD: u8 = 0x80;

/// zstd's level: on the corpus level 3 saves 0.3 % for a tenth more time.
const LEVEL: i32 = 1;
/// Up to this many pixels the palette is tried whatever the content.
const SMALL: u64 = 16_384;
/// Above, only with at most this many colours, where prediction's advantage ends (terminals, plain lists).
const FEW: usize = 24;

/// Codes rectangles.
pub struct ExactCoder {
    packer: Packer,
    rows: median::Rows,
    palette: Palette,
    planes: Vec<u8>,
    bits: Vec<u8>,
    packed: Vec<u8>,
    best: Vec<u8>,
}

impl Default for ExactCoder {
    fn default() -> Self {
        Self {
            packer: Packer::new(LEVEL),
            rows: median::Rows::default(),
            palette: Palette::default(),
            planes: Vec::new(),
            bits: Vec::new(),
            packed: Vec::new(),
            best: Vec::new(),
        }
    }
}

impl ExactCoder {
    /// Codes `rects`, which lie inside `pixels` and hold at most [`limits::OP_PIXELS`]. Answers with the op's payload.
    // spec: C-40 C-41 C-44
    pub fn code(&mut self, pixels: &Pixels, rects: &[Rect<Surf>], class: TileClass) -> &[u8] {
        let area: u64 = rects.iter().map(|r| r.area()).sum();
        self.best.clear();
        let colours = match class {
            TileClass::Picture => 0,
            TileClass::Text if area <= SMALL => palette::COLOURS,
            TileClass::Text => FEW,
        };
        let mut head = Vec::with_capacity(1 + rects.len() * 6);
        if colours > 0 && self.palette.collect(pixels, rects, colours) {
            let bits = palette::bits(self.palette.colours.len());
            let grey = if self.palette.is_grey() { GREY } else { 0 };
            palette::pack(&self.palette.symbols, bits, &mut self.bits);
            let zipped = self.packer.pack(&self.bits, &mut self.packed);
            self.keep(&mut head, PACKED | grey, rects, zipped, Body::Bits);
            if area > 256 && bits < 8 && self.packer.pack(&self.palette.symbols, &mut self.packed) {
                self.keep(&mut head, BYTES | grey, rects, true, Body::Symbols);
            }
        }
        // A few pixels in a few colours are never beaten by three bytes a pixel.
        if self.best.is_empty() || area > 64 {
            median::residuals(pixels, rects, &mut self.rows, &mut self.planes);
            let zipped = self.packer.pack(&self.planes, &mut self.packed);
            self.keep(&mut head, MEDIAN, rects, zipped, Body::Planes);
        }
        &self.best
    }

    /// Makes the payload and keeps it if it is the smallest yet.
    fn keep(&mut self, head: &mut Vec<u8>, method: u8, rects: &[Rect<Surf>], zipped: bool, body: Body) {
        let raw = match body {
            Body::Bits => &self.bits,
            Body::Symbols => &self.palette.symbols,
            Body::Planes => &self.planes,
        };
        let body = if zipped { &self.packed } else { raw };
        head.clear();
        head.push(method | if zipped { ZSTD } else { 0 });
        put_varint(head, rects.len() as u32);
        for r in rects {
            put_rect(head, *r);
        }
        if method & !GREY != MEDIAN {
            head.push((self.palette.colours.len() - 1) as u8);
            for colour in &self.palette.colours {
                let bytes = colour.to_le_bytes();
                head.extend_from_slice(if method & GREY != 0 { &bytes[..1] } else { &bytes[..3] });
            }
        }
        if self.best.is_empty() || head.len() + body.len() < self.best.len() {
            self.best.clear();
            self.best.extend_from_slice(head);
            self.best.extend_from_slice(body);
        }
    }

    /// How many colours `rect` has, counting no further than `most`.
    pub fn colours(&mut self, pixels: &Pixels, rect: Rect<Surf>, most: usize) -> usize {
        self.palette.count(pixels, rect, most)
    }
}

enum Body {
    Bits,
    Symbols,
    Planes,
}

/// Decodes EXACT ops.
#[derive(Default)]
pub struct ExactDecoder {
    unpacker: Unpacker,
    rows: median::Rows,
    rects: Vec<Rect<Surf>>,
}

impl ExactDecoder {
    /// Writes an op's rectangles to `pixels` and answers with them. `room` is how many pixels the slice may still write.
    // spec: C-40 C-41 C-42 C-43 C-44 C-45
    pub fn apply(&mut self, payload: &[u8], room: u64, pixels: &mut Pixels) -> Result<&[Rect<Surf>], CodecFault> {
        let mut r = Reader::new(payload);
        let method = r.u8()?;
        let count = r.varint()? as usize;
        if count == 0 || count > limits::OP_RECTS {
            return Err(CodecFault::RectCount);
        }
        self.rects.clear();
        let mut area = 0;
        for _ in 0..count {
            let rect = r.rect(pixels.size())?;
            area += rect.area();
            if area > limits::OP_PIXELS {
                return Err(CodecFault::AreaTooLarge);
            }
            self.rects.push(rect);
        }
        if area > room {
            return Err(CodecFault::TooMuchWork);
        }
        let area = area as usize;
        let mut colours: Vec<[u8; 4]> = Vec::new();
        let (len, bits) = match method & !(ZSTD | GREY) {
            MEDIAN if method & GREY == 0 => (area * 3, 0),
            symbols @ (PACKED | BYTES) => {
                let count = usize::from(r.u8()?) + 1;
                if method & GREY != 0 {
                    colours.extend(r.take(count)?.iter().map(|v| [*v, *v, *v, 0]));
                } else {
                    colours.extend(r.take(count * 3)?.chunks_exact(3).map(|c| [c[0], c[1], c[2], 0]));
                }
                let bits = if symbols == BYTES { 8 } else { palette::bits(count) };
                (palette::packed_len(area, bits), bits)
            }
            _ => return Err(CodecFault::ExactMethod),
        };
        let body = r.rest();
        let body = if method & ZSTD != 0 { self.unpacker.unpack(body, len)? } else { body };
        if body.len() != len {
            return Err(CodecFault::BodySize);
        }
        if bits == 0 {
            median::restore(body, &self.rects, &mut self.rows, pixels);
        } else {
            palette::restore(&colours, body, bits, &self.rects, pixels)?;
        }
        Ok(&self.rects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    fn screens() -> Vec<Pixels> {
        let size = Size::new(200, 90);
        let mut rng = Rng::new(4);
        let mut noise = Pixels::new(size);
        noise.data_mut().chunks_exact_mut(4).for_each(|p| p[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]));
        let mut ramp = Pixels::new(size);
        for (i, p) in ramp.data_mut().chunks_exact_mut(4).enumerate() {
            p[..3].copy_from_slice(&[(i % 200) as u8, (i / 200) as u8, (i / 400) as u8]);
        }
        let mut text = Pixels::new(size);
        text.fill(size.rect(), [255, 255, 255]);
        for _ in 0..300 {
            let v = (rng.below(12) * 20) as u8;
            text.fill(Rect::new(rng.below(200) as i32, rng.below(90) as i32, 1 + rng.below(6) as u32, 2), [v, v, v]);
        }
        vec![noise, ramp, text, Pixels::new(size)]
    }

    #[test]
    fn every_content_and_class_survives() {
        for screen in screens() {
            for class in [TileClass::Text, TileClass::Picture] {
                for rects in [
                    vec![Rect::new(3, 4, 1, 1)],
                    vec![Rect::new(0, 0, 9, 14), Rect::new(9, 3, 5, 5)],
                    vec![screen.size().rect()],
                ] {
                    let mut coder = ExactCoder::default();
                    let payload = coder.code(&screen, &rects, class).to_vec();
                    let mut out = Pixels::new(screen.size());
                    let mut decoder = ExactDecoder::default();
                    assert_eq!(decoder.apply(&payload, u64::MAX, &mut out).unwrap(), &rects[..]);
                    for r in &rects {
                        assert!(out.same(&screen, *r));
                    }
                    let area: u64 = rects.iter().map(|r| r.area()).sum();
                    assert!(payload.len() as u64 <= area * 3 + 2 + 8 * rects.len() as u64);
                    assert_eq!(decoder.apply(&payload, area - 1, &mut out), Err(CodecFault::TooMuchWork));
                }
            }
        }
    }

    #[test]
    fn a_glyph_costs_no_more_than_it_must() {
        let screen = &screens()[2];
        let payload = ExactCoder::default().code(screen, &[Rect::new(10, 10, 9, 14)], TileClass::Text).len();
        assert!(payload <= 100, "{payload}");
    }

    // spec: C-43
    #[test]
    fn where_rectangles_overlap_the_later_one_stands() {
        let mut out = Pixels::new(Size::new(4, 4));
        let payload = [BYTES | GREY, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9, 8, 0, 1];
        ExactDecoder::default().apply(&payload, u64::MAX, &mut out).unwrap();
        assert_eq!(out.get(0, 0), Some([8, 8, 8]));
    }

    #[test]
    fn what_is_forbidden_is_named() {
        let mut out = Pixels::new(Size::new(2000, 1000));
        let mut apply = |bytes: &[u8]| ExactDecoder::default().apply(bytes, u64::MAX, &mut out).map(|r| r.len());
        assert_eq!(apply(&[]), Err(CodecFault::Truncated));
        // spec: C-42
        assert_eq!(apply(&[MEDIAN, 0]), Err(CodecFault::RectCount));
        assert_eq!(apply(&[MEDIAN, 1, 0, 0, 0xcf, 0x0f, 0xe7, 0x07]), Err(CodecFault::AreaTooLarge));
        // spec: C-44
        assert_eq!(apply(&[3, 1, 0, 0, 0, 0]), Err(CodecFault::ExactMethod));
        assert_eq!(apply(&[MEDIAN | GREY, 1, 0, 0, 0, 0, 1, 2, 3]), Err(CodecFault::ExactMethod));
        // spec: C-45
        assert_eq!(apply(&[MEDIAN, 1, 0, 0, 0, 0, 1, 2]), Err(CodecFault::BodySize));
        assert_eq!(apply(&[MEDIAN, 1, 0, 0, 0, 0, 1, 2, 3]), Ok(1));
        // spec: C-53
        assert_eq!(apply(&[BYTES | GREY, 1, 0, 0, 0, 0, 1, 9, 8, 2]), Err(CodecFault::PaletteIndex));
        assert_eq!(apply(&[BYTES | GREY, 1, 0, 0, 0, 0, 1, 9, 8, 1]), Ok(1));
        assert_eq!(apply(&[BYTES, 1, 0, 0, 0, 0, 1, 9, 8, 2]), Err(CodecFault::Truncated));
    }
}
