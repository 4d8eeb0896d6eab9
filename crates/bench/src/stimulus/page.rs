//! What the stimulus draws, in the shared frame: a page of text, glyphs in their cells, the patch, and the barcodes that
//! carry the number of a step. The watcher uses the same arithmetic to know what it waits for.

use super::font::{CELL_H, CELL_W, Font};
use crate::shared::Shared;

/// A small generator with a fixed seed (xorshift64*, Vigna): the same text in every run.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Any seed but zero.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n.max(1)
    }
}

/// Draws one character cell.
pub fn glyph(frame: &Shared, font: &Font, c: char, x: usize, y: usize) {
    for dy in 0..CELL_H {
        for dx in 0..CELL_W {
            frame.put(x + dx, y + dy, font.pixel(c, dx, dy, INK, PAPER));
        }
    }
}

/// Draws a line of words of 2 to 9 letters over the whole width from `x` on, on fresh paper, some of it coloured as an
/// editor would.
pub fn text_line(frame: &Shared, font: &Font, chance: &mut Chance, x: usize, y: usize) {
    frame.fill(x, y, frame.width - x, CELL_H, PAPER);
    let mut at = x + CELL_W * chance.below(9) as usize;
    // Lines end where they end: a ragged right edge, and now and then an empty line.
    let end = if chance.below(8) == 0 { at } else { at + (frame.width - at) * (4 + chance.below(6) as usize) / 10 };
    while at + CELL_W < end {
        let letters = 2 + chance.below(8);
        let ink = COLOURS.get(chance.below(COLOURS.len() as u64) as usize).copied().unwrap_or(INK);
        for _ in 0..letters {
            let c = ALPHABET.chars().nth(chance.below(ALPHABET.len() as u64) as usize).unwrap_or('e');
            for dy in 0..CELL_H {
                for dx in 0..CELL_W {
                    frame.put(at + dx, y + dy, font.pixel(c, dx, dy, ink, PAPER));
                }
            }
            at += CELL_W;
            if at + CELL_W >= end {
                break;
            }
        }
        at += CELL_W;
    }
}

/// Fills the frame with paper, and with text from `x` on.
pub fn page(frame: &Shared, font: &Font, chance: &mut Chance, x: usize) {
    frame.fill(0, 0, frame.width, frame.height, PAPER);
    for line in 0..frame.height / CELL_H {
        text_line(frame, font, chance, x, line * CELL_H);
    }
}

/// Where the `n`th typed character goes (from 0): the left half, line by line.
pub fn typed_cell(n: usize, height: usize) -> (usize, usize) {
    let rows = (height / CELL_H).saturating_sub(6).max(1);
    (18 + n % TYPED_COLUMNS * CELL_W, 2 * CELL_H + n / TYPED_COLUMNS % rows * CELL_H)
}

/// Draws what a second application has beside its text: a dark list with some coloured blocks.
pub fn sidebar(frame: &Shared, font: &Font, chance: &mut Chance) {
    frame.fill(0, 0, SIDEBAR - CELL_W, frame.height, DARK);
    for y in (2 * CELL_H..frame.height - 2 * CELL_H).step_by(2 * CELL_H) {
        let colour = COLOURS.get(chance.below(COLOURS.len() as u64) as usize).copied().unwrap_or(INK);
        frame.fill(8, y + 1, 16, 16, colour);
        label(frame, font, chance, 36, y, 24);
    }
}

/// Draws a menu with a dozen and more entries at [`MENU`].
pub fn menu(frame: &Shared, font: &Font, chance: &mut Chance) {
    let (x, y, w, h) = MENU;
    frame.fill(x, y, w, h, 0x5a_6070);
    frame.fill(x + 1, y + 1, w - 2, h - 2, DARK);
    for entry in 0..(h - 16) / (CELL_H + 8) {
        label(frame, font, chance, x + 32, y + 8 + entry * (CELL_H + 8), 26);
    }
}

/// A few light letters on dark.
fn label(frame: &Shared, font: &Font, chance: &mut Chance, x: usize, y: usize, most: u64) {
    for i in 0..6 + chance.below(most - 6) as usize {
        let c = ALPHABET.chars().nth(chance.below(ALPHABET.len() as u64) as usize).unwrap_or('e');
        for dy in 0..CELL_H {
            for dx in 0..CELL_W {
                frame.put(x + i * CELL_W + dx, y + dy, font.pixel(c, dx, dy, 0xd8_dce6, DARK));
            }
        }
    }
}

/// Draws the barcode of `step` at the frame's upper and lower left corner.
pub fn barcodes(frame: &Shared, step: usize) {
    for at in corners(frame.height) {
        barcode(frame, at, step);
    }
}

/// Draws one barcode.
pub fn barcode(frame: &Shared, (x, y): (usize, usize), step: usize) {
    for (i, bit) in bits(step).into_iter().enumerate() {
        frame.fill(x + i * BAR, y, BAR, BAR, if bit { WHITE } else { 0 });
    }
}

/// Where the two barcodes of the whole window are.
pub fn corners(height: usize) -> [(usize, usize); 2] {
    [(0, 0), (0, height - BAR)]
}

/// The bars of a step: 16 bits and 4 to check them.
pub fn bits(step: usize) -> [bool; BARS] {
    let step = step & 0xffff;
    let check = (step ^ step >> 4 ^ step >> 8 ^ step >> 12) & 15 ^ 10;
    let word = step << 4 | check;
    std::array::from_fn(|i| word >> (BARS - 1 - i) & 1 == 1)
}

/// The step of these bars, `None` when the check says no.
pub fn step_of(bars: [bool; BARS]) -> Option<usize> {
    let step = bars.iter().take(16).fold(0, |word, bit| word << 1 | usize::from(*bit));
    (bits(step) == bars).then_some(step)
}

/// Bars of a barcode.
pub const BARS: usize = 20;
/// A bar's width and height in pixels.
pub const BAR: usize = 12;
/// The patch's place and size.
pub const PATCH: (usize, usize, usize, usize) = (448, 512, 64, 64);
/// The patch's two colours.
pub const PATCH_COLOURS: [u32; 2] = [0x18_2430, 0xf0_d860];
/// Paper.
pub const PAPER: u32 = 0xf6_f5f0;
/// Ink.
pub const INK: u32 = 0x1c_1e26;
/// Where the menu opens.
pub const MENU: (usize, usize, usize, usize) = (640, 220, 320, 432);
/// Width of the second application's list.
pub const SIDEBAR: usize = 300;
const DARK: u32 = 0x2b_2f3a;
const WHITE: u32 = 0xff_ffff;
/// Characters in a line of typed text.
const TYPED_COLUMNS: usize = 96;
const COLOURS: &[u32] = &[INK, INK, INK, INK, 0x7a_1f9e, 0x0a_6a3c, 0xa6_3b12, 0x12_4fb4];
const ALPHABET: &str = "eeeetttaaooiinnsshhrrddlluccmmwwffggyyppbbvkjxqz0123456789.-()";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn barcodes_are_read_back_and_a_torn_one_is_not() {
        for step in [0, 1, 77, 4095, 65_535] {
            assert_eq!(step_of(bits(step)), Some(step));
        }
        let mut torn = bits(1000);
        torn[5] = !torn[5];
        assert_eq!(step_of(torn), None);
    }

    #[test]
    fn typed_cells_stay_inside_and_do_not_meet() {
        let cells: std::collections::BTreeSet<_> = (0..3000).map(|n| typed_cell(n, 1080)).collect();
        assert_eq!(cells.len(), 3000);
        assert!(cells.iter().all(|(x, y)| *x + CELL_W < 960 && *y + CELL_H < 1080 - 64));
    }

    #[test]
    fn chance_is_the_same_every_time() {
        let draw = || (0..8).scan(Chance::new(7), |c, _| Some(c.below(100))).collect::<Vec<_>>();
        assert_eq!(draw(), draw());
        assert!(draw().iter().any(|v| *v != draw()[0]));
    }
}
