//! What is shown and what is said: the window, the picture without one, and the commands.

use super::super::process::Scratch;
use super::super::screen::{Picture, Screen, keep};
use super::super::stage::{Agent, CODE, types};
use super::{Wine, ends, staged, windows_path};

#[test]
fn the_program_starts_and_finds_the_ways_to_a_host() {
    let Some(wine) = Wine::start("Windows: program") else { return };
    let dir = Scratch::new();
    let mut version = wine.telepane(&dir, None, &["--version"]);
    assert_eq!(ends(&mut version), 0, "{}", version.all_err());
    assert_eq!(version.all_out().trim(), concat!("telepane ", env!("CARGO_PKG_VERSION")));

    let agent = Agent::start(&dir, &["--synthetic", "editor", "--size", "320x200"]);
    let mut doctor = wine.telepane(&dir, None, &["doctor", &agent.addr.to_string(), "--json"]);
    assert_eq!(ends(&mut doctor), 0, "{}", doctor.all_err());
    let found: serde_json::Value = serde_json::from_str(&doctor.all_out()).expect("JSON");
    println!("Windows: program: doctor: {found}");
    for (n, (tried, carrier)) in [("connect", "quic"), ("quic", "quic"), ("websocket", "websocket")].iter().enumerate()
    {
        assert_eq!(found[n]["tried"], *tried);
        assert_eq!((&found[n]["works"], &found[n]["carrier"]), (&true.into(), &(*carrier).into()), "{found}");
        assert!(found[n]["found"].as_str().is_some_and(|said| said.contains(&agent.fingerprint)), "{found}");
    }

    // What is wrong is said with its code, as everywhere.
    for (args, code) in [(&["connect"][..], 2), (&["connect", "127.0.0.1:1", "--headless", "--trust-new"], 3)] {
        let mut wrong = wine.telepane(&dir, None, args);
        assert_eq!(ends(&mut wrong), code, "{args:?}: {}", wrong.all_err());
        assert!(!wrong.all_err().is_empty(), "{args:?} says why");
    }
}

#[test]
fn the_window_shows_the_desktop_and_is_its_keyboard_and_pointer() {
    let Some((_wine, mut stage)) = staged("Windows: window", &[]) else { return };
    keep(&stage.there, "wine-window");
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    types(&stage, &file, "Windows types: aA1!@#$%^&*()_+{}[]|\\:;\"'<>?,./`~\n");
    assert_eq!(stage.here.pointer_at(), (200, 100), "the pointer came");
    keep(&stage.there, "wine-typed");
    // Whoever closes the window ends the session.
    stage.there.close_windows();
    assert_eq!(ends(&mut stage.client), 0, "{}", stage.client.err());
}

#[test]
fn a_client_without_a_window_takes_pictures_and_remembers_the_host() {
    let Some(wine) = Wine::start("Windows: no window") else { return };
    let dir = Scratch::new();
    let here = Screen::start(320, 240);
    here.paint_root(2);
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let (shot, stats) = (dir.join("shot.png"), dir.join("stats.json"));
    let (shot_there, stats_there) = (windows_path(&shot), windows_path(&stats));
    let args = ["--screenshot", &shot_there, "--stats-json", &stats_there];
    let host = agent.addr.to_string();
    let mut client = wine.connect(&dir, None, &host, &args);
    assert_eq!(ends(&mut client), 0, "{}", client.all_err());
    assert_eq!(here.picture().difference(&Picture::from_png(&shot)), None);
    let stats: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(stats).expect("written")).expect("JSON");
    println!("Windows: no window: {stats}");

    // It has a key of its own by now, and knows the host: no code, no question.
    std::fs::remove_file(&shot).expect("it was written");
    let state = windows_path(&dir.join("client"));
    let again = ["connect", &host, "--headless", "--state-dir", &state, "--screenshot", &shot_there];
    let mut again = wine.telepane(&dir, None, &again);
    assert_eq!(ends(&mut again), 0, "{}", again.all_err());
    assert_eq!(here.picture().difference(&Picture::from_png(&shot)), None);
}

/// Where a person named no place, keys and pins lie where Windows keeps a program's state; and what is not there yet says so.
#[test]
fn state_lies_where_windows_keeps_it_and_what_is_not_there_is_said() {
    let Some(wine) = Wine::start("Windows: state") else { return };
    let dir = Scratch::new();
    let agent = super::super::files::agent(&dir, &[]);
    std::fs::write(dir.join("file"), "a file").expect("the directory is ours");
    let (code, file) = (windows_path(&dir.write("client-code", CODE)), windows_path(&dir.join("file")));
    let host = format!("{}:", agent.addr);
    let mut cp = wine.telepane(&dir, None, &["cp", &file, &host, "--access-code-file", &code, "--trust-new"]);
    assert_eq!(ends(&mut cp), 5, "{}", cp.all_err());
    assert!(cp.all_err().contains("copying files is not there on this system yet"), "{}", cp.all_err());
    let kept = std::fs::read_dir(wine.local_data().join("telepane")).expect("%LOCALAPPDATA%\\telepane");
    let kept: Vec<_> = kept.flatten().map(|entry| entry.file_name()).collect();
    println!("Windows: state: %LOCALAPPDATA%\\telepane has {kept:?}");
    assert!(kept.len() >= 2, "a key and pins: {kept:?}");
}
