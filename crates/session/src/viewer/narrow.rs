//! A path that became too narrow for QUIC in mid-session: short datagrams come as before, so nobody is silent, but none of the
//! long ones that carry pictures does.

use telepane_model::{Span, Stamp, ViewerClock};

/// From this length on, in bytes, a datagram shows that the path carries QUIC's packets: those of 1,200 bytes are what every
/// path of QUIC's has to carry (RFC 9000 §14), and some 40 of them are headers and the tag.
const LONG: usize = 1_000;
/// So long only short ones have to come: as long as a silent host is waited for before a new connection is tried (Y-22).
const WINDOW: Span = Span::secs(3);
/// And so many numbers have to be missing: at 100 kbit/s a host sends 31 long datagrams in that time.
const MISSING: u64 = 24;
/// Of the numbers, one in so many: reports on a pointer that moves come a hundred a second.
const SHARE: u64 = 5;
/// What comes at all shows that the path carries something; where less comes, or nothing for so long (a machine that slept), that
/// is silence's business.
const SHORT: u64 = 4;
const APART: Span = Span::secs(1);
/// Loss that asks for no length can look the same while a host has nothing long to say. If a new connection has been of the same
/// kind, none is tried again for so long.
const HOLD: Span = Span::secs(60);

/// What came since the last long datagram, or since the window before it ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Widths {
    since: Stamp<ViewerClock>,
    /// Datagrams that should have come, and that came, when the window began.
    before: (u64, u64),
    /// When the last one came.
    last: Stamp<ViewerClock>,
    narrow: bool,
    /// Nothing is believed before this.
    held: Stamp<ViewerClock>,
}

impl Widths {
    /// A connection has come about: its handshake had packets of full length, unless it is none of QUIC's.
    pub(super) fn on_attached(&mut self, now: Stamp<ViewerClock>) {
        let held = if self.narrow { now + HOLD } else { self.held };
        *self = Self { since: now, before: (0, 0), last: now, narrow: false, held };
    }

    /// A datagram of so many bytes came; so many should have come by now, and so many did.
    // spec: Y-42
    pub(super) fn on_datagram(&mut self, at: Stamp<ViewerClock>, bytes: usize, counts: (u64, u64)) {
        let long = bytes >= LONG;
        let silent = at.since(std::mem::replace(&mut self.last, at)) >= APART;
        if long || silent {
            *self = Self { since: at, before: counts, narrow: self.narrow && !long, ..*self };
            return;
        }
        if at.since(self.since) < WINDOW {
            return;
        }
        let came = counts.1.saturating_sub(self.before.1);
        let missing = counts.0.saturating_sub(self.before.0).saturating_sub(came);
        let many = missing >= MISSING && missing * SHARE >= came + missing && came >= SHORT;
        let narrow = self.narrow || (many && at >= self.held);
        *self = Self { since: at, before: counts, narrow, ..*self };
    }

    /// Whether the path carries no long datagrams any more.
    pub(super) const fn is_narrow(&self) -> bool {
        self.narrow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: fn(u64) -> Stamp<ViewerClock> = |ms| Stamp::from_micros(ms * 1_000);

    /// A datagram every 50 ms for ten seconds, of the length that `bytes` says, where `lost` leaves it: the first one with which
    /// the path is narrow.
    fn run(widths: &mut Widths, bytes: impl Fn(u64) -> usize, lost: impl Fn(u64) -> bool) -> Option<u64> {
        let mut received = 0;
        (0..200).find(|n| {
            if !lost(*n) {
                received += 1;
                widths.on_datagram(T(n * 50), bytes(*n), (n + 1, received));
            }
            widths.is_narrow()
        })
    }

    // spec: Y-42
    #[test]
    fn a_path_is_narrow_when_only_short_ones_come_and_many_do_not() {
        let run = |bytes: fn(u64) -> usize, lost: fn(u64) -> bool| run(&mut Widths::default(), bytes, lost);
        const MIXED: fn(u64) -> usize = |n| if n.is_multiple_of(2) { 60 } else { 1_150 };
        assert_eq!(run(MIXED, |n| !n.is_multiple_of(2)), Some(60), "as soon as the window is over");
        assert_eq!(run(MIXED, |n| n % 2 == 1 && n % 40 != 1), None, "a long one comes every two seconds");
        assert_eq!(run(MIXED, |_| false), None);
        assert_eq!(
            run(|_| 60, |n| n.is_multiple_of(6)),
            None,
            "a host at rest has nothing long to say, and a sixth is lost"
        );
        assert_eq!(run(MIXED, |n| n != 150), None, "hardly anything comes");
        assert_eq!(run(|_| 60, |n| n > 0 && n < 100), None, "this machine slept for five seconds");
    }

    // spec: Y-42
    #[test]
    fn a_long_one_ends_it_and_a_connection_of_the_same_kind_is_no_reason_for_another() {
        let mut widths = Widths::default();
        let short = |n: u64| !n.is_multiple_of(3);
        assert_eq!(run(&mut widths, |_| 60, short), Some(60));
        widths.on_datagram(T(3_050), 1_162, (62, 22));
        assert!(!widths.is_narrow());
        let mut next = Widths { narrow: true, ..widths };
        next.on_attached(T(0));
        assert_eq!(run(&mut next, |_| 60, short), None, "ten seconds later");
        (0..=60).for_each(|n| next.on_datagram(T(60_000 + n * 50), 60, (1_200 + n * 3, 400 + n)));
        assert!(next.is_narrow(), "a minute later");
    }
}
