//! No more pictures a second than are allowed, nor than the viewer's monitors show: a frame that comes too soon is put
//! together with those that follow it, and taken when its time has come. The newest pixels are always the ones coded, so
//! nothing is shown late twice. While nobody sees the screen none is taken.
//!
//! What is allowed is a bound on each picture. What monitors show is one on many: an echo that falls between two of an
//! animation's pictures does not wait, nor the second half of what an application draws in two steps; only who draws faster
//! than the screen for long is held to it.

use telepane_model::{FrameFacts, HostClock, Monitor, Span, Stamp, Trust};

/// So many pictures come as they are drawn before the monitors' rate counts.
// spec: H-67
const AT_ONCE: u64 = 8;
/// An application that draws at the monitors' rate by its own clock never waits for it: so much faster is nobody.
const SLACK: (u64, u64) = (16, 17);
/// Slower screens there are, but no hand is (pictures in 1000 s).
const LEAST_RATE: u32 = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Cadence {
    /// From one picture to the next, at least; none without a bound.
    every: Option<Span>,
    /// Before this no picture is taken.
    next: Stamp<HostClock>,
    shown: Option<Shown>,
    waiting: Option<FrameFacts>,
    /// Nobody sees the screen.
    suppressed: bool,
}

/// What the viewer's monitors show.
#[derive(Debug)]
struct Shown {
    /// From one picture to the next.
    every: Span,
    /// When the newest picture began.
    began: Stamp<HostClock>,
    /// When all pictures so far would have been shown, one after the other.
    until: Stamp<HostClock>,
}

impl Shown {
    fn burst(&self) -> Span {
        self.every.scaled(AT_ONCE - 1, 1)
    }

    /// Before this no picture begins.
    fn from(&self) -> Stamp<HostClock> {
        self.until - self.burst()
    }

    /// Whether a frame belongs to the picture that began last, and none waits its turn.
    fn goes_on(&self, now: Stamp<HostClock>) -> bool {
        now.since(self.began) < self.every.scaled(1, 4) && self.until < now + self.burst()
    }

    fn take(&mut self, now: Stamp<HostClock>) {
        if !self.goes_on(now) {
            (self.began, self.until) = (now, self.until.max(now) + self.every);
        }
    }
}

impl Cadence {
    /// At most `fps` pictures a second from now on.
    pub fn set(&mut self, fps: Option<u32>) {
        self.every = fps.map(|fps| Span::micros(1_000_000 / u64::from(fps.max(1))));
        if self.every.is_none() {
            self.next = Stamp::ZERO;
        }
    }

    /// Nobody sees the screen from now on, or somebody does again: what waits is then due.
    // spec: H-74
    pub const fn suppress(&mut self, on: bool) {
        self.suppressed = on;
    }

    /// Whether somebody sees the screen, as far as the viewer says.
    pub const fn is_seen(&self) -> bool {
        !self.suppressed
    }

    /// The viewer has these monitors, or is not known to have any: the fastest one's rate counts, unless one tells none.
    // spec: H-67
    pub fn follow(&mut self, monitors: &[Monitor]) {
        let told = monitors.iter().all(|m| m.refresh > 0);
        let fastest = monitors.iter().map(|m| m.refresh.max(LEAST_RATE)).max().filter(|_| told);
        let every = fastest.map(|rate| Span::micros(1_000_000_000 / u64::from(rate)).scaled(SLACK.0, SLACK.1));
        self.shown = every.map(|every| Shown { every, began: Stamp::ZERO, until: Stamp::ZERO });
    }

    /// From one picture to the next, at least.
    pub fn every(&self) -> Span {
        self.every.unwrap_or(Span::ZERO).max(self.shown.as_ref().map_or(Span::ZERO, |shown| shown.every))
    }

    /// Takes a frame in; gives back what is to be shown now, if anything.
    // spec: H-41
    pub fn on_frame(&mut self, now: Stamp<HostClock>, facts: &FrameFacts) -> Option<FrameFacts> {
        let facts = match self.waiting.take() {
            Some(before) if before.size == facts.size => together(before, facts),
            _ => facts.clone(),
        };
        self.waiting = Some(facts);
        self.due(now)
    }

    /// What is to be shown by now, if anything.
    pub fn due(&mut self, now: Stamp<HostClock>) -> Option<FrameFacts> {
        let early = |shown: &Shown| now < shown.from() && !shown.goes_on(now);
        if self.suppressed || now < self.next || self.shown.as_ref().is_some_and(early) {
            return None;
        }
        let facts = self.waiting.take()?;
        if let Some(shown) = &mut self.shown {
            shown.take(now);
        }
        if let Some(every) = self.every {
            // A picture that comes a little late does not put off all that follow it.
            let late = now.since(self.next);
            self.next = if late < every.scaled(1, 4) { self.next + every } else { now + every };
        }
        Some(facts)
    }

    /// When something is to be shown, if something waits.
    pub fn wake(&self) -> Option<Stamp<HostClock>> {
        let shown = self.shown.as_ref().map_or(Stamp::ZERO, Shown::from);
        self.waiting.as_ref().filter(|_| !self.suppressed).map(|_| self.next.max(shown))
    }

    /// What waits is of a surface that is gone.
    pub fn forget(&mut self) {
        self.waiting = None;
    }
}

/// Both frames' changes as one.
fn together(before: FrameFacts, after: &FrameFacts) -> FrameFacts {
    let mut all = after.clone();
    let trust = |t| match t {
        Trust::Exact => 0,
        Trust::Hint => 1,
        Trust::Unknown => 2,
    };
    if trust(before.damage.trust) > trust(all.damage.trust) {
        all.damage.trust = before.damage.trust;
    }
    before.damage.changed.rects().iter().for_each(|r| all.damage.changed.add(*r));
    // Moves of the first frame were about pixels that the second may have moved again.
    all.damage.moves.clear();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Damage, FrameId, Rect, Size, SurfaceId};

    fn frame(id: u64, rect: Rect<telepane_model::Surf>) -> FrameFacts {
        FrameFacts {
            id: FrameId(id),
            surface: SurfaceId(0),
            size: Size::new(640, 480),
            captured: Stamp::from_micros(id),
            damage: Damage::exact(rect.into()),
        }
    }

    fn at(ms: u64) -> Stamp<HostClock> {
        Stamp::from_micros(ms * 1_000)
    }

    // spec: H-41
    #[test]
    fn ten_a_second_of_sixty_are_taken_and_nothing_is_forgotten() {
        let mut c = Cadence::default();
        c.set(Some(10));
        let mut taken = Vec::new();
        for ms in 0..2_000 {
            let fresh = (ms % 16 == 0).then(|| c.on_frame(at(ms), &frame(ms, Rect::new(ms as i32 % 600, 0, 8, 8))));
            taken.extend(fresh.flatten().or_else(|| c.due(at(ms))).map(|f| (ms, f)));
        }
        assert!((19..=21).contains(&taken.len()), "{}", taken.len());
        assert!(taken.windows(2).all(|w| w[1].0 - w[0].0 >= 84), "steady");
        let shown: u64 = taken.iter().map(|(_, f)| f.damage.changed.rects().len() as u64).sum();
        assert!(shown >= 110, "{shown} changes of 125");
        assert_eq!(c.wake().is_some(), c.waiting.is_some());
    }

    // spec: H-74
    #[test]
    fn what_nobody_sees_is_put_together_until_somebody_does() {
        let mut c = Cadence::default();
        c.set(Some(10));
        assert!(c.on_frame(at(0), &frame(0, Rect::new(0, 0, 8, 8))).is_some());
        c.suppress(true);
        for ms in 1..=500 {
            assert!(c.on_frame(at(ms), &frame(ms, Rect::new(ms as i32, 0, 1, 1))).is_none());
        }
        assert_eq!((c.due(at(900)), c.wake()), (None, None), "and nobody is woken");
        c.suppress(false);
        let facts = c.due(at(901)).unwrap();
        assert_eq!((facts.id, facts.damage.changed.bounds()), (FrameId(500), Rect::new(1, 0, 500, 1)));
    }

    fn at_rates(rates: &[u32]) -> Cadence {
        let monitors: Vec<_> = rates.iter().map(|&refresh| Monitor { refresh, ..Monitor::default() }).collect();
        let mut c = Cadence::default();
        c.follow(&monitors);
        c
    }

    /// How many pictures are taken of an application that draws every so many ms, in ten seconds after the first one.
    fn taken(mut c: Cadence, every: u64) -> usize {
        let r = Rect::new(0, 0, 8, 8);
        let mut woken = None;
        let mut taken = 0;
        for ms in 0..11_000 {
            let fresh = if ms % every == 0 { c.on_frame(at(ms), &frame(ms, r)) } else { None };
            let late = woken.filter(|wake| *wake <= at(ms)).and_then(|_| c.due(at(ms)));
            assert!(late.is_none() || fresh.is_none());
            taken += usize::from((fresh.is_some() || late.is_some()) && ms >= 1_000);
            woken = c.wake();
        }
        let waits = c.wake().is_some();
        assert_eq!(c.due(at(20_000)).is_some(), waits, "the last one is shown");
        taken
    }

    // spec: H-67
    #[test]
    fn who_draws_faster_than_the_fastest_monitor_is_held_to_it() {
        for (rates, most) in [(&[60_000][..], 60), (&[144_000], 144), (&[30_000, 60_000], 60), (&[1], 10)] {
            let n = taken(at_rates(rates), 2);
            assert!((most * 10..=most * 107 / 10).contains(&n), "{n} at {rates:?}");
        }
        for unbound in [&[][..], &[0], &[60_000, 0]] {
            assert_eq!(taken(at_rates(unbound), 2), 5_000, "{unbound:?}");
        }
        let mut both = at_rates(&[60_000]);
        both.set(Some(24));
        assert!((235..=241).contains(&taken(both, 2)), "what is allowed counts too");
    }

    // spec: H-67
    #[test]
    fn who_draws_as_fast_as_the_monitor_in_two_steps_never_waits() {
        let mut c = at_rates(&[60_000]);
        let r = Rect::new(0, 0, 8, 8);
        for n in 0..600u64 {
            let begins = Stamp::from_micros(n * 16_667);
            for step in [0, 2_000] {
                assert!(c.on_frame(begins + Span::micros(step), &frame(n, r)).is_some(), "picture {n}");
            }
            if n % 60 == 7 {
                // A key's echo between two of them.
                assert!(c.on_frame(begins + Span::millis(9), &frame(n, r)).is_some(), "an echo in {n}");
            }
        }
    }

    #[test]
    fn the_first_after_a_rest_goes_at_once_and_without_a_bound_all_do() {
        let mut c = Cadence::default();
        let r = Rect::new(0, 0, 8, 8);
        for ms in 0..50 {
            assert!(c.on_frame(at(ms), &frame(ms, r)).is_some());
        }
        c.set(Some(5));
        assert!(c.on_frame(at(100), &frame(100, r)).is_some());
        assert!(c.on_frame(at(110), &frame(110, r)).is_none());
        assert_eq!(c.wake(), Some(at(300)));
        assert!(c.due(at(300)).is_some() && c.wake().is_none());
        assert!(c.on_frame(at(900), &frame(900, r)).is_some(), "long ago");
    }
}
