//! A file dropped onto the client's window lies in the host's directory afterwards, and replaces nothing there.

use super::process::{PATIENCE, Scratch, have, until};
use super::screen::Screen;
use super::stage::Stage;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, EventMask, PropMode, SELECTION_NOTIFY_EVENT,
    SelectionNotifyEvent, Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

#[test]
fn a_dropped_file_is_uploaded_beside_what_is_there() {
    if !have("drops", &["Xvfb"]) {
        return;
    }
    let dir = Scratch::new();
    let given = dir.join("given");
    std::fs::create_dir_all(&given).expect("a directory");
    std::fs::write(given.join("plan.txt"), "theirs").expect("a file");
    let noise: Vec<u8> = (0..2_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 9) as u8).collect();
    let mine = dir.join("plan.txt");
    std::fs::write(&mine, &noise).expect("a file");
    let stage = Stage::in_dir(dir, &["--files", &given.display().to_string()], &[], None);
    drop_file(&stage.there, &format!("file://{}\r\n", mine.display()));
    let copy = given.join("plan (2).txt");
    let took = until("it is there", PATIENCE, || std::fs::read(&copy).is_ok_and(|bytes| bytes == noise));
    println!("drops: 2 MB {took:?} after the drop");
    assert_eq!(std::fs::read(given.join("plan.txt")).expect("it is there"), b"theirs");
    until("the client says so", PATIENCE, || stage.client.err().contains("Uploaded 1 file"));
}

/// What a file manager does when a file is dropped onto the client's window (XDND, version 5).
fn drop_file(screen: &Screen, list: &str) {
    let (x, screen) = x11rb::connect(Some(&screen.name)).expect("a display");
    let root = x.setup().roots[screen].root;
    let atom = |name: &str| x.intern_atom(false, name.as_bytes()).expect("alive").reply().expect("an atom").atom;
    let (aware, uri_list) = (atom("XdndAware"), atom("text/uri-list"));
    let takes = |w: &Window| {
        let found = x.get_property(false, *w, aware, AtomEnum::ATOM, 0, 1).expect("alive").reply();
        found.is_ok_and(|found| found.type_ != x11rb::NONE)
    };
    let windows = x.query_tree(root).expect("alive").reply().expect("the root has children").children;
    let to = windows.into_iter().find(takes).expect("a window that takes drops");
    let from = x.generate_id().expect("an id");
    x.create_window(0, from, root, 0, 0, 1, 1, 0, WindowClass::INPUT_ONLY, 0, &Default::default()).expect("alive");
    x.set_selection_owner(from, atom("XdndSelection"), x11rb::CURRENT_TIME).expect("alive");
    let say = |name: &str, data: [u32; 5]| {
        let event = ClientMessageEvent::new(32, to, atom(name), data);
        x.send_event(false, to, EventMask::NO_EVENT, event).expect("alive");
        x.flush().expect("alive");
    };
    say("XdndEnter", [from, 5 << 24, uri_list, 0, 0]);
    say("XdndPosition", [from, 0, 100 << 16 | 100, x11rb::CURRENT_TIME, atom("XdndActionCopy")]);
    // As the protocol has it: the drop follows the target's answer, and the source stays until the target has finished.
    let (status, finished) = (atom("XdndStatus"), atom("XdndFinished"));
    let (mut asked, mut answered) = (None, false);
    until("the window answers", PATIENCE, || {
        while let Some(event) = x.poll_for_event().expect("alive") {
            match event {
                Event::SelectionRequest(e) => asked = Some(e),
                Event::ClientMessage(e) if e.type_ == status => answered = true,
                _ => {}
            }
        }
        answered && asked.is_some()
    });
    let asked = asked.expect("it asked for the files");
    x.change_property8(PropMode::REPLACE, asked.requestor, asked.property, uri_list, list.as_bytes()).expect("alive");
    let given = SelectionNotifyEvent {
        response_type: SELECTION_NOTIFY_EVENT,
        sequence: 0,
        time: asked.time,
        requestor: asked.requestor,
        selection: asked.selection,
        target: asked.target,
        property: asked.property,
    };
    x.send_event(false, asked.requestor, EventMask::NO_EVENT, given).expect("alive");
    x.flush().expect("alive");
    say("XdndDrop", [from, 0, x11rb::CURRENT_TIME, 0, 0]);
    until("the window has finished", PATIENCE, || {
        let event = x.poll_for_event().expect("alive");
        matches!(event, Some(Event::ClientMessage(e)) if e.type_ == finished)
    });
}
