//! What bulk may send: what nobody else wants (`research/rate-control.md` §5.9, P7).
//!
//! Bulk leaves in turns of at most 5 ms of the path's capacity, 2 ms while a person works, at `max(5 % S, 0.9 S - used)`
//! where S is the sustained share and *used* is what everything else has sent lately. It rests while the path's queue is
//! above 5 ms, and keeps what is on the way within a round trip and 10 ms.

use crate::{PACKET, bytes_per_second};
use telepane_model::time::Clock;
use telepane_model::{BitRate, Budget, Bytes, Span, Stamp};

/// A turn's length in seconds: with nobody at work, and with somebody, whose next key waits behind it.
const TURN: f64 = 0.005;
const TURN_ACTIVE: f64 = 0.002;
/// The part of the share that is bulk's whatever else is sent, and the part that everything takes together.
const LEAST: f64 = 0.05;
const FILL: f64 = 0.9;
/// Above this queue bulk rests.
const QUEUE_MOST: Span = Span::millis(5);
/// What may be on the way beyond a round trip, in seconds (DESIGN §3.2).
const AHEAD: f64 = 0.010;
/// What others sent is forgotten as fast as this at least and at most, in seconds: a round trip between them.
const MEMORY: (f64, f64) = (0.020, 0.100);
/// When nothing may be sent it is asked again after this at least.
const AGAIN: Span = Span::millis(1);

/// What is known when bulk asks.
#[derive(Clone, Copy, Debug)]
pub struct Scavenged {
    /// What the path carries.
    pub capacity: BitRate,
    /// The least round trip.
    pub rtt: Span,
    /// Everything on the way.
    pub in_flight: Bytes,
    /// A person works.
    pub active: bool,
    /// Something better waits to be sent.
    pub waiting: bool,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<S: Clock> {
    /// So much may leave now.
    Now(Bytes),
    /// Ask again then, or after feedback.
    At(Stamp<S>),
}

/// See the module. `S` is the sender's clock.
#[derive(Clone, Debug)]
pub struct Scavenger<S: Clock> {
    /// What else was sent, in bytes per second, as of `used_at`.
    used: f64,
    used_at: Option<Stamp<S>>,
    memory: f64,
    tokens: f64,
    at: Option<Stamp<S>>,
}

impl<S: Clock> Default for Scavenger<S> {
    fn default() -> Self {
        Self { used: 0.0, used_at: None, memory: MEMORY.1, tokens: 0.0, at: None }
    }
}

impl<S: Clock> Scavenger<S> {
    /// Something else than bulk left.
    pub fn on_other(&mut self, now: Stamp<S>, bytes: Bytes) {
        self.forget(now);
        self.used += bytes.0 as f64 / self.memory;
    }

    /// Bulk left.
    pub fn on_sent(&mut self, bytes: Bytes) {
        self.tokens -= bytes.0 as f64;
    }

    /// Whether bulk may send now, and how much.
    pub fn ask(&mut self, now: Stamp<S>, budget: &Budget<S>, facts: Scavenged) -> Turn<S> {
        self.memory = facts.rtt.as_secs_f64().clamp(MEMORY.0, MEMORY.1);
        self.forget(now);
        let capacity = bytes_per_second(facts.capacity).max(1.0);
        let share = bytes_per_second(budget.share);
        let free = if facts.waiting { 0.0 } else { FILL * share - self.used };
        let rate = free.max(LEAST * share).max(1.0);
        let length = if facts.active { TURN_ACTIVE } else { TURN };
        let turn = (capacity * length).max(PACKET);
        self.tokens = match self.at {
            Some(at) => (self.tokens + now.since(at).as_secs_f64() * rate).min(turn),
            None => turn,
        };
        self.at = Some(self.at.map_or(now, |at| at.max(now)));
        if budget.queue > QUEUE_MOST {
            return Turn::At(now + budget.queue.saturating_sub(QUEUE_MOST).max(AGAIN));
        }
        let most = (capacity * (facts.rtt.as_secs_f64() + AHEAD)).min(budget.in_flight_cap.0 as f64).max(turn);
        let excess = facts.in_flight.0 as f64 + turn - most;
        if facts.in_flight.0 > 0 && excess > 0.0 {
            let wait = Span::from_secs_f64(excess / capacity).max(AGAIN);
            return Turn::At((now + wait).min(budget.until.max(now + AGAIN)));
        }
        // A microsecond's worth of slack: instants are whole microseconds.
        let short = turn - self.tokens - rate * 1e-6;
        if short <= 0.0 {
            return Turn::Now(Bytes(turn as u64));
        }
        Turn::At(now + Span::from_secs_f64(short / rate).max(Span::micros(1)).min(Span::secs(1)))
    }

    fn forget(&mut self, now: Stamp<S>) {
        if let Some(at) = self.used_at {
            self.used *= libm::exp(-now.since(at).as_secs_f64() / self.memory);
        }
        self.used_at = Some(self.used_at.map_or(now, |at| at.max(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{BudgetWhy, HostClock};

    type T = Stamp<HostClock>;

    fn budget(share: BitRate, queue: Span) -> Budget<HostClock> {
        Budget {
            at: T::ZERO,
            until: T::from_micros(10_000_000),
            pace: share,
            share,
            burst: Bytes(2_400),
            in_flight_cap: Bytes(1 << 20),
            queue,
            why: BudgetWhy::Track,
        }
    }

    const FACTS: Scavenged = Scavenged {
        capacity: BitRate::mbps(20),
        rtt: Span::millis(40),
        in_flight: Bytes(0),
        active: false,
        waiting: false,
    };

    /// Bytes that bulk sends in one second in which others send `others` bytes every millisecond, and its longest turn.
    fn second(others: u64, facts: Scavenged) -> (u64, u64) {
        let mut s = Scavenger::default();
        let b = budget(BitRate::mbps(20), Span::ZERO);
        let (mut sent, mut longest) = (0, 0);
        for step in 0..20_000 {
            let now = T::from_micros(step * 50);
            if others > 0 && step % 20 == 0 {
                s.on_other(now, Bytes(others));
            }
            if let Turn::Now(bytes) = s.ask(now, &b, facts) {
                s.on_sent(bytes);
                sent += bytes.0;
                longest = longest.max(bytes.0);
            }
        }
        (sent, longest)
    }

    // spec: B-8
    #[test]
    fn alone_it_takes_nine_tenths_in_turns_of_five_milliseconds() {
        let (sent, longest) = second(0, FACTS);
        assert!((2_200_000..2_300_000).contains(&sent), "{sent}");
        assert_eq!(longest, 12_500);
        assert_eq!(second(0, Scavenged { active: true, ..FACTS }).1, 5_000);
    }

    // spec: B-8
    #[test]
    fn it_takes_what_others_leave_and_a_twentieth_at_least() {
        // 1,500 bytes a millisecond are 12 of the 20 Mbit/s.
        let (sent, _) = second(1_500, FACTS);
        assert!((650_000..900_000).contains(&sent), "{sent}");
        // What others send is known after a round trip.
        let (sent, _) = second(2_500, FACTS);
        assert!((110_000..220_000).contains(&sent), "{sent}");
        let (sent, _) = second(0, Scavenged { waiting: true, ..FACTS });
        assert!((110_000..150_000).contains(&sent), "{sent}");
    }

    // spec: B-8
    #[test]
    fn it_rests_above_a_queue_and_beyond_what_may_be_on_the_way() {
        let mut s = Scavenger::default();
        let queued = s.ask(T::ZERO, &budget(BitRate::mbps(20), Span::millis(8)), FACTS);
        assert_eq!(queued, Turn::At(T::from_micros(3_000)));
        // 50 ms of 20 Mbit/s are 125,000 bytes.
        let b = budget(BitRate::mbps(20), Span::ZERO);
        let full = Scavenged { in_flight: Bytes(113_000), ..FACTS };
        assert!(matches!(s.ask(T::ZERO, &b, full), Turn::At(_)));
        let room = Scavenged { in_flight: Bytes(112_000), ..FACTS };
        assert_eq!(s.ask(T::ZERO, &b, room), Turn::Now(Bytes(12_500)));
    }
}
