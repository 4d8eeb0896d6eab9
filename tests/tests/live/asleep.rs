//! A host that really sleeps, wakes, goes down and is switched on again.

use super::guest::{Guest, SLOW, can, disk};
use super::process::{PATIENCE, Scratch, have, now, own_address, pause, program, until};
use super::screen::{Screen, keep};
use super::stage::connect;
use std::time::Duration;

/// Longer than a connection lives without a word, so that the client has to look for the host anew.
const NAP: Duration = Duration::from_secs(40);

// spec: H-57, K-81, H-15, K-15
#[test]
fn a_machine_that_goes_down_or_sleeps_says_so_and_its_viewer_is_back_when_it_is() {
    if !can("a real sleep") || !have("a real sleep", &["Xvfb"]) {
        return;
    }
    let dir = Scratch::new();
    let disk = disk(&dir, &program("telepane-host"));
    let mut guest = Guest::start(&dir, &disk, own_address());
    let addr = guest.addr;
    let ready = |guest: &Guest| {
        println!("the agent is ready {:?} after the machine was switched on", guest.says("ready [::]:8443"));
        guest.says("logind says when this machine sleeps or goes down");
        assert!(!guest.console().contains("logind does not wait for us"), "a user who is not logged in may delay it");
    };
    ready(&guest);
    let there = Screen::start(800, 600);
    let mut client = connect(&dir, "client", Some(&there), &addr.to_string(), &["--fullscreen"]);
    let said = |words: &str| client.err().matches(words).count();
    until("the desktop is shown", SLOW, || said("welcome") == 1);
    answers(&there);

    // The power button, and the machine is switched on again.
    let asked = now();
    guest.press_power();
    until("the client is told", SLOW, || said("GoesDown") == 1);
    println!("told {:?} after the power button was pressed", asked.elapsed());
    guest.is_off();
    println!("it is off {:?} after", asked.elapsed());
    until("the client asks for the host", SLOW, || {
        there.click(20, 580);
        said("trying a new connection") > 0
    });
    keep(&there, "asleep-off");
    drop(guest);
    let mut guest = Guest::start(&dir, &disk, addr);
    ready(&guest);
    let ready = now();
    until("it is back by itself", SLOW, || said("welcome") == 2);
    println!("back by itself {:?} after the agent was ready", ready.elapsed());
    answers(&there);

    let asked = now();
    guest.press("sleep");
    until("the client is told", SLOW, || said("Sleeps") == 1);
    println!("told {:?} after the key was pressed", asked.elapsed());
    until("the machine sleeps", SLOW, || guest.sleeps());
    println!("it sleeps {:?} after the key was pressed", asked.elapsed());
    let slept = now();
    while slept.elapsed() < NAP {
        // Somebody wants to work, so the client asks for the host.
        there.click(20, 580);
        pause(Duration::from_secs(1));
        assert!(guest.sleeps(), "nobody woke it");
    }
    keep(&there, "asleep");
    let (woken, before) = (now(), said("There"));
    guest.wake();
    until("it is there again", SLOW, || said("There") > before);
    println!("there again {:?} after it was woken", woken.elapsed());
    answers(&there);
    keep(&there, "asleep-awake");
    let more = said("welcome") - 2;
    assert_eq!(said("resumed=true"), more, "the same session: {}", client.err());
    assert_eq!(client.ended(), None, "{}", client.err());
}

/// The desktop is shown and takes what is pressed: the menu of its window manager opens.
fn answers(there: &Screen) {
    let mut clicks = 0;
    let took = until("the menu opens", SLOW, || {
        let before = there.picture();
        // Now here, now there, so that the menu that is open is not opened where it is; and as often as a person would, because
        // the window manager may not be there yet.
        there.point(200 + clicks % 2 * 200, 100);
        there.press_button(3);
        there.lift_button(3);
        clicks += 1;
        let clicked = now();
        let mut opened = false;
        while !opened && clicked.elapsed() < PATIENCE / 4 {
            pause(Duration::from_millis(20));
            opened = there.picture().changed(&before).is_some_and(|(pixels, _)| pixels > 5_000);
        }
        opened
    });
    println!("the menu opens {took:?} after click {clicks}");
}
