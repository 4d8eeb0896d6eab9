//! Clients that vanish without a word: one that stands still is away, holds no key, and goes on where it was; one that was
//! killed gives way to others, and the desktop is locked behind it.

use super::life::{agent, asked, client, connected, events, in_words, list, script};
use super::process::{PATIENCE, Scratch, Signal, have, pause, until};
use super::screen::{LEFT_SHIFT, no_key_held};
use super::stage::{Stage, types};
use std::time::Duration;

/// As short as it may be.
const SILENCE: &str = "silence-timeout=5s";

// spec: H-21, H-65, L-7
#[test]
fn a_client_that_stands_still_is_away_and_goes_on_where_it_was() {
    if !have("a client that stands still", &["Xvfb", "xterm"]) {
        return;
    }
    let dir = Scratch::new();
    let (file, seen) = (dir.join("events"), dir.join("seen"));
    let hook = script(&dir, "hook", &format!("cat >> {}\n", seen.display()));
    let settings =
        [SILENCE.to_owned(), format!("events={}", file.display()), format!("event-command={}", hook.display())];
    let args: Vec<&str> = settings.iter().flat_map(|setting| ["--session", setting.as_str()]).collect();
    let mut stage = Stage::in_dir(dir, &args, &[], None);
    let typed = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("exec cat > {}", typed.display()));
    types(&stage, &typed, "before\n");
    let told = || in_words(&events(&file));
    // Who does nothing is there: the agent asks.
    pause(Duration::from_secs(8));
    assert_eq!(told(), ["1 connected false"]);
    assert!(list(&stage.dir)[0]["connected"] == true && list(&stage.dir)[0]["last_disconnection"].is_null());

    stage.there.press(LEFT_SHIFT);
    until("it is down on the host", PATIENCE, || stage.here.held() == [LEFT_SHIFT + 8]);
    stage.client.signal(Signal::Stop);
    println!("a client that stands still: its key is up after {:?}", no_key_held(&stage.here, PATIENCE));
    let took = until("it is away", PATIENCE, || told().len() == 3);
    println!("a client that stands still: away {took:?} later");
    assert_eq!(told(), ["1 connected false", "1 last-input", "1 disconnected silent"]);
    assert!(list(&stage.dir)[0]["connected"] == false && list(&stage.dir)[0]["last_disconnection"].is_u64());
    stage.here.paint_root(2);
    stage.there.lift(LEFT_SHIFT);
    pause(Duration::from_millis(500));
    assert_eq!(told().len(), 3, "nothing is heard of it");

    stage.client.signal(Signal::Continue);
    let took = until("it is back", PATIENCE, || told().len() == 4);
    println!("a client that stands still: back {took:?} after it goes on, exact {:?} later", stage.exact());
    assert_eq!(told()[3], "1 connected true");
    assert_eq!(list(&stage.dir)[0]["connected"], true);
    types(&stage, &typed, "after\n");
    no_key_held(&stage.here, PATIENCE);
    assert_eq!(stage.client.ended(), None, "{}", stage.client.err());
    let written = || std::fs::read_to_string(&file).expect("events were written");
    until("the hook got the same lines", PATIENCE, || std::fs::read_to_string(&seen).is_ok_and(|s| s == written()));
}

// spec: H-50, H-51, H-56, H-65
#[test]
fn a_client_that_was_killed_gives_way_and_the_desktop_is_locked_behind_it() {
    let dir = Scratch::new();
    let (file, locked) = (dir.join("events"), dir.join("locked"));
    let lock = script(&dir, "lock", &format!("echo locked >> {}\n", locked.display()));
    let settings = [
        SILENCE.to_owned(),
        "client-eviction-policy=reject-new-connection".to_owned(),
        "os-auto-lock=true".to_owned(),
        format!("lock-command={}", lock.display()),
        format!("events={}", file.display()),
    ];
    let agent = agent(&dir, &settings.each_ref().map(String::as_str), &[]);
    let comes = |key: &str| client(&dir, key, &agent.addr.to_string(), &["--seconds", "600"]);
    let told = || in_words(&events(&file));
    let mut first = comes("first");
    connected(&dir, 1);
    first.signal(Signal::Kill);
    assert_eq!(first.exit_code(PATIENCE), 137);
    let took = until("it is away", PATIENCE, || told().len() == 2);
    println!("a client that was killed: away {took:?} later");
    assert_eq!(told(), ["1 connected false", "1 disconnected silent"]);
    until("the desktop is locked", PATIENCE, || locked.exists());
    // Nobody gives way here, but whoever is away has no place to keep.
    let mut second = comes("second");
    connected(&dir, 1);
    until("both are told", PATIENCE, || told().len() == 4);
    assert_eq!(told()[2..], ["1 ended taken-over", "2 connected false"]);
    // It is back, as somebody who starts it again: now it is the one that finds the desk full.
    let mut again = comes("first");
    assert_eq!(again.exit_code(PATIENCE), 4, "{}", again.err());
    assert_eq!(second.ended(), None, "{}", second.err());
    // The other way round, its own place is its own: the same key takes it at once, silent or not.
    second.signal(Signal::Kill);
    let _second = comes("second");
    asked("it has its place again", || {
        let all = list(&dir);
        all.len() == 1 && all[0]["connected"] == true && all[0]["id"] == 3
    });
}
