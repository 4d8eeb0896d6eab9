//! Much to show: resizes, more change than the link carries, scrolling far away, film.

use crate::kit::{busy, fill_noise, host_at, link, play, until_exact, world};
use telepane_capture::synthetic::{Kind, Synthetic};
use telepane_model::{Rect, Region, Size, Span};
use telepane_sim::{Canvas, Direction, World, WorldOptions};

#[test]
fn two_resizes_in_flight_end_in_the_second() {
    let w = world(31, link(20, 100), busy(31, (400, 300), 3_000));
    play("load::two_resizes_in_flight_end_in_the_second", w, |w| {
        w.run(Span::secs(1));
        w.ask_size(Size::new(500, 200));
        w.run(Span::millis(90));
        w.ask_size(Size::new(333, 411));
        let asked = w.now();
        w.run(Span::millis(400));
        let epoch = w.position().0;
        w.run_to(3_000_000);
        let took = until_exact(w, Span::secs(2));
        let shown = w.presents.iter().find(|at| **at > asked + 100_000).map_or(0, |at| (at - asked) / 1_000);
        println!(
            "both in {epoch:?}; a picture {shown} ms after the second wish; exact {took:.0} ms after the last change"
        );
        assert_eq!(epoch.0, 3, "one epoch for each size");
        assert!(took < 250.0 && w.faults.is_empty());
    });
}

/// An edge is dragged for a second, 60 steps of it, over a page of text.
// spec: Y-29, Y-31
#[test]
fn a_dragged_edge_is_followed_and_exact_soon_after() {
    for (mbps, rtt) in [(20, 40), (20, 100), (100, 4)] {
        let screen = Synthetic::new(Kind::Editor, Size::new(1000, 700), 34);
        let w = World::new(WorldOptions::new(34, link(mbps, rtt), Box::new(screen)));
        play("load::a_dragged_edge", w, |w| {
            w.run(Span::secs(2));
            let (epoch, bytes) = (w.position().0.0, w.bytes(Direction::Down));
            for step in 1..=60u32 {
                w.run(Span::micros(16_667));
                w.ask_size(Size::new(1000 + step * 5, 700 + step * 2));
            }
            let asked = w.now();
            while w.pictures().is_none_or(|(shown, _)| shown.size() != Size::new(1300, 820)) || !w.is_exact() {
                assert!(w.now() - asked < 1_000_000, "the last size is shown");
                w.run(Span::millis(1));
            }
            let took = (w.now() - asked) / 1_000;
            let (epochs, bytes) = (w.position().0.0 - epoch, (w.bytes(Direction::Down) - bytes) / 1_000);
            println!(
                "{mbps} Mbit/s, {rtt} ms: exact {took} ms after the last step, {epochs} sizes on the way, {bytes} kB"
            );
            assert!(took <= rtt + 300, "{took} ms");
            assert!((4..=7).contains(&epochs), "{epochs}: followed on the way, but not every step");
            assert!(w.faults.is_empty());
        });
    }
}

/// 83 kB of noise 30 times a second are 20 Mbit/s; the link carries a tenth.
#[test]
fn a_screen_faster_than_the_link_keeps_the_queue_short_and_the_newest_wins() {
    let until = 8_000;
    let canvas = Canvas::new(Size::new(320, 240), 32, Span::micros(33_333), host_at(until), |p, rng| {
        let r = Rect::new(64, 0, 166, 166);
        fill_noise(p, r, rng);
        r.into()
    });
    let mut options = WorldOptions::new(32, link(2, 40), Box::new(canvas));
    options.host.film = false;
    play("load::a_screen_faster_than_the_link", World::new(options), |w| {
        w.run(Span::secs(2));
        w.path(Direction::Down).worst_queue = 0;
        w.run(Span::secs(6));
        let queue = w.path(Direction::Down).worst_queue as f64 / 1e3;
        let lost = w.path(Direction::Down).lost;
        let took = until_exact(w, Span::secs(3));
        println!("worst queue {queue:.1} ms, {lost} lost, exact {took:.0} ms after it stopped, {} rebases", w.rebases);
        // One frame of noise takes 333 ms of this link, and half of one may be under way.
        assert!(queue < 50.0, "{queue} ms");
        assert!(took < 700.0, "{took} ms");
        assert!(w.faults.is_empty());
    });
}

/// The line falls to a tenth while somebody reads, and then a page is turned. The pairs of packets that go out in a pause have
/// told of it by then, so the page does not leave at the rate of the page before.
#[test]
fn a_page_turned_after_a_pause_fits_what_the_line_is_then() {
    for fell in [4_500, 5_500, 6_500] {
        let mut n = 0;
        let canvas = Canvas::new(Size::new(512, 400), 35, Span::millis(100), host_at(12_000), move |p, rng| {
            n += 1;
            if n != 10 && n != 100 {
                return Region::new();
            }
            let page = Rect::new(64, 32, 316, 316);
            fill_noise(p, page, rng);
            page.into()
        });
        play("load::a_page_turned_after_a_pause", world(35, link(20, 40), canvas), |w| {
            crate::kit::press(w, 900, 20, 40);
            w.run_to(fell * 1_000);
            w.set_link(link(2, 40), link(2, 40));
            w.run_to(9_890_000);
            let before = std::mem::take(&mut w.path(Direction::Down).worst_queue);
            let took = {
                w.run_to(9_920_000);
                until_exact(w, Span::secs(4))
            };
            let queue = w.path(Direction::Down).worst_queue;
            println!(
                "the line fell at {fell} ms: queue at most {before} us before the page and {queue} us with it, exact in {took:.0} ms"
            );
            assert!(queue <= 80_000, "{queue} us");
            assert!(w.faults.is_empty());
        });
    }
}

#[test]
fn scrolling_far_away_costs_what_it_costs_nearby() {
    let bytes = |rtt: u64| {
        let screen = Synthetic::new(Kind::Scroll, Size::new(640, 480), 5);
        let mut coded = 0;
        let w = World::new(WorldOptions::new(33, link(20, rtt), Box::new(screen)));
        play("load::scrolling_far_away", w, |w| {
            w.run(Span::secs(2));
            let before = w.path(Direction::Down).offered;
            w.run(Span::secs(10));
            coded = w.path(Direction::Down).offered - before;
            let mut ages = w.ages.clone();
            ages.sort();
            println!(
                "round trip {rtt} ms: {} kB in 10 s, {} shown, age p95 {:?}",
                coded / 1_000,
                ages.len(),
                ages[ages.len() * 95 / 100]
            );
            assert!(ages.len() > 340, "30 steps a second for 12 s");
        });
        coded
    };
    let (near, far) = (bytes(1), bytes(100));
    println!("ratio {:.3}", far as f64 / near as f64);
    assert!(far * 10 <= near * 12, "{far} at 100 ms, {near} at 1 ms");
}

#[test]
fn film_becomes_film_and_is_refined_to_exact_when_it_rests() {
    let until = 4_000;
    let mut t = 0u32;
    let canvas = Canvas::new(Size::new(512, 320), 34, Span::micros(33_333), host_at(until), move |p, rng| {
        t += 3;
        crate::kit::film_frame(p, t, rng)
    });
    play("load::film_becomes_film", world(34, link(20, 40), canvas), |w| {
        w.run(Span::secs(2));
        let before = w.path(Direction::Down).offered;
        let shown = w.presents.len();
        w.run(Span::secs(2));
        let rate = (w.path(Direction::Down).offered - before) as f64 * 8.0 / 2e6;
        let frames = w.presents.len() - shown;
        let took = until_exact(w, Span::secs(3));
        println!(
            "film seen {}, {frames} frames shown in 2 s at {rate:.1} Mbit/s, exact {took:.0} ms after the last frame",
            w.film_seen
        );
        assert!(w.film_seen && frames >= 50);
        assert!((300.0..1_200.0).contains(&took), "rested for 300 ms, then refined: {took} ms");
        assert!(w.faults.is_empty());
    });
}
