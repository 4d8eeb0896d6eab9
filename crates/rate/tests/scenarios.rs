//! The controller over a modelled bottleneck, in virtual time. Bounds are DESIGN section 2 and `research` section 6;
//! where a bound is physics, the comment says how it comes about.

mod link;

use link::runs::{self, burst, film, greedy, step};
use link::{App, Flow, Link, Path, Work, mbps};
use telepane_model::{BitRate, BudgetWhy, Stamp};
use telepane_rate::Policy;

fn sent_bytes(flow: &Flow, from: f64, to: f64) -> u64 {
    flow.sent_at.iter().filter(|s| s.0 >= from && s.0 < to).map(|s| s.1).sum()
}

/// Physics: 120 ms for 300 kB at 20 Mbit/s and 20 ms on the way.
#[test]
fn a_burst_after_idle_runs_at_the_line_rate_and_leaves_no_queue() {
    let warm = burst(5.0, 20.0);
    assert!(warm.last_byte <= 165.0 && warm.last_byte >= 139.9, "{warm:?}");
    assert!(warm.peak <= 20.0, "{warm:?}");
    let cold = burst(0.3, 20.0);
    assert!(cold.last_byte <= 200.0 && cold.peak <= 20.0, "{cold:?}");
}

/// Probes of a working person find the drop before the burst does. Physics: 260 and 1,220 ms.
#[test]
fn capacity_lost_while_idle_is_noticed_before_the_burst() {
    let half = burst(5.0, 10.0);
    assert!(half.last_byte <= 290.0 && half.peak <= 40.0, "{half:?}");
    let tenth = burst(5.0, 2.0);
    assert!(tenth.last_byte <= 1_300.0 && tenth.peak <= 80.0, "{tenth:?}");
}

/// Physics: what is on the way at 20 Mbit/s takes 330 ms to leave at 2.
#[test]
fn a_tenfold_drop_empties_the_queue_within_600_ms_and_a_rise_is_found_within_600_ms() {
    for seed in 0..3 {
        let s = step(20.0, 2.0, 0.04, 600_000, seed);
        assert!(s.react <= 600.0, "{s:?}");
        assert!(s.frame_p95 <= 80.0, "{s:?}");
        assert!(s.low >= 0.88, "{s:?}");
        assert!(s.rise <= 600.0, "{s:?}");
    }
}

/// Not tuned on: other rates, other delays.
#[test]
fn other_steps_settle_as_well() {
    let s = step(20.0, 2.0, 0.1, 600_000, 1);
    assert!(s.react <= 1_300.0 && s.rise <= 1_000.0, "{s:?}");
    let s = step(50.0, 10.0, 0.025, 300_000, 1);
    assert!(s.react <= 250.0 && s.rise <= 500.0, "{s:?}");
    let s = step(8.0, 1.0, 0.07, 200_000, 1);
    assert!(s.react <= 900.0 && s.rise <= 800.0, "{s:?}");
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

#[test]
fn jitter_on_the_way_back_costs_nothing() {
    let f = film(Path { reverse_jitter: 0.005, ..Path::steady(20.0, 0.04) }, greedy(), 30.0);
    assert!(f.rate >= 0.92 * 20.0 && f.queue_p95 <= 15.0, "{f:?}");
}

#[test]
fn random_loss_does_not_slow_the_film() {
    let app = App { demand: 12.0, ..App::new(&[(0.0, Work::Film)]) };
    let f = film(Path { loss_ppm: 30_000, ..Path::steady(20.0, 0.04) }, app, 30.0);
    assert!(f.goodput >= 0.97 * 12.0 && f.p95 <= 125.0, "{f:?}");
}

#[test]
fn a_changing_path_is_followed() {
    let (mean, path) = runs::cellular(40.0);
    let f = film(path, greedy(), 40.0);
    assert!(f.rate >= 0.80 * mean && f.p99 <= 190.0, "{f:?} of {mean}");
}

/// A receiver that reads its socket every few milliseconds bunches what it stamps.
#[test]
fn bunched_arrivals_are_not_mistaken_for_capacity() {
    for (grain, rate, rtt) in [(0.004, 20.0, 0.04), (0.010, 20.0, 0.04), (0.002, 100.0, 0.01)] {
        let f = film(Path::steady(rate, rtt), App { receive_grain: grain, ..greedy() }, 20.0);
        assert!(f.rate >= 0.80 * rate && f.queue_p95 <= 15.0, "{grain} {rate}: {f:?}");
    }
}

/// Policers, radios, managed queues, cells, a satellite: none of them was looked at when the constants were chosen.
#[test]
fn paths_that_nothing_was_tuned_on_keep_their_bounds() {
    for runs::Fresh { name, capacity, path, app, bound: (used, p95, dropped) } in runs::fresh() {
        let f = film(path, app, 40.0);
        assert!(f.rate >= used * capacity && f.p95 <= p95 && f.dropped <= dropped, "{name}: {f:?} of {capacity}");
    }
}

#[test]
fn two_films_share_alike() {
    let s = runs::two_films();
    assert!(s.jain >= 0.95 && s.used >= 0.93 && s.queue_p95 <= 35.0, "{s:?}");
}

#[test]
fn a_bulk_flow_does_not_starve_the_film_and_is_forgotten_when_it_leaves() {
    for products in [1.0, 4.0] {
        let s = runs::rival(products);
        assert!(s.share >= 0.25 && s.share <= 0.65, "{products}: {s:?}");
        assert!(s.after.0 >= 0.90 * 20.0 && s.after.1 <= 20.0, "{products}: {s:?}");
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
    assert_eq!(flow.controller.state(), BudgetWhy::Silent);
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
