//! What a session survives: the agent killed, the client killed, the X server killed, another address. Each ends with
//! the right picture and no key held.

use super::process::{PATIENCE, Scratch, Signal, have, until};
use super::screen::{Screen, exact, no_key_held};
use super::stage::{Agent, SIZE, Stage, connect, types};
use std::time::Duration;
use telepane_model::Span;
use telepane_transport::relay::LinkModel;

/// The key of the letter a (`input-event-codes.h`).
pub const A: u8 = 30;
/// A lease is 250 ms, and the guard hears of the agent's end at once; the rest is for a loaded machine. Nothing else lets go of a key
/// as soon as that: a connection that is silent is given up after more.
pub const SOON: Duration = Duration::from_secs(10);

#[test]
fn an_agent_that_is_killed_holds_no_key_and_its_successor_is_found() {
    if !have("killed agent", &["Xvfb", "xterm"]) {
        return;
    }
    let mut stage = Stage::that_may_restart();
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    types(&stage, &file, "before\n");
    hold(&stage);
    stage.agent.run.signal(Signal::Kill);
    println!("killed agent: no key held after {:?}", no_key_held(&stage.here, SOON));
    stage.there.lift(A);
    assert_eq!(stage.agent.run.exit_code(PATIENCE), 128 + 9);

    stage.here.paint_root(2);
    let addr = stage.agent.addr.to_string();
    // With another code, so that only the client's enrolled key lets it in.
    let code = stage.dir.write("other-code", "ZZZZ-ZZZZ-ZZZZ").display().to_string();
    stage.agent = Agent::with_code(&stage.dir, &code, &addr, &["--display", &stage.here.name]);
    println!("killed agent: exact {:?} after its successor was ready", stage.exact());
    // The first key ended with its agent; it is an a and whatever the X server repeated of it.
    stage.there.type_text("\n");
    until("the line ended", PATIENCE, || read(&file).lines().count() == 2);
    let held = read(&file).lines().last().unwrap_or_default().to_owned();
    assert!(!held.is_empty() && held.bytes().all(|b| b == b'a'), "{held:?}");
    types(&stage, &file, "after\n");
    assert_eq!(stage.client.ended(), None, "the client lives");
    no_key_held(&stage.here, PATIENCE);
}

#[test]
fn a_client_that_is_killed_holds_no_key_and_another_one_goes_on() {
    if !have("killed client", &["Xvfb", "xterm"]) {
        return;
    }
    let mut stage = Stage::start();
    let _xterm = stage.terminal("exec cat");
    stage.there.click(200, 100);
    hold(&stage);
    stage.client.signal(Signal::Kill);
    println!("killed client: no key held after {:?}", no_key_held(&stage.here, SOON));
    stage.there.lift(A);
    assert_eq!(stage.client.exit_code(PATIENCE), 128 + 9);
    stage.here.paint_root(3);
    let addr = stage.agent.addr.to_string();
    stage.client = connect(&stage.dir, "second", Some(&stage.there), &addr, &["--fullscreen"]);
    println!("killed client: exact {:?} after another one was started", stage.exact());
}

#[test]
fn an_x_server_that_is_killed_and_comes_back_is_shown_again() {
    if !have("killed X server", &["Xvfb", "xterm"]) {
        return;
    }
    let here = Screen::start_apart(SIZE.0, SIZE.1);
    let mut stage = Stage::on(here, "127.0.0.1:0", Scratch::new(), &[], &[], None);
    stage.here.kill_and_restart(SIZE.0, SIZE.1, Duration::from_secs(1));
    stage.here.paint_root(4);
    println!("killed X server: exact {:?} after it came back", stage.exact());
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    types(&stage, &file, "again\n");
    assert_eq!((stage.agent.run.ended(), stage.client.ended()), (None, None), "both live");
}

#[test]
fn an_address_changes_in_mid_session() {
    if !have("address change", &["Xvfb", "xterm"]) {
        return;
    }
    let mut stage = Stage::with(&[], &[], Some(LinkModel { delay: Span::millis(10), ..LinkModel::default() }));
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    let relay = stage.relay.as_ref().expect("there is one");
    for round in 0..3 {
        relay.rebind_upstream();
        stage.here.paint_root(10 + round);
        types(&stage, &file, "moved\n");
        println!("address change: exact {:?} after a line was typed", stage.exact());
    }
    // Where nobody types, the agent hears of it with the client's next PING, after 25 s at the latest.
    relay.rebind_upstream();
    stage.here.paint_root(20);
    let exact = exact(&stage.here, &stage.there, Duration::from_secs(45));
    println!("address change: exact {exact:?} after it without input");
    assert_eq!(stage.client.ended(), None, "the client lives");
    until("the agent sees the other address", PATIENCE, || stage.agent.run.err().contains("the path changed"));
}

/// Presses the a at the client and waits until it is down on the host.
pub fn hold(stage: &Stage) {
    stage.there.press(A);
    until("the key is down on the host", PATIENCE, || stage.here.held() == [A + 8]);
}

pub fn read(file: &std::path::Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}
