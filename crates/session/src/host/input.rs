//! Input as it reaches the desktop: in order, once, never late, and never stuck.
//!
//! Keys are leases (DESIGN §3.14): a held key is released when the viewer has not said for [`LEASE`] that it is still
//! held, and an event older than [`TOO_OLD`] is not delivered, except one that lets go.

use std::collections::{BTreeMap, BTreeSet};
use telepane_model::{Button, HostClock, InputEvent, InputSeq, KeyCode, KeyMove, Span, Stamp};
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

    // spec: H-17, H-19, H-20
    fn deliver_next(&mut self, now: Stamp<HostClock>, out: &mut Delivery) {
        let Some((taken, event)) = self.waiting.remove(&self.next) else { return };
        let seq = InputSeq(self.next);
        self.next = self.next.saturating_add(1);
        let age = now.since(taken);
        if (age + self.doubt > TOO_OLD || taken < self.not_before) && !lets_go(&event) {
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
            // spec: H-23
            InputEvent::Focus { .. } | InputEvent::Blur => {
                self.keys.clear();
                self.buttons.clear();
            }
            InputEvent::Text(_)
            | InputEvent::PointerTo(_)
            | InputEvent::PointerBy { .. }
            | InputEvent::Wheel { .. } => {}
        }
        out.events.push((seq, age, event));
    }

    /// The batch says what is held after its last event, and all of its events are done: agree with it.
    // spec: H-22
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
        let ups = keys.into_iter().map(|code| InputEvent::Key { code, action: KeyMove::Up });
        ups.chain(buttons.into_iter().map(|button| InputEvent::Button { button, down: false })).collect()
    }

    /// When the leases end if nothing refreshes them.
    pub fn lease_ends(&self) -> Option<Stamp<HostClock>> {
        (!self.keys.is_empty() || !self.buttons.is_empty()).then(|| self.refreshed + LEASE)
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
}
