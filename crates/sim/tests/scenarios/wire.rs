//! What little work costs on the wire, every header counted, and QUIC's own acknowledgements too.

use crate::kit::{link, play, press, world};
use telepane_model::{Size, Span};
use telepane_sim::{Canvas, Direction};

/// A typist of five keys a second: what a key costs each way, probes, padding and reports included.
#[test]
fn a_typed_key_costs_little_both_ways() {
    for rtt in [1, 40] {
        let w = world(41, link(20, rtt), Canvas::still(Size::new(640, 480), 41));
        play("wire::a_typed_key_costs_little_both_ways", w, |w| {
            for i in 0..150 {
                press(w, 3_000 + i * 200, 16 + (i % 30) as u16, 30 + i % 60);
            }
            w.run(Span::millis(2_900));
            let before = [Direction::Down, Direction::Up].map(|d| (w.bytes(d), w.packets(d)));
            w.run(Span::secs(30));
            let [down, up] = [Direction::Down, Direction::Up].map(|d| {
                let (bytes, packets) = before[d as usize];
                ((w.bytes(d) - bytes) as f64 / 150.0, (w.packets(d) - packets) as f64 / 150.0)
            });
            println!(
                "round trip {rtt} ms: down {:.0} B in {:.1} packets a key, up {:.0} B in {:.1}",
                down.0, down.1, up.0, up.1
            );
            assert_eq!(w.oracle.delivered(), 150);
            assert!(w.is_exact() && w.faults.is_empty());
            assert!(down.0 <= 250.0, "{} B a key down", down.0);
            assert!(up.0 <= 300.0, "{} B a key up", up.0);
        });
    }
}
