//! What the client writes for scripts after a session.

use super::process::{PATIENCE, Scratch};
use super::stage::{Agent, connect};

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
