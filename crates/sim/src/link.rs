//! One direction of a path: rate with a drop-tail queue, delay, jitter, loss, duplicates, blackout.

use std::collections::BTreeMap;
use telepane_model::{BitRate, Bytes, Rng, Span};

/// What a direction does to packets. Plain numbers, so that a scenario can be saved and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkModel {
    /// Bottleneck; `None` is as fast as one likes.
    pub rate: Option<BitRate>,
    /// What the bottleneck's queue holds.
    pub queue: Bytes,
    /// One way.
    pub delay: Span,
    /// Up to this much more, at random: packets overtake each other.
    pub jitter: Span,
    /// Lost at random, in millionths.
    pub loss_ppm: u32,
    /// Doubled at random, in millionths.
    pub duplicate_ppm: u32,
    /// Nothing passes.
    pub blackout: bool,
}

impl LinkModel {
    /// A path without faults.
    pub const fn clean(rate: BitRate, delay: Span) -> Self {
        Self {
            rate: Some(rate),
            queue: Bytes(250_000),
            delay,
            jitter: Span::ZERO,
            loss_ppm: 0,
            duplicate_ppm: 0,
            blackout: false,
        }
    }

    /// The same with random loss, in percent.
    pub const fn losing(mut self, percent: u32) -> Self {
        self.loss_ppm = percent * 10_000;
        self
    }

    /// The same with jitter, so that packets overtake each other.
    pub const fn jittery(mut self, jitter: Span) -> Self {
        self.jitter = jitter;
        self
    }
}

/// What IP, UDP and QUIC add to a packet with one datagram.
const OVERHEAD: u64 = 51;
/// What one more datagram in it costs: its frame's type and length.
const FRAME: u64 = 3;
/// What a packet carries at least on every path, headers included; datagrams that leave at one instant share it.
const PACKET: u64 = 1_228;

/// The packet that left last, and what became of it.
#[derive(Clone, Copy, Debug)]
struct Open {
    left: u64,
    size: u64,
    /// When it arrives, and whether twice.
    arrives: Option<(u64, bool)>,
}

/// A direction with what is on it.
#[derive(Debug)]
pub struct Path {
    /// What it does now.
    pub model: LinkModel,
    rng: Rng,
    free_at: u64,
    open: Option<Open>,
    on_the_way: BTreeMap<(u64, u64), Vec<u8>>,
    count: u64,
    /// Bytes offered, headers included.
    pub offered: u64,
    /// Packets offered.
    pub packets: u64,
    /// So many packets more are lost, whatever the model says.
    pub lose_next: u32,
    /// When a packet first passed since this was cleared.
    pub passed_at: Option<u64>,
    /// Packets lost, for whatever reason.
    pub lost: u64,
    /// The longest a packet waited in the queue, in microseconds.
    pub worst_queue: u64,
}

impl Path {
    /// An empty path.
    pub const fn new(model: LinkModel, seed: u64) -> Self {
        Self {
            model,
            rng: Rng::new(seed),
            free_at: 0,
            open: None,
            on_the_way: BTreeMap::new(),
            count: 0,
            offered: 0,
            packets: 0,
            lose_next: 0,
            passed_at: None,
            lost: 0,
            worst_queue: 0,
        }
    }

    /// A datagram enters at `now` (microseconds of the world), in the packet that left at this instant if it fits. False
    /// when it is lost.
    pub fn push(&mut self, now: u64, packet: Vec<u8>) -> bool {
        // The draws are made for every datagram, so that one lost packet does not change the fate of the others.
        let (lost, doubled) = (self.rng.chance_ppm(self.model.loss_ppm), self.rng.chance_ppm(self.model.duplicate_ppm));
        let jitter = self.rng.below(self.model.jitter.as_micros() + 1);
        let frame = packet.len() as u64 + FRAME;
        if let Some(open) = self.open.as_mut().filter(|o| o.left == now && o.size + frame <= PACKET) {
            open.size += frame;
            self.offered += frame;
            let Some((at, doubled)) = open.arrives else { return false };
            let late = self.model.rate.map_or(0, |rate| rate.time_for(Bytes(frame)).as_micros());
            self.free_at += late;
            open.arrives = Some((at + late, doubled));
            self.arrive(at + late, packet.clone());
            if doubled {
                self.arrive(at + late + 500, packet);
            }
            return true;
        }
        let size = packet.len() as u64 + OVERHEAD;
        self.offered += size;
        self.packets += 1;
        self.open = Some(Open { left: now, size, arrives: None });
        let waits = self.free_at.saturating_sub(now);
        let full =
            self.model.rate.is_some_and(|r| r.bytes_in(Span::micros(waits)).0 + size > self.model.queue.0.max(size));
        let chosen = self.lose_next > 0;
        self.lose_next = self.lose_next.saturating_sub(1);
        if self.model.blackout || lost || full || chosen {
            self.lost += 1;
            return false;
        }
        self.passed_at = self.passed_at.or(Some(now));
        let start = self.free_at.max(now);
        if let Some(rate) = self.model.rate {
            self.free_at = start + rate.time_for(Bytes(size)).as_micros();
            self.worst_queue = self.worst_queue.max(waits);
        } else {
            self.free_at = start;
        }
        let at = self.free_at + self.model.delay.as_micros() + jitter;
        self.open = Some(Open { left: now, size, arrives: Some((at, doubled)) });
        self.arrive(at, packet.clone());
        if doubled {
            self.arrive(at + 500, packet);
        }
        true
    }

    fn arrive(&mut self, at: u64, packet: Vec<u8>) {
        self.count += 1;
        self.on_the_way.insert((at, self.count), packet);
    }

    /// A packet that nobody sent comes out of the far end at `now`.
    pub fn inject(&mut self, now: u64, packet: Vec<u8>) {
        self.arrive(now, packet);
    }

    /// When the next packet leaves the far end.
    pub fn next_at(&self) -> Option<u64> {
        self.on_the_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next packet that has arrived by `now`.
    pub fn pop(&mut self, now: u64) -> Option<Vec<u8>> {
        if self.next_at()? > now {
            return None;
        }
        self.on_the_way.pop_first().map(|(_, packet)| packet)
    }

    /// What is on the way is gone (a cable pulled).
    pub fn cut(&mut self) {
        self.on_the_way.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_drains_at_the_links_rate() {
        let mut p = Path::new(LinkModel::clean(BitRate::mbps(8), Span::millis(10)), 1);
        for _ in 0..10 {
            p.push(0, vec![0; 1_000 - OVERHEAD as usize]);
        }
        let mut last = 0;
        while let Some(at) = p.next_at() {
            p.pop(at);
            last = at;
        }
        assert_eq!(last, 10_000 + 10 * 1_000);
    }

    #[test]
    fn what_leaves_at_one_instant_shares_a_packet_and_its_fate() {
        let mut p = Path::new(LinkModel::clean(BitRate::mbps(8), Span::millis(10)), 1);
        p.push(0, vec![1; 49]);
        p.push(0, vec![2; 47]);
        assert_eq!((p.packets, p.offered), (1, 100 + 50));
        p.push(0, vec![3; 1_200]);
        p.push(1, vec![4; 10]);
        assert_eq!(p.packets, 3, "it does not fit, and later is another packet");
        p.lose_next = 1;
        p.push(2, vec![5; 10]);
        p.push(2, vec![6; 10]);
        let mut came = Vec::new();
        while let Some(at) = p.next_at() {
            came.extend(p.pop(at).map(|packet| (at, packet.first().copied())));
        }
        let order: Vec<_> = came.iter().map(|(_, first)| *first).collect();
        assert_eq!(order, [Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!((came[0].0, came[1].0), (10_100, 10_150));
    }

    #[test]
    fn a_full_queue_drops() {
        let model = LinkModel { queue: Bytes(3_000), ..LinkModel::clean(BitRate::mbps(8), Span::ZERO) };
        let mut p = Path::new(model, 1);
        for _ in 0..10 {
            p.push(0, vec![0; 1_000 - OVERHEAD as usize]);
        }
        assert_eq!(p.lost, 7);
    }
}
