//! The host's pointer as the platform's own: it moves with the hand, without a round trip and without touching the
//! picture. Shapes are made once and kept. Where the platform refuses a shape, the window draws it itself.

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
    made: BTreeMap<u32, (CursorShape, Option<CustomCursor>)>,
    /// X11 wants colours premultiplied by alpha and winit passes them through; every other platform gets them straight.
    premultiplied: bool,
}

impl Cursors {
    pub(super) const fn new(x11: bool) -> Self {
        Self { look: Look::Arrow, captured: false, made: BTreeMap::new(), premultiplied: x11 }
    }

    /// The shape the window has to draw itself.
    pub(super) const fn drawn(&self) -> Option<&CursorShape> {
        match &self.look {
            Look::Drawn(shape) => Some(shape),
            _ => None,
        }
    }

    /// Follows the model: `None` is the platform's arrow, `Some(None)` no pointer at all. `captured`: the window draws it.
    pub(super) fn follow(
        &mut self,
        window: &Window,
        events: &ActiveEventLoop,
        want: Option<Option<&CursorShape>>,
        captured: bool,
    ) {
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
