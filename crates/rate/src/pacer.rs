//! When the next packet may leave. Arithmetic only: the shell sleeps, the session asks.
//!
//! A token bucket whose rate is the budget's pace and whose depth is the budget's burst, below a limit of what is on the
//! way. A [`Probe`] overrides both for its length. Classes that are never delayed are charged after the fact, so the
//! debt they leave delays what is paced.

use crate::facts::Probe;
use crate::{PACKET, bytes_per_second};
use telepane_model::time::Clock;
use telepane_model::{Budget, Bytes, Span, Stamp};

/// Nothing is delayed by more than this at one asking: the budget will have changed by then.
const LONGEST: Span = Span::secs(1);

/// Unpaced packets delay paced ones by no more than this, in seconds.
const DEBT: f64 = 0.25;

/// See the module. `S` is the sender's clock.
#[derive(Clone, Debug)]
pub struct Pacer<S: Clock> {
    tokens: f64,
    at: Option<Stamp<S>>,
    /// Bytes left of a probe, its rate in bytes per second, and the time after which it is given up.
    probe: Option<(f64, f64, Stamp<S>)>,
    /// A charged probe: the bytes sent and the tokens there were since it began, and when that was.
    charged: Option<(f64, f64, Stamp<S>)>,
}

impl<S: Clock> Default for Pacer<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clock> Pacer<S> {
    /// A pacer that has been idle: the first burst may leave at once.
    pub fn new() -> Self {
        Self { tokens: 0.0, at: None, probe: None, charged: None }
    }

    /// Begins a probe: the next `probe.bytes` leave at `probe.rate`, whatever is in flight. The caller marks them
    /// [`SendClass::Probe`](crate::SendClass::Probe).
    pub fn begin(&mut self, now: Stamp<S>, probe: Probe) {
        let rate = bytes_per_second(probe.rate).max(1.0);
        let length = Span::from_secs_f64(probe.bytes.0 as f64 / rate);
        let until = now + length + length + Span::millis(50);
        self.probe = Some((probe.bytes.0 as f64, rate, until));
        if probe.charged {
            self.charged = self.charged.or(Some((0.0, self.tokens, now)));
        }
        self.tokens = 0.0;
        self.at = Some(now);
    }

    /// Bytes left of the probe under way, if there is one.
    pub fn probing(&self) -> Option<Bytes> {
        self.probe.map(|(left, ..)| Bytes(left as u64))
    }

    /// Ends the probe under way: the queue is empty and no filler is allowed.
    pub fn end_probe(&mut self) {
        self.probe = None;
    }

    /// The instant at which a packet of `bytes` may leave: `now` if at once. When the window is full it is the end of
    /// the budget: ask again then, or at the next feedback. The answer is not a promise; ask again at that instant.
    pub fn next_send_at(&mut self, now: Stamp<S>, bytes: Bytes, budget: &Budget<S>, in_flight: Bytes) -> Stamp<S> {
        if self.probe.is_some_and(|(left, _, until)| left <= 0.0 || now > until) {
            self.probe = None;
        }
        let size = bytes.0 as f64;
        let (rate, depth) = match self.probe {
            Some((_, rate, _)) => (rate, PACKET),
            None => (bytes_per_second(budget.pace).max(1.0), budget.burst.0 as f64),
        };
        let depth = depth.max(size);
        if self.probe.is_none()
            && let Some((sent, tokens, began)) = self.charged.take()
        {
            self.tokens = tokens.min(depth) + rate * now.since(began).as_secs_f64() - sent;
            self.at = Some(now);
        }
        self.tokens = self.tokens.max(-DEBT * rate);
        self.tokens = match self.at {
            Some(at) => (self.tokens + now.since(at).as_secs_f64() * rate).min(depth),
            None => depth,
        };
        self.at = Some(self.at.map_or(now, |at| at.max(now)));
        let full = in_flight.0 > 0 && in_flight + bytes > budget.in_flight_cap;
        if full && self.probe.is_none() {
            return budget.until.max(now + Span::millis(1));
        }
        // A microsecond's worth of slack: instants are whole microseconds.
        let short = size - self.tokens - rate * 1e-6;
        if short <= 0.0 {
            return now;
        }
        let wait = Span::from_secs_f64(short / rate).min(LONGEST).max(Span::micros(1));
        now + wait
    }

    /// A packet left, of whatever class.
    pub fn on_sent(&mut self, _now: Stamp<S>, bytes: Bytes) {
        let size = bytes.0 as f64;
        self.tokens -= size;
        if let Some((sent, ..)) = &mut self.charged {
            *sent += size;
        }
        if let Some((left, ..)) = &mut self.probe {
            *left -= size;
            if *left <= 0.0 {
                self.probe = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{BitRate, BudgetWhy, HostClock};

    type T = Stamp<HostClock>;

    fn budget(pace: BitRate) -> Budget<HostClock> {
        Budget {
            at: T::ZERO,
            until: T::from_micros(100_000),
            pace,
            share: pace,
            burst: Bytes(2_400),
            in_flight_cap: Bytes(100_000),
            queue: Span::ZERO,
            why: BudgetWhy::Track,
        }
    }

    /// Sends `n` packets as the pacer says; the instants in microseconds.
    fn run(p: &mut Pacer<HostClock>, mut now: T, n: usize, b: &Budget<HostClock>) -> Vec<u64> {
        let mut out = Vec::new();
        while out.len() < n {
            let at = p.next_send_at(now, Bytes(1_200), b, Bytes(0));
            if at == now {
                p.on_sent(now, Bytes(1_200));
                out.push(now.as_micros());
            }
            now = at;
        }
        out
    }

    #[test]
    fn a_burst_of_two_then_the_pace() {
        let mut p = Pacer::new();
        let at = run(&mut p, T::from_micros(7), 102, &budget(BitRate::mbps(9)));
        assert_eq!(at[1], 7);
        // 100 packets of 1,200 bytes at 9 Mbit/s: 106,667 microseconds.
        assert!((at[101] - at[1]).abs_diff(106_667) < 200, "{}", at[101] - at[1]);
    }

    #[test]
    fn a_probe_runs_at_its_own_rate_through_a_full_window() {
        let mut p = Pacer::new();
        let mut b = budget(BitRate::mbps(1));
        b.in_flight_cap = Bytes(1);
        run(&mut p, T::ZERO, 1, &b);
        let probe = Probe {
            rate: BitRate::mbps(24),
            bytes: Bytes(12_000),
            filler: Bytes(0),
            packet: Bytes(1_200),
            charged: false,
        };
        p.begin(T::from_micros(50), probe);
        let mut now = T::from_micros(50);
        while p.probing().is_some() {
            let at = p.next_send_at(now, Bytes(1_200), &b, Bytes(50_000));
            if at == now {
                p.on_sent(now, Bytes(1_200));
            }
            now = at;
        }
        assert!(now.as_micros().abs_diff(4_050) < 500, "{now:?}");
        assert_eq!(p.next_send_at(now, Bytes(1_200), &b, Bytes(50_000)), b.until);
    }

    #[test]
    fn unpaced_packets_are_charged() {
        let mut p = Pacer::new();
        let b = budget(BitRate::mbps(1));
        run(&mut p, T::ZERO, 1, &b);
        p.on_sent(T::ZERO, Bytes(12_000));
        let at = p.next_send_at(T::ZERO, Bytes(1_200), &b, Bytes(0));
        // 10,800 bytes of debt and 1,200 to come at 1 Mbit/s.
        assert!(at.as_micros().abs_diff(96_000) < 20, "{at:?}");
    }
    #[test]
    fn a_charged_probe_is_made_up_for() {
        let mut p = Pacer::new();
        let b = budget(BitRate::mbps(1));
        run(&mut p, T::ZERO, 1, &b);
        let bytes = Bytes(12_000);
        p.begin(
            T::ZERO,
            Probe { rate: BitRate::mbps(24), bytes, filler: Bytes(0), packet: Bytes(1_200), charged: true },
        );
        let mut now = T::ZERO;
        while p.probing().is_some() {
            let at = p.next_send_at(now, Bytes(1_200), &b, Bytes(0));
            if at == now {
                p.on_sent(now, Bytes(1_200));
            }
            now = at;
        }
        // The eleven packets so far and the next one are 14,400 bytes, 2,400 of them a burst: 96 ms at 1 Mbit/s.
        let next = run(&mut p, now, 1, &b)[0];
        assert!(next.abs_diff(96_000) < 200, "{next}");
    }
}
