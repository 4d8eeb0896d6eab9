//! Packets as the rate controller sees them: sent on one clock, arrived on another.

use crate::time::{Clock, Stamp};
use crate::units::Bytes;

/// A datagram that was handed to the network. Each side numbers its own datagrams from 0, every kind together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPacket<S: Clock> {
    /// Its number.
    pub seq: u64,
    /// Its size on the wire, as far as known.
    pub bytes: Bytes,
    /// When it was handed over.
    pub at: Stamp<S>,
}

/// What the receiver says of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival<R: Clock> {
    /// Its number.
    pub seq: u64,
    /// When it was read from the socket.
    pub at: Stamp<R>,
}

/// Which end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkSide {
    /// The agent.
    Host,
    /// The client.
    Viewer,
}
