//! What the tests share: credentials, a clock, and a server and a client whose events are waited for.

use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use telepane_transport::{
    Client, ClockFn, ConnFacts, ConnId, ConnectFailure, Event, Handle, HostExpectation, Lanes, Listen, Options, Server,
    ServerCredentials, Sink, spki_fingerprint,
};

/// Nothing here takes this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A host identity that signs leaves.
pub struct Identity(CertifiedIssuer<'static, KeyPair>);

impl Identity {
    pub fn new() -> Self {
        Self::called("Telepane host identity of a test")
    }

    /// An authority of this name.
    pub fn called(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    pub fn fingerprint(&self) -> [u8; 32] {
        spki_fingerprint(&self.der()).unwrap()
    }

    pub fn leaf(&self) -> ServerCredentials {
        self.leaf_for("telepane", 2090)
    }

    pub fn leaf_for(&self, name: &str, until_year: i32) -> ServerCredentials {
        self.leaf_with(name, |params| params.not_after = date_time_ymd(until_year, 1, 1))
    }

    /// A leaf that is right but for what `change` does to it.
    pub fn leaf_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> ServerCredentials {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2090, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        ServerCredentials { chain_der: vec![leaf.der().to_vec(), self.der()], key_der: key.serialize_der() }
    }
}

pub fn clock() -> ClockFn {
    let start = tokio::time::Instant::now();
    Arc::new(move || 1 + start.elapsed().as_micros() as u64)
}

pub fn sink() -> (Sink, Events) {
    let (tx, rx): (Sender<Event>, _) = channel();
    (Arc::new(move |e| drop(tx.send(e))), Events(rx))
}

/// Waits `ms` milliseconds.
pub fn pause(ms: u64) {
    let (_keep, never) = channel::<()>();
    assert_eq!(never.recv_timeout(Duration::from_millis(ms)), Err(RecvTimeoutError::Timeout));
}

pub struct Events(Receiver<Event>);

impl Events {
    /// The first event of which `pick` makes something; what comes before is thrown away.
    pub fn wait<T>(&self, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            let event = self.0.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("waiting for {what}: {e}"));
            if let Some(found) = pick(event) {
                return found;
            }
        }
    }

    pub fn connected(&self) -> (ConnId, ConnFacts) {
        self.wait("Connected", |e| match e {
            Event::Connected { conn, facts } => Some((conn, facts)),
            Event::ConnectFailed { why, .. } => panic!("{why}"),
            _ => None,
        })
    }

    pub fn failed(&self) -> ConnectFailure {
        self.wait("ConnectFailed", |e| match e {
            Event::ConnectFailed { why, .. } => Some(why),
            Event::Connected { .. } => panic!("connected"),
            _ => None,
        })
    }

    pub fn datagram(&self) -> (Bytes, u64) {
        self.wait("Datagram", |e| match e {
            Event::Datagram { bytes, arrived_us, .. } => Some((bytes, arrived_us)),
            Event::Closed { reason, .. } => panic!("{reason}"),
            _ => None,
        })
    }

    pub fn control(&self) -> Vec<u8> {
        self.wait("Control", |e| match e {
            Event::Control { message, .. } => Some(message),
            Event::Closed { reason, .. } => panic!("{reason}"),
            _ => None,
        })
    }

    pub fn closed(&self) -> telepane_transport::CloseReason {
        self.wait("Closed", |e| match e {
            Event::Closed { reason, .. } => Some(reason),
            _ => None,
        })
    }

    /// What has come so far, or comes within `ms` milliseconds of the last.
    pub fn rest(&self, ms: u64) -> Vec<Event> {
        std::iter::from_fn(|| self.0.recv_timeout(Duration::from_millis(ms)).ok()).collect()
    }
}

/// A server, and its events.
pub struct Host {
    pub server: Server,
    pub events: Events,
    pub clock: ClockFn,
}

pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A port over UDP and over TCP: one that is free for the one may be somebody's over the other.
pub fn both_free() -> (UdpSocket, TcpListener) {
    let both = || {
        let udp = UdpSocket::bind(loopback(0)).unwrap();
        TcpListener::bind(udp.local_addr().unwrap()).ok().map(|tcp| (udp, tcp))
    };
    (0..50).find_map(|_| both()).expect("a port is free for both")
}

impl Host {
    pub fn start(credentials: &ServerCredentials, options: Options) -> Self {
        Self::on(loopback(0), credentials, options)
    }

    pub fn on(addr: SocketAddr, credentials: &ServerCredentials, options: Options) -> Self {
        let (sink, events) = sink();
        let clock = clock();
        let server = Server::bind(Listen::Exact(addr), credentials, clock.clone(), sink, options).unwrap();
        Self { server, events, clock }
    }

    pub fn addr(&self) -> SocketAddr {
        self.server.local_addr()
    }
}

/// A client, and its events.
pub struct Viewer {
    pub client: Client,
    pub events: Events,
    pub clock: ClockFn,
}

impl Viewer {
    pub fn start(target: SocketAddr, expect: HostExpectation) -> Self {
        Self::with(vec![target], expect, Options::default())
    }

    pub fn with(target: Vec<SocketAddr>, expect: HostExpectation, options: Options) -> Self {
        let (sink, events) = sink();
        let clock = clock();
        Self { client: Client::connect(target, expect, clock.clone(), sink, options), events, clock }
    }

    pub fn handle(&self) -> Handle {
        self.client.handle().unwrap()
    }
}

/// Both ends connected through `via`, and the client proven.
pub struct Pair {
    pub host: Host,
    pub viewer: Viewer,
    pub host_conn: ConnId,
    pub conn: ConnId,
}

impl Pair {
    pub fn connect(host: Host, identity: &Identity, via: SocketAddr, options: Options) -> Self {
        let viewer = Viewer::with(vec![via], HostExpectation::Pinned(identity.fingerprint()), options);
        let (conn, _) = viewer.events.connected();
        let (host_conn, _) = host.events.connected();
        // The control stream is there for the host once the client has spoken.
        viewer.handle().send_control(conn, b"hello").unwrap();
        assert_eq!(host.events.control(), b"hello");
        host.server.handle().authenticated(host_conn);
        Self { host, viewer, host_conn, conn }
    }

    pub fn direct() -> Self {
        let identity = Identity::new();
        let host = Host::start(&identity.leaf(), Options::default());
        let addr = host.addr();
        Self::connect(host, &identity, addr, Options::default())
    }

    /// Sends from the viewer until the host has got one of it, every 20 ms.
    pub fn up_until_heard(&self, text: &'static [u8]) {
        let handle = self.viewer.handle();
        for _ in 0..1000 {
            let _ = handle.send_datagram(self.conn, Bytes::from_static(text));
            let heard = self.host.events.rest(20).into_iter().any(|e| match e {
                Event::Datagram { bytes, .. } => bytes == text,
                Event::Closed { conn, reason } if conn == self.host_conn => panic!("{reason}"),
                _ => false,
            });
            if heard {
                return;
            }
        }
        panic!("never heard");
    }
}
