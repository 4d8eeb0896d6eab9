//! Two clients of one agent: by default the second takes over; with `--shared` both work.

use super::process::{PATIENCE, have};
use super::screen::{Screen, exact};
use super::stage::{SIZE, Stage, connect, types};

#[test]
fn the_second_client_takes_over() {
    if !have("take-over", &["Xvfb", "xterm"]) {
        return;
    }
    let mut stage = Stage::start();
    let screen = Screen::start(SIZE.0, SIZE.1);
    let addr = stage.agent.addr.to_string();
    let mut second = connect(&stage.dir, "second", Some(&screen), &addr, &["--fullscreen"]);
    assert_eq!(stage.client.exit_code(PATIENCE), 5, "{}", stage.client.err());
    let said = stage.client.all_err();
    assert!(said.contains("another client"), "{said}");
    println!("take-over: the first client said {:?}", said.lines().last());
    stage.here.paint_root(2);
    println!("take-over: the second is exact after {:?}", exact(&stage.here, &screen, PATIENCE));
    assert_eq!(second.ended(), None);
}

#[test]
fn shared_clients_both_live() {
    if !have("shared", &["Xvfb", "xterm"]) {
        return;
    }
    let mut stage = Stage::with(&["--shared"], &[], None);
    let screen = Screen::start(SIZE.0, SIZE.1);
    let addr = stage.agent.addr.to_string();
    let mut second = connect(&stage.dir, "second", Some(&screen), &addr, &["--fullscreen"]);
    exact(&stage.here, &screen, PATIENCE);
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    types(&stage, &file, "from the first\n");
    println!("shared: the second is exact after {:?}", exact(&stage.here, &screen, PATIENCE));
    // The roles change: what is typed at the second is seen by both.
    std::mem::swap(&mut stage.client, &mut second);
    let first = std::mem::replace(&mut stage.there, screen);
    types(&stage, &file, "from the second\n");
    println!("shared: the first is exact after {:?}", exact(&stage.here, &first, PATIENCE));
    assert_eq!((stage.client.ended(), second.ended()), (None, None), "both live");
    drop(second);
}
