//! Keys, text, pointer and wheel on a real X server, seen by a real window and by xterm; the guard after SIGKILL.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "real servers and applications are waited for in real time")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use support::{Facts, PATIENCE, Recorder, Running, Saw, Server, scratch, until};
use telepane_input::{Injector, open_x11};
use telepane_model::geometry::Point;
use telepane_model::input::{Button, InputEvent, KeyCode, KeyMove, Meaning};
use x11rb::protocol::xproto::ConnectionExt as _;

/// input-event-codes.h
const A: u16 = 30;
const S: u16 = 31;
const LEFT_SHIFT: u16 = 42;
const LEFT_CTRL: u16 = 29;
const CAPS: u16 = 58;
const RIGHT_ALT: u16 = 100;
/// X modifier bits.
const SHIFT: u16 = 1;
const LOCK: u16 = 2;
const MOD2: u16 = 16;

fn key(code: u16, action: KeyMove) -> InputEvent {
    InputEvent::Key { code: KeyCode(code), action }
}

fn hands(server: &Server) -> Box<dyn Injector> {
    open_x11(Some(&server.display), None).unwrap()
}

fn all(hands: &mut Box<dyn Injector>, events: &[InputEvent]) {
    for event in events {
        hands.inject(event).unwrap();
    }
    // Empty text asks the server for its state: all before it is done when this returns.
    hands.inject(&InputEvent::Text(String::new())).unwrap();
}

#[test]
fn keys_are_leases_and_repeat_only_when_told() {
    let Some(server) = Server::start() else { return };
    let recorder = Recorder::open(&server);
    let before = Facts::of(&recorder.conn, recorder.root);
    let mut hands = hands(&server);
    let a = (A + 8) as u8;

    // Longer than Xvfb's delay of 660 ms: the server must not repeat.
    all(&mut hands, &[key(A, KeyMove::Down)]);
    assert_eq!(recorder.watch(Duration::from_millis(1100)), [Saw::Down(a, 0)]);
    // Again while held: nothing. A repeat: one more press, with its release before it.
    all(&mut hands, &[key(A, KeyMove::Down), key(A, KeyMove::Repeat)]);
    assert_eq!(recorder.saw(), [Saw::Up(a, 0), Saw::Down(a, 0)]);
    assert_eq!(hands.held().0, [KeyCode(A)]);
    all(&mut hands, &[key(A, KeyMove::Up), key(A, KeyMove::Up), key(A, KeyMove::Repeat)]);
    assert_eq!(recorder.saw(), [Saw::Up(a, 0)]);

    // A repeated Shift or Caps Lock must not come up or toggle.
    all(&mut hands, &[key(LEFT_SHIFT, KeyMove::Down), key(LEFT_SHIFT, KeyMove::Repeat), key(A, KeyMove::Down)]);
    assert_eq!(recorder.saw(), [Saw::Down((LEFT_SHIFT + 8) as u8, 0), Saw::Down(a, SHIFT)]);
    all(&mut hands, &[InputEvent::Blur]);
    assert_eq!(recorder.saw(), [Saw::Up(a, SHIFT), Saw::Up((LEFT_SHIFT + 8) as u8, SHIFT)]);
    assert_eq!(hands.held(), (vec![], vec![]));

    // Codes that X cannot express are ignored, not mapped onto something else.
    all(
        &mut hands,
        &[key(0, KeyMove::Down), key(248, KeyMove::Down), key(767, KeyMove::Down), key(u16::MAX, KeyMove::Down)],
    );
    assert_eq!(recorder.saw(), []);
    assert_eq!(hands.held().0, []);
    drop(hands);
    recorder.saw();
    assert_eq!(Facts::of(&recorder.conn, recorder.root), before);
}

#[test]
fn the_server_would_repeat_if_it_were_not_stopped() {
    // Holds the first test to its word: without our switching it off, the same hold gives more presses.
    let Some(server) = Server::start() else { return };
    let recorder = Recorder::open(&server);
    use x11rb::protocol::xtest::ConnectionExt as _;
    recorder.conn.xtest_fake_input(2, (A + 8) as u8, 0, 0, 0, 0, 0).unwrap();
    recorder.saw();
    let mut presses = 0;
    until("the server repeats", || {
        presses += recorder.saw().len();
        (presses > 2).then_some(())
    });
}

#[test]
fn pointer_buttons_and_wheel() {
    let Some(server) = Server::start() else { return };
    let recorder = Recorder::open(&server);
    let mut hands = hands(&server);
    let place = || {
        let at = recorder.conn.query_pointer(recorder.root).unwrap().reply().unwrap();
        (at.root_x, at.root_y)
    };
    all(&mut hands, &[InputEvent::PointerTo(Point::new(123, 456))]);
    recorder.saw();
    assert_eq!(place(), (123, 456));
    all(&mut hands, &[InputEvent::PointerBy { dx: 100, dy: -56 }]);
    recorder.saw();
    assert_eq!(place(), (223, 400), "relative motion is not accelerated");
    all(&mut hands, &[InputEvent::PointerTo(Point::new(-70_000, 70_000))]);
    recorder.saw();
    let height = recorder.conn.get_geometry(recorder.root).unwrap().reply().unwrap().height as i16;
    assert_eq!(place(), (0, height - 1));

    all(&mut hands, &[InputEvent::PointerTo(Point::new(10, 10))]);
    let buttons = [Button::Left, Button::Middle, Button::Right, Button::Back, Button::Forward];
    for (button, number) in buttons.into_iter().zip([1, 2, 3, 8, 9]) {
        let press = |down| InputEvent::Button { button, down };
        all(&mut hands, &[press(false), press(true), press(true)]);
        assert_eq!(hands.held().1, [button]);
        all(&mut hands, &[press(false)]);
        assert_eq!(recorder.saw(), [Saw::Press(number), Saw::Lift(number)], "{button:?}");
    }

    let turn = |x, y| InputEvent::Wheel { x, y };
    all(&mut hands, &[turn(0, 60), turn(0, 59)]);
    assert_eq!(recorder.saw(), []);
    all(&mut hands, &[turn(0, 1), turn(-240, 0), turn(120, -120)]);
    let clicks: Vec<u8> =
        recorder.saw().iter().filter_map(|saw| if let Saw::Press(n) = saw { Some(*n) } else { None }).collect();
    assert_eq!(clicks, [5, 6, 6, 4, 7]);

    // A left-handed host: the client already means what it says.
    recorder.conn.set_pointer_mapping(&[3, 2, 1, 4, 5, 6, 7, 8, 9, 10]).unwrap().reply().unwrap();
    all(&mut hands, &[InputEvent::Button { button: Button::Left, down: true }, InputEvent::Blur]);
    assert_eq!(recorder.saw(), [Saw::Press(1), Saw::Lift(1)]);
}

/// A wheel that tells of parts of a notch, as a touchpad does: whatever its steps, a program has each notch as soon as it is whole,
/// and no notch more; turned back, the part is forgotten.
#[test]
fn a_wheel_of_fine_steps_gives_the_notches_that_are_whole() {
    const NOTCH: i32 = 120;
    let Some(server) = Server::start() else { return };
    let recorder = Recorder::open(&server);
    let mut hands = hands(&server);
    all(&mut hands, &[InputEvent::PointerTo(Point::new(10, 10))]);
    recorder.saw();
    let mut clicks = |x: i32, y: i32| -> Vec<u8> {
        all(&mut hands, &[InputEvent::Wheel { x, y }]);
        let saw = recorder.saw();
        // A notch is a button that is pressed and let go at once.
        assert!(saw.chunks(2).all(|pair| matches!(pair, [Saw::Press(a), Saw::Lift(b)] if a == b)), "{saw:?}");
        saw.iter().filter_map(|saw| if let Saw::Press(n) = saw { Some(*n) } else { None }).collect()
    };
    for step in [1, 7, 15, 40, 119, 120, 121, 250] {
        // Down and up, right and left, each button with its way.
        for (sign, across, button) in [(1, false, 5), (-1, false, 4), (1, true, 7), (-1, true, 6)] {
            let (mut turned, mut given) = (0, 0);
            while turned < 5 * NOTCH {
                let by = sign * step;
                let now = if across { clicks(by, 0) } else { clicks(0, by) };
                assert!(now.iter().all(|n| *n == button), "{now:?}");
                (turned, given) = (turned + step, given + now.len() as i32);
                // The part that the other way left is forgotten with the first step of this one.
                assert_eq!(given, turned / NOTCH, "after {turned} of {NOTCH} in steps of {by}");
            }
        }
    }
}

#[test]
fn focus_makes_locks_agree_and_releases_nothing() {
    let Some(server) = Server::start() else { return };
    let recorder = Recorder::open(&server);
    let mut hands = hands(&server);
    let state = |hands: &mut Box<dyn Injector>| {
        all(hands, &[key(A, KeyMove::Down), key(A, KeyMove::Up)]);
        match recorder.saw().first() {
            Some(Saw::Down(_, state)) => *state,
            other => panic!("{other:?}"),
        }
    };
    all(&mut hands, &[key(LEFT_CTRL, KeyMove::Down), InputEvent::Focus { caps: true, num: true }]);
    recorder.saw();
    assert_eq!(hands.held().0, [KeyCode(LEFT_CTRL)]);
    all(&mut hands, &[InputEvent::Blur]);
    recorder.saw();
    assert_eq!(hands.held().0, []);
    assert_eq!(state(&mut hands), LOCK | MOD2);
    all(&mut hands, &[InputEvent::Focus { caps: false, num: true }]);
    assert_eq!(state(&mut hands), MOD2);
    // Toggled by the key itself, behind our back.
    all(&mut hands, &[key(CAPS, KeyMove::Down), key(CAPS, KeyMove::Up)]);
    recorder.saw();
    assert_eq!(state(&mut hands), LOCK | MOD2);
    all(&mut hands, &[InputEvent::Focus { caps: true, num: false }]);
    assert_eq!(state(&mut hands), LOCK);
    all(&mut hands, &[InputEvent::Focus { caps: false, num: false }]);
    assert_eq!(state(&mut hands), 0);
}

/// An xterm whose program writes what is typed into a file.
struct Typist {
    _xterm: Running,
    file: std::path::PathBuf,
}

impl Typist {
    fn start(server: &Server, hands: &mut Box<dyn Injector>, name: &str) -> Self {
        let file = scratch(name);
        let script = format!("stty raw -echo; exec cat > '{}'", file.display());
        let mut command = server.command("xterm");
        command.args(["-u8", "-geometry", "100x40+0+0", "-e", "sh", "-c", &script]).stderr(Stdio::null());
        let xterm = Running(command.spawn().expect("xterm is needed for this test"));
        let (conn, root) = server.connect();
        hands.inject(&InputEvent::PointerTo(Point::new(200, 200))).unwrap();
        // The focus follows the pointer while nobody has set it.
        until("xterm", || (conn.query_pointer(root).unwrap().reply().unwrap().child != 0).then_some(()));
        until("the file", || file.exists().then_some(()));
        Self { _xterm: xterm, file }
    }

    fn typed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.file).unwrap()).into_owned()
    }

    fn expect(&self, wanted: &str) {
        let mut last = String::new();
        let end = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < end {
            last = self.typed();
            if last.len() >= wanted.len() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(last, wanted);
    }
}

#[test]
fn text_arrives_in_xterm_whatever_is_locked_or_held() {
    let Some(server) = Server::start() else { return };
    let (conn, root) = server.connect();
    let before = Facts::of(&conn, root);
    let mut hands = hands(&server);
    let typist = Typist::start(&server, &mut hands, "text");
    let text = |s: &str| InputEvent::Text(s.into());
    let mut wanted = String::new();

    let ascii: String = (' '..='~').collect();
    all(&mut hands, &[text(&ascii), text("ä€λ😀"), text("Ä€\u{3bb}ÄäÖ 日本語を打つ")]);
    wanted += &format!("{ascii}ä€λ😀Ä€λÄäÖ 日本語を打つ");
    typist.expect(&wanted);

    // Caps Lock on and Shift held: text stays what it is, and both are as before afterwards.
    all(&mut hands, &[InputEvent::Focus { caps: true, num: true }, key(LEFT_SHIFT, KeyMove::Down), text("aBä1!ß")]);
    wanted += "aBä1!ß";
    typist.expect(&wanted);
    all(&mut hands, &[key(A, KeyMove::Down), key(A, KeyMove::Up), key(LEFT_SHIFT, KeyMove::Up)]);
    all(&mut hands, &[key(A, KeyMove::Down), key(A, KeyMove::Up)]);
    wanted += "aA";
    typist.expect(&wanted);

    // Ctrl and the very key that is to be typed held.
    all(&mut hands, &[InputEvent::Focus { caps: false, num: false }, key(LEFT_CTRL, KeyMove::Down), text("xé")]);
    all(&mut hands, &[key(LEFT_CTRL, KeyMove::Up), key(A, KeyMove::Down), text("ana"), key(A, KeyMove::Repeat)]);
    all(&mut hands, &[key(A, KeyMove::Up), text("\r\t.")]);
    wanted += "xéaanaa\r\t.";
    typist.expect(&wanted);

    // More different characters than there are keys to borrow.
    let many: String = ('\u{4e00}'..).take(85).collect();
    all(&mut hands, &[text(&many)]);
    wanted += &many;
    typist.expect(&wanted);

    hands.rest().unwrap();
    assert_eq!(Facts::of(&conn, root).keymap, before.keymap, "rest gives the keys back");
    all(&mut hands, &[text("λ")]);
    wanted += "λ";
    typist.expect(&wanted);
    drop(hands);
    let after = Facts::of(&conn, root);
    assert_eq!(after, before);
}

#[test]
fn the_hosts_layout_decides_and_its_levels_are_used() {
    let Some(server) = Server::start() else { return };
    let (conn, root) = server.connect();
    let mut hands = hands(&server);
    let layout = server.command("setxkbmap").arg("de").status().expect("setxkbmap is needed for this test");
    assert!(layout.success());
    let before = Facts::of(&conn, root);
    let typist = Typist::start(&server, &mut hands, "layout");
    // KEY_Y is z, KEY_MINUS is sharp s, AltGr with KEY_E the euro.
    for code in [21, 12] {
        all(&mut hands, &[key(code, KeyMove::Down), key(code, KeyMove::Up)]);
    }
    all(&mut hands, &[key(RIGHT_ALT, KeyMove::Down), key(18, KeyMove::Down), key(18, KeyMove::Up)]);
    // Held AltGr does not distort; all of these are on the layout, so no key is borrowed.
    all(&mut hands, &[InputEvent::Text("zyäÖß€@{\\}µ".into())]);
    typist.expect("zß€zyäÖß€@{\\}µ");
    assert_eq!(Facts::of(&conn, root).keymap, before.keymap);
    all(&mut hands, &[key(18, KeyMove::Down), key(18, KeyMove::Up), key(RIGHT_ALT, KeyMove::Up)]);
    typist.expect("zß€zyäÖß€@{\\}µ€");
}

fn means(code: u16, sym: u32) -> InputEvent {
    InputEvent::Press { code: KeyCode(code), means: Meaning(sym) }
}

fn layout(server: &Server, args: &[&str]) {
    assert!(server.command("setxkbmap").args(args).status().expect("setxkbmap is needed for this test").success());
}

// spec: H-61
#[test]
fn a_key_gives_its_viewers_character_and_stays_down_as_long_as_it_does() {
    let Some(server) = Server::start() else { return };
    let (conn, root) = server.connect();
    let before = Facts::of(&conn, root);
    let mut hands = hands(&server);
    layout(&server, &["de"]);
    let typist = Typist::start(&server, &mut hands, "meaning");
    let up = |code| key(code, KeyMove::Up);
    // At its place; at another place; on another level, with Shift held and without; not in the layout at all.
    all(&mut hands, &[means(A, 0x61), up(A), means(21, 0x79), key(21, KeyMove::Repeat), up(21)]);
    all(&mut hands, &[means(26, 0x5b), up(26), key(LEFT_SHIFT, KeyMove::Down), means(9, 0x2a), up(9)]);
    all(&mut hands, &[means(27, 0x7d), key(27, KeyMove::Repeat), up(27), means(A, 0x41), up(A)]);
    all(&mut hands, &[means(30, 0x0100_03b1), key(30, KeyMove::Repeat), up(30), key(LEFT_SHIFT, KeyMove::Up)]);
    typist.expect("ayy[*}}Aαα");
    // A second key that is the same one here: the first is held, and both are typed.
    all(&mut hands, &[means(8, 0x37), means(53, 0x2f), up(8), up(53)]);
    // Caps Lock is on here and not there, or the other way round.
    all(&mut hands, &[InputEvent::Focus { caps: true, num: false }, means(A, 0x61), up(A), means(A, 0x41), up(A)]);
    all(&mut hands, &[InputEvent::Focus { caps: false, num: false }, means(A, 0x41), up(A), means(A, 0x61), up(A)]);
    typist.expect("ayy[*}}Aαα7/aAAa");
    assert_eq!(hands.held(), (vec![], vec![]));
    drop(hands);
    layout(&server, &["us"]);
    assert_eq!(Facts::of(&conn, root).keys_down, before.keys_down);
}

// spec: H-61
#[test]
fn a_shortcut_is_the_key_that_has_its_character() {
    let Some(server) = Server::start() else { return };
    let recorder = Recorder::open(&server);
    let mut hands = hands(&server);
    let mut strike = |press: InputEvent| {
        let InputEvent::Press { code, .. } = press else { unreachable!() };
        all(&mut hands, &[key(LEFT_CTRL, KeyMove::Down), press, key(code.0, KeyMove::Up), InputEvent::Blur]);
        let saw = recorder.saw();
        let control = Saw::Down((LEFT_CTRL + 8) as u8, 0);
        let downs = saw.iter().filter(|s| **s != control);
        downs
            .filter_map(|s| if let Saw::Down(key, state) = s { Some((u16::from(*key) - 8, *state)) } else { None })
            .collect::<Vec<_>>()
    };
    const CONTROL: u16 = 4;
    // Of a French viewer: Ctrl+A lies where Q is here. Plus needs Shift here, and gets it.
    assert_eq!(strike(means(16, 0x61)), [(A, CONTROL)]);
    assert_eq!(strike(means(27, 0x2b)), [(13, CONTROL | SHIFT)]);
    // A letter of another script means the place, as it does for people at such a keyboard.
    assert_eq!(strike(means(46, 0x0100_0441)), [(46, CONTROL)]);
    // And the other way round: this host's keyboard has no Latin letters.
    layout(&server, &["gr"]);
    let borrowed = strike(means(46, 0x63));
    assert!(matches!(borrowed[..], [(k, CONTROL)] if k != 46), "{borrowed:?}");
}

// spec: H-62
#[test]
fn a_moved_function_is_found_and_one_that_is_nowhere_does_no_harm() {
    let Some(server) = Server::start() else { return };
    let recorder = Recorder::open(&server);
    let mut hands = hands(&server);
    let mut downs = |press: InputEvent| {
        all(&mut hands, &[press, InputEvent::Blur]);
        let saw = recorder.saw();
        saw.iter()
            .filter_map(|s| if let Saw::Down(key, _) = s { Some(u16::from(*key) - 8) } else { None })
            .collect::<Vec<_>>()
    };
    // Caps Lock as Ctrl, as Escape; the right Alt of a US keyboard and of others; a Japanese key.
    assert_eq!(downs(means(CAPS, 0xffe3)), [LEFT_CTRL]);
    assert_eq!(downs(means(CAPS, 0xff1b)), [1]);
    assert_eq!(downs(means(RIGHT_ALT, 0xffea)), [RIGHT_ALT]);
    assert_eq!(downs(means(RIGHT_ALT, 0xfe03)), [0; 0], "there is no third level here");
    assert_eq!(downs(means(41, 0xff2a)), [0; 0]);
    assert_eq!(downs(means(59, 0xff2a)), [59], "what gives no character may be the key of its place");
    layout(&server, &["us", "-variant", "intl"]);
    assert_eq!(downs(means(RIGHT_ALT, 0xfe03)), [RIGHT_ALT]);
    assert_eq!(downs(means(RIGHT_ALT, 0xffea)), [56], "the other Alt");
    assert_eq!(downs(means(41, 0xff2a)), [0; 0], "a dead key is no function");
}

#[test]
fn holding_a_key_types_one_character() {
    let Some(server) = Server::start() else { return };
    let mut hands = hands(&server);
    let typist = Typist::start(&server, &mut hands, "hold");
    all(&mut hands, &[key(A, KeyMove::Down)]);
    typist.expect("a");
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(typist.typed(), "a");
    all(&mut hands, &[key(A, KeyMove::Repeat), key(A, KeyMove::Repeat), key(A, KeyMove::Up)]);
    typist.expect("aaa");
}

#[test]
fn the_guard_puts_everything_back_after_sigkill() {
    let Some(server) = Server::start() else { return };
    let (conn, root) = server.connect();
    let before = Facts::of(&conn, root);
    assert!(before.idle());
    let test = std::env::current_exe().unwrap();
    let example = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/hold_key");
    assert!(example.exists(), "build it first: cargo build -p telepane-input --examples");
    let mut child =
        server.command(example.to_str().unwrap()).arg(&server.display).stdout(Stdio::piped()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let mut child = Running(child);
    let mut out = BufReader::new(out);
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("guarded"), "{line}");
    until("everything to be changed", || {
        let held = Facts::of(&conn, root);
        let changed = held.keys_down != before.keys_down && held.repeats != before.repeats;
        (changed && held.keymap != before.keymap && held.buttons_and_modifiers != 0).then_some(())
    });

    let guards = children(child.0.id());
    assert_eq!(guards.len(), 1, "one guard and nothing else");
    let guard = guards[0];
    assert_ne!(session(guard), session(child.0.id()), "it has a session of its own");
    let descriptors: Vec<String> = std::fs::read_dir(format!("/proc/{guard}/fd"))
        .unwrap()
        .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap().display().to_string())
        .collect();
    assert_eq!(descriptors.iter().filter(|to| *to != "/dev/null").count(), 1, "{descriptors:?}");

    child.0.kill().unwrap();
    child.0.wait().unwrap();
    let killed = std::time::Instant::now();
    until("everything to be put back", || (Facts::of(&conn, root) == before).then_some(()));
    println!("put back after {:?}", killed.elapsed());
    until("the guard's end", || gone(guard).then_some(()));
}

/// The processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok());
    all.filter(|&pid: &u32| stat(pid).is_some_and(|fields| fields[1] == parent.to_string())).collect()
}

fn session(pid: u32) -> String {
    stat(pid).unwrap()[3].clone()
}

/// No longer there, or only as a line in the table.
fn gone(pid: u32) -> bool {
    stat(pid).is_none_or(|fields| fields[0] == "Z")
}

/// proc(5)'s stat from the state on: state, parent, group, session.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

#[test]
fn borrowed_text_reaches_a_toolkit_editor() {
    // GTK reads a changed keymap later than xterm does, and has its own compose handling.
    let Some(server) = Server::start() else { return };
    let mut hands = hands(&server);
    let file = scratch("editor.txt");
    std::fs::write(&file, "").unwrap();
    let home = scratch("home");
    let mut command = server.command("mousepad");
    command.arg(&file).env("HOME", &home).env("GTK_IM_MODULE", "gtk-im-context-simple").stderr(Stdio::null());
    let editor = match command.spawn() {
        Ok(child) => Running(child),
        Err(e) => return println!("skipped: no mousepad here ({e})"),
    };
    let (conn, root) = server.connect();
    hands.inject(&InputEvent::PointerTo(Point::new(200, 200))).unwrap();
    until("the editor", || (conn.query_pointer(root).unwrap().reply().unwrap().child != 0).then_some(()));
    let control =
        |code| [key(LEFT_CTRL, KeyMove::Down), key(code, KeyMove::Down), key(code, KeyMove::Up), InputEvent::Blur];
    // Shown is not ready: GTK answers the pointer's entering some turns of its loop later. It is when it has taken a letter.
    until("the editor takes keys", || {
        let click = [true, false].map(|down| InputEvent::Button { button: Button::Left, down });
        all(&mut hands, &click);
        all(&mut hands, &[InputEvent::Text("x".into())]);
        all(&mut hands, &control(S));
        std::thread::sleep(Duration::from_millis(200));
        std::fs::read_to_string(&file).ok().filter(|text| !text.is_empty())
    });
    let wanted = "abc ä€λ😀 日本語 Äxyz";
    all(&mut hands, &control(A));
    all(&mut hands, &[InputEvent::Text(wanted.into())]);
    // Saved again and again, because nobody is told when the editor has got so far.
    let saved = until("the file", || {
        all(&mut hands, &control(S));
        std::thread::sleep(Duration::from_millis(200));
        let text = std::fs::read_to_string(&file).ok()?;
        (text.trim_end().chars().count() >= wanted.chars().count()).then_some(text)
    });
    drop(editor);
    assert_eq!(saved.trim_end(), wanted);
}
