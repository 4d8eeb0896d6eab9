//! The end, whenever it is wanted: SIGTERM to the agent, Ctrl+C to the client at every stage.

use super::process::{PATIENCE, Scratch, Signal, have, now, until};
use super::screen::Screen;
use super::stage::{Agent, Stage, connect, connect_without_code};
use std::net::UdpSocket;

#[test]
fn an_agent_that_is_asked_to_stop_stops_and_says_so() {
    if !have("clean stop", &["Xvfb"]) {
        return;
    }
    let mut stage = Stage::start();
    let start = now();
    stage.agent.run.signal(Signal::Terminate);
    assert_eq!(stage.agent.run.exit_code(PATIENCE), 0, "{}", stage.agent.run.err());
    println!("clean stop: the agent ended after {:?}", start.elapsed());
    // A client that was not told would notice nothing for as long as nobody types.
    let told =
        until("the client looks for the agent", PATIENCE, || stage.client.err().contains("trying a new connection"));
    println!("clean stop: the client knew {told:?} later");
    assert_eq!(stage.client.ended(), None, "it waits, because the agent may be starting again");
    stage.client.signal(Signal::Interrupt);
    assert_eq!(stage.client.exit_code(PATIENCE), 0);
}

#[test]
fn ctrl_c_while_connecting() {
    let dir = Scratch::new();
    interrupted_while_connecting(&dir, None);
    if have("Ctrl+C in a window", &["Xvfb"]) {
        interrupted_while_connecting(&dir, Some(&Screen::start(640, 480)));
    }
}

fn interrupted_while_connecting(dir: &Scratch, screen: Option<&Screen>) {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    silent.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let addr = silent.local_addr().expect("bound").to_string();
    let mut client = connect(dir, "client", screen, &addr, &[]);
    silent.recv(&mut [0; 2048]).expect("the client tries");
    client.signal(Signal::Interrupt);
    assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.err());
}

#[test]
fn ctrl_c_while_a_code_is_asked_for_and_in_session() {
    if !have("Ctrl+C in a window", &["Xvfb"]) {
        return;
    }
    let dir = Scratch::new();
    let agent = Agent::start(&dir, &["--synthetic", "editor"]);
    let addr = agent.addr.to_string();
    let screen = Screen::start(640, 480);
    let mut asking = connect_without_code(&dir, "asking", Some(&screen), &addr, &["--fullscreen"]);
    // The question is drawn over the whole window in more than one colour.
    until("the window asks", PATIENCE, || screen.picture().lively() > 100);
    let empty = screen.picture();
    screen.type_text("abcd");
    until("the answer is seen", PATIENCE, || screen.picture() != empty);
    asking.signal(Signal::Interrupt);
    assert_eq!(asking.exit_code(PATIENCE), 0, "{}", asking.err());

    let mut live = connect(&dir, "live", Some(&screen), &addr, &["--fullscreen"]);
    until("the session is there", PATIENCE, || live.err().contains("welcome"));
    live.signal(Signal::Interrupt);
    assert_eq!(live.exit_code(PATIENCE), 0, "{}", live.err());
    let mut headless = connect(&dir, "live", None, &addr, &[]);
    until("the session is there", PATIENCE, || headless.err().contains("welcome"));
    headless.signal(Signal::Interrupt);
    assert_eq!(headless.exit_code(PATIENCE), 0, "{}", headless.err());
}

#[test]
fn closing_the_window_ends_it_at_every_stage() {
    if !have("closing the window", &["Xvfb"]) {
        return;
    }
    let dir = Scratch::new();
    let screen = Screen::start(640, 480);
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let addr = silent.local_addr().expect("bound").to_string();
    let mut connecting = connect(&dir, "connecting", Some(&screen), &addr, &["--fullscreen"]);
    until("the window is there", PATIENCE, || !screen.windows().is_empty());
    screen.close_windows();
    // A loaded machine may have given the host up before it was asked.
    assert!([0, 3].contains(&connecting.exit_code(PATIENCE)), "{}", connecting.err());

    let agent = Agent::start(&dir, &["--synthetic", "editor"]);
    let addr = agent.addr.to_string();
    let mut asking = connect_without_code(&dir, "asking", Some(&screen), &addr, &["--fullscreen"]);
    until("the window asks", PATIENCE, || screen.picture().lively() > 100);
    until("the question waits", PATIENCE, || {
        screen.close_windows();
        asking.ended().is_some()
    });
    assert!([0, 4].contains(&asking.exit_code(PATIENCE)), "{}", asking.err());

    let mut live = connect(&dir, "live", Some(&screen), &addr, &["--fullscreen"]);
    until("the session is there", PATIENCE, || live.err().contains("welcome"));
    screen.close_windows();
    assert_eq!(live.exit_code(PATIENCE), 0, "{}", live.err());
}
