//! A rectangle, row by row: runs where nothing happens, the model where something does.
//!
//! Three rows of colours are enough, each with a margin of three at both ends, so that no neighbour needs a test. Beside
//! them stands what the framebuffer held before: pixels that stay as they were go in runs like pixels in one colour.

use super::model::{Model, Near, group};
use super::range::Coder;
use crate::kernel::{COLOUR, run};
use telepane_model::{Pixels, Rect, Surf};

/// Colours beside a row that neighbours reach.
const MARGIN: usize = 3;

/// The rows at hand.
#[derive(Default)]
pub struct Rows {
    /// The row being coded and the two above it, `width` colours between margins.
    now: Vec<u32>,
    above: Vec<u32>,
    above_that: Vec<u32>,
    /// What the framebuffer held in this row.
    old: Vec<u32>,
    /// 1 where the row above has what the framebuffer held there.
    kept: Vec<u32>,
}

/// How a rectangle is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// What it is.
    pub rect: Rect<Surf>,
    /// Neighbours outside of the rectangle are those of the framebuffer; otherwise the rectangle stands alone.
    pub open: bool,
    /// What the framebuffer holds inside is looked at.
    pub old: bool,
}

impl Rows {
    /// Begins a rectangle of `held`, the framebuffer, which contains it.
    // spec: C-87 C-88
    pub fn begin(&mut self, view: &View, held: &Pixels) {
        let len = view.rect.w as usize + 2 * MARGIN;
        for row in [&mut self.now, &mut self.above, &mut self.above_that, &mut self.old] {
            row.clear();
            row.resize(len, 0);
        }
        self.kept.clear();
        self.kept.resize(len, 1);
        if view.open {
            let y = view.rect.y;
            load(&mut self.above_that, view.rect, y - 2, held);
            load(&mut self.above, view.rect, y - 1, held);
        }
    }

    /// Codes the row `y` of the rectangle; with an encoder it is that of `newest`, with a decoder it is found in
    /// [`Rows::coded`].
    pub fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        model: &mut Model,
        view: &View,
        y: i32,
        held: &Pixels,
        newest: Option<&Pixels>,
    ) {
        let rect = view.rect;
        if view.old {
            let row = held.row(rect.x as u32, y as u32, rect.w).as_chunks::<4>().0;
            self.old[MARGIN..].iter_mut().zip(row).for_each(|(old, px)| *old = u32::from_le_bytes(*px) & COLOUR);
        }
        if let Some(newest) = newest {
            let row = newest.row(rect.x as u32, y as u32, rect.w).as_chunks::<4>().0;
            self.now[MARGIN..].iter_mut().zip(row).for_each(|(now, px)| *now = u32::from_le_bytes(*px) & COLOUR);
        }
        self.margins(view, y, held);
        if view.old {
            match model.is_wide() {
                true => self.row::<C, true, true>(coder, model, rect.w as usize),
                false => self.row::<C, true, false>(coder, model, rect.w as usize),
            }
            let end = MARGIN + rect.w as usize;
            let kept = self.kept[MARGIN..end].iter_mut();
            kept.zip(self.now[MARGIN..end].iter().zip(&self.old[MARGIN..end]))
                .for_each(|(kept, (now, old))| *kept = u32::from(now == old));
        } else {
            match model.is_wide() {
                true => self.row::<C, false, true>(coder, model, rect.w as usize),
                false => self.row::<C, false, false>(coder, model, rect.w as usize),
            }
        }
        self.finish(view, y, held);
    }

    /// The row that was coded last.
    pub fn coded(&self) -> &[u32] {
        self.above.get(MARGIN..self.above.len().saturating_sub(MARGIN)).unwrap_or_default()
    }

    /// The colours left of a row that is about to be coded.
    // spec: C-87
    fn margins(&mut self, view: &View, y: i32, held: &Pixels) {
        let up = self.above[MARGIN];
        for i in 0..MARGIN {
            let x = view.rect.x - (MARGIN - i) as i32;
            self.now[i] = if view.open { at(held, x, y).unwrap_or(up) } else { up };
        }
    }

    /// A row was coded: it becomes the one above.
    // spec: C-87
    fn finish(&mut self, view: &View, y: i32, held: &Pixels) {
        let end = self.now.len() - MARGIN;
        let (first, last) = (self.now[MARGIN], self.now[end - 1]);
        for i in 0..MARGIN {
            let (left, right) = (view.rect.x - (MARGIN - i) as i32, view.rect.right() + i as i32);
            self.now[i] = if view.open { at(held, left, y).unwrap_or(first) } else { first };
            self.now[end + i] = if view.open { at(held, right, y).unwrap_or(last) } else { last };
        }
        std::mem::swap(&mut self.above, &mut self.above_that);
        std::mem::swap(&mut self.now, &mut self.above);
    }

    // spec: C-89 C-94
    #[inline]
    fn row<C: Coder, const OLD: bool, const WIDE: bool>(&mut self, coder: &mut C, model: &mut Model, width: usize) {
        let len = width + 2 * MARGIN;
        let (now, above, above_that) = (&mut self.now[..len], &self.above[..len], &self.above_that[..len]);
        let (old, kept) = (&self.old[..len], &self.kept[..len]);
        let mut x = MARGIN;
        let end = MARGIN + width;
        let mut left_kept = true;
        let mut not = None;
        while x < end {
            let (w, nw, n, ne) = (now[x - 1], above[x - 1], above[x], above[x + 1]);
            let quiet = OLD && left_kept && kept[x - 1] & kept[x] & kept[x + 1] != 0;
            if not.is_none() && (quiet || (w == n && n == nw && n == ne)) {
                let (kind, room) = if quiet {
                    (1, run::one_colour(&kept[x..end], 1))
                } else {
                    (0, run::one_colour(&above[x + 1..=end], w).min(end - x))
                };
                let done = if C::ENCODES {
                    if quiet {
                        run::in_step(&now[x..x + room], &old[x..])
                    } else {
                        run::one_colour(&now[x..x + room], w)
                    }
                } else {
                    0
                };
                let done = length(coder, model, kind, room, done);
                if !C::ENCODES {
                    if quiet {
                        now[x..x + done].copy_from_slice(&old[x..x + done]);
                    } else {
                        now[x..x + done].fill(w);
                    }
                }
                if done < room {
                    not = Some(if quiet { old[x + done] } else { w });
                }
                x += done;
                if OLD && done > 0 {
                    left_kept = now[x - 1] == old[x - 1];
                }
                continue;
            }
            let near = Near {
                w: [w, now[x - 2], now[x - 3]],
                n: [above[x - 2], nw, n, ne, above[x + 2]],
                nn: [above_that[x], above_that[x + 1]],
            };
            let was = if OLD {
                let around = usize::from(left_kept)
                    | (kept[x] as usize) << 1
                    | (kept[x + 1] as usize) << 2
                    | (kept[x - 1] as usize) << 3;
                (around & 3 != 0).then_some((old[x], around))
            } else {
                None
            };
            let got = model.pixel::<C, WIDE>(coder, &near, now[x], not.take(), was);
            now[x] = got;
            if OLD {
                left_kept = got == old[x];
            }
            x += 1;
        }
    }
}

/// How far a run of at most `room` goes.
// spec: C-94
#[inline]
fn length<C: Coder>(coder: &mut C, model: &mut Model, kind: usize, room: usize, done: usize) -> usize {
    let log = (room as u32).ilog2().min(15) as usize;
    let bin = group::WHOLE + kind * 32 + log * 2 + usize::from(model.missed[kind]);
    let short = coder.bit(&mut model.bins, bin, u32::from(done < room));
    model.missed[kind] = short as u8;
    if short == 0 {
        return room;
    }
    let number = done as u32 + 1;
    let (highest, most) = (number.ilog2(), (room as u32).ilog2());
    let mut bits = 0;
    while bits < most {
        let bin = group::END + (kind * 16 + log) * 16 + bits as usize;
        if coder.bit(&mut model.bins, bin, u32::from(highest > bits)) == 0 {
            break;
        }
        bits += 1;
    }
    let mut got = 1u32;
    for shift in (0..bits).rev() {
        let bit = (number >> shift) & 1;
        got = got << 1
            | if got < 16 {
                coder.bit(&mut model.bins, group::END_BITS + bits as usize * 16 + got as usize, bit)
            } else {
                coder.even(bit)
            };
    }
    (got as usize - 1).min(room - 1)
}

/// The colour of a pixel of the framebuffer, if it is inside.
fn at(held: &Pixels, x: i32, y: i32) -> Option<u32> {
    let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
    let px = held.row(x, y, 1).first_chunk::<4>()?;
    Some(u32::from_le_bytes(*px) & COLOUR)
}

/// A row above the rectangle with its margins; what is beside the framebuffer is as the nearest pixel in it, what is
/// above it black.
// spec: C-87
fn load(line: &mut [u32], rect: Rect<Surf>, y: i32, held: &Pixels) {
    let right = held.size().w as i32 - 1;
    for (i, colour) in line.iter_mut().enumerate() {
        let x = (rect.x + i as i32 - MARGIN as i32).clamp(0, right);
        *colour = at(held, x, y).unwrap_or(0);
    }
}
