//! The MOVE op: rectangles copied from elsewhere in the framebuffer.
//!
//! Payload: dx, dy, then destination rectangles to the end. They are copied one after the other, each as if its source
//! were read whole before the first pixel is written, so a scroll by less than its own height works.

use crate::fault::CodecFault;
use crate::wire::{Reader, limits, put_rect, put_signed};
use telepane_model::{Pixels, Rect, Surf};

/// The payload that moves pixels by (`dx`, `dy`) to `rects`.
// spec: C-30
pub fn payload(dx: i32, dy: i32, rects: &[Rect<Surf>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(6 + rects.len() * 6);
    put_signed(&mut out, dx);
    put_signed(&mut out, dy);
    for r in rects {
        put_rect(&mut out, *r);
    }
    out
}

/// Applies an op; adds the rectangles to `changed`. `room` is how many pixels the slice may still write.
// spec: C-30 C-31 C-32 C-33 C-34
pub fn apply(payload: &[u8], room: u64, pixels: &mut Pixels, changed: &mut Vec<Rect<Surf>>) -> Result<u64, CodecFault> {
    let mut r = Reader::new(payload);
    let (dx, dy) = (r.signed()?, r.signed()?);
    if (dx, dy) == (0, 0) {
        return Err(CodecFault::MoveNowhere);
    }
    let (mut count, mut area) = (0, 0u64);
    while !r.is_empty() || count == 0 {
        if r.is_empty() || count == limits::OP_RECTS {
            return Err(CodecFault::RectCount);
        }
        let to = r.rect(pixels.size())?;
        area += to.area();
        if area > room {
            return Err(CodecFault::TooMuchWork);
        }
        let from = source(to, dx, dy).filter(|from| pixels.size().rect().contains(*from));
        copy(pixels, from.ok_or(CodecFault::MoveOutside)?, to);
        changed.push(to);
        count += 1;
    }
    Ok(area)
}

/// The distance an op moves by, if its payload begins with one.
pub fn distance(payload: &[u8]) -> Option<(i32, i32)> {
    let mut r = Reader::new(payload);
    Some((r.signed().ok()?, r.signed().ok()?))
}

/// Where the pixels of `to` come from.
pub fn source(to: Rect<Surf>, dx: i32, dy: i32) -> Option<Rect<Surf>> {
    Some(Rect::new(to.x.checked_sub(dx)?, to.y.checked_sub(dy)?, to.w, to.h))
}

/// Copies `from` to `to`; both have the same size and lie inside `pixels`.
// spec: C-31
pub fn copy(pixels: &mut Pixels, from: Rect<Surf>, to: Rect<Surf>) {
    let (stride, len) = (pixels.stride(), to.w as usize * 4);
    let place = |r: Rect<Surf>, row: u32| (r.y as usize + row as usize) * stride + r.x as usize * 4;
    let data = pixels.data_mut();
    let mut line = |row: u32| {
        let (a, b) = (place(from, row), place(to, row));
        if a + len <= data.len() && b + len <= data.len() {
            data.copy_within(a..a + len, b);
        }
    };
    // Rows in the order in which no source row is overwritten before it is read.
    if to.y > from.y {
        (0..to.h).rev().for_each(&mut line);
    } else {
        (0..to.h).for_each(&mut line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    // spec: C-31
    #[test]
    fn overlapping_moves_read_before_they_write() {
        let mut rng = Rng::new(11);
        let size = Size::new(40, 30);
        let mut p = Pixels::new(size);
        p.data_mut().chunks_exact_mut(4).for_each(|px| px[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]));
        for (dx, dy) in [(0, 3), (0, -3), (5, 0), (-5, 0), (4, 2), (-4, 2), (4, -2), (-4, -2), (1, 0)] {
            let to = Rect::new(8, 8, 20, 12);
            let mut want = p.clone();
            want.paste(&p.crop(to.offset(-dx, -dy)), to.x, to.y);
            let mut got = p.clone();
            let mut changed = Vec::new();
            assert_eq!(apply(&payload(dx, dy, &[to]), 240, &mut got, &mut changed), Ok(240));
            assert!(got == want, "{dx},{dy}");
            assert_eq!(changed, [to]);
        }
    }

    #[test]
    fn what_is_forbidden_is_named() {
        let mut p = Pixels::new(Size::new(40, 30));
        let to = Rect::new(0, 0, 10, 10);
        let mut run = |bytes: Vec<u8>| apply(&bytes, 150, &mut p, &mut Vec::new());
        // spec: C-33
        assert_eq!(run(payload(1, 0, &[to])), Err(CodecFault::MoveOutside));
        assert_eq!(run(payload(i32::MIN, 0, &[to])), Err(CodecFault::MoveOutside));
        assert_eq!(run(payload(-1, i32::MAX, &[to])), Err(CodecFault::MoveOutside));
        // spec: C-34
        assert_eq!(run(payload(0, 0, &[to])), Err(CodecFault::MoveNowhere));
        assert_eq!(run(payload(-1, 0, &[])), Err(CodecFault::RectCount));
        assert_eq!(run(payload(-1, 0, &[to, to])), Err(CodecFault::TooMuchWork));
    }
}
