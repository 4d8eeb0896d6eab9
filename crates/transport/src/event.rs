//! What the network thread tells the shell, and the errors of this crate.

use bytes::Bytes;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use telepane_model::LinkSide;
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;

/// A connection's number, unique within the process, so that several clients may share one sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl ConnId {
    /// A number never given out before.
    pub(crate) fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub enum Carrier {
    /// QUIC over UDP.
    #[default]
    Quic,
    /// A WebSocket over TLS over TCP, where UDP does not get through.
    WebSocket,
}

impl Carrier {
    /// Its name, for people and scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::WebSocket => "websocket",
        }
    }
}

/// What is known when the handshake is done.
#[derive(Clone, Debug)]
pub struct ConnFacts {
    /// Which end this is.
    pub side: LinkSide,
    /// What carries it.
    pub carrier: Carrier,
    /// The peer's address; through a proxy, the proxy's.
    pub remote: SocketAddr,
    /// TLS exporter of this connection (RFC 8446 §7.5), equal on both ends and to nobody else.
    pub exporter: [u8; 32],
    /// SHA-256 of the host identity's SubjectPublicKeyInfo.
    pub host_fingerprint: [u8; 32],
    /// The largest datagram that can be sent now, in bytes.
    pub max_datagram: usize,
    /// The socket's receive buffer as the system granted it, in bytes (Linux counts its bookkeeping in).
    pub recv_buffer: usize,
    /// The socket's send buffer likewise.
    pub send_buffer: usize,
}

/// What happens on the network. Events of one connection come in order, [`Event::Connected`] first, [`Event::Closed`] last.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A handshake is done; the peer has proven nothing yet, except a host that was pinned.
    Connected {
        /// The connection.
        conn: ConnId,
        /// What is known of it.
        facts: ConnFacts,
    },
    /// A datagram arrived.
    Datagram {
        /// On this connection.
        conn: ConnId,
        /// Its bytes.
        bytes: Bytes,
        /// When it was read, in microseconds of the shell's clock.
        arrived_us: u64,
    },
    /// A message of the control stream is complete.
    Control {
        /// On this connection.
        conn: ConnId,
        /// Its bytes.
        message: Vec<u8>,
        /// When its last byte was read, in microseconds of the shell's clock.
        arrived_us: u64,
    },
    /// A chunk of the bulk lane is complete.
    Chunk {
        /// On this connection.
        conn: ConnId,
        /// Its bytes.
        bytes: Vec<u8>,
        /// When its last byte was read, in microseconds of the shell's clock.
        arrived_us: u64,
        /// Keep it until the bytes are dealt with: no more come than there is place for.
        hold: Hold,
    },
    /// The peer ended its half of the control stream.
    ControlClosed {
        /// On this connection.
        conn: ConnId,
    },
    /// The peer's address or the path's largest datagram changed.
    PathChanged {
        /// The connection.
        conn: ConnId,
        /// The peer's address now.
        remote: SocketAddr,
        /// The largest datagram now, in bytes.
        max_datagram: usize,
    },
    /// The path that stands by answered; see [`crate::Client::probe_standby`].
    StandbyAnswered {
        /// The connection that it stands by for.
        conn: ConnId,
        /// How long that took, in microseconds.
        took_us: u64,
    },
    /// The path marked packets of ours as having met congestion, instead of dropping them (ECN); told at the next datagram that
    /// arrives.
    Marked {
        /// The connection.
        conn: ConnId,
    },
    /// The connection is over.
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// A client could not connect.
    ConnectFailed {
        /// What [`crate::Client::conn`] says.
        attempt: ConnId,
        /// Why.
        why: ConnectFailure,
    },
}

/// A place in the bounded room for chunks that were not dealt with yet; dropping it makes room.
#[derive(Clone, Debug)]
pub struct Hold(#[expect(dead_code, reason = "it is there to be dropped")] Arc<OwnedSemaphorePermit>);

impl Hold {
    pub(crate) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(permit))
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// Nothing was heard for the idle timeout.
    #[error("nothing heard from the peer for too long")]
    Timeout,
    /// The peer closed it.
    #[error("closed by the peer with code {code:#x}: {text}")]
    PeerClosed {
        /// The peer's code, see [`Fault::from_code`].
        code: u64,
        /// The peer's words; at most 256 characters, no control characters.
        text: String,
    },
    /// The peer no longer knows the connection, most likely because it was restarted.
    #[error("the peer was restarted")]
    Reset,
    /// This end closed it.
    #[error("closed by this end")]
    LocalClosed,
    /// This end closed it because of what the peer did.
    #[error("closed because of the peer's fault: {0}")]
    Fault(Fault),
    /// TLS failed.
    #[error("tls: {0}")]
    Tls(String),
    /// The peer speaks another version.
    #[error("the peer speaks another version")]
    VersionMismatch,
    /// QUIC itself was violated or refused.
    #[error("quic: {0}")]
    Protocol(String),
    /// The TCP connection broke, or the WebSocket on it.
    #[error("tcp: {0}")]
    Broken(String),
}

/// A named reason to close, with its code on the wire. Codes `0x7400..=0x74ff` are the transport's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// This end is going away.
    ShuttingDown,
    /// A control message is longer than allowed.
    ControlTooLong,
    /// Too many control messages before the peer had proven itself.
    ControlTooMany,
    /// The peer did not prove itself in time.
    UnprovenTooLong,
    /// The peer takes no datagrams.
    NoDatagrams,
    /// No version in common.
    WrongVersion,
    /// A WebSocket's message that its lane does not allow, or that is no binary message.
    BadMessage,
}

impl Fault {
    const ALL: [Self; 7] = [
        Self::ShuttingDown,
        Self::ControlTooLong,
        Self::ControlTooMany,
        Self::UnprovenTooLong,
        Self::NoDatagrams,
        Self::WrongVersion,
        Self::BadMessage,
    ];

    /// Its code on the wire.
    // spec: L-10, WS-10
    pub const fn code(self) -> u32 {
        match self {
            Self::ShuttingDown => 0x7400,
            Self::ControlTooLong => 0x7401,
            Self::ControlTooMany => 0x7402,
            Self::UnprovenTooLong => 0x7403,
            Self::NoDatagrams => 0x7404,
            Self::WrongVersion => 0x7405,
            Self::BadMessage => 0x7406,
        }
    }

    /// Its name, also sent as the close's text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShuttingDown => "shutting-down",
            Self::ControlTooLong => "control-too-long",
            Self::ControlTooMany => "control-too-many",
            Self::UnprovenTooLong => "unproven-too-long",
            Self::NoDatagrams => "no-datagrams",
            Self::WrongVersion => "wrong-version",
            Self::BadMessage => "bad-message",
        }
    }

    /// The fault with this code.
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|f| u64::from(f.code()) == code)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why no connection came about; the one that got nearest when several addresses were tried.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The host proved another identity than the pinned one.
    #[error("the host's identity has changed; if that is expected, compare the fingerprint and connect with it again")]
    HostChanged {
        /// SHA-256 of the identity's SubjectPublicKeyInfo that was shown.
        seen: [u8; 32],
    },
    /// The host's certificates do not hold together.
    #[error("the host's certificate is not valid: {0}; check both machines' clocks, else restart the agent")]
    Untrusted(String),
    /// Somebody between decrypts TLS, as some networks' proxies do, and signs for the host with a name of their own.
    #[error(
        "a proxy on the way opens TLS: it shows a certificate of \"{by}\" in place of the host's. Nothing was sent through it. \
         Ask for {port} to be exempted from inspection, or for UDP to be let through"
    )]
    Inspected {
        /// What it calls itself; harmless text.
        by: String,
        /// The host and port it stands before.
        port: String,
    },
    /// The proxy does not let us through.
    #[error("the proxy {proxy} {why}")]
    Proxy {
        /// Its address, without credentials.
        proxy: String,
        /// What it said or did not, and what to do.
        why: String,
    },
    /// A Telepane agent of another version.
    #[error("the host speaks another version of telepane; update the older side")]
    VersionMismatch,
    /// Something else than a Telepane agent answers there.
    #[error("what answers there is not telepane: {0}; check the port")]
    NotTelepane(String),
    /// The agent takes no more connections now.
    #[error("the host takes no more connections now; try again in a moment")]
    Busy,
    /// UDP is silent, and TCP to the same port is answered: most likely a firewall that passes only TCP.
    #[error("the host answers on TCP but not on UDP; open this port for UDP in the firewalls between")]
    SilentButTcpOpen,
    /// Nothing answers.
    #[error("no answer{}; check the address, that the agent runs, and firewalls", if *host_up { ", though the host is up" } else { "" })]
    Silent {
        /// The host refused a TCP connection, so it is there.
        host_up: bool,
    },
    /// The host says that nothing listens there.
    #[error("nothing listens on that port; start the agent there or check the port")]
    Refused,
    /// There is no way to the address.
    #[error("no route to the host; check this machine's network and the address")]
    NoRoute,
    /// This machine could not even try.
    #[error("cannot open a socket on this machine: {0}")]
    Local(String),
    /// The attempt was called off by this end.
    #[error("called off")]
    Cancelled,
}

impl ConnectFailure {
    /// How near it came to a connection; lower is nearer, and more worth telling.
    pub(crate) const fn distance(&self) -> u8 {
        match self {
            Self::HostChanged { .. } => 0,
            Self::Inspected { .. } => 1,
            Self::Untrusted(_) => 2,
            Self::VersionMismatch => 3,
            Self::Busy => 4,
            Self::NotTelepane(_) => 5,
            Self::Proxy { .. } => 6,
            Self::SilentButTcpOpen => 7,
            Self::Silent { host_up: true } => 8,
            Self::Silent { host_up: false } => 9,
            Self::Refused => 10,
            Self::NoRoute => 11,
            Self::Local(_) => 12,
            Self::Cancelled => 13,
        }
    }
}

/// Why a server cannot listen.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another program has the port.
    #[error("udp port {0} is in use; stop the other program (an agent already running?) or pass another --listen")]
    PortInUse(u16),
    /// The port needs rights this process lacks.
    #[error("not allowed to listen on {0}; ports below 1024 need root, pass another --listen")]
    NotAllowed(SocketAddr),
    /// The address belongs to no interface of this machine.
    #[error("{0} is not an address of this machine; pass another --listen")]
    NoSuchAddress(SocketAddr),
    /// The certificates or the key do not fit together.
    #[error("the host's credentials cannot be used: {0}; remove the tls files of the state directory to make new ones")]
    Credentials(String),
    /// Anything else.
    #[error("cannot open a udp socket: {0}")]
    Io(#[from] std::io::Error),
}

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// It is longer than the lane takes now.
    #[error("larger than {max} bytes")]
    TooLarge {
        /// The most that goes, in bytes.
        max: usize,
    },
    /// The connection is over or was never there.
    #[error("the connection is gone")]
    Gone,
    /// The queue is full; nothing was dropped for it.
    #[error("the send queue is full")]
    Full,
}

/// What was held back on a WebSocket because TCP waited for something lost before it: arrivals in which bytes came that had
/// been there out of order, and the pauses before them. The pauses are bounded by a few round trips and hold what the peer
/// did not send for, so they are an upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HeldBack {
    /// How often.
    pub times: u64,
    /// For how long in all, in microseconds.
    pub total_us: u64,
    /// The longest, in microseconds.
    pub longest_us: u64,
}

/// What becomes of the marks on what this end sends.
// spec: T-11
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub enum MarkFate {
    /// Nothing is marked: that was not wanted, or this system knows no way to.
    #[default]
    Off,
    /// They are sent, as far as this end can see they arrive, or that is not known yet.
    On,
    /// The path drops what has sound's mark, which goes with the screen's now.
    UrgentDropped,
    /// The path drops what is marked, which goes without now.
    Dropped,
    /// This system refuses them.
    Refused,
}

impl MarkFate {
    /// Its name, for people and scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::UrgentDropped => "urgent-dropped",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
        }
    }
}

/// What the stack knows of a connection: QUIC's, or the system's TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LinkStats {
    /// What carries it.
    pub carrier: Carrier,
    /// What TCP held back; nothing over QUIC.
    pub held_back: HeldBack,
    /// Smoothed round-trip time in microseconds.
    pub rtt_us: u64,
    /// Packets deemed lost on this path.
    pub lost: u64,
    /// UDP payload bytes sent.
    pub sent_bytes: u64,
    /// UDP payload bytes received.
    pub recv_bytes: u64,
    /// UDP datagrams sent.
    pub sent_packets: u64,
    /// UDP datagrams received.
    pub recv_packets: u64,
    /// How often the path was found to mark packets instead of dropping them (ECN); nothing over TCP, which sees to it itself.
    pub marked: u64,
    /// What becomes of the marks on what this end sends.
    pub marks: MarkFate,
    /// The window now in force, in bytes.
    pub cwnd: u64,
    /// Largest UDP payload of the path, in bytes.
    pub mtu: u16,
    /// Datagrams that were discarded because the peer had not proven itself.
    pub unproven_dropped: u64,
}
