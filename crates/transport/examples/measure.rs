//! What the shells around quinn cost, between two ends on the loopback interface: round trips, an idle connection (two
//! minutes), and how soon the first datagram comes after a blackout.
//!
//! `cargo run --release -p telepane-transport --example measure`

#[path = "../tests/loopback/world.rs"]
#[allow(dead_code, reason = "the tests use what is not used here")]
mod world;

use crate::world::{Host, Identity, Pair, loopback, pause};
use bytes::Bytes;
use telepane_model::Span;
use telepane_transport::relay::{LinkModel, Relay};
use telepane_transport::{Lanes, Options};

fn quantiles(name: &str, mut us: Vec<u64>) {
    us.sort_unstable();
    let at = |q: usize| us[(us.len() - 1) * q / 1000];
    println!("{name}: p50 {} p95 {} p99 {} max {} us (n {})", at(500), at(950), at(990), at(1000), us.len());
}

fn round_trips(name: &str, pair: &Pair, count: usize) {
    let (up, down) = (pair.viewer.handle(), pair.host.server.handle());
    let mut times = Vec::new();
    for _ in 0..count {
        let from = (pair.host.clock)();
        up.send_datagram(pair.conn, Bytes::from_static(&[1; 100])).unwrap();
        let (bytes, _) = pair.host.events.datagram();
        down.send_datagram(pair.host_conn, bytes).unwrap();
        pair.viewer.events.datagram();
        times.push((pair.host.clock)() - from);
        pause(1);
    }
    quantiles(name, times);
}

fn round_trip_through_both_shells() {
    round_trips("direct", &Pair::direct(), 2000);
    for ms in [0, 10] {
        let identity = Identity::new();
        let host = Host::start(&identity.leaf(), Options::default());
        let model = LinkModel { delay: Span::millis(ms), ..LinkModel::default() };
        let relay = Relay::start(loopback(0), host.addr(), model, model, 1, host.clock.clone()).unwrap();
        let pair = Pair::connect(host, &identity, relay.addr(), Options::default());
        round_trips(&format!("relay with {ms} ms each way"), &pair, 500);
    }
}

fn what_an_idle_connection_costs() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    let perfect = LinkModel::default();
    let relay = Relay::start(loopback(0), host.addr(), perfect, perfect, 1, host.clock.clone()).unwrap();
    let _pair = Pair::connect(host, &identity, relay.addr(), Options::default());
    pause(5_000);
    let before = relay.counters();
    pause(110_000);
    let after = relay.counters();
    for (name, from, to) in [("up", before.up, after.up), ("down", before.down, after.down)] {
        let (packets, bytes) = (to.packets_in - from.packets_in, to.bytes_in - from.bytes_in);
        // 28 bytes of IPv4 and UDP headers each.
        let bits = (bytes + 28 * packets) * 8 / 110;
        println!("idle {name}: {packets} packets, {bytes} bytes in 110 s, {bits} bit/s with headers");
    }
}

fn from_the_end_of_a_blackout_to_the_first_datagram() {
    for dark_ms in [1_000, 3_000] {
        let identity = Identity::new();
        let host = Host::start(&identity.leaf(), Options::default());
        let model = LinkModel { delay: Span::millis(10), ..LinkModel::default() };
        let relay = Relay::start(loopback(0), host.addr(), model, model, 1, host.clock.clone()).unwrap();
        let pair = Pair::connect(host, &identity, relay.addr(), Options::default());
        relay.blackout(true);
        for _ in 0..dark_ms / 50 {
            let _ = pair.viewer.handle().send_datagram(pair.conn, Bytes::from_static(&[1; 40]));
            let _ = pair.host.server.handle().send_datagram(pair.host_conn, vec![2; 1000].into());
            pause(50);
        }
        pair.host.events.rest(0);
        pair.viewer.events.rest(0);
        let from = (pair.host.clock)();
        relay.blackout(false);
        let mut heard = [None, None];
        for _ in 0..400 {
            let _ = pair.viewer.handle().send_datagram(pair.conn, Bytes::from_static(&[1; 40]));
            let _ = pair.host.server.handle().send_datagram(pair.host_conn, vec![2; 1000].into());
            for (events, heard) in [&pair.host.events, &pair.viewer.events].into_iter().zip(&mut heard) {
                let any = events.rest(5).iter().any(|e| matches!(e, telepane_transport::Event::Datagram { .. }));
                if any && heard.is_none() {
                    *heard = Some((pair.host.clock)() - from);
                }
            }
            if heard.iter().all(Option::is_some) {
                break;
            }
        }
        println!("after {dark_ms} ms of darkness: up, down heard after {heard:?} us");
    }
}

fn main() {
    round_trip_through_both_shells();
    from_the_end_of_a_blackout_to_the_first_datagram();
    what_an_idle_connection_costs();
}
