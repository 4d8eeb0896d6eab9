//! What the client writes for scripts after a session.

use super::life::asked;
use super::process::{PATIENCE, Scratch, Signal};
use super::stage::{Agent, connect};
use telepane_capture::Source as _;

#[test]
fn the_clients_figures_tell_of_the_session() {
    let dir = Scratch::new();
    let agent = Agent::start(&dir, &["--synthetic", "editor", "--size", "640x480"]);
    let file = dir.join("stats.json");
    let args = ["--seconds", "2", "--stats-json", &file.display().to_string()];
    let mut client = connect(&dir, "client", None, &agent.addr.to_string(), &args);
    assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.err());
    let text = std::fs::read_to_string(&file).expect("it was written");
    let stats: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    for figure in [
        "/link/rtt_us",
        "/link/rtt_max_us",
        "/link/received_bits_per_second/peak",
        "/link/sent_bits_per_second/average",
        "/link/packets_received",
        "/link/mtu",
        "/received/picture/packets",
        "/received/picture/bytes",
        "/frames_per_second/peak",
        "/pixels_decoded",
        "/bits_per_pixel",
        "/decode_bits_per_second",
        "/age/p50_us",
    ] {
        let value = stats.pointer(figure).and_then(serde_json::Value::as_f64);
        assert!(value.is_some_and(|v| v > 0.0), "{figure} is {value:?} in {text}");
    }
    assert_eq!(stats["exact"]["lossy_tiles"], 0, "text is exact");
    assert!(stats["exact"]["for_us"].is_u64() && stats["slow"].is_string());
    println!("figures: {}", stats["slow"]);
}

/// What the client's tiles show is told to the agent, which finds that it is what was sent.
// spec: Y-40, H-70
#[test]
fn what_a_real_client_shows_is_held_against_what_it_was_sent() {
    let dir = Scratch::new();
    let (notes, file) = (dir.join("host.notes"), dir.join("stats.json"));
    let scene = ["--synthetic", "editor", "--size", "640x480", "--notes", &notes.display().to_string()];
    let mut agent = Agent::start(&dir, &scene);
    let args = ["--seconds", "15", "--stats-json", &file.display().to_string()];
    let mut client = connect(&dir, "client", None, &agent.addr.to_string(), &args);
    assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.err());
    let stats: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("it was written")).expect("it is JSON");
    agent.run.signal(Signal::Terminate);
    assert_eq!(agent.run.exit_code(PATIENCE), 0, "{}", agent.run.err());
    let journal = std::fs::read_to_string(&notes).expect("it was written");
    let told = stats["exact"]["proof_tiles"].as_u64();
    // The editor types in a part of its 80 tiles; the others rest.
    assert!(told >= Some(40) && journal.contains(" Proven {"), "{told:?} in {stats}");
    assert!(!journal.contains("ProofFailed"), "{journal}");
    println!("{told:?} tiles' hashes told");
}

/// The invented editor answers keys, so that what is measured from key to picture is its answer and no chance.
#[test]
fn a_synthetic_editor_answers_keys() {
    let dir = Scratch::new();
    let agent = Agent::start(&dir, &["--synthetic", "editor", "--size", "640x480"]);
    let file = dir.join("stats.json");
    // It ends by itself when all is typed and has been answered.
    let args = ["--type", "answer me", "--stats-json", &file.display().to_string()];
    let mut client = connect(&dir, "client", None, &agent.addr.to_string(), &args);
    assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.err());
    let stats: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("it was written")).expect("it is JSON");
    // Nine keys; the editor types no more by itself from the first one on, so there are hardly more pictures.
    let (keys, shown) = (stats["key_to_shown"]["count"].as_u64(), stats["updates_shown"].as_u64());
    println!("{keys:?} keys were answered in {shown:?} pictures");
    assert!(keys >= Some(5) && shown <= keys.map(|k| k * 2 + 12), "{stats}");
}

/// Each process's clock begins at a time of its own, hours apart: a stamp means nothing to the others but through the
/// clock map. The journals show it, and the agent's recording with its journal plays again.
#[test]
fn only_the_clock_map_relates_the_stamps_of_two_processes() {
    let dir = Scratch::new();
    let (notes, screen) = (dir.join("host.notes"), dir.join("screen.deskrec"));
    let files = [notes.display().to_string(), screen.display().to_string()];
    let scene = ["--synthetic", "scroll", "--size", "320x240", "--shared"];
    let mut agent = Agent::start(&dir, &[&scene[..], &["--notes", &files[0], "--record", &files[1]]].concat());
    let mut ahead = Vec::new();
    for name in ["first", "second"] {
        let own = dir.join(format!("{name}.notes"));
        let mut client = connect(&dir, name, None, &agent.addr.to_string(), &["--notes", &own.display().to_string()]);
        let frames = || shown(&std::fs::read_to_string(&own).unwrap_or_default());
        asked("frames are shown", || frames().len() > 60);
        client.signal(Signal::Interrupt);
        assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.err());
        ahead.push(frames());
    }
    agent.run.signal(Signal::Terminate);
    assert_eq!(agent.run.exit_code(PATIENCE), 0, "{}", agent.run.err());
    let journal = std::fs::read_to_string(&notes).expect("it was written");
    let times: Vec<f64> = journal.lines().filter_map(|l| l.split(' ').next()?.parse().ok()).collect();
    let range = times.iter().fold((f64::MAX, f64::MIN), |(a, b), t| (a.min(t / 1e6), b.max(t / 1e6)));
    for frames in &ahead {
        assert!(frames.len() > 60, "{} frames were shown", frames.len());
        for (at, captured, age) in frames {
            assert!((range.0..=range.1).contains(captured), "{captured} is no time of the host's, {range:?}");
            assert!((0.0..10.0).contains(age), "an age of {age} s at {at}");
        }
        let off = |(at, captured, age): &(f64, f64, f64)| captured + age - at;
        let (least, most) = frames.iter().map(off).fold((f64::MAX, f64::MIN), |(a, b), o| (a.min(o), b.max(o)));
        assert!(most - least < 1.0, "the map wanders by {} s", most - least);
    }
    let off: Vec<f64> = ahead.iter().map(|f| (f[0].1 + f[0].2 - f[0].0).abs()).collect();
    println!("the clients' clocks are {:.0} s and {:.0} s from the host's", off[0], off[1]);
    // Two of two within a second happen once in a thousand million runs.
    assert!(off.iter().any(|o| *o > 1.0), "the clocks agree by themselves: {off:?}");
    // The recording begins where the journal says, and holds frames.
    assert!(journal.lines().any(|l| l.contains(" Recording { began: host:")), "{journal}");
    assert!(journal.lines().any(|l| l.contains(" Budget { pace: ")), "{journal}");
    let mut replay = telepane_capture::replay::Replay::open(&screen, false).expect("a recording");
    let mut frames = 0;
    for n in 0..600 {
        let now = telepane_model::Stamp::from_micros(n * 10_000);
        frames += usize::from(matches!(replay.poll(now), Ok(Some(telepane_capture::Event::Frame(_)))));
    }
    assert!(frames > 20, "{frames} frames were recorded");
}

/// When a viewer showed each frame, by its own clock; when that was captured, by the host's; its age. Seconds.
fn shown(journal: &str) -> Vec<(f64, f64, f64)> {
    let number = |text: &str| -> Option<f64> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        text[..end].parse().ok()
    };
    let read = |line: &str| {
        let (at, note) = line.split_once(" Shown { captured: host:")?;
        let age = number(note.split_once("age: ")?.1)?;
        Some((number(at)? / 1e6, number(note)?, age / 1e3))
    };
    journal.lines().filter_map(read).collect()
}
