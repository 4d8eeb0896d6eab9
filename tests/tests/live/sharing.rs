//! Two clients of one agent: by default the second takes over; with `--shared` both work.

use super::process::{PATIENCE, Scratch, Signal, have, until};
use super::screen::{Screen, exact};
use super::stage::{Agent, SIZE, Stage, connect, types};
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn the_second_client_takes_over() {
    if !have("take-over", &["Xvfb", "xterm"]) {
        return;
    }
    let mut stage = Stage::start();
    let screen = Screen::start(SIZE.0, SIZE.1);
    let addr = stage.agent.addr.to_string();
    let mut second = connect(&stage.dir, "second", Some(&screen), &addr, &["--fullscreen"]);
    assert_eq!(stage.client.exit_code(PATIENCE), 5, "{}", stage.client.err());
    let said = stage.client.all_err();
    assert!(said.contains("another client"), "{said}");
    println!("take-over: the first client said {:?}", said.lines().last());
    stage.here.paint_root(2);
    println!("take-over: the second is exact after {:?}", exact(&stage.here, &screen, PATIENCE));
    assert_eq!(second.ended(), None);
}

#[test]
fn shared_clients_both_live() {
    if !have("shared", &["Xvfb", "xterm"]) {
        return;
    }
    let mut stage = Stage::with(&["--shared", METRICS[0], METRICS[1]], &[], None);
    let metrics = metrics_of(&stage.agent);
    let screen = Screen::start(SIZE.0, SIZE.1);
    let addr = stage.agent.addr.to_string();
    let mut second = connect(&stage.dir, "second", Some(&screen), &addr, &["--fullscreen"]);
    exact(&stage.here, &screen, PATIENCE);
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    types(&stage, &file, "from the first\n");
    println!("shared: the second is exact after {:?}", exact(&stage.here, &screen, PATIENCE));
    // The roles change: what is typed at the second is seen by both.
    std::mem::swap(&mut stage.client, &mut second);
    let first = std::mem::replace(&mut stage.there, screen);
    types(&stage, &file, "from the second\n");
    println!("shared: the first is exact after {:?}", exact(&stage.here, &first, PATIENCE));
    assert_eq!((stage.client.ended(), second.ended()), (None, None), "both live");
    // Both hold the same pixels, so what one is sent is coded once.
    let mut seed = 2;
    until("jobs are answered with copies", PATIENCE, || {
        stage.here.paint_root(seed);
        seed += 1;
        exact(&stage.here, &first, PATIENCE);
        stage.exact();
        counter(&metrics, "telepane_copied_jobs_total") > 0
    });
    println!("shared: {} jobs were answered with copies", counter(&metrics, "telepane_copied_jobs_total"));
    drop(second);
}

/// Who gets copies sees each frame whole and at once, as the one whose frames they were coded for.
#[test]
fn a_viewer_in_step_is_shown_whole_frames() {
    let dir = Scratch::new();
    let scene = ["--synthetic", "scroll", "--size", "640x480", "--shared", METRICS[0], METRICS[1]];
    let agent = Agent::start(&dir, &scene);
    let (addr, metrics) = (agent.addr.to_string(), metrics_of(&agent));
    let files = ["first", "second"].map(|name| dir.join(format!("{name}.json")));
    // Nothing of it is ever at rest, so the second is brought to what the first holds: after two seconds.
    let mut clients = ["first", "second"].map(|name| {
        let file = dir.join(format!("{name}.json")).display().to_string();
        connect(&dir, name, None, &addr, &["--stats-json", &file])
    });
    until("copies", PATIENCE, || counter(&metrics, "telepane_copied_jobs_total") > 100);
    for (client, file) in clients.iter_mut().zip(&files) {
        client.signal(Signal::Interrupt);
        assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.err());
        let text = std::fs::read_to_string(file).expect("it was written");
        let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let (shown, whole) = (told["updates_shown"].as_u64(), told["age"]["count"].as_u64());
        println!("sharing: {shown:?} updates shown, {whole:?} of them whole frames");
        // Some of the first pictures are shown in parts.
        assert!(whole > Some(20) && whole.zip(shown).is_some_and(|(w, s)| w * 4 > s * 3), "{whole:?} of {shown:?}");
    }
}

/// What an agent is given so that it serves metrics wherever there is room.
pub const METRICS: [&str; 2] = ["--metrics", "127.0.0.1:0"];

/// Where it serves them, as it says.
pub fn metrics_of(agent: &Agent) -> String {
    let said = || {
        let log = agent.run.err();
        let line = log.lines().find(|line| line.contains("metrics at /metrics"))?.to_owned();
        let line: serde_json::Value = serde_json::from_str(&line).ok()?;
        Some(line["fields"]["at"].as_str().expect("an address").to_owned())
    };
    until("the agent says where", PATIENCE, || said().is_some());
    said().expect("it has said it")
}

/// A counter of the agent's metrics.
pub fn counter(metrics: &str, name: &str) -> u64 {
    let mut stream = TcpStream::connect(metrics).expect("the agent serves metrics");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("it answers");
    let line = page.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {page}"));
    line.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a number")
}
