//! When a viewer whose session is carried by something worse than QUIC tries QUIC again, beside the connection in use.
//!
//! While somebody is at work it is tried again and again, so that they do not work for long over the worse way: each try costs about
//! 6 kB. At rest it is tried soon, because UDP may only have been slow to come up, and then ever more seldom, because where UDP is
//! blocked it mostly stays blocked, and a session at rest sends next to nothing.

use telepane_model::{Span, Stamp, ViewerClock};

/// Before the first try.
const FIRST: Span = Span::secs(4);
/// Between a try that failed and the next while the person is active.
const AT_WORK: Span = Span::secs(3);
/// The person is active for so long after they did something (DESIGN §2).
const ACTIVE: Span = Span::secs(30);
/// Between two tries at most.
const MOST: Span = Span::secs(300);

/// See the module.
// spec: WS-15
#[derive(Clone, Copy, Debug, Default)]
pub struct Homing {
    at: Option<Stamp<ViewerClock>>,
    wait: Span,
    away: bool,
    failed: Option<Stamp<ViewerClock>>,
    input: Option<Stamp<ViewerClock>>,
}

impl Homing {
    /// The session is carried by another connection now; `away`: by one that QUIC would better.
    pub fn on_carried(&mut self, now: Stamp<ViewerClock>, away: bool) {
        *self = Self { at: away.then(|| now + FIRST), wait: FIRST, away, failed: None, input: self.input };
    }

    /// A try came to nothing.
    pub fn on_failed(&mut self, now: Stamp<ViewerClock>) {
        if self.away {
            self.failed = Some(now);
            if self.input.is_some_and(|at| now.since(at) < ACTIVE) {
                (self.wait, self.at) = (FIRST, Some(now + AT_WORK));
            } else {
                self.wait = self.wait.scaled(2, 1).min(MOST);
                self.at = Some(now + self.wait);
            }
        }
    }

    /// The person did something: what was put off for their absence is due.
    pub fn on_input(&mut self, now: Stamp<ViewerClock>) {
        self.input = Some(now);
        if let (Some(at), Some(failed)) = (self.at, self.failed) {
            self.at = Some(at.min((failed + AT_WORK).max(now)));
        }
    }

    /// The machine slept, and may be in another network.
    pub fn on_woke(&mut self, now: Stamp<ViewerClock>) {
        let away = self.away;
        self.on_carried(now, away);
    }

    /// When to try.
    pub const fn at(&self) -> Option<Stamp<ViewerClock>> {
        self.at
    }

    /// Whether it is time to; if so, what comes of it has to be told.
    pub fn take_due(&mut self, now: Stamp<ViewerClock>) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(s: u64) -> Stamp<ViewerClock> {
        Stamp::from_micros(s * 1_000_000)
    }

    // spec: WS-15
    #[test]
    fn tries_are_soon_and_then_seldom() {
        let mut homing = Homing::default();
        assert_eq!(homing.at(), None);
        homing.on_carried(second(0), true);
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..9 {
            let at = homing.at().expect("there is always a next one");
            assert!(!homing.take_due(second(now)) && homing.take_due(at) && !homing.take_due(at), "once each");
            waits.push(at.as_micros() / 1_000_000 - now);
            now = at.as_micros() / 1_000_000;
            homing.on_failed(at);
        }
        assert_eq!(waits, [4, 8, 16, 32, 64, 128, 256, 300, 300]);
        homing.on_woke(second(now));
        assert_eq!(homing.at(), Some(second(now + 4)));
    }

    /// Somebody types all the time; UDP comes back at any moment. A try that begins while it is away fails a second later, unless one
    /// of the packets that it repeats in that second (QUIC's, at 0.3 and 0.9 s) gets through.
    // spec: WS-15
    #[test]
    fn who_is_at_work_goes_home_within_four_seconds() {
        let mut longest = Span::ZERO;
        for tenth in 0..1_200u64 {
            let back = Stamp::from_micros(tenth * 100_000);
            let mut homing = Homing::default();
            homing.on_carried(second(0), true);
            let home = loop {
                let at = homing.at().expect("there is always a next one");
                for s in (0..at.as_micros()).step_by(1_000_000).skip_while(|s| s + 2_000_000 < at.as_micros()) {
                    homing.on_input(Stamp::from_micros(s));
                }
                assert_eq!(homing.at(), Some(at), "typing hurries nothing that is due soon");
                assert!(homing.take_due(at));
                let passes = [0, 300, 900].map(|ms| at + Span::millis(ms)).into_iter().find(|sent| *sent >= back);
                match passes {
                    Some(sent) => break sent,
                    None => homing.on_failed(at + Span::secs(1)),
                }
            };
            longest = longest.max(home - back);
        }
        println!("the first packet of a try that works leaves at most {longest:?} after udp is back");
        assert!(longest <= Span::secs(4));
    }

    // spec: WS-15
    #[test]
    fn who_comes_back_to_work_is_not_kept_waiting() {
        let mut homing = Homing::default();
        homing.on_carried(second(0), true);
        let mut now = second(0);
        for _ in 0..5 {
            now = homing.at().expect("a next one");
            assert!(homing.take_due(now));
            homing.on_failed(now);
        }
        let late = homing.at().expect("a next one");
        assert_eq!(late, now + Span::secs(128));
        homing.on_input(now + Span::secs(1));
        assert_eq!(homing.at(), Some(now + Span::secs(3)), "not sooner after the last than that");
        homing.on_input(now + Span::secs(40));
        let at = homing.at().expect("a next one");
        assert_eq!(at, now + Span::secs(3), "it was due long before");
        // What is under way is left alone.
        assert!(homing.take_due(now + Span::secs(40)));
        homing.on_input(now + Span::secs(41));
        assert_eq!(homing.at(), None);
    }

    // spec: WS-15
    #[test]
    fn who_is_home_stays_there() {
        let mut homing = Homing::default();
        homing.on_carried(second(0), true);
        homing.on_carried(second(3), false);
        homing.on_failed(second(4));
        homing.on_woke(second(5));
        assert_eq!(homing.at(), None);
        assert!(!homing.take_due(second(1_000)));
    }
}
