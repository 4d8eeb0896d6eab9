//! Panels: the boxes of text over the picture (seconds without an answer, a message, a question, statistics).
//!
//! A panel is laid out once into a rectangle and lines; two equal panels look the same, so comparing the old list with
//! the new one gives exactly the damage.

use super::Veil;
use super::canvas::{Bgr, Canvas};
use super::text;
use telepane_model::{Rect, Region, Size, View};

const GROUND: Bgr = [0x30, 0x26, 0x20];
const EDGE: Bgr = [0x70, 0x62, 0x58];
const BRIGHT: Bgr = [0xff, 0xff, 0xff];
/// Ordinary text.
pub(super) const PLAIN: Bgr = [0xd8, 0xd0, 0xc8];
/// Names before figures.
pub(super) const FAINT: Bgr = [0xb0, 0xa4, 0x98];
/// The most lines and the most characters of a line that are shown; what is longer comes from a broken caller.
const MAX_LINES: usize = 64;
const MAX_COLUMNS: usize = 240;

/// One box with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Panel {
    rect: Rect<View>,
    scale: u32,
    lines: Vec<Line>,
}

/// Pieces of text side by side, each in its colour.
type Line = Vec<(String, Bgr)>;

/// Where a panel stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Middle,
    Top,
    TopLeft,
}

/// The panels for what the model wants shown. `typed` is the answer so far, in characters to show.
pub(super) fn panels(
    view: Size<View>,
    scale: f64,
    veil: &Veil,
    typed: &str,
    overlay: Option<Vec<Line>>,
    hint: Option<String>,
) -> Vec<Panel> {
    // Twice the font's 8 pixels is readable on an ordinary screen.
    let factor = ((2.0 * scale).round() as u32).clamp(1, 8);
    let mut panels = Vec::new();
    if let Some(lines) = overlay {
        // Statistics are many lines: small ones where the screen is an ordinary one.
        let factor = (scale.round() as u32).clamp(1, 8);
        panels.extend(Panel::new(view, factor, Place::TopLeft, lines));
    }
    if let Some(hint) = hint {
        panels.extend(Panel::new(view, factor, Place::Top, vec![line(hint, BRIGHT)]));
    }
    let veil = match veil {
        Veil::Clear => None,
        Veil::Dim { seconds } => Some(vec![line(format!("no answer for {seconds} s"), BRIGHT)]),
        Veil::Away { why, seconds } => {
            let answer = seconds.map(|s| line(format!("no answer for {s} s; it is asked again and again"), PLAIN));
            Some(std::iter::once(line((*why).to_owned(), BRIGHT)).chain(answer).collect())
        }
        Veil::Message { title, lines } => {
            let rest = lines.iter().map(|l| line(l.clone(), PLAIN));
            Some(std::iter::once(line(title.clone(), BRIGHT)).chain(rest).collect())
        }
        Veil::Ask { prompt, .. } => Some(vec![
            line(prompt.clone(), BRIGHT),
            line(format!("> {typed}_"), PLAIN),
            line("Enter answers, Esc cancels".to_owned(), EDGE),
        ]),
    };
    panels.extend(veil.and_then(|lines| Panel::new(view, factor, Place::Middle, lines)));
    panels
}

fn line(text: String, colour: Bgr) -> Line {
    vec![(text, colour)]
}

fn length(line: &Line) -> usize {
    line.iter().map(|(text, _)| text.chars().count()).sum()
}

impl Panel {
    fn new(view: Size<View>, factor: u32, place: Place, lines: Vec<Line>) -> Option<Self> {
        let longest = lines.iter().map(length).max()?.clamp(1, MAX_COLUMNS) as u32;
        // Statistics are tables: they are made smaller rather than broken. Sentences are broken and stay readable.
        let mut scale = factor;
        while place == Place::TopLeft && scale > 1 && (longest + 2) * text::GLYPH * scale > view.w {
            scale -= 1;
        }
        let unit = text::GLYPH * scale;
        let columns = (view.w / unit).saturating_sub(2).max(1) as usize;
        let mut shown = Vec::new();
        for pieces in lines {
            let room = MAX_LINES.saturating_sub(shown.len());
            if room == 0 {
                break;
            }
            if length(&pieces) <= columns {
                shown.push(pieces);
                continue;
            }
            let colour = pieces.first().map_or(PLAIN, |(_, colour)| *colour);
            let whole: String = pieces.into_iter().map(|(text, _)| text).collect();
            shown.extend(text::wrap(&whole, columns.min(MAX_COLUMNS), room).into_iter().map(|l| line(l, colour)));
        }
        let width = |line: &Line| line.iter().fold(0u32, |w, (l, _)| w.saturating_add(text::width(l, scale)));
        let w = shown.iter().map(width).max()?.saturating_add(2 * unit).min(view.w);
        let h = (shown.len() as u32 * Self::pitch(scale) + unit).min(view.h);
        let (x, y) = match place {
            Place::Middle => (((view.w - w) / 2) as i32, ((view.h - h) / 2) as i32),
            Place::Top => (((view.w - w) / 2) as i32, 0),
            Place::TopLeft => (0, 0),
        };
        let rect = Rect::new(x, y, w, h);
        (!rect.is_empty()).then_some(Self { rect, scale, lines: shown })
    }

    /// Pixels from one line to the next.
    const fn pitch(scale: u32) -> u32 {
        (text::GLYPH + 3) * scale
    }

    pub(super) const fn rect(&self) -> Rect<View> {
        self.rect
    }

    /// Draws the part inside `clip`.
    pub(super) fn paint(&self, canvas: &mut Canvas<'_>, clip: Rect<View>) {
        let clip = clip.intersect(self.rect);
        if clip.is_empty() {
            return;
        }
        let s = self.scale as i32;
        let inner = Rect::between(self.rect.x + s, self.rect.y + s, self.rect.right() - s, self.rect.bottom() - s);
        canvas.fill(clip, EDGE);
        canvas.fill(inner.intersect(clip), GROUND);
        let unit = text::GLYPH as i32 * s;
        let mut y = self.rect.y + unit / 2 + s;
        for line in &self.lines {
            let mut x = self.rect.x + unit;
            for (piece, colour) in line {
                text::draw(canvas, clip, x, y, piece, self.scale, *colour);
                x = x.saturating_add(text::width(piece, self.scale) as i32);
            }
            y = y.saturating_add(Self::pitch(self.scale) as i32);
        }
    }
}

/// What has to be painted anew when the panels change from `old` to `new`.
pub(super) fn damage(old: &[Panel], new: &[Panel]) -> Region<View> {
    let gone = old.iter().filter(|p| !new.contains(p));
    let come = new.iter().filter(|p| !old.contains(p));
    gone.chain(come).map(Panel::rect).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_fits_any_window() {
        let veil = Veil::Message { title: "t".repeat(500), lines: vec!["a line of words".to_owned(); 90] };
        for (w, h) in [(1, 1), (16, 9), (640, 480), (5000, 3000)] {
            for p in
                panels(Size::new(w, h), 1.0, &veil, "", Some(vec![line("x".repeat(70), PLAIN)]), Some("h".repeat(90)))
            {
                assert!(Size::<View>::new(w, h).rect().contains(p.rect()), "{p:?}");
                let mut data = vec![0; (w * h * 4) as usize];
                let mut canvas = Canvas::new(&mut data, Size::new(w, h)).unwrap();
                p.paint(&mut canvas, p.rect());
            }
        }
    }

    #[test]
    fn only_what_changed_is_damaged() {
        let view = Size::new(640, 480);
        let dim =
            |s| panels(view, 1.0, &Veil::Dim { seconds: s }, "", Some(vec![line("rtt 3 ms".to_owned(), PLAIN)]), None);
        assert!(damage(&dim(1), &dim(1)).is_empty());
        let changed = damage(&dim(1), &dim(2));
        assert_eq!(changed.bounds(), dim(2)[1].rect());
        assert!(panels(view, 1.0, &Veil::Clear, "", None, None).is_empty());
        assert_eq!(damage(&dim(1), &[]).rects().len(), 2);
    }

    #[test]
    fn a_sentence_is_broken_and_a_table_is_made_smaller() {
        let view = Size::new(640, 480);
        let table = Some(vec![line("x".repeat(70), PLAIN)]);
        let all = panels(view, 2.0, &Veil::Clear, "", table, Some("a word ".repeat(10)));
        assert_eq!((all[0].scale, all[0].lines.len(), all[1].scale), (1, 1, 4));
        assert!(all[1].lines.len() > 1 && all[1].lines.iter().all(|l| length(l) <= 18), "{:?}", all[1]);
    }

    #[test]
    fn text_is_drawn_inside() {
        let view = Size::new(640, 480);
        let all = panels(view, 1.0, &Veil::Ask { prompt: "Code".to_owned(), secret: true }, "\u{2022}", None, None);
        let mut data = vec![0; 640 * 480 * 4];
        let mut canvas = Canvas::new(&mut data, view).unwrap();
        all[0].paint(&mut canvas, view.rect());
        let bright = data.chunks_exact(4).filter(|p| p[..3] == BRIGHT).count();
        assert!(bright > 100, "{bright}");
    }
}
