//! Marks on the packets of a session between the real programs, read by a relay on the way.

use super::process::{PATIENCE, Scratch, Signal, have, now, until};
use super::stage::{Agent, connect, connect_headless_in};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use telepane_bench::link::space::Space;
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
        if dscp == "off" {
            return down.len() > 20 && up.len() > 40;
        }
        // A machine that stands still for a moment casts a doubt on the marks, and packets go without until it is over: then what is
        // marked outnumbers them again.
        let bare = count(&up, 0) + count(&down, 0);
        count(&down, 34) > 20 && count(&up, 46) >= 5 && 10 * bare < up.len() + down.len()
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
        assert!(count(&up, 34) > 0, "{ip}: {up:?}");
        // A scene that is invented is not heard.
        assert!(count(&down, 34) > 20 && count(&down, 46) == 0, "{ip}: {down:?}");
    }
    let [up, down] = session(IpAddr::V4(Ipv4Addr::LOCALHOST), "off");
    assert!(up.iter().chain(&down).all(|p| p.class >> 2 == 0), "off is off");
}

/// A network of its own whose routes refuse what has one of our marks; `None` with the reason said where that cannot be had.
fn refusing() -> Option<Space> {
    let skipped = |why: &str| println!("marks: skipped: no system that refuses marks: {why}");
    let space = Space::open(Ipv4Addr::new(10, 78, 0, 1), Ipv4Addr::new(10, 78, 0, 2), 1_500, None)
        .inspect_err(|why| skipped(&format!("{why:#}")))
        .ok()?;
    // AF41 and EF: whole, and as kernels see them that choose a route by four bits of the byte.
    for class in ["0x88", "0xb8", "0x08", "0x18"] {
        // Which of them a kernel takes is seen below.
        let _ = space.ip(&["route", "add", "prohibit", "127.0.0.1", "tos", class, "table", "local"]);
    }
    let refused = |class: libc::c_int| {
        let sent = space.inside(|| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            let size = size_of::<libc::c_int>() as libc::socklen_t;
            // SAFETY: the value and its length are ours and fit each other.
            let set = unsafe {
                let value = (&raw const class).cast();
                libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_TOS, value, size)
            };
            assert_eq!(set, 0, "the class can be set");
            Ok(socket.send_to(b"marked", (Ipv4Addr::LOCALHOST, 9))?)
        });
        sent.is_err()
    };
    let works = !refused(0) && refused(0x88) && refused(0xb8);
    if !works {
        skipped("this kernel chooses no route by what we mark");
    }
    works.then_some(space)
}

// spec: T-4, T-11
#[test]
fn where_the_system_refuses_marks_a_session_goes_without_and_says_so() {
    if !have("marks refused", &["ip", "unshare"]) {
        return;
    }
    let Some(space) = refusing() else { return };
    let dir = Scratch::new();
    let agent = Agent::in_namespace(&space, &dir, "127.0.0.1:0", &["--synthetic", "editor", "--size", "640x480"]);
    let file = dir.join("stats.json");
    let args = ["--type", "marks", "--stats-json", &file.display().to_string()];
    let mut client = connect_headless_in(&space, &dir, "client", &agent.addr.to_string(), &args);
    assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.err());
    let stats: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("it was written")).expect("it is JSON");
    let (fate, keys) = (&stats["link"]["marks"], stats["key_to_shown"]["count"].as_u64());
    println!("marks: refused: the client says {fate}, {keys:?} keys were shown, {}", stats["link"]["carrier"]);
    assert_eq!((fate, &stats["link"]["carrier"]), (&"refused".into(), &"quic".into()), "{stats}");
    assert!(keys >= Some(3), "{stats}");
    assert_eq!(stats["exact"]["lossy_tiles"], 0, "and nothing is missing");
    let warned = |log: &str| log.matches("takes no marks").count();
    let said = client.all_err();
    assert_eq!((warned(&agent.run.err()), warned(&said)), (1, 1), "each end says it once");
}
