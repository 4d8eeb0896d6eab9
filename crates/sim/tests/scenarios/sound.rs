//! Sound: the ordinary day, losses, clocks that part, and silence.

use crate::kit::{busy, film_frame, host_at, link, play, press, until_exact, world};
use telepane_model::{Rng, Size, Span};
use telepane_session::sound::CEILING;
use telepane_sim::{Canvas, Direction};

fn still() -> Canvas {
    Canvas::still(Size::new(200, 40), 5)
}

// spec: S-5, S-6, S-8, S-11
#[test]
fn an_ordinary_day_hears_every_frame_beside_the_work() {
    let w = world(81, link(20, 40), busy(81, (400, 300), 20_000));
    play("sound::an_ordinary_day_hears_every_frame_beside_the_work", w, |w| {
        w.listen();
        for i in 0..100 {
            press(w, 500 + i * 190, 16 + (i % 30) as u16, 50);
        }
        w.run(Span::secs(2));
        w.play_sound(true);
        w.run(Span::secs(18));
        let f = w.sound.playout.figures();
        println!("20 Mbit/s, 40 ms: {f:?}");
        assert_eq!((w.sound.broken, f.gaps, f.concealed + f.mended), (0, 0, 0), "{f:?}");
        assert!(w.sound.heard > 1_780, "{}", w.sound.heard);
        // Half the round trip, and less than 60 ms.
        assert!(f.age.is_some_and(|age| age < Span::millis(20 + 60)), "{f:?}");
        until_exact(w, Span::secs(2));
        assert!(w.faults.is_empty(), "{:?}", w.faults);
    });
}

// spec: S-9, S-10, S-12
#[test]
fn ten_minutes_at_three_percent_in_bursts_have_no_gap() {
    let w = world(82, link(20, 60), still());
    play("sound::ten_minutes_at_three_percent_in_bursts_have_no_gap", w, |w| {
        w.listen();
        w.play_sound(true);
        let mut rng = Rng::new(4);
        // Bursts of one to three, both ways.
        for _ in 0..60_000 {
            w.run(Span::millis(10));
            for way in [Direction::Down, Direction::Up] {
                if rng.chance_ppm(15_000) {
                    w.path(way).lose_next = 1 + rng.below(3) as u32;
                }
            }
        }
        let f = w.sound.playout.figures();
        let (lost, sent) = (w.path(Direction::Down).lost, w.packets(Direction::Down));
        println!("3 % in bursts, ten minutes: {lost} of {sent} packets lost, {f:?}");
        assert!(lost * 1_000 > sent * 25, "it did lose 3 %");
        assert_eq!(f.gaps, 0, "{f:?}");
        assert!((f.concealed + f.mended) * 1_000 < f.played * 2, "less than two in a thousand are made up: {f:?}");
        assert!(f.worst <= CEILING, "{f:?}");
        assert!(w.sound.most_rate.as_bps() <= 128_000, "{:?}", w.sound.most_rate);
    });
}

/// A film of 30 frames a second beside a page.
fn film(seed: u64, until_ms: u64) -> Canvas {
    let mut t = 0;
    Canvas::new(Size::new(512, 320), seed, Span::micros(33_333), host_at(until_ms), move |p, rng| {
        t += 3;
        film_frame(p, t, rng)
    })
}

/// Sound waits for a film that is later, and a film for its sound: where packets are lost, whose copies sound waits for, and where its
/// device takes long.
// spec: S-12, S-15, S-17
#[test]
fn a_film_is_heard_when_it_is_seen_through_loss() {
    for (what, path, seeds, device) in [
        ("no loss", link(20, 40), 85..=85, 8),
        ("3 % lost", link(20, 60).losing(3), 81..=85, 8),
        ("a slow device", link(20, 40), 86..=86, 60),
    ] {
        for seed in seeds {
            play("sound::a_film_is_heard_when_it_is_seen_through_loss", world(seed, path, film(seed, 30_000)), |w| {
                // What a sound server keeps of a stream.
                w.sound.device = Span::millis(device);
                w.listen();
                w.play_sound(true);
                w.run(Span::secs(8));
                let (mut behind, from) = (Vec::new(), w.ages.len());
                for _ in 0..120 {
                    w.run(Span::millis(100));
                    behind.extend(w.sound.playout.figures().behind_picture);
                }
                behind.sort_unstable();
                let mut apart: Vec<i64> = behind.iter().map(|us| us.abs()).collect();
                apart.sort_unstable();
                let f = w.sound.playout.figures();
                assert!(w.film_seen && behind.len() > 110, "{what}: {}", behind.len());
                let (median, most) = (behind[behind.len() / 2], apart[apart.len() * 95 / 100]);
                let mut ages = w.ages[from..].to_vec();
                ages.sort_unstable();
                let (age, frames) = (ages[ages.len() * 95 / 100], ages.len());
                println!(
                    "{what}: heard {median:+} us after it is seen, {most} us apart at p95; film {age:?} old at p95, \
                     held {:?}, {frames} frames; {f:?}",
                    w.film_held()
                );
                assert!(most <= 45_000, "{what}, seed {seed}: {median}, {most}");
                assert!(f.worst <= CEILING && f.gaps == 0, "{what}: {f:?}");
                assert!(frames >= 340, "and no frame is left out: {frames}");
            });
        }
    }
}

/// Film waits for its sound; what a person types is answered as if nothing were heard.
// spec: S-17
#[test]
fn what_is_typed_does_not_wait_for_the_sound_of_a_film() {
    let mut worst = Vec::new();
    for heard in [false, true] {
        let w = world(87, link(20, 40), film(87, 60_000));
        play("sound::what_is_typed_does_not_wait_for_the_sound_of_a_film", w, |w| {
            w.sound.device = Span::millis(60);
            w.listen();
            w.play_sound(heard);
            w.run(Span::secs(5));
            let mut held = Vec::new();
            for i in 0..20 {
                held.push(w.film_held());
                press(w, w.now() / 1_000 + 1, 16 + i, 0);
                w.run(Span::millis(2_300 + 7 * u64::from(i)));
            }
            held.sort_unstable();
            let (held, mut times) = (held[held.len() / 2], w.key_times.clone());
            times.sort_unstable();
            println!("heard {heard}: film held {held:?}, keys {times:?}");
            assert_eq!(held > Span::millis(30), heard, "{held:?}");
            assert!(times.len() >= 19, "{}", times.len());
            worst.push(times[times.len() - 2]);
            // And a second after the last key, without sound, a film is shown as soon as it can be.
            w.play_sound(false);
            w.run(Span::secs(3));
            assert_eq!(w.film_held(), Span::ZERO);
        });
    }
    assert!(worst[1] <= worst[0] + Span::millis(2), "{worst:?}");
}

// spec: S-12, S-13
#[test]
fn an_hour_of_parting_clocks_does_not_drift() {
    let w = world(83, link(20, 40), still());
    play("sound::an_hour_of_parting_clocks_does_not_drift", w, |w| {
        w.forget_journal();
        w.listen();
        // The source is too fast, the loudspeaker too slow: 200 millionths apart, besides the machines' own clocks.
        (w.sound.source_ppm, w.sound.device_ppm) = (100, -100);
        w.play_sound(true);
        w.run(Span::secs(60));
        let first = w.sound.playout.figures();
        w.sound.extremes = None;
        w.run(Span::secs(3_540));
        let (least, most) = w.sound.extremes.expect("it plays");
        let f = w.sound.playout.figures();
        println!("an hour at 200 ppm: held {least:?} to {most:?}, {f:?}");
        assert!(most.saturating_sub(least) < Span::millis(8), "{least:?} to {most:?}");
        assert!(f.worst <= CEILING);
        assert_eq!((f.gaps, f.passed, w.sound.broken), (0, first.passed, 0), "{f:?}");
    });
}

// spec: S-8
#[test]
fn silence_sends_nothing_and_wakes_nobody() {
    let w = world(84, link(20, 40), still());
    play("sound::silence_sends_nothing_and_wakes_nobody", w, |w| {
        w.listen();
        w.play_sound(true);
        w.run(Span::secs(5));
        w.play_sound(false);
        w.run(Span::secs(35));
        let before = (w.bytes(Direction::Down), w.bytes(Direction::Up), w.wakes, w.packets(Direction::Down));
        w.run(Span::secs(600));
        let bits = |now: u64, then: u64| (now - then) * 8 / 600;
        let (down, up) = (bits(w.bytes(Direction::Down), before.0), bits(w.bytes(Direction::Up), before.1));
        println!(
            "nothing plays: {down} bit/s down, {up} up, wakes {:?}",
            [w.wakes[0] - before.2[0], w.wakes[1] - before.2[1]]
        );
        assert!(down <= 40 && up <= 40, "idle is idle (DESIGN 2): {down}, {up}");
        let f = w.sound.playout.figures();
        assert_eq!((f.concealed, f.gaps), (0, 0), "the end is no loss: {f:?}");
        assert_eq!(w.sound.next_at(), None, "no device is open");
        w.play_sound(true);
        w.run(Span::secs(1));
        assert!(w.sound.heard > 500 + 20 + 80, "it is heard again: {}", w.sound.heard);
    });
}

/// Each direction has the host's right and the person's switch. Without either not a packet leaves, and nothing that was withheld is
/// heard later.
// spec: S-6, S-7, S-16
#[test]
fn each_direction_of_sound_has_its_right_and_its_switch() {
    let w = world(86, link(20, 40), still());
    play("sound::each_direction_of_sound_has_its_right_and_its_switch", w, |w| {
        w.listen();
        w.play_sound(true);
        w.run(Span::secs(2));
        // Every state after every other one, more or less: from all to nothing and back.
        for state in (0..16).chain((0..16).rev()).chain([15, 3, 12, 9, 6, 15]) {
            let [offers, takes, listens, speaks] = [0, 1, 2, 3].map(|bit| state >> bit & 1 == 1);
            w.allow_sound(offers, takes);
            w.switch_sound(listens, speaks);
            // What was on its way arrives, and what was held back is played.
            w.run(Span::millis(500));
            let before = (w.sound.heard, w.sound.spoken, [Direction::Down, Direction::Up].map(|d| w.bytes(d)));
            for _ in 0..100 {
                w.speak();
                w.run(Span::millis(10));
            }
            let (heard, spoken) = (w.sound.heard - before.0, w.sound.spoken - before.1);
            let bytes =
                [Direction::Down, Direction::Up].map(|d| w.bytes(d) - before.2[usize::from(d == Direction::Up)]);
            let what = format!("{offers} {takes} {listens} {speaks}: heard {heard}, spoken {spoken}, bytes {bytes:?}");
            for (on, frames, bytes) in [(offers && listens, heard, bytes[0]), (takes && speaks, spoken, bytes[1])] {
                // A second of feedback about the other way is less than a second of sound.
                assert!(if on { frames >= 90 && bytes > 12_000 } else { frames == 0 && bytes < 12_000 }, "{what}");
            }
        }
        // What was on its way when the right went is refused by name, and is no reason to end anything.
        assert!(w.faults.iter().all(|fault| *fault == "UnaskedSound") && w.over.is_none(), "{:?}", w.faults);
    });
}
