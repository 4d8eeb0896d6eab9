//! What an input method is composing, drawn over the picture at the caret: only the finished text goes to the host.

use super::canvas::Canvas;
use super::glyphs::{Glyph, Glyphs};
use super::text;
use telepane_model::{Rect, Size, View};

/// The most characters shown: a composition is a phrase.
const MOST: usize = 80;
/// The height of its line in the window's pixels, whatever the caret's.
const HEIGHTS: std::ops::RangeInclusive<u32> = 16..=96;
/// Pixels beside the text.
const MARGIN: u32 = 2;
const INK: u8 = 0x10;
/// Blue, green, red, alpha: pale yellow, unlike the text that is there already.
const PAPER: [u8; 4] = [0xe4, 0xff, 0xff, 0xff];

/// What the input method told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Preedit {
    pub(super) text: String,
    /// Its own caret stands before this byte.
    pub(super) cursor: Option<usize>,
}

/// Everything that a drawing depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Composed {
    pub(super) preedit: Preedit,
    pub(super) caret: Rect<View>,
    pub(super) view: Size<View>,
    /// The system's fonts were there.
    pub(super) fonts: bool,
}

/// A composition as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Composing {
    rect: Rect<View>,
    /// Rows of blue, green, red and alpha.
    bgra: Vec<u8>,
}

impl Composing {
    /// Draws it at the desktop's caret; `None` when there is nothing to draw.
    pub(super) fn draw(of: &Composed, glyphs: &mut Glyphs) -> Option<Self> {
        let (preedit, caret, view) = (&of.preedit, of.caret, of.view);
        let height = caret.h.clamp(*HEIGHTS.start(), *HEIGHTS.end()).min(view.h);
        let letters: Vec<(usize, Glyph)> = preedit
            .text
            .char_indices()
            .filter(|(_, c)| !c.is_control())
            .take(MOST)
            .map(|(at, c)| (at, glyphs.draw(c, height).unwrap_or_else(|| plain(c, height))))
            .collect();
        let letters = around(&letters, preedit.cursor, view.w.saturating_sub(2 * MARGIN));
        if letters.is_empty() || !view.is_valid() {
            return None;
        }
        let inner: u32 = letters.iter().map(|(_, g)| g.advance).sum();
        let (w, h) = ((inner + 2 * MARGIN).min(view.w), (height + 3).min(view.h));
        // Over the caret, and inside the window.
        let x = caret.x.clamp(0, (view.w - w) as i32);
        let y = (caret.y.saturating_add((caret.h as i32 - height as i32) / 2)).clamp(0, (view.h - h) as i32);
        let mut bgra = PAPER.repeat(w as usize * h as usize);
        let mut put = |x: i32, y: i32, ink: u8| {
            let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
            let at = (y * w as usize + x) * 4;
            if x < w as usize
                && y < h as usize
                && let Some([b, g, r, _]) = bgra.get_mut(at..).and_then(|p| p.first_chunk_mut::<4>())
            {
                [b, g, r].into_iter().for_each(|c| *c = mixed(*c, ink));
            }
        };
        let mut pen = MARGIN as i32;
        for (at, glyph) in letters {
            if preedit.cursor == Some(*at) {
                (1..height as i32).for_each(|y| put(pen, y, 255));
            }
            for (i, ink) in glyph.coverage.iter().enumerate() {
                put(pen + glyph.left + (i % glyph.w) as i32, 1 + glyph.top + (i / glyph.w) as i32, *ink);
            }
            pen += glyph.advance as i32;
        }
        if preedit.cursor.is_some_and(|at| at >= preedit.text.len()) {
            (1..height as i32).for_each(|y| put(pen, y, 255));
        }
        // Underlined, as what is not finished is everywhere.
        (MARGIN as i32..pen).for_each(|x| put(x, h as i32 - 2, 255));
        Some(Self { rect: Rect::new(x, y, w, h), bgra })
    }

    pub(super) const fn rect(&self) -> Rect<View> {
        self.rect
    }

    /// Draws the part inside `clip`.
    pub(super) fn paint(&self, canvas: &mut Canvas<'_>, clip: Rect<View>) {
        let part = self.rect.intersect(clip);
        for y in part.y..part.bottom() {
            for x in part.x..part.right() {
                let at = ((y - self.rect.y) as usize * self.rect.w as usize + (x - self.rect.x) as usize) * 4;
                if let Some(pixel) = self.bgra.get(at..).and_then(|p| p.first_chunk::<4>()) {
                    canvas.blend(x, y, *pixel);
                }
            }
        }
    }
}

/// As many of the letters as are no wider than the room, at least one, and those beside the input method's caret.
fn around(letters: &[(usize, Glyph)], cursor: Option<usize>, room: u32) -> &[(usize, Glyph)] {
    let mut shown = letters;
    while shown.iter().map(|(_, g)| g.advance).sum::<u32>() > room {
        let before = shown.first().is_some_and(|(at, _)| cursor.is_none_or(|cursor| *at < cursor));
        shown = match shown {
            [_, rest @ ..] if before && !rest.is_empty() => rest,
            [rest @ .., _] if !rest.is_empty() => rest,
            _ => break,
        };
    }
    shown
}

/// Paper under so much ink.
fn mixed(paper: u8, ink: u8) -> u8 {
    let (paper, ink) = (u16::from(paper), u16::from(ink));
    ((paper * (255 - ink) + u16::from(INK) * ink + 127) / 255) as u8
}

/// A character in the window's own small font.
fn plain(c: char, height: u32) -> Glyph {
    let scale = (height / text::GLYPH).max(1) as usize;
    let side = scale * text::GLYPH as usize;
    let rows = text::glyph(c);
    let dot = |i: usize| rows.get(i / side / scale).is_some_and(|bits| bits >> (i % side / scale) & 1 == 1);
    let coverage = (0..side * side).map(|i| if dot(i) { 255 } else { 0 }).collect();
    Glyph { w: side, left: 0, top: (height as i32 - side as i32) / 2, advance: side as u32, coverage }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str, cursor: usize, caret: [i32; 4], view: [u32; 2]) -> Option<Composing> {
        let [x, y, w, h] = caret;
        let caret = Rect::new(x, y, w as u32, h as u32);
        let preedit = Preedit { text: text.to_owned(), cursor: Some(cursor) };
        let of = Composed { preedit, caret, view: Size::new(view[0], view[1]), fonts: false };
        Composing::draw(&of, &mut Glyphs::default())
    }

    #[test]
    fn it_lies_at_the_caret_and_inside_the_window() {
        assert_eq!(drawn("", 0, [10, 10, 1, 20], [200, 100]), None);
        let one = drawn("ni", 2, [10, 10, 1, 20], [200, 100]).expect("drawn").rect();
        assert_eq!((one.x, one.y, one.w, one.h), (10, 10, 36, 23));
        for (caret, view) in [
            ([190, 95, 1, 20], [200, 100]),
            ([-50, -50, 1, 900], [200, 100]),
            ([i32::MAX, i32::MAX, 1, 20], [30, 12]),
            ([0, 0, 1, 1], [1, 1]),
        ] {
            let rect = drawn("にほんご nihongo", 3, caret, view).expect("drawn").rect();
            assert!(Size::<View>::new(view[0], view[1]).rect().contains(rect), "{rect:?}");
        }
    }

    #[test]
    fn letters_caret_and_line_are_ink_on_paper() {
        let drawn = |text| drawn(text, 2, [0, 0, 1, 16], [200, 100]).expect("drawn");
        let (composing, other) = (drawn("il"), drawn("ii"));
        let dark = |c: &Composing| c.bgra.chunks_exact(4).filter(|p| p[2] < 0x80).count();
        assert!(dark(&composing) > 20 && composing != other);
        assert!(composing.bgra.chunks_exact(4).any(|p| p == PAPER));
        let mut data = vec![0; 200 * 100 * 4];
        let view = Size::new(200, 100);
        composing.paint(&mut Canvas::new(&mut data, view).expect("it fits"), Rect::new(5, 0, 200, 100));
        let painted = data.chunks_exact(4).enumerate().filter(|(_, p)| p[..3] != [0; 3]).map(|(i, _)| i % 200);
        assert_eq!(painted.clone().min(), Some(5), "clipped");
        assert_eq!(painted.max(), Some(composing.rect().right() as usize - 1));
    }

    #[test]
    fn where_there_is_no_room_for_all_it_is_shown_about_its_own_caret() {
        let letters: Vec<(usize, Glyph)> = (0..10).map(|at| (at, Glyph { advance: 10, ..Glyph::default() })).collect();
        let shown = |cursor, room| around(&letters, cursor, room).iter().map(|(at, _)| *at).collect::<Vec<_>>();
        assert_eq!(shown(Some(10), 200), (0..10).collect::<Vec<_>>());
        assert_eq!(shown(Some(10), 35), [7, 8, 9]);
        assert_eq!(shown(None, 35), [7, 8, 9]);
        assert_eq!(shown(Some(0), 35), [0, 1, 2]);
        assert_eq!(shown(Some(4), 35), [4, 5, 6]);
        assert_eq!(shown(Some(4), 0), [4]);
    }
}
