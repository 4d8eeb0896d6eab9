//! What each tile should show, what the viewer was sent of it, and what it has confirmed.
//!
//! Quality is a state of places on the screen, not a property of a stream: the planner asks the ledger where the viewer
//! is behind. The ledger follows the chain of slices forwards as they are coded, and backwards when the viewer gives up.

use std::collections::VecDeque;
use telepane_model::{
    EncodedSlices, Epoch, Grid, HostClock, Quality, Rect, Region, Size, Span, Stamp, Surf, TileAt, TileClass,
    TileState, UpdateId, Version,
};

/// One surface's tiles in one epoch.
#[derive(Debug)]
pub struct Ledger {
    epoch: Epoch,
    grid: Grid,
    tiles: Vec<Tile>,
    /// The last slice coded.
    tip: UpdateId,
    /// The highest id ever given out in this epoch; ids are never used again.
    highest: UpdateId,
    /// The last slice the viewer is known to have applied.
    confirmed: UpdateId,
    /// What slices after `confirmed` changed, oldest first.
    undo: VecDeque<Undo>,
    /// Changes closer together than this belong to one motion.
    motion_gap: Span,
    /// A tile was doubted: hardly ever, so that nobody looks for others.
    doubts: bool,
}

/// A tile's entry.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// The capture that last touched it.
    pub wanted: Version,
    /// When that was.
    pub changed: Stamp<HostClock>,
    /// How many changes followed one another closely.
    pub streak: u8,
    /// What the codec saw in it.
    pub class: TileClass,
    /// Changes since the codec saw it: many, and `class` is about something that has long gone.
    pub unseen: u8,
    /// What changed and is not sent.
    pub dirty: Rect<Surf>,
    /// What the viewer holds once everything sent has arrived.
    pub held: Held,
}

/// What the viewer holds of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Held {
    /// The content; 0 is the black of a new epoch, or a tile sent only in part.
    pub version: Version,
    /// How good.
    pub quality: Quality,
    /// The slice that brought it.
    pub by: UpdateId,
    /// The viewer does not show it, by what it says: nothing is known of what it does show.
    pub doubted: bool,
}

#[derive(Debug)]
struct Undo {
    id: UpdateId,
    before: Vec<(usize, Held)>,
}

/// Changes closer together than this belong to one motion (a film at 10 frames a second still counts).
const MOTION_GAP: Span = Span::millis(120);

impl Ledger {
    /// A new epoch: the viewer's framebuffer is black, and everything is wanted.
    // spec: O-4
    pub fn new(epoch: Epoch, size: Size<Surf>, version: Version, now: Stamp<HostClock>) -> Self {
        let grid = Grid::new(size);
        let tiles = grid
            .all()
            .map(|at| Tile {
                wanted: version,
                changed: now,
                streak: 1,
                class: TileClass::Text,
                unseen: 0,
                dirty: grid.rect(at),
                held: Held::default(),
            })
            .collect();
        Self {
            epoch,
            grid,
            tiles,
            tip: UpdateId::BLANK,
            highest: UpdateId::BLANK,
            confirmed: UpdateId::BLANK,
            undo: VecDeque::new(),
            motion_gap: MOTION_GAP,
            doubts: false,
        }
    }

    /// Frames come no closer together than this: motion is still motion.
    pub fn expect_pictures(&mut self, every: Span) {
        self.motion_gap = MOTION_GAP.max(every.scaled(3, 2));
    }

    /// The epoch.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The grid of tiles.
    pub const fn grid(&self) -> Grid {
        self.grid
    }

    /// The state that the next slice is coded against.
    // spec: H-2, O-5
    pub const fn tip(&self) -> UpdateId {
        self.tip
    }

    /// The id that the next slice gets.
    // spec: H-3, O-5
    pub const fn next_id(&self) -> UpdateId {
        self.highest.next()
    }

    /// The highest id given out so far.
    pub const fn highest(&self) -> UpdateId {
        self.highest
    }

    /// Whether slice `id` is one of the chain that leads to the tip, not older than what is confirmed.
    pub fn leads_to_tip(&self, id: UpdateId) -> bool {
        id == self.tip || id == self.confirmed || self.undo.iter().any(|u| u.id == id)
    }

    /// The last slice the viewer confirmed.
    pub const fn confirmed(&self) -> UpdateId {
        self.confirmed
    }

    /// The tiles that `keep` takes, with their places. Few are of interest at a time, and every viewer's mind looks at all
    /// of them for every frame: a place is worked out only for what is kept.
    pub fn tiles_that(&self, keep: impl Fn(&Tile) -> bool) -> impl Iterator<Item = (TileAt, &Tile)> {
        self.tiles.iter().enumerate().filter(move |(_, t)| keep(t)).map(|(i, t)| (self.grid.at(i), t))
    }

    /// The tiles that the viewer does not show as it was sent them, with their places.
    pub fn doubted(&self) -> impl Iterator<Item = (TileAt, &Tile)> {
        self.tiles_that(|t| t.held.doubted).take(if self.doubts { usize::MAX } else { 0 })
    }

    /// Whether nothing is left to do for a tile.
    pub fn is_settled(tile: &Tile) -> bool {
        !Self::is_stale(tile) && tile.held.quality == Quality::EXACT && !tile.held.doubted
    }

    /// One tile.
    pub fn tile(&self, at: TileAt) -> Option<&Tile> {
        self.grid.index(at).and_then(|i| self.tiles.get(i))
    }

    /// A capture touched these pixels.
    pub fn touch(&mut self, changed: &Region<Surf>, version: Version, now: Stamp<HostClock>) {
        for rect in changed.rects() {
            for at in self.grid.touching(*rect) {
                let within = self.grid.rect(at).intersect(*rect);
                if let Some(tile) = self.grid.index(at).and_then(|i| self.tiles.get_mut(i)) {
                    tile.dirty = tile.dirty.union(within);
                    if tile.wanted < version {
                        let close = now.since(tile.changed) < self.motion_gap;
                        tile.streak = if close { tile.streak.saturating_add(1) } else { 1 };
                        tile.unseen = tile.unseen.saturating_add(1);
                        tile.wanted = version;
                        tile.changed = now;
                    }
                }
            }
        }
    }

    /// A job was done: its slices follow the tip, and some tiles turned out to be right already.
    ///
    /// INVARIANT: the slices' ids rise from [`Ledger::next_id`] and the first one's base is the tip.
    pub fn on_coded(&mut self, done: &EncodedSlices) {
        for slice in &done.slices {
            debug_assert!(slice.base == self.tip && slice.id > self.highest);
            self.tip = slice.id;
            self.highest = slice.id;
            self.undo.push_back(Undo { id: slice.id, before: Vec::new() });
            for state in &slice.tiles {
                self.settle(*state, done.anew);
            }
        }
        for state in &done.same {
            self.settle(*state, false);
        }
        for moved in &done.moved {
            for at in self.grid.touching(moved.to) {
                if let Some(tile) = self.grid.index(at).and_then(|i| self.tiles.get_mut(i)) {
                    // What moved is explained: it is no film. The change after it is the first of a streak again.
                    tile.streak = 0;
                }
            }
        }
        for rect in &done.no_film {
            for at in self.grid.touching(*rect) {
                self.grid.index(at).and_then(|i| self.tiles.get_mut(i)).into_iter().for_each(|t| t.streak = 0);
            }
        }
    }

    fn settle(&mut self, state: TileState, anew: bool) {
        let tip = self.tip;
        let Some(i) = self.grid.index(state.at) else { return };
        let rect = self.grid.rect(state.at);
        let Some(tile) = self.tiles.get_mut(i) else { return };
        if let Some(undo) = self.undo.back_mut() {
            undo.before.push((i, tile.held));
        }
        (tile.class, tile.unseen) = (state.class, 0);
        let doubted = tile.held.doubted && !(anew && state.quality == Quality::EXACT);
        if state.quality == Quality::NONE {
            tile.held = Held { version: Version(0), quality: Quality::NONE, by: tip, doubted };
            tile.dirty = rect;
        } else {
            tile.held = Held { version: state.version, quality: state.quality, by: tip, doubted };
            if state.version >= tile.wanted && state.quality == Quality::EXACT {
                tile.dirty = Rect::default();
            }
        }
    }

    /// What a viewer shows at tile number `index` while it holds what slice `applied` left, if that is exact and the same at the
    /// tip. Film never is.
    pub fn exact_at(&self, index: u32, applied: UpdateId) -> Option<TileAt> {
        let on_chain = applied <= self.confirmed || self.leads_to_tip(applied);
        let tile = self.tiles.get(index as usize).filter(|_| on_chain)?;
        let held = tile.held;
        (held.quality == Quality::EXACT && held.by <= applied && !held.doubted).then(|| self.grid.at(index as usize))
    }

    /// The viewer does not show what it was sent of this tile. False if that was known, or it is not said to be exact.
    pub fn doubt(&mut self, at: TileAt) -> bool {
        let Some(index) = self.grid.index(at) else { return false };
        let Some(tile) = self.tiles.get_mut(index) else { return false };
        if tile.held.doubted || tile.held.quality != Quality::EXACT {
            return false;
        }
        tile.held.doubted = true;
        self.doubts = true;
        // Whatever the viewer gives up, it is at a state that had the tile as it is.
        for (i, before) in self.undo.iter_mut().flat_map(|u| &mut u.before) {
            before.doubted |= *i == index;
        }
        true
    }

    /// The viewer has applied everything up to `id`.
    pub fn confirm(&mut self, id: UpdateId) {
        self.confirmed = self.confirmed.max(id.min(self.tip));
        while self.undo.front().is_some_and(|u| u.id <= self.confirmed) {
            self.undo.pop_front();
        }
    }

    /// The viewer holds what slice `base` left and discards what followed: so does the ledger.
    // spec: H-11
    pub fn revert(&mut self, base: UpdateId, through: UpdateId) {
        while self.undo.back().is_some_and(|u| u.id > base) {
            let Some(undo) = self.undo.pop_back() else { break };
            for (i, held) in undo.before.into_iter().rev() {
                if let Some(tile) = self.tiles.get_mut(i) {
                    tile.held = held;
                    tile.dirty = self.grid.rect(self.grid.at(i));
                }
            }
        }
        self.tip = base;
        self.highest = self.highest.max(through);
    }

    /// Whether a tile shows older content than wanted once everything sent has arrived.
    pub fn is_stale(tile: &Tile) -> bool {
        tile.held.version < tile.wanted
    }

    /// Whether everything is sent and exact.
    pub fn all_sent_exact(&self) -> bool {
        self.tiles.iter().all(Self::is_settled)
    }

    /// Whether the viewer has confirmed every tile exact.
    pub fn all_confirmed_exact(&self) -> bool {
        self.all_sent_exact() && self.tip <= self.confirmed
    }

    /// Checks what always holds; for tests and the simulator.
    pub fn verify(&self) {
        assert!(self.confirmed <= self.tip && self.tip <= self.highest, "confirmed <= sent <= given out");
        assert!(self.undo.iter().all(|u| u.id > self.confirmed && u.id <= self.tip));
        assert!(self.undo.iter().zip(self.undo.iter().skip(1)).all(|(a, b)| a.id < b.id));
        for t in &self.tiles {
            assert!(t.held.by <= self.tip, "no tile is held from a slice that was given up");
            assert!(!(Self::is_stale(t) && t.dirty.is_empty()), "what is stale is dirty somewhere");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::EncodedSlice;

    fn ledger() -> Ledger {
        Ledger::new(Epoch(1), Size::new(128, 64), Version(1), Stamp::ZERO)
    }

    fn slice(id: u32, base: u32, col: u16, version: u64) -> EncodedSlices {
        let tiles = vec![TileState {
            at: TileAt { col, row: 0 },
            version: Version(version),
            quality: Quality::EXACT,
            class: TileClass::Text,
        }];
        EncodedSlices {
            slices: vec![EncodedSlice { id: UpdateId(id), base: UpdateId(base), tiles, bytes: vec![] }],
            ..EncodedSlices::default()
        }
    }

    #[test]
    fn a_tile_is_stale_until_its_newest_version_is_sent() {
        let mut l = ledger();
        l.on_coded(&slice(1, 0, 0, 1));
        l.on_coded(&slice(2, 1, 1, 1));
        assert!(l.all_sent_exact() && !l.all_confirmed_exact());
        l.confirm(UpdateId(2));
        assert!(l.all_confirmed_exact());
        l.touch(&Rect::new(70, 5, 3, 3).into(), Version(2), Stamp::from_micros(9));
        let stale: Vec<_> = l.tiles_that(Ledger::is_stale).map(|(at, t)| (at.col, t.dirty)).collect();
        assert_eq!(stale, vec![(1, Rect::new(70, 5, 3, 3))]);
        l.verify();
    }

    // spec: H-70, H-71
    #[test]
    fn a_doubted_tile_is_settled_only_by_what_relies_on_nothing() {
        let at = TileAt { col: 0, row: 0 };
        let mut l = ledger();
        l.on_coded(&slice(1, 0, 0, 1));
        l.on_coded(&slice(2, 1, 1, 1));
        assert_eq!((l.exact_at(0, UpdateId(1)), l.exact_at(1, UpdateId(1))), (Some(at), None));
        assert_eq!((l.exact_at(0, UpdateId(3)), l.exact_at(9, UpdateId(2))), (None, None));
        l.confirm(UpdateId(1));
        assert!(l.doubt(at) && !l.doubt(at) && !l.all_sent_exact());
        assert_eq!(l.exact_at(0, UpdateId(2)), None);
        l.on_coded(&slice(3, 2, 0, 1));
        assert!(!l.all_sent_exact(), "an ordinary slice is coded against what the viewer does not show");
        l.on_coded(&EncodedSlices { anew: true, ..slice(4, 3, 0, 1) });
        assert!(l.all_sent_exact());
        // The viewer gives up before it: the doubt is back.
        l.revert(UpdateId(2), UpdateId(4));
        l.verify();
        assert!(l.tile(at).is_some_and(|t| t.held.doubted));
        l.on_coded(&EncodedSlices { anew: true, ..slice(5, 2, 0, 1) });
        assert!(l.all_sent_exact());
    }

    // spec: H-3, H-11
    #[test]
    fn giving_up_returns_to_what_the_viewer_holds() {
        let mut l = ledger();
        l.on_coded(&slice(1, 0, 0, 1));
        l.on_coded(&slice(2, 1, 1, 1));
        l.confirm(UpdateId(1));
        l.touch(&Rect::new(0, 0, 128, 64).into(), Version(2), Stamp::from_micros(1));
        l.on_coded(&slice(3, 2, 0, 2));
        l.revert(UpdateId(1), UpdateId(3));
        l.verify();
        assert_eq!(l.tip(), UpdateId(1));
        assert_eq!(l.next_id(), UpdateId(4));
        assert_eq!(l.tile(TileAt { col: 0, row: 0 }).map(|t| t.held.version), Some(Version(1)));
        assert_eq!(l.tile(TileAt { col: 1, row: 0 }).map(|t| t.held.version), Some(Version(0)));
    }
}
