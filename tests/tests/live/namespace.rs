//! The same path through the kernel's own network stack: agent and client each in a network namespace, and between
//! them `telepane-bench link`'s emulator, whose link loses, delays and reorders. Needs root; says so where it is not.

use super::path::in_a_terminal;
use super::process::{PATIENCE, Scratch, have, now, pause, until};
use super::screen::{Screen, exact};
use super::stage::{Agent, SIZE, Stage, connect_in, types};
use std::net::Ipv4Addr;
use std::time::Duration;
use telepane_bench::link::check::ping;
use telepane_bench::link::emulator::{CLIENT, Emulator, HOST};

const MOVED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);

/// An emulator, or `None` with the reason said where none may be made.
fn link(test: &str, profile: &str) -> Option<Emulator> {
    let profile = profile.parse().expect("a profile");
    match Emulator::start(&profile, 5, None, None) {
        Ok(link) => Some(link),
        Err(why) => {
            println!("{test}: skipped, {why:#}");
            None
        }
    }
}

#[test]
fn the_same_between_two_network_namespaces() {
    if !have("namespaces", &["Xvfb", "xterm", "ip"]) {
        return;
    }
    let dir = Scratch::new();
    let Some(link) = link("namespaces", "1g20l5r3") else { return };
    let (host, client, moved) = (HOST.to_string(), CLIENT.to_string(), MOVED.to_string());
    link.host.ip(&["route", "add", &moved, "dev", "tp0"]).expect("a route");

    let (here, there) = (Screen::start(SIZE.0, SIZE.1), Screen::start(SIZE.0, SIZE.1));
    here.paint_root(1);
    let listen = format!("{host}:0");
    let agent = Agent::in_namespace(&link.host, &dir, &listen, &["--display", &here.name]);
    let addr = agent.addr.to_string();
    let viewer = connect_in(&link.client, &dir, "client", &there, &addr, &["--fullscreen"]);
    println!("namespaces: exact {:?} after the start of the client", exact(&here, &there, PATIENCE));
    let mut stage = Stage { client: viewer, relay: None, agent, there, here, dir };
    in_a_terminal(&stage);

    // The client's machine changes from one network to the next: for a moment it has no address and no route.
    link.client.ip(&["addr", "del", &client, "peer", &host, "dev", "tp0"]).expect("the address goes");
    pause(Duration::from_secs(1));
    link.client.ip(&["addr", "add", &moved, "peer", &host, "dev", "tp0"]).expect("another comes");
    let file = stage.dir.join("moved");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    let start = now();
    types(&stage, &file, "from another address\n");
    println!("namespaces: typed and exact {:?} after the address changed", start.elapsed());
    until("the agent sees the other address", PATIENCE, || stage.agent.run.err().contains(&moved));
    assert_eq!(stage.client.ended(), None, "the client lives");
    let (up, down) = link.counts();
    println!("namespaces: up {up:?}, down {down:?}");
    assert!(up.lost > 0 && down.lost > 0, "the link lost nothing");
}

/// What the emulator can be held to without a quiet machine: nothing comes early, and what is lost is what was to be lost.
#[test]
fn the_link_emulator_keeps_its_word_to_ping() {
    let Some(link) = link("link", "20m40") else { return };
    let pings = ping(&link.client, HOST, 40, 5_000).expect("a raw socket");
    assert_eq!(pings.lost, 0, "nothing is lost on a link without loss");
    assert!(pings.rtt.percentile(0.0).is_some_and(|ms| ms >= 40.0), "{pings:?}");
    drop(link);
    let Some(link) = self::link("link", "1g2l50") else { return };
    let pings = ping(&link.client, HOST, 200, 1_000).expect("a raw socket");
    let (up, down) = link.counts();
    assert_eq!(pings.lost as u64, up.lost + down.lost, "{up:?} {down:?}");
    assert!((110..190).contains(&pings.lost), "three quarters of 200 are lost, not {}", pings.lost);
}
