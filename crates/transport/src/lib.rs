//! Telepane's lanes over QUIC, and over a WebSocket where UDP does not get through.
//!
//! A [`Server`] or a [`Client`] owns one UDP socket, TCP's beside it, and one network thread that drains them. What arrives is stamped with
//! the shell's clock once, in the read loop, and handed to the shell's [`Sink`] as an [`Event`]. What is to be sent goes
//! through a [`Handle`] from any thread and leaves at once: this crate decides nothing. Pacing is `session`'s, congestion
//! control is `rate`'s; QUIC's own window is only a safety net ([`Lanes::set_window`]).
//!
//! Three lanes exist: unreliable datagrams, one ordered control stream of framed messages, and bulk, each chunk of which has
//! a stream of its own. Nothing of a peer is
//! delivered before it has proven itself, except a few short control messages ([`Handle::authenticated`]).
//!
//! [`relay`] is an in-process link emulator for tests and benches.

#![deny(unsafe_code)]

mod carrier;
mod client;
mod config;
mod connection;
pub mod endpoints;
mod event;
mod frame;
mod insist;
mod marks;
mod plain;
mod probe;
mod proxy;
pub mod relay;
mod server;
mod socket;
mod standby;
mod tcp;
mod tls;
mod websocket;
mod window;

pub use carrier::Handle;
pub use client::Client;
pub use config::{Carriers, Congestion, Limits, Options, UnknownCarrier};
pub use event::{
    BindError, Carrier, CloseReason, ConnFacts, ConnId, ConnectFailure, Event, Fault, HeldBack, Hold, LinkStats,
    MarkFate, SendError,
};
pub use frame::{MAX_CONTROL, MAX_CONTROL_UNPROVEN};
pub use marks::{Marks, UnknownMarks};
pub use proxy::{Proxy, bypassed};
pub use server::Server;
pub use socket::Listen;
pub use tls::{ALPN, EXPORTER_LABEL, HostExpectation, SERVER_NAME, ServerCredentials, spki_fingerprint};

use bytes::Bytes;
use std::sync::Arc;

/// Microseconds of the shell's monotonic clock: the only clock this crate stamps with.
pub type ClockFn = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Takes every [`Event`], on the network thread. It must not block: while it runs, the socket is not drained. Control
/// messages come at a bounded rate; datagrams come as fast as the network brings them, so a shell that falls behind has to
/// drop some.
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// The most bytes of one chunk as it stands on the wire.
// spec: B-3
pub const MAX_CHUNK_BYTES: usize = telepane_protocol::MAX_CHUNK + telepane_protocol::Chunk::HEADER;

/// A way of sending within one connection.
// spec: O-1, L-1
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lane {
    /// Unreliable, unordered, at most `max_datagram` bytes each.
    Datagram,
    /// The control stream: the first bidirectional stream, opened by the client; framed messages in order.
    Control,
    /// Chunks of files and large pastes: a one-way stream for each.
    Bulk,
}

impl Lane {
    /// Its streams' priority in the QUIC stack; higher goes first. Datagrams go before every stream.
    pub const fn priority(self) -> i32 {
        match self {
            Self::Datagram => i32::MAX,
            Self::Control => 100,
            Self::Bulk => 0,
        }
    }
}

/// What a session needs of a transport; a [`Handle`] gives it over QUIC and over the WebSocket. Small so that WebTransport or
/// another QUIC stack fits. Every method may be called from any thread and returns at once.
pub trait Lanes: Send + Sync {
    /// Sends one datagram now. Nothing queued earlier is ever dropped for it.
    fn send_datagram(&self, conn: ConnId, bytes: Bytes) -> Result<(), SendError>;
    /// Sends these now, in this order and in as few packets as they fit into, or none of them.
    fn send_together(&self, conn: ConnId, datagrams: Vec<Bytes>) -> Result<(), SendError>;
    /// Queues one message of at most [`MAX_CONTROL`] bytes on the control stream.
    fn send_control(&self, conn: ConnId, message: &[u8]) -> Result<(), SendError>;
    /// Queues one chunk of at most [`MAX_CHUNK_BYTES`] bytes on a stream of its own. QUIC sends it again if it is lost.
    fn send_chunk(&self, conn: ConnId, chunk: Vec<u8>) -> Result<(), SendError>;
    /// Ends the connection; control messages queued before get a quarter of a second to arrive.
    fn close(&self, conn: ConnId, code: u32, text: &str);
    /// The largest datagram that can be sent now, in bytes; 0 when the connection is gone. It can shrink.
    fn max_datagram(&self, conn: ConnId) -> usize;
    /// What the stack knows of the path; `None` when the connection is gone.
    fn stats(&self, conn: ConnId) -> Option<LinkStats>;
    /// Sets how many bytes may be in flight. Not refreshed for a second, it gives way to the stack's own control.
    fn set_window(&self, conn: ConnId, bytes: u64);
}
