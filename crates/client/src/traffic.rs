//! Rates over time: bits each way, frames and pixels shown, and what the line has carried at its fastest.
//!
//! Bits are sampled from the transport's counters, so headers and acknowledgements are in them. The *burst* is how fast
//! a train of at least [`TRAIN`] bytes arrived: the host paces trains at what it takes the line to carry, so their
//! speed at this end is a lower bound of the capacity that needs no word from the host.

use std::collections::VecDeque;
use telepane_model::{Span, Stamp, ViewerClock};

/// "Now" is this much of the past.
const NOW: Span = Span::secs(2);
/// Samples kept: twice [`NOW`] at the driver's five a second.
const KEPT: usize = 20;
/// Bytes after a train's first packet from which its speed counts.
const TRAIN: u64 = 8_000;
/// A pause ends a train.
const PAUSE: Span = Span::millis(3);
/// Trains whose median is the burst.
const TRAINS: usize = 15;

/// What was counted up to a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// UDP payload bytes received.
    pub received: u64,
    /// UDP payload bytes sent.
    pub sent: u64,
    /// Updates shown.
    pub shown: u64,
    /// Pixels written by decoding.
    pub pixels: u64,
}

/// A rate now, at its highest, and from the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Over the last two seconds, per second.
    pub now: f64,
    /// The highest it was.
    pub peak: f64,
    /// Over all of the session.
    pub average: f64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Traffic {
    first: Option<(Stamp<ViewerClock>, Counted)>,
    samples: VecDeque<(Stamp<ViewerClock>, Counted)>,
    peaks: [f64; 4],
    train: Option<Train>,
    bursts: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Train {
    first: Stamp<ViewerClock>,
    last: Stamp<ViewerClock>,
    /// Without the first packet, which came at the end of its own time on the line.
    bytes: u64,
}

impl Traffic {
    /// The counters at `now`.
    pub fn sample(&mut self, now: Stamp<ViewerClock>, counted: Counted) {
        self.first.get_or_insert((now, counted));
        // A new connection counts from nothing.
        if self.samples.back().is_some_and(|(_, c)| c.received > counted.received || c.sent > counted.sent) {
            self.samples.clear();
        }
        self.samples.push_back((now, counted));
        while self.samples.len() > KEPT || self.samples.get(1).is_some_and(|(at, _)| now.since(*at) >= NOW) {
            self.samples.pop_front();
        }
        let rates = self.now_rates();
        for (peak, rate) in self.peaks.iter_mut().zip(rates) {
            *peak = peak.max(rate);
        }
    }

    /// A datagram of so many bytes came.
    pub fn on_datagram(&mut self, at: Stamp<ViewerClock>, bytes: usize) {
        match &mut self.train {
            Some(train) if at.since(train.last) <= PAUSE => {
                (train.last, train.bytes) = (at, train.bytes + bytes as u64);
            }
            _ => {
                self.end_train();
                self.train = Some(Train { first: at, last: at, bytes: 0 });
            }
        }
    }

    /// Received bits, sent bits, updates and pixels, per second.
    pub fn rates(&self) -> [Rate; 4] {
        let whole = match (self.first, self.samples.back()) {
            (Some(first), Some(last)) => per_second(first, *last),
            _ => [0.0; 4],
        };
        let mut rates = [Rate::default(); 4];
        for (i, rate) in rates.iter_mut().enumerate() {
            let at = |all: &[f64; 4]| all.get(i).copied().unwrap_or_default();
            *rate = Rate { now: at(&self.now_rates()), peak: at(&self.peaks), average: at(&whole) };
        }
        rates
    }

    /// What the line has carried in trains lately, in bits per second.
    pub fn burst(&self) -> Option<u64> {
        let mut sorted: Vec<u64> = self.bursts.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    fn end_train(&mut self) {
        let Some(train) = self.train.take().filter(|t| t.bytes >= TRAIN) else { return };
        let micros = train.last.since(train.first).as_micros().max(1);
        if self.bursts.len() == TRAINS {
            self.bursts.pop_front();
        }
        self.bursts.push_back(train.bytes.saturating_mul(8_000_000) / micros);
    }

    fn now_rates(&self) -> [f64; 4] {
        match (self.samples.front(), self.samples.back()) {
            (Some(from), Some(to)) => per_second(*from, *to),
            _ => [0.0; 4],
        }
    }
}

fn per_second(from: (Stamp<ViewerClock>, Counted), to: (Stamp<ViewerClock>, Counted)) -> [f64; 4] {
    let seconds = to.0.since(from.0).as_micros() as f64 / 1e6;
    if seconds <= 0.0 {
        return [0.0; 4];
    }
    let (a, b) = (from.1, to.1);
    let rate = |a: u64, b: u64, unit: f64| b.saturating_sub(a) as f64 * unit / seconds;
    [
        rate(a.received, b.received, 8.0),
        rate(a.sent, b.sent, 8.0),
        rate(a.shown, b.shown, 1.0),
        rate(a.pixels, b.pixels, 1.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Stamp<ViewerClock> {
        Stamp::from_micros(ms * 1_000)
    }

    #[test]
    fn now_peak_and_average_differ() {
        let mut t = Traffic::default();
        assert_eq!(t.rates()[0], Rate::default());
        for i in 0..=50 {
            // 1 Mbit/s for five seconds, then nothing for five.
            let received = i.min(25) * 25_000;
            t.sample(at(i * 200), Counted { received, sent: 0, shown: i * 6, pixels: 0 });
        }
        let [received, sent, frames, _] = t.rates();
        assert!((received.now, sent.peak) == (0.0, 0.0));
        assert!((received.peak - 1e6).abs() < 1.0 && (received.average - 0.5e6).abs() < 1.0, "{received:?}");
        assert!((frames.now - 30.0).abs() < 0.1, "{frames:?}");
        // A new connection.
        t.sample(at(10_200), Counted::default());
        assert_eq!(t.rates()[0].now, 0.0);
        assert!(t.samples.len() <= KEPT);
    }

    #[test]
    fn the_burst_is_the_speed_of_trains() {
        let mut t = Traffic::default();
        assert_eq!(t.burst(), None);
        let mut now = 0;
        for length in [20, 20, 2, 20, 3] {
            for _ in 0..length {
                // 1,000 bytes every 400 us are 20 Mbit/s.
                t.on_datagram(Stamp::from_micros(now), 1_000);
                now += 400;
            }
            now += 50_000;
        }
        assert_eq!((t.burst(), t.bursts.len()), (Some(20_000_000), 3));
    }
}
