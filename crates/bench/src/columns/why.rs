//! Why a bound is not met, one sentence for each that was found out: a decision that chose otherwise, or arithmetic. The
//! table shows one only where the figure beside it misses its bound; a sentence in the file, of that one run, goes before it.

use super::rows::{Row, Target};

/// A row, a figure of it, and why the real programs miss its bound.
const REAL: &[(&str, &str, &str)] = &[
    (
        "burst-tenth",
        "burst_queue_peak_ms",
        "until the first report of it, a round trip later, a burst leaves at the rate last measured, and 40 ms of 20 Mbit/s are \
         400 ms of 2 Mbit/s: only a pair of packets between the fall and the burst can tell, and one leaves every 2 s of a pause (decision 0024)",
    ),
    (
        "drop",
        "low_used",
        "2 Mbit/s from the start are used to 0.95 (row 6): the rest goes where the ladder tries rungs after the fall (decision 0013)",
    ),
    ("drop", "low_age_p95_ms", AS_FIVE),
    (
        "drop-far",
        "react_ms",
        "what is begun to be sent when the fall is heard of, a round trip after it, is sent to its end (decision 0023): the half of \
         a frame of 75 kB is 0.15 s of the low rate",
    ),
    ("drop-far", "low_age_p95_ms", AS_FIVE),
    (
        "film",
        "used",
        "the next frame is begun when what leaves takes no longer than its coding is expected to (H-8): where that takes longer, on \
         two cores that draw, code, decode, show and measure, the line rests; with a coder that takes 25 ms each time it is used to 0.92 \
         (the simulator's `film::a_film_that_fills_the_link_lets_it_not_rest`)",
    ),
    (
        "film",
        "age_p95_ms",
        "a frame that has a thirtieth of a second of the line takes 33 ms to leave after up to 33 ms until it is begun, and then 20 ms of \
         way: coding, decoding and drawing, 35 ms, have no place beneath the bound; the study's frames exist at once",
    ),
    ("film-thin", "age_p95_ms", AS_FIVE),
    ("film-thin", "used", AS_FIVE),
    ("rival", "share", COMPETING),
    ("rival", "jain", COMPETING),
    ("rival-deep", "share", COMPETING),
    ("rival-deep", "jain", COMPETING),
    ("rival-deep", "after_used", AS_FIVE),
    ("two", "used", "as row 5, with two films to draw, code, decode and show on two cores"),
    (
        "typing-beside",
        "age_p99_ms",
        "a letter waits for the slice of the film that leaves (10 ms, H-8) and, shown in order on one thread, for a frame that is being \
         decoded and drawn (15 ms, p95 35)",
    ),
    (
        "loss",
        super::rows::OVER_LOSSLESS,
        "this film's frame is four packets: one of parity for four is a fifth of what is sent, and where the link carries twice \
         what is asked two stand in for fewer freezes (`rate::repair`); without any one frame in nine would wait a round trip",
    ),
    (
        "loss-far",
        "shown_of_drawn",
        "a frame that lost more than its parity waits a round trip of 100 ms, and the three drawn meanwhile are shown with it as one: \
         some 2 % such frames would make up what is missing",
    ),
    ("loss-bursts", "shown_of_drawn", "a burst longer than a group's parity costs a round trip, as in row 8b"),
    ("wifi", "age_p99_ms", "as row 5, and a stall of up to 30 ms on top"),
    (
        "wifi",
        "mbit_per_s",
        "this film in full size takes 28 Mbit/s, and where its coding does not keep up with 25 frames a second it goes on at three \
         quarters of its sides (decision 0023), whose best is 17",
    ),
    ("cellular", "used", AS_FIVE),
    (
        "cellular",
        "age_p99_ms",
        "as row 5, and each change of size begins a stream anew, with a key frame (decision 0013)",
    ),
    ("policer-10", "used", AS_FIVE),
    ("policer-10", "age_p95_ms", "as row 5, and what the bucket drops is sent again"),
    ("policer-4", "age_p95_ms", "as row 5, and what the bucket drops is sent again"),
    (
        "policer-10",
        "dropped_percent",
        "two thirds of what is dropped is dropped within half a second, when this film first empties the bucket: it comes with 28 Mbit/s, \
         and a tenth lost over two round trips is what tells a bucket from a radio; once a session, and the simulator's are 40 s, these 13 s",
    ),
    (
        "policer-4",
        "dropped_percent",
        "most is dropped when the bucket is first empty, once a session: the simulator's runs are 40 s, these 13 s",
    ),
    ("far", "used", AS_FIVE),
    ("far", "age_p95_ms", AS_FIVE),
    ("narrow", "used", AS_FIVE),
    ("narrow", "age_p95_ms", AS_FIVE),
];

const AS_FIVE: &str = "as row 5";
const COMPETING: &str = "as row 5, twice over: a competing window grows only while it is filled, and the line rests where this film's coding takes long";

/// The same of the simulator.
const SIMULATED: &[(&str, &str, &str)] = &[
    (
        "loss",
        "age_p95_ms",
        "groups of eight packets with one of parity leave 2.8 % broken (decision 0006), and a modelled frame of 50 kB has five, so one \
         frame in eight waits a round trip; a second parity packet would mend it and cost a tenth more bytes",
    ),
    (
        "loss",
        super::rows::OVER_LOSSLESS,
        "one packet of parity for eight is 11 % and for the shorter last group of a frame more (decision 0006); probes and resends are \
         the rest",
    ),
    ("loss-far", "age_p95_ms", "as row 8: one frame in several waits a round trip for what its parity did not mend"),
];

fn find(all: &[(&str, &str, &'static str)], row: &Row, target: &Target) -> Option<&'static str> {
    all.iter().find(|w| w.0 == row.name && w.1 == target.real).map(|w| w.2)
}

/// Why the real programs miss it.
pub fn real(row: &Row, target: &Target) -> Option<&'static str> {
    find(REAL, row, target)
}

/// Why the simulator's controller misses it.
pub fn simulated(row: &Row, target: &Target) -> Option<&'static str> {
    find(SIMULATED, row, target)
}

#[cfg(test)]
mod tests {
    use super::super::rows::ROWS;
    use super::*;
    use telepane_sim::bottleneck::study::Bound;

    #[test]
    fn every_reason_is_of_one_bound() {
        for (name, figure, why) in REAL.iter().chain(SIMULATED) {
            let row = ROWS.iter().find(|r| r.name == *name).unwrap_or_else(|| panic!("no row {name}"));
            let bound = |t: &&Target| t.real == *figure && t.bound != Bound::Free;
            assert_eq!(row.targets.iter().filter(bound).count(), 1, "{name}: {figure}");
            assert!(!why.contains('|') && !why.ends_with('.'), "it stands in a table: {why}");
        }
        for all in [REAL, SIMULATED] {
            assert!(all.iter().all(|w| all.iter().filter(|o| (o.0, o.1) == (w.0, w.1)).count() == 1));
        }
    }
}
