//! `--metrics`: figures for Prometheus.
//!
//! The desk loop counts what happens in plain integers ([`Counts`]); nothing is formatted, locked or timed for it. When
//! somebody scrapes, the endpoint's thread asks the loop for a copy ([`Figures`]) and writes the text. An agent that
//! nobody scrapes pays a few additions.

pub mod http;
mod text;

use crate::ask::SessionInfo;
use crate::sound::SoundFigures;
use std::collections::BTreeMap;
use telepane_model::{Note, Span};
use telepane_protocol::Datagram;
use telepane_session::Stages;

pub use text::render;

/// Everything that is counted, since the agent started.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Bytes handed to the transport.
    pub sent_bytes: u64,
    /// What the transport's queues had no room for.
    pub queue_full: QueueFull,
    /// Bytes that came from viewers.
    pub received_bytes: u64,
    /// Frames the source gave.
    pub frames_captured: u64,
    /// Slices sent for the first time.
    pub slices_sent: u64,
    /// Their bytes.
    pub slice_bytes: u64,
    /// Shards sent again.
    pub shards_resent: u64,
    /// Slices a viewer gave up.
    pub gave_up: u64,
    /// The newest pixels were coded against an older state.
    pub rebases: u64,
    /// A surface was sent anew.
    pub refreshes: u64,
    /// Input that came in time and in order, forbidden input among it.
    pub input_events: u64,
    /// Input that was too old.
    pub input_expired: u64,
    /// Input that the viewer had no right to.
    pub input_forbidden: u64,
    /// Held keys that were let go because nobody refreshed them.
    pub leases_expired: u64,
    /// Viewers let in.
    pub logins: u64,
    /// Connections sent away at the door.
    pub logins_refused: u64,
    /// Sessions ended because the key was revoked or a permission taken away.
    pub revoked: u64,
    /// Times a surface became exact at a viewer.
    pub became_exact: u64,
    /// Tiles that viewers said what they show of, and that were held against what they should.
    pub proof_tiles: u64,
    /// Tiles that showed something else.
    pub proof_mismatches: u64,
    /// What peers sent that they must not, by the fault's name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Time spent coding, one observation per job.
    pub encode: Histogram,
    /// Jobs answered with what another viewer had coded before.
    pub copied: u64,
    /// Pixels handed to the coders.
    pub pixels_planned: u64,
    /// Datagrams sent, by what they carry.
    pub sent_kinds: Kinds,
    /// Datagrams that came from viewers.
    pub received_kinds: Kinds,
    /// The stages of an update that the host knows.
    pub stages: [Histogram; STAGES.len()],
}

/// The stages of an update on the host, in order, as labels.
pub const STAGES: [&str; 3] = ["capture_to_plan", "plan_to_coded", "coded_to_sent"];

/// What a full queue of the transport's refused, by lane. Its queues are kept empty by the session's pacer, so any of it shows that
/// something was sent which no budget had asked for, or that the network thread stood still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFull {
    /// Datagrams; feedback shows them as lost, and what still matters of them is sent again.
    pub datagrams: u64,
    /// Control messages.
    pub control: u64,
    /// Chunks of bulk.
    pub chunks: u64,
}

/// Datagrams and their bytes, by what they carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds(pub BTreeMap<&'static str, (u64, u64)>);

impl Kinds {
    /// One more.
    pub fn count(&mut self, datagram: &[u8]) {
        let kind = self.0.entry(Datagram::kind_name(datagram)).or_default();
        *kind = (kind.0 + 1, kind.1 + datagram.len() as u64);
    }
}

impl Counts {
    /// Takes in how long the parts of the way took.
    pub fn on_stages(&mut self, stages: &Stages) {
        for (histogram, spans) in self.stages.iter_mut().zip([&stages.wait, &stages.code, &stages.pace]) {
            spans.iter().for_each(|span| histogram.observe(*span));
        }
    }

    /// Counts what a note tells.
    pub fn on_note(&mut self, note: &Note) {
        match note {
            Note::Rejected { fault } => *self.faults.entry(fault).or_default() += 1,
            Note::SliceSent { bytes, .. } => {
                self.slices_sent += 1;
                self.slice_bytes += bytes.0;
            }
            Note::Resent { shards, .. } => self.shards_resent += u64::from(*shards),
            Note::GaveUp { .. } => self.gave_up += 1,
            Note::Rebased { .. } => self.rebases += 1,
            Note::Refreshed => self.refreshes += 1,
            Note::Exact { .. } => self.became_exact += 1,
            Note::Proven { tiles, .. } => self.proof_tiles += u64::from(*tiles),
            Note::ProofFailed { .. } => self.proof_mismatches += 1,
            Note::Injected { .. } => self.input_events += 1,
            Note::InputExpired { count } => self.input_expired += u64::from(*count),
            Note::LeaseExpired => self.leases_expired += 1,
            _ => {}
        }
    }
}

/// Durations in classes, as Prometheus wants them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many fell into each class of [`Histogram::BOUNDS_US`]; the last holds what is longer than all.
    classes: [u64; Self::BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    /// Upper bounds of the classes in microseconds, from a glyph coded inline to a whole 4K desktop.
    pub const BOUNDS_US: [u64; 12] =
        [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 200_000, 1_000_000];

    /// One more.
    pub fn observe(&mut self, took: Span) {
        let class = Self::BOUNDS_US.iter().position(|b| took.as_micros() <= *b).unwrap_or(Self::BOUNDS_US.len());
        if let Some(n) = self.classes.get_mut(class) {
            *n += 1;
        }
        self.sum_us = self.sum_us.saturating_add(took.as_micros());
    }

    /// Each bound in microseconds (`None`: no bound) with how many were at most that long.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = Self::BOUNDS_US.iter().copied().map(Some).chain([None]);
        let mut so_far = 0;
        bounds.zip(self.classes).map(move |(bound, n)| {
            so_far += n;
            (bound, so_far)
        })
    }

    /// All of them together, in microseconds.
    pub const fn sum_us(&self) -> u64 {
        self.sum_us
    }
}

/// A copy of everything at one moment.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// What was counted.
    pub counts: Counts,
    /// Who is here.
    pub sessions: Vec<SessionInfo>,
    /// The desktop's sound.
    pub sound: SoundFigures,
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Bytes, SurfaceId, TileAt, UpdateId};

    // spec: H-73
    #[test]
    fn notes_are_counted_by_what_they_say() {
        let mut counts = Counts::default();
        let id = UpdateId::BLANK;
        for note in [
            Note::SliceSent { id, base: id, bytes: Bytes(40) },
            Note::SliceSent { id, base: id, bytes: Bytes(2) },
            Note::Resent { id, shards: 3 },
            Note::InputExpired { count: 5 },
            Note::Rejected { fault: "BadPixels" },
            Note::Rejected { fault: "BadPixels" },
            Note::Proven { surface: SurfaceId(0), tiles: 30 },
            Note::ProofFailed { surface: SurfaceId(0), at: TileAt { col: 3, row: 0 } },
        ] {
            counts.on_note(&note);
        }
        assert_eq!((counts.slices_sent, counts.slice_bytes, counts.shards_resent), (2, 42, 3));
        assert_eq!((counts.proof_tiles, counts.proof_mismatches), (30, 1));
        assert_eq!((counts.input_expired, counts.faults.get("BadPixels")), (5, Some(&2)));
    }

    #[test]
    fn classes_add_up() {
        let mut h = Histogram::default();
        for us in [1, 50, 51, 1_000_000, 1_000_001, u64::MAX] {
            h.observe(Span::micros(us));
        }
        let rows: Vec<_> = h.cumulative().collect();
        assert_eq!(rows.first(), Some(&(Some(50), 2)));
        assert_eq!(rows.get(1), Some(&(Some(100), 3)));
        assert_eq!(rows.get(11), Some(&(Some(1_000_000), 4)));
        assert_eq!(rows.last(), Some(&(None, 6)));
        assert_eq!(h.sum_us(), u64::MAX);
    }
}
