//! The receiving half of a link: which datagrams came, when, and when that has to be told.

use std::collections::VecDeque;
use telepane_model::{Clock, Span, Stamp};
use telepane_protocol::{Feedback, expand_seq};

/// What arrived lately, on the receiver's clock `C`.
///
/// An arrival is told until a message that told it is known to have come, and [`TELLINGS`] times at most, once more where
/// packets are lost: messages stay small, and a lost one costs nothing.
// spec: L-6, D-31
#[derive(Debug)]
pub struct Arrivals<C: Clock> {
    /// Newest first by number. At most [`Feedback::MOST`] and one.
    recent: Vec<Arrived<C>>,
    received: u64,
    /// Smoothed over [`LOSS_MEMORY`] packets, in millionths.
    loss_ppm: u32,
    unreported: u32,
    due: Option<Stamp<C>>,
    /// When something that wants to be told about came last, and until when that can wait if it came alone.
    eliciting: Option<(Stamp<C>, Option<Stamp<C>>)>,
    /// Numbers below this are too old to tell a duplicate from a late arrival, and count as duplicates.
    horizon: u64,
    bits: VecDeque<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Arrived<C: Clock> {
    seq: u64,
    at: Stamp<C>,
    /// How often it was told; [`TELLINGS_LOSSY`] also when the peer is known to know.
    told: u8,
}

/// When the sender of a datagram is to be told that it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Never: feedback asks for no feedback.
    No,
    /// Within so long.
    Within(Span),
    /// Within so long (see [`alone`]) if nothing came just before, else within [`DELAY`]: a lone update is no train to be
    /// measured, and its report can ride with input.
    Lone(Span),
}

/// Datagrams behind the newest that are still told apart.
const WINDOW: usize = 2048;
/// Feedback goes out after this many datagrams (`research/rate-control.md` §5.1) …
const BATCH: u32 = 8;
/// … or this long after the first unreported one …
pub const DELAY: Span = Span::millis(5);
/// … or at most this long after one that came alone: less than the 50 ms after which a sender takes the path for silent.
// spec: Y-12
const ALONE: Span = Span::millis(40);
/// And at least this long.
const ALONE_LEAST: Span = Span::millis(22);
/// Alone is what comes this long after the one before. Repeats of a held key and film are closer.
const APART: Span = Span::millis(50);
/// Two messages lost in a row cost a resend, no more.
// spec: D-31
const TELLINGS: u8 = 2;
/// Three where packets are lost.
// spec: D-31
const TELLINGS_LOSSY: u8 = 3;
/// Packets over which the loss is smoothed (`research/rate-control.md` §5.7).
const LOSS_MEMORY: u32 = 200;

/// How long what came alone may wait for input to ride with, on a path with this round trip. QUIC acknowledges a packet after
/// a round trip, or after 25 ms where that is shorter, in a packet of its own if nothing else leaves: the report leaves just
/// before and takes the acknowledgement along. `held`: something is, and its release is to come; else the release has left, and
/// a report that comes before the release is acknowledged shares the acknowledgement with it.
// spec: Y-12
pub fn alone(rtt: Span, held: bool) -> Span {
    match held {
        true => rtt.scaled(7, 8).clamp(ALONE_LEAST, ALONE),
        false => ALONE_LEAST,
    }
}

impl<C: Clock> Arrivals<C> {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self {
            recent: Vec::new(),
            received: 0,
            loss_ppm: 0,
            unreported: 0,
            due: None,
            eliciting: None,
            horizon: 0,
            bits: VecDeque::new(),
        }
    }

    /// A datagram came. Returns its whole number, or `None` for a duplicate.
    // spec: D-7, D-8, H-25
    pub fn on_datagram(&mut self, low: u16, at: Stamp<C>, answer: Answer) -> Option<u64> {
        let newest = self.newest();
        let seq = expand_seq(newest.map_or(0, |n| n + 1), low);
        if !self.first_time(seq) {
            return None;
        }
        let gap = newest.is_some_and(|n| seq != n + 1);
        self.count_loss(newest, seq);
        let place = self.recent.partition_point(|a| a.seq > seq);
        self.recent.insert(place, Arrived { seq, at, told: 0 });
        self.recent.truncate(Feedback::MOST + 1);
        self.received += 1;
        if answer != Answer::No {
            self.unreported += 1;
            let apart = self.eliciting.is_none_or(|(last, _)| at.since(last) >= APART);
            let (wait, lone) = match answer {
                Answer::Within(span) => (span, false),
                Answer::Lone(span) if apart => (span, true),
                _ => (DELAY, false),
            };
            self.eliciting = Some((at, lone.then_some(at + wait)));
            let soon = if gap || self.unreported >= BATCH { at } else { at + wait };
            self.due = Some(self.due.map_or(soon, |d| d.min(soon)));
        }
        Some(seq)
    }

    /// The part of what the peer sends that does not come, in millionths.
    pub const fn loss_ppm(&self) -> u32 {
        self.loss_ppm
    }

    fn count_loss(&mut self, newest: Option<u64>, seq: u64) {
        let Some(newest) = newest else { return };
        if seq < newest {
            // It was counted as lost, and only came late.
            self.loss_ppm = self.loss_ppm.saturating_sub(1_000_000 / LOSS_MEMORY);
            return;
        }
        for _ in 0..(seq - newest - 1).min(u64::from(LOSS_MEMORY)) {
            self.loss_ppm += (1_000_000 - self.loss_ppm) / LOSS_MEMORY;
        }
        self.loss_ppm -= self.loss_ppm / LOSS_MEMORY;
    }

    /// How many datagrams should have come by now, going by the newest, and how many did.
    pub fn counts(&self) -> (u64, u64) {
        (self.newest().map_or(0, |n| n + 1), self.received)
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

    /// What came was made use of at `now`, which is to be told: `at` the latest, unless it came alone.
    // spec: Y-12
    pub fn hurry_use(&mut self, at: Stamp<C>) {
        match self.eliciting {
            Some((_, Some(until))) => self.hurry(at.max(until)),
            _ => self.hurry(at),
        }
    }

    /// Something leaves now that feedback can ride with: it does, if any is due at all.
    // spec: H-25
    pub fn ride(&mut self, now: Stamp<C>) {
        self.due = self.due.map(|d| d.min(now));
    }

    /// The peer has read the message that told of these.
    // spec: D-31
    pub fn settle(&mut self, told: &[u64]) {
        for arrived in self.recent.iter_mut().filter(|a| told.contains(&a.seq)) {
            arrived.told = TELLINGS_LOSSY;
        }
    }

    /// The report, with its link half filled in, and the numbers it tells of. `lossy`: packets are lost on this path. `None`
    /// when nothing ever came.
    // spec: D-18, D-19, D-31
    pub fn report(&mut self, now: Stamp<C>, lossy: bool) -> Option<(Feedback, Vec<u64>)> {
        let tellings = if lossy { TELLINGS_LOSSY } else { TELLINGS };
        let Arrived { seq: newest, at: arrived, .. } = *self.recent.first()?;
        self.unreported = 0;
        self.due = None;
        let mut f = Feedback {
            newest,
            arrived: arrived.low32(),
            hold: now.since(arrived),
            received: self.received,
            ..Feedback::default()
        };
        let mut told = vec![newest];
        let mut last = (newest, arrived);
        // Down to the oldest that still has to be told, and one below it if anything between them is missing: so that shows.
        let oldest = self.recent.iter().rposition(|a| a.told < tellings).unwrap_or(0);
        let missing = self.recent.get(oldest..).is_some_and(|r| matches!(r, [a, b, ..] if a.seq > b.seq + 1));
        let anchor = if missing { oldest + 1 } else { oldest };
        for (i, a) in self.recent.iter_mut().enumerate().take(anchor + 1) {
            let due = a.told < tellings;
            a.told = (a.told + 1).min(TELLINGS_LOSSY);
            if i == 0 || !(due || i == anchor) {
                continue;
            }
            let earlier = last.1.as_micros() as i64 - a.at.as_micros() as i64;
            let Ok(earlier) = i32::try_from(earlier) else { break };
            f.earlier.push((last.0 - a.seq - 1, earlier));
            told.push(a.seq);
            last = (a.seq, a.at);
        }
        Some((f, told))
    }

    fn newest(&self) -> Option<u64> {
        self.recent.first().map(|a| a.seq)
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

    const SOON: Answer = Answer::Within(DELAY);

    fn at(us: u64) -> Stamp<ViewerClock> {
        Stamp::from_micros(us)
    }

    // spec: D-8, D-19, L-6
    #[test]
    fn duplicates_are_told_apart_and_order_is_restored() {
        let mut a = Arrivals::new();
        assert_eq!(a.on_datagram(0, at(10), SOON), Some(0));
        assert_eq!(a.on_datagram(2, at(30), SOON), Some(2));
        assert_eq!(a.counts(), (3, 2));
        assert_eq!(a.on_datagram(1, at(40), SOON), Some(1));
        assert_eq!(a.counts(), (3, 3));
        assert_eq!(a.on_datagram(2, at(50), SOON), None);
        let (f, told) = a.report(at(100), false).expect("something came");
        assert_eq!((f.newest, f.received, f.hold), (2, 3, Span::micros(70)));
        assert_eq!(f.earlier, vec![(0, -10), (0, 30)]);
        assert_eq!(told, [2, 1, 0]);
    }

    // spec: H-25
    #[test]
    fn a_gap_is_told_at_once_and_a_lone_packet_soon() {
        let mut a = Arrivals::new();
        a.on_datagram(0, at(0), SOON);
        assert_eq!(a.due(), Some(at(5_000)));
        a.on_datagram(2, at(100), SOON);
        assert_eq!(a.due(), Some(at(100)));
        a.report(at(100), false);
        a.on_datagram(3, at(200), Answer::No);
        assert_eq!(a.due(), None, "feedback does not ask for feedback");
        a.ride(at(300));
        assert_eq!(a.due(), None, "and nothing rides that is not due");
    }

    // spec: Y-12
    #[test]
    fn what_comes_alone_waits_for_company() {
        let mut a = Arrivals::new();
        a.on_datagram(0, at(0), Answer::Lone(ALONE));
        a.hurry_use(at(1_000));
        assert_eq!(a.due(), Some(at(40_000)));
        a.ride(at(30_000));
        assert_eq!(a.due(), Some(at(30_000)));
        a.report(at(30_000), false);
        // The next one is no longer alone.
        a.on_datagram(1, at(33_000), Answer::Lone(ALONE));
        assert_eq!(a.due(), Some(at(38_000)));
        a.hurry_use(at(34_000));
        assert_eq!(a.due(), Some(at(34_000)));
    }

    // spec: Y-12
    #[test]
    fn what_waits_leaves_before_quic_acknowledges_by_itself() {
        for (rtt, ms) in [(0, 22), (25, 22), (40, 35), (300, 40)] {
            assert_eq!(alone(Span::millis(rtt), true), Span::millis(ms));
            assert_eq!(alone(Span::millis(rtt), false), Span::millis(22), "the release has left");
        }
    }

    // spec: D-31
    #[test]
    fn an_arrival_is_told_three_times_or_until_it_is_known_to_be_known() {
        let mut a = Arrivals::new();
        let told = |a: &mut Arrivals<ViewerClock>| a.report(at(9_000), true).expect("something came").1;
        for n in 0..4 {
            a.on_datagram(n, at(u64::from(n) * 100), SOON);
        }
        assert_eq!(told(&mut a), [3, 2, 1, 0]);
        a.settle(&[0, 1]);
        a.on_datagram(5, at(600), SOON);
        assert_eq!(told(&mut a), [5, 3, 2], "nothing is missing between 2 and 1, so 1 need not be there to show it");
        assert_eq!(told(&mut a), [5, 3, 2]);
        assert_eq!(told(&mut a), [5, 3], "5 was told twice, and below it 4 is missing");
        assert_eq!(told(&mut a), [5, 3]);
        let (f, _) = a.report(at(9_000), true).expect("something came");
        assert_eq!(f.earlier, vec![(1, 300)]);
        a.on_datagram(6, at(700), SOON);
        let told = |a: &mut Arrivals<ViewerClock>| a.report(at(9_000), false).expect("something came").1;
        assert_eq!((told(&mut a), told(&mut a)), (vec![6], vec![6]));
        a.on_datagram(7, at(800), SOON);
        assert_eq!(told(&mut a), [7], "where nothing is lost twice is enough");
    }

    // spec: D-8, F-1
    #[test]
    fn a_far_jump_is_bounded() {
        let mut a = Arrivals::new();
        a.on_datagram(0, at(0), SOON);
        for low in [30_000u16, 60_000, 30_000, 5] {
            a.on_datagram(low, at(1), SOON);
        }
        assert!(a.bits.len() <= WINDOW && a.recent.len() <= Feedback::MOST + 1);
    }
}
