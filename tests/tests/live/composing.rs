//! An input method at the client composes Japanese: what it composes is shown at the desktop's caret, what there is to
//! choose from beside it, and only what is finished goes to the host.

use super::keyboards::{Editor, GTK};
use super::process::{PATIENCE, Running, Scratch, have, pause, until};
use super::screen::{LEFT_SHIFT, Screen, environment, exact, keep, no_key_held};
use super::stage::{Agent, connect_with};
use super::toolkits::has_module;
use std::process::Command;
use std::time::Duration;

/// A keyboard with Anthy, which is on from the start; what is composed is told to the program, which draws it.
const PROFILE: &str = "[Groups/0]\nName=Default\nDefault Layout=us\nDefaultIM=anthy\n\n[Groups/0/Items/0]\nName=anthy\n\
    Layout=\n\n[GroupOrder]\n0=Default\n";
const CONFIG: &str = "[Behavior]\nActiveByDefault=True\nShowInputMethodInformation=False\n";
const ENTER: u8 = 28;
const LETTER_N: u8 = 49;

/// fcitx on this screen, with a message bus of its own.
fn input_method(dir: &Scratch, screen: &Screen) -> Running {
    let conf = dir.join(".config/fcitx5/conf");
    std::fs::create_dir_all(&conf).expect("the directory is ours");
    std::fs::write(dir.join(".config/fcitx5/profile"), PROFILE).expect("a file");
    std::fs::write(dir.join(".config/fcitx5/config"), CONFIG).expect("a file");
    std::fs::write(conf.join("xim.conf"), "UseOnTheSpot=True\n").expect("a file");
    let mut command = Command::new("dbus-run-session");
    environment(&mut command, &dir.join("")).env("DISPLAY", &screen.name);
    let run = Running::start("fcitx5", command.args(["--", "fcitx5", "--disable", "wayland,waylandim,notifications"]));
    // It owns the selection before it has loaded what composes, and answers nobody until then.
    let has_loaded = || run.err().contains("Loaded addon anthy");
    until("the input method is there", PATIENCE, || has_loaded() && screen.has_selection("@server=fcitx"));
    run
}

// spec: Y-32, Y-33
#[test]
fn japanese_is_composed_at_the_caret_and_arrives_when_it_is_finished() {
    if !have("Japanese", &["Xvfb", "fcitx5", "dbus-run-session"])
        || !has_module("a GTK editor", "gi; gi.require_version(\"Gtk\", \"3.0\")")
    {
        return;
    }
    let dir = Scratch::new();
    let (here, there) = (Screen::start(800, 600), Screen::start(800, 600));
    here.paint_root(3);
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let _method = input_method(&dir, &there);
    let variable = ("XMODIFIERS", "@im=fcitx");
    let _client = connect_with(&dir, &there, variable, &agent.addr.to_string(), &["--fullscreen"]);
    let mut editor = Editor::start(&here, &dir.join(""), "gtk editor", GTK);
    here.give_focus(editor.title);
    until("the client has the keyboard", PATIENCE, || there.has_focus());

    // Somebody types at the host itself: the caret is somewhere in its second line, and the client sees that alone.
    here.type_text("\n");
    editor.line("the first line");
    editor.painted(1);
    exact(&here, &there, PATIENCE);
    let before = here.picture();
    here.type_text("abc");
    editor.painted(4);
    exact(&here, &there, PATIENCE);
    let (_, [start, caret]) = here.picture().changed(&before).expect("it was written");
    println!("composing: the line was written between {start:?} and {caret:?}");
    // What was written may have come as one change with the caret behind it; then it is known by its blinking.
    let mut shown = there.picture();
    for state in ["is gone", "is back"] {
        until(&format!("the caret {state}"), PATIENCE, || {
            let before = std::mem::replace(&mut shown, there.picture());
            shown != before
        });
    }

    // As much of a composition as is seen, and where: the blinking caret of the host is less.
    let composed = || here.picture().changed(&there.picture()).filter(|(n, _)| *n > 150);
    let near = |at: usize, place: usize| at.abs_diff(place) <= 12;
    there.type_text("nihongo");
    let mut seen = None;
    until("what is composed is shown at the caret", PATIENCE, || {
        seen = composed();
        seen.is_some_and(|(_, [low, high])| near(low.0, caret.0) && low.1 < caret.1 && high.1 > start.1)
    });
    let (n, [low, high]) = seen.expect("it is shown");
    println!("composing: {n} pixels between {low:?} and {high:?}");
    assert!(high.1 - low.1 < 40, "one line");
    pause(Duration::from_millis(300));
    keep(&there, "composing");
    no_key_held(&here, PATIENCE);
    // Space converts, Enter finishes, and the next one is the editor's own.
    there.type_text(" ");
    pause(Duration::from_millis(300));
    keep(&there, "converted");
    there.type_text("\n");
    exact(&here, &there, PATIENCE);
    there.type_text("\n");
    assert_eq!(editor.line("the composed text"), "abc日本語");

    // What there is to choose from stands below what is composed, which goes away without a trace.
    there.type_text("ka");
    until("another is shown", PATIENCE, || composed().is_some());
    let list = || there.windows().into_iter().find(|w| w[2] < 800);
    until("there is something to choose from", PATIENCE, || {
        there.type_text(" ");
        pause(Duration::from_millis(200));
        list().is_some()
    });
    let mut seen = None;
    until("it is shown", PATIENCE, || {
        seen = composed();
        seen.is_some()
    });
    let (_, [low, _]) = seen.expect("it is shown");
    println!("composing: to choose from at {:?}, composed from {low:?}", list());
    keep(&there, "choosing");
    until("nothing is composed any more", PATIENCE, || {
        there.type_text("\u{1b}");
        pause(Duration::from_millis(100));
        list().is_none() && here.picture() == there.picture()
    });

    // What is down when a composition begins, and comes up unseen in the midst of it, is not down on the host.
    for held in [LEFT_SHIFT, ENTER] {
        there.press(held);
        until("the key is down on the host", PATIENCE, || here.held() == [held + 8]);
        there.press(LETTER_N);
        until("a composition begins", PATIENCE, || composed().is_some());
        there.lift(held);
        there.lift(LETTER_N);
        no_key_held(&here, PATIENCE);
        there.type_text("\u{1b}\u{1b}");
        exact(&here, &there, PATIENCE);
        no_key_held(&here, PATIENCE);
    }
    assert_eq!(editor.line("the plain key"), "");
    keep(&there, "finished");
}
