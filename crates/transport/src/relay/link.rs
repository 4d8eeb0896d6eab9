//! One direction of the emulated link: bottleneck with a drop-tail queue, then loss, propagation, jitter and reordering.
//!
//! No clock and no socket: packets go in with the time they came, and come out when asked for what has arrived by then.

use std::collections::{BTreeMap, VecDeque};
use telepane_model::{BitRate, Bytes, Rng, Span};

/// IPv4 and UDP headers, counted against a link's rate.
const HEADERS: u64 = 28;
/// Packets held in one direction, whatever the model says.
const MOST_HELD: usize = 200_000;

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkModel {
    /// The bottleneck; `None` is as fast as the machine.
    pub rate: Option<BitRate>,
    /// What the bottleneck's queue holds; a packet that does not fit is dropped.
    pub queue: Bytes,
    /// Propagation, one way.
    pub delay: Span,
    /// Up to this much more, evenly distributed; keeps the order.
    pub jitter: Span,
    /// Lost at random, after the bottleneck, in parts per million.
    pub loss_ppm: u32,
    /// Held back by `reorder_by`, so that later ones overtake, in parts per million.
    pub reorder_ppm: u32,
    /// How long a reordered packet is held back.
    pub reorder_by: Span,
    /// Delivered twice, in parts per million.
    pub duplicate_ppm: u32,
}

impl Default for LinkModel {
    /// A perfect link.
    fn default() -> Self {
        Self {
            rate: None,
            queue: Bytes(256 * 1024),
            delay: Span::ZERO,
            jitter: Span::ZERO,
            loss_ppm: 0,
            reorder_ppm: 0,
            reorder_by: Span::millis(3),
            duplicate_ppm: 0,
        }
    }
}

/// What went through one direction. Bytes are UDP payload.
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
    /// Lost at random.
    pub lost: u64,
    /// Dropped at the full queue.
    pub queue_dropped: u64,
    /// Dropped in a blackout.
    pub blacked_out: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Held back so that others overtake.
    pub reordered: u64,
    /// Bytes now waiting in the bottleneck's queue.
    pub queued: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) flow: u64,
    pub(super) bytes: Vec<u8>,
}

impl Packet {
    fn on_wire(&self) -> Bytes {
        Bytes(self.bytes.len() as u64 + HEADERS)
    }
}

/// One direction's state. Times are microseconds of the relay's clock.
#[derive(Debug)]
pub(super) struct Link {
    model: LinkModel,
    rng: Rng,
    queue: VecDeque<Packet>,
    /// When the head of the queue has left the bottleneck.
    head_done: Option<u64>,
    flying: BTreeMap<(u64, u64), Packet>,
    last_due: u64,
    serial: u64,
    pub(super) black: bool,
    pub(super) count: Count,
}

impl Link {
    pub(super) fn new(model: LinkModel, seed: u64) -> Self {
        Self {
            model,
            rng: Rng::new(seed),
            queue: VecDeque::new(),
            head_done: None,
            flying: BTreeMap::new(),
            last_due: 0,
            serial: 0,
            black: false,
            count: Count::default(),
        }
    }

    fn passage(&self, packet: &Packet) -> u64 {
        self.model.rate.map_or(0, |r| r.time_for(packet.on_wire()).as_micros())
    }

    pub(super) fn set(&mut self, now: u64, model: LinkModel) {
        self.model = model;
        // The head starts over at the new rate: at most one packet's error.
        self.head_done = self.queue.front().map(|p| now.saturating_add(self.passage(p)));
    }

    /// A packet enters.
    pub(super) fn push(&mut self, now: u64, packet: Packet) {
        self.count.packets_in += 1;
        self.count.bytes_in += packet.bytes.len() as u64;
        let size = packet.on_wire().0;
        if self.model.rate.is_none() && self.queue.is_empty() {
            return self.launch(now, packet);
        }
        if self.count.queued + size > self.model.queue.0 || self.queue.len() >= MOST_HELD {
            self.count.queue_dropped += 1;
            return;
        }
        self.count.queued += size;
        if self.queue.is_empty() {
            self.head_done = Some(now.saturating_add(self.passage(&packet)));
        }
        self.queue.push_back(packet);
    }

    /// A packet leaves the bottleneck at `t`.
    fn launch(&mut self, t: u64, packet: Packet) {
        if self.black {
            self.count.blacked_out += 1;
            return;
        }
        if self.rng.chance_ppm(self.model.loss_ppm) || self.flying.len() >= MOST_HELD {
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
    pub(super) fn pop(&mut self, now: u64) -> Option<Packet> {
        while let Some(done) = self.head_done.filter(|d| *d <= now) {
            if let Some(packet) = self.queue.pop_front() {
                self.count.queued = self.count.queued.saturating_sub(packet.on_wire().0);
                self.launch(done, packet);
            }
            self.head_done = self.queue.front().map(|p| done.saturating_add(self.passage(p)));
        }
        let first = self.flying.first_entry().filter(|e| e.key().0 <= now)?;
        let packet = first.remove();
        self.count.packets_out += 1;
        self.count.bytes_out += packet.bytes.len() as u64;
        Some(packet)
    }

    /// When to look again.
    pub(super) fn next(&self) -> Option<u64> {
        let landing = self.flying.first_key_value().map(|(k, _)| k.0);
        landing.into_iter().chain(self.head_done).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(n: u8) -> Packet {
        Packet { flow: 1, bytes: vec![n; 972] }
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
        let mut link = Link::new(model, 1);
        (0..5).for_each(|n| link.push(0, packet(n)));
        assert_eq!(link.count.queue_dropped, 2);
        assert_eq!(arrivals(&mut link, 100_000), [(11_000, 0), (12_000, 1), (13_000, 2)]);
        assert_eq!(link.count.queued, 0);
    }

    #[test]
    fn a_rate_change_holds_for_what_waits() {
        let model = LinkModel { rate: Some(BitRate::mbps(8)), ..LinkModel::default() };
        let mut link = Link::new(model, 1);
        (0..3).for_each(|n| link.push(0, packet(n)));
        assert_eq!(arrivals(&mut link, 1_000), [(1_000, 0)]);
        link.set(1_000, LinkModel { rate: Some(BitRate::kbps(800)), ..model });
        assert_eq!(arrivals(&mut link, 100_000), [(11_000, 1), (21_000, 2)]);
    }

    #[test]
    fn loss_is_as_said_and_the_same_for_a_seed() {
        let run = |seed| {
            let model = LinkModel { loss_ppm: 100_000, duplicate_ppm: 10_000, ..LinkModel::default() };
            let mut link = Link::new(model, seed);
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
            let mut link = Link::new(model, 9);
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
    fn a_blackout_drops_and_ends() {
        let mut link = Link::new(LinkModel::default(), 1);
        link.black = true;
        link.push(0, packet(1));
        link.black = false;
        link.push(5, packet(2));
        assert_eq!(arrivals(&mut link, 10), [(5, 2)]);
        assert_eq!(link.count.blacked_out, 1);
    }
}
