//! Sessions without a display at 1920x1080: every invented scene is shown and ends well, and memory is bounded.

use super::process::{PATIENCE, Scratch, pause, until};
use super::screen::Picture;
use super::stage::{Agent, connect};
use std::time::Duration;

/// Far above what either needs, far below what a leak of frames takes within seconds (8 MB each).
const MOST_KB: u64 = 400_000;

#[test]
fn a_film_does_not_fill_the_memory() {
    session("film", 10);
}

#[test]
fn the_other_scenes_end_well() {
    for scene in ["editor", "scroll", "drag"] {
        session(scene, 3);
    }
}

fn session(scene: &str, seconds: u64) {
    let dir = Scratch::new();
    let agent = Agent::start(&dir, &["--synthetic", scene]);
    let (shot, stats) = (dir.join("shot.png"), dir.join("stats.json"));
    let (shot_arg, stats_arg) = (shot.display().to_string(), stats.display().to_string());
    let args = ["--seconds", &seconds.to_string(), "--screenshot", &shot_arg, "--stats-json", &stats_arg];
    let mut client = connect(&dir, "client", None, &agent.addr.to_string(), &args);
    until("the session stands", PATIENCE, || client.err().contains("welcome"));
    // It ends so long after that at the earliest.
    pause(Duration::from_millis(seconds * 1000 - 1_500));
    for (name, run) in [("host", &agent.run), ("client", &client)] {
        let (now, peak) = (run.memory_kb("VmRSS"), run.memory_kb("VmHWM"));
        println!("{scene}: {name} has {} MB, at most {} MB", now / 1000, peak / 1000);
        assert!(peak < MOST_KB, "{name} took {peak} kB");
    }
    assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.err());
    let picture = Picture::from_png(&shot);
    assert_eq!(picture.size, (1920, 1080));
    assert!(picture.lively() > 10_000, "{scene}: the screenshot is empty");
    let text = std::fs::read_to_string(&stats).expect("the statistics were written");
    let stats: serde_json::Value = serde_json::from_str(&text).expect("they are JSON");
    let shown = stats["updates_shown"].as_u64().unwrap_or_default();
    println!("{scene}: {shown} updates shown in {seconds} s, {} bytes received", stats["bytes_received"]);
    assert!(shown > seconds, "{scene}: hardly anything was shown: {text}");
}
