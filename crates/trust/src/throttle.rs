//! How often a code may be guessed: per address with growing waits, and over all addresses together.
//!
//! A guess is *reserved* before it is examined and settled after, so a thousand connections opened at once have no more
//! tries than one after another. Per address (IPv6 by /64) three wrong codes are free, then each costs 1, 2, 4 .. 60 s.
//! Over all addresses 30 wrong guesses may come at once and one every two seconds after that: 2^39.6 codes of 8
//! characters would take 50,000 years. An address from which somebody came in before is exempt from the common limit, and
//! client keys are not throttled at all, so a flood of guesses does not lock the owner out. Memory is bounded:
//! the least recently seen address is forgotten first, and then the common limit still holds.
//!
//! After 20 wrong guesses in total the code counts as worn: a shell that printed a fresh code by itself prints another (at most every
//! ten minutes, lest an attacker keep the owner typing). A code from a file stays.

use core::net::IpAddr;
use std::collections::BTreeMap;
use telepane_model::{HostClock, Span, Stamp};

/// The arithmetic's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wrong guesses per address before the first wait.
    pub free_tries: u32,
    /// The first wait; each further wrong guess doubles it.
    pub first_wait: Span,
    /// The longest wait.
    pub longest_wait: Span,
    /// An address without a wrong guess for this long is clean again.
    pub forgive_after: Span,
    /// Wrong guesses from all addresses that may come at once.
    pub common_burst: u32,
    /// After the burst, one guess from all addresses per this time.
    pub common_interval: Span,
    /// Addresses remembered for wrong guesses.
    pub addresses: usize,
    /// Addresses remembered for having come in.
    pub friends: usize,
    /// Wrong guesses in total that wear a code out.
    pub rotate_after: u32,
    /// The shortest time between two worn-out codes.
    pub rotate_interval: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            free_tries: 3,
            first_wait: Span::secs(1),
            longest_wait: Span::secs(60),
            forgive_after: Span::secs(3600),
            common_burst: 30,
            common_interval: Span::secs(2),
            addresses: 4096,
            friends: 256,
            rotate_after: 20,
            rotate_interval: Span::secs(600),
        }
    }
}

/// Whoever shares a limit: one IPv4 address or one IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerAddr {
    /// An IPv4 address, also when it came mapped into IPv6.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
}

impl From<IpAddr> for PeerAddr {
    // spec: A-34
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// What may happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A guess may be examined.
    Try,
    /// No guess before this much time has passed.
    Wait(Span),
    /// The code is worn: a shell that made it by itself makes and shows another. Said once each time.
    RotateCode,
}

#[derive(Clone, Copy, Debug)]
struct Wrong {
    count: u32,
    until: Stamp<HostClock>,
    last: Stamp<HostClock>,
}

/// All guesses at one host's code.
#[derive(Debug)]
pub struct Throttle {
    limits: Limits,
    wrong: Recent<Wrong>,
    friends: Recent<()>,
    /// When the common bucket is full again (generic cell rate algorithm).
    common_full_at: Stamp<HostClock>,
    wrong_in_all: u32,
    rotated: Option<Stamp<HostClock>>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Throttle {
    /// Nobody has guessed yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            wrong: Recent::new(limits.addresses),
            friends: Recent::new(limits.friends),
            limits,
            common_full_at: Stamp::ZERO,
            wrong_in_all: 0,
            rotated: None,
        }
    }

    /// Whether `peer` may guess at `now`; counts nothing. Never [`Verdict::RotateCode`].
    pub fn look(&self, peer: PeerAddr, now: Stamp<HostClock>) -> Verdict {
        let own = self.remembered(peer, now).map_or(Span::ZERO, |w| w.until - now);
        let common = if self.friends.find(peer).is_some() {
            Span::ZERO
        } else {
            let burst = self.limits.common_interval.scaled(u64::from(self.limits.common_burst.saturating_sub(1)), 1);
            (self.common_full_at - now).saturating_sub(burst)
        };
        match own.max(common) {
            Span::ZERO => Verdict::Try,
            wait => Verdict::Wait(wait),
        }
    }

    /// Counts a guess as wrong before it is examined; [`Verdict::Wait`] means it must not be examined.
    // spec: A-33
    pub fn reserve(&mut self, peer: PeerAddr, now: Stamp<HostClock>) -> Verdict {
        let verdict = self.look(peer, now);
        if verdict != Verdict::Try {
            return verdict;
        }
        let count = self.remembered(peer, now).map_or(0, |w| w.count).saturating_add(1);
        self.wrong.put(peer, Wrong { count, until: now + self.wait_after(count), last: now });
        self.common_full_at = self.common_full_at.max(now) + self.limits.common_interval;
        Verdict::Try
    }

    /// Settles a reserved guess that was right: the address is clean, and remembered as a friend.
    pub fn right(&mut self, peer: PeerAddr, now: Stamp<HostClock>) {
        self.wrong.remove(peer);
        self.common_full_at = (self.common_full_at - self.limits.common_interval).max(now);
        self.came_in(peer);
    }

    /// Remembers that somebody came in from `peer`, by code or by key.
    pub fn came_in(&mut self, peer: PeerAddr) {
        self.friends.put(peer, ());
    }

    /// Settles a reserved guess that was wrong: what `peer` may do next, or that the code is worn.
    pub fn wrong(&mut self, peer: PeerAddr, now: Stamp<HostClock>) -> Verdict {
        self.wrong_in_all = self.wrong_in_all.saturating_add(1);
        let rested = self.rotated.is_none_or(|at| now - at >= self.limits.rotate_interval);
        if self.wrong_in_all >= self.limits.rotate_after && rested {
            self.wrong_in_all = 0;
            self.rotated = Some(now);
            return Verdict::RotateCode;
        }
        self.look(peer, now)
    }

    /// Addresses remembered for wrong guesses.
    pub fn addresses(&self) -> usize {
        self.wrong.entries.len()
    }

    fn remembered(&self, peer: PeerAddr, now: Stamp<HostClock>) -> Option<Wrong> {
        self.wrong.find(peer).copied().filter(|w| now - w.last < self.limits.forgive_after)
    }

    // spec: A-34
    fn wait_after(&self, count: u32) -> Span {
        let Some(steps) = count.checked_sub(self.limits.free_tries) else { return Span::ZERO };
        let factor = 1u64.checked_shl(steps).unwrap_or(u64::MAX);
        self.limits.first_wait.scaled(factor, 1).min(self.limits.longest_wait)
    }
}

/// A map of bounded size that forgets the entry written longest ago.
#[derive(Debug)]
struct Recent<T> {
    entries: BTreeMap<PeerAddr, (u64, T)>,
    order: BTreeMap<u64, PeerAddr>,
    next: u64,
    room: usize,
}

impl<T> Recent<T> {
    fn new(room: usize) -> Self {
        Self { entries: BTreeMap::new(), order: BTreeMap::new(), next: 0, room: room.max(1) }
    }

    fn find(&self, peer: PeerAddr) -> Option<&T> {
        self.entries.get(&peer).map(|(_, value)| value)
    }

    fn put(&mut self, peer: PeerAddr, value: T) {
        let turn = self.next;
        self.next = self.next.saturating_add(1);
        if let Some((old, _)) = self.entries.insert(peer, (turn, value)) {
            self.order.remove(&old);
        }
        self.order.insert(turn, peer);
        while self.entries.len() > self.room {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.entries.remove(&oldest);
        }
    }

    fn remove(&mut self, peer: PeerAddr) {
        if let Some((turn, _)) = self.entries.remove(&peer) {
            self.order.remove(&turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;

    fn at(secs: u64) -> Stamp<HostClock> {
        Stamp::from_micros(secs * 1_000_000)
    }

    fn v4(n: u32) -> PeerAddr {
        PeerAddr::V4(n.to_be_bytes())
    }

    /// A guess that is wrong, if it may be made.
    fn guess(t: &mut Throttle, peer: PeerAddr, now: Stamp<HostClock>) -> Result<(), Span> {
        match t.reserve(peer, now) {
            Verdict::Wait(wait) => Err(wait),
            _ => {
                t.wrong(peer, now);
                Ok(())
            }
        }
    }

    // spec: A-34
    #[test]
    fn three_are_free_then_the_wait_doubles_up_to_a_minute() {
        let mut t = Throttle::default();
        let mut now = at(100);
        for _ in 0..3 {
            assert_eq!(guess(&mut t, v4(1), now), Ok(()));
        }
        for wait in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert_eq!(guess(&mut t, v4(1), now), Err(Span::secs(wait)));
            now += Span::secs(wait);
            assert_eq!(guess(&mut t, v4(1), now), Ok(()));
        }
        assert_eq!(t.look(v4(2), now), Verdict::Try, "another address is not punished");
        assert_eq!(t.look(v4(1), now + Span::secs(3600)), Verdict::Try);
    }

    // spec: A-33
    #[test]
    fn guesses_made_at_once_count_before_they_are_examined() {
        let mut t = Throttle::default();
        let allowed = (0..1000).filter(|_| t.reserve(v4(1), at(5)) == Verdict::Try).count();
        assert_eq!(allowed, 3);
    }

    // spec: A-34
    #[test]
    fn a_right_code_cleans_the_address() {
        let mut t = Throttle::default();
        for _ in 0..2 {
            guess(&mut t, v4(1), at(5)).unwrap();
        }
        assert_eq!(t.reserve(v4(1), at(5)), Verdict::Try);
        t.right(v4(1), at(5));
        for _ in 0..3 {
            assert_eq!(guess(&mut t, v4(1), at(5)), Ok(()));
        }
        assert!(guess(&mut t, v4(1), at(5)).is_err());
    }

    // spec: A-34
    #[test]
    fn a_64_is_one_peer_and_a_mapped_address_is_its_ipv4() {
        let a: IpAddr = "2001:db8:1:2::1".parse().unwrap();
        let b: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
        let c: IpAddr = "2001:db8:1:3::1".parse().unwrap();
        assert_eq!(PeerAddr::from(a), PeerAddr::from(b));
        assert_ne!(PeerAddr::from(a), PeerAddr::from(c));
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(PeerAddr::from(mapped), PeerAddr::V4([10, 0, 0, 1]));
    }

    #[test]
    fn a_hundred_thousand_guesses_from_one_64() {
        let mut t = Throttle::default();
        let mut examined = 0;
        // 10 guesses a second for 10,000 s, each from another address of the prefix.
        for i in 0..100_000u64 {
            let ip = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, (i >> 16) as u16, i as u16));
            examined += usize::from(guess(&mut t, ip.into(), Stamp::from_micros(i * 100_000)).is_ok());
        }
        assert!(examined <= 3 + 7 + 10_000 / 60, "{examined}");
        assert_eq!(t.addresses(), 1);
    }

    #[test]
    fn ten_thousand_addresses_hit_the_common_limit_and_the_owner_still_comes_in() {
        let mut t = Throttle::default();
        let owner = v4(0xc0a8_0001);
        assert_eq!(t.reserve(owner, at(0)), Verdict::Try);
        t.right(owner, at(0));
        let mut examined = 0u32;
        for i in 0..100_000u32 {
            let now = Stamp::from_micros(u64::from(i) * 1_000);
            examined += u32::from(guess(&mut t, v4(i % 10_000), now).is_ok());
        }
        assert!((30..=30 + 50 + 1).contains(&examined), "{examined} in 100 s");
        assert!(t.addresses() <= 4096);
        assert_eq!(t.reserve(owner, at(100)), Verdict::Try, "the owner's address is exempt");
        assert!(matches!(t.look(v4(77), at(100)), Verdict::Wait(w) if w <= Span::secs(2)));
        assert_eq!(t.look(v4(77), at(100) + Span::secs(2)), Verdict::Try);
    }

    #[test]
    fn memory_is_bounded() {
        let mut t = Throttle::new(Limits { common_burst: u32::MAX, addresses: 100, friends: 10, ..Limits::default() });
        for i in 0..10_000 {
            guess(&mut t, v4(i), at(1)).unwrap();
            t.came_in(v4(i));
        }
        assert_eq!((t.addresses(), t.wrong.order.len()), (100, 100));
        assert_eq!((t.friends.entries.len(), t.friends.order.len()), (10, 10));
    }

    #[test]
    fn a_code_wears_out_after_twenty_and_not_again_for_ten_minutes() {
        let mut t = Throttle::new(Limits { common_burst: 10_000, ..Limits::default() });
        let worn = |t: &mut Throttle, range: core::ops::Range<u32>, now| {
            range
                .filter(|&i| {
                    assert_eq!(t.reserve(v4(i), now), Verdict::Try);
                    t.wrong(v4(i), now) == Verdict::RotateCode
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(worn(&mut t, 0..60, at(10)), [19], "the twentieth, then a pause");
        assert_eq!(worn(&mut t, 60..100, at(609)), [0u32; 0]);
        assert_eq!(worn(&mut t, 100..130, at(610)), [100]);
    }
}
