//! The life of a session in hours that pass at once: a link lost for an hour, nobody at the keyboard, a host that sleeps.

use crate::kit::{busy, host_at, link, patch, play, press, until_exact, world};
use telepane_model::{InputEvent, KeyCode, KeyMove, Rng, Size, Span};
use telepane_protocol::{Goodbye, HostState};
use telepane_session::life::{Happened, Left, LifeOptions};
use telepane_sim::{Canvas, Direction, World};

const HOUR: u64 = 3_600;

fn told(w: &World) -> Vec<Happened> {
    w.life_events.iter().map(|e| e.what).collect()
}

/// The screen changes once a minute, also while nobody sees it.
fn minutes(seed: u64) -> Canvas {
    Canvas::new(Size::new(400, 300), seed, Span::secs(60), host_at(3 * HOUR * 1_000), patch)
}

// spec: H-55
#[test]
fn a_link_lost_for_an_hour_resumes_where_it_was() {
    let w = world(61, link(20, 40), minutes(61));
    play("life::a_link_lost_for_an_hour_resumes_where_it_was", w, |w| {
        w.live(LifeOptions::default());
        press(w, 1_000, 30, 50);
        w.run(Span::secs(10));
        let (epoch, whole) = (w.position().0, w.bytes(Direction::Down));
        w.blackout(true);
        w.run(Span::secs(HOUR));
        assert!(w.dimmed && w.attached.is_empty(), "it tries, and nothing passes");
        w.blackout(false);
        let began = w.now();
        let took = until_exact(w, Span::secs(10));
        let first = w.attached.first().map(|at| (at - began) as f64 / 1e3).expect("a new connection");
        // Two seconds lie between two tries after so long a silence.
        println!("after an hour: a connection after {first:.0} ms, exact after {took:.0} ms");
        assert!(took <= 2_500.0 && !w.dimmed);
        assert_eq!(w.position().0, epoch, "the same picture goes on");
        w.run(Span::secs(1));
        let more = w.bytes(Direction::Down) - whole;
        println!("the first picture took {whole} bytes, what changed in the hour {more}");
        press(w, w.now() / 1_000 + 100, 31, 50);
        w.run(Span::secs(5));
        assert_eq!(w.oracle.delivered(), 2);
        let back = Happened::Connected { resumed: true };
        let lost = Happened::Disconnected { why: Left::Lost };
        assert_eq!(told(w), [Happened::Connected { resumed: false }, Happened::LastInput, lost, back]);
        assert!(w.is_exact() && w.over.is_none() && w.faults.is_empty());
    });
}

/// A client vanishes without a word. The desktop is locked long before the connection is given up, and the link that comes
/// back in between finds everything as it was.
// spec: H-56, H-65
#[test]
fn who_vanishes_is_away_before_the_connection_ends_and_resumes_on_it() {
    let w = world(65, link(20, 40), minutes(65));
    play("life::who_vanishes", w, |w| {
        w.live(LifeOptions { lock: true, silence: Some(Span::secs(45)), ..LifeOptions::default() });
        press(w, 1_000, 30, 50);
        w.run(Span::secs(300));
        assert!(w.locks.is_empty(), "an idle viewer is there");
        let (went, epoch) = (w.now(), w.position().0);
        w.blackout(true);
        w.run(Span::secs(90));
        let after = w.locks.first().expect("locked") - went;
        println!(
            "locked {:.1} s after the last packet; the connection would have ended after 120 s",
            after as f64 / 1e6
        );
        assert!((45_000_000..=56_300_000).contains(&after), "{after}");
        w.blackout(false);
        w.run(Span::secs(30));
        assert_eq!((w.locks.len(), w.position().0), (1, epoch), "the same connection and picture");
        let silent = Happened::Disconnected { why: Left::Silent };
        let back = Happened::Connected { resumed: true };
        assert_eq!(told(w), [Happened::Connected { resumed: false }, Happened::LastInput, silent, back]);
        press(w, w.now() / 1_000 + 100, 31, 50);
        w.run(Span::secs(5));
        assert_eq!(w.oracle.delivered(), 2);
        assert!(w.is_exact() && w.over.is_none() && w.faults.is_empty());
    });
}

// spec: H-53, K-80
#[test]
fn nobody_at_the_keyboard_is_warned_stays_with_one_key_and_is_sent_home_without() {
    let w = world(62, link(20, 40), Canvas::still(Size::new(300, 200), 62));
    play("life::nobody_at_the_keyboard", w, |w| {
        w.live(LifeOptions { idle_timeout: Some(Span::secs(HOUR)), ..LifeOptions::default() });
        press(w, 10_000, 30, 50);
        // Up at 10.05 s, and 350 s before the hour is over the warning goes out.
        w.run_to(3_259_000_000);
        assert_eq!(w.warnings, []);
        w.run_to(3_300_000_000);
        let (at, on) = *w.warnings.last().expect("a warning");
        assert!(on && (3_260_000_000..3_260_200_000).contains(&at), "{at}");
        press(w, 3_310_000, 31, 50);
        w.run_to(3_311_000_000);
        let (at, on) = *w.warnings.last().expect("it is taken back");
        println!("the warning was taken back {} us after the key", at - 3_310_000_000);
        assert!(!on && w.over.is_none());
        w.run_to(8_000_000_000);
        let (at, why) = w.over.expect("it ended");
        assert_eq!((why, w.warnings.len()), (Goodbye::Idle, 3));
        assert!((6_910_000_000..6_910_300_000).contains(&at), "an hour after the last key: {at}");
        assert_eq!(told(w).last(), Some(&Happened::Ended { why: Left::Idle }));
        assert!(w.faults.is_empty());
    });
}

// spec: H-54
#[test]
fn a_day_of_work_ends_at_its_length_and_not_for_rest() {
    let w = world(63, link(20, 40), Canvas::still(Size::new(200, 100), 63));
    play("life::a_day_of_work", w, |w| {
        let idle_timeout = Some(Span::secs(HOUR));
        w.live(LifeOptions { idle_timeout, max_length: Some(Span::secs(8 * HOUR)), ..LifeOptions::default() });
        // A key every twenty minutes.
        for i in 0..24 {
            press(w, 60_000 + i * 1_200_000, 30, 50);
        }
        w.run(Span::secs(8 * HOUR + 60));
        let (at, why) = w.over.expect("it ended");
        println!("{} wake-ups of the host in eight hours, {:?}", w.wakes[0], told(w).len());
        assert_eq!((why, at / 1_000_000), (Goodbye::TooLong, 8 * HOUR));
        assert_eq!(
            w.warnings.iter().map(|(at, on)| (at / 1_000_000, *on)).collect::<Vec<_>>(),
            [(8 * HOUR - 350, true)]
        );
        assert!(w.faults.is_empty());
    });
}

// spec: K-81, K-82, Y-30
#[test]
fn a_host_that_sleeps_says_so_and_its_viewer_is_back_by_itself() {
    let w = world(64, link(20, 40), busy(64, (400, 300), 4_000));
    play("life::a_host_that_sleeps", w, |w| {
        w.live(LifeOptions::default());
        let host = telepane_protocol::Capabilities::default();
        assert_eq!(host.value(telepane_protocol::Capability::Life), 0, "what is not said is not done");
        w.run(Span::secs(5));
        w.inhibit(true);
        w.run(Span::secs(1));
        assert!(w.kept_awake);
        w.host_goes(HostState::Sleeps);
        w.run(Span::millis(300));
        assert_eq!(w.host_state, HostState::Sleeps, "before it is gone");
        w.blackout(true);
        w.run(Span::secs(HOUR));
        assert_eq!((w.host_state, w.kept_awake), (HostState::Sleeps, false), "nobody asks any more");
        w.host_goes(HostState::There);
        w.blackout(false);
        let took = until_exact(w, Span::secs(5));
        w.run(Span::secs(1));
        println!("exact {took:.0} ms after the host woke");
        assert_eq!((w.host_state, w.kept_awake, w.dimmed), (HostState::There, true, false));
        assert!(w.is_exact() && w.faults.is_empty());
    });
}

/// Ten thousand times the window loses the keyboard or the link breaks, at any moment of a key's life and on a path that
/// loses packets: afterwards nothing is down on the host.
// spec: H-21, H-22, H-23, Y-19
#[test]
fn ten_thousand_losses_of_focus_and_link_leave_no_key_down() {
    let (mut losses, mut presses, mut worst) = (0, 0, 0);
    for seed in 0..100 {
        let w = world(7_000 + seed, link(20, 40).losing(2), Canvas::still(Size::new(128, 64), seed));
        play("life::ten_thousand_losses", w, |w| {
            w.forget_journal();
            let mut rng = Rng::new(seed);
            for i in 0..100 {
                let t = w.now();
                // Shift, a letter and another one, pressed within 60 ms and never let go by the hand.
                for code in [42, 16 + rng.below(10) as u16, 30 + rng.below(9) as u16] {
                    let down = InputEvent::Key { code: KeyCode(code), action: KeyMove::Down };
                    w.input_at(t + rng.below(60_000), down);
                    presses += 1;
                }
                // All are pressed by then, some not yet there: what is pressed after a focus came back is truly held.
                w.run(Span::micros(60_000 + rng.below(40_000)));
                if i % 2 == 0 {
                    w.input_at(w.now(), InputEvent::Blur);
                    w.run(Span::millis(20 + rng.below(200)));
                    w.input_at(w.now(), InputEvent::Focus { caps: false, num: false });
                } else {
                    w.blackout(true);
                    w.run(Span::millis(rng.below(600)));
                    // The window is left while nothing passes; its keys are nobody's when the link is back.
                    w.input_at(w.now(), InputEvent::Blur);
                    w.run(Span::millis(rng.below(100)));
                    w.blackout(false);
                }
                losses += 1;
                // More than a lease and what is sent again for a loss.
                w.run(Span::millis(800));
                let held = w.held();
                assert!(held.is_empty(), "seed {seed}, loss {i}: {held:?} is down at {}", w.now());
                worst = worst.max(w.lease_ends.len());
            }
            assert!(w.faults.is_empty(), "{:?}", w.faults);
        });
    }
    println!("{losses} losses, {presses} presses, nothing left down");
    assert_eq!(losses, 10_000);
    assert!(worst > 0, "leases ended too");
}
