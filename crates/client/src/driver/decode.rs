//! Slices into pixels, and what is said of pixels that rest.

use super::Driver;
use crate::tiles::Tiles;
use telepane_codec::Decoder;
use telepane_codec::proof::proof;
use telepane_codec::streams::InProcess;
use telepane_model::{Epoch, Grid, TileAt};
use telepane_session::DecodeJob;

impl Driver {
    pub(super) fn decode(&mut self, job: &DecodeJob) {
        let fits = matches!(&self.decoder, Some((epoch, _)) if *epoch == job.epoch);
        if !fits {
            let mut old = self.decoder.take().map(|(_, d)| d);
            let cache = old.as_mut().map_or_else(|| std::mem::take(&mut self.cache), Decoder::take_cache);
            let here = || Box::new(InProcess::default());
            let films = old.as_mut().map_or_else(|| std::mem::replace(&mut self.films, here()), Decoder::take_streams);
            let mut fresh = Decoder::with_cache(job.size, cache).with_streams(films);
            fresh.watch(true);
            self.tiles = Some(Tiles::new(job.size));
            self.decoder = Some((job.epoch, fresh));
            self.before = self.before.take().or(old);
            self.damage.clear();
        }
        let Some((_, decoder)) = &mut self.decoder else { return };
        let began = self.clock.now();
        let applied = decoder.apply(&job.ops);
        let now = self.clock.now();
        let seen = decoder.take_seen();
        let changed = match applied {
            Ok(applied) => {
                self.damage.add_all(&applied.changed);
                self.stats.on_decoded(job.ops.len(), now.since(began), applied.changed.area());
                if let Some(tiles) = &mut self.tiles {
                    tiles.on_slice(now, &seen);
                }
                Some(applied.changed)
            }
            Err(fault) => {
                tracing::warn!(fault = fault.name(), "a slice does not decode; asking for a fresh picture");
                None
            }
        };
        self.viewer.on_decoded(now, job.epoch, job.id, changed.as_ref());
    }

    /// Says what tiles show that rest.
    pub(super) fn prove(&mut self, epoch: Epoch, tiles: &[TileAt]) {
        let hashes = match self.decoder.as_ref().filter(|(e, _)| *e == epoch) {
            Some((_, decoder)) => {
                let (pixels, mut scratch) = (decoder.pixels(), Vec::new());
                let grid = Grid::new(pixels.size());
                tiles.iter().map(|at| proof(pixels, grid.rect(*at), &mut scratch)).collect()
            }
            None => Vec::new(),
        };
        self.viewer.on_proven(self.clock.now(), epoch, &hashes);
    }
}
