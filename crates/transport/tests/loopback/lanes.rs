//! What the lanes carry, and how a connection ends.

use crate::world::{Host, Identity, Pair, Viewer, loopback};
use bytes::Bytes;
use std::time::Duration;
use telepane_model::LinkSide;
use telepane_transport::{
    CloseReason, Event, Fault, HostExpectation, Lanes, Listen, MAX_CONTROL, Options, SendError, Server,
};

// spec: O-1, L-1, A-8, A-6
#[test]
fn datagrams_and_control_go_both_ways() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    assert_eq!(host.server.fingerprint(), identity.fingerprint());
    let viewer = Viewer::start(host.addr(), HostExpectation::Any);
    let (conn, facts) = viewer.events.connected();
    let (host_conn, host_facts) = host.events.connected();
    assert_eq!(conn, viewer.client.conn());
    assert_eq!(facts.exporter, host_facts.exporter);
    assert_ne!(facts.exporter, [0; 32]);
    assert_eq!((facts.side, host_facts.side), (LinkSide::Viewer, LinkSide::Host));
    assert_eq!(facts.host_fingerprint, identity.fingerprint());
    assert_eq!(host_facts.host_fingerprint, identity.fingerprint());
    assert_eq!(facts.remote, host.addr());
    assert!(facts.max_datagram >= 1100 && facts.recv_buffer > 0 && facts.send_buffer > 0);

    let (up, down) = (viewer.handle(), host.server.handle());
    up.send_control(conn, b"hello").unwrap();
    assert_eq!(host.events.control(), b"hello");
    down.authenticated(host_conn);
    up.authenticated(conn);
    let big: Vec<u8> = (0..MAX_CONTROL).map(|i| (i * 7) as u8).collect();
    up.send_control(conn, &big).unwrap();
    assert_eq!(host.events.control(), big);
    down.send_control(host_conn, &big).unwrap();
    assert_eq!(viewer.events.control(), big);
    down.send_control(host_conn, b"").unwrap();
    assert_eq!(viewer.events.control(), b"");

    let before = (host.clock)();
    up.send_datagram(conn, Bytes::from_static(b"up")).unwrap();
    let (bytes, arrived_us) = host.events.datagram();
    assert_eq!(&bytes[..], b"up");
    assert!((before..=(host.clock)()).contains(&arrived_us));
    down.send_datagram(host_conn, Bytes::from_static(b"down")).unwrap();
    assert_eq!(&viewer.events.datagram().0[..], b"down");

    let stats = up.stats(conn).unwrap();
    assert!(stats.rtt_us > 0 && stats.sent_bytes > MAX_CONTROL as u64 && stats.recv_bytes > MAX_CONTROL as u64);
    assert!(stats.cwnd > 0 && stats.mtu >= 1200);
}

// spec: H-25, L-4
#[test]
fn what_is_sent_together_shares_a_packet_and_keeps_its_order() {
    let pair = Pair::direct();
    let down = pair.host.server.handle();
    let sent = || down.stats(pair.host_conn).map_or(0, |s| s.sent_packets);
    let before = sent();
    for n in 0..100_u8 {
        let two = vec![Bytes::from(vec![n, 1, 9]), Bytes::from(vec![n, 2])];
        down.send_together(pair.host_conn, two).unwrap();
        for part in 1..=2 {
            assert_eq!(pair.viewer.events.datagram().0[..2], [n, part]);
        }
    }
    // A packet each, and what QUIC itself has to say; apart they would be 200.
    assert!((100..150).contains(&(sent() - before)), "{} packets", sent() - before);
    down.send_together(pair.host_conn, vec![Bytes::from_static(b"1"), Bytes::from_static(b"2")]).unwrap();
    down.send_datagram(pair.host_conn, Bytes::from_static(b"3")).unwrap();
    let came = [(); 3].map(|()| pair.viewer.events.datagram().0);
    assert_eq!(came, [&b"1"[..], b"2", b"3"]);
    let large = vec![Bytes::from_static(b"fits"), vec![0; 65_000].into()];
    assert!(matches!(down.send_together(pair.host_conn, large), Err(SendError::TooLarge { .. })), "none of them");
    assert!(down.send_together(pair.host_conn, Vec::new()).is_ok());
}

#[test]
fn a_close_carries_its_code_text_and_what_was_queued() {
    let pair = Pair::direct();
    let handle = pair.viewer.handle();
    handle.send_control(pair.conn, b"last words").unwrap();
    handle.close(pair.conn, 42, "good\nbye");
    assert_eq!(handle.send_control(pair.conn, b"too late"), Err(SendError::Gone));
    assert_eq!(pair.host.events.control(), b"last words");
    assert_eq!(pair.host.events.closed(), CloseReason::PeerClosed { code: 42, text: "good bye".to_owned() });
    assert_eq!(pair.viewer.events.closed(), CloseReason::LocalClosed);
    let host = pair.host.server.handle();
    assert_eq!(host.send_datagram(pair.host_conn, Bytes::from_static(b"x")), Err(SendError::Gone));
    assert_eq!((host.max_datagram(pair.host_conn), host.stats(pair.host_conn)), (0, None));
    assert!(host.connections().is_empty());
}

// spec: B-1, B-3
#[test]
fn chunks_go_both_ways_each_on_its_own_and_only_once_the_peer_is_proven() {
    let pair = Pair::direct();
    let (up, down) = (pair.viewer.handle(), pair.host.server.handle());
    let longest: Vec<u8> = (0..telepane_transport::MAX_CHUNK_BYTES).map(|i| (i * 7) as u8).collect();
    let chunk = |events: &crate::world::Events| {
        events.wait("a chunk", |e| if let Event::Chunk { bytes, .. } = e { Some(bytes) } else { None })
    };
    for _ in 0..300 {
        up.send_chunk(pair.conn, longest.clone()).unwrap();
        assert_eq!(chunk(&pair.host.events), longest);
    }
    down.send_chunk(pair.host_conn, b"down".to_vec()).unwrap();
    assert_eq!(chunk(&pair.viewer.events), b"down");
    let too_long = vec![0; telepane_transport::MAX_CHUNK_BYTES + 1];
    assert!(matches!(up.send_chunk(pair.conn, too_long), Err(SendError::TooLarge { .. })));

    // A viewer that has proven nothing waits for leave, and nothing of it is delivered.
    let host = Host::start(&Identity::new().leaf(), Options::default());
    let viewer = Viewer::start(host.addr(), HostExpectation::Any);
    let (conn, _) = viewer.events.connected();
    let (host_conn, _) = host.events.connected();
    viewer.handle().send_chunk(conn, b"early".to_vec()).unwrap();
    assert!(!host.events.rest(100).iter().any(|e| matches!(e, Event::Chunk { .. })));
    host.server.handle().authenticated(host_conn);
    assert_eq!(chunk(&host.events), b"early");
}

// spec: L-10
#[test]
fn a_shutdown_tells_the_client() {
    let pair = Pair::direct();
    let addr = pair.host.addr();
    pair.host.server.shutdown(Duration::from_secs(5));
    let Fault::ShuttingDown = (match pair.viewer.events.closed() {
        CloseReason::PeerClosed { code, text } => {
            assert_eq!(text, "shutting-down");
            Fault::from_code(code).unwrap()
        }
        other => panic!("{other}"),
    }) else {
        panic!("another fault");
    };
    // The port is free again.
    assert!(std::net::UdpSocket::bind(addr).is_ok());
}

// spec: L-4
#[test]
fn too_large_is_said_and_nothing_is_sent() {
    let pair = Pair::direct();
    let handle = pair.viewer.handle();
    let max = handle.max_datagram(pair.conn);
    let Err(SendError::TooLarge { max: said }) = handle.send_datagram(pair.conn, vec![0; 65_000].into()) else {
        panic!("sent");
    };
    assert!(said >= max && said < 65_000);
    assert_eq!(
        handle.send_control(pair.conn, &vec![0; MAX_CONTROL + 1]),
        Err(SendError::TooLarge { max: MAX_CONTROL })
    );
    handle.send_datagram(pair.conn, vec![1; max].into()).unwrap();
    assert_eq!(pair.host.events.datagram().0.len(), max);
}

#[test]
fn a_hundred_thousand_datagrams_are_counted() {
    const COUNT: u32 = 100_000;
    let pair = Pair::direct();
    let (handle, conn) = (pair.host.server.handle(), pair.host_conn);
    let events = pair.viewer.events;
    let receiver = std::thread::spawn(move || {
        let mut seen = vec![false; COUNT as usize];
        let (mut got, mut stamp) = (0u32, 0);
        loop {
            let done = events.wait("datagrams", |e| match e {
                Event::Datagram { bytes, arrived_us, .. } => {
                    assert!(arrived_us >= stamp);
                    stamp = arrived_us;
                    let n = u32::from_be_bytes(bytes[..4].try_into().unwrap());
                    assert!(!std::mem::replace(&mut seen[n as usize], true), "delivered twice");
                    got += 1;
                    Some(false)
                }
                Event::Control { .. } => Some(true),
                _ => None,
            });
            if done {
                return (got, events);
            }
        }
    });
    let (mut sent, mut full) = (0u32, 0u64);
    while sent < COUNT {
        if sent % 64 == 0 {
            handle.set_window(conn, 128 * 1024);
        }
        let mut bytes = vec![0; 1000];
        bytes[..4].copy_from_slice(&sent.to_be_bytes());
        match handle.send_datagram(conn, bytes.into()) {
            Ok(()) => sent += 1,
            Err(SendError::Full) => {
                full += 1;
                std::thread::yield_now();
            }
            Err(e) => panic!("{e}"),
        }
    }
    while handle.stats(conn).unwrap().sent_bytes < u64::from(COUNT) * 1000 {
        std::thread::yield_now();
    }
    handle.send_control(conn, b"end").unwrap();
    let (got, _events) = receiver.join().unwrap();
    let lost = handle.stats(conn).unwrap().lost;
    println!("{got} of {COUNT} arrived, {lost} packets lost, queue full {full} times");
    // Full means refused, never dropped: what did not arrive was lost by the socket.
    assert!(got <= COUNT && u64::from(COUNT - got) <= lost + 256, "{got} arrived, {lost} lost");
    assert!(got > COUNT / 2);
}

#[test]
fn both_address_families_reach_a_dual_stack_server() {
    let identity = Identity::new();
    let (sink, events) = crate::world::sink();
    let server =
        Server::bind(Listen::DualStack(0), &identity.leaf(), crate::world::clock(), sink, Options::default()).unwrap();
    let port = server.local_addr().port();
    let mut targets = vec![loopback(port)];
    if server.local_addr().is_ipv6() {
        targets.push(format!("[::1]:{port}").parse().unwrap());
    }
    for target in targets {
        let viewer = Viewer::start(target, HostExpectation::Pinned(identity.fingerprint()));
        assert_eq!(viewer.events.connected().1.remote, target);
        assert_eq!(events.connected().1.remote.ip(), target.ip());
    }
}

// spec: A-6
#[test]
fn new_credentials_are_for_new_clients() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    let addr = host.addr();
    let pair = Pair::connect(host, &identity, addr, Options::default());
    let server = &pair.host.server;
    server.set_credentials(&identity.leaf()).unwrap();
    let pin = HostExpectation::Pinned(identity.fingerprint());
    Viewer::start(addr, pin).events.connected();
    let mut broken = identity.leaf();
    broken.key_der = identity.leaf().key_der;
    assert!(server.set_credentials(&broken).is_err());
    server.set_credentials(&Identity::new().leaf()).unwrap();
    assert!(matches!(Viewer::start(addr, pin).events.failed(), telepane_transport::ConnectFailure::HostChanged { .. }));
    pair.up_until_heard(b"still here");
}
