//! The framebuffer a source holds: written in place, handed out as `Arc`s that never change.
//!
//! When a reader still holds the last `Arc`, the next write goes to a second buffer that is first brought up to date
//! where it is behind: the cost of a copy-on-write is that of the recent damage, not of a frame.
//!
//! [`Held::absorb`] takes rows of fresh pixels, finds what differs from what is held, copies only that, and says
//! where: the damage shrinks to what changed, and pixels that were drawn again as they were make no frame.

use crate::rects;
use std::sync::Arc;
use telepane_model::{Pixels, Rect, Region, Size, Surf, TILE};

/// The newest pixels of a surface.
#[derive(Debug)]
pub struct Held {
    now: Arc<Pixels>,
    spare: Option<Spare>,
}

/// An older buffer: equal to the newest but for `stale`.
#[derive(Debug)]
struct Spare {
    pixels: Arc<Pixels>,
    stale: Region<Surf>,
}

impl Held {
    /// A black framebuffer.
    pub fn new(size: Size<Surf>) -> Self {
        Self { now: Arc::new(Pixels::new(size)), spare: None }
    }

    /// Its size.
    pub fn size(&self) -> Size<Surf> {
        self.now.size()
    }

    /// The newest pixels.
    pub fn pixels(&self) -> Arc<Pixels> {
        Arc::clone(&self.now)
    }

    /// The newest pixels, to look at.
    pub fn look(&self) -> &Pixels {
        &self.now
    }

    /// The newest pixels, to write to. Whoever writes reports where with [`Held::wrote`].
    pub fn writer(&mut self) -> &mut Pixels {
        if Arc::get_mut(&mut self.now).is_none() {
            let fresh = match self.spare.take() {
                Some(mut spare) if spare.pixels.size() == self.now.size() => match Arc::get_mut(&mut spare.pixels) {
                    Some(pixels) => {
                        for r in spare.stale.rects() {
                            pixels.copy_from(&self.now, *r);
                        }
                        spare.pixels
                    }
                    None => Arc::new((*self.now).clone()),
                },
                _ => Arc::new((*self.now).clone()),
            };
            let old = std::mem::replace(&mut self.now, fresh);
            self.spare = Some(Spare { pixels: old, stale: Region::new() });
        }
        // Never copies: the buffer is ours alone by now.
        Arc::make_mut(&mut self.now)
    }

    /// Remembers that `rects` were written.
    pub fn wrote(&mut self, written: &[Rect<Surf>]) {
        if let Some(spare) = &mut self.spare {
            for r in written {
                spare.stale.add(*r);
            }
            spare.stale.simplify(rects::MOST_RECTS);
        }
    }

    /// Copies what differs of fresh BGRX rows for `at` (`stride` bytes from row to row), and adds where to `changed`.
    /// The fourth byte of each pixel is ignored and held as 0. Rows that `fresh` does not have, and pixels outside
    /// the surface, are left as they are.
    pub fn absorb(&mut self, fresh: &[u8], stride: usize, at: Rect<Surf>, changed: &mut Vec<Rect<Surf>>) {
        let from = changed.len();
        let seen = at.intersect(self.size().rect());
        if seen.is_empty() || stride < at.w as usize * 4 {
            return;
        }
        let skip = (seen.x.abs_diff(at.x)) as usize * 4;
        let width = seen.w as usize * 4;
        let held = self.writer();
        let mut band = Band::new(seen);
        for y in seen.y..seen.bottom() {
            let start = y.abs_diff(at.y) as usize * stride + skip;
            let Some(new) = fresh.get(start..start + width) else {
                break;
            };
            if y % TILE as i32 == 0 {
                band.finish(changed);
            }
            let old = held.row_mut(seen.x as u32, y as u32, seen.w);
            band.row(y, new, old);
        }
        band.finish(changed);
        stack(changed, from);
        let written = changed[from..].to_vec();
        self.wrote(&written);
    }
}

/// What changed within one band of 64 rows: the extent inside every column of 64 pixels.
struct Band {
    x: i32,
    blocks: Vec<Option<Extent>>,
    any: bool,
}

/// Inclusive corners.
#[derive(Clone, Copy)]
struct Extent {
    x0: i32,
    x1: i32,
    y0: i32,
    y1: i32,
}

/// Both pixels' colours, without the byte that means nothing.
const COLOURS: u64 = 0x00ff_ffff_00ff_ffff;

impl Band {
    fn new(r: Rect<Surf>) -> Self {
        let columns = (r.x.rem_euclid(TILE as i32) as u32 + r.w).div_ceil(TILE);
        Self { x: r.x, blocks: vec![None; columns as usize], any: false }
    }

    /// Compares one row and copies what differs.
    fn row(&mut self, y: i32, new: &[u8], old: &mut [u8]) {
        let tile = TILE as i32;
        let mut x = self.x;
        let (mut new, mut old) = (new, old);
        for block in &mut self.blocks {
            let n = ((tile - x.rem_euclid(tile)) as usize * 4).min(new.len());
            let (a, rest_new) = new.split_at(n);
            let (b, rest_old) = old.split_at_mut(n);
            if differs(a, b) {
                self.any = true;
                if let Some((first, last)) = copy(a, b) {
                    let (x0, x1) = (x + first as i32, x + last as i32);
                    let e = block.get_or_insert(Extent { x0, x1, y0: y, y1: y });
                    e.x0 = e.x0.min(x0);
                    e.x1 = e.x1.max(x1);
                    e.y1 = y;
                }
            }
            x += (n / 4) as i32;
            new = rest_new;
            old = rest_old;
        }
    }

    /// Gives the band's changes, one rectangle for each run of changed columns, and starts a new band.
    fn finish(&mut self, out: &mut Vec<Rect<Surf>>) {
        if !self.any {
            return;
        }
        self.any = false;
        let mut run: Option<Extent> = None;
        for block in self.blocks.iter_mut().map(Option::take).chain([None]) {
            run = match (run, block) {
                (Some(a), Some(b)) => {
                    Some(Extent { x0: a.x0.min(b.x0), x1: a.x1.max(b.x1), y0: a.y0.min(b.y0), y1: a.y1.max(b.y1) })
                }
                (Some(a), None) => {
                    out.push(Rect::between(a.x0, a.y0, a.x1 + 1, a.y1 + 1));
                    None
                }
                (None, b) => b,
            };
        }
    }
}

/// Whether any colour differs; both of the same length, a multiple of 4.
fn differs(new: &[u8], old: &[u8]) -> bool {
    let (a, b) = (new.chunks_exact(8), old.chunks_exact(8));
    let (ta, tb) = (a.remainder(), b.remainder());
    let mut acc = 0u64;
    for (a, b) in a.zip(b) {
        acc |= word(a) ^ word(b);
    }
    acc & COLOURS != 0 || ta.iter().zip(tb).take(3).any(|(a, b)| a != b)
}

fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

/// Copies the colours, clears the fourth bytes, and gives the first and last pixel that differed.
fn copy(new: &[u8], old: &mut [u8]) -> Option<(usize, usize)> {
    let mut pixels = new.chunks_exact(4).zip(old.chunks_exact(4));
    let other = |(a, b): (&[u8], &[u8])| a.iter().zip(b).take(3).any(|(a, b)| a != b);
    let first = pixels.clone().position(other)?;
    let last = pixels.rposition(other)?;
    // Two pixels at a time and all of them: without a branch this is as fast as memory.
    let (mut to, from) = (old.chunks_exact_mut(8), new.chunks_exact(8));
    let tail = from.remainder();
    for (b, a) in to.by_ref().zip(from) {
        b.copy_from_slice(&(word(a) & COLOURS).to_le_bytes());
    }
    if let ([b, g, r, _], [b1, g1, r1, x1]) = (tail, to.into_remainder()) {
        (*b1, *g1, *r1, *x1) = (*b, *g, *r, 0);
    }
    Some((first, last))
}

/// Joins rectangles from `from` on that lie right under each other with the same left and right edge.
fn stack(rects: &mut Vec<Rect<Surf>>, from: usize) {
    let mut out: Vec<Rect<Surf>> = Vec::with_capacity(rects.len() - from);
    for r in rects.drain(from..) {
        match out.iter_mut().rev().find(|o| o.bottom() == r.y && o.x == r.x && o.w == r.w) {
            Some(above) => above.h += r.h,
            None => out.push(r),
        }
    }
    rects.extend(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    /// Against a pixel by pixel comparison, with noise in the fourth byte, over random writes and holders.
    #[test]
    fn absorbing_agrees_with_a_full_compare() {
        let mut rng = Rng::new(11);
        let size = Size::new(203, 150);
        let mut held = Held::new(size);
        let mut truth = Pixels::new(size);
        let mut kept: Vec<(Arc<Pixels>, Pixels)> = Vec::new();
        for round in 0..300 {
            let before = truth.clone();
            let (x, y) = (rng.below(220) as i32 - 10, rng.below(160) as i32 - 10);
            let at = Rect::new(x, y, 1 + rng.below(120) as u32, 1 + rng.below(100) as u32);
            let dot = Rect::new(
                at.x + rng.below(u64::from(at.w)) as i32,
                at.y + rng.below(u64::from(at.h)) as i32,
                rng.below(20) as u32,
                rng.below(20) as u32,
            );
            truth.fill(dot.intersect(at), [rng.below(3) as u8, 0, rng.below(3) as u8]);
            let stride = at.w as usize * 4 + 12;
            let mut fresh = vec![0u8; stride * at.h as usize];
            for py in 0..at.h {
                for px in 0..at.w {
                    let (sx, sy) = (at.x + px as i32, at.y + py as i32);
                    let colour = if sx >= 0 && sy >= 0 { truth.get(sx as u32, sy as u32) } else { None };
                    if let Some([b, g, r]) = colour {
                        let o = py as usize * stride + px as usize * 4;
                        fresh[o..o + 4].copy_from_slice(&[b, g, r, rng.below(256) as u8]);
                    }
                }
            }
            let mut changed = Vec::new();
            held.absorb(&fresh, stride, at, &mut changed);
            assert!(*held.look() == truth, "round {round}");
            for py in 0..size.h {
                for px in 0..size.w {
                    if before.get(px, py) != truth.get(px, py) {
                        let p = telepane_model::Point::new(px as i32, py as i32);
                        assert!(changed.iter().any(|r| r.holds(p)), "round {round}: {p:?} missed");
                    }
                }
            }
            assert_eq!(changed.is_empty(), before == truth);
            if rng.below(3) == 0 {
                kept.push((held.pixels(), truth.clone()));
            }
            if rng.below(4) == 0 && !kept.is_empty() {
                kept.remove(0);
            }
            assert!(kept.iter().all(|(arc, was)| **arc == *was), "a handed-out buffer changed");
        }
    }

    #[test]
    fn the_spare_buffer_is_reused() {
        let mut held = Held::new(Size::new(64, 64));
        let a = held.pixels();
        let first = Arc::as_ptr(&a);
        held.writer().fill(Rect::new(0, 0, 1, 1), [1, 1, 1]);
        held.wrote(&[Rect::new(0, 0, 1, 1)]);
        drop(a);
        let b = held.pixels();
        held.writer().fill(Rect::new(5, 5, 1, 1), [2, 2, 2]);
        assert_eq!(Arc::as_ptr(&held.pixels()), first);
        assert_eq!(held.look().get(0, 0), Some([1, 1, 1]));
        assert_eq!(b.get(5, 5), Some([0, 0, 0]));
    }

    #[test]
    fn a_single_pixel_gives_a_single_pixel() {
        let mut held = Held::new(Size::new(1920, 1080));
        let mut fresh = vec![0u8; 1920 * 1080 * 4];
        fresh[(500 * 1920 + 700) * 4 + 1] = 9;
        let mut changed = Vec::new();
        held.absorb(&fresh, 1920 * 4, Rect::new(0, 0, 1920, 1080), &mut changed);
        assert_eq!(changed, [Rect::new(700, 500, 1, 1)]);
        let whole = vec![255u8; fresh.len()];
        changed.clear();
        held.absorb(&whole, 1920 * 4, Rect::new(0, 0, 1920, 1080), &mut changed);
        assert_eq!(changed, [Rect::new(0, 0, 1920, 1080)]);
    }
}
