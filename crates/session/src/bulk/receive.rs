//! A pipe's receiving end: chunks in any order become bytes in order, within the leave that was given.

use std::collections::BTreeMap;
use telepane_protocol::{Chunk, Fault};

/// How far a pipe may run ahead of what the shell has put away: 1 Gbit/s for 60 ms, and what a hostile sender can make a
/// receiver keep.
// spec: B-6
pub const WINDOW: u64 = 8 << 20;
/// More leave is given when so much of it is used.
const GRANT: u64 = WINDOW / 4;

#[derive(Debug)]
pub(super) struct Incoming {
    /// Everything before this was handed over.
    next: u64,
    /// The sender may go on to here.
    upto: u64,
    /// Everything before this was put away.
    used: u64,
    /// Where the pipe ends, once that was said.
    end: Option<u64>,
    waiting: BTreeMap<u64, Vec<u8>>,
}

impl Default for Incoming {
    fn default() -> Self {
        Self { next: 0, upto: WINDOW, used: 0, end: None, waiting: BTreeMap::new() }
    }
}

impl Incoming {
    // spec: B-4, B-5, B-6
    pub(super) fn on_chunk(&mut self, chunk: Chunk) -> Result<(), Fault> {
        // The decoder has checked that this does not overflow.
        let (from, to) = (chunk.offset, chunk.offset + chunk.bytes.len() as u64);
        if to > self.upto {
            return Err(Fault::TooMuchBulk);
        }
        let before = self.waiting.range(..to.max(from + 1)).next_back();
        let overlaps = before.is_some_and(|(at, bytes)| at + bytes.len() as u64 > from);
        let newest = self.waiting.last_key_value().map_or(self.next, |(at, b)| at + b.len() as u64);
        let past_end = self.end.is_some_and(|end| to > end) || chunk.last && (self.end.is_some() || newest > to);
        if from < self.next || overlaps || past_end {
            return Err(Fault::BadChunk);
        }
        if chunk.last {
            self.end = Some(to);
        }
        if !chunk.bytes.is_empty() {
            self.waiting.insert(from, chunk.bytes);
        }
        Ok(())
    }

    /// The next bytes in order, and whether they are the last.
    pub(super) fn next(&mut self) -> Option<(Vec<u8>, bool)> {
        let bytes = match self.waiting.first_entry().filter(|e| *e.key() == self.next) {
            Some(entry) => entry.remove(),
            // A pipe may end with a chunk that has no bytes.
            None if self.end == Some(self.next) => Vec::new(),
            None => return None,
        };
        self.next += bytes.len() as u64;
        let last = self.end == Some(self.next);
        if last {
            // It is told once.
            self.end = None;
        }
        Some((bytes, last))
    }

    /// So many bytes more were put away; the new leave, if it is time for one.
    pub(super) fn on_used(&mut self, bytes: u64) -> Option<u64> {
        self.used = self.used.saturating_add(bytes).min(self.next);
        let upto = self.used + WINDOW;
        (upto >= self.upto + GRANT).then(|| {
            self.upto = upto;
            upto
        })
    }
}
