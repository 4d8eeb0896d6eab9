//! What a person sees in the window: what the host has to say, who else is there, that the session is about to end, and
//! that the agent was stopped and is back.

use super::life::{list, session};
use super::process::{PATIENCE, Signal, have, until};
use super::screen::{Screen, keep};
use super::stage::{Agent, Stage, connect, types};

/// Waits until the window shows the host's picture but for a line along its upper edge.
fn says_something(stage: &Stage, name: &str) {
    until("a line is shown over the picture", PATIENCE, || {
        let changed = stage.here.picture().changed(&stage.there.picture());
        changed.is_some_and(|(_, [low, high])| low.1 < 20 && high.1 < 120 && high.0 - low.0 > 200)
    });
    keep(&stage.there, name);
}

// spec: K-14, K-83
#[test]
fn a_message_is_shown_and_the_title_names_who_else_is_there() {
    if !have("message", &["Xvfb"]) {
        return;
    }
    let stage = Stage::with(&["--shared"], &[], None);
    let named = |wanted: bool| {
        until("the title follows", PATIENCE, || {
            stage.there.titles().iter().any(|t| t.ends_with("Telepane") && t.contains(" with bob@") == wanted)
        });
    };
    named(false);
    let addr = stage.agent.addr.to_string();
    let mut second = connect(&stage.dir, "second", None, &addr, &["--user", "bob", "--seconds", "600"]);
    named(true);
    println!("who is there: {:?}", stage.there.titles());
    assert_eq!(session(&stage.dir, &["message", "all", "The backup begins at six; please save your work."]).0, 0);
    says_something(&stage, "message");
    second.signal(Signal::Interrupt);
    assert_eq!(second.exit_code(PATIENCE), 0, "{}", second.err());
    named(false);
}

// spec: H-53, K-80
#[test]
fn an_idle_person_sees_the_session_s_end_coming_and_a_key_keeps_it() {
    if !have("idle warning", &["Xvfb"]) {
        return;
    }
    let settings = ["--session", "idle-timeout=60s", "--session", "idle-timeout-warning=48"];
    let mut stage = Stage::with(&settings, &[], None);
    says_something(&stage, "idle-warning");
    assert!(list(&stage.dir)[0]["ending"].is_string());
    stage.there.click(200, 100);
    println!("idle warning: gone {:?} after a click", stage.exact());
    assert!(list(&stage.dir)[0]["ending"].is_null());
    assert_eq!(stage.client.ended(), None, "{}", stage.client.err());
}

// spec: K-15, Y-22
#[test]
fn an_agent_that_is_stopped_says_so_and_its_client_is_back_by_itself() {
    if !have("stopped agent", &["Xvfb", "xterm"]) {
        return;
    }
    let mut stage = Stage::that_may_restart();
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    types(&stage, &file, "before\n");
    stage.agent.run.signal(Signal::Terminate);
    assert_eq!(stage.agent.run.exit_code(PATIENCE), 0, "{}", stage.agent.run.err());
    let light = |screen: &Screen| screen.picture().bgrx.iter().map(|part| u64::from(*part)).sum::<u64>();
    until("the picture goes dim", PATIENCE, || light(&stage.there) * 3 < light(&stage.here) * 2);
    until("it looks for the agent", PATIENCE, || stage.client.err().contains("trying a new connection"));
    keep(&stage.there, "stopped");
    assert_eq!(stage.client.ended(), None, "it waits, because the agent may be starting again");
    // Another code is asked of those who come new: this one is known by its key.
    let code = stage.dir.write("other-code", "ZZZZ-ZZZZ-ZZZZ").display().to_string();
    let addr = stage.agent.addr.to_string();
    stage.agent = Agent::with_code(&stage.dir, &code, &addr, &["--display", &stage.here.name]);
    println!("stopped agent: exact {:?} after its successor was ready", stage.exact());
    types(&stage, &file, "after\n");
    assert_eq!(stage.client.ended(), None, "{}", stage.client.err());
}
