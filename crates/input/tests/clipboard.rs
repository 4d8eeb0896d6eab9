//! The clipboard against xclip, xsel and owners that misbehave.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "real servers and applications are waited for in real time")]

mod support;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{PATIENCE, Server};
use telepane_input::clipboard::{ClipError, ClipEvent, Clipboard, FetchId, LIMIT};
use telepane_model::time::{HostClock, Stamp};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::*;
use x11rb::wrapper::ConnectionExt as _;

fn open(server: &Server) -> Clipboard {
    Clipboard::open(Some(&server.display), None).unwrap()
}

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
    let ClipEvent::Wanted { id } = next(clipboard) else { panic!("not wanted") };
    clipboard.provide(id, text).unwrap();
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
        assert_eq!(next(&mut clipboard), ClipEvent::OwnerChanged);
        let id = FetchId(i as u64);
        clipboard.fetch(id).unwrap();
        assert!(next(&mut clipboard) == ClipEvent::Fetched { id, text: Ok(text.into()) }, "xclip, text {i}");

        copy(&mut xsel(&server, &["-i"]), text.as_bytes());
        assert_eq!(next(&mut clipboard), ClipEvent::OwnerChanged);
        clipboard.fetch(id).unwrap();
        assert!(next(&mut clipboard) == ClipEvent::Fetched { id, text: Ok(text.into()) }, "xsel, text {i}");
    }
    // One that opens later learns of it too.
    assert_eq!(next(&mut open(&server)), ClipEvent::OwnerChanged);
    // No text, no offer.
    copy(&mut xclip(&server, &["-i", "-t", "image/png"]), b"\x89PNG");
    assert_eq!(next(&mut clipboard), ClipEvent::Emptied);
}

#[test]
fn what_the_viewer_offers_is_pasted_and_nothing_loops() {
    let Some(server) = Server::start() else { return };
    let mut clipboard = open(&server);
    clipboard.offer().unwrap();
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
            let ClipEvent::Wanted { id } = event else { panic!("{event:?}") };
            asked += 1;
            if large {
                clipboard.provide(id, &"x".repeat(LIMIT + 1)).unwrap();
            } else {
                clipboard.refuse(id).unwrap();
            }
        }
        assert!(asked > 0);
        assert!(!child.wait().unwrap().success());
        assert_eq!(reader.join().unwrap(), b"");
    }

    // A fetch of our own text would go round in a circle.
    clipboard.fetch(FetchId(1)).unwrap();
    assert_eq!(next(&mut clipboard), ClipEvent::Fetched { id: FetchId(1), text: Err(ClipError::NoText) });
    copy(&mut xclip(&server, &["-i"]), b"theirs");
    assert_eq!(next(&mut clipboard), ClipEvent::OwnerChanged);
    assert!(!clipboard.is_ours());
    clipboard.offer().unwrap();
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
        assert_eq!(next(&mut clipboard), ClipEvent::OwnerChanged);
        clipboard.fetch(FetchId(1)).unwrap();
        assert_eq!(next(&mut clipboard), ClipEvent::Fetched { id: FetchId(1), text: Err(ClipError::TooLarge) });
        copy(&mut program(&server, &["-i"]), "y".repeat(LIMIT).as_bytes());
        assert_eq!(next(&mut clipboard), ClipEvent::OwnerChanged);
        clipboard.fetch(FetchId(2)).unwrap();
        let ClipEvent::Fetched { text: Ok(text), .. } = next(&mut clipboard) else { panic!("no text") };
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
    assert_eq!(poll(&mut clipboard, 0), None);
    answer(&|e| {
        assert_eq!(e.target, targets);
        conn.change_property32(PropMode::REPLACE, e.requestor, e.property, AtomEnum::ATOM, &[string]).unwrap();
        true
    });
    assert_eq!(next(&mut clipboard), ClipEvent::OwnerChanged);

    // Time only passes in what we say: the fetch ends when its deadline is said to be over, not before.
    clipboard.fetch(FetchId(7)).unwrap();
    assert_eq!(poll(&mut clipboard, 100), None);
    let deadline = clipboard.deadline().expect("something is waited for");
    assert!(deadline > Stamp::from_micros(100_000_000));
    assert_eq!(poll(&mut clipboard, 104), None);
    assert_eq!(
        clipboard.poll(deadline).unwrap(),
        Some(ClipEvent::Fetched { id: FetchId(7), text: Err(ClipError::TimedOut) })
    );
    assert_eq!(clipboard.deadline(), None);

    // The late answer is not taken for the next one's. This owner knows Latin-1 only.
    clipboard.fetch(FetchId(8)).unwrap();
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
    assert_eq!(next(&mut clipboard), ClipEvent::Fetched { id: FetchId(8), text: Ok("grüße".into()) });

    // Pieces that stop coming.
    clipboard.fetch(FetchId(9)).unwrap();
    let incr = atom("INCR");
    answer(&|e| {
        conn.change_property32(PropMode::REPLACE, e.requestor, e.property, incr, &[4]).unwrap();
        true
    });
    assert_eq!(poll(&mut clipboard, 300), None);
    assert_eq!(poll(&mut clipboard, 400), Some(ClipEvent::Fetched { id: FetchId(9), text: Err(ClipError::TimedOut) }));
    // The owner ends.
    drop(conn);
    assert_eq!(next(&mut clipboard), ClipEvent::Emptied);
}
