//! The host's pointer as the platform's own: it moves with the hand, without a round trip and without touching the
//! picture. Where the picture is shown larger or smaller than it is, so is the pointer, by quarters. Shapes are made
//! once and kept. Where the platform refuses a shape, the window draws it itself.

use std::collections::BTreeMap;
use telepane_model::CursorShape;
use telepane_model::cursor::MAX_CURSOR;
use winit::event_loop::ActiveEventLoop;
use winit::window::{Cursor, CursorIcon, CustomCursor, Window};

/// Shapes kept; desktops use a few dozen.
const KEPT: usize = 64;

/// What the window's pointer looks like now.
#[derive(Debug, PartialEq)]
enum Look {
    Arrow,
    Hidden,
    Native(CursorShape),
    Drawn(CursorShape),
}

/// The window's pointer.
#[derive(Debug)]
pub(super) struct Cursors {
    look: Look,
    /// The window draws the shape although the platform could: its own pointer is captured.
    captured: bool,
    /// The last shape that was made larger or smaller, by how many quarters, and what came of it.
    zoomed: Option<(CursorShape, u32, CursorShape)>,
    made: BTreeMap<u32, (CursorShape, Option<CustomCursor>)>,
    /// X11 wants colours premultiplied by alpha and winit passes them through; every other platform gets them straight.
    premultiplied: bool,
}

impl Cursors {
    pub(super) const fn new(x11: bool) -> Self {
        Self { look: Look::Arrow, captured: false, zoomed: None, made: BTreeMap::new(), premultiplied: x11 }
    }

    /// The shape the window has to draw itself.
    pub(super) const fn drawn(&self) -> Option<&CursorShape> {
        match &self.look {
            Look::Drawn(shape) => Some(shape),
            _ => None,
        }
    }

    /// Follows the model: `None` is the platform's arrow, `Some(None)` no pointer at all. `captured`: the window draws it. The
    /// picture is shown `quarters` fourths as large as it is.
    pub(super) fn follow(
        &mut self,
        window: &Window,
        events: &ActiveEventLoop,
        want: Option<Option<&CursorShape>>,
        captured: bool,
        quarters: u32,
    ) {
        let zoomed = want.flatten().filter(|_| quarters != 4).map(|shape| self.zoom(shape, quarters));
        let want = want.map(|shape| zoomed.as_ref().or(shape));
        let kept = std::mem::replace(&mut self.captured, captured) == captured;
        let same = kept
            && match (&self.look, want) {
                (Look::Arrow, None) | (Look::Hidden, Some(None)) => true,
                (Look::Native(have) | Look::Drawn(have), Some(Some(want))) => have == want,
                _ => false,
            };
        if same {
            return;
        }
        self.look = match want {
            None => {
                window.set_cursor(CursorIcon::Default);
                window.set_cursor_visible(true);
                Look::Arrow
            }
            Some(None) => {
                window.set_cursor_visible(false);
                Look::Hidden
            }
            Some(Some(shape)) => match Some(shape).filter(|_| !captured).and_then(|s| self.native(events, s)) {
                Some(cursor) => {
                    window.set_cursor(Cursor::Custom(cursor));
                    window.set_cursor_visible(true);
                    Look::Native(shape.clone())
                }
                None => {
                    window.set_cursor_visible(false);
                    Look::Drawn(shape.clone())
                }
            },
        };
    }

    fn zoom(&mut self, shape: &CursorShape, quarters: u32) -> CursorShape {
        if let Some((from, by, to)) = &self.zoomed
            && (from, *by) == (shape, quarters)
        {
            return to.clone();
        }
        let to = zoomed(shape, quarters);
        self.zoomed = Some((shape.clone(), quarters, to.clone()));
        to
    }

    fn native(&mut self, events: &ActiveEventLoop, shape: &CursorShape) -> Option<CustomCursor> {
        if let Some((kept, cursor)) = self.made.get(&shape.id)
            && kept == shape
        {
            return cursor.clone();
        }
        let cursor = rgba(shape, self.premultiplied).and_then(|rgba| {
            let (hot_x, hot_y) = (shape.hot_x.min(shape.w - 1), shape.hot_y.min(shape.h - 1));
            match CustomCursor::from_rgba(rgba, shape.w, shape.h, hot_x, hot_y) {
                Ok(source) => Some(events.create_custom_cursor(source)),
                Err(error) => {
                    tracing::warn!(%error, "the platform refuses the host's pointer; the window draws it");
                    None
                }
            }
        });
        if self.made.len() >= KEPT {
            self.made.pop_first();
        }
        self.made.insert(shape.id, (shape.clone(), cursor.clone()));
        cursor
    }
}

/// How many fourths as large a picture of `desk` pixels is shown in `shown` pixels; whole numbers, so that a window that is
/// being resized does not make a shape for every step.
pub(super) fn quarters(desk: u32, shown: u32) -> u32 {
    ((u64::from(shown) * 8 / u64::from(desk.max(1))).div_ceil(2) as u32).clamp(1, 16)
}

/// The shape in `quarters` fourths of its size, as far as a shape may be large: each pixel is the mean of those it covers.
fn zoomed(shape: &CursorShape, quarters: u32) -> CursorShape {
    let side = u32::from(shape.w.max(shape.h));
    let q = quarters.min(u32::from(MAX_CURSOR) * 4 / side.max(1));
    let (w, h) = (u32::from(shape.w), u32::from(shape.h));
    if q == 0 || w * h == 0 || shape.bgra.len() as u32 != w * h * 4 {
        return shape.clone();
    }
    let size = |n: u32| (n * q / 4).max(1);
    let covers = |to: u32, from: u32| {
        let first = (to * 4 / q).min(from - 1);
        first..((to + 1) * 4).div_ceil(q).clamp(first + 1, from)
    };
    let mut bgra = Vec::with_capacity((size(w) * size(h) * 4) as usize);
    for y in 0..size(h) {
        for x in 0..size(w) {
            let (mut sum, mut n) = ([0u32; 4], 0);
            for from_y in covers(y, h) {
                for from_x in covers(x, w) {
                    let at = ((from_y * w + from_x) * 4) as usize;
                    for (sum, c) in sum.iter_mut().zip(shape.bgra.get(at..at + 4).unwrap_or_default()) {
                        *sum += u32::from(*c);
                    }
                    n += 1;
                }
            }
            bgra.extend(sum.map(|s| (s / n.max(1)) as u8));
        }
    }
    // The middle of the pixel that points stays the pixel that points.
    let hot = |hot: u16, from: u32| (((u32::from(hot) * 2 + 1) * q / 8).min(size(from) - 1)) as u16;
    let (hot_x, hot_y) = (hot(shape.hot_x, w), hot(shape.hot_y, h));
    CursorShape { id: shape.id, w: size(w) as u16, h: size(h) as u16, hot_x, hot_y, bgra }
}

/// Whether there is anything to see in the shape.
pub(super) fn is_visible(shape: &CursorShape) -> bool {
    shape.w > 0 && shape.h > 0
}

/// The shape's bytes as red, green, blue, alpha; `None` when the shape breaks its invariant.
fn rgba(shape: &CursorShape, premultiplied: bool) -> Option<Vec<u8>> {
    let sides = 1..=MAX_CURSOR;
    let bytes = usize::from(shape.w) * usize::from(shape.h) * 4;
    if !sides.contains(&shape.w) || !sides.contains(&shape.h) || shape.bgra.len() != bytes {
        return None;
    }
    let mut out = Vec::with_capacity(bytes);
    for px in shape.bgra.chunks_exact(4) {
        if let [b, g, r, a] = *px {
            let straight = |c: u8| match (premultiplied, a) {
                (true, _) | (_, 0) => c,
                (false, _) => ((u16::from(c) * 255 + u16::from(a) / 2) / u16::from(a)).min(255) as u8,
            };
            out.extend_from_slice(&[straight(r), straight(g), straight(b), a]);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_as_large_as_the_picture_around_it() {
        assert_eq!(
            [(100, 100), (100, 200), (100, 149), (100, 10), (1, 9_000)].map(|(d, s)| quarters(d, s)),
            [4, 8, 6, 1, 16]
        );
        let bgra: Vec<u8> = (0..6u8).flat_map(|n| [n * 10, n, 0, 255]).collect();
        let shape = CursorShape { id: 1, w: 3, h: 2, hot_x: 2, hot_y: 1, bgra };
        let twice = zoomed(&shape, 8);
        assert_eq!((twice.w, twice.h, twice.hot_x, twice.hot_y), (6, 4, 5, 3));
        for (i, px) in twice.bgra.chunks_exact(4).enumerate() {
            let from = (i / 6 / 2) * 3 + (i % 6) / 2;
            assert_eq!(px, &shape.bgra[from * 4..from * 4 + 4]);
        }
        let half = zoomed(&shape, 2);
        assert_eq!((half.w, half.h, half.hot_x, half.hot_y), (1, 1, 0, 0));
        assert_eq!(half.bgra, [20, 2, 0, 255], "the mean of 0, 10, 30 and 40");
        let wide = CursorShape { w: 256, h: 1, bgra: vec![9; 1024], ..shape };
        assert_eq!((zoomed(&wide, 16).w, zoomed(&wide, 3).w), (256, 192));
    }

    #[test]
    fn colours_are_ordered_and_divided_by_alpha() {
        let mut shape =
            CursorShape { id: 1, w: 1, h: 2, bgra: vec![10, 20, 40, 80, 255, 0, 0, 0], ..Default::default() };
        assert_eq!(rgba(&shape, true).unwrap(), [40, 20, 10, 80, 0, 0, 255, 0]);
        assert_eq!(rgba(&shape, false).unwrap(), [128, 64, 32, 80, 0, 0, 255, 0]);
        shape.h = 3;
        assert_eq!(rgba(&shape, true), None);
        shape = CursorShape { w: 0, ..shape };
        assert_eq!(rgba(&shape, true), None);
        assert!(!is_visible(&shape));
    }
}
