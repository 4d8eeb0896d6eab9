//! The viewer's sentences.

use crate::{SIZE, host_at, key, viewer_at};
use telepane_model::{
    CursorState, Epoch, InputEvent, InputSeq, Journey, KeyCode, KeyMove, Meaning, Monitor, Note, Point, Rect, Size,
    Span, Stamp, SurfaceId, UpdateId, ViewerClock,
};
use telepane_protocol::{
    Capabilities, Capability, Control, Datagram, Feedback, InputBatch, Shard, SliceBody, SurfaceReport, fec,
};
use telepane_rate::Policy;
use telepane_session::{DecodeJob, Incoming, Viewer, ViewerOutput};

/// A viewer and what it has wished for.
pub struct ViewerBench {
    pub viewer: Viewer,
    pub now: Stamp<ViewerClock>,
    peer_seq: u64,
    pub sent: Vec<(Stamp<ViewerClock>, u16, Datagram)>,
    decode: Vec<DecodeJob>,
    pub rest: Vec<(Stamp<ViewerClock>, ViewerOutput)>,
}

impl ViewerBench {
    pub fn new() -> Self {
        let mut b = Self {
            viewer: Viewer::new(viewer_at(0), Policy::default()),
            now: viewer_at(0),
            peer_seq: 0,
            sent: Vec::new(),
            decode: Vec::new(),
            rest: Vec::new(),
        };
        b.attach();
        b
    }

    pub fn attach(&mut self) {
        self.peer_seq = 0;
        self.viewer.on_attached(self.now, host_at(0));
        self.drain();
    }

    pub fn drain(&mut self) -> Option<Stamp<ViewerClock>> {
        loop {
            match self.viewer.poll_output() {
                ViewerOutput::Idle { until, .. } => return until,
                ViewerOutput::Datagram(bytes) => {
                    let (seq, d) = Datagram::decode(&bytes).expect("a viewer writes what it reads");
                    self.sent.push((self.now, seq, d));
                }
                ViewerOutput::Decode(job) => self.decode.push(job),
                other => self.rest.push((self.now, other)),
            }
        }
    }

    pub fn pass(&mut self, ms: u64) {
        let end = self.now + Span::millis(ms);
        while let Some(at) = self.drain().filter(|at| *at <= end && self.now < end) {
            // Never twice at one instant, as with a shell's timer.
            self.now = at.max(self.now + Span::millis(1)).min(end);
            self.viewer.on_time(self.now);
        }
        self.now = self.now.max(end);
        self.viewer.on_time(self.now);
        self.drain();
    }

    pub fn shard(&mut self, shard: Shard) {
        self.receive(&Datagram::Shard(shard));
    }

    fn receive(&mut self, d: &Datagram) {
        let bytes = d.encode(self.peer_seq);
        self.peer_seq += 1;
        self.viewer.on_datagram(&Incoming { bytes, arrived: self.now });
        self.drain();
    }

    pub fn decoded(&mut self, fine: bool) -> UpdateId {
        let job = self.decode.pop().expect("a slice's turn has come");
        self.viewer.on_decoded(self.now, job.epoch, job.id, fine.then(|| job.size.rect().into()).as_ref());
        self.drain();
        job.id
    }

    fn feedback(&self) -> Vec<&Feedback> {
        self.sent.iter().filter_map(|(_, _, d)| if let Datagram::Feedback(f) = d { Some(f) } else { None }).collect()
    }

    fn last_report(&self) -> SurfaceReport {
        *self.feedback().last().and_then(|f| f.surfaces.first()).expect("feedback with a surface")
    }

    fn faults(&self) -> Vec<&'static str> {
        let fault = |(_, o): &(_, ViewerOutput)| match o {
            ViewerOutput::Note(Note::Rejected { fault }) => Some(*fault),
            _ => None,
        };
        self.rest.iter().filter_map(fault).collect()
    }

    fn times(&self, what: fn(&ViewerOutput) -> bool, since: Stamp<ViewerClock>) -> Vec<u64> {
        self.rest.iter().filter(|(_, o)| what(o)).map(|(at, _)| at.since(since).as_micros() / 1_000).collect()
    }
}

pub fn slice(id: u32, base: u32, last: bool) -> Shard {
    let body = SliceBody { size: Some(SIZE), journey: None, ops: vec![id as u8; 10] };
    Shard {
        epoch: Epoch(1),
        id: UpdateId(id),
        base: UpdateId(base),
        has_size: true,
        last,
        data: 1,
        payload: body.encode(),
        ..Shard::default()
    }
}

// spec: D-36, Y-44
#[test]
fn what_is_shown_is_told_once_it_is_on_the_screen_and_only_to_a_host_that_takes_it() {
    let mut b = ViewerBench::new();
    b.shard(slice(1, 0, true));
    b.decoded(true);
    b.pass(50);
    assert_eq!((b.last_report().applied, b.last_report().shown), (UpdateId(1), None), "an older host");
    b.viewer.on_capabilities(&Capabilities::default().with(Capability::Reports, 1));
    b.attach();
    b.shard(slice(2, 1, true));
    b.decoded(true);
    b.pass(50);
    assert_eq!(
        (b.last_report().applied, b.last_report().shown),
        (UpdateId(2), Some(UpdateId(0))),
        "a wish is no picture"
    );
    let story = Journey::default();
    b.viewer.on_shown(b.now, Epoch(1), UpdateId(2), story);
    let sent = b.sent.len();
    b.pass(500);
    assert!(b.sent[sent..].iter().all(|(_, _, d)| !matches!(d, Datagram::Feedback(_))), "it asks for no message");
    b.shard(slice(3, 2, true));
    b.decoded(true);
    b.pass(50);
    assert_eq!((b.last_report().applied, b.last_report().shown), (UpdateId(3), Some(UpdateId(2))));
    b.viewer.on_shown(b.now, Epoch(1), UpdateId(1), story);
    b.viewer.on_hidden(b.now, true);
    b.shard(slice(4, 3, true));
    b.decoded(true);
    b.pass(50);
    assert_eq!(b.last_report().shown, Some(UpdateId(4)), "nobody can see any of it");
    b.viewer.on_hidden(b.now, false);
    b.shard(slice(5, 4, true));
    b.decoded(true);
    b.pass(50);
    assert_eq!(b.last_report().shown, Some(UpdateId(4)));
    b.shard(Shard { epoch: Epoch(2), ..slice(1, 0, true) });
    b.decoded(true);
    b.viewer.on_shown(b.now, Epoch(1), UpdateId(5), story);
    b.pass(50);
    assert_eq!((b.last_report().epoch, b.last_report().shown), (Epoch(2), Some(UpdateId(0))));
}

// spec: Y-10, D-17
#[test]
fn a_whole_frame_is_shown_at_once_and_parts_after_a_while() {
    let mut b = ViewerBench::new();
    let presents = |b: &ViewerBench| b.times(|o| matches!(o, ViewerOutput::Present { .. }), viewer_at(0)).len();
    b.shard(slice(1, 0, true));
    b.decoded(true);
    assert_eq!(presents(&b), 1);
    b.shard(slice(2, 1, false));
    b.decoded(true);
    assert_eq!(presents(&b), 1, "more of the frame follows");
    b.pass(50);
    b.shard(slice(3, 2, false));
    b.decoded(true);
    b.pass(45);
    assert_eq!(presents(&b), 1);
    b.pass(10);
    assert_eq!(presents(&b), 2, "100 ms after the first part");
}

// spec: Y-31
#[test]
fn the_last_picture_of_an_epoch_stays_until_the_next_has_a_whole_one() {
    let mut b = ViewerBench::new();
    let presents = |b: &ViewerBench| b.times(|o| matches!(o, ViewerOutput::Present { .. }), viewer_at(0)).len();
    b.shard(slice(1, 0, true));
    b.decoded(true);
    assert_eq!(presents(&b), 1);
    b.shard(Shard { epoch: Epoch(2), ..slice(1, 0, false) });
    b.decoded(true);
    b.pass(495);
    assert_eq!(presents(&b), 1, "a new size with holes is not shown");
    b.pass(10);
    assert_eq!(presents(&b), 2, "but not for ever");
    b.shard(Shard { epoch: Epoch(2), ..slice(2, 1, true) });
    b.decoded(true);
    assert_eq!(presents(&b), 3);
    b.shard(Shard { epoch: Epoch(2), ..slice(3, 2, false) });
    b.decoded(true);
    b.pass(105);
    assert_eq!(presents(&b), 4, "100 ms as ever");
}

// spec: Y-43, K-92
#[test]
fn that_nobody_looks_is_told_after_a_second_and_that_somebody_does_at_once() {
    let mut b = ViewerBench::new();
    let told = |b: &ViewerBench| -> Vec<(u64, bool)> {
        let one = |(at, o): &(Stamp<ViewerClock>, ViewerOutput)| match o {
            ViewerOutput::Control(Control::SuppressOutput(on)) => {
                Some((at.since(viewer_at(0)).as_micros() / 1_000, *on))
            }
            _ => None,
        };
        b.rest.iter().filter_map(one).collect()
    };
    b.viewer.on_hidden(b.now, true);
    b.pass(900);
    b.viewer.on_hidden(b.now, false);
    b.pass(600);
    assert_eq!(told(&b), [], "a moment is nothing");
    b.viewer.on_hidden(b.now, true);
    b.pass(400);
    b.viewer.on_hidden(b.now, true);
    b.pass(1_100);
    assert_eq!(told(&b), [(2_500, true)]);
    b.viewer.on_hidden(b.now, false);
    b.pass(10);
    assert_eq!(told(&b)[1..], [(3_000, false)]);
    b.viewer.on_hidden(b.now, true);
    b.viewer.on_link_lost(b.now);
    b.pass(1_500);
    assert_eq!(told(&b).len(), 2, "nobody is there to hear it");
    b.viewer.on_attached(b.now, host_at(1_000));
    b.pass(10);
    let last = told(&b);
    assert!(last.len() == 3 && last[2].1, "another connection begins without: {last:?}");
}

// spec: Y-29, K-72
#[test]
fn a_size_is_told_when_it_is_steady_and_now_and_then_before() {
    let mut b = ViewerBench::new();
    let size = |n: u32| Size::new(800 + n, 600);
    let told = |b: &ViewerBench| -> Vec<(u64, u32)> {
        let one = |(at, o): &(Stamp<ViewerClock>, ViewerOutput)| match o {
            ViewerOutput::Control(Control::Resize { size, scale: 125 }) => {
                Some((at.since(viewer_at(0)).as_micros() / 1_000, size.w - 800))
            }
            _ => None,
        };
        b.rest.iter().filter_map(one).collect()
    };
    b.viewer.on_resize(b.now, size(0), 125);
    b.pass(100);
    assert_eq!(told(&b), [(80, 0)]);
    b.viewer.on_resize(b.now, size(0), 125);
    b.pass(200);
    assert_eq!(told(&b).len(), 1, "nothing new");
    for n in 1..=50 {
        b.viewer.on_resize(b.now, size(n), 125);
        b.pass(10);
    }
    b.pass(100);
    assert_eq!(told(&b)[1..], [(500, 20), (700, 40), (870, 50)]);
    // A wish without a connection is told on the next one, and so is the last one if it is wished again.
    b.viewer.on_link_lost(b.now);
    let two = vec![
        Monitor { place: Rect::new(0, 0, 800, 600), ..Monitor::default() },
        Monitor { place: Rect::new(800, 0, 640, 480), ..Monitor::default() },
    ];
    b.viewer.on_monitors(b.now, two.clone());
    b.viewer.on_monitors(b.now, Vec::new());
    b.pass(300);
    b.attach();
    b.pass(100);
    let wishes =
        b.rest.iter().filter(|(_, o)| matches!(o, ViewerOutput::Control(Control::MonitorsWish(m)) if *m == two));
    assert_eq!(wishes.count(), 1);
}

// spec: Y-45, K-72
#[test]
fn one_monitors_rate_is_told_to_a_host_that_knows_of_monitors() {
    let mut b = ViewerBench::new();
    let one = |refresh| {
        let place = Rect::new(0, 0, 800, 600);
        vec![Monitor { place, scale: 125, refresh, primary: true, ..Monitor::default() }]
    };
    let told = |b: &ViewerBench| -> Vec<Control> {
        let shape = |o: &ViewerOutput| match o {
            ViewerOutput::Control(m @ (Control::Resize { .. } | Control::MonitorsWish(_))) => Some(m.clone()),
            _ => None,
        };
        b.rest.iter().filter_map(|(_, o)| shape(o)).collect()
    };
    let size = Control::Resize { size: Size::new(800, 600), scale: 125 };
    b.viewer.on_monitors(b.now, one(144_000));
    b.pass(100);
    assert_eq!(told(&b), std::slice::from_ref(&size), "a host that may know of nothing else");
    let host = vec![Monitor { place: Rect::new(0, 0, 1024, 768), ..Monitor::default() }];
    b.viewer.on_control(b.now, Control::MonitorsTold(host.clone()));
    b.pass(100);
    assert_eq!(told(&b)[1..], [Control::MonitorsWish(one(144_000))]);
    b.viewer.on_control(b.now, Control::MonitorsTold(host.clone()));
    b.pass(100);
    assert_eq!(told(&b).len(), 2, "what the host has is no reason to argue");
    b.viewer.on_monitors(b.now, one(30_000));
    b.pass(100);
    assert_eq!(told(&b)[2..], [Control::MonitorsWish(one(30_000))], "dragged to another");
    // On another connection the host tells first, or does not.
    b.viewer.on_link_lost(b.now);
    b.attach();
    b.viewer.on_monitors(b.now, one(30_000));
    b.viewer.on_control(b.now, Control::MonitorsTold(host.clone()));
    b.pass(100);
    assert_eq!(told(&b)[3..], [Control::MonitorsWish(one(30_000))], "nothing but this");
    b.viewer.on_resize(b.now, Size::new(800, 600), 125);
    b.pass(100);
    b.viewer.on_control(b.now, Control::MonitorsTold(host));
    b.pass(100);
    assert_eq!(told(&b)[4..], [size], "nothing is known of its rate any more");
}

// spec: Y-11, Y-12, Y-13
#[test]
fn feedback_says_what_is_applied_once_it_is() {
    let mut b = ViewerBench::new();
    b.shard(slice(1, 0, true));
    b.decoded(true);
    b.pass(21);
    assert!(b.feedback().is_empty(), "what comes alone waits for company");
    b.pass(1);
    assert_eq!((b.last_report().epoch, b.last_report().applied), (Epoch(1), UpdateId(1)));
    let told = b.feedback().len();
    b.shard(slice(2, 1, false));
    b.decoded(true);
    assert_eq!(b.feedback().len(), told);
    b.pass(5);
    assert_eq!(b.last_report().applied, UpdateId(2));
    b.shard(slice(3, 2, true));
    assert_eq!(b.last_report().applied, UpdateId(2));
    b.decoded(true);
    assert_eq!(b.last_report().applied, UpdateId(3), "at once, with one just before it");
    assert!(b.feedback().iter().all(|f| f.surfaces.len() == 1));
    // While a key is held its release is to come, and takes the report along.
    b.pass(60);
    b.viewer.on_input(b.now, key(30, KeyMove::Down));
    b.drain();
    b.shard(slice(4, 3, true));
    b.decoded(true);
    b.pass(39);
    assert_eq!(b.last_report().applied, UpdateId(3));
    b.viewer.on_input(b.now, key(30, KeyMove::Up));
    b.drain();
    assert_eq!(b.last_report().applied, UpdateId(4));
}

// spec: Y-9, Y-23, F-4
#[test]
fn what_does_not_decode_is_asked_for_anew_once() {
    let mut b = ViewerBench::new();
    b.shard(slice(1, 0, true));
    b.decoded(true);
    assert_eq!(b.viewer.held().len(), 1);
    b.shard(slice(2, 1, true));
    b.decoded(false);
    b.shard(slice(3, 2, true));
    b.shard(slice(4, 1, true));
    assert!(b.decode.is_empty(), "nothing more of this epoch");
    assert_eq!(b.faults(), vec!["BadPixels"]);
    let asked = b.times(|o| matches!(o, ViewerOutput::Control(Control::Refresh { .. })), viewer_at(0));
    assert_eq!(asked.len(), 1);
    assert!(b.viewer.held().is_empty(), "an unusable surface is not held");
    b.shard(Shard { epoch: Epoch(2), ..slice(1, 0, true) });
    assert_eq!((b.decoded(true), b.viewer.position()), (UpdateId(1), (Epoch(2), UpdateId(1))));
}

// spec: Y-8, F-4
#[test]
fn the_first_slice_of_an_epoch_says_the_size() {
    let mut b = ViewerBench::new();
    b.shard(Shard { has_size: false, payload: vec![1], ..slice(1, 0, true) });
    assert_eq!(b.faults(), vec!["BadSize"]);
    assert!(b.rest.iter().any(|(_, o)| matches!(o, ViewerOutput::Control(Control::Refresh { .. }))));
    let mut b = ViewerBench::new();
    b.shard(slice(1, 0, true));
    b.decoded(true);
    let other = SliceBody { size: Some(Size::new(9, 9)), ..SliceBody::default() }.encode();
    b.shard(Shard { payload: other, ..slice(2, 1, true) });
    assert_eq!(b.faults(), vec!["BadSize"]);
}

// spec: D-13, D-16, F-4
#[test]
fn a_body_is_its_data_shards_and_as_long_as_they_say() {
    let whole = slice(1, 0, true).payload;
    let own: Vec<Vec<u8>> = whole.chunks(fec::piece_len(whole.len(), 2)).map(<[u8]>::to_vec).collect();
    let spare = fec::parity(&own, 1);
    let piece = |index: u8, total: u32| {
        let payload = own.iter().chain(&spare).nth(usize::from(index)).cloned().unwrap_or_default();
        Shard { index, data: 2, parity: 1, total, payload, ..slice(1, 0, true) }
    };
    let total = whole.len() as u32;
    for pair in [[0, 1], [2, 0], [1, 2]] {
        let mut b = ViewerBench::new();
        b.shard(piece(pair[0], total));
        assert!(b.decode.is_empty(), "one is not enough");
        b.shard(piece(pair[1], total));
        assert_eq!(b.decode.last().map(|j| j.ops.clone()), Some(vec![1; 10]), "{pair:?}");
    }
    let mut b = ViewerBench::new();
    b.shard(piece(0, total + 1));
    b.shard(piece(1, total + 1));
    assert!(b.decode.is_empty());
    assert_eq!(b.faults(), vec!["BadShard"]);
}

// spec: Y-6, Y-7
#[test]
fn a_give_up_is_said_until_the_rebase_is_here() {
    let mut b = ViewerBench::new();
    b.shard(slice(1, 0, true));
    b.decoded(true);
    b.shard(slice(3, 2, true));
    b.pass(100);
    assert_eq!(b.last_report().gave_up, None);
    b.pass(600);
    let report = b.last_report();
    assert_eq!((report.applied, report.gave_up), (UpdateId(1), Some(UpdateId(3))));
    let told = b.feedback().len();
    b.pass(2_000);
    assert!(b.feedback().len() > told, "the report itself may be lost");
    b.shard(slice(4, 1, true));
    b.decoded(true);
    assert_eq!((b.last_report().applied, b.last_report().gave_up), (UpdateId(4), None));
}

// spec: Y-20, Y-21, Y-22
#[test]
fn silence_is_noticed_said_asked_about_and_left() {
    let mut b = ViewerBench::new();
    b.viewer.on_input(b.now, key(30, KeyMove::Down));
    b.viewer.on_input(b.now, key(30, KeyMove::Up));
    b.pass(70_000);
    let silent = b.times(|o| matches!(o, ViewerOutput::Silent(Some(_))), viewer_at(0));
    assert!((400..=430).contains(&silent[0]), "{silent:?}");
    let tries = b.times(|o| matches!(o, ViewerOutput::Reconnect), viewer_at(0));
    assert!((3_000..3_110).contains(&tries[0]), "{tries:?}");
    let asks = |from: u64, to: u64| {
        let within = |at: &Stamp<ViewerClock>| (viewer_at(from)..viewer_at(to)).contains(at);
        let empty = |d: &Datagram| matches!(d, Datagram::Input(b) if b.events.is_empty());
        b.sent.iter().filter(|(at, _, d)| within(at) && empty(d)).count()
    };
    assert!((40..=51).contains(&asks(4_000, 9_000)), "{}", asks(4_000, 9_000));
    assert!((17..=21).contains(&asks(20_000, 30_000)), "{}", asks(20_000, 30_000));
    assert!((3..=5).contains(&asks(61_000, 69_000)), "{}", asks(61_000, 69_000));
    // The host answers again.
    let newest = b.sent.last().map_or(0, |(_, seq, _)| u64::from(*seq));
    b.receive(&Datagram::Padding(10));
    b.pass(1);
    assert!(!b.rest.iter().any(|(_, o)| matches!(o, ViewerOutput::Silent(None))), "that is no answer");
    b.receive(&Datagram::Feedback(Feedback { newest, ..Feedback::default() }));
    b.pass(1);
    assert!(b.rest.iter().any(|(_, o)| matches!(o, ViewerOutput::Silent(None))));
    // A connection that is lost is replaced at once, and a failed try repeated.
    b.rest.clear();
    let lost = b.now;
    b.viewer.on_link_lost(lost);
    b.pass(10);
    b.viewer.on_reconnect_failed(b.now);
    b.pass(110);
    assert_eq!(b.times(|o| matches!(o, ViewerOutput::Reconnect), lost), vec![0, 110]);
}

// spec: Y-24, Y-25, A-39
#[test]
fn a_new_connection_begins_with_what_is_held_and_unacknowledged() {
    let mut b = ViewerBench::new();
    b.shard(slice(1, 0, true));
    b.decoded(true);
    b.shard(slice(3, 2, true));
    b.viewer.on_input(b.now, key(30, KeyMove::Down));
    b.pass(1);
    b.viewer.on_link_lost(b.now);
    b.pass(100);
    let held = b.viewer.held();
    assert_eq!(held.iter().map(|h| (h.applied.0, h.through.0)).collect::<Vec<_>>(), vec![(1, 3)]);
    b.sent.clear();
    b.attach();
    let (_, seq, again) = b.sent.first().expect("input leaves at once");
    let Datagram::Input(batch) = again else { panic!("{again:?}") };
    assert_eq!((*seq, batch.first, batch.events.len()), (0, InputSeq(1), 1));
    assert_eq!(batch.events[0].0, Span::micros(b.now.since(viewer_at(0)).as_micros()), "it has grown older");
    // What the old connection had on the way does not count.
    b.shard(slice(2, 1, true));
    assert!(b.decode.is_empty());
    b.shard(slice(4, 1, true));
    assert_eq!(b.decode.last().map(|j| j.id), Some(UpdateId(4)));
}

// spec: O-2, K-3, K-2, F-2
#[test]
fn a_viewer_takes_only_what_a_host_may_say() {
    let mut b = ViewerBench::new();
    b.receive(&Datagram::Input(InputBatch { floor: InputSeq(1), first: InputSeq(1), ..InputBatch::default() }));
    b.viewer.on_control(b.now, Control::Resize { size: SIZE, scale: 100 });
    b.shard(Shard { surface: SurfaceId(3), ..slice(1, 0, true) });
    b.viewer.on_datagram(&Incoming { bytes: vec![0x0f, 9, 0], arrived: b.now });
    let welcome = Control::Welcome {
        version: 1,
        session: [0; 16],
        resumed: false,
        now: host_at(0),
        resizable: false,
        host: String::new(),
    };
    b.viewer.on_control(b.now, welcome);
    b.drain();
    let faults = ["WrongDirection", "WrongDirection", "UnknownSurface", "UnknownDatagram", "Unexpected"];
    assert_eq!(b.faults(), faults);
    assert!(b.decode.is_empty());
}

// spec: Y-18, Y-19
#[test]
fn a_hold_is_said_again_until_the_key_is_up() {
    let mut b = ViewerBench::new();
    b.viewer.on_input(b.now, key(42, KeyMove::Down));
    b.pass(300);
    let held = |b: &ViewerBench| {
        let held = |d: &Datagram| matches!(d, Datagram::Input(i) if i.held == [KeyCode(42)]);
        b.sent.iter().filter(|(_, _, d)| held(d)).map(|(at, ..)| *at).collect::<Vec<_>>()
    };
    let times = held(&b);
    let gaps: Vec<Span> = times.windows(2).map(|w| w[1].since(w[0])).collect();
    assert!(gaps.len() >= 4 && gaps.iter().skip(1).all(|gap| *gap <= Span::micros(60_100)), "{gaps:?}");
    assert!(gaps.iter().all(|gap| *gap <= Span::micros(100_100)), "{gaps:?}");
    b.viewer.on_input(b.now, InputEvent::Blur);
    b.drain();
    b.pass(200);
    assert_eq!(held(&b).len(), times.len());
}

// spec: Y-27
#[test]
fn of_two_cursor_datagrams_the_one_with_the_higher_number_counts() {
    let mut b = ViewerBench::new();
    let place = |x| Datagram::Cursor(CursorState { at: Point::new(x, 0), shape: 1, visible: true });
    for (number, x) in [(5, 50), (4, 40), (6, 60)] {
        let bytes = place(x).encode(number);
        b.viewer.on_datagram(&Incoming { bytes, arrived: b.now });
        b.drain();
    }
    let shown = |o: &ViewerOutput| if let ViewerOutput::Cursor(c) = o { Some(c.at.x) } else { None };
    assert_eq!(b.rest.iter().filter_map(|(_, o)| shown(o)).collect::<Vec<_>>(), [50, 60]);
}

// spec: D-33, Y-32
#[test]
fn what_a_key_means_is_told_to_a_host_that_takes_it() {
    let press = InputEvent::Press { code: KeyCode(30), means: Meaning(0x71) };
    for (takes, told) in [(1, press.clone()), (0, key(30, KeyMove::Down))] {
        let mut b = ViewerBench::new();
        b.viewer.on_capabilities(&Capabilities::default().with(Capability::Keys, takes));
        b.viewer.on_input(b.now, press.clone());
        b.drain();
        let batch = b.sent.iter().find_map(|(_, _, d)| if let Datagram::Input(i) = d { Some(i) } else { None });
        let batch = batch.expect("it leaves at once");
        assert_eq!((batch.events.last().map(|e| &e.1), &batch.held), (Some(&told), &vec![KeyCode(30)]));
    }
}
