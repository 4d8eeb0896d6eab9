//! The move part of a job: what only went elsewhere is copied, not coded.
//!
//! Vectors are found ([`crate::motion`]) and the rectangles that they explain verified byte for byte ([`crate::blocks`]),
//! all against the pixels before any copy; then they are copied, in an order that keeps every source until it is read.
//! What a tile still differs in afterwards lies inside its box and outside the rectangles, so
//! only that is compared again.

use super::{Draft, Encoder, Run};
use crate::blocks::{Blocks, Copy, in_order};
use crate::motion::{Finder, Vector};
use crate::plan::Dirty;
use crate::wire::{RECT_BYTES, kind, limits, put_op};
use crate::{diff, shift};
use telepane_model::{Move, Pixels, Rect, Region, Surf, Version};

/// Fewer changed tiles than this are coded faster than a move is found (`research/codec.md` §4).
const MOVE_TILES: usize = 5;
/// The most searches, and the most vectors tried, in one job.
const SEARCHES: usize = 3;
const TRIES: usize = 7;
/// Blocks of 16 by 8 pixels that are still open when another search is worth its time: 1/2 ms against some 4 kB of text.
const WORTH: usize = 40;
/// The most vectors that are expected: those of the job before.
const EXPECTED: usize = 8;

/// Finds and verifies moves, and remembers the last ones.
#[derive(Default)]
pub struct Mover {
    finder: Finder,
    blocks: Blocks,
    expected: Vec<Vector>,
    /// The slice that was begun for them did not hold all moves that were found.
    cut_short: bool,
}

impl Mover {
    /// What `tiles` show now is not forgotten with the frame.
    pub fn remember(&mut self, newest: &Pixels, version: Version, tiles: &[Rect<Surf>]) {
        self.finder.remember(newest, version, tiles);
    }

    /// See [`Finder::remembers`].
    pub fn remembers(&mut self, newest: &Pixels, version: Version, tiles: &[Rect<Surf>]) -> bool {
        self.finder.remembers(newest, version, tiles)
    }

    /// All that was found last was made.
    pub const fn is_done(&self) -> bool {
        !self.cut_short
    }

    /// These are tried first.
    pub fn expect(&mut self, moves: &[Move]) {
        for m in moves {
            let vector = (m.dx, m.dy);
            if vector != (0, 0) && !self.expected.contains(&vector) && self.expected.len() < EXPECTED {
                self.expected.push(vector);
            }
        }
    }
}

impl Encoder {
    /// Finds and codes moves; the tiles in `dirty` that they mend are taken out.
    pub(super) fn make_moves(&mut self, dirty: &mut Vec<Dirty>, run: &mut Run<'_>) -> Option<Draft> {
        self.mover.cut_short = false;
        if dirty.len() < MOVE_TILES {
            return None;
        }
        let mut copies = self.find_copies(dirty, run.newest, None);
        let found = copies.len();
        if copies.is_empty() {
            return None;
        }
        let mut open = self.begin(run)?;
        // Whatever is left out, the others stay right: none reads what another one wrote.
        copies.truncate(open.room().saturating_sub(24) / RECT_BYTES);
        open.retain_fitting(&mut copies, |c| c.to);
        self.keep(&mut open, copies.iter().map(|c| c.to.area()).sum(), dirty, run);
        copies.truncate(open.room().saturating_sub(24) / RECT_BYTES);
        for group in copies.chunk_by(|a, b| a.by == b.by) {
            for group in group.chunks(limits::OP_RECTS) {
                let rects: Vec<_> = group.iter().map(|c| c.to).collect();
                let Some(Copy { by: (dx, dy), .. }) = group.first() else { continue };
                if open.room() < (rects.len() + 3) * RECT_BYTES {
                    break;
                }
                put_op(&mut open.bytes, kind::MOVE, &shift::payload(*dx, *dy, &rects));
                for to in &rects {
                    let Some(from) = shift::source(*to, *dx, *dy) else { continue };
                    open.undo.save_move(&self.sent, from, *to);
                    shift::copy(&mut self.sent, from, *to);
                    open.pixels = open.pixels.saturating_sub(to.area());
                    self.tiles.touch(open.stamp, *to, &mut open.tiles);
                    run.answer.moved.push(Move { to: *to, dx: *dx, dy: *dy });
                }
            }
        }
        let moved = &run.answer.moved;
        self.mover.cut_short = moved.len() < found;
        self.mover.expect(moved);
        dirty.retain_mut(|d| {
            let bbox = d.bbox;
            let mut within = moved.iter().filter(|m| !m.to.intersect(bbox).is_empty()).peekable();
            if within.peek().is_some() {
                let mut rest = Region::from(bbox);
                within.for_each(|m| rest.subtract(m.to));
                d.bbox = Rect::default();
                for part in rest.rects() {
                    diff::boxes(&self.sent, run.newest, *part, |_, bbox| d.bbox = d.bbox.union(bbox));
                }
            }
            !d.bbox.is_empty()
        });
        (!open.bytes.is_empty()).then_some(open)
    }

    /// How many of the pixels that differ only went elsewhere inside `within`. What was found is expected again.
    pub(super) fn moved_within(&mut self, dirty: &[Dirty], newest: &Pixels, within: Rect<Surf>) -> u64 {
        let expected = self.mover.expected.clone();
        let copies = self.find_copies(dirty, newest, Some(within));
        let moves: Vec<_> = copies.iter().map(|c| Move { to: c.to, dx: c.by.0, dy: c.by.1 }).collect();
        self.mover.expected.clear();
        self.mover.expect(&moves);
        expected.into_iter().for_each(|(dx, dy)| self.mover.expect(&[Move { to: within, dx, dy }]));
        let covered = |d: &Dirty| copies.iter().map(|c| c.to.intersect(d.bbox).area()).sum::<u64>();
        dirty.iter().map(covered).sum()
    }

    /// What vectors explain, in the order in which it can be copied: in the tiles that the job wants, or `within`.
    fn find_copies(&mut self, dirty: &[Dirty], newest: &Pixels, within: Option<Rect<Surf>>) -> Vec<Copy> {
        let Mover { finder, blocks, expected, .. } = &mut self.mover;
        let sources: Vec<_> = dirty.iter().map(|d| self.grid.rect(d.at)).collect();
        let mut tiles = sources.clone();
        let (mut copies, mut tried, mut expected) = (Vec::new(), Vec::new(), std::mem::take(expected));
        let allowed = |at| match within {
            Some(rect) => rect.contains(self.grid.rect(at)),
            None => self.tiles.is_wanted(at),
        };
        // What differs in a tile lies in its box, where that was looked for in the whole of it.
        let boxes = dirty.iter().zip(&sources).map(|(d, tile)| match within {
            Some(rect) if !rect.contains(*tile) => *tile,
            _ => d.bbox,
        });
        finder.begin();
        blocks.begin(&self.sent, newest, &boxes.collect::<Vec<_>>());
        for _ in 0..SEARCHES {
            let found = finder.vectors(&self.sent, newest, [&sources, &tiles], &expected, &tried);
            let before = copies.len();
            for vector in found {
                if tried.len() == TRIES {
                    break;
                }
                tried.push(vector);
                expected.retain(|v| *v != vector);
                copies.extend(blocks.explained(&self.sent, newest, &sources, vector, allowed));
            }
            let mut open = 0;
            tiles.retain(|t| {
                let here = blocks.open_in(*t, newest.size().w);
                open += here;
                here > 0
            });
            if copies.len() == before || open < WORTH {
                break;
            }
        }
        in_order(copies)
    }
}
