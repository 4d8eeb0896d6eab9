//! Shortcuts of the client's own system: with a window manager that would answer them, they go to the desktop from the full
//! screen, and back by the keys that are told. And the lock keys, which are one state for both ends.

use super::keyboards::{Editor, GTK, give_keyboard, hears};
use super::process::{PATIENCE, Running, Scratch, have, now, pause, until};
use super::screen::{LEFT_ALT, LEFT_SHIFT, NO_KEY, Screen, environment, exact, keep, no_key_held};
use super::stage::{Agent, Stage, connect};
use super::toolkits::has_module;
use std::process::Command;
use std::time::Duration;

const TAB: u8 = 15;
const CAPS: u8 = 58;
const NUM: u8 = 69;
const PAD_1: u8 = 79;
/// As X counts them.
const X: u8 = 8;

/// Alt+Tab, held until `seen`.
fn alt_tab(screen: &Screen, seen: impl FnOnce()) {
    [LEFT_ALT, TAB].into_iter().for_each(|key| screen.press(key));
    seen();
    [TAB, LEFT_ALT].into_iter().for_each(|key| screen.lift(key));
}

/// Alt+Tab is the host's.
fn alt_tab_goes(here: &Screen, there: &Screen) {
    alt_tab(there, || {
        until("it is down on the host", PATIENCE, || here.held() == [TAB + X, LEFT_ALT + X]);
    });
    no_key_held(here, PATIENCE);
}

/// A client that covers a screen with a window manager, and has that one's shortcuts. The fields end in this order.
struct Covered {
    client: Running,
    _agent: Agent,
    _openbox: Running,
    there: Screen,
    here: Screen,
    dir: Scratch,
}

fn covered(args: &[&str]) -> Covered {
    let dir = Scratch::new();
    let (here, there) = (Screen::start(800, 600), Screen::start(800, 600));
    here.paint_root(1);
    let mut openbox = Command::new("openbox");
    environment(&mut openbox, &dir.join("")).env("DISPLAY", &there.name);
    let openbox = Running::start("openbox", &mut openbox);
    until("openbox manages", PATIENCE, || there.is_managed());
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let args = [&["--fullscreen"], args].concat();
    let client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &args);
    exact(&here, &there, PATIENCE);
    until("the keyboard is taken", PATIENCE, || there.keyboard_is_grabbed());
    exact(&here, &there, PATIENCE);
    Covered { client, _agent: agent, _openbox: openbox, there, here, dir }
}

// spec: Y-34
#[test]
fn shortcuts_go_to_the_desktop_from_the_full_screen_and_back_by_request() {
    if !have("shortcuts", &["Xvfb", "openbox"]) {
        return;
    }
    let stage = covered(&[]);
    let (here, there) = (&stage.here, &stage.there);

    // The first one says how to get out, and is no shortcut here.
    alt_tab_goes(here, there);
    let told = || here.picture().changed(&there.picture()).is_some_and(|(n, _)| n > 2_000);
    until("the way out is told", PATIENCE, told);
    keep(there, "way-out");
    exact(here, there, PATIENCE);
    alt_tab_goes(here, there);
    assert!(!told(), "once");

    there.chord('g');
    until("the keyboard is given back", PATIENCE, || !there.keyboard_is_grabbed());
    no_key_held(here, PATIENCE);
    alt_tab(there, || {
        let start = now();
        while start.elapsed() < Duration::from_millis(400) {
            assert!(!here.held().contains(&(TAB + X)), "it is openbox's now");
            pause(Duration::from_millis(5));
        }
    });
    no_key_held(here, PATIENCE);
    until("the window has the keyboard again", PATIENCE, || there.has_focus() && !there.keyboard_is_grabbed());
    hears(there, here);
    there.chord('g');
    until("the keyboard is taken", PATIENCE, || there.keyboard_is_grabbed());
    alt_tab_goes(here, there);
}

// spec: Y-34
#[test]
fn the_keyboard_is_given_back_when_another_window_gets_it() {
    if !have("a lost keyboard", &["Xvfb", "openbox", "xterm"]) {
        return;
    }
    let mut stage = covered(&[]);
    let (here, there) = (&stage.here, &stage.there);
    let file = stage.dir.join("typed");
    let command = format!("exec cat > {}", file.display());
    let args = ["xterm", "-T", "another", "-e", "sh", "-c", &command];
    let _other = there.run("xterm", &stage.dir.join(""), &args);
    until("it is managed", PATIENCE, || there.managed().iter().any(|(_, title)| title == "another"));
    let client = |title: &str| title.ends_with("Telepane");
    for _ in 0..3 {
        there.activate(client);
        until("the keyboard is taken", PATIENCE, || there.keyboard_is_grabbed());
        there.press(LEFT_SHIFT);
        until("it is down on the host", PATIENCE, || here.held() == [LEFT_SHIFT + X]);
        // A click on a list of windows, or a program that comes to the front.
        there.activate(|title| title == "another");
        let took = until("the keyboard is given back", PATIENCE, || !there.keyboard_is_grabbed());
        println!("a lost keyboard: given back after {took:?}");
        no_key_held(here, PATIENCE);
        there.lift(LEFT_SHIFT);
        let typed = || std::fs::read_to_string(&file).unwrap_or_default().len();
        let before = typed();
        until("what is typed goes to the other window", PATIENCE, || {
            there.type_text("a\n");
            typed() > before
        });
        assert_eq!(here.held(), NO_KEY);
    }
    there.activate(client);
    until("the keyboard is taken", PATIENCE, || there.keyboard_is_grabbed());
    alt_tab_goes(here, there);
    assert_eq!(stage.client.ended(), None, "{}", stage.client.err());
}

// spec: Y-34
#[test]
fn the_keyboard_is_free_when_nobody_has_used_it_for_a_while() {
    if !have("a resting keyboard", &["Xvfb", "openbox"]) {
        return;
    }
    const REST: Duration = Duration::from_secs(2);
    let mut stage = covered(&["--free-keys-after", "2"]);
    let (here, there) = (&stage.here, &stage.there);
    // Whoever begins after a rest has it a moment later.
    until("the keyboard is taken", PATIENCE, || {
        there.press(LEFT_SHIFT);
        there.lift(LEFT_SHIFT);
        pause(REST / 20);
        there.keyboard_is_grabbed()
    });
    // As long as somebody types it is not.
    let start = now();
    let mut tapped = start;
    while start.elapsed() < REST * 2 {
        let before = std::mem::replace(&mut tapped, now());
        there.press(LEFT_SHIFT);
        there.lift(LEFT_SHIFT);
        let taken = there.keyboard_is_grabbed();
        assert!(taken || before.elapsed() > REST / 2, "somebody types, and it is free");
        pause(REST / 10);
    }
    until("the keyboard is free", PATIENCE, || !there.keyboard_is_grabbed());
    let rested = tapped.elapsed();
    println!("a resting keyboard: free {rested:?} after the last key");
    assert!(rested >= REST, "that is too early: {rested:?}");
    // To be asked took the keyboard from the window for a moment, and its return counts as somebody's: that ends too.
    pause(REST * 2);
    no_key_held(here, PATIENCE);
    there.press(LEFT_SHIFT);
    until("it is down on the host", PATIENCE, || here.held() == [LEFT_SHIFT + X]);
    until("the keyboard is taken again", PATIENCE, || there.keyboard_is_grabbed());
    there.lift(LEFT_SHIFT);
    no_key_held(here, PATIENCE);
    alt_tab_goes(here, there);
    assert_eq!(stage.client.ended(), None, "{}", stage.client.err());
}

#[test]
fn lock_keys_are_one_state_for_both_ends() {
    if !have("lock keys", &["Xvfb"]) || !has_module("a GTK editor", "gi; gi.require_version(\"Gtk\", \"3.0\")") {
        return;
    }
    let stage = Stage::start();
    let (here, there) = (&stage.here, &stage.there);
    let mut editor = Editor::start(here, &stage.dir.join(""), "gtk editor", GTK);
    here.give_focus(editor.title);
    until("the client has the keyboard", PATIENCE, || there.has_focus());
    let client = there.titles().into_iter().next().expect("the client's window");
    let tap = |screen: &Screen, key: u8| {
        screen.press(key);
        screen.lift(key);
    };
    for (name, at, key) in [("the host's", here, CAPS), ("this machine's", there, CAPS), ("this machine's", there, NUM)]
    {
        // Somebody presses it while the window is not looking.
        there.focus_nobody();
        no_key_held(here, PATIENCE);
        tap(at, key);
        give_keyboard(there, here, &client);
        there.type_text("a");
        tap(there, PAD_1);
        there.type_text("\n");
        let line = editor.line("a letter and the keypad's 1");
        println!("lock keys: {name} key {key}: {line:?}");
        // What counts is what is lit where the person sits.
        let (caps, num) = (at.name == there.name, key == NUM);
        assert_eq!(line, format!("{}{}", if caps { "A" } else { "a" }, if num { "1" } else { "" }));
    }
    no_key_held(here, PATIENCE);
}
