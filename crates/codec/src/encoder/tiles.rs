//! What is known of each tile during a job: wanted or not, what differs in it, and what slices did to it.
//!
//! Marks are stamps that only grow, so that nothing is cleared between jobs and slices.

use crate::picture::Layer;
use telepane_model::{Grid, Rect, Surf, TileAt, TileClass, Version};

/// One tile's marks.
#[derive(Clone, Copy, Debug, Default)]
struct Tile {
    /// The job that wants it.
    wanted: u32,
    /// The slice that wrote to it last.
    touched: u32,
    /// The slice that put film on the whole of it last, and of which capture.
    filmed: (u32, Version),
    /// Whether all that differs is inside `differs`.
    known: bool,
    differs: Rect<Surf>,
    /// Pixels of `differs` that were not written yet.
    missing: u64,
    class: TileClass,
    /// The content that the job at least wants.
    asked: Version,
    /// The layer that a slice put on all that differed, and nothing wrote to the tile since.
    layer: Option<Layered>,
    /// The name of what it shows, if it was asked for since it was written to.
    shown: Option<u128>,
    /// The name of what the job that wants it wants there, if it was asked for.
    newest: (u32, u128),
    /// Of these pixels the cache does not hold it.
    missed: Option<Version>,
}

/// A layer on a tile: by which slice, where, and of which content.
#[derive(Clone, Copy, Debug)]
struct Layered {
    slice: u32,
    layer: Layer,
    rect: Rect<Surf>,
    version: Version,
    /// The name of the whole tile that it was coded from, where it may be asked for.
    from: Option<u128>,
}

/// All tiles of a surface.
pub struct Tiles {
    grid: Grid,
    all: Vec<Tile>,
    stamp: u32,
    job: u32,
}

impl Tiles {
    /// Tiles of which nothing is known.
    pub fn new(grid: Grid) -> Self {
        Self { grid, all: vec![Tile::default(); grid.count()], stamp: 0, job: 0 }
    }

    /// A new job begins: nothing is wanted.
    pub fn begin(&mut self) {
        self.job = self.stamp();
    }

    /// A number that no mark has.
    pub fn stamp(&mut self) -> u32 {
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            for tile in &mut self.all {
                (tile.wanted, tile.touched, tile.filmed.0, tile.newest.0) = (0, 0, 0, 0);
            }
            self.stamp = 1;
        }
        self.stamp
    }

    /// The job wants this tile, which shows what it should until [`Tiles::differs`] says otherwise. False if that was
    /// known.
    pub fn want(&mut self, at: TileAt) -> bool {
        let job = self.job;
        let fresh = self.tile(at).filter(|t| t.wanted != job);
        fresh.map(|t| (t.wanted, t.known, t.missing) = (job, true, 0)).is_some()
    }

    /// Whether the job wants this tile.
    pub fn is_wanted(&self, at: TileAt) -> bool {
        self.at(at).is_some_and(|t| t.wanted == self.job)
    }

    /// Nothing is known any more of what this tile shows.
    pub fn doubt(&mut self, at: TileAt) {
        self.tile(at).into_iter().for_each(|t| t.known = false);
    }

    /// All that differs in a wanted tile is inside `rect`.
    pub fn differs(&mut self, at: TileAt, rect: Rect<Surf>) {
        self.tile(at).into_iter().for_each(|t| (t.differs, t.missing) = (rect, rect.area()));
    }

    /// `rect` was written as it should be. No pixel is written so twice in a job.
    pub fn shows(&mut self, rect: Rect<Surf>) {
        for at in self.grid.touching(rect) {
            if let Some(tile) = self.tile(at).filter(|t| t.known && t.missing > 0) {
                tile.missing = tile.missing.saturating_sub(tile.differs.intersect(rect).area());
            }
        }
    }

    /// Whether this tile is known to show exactly what it should.
    pub fn is_exact(&self, at: TileAt) -> bool {
        self.at(at).is_some_and(|t| t.wanted == self.job && t.known && t.missing == 0)
    }

    /// A slice wrote to `rect`; the tiles that it had not touched yet are appended to `list`.
    pub fn touch(&mut self, slice: u32, rect: Rect<Surf>, list: &mut Vec<TileAt>) {
        for at in self.grid.touching(rect) {
            let Some(tile) = self.tile(at) else { continue };
            (tile.shown, tile.layer) = (None, None);
            if tile.touched != slice {
                tile.touched = slice;
                list.push(at);
            }
        }
    }

    /// A slice put film of this capture on the whole of this tile.
    pub fn film(&mut self, at: TileAt, slice: u32, version: Version) {
        self.tile(at).into_iter().for_each(|t| (t.filmed, t.class) = ((slice, version), TileClass::Picture));
    }

    /// The capture of which that slice put film on the whole of this tile.
    pub fn filmed(&self, at: TileAt, slice: u32) -> Option<Version> {
        self.at(at).filter(|t| t.filmed.0 == slice).map(|t| t.filmed.1)
    }

    /// Whether film was the last that was put on this tile.
    pub fn shows_film(&self, at: TileAt) -> bool {
        self.at(at).is_some_and(|t| t.filmed.0 != 0 && t.filmed.0 == t.touched)
    }

    /// The job wants at least this content.
    pub fn ask(&mut self, at: TileAt, version: Version) {
        self.tile(at).into_iter().for_each(|t| t.asked = version);
    }

    /// A slice put this layer of this content on `rect`, which has all that differed in the tile.
    pub fn layered(
        &mut self,
        at: TileAt,
        slice: u32,
        layer: Layer,
        rect: Rect<Surf>,
        version: Version,
        from: Option<u128>,
    ) {
        self.tile(at).into_iter().for_each(|t| t.layer = Some(Layered { slice, layer, rect, version, from }));
    }

    /// The layer that the tile has, of whatever content, if that has all of `cell`; and the content's name.
    pub fn layer_from(&self, at: TileAt, cell: Rect<Surf>) -> Option<(u128, (Layer, Rect<Surf>))> {
        let has = self.at(at)?.layer.filter(|l| l.rect.contains(cell))?;
        Some((has.from?, (has.layer, has.rect)))
    }

    /// The layer that the tile has of the content that is wanted, and where, if that has all of `cell`.
    pub fn layer(&self, at: TileAt, cell: Rect<Surf>) -> Option<(Layer, Rect<Surf>)> {
        let tile = self.at(at)?;
        let has = tile.layer.filter(|l| l.version >= tile.asked && l.rect.contains(cell))?;
        Some((has.layer, has.rect))
    }

    /// The layer that this slice put on the tile.
    pub fn layer_of(&self, at: TileAt, slice: u32) -> Option<Layer> {
        self.at(at)?.layer.filter(|l| l.slice == slice).map(|l| l.layer)
    }

    /// This tile's pixels are of this class.
    pub fn saw(&mut self, at: TileAt, class: TileClass) {
        self.tile(at).into_iter().for_each(|t| t.class = class);
    }

    /// The class last seen.
    pub fn class(&self, at: TileAt) -> TileClass {
        self.at(at).map_or(TileClass::Text, |t| t.class)
    }

    /// The name of what the tile shows, if it is known.
    pub fn shown_hash(&self, at: TileAt) -> Option<u128> {
        self.at(at)?.shown
    }

    /// What the tile shows has this name.
    pub fn set_shown_hash(&mut self, at: TileAt, hash: u128) {
        self.tile(at).into_iter().for_each(|t| t.shown = Some(hash));
    }

    /// Nobody knows any more what any tile shows: slices were undone.
    pub fn forget_shown(&mut self) {
        self.all.iter_mut().for_each(|t| (t.shown, t.layer) = (None, None));
    }

    /// The name of what the job wants the tile to show, if it is known.
    pub fn wanted_hash(&self, at: TileAt) -> Option<u128> {
        self.at(at).filter(|t| t.newest.0 == self.job).map(|t| t.newest.1)
    }

    /// What the job wants the tile to show has this name.
    pub fn set_wanted_hash(&mut self, at: TileAt, hash: u128) {
        let job = self.job;
        self.tile(at).into_iter().for_each(|t| t.newest = (job, hash));
    }

    /// The cache does not hold what pixels of this version show there.
    pub fn miss(&mut self, at: TileAt, version: Version) {
        self.tile(at).into_iter().for_each(|t| t.missed = Some(version));
    }

    /// Whether that was so when it was looked for.
    pub fn was_missed(&self, at: TileAt, version: Version) -> bool {
        self.at(at).is_some_and(|t| t.missed == Some(version))
    }

    fn at(&self, at: TileAt) -> Option<&Tile> {
        self.all.get(self.grid.index(at)?)
    }

    fn tile(&mut self, at: TileAt) -> Option<&mut Tile> {
        self.all.get_mut(self.grid.index(at)?)
    }
}
