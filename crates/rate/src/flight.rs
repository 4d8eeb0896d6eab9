//! Which packets are on the way, which arrived, which are lost.
//!
//! Packets are kept in the order of their numbers. Loss follows RFC 9002 section 6.1 (three later packets, or 9/8 of a
//! round trip), with one difference: the peer lists what it misses, so a packet that is neither reported nor missed may
//! only have lost its report, and gets [`UNKNOWN_GRACE`] more. Bounded: [`MOST`] packets on the way, [`LATE_MOST`] lost
//! ones remembered in case they turn up.

use crate::facts::{LostBy, LostPacket};
use std::collections::VecDeque;
use telepane_model::Bytes;

/// Packets kept as being on the way. More than 2 MiB of them at 128 B each.
const MOST: usize = 16_384;
/// Lost packets remembered in case they turn up, and losses not yet fetched.
const LATE_MOST: usize = 512;
const TOLD_MOST: usize = 4_096;
/// Packets arrived later than a missing one before it counts as lost (RFC 9002's kPacketThreshold).
const PACKET_THRESHOLD: u64 = 3;
/// Seconds more for a packet of which nothing is known: five feedback intervals.
const UNKNOWN_GRACE: f64 = 0.025;

/// A packet as it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flown {
    pub seq: u64,
    pub bytes: f64,
    /// When it left, in seconds.
    pub sent: f64,
    /// The queueing delay our own packets in front of it explain, in seconds.
    pub explained: f64,
    /// Part of a probe.
    pub probe: bool,
    /// Part of a turn of bulk.
    pub bulk: bool,
    /// The peer said it misses it.
    missing: bool,
    /// Arrived or lost; kept only until the packets in front are.
    done: bool,
}

impl Flown {
    pub(crate) fn new(seq: u64, bytes: f64, sent: f64, explained: f64, probe: bool) -> Self {
        Self { seq, bytes, sent, explained, probe, bulk: false, missing: false, done: false }
    }
}

/// What an arrival report means.
pub(crate) enum Landed {
    /// It was on the way.
    Fresh(Flown),
    /// It had been given up, and why.
    Late(Flown, LostBy),
}

#[derive(Default)]
pub(crate) struct Flight {
    packets: VecDeque<Flown>,
    late: VecDeque<(Flown, LostBy)>,
    told: VecDeque<LostPacket>,
    in_flight: f64,
    open: usize,
    newest_sent: Option<u64>,
    newest_arrived: Option<u64>,
}

impl Flight {
    /// Takes a packet in; false if its number is not above every earlier one (then it is ignored).
    pub(crate) fn sent(&mut self, packet: Flown) -> bool {
        if self.newest_sent.is_some_and(|n| packet.seq <= n) {
            return false;
        }
        self.newest_sent = Some(packet.seq);
        while self.packets.len() >= MOST {
            if let Some(oldest) = self.packets.pop_front()
                && !oldest.done
            {
                self.open -= 1;
                self.give_up(oldest, LostBy::Silence);
            }
        }
        self.in_flight += packet.bytes;
        self.open += 1;
        self.packets.push_back(packet);
        true
    }

    /// The peer reports an arrival. None: never sent, or told before.
    // spec: T-1
    pub(crate) fn arrived(&mut self, seq: u64) -> Option<Landed> {
        if self.newest_sent.is_none_or(|n| seq > n) {
            return None;
        }
        if let Ok(i) = self.packets.binary_search_by_key(&seq, |p| p.seq) {
            let packet = self.packets.get_mut(i)?;
            if !packet.done {
                packet.done = true;
                let packet = *packet;
                self.close(packet.bytes);
                self.newest_arrived = self.newest_arrived.max(Some(seq));
                return Some(Landed::Fresh(packet));
            }
        }
        let i = self.late.iter().position(|(p, _)| p.seq == seq)?;
        self.newest_arrived = self.newest_arrived.max(Some(seq));
        self.late.remove(i).map(|(packet, by)| Landed::Late(packet, by))
    }

    /// The peer says it misses this one.
    pub(crate) fn missed(&mut self, seq: u64) {
        if let Ok(i) = self.packets.binary_search_by_key(&seq, |p| p.seq)
            && let Some(packet) = self.packets.get_mut(i)
        {
            packet.missing = true;
        }
    }

    /// Finds what is lost by now because later packets arrived; `rtt` is the greater of the smoothed and the latest
    /// round trip in seconds.
    pub(crate) fn overdue(&mut self, now: f64, rtt: f64, mut each: impl FnMut(&Flown)) {
        self.trim();
        let Some(newest) = self.newest_arrived else { return };
        let patience = rtt * 1.125 + 0.001;
        for i in 0..self.packets.len() {
            let Some(packet) = self.packets.get_mut(i) else { break };
            if packet.seq >= newest {
                break;
            }
            let overtaken = packet.missing && packet.seq.saturating_add(PACKET_THRESHOLD) <= newest;
            let grace = if packet.missing { 0.0 } else { UNKNOWN_GRACE };
            if packet.done || !(overtaken || now - packet.sent > patience + grace) {
                continue;
            }
            packet.done = true;
            let packet = *packet;
            self.close(packet.bytes);
            each(&packet);
            self.remember(packet, LostBy::Later);
        }
        self.trim();
    }

    /// When the next packet would count as lost by time alone, in seconds; only packets overtaken by an arrival do.
    pub(crate) fn next_overdue(&self, rtt: f64) -> Option<f64> {
        let newest = self.newest_arrived?;
        let open = self.packets.iter().find(|p| !p.done).filter(|p| p.seq < newest)?;
        let grace = if open.missing { 0.0 } else { UNKNOWN_GRACE };
        Some(open.sent + rtt * 1.125 + 0.001 + grace)
    }

    /// Gives up what was sent before `before`, because nothing is heard.
    pub(crate) fn silence(&mut self, before: f64) {
        for i in 0..self.packets.len() {
            let Some(packet) = self.packets.get_mut(i) else { break };
            if packet.sent > before {
                break;
            }
            if packet.done {
                continue;
            }
            packet.done = true;
            let packet = *packet;
            self.close(packet.bytes);
            self.remember(packet, LostBy::Silence);
        }
        self.trim();
    }

    /// Bytes on the way.
    pub(crate) fn bytes(&self) -> f64 {
        self.in_flight
    }

    /// Whether nothing is on the way.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// When the oldest packet on the way left, in seconds.
    pub(crate) fn oldest(&self) -> Option<f64> {
        self.packets.iter().find(|p| !p.done).map(|p| p.sent)
    }

    /// Losses not told yet.
    pub(crate) fn lost(&mut self) -> impl Iterator<Item = LostPacket> + '_ {
        self.told.drain(..)
    }

    fn close(&mut self, bytes: f64) {
        self.open = self.open.saturating_sub(1);
        // Sums of floats leave crumbs; an empty flight is exactly empty.
        self.in_flight = if self.open == 0 { 0.0 } else { (self.in_flight - bytes).max(0.0) };
    }

    fn give_up(&mut self, packet: Flown, by: LostBy) {
        self.in_flight = (self.in_flight - packet.bytes).max(0.0);
        self.remember(packet, by);
    }

    fn remember(&mut self, packet: Flown, by: LostBy) {
        if self.late.len() >= LATE_MOST {
            self.late.pop_front();
        }
        self.late.push_back((packet, by));
        if self.told.len() >= TOLD_MOST {
            self.told.pop_front();
        }
        self.told.push_back(LostPacket { seq: packet.seq, bytes: Bytes(packet.bytes as u64), by });
    }

    fn trim(&mut self) {
        while self.packets.front().is_some_and(|p| p.done) {
            self.packets.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(n: u64) -> Flight {
        let mut f = Flight::default();
        for seq in 0..n {
            assert!(f.sent(Flown::new(seq, 1000.0, seq as f64 * 0.001, 0.0, false)));
        }
        f
    }

    fn lost(f: &mut Flight) -> Vec<u64> {
        f.lost().map(|l| l.seq).collect()
    }

    #[test]
    fn a_missed_packet_is_lost_at_the_third_later_arrival() {
        let mut f = flight(10);
        for seq in [0, 2, 3] {
            f.arrived(seq);
        }
        f.missed(1);
        f.overdue(0.02, 0.1, |_| ());
        assert!(lost(&mut f).is_empty());
        f.arrived(4);
        f.overdue(0.02, 0.1, |_| ());
        assert_eq!(lost(&mut f), [1]);
        assert_eq!(f.bytes(), 5000.0);
        assert!(matches!(f.arrived(1), Some(Landed::Late(..))));
        assert!(f.arrived(1).is_none());
    }

    #[test]
    fn an_unknown_packet_waits_for_time() {
        let mut f = flight(10);
        f.arrived(9);
        f.overdue(0.05, 0.04, |_| ());
        assert!(lost(&mut f).is_empty());
        assert!((f.next_overdue(0.04).unwrap() - 0.071).abs() < 1e-9);
        f.overdue(0.0725, 0.04, |_| ());
        assert_eq!(lost(&mut f), [0, 1]);
    }

    // spec: T-1
    #[test]
    fn unsent_numbers_and_repeats_change_nothing() {
        let mut f = flight(3);
        assert!(!f.sent(Flown::new(2, 1.0, 1.0, 0.0, false)));
        assert!(f.arrived(3).is_none() && f.arrived(u64::MAX).is_none());
        f.missed(77);
        assert!(f.arrived(2).is_some() && f.arrived(2).is_none());
        assert_eq!(f.bytes(), 2000.0);
    }

    #[test]
    fn it_never_holds_more_than_its_bound() {
        let mut f = flight(40_000);
        assert_eq!(f.packets.len(), MOST);
        assert_eq!(f.bytes(), MOST as f64 * 1000.0);
        assert_eq!(f.lost().count(), TOLD_MOST);
        assert_eq!(f.late.len(), LATE_MOST);
        f.silence(1e9);
        assert!(f.is_empty() && f.bytes() == 0.0 && f.packets.is_empty());
    }
}
