//! Few colours: a palette and one symbol for each pixel.
//!
//! What a glyph, an icon or a table line is made of. Symbols stand in rectangle order, row by row, packed to 1, 2, 4
//! or 8 bits, most significant first; or a byte each, which zstd likes better when there are many.

use crate::fault::CodecFault;
use crate::kernel::pixel;
use telepane_model::{Pixels, Rect, Surf};

/// The most colours in a palette.
pub const COLOURS: usize = 256;
const SLOTS: usize = 1024;

/// A palette in the making: colours in the order in which they were first seen.
#[derive(Debug)]
pub struct Palette {
    /// The colours, blue in the low byte.
    pub colours: Vec<u32>,
    /// One symbol for each pixel.
    pub symbols: Vec<u8>,
    table: Vec<(u32, u16)>,
}

impl Default for Palette {
    fn default() -> Self {
        Self { colours: Vec::new(), symbols: Vec::new(), table: vec![(0, u16::MAX); SLOTS] }
    }
}

impl Palette {
    /// Collects the colours and symbols of `rects`; false, and nothing usable, when there are more than `most` colours.
    // spec: C-52
    pub fn collect(&mut self, pixels: &Pixels, rects: &[Rect<Surf>], most: usize) -> bool {
        self.forget();
        self.symbols.clear();
        self.symbols.reserve(rects.iter().map(|r| r.area() as usize).sum());
        let (mut last, mut symbol) = (u32::MAX, 0);
        for rect in rects {
            for px in pixels.rows(*rect).flat_map(|row| row.chunks_exact(4)) {
                let colour = pixel(px);
                if colour != last {
                    match self.symbol(colour, most) {
                        Some(s) => (last, symbol) = (colour, s),
                        None => return false,
                    }
                }
                self.symbols.push(symbol);
            }
        }
        true
    }

    /// How many colours `rects` have, counting no further than `most`.
    pub fn count(&mut self, pixels: &Pixels, rect: Rect<Surf>, most: usize) -> usize {
        self.forget();
        let mut last = u32::MAX;
        for px in pixels.rows(rect).flat_map(|row| row.chunks_exact(4)) {
            let colour = pixel(px);
            if colour != last {
                if self.symbol(colour, most).is_none() {
                    return most;
                }
                last = colour;
            }
        }
        self.colours.len()
    }

    /// Whether every colour is grey.
    pub fn is_grey(&self) -> bool {
        self.colours.iter().all(|c| *c == (c & 0xff) * 0x01_01_01)
    }

    fn symbol(&mut self, colour: u32, most: usize) -> Option<u8> {
        let mut slot = (colour.wrapping_mul(0x9e37_79b1) >> 22) as usize;
        loop {
            match self.table.get_mut(slot)? {
                (_, free) if *free == u16::MAX => {
                    if self.colours.len() >= most.min(COLOURS) {
                        return None;
                    }
                    let symbol = self.colours.len() as u16;
                    self.table[slot] = (colour, symbol);
                    self.colours.push(colour);
                    return Some(symbol as u8);
                }
                (c, symbol) if *c == colour => return Some(*symbol as u8),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }

    fn forget(&mut self) {
        if !self.colours.is_empty() {
            self.table.fill((0, u16::MAX));
            self.colours.clear();
        }
    }
}

/// The bits of a packed symbol with this many colours.
// spec: C-54
pub const fn bits(colours: usize) -> u32 {
    match colours {
        0..=2 => 1,
        3..=4 => 2,
        5..=16 => 4,
        _ => 8,
    }
}

/// The bytes of `pixels` packed symbols.
pub const fn packed_len(pixels: usize, bits: u32) -> usize {
    (pixels * bits as usize).div_ceil(8)
}

/// Packs symbols, most significant bits first.
// spec: C-54
pub fn pack(symbols: &[u8], bits: u32, out: &mut Vec<u8>) {
    out.clear();
    let per = 8 / bits as usize;
    for group in symbols.chunks(per) {
        let byte = group.iter().fold(0u32, |byte, s| byte << bits | u32::from(*s));
        out.push((byte << (bits as usize * (per - group.len()))) as u8);
    }
}

/// Writes the pixels of `rects` from their symbols: packed ones when `bits` is under 8. `body` is long enough.
// spec: C-52 C-53 C-54 C-55
pub fn restore(
    colours: &[[u8; 4]],
    body: &[u8],
    bits: u32,
    rects: &[Rect<Surf>],
    pixels: &mut Pixels,
) -> Result<(), CodecFault> {
    // A table for every symbol of this depth; those without a colour are found by the largest symbol of a row.
    let mut table = [[0u8; 4]; COLOURS];
    let colours = colours.get(..COLOURS).unwrap_or(colours);
    table[..colours.len()].copy_from_slice(colours);
    let mut at = 0usize;
    for rect in rects {
        let w = rect.w as usize;
        for y in rect.y..rect.bottom() {
            let row = pixels.row_mut(rect.x as u32, y as u32, rect.w).as_chunks_mut::<4>().0;
            let most = match bits {
                1 => unpack::<1>(body, at, &table, row),
                2 => unpack::<2>(body, at, &table, row),
                4 => unpack::<4>(body, at, &table, row),
                _ => unpack::<8>(body, at, &table, row),
            };
            if most.ok_or(CodecFault::BodySize)? >= colours.len() {
                return Err(CodecFault::PaletteIndex);
            }
            at += w;
        }
    }
    Ok(())
}

/// Writes a row of pixels from the symbols of `BITS` bits that begin with the `at`th; answers with the largest symbol.
/// None, and nothing written, if the body is too short.
// spec: C-54
fn unpack<const BITS: usize>(body: &[u8], at: usize, table: &[[u8; 4]; COLOURS], row: &mut [[u8; 4]]) -> Option<usize> {
    let per = 8 / BITS;
    let body = body.get(at / per..(at + row.len()).div_ceil(per))?;
    let mask = (1usize << BITS) - 1;
    let mut most = 0;
    let mut put = |px: &mut [u8; 4], symbol: usize| {
        most = most.max(symbol);
        *px = table[symbol & (COLOURS - 1)];
    };
    // The first byte may belong to the row before in part.
    let skip = at % per;
    let (head, row) = row.split_at_mut(((per - skip) % per).min(row.len()));
    let (first, body) =
        if head.is_empty() { (0, body) } else { body.split_first().map(|(b, rest)| (usize::from(*b), rest))? };
    for (i, px) in head.iter_mut().enumerate() {
        put(px, first >> (BITS * (per - 1 - skip - i)) & mask);
    }
    for (pixels, byte) in row.chunks_mut(per).zip(body) {
        for (i, px) in pixels.iter_mut().enumerate() {
            put(px, usize::from(*byte) >> (BITS * (per - 1 - i)) & mask);
        }
    }
    Some(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    #[test]
    fn symbols_restore_pixels_at_every_depth() {
        let mut rng = Rng::new(9);
        for colours in [1, 2, 3, 4, 5, 16, 17, 255, 256, 257] {
            let size = Size::new(33, 21);
            let mut p = Pixels::new(size);
            for (i, px) in p.data_mut().chunks_exact_mut(4).enumerate() {
                let n = if i < colours { i as u32 } else { rng.below(colours as u64) as u32 };
                px.copy_from_slice(&(n * 0x0103).to_le_bytes());
            }
            let rects = [Rect::new(0, 0, 33, 7), Rect::new(0, 7, 33, 14)];
            let mut palette = Palette::default();
            assert_eq!(palette.collect(&p, &rects, COLOURS), colours <= 256);
            assert_eq!(palette.count(&p, size.rect(), 100), colours.min(100));
            if palette.collect(&p, &rects, COLOURS) {
                let bits = bits(colours);
                let mut body = Vec::new();
                pack(&palette.symbols, bits, &mut body);
                assert_eq!(body.len(), packed_len(33 * 21, bits));
                let table: Vec<[u8; 4]> = palette.colours.iter().map(|c| c.to_le_bytes()).collect();
                let mut q = Pixels::new(size);
                restore(&table, &body, bits, &rects, &mut q).unwrap();
                assert!(p == q);
                if bits < 8 {
                    assert!(restore(&table[..1], &[0xff; 9999], bits, &rects, &mut q).is_err());
                }
            }
        }
    }
}
