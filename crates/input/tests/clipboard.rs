//! The clipboard against xclip, xsel and owners that misbehave.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "real servers and applications are waited for in real time")]

mod support;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{PATIENCE, Server};
use telepane_input::clipboard::{ClipError, ClipEvent, Clipboard, FetchId, LIMIT};
use telepane_model::clipboard::{ClipFormat, ClipFormats, ClipOffer, Selection};
use telepane_model::time::{HostClock, Stamp};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::*;
use x11rb::wrapper::ConnectionExt as _;

fn open(server: &Server) -> Clipboard {
    Clipboard::open(Some(&server.display), None, Selection::Clipboard).unwrap()
}

fn changed(formats: ClipFormats) -> ClipEvent {
    ClipEvent::Changed(ClipOffer { formats, ..ClipOffer::default() })
}

fn fetched(id: u64, data: &[u8]) -> ClipEvent {
    ClipEvent::Fetched { id: FetchId(id), data: Ok(data.to_vec()) }
}

fn failed(id: u64, why: ClipError) -> ClipEvent {
    ClipEvent::Fetched { id: FetchId(id), data: Err(why) }
}

const TEXT: ClipFormat = ClipFormat::Text;

/// The next event, in real time.
fn next(clipboard: &mut Clipboard) -> ClipEvent {
    let start = Instant::now();
    loop {
        let now = Stamp::<HostClock>::from_micros(start.elapsed().as_micros() as u64);
        if let Some(event) = clipboard.poll(now).unwrap() {
            return event;
        }
        assert!(start.elapsed() < PATIENCE, "no event came");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn silent(clipboard: &mut Clipboard, time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert_eq!(clipboard.poll(Stamp::ZERO).unwrap(), None);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn copy(command: &mut Command, text: &[u8]) {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("xclip and xsel are needed here");
    child.stdin.take().unwrap().write_all(text).unwrap();
    assert!(child.wait().unwrap().success());
}

fn paste(command: &mut Command) -> (Child, std::thread::JoinHandle<Vec<u8>>) {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("xclip and xsel are needed here");
    let mut out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        out.read_to_end(&mut all).unwrap();
        all
    });
    (child, reader)
}

/// Pastes by a program and answers with `text`; gives what the program got.
fn answered(clipboard: &mut Clipboard, command: &mut Command, text: &str) -> Vec<u8> {
    let (mut child, reader) = paste(command);
    let ClipEvent::Wanted { id, .. } = next(clipboard) else { panic!("not wanted") };
    clipboard.provide(id, text.as_bytes()).unwrap();
    let start = Instant::now();
    while !reader.is_finished() {
        assert_eq!(clipboard.poll(Stamp::ZERO).unwrap(), None);
        assert!(start.elapsed() < PATIENCE, "the program does not end");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.wait().unwrap();
    reader.join().unwrap()
}

fn long(bytes: usize) -> String {
    let mut text: String =
        (0..).flat_map(|i: u32| format!("line {i} äλ😀\n").into_bytes()).take(bytes).map(char::from).collect();
    text.truncate(text.floor_char_boundary(bytes));
    text
}

fn xclip(server: &Server, args: &[&str]) -> Command {
    let mut command = server.command("xclip");
    command.args(["-selection", "clipboard"]).args(args);
    command
}

fn xsel(server: &Server, args: &[&str]) -> Command {
    let mut command = server.command("xsel");
    command.arg("-b").args(args);
    command
}

#[test]
fn what_the_host_copies_is_told_and_fetched() {
    let Some(server) = Server::start() else { return };
    let mut clipboard = open(&server);
    for (i, text) in ["plain", "ä€λ😀\nzwei", &long(3 << 20)].into_iter().enumerate() {
        copy(&mut xclip(&server, &["-i"]), text.as_bytes());
        assert_eq!(next(&mut clipboard), changed(ClipFormats::TEXT));
        let id = FetchId(i as u64);
        clipboard.fetch(id, TEXT).unwrap();
        assert!(next(&mut clipboard) == fetched(i as u64, text.as_bytes()), "xclip, text {i}");

        copy(&mut xsel(&server, &["-i"]), text.as_bytes());
        assert_eq!(next(&mut clipboard), changed(ClipFormats::TEXT));
        clipboard.fetch(id, TEXT).unwrap();
        assert!(next(&mut clipboard) == fetched(i as u64, text.as_bytes()), "xsel, text {i}");
    }
    // One that opens later learns of it too.
    assert_eq!(next(&mut open(&server)), changed(ClipFormats::TEXT));
    // No text, no offer.
    copy(&mut xclip(&server, &["-i", "-t", "application/x-colour"]), b"red");
    assert_eq!(next(&mut clipboard), changed(ClipFormats::NONE));
}

#[test]
fn what_the_viewer_offers_is_pasted_and_nothing_loops() {
    let Some(server) = Server::start() else { return };
    let mut clipboard = open(&server);
    clipboard.offer(ClipFormats::TEXT, false).unwrap();
    silent(&mut clipboard, Duration::from_millis(200));
    assert!(clipboard.is_ours());
    for text in ["plain", "", "ä€λ😀\nzwei", &long(3 << 20)] {
        let got = answered(&mut clipboard, &mut xclip(&server, &["-o", "-t", "UTF8_STRING"]), text);
        assert!(got == text.as_bytes(), "xclip got {} bytes of {}", got.len(), text.len());
        let got = answered(&mut clipboard, &mut xsel(&server, &["-o"]), text);
        assert!(got == text.as_bytes(), "xsel got {} bytes of {}", got.len(), text.len());
    }
    assert_eq!(answered(&mut clipboard, &mut xclip(&server, &["-o", "-t", "STRING"]), "aä€"), [b'a', 0xe4, b'?']);

    let (child, reader) = paste(&mut xclip(&server, &["-o", "-t", "TARGETS"]));
    while !reader.is_finished() {
        assert_eq!(clipboard.poll(Stamp::ZERO).unwrap(), None);
    }
    let targets = String::from_utf8(reader.join().unwrap()).unwrap();
    assert!(["TARGETS", "TIMESTAMP", "UTF8_STRING", "TEXT", "STRING"].iter().all(|t| targets.contains(t)), "{targets}");
    drop(child);

    // Refused, and too large: the program ends with an error and without text.
    for large in [false, true] {
        let (mut child, reader) = paste(&mut xclip(&server, &["-o", "-t", "UTF8_STRING"]));
        let mut asked = 0;
        while !reader.is_finished() {
            // xclip asks again for STRING when UTF8_STRING is refused.
            let Some(event) = clipboard.poll(Stamp::ZERO).unwrap() else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            let ClipEvent::Wanted { id, .. } = event else { panic!("{event:?}") };
            asked += 1;
            if large {
                clipboard.provide(id, "x".repeat(LIMIT + 1).as_bytes()).unwrap();
            } else {
                clipboard.refuse(id).unwrap();
            }
        }
        assert!(asked > 0);
        assert!(!child.wait().unwrap().success());
        assert_eq!(reader.join().unwrap(), b"");
    }

    // A fetch of our own text would go round in a circle.
    clipboard.fetch(FetchId(1), TEXT).unwrap();
    assert_eq!(next(&mut clipboard), failed(1, ClipError::Nothing));
    copy(&mut xclip(&server, &["-i"]), b"theirs");
    assert_eq!(next(&mut clipboard), changed(ClipFormats::TEXT));
    assert!(!clipboard.is_ours());
    clipboard.offer(ClipFormats::TEXT, false).unwrap();
    silent(&mut clipboard, Duration::from_millis(100));
    clipboard.withdraw().unwrap();
    silent(&mut clipboard, Duration::from_millis(100));
    assert!(!clipboard.is_ours());
}

#[test]
fn too_large_is_refused_and_the_next_still_comes() {
    let Some(server) = Server::start() else { return };
    let mut clipboard = open(&server);
    for program in [xclip, xsel] {
        copy(&mut program(&server, &["-i"]), "x".repeat(LIMIT + 1).as_bytes());
        assert_eq!(next(&mut clipboard), changed(ClipFormats::TEXT));
        clipboard.fetch(FetchId(1), TEXT).unwrap();
        assert_eq!(next(&mut clipboard), failed(1, ClipError::TooLarge));
        copy(&mut program(&server, &["-i"]), "y".repeat(LIMIT).as_bytes());
        assert_eq!(next(&mut clipboard), changed(ClipFormats::TEXT));
        clipboard.fetch(FetchId(2), TEXT).unwrap();
        let ClipEvent::Fetched { data: Ok(text), .. } = next(&mut clipboard) else { panic!("no text") };
        assert_eq!(text.len(), LIMIT);
    }
}

#[test]
fn an_owner_that_never_answers_costs_a_timeout_only() {
    let Some(server) = Server::start() else { return };
    let mut clipboard = open(&server);
    let (conn, root) = server.connect();
    let owner = conn.generate_id().unwrap();
    conn.create_window(0, owner, root, 0, 0, 1, 1, 0, WindowClass::INPUT_ONLY, 0, &Default::default()).unwrap();
    let atom = |name: &str| conn.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom;
    let (selection, targets, string) = (atom("CLIPBOARD"), atom("TARGETS"), Atom::from(AtomEnum::STRING));
    conn.set_selection_owner(owner, selection, x11rb::CURRENT_TIME).unwrap();
    conn.sync().unwrap();
    let answer = |what: &dyn Fn(&SelectionRequestEvent) -> bool| {
        let e = loop {
            if let Event::SelectionRequest(e) = conn.wait_for_event().unwrap() {
                break e;
            }
        };
        let property = if what(&e) { e.property } else { x11rb::NONE };
        let event = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: e.time,
            requestor: e.requestor,
            selection: e.selection,
            target: e.target,
            property,
        };
        conn.send_event(false, e.requestor, EventMask::NO_EVENT, event).unwrap();
        conn.sync().unwrap();
    };
    let poll =
        |clipboard: &mut Clipboard, seconds: u64| clipboard.poll(Stamp::from_micros(seconds * 1_000_000)).unwrap();
    // Busy with something else, it never hears the first question, and is asked again in good time.
    assert_eq!(poll(&mut clipboard, 0), None);
    while !matches!(conn.wait_for_event().unwrap(), Event::SelectionRequest(e) if e.target == targets) {}
    assert_eq!(poll(&mut clipboard, 2), None);
    answer(&|e| {
        assert_eq!(e.target, targets);
        conn.change_property32(PropMode::REPLACE, e.requestor, e.property, AtomEnum::ATOM, &[string]).unwrap();
        true
    });
    assert_eq!(next(&mut clipboard), changed(ClipFormats::TEXT));

    // Time only passes in what we say: the fetch ends when its deadline is said to be over, not before.
    clipboard.fetch(FetchId(7), TEXT).unwrap();
    assert_eq!(poll(&mut clipboard, 100), None);
    let deadline = clipboard.deadline().expect("something is waited for");
    assert!(deadline > Stamp::from_micros(100_000_000));
    assert_eq!(poll(&mut clipboard, 104), None);
    assert_eq!(clipboard.poll(deadline).unwrap(), Some(failed(7, ClipError::TimedOut)));
    assert_eq!(clipboard.deadline(), None);

    // The late answer is not taken for the next one's. This owner knows Latin-1 only.
    clipboard.fetch(FetchId(8), TEXT).unwrap();
    let give = |bytes: &'static [u8]| {
        let conn = &conn;
        move |e: &SelectionRequestEvent| {
            conn.change_property8(PropMode::REPLACE, e.requestor, e.property, string, bytes).unwrap();
            true
        }
    };
    answer(&give(b"late"));
    assert_eq!(poll(&mut clipboard, 200), None);
    answer(&|_| false);
    assert_eq!(poll(&mut clipboard, 200), None);
    answer(&give(b"gr\xfc\xdfe\0"));
    assert_eq!(next(&mut clipboard), fetched(8, "grüße".as_bytes()));

    // Pieces that stop coming.
    clipboard.fetch(FetchId(9), TEXT).unwrap();
    let incr = atom("INCR");
    answer(&|e| {
        conn.change_property32(PropMode::REPLACE, e.requestor, e.property, incr, &[4]).unwrap();
        true
    });
    assert_eq!(poll(&mut clipboard, 300), None);
    assert_eq!(poll(&mut clipboard, 400), Some(failed(9, ClipError::TimedOut)));
    // The owner ends.
    drop(conn);
    assert_eq!(next(&mut clipboard), changed(ClipFormats::NONE));
}

/// What is copied and pasted of each kind by its X11 name.
#[test]
fn every_kind_is_kept_as_it_was_both_ways() {
    let Some(server) = Server::start() else { return };
    let mut clipboard = open(&server);
    let picture: Vec<u8> = (0..3_000_000u32).map(|i| (i ^ i >> 8) as u8).collect();
    let kinds: [(ClipFormat, &str, &[u8]); 6] = [
        (ClipFormat::Html, "text/html", "<b>fett ä€</b>".as_bytes()),
        (ClipFormat::Rtf, "text/rtf", b"{\\rtf1 {\\b fett}}"),
        (ClipFormat::Rtf, "application/rtf", b"{\\rtf1 plain}"),
        (ClipFormat::Png, "image/png", &picture),
        (ClipFormat::Files, "text/uri-list", b"file:///tmp/a%20b\r\n"),
        (ClipFormat::Files, "x-special/gnome-copied-files", b"copy\nfile:///tmp/a%20b"),
    ];
    for (n, (format, name, data)) in kinds.into_iter().enumerate() {
        copy(&mut xclip(&server, &["-i", "-t", name]), data);
        assert_eq!(next(&mut clipboard), changed(ClipFormats::NONE.with(format)), "{name}");
        let id = n as u64;
        clipboard.fetch(FetchId(id), TEXT).unwrap();
        assert_eq!(next(&mut clipboard), failed(id, ClipError::Nothing), "{name} is no text");
        clipboard.fetch(FetchId(id), format).unwrap();
        // An owner of Files ends its list with a line's end.
        assert!(next(&mut clipboard) == fetched(id, data), "{name}");
    }
    clipboard.offer(ClipFormats::ALL, false).unwrap();
    silent(&mut clipboard, Duration::from_millis(100));
    for (format, name, data) in kinds.into_iter().filter(|(f, ..)| *f != ClipFormat::Files) {
        let (mut child, reader) = paste(&mut xclip(&server, &["-o", "-t", name]));
        let ClipEvent::Wanted { id, format: wanted } = next(&mut clipboard) else { panic!("not wanted") };
        assert_eq!(wanted, format);
        clipboard.provide(id, data).unwrap();
        while !reader.is_finished() {
            assert_eq!(clipboard.poll(Stamp::ZERO).unwrap(), None);
            std::thread::sleep(Duration::from_millis(1));
        }
        child.wait().unwrap();
        assert!(reader.join().unwrap() == data, "{name}");
    }
    // What is not offered is not asked for.
    clipboard.offer(ClipFormats::TEXT, false).unwrap();
    silent(&mut clipboard, Duration::from_millis(100));
    let (mut child, reader) = paste(&mut xclip(&server, &["-o", "-t", "image/png"]));
    while !reader.is_finished() {
        assert_eq!(clipboard.poll(Stamp::ZERO).unwrap(), None);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!child.wait().unwrap().success());
    assert_eq!(reader.join().unwrap(), b"");
}

/// An owner that marks what it has.
fn own(conn: &impl Connection, root: Window, targets: &[&str]) -> Window {
    let window = conn.generate_id().unwrap();
    conn.create_window(0, window, root, 0, 0, 1, 1, 0, WindowClass::INPUT_ONLY, 0, &Default::default()).unwrap();
    let atom = |name: &str| conn.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom;
    let targets: Vec<Atom> = targets.iter().map(|name| atom(name)).collect();
    conn.set_selection_owner(window, atom("CLIPBOARD"), x11rb::CURRENT_TIME).unwrap();
    conn.sync().unwrap();
    let e = loop {
        if let Event::SelectionRequest(e) = conn.wait_for_event().unwrap() {
            break e;
        }
    };
    conn.change_property32(PropMode::REPLACE, e.requestor, e.property, AtomEnum::ATOM, &targets).unwrap();
    let event = SelectionNotifyEvent {
        response_type: SELECTION_NOTIFY_EVENT,
        sequence: 0,
        time: e.time,
        requestor: e.requestor,
        selection: e.selection,
        target: e.target,
        property: e.property,
    };
    conn.send_event(false, e.requestor, EventMask::NO_EVENT, event).unwrap();
    conn.sync().unwrap();
    window
}

#[test]
fn a_secret_is_told_as_one_and_given_only_to_a_hand() {
    let Some(server) = Server::start() else { return };
    let mut clipboard = open(&server);
    let (conn, root) = server.connect();
    for mark in telepane_model::clipboard::SECRET_MARKS {
        let _ = clipboard.poll(Stamp::ZERO).unwrap();
        let thread = std::thread::scope(|scope| {
            let owner = scope.spawn(|| own(&conn, root, &["UTF8_STRING", mark]));
            let secret = ClipOffer { formats: ClipFormats::TEXT, secret: true, ..ClipOffer::default() };
            assert_eq!(next(&mut clipboard), ClipEvent::Changed(secret), "{mark}");
            owner.join().unwrap()
        });
        conn.destroy_window(thread).unwrap();
        conn.sync().unwrap();
        assert_eq!(next(&mut clipboard), changed(ClipFormats::NONE));
    }

    clipboard.offer(ClipFormats::TEXT, true).unwrap();
    // Nobody has touched anything for longer than a hand needs: what reads now is a program.
    silent(&mut clipboard, Duration::from_millis(2_500));
    let ask = |clipboard: &mut Clipboard, target: &str| {
        let (mut child, reader) = paste(&mut xclip(&server, &["-o", "-t", target]));
        let mut wanted = false;
        while !reader.is_finished() {
            if let Some(event) = clipboard.poll(Stamp::ZERO).unwrap() {
                let ClipEvent::Wanted { id, .. } = event else { panic!("{event:?}") };
                wanted = true;
                clipboard.provide(id, b"hunter2").unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = child.wait();
        (wanted, reader.join().unwrap())
    };
    assert_eq!(ask(&mut clipboard, "UTF8_STRING"), (false, vec![]), "a program that reads everything");
    assert_eq!(ask(&mut clipboard, "x-kde-passwordManagerHint"), (false, b"secret".to_vec()), "the mark is given");
    let mut injector = telepane_input::open_x11(Some(&server.display), None).unwrap();
    let press = |action| telepane_model::InputEvent::Key { code: telepane_model::KeyCode(42), action };
    injector.inject(&press(telepane_model::KeyMove::Down)).unwrap();
    injector.inject(&press(telepane_model::KeyMove::Up)).unwrap();
    assert_eq!(ask(&mut clipboard, "UTF8_STRING"), (true, b"hunter2".to_vec()), "after a key");
}

#[test]
fn the_second_selection_is_one_of_its_own() {
    let Some(server) = Server::start() else { return };
    let mut clipboard = open(&server);
    let mut primary = Clipboard::open(Some(&server.display), None, Selection::Primary).unwrap();
    let mut command = server.command("xclip");
    copy(command.args(["-selection", "primary", "-i"]), b"selected");
    let offer = ClipOffer { selection: Selection::Primary, formats: ClipFormats::TEXT, secret: false };
    assert_eq!(next(&mut primary), ClipEvent::Changed(offer));
    primary.fetch(FetchId(1), TEXT).unwrap();
    assert_eq!(next(&mut primary), fetched(1, b"selected"));
    silent(&mut clipboard, Duration::from_millis(100));
    primary.offer(ClipFormats::TEXT, false).unwrap();
    silent(&mut primary, Duration::from_millis(100));
    let mut command = server.command("xclip");
    let got = answered(&mut primary, command.args(["-selection", "primary", "-o", "-t", "UTF8_STRING"]), "from afar");
    assert_eq!(got, b"from afar");
    assert!(primary.is_ours() && !clipboard.is_ours());
}
