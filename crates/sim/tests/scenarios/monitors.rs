//! Monitors of unlike rates: each is sent what it shows, and no more.

use crate::kit::{fill_noise, host_at, link, play, until_exact, world};
use telepane_model::{Monitor, Rect, Region, Size, Span};
use telepane_sim::{Canvas, Direction};

/// A mark that is drawn anew with every picture of a half, whose colour says which it is.
const MARK: u32 = 8;

/// On each half something small changes all the time, 144 times a second.
fn lively(seed: u64, until_ms: u64) -> Canvas {
    let mut t = 0u8;
    Canvas::new(Size::new(640, 320), seed, Span::micros(6_944), host_at(until_ms), move |p, rng| {
        t = t.wrapping_add(1);
        let mut changed = Region::new();
        for left in [0, 320] {
            let r = Rect::new(left + 100, 100, 24, 24);
            fill_noise(p, r, rng);
            let mark = Rect::new(left + 8, 8, MARK, MARK);
            p.fill(mark, [t, 9, 9]);
            [r, mark].into_iter().for_each(|r| changed.add(r));
        }
        changed
    })
}

// spec: H-67, Y-45
#[test]
fn what_moves_on_a_slow_monitor_is_sent_as_often_as_it_shows_and_a_fast_one_beside_it_waits_for_nothing() {
    let measured = [144_000, 30_000].map(|left| {
        let w = world(181, link(100, 20), lively(181, 6_000));
        let mut result = (0, [0u32; 2]);
        play("monitors::what_moves_on_a_slow_monitor", w, |w| {
            let half = |x, refresh| Monitor { place: Rect::new(x, 0, 320, 320), refresh, ..Monitor::default() };
            w.ask_monitors(vec![half(0, left), half(320, 144_000)]);
            w.run(Span::secs(1));
            let (before, mut marks) = (w.bytes(Direction::Down), [0; 2]);
            while w.now() < 5_000_000 {
                w.run(Span::millis(1));
                let (shown, _) = w.pictures().expect("it is there");
                let now = [8, 328].map(|x| shown.row(x, 8, 1)[0]);
                for (n, (now, mark)) in now.into_iter().zip(&mut marks).enumerate() {
                    result.1[n] += u32::from(now != *mark);
                    *mark = now;
                }
            }
            result.0 = w.bytes(Direction::Down) - before;
            w.run_to(6_000_000);
            let ms = until_exact(w, Span::secs(1));
            assert!(w.faults.is_empty());
            println!(
                "{} Hz beside 144 Hz: {} kB in 4 s, {:?} pictures; exact {ms:.0} ms after the last",
                left / 1_000,
                result.0 / 1_000,
                result.1
            );
        });
        result
    });
    let [(all, both), (less, mixed)] = measured;
    // A sixteenth more than it shows, and what was drawn in two steps (H-67).
    assert!(mixed[0] <= 4 * 32 + 8, "{mixed:?}");
    assert!(mixed[1] >= both[1] * 97 / 100 && both.iter().all(|n| *n > 4 * 120), "{both:?}, {mixed:?}");
    assert!(less * 10 < all * 7, "{less} bytes of {all}");
}
