//! Films beside what people do, and on links that change.

use crate::kit::{film_frame, film_in, host_at, link, play, press, world};
use telepane_model::{BitRate, Pixels, Rect, Region, Rng, Size, Span, Surf};
use telepane_sim::{Canvas, Direction, LinkModel, World, WorldOptions};

/// A grainy film of 320 by 192, 30 frames a second until `until_ms`, beside a page.
fn film(seed: u64, until_ms: u64) -> Canvas {
    let mut t = 0u32;
    Canvas::new(Size::new(512, 320), seed, Span::micros(33_333), host_at(until_ms), move |p, rng| {
        t += 3;
        film_frame(p, t, rng)
    })
}

/// Frames shown from `from` to `to` milliseconds, and the longest time without one.
fn shown(w: &World, from: u64, to: u64) -> (usize, u64) {
    let shown: Vec<u64> = w.presents.iter().copied().filter(|at| (from * 1_000..to * 1_000).contains(at)).collect();
    let gap = shown.windows(2).map(|p| p[1] - p[0]).max().unwrap_or(u64::MAX);
    (shown.len(), gap)
}

/// What a film needs for its quality it gets, and the rest of the link stays free: ten times the link changes nothing.
#[test]
fn a_film_takes_no_more_than_it_needs() {
    let mut rates = Vec::new();
    for mbps in [10, 100] {
        play("film::a_film_takes_no_more_than_it_needs", world(91, link(mbps, 40), film(91, 6_000)), |w| {
            w.run(Span::secs(2));
            let before = w.path(Direction::Down).offered;
            w.run(Span::secs(3));
            let rate = (w.path(Direction::Down).offered - before) as f64 * 8.0 / 3e6;
            let (frames, gap) = shown(w, 2_000, 5_000);
            println!("{mbps} Mbit/s: {rate:.2} Mbit/s, {frames} frames in 3 s, at most {gap} us apart");
            assert!(w.film_seen && w.faults.is_empty());
            assert!(frames >= 89 && gap < 60_000, "{frames} frames, {gap} us");
            rates.push(rate);
        });
    }
    assert!(rates[1] < rates[0] * 1.1 && rates[0] < 4.0, "{rates:?}");
}

/// However long a frame of a film is coded, a key's answer is not held up by it: the other core codes that.
#[test]
fn keys_do_not_wait_until_a_frame_is_coded() {
    let mut options = WorldOptions::new(95, link(20, 40), Box::new(film(95, 9_000)));
    // 30 ms a frame: the core that codes film hardly rests.
    options.cost.encode.film_per_mpx = Span::millis(488);
    play("film::keys_do_not_wait_until_a_frame_is_coded", World::new(options), |w| {
        for i in 0..40 {
            press(w, 3_000 + i * 139, 16 + (i % 30) as u16, 0);
        }
        w.run(Span::secs(9));
        // One key paints what stands there already: the film's next frame is the first picture that can show it.
        let mut times = w.key_times.clone();
        times.sort();
        let most = times.iter().nth_back(1).copied().unwrap_or(Span::MAX);
        let (frames, gap) = shown(w, 3_000, 8_500);
        println!(
            "{} keys, all but one within {most:?}; {frames} pictures in 5.5 s, at most {gap} us apart",
            times.len()
        );
        assert!(w.film_seen && w.faults.is_empty() && times.len() >= 39);
        assert!(most < Span::millis(45), "{most:?}");
        assert!(frames >= 140 && gap < 70_000, "{frames} pictures, {gap} us");
    });
}

/// A key's answer is coded before the next frame of a film and goes between a frame's fragments.
#[test]
fn keys_do_not_wait_for_a_film() {
    play("film::keys_do_not_wait_for_a_film", world(92, link(5, 100), film(92, 14_000)), |w| {
        for i in 0..60 {
            press(w, 3_000 + i * 171, 16 + (i % 30) as u16, 0);
        }
        w.run(Span::secs(14));
        let mut times = w.key_times.clone();
        times.sort();
        let (p50, p95) = (times[times.len() / 2], times[times.len() * 95 / 100]);
        let (frames, _) = shown(w, 3_000, 13_000);
        println!("{} keys beside a film: p50 {p50:?}, p95 {p95:?}; {frames} pictures in 10 s", times.len());
        assert!(w.film_seen && w.faults.is_empty() && times.len() >= 58);
        assert!(p95 <= Span::millis(115), "{p95:?}");
        assert!(frames >= 300, "{frames}");
    });
}

/// A film of 640 by 384 with more grain than a link carries.
fn grain(seed: u64, until_ms: u64) -> Canvas {
    let mut t = 0;
    Canvas::new(Size::new(768, 512), seed, Span::micros(33_333), host_at(until_ms), move |p, rng| {
        t += 3;
        let r = Rect::new(64, 64, 640, 384);
        for y in r.y..r.bottom() {
            for (x, px) in p.row_mut(r.x as u32, y as u32, r.w).chunks_exact_mut(4).enumerate() {
                let (x, y) = (x as u32 + t, y as u32 + t / 2);
                let grain = (rng.next_u64() & 63) as u8;
                px[..3].copy_from_slice(&[x * y / 512, x / 2 + y / 4, y / 2 + x / 6].map(|v| (v as u8) / 2 + grain));
            }
        }
        Region::from(r)
    })
}

/// A film with more grain than the link carries, and a coder that takes most of a frame's time: while one frame leaves the
/// next is coded, the link does not rest, and every frame of the film is shown.
// spec: H-8, H-44
#[test]
fn a_film_that_fills_the_link_lets_it_not_rest() {
    let mut options = WorldOptions::new(99, link(8, 40), Box::new(grain(99, 9_000)));
    // 44 ms a frame in full size, 25 ms in three quarters of it. Were only the last 10 ms of leaving used for that, it were 22 a second.
    options.cost.encode.film_per_mpx = Span::micros(180_000);
    play("film::a_film_that_fills_the_link_lets_it_not_rest", World::new(options), |w| {
        w.run(Span::secs(4));
        let (before, aged) = (w.path(Direction::Down).offered, w.ages.len());
        w.run(Span::secs(4));
        let used = (w.path(Direction::Down).offered - before) as f64 * 8.0 / 4e6 / 8.0;
        let mut ages = w.ages[aged..].to_vec();
        ages.sort();
        let p95 = ages[ages.len() * 95 / 100];
        let (frames, gap) = shown(w, 4_000, 8_000);
        let steps = steps(w, 0);
        println!("{used:.2} of the link, {frames} frames in 4 s, at most {gap} us apart, p95 {p95:?} old; {steps:?}");
        assert!(w.film_seen && w.faults.is_empty());
        assert!(used >= 0.85 && frames >= 110, "{used}, {frames} frames");
        assert!(p95 <= Span::millis(110), "{p95:?}");
    });
}

/// The same film where the link falls to a tenth and comes back: it flows on both, no queue stands, and what held before the
/// fall comes back with the link, not two seconds later.
// spec: H-8, H-44
#[test]
fn a_film_that_takes_what_it_may_is_back_with_the_link() {
    for rtt in [40, 100] {
        let name = "film::a_film_that_takes_what_it_may_is_back_with_the_link";
        play(name, world(98, link(20, rtt), grain(98, 18_000)), |w| {
            w.run_to(5_000_000);
            let (frames, _) = shown(w, 3_000, 5_000);
            let before = steps(w, 0).len();
            w.set_link(link(2, rtt), link(2, rtt));
            w.run_to(6_500_000);
            w.path(Direction::Down).worst_queue = 0;
            w.run_to(11_000_000);
            let queue = w.path(Direction::Down).worst_queue;
            let (low, gap) = shown(w, 7_000, 11_000);
            let down = steps(w, 0).len() - before;
            w.set_link(link(20, rtt), link(20, rtt));
            w.run_to(12_000_000);
            let back = steps(w, 11_000).len();
            w.run_to(16_000_000);
            let (again, _) = shown(w, 12_000, 16_000);
            println!(
                "{rtt} ms: {frames} frames in 2 s; at a tenth {low} in 4 s, at most {gap} us apart, queue {queue} us"
            );
            println!("then {again} in 4 s; {:?}", steps(w, 0));
            assert!(w.film_seen && frames >= 58, "{frames} frames in 2 s");
            assert!((1..=2).contains(&down) && low >= 80 && queue < 100_000, "{low} frames, {queue} us");
            assert!(back == 1 && steps(w, 11_000).len() == 1 && again >= 116, "{again} frames");
            assert!(w.faults.is_empty());
        });
    }
}

/// The viewer gave up in mid-film: the film goes on at once.
#[test]
fn a_film_goes_on_after_a_give_up() {
    play("film::a_film_goes_on_after_a_give_up", world(93, link(5, 60), film(93, 9_000)), |w| {
        w.run(Span::secs(4));
        let before = w.rebases;
        w.cut_way(Direction::Down, true);
        w.run(Span::millis(400));
        w.cut_way(Direction::Down, false);
        let again = w.now();
        w.run(Span::secs(3));
        let first = w.presents.iter().find(|at| **at > again).map_or(u64::MAX, |at| at - again);
        let (frames, gap) = shown(w, 5_000, 7_000);
        println!(
            "{} rebases; shown again after {first} us; {frames} frames, at most {gap} us apart",
            w.rebases - before
        );
        assert!(w.rebases > before && w.film_seen && w.faults.is_empty());
        assert!(first < 350_000, "{first} us");
        assert!(frames >= 59 && gap < 100_000, "{frames} frames, {gap} us");
    });
}

/// The link falls to a tenth in mid-film, while nobody is at work: the film sees it by itself, and does not freeze.
#[test]
fn a_film_fits_a_link_that_fell_to_a_tenth() {
    play("film::a_film_fits_a_link_that_fell_to_a_tenth", world(94, link(20, 40), film(94, 12_000)), |w| {
        w.run(Span::secs(4));
        w.set_link(link(2, 40), link(2, 40));
        w.run(Span::millis(600));
        w.path(Direction::Down).worst_queue = 0;
        w.run_to(11_000_000);
        let queue = w.path(Direction::Down).worst_queue;
        let (frames, gap) = shown(w, 4_600, 11_000);
        println!("{frames} frames in 6.4 s, at most {gap} us apart; queue at most {queue} us");
        assert!(w.film_seen && w.faults.is_empty());
        assert!(queue < 50_000, "{queue} us");
        assert!(frames >= 173 && gap < 200_000, "{frames} frames, {gap} us");
    });
}

/// The ladder's moves from `from` milliseconds on.
fn steps(w: &World, from: u64) -> Vec<&str> {
    let at = |line: &str| line.split_whitespace().next().and_then(|at| at.parse::<u64>().ok());
    w.journal().lines().filter(|l| l.contains("FilmStep") && at(l) >= Some(from * 1_000)).collect()
}

/// The link falls to what the film cannot be good on, and comes back: fewer frames, then all of them again, and no more
/// changes of mind than that.
// spec: H-44
#[test]
fn a_film_that_does_not_fit_gives_way_once_and_comes_back() {
    play("film::a_film_that_does_not_fit_gives_way", world(96, link(20, 40), film(96, 24_000)), |w| {
        w.run(Span::secs(4));
        assert!(steps(w, 0).is_empty(), "what fits stays as it is");
        let thin = || LinkModel::clean(BitRate::kbps(450), Span::millis(20));
        w.set_link(thin(), thin());
        w.run_to(8_000_000);
        let aged = w.ages.len();
        w.run_to(14_000_000);
        let mut ages = w.ages[aged..].to_vec();
        ages.sort();
        let p95 = ages[ages.len() * 95 / 100];
        let (frames, gap) = shown(w, 8_000, 14_000);
        let down = steps(w, 0).len();
        println!("{frames} frames in 6 s, at most {gap} us apart, p95 {p95:?} old; {:?}", steps(w, 0));
        assert!((1..=3).contains(&down) && frames >= 80 && gap < 300_000, "{frames} frames, {gap} us");
        assert!(p95 <= Span::millis(200), "{p95:?}");
        w.set_link(link(20, 40), link(20, 40));
        w.run_to(23_000_000);
        let up = steps(w, 14_000);
        println!("back: {up:?}");
        assert!(up.len() <= 3 && up.last().is_some_and(|l| l.contains("fps: 60") && l.contains("Full")), "{up:?}");
        let (frames, gap) = shown(w, 21_000, 23_000);
        assert!(frames >= 58 && gap < 100_000, "{frames} frames, {gap} us");
        assert!(w.film_seen && w.faults.is_empty());
        w.run_to(24_200_000);
        crate::kit::until_exact(w, Span::secs(2));
    });
}

/// A viewer that decodes for 65 ms a frame does not fall behind: it is sent what it can show.
// spec: H-59
#[test]
fn a_viewer_that_decodes_slowly_gets_fewer_frames() {
    let mut options = WorldOptions::new(97, link(20, 40), Box::new(film(97, 16_000)));
    options.cost.decode.film_per_mpx = Span::millis(1_060);
    play("film::a_viewer_that_decodes_slowly", World::new(options), |w| {
        w.run(Span::secs(4));
        let aged = w.ages.len();
        w.run_to(15_000_000);
        let mut ages = w.ages[aged..].to_vec();
        ages.sort();
        let (p50, p95) = (ages[ages.len() / 2], ages[ages.len() * 95 / 100]);
        let (frames, gap) = shown(w, 4_000, 15_000);
        println!("{frames} frames in 11 s, at most {gap} us apart, {p50:?} and {p95:?} old; {:?}", steps(w, 0));
        assert!(w.film_seen && w.faults.is_empty());
        assert!(frames >= 110 && gap < 600_000, "{frames} frames, {gap} us");
        assert!(p50 <= Span::millis(150) && p95 <= Span::millis(350), "{p50:?}, {p95:?}");
        assert!(steps(w, 0).len() <= 8, "{:?}", steps(w, 0));
    });
}

/// A viewer that decodes in time but whose screen takes 90 ms for a picture is sent as many frames as it shows, in full size.
// spec: H-75
#[test]
fn a_viewer_that_paints_slowly_gets_fewer_frames() {
    let mut options = WorldOptions::new(97, link(20, 40), Box::new(film(97, 16_000)));
    options.cost.present = Span::millis(90);
    play("film::a_viewer_that_paints_slowly", World::new(options), |w| {
        w.run(Span::secs(5));
        let (aged, coded) = (w.ages.len(), w.shown_figures());
        w.run_to(15_000_000);
        let after = w.shown_figures();
        let (sent, passed_over) = (after.frames - coded.frames, after.passed_over - coded.passed_over);
        let mut ages = w.ages[aged..].to_vec();
        ages.sort();
        let (p50, p95) = (ages[ages.len() / 2], ages[ages.len() * 95 / 100]);
        let (frames, gap) = shown(w, 5_000, 15_000);
        println!(
            "{sent} sent, {passed_over} passed over, {frames} shown, at most {gap} us apart, {p50:?} and {p95:?} old"
        );
        assert!(w.film_seen && w.faults.is_empty());
        assert!(frames >= 90 && sent <= frames as u64 * 5 / 4, "{sent} sent for {frames} shown");
        assert!(p50 <= Span::millis(160) && passed_over * 2 <= sent, "{p50:?}, {passed_over} passed over");
        assert!(steps(w, 0).iter().all(|l| l.contains("Full")), "{:?}", steps(w, 0));
    });
}

/// A large picture that changes twice within 100 ms is film: the third frame is not sent as a picture any more.
#[test]
fn a_large_picture_is_film_at_its_second_change() {
    for mbps in [5, 20] {
        let mut n = 0;
        let large = Canvas::new(Size::new(1024, 640), 96, Span::micros(33_333), host_at(4_000), move |p, rng| {
            n += 1;
            if n < 30 { Region::new() } else { film_in(p, Rect::new(128, 64, 640, 384), n * 3, rng) }
        });
        let name = "film::a_large_picture_is_film_at_its_second_change";
        play(name, world(96, link(mbps, 40), large), |w| {
            // Its first frame is drawn at 967 ms, and the second at 1,000.
            w.run_to(980_000);
            assert!(!w.film_seen, "one change is a new picture");
            w.run_to(1_032_000);
            assert!(w.film_seen, "the second is a film");
            w.run_to(1_300_000);
            let bytes = w.coded_bytes;
            w.run_to(3_900_000);
            let (frames, gap) = shown(w, 1_100, 3_900);
            println!("{mbps} Mbit/s: {bytes} B in the first 330 ms; {frames} frames in 2.8 s, at most {gap} us apart");
            assert!(w.faults.is_empty() && frames >= 83, "{frames} frames");
        });
    }
}

/// Photographs and text on one long page, of which a window shows a part.
struct Page {
    pixels: Pixels,
    window: Rect<Surf>,
}

impl Page {
    fn new(rng: &mut Rng) -> Self {
        let size = Size::new(900, 6_000);
        let mut pixels = Pixels::new(size);
        pixels.fill(size.rect(), [252, 252, 252]);
        for y in (0..5_400).step_by(900) {
            film_in(&mut pixels, Rect::new(60, y, 780, 560), y as u32, rng);
        }
        for _ in 0..30_000 {
            let (x, y) = (rng.below(880) as i32, rng.below(340) as i32 + 560 + 900 * rng.below(6) as i32);
            pixels.fill(Rect::new(x, y, 2 + rng.below(8) as u32, 2), [rng.below(60) as u8; 3]);
        }
        Self { pixels, window: Rect::new(62, 40, 900, 560) }
    }

    /// Shows the page from `top` on, a photograph that is not there yet as its frame.
    fn show(&self, p: &mut Pixels, top: i32, hidden: Option<i32>) -> Region<Surf> {
        let mut part = self.pixels.crop(Rect::new(0, top, self.window.w, self.window.h));
        if let Some(y) = hidden {
            let photo = Rect::new(60, y - top, 780, 560).intersect(part.size().rect());
            part.fill(photo, [230, 230, 230]);
        }
        p.paste(&part, self.window.x, self.window.y);
        self.window.into()
    }
}

/// What scrolls is no film, neither text nor photographs, nor where photographs appear while it does: however quickly, and
/// though a thin link shows it coarsely.
#[test]
fn what_scrolls_is_no_film() {
    for (mbps, every) in [(2, 33_333), (5, 16_667), (20, 16_667)] {
        let page = Page::new(&mut Rng::new(97));
        let (mut n, mut top) = (0, 0);
        let scroll = Canvas::new(Size::new(1024, 640), 97, Span::micros(every), host_at(2_000), move |p, _| {
            n += 1;
            top = (top + if n % 40 < 30 { 31 } else { 0 }).min(5_400);
            // The third photograph comes late, in the midst of a scroll.
            let hidden = (top < 1_800).then_some(1_800);
            page.show(p, top, hidden)
        });
        play("film::what_scrolls_is_no_film", world(97, link(mbps, 40), scroll), |w| {
            w.run_to(2_000_000);
            println!("{mbps} Mbit/s, a step in {every} us: {} B", w.coded_bytes);
            assert!(!w.film_seen && w.faults.is_empty());
            w.run(Span::secs(4));
            assert!(w.is_exact());
        });
    }
}
