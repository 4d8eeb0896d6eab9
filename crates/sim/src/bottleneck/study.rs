//! The scenarios of the rate study (S1 to S9, held-out H) and new ones (N), each with its figures and the bound of each.
//!
//! Every controller does the same work over the same path with the same seed. The bounds are those that ours is held to
//! (`research/rate-control.md` §6); a figure without one is there for comparison. `telepane-bench virtual --controllers`
//! prints all of it.

use super::runs::{self, Film};
use super::{App, Gilbert, Kind, Link, Path, Work, quantile};

/// A scenario.
pub struct Scenario {
    /// Its name: the study's number, and what it is about.
    pub name: &'static str,
    /// What happens.
    pub about: &'static str,
    /// Plays it.
    pub play: fn(Kind) -> Vec<Figure>,
}

/// A figure of a scenario and what ours is held to.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// What it is, with its unit.
    pub name: &'static str,
    /// What came out.
    pub value: f64,
    /// What should.
    pub bound: Bound,
}

/// What a figure is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Nothing.
    Free,
    /// Not more.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
    /// Neither less nor more.
    Within(f64, f64),
}

impl Bound {
    /// Whether a value keeps it.
    pub fn is_kept(self, value: f64) -> bool {
        match self {
            Self::Free => true,
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
            Self::Within(least, most) => value >= least && value <= most,
        }
    }
}

impl Bound {
    /// How far outside a value is, in the figure's own unit; 0 inside.
    pub fn missed_by(self, value: f64) -> f64 {
        let (least, most) = match self {
            Self::Free => return 0.0,
            Self::AtMost(most) => (f64::NEG_INFINITY, most),
            Self::AtLeast(least) => (least, f64::INFINITY),
            Self::Within(least, most) => (least, most),
        };
        (least - value).max(value - most).max(0.0)
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Free => Ok(()),
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::Within(least, most) => write!(f, "{least} .. {most}"),
        }
    }
}

const fn most(name: &'static str, value: f64, bound: f64) -> Figure {
    Figure { name, value, bound: Bound::AtMost(bound) }
}

const fn least(name: &'static str, value: f64, bound: f64) -> Figure {
    Figure { name, value, bound: Bound::AtLeast(bound) }
}

const fn free(name: &'static str, value: f64) -> Figure {
    Figure { name, value, bound: Bound::Free }
}

macro_rules! scenario {
    ($name:literal, $about:literal, $play:expr) => {
        Scenario { name: $name, about: $about, play: $play }
    };
}

/// All of them. 40 ms of round trip and 20 Mbit/s where nothing else is said; the buffer holds 100 ms.
pub const ALL: &[Scenario] = &[
    scenario!("S1 mixed", "idle, typing, scrolling, film and bursts in turn; 20 Mbit/s, 40 ms", |k| mixed(
        k, 20.0, 0.04
    )),
    scenario!("S1 mixed thin", "the same; 8 Mbit/s, 80 ms", |k| mixed(k, 8.0, 0.08)),
    scenario!("S2 drop", "film; 20, then 2, then 20 Mbit/s; 600 kB of buffer", |k| step(
        k,
        20.0,
        2.0,
        0.04,
        600,
        [600.0, 80.0, 600.0]
    )),
    scenario!("S2 drop shallow", "the same with 150 kB of buffer", |k| step(
        k,
        20.0,
        2.0,
        0.04,
        150,
        [600.0, 80.0, 600.0]
    )),
    scenario!("S2 drop far", "the same with 600 kB and 100 ms", |k| step(
        k,
        20.0,
        2.0,
        0.1,
        600,
        [1_300.0, 120.0, 1_000.0]
    )),
    scenario!("S3 CUBIC 0.5", "film beside one CUBIC flow, half a product of buffer", |k| beside(k, 20.0, 0.04, 0.5)),
    scenario!("S3 CUBIC 1", "the same with one product", |k| beside(k, 20.0, 0.04, 1.0)),
    scenario!("S3 CUBIC 4", "the same with four", |k| beside(k, 20.0, 0.04, 4.0)),
    scenario!("S3 two alike", "two films under the same controller, one product", two_alike),
    scenario!("S4 loss 3 %", "12 Mbit/s of film, 3 % lost at random each way, parity where the controller asks", |k| {
        loss(k, 0.04, 30_000, None, 70.0)
    }),
    scenario!("S4 loss 3 % far", "the same with 100 ms", |k| loss(k, 0.1, 30_000, None, 105.0)),
    scenario!("S4 loss in bursts", "12 Mbit/s of film, half lost in bad times: 2.4 % in all", |k| loss(
        k,
        0.04,
        0,
        Some(BURSTS),
        125.0
    )),
    scenario!("S5 burst cold", "300 kB as the first thing", |k| burst(k, 0.3, 20.0, 200.0, 20.0)),
    scenario!("S5 burst warm", "300 kB after 5 s of rest", |k| burst(k, 5.5, 20.0, 165.0, 20.0)),
    scenario!("S5 burst half", "the same, the capacity halved meanwhile", |k| burst(k, 5.5, 10.0, 290.0, 40.0)),
    scenario!("S5 burst tenth", "the same, a tenth of it left", |k| burst(k, 5.5, 2.0, 1_300.0, 80.0)),
    scenario!("S6 Wi-Fi stalls", "film up to 30 Mbit/s at 60 fps; 40 Mbit/s, stalls of 5 to 30 ms, 1 % loss", wifi),
    scenario!("S7 cellular", "film; a walk between 2 and 30 Mbit/s every 200 ms; 50 ms", |k| cellular(k, 991, false)),
    scenario!("S8 jitter back", "film; feedback late by 5 ms in the mean", jitter),
    scenario!("S8 by ACKs", "the same; ours hears when reports come, not when packets came", |k| jitter(
        if k == Kind::Ours { Kind::OursByAcks } else { k }
    )),
    scenario!("S9 15 kB", "film; 15 kB of buffer", |k| plain(
        k,
        Path { buffer: 15_000, ..steady() },
        20.0,
        30,
        (0.92, 110.0)
    )),
    scenario!("S9 1 Mbit/s", "film; 1 Mbit/s, 60 ms", |k| plain(
        k,
        Path { buffer: 50_000, ..Path::steady(1.0, 0.06) },
        1.0,
        30,
        (0.88, 110.0)
    )),
    scenario!("S9 200 ms", "film; 200 ms", |k| plain(
        k,
        Path { buffer: 500_000, ..Path::steady(20.0, 0.2) },
        20.0,
        30,
        (0.92, 160.0)
    )),
    scenario!("S9 200 Mbit/s", "film at 60 fps; 200 Mbit/s, 5 ms", |k| plain(
        k,
        Path { buffer: 250_000, ..Path::steady(200.0, 0.005) },
        200.0,
        60,
        (0.92, 35.0)
    )),
    scenario!("S9 10 % loss", "film; 10 Mbit/s, 80 ms, 10 % loss, jitter back", |k| {
        let path = Path { buffer: 200_000, loss_ppm: 100_000, reverse_jitter: 0.005, ..Path::steady(10.0, 0.08) };
        plain(k, path, 10.0, 30, (0.75, 150.0))
    }),
    scenario!("H1 drop", "film; 50, then 10, then 50 Mbit/s; 25 ms, 300 kB", |k| step(
        k,
        50.0,
        10.0,
        0.025,
        300,
        [250.0, 80.0, 500.0]
    )),
    scenario!("H2 drop", "film; 8, then 1, then 8 Mbit/s; 70 ms, 200 kB", |k| step(
        k,
        8.0,
        1.0,
        0.07,
        200,
        [900.0, 120.0, 800.0]
    )),
    scenario!("H3 cellular", "film; a walk between 1 and 40 Mbit/s every 100 ms; 30 ms", |k| cellular(k, 5_551, true)),
    scenario!("H4 CUBIC", "film beside one CUBIC flow; 50 Mbit/s, 20 ms, two products", |k| beside(k, 50.0, 0.02, 2.0)),
    scenario!("H5 CUBIC", "film beside one CUBIC flow; 10 Mbit/s, 100 ms, one product", |k| beside(k, 10.0, 0.1, 1.0)),
    scenario!("H6 burst", "450 kB after 8 s of rest; 35 Mbit/s, 60 ms", |k| {
        let path = Path { buffer: 300_000, ..Path::steady(35.0, 0.06) };
        let (b, _) = runs::burst_over(k, path, &[(1.0, Work::Burst(200_000))], 9.0, 450_000);
        vec![most("last byte ms", b.last_byte, 160.0), most("queue peak ms", b.peak, 20.0)]
    }),
    scenario!("N1 policer", "film; 10 Mbit/s let through, 100 kB at once, of 100 Mbit/s", |k| fresh(k, 0)),
    scenario!("N2 policer", "20 Mbit/s let through, 30 kB at once", |k| fresh(k, 1)),
    scenario!("N3 policer", "4 Mbit/s let through, 500 kB at once", |k| fresh(k, 2)),
    scenario!("N4 Wi-Fi turns", "30 Mbit/s, a turn every 4 ms, 20 ms", |k| fresh(k, 3)),
    scenario!("N5 Wi-Fi turns", "30 Mbit/s, a turn every 10 ms, 1 % loss, 20 ms", |k| fresh(k, 4)),
    scenario!("N6 CoDel", "20 Mbit/s, 40 ms, CoDel", |k| fresh(k, 5)),
    scenario!("N7 CoDel", "5 Mbit/s, 80 ms, CoDel", |k| fresh(k, 6)),
    scenario!("N8 a cell", "3 to 25 Mbit/s with handovers, 60 ms", |k| fresh(k, 7)),
    scenario!("N9 a cell", "another", |k| fresh(k, 8)),
    scenario!("N10 a cell", "a third", |k| fresh(k, 9)),
    scenario!("N11 satellite", "10 Mbit/s, 600 ms", |k| fresh(k, 10)),
    scenario!("N12 narrow", "600 kbit/s, 250 ms, 8 fps", |k| fresh(k, 11)),
    scenario!("N13 wide", "400 Mbit/s, 1 ms, 60 fps", |k| fresh(k, 12)),
    scenario!("N14 jitter back", "feedback late by 20 ms in the mean", |k| fresh(k, 13)),
    scenario!("N15 a rival leaves", "film beside CUBIC, four products, which ends: 3 s later", leaves),
];

/// A journal of one of the runs that are drawn, by name; see [`DRAWN`].
pub fn journal(name: &str, kind: Kind) -> Option<String> {
    let link = match name {
        "drop" => runs::step_over(kind, (20.0, 2.0), 0.04, 600_000, 0).1,
        "burst" => {
            let path = Path { buffer: 600_000, ..steady() };
            runs::burst_over(kind, path, &[(0.5, Work::Burst(200_000))], 5.5, 300_000).1
        }
        "wifi-stalls" => runs::film_over(runs::stalls(77, 15.0), wifi_app(kind), 15.0, 4).1,
        "loss" => {
            let path = Path { loss_ppm: 30_000, ..steady() };
            runs::film_over(path, App { kind, demand: 12.0, parity: true, ..runs::greedy() }, 15.0, 4).1
        }
        "two-flows" => runs::two_films(kind).1,
        "cubic-beside" => runs::rival(kind, 20.0, 0.04, 1.0).1,
        _ => return None,
    };
    Some(link.journal())
}

/// The runs that are drawn.
pub const DRAWN: &[&str] = &["drop", "burst", "wifi-stalls", "loss", "two-flows", "cubic-beside"];

/// Bad times begin with 1 % of packets, last five in the mean, and lose half.
const BURSTS: Gilbert = Gilbert { worsens_ppm: 10_000, betters_ppm: 200_000, loss_ppm: 500_000 };

fn steady() -> Path {
    Path::steady(20.0, 0.04)
}

/// Twice through a script of 27 s. The first burst of a session has no bound here; it is S5's.
fn mixed(kind: Kind, rate: f64, rtt: f64) -> Vec<Figure> {
    let script = [
        (3.0, Work::Idle),
        (0.5, Work::Burst(300_000)),
        (4.0, Work::Typing),
        (2.0, Work::Scroll),
        (1.5, Work::Idle),
        (0.5, Work::Burst(200_000)),
        (4.0, Work::Film),
        (5.0, Work::Idle),
        (0.5, Work::Burst(500_000)),
        (2.0, Work::Typing),
    ];
    let (mut work, mut t) = (Vec::new(), 0.0);
    for (lasts, what) in script.iter().chain(&script) {
        work.push((t, *what));
        t += lasts;
    }
    work.push((t, Work::Idle));
    let buffer = if rate < 10.0 { 150_000 } else { 250_000 };
    let mut link = Link::new(Path { buffer, ..Path::steady(rate, rtt) }, 1);
    link.add(0.0, App { kind, demand: 15.0, ..App::new(&work) });
    link.run(t + 3.0);
    let flow = &link.flows[0];
    let of = |wanted: fn(&Work) -> bool| -> Vec<f64> {
        let frames = flow.frames.iter().filter(|f| wanted(&f.work));
        frames.map(|f| f.done.map_or(f64::INFINITY, |d| (d - f.start) * 1e3)).collect()
    };
    let last_burst = flow.frames.iter().rfind(|f| f.work == Work::Burst(300_000));
    let burst = last_burst.and_then(|f| f.done.map(|d| (d - f.start) * 1e3)).unwrap_or(f64::INFINITY);
    // A burst's time on the wire, the way, and 8 %.
    let burst_most = (300_000.0 * 8.0 / rate / 1e3 + rtt * 500.0) * 1.18;
    let busy: Vec<f64> = link.queues.iter().map(|q| q.1).filter(|ms| *ms > 0.2).collect();
    vec![
        most("typing p99 ms", quantile(of(|w| *w == Work::Typing), 0.99), if rate < 10.0 { 60.0 } else { 40.0 }),
        free("scroll p95 ms", quantile(of(|w| *w == Work::Scroll), 0.95)),
        free("film p95 ms", quantile(of(|w| *w == Work::Film), 0.95)),
        most("300 kB ms", burst, burst_most.ceil()),
        most("queue p99 when busy ms", quantile(busy, 0.99), 20.0),
    ]
}

fn step(kind: Kind, high: f64, low: f64, rtt: f64, kilobytes: u64, [react, p95, rise]: [f64; 3]) -> Vec<Figure> {
    let all: Vec<_> = (0..3).map(|seed| runs::step(kind, high, low, rtt, kilobytes * 1_000, seed)).collect();
    let mean = |f: fn(&runs::Step) -> f64| all.iter().map(f).sum::<f64>() / all.len() as f64;
    vec![
        most("queue < 50 ms after ms", mean(|s| s.react), react),
        free("queue peak ms", mean(|s| s.peak)),
        most("frame p95 at the low rate ms", mean(|s| s.frame_p95), p95),
        least("low rate used", mean(|s| s.low), 0.88),
        most("rise to 90 % ms", mean(|s| s.rise), rise),
    ]
}

fn beside(kind: Kind, rate: f64, rtt: f64, products: f64) -> Vec<Figure> {
    let (s, _) = runs::rival(kind, rate, rtt, products);
    let share = Figure { name: "our share", value: s.share, bound: Bound::Within(0.30, 0.65) };
    vec![share, least("Jain", s.jain, 0.85), free("frame p95 ms", s.frame_p95), free("queue p95 ms", s.queue_p95)]
}

fn leaves(kind: Kind) -> Vec<Figure> {
    let (s, _) = runs::rival(kind, 20.0, 0.04, 4.0);
    vec![least("used after", s.after.0 / 20.0, 0.90), most("queue p95 after ms", s.after.1, 20.0)]
}

fn two_alike(kind: Kind) -> Vec<Figure> {
    let (s, _) = runs::two_films(kind);
    vec![least("Jain", s.jain, 0.97), least("used", s.used, 0.93), most("queue p95 ms", s.queue_p95, 35.0)]
}

fn loss(kind: Kind, rtt: f64, loss_ppm: u32, bursts: Option<Gilbert>, p95: f64) -> Vec<Figure> {
    let path = Path { loss_ppm, bursts, buffer: 250_000, ..Path::steady(20.0, rtt) };
    let app = App { kind, demand: 12.0, parity: true, ..App::new(&[(0.0, Work::Film)]) };
    let (f, _) = runs::film_over(path, app, 40.0, 4);
    vec![
        least("goodput Mbit/s", f.goodput, 0.97 * 12.0),
        free("frame p50 ms", f.p50),
        most("frame p95 ms", f.p95, p95),
        free("parity and filler %", f.extra),
    ]
}

fn burst(kind: Kind, at: f64, then: f64, last_byte: f64, peak: f64) -> Vec<Figure> {
    let b = runs::burst(kind, at, then);
    vec![most("last byte ms", b.last_byte, last_byte), most("queue peak ms", b.peak, peak)]
}

fn wifi_app(kind: Kind) -> App {
    App { kind, demand: 30.0, fps: 60, ..App::new(&[(0.0, Work::Film)]) }
}

fn wifi(kind: Kind) -> Vec<Figure> {
    let all: Vec<Film> =
        (0..3).map(|seed| runs::film_over(runs::stalls(77 + seed, 40.0), wifi_app(kind), 40.0, seed).0).collect();
    let mean = |f: fn(&Film) -> f64| all.iter().map(f).sum::<f64>() / 3.0;
    vec![least("goodput Mbit/s", mean(|f| f.goodput), 25.0), most("frame p99 ms", mean(|f| f.p99), 85.0)]
}

/// The study's S7, or held out its H3.
fn cellular(kind: Kind, seed: u64, is_held: bool) -> Vec<Figure> {
    let (mut used, mut p99, mut queue) = (0.0, 0.0, 0.0);
    for i in 0..3 {
        let seed = seed + i * 177;
        let (mean, path) = if is_held {
            let (mean, path) = runs::walk(seed, 0.1, 0.5, (1.0, 40.0), 50.0);
            (mean, Path { rtt: 0.03, buffer: 300_000, ..path })
        } else {
            runs::walk(seed, 0.2, 0.35, (2.0, 30.0), 50.0)
        };
        let f = runs::film(path, App { kind, ..App::new(&[(0.0, Work::Film)]) }, 50.0);
        (used, p99, queue) = (used + f.rate / mean / 3.0, p99 + f.p99 / 3.0, queue + f.queue_p95 / 3.0);
    }
    let (used_least, p99_most) = if is_held { (0.70, 220.0) } else { (0.80, 190.0) };
    vec![least("used", used, used_least), most("frame p99 ms", p99, p99_most), free("queue p95 ms", queue)]
}

fn jitter(kind: Kind) -> Vec<Figure> {
    let path = Path { reverse_jitter: 0.005, buffer: 250_000, ..steady() };
    let f = runs::film(path, App { kind, ..runs::greedy() }, 30.0);
    // What hears by ACKs is shown, not held.
    let held = kind != Kind::OursByAcks;
    let bound = if held { Bound::AtLeast(0.92) } else { Bound::Free };
    vec![Figure { name: "used", value: f.rate / 20.0, bound }, free("frame p95 ms", f.p95)]
}

fn plain(kind: Kind, path: Path, rate: f64, fps: u32, (used, p95): (f64, f64)) -> Vec<Figure> {
    let parity = path.loss_ppm > 0;
    let f = runs::film(path, App { kind, fps, parity, ..runs::greedy() }, 30.0);
    // Parity is no use of a path: what counts where packets are lost is what came whole.
    let value = if parity { f.goodput } else { f.rate } / rate;
    vec![least("used", value, used), most("frame p95 ms", f.p95, p95), free("dropped %", f.dropped)]
}

fn fresh(kind: Kind, index: usize) -> Vec<Figure> {
    let runs::Fresh { capacity, path, app, bound: (used, p95, dropped), .. } = runs::fresh().swap_remove(index);
    let f = runs::film(path, App { kind, ..app }, 40.0);
    vec![
        least("used", f.rate / capacity, used),
        most("frame p95 ms", f.p95, p95),
        most("dropped %", f.dropped, dropped),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::mbps;
    use super::*;

    #[test]
    fn names_are_their_own_and_the_drawn_ones_exist() {
        for s in ALL {
            assert_eq!(ALL.iter().filter(|o| o.name == s.name).count(), 1, "{}", s.name);
        }
        assert!(DRAWN.contains(&"burst") && journal("burst", Kind::Cubic).is_some_and(|j| j.contains("Shown")));
        assert!(journal("nothing", Kind::Ours).is_none());
    }

    #[test]
    fn a_miss_is_told_by_how_far_it_is_outside() {
        assert_eq!(Bound::AtMost(70.0).missed_by(79.0), 9.0);
        assert_eq!((Bound::AtMost(70.0).missed_by(3.0), Bound::Free.missed_by(f64::INFINITY)), (0.0, 0.0));
        assert_eq!([0.25, 0.5, 0.75].map(|v| Bound::Within(0.5, 0.625).missed_by(v)), [0.25, 0.0, 0.125]);
        assert_eq!(Bound::AtLeast(1.0).missed_by(0.75), 0.25);
    }

    /// The link's own arithmetic: what everybody is measured by.
    #[test]
    fn a_full_window_fills_the_buffer_and_nothing_else() {
        let (s, link) = runs::step_over(Kind::Cubic, (20.0, 2.0), 0.04, 600_000, 0);
        // 600 kB at 2 Mbit/s.
        assert!(s.peak <= 2_401.0 && s.peak > 1_000.0, "{s:?}");
        assert!(mbps(&link.flows[0].arrived, 16.0, 30.0) <= 2.01);
    }
}
