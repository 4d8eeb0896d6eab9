//! In the manner of Google Congestion Control (draft-ietf-rmcat-gcc-02, and libwebrtc's trendline estimator, published in
//! its documentation): the slope of delay between bursts, an adaptive threshold, increase by 8 % a second or additively near
//! the last known capacity, decrease to 85 % of what arrives, loss above 10 %, and probes at the start and when the
//! application sends little.

use super::super::Reporting;
use super::{Ack, Law, MSS, Round};
use std::collections::VecDeque;

#[derive(Clone, Copy, PartialEq)]
enum Usage {
    Under,
    Normal,
    Over,
}

/// Packets sent within [`BURST`], as one.
#[derive(Clone, Copy)]
struct Group {
    first: f64,
    sent: f64,
    arrived: f64,
}

/// See the module.
pub struct Gcc {
    rate: f64,
    group: Option<Group>,
    before: Option<Group>,
    /// Sum of delay changes, smoothed, by arrival: milliseconds.
    sum: f64,
    smooth: f64,
    points: VecDeque<(f64, f64)>,
    changes: u32,
    trend: f64,
    threshold: f64,
    judged: f64,
    over_for: Option<f64>,
    usage: Usage,
    /// Arrivals of the last [`ACKED`] seconds.
    arrived: VecDeque<(f64, f64)>,
    /// What arrived when the path was last overused: mean and deviation.
    capacity: Option<(f64, f64)>,
    decreased: f64,
    hold: bool,
    updated: f64,
    lost: (u32, u32),
    lost_at: f64,
    /// Sent within the last half second.
    sent: VecDeque<(f64, f64)>,
    /// The probe under way: its rate and since when, and what came of it (sent, arrived, bytes).
    probe: Option<(f64, f64)>,
    probed: Vec<(f64, f64, f64)>,
    probed_at: f64,
    /// Probes of the start still to come.
    start: u32,
}

impl Gcc {
    /// At 2 Mbit/s, as everything here begins.
    pub fn new() -> Self {
        Self {
            rate: 250e3,
            group: None,
            before: None,
            sum: 0.0,
            smooth: 0.0,
            points: VecDeque::new(),
            changes: 0,
            trend: 0.0,
            threshold: 12.5,
            judged: 0.0,
            over_for: None,
            usage: Usage::Normal,
            arrived: VecDeque::new(),
            capacity: None,
            decreased: -1.0,
            hold: false,
            updated: 0.0,
            lost: (0, 0),
            lost_at: 0.0,
            sent: VecDeque::new(),
            probe: None,
            probed: Vec::new(),
            probed_at: -1.0,
            start: 2,
        }
    }

    /// Bytes per second that arrive.
    fn acked(&self) -> f64 {
        let (Some(first), Some(last)) = (self.arrived.front(), self.arrived.back()) else { return self.rate };
        self.arrived.iter().map(|a| a.1).sum::<f64>() / (last.0 - first.0).max(ACKED)
    }

    fn on_arrival(&mut self, ack: &Ack) {
        self.arrived.push_back((ack.arrived, ack.bytes));
        if ack.probe {
            self.probed.push((ack.sent, ack.arrived, ack.bytes));
        }
        let own = Group { first: ack.sent, sent: ack.sent, arrived: ack.arrived };
        let Some(group) = &mut self.group else {
            self.group = Some(own);
            return;
        };
        let later = ack.arrived - group.arrived;
        let bunched = later <= BURST && later - (ack.sent - group.sent) < 0.0 && ack.arrived - group.arrived < 0.1;
        if ack.sent - group.first <= BURST || bunched {
            (group.sent, group.arrived) = (group.sent.max(ack.sent), group.arrived.max(ack.arrived));
            return;
        }
        let done = *group;
        self.group = Some(own);
        if let Some(before) = self.before.replace(done) {
            self.on_change(done.sent - before.sent, done.arrived - before.arrived, done.arrived);
        }
    }

    /// The trendline: the slope of the smoothed sum of delay changes over the last [`POINTS`] groups.
    fn on_change(&mut self, sent: f64, arrived: f64, at: f64) {
        self.changes += 1;
        self.sum += (arrived - sent) * 1e3;
        self.smooth += 0.1 * (self.sum - self.smooth);
        self.points.push_back((at * 1e3, self.smooth));
        if self.points.len() > POINTS {
            self.points.pop_front();
        }
        let before = self.trend;
        if self.points.len() == POINTS {
            let n = POINTS as f64;
            let mean = |f: fn(&(f64, f64)) -> f64| self.points.iter().map(f).sum::<f64>() / n;
            let (x, y) = (mean(|p| p.0), mean(|p| p.1));
            let above: f64 = self.points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
            let below: f64 = self.points.iter().map(|p| (p.0 - x) * (p.0 - x)).sum();
            self.trend = if below > 0.0 { above / below } else { before };
        }
        let slope = f64::from(self.changes.min(60)) * self.trend * 4.0;
        self.usage = if slope > self.threshold {
            let over = self.over_for.map_or(sent * 500.0, |t| t + sent * 1e3);
            self.over_for = Some(over);
            let lasting = over > 10.0 && self.trend >= before;
            if lasting {
                self.over_for = Some(0.0);
            }
            if lasting || self.usage == Usage::Over { Usage::Over } else { Usage::Normal }
        } else {
            self.over_for = None;
            if slope < -self.threshold { Usage::Under } else { Usage::Normal }
        };
        let elapsed = ((at - self.judged) * 1e3).clamp(0.0, 100.0);
        self.judged = at;
        if slope.abs() < self.threshold + 15.0 {
            let gain = if slope.abs() < self.threshold { 0.039 } else { 0.0087 };
            self.threshold = (self.threshold + gain * (slope.abs() - self.threshold) * elapsed).clamp(6.0, 600.0);
        }
    }

    fn finish_probe(&mut self, now: f64, smoothed: f64) {
        if self.probe.is_none_or(|(_, since)| now - since < smoothed + EVERY + 0.03) {
            return;
        }
        let asked = self.probe.take().map_or(0.0, |p| p.0);
        let (Some(first), Some(last)) = (self.probed.first(), self.probed.last()) else {
            self.start = 0;
            return;
        };
        let bytes: f64 = self.probed.iter().skip(1).map(|p| p.2).sum();
        let (out, back) = (bytes / (last.0 - first.0).max(1e-4), bytes / (last.1 - first.1).max(1e-4));
        let found = if back < 0.9 * out { 0.95 * back } else { out.min(back) };
        if found > self.rate && self.usage != Usage::Over && self.probed.len() >= 4 {
            self.rate = found;
            // As long as probes come through, further ones follow.
            self.start = if found > 0.7 * asked { self.start.max(1) } else { 0 };
        } else {
            self.start = 0;
        }
        self.probed.clear();
    }

    fn steer(&mut self, round: &Round<'_>) {
        let (now, acked) = (round.now, self.acked());
        let elapsed = (now - self.updated).min(1.0);
        self.updated = now;
        match self.usage {
            Usage::Over => {
                if now - self.decreased > round.smoothed.clamp(0.01, 0.2) {
                    self.rate = self.rate.min(0.85 * acked);
                    (self.decreased, self.hold) = (now, true);
                    self.capacity = Some(match self.capacity {
                        Some((mean, dev)) if (acked - mean).abs() <= 3.0 * dev => {
                            let (mean, off) = (0.95 * mean + 0.05 * acked, acked - mean);
                            (mean, (0.95 * dev * dev + 0.05 * off * off).sqrt().max(0.03 * mean))
                        }
                        _ => (acked, 0.1 * acked),
                    });
                }
            }
            Usage::Under => self.hold = true,
            Usage::Normal if self.hold => self.hold = false,
            Usage::Normal => {
                if self.capacity.is_some_and(|(mean, dev)| acked > mean + 3.0 * dev) {
                    self.capacity = None;
                }
                let more = if self.capacity.is_some() {
                    elapsed * (MSS / (round.smoothed + 0.1)).max(500.0)
                } else {
                    self.rate * (libm::pow(1.08, elapsed) - 1.0) + 125.0 * elapsed
                };
                let most = (1.5 * acked + 1_250.0).max(self.rate);
                self.rate = (self.rate + more).min(most);
            }
        }
        self.lost.0 += round.losses.len() as u32;
        self.lost.1 += (round.acks.len() + round.losses.len()) as u32;
        if now - self.lost_at > 0.2 && self.lost.1 > 20 {
            let part = f64::from(self.lost.0) / f64::from(self.lost.1);
            if part > 0.10 {
                self.rate *= 1.0 - 0.5 * part;
            }
            (self.lost, self.lost_at) = ((0, 0), now);
        }
        self.rate = self.rate.clamp(12_500.0, 125e6);
    }
}

impl Default for Gcc {
    fn default() -> Self {
        Self::new()
    }
}

impl Law for Gcc {
    fn reporting(&self) -> Reporting {
        Reporting { every: usize::MAX, after: (EVERY * 1e9) as u64, at_once: false }
    }

    fn on_sent(&mut self, now: f64, bytes: f64, _in_flight: f64) {
        self.sent.push_back((now, bytes));
    }

    fn on_round(&mut self, round: &Round<'_>) {
        for ack in round.acks {
            self.on_arrival(ack);
        }
        let newest = self.arrived.back().map_or(0.0, |a| a.0);
        while self.arrived.front().is_some_and(|a| a.0 < newest - ACKED) {
            self.arrived.pop_front();
        }
        self.finish_probe(round.now, round.smoothed);
        self.steer(round);
    }

    fn probe(&mut self, now: f64) -> Option<(f64, f64)> {
        while self.sent.front().is_some_and(|s| s.0 < now - 0.5) {
            self.sent.pop_front();
        }
        if self.probe.is_some() {
            return None;
        }
        let sends_little = self.sent.iter().map(|s| s.1).sum::<f64>() / 0.5 < 0.65 * self.rate;
        let again = sends_little && now - self.probed_at > 5.0 && self.usage != Usage::Over;
        if self.start == 0 && !again {
            return None;
        }
        let times = if self.start == 2 { 3.0 } else { 2.0 };
        self.start = self.start.min(1);
        let rate = times * self.rate;
        (self.probe, self.probed_at) = (Some((rate, now)), now);
        Some((rate, (0.015 * rate).max(5.0 * MSS)))
    }

    fn window(&self) -> f64 {
        f64::from(u32::MAX)
    }

    fn pace(&self, _smoothed: f64) -> (f64, f64) {
        (2.5 * self.rate, (2.5 * 0.005 * self.rate).max(MSS))
    }

    fn share(&self, _smoothed: f64) -> f64 {
        self.rate
    }
}

/// Packets this close are one group, in seconds; groups of a trend; seconds of arrivals that are counted; between reports.
const BURST: f64 = 0.005;
const POINTS: usize = 20;
const ACKED: f64 = 0.15;
const EVERY: f64 = 0.05;
