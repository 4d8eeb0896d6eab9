//! The client's desktop file: valid, and about the windows that the client opens.

use super::process::{PATIENCE, Scratch, have, until};
use super::screen::Screen;
use super::stage::{Agent, connect, connect_on};
use super::sway::{PROGRAMS, Sway};
use std::path::{Path, PathBuf};
use std::process::Command;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _};

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(name)
}

/// What the file says of `key`.
fn says(key: &str) -> String {
    let file = std::fs::read_to_string(packaging("telepane.desktop")).expect("it is there");
    let value = file.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned));
    value.unwrap_or_else(|| panic!("{key} is not said"))
}

#[test]
fn the_desktop_file_is_valid_and_has_its_icon() {
    let icon = std::fs::read_to_string(packaging(&format!("{}.svg", says("Icon")))).expect("it is there");
    assert!(icon.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{icon}");
    if have("the desktop file", &["desktop-file-validate"]) {
        let said = Command::new("desktop-file-validate").arg(packaging("telepane.desktop")).output().expect("it runs");
        let words = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.status.success() && words.is_empty(), "{words}");
    }
}

#[test]
fn desktops_find_the_desktop_file_of_the_clients_windows() {
    if !have("the desktop file", &["Xvfb"]) {
        return;
    }
    let class = says("StartupWMClass");
    let (dir, screen) = (Scratch::new(), Screen::start(400, 300));
    let agent = Agent::start(&dir, &["--synthetic", "editor", "--size", "320x200"]);
    let host = agent.addr.to_string();
    let client = connect(&dir, "client", Some(&screen), &host, &[]);
    let (server, n) = x11rb::connect(Some(&screen.name)).expect("the screen is there");
    let root = x11rb::connection::Connection::setup(&server).roots[n].root;
    // Two words, each ending with a zero: the instance and the class.
    let expected = format!("{class}\0{class}\0").into_bytes();
    until("its window has the class", PATIENCE, || {
        let windows = server.query_tree(root).expect("sent").reply().expect("there is one").children;
        windows.into_iter().any(|window| {
            let asked = server.get_property(false, window, AtomEnum::WM_CLASS, AtomEnum::STRING, 0, 64).expect("sent");
            // A window may end meanwhile.
            asked.reply().is_ok_and(|reply| reply.value == expected)
        })
    });
    drop(client);
    // On Wayland the file's own name counts.
    if have("the desktop file on Wayland", PROGRAMS) {
        let sway = Sway::start(400, 300, "");
        let _client = connect_on(&dir, &sway.variables(), &host, &[]);
        assert!(packaging(&format!("{class}.desktop")).exists());
        let id = format!("\"app_id\": \"{class}\"");
        until("its window has the name", PATIENCE, || sway.ask(&["-t", "get_tree", "-r"]).contains(&id));
    }
}
