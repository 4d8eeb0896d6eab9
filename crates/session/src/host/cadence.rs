//! No more pictures a second than are allowed: a frame that comes too soon is put together with those that follow it, and
//! taken when its time has come. The newest pixels are always the ones coded, so nothing is shown late twice. While nobody
//! sees the screen none is taken.

use telepane_model::{FrameFacts, HostClock, Span, Stamp, Trust};

/// See the module.
#[derive(Debug, Default)]
pub struct Cadence {
    /// From one picture to the next, at least; none without a bound.
    every: Option<Span>,
    /// Before this no picture is taken.
    next: Stamp<HostClock>,
    waiting: Option<FrameFacts>,
    /// Nobody sees the screen.
    suppressed: bool,
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

    /// From one picture to the next, at least.
    pub fn every(&self) -> Span {
        self.every.unwrap_or(Span::ZERO)
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
        if self.suppressed || now < self.next {
            return None;
        }
        let facts = self.waiting.take()?;
        if let Some(every) = self.every {
            // A picture that comes a little late does not put off all that follow it.
            let late = now.since(self.next);
            self.next = if late < every.scaled(1, 4) { self.next + every } else { now + every };
        }
        Some(facts)
    }

    /// When something is to be shown, if something waits.
    pub fn wake(&self) -> Option<Stamp<HostClock>> {
        self.waiting.as_ref().filter(|_| !self.suppressed).map(|_| self.next)
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
