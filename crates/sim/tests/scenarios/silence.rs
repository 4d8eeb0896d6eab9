//! Blackouts, sleep, leases, restarts: what survives when nobody is heard.

use crate::kit::{busy, host_at, link, patch, play, press, until_exact, until_shown, world};
use telepane_model::{InputEvent, KeyCode, KeyMove, Size, Span};
use telepane_sim::{Canvas, Direction, World};

/// A screen that changes once in `every_ms` until `until_ms`.
fn seldom(seed: u64, every_ms: u64, until_ms: u64) -> Canvas {
    Canvas::new(Size::new(400, 300), seed, Span::millis(every_ms), host_at(until_ms), patch)
}

#[test]
fn a_viewer_silent_for_five_seconds_is_exact_soon_after_it_returns() {
    let w = world(21, link(20, 40), busy(21, (400, 300), 7_500));
    play("silence::a_viewer_silent_for_five_seconds_is_exact_soon_after_it_returns", w, |w| {
        w.run(Span::secs(2));
        w.sleep(true);
        w.run(Span::secs(5));
        w.sleep(false);
        let back = w.now();
        w.run(Span::millis(500));
        let first = w.presents.iter().find(|at| **at > back).map(|at| (at - back) as f64 / 1e3);
        let took = until_exact(w, Span::secs(1));
        println!(
            "after 5 s of sleep the first picture came after {first:?} ms, exact {took:.0} ms after the last change"
        );
        assert!(first.is_some_and(|ms| ms < 240.0), "{first:?}");
        assert!(w.faults.is_empty() && w.attached.is_empty());
    });
}

/// 100 worlds of 100 presses, the blackout at every hundredth of the time between two presses.
#[test]
fn a_blackout_at_any_phase_types_nothing_extra_late_or_lost_in_silence() {
    let (mut pressed, mut delivered, mut dropped) = (0, 0, 0);
    for phase in 0..100 {
        let w = world(100 + phase, link(20, 40), Canvas::still(Size::new(200, 40), phase));
        play("silence::a_blackout_at_any_phase", w, |w| {
            for i in 0..100 {
                press(w, 500 + i * 97, 16 + (i % 30) as u16, 50);
            }
            w.run_to(4_000_000 + phase * 970);
            w.blackout(true);
            w.run(Span::secs(2));
            w.blackout(false);
            w.run_to(16_000_000);
            w.oracle.check_keys(Span::secs(2), w.dropped_input());
            pressed += w.oracle.pressed();
            delivered += w.oracle.delivered();
            dropped += w.dropped_input();
            assert!(w.is_exact() && w.faults.is_empty());
        });
    }
    println!("{pressed} presses, {delivered} delivered, {dropped} events said to be dropped");
    assert_eq!(pressed, 10_000);
    // A blackout of 2 s costs what was pressed in its first moments, and no more.
    assert!(delivered >= 9_850, "{delivered}");
}

#[test]
fn a_laptop_that_slept_for_an_hour_is_exact_soon_after_it_wakes() {
    let w = world(22, link(20, 40), seldom(22, 60_000, 4_000_000));
    play("silence::a_laptop_that_slept_for_an_hour", w, |w| {
        press(w, 1_000, 30, 50);
        w.run(Span::secs(10));
        w.sleep(true);
        w.run(Span::secs(3_600));
        w.sleep(false);
        let took = until_exact(w, Span::secs(3));
        println!("exact {took:.0} ms after waking, by a new connection: {}", !w.attached.is_empty());
        assert!(took < 480.0, "{took} ms: two round trips and 0.3 s, and the wish for a connection");
        let at = w.now() / 1_000 + 200;
        press(w, at, 31, 50);
        w.run(Span::secs(5));
        assert_eq!(w.oracle.delivered(), 2);
        assert!(w.is_exact() && !w.dimmed && w.faults.is_empty());
    });
}

/// A held letter and a held Shift: released 250 ms after their last refresh; Shift comes back, the letter does not.
#[test]
fn leases_end_in_a_blackout_and_modifiers_return() {
    let w = world(23, link(20, 40), Canvas::still(Size::new(200, 100), 23));
    play("silence::leases_end_in_a_blackout_and_modifiers_return", w, |w| {
        press(w, 1_000, 42, 4_000);
        press(w, 1_100, 30, 4_000);
        w.run_to(1_500_000);
        w.blackout(true);
        w.run(Span::millis(1_500));
        w.blackout(false);
        w.run_to(4_000_000);
        let ends = w.lease_ends.first().map(|at| *at as f64 / 1e3).expect("the lease ended");
        println!("blackout from 1500 ms, held keys released at {ends:.1} ms");
        // The last refresh left at most 60 ms before the blackout and was 20 ms on its way.
        assert!((1_690.0..=1_770.5).contains(&ends), "{ends}");
        let downs = |code| w.injected.iter().filter(|(_, e)| is(e, code, KeyMove::Down)).count();
        assert_eq!((downs(42), downs(30)), (2, 1), "Shift returned, the letter did not");
        w.run_to(6_000_000);
        let last = |code| {
            w.injected.iter().rfind(|(_, e)| matches!(e, InputEvent::Key { code: KeyCode(c), .. } if *c == code))
        };
        assert!(
            last(42).is_some_and(|(_, e)| is(e, 42, KeyMove::Up))
                && last(30).is_some_and(|(_, e)| is(e, 30, KeyMove::Up))
        );
    });
}

fn is(event: &InputEvent, of: u16, how: KeyMove) -> bool {
    *event == InputEvent::Key { code: KeyCode(of), action: how }
}

/// The screen changes and a key is pressed while nothing passes; time counts from the first packet that passes.
fn blackout_of(seconds: u64, rtt: u64) {
    let w = world(24 + seconds, link(20, rtt), seldom(24, 1_000, (seconds + 2) * 1_000));
    play("silence::long_blackouts", w, |w| {
        w.run(Span::millis(2_300));
        w.blackout(true);
        press(w, 3_000, 30, 40);
        w.run(Span::secs(seconds));
        assert!(w.dimmed, "the picture is dimmed");
        w.path(Direction::Up).passed_at = None;
        w.blackout(false);
        let exact = until_shown(w, Span::secs(4));
        let ended = 2_300_000 + seconds * 1_000_000;
        // The first packet is one of the living connection, or the first of a handshake of two round trips and a half.
        let living = w.path(Direction::Up).passed_at;
        let shaken = w.attached.iter().map(|at| at - 1_000 - rtt * 2_500);
        let first = shaken.chain(living).min().expect("something passed");
        let passed = (first - ended) as f64 / 1e3;
        let back = w.silences.last().and_then(|(_, back)| *back).map(|at| (at - ended) as f64 / 1e3 - passed);
        let took = exact - passed;
        let anew = !w.attached.is_empty();
        println!(
            "{seconds} s blackout, round trip {rtt} ms: first packet after {passed:.0} ms, heard {back:?} ms and exact {took:.0} ms after it; new connection: {anew}"
        );
        let most = if anew { 2.0 * rtt as f64 + 300.0 } else { rtt as f64 + 200.0 };
        assert!(took <= most, "{took} ms, {most} allowed");
        assert!(back.is_some_and(|ms| ms <= most), "{back:?}");
        w.run(Span::secs(4));
        assert!(w.is_confirmed());
        // The press that was two seconds old long before is never delivered, and that is said.
        assert_eq!((w.oracle.delivered(), w.dropped_input() >= 1), (0, true));
        assert!(w.is_exact() && w.faults.is_empty());
    });
}

#[test]
fn long_blackouts_end_exact_soon_after_the_first_packet_passes() {
    for rtt in [4, 40, 150] {
        blackout_of(30, rtt);
        blackout_of(60, rtt);
    }
}

#[test]
fn an_agent_that_is_started_again_makes_the_viewer_exact() {
    let w = world(25, link(20, 40), busy(25, (400, 300), 6_000));
    play("silence::an_agent_that_is_started_again_makes_the_viewer_exact", w, |w| {
        for i in 0..40 {
            press(w, 500 + i * 100, 16 + (i % 20) as u16, 40);
        }
        w.run(Span::millis(2_345));
        let before = w.position().0;
        w.restart_host();
        let died = w.now();
        w.run(Span::secs(2));
        let after = w.position().0;
        let shown = w.presents.iter().find(|at| **at > died).map(|at| (at - died) as f64 / 1e3);
        println!("{before:?} before, {after:?} after; the new agent's picture came after {shown:?} ms");
        assert!(after > before && shown.is_some_and(|ms| ms < 400.0), "{shown:?}");
        w.run_to(6_000_000);
        let took = until_exact(w, Span::secs(2));
        assert!(took < 300.0, "{took}");
        let lost = w.oracle.pressed() - w.oracle.delivered();
        println!("{lost} presses fell between the two agents, {} said to be dropped", w.dropped_input());
        w.oracle.check_keys(Span::secs(2), w.dropped_input());
        assert!(lost <= 4 && w.faults.is_empty());
    });
}

/// After 35 s in which nothing happens both sides send at most one datagram and wake at most once a second.
#[test]
fn idle_is_idle() {
    let idle = |screen: Canvas, keys: bool| -> (u64, u64, [u64; 2]) {
        let mut out = (0, 0, [0; 2]);
        let w = world(26, link(20, 40).losing(2), screen);
        play("silence::idle_is_idle", w, |w: &mut World| {
            if keys {
                press(w, 3_000, 30, 80);
            }
            w.run(Span::secs(38));
            let before = (w.path(Direction::Down).packets, w.path(Direction::Up).packets, w.wakes);
            w.wake_reasons.clear();
            w.run(Span::secs(60));
            out = (
                w.path(Direction::Down).packets - before.0,
                w.path(Direction::Up).packets - before.1,
                [w.wakes[0] - before.2[0], w.wakes[1] - before.2[1]],
            );
            println!(
                "in 60 idle seconds: datagrams down {}, up {}, wakes {:?} {:?}",
                out.0, out.1, out.2, w.wake_reasons
            );
            assert!(w.is_exact() && w.is_confirmed());
        });
        out
    };
    for (screen, keys) in [
        (busy(26, (400, 300), 3_000), true),
        (Canvas::still(Size::new(300, 200), 26), true),
        (Canvas::still(Size::new(300, 200), 26), false),
    ] {
        let (down, up, [host, viewer]) = idle(screen, keys);
        assert_eq!((down, up), (0, 0), "not a datagram");
        assert_eq!((host, viewer), (0, 0), "not a wake-up");
    }
}
