//! Marks on packets as one on the way sees them: a relay that reads the traffic class of every packet, over IPv4 and IPv6.

use crate::world::{Events, Host, Identity, Pair, clock, sink};
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use telepane_model::{BitRate, Span};
use telepane_transport::relay::{Direction, Filter, LinkModel, Relay, Seen};
use telepane_transport::{ConnId, Event, Handle, HostExpectation, Lanes, Listen, MarkFate, Marks, Options, Server};

const ROUNDS: usize = 12;
/// What is urgent has this many bytes, so that a packet with it alone is known by its length, and no other has it.
const URGENT: usize = 333;
const ALONE: std::ops::Range<usize> = URGENT + 19..URGENT + 100;

fn datagram(kind: u8, len: usize) -> Bytes {
    let mut bytes = vec![0x5a; len];
    bytes[0] = kind;
    bytes.into()
}

/// Sends everything there is to send, each when what was before has come.
fn say_all(handle: &Handle, conn: ConnId, peer: &Events) {
    let (sound, input) = (datagram(6, URGENT), datagram(3, URGENT));
    let (shard, feedback) = (datagram(0x41, 500), datagram(0x12, 30));
    for _ in 0..ROUNDS {
        for together in [
            vec![sound.clone()],
            vec![input.clone(), feedback.clone()],
            vec![feedback.clone()],
            vec![sound.clone(), shard.clone()],
            // In one piece for the kernel to cut.
            vec![datagram(0x41, 900); 8],
        ] {
            let count = together.len();
            handle.send_together(conn, together).unwrap();
            for _ in 0..count {
                peer.datagram();
            }
        }
        handle.send_control(conn, b"a message").unwrap();
        assert_eq!(peer.control(), b"a message");
    }
}

/// What the relay saw of the handshake, then each way while both ends said everything. A machine that stands still for half a second casts
/// a doubt on the marks, and some packets go without; then once more.
fn watched(ip: IpAddr, marks: Marks) -> [Vec<Seen>; 3] {
    let bare = |seen: &[Vec<Seen>; 3]| seen.iter().flatten().filter(|p| p.class >> 2 == 0).count();
    (0..2)
        .map(|_| watched_once(ip, marks))
        .find(|seen| bare(seen) == 0 || marks.is_off())
        .unwrap_or_else(|| watched_once(ip, marks))
}

fn watched_once(ip: IpAddr, marks: Marks) -> [Vec<Seen>; 3] {
    let identity = Identity::new();
    let options = Options { marks, ..Options::default() };
    let host = Host::on((ip, 0).into(), &identity.leaf(), options.clone());
    let model = LinkModel::default();
    let relay = Relay::start((ip, 0).into(), host.addr(), model, model, 1, clock()).unwrap();
    let pair = Pair::connect(host, &identity, relay.addr(), options);
    let said = if marks.is_off() || !cfg!(target_os = "linux") { MarkFate::Off } else { MarkFate::On };
    assert_eq!(fates(&pair), [said; 2]);
    let handshake = [relay.seen(Direction::Up), relay.seen(Direction::Down)].concat();
    say_all(&pair.viewer.handle(), pair.conn, &pair.host.events);
    say_all(&pair.host.server.handle(), pair.host_conn, &pair.viewer.events);
    [handshake, relay.seen(Direction::Up), relay.seen(Direction::Down)]
}

fn have(ip: IpAddr) -> bool {
    let there = UdpSocket::bind((ip, 0)).is_ok();
    if !there {
        println!("marks: skipped: no {ip} on this machine");
    }
    there
}

const BOTH: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

// spec: T-4
#[test]
fn sound_and_input_have_their_mark_and_everything_else_the_screens() {
    for ip in BOTH.into_iter().filter(|ip| have(*ip)) {
        for (marks, ordinary, urgent) in [(Marks::default(), 34, 46), ("CS1,VA".parse().unwrap(), 8, 44)] {
            let [handshake, up, down] = watched(ip, marks);
            assert!(handshake.len() > 4 && handshake.iter().all(|p| p.class >> 2 == ordinary), "{ip}: {handshake:?}");
            for seen in [up, down] {
                let alone = seen.iter().filter(|p| ALONE.contains(&p.len)).count();
                assert_eq!(alone, 2 * ROUNDS, "{ip}: {seen:?}");
                assert!(seen.iter().filter(|p| p.len > 900).count() >= 8 * ROUNDS, "{ip}: {seen:?}");
                for packet in seen {
                    let mark = if ALONE.contains(&packet.len) { urgent } else { ordinary };
                    assert_eq!(packet.class >> 2, mark, "{ip}: {packet:?}");
                }
            }
        }
    }
}

// spec: T-4
#[test]
fn without_marks_there_are_none_and_ecn_is_quics_either_way() {
    for ip in BOTH.into_iter().filter(|ip| have(*ip)) {
        for marks in [Marks::OFF, Marks::default()] {
            for seen in watched(ip, marks) {
                assert!(marks != Marks::OFF || seen.iter().all(|p| p.class >> 2 == 0), "{ip}: {seen:?}");
                // ECT(0), from the first packet to the last: the relay carries it on, so QUIC finds that it passes.
                assert!(seen.iter().all(|p| p.class & 3 == 2), "{ip} {marks}: {seen:?}");
            }
        }
    }
}

/// A dual-stack socket speaks IPv4 with addresses written as IPv6.
// spec: T-4
#[test]
fn a_dual_stack_host_marks_what_it_sends_over_ipv4() {
    let identity = Identity::new();
    let (sink, events) = sink();
    let server = Server::bind(Listen::DualStack(0), &identity.leaf(), clock(), sink, Options::default()).unwrap();
    let at: SocketAddr = (Ipv4Addr::LOCALHOST, server.local_addr().port()).into();
    let model = LinkModel::default();
    let relay = Relay::start((Ipv4Addr::LOCALHOST, 0).into(), at, model, model, 1, clock()).unwrap();
    let viewer = crate::world::Viewer::start(relay.addr(), HostExpectation::Pinned(identity.fingerprint()));
    viewer.events.connected();
    let (conn, _) = events.connected();
    server.handle().authenticated(conn);
    server.handle().send_datagram(conn, datagram(0x41, 20)).unwrap();
    viewer.events.datagram();
    relay.seen(Direction::Down);
    for _ in 0..ROUNDS {
        server.handle().send_datagram(conn, datagram(6, URGENT)).unwrap();
        viewer.events.datagram();
        server.handle().send_datagram(conn, datagram(0x41, 1_000)).unwrap();
        viewer.events.datagram();
    }
    let seen = relay.seen(Direction::Down);
    assert_eq!(seen.iter().filter(|p| p.class >> 2 == 46).count(), ROUNDS, "{seen:?}");
    assert!(seen.iter().all(|p| p.class >> 2 == if ALONE.contains(&p.len) { 46 } else { 34 }), "{seen:?}");
}

/// A bottleneck that marks instead of dropping (ECN): the sender is told, and with marks of its own or without.
// spec: T-6
#[test]
fn what_the_path_marks_is_told_to_who_sent_it() {
    for marks in [Marks::default(), Marks::OFF] {
        let identity = Identity::new();
        let options = Options { marks, ..Options::default() };
        let host = Host::start(&identity.leaf(), options.clone());
        let addr = host.addr();
        let down = LinkModel {
            rate: Some(BitRate::mbps(8)),
            mark_over: Some(Span::millis(3)),
            delay: Span::millis(2),
            ..LinkModel::default()
        };
        let relay =
            Relay::start((Ipv4Addr::LOCALHOST, 0).into(), addr, LinkModel::default(), down, 1, clock()).unwrap();
        let pair = Pair::connect(host, &identity, relay.addr(), options);
        let handle = pair.host.server.handle();
        // A burst of 40 kB waits 40 ms at 8 Mbit/s.
        handle.set_window(pair.host_conn, 1 << 20);
        for _ in 0..40 {
            handle.send_datagram(pair.host_conn, datagram(0x41, 1_000)).unwrap();
        }
        for _ in 0..40 {
            pair.viewer.events.datagram();
        }
        // Told with the next datagram that comes, once an acknowledgement has.
        let told = (0..200).any(|_| {
            pair.viewer.handle().send_datagram(pair.conn, datagram(0x12, 30)).unwrap();
            pair.host.events.rest(20).iter().any(|e| matches!(e, Event::Marked { conn } if *conn == pair.host_conn))
        });
        let (seen, stats) = (relay.counters().down, handle.stats(pair.host_conn).unwrap());
        assert!(told && seen.marked > 10 && stats.marked > 0, "{marks}: {seen:?} {stats:?}");
        assert_eq!((seen.queue_dropped, seen.lost), (0, 0));
        assert_eq!(pair.viewer.handle().stats(pair.conn).unwrap().marked, 0, "nothing was marked the other way");
    }
}

/// What both ends say of their marks.
fn fates(pair: &Pair) -> [MarkFate; 2] {
    let of = |handle: Handle, conn| handle.stats(conn).unwrap().marks;
    [of(pair.viewer.handle(), pair.conn), of(pair.host.server.handle(), pair.host_conn)]
}

/// Talks both ways until something is so. Each datagram goes in a packet of its own: sound beside a shard has the screen's mark.
fn talk_until(what: &str, pair: &Pair, is_so: impl Fn() -> bool) {
    let ends = [(pair.viewer.handle(), pair.conn), (pair.host.server.handle(), pair.host_conn)];
    for turn in 0..1_500 {
        if is_so() {
            println!("marks: {what} after {turn} turns");
            return;
        }
        for (kind, len) in [(6, URGENT), (0x41, 600)] {
            for (handle, conn) in &ends {
                // A window that is full for want of answers takes no more for now.
                let _ = handle.send_datagram(*conn, datagram(kind, len));
            }
            crate::world::pause(10);
        }
    }
    panic!("{what}: {:?}", fates(pair));
}

/// A network that throws marked packets away is noticed: a connection comes about nevertheless, and goes on without marks.
// spec: T-11
#[test]
fn a_path_that_drops_what_is_marked_is_noticed_and_it_goes_without_until_it_moves() {
    for (filter, fate, ordinary) in
        [(Filter::Marked, MarkFate::Dropped, 0), (Filter::Only(46), MarkFate::UrgentDropped, 34)]
    {
        let identity = Identity::new();
        let host = Host::start(&identity.leaf(), Options::default());
        let model = LinkModel { filter: Some(filter), ..LinkModel::default() };
        let relay = Relay::start((Ipv4Addr::LOCALHOST, 0).into(), host.addr(), model, model, 1, clock()).unwrap();
        let pair = Pair::connect(host, &identity, relay.addr(), Options::default());
        talk_until(fate.name(), &pair, || fates(&pair) == [fate; 2]);
        for events in [&pair.host.events, &pair.viewer.events] {
            events.rest(100);
        }
        let before = relay.counters();
        relay.seen(Direction::Up);
        relay.seen(Direction::Down);
        say_all(&pair.viewer.handle(), pair.conn, &pair.host.events);
        say_all(&pair.host.server.handle(), pair.host_conn, &pair.viewer.events);
        for way in [Direction::Up, Direction::Down] {
            let seen = relay.seen(way);
            assert!(seen.iter().all(|p| p.class >> 2 == ordinary), "{filter:?}: {seen:?}");
            assert!(seen.iter().filter(|p| ALONE.contains(&p.len)).count() >= 2 * ROUNDS, "{filter:?}: {seen:?}");
        }
        let after = relay.counters();
        assert_eq!((after.up.filtered, after.down.filtered), (before.up.filtered, before.down.filtered), "{filter:?}");
        assert!(before.up.filtered > 0 && before.down.filtered > 0, "{filter:?}: {before:?}");
        // On another path that lets them through they are marked again.
        for way in [Direction::Up, Direction::Down] {
            relay.set(way, LinkModel::default());
        }
        pair.viewer.client.rebind().unwrap();
        talk_until("marked again", &pair, || {
            let seen = [Direction::Up, Direction::Down].map(|way| relay.seen(way));
            seen.iter().all(|s| s.iter().any(|p| p.class >> 2 == 46) && s.iter().any(|p| p.class >> 2 == 34))
        });
    }
}
