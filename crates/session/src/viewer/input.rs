//! What the user did, until the host has it: numbered, sent at once, sent again, and given up after two seconds.

use crate::host::{ANSWER_LETTING_GO, TOO_OLD};
use std::collections::{BTreeSet, VecDeque};
use telepane_model::{
    Button, InputEvent, InputSeq, KeyCode, KeyMove, Pen, Span, Stamp, StampedInput, TouchPhase, ViewerClock,
};
use telepane_protocol::{InputBatch, InputReport, lets_go};

/// Input on its way to the host.
#[derive(Debug)]
pub struct Outgoing {
    next: u32,
    /// Not acknowledged, oldest first; `sent` counts how many of them have left at least once.
    events: VecDeque<StampedInput>,
    sent: usize,
    /// The newest event that is more than motion.
    urgent: InputSeq,
    keys: BTreeSet<KeyCode>,
    buttons: BTreeSet<Button>,
    fingers: BTreeSet<u8>,
    /// The pen that is in reach.
    pen: Option<Pen>,
    last_batch: Stamp<ViewerClock>,
    /// What is held is said again this long after the last batch.
    refresh_after: Span,
    resend_at: Option<Stamp<ViewerClock>>,
    /// What left last goes once more, at this time.
    again_at: Option<Stamp<ViewerClock>>,
    backoff: u32,
    /// How long an answer was expected to take when something left last.
    rto: Span,
    /// What left last is answered when there is company: what is new in it only lets go.
    patient: bool,
    expired: u32,
    dropped_by_host: u32,
    /// When recent events were taken, for the journey of a key press.
    taken: VecDeque<(InputSeq, Stamp<ViewerClock>)>,
}

/// Motion alone is sent at most this often; anything else takes it along at once.
// spec: Y-14
const MOTION_EVERY: Span = Span::millis(2);
/// A hold is refreshed this often, and for the first time this long after its press: three times within a lease of
/// 250 ms, and most keys are up again before it.
// spec: Y-18
const REFRESH: Span = Span::millis(60);
const FIRST_REFRESH: Span = Span::millis(100);
/// Events that go along again although they were sent already (`research/rate-control.md` §5.9).
// spec: Y-15
const REPEATED: usize = 3;
/// Backing off, this is the longest pause between two attempts, unless an answer takes longer: nothing waits long for
/// its next chance when a blackout ends.
const LONGEST_RESEND: Span = Span::millis(200);
/// Taken stamps kept.
const TAKEN: usize = 256;

impl Outgoing {
    /// Nothing happened yet.
    pub const fn new() -> Self {
        Self {
            next: 1,
            events: VecDeque::new(),
            sent: 0,
            urgent: InputSeq(0),
            keys: BTreeSet::new(),
            buttons: BTreeSet::new(),
            fingers: BTreeSet::new(),
            pen: None,
            last_batch: Stamp::ZERO,
            refresh_after: REFRESH,
            resend_at: None,
            again_at: None,
            backoff: 0,
            rto: Span::ZERO,
            patient: false,
            expired: 0,
            dropped_by_host: 0,
            taken: VecDeque::new(),
        }
    }

    /// The user did something.
    // spec: Y-14, Y-19, Y-35
    pub fn on_event(&mut self, now: Stamp<ViewerClock>, event: InputEvent) {
        let motion = self.is_motion_of(&event);
        match &event {
            InputEvent::Key { code, action: KeyMove::Down } | InputEvent::Press { code, .. } => {
                self.keys.insert(*code);
            }
            InputEvent::Key { code, action: KeyMove::Up } => {
                self.keys.remove(code);
            }
            InputEvent::Button { button, down } => {
                if *down {
                    self.buttons.insert(*button)
                } else {
                    self.buttons.remove(button)
                };
            }
            InputEvent::Touch { finger, phase: TouchPhase::Down, .. } => {
                self.fingers.insert(*finger);
            }
            InputEvent::Touch { finger, phase: TouchPhase::Up | TouchPhase::Cancel, .. } => {
                self.fingers.remove(finger);
            }
            InputEvent::Pen(pen) => self.pen = Some(*pen).filter(|pen| pen.near),
            // What was begun at a window may be what brings the keyboard there.
            InputEvent::Focus { .. } => self.keys.clear(),
            InputEvent::Blur => {
                self.keys.clear();
                self.buttons.clear();
                self.fingers.clear();
                self.pen = None;
            }
            _ => {}
        }
        if motion && self.replaces(now, &event) {
            return;
        }
        let seq = InputSeq(self.next);
        self.next = self.next.wrapping_add(1).max(1);
        if !motion {
            self.urgent = seq;
        }
        self.taken.push_back((seq, now));
        if self.taken.len() > TAKEN {
            self.taken.pop_front();
        }
        self.events.push_back(StampedInput { seq, at: now, event });
    }

    /// Whether an event only moves what is as it was before.
    fn is_motion_of(&self, event: &InputEvent) -> bool {
        match event {
            InputEvent::PointerTo(_) | InputEvent::PointerBy { .. } => true,
            InputEvent::Touch { phase, .. } => *phase == TouchPhase::Move,
            InputEvent::Pen(pen) => self.pen.is_some_and(|old| pen.near && state(&old) == state(pen)),
            _ => false,
        }
    }

    /// Puts motion that has not left yet in the place of its like: only where something is now matters. What a pen draws
    /// is all of its way.
    // spec: Y-14, Y-35
    fn replaces(&mut self, now: Stamp<ViewerClock>, event: &InputEvent) -> bool {
        for last in self.events.iter_mut().skip(self.sent).rev() {
            let replaced = match (&last.event, event) {
                (InputEvent::PointerTo(_), InputEvent::PointerTo(_)) => true,
                (InputEvent::Pen(old), InputEvent::Pen(pen)) => !pen.touching && state(old) == state(pen),
                (
                    InputEvent::Touch { finger: old, phase: TouchPhase::Move, .. },
                    InputEvent::Touch { finger, phase: TouchPhase::Move, .. },
                ) => {
                    if old != finger {
                        // Fingers move side by side: the order of their motions says nothing.
                        continue;
                    }
                    true
                }
                _ => false,
            };
            if replaced {
                (last.at, last.event) = (now, event.clone());
            }
            return replaced;
        }
        false
    }

    /// The next connection's host takes no fingers, or no pen: what it has not got of them does nothing there.
    // spec: V-5
    pub fn withhold(&mut self, fingers: bool, pen: bool) {
        for waiting in &mut self.events {
            let withheld = match waiting.event {
                InputEvent::Touch { .. } => fingers,
                InputEvent::Pen(_) => pen,
                _ => false,
            };
            if withheld {
                // Numbers have no gaps.
                waiting.event = InputEvent::PointerBy { dx: 0, dy: 0 };
            }
        }
        if fingers {
            self.fingers.clear();
        }
        if pen {
            self.pen = None;
        }
    }

    /// The host said what it has.
    pub fn on_report(&mut self, report: InputReport) {
        while self.events.front().is_some_and(|e| e.seq <= report.done) {
            self.events.pop_front();
            self.sent = self.sent.saturating_sub(1);
            self.backoff = 0;
        }
        self.dropped_by_host = report.dropped;
        // What is left is expected to be answered from its own time on.
        let oldest = self.events.front().map(|e| e.at + self.rto);
        self.resend_at = self.resend_at.zip(oldest).map(|(at, oldest)| at.max(oldest));
    }

    /// The batch that is due, if one is. `rto`: when to expect an answer; `lone`: events go once more after this, where
    /// packets are lost.
    // spec: Y-14, Y-15, Y-16, Y-18, Y-28
    pub fn due(&mut self, now: Stamp<ViewerClock>, rto: Span, lone: Option<Span>) -> Option<InputBatch> {
        self.expire(now);
        let fresh = self.events.len() > self.sent && now >= self.fresh_at();
        let resend = self.resends_at().is_some_and(|at| now >= at) && !self.events.is_empty();
        let refresh = self.holds_anything() && now.since(self.last_batch) >= self.refresh_after;
        let again = self.again_at.is_some_and(|at| now >= at) && !self.events.is_empty();
        if !fresh && !resend && !refresh && !again {
            return None;
        }
        // Motion goes on, and the next of it says more.
        self.again_at = lone.filter(|_| fresh && !self.is_motion()).map(|after| now + after);
        let from = if resend { 0 } else { self.sent.saturating_sub(REPEATED) };
        let batch = self.batch(now, from);
        // What goes once more is answered as it would have been the first time.
        if fresh || resend || refresh {
            let news = if resend { 0 } else { self.sent.saturating_sub(from) };
            self.patient = batch.lets_go(InputSeq(batch.first.0.wrapping_add(news as u32)));
        }
        self.rto = rto;
        if resend {
            self.backoff = (self.backoff + 1).min(3);
        }
        self.sent = self.sent.max(from + batch.events.len());
        if self.events.is_empty() {
            self.resend_at = None;
        } else if resend || self.resend_at.is_none() {
            // What is typed meanwhile does not put it off, else a fast typist's lost keys would wait for a pause.
            self.resend_at = Some(now + rto.scaled(1 << self.backoff, 1).min(rto.max(LONGEST_RESEND)));
        }
        self.last_batch = now;
        self.refresh_after = if fresh && lone.is_none() { FIRST_REFRESH } else { REFRESH };
        Some(batch)
    }

    /// A batch to ask whether the host is there, with everything that waits: it may be the first one to arrive.
    pub fn ask(&mut self, now: Stamp<ViewerClock>) -> InputBatch {
        self.expire(now);
        (self.last_batch, self.refresh_after) = (now, REFRESH);
        let batch = self.batch(now, 0);
        self.sent = self.sent.max(batch.events.len());
        self.patient = batch.lets_go(batch.first);
        batch
    }

    /// Whether the batch that was due last may be answered late: the host waits for company.
    // spec: H-26
    pub const fn is_patient(&self) -> bool {
        self.patient
    }

    /// When [`Outgoing::due`] has something, if nothing else happens.
    pub fn next_wake(&self) -> Option<Stamp<ViewerClock>> {
        let fresh = (self.events.len() > self.sent).then(|| self.fresh_at());
        let refresh = self.holds_anything().then(|| self.last_batch + self.refresh_after);
        let again = self.again_at.filter(|_| !self.events.is_empty());
        let expiry = self.events.front().map(|e| e.at + TOO_OLD + Span::micros(1));
        [fresh, refresh, again, self.resends_at(), expiry].into_iter().flatten().min()
    }

    /// When an event was taken from the user.
    pub fn taken_at(&self, seq: InputSeq) -> Option<Stamp<ViewerClock>> {
        self.taken.iter().find(|(s, _)| *s == seq).map(|(_, at)| *at)
    }

    /// Events that were never delivered because they became too old, as far as known.
    pub fn dropped(&self) -> u32 {
        self.dropped_by_host.max(self.expired)
    }

    /// The link is new: everything not acknowledged is sent again there.
    // spec: Y-25
    pub fn on_new_link(&mut self) {
        self.sent = 0;
        self.backoff = 0;
        self.resend_at = None;
    }

    /// When everything is sent again. The host may take its time to answer what only lets go.
    // spec: Y-16
    fn resends_at(&self) -> Option<Stamp<ViewerClock>> {
        let patient = !self.holds_anything() && self.events.iter().all(|e| lets_go(&e.event));
        self.resend_at.map(|at| if patient { at + ANSWER_LETTING_GO } else { at })
    }

    /// Whether a key, a button or a finger is down, or a pen is in reach.
    pub fn holds_anything(&self) -> bool {
        !self.keys.is_empty() || !self.buttons.is_empty() || !self.fingers.is_empty() || self.pen.is_some()
    }

    fn fresh_at(&self) -> Stamp<ViewerClock> {
        if self.is_motion() { self.last_batch + MOTION_EVERY } else { Stamp::ZERO }
    }

    /// Whether nothing but motion waits to be sent.
    fn is_motion(&self) -> bool {
        self.events.get(self.sent).is_none_or(|first| first.seq > self.urgent)
    }

    // spec: Y-17
    fn expire(&mut self, now: Stamp<ViewerClock>) {
        while self.events.front().is_some_and(|e| now.since(e.at) > TOO_OLD) {
            self.events.pop_front();
            self.sent = self.sent.saturating_sub(1);
            self.expired = self.expired.saturating_add(1);
        }
        if self.events.is_empty() {
            self.resend_at = None;
        }
    }

    // spec: D-23, Y-19
    fn batch(&self, now: Stamp<ViewerClock>, from: usize) -> InputBatch {
        let events = self.events.iter().skip(from).take(InputBatch::MOST);
        InputBatch {
            sent: now.low32(),
            floor: self.events.front().map_or(InputSeq(self.next), |e| e.seq),
            first: self.events.get(from).map_or(InputSeq(self.next), |e| e.seq),
            events: events.map(|e| (now.since(e.at), e.event.clone())).collect(),
            held: self.keys.iter().copied().take(InputBatch::MOST_HELD).collect(),
            buttons: self.buttons.iter().copied().collect(),
            fingers: self.fingers.iter().copied().collect(),
            pen: self.pen.is_some(),
        }
    }
}

/// What of a pen is more than its place, its pressure and how it leans.
const fn state(pen: &Pen) -> (bool, bool, u8, bool) {
    (pen.touching, pen.eraser, pen.buttons, pen.near)
}

impl Default for Outgoing {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Point;

    const RTO: Span = Span::millis(40);

    fn at(ms: u64) -> Stamp<ViewerClock> {
        Stamp::from_micros(ms * 1_000)
    }

    fn down(code: u16) -> InputEvent {
        InputEvent::Key { code: KeyCode(code), action: KeyMove::Down }
    }

    fn up(code: u16) -> InputEvent {
        InputEvent::Key { code: KeyCode(code), action: KeyMove::Up }
    }

    // spec: Y-14, Y-15, Y-16
    #[test]
    fn an_event_leaves_at_once_and_again_until_acknowledged() {
        let mut o = Outgoing::new();
        o.on_event(at(100), down(30));
        let b = o.due(at(100), RTO, None).expect("at once");
        assert_eq!((b.first, b.floor, b.events.len(), b.held), (InputSeq(1), InputSeq(1), 1, vec![KeyCode(30)]));
        assert_eq!(o.due(at(101), RTO, None), None);
        o.on_event(at(110), up(30));
        assert_eq!(o.due(at(110), RTO, None).map(|b| b.events.len()), Some(2), "the event before goes along");
        assert_eq!(o.due(at(150), RTO, None).map(|b| (b.first, b.events.len())), Some((InputSeq(1), 2)));
        o.on_report(InputReport { done: InputSeq(2), dropped: 0 });
        assert_eq!(o.due(at(900), RTO, None), None);
        assert_eq!(o.next_wake(), None);
    }

    // spec: Y-17, Y-18
    #[test]
    fn holds_are_refreshed_and_old_events_expire() {
        let mut o = Outgoing::new();
        o.on_event(at(0), down(30));
        o.due(at(0), RTO, None);
        o.on_report(InputReport { done: InputSeq(1), dropped: 0 });
        for (early, due) in [(99, 100), (159, 160), (219, 220)] {
            assert_eq!(o.due(at(early), RTO, None), None);
            assert_eq!(o.due(at(due), RTO, None).map(|b| (b.events.len(), b.held.len())), Some((0, 1)));
        }
        o.on_event(at(230), down(31));
        let lossy = Some(Span::millis(4));
        o.due(at(230), RTO, lossy);
        o.on_report(InputReport { done: InputSeq(2), dropped: 0 });
        assert_eq!(o.due(at(289), RTO, lossy), None);
        assert_eq!(o.due(at(290), RTO, lossy).map(|b| b.held.len()), Some(2), "sooner where packets are lost");
        o.on_event(at(300), up(30));
        o.due(at(300), RTO, None);
        o.on_event(at(2_400), down(32));
        let b = o.due(at(2_400), RTO, None).expect("fresh");
        assert_eq!((b.floor, b.first, o.dropped()), (InputSeq(4), InputSeq(4), 1));
    }

    // spec: Y-14
    #[test]
    fn motion_is_gathered_and_anything_else_takes_it_along() {
        let mut o = Outgoing::new();
        o.on_event(at(10), InputEvent::PointerTo(Point::new(1, 1)));
        assert!(o.due(at(10), RTO, None).is_some());
        o.on_event(at(11), InputEvent::PointerTo(Point::new(2, 2)));
        o.on_event(at(11), InputEvent::PointerTo(Point::new(3, 3)));
        assert_eq!(o.due(at(11), RTO, None), None);
        o.on_event(at(11), InputEvent::Button { button: Button::Left, down: true });
        let b = o.due(at(11), RTO, None).expect("the click leaves");
        let fresh: Vec<_> = b.events.into_iter().skip(1).map(|(_, e)| e).collect();
        assert_eq!(fresh.first(), Some(&InputEvent::PointerTo(Point::new(3, 3))));
        assert_eq!(fresh.len(), 2);
    }

    // spec: Y-14, Y-35
    #[test]
    fn motions_of_one_finger_are_one_and_no_touch_is_merged_with_another() {
        let touch = |finger, phase, x| InputEvent::Touch { finger, phase, at: Point::new(x, 0), pressure: 0 };
        let (down, moved, up) = (TouchPhase::Down, TouchPhase::Move, TouchPhase::Up);
        let mut o = Outgoing::new();
        o.on_event(at(10), touch(0, down, 1));
        let b = o.due(at(10), RTO, None).expect("a finger that touches is told at once");
        assert_eq!((b.events.len(), b.fingers), (1, vec![0]));
        o.on_report(InputReport { done: InputSeq(1), dropped: 0 });
        for x in 2..9 {
            o.on_event(at(11), touch(0, moved, x));
            o.on_event(at(11), touch(1, moved, 100 + x));
        }
        assert_eq!(o.due(at(11), RTO, None), None, "motion is gathered");
        o.on_event(at(11), touch(0, up, 9));
        o.on_event(at(11), touch(0, down, 20));
        o.on_event(at(11), touch(0, moved, 21));
        let b = o.due(at(11), RTO, None).expect("a finger that leaves takes it along");
        let events: Vec<_> = b.events.into_iter().map(|(_, e)| e).collect();
        let all = [touch(0, moved, 8), touch(1, moved, 108), touch(0, up, 9), touch(0, down, 20), touch(0, moved, 21)];
        assert_eq!((&events[..], b.fingers), (&all[..], vec![0]));
        // A phone call: the system takes the touch away. The window loses everything.
        o.on_event(at(12), touch(0, TouchPhase::Cancel, 21));
        assert!(!o.holds_anything());
        o.on_event(at(13), touch(4, down, 21));
        // It brings the keyboard to its window.
        o.on_event(at(13), InputEvent::Focus { caps: false, num: false });
        assert_eq!(o.due(at(13), RTO, None).expect("both are told").fingers, vec![4]);
        o.on_event(at(13), InputEvent::Blur);
        assert!(!o.holds_anything());
    }

    // spec: Y-14, Y-35
    #[test]
    fn a_line_that_a_pen_draws_has_all_its_points_and_a_hovering_one_only_its_last() {
        let hovers = Pen {
            at: Point::new(0, 0),
            pressure: 0,
            tilt: (0, 0),
            touching: false,
            eraser: false,
            buttons: 0,
            near: true,
        };
        let pen =
            |x, pressure| InputEvent::Pen(Pen { at: Point::new(x, 0), pressure, touching: pressure > 0, ..hovers });
        let mut o = Outgoing::new();
        o.on_event(at(10), InputEvent::Pen(hovers));
        let b = o.due(at(10), RTO, None).expect("a pen that comes near is told at once");
        assert!(b.pen && b.fingers.is_empty());
        o.on_report(InputReport { done: InputSeq(1), dropped: 0 });
        for x in 1..5 {
            o.on_event(at(11), pen(x, 0));
        }
        assert_eq!(o.due(at(11), RTO, None), None, "motion is gathered");
        for x in 5..9 {
            o.on_event(at(11), pen(x, 9));
        }
        let b = o.due(at(11), RTO, None).expect("the tip touches");
        let events: Vec<_> = b.events.into_iter().map(|(_, e)| e).collect();
        assert_eq!(events, [pen(4, 0), pen(5, 9), pen(6, 9), pen(7, 9), pen(8, 9)]);
        o.on_report(InputReport { done: InputSeq(6), dropped: 0 });
        assert_eq!(o.due(at(60), RTO, None), None);
        assert!(o.due(at(111), RTO, None).is_some_and(|b| b.pen), "a lease like a key's");
        o.on_event(at(112), InputEvent::Pen(hovers.away()));
        assert!(o.due(at(112), RTO, None).is_some_and(|b| !b.pen));
    }

    // spec: V-5
    #[test]
    fn a_host_that_takes_no_fingers_gets_none_that_waited() {
        let touch = InputEvent::Touch { finger: 2, phase: TouchPhase::Down, at: Point::new(1, 1), pressure: 0 };
        let mut o = Outgoing::new();
        o.on_event(at(10), touch);
        o.on_event(at(10), down(30));
        o.withhold(true, true);
        o.on_new_link();
        let b = o.due(at(11), RTO, None).expect("the key waits");
        let events: Vec<_> = b.events.into_iter().map(|(_, e)| e).collect();
        assert_eq!((events, b.fingers), (vec![InputEvent::PointerBy { dx: 0, dy: 0 }, down(30)], vec![]));
    }

    // spec: Y-16, H-26
    #[test]
    fn what_only_lets_go_waits_longer_for_its_answer() {
        let key = |action| InputEvent::Key { code: KeyCode(30), action };
        let mut o = Outgoing::new();
        o.on_event(at(100), key(KeyMove::Down));
        assert!(o.due(at(100), RTO, None).is_some());
        o.on_event(at(110), key(KeyMove::Up));
        let batch = o.due(at(110), RTO, None).expect("at once");
        assert_eq!(
            (batch.first, o.is_patient()),
            (InputSeq(1), true),
            "it repeats the press, but only the release is news"
        );
        assert_eq!(o.next_wake(), Some(at(100) + RTO), "the press is not acknowledged");
        o.on_report(InputReport { done: InputSeq(1), dropped: 0 });
        assert_eq!(
            o.next_wake(),
            Some(at(110) + RTO + ANSWER_LETTING_GO),
            "its answer takes long from its own time on"
        );
        let again = o.due(at(110) + RTO + ANSWER_LETTING_GO, RTO, None).expect("nothing answered");
        assert!(o.is_patient() && again.first == InputSeq(2));
        // Nothing has answered the press either: that is urgent.
        o.on_event(at(500), key(KeyMove::Down));
        o.due(at(500), RTO, None);
        assert!(!o.is_patient());
        o.on_event(at(510), key(KeyMove::Up));
        o.due(at(510), RTO, None);
        assert!(o.is_patient());
        let wake = o.next_wake().expect("a time");
        assert_eq!(o.due(wake, RTO, None).map(|b| b.events.len()), Some(3), "everything again");
        assert!(!o.is_patient());
    }

    // spec: Y-28
    #[test]
    fn where_packets_are_lost_an_event_goes_once_more_and_motion_does_not() {
        let lone = Some(Span::millis(4));
        let mut o = Outgoing::new();
        o.on_event(at(100), InputEvent::Key { code: KeyCode(30), action: KeyMove::Down });
        let first = o.due(at(100), RTO, lone).expect("at once");
        assert_eq!(o.next_wake(), Some(at(104)));
        assert_eq!(o.due(at(103), RTO, lone), None);
        assert_eq!(o.due(at(104), RTO, lone).map(|b| b.events.len()), Some(first.events.len()));
        assert_eq!(o.due(at(109), RTO, lone), None);
        o.on_report(InputReport { done: InputSeq(1), dropped: 0 });
        o.on_event(at(120), InputEvent::PointerTo(Point::new(1, 1)));
        assert!(o.due(at(120), RTO, lone).is_some());
        assert_eq!(o.due(at(124), RTO, lone), None);
    }
}
