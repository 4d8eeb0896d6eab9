//! The host's sentences.

use crate::{SIZE, host_at, key};
use telepane_model::{
    CursorShape, CursorState, Damage, EncodeJob, EncodedSlice, EncodedSlices, Epoch, FrameFacts, FrameId, Grid,
    HostClock, InputEvent, InputSeq, KeyCode, KeyMove, Meaning, Monitor, Note, Point, Quality, Size, Span, Stamp, Surf,
    SurfaceId, TileClass, TileState, UpdateId,
};
use telepane_protocol::control::Held;
use telepane_protocol::{Control, Datagram, Feedback, InputBatch, Shard, SliceBody, SurfaceReport};
use telepane_session::{Host, HostOptions, HostOutput, Incoming};

/// A host and what it has wished for.
pub struct HostBench {
    pub host: Host,
    pub now: Stamp<HostClock>,
    pub peer_seq: u64,
    pub sent: Vec<(u16, usize, Datagram)>,
    pub jobs: Vec<EncodeJob>,
    pub rest: Vec<HostOutput>,
    pub frame: u64,
}

impl HostBench {
    /// With one frame captured and a viewer attached.
    pub fn new() -> Self {
        let mut b = Self {
            host: Host::new(host_at(0), HostOptions::default()),
            now: host_at(0),
            peer_seq: 0,
            sent: Vec::new(),
            jobs: Vec::new(),
            rest: Vec::new(),
            frame: 0,
        };
        b.frame(SIZE);
        b.attach(&[]);
        b.pass(100);
        b
    }

    pub fn attach(&mut self, held: &[Held]) {
        self.peer_seq = 0;
        self.host.on_attached(self.now, 1_400, held);
        self.drain();
    }

    pub fn frame(&mut self, size: Size<Surf>) {
        self.frame += 1;
        let damage = Damage::all(size);
        let facts = FrameFacts { id: FrameId(self.frame), surface: SurfaceId(0), size, captured: self.now, damage };
        self.host.on_frame(self.now, &facts);
    }

    /// Takes what is wished for now; says when the host wants to be woken.
    pub fn drain(&mut self) -> Option<Stamp<HostClock>> {
        loop {
            match self.host.poll_output() {
                HostOutput::Idle { until, .. } => return until,
                HostOutput::Datagram(bytes) => {
                    let (seq, d) = Datagram::decode(&bytes).expect("a host writes what it reads");
                    self.sent.push((seq, bytes.len(), d));
                }
                HostOutput::Encode(job) => self.jobs.push(job),
                other => self.rest.push(other),
            }
        }
    }

    /// Lets `ms` milliseconds pass, waking the host when it asks.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now + Span::millis(ms);
        while let Some(at) = self.drain().filter(|at| *at <= end && self.now < end) {
            // Never twice at one instant, as with a shell's timer.
            self.now = at.max(self.now + Span::millis(1)).min(end);
            self.host.on_time(self.now);
        }
        self.now = self.now.max(end);
        self.host.on_time(self.now);
        self.drain();
    }

    /// Answers the newest job with slices of these many bytes; `done`: nothing is left of what was wanted.
    pub fn code(&mut self, sizes: &[usize], done: bool) -> EncodeJob {
        let job = self.jobs.pop().expect("a job is out");
        let grid = Grid::new(job.size);
        let version = job.items.iter().map(|i| i.version).max().expect("something is wanted");
        let tiles = |wanted: bool| {
            let exact = |at| TileState { at, version, quality: Quality::EXACT, class: TileClass::Text };
            // The last slice settles everything.
            grid.all().filter(|_| wanted).map(exact).collect()
        };
        let last = job.first.0 + sizes.len() as u32 - 1;
        let mut base = job.base;
        let slices = (job.first.0..).zip(sizes).map(|(id, n)| {
            let slice = EncodedSlice { id: UpdateId(id), base, tiles: tiles(id == last), bytes: vec![7; *n] };
            base = slice.id;
            slice
        });
        let left = if done { vec![] } else { vec![job.size.rect()] };
        let coded = EncodedSlices { job: job.id, version, slices: slices.collect(), left, ..EncodedSlices::default() };
        self.host.on_coded(self.now, coded);
        job
    }

    pub fn receive(&mut self, d: &Datagram) {
        let bytes = d.encode(self.peer_seq);
        self.peer_seq += 1;
        self.host.on_datagram(&Incoming { bytes, arrived: self.now });
        self.drain();
    }

    /// Feedback for everything sent so far, with the state of the surface.
    pub fn report(&mut self, epoch: Epoch, applied: u32, gave_up: Option<u32>) {
        let newest = self.sent.last().map_or(0, |(seq, ..)| u64::from(*seq));
        let surface = SurfaceReport {
            surface: SurfaceId(0),
            epoch,
            applied: UpdateId(applied),
            gave_up: gave_up.map(UpdateId),
            ..SurfaceReport::default()
        };
        let earlier = (0..newest.min(60)).map(|_| (0, 0)).collect();
        self.receive(&Datagram::Feedback(Feedback {
            newest,
            arrived: 5,
            received: newest + 1,
            earlier,
            surfaces: vec![surface],
            ..Feedback::default()
        }));
    }

    pub fn input(&mut self, first: u32, events: &[InputEvent], held: &[KeyCode]) {
        self.receive(&Datagram::Input(InputBatch {
            sent: 0,
            floor: InputSeq(first),
            first: InputSeq(first),
            events: events.iter().map(|e| (Span::ZERO, e.clone())).collect(),
            held: held.to_vec(),
            ..InputBatch::default()
        }));
    }

    /// Every shard in the order in which it was first sent.
    pub fn shards(&self) -> Vec<&Shard> {
        let shards = self.sent.iter().filter_map(|(_, _, d)| if let Datagram::Shard(s) = d { Some(s) } else { None });
        shards.fold(vec![], |mut all, s| {
            if !all.contains(&s) {
                all.push(s);
            }
            all
        })
    }

    pub fn faults(&self) -> Vec<&'static str> {
        let fault = |o: &HostOutput| match o {
            HostOutput::Note(Note::Rejected { fault }) => Some(*fault),
            _ => None,
        };
        self.rest.iter().filter_map(fault).collect()
    }

    pub fn rebases(&self) -> usize {
        self.rest.iter().filter(|o| matches!(o, HostOutput::Note(Note::Rebased { .. }))).count()
    }
}

// spec: H-1, O-3, O-4
#[test]
fn a_frame_of_another_size_begins_the_next_epoch_at_black() {
    let mut b = HostBench::new();
    let first = b.code(&[300], true);
    assert!(first.epoch.0 >= 1);
    b.pass(50);
    b.frame(Size::new(64, 64));
    b.pass(50);
    let job = b.code(&[300], true);
    assert_eq!((job.epoch.0, job.base, job.first), (first.epoch.0 + 1, UpdateId::BLANK, UpdateId(1)));
    assert_eq!(job.size, Size::new(64, 64));
}

// spec: H-2, H-5, H-8, L-5, O-5
#[test]
fn slices_follow_what_was_sent_and_the_last_one_of_a_frame_says_so() {
    let mut b = HostBench::new();
    let first = b.code(&[1_500, 2_500], false);
    b.frame(SIZE);
    b.drain();
    let shards: usize = 2 + 3;
    // At the 2 Mbit/s that the host begins with, 10 ms are 2,500 bytes.
    let waits = 4_000 - b.shards().iter().map(|s| s.payload.len()).sum::<usize>();
    assert!(b.jobs.is_empty() || waits <= 2_500, "nothing is coded while {waits} bytes wait");
    b.pass(1_000);
    assert_eq!(b.shards().len(), shards);
    assert!(b.shards().iter().all(|s| !s.last && !s.has_journey), "more is wanted");
    let second = b.code(&[100, 100], true);
    b.pass(200);
    assert_eq!((second.base, second.first), (UpdateId(2), UpdateId(3)), "nothing was confirmed meanwhile");
    let ends: Vec<_> = b.shards()[shards..].iter().map(|s| (s.id.0, s.base.0, s.last, s.has_journey)).collect();
    assert_eq!(ends, vec![(3, 2, false, false), (4, 3, true, true)]);
    assert_eq!(first.first, UpdateId(1));
    // The path takes 1,400 bytes.
    assert!(b.sent.iter().all(|(_, bytes, _)| *bytes <= 1_150));
}

// spec: D-6
#[test]
fn datagrams_of_all_kinds_are_counted_together_from_zero() {
    let mut b = HostBench::new();
    b.host.on_cursor(b.now, CursorState { at: Point::new(1, 2), shape: 0, visible: true });
    b.code(&[2_000], true);
    b.input(1, &[InputEvent::Blur], &[]);
    b.pass(100);
    let kinds = b.sent.iter().map(|(_, _, d)| std::mem::discriminant(d)).fold(vec![], |mut all, k| {
        if !all.contains(&k) {
            all.push(k);
        }
        all
    });
    assert!(kinds.len() >= 3, "shards, cursor, feedback");
    assert!(b.sent.iter().zip(0u16..).all(|((seq, ..), n)| *seq == n));
}

// spec: H-4, H-10
#[test]
fn slices_carry_the_size_until_one_is_reported() {
    let mut b = HostBench::new();
    b.code(&[100, 100], true);
    b.pass(100);
    assert!(b.shards().iter().all(|s| s.has_size));
    let epoch = b.shards()[0].epoch;
    b.report(epoch, 2, None);
    assert!(b.rest.iter().any(|o| matches!(o, HostOutput::Confirmed { applied: UpdateId(2), .. })));
    b.frame(SIZE);
    b.pass(100);
    b.code(&[100], true);
    b.pass(100);
    assert!(!b.shards()[2].has_size);
}

// spec: H-3, H-11, H-12
#[test]
fn a_give_up_is_answered_once_with_the_newest_pixels_on_what_the_viewer_holds() {
    let mut b = HostBench::new();
    let job = b.code(&[100, 100, 100, 100], true);
    b.pass(100);
    b.report(job.epoch, 1, Some(3));
    b.pass(100);
    let rebase = b.jobs.last().expect("a rebase").clone();
    assert_eq!((rebase.base, rebase.first), (UpdateId(1), UpdateId(5)), "4 was sent and is never used again");
    b.report(job.epoch, 1, Some(3));
    b.pass(100);
    assert_eq!((b.jobs.len(), b.rebases()), (1, 1));
    b.code(&[100], true);
    b.pass(100);
    let last = b.shards().last().map(|s| (s.id, s.base));
    assert_eq!(last, Some((UpdateId(5), UpdateId(1))));
    // Nobody can give up what never was.
    b.report(job.epoch, 1, Some(40));
    assert_eq!(b.faults(), vec!["AppliedFromTheFuture"]);
    b.report(job.epoch, 1, Some(5));
    b.pass(100);
    assert_eq!(b.jobs.last().map(|j| (j.base, j.first)), Some((UpdateId(1), UpdateId(6))));
}

// spec: H-11
#[test]
fn what_was_being_coded_at_a_give_up_is_not_sent() {
    let mut b = HostBench::new();
    let job = b.code(&[100, 100], true);
    b.pass(100);
    b.frame(SIZE);
    b.pass(100);
    let stale = b.jobs.pop().expect("coding is under way");
    b.report(job.epoch, 1, Some(2));
    let bytes = vec![1; 50];
    let slice = EncodedSlice { id: stale.first, base: stale.base, tiles: vec![], bytes };
    b.host.on_coded(b.now, EncodedSlices { job: stale.id, slices: vec![slice], ..EncodedSlices::default() });
    b.pass(100);
    assert_eq!(b.shards().len(), 2);
    assert_eq!(b.jobs.last().map(|j| j.base), Some(UpdateId(1)));
}

// spec: H-13, H-27, F-2
#[test]
fn reports_of_what_never_was_are_faults_and_old_ones_are_nothing() {
    let mut b = HostBench::new();
    let job = b.code(&[100], true);
    b.pass(100);
    b.report(job.epoch, 900, None);
    b.report(Epoch(job.epoch.0 + 5), 0, None);
    assert_eq!(b.faults(), vec!["AppliedFromTheFuture", "AppliedFromTheFuture"]);
    b.pass(50);
    assert_eq!(b.jobs.last().map(|j| j.epoch.0), Some(job.epoch.0 + 6), "the viewer is led out of it");
    b.receive(&Datagram::Feedback(Feedback { newest: 100_000, ..Feedback::default() }));
    assert_eq!(b.faults().len(), 3);
    assert_eq!(b.faults()[2], "FeedbackFromTheFuture");
    b.frame(Size::new(64, 64));
    b.pass(50);
    b.report(job.epoch, 0, Some(1));
    assert_eq!((b.faults().len(), b.rebases()), (3, 0));
}

// spec: H-14, K-11
#[test]
fn what_cannot_be_coded_against_or_shown_is_begun_anew() {
    let mut b = HostBench::new();
    let epoch = b.jobs[0].epoch;
    let job = b.jobs.pop().expect("a job");
    b.host.on_base_gone(b.now, job.id);
    b.pass(50);
    let next = b.code(&[100], true);
    assert_eq!((next.epoch.0, next.base), (epoch.0 + 1, UpdateId::BLANK));
    b.pass(50);
    b.host.on_control(b.now, Control::Refresh { surface: SurfaceId(0), epoch });
    b.pass(50);
    assert!(b.jobs.is_empty(), "that epoch is over");
    b.host.on_control(b.now, Control::Refresh { surface: SurfaceId(0), epoch: next.epoch });
    b.pass(50);
    assert_eq!(b.jobs.last().map(|j| j.epoch.0), Some(epoch.0 + 2));
    b.host.on_control(b.now, Control::Refresh { surface: SurfaceId(7), epoch });
    b.drain();
    assert_eq!(b.faults(), vec!["UnknownSurface"]);
}

// spec: H-15, A-39
#[test]
fn a_resumed_viewer_gets_only_what_it_lacks() {
    let held = |epoch, applied, through| {
        [Held { surface: SurfaceId(0), epoch, applied: UpdateId(applied), through: UpdateId(through) }]
    };
    let mut b = HostBench::new();
    let job = b.code(&[100, 100, 100], true);
    b.pass(100);
    b.report(job.epoch, 1, None);
    b.host.on_link_lost(b.now);
    b.sent.clear();
    b.attach(&held(job.epoch, 2, 3));
    b.pass(100);
    let next = b.code(&[100], true);
    assert_eq!((next.epoch, next.base, next.first), (job.epoch, UpdateId(2), UpdateId(4)));
    b.pass(100);
    assert_eq!(b.sent.first().map(|(seq, ..)| *seq), Some(0), "a new connection counts from 0");
    // Neither a state that the host has forgotten nor one that never was nor another epoch can be coded against.
    for (epoch, applied) in [(job.epoch, 0), (job.epoch, 99), (Epoch(job.epoch.0 + 9), 2)] {
        let mut b = HostBench::new();
        b.code(&[100, 100], true);
        b.pass(100);
        b.report(job.epoch, 1, None);
        b.host.on_link_lost(b.now);
        b.jobs.clear();
        b.attach(&held(epoch, applied, applied));
        b.pass(100);
        assert_eq!(b.jobs.last().map(|j| (j.epoch.0, j.base)), Some((epoch.max(job.epoch).0 + 1, UpdateId::BLANK)));
    }
}

// spec: H-16, K-12
#[test]
fn the_pointer_is_told_again_on_a_new_connection() {
    let mut b = HostBench::new();
    let told = |b: &HostBench| {
        let shape = |o: &&HostOutput| matches!(o, HostOutput::Control(Control::CursorShape(_)));
        let place = |s: &&(u16, usize, Datagram)| matches!(s.2, Datagram::Cursor(_));
        (b.rest.iter().filter(shape).count(), b.sent.iter().filter(place).count())
    };
    b.host.on_cursor_shape(b.now, CursorShape { id: 3, ..CursorShape::default() });
    b.host.on_cursor(b.now, CursorState { at: Point::new(1, 2), shape: 3, visible: true });
    b.drain();
    assert_eq!(told(&b), (1, 1));
    b.host.on_cursor(b.now, CursorState { at: Point::new(2, 2), shape: 3, visible: true });
    b.drain();
    assert_eq!(told(&b), (1, 2), "the image is known");
    b.host.on_link_lost(b.now);
    b.attach(&[]);
    assert_eq!(told(&b), (2, 3));
}

// spec: H-20
#[test]
fn a_key_neither_goes_down_twice_nor_comes_up_or_repeats_unpressed() {
    let mut b = HostBench::new();
    let events = [
        key(30, KeyMove::Up),
        key(30, KeyMove::Repeat),
        key(30, KeyMove::Down),
        key(30, KeyMove::Down),
        key(30, KeyMove::Repeat),
        key(30, KeyMove::Up),
        key(30, KeyMove::Up),
    ];
    b.input(1, &events, &[]);
    let action = |o: &HostOutput| match o {
        HostOutput::Inject { event: InputEvent::Key { action, .. }, .. } => Some(*action),
        _ => None,
    };
    let delivered: Vec<_> = b.rest.iter().filter_map(action).collect();
    assert_eq!(delivered, vec![KeyMove::Down, KeyMove::Repeat, KeyMove::Up]);
}

/// What the journey of the next frame, which is captured now, says it answers.
pub fn answered(b: &mut HostBench) -> Option<InputSeq> {
    b.frame(SIZE);
    b.pass(20);
    let before = b.shards().len();
    b.code(&[100], true);
    b.pass(20);
    let shard = b.shards()[before].clone();
    assert!(shard.has_journey);
    let body = SliceBody::decode(&shard.payload, shard.has_size, true, b.now).expect("a host writes what it reads");
    body.journey.and_then(|j| j.input).map(|(seq, _)| seq)
}

// spec: D-15
#[test]
fn a_picture_answers_the_last_press_before_it_and_neither_letting_go_nor_what_is_long_past() {
    let mut b = HostBench::new();
    b.code(&[100], true);
    b.pass(20);
    b.report(Epoch(1), 1, None);
    b.input(1, &[key(30, KeyMove::Down)], &[KeyCode(30)]);
    b.pass(5);
    assert_eq!(answered(&mut b), Some(InputSeq(1)));
    b.input(2, &[key(30, KeyMove::Up), InputEvent::PointerTo(Point::new(3, 4))], &[]);
    assert_eq!(answered(&mut b), Some(InputSeq(1)), "a picture after a release still answers the press");
    b.pass(1_000);
    assert_eq!(answered(&mut b), None, "what changes a second later does so by itself");
    // Pressed after the pixels were read: they cannot show it.
    b.frame(SIZE);
    b.pass(20);
    let before = b.shards().len();
    b.input(4, &[key(31, KeyMove::Down)], &[KeyCode(31)]);
    b.code(&[100], true);
    b.pass(50);
    let shard = b.shards()[before].clone();
    let body = SliceBody::decode(&shard.payload, shard.has_size, true, b.now).expect("a host writes what it reads");
    assert_eq!(body.journey.and_then(|j| j.input), None);
}

// spec: H-23, H-24, H-26
#[test]
fn input_is_answered_and_what_is_held_is_let_go() {
    let mut b = HostBench::new();
    b.input(1, &[key(30, KeyMove::Down)], &[KeyCode(30)]);
    b.pass(15);
    let done = b.sent.iter().find_map(|(_, _, d)| if let Datagram::Feedback(f) = d { f.input } else { None });
    assert_eq!(done.map(|d| d.done), Some(InputSeq(1)), "within 15 ms");
    b.host.on_link_lost(b.now);
    b.drain();
    assert!(b.rest.iter().any(|o| matches!(o, HostOutput::ReleaseAll)));
    b.attach(&[]);
    b.input(2, &[key(31, KeyMove::Down), InputEvent::Blur], &[]);
    b.rest.clear();
    b.pass(1_000);
    assert!(!b.rest.iter().any(|o| matches!(o, HostOutput::Note(Note::LeaseExpired))), "nothing was held any more");
    b.input(20_000_000, &[key(32, KeyMove::Down)], &[]);
    assert_eq!(b.faults(), vec!["InputOutOfOrder"]);
}

// spec: H-20, H-21
#[test]
fn a_key_with_a_meaning_is_a_lease_like_any_other() {
    let mut b = HostBench::new();
    let press = InputEvent::Press { code: KeyCode(30), means: Meaning(0x71) };
    b.input(1, &[press.clone(), press.clone(), key(30, KeyMove::Repeat)], &[KeyCode(30)]);
    b.pass(400);
    let injected: Vec<InputEvent> = b
        .rest
        .drain(..)
        .filter_map(|o| if let HostOutput::Inject { event, .. } = o { Some(event) } else { None })
        .collect();
    assert_eq!(injected, [press, key(30, KeyMove::Repeat), key(30, KeyMove::Up)]);
}

// spec: H-26
#[test]
fn letting_go_is_answered_with_the_next_key_or_within_220_ms() {
    let mut b = HostBench::new();
    let answers = |b: &mut HostBench| {
        let of = |(_, _, d): (u16, usize, Datagram)| if let Datagram::Feedback(f) = d { f.input } else { None };
        b.sent.drain(..).filter_map(of).map(|r| r.done.0).collect::<Vec<_>>()
    };
    b.input(1, &[key(30, KeyMove::Down)], &[KeyCode(30)]);
    b.pass(15);
    assert_eq!(answers(&mut b), [1]);
    b.input(2, &[key(30, KeyMove::Up)], &[]);
    b.pass(4);
    b.input(2, &[key(30, KeyMove::Up)], &[]);
    b.pass(215);
    assert_eq!(answers(&mut b), [] as [u32; 0], "a copy makes it no more urgent");
    b.pass(1);
    assert_eq!(answers(&mut b), [2]);
    // Said again, its answer was lost; and together with a press it is as urgent as that.
    b.input(2, &[key(30, KeyMove::Up)], &[]);
    b.pass(15);
    assert_eq!(answers(&mut b), [2]);
    b.input(3, &[key(31, KeyMove::Down), key(31, KeyMove::Up)], &[]);
    b.pass(15);
    assert_eq!(answers(&mut b), [4]);
    // The press may be there only because it was not acknowledged when the release left.
    b.input(5, &[key(30, KeyMove::Down)], &[KeyCode(30)]);
    b.pass(15);
    b.sent.clear();
    b.input(5, &[key(30, KeyMove::Down), key(30, KeyMove::Up)], &[]);
    b.pass(219);
    assert_eq!(answers(&mut b), [] as [u32; 0]);
    b.pass(1);
    assert_eq!(answers(&mut b), [6]);
    // What leaves meanwhile takes the answer along.
    b.input(7, &[key(30, KeyMove::Down)], &[KeyCode(30)]);
    b.pass(15);
    b.input(8, &[key(30, KeyMove::Up)], &[]);
    b.sent.clear();
    b.pass(40);
    b.input(9, &[key(31, KeyMove::Down)], &[KeyCode(31)]);
    b.pass(15);
    assert_eq!(answers(&mut b), [9]);
}

// spec: H-29
#[test]
fn an_agent_that_was_started_again_counts_nothing_as_lost_and_delivers_nothing_twice() {
    let mut b = HostBench::new();
    let down = (Span::millis(700), key(30, KeyMove::Down));
    let batch = InputBatch {
        floor: InputSeq(5),
        first: InputSeq(5),
        events: vec![down, (Span::ZERO, key(31, KeyMove::Down))],
        held: vec![KeyCode(31)],
        ..InputBatch::default()
    };
    b.receive(&Datagram::Input(batch));
    let injected = |o: &HostOutput| if let HostOutput::Inject { seq, .. } = o { Some(seq.0) } else { None };
    assert_eq!(b.rest.iter().filter_map(injected).collect::<Vec<_>>(), vec![6]);
    b.pass(15);
    let report = b.sent.iter().rev().find_map(|(_, _, d)| if let Datagram::Feedback(f) = d { f.input } else { None });
    assert_eq!(report.map(|r| (r.done, r.dropped)), Some((InputSeq(6), 1)));
}

// spec: H-30, H-31
#[test]
fn what_is_not_confirmed_is_asked_for_and_feedback_is_answered() {
    let mut b = HostBench::new();
    let job = b.code(&[100], true);
    b.pass(30);
    let newest = b.sent.last().map_or(0, |(seq, ..)| u64::from(*seq));
    b.receive(&Datagram::Feedback(Feedback { newest, ..Feedback::default() }));
    let feedback = |b: &HostBench| b.sent.iter().filter(|s| matches!(s.2, Datagram::Feedback(_))).count();
    b.pass(20);
    assert_eq!(feedback(&b), 1);
    b.pass(5_000);
    let asked = b.sent.iter().filter(|s| matches!(s.2, Datagram::Padding(1))).count();
    assert!(asked >= 3, "{asked}");
    let before = feedback(&b);
    b.report(job.epoch, 0, Some(1));
    b.pass(2);
    assert_eq!(feedback(&b), before + 1);
}

// spec: H-28, D-27
#[test]
fn nothing_is_sent_only_to_measure_while_nobody_works() {
    let mut b = HostBench::new();
    b.code(&[500], true);
    let epoch = b.now;
    while b.now < epoch + Span::secs(5) {
        b.pass(200);
        b.host.on_time(b.now);
    }
    // One byte asks for feedback.
    assert!(!b.sent.iter().any(|(_, _, d)| matches!(d, Datagram::Padding(n) if *n > 1)));
    b.receive(&Datagram::Padding(700));
    assert!(b.faults().is_empty());
}

// spec: K-3, K-10, F-2
#[test]
fn a_host_takes_only_what_a_viewer_may_say() {
    let mut b = HostBench::new();
    b.receive(&Datagram::Cursor(CursorState::default()));
    b.host.on_control(b.now, Control::CursorShape(CursorShape::default()));
    b.drain();
    assert_eq!(b.faults(), vec!["WrongDirection", "WrongDirection"]);
    let sent = b.sent.len();
    // A batch whose last event is malformed delivers none.
    let mut bytes = Datagram::Input(InputBatch {
        first: InputSeq(1),
        floor: InputSeq(1),
        events: vec![(Span::ZERO, key(30, KeyMove::Down)), (Span::ZERO, InputEvent::Blur)],
        ..InputBatch::default()
    })
    .encode(50);
    let at = bytes.len() - 3;
    bytes[at] = 99;
    b.host.on_datagram(&Incoming { bytes, arrived: b.now });
    b.drain();
    assert_eq!(b.faults()[2], "BadInput");
    assert!(!b.rest.iter().any(|o| matches!(o, HostOutput::Inject { .. })) && b.sent.len() == sent);
    b.host.on_control(b.now, Control::Resize { size: SIZE, scale: 100 });
    b.drain();
    assert!(matches!(b.rest.last(), Some(HostOutput::Resize { size: SIZE, scale: 100 })));
}

// spec: K-12
#[test]
fn a_cursor_too_large_for_a_frame_is_scaled_down() {
    let mut b = HostBench::new();
    let bgra = (0..256 * 256 * 4u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    b.host.on_cursor_shape(b.now, CursorShape { id: 9, w: 256, h: 256, hot_x: 100, hot_y: 40, bgra });
    b.host.on_cursor(b.now, CursorState { at: Point::new(3, 3), shape: 9, visible: true });
    b.drain();
    let told = b.rest.iter().find_map(|o| match o {
        HostOutput::Control(Control::CursorShape(s)) => Some(s.clone()),
        _ => None,
    });
    let told = told.expect("the image is told");
    assert!(Control::CursorShape(told.clone()).encode().len() <= telepane_protocol::MAX_CONTROL);
    assert_eq!((told.w, told.h, told.hot_x, told.hot_y), (64, 64, 25, 10));
}

// spec: H-32
#[test]
fn what_answers_a_key_goes_twice_where_packets_are_lost_whatever_follows() {
    let mut b = HostBench::new();
    b.code(&[100], true);
    // Every tenth datagram of the viewer's is lost, and so, it is assumed, are ours.
    for _ in 0..100 {
        b.peer_seq += u64::from(b.peer_seq % 10 == 9);
        b.receive(&Datagram::Padding(1));
    }
    b.pass(1_000);
    let epoch = b.shards()[0].epoch;
    b.report(epoch, 1, None);
    b.pass(20);
    let times = |b: &HostBench, id: u32| {
        let is = |d: &Datagram| matches!(d, Datagram::Shard(s) if s.id == UpdateId(id));
        b.sent.iter().filter(|(_, _, d)| is(d)).count()
    };
    // Two slices, of which the second shows that the first is missing, if it is.
    let two = |b: &mut HostBench| {
        b.frame(SIZE);
        (0..100).for_each(|_| {
            if b.jobs.is_empty() {
                b.pass(1)
            }
        });
        let first = b.code(&[60, 60], true).first.0;
        b.pass(100);
        [times(b, first), times(b, first + 1)]
    };
    assert_eq!(two(&mut b), [1, 2], "only what is last goes again");
    b.input(1, &[key(30, KeyMove::Down)], &[]);
    assert_eq!(two(&mut b), [2, 2], "and what answers a key");
}

// spec: K-72, K-73
#[test]
fn monitors_are_told_and_wished_for() {
    let mut b = HostBench::new();
    let told = |b: &HostBench| {
        let one = |o: &HostOutput| match o {
            HostOutput::Control(Control::MonitorsTold(m)) => Some(m.len()),
            _ => None,
        };
        b.rest.iter().filter_map(one).collect::<Vec<_>>()
    };
    let one = Monitor { place: SIZE.rect(), ..Monitor::default() };
    b.host.on_monitors(b.now, &[]);
    b.host.on_monitors(b.now, std::slice::from_ref(&one));
    b.host.on_monitors(b.now, std::slice::from_ref(&one));
    b.drain();
    assert_eq!(told(&b), [1], "once for each change");
    b.attach(&[]);
    assert_eq!(told(&b), [1, 1], "and once for each connection");
    b.host.on_control(b.now, Control::MonitorsWish(vec![one]));
    b.drain();
    assert!(matches!(b.rest.last(), Some(HostOutput::Monitors(m)) if m.len() == 1));
    b.host.on_control(b.now, Control::MonitorsTold(Vec::new()));
    b.drain();
    assert_eq!(b.faults(), ["WrongDirection"]);
}
