use super::*;
use telepane_model::{Bytes, HostClock};

const FREE: LadderPolicy = LadderPolicy { max_fps: None, sharpness: 50, least: 0, scales: true };

/// A film and a coder, by what a frame in full size takes at quantiser 26 thirty times a second.
struct Show {
    ladder: Ladder<HostClock>,
    now: Stamp<HostClock>,
    hz: u64,
    bytes: f64,
    took: Span,
    /// What a smaller size saves, as [`BY_AREA`] foresees it.
    by_area: f64,
    begun: u32,
    moves: Vec<(u64, Rung)>,
}

impl Show {
    fn new(policy: LadderPolicy, hz: u64, bytes: f64, took: Span) -> Self {
        let now = Stamp::from_micros(5_000_000);
        let by_area = BY_AREA;
        Self { ladder: Ladder::new(policy), now, hz, bytes, took, by_area, begun: 0, moves: Vec::new() }
    }

    /// Plays on a link of so many kilobits a second; answers frames a second and the last frame's quality.
    fn play(&mut self, seconds: u64, kbps: u64) -> (u32, u8) {
        let (before, mut quality) = (self.begun, 100);
        let mut busy = Stamp::ZERO;
        for n in 0..seconds * self.hz {
            let now = self.now + Span::micros(n * 1_000_000 / self.hz);
            self.ladder.on_change(now);
            if now < busy || self.ladder.due(now) > now {
                continue;
            }
            self.ladder.on_begun(now);
            self.begun += 1;
            let part = area(self.ladder.film_scale());
            let step = 1.0 / f64::from(self.ladder.frames_per_second());
            let needs = self.bytes * libm::pow(part, self.by_area) * libm::pow(30.0 * step, BY_TIME);
            let room = kbps as f64 * 125.0 * step;
            let steps = (OCTAVE * libm::log2(needs / room)).max(0.0);
            quality = (100.0 - 4.0 * steps).max(0.0) as u8;
            let bytes = Bytes(needs.min(room) as u64);
            let took = Span::from_secs_f64(self.took.as_secs_f64() * part);
            busy = now + took;
            let rung = self.ladder.rung();
            let frame = Filmed { bytes, quality, scale: self.ladder.film_scale(), key: false };
            self.ladder.on_coded(now, frame, took, BitRate::kbps(kbps));
            if self.ladder.rung() != rung {
                self.moves.push((now.as_micros() / 1_000, self.ladder.rung()));
            }
        }
        self.now += Span::secs(seconds);
        ((self.begun - before) / seconds as u32, quality)
    }
}

fn film(sharpness: u8) -> Show {
    Show::new(LadderPolicy { sharpness, ..FREE }, 30, 4_000.0, Span::millis(12))
}

#[test]
fn what_fits_stays_at_the_top() {
    let mut show = film(50);
    assert_eq!(show.play(10, 4_000), (30, 100));
    // Quality alone takes the first of it.
    let (fps, quality) = show.play(10, 600);
    assert!(fps == 30 && (60..100).contains(&quality), "{fps} {quality}");
    assert_eq!(show.ladder.changes(), 0);
}

// spec: H-44
#[test]
fn what_does_not_fit_goes_down_once_and_comes_back_when_it_fits() {
    let mut show = film(50);
    show.play(5, 4_000);
    let (fps, _) = show.play(20, 150);
    assert!(show.moves.len() <= 2, "{:?}", show.moves);
    let low = show.ladder.rung();
    assert!(fps >= 29 && low.scale < Full, "{fps} {low:?}");
    let down = show.moves[0].0;
    assert!((10_500..11_500).contains(&down), "after half a second: {down}");
    show.play(8, 4_000);
    assert_eq!(show.ladder.rung(), SHARP[0].0, "{:?}", show.moves);
    assert!(show.moves.len() <= 4, "{:?}", show.moves);
    assert_eq!(show.play(2, 4_000), (30, 100));
}

#[test]
fn a_link_that_swings_moves_it_seldom() {
    let mut show = film(50);
    show.play(5, 150);
    let before = show.moves.len();
    // Good for a second and a half, bad for as long, a minute long: nobody wants to see that.
    for n in 0..40 {
        show.play(1 + n % 2, if n % 2 == 0 { 150 } else { 300 });
    }
    assert!(show.moves.len() - before <= 2, "{:?}", show.moves);
    // Good for long enough each time: wrong, and then slower to try again.
    let before = show.moves.len();
    for _ in 0..8 {
        show.play(6, 1_000);
        show.play(4, 150);
    }
    assert!(show.moves.len() - before <= 18, "{:?}", show.moves);
}

// spec: H-44
#[test]
fn the_slider_says_what_goes_first() {
    let at = |sharpness: u8, kbps: u64| {
        let mut show = film(sharpness);
        let (fps, quality) = show.play(12, kbps);
        (show.ladder.rung(), fps, quality)
    };
    let (smooth, middle, sharp) = (at(0, 100), at(50, 100), at(100, 100));
    assert!(smooth.0.scale < Full && smooth.0.fps >= 30, "{smooth:?}");
    assert!(sharp.0.fps == 15, "{sharp:?}");
    assert!(smooth.1 >= middle.1 && middle.1 > sharp.1, "{smooth:?} {middle:?} {sharp:?}");
    // Sixty a second are worth their size only to one who wants it smooth.
    let sixty = |sharpness: u8| {
        let mut show = Show::new(LadderPolicy { sharpness, ..FREE }, 60, 4_000.0, Span::millis(6));
        show.play(12, 300);
        show.ladder.rung()
    };
    assert_eq!(sixty(0), Rung { fps: 60, scale: ThreeQuarters });
    assert_eq!(sixty(50), Rung { fps: 30, scale: Full });
    // Where it is enough for the one, the other already gives way.
    assert_eq!((at(0, 450).0.fps, at(100, 450).0.fps < 60), (60, true));
}

// spec: H-45
#[test]
fn who_demands_a_quality_gets_fewer_frames_not_smaller_ones() {
    let mut show = Show::new(LadderPolicy { least: 80, ..FREE }, 30, 4_000.0, Span::millis(12));
    show.play(12, 300);
    assert_eq!(show.ladder.rung(), Rung { fps: 15, scale: Full }, "{:?}", show.moves);
}

// spec: H-59
#[test]
fn without_the_capability_nothing_is_coded_smaller() {
    let mut show = Show::new(LadderPolicy { scales: false, sharpness: 0, ..FREE }, 30, 4_000.0, Span::millis(12));
    show.play(12, 60);
    assert_eq!((show.ladder.film_scale(), show.ladder.rung().fps), (Full, 15));
}

#[test]
fn a_slow_coder_is_helped_as_the_slider_says() {
    // 45 ms a frame in full size, sixty changes a second.
    let at = |sharpness: u8| {
        let mut show = Show::new(LadderPolicy { sharpness, ..FREE }, 60, 6_000.0, Span::millis(45));
        let (fps, _) = show.play(10, 20_000);
        (show.ladder.film_scale(), fps)
    };
    assert_eq!(at(100).0, Full, "twenty a second are enough");
    for sharpness in [0, 50] {
        let (scale, fps) = at(sharpness);
        assert!(scale == ThreeQuarters && fps >= 28, "{scale:?} {fps}");
    }
}

/// More grain than any quantiser of use makes fit: size goes, and the frames keep coming.
// spec: H-44
#[test]
fn a_film_that_takes_what_it_may_flows() {
    let mut show = Show::new(FREE, 30, 400_000.0, Span::millis(25));
    let (fps, _) = show.play(12, 20_000);
    assert_eq!((fps, show.ladder.rung()), (30, Rung { fps: 30, scale: ThreeQuarters }), "{:?}", show.moves);
}

#[test]
fn grain_that_is_gone_with_the_size_is_not_forgotten_again_and_again() {
    let mut show = Show::new(FREE, 30, 400_000.0, Span::millis(25));
    show.by_area = 2.2;
    show.play(10, 20_000);
    let before = show.moves.len();
    let (fps, _) = show.play(100, 20_000);
    let tries = (show.moves.len() - before) / 2;
    assert!(fps >= 29 && (1..=2).contains(&tries), "{fps}, {:?}", show.moves);
}

// spec: H-44
#[test]
fn what_held_before_a_fall_is_back_at_once_but_not_each_time() {
    let mut show = Show::new(FREE, 30, 400_000.0, Span::millis(25));
    show.play(12, 20_000);
    let held = show.ladder.rung();
    let fall = |show: &mut Show| {
        let (from, before) = (show.now.as_micros() / 1_000, show.moves.len());
        show.play(8, 2_000);
        assert!(show.ladder.rung().scale < held.scale);
        let left = show.moves.get(before..).and_then(|m| m.first()).map(|(at, _)| at - from);
        assert!(left.is_some_and(|ms| ms <= 300), "a frame takes as long to leave as ten: {left:?}");
        let (from, before) = (show.now.as_micros() / 1_000, show.moves.len());
        show.play(1, 20_000);
        show.moves.get(before..).and_then(|m| m.first()).map(|(at, rung)| (at - from, *rung))
    };
    let (after, rung) = fall(&mut show).unwrap();
    assert!(rung == held && after <= 300, "{after} ms: {rung:?}");
    assert_eq!(fall(&mut show), None, "a link that swings is not followed");
    show.play(12, 20_000);
    assert_eq!(show.ladder.rung(), held, "{:?}", show.moves);
    // Half of it is not what there was.
    show.play(12, 2_000);
    let low = show.ladder.rung();
    show.play(1, 10_000);
    assert_eq!(show.ladder.rung(), low, "{:?}", show.moves);
}

// spec: H-59
#[test]
fn a_viewer_that_falls_behind_gets_less_and_is_tried_again_seldom() {
    let mut show = film(50);
    show.play(3, 4_000);
    let at = |show: &Show, ms: u64| show.now + Span::millis(ms);
    // One long frame is nothing.
    show.ladder.on_queue(at(&show, 0), Span::millis(90));
    show.ladder.on_queue(at(&show, 40), Span::millis(10));
    show.ladder.on_queue(at(&show, 280), Span::millis(90));
    assert_eq!(show.ladder.changes(), 0);
    for ms in (300..700).step_by(20) {
        show.ladder.on_queue(at(&show, ms), Span::millis(ms / 3));
    }
    assert_eq!((show.ladder.rung().scale, show.ladder.changes()), (ThreeQuarters, 1));
    let held = show.ladder.due(at(&show, 681));
    assert!(held >= at(&show, 1_100), "nothing is begun for one so far behind");
    show.ladder.on_queue(at(&show, 700), Span::millis(5));
    assert!(show.ladder.due(at(&show, 701)) <= at(&show, 701));
    let start = show.moves.len();
    for _ in 0..60 {
        show.play(1, 4_000);
        if show.ladder.rung().scale == Full {
            for ms in (0..300).step_by(20) {
                show.ladder.on_queue(at(&show, ms), Span::millis(100));
            }
            show.ladder.on_queue(at(&show, 301), Span::ZERO);
        }
    }
    let tries = show.moves.len() - start;
    assert!((2..=5).contains(&tries), "in a minute: {tries}");
}

/// Each frame would stand for longer than it takes to make up one's mind.
#[test]
fn a_film_that_is_far_too_large_is_made_smaller_with_its_second_frame() {
    let mut ladder = Ladder::<HostClock>::new(FREE);
    let at = |n: u64| Stamp::from_micros(5_000_000 + n * 1_000_000 / 60);
    (0..10).for_each(|n| ladder.on_change(at(n)));
    for (n, key, down) in [(10, true, false), (100, false, true)] {
        let frame = Filmed { scale: Full, key, quality: 0, bytes: Bytes(130_000) };
        ladder.on_coded(at(n), frame, Span::millis(20), BitRate::mbps(1));
        assert_eq!(ladder.changes() > 0, down, "{n}");
    }
}

// spec: H-75
#[test]
fn frames_come_as_often_as_the_screen_shows_them_and_more_are_tried_seldom() {
    let mut show = film(50);
    show.play(20, 4_000);
    assert_eq!(show.ladder.frames_per_second(), 30);
    let (scale, start) = (show.ladder.rung().scale, show.now);
    let mut bound = Vec::new();
    let mut was = 30;
    while show.now.since(start) < Span::secs(60) {
        show.play(20, 500);
        let fps = show.ladder.frames_per_second();
        if fps > 11 {
            show.ladder.on_shows(show.now, Span::millis(100));
            bound.push(show.now.since(start).as_micros() / 1_000_000);
            assert_eq!(show.ladder.frames_per_second(), 9, "was {was}");
        }
        was = fps;
    }
    assert!((3..=6).contains(&bound.len()), "tried after {bound:?} s");
    assert_eq!((show.ladder.rung().scale, show.ladder.changes()), (scale, 0), "no smaller frames for that");
    show.ladder.on_shows(show.now, Span::secs(1 << 40));
    assert_eq!(show.ladder.frames_per_second(), 5, "but five a second do");
}

#[test]
fn a_new_film_begins_at_the_top() {
    let mut show = film(50);
    show.play(6, 100);
    assert!(show.ladder.rung().scale < Full);
    show.now += Span::secs(11);
    show.ladder.on_change(show.now);
    assert_eq!(show.ladder.rung(), SHARP[0].0);
    assert_eq!(show.ladder.frames_per_second(), 30, "as if nothing were known");
}

/// The key frame took longer, because a film's beginning does; that is forgotten with the frame after it.
#[test]
fn a_coder_is_expected_to_make_thirty_a_second_until_it_is_known() {
    let begun = |key: u64, then: u64| {
        let mut ladder = Ladder::<HostClock>::new(FREE);
        let at = |n: u64| Stamp::from_micros(5_000_000 + n * 1_000_000 / 60);
        (0..4).for_each(|n| ladder.on_change(at(n)));
        let mut shared_by = vec![ladder.frames_per_second()];
        for (n, took, key) in [(4, key, true), (8, then, false)] {
            let frame = Filmed { bytes: Bytes(4_000), quality: 100, scale: Full, key };
            ladder.on_coded(at(n), frame, Span::millis(took), BitRate::kbps(20_000));
            shared_by.push(ladder.frames_per_second());
        }
        shared_by
    };
    assert_eq!(begun(8, 6), [30, 60, 60]);
    assert_eq!(begun(40, 30), [30, 24, 32]);
}

#[test]
fn nonsense_is_survived() {
    let mut ladder =
        Ladder::<HostClock>::new(LadderPolicy { max_fps: Some(0), sharpness: 255, least: 255, scales: true });
    for n in 0..50u64 {
        let now = Stamp::from_micros(n * 7);
        ladder.on_change(now);
        let filmed = Filmed { bytes: Bytes(u64::MAX * (n % 2)), quality: 255, scale: Half, key: n % 3 == 0 };
        ladder.on_coded(now, filmed, Span::secs(n), BitRate::bps(n % 2 * u64::MAX));
        ladder.on_queue(now, Span::secs(1 << 40));
        ladder.on_begun(now);
        assert!(ladder.frames_per_second() >= 1);
        let _ = ladder.due(now);
    }
}
