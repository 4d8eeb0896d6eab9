//! Links that are dark for half a minute and for a minute: the session goes on by itself, nothing typed into the dark
//! arrives late, and no key is held.
//!
//! The longest test has the first name, so that the others run beside it.

use super::process::{PATIENCE, have, now, pause, until};
use super::screen::{NO_KEY, no_key_held};
use super::stage::{Stage, types};
use super::survival::{A, SOON, hold, read};
use std::time::Duration;
use telepane_model::Span;
use telepane_transport::relay::LinkModel;

#[test]
fn blackouts_of_half_a_minute_and_a_minute() {
    if !have("blackout", &["Xvfb", "xterm"]) {
        return;
    }
    std::thread::scope(|scope| {
        for seconds in [30, 60] {
            scope.spawn(move || blackout(Duration::from_secs(seconds)));
        }
    });
}

fn blackout(length: Duration) {
    let mut stage = Stage::with(&[], &[], Some(LinkModel { delay: Span::millis(10), ..LinkModel::default() }));
    stage.there.repeat_no_key();
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    types(&stage, &file, "before\n");
    let relay = stage.relay.as_ref().expect("there is one");
    let start = now();
    hold(&stage);
    relay.blackout(true);
    let released = no_key_held(&stage.here, SOON);
    pause(Duration::from_millis(500));
    stage.there.lift(A);
    stage.there.type_text("typed into the dark");
    for seed in 0..4 {
        stage.here.paint_root(20 + seed);
        pause((length / 4).saturating_sub(start.elapsed() / 4));
    }
    pause(length.saturating_sub(start.elapsed()));
    assert_eq!(stage.client.ended(), None, "the client waits");
    let end = now();
    relay.blackout(false);
    let exact = stage.exact();
    // The picture has been steady for a while when that returns.
    let passing = relay.answered_for().expect("something passed").saturating_sub(end.elapsed() - exact);
    let anew = stage.client.err().matches("welcome").count() > 1;
    println!(
        "blackout of {length:?}: no key held after {released:?}, exact {exact:?} after its end and {passing:?} after \
         the first packet that passed and was answered, on a new connection: {anew}"
    );
    assert_eq!(stage.here.held(), NO_KEY, "no key came back");
    stage.there.type_text("\n");
    until("the line ended", PATIENCE, || read(&file).lines().count() == 2);
    assert_eq!(read(&file), "before\na\n", "what was typed into the dark is not delivered late");
    types(&stage, &file, "after\n");
}
