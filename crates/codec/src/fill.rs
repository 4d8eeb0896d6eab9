//! The FILL op: rectangles in one colour.
//!
//! Payload: blue, green, red, then rectangles to the end. A cleared window is a dozen bytes.

use crate::fault::CodecFault;
use crate::kernel::pixel;
use crate::wire::{Reader, limits, put_rect};
use telepane_model::{Pixels, Rect, Surf};

/// The colour of `rect`, if it has only one. `rect` lies inside `pixels` and is not empty.
pub fn solid(pixels: &Pixels, rect: Rect<Surf>) -> Option<[u8; 3]> {
    let mut rows = pixels.rows(rect);
    let first = rows.next()?;
    let colour = pixel(first);
    let mut even = first.chunks_exact(4).all(|px| pixel(px) == colour);
    even = even && rows.all(|row| crate::kernel::same(row, first));
    let [b, g, r, _] = colour.to_le_bytes();
    even.then_some([b, g, r])
}

/// The payload for `rects` in `colour`.
// spec: C-20
pub fn payload(colour: [u8; 3], rects: &[Rect<Surf>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 + rects.len() * 6);
    out.extend_from_slice(&colour);
    for r in rects {
        put_rect(&mut out, *r);
    }
    out
}

/// Applies an op; adds the rectangles to `changed`. `room` is how many pixels the slice may still write.
// spec: C-20 C-21
pub fn apply(payload: &[u8], room: u64, pixels: &mut Pixels, changed: &mut Vec<Rect<Surf>>) -> Result<u64, CodecFault> {
    let mut r = Reader::new(payload);
    let colour = [r.u8()?, r.u8()?, r.u8()?];
    let (mut count, mut area) = (0, 0u64);
    while !r.is_empty() || count == 0 {
        if r.is_empty() || count == limits::OP_RECTS {
            return Err(CodecFault::RectCount);
        }
        let rect = r.rect(pixels.size())?;
        area += rect.area();
        if area > room {
            return Err(CodecFault::TooMuchWork);
        }
        pixels.fill(rect, colour);
        changed.push(rect);
        count += 1;
    }
    Ok(area)
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Size;

    // spec: C-20
    #[test]
    fn fills_and_finds_one_colour() {
        let mut p = Pixels::new(Size::new(70, 40));
        let rects = [Rect::new(1, 1, 60, 3), Rect::new(5, 20, 2, 2)];
        let mut changed = Vec::new();
        assert_eq!(apply(&payload([1, 2, 3], &rects), 1000, &mut p, &mut changed), Ok(184));
        assert_eq!(changed, rects);
        assert_eq!(solid(&p, rects[0]), Some([1, 2, 3]));
        assert_eq!(solid(&p, Rect::new(0, 1, 2, 1)), None);
        assert_eq!(solid(&p, Rect::new(5, 19, 1, 2)), None);
    }

    // spec: C-21
    #[test]
    fn no_rect_and_too_much_work_are_refused() {
        let mut p = Pixels::new(Size::new(70, 40));
        let mut changed = Vec::new();
        assert_eq!(apply(&[1, 2, 3], 10, &mut p, &mut changed), Err(CodecFault::RectCount));
        assert_eq!(apply(&[1, 2], 10, &mut p, &mut changed), Err(CodecFault::Truncated));
        let big = payload([1, 2, 3], &[Rect::new(0, 0, 70, 40)]);
        assert_eq!(apply(&big, 2799, &mut p, &mut changed), Err(CodecFault::TooMuchWork));
    }
}
