//! What a viewer may do on the host, and what changes while it works.

use super::monitors::has_heads;
use super::process::{PATIENCE, Scratch, have, pause, until};
use super::screen::{NO_KEY, Screen, no_key_held};
use super::sharing::{METRICS, counter, metrics_of};
use super::stage::{Agent, Stage, connect};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Refused, let in and refused again, within one session. What waits in a queue counts by the rights of the moment in which
/// it would reach an application.
#[test]
fn who_may_only_watch_moves_nothing_and_rights_change_in_mid_session() {
    if !have("rights", &["Xvfb", "xterm"]) {
        return;
    }
    let dir = Scratch::new();
    let permissions = permissions(&dir);
    let allow = |features: &str| allow(&permissions, features);
    allow("display pointer");
    let stage = Stage::in_dir(dir, &METRICS, &[], None);
    let metrics = metrics_of(&stage.agent);
    let file = stage.dir.join("typed");
    let typed = || std::fs::read_to_string(&file).unwrap_or_default();
    let refused = || counter(&metrics, "telepane_input_forbidden_total");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    stage.here.point(200, 100);
    stage.exact();

    let place = stage.here.pointer_at();
    stage.there.click(300, 400);
    stage.there.type_text("nothing\n");
    // The motion, two of the button, sixteen of the keys.
    until("it was refused", PATIENCE, || refused() >= 19);
    assert_eq!((stage.here.pointer_at(), typed()), (place, String::new()));
    assert_eq!(stage.here.held(), NO_KEY);

    allow("display pointer keyboard");
    let took = until("keys are let in", PATIENCE, || {
        stage.there.type_text("k\n");
        typed().contains('k')
    });
    println!("rights: keys are let in {took:?} after the file was changed");
    // All of it has arrived when what is typed after it has.
    stage.there.type_text("z\n");
    until("the rest arrived", PATIENCE, || typed().ends_with("z\n"));
    assert_eq!(stage.here.pointer_at(), place, "the mouse still is not");

    // A key that is down when its right goes comes up, although the person's finger is still on it.
    stage.there.press(A);
    until("it is down on the host", PATIENCE, || stage.here.held() == [A + 8]);
    allow("display pointer");
    let took = no_key_held(&stage.here, PATIENCE);
    println!("rights: a held key is up {took:?} after its right was taken away");
    let (before, had) = (refused(), typed());
    stage.there.lift(A);
    stage.there.type_text("late\n");
    until("it was refused", PATIENCE, || refused() >= before + 10);
    assert_eq!((typed(), stage.here.held()), (had, NO_KEY.to_vec()));
}

/// A viewer's window is not to change what another one works on.
// spec: K-75
#[test]
fn who_may_only_watch_gives_the_desktop_no_other_shape() {
    if !have("rights to a shape", &["Xvfb"]) {
        return;
    }
    let dir = Scratch::new();
    let permissions = permissions(&dir);
    allow(&permissions, "display pointer");
    let mut agent = Agent::start(&dir, &["--virtual", "1024x768"]);
    let (name, xauthority) = agent.display();
    let here = Screen::join(&name, &xauthority);
    let there = Screen::start(1280, 1024);
    let client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &["--size", "900x700"]);
    until("the session stands", PATIENCE, || client.err().contains("welcome"));
    until("the window is there", PATIENCE, || there.windows().iter().any(|w| w[2..] == [900, 700]));
    there.resize_windows(800, 600);
    // Long enough for a size that is wished for to be taken.
    pause(Duration::from_secs(2));
    assert_eq!(here.picture().size, (1024, 768));
    allow(&permissions, "display pointer mouse");
    let took = until("the desktop follows who works on it", PATIENCE, || {
        // The right is looked at once a second, and a size is told when it changes.
        for width in [810, 820] {
            there.resize_windows(width, 600);
            pause(Duration::from_millis(300));
        }
        here.picture().size.1 == 600
    });
    println!("rights: the desktop follows {took:?} after the file was changed");
}

/// Nor other monitors; a window that is closed only hides one.
// spec: K-75
#[test]
fn who_may_only_watch_gives_the_desktop_no_other_monitors() {
    if !have("rights to monitors", &["Xvfb"]) || !has_heads("rights to monitors") {
        return;
    }
    let dir = Scratch::new();
    allow(&permissions(&dir), "display pointer");
    let mut agent = Agent::start(&dir, &["--virtual", "640x480+400x300"]);
    let (name, xauthority) = agent.display();
    let here = Screen::join(&name, &xauthority);
    let there = Screen::start(1280, 1024);
    let client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &["--windows"]);
    let (first, second) = ([0, 0, 640, 480], [640, 0, 400, 300]);
    let unchanged = [(first, true), (second, false)];
    let has = |windows: &[[i32; 4]]| {
        let there = there.windows();
        there.len() == windows.len() && windows.iter().all(|w| there.contains(w))
    };
    until("both have a window", PATIENCE, || has(&[first, second]));
    there.resize_window(second, 500, 350);
    pause(Duration::from_secs(2));
    assert_eq!(here.monitors(), unchanged);
    there.close_window([640, 0, 500, 350]);
    until("its window is gone", PATIENCE, || has(&[first]));
    pause(Duration::from_secs(1));
    assert_eq!(here.monitors(), unchanged);
    there.click(300, 200);
    until("the window has the keyboard", PATIENCE, || there.has_focus());
    until("it is seen again", PATIENCE, || {
        // The window hears a moment later that it has the keyboard, and nothing here tells when.
        there.chord('n');
        pause(Duration::from_millis(500));
        has(&[first, second])
    });
    assert_eq!((here.monitors(), client.err().contains("welcome")), (unchanged.to_vec(), true));
}

/// Where the agent of `dir` reads who may do what.
pub fn permissions(dir: &Scratch) -> PathBuf {
    let file = dir.join(".config/telepane-host/default.perm");
    std::fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
    file
}

/// Gives these to whoever comes in, and nothing else.
pub fn allow(permissions: &Path, features: &str) {
    permit(permissions, &format!("%owner% allow {features}"));
}

/// These rules hold from now on.
pub fn permit(permissions: &Path, rules: &str) {
    // Half a file would be another one.
    let next = permissions.with_extension("next");
    std::fs::write(&next, format!("[permissions]\n{rules}\n")).expect("a file");
    std::fs::rename(&next, permissions).expect("it is ours");
}

/// Its evdev code.
const A: u8 = 30;
