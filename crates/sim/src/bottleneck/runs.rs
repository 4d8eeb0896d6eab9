//! Runs: each a path, an application and a measurement. Tests assert some of them, [`study`](super::study) holds all
//! controllers to them.

use super::{App, Kind, Link, Path, Work, mbps, quantile};
use telepane_model::Rng;

/// Delays of one burst and the queue it made, milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// From the change to the last byte's arrival.
    pub last_byte: f64,
    /// The longest queue.
    pub peak: f64,
}

/// 300 kB at `at` seconds over 20 Mbit/s and 40 ms; from second 2 on the path has `then` Mbit/s. Bursts later than two
/// seconds have one before them, at 0.5 s.
pub fn burst(kind: Kind, at: f64, then: f64) -> Burst {
    let path = Path { rates: vec![(0.0, 20.0), (2.0, then)], buffer: 600_000, ..Path::steady(20.0, 0.04) };
    let before = if at > 2.0 { &[(0.5, Work::Burst(200_000))][..] } else { &[] };
    burst_over(kind, path, before, at, 300_000).0
}

/// A burst of `bytes` at `at` seconds after other work; and the link.
pub fn burst_over(kind: Kind, path: Path, before: &[(f64, Work)], at: f64, bytes: u64) -> (Burst, Link) {
    let mut link = Link::new(path, 1);
    let work: Vec<_> = before.iter().copied().chain([(at, Work::Burst(bytes))]).collect();
    link.add(0.0, App { kind, ..App::new(&work) });
    link.run(at + 4.0);
    let last = link.flows[0].frames.iter().rfind(|f| matches!(f.work, Work::Burst(_)));
    let last_byte = last.and_then(|f| f.done.map(|d| (d - f.start) * 1e3)).unwrap_or(f64::INFINITY);
    (Burst { last_byte, peak: link.peak(at, at + 4.0) }, link)
}

/// What a step down and up again did; milliseconds, and fractions of the capacity.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// From the step down until the queue stays under 50 ms.
    pub react: f64,
    /// The longest queue.
    pub peak: f64,
    /// Frames' delay while the rate is low.
    pub frame_p95: f64,
    /// The part of the low rate that is used.
    pub low: f64,
    /// From the step up until a quarter of a second at 90 % of the rate begins.
    pub rise: f64,
}

/// A film over `high` Mbit/s that becomes `low` at second 15 and `high` again at second 30.
pub fn step(kind: Kind, high: f64, low: f64, rtt: f64, buffer: u64, seed: u64) -> Step {
    step_over(kind, (high, low), rtt, buffer, seed).0
}

/// The same, and the link.
pub fn step_over(kind: Kind, (high, low): (f64, f64), rtt: f64, buffer: u64, seed: u64) -> (Step, Link) {
    let down = 15.0 + seed as f64 * 0.013;
    let path = Path { rates: vec![(0.0, high), (down, low), (30.0, high)], buffer, ..Path::steady(high, rtt) };
    let mut link = Link::new(path, seed);
    let inputs = (0..5).map(|i| f64::from(i) * 10.0).collect();
    link.add(0.0, App { inputs, kind, ..App::new(&[(0.0, Work::Film)]) });
    link.run(40.0);
    let flow = &link.flows[0];
    let mut up = 30.0;
    while up < 39.7 && mbps(&flow.arrived, up, up + 0.25) < 0.9 * high {
        up += 0.01;
    }
    let step = Step {
        react: link.settles(down + 0.002, 50.0) * 1e3,
        peak: link.peak(down, down + 10.0),
        frame_p95: quantile(flow.delays(down + 3.0, 29.5), 0.95),
        low: mbps(&flow.arrived, down + 3.0, 30.0) / low,
        rise: (up - 30.0) * 1e3,
    };
    (step, link)
}

/// A film on a steady path: Mbit/s and milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Film {
    /// What arrived.
    pub rate: f64,
    /// What arrived of whole frames.
    pub goodput: f64,
    /// Frames' delay: the median,
    pub p50: f64,
    /// the 95th percentile,
    pub p95: f64,
    /// the 99th.
    pub p99: f64,
    /// The queue.
    pub queue_p95: f64,
    /// Filler and parity, in percent of what was sent.
    pub extra: f64,
    /// The part of all packets that was dropped, in percent.
    pub dropped: f64,
}

/// A film from second 0 to `end`, measured from second 5 (a second from the end on frames have no time to finish).
pub fn film(path: Path, app: App, end: f64) -> Film {
    film_over(path, app, end, 4).0
}

/// The same, and the link.
pub fn film_over(path: Path, app: App, end: f64, seed: u64) -> (Film, Link) {
    let mut link = Link::new(path, seed);
    link.add(0.0, app);
    link.run(end);
    let flow = &link.flows[0];
    let delays = flow.delays(5.0, end - 1.0);
    let sent: u64 = flow.sent_at.iter().map(|s| s.1).sum();
    let film = Film {
        rate: mbps(&flow.arrived, 5.0, end),
        goodput: flow.goodput(5.0, end - 1.0),
        p50: quantile(delays.clone(), 0.5),
        p95: quantile(delays.clone(), 0.95),
        p99: quantile(delays, 0.99),
        queue_p95: link.queue_quantile(5.0, end, 0.95),
        extra: flow.extra as f64 * 100.0 / sent.max(1) as f64,
        dropped: link.dropped as f64 * 100.0 / flow.sent_at.len().max(1) as f64,
    };
    (film, link)
}

/// A film with as much to send as the path takes.
pub fn greedy() -> App {
    App { demand: 200.0, ..App::new(&[(0.0, Work::Film)]) }
}

/// A random walk of the rate, as cells show it: every `every` seconds by a factor whose logarithm has the deviation
/// `deviation`. The mean rate from second 5 on, and the path.
pub fn walk(seed: u64, every: f64, deviation: f64, (least, most): (f64, f64), seconds: f64) -> (f64, Path) {
    let mut rng = Rng::new(seed);
    let (mut t, mut rate, mut sum) = (0.0, 0.5 * most, 0.0);
    let mut rates = Vec::new();
    while t < seconds {
        rates.push((t, rate));
        if t >= 5.0 {
            sum += rate * every;
        }
        t += every;
        let normal: f64 = (0..12).map(|_| rng.below(1 << 20) as f64 / (1u64 << 20) as f64).sum::<f64>() - 6.0;
        rate = (rate * libm::exp(deviation * normal)).clamp(least, most);
    }
    (sum / (seconds - 5.0), Path { rates, buffer: 400_000, ..Path::steady(15.0, 0.05) })
}

/// A walk between 2 and 30 Mbit/s every 200 ms, 50 ms round trip: the mean rate, and the path.
pub fn cellular(seconds: f64) -> (f64, Path) {
    walk(991, 0.2, 0.35, (2.0, 30.0), seconds)
}

/// Wi-Fi of 40 Mbit/s that stalls for 5 to 30 ms every 100 to 400 ms and loses 1 %, 15 ms round trip.
pub fn stalls(seed: u64, seconds: f64) -> Path {
    let mut rng = Rng::new(seed);
    let mut unit = move || rng.below(1 << 20) as f64 / (1u64 << 20) as f64;
    let (mut t, mut rates) = (0.0, Vec::new());
    while t < seconds {
        rates.push((t, 40.0));
        t += 0.1 + 0.3 * unit();
        rates.push((t, 0.0));
        t += 0.005 + 0.025 * unit();
    }
    rates.push((t, 40.0));
    Path { rates, buffer: 256_000, loss_ppm: 10_000, ..Path::steady(40.0, 0.015) }
}

/// How two flows share 20 Mbit/s.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    /// The first flow's part.
    pub share: f64,
    /// Jain's index.
    pub jain: f64,
    /// The part of the path that both use.
    pub used: f64,
    /// The queue.
    pub queue_p95: f64,
    /// The first flow's frames.
    pub frame_p95: f64,
    /// Mbit/s and queue p95 of ours after the other has left.
    pub after: (f64, f64),
}

fn shared(link: &Link, other: &[(f64, u64)], capacity: f64) -> Shared {
    let flow = &link.flows[0];
    let (x, y) = (mbps(&flow.arrived, 15.0, 50.0), mbps(other, 15.0, 50.0));
    Shared {
        share: x / (x + y),
        jain: (x + y) * (x + y) / (2.0 * (x * x + y * y)),
        used: (x + y) / capacity,
        queue_p95: link.queue_quantile(15.0, 50.0, 0.95),
        frame_p95: quantile(flow.delays(15.0, 49.0), 0.95),
        after: (mbps(&flow.arrived, 53.0, 60.0), link.queue_quantile(53.0, 60.0, 0.95)),
    }
}

/// Two films, the second from second 5 on.
pub fn two_films(kind: Kind) -> (Shared, Link) {
    let mut link = Link::new(Path { buffer: 100_000, ..Path::steady(20.0, 0.04) }, 1);
    link.add(0.0, App { kind, ..greedy() });
    link.add(5.013, App { kind, ..greedy() });
    link.run(50.0);
    (shared(&link, &link.flows[1].arrived, 20.0), link)
}

/// A film and, from second 5 to 50, a bulk flow; the buffer in bandwidth-delay products.
pub fn rival(kind: Kind, capacity: f64, rtt: f64, products: f64) -> (Shared, Link) {
    let buffer = (capacity * 1e6 / 8.0 * rtt * products) as u64;
    let mut link = Link::new(Path { buffer, ..Path::steady(capacity, rtt) }, 1);
    link.add(0.0, App { kind, ..greedy() });
    link.add_bulk(5.0, 50.0);
    link.run(60.0);
    let other = link.bulk.as_ref().map(|b| b.arrived.clone()).unwrap_or_default();
    (shared(&link, &other, capacity), link)
}

/// A cell in the manner of LTE: every 100 ms the rate is drawn anew around a mean that itself walks between `least` and
/// `most` (each step by a fifth, either way), and once in eight seconds or so a handover lets nothing pass for 60 to 160 ms. The
/// mean rate from second 5 on, and the path.
pub fn cell(seed: u64, least: f64, most: f64, seconds: f64) -> (f64, Path) {
    let mut rng = Rng::new(seed);
    let mut unit = move || rng.below(1 << 20) as f64 / (1u64 << 20) as f64;
    let (mut t, mut mean, mut sum) = (0.0, (least * most).sqrt(), 0.0);
    let mut rates = Vec::new();
    while t < seconds {
        mean = (mean * if unit() < 0.5 { 0.8 } else { 1.25 }).clamp(least, most);
        let rate = mean * (0.7 + 0.6 * unit());
        let lost = if unit() < 0.0125 { 0.06 + 0.1 * unit() } else { 0.0 };
        if lost > 0.0 {
            rates.push((t, 0.0));
        }
        rates.push((t + lost.min(0.099), rate));
        if t >= 5.0 {
            sum += rate * (0.1 - lost.min(0.099));
        }
        t += 0.1;
    }
    (sum / (seconds - 5.0), Path { rates, buffer: 400_000, ..Path::steady(most, 0.06) })
}

/// A scenario and what it is held to: the part of the capacity that is used at least, the 95th percentile of frames in
/// milliseconds at most, the part that is dropped in percent at most.
pub struct Fresh {
    /// What it is.
    pub name: &'static str,
    /// Mbit/s.
    pub capacity: f64,
    /// Over what.
    pub path: Path,
    /// What is drawn.
    pub app: App,
    /// Used at least, p95 at most, dropped at most.
    pub bound: (f64, f64, f64),
}

/// Scenarios that the constants of the study were not tuned on. A frame of a film takes 33 ms to leave at the least, and half the
/// round trip; what a bound allows beyond that is two thirds of a frame, or the wait for the radio's turns.
pub fn fresh() -> Vec<Fresh> {
    let path = |mbps: f64, rtt| Path { buffer: (mbps * 1e6 / 8.0 * 0.2) as u64, ..Path::steady(mbps, rtt) };
    let policed = |mbps, burst| Path { policer: Some((mbps, burst)), ..path(100.0, 0.04) };
    let radio = |turns, loss_ppm| Path { turns, loss_ppm, ..path(30.0, 0.02) };
    let codel = |mbps, rtt| Path { codel: true, ..path(mbps, rtt) };
    let [one, two, three] = [7, 8, 9].map(|seed| cell(seed, 3.0, 25.0, 40.0));
    let slow = App { fps: 8, ..greedy() };
    let quick = App { fps: 60, demand: 500.0, ..greedy() };
    let shaken = Path { reverse_jitter: 0.02, ..path(20.0, 0.03) };
    let row = |name, capacity, path, app, bound| Fresh { name, capacity, path, app, bound };
    vec![
        row("policer of 10 Mbit/s, 100 kB", 10.0, policed(10.0, 100_000), greedy(), (0.85, 180.0, 5.0)),
        row("policer of 20 Mbit/s, 30 kB", 20.0, policed(20.0, 30_000), greedy(), (0.85, 100.0, 2.0)),
        row("policer of 4 Mbit/s, 500 kB", 4.0, policed(4.0, 500_000), greedy(), (0.85, 200.0, 10.0)),
        row("Wi-Fi, a turn every 4 ms", 30.0, radio(0.004, 0), greedy(), (0.76, 85.0, 0.5)),
        row("Wi-Fi, a turn every 10 ms, 1 % loss", 30.0, radio(0.010, 10_000), greedy(), (0.45, 95.0, 0.5)),
        row("CoDel, 20 Mbit/s 40 ms", 20.0, codel(20.0, 0.04), greedy(), (0.92, 75.0, 0.5)),
        row("CoDel, 5 Mbit/s 80 ms", 5.0, codel(5.0, 0.08), greedy(), (0.90, 100.0, 0.5)),
        row("a cell, 3 to 25 Mbit/s", one.0, one.1, greedy(), (0.75, 150.0, 0.5)),
        row("another cell", two.0, two.1, greedy(), (0.75, 150.0, 0.5)),
        row("a third cell", three.0, three.1, greedy(), (0.75, 150.0, 0.5)),
        row("10 Mbit/s over a satellite, 600 ms", 10.0, path(10.0, 0.6), greedy(), (0.92, 360.0, 0.5)),
        row("600 kbit/s, 250 ms, 8 fps", 0.6, path(0.6, 0.25), slow, (0.80, 300.0, 1.0)),
        row("400 Mbit/s, 1 ms, 60 fps", 400.0, path(400.0, 0.001), quick, (0.92, 30.0, 0.5)),
        row("20 ms of jitter on the way back", 20.0, shaken, greedy(), (0.92, 85.0, 0.5)),
    ]
}
