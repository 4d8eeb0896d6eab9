//! The text part of a job: areas coded by the context model until the slice is full.
//!
//! The coder stops at the row that would pass the limit, and the model is as if nothing after it had been coded, so a
//! slice is filled in one go. What takes too many bins for text goes back to the queue as a picture.

use super::{Draft, Encoder, Run};
use crate::plan::{Work, cut};
use crate::text::{Coded, FRESH, OLD, OPEN};
use crate::wire::{kind, put_op};
use std::collections::VecDeque;
use telepane_model::{Pixels, Rect, Surf, TileClass};

/// With less room than this a slice that holds something is closed.
const LEAST: usize = 48;
/// An op's kind and length, at their longest.
const HEAD: usize = 4;

impl Encoder {
    /// Puts `rect` and as many text areas behind it as fit. Answers whether the slice is full.
    pub(super) fn put_text(
        &mut self,
        open: &mut Draft,
        run: &Run<'_>,
        rect: Rect<Surf>,
        queue: &mut VecDeque<Work>,
    ) -> bool {
        let room = open.room().saturating_sub(HEAD);
        if room < LEAST && !open.bytes.is_empty() {
            queue.push_front(Work::Area(rect, TileClass::Text));
            return true;
        }
        let fresh = if self.lane_lost { FRESH } else { 0 };
        let old = if stays(run.newest, &self.sent, rect) { OLD } else { 0 };
        let mut op = self.lane.begin(OPEN | fresh | old);
        let mut next = Some(rect);
        let mut full = false;
        while let Some(rect) = next.take() {
            if rect.area() > open.pixels {
                queue.push_front(Work::Area(rect, TileClass::Text));
                full = true;
                break;
            }
            let coded = self.lane.encode(&mut op, run.newest, &self.sent, rect, room);
            let (rows, rest) = match coded {
                Coded::Whole => (rect.h, None),
                Coded::Rows(rows) => (rows, Some(TileClass::Text)),
                Coded::Costly(rows) => (rows, Some(TileClass::Picture)),
            };
            if rows > 0 {
                self.take(open, run.newest, Rect::new(rect.x, rect.y, rect.w, rows));
            }
            if let Some(class) = rest {
                full = class == TileClass::Text;
                let rest = Rect::between(rect.x, rect.y + rows as i32, rect.right(), rect.bottom());
                if full && op.rects().is_empty() && open.bytes.is_empty() {
                    // Not even a row fits into a slice of its own.
                    match cut(rest, 128) {
                        Some((head, tail)) => {
                            queue.push_front(Work::Area(tail, class));
                            next = Some(head);
                        }
                        None => {
                            queue.push_front(Work::Area(rest, TileClass::Picture));
                            full = false;
                        }
                    }
                } else {
                    queue.push_front(Work::Area(rest, class));
                }
            } else if let Some(Work::Area(rect, TileClass::Text)) = queue.front()
                && stays(run.newest, &self.sent, *rect) == (old != 0)
            {
                next = Some(*rect);
                queue.pop_front();
            }
        }
        if !op.rects().is_empty() {
            self.lane_lost = false;
            put_op(&mut open.bytes, kind::TEXT, self.lane.finish(&op));
        }
        full
    }
}

/// Whether enough of `rect` stays as it was that looking at it pays.
fn stays(newest: &Pixels, held: &Pixels, rect: Rect<Surf>) -> bool {
    let rows = newest.rows(rect).zip(held.rows(rect)).step_by(3);
    let mut same = 0u64;
    let mut all = 0u64;
    for (new, old) in rows {
        let pairs = new.as_chunks::<4>().0.iter().zip(old.as_chunks::<4>().0);
        same += pairs.map(|(a, b)| u64::from(a[..3] == b[..3])).sum::<u64>();
        all += new.len() as u64 / 4;
    }
    same * 4 >= all
}
