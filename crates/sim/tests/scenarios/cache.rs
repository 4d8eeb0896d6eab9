//! The tile cache under trouble: windows that come back while packets are lost, epochs begin, viewers sleep and agents
//! are started again. The oracle compares every picture.

use crate::kit::{host_at, link, play, until_exact, until_shown, world};
use telepane_model::{Pixels, Rect, Region, Rng, Size, Span, Surf};
use telepane_sim::{Canvas, Direction};

const SIZE: (u32, u32) = (640, 400);

/// Two windows full of lines, one of which is raised every `every_ms`; `edits` pixels of it then change.
fn switching(seed: u64, every_ms: u64, until_ms: u64, edits: u64) -> Canvas {
    let size = Size::new(SIZE.0, SIZE.1);
    let window = move |n: u64, size: Size<Surf>| {
        let mut rng = Rng::new(seed + n);
        let mut p = Pixels::new(size);
        p.fill(size.rect(), [240, 250 - n as u8 * 9, 245]);
        for _ in 0..size.area() / 60 {
            let v = (rng.below(7) * 20) as u8;
            let (x, y) = (rng.below(u64::from(size.w)) as i32, rng.below(u64::from(size.h)) as i32);
            p.fill(Rect::new(x, y, 1 + rng.below(5) as u32, 2), [v, v, v / 2]);
        }
        p
    };
    let mut windows = [window(0, size), window(1, size)];
    Canvas::new(size, seed, Span::millis(every_ms), host_at(until_ms), move |p, rng| {
        windows.reverse();
        for _ in 0..edits {
            let (x, y) = (rng.below(u64::from(size.w)) as i32, rng.below(u64::from(size.h)) as i32);
            windows[0].fill(Rect::new(x, y, 1, 1), [rng.next_u64() as u8, 0, 0]);
        }
        p.paste(&windows[0], 0, 0);
        Region::from(p.size().rect())
    })
}

/// The first time costs what it costs; then a few hundred bytes, and as long as the path and one slice take.
#[test]
fn a_window_raised_again_is_there_at_once() {
    let w = world(51, link(20, 40), switching(51, 2_000, 9_000, 0));
    play("cache::a_window_raised_again_is_there_at_once", w, |w| {
        w.run_to(3_900_000);
        let first = w.coded_bytes;
        let mut worst = 0f64;
        for turn in 2..5u64 {
            w.run_to(turn * 2_000_000);
            worst = worst.max(until_shown(w, Span::secs(1)));
            w.run_to(turn * 2_000_000 + 1_900_000);
        }
        let again = (w.coded_bytes - first) / 3;
        println!("two windows {first} bytes; again {again} bytes, shown after {worst:.1} ms at most");
        assert!(first > 12_000 && again < 100, "{first} {again}");
        // Half of 40 ms, the coding and decoding of the cost table, and a slice on the wire.
        assert!(worst < 50.0, "{worst} ms");
        assert!(w.faults.is_empty());
    });
}

/// Losses, rebases, resizes and a viewer that sleeps: the oracle sees no picture that the host did not mean.
#[test]
fn nothing_that_happens_to_the_chain_spoils_the_cache() {
    for seed in 52..56 {
        let clean = link(20, 40);
        let w = world(seed, clean, switching(seed, 150, 9_000, 300));
        play("cache::nothing_that_happens_to_the_chain_spoils_the_cache", w, |w| {
            w.run(Span::secs(1));
            w.set_link(clean.losing(65), clean.losing(20));
            w.run(Span::secs(2));
            let lossy = w.rebases;
            w.resize(Size::new(600, 400));
            w.run(Span::secs(1));
            w.set_link(clean, clean);
            w.sleep(true);
            w.run(Span::secs(2));
            w.sleep(false);
            w.run(Span::millis(700));
            w.resize(Size::new(SIZE.0, SIZE.1));
            w.path(Direction::Down).lose_next = 3;
            w.run_to(9_100_000);
            let took = until_exact(w, Span::secs(2));
            println!("seed {seed}: {lossy} rebases under loss, exact {took:.0} ms after the end");
            assert!(lossy > 0 && w.faults.is_empty(), "{:?}", w.faults);
        });
    }
}

/// The agent is started again: what the viewer kept of it is not sent twice.
#[test]
fn a_new_agent_is_told_what_the_viewer_kept() {
    let w = world(57, link(20, 40), switching(57, 1_000, 20_000, 0));
    play("cache::a_new_agent_is_told_what_the_viewer_kept", w, |w| {
        w.run_to(4_900_000);
        let both = w.coded_bytes;
        w.restart_host();
        // What is on the screen is coded before the offer can arrive; the other window comes from the slots.
        w.run_to(5_600_000);
        let first = w.coded_bytes - both;
        w.run_to(9_900_000);
        let other = w.coded_bytes - both - first;
        println!("two windows {both} bytes; with a new agent {first} for the first, then {other}");
        assert!(first < both && other * 10 < both, "{first} and {other} of {both}");
        assert!(w.is_exact() && w.faults.is_empty() && !w.attached.is_empty());
    });
}

/// A viewer whose slots are empty although it put to them: one slice does not decode, and the next epoch is exact
/// without them.
#[test]
fn a_viewer_that_lost_its_slots_is_exact_after_one_refresh() {
    let w = world(58, link(20, 40), switching(58, 500, 6_000, 0));
    play("cache::a_viewer_that_lost_its_slots_is_exact_after_one_refresh", w, |w| {
        w.run_to(3_200_000);
        let (epoch, _) = w.position();
        w.lose_cache();
        w.run_to(6_500_000);
        let took = until_exact(w, Span::secs(1));
        println!("exact {took:.0} ms after the end, epoch {} after {}", w.position().0.0, epoch.0);
        assert_eq!(w.faults, ["BadPixels"]);
        // The slot's owner is asked once, and not again and again.
        assert_eq!(w.position().0.0, epoch.0 + 1);
    });
}
