//! Every number of the transport, and the QUIC configurations made of them.

use crate::ClockFn;
use crate::frame::MAX_CONTROL;
use crate::marks::Marks;
use crate::proxy::Proxy;
use crate::window::{SafetyNetFactory, Window};
use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig};
use quinn::{AckFrequencyConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use quinn_proto::{HashedConnectionIdGenerator, RandomConnectionIdGenerator};
use std::sync::Arc;
use std::time::Duration;
use telepane_model::LinkSide;

/// How a server defends itself before a client is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all, handshakes included.
    pub connections: usize,
    /// Handshakes at a time; further ones are ignored.
    pub handshakes: usize,
    /// From this many handshakes on, a client must first show that its address is its own (QUIC Retry).
    pub retry_above: usize,
    /// Connections per address (per /64 with IPv6) that are not proven.
    pub unproven_per_address: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a client may take to prove itself; a person may have to type a code.
    pub unproven: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            handshakes: 64,
            retry_above: 16,
            unproven_per_address: 8,
            handshake: Duration::from_secs(10),
            // spec: A-10
            unproven: Duration::from_secs(180),
        }
    }
}

/// Who says how much may be on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Congestion {
    /// The session, with [`Window`] as the net under it.
    #[default]
    Session,
    /// The QUIC stack's CUBIC, for comparison only.
    Cubic,
    /// The QUIC stack's BBR, for comparison only.
    Bbr,
}

impl Congestion {
    fn factory(self, window: &Arc<Window>) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self {
            Self::Session => Arc::new(SafetyNetFactory(window.clone())),
            Self::Cubic => Arc::new(CubicConfig::default()),
            Self::Bbr => Arc::new(BbrConfig::default()),
        }
    }
}

/// What may carry a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Carriers {
    /// QUIC, and a WebSocket where UDP does not get through.
    #[default]
    Auto,
    /// QUIC alone.
    Quic,
    /// The WebSocket alone.
    WebSocket,
}

/// A word that names no carrier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither auto nor quic nor websocket")]
pub struct UnknownCarrier(String);

impl std::str::FromStr for Carriers {
    type Err = UnknownCarrier;

    fn from_str(text: &str) -> Result<Self, UnknownCarrier> {
        match text {
            "auto" => Ok(Self::Auto),
            "quic" => Ok(Self::Quic),
            "websocket" => Ok(Self::WebSocket),
            other => Err(UnknownCarrier(other.into())),
        }
    }
}

impl Carriers {
    /// As people write them.
    pub const NAMES: [&str; 3] = ["auto", "quic", "websocket"];

    /// Whether QUIC may.
    pub fn quic(self) -> bool {
        self != Self::WebSocket
    }

    /// Whether a WebSocket may.
    pub fn websocket(self) -> bool {
        self != Self::Quic
    }
}

/// What a shell may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Server: what it listens for. Client: what is tried.
    pub carriers: Carriers,
    /// TCP ports besides the one that UDP has, such as 443. Server: listened on too. Client: tried too.
    pub tcp_ports: Vec<u16>,
    /// Client: TCP goes through this.
    pub proxy: Option<Proxy>,
    /// Client: the host and its port as the person named them, for a proxy that finds the address itself.
    pub named: Option<(String, u16)>,
    /// After this long without a packet the connection is over.
    pub idle_timeout: Duration,
    /// The client sends a PING when nothing was heard for this long.
    pub keep_alive: Duration,
    /// The server does when this is set, which costs every client that rests its rest: for an owner who wants to know soon that
    /// one has vanished.
    pub asks: Option<Duration>,
    /// A client's attempt fails with its reason after this long, unless the host has begun to answer.
    pub connect_within: Duration,
    /// Server: see [`Limits`]. The client uses the handshake's.
    pub limits: Limits,
    /// Server: a secret from which connection ids and reset tokens are derived. With the same secret a restarted agent
    /// tells its old clients at once that their connection is gone; `None` is a fresh one.
    pub reset_secret: Option<[u8; 32]>,
    /// Who says how much may be on the way.
    pub congestion: Congestion,
    /// How packets are marked for the networks between.
    pub marks: Marks,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            carriers: Carriers::Auto,
            tcp_ports: Vec::new(),
            proxy: None,
            named: None,
            // spec: L-7
            idle_timeout: Duration::from_secs(120),
            keep_alive: Duration::from_secs(22),
            asks: None,
            connect_within: Duration::from_millis(2_600),
            limits: Limits::default(),
            reset_secret: None,
            congestion: Congestion::Session,
            marks: Marks::default(),
        }
    }
}

impl Options {
    /// After how much silence an end asks whether the other is there, if it does.
    // spec: L-7
    pub(crate) const fn asks_after(&self, side: LinkSide) -> Option<Duration> {
        match side {
            LinkSide::Host => self.asks,
            LinkSide::Viewer => Some(self.keep_alive),
        }
    }
}

/// Datagrams waiting for the socket, in bytes (`research/rate-control.md` §5.10): the queue is the pacer's, not quinn's.
const SEND_QUEUE: usize = 64 * 1024;
/// How long an end may keep an acknowledgement back (DESIGN §3.1).
const ACK_DELAY: Duration = Duration::from_millis(100);
/// Received datagrams waiting to be read, in bytes.
const RECV_QUEUE: usize = 4 << 20;
/// What a proven peer may have on the way in streams, in bytes.
pub(crate) const STREAM_WINDOW: u32 = 4 << 20;
/// The same for one that is not: one message of the longest kind.
const STREAM_WINDOW_UNPROVEN: u32 = MAX_CONTROL as u32 + 1024;

/// One connection's QUIC parameters.
pub(crate) fn transport(options: &Options, side: LinkSide, clock: ClockFn) -> (TransportConfig, Arc<Window>) {
    let window = Window::new(clock);
    // Our own feedback carries the timing, so QUIC's acknowledgements may be few: they ride on what leaves anyway, which the
    // session times so (spec: Y-12). quinn caps the delay at the round-trip time, and at 25 ms below that.
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(16)).max_ack_delay(Some(ACK_DELAY));

    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(IdleTimeout::try_from(options.idle_timeout).ok())
        .ack_frequency_config(Some(acks))
        // It begins at 1,200 bytes, and what carries fewer carries no handshake.
        // spec: WS-16
        .mtu_discovery_config(Some(MtuDiscoveryConfig::default()))
        // A first packet lost on a LAN is sent again after 0.3 s instead of 1 s.
        .initial_rtt(Duration::from_millis(100))
        .datagram_receive_buffer_size(Some(RECV_QUEUE))
        .datagram_send_buffer_size(SEND_QUEUE)
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(match side {
            LinkSide::Host => STREAM_WINDOW_UNPROVEN,
            LinkSide::Viewer => STREAM_WINDOW,
        }))
        .send_window(u64::from(STREAM_WINDOW))
        .send_fairness(false)
        // spec: L-1
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(match side {
            LinkSide::Host => 1,
            LinkSide::Viewer => 0,
        }))
        .congestion_controller_factory(options.congestion.factory(&window));
    config.keep_alive_interval(options.asks_after(side));
    (config, window)
}

/// The client's endpoint: connection ids of length zero, so that packets towards it carry none.
// spec: L-8
pub(crate) fn client_endpoint() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(0)));
    config
}

/// The server's endpoint.
pub(crate) fn server_endpoint(reset_secret: Option<[u8; 32]>) -> EndpointConfig {
    let Some(secret) = reset_secret else {
        return EndpointConfig::default();
    };
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
    let derive = |purpose: &[u8]| ring::hmac::sign(&key, purpose);
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, derive(b"telepane stateless reset").as_ref());
    let ids = derive(b"telepane connection ids");
    // The first eight bytes of the digest; the key only tells our own ids from noise.
    let id_key = ids.as_ref().iter().take(8).fold(0u64, |v, b| v << 8 | u64::from(*b));
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id_key)));
    config
}
