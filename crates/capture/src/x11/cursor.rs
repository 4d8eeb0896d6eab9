//! The pointer's image and place, by XFIXES notices and XInput raw motion; asked for only when something hints at it.

use std::collections::VecDeque;
use telepane_model::cursor::MAX_CURSOR;
use telepane_model::{CursorShape, CursorState, Point};
use x11rb::protocol::xfixes::GetCursorImageReply;
use x11rb::protocol::xinput::RawMotionEvent;

/// How many earlier images keep their numbers.
const KNOWN_SHAPES: usize = 64;

/// Numbers for images: the same image has the same number for as long as it is remembered, and no number is ever
/// used for two.
#[derive(Debug, Default)]
pub struct ShapeBook {
    known: VecDeque<CursorShape>,
    last: u32,
}

impl ShapeBook {
    /// Gives `shape` its number.
    pub fn number(&mut self, mut shape: CursorShape) -> CursorShape {
        let same = |k: &CursorShape| {
            (k.w, k.h, k.hot_x, k.hot_y) == (shape.w, shape.h, shape.hot_x, shape.hot_y) && k.bgra == shape.bgra
        };
        if let Some(known) = self.known.iter().find(|k| same(k)) {
            return known.clone();
        }
        self.last = self.last.saturating_add(1);
        shape.id = self.last;
        if self.known.len() >= KNOWN_SHAPES {
            self.known.pop_front();
        }
        self.known.push_back(shape.clone());
        shape
    }
}

/// The server's answer as a shape without a number, and the pointer's place. `None` if the answer contradicts itself.
/// An image larger than [`MAX_CURSOR`] is cut, so that the pixel that points stays inside.
pub fn shape_of(image: &GetCursorImageReply) -> Option<(CursorShape, Point<telepane_model::Desk>)> {
    let (w, h) = (usize::from(image.width), usize::from(image.height));
    if image.cursor_image.len() != w * h {
        return None;
    }
    let most = usize::from(MAX_CURSOR);
    let cut = |side: usize, hot: usize| {
        let kept = side.min(most);
        let from = hot.saturating_sub(most / 2).min(side - kept);
        (from, kept)
    };
    let (hot_x, hot_y) =
        (usize::from(image.xhot).min(w.saturating_sub(1)), usize::from(image.yhot).min(h.saturating_sub(1)));
    let ((x0, cw), (y0, ch)) = (cut(w, hot_x), cut(h, hot_y));
    let mut bgra = Vec::with_capacity(cw * ch * 4);
    for y in y0..y0 + ch {
        let row = image.cursor_image.get(y * w + x0..y * w + x0 + cw)?;
        bgra.extend(row.iter().flat_map(|p| p.to_le_bytes()));
    }
    let invisible = bgra.chunks_exact(4).all(|p| p[3] == 0);
    let shape = if invisible {
        CursorShape::default()
    } else {
        CursorShape { id: 0, w: cw as u16, h: ch as u16, hot_x: (hot_x - x0) as u16, hot_y: (hot_y - y0) as u16, bgra }
    };
    Some((shape, Point::new(image.x.into(), image.y.into())))
}

/// The numbers that a device's motion told of both directions: of what XTEST puts somewhere they are the place, of what moves
/// by a distance the distance.
pub(super) fn told_place(motion: &RawMotionEvent) -> Option<Point<telepane_model::Desk>> {
    let both = motion.valuator_mask.first().is_some_and(|axes| axes & 0b11 == 0b11);
    match motion.axisvalues_raw.as_slice() {
        [x, y, ..] if both && x.frac == 0 && y.frac == 0 => Some(Point::new(x.integral, y.integral)),
        _ => None,
    }
}

/// The pointer at `at` with `shape`.
pub(super) fn state(at: Point<telepane_model::Desk>, shape: &CursorShape) -> CursorState {
    CursorState { at, shape: shape.id, visible: shape.w > 0 && shape.h > 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(w: u16, h: u16, hot: (u16, u16), pixel: u32) -> GetCursorImageReply {
        GetCursorImageReply {
            width: w,
            height: h,
            xhot: hot.0,
            yhot: hot.1,
            cursor_image: vec![pixel; usize::from(w) * usize::from(h)],
            ..Default::default()
        }
    }

    #[test]
    fn a_number_is_one_image() {
        let mut book = ShapeBook::default();
        let a = book.number(shape_of(&reply(8, 8, (1, 1), 0xff00_0000)).unwrap().0);
        let b = book.number(shape_of(&reply(8, 8, (2, 1), 0xff00_0000)).unwrap().0);
        assert_ne!(a.id, b.id);
        assert_eq!(book.number(CursorShape { id: 0, ..a.clone() }), a);
        for i in 0..200 {
            book.number(shape_of(&reply(4, 4, (0, 0), 0xff00_0001 + i)).unwrap().0);
        }
        assert!(book.number(CursorShape { id: 0, ..a.clone() }).id > 200);
    }

    #[test]
    fn a_huge_image_is_cut_around_its_hotspot() {
        let (shape, _) = shape_of(&reply(700, 300, (650, 10), 0xffff_ffff)).unwrap();
        assert_eq!((shape.w, shape.h), (MAX_CURSOR, MAX_CURSOR));
        assert!(shape.hot_x < shape.w && shape.hot_y < shape.h);
        assert_eq!(shape.bgra.len(), 4 * usize::from(shape.w) * usize::from(shape.h));
    }

    #[test]
    fn transparent_is_invisible_and_nonsense_is_nothing() {
        let (shape, at) = shape_of(&reply(16, 16, (3, 3), 0)).unwrap();
        assert!(!state(at, &shape).visible);
        let mut lying = reply(16, 16, (3, 3), 1);
        lying.cursor_image.pop();
        assert!(shape_of(&lying).is_none());
        assert!(shape_of(&reply(0, 0, (3, 3), 1)).is_some());
    }
}
