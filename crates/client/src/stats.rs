//! Where the time goes: the journeys of what was shown, stage by stage, for the overlay and `--stats-json`.

use crate::slow::Moments;
use serde_json::{Value, json};
use std::collections::VecDeque;
use telepane_model::{ClockMap, Journey, Span, Stamp, ViewerClock};
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
    /// Pixels they wrote.
    pub pixels: u64,
    decoding: Span,
    recent: VecDeque<Row>,
    /// When parts of frames were shown whose rest had not come.
    parts: VecDeque<Stamp<ViewerClock>>,
    /// The shortest way through the network in each of the last seconds, by the second.
    base: VecDeque<(u64, Span)>,
}

/// One update's stages.
#[derive(Clone, Copy, Debug)]
struct Row {
    shown: Stamp<ViewerClock>,
    stages: [Option<Span>; STAGES.len()],
    application: Option<Span>,
}

#[derive(Debug, Default)]
struct Samples(VecDeque<u64>);

/// Samples kept of each stage.
const KEPT: usize = 4096;
/// Updates looked at to say what is slow now, at most …
const RECENT: usize = 256;
/// … and none older than this.
const MOMENTS: Span = Span::secs(2);
/// The path's own delay is the least of so many seconds, as the rate controller has it.
const BASE_SECONDS: u64 = 30;
/// Updates from which the slowest twentieth means something.
const ENOUGH: usize = 20;
/// The network's place among the stages.
const NETWORK: usize = 3;
/// The stages of an update, in order: the first three on the host's clock, the fourth across both, the last two on the
/// viewer's.
pub const STAGES: [&str; 6] = ["capture to plan", "plan to coded", "coded to sent", "network", "decode", "show"];

impl Stats {
    /// An update was shown. `map` relates the clocks; without it what spans both machines is left out.
    pub fn on_shown(&mut self, j: &Journey, key: Option<KeyJourney>, map: Option<ClockMap>) {
        self.shown += 1;
        // A part of a frame that was shown early has no story of its own.
        if j.host.sent.as_micros() == 0 {
            if self.parts.len() == RECENT {
                self.parts.pop_front();
            }
            self.parts.push_back(j.shown);
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
        if let Some(network) = stages[NETWORK] {
            self.on_way(j.arrived, network);
        }
        let application = key.map(|key| j.host.captured.since(key.injected));
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Row { shown: j.shown, stages, application });
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

    fn on_way(&mut self, at: Stamp<ViewerClock>, network: Span) {
        let second = at.as_micros() / 1_000_000;
        match self.base.back_mut() {
            Some((same, least)) if *same == second => *least = network.min(*least),
            _ => self.base.push_back((second, network)),
        }
        while self.base.front().is_some_and(|(s, _)| second.saturating_sub(*s) > BASE_SECONDS) {
            self.base.pop_front();
        }
    }

    /// A slice was decoded in this time, and wrote so many pixels.
    pub fn on_decoded(&mut self, ops: usize, took: Span, pixels: u64) {
        self.slices += 1;
        self.slice_bytes += ops as u64;
        self.decoding += took;
        self.pixels += pixels;
    }

    /// Median and 95th percentile of the age in milliseconds, and of the time from key to picture.
    pub fn ages(&self) -> [Option<(f64, f64)>; 2] {
        [&self.age, &self.key].map(|s| Some((s.percentile(50)? as f64 / 1e3, s.percentile(95)? as f64 / 1e3)))
    }

    /// How well the clocks are known.
    pub const fn clock_error(&self) -> Span {
        self.clock_error
    }

    /// The medians of the last moments' stages, by [`STAGES`]' names in milliseconds.
    pub fn stages_now(&self) -> Vec<(&'static str, f64)> {
        let median = |i: usize| median(self.recent.iter().filter_map(|r| r.stages.get(i).copied().flatten()));
        STAGES.iter().enumerate().filter_map(|(i, name)| Some((*name, median(i)?.as_millis_f64()))).collect()
    }

    /// The last moments before `now`, for the judgement about what is slow; what the line says is filled in by others.
    pub fn moments(&self, now: Stamp<ViewerClock>) -> Moments {
        let rows = || self.recent.iter().filter(|r| now.since(r.shown) <= MOMENTS);
        let stage = |i: usize| median(rows().filter_map(|r| r.stages.get(i).copied().flatten())).unwrap_or_default();
        let mut network: Vec<Span> = rows().filter_map(|r| r.stages.get(NETWORK).copied().flatten()).collect();
        network.sort_unstable();
        let distance = self.base.iter().map(|(_, least)| *least).min().unwrap_or_default();
        // Of fewer one late packet would be the 95th percentile.
        let enough = network.len() >= ENOUGH;
        let percentile =
            |p: usize| network.get((network.len() * p).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default();
        // A line that is too thin delays even the fastest.
        let standing = if enough { percentile(10) } else { stage(NETWORK) };
        Moments {
            shown: rows().count() as u32,
            parts: self.parts.iter().filter(|at| now.since(**at) <= MOMENTS).count() as u32,
            wait: stage(0),
            code: stage(1),
            pace: stage(2),
            queue: standing.saturating_sub(distance),
            spread: if enough { percentile(95).saturating_sub(standing) } else { Span::ZERO },
            distance,
            decode: stage(4),
            show: stage(5),
            application: median(rows().filter_map(|r| r.application)),
            ..Moments::default()
        }
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
            "pixels_decoded": self.pixels,
            "bits_per_pixel": (self.pixels > 0).then(|| self.slice_bytes as f64 * 8.0 / self.pixels as f64),
            // What this machine decodes when it does nothing else.
            "decode_bits_per_second": (self.decoding > Span::ZERO)
                .then(|| self.slice_bytes as f64 * 8e6 / self.decoding.as_micros() as f64),
        })
    }
}

fn median(spans: impl Iterator<Item = Span>) -> Option<Span> {
    let mut sorted: Vec<Span> = spans.collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
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

    fn update(shown: u64, way: u64) -> Journey {
        let host = |us: u64| Stamp::from_micros(1_000_000 + us);
        let sent = shown - way - 2_000;
        let journey = telepane_model::journey::HostJourney {
            input: None,
            captured: host(sent - 6_000),
            planned: host(sent - 5_000),
            encoded: host(sent - 1_000),
            sent: host(sent),
        };
        let at = Stamp::from_micros;
        Journey { host: journey, arrived: at(shown - 2_000), decoded: at(shown - 500), shown: at(shown) }
    }

    #[test]
    fn an_uneven_way_is_not_a_thin_line() {
        let mut s = Stats::default();
        let map = Some(ClockMap { offset_us: -1_000_000, error: Span::ZERO });
        // Every way between 15 and 75 ms as often as any other: the median lies 30 ms above the shortest.
        (0..60).for_each(|i| s.on_shown(&update(10_000_000 + i * 10_000, 15_000 + i * 37 % 60 * 1_000), None, map));
        let m = s.moments(Stamp::from_micros(10_700_000));
        assert!(m.queue <= Span::millis(6) && m.spread >= Span::millis(25), "{m:?}");
        assert_eq!(crate::slow::judge(&m), crate::slow::Slow::Wireless);
    }

    #[test]
    fn the_last_moments_tell_queue_and_distance_apart() {
        let mut s = Stats::default();
        let map = Some(ClockMap { offset_us: -1_000_000, error: Span::ZERO });
        // Twenty quick ones and, two seconds later, as many through a queue of 40 ms.
        (0..20).for_each(|i| s.on_shown(&update(10_000_000 + i * 10_000, 15_000), None, map));
        (0..20).for_each(|i| s.on_shown(&update(13_000_000 + i * 10_000, 55_000), None, map));
        let m = s.moments(Stamp::from_micros(13_200_000));
        assert_eq!((m.shown, m.distance, m.queue), (20, Span::millis(15), Span::millis(40)));
        assert_eq!((m.wait, m.code, m.pace), (Span::millis(1), Span::millis(4), Span::millis(1)));
        assert_eq!((m.decode, m.show, m.spread), (Span::micros(1_500), Span::micros(500), Span::ZERO));
        assert_eq!(crate::slow::judge(&m), crate::slow::Slow::Line);
        assert_eq!(s.moments(Stamp::from_micros(20_000_000)).shown, 0);
        // Frames of which only parts ever come are no rest.
        let part = Journey { host: telepane_model::journey::HostJourney::default(), ..update(20_000_000, 15_000) };
        s.on_shown(&part, None, map);
        let m = s.moments(Stamp::from_micros(20_000_000));
        assert_eq!((m.shown, m.parts, crate::slow::judge(&m)), (0, 1, crate::slow::Slow::Line));
    }
}
