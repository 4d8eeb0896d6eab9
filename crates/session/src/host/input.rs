//! Input as it reaches the desktop: in order, once, never late, and never stuck.
//!
//! Keys are leases (DESIGN §3.14), and so are fingers and a pen in reach: what is held is released when the viewer has not
//! said for [`LEASE`] that it still is, and an event older than [`TOO_OLD`] is not delivered, except one that lets go.

use std::collections::{BTreeMap, BTreeSet};
use telepane_model::{
    Button, Desk, HostClock, InputEvent, InputSeq, KeyCode, KeyMove, Pen, Point, Span, Stamp, TouchPhase,
};
use telepane_protocol::{Fault, InputBatch, InputReport, lets_go};

/// A held key is released when its hold is not refreshed for this long.
// spec: H-21
pub const LEASE: Span = Span::millis(250);
/// Older input is never delivered.
// spec: H-19
pub const TOO_OLD: Span = Span::secs(2);
/// Events kept while an earlier one is missing.
// spec: H-17
const MOST_WAITING: usize = 512;

/// The gate that every event passes.
#[derive(Debug, Default)]
pub struct InputGate {
    /// Every event before this one is done with.
    next: u32,
    dropped: u32,
    waiting: BTreeMap<u32, (Stamp<HostClock>, InputEvent)>,
    keys: BTreeSet<KeyCode>,
    buttons: BTreeSet<Button>,
    /// Where each finger is that touches.
    fingers: BTreeMap<u8, Point<Desk>>,
    /// The pen that is in reach.
    pen: Option<Pen>,
    refreshed: Stamp<HostClock>,
    /// Older events may be this much older than they seem (the clocks are known only so well).
    pub doubt: Span,
    /// No batch has come yet: what the viewer is done with was never meant for this gate.
    adopts: bool,
    /// Events taken before this instant may have been delivered by an agent before this one.
    not_before: Stamp<HostClock>,
}

/// What to hand to the desktop, and what happened on the way.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The events, with their numbers (0: made here) and ages.
    pub events: Vec<(InputSeq, Span, InputEvent)>,
    /// How many were too old.
    pub expired: u32,
}

impl InputGate {
    /// Nothing is held and nothing was delivered.
    pub fn new() -> Self {
        Self { next: 1, ..Self::default() }
    }

    /// The same, for a viewer that may have been at work before this gate was made (the agent was started again).
    pub fn adopting() -> Self {
        Self { adopts: true, ..Self::new() }
    }

    /// A viewer is there. What its user did before the first one was is not delivered: an agent that ran before this
    /// one may have done so.
    // spec: H-29
    pub fn on_attached(&mut self, now: Stamp<HostClock>) {
        if self.adopts && self.not_before == Stamp::ZERO {
            self.not_before = now;
        }
    }

    /// Events came. `taken(age)` is the host's time at which something of that age when sent was taken from the user.
    // spec: H-17, H-18, H-24, H-29
    pub fn on_batch(
        &mut self,
        now: Stamp<HostClock>,
        batch: &InputBatch,
        taken: impl Fn(Span) -> Stamp<HostClock>,
    ) -> Result<Delivery, Fault> {
        if std::mem::take(&mut self.adopts) {
            self.next = self.next.max(batch.floor.0);
        }
        if batch.first.0.saturating_sub(self.next) > 1 << 24 {
            return Err(Fault::InputOutOfOrder);
        }
        let mut out = Delivery::default();
        for (i, (age, event)) in batch.events.iter().enumerate() {
            let seq = batch.first.0.saturating_add(i as u32);
            if seq >= self.next && self.waiting.len() < MOST_WAITING {
                self.waiting.entry(seq).or_insert_with(|| (taken(*age), event.clone()));
            }
        }
        // The viewer gave up what lies before `floor`: what is here of it is delivered if young enough, the rest counts
        // as dropped.
        while self.next < batch.floor.0 {
            match self.waiting.first_key_value().map(|(seq, _)| *seq) {
                Some(seq) if seq == self.next => self.deliver_next(now, &mut out),
                Some(seq) if seq < batch.floor.0 => self.skip_to(seq, &mut out),
                _ => self.skip_to(batch.floor.0, &mut out),
            }
        }
        while self.waiting.contains_key(&self.next) {
            self.deliver_next(now, &mut out);
        }
        if self.next > batch.first.0.saturating_add(batch.events.len() as u32).saturating_sub(1) {
            self.reconcile(now, batch, &mut out);
        }
        Ok(out)
    }

    fn skip_to(&mut self, seq: u32, out: &mut Delivery) {
        out.expired += seq.saturating_sub(self.next);
        self.dropped = self.dropped.saturating_add(seq.saturating_sub(self.next));
        self.next = self.next.max(seq);
    }

    // spec: H-17, H-19, H-20, H-63, H-64
    fn deliver_next(&mut self, now: Stamp<HostClock>, out: &mut Delivery) {
        let Some((taken, event)) = self.waiting.remove(&self.next) else { return };
        let seq = InputSeq(self.next);
        self.next = self.next.saturating_add(1);
        let age = now.since(taken);
        let lets_go = lets_go(&event) || self.lifts_the_pen(&event);
        if (age + self.doubt > TOO_OLD || taken < self.not_before) && !lets_go {
            out.expired += 1;
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        match &event {
            InputEvent::Key { code, action: KeyMove::Down } | InputEvent::Press { code, .. } => {
                // A second Down of a held key is the viewer's error; it must not type twice.
                if !self.keys.insert(*code) {
                    return;
                }
                self.refreshed = now;
            }
            InputEvent::Key { code, action: KeyMove::Up } => {
                if !self.keys.remove(code) {
                    return;
                }
            }
            InputEvent::Key { code, action: KeyMove::Repeat } => {
                if !self.keys.contains(code) {
                    return;
                }
            }
            InputEvent::Button { button, down: true } => {
                self.buttons.insert(*button);
                self.refreshed = now;
            }
            InputEvent::Button { button, down: false } => {
                if !self.buttons.remove(button) {
                    return;
                }
            }
            InputEvent::Touch { finger, phase: TouchPhase::Down, at, .. } => {
                if self.fingers.contains_key(finger) {
                    return;
                }
                self.fingers.insert(*finger, *at);
                self.refreshed = now;
            }
            InputEvent::Touch { finger, phase: TouchPhase::Move, at, .. } => match self.fingers.get_mut(finger) {
                Some(place) => *place = *at,
                // Its lease ended, or its coming was too old.
                None => return,
            },
            InputEvent::Touch { finger, phase: TouchPhase::Up | TouchPhase::Cancel, .. } => {
                if self.fingers.remove(finger).is_none() {
                    return;
                }
            }
            InputEvent::Pen(pen) if pen.near => {
                if self.pen.replace(*pen).is_none() {
                    self.refreshed = now;
                }
            }
            InputEvent::Pen(_) => {
                if self.pen.take().is_none() {
                    return;
                }
            }
            // spec: H-23
            InputEvent::Focus { .. } => self.keys.clear(),
            InputEvent::Blur => {
                self.keys.clear();
                self.buttons.clear();
                self.fingers.clear();
                self.pen = None;
            }
            InputEvent::Text(_)
            | InputEvent::PointerTo(_)
            | InputEvent::PointerBy { .. }
            | InputEvent::Wheel { .. } => {}
        }
        out.events.push((seq, age, event));
    }

    /// Whether a pen that touched does so no more.
    fn lifts_the_pen(&self, event: &InputEvent) -> bool {
        let touched = self.pen.is_some_and(|pen| pen.touching);
        matches!(event, InputEvent::Pen(pen) if touched && !pen.touching)
    }

    /// The batch says what is held after its last event, and all of its events are done: agree with it.
    // spec: H-22, H-63, H-64
    fn reconcile(&mut self, now: Stamp<HostClock>, batch: &InputBatch, out: &mut Delivery) {
        if batch.first.0.saturating_add(batch.events.len() as u32) < self.next {
            // A late batch: newer events have been delivered since.
            return;
        }
        self.refreshed = now;
        if batch.events.len() >= InputBatch::MOST {
            // More events may follow in another batch, and what is held is said as it is after them.
            return;
        }
        for code in self.keys.iter().copied().filter(|k| !batch.held.contains(k)).collect::<Vec<_>>() {
            self.keys.remove(&code);
            out.events.push((InputSeq(0), Span::ZERO, InputEvent::Key { code, action: KeyMove::Up }));
        }
        for button in self.buttons.iter().copied().filter(|b| !batch.buttons.contains(b)).collect::<Vec<_>>() {
            self.buttons.remove(&button);
            out.events.push((InputSeq(0), Span::ZERO, InputEvent::Button { button, down: false }));
        }
        for finger in self.fingers.keys().copied().filter(|f| !batch.fingers.contains(f)).collect::<Vec<_>>() {
            let gone = self.fingers.remove(&finger).map(|at| cancel(finger, at));
            out.events.extend(gone.map(|event| (InputSeq(0), Span::ZERO, event)));
        }
        if !batch.pen {
            let gone = self.pen.take().map(|pen| InputEvent::Pen(pen.away()));
            out.events.extend(gone.map(|event| (InputSeq(0), Span::ZERO, event)));
        }
        // A modifier that a lease released is pressed again: it types nothing by itself.
        for code in batch.held.iter().copied().filter(|k| is_modifier(*k)) {
            if self.keys.insert(code) {
                out.events.push((InputSeq(0), Span::ZERO, InputEvent::Key { code, action: KeyMove::Down }));
            }
        }
    }

    /// Time passes: whose lease ended?
    // spec: H-21
    pub fn on_time(&mut self, now: Stamp<HostClock>) -> Vec<InputEvent> {
        if self.lease_ends().is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.release_all()
    }

    /// Everything held is let go.
    pub fn release_all(&mut self) -> Vec<InputEvent> {
        let keys = std::mem::take(&mut self.keys);
        let buttons = std::mem::take(&mut self.buttons);
        let fingers = std::mem::take(&mut self.fingers);
        let ups = keys.into_iter().map(|code| InputEvent::Key { code, action: KeyMove::Up });
        let ups = ups.chain(buttons.into_iter().map(|button| InputEvent::Button { button, down: false }));
        let ups = ups.chain(fingers.into_iter().map(|(finger, at)| cancel(finger, at)));
        ups.chain(self.pen.take().map(|pen| InputEvent::Pen(pen.away()))).collect()
    }

    /// When the leases end if nothing refreshes them.
    pub fn lease_ends(&self) -> Option<Stamp<HostClock>> {
        let nothing = self.keys.is_empty() && self.buttons.is_empty() && self.fingers.is_empty() && self.pen.is_none();
        (!nothing).then(|| self.refreshed + LEASE)
    }

    /// The number of the first event that is not done with.
    pub const fn expects(&self) -> InputSeq {
        InputSeq(self.next)
    }

    /// What the viewer is told.
    pub const fn report(&self) -> InputReport {
        InputReport { done: InputSeq(self.next.saturating_sub(1)), dropped: self.dropped }
    }

    /// Whether anything is held.
    pub fn holds_anything(&self) -> bool {
        self.lease_ends().is_some()
    }
}

/// A finger that was here is taken away without its viewer's having said so.
const fn cancel(finger: u8, at: Point<Desk>) -> InputEvent {
    InputEvent::Touch { finger, phase: TouchPhase::Cancel, at, pressure: 0 }
}

/// Control, Shift, Alt and Super, left and right (`input-event-codes.h`).
const fn is_modifier(key: KeyCode) -> bool {
    matches!(key.0, 29 | 42 | 54 | 56 | 97 | 100 | 125 | 126)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: KeyCode = KeyCode(30);
    const SHIFT: KeyCode = KeyCode(42);

    fn at(ms: u64) -> Stamp<HostClock> {
        Stamp::from_micros(ms * 1_000)
    }

    fn key(code: KeyCode, action: KeyMove) -> InputEvent {
        InputEvent::Key { code, action }
    }

    fn batch(first: u32, floor: u32, events: &[(u64, InputEvent)], held: &[KeyCode]) -> InputBatch {
        InputBatch {
            first: InputSeq(first),
            floor: InputSeq(floor),
            events: events.iter().map(|(ms, e)| (Span::millis(*ms), e.clone())).collect(),
            held: held.to_vec(),
            ..InputBatch::default()
        }
    }

    fn feed(g: &mut InputGate, ms: u64, b: &InputBatch) -> Vec<InputEvent> {
        let now = at(ms);
        g.on_batch(now, b, |age| now - age).expect("well formed").events.into_iter().map(|(_, _, e)| e).collect()
    }

    // spec: H-17
    #[test]
    fn repeated_and_reordered_batches_deliver_each_event_once_and_in_order() {
        let mut g = InputGate::new();
        let (down, up) = (key(A, KeyMove::Down), key(A, KeyMove::Up));
        assert_eq!(feed(&mut g, 10, &batch(2, 1, &[(0, up.clone())], &[])), vec![]);
        let both = batch(1, 1, &[(0, down.clone()), (0, up.clone())], &[]);
        assert_eq!(feed(&mut g, 11, &both), vec![down, up]);
        assert_eq!(feed(&mut g, 12, &both), vec![]);
        assert_eq!(g.report(), InputReport { done: InputSeq(2), dropped: 0 });
    }

    // spec: H-19, D-21
    #[test]
    fn what_is_too_old_is_dropped_and_counted_but_letting_go_is_not() {
        let mut g = InputGate::new();
        assert_eq!(feed(&mut g, 2_900, &batch(1, 1, &[(0, key(A, KeyMove::Down))], &[A])).len(), 1);
        let late = batch(2, 2, &[(2_100, key(KeyCode(31), KeyMove::Down)), (2_100, key(A, KeyMove::Up))], &[]);
        assert_eq!(feed(&mut g, 3_000, &late), vec![key(A, KeyMove::Up)]);
        assert_eq!(g.report(), InputReport { done: InputSeq(3), dropped: 1 });
    }

    // spec: H-18
    #[test]
    fn events_given_up_by_the_viewer_are_counted_and_not_waited_for() {
        let mut g = InputGate::new();
        assert_eq!(feed(&mut g, 0, &batch(5, 5, &[(0, key(A, KeyMove::Down))], &[A])).len(), 1);
        assert_eq!(g.report(), InputReport { done: InputSeq(5), dropped: 4 });
    }

    /// The first event never comes, and what follows it comes as fast as a link carries it.
    // spec: H-17, F-1
    #[test]
    fn a_flood_behind_a_gap_takes_bounded_memory_and_the_gate_goes_on() {
        let mut g = InputGate::new();
        let events: Vec<(u64, InputEvent)> = (0..32).map(|_| (0, InputEvent::PointerBy { dx: 1, dy: 0 })).collect();
        for n in 0..10_000u32 {
            assert_eq!(feed(&mut g, 10, &batch(2 + n * 32, 1, &events, &[])), vec![]);
        }
        assert_eq!(g.waiting.len(), MOST_WAITING);
        let far = batch(1 << 26, 1, &events, &[]);
        assert_eq!(g.on_batch(at(10), &far, |age| at(10) - age), Err(Fault::InputOutOfOrder));
        // It gives up what it never said: what is here goes out, the rest is counted, and what is said after it arrives.
        let next = 2 + 10_000 * 32;
        let after = batch(next, next, &[(0, key(A, KeyMove::Down))], &[A]);
        assert_eq!(feed(&mut g, 20, &after).len(), MOST_WAITING);
        assert_eq!(feed(&mut g, 21, &after), vec![key(A, KeyMove::Down)]);
        assert_eq!(g.report(), InputReport { done: InputSeq(next), dropped: next - 1 - MOST_WAITING as u32 });
    }

    // spec: H-21, H-22
    #[test]
    fn a_lease_ends_unless_refreshed_and_modifiers_come_back() {
        let mut g = InputGate::new();
        let (a, shift) = (key(A, KeyMove::Down), key(SHIFT, KeyMove::Down));
        feed(&mut g, 0, &batch(1, 1, &[(0, shift.clone()), (0, a)], &[SHIFT, A]));
        feed(&mut g, 200, &batch(3, 3, &[], &[SHIFT, A]));
        assert!(g.on_time(at(449)).is_empty());
        assert_eq!(g.on_time(at(450)).len(), 2);
        assert!(!g.holds_anything());
        // The hold is heard of again: Shift returns, the letter does not.
        assert_eq!(feed(&mut g, 500, &batch(3, 3, &[], &[SHIFT, A])), vec![shift]);
    }

    // spec: H-22
    #[test]
    fn a_key_the_viewer_no_longer_holds_is_released() {
        let mut g = InputGate::new();
        feed(&mut g, 0, &batch(1, 1, &[(0, key(A, KeyMove::Down))], &[A]));
        assert_eq!(feed(&mut g, 10, &batch(2, 2, &[], &[])), vec![key(A, KeyMove::Up)]);
        // An old batch that still says "held" changes nothing.
        assert_eq!(feed(&mut g, 11, &batch(1, 1, &[(0, key(A, KeyMove::Down))], &[A])), vec![]);
    }

    const PEN: Pen =
        Pen { at: Point::new(5, 6), pressure: 9, tilt: (0, 0), touching: true, eraser: false, buttons: 1, near: true };

    fn touch(finger: u8, phase: TouchPhase, x: i32) -> InputEvent {
        InputEvent::Touch { finger, phase, at: Point::new(x, 0), pressure: 0 }
    }

    // spec: H-20, H-63, H-64
    #[test]
    fn a_finger_or_pen_that_is_not_there_does_nothing() {
        let mut g = InputGate::new();
        let (down, moved, up) = (TouchPhase::Down, TouchPhase::Move, TouchPhase::Up);
        let away = InputEvent::Pen(PEN.away());
        let events: Vec<_> = [
            touch(1, moved, 1),
            touch(1, up, 1),
            away.clone(),
            touch(1, down, 2),
            touch(1, down, 3),
            touch(2, moved, 3),
            touch(1, moved, 4),
            touch(1, up, 5),
            touch(1, TouchPhase::Cancel, 5),
        ]
        .map(|e| (0, e))
        .into();
        let done = feed(&mut g, 10, &batch(1, 1, &events, &[]));
        assert_eq!(done, [touch(1, down, 2), touch(1, moved, 4), touch(1, up, 5)]);
        assert!(!g.holds_anything());
    }

    // spec: H-21, H-63, H-64
    #[test]
    fn fingers_and_a_pen_are_leases_that_nothing_brings_back() {
        let mut g = InputGate::new();
        let events =
            [(0, touch(0, TouchPhase::Down, 7)), (0, touch(3, TouchPhase::Down, 8)), (0, InputEvent::Pen(PEN))];
        let held = InputBatch { fingers: vec![0, 3], pen: true, ..batch(1, 1, &events, &[]) };
        assert_eq!(feed(&mut g, 0, &held).len(), 3);
        let refresh = InputBatch { events: vec![], first: InputSeq(4), floor: InputSeq(4), ..held };
        assert_eq!(feed(&mut g, 200, &refresh), []);
        assert!(g.on_time(at(449)).is_empty());
        let gone = [
            touch(0, TouchPhase::Cancel, 7),
            touch(3, TouchPhase::Cancel, 8),
            InputEvent::Pen(Pen { pressure: 0, touching: false, buttons: 0, near: false, ..PEN }),
        ];
        assert_eq!(g.on_time(at(450)), gone);
        // The hold is heard of again: what it did is done.
        assert_eq!(feed(&mut g, 500, &refresh), []);
        assert!(!g.holds_anything());
    }

    // spec: H-22, H-63, H-64
    #[test]
    fn a_finger_the_viewer_no_longer_has_is_taken_away() {
        let mut g = InputGate::new();
        let events =
            [(0, touch(0, TouchPhase::Down, 7)), (0, touch(1, TouchPhase::Down, 8)), (0, InputEvent::Pen(PEN))];
        let held = InputBatch { fingers: vec![0, 1], pen: true, ..batch(1, 1, &events, &[]) };
        feed(&mut g, 0, &held);
        let one = InputBatch { fingers: vec![1], ..batch(4, 4, &[], &[]) };
        assert_eq!(feed(&mut g, 10, &one), [touch(0, TouchPhase::Cancel, 7), InputEvent::Pen(PEN.away())]);
        assert_eq!(feed(&mut g, 20, &batch(4, 4, &[(0, InputEvent::Blur)], &[])), [InputEvent::Blur]);
        assert!(!g.holds_anything());
    }

    /// A first tap, press or stroke at a window is told before the keyboard that it brings there.
    // spec: H-23
    #[test]
    fn the_keyboard_that_comes_releases_keys_alone() {
        let mut g = InputGate::new();
        let left = |down| InputEvent::Button { button: Button::Left, down };
        let focus = InputEvent::Focus { caps: false, num: false };
        let down = [key(A, KeyMove::Down), touch(0, TouchPhase::Down, 7), left(true), InputEvent::Pen(PEN), focus];
        let after =
            [touch(0, TouchPhase::Move, 8), left(false), touch(0, TouchPhase::Up, 9), InputEvent::Pen(PEN.away())];
        let begun = InputBatch {
            buttons: vec![Button::Left],
            fingers: vec![0],
            pen: true,
            ..batch(1, 1, &down.clone().map(|e| (0, e)), &[])
        };
        assert_eq!(feed(&mut g, 0, &begun), down);
        assert_eq!(feed(&mut g, 10, &batch(6, 6, &[(0, key(A, KeyMove::Up))], &[])).first(), Some(&left(false)));
        let mut g = InputGate::new();
        feed(&mut g, 0, &begun);
        assert_eq!(feed(&mut g, 10, &batch(6, 6, &after.clone().map(|e| (0, e)), &[])), after);
        assert!(!g.holds_anything());
    }

    // spec: H-19
    #[test]
    fn a_pen_is_lifted_however_late_and_draws_nothing_late() {
        let mut g = InputGate::new();
        let late = |first, event: Pen| InputBatch {
            pen: true,
            ..batch(first, first, &[(2_100, InputEvent::Pen(event))], &[])
        };
        let first = InputBatch { pen: true, ..batch(1, 1, &[(0, InputEvent::Pen(PEN))], &[]) };
        assert_eq!(feed(&mut g, 2_900, &first).len(), 1);
        assert_eq!(feed(&mut g, 3_000, &late(2, PEN)), []);
        let hovers = Pen { pressure: 0, touching: false, ..PEN };
        assert_eq!(feed(&mut g, 3_001, &late(3, hovers)), [InputEvent::Pen(hovers)]);
        assert_eq!(feed(&mut g, 3_002, &late(4, hovers)), []);
        assert_eq!(feed(&mut g, 3_003, &late(5, PEN.away())), [InputEvent::Pen(PEN.away())]);
    }
}
