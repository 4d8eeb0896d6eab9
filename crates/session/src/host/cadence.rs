//! No more pictures a second than are allowed, nor than the viewer's monitors show: a frame that comes too soon is put
//! together with those that follow it, and taken when its time has come. The newest pixels are always the ones coded, so
//! nothing is shown late twice. While nobody sees the screen none is taken.
//!
//! What is allowed is a bound on each picture. What monitors show is one on many: an echo that falls between two of an
//! animation's pictures does not wait, nor the second half of what an application draws in two steps; only who draws faster
//! than the screen for long is held to it. Each monitor is a part of the surface with a pace of its own, so that a slow one
//! beside a fast one costs what it shows; what lies on both goes by the faster.

use telepane_model::monitor::surface_of;
use telepane_model::{Damage, FrameFacts, HostClock, Monitor, Rect, Region, Size, Span, Stamp, Surf, Trust};

/// So many pictures come as they are drawn before the monitors' rate counts.
// spec: H-67
const AT_ONCE: u64 = 8;
/// An application that draws at the monitors' rate by its own clock never waits for it: so much faster is nobody.
const SLACK: (u64, u64) = (16, 17);
/// Slower screens there are, but no hand is (pictures in 1000 s).
const LEAST_RATE: u32 = 10_000;

/// See the module.
#[derive(Debug)]
pub struct Cadence {
    /// From one picture to the next, at least; none without a bound.
    every: Option<Span>,
    /// Before this no picture is taken.
    next: Stamp<HostClock>,
    /// INVARIANT: one at least; the fastest first.
    paces: Vec<Pace>,
    /// The surface that the monitors are parts of, if they are of one. On any other everything goes by the fastest.
    whole: Option<Size<Surf>>,
    /// The newest frame, without what changed: that waits with the paces.
    newest: Option<FrameFacts>,
    /// Nobody sees the screen.
    suppressed: bool,
}

impl Default for Cadence {
    fn default() -> Self {
        let (paces, whole) = (vec![Pace::new(Span::ZERO)], None);
        Self { every: None, next: Stamp::ZERO, paces, whole, newest: None, suppressed: false }
    }
}

/// What monitors of one rate show.
#[derive(Debug)]
struct Pace {
    /// From one picture to the next; nothing where they do not say.
    every: Span,
    places: Vec<Rect<Surf>>,
    /// When the newest picture began.
    began: Stamp<HostClock>,
    /// When all pictures so far would have been shown, one after the other.
    until: Stamp<HostClock>,
    waiting: Option<Damage>,
}

impl Pace {
    const fn new(every: Span) -> Self {
        Self { every, places: Vec::new(), began: Stamp::ZERO, until: Stamp::ZERO, waiting: None }
    }

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

    fn is_early(&self, now: Stamp<HostClock>) -> bool {
        now < self.from() && !self.goes_on(now)
    }

    fn add(&mut self, damage: Damage) {
        self.waiting = Some(match self.waiting.take() {
            Some(before) => together(before, damage),
            None => damage,
        });
    }

    fn take(&mut self, now: Stamp<HostClock>) -> Option<Damage> {
        if self.waiting.is_none() || self.is_early(now) {
            return None;
        }
        // Without a bound of its own there is nothing to count.
        if self.every > Span::ZERO && !self.goes_on(now) {
            (self.began, self.until) = (now, self.until.max(now) + self.every);
        }
        self.waiting.take()
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

    /// The viewer has these monitors, or is not known to have any: each one's rate counts for what lies on it, unless it tells none.
    // spec: H-67
    pub fn follow(&mut self, monitors: &[Monitor]) {
        let mut all: Vec<(Span, Rect<Surf>)> = monitors.iter().map(|m| (interval(m), m.place)).collect();
        all.sort_by_key(|(every, _)| *every);
        let mut paces: Vec<Pace> = Vec::new();
        for (every, place) in all {
            // Nobody sees two rates apart that are nearer than what each may take more.
            match paces.last_mut().filter(|p| every <= p.every.scaled(SLACK.1, SLACK.0)) {
                Some(pace) => pace.places.push(place),
                None => paces.push(Pace { places: vec![place], ..Pace::new(every) }),
            }
        }
        if paces.is_empty() {
            paces.push(Pace::new(Span::ZERO));
        }
        self.whole = surface_of(monitors).ok();
        let before = std::mem::replace(&mut self.paces, paces);
        if let Some(size) = self.newest.as_ref().map(|newest| newest.size) {
            before.into_iter().filter_map(|pace| pace.waiting).for_each(|damage| self.sort(size, damage));
        }
    }

    /// From one picture to the next, at least, where they come slowest.
    pub fn every(&self) -> Span {
        self.every.unwrap_or(Span::ZERO).max(self.paces.last().map_or(Span::ZERO, |pace| pace.every))
    }

    /// Takes a frame in; gives back what is to be shown now, if anything.
    // spec: H-41
    pub fn on_frame(&mut self, now: Stamp<HostClock>, facts: &FrameFacts) -> Option<FrameFacts> {
        if self.newest.as_ref().is_some_and(|before| before.size != facts.size) {
            self.forget();
        }
        let mut newest = facts.clone();
        let damage = std::mem::replace(&mut newest.damage, Damage::exact(Region::new()));
        self.newest = Some(newest);
        self.sort(facts.size, damage);
        self.due(now)
    }

    /// Lets what changed wait with the monitors that show it.
    fn sort(&mut self, size: Size<Surf>, damage: Damage) {
        let apart = self.whole == Some(size) && self.paces.len() > 1 && damage.trust != Trust::Unknown;
        if !apart || damage.changed.is_empty() {
            return self.paces.iter_mut().take(1).for_each(|pace| pace.add(damage.clone()));
        }
        for rect in damage.changed.rects() {
            let shows = |pace: &Pace| pace.places.iter().any(|place| !place.intersect(*rect).is_empty());
            // What no monitor shows goes with whatever is next.
            let n = self.paces.iter().position(shows).unwrap_or(0);
            if let Some(pace) = self.paces.get_mut(n) {
                pace.add(Damage { trust: damage.trust, changed: (*rect).into(), moves: Vec::new() });
            }
        }
    }

    /// What is to be shown by now, if anything.
    pub fn due(&mut self, now: Stamp<HostClock>) -> Option<FrameFacts> {
        if self.suppressed || now < self.next {
            return None;
        }
        let damage = self.paces.iter_mut().filter_map(|pace| pace.take(now)).reduce(together)?;
        if let Some(every) = self.every {
            // A picture that comes a little late does not put off all that follow it.
            let late = now.since(self.next);
            self.next = if late < every.scaled(1, 4) { self.next + every } else { now + every };
        }
        Some(FrameFacts { damage, ..self.newest.clone()? })
    }

    /// When something is to be shown, if something waits.
    pub fn wake(&self) -> Option<Stamp<HostClock>> {
        let waiting = self.paces.iter().filter(|pace| pace.waiting.is_some() && !self.suppressed);
        waiting.map(|pace| self.next.max(pace.from())).min()
    }

    /// What waits is of a surface that is gone.
    pub fn forget(&mut self) {
        self.newest = None;
        self.paces.iter_mut().for_each(|pace| pace.waiting = None);
    }
}

/// From one picture of a monitor to the next, a little less.
fn interval(monitor: &Monitor) -> Span {
    match monitor.refresh {
        0 => Span::ZERO,
        rate => Span::micros(1_000_000_000 / u64::from(rate.max(LEAST_RATE))).scaled(SLACK.0, SLACK.1),
    }
}

/// Both changes as one.
fn together(mut before: Damage, after: Damage) -> Damage {
    let doubt = |t| match t {
        Trust::Exact => 0,
        Trust::Hint => 1,
        Trust::Unknown => 2,
    };
    if doubt(after.trust) > doubt(before.trust) {
        before.trust = after.trust;
    }
    before.changed.add_all(&after.changed);
    // Moves of the first were about pixels that the second may have moved again.
    before.moves.clear();
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{FrameId, SurfaceId};

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
        assert_eq!(c.wake().is_some(), c.paces[0].waiting.is_some());
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

    /// A monitor of 320x480 beside another, on a surface of the test's frames.
    fn beside(left: u32, right: u32) -> [Monitor; 2] {
        let at = |x, refresh| Monitor { place: Rect::new(x, 0, 320, 480), refresh, ..Monitor::default() };
        [at(0, left), at(320, right)]
    }

    /// How many pictures of ten seconds hold changes of the left half, and of the right one, where `drawn` changes every two ms.
    fn halves(mut c: Cadence, drawn: &[Rect<Surf>]) -> [usize; 2] {
        let mut counts = [0; 2];
        let mut woken = None;
        for ms in 0..11_000 {
            let changed = drawn.iter().copied().collect::<Region<Surf>>();
            let facts = FrameFacts { damage: Damage::exact(changed), ..frame(ms, Rect::default()) };
            let fresh = if ms % 2 == 0 { c.on_frame(at(ms), &facts) } else { None };
            let late = woken.filter(|wake| *wake <= at(ms)).and_then(|_| c.due(at(ms)));
            assert!(late.is_none() || fresh.is_none());
            for taken in fresh.or(late).iter().filter(|_| ms >= 1_000) {
                let holds =
                    |x| taken.damage.changed.rects().iter().any(|r| !r.intersect(Rect::new(x, 0, 320, 480)).is_empty());
                counts = [counts[0] + usize::from(holds(0)), counts[1] + usize::from(holds(320))];
            }
            woken = c.wake();
        }
        let rest: Vec<_> = std::iter::from_fn(|| c.due(at(20_000))).collect();
        assert!(rest.len() <= 1 && c.wake().is_none(), "the last one is shown");
        counts
    }

    // spec: H-67
    #[test]
    fn each_monitor_has_a_pace_of_its_own() {
        let (left, right) = (Rect::new(10, 10, 8, 8), Rect::new(600, 10, 8, 8));
        let paced = |l, r| {
            let mut c = Cadence::default();
            c.follow(&beside(l, r));
            c
        };
        let is = |n: usize, rate: usize| (rate * 10..=rate * 107 / 10).contains(&n);
        let both = halves(paced(30_000, 144_000), &[left, right]);
        assert!(is(both[0], 30) && is(both[1], 144), "{both:?}");
        let both = halves(paced(60_000, 10_000), &[left, right]);
        assert!(is(both[0], 60) && is(both[1], 10), "{both:?}");
        let across = halves(paced(30_000, 144_000), &[Rect::new(310, 10, 20, 8)]);
        assert!(is(across[0], 144) && is(across[1], 144), "what lies on both goes by the faster: {across:?}");
        let unsaid = halves(paced(30_000, 0), &[left, right]);
        assert!(is(unsaid[0], 30) && unsaid[1] == 5_000, "one that says nothing is not held back: {unsaid:?}");
        let near = paced(60_000, 59_940);
        assert_eq!(near.paces.len(), 1, "one to everybody");
        // A desktop of another size has its monitors elsewhere.
        let mut c = paced(30_000, 144_000);
        c.follow(&[
            Monitor { place: Rect::new(0, 0, 64, 480), ..beside(30_000, 0)[0].clone() },
            beside(0, 144_000)[1].clone(),
        ]);
        c.follow(&beside(30_000, 144_000).map(|m| Monitor { place: m.place.offset(0, 8), ..m }));
        let other = halves(c, &[left]);
        assert!(is(other[0], 144), "{other:?}");
        // What is allowed is one bound for all.
        let mut c = paced(30_000, 144_000);
        c.set(Some(24));
        let both = halves(c, &[left, right]);
        assert!(both.iter().all(|n| (235..=241).contains(n)), "{both:?}");
    }

    // spec: H-67
    #[test]
    fn a_slow_monitor_delays_no_echo_and_nothing_that_waits_is_lost() {
        let (left, right) = (Rect::new(10, 10, 8, 8), Rect::new(600, 10, 8, 8));
        let mut c = Cadence::default();
        c.follow(&beside(10_000, 144_000));
        for ms in 0..1_000 {
            c.on_frame(at(ms), &frame(ms, right));
        }
        let echo = c.on_frame(at(1_000), &frame(1_000, left)).unwrap();
        assert!(echo.damage.changed.rects().contains(&left), "at once on a monitor that rests");
        for ms in 1_001..1_400 {
            c.on_frame(at(ms), &frame(ms, left));
        }
        assert!(c.paces[1].waiting.is_some());
        // The person drags the windows to other monitors, or says no longer which there are.
        c.follow(&beside(144_000, 10_000));
        let taken = c.due(at(1_400)).unwrap();
        assert!(taken.id == FrameId(1_399) && taken.damage.changed.rects().contains(&left));
        for ms in 1_400..1_800 {
            c.on_frame(at(ms), &frame(ms, right));
        }
        c.follow(&[]);
        let taken = c.due(at(1_800)).unwrap();
        assert!(taken.damage.changed.rects().contains(&right) && c.wake().is_none());
        c.follow(&beside(144_000, 10_000));
        (1_800..2_200).for_each(|ms| drop(c.on_frame(at(ms), &frame(ms, right))));
        c.forget();
        assert_eq!((c.due(at(9_000)), c.wake()), (None, None), "of a surface that is gone");
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
