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
/// Seconds more for a packet that only urgent ones have overtaken: it may stand in a queue that they do not wait in.
const OVERTAKEN_GRACE: f64 = 0.100;

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
    /// It may go ahead of others.
    pub urgent: bool,
    /// The peer said it misses it.
    missing: bool,
    /// Arrived or lost; kept only until the packets in front are.
    done: bool,
}

impl Flown {
    pub(crate) fn new(seq: u64, bytes: f64, sent: f64, explained: f64, probe: bool) -> Self {
        Self { seq, bytes, sent, explained, probe, bulk: false, urgent: false, missing: false, done: false }
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
    /// The same of those that are not urgent.
    newest_ordinary: Option<u64>,
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
                self.note_arrived(&packet);
                return Some(Landed::Fresh(packet));
            }
        }
        let i = self.late.iter().position(|(p, _)| p.seq == seq)?;
        let (packet, by) = self.late.remove(i)?;
        self.note_arrived(&packet);
        Some(Landed::Late(packet, by))
    }

    fn note_arrived(&mut self, packet: &Flown) {
        self.newest_arrived = self.newest_arrived.max(Some(packet.seq));
        if !packet.urgent {
            self.newest_ordinary = self.newest_ordinary.max(Some(packet.seq));
        }
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
    /// round trip in seconds. With `overtaking`, urgent packets say little of those that are not.
    // spec: T-5
    pub(crate) fn overdue(&mut self, now: f64, rtt: f64, overtaking: bool, mut each: impl FnMut(&Flown)) {
        self.trim();
        let Some(newest) = self.newest_arrived else { return };
        let ordinary = self.newest_ordinary;
        for i in 0..self.packets.len() {
            let Some(packet) = self.packets.get_mut(i) else { break };
            if packet.seq >= newest {
                break;
            }
            let ahead = overtaking && !packet.urgent;
            let (newest, patience) =
                (if ahead { ordinary } else { Some(newest) }, patience(packet, rtt, ahead, ordinary));
            let overtaken = packet.missing && newest.is_some_and(|n| packet.seq.saturating_add(PACKET_THRESHOLD) <= n);
            if packet.done || !(overtaken || now - packet.sent > patience) {
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
    pub(crate) fn next_overdue(&self, rtt: f64, overtaking: bool) -> Option<f64> {
        let newest = self.newest_arrived?;
        let open = self.packets.iter().find(|p| !p.done).filter(|p| p.seq < newest)?;
        Some(open.sent + patience(open, rtt, overtaking && !open.urgent, self.newest_ordinary))
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

/// Seconds after which a packet that later ones have passed counts as lost; `ahead`: urgent ones may have overtaken it.
fn patience(packet: &Flown, rtt: f64, ahead: bool, newest_ordinary: Option<u64>) -> f64 {
    let unknown = if packet.missing { 0.0 } else { UNKNOWN_GRACE };
    let overtaken = if ahead && newest_ordinary.is_none_or(|n| n < packet.seq) { OVERTAKEN_GRACE } else { 0.0 };
    rtt * 1.125 + 0.001 + unknown + overtaken
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
        f.overdue(0.02, 0.1, false, |_| ());
        assert!(lost(&mut f).is_empty());
        f.arrived(4);
        f.overdue(0.02, 0.1, false, |_| ());
        assert_eq!(lost(&mut f), [1]);
        assert_eq!(f.bytes(), 5000.0);
        assert!(matches!(f.arrived(1), Some(Landed::Late(..))));
        assert!(f.arrived(1).is_none());
    }

    #[test]
    fn an_unknown_packet_waits_for_time() {
        let mut f = flight(10);
        f.arrived(9);
        f.overdue(0.05, 0.04, false, |_| ());
        assert!(lost(&mut f).is_empty());
        assert!((f.next_overdue(0.04, false).unwrap() - 0.071).abs() < 1e-9);
        f.overdue(0.0725, 0.04, false, |_| ());
        assert_eq!(lost(&mut f), [0, 1]);
    }

    // spec: T-5
    #[test]
    fn what_urgent_packets_overtook_waits_for_ordinary_ones_or_longer() {
        let mut f = Flight::default();
        for seq in 0..10u64 {
            let mut packet = Flown::new(seq, 1000.0, seq as f64 * 0.001, 0.0, false);
            packet.urgent = seq > 4;
            assert!(f.sent(packet));
        }
        for seq in 0..5 {
            f.missed(seq);
        }
        for seq in 6..10 {
            f.arrived(seq);
        }
        f.overdue(0.02, 0.04, true, |_| ());
        assert!(lost(&mut f).is_empty(), "they may stand in a longer queue");
        f.missed(5);
        f.overdue(0.02, 0.04, true, |_| ());
        assert_eq!(lost(&mut f), [5], "its like have passed it");
        assert!((f.next_overdue(0.04, true).unwrap() - 0.146).abs() < 1e-9);
        f.arrived(4);
        f.overdue(0.02, 0.04, true, |_| ());
        assert_eq!(lost(&mut f), [0, 1], "its like have passed them, three of them");
        f.overdue(0.0495, 0.04, true, |_| ());
        assert_eq!(lost(&mut f), [2, 3]);
        // Without other queues the first four would have been lost at once.
        let mut f = flight(10);
        (0..5).for_each(|seq| f.missed(seq));
        assert!((6..10).all(|seq| f.arrived(seq).is_some()));
        f.overdue(0.02, 0.04, false, |_| ());
        assert_eq!(lost(&mut f), [0, 1, 2, 3, 4]);
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
