//! Where the desktop's text is being written: what an input method composes here is shown there.
//!
//! The host's applications tell nobody but their own toolkit where their caret is, so it is seen: a thin upright stroke that
//! changes is a caret that blinks or moves; a small change after a key is what the key wrote, and the caret is behind it;
//! before either, people have clicked where they want to write. What is thin and changes elsewhere (a column of a diagram),
//! or beside what is not thin while nothing is known (the edge of a window that is being painted), is believed only when it
//! changes twice at one place, as a caret does that blinks.
//! Why not ask the applications: `protocol-spec/decisions/0053-where-the-caret-is.md`.

use telepane_model::{Desk, Point, Rect, Region, Surf};

/// A caret's height in the desktop's pixels, from the smallest text to a heading at twice the usual scale.
const HEIGHTS: std::ops::RangeInclusive<u32> = 8..=96;
/// A caret is no wider, at any scale.
const THIN: u32 = 6;
/// What one key writes is no wider: a word that is completed, or a syllable.
const WRITTEN: u32 = 240;
/// A caret's height where nothing has been seen of it.
const USUAL: u32 = 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Caret {
    at: Option<Rect<Surf>>,
    /// A key went to the host, and nothing small has changed since.
    expects: bool,
    /// A stroke that was not believed.
    doubted: Option<Rect<Surf>>,
    /// Where the hand points, while it points to places.
    hand: Option<Point<Desk>>,
}

impl Caret {
    /// The caret, one pixel wide, if anything is known of it.
    pub(super) const fn at(&self) -> Option<Rect<Surf>> {
        self.at
    }

    /// Something was typed.
    pub(super) const fn on_typed(&mut self) {
        self.expects = true;
    }

    /// The pointer went somewhere; a captured one is nowhere.
    pub(super) const fn on_pointed(&mut self, at: Option<Point<Desk>>) {
        self.hand = at;
    }

    /// A click there.
    pub(super) fn on_click(&mut self) {
        if let Some(at) = self.hand {
            self.is_at(Rect::new(at.x, at.y.saturating_sub(USUAL as i32 / 2), 1, USUAL));
        }
    }

    /// This changed on the desktop.
    pub(super) fn on_changed(&mut self, changed: &Region<Surf>) {
        let upright = changed.rects().iter().copied().filter(|r| HEIGHTS.contains(&r.h));
        let is_thin = |r: &Rect<Surf>| r.w <= THIN && r.h >= 2 * r.w;
        let thin = upright.clone().filter(is_thin);
        // One that moves is drawn where it is and taken away where it was.
        let was = |r: &Rect<Surf>| self.at.is_some_and(|at| (at.x, at.y) == (r.x, r.y));
        let stroke = thin.max_by_key(|r| (!was(r), r.h));
        let alone = || changed.rects().iter().all(is_thin);
        let likely = |r: &Rect<Surf>| self.at.map_or_else(alone, |at| r.y < at.bottom() && at.y < r.bottom());
        if let Some(r) = stroke.filter(|r| self.expects || likely(r) || self.doubted == Some(*r)) {
            return self.is_at(Rect::new(r.x, r.y, 1, r.h));
        }
        self.doubted = stroke.or(self.doubted);
        if self.expects
            && let Some(r) = upright.filter(|r| r.w <= WRITTEN).min_by_key(|r| r.area())
        {
            self.is_at(Rect::new(r.right() - 1, r.y, 1, r.h));
        }
    }

    const fn is_at(&mut self, at: Rect<Surf>) {
        (self.at, self.expects, self.doubted) = (Some(at), false, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(caret: &mut Caret, changed: &[[i32; 4]]) -> Option<[i32; 4]> {
        let rects = changed.iter().map(|&[x, y, w, h]| Rect::new(x, y, w as u32, h as u32));
        caret.on_changed(&rects.collect());
        caret.at().map(|r| [r.x, r.y, r.w as i32, r.h as i32])
    }

    fn clicked() -> Caret {
        let mut caret = Caret::default();
        caret.on_click();
        assert_eq!(caret.at(), None);
        caret.on_pointed(Some(Point::new(50, 50)));
        caret.on_click();
        // A captured pointer clicks nowhere.
        caret.on_pointed(None);
        caret.on_click();
        caret
    }

    #[test]
    fn what_is_written_has_the_caret_behind_it() {
        let mut caret = Caret::default();
        assert_eq!(after(&mut caret, &[[100, 40, 9, 14]]), None, "nobody has typed");
        let mut caret = clicked();
        assert_eq!(after(&mut caret, &[[0, 0, 800, 600]]), Some([50, 40, 1, 20]));
        caret.on_typed();
        assert_eq!(after(&mut caret, &[[0, 0, 800, 600]]), Some([50, 40, 1, 20]), "too much for a key");
        assert_eq!(after(&mut caret, &[[60, 42, 9, 14]]), Some([68, 42, 1, 14]));
        assert_eq!(after(&mut caret, &[[200, 42, 9, 14]]), Some([68, 42, 1, 14]), "one change for a key");
    }

    #[test]
    fn a_stroke_that_moves_is_the_caret_where_it_went() {
        let mut caret = Caret::default();
        assert_eq!(after(&mut caret, &[[70, 41, 2, 17]]), Some([70, 41, 1, 17]), "nothing else is known");
        assert_eq!(after(&mut caret, &[[70, 41, 2, 17], [78, 41, 2, 17]]), Some([78, 41, 1, 17]));
        caret.on_typed();
        assert_eq!(after(&mut caret, &[[78, 41, 2, 17], [5, 58, 2, 16]]), Some([5, 58, 1, 16]), "the next line");
    }

    #[test]
    fn the_edge_of_what_is_painted_is_no_caret() {
        let mut caret = Caret::default();
        assert_eq!(after(&mut caret, &[[0, 0, 384, 192], [386, 192, 2, 66]]), None);
        assert_eq!(after(&mut caret, &[[28, 22, 1, 16]]), Some([28, 22, 1, 16]));
    }

    #[test]
    fn a_diagram_elsewhere_is_no_caret_and_a_caret_elsewhere_blinks() {
        let mut caret = clicked();
        for x in 0..9 {
            assert_eq!(after(&mut caret, &[[600 + x, 500, 1, 20 + x]]), Some([50, 40, 1, 20]));
        }
        assert_eq!(after(&mut caret, &[[80, 300, 2, 16]]), Some([50, 40, 1, 20]));
        assert_eq!(after(&mut caret, &[[80, 300, 2, 16]]), Some([80, 300, 1, 16]));
    }
}
