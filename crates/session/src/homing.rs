//! When a viewer whose session is carried by something worse than QUIC tries QUIC again, beside the connection in use.
//!
//! Soon at first, because UDP may only have been slow to come up; then ever more seldom, because where UDP is blocked it
//! mostly stays blocked, and each try costs a few packets.

use telepane_model::{Span, Stamp, ViewerClock};

/// Before the first try.
const FIRST: Span = Span::secs(5);
/// Between two tries at most.
const MOST: Span = Span::secs(300);

/// See the module.
// spec: WS-15
#[derive(Clone, Copy, Debug, Default)]
pub struct Homing {
    at: Option<Stamp<ViewerClock>>,
    wait: Span,
    away: bool,
}

impl Homing {
    /// The session is carried by another connection now; `away`: by one that QUIC would better.
    pub fn on_carried(&mut self, now: Stamp<ViewerClock>, away: bool) {
        *self = Self { at: away.then(|| now + FIRST), wait: FIRST, away };
    }

    /// A try came to nothing.
    pub fn on_failed(&mut self, now: Stamp<ViewerClock>) {
        if self.away {
            self.wait = self.wait.scaled(2, 1).min(MOST);
            self.at = Some(now + self.wait);
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
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        homing.on_woke(second(now));
        assert_eq!(homing.at(), Some(second(now + 5)));
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
