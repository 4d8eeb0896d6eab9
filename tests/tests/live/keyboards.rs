//! Layouts that differ between client and host: what a person types is what is on their own keyboard, in a GTK and a Qt
//! editor, on every key and level.
//!
//! What is right is not computed: an editor of each toolkit on a screen of its own with the client's layout says it, typed
//! at without Telepane. `TELEPANE_ALL_LAYOUTS=1` takes every pair of layouts instead of a few with each.

use super::endurance::times;
use super::process::{PATIENCE, Running, have, now, pause, until};
use super::screen::{LEFT_ALT, LEFT_CTRL, LEFT_SHIFT, RIGHT_SHIFT, Screen, environment, no_key_held};
use super::sharing::{METRICS, counter, metrics_of};
use super::stage::Stage;
use super::toolkits::{PYTHON, has_module};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Says each line that is ended, as JSON; and on its standard error how many characters it shows, as soon as they are painted.
pub const GTK: &str = r#"
import gi, json, sys
gi.require_version("Gtk", "3.0")
from gi.repository import Gtk
w = Gtk.Window(title="gtk editor")
t = Gtk.TextView()
w.add(t)
w.set_default_size(380, 280)
b = t.get_buffer()
said = 0
def changed(*_):
    global said
    lines = b.get_text(b.get_start_iter(), b.get_end_iter(), True).split("\n")
    for line in lines[said:-1]:
        print(json.dumps(line), flush=True)
    said = len(lines) - 1
b.connect("changed", changed)
w.show_all()
w.move(5, 5)
shown = -1
def painted(*_):
    global shown
    if shown != b.get_char_count():
        shown = b.get_char_count()
        print("painted", shown, file=sys.stderr, flush=True)
w.get_frame_clock().connect("after-paint", painted)
Gtk.main()
"#;

/// The same.
const QT: &str = r#"
import json
from PyQt6.QtWidgets import QApplication, QPlainTextEdit
a = QApplication(["qt"])
t = QPlainTextEdit()
t.setWindowTitle("qt editor")
t.setGeometry(400, 5, 380, 280)
said = 0
def changed():
    global said
    lines = t.toPlainText().split("\n")
    for line in lines[said:-1]:
        print(json.dumps(line), flush=True)
    said = len(lines) - 1
t.textChanged.connect(changed)
t.show()
a.exec()
"#;

/// Layout and variant: Latin with and without dead keys, AltGr on most, Greek, Cyrillic, Turkish's dotless i, a Japanese
/// keyboard with keys of its own.
const LAYOUTS: [(&str, &str); 9] =
    [("us", ""), ("us", "intl"), ("de", ""), ("fr", ""), ("gr", ""), ("ru", ""), ("es", ""), ("tr", ""), ("jp", "")];

/// The keys that type: four rows, the key beside the left Shift, the space bar, and two of Japanese keyboards.
const KEYS: [std::ops::RangeInclusive<u8>; 7] = [2..=13, 16..=27, 30..=41, 43..=53, 86..=86, 57..=57, 89..=89];
/// A key of Japanese keyboards that X counts apart.
const YEN: u8 = 124;
/// `KEY_RIGHTALT`.
const ALT_GR: u8 = 100;
const ENTER: u8 = 28;
const SPACE: u8 = 57;
const CAPS: u8 = 58;
/// `XK_ISO_Level3_Shift`, and the dead keys of `X11/keysymdef.h`.
const LEVEL_3: u32 = 0xfe03;
const DEAD: std::ops::RangeInclusive<u32> = 0xfe50..=0xfe93;

/// An editor on a screen.
pub struct Editor {
    /// Its window's.
    pub title: &'static str,
    run: Running,
    read: usize,
}

impl Editor {
    /// Starts `script` and waits for its window, which has this title.
    pub fn start(screen: &Screen, home: &Path, title: &'static str, script: &str) -> Self {
        let mut command = Command::new(PYTHON);
        environment(&mut command, home).env("DISPLAY", &screen.name).env("GTK_IM_MODULE", "gtk-im-context-simple");
        let run = Running::start(title, command.env("GSETTINGS_BACKEND", "memory").args(["-c", script]));
        until("the editor is there", PATIENCE, || screen.titles().iter().any(|t| t == title));
        Self { title, run, read: 0 }
    }

    fn both(screen: &Screen, home: &Path) -> [Self; 2] {
        [("gtk editor", GTK), ("qt editor", QT)].map(|(title, script)| Self::start(screen, home, title, script))
    }

    /// All that it has said so far.
    pub fn said(&self) -> Vec<String> {
        let out = self.run.out();
        let whole = out.rfind('\n').map_or("", |end| &out[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("a text")).collect()
    }

    /// Waits until the GTK editor has painted so many characters.
    pub fn painted(&self, characters: usize) {
        let words = format!("painted {characters}");
        until("the editor has painted them", PATIENCE, || self.run.err().lines().any(|line| line == words));
    }

    /// The next line that was ended in it.
    pub fn line(&mut self, what: &str) -> String {
        let deadline = now() + PATIENCE;
        loop {
            let out = self.run.out();
            let whole = out.rfind('\n').map_or("", |end| &out[..end]);
            if let Some(line) = whole.lines().nth(self.read) {
                self.read += 1;
                return serde_json::from_str(line).expect("a text");
            }
            assert!(now() < deadline, "the line did not come in {PATIENCE:?}: {what}");
            pause(Duration::from_millis(1));
        }
    }
}

fn keys() -> impl Iterator<Item = u8> {
    KEYS.into_iter().flatten().chain([YEN])
}

fn set_layout(screen: &Screen, home: &Path, (layout, variant): (&str, &str)) {
    let set = ["setxkbmap", "-layout", layout, "-variant", variant];
    assert_eq!(screen.run("setxkbmap", home, &set).exit_code(PATIENCE), 0);
}

/// The levels of a key that are struck for one line: all of them, or one where there is a dead key among them.
fn strokes(screen: &Screen, key: u8) -> Vec<Vec<usize>> {
    let syms = screen.keysyms(key);
    let levels = if screen.keysyms(ALT_GR).first() == Some(&LEVEL_3) { 4 } else { 2 };
    if syms.iter().any(|sym| DEAD.contains(sym)) {
        (0..levels).map(|level| vec![level]).collect()
    } else {
        vec![(0..levels).collect()]
    }
}

/// Types a key on these levels, and Enter. A dead key is followed by a space, which makes it visible.
fn strike(screen: &Screen, key: u8, levels: &[usize]) {
    let syms = screen.keysyms(key);
    for &level in levels {
        let (at, held): (usize, &[u8]) = match level {
            0 => (0, &[]),
            1 => (1, &[LEFT_SHIFT]),
            2 => (4, &[ALT_GR]),
            _ => (5, &[LEFT_SHIFT, ALT_GR]),
        };
        held.iter().for_each(|&k| screen.press(k));
        tap(screen, key);
        held.iter().rev().for_each(|&k| screen.lift(k));
        if syms.get(at).is_some_and(|sym| DEAD.contains(sym)) {
            tap(screen, SPACE);
        }
    }
    tap(screen, ENTER);
}

/// Every key on every level, and the letters of a row under Caps Lock; `each` is told the key, the levels, and whether
/// Caps Lock is on.
fn everything(screen: &Screen, mut each: impl FnMut(u8, &[usize], bool)) {
    for key in keys() {
        strokes(screen, key).iter().for_each(|levels| each(key, levels, false));
    }
    tap(screen, CAPS);
    for key in 16..=27 {
        each(key, &[0, 1], true);
    }
    tap(screen, CAPS);
}

fn tap(screen: &Screen, key: u8) {
    screen.press(key);
    screen.lift(key);
}

/// What was struck: the key, its levels, and whether Caps Lock was on.
type Struck = (u8, Vec<usize>, bool);

/// What comes of each in each editor, typed at its own screen.
fn natively(screen: &Screen, editors: &mut [Editor; 2]) -> BTreeMap<Struck, [String; 2]> {
    let mut all: BTreeMap<Struck, [String; 2]> = BTreeMap::new();
    for (n, editor) in editors.iter_mut().enumerate() {
        screen.give_focus(editor.title);
        everything(screen, |key, levels, caps| {
            strike(screen, key, levels);
            all.entry((key, levels.to_vec(), caps)).or_default()[n] = editor.line("natively");
        });
    }
    all
}

/// The pairs of layouts, by number: each twice as the client's and twice as the host's, or all, each with itself too.
fn pairs() -> Vec<(usize, usize)> {
    let n = LAYOUTS.len();
    let steps: Vec<usize> = if std::env::var_os("TELEPANE_ALL_LAYOUTS").is_some() {
        (0..n).collect()
    } else {
        // Of nine: Latin meets Greek, Cyrillic and Japanese this way, both as client and as host.
        vec![2, 5]
    };
    (0..n).flat_map(|client| steps.iter().map(move |step| (client, (client + step) % n))).collect()
}

// spec: H-61, Y-32
#[test]
fn what_is_typed_is_what_the_persons_own_keyboard_gives() {
    if !have("keyboard layouts", &["Xvfb", "setxkbmap", "xkbcomp"]) {
        return;
    }
    let toolkits = has_module("a GTK editor", "gi; gi.require_version(\"Gtk\", \"3.0\")");
    if !toolkits || !has_module("a Qt editor", "PyQt6.QtWidgets") {
        return;
    }
    let stage = Stage::start();
    let home = stage.dir.join("");
    let own = Screen::start(800, 600);
    let mut native_editors = Editor::both(&own, &home);
    let mut editors = Editor::both(&stage.here, &home);
    let start = now();
    let native: Vec<_> = LAYOUTS
        .into_iter()
        .map(|layout| {
            set_layout(&own, &home, layout);
            natively(&own, &mut native_editors)
        })
        .collect();
    println!("keyboards: {} layouts natively in {:?}", native.len(), start.elapsed());
    let (mut wrong, mut pressed, mut unsettled) = (Vec::new(), 0, 0);
    let pairs = pairs();
    let start = now();
    for (i, &(client, host)) in pairs.iter().enumerate() {
        if i > 0 && i % LAYOUTS.len() == 0 {
            // A text with a line for each stroke is drawn slower and slower, and after some 24 pairs GTK has a window of more than
            // 32,767 pixels, which no X server makes.
            drop(editors);
            until("the editors are gone", PATIENCE, || stage.here.titles().is_empty());
            editors = Editor::both(&stage.here, &home);
        }
        let (from, to) = (LAYOUTS[client], LAYOUTS[host]);
        println!("keyboards: {from:?} on {to:?} after {:?}", start.elapsed());
        set_layout(&stage.there, &home, LAYOUTS[client]);
        set_layout(&stage.here, &home, LAYOUTS[host]);
        for (n, editor) in editors.iter_mut().enumerate() {
            stage.here.give_focus(editor.title);
            everything(&stage.there, |key, levels, caps| {
                strike(&stage.there, key, levels);
                let line = editor.line(&format!("key {key}, {wrong:#?}"));
                pressed += levels.len();
                let of_each = &native[client][&(key, levels.to_vec(), caps)];
                // What no table of compositions has, the toolkits make up differently: there is nothing to agree with.
                if of_each[0] != of_each[1] {
                    unsettled += 1;
                } else if line != of_each[n] {
                    let what = format!("{}, key {key} on {levels:?}, Caps Lock {caps}", editor.title);
                    wrong.push(format!("{from:?} on {to:?}, {what}: {line:?}, not {:?}", of_each[n]));
                }
            });
        }
    }
    println!(
        "keyboards: {} pairs, {pressed} strokes in {:?}; {unsettled} on which the toolkits themselves differ",
        pairs.len(),
        start.elapsed()
    );
    assert!(pressed > 50 * unsettled, "almost everything is settled");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    no_key_held(&stage.here, PATIENCE);
}

/// Gives the keyboard to the client's window, and waits until it has heard of it.
pub fn give_keyboard(there: &Screen, here: &Screen, client: &str) {
    there.give_focus(client);
    hears(there, here);
}

/// Waits until the client's window has heard that it has the keyboard: a letter or an Alt that is down just then was pressed for another
/// one, a Shift was not. It is the one that nobody else presses: what is still on its way from before is not taken for it.
pub fn hears(there: &Screen, here: &Screen) {
    there.press(RIGHT_SHIFT);
    until("the client hears that it has the keyboard", PATIENCE, || here.held() == [RIGHT_SHIFT + 8]);
    there.lift(RIGHT_SHIFT);
    no_key_held(here, PATIENCE);
}

// spec: H-23
#[test]
fn losses_of_the_keyboard_leave_no_key_down() {
    if !have("lost focus", &["Xvfb"]) || !has_module("a GTK editor", "gi; gi.require_version(\"Gtk\", \"3.0\")") {
        return;
    }
    let stage = Stage::with(&METRICS, &[], None);
    let metrics = metrics_of(&stage.agent);
    let mut editor = Editor::start(&stage.here, &stage.dir.join(""), "gtk editor", GTK);
    stage.here.give_focus(editor.title);
    until("the client has the keyboard", PATIENCE, || stage.there.has_focus());
    let client = stage.there.titles().into_iter().next().expect("the client's window");
    let start = now();
    let mut slowest = Duration::ZERO;
    let rounds = times(100, 10_000);
    for n in 0..rounds {
        give_keyboard(&stage.there, &stage.here, &client);
        let modifiers = [LEFT_SHIFT, LEFT_CTRL, LEFT_ALT, ALT_GR];
        let mut held: Vec<u8> = (0..4).filter(|bit| n >> bit & 1 == 1).map(|bit| modifiers[bit]).collect();
        if n & 0b0110 == 0 {
            held.push(30 + (n % 9) as u8);
        }
        let expired = || counter(&metrics, "telepane_leases_expired_total");
        let before = expired();
        held.iter().for_each(|&key| stage.there.press(key));
        // Every third time while they are still on their way. A letter whose lease ran out on a machine that stood still is up again, and
        // stays so (H-21).
        if n % 3 > 0 {
            let what = format!("a key is down on the host in round {n}, of {held:?}");
            until(&what, PATIENCE, || !stage.here.held().is_empty() || expired() > before);
        }
        stage.there.focus_nobody();
        slowest = slowest.max(no_key_held(&stage.here, PATIENCE));
        held.iter().for_each(|&key| stage.there.lift(key));
    }
    println!("keyboards: {rounds} losses in {:?}; let go within {slowest:?}", start.elapsed());
    give_keyboard(&stage.there, &stage.here, &client);
    stage.there.type_text("\nand after\n");
    until("what is typed then is plain", PATIENCE, || editor.line("after the losses") == "and after");
    no_key_held(&stage.here, PATIENCE);
}
