//! What is copied on one machine is pasted on the other: at once, as it was, and only when someone pastes.

use crate::kit::{link, play};
use telepane_model::{ClipFormat, Size, Span};
use telepane_sim::{Canvas, Direction, LinkModel, World, WorldOptions};

const SIZE: Size<telepane_model::Surf> = Size::new(400, 300);

fn quiet(seed: u64, link: LinkModel) -> World {
    let still = Box::new(Canvas::still(SIZE, seed));
    let mut w = World::new(WorldOptions { journal: false, ..WorldOptions::new(seed, link, still) });
    w.share_clipboard();
    w
}

fn text(n: usize, bytes: usize) -> Vec<u8> {
    format!("copy {n} ").into_bytes().into_iter().cycle().take(bytes).collect()
}

/// Nobody copies on two machines within this: what changes sooner after the other's offer is taken for a program that makes it its
/// own (K-56).
const APART: Span = Span::millis(550);

/// Runs until it is so.
fn wait_for(what: &str, w: &mut World, is_so: impl Fn(&mut World) -> bool) {
    let until = w.now() + Span::secs(60).as_micros();
    while !is_so(w) {
        assert!(w.now() < until, "never: {what}");
        w.run(Span::millis(5));
    }
}

/// Copies, lets the offer arrive and pastes; how long from the paste until it is there.
fn carried(w: &mut World, way: Direction, format: ClipFormat, data: &[u8]) -> Span {
    let host = way == Direction::Up;
    w.run(APART);
    w.board(host).offered = Default::default();
    w.copy(way, [(format, data.to_vec())], false);
    wait_for("the offer arrives", w, |w| w.board(host).offered.formats.has(format));
    w.board(host).pasted.clear();
    let began = w.now();
    w.paste(way, format);
    wait_for("the paste is answered", w, |w| !w.board(host).pasted.is_empty());
    let (at, came) = w.board(host).pasted.pop().expect("the paste is answered");
    assert_eq!(came.as_deref(), Some(data), "{format:?} {way:?}");
    Span::micros(at - began)
}

/// Copying and pasting take a round trip; each of 10,000 copies arrives, and none comes back.
// spec: K-13, K-17, K-53
#[test]
fn ten_thousand_copies_each_way_arrive_within_a_round_trip() {
    const COPIES: usize = 10_000;
    play("clipboard::ten_thousand_copies_each_way_arrive_within_a_round_trip", quiet(81, link(20, 40)), |w| {
        w.run(Span::secs(1));
        let mut took = Vec::new();
        for n in 0..COPIES {
            for way in [Direction::Down, Direction::Up] {
                took.push(carried(w, way, ClipFormat::Text, &text(n, 20 + n % 3_000)));
            }
        }
        took.sort_unstable();
        let p = |part: usize| took.get(took.len() * part / 100).map_or(0.0, |t| t.as_millis_f64());
        let read = [true, false].map(|host| w.board(host).read);
        println!(
            "{COPIES} copies each way over 40 ms: pasted p50/p99 {:.1}/{:.1} ms, read {read:?} times, faults {:?}",
            p(50),
            p(99),
            w.faults
        );
        assert!(p(99) <= 100.0, "the round trip and 60 ms");
        assert_eq!(read, [COPIES as u64; 2], "each is read once: nothing comes back");
        assert!(w.faults.is_empty(), "{:?}", w.faults);
    });
}

/// Offers alone travel: no byte of what was copied leaves before somebody pastes.
// spec: K-17
#[test]
fn no_byte_of_contents_leaves_before_a_paste() {
    play("clipboard::no_byte_of_contents_leaves_before_a_paste", quiet(82, link(20, 40)), |w| {
        w.run(Span::secs(3));
        let mut idle = [Direction::Down, Direction::Up].map(|d| w.bytes(d));
        w.run(Span::secs(10));
        let after = [Direction::Down, Direction::Up].map(|d| w.bytes(d));
        idle = [after[0] - idle[0], after[1] - idle[1]];
        let data = text(1, 5_000_000);
        for way in [Direction::Down, Direction::Up] {
            w.copy(way, [(ClipFormat::Text, data.clone()), (ClipFormat::Html, data.clone())], true);
        }
        w.run(Span::secs(10));
        let copied = [Direction::Down, Direction::Up].map(|d| w.bytes(d));
        let more = [copied[0] - after[0], copied[1] - after[1]];
        println!("two copies of 10 MB: {more:?} bytes in 10 s, {idle:?} without");
        assert!(more.iter().zip(idle).all(|(m, i)| *m < i + 400), "{more:?} {idle:?}");
        assert_eq!([true, false].map(|h| w.board(h).read), [0, 0], "it is not even read");
        assert!([true, false].iter().all(|h| w.board(*h).offered.secret), "the mark has crossed");
        w.paste(Direction::Down, ClipFormat::Html);
        w.run(Span::secs(10));
        let (_, came) = w.board(false).pasted.pop().expect("the paste is answered");
        assert_eq!(came, Some(data));
        assert_eq!([true, false].map(|h| w.board(h).read), [1, 0], "one kind of one end");
        assert!(w.board(false).progress > 3, "its progress is told");
        assert!(w.faults.is_empty(), "{:?}", w.faults);
    });
}

/// Through loss, large and small, and what was asked for when the connection broke is answered too.
// spec: K-53, B-9
#[test]
fn loss_delays_pastes_and_a_broken_connection_ends_them() {
    play("clipboard::loss_delays_pastes_and_a_broken_connection_ends_them", quiet(83, link(20, 60).losing(3)), |w| {
        w.run(Span::secs(1));
        for (n, size) in [10, 60_000, 70_000, 3_000_000].into_iter().enumerate() {
            for way in [Direction::Down, Direction::Up] {
                let took = carried(w, way, ClipFormat::Text, &text(n, size));
                println!("{size} bytes {way:?} through 3 % loss in {took:?}");
            }
        }
        w.copy(Direction::Down, [(ClipFormat::Text, text(1, 8_000_000))], false);
        w.run(Span::secs(1));
        w.paste(Direction::Down, ClipFormat::Text);
        w.run(Span::millis(400));
        w.restart_host();
        w.run(Span::secs(5));
        let (_, came) = w.board(false).pasted.pop().expect("the paste is answered");
        assert_eq!(came, None);
        assert!(w.board(false).offered.formats.is_empty(), "the agent is a new one and has seen no copy");
    });
}
