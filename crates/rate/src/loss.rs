//! How much is lost, and when loss means congestion.
//!
//! Radio loses packets at random; that says nothing about the rate to send at, only about repair. Loss counts as
//! congestion when it comes with a queue near its recent greatest, or when it passes 15 % (`research` section 5.6).

use crate::PACKET;
use std::collections::VecDeque;

/// Packets over which the loss fraction is smoothed.
const MEMORY: f64 = 200.0;
const ENTRIES: usize = 128;

#[derive(Default)]
pub(crate) struct Loss {
    /// (seconds, bytes lost, bytes arrived)
    recent: VecDeque<(f64, f64, f64)>,
    smoothed: f64,
    /// Packets lost in a row, on average.
    burst: Option<f64>,
    cut_at: Option<f64>,
}

impl Loss {
    /// Takes in what one feedback message told; `window` in seconds.
    pub(crate) fn on_feedback(&mut self, now: f64, lost: f64, arrived: f64, window: f64) {
        match self.recent.back_mut() {
            Some((t, l, a)) if now - *t < window / 64.0 => {
                *l += lost;
                *a += arrived;
            }
            _ => self.recent.push_back((now, lost, arrived)),
        }
        while self.recent.len() > ENTRIES || self.recent.front().is_some_and(|&(t, ..)| t < now - window) {
            self.recent.pop_front();
        }
        let sum = lost + arrived;
        if sum > 0.0 {
            let weight = (sum / (MEMORY * PACKET)).min(1.0);
            self.smoothed += weight * (lost / sum - self.smoothed);
        }
    }

    /// So many packets in a row were lost.
    pub(crate) fn on_run(&mut self, packets: u32) {
        let packets = f64::from(packets);
        self.burst = Some(self.burst.map_or(packets, |b| b + (packets - b) / 16.0));
    }

    /// How many packets are lost in a row, on average.
    pub(crate) fn burst(&self) -> f64 {
        self.burst.unwrap_or(1.0)
    }

    /// Packets that were given up turned up after all.
    pub(crate) fn on_late(&mut self, bytes: f64) {
        self.smoothed = (self.smoothed - bytes / (MEMORY * PACKET)).max(0.0);
    }

    /// The smoothed fraction lost, 0 to 1.
    pub(crate) fn fraction(&self) -> f64 {
        self.smoothed.clamp(0.0, 1.0)
    }

    /// Whether the loss of this moment is congestion; true at most once per round trip. `queue` and `greatest` are the
    /// newest and the greatest recent queueing delay in seconds.
    pub(crate) fn is_congestion(&mut self, now: f64, queue: f64, greatest: f64, rtt: f64) -> bool {
        if self.cut_at.is_some_and(|t| now - t <= rtt) {
            return false;
        }
        let (lost, arrived) = self.recent.iter().fold((0.0, 0.0), |(l, a), x| (l + x.1, a + x.2));
        let heavy = lost > 6.0 * PACKET && lost / (lost + arrived) > 0.15;
        let full = queue > 0.025 && queue > 0.6 * greatest;
        if heavy || full {
            self.cut_at = Some(now);
        }
        heavy || full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_loss_is_not_congestion_and_heavy_loss_is_once_per_round_trip() {
        let mut l = Loss::default();
        for i in 0..100 {
            l.on_feedback(i as f64 * 0.004, if i % 4 == 0 { PACKET } else { 0.0 }, 8.0 * PACKET, 0.1);
            assert!(!l.is_congestion(i as f64 * 0.004, 0.001, 0.002, 0.04));
        }
        assert!((l.fraction() - 0.03).abs() < 0.01, "{}", l.fraction());
        for i in 100..150 {
            l.on_feedback(i as f64 * 0.004, 4.0 * PACKET, 8.0 * PACKET, 0.1);
        }
        assert!(l.is_congestion(0.6, 0.001, 0.002, 0.04));
        assert!(!l.is_congestion(0.63, 0.001, 0.002, 0.04));
        assert!(l.is_congestion(0.65, 0.001, 0.002, 0.04));
        assert!(l.recent.len() <= ENTRIES);
    }
}
