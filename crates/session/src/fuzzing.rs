//! Entry points for the fuzz targets: any bytes become facts, fed to one mind, which must stay sane.
//!
//! Most facts are a hostile peer's (raw datagrams, raw control messages, well-formed lies); some are honest (time, frames,
//! finished jobs), so that the fuzzer gets past the first gate. After each fact the mind is drained: it must come to rest
//! within a bounded number of wishes, and what always holds must hold.

mod feedback;

pub use feedback::feedback;

use crate::sound::{CEILING, Playout, SoundFrame};
use crate::{ClipWish, Host, HostOptions, HostOutput, Incoming, Viewer, ViewerOutput};
use telepane_model::{
    ClipFormat, ClipFormats, ClipOffer, CursorState, Damage, EncodeJob, EncodedSlice, EncodedSlices, Epoch, FrameFacts,
    FrameId, Grid, HostClock, InputEvent, InputSeq, JobId, Journey, KeyCode, KeyMove, MAX_FINGERS, Meaning, Pen, Point,
    Quality, Rect, Region, Selection, Size, Span, Stamp, SurfaceId, TileClass, TileState, TouchPhase, UpdateId,
    Version, ViewerClock,
};
use telepane_protocol::capability::{HANDS_PEN, HANDS_TOUCH};
use telepane_protocol::clip::taken;
use telepane_protocol::control::Held;
use telepane_protocol::{
    Capabilities, Capability, Control, Datagram, Feedback, InputBatch, InputReport, Person, Proofs, Shard, SoundPacket,
    SurfaceReport,
};
use telepane_rate::Policy;

/// One fact gives rise to no more wishes than this: a job's slices in shards, and what goes with them.
const MOST_WISHES: usize = 20_000;
/// What [`code`] writes for a tile.
const TILE_BYTES: usize = 12;

struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn small(&mut self) -> u64 {
        self.u8().map_or(0, u64::from)
    }

    fn u16(&mut self) -> u64 {
        self.small() << 8 | self.small()
    }

    /// Now a small number, now an enormous one.
    fn any(&mut self) -> u64 {
        let (shift, low) = (self.small(), self.u16());
        low << (shift % 64)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let n = (self.small() as usize).min(self.0.len());
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        head
    }
}

/// A coder without pixels: every tile wanted takes `tile_bytes`, [`TILE_BYTES`] at least, and becomes exact, until the
/// room is used up.
fn code(job: &EncodeJob, newest: Version, tile_bytes: usize) -> EncodedSlices {
    let grid = Grid::new(job.size);
    let mut tiles: Vec<_> = job.items.iter().flat_map(|i| grid.touching(i.rect)).collect();
    tiles.sort_unstable();
    tiles.dedup();
    let in_slice = (job.slice_bytes.0 as usize / tile_bytes).max(1);
    let in_job = (job.max_bytes.0 as usize / tile_bytes).max(1);
    let left = tiles.split_off(in_job.min(tiles.len()));
    let mut done = EncodedSlices { job: job.id, version: newest, anew: job.anew, ..EncodedSlices::default() };
    let (mut base, mut id) = (job.base, job.first);
    for some in tiles.chunks(in_slice) {
        let state = |at| TileState { at, version: newest, quality: Quality::EXACT, class: TileClass::Text };
        let place = |at: &telepane_model::TileAt| [at.col.to_le_bytes(), at.row.to_le_bytes()].concat();
        let mut bytes: Vec<u8> =
            some.iter().flat_map(|at| [place(at), newest.0.to_le_bytes().to_vec()].concat()).collect();
        bytes.resize(some.len() * tile_bytes, 0);
        done.slices.push(EncodedSlice { id, base, tiles: some.iter().copied().map(state).collect(), bytes });
        (base, id) = (id, id.next());
    }
    done.left = left.into_iter().map(|at| grid.rect(at)).collect();
    done
}

/// The first slice of `done`, as a coder gives it that codes the next one.
fn part(done: &mut EncodedSlices) -> Option<EncodedSlices> {
    // Coders answer this whole.
    if done.anew {
        return None;
    }
    (done.slices.len() > 1).then(|| EncodedSlices::part(done.job, done.version, done.slices.remove(0)))
}

/// Something to paste.
fn clip(s: &mut Source<'_>) -> ClipOffer {
    let bits = s.small();
    let selection = if bits & 1 != 0 { Selection::Primary } else { Selection::Clipboard };
    ClipOffer { selection, formats: ClipFormats::from_bits(bits as u32 >> 2), secret: bits & 2 != 0 }
}

/// A key's motion; of every other key that goes down, with what it means.
fn moved(code: KeyCode, action: KeyMove) -> InputEvent {
    match action {
        KeyMove::Down if code.0.is_multiple_of(2) => {
            InputEvent::Press { code, means: Meaning(0x60 + u32::from(code.0)) }
        }
        _ => InputEvent::Key { code, action },
    }
}

/// A finger or a pen did something.
fn touched(kind: usize, what: u64) -> InputEvent {
    let at = Point::new(what as i32, kind as i32);
    let pressure = (what as u16) << 8;
    if kind.is_multiple_of(2) {
        let phases = [TouchPhase::Down, TouchPhase::Move, TouchPhase::Up, TouchPhase::Cancel];
        let phase = phases.get(kind / 2 % 4).copied().unwrap_or(TouchPhase::Move);
        return InputEvent::Touch { finger: what as u8 % MAX_FINGERS, phase, at, pressure };
    }
    let bit = |n: u64| what >> n & 1 != 0;
    let (touching, eraser, near) = (bit(0), bit(1), bit(2));
    InputEvent::Pen(
        Pen { at, pressure, tilt: (what as i8, 7), touching, eraser, buttons: what as u8 >> 3, near }.possible(),
    )
}

/// A packet of sound whose frames have a first byte that passes; the rest is anything.
fn sound(s: &mut Source<'_>) -> Datagram {
    let frame = |s: &mut Source<'_>| [&[0xf4], s.bytes()].concat();
    Datagram::Sound(SoundPacket {
        number: s.any() as u32,
        captured: s.any() as u32,
        last: s.small().is_multiple_of(8),
        frame: frame(s),
        earlier: (0..s.small() % 4).map(|_| frame(s)).collect(),
    })
}

/// Facts for the agent's mind.
///
/// # Panics
/// When the mind does not come to rest, or is inconsistent.
pub fn host(bytes: &[u8]) {
    let mut s = Source(bytes);
    let mut now = Stamp::from_micros(1 << 33);
    let mut mind = Host::new(now, HostOptions { film: s.small() % 2 == 0, ..HostOptions::default() });
    let mut jobs: Vec<EncodeJob> = Vec::new();
    // What is still to come of a job that was answered in part.
    let mut rest: Option<EncodedSlices> = None;
    // Jobs that were told to await a frame of film.
    let mut filming: Vec<JobId> = Vec::new();
    let mut frame = FrameId(0);
    let mut size = Size::new(300, 200);
    let (mut sent, mut seq) = (0u64, 0u64);
    while let Some(op) = s.u8() {
        match op % 12 {
            0 => now += Span::micros(s.any() >> 24),
            1 => now += Span::millis(s.small()),
            2 => mind.on_datagram(&Incoming { bytes: s.bytes().to_vec(), arrived: now }),
            3 => {
                if let Ok(message) = Control::decode(s.bytes()) {
                    mind.on_control(now, message);
                }
            }
            4 | 5 => {
                frame.0 += 1;
                if op % 64 == 4 {
                    size = Size::new(1 + s.small() as u32 * 2, 1 + s.small() as u32 * 2);
                }
                let rect = Rect::new(s.small() as i32, s.small() as i32, 1 + s.small() as u32, 1 + s.small() as u32);
                let damage = Damage::exact(Region::from(rect.intersect(size.rect())));
                mind.on_frame(now, &FrameFacts { id: frame, surface: SurfaceId(0), size, captured: now, damage });
            }
            6 if op / 12 == 3 && !filming.is_empty() => mind.on_film_coded(now, filming.remove(0)),
            6 if rest.is_some() => {
                if let Some(mut done) = rest.take() {
                    match part(&mut done) {
                        Some(first) => {
                            mind.on_coded(now, first);
                            rest = Some(done);
                        }
                        None => mind.on_coded(now, done),
                    }
                }
            }
            6 if !jobs.is_empty() => {
                let job = jobs.remove(0);
                match op / 12 {
                    0 => mind.on_base_gone(now, job.id),
                    2 => {
                        filming.push(job.id);
                        let left = job.items.iter().map(|i| i.rect).collect();
                        mind.on_coded(
                            now,
                            EncodedSlices { job: job.id, left, awaits: true, ..EncodedSlices::default() },
                        );
                    }
                    1 => mind.on_coded(now, EncodedSlices { job: job.id, ..EncodedSlices::default() }),
                    12.. => rest = Some(code(&job, Version(frame.0), TILE_BYTES)),
                    _ => mind.on_coded(now, code(&job, Version(frame.0), TILE_BYTES)),
                }
            }
            7 => {
                let held = Held {
                    surface: SurfaceId(0),
                    epoch: Epoch(s.any() as u32),
                    applied: UpdateId(s.any() as u32),
                    through: UpdateId(s.any() as u32),
                };
                mind.on_attached(now, s.u16() as usize, &[held][..usize::from(op > 30)]);
                sent = 0;
            }
            8 if op > 200 => mind.on_link_lost(now),
            8 => match s.small() % 9 {
                0 => mind.on_capabilities(&Capabilities::default().with(Capability::Sound, 1)),
                1 => mind.on_sound_rights(now, s.small() % 2 == 0, s.small() % 3 > 0),
                2 if op > 150 => mind.on_control(now, Control::SuppressOutput(s.small() % 2 == 0)),
                2 => {
                    mind.on_control(now, Control::SoundWish { listens: s.small() % 2 == 0, speaks: s.small() % 3 > 0 })
                }
                3 => {
                    let captured = Stamp::from_micros(s.any());
                    mind.on_sound(now, SoundFrame { captured, bytes: s.bytes().to_vec(), last: op > 100 });
                }
                4 => mind.on_capabilities(&Capabilities::default().with(Capability::Clipboard, taken(op > 100))),
                5 => mind.on_clip_changed(now, clip(&mut s)),
                6 => {
                    let ClipOffer { selection, formats, .. } = clip(&mut s);
                    let format = formats.iter().next().unwrap_or(ClipFormat::Files);
                    mind.on_clip_wanted(now, s.small() as u32, selection, format);
                }
                7 => {
                    mind.on_capabilities(&Capabilities::default().with(Capability::Life, s.small() % 2));
                    mind.on_keep_awake(now, s.small() % 2 == 0);
                    mind.on_people(now, vec![Person { you: op > 100, ..Person::default() }]);
                }
                _ => {
                    seq += 1;
                    mind.on_datagram(&Incoming { bytes: sound(&mut s).encode(seq), arrived: now });
                }
            },
            9 => {
                let f = Feedback {
                    newest: sent.saturating_sub(1 + s.small() % 8),
                    arrived: s.any() as u32,
                    hold: Span::micros(s.any()),
                    received: sent,
                    earlier: (0..s.small() % 5).map(|_| (s.any() >> 20, s.any() as i32)).collect(),
                    surfaces: vec![SurfaceReport {
                        surface: SurfaceId(0),
                        epoch: Epoch(s.small() as u32 % 4),
                        applied: UpdateId(s.small() as u32),
                        gave_up: (op > 100).then(|| UpdateId(s.any() as u32)),
                        queue: Span::ZERO,
                        shown: (op > 50).then(|| UpdateId(s.small() as u32)),
                    }],
                    input: None,
                    close: op.is_multiple_of(2),
                };
                seq += 1;
                mind.on_datagram(&Incoming { bytes: Datagram::Feedback(f).encode(seq), arrived: now });
            }
            10 => {
                let first = s.any() as u32;
                let event = |s: &mut Source<'_>| {
                    let kind = s.small() as usize;
                    let action = [KeyMove::Down, KeyMove::Up, KeyMove::Repeat][kind % 3];
                    let age = Span::micros(s.any());
                    let what = s.small();
                    (age, if kind < 96 { moved(KeyCode(what as u16 + 1), action) } else { touched(kind, what) })
                };
                let batch = InputBatch {
                    sent: s.any() as u32,
                    floor: InputSeq(first.saturating_sub(s.small() as u32)),
                    first: InputSeq(first),
                    events: (0..s.small() % 32).map(|_| event(&mut s)).collect(),
                    held: (0..s.small() % 4).map(|_| KeyCode(s.small() as u16 + 1)).collect(),
                    fingers: if op > 100 { vec![0, 3] } else { Vec::new() },
                    pen: op > 200,
                    ..InputBatch::default()
                };
                seq += 1 + s.any() % 40_000;
                mind.on_datagram(&Incoming { bytes: Datagram::Input(batch).encode(seq), arrived: now });
            }
            _ if op > 200 => {
                let tile = |s: &mut Source<'_>, i: u64| (i as u32 * 3 + s.small() as u32 % 3, s.any());
                let proofs = Proofs {
                    surface: SurfaceId(0),
                    epoch: Epoch(s.small() as u32 % 4),
                    applied: UpdateId(s.small() as u32),
                    tiles: (0..s.small() % 8).map(|i| tile(&mut s, i)).collect(),
                };
                mind.on_control(now, Control::Proofs(proofs));
            }
            _ => {
                let state =
                    CursorState { at: Point::new(s.small() as i32, s.small() as i32), ..CursorState::default() };
                mind.on_cursor(now, state);
            }
        }
        mind.on_time(now);
        for wishes in 0.. {
            assert!(wishes < MOST_WISHES, "the mind comes to rest");
            match mind.poll_output() {
                HostOutput::Idle { until, .. } => {
                    assert!(until.is_none_or(|at| at > now), "a mind at rest is not due already");
                    break;
                }
                HostOutput::Encode(job) => jobs.push(job),
                HostOutput::Check { epoch, proofs, .. } if proofs.len() % 3 == 2 => mind.on_unchecked(now, epoch),
                HostOutput::Check { epoch, proofs, .. } => {
                    let wrong: Vec<_> = proofs.iter().filter(|p| p.hash % 3 > 0).map(|p| p.at).collect();
                    mind.on_checked(now, epoch, proofs.len(), &wrong);
                }
                HostOutput::Clip(ClipWish::Fetch { id, format, .. }) => match format {
                    ClipFormat::Files => {
                        mind.on_clip_stream(now, id, 7);
                    }
                    _ => mind.on_clip_data(now, id, (id % 3 > 0).then(|| vec![7; (id as usize % 4) * 40_000])),
                },
                HostOutput::Datagram(bytes) => {
                    sent += 1;
                    assert!(bytes.len() <= 1_300, "datagrams fit a path");
                }
                _ => {}
            }
        }
        jobs.drain(..jobs.len().saturating_sub(16));
        mind.verify();
    }
}

/// Facts for the client's mind.
///
/// # Panics
/// When the mind does not come to rest, or is inconsistent.
pub fn viewer(bytes: &[u8]) {
    let mut s = Source(bytes);
    let mut now = Stamp::from_micros(1 << 34);
    let mut mind = Viewer::new(now, Policy::default());
    let mut decoding: Option<(Epoch, UpdateId)> = None;
    let mut playout = Playout::<ViewerClock, HostClock>::new();
    let mut seq = 0u64;
    while let Some(op) = s.u8() {
        match op % 12 {
            0 => now += Span::micros(s.any() >> 24),
            1 => now += Span::millis(s.small()),
            2 => mind.on_datagram(&Incoming { bytes: s.bytes().to_vec(), arrived: now }),
            3 => {
                if let Ok(message) = Control::decode(s.bytes()) {
                    mind.on_control(now, message);
                }
            }
            4..=6 => {
                let id = 1 + s.small() as u32 % 64;
                let data = 1 + s.small() as u8 % 8;
                let payload = s.bytes().to_vec();
                let shard = Shard {
                    surface: SurfaceId(u16::from(op == 4)),
                    epoch: Epoch(1 + u32::from(op / 96)),
                    id: UpdateId(id),
                    base: UpdateId(id.saturating_sub(1 + s.small() as u32 % 3)),
                    has_size: op % 5 != 0,
                    has_journey: op % 7 == 0,
                    last: op % 3 == 0,
                    index: s.small() as u8 % data,
                    data,
                    parity: 0,
                    total: s.u16() as u32,
                    payload,
                };
                seq += 1 + u64::from(op == 5) * s.any() % 40_000;
                mind.on_datagram(&Incoming { bytes: Datagram::Shard(shard).encode(seq), arrived: now });
            }
            7 => {
                if let Some((epoch, id)) = decoding.take() {
                    let changed = Rect::new(s.small() as i32, 0, 90, 70).into();
                    mind.on_decoded(now, epoch, id, (op < 200).then_some(&changed));
                }
            }
            8 => {
                let what = s.small();
                let action = [KeyMove::Down, KeyMove::Up, KeyMove::Repeat][usize::from(op / 12) % 3];
                let touch = op / 12 > 9;
                let event = if touch { touched(op.into(), what) } else { moved(KeyCode(what as u16 + 1), action) };
                mind.on_input(now, event);
            }
            9 => {
                let f = Feedback {
                    newest: s.any() >> 30,
                    arrived: s.any() as u32,
                    hold: Span::micros(s.any()),
                    input: Some(InputReport { done: InputSeq(s.any() as u32), dropped: s.any() as u32 }),
                    ..Feedback::default()
                };
                seq += 1;
                mind.on_datagram(&Incoming { bytes: Datagram::Feedback(f).encode(seq), arrived: now });
            }
            10 => {
                mind.on_attached(now, Stamp::from_micros(s.any()));
                seq = 0;
            }
            _ => match op / 12 {
                0..=3 => mind.on_link_lost(now),
                4..=7 => mind.on_woke(now),
                8..=11 => mind.on_reconnect_failed(now),
                12..=13 => drop(mind.held()),
                14 => {
                    let both = Capabilities::default().with(Capability::Sound, 1).with(Capability::Keys, 1);
                    let hands = if op.is_multiple_of(2) { HANDS_TOUCH | HANDS_PEN } else { 0 };
                    mind.on_capabilities(
                        &both.with(Capability::Proofs, 40).with(Capability::Reports, 3).with(Capability::Hands, hands),
                    );
                }
                15 => mind.on_sound_wish(now, s.small() % 2 == 0, s.small() % 3 > 0),
                16 => {
                    mind.on_control(now, Control::SoundState { offers: s.small() % 2 == 0, takes: s.small() % 3 > 0 })
                }
                17 => {
                    let captured = Stamp::from_micros(s.any());
                    mind.on_microphone(now, SoundFrame { captured, bytes: s.bytes().to_vec(), last: op > 210 });
                }
                18 => match s.small() % 4 {
                    0 => mind.on_capabilities(&Capabilities::default().with(Capability::Clipboard, taken(op > 222))),
                    1 => mind.on_clip_changed(now, clip(&mut s)),
                    2 => mind.on_chunk(&Incoming { bytes: s.bytes().to_vec(), arrived: now }),
                    _ => {
                        let ClipOffer { selection, formats, .. } = clip(&mut s);
                        let format = formats.iter().next().unwrap_or(ClipFormat::Files);
                        mind.on_clip_wanted(now, s.small() as u32, selection, format);
                    }
                },
                19 => {
                    seq += 1;
                    mind.on_datagram(&Incoming { bytes: sound(&mut s).encode(seq), arrived: now });
                }
                _ => {
                    let upto = UpdateId(s.small() as u32);
                    let _ = mind.on_shown(now, Epoch(s.small() as u32 % 4), upto, Journey::default());
                    // The age follows from the time: recorded inputs mean what they meant.
                    mind.on_heard(now, Span::millis(now.as_micros() % 200));
                }
            },
        }
        mind.on_time(now);
        for wishes in 0.. {
            assert!(wishes < MOST_WISHES, "the mind comes to rest");
            match mind.poll_output() {
                ViewerOutput::Idle { until, .. } => {
                    assert!(until.is_none_or(|at| at > now), "a mind at rest is not due already");
                    break;
                }
                ViewerOutput::Decode(job) => {
                    assert!(decoding.is_none(), "one slice is decoded at a time");
                    decoding = Some((job.epoch, job.id));
                }
                ViewerOutput::Sound(packet) => playout.on_packet(now, packet),
                ViewerOutput::Prove { epoch, tiles, .. } => {
                    assert!(decoding.is_none() && tiles.len() <= 40, "at rest, and no more than the host takes");
                    mind.on_proven(now, epoch, &vec![7; tiles.len()]);
                }
                ViewerOutput::Clip(ClipWish::Fetch { id, .. }) => mind.on_clip_data(now, id, Some(vec![7; 70_000])),
                _ => {}
            }
        }
        for i in 0..3 {
            playout.next(now, Span::millis(10 * i));
        }
        assert!(playout.figures().worst <= CEILING && playout.speed_ppm().abs() <= 5_000);
        mind.verify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use telepane_model::Rng;

    #[test]
    fn random_facts_leave_the_minds_sane() {
        for seed in 0..400 {
            let mut rng = Rng::new(seed);
            let bytes: Vec<u8> = (0..rng.below(3_000)).map(|_| rng.next_u64() as u8).collect();
            host(&bytes);
            viewer(&bytes);
        }
    }

    /// Both minds over a perfect path, in steps of 5 ms; `eager` drains after every fact, else once for all of a step.
    struct Pair {
        host: Host,
        viewer: Viewer,
        eager: bool,
        now: u64,
        frame: u64,
        to_viewer: Vec<Vec<u8>>,
        to_host: Vec<Vec<u8>>,
        jobs: Vec<EncodeJob>,
        /// What is still to come of a job.
        rest: Option<EncodedSlices>,
        decoded: Vec<(Epoch, UpdateId)>,
        shown: BTreeMap<(Epoch, u16, u16), u64>,
        touched: BTreeMap<(u16, u16), u64>,
        injected: Vec<InputEvent>,
    }

    impl Pair {
        fn new(eager: bool) -> Self {
            let (h, v) = (Stamp::from_micros(1 << 30), Stamp::from_micros(1 << 31));
            let mut host = Host::new(h, HostOptions::default());
            let mut viewer = Viewer::new(v, Policy::default());
            host.on_attached(h, 1_200, &[]);
            viewer.on_attached(v, h);
            Self {
                host,
                viewer,
                eager,
                now: 0,
                frame: 0,
                to_viewer: Vec::new(),
                to_host: Vec::new(),
                jobs: Vec::new(),
                rest: None,
                decoded: Vec::new(),
                shown: BTreeMap::new(),
                touched: BTreeMap::new(),
                injected: Vec::new(),
            }
        }

        fn host_now(&self) -> Stamp<HostClock> {
            Stamp::from_micros((1 << 30) + self.now)
        }

        fn viewer_now(&self) -> Stamp<ViewerClock> {
            Stamp::from_micros((1 << 31) + self.now)
        }

        fn drain(&mut self) {
            loop {
                match self.host.poll_output() {
                    HostOutput::Datagram(bytes) => self.to_viewer.push(bytes),
                    HostOutput::Encode(job) => self.jobs.push(job),
                    HostOutput::Inject { event, .. } => self.injected.push(event),
                    HostOutput::Idle { .. } => break,
                    _ => {}
                }
            }
            loop {
                match self.viewer.poll_output() {
                    ViewerOutput::Datagram(bytes) => self.to_host.push(bytes),
                    ViewerOutput::Decode(job) => {
                        for tile in job.ops.chunks_exact(TILE_BYTES) {
                            let n = |r: std::ops::Range<usize>| {
                                tile[r].iter().rev().fold(0u64, |a, b| a << 8 | u64::from(*b))
                            };
                            self.shown.insert((job.epoch, n(0..2) as u16, n(2..4) as u16), n(4..12));
                        }
                        self.decoded.push((job.epoch, job.id));
                    }
                    ViewerOutput::Idle { .. } => break,
                    _ => {}
                }
            }
        }

        fn after_fact(&mut self) {
            if self.eager {
                self.drain();
            }
        }

        /// One step: everything that was on the way arrives, jobs are done, and `facts` happen.
        fn step(&mut self, facts: &[Fact]) {
            self.now += 5_000;
            self.host.on_time(self.host_now());
            self.viewer.on_time(self.viewer_now());
            for bytes in std::mem::take(&mut self.to_host) {
                self.host.on_datagram(&Incoming { bytes, arrived: self.host_now() });
                self.after_fact();
            }
            for bytes in std::mem::take(&mut self.to_viewer) {
                self.viewer.on_datagram(&Incoming { bytes, arrived: self.viewer_now() });
                self.after_fact();
            }
            for job in std::mem::take(&mut self.jobs) {
                // Of a job with several slices one leaves at each step.
                self.rest = Some(code(&job, Version(self.frame), TILE_BYTES));
            }
            if let Some(mut done) = self.rest.take() {
                let some = match part(&mut done) {
                    Some(first) => {
                        self.rest = Some(done);
                        first
                    }
                    None => done,
                };
                self.host.on_coded(self.host_now(), some);
                self.after_fact();
            }
            for (epoch, id) in std::mem::take(&mut self.decoded) {
                self.viewer.on_decoded(self.viewer_now(), epoch, id, Some(&Region::new()));
                self.after_fact();
            }
            for fact in facts {
                match fact {
                    Fact::Frame(rect) => {
                        self.frame += 1;
                        let size = Size::new(512, 384);
                        let rect = rect.intersect(size.rect());
                        let damage = Damage::exact(Region::from(rect));
                        let touched = Grid::new(size).touching(rect);
                        self.touched.extend(touched.map(|at| ((at.col, at.row), self.frame)));
                        let (id, captured) = (FrameId(self.frame), self.host_now());
                        let facts = FrameFacts { id, surface: SurfaceId(0), size, captured, damage };
                        self.host.on_frame(captured, &facts);
                    }
                    Fact::Key(code, action) => {
                        let event = InputEvent::Key { code: KeyCode(*code), action: *action };
                        self.viewer.on_input(self.viewer_now(), event);
                    }
                }
                self.after_fact();
            }
            self.drain();
            self.host.verify();
            self.viewer.verify();
        }
    }

    #[derive(Clone, Copy)]
    enum Fact {
        Frame(Rect<telepane_model::Surf>),
        Key(u16, KeyMove),
    }

    /// EXAMPLES E7: several facts before one drain are fine.
    #[test]
    fn feeding_many_facts_and_draining_once_comes_to_the_same() {
        for seed in 0..60 {
            let mut rng = Rng::new(seed);
            let (mut eager, mut lazy) = (Pair::new(true), Pair::new(false));
            for step in 0..120 {
                let mut facts = Vec::new();
                for _ in 0..if step < 80 { rng.below(6) } else { 0 } {
                    let (a, b) = (rng.below(500) as i32, rng.below(380) as i32);
                    facts.push(match rng.below(3) {
                        0 => Fact::Key(
                            30 + rng.below(5) as u16,
                            if rng.below(2) == 0 { KeyMove::Down } else { KeyMove::Up },
                        ),
                        _ => Fact::Frame(Rect::new(a, b, 1 + rng.below(200) as u32, 1 + rng.below(90) as u32)),
                    });
                }
                eager.step(&facts);
                lazy.step(&facts);
            }
            assert!(eager.host.is_exact() && lazy.host.is_exact(), "seed {seed}");
            assert_eq!(eager.injected, lazy.injected, "seed {seed}");
            assert_eq!(eager.shown.len(), lazy.shown.len(), "seed {seed}: the same tiles were shown");
            // A tile may have been read a frame later here than there, never earlier than it was last touched.
            for ((col, row), version) in &lazy.touched {
                for pair in [&eager, &lazy] {
                    let shown = pair.shown.get(&(pair.viewer.position().0, *col, *row));
                    assert!(shown.is_some_and(|v| v >= version), "seed {seed}: tile {col},{row} shows {shown:?}");
                }
            }
            assert_eq!(eager.viewer.held().len(), lazy.viewer.held().len());
            assert_eq!(eager.viewer.dropped_input(), lazy.viewer.dropped_input());
        }
    }
}
