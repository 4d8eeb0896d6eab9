//! Text in pixels: the public-domain 8x8 font of the crate `font8x8`, stretched to twelve rows in a cell of 8x16.

use telepane_model::{Pixels, Rect, Surf};

/// A cell's width, pixels.
pub const CELL_W: u32 = 8;
/// A cell's height, pixels: twelve rows of glyph and four of space.
pub const CELL_H: u32 = 16;

/// Which row of the 8x8 glyph each of the twelve rows shows.
const ROWS: [usize; 12] = [0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7];

/// Draws one character with its cell's background; gives the cell.
pub fn glyph(p: &mut Pixels, x: i32, y: i32, c: char, ink: [u8; 3], paper: [u8; 3]) -> Rect<Surf> {
    let cell = Rect::new(x, y, CELL_W, CELL_H);
    p.fill(cell, paper);
    let bits = font8x8::legacy::BASIC_LEGACY.get(c as usize).copied().unwrap_or_default();
    let clip = cell.intersect(p.size().rect());
    for (dy, from) in ROWS.iter().enumerate() {
        let row_y = y + 2 + dy as i32;
        if row_y < clip.y || row_y >= clip.bottom() {
            continue;
        }
        let row = p.row_mut(clip.x as u32, row_y as u32, clip.w);
        for (i, px) in row.chunks_exact_mut(4).enumerate() {
            let column = clip.x - x + i as i32;
            if bits[*from] >> column & 1 != 0 {
                px.copy_from_slice(&[ink[0], ink[1], ink[2], 0]);
            }
        }
    }
    cell
}

/// Draws a line of text.
pub fn line(p: &mut Pixels, x: i32, y: i32, text: &str, ink: [u8; 3], paper: [u8; 3]) {
    for (i, c) in text.chars().enumerate() {
        glyph(p, x + (i as u32 * CELL_W) as i32, y, c, ink, paper);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Size;

    #[test]
    fn letters_differ_and_stay_in_their_cell() {
        let mut p = Pixels::new(Size::new(32, 32));
        let cell = glyph(&mut p, 8, 8, 'R', [255; 3], [9; 3]);
        let r = p.crop(cell);
        glyph(&mut p, 8, 8, 'B', [255; 3], [9; 3]);
        assert!(r != p.crop(cell));
        assert_eq!(p.get(7, 8), Some([0; 3]));
        assert_eq!(p.get(16, 8), Some([0; 3]));
        // R's stem is on the left, its bowl opens to the right.
        assert!(r.data().chunks_exact(4).filter(|px| px[0] == 255).count() > 20);
        glyph(&mut p, -4, -4, 'W', [1; 3], [2; 3]);
        glyph(&mut p, 30, 30, '\u{1f600}', [1; 3], [2; 3]);
    }
}
