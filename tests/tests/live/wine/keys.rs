//! The system's shortcuts, kept from it by a hook below it: Wine answers Alt+F4 as Windows does, by closing the window.

use super::super::keyboards::hears;
use super::super::process::{PATIENCE, now, pause, until};
use super::super::screen::{LEFT_ALT, LEFT_CTRL, LEFT_SHIFT, Screen, keep, no_key_held};
use super::{ends, give_keyboard, staged};
use std::time::Duration;

const ESCAPE: u8 = 1;
const TAB: u8 = 15;
const SPACE: u8 = 57;
const F4: u8 = 62;
const SUPER: u8 = 125;
const CAPS: u8 = 58;
/// As X counts them.
const X: u8 = 8;

/// These keys, one after the other, are down on the host together.
fn goes(here: &Screen, there: &Screen, keys: &[u8]) {
    keys.iter().for_each(|key| there.press(*key));
    let mut down: Vec<u8> = keys.iter().map(|key| key + X).collect();
    down.sort_unstable();
    until("they are down on the host", PATIENCE, || here.held() == down);
    keys.iter().rev().for_each(|key| there.lift(*key));
    no_key_held(here, PATIENCE);
}

// spec: Y-34
#[test]
fn windows_shortcuts_go_to_the_desktop_from_the_full_screen_and_back_by_request() {
    let Some((_wine, mut stage)) = staged("Windows: shortcuts", &[]) else { return };
    let (here, there) = (&stage.here, &stage.there);
    hears(there, here);
    stage.exact();
    goes(here, there, &[SUPER]);
    let told = || here.picture().changed(&there.picture()).is_some_and(|(n, _)| n > 2_000);
    until("the way out is told", PATIENCE, told);
    keep(there, "wine-way-out");
    stage.exact();
    for keys in [&[LEFT_ALT, TAB][..], &[LEFT_ALT, F4], &[LEFT_ALT, ESCAPE], &[LEFT_ALT, SPACE], &[LEFT_CTRL, ESCAPE]] {
        goes(here, there, keys);
    }
    goes(here, there, &[LEFT_CTRL, LEFT_SHIFT, ESCAPE]);
    assert!(!told(), "once");
    assert_eq!(stage.client.ended(), None, "{}", stage.client.err());

    // Nothing that is held outlives the keyboard, and the hook ends with it and comes back with it.
    for held in [&[SUPER][..], &[LEFT_ALT, TAB]] {
        held.iter().for_each(|key| there.press(*key));
        until("they are down on the host", PATIENCE, || here.held().len() == held.len());
        there.focus_nobody();
        no_key_held(here, PATIENCE);
        held.iter().rev().for_each(|key| there.lift(*key));
        give_keyboard(there);
        hears(there, here);
        goes(here, there, &[LEFT_ALT, TAB]);
        goes(here, there, &[SUPER]);
    }

    // Given back, they are this system's.
    there.chord('g');
    no_key_held(here, PATIENCE);
    hears(there, here);
    [LEFT_ALT, F4].into_iter().for_each(|key| there.press(key));
    assert_eq!(ends(&mut stage.client), 0, "Alt+F4 closes the window: {}", stage.client.err());
    [F4, LEFT_ALT].into_iter().for_each(|key| there.lift(key));
}

// spec: Y-34
#[test]
fn what_a_hook_takes_keeps_its_place_among_the_other_keys() {
    let Some((_wine, stage)) = staged("Windows: order", &[]) else { return };
    let (here, there) = (&stage.here, &stage.there);
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("stty raw -echo; exec cat > {}", file.display()));
    there.click(200, 100);
    until("the terminal hears", PATIENCE, || {
        there.type_text(".");
        std::fs::read(&file).is_ok_and(|typed| !typed.is_empty())
    });
    stage.exact();
    let mut wanted = std::fs::read_to_string(&file).expect("it is there");
    // As fast as the server takes them.
    let tap = |key: u8| {
        there.press(key);
        there.lift(key);
    };
    // What xterm makes of a key with Alt: the character with its eighth bit.
    let with_alt = |c: u8| char::from(c | 0x80);
    for n in 0..100usize {
        let (key, letter) = [(30, b'a'), (48, b'b'), (46, b'c')][n % 3];
        tap(key);
        wanted.push(char::from(letter));
        there.press(LEFT_ALT);
        let (taken, gives) = [(TAB, b'\t'), (ESCAPE, 0x1b), (SPACE, b' ')][n / 3 % 3];
        tap(taken);
        wanted.push(with_alt(gives));
        if n % 2 == 0 {
            tap(key);
            wanted.push(with_alt(letter));
        }
        there.lift(LEFT_ALT);
    }
    let typed = || std::fs::read_to_string(&file).unwrap_or_default();
    let start = now();
    while typed() != wanted && start.elapsed() < PATIENCE {
        pause(Duration::from_millis(20));
    }
    assert_eq!(typed(), wanted);
    no_key_held(here, PATIENCE);
}

#[test]
fn windows_lock_keys_are_told_when_the_keyboard_comes() {
    let Some((_wine, stage)) = staged("Windows: lock keys", &[]) else { return };
    let (here, there) = (&stage.here, &stage.there);
    hears(there, here);
    for on in [true, false] {
        there.focus_nobody();
        no_key_held(here, PATIENCE);
        there.press(CAPS);
        there.lift(CAPS);
        assert_eq!(there.locks().0, on);
        give_keyboard(there);
        hears(there, here);
        until("it is one state for both", PATIENCE, || here.locks().0 == on);
    }
}
