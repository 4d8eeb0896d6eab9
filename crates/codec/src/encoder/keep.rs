//! The cache part of a job: what is about to be overwritten in bulk is kept, and what comes back is drawn from there.
//!
//! A tile is kept when it is overwritten, not when it appears: what it shows last is what comes back when a menu closes
//! or a window is raised, and nothing has to be guessed. That costs a few bytes for each row of tiles. Moves are
//! looked at first: what mostly went elsewhere (a scroll, a drag) would fill the cache with what nobody sees again.

use super::{Draft, Encoder, Run};
use crate::cache::{self, RUN_BYTES, Verb, runs, tile_hash};
use crate::fill;
use crate::plan::{Dirty, Work};
use crate::wire::{kind, limits, op_len, put_op};
use std::collections::VecDeque;
use telepane_model::{Rect, Surf};

/// A tile is worth a look in the cache when more pixels than this differ (`research/codec.md` §4).
const LEAST_RECALL: u64 = 128;
/// A tile is replaced when at least this part of it is overwritten: less is typing.
const KEPT_SHARE: u64 = 4;
/// So many replaced tiles are a window or a menu.
const MANY: usize = 8;
/// Tiles that are looked at to see whether the rest is worth it.
const SAMPLES: usize = 8;

impl Encoder {
    /// The peer has the op and there are slots.
    pub(super) const fn caches(&self) -> bool {
        self.options.ops & 1 << kind::CACHE != 0 && !self.slots.is_off()
    }

    /// Keeps what `dirty` tiles show, once for each job and before anything is overwritten; `moved` pixels of what
    /// differs are explained by a move.
    pub(super) fn keep(&mut self, open: &mut Draft, moved: u64, dirty: &[Dirty], run: &mut Run<'_>) {
        let differs: u64 = dirty.iter().map(|d| d.bbox.area()).sum();
        if !std::mem::take(&mut run.may_keep) || !self.caches() || moved * 2 > differs {
            return;
        }
        // What the job wants back is used first, so that it does not make room for what is kept.
        if !self.slots.is_empty() {
            for d in dirty {
                self.wanted_back(d, run);
            }
        }
        // Beside many that are replaced, one that is replaced in part belongs to what comes back with them.
        let many = dirty.iter().filter(|d| self.is_replaced(d)).nth(MANY - 1).is_some();
        let belongs = |d: &Dirty| self.is_replaced(d) || many && d.bbox.area() > LEAST_RECALL;
        let worth = |d: &&Dirty| belongs(d) && fill::solid(&self.sent, self.grid.rect(d.at)).is_none();
        let mut tiles: Vec<_> = dirty.iter().filter(worth).filter_map(|d| self.grid.index(d.at)).collect();
        tiles.sort_unstable();
        let most = (open.room() / 2).saturating_sub(op_len(1)) / RUN_BYTES;
        let (mut pairs, mut ends, mut last) = (Vec::new(), 0, None);
        for tile in tiles {
            let at = self.grid.at(tile);
            let rect = self.grid.rect(at);
            let hash = self.tiles.shown_hash(at).unwrap_or_else(|| tile_hash(&self.sent, rect, &mut self.scratch));
            self.tiles.set_shown_hash(at, hash);
            if ends == most {
                break;
            }
            if self.slots.find(hash).is_some() {
                continue;
            }
            let Some(was) = self.slots.put(hash, self.tiles.class(at), open.id) else { break };
            open.undo.save_slot(was);
            let pair = (tile as u32, u32::from(was.slot()));
            ends += usize::from(last.is_none_or(|(t, s)| (t + 1, s + 1) != pair));
            last = Some(pair);
            pairs.push(pair);
        }
        if !pairs.is_empty() {
            put_op(&mut open.bytes, kind::CACHE, &cache::payload(Verb::Put, &runs(pairs)));
        }
    }

    /// Whether [`Encoder::keep`] would keep something, so that a slice is begun for it.
    pub(super) fn keeps_any(&self, dirty: &[Dirty], run: &Run<'_>) -> bool {
        run.may_keep && self.caches() && dirty.iter().any(|d| self.is_replaced(d))
    }

    /// Most of the tile, as far as that counts, is overwritten.
    fn is_replaced(&self, d: &Dirty) -> bool {
        d.bbox.area() * KEPT_SHARE >= self.grid.rect(d.at).area()
    }

    /// The slot that holds what this tile is to show.
    fn wanted_back(&mut self, d: &Dirty, run: &Run<'_>) -> Option<u16> {
        let version = run.answer.version;
        if d.bbox.area() <= LEAST_RECALL || (run.goes_on && self.tiles.was_missed(d.at, version)) {
            return None;
        }
        let hash = match self.tiles.wanted_hash(d.at) {
            Some(hash) => hash,
            // One colour is a fill.
            None if fill::solid(run.newest, d.bbox).is_some() => return None,
            None => tile_hash(run.newest, self.grid.rect(d.at), &mut self.scratch),
        };
        self.tiles.set_wanted_hash(d.at, hash);
        let Some((slot, class)) = self.slots.find(hash) else {
            self.tiles.miss(d.at, version);
            return None;
        };
        self.tiles.saw(d.at, class);
        Some(slot)
    }

    /// Whether what is wanted is mostly in the cache, by a look at a few tiles: then nothing else is searched for it.
    pub(super) fn comes_back(&mut self, dirty: &[Dirty], run: &Run<'_>) -> bool {
        if !self.caches() || self.slots.is_empty() {
            return false;
        }
        let (mut asked, mut found) = (0, 0);
        for d in dirty.iter().step_by((dirty.len() / SAMPLES).max(1)) {
            found += usize::from(self.wanted_back(d, run).is_some());
            asked += usize::from(self.tiles.wanted_hash(d.at).is_some());
        }
        found > 0 && found * 2 >= asked
    }

    /// Takes the tiles that are in the cache out of `dirty`.
    pub(super) fn recall(&mut self, dirty: &mut Vec<Dirty>, run: &Run<'_>) -> Option<Work> {
        if !self.caches() || self.slots.is_empty() {
            return None;
        }
        let mut found = Vec::new();
        dirty.retain(|d| match (self.wanted_back(d, run), self.grid.index(d.at)) {
            (Some(slot), Some(tile)) => {
                found.push((tile, self.grid.rect(d.at), slot));
                false
            }
            _ => true,
        });
        found.sort_unstable_by_key(|(tile, ..)| *tile);
        let (rects, slots): (Vec<_>, Vec<_>) = found.into_iter().map(|(_, rect, slot)| (rect, slot)).unzip();
        (!rects.is_empty()).then_some(Work::Cached(rects, slots))
    }

    /// Draws as many tiles from the cache as fit; the rest goes back to the queue. Answers whether the slice is full.
    pub(super) fn put_cached(
        &mut self,
        open: &mut Draft,
        run: &Run<'_>,
        mut rects: Vec<Rect<Surf>>,
        mut slots: Vec<u16>,
        queue: &mut VecDeque<Work>,
    ) -> bool {
        let most = open.room().saturating_sub(op_len(1) + 2) / RUN_BYTES;
        let (mut fit, mut ends, mut area, mut last) = (0, 0, 0, None);
        let index =
            |r: &Rect<Surf>| self.grid.touching(*r).next().and_then(|at| self.grid.index(at)).unwrap_or(0) as u32;
        let pairs: Vec<_> = rects.iter().map(index).zip(slots.iter().map(|s| u32::from(*s))).collect();
        for (rect, pair) in rects.iter().zip(&pairs) {
            ends += usize::from(last.is_none_or(|(t, s): (u32, u32)| (t + 1, s + 1) != *pair));
            area += rect.area();
            if ends > most || area > open.pixels || fit == limits::OP_RECTS {
                break;
            }
            last = Some(*pair);
            fit += 1;
        }
        let rest = (rects.split_off(fit), slots.split_off(fit));
        if fit > 0 {
            put_op(&mut open.bytes, kind::CACHE, &cache::payload(Verb::Ref, &runs(pairs.into_iter().take(fit))));
            for (rect, slot) in rects.iter().zip(&slots) {
                self.take(open, run.newest, *rect);
                self.slots.served(*slot);
            }
        }
        let full = !rest.0.is_empty();
        if full {
            queue.push_front(Work::Cached(rest.0, rest.1));
        }
        full
    }
}
