//! A Wayland session with a real Xwayland: recognised and said, never shown as the black root window it has.

use super::process::{PATIENCE, Running, Scratch, Signal, have, until};
use super::screen::environment;
use super::stage::serve_in;
use std::process::Command;

#[test]
fn a_wayland_session_is_said_and_never_shown_black() {
    if !have("Wayland", &["weston", "Xwayland"]) {
        return;
    }
    let dir = Scratch::new();
    // Its own, and not the agent's home: sockets lie there.
    let runtime = Scratch::new();
    let mut command = Command::new("weston");
    environment(&mut command, &runtime.join(""));
    command.args(["--backend=headless-backend.so", "--xwayland", "--socket=telepane-way", "--idle-time=0"]);
    // It writes to its standard error unless told otherwise.
    let weston = Running::start("weston", &mut command);
    let said = "xserver listening on display ";
    // The whole line: half of it may be another display.
    let named = || Some(weston.err().split_once(said)?.1.split_once('\n')?.0.trim().to_owned());
    until("weston offers Xwayland", PATIENCE, || named().is_some());
    let display = named().expect("it has been said");
    println!("Wayland: weston runs with Xwayland at {display}");

    let socket = ("WAYLAND_DISPLAY", "telepane-way");
    let x = ("DISPLAY", display.as_str());
    refused(&dir, &[socket, x], &[], &["Wayland session", "telepane-way", "--virtual 1920x1080"]);
    refused(&dir, &[("XDG_SESSION_TYPE", "wayland"), x], &[], &["Wayland session", "XDG_SESSION_TYPE", "--virtual"]);
    // A program started without the session's variables, and one that names the display: the server itself is asked.
    refused(&dir, &[x], &[], &["Xwayland", "empty", "--virtual 1920x1080"]);
    refused(&dir, &[socket], &["--display", &display], &["Xwayland", "--virtual 1920x1080"]);
    // And what is offered works there.
    let mut agent = serve_in(&dir, &[socket, x], &["--virtual", "640x480"]);
    agent.line("ready ");
    // What it started for itself ends with it only when it is asked to.
    agent.signal(Signal::Terminate);
    assert_eq!(agent.exit_code(PATIENCE), 0, "{}", agent.err());
}

/// The agent says `words` and is not ready.
fn refused(dir: &Scratch, variables: &[(&str, &str)], args: &[&str], words: &[&str]) {
    let mut agent = serve_in(dir, variables, args);
    assert_eq!(agent.exit_code(PATIENCE), 3, "{}", agent.all_err());
    let said = agent.all_err();
    let message = said.lines().rfind(|l| l.starts_with("telepane-host: ")).expect("a message");
    println!("{message}");
    assert!(words.iter().all(|w| message.contains(w)), "{words:?} in {message}");
    assert!(!agent.all_out().contains("ready"));
}
