//! What steers a flow: the one trait behind which the production controller and the others stand.

use super::baseline::{Bbr, Classic, Gcc, WindowLaw};
use telepane_model::{Arrival, Budget, Bytes, HostClock, SentPacket, Span, Stamp, ViewerClock};
use telepane_rate::{Controller, FeedbackFacts, LostPacket, Policy, Probe, SendFacts};

/// Decides how fast a flow may send. Facts in, with their time; a budget and losses out. The flow's pacer, its frames and
/// its resending are the same whoever steers.
pub trait Steer {
    /// What it wants to hear of arrivals.
    fn reporting(&self) -> Reporting;
    /// A packet left.
    fn on_sent(&mut self, packet: SentPacket<HostClock>, facts: SendFacts);
    /// Bytes wait to be sent.
    fn on_backlog(&mut self, _now: Stamp<HostClock>, _backlog: Bytes) {}
    /// Whether the encoder has more than the budget allows.
    fn on_limited(&mut self, _now: Stamp<HostClock>, _limited: bool) {}
    /// A person did something.
    fn on_active(&mut self, _now: Stamp<HostClock>) {}
    /// Packets take another path.
    fn on_path_change(&mut self, _now: Stamp<HostClock>) {}
    /// Time passed.
    fn on_time(&mut self, now: Stamp<HostClock>);
    /// The receiver told of arrivals.
    fn on_feedback(&mut self, facts: &FeedbackFacts<'_, HostClock, ViewerClock>);
    /// Packets met congestion and were marked.
    fn on_marked(&mut self, _now: Stamp<HostClock>) {}
    /// Packets newly taken for lost.
    fn lost(&mut self) -> Vec<LostPacket>;
    /// A probe to begin now.
    fn probe(&mut self, _now: Stamp<HostClock>) -> Option<Probe> {
        None
    }
    /// What may be sent.
    fn budget(&self, now: Stamp<HostClock>) -> Budget<HostClock>;
    /// What a film's frame may weigh.
    fn frame_budget(&self, now: Stamp<HostClock>, fps: u32) -> Bytes {
        Bytes(self.budget(now).share.as_bps() / 8 / u64::from(fps.max(1)))
    }
    /// Parity packets for a group of `data` packets.
    fn parity(&self, _data: u8) -> u8 {
        0
    }
    /// Bytes on the way.
    fn in_flight(&self) -> Bytes;
    /// When [`on_time`](Self::on_time) is due.
    fn next_wake(&self) -> Option<Stamp<HostClock>>;
}

/// When the receiver tells of arrivals.
#[derive(Clone, Copy, Debug)]
pub struct Reporting {
    /// After so many packets.
    pub every: usize,
    /// So many nanoseconds after the first of them.
    pub after: u64,
    /// At once on a gap and at the end of a frame.
    pub at_once: bool,
}

/// Who steers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The production controller.
    Ours,
    /// The production controller that hears, as QUIC's acknowledgements tell it, when a report came instead of when packets
    /// arrived.
    OursByAcks,
    /// NewReno (RFC 9002 section 7).
    NewReno,
    /// CUBIC (RFC 9438).
    Cubic,
    /// In the manner of Google Congestion Control (draft-ietf-rmcat-gcc).
    Gcc,
    /// In the manner of BBR (draft-ietf-ccwg-bbr).
    Bbr,
}

impl Kind {
    /// Those that a table compares.
    pub const ALL: [Self; 5] = [Self::Ours, Self::NewReno, Self::Cubic, Self::Gcc, Self::Bbr];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursByAcks => "ours by ACKs",
            Self::NewReno => "NewReno",
            Self::Cubic => "CUBIC",
            Self::Gcc => "GCC-like",
            Self::Bbr => "BBR-like",
        }
    }

    pub(super) fn begin(self, now: Stamp<HostClock>, policy: Policy) -> Box<dyn Steer> {
        match self {
            Self::Ours => Box::new(Src { controller: Controller::new(now, policy), by_acks: false }),
            Self::OursByAcks => Box::new(Src { controller: Controller::new(now, policy), by_acks: true }),
            Self::NewReno => Box::new(Classic::new(now, WindowLaw::newreno())),
            Self::Cubic => Box::new(Classic::new(now, WindowLaw::cubic())),
            Self::Gcc => Box::new(Classic::new(now, Gcc::new())),
            Self::Bbr => Box::new(Classic::new(now, Bbr::new())),
        }
    }
}

/// The production controller.
struct Src {
    controller: Controller<HostClock, ViewerClock>,
    by_acks: bool,
}

impl Steer for Src {
    // spec: H-25
    fn reporting(&self) -> Reporting {
        Reporting { every: 8, after: 5_000_000, at_once: true }
    }

    fn on_sent(&mut self, packet: SentPacket<HostClock>, facts: SendFacts) {
        self.controller.on_sent(packet, facts);
    }

    fn on_backlog(&mut self, now: Stamp<HostClock>, backlog: Bytes) {
        self.controller.on_backlog(now, backlog);
    }

    fn on_limited(&mut self, now: Stamp<HostClock>, limited: bool) {
        self.controller.on_limited(now, limited);
    }

    fn on_active(&mut self, now: Stamp<HostClock>) {
        self.controller.on_active(now);
    }

    fn on_path_change(&mut self, now: Stamp<HostClock>) {
        self.controller.on_path_change(now);
    }

    fn on_time(&mut self, now: Stamp<HostClock>) {
        self.controller.on_time(now);
    }

    fn on_feedback(&mut self, facts: &FeedbackFacts<'_, HostClock, ViewerClock>) {
        if !self.by_acks {
            return self.controller.on_feedback(facts);
        }
        let at = Stamp::from_micros(facts.received_at.as_micros());
        let arrivals: Vec<_> = facts.arrivals.iter().map(|a| Arrival { seq: a.seq, at }).collect();
        self.controller.on_feedback(&FeedbackFacts { hold: Span::ZERO, arrivals: &arrivals, ..*facts });
    }

    fn on_marked(&mut self, now: Stamp<HostClock>) {
        self.controller.on_marked(now);
    }

    fn lost(&mut self) -> Vec<LostPacket> {
        self.controller.lost().collect()
    }

    fn probe(&mut self, now: Stamp<HostClock>) -> Option<Probe> {
        self.controller.probe(now)
    }

    fn budget(&self, now: Stamp<HostClock>) -> Budget<HostClock> {
        self.controller.budget(now)
    }

    fn frame_budget(&self, now: Stamp<HostClock>, fps: u32) -> Bytes {
        self.controller.frame_budget(now, fps)
    }

    fn parity(&self, data: u8) -> u8 {
        self.controller.parity(data, false)
    }

    fn in_flight(&self) -> Bytes {
        self.controller.in_flight()
    }

    fn next_wake(&self) -> Option<Stamp<HostClock>> {
        self.controller.next_wake()
    }
}
