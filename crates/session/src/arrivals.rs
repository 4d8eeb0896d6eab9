//! The receiving half of a link: which datagrams came, when, and when that has to be told.

use std::collections::VecDeque;
use telepane_model::{Clock, Span, Stamp};
use telepane_protocol::{Feedback, expand_seq};

/// What arrived lately, on the receiver's clock `C`.
// spec: L-6
#[derive(Debug)]
pub struct Arrivals<C: Clock> {
    /// Newest first by number. At most [`Feedback::MOST`] and one.
    recent: Vec<(u64, Stamp<C>)>,
    received: u64,
    unreported: u32,
    due: Option<Stamp<C>>,
    /// Numbers below this are too old to tell a duplicate from a late arrival, and count as duplicates.
    horizon: u64,
    bits: VecDeque<bool>,
}

/// Datagrams behind the newest that are still told apart.
const WINDOW: usize = 2048;
/// Feedback goes out after this many datagrams (`research/rate-control.md` §5.1) …
const BATCH: u32 = 8;
/// … or this long after the first unreported one.
const DELAY: Span = Span::millis(5);

impl<C: Clock> Arrivals<C> {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self { recent: Vec::new(), received: 0, unreported: 0, due: None, horizon: 0, bits: VecDeque::new() }
    }

    /// A datagram came. Returns its whole number, or `None` for a duplicate. `eliciting`: it wants to be told about
    /// (feedback itself does not); `urgent`: at once.
    // spec: D-7, D-8, H-25
    pub fn on_datagram(&mut self, low: u16, at: Stamp<C>, eliciting: bool, urgent: bool) -> Option<u64> {
        let newest = self.newest();
        let seq = expand_seq(newest.map_or(0, |n| n + 1), low);
        if !self.first_time(seq) {
            return None;
        }
        let gap = newest.is_some_and(|n| seq != n + 1);
        let place = self.recent.partition_point(|(s, _)| *s > seq);
        self.recent.insert(place, (seq, at));
        self.recent.truncate(Feedback::MOST + 1);
        self.received += 1;
        if eliciting {
            self.unreported += 1;
            let soon = if urgent || gap || self.unreported >= BATCH { at } else { at + DELAY };
            self.due = Some(self.due.map_or(soon, |d| d.min(soon)));
        }
        Some(seq)
    }

    /// When feedback is due, if at all.
    pub const fn due(&self) -> Option<Stamp<C>> {
        self.due
    }

    /// Feedback is wanted by `at` at the latest.
    pub fn hurry(&mut self, at: Stamp<C>) {
        if !self.recent.is_empty() {
            self.due = Some(self.due.map_or(at, |d| d.min(at)));
        }
    }

    /// The report, with its link half filled in. `None` when nothing ever came.
    // spec: D-18, D-19
    pub fn report(&mut self, now: Stamp<C>) -> Option<Feedback> {
        let (newest, arrived) = *self.recent.first()?;
        self.unreported = 0;
        self.due = None;
        let mut f = Feedback {
            newest,
            arrived: arrived.low32(),
            hold: now.since(arrived),
            received: self.received,
            ..Feedback::default()
        };
        let mut last = (newest, arrived);
        for (seq, at) in self.recent.iter().skip(1) {
            let earlier = last.1.as_micros() as i64 - at.as_micros() as i64;
            let Ok(earlier) = i32::try_from(earlier) else { break };
            f.earlier.push((last.0 - seq - 1, earlier));
            last = (*seq, *at);
        }
        Some(f)
    }

    fn newest(&self) -> Option<u64> {
        self.recent.first().map(|(s, _)| *s)
    }

    fn first_time(&mut self, seq: u64) -> bool {
        let Some(at) = seq.checked_sub(self.horizon) else { return false };
        // `expand_seq` keeps a number within 32,768 of the newest, so this grows by that at most before it is cut.
        let at = at as usize;
        while self.bits.len() <= at {
            self.bits.push_back(false);
        }
        let fresh = !std::mem::replace(&mut self.bits[at], true);
        while self.bits.len() > WINDOW {
            self.bits.pop_front();
            self.horizon += 1;
        }
        fresh
    }
}

impl<C: Clock> Default for Arrivals<C> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::ViewerClock;

    fn at(us: u64) -> Stamp<ViewerClock> {
        Stamp::from_micros(us)
    }

    // spec: D-8, D-19, L-6
    #[test]
    fn duplicates_are_told_apart_and_order_is_restored() {
        let mut a = Arrivals::new();
        assert_eq!(a.on_datagram(0, at(10), true, false), Some(0));
        assert_eq!(a.on_datagram(2, at(30), true, false), Some(2));
        assert_eq!(a.on_datagram(1, at(40), true, false), Some(1));
        assert_eq!(a.on_datagram(2, at(50), true, false), None);
        let f = a.report(at(100)).expect("something came");
        assert_eq!((f.newest, f.received, f.hold), (2, 3, Span::micros(70)));
        assert_eq!(f.earlier, vec![(0, -10), (0, 30)]);
    }

    // spec: H-25
    #[test]
    fn a_gap_is_told_at_once_and_a_lone_packet_soon() {
        let mut a = Arrivals::new();
        a.on_datagram(0, at(0), true, false);
        assert_eq!(a.due(), Some(at(5_000)));
        a.on_datagram(2, at(100), true, false);
        assert_eq!(a.due(), Some(at(100)));
        a.report(at(100));
        a.on_datagram(3, at(200), false, false);
        assert_eq!(a.due(), None, "feedback does not ask for feedback");
    }

    // spec: D-8, F-1
    #[test]
    fn a_far_jump_is_bounded() {
        let mut a = Arrivals::new();
        a.on_datagram(0, at(0), true, false);
        for low in [30_000u16, 60_000, 30_000, 5] {
            a.on_datagram(low, at(1), true, false);
        }
        assert!(a.bits.len() <= WINDOW && a.recent.len() <= Feedback::MOST + 1);
    }
}
