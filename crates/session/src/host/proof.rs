//! What the viewer says its tiles show, held against what they should: so that a mistake of ours is found and mended.
//!
//! A viewer that lies is sent tiles that it has, no more of them than [`MENDS`] allows; a host that hashes for it spends no more
//! than [`LOOKS`].

use super::{Host, SURFACE};
use crate::bucket::Bucket;
use crate::film::Film;
use crate::ledger::Ledger;
use crate::output::{Alarm, HostOutput, Wake};
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
/// A coder that is busy is asked again after this: it is with a large job of another viewer, which takes some tens of
/// milliseconds.
const ASK_AGAIN: Span = Span::millis(50);
/// So often, after which it is not there for another reason, and what was said is let go.
const MOST_ASKED: u32 = 40;

/// See the module.
#[derive(Debug)]
pub(super) struct Checks {
    looks: Bucket<HostClock>,
    mends: Bucket<HostClock>,
    /// What was said and is not looked at yet, by the tile's number: with which slice applied, and the hash.
    said: BTreeMap<u32, (UpdateId, u64)>,
    /// What the coder was asked to look at last, until it did.
    asked: BTreeMap<u32, (UpdateId, u64)>,
    /// In which epoch.
    epoch: Epoch,
    /// The coder was busy and is asked again then, unless a job of this viewer is answered before.
    again: Option<Stamp<HostClock>>,
    /// How often it was busy since it looked last.
    busy: u32,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            looks: LOOKS,
            mends: MENDS,
            said: BTreeMap::new(),
            asked: BTreeMap::new(),
            epoch: Epoch(0),
            again: None,
            busy: 0,
        }
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

    /// A job was answered: what it sent anew counts, and the coder is here.
    pub(super) fn on_coded(&mut self, now: Stamp<HostClock>, done: &EncodedSlices) {
        self.again = None;
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
            (checks.epoch, checks.said, checks.asked) = (proofs.epoch, BTreeMap::new(), BTreeMap::new());
            (checks.again, checks.busy) = (None, 0);
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
    pub(super) fn check(&mut self, alarm: &mut Alarm<HostClock>) {
        let Some(surface) = self.surface.as_ref().filter(|s| s.job.is_none()) else { return };
        if let Some(at) = self.checks.again.filter(|at| *at > self.now) {
            alarm.set(at, Wake::Repair);
            return;
        }
        self.checks.again = None;
        let mut said = std::mem::take(&mut self.checks.said);
        if self.checks.epoch != surface.ledger.epoch() {
            return;
        }
        let mut proofs = Vec::new();
        said.retain(|tile, (applied, hash)| {
            let at = surface.ledger.exact_at(*tile, *applied);
            proofs.extend(at.map(|at| Proof { at, hash: *hash }));
            at.is_some()
        });
        if !proofs.is_empty() {
            self.checks.asked = said;
            let (epoch, coded) = (surface.ledger.epoch(), surface.coded());
            self.out.push_back(HostOutput::Check { epoch, coded, proofs });
        }
    }

    /// The coder looked at so many tiles, and found that the viewer shows something else at these.
    // spec: H-70
    pub fn on_checked(&mut self, now: Stamp<HostClock>, epoch: Epoch, tiles: usize, wrong: &[TileAt]) {
        self.advance(now);
        (self.checks.asked, self.checks.busy) = (BTreeMap::new(), 0);
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

    /// The coder is busy with what another viewer wants, or at another state than was asked about: what was said is kept, but for
    /// tiles of which something newer was said, and looked at later.
    // spec: H-70
    pub fn on_unchecked(&mut self, now: Stamp<HostClock>, epoch: Epoch) {
        self.advance(now);
        let checks = &mut self.checks;
        let asked = std::mem::take(&mut checks.asked);
        checks.busy += 1;
        if checks.epoch != epoch || checks.busy > MOST_ASKED {
            checks.busy = 0;
            return;
        }
        for (tile, said) in asked {
            checks.said.entry(tile).or_insert(said);
        }
        checks.again = Some(self.now + ASK_AGAIN);
    }
}
