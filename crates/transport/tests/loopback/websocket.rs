//! The lanes over a WebSocket, the race between it and QUIC, and who is not let in.

use crate::world::{Host, Identity, Pair, Viewer, both_free, loopback, pause};
use bytes::Bytes;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use telepane_protocol::carried::{Carried, MAX_DATAGRAM};
use telepane_transport::relay::{Direction, LinkModel, Relay};
use telepane_transport::{
    Carrier, Carriers, CloseReason, ConnectFailure, Event, Fault, HostExpectation, Lanes, Limits, MAX_CHUNK_BYTES,
    MAX_CONTROL, Options, SendError,
};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

fn only_websocket() -> Options {
    Options { carriers: Carriers::WebSocket, ..Options::default() }
}

fn pair() -> Pair {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    let addr = host.addr();
    Pair::connect(host, &identity, addr, only_websocket())
}

// spec: WS-5, WS-6
#[test]
fn every_lane_goes_both_ways_and_the_exporter_is_the_same() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    let viewer = Viewer::with(vec![host.addr()], HostExpectation::Pinned(identity.fingerprint()), only_websocket());
    let (conn, facts) = viewer.events.connected();
    let (host_conn, host_facts) = host.events.connected();
    assert_eq!((facts.carrier, host_facts.carrier), (Carrier::WebSocket, Carrier::WebSocket));
    assert_eq!((facts.exporter, facts.host_fingerprint), (host_facts.exporter, identity.fingerprint()));
    assert_ne!(facts.exporter, [0; 32]);
    assert_eq!(facts.max_datagram, MAX_DATAGRAM);
    let (up, down) = (viewer.handle(), host.server.handle());
    up.send_control(conn, b"hello").unwrap();
    assert_eq!(host.events.control(), b"hello");
    down.authenticated(host_conn);

    up.send_together(conn, vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")]).unwrap();
    assert_eq!((host.events.datagram().0, host.events.datagram().0), ("one".into(), "two".into()));
    let long = Bytes::from(vec![7; MAX_DATAGRAM]);
    down.send_datagram(host_conn, long.clone()).unwrap();
    let (got, arrived) = viewer.events.datagram();
    assert!(got == long && arrived > 0 && arrived <= (viewer.clock)());
    let too_long = vec![0; MAX_DATAGRAM + 1].into();
    assert_eq!(down.send_datagram(host_conn, too_long), Err(SendError::TooLarge { max: MAX_DATAGRAM }));

    let message = vec![3; MAX_CONTROL];
    down.send_control(host_conn, &message).unwrap();
    assert_eq!(viewer.events.control(), message);
    for (from, conn, at) in [(&up, conn, &host.events), (&down, host_conn, &viewer.events)] {
        from.send_chunk(conn, vec![9; MAX_CHUNK_BYTES]).unwrap();
        let chunk = at.wait("Chunk", |e| match e {
            Event::Chunk { bytes, .. } => Some(bytes),
            _ => None,
        });
        assert_eq!(chunk, vec![9; MAX_CHUNK_BYTES]);
    }
    let stats = up.stats(conn).unwrap();
    assert_eq!(stats.carrier, Carrier::WebSocket);
    assert!(stats.sent_bytes > MAX_CHUNK_BYTES as u64 && stats.recv_bytes > MAX_CONTROL as u64);
    if cfg!(target_os = "linux") {
        assert!(stats.rtt_us > 0 && stats.mtu > 500, "{stats:?}");
    }
}

// spec: WS-10, L-10
#[test]
fn an_end_says_why_and_what_was_said_before_still_arrives() {
    let Pair { host, viewer, host_conn, conn } = pair();
    host.server.handle().send_control(host_conn, b"last words").unwrap();
    host.server.handle().close(host_conn, 77, "enough");
    assert_eq!(viewer.events.control(), b"last words");
    assert_eq!(viewer.events.closed(), CloseReason::PeerClosed { code: 77, text: "enough".into() });
    assert_eq!(host.events.closed(), CloseReason::LocalClosed);
    assert_eq!(viewer.handle().send_control(conn, b"x"), Err(SendError::Gone));

    let Pair { host, viewer, .. } = pair();
    host.server.shutdown(Duration::from_secs(2));
    let code = Fault::ShuttingDown.code().into();
    assert_eq!(viewer.events.closed(), CloseReason::PeerClosed { code, text: "shutting-down".into() });
}

// spec: WS-1, A-6
#[test]
fn another_identity_is_refused_over_tcp_as_over_quic() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    let viewer = Viewer::with(vec![host.addr()], HostExpectation::Pinned([7; 32]), only_websocket());
    assert_eq!(viewer.events.failed(), ConnectFailure::HostChanged { seen: identity.fingerprint() });
}

// spec: WS-12
#[test]
fn a_certificate_made_on_the_way_is_named_and_never_a_changed_host() {
    let identity = Identity::new();
    // What a proxy that opens TLS shows: a leaf for the name that was asked for, signed by its own authority.
    let gateway = Identity::called("Example Web Gateway CA");
    for pinned in [HostExpectation::Pinned(identity.fingerprint()), HostExpectation::Any] {
        for alone in [false, true] {
            let mut shown = gateway.leaf();
            shown.chain_der.truncate(if alone { 1 } else { 2 });
            let addr = tls_server(&shown);
            let failure = Viewer::with(vec![addr], pinned, only_websocket()).events.failed();
            let expected = ConnectFailure::Inspected { by: "Example Web Gateway CA".into(), port: addr.to_string() };
            assert_eq!(failure, expected);
            assert!(failure.to_string().contains("opens TLS") && !failure.to_string().contains("changed"));
        }
        // One that speaks nothing newer than TLS 1.2 is looked at a second time, and is named like the others.
        let addr = older_tls_server(&gateway.leaf());
        let failure = Viewer::with(vec![addr], pinned, only_websocket()).events.failed();
        let expected = ConnectFailure::Inspected { by: "Example Web Gateway CA".into(), port: addr.to_string() };
        assert_eq!(failure, expected);
        // A host that would be believed by its names is not, in a version in which nobody is.
        let addr = older_tls_server(&identity.leaf());
        let failure = Viewer::with(vec![addr], pinned, only_websocket()).events.failed();
        assert_eq!(failure, ConnectFailure::SilentButTcpOpen);
        // Somebody's web server on that port was made for nobody but itself.
        let addr = tls_server(&gateway.leaf_for("www.example.org", 2090));
        let failure = Viewer::with(vec![addr], pinned, only_websocket()).events.failed();
        assert!(
            matches!(&failure, ConnectFailure::NotTelepane(t) if t.contains("Example Web Gateway CA")),
            "{failure}"
        );
    }
}

// spec: WS-3, A-2
#[test]
fn another_version_is_told_from_a_web_server() {
    let identity = Identity::new();
    for (answers, expected) in
        [("telepane", ConnectFailure::VersionMismatch), ("telepane.1", ConnectFailure::Cancelled)]
    {
        let acceptor = acceptor(&identity.leaf(), &rustls::version::TLS13);
        let listener = TcpListener::bind(loopback(0)).unwrap();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (tcp, _) = listener.accept().unwrap();
            let tls = rustls::StreamOwned::new(rustls::ServerConnection::new(acceptor).unwrap(), tcp);
            #[expect(clippy::result_large_err, reason = "the library's own types")]
            let answer = |_: &tungstenite::handshake::server::Request,
                          mut r: tungstenite::handshake::server::Response| {
                r.headers_mut().insert("sec-websocket-protocol", answers.parse().unwrap());
                Ok(r)
            };
            let socket = tungstenite::accept_hdr(tls, answer);
            pause(1_000);
            drop(socket);
        });
        let viewer = Viewer::with(vec![addr], HostExpectation::Pinned(identity.fingerprint()), only_websocket());
        match expected {
            ConnectFailure::Cancelled => drop(viewer.events.connected()),
            failure => assert_eq!(viewer.events.failed(), failure),
        }
    }
}

// spec: WS-14
#[test]
fn udp_silent_but_tcp_open_connects() {
    let identity = Identity::new();
    let pinned = HostExpectation::Pinned(identity.fingerprint());
    let host = Host::start(&identity.leaf(), only_websocket());
    let viewer = Viewer::start(host.addr(), pinned);
    assert_eq!(viewer.events.connected().1.carrier, Carrier::WebSocket);
    // Where both answer, QUIC's head start decides.
    let host = Host::start(&identity.leaf(), Options::default());
    assert_eq!(Viewer::start(host.addr(), pinned).events.connected().1.carrier, Carrier::Quic);
    // And where it was asked for alone, nothing else is tried or answered.
    let quic = Options { carriers: Carriers::Quic, ..Options::default() };
    let host = Host::start(&identity.leaf(), quic.clone());
    assert!(TcpStream::connect(host.addr()).is_err());
    let (silent, _tcp) = both_free();
    let addr = silent.local_addr().unwrap();
    assert_eq!(Viewer::with(vec![addr], pinned, quic).events.failed(), ConnectFailure::SilentButTcpOpen);
}

// spec: WS-16
#[test]
fn a_path_that_carries_no_1200_bytes_counts_as_udp_blocked() {
    let identity = Identity::new();
    let pinned = HostExpectation::Pinned(identity.fingerprint());
    let host = Host::start(&identity.leaf(), Options::default());
    // Beside UDP's headers 1,172 bytes are left: QUIC's first packets are padded to 1,200 (RFC 9000 §14.1).
    let narrow = LinkModel { mtu: Some(1_200), ..LinkModel::default() };
    let relay = Relay::start(loopback(0), host.addr(), narrow, narrow, 1, host.clock.clone()).unwrap();
    let quic = Options { carriers: Carriers::Quic, connect_within: Duration::from_secs(2), ..Options::default() };
    let alone = Viewer::with(vec![relay.addr()], pinned, quic.clone());
    assert!(matches!(alone.events.failed(), ConnectFailure::Silent { .. }));
    assert!(relay.counters().up.too_large > 0, "QUIC tried: {:?}", relay.counters());
    let beside = Options { tcp_ports: vec![host.addr().port()], ..Options::default() };
    let viewer = Viewer::with(vec![relay.addr()], pinned, beside);
    let (conn, facts) = viewer.events.connected();
    assert_eq!((facts.carrier, facts.remote), (Carrier::WebSocket, host.addr()));
    let (host_conn, _) = host.events.connected();
    host.server.handle().send_control(host_conn, b"down").unwrap();
    assert_eq!(viewer.events.control(), b"down");
    viewer.handle().send_control(conn, b"up").unwrap();
    assert_eq!(host.events.control(), b"up");
    // Had the packets been let through, the same would have gone over QUIC.
    relay.set(Direction::Up, LinkModel::default());
    relay.set(Direction::Down, LinkModel::default());
    assert_eq!(Viewer::with(vec![relay.addr()], pinned, quic).events.connected().1.carrier, Carrier::Quic);
}

// spec: WS-14
#[test]
fn another_tcp_port_is_tried_when_it_was_named() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), only_websocket());
    // The same port is nobody's: only the other one leads to the host.
    let closed = UdpSocket::bind(loopback(0)).unwrap();
    let options = Options { tcp_ports: vec![host.addr().port()], ..Options::default() };
    let viewer = Viewer::with(
        vec![closed.local_addr().unwrap()],
        HostExpectation::Pinned(identity.fingerprint()),
        options.clone(),
    );
    assert_eq!(viewer.events.connected().1.remote, host.addr());
    // And a host listens there too.
    let free = TcpListener::bind(loopback(0)).unwrap().local_addr().unwrap().port();
    let host = Host::start(&identity.leaf(), Options { tcp_ports: vec![free], ..Options::default() });
    assert!(TcpStream::connect(loopback(free)).is_ok() && TcpStream::connect(host.addr()).is_ok());
}

// spec: WS-4, A-10, A-11
#[test]
fn who_is_not_proven_is_bounded() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    // (what is sent, what follows)
    let control = |len: usize| Carried::Control(&vec![1; len]).encode();
    let cases = [
        (vec![control(1_025)], Fault::ControlTooLong),
        (vec![control(10); 17], Fault::ControlTooMany),
        (vec![Carried::Datagram(&[0; MAX_DATAGRAM]).encode(), vec![0; MAX_DATAGRAM + 2]], Fault::BadMessage),
        (vec![vec![3, 0, 0]], Fault::BadMessage),
    ];
    for (messages, fault) in cases {
        let mut stranger = stranger(&identity, host.addr(), "telepane.1", None).expect("a websocket");
        let (conn, _) = host.events.connected();
        for message in messages {
            let _ = stranger.send(Message::Binary(message.into()));
        }
        assert_eq!(host.events.closed(), CloseReason::Fault(fault));
        let last = std::iter::from_fn(|| stranger.read().ok()).find_map(|m| match m {
            Message::Binary(b) => Some(b),
            _ => None,
        });
        let said = last.expect("it says why");
        let expected = Carried::Close { code: fault.code(), text: fault.name().as_bytes() };
        assert_eq!(Carried::decode(&said, 0), Ok(expected));
        assert!(host.server.handle().stats(conn).is_none());
    }
    // A text, a message longer than any, and what is no WebSocket frame.
    let mut stranger = stranger(&identity, host.addr(), "telepane.1", None).expect("a websocket");
    stranger.send(Message::Text("hello".into())).unwrap();
    assert_eq!(host.events.closed(), CloseReason::Fault(Fault::BadMessage));
    let mut stranger = self::stranger(&identity, host.addr(), "telepane.1", None).expect("a websocket");
    let _ = stranger.send(Message::Binary(vec![1; MAX_CONTROL + 2].into()));
    assert_eq!(host.events.closed(), CloseReason::Fault(Fault::BadMessage));
    // Datagrams and chunks of one who is not proven go nowhere; later lanes are passed over.
    let mut stranger = self::stranger(&identity, host.addr(), "telepane.1", None).expect("a websocket");
    let (conn, _) = host.events.connected();
    for message in [Carried::Datagram(b"d").encode(), Carried::Chunk(b"c").encode(), vec![9, 9], control(3)] {
        stranger.send(Message::Binary(message.into())).unwrap();
    }
    assert_eq!(host.events.control(), [1, 1, 1]);
    assert_eq!(host.server.handle().stats(conn).unwrap().unproven_dropped, 2);
}

// spec: WS-2, WS-3
#[test]
fn web_pages_and_other_paths_are_refused_with_a_word() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    let status = |protocol: &str, origin: Option<&str>| match stranger(&identity, host.addr(), protocol, origin) {
        Err(tungstenite::Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("{:?}", other.map(|_| ())),
    };
    assert_eq!(status("telepane.1", Some("https://evil.example")), 403);
    assert_eq!(status("chat", None), 400);
    let mut tls = open(&identity, host.addr());
    tls.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    tls.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
}

// spec: WS-4
#[test]
fn unanswered_handshakes_of_one_address_are_counted() {
    let identity = Identity::new();
    let limits = Limits { unproven_per_address: 3, handshake: Duration::from_millis(400), ..Limits::default() };
    let host = Host::start(&identity.leaf(), Options { limits, ..Options::default() });
    // Three who say nothing take the address's places; the fourth is hung up on.
    let silent: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(host.addr()).unwrap()).collect();
    pause(50);
    let mut fourth = TcpStream::connect(host.addr()).unwrap();
    assert_eq!(fourth.read(&mut [0; 1]).unwrap_or(0), 0);
    drop(silent);
    // Given up, they make room for who means it.
    let options = Options { connect_within: Duration::from_secs(10), ..only_websocket() };
    for _ in 0..50 {
        let target = vec![host.addr()];
        let viewer = Viewer::with(target, HostExpectation::Pinned(identity.fingerprint()), options.clone());
        let first = viewer.events.wait("an end", |e| match e {
            Event::Connected { .. } => Some(true),
            Event::ConnectFailed { .. } => Some(false),
            _ => None,
        });
        if first {
            return;
        }
        pause(100);
    }
    panic!("nobody is let in any more");
}

// spec: WS-9, L-7
#[test]
fn a_client_that_hears_nothing_asks_and_a_silent_peer_is_over() {
    let identity = Identity::new();
    let host =
        Host::start(&identity.leaf(), Options { idle_timeout: Duration::from_millis(1_500), ..Options::default() });
    let addr = host.addr();
    let keeps = Options { keep_alive: Duration::from_millis(300), ..only_websocket() };
    let pair = Pair::connect(host, &identity, addr, keeps);
    // One who connects and says nothing is the measure: its end comes, the one who asks lives on.
    let stranger = stranger(&identity, addr, "telepane.1", None).expect("a websocket");
    let (over, reason) = pair.host.events.wait("Closed", |e| match e {
        Event::Closed { conn, reason } => Some((conn, reason)),
        _ => None,
    });
    assert_eq!(reason, CloseReason::Timeout);
    assert_ne!(over, pair.host_conn);
    assert!(pair.host.server.handle().stats(pair.host_conn).is_some());
    drop(stranger);
}

// spec: WS-9, L-7
#[test]
fn a_host_that_asks_hears_from_a_client_at_rest() {
    let identity = Identity::new();
    let (idle_timeout, asks) = (Duration::from_millis(1_500), Some(Duration::from_millis(300)));
    let host = Host::start(&identity.leaf(), Options { idle_timeout, asks, ..Options::default() });
    let addr = host.addr();
    let pair = Pair::connect(host, &identity, addr, only_websocket());
    pause(2_500);
    assert!(pair.host.server.handle().stats(pair.host_conn).is_some());
}

/// A TLS server with these certificates, which accepts and says nothing.
pub fn tls_server(shown: &telepane_transport::ServerCredentials) -> SocketAddr {
    serve_tls(acceptor(shown, &rustls::version::TLS13))
}

/// The same for one that speaks TLS 1.2 and nothing newer.
pub fn older_tls_server(shown: &telepane_transport::ServerCredentials) -> SocketAddr {
    serve_tls(acceptor(shown, &rustls::version::TLS12))
}

fn serve_tls(config: Arc<rustls::ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind(loopback(0)).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let Ok(mut tcp) = tcp else { return };
            let config = config.clone();
            std::thread::spawn(move || {
                let mut tls = rustls::ServerConnection::new(config).unwrap();
                while tls.is_handshaking() && tls.complete_io(&mut tcp).is_ok() {}
                pause(500);
            });
        }
    });
    addr
}

pub fn acceptor(
    shown: &telepane_transport::ServerCredentials,
    version: &'static rustls::SupportedProtocolVersion,
) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
    let chain = shown.chain_der.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivatePkcs8KeyDer::from(shown.key_der.clone());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    Arc::new(config)
}

type Stranger = tungstenite::WebSocket<Tls>;
type Tls = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

/// TLS to a host by somebody who trusts its identity as an authority.
fn open(identity: &Identity, addr: SocketAddr) -> Tls {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(identity.der().into()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = rustls::ClientConnection::new(Arc::new(config), "telepane".try_into().unwrap()).unwrap();
    rustls::StreamOwned::new(tls, TcpStream::connect(addr).unwrap())
}

/// A WebSocket client that is not ours.
fn stranger(
    identity: &Identity,
    addr: SocketAddr,
    protocol: &str,
    origin: Option<&str>,
) -> Result<Stranger, tungstenite::Error> {
    let mut request = format!("wss://{addr}/telepane").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    match tungstenite::client(request, open(identity, addr)) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(e)) => Err(e),
        Err(tungstenite::HandshakeError::Interrupted(_)) => panic!("it is a blocking socket"),
    }
}
