//! How often the clipboard may change or be asked for, and when changes that follow each other are one going round.

pub(super) use crate::bucket::Bucket;
use telepane_model::{Clock, Span, Stamp};

impl<C: Clock> Bucket<C> {
    /// Sixteen offers at once and twenty a second: a person copies once a second at most, a script may be quicker; above
    /// that only the newest matters.
    // spec: K-55
    pub(super) const OFFERS: Self = Self::new(16, Span::millis(50));
    /// A clipboard's history asks for every kind of every offer.
    // spec: K-55
    pub(super) const REQUESTS: Self = Self::new(64, Span::millis(20));
}

/// Whether local changes only repeat what the peer offered: programs on both ends that take over every clipboard they see
/// would send one text round for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo<C: Clock> {
    theirs: Option<Stamp<C>>,
    count: u32,
}

impl<C: Clock> Default for Echo<C> {
    fn default() -> Self {
        Self { theirs: None, count: 0 }
    }
}

impl<C: Clock> Echo<C> {
    /// A change so soon after the peer's is suspected of being made of it: programs take over within milliseconds,
    /// a person does not copy on two machines within this.
    // spec: K-56
    const SOON: Span = Span::millis(500);
    /// So many in a row are told all the same.
    const MOST: u32 = 3;

    /// The peer's offer was handed to the local clipboard.
    pub(super) fn on_theirs(&mut self, now: Stamp<C>) {
        self.theirs = Some(now);
    }

    /// The local clipboard changed: whether that is a change coming back.
    pub(super) fn returns(&mut self, now: Stamp<C>) -> bool {
        let soon = self.theirs.is_some_and(|at| now.since(at) < Self::SOON);
        self.count = if soon { self.count + 1 } else { 0 };
        self.count > Self::MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::HostClock;

    fn at(ms: u64) -> Stamp<HostClock> {
        Stamp::from_micros(ms * 1_000)
    }

    // spec: K-55
    #[test]
    fn a_bucket_gives_a_burst_and_then_its_rate() {
        let mut b = Bucket::<HostClock>::OFFERS;
        let burst = (0..100).take_while(|_| b.take(at(1_000)).is_ok()).count();
        assert_eq!(burst, 16);
        assert_eq!(b.take(at(1_020)), Err(at(1_050)));
        assert_eq!(b.take(at(1_050)), Ok(()));
        let later = (0..10_000).filter(|ms| b.take(at(1_051 + ms)).is_ok()).count();
        assert!((199..=201).contains(&later), "{later}");
    }

    // spec: K-56
    #[test]
    fn what_comes_back_at_once_again_and_again_is_an_echo() {
        let mut e = Echo::<HostClock>::default();
        let told = (0..100u64).filter(|n| {
            e.on_theirs(at(n * 100));
            !e.returns(at(n * 100 + 40))
        });
        assert_eq!(told.count(), 3);
        // A person copies.
        assert!(!e.returns(at(60_000)));
        e.on_theirs(at(61_000));
        assert!(!e.returns(at(62_000)));
    }
}
