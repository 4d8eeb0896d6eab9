//! How far the peer's clock is from one's own, learnt from feedback (the four stamps of NTP, RFC 5905 §8).

use telepane_model::{Clock, Span, Stamp};

/// An estimate of the peer's clock `P` on one's own clock `C`.
#[derive(Clone, Debug)]
pub struct ClockEstimate<C: Clock, P: Clock> {
    current: Option<Sample<C>>,
    previous: Option<Sample<C>>,
    window: Stamp<C>,
    /// What the peer's clock said last, and when.
    heard: Option<(Stamp<P>, Stamp<C>)>,
    latest: Option<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Sample<C: Clock> {
    at: Stamp<C>,
    offset: i64,
    rtt: Span,
}

/// The best sample of the last two windows counts.
const WINDOW: Span = Span::secs(10);
/// How fast two quartz clocks part at worst (DESIGN §2): 50 millionths.
const DRIFT_PPM: u64 = 50;

impl<C: Clock, P: Clock> ClockEstimate<C, P> {
    /// Nothing is known.
    pub const fn new() -> Self {
        Self { current: None, previous: None, window: Stamp::ZERO, heard: None, latest: None }
    }

    /// The peer's clock said this at `at`, whole: what it says in 32 bits from now on is told by it.
    pub fn hear(&mut self, peer: Stamp<P>, at: Stamp<C>) {
        self.heard = Some((peer, at));
    }

    /// The peer's whole stamp from its low 32 bits, by what was heard from it last and the time since then: 32 bits last
    /// for 71 minutes, and a rest may last for days.
    // spec: D-30
    pub fn whole(&mut self, low: u32, at: Stamp<C>) -> Stamp<P> {
        let Some((heard, heard_at)) = self.heard else {
            let first = Stamp::from_micros(u64::from(low) | 1 << 40);
            self.heard = Some((first, at));
            return first;
        };
        let stamp = (heard + at.since(heard_at)).near(low);
        if stamp >= heard {
            self.heard = Some((stamp, at));
        }
        stamp
    }

    /// A packet left here at `sent`, came there at `came`; the peer held its answer for `hold`, and it came here at
    /// `back`.
    pub fn on_exchange(&mut self, sent: Stamp<C>, came: Stamp<P>, hold: Span, back: Stamp<C>) {
        let rtt = back.since(sent).saturating_sub(hold);
        self.latest = Some(rtt);
        // The peer's stamps are its word: they may be anything.
        let there = (came.as_micros() as i64).saturating_sub(sent.as_micros() as i64);
        let returned = ((came + hold).as_micros() as i64).saturating_sub(back.as_micros() as i64);
        let sample = Sample { at: back, offset: (there / 2).saturating_add(returned / 2), rtt };
        if back.since(self.window) > WINDOW {
            self.window = back;
            self.previous = self.current.take();
        }
        if self.current.is_none_or(|c| rtt <= c.rtt) {
            self.current = Some(sample);
        }
    }

    /// The peer's clock minus one's own in microseconds, and the most it is wrong by.
    pub fn offset(&self, now: Stamp<C>) -> Option<(i64, Span)> {
        [self.current, self.previous]
            .into_iter()
            .flatten()
            .map(|s| (s.offset, s.rtt.scaled(1, 2) + now.since(s.at).scaled(DRIFT_PPM, 1_000_000)))
            .min_by_key(|(_, error)| *error)
    }

    /// The round trip of the newest exchange.
    pub const fn latest_rtt(&self) -> Option<Span> {
        self.latest
    }

    /// One's own clock at the peer's instant.
    pub fn to_own(&self, peer: Stamp<P>, now: Stamp<C>) -> Option<Stamp<C>> {
        let (offset, _) = self.offset(now)?;
        Some(Stamp::from_micros(peer.as_micros().saturating_add_signed(offset.saturating_neg())))
    }
}

impl<C: Clock, P: Clock> Default for ClockEstimate<C, P> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{HostClock, ViewerClock};

    // spec: D-30
    #[test]
    fn stamps_are_whole_after_any_rest() {
        for rest in [0, 40 * 60, 80 * 60, 3 * 86_400] {
            let mut e = ClockEstimate::<HostClock, ViewerClock>::new();
            let (here, there) = (1_000_000_u64, 9_000_000_000_u64);
            e.hear(Stamp::from_micros(there), Stamp::from_micros(here));
            // Quartz clocks part by 50 millionths at worst.
            let (later, then) = (here + rest * 1_000_000, there + rest * 1_000_050);
            let low = Stamp::<ViewerClock>::from_micros(then).low32();
            assert_eq!(e.whole(low, Stamp::from_micros(later)), Stamp::from_micros(then), "{rest} s");
        }
    }

    #[test]
    fn the_quietest_exchange_wins_and_its_error_grows() {
        let mut e = ClockEstimate::<HostClock, ViewerClock>::new();
        let host = Stamp::from_micros;
        // The viewer's clock is 7 s ahead. First exchange: 20 ms there, 60 ms back; second: 20 and 20.
        let ahead = 7_000_000;
        e.on_exchange(host(1_000_000), Stamp::from_micros(1_020_000 + ahead), Span::millis(5), host(1_085_000));
        e.on_exchange(host(2_000_000), Stamp::from_micros(2_020_000 + ahead), Span::ZERO, host(2_040_000));
        let (offset, error) = e.offset(host(2_040_000)).expect("two samples");
        assert_eq!((offset, error), (ahead as i64, Span::millis(20)));
        assert_eq!(e.offset(host(22_040_000)).expect("kept").1, Span::millis(21));
        assert_eq!(e.to_own(Stamp::from_micros(ahead + 5), host(2_040_000)), Some(host(5)));
    }
}
