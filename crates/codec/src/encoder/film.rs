//! The film part of a job: a region's next frame, in as many slices as it takes.
//!
//! A frame is coded whole, and its fragments leave as there is room, in this job and in later ones, with whatever else is
//! wanted between them; so a key's echo does not wait for a film's frame. Until the last fragment nothing changes; that
//! one shows the frame on `sent` as the same decoder will at the viewer. When H.264 fails the region is coded exactly.

use super::{Draft, Encoder, Run};
use crate::diff;
use crate::plan::{Dirty, Work, plan};
use std::collections::VecDeque;
use telepane_model::{EncodeItem, EncodeJob, Quality, Rect, Surf};

impl Encoder {
    /// Whether a frame of `rect` is coded and not all of it is in slices: a job for it only goes on with it.
    pub fn is_filming(&self, rect: Rect<Surf>) -> bool {
        self.filming.as_ref().is_some_and(|f| f.rect == rect)
    }

    /// Gives up a frame of which not everything is in slices, if the job wants something else in its place.
    pub(super) fn drop_stale_frame(&mut self, job: &EncodeJob) {
        let Some(frame) = &self.filming else { return };
        let goes_on = |i: &EncodeItem| i.quality == Quality::FILM && i.rect == frame.rect;
        let replaces = |i: &EncodeItem| !i.rect.intersect(frame.rect).is_empty();
        if !job.items.iter().any(goes_on) && job.items.iter().any(replaces) {
            self.film.abandon(frame);
            self.filming = None;
        }
    }

    /// Puts a film frame: one fragment for each slice, the last of which shows it. What has no room is left; when H.264
    /// fails the region is coded exactly.
    pub(super) fn put_film(&mut self, rect: Rect<Surf>, run: &mut Run<'_>, queue: &mut VecDeque<Work>) {
        if !self.is_filming(rect) {
            let left = run.max_bytes.saturating_sub(run.used);
            if !run.answer.slices.is_empty() && left < run.slice_bytes.min(self.film.expected(rect)) as u64 {
                run.answer.left.push(rect);
                return;
            }
            self.filming.take().iter().for_each(|old| self.film.abandon(old));
            self.filming = self.film.code(run.newest, run.answer.version, rect, run.film_bytes);
        }
        let Some(mut frame) = self.filming.take().filter(|f| f.rect == rect) else {
            let mut dirty = Vec::new();
            diff::boxes(&self.sent, run.newest, rect, |at, bbox| dirty.push(Dirty { item: 0, at, bbox }));
            let exact = plan(run.newest, &dirty, &[], &mut self.exact, |_, _| {});
            exact.into_iter().rev().for_each(|w| queue.push_front(w));
            return;
        };
        let each = frame.fragment(run.slice_bytes);
        while frame.left() > 0 {
            if !run.answer.slices.is_empty() && run.used >= run.max_bytes {
                self.filming = Some(frame);
                run.answer.left.push(rect);
                return;
            }
            let (id, base, stamp) = (run.next, self.history.now(), self.tiles.stamp());
            let mut bytes = Vec::new();
            frame.put_fragment(&mut bytes, each);
            let undo = self.history.begin(id);
            let mut open = Draft { id, base, bytes, limit: run.slice_bytes, pixels: 0, tiles: Vec::new(), stamp, undo };
            if frame.left() == 0 {
                open.undo.save(&self.sent, rect);
                self.film.show(&frame, id, &mut self.sent);
                self.tiles.touch(stamp, rect, &mut open.tiles);
                for at in &open.tiles {
                    // What film did to a tile is seen by comparing it.
                    self.tiles.doubt(*at);
                    if rect.contains(self.grid.rect(*at)) {
                        self.tiles.film(*at, stamp, frame.version);
                    }
                }
            }
            self.close(open, run);
        }
    }
}
