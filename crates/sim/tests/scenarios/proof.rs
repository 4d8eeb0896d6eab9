//! What the viewer says its tiles show: nothing of a session that is right, a mistake found and mended, a liar bounded.

use crate::kit::{busy, film_in, host_at, link, patch, play, press, until_exact, world};
use telepane_model::{
    Epoch, Knob, Pixels, Point, Rect, Region, Rng, SessionPolicy, Size, Span, Surf, SurfaceId, TileAt,
};
use telepane_protocol::{Control, Proofs};
use telepane_sim::{Canvas, Direction, World, WorldOptions};

/// A screen that is painted all over, and `step` by step from then on until `until_ms`.
fn painted(
    (w, h): (u32, u32),
    seed: u64,
    every: Span,
    until_ms: u64,
    mut step: impl FnMut(&mut Pixels, &mut Rng) -> Region<Surf> + Send + 'static,
) -> Canvas {
    let mut fresh = true;
    Canvas::new(Size::new(w, h), seed, every, host_at(until_ms), move |p, rng| {
        if !std::mem::take(&mut fresh) {
            return step(p, rng);
        }
        let all = p.size().rect();
        p.fill(all, [250, 248, 240]);
        for (x, y) in (0..all.h).step_by(20).flat_map(|y| (0..all.w).step_by(9).map(move |x| (x as i32, y as i32))) {
            p.fill(Rect::new(x, y, 1 + rng.below(8) as u32, 1 + rng.below(14) as u32).intersect(all), [20, 30, 90]);
        }
        all.into()
    })
}

/// Runs for a minute in which nothing is sent and nobody wakes.
fn is_idle(w: &mut World) {
    // For half a minute the path is looked after for a person who may be at work.
    w.run(Span::secs(40));
    let before = (w.bytes(Direction::Up), w.bytes(Direction::Down), w.wakes);
    let pings = |w: &World| w.packets(Direction::Up) + w.packets(Direction::Down);
    let (packets, said) = (pings(w), w.proofs.said.clone());
    w.run(Span::secs(60));
    assert_eq!(w.wakes, before.2, "not a wake-up");
    assert_eq!(w.proofs.said, said, "nothing is said twice");
    // QUIC's own pings and their acknowledgements.
    assert!(pings(w) - packets <= 8, "{} packets", pings(w) - packets);
}

/// Every tile is said once after it was written to, and then there is silence.
#[test]
fn every_tile_is_said_once_and_then_nothing() {
    let still = painted((300, 200), 121, Span::secs(1), 500, patch);
    let w = world(121, link(20, 40), still);
    play("proof::every_tile_is_said_once_and_then_nothing", w, |w| {
        w.run(Span::secs(20));
        println!("{} tiles said, {} looked at", w.proofs.said.len(), w.proofs.checked);
        assert!(w.proofs.said.len() == 20 && w.proofs.said.values().all(|n| *n == 1), "{:?}", w.proofs.said);
        assert_eq!(w.proofs.checked, 20);
        is_idle(w);
    });
    // A screen of more tiles than a message holds, in use, where packets are lost.
    let busy = painted((1280, 800), 122, Span::millis(33), 3_000, patch);
    let w = world(122, link(20, 40).losing(5), busy);
    play("proof::every_tile_is_said_once_and_then_nothing", w, |w| {
        press(w, 1_500, 30, 80);
        w.run(Span::secs(30));
        let (tiles, said) = (w.proofs.said.len(), w.proofs.said.values().sum::<u32>());
        println!("{tiles} tiles said {said} times, {} looked at", w.proofs.checked);
        assert_eq!(tiles, 20 * 13);
        // A few are looked at again beside those that are due.
        // Of one that is written to again while that is said nothing is known, and it is said again.
        let checked = w.proofs.checked;
        assert!(said < 20 * 13 + 60 && (said - 3..=said).contains(&(checked as u32)), "{said}, {checked}");
        assert!(w.is_exact() && w.is_confirmed() && w.faults.is_empty());
        is_idle(w);
    });
}

/// A bit of the viewer's picture is not what it should be: found at rest, mended, counted once.
#[test]
fn a_spoilt_tile_is_found_and_mended() {
    for (loss, seed) in [(0, 123), (10, 124)] {
        let w = world(seed, link(20, 40).losing(loss), busy(seed, (400, 300), 1_000));
        play("proof::a_spoilt_tile_is_found_and_mended", w, |w| {
            w.run(Span::millis(1_500));
            assert!(w.is_exact());
            w.spoil_picture(Point::new(200, 250));
            let took = until_exact(w, Span::secs(15));
            println!("{loss} per mille lost: right again after {took:.0} ms, found {:?}", w.proofs.failed);
            w.run(Span::secs(20));
            let found: Vec<_> = w.proofs.failed.iter().map(|(_, at)| *at).collect();
            assert_eq!(found, [TileAt { col: 3, row: 3 }]);
            assert!(w.is_exact() && w.is_confirmed() && w.faults.is_empty() && w.rebases == 0);
            is_idle(w);
        });
    }
}

/// What is spoilt after it was said is found while the screen is in use elsewhere.
#[test]
fn a_spoilt_tile_that_nobody_writes_to_is_found_in_use() {
    let mut n = 0;
    let typed = move |p: &mut Pixels, rng: &mut Rng| -> Region<Surf> {
        n += 1;
        let r = Rect::new(10 + n * 5 % 40, 10, 5, 9);
        p.fill(r, [rng.next_u64() as u8, 9, 9]);
        r.into()
    };
    let screen = painted((400, 300), 125, Span::secs(12), 130_000, typed);
    // The oracle would stop at the first slice after it.
    let w = World::new(WorldOptions { judged: false, ..WorldOptions::new(125, link(20, 40), Box::new(screen)) });
    play("proof::a_spoilt_tile_that_nobody_writes_to_is_found_in_use", w, |w| {
        w.run(Span::secs(23));
        assert_eq!(w.proofs.said.len(), 35);
        w.spoil_picture(Point::new(390, 290));
        w.run(Span::secs(80));
        assert_eq!(w.proofs.failed.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [TileAt { col: 6, row: 4 }]);
        w.run(Span::secs(10));
        assert!(w.is_exact() && w.is_confirmed());
    });
}

/// A film that runs is not said; a picture that stays coarse is said and not called exact.
#[test]
fn what_is_shown_with_loss_is_never_held_to_be_exact() {
    let place = Rect::new(64, 64, 320, 192);
    let mut t = 0;
    let screen = painted((512, 320), 126, Span::micros(33_333), 12_000, move |p, rng| {
        t += 3;
        film_in(p, place, t, rng)
    });
    play("proof::what_is_shown_with_loss", world(126, link(20, 40), screen), |w| {
        w.run(Span::secs(11));
        let filmed = |at: &TileAt| (1..6).contains(&at.col) && (1..4).contains(&at.row);
        println!("during the film {:?} said", w.proofs.said.len());
        assert!(w.film_seen && w.proofs.said.len() == 40 - 15 && !w.proofs.said.keys().any(filmed));
        w.run(Span::secs(15));
        assert!(w.is_exact() && w.proofs.said.len() == 40);
        is_idle(w);
    });
    let noise = |p: &mut Pixels, rng: &mut Rng| film_in(p, Rect::new(0, 0, 320, 192), 1, rng);
    let coarse = SessionPolicy::NONE.with(Knob::BuildToLossless, Some(0)).expect("a setting");
    let screen = Canvas::new(Size::new(320, 192), 127, Span::secs(1), host_at(1_500), noise);
    let mut options = WorldOptions::new(127, link(2, 40), Box::new(screen));
    options.host.session = coarse;
    play("proof::what_is_shown_with_loss", World::new(options), |w| {
        w.run(Span::secs(20));
        println!("coarse: {} said, {} looked at", w.proofs.said.len(), w.proofs.checked);
        assert!(w.proofs.said.len() == 15 && w.proofs.checked == 0 && !w.is_exact());
        is_idle(w);
    });
}

/// A viewer that says of everything that it shows something else is sent it again, no faster than the bound, and a tile that is
/// not there is a fault.
#[test]
fn a_liar_gets_what_it_has_no_faster_than_the_bound() {
    let w = world(128, link(20, 40), busy(128, (640, 400), 1_000));
    play("proof::a_liar_gets_what_it_has", w, |w| {
        (w.proofs.lies, w.proofs.expected) = (true, true);
        w.run(Span::secs(5));
        let (mended, bytes) = (w.proofs.failed.len(), w.bytes(Direction::Down));
        w.run(Span::secs(60));
        let rate = (w.bytes(Direction::Down) - bytes) as f64 * 8.0 / 60.0;
        let mended = w.proofs.failed.len() - mended;
        println!("lying at rest: {mended} tiles in a minute, {rate:.0} bit/s down");
        assert!(mended <= 64 + 4 * 60 && rate < 60_000.0, "{mended} tiles, {rate} bit/s");
        assert!(w.is_exact() && w.faults.is_empty());
        // And as fast as it can.
        let (epoch, applied) = w.position();
        let (checked, bytes) = (w.proofs.checked, w.bytes(Direction::Down));
        for n in 0..5_000_u64 {
            let tiles = (0..70).map(|tile| (tile, n)).collect();
            w.inject_control(Direction::Up, Control::Proofs(Proofs { surface: SurfaceId(0), epoch, applied, tiles }));
            w.run(Span::millis(2));
        }
        let (checked, bytes) = (w.proofs.checked - checked, w.bytes(Direction::Down) - bytes);
        println!("lying at once: {checked} tiles looked at in 10 s, {bytes} bytes down");
        assert!(checked <= 480 + 2_400 && bytes < 600_000, "{checked}, {bytes}");
        // It comes to its senses.
        w.proofs.lies = false;
        w.run(Span::secs(60));
        assert!(w.is_exact() && w.is_confirmed() && w.faults.is_empty());
        is_idle(w);
        let (epoch, applied) = w.position();
        let say = |w: &mut World, surface, epoch, applied, tile| {
            let tiles = vec![(tile, 1)];
            let proofs = Proofs { surface: SurfaceId(surface), epoch, applied, tiles };
            w.inject_control(Direction::Up, Control::Proofs(proofs));
            w.run(Span::millis(50));
        };
        say(w, 0, epoch, applied, 70);
        say(w, 1, epoch, applied, 0);
        say(w, 0, Epoch(epoch.0 + 1), applied, 0);
        say(w, 0, epoch, telepane_model::UpdateId(applied.0 + 1_000), 0);
        say(w, 0, Epoch(0), applied, 70);
        assert_eq!(w.faults, ["BadProof", "UnknownSurface", "AppliedFromTheFuture", "AppliedFromTheFuture"]);
    });
}

/// Tiles that are sent anew meet changes of the same screen, losses and rebases.
#[test]
fn mending_goes_on_beside_everything_else() {
    for seed in 130..136 {
        let screen = Canvas::new(Size::new(400, 300), seed, Span::millis(90), host_at(14_000), patch);
        let options = WorldOptions::new(seed, link(5, 60).losing(30), Box::new(screen));
        play("proof::mending_goes_on_beside_everything_else", World::new(options), |w| {
            w.proofs.expected = true;
            w.run(Span::secs(2));
            let mut rng = Rng::new(seed);
            for _ in 0..200 {
                let (epoch, applied) = w.position();
                // True of where it stands and false of what is there, so that it is sent anew at any time.
                let tiles = vec![(rng.below(35) as u32, rng.next_u64())];
                w.inject_control(
                    Direction::Up,
                    Control::Proofs(Proofs { surface: SurfaceId(0), epoch, applied, tiles }),
                );
                if rng.below(12) == 0 {
                    w.blackout(true);
                    w.run(Span::millis(300));
                    w.blackout(false);
                }
                w.run(Span::millis(50));
            }
            let (found, rebases) = (w.proofs.failed.len(), w.rebases);
            w.run_to(14_000_000);
            let took = until_exact(w, Span::secs(40));
            println!("{found} tiles sent anew, {rebases} rebases, exact after {took:.0} ms");
            assert!(found > 20 && rebases > 0);
        });
    }
}
