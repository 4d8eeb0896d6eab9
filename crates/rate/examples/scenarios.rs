//! Prints what the controller does in the scenarios of the rate study, beside the study's own figures
//! (`cargo run -p telepane-rate --example scenarios`). Virtual time: the same numbers on every machine.

#[path = "../tests/link/mod.rs"]
mod link;

use link::runs::{self, Film, Fresh};
use link::{App, Path, Work};

fn row(name: &str, here: &str, study: &str) {
    println!("{name:<46} {here:<58} {study}");
}

fn film_row(name: &str, capacity: f64, f: Film, study: &str) {
    let here = format!(
        "used {:.2} good {:.1} frame {:.0}/{:.0}/{:.0} queue p95 {:.0}",
        f.rate / capacity,
        f.goodput,
        f.p50,
        f.p95,
        f.p99,
        f.queue_p95
    );
    row(name, &here, study);
}

fn main() {
    row("scenario (ms unless said)", "here", "study");
    for (name, at, then, study) in [
        ("300 kB cold, 20 Mbit/s 40 ms (bound 140)", 0.3, 20.0, "140 q7"),
        ("300 kB after 5 s idle (bound 140)", 5.0, 20.0, "140 q6"),
        ("the same, capacity halved while idle (260)", 5.0, 10.0, "260 q12"),
        ("the same, a tenth (1220)", 5.0, 2.0, "1220 q34"),
    ] {
        let b = runs::burst(at, then);
        row(name, &format!("{:.0} q{:.0}", b.last_byte, b.peak), study);
    }
    for (name, a, b, rtt, buffer, study) in [
        ("20-2-20 Mbit/s, 40 ms (bound 330)", 20.0, 2.0, 0.04, 600_000, "react 460 peak 464 p95 61 used .94 rise 342"),
        ("20-2-20 Mbit/s, 100 ms (bound 900)", 20.0, 2.0, 0.1, 600_000, "react 1027 peak 969 p95 90 used .93 rise 606"),
        ("50-10-50 Mbit/s, 25 ms (bound 69)", 50.0, 10.0, 0.025, 300_000, "react 124 rise 157 (60 fps)"),
        ("8-1-8 Mbit/s, 70 ms (bound 482)", 8.0, 1.0, 0.07, 200_000, "react 633 rise 377 (60 fps)"),
    ] {
        let runs: Vec<_> = (0..5).map(|seed| runs::step(a, b, rtt, buffer, seed)).collect();
        let mean = |f: fn(&runs::Step) -> f64| runs.iter().map(f).sum::<f64>() / runs.len() as f64;
        let here = format!(
            "react {:.0} peak {:.0} p95 {:.0} used {:.2} rise {:.0}",
            mean(|s| s.react),
            mean(|s| s.peak),
            mean(|s| s.frame_p95),
            mean(|s| s.low),
            mean(|s| s.rise)
        );
        row(name, &here, study);
    }
    let twelve = || App { demand: 12.0, ..App::new(&[(0.0, Work::Film)]) };
    let steady = Path::steady(20.0, 0.04);
    film_row("film, 20 Mbit/s 40 ms", 20.0, runs::film(steady.clone(), runs::greedy(), 30.0), "used .95 p95 63 q12");
    let jittery = Path { reverse_jitter: 0.005, ..steady.clone() };
    film_row(
        "the same, 5 ms of jitter on the way back",
        20.0,
        runs::film(jittery, runs::greedy(), 30.0),
        "used .95 p95 63",
    );
    for (name, rtt, study) in [
        ("12 Mbit/s film, 3 % loss, 40 ms", 0.04, "12.0 frame 75/100/131 (ARQ)"),
        ("12 Mbit/s film, 3 % loss, 100 ms", 0.1, "12.0 frame 165/190/287 (ARQ)"),
    ] {
        let path = Path { loss_ppm: 30_000, ..Path::steady(20.0, rtt) };
        film_row(name, 20.0, runs::film(path, twelve(), 30.0), study);
    }
    for (name, rate, rtt, buffer, loss, fps, study) in [
        ("film, 15 kB of buffer", 20.0, 0.04, 15_000, 0, 30, "used .95 frame 54/98/108"),
        ("film, 1 Mbit/s 60 ms", 1.0, 0.06, 50_000, 0, 30, "used .92 frame 62/90/104"),
        ("film, 200 ms", 20.0, 0.2, 500_000, 0, 30, "used .95 frame 134/144/149"),
        ("film, 200 Mbit/s 5 ms, 60 fps", 200.0, 0.005, 250_000, 0, 60, "used .95 frame 19/24/27"),
        ("film, 10 Mbit/s 80 ms, 10 % loss, jitter", 10.0, 0.08, 200_000, 100_000, 30, "used .81 frame 171/293/370"),
    ] {
        let reverse_jitter = if loss > 0 { 0.005 } else { 0.0 };
        let path = Path { buffer, loss_ppm: loss, reverse_jitter, ..Path::steady(rate, rtt) };
        film_row(name, rate, runs::film(path, App { fps, ..runs::greedy() }, 30.0), study);
    }
    for (name, rate, rtt, grain) in [
        ("film, 20 Mbit/s, reader wakes every 4 ms", 20.0, 0.04, 0.004),
        ("film, 100 Mbit/s 10 ms, reader every 2 ms", 100.0, 0.01, 0.002),
    ] {
        let app = App { receive_grain: grain, ..runs::greedy() };
        film_row(name, rate, runs::film(Path::steady(rate, rtt), app, 30.0), "not simulated");
    }
    let (mean, path) = runs::cellular(60.0);
    film_row(
        "film, cellular walk 2-30 Mbit/s",
        mean,
        runs::film(path, runs::greedy(), 60.0),
        "used .89 frame 59/102/147 q27",
    );
    let two = runs::two_films();
    row(
        "two films, 20 Mbit/s 40 ms, 1 BDP",
        &format!("share {:.2} jain {:.2} used {:.2} queue p95 {:.0}", two.share, two.jain, two.used, two.queue_p95),
        "share .53 jain 1.0 used .98",
    );
    for (products, study) in [(0.5, "share .52 jain .99"), (1.0, "share .39 jain .96"), (4.0, "share .36 jain .92")] {
        let s = runs::rival(products);
        let here = format!(
            "share {:.2} jain {:.2}; after: {:.1} Mbit/s queue p95 {:.0}",
            s.share, s.jain, s.after.0, s.after.1
        );
        row(&format!("film against a CUBIC bulk flow, {products} BDP"), &here, study);
    }
    println!("\nnot tuned on; bounds: used at least, frame p95 and dropped at most");
    for Fresh { name, capacity, path, app, bound: (used, p95, dropped) } in runs::fresh() {
        let f = runs::film(path, app, 40.0);
        film_row(name, capacity, f, &format!("dropped {:.1} %; bounds {used} {p95} {dropped} %", f.dropped));
    }
}
