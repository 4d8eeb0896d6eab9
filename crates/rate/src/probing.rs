//! When to measure the path with a train of its own, and with how much.
//!
//! Three occasions: the start, where trains follow each other while each raises the capacity; a frame that is about to
//! leave while the encoder is held back, whose head goes out faster than the capacity and costs nothing; and a person at
//! work (an input event within 30 s), for whom filler keeps the measurement fresh, every two seconds, within 60 kbit/s
//! (DESIGN "Active"; `research` section 5.5). A head that loses packets makes later heads shorter and slower.

use crate::PACKET;

/// Packets of a whole train, and its rate as a multiple of the capacity.
const TRAIN: f64 = 10.0;
const SPEED: f64 = 2.5;
/// How long an input event allows filler.
const ACTIVE: f64 = 30.0;
/// Filler: bytes per second, and what may be spent at once (at the start: about fifteen trains).
const FILLER_RATE: f64 = 60e3 / 8.0;
const FILLER_AT_ONCE: f64 = 180e3;
/// Seconds between trains: nothing else to do; held back and the last train brought nothing.
const IDLE_EVERY: f64 = 2.0;
const LIMITED_EVERY: (f64, f64) = (0.25, 1.0);

struct Pending {
    at: f64,
    bytes: f64,
    arrived: f64,
    capacity: f64,
}

/// What a train is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub now: f64,
    pub capacity: f64,
    pub backlog: f64,
    /// The queue is short and little is on the way.
    pub clear: bool,
    pub starting: bool,
    /// Filler may be sent at all.
    pub allowed: bool,
}

/// A train to send, in bytes and bytes per second.
pub(crate) struct Train {
    pub bytes: f64,
    pub filler: f64,
    pub rate: f64,
}

pub(crate) struct Probing {
    pending: Option<Pending>,
    last_at: Option<f64>,
    /// Seconds to wait; zero after a train that raised the capacity.
    every: f64,
    size: f64,
    speed: f64,
    hurt_at: Option<f64>,
    active_at: f64,
    limited_at: Option<f64>,
    credit: f64,
    credit_at: f64,
}

impl Probing {
    pub(crate) fn new(now: f64) -> Self {
        Self {
            pending: None,
            last_at: None,
            every: LIMITED_EVERY.0,
            size: 1.0,
            speed: 1.0,
            hurt_at: None,
            active_at: now,
            limited_at: None,
            credit: FILLER_AT_ONCE,
            credit_at: now,
        }
    }

    pub(crate) fn on_active(&mut self, now: f64) {
        self.active_at = now;
    }

    pub(crate) fn on_limited(&mut self, now: f64, limited: bool) {
        if limited {
            self.limited_at = Some(now);
        }
    }

    /// Whether the encoder was held back within `seconds`.
    pub(crate) fn limited_within(&self, now: f64, seconds: f64) -> bool {
        self.limited_at.is_some_and(|t| now - t < seconds)
    }

    pub(crate) fn is_active(&self, now: f64) -> bool {
        now - self.active_at < ACTIVE
    }

    /// Whether a train is on its way and not judged yet.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Takes in what arrived of the train, `bytes`, with the capacity as judged now. True when a train was judged a
    /// failure.
    pub(crate) fn on_feedback(&mut self, now: f64, bytes: f64, capacity: f64, rtt_least: f64) -> bool {
        let Some(p) = &mut self.pending else { return false };
        p.arrived += bytes;
        if p.arrived < 0.85 * p.bytes && now - p.at <= 2.0 * rtt_least + 0.05 {
            return false;
        }
        let raised = capacity > 1.2 * p.capacity;
        self.pending = None;
        self.every = if raised { 0.0 } else { (self.every * 1.5).clamp(LIMITED_EVERY.0, LIMITED_EVERY.1) };
        !raised
    }

    /// Heads lost packets, `packets` of them, on a path whose smoothed loss is `fraction`.
    pub(crate) fn on_lost(&mut self, now: f64, packets: usize, fraction: f64, rtt_least: f64) {
        // On a lossy path one packet says nothing of the head.
        if packets == 0 || (fraction >= 0.01 && packets < 2) || self.hurt_at.is_some_and(|t| now - t <= rtt_least) {
            return;
        }
        self.size = (self.size * 0.6).max(0.4);
        self.speed = (self.speed * 0.8).max(0.55);
        self.hurt_at = Some(now);
    }

    /// Heals what losses did, 10 % a second from five seconds after the last.
    pub(crate) fn heal(&mut self, now: f64) {
        if self.hurt_at.is_some_and(|t| now - t > 5.0) {
            self.size = (self.size * 1.1).min(1.0);
            self.speed = (self.speed * 1.1).min(1.0);
            self.hurt_at = (self.size < 1.0 || self.speed < 1.0).then_some(now - 4.0);
        }
    }

    /// A train to send now, if it is time for one.
    pub(crate) fn ask(&mut self, path: Path) -> Option<Train> {
        let now = path.now;
        if self.pending.as_ref().is_some_and(|p| now - p.at < 1.0) || !path.clear {
            return None;
        }
        let whole = libm::ceil(TRAIN * self.size) * PACKET;
        let limited = self.limited_within(now, 0.3);
        let (bytes, filler) = if limited && path.backlog >= 5.0 * PACKET {
            (path.backlog.min(whole), 0.0)
        } else {
            let filler = (whole - path.backlog).max(0.0);
            self.credit = (self.credit + (now - self.credit_at) * FILLER_RATE).min(FILLER_AT_ONCE);
            self.credit_at = now;
            let due = self.last_at.is_none_or(|t| now - t >= self.interval(path.starting, limited));
            if !due || !path.allowed || !self.is_active(now) || filler > self.credit {
                return None;
            }
            self.credit -= filler;
            (whole, filler)
        };
        let rate = (SPEED * self.speed).max(1.3) * path.capacity;
        self.last_at = Some(now);
        self.pending = Some(Pending { at: now, bytes, arrived: 0.0, capacity: path.capacity });
        Some(Train { bytes, filler, rate })
    }

    /// When filler will next be wanted, in seconds; none when the person is away.
    pub(crate) fn next_wake(&self, now: f64, starting: bool) -> Option<f64> {
        let limited = self.limited_within(now, 0.3);
        let at = self.last_at.map_or(now, |t| t + self.interval(starting, limited));
        let at = self.pending.as_ref().map_or(at, |p| at.max(p.at + 1.0));
        (at < self.active_at + ACTIVE).then_some(at)
    }

    fn interval(&self, starting: bool, limited: bool) -> f64 {
        if self.every == 0.0 {
            0.0
        } else if starting {
            0.05
        } else if limited {
            self.every
        } else {
            IDLE_EVERY
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(now: f64, backlog: f64) -> Path {
        Path { now, capacity: 1e6, backlog, clear: true, starting: false, allowed: true }
    }

    #[test]
    fn filler_stays_within_sixty_kilobits_and_ends_with_the_person() {
        let mut p = Probing::new(0.0);
        let mut sum = 0.0;
        let mut last = 0.0;
        for i in 0..200_000 {
            let now = i as f64 * 0.001;
            if let Some(t) = p.ask(path(now, 0.0)) {
                sum += t.filler;
                last = now;
                p.on_feedback(now + 0.01, t.bytes, 1e6, 0.04);
            }
        }
        assert!(last > 27.0 && last < 30.0, "{last}");
        assert!(sum <= 30.0 * FILLER_RATE, "{sum}");
        p.on_active(200.0);
        assert!(p.ask(path(200.0, 0.0)).is_some());
    }

    #[test]
    fn the_head_of_a_frame_needs_no_filler_and_shrinks_when_it_hurts() {
        let mut p = Probing::new(-100.0);
        assert!(p.ask(path(0.0, 50e3)).is_none(), "nobody is held back");
        p.on_limited(0.0, true);
        let t = p.ask(path(0.0, 50e3)).unwrap();
        assert_eq!((t.bytes, t.filler, t.rate), (12_000.0, 0.0, 2.5e6));
        p.on_feedback(0.1, 12_000.0, 1e6, 0.04);
        p.on_lost(0.1, 1, 0.0, 0.04);
        let t = p.ask(path(0.1, 50e3)).unwrap();
        assert_eq!((t.bytes, t.rate), (7_200.0, 2e6));
        for i in 0..200 {
            p.heal(0.1 + i as f64 * 0.1);
        }
        assert_eq!(p.size, 1.0);
    }
}
