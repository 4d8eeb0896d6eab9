//! Where UDP does not get through: the session runs over a WebSocket, and moves back to QUIC when it can.

use super::files::{self, cp};
use super::path::in_a_terminal;
use super::process::{PATIENCE, Running, Scratch, Signal, have, now, pause, program, until};
use super::screen::{Screen, environment};
use super::stage::{Agent, SIZE, Stage, connect, connect_without_code, relay, types};
use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;
use telepane_transport::relay::{Direction, LinkModel, Relay};

/// An agent that needs no display.
const SCENE: [&str; 2] = ["--synthetic", "editor"];

#[test]
fn keys_arrive_and_the_picture_is_exact_over_a_websocket() {
    if !have("fallback", &["Xvfb", "xterm"]) {
        return;
    }
    let stats = std::env::temp_dir().join(format!("telepane-fallback-{}.json", std::process::id()));
    let path = stats.display().to_string();
    let mut stage = Stage::with(&[], &["--transport", "websocket", "--stats-json", &path], None);
    in_a_terminal(&stage);
    stage.client.signal(Signal::Interrupt);
    assert_eq!(stage.client.exit_code(PATIENCE), 0);
    let text = std::fs::read_to_string(&stats).expect("the statistics were written");
    std::fs::remove_file(&stats).expect("they are there");
    let stats: serde_json::Value = serde_json::from_str(&text).expect("they are JSON");
    assert_eq!(stats["link"]["carrier"], "websocket", "{text}");
    assert!(stats["link"]["held_back"]["times"].is_u64() && stats["link"]["packets_received"].as_u64() > Some(0));
}

#[test]
fn udp_silent_but_tcp_open_connects_and_the_second_time_nothing_is_asked() {
    let dir = Scratch::new();
    // Its UDP port is bound and says nothing.
    let agent = Agent::start(&dir, &[&SCENE[..], &["--transport", "websocket"]].concat());
    let addr = agent.addr.to_string();
    let shot = dir.join("shot.png").display().to_string();
    let start = now();
    let mut first = connect(&dir, "client", None, &addr, &["--screenshot", &shot, "--seconds", "1"]);
    assert_eq!(first.exit_code(PATIENCE), 0, "{}", first.all_err());
    println!("fallback: with a screenshot and a second of waiting, {:?}", start.elapsed());
    // The key enrolled over one carrier is good over every other.
    let mut second = connect_without_code(&dir, "client", None, &addr, &["--seconds", "1"]);
    assert_eq!(second.exit_code(PATIENCE), 0, "{}", second.all_err());
    let mut quic = connect_without_code(&dir, "client", None, &addr, &["--transport", "quic"]);
    assert_eq!(quic.exit_code(PATIENCE), 3, "{}", quic.all_err());
    assert!(quic.all_err().contains("UDP"), "{}", quic.all_err());
}

#[test]
fn the_session_moves_back_to_quic_when_udp_works_again() {
    if !have("fallback", &["Xvfb", "xterm"]) {
        return;
    }
    let dir = Scratch::new();
    let (here, there) = (Screen::start(SIZE.0, SIZE.1), Screen::start(SIZE.0, SIZE.1));
    here.paint_root(1);
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let udp = dark(&agent);
    let addr = udp.addr().to_string();
    let client = connect(&dir, "client", Some(&there), &addr, &["--fullscreen"]);
    let mut stage = Stage { client, relay: Some(udp), agent, there, here, dir };
    stage.exact();
    until("the client says how it came", PATIENCE, || stage.client.err().contains("websocket"));
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    types(&stage, &file, "while udp is dropped\n");
    stage.relay.as_ref().expect("there is one").blackout(false);
    let start = now();
    until("the client is back on quic", PATIENCE * 3, || stage.client.err().contains("quic"));
    println!("fallback: back on quic {:?} after udp", start.elapsed());
    types(&stage, &file, "and when it is back\n");
    assert_eq!(stage.client.ended(), None, "the client lives");
}

// spec: Y-42, WS-16
#[test]
fn a_path_that_becomes_too_narrow_is_left_for_a_websocket() {
    if !have("fallback", &["Xvfb", "xterm"]) {
        return;
    }
    let mut stage = Stage::with(&[], &[], Some(LinkModel::default()));
    let relay = stage.relay.as_ref().expect("there is one");
    forward(TcpListener::bind(relay.addr()).expect("the port is free for TCP"), stage.agent.addr);
    assert!(!stage.client.err().contains("websocket"), "{}", stage.client.err());
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    types(&stage, &file, "while the path is wide\n");
    // A tunnel within a tunnel: reports and the pointer's shape pass, pictures do not.
    let narrow = LinkModel { mtu: Some(900), ..LinkModel::default() };
    relay.set(Direction::Up, narrow);
    relay.set(Direction::Down, narrow);
    stage.here.paint_root(2);
    let start = now();
    until("the client is on a websocket", PATIENCE * 2, || {
        for x in [300, 310] {
            stage.there.point(x, 200);
            pause(Duration::from_millis(50));
        }
        stage.client.err().contains("websocket")
    });
    println!("fallback: on a websocket {:?} after the path became narrow", start.elapsed());
    stage.exact();
    types(&stage, &file, "and when it is narrow\n");
    assert_eq!(stage.client.ended(), None, "the client lives");
}

#[test]
fn files_are_copied_where_udp_is_dropped() {
    let dir = Scratch::new();
    let agent = files::agent(&dir, &[]);
    let udp = dark(&agent);
    let contents = files::noise(&dir.join("big"), 3_000_000);
    let (here, back) = (dir.join("big").display().to_string(), dir.join("back").display().to_string());
    let there = format!("{}:big", udp.addr());
    let mut up = cp(&dir, &["--json", &here, &there]);
    assert_eq!(up.exit_code(PATIENCE), 0, "{}", up.all_err());
    println!("fallback: up {}", up.all_out().lines().last().unwrap_or_default());
    until("quic is tried first", PATIENCE, || udp.counters().up.blacked_out > 0);
    // By another way, where nothing of that is still on its way.
    let udp = dark(&agent);
    let there = format!("{}:big", udp.addr());
    let mut down = cp(&dir, &["--json", "--transport", "websocket", &there, &back]);
    assert_eq!(down.exit_code(PATIENCE), 0, "{}", down.all_err());
    println!("fallback: down {}", down.all_out().lines().last().unwrap_or_default());
    assert!(std::fs::read(dir.join("back")).expect("a file") == contents);
    assert_eq!(udp.counters().up.blacked_out, 0, "the websocket alone was asked for");
    let mut quic = cp(&dir, &["--transport", "quic", &there, &back]);
    assert_eq!(quic.exit_code(PATIENCE), 3, "{}", quic.all_err());
    assert!(quic.all_err().contains("UDP"), "{}", quic.all_err());
}

#[test]
fn the_doctor_says_which_way_leads_there() {
    let dir = Scratch::new();
    let agent = Agent::start(&dir, &SCENE);
    let udp = dark(&agent);
    udp.blackout(false);
    let addr = udp.addr().to_string();
    let look = || {
        let mut command = Command::new(program("telepane"));
        environment(&mut command, &dir.join("")).args(["doctor", "--json", &addr]);
        let mut run = Running::start("telepane doctor", &mut command);
        assert_eq!(run.exit_code(PATIENCE), 0, "{}", run.all_err());
        let findings: serde_json::Value = serde_json::from_str(run.all_out().trim()).expect("a line of JSON");
        println!("doctor: {findings}");
        findings
    };
    let found = look();
    assert_eq!(
        (&found[0]["carrier"], &found[1]["works"], &found[2]["works"]),
        (&"quic".into(), &true.into(), &true.into())
    );
    udp.blackout(true);
    let found = look();
    assert_eq!(found[0]["carrier"], "websocket", "{found}");
    assert_eq!((&found[1]["works"], &found[2]["works"]), (&false.into(), &true.into()), "{found}");
    assert!(found[1]["found"].as_str().is_some_and(|why| why.contains("UDP")), "{found}");
}

/// A way to an agent that passes TCP on and, for now, no UDP.
fn dark(agent: &Agent) -> Relay {
    // A port that is free for UDP may be somebody's over TCP.
    let both = (0..50).find_map(|_| {
        let udp = relay(agent, LinkModel::default());
        TcpListener::bind(udp.addr()).ok().map(|tcp| (udp, tcp))
    });
    let (udp, tcp) = both.expect("a port is free for both");
    udp.blackout(true);
    forward(tcp, agent.addr);
    udp
}

/// Passes TCP on.
fn forward(listener: TcpListener, to: SocketAddr) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(near), Ok(far)) = (stream, TcpStream::connect(to)) else { return };
            for (mut from, mut to) in [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))]
                .map(|(a, b)| (a.expect("a second hold"), b.expect("a second hold")))
            {
                std::thread::spawn(move || {
                    let _ = copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
}
