//! The PICTURE op: photographs in layers, the last of them exact.
//!
//! A rectangle is cut along the grid of tiles into cells; a cell becomes luma and two chroma planes, each a pyramid of
//! reversible 5/3 wavelets ([`crate::kernel::wavelet`]). A layer keeps the coefficients to so many bits
//! ([`crate::kernel::bands`]), coded by static rANS ([`rans`]).
//!
//! Nothing is kept between layers: what a finer one adds is coded against the transform of what the framebuffer shows,
//! which gives the coarser layer's coefficients back wherever no pixel was clipped. So layers follow the chain, moves and
//! rebases like all pixels do, and the viewer needs no more than its framebuffer (C-10). A layer is cut short by leaving
//! cells or planes for later.

pub mod rans;
pub(crate) mod tables;

use crate::fault::CodecFault;
use crate::kernel::bands::{ABSENT, Kind, Rows, Shifts, walk};
use crate::kernel::wavelet::{Plane, SIDE, forward, inverse, join, split};
use crate::wire::{Reader, limits, put_rect, put_varint};
use rans::{Coder, Mark, Source};
use tables::SETS;
use telepane_model::{Grid, Pixels, Rect, Surf};

/// How much of a picture is sent.
// spec: C-114
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The colours of areas of 16 by 16 pixels and a little more: under 0.01 bytes a pixel.
    Preview,
    /// The first view: some 35 dB.
    First,
    /// Some 40 dB.
    Fine,
    /// Every bit.
    Exact,
}

impl Layer {
    /// All, coarsest first.
    pub const ALL: [Self; 4] = [Self::Preview, Self::First, Self::Fine, Self::Exact];

    /// The shifts of luma and of chroma. Steps follow the gains of the 5/3 synthesis (the L2 norms of JPEG 2000, Taubman
    /// and Marcellin), so that an error costs alike in every band; chroma, spread over two channels at half weight, has
    /// steps twice as large.
    const fn shifts(self) -> &'static [Shifts; 2] {
        match self {
            Self::Preview => &PREVIEW,
            Self::First => &FIRST,
            Self::Fine => &FINE,
            Self::Exact => &EXACT,
        }
    }
}

// spec: C-120
const fn shifts(low: u8, high: [[u8; 2]; 4]) -> Shifts {
    Shifts { low, high }
}
const NO: [u8; 2] = [ABSENT; 2];
const PREVIEW: [Shifts; 2] = [shifts(2, [[5, 5], NO, NO, NO]), shifts(3, [[6, 6], NO, NO, NO])];
const FIRST: [Shifts; 2] = [shifts(1, [[2, 2], [3, 3], [4, 4], [4, 4]]), shifts(2, [[3, 3], [4, 4], [5, 5], [5, 6]])];
const FINE: [Shifts; 2] = [shifts(0, [[1, 1], [2, 2], [3, 3], [3, 4]]), shifts(1, [[2, 2], [3, 3], [4, 4], [4, 5]])];
const EXACT: [Shifts; 2] = [shifts(0, [[0; 2]; 4]); 2];

/// Which planes an op brings: luma, orange, green, from the lowest bit on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes(u8);

impl Planes {
    /// Luma and both chroma planes.
    pub const ALL: Self = Self(7);
    /// Luma only.
    pub const LUMA: Self = Self(1);
    /// Both chroma planes.
    pub const CHROMA: Self = Self(6);

    const fn has(self, plane: usize) -> bool {
        self.0 >> plane & 1 != 0
    }
}

/// What an op does: from which layer, none for a first one, to which, in which planes.
// spec: C-111
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the viewer has.
    pub from: Option<Layer>,
    /// What it is to have.
    pub to: Layer,
    /// In these planes.
    pub planes: Planes,
}

impl Step {
    /// All planes.
    pub const fn new(from: Option<Layer>, to: Layer) -> Self {
        Self { from, to, planes: Planes::ALL }
    }

    /// Whether the viewer then sees something else than the pixels that were coded.
    const fn seen(self) -> bool {
        !matches!(self.to, Layer::Exact) || self.planes.0 != Planes::ALL.0
    }

    const fn byte(self) -> u8 {
        let from = match self.from {
            Some(layer) => layer as u8 + 1,
            None => 0,
        };
        self.to as u8 | from << 2 | self.planes.0 << 4
    }

    /// Reads a byte: the step, and the set of probabilities.
    // spec: C-111
    fn of(byte: u8) -> Result<(Self, usize), CodecFault> {
        let to = Layer::ALL[usize::from(byte & 3)];
        let from = usize::from(byte >> 2 & 3).checked_sub(1).map(|l| Layer::ALL[l]);
        let planes = Planes(byte >> 4 & 7);
        if from.is_some_and(|l| l >= to) || planes.0 == 0 {
            return Err(CodecFault::PictureStep);
        }
        Ok((Self { from, to, planes }, usize::from(byte >> 7)))
    }
}

/// Whether a payload leads to every bit in all planes: what it wrote is exact.
// spec: C-111
pub fn is_exact(payload: &[u8]) -> bool {
    payload.first().is_some_and(|byte| Step::of(*byte).is_ok_and(|(step, _)| !step.seen()))
}

/// The planes of a cell, what is wanted and what is shown.
struct Cell {
    planes: [Plane; 3],
    shown: [Plane; 3],
}

impl Default for Cell {
    fn default() -> Self {
        Self { planes: [[0; SIDE * SIDE]; 3], shown: [[0; SIDE * SIDE]; 3] }
    }
}

impl Cell {
    /// Brings the cell's planes from what they were to what `step` makes of them, through `rows`. `shown` was read.
    // spec: C-115 C-117
    fn walk<R: Rows>(&mut self, rows: &mut R, step: Step, (w, h): (usize, usize)) {
        for i in 0..3 {
            let (before, rest) = self.planes.split_at_mut(i);
            let (Some(plane), Some(shown)) = (rest.first_mut(), self.shown.get_mut(i)) else { return };
            if !step.planes.has(i) {
                *plane = *shown;
                continue;
            }
            let chroma = usize::from(i > 0);
            let from = step.from.map(|from| {
                forward(shown, w, h);
                (&*shown, &from.shifts()[chroma])
            });
            if R::CODES {
                forward(plane, w, h);
            }
            // A plane that the op does not bring has no coefficients here.
            let other = before.last().filter(|_| step.planes.has(i - 1));
            let kind = match i {
                0 => Kind::Luma,
                1 => Kind::Orange(other),
                _ => Kind::Green(other),
            };
            walk(rows, plane, from, &step.to.shifts()[chroma], (w, h), kind);
        }
        if !R::CODES || step.seen() {
            let brought = self.planes.iter_mut().enumerate().filter(|(i, _)| step.planes.has(*i));
            brought.for_each(|(_, plane)| inverse(plane, w, h));
        }
    }

    fn read(planes: &mut [Plane; 3], pixels: &Pixels, rect: Rect<Surf>) {
        let w = rect.w as usize;
        let [y, co, cg] = planes;
        for (row, px) in pixels.rows(rect).enumerate().take(SIDE) {
            let at = row * SIDE;
            split(px, &mut y[at..at + w], &mut co[at..at + w], &mut cg[at..at + w]);
        }
    }

    /// Whether what is shown counts.
    const fn needs_shown(step: Step) -> bool {
        step.from.is_some() || step.planes.0 != 7
    }
}

/// Codes pictures, cell by cell, until an op is full.
#[derive(Default)]
pub struct PictureCoder {
    cell: Box<Cell>,
    rows: Coder,
    rects: Vec<Rect<Surf>>,
    marks: Vec<(Mark, usize)>,
    step: Option<Step>,
    /// Which probabilities it goes by.
    set: usize,
    /// What the last ops cost by each set, a half less with each op since; by the layer they led to.
    rivals: [[u64; SETS]; 4],
    area: u64,
    /// What the viewer will show of the rectangles, where that is not exact: BGRX, cell after cell.
    seen: Vec<u8>,
}

impl Rows for Coder {
    const CODES: bool = true;

    #[inline(always)]
    fn row(&mut self, contexts: &[u8], values: &mut [i16]) {
        self.put(contexts, values);
    }
}

impl Rows for Source<'_> {
    const CODES: bool = false;

    #[inline(always)]
    fn row(&mut self, contexts: &[u8], values: &mut [i16]) {
        self.take(contexts, values);
    }
}

impl PictureCoder {
    /// Begins an op, by the probabilities that would have been best for those before it.
    pub fn begin(&mut self, step: Step) {
        let [first, second] = self.rivals[step.to as usize];
        self.begin_by(step, usize::from(second < first));
    }

    /// Begins an op by this set of probabilities, 0 or 1.
    pub fn begin_by(&mut self, step: Step, set: usize) {
        self.set = set % SETS;
        self.rows.clear(self.set);
        self.rects.clear();
        self.marks.clear();
        self.seen.clear();
        self.step = Some(step);
        self.area = 0;
    }

    /// Adds `rect`, which lies inside one tile, as `newest` shows it to a viewer who sees `sent`. False, and nothing done, if
    /// the op holds no more.
    pub fn push(&mut self, newest: &Pixels, sent: &Pixels, rect: Rect<Surf>) -> bool {
        let Some(step) = self.step else { return false };
        if rect.w as usize > SIDE || rect.h as usize > SIDE || rect.is_empty() {
            return false;
        }
        if self.area + rect.area() > limits::PICTURE_PIXELS || self.rects.len() == limits::OP_RECTS {
            return false;
        }
        self.area += rect.area();
        self.marks.push((self.rows.mark(), self.seen.len()));
        self.rects.push(rect);
        let cell = &mut *self.cell;
        Cell::read(&mut cell.planes, newest, rect);
        if Cell::needs_shown(step) {
            Cell::read(&mut cell.shown, sent, rect);
        }
        cell.walk(&mut self.rows, step, (rect.w as usize, rect.h as usize));
        if step.seen() {
            let w = rect.w as usize;
            for row in 0..rect.h as usize {
                let at = self.seen.len();
                self.seen.resize(at + w * 4, 0);
                let [y, co, cg] = &cell.planes;
                let from = row * SIDE..row * SIDE + w;
                join(&y[from.clone()], &co[from.clone()], &cg[from], &mut self.seen[at..]);
            }
        }
        true
    }

    /// Takes the last rectangle back.
    pub fn pop(&mut self) -> Option<Rect<Surf>> {
        let (mark, seen) = self.marks.pop()?;
        self.rows.back(mark);
        self.seen.truncate(seen);
        let rect = self.rects.pop();
        self.area -= rect.map_or(0, |r| r.area());
        rect
    }

    /// How long the payload will be, hardly ever less than it is.
    pub fn expected(&self) -> usize {
        self.rows.expected() + 3 + self.rects.len() * crate::wire::RECT_BYTES
    }

    /// The rectangles in it.
    pub fn rects(&self) -> &[Rect<Surf>] {
        &self.rects
    }

    /// Appends the payload of what was added.
    // spec: C-110 C-111
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.push(self.step.map_or(0, Step::byte) | (self.set as u8) << 7);
        if let Some(step) = self.step {
            let sums = self.rivals[step.to as usize].iter_mut();
            sums.zip(self.rows.rivals()).for_each(|(sum, new)| *sum = *sum / 2 + new);
        }
        // Neighbours in a row of tiles are one rectangle, which is cut into the same cells again.
        let mut joined: Vec<Rect<Surf>> = Vec::with_capacity(self.rects.len());
        for rect in &self.rects {
            match joined.last_mut() {
                Some(left)
                    if left.right() == rect.x && (left.y, left.h) == (rect.y, rect.h) && rect.x % SIDE as i32 == 0 =>
                {
                    left.w += rect.w;
                }
                _ => joined.push(*rect),
            }
        }
        put_varint(out, joined.len() as u32);
        joined.iter().for_each(|r| put_rect(out, *r));
        self.rows.finish(out);
    }

    /// Shows on `sent` what the viewer will show; not for exact layers in all planes.
    pub fn show(&self, sent: &mut Pixels) {
        let mut from = &self.seen[..];
        for rect in &self.rects {
            for y in rect.y..rect.bottom() {
                let Some((row, rest)) = from.split_at_checked(rect.w as usize * 4) else { return };
                sent.row_mut(rect.x as u32, y as u32, rect.w).copy_from_slice(row);
                from = rest;
            }
        }
    }
}

/// Counts tokens instead of coding them; for making the tables.
#[derive(Default)]
pub struct Census {
    cell: Box<Cell>,
    /// How often each value occurred in each context, by token.
    pub counts: Vec<[u64; tables::TOKENS]>,
}

impl Rows for Vec<[u64; tables::TOKENS]> {
    const CODES: bool = true;

    fn row(&mut self, contexts: &[u8], values: &mut [i16]) {
        self.resize(tables::CONTEXTS, [0; tables::TOKENS]);
        for (context, value) in contexts.iter().zip(values) {
            self[usize::from(*context)][usize::from(rans::token(*value).0)] += 1;
        }
    }
}

impl Census {
    /// Counts what this step makes of `rect`, which lies inside one tile.
    pub fn count(&mut self, newest: &Pixels, sent: &Pixels, rect: Rect<Surf>, step: Step) {
        Cell::read(&mut self.cell.planes, newest, rect);
        Cell::read(&mut self.cell.shown, sent, rect);
        self.cell.walk(&mut self.counts, step, (rect.w as usize, rect.h as usize));
    }
}

/// Decodes PICTURE ops.
#[derive(Default)]
pub struct PictureDecoder {
    cell: Box<Cell>,
    rects: Vec<Rect<Surf>>,
}

impl PictureDecoder {
    /// Writes an op's rectangles to `pixels` and answers with them. `room` is how many pixels the slice may still write.
    // spec: C-110 C-112 C-113 C-115
    pub fn apply(&mut self, payload: &[u8], room: u64, pixels: &mut Pixels) -> Result<&[Rect<Surf>], CodecFault> {
        let mut r = Reader::new(payload);
        let (step, set) = Step::of(r.u8()?)?;
        let count = r.varint()? as usize;
        if count == 0 || count > limits::OP_RECTS {
            return Err(CodecFault::RectCount);
        }
        self.rects.clear();
        let mut area = 0;
        for _ in 0..count {
            let rect = r.rect(pixels.size())?;
            area += rect.area();
            if area > limits::PICTURE_PIXELS {
                return Err(CodecFault::AreaTooLarge);
            }
            self.rects.push(rect);
        }
        if area > room {
            return Err(CodecFault::TooMuchWork);
        }
        let mut rows = Source::new(&mut r, set)?;
        let grid = Grid::new(pixels.size());
        let cell = &mut *self.cell;
        for rect in &self.rects {
            for at in grid.touching(*rect) {
                let part = grid.rect(at).intersect(*rect);
                let w = part.w as usize;
                if Cell::needs_shown(step) {
                    Cell::read(&mut cell.shown, pixels, part);
                }
                cell.walk(&mut rows, step, (w, part.h as usize));
                let [y, co, cg] = &cell.planes;
                for row in 0..part.h {
                    let from = row as usize * SIDE..row as usize * SIDE + w;
                    let to = pixels.row_mut(part.x as u32, part.y as u32 + row, part.w);
                    join(&y[from.clone()], &co[from.clone()], &cg[from], to);
                }
            }
        }
        rows.finish()?;
        Ok(&self.rects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    /// Noise, a slope with clipped ends, a hard edge, and black.
    fn screens() -> Vec<Pixels> {
        let size = Size::new(150, 75);
        let mut rng = Rng::new(4);
        let mut all = vec![Pixels::new(size); 4];
        for (i, p) in all[0].data_mut().chunks_exact_mut(4).enumerate() {
            p[..3].copy_from_slice(&[rng.next_u64() as u8, (i % 251) as u8, rng.next_u64() as u8]);
        }
        for (i, p) in all[1].data_mut().chunks_exact_mut(4).enumerate() {
            let v = (i % 150 * 4) as i32 - 150 + rng.below(9) as i32;
            p[..3].copy_from_slice(&[
                v.clamp(0, 255) as u8,
                (v / 2).clamp(0, 255) as u8,
                (255 - v).clamp(0, 255) as u8,
            ]);
        }
        all[2].fill(Rect::new(20, 10, 99, 40), [255, 0, 255]);
        all
    }

    fn rects() -> Vec<Rect<Surf>> {
        vec![Rect::new(0, 0, 64, 64), Rect::new(64, 0, 64, 64), Rect::new(128, 0, 22, 64), Rect::new(3, 65, 33, 9)]
    }

    fn op(step: Step, newest: &Pixels, sent: &Pixels, rects: &[Rect<Surf>]) -> (Vec<u8>, Pixels) {
        let mut coder = PictureCoder::default();
        coder.begin(step);
        for rect in rects {
            assert!(coder.push(newest, sent, *rect));
        }
        let mut payload = Vec::new();
        let expected = coder.expected();
        coder.finish(&mut payload);
        assert!(payload.len() <= expected, "{} > {expected}", payload.len());
        let mut seen = sent.clone();
        coder.show(&mut seen);
        (payload, seen)
    }

    // spec: C-110 C-112 C-115
    #[test]
    fn every_step_shows_what_the_coder_says_and_the_last_is_exact() {
        for newest in screens() {
            for planes in [Planes::ALL, Planes::LUMA, Planes::CHROMA] {
                for from in [None, Some(Layer::Preview), Some(Layer::First), Some(Layer::Fine)] {
                    for to in Layer::ALL.into_iter().filter(|to| Some(*to) > from) {
                        let black = Pixels::new(newest.size());
                        let before =
                            from.map_or(black.clone(), |l| op(Step::new(None, l), &newest, &black, &rects()).1);
                        let step = Step { from, to, planes };
                        let (payload, seen) = op(step, &newest, &before, &rects());
                        let mut viewer = before.clone();
                        PictureDecoder::default().apply(&payload, u64::MAX, &mut viewer).unwrap();
                        let whole = to == Layer::Exact && planes == Planes::ALL;
                        for r in rects() {
                            assert!(viewer.same(if whole { &newest } else { &seen }, r), "{step:?} {r:?}");
                        }
                    }
                }
            }
        }
    }

    // spec: C-112
    #[test]
    fn planes_one_after_the_other_end_exactly() {
        for newest in screens() {
            let black = Pixels::new(newest.size());
            let mut viewer = black.clone();
            let mut sent = black;
            for (from, to, planes) in [
                (None, Layer::First, Planes::ALL),
                (Some(Layer::First), Layer::Exact, Planes::LUMA),
                (Some(Layer::First), Layer::Exact, Planes::ALL),
            ] {
                let (payload, seen) = op(Step { from, to, planes }, &newest, &sent, &rects());
                PictureDecoder::default().apply(&payload, u64::MAX, &mut viewer).unwrap();
                sent = seen;
            }
            assert!(rects().iter().all(|r| viewer.same(&newest, *r)));
        }
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let newest = &screens()[0];
        let black = Pixels::new(newest.size());
        let (one, _) = op(Step::new(None, Layer::First), newest, &black, &rects()[..1]);
        let mut coder = PictureCoder::default();
        coder.begin(Step::new(None, Layer::First));
        rects().iter().take(3).for_each(|r| assert!(coder.push(newest, &black, *r)));
        assert_eq!([coder.pop(), coder.pop()], [Some(rects()[2]), Some(rects()[1])]);
        let mut again = Vec::new();
        coder.finish(&mut again);
        assert_eq!(one, again);
        assert!(!coder.push(newest, &black, Rect::new(0, 0, 65, 1)));
    }

    #[test]
    fn what_is_forbidden_is_named() {
        let mut out = Pixels::new(Size::new(2000, 1000));
        let mut apply = |bytes: &[u8]| PictureDecoder::default().apply(bytes, u64::MAX, &mut out).map(|r| r.len());
        assert_eq!(apply(&[]), Err(CodecFault::Truncated));
        // spec: C-111
        for byte in [0x03, 0x83, 0xf9, 0x74, 0x79, 0x7e] {
            assert_eq!(apply(&[byte, 1, 0, 0, 0, 0, 8]), Err(CodecFault::PictureStep), "{byte:#x}");
        }
        // spec: C-113
        assert_eq!(apply(&[0x73, 0]), Err(CodecFault::RectCount));
        assert_eq!(apply(&[0x73, 1, 0, 0, 0xcf, 0x0f, 0x7f]), Err(CodecFault::AreaTooLarge));
        assert_eq!(apply(&[0x73, 1, 0, 0, 0, 0, 8, 1, 2]), Err(CodecFault::Truncated));
        // spec: C-128
        let mut odd = vec![0x73, 1, 0, 0, 0, 0, 8];
        odd.extend([0u8; 16]);
        assert_eq!(apply(&odd), Err(CodecFault::PictureBody));
        let newest = &screens()[0];
        let (good, _) = op(Step::new(None, Layer::Exact), newest, newest, &rects());
        let mut screen = Pixels::new(newest.size());
        let area: u64 = rects().iter().map(|r| r.area()).sum();
        let mut decoder = PictureDecoder::default();
        assert_eq!(decoder.apply(&good, area - 1, &mut screen), Err(CodecFault::TooMuchWork));
        assert_eq!(decoder.apply(&good[..good.len() - 1], area, &mut screen), Err(CodecFault::Truncated));
        assert!(decoder.apply(&good, area, &mut screen).is_ok());
    }

    // spec: C-128
    #[test]
    fn broken_bodies_never_panic() {
        let mut rng = Rng::new(7);
        let newest = &screens()[1];
        let black = Pixels::new(newest.size());
        for (from, to) in [(None, Layer::First), (None, Layer::Exact), (Some(Layer::First), Layer::Exact)] {
            let (good, _) = op(Step::new(from, to), newest, &black, &rects());
            let mut refused = 0;
            for _ in 0..300 {
                let mut bad = good.clone();
                for _ in 0..1 + rng.below(4) {
                    let at = rng.below(bad.len() as u64) as usize;
                    bad[at] ^= 1 << rng.below(8);
                }
                let mut out = Pixels::new(newest.size());
                refused += u32::from(PictureDecoder::default().apply(&bad, u64::MAX, &mut out).is_err());
            }
            assert!(refused > 100, "{refused}");
        }
    }
}
