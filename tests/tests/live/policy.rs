//! What people allow a session: a preset that the client wishes for, a bound that the host sets, and a change while it
//! runs, asked for at the agent's control socket.

use super::life::session;
use super::process::{PATIENCE, Scratch, Signal, now, pause, until};
use super::stage::{Agent, connect, serve};
use std::time::Duration;

#[test]
fn a_preset_holds_with_the_hosts_bounds_and_changes_while_the_session_runs() {
    let dir = Scratch::new();
    let bounds = ["--synthetic", "film", "--size", "640x480", "--policy", "max-fps=12", "--limit", "1500k"];
    let agent = Agent::start(&dir, &bounds);
    let file = dir.join("stats.json");
    let args = ["--preset", "D", "--stats-json", &file.display().to_string()];
    let mut client = connect(&dir, "client", None, &agent.addr.to_string(), &args);
    until("the client is there and its wish is heard", PATIENCE, || {
        session(&dir, &["list", "--json"]).1.contains("\"build-to-lossless\": 0")
    });
    let since = now();
    let told: serde_json::Value =
        serde_json::from_str(&session(&dir, &["describe", "1", "--json"]).1).expect("it is JSON");
    assert_eq!(told["policy"]["limit"], 1_500_000, "the host's is the stricter");
    assert_eq!((&told["policy"]["max-fps"], &told["policy"]["initial-quality"]), (&12.into(), &70.into()));

    let (code, out, err) = session(&dir, &["set-policy", "1", "max-fps=5", "limit=none", "--json"]);
    assert_eq!(code, 0, "{err}");
    let now: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!((&now["max-fps"], &now["limit"]), (&5.into(), &2_400_000.into()), "what the client wished for is left");
    assert_eq!(session(&dir, &["set-policy", "7", "max-fps=5"]).0, 2);
    let (code, _, err) = session(&dir, &["set-policy", "1", "max-fps=900"]);
    assert!(code == 2 && err.contains("1 to 240"), "{code} {err}");

    // What is said later comes later.
    assert_eq!(session(&dir, &["message", "1", "that is all"]).0, 0);
    until("the client was told", PATIENCE, || client.err().contains("the host says: that is all"));
    // An average is one of some seconds.
    pause(Duration::from_secs(5).saturating_sub(since.elapsed()));
    client.signal(Signal::Interrupt);
    assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.err());
    let text = std::fs::read_to_string(&file).expect("it was written");
    let stats: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(stats["policy"]["wish"]["max-fps"], 16);
    assert_eq!(stats["policy"]["holds"]["max-fps"], 5, "the client was told: {text}");
    assert_eq!(stats["pcoip"]["txBandwidthLimit"], 2_400.0);
    assert_eq!(stats["pcoip"]["imagingInitialQuality"], 70);
    let average = stats["link"]["received_bits_per_second"]["average"].as_f64().expect("a rate");
    println!("policy: {:.2} Mbit/s, {} frames a second", average / 1e6, stats["frames_per_second"]["average"]);
    assert!(average < 2_400_000.0 * 1.05);
}

#[test]
fn a_setting_that_makes_no_sense_is_explained() {
    let dir = Scratch::new();
    for (args, words) in [
        (&["--policy", "max-pfs=5"][..], "max-fps"),
        (&["--policy", "min-quality=200"], "0 to 100"),
        (&["--preset", "F"], "A, B, C, D and E"),
        (&["--limit", "5k"], "100k at least"),
    ] {
        let mut agent = serve(&dir, "127.0.0.1:0", &[&["--synthetic", "editor"], args].concat());
        assert_eq!(agent.exit_code(PATIENCE), 2, "{args:?}");
        assert!(agent.all_err().contains(words), "{}", agent.all_err());
    }
    let mut client = connect(&dir, "client", None, "127.0.0.1:1", &["--policy", "limit=fast"]);
    assert_eq!(client.exit_code(PATIENCE), 2);
    assert!(client.all_err().contains("20M"), "{}", client.all_err());
}
