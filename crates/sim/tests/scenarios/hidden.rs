//! A window that nobody sees costs nothing, and is up to date as soon as somebody does.

use crate::kit::{film_frame, host_at, link, patch, play, until_shown, world};
use telepane_model::{Size, Span};
use telepane_sim::{Canvas, Direction, World};

/// A film beside small changes, until `until_ms`.
fn lively(seed: u64, until_ms: u64) -> Canvas {
    let mut t = 0;
    Canvas::new(Size::new(448, 320), seed, Span::micros(33_333), host_at(until_ms), move |p, rng| {
        t += 3;
        let mut changed = film_frame(p, t, rng);
        patch(p, rng).rects().iter().for_each(|r| changed.add(*r));
        changed
    })
}

// spec: K-92, H-74, Y-43
#[test]
fn a_minimised_window_is_sent_nothing_and_has_the_newest_pixels_when_it_is_back() {
    let w = world(171, link(20, 40), lively(171, 60_000));
    play("hidden::a_minimised_window_is_sent_nothing_and_has_the_newest_pixels_when_it_is_back", w, |w| {
        let second = |w: &mut World| {
            let before = w.bytes(Direction::Down);
            w.run(Span::secs(1));
            w.bytes(Direction::Down) - before
        };
        w.run(Span::secs(3));
        let seen = second(w);
        w.hide(true);
        // A second in which it may only be covered for a moment, and one to refine what was shown last.
        w.run(Span::secs(3));
        let hidden: u64 = (0..10).map(|_| second(w)).sum();
        println!("{seen} bytes in a second that is seen, {hidden} in ten that are not");
        assert!(seen > 100_000 && hidden / 10 < seen / 100);
        assert!(!w.is_exact(), "the desktop went on");
        w.hide(false);
        w.run(Span::secs(1));
        let again = second(w);
        assert!(again > seen / 2, "{again} bytes in a second that is seen again");
        w.hide(true);
        w.run_to(61_000_000);
        w.hide(false);
        let ms = until_shown(w, Span::secs(1));
        println!("exact {ms} ms after it was seen again");
    });
}

// spec: Y-43
#[test]
fn what_was_hidden_is_hidden_still_after_a_lost_connection() {
    let w = world(172, link(20, 40), lively(172, 60_000));
    play("hidden::what_was_hidden_is_hidden_still_after_a_lost_connection", w, |w| {
        w.run(Span::secs(2));
        w.hide(true);
        w.run(Span::secs(2));
        w.restart_host();
        w.run(Span::secs(6));
        let before = w.bytes(Direction::Down);
        w.run(Span::secs(4));
        assert!(w.bytes(Direction::Down) - before < 10_000);
        w.hide(false);
        w.run(Span::secs(1));
        assert!(w.bytes(Direction::Down) - before > 50_000);
    });
}
