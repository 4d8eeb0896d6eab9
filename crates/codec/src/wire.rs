//! The bytes of a slice: numbers, rectangles and ops, read and written.
//!
//! A slice is a sequence of ops; an op is a kind, a length and a payload (`protocol-spec/codec.md` C-1 to C-8). The
//! reader never looks past what it was given and never allocates.

use crate::fault::CodecFault;
use telepane_model::{Rect, Size, Surf};

/// Kinds of op. The numbers are the wire's; those without a coder here are kept for the coders to come.
// spec: C-7
pub mod kind {
    /// Rectangles in one colour.
    pub const FILL: u8 = 0;
    /// Rectangles copied from elsewhere in the framebuffer.
    pub const MOVE: u8 = 1;
    /// Tiles kept in the viewer's slots, or drawn from them.
    pub const CACHE: u8 = 2;
    /// Rectangles coded without loss by a context model.
    pub const TEXT: u8 = 3;
    /// Pictures in layers.
    pub const PICTURE: u8 = 4;
    /// A fragment of an H.264 frame.
    pub const FILM: u8 = 5;
    /// Rectangles coded without loss by palette or prediction and zstd.
    pub const EXACT: u8 = 6;

    /// The kinds that this codec codes and decodes, as a bit set by kind (capability 1).
    pub const CODED: u64 = 1 << FILL | 1 << MOVE | 1 << CACHE | 1 << TEXT | 1 << PICTURE | 1 << FILM | 1 << EXACT;
}

/// What bounds a slice, and with it the decoder's memory and work.
pub mod limits {
    use telepane_model::{Size, Surf};

    /// The longest slice that is decoded.
    // spec: C-2
    pub const SLICE_BYTES: usize = 1 << 20;
    /// The most pixels one EXACT op may hold: 0.5 Mpx, so that its scratch stays under 2 MiB.
    // spec: C-42
    pub const OP_PIXELS: u64 = 1 << 19;
    /// The most pixels one PICTURE op may hold.
    // spec: C-113
    pub const PICTURE_PIXELS: u64 = 1 << 17;
    /// The most rectangles one op may hold.
    pub const OP_RECTS: usize = 4096;
    /// The bytes that a slot of the tile cache counts for: a tile of 64 by 64 pixels.
    // spec: C-141
    pub const CACHE_SLOT_BYTES: u64 = 16_384;
    /// The most slots of the tile cache: 64 MiB.
    // spec: C-141
    pub const CACHE_SLOTS: u32 = 4096;
    /// Film regions that may be alive at once; each holds a decoder with its reference pictures.
    // spec: C-61
    pub const FILM_SLOTS: u8 = 4;
    /// The longest film frame, all fragments together.
    // spec: C-65
    pub const FILM_BYTES: usize = 4 << 20;
    /// The largest film region in pixels: openh264 codes up to 3840x2160.
    // spec: C-63
    pub const FILM_PIXELS: u64 = 3840 * 2160;
    /// The shortest and the longest side of a film region.
    // spec: C-63
    pub const FILM_SIDE: core::ops::RangeInclusive<u32> = 16..=3840;
    /// The largest zstd window.
    // spec: C-46
    pub const ZSTD_WINDOW_LOG: u32 = 17;

    /// The most pixels one slice may keep in the tile cache: every tile of the surface once, and some.
    // spec: C-145
    pub const fn slice_keeps(size: Size<Surf>) -> u64 {
        size.area() + 65_536
    }

    /// The most pixels the ops of one slice may write to a surface of this size.
    // spec: C-8
    pub const fn slice_pixels(size: Size<Surf>) -> u64 {
        size.area() * 3 + 65_536
    }
}

/// Reads a slice or an op's payload.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the start.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, CodecFault> {
        let (first, rest) = self.rest.split_first().ok_or(CodecFault::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], CodecFault> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(CodecFault::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// A number: seven bits a byte, least significant first, the top bit set on all but the last byte.
    // spec: C-4
    pub fn varint(&mut self) -> Result<u32, CodecFault> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| CodecFault::LongVarint);
            }
        }
        Err(CodecFault::LongVarint)
    }

    /// A signed number: zigzag in a varint.
    // spec: C-5
    pub fn signed(&mut self) -> Result<i32, CodecFault> {
        let n = self.varint()?;
        Ok((n >> 1) as i32 ^ -((n & 1) as i32))
    }

    /// A rectangle that lies inside a surface of `size`.
    // spec: C-6
    pub fn rect(&mut self, size: Size<Surf>) -> Result<Rect<Surf>, CodecFault> {
        let (x, y) = (self.varint()?, self.varint()?);
        let (w, h) = (u64::from(self.varint()?) + 1, u64::from(self.varint()?) + 1);
        let inside = u64::from(x) + w <= u64::from(size.w) && u64::from(y) + h <= u64::from(size.h);
        // A valid surface's sides are at most 16384, so the casts below lose nothing.
        if inside && size.is_valid() {
            Ok(Rect::new(x as i32, y as i32, w as u32, h as u32))
        } else {
            Err(CodecFault::RectOutside)
        }
    }
}

/// The next op of a slice: its kind and its payload.
// spec: C-3
pub fn next_op<'a>(slice: &mut Reader<'a>) -> Result<(u8, &'a [u8]), CodecFault> {
    let kind = slice.u8()?;
    let len = slice.varint()? as usize;
    Ok((kind, slice.take(len)?))
}

/// Appends a number.
// spec: C-4
pub fn put_varint(out: &mut Vec<u8>, mut n: u32) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a signed number.
// spec: C-5
pub fn put_signed(out: &mut Vec<u8>, n: i32) {
    put_varint(out, ((n << 1) ^ (n >> 31)) as u32);
}

/// Appends a rectangle, which is not empty and lies inside the surface.
// spec: C-6
pub fn put_rect(out: &mut Vec<u8>, r: Rect<Surf>) {
    for n in [r.x as u32, r.y as u32, r.w.saturating_sub(1), r.h.saturating_sub(1)] {
        put_varint(out, n);
    }
}

/// The most bytes [`put_rect`] writes: four numbers under 16384.
pub const RECT_BYTES: usize = 8;

/// Appends an op.
// spec: C-3
pub fn put_op(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    out.push(kind);
    put_varint(out, payload.len() as u32);
    out.extend_from_slice(payload);
}

/// How many bytes [`put_op`] writes for a payload of `len`.
pub const fn op_len(len: usize) -> usize {
    1 + len
        + match len {
            0..0x80 => 1,
            0x80..0x4000 => 2,
            0x4000..0x20_0000 => 3,
            _ => 5,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: C-5
    #[test]
    fn numbers_and_ops_survive() {
        let mut out = Vec::new();
        [0, -1, 1, -2, 63].into_iter().for_each(|n| put_signed(&mut out, n));
        assert_eq!(out, [0, 1, 2, 3, 126]);
        out.clear();
        let numbers = [0, 1, 127, 128, 16_383, 16_384, u32::MAX];
        for n in numbers {
            put_varint(&mut out, n);
            put_signed(&mut out, n as i32);
        }
        let mut r = Reader::new(&out);
        for n in numbers {
            assert_eq!(r.varint(), Ok(n));
            assert_eq!(r.signed(), Ok(n as i32));
        }
        for len in [0, 127, 128, 20_000] {
            let mut op = Vec::new();
            put_op(&mut op, 9, &vec![7; len]);
            assert_eq!(op.len(), op_len(len));
            assert_eq!(next_op(&mut Reader::new(&op)), Ok((9, &vec![7u8; len][..])));
        }
    }

    // spec: C-4
    #[test]
    fn a_long_number_is_refused() {
        assert_eq!(Reader::new(&[0xff; 6]).varint(), Err(CodecFault::LongVarint));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x10]).varint(), Err(CodecFault::LongVarint));
        assert_eq!(Reader::new(&[0xff, 0xff]).varint(), Err(CodecFault::Truncated));
    }

    // spec: C-3
    #[test]
    fn an_op_longer_than_its_slice_is_refused() {
        assert_eq!(next_op(&mut Reader::new(&[0, 2, 1])), Err(CodecFault::Truncated));
        assert_eq!(next_op(&mut Reader::new(&[0])), Err(CodecFault::Truncated));
    }

    // spec: C-6
    #[test]
    fn a_rect_outside_is_refused() {
        let size = Size::new(100, 50);
        for (r, ok) in [
            (Rect::new(0, 0, 100, 50), true),
            (Rect::new(99, 49, 1, 1), true),
            (Rect::new(1, 0, 100, 50), false),
            (Rect::new(0, 49, 1, 2), false),
        ] {
            let mut out = Vec::new();
            put_rect(&mut out, r);
            assert!(out.len() <= RECT_BYTES);
            assert_eq!(Reader::new(&out).rect(size), if ok { Ok(r) } else { Err(CodecFault::RectOutside) });
        }
        let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert_eq!(Reader::new(&huge).rect(size), Err(CodecFault::RectOutside));
    }
}
