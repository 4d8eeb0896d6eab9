//! What a person sees in the window: what the host has to say, who else is there, that the session is about to end.

use super::life::{list, session};
use super::process::{PATIENCE, Signal, have, until};
use super::screen::keep;
use super::stage::{Stage, connect};

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
    let settings = ["--session", "idle-timeout=30s", "--session", "idle-timeout-warning=24"];
    let mut stage = Stage::with(&settings, &[], None);
    says_something(&stage, "idle-warning");
    assert!(list(&stage.dir)[0]["ending"].is_string());
    stage.there.click(200, 100);
    println!("idle warning: gone {:?} after a click", stage.exact());
    assert!(list(&stage.dir)[0]["ending"].is_null());
    assert_eq!(stage.client.ended(), None, "{}", stage.client.err());
}
