//! What the controller is told and what it answers: plain structs, each with its own time and unit.

use telepane_model::time::Clock;
use telepane_model::{Arrival, BitRate, Bytes, Span, Stamp};

/// How a packet left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SendClass {
    /// When the pacer said so.
    #[default]
    Paced,
    /// At once: input, feedback, control, cursor, sound. It is charged like any other.
    Unpaced,
    /// As part of a [`Probe`], be it useful data or filler.
    Probe,
    /// In a turn of bulk: at once with the turn's others, and apart from the next turn's.
    Bulk,
}

/// What else is known when a packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SendFacts {
    /// Bytes that wait behind this packet, not yet sent.
    pub backlog: Bytes,
    /// How it left.
    pub class: SendClass,
    /// It may be marked to go ahead of others.
    pub urgent: bool,
}

/// One feedback message, as its receiver (the sender of the packets) sees it. Everything but `received_at` is the
/// peer's word. At most 1,024 arrivals and 1,024 missing numbers of one message are read; the rest is ignored.
#[derive(Clone, Copy, Debug)]
pub struct FeedbackFacts<'a, S: Clock, R: Clock> {
    /// When the message came in.
    pub received_at: Stamp<S>,
    /// From the arrival of the newest packet the message reports to the sending of the message, on the peer's clock.
    pub hold: Span,
    /// Packets and when they arrived, in any order; those told before are ignored.
    pub arrivals: &'a [Arrival<R>],
    /// Packets below the newest reported one that had not arrived. A packet in neither list is unknown, and waits
    /// 25 ms longer before it counts as lost (its report may be what was lost).
    pub missing: &'a [u64],
}

/// What a person allows. The default suits a session of which nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Never send faster than this over time.
    pub limit: Option<BitRate>,
    /// Under contention (a queue of others within the last four seconds) take no more than this.
    pub target: Option<BitRate>,
    /// Never let the share fall below this. 300 kbit/s unless told otherwise.
    pub floor: BitRate,
    /// A person reserved the floor: it also holds where the window would not let it, while the peer answers.
    pub reserved: bool,
    /// The rate to begin with: 2 Mbit/s, or what was measured the last time.
    pub initial: BitRate,
    /// The round trip to begin with, from the handshake if known; 100 ms else.
    pub initial_rtt: Span,
    /// The most that may be on the way: half of the receiver's socket buffer. 2 MiB unless told otherwise.
    pub in_flight_max: Bytes,
    /// Whether filler may be sent to measure the path while the person works. Turn it off on metered links.
    pub probing: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            limit: None,
            target: None,
            floor: BitRate::kbps(300),
            reserved: false,
            initial: BitRate::mbps(2),
            initial_rtt: Span::millis(100),
            in_flight_max: Bytes(2 << 20),
            probing: true,
        }
    }
}

/// What another congestion control allows, where that rules instead: see [`Controller::follow`](crate::Controller::follow).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Its window.
    pub window: Bytes,
    /// The smoothed round trip as it knows it.
    pub rtt: Span,
}

/// The path's round trip, without the time the receiver held its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RttFacts {
    /// The least of the last 30 s.
    pub min: Span,
    /// Smoothed as in RFC 9002.
    pub smoothed: Span,
    /// Mean deviation as in RFC 9002.
    pub variation: Span,
}

/// Why a packet counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostBy {
    /// Later packets arrived: three of them, or 9/8 of a round trip passed (RFC 9002 section 6.1).
    Later,
    /// No feedback came at all; the packet may yet arrive.
    Silence,
}

/// A packet that is now considered lost. It is told once, even if it turns up after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostPacket {
    /// Its number.
    pub seq: u64,
    /// Its size.
    pub bytes: Bytes,
    /// How it was noticed.
    pub by: LostBy,
}

/// A short train that measures the path: send `bytes` in a row at `rate`, whatever the window says. Queued data goes
/// first; `filler` says how much may be made up (refinement, repair data, padding) if the queue runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The pace within the train.
    pub rate: BitRate,
    /// The length of the train.
    pub bytes: Bytes,
    /// How much of it may be made up. Zero: end the train when the queue is empty.
    pub filler: Bytes,
    /// In packets of this size.
    pub packet: Bytes,
    /// What it sends beyond the pace is made up for afterwards, because a person set a limit.
    pub charged: bool,
}
