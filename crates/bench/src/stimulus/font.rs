//! Anti-aliased letters from a small stroke font: each is a few polylines on a grid of 5 by 9, drawn with a round pen
//! whose coverage is the distance to the stroke. The result has the grey edges of real text at 13 px, which is what makes
//! text hard for a picture codec; a bitmap font would flatter every peer.

/// Width of a character cell in pixels.
pub const CELL_W: usize = 9;
/// Height of a character cell, which is a line of text.
pub const CELL_H: usize = 18;

/// Coverage of a whole alphabet, made once.
#[derive(Debug)]
pub struct Font {
    glyphs: Vec<[u8; CELL_W * CELL_H]>,
}

impl Font {
    /// Draws the alphabet.
    pub fn new() -> Self {
        Self { glyphs: STROKES.iter().map(|(_, strokes)| draw(strokes)).collect() }
    }

    /// Coverage of a character, 0 to 255, row by row; `None` for one that is not in the font (a space draws nothing).
    pub fn glyph(&self, c: char) -> Option<&[u8; CELL_W * CELL_H]> {
        STROKES.iter().position(|(known, _)| *known == c).and_then(|i| self.glyphs.get(i))
    }

    /// One pixel of a character in `ink` on `paper`.
    pub fn pixel(&self, c: char, x: usize, y: usize, ink: u32, paper: u32) -> u32 {
        let coverage = self.glyph(c).and_then(|g| g.get(y * CELL_W + x)).copied().unwrap_or(0);
        blend(ink, paper, coverage)
    }
}

impl Default for Font {
    fn default() -> Self {
        Self::new()
    }
}

/// `ink` over `paper`, channel by channel, rounded.
fn blend(ink: u32, paper: u32, coverage: u8) -> u32 {
    let channel = |shift: u32| {
        let (i, p, c) = ((ink >> shift) & 255, (paper >> shift) & 255, u32::from(coverage));
        ((i * c + p * (255 - c) + 127) / 255) << shift
    };
    channel(16) | channel(8) | channel(0)
}

fn draw(strokes: &str) -> [u8; CELL_W * CELL_H] {
    let lines: Vec<Vec<(f32, f32)>> =
        strokes.split(',').map(|line| line.split(' ').filter(|p| !p.is_empty()).filter_map(point).collect()).collect();
    let segments: Vec<_> =
        lines.iter().flat_map(|line| line.windows(2).filter_map(|w| Some((*w.first()?, *w.get(1)?)))).collect();
    let mut cover = [0; CELL_W * CELL_H];
    for (i, out) in cover.iter_mut().enumerate() {
        let centre = ((i % CELL_W) as f32 + 0.5, (i / CELL_W) as f32 + 0.5);
        let nearest = segments.iter().map(|&(a, b)| distance(centre, a, b)).fold(f32::MAX, f32::min);
        *out = ((PEN / 2.0 + 0.5 - nearest).clamp(0.0, 1.0) * 255.0).round() as u8;
    }
    cover
}

/// A grid point such as `"36"` (x 3, y 6) in the cell's pixels.
fn point(text: &str) -> Option<(f32, f32)> {
    let mut digits = text.chars().map(|c| c.to_digit(10).map(|d| d as f32));
    let (x, y) = (digits.next()??, digits.next()??);
    Some((1.3 + x * 1.5, 3.2 + y * 1.5))
}

fn distance(p: (f32, f32), a: (f32, f32), b: (f32, f32)) -> f32 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let t = if length == 0.0 { 0.0 } else { (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length).clamp(0.0, 1.0) };
    let (ex, ey) = (p.0 - a.0 - t * dx, p.1 - a.1 - t * dy);
    (ex * ex + ey * ey).sqrt()
}

/// The letters that are typed and make up the text.
pub const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
/// The pen's width in pixels.
const PEN: f32 = 1.25;
/// Polylines on the grid: ascenders reach y 0, the x-height is y 2, the baseline y 6, descenders y 8.
const STROKES: &[(char, &str)] = &[
    ('a', "12 32 43 46,44 14 05 16 36 45"),
    ('b', "00 06,03 12 32 43 45 36 16 05"),
    ('c', "43 32 12 03 05 16 36 45"),
    ('d', "40 46,43 32 12 03 05 16 36 45"),
    ('e', "04 44 43 32 12 03 05 16 36 45"),
    ('f', "40 30 21 26,03 43"),
    ('g', "42 47 38 18 07,43 32 12 03 05 16 36 45"),
    ('h', "00 06,03 12 32 43 46"),
    ('i', "20 20,22 26"),
    ('j', "30 30,32 37 28 18"),
    ('k', "00 06,42 04 46"),
    ('l', "10 20 25 36"),
    ('m', "02 06,03 12 23 26,23 32 43 46"),
    ('n', "02 06,03 12 32 43 46"),
    ('o', "12 32 43 45 36 16 05 03 12"),
    ('p', "02 08,03 12 32 43 45 36 16 05"),
    ('q', "42 48,43 32 12 03 05 16 36 45"),
    ('r', "02 06,03 12 32 43"),
    ('s', "43 32 12 03 14 34 45 36 16 05"),
    ('t', "10 15 26 36,02 32"),
    ('u', "02 05 16 36 45,42 46"),
    ('v', "02 26 42"),
    ('w', "02 16 23 36 42"),
    ('x', "02 46,42 06"),
    ('y', "02 26,42 18 08"),
    ('z', "02 42 06 46"),
    ('0', "10 30 41 45 36 16 05 01 10"),
    ('1', "11 20 26"),
    ('2', "01 10 30 41 42 06 46"),
    ('3', "00 40 22 32 43 45 36 16 05"),
    ('4', "36 30 04 44"),
    ('5', "40 00 02 32 43 45 36 16 05"),
    ('6', "40 20 02 05 16 36 45 43 32 03"),
    ('7', "00 40 16"),
    ('8', "12 01 10 30 41 32 12 03 05 16 36 45 43 32"),
    ('9', "05 16 36 45 41 30 10 01 02 13 43"),
    ('.', "26 26"),
    ('-', "04 44"),
    ('(', "30 22 25 38"),
    (')', "10 22 25 18"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_has_ink_grey_edges_and_its_own_shape() {
        let font = Font::new();
        let glyphs: Vec<_> = LETTERS.chars().map(|c| font.glyph(c).unwrap()).collect();
        for glyph in &glyphs {
            assert!(glyph.iter().any(|c| *c > 200), "ink");
            assert!(glyph.iter().any(|c| (32..224).contains(c)), "grey");
            assert_eq!(glyphs.iter().filter(|g| g == &glyph).count(), 1, "distinct");
        }
    }

    #[test]
    fn ink_covers_paper() {
        assert_eq!(blend(0x10_2030, 0xf0_f0f0, 255), 0x10_2030);
        assert_eq!(blend(0x10_2030, 0xf0_f0f0, 0), 0xf0_f0f0);
    }
}
