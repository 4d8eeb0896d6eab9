//! Where the time goes: the journeys of what was shown, stage by stage, for the overlay and `--stats-json`.

use serde_json::{Value, json};
use std::collections::VecDeque;
use telepane_model::{ClockMap, Journey, Span};
use telepane_session::KeyJourney;

/// The last journeys.
#[derive(Debug, Default)]
pub struct Stats {
    stages: [Samples; STAGES.len()],
    age: Samples,
    key: Samples,
    to_desktop: Samples,
    application: Samples,
    clock_error: Span,
    /// Updates shown.
    pub shown: u64,
    /// Slices decoded.
    pub slices: u64,
    /// Bytes of their ops.
    pub slice_bytes: u64,
}

#[derive(Debug, Default)]
struct Samples(VecDeque<u64>);

/// Samples kept of each stage.
const KEPT: usize = 4096;
/// The stages of an update, in order: the first three on the host's clock, the fourth across both, the last two on the
/// viewer's.
const STAGES: [&str; 6] = ["capture to plan", "plan to coded", "coded to sent", "network", "decode", "show"];

impl Stats {
    /// An update was shown. `map` relates the clocks; without it what spans both machines is left out.
    pub fn on_shown(&mut self, j: &Journey, key: Option<KeyJourney>, map: Option<ClockMap>) {
        self.shown += 1;
        // A part of a frame that was shown early has no story of its own.
        if j.host.sent.as_micros() == 0 {
            return;
        }
        let across = |at| map.map(|m| m.to_viewer(at));
        let stages = [
            Some(j.host.planned.since(j.host.captured)),
            Some(j.host.encoded.since(j.host.planned)),
            Some(j.host.sent.since(j.host.encoded)),
            across(j.host.sent).map(|sent| j.arrived.since(sent)),
            Some(j.decoded.since(j.arrived)),
            Some(j.shown.since(j.decoded)),
        ];
        for (samples, stage) in self.stages.iter_mut().zip(stages) {
            samples.add(stage);
        }
        self.age.add(across(j.host.captured).map(|t| j.shown.since(t)));
        if let Some(map) = map {
            self.clock_error = map.error;
        }
        if let Some(key) = key {
            self.key.add(Some(j.shown.since(key.taken)));
            self.to_desktop.add(across(key.injected).map(|t| t.since(key.taken)));
            self.application.add(Some(j.host.captured.since(key.injected)));
        }
    }

    /// Lines for the overlay.
    pub fn lines(&self) -> Vec<String> {
        let ms = |s: &Samples, p| s.percentile(p).map_or("-".into(), |us| format!("{:.1}", us as f64 / 1e3));
        vec![
            format!("key to picture {} / {} ms (p50 / p95)", ms(&self.key, 50), ms(&self.key, 95)),
            format!(
                "age {} / {} ms, clocks known within {:.1} ms",
                ms(&self.age, 50),
                ms(&self.age, 95),
                self.clock_error.as_millis_f64()
            ),
            format!("{} updates, {} slices, {} kB", self.shown, self.slices, self.slice_bytes / 1000),
        ]
    }

    /// Everything, for scripts. Times are microseconds.
    pub fn json(&self) -> Value {
        let row = |stage: &str, s: &Samples| json!({ "stage": stage, "count": s.0.len(), "p50_us": s.percentile(50), "p95_us": s.percentile(95), "max_us": s.percentile(100) });
        let mut journey = vec![row("input to desktop", &self.to_desktop), row("application", &self.application)];
        journey.extend(STAGES.iter().zip(&self.stages).map(|(name, s)| row(name, s)));
        json!({
            "journey": journey,
            "key_to_shown": row("key to shown", &self.key),
            "age": row("capture to shown", &self.age),
            "clock_error_us": self.clock_error.as_micros(),
            "updates_shown": self.shown,
            "slices": self.slices,
            "slice_bytes": self.slice_bytes,
        })
    }
}

impl Samples {
    fn add(&mut self, span: Option<Span>) {
        let Some(span) = span else { return };
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(span.as_micros());
    }

    /// The nearest-rank percentile.
    fn percentile(&self, p: usize) -> Option<u64> {
        let mut sorted: Vec<u64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * p).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut s = Samples::default();
        (1..=100).for_each(|n| s.add(Some(Span::micros(n))));
        assert_eq!((s.percentile(50), s.percentile(95), s.percentile(100)), (Some(50), Some(95), Some(100)));
        assert_eq!(Samples::default().percentile(50), None);
    }
}
