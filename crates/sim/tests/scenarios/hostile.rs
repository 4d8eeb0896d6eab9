//! A peer that has gone mad: whatever arrives, it is counted, nothing panics, and the session finds its way back.

use crate::kit::{busy, link, play, press, until_exact, world};
use telepane_model::{Epoch, Rng, Size, Span, SurfaceId, UpdateId};
use telepane_protocol::{Control, Datagram, Feedback, Shard, SurfaceReport};
use telepane_sim::Direction;

fn random_bytes(rng: &mut Rng) -> Vec<u8> {
    let len = rng.below(80) as usize;
    let mut bytes: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
    if let Some(kind) = bytes.first_mut() {
        // The kinds there are, with any flags.
        *kind = (*kind & 0xf0) | (rng.below(6) as u8);
    }
    bytes
}

/// Well-formed, and untrue.
fn lie(rng: &mut Rng) -> Vec<u8> {
    let epoch = Epoch(rng.below(6) as u32);
    let id = UpdateId(rng.below(400) as u32 + 1);
    let seq = rng.below(70_000);
    let datagram = match rng.below(3) {
        0 => Datagram::Shard(Shard {
            epoch: Epoch(epoch.0 + 1),
            id,
            base: UpdateId(rng.below(u64::from(id.0)) as u32),
            has_size: rng.below(2) == 0,
            last: rng.below(2) == 0,
            data: 1,
            payload: (0..rng.below(60)).map(|_| rng.next_u64() as u8).collect(),
            ..Shard::default()
        }),
        1 => Datagram::Padding(rng.below(500) as usize),
        _ => Datagram::Feedback(Feedback {
            newest: rng.below(2_000),
            arrived: rng.next_u64() as u32,
            hold: Span::micros(rng.next_u64() >> rng.below(64)),
            received: rng.next_u64() >> 20,
            earlier: (0..rng.below(20)).map(|_| (rng.below(9), rng.next_u64() as i32)).collect(),
            surfaces: vec![SurfaceReport {
                epoch,
                applied: id,
                gave_up: (rng.below(2) == 0).then(|| UpdateId(id.0.saturating_add(rng.below(50) as u32))),
                ..SurfaceReport::default()
            }],
            input: None,
            close: seq.is_multiple_of(2),
        }),
    };
    datagram.encode(seq)
}

fn attack(name: &'static str, seed: u64, make: fn(&mut Rng) -> Vec<u8>) {
    let w = world(seed, link(20, 40), busy(seed, (300, 200), 8_000));
    play(name, w, |w| {
        w.run(Span::millis(700));
        let mut rng = Rng::new(seed);
        for _ in 0..600 {
            let now = w.now();
            let way = if rng.below(2) == 0 { Direction::Down } else { Direction::Up };
            let bytes = make(&mut rng);
            w.path(way).inject(now, bytes);
            if rng.below(20) == 0 {
                let (surface, epoch) = (SurfaceId(rng.below(2) as u16), Epoch(rng.below(9) as u32));
                w.inject_control(Direction::Up, Control::Refresh { surface, epoch });
                w.inject_control(way, Control::ClipChunk { id: 3, last: false, bytes: vec![7; 100] });
                w.inject_control(Direction::Up, Control::Resize { size: Size::new(300, 200), scale: 100 });
            }
            w.run(Span::millis(3));
        }
        let faults = w.faults.len();
        // Numbers from the future may have shut the old link's ears; the person's next key finds out and reconnects.
        let at = w.now() / 1_000;
        for i in 0..30 {
            press(w, at + 100 + i * 150, 30, 40);
        }
        w.run_to(10_000_000);
        let took = until_exact(w, Span::secs(5));
        let mut kinds: Vec<&str> = w.faults.clone();
        kinds.sort_unstable();
        kinds.dedup();
        println!(
            "{faults} faults counted ({kinds:?}), connected anew {} times, exact {took:.0} ms after 10 s",
            w.attached.len()
        );
        assert!(faults > 50, "{faults}");
    });
}

#[test]
fn random_datagrams_into_both_minds() {
    for seed in 41..45 {
        attack("hostile::random_datagrams_into_both_minds", seed, random_bytes);
    }
}

#[test]
fn lies_into_both_minds() {
    for seed in 51..55 {
        attack("hostile::lies_into_both_minds", seed, lie);
    }
}
