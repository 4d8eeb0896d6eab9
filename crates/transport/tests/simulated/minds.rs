//! The two minds over real QUIC: the controller that production runs trains on a path, fills it, gets out of the way of a fall to a
//! tenth and comes back, with every packet on one clock.
//!
//! The coder is none: a frame is bytes that exist at once, more of them than the path takes, so that nothing but the controller
//! decides what leaves.

use crate::scenes::Play;
use crate::world::{Line, Way, World};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use telepane_model::{
    BitRate, Bytes, Damage, EncodeJob, EncodedSlice, EncodedSlices, Epoch, FrameFacts, FrameId, Grid, HostClock,
    InputEvent, KeyCode, KeyMove, Note, Quality, Region, Size, Span, Stamp, Surf, SurfaceId, TileClass, TileState,
    Version, ViewerClock,
};
use telepane_protocol::{Capabilities, Capability};
use telepane_rate::Policy;
use telepane_session::{Host, HostOptions, HostOutput, Incoming, Viewer, ViewerOutput};
use telepane_transport::endpoints::Window;
use telepane_transport::relay::LinkModel;

/// The ends' clocks, far apart.
const HOST_EPOCH: u64 = 7_000_000_000;
const VIEWER_EPOCH: u64 = 90_000_000_000;
const SIZE: Size<Surf> = Size::new(1280, 720);
/// The whole screen changes thirty times a second.
const FRAME: u64 = 33_333;
/// Bytes of a tile: 240 of them are 29 Mbit/s at thirty frames a second.
const TILE: usize = 500;
/// Between two strokes, which say that a person is at work.
const STROKE: u64 = 300_000;

/// What was seen of a run; times are the network's, in microseconds.
#[derive(Default)]
struct Seen {
    /// When a picture was shown.
    shown: Vec<u64>,
    /// The capacity that the host counts on, each time it says so.
    pace: Vec<(u64, BitRate)>,
    /// What QUIC's queue had no room for.
    full: u32,
    epochs: Vec<Epoch>,
    gave_up: u32,
    faults: Vec<&'static str>,
    /// How long strokes took to be injected.
    strokes: Vec<u64>,
}

impl Seen {
    fn note(&mut self, note: &Note) {
        match note {
            Note::Rejected { fault } => self.faults.push(fault),
            Note::GaveUp { .. } => self.gave_up += 1,
            _ => {}
        }
    }
}

/// Every tile that is wanted, exact, until the room is used up.
fn code(job: &EncodeJob, version: Version) -> EncodedSlices {
    let grid = Grid::new(job.size);
    let mut tiles: Vec<_> = job.items.iter().flat_map(|i| grid.touching(i.rect)).collect();
    tiles.sort_unstable();
    tiles.dedup();
    let left = tiles.split_off((job.max_bytes.0 as usize / TILE).max(1).min(tiles.len()));
    let mut done = EncodedSlices { job: job.id, version, ..EncodedSlices::default() };
    let (mut base, mut id) = (job.base, job.first);
    for some in tiles.chunks((job.slice_bytes.0 as usize / TILE).max(1)) {
        let exact = |at| TileState { at, version, quality: Quality::EXACT, class: TileClass::Text };
        let tiles = some.iter().copied().map(exact).collect();
        done.slices.push(EncodedSlice { id, base, tiles, bytes: vec![0; some.len() * TILE] });
        (base, id) = (id, id.next());
    }
    done.left = left.into_iter().map(|at| grid.rect(at)).collect();
    done
}

async fn agent(world: World, conn: quinn::Connection, window: Arc<Window>, seen: Arc<Mutex<Seen>>) {
    let at = |us| Stamp::<HostClock>::from_micros(HOST_EPOCH + us);
    let begun = at(world.now_us());
    let mut mind = Host::new(begun, HostOptions::default());
    mind.on_capabilities(&Capabilities::default().with(Capability::Fec, 1).with(Capability::ReceiveBuffer, 4 << 20));
    mind.on_attached(begun, conn.max_datagram_size().unwrap(), &[]);
    let (mut frame, mut next) = (FrameId(0), world.now_us());
    loop {
        let us = world.now_us();
        let now = at(us);
        if us >= next {
            frame.0 += 1;
            next += FRAME;
            let damage = Damage::exact(SIZE.rect().into());
            mind.on_frame(now, &FrameFacts { id: frame, surface: SurfaceId(0), size: SIZE, captured: now, damage });
        }
        mind.on_time(now);
        let wake = loop {
            match mind.poll_output() {
                HostOutput::Datagram(bytes) if conn.datagram_send_buffer_space() < bytes.len() => {
                    seen.lock().unwrap().full += 1;
                }
                HostOutput::Datagram(bytes) => conn.send_datagram(bytes.into()).expect("the connection stands"),
                HostOutput::Encode(job) => mind.on_coded(now, code(&job, Version(frame.0))),
                HostOutput::Inject { event: InputEvent::Key { code, action: KeyMove::Down }, .. } => {
                    // The key's number is the stroke's, and says when it was pressed.
                    seen.lock().unwrap().strokes.push(us - u64::from(code.0) * STROKE);
                }
                HostOutput::Note(note) => seen.lock().unwrap().note(&note),
                HostOutput::Idle { until, .. } => break until,
                _ => {}
            }
        };
        if let Some(budget) = mind.budget() {
            // As the shell does.
            window.set(budget.in_flight_cap.0 * 2 + 64 * 1024);
            seen.lock().unwrap().pace.push((us, budget.pace));
        }
        let wake = wake.map_or(u64::MAX, |at| at.as_micros() - HOST_EPOCH).min(next);
        tokio::select! {
            biased;
            read = conn.read_datagram() => {
                let Ok(bytes) = read else { return };
                mind.on_datagram(&Incoming { bytes: bytes.to_vec(), arrived: at(world.now_us()) });
            }
            () = world.sleep(Duration::from_micros(wake.saturating_sub(us))) => {}
        }
    }
}

async fn person(world: World, conn: quinn::Connection, seen: Arc<Mutex<Seen>>) {
    let at = |us| Stamp::<ViewerClock>::from_micros(VIEWER_EPOCH + us);
    let us = world.now_us();
    let mut mind = Viewer::new(at(us), Policy::default());
    mind.on_capabilities(&Capabilities::default().with(Capability::ReceiveBuffer, 4 << 20));
    mind.on_attached(at(us), Stamp::from_micros(HOST_EPOCH + us));
    let mut stroke = us / STROKE + 1;
    loop {
        let us = world.now_us();
        let now = at(us);
        if us >= stroke * STROKE {
            let code = KeyCode(stroke as u16);
            for action in [KeyMove::Down, KeyMove::Up] {
                mind.on_input(now, InputEvent::Key { code, action });
            }
            stroke += 1;
        }
        mind.on_time(now);
        let wake = loop {
            match mind.poll_output() {
                ViewerOutput::Datagram(bytes) => conn.send_datagram(bytes.into()).expect("the connection stands"),
                ViewerOutput::Decode(job) => {
                    let mut seen = seen.lock().unwrap();
                    if seen.epochs.last() != Some(&job.epoch) {
                        seen.epochs.push(job.epoch);
                    }
                    mind.on_decoded(now, job.epoch, job.id, Some(&Region::new()));
                }
                ViewerOutput::Present { epoch, upto, journey, .. } => {
                    mind.on_shown(now, epoch, upto, journey);
                    seen.lock().unwrap().shown.push(us);
                }
                ViewerOutput::Note(note) => seen.lock().unwrap().note(&note),
                ViewerOutput::Reconnect => panic!("a path that carries something is not given up"),
                ViewerOutput::Idle { until, .. } => break until,
                _ => {}
            }
        };
        let wake = wake.map_or(u64::MAX, |at| at.as_micros() - VIEWER_EPOCH).min(stroke * STROKE);
        tokio::select! {
            biased;
            read = conn.read_datagram() => {
                let Ok(bytes) = read else { return };
                mind.on_datagram(&Incoming { bytes: bytes.to_vec(), arrived: at(world.now_us()) });
            }
            () = world.sleep(Duration::from_micros(wake.saturating_sub(us))) => {}
        }
    }
}

/// 40 ms there and back, and so much of a buffer that nothing is lost in it.
fn path(mbps: u64) -> LinkModel {
    LinkModel {
        rate: Some(BitRate::mbps(mbps)),
        queue: Bytes(600_000),
        delay: Span::millis(20),
        ..LinkModel::default()
    }
}

/// What stood in the queue when a packet came to it, in microseconds: how long it took, less the way and its own time on the wire.
/// The path loses nothing and keeps the order, so the packets that leave are those that came.
fn queues(journal: &[Line], mbps: impl Fn(u64) -> f64) -> Vec<(u64, f64)> {
    let down = |arrived| journal.iter().filter(move |l| l.way == Way::Down && l.arrived == arrived);
    let pairs = down(false).zip(down(true));
    pairs
        .map(|(sent, came)| {
            assert_eq!(sent.bytes, came.bytes, "the path keeps the order");
            let wire = (came.bytes + 28) as f64 * 8.0 / mbps(came.at_us);
            (sent.at_us, ((came.at_us - sent.at_us) as f64 - 20_000.0 - wire).max(0.0))
        })
        .collect()
}

/// Mbit/s that arrived at the viewer, as the link counts them.
fn carried(journal: &[Line], from: u64, to: u64) -> f64 {
    let came = journal.iter().filter(|l| l.way == Way::Down && l.arrived && (from..to).contains(&l.at_us));
    came.map(|l| l.bytes + 28).sum::<usize>() as f64 * 8.0 / (to - from) as f64
}

fn quantile(values: impl Iterator<Item = f64>, part: f64) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all.get(((all.len().max(1) - 1) as f64 * part) as usize).copied().unwrap_or(f64::NAN)
}

/// `research/rate-control.md` §6, rows 3 to 5 and 13, with quinn between the minds: the same bounds as without.
#[test]
fn the_controller_fills_a_path_through_quinn_and_survives_its_fall_to_a_tenth() {
    const SECOND: u64 = 1_000_000;
    let (play, here, there) = Play::connected(path(20), 5);
    let seen = Arc::<Mutex<Seen>>::default();
    let begun = play.world.now_us();
    play.world.go(agent(play.world.clone(), here.clone(), play.agent.clone(), seen.clone()));
    play.world.go(person(play.world.clone(), there, seen.clone()));
    play.world.run(Duration::from_secs(10));
    let fell = play.world.now_us();
    play.world.set(Way::Down, path(2));
    play.world.run(Duration::from_secs(10));
    let rose = play.world.now_us();
    play.world.set(Way::Down, path(20));
    play.world.run(Duration::from_secs(10));
    let end = play.world.now_us();

    let (journal, seen) = (play.world.journal(), seen.lock().unwrap());
    let queues = queues(&journal, |at| if (fell..rose).contains(&at) { 2.0 } else { 20.0 });
    let queue = |from: u64, to: u64| queues.iter().filter(move |q| (from..to).contains(&q.0)).map(|q| q.1 / 1e3);

    // It trains: the first pictures already leave as fast as the path takes them.
    let trained = seen.pace.iter().find(|(_, pace)| *pace >= BitRate::kbps(18_000)).map_or(end, |(at, _)| *at) - begun;
    let (used, standing) =
        (carried(&journal, begun + 2 * SECOND, fell) / 20.0, quantile(queue(begun + 2 * SECOND, fell), 0.95));
    println!(
        "trained to 18 of 20 Mbit/s in {} ms; used {used:.3}, queue p95 {standing:.1} ms and at most {:.1} ms",
        trained / 1_000,
        quantile(queue(begun, fell), 1.0),
    );
    // It falls: what was on the way drains, and what follows keeps to the tenth.
    let settled = queues.iter().filter(|q| (fell..rose).contains(&q.0) && q.1 > 50_000.0).map(|q| q.0).max();
    let settled = settled.map_or(0, |at| (at - fell) / 1_000);
    let low = carried(&journal, fell + 2 * SECOND, rose) / 2.0;
    let gap = seen.shown.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(u64::MAX) / 1_000;
    println!(
        "a tenth: queue under 50 ms after {settled} ms, at most {:.0} ms; used {low:.3}, the longest pause {gap} ms",
        quantile(queue(fell, rose), 1.0),
    );
    // And rises.
    let quarter = SECOND / 4;
    let risen =
        (0..1_000).map(|i| rose + i * 10_000).find(|at| carried(&journal, *at, at + quarter) >= 0.9 * 20.0 * used);
    let risen = risen.map_or(u64::MAX, |at| (at - rose) / 1_000);
    let strokes = quantile(seen.strokes.iter().map(|us| *us as f64 / 1e3), 0.99);
    println!(
        "back to 90 % after {risen} ms; strokes were injected after {strokes:.1} ms (p99 of {})",
        seen.strokes.len()
    );

    assert!(here.close_reason().is_none());
    assert!(trained < SECOND, "{trained} us");
    assert!(used >= 0.92, "row 5: {used}");
    assert!(standing <= 12.0, "row 5: {standing} ms");
    assert!(settled <= 600, "row 3: {settled} ms");
    assert!(low >= 0.88, "row 3: {low}");
    assert!(risen <= 600, "row 4: {risen} ms");
    assert!(strokes <= 20.0 + 15.0, "row 13: {strokes} ms, of which the way is 20");
    // Nobody saw a blank screen: the first epoch lasts, nothing was given up, and no pause was one that a person takes for an end.
    assert_eq!((seen.epochs.len(), seen.gave_up, seen.full), (1, 0, 0));
    assert!(gap < 1_000, "{gap} ms without a picture");
    assert!(seen.faults.is_empty(), "{:?}", seen.faults);
}
