//! When to measure the path with a train of its own, and with how much.
//!
//! Three occasions: the start, where trains follow each other while each raises the capacity; a frame that is about to
//! leave while the encoder is held back, whose head goes out faster than the capacity and costs nothing; and a person at
//! work (an input event within 30 s) who asks little of the path. What is known of it then grows old unseen, so a *pair*
//! of packets looks after it: two, back to back, too large to share a packet. Their spacing shows a capacity that fell
//! by half, which is what hurts a later burst; growth shows itself when it is wanted. A pair decides
//! nothing: if it came wide, a whole train follows at once and is judged. Pairs follow a burst after 2 s and then, while
//! somebody types, ever more rarely: they cost a few bytes a key. In a pause, from which the next thing is often a burst (a
//! page turned, a window opened), one goes out every 2 s, so that what fell meanwhile is known before it. Filler keeps
//! within 60 kbit/s (DESIGN "Active"; `research` section 5.5). A head that loses packets makes later heads shorter and slower.

use crate::PACKET;

/// Packets of a whole train, and its rate as a multiple of the capacity.
const TRAIN: f64 = 10.0;
const SPEED: f64 = 2.5;
/// How long an input event allows filler.
const ACTIVE: f64 = 30.0;
/// Filler: bytes per second, and what may be spent at once (at the start: about fifteen trains).
const FILLER_RATE: f64 = 60e3 / 8.0;
const FILLER_AT_ONCE: f64 = 180e3;
/// Seconds between trains: nothing else to do; held back and the last train brought nothing.
const IDLE_EVERY: (f64, f64) = (2.0, 20.0);
const LIMITED_EVERY: (f64, f64) = (0.25, 1.0);

/// Seconds without an input event that are a pause: no key pays for a pair.
const PAUSE: f64 = 1.5;

/// A packet of a pair, headers included, and its payload: two never fit into one packet of a path whose MTU is 1,500.
const PAIR: f64 = 774.0;
const PAIR_PAYLOAD: f64 = 723.0;
/// A pair leaves at once, in bytes per second.
const PAIR_RATE: f64 = 1e9;
/// A pair that arrives wider than this many times what the capacity explains, and than this many seconds, is followed by
/// a train. Where readers of sockets or radios spread packets more, both grow with each train for nothing.
const PAIR_WIDE: (f64, f64) = (1.5, 0.0005);
const PAIR_DOUBT_MOST: f64 = 16.0;
/// From so many packets in line on, what is sent measures the path by itself.
const BURST: f64 = 5.0;

struct Pending {
    at: f64,
    bytes: f64,
    arrived: f64,
    capacity: f64,
    /// A wide pair asked for it.
    alarmed: bool,
}

/// What a train is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub now: f64,
    pub capacity: f64,
    pub backlog: f64,
    /// The queue is short and little is on the way.
    pub clear: bool,
    pub starting: bool,
    /// Filler may be sent at all.
    pub allowed: bool,
}

/// A train to send, in bytes and bytes per second; `packet` is the size of filler.
pub(crate) struct Train {
    pub bytes: f64,
    pub filler: f64,
    pub rate: f64,
    pub packet: f64,
}

/// A pair on its way.
struct Pair {
    at: f64,
    /// When the first that arrived was sent and arrived.
    first: Option<(f64, f64)>,
}

pub(crate) struct Probing {
    pending: Option<Pending>,
    pair: Option<Pair>,
    /// A pair came wide: the capacity is to be measured.
    alarm: bool,
    /// How much wider than it should a pair must be, for the path's own jitter.
    doubt: f64,
    /// When the path was last asked for much, and pairs since then.
    burst_at: f64,
    pairs: u32,
    last_at: Option<f64>,
    /// Seconds to wait; zero after a train that raised the capacity.
    every: f64,
    size: f64,
    speed: f64,
    hurt_at: Option<f64>,
    active_at: f64,
    limited_at: Option<f64>,
    credit: f64,
    credit_at: f64,
}

impl Probing {
    pub(crate) fn new(now: f64) -> Self {
        Self {
            pending: None,
            pair: None,
            alarm: false,
            doubt: 1.0,
            burst_at: now,
            pairs: 0,
            last_at: None,
            every: LIMITED_EVERY.0,
            size: 1.0,
            speed: 1.0,
            hurt_at: None,
            active_at: now,
            limited_at: None,
            credit: FILLER_AT_ONCE,
            credit_at: now,
        }
    }

    pub(crate) fn on_active(&mut self, now: f64) {
        self.active_at = now;
    }

    pub(crate) fn on_limited(&mut self, now: f64, limited: bool) {
        if limited {
            self.limited_at = Some(now);
        }
    }

    /// So many bytes stand in line.
    pub(crate) fn on_backlog(&mut self, now: f64, backlog: f64) {
        if backlog >= BURST * PACKET {
            (self.burst_at, self.pairs) = (now, 0);
        }
    }

    /// A packet of a probe arrived; seconds on the two clocks.
    pub(crate) fn on_probe_arrived(&mut self, sent: f64, arrived: f64, capacity: f64) {
        let Some(pair) = self.pair.as_mut().filter(|p| sent >= p.at) else { return };
        let Some((first_sent, first_arrived)) = pair.first else {
            pair.first = Some((sent, arrived));
            return;
        };
        let wider = (arrived - first_arrived) - (sent - first_sent);
        self.pair = None;
        self.alarm = wider > self.doubt * (PAIR_WIDE.0 * PAIR / capacity).max(PAIR_WIDE.1);
        if !self.alarm {
            self.doubt = (0.8 * self.doubt).max(1.0);
        }
    }

    /// Whether the encoder was held back within `seconds`.
    pub(crate) fn limited_within(&self, now: f64, seconds: f64) -> bool {
        self.limited_at.is_some_and(|t| now - t < seconds)
    }

    pub(crate) fn is_active(&self, now: f64) -> bool {
        now - self.active_at < ACTIVE
    }

    /// Whether a train is on its way and not judged yet.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Takes in what arrived of the train, `bytes`, with the capacity as judged now. True when a train was judged a
    /// failure.
    pub(crate) fn on_feedback(&mut self, now: f64, bytes: f64, capacity: f64, rtt_least: f64) -> bool {
        let Some(p) = &mut self.pending else { return false };
        p.arrived += bytes;
        if p.arrived < 0.85 * p.bytes && now - p.at <= 2.0 * rtt_least + 0.05 {
            return false;
        }
        let raised = capacity > 1.2 * p.capacity;
        if p.alarmed {
            let fell = capacity < 0.8 * p.capacity;
            self.doubt = if fell { 1.0 } else { (2.0 * self.doubt).min(PAIR_DOUBT_MOST) };
            self.pairs = if fell { 0 } else { self.pairs };
        }
        self.pending = None;
        self.every = if raised { 0.0 } else { (self.every * 1.5).clamp(LIMITED_EVERY.0, LIMITED_EVERY.1) };
        !raised
    }

    /// Heads lost packets, `packets` of them, on a path whose smoothed loss is `fraction`.
    pub(crate) fn on_lost(&mut self, now: f64, packets: usize, fraction: f64, rtt_least: f64) {
        // On a lossy path one packet says nothing of the head.
        if packets == 0 || (fraction >= 0.01 && packets < 2) || self.hurt_at.is_some_and(|t| now - t <= rtt_least) {
            return;
        }
        self.size = (self.size * 0.6).max(0.4);
        self.speed = (self.speed * 0.8).max(0.55);
        self.hurt_at = Some(now);
    }

    /// Heals what losses did, 10 % a second from five seconds after the last.
    pub(crate) fn heal(&mut self, now: f64) {
        if self.hurt_at.is_some_and(|t| now - t > 5.0) {
            self.size = (self.size * 1.1).min(1.0);
            self.speed = (self.speed * 1.1).min(1.0);
            self.hurt_at = (self.size < 1.0 || self.speed < 1.0).then_some(now - 4.0);
        }
    }

    /// A train to send now, if it is time for one.
    pub(crate) fn ask(&mut self, path: Path) -> Option<Train> {
        let now = path.now;
        if self.pending.as_ref().is_some_and(|p| now - p.at < 1.0) || !path.clear {
            return None;
        }
        let whole = libm::ceil(TRAIN * self.size) * PACKET;
        let limited = self.limited_within(now, 0.3);
        let (bytes, filler) = if limited && path.backlog >= BURST * PACKET {
            (path.backlog.min(whole), 0.0)
        } else {
            self.credit = (self.credit + (now - self.credit_at) * FILLER_RATE).min(FILLER_AT_ONCE);
            self.credit_at = now;
            let due = now >= self.due_at(path.starting, limited);
            let by_pair = self.by_pair(path.starting, limited);
            let filler = if by_pair { 2.0 * PAIR } else { (whole - path.backlog).max(0.0) };
            if !due || !path.allowed || !self.is_active(now) || filler > self.credit || by_pair && path.backlog > 0.0 {
                return None;
            }
            self.credit -= filler;
            if by_pair {
                self.last_at = Some(now);
                self.pair = Some(Pair { at: now, first: None });
                self.pairs = self.pairs.saturating_add(1);
                let filler = 2.0 * PAIR_PAYLOAD;
                return Some(Train { bytes: 2.0 * PAIR, filler, rate: PAIR_RATE, packet: PAIR_PAYLOAD });
            }
            (whole, filler)
        };
        let rate = (SPEED * self.speed).max(1.3) * path.capacity;
        self.last_at = Some(now);
        let alarmed = std::mem::take(&mut self.alarm);
        self.pending = Some(Pending { at: now, bytes, arrived: 0.0, capacity: path.capacity, alarmed });
        Some(Train { bytes, filler, rate, packet: PACKET })
    }

    /// When filler will next be wanted, in seconds; none when the person is away.
    pub(crate) fn next_wake(&self, now: f64, starting: bool) -> Option<f64> {
        let limited = self.limited_within(now, 0.3);
        let at = self.due_at(starting, limited).max(now);
        let at = self.pending.as_ref().map_or(at, |p| at.max(p.at + 1.0));
        (at < self.active_at + ACTIVE).then_some(at)
    }

    /// Whether a pair is enough to look after the path.
    fn by_pair(&self, starting: bool, limited: bool) -> bool {
        self.every > 0.0 && !starting && !limited && !self.alarm
    }

    fn due_at(&self, starting: bool, limited: bool) -> f64 {
        let last = self.last_at.unwrap_or(f64::MIN);
        if self.every == 0.0 || self.alarm {
            last
        } else if starting {
            last + 0.05
        } else if limited {
            last + self.every
        } else {
            let every = IDLE_EVERY.0 * f64::from(1u32 << (2 * self.pairs.min(5)));
            let since = last.max(self.burst_at);
            let in_pause = (since + IDLE_EVERY.0).max(self.active_at + PAUSE);
            (since + every.min(IDLE_EVERY.1)).min(in_pause)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(now: f64, backlog: f64) -> Path {
        Path { now, capacity: 1e6, backlog, clear: true, starting: false, allowed: true }
    }

    /// Asks every millisecond from `from` to `to` seconds; the trains that left.
    fn run(p: &mut Probing, from: u64, to: u64, spacing: f64) -> Vec<(f64, f64)> {
        let mut trains = Vec::new();
        for i in from * 1_000..to * 1_000 {
            let now = i as f64 * 0.001;
            if let Some(t) = p.ask(path(now, 0.0)) {
                trains.push((now, t.bytes));
                let step = if t.packet < PACKET { spacing } else { 0.0 };
                p.on_probe_arrived(now, now + 70.0, 1e6);
                p.on_probe_arrived(now, now + 70.0 + step, 1e6);
                p.on_feedback(now + 0.01, t.bytes, 1e6, 0.04);
            }
        }
        trains
    }

    /// The same, while somebody types a key a second.
    fn type_on(p: &mut Probing, from: u64, to: u64) -> Vec<(f64, f64)> {
        let mut trains = Vec::new();
        for second in from..to {
            p.on_active(second as f64);
            trains.extend(run(p, second, second + 1, 0.0007));
        }
        trains
    }

    #[test]
    fn a_path_of_which_little_is_asked_is_looked_after_ever_more_rarely_by_a_typist() {
        let mut p = Probing::new(0.0);
        let pair = 2.0 * PAIR;
        assert_eq!(type_on(&mut p, 0, 29), [(2.0, pair), (10.0, pair)]);
        p.on_backlog(201.0, 6_000.0);
        assert_eq!(type_on(&mut p, 201, 214), [(203.0, pair), (211.0, pair)]);
    }

    #[test]
    fn in_a_pause_it_is_looked_after_every_two_seconds_until_the_person_is_away() {
        let mut p = Probing::new(0.0);
        type_on(&mut p, 0, 12);
        let at: Vec<f64> = run(&mut p, 12, 60, 0.0007).iter().map(|t| t.0).collect();
        // The last key was at 11 s, the last pair at 10 s.
        assert!((at[0] - 12.5).abs() < 0.01, "{at:?}");
        assert!(at.windows(2).all(|w| (w[1] - w[0] - 2.0).abs() < 0.01), "{at:?}");
        assert!(at.last().is_some_and(|&t| t > 38.0 && t < 11.0 + ACTIVE), "{at:?}");
    }

    #[test]
    fn a_wide_pair_is_followed_by_a_train_at_once() {
        let mut p = Probing::new(0.0);
        let trains = run(&mut p, 0, 20, 0.0025);
        assert_eq!(trains[..2], [(2.0, 2.0 * PAIR), (2.001, 12_000.0)]);
        let sum: f64 = trains.iter().map(|t| t.1).sum();
        assert!(sum <= 20.0 * FILLER_RATE, "{sum}");
    }

    #[test]
    fn filler_stays_within_sixty_kilobits_whatever_pairs_say() {
        let mut p = Probing::new(0.0);
        let mut sum = 0.0;
        for second in 0..120 {
            p.on_active(f64::from(second));
            p.on_backlog(f64::from(second) - 10.0, 6_000.0);
            sum += run(&mut p, u64::from(second as u32), u64::from(second as u32) + 1, 0.05)
                .iter()
                .map(|t| t.1)
                .sum::<f64>();
        }
        assert!(sum <= 120.0 * FILLER_RATE + FILLER_AT_ONCE && sum > 0.0, "{sum}");
    }

    #[test]
    fn the_head_of_a_frame_needs_no_filler_and_shrinks_when_it_hurts() {
        let mut p = Probing::new(-100.0);
        assert!(p.ask(path(0.0, 50e3)).is_none(), "nobody is held back");
        p.on_limited(0.0, true);
        let t = p.ask(path(0.0, 50e3)).unwrap();
        assert_eq!((t.bytes, t.filler, t.rate), (12_000.0, 0.0, 2.5e6));
        p.on_feedback(0.1, 12_000.0, 1e6, 0.04);
        p.on_lost(0.1, 1, 0.0, 0.04);
        let t = p.ask(path(0.1, 50e3)).unwrap();
        assert_eq!((t.bytes, t.rate), (7_200.0, 2e6));
        for i in 0..200 {
            p.heal(0.1 + i as f64 * 0.1);
        }
        assert_eq!(p.size, 1.0);
    }
}
