//! Urgent packets on a network that lets them go ahead: they hide neither the queue of the others nor make them lost.

use std::collections::{BTreeSet, VecDeque};
use telepane_model::{Arrival, Bytes, HostClock, SentPacket, Span, Stamp, ViewerClock};
use telepane_rate::{Controller, FeedbackFacts, Policy, SendClass, SendFacts};

/// A flow of 3.8 Mbit/s in trains that show a path of 19 Mbit/s, beside which sound goes every 10 ms, over 40 ms of round trip. From second 2 on others fill the queue of
/// what is not urgent to 30 ms, and nothing is lost. The share at second 2 and at second 6, and the packets taken for lost.
fn played(urgent: bool) -> (u64, u64, usize) {
    let at = |us: u64| Stamp::<HostClock>::from_micros(1_000_000 + us);
    let mut controller =
        Controller::<HostClock, ViewerClock>::new(at(0), Policy { probing: false, ..Policy::default() });
    let (mut seq, mut shares, mut lost) = (0u64, Vec::new(), 0);
    // Number and arrival of what is on the way, and the numbers of what has come.
    let (mut flying, mut came) = (Vec::new(), BTreeSet::new());
    let mut words = VecDeque::new();
    for turn in 0..600u64 {
        let now = turn * 10_000;
        let queue = if now >= 2_000_000 { 30_000 } else { 0 };
        let train = if turn % 2 == 0 { 8 } else { 0 };
        for part in 0..=train {
            let (bytes, is_sound) = if part == train { (200, true) } else { (1_200, false) };
            let sent = SentPacket { seq, bytes: Bytes(bytes), at: at(now) };
            let facts = SendFacts { backlog: Bytes(0), class: SendClass::Paced, urgent: urgent && is_sound };
            controller.on_sent(sent, facts);
            flying.push((seq, now + 20_000 + part * 500 + if is_sound { 0 } else { queue }));
            seq += 1;
        }
        // What came by now is told, and the word takes 20 ms: two turns.
        let (mut news, rest): (Vec<_>, Vec<_>) = flying.iter().partition(|(_, t)| *t <= now);
        flying = rest;
        news.sort_by_key(|(_, t)| *t);
        came.extend(news.iter().map(|(n, _): &(u64, u64)| *n));
        words.push_back((news, came.clone(), now));
        if words.len() > 2
            && let Some((news, came, told)) = words.pop_front()
            && let Some(newest) = came.last().copied()
        {
            let arrivals: Vec<_> = news.iter().map(|(n, t)| Arrival { seq: *n, at: Stamp::from_micros(*t) }).collect();
            let missing: Vec<u64> = (newest.saturating_sub(100)..newest).filter(|n| !came.contains(n)).collect();
            let last = news.last().map_or(told, |(_, t)| *t);
            controller.on_feedback(&FeedbackFacts {
                received_at: at(now),
                hold: Span::micros(told - last),
                arrivals: &arrivals,
                missing: &missing,
            });
        }
        lost += controller.lost().count();
        if [199, 599].contains(&turn) {
            shares.push(controller.budget(at(now)).share.as_bps());
        }
    }
    (shares[0], shares[1], lost)
}

// spec: T-5
#[test]
fn a_queue_that_urgent_packets_pass_is_seen_all_the_same() {
    let (before, after, lost) = played(true);
    println!("told that sound is urgent: share {before} then {after} bit/s, {lost} taken for lost");
    assert!(after < before / 2, "others were yielded to: {before} then {after}");
    assert!(lost <= 16, "only until the first was seen to be overtaken: {lost}");
    let (before, after, misled) = played(false);
    println!("not told: share {before} then {after} bit/s, {misled} taken for lost");
    assert!(misled > 100, "the sentence asks for something: {misled}");
}
