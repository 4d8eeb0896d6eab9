//! The TEXT op: rectangles without loss by a context model and an adaptive range coder.
//!
//! Screens of text are runs of one colour and shapes that come again. Runs are coded by their length; elsewhere each
//! pixel is guessed from its neighbours by tables that remember what followed them before ([`model`]), and only
//! whether a guess is right is coded, with probabilities that adapt ([`range`]). A [`Lane`] holds one model, which runs
//! on from op to op of a chain. Lanes are independent: ops that are not *open* and overlap nothing may be coded and
//! decoded by several threads, one lane each ([`Lane::decode`] only reads the framebuffer).

pub mod model;
pub mod range;
pub mod rows;

use crate::fault::CodecFault;
use crate::wire::{RECT_BYTES, Reader, limits, put_rect, put_varint};
use model::{Kept, Model};
use range::{RangeDecoder, RangeEncoder, TAIL};
use rows::{Rows, View};
use telepane_model::{Pixels, Rect, Surf};

/// How many lanes there are.
// spec: C-82
pub const LANES: usize = 4;
/// The lane's bits in an op's first byte.
const LANE: u8 = 0x03;
/// The model begins anew.
pub const FRESH: u8 = 0x04;
/// Neighbours outside of a rectangle are those of the framebuffer.
pub const OPEN: u8 = 0x08;
/// What the framebuffer holds in a rectangle is looked at.
pub const OLD: u8 = 0x10;
/// The lane's wide model is used.
// spec: C-156
const WIDE: u8 = 0x20;
/// How many models there are: a narrow and a wide one for each lane.
pub const MODELS: usize = 2 * LANES;

/// Bins for each pixel and op: what coding a pixel may cost on average. Text takes less than one; a photograph, which has
/// coders of its own, thirty.
// spec: C-86
pub const PIXEL_BINS: u64 = 8;
/// Bins that an op may cost beyond.
// spec: C-86
pub const OP_BINS: u64 = 1024;
/// As many pixels' work a fresh model counts as.
// spec: C-85
pub const FRESH_PIXELS: u64 = 4096;
/// And a fresh wide one.
// spec: C-158
pub const FRESH_WIDE_PIXELS: u64 = 8192;

/// One model and what coding with it needs. [`Send`], and independent of any other lane.
pub struct Lane {
    model: Box<Model>,
    /// The model before the rectangle being coded, but for its tables.
    before: Box<Kept>,
    rows: Rows,
    coder: RangeEncoder,
    /// Bytes and bins after each row of a rectangle.
    ends: Vec<(usize, u64)>,
    payload: Vec<u8>,
    decoded: Vec<u8>,
}

impl Default for Lane {
    /// With a narrow model.
    fn default() -> Self {
        Self::new(false)
    }
}

impl Lane {
    /// With a wide model, or a narrow one.
    pub fn new(wide: bool) -> Self {
        Self {
            model: Model::new(wide),
            before: Box::default(),
            rows: Rows::default(),
            coder: RangeEncoder::default(),
            ends: Vec::new(),
            payload: Vec::new(),
            decoded: Vec::new(),
        }
    }

    /// Back to the trained state.
    pub fn reset(&mut self) {
        self.model.reset();
    }
}

/// How far coding a rectangle went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coded {
    /// To its end.
    Whole,
    /// So many rows fit.
    Rows(u32),
    /// So many rows do not take too many bins; the rest is no text.
    Costly(u32),
}

/// An op being coded: its rectangles so far.
#[derive(Clone, Debug, Default)]
pub struct OpInMaking {
    flags: u8,
    rects: Vec<Rect<Surf>>,
    pixels: u64,
}

impl OpInMaking {
    /// Pixels coded so far.
    pub const fn pixels(&self) -> u64 {
        self.pixels
    }

    /// The rectangles coded so far.
    pub fn rects(&self) -> &[Rect<Surf>] {
        &self.rects
    }
}

impl Lane {
    /// Begins an op. `flags` are [`FRESH`], [`OPEN`] and [`OLD`] with the lane's number.
    pub fn begin(&mut self, flags: u8) -> OpInMaking {
        if flags & FRESH != 0 {
            self.reset();
        }
        self.coder.clear();
        let flags = flags | if self.model.is_wide() { WIDE } else { 0 };
        OpInMaking { flags, rects: Vec::new(), pixels: 0 }
    }

    /// Codes as many rows of `rect`, which lies in both, as keep the payload within `limit` bytes. The caller then brings
    /// `held`, which is the viewer's framebuffer, to `newest` in those rows.
    // spec: C-83 C-86
    pub fn encode(
        &mut self,
        op: &mut OpInMaking,
        newest: &Pixels,
        held: &Pixels,
        rect: Rect<Surf>,
        limit: usize,
    ) -> Coded {
        // The head: flags, number of rectangles, rectangles.
        let head = 3 + (op.rects.len() + 1) * RECT_BYTES;
        let limit = limit.saturating_sub(head);
        if limit == 0 || op.rects.len() == limits::OP_RECTS || op.pixels + rect.area() > limits::OP_PIXELS {
            return Coded::Rows(0);
        }
        let mark = self.coder.mark();
        self.model.keep(&mut self.before);
        let all = self.encode_rows(op, newest, held, rect, rect.h, limit);
        let (rows, coded) = match all {
            None => (rect.h, Coded::Whole),
            Some(costly) => {
                let row = u64::from(rect.w);
                let fits = |(i, (bytes, bins)): (usize, &(usize, u64))| {
                    *bytes <= limit && *bins <= (op.pixels + row * (i as u64 + 1)) * PIXEL_BINS + OP_BINS
                };
                let rows = self.ends.iter().enumerate().take_while(|end| fits(*end)).count() as u32;
                self.model.go_back(&self.before, self.coder.overwritten());
                self.coder.return_to(&mark);
                if rows > 0 {
                    self.encode_rows(op, newest, held, rect, rows, limit);
                }
                (rows, if costly { Coded::Costly(rows) } else { Coded::Rows(rows) })
            }
        };
        if rows > 0 {
            let part = Rect::new(rect.x, rect.y, rect.w, rows);
            op.rects.push(part);
            op.pixels += part.area();
        }
        coded
    }

    /// Codes rows until they are too long (`Some(false)`) or too costly (`Some(true)`).
    fn encode_rows(
        &mut self,
        op: &OpInMaking,
        newest: &Pixels,
        held: &Pixels,
        rect: Rect<Surf>,
        rows: u32,
        limit: usize,
    ) -> Option<bool> {
        let view = View { rect, open: op.flags & OPEN != 0, old: op.flags & OLD != 0 };
        self.rows.begin(&view, held);
        self.ends.clear();
        for y in rect.y..rect.y + rows as i32 {
            self.rows.code(&mut self.coder, &mut self.model, &view, y, held, Some(newest));
            let (bytes, bins) = (self.coder.most(), self.coder.used());
            self.ends.push((bytes, bins));
            let pixels = op.pixels + u64::from(rect.w) * self.ends.len() as u64;
            if bins > pixels * PIXEL_BINS + OP_BINS {
                return Some(true);
            }
            if bytes > limit {
                return Some(false);
            }
        }
        None
    }

    /// Ends an op that has a rectangle: its payload.
    // spec: C-80
    pub fn finish(&mut self, op: &OpInMaking) -> &[u8] {
        self.payload.clear();
        self.payload.push(op.flags);
        put_varint(&mut self.payload, op.rects.len() as u32);
        op.rects.iter().for_each(|r| put_rect(&mut self.payload, *r));
        self.payload.extend_from_slice(self.coder.finish());
        &self.payload
    }

    /// Decodes one rectangle of an op after another; `put` hears of each with its pixels (four bytes each) and the
    /// framebuffer to write them to before the next is decoded.
    // spec: C-83 C-84 C-86 C-88
    fn decode_rects<H: std::borrow::Borrow<Pixels>>(
        &mut self,
        op: &TextOp<'_>,
        held: &mut H,
        mut put: impl FnMut(&mut H, Rect<Surf>, &[u8]),
    ) -> Result<(), CodecFault> {
        if op.flags & FRESH != 0 {
            self.reset();
        }
        let mut coder = RangeDecoder::new(op.body);
        let most = op.pixels * PIXEL_BINS + OP_BINS;
        for rect in &op.rects {
            let view = View { rect: *rect, open: op.flags & OPEN != 0, old: op.flags & OLD != 0 };
            self.decoded.clear();
            self.rows.begin(&view, (*held).borrow());
            for y in rect.y..rect.bottom() {
                self.rows.code(&mut coder, &mut self.model, &view, y, (*held).borrow(), None);
                if coder.used() > most {
                    return Err(CodecFault::TextBudget);
                }
                if coder.taken() > op.body.len() + TAIL {
                    return Err(CodecFault::TextEnd);
                }
                let start = self.decoded.len();
                self.decoded.resize(start + rect.w as usize * 4, 0);
                let to = self.decoded[start..].as_chunks_mut::<4>().0.iter_mut();
                to.zip(self.rows.coded()).for_each(|(to, colour)| *to = colour.to_le_bytes());
            }
            put(held, *rect, &self.decoded);
        }
        if coder.taken() < op.body.len() { Err(CodecFault::BodySize) } else { Ok(()) }
    }

    /// Decodes an op onto the framebuffer.
    pub fn apply(&mut self, op: &TextOp<'_>, pixels: &mut Pixels) -> Result<(), CodecFault> {
        self.decode_rects(op, pixels, |pixels, rect, bytes| {
            let row_bytes = rect.w as usize * 4;
            for (y, row) in (rect.y..rect.bottom()).zip(bytes.chunks_exact(row_bytes)) {
                pixels.row_mut(rect.x as u32, y as u32, rect.w).copy_from_slice(row);
            }
        })
    }

    /// Decodes an op that is not open beside the framebuffer, so that lanes can work at the same time. Each rectangle
    /// comes with its pixels, to be pasted in the ops' order.
    ///
    /// # Errors
    /// The op's fault; [`CodecFault::TextFlags`] as well when the op is open.
    pub fn decode(&mut self, op: &TextOp<'_>, held: &Pixels) -> Result<Vec<(Rect<Surf>, Pixels)>, CodecFault> {
        if op.flags & OPEN != 0 {
            return Err(CodecFault::TextFlags);
        }
        let mut all = Vec::new();
        let mut held = held;
        self.decode_rects(op, &mut held, |_, rect, bytes| {
            all.extend(Pixels::from_bgrx(rect.size(), bytes.to_vec()).map(|pixels| (rect, pixels)));
        })?;
        Ok(all)
    }
}

/// An op as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextOp<'a> {
    flags: u8,
    rects: Vec<Rect<Surf>>,
    pixels: u64,
    body: &'a [u8],
}

impl<'a> TextOp<'a> {
    /// Reads a payload for a surface of this size. `room` is how many pixels the slice may still write.
    // spec: C-80 C-81 C-82 C-85 C-156
    pub fn parse(payload: &'a [u8], room: u64, size: telepane_model::Size<Surf>) -> Result<Self, CodecFault> {
        let mut r = Reader::new(payload);
        let flags = r.u8()?;
        if flags & !(LANE | FRESH | OPEN | OLD | WIDE) != 0 {
            return Err(CodecFault::TextFlags);
        }
        let count = r.varint()? as usize;
        if count == 0 || count > limits::OP_RECTS {
            return Err(CodecFault::RectCount);
        }
        let (mut rects, mut pixels) = (Vec::new(), 0);
        for _ in 0..count {
            let rect = r.rect(size)?;
            pixels += rect.area();
            if pixels > limits::OP_PIXELS {
                return Err(CodecFault::AreaTooLarge);
            }
            rects.push(rect);
        }
        let new = Self { flags, rects, pixels, body: r.rest() };
        if new.work() > room { Err(CodecFault::TooMuchWork) } else { Ok(new) }
    }

    /// [`FRESH`], [`OPEN`], [`OLD`], the lane's number, and whether its wide model is meant.
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// Which lane decodes it.
    pub const fn lane(&self) -> usize {
        (self.flags & LANE) as usize
    }

    /// Whether the lane's wide model does.
    pub const fn is_wide(&self) -> bool {
        self.flags & WIDE != 0
    }

    /// Which of all [`MODELS`] that is.
    // spec: C-82 C-156
    pub const fn model(&self) -> usize {
        self.lane() + if self.is_wide() { LANES } else { 0 }
    }

    /// Whether it looks at the framebuffer around its rectangles, and so must wait for the ops before.
    pub const fn is_open(&self) -> bool {
        self.flags & OPEN != 0
    }

    /// What it writes.
    pub fn rects(&self) -> &[Rect<Surf>] {
        &self.rects
    }

    /// What it counts as, in pixels.
    // spec: C-85 C-158
    pub const fn work(&self) -> u64 {
        let fresh = match (self.flags & FRESH != 0, self.is_wide()) {
            (false, _) => 0,
            (true, false) => FRESH_PIXELS,
            (true, true) => FRESH_WIDE_PIXELS,
        };
        self.pixels + fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    /// Text, noise, slopes and plain areas on one screen.
    fn screen(size: Size<Surf>, rng: &mut Rng) -> Pixels {
        let mut p = Pixels::new(size);
        p.fill(size.rect(), [250, 250, 250]);
        for _ in 0..size.area() / 60 {
            let v = (rng.below(9) * 28) as u8;
            let at = Rect::new(rng.below(u64::from(size.w)) as i32, rng.below(u64::from(size.h)) as i32, 3, 2);
            p.fill(at, [v, v, v.wrapping_add(rng.below(2) as u8)]);
        }
        if rng.below(3) == 0 {
            let at = Rect::new(rng.below(u64::from(size.w)) as i32, 0, 9, 9).intersect(size.rect());
            for y in at.y..at.bottom() {
                p.row_mut(at.x as u32, y as u32, at.w)
                    .chunks_exact_mut(4)
                    .for_each(|px| px[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]));
            }
        }
        p
    }

    fn part(size: Size<Surf>, rng: &mut Rng) -> Rect<Surf> {
        let (x, y) = (rng.below(u64::from(size.w)) as i32, rng.below(u64::from(size.h)) as i32);
        Rect::new(x, y, 1 + rng.below(90) as u32, 1 + rng.below(40) as u32).intersect(size.rect())
    }

    /// Ops of all flags with all limits, one after the other in one lane.
    // spec: C-80 C-83 C-84 C-87 C-88 C-89 C-94 C-95 C-96 C-97 C-98 C-99 C-100 C-156 C-157
    #[test]
    fn what_was_coded_comes_back() {
        for seed in 0..60 {
            let mut rng = Rng::new(seed);
            let size = Size::new(1 + rng.below(150) as u32, 1 + rng.below(80) as u32);
            let (mut held, mut shown) = (Pixels::new(size), Pixels::new(size));
            let wide = seed % 2 == 1;
            let (mut here, mut there) = (Lane::new(wide), Lane::new(wide));
            for _ in 0..12 {
                let newest = if rng.below(3) == 0 { held.clone() } else { screen(size, &mut rng) };
                let flags = [0, FRESH, OPEN, OLD, OPEN | OLD][rng.below(5) as usize];
                let mut op = here.begin(flags);
                let limit = [40, 300, 9600][rng.below(3) as usize];
                for _ in 0..1 + rng.below(3) {
                    let rect = part(size, &mut rng);
                    let rows = match here.encode(&mut op, &newest, &held, rect, limit) {
                        Coded::Whole => rect.h,
                        Coded::Rows(rows) | Coded::Costly(rows) => rows,
                    };
                    held.copy_from(&newest, Rect::new(rect.x, rect.y, rect.w, rows));
                }
                if op.rects().is_empty() {
                    if flags & FRESH != 0 {
                        there.reset();
                    }
                    continue;
                }
                let payload = here.finish(&op).to_vec();
                assert!(payload.len() <= limit, "{} {limit}", payload.len());
                let op = TextOp::parse(&payload, u64::MAX, size).unwrap();
                assert_eq!(op.model(), if wide { 4 } else { 0 });
                there.apply(&op, &mut shown).unwrap();
                assert!(held == shown, "seed {seed} flags {flags}");
            }
        }
    }

    #[test]
    fn what_is_forbidden_is_named() {
        let size = Size::new(2000, 1000);
        let parse = |bytes: &[u8], room| TextOp::parse(bytes, room, size).map(|op| (op.lane(), op.work()));
        // spec: C-80
        assert_eq!(parse(&[], 9), Err(CodecFault::Truncated));
        assert_eq!(parse(&[0, 0], 9), Err(CodecFault::RectCount));
        assert_eq!(parse(&[0, 1, 0, 0, 0xcf, 0x0f, 0xe7, 0x07], 9), Err(CodecFault::AreaTooLarge));
        // spec: C-81
        for flag in [0x40, 0x80] {
            assert_eq!(parse(&[flag, 1, 0, 0, 0, 0], 9), Err(CodecFault::TextFlags));
        }
        // spec: C-82
        assert_eq!(parse(&[3, 1, 0, 0, 2, 2], 9), Ok((3, 9)));
        // spec: C-85
        assert_eq!(parse(&[3, 1, 0, 0, 2, 2], 8), Err(CodecFault::TooMuchWork));
        assert_eq!(parse(&[FRESH, 1, 0, 0, 2, 2], 4104), Err(CodecFault::TooMuchWork));
        assert_eq!(parse(&[FRESH, 1, 0, 0, 2, 2], 4105), Ok((0, 4105)));
        // spec: C-158
        assert_eq!(parse(&[FRESH | WIDE, 1, 0, 0, 2, 2], 8200), Err(CodecFault::TooMuchWork));
        assert_eq!(parse(&[FRESH | WIDE | 2, 1, 0, 0, 2, 2], 8201), Ok((2, 8201)));
    }

    /// What an op costs is bounded whatever its bytes say.
    // spec: C-86
    #[test]
    fn hostile_bodies_end_soon() {
        let size = Size::new(300, 300);
        let mut rng = Rng::new(9);
        let mut found = Vec::new();
        for seed in 0..300 {
            let mut payload = vec![[0, OPEN, OLD, FRESH][seed % 4], 1];
            put_rect(&mut payload, Rect::new(0, 0, 1 + rng.below(300) as u32, 1 + rng.below(300) as u32));
            payload.extend((0..rng.below(30_000)).map(|_| rng.next_u64() as u8));
            let op = TextOp::parse(&payload, u64::MAX, size).unwrap();
            found.extend(Lane::default().apply(&op, &mut Pixels::new(size)).err());
        }
        for fault in [CodecFault::TextBudget, CodecFault::TextEnd, CodecFault::BodySize] {
            assert!(found.contains(&fault), "{fault:?}");
        }
    }

    /// Lanes that stand alone may be decoded beside each other: the same pixels, whichever comes first.
    #[test]
    fn lanes_are_independent() {
        fn sendable<T: Send>() {}
        sendable::<Lane>();
        let mut rng = Rng::new(3);
        let size = Size::new(150, 80);
        let (held, newest) = (screen(size, &mut rng), screen(size, &mut rng));
        let halves = [Rect::new(0, 0, 150, 40), Rect::new(0, 40, 150, 40)];
        let mut payloads = Vec::new();
        for (n, rect) in halves.iter().enumerate() {
            let mut lane = Lane::default();
            let mut op = lane.begin(OLD | n as u8);
            assert_eq!(lane.encode(&mut op, &newest, &held, *rect, 9600), Coded::Whole);
            payloads.push(lane.finish(&op).to_vec());
        }
        let mut shown = held.clone();
        for payload in payloads.iter().rev() {
            let op = TextOp::parse(payload, u64::MAX, size).unwrap();
            for (rect, pixels) in Lane::default().decode(&op, &held).unwrap() {
                shown.paste(&pixels, rect.x, rect.y);
            }
        }
        assert!(shown == newest);
        let open = TextOp::parse(&[OPEN, 1, 0, 0, 0, 0], 9, size).unwrap();
        assert_eq!(Lane::default().decode(&open, &held), Err(CodecFault::TextFlags));
    }
}
