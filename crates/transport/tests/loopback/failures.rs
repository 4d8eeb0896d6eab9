//! Why a client cannot connect; some of it against a QUIC server that is not ours.

use crate::world::{Host, Identity, Viewer, both_free, loopback, sink};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use telepane_transport::{
    BindError, Client, CloseReason, ConnectFailure, Fault, HostExpectation, Listen, Options, Server, ServerCredentials,
};
use tokio::sync::oneshot;

/// A QUIC server with this chain and protocol that sends `says` on the first stream it is given; it ends with the
/// returned sender.
fn foreign(credentials: &ServerCredentials, protocol: &[u8], says: &'static [u8]) -> (SocketAddr, oneshot::Sender<()>) {
    let chain = credentials.chain_der.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivatePkcs8KeyDer::from(credentials.key_der.clone());
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    tls.alpn_protocols = vec![protocol.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let endpoint = {
        let _inside = runtime.enter();
        quinn::Endpoint::server(config, loopback(0)).unwrap()
    };
    let addr = endpoint.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let accept = async move {
        while let Some(incoming) = endpoint.accept().await {
            let Ok(connection) = incoming.await else { continue };
            tokio::spawn(async move {
                if let Ok((mut send, _recv)) = connection.accept_bi().await {
                    let _ = send.write_all(says).await;
                    connection.closed().await;
                }
            });
        }
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = accept => {}
                _ = stopped => {}
            }
        });
    });
    (addr, stop)
}

fn why(target: SocketAddr, expect: HostExpectation) -> ConnectFailure {
    Viewer::start(target, expect).events.failed()
}

// spec: A-6
#[test]
fn another_identity_than_the_pinned_one_is_refused() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    let failure = why(host.addr(), HostExpectation::Pinned([7; 32]));
    assert_eq!(failure, ConnectFailure::HostChanged { seen: identity.fingerprint() });
}

// spec: A-5
#[test]
fn a_leaf_of_another_identity_is_refused() {
    let (identity, other) = (Identity::new(), Identity::new());
    let mut forged = other.leaf();
    forged.chain_der[1] = identity.der();
    let (addr, _running) = foreign(&forged, b"telepane/1", b"");
    for expect in [HostExpectation::Pinned(identity.fingerprint()), HostExpectation::Any] {
        assert!(matches!(why(addr, expect), ConnectFailure::Untrusted(_)));
    }
    let bound = Server::bind(Listen::Exact(loopback(0)), &forged, crate::world::clock(), sink().0, Options::default());
    assert!(matches!(bound.err(), Some(BindError::Credentials(_))));
}

// spec: A-4
#[test]
fn a_chain_that_is_not_two_certificates_is_refused() {
    let identity = Identity::new();
    let mut alone = identity.leaf();
    alone.chain_der.truncate(1);
    let mut three = identity.leaf();
    three.chain_der.push(identity.der());
    for credentials in [alone, three] {
        let (addr, _running) = foreign(&credentials, b"telepane/1", b"");
        assert!(matches!(why(addr, HostExpectation::Any), ConnectFailure::Untrusted(_)));
    }
}

// spec: A-5
#[test]
fn an_expired_leaf_or_one_for_another_name_is_refused() {
    let identity = Identity::new();
    for credentials in [identity.leaf_for("telepane", 2021), identity.leaf_for("example.org", 2090)] {
        let (addr, _running) = foreign(&credentials, b"telepane/1", b"");
        let failure = why(addr, HostExpectation::Pinned(identity.fingerprint()));
        assert!(matches!(failure, ConnectFailure::Untrusted(_)), "{failure}");
    }
}

/// The list of everything that can be wrong with a chain. Each time the door stays shut, whether the host is pinned or not.
// spec
#[test]
fn whatever_is_wrong_with_a_certificate_the_door_stays_shut() {
    use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
    let (identity, other) = (Identity::new(), Identity::new());
    let mut stranger = other.leaf();
    stranger.chain_der[1] = identity.der();
    let mut damaged = identity.leaf();
    // The signature is the last thing in a certificate.
    *damaged.chain_der[0].last_mut().unwrap() ^= 1;
    let mut alone = identity.leaf();
    alone.chain_der.truncate(1);
    let mut twice = identity.leaf();
    twice.chain_der[1] = twice.chain_der[0].clone();
    for (what, credentials) in [
        ("it has expired", identity.leaf_for("telepane", 2021)),
        ("it is not valid yet", identity.leaf_with("telepane", |p| p.not_before = date_time_ymd(2080, 1, 1))),
        ("it is for another name", identity.leaf_for("example.org", 2090)),
        ("it is for no name", identity.leaf_with("telepane", |p| p.subject_alt_names.clear())),
        (
            "it is for clients",
            identity.leaf_with("telepane", |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
        ),
        (
            "it is an authority itself",
            identity.leaf_with("telepane", |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ),
        ("a stranger signed it", stranger),
        ("its signature does not hold", damaged),
        ("it comes alone", alone),
        ("it vouches for itself", twice),
    ] {
        let (addr, _running) = foreign(&credentials, b"telepane/1", b"");
        for expect in [HostExpectation::Pinned(identity.fingerprint()), HostExpectation::Any] {
            let failure = why(addr, expect);
            assert!(matches!(failure, ConnectFailure::Untrusted(_)), "{what}: {failure}");
        }
    }
    let (addr, _running) = foreign(&identity.leaf(), b"telepane/1", b"");
    Viewer::start(addr, HostExpectation::Pinned(identity.fingerprint())).events.connected();
}

// spec, V-1
#[test]
fn another_version_and_another_protocol_are_told_apart() {
    let identity = Identity::new();
    let (addr, _running) = foreign(&identity.leaf(), b"telepane", b"");
    assert_eq!(why(addr, HostExpectation::Any), ConnectFailure::VersionMismatch);
    let (addr, _running) = foreign(&identity.leaf(), b"h3", b"");
    assert!(matches!(why(addr, HostExpectation::Any), ConnectFailure::NotTelepane(_)));
}

#[test]
fn a_closed_port_is_refused_and_a_silent_one_says_what_tcp_does() {
    let (silent, tcp) = both_free();
    let addr = silent.local_addr().unwrap();
    drop(tcp);
    assert_eq!(why(addr, HostExpectation::Any), ConnectFailure::Silent { host_up: true });
    let _tcp = TcpListener::bind(addr).unwrap();
    assert_eq!(why(addr, HostExpectation::Any), ConnectFailure::SilentButTcpOpen);
    drop(silent);
    assert_eq!(why(addr, HostExpectation::Any), ConnectFailure::Refused);
    assert_eq!(
        Viewer::with(Vec::new(), HostExpectation::Any, Options::default()).events.failed(),
        ConnectFailure::NoRoute
    );
}

#[test]
fn the_address_that_answers_wins() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    let silent = UdpSocket::bind("127.0.0.2:0").unwrap();
    let targets = vec![silent.local_addr().unwrap(), "[::1]:9".parse().unwrap(), host.addr()];
    let viewer = Viewer::with(targets, HostExpectation::Pinned(identity.fingerprint()), Options::default());
    assert_eq!(viewer.events.connected().1.remote, host.addr());
}

#[test]
fn an_attempt_can_be_called_off() {
    let silent = UdpSocket::bind(loopback(0)).unwrap();
    let (sink, events) = sink();
    let target = vec![silent.local_addr().unwrap()];
    let client = Client::connect(target, HostExpectation::Any, crate::world::clock(), sink, Options::default());
    client.shutdown();
    assert_eq!(events.failed(), ConnectFailure::Cancelled);
}

// spec: L-2, L-10
#[test]
fn a_control_frame_longer_than_allowed_closes_with_its_name() {
    let identity = Identity::new();
    // A varint length of 2^30 - 1.
    let (addr, _running) = foreign(&identity.leaf(), b"telepane/1", &[0xbf, 0xff, 0xff, 0xff, 1, 2, 3]);
    let viewer = Viewer::start(addr, HostExpectation::Pinned(identity.fingerprint()));
    let (conn, _) = viewer.events.connected();
    use telepane_transport::Lanes;
    viewer.handle().send_control(conn, b"hello").unwrap();
    assert_eq!(viewer.events.closed(), CloseReason::Fault(Fault::ControlTooLong));
}

#[test]
fn a_host_that_answers_late_is_waited_for() {
    use telepane_model::Span;
    use telepane_transport::relay::{LinkModel, Relay};
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    // A round trip of 1.4 s against a limit of 2.5 s: the handshake takes two.
    let slow = LinkModel { delay: Span::millis(700), ..LinkModel::default() };
    let relay = Relay::start(loopback(0), host.addr(), slow, slow, 1, host.clock.clone()).unwrap();
    let options = Options { connect_within: Duration::from_millis(2_500), ..Options::default() };
    let viewer = Viewer::with(vec![relay.addr()], HostExpectation::Pinned(identity.fingerprint()), options);
    viewer.events.connected();
}

// spec: K-15
#[test]
fn a_host_that_is_leaving_refuses_who_comes_and_keeps_who_is_there() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    let pinned = HostExpectation::Pinned(identity.fingerprint());
    let there = Viewer::start(host.addr(), pinned);
    let (conn, _) = there.events.connected();
    // The host knows a moment later that a handshake is over.
    host.events.connected();
    host.server.handle().refuse_new();
    assert_eq!(why(host.addr(), pinned), ConnectFailure::Busy);
    assert_eq!(there.handle().connections(), [conn]);
}
