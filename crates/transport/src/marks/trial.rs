//! Whether a path lets through what is marked: some networks throw away what they do not expect, without a word.
//!
//! What the peer acknowledges tells. Of each class a few packets are remembered until they are acknowledged. When nothing at all is
//! answered, or three of a class in a row are not while later ones are, the class comes into *doubt*: its packets go without their
//! mark, but for one at a time that tries it out, and only where others get through. One that is answered ends the doubt, so an
//! outage or a lost packet costs a moment's marks; eight tries in a row that are not are the path's doing, and the class goes without for
//! as long as the connection stays on that path; on another one it is in doubt, so that marks come back where they pass and none is lost
//! in numbers where they do not. Handshakes are no exception, or there would be no connection.
//!
//! Sound and input that go without a mark of their own have the screen's, as long as that passes; where it does not, nothing has a mark.
//! No clock: times are microseconds of the shell's.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// What a packet may be marked as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The screen's mark.
    Ordinary,
    /// Sound's and input's.
    Urgent,
}

/// Nothing was answered for so long in a handshake, in which QUIC repeats a first packet after 300 ms; …
const SILENT_FIRST_US: u64 = 250_000;
/// … and later, or twice as long as answers took lately.
const SILENT_US: u64 = 600_000;
/// A packet is missed when it is not acknowledged after this long, or twice as long as answers took, although a later one is: above the
/// time for which a peer may keep an acknowledgement back (100 ms), and what an urgent packet may overtake. One that comes later still
/// counts.
const LATE_US: u64 = 500_000;
/// How long an answer counts for at most.
const SLOWEST_US: u64 = 3_000_000;
/// Missed in a row before a class is doubted …
const DOUBT: u32 = 3;
/// … and tries in a row that are missed before it goes without: one doubt in 390,000 where a fifth of all packets is lost.
const SETTLED: u32 = 8;
/// Between two packets of a class that are remembered.
const EVERY_US: u64 = 10_000;
/// The number space of what follows the handshake. Before that nothing is tried out: everything waits for it.
const DATA: usize = 2;
/// Packets remembered, and for how long.
const MOST: usize = 128;
const FORGET_US: u64 = 10_000_000;

/// A packet that is remembered.
#[derive(Debug)]
struct Sent {
    space: usize,
    number: u64,
    at: u64,
    mark: Option<Class>,
    /// It was counted as missed.
    missed: bool,
}

/// What is known of one class.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    missed: u32,
    doubted_at: Option<u64>,
    settled: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Trial {
    sent: VecDeque<Sent>,
    known: [Known; 2],
    /// When the newest packet left that is acknowledged, and when its acknowledgement came.
    answered: Option<(u64, u64)>,
    /// How long answers took lately.
    took: u64,
    /// Classes that were settled and not told of.
    news: Vec<Class>,
}

impl Trial {
    /// What the packet of this number and number space, that leaves now, is marked as. `asks` says that the peer will acknowledge it.
    pub fn choose(&mut self, now: u64, (space, number): (usize, u64), class: Class, asks: bool) -> Option<Class> {
        self.look(now);
        let fit = asks && space == DATA;
        let mark = match class {
            Class::Urgent if self.may(Class::Urgent, fit) => Some(Class::Urgent),
            _ => self.may(Class::Ordinary, fit).then_some(Class::Ordinary),
        };
        let tries = mark.is_some_and(|m| self.of(m).doubted_at.is_some());
        let last = self.sent.iter().rev().find(|s| s.mark == mark).map(|s| s.at);
        if asks && (tries || last.is_none_or(|at| now.saturating_sub(at) >= EVERY_US)) {
            if self.sent.len() >= MOST {
                self.sent.pop_front();
            }
            self.sent.push_back(Sent { space, number, at: now, mark, missed: false });
        }
        mark
    }

    /// The peer acknowledged these of a number space.
    pub fn on_acked(&mut self, now: u64, space: usize, numbers: &[RangeInclusive<u64>]) {
        let mut at = 0;
        while let Some(sent) = self.sent.get(at) {
            if sent.space != space || !numbers.iter().any(|r| r.contains(&sent.number)) {
                at += 1;
                continue;
            }
            let Some(sent) = self.sent.remove(at) else { break };
            let newest = self.answered.map_or(sent.at, |(newest, _)| newest.max(sent.at));
            self.answered = Some((newest, now));
            self.took = now.saturating_sub(sent.at).min(SLOWEST_US).max(self.took - self.took / 8);
            if let Some(mark) = sent.mark {
                *self.of_mut(mark) = Known::default();
                // What is missed is missed in a row: what left before this one shows nothing any more.
                let earlier = self.sent.iter_mut().filter(|s| s.mark == Some(mark) && s.at <= sent.at);
                earlier.for_each(|s| s.missed = true);
            }
        }
        self.look(now);
    }

    /// The connection goes on over another path, of which nothing is known: what was settled is tried out again.
    pub fn on_moved(&mut self, now: u64) {
        for class in [Class::Urgent, Class::Ordinary] {
            if self.is_settled(class) {
                *self.of_mut(class) = Known { missed: 0, doubted_at: Some(now), settled: false };
            }
        }
    }

    /// Whether packets of a class go without their mark on this path.
    pub fn is_settled(&self, class: Class) -> bool {
        self.of(class).settled || self.of(Class::Ordinary).settled
    }

    /// A class of which that is new.
    pub fn news(&mut self) -> Option<Class> {
        self.news.pop()
    }

    fn of(&self, class: Class) -> Known {
        let [ordinary, urgent] = self.known;
        if class == Class::Urgent { urgent } else { ordinary }
    }

    fn of_mut(&mut self, class: Class) -> &mut Known {
        let [ordinary, urgent] = &mut self.known;
        if class == Class::Urgent { urgent } else { ordinary }
    }

    /// Whether a packet may have its mark; `fit` says that it can try a mark out.
    fn may(&self, class: Class, fit: bool) -> bool {
        let known = self.of(class);
        match known.doubted_at {
            _ if self.is_settled(class) => false,
            None => true,
            // One at a time, so that an outage costs one; and none before something has got through.
            Some(since) => {
                let under_way = |s: &Sent| s.mark == Some(class) && s.at >= since && !s.missed;
                fit && self.answered.is_some_and(|(_, came)| came > since) && !self.sent.iter().any(under_way)
            }
        }
    }

    /// Counts what is missed, raises doubts and settles them.
    fn look(&mut self, now: u64) {
        while self.sent.front().is_some_and(|s| now.saturating_sub(s.at) > FORGET_US) {
            self.sent.pop_front();
        }
        let (answered, late) = (self.answered, LATE_US.max(2 * self.took));
        let silence = answered.map_or(SILENT_FIRST_US, |_| SILENT_US.max(2 * self.took));
        for class in [Class::Ordinary, Class::Urgent] {
            let mut known = self.of(class);
            let mut silent = false;
            for sent in self.sent.iter_mut().filter(|s| s.mark == Some(class) && !s.missed) {
                let age = now.saturating_sub(sent.at);
                let passed_by = answered.is_some_and(|(newest, _)| newest > sent.at);
                sent.missed = age >= late && passed_by;
                silent |= age >= silence && answered.is_none_or(|(_, came)| came < sent.at);
                // What left before the doubt began is what it began with.
                known.missed += u32::from(sent.missed && known.doubted_at.is_none_or(|since| sent.at >= since));
            }
            if known.doubted_at.is_none() && (silent || known.missed >= DOUBT) {
                known = Known { doubted_at: Some(now), missed: 0, settled: false };
            } else if known.doubted_at.is_some() && known.missed >= SETTLED && !self.is_settled(class) {
                known.settled = true;
                self.news.push(class);
            }
            *self.of_mut(class) = known;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    /// A path of a round trip of 40 ms on which this much is lost; what it does to each mark says `passes`.
    struct Path {
        trial: Trial,
        now: u64,
        number: u64,
        /// Acknowledgements on their way: when they come, and of what.
        due: VecDeque<(u64, u64)>,
        loss_ppm: u32,
        /// How long each class's packets wait.
        queue: [u64; 2],
        rng: Rng,
        settled: Vec<(u64, Class)>,
    }

    impl Path {
        fn new(seed: u64) -> Self {
            Self {
                trial: Trial::default(),
                now: 1,
                number: 0,
                due: VecDeque::new(),
                loss_ppm: 0,
                queue: [0; 2],
                rng: Rng::new(seed),
                settled: Vec::new(),
            }
        }

        fn send(&mut self, class: Class, passes: &impl Fn(Option<Class>) -> bool) -> Option<Class> {
            let number = self.number;
            self.number += 1;
            let mark = self.trial.choose(self.now, (2, number), class, true);
            let lost = self.rng.chance_ppm(self.loss_ppm);
            if passes(mark) && !lost {
                let wait = if mark == Some(Class::Urgent) { self.queue[1] } else { self.queue[0] };
                self.due.push_back((self.now + 40_000 + wait, number));
            }
            mark
        }

        /// A packet of the screen every 20 ms and a key every 100 ms for so long; how many of each had their mark.
        fn work(&mut self, us: u64, passes: impl Fn(Option<Class>) -> bool) -> [u32; 2] {
            let mut marked = [0; 2];
            let until = self.now + us;
            while self.now < until {
                self.now += 10_000;
                let (came, later): (Vec<_>, _) = self.due.drain(..).partition(|(at, _)| *at <= self.now);
                self.due = VecDeque::from(later);
                for (_, number) in came {
                    self.trial.on_acked(self.now, 2, &[number..=number]);
                }
                while let Some(class) = self.trial.news() {
                    self.settled.push((self.now, class));
                }
                let tick = self.now / 10_000;
                if tick.is_multiple_of(2) {
                    marked[0] += u32::from(self.send(Class::Ordinary, &passes) == Some(Class::Ordinary));
                }
                if tick.is_multiple_of(10) {
                    marked[1] += u32::from(self.send(Class::Urgent, &passes) == Some(Class::Urgent));
                }
            }
            marked
        }
    }

    #[test]
    fn on_a_path_that_lets_marks_through_everything_has_its_mark() {
        for loss_ppm in [0, 10_000, 50_000] {
            let mut path = Path { loss_ppm, ..Path::new(1) };
            let [ordinary, urgent] = path.work(600_000_000, |_| true);
            assert_eq!(path.settled, [], "{loss_ppm}");
            // Of 30,000 and 6,000.
            let [few, fewer] = if loss_ppm == 0 { [0, 0] } else { [900, 300] };
            assert!(ordinary >= 30_000 - few && urgent >= 6_000 - fewer, "{loss_ppm}: {ordinary} {urgent}");
        }
        for seed in 0..20 {
            let mut path = Path { loss_ppm: 200_000, ..Path::new(seed) };
            path.work(120_000_000, |_| true);
            assert_eq!(path.settled, [], "a fifth is lost, seed {seed}");
        }
    }

    #[test]
    fn where_all_marked_packets_vanish_the_second_try_goes_without_and_it_is_settled_soon() {
        let mut path = Path::new(1);
        let drops = |mark: Option<Class>| mark.is_none();
        // A handshake: one packet, repeated when nothing comes.
        assert_eq!(path.send(Class::Ordinary, &drops), Some(Class::Ordinary));
        path.now += 300_000;
        assert_eq!(path.send(Class::Ordinary, &drops), None);
        path.work(10_000_000, drops);
        assert!(matches!(path.settled.last(), Some((at, Class::Ordinary)) if *at < 9_000_000), "{:?}", path.settled);
        assert!(path.trial.is_settled(Class::Ordinary) && path.trial.is_settled(Class::Urgent));
        assert_eq!(path.work(10_000_000, drops), [0, 0]);
    }

    #[test]
    fn on_another_path_marks_are_tried_out_again_one_at_a_time() {
        let mut path = Path::new(1);
        let drops = |mark: Option<Class>| mark.is_none();
        path.work(10_000_000, drops);
        assert!(path.trial.is_settled(Class::Ordinary));
        // It drops them as well: eight tries of each at most.
        path.trial.on_moved(path.now);
        let [ordinary, urgent] = path.work(10_000_000, drops);
        assert!((1..=8).contains(&ordinary) && (1..=8).contains(&urgent), "{ordinary} {urgent}");
        assert!(path.trial.is_settled(Class::Ordinary));
        assert_eq!(path.work(10_000_000, drops), [0, 0]);
        // It lets them through: a second later everything has its mark.
        path.trial.on_moved(path.now);
        path.work(1_000_000, |_| true);
        assert_eq!(path.work(10_000_000, |_| true), [500, 100]);
        // What passes is not disturbed by moving.
        path.trial.on_moved(path.now);
        assert_eq!(path.work(1_000_000, |_| true), [50, 10]);
    }

    #[test]
    fn where_urgent_ones_alone_vanish_they_go_as_the_others_do() {
        let mut path = Path::new(1);
        let drops = |mark: Option<Class>| mark != Some(Class::Urgent);
        path.work(1_000_000, |_| true);
        path.work(10_000_000, drops);
        assert!(matches!(path.settled[..], [(at, Class::Urgent)] if at < 9_000_000), "{:?}", path.settled);
        let [ordinary, urgent] = path.work(1_000_000, drops);
        assert_eq!((ordinary, urgent), (50, 0));
        assert_eq!(path.send(Class::Urgent, &drops), Some(Class::Ordinary));
        assert!(path.trial.is_settled(Class::Urgent) && !path.trial.is_settled(Class::Ordinary));
    }

    #[test]
    fn an_outage_costs_a_moments_marks() {
        let mut path = Path::new(1);
        for n in 0..40 {
            path.work(3_000_000, |_| true);
            path.work(100_000 + n * 150_000, |_| false);
            path.work(1_500_000, |_| true);
            assert_eq!(path.work(1_000_000, |_| true), [50, 10], "marked again after {n}");
        }
        assert_eq!(path.settled, []);
    }

    #[test]
    fn what_is_only_overtaken_is_not_lost() {
        // A second of queue, which urgent packets do not have.
        let mut path = Path { queue: [1_000_000, 0], ..Path::new(1) };
        path.work(120_000_000, |_| true);
        assert_eq!(path.settled, []);
    }

    #[test]
    fn what_is_remembered_is_bounded_whatever_a_peer_says() {
        let mut trial = Trial::default();
        for n in 0..100_000 {
            trial.choose(n * 20_000, (2, n), Class::Urgent, true);
            assert!(trial.sent.len() <= MOST);
            if n.is_multiple_of(100) {
                trial.on_acked(n * 20_000, 0, &[0..=u64::MAX]);
                trial.on_acked(n * 20_000, 2, &[n + 1..=u64::MAX]);
            }
        }
        trial.on_acked(0, 2, &[0..=u64::MAX]);
        assert!(trial.sent.is_empty());
    }
}
