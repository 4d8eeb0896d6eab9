//! What bad input gets: an exit code, and a message that says what to do next.

use super::process::{PATIENCE, Running, Scratch, Signal, now, own_address};
use super::stage::{Agent, connect, connect_without_code, serve, serve_with_own_code};
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

/// An agent that needs no display.
const SCENE: [&str; 2] = ["--synthetic", "editor"];

#[test]
fn a_wrong_code_and_no_code() {
    let dir = Scratch::new();
    let agent = Agent::start(&dir, &SCENE);
    let addr = agent.addr.to_string();
    let wrong = dir.write("wrong", "ABCD-EFGH-9999").display().to_string();
    expect(connect_without_code(&dir, "a", None, &addr, &["--access-code-file", &wrong]), 4, &["access code", "ask"]);
    expect(connect_without_code(&dir, "b", None, &addr, &[]), 4, &["--access-code-file"]);
    let garbage = dir.write("garbage", "no code at all!").display().to_string();
    let ended = connect_without_code(&dir, "c", None, &addr, &["--access-code-file", &garbage]);
    expect(ended, 2, &["garbage"]);
    let missing = dir.join("missing").display().to_string();
    expect(connect_without_code(&dir, "c", None, &addr, &["--access-code-file", &missing]), 2, &["missing"]);
    // The right one still lets in: others' mistakes do not lock the door, and nothing of theirs was kept.
    let shot = dir.join("shot.png").display().to_string();
    expect(connect(&dir, "d", None, &addr, &["--screenshot", &shot, "--seconds", "1"]), 0, &[]);
}

#[test]
fn the_second_time_nothing_is_asked() {
    let dir = Scratch::new();
    let agent = Agent::start(&dir, &SCENE);
    let addr = agent.addr.to_string();
    expect(connect(&dir, "client", None, &addr, &["--seconds", "1"]), 0, &[]);
    expect(connect_without_code(&dir, "client", None, &addr, &["--seconds", "1"]), 0, &[]);
}

#[test]
fn a_host_that_is_not_who_it_was() {
    let dir = Scratch::new();
    let mut agent = Agent::at(&dir, &own_address().to_string(), &SCENE);
    let addr = agent.addr.to_string();
    let was = agent.fingerprint.clone();
    expect(connect(&dir, "client", None, &addr, &["--seconds", "1", "--fingerprint", &was]), 0, &[]);
    agent.run.signal(Signal::Terminate);
    agent.run.exit_code(PATIENCE);
    std::fs::remove_dir_all(dir.join("host")).expect("the agent kept its identity there");
    let agent = Agent::at(&dir, &addr, &SCENE);
    assert_ne!(agent.fingerprint, was);
    let now = agent.fingerprint.as_str();
    expect(connect(&dir, "client", None, &addr, &[]), 4, &["identity has changed", &was, now, "--fingerprint"]);
    expect(connect(&dir, "other", None, &addr, &["--fingerprint", &was]), 4, &["identity", now]);
    // Compared and named by the person, it is the one that is known from then on.
    expect(connect(&dir, "client", None, &addr, &["--fingerprint", now, "--seconds", "1"]), 0, &[]);
    expect(connect_without_code(&dir, "client", None, &addr, &["--seconds", "1"]), 0, &[]);
}

#[test]
fn a_host_that_cannot_be_reached() {
    let dir = Scratch::new();
    let start = now();
    let closed = own_address().to_string();
    expect(connect(&dir, "a", None, &closed, &[]), 3, &["127.0.0.1", "start the agent", "check the port"]);
    println!("a closed port was told after {:?}", start.elapsed());

    let start = now();
    let addr = own_address();
    let _tcp = TcpListener::bind(addr).expect("a port");
    let _silent = UdpSocket::bind(addr).expect("the same port over UDP");
    let addr = addr.to_string();
    expect(connect(&dir, "b", None, &addr, &[]), 3, &["127.0.0.1", "UDP"]);
    println!("a port silent on UDP and open on TCP was told after {:?}", start.elapsed());

    expect(connect(&dir, "c", None, "no.such.host.invalid", &[]), 3, &["no.such.host.invalid", "check the name"]);
}

#[test]
fn a_command_line_or_a_file_that_is_wrong() {
    let dir = Scratch::new();
    let config = dir.write("config.toml", "overlay = true\nrendrer = \"pixels\"\n").display().to_string();
    expect(connect(&dir, "a", None, "127.0.0.1", &["--config", &config]), 2, &["rendrer", "line 2", "correct it"]);
    expect(connect(&dir, "a", None, "127.0.0.1", &["--fingerprint", "xyz"]), 2, &["--fingerprint"]);
    expect(connect(&dir, "a", None, "127.0.0.1", &["--size", "big"]), 2, &["1280x720"]);
    let nowhere = dir.join("missing").join("notes").display().to_string();
    expect(connect(&dir, "a", None, "127.0.0.1", &["--notes", &nowhere]), 2, &["No such file"]);
    let scene = ["--synthetic", "editor", "--notes", &nowhere];
    expect(serve(&dir, "127.0.0.1:0", &scene), 2, &["notes", "No such file", "another file"]);

    let config = dir.write("host.toml", "shared = true\nlimt = \"2M\"\n").display().to_string();
    let ended = serve(&dir, "127.0.0.1:0", &["--config", &config, "--synthetic", "editor"]);
    expect(ended, 2, &["limt", "line 2", "correct it"]);
    expect(serve(&dir, "127.0.0.1:0", &["--limit", "fast"]), 2, &["20M"]);

    // A library for H.264 that is not Cisco's runs at neither end, and nothing else takes its place.
    let library = dir.write("libopenh264.so", "anything").display().to_string();
    let words: [&str; 3] = [&library, "none of Cisco's binaries", "download the one for this system"];
    expect(serve(&dir, "127.0.0.1:0", &["--synthetic", "film", "--openh264", &library]), 2, &words);
    expect(connect(&dir, "a", None, "127.0.0.1", &["--openh264", &library]), 2, &words);
    let config = dir.write("film.toml", &format!("openh264 = \"{library}\"\n")).display().to_string();
    expect(serve(&dir, "127.0.0.1:0", &["--synthetic", "film", "--config", &config]), 2, &words);
    expect(connect(&dir, "a", None, "127.0.0.1", &["--config", &config]), 2, &words);
}

#[test]
fn a_display_that_is_not_there_and_a_port_in_use() {
    let dir = Scratch::new();
    expect(serve(&dir, "127.0.0.1:0", &["--display", ":4999"]), 3, &[":4999", "--virtual"]);
    let agent = Agent::start(&dir, &SCENE);
    let addr = agent.addr.to_string();
    let other = Scratch::new();
    expect(serve(&other, &addr, &SCENE), 3, &[&agent.addr.port().to_string(), "--listen"]);
}

#[test]
fn a_second_agent_on_the_same_state() {
    let dir = Scratch::new();
    // Without a code file, so that the agent makes a code of its own and keeps it there.
    let mut first = serve_with_own_code(&dir);
    let code = first.line("code ");
    expect(serve_with_own_code(&dir), 2, &["another agent", "--state-dir"]);
    let file = std::fs::read_to_string(dir.join("host").join("access_code")).expect("the first one's");
    assert_eq!(code, format!("code {}", file.trim()), "the second one changed nothing");
    assert_eq!(first.ended(), None);
    // A killed one holds nothing.
    first.signal(Signal::Kill);
    first.exit_code(PATIENCE);
    serve_with_own_code(&dir).line("ready ");
}

/// It ends with this code, and each of `words` is in what it says.
fn expect(mut run: Running, code: i32, words: &[&str]) {
    let ended = run.exit_code(Duration::from_secs(30));
    let said = run.all_err();
    // The log is not the message.
    let logged = |l: &&str| l.contains(" INFO ") || l.contains("\u{1b}") || l.starts_with('{');
    let shown = said.lines().filter(|l| !logged(l)).collect::<Vec<_>>().join("\n");
    println!("exit {ended}: {shown}");
    assert_eq!(ended, code, "{said}");
    for word in words {
        assert!(shown.contains(word), "{word:?} is not in the message: {shown}");
    }
}
