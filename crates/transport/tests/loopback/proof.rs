//! What a peer that has not proven itself may do.

use crate::world::{Events, Host, Identity, Viewer};
use bytes::Bytes;
use std::time::Duration;
use telepane_transport::{CloseReason, ConnId, ConnectFailure, Event, Fault, HostExpectation, Lanes, Limits, Options};

fn unproven(options: Options) -> (Host, Viewer, ConnId, ConnId) {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), options);
    let viewer = Viewer::start(host.addr(), HostExpectation::Pinned(identity.fingerprint()));
    let (conn, _) = viewer.events.connected();
    let (host_conn, _) = host.events.connected();
    (host, viewer, conn, host_conn)
}

/// The control messages before the connection is closed, and why it is.
fn until_closed(events: &Events) -> (usize, CloseReason) {
    let mut messages = 0;
    let reason = events.wait("Closed", |e| match e {
        Event::Control { .. } => {
            messages += 1;
            None
        }
        Event::Closed { reason, .. } => Some(reason),
        _ => None,
    });
    (messages, reason)
}

// spec: A-11
#[test]
fn datagrams_of_an_unproven_client_are_counted_and_not_delivered() {
    let (host, viewer, conn, host_conn) = unproven(Options::default());
    for _ in 0..10 {
        viewer.handle().send_datagram(conn, Bytes::from_static(b"early")).unwrap();
    }
    let handle = host.server.handle();
    while handle.stats(host_conn).unwrap().unproven_dropped < 10 {
        std::thread::yield_now();
    }
    handle.authenticated(host_conn);
    viewer.handle().send_datagram(conn, Bytes::from_static(b"now")).unwrap();
    assert_eq!(&host.events.datagram().0[..], b"now");
}

// spec: A-10, L-10
#[test]
fn an_unproven_client_has_sixteen_messages() {
    let (host, viewer, conn, _) = unproven(Options::default());
    for _ in 0..17 {
        viewer.handle().send_control(conn, b"let me in").unwrap();
    }
    assert_eq!(until_closed(&host.events), (16, CloseReason::Fault(Fault::ControlTooMany)));
    let code = u64::from(Fault::ControlTooMany.code());
    assert_eq!(viewer.events.closed(), CloseReason::PeerClosed { code, text: "control-too-many".to_owned() });
}

// spec: A-10
#[test]
fn an_unproven_client_has_a_kilobyte_per_message() {
    let (host, viewer, conn, _) = unproven(Options::default());
    viewer.handle().send_control(conn, &[1; 1024]).unwrap();
    viewer.handle().send_control(conn, &[1; 1025]).unwrap();
    assert_eq!(until_closed(&host.events), (1, CloseReason::Fault(Fault::ControlTooLong)));
}

// spec: A-10
#[test]
fn an_unproven_client_has_its_time() {
    let limits = Limits { unproven: Duration::from_millis(100), ..Limits::default() };
    let (host, _viewer, ..) = unproven(Options { limits, ..Options::default() });
    assert_eq!(host.events.closed(), CloseReason::Fault(Fault::UnprovenTooLong));
}

// spec: A-12
#[test]
fn what_an_unproven_host_sends_waits_with_its_stamps() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    let viewer = Viewer::start(host.addr(), HostExpectation::Any);
    let (conn, _) = viewer.events.connected();
    let (host_conn, _) = host.events.connected();
    viewer.handle().send_control(conn, b"proof").unwrap();
    assert_eq!(host.events.control(), b"proof");
    let handle = host.server.handle();
    handle.authenticated(host_conn);
    for n in 0..20u8 {
        handle.send_control(host_conn, &vec![n; 2000]).unwrap();
        handle.send_datagram(host_conn, vec![n; 10].into()).unwrap();
    }
    let early = viewer.events.rest(300);
    assert!(!early.iter().any(|e| matches!(e, Event::Datagram { .. } | Event::Control { .. })), "{early:?}");
    let proven_us = (viewer.clock)();
    viewer.handle().authenticated(conn);
    let (mut messages, mut datagrams) = (0, 0);
    viewer.events.wait("all of it", |e| {
        match e {
            Event::Control { message, .. } => {
                assert_eq!(message, vec![messages as u8; 2000]);
                messages += 1;
            }
            Event::Datagram { arrived_us, .. } => {
                datagrams += 1;
                assert!(arrived_us < proven_us, "the stamp is of the arrival");
            }
            Event::Closed { reason, .. } => panic!("{reason}"),
            _ => {}
        }
        (messages == 20 && datagrams == 20).then_some(())
    });
}

#[test]
fn unproven_connections_of_one_address_are_few() {
    let identity = Identity::new();
    let limits = Limits { unproven_per_address: 2, ..Limits::default() };
    let host = Host::start(&identity.leaf(), Options { limits, ..Options::default() });
    let start = || Viewer::start(host.addr(), HostExpectation::Pinned(identity.fingerprint()));
    let first = start();
    first.events.connected();
    let (first_conn, _) = host.events.connected();
    // The second one passes a Retry.
    let second = start();
    second.events.connected();
    assert_eq!(start().events.failed(), ConnectFailure::Busy);
    host.server.handle().authenticated(first_conn);
    start().events.connected();
}
