//! The sustained share: what the encoder may produce over time.
//!
//! On a path of our own the share follows 95 % of the capacity within 50 ms. A queue that our own packets do not explain
//! belongs to others: then the share falls by 15 % once per round trip, and grows back slowly, which is what makes two
//! such flows meet at equal shares (`research` section 5.4).

use crate::PACKET;
use crate::windowed::Windowed;

/// The part of the capacity the encoder may fill.
const FILL: f64 = 0.95;
const DECREASE: f64 = 0.85;
/// What a mark leaves of it (`research` section 5.6).
const MARKED: f64 = 0.9;
/// Unexplained queue that is somebody else's, and that is none, in seconds.
pub(crate) const FOREIGN: f64 = 0.010;
const CLEAR: f64 = 0.004;
/// As many packets more may always stand in front of one: two that the pacer sends at once, and one that is leaving.
pub(crate) const PACKETS: f64 = 3.0;
/// Time constants of growth: alone, and within `CALM` seconds of a decrease.
const QUICK: f64 = 0.050;
const SLOW: f64 = 0.8;
const CALM: f64 = 1.5;
/// 80 kbit/s in bytes per second: below this nothing moves at all.
const LEAST: f64 = 10e3;

/// What the share is judged by; seconds and bytes per second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    pub now: f64,
    pub elapsed: f64,
    pub capacity: f64,
    pub unexplained: f64,
    pub rtt_least: f64,
    pub smoothed: f64,
    pub draining: bool,
    pub delivered: f64,
}

pub(crate) struct Share {
    rate: f64,
    /// The greatest share of the last four seconds when the decreases began.
    before: f64,
    decreases: u32,
    decreased_at: Option<f64>,
    frozen_until: f64,
    greatest: Windowed,
}

impl Share {
    pub(crate) fn new(capacity: f64) -> Self {
        Self {
            rate: 0.8 * capacity,
            before: 0.0,
            decreases: 0,
            decreased_at: None,
            frozen_until: 0.0,
            greatest: Windowed::greatest(4.0),
        }
    }

    /// Bytes per second.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// Decreases in a row without the foreign queue having gone.
    pub(crate) fn decreases(&self) -> u32 {
        self.decreases
    }

    /// What was had before others came: the greatest share of the four seconds before the first decrease.
    pub(crate) fn before(&self) -> f64 {
        self.before.max(self.greatest.value().unwrap_or(0.0))
    }

    /// Whether others were noticed within `seconds`.
    pub(crate) fn contended(&self, now: f64, seconds: f64) -> bool {
        self.decreased_at.is_some_and(|t| now - t < seconds)
    }

    /// Follows the capacity and yields to others. Not called while competing.
    pub(crate) fn on_feedback(&mut self, j: Judged) {
        self.greatest.push(j.now, self.rate);
        // On a thin path a few packets are a queue of that length already, whoever sent them.
        let packet = PACKET / j.capacity;
        let (foreign, clear) = (FOREIGN.max(PACKETS * packet), CLEAR.max(packet));
        let may_decrease = self.decreased_at.is_none_or(|t| j.now - t > j.rtt_least + 0.020);
        if j.unexplained > foreign && !j.draining && may_decrease {
            if self.decreases == 0 {
                self.before = self.greatest.value().unwrap_or(self.rate);
            }
            self.rate = DECREASE * self.rate.min(j.delivered);
            self.decreased_at = Some(j.now);
            self.decreases = self.decreases.saturating_add(1);
            self.frozen_until = j.now + j.smoothed;
        } else if j.unexplained < clear {
            self.decreases = 0;
        }
        let most = FILL * j.capacity;
        if self.rate > most {
            self.rate = most;
        } else if j.now > self.frozen_until && j.unexplained < foreign {
            let tau = if self.contended(j.now, CALM) { SLOW } else { QUICK };
            self.rate += (most - self.rate) * (1.0 - libm::exp(-j.elapsed / tau));
        }
        self.rate = self.rate.max(LEAST);
    }

    /// Loss as congestion: no more than `rate`, and no growth for a round trip.
    pub(crate) fn cut(&mut self, now: f64, rate: f64, rtt: f64) {
        self.rate = self.rate.min(rate).max(LEAST);
        self.frozen_until = now + rtt;
    }

    /// The path marked packets instead of dropping them: a tenth less than what is had, once a round trip, and slow growth after it.
    pub(crate) fn on_marked(&mut self, now: f64, delivered: f64, rtt: f64) {
        self.cut(now, MARKED * self.rate.min(delivered), rtt);
        self.decreased_at = Some(now);
    }

    /// Set by the competing window, or by its end.
    pub(crate) fn set(&mut self, rate: f64) {
        if rate.is_finite() {
            self.rate = rate.max(LEAST);
        }
    }

    /// Competing is over: the foreign queue has gone.
    pub(crate) fn calm(&mut self) {
        self.decreases = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(now: f64, unexplained: f64) -> Judged {
        Judged {
            now,
            elapsed: 0.005,
            capacity: 1e6,
            unexplained,
            rtt_least: 0.04,
            smoothed: 0.04,
            draining: false,
            delivered: 1e6,
        }
    }

    #[test]
    fn it_follows_the_capacity_when_alone_and_yields_to_a_foreign_queue() {
        let mut s = Share::new(1e6);
        for i in 0..60 {
            s.on_feedback(judged(i as f64 * 0.005, 0.0));
        }
        assert!(s.rate() > 0.94e6 && s.rate() <= 0.95e6, "{}", s.rate());
        for i in 60..120 {
            s.on_feedback(judged(i as f64 * 0.005, 0.02));
        }
        assert!(s.decreases() >= 4 && s.rate() < 0.55e6, "{} {}", s.decreases(), s.rate());
        assert!(s.before() > 0.94e6);
        let low = s.rate();
        for i in 130..170 {
            s.on_feedback(judged(i as f64 * 0.005, 0.0));
        }
        assert!(s.rate() > low && s.rate() < 0.7e6, "{}", s.rate());
    }
}
