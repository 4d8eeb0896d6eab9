//! The film part of a job: a region's next frame, in as many slices as it takes.
//!
//! The frame is shown on `sent` by the same decoder as the viewer's, at once; the slices before its last one change
//! nothing. When H.264 fails the region is coded exactly.

use super::{Draft, Encoder, Run};
use crate::history::Undo;
use crate::plan::{Dirty, Work, plan};
use crate::{diff, film};
use std::collections::VecDeque;
use telepane_model::{Rect, Surf};

impl Encoder {
    /// Puts a film frame: one fragment for each slice, the last of which shows it. When there is no room it is left;
    /// when H.264 fails the region is coded exactly.
    pub(super) fn put_film(&mut self, rect: Rect<Surf>, run: &mut Run<'_>, queue: &mut VecDeque<Work>) {
        let left = run.max_bytes.saturating_sub(run.used);
        if !run.answer.slices.is_empty() && left < self.film.expected(rect) as u64 {
            run.answer.left.push(rect);
            return;
        }
        // Film takes what it is given; an eighth stays for what else is wanted.
        let share = if queue.is_empty() { left } else { left - left / 8 };
        let mut shown = Undo::new(run.next, self.history.now());
        shown.save(&self.sent, rect);
        let frame = self.film.code(run.newest, rect, share).filter(|frame| self.film.show(frame, &mut self.sent));
        let Some(frame) = frame else {
            let mut dirty = Vec::new();
            diff::boxes(&self.sent, run.newest, rect, |at, bbox| dirty.push(Dirty { item: 0, at, bbox }));
            let exact = plan(run.newest, &dirty, &[], &mut self.exact, |_, _| {});
            exact.into_iter().rev().for_each(|w| queue.push_front(w));
            return;
        };
        let mut shown = Some(shown);
        let mut rest = &frame.data[..];
        let mut first = true;
        while !rest.is_empty() {
            let (id, base, stamp) = (run.next, self.history.now(), self.tiles.stamp());
            let mut bytes = Vec::new();
            rest = film::put_fragment(&mut bytes, &frame, first, rest, run.slice_bytes);
            first = false;
            let undo = Undo::new(id, base);
            let mut open = Draft { id, base, bytes, limit: run.slice_bytes, pixels: 0, tiles: Vec::new(), stamp, undo };
            if rest.is_empty() {
                if let Some(mut shown) = shown.take() {
                    (shown.id, shown.base) = (id, base);
                    open.undo = shown;
                }
                self.tiles.touch(stamp, rect, &mut open.tiles);
                for at in &open.tiles {
                    // What film did to a tile is seen by comparing it.
                    self.tiles.doubt(*at);
                    if rect.contains(self.grid.rect(*at)) {
                        self.tiles.film(*at, stamp);
                    }
                }
            }
            self.close(open, run);
        }
    }
}
