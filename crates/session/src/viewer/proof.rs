//! Says what tiles show that have rested, so that the host finds its own mistakes.
//!
//! Each tile is looked at once after it was written to, and a few of the others beside it: a mistake that writes where
//! nothing said so is found while the screen is in use, and a screen that rests costs nothing.

use super::{SURFACE, Viewer};
use crate::output::{Alarm, ViewerOutput, Wake};
use std::collections::VecDeque;
use telepane_model::{Epoch, Grid, Region, Size, Span, Stamp, Surf, TileAt, UpdateId, ViewerClock};
use telepane_protocol::{Capabilities, Capability, Control, Proofs};

/// A tile that was not written to for so long rests: what moves, blinks, is typed or leafed through does not, and costs
/// nothing. After 2 s, what a day of office work sends upwards grew by 62 %.
// spec: Y-40
const REST: Span = Span::secs(10);
/// Messages are so far apart. [`Proofs::MOST`] tiles of 16 KiB in this time are 2 MB/s to hash, 3.2 us each: 0.04 % of a core.
// spec: Y-40
const APART: Span = Span::secs(1);
/// So many tiles beside those that are due.
const BESIDE: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rested {
    /// The most tiles that the host takes in one message; 0: none.
    most: usize,
    epoch: Epoch,
    grid: Option<Grid>,
    tiles: Vec<Tile>,
    /// Tiles that were written to, each once, and from when on they may rest. The times never fall.
    queue: VecDeque<(Stamp<ViewerClock>, u32)>,
    /// Where the look at the others goes on.
    round: usize,
    next_at: Stamp<ViewerClock>,
    /// What is being hashed: tiles, and what the framebuffer was left by.
    asked: Option<(UpdateId, Vec<TileAt>)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tile {
    written: Stamp<ViewerClock>,
    queued: bool,
    /// It was written to at all: the others are black.
    known: bool,
}

impl Rested {
    fn on_applied(&mut self, now: Stamp<ViewerClock>, epoch: Epoch, size: Size<Surf>, changed: &Region<Surf>) {
        if self.most == 0 {
            return;
        }
        if self.epoch != epoch || self.grid.is_none_or(|g| g.size() != size) {
            let grid = Grid::new(size);
            *self = Self { most: self.most, next_at: self.next_at, epoch, grid: Some(grid), ..Self::default() };
            self.tiles = vec![Tile::default(); grid.count()];
        }
        let Some(grid) = self.grid else { return };
        self.wait(now, changed.rects().iter().flat_map(|r| grid.touching(*r)).filter_map(|at| grid.index(at)));
    }

    /// These were written to, or may have been.
    fn wait(&mut self, now: Stamp<ViewerClock>, indices: impl Iterator<Item = usize>) {
        for index in indices {
            let Some(tile) = self.tiles.get_mut(index) else { continue };
            (tile.written, tile.known) = (now, true);
            if !std::mem::replace(&mut tile.queued, true) {
                self.queue.push_back((now, index as u32));
            }
        }
    }

    /// When tiles are due, if any are.
    fn due(&self) -> Option<Stamp<ViewerClock>> {
        self.queue.front().map(|(at, _)| (*at + REST).max(self.next_at))
    }

    /// The tiles that are due, and some others, in row order; those that were written to meanwhile wait again.
    fn take(&mut self, now: Stamp<ViewerClock>) -> Vec<TileAt> {
        let mut due = Vec::new();
        let most = self.most.saturating_sub(BESIDE).max(1);
        while due.len() < most
            && let Some((_, index)) = self.queue.front().copied().filter(|(at, _)| *at + REST <= now)
        {
            self.queue.pop_front();
            let Some(tile) = self.tiles.get_mut(index as usize) else { continue };
            if tile.written + REST > now {
                let at = self.queue.back().map_or(tile.written, |(at, _)| tile.written.max(*at));
                self.queue.push_back((at, index));
                continue;
            }
            tile.queued = false;
            due.push(index as usize);
        }
        let count = self.tiles.len();
        if !due.is_empty() && count > 0 {
            let room = self.most.saturating_sub(due.len()).min(BESIDE);
            let round = (0..count).map(|n| (self.round + n) % count);
            let rests = |i: &usize| self.tiles.get(*i).is_some_and(|t| t.known && !t.queued) && !due.contains(i);
            let others: Vec<_> = round.filter(rests).take(room).collect();
            self.round = others.last().map_or(self.round, |i| i + 1);
            due.extend(others);
        }
        due.sort_unstable();
        let Some(grid) = self.grid else { return Vec::new() };
        due.into_iter().map(|i| grid.at(i)).collect()
    }
}

impl Viewer {
    pub(super) fn agree_proofs(&mut self, host: &Capabilities) {
        let most = usize::try_from(host.value(Capability::Proofs)).unwrap_or(usize::MAX).min(Proofs::MOST);
        if most != self.rested.most {
            self.rested = Rested { most, ..Rested::default() };
        }
    }

    pub(super) fn rest(&mut self, epoch: Epoch, size: Size<Surf>, changed: &Region<Surf>) {
        self.rested.on_applied(self.now, epoch, size, changed);
    }

    /// Wants tiles hashed that have rested, while nothing else is to be done.
    // spec: Y-40, Y-41
    pub(super) fn prove(&mut self, alarm: &mut Alarm<ViewerClock>) {
        let a = &self.assembler;
        let busy = self.decoding.is_some() || self.unshown.is_some() || !a.rests() || self.silent.is_some();
        // What ends each of these wakes the mind.
        if busy || self.link.is_none() || self.spoilt == Some(a.epoch()) || self.rested.asked.is_some() {
            return;
        }
        let (now, epoch, applied) = (self.now, a.epoch(), a.applied());
        if epoch != self.rested.epoch {
            return;
        }
        let tiles = match self.rested.due() {
            Some(at) if at <= now => self.rested.take(now),
            _ => Vec::new(),
        };
        if tiles.is_empty() {
            alarm.set_if(self.rested.due(), Wake::Proof);
            return;
        }
        self.rested.next_at = now + APART;
        self.rested.asked = Some((applied, tiles.clone()));
        self.out.push_back(ViewerOutput::Prove { surface: SURFACE, epoch, tiles });
    }

    /// What the tiles of a [`ViewerOutput::Prove`] show, one hash for each; none if there is no such framebuffer any more.
    // spec: Y-41
    pub fn on_proven(&mut self, now: Stamp<ViewerClock>, epoch: Epoch, hashes: &[u64]) {
        self.advance(now);
        if epoch != self.rested.epoch {
            return;
        }
        let Some((applied, tiles)) = self.rested.asked.take() else { return };
        // A slice that came meanwhile may have been decoded already.
        let steady = self.decoding.is_none() && self.assembler.applied() == applied && self.assembler.epoch() == epoch;
        let Some(grid) = self.rested.grid.filter(|_| tiles.len() == hashes.len()) else { return };
        let indices = tiles.into_iter().filter_map(|at| grid.index(at));
        if !steady {
            self.rested.wait(now, indices);
            return;
        }
        let tiles: Vec<_> = indices.map(|i| i as u32).zip(hashes.iter().copied()).collect();
        self.figures.proven += tiles.len() as u64;
        self.send_control(Control::Proofs(Proofs { surface: SURFACE, epoch, applied, tiles }));
    }
}
