//! The scenarios of the rate study, each a path, an application and a measurement. Tests assert them; the example
//! `scenarios` prints them.

use super::{App, Link, Path, Work, mbps, quantile};
use telepane_model::Rng;

/// Delays of one burst and the queue it made, milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    pub last_byte: f64,
    pub peak: f64,
}

/// 300 kB at `at` seconds over 20 Mbit/s and 40 ms; from second 2 on the path has `then` Mbit/s. Bursts later than two
/// seconds have one before them, at 0.5 s.
pub fn burst(at: f64, then: f64) -> Burst {
    let path = Path { rates: vec![(0.0, 20.0), (2.0, then)], buffer: 600_000, ..Path::steady(20.0, 0.04) };
    let mut link = Link::new(path, 1);
    let mut work = vec![(at, Work::Burst(300_000))];
    if at > 2.0 {
        work.insert(0, (0.5, Work::Burst(200_000)));
    }
    link.add(0.0, App::new(&work));
    link.run(at + 4.0);
    let delays = link.flows[0].delays(at - 0.1, at + 1.0);
    Burst { last_byte: delays.first().copied().unwrap_or(f64::INFINITY), peak: link.peak(at, at + 4.0) }
}

/// What a step down and up again did; milliseconds, and fractions of the capacity.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub react: f64,
    pub peak: f64,
    pub frame_p95: f64,
    pub low: f64,
    pub rise: f64,
}

/// A film over `high` Mbit/s that becomes `low` at second 15 and `high` again at second 30.
pub fn step(high: f64, low: f64, rtt: f64, buffer: u64, seed: u64) -> Step {
    let down = 15.0 + seed as f64 * 0.013;
    let path = Path { rates: vec![(0.0, high), (down, low), (30.0, high)], buffer, ..Path::steady(high, rtt) };
    let mut link = Link::new(path, seed);
    let inputs = (0..5).map(|i| f64::from(i) * 10.0).collect();
    link.add(0.0, App { inputs, ..App::new(&[(0.0, Work::Film)]) });
    link.run(40.0);
    let flow = &link.flows[0];
    let mut up = 30.0;
    while up < 39.7 && mbps(&flow.arrived, up, up + 0.25) < 0.9 * high {
        up += 0.01;
    }
    Step {
        react: link.settles(down + 0.002, 50.0) * 1e3,
        peak: link.peak(down, down + 10.0),
        frame_p95: quantile(flow.delays(down + 3.0, 29.5), 0.95),
        low: mbps(&flow.arrived, down + 3.0, 30.0) / low,
        rise: (up - 30.0) * 1e3,
    }
}

/// A film on a steady path: Mbit/s and milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Film {
    pub rate: f64,
    pub goodput: f64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub queue_p95: f64,
}

/// A film from second 0 to `end`, measured from second 5 (10 from the end on frames have no time to finish).
pub fn film(path: Path, app: App, end: f64) -> Film {
    let mut link = Link::new(path, 4);
    link.add(0.0, app);
    link.run(end);
    let flow = &link.flows[0];
    let delays = flow.delays(5.0, end - 1.0);
    Film {
        rate: mbps(&flow.arrived, 5.0, end),
        goodput: flow.goodput(5.0, end - 1.0),
        p50: quantile(delays.clone(), 0.5),
        p95: quantile(delays.clone(), 0.95),
        p99: quantile(delays, 0.99),
        queue_p95: link.queue_quantile(5.0, end, 0.95),
    }
}

/// A film with as much to send as the path takes.
pub fn greedy() -> App {
    App { demand: 200.0, ..App::new(&[(0.0, Work::Film)]) }
}

/// A walk between 2 and 30 Mbit/s every 200 ms, 50 ms round trip: the mean rate, and the path.
pub fn cellular(seconds: f64) -> (f64, Path) {
    let mut rng = Rng::new(991);
    let (mut t, mut rate, mut sum) = (0.0, 15.0f64, 0.0);
    let mut rates = Vec::new();
    while t < seconds {
        rates.push((t, rate));
        if t >= 5.0 {
            sum += rate * 0.2;
        }
        t += 0.2;
        let normal: f64 = (0..12).map(|_| rng.below(1 << 20) as f64 / (1u64 << 20) as f64).sum::<f64>() - 6.0;
        rate = (rate * (0.35 * normal).exp()).clamp(2.0, 30.0);
    }
    (sum / (seconds - 5.0), Path { rates, rtt: 0.05, buffer: 400_000, loss_ppm: 0, reverse_jitter: 0.0, detour: None })
}

/// How two flows share 20 Mbit/s.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    pub share: f64,
    pub jain: f64,
    pub used: f64,
    pub queue_p95: f64,
    /// Mbit/s and queue p95 of ours after the other has left.
    pub after: (f64, f64),
}

fn shared(link: &Link, other: &[(f64, u64)]) -> Shared {
    let (x, y) = (mbps(&link.flows[0].arrived, 15.0, 50.0), mbps(other, 15.0, 50.0));
    Shared {
        share: x / (x + y),
        jain: (x + y) * (x + y) / (2.0 * (x * x + y * y)),
        used: (x + y) / 20.0,
        queue_p95: link.queue_quantile(15.0, 50.0, 0.95),
        after: (mbps(&link.flows[0].arrived, 53.0, 60.0), link.queue_quantile(53.0, 60.0, 0.95)),
    }
}

/// Two films, the second from second 5 on.
pub fn two_films() -> Shared {
    let mut link = Link::new(Path { buffer: 100_000, ..Path::steady(20.0, 0.04) }, 1);
    link.add(0.0, greedy());
    link.add(5.013, greedy());
    link.run(50.0);
    shared(&link, &link.flows[1].arrived)
}

/// A film and, from second 5 to 50, a bulk flow; the buffer in bandwidth-delay products.
pub fn rival(products: f64) -> Shared {
    let mut link = Link::new(Path { buffer: (100_000.0 * products) as u64, ..Path::steady(20.0, 0.04) }, 1);
    link.add(0.0, greedy());
    link.add_bulk(5.0, 50.0);
    link.run(60.0);
    let other = link.bulk.as_ref().map(|b| b.arrived.clone()).unwrap_or_default();
    shared(&link, &other)
}
