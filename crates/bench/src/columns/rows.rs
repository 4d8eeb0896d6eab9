//! The rows: the targets of the rate study (`research/rate-control.md` §6) and what else of its scenarios a real host and
//! client can show, each with its link, its work, and the figure of either column that stands for it.

use crate::link::profile::Profile;
use anyhow::{Result, ensure};
use telepane_model::{BitRate, Bytes, Span};
use telepane_sim::bottleneck::study::Bound;
use telepane_sim::bottleneck::{Path, runs};

/// What is done while a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// 300 kB of exact pixels at once after a rest of 5 s.
    Burst,
    /// The film of the other commands, which asks for 1 to 2 Mbit/s.
    Film,
    /// The film with grain, which takes what it may.
    Grain,
    /// The same beside one TCP flow with CUBIC, which leaves after so many seconds.
    Rival(u64),
    /// Two hosts and two clients with that film.
    Pair,
    /// Somebody types.
    Typing,
    /// Somebody types beside the film with grain.
    Beside,
    /// Somebody types, for a third of the time alone, then beside `telepane cp` of 100 MB each way.
    Copies,
    /// Nothing.
    Idle,
}

/// One run of the real programs, and the targets that it shows.
pub struct Row {
    /// Its name on the command line and in the file.
    pub name: &'static str,
    /// The link.
    link: Net,
    /// The work.
    pub work: Work,
    /// Seconds of it.
    pub seconds: u64,
    /// What is held against it.
    pub targets: &'static [Target],
}

/// One line of the table.
pub struct Target {
    /// Its number in the study, or of the simulator's scenario.
    pub number: &'static str,
    /// What it is, with its unit.
    pub what: &'static str,
    /// What it should be.
    pub bound: Bound,
    /// The simulator's figure.
    pub simulated: Simulated,
    /// The real one's name.
    pub real: &'static str,
}

/// Where the simulator's figure comes from.
pub enum Simulated {
    /// It has none.
    None,
    /// A scenario of `virtual --controllers` and its figure.
    Study(&'static str, &'static str),
    /// The same of a time that both columns give as a part of what the line itself needs for 300 kB, and half a round trip.
    OfPhysics(&'static str, &'static str),
    /// A part of a path used, of what a steady film of row 5 uses of it.
    OfSteady(&'static str, &'static str),
    /// A greedy film of 30 s over Mbit/s and a round trip in seconds.
    Film(f64, f64, fn(&runs::Film) -> f64),
}

/// A link as a word, with so many kB of queue; or the simulator's path.
enum Net {
    Word(&'static str, u64),
    Path(fn() -> Path),
}

impl Row {
    /// The link of both columns.
    ///
    /// # Errors
    /// Never: a test makes them all.
    pub fn link(&self) -> Result<Profile> {
        match &self.link {
            Net::Word(word, kilobytes) => {
                let mut profile: Profile = word.parse()?;
                if profile.model.queue_time.is_none() {
                    profile.model.queue = Bytes(kilobytes * 1_000);
                }
                Ok(profile)
            }
            Net::Path(path) => of_path(self.name, &path()),
        }
    }
}

/// The simulator's path as a link: its trace of rates, its round trip, its queue and its loss.
fn of_path(name: &str, path: &Path) -> Result<Profile> {
    ensure!(path.bursts.is_none() && path.policer.is_none() && !path.codel && path.turns <= 0.0, "no such link");
    let mut profile = Profile::none();
    profile.name = name.into();
    profile.model.delay = Span::from_secs_f64(path.rtt / 2.0);
    profile.model.queue = Bytes(path.buffer);
    profile.model.loss_ppm = path.loss_ppm;
    // A stall lets a kilobit a second through; its packet starts over when it ends.
    let rate = |mbps: f64| BitRate::bps((mbps * 1e6).max(1e3) as u64);
    profile.model.rate = path.rates.first().map(|r| rate(r.1));
    profile.changes = path.rates.iter().map(|(at, mbps)| (Span::from_secs_f64(*at), rate(*mbps))).collect();
    Ok(profile)
}

const fn target(
    number: &'static str,
    what: &'static str,
    bound: Bound,
    simulated: Simulated,
    real: &'static str,
) -> Target {
    Target { number, what, bound, simulated, real }
}

const fn row(name: &'static str, link: Net, work: Work, seconds: u64, targets: &'static [Target]) -> Row {
    Row { name, link, work, seconds, targets }
}

use Bound::{AtLeast, AtMost, Free, Within};
use Net::{Path as Trace, Word};
use Simulated::{Film as Steady, None as Nothing, OfPhysics, OfSteady, Study};
use Work::{Beside, Burst, Copies, Film, Grain, Idle, Pair, Rival, Typing};

/// All of them. The bounds are the study's, in its order; where it has none of its own the simulator's scenario's.
pub const ROWS: &[Row] = &[
    row(
        "burst",
        Word("20m40", 600),
        Burst,
        15,
        &[
            target(
                "1",
                "burst after 5 s of rest, last byte, of physics",
                AtMost(1.18),
                OfPhysics("S5 burst warm", "last byte ms"),
                "wire_of_physics",
            ),
            target(
                "1",
                "the same from the draw call, ms",
                Free,
                Study("S5 burst warm", "last byte ms"),
                "last_byte_ms",
            ),
            target("1", "the burst, kB", Free, Nothing, "burst_kb"),
            target(
                "1b",
                "the session's first burst, last byte, of physics",
                AtMost(1.43),
                OfPhysics("S5 burst cold", "last byte ms"),
                "first_of_physics",
            ),
            target(
                "1c",
                "queue at its highest, ms",
                AtMost(20.0),
                Study("S5 burst warm", "queue peak ms"),
                "burst_queue_peak_ms",
            ),
            target(
                "1c",
                "the same under the session's first burst, ms",
                AtMost(20.0),
                Study("S5 burst cold", "queue peak ms"),
                "first_queue_peak_ms",
            ),
        ],
    ),
    row(
        "burst-tenth",
        Word("20m40@2=2m", 600),
        Burst,
        5,
        &[
            target(
                "2",
                "a tenth of the rate left, then a burst: queue at its highest, ms",
                AtMost(80.0),
                Study("S5 burst tenth", "queue peak ms"),
                "burst_queue_peak_ms",
            ),
            target(
                "2",
                "last byte, of physics",
                AtMost(1.07),
                OfPhysics("S5 burst tenth", "last byte ms"),
                "wire_of_physics",
            ),
        ],
    ),
    row(
        "drop",
        Word("20m40@6=2m@14=20m", 600),
        Grain,
        19,
        &[
            target(
                "3",
                "20 to 2 Mbit/s, 40 ms: queue < 50 ms after, ms",
                AtMost(600.0),
                Study("S2 drop", "queue < 50 ms after ms"),
                "react_ms",
            ),
            target("3", "queue at its highest, ms", Free, Study("S2 drop", "queue peak ms"), "drop_queue_peak_ms"),
            target("3", "load before the drop, of 20 Mbit/s", Free, Nothing, "before_used"),
            target("3", "low rate used", AtLeast(0.88), Study("S2 drop", "low rate used"), "low_used"),
            target(
                "3",
                "frame p95 at the low rate, ms",
                AtMost(80.0),
                Study("S2 drop", "frame p95 at the low rate ms"),
                "low_age_p95_ms",
            ),
            target(
                "4",
                "back to 90 % of the load before, ms",
                AtMost(600.0),
                Study("S2 drop", "rise to 90 % ms"),
                "rise_ms",
            ),
        ],
    ),
    row(
        "drop-far",
        Word("20m100@6=2m@14=20m", 600),
        Grain,
        19,
        &[
            target(
                "3b",
                "20 to 2 Mbit/s, 100 ms: queue < 50 ms after, ms",
                AtMost(1_300.0),
                Study("S2 drop far", "queue < 50 ms after ms"),
                "react_ms",
            ),
            target("3b", "load before the drop, of 20 Mbit/s", Free, Nothing, "before_used"),
            target(
                "3b",
                "frame p95 at the low rate, ms",
                AtMost(120.0),
                Study("S2 drop far", "frame p95 at the low rate ms"),
                "low_age_p95_ms",
            ),
        ],
    ),
    row(
        "drop-held",
        Word("50m25@6=10m@14=50m", 300),
        Grain,
        19,
        &[
            target(
                "3c",
                "50 to 10 Mbit/s, 25 ms: queue < 50 ms after, ms",
                AtMost(250.0),
                Study("H1 drop", "queue < 50 ms after ms"),
                "react_ms",
            ),
            target("3c", "load before the drop, of 50 Mbit/s", Free, Nothing, "before_used"),
        ],
    ),
    row(
        "film",
        Word("20m40", 250),
        Grain,
        13,
        &[
            target(
                "5",
                "greedy film, 20 Mbit/s, 40 ms: used",
                AtLeast(0.92),
                Steady(20.0, 0.04, |f| f.rate / 20.0),
                "used",
            ),
            target("5", "queue p95, ms", AtMost(12.0), Steady(20.0, 0.04, |f| f.queue_p95), "queue_p95_ms"),
            target("5", "frame p95, ms", AtMost(70.0), Steady(20.0, 0.04, |f| f.p95), "age_p95_ms"),
            target("5", "frames shown a second", Free, Nothing, "steps_per_s"),
        ],
    ),
    row(
        "film-modest",
        Word("20m40", 250),
        Film,
        11,
        &[
            target("5", "a film that asks for less: frame p95, ms", AtMost(70.0), Nothing, "age_p95_ms"),
            target("5", "its rate, Mbit/s", Free, Nothing, "mbit_per_s"),
            target("5", "queue p95, ms", AtMost(12.0), Nothing, "queue_p95_ms"),
            target("8c", "beyond slices without loss (headers, probes), %", Free, Nothing, "beyond_slices_percent"),
        ],
    ),
    row(
        "film-thin",
        Word("2m40", 50),
        Grain,
        13,
        &[
            target(
                "6",
                "greedy film, 2 Mbit/s, 40 ms: frame p95, ms",
                AtMost(80.0),
                Steady(2.0, 0.04, |f| f.p95),
                "age_p95_ms",
            ),
            target("6", "used", AtLeast(0.88), Steady(2.0, 0.04, |f| f.rate / 2.0), "used"),
        ],
    ),
    row(
        "rival",
        Word("20m40", 100),
        Rival(13),
        12,
        &[
            target(
                "7",
                "beside one CUBIC flow, one product of buffer: our share",
                Within(0.30, 0.65),
                Study("S3 CUBIC 1", "our share"),
                "share",
            ),
            target("7", "Jain", AtLeast(0.85), Study("S3 CUBIC 1", "Jain"), "jain"),
            target("7", "frame p95, ms", Free, Study("S3 CUBIC 1", "frame p95 ms"), "beside_age_p95_ms"),
        ],
    ),
    row(
        "rival-deep",
        Word("20m40", 400),
        Rival(13),
        18,
        &[
            target(
                "7",
                "the same with four products: our share",
                Within(0.30, 0.65),
                Study("S3 CUBIC 4", "our share"),
                "share",
            ),
            target("7", "Jain", AtLeast(0.85), Study("S3 CUBIC 4", "Jain"), "jain"),
            target(
                "7b",
                "CUBIC leaves: queue p95 from 3 s later on, ms",
                AtMost(20.0),
                Study("N15 a rival leaves", "queue p95 after ms"),
                "after_queue_p95_ms",
            ),
            target(
                "7b",
                "used from 3 s later on",
                AtLeast(0.90),
                Study("N15 a rival leaves", "used after"),
                "after_used",
            ),
        ],
    ),
    row(
        "two",
        Word("20m40", 100),
        Pair,
        12,
        &[
            target("7c", "two sessions, one product: Jain", AtLeast(0.97), Study("S3 two alike", "Jain"), "jain"),
            target("7c", "used", AtLeast(0.93), Study("S3 two alike", "used"), "used"),
            target("7c", "queue p95, ms", AtMost(35.0), Study("S3 two alike", "queue p95 ms"), "queue_p95_ms"),
        ],
    ),
    row(
        "loss",
        Word("20m40l3", 250),
        Film,
        11,
        &[
            target("8", "3 % lost, 40 ms: frames shown of those drawn", AtLeast(0.97), Nothing, "shown_of_drawn"),
            target("8", "frame p95, ms", AtMost(70.0), Study("S4 loss 3 %", "frame p95 ms"), "age_p95_ms"),
            target(
                "8c",
                "beyond slices (headers, parity, repairs, probes), %",
                Free,
                Study("S4 loss 3 %", "parity and filler %"),
                "beyond_slices_percent",
            ),
            target(
                "8c",
                "more than without loss, % of all bytes",
                AtMost(12.0),
                Study("S4 loss 3 %", "parity and filler %"),
                OVER_LOSSLESS,
            ),
        ],
    ),
    row(
        "loss-far",
        Word("20m100l3", 250),
        Film,
        11,
        &[
            target("8b", "3 % lost, 100 ms: frames shown of those drawn", AtLeast(0.97), Nothing, "shown_of_drawn"),
            target("8b", "frame p95, ms", AtMost(105.0), Study("S4 loss 3 % far", "frame p95 ms"), "age_p95_ms"),
        ],
    ),
    row(
        "loss-bursts",
        Word("20m40b2.4", 250),
        Film,
        11,
        &[
            target("S4", "2.4 % lost in bursts: frames shown of those drawn", AtLeast(0.97), Nothing, "shown_of_drawn"),
            target("S4", "frame p95, ms", AtMost(125.0), Study("S4 loss in bursts", "frame p95 ms"), "age_p95_ms"),
        ],
    ),
    row(
        "typing",
        Word("8m80", 150),
        Typing,
        7,
        &[target(
            "9",
            "typing at 8 Mbit/s, 80 ms: draw call to pixels p99, ms",
            AtMost(60.0),
            Study("S1 mixed thin", "typing p99 ms"),
            "age_p99_ms",
        )],
    ),
    row(
        "typing-beside",
        Word("8m80", 150),
        Beside,
        12,
        &[
            target(
                "9",
                "typing beside a greedy film, 8 Mbit/s, 80 ms: draw call to pixels p99, ms",
                AtMost(60.0),
                Study("S1 mixed thin", "typing p99 ms"),
                "age_p99_ms",
            ),
            target("9", "the same, p50, ms", Free, Nothing, "age_p50_ms"),
            target("9", "used meanwhile", Free, Nothing, "used"),
        ],
    ),
    row(
        "copies",
        Word("20m40", 250),
        Copies,
        36,
        &[
            target(
                "bulk",
                "typing beside 100 MB down and up: key to pixels p95, ms more than alone",
                AtMost(5.0),
                Nothing,
                "beside_more_p95_ms",
            ),
            target("bulk", "the same alone: p95, ms", Free, Nothing, "alone_p95_ms"),
            target(
                "13",
                "input beside 100 MB the same way: key to application p99, ms more than alone",
                AtMost(15.0),
                Nothing,
                "beside_more_to_application_p99_ms",
            ),
            target("bulk", "down meanwhile, Mbit/s", Free, Nothing, "down_mbit_per_s"),
            target("bulk", "up meanwhile, Mbit/s", Free, Nothing, "up_mbit_per_s"),
        ],
    ),
    row(
        "wifi",
        Trace(|| runs::stalls(77, 40.0)),
        Grain,
        16,
        &[
            target(
                "10",
                "Wi-Fi stalls, 40 Mbit/s, 1 % lost: frame p99, ms",
                AtMost(85.0),
                Study("S6 Wi-Fi stalls", "frame p99 ms"),
                "age_p99_ms",
            ),
            target("10", "goodput, Mbit/s", AtLeast(25.0), Study("S6 Wi-Fi stalls", "goodput Mbit/s"), "mbit_per_s"),
            target("10", "frames shown of those drawn", Free, Nothing, "shown_of_drawn"),
        ],
    ),
    row(
        "cellular",
        Trace(|| runs::cellular(50.0).1),
        Grain,
        22,
        &[
            target("11", "cellular walk, 2 to 30 Mbit/s: used", AtLeast(0.80), Study("S7 cellular", "used"), "used"),
            target("11", "frame p99, ms", AtMost(190.0), Study("S7 cellular", "frame p99 ms"), "age_p99_ms"),
        ],
    ),
    row(
        "jitter-back",
        Word("20m40u10", 250),
        Grain,
        13,
        &[
            target("12", "feedback late by 5 ms in the mean: used", Free, Study("S8 jitter back", "used"), "used"),
            target(
                "12",
                "feedback late by 5 ms in the mean: used, of row 5's",
                AtLeast(0.97),
                OfSteady("S8 jitter back", "used"),
                OF_STEADY,
            ),
            target("12", "frame p95, ms", Free, Study("S8 jitter back", "frame p95 ms"), "age_p95_ms"),
        ],
    ),
    row(
        "idle",
        Word("20m40", 250),
        Idle,
        20,
        &[target("14", "idle, from second 10 on, host to client, kbit/s", AtMost(60.0), Nothing, "down_kbit_per_s")],
    ),
    row(
        "policer-10",
        Word("10m40p100", 2_500),
        Grain,
        13,
        &[
            target(
                "N1",
                "policer of 10 Mbit/s, 100 kB at once: used",
                AtLeast(0.85),
                Study("N1 policer", "used"),
                "used",
            ),
            target("N1", "frame p95, ms", AtMost(180.0), Study("N1 policer", "frame p95 ms"), "age_p95_ms"),
            target("N1", "dropped, %", AtMost(5.0), Study("N1 policer", "dropped %"), "dropped_percent"),
        ],
    ),
    row(
        "policer-4",
        Word("4m40p500", 2_500),
        Grain,
        13,
        &[
            target(
                "N3",
                "policer of 4 Mbit/s, 500 kB at once: used",
                AtLeast(0.85),
                Study("N3 policer", "used"),
                "used",
            ),
            target("N3", "frame p95, ms", AtMost(200.0), Study("N3 policer", "frame p95 ms"), "age_p95_ms"),
            target("N3", "dropped, %", AtMost(10.0), Study("N3 policer", "dropped %"), "dropped_percent"),
        ],
    ),
    row(
        "far",
        Word("20m200", 500),
        Grain,
        13,
        &[
            target("S9", "20 Mbit/s, 200 ms: used", AtLeast(0.92), Study("S9 200 ms", "used"), "used"),
            target("S9", "frame p95, ms", AtMost(160.0), Study("S9 200 ms", "frame p95 ms"), "age_p95_ms"),
        ],
    ),
    row(
        "narrow",
        Word("1m60", 50),
        Grain,
        13,
        &[
            target("S9", "1 Mbit/s, 60 ms: used", AtLeast(0.88), Study("S9 1 Mbit/s", "used"), "used"),
            target("S9", "frame p95, ms", AtMost(110.0), Study("S9 1 Mbit/s", "frame p95 ms"), "age_p95_ms"),
        ],
    ),
];

/// A figure that is made of two rows': what a link with loss has beyond slices more than one without.
pub const OVER_LOSSLESS: &str = "beyond_lossless_percent";
/// Another: the part of a link that is used, of what row 5 uses of it.
pub const OF_STEADY: &str = "used_of_steady";

/// What the real column cannot show, and why.
pub const NOT_REAL: &[(&str, &str)] = &[
    ("N2", "as N1 and N3, at another size"),
    ("N4, N5", "Wi-Fi that gives turns: the emulated link has no aggregation"),
    ("N6, N7", "CoDel: the emulated link's queue is drop-tail"),
    ("N8 to N10, H3", "cells with handovers: as row 11, other traces"),
    ("N11, N12", "satellite and 600 kbit/s: their first pictures alone take longer than a row may"),
    ("N13, S9 200 Mbit/s", "200 Mbit/s and more: no film of 1280x720 asks for that much"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_sim::bottleneck::Kind;
    use telepane_sim::bottleneck::study::ALL;

    #[test]
    fn rows_have_links_and_names_of_their_own_and_fit_into_ten_minutes() {
        for r in ROWS {
            assert_eq!(ROWS.iter().filter(|o| o.name == r.name).count(), 1, "{}", r.name);
            let link = r.link().unwrap();
            assert!(link.model.rate.is_some(), "{}", link.describe());
        }
        // Starting and ending a cell take about six seconds.
        assert!(ROWS.iter().map(|r| r.seconds + 7).sum::<u64>() <= 600);
    }

    #[test]
    fn every_simulated_figure_is_one_of_the_simulators() {
        let mut played = std::collections::BTreeMap::new();
        for t in ROWS.iter().flat_map(|r| r.targets) {
            if let Study(scenario, figure) | OfPhysics(scenario, figure) | OfSteady(scenario, figure) = t.simulated {
                let found = ALL.iter().find(|s| s.name == scenario);
                // Names alone are asked for, so the quick ones are played and the rest is found by name.
                let is_quick = scenario.starts_with("S5");
                assert!(found.is_some(), "{scenario}");
                if let Some(s) = found.filter(|_| is_quick) {
                    let figures = played.entry(scenario).or_insert_with(|| (s.play)(Kind::Ours));
                    assert!(figures.iter().any(|f| f.name == figure), "{scenario}: {figure}");
                }
            }
        }
    }

    #[test]
    fn a_path_with_stalls_becomes_a_link_that_stalls() {
        let link = of_path("wifi", &runs::stalls(77, 2.0)).unwrap();
        assert_eq!(link.rate_at(Span::ZERO), Some(BitRate::mbps(40)));
        assert!(link.changes.iter().any(|(_, rate)| rate.as_bps() == 1_000));
        assert_eq!((link.model.loss_ppm, link.model.queue), (10_000, Bytes(256_000)));
    }
}
