//! Where the desktop's windows lie while a small client comes and goes: those that do not fit go where they can be reached, and
//! back when the large client returns; those that fit stay.

use super::process::{PATIENCE, Running, Scratch, Signal, have, pause, until};
use super::screen::{Screen, environment};
use super::stage::{Agent, connect};
use std::process::Command;
use std::time::Duration;

const LARGE: (u16, u16) = (1920, 1080);
const SMALL: (u16, u16) = (1024, 768);

/// A desktop with two terminals of which one does not fit a small screen.
struct Desk {
    agent: Agent,
    here: Screen,
    dir: Scratch,
    /// The terminals' processes, and the window manager if there is one.
    _programs: Vec<Running>,
}

impl Desk {
    fn start(manager: bool) -> Self {
        let dir = Scratch::new();
        let here = Screen::start(LARGE.0, LARGE.1);
        let mut programs = Vec::new();
        if manager {
            let mut openbox = Command::new("openbox");
            environment(&mut openbox, &dir.join("")).env("DISPLAY", &here.name);
            programs.push(Running::start("openbox", &mut openbox));
            until("openbox manages", PATIENCE, || here.is_managed());
        }
        for (title, place) in [("near", "40x10+100+100"), ("far", "40x10+1500+800")] {
            let args = ["xterm", "-T", title, "-geometry", place, "-e", "sleep", "1000"];
            programs.push(here.run("xterm", &dir.join(""), &args));
            until("the terminal is there", PATIENCE, || here.place_of(title).is_some());
        }
        let agent = Agent::start(&dir, &["--display", &here.name]);
        Self { agent, here, dir, _programs: programs }
    }

    /// A client on a screen of this size, once the desktop is as large.
    fn client(&self, size: (u16, u16)) -> (Running, Screen) {
        let there = Screen::start(size.0, size.1);
        let client = connect(&self.dir, "client", Some(&there), &self.agent.addr.to_string(), &["--fullscreen"]);
        until("the desktop has the client's size", PATIENCE, || self.here.picture().size == size);
        (client, there)
    }

    fn place(&self, title: &str) -> [i32; 4] {
        self.here.place_of(title).expect("the terminal is there")
    }
}

fn is_inside([x, y, w, h]: [i32; 4], (width, height): (u16, u16)) -> bool {
    x >= 0 && y >= 0 && x + w <= i32::from(width) && y + h <= i32::from(height)
}

fn windows_go_back(manager: bool) {
    let desk = Desk::start(manager);
    let large = desk.client(LARGE);
    let (near, far) = (desk.place("near"), desk.place("far"));
    assert!(is_inside(far, LARGE) && !is_inside(far, SMALL), "{far:?}");
    let watched = |what: &str, is_it: &dyn Fn() -> bool| {
        until(what, PATIENCE, || {
            assert_eq!(desk.place("near"), near, "a window that fits is not moved: {what}");
            is_it()
        })
    };
    drop(large);
    for round in 0..2 {
        let small = desk.client(SMALL);
        let took = watched("the window can be reached", &|| is_inside(desk.place("far"), SMALL));
        println!(
            "places: round {round}: pulled in {took:?} after the desktop became small, to {:?}",
            desk.place("far")
        );
        // Until what a change does is told from what a person does.
        rest();
        drop(small);
        let large = desk.client(LARGE);
        let took = watched("its window is there", &|| desk.place("far") == far);
        println!("places: round {round}: back {took:?} after the desktop became large");
        rest();
        assert_eq!((desk.place("near"), desk.place("far")), (near, far), "and nothing moves afterwards");
        drop(large);
    }
    // Somebody puts it somewhere else on the small screen.
    let small = desk.client(SMALL);
    watched("the window can be reached", &|| is_inside(desk.place("far"), SMALL));
    rest();
    desk.here.put("far", (300, 400));
    let put = desk.place("far");
    drop(small);
    let _large = desk.client(LARGE);
    rest();
    assert_eq!((desk.place("near"), desk.place("far")), (near, put), "a person's word is the last");
}

/// A window that fills its monitor is the window manager's to size: it fills the small one and the large one again, and is where it was
/// when it no longer does.
fn a_maximised_window_stays_so(desk: &Desk) {
    let fills = |size: (u16, u16)| {
        let [x, y, w, h] = desk.place("far");
        // Less than a whole character may be left.
        let all = |at: i32, side: i32, of: u16| (0..20).contains(&at) && (0..40).contains(&(i32::from(of) - side));
        all(x, w, size.0) && all(y, h, size.1) && desk.here.is_maximised("far")
    };
    let before = desk.place("far");
    desk.here.maximise("far", true);
    until("it fills the large one", PATIENCE, || fills(LARGE));
    for _ in 0..2 {
        for size in [SMALL, LARGE] {
            let _client = desk.client(size);
            until("it fills the client's monitor", PATIENCE, || fills(size));
            rest();
            assert!(fills(size), "and nothing moves afterwards: {:?}", desk.place("far"));
        }
    }
    desk.here.maximise("far", false);
    until("it is where it was", PATIENCE, || desk.place("far") == before);
}

/// Longer than windows are looked after following a change, so that what they do is all over.
fn rest() {
    pause(Duration::from_millis(2_500));
}

#[test]
fn windows_that_a_small_client_displaced_go_back_without_a_window_manager() {
    if have("places", &["Xvfb", "xterm"]) {
        windows_go_back(false);
    }
}

#[test]
fn windows_that_a_small_client_displaced_go_back_under_openbox() {
    if have("places under openbox", &["Xvfb", "xterm", "openbox"]) {
        windows_go_back(true);
    }
}

#[test]
fn a_window_that_is_maximised_under_openbox_stays_so() {
    if have("places of maximised windows", &["Xvfb", "xterm", "openbox"]) {
        a_maximised_window_stays_so(&Desk::start(true));
    }
}

/// What an agent knew of the windows ends with it: the next one leaves them where they are, and looks after them from then on.
#[test]
fn an_agent_that_is_started_anew_moves_no_window_that_it_has_not_displaced() {
    if !have("places after a restart", &["Xvfb", "xterm"]) {
        return;
    }
    let mut desk = Desk::start(false);
    let (near, far) = (desk.place("near"), desk.place("far"));
    let small = desk.client(SMALL);
    until("the window can be reached", PATIENCE, || is_inside(desk.place("far"), SMALL));
    rest();
    let pulled = desk.place("far");
    drop(small);
    desk.agent.run.signal(Signal::Terminate);
    assert_eq!(desk.agent.run.exit_code(PATIENCE), 0, "{}", desk.agent.run.err());
    desk.agent = Agent::start(&desk.dir, &["--display", &desk.here.name]);
    let large = desk.client(LARGE);
    rest();
    assert_eq!((desk.place("near"), desk.place("far")), (near, pulled), "whose they are is not known any more");
    desk.here.put("far", (far[0], far[1]));
    drop(large);
    let small = desk.client(SMALL);
    until("the window can be reached", PATIENCE, || is_inside(desk.place("far"), SMALL));
    rest();
    drop(small);
    let _large = desk.client(LARGE);
    until("its window is there", PATIENCE, || desk.place("far") == far);
    assert_eq!(desk.place("near"), near);
}
