//! How much is lost, and when loss means congestion.
//!
//! Radio loses packets at random; that says nothing about the rate to send at, only about repair. Loss counts as
//! congestion when it comes with a queue near its recent greatest, or when it passes 15 % (`research` section 5.6).
//!
//! There are two fractions. The one of *lately* follows what happens. The *lasting* one is remembered five times as long:
//! where one packet of a hundred is lost, a hundred arrive every third time before the next is, and what is lost lately says
//! by then that the path is sound.

use crate::PACKET;
use std::collections::VecDeque;

/// Packets over which the loss fraction is smoothed.
const MEMORY: f64 = 200.0;
/// Packets over which the lasting fraction is made: at 1 % the mean of ten losses, which hardly ever are fewer than three.
const LASTING: f64 = 1_000.0;
const ENTRIES: usize = 128;

#[derive(Default)]
pub(crate) struct Loss {
    /// (seconds, bytes lost, bytes arrived)
    recent: VecDeque<(f64, f64, f64)>,
    smoothed: f64,
    /// The same over [`LASTING`] packets. Of what was lost in a row one packet counts, else a full buffer would be taken for
    /// a bad path.
    lasting: f64,
    /// So many packets it is made of.
    seen: f64,
    /// Losses in a row since the last message.
    runs: f64,
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
            let lost = lost.min(core::mem::take(&mut self.runs) * PACKET);
            self.seen = (self.seen + sum / PACKET).min(LASTING);
            let weight = (sum / (self.memory() * PACKET)).min(1.0);
            self.lasting += weight * (lost / sum - self.lasting);
        }
    }

    /// Packets over which the lasting fraction is made as yet.
    fn memory(&self) -> f64 {
        self.seen.max(MEMORY)
    }

    /// The path is another one.
    pub(crate) fn forget(&mut self) {
        (self.lasting, self.seen) = (0.0, 0.0);
    }

    /// So many packets in a row were lost.
    pub(crate) fn on_run(&mut self, packets: u32) {
        self.runs += 1.0;
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
        self.lasting = (self.lasting - bytes / (self.memory() * PACKET)).max(0.0);
    }

    /// The smoothed fraction lost, 0 to 1.
    pub(crate) fn fraction(&self) -> f64 {
        self.smoothed.clamp(0.0, 1.0)
    }

    /// The fraction lost that is remembered longer, 0 to 1.
    pub(crate) fn lasting(&self) -> f64 {
        self.lasting.clamp(0.0, 1.0)
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

    /// Packets arrive, of which each `every`th is lost; the fractions in millionths.
    fn lose(l: &mut Loss, packets: u32, every: u32) -> [u32; 2] {
        for i in 1..=packets {
            let lost = if i % every == 0 { PACKET } else { 0.0 };
            if lost > 0.0 {
                l.on_run(1);
            }
            l.on_feedback(f64::from(i) * 0.005, lost, PACKET - lost, 0.1);
        }
        [l.fraction(), l.lasting()].map(|f| (f * 1e6) as u32)
    }

    #[test]
    fn a_path_that_loses_now_and_then_is_remembered_as_one() {
        let mut l = Loss::default();
        let [lately, lasting] = lose(&mut l, 3_000, 100);
        assert!((9_000..15_000).contains(&lately) && (9_000..11_500).contains(&lasting), "{lately} {lasting}");
        let [lately, lasting] = lose(&mut l, 300, 1_000);
        assert!(lately < 3_000 && lasting > 7_000, "{lately} {lasting}");
        assert!(lose(&mut l, 4_000, 10_000)[1] < 400, "it mends");
        lose(&mut l, 100, 100);
        l.forget();
        assert_eq!(l.lasting(), 0.0);
    }

    #[test]
    fn what_is_lost_at_once_is_one_loss_and_what_comes_late_is_none() {
        let mut l = Loss::default();
        lose(&mut l, 1_000, 10_000);
        l.on_run(50);
        l.on_feedback(6.0, 50.0 * PACKET, 10.0 * PACKET, 0.1);
        assert!(l.fraction() > 0.2 && (l.lasting() - 0.001).abs() < 1e-4, "{} {}", l.fraction(), l.lasting());
        l.on_late(PACKET);
        assert!(l.lasting() < 1e-4, "{}", l.lasting());
    }
}
