//! How much may be sent, how fast, and what was lost: Telepane's rate controller and pacer.
//!
//! The controller is SRC, "screen rate control". Every burst of packets is a measurement: the receiver reports when each
//! packet arrived, so the spread of a train of packets gives the path's *capacity* within one round trip, also when the
//! application sends little. From capacity and delay follow the pace of packets, the sustained *share* an encoder may
//! produce, and a tight limit of what is on the way, which keeps the queue at milliseconds.
//!
//! Everything here is arithmetic over facts that carry their own time: no clock, no socket, no thread. One
//! [`Controller`] serves one direction; `S` is the clock of its sender and `R` the clock of its receiver, and the two
//! are never subtracted except in `delay.rs`, where only differences of such differences count.
//!
//! A session drives it so: after every fact it fetches [`Controller::lost`] and asks [`Controller::probe`] (handing a probe
//! to [`Pacer::begin`]); for the packet at the head of its queues it asks [`Pacer::next_send_at`] with a fresh
//! [`Controller::budget`], sends if that is now, and tells both ([`Controller::on_sent`], [`Pacer::on_sent`]); it sleeps
//! until the earlier of that instant and [`Controller::next_wake`], then calls [`Controller::on_time`].
//! `sim::bottleneck` has a whole flow in this sense, over modelled links.
//!
//! A peer can lie in its feedback. That can make its own picture slow or its own link full, up to the ceiling of
//! [`Policy`]; it cannot make this crate panic, hang or grow.

#![forbid(unsafe_code)]

mod compete;
mod controller;
mod delay;
mod facts;
mod flight;
mod ladder;
mod loss;
mod overtaking;
mod pacer;
mod policer;
mod probing;
pub mod repair;
mod scavenger;
mod share;
mod trains;
mod windowed;

pub use controller::Controller;
pub use facts::{FeedbackFacts, Followed, LostBy, LostPacket, Policy, Probe, RttFacts, SendClass, SendFacts};
pub use ladder::{Ladder, LadderPolicy, Rung};
pub use pacer::Pacer;
pub use scavenger::{Scavenged, Scavenger, Turn};

/// The packet size the constants are stated for, in bytes: what fits the smallest path QUIC accepts.
pub(crate) const PACKET: f64 = 1200.0;

/// Bytes per second from a rate.
pub(crate) fn bytes_per_second(rate: telepane_model::BitRate) -> f64 {
    rate.as_bps() as f64 / 8.0
}

/// A rate from bytes per second; negative and non-finite values become zero.
pub(crate) fn rate_of(bytes_per_second: f64) -> telepane_model::BitRate {
    // `as` saturates and maps NaN to zero, which is what is wanted here.
    telepane_model::BitRate::bps((bytes_per_second * 8.0) as u64)
}
