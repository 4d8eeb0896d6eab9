//! Reading `SEQ2`: whole frames, each alone or as the XOR with the one before, compressed with zstd.
//!
//! Little endian: `SEQ2`, u32 width, u32 height, u32 frames; then per frame u32 milliseconds, u32 kind, u32 length
//! and that many bytes of zstd. Kind 0 is the XOR with the frame before (the first: with black).

use super::{Fault, MOST_AREA, Rows, Step, body, number32};
use crate::held::Held;
use std::io::Read;
use telepane_model::{Rect, Size, Span, Surf};

/// A reader after its header.
#[derive(Debug)]
pub(super) struct Seq {
    pub(super) size: Size<Surf>,
    left: u32,
    /// The last frame, with whatever the fourth bytes hold, as XOR wants it.
    frame: Vec<u8>,
}

impl Seq {
    /// Reads the header behind the magic.
    pub(super) fn open(from: &mut dyn Read) -> Result<Self, Fault> {
        let size = Size::new(number32(from)?, number32(from)?);
        let left = number32(from)?;
        if !size.is_valid() || size.area() > MOST_AREA {
            return Err(Fault::Size(size));
        }
        Ok(Self { size, left, frame: Vec::new() })
    }

    /// The next frame's time and compressed bytes.
    pub(super) fn next(&mut self, from: &mut dyn Read) -> Result<Option<Step>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let at = Span::millis(number32(from)?.into());
        let kind = number32(from)?;
        let len = number32(from)?;
        Ok(Some(Step { at, kind, body: body(from, len, self.size)? }))
    }

    /// Brings `held` to the frame of `step`.
    pub(super) fn apply(&mut self, step: &Step, held: &mut Held, changed: &mut Vec<Rect<Surf>>) -> Result<(), Fault> {
        let stride = self.size.w as usize * 4;
        // Grows with what the file really holds, row by row.
        let mut frame = std::mem::take(&mut self.frame);
        let mut packed = step.body.as_slice();
        let mut rows = Rows::new(&mut packed)?;
        rows.take(stride, self.size.h, |y, row| {
            let start = y as usize * stride;
            if frame.len() < start + stride {
                frame.resize(start + stride, 0);
            }
            if let Some(old) = frame.get_mut(start..start + stride) {
                if step.kind == 0 {
                    old.iter_mut().zip(row).for_each(|(o, n)| *o ^= n);
                } else {
                    old.copy_from_slice(row);
                }
            }
        })?;
        rows.end()?;
        held.absorb(&frame, stride, self.size.rect(), changed);
        self.frame = frame;
        Ok(())
    }
}
