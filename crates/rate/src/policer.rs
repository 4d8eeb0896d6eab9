//! A token bucket on the path: it lets a burst pass at the line's speed and then drops what exceeds its rate, without a
//! queue ever forming.
//!
//! Trains see the line's speed, delay sees nothing, and loss is all there is. More than a tenth lost over two round trips
//! without a queue, here and there and not in one piece, is taken for such a bucket: the capacity is held at 95 % of what arrived, nothing is probed, and after ten
//! seconds the hold is lifted by a quarter a second, so that the bucket, if it is still there, is met again with a small
//! loss. If as much is lost below the hold, the loss does not care for the rate: it is the radio's, the hold was a mistake,
//! and loss is not asked again for a minute. That may be wrong: what arrived before had the bucket's savings in it, and a hold
//! made of them is above the bucket's rate. Then far more is lost as soon as the rate grows, and the guard closes again.

use crate::PACKET;
use std::collections::VecDeque;

/// Lost of all, over two round trips, at this many packets at least.
const FRACTION: f64 = 0.10;
const PACKETS: f64 = 8.0;
/// Feedback messages that tell of it, at least: a bucket drops as long as too much is sent. A reader that was not scheduled
/// while its socket ran over, or a radio that was away, loses as much in one piece.
const MESSAGES: usize = 3;
/// A queue that a bottleneck would have made, in seconds; even a buffer of 15 kB at 20 Mbit/s has 6 ms.
const QUEUE: f64 = 0.005;
/// The same, when more than a quarter is lost: readers of sockets bunch arrivals by as much, and a buffer that short, so full,
/// is as well held to what it lets through.
const QUEUE_HEAVY: f64 = 0.015;
const HEAVY: f64 = 0.25;
const KEEP: f64 = 0.95;
/// Seconds.
const HOLD: f64 = 10.0;
const DOUBT: f64 = 60.0;
const LIFT_PER_SECOND: f64 = 1.25;
/// Lifted so far above the hold, it is over.
const LIFTED: f64 = 8.0;
/// Below the hold this much may be lost at random.
const AT_RANDOM: f64 = 0.05;
/// Chance loses the same part whatever the rate; a bucket less at a lower rate, or more once what it had saved is gone.
const SAME: core::ops::Range<f64> = 0.7..1.4;
/// Loss that is heavy, and so many times what was put down to the radio, is not the radio's.
const WORSE: f64 = 1.75;
const ENTRIES: usize = 256;

/// What one feedback message says; seconds, bytes, bytes per second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub now: f64,
    pub lost: f64,
    pub arrived: f64,
    pub queue: f64,
    pub smoothed: f64,
    /// What arrived over the last two round trips.
    pub delivered: f64,
}

#[derive(Default)]
pub(crate) struct Policer {
    /// (when, lost, arrived, queue)
    recent: VecDeque<(f64, f64, f64, f64)>,
    hold: Option<Hold>,
    doubt: Option<Doubt>,
}

/// So much is lost whatever the rate.
struct Doubt {
    until: f64,
    fraction: f64,
}

struct Hold {
    rate: f64,
    since: f64,
    /// The part that was lost when it began.
    fraction: f64,
    /// Lost and arrived since the first losses from above the hold have been told.
    lost: f64,
    arrived: f64,
}

impl Hold {
    fn new(t: Told, fraction: f64) -> Self {
        Self { rate: KEEP * t.delivered, since: t.now, fraction, lost: 0.0, arrived: 0.0 }
    }
}

impl Policer {
    pub(crate) fn on_feedback(&mut self, t: Told) {
        let window = (2.0 * t.smoothed).max(0.1);
        if let Some(hold) = &mut self.hold {
            if t.now - hold.since > window + t.smoothed {
                hold.lost += t.lost;
                hold.arrived += t.arrived;
            }
            let sum = hold.lost + hold.arrived;
            if t.now - hold.since < HOLD && sum > 100.0 * PACKET && hold.lost > AT_RANDOM * sum {
                let fraction = hold.lost / sum;
                if !SAME.contains(&(fraction / hold.fraction.max(0.01))) {
                    // What arrived before had the bucket's savings in it: its rate is lower still.
                    *hold = Hold::new(t, fraction);
                } else {
                    self.hold = None;
                    self.doubt = Some(Doubt { until: t.now + DOUBT, fraction });
                }
                return;
            }
            if self.ceiling(t.now).is_some_and(|c| c > LIFTED * t.delivered) {
                self.hold = None;
            }
        }
        self.recent.push_back((t.now, t.lost, t.arrived, t.queue));
        while self.recent.len() > ENTRIES || self.recent.front().is_some_and(|e| e.0 < t.now - window) {
            self.recent.pop_front();
        }
        let whole = self.recent.front().is_some_and(|e| t.now - e.0 > 0.8 * window);
        let settled = self.hold.as_ref().is_none_or(|h| t.now - h.since > HOLD);
        if !whole || !settled {
            return;
        }
        let (lost, arrived, queue) =
            self.recent.iter().fold((0.0, 0.0, 0.0_f64), |(l, a, q), e| (l + e.1, a + e.2, q.max(e.3)));
        let messages = self.recent.iter().filter(|e| e.1 > 0.0).count();
        let fraction = lost / (lost + arrived).max(1.0);
        if self.doubt.as_ref().is_some_and(|d| t.now < d.until && fraction < HEAVY.max(WORSE * d.fraction)) {
            return;
        }
        let short = if fraction > HEAVY { QUEUE_HEAVY } else { QUEUE };
        if messages >= MESSAGES && queue < short && lost > PACKETS * PACKET && fraction > FRACTION {
            self.hold = Some(Hold::new(t, fraction));
            self.recent.clear();
        }
    }

    /// The most that the path is taken to carry, in bytes per second, if a bucket was met.
    pub(crate) fn ceiling(&self, now: f64) -> Option<f64> {
        let hold = self.hold.as_ref()?;
        let lifted = (now - hold.since - HOLD).max(0.0);
        Some(hold.rate * libm::pow(LIFT_PER_SECOND, lifted))
    }

    /// Nothing was heard for long: what is found lost then was not lost to a bucket.
    pub(crate) fn on_silence(&mut self) {
        self.recent.clear();
    }

    /// Another path.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `rate` bytes a second for `seconds` through `pass`, which says what of each packet arrives.
    fn run(p: &mut Policer, from: f64, seconds: f64, lost: impl Fn(usize) -> bool, queue: f64) {
        let n = (seconds / 0.005) as usize;
        for i in 0..n {
            let gone = if lost(i) { PACKET } else { 0.0 };
            let now = from + i as f64 * 0.005;
            p.on_feedback(Told {
                now,
                lost: gone,
                arrived: 2.0 * PACKET - gone,
                queue,
                smoothed: 0.04,
                delivered: 4e5,
            });
        }
    }

    #[test]
    fn a_bucket_is_held_to_and_met_again_gently() {
        let mut p = Policer::default();
        run(&mut p, 0.0, 0.3, |i| i % 2 == 0, 0.001);
        let held = p.ceiling(0.3).expect("a quarter is lost without a queue");
        assert!((held - 3.8e5).abs() < 1.0);
        run(&mut p, 0.3, 10.0, |_| false, 0.001);
        let later = p.ceiling(12.3).expect("still held");
        assert!(later > 1.3 * held && later < 2.0 * held, "{later}");
    }

    /// What a feedback message told before each of nine false verdicts over loopback, where nothing but readers that were not
    /// scheduled loses anything: a third to three quarters of 100 ms in one message or two.
    #[test]
    fn what_is_lost_in_one_piece_is_no_bucket() {
        let told = [(0.0, 9e3), (0.0, 18e3), (22e3, 72e3), (90e3, 63e3), (0.0, 68e3)];
        let mut p = Policer::default();
        for n in 0..200 {
            let (lost, arrived) = told[n % told.len()];
            let now = n as f64 * 0.033;
            p.on_feedback(Told { now, lost, arrived, queue: 0.0005, smoothed: 0.0015, delivered: 8e5 });
            assert_eq!(p.ceiling(now), None, "message {n}");
        }
    }

    #[test]
    fn loss_with_a_queue_is_no_bucket_and_loss_that_stays_is_the_radios() {
        let mut p = Policer::default();
        run(&mut p, 0.0, 1.0, |i| i % 2 == 0, 0.030);
        assert_eq!(p.ceiling(1.0), None);
        run(&mut p, 1.0, 0.3, |i| i % 2 == 0, 0.001);
        assert!(p.ceiling(1.3).is_some());
        run(&mut p, 1.3, 2.0, |i| i % 2 == 0, 0.001);
        assert_eq!(p.ceiling(3.3), None, "as much is lost below the hold");
        run(&mut p, 3.3, 20.0, |i| i % 2 == 0, 0.001);
        assert_eq!(p.ceiling(23.3), None, "and it is believed for a minute");
        run(&mut p, 23.3, 0.2, |_| true, 0.001);
        assert!(p.ceiling(23.5).is_some(), "nearly twice as much is not the radio's");
    }

    #[test]
    fn heavy_loss_is_a_buckets_where_a_reader_bunches_arrivals() {
        let mut p = Policer::default();
        run(&mut p, 0.0, 1.0, |_| true, 0.020);
        assert_eq!(p.ceiling(1.0), None, "no reader makes such a queue");
        run(&mut p, 1.0, 0.3, |_| true, 0.012);
        assert!(p.ceiling(1.3).is_some());
    }
}
