//! `.deskrec`, our own recordings: damaged rectangles with their pixels and times.
//!
//! Little endian. Header: `DESKREC` and a zero byte, u16 version (1), u16 zero, u32 width, u32 height. Then records:
//! u32 length of what follows, u8 kind, u64 microseconds since the first record, and the kind's body. Times never
//! fall. A reader skips kinds it does not know and records behind the end.
//!
//! | kind | body |
//! |---|---|
//! | 1 frame | u16 count (at most 1024), count times u16 x, y, w, h; then zstd of the rectangles' rows, BGRX |
//! | 2 size | u32 width, u32 height: the surface is now this large, and black |
//! | 3 end | nothing: how long the last picture stood |
//!
//! A recording that was cut off ends with its last whole record.

use super::{Fault, MOST_AREA, Rows, Step, body, number32};
use crate::held::Held;
use std::io::{Read, Write};
use telepane_model::{FrameFacts, HostClock, Pixels, Rect, Size, Span, Stamp, Surf};

/// The first eight bytes.
pub const MAGIC: [u8; 8] = *b"DESKREC\0";
/// The version written here.
pub const VERSION: u16 = 1;
pub(super) const FRAME: u8 = 1;
const SIZE: u8 = 2;
const END: u8 = 3;
/// A frame has at most so many rectangles.
const MOST_RECTS: usize = 1024;
/// Kind and time.
const HEAD: u32 = 9;

/// A reader after its header.
#[derive(Debug)]
pub(super) struct DeskRec {
    pub(super) size: Size<Surf>,
    last: Span,
}

impl DeskRec {
    /// Reads the header behind the magic.
    pub(super) fn open(from: &mut dyn Read) -> Result<Self, Fault> {
        let version = number32(from)? & 0xffff;
        if version != u32::from(VERSION) {
            return Err(Fault::Version(version));
        }
        let size = Size::new(number32(from)?, number32(from)?);
        check(size)?;
        Ok(Self { size, last: Span::ZERO })
    }

    /// The next record; a record that is cut off is the end.
    pub(super) fn next(&mut self, from: &mut dyn Read) -> Result<Option<Step>, Fault> {
        match self.whole_record(from) {
            Err(Fault::Cut) => Ok(None),
            other => other,
        }
    }

    fn whole_record(&mut self, from: &mut dyn Read) -> Result<Option<Step>, Fault> {
        loop {
            let len = number32(from)?;
            let rest = len.checked_sub(HEAD).ok_or(Fault::Malformed("a record is too short"))?;
            let mut head = [0u8; HEAD as usize];
            from.read_exact(&mut head).map_err(Fault::from)?;
            let [kind, time @ ..] = head;
            let body = body(from, rest, self.size)?;
            let at = Span::micros(u64::from_le_bytes(time));
            if at < self.last {
                return Err(Fault::Malformed("time runs backwards"));
            }
            self.last = at;
            if kind == SIZE {
                let mut rest = body.as_slice();
                let size = Size::new(number32(&mut rest)?, number32(&mut rest)?);
                check(size)?;
                self.size = size;
            }
            if matches!(kind, FRAME | SIZE | END) {
                let kind = kind.into();
                return Ok(Some(Step { at, kind, body }));
            }
        }
    }

    /// Brings `held` to what `step` says.
    pub(super) fn apply(&mut self, step: &Step, held: &mut Held, changed: &mut Vec<Rect<Surf>>) -> Result<(), Fault> {
        match step.kind as u8 {
            SIZE => {
                let mut rest = step.body.as_slice();
                *held = Held::new(Size::new(number32(&mut rest)?, number32(&mut rest)?));
                Ok(())
            }
            FRAME => frame(&step.body, held, changed),
            _ => Ok(()),
        }
    }
}

fn check(size: Size<Surf>) -> Result<(), Fault> {
    if size.is_valid() && size.area() <= MOST_AREA { Ok(()) } else { Err(Fault::Size(size)) }
}

fn frame(body: &[u8], held: &mut Held, changed: &mut Vec<Rect<Surf>>) -> Result<(), Fault> {
    let cut = Fault::Malformed("a frame is cut");
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or(cut)?;
    let count = usize::from(u16::from_le_bytes(*count));
    if count > MOST_RECTS {
        return Err(Fault::Malformed("a frame has too many rectangles"));
    }
    let mut rects = Vec::new();
    let mut area = 0;
    for _ in 0..count {
        let (numbers, after) = rest.split_first_chunk::<8>().ok_or(Fault::Malformed("a frame is cut"))?;
        let n = |i: usize| u16::from_le_bytes([numbers[2 * i], numbers[2 * i + 1]]);
        let r = Rect::<Surf>::new(n(0).into(), n(1).into(), n(2).into(), n(3).into());
        area += r.area();
        if r.is_empty() || !held.size().rect().contains(r) || area > held.size().area() {
            return Err(Fault::Malformed("a rectangle lies outside or twice"));
        }
        rects.push(r);
        rest = after;
    }
    let mut packed = rest;
    let mut rows = Rows::new(&mut packed)?;
    for r in rects {
        let stride = r.w as usize * 4;
        let mut block = Vec::new();
        rows.take(stride, r.h, |_, row| block.extend_from_slice(row))?;
        held.absorb(&block, stride, r, changed);
    }
    rows.end()
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder<W: Write> {
    out: W,
    size: Size<Surf>,
    start: Option<Stamp<HostClock>>,
    last: Stamp<HostClock>,
}

impl<W: Write> Recorder<W> {
    /// Begins a recording of a surface of `size`.
    ///
    /// # Errors
    /// When the size is more than a recording holds, or `out` fails.
    pub fn new(mut out: W, size: Size<Surf>) -> std::io::Result<Self> {
        check(size).map_err(std::io::Error::other)?;
        out.write_all(&MAGIC)?;
        out.write_all(&u32::from(VERSION).to_le_bytes())?;
        out.write_all(&size.w.to_le_bytes())?;
        out.write_all(&size.h.to_le_bytes())?;
        Ok(Self { out, size, start: None, last: Stamp::ZERO })
    }

    /// Adds a frame: the damage of `facts`, with `pixels` as they were then.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn frame(&mut self, facts: &FrameFacts, pixels: &Pixels) -> std::io::Result<()> {
        if pixels.size() != self.size {
            check(pixels.size()).map_err(std::io::Error::other)?;
            self.size = pixels.size();
            let mut body = self.size.w.to_le_bytes().to_vec();
            body.extend(self.size.h.to_le_bytes());
            self.record(SIZE, facts.captured, &body)?;
        }
        let mut region = if self.start.is_none() {
            // Whoever plays from the start has nothing to add to.
            self.size.rect().into()
        } else {
            facts.damage.changed.clone()
        };
        region.clip(self.size.rect());
        region.simplify(MOST_RECTS);
        let mut body = (region.rects().len() as u16).to_le_bytes().to_vec();
        for r in region.rects() {
            for n in [r.x as u32, r.y as u32, r.w, r.h] {
                body.extend((n as u16).to_le_bytes());
            }
        }
        // Level 1: a recorder must keep up with the screen.
        let mut packer = zstd::stream::write::Encoder::new(body, 1)?;
        for r in region.rects() {
            for row in pixels.rows(*r) {
                packer.write_all(row)?;
            }
        }
        let body = packer.finish()?;
        self.record(FRAME, facts.captured, &body)
    }

    /// Ends the recording at `now` and gives back what it was written to.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn finish(mut self, now: Stamp<HostClock>) -> std::io::Result<W> {
        self.record(END, now, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn record(&mut self, kind: u8, at: Stamp<HostClock>, body: &[u8]) -> std::io::Result<()> {
        let start = *self.start.get_or_insert(at);
        self.last = self.last.max(at);
        let len = u32::try_from(body.len())
            .ok()
            .and_then(|n| n.checked_add(HEAD))
            .ok_or_else(|| std::io::Error::other("a frame is too large for a recording"))?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(&[kind])?;
        self.out.write_all(&(self.last - start).as_micros().to_le_bytes())?;
        self.out.write_all(body)
    }
}
