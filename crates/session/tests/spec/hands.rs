//! Fingers and pens, at both ends.

use crate::host::{HostBench, answered};
use crate::viewer::ViewerBench;
use telepane_model::{Epoch, InputEvent, InputSeq, Note, Pen, Point, Span, TouchPhase};
use telepane_protocol::{Capabilities, Capability, Datagram, InputBatch};
use telepane_session::HostOutput;

const PEN: Pen =
    Pen { at: Point::new(5, 6), pressure: 900, tilt: (10, -10), touching: true, eraser: false, buttons: 2, near: true };

// spec: H-21, H-23, H-63, H-64
#[test]
fn fingers_and_a_pen_end_with_their_lease_and_with_the_link() {
    let injected = |b: &HostBench| {
        let event = |o: &HostOutput| match o {
            HostOutput::Inject { seq, event } => Some((seq.0, event.clone())),
            _ => None,
        };
        b.rest.iter().filter_map(event).collect::<Vec<_>>()
    };
    let touch = |phase| InputEvent::Touch { finger: 4, phase, at: Point::new(3, 4), pressure: 0 };
    let pen = PEN;
    let (finger, pencil) = (touch(TouchPhase::Down), InputEvent::Pen(pen));
    let both = |first| InputBatch {
        floor: InputSeq(first),
        first: InputSeq(first),
        events: vec![(Span::ZERO, finger.clone()), (Span::ZERO, pencil.clone())],
        fingers: vec![4],
        pen: true,
        ..InputBatch::default()
    };
    let mut b = HostBench::new();
    b.receive(&Datagram::Input(both(1)));
    b.pass(249);
    let came = vec![(1, finger.clone()), (2, pencil.clone())];
    assert_eq!(injected(&b), came);
    b.pass(1);
    let gone = [(0, touch(TouchPhase::Cancel)), (0, InputEvent::Pen(pen.away()))];
    assert_eq!(injected(&b)[2..], gone);
    assert!(b.rest.iter().any(|o| matches!(o, HostOutput::Note(Note::LeaseExpired))));
    // Again, and the link is lost: the shell lets go of everything at once.
    b.rest.clear();
    b.receive(&Datagram::Input(both(3)));
    b.host.on_link_lost(b.now);
    b.drain();
    assert_eq!(injected(&b).len(), 2);
    assert!(b.rest.iter().any(|o| matches!(o, HostOutput::ReleaseAll)));
}

/// What a picture answers is where a pen came down, not what it drew since.
// spec: D-15
#[test]
fn a_finger_that_touches_and_a_pen_that_comes_down_are_presses() {
    let mut b = HostBench::new();
    b.code(&[100], true);
    b.pass(20);
    b.report(Epoch(1), 1, None);
    let touch = |phase| InputEvent::Touch { finger: 4, phase, at: Point::new(3, 4), pressure: 0 };
    let hovers = Pen { pressure: 0, touching: false, ..PEN };
    let draws = InputEvent::Pen(PEN);
    let (mut next, mut applied) = (1, 1);
    let mut answers = |events: &[InputEvent]| {
        b.receive(&Datagram::Input(InputBatch {
            floor: InputSeq(next),
            first: InputSeq(next),
            events: events.iter().map(|e| (Span::ZERO, e.clone())).collect(),
            fingers: vec![4],
            pen: true,
            ..InputBatch::default()
        }));
        next += events.len() as u32;
        b.pass(5);
        let answer = answered(&mut b).map(|seq| seq.0);
        applied += 1;
        b.report(Epoch(1), applied, None);
        answer
    };
    assert_eq!(answers(&[touch(TouchPhase::Down), touch(TouchPhase::Move)]), Some(1));
    assert_eq!(answers(&[InputEvent::Pen(hovers), draws.clone(), draws.clone()]), Some(4));
    assert_eq!(answers(&[draws.clone(), touch(TouchPhase::Move)]), Some(4));
    assert_eq!(answers(&[InputEvent::Pen(hovers), draws]), Some(9));
}

// spec: D-34, D-35, V-5
#[test]
fn fingers_and_pens_are_told_to_a_host_that_takes_them() {
    let touch = |finger| InputEvent::Touch { finger, phase: TouchPhase::Down, at: Point::new(1, 2), pressure: 3 };
    let pen = Pen {
        at: Point::new(1, 2),
        pressure: 7,
        tilt: (100, 0),
        touching: true,
        eraser: false,
        buttons: 0,
        near: true,
    };
    let told_pen = InputEvent::Pen(Pen { tilt: (90, 0), ..pen });
    for (takes, told) in [(0, vec![]), (1, vec![touch(9)]), (2, vec![told_pen.clone()]), (7, vec![touch(9), told_pen])]
    {
        let mut b = ViewerBench::new();
        b.viewer.on_capabilities(&Capabilities::default().with(Capability::Hands, takes));
        let viewer = &b.viewer;
        assert_eq!(
            (viewer.peer_takes_touch(), viewer.peer_takes_pen(), viewer.peer_turns_finely()),
            (takes & 1 != 0, takes & 2 != 0, takes & 4 != 0)
        );
        for event in [touch(9), touch(10), InputEvent::Pen(pen)] {
            b.viewer.on_input(b.now, event);
        }
        b.drain();
        let mut batches = b.sent.iter().filter_map(|(_, _, d)| if let Datagram::Input(i) = d { Some(i) } else { None });
        let batch = batches.next_back();
        let events: Vec<_> = batch.into_iter().flat_map(|i| &i.events).map(|e| e.1.clone()).collect();
        assert_eq!(events, told);
        let contacts = batch.map_or((vec![], false), |i| (i.fingers.clone(), i.pen));
        assert_eq!(contacts, (if takes & 1 != 0 { vec![9] } else { vec![] }, takes & 2 != 0));
    }
}
