//! The life of a session with the real programs: how long it may rest, last and be away, what scripts are told of it, and
//! the lock behind the last who leaves.

use super::process::{PATIENCE, Running, Scratch, Signal, have, pause, program, until};
use super::screen::{Picture, Screen, exact, keep};
use super::stage::{Agent, connect, serve};
use super::wire::Wire;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// `telepane-host session …` for the agent of `dir`: exit code, standard output and error.
pub fn session(dir: &Scratch, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(program("telepane-host"));
    command.arg("session").args(args).arg("--state-dir").arg(dir.join("host"));
    let mut run = Running::start("telepane-host session", &mut command);
    (run.exit_code(PATIENCE), run.all_out(), run.all_err())
}

/// All sessions of the agent of `dir`.
pub fn list(dir: &Scratch) -> Vec<serde_json::Value> {
    serde_json::from_str(&session(dir, &["list", "--json"]).1).unwrap_or_default()
}

/// Waits for an answer that a process has to be started for.
pub fn asked(what: &str, mut asked: impl FnMut() -> bool) {
    until(what, PATIENCE, || {
        let answer = asked();
        if !answer {
            pause(Duration::from_millis(40));
        }
        answer
    });
}

/// Waits until so many are connected and have been given a picture.
pub fn connected(dir: &Scratch, people: usize) {
    asked("they are connected", || {
        list(dir).iter().filter(|s| s["connected"] == true && !s["size"].is_null()).count() == people
    });
}

/// A small agent with these session settings.
pub fn agent(dir: &Scratch, settings: &[&str], more: &[&str]) -> Agent {
    let mut args = vec!["--synthetic", "editor", "--size", "320x200"];
    settings.iter().for_each(|setting| args.extend(["--session", setting]));
    Agent::start(dir, &[&args[..], more].concat())
}

/// A client without a window, with its keys in `dir`/`state`.
pub fn client(dir: &Scratch, state: &str, host: &str, args: &[&str]) -> Running {
    connect(dir, state, None, host, args)
}

/// A file that can be run.
pub fn script(dir: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = dir.write(name, &format!("#!/bin/sh\n{text}"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("the file is ours");
    path
}

/// Whole lines so far, each of them JSON.
pub fn events(file: &Path) -> Vec<serde_json::Value> {
    lines(&std::fs::read_to_string(file).unwrap_or_default())
}

fn lines(text: &str) -> Vec<serde_json::Value> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// Of each event the session, the kind and the reason, or whether it was resumed.
pub fn in_words(events: &[serde_json::Value]) -> Vec<String> {
    let words = |e: &serde_json::Value| {
        let more = ["reason", "resumed"].into_iter().map(|name| &e[name]).find(|v| !v.is_null());
        let more = more.map(|m| format!(" {m}")).unwrap_or_default();
        format!("{} {}{more}", e["session"], e["event"]).replace('"', "")
    };
    events.iter().map(words).collect()
}

// spec: H-53, K-80
#[test]
fn who_does_nothing_is_warned_and_sent_home_and_others_are_told() {
    let dir = Scratch::new();
    let (file, seen) = (dir.join("events"), dir.join("seen"));
    let hook = script(&dir, "hook", &format!("cat >> {}\necho complaint >&2\nexit 7\n", seen.display()));
    let settings = [
        "idle-timeout=10s".to_owned(),
        "idle-timeout-warning=8".to_owned(),
        format!("events={}", file.display()),
        format!("event-command={}", hook.display()),
    ];
    let mut agent = agent(&dir, &settings.each_ref().map(String::as_str), &[]);
    let mut client = client(&dir, "client", &agent.addr.to_string(), &["--type", "abc", "--seconds", "600"]);
    asked("the last input is told to whoever asks", || list(&dir).first().is_some_and(|s| s["last_input"].is_u64()));
    asked("its end is told to whoever asks", || {
        list(&dir).first().is_some_and(|s| s["ending"].as_str().is_some_and(|e| e.starts_with("no input in ")))
    });
    assert_eq!(client.exit_code(PATIENCE), 5, "{}", client.err());
    let said = client.all_err();
    assert!(said.contains("telepane: Nobody has typed for long: a key keeps the session"), "{said}");
    assert!(said.contains("the session ended: no input came for 10 s; connect again to go on"), "{said}");
    // Its end would not wait for every hook.
    let written = || std::fs::read_to_string(&file).unwrap_or_default();
    until("all hooks have run", PATIENCE, || {
        let heard = std::fs::read_to_string(&seen).unwrap_or_default();
        heard.lines().count() == 4 && heard == written()
    });
    agent.run.signal(Signal::Terminate);
    assert_eq!(agent.run.exit_code(PATIENCE), 0, "{}", agent.run.err());
    let log = agent.run.all_err();
    assert!(log.contains("complaint") && log.contains("event-command"), "a hook that fails is heard of: {log}");
    assert!(!log.contains("\"ERROR\""), "and is no error of the agent: {log}");
    let told = events(&file);
    assert_eq!(
        in_words(&told),
        ["1 connected false", "1 last-input", "1 disconnected idle-timeout", "1 ended idle-timeout"]
    );
    assert_eq!(std::fs::read_to_string(&seen).expect("the hook ran"), written(), "the hook gets the same lines");
    for event in told {
        let at = event["at"].as_str().expect("a time");
        assert!(at.len() == 24 && at.ends_with('Z') && event["client"].is_string(), "{event}");
        assert!(event["address"].as_str().is_some_and(|a| a.starts_with("127.0.0.1:")), "{event}");
    }
}

// spec: H-54
#[test]
fn a_session_that_has_lasted_long_enough_ends_however_long_a_hook_takes() {
    let dir = Scratch::new();
    let hook = script(&dir, "hook", "exec sleep 1000\n");
    let command = format!("event-command={}", hook.display());
    let mut agent = agent(&dir, &["max-length=3s", "max-length-warning=2", "events=-", &command], &[]);
    let mut client = client(&dir, "client", &agent.addr.to_string(), &["--seconds", "600"]);
    assert_eq!(client.exit_code(PATIENCE), 5, "{}", client.err());
    let said = client.all_err();
    assert!(said.contains("telepane: A session may last no longer: save your work, it ends in 0:0"), "{said}");
    assert!(said.contains("the session ended: it has lasted 3 s, and may last no longer"), "{said}");
    // Written before the hook is run, on standard output beside the line for scripts.
    let first = agent.run.line("{");
    assert!(first.contains("\"connected\"") && agent.run.out().starts_with("ready "), "{first}");
    agent.run.signal(Signal::Terminate);
    assert_eq!(agent.run.exit_code(PATIENCE), 0, "{}", agent.run.err());
}

// spec: H-52, H-55
#[test]
fn a_session_whose_client_is_away_waits_for_it_but_not_for_ever() {
    let dir = Scratch::new();
    let file = dir.join("events");
    // As an owner writes it.
    let config = dir.write(
        "config.toml",
        &format!("[session]\ndisconnect-timeout = \"15s\"\nevents = {:?}\n", file.display().to_string()),
    );
    let agent = agent(&dir, &[], &["--config", &config.display().to_string()]);
    let wire = Wire::start(agent.addr);
    let mut client = client(&dir, "client", &wire.addr(), &["--transport", "websocket", "--seconds", "600"]);
    connected(&dir, 1);
    wire.pull();
    asked("it is away", || {
        list(&dir).first().is_some_and(|s| s["connected"] == false && s["last_disconnection"].is_u64())
    });
    wire.put_back();
    let told = || in_words(&events(&file));
    until("it is back", PATIENCE, || told().len() == 3);
    connected(&dir, 1);
    wire.pull();
    until("nobody waits any more", 2 * PATIENCE, || told().len() == 5);
    assert_eq!(list(&dir).len(), 0);
    wire.put_back();
    // Nobody took its place and nobody sent it away: it begins another one by itself.
    until("it is back and begins anew", PATIENCE, || told().len() == 6);
    connected(&dir, 1);
    let away = ["1 connected true", "1 disconnected lost", "1 ended disconnect-timeout", "2 connected false"];
    assert_eq!(told(), [&["1 connected false", "1 disconnected lost"][..], &away].concat());
    assert_eq!(client.ended(), None, "{}", client.err());
}

// spec: H-56
#[test]
fn a_real_locker_locks_the_desktop_behind_the_last_who_leaves() {
    if !have("lock", &["Xvfb", "i3lock"]) {
        return;
    }
    let dir = Scratch::new();
    let (here, there) = (Screen::start(320, 200), Screen::start(320, 200));
    here.paint_root(1);
    let text = "[session]\nos-auto-lock = true\nlock-command = [\"i3lock\", \"--color\", \"306090\", \"--no-unlock-indicator\"]\n";
    let config = dir.write("config.toml", text).display().to_string();
    let agent = Agent::start(&dir, &["--display", &here.name, "--shared", "--config", &config]);
    let mut first = client(&dir, "first", &agent.addr.to_string(), &["--seconds", "600"]);
    let wire = Wire::start(agent.addr);
    let last = client(&dir, "last", &wire.addr(), &["--transport", "websocket", "--seconds", "600"]);
    connected(&dir, 2);
    let open = here.picture();
    first.signal(Signal::Interrupt);
    assert_eq!(first.exit_code(PATIENCE), 0, "{}", first.err());
    connected(&dir, 1);
    // What would have locked it has had the time to: it is asked for before the list is answered.
    pause(Duration::from_millis(300));
    assert!(!here.pointer_is_grabbed() && here.picture() == open, "somebody is there");
    // The last one does not say goodbye.
    wire.pull();
    until("it is locked", PATIENCE, || here.pointer_is_grabbed() && plain(&here.picture()));
    drop(last);
    // Who comes next finds the locker and not the desktop.
    let _next = connect(&dir, "first", Some(&there), &agent.addr.to_string(), &["--fullscreen"]);
    exact(&here, &there, PATIENCE);
    assert!(plain(&there.picture()), "the desktop is not seen");
    keep(&there, "locked");
}

/// Nothing but the locker's colour.
fn plain(picture: &Picture) -> bool {
    picture.bgrx.chunks_exact(4).all(|p| p[..3] == [0x90, 0x60, 0x30])
}

#[test]
fn a_setting_that_makes_no_sense_is_explained() {
    let dir = Scratch::new();
    for (settings, words) in [
        (&["idle-timeout=soon"][..], "90s, 15min"),
        (&["client-eviction-policy=x"], "reject-new-connection"),
        (&["idle-timout=5"], "idle-timeout-warning"),
        (&["os-auto-lock=true", "lock-command=/nowhere/locker"], "/nowhere/locker"),
        (&["os-auto-lock=true", "lock-command="], "lock-command is empty"),
        (&["event-command=/nowhere/hook"], "/nowhere/hook"),
    ] {
        let mut args = vec!["--synthetic", "editor"];
        settings.iter().for_each(|setting| args.extend(["--session", setting]));
        let mut agent = serve(&dir, "127.0.0.1:0", &args);
        assert_eq!(agent.exit_code(PATIENCE), 2, "{settings:?}");
        assert!(agent.all_err().contains(words), "{}", agent.all_err());
    }
}
