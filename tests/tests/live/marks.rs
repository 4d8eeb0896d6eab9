//! Marks on the packets of a session between the real programs, read by a relay on the way.

use super::process::{PATIENCE, Scratch, Signal, now, until};
use super::stage::{Agent, connect};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Arc;
use telepane_transport::relay::{Direction, LinkModel, Relay, Seen};

/// Types over a relay at `ip` and gives what the relay saw, up and down.
fn session(ip: IpAddr, dscp: &str) -> [Vec<Seen>; 2] {
    let dir = Scratch::new();
    let listen = std::net::SocketAddr::new(ip, 0).to_string();
    let agent = Agent::at(&dir, &listen, &["--synthetic", "editor", "--size", "640x480", "--dscp", dscp]);
    let start = now();
    let clock = Arc::new(move || 1 + start.elapsed().as_micros() as u64);
    let model = LinkModel::default();
    let relay = Relay::start((ip, 0).into(), agent.addr, model, model, 1, clock).expect("a relay");
    let addr = relay.addr().to_string();
    let mut client = connect(&dir, "client", None, &addr, &["--dscp", dscp, "--type", "marks", "--seconds", "60"]);
    let [mut up, mut down] = [Vec::new(), Vec::new()];
    until("keys were typed and shown", PATIENCE, || {
        up.extend(relay.seen(Direction::Up));
        down.extend(relay.seen(Direction::Down));
        let urgent = up.iter().filter(|p| p.class >> 2 == 46).count();
        down.len() > 20 && if dscp == "off" { up.len() > 40 } else { urgent >= 5 }
    });
    client.signal(Signal::Interrupt);
    assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.all_err());
    [up, down]
}

fn count(seen: &[Seen], mark: u8) -> usize {
    seen.iter().filter(|p| p.class >> 2 == mark).count()
}

// spec: T-4
#[test]
fn a_sessions_packets_are_marked_over_both_families_and_not_when_that_is_off() {
    for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        if UdpSocket::bind((ip, 0)).is_err() {
            println!("marks: skipped: no {ip}");
            continue;
        }
        let [up, down] = session(ip, "on");
        println!("marks: {ip}: up {} EF, {} AF41; down {} AF41", count(&up, 46), count(&up, 34), count(&down, 34));
        assert!(up.iter().chain(&down).all(|p| [0, 34, 46].contains(&(p.class >> 2))), "{ip}");
        // A machine that stands still for a moment casts a doubt on the marks, and packets go without until it is over.
        let bare = count(&up, 0) + count(&down, 0);
        assert!(10 * bare < up.len() + down.len(), "{ip}: {bare} of {} and {}", up.len(), down.len());
        assert!(count(&up, 34) > 0, "{ip}: {up:?}");
        // A scene that is invented is not heard.
        assert!(count(&down, 34) > 20 && count(&down, 46) == 0, "{ip}: {down:?}");
    }
    let [up, down] = session(IpAddr::V4(Ipv4Addr::LOCALHOST), "off");
    assert!(up.iter().chain(&down).all(|p| p.class >> 2 == 0), "off is off");
}
