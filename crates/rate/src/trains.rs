//! The path's capacity, from trains of packets.
//!
//! Packets sent close together leave the bottleneck spaced by its rate. The newest run of them, each sent soon after the
//! one before, is a train; its bytes over its arrival span is what the path carried, and whether it arrived wider than
//! it was sent tells a measurement from a lower bound. Constants: `research` section 5.3, tuned in simulation.

use crate::PACKET;
use crate::windowed::Windowed;
use std::collections::VecDeque;

/// 0.1 Mbit/s and 2 Gbit/s, in bytes per second.
const LEAST: f64 = 12.5e3;
const MOST: f64 = 2.5e8;
/// Packets looked at: 40 ms of bunches at 120 Mbit/s. A train of single arrivals has at most 64.
const HISTORY: usize = 512;
/// The pace is multiplied by this while the path is seen to choke.
const CHOKED_PACE: f64 = 0.2;
/// Growth of the pace per clean round trip, and its ends.
const GAIN_LEAST: f64 = 1.02;
const GAIN_STEP: f64 = 1.25;
const GAIN_MOST: f64 = 2.5;
/// Arrivals closer than this, in seconds, are one bunch; a train of bunches must span the other to count.
const BUNCH: f64 = 0.0001;
const BUNCHED_LEAST: f64 = 0.010;
const BUNCHED_SPAN: f64 = 0.040;
/// One-millisecond steps of the delivery record, and how many are kept.
const STEP: f64 = 0.001;
const STEPS: usize = 1_024;

/// A packet that arrived, times in seconds as in [`crate::delay::Sample`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    pub sent: f64,
    pub arrived: f64,
    pub heard: f64,
    pub bytes: f64,
    /// Of a turn of bulk.
    pub bulk: bool,
    /// It did not wait where others wait, and is part of no train.
    pub apart: bool,
}

/// What else bears on a train's meaning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    pub now: f64,
    /// Queue of the newest packet and its least over a round trip, seconds.
    pub queue: f64,
    pub floor: f64,
    pub rtt_least: f64,
    /// Something waits to be sent.
    pub backlog: bool,
    /// Another flow is contended with: a narrow train shows its share, not the capacity.
    pub competing: bool,
}

struct Train {
    /// Without its first packet.
    bytes: f64,
    send_span: f64,
    arrival_span: f64,
    packets: usize,
}

pub(crate) struct Capacity {
    /// Bytes per second.
    rate: f64,
    history: VecDeque<Arrived>,
    delivered: VecDeque<(i64, f64)>,
    gain: f64,
    gain_at: f64,
    choked_until: f64,
    recent_most: Windowed,
    /// When a train last arrived wider than sent.
    pub confirmed: bool,
}

impl Capacity {
    pub(crate) fn new(rate: f64, now: f64) -> Self {
        Self {
            rate: rate.clamp(LEAST, MOST),
            history: VecDeque::new(),
            delivered: VecDeque::new(),
            gain: GAIN_LEAST,
            gain_at: now,
            choked_until: now,
            recent_most: Windowed::greatest(0.15),
            confirmed: false,
        }
    }

    /// Bytes per second.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// Sets the rate from outside the trains: loss, silence, contention.
    pub(crate) fn set(&mut self, rate: f64) {
        if rate.is_finite() {
            self.rate = rate.clamp(LEAST, MOST);
        }
    }

    /// How much above the capacity the pace may be on a clear path.
    pub(crate) fn gain(&self) -> f64 {
        self.gain
    }

    /// The factor on the pace while the path chokes.
    pub(crate) fn brake(&self, now: f64) -> f64 {
        if now < self.choked_until { CHOKED_PACE } else { 1.0 }
    }

    /// Sending begins after the queue was empty: the gain may grow again from now.
    pub(crate) fn on_busy(&mut self, now: f64) {
        self.gain_at = now;
    }

    /// Takes arrived packets in, in the order of arrival.
    pub(crate) fn on_arrived(&mut self, packet: Arrived) {
        if !packet.apart {
            if self.history.len() >= HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(packet);
        }
        let step = (packet.heard / STEP) as i64;
        match self.delivered.back_mut() {
            Some((last, bytes)) if step <= *last => *bytes += packet.bytes,
            _ => {
                if self.delivered.len() >= STEPS {
                    self.delivered.pop_front();
                }
                self.delivered.push_back((step, packet.bytes));
            }
        }
    }

    /// Bytes per second that arrived in the last `window` seconds before the newest arrival; the capacity if too little
    /// arrived to tell.
    pub(crate) fn delivered(&self, window: f64) -> f64 {
        let Some(&(last, _)) = self.delivered.back() else { return self.rate };
        if self.history.len() < 3 {
            return self.rate;
        }
        let window = window.clamp(0.01, 1.0);
        let from = last - (window / STEP) as i64;
        let sum: f64 = self.delivered.iter().rev().take_while(|(t, _)| *t > from).map(|(_, bytes)| bytes).sum();
        sum / window
    }

    /// Judges the newest train. True when the capacity just fell by 15 % or more within 150 ms.
    pub(crate) fn on_feedback(&mut self, around: Around) -> bool {
        let now = around.now;
        let before = self.rate;
        if let Some(train) = self.newest_train() {
            self.judge(&train, around);
        }
        if !around.competing {
            self.watch_for_choking(around);
        }
        self.rate = self.rate.clamp(LEAST, MOST);
        self.recent_most.push(now, before);
        self.rate < 0.85 * self.recent_most.value().unwrap_or(before)
    }

    fn judge(&mut self, train: &Train, around: Around) {
        let arrived = train.bytes / train.arrival_span.max(1e-4);
        let sent = train.bytes / train.send_span.max(1e-5);
        let wider = train.arrival_span > 1.1 * train.send_span + 0.0007;
        if wider {
            if arrived < self.rate {
                let trust = match arrived / self.rate {
                    r if r < 0.5 => 1.0,
                    r if r < 0.7 => 0.7,
                    _ => 0.35,
                };
                if !around.competing {
                    self.rate += trust * (arrived - self.rate);
                }
            } else if train.packets >= 8 {
                self.rate += 0.6 * (arrived - self.rate).min(1.5 * self.rate);
            }
            self.gain = GAIN_LEAST;
            self.gain_at = around.now;
            self.confirmed = true;
        } else if train.packets >= 6 {
            let at_least = arrived.min(1.25 * sent).min(2.5 * self.rate);
            self.rate = self.rate.max(at_least);
            // The path carried what was asked: ask for more after a clean round trip.
            if around.backlog && around.now - self.gain_at > around.rtt_least + 0.010 && around.floor < 0.010 {
                self.gain = (self.gain * GAIN_STEP).min(GAIN_MOST);
                self.gain_at = around.now;
            }
        }
    }

    /// Four packets that spread threefold while a queue stands: brake now, judge with the whole train.
    fn watch_for_choking(&mut self, around: Around) {
        let n = self.history.len();
        if around.queue <= 0.008 || n < 4 {
            return;
        }
        let (Some(first), Some(last)) = (self.history.get(n - 4), self.history.back()) else { return };
        let (sent, arrived) = (last.sent - first.sent, last.arrived - first.arrived);
        let bytes: f64 = self.history.iter().rev().take(3).map(|p| p.bytes).sum();
        // One wide gap is a pause of the reader or the radio; a choking path spreads them all.
        let widest = self.history.range(n - 4..).zip(self.history.range(n - 3..)).map(|(a, b)| b.arrived - a.arrived);
        if widest.fold(0.0, f64::max) > 0.8 * arrived {
            return;
        }
        if arrived > 3.0 * sent + 0.004 && bytes / arrived.max(1e-4) < 0.5 * self.rate {
            self.choked_until = around.now + 0.012;
        }
    }

    fn newest_train(&self) -> Option<Train> {
        let (first, packets) = self.run(0.020, 64)?;
        if packets < 5 {
            return None;
        }
        let start = self.history.len() - packets;
        if self.is_bunched(start) {
            let (_, packets) = self.run(BUNCHED_SPAN, HISTORY)?;
            return self.bunched_train(self.history.len() - packets);
        }
        let last = self.history.back()?;
        Some(Train {
            bytes: self.history.iter().skip(start + 1).map(|p| p.bytes).sum(),
            send_span: (last.sent - first.sent).max(0.0),
            arrival_span: (last.arrived - first.arrived).max(0.0),
            packets,
        })
    }

    /// The newest packets that were sent soon after each other: the first of them and how many. It ends at `most`
    /// packets, or at ten whose arrivals span `enough` seconds (and the time of eight packets).
    fn run(&self, enough: f64, most: usize) -> Option<(&Arrived, usize)> {
        let last = self.history.back()?;
        let gap = (2.5 * PACKET / self.rate).max(0.004);
        let enough = (8.0 * PACKET / self.rate).max(enough);
        let mut first = last;
        let mut packets = 1;
        for p in self.history.iter().rev().skip(1) {
            // A turn of bulk leaves at once; between two of them the path may be idle, which is no sign of its capacity.
            let turns = first.bulk && p.bulk && first.sent > p.sent;
            if turns
                || first.sent - p.sent > gap
                || (packets >= 10 && last.arrived - p.arrived > enough)
                || packets >= most
            {
                break;
            }
            packets += 1;
            first = p;
        }
        Some((first, packets))
    }

    /// Whether packets from `start` on came in bunches although they were sent apart: a radio that aggregates, or a
    /// reader that was not scheduled. Single arrival times then say nothing.
    fn is_bunched(&self, start: usize) -> bool {
        let mut run = 0;
        let mut previous: Option<&Arrived> = None;
        for p in self.history.iter().skip(start) {
            let together = previous
                .is_some_and(|q| p.arrived - q.arrived < BUNCH && p.arrived - q.arrived < 0.25 * (p.sent - q.sent));
            run = if together { run + 1 } else { 0 };
            if run >= 2 {
                return true;
            }
            previous = Some(p);
        }
        false
    }

    /// A train whose arrivals are bunched: from the end of its first bunch to the end of its last whole one. The newest
    /// bunch may not have ended yet and is left out. Short trains of this kind are no measurement.
    fn bunched_train(&self, start: usize) -> Option<Train> {
        // (last packet of the bunch, bytes and packets up to its end)
        let mut ends: Option<(&Arrived, f64, usize)> = None;
        let mut first_end: Option<(&Arrived, f64, usize)> = None;
        let mut current: Option<(f64, &Arrived)> = None;
        let (mut bytes, mut packets) = (0.0, 0);
        for p in self.history.iter().skip(start) {
            match current {
                Some((began, _)) if p.arrived - began < BUNCH => {}
                Some((_, end)) => {
                    ends = Some((end, bytes, packets));
                    first_end = first_end.or(ends);
                    current = Some((p.arrived, p));
                }
                None => current = Some((p.arrived, p)),
            }
            current = current.map(|(began, _)| (began, p));
            bytes += p.bytes;
            packets += 1;
        }
        let ((first, before, _), (last, upto, _)) = (first_end?, ends?);
        let train = Train {
            bytes: upto - before,
            send_span: (last.sent - first.sent).max(0.0),
            arrival_span: (last.arrived - first.arrived).max(0.0),
            packets,
        };
        (train.arrival_span >= BUNCHED_LEAST).then_some(train)
    }

    /// Another path: keep the rate as a first guess, forget the rest.
    pub(crate) fn forget(&mut self, now: f64) {
        *self = Self::new(self.rate, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(now: f64) -> Around {
        Around { now, queue: 0.0, floor: 0.0, rtt_least: 0.04, backlog: true, competing: false }
    }

    /// Ten packets sent at `sent` bytes per second arrive at `arrived`.
    fn train(c: &mut Capacity, t: f64, sent: f64, arrived: f64) {
        for i in 0..10 {
            let (s, a) = (t + i as f64 * PACKET / sent, t + i as f64 * PACKET / arrived);
            c.on_arrived(Arrived {
                sent: s,
                arrived: a + 99.0,
                heard: a + 0.04,
                bytes: PACKET,
                bulk: false,
                apart: false,
            });
        }
        c.on_feedback(around(t + 0.06));
    }

    #[test]
    fn a_spread_train_shows_a_lower_capacity_at_once() {
        let mut c = Capacity::new(2.5e6, 0.0);
        train(&mut c, 0.0, 2.5e6, 0.25e6);
        assert!((c.rate() - 0.25e6).abs() < 0.01e6, "{}", c.rate());
    }

    #[test]
    fn a_fast_train_raises_the_capacity_by_no_more_than_two_and_a_half() {
        let mut c = Capacity::new(0.25e6, 0.0);
        train(&mut c, 0.0, 0.625e6, 0.625e6);
        assert!((c.rate() - 0.625e6).abs() < 0.01e6, "{}", c.rate());
        // Bunched arrivals prove nothing beyond what was sent.
        train(&mut c, 1.0, 0.625e6, 1e9);
        assert!(c.rate() <= 0.625e6 * 1.26, "{}", c.rate());
    }

    #[test]
    fn delivery_is_what_arrived_in_the_window() {
        let mut c = Capacity::new(1e6, 0.0);
        for i in 0..1_000 {
            let t = i as f64 * 0.002;
            c.on_arrived(Arrived { sent: t, arrived: t, heard: t, bytes: PACKET, bulk: false, apart: false });
        }
        assert!((c.delivered(0.1) - 600e3).abs() < 12e3, "{}", c.delivered(0.1));
        assert!(c.delivered.len() <= STEPS);
    }
}
