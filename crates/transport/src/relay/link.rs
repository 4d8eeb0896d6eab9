//! One direction of the emulated link: bottleneck with a drop-tail queue, then loss, propagation, jitter and reordering.
//!
//! No clock and no socket: packets go in with the time they came, and come out when asked for what has arrived by then.
//! The relay carries UDP payloads through it, `telepane-bench link` whole IP packets between two network namespaces.

use std::collections::{BTreeMap, VecDeque};
use telepane_model::{BitRate, Bytes, Rng, Span};

/// Packets held in one direction, whatever the model says.
const MOST_HELD: usize = 200_000;

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkModel {
    /// The bottleneck; `None` is as fast as the machine.
    pub rate: Option<BitRate>,
    /// What the bottleneck's queue holds; a packet that does not fit is dropped.
    pub queue: Bytes,
    /// The same as time: a packet that would wait for longer at the present rate is dropped.
    pub queue_time: Option<Span>,
    /// A token bucket in front of the bottleneck drops what exceeds it.
    pub policer: Option<Policer>,
    /// A packet that would wait for longer than this is marked as having met congestion, if its sender understands that (ECN,
    /// RFC 3168).
    pub mark_over: Option<Span>,
    /// Propagation, one way.
    pub delay: Span,
    /// Up to this much more, evenly distributed; keeps the order.
    pub jitter: Span,
    /// Lost at random, after the bottleneck, in parts per million.
    pub loss_ppm: u32,
    /// Lost in bursts, beside the losses at random.
    pub burst: Option<Burst>,
    /// Held back by `reorder_by`, so that later ones overtake, in parts per million.
    pub reorder_ppm: u32,
    /// How long a reordered packet is held back.
    pub reorder_by: Span,
    /// Delivered twice, in parts per million.
    pub duplicate_ppm: u32,
    /// A larger packet is dropped without a word, as in a tunnel that answers nothing. Headers count.
    pub mtu: Option<u16>,
    /// Packets with certain marks are dropped without a word.
    pub filter: Option<Filter>,
}

/// Which packets a link drops by their mark, the upper six bits of their traffic class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All that have one.
    Marked,
    /// Those with this one.
    Only(u8),
}

impl Filter {
    const fn drops(self, class: u8) -> bool {
        match self {
            Self::Marked => class >> 2 != 0,
            Self::Only(mark) => class >> 2 == mark,
        }
    }
}

/// A policer: so much passes in the mean, and so much at once; what is more is dropped and nothing waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policer {
    /// How fast the bucket fills.
    pub rate: BitRate,
    /// What it holds.
    pub burst: Bytes,
}

/// Losses in bursts (Gilbert 1960): the link is good or bad, each packet may change that, and a bad link loses some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// From good to bad, in parts per million of packets.
    pub enter_ppm: u32,
    /// From bad to good. The mean burst has a million divided by this packets.
    pub leave_ppm: u32,
    /// Lost while bad.
    pub loss_ppm: u32,
}

impl Default for LinkModel {
    /// A perfect link.
    fn default() -> Self {
        Self {
            rate: None,
            queue: Bytes(256 * 1024),
            queue_time: None,
            policer: None,
            mark_over: None,
            delay: Span::ZERO,
            jitter: Span::ZERO,
            loss_ppm: 0,
            burst: None,
            reorder_ppm: 0,
            reorder_by: Span::millis(3),
            duplicate_ppm: 0,
            mtu: None,
            filter: None,
        }
    }
}

/// What went through one direction. Bytes are those of [`Packet::bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Count {
    /// Packets that came.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Packets delivered, copies included.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Lost at random or in bursts.
    pub lost: u64,
    /// Dropped at the full queue, or by the policer.
    pub queue_dropped: u64,
    /// Marked as having met congestion.
    pub marked: u64,
    /// Dropped because they were larger than the link's MTU.
    pub too_large: u64,
    /// Dropped for their mark.
    pub filtered: u64,
    /// Dropped in a blackout.
    pub blacked_out: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Held back so that others overtake.
    pub reordered: u64,
    /// Bytes now waiting in the bottleneck's queue, headers included.
    pub queued: u64,
}

/// What goes over a link.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Whose it is; the link does not look at it.
    pub flow: u64,
    /// What the owner wants carried.
    pub bytes: Vec<u8>,
    /// Its traffic class, where the owner knows it.
    pub class: u8,
}

/// One direction's state. Times are microseconds of the owner's clock.
#[derive(Debug)]
pub struct Link {
    model: LinkModel,
    /// Bytes of headers that a packet's owner does not see, counted against the rate.
    headers: u64,
    rng: Rng,
    bad: bool,
    /// What the policer's bucket lacks, in bits times a million, and when that was so.
    owed: (u64, u64),
    queue: VecDeque<Packet>,
    /// When the head of the queue has left the bottleneck, in nanoseconds: at 1 Gbit/s a packet takes 12 us, and
    /// rounding each would make the link faster than it says.
    head_done: Option<u64>,
    flying: BTreeMap<(u64, u64), Packet>,
    last_due: u64,
    serial: u64,
    /// Nothing passes; what flies already arrives.
    pub black: bool,
    /// What went through so far.
    pub count: Count,
}

impl Link {
    /// An empty link. `headers` are bytes that each packet has on the wire beyond [`Packet::bytes`]; `seed` decides which
    /// packets are lost.
    pub fn new(model: LinkModel, headers: u64, seed: u64) -> Self {
        Self {
            model,
            headers,
            rng: Rng::new(seed),
            bad: false,
            owed: (0, 0),
            queue: VecDeque::new(),
            head_done: None,
            flying: BTreeMap::new(),
            last_due: 0,
            serial: 0,
            black: false,
            count: Count::default(),
        }
    }

    /// What the link does now.
    pub fn model(&self) -> &LinkModel {
        &self.model
    }

    fn on_wire(&self, packet: &Packet) -> u64 {
        packet.bytes.len() as u64 + self.headers
    }

    /// Nanoseconds in the bottleneck.
    fn passage(&self, bytes: u64) -> u64 {
        let rate = self.model.rate.map_or(u64::MAX, |r| r.as_bps().max(1));
        u64::try_from(u128::from(bytes) * 8_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX)
    }

    /// How long a packet that came now would wait for those before it.
    pub fn wait(&self) -> Span {
        Span::micros(self.passage(self.count.queued) / 1000)
    }

    /// Changes the link from `now` on. What has left the bottleneck flies on as it was.
    pub fn set(&mut self, now: u64, model: LinkModel) {
        self.model = model;
        // The head starts over at the new rate: at most one packet's error.
        self.head_done =
            self.queue.front().map(|p| now.saturating_mul(1000).saturating_add(self.passage(self.on_wire(p))));
    }

    /// A packet enters.
    pub fn push(&mut self, now: u64, mut packet: Packet) {
        self.count.packets_in += 1;
        self.count.bytes_in += packet.bytes.len() as u64;
        let size = self.on_wire(&packet);
        if self.model.mtu.is_some_and(|mtu| size > u64::from(mtu)) {
            self.count.too_large += 1;
            return;
        }
        if self.model.filter.is_some_and(|f| f.drops(packet.class)) {
            self.count.filtered += 1;
            return;
        }
        if self.model.policer.is_some_and(|p| !self.passes(p, now, size)) {
            self.count.queue_dropped += 1;
            return;
        }
        if self.model.rate.is_none() && self.queue.is_empty() {
            return self.launch(now, packet);
        }
        let late = self.model.queue_time.is_some_and(|most| self.wait() > most);
        if late || self.count.queued + size > self.model.queue.0 || self.queue.len() >= MOST_HELD {
            self.count.queue_dropped += 1;
            return;
        }
        if matches!(packet.class & 3, 1 | 2) && self.model.mark_over.is_some_and(|over| self.wait() > over) {
            packet.class |= 3;
            self.count.marked += 1;
        }
        self.count.queued += size;
        if self.queue.is_empty() {
            self.head_done = Some(now.saturating_mul(1000).saturating_add(self.passage(size)));
        }
        self.queue.push_back(packet);
    }

    /// Whether the policer has tokens for a packet; it takes them.
    fn passes(&mut self, p: Policer, now: u64, size: u64) -> bool {
        // In bits times a million a microsecond refills just the rate.
        let scaled = |bytes: u64| bytes.saturating_mul(8_000_000);
        let filled = p.rate.as_bps().saturating_mul(now.saturating_sub(self.owed.1));
        let owed = self.owed.0.saturating_sub(filled).saturating_add(scaled(size));
        let passes = owed <= scaled(p.burst.0);
        self.owed = (if passes { owed } else { owed - scaled(size) }, now);
        passes
    }

    /// A packet leaves the bottleneck at `t`.
    fn launch(&mut self, t: u64, packet: Packet) {
        if self.black {
            self.count.blacked_out += 1;
            return;
        }
        let mut lost = self.rng.chance_ppm(self.model.loss_ppm);
        if let Some(burst) = self.model.burst {
            let change = if self.bad { burst.leave_ppm } else { burst.enter_ppm };
            self.bad ^= self.rng.chance_ppm(change);
            lost |= self.rng.chance_ppm(burst.loss_ppm) && self.bad;
        }
        if lost || self.flying.len() >= MOST_HELD {
            self.count.lost += 1;
            return;
        }
        let jitter = self.rng.below(self.model.jitter.as_micros().saturating_add(1));
        let mut due = t.saturating_add(self.model.delay.as_micros()).saturating_add(jitter).max(self.last_due);
        if self.rng.chance_ppm(self.model.reorder_ppm) {
            self.count.reordered += 1;
            due = due.saturating_add(self.model.reorder_by.as_micros());
        } else {
            self.last_due = due;
        }
        if self.rng.chance_ppm(self.model.duplicate_ppm) {
            self.count.duplicated += 1;
            self.fly(due, packet.clone());
        }
        self.fly(due, packet);
    }

    fn fly(&mut self, due: u64, packet: Packet) {
        self.serial += 1;
        self.flying.insert((due, self.serial), packet);
    }

    /// The next packet that has arrived by `now`.
    pub fn pop(&mut self, now: u64) -> Option<Packet> {
        while let Some(done) = self.head_done.filter(|d| *d <= now.saturating_mul(1000)) {
            if let Some(packet) = self.queue.pop_front() {
                self.count.queued = self.count.queued.saturating_sub(self.on_wire(&packet));
                self.launch(done.div_ceil(1000), packet);
            }
            self.head_done = self.queue.front().map(|p| done.saturating_add(self.passage(self.on_wire(p))));
        }
        let first = self.flying.first_entry().filter(|e| e.key().0 <= now)?;
        let packet = first.remove();
        self.count.packets_out += 1;
        self.count.bytes_out += packet.bytes.len() as u64;
        Some(packet)
    }

    /// When to look again.
    pub fn next(&self) -> Option<u64> {
        let landing = self.flying.first_key_value().map(|(k, _)| k.0);
        landing.into_iter().chain(self.head_done.map(|ns| ns.div_ceil(1000))).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: u64 = 28;

    fn packet(n: u8) -> Packet {
        Packet { flow: 1, bytes: vec![n; 972], class: 0 }
    }

    /// Every arrival up to `until`, stepping the clock from event to event.
    fn arrivals(link: &mut Link, until: u64) -> Vec<(u64, u8)> {
        let mut out = Vec::new();
        while let Some(t) = link.next().filter(|t| *t <= until) {
            while let Some(p) = link.pop(t) {
                out.push((t, p.bytes[0]));
            }
        }
        out
    }

    #[test]
    fn the_bottleneck_spaces_and_the_queue_drops() {
        // 1000 B on the wire at 8 Mbit/s take 1 ms.
        let model = LinkModel {
            rate: Some(BitRate::mbps(8)),
            queue: Bytes(3_000),
            delay: Span::millis(10),
            ..LinkModel::default()
        };
        let mut link = Link::new(model, HEADERS, 1);
        (0..5).for_each(|n| link.push(0, packet(n)));
        assert_eq!(link.count.queue_dropped, 2);
        assert_eq!(arrivals(&mut link, 100_000), [(11_000, 0), (12_000, 1), (13_000, 2)]);
        assert_eq!(link.count.queued, 0);
    }

    #[test]
    fn a_policer_lets_its_rate_through_and_so_much_at_once() {
        let policer = Some(Policer { rate: BitRate::mbps(8), burst: Bytes(3_000) });
        let mut link = Link::new(LinkModel { policer, ..LinkModel::default() }, HEADERS, 1);
        // Packets of 1000 B: three at once, then one each millisecond.
        (0..5).for_each(|n| link.push(0, packet(n)));
        assert_eq!(link.count.queue_dropped, 2);
        (1..=10_u64).for_each(|ms| (0..2).for_each(|n| link.push(ms * 1_000, packet(n))));
        assert_eq!((link.count.packets_in, link.count.queue_dropped), (25, 12));
        // A rest fills the bucket, and not more than that.
        (0..5).for_each(|n| link.push(1_000_000, packet(n)));
        assert_eq!(link.count.queue_dropped, 14);
        assert!(arrivals(&mut link, 2_000_000).iter().all(|(t, _)| t % 1_000 == 0), "nothing waits");
    }

    #[test]
    fn a_rate_change_holds_for_what_waits() {
        let model = LinkModel { rate: Some(BitRate::mbps(8)), ..LinkModel::default() };
        let mut link = Link::new(model, HEADERS, 1);
        (0..3).for_each(|n| link.push(0, packet(n)));
        assert_eq!(arrivals(&mut link, 1_000), [(1_000, 0)]);
        link.set(1_000, LinkModel { rate: Some(BitRate::kbps(800)), ..model });
        assert_eq!(arrivals(&mut link, 100_000), [(11_000, 1), (21_000, 2)]);
    }

    #[test]
    fn loss_is_as_said_and_the_same_for_a_seed() {
        let run = |seed| {
            let model = LinkModel { loss_ppm: 100_000, duplicate_ppm: 10_000, ..LinkModel::default() };
            let mut link = Link::new(model, HEADERS, seed);
            (0..20_000u64).for_each(|t| link.push(t, packet(0)));
            arrivals(&mut link, 30_000);
            link.count
        };
        let count = run(5);
        assert_eq!(count, run(5));
        assert!((1_800..2_200).contains(&count.lost), "{count:?}");
        assert_eq!(count.packets_out, count.packets_in - count.lost + count.duplicated);
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_breaks_it() {
        let order = |model: LinkModel| {
            let mut link = Link::new(model, HEADERS, 9);
            (0..200).for_each(|n| link.push(u64::from(n) * 100, packet(n)));
            arrivals(&mut link, 1_000_000).into_iter().map(|a| a.1).collect::<Vec<_>>()
        };
        let jitter = LinkModel { delay: Span::millis(1), jitter: Span::millis(5), ..LinkModel::default() };
        assert!(order(jitter).is_sorted());
        let reorder = LinkModel { reorder_ppm: 50_000, ..jitter };
        let got = order(reorder);
        assert!(!got.is_sorted() && got.len() == 200);
    }

    #[test]
    fn small_packets_do_not_gain_by_rounding() {
        // 100 B on the wire at 1 Gbit/s take 0.8 us.
        let model = LinkModel { rate: Some(BitRate::mbps(1000)), ..LinkModel::default() };
        let mut link = Link::new(model, 0, 1);
        (0..1000).for_each(|_| link.push(0, Packet { flow: 1, bytes: vec![0; 100], class: 0 }));
        assert_eq!(link.wait(), Span::micros(800));
        assert_eq!(arrivals(&mut link, 10_000).last().map(|a| a.0), Some(800));
    }

    #[test]
    fn a_queue_in_milliseconds_follows_the_rate() {
        // 1000 B at 8 Mbit/s wait 1 ms each: with 4 of them before it, a fifth waits 4 ms.
        let model =
            LinkModel { rate: Some(BitRate::mbps(8)), queue_time: Some(Span::millis(4)), ..LinkModel::default() };
        let mut link = Link::new(model, HEADERS, 1);
        (0..9).for_each(|n| link.push(0, packet(n)));
        assert_eq!(link.count.queue_dropped, 4);
        link.set(0, LinkModel { rate: Some(BitRate::mbps(80)), ..model });
        (0..9).for_each(|n| link.push(0, packet(n)));
        assert_eq!(link.count.queue_dropped, 4, "ten times faster, all wait less than that");
    }

    #[test]
    fn bursts_lose_neighbours() {
        // Bad for 1 packet in 11, ten in a row: 1 in 22 lost, and half of those that follow a lost one.
        let burst = Burst { enter_ppm: 10_000, leave_ppm: 100_000, loss_ppm: 500_000 };
        let mut link = Link::new(LinkModel { burst: Some(burst), ..LinkModel::default() }, HEADERS, 3);
        let fates: Vec<bool> = (0..100_000u64)
            .map(|t| {
                let before = link.count.lost;
                link.push(t, packet(0));
                link.count.lost > before
            })
            .collect();
        let lost = fates.iter().filter(|l| **l).count();
        let pairs = fates.windows(2).filter(|w| w[0] && w[1]).count();
        assert!((4_000..5_100).contains(&lost), "{lost}");
        assert!(pairs * 100 / lost > 40, "{pairs} of {lost} are followed by another");
    }

    #[test]
    fn what_is_larger_than_the_mtu_is_gone() {
        let mut link = Link::new(LinkModel { mtu: Some(999), ..LinkModel::default() }, HEADERS, 1);
        link.push(0, packet(0));
        link.push(0, Packet { flow: 1, bytes: vec![1; 971], class: 0 });
        assert_eq!(arrivals(&mut link, 10), [(0, 1)]);
        assert_eq!(link.count.too_large, 1);
    }

    #[test]
    fn a_blackout_drops_and_ends() {
        let mut link = Link::new(LinkModel::default(), HEADERS, 1);
        link.black = true;
        link.push(0, packet(1));
        link.black = false;
        link.push(5, packet(2));
        assert_eq!(arrivals(&mut link, 10), [(5, 2)]);
        assert_eq!(link.count.blacked_out, 1);
    }
}
