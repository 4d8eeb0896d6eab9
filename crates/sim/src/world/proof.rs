//! What the viewer's tiles show: hashed where it holds them, and held against what the host's coder sent.

use super::World;
use std::collections::BTreeMap;
use telepane_codec::proof::proof;
use telepane_model::{Epoch, Grid, Point, Proof, Surf, TileAt, UpdateId};
use telepane_protocol::{Capabilities, Capability, Proofs};

/// What was said of tiles, and what came of it.
#[derive(Clone, Debug, Default)]
pub struct ProofTally {
    /// How often each was said.
    pub said: BTreeMap<TileAt, u32>,
    /// Tiles that the host held against what it sent.
    pub checked: u64,
    /// Those that it found wrong, and when.
    pub failed: Vec<(u64, TileAt)>,
    /// Some are expected to be: the scenario spoils something.
    pub expected: bool,
    /// The viewer says of every tile something that is not so.
    pub lies: bool,
}

impl World {
    /// What our own host says, as far as it bears on the minds of every scenario.
    pub(super) fn host_capabilities() -> Capabilities {
        Capabilities::default()
            .with(Capability::ReceiveBuffer, 4 << 20)
            .with(Capability::Proofs, Proofs::MOST as u64)
            .with(Capability::Reports, 3)
    }

    pub(super) fn prove(&mut self, epoch: Epoch, tiles: &[TileAt]) {
        let hashes = match self.decoder.as_ref().filter(|(e, _)| *e == epoch) {
            Some((_, decoder)) => {
                let (pixels, lie) = (decoder.pixels(), u64::from(self.proofs.lies));
                let grid = Grid::new(pixels.size());
                tiles.iter().map(|at| proof(pixels, grid.rect(*at), &mut Vec::new()) ^ lie).collect()
            }
            None => Vec::new(),
        };
        tiles.iter().for_each(|at| *self.proofs.said.entry(*at).or_default() += 1);
        self.viewer.on_proven(self.viewer_now(), epoch, &hashes);
    }

    pub(super) fn check(&mut self, epoch: Epoch, coded: UpdateId, proofs: &[Proof]) {
        let now = self.host_now();
        match self.encoder.as_mut().filter(|(e, c)| *e == epoch && c.coded() == coded) {
            Some((_, encoder)) => {
                let wrong = encoder.wrong(proofs);
                self.host.on_checked(now, epoch, proofs.len(), &wrong);
            }
            None => self.host.on_unchecked(now, epoch),
        }
    }

    /// One bit of the viewer's picture is flipped, as none should be.
    pub fn spoil_picture(&mut self, at: Point<Surf>) {
        self.proofs.expected = true;
        if let Some((_, decoder)) = &mut self.decoder {
            decoder.pixels_mut().row_mut(at.x as u32, at.y as u32, 1)[1] ^= 0x40;
        }
    }
}
