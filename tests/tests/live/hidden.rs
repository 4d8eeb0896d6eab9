//! A window that nobody can see.

use super::process::{PATIENCE, Signal, have, pause, until};
use super::sharing::{METRICS, counter, metrics_of};
use super::stage::{Stage, connect};
use std::time::Duration;

/// While it is off the screen, as a minimised one is, the host sends no picture; when it is back it shows what the host shows.
// spec: Y-43, K-92, H-74
#[test]
fn a_window_that_is_off_the_screen_is_sent_nothing_until_it_is_back() {
    if !have("a window that is off the screen", &["Xvfb", "xterm"]) {
        return;
    }
    let mut stage = Stage::with(&METRICS, &[], None);
    let metrics = metrics_of(&stage.agent);
    let sent = || counter(&metrics, "telepane_slices_sent_total");
    let captured = || counter(&metrics, "telepane_frames_captured_total");
    let sent_in_a_second = || {
        let before = sent();
        pause(Duration::from_secs(1));
        sent() - before
    };
    let lines = stage.terminal("while :; do date; sleep 0.04; done");
    until("what is written is sent", PATIENCE, || sent_in_a_second() > 5);
    stage.there.show_windows(false);
    until("the host sends no more", PATIENCE, || sent_in_a_second() == 0);
    let before = captured();
    assert_eq!(sent_in_a_second(), 0);
    assert_eq!(captured(), before, "nor does it read its screen");
    stage.there.show_windows(true);
    until("the host sends again", PATIENCE, || sent_in_a_second() > 5);
    stage.there.show_windows(false);
    until("the host sends no more", PATIENCE, || sent_in_a_second() == 0);
    drop(lines);
    stage.there.show_windows(true);
    println!("exact {:?} after the window was back", stage.exact());
    // Nobody is there at all, while the screen is written on.
    let lines = stage.terminal("while :; do date; sleep 0.04; done");
    until("what is written is sent", PATIENCE, || sent_in_a_second() > 5);
    stage.client.signal(Signal::Terminate);
    until("the viewer is gone", PATIENCE, || stage.client.ended().is_some());
    until("the host rests", PATIENCE, || {
        let before = captured();
        pause(Duration::from_secs(1));
        captured() == before
    });
    drop(lines);
    stage.client = connect(&stage.dir, "second", Some(&stage.there), &stage.agent.addr.to_string(), &["--fullscreen"]);
    println!("exact {:?} after another viewer was started", stage.exact());
}
