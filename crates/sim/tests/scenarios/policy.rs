//! What people allow a session acts: each knob is set, and what comes of it is measured beside what comes without it.

use crate::kit::{busy, fill_noise, film_frame, host_at, link, play, until_exact, world};
use telepane_model::{BitRate, Bytes, Knob, Pixels, Preset, Rect, Region, Rng, SessionPolicy, Size, Span, Surf};
use telepane_sim::{Canvas, Direction, LinkModel, World, WorldOptions};

fn policy(all: &[(Knob, u64)]) -> SessionPolicy {
    all.iter().fold(SessionPolicy::NONE, |p, (k, v)| p.with(*k, Some(*v)).expect("in range"))
}

fn with(seed: u64, link: LinkModel, screen: Canvas, policy: SessionPolicy) -> World {
    let mut options = WorldOptions::new(seed, link, Box::new(screen));
    options.host.session = policy;
    World::new(options)
}

/// More noise than any link here carries.
fn noise(seed: u64) -> Canvas {
    Canvas::new(Size::new(320, 240), seed, Span::micros(33_333), host_at(60_000), |p, rng| {
        let r = Rect::new(0, 0, 320, 240);
        fill_noise(p, r, rng);
        r.into()
    })
}

/// A film, 30 frames a second until `until_ms`.
fn film(seed: u64, until_ms: u64) -> Canvas {
    let mut t = 0;
    Canvas::new(Size::new(448, 320), seed, Span::micros(33_333), host_at(until_ms), move |p, rng| {
        t += 3;
        film_frame(p, t, rng)
    })
}

const PHOTO: Rect<Surf> = Rect::new(64, 64, 384, 256);

/// A desktop with a line of text, onto which a photo comes after a second.
fn photo(seed: u64) -> Canvas {
    let mut step = 0;
    Canvas::new(Size::new(512, 384), seed, Span::secs(1), host_at(1_500), move |p: &mut Pixels, rng: &mut Rng| {
        step += 1;
        if step == 1 {
            p.fill(p.size().rect(), [240, 240, 240]);
            (0..40).for_each(|i| p.fill(Rect::new(8 + i * 12, 10, 5, 14), [(i * 5) as u8, 20, 90]));
            return p.size().rect().into();
        }
        for y in PHOTO.y..PHOTO.bottom() {
            for (x, px) in p.row_mut(PHOTO.x as u32, y as u32, PHOTO.w).chunks_exact_mut(4).enumerate() {
                let (x, y, grain) = (x as u64, y as u64, rng.below(9));
                px[..3].copy_from_slice(&[
                    (x / 2 + grain) as u8,
                    (y + x / 7 + grain) as u8,
                    (x * y / 400 + grain) as u8,
                ]);
            }
        }
        Region::from(PHOTO)
    })
}

/// How near the viewer's picture is to the host's inside `rect`, in dB over the three colours.
fn db(w: &World, rect: Rect<Surf>) -> f64 {
    let Some((shown, wanted)) = w.pictures() else { return 0.0 };
    let mut sum = 0u64;
    for (a, b) in shown.rows(rect).zip(wanted.rows(rect)) {
        for (a, b) in a.chunks_exact(4).zip(b.chunks_exact(4)) {
            sum += (0..3).map(|i| u64::from(a[i].abs_diff(b[i])).pow(2)).sum::<u64>();
        }
    }
    if sum == 0 { 99.0 } else { 10.0 * (255.0 * 255.0 * 3.0 * rect.area() as f64 / sum as f64).log10() }
}

/// Mbit/s down in each of the next `seconds`.
fn rates(w: &mut World, seconds: usize) -> Vec<f64> {
    let mut second = || {
        let before = w.bytes(Direction::Down);
        w.run(Span::secs(1));
        (w.bytes(Direction::Down) - before) as f64 * 8e-6
    };
    (0..seconds).map(|_| second()).collect()
}

// spec: H-40, H-43, K-40, K-41
#[test]
fn the_lower_limit_holds_and_changes_at_once() {
    let w = with(70, link(20, 40), noise(70), policy(&[(Knob::Limit, 6_000_000)]));
    play("policy::the_lower_limit_holds", w, |w| {
        w.run(Span::secs(1));
        let host = rates(w, 3);
        w.wish(policy(&[(Knob::Limit, 2_000_000)]));
        w.run(Span::millis(500));
        let viewer = rates(w, 3);
        // The viewer may ask for more than the host allows, and gets what the host allows.
        w.wish(policy(&[(Knob::Limit, 50_000_000)]));
        w.allow(policy(&[(Knob::Limit, 4_000_000)]));
        w.run(Span::millis(500));
        let last = rates(w, 3);
        println!("limit 6, then the viewer's 2, then the host's 4 Mbit/s: {host:.2?} {viewer:.2?} {last:.2?}");
        let within = |all: &[f64], limit: f64| all.iter().all(|r| (limit * 0.85..limit * 1.03).contains(r));
        assert!(within(&host, 6.0) && within(&viewer, 2.0) && within(&last, 4.0));
        let (holds, told) = w.policies();
        assert_eq!((holds, holds.rate(Knob::Limit)), (told, Some(BitRate::mbps(4))));
        assert!(w.faults.is_empty());
    });
}

// spec: H-43
#[test]
fn a_floor_that_was_set_holds_where_the_path_seems_to_carry_less() {
    let rate = |floor: &[(Knob, u64)]| {
        let thin = LinkModel { queue: Bytes(20_000), ..link(1, 40) };
        let mut sent = 0.0;
        play("policy::a_floor_that_was_set", with(71, thin, noise(71), policy(floor)), |w| {
            w.run(Span::secs(2));
            sent = rates(w, 3).iter().sum::<f64>() / 3.0;
        });
        sent
    };
    let (without, held) = (rate(&[]), rate(&[(Knob::Floor, 1_600_000)]));
    println!("on 1 Mbit/s: {without:.2} Mbit/s sent without a floor, {held:.2} with one of 1.6");
    assert!(without < 1.15 && (1.45..1.8).contains(&held));
}

// spec: H-41
#[test]
fn no_more_frames_than_allowed_are_shown_and_a_film_stays_one() {
    play("policy::no_more_frames", with(72, link(20, 40), film(72, 8_000), policy(&[(Knob::MaxFps, 10)])), |w| {
        w.run(Span::secs(2));
        let shown = |w: &mut World| {
            let before = w.presents.len();
            w.run(Span::secs(2));
            (w.presents.len() - before) as f64 / 2.0
        };
        let ten = shown(w);
        w.wish(policy(&[(Knob::MaxFps, 4)]));
        w.run(Span::millis(500));
        let four = shown(w);
        w.allow(SessionPolicy::NONE);
        w.wish(SessionPolicy::NONE);
        w.run(Span::millis(200));
        let all = shown(w);
        println!("of 30 frames a second: {ten} at 10, {four} at 4, {all} without a bound");
        assert!((9.0..=10.5).contains(&ten) && (3.5..=4.5).contains(&four) && all > 20.0);
        assert!(w.film_seen, "also at 10 a second");
        w.run_to(8_000_000);
        until_exact(w, Span::secs(3));
        assert!(w.faults.is_empty());
    });
}

#[test]
fn a_key_after_a_rest_waits_for_no_frame_rate() {
    let w = with(73, link(20, 40), Canvas::still(Size::new(320, 240), 73), policy(&[(Knob::MaxFps, 5)]));
    play("policy::a_key_after_a_rest", w, |w| {
        for i in 0..8 {
            crate::kit::press(w, 1_000 + i * 400, 20, 50);
        }
        w.run_to(5_000_000);
        let worst = w.key_times.iter().max().copied().unwrap_or(Span::MAX);
        println!("{} keys, the slowest {worst:?}", w.key_times.len());
        assert!(w.key_times.len() >= 8 && worst < Span::millis(50));
    });
}

// spec: H-42
#[test]
fn what_is_new_is_shown_no_better_than_allowed_at_first_and_becomes_exact() {
    let first = |all: &[(Knob, u64)]| {
        let mut seen = (0.0, 0.0);
        play("policy::what_is_new", with(74, link(100, 20), photo(74), policy(all)), |w| {
            w.run_to(1_000_000);
            while db(w, PHOTO) < 20.0 {
                assert!(w.now() < 3_000_000, "the photo is shown");
                w.run(Span::micros(500));
            }
            let shown = w.now();
            seen.0 = db(w, PHOTO);
            until_exact(w, Span::secs(2));
            seen.1 = (w.now() - shown) as f64 / 1e3;
        });
        seen
    };
    let (free, fine, view) = (first(&[]), first(&[(Knob::InitialQuality, 90)]), first(&[(Knob::InitialQuality, 60)]));
    println!("first shown at {:.1} dB, with 90 at {:.1}, with 60 at {:.1}", free.0, fine.0, view.0);
    assert!(view.0 < fine.0 && fine.0 < free.0 + 1.0 && view.0 > 25.0);
}

// spec: H-42
#[test]
fn what_is_new_is_shown_no_worse_than_allowed() {
    let first = |all: &[(Knob, u64)]| {
        let mut seen = (0.0, 0);
        let thin = LinkModel::clean(BitRate::kbps(400), Span::millis(20));
        play("policy::no_worse", with(75, thin, photo(75), policy(all)), |w| {
            w.run_to(1_000_000);
            while db(w, PHOTO) < 15.0 {
                assert!(w.now() < 20_000_000, "the photo is shown");
                w.run(Span::millis(1));
            }
            seen = (db(w, PHOTO), w.now() / 1_000 - 1_000);
        });
        seen
    };
    let (any, least) = (first(&[]), first(&[(Knob::MinQuality, 60)]));
    println!(
        "first recognised at {:.1} dB after {} ms; with 60 at {:.1} dB after {} ms",
        any.0, any.1, least.0, least.1
    );
    assert!(least.1 > any.1 * 3 / 2, "frame rate is given up first");
}

// spec: H-42
#[test]
fn without_build_to_lossless_pictures_end_where_eyes_see_no_difference() {
    let off = policy(&[(Knob::BuildToLossless, 0)]);
    play("policy::without_build_to_lossless", with(76, link(20, 40), photo(76), off), |w| {
        w.run_to(4_000_000);
        let (near, text) = (db(w, PHOTO), db(w, Rect::new(0, 0, 512, 64)));
        let quiet = w.bytes(Direction::Down);
        w.run_to(9_000_000);
        let idle = w.bytes(Direction::Down) - quiet;
        println!("the photo rests at {near:.1} dB, the text at {text:.0}; {idle} B in the next 5 s");
        assert!(!w.is_exact() && (36.0..60.0).contains(&near) && text >= 99.0);
        // Pairs of packets look after the path while somebody may be at work: 1.5 kB every 2 s.
        assert!(idle < 6_000, "nothing is refined: {idle}");
        w.allow(SessionPolicy::NONE);
        let took = until_exact(w, Span::secs(3));
        println!("exact {took:.0} ms after it was turned on");
    });
}

// spec: H-42
#[test]
fn nothing_is_made_better_than_allowed() {
    play("policy::nothing_better", with(77, link(20, 40), photo(77), policy(&[(Knob::MaxQuality, 60)])), |w| {
        w.run_to(4_000_000);
        let view = db(w, PHOTO);
        w.allow(policy(&[(Knob::MaxQuality, 90)]));
        w.run(Span::secs(2));
        let fine = db(w, PHOTO);
        println!("rests at {view:.1} dB with 60, at {fine:.1} with 90");
        assert!(view > 25.0 && fine > view + 1.0 && !w.is_exact());
    });
}

/// Frames a second, dB of luma and Mbit/s of a film on this link under this policy.
fn filmed(seed: u64, link: LinkModel, all: &[(Knob, u64)]) -> (f64, f64, f64) {
    let mut seen = (0.0, 0.0, 0.0);
    let mut options = WorldOptions::new(seed, link, Box::new(film(seed, 9_000)));
    options.host.session = policy(all);
    options.sample_every = Some(1);
    play("policy::a_film", World::new(options), |w| {
        w.run(Span::secs(4));
        let (shown, samples, bytes) = (w.presents.len(), w.samples.len(), w.bytes(Direction::Down));
        w.run(Span::secs(5));
        let (squared, pixels) =
            w.samples[samples..].iter().fold((0, 0), |(s, p), sample| (s + sample.squared, p + sample.pixels));
        let mean = squared as f64 / pixels.max(1) as f64;
        let rate = (w.bytes(Direction::Down) - bytes) as f64 * 8e-6 / 5.0;
        seen = ((w.presents.len() - shown) as f64 / 5.0, 10.0 * (255.0 * 255.0 / mean).log10(), rate);
    });
    seen
}

// spec: H-45
#[test]
fn a_film_is_no_better_and_no_worse_than_allowed() {
    let (free, most) = (filmed(80, link(20, 40), &[]), filmed(80, link(20, 40), &[(Knob::MaxQuality, 40)]));
    println!("frames a second, dB, Mbit/s with room: {free:.1?}; at most 40: {most:.1?}");
    assert!(most.1 < free.1 - 2.0 && most.2 < free.2 * 0.7, "not better than allowed, and cheaper");
    let thin = || LinkModel::clean(BitRate::kbps(700), Span::millis(20));
    let (any, least) = (filmed(81, thin(), &[]), filmed(81, thin(), &[(Knob::MinQuality, 95)]));
    println!("on 700 kbit/s: {any:.1?}; at least 95: {least:.1?}");
    assert!(least.1 > any.1 + 1.0 && least.0 < any.0, "not worse than allowed, and fewer");
}

// spec: H-44
#[test]
fn the_slider_moves_quality_against_frame_rate() {
    let thin = || LinkModel::clean(BitRate::kbps(700), Span::millis(20));
    let at = |sharpness: u64| filmed(78, thin(), &[(Knob::Sharpness, sharpness)]);
    let (smooth, middle, sharp) = (at(0), at(50), at(100));
    println!("frames a second, dB, Mbit/s: smooth {smooth:.1?}, middle {middle:.1?}, sharp {sharp:.1?}");
    assert!(smooth.0 > sharp.0 * 1.3, "smoother");
    assert!(sharp.1 > smooth.1 + 1.0, "sharper");
}

/// Bounds beyond everything that happens are as good as none: every byte that is coded and sent is the same.
// spec: H-40
#[test]
fn a_policy_without_an_effect_changes_no_byte() {
    let wide = [
        (Knob::Limit, 1_000_000_000_000),
        (Knob::MinQuality, 0),
        (Knob::InitialQuality, 100),
        (Knob::MaxQuality, 100),
        (Knob::MaxFps, 240),
        (Knob::BuildToLossless, 1),
    ];
    let run = |all: &[(Knob, u64)]| {
        let mut seen = (0, 0, 0);
        play(
            "policy::a_policy_without_an_effect",
            with(82, link(20, 40), busy(82, (400, 300), 3_000), policy(all)),
            |w| {
                w.run(Span::secs(5));
                assert!(w.is_exact() && w.faults.is_empty());
                seen = (w.coded_bytes, w.bytes(Direction::Down), w.presents.len());
            },
        );
        seen
    };
    let (free, wide, narrow) = (run(&[]), run(&wide), run(&[(Knob::InitialQuality, 40), (Knob::MaxFps, 10)]));
    println!("coded bytes, sent bytes, pictures: {free:?}; within wide bounds {wide:?}, within narrow ones {narrow:?}");
    assert_eq!(wide.0, free.0, "the same is coded");
    assert_eq!(wide.2, free.2, "and shown as often");
    assert_ne!(narrow.0, free.0, "which is not because nothing is looked at");
}

#[test]
fn every_preset_carries_a_desktop_and_keeps_to_its_limit() {
    for preset in Preset::ALL {
        let mut w = world(79, link(20, 40), busy(79, (400, 300), 3_000));
        w.wish(preset.policy());
        play("policy::every_preset", w, |w| {
            w.run(Span::secs(3));
            let took = until_exact(w, Span::secs(2));
            println!(
                "{preset:?}: patches and text exact {took:.0} ms after the last change, {} shown",
                w.presents.len()
            );
            assert_eq!(w.policies().1, &preset.policy(), "the viewer was told");
            assert!(w.presents.len() as u32 <= preset.policy().max_fps().unwrap_or(60) * 3 + 6);
        });
    }
}
