//! Holding a fair share against flows that fill the queue.
//!
//! A delay-based sender starves beside one that stops only at loss. When yielding three times did not make the queue go,
//! the controller turns to the rival's own law, a CUBIC window (RFC 9438: beta 0.7, C 0.4), and leaves it again when the
//! queue is gone: seen in passing, or in a test every eight seconds in which the window is halved for two and a half
//! round trips and the queue falls away with it (`research` section 5.4).

use crate::PACKET;
use crate::share::PACKETS;
use crate::windowed::Windowed;
use std::collections::VecDeque;

const BETA: f64 = 0.7;
/// What a mark leaves of the window (RFC 8511).
const BETA_MARKED: f64 = 0.85;
const CUBIC: f64 = 0.4;
/// TCP-friendly growth per round trip, 3 (1 - beta) / (1 + beta) packets.
const FRIENDLY: f64 = 0.53;
/// No window is larger, in bytes.
const MOST: f64 = 64e6;
const WATCH: f64 = 0.6;
const TEST_EVERY: f64 = 8.0;
/// The first test comes sooner: the rival may have been a mistake.
const TEST_FIRST: f64 = 2.0;
const TEST_ROUND_TRIPS: f64 = 2.5;

/// What one feedback message says; seconds and bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub now: f64,
    pub queue: f64,
    pub floor_long: f64,
    pub smoothed: f64,
    pub in_flight: f64,
    /// Bytes that newly arrived and were sent after the last decrease of the window, or any if there was none.
    pub arrived: f64,
    /// When the newest of the packets now found lost was sent.
    pub lost_sent: Option<f64>,
    /// How long a packet takes to leave the path.
    pub packet: f64,
    /// The encoder has had more to send than it may, within 0.5 s.
    pub limited: bool,
    /// Decreases of the share in a row.
    pub decreases: u32,
    /// The share before others came, bytes per second.
    pub before: f64,
}

pub(crate) enum Turn {
    Nothing,
    Entered,
    Left,
}

pub(crate) struct Compete {
    least: Windowed,
    queues: VecDeque<(f64, f64)>,
    rival: Option<Window>,
}

struct Window {
    bytes: f64,
    threshold: f64,
    most: f64,
    k: f64,
    epoch: f64,
    friendly: f64,
    recovery: f64,
    phase_at: f64,
    testing: bool,
    test_after: f64,
    queue_before: f64,
}

impl Compete {
    pub(crate) fn new() -> Self {
        Self { least: Windowed::least(WATCH), queues: VecDeque::new(), rival: None }
    }

    /// Whether the window rules.
    pub(crate) fn is_on(&self) -> bool {
        self.rival.is_some()
    }

    /// Bytes that may be in flight, when competing.
    pub(crate) fn window(&self) -> Option<f64> {
        self.rival.as_ref().map(|w| if w.testing { 0.5 * w.bytes } else { w.bytes })
    }

    pub(crate) fn on_feedback(&mut self, s: Seen) -> Turn {
        self.least.push(s.now, s.queue);
        if self.queues.back().is_none_or(|&(t, _)| s.now - t >= WATCH / 64.0) {
            self.queues.push_back((s.now, s.queue));
        }
        while self.queues.len() > 66 || self.queues.front().is_some_and(|&(t, _)| t < s.now - WATCH) {
            self.queues.pop_front();
        }
        let Some(window) = &mut self.rival else {
            if !self.must_enter(s) {
                return Turn::Nothing;
            }
            let seed = (0.5 * s.before * s.smoothed).max(s.in_flight).max(4.0 * PACKET);
            self.rival = Some(Window::new(seed, s.now));
            return Turn::Entered;
        };
        if !window.testing {
            window.on_feedback(s);
            if s.now - window.phase_at > window.test_after {
                window.testing = true;
                window.test_after = TEST_EVERY;
                window.phase_at = s.now;
                window.queue_before = s.queue;
            }
        } else if s.now - window.phase_at > TEST_ROUND_TRIPS * s.smoothed.max(0.05) {
            window.testing = false;
            window.phase_at = s.now;
        }
        let fell_away =
            window.testing && s.queue < 0.2 * window.queue_before && s.queue < 0.012_f64.max(PACKETS * s.packet);
        if s.floor_long < 0.004_f64.max(s.packet) || fell_away {
            self.rival = None;
            return Turn::Left;
        }
        Turn::Nothing
    }

    /// The path marked a packet, sent at about `now` less a round trip, instead of dropping it: as much as a loss counts less (RFC
    /// 8511).
    pub(crate) fn on_marked(&mut self, now: f64) {
        if let Some(window) = &mut self.rival {
            window.decrease(now, BETA_MARKED);
        }
    }

    /// Another path, or silence: the rival is not known to be there.
    pub(crate) fn forget(&mut self) {
        *self = Self::new();
    }

    fn must_enter(&self, s: Seen) -> bool {
        let Some(&(since, old)) = self.queues.front() else { return false };
        s.now - since > 0.5
            && self.least.value().is_some_and(|q| q > 0.008_f64.max(PACKETS * s.packet))
            && s.decreases >= 3
            && s.queue > old - 0.100
            && s.limited
    }
}

impl Window {
    fn new(bytes: f64, now: f64) -> Self {
        let mut w = Self {
            bytes,
            threshold: bytes,
            most: bytes,
            k: 0.0,
            epoch: now,
            friendly: bytes,
            recovery: now,
            phase_at: now,
            testing: false,
            test_after: TEST_FIRST,
            queue_before: 0.0,
        };
        w.k = w.time_to_most();
        w
    }

    fn time_to_most(&self) -> f64 {
        libm::cbrt(((self.most - self.bytes) / PACKET / CUBIC).max(0.0))
    }

    fn on_feedback(&mut self, s: Seen) {
        if s.lost_sent.is_some_and(|t| t > self.recovery) {
            self.decrease(s.now, BETA);
        }
        if !s.limited || s.arrived <= 0.0 {
            return;
        }
        if self.bytes < self.threshold {
            self.bytes = (self.bytes + s.arrived).min(MOST);
            return;
        }
        let t = s.now - self.epoch + s.smoothed - self.k;
        self.friendly += FRIENDLY * PACKET * s.arrived / self.bytes;
        let goal = (CUBIC * t * t * t * PACKET + self.most).max(self.friendly);
        if goal > self.bytes {
            self.bytes += ((goal - self.bytes) * s.arrived / self.bytes).min(0.5 * s.arrived);
            self.bytes = self.bytes.min(MOST);
        }
    }

    fn decrease(&mut self, now: f64, to: f64) {
        self.recovery = now;
        self.most = if self.bytes < self.most { 0.85 * self.bytes } else { self.bytes };
        self.bytes = (self.bytes * to).max(2.0 * PACKET);
        self.threshold = self.bytes;
        self.epoch = now;
        self.friendly = self.bytes;
        self.k = self.time_to_most();
    }

    /// When the window was last decreased, in seconds: packets sent before do not make it grow.
    fn recovery(&self) -> f64 {
        self.recovery
    }
}

impl Compete {
    /// Packets sent before this do not make the window grow, in seconds.
    pub(crate) fn recovery(&self) -> Option<f64> {
        self.rival.as_ref().map(Window::recovery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(now: f64, queue: f64) -> Seen {
        Seen {
            now,
            queue,
            floor_long: queue,
            smoothed: 0.05,
            in_flight: 50e3,
            arrived: 10e3,
            lost_sent: None,
            packet: 0.0005,
            limited: true,
            decreases: 4,
            before: 2e6,
        }
    }

    #[test]
    fn it_enters_on_a_standing_queue_and_leaves_when_that_is_gone() {
        let mut c = Compete::new();
        let mut entered = None;
        for i in 0..200 {
            let now = i as f64 * 0.005;
            if let Turn::Entered = c.on_feedback(seen(now, 0.03)) {
                entered = Some(now);
            }
        }
        assert!(entered.is_some_and(|t| t > 0.5 && t < 0.52), "{entered:?}");
        let grown = c.window().unwrap();
        assert!(grown > 50e3);
        c.on_feedback(Seen { lost_sent: Some(0.99), ..seen(1.0, 0.03) });
        assert!(c.window().unwrap() < 0.75 * grown);
        assert!(matches!(c.on_feedback(seen(1.01, 0.001)), Turn::Left));
        assert!(!c.is_on());
    }

    #[test]
    fn tests_halve_the_window_and_end_and_the_first_comes_soon() {
        let mut c = Compete::new();
        let mut halved = Vec::new();
        for i in 0..2_500 {
            let before = c.window();
            c.on_feedback(seen(i as f64 * 0.005, 0.03));
            if let (Some(b), Some(a)) = (before, c.window())
                && a < 0.6 * b
            {
                halved.push(i as f64 * 0.005);
            }
        }
        // Entered after half a second.
        assert!(halved.len() == 2 && halved[0] < 2.6 && halved[1] > 10.0, "{halved:?}");
        assert!(c.is_on());
    }
}
