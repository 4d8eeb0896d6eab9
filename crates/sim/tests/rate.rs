//! The controller over a modelled bottleneck, in virtual time. Bounds are DESIGN section 2 and `research` section 6;
//! where a bound is physics, the comment says how it comes about.

use telepane_model::{BitRate, BudgetWhy, Stamp};
use telepane_rate::Policy;
use telepane_sim::bottleneck::runs::{film, film_over, greedy};
use telepane_sim::bottleneck::study::{self, Bound};
use telepane_sim::bottleneck::{App, Flow, Kind, Link, Path, Work, mbps, quantile};

/// What misses the study's bound, and is held to this instead. Loss: a slice is protected by itself, at most eight shards
/// of it, where the study protected a frame of forty as one; one slice in 36 then still waits for a resend, and frames of
/// this size have five slices. Production's films have one or two (decision 0010). H2: the study gives no figure; at 1 Mbit/s
/// the few packets of a frame make short trains. Half a product of buffer: row 7 speaks of one product and of four; with less, a
/// CUBIC flow's losses are ours too, and S counts what was delivered among them.
const MISSED: &[(&str, &str, Bound)] = &[
    ("S3 CUBIC 0.5", "our share", Bound::Within(0.25, 0.65)),
    ("S3 CUBIC 0.5", "Jain", Bound::AtLeast(0.80)),
    ("S4 loss 3 %", "frame p95 ms", Bound::AtMost(90.0)),
    ("S4 loss 3 % far", "frame p95 ms", Bound::AtMost(180.0)),
    ("S4 loss in bursts", "goodput Mbit/s", Bound::AtLeast(11.4)),
    ("H2 drop", "low rate used", Bound::AtLeast(0.78)),
    ("S9 10 % loss", "used", Bound::AtLeast(0.72)),
    ("S9 10 % loss", "frame p95 ms", Bound::AtMost(230.0)),
];

/// Every figure of the study's scenarios whose names begin so, against its bound.
fn held(names: &[&str]) {
    let mut missed = Vec::new();
    for scenario in study::ALL.iter().filter(|s| names.iter().any(|n| s.name.starts_with(n))) {
        for figure in (scenario.play)(Kind::Ours) {
            println!("{}: {} {:.2} ({})", scenario.name, figure.name, figure.value, figure.bound);
            let known = MISSED.iter().find(|m| m.0 == scenario.name && m.1 == figure.name);
            if !known.map_or(figure.bound, |m| m.2).is_kept(figure.value) {
                missed.push(format!("{}: {} {:.2}, not {}", scenario.name, figure.name, figure.value, figure.bound));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn mixed_work_drops_and_bursts_keep_their_bounds() {
    held(&["S1", "S2", "S5"]);
}

#[test]
fn rivals_and_losses_keep_their_bounds() {
    held(&["S3", "S4"]);
}

#[test]
fn radios_jitter_and_extremes_keep_their_bounds() {
    held(&["S6", "S7", "S8", "S9"]);
}

/// The study held these out when it chose its constants.
#[test]
fn paths_that_were_held_out_keep_their_bounds() {
    held(&["H"]);
}

/// Policers, radios, managed queues, cells, a satellite: none of them was looked at when the constants were chosen.
#[test]
fn paths_that_nothing_was_tuned_on_keep_their_bounds() {
    held(&["N"]);
}

fn sent_bytes(flow: &Flow, from: f64, to: f64) -> u64 {
    flow.sent_at.iter().filter(|s| s.0 >= from && s.0 < to).map(|s| s.1).sum()
}

#[test]
fn a_film_fills_a_steady_path_without_a_queue() {
    let f = film(Path::steady(20.0, 0.04), greedy(), 30.0);
    assert!(f.rate >= 0.92 * 20.0 && f.queue_p95 <= 12.0 && f.p95 <= 70.0, "{f:?}");
    let f = film(Path { buffer: 50_000, ..Path::steady(1.0, 0.06) }, greedy(), 30.0);
    assert!(f.rate >= 0.88 && f.p95 <= 110.0, "{f:?}");
    let f = film(Path { buffer: 250_000, ..Path::steady(200.0, 0.005) }, App { fps: 60, ..greedy() }, 10.0);
    assert!(f.rate >= 0.92 * 200.0 && f.p95 <= 35.0, "{f:?}");
}

/// A managed queue that marks does what one that drops does, and nothing is lost for it.
// spec: T-6
#[test]
fn marks_slow_the_film_as_drops_would_and_lose_nothing() {
    for (mbps, rtt) in [(20.0, 0.04), (5.0, 0.08)] {
        let path = |ecn| Path { codel: true, ecn, ..Path::steady(mbps, rtt) };
        let run = |ecn| {
            let mut link = Link::new(path(ecn), 1);
            link.add(0.0, greedy());
            link.run(30.0);
            let f = &link.flows[0];
            let p95 = quantile(f.delays(5.0, 29.0), 0.95);
            println!(
                "{mbps} Mbit/s, ecn {ecn}: {:.2} Mbit/s, frames p95 {p95:.0} ms, queue p95 {:.1} ms, {} dropped, {} marked",
                f.goodput(5.0, 29.0),
                link.queue_quantile(5.0, 29.0, 0.95),
                link.dropped,
                link.marked
            );
            (f.goodput(5.0, 29.0), p95, link.dropped, link.marked)
        };
        let (dropping, marking) = (run(false), run(true));
        assert!(dropping.2 > 0 && dropping.3 == 0, "CoDel was needed");
        assert!(marking.2 == 0 && marking.3 > 0, "marked, not dropped: {marking:?}");
        assert!(marking.0 > 0.88 * mbps && marking.1 <= dropping.1 * 1.05, "{marking:?} {dropping:?}");
    }
}

#[test]
fn random_loss_does_not_slow_the_film() {
    let app = App { demand: 12.0, ..App::new(&[(0.0, Work::Film)]) };
    let f = film(Path { loss_ppm: 30_000, ..Path::steady(20.0, 0.04) }, app, 30.0);
    assert!(f.goodput >= 0.97 * 12.0 && f.p95 <= 125.0, "{f:?}");
}

/// A receiver that reads its socket every few milliseconds bunches what it stamps.
#[test]
fn bunched_arrivals_are_not_mistaken_for_capacity() {
    for (grain, rate, rtt) in [(0.004, 20.0, 0.04), (0.010, 20.0, 0.04), (0.002, 100.0, 0.01)] {
        let f = film(Path::steady(rate, rtt), App { receive_grain: grain, ..greedy() }, 20.0);
        assert!(f.rate >= 0.80 * rate && f.queue_p95 <= 15.0, "{grain} {rate}: {f:?}");
    }
}

#[test]
fn nothing_is_sent_or_awaited_when_nobody_is_there() {
    let mut link = Link::new(Path::steady(20.0, 0.04), 1);
    link.add(0.0, App::new(&[(1.0, Work::Burst(50_000))]));
    link.run(120.0);
    let flow = &link.flows[0];
    assert_eq!(sent_bytes(flow, 31.5, 120.0), 0, "no input for 30 s");
    assert_eq!(flow.controller.next_wake(), None);
    // While the person may be at work: at most 60 kbit/s of filler once the start is over.
    assert!(sent_bytes(flow, 5.0, 30.0) <= 25 * 7_500, "{}", sent_bytes(flow, 5.0, 30.0));
    assert!(sent_bytes(flow, 5.0, 30.0) > 0);
}

/// After a long absence nothing was measured for minutes and the clocks went 12 ms apart.
#[test]
fn the_first_burst_after_a_long_absence_is_no_worse() {
    let mut link = Link::new(Path::steady(20.0, 0.04), 1);
    link.add(0.0, App { drift_ppm: 100, ..App::new(&[(0.5, Work::Burst(200_000)), (120.0, Work::Burst(300_000))]) });
    link.run(125.0);
    let delay = link.flows[0].delays(119.9, 121.0)[0];
    assert!(delay <= 165.0 && link.peak(119.0, 125.0) <= 20.0, "{delay} {}", link.peak(119.0, 125.0));
}

#[test]
fn clock_drift_does_not_look_like_a_queue() {
    for drift_ppm in [-100, 100] {
        let mut link = Link::new(Path::steady(20.0, 0.04), 1);
        link.add(0.0, App { drift_ppm, demand: 1.0, fps: 15, ..App::new(&[(0.0, Work::Film)]) });
        link.run(600.0);
        let flow = &link.flows[0];
        let truth = link.peak(300.0, 600.0);
        let worst = flow.estimates.iter().filter(|e| e.0 > 300.0).map(|e| e.1).fold(0.0, f64::max);
        assert!(worst <= truth + 1.5, "{drift_ppm} ppm: {worst} of {truth}");
        let goodput = flow.goodput(300.0, 599.0);
        assert!(goodput > 0.97, "{goodput}");
    }
}

#[test]
fn a_dead_path_gets_a_trickle_and_a_living_one_is_used_at_once() {
    let path = Path { rates: vec![(0.0, 20.0), (10.0, 0.0), (14.0, 20.0)], ..Path::steady(20.0, 0.04) };
    let mut link = Link::new(path, 1);
    link.add(0.0, greedy());
    link.run(12.0);
    let flow = &link.flows[0];
    assert_eq!(flow.controller.budget(Stamp::from_micros(12_000_000)).why, BudgetWhy::Silent);
    assert!(sent_bytes(flow, 10.5, 12.0) <= 60_000, "{}", sent_bytes(flow, 10.5, 12.0));
    link.run(30.0);
    let flow = &link.flows[0];
    let rate = mbps(&flow.arrived, 15.5, 30.0);
    assert!(rate >= 0.9 * 20.0, "{rate}");
    assert!(flow.delays(15.5, 29.0).iter().all(|d| *d < 300.0));
}

/// A detour of 100 ms that nobody announces holds the rate down for up to the 30 s of the delay base, no longer.
#[test]
fn a_longer_way_is_taken_for_a_queue_until_told_or_forgotten() {
    for told in [false, true] {
        let mut link = Link::new(Path { detour: Some((10.0, 0.14)), ..Path::steady(20.0, 0.04) }, 1);
        link.add(0.0, greedy());
        link.run(10.2);
        if told {
            link.flows[0].controller.on_path_change(Stamp::from_micros(10_200_000));
        }
        link.run(60.0);
        let flow = &link.flows[0];
        let (soon, later) = (mbps(&flow.arrived, 11.0, 20.0), mbps(&flow.arrived, 45.0, 60.0));
        assert!(soon >= if told { 18.4 } else { 8.0 }, "{told}: {soon}");
        assert!(later >= 18.4, "{told}: {later}");
        assert!(link.queue_quantile(45.0, 60.0, 0.95) <= 12.0);
    }
}

#[test]
fn a_limit_set_by_a_person_holds() {
    let policy = Policy { limit: Some(BitRate::mbps(5)), ..Policy::default() };
    let mut link = Link::new(Path::steady(20.0, 0.04), 1);
    link.add(0.0, App { policy, ..greedy() });
    link.run(20.0);
    let rate = mbps(&link.flows[0].arrived, 2.0, 20.0);
    assert!((4.3..=5.3).contains(&rate), "{rate}");
    assert_eq!(link.flows[0].controller.budget(Stamp::from_micros(20_000_000)).why, BudgetWhy::Limit);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut link = Link::new(Path { loss_ppm: 10_000, reverse_jitter: 0.002, ..Path::steady(8.0, 0.06) }, 9);
        link.add(0.0, greedy());
        link.run(5.0);
        (link.flows[0].sent_at.clone(), link.dropped)
    };
    assert!(run() == run());
}

/// What a bucket had saved is taken for its rate, as much is lost below the hold, and a radio is blamed; or arrivals that a
/// reader bunches look like a queue. Before the blame was forgotten at heavier loss these dropped 65, 80, 86 and 48 %.
#[test]
fn a_bucket_is_found_in_the_end_whatever_it_was_taken_for() {
    let runs = [
        (10.0, 15, 0.003, 3, 200.0),
        (10.0, 15, 0.012, 5, 200.0),
        (10.0, 30, 0.012, 5, 200.0),
        (4.0, 30, 0.0, 2, 18.0),
    ];
    for (mbps, fps, receive_grain, seed, demand) in runs {
        let (line, saved) = if mbps > 5.0 { (100.0, 100_000) } else { (40.0, 500_000) };
        let path = Path { policer: Some((mbps, saved)), buffer: 2_500_000, ..Path::steady(line, 0.04) };
        let (f, _) = film_over(path, App { fps, demand, receive_grain, ..greedy() }, 20.0, seed);
        println!(
            "policer of {mbps}, {fps} fps, reader {receive_grain}: {:.1} % dropped, {:.2} Mbit/s",
            f.dropped, f.rate
        );
        assert!(f.dropped <= 12.0 && f.rate >= 0.85 * mbps, "{mbps} {fps} {receive_grain}: {f:?}");
    }
}
