//! Files and large pastes beside the work: they take what is left, and nobody notices.

use crate::kit::{busy, fill_noise, host_at, link, play, press};
use telepane_model::{ClipFormat, Pixels, Region, Rng, Size, Span};
use telepane_sim::{Canvas, Direction, LinkModel, World, WorldOptions};

const SIZE: Size<telepane_model::Surf> = Size::new(400, 300);

/// Typing for `secs` seconds from `from` ms on, about eight keys a second at uneven times.
fn typing(w: &mut World, from: u64, secs: u64) {
    for i in 0..secs * 8 {
        press(w, from + i * 125 + i * 37 % 61, 16 + (i % 20) as u16, 40);
    }
}

fn p(times: &mut [Span], part: usize) -> f64 {
    times.sort_unstable();
    times.get((times.len() * part / 100).min(times.len() - 1)).expect("keys were shown").as_millis_f64()
}

fn quiet(seed: u64, link: LinkModel) -> World {
    World::new(WorldOptions { journal: false, ..WorldOptions::new(seed, link, Box::new(Canvas::still(SIZE, seed))) })
}

/// DESIGN's row: 100 MB up and down while typing over 20 Mbit/s and 40 ms; the typing's p95 grows by less than 5 ms.
// spec: B-8
#[test]
fn a_hundred_megabytes_each_way_are_not_felt_by_a_typist() {
    const LOAD: u64 = 100_000_000;
    play("bulk::a_hundred_megabytes_each_way_are_not_felt_by_a_typist", quiet(71, link(20, 40)), |w| {
        w.run(Span::secs(1));
        typing(w, 1_000, 10);
        w.run_to(11_500_000);
        let mut before = std::mem::take(&mut w.key_times);
        w.load(Direction::Down, 2, LOAD);
        w.load(Direction::Up, 2, LOAD);
        let began = w.now();
        typing(w, 11_600, 40);
        w.run_to(51_700_000);
        let mut beside = std::mem::take(&mut w.key_times);
        while w.bulk.iter().any(|b| b.done.is_empty()) {
            assert!(w.now() - began < 120_000_000, "{:?}", w.bulk.clone().map(|b| b.came));
            w.run(Span::millis(100));
        }
        let loads = w.bulk.clone();
        let took = |i: usize| loads[i].done.get(&2).map_or(0.0, |at| (at - began) as f64 / 1e6);
        let rate = |i: usize| LOAD as f64 * 8.0 / took(i) / 1e6;
        let queues = [Direction::Down, Direction::Up].map(|d| w.path(d).worst_queue as f64 / 1e3);
        println!(
            "typing p50/p95 {:.1}/{:.1} ms alone, {:.1}/{:.1} ms beside 100 MB down in {:.1} s ({:.1} Mbit/s) and up in {:.1} s ({:.1} Mbit/s); longest queue {:.1} ms down, {:.1} ms up",
            p(&mut before, 50),
            p(&mut before, 95),
            p(&mut beside, 50),
            p(&mut beside, 95),
            took(0),
            rate(0),
            took(1),
            rate(1),
            queues[0],
            queues[1]
        );
        assert!(beside.len() >= 300, "{} keys were shown", beside.len());
        assert!(p(&mut beside, 95) < p(&mut before, 95) + 5.0);
        assert!(rate(0) > 12.0 && rate(1) > 12.0, "what nobody wants is used");
        assert!(w.faults.is_empty(), "{:?}", w.faults);
    });
}

/// A film-like change takes the link; bulk falls to its twentieth and comes back when it is over.
// spec: B-8
#[test]
fn bulk_yields_to_the_screen_and_comes_back() {
    let w = World::new(WorldOptions {
        journal: false,
        ..WorldOptions::new(72, link(20, 40), Box::new(busy(72, (400, 300), 6_000)))
    });
    play("bulk::bulk_yields_to_the_screen_and_comes_back", w, |w| {
        w.load(Direction::Down, 2, 40_000_000);
        w.run_to(6_000_000);
        let beside = w.bulk[0].came.get(&2).copied().unwrap_or(0);
        let mut ages = std::mem::take(&mut w.ages);
        w.run_to(8_000_000);
        let alone = w.bulk[0].came.get(&2).copied().unwrap_or(0) - beside;
        println!(
            "6 s beside 30 changes a second: {:.2} Mbit/s of bulk, ages p50/p95 {:.1}/{:.1} ms; 2 s after: {:.2} Mbit/s",
            beside as f64 * 8.0 / 6e6,
            p(&mut ages, 50),
            p(&mut ages, 95),
            alone as f64 * 8.0 / 2e6
        );
        assert!(alone as f64 * 8.0 / 2e6 > 12.0);
        assert!(w.faults.is_empty(), "{:?}", w.faults);
    });
}

/// A whole screen of noise takes the path for most of a second: a round trip after it appeared bulk has only its twentieth, as long as
/// anything of the screen waits, and a moment later it has everything again.
// spec: B-8
#[test]
fn bulk_yields_within_a_round_trip() {
    const SCREEN: Size<telepane_model::Surf> = Size::new(800, 600);
    const APPEARS: u64 = 2_000_000;
    let mut step = 0;
    let noise = move |p: &mut Pixels, rng: &mut Rng| {
        step += 1;
        if step != 1 + APPEARS / 100_000 {
            return Region::new();
        }
        fill_noise(p, SCREEN.rect(), rng);
        SCREEN.rect().into()
    };
    let canvas = Canvas::new(SCREEN, 74, Span::millis(100), host_at(2_050), noise);
    let w = World::new(WorldOptions { journal: false, ..WorldOptions::new(74, link(20, 40), Box::new(canvas)) });
    play("bulk::bulk_yields_within_a_round_trip", w, |w| {
        let came = |w: &World| w.bulk[0].came.get(&2).copied().unwrap_or(0);
        let mbps = |bytes: u64, us: u64| bytes as f64 * 8.0 / us as f64;
        w.load(Direction::Down, 2, 40_000_000);
        w.run_to(1_000_000);
        let before = came(w);
        w.run_to(APPEARS);
        let alone = mbps(came(w) - before, APPEARS - 1_000_000);
        // The way there, and a round trip.
        w.run_to(APPEARS + 60_000);
        let begun = came(w);
        assert!(!w.is_exact(), "the screen has appeared and is on its way");
        while !w.is_exact() {
            assert!(w.now() < APPEARS + 3_000_000, "the screen takes the path");
            w.run(Span::millis(1));
        }
        let (took, yielded) = (w.now() - APPEARS, came(w) - begun);
        let exact = w.now();
        w.run(Span::millis(100));
        let again = came(w);
        w.run(Span::millis(500));
        let after = mbps(came(w) - again, 500_000);
        println!(
            "{alone:.1} Mbit/s of bulk alone; the screen was exact after {:.0} ms, with {:.2} Mbit/s of bulk beside it from a \
             round trip on; {after:.1} Mbit/s from 100 ms after it on",
            took as f64 / 1e3,
            mbps(yielded, exact - APPEARS - 60_000)
        );
        assert!(alone > 12.0 && took > 400_000, "both take the path");
        // A twentieth, and the turn that may stand at either end: 5 ms of the path.
        assert!(yielded <= (took - 60_000) / 8 + 25_000, "{yielded} bytes in {took} us");
        assert!(after > 12.0, "{after}");
        assert!(w.faults.is_empty(), "{:?}", w.faults);
    });
}

/// Loss each way: everything arrives, in order, and once.
// spec: B-5, B-7
#[test]
fn losses_delay_bulk_and_lose_nothing() {
    play("bulk::losses_delay_bulk_and_lose_nothing", quiet(73, link(20, 60).losing(3)), |w| {
        w.share_clipboard();
        w.copy(Direction::Down, [(ClipFormat::Text, vec![b'x'; 1_000_000])], false);
        w.run(Span::millis(300));
        w.load(Direction::Down, 2, 5_000_000);
        w.paste(Direction::Down, ClipFormat::Text);
        w.load(Direction::Up, 2, 5_000_000);
        typing(w, 500, 5);
        w.run(Span::secs(40));
        let (pasted, came) = w.board(false).pasted.pop().expect("the paste is answered");
        let done = |i: usize, pipe: u32| w.bulk[i].done.get(&pipe).map_or(f64::MAX, |at| *at as f64 / 1e6);
        println!(
            "3 % lost: 5 MB down in {:.1} s, 1 MB of clipboard in {:.1} s, 5 MB up in {:.1} s",
            done(0, 2),
            pasted as f64 / 1e6,
            done(1, 2)
        );
        assert_eq!((w.bulk[0].came[&2], w.bulk[1].came[&2]), (5_000_000, 5_000_000));
        assert_eq!(came.map(|d| d.len()), Some(1_000_000));
        assert!((pasted as f64) < done(0, 2) * 1e6, "the clipboard goes first");
        assert!(w.faults.is_empty(), "{:?}", w.faults);
    });
}
