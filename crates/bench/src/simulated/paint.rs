//! What the invented desktops are painted with: the stimulus's anti-aliased letters on `model::Pixels`.

use crate::stimulus::font::{CELL_H, CELL_W, Font};
use telepane_model::{Pixels, Rect, Rng, Surf};

/// A colour: blue, green, red.
pub type Colour = [u8; 3];

/// Paper.
pub const PAPER: Colour = [0xf0, 0xf5, 0xf6];
/// Ink.
pub const INK: Colour = [0x26, 0x1e, 0x1c];
/// A line's height in pixels.
pub const LINE: u32 = CELL_H as u32;
/// A letter's width in pixels.
pub const LETTER: u32 = CELL_W as u32;

const COLOURS: [Colour; 8] =
    [INK, INK, INK, INK, [0x9e, 0x1f, 0x7a], [0x3c, 0x6a, 0x0a], [0x12, 0x3b, 0xa6], [0xb4, 0x4f, 0x12]];
const ALPHABET: &[u8] = b"eeeetttaaooiinnsshhrrddlluccmmwwffggyyppbbvkjxqz0123456789.-()";

/// Letters, and the hand that writes them.
pub struct Painter {
    font: Font,
}

impl Painter {
    /// Draws the alphabet.
    pub fn new() -> Self {
        Self { font: Font::new() }
    }

    /// Writes one letter with its paper; gives the cell.
    pub fn letter(&self, p: &mut Pixels, c: char, x: i32, y: i32, ink: Colour, paper: Colour) -> Rect<Surf> {
        let cell = Rect::new(x, y, LETTER, LINE);
        p.fill(cell, paper);
        let Some(cover) = self.font.glyph(c) else { return cell };
        let clip = cell.intersect(p.size().rect());
        for row in clip.y..clip.bottom() {
            let from = (row - y) as usize * CELL_W + (clip.x - x) as usize;
            for (px, cover) in p.row_mut(clip.x as u32, row as u32, clip.w).chunks_exact_mut(4).zip(&cover[from..]) {
                for ((out, ink), paper) in px.iter_mut().zip(ink).zip(paper) {
                    let (i, u, c) = (u32::from(ink), u32::from(paper), u32::from(*cover));
                    *out = ((i * c + u * (255 - c) + 127) / 255) as u8;
                }
            }
        }
        cell
    }

    /// Writes a word.
    pub fn word(&self, p: &mut Pixels, word: &str, x: i32, y: i32, ink: Colour, paper: Colour) {
        for (i, c) in word.chars().enumerate() {
            self.letter(p, c, x + (i as u32 * LETTER) as i32, y, ink, paper);
        }
    }

    /// Line `number` of an endless text, `w` pixels wide, on fresh paper: words of 2 to 9 letters, some coloured, a
    /// ragged edge, some lines empty.
    pub fn line(&self, p: &mut Pixels, seed: u64, number: u64, x: i32, y: i32, w: u32) {
        p.fill(Rect::new(x, y, w, LINE), PAPER);
        let mut rng = Rng::new(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if rng.below(8) == 0 {
            return;
        }
        let right = x + w as i32;
        let mut at = x + (LETTER * rng.below(9) as u32) as i32;
        let end = at + ((right - at).max(0) as u64 * (4 + rng.below(6)) / 10) as i32;
        while at + (LETTER as i32) < end {
            let ink = COLOURS[rng.below(8) as usize];
            for _ in 0..2 + rng.below(8) {
                if at + LETTER as i32 >= end {
                    break;
                }
                let c = ALPHABET[rng.below(ALPHABET.len() as u64) as usize] as char;
                self.letter(p, c, at, y, ink, PAPER);
                at += LETTER as i32;
            }
            at += LETTER as i32;
        }
    }

    /// Fills `rect` with lines from `first` on.
    pub fn page(&self, p: &mut Pixels, seed: u64, first: u64, rect: Rect<Surf>) {
        p.fill(rect, PAPER);
        for i in 0..rect.h / LINE {
            self.line(p, seed, first + u64::from(i), rect.x, rect.y + (i * LINE) as i32, rect.w);
        }
    }

    /// Moves the page in `rect` up by `lines`; `next` is the number of the first line that comes into view.
    pub fn scroll(&self, p: &mut Pixels, seed: u64, next: u64, lines: u32, rect: Rect<Surf>) {
        let rows = rect.h / LINE;
        let lines = lines.min(rows);
        let stride = p.stride();
        let (x, w) = (rect.x as usize * 4, rect.w as usize * 4);
        for row in rect.y as usize..rect.y as usize + ((rows - lines) * LINE) as usize {
            let from = (row + (lines * LINE) as usize) * stride + x;
            p.data_mut().copy_within(from..from + w, row * stride + x);
        }
        for i in 0..lines {
            let y = rect.y + ((rows - lines + i) * LINE) as i32;
            self.line(p, seed, next + u64::from(i), rect.x, y, rect.w);
        }
    }
}

impl Default for Painter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Size;

    #[test]
    fn a_scrolled_page_is_the_page_further_down() {
        let painter = Painter::new();
        let size = Size::new(300, LINE * 10);
        let (mut a, mut b) = (Pixels::new(size), Pixels::new(size));
        painter.page(&mut a, 3, 0, size.rect());
        painter.scroll(&mut a, 3, 10, 4, size.rect());
        painter.page(&mut b, 3, 4, size.rect());
        assert!(a == b);
        let greys = b.data().chunks_exact(4).filter(|px| px[1] > 60 && px[1] < 200).count();
        assert!(greys > 500, "anti-aliased: {greys}");
    }
}
