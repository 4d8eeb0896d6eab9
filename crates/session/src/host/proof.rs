//! What the viewer says its tiles show, held against what they should: so that a mistake of ours is found and mended.
//!
//! A viewer that lies is sent tiles that it has, no more of them than [`MENDS`] allows; a host that hashes for it spends no more
//! than [`LOOKS`].

use super::{Host, SURFACE};
use crate::bucket::Bucket;
use crate::film::Film;
use crate::ledger::Ledger;
use crate::output::HostOutput;
use crate::planner::anew;
use std::collections::BTreeMap;
use telepane_model::{EncodeItem, EncodedSlices, Epoch, HostClock, Note, Proof, Span, Stamp, TileAt, UpdateId};
use telepane_protocol::{Fault, Proofs};

/// Tiles that are looked at: twice what a viewer says (Y-40), and four messages at once. A tile takes some 3 microseconds.
// spec: H-72
const LOOKS: Bucket<HostClock> = Bucket::new(4 * Proofs::MOST as u32, Span::micros(4_166));
/// Tiles that are sent again: a row of a large window at once and four a second, so that a whole screen comes right within
/// two minutes, and a liar costs the path 4 tiles a second (2 kB/s of text, 64 kB/s of noise).
// spec: H-72
const MENDS: Bucket<HostClock> = Bucket::new(64, Span::millis(250));
/// Tiles of one job: what answers the person waits for no more than these.
const AT_ONCE: usize = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Checks {
    looks: Bucket<HostClock>,
    mends: Bucket<HostClock>,
    /// What was said and is not looked at yet, by the tile's number: with which slice applied, and the hash.
    said: BTreeMap<u32, (UpdateId, u64)>,
    /// In which epoch.
    epoch: Epoch,
}

impl Default for Checks {
    fn default() -> Self {
        Self { looks: LOOKS, mends: MENDS, said: BTreeMap::new(), epoch: Epoch(0) }
    }
}

impl Checks {
    /// The tiles to be sent anew now, if any; else when some may be.
    // spec: H-71, H-72
    pub(super) fn due(
        &self,
        ledger: &Ledger,
        film: &Film,
        now: Stamp<HostClock>,
    ) -> Result<Vec<EncodeItem>, Option<Stamp<HostClock>>> {
        let items = anew(ledger, film, AT_ONCE);
        match self.mends.left(now) {
            _ if items.is_empty() => Err(None),
            0 => Err(Some(self.mends.next(now))),
            most => Ok(items.into_iter().take(most).collect()),
        }
    }

    /// A job was answered: what it sent anew counts.
    pub(super) fn on_coded(&mut self, now: Stamp<HostClock>, done: &EncodedSlices) {
        let tiles = done.slices.iter().map(|s| s.tiles.len()).sum::<usize>();
        for _ in 0..if done.anew { tiles } else { 0 } {
            let _ = self.mends.take(now);
        }
    }
}

impl Host {
    /// The viewer says what some of its tiles show.
    // spec: K-90, K-91, H-70, H-72
    pub(super) fn on_proofs(&mut self, proofs: Proofs) -> Result<(), Fault> {
        if proofs.surface != SURFACE {
            return Err(Fault::UnknownSurface);
        }
        let Some(surface) = &mut self.surface else { return Ok(()) };
        let ledger = &surface.ledger;
        let same = proofs.epoch == ledger.epoch();
        if proofs.epoch > ledger.epoch() || same && proofs.applied > ledger.highest() {
            return Err(Fault::AppliedFromTheFuture);
        }
        // An earlier epoch may have had another size.
        if !same {
            return Ok(());
        }
        if proofs.tiles.iter().any(|(tile, _)| *tile as usize >= ledger.grid().count()) {
            return Err(Fault::BadProof);
        }
        let checks = &mut self.checks;
        if checks.epoch != proofs.epoch {
            (checks.epoch, checks.said) = (proofs.epoch, BTreeMap::new());
        }
        for (tile, hash) in proofs.tiles {
            // What comes faster than anything honest is not looked at.
            if checks.looks.take(self.now).is_err() {
                break;
            }
            checks.said.insert(tile, (proofs.applied, hash));
        }
        Ok(())
    }

    /// Has the coder look at what was said, once it holds what the ledger says: no job is out.
    pub(super) fn check(&mut self) {
        let Some(surface) = self.surface.as_ref().filter(|s| s.job.is_none()) else { return };
        let said = std::mem::take(&mut self.checks.said);
        if said.is_empty() || self.checks.epoch != surface.ledger.epoch() {
            return;
        }
        let exact = said
            .into_iter()
            .filter_map(|(tile, (applied, hash))| surface.ledger.exact_at(tile, applied).map(|at| Proof { at, hash }));
        let proofs: Vec<_> = exact.collect();
        if !proofs.is_empty() {
            let (epoch, coded) = (surface.ledger.epoch(), surface.coded());
            self.out.push_back(HostOutput::Check { epoch, coded, proofs });
        }
    }

    /// The coder looked at so many tiles, and found that the viewer shows something else at these.
    // spec: H-70
    pub fn on_checked(&mut self, now: Stamp<HostClock>, epoch: Epoch, tiles: usize, wrong: &[TileAt]) {
        self.advance(now);
        let Some(surface) = self.surface.as_mut().filter(|s| s.ledger.epoch() == epoch) else { return };
        self.out.push_back(HostOutput::Note(Note::Proven { surface: SURFACE, tiles: tiles as u32 }));
        for at in wrong {
            if surface.ledger.doubt(*at) {
                surface.exact = false;
                surface.quiet = None;
                self.out.push_back(HostOutput::Note(Note::ProofFailed { surface: SURFACE, at: *at }));
            }
        }
    }
}
