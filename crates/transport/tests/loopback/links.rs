//! Bad links: loss, reordering, blackouts, changed addresses, restarts.

use crate::world::{Host, Identity, Pair, loopback, pause};
use std::net::SocketAddr;
use std::time::Duration;
use telepane_model::{BitRate, Span};
use telepane_transport::relay::{Direction, LinkModel, Relay};
use telepane_transport::{CloseReason, Event, Lanes, Options};

fn through(model: LinkModel, options: Options) -> (Pair, Relay) {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), options.clone());
    let relay = Relay::start(loopback(0), host.addr(), model, model, 11, host.clock.clone()).unwrap();
    let via = relay.addr();
    (Pair::connect(host, &identity, via, options), relay)
}

fn path_changed(pair: &Pair, from: SocketAddr) -> SocketAddr {
    pair.host.events.wait("PathChanged", |e| match e {
        Event::PathChanged { remote, .. } if remote != from => Some(remote),
        Event::Closed { reason, .. } => panic!("{reason}"),
        _ => None,
    })
}

// spec: L-3
#[test]
fn control_arrives_whole_and_in_order_through_loss_and_reordering() {
    let model = LinkModel {
        loss_ppm: 50_000,
        reorder_ppm: 50_000,
        duplicate_ppm: 10_000,
        delay: Span::millis(2),
        jitter: Span::millis(1),
        ..LinkModel::default()
    };
    let (pair, relay) = through(model, Options::default());
    let message = |n: u32| n.to_be_bytes().repeat(1 + (n as usize * 37) % 1500);
    for n in 0..200 {
        pair.viewer.handle().send_control(pair.conn, &message(n)).unwrap();
        pair.host.server.handle().send_control(pair.host_conn, &message(n + 1000)).unwrap();
    }
    for n in 0..200 {
        assert_eq!(pair.host.events.control(), message(n));
        assert_eq!(pair.viewer.events.control(), message(n + 1000));
    }
    let counters = relay.counters();
    assert!(counters.up.lost > 0 && counters.down.lost > 0 && counters.down.reordered > 0, "{counters:?}");
}

// spec: L-9
#[test]
fn a_rebind_goes_on() {
    let pair = Pair::direct();
    let before = pair.viewer.client.local_addr().unwrap();
    for _ in 0..3 {
        let at = pair.viewer.client.local_addr().unwrap();
        pair.viewer.client.rebind().unwrap();
        assert_ne!(pair.viewer.client.local_addr().unwrap(), at);
        let handle = pair.viewer.handle();
        handle.send_datagram(pair.conn, vec![1; 10].into()).unwrap();
        let moved = path_changed(&pair, loopback(at.port()));
        assert_eq!(moved.port(), pair.viewer.client.local_addr().unwrap().port());
        pair.host.server.handle().send_control(pair.host_conn, b"down").unwrap();
        assert_eq!(pair.viewer.events.control(), b"down");
    }
    assert_ne!(pair.viewer.client.local_addr().unwrap(), before);
}

// spec: T-7, L-9
#[test]
#[cfg(target_os = "linux")]
fn a_path_that_stands_by_answers_and_takes_over_from_the_same_socket() {
    let mut pair = Pair::direct();
    let host = pair.host.addr();
    assert!(pair.viewer.client.probe_standby().is_err() && pair.viewer.client.take_standby().is_err());
    assert!(pair.viewer.client.keep_standby(Some("no such one"), host).is_err());
    for round in 0..3u8 {
        let at = pair.viewer.client.local_addr().unwrap();
        pair.viewer.client.keep_standby(Some("lo"), host).unwrap();
        pair.viewer.client.probe_standby().unwrap();
        let answered = pair.viewer.events.wait("StandbyAnswered", |e| match e {
            Event::StandbyAnswered { conn, .. } => Some(conn),
            _ => None,
        });
        assert_eq!(answered, pair.conn);
        // The session is where it was, and the host knows nothing of the other socket.
        assert_eq!(pair.viewer.client.local_addr().unwrap(), at);
        pair.up_until_heard(b"before");
        pair.viewer.client.take_standby().unwrap();
        assert_ne!(pair.viewer.client.local_addr().unwrap().port(), at.port());
        pair.viewer.handle().send_datagram(pair.conn, vec![round; 10].into()).unwrap();
        let moved = path_changed(&pair, loopback(at.port()));
        assert_eq!(moved.port(), pair.viewer.client.local_addr().unwrap().port());
        pair.host.server.handle().send_control(pair.host_conn, b"down").unwrap();
        assert_eq!(pair.viewer.events.control(), b"down");
        assert!(pair.viewer.client.probe_standby().is_err(), "it was taken");
    }
}

#[test]
fn a_nat_that_forgets_goes_on() {
    let (pair, relay) = through(LinkModel::default(), Options::default());
    pair.up_until_heard(b"before");
    relay.rebind_upstream();
    pair.viewer.handle().send_datagram(pair.conn, vec![2; 10].into()).unwrap();
    path_changed(&pair, loopback(0));
    pair.host.server.handle().send_control(pair.host_conn, b"down").unwrap();
    assert_eq!(pair.viewer.events.control(), b"down");
}

#[test]
fn a_blackout_of_three_seconds_is_survived() {
    let (pair, relay) = through(LinkModel { delay: Span::millis(5), ..LinkModel::default() }, Options::default());
    pair.up_until_heard(b"before");
    relay.blackout(true);
    for _ in 0..30 {
        pair.viewer.handle().send_datagram(pair.conn, vec![3; 10].into()).unwrap();
        let _ = pair.host.server.handle().send_datagram(pair.host_conn, vec![3; 1000].into());
        pause(100);
    }
    assert!(relay.counters().up.blacked_out >= 30);
    pair.host.server.handle().send_control(pair.host_conn, b"sent in the dark").unwrap();
    relay.blackout(false);
    pair.up_until_heard(b"after");
    assert_eq!(pair.viewer.events.control(), b"sent in the dark");
}

#[test]
fn a_slow_link_drops_at_its_queue_and_can_be_made_fast() {
    let slow =
        LinkModel { rate: Some(BitRate::kbps(500)), queue: telepane_model::Bytes(5_000), ..LinkModel::default() };
    let (pair, relay) = through(LinkModel::default(), Options::default());
    relay.set(Direction::Down, slow);
    let handle = pair.host.server.handle();
    handle.set_window(pair.host_conn, 1 << 20);
    for _ in 0..40 {
        let _ = handle.send_datagram(pair.host_conn, vec![0; 1000].into());
    }
    while relay.counters().down.queue_dropped == 0 {
        std::thread::yield_now();
    }
    relay.set(Direction::Down, LinkModel::default());
    handle.send_control(pair.host_conn, b"fast again").unwrap();
    assert_eq!(pair.viewer.events.control(), b"fast again");
}

// spec: L-7
#[test]
fn silence_ends_in_a_timeout() {
    let options = Options { idle_timeout: Duration::from_millis(600), ..Options::default() };
    let (pair, relay) = through(LinkModel::default(), options);
    relay.blackout(true);
    assert_eq!(pair.viewer.events.closed(), CloseReason::Timeout);
    assert_eq!(pair.host.events.closed(), CloseReason::Timeout);
}

// spec: L-7
#[test]
fn pings_keep_an_idle_connection() {
    let options =
        Options { idle_timeout: Duration::from_secs(2), keep_alive: Duration::from_millis(200), ..Options::default() };
    let (pair, _relay) = through(LinkModel::default(), options);
    pause(4_000);
    pair.up_until_heard(b"alive");
}

// spec: L-7
#[test]
fn a_host_that_asks_hears_from_a_client_at_rest() {
    let options =
        Options { idle_timeout: Duration::from_secs(2), asks: Some(Duration::from_millis(200)), ..Options::default() };
    let (pair, _relay) = through(LinkModel::default(), options);
    pause(4_000);
    pair.up_until_heard(b"alive");
}

#[test]
fn a_restarted_host_resets_what_it_no_longer_knows() {
    let identity = Identity::new();
    let options = Options { reset_secret: Some([9; 32]), ..Options::default() };
    let host = Host::start(&identity.leaf(), options.clone());
    let addr = host.addr();
    let perfect = LinkModel::default();
    let relay = Relay::start(loopback(0), addr, perfect, perfect, 1, host.clock.clone()).unwrap();
    let Pair { host, viewer, conn, .. } = Pair::connect(host, &identity, relay.addr(), options.clone());
    // Its goodbye is lost, as if it had been killed.
    relay.blackout(true);
    drop(host);
    let _again = Host::on(addr, &identity.leaf(), options);
    relay.blackout(false);
    viewer.handle().send_datagram(conn, vec![0; 100].into()).unwrap();
    assert_eq!(viewer.events.closed(), CloseReason::Reset);
}
