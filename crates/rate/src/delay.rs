//! Delay: the round trip, the base of the one-way delay, the queue above it.
//!
//! The two clocks share no epoch and run apart by up to 100 ppm. The base of the one-way delay is the greater of two
//! windowed minima: that of the forward delay over 30 s, and the least round trip of 30 s less the least return delay of
//! 5 s. A round trip is measured on one clock (the receiver's hold is a difference on the other), so the second does not
//! drift, and no queue can be longer than what the round trip exceeds its own least by. That removes drift and steps of
//! either clock without fitting a line: the error is at most 5 s times the drift, 0.5 ms at 100 ppm.

use crate::windowed::Windowed;

/// Jitter of the return path beyond this is a fault of the path, not to be covered by more data in flight.
const JITTER_MOST: f64 = 0.060;

/// One arrival, all times in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// When it left (sender's clock).
    pub sent: f64,
    /// When it arrived (receiver's clock, any epoch).
    pub arrived: f64,
    /// When its report would have come without any hold (sender's clock).
    pub heard: f64,
    /// Queueing that our own packets explain.
    pub explained: f64,
    /// It did not wait where others wait: it tells how long the path is, and nothing of the queue.
    pub apart: bool,
}

pub(crate) struct Delay {
    rtt_least: Windowed,
    forward: Windowed,
    back: Windowed,
    held_back_least: Windowed,
    jitter: Windowed,
    floor: Windowed,
    floor_long: Windowed,
    unexplained: Windowed,
    greatest: Windowed,
    pub smoothed: f64,
    pub variation: f64,
    pub latest: f64,
    measured: bool,
    /// Queueing delay of the newest packet, in seconds.
    pub queue: f64,
    /// When the last feedback came in.
    pub feedback_at: Option<f64>,
}

impl Delay {
    pub(crate) fn new(initial_rtt: f64) -> Self {
        Self {
            rtt_least: Windowed::least(30.0),
            forward: Windowed::least(30.0),
            back: Windowed::least(5.0),
            held_back_least: Windowed::least(30.0),
            jitter: Windowed::greatest(1.0),
            floor: Windowed::least(0.1),
            floor_long: Windowed::least(0.3),
            unexplained: Windowed::least(0.1),
            greatest: Windowed::greatest(10.0),
            smoothed: initial_rtt,
            variation: initial_rtt / 2.0,
            latest: initial_rtt,
            measured: false,
            queue: 0.0,
            feedback_at: None,
        }
    }

    /// Takes in the new arrivals of one feedback message, ordered by arrival; `hold` is from the arrival of the newest
    /// packet the message names to its sending.
    pub(crate) fn on_feedback(&mut self, now: f64, hold: f64, newest_arrival: f64, samples: &[Sample]) {
        self.feedback_at = Some(now);
        let back = now - hold - newest_arrival;
        self.back.push(now, back);
        let held_back = now - newest_arrival;
        self.held_back_least.push(now, held_back);
        if let Some(least) = self.held_back_least.value() {
            self.jitter.push(now, held_back - least);
        }
        for s in samples {
            self.rtt_least.push(now, s.heard - s.sent);
            self.forward.push(now, s.arrived - s.sent);
        }
        let window = self.response().max(0.08);
        self.floor.stretch(window);
        self.unexplained.stretch(window);
        self.floor_long.stretch((5.0 * self.response()).max(0.3));
        let base = self.base();
        for s in samples.iter().filter(|s| !s.apart) {
            let queue = (s.arrived - s.sent - base).max(0.0);
            self.queue = queue;
            self.floor.push(s.heard, queue);
            self.floor_long.push(s.heard, queue);
            self.greatest.push(s.heard, queue);
            self.unexplained.push(s.heard, (queue - s.explained).max(0.0));
        }
        if let Some(newest) =
            samples.iter().filter(|s| !s.apart || !self.measured).max_by(|a, b| a.sent.total_cmp(&b.sent))
        {
            self.smooth((newest.heard - newest.sent).max(0.0));
        }
    }

    fn base(&self) -> f64 {
        let forward = self.forward.value().unwrap_or(0.0);
        match (self.rtt_least.value(), self.back.value()) {
            (Some(rtt), Some(back)) => forward.max(rtt - back),
            _ => forward,
        }
    }

    /// RFC 9002 section 5.3.
    fn smooth(&mut self, rtt: f64) {
        self.latest = rtt;
        if self.measured {
            self.variation = 0.75 * self.variation + 0.25 * (rtt - self.smoothed).abs();
            self.smoothed = 0.875 * self.smoothed + 0.125 * rtt;
        } else {
            self.measured = true;
            self.smoothed = rtt;
            self.variation = rtt / 2.0;
        }
    }

    /// The least round trip, in seconds.
    pub(crate) fn rtt_least(&self) -> f64 {
        self.rtt_least.value().unwrap_or(self.smoothed)
    }

    /// How long the effect of a decision takes to be seen, in seconds: the smoothed round trip, but no more than a
    /// fifth of a second beyond the least, so that the delays of an outage do not freeze what follows it.
    pub(crate) fn response(&self) -> f64 {
        self.smoothed.min(self.rtt_least() + 0.2)
    }

    /// How much later feedback came within the last second than the earliest of 30 s, in seconds.
    pub(crate) fn jitter(&self) -> f64 {
        self.jitter.value().unwrap_or(0.0).clamp(0.0, JITTER_MOST)
    }

    /// The least queue of the last round trip (at least 80 ms).
    pub(crate) fn floor(&self) -> f64 {
        self.floor.value().unwrap_or(0.0)
    }

    /// The least queue of the last five round trips (at least 300 ms).
    pub(crate) fn floor_long(&self) -> f64 {
        self.floor_long.value().unwrap_or(0.0)
    }

    /// The least queue that our own packets do not explain, over the last round trip (at least 80 ms).
    pub(crate) fn unexplained(&self) -> f64 {
        self.unexplained.value().unwrap_or(0.0)
    }

    /// The longest queue of the last ten seconds.
    pub(crate) fn greatest(&self) -> f64 {
        self.greatest.value().unwrap_or(0.0)
    }

    /// Seconds without feedback, while something is on the way, that mean silence.
    pub(crate) fn silence(&self) -> f64 {
        self.smoothed + 4.0 * self.variation + 0.050
    }

    /// Whether a round trip was ever measured.
    pub(crate) fn is_measured(&self) -> bool {
        self.measured
    }

    /// Another path: nothing measured holds, but for the smoothed round trip as a first guess.
    pub(crate) fn forget(&mut self) {
        *self = Self { feedback_at: self.feedback_at, ..Self::new(self.smoothed) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40 ms of round trip, `queue` forward, the receiver's clock `skew` ahead.
    fn feed(d: &mut Delay, sent: f64, queue: f64, skew: f64) {
        let arrived = sent + 0.02 + queue + skew;
        let heard = sent + 0.04 + queue;
        d.on_feedback(heard + 0.003, 0.003, arrived, &[Sample { sent, arrived, heard, explained: 0.0, apart: false }]);
    }

    #[test]
    fn drift_of_either_sign_does_not_look_like_a_queue() {
        for ppm in [-100.0, 100.0] {
            let mut d = Delay::new(0.1);
            for i in 0..60_000 {
                let t = i as f64 * 0.01;
                feed(&mut d, t, 0.0, 1e6 + t * ppm * 1e-6);
                assert!(d.queue < 0.0006, "{ppm} ppm, {t} s: {}", d.queue);
            }
            feed(&mut d, 600.01, 0.030, 1e6 + 600.0 * ppm * 1e-6);
            assert!((d.queue - 0.030).abs() < 0.0008, "{}", d.queue);
        }
    }

    #[test]
    fn a_clock_step_heals_at_once_or_within_five_seconds() {
        for step in [-36_000.0, 36_000.0] {
            let mut d = Delay::new(0.1);
            for i in 0..1_000 {
                feed(&mut d, i as f64 * 0.01, 0.0, 5.0);
            }
            for i in 1_000..1_600 {
                feed(&mut d, i as f64 * 0.01, 0.0, 5.0 + step);
                assert!(d.queue < 0.001, "{}", d.queue);
            }
            feed(&mut d, 16.0, 0.02, 5.0 + step);
            assert!((d.queue - 0.02).abs() < 0.001, "{step}: {}", d.queue);
        }
    }
}
