//! The ordinary day, the worst day, the day nothing happens.

use telepane_model::{BitRate, InputEvent, KeyCode, KeyMove, Rect, Region, Size, Span, Stamp};
use telepane_sim::{Canvas, LinkModel, World, WorldOptions};

fn noise(link: LinkModel, seed: u64) -> World {
    let until = Stamp::from_micros(7_000_000_000 + 2_000_000);
    let canvas = Canvas::new(Size::new(400, 300), seed, Span::millis(33), until, |p, rng| {
        let r = Rect::new(rng.below(380) as i32, rng.below(280) as i32, 30, 25).intersect(p.size().rect());
        p.fill(r, [rng.next_u64() as u8, rng.next_u64() as u8, 9]);
        Region::from(r)
    });
    World::new(WorldOptions::new(seed, link, Box::new(canvas)))
}

fn key(world: &mut World, at: u64, code: u16) {
    world.input_at(at, InputEvent::Key { code: KeyCode(code), action: KeyMove::Down });
    world.input_at(at + 60_000, InputEvent::Key { code: KeyCode(code), action: KeyMove::Up });
}

#[test]
fn a_changing_screen_ends_exact() {
    let mut w = noise(LinkModel::clean(BitRate::mbps(20), Span::millis(20)), 1);
    w.run(Span::secs(4));
    assert!(w.is_exact() && w.is_confirmed(), "{}", w.last_lines(40));
    assert!(w.faults.is_empty(), "{:?}", w.faults);
}

#[test]
fn twenty_percent_loss_still_ends_exact() {
    let mut w = noise(LinkModel::clean(BitRate::mbps(20), Span::millis(20)).losing(20), 2);
    w.run(Span::secs(8));
    assert!(w.is_exact() && w.is_confirmed(), "{}", w.last_lines(60));
}

#[test]
fn a_key_is_answered_in_little_more_than_a_round_trip() {
    let mut w = World::new(WorldOptions::new(
        3,
        LinkModel::clean(BitRate::mbps(20), Span::millis(20)),
        Box::new(Canvas::still(Size::new(640, 480), 3)),
    ));
    for i in 0..50 {
        key(&mut w, 1_000_000 + i * 137_000, 30 + (i % 9) as u16);
    }
    w.run(Span::secs(9));
    w.oracle.check_keys(Span::secs(2), 0);
    assert_eq!(w.key_times.len(), 50, "{}", w.last_lines(40));
    let mut times = w.key_times.clone();
    times.sort();
    assert!(times[25] < Span::millis(43), "{times:?}");
}

#[test]
fn the_same_seed_gives_the_same_journal() {
    let run = || {
        let mut w = noise(LinkModel::clean(BitRate::mbps(5), Span::millis(30)).losing(5).jittery(Span::millis(10)), 4);
        for i in 0..20 {
            key(&mut w, 100_000 + i * 70_000, 30 + (i % 9) as u16);
        }
        w.run(Span::secs(5));
        w.journal().to_owned()
    };
    let (a, b) = (run(), run());
    assert!(a.lines().count() > 100);
    assert_eq!(a, b);
}
