//! How often the clipboard may change or be asked for, and when changes that follow each other are one going round.

pub(super) use crate::bucket::Bucket;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use telepane_model::clipboard::{ClipFormat, ClipFormats};
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

/// Whether local changes may only repeat what the peer offered: programs on both ends that take over every clipboard they see
/// would send one text round for ever. Scripts that copy at both ends by turns do the same with another text each time: [`Taken`]
/// says which it is.
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
    /// A change so soon after the peer's is suspected of being made of it: programs take over within milliseconds.
    // spec: K-56
    const SOON: Span = Span::millis(500);
    /// So many in a row are told all the same.
    const MOST: u32 = 3;

    /// The peer's offer was handed to the local clipboard.
    pub(super) fn on_theirs(&mut self, now: Stamp<C>) {
        self.theirs = Some(now);
    }

    /// The local clipboard changed: whether that is suspected of coming back.
    pub(super) fn suspects(&mut self, now: Stamp<C>) -> bool {
        let soon = self.theirs.is_some_and(|at| now.since(at) < Self::SOON);
        self.count = if soon { self.count + 1 } else { 0 };
        self.count > Self::MOST
    }
}

/// What local applications were last given of the peer's, in each kind. Only that can come back.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken(BTreeMap<ClipFormat, Option<u64>>);

impl Taken {
    /// Of longer contents the length and so much of the beginning are compared.
    const COMPARED: usize = 64 << 10;

    /// They were given these contents.
    pub(super) fn insert(&mut self, format: ClipFormat, contents: &[u8]) {
        self.0.insert(format, Some(Self::digest(contents)));
    }

    /// They were given files, which lie elsewhere here than there: whether a list of files is the same cannot be said.
    pub(super) fn insert_files(&mut self) {
        self.0.insert(ClipFormat::Files, None);
    }

    /// What is offered here is suspected of coming back.
    pub(super) fn verdict(&self, offered: ClipFormats) -> Verdict {
        match self.0.iter().find(|(format, _)| offered.has(**format)) {
            None => Verdict::Another,
            Some((_, None)) => Verdict::Same,
            Some((format, Some(_))) => Verdict::Look(*format),
        }
    }

    /// Whether these contents are the ones that were given. A number made of them stands for them: who makes two that agree
    /// keeps a copy of its own from itself.
    pub(super) fn holds(&self, format: ClipFormat, contents: &[u8]) -> bool {
        self.0.get(&format) == Some(&Some(Self::digest(contents)))
    }

    fn digest(contents: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        contents.len().hash(&mut hasher);
        contents.get(..Self::COMPARED).unwrap_or(contents).hash(&mut hasher);
        hasher.finish()
    }
}

/// Whether an offer is what the peer's was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is taken for that.
    Same,
    /// It cannot be.
    Another,
    /// These contents say.
    Look(ClipFormat),
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
    fn what_comes_at_once_again_and_again_is_suspected() {
        let mut e = Echo::<HostClock>::default();
        let told = (0..100u64).filter(|n| {
            e.on_theirs(at(n * 100));
            !e.suspects(at(n * 100 + 40))
        });
        assert_eq!(told.count(), 3);
        // A person copies.
        assert!(!e.suspects(at(60_000)));
        e.on_theirs(at(61_000));
        assert!(!e.suspects(at(62_000)));
    }

    // spec: K-56
    #[test]
    fn only_what_was_given_can_come_back() {
        let mut taken = Taken::default();
        let text = ClipFormats::TEXT;
        assert_eq!(taken.verdict(text), Verdict::Another);
        taken.insert(ClipFormat::Text, b"theirs");
        assert_eq!(taken.verdict(text), Verdict::Look(ClipFormat::Text));
        assert!(taken.holds(ClipFormat::Text, b"theirs") && !taken.holds(ClipFormat::Text, b"ours"));
        assert!(!taken.holds(ClipFormat::Html, b"theirs"));
        let files = ClipFormats::from_iter([ClipFormat::Files]);
        assert_eq!(taken.verdict(files), Verdict::Another);
        taken.insert_files();
        assert_eq!(taken.verdict(files), Verdict::Same);
        let long = vec![7; 2 * Taken::COMPARED];
        taken.insert(ClipFormat::Png, &long);
        assert!(taken.holds(ClipFormat::Png, &long) && !taken.holds(ClipFormat::Png, &long[1..]));
    }
}
