//! Text in the window: an 8x8 bitmap font, enlarged by whole factors, so that no font file, shaper or rasteriser is
//! needed to ask for a code. It covers ASCII and Latin-1 (crate `font8x8`, public-domain glyphs); typographic
//! dashes, quotes and the ellipsis become their plain forms, anything else a question mark.

use super::canvas::{Bgr, Canvas};
use font8x8::UnicodeFonts;
use telepane_model::{Rect, View};

/// Pixels of a glyph's side before enlarging.
pub(super) const GLYPH: u32 = 8;

/// What stands for a typed character of a secret.
pub(super) const BULLET: char = '\u{2022}';

/// Eight rows from the top; bit 0 is the leftmost pixel.
pub(super) fn glyph(c: char) -> [u8; 8] {
    let c = match c {
        BULLET => return [0x00, 0x00, 0x18, 0x3c, 0x3c, 0x18, 0x00, 0x00],
        '\u{2013}' | '\u{2014}' => '-',
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{201c}' | '\u{201d}' => '"',
        '\u{2026}' => '.',
        '\u{a0}' => ' ',
        c => c,
    };
    let found = match u32::from(c) {
        0x20..=0x7e => font8x8::BASIC_FONTS.get(c),
        0xa1..=0xff => font8x8::LATIN_FONTS.get(c),
        _ => None,
    };
    found.or_else(|| font8x8::BASIC_FONTS.get('?')).unwrap_or_default()
}

/// The width of `text` in pixels at `scale`.
pub(super) fn width(text: &str, scale: u32) -> u32 {
    let chars = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    chars.saturating_mul(GLYPH).saturating_mul(scale)
}

/// Draws one line with its top left corner at (`x`, `y`), inside `clip` only.
pub(super) fn draw(canvas: &mut Canvas<'_>, clip: Rect<View>, x: i32, y: i32, text: &str, scale: u32, colour: Bgr) {
    let step = (GLYPH * scale) as i32;
    let mut left = x;
    for c in text.chars() {
        if left >= clip.right() {
            return;
        }
        if left.saturating_add(step) > clip.x {
            for (row, bits) in (0i32..).zip(glyph(c)) {
                for column in (0..8i32).filter(|n| bits >> n & 1 == 1) {
                    let s = scale as i32;
                    let dot = Rect::new(left + column * s, y.saturating_add(row * s), scale, scale);
                    canvas.fill(dot.intersect(clip), colour);
                }
            }
        }
        left = left.saturating_add(step);
    }
}

/// Breaks `text` at spaces so that no line is longer than `columns`; a longer word is cut. At most `most` lines.
pub(super) fn wrap(text: &str, columns: usize, most: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0usize;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > columns {
            lines.push(String::new());
            used = 0;
        } else if used > 0 {
            push(&mut lines, ' ');
            used += 1;
        }
        for c in word.chars() {
            if used == columns {
                lines.push(String::new());
                used = 0;
            }
            push(&mut lines, c);
            used += 1;
        }
        if lines.len() > most {
            break;
        }
    }
    lines.truncate(most.max(1));
    lines
}

fn push(lines: &mut [String], c: char) {
    if let Some(line) = lines.last_mut() {
        line.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Size;

    fn drawn(text: &str, clip: Rect<View>, scale: u32) -> Vec<String> {
        let size = Size::new(40, 18);
        let mut data = vec![0; 40 * 18 * 4];
        let mut canvas = Canvas::new(&mut data, size).unwrap();
        draw(&mut canvas, clip, 0, 0, text, scale, [255, 255, 255]);
        data.chunks_exact(40 * 4)
            .map(|row| row.chunks_exact(4).map(|p| if p[0] == 255 { '#' } else { '.' }).collect())
            .collect()
    }

    #[test]
    fn a_letter_has_its_shape() {
        let rows = drawn("L", Rect::new(0, 0, 40, 18), 1);
        let expected = ["####....", ".##.....", ".##.....", ".##.....", ".##...#.", ".##..##.", "#######.", "........"];
        for (row, want) in rows.iter().zip(expected) {
            assert_eq!(&row[..8], want);
        }
        let twice = drawn("L", Rect::new(0, 0, 40, 18), 2);
        assert_eq!(&twice[0][..16], "########........");
        assert_eq!(twice[0], twice[1]);
    }

    #[test]
    fn every_character_draws_something_and_stays_in_the_clip() {
        for c in (0x21u8..=0x7e).map(char::from).chain('\u{a1}'..='\u{ff}').chain([BULLET, '\u{4e00}', '\u{2026}']) {
            if c != '\u{ad}' {
                assert_ne!(glyph(c), [0; 8], "{c:?}");
            }
        }
        assert_ne!(glyph('é'), glyph('e'));
        assert_eq!(glyph('漢'), glyph('?'));
        let rows = drawn("XXXXXXXXXX", Rect::new(4, 2, 9, 3), 2);
        for (y, row) in rows.iter().enumerate() {
            for (x, c) in row.chars().enumerate() {
                assert!(c == '.' || (4..13).contains(&x) && (2..5).contains(&y));
            }
        }
    }

    #[test]
    fn lines_are_broken_at_spaces() {
        assert_eq!(wrap("the host does not answer", 10, 9), ["the host", "does not", "answer"]);
        assert_eq!(wrap("abcdefgh", 3, 9), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 3, 9), [""]);
        assert_eq!(wrap("a b c d e f", 1, 2), ["a", "b"]);
    }
}
