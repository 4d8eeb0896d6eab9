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
    let per = 8 / bits as usize;
    let mask = ((1u32 << bits) - 1) as u8;
    let mut at = 0usize;
    for rect in rects {
        for y in rect.y..rect.bottom() {
            for px in pixels.row_mut(rect.x as u32, y as u32, rect.w).chunks_exact_mut(4) {
                let byte = *body.get(at / per).ok_or(CodecFault::BodySize)?;
                let symbol = byte >> (bits as usize * (per - 1 - at % per)) & mask;
                px.copy_from_slice(colours.get(symbol as usize).ok_or(CodecFault::PaletteIndex)?);
                at += 1;
            }
        }
    }
    Ok(())
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
