//! What others steer by, for comparison only: written from their specifications, each the law alone over one common sender.
//!
//! [`Classic`] is that sender: it keeps what is on the way, takes packets for lost as RFC 9002 section 6 does (three later
//! arrivals, 9/8 of a round trip, a probe timeout), and hands each feedback to a [`Law`] as a [`Round`]. The laws are
//! compact: what their papers call options is left out, and nobody should quote them as the upstream code.

mod bbr;
mod gcc;
mod window;

pub use bbr::Bbr;
pub use gcc::Gcc;
pub use window::WindowLaw;

use super::{Reporting, Steer};
use std::collections::BTreeMap;
use telepane_model::{BitRate, Budget, BudgetWhy, Bytes, HostClock, SentPacket, Span, Stamp, ViewerClock};
use telepane_rate::{FeedbackFacts, LostBy, LostPacket, Probe, SendClass, SendFacts};

/// Bytes of a full packet, as the laws calculate.
const MSS: f64 = super::PACKET as f64;

/// How fast, by what became of what was sent. Seconds and bytes.
pub trait Law {
    /// What it wants to hear.
    fn reporting(&self) -> Reporting {
        // QUIC: every second packet, after 25 ms (RFC 9000 section 13.2).
        Reporting { every: 2, after: 25_000_000, at_once: true }
    }
    /// A packet left.
    fn on_sent(&mut self, _now: f64, _bytes: f64, _in_flight: f64) {}
    /// Feedback came.
    fn on_round(&mut self, round: &Round<'_>);
    /// A probe to begin now: rate and bytes.
    fn probe(&mut self, _now: f64) -> Option<(f64, f64)> {
        None
    }
    /// Bytes that may be on the way.
    fn window(&self) -> f64;
    /// The pace of packets, and the bytes that may go at once.
    fn pace(&self, smoothed: f64) -> (f64, f64);
    /// What an encoder is told that it may produce.
    fn share(&self, smoothed: f64) -> f64;
}

/// One feedback, digested.
#[derive(Debug)]
pub struct Round<'a> {
    /// When it came.
    pub now: f64,
    /// Newly arrived packets in the order of their numbers.
    pub acks: &'a [Ack],
    /// Packets newly taken for lost: when sent, and bytes.
    pub losses: &'a [(f64, f64)],
    /// Bytes still on the way.
    pub in_flight: f64,
    /// The smoothed round trip.
    pub smoothed: f64,
    /// The latest round trip.
    pub latest: f64,
    /// Bytes delivered so far.
    pub delivered: f64,
}

/// A packet that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// Its size.
    pub bytes: f64,
    /// When it was sent.
    pub sent: f64,
    /// When it arrived, on the receiver's clock.
    pub arrived: f64,
    /// Bytes delivered when it was sent, and when the last of them were known to be.
    pub delivered: (f64, f64),
    /// When the packet was sent whose delivery was known when this one was sent.
    pub first_sent: f64,
    /// The application had nothing more to send then.
    pub idle: bool,
    /// It was part of a probe.
    pub probe: bool,
}

#[derive(Clone, Copy)]
struct Flown {
    bytes: f64,
    sent: f64,
    delivered: (f64, f64),
    first_sent: f64,
    idle: bool,
    probe: bool,
}

/// The common sender.
pub struct Classic<L> {
    law: L,
    epoch: Stamp<HostClock>,
    now: f64,
    flying: BTreeMap<u64, Flown>,
    in_flight: f64,
    told: Vec<LostPacket>,
    newest: Option<u64>,
    smoothed: f64,
    variation: f64,
    measured: bool,
    delivered: (f64, f64),
    first_sent: f64,
    /// When something last left or came, and how often the probe timeout has passed since.
    touched: f64,
    timeouts: u32,
}

impl<L: Law> Classic<L> {
    /// Before the first packet.
    pub fn new(now: Stamp<HostClock>, law: L) -> Self {
        Self {
            law,
            epoch: now,
            now: 0.0,
            flying: BTreeMap::new(),
            in_flight: 0.0,
            told: Vec::new(),
            newest: None,
            smoothed: 0.1,
            variation: 0.05,
            measured: false,
            delivered: (0.0, 0.0),
            first_sent: 0.0,
            touched: 0.0,
            timeouts: 0,
        }
    }

    fn seconds(&self, at: Stamp<HostClock>) -> f64 {
        at.since(self.epoch).as_secs_f64().max(self.now)
    }

    /// When the probe timeout passes (RFC 9002 section 6.2), if anything is on the way.
    fn timeout(&self) -> Option<f64> {
        let wait = (self.smoothed + 4.0 * self.variation + 0.025) * f64::from(1u32 << self.timeouts.min(6));
        (!self.flying.is_empty()).then_some(self.touched + wait)
    }

    fn take(&mut self, seq: u64) -> Option<Flown> {
        let packet = self.flying.remove(&seq)?;
        self.in_flight = if self.flying.is_empty() { 0.0 } else { self.in_flight - packet.bytes };
        Some(packet)
    }

    fn lose(&mut self, seq: u64, by: LostBy) -> Option<Flown> {
        let packet = self.take(seq)?;
        self.told.push(LostPacket { seq, bytes: Bytes(packet.bytes as u64), by });
        Some(packet)
    }

    fn measure(&mut self, latest: f64) {
        if self.measured {
            self.variation += 0.25 * ((latest - self.smoothed).abs() - self.variation);
            self.smoothed += 0.125 * (latest - self.smoothed);
        } else {
            (self.smoothed, self.variation, self.measured) = (latest, latest / 2.0, true);
        }
    }
}

impl<L: Law> Steer for Classic<L> {
    fn reporting(&self) -> Reporting {
        self.law.reporting()
    }

    fn on_sent(&mut self, packet: SentPacket<HostClock>, facts: SendFacts) {
        let now = self.seconds(packet.at);
        self.now = now;
        if self.flying.is_empty() {
            (self.delivered.1, self.first_sent) = (now, now);
        }
        let bytes = packet.bytes.0 as f64;
        let idle = facts.backlog.0 == 0 && self.in_flight + bytes < self.law.window();
        let probe = facts.class == SendClass::Probe;
        let (delivered, first_sent) = (self.delivered, self.first_sent);
        self.flying.insert(packet.seq, Flown { bytes, sent: now, delivered, first_sent, idle, probe });
        self.in_flight += bytes;
        self.touched = now;
        self.law.on_sent(now, bytes, self.in_flight);
    }

    fn on_time(&mut self, now: Stamp<HostClock>) {
        self.now = self.seconds(now);
        if self.timeout().is_some_and(|at| self.now >= at) {
            // The newest is sent again: what answers it shows what else is missing.
            self.timeouts += 1;
            self.touched = self.now;
            if let Some((&seq, _)) = self.flying.last_key_value() {
                self.lose(seq, LostBy::Silence);
            }
        }
    }

    fn on_feedback(&mut self, facts: &FeedbackFacts<'_, HostClock, ViewerClock>) {
        let now = self.seconds(facts.received_at);
        self.now = now;
        let mut arrivals: Vec<(u64, f64)> =
            facts.arrivals.iter().map(|a| (a.seq, a.at.as_micros() as f64 * 1e-6)).collect();
        arrivals.sort_unstable_by_key(|a| a.0);
        let mut acks = Vec::new();
        let mut latest = None;
        for (seq, arrived) in arrivals {
            let Some(p) = self.take(seq) else { continue };
            self.newest = self.newest.max(Some(seq));
            self.delivered = (self.delivered.0 + p.bytes, now);
            self.first_sent = p.sent;
            latest = Some((now - p.sent - facts.hold.as_secs_f64()).max(1e-4));
            let Flown { bytes, sent, delivered, first_sent, idle, probe } = p;
            acks.push(Ack { bytes, sent, arrived, delivered, first_sent, idle, probe });
        }
        let Some(latest) = latest else { return };
        self.measure(latest);
        (self.touched, self.timeouts) = (now, 0);
        let (newest, patience) = (self.newest.unwrap_or(0), 1.125 * self.smoothed.max(latest));
        let overdue = |seq: u64, p: &Flown| seq + 3 <= newest || now - p.sent > patience;
        let lost: Vec<u64> =
            self.flying.range(..newest).filter(|(seq, p)| overdue(**seq, p)).map(|(seq, _)| *seq).collect();
        let losses: Vec<(f64, f64)> =
            lost.into_iter().filter_map(|seq| self.lose(seq, LostBy::Later)).map(|p| (p.sent, p.bytes)).collect();
        self.law.on_round(&Round {
            now,
            acks: &acks,
            losses: &losses,
            in_flight: self.in_flight,
            smoothed: self.smoothed,
            latest,
            delivered: self.delivered.0,
        });
    }

    fn lost(&mut self) -> Vec<LostPacket> {
        std::mem::take(&mut self.told)
    }

    fn probe(&mut self, now: Stamp<HostClock>) -> Option<Probe> {
        let (rate, bytes) = self.law.probe(self.seconds(now))?;
        let bytes = Bytes(bytes as u64);
        Some(Probe { rate: rate_of(rate), bytes, filler: bytes, packet: Bytes(super::PACKET), charged: false })
    }

    fn budget(&self, now: Stamp<HostClock>) -> Budget<HostClock> {
        let (pace, burst) = self.law.pace(self.smoothed);
        Budget {
            at: now,
            until: now + Span::millis(100),
            pace: rate_of(pace),
            share: rate_of(self.law.share(self.smoothed)),
            burst: Bytes(burst as u64),
            in_flight_cap: Bytes(self.law.window() as u64),
            queue: Span::ZERO,
            why: BudgetWhy::Track,
        }
    }

    fn in_flight(&self) -> Bytes {
        Bytes(self.in_flight.max(0.0) as u64)
    }

    fn next_wake(&self) -> Option<Stamp<HostClock>> {
        self.timeout().map(|at| self.epoch + Span::from_secs_f64(at) + Span::micros(1))
    }
}

fn rate_of(bytes_per_second: f64) -> BitRate {
    BitRate::bps((bytes_per_second * 8.0).max(8_000.0) as u64)
}
