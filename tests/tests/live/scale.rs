//! A client on a screen with fine pixels: the picture stays one to one, the pointer points where it seems to, and a
//! desktop of the agent's own takes the client's scale.

use super::process::{PATIENCE, Running, Scratch, have, until};
use super::screen::{Screen, environment, exact};
use super::stage::{Agent, connect_scaled};
use std::process::Command;
use x11rb::protocol::xproto::AtomEnum;

#[test]
fn a_client_at_200_percent_shows_pixels_as_they_are() {
    if !have("scale", &["Xvfb"]) {
        return;
    }
    let dir = Scratch::new();
    let (here, there) = (Screen::start(800, 600), Screen::start(800, 600));
    here.paint_root(3);
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let addr = agent.addr.to_string();
    let fullscreen = connect_scaled(&dir, &there, "2", &addr, &["--fullscreen"]);
    println!("scale: exact {:?} after the start, at 200 %", exact(&here, &there, PATIENCE));
    for place in [(0, 0), (123, 45), (799, 599), (400, 301)] {
        there.point(place.0, place.1);
        until("the pointer is where it seems to be", PATIENCE, || here.pointer_at() == place);
    }
    drop(fullscreen);
    // In a window: its size is meant in pixels.
    let _window = connect_scaled(&dir, &there, "2", &addr, &["--size", "800x600"]);
    until("the window has its size in pixels", PATIENCE, || there.windows().iter().any(|w| w[2..] == [800, 600]));
}

// spec: K-30
#[test]
fn a_virtual_desktop_takes_the_clients_scale() {
    if !have("scale of a virtual desktop", &["Xvfb", "mousepad"]) {
        return;
    }
    let dir = Scratch::new();
    let mut agent = Agent::start(&dir, &["--virtual", "1024x768"]);
    let (name, xauthority) = agent.display();
    let here = Screen::join(&name, &xauthority);
    let there = Screen::start(1280, 1024);
    let addr = agent.addr.to_string();
    let editor = || -> (Running, [i32; 2]) {
        let before = here.windows();
        let mut command = Command::new("mousepad");
        environment(&mut command, &dir.join("")).env("DISPLAY", &name).env("XAUTHORITY", &xauthority);
        // Its settings come from no daemon, so nothing of an earlier run is in them.
        command.env("GSETTINGS_BACKEND", "memory").arg("--disable-server");
        let run = Running::start("mousepad", &mut command);
        let (mut size, mut steady) = ([0, 0], 0);
        until("the editor's window is there, and has stopped growing", PATIENCE, || {
            let new = here.windows().into_iter().filter(|w| !before.contains(w)).max_by_key(|w| w[2] * w[3]);
            let last = std::mem::replace(&mut size, new.map_or([0, 0], |w| [w[2], w[3]]));
            steady = if size == last { steady + 1 } else { 0 };
            size[0] > 200 && steady > 20
        });
        (run, size)
    };
    let client = connect_scaled(&dir, &there, "1", &addr, &["--size", "1000x700"]);
    until("the session is there", PATIENCE, || here.picture().size == (1000, 700));
    let (plain, small) = editor();
    drop((plain, client));
    let _client = connect_scaled(&dir, &there, "2", &addr, &["--size", "1200x900"]);
    until("the desktop says the scale", PATIENCE, || {
        here.root_text(AtomEnum::RESOURCE_MANAGER).contains("Xft.dpi:\t192\n")
    });
    let (_large, large) = editor();
    println!("scale: mousepad is {small:?} at 100 % and {large:?} at 200 %");
    assert!(large[0] * 10 > small[0] * 15, "{small:?} {large:?}");
}
