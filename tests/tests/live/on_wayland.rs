//! A client on Wayland, with a real compositor: its picture, its keys and its pointer, and whose the compositor's shortcuts are.

use super::process::{PATIENCE, Running, Scratch, have, now, pause, until};
use super::screen::{LEFT_ALT, LEFT_SHIFT, Picture, Screen, environment, no_key_held};
use super::stage::{Agent, connect_on};
use super::sway::{LEFT_SUPER, PROGRAMS, Sway};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const TAB: u8 = 15;
const F9: u8 = 67;
/// As X counts them.
const X: u8 = 8;

/// A client on sway. The fields end in this order.
struct Set {
    client: Running,
    _agent: Agent,
    there: Sway,
    here: Screen,
    dir: Scratch,
}

/// A client whose picture is there, on a compositor with these lines in its configuration.
fn set(lines: &str, args: &[&str]) -> Set {
    let dir = Scratch::new();
    let (here, there) = (Screen::start(800, 600), Sway::start(800, 600, lines));
    here.paint_root(1);
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let client = connect_on(&dir, &there.variables(), &agent.addr.to_string(), args);
    let set = Set { client, _agent: agent, there, here, dir };
    set.exact();
    set
}

impl Set {
    /// The client shows what the host shows.
    fn exact(&self) {
        let start = now();
        while let Some(difference) = self.expected().difference(&self.there.picture()) {
            if start.elapsed() > PATIENCE {
                keep(self, "not-exact.png");
                panic!("the client does not show what the host shows: {difference}");
            }
            pause(Duration::from_millis(20));
        }
        println!("on Wayland: exact after {:?}", start.elapsed());
    }

    fn fired(&self, name: &str) -> usize {
        std::fs::read_to_string(self.there.file(name)).unwrap_or_default().lines().count()
    }

    fn tap(&mut self, key: u8) {
        self.there.key(key, true);
        self.there.key(key, false);
    }

    /// Presses both, has `seen` look, and lifts them.
    fn together(&mut self, first: u8, second: u8, seen: impl FnOnce(&Self)) {
        [first, second].into_iter().for_each(|key| self.there.key(key, true));
        seen(self);
        [second, first].into_iter().for_each(|key| self.there.key(key, false));
        no_key_held(&self.here, PATIENCE);
    }

    /// Alt+Tab is the host's, and means nothing to the compositor.
    fn alt_tab_goes(&mut self) {
        let fired = self.fired("tab");
        self.together(LEFT_ALT, TAB, |set| {
            until("it is down on the host", PATIENCE, || set.here.held() == [TAB + X, LEFT_ALT + X]);
        });
        assert_eq!(self.fired("tab"), fired, "the compositor heard it too");
    }

    /// Alt+Tab is the compositor's; the host never hears of the Tab.
    fn alt_tab_stays(&mut self) {
        let fired = self.fired("tab");
        self.together(LEFT_ALT, TAB, |set| {
            until("the compositor hears it", PATIENCE, || {
                assert!(!set.here.held().contains(&(TAB + X)), "the host heard it");
                set.fired("tab") > fired
            });
        });
    }

    /// What the compositor should show: the host's picture, and over it the host's pointer where this machine's is.
    fn expected(&self) -> Picture {
        let (image, mut picture) = (self.here.pointer(), self.here.picture());
        let [width, height, hot_x, hot_y] = image.shape.map(i32::from);
        let (wide, high) = (i32::from(picture.size.0), i32::from(picture.size.1));
        for (i, argb) in (0..width * height).zip(&image.argb) {
            let (x, y) = (self.there.at.0 + i % width - hot_x, self.there.at.1 + i / width - hot_y);
            if !(0..wide).contains(&x) || !(0..high).contains(&y) {
                continue;
            }
            let [blue, green, red, alpha] = argb.to_le_bytes();
            let pixel = &mut picture.bgrx[((y * wide + x) * 4) as usize..][..3];
            for (under, over) in pixel.iter_mut().zip([blue, green, red]) {
                *under = over.saturating_add((u16::from(*under) * u16::from(255 - alpha) / 255) as u8);
            }
        }
        picture
    }

    /// So much of the picture is covered that it can be read.
    fn says_something(&self) -> bool {
        self.expected().changed(&self.there.picture()).is_some_and(|(n, _)| n > 2_000)
    }
}

/// Where `TELEPANE_KEEP` names a directory, the picture is kept there for people to look at.
fn keep(set: &Set, name: &str) {
    if let Some(dir) = std::env::var_os("TELEPANE_KEEP") {
        set.there.picture();
        std::fs::copy(set.there.file("picture.png"), Path::new(&dir).join(name)).expect("it can be written");
    }
}

/// The compositor's shortcuts of these tests.
const BINDINGS: &str =
    "bindsym Mod1+Tab exec echo >> @/tab\nbindsym Mod4+d exec echo >> @/super\nbindsym F9 exec echo >> @/f9";

#[test]
fn a_client_on_wayland_shows_what_is_there_and_takes_what_is_typed_and_pointed_at() {
    if !have("a client on Wayland", PROGRAMS) || !have("a client on Wayland", &["xterm"]) {
        return;
    }
    let mut set = set("", &["--fullscreen"]);
    assert!(set.there.ask(&["-t", "get_tree", "-r"]).contains("\"app_id\": \"telepane\""), "desktops know it");
    let file = set.dir.join("typed");
    let command = format!("exec cat > {}", file.display());
    let args = ["xterm", "-geometry", "60x10+300+300", "-e", "sh", "-c", &command];
    let windows = set.here.windows().len();
    let _xterm = set.here.run("xterm", &set.dir.join(""), &args);
    until("the xterm is there", PATIENCE, || set.here.windows().len() > windows);

    // Over the root its pointer is the server's, in the terminal a beam; both are what the compositor shows.
    let mut shapes = Vec::new();
    for at in [(150, 90), (400, 360)] {
        set.there.point(at);
        until("the host's pointer is there", PATIENCE, || set.here.pointer_at() == (at.0 as i16, at.1 as i16));
        set.exact();
        shapes.push(set.here.pointer());
    }
    assert_ne!(shapes[0], shapes[1]);
    set.there.click();
    let text = "These, (Those) & 'That'; A-Z\n";
    set.there.type_text(text);
    until("what was typed arrives", PATIENCE, || std::fs::read_to_string(&file).is_ok_and(|typed| typed == text));
    set.exact();
    keep(&set, "on-wayland.png");
    no_key_held(&set.here, PATIENCE);
    assert_eq!(set.client.ended(), None, "{}", set.client.err());
}

// spec: Y-34
#[test]
fn a_compositors_shortcuts_go_to_the_desktop_from_the_full_screen_and_back_by_request() {
    if !have("a compositor's shortcuts", PROGRAMS) {
        return;
    }
    let mut set = set(BINDINGS, &["--fullscreen"]);
    // Nothing tells when sway has heard of it but that it does nothing any more.
    until("the shortcuts are the window's", PATIENCE, || {
        let fired = set.fired("tab");
        let mut heard = false;
        set.together(LEFT_ALT, TAB, |set| {
            until("somebody hears it", PATIENCE, || {
                heard = set.here.held().contains(&(TAB + X));
                heard || set.fired("tab") > fired
            });
        });
        heard
    });
    until("the way out is told", PATIENCE, || set.says_something());
    keep(&set, "way-out.png");
    set.exact();
    set.alt_tab_goes();
    set.together(LEFT_SUPER, 32, |set| {
        until("Super and D are down on the host", PATIENCE, || set.here.held().len() == 2);
    });
    assert_eq!(set.fired("super"), 0);

    set.there.chord('g');
    no_key_held(&set.here, PATIENCE);
    set.alt_tab_stays();
    set.there.chord('g');
    no_key_held(&set.here, PATIENCE);
    set.alt_tab_goes();

    // Another window has the keyboard: what is pressed there is the compositor's, and the desktop's again afterwards.
    set.there.ask(&["workspace", "2"]);
    set.alt_tab_stays();
    set.there.ask(&["workspace", "1"]);
    until("the window has the keyboard", PATIENCE, || set.there.ask(&["-t", "get_tree", "-r"]).contains("telepane"));
    set.there.key(LEFT_SHIFT, true);
    until("it is down on the host", PATIENCE, || set.here.held() == [LEFT_SHIFT + X]);
    set.there.key(LEFT_SHIFT, false);
    no_key_held(&set.here, PATIENCE);
    set.alt_tab_goes();
    assert_eq!(set.client.ended(), None, "{}", set.client.err());
}

// spec: Y-34
#[test]
fn a_compositors_shortcuts_are_its_own_in_a_window_and_when_nobody_types() {
    if !have("a compositor's shortcuts in a window", PROGRAMS) {
        return;
    }
    let mut set = set(BINDINGS, &["--free-keys-after", "2"]);
    set.alt_tab_stays();
    set.there.chord('g');
    until("it is told", PATIENCE, || set.says_something());
    no_key_held(&set.here, PATIENCE);
    set.alt_tab_goes();
    // Nobody does anything for longer than that: the next key is the compositor's, and the window hears nothing of it.
    pause(Duration::from_secs(4));
    set.tap(F9);
    until("the compositor hears it", PATIENCE, || set.fired("f9") == 1);
    // Somebody is back, and a moment later has them again.
    until("the shortcuts are the window's again", PATIENCE, || {
        set.tap(LEFT_SHIFT);
        pause(Duration::from_millis(100));
        let fired = set.fired("f9");
        set.there.key(F9, true);
        let mut heard = false;
        until("somebody hears it", PATIENCE, || {
            heard = set.here.held() == [F9 + X];
            heard || set.fired("f9") > fired
        });
        set.there.key(F9, false);
        heard
    });
    no_key_held(&set.here, PATIENCE);
    assert_eq!(set.client.ended(), None, "{}", set.client.err());
}

#[test]
fn lock_keys_are_one_state_for_the_host_and_a_client_on_wayland() {
    if !have("lock keys on Wayland", PROGRAMS) {
        return;
    }
    let mut set = set("", &["--fullscreen"]);
    for (caps, num) in [(true, false), (false, true), (true, true), (false, false)] {
        // Somebody presses it while the window is not looking.
        set.there.ask(&["workspace", "2"]);
        set.there.lock(caps, num);
        set.there.ask(&["workspace", "1"]);
        until("the host has the same locks", PATIENCE, || set.here.locks() == (caps, num));
    }
    no_key_held(&set.here, PATIENCE);
}

// spec: Y-34
#[test]
fn a_compositor_that_keeps_its_shortcuts_is_said_to() {
    if !have("a compositor that keeps its shortcuts", &["weston", "Xvfb"]) {
        return;
    }
    let (dir, runtime, here) = (Scratch::new(), Scratch::new(), Screen::start(640, 480));
    let mut command = Command::new("weston");
    environment(&mut command, &runtime.join("")).args(["--backend=headless-backend.so", "--idle-time=0"]);
    let _weston = Running::start("weston", command.args(["--width=640", "--height=480", "--socket=telepane-keeps"]));
    until("weston listens", PATIENCE, || runtime.join("telepane-keeps").exists());
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let variables = [("XDG_RUNTIME_DIR", runtime.join("")), ("WAYLAND_DISPLAY", "telepane-keeps".into())];
    let mut client = connect_on(&dir, &variables, &agent.addr.to_string(), &["--fullscreen"]);
    until("it is shown", PATIENCE, || client.err().contains("attached"));
    let said = || client.err().matches("keeps its shortcuts").count();
    until("it is said", PATIENCE, || said() > 0);
    assert_eq!(said(), 1);
    assert_eq!(client.ended(), None, "{}", client.err());
}
