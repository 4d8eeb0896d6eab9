//! A peer that says anything at all: nothing panics, budgets stay within their bounds, and once it tells the truth again
//! the controller works again.

use telepane_model::{Arrival, BitRate, Bytes, HostClock, Rng, SentPacket, Span, Stamp, ViewerClock};
use telepane_rate::{Controller, FeedbackFacts, Policy, SendClass, SendFacts};

type C = Controller<HostClock, ViewerClock>;

fn any(rng: &mut Rng, near: u64) -> u64 {
    match rng.below(6) {
        0 => rng.next_u64(),
        1 => u64::MAX - rng.below(3),
        2 => rng.below(3),
        3 => near.wrapping_sub(rng.below(5_000)),
        4 => near.wrapping_add(rng.below(5_000)),
        _ => near,
    }
}

/// Lies for a while; the last number used and the time.
fn storm(c: &mut C, rng: &mut Rng, steps: u32) -> (u64, u64) {
    let (mut now, mut seq) = (0u64, 0u64);
    for _ in 0..steps {
        now += rng.below(3_000);
        let at = Stamp::from_micros(now);
        match rng.below(8) {
            0..=3 => {
                let bytes = Bytes(any(rng, 1_200));
                let class =
                    [SendClass::Paced, SendClass::Unpaced, SendClass::Probe, SendClass::Bulk][rng.below(4) as usize];
                c.on_sent(
                    SentPacket { seq, bytes, at },
                    SendFacts { backlog: Bytes(any(rng, 0)), class, urgent: class == SendClass::Unpaced },
                );
                seq += 1 + rng.below(2);
            }
            4 | 5 => {
                let arrivals: Vec<Arrival<ViewerClock>> = (0..rng.below(40))
                    .map(|_| Arrival { seq: any(rng, seq), at: Stamp::from_micros(any(rng, now)) })
                    .collect();
                let missing: Vec<u64> = (0..rng.below(40)).map(|_| any(rng, seq)).collect();
                let hold = Span::micros(any(rng, 3_000));
                c.on_feedback(&FeedbackFacts { received_at: at, hold, arrivals: &arrivals, missing: &missing });
            }
            6 => c.on_time(at),
            _ => {
                c.on_active(at);
                c.on_limited(at, rng.below(2) == 0);
                if let Some(p) = c.probe(at) {
                    assert!(p.bytes.0 <= 12_000 && p.filler <= p.bytes);
                }
            }
        }
        let b = c.budget(at);
        assert!(b.pace >= BitRate::kbps(300) && b.pace <= BitRate::mbps(5_000), "{b:?}");
        assert!(b.share >= BitRate::kbps(300) && b.share <= BitRate::mbps(20_000), "{b:?}");
        assert!(b.in_flight_cap >= Bytes(2_400) && b.in_flight_cap <= Bytes(2 << 20), "{b:?}");
        assert!(b.until > b.at && b.until <= at + Span::millis(100));
        assert!(c.frame_budget(at, 0).0 > 0);
        assert!(c.loss_ppm() <= 1_000_000);
        assert!(c.lost().count() <= 4_096);
        let _ = (c.next_wake(), c.rtt(), c.state());
    }
    (now, seq)
}

/// A true path of 10 Mbit/s and 20 ms each way for `seconds`, from `now` on.
fn honest(c: &mut C, mut now: u64, mut seq: u64, seconds: u64) {
    let end = now + seconds * 1_000_000;
    let mut free = now;
    while now < end {
        let mut arrivals = Vec::new();
        // A frame of ten packets at the pace, a report at its end, every 33 ms.
        let pace = c.budget(Stamp::from_micros(now)).pace;
        let mut at = now;
        for _ in 0..10 {
            let sent = Stamp::from_micros(at);
            c.on_sent(SentPacket { seq, bytes: Bytes(1_200), at: sent }, SendFacts::default());
            free = free.max(at) + 960;
            arrivals.push(Arrival { seq, at: Stamp::<ViewerClock>::from_micros(free + 20_000 + 123_456_789) });
            seq += 1;
            at += pace.time_for(Bytes(1_200)).as_micros().min(3_000);
        }
        let heard = free + 40_000;
        c.on_feedback(&FeedbackFacts {
            received_at: Stamp::from_micros(heard),
            hold: Span::ZERO,
            arrivals: &arrivals,
            missing: &[],
        });
        now = heard.max(at) + 33_000;
        free = free.max(now);
    }
}

#[test]
fn lies_are_survived_and_the_truth_is_believed_afterwards() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut c = C::new(Stamp::ZERO, Policy::default());
        let (now, seq) = storm(&mut c, &mut rng, 4_000);
        honest(&mut c, now + 1_000, seq + 10, 60);
        let capacity = c.capacity().as_bps() as f64 * 1e-6;
        let b = c.budget(Stamp::from_micros(now + 61_000_000));
        assert!(
            (8.0..14.0).contains(&capacity),
            "seed {seed}: {capacity} Mbit/s {b:?} {:?} {:?}",
            c.rtt(),
            c.in_flight()
        );
        let rtt = c.rtt().min.as_millis_f64();
        assert!((39.0..46.0).contains(&rtt), "seed {seed}: {rtt} ms");
    }
}

#[test]
fn extreme_policies_and_times_are_survived() {
    let policies = [
        Policy { floor: BitRate::bps(u64::MAX), ..Policy::default() },
        Policy { limit: Some(BitRate::ZERO), initial: BitRate::ZERO, initial_rtt: Span::MAX, ..Policy::default() },
        Policy { target: Some(BitRate::ZERO), in_flight_max: Bytes(0), initial_rtt: Span::ZERO, ..Policy::default() },
    ];
    for policy in policies {
        let mut c = C::new(Stamp::from_micros(u64::MAX - 5), policy);
        for at in [0, 1, u64::MAX - 5, u64::MAX] {
            let at = Stamp::from_micros(at);
            c.on_sent(SentPacket { seq: at.as_micros(), bytes: Bytes(u64::MAX), at }, SendFacts::default());
            c.on_feedback(&FeedbackFacts {
                received_at: at,
                hold: Span::MAX,
                arrivals: &[Arrival { seq: at.as_micros(), at: Stamp::from_micros(u64::MAX) }],
                missing: &[u64::MAX, 0],
            });
            c.on_time(at);
            let _ = (c.budget(at), c.next_wake(), c.probe(at), c.frame_budget(at, u32::MAX));
        }
    }
}
