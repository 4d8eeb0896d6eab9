//! The move part of a job: what only went elsewhere is copied, not coded.
//!
//! Vectors are found ([`crate::motion`]), the rectangles that they explain verified byte for byte ([`crate::blocks`]),
//! and copied in place. What a tile still differs in afterwards lies inside its box and outside the rectangles, so
//! only that is compared again.

use super::{Draft, Encoder, Run};
use crate::blocks::Blocks;
use crate::motion::{Finder, Vector};
use crate::plan::Dirty;
use crate::wire::{RECT_BYTES, kind, limits, put_op};
use crate::{diff, shift};
use telepane_model::{Move, Rect, Region, Surf};

/// Fewer changed tiles than this are coded faster than a move is found (`research/codec.md` §4).
const MOVE_TILES: usize = 5;
/// The most searches, and the most vectors tried, in one job.
const SEARCHES: usize = 2;
const TRIES: usize = 4;
/// The most vectors that are expected: those of the job before.
const EXPECTED: usize = 8;

/// Finds and verifies moves, and remembers the last ones.
#[derive(Default)]
pub struct Mover {
    finder: Finder,
    blocks: Blocks,
    expected: Vec<Vector>,
}

impl Mover {
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
        let mut draft: Option<Draft> = None;
        let (mut tried, mut expected) = (Vec::new(), std::mem::take(&mut self.mover.expected));
        // What has been mended may still be where the rest came from.
        let sources = self.tiles_of(dirty);
        for _ in 0..SEARCHES {
            if dirty.len() < MOVE_TILES {
                break;
            }
            let tiles = self.tiles_of(dirty);
            let found = self.mover.finder.vectors(&self.sent, run.newest, [&sources, &tiles], &expected, &tried);
            let mut used = false;
            for vector in found {
                if dirty.len() < MOVE_TILES || tried.len() == TRIES {
                    continue;
                }
                tried.push(vector);
                expected.retain(|v| *v != vector);
                let open = match &mut draft {
                    Some(open) => open,
                    None => draft.insert(self.begin(run)?),
                };
                used |= self.make_move(open, vector, dirty, run);
            }
            if !used {
                break;
            }
        }
        let moves = std::mem::take(&mut run.answer.moved);
        self.mover.expect(&moves);
        run.answer.moved = moves;
        draft.filter(|d| !d.bytes.is_empty())
    }

    fn tiles_of(&self, dirty: &[Dirty]) -> Vec<Rect<Surf>> {
        dirty.iter().map(|d| self.grid.rect(d.at)).collect()
    }

    /// Copies what the vector explains; false if that is nothing.
    fn make_move(&mut self, open: &mut Draft, (dx, dy): Vector, dirty: &mut Vec<Dirty>, run: &mut Run<'_>) -> bool {
        let (sent, tiles) = (&self.sent, self.tiles_of(dirty));
        let allowed = |at| self.tiles.is_wanted(at);
        let mut rects = self.mover.blocks.explained(sent, run.newest, &tiles, (dx, dy), allowed);
        rects.truncate((open.room().saturating_sub(24) / RECT_BYTES).min(limits::OP_RECTS));
        open.retain_fitting(&mut rects);
        if rects.is_empty() {
            return false;
        }
        self.keep(open, rects.iter().map(|r| r.area()).sum(), dirty, run);
        put_op(&mut open.bytes, kind::MOVE, &shift::payload(dx, dy, &rects));
        for to in &rects {
            let Some(from) = shift::source(*to, dx, dy) else { continue };
            open.undo.save_move(&self.sent, from, *to);
            shift::copy(&mut self.sent, from, *to);
            open.pixels = open.pixels.saturating_sub(to.area());
            self.tiles.touch(open.stamp, *to, &mut open.tiles);
            run.answer.moved.push(Move { to: *to, dx, dy });
        }
        dirty.retain_mut(|d| {
            if rects.iter().any(|r| !r.intersect(d.bbox).is_empty()) {
                let mut rest = Region::from(d.bbox);
                rects.iter().for_each(|r| rest.subtract(*r));
                d.bbox = Rect::default();
                for part in rest.rects() {
                    diff::boxes(&self.sent, run.newest, *part, |_, bbox| d.bbox = d.bbox.union(bbox));
                }
            }
            !d.bbox.is_empty()
        });
        true
    }
}
