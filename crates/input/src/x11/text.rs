//! Typing text that no held key gives: each character by the key that has it, else by a borrowed key.
//!
//! A character on the keymap is tapped with exactly the modifiers its level needs, put in effect as locked modifiers
//! (XkbLatchLockState) rather than by pressing Shift keys: that is atomic, needs no Shift key, and takes Caps Lock and Num
//! Lock out of the way. Held Shift, Ctrl, Alt or AltGr keys of ours are lifted for the while and pressed again. A modifier
//! that somebody holds on the host's own keyboard cannot be lifted and does distort.
//!
//! A character not on the keymap is put on a spare key. Applications read the changed keymap when they see the notice,
//! later than the server; so a borrowed key keeps its character as long as it can, all that one text needs are bound
//! together, a short pause follows, and a key is bound anew only some time after its last tap. They are given back by
//! [`Injector::rest`](crate::Injector::rest), on drop, and by the guard.

use std::time::{Duration, Instant};

use tracing::debug;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::ConnectionExt as _;
use xkeysym::Keysym;

use super::keymap::{Keymap, Spare, Stroke};
use super::{Held, X11};
use crate::Gone;
use crate::guard::{Entry, lock, map, repeats};

/// Between binding keys and tapping them: toolkits that defer reading the keymap do so within one turn of their loop.
const SETTLE: Duration = Duration::from_millis(8);
/// Between the last tap of a borrowed key and another character on it: what an application under load may lag behind.
/// With 60 ms an xterm on a machine under load typed wrong characters.
const REUSE: Duration = Duration::from_millis(250);

/// One borrowed or borrowable key.
#[derive(Debug)]
struct Slot {
    spare: Spare,
    /// The keysym on it now, and whether its auto-repeat was on before.
    bound: Option<(u32, bool)>,
    /// When it was last tapped, in turns of [`Pool::turn`].
    used: u64,
    /// The same by the clock.
    tapped: Option<Instant>,
}

/// The keys that text may borrow.
#[derive(Debug)]
pub(super) struct Pool {
    slots: Vec<Slot>,
    turn: u64,
}

/// What to do for one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tap {
    Stroke(Stroke),
    /// By a borrowed key with this keysym.
    Borrowed(u32),
}

impl Pool {
    pub(super) fn new(keymap: &Keymap) -> Self {
        let slot = |spare: &Spare| Slot { spare: spare.clone(), bound: None, used: 0, tapped: None };
        Self { slots: keymap.spare.iter().map(slot).collect(), turn: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether this key carries borrowed text now.
    pub(super) fn lends(&self, key: u8) -> bool {
        self.slots.iter().any(|slot| slot.spare.key == key && slot.bound.is_some())
    }

    /// Whether a notice about `count` keys from `first` speaks of keys of this pool only: our own change.
    pub(super) fn covers(&self, first: u8, count: u8) -> bool {
        count > 0
            && (u16::from(first)..u16::from(first) + u16::from(count))
                .all(|key| self.slots.iter().any(|slot| u16::from(slot.spare.key) == key))
    }

    /// After the keymap was read anew: forgets borrowed keys that somebody else has overwritten, and gives those; takes
    /// the new keymap's spare keys beside the ones still bound.
    pub(super) fn reconcile(&mut self, keymap: &Keymap) -> Vec<u8> {
        let (kept, gone): (Vec<Slot>, Vec<Slot>) = std::mem::take(&mut self.slots)
            .into_iter()
            .partition(|slot| slot.bound.is_some_and(|(sym, _)| keymap.first_sym(slot.spare.key) == sym));
        self.slots = kept;
        for spare in &keymap.spare {
            if !self.slots.iter().any(|slot| slot.spare.key == spare.key) {
                self.slots.push(Slot { spare: spare.clone(), bound: None, used: 0, tapped: None });
            }
        }
        gone.iter().filter(|slot| slot.bound.is_some()).map(|slot| slot.spare.key).collect()
    }

    /// The keys that carry borrowed text now.
    pub(super) fn bound(&self) -> impl Iterator<Item = u8> {
        self.slots.iter().filter(|slot| slot.bound.is_some()).map(|slot| slot.spare.key)
    }

    fn find(&mut self, sym: u32) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.bound.is_some_and(|(bound, _)| bound == sym))
    }

    /// The slot to bind next: a free one, else the one tapped longest ago that `wanted` does not need.
    fn victim(&mut self, wanted: &[u32]) -> Option<&mut Slot> {
        let free = |slot: &&mut Slot| slot.bound.is_none_or(|(sym, _)| !wanted.contains(&sym));
        self.slots.iter_mut().filter(free).min_by_key(|slot| (slot.bound.is_some(), slot.used))
    }
}

impl X11 {
    pub(super) fn text(&mut self, text: &str) -> Result<(), Gone> {
        self.refresh()?;
        // Text is rare, and an empty one is the way to wait for the server.
        self.state = None;
        let state = self.state()?;
        let taps: Vec<Tap> = text.chars().filter_map(|c| self.tap_for(c, state.group)).collect();
        let lifted: Vec<Held> = self.keys.iter().copied().filter(|held| self.keymap.is_momentary(held.key)).collect();
        let mut rest = taps.as_slice();
        while !rest.is_empty() {
            let (count, wanted) = batch(rest, self.pool.len());
            let (now, later) = rest.split_at_checked(count.max(1)).unwrap_or((rest, &[]));
            self.bind(&wanted)?;
            self.tap(now, &lifted, state.locked)?;
            rest = later;
        }
        Ok(())
    }

    /// What types `c`, `None` for control characters without a key.
    pub(super) fn tap_for(&mut self, c: char, group: u8) -> Option<Tap> {
        let c = if c == '\n' { '\r' } else { c };
        match self.keymap.stroke(c, group) {
            // A key that is held cannot be pressed, and lifting it would end what it is held for.
            Some(stroke) if !self.keys.iter().any(|held| held.key == stroke.key) => Some(Tap::Stroke(stroke)),
            None if c.is_control() => None,
            _ => Some(Tap::Borrowed(Keysym::from_char(c).raw())),
        }
    }

    /// Makes every keysym in `wanted` be on some borrowed key. `wanted` is no longer than the pool.
    pub(super) fn bind(&mut self, wanted: &[u32]) -> Result<(), Gone> {
        let missing: Vec<u32> = wanted.iter().copied().filter(|&sym| self.pool.find(sym).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let turn = self.pool.turn;
        for sym in missing {
            let Some(slot) = self.pool.victim(wanted) else { break };
            if let Some(tapped) = slot.tapped.filter(|_| slot.bound.is_some()) {
                let left = REUSE.saturating_sub(now().saturating_duration_since(tapped));
                if !left.is_zero() {
                    self.conn.flush()?;
                    pause(left);
                }
            }
            let (key, original) = (slot.spare.key, slot.spare.original.clone());
            let repeat = slot.bound.map_or_else(|| self.keymap.repeats(key), |(_, repeat)| repeat);
            slot.bound = Some((sym, repeat));
            slot.used = turn;
            self.note(Entry::Borrow { key, repeat, keysyms: original });
            // Twice: a lone letter would be taken for its small form, with the capital on Shift.
            map(&self.conn, key, &[sym, sym])?;
        }
        // The reply says that the server has done it, and brings the notices of our own change with it.
        self.conn.get_input_focus()?.reply()?;
        self.listen()?;
        pause(SETTLE);
        Ok(())
    }

    /// Taps keys in order, in one write, leaving modifiers as they were.
    pub(super) fn tap(&mut self, taps: &[Tap], lifted: &[Held], locked: u8) -> Result<(), Gone> {
        self.pool.turn += 1;
        let (turn, at) = (self.pool.turn, now());
        let mut strokes: Vec<Stroke> = Vec::with_capacity(taps.len());
        for tap in taps {
            match tap {
                Tap::Stroke(stroke) => strokes.push(*stroke),
                Tap::Borrowed(sym) => match self.pool.find(*sym) {
                    Some(slot) => {
                        slot.used = turn;
                        slot.tapped = Some(at);
                        strokes.push(Stroke { key: slot.spare.key, mods: 0 });
                    }
                    None => debug!("no spare key to type keysym {sym:#x} with"),
                },
            }
        }
        let mut keys: Vec<u8> = strokes.iter().map(|stroke| stroke.key).collect();
        keys.sort_unstable();
        keys.dedup();
        self.note(Entry::Locks { mods: locked });
        self.note(Entry::Typing { keys });
        for held in lifted.iter().rev() {
            self.fake_key(false, held.key)?;
        }
        let mut mods = locked;
        for stroke in &strokes {
            if stroke.mods != mods {
                lock(&self.conn, u8::MAX, stroke.mods)?;
                mods = stroke.mods;
            }
            self.fake_key(true, stroke.key)?;
            self.fake_key(false, stroke.key)?;
        }
        if mods != locked {
            lock(&self.conn, u8::MAX, locked)?;
        }
        for held in lifted {
            self.fake_key(true, held.key)?;
        }
        self.conn.flush()?;
        self.state = None;
        self.note(Entry::Typing { keys: Vec::new() });
        self.note(Entry::Unlocks);
        Ok(())
    }

    /// Gives every borrowed key back as it was.
    pub(super) fn give_back(&mut self) -> Result<(), Gone> {
        let mut returned = Vec::new();
        for slot in &mut self.pool.slots {
            let Some((_, repeat)) = slot.bound.take() else { continue };
            map(&self.conn, slot.spare.key, &slot.spare.original)?;
            // Changing a key's meaning makes the server choose its auto-repeat anew.
            repeats(&self.conn, slot.spare.key, repeat)?;
            returned.push(slot.spare.key);
        }
        if !returned.is_empty() {
            self.conn.get_input_focus()?.reply()?;
            self.listen()?;
        }
        for key in returned {
            self.note(Entry::Return { key });
        }
        Ok(())
    }
}

/// How many taps from the front can be done with `room` borrowed keys, and the keysyms they need.
fn batch(taps: &[Tap], room: usize) -> (usize, Vec<u32>) {
    let mut wanted: Vec<u32> = Vec::new();
    for (at, tap) in taps.iter().enumerate() {
        if let Tap::Borrowed(sym) = tap
            && !wanted.contains(sym)
        {
            if wanted.len() >= room {
                return (at, wanted);
            }
            wanted.push(*sym);
        }
    }
    (taps.len(), wanted)
}

/// Waits for applications to read a keymap: they give no sign of having done so that another client could wait for.
fn pause(time: Duration) {
    let end = now() + time;
    loop {
        let left = end.saturating_duration_since(now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how far applications lag behind is decided by nobody and replayed nowhere"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_needs_no_more_keys_than_there_are() {
        let taps: Vec<Tap> = [1, 2, 1, 3, 2, 4].map(Tap::Borrowed).to_vec();
        assert_eq!(batch(&taps, 2), (3, vec![1, 2]));
        assert_eq!(batch(&taps, 3), (5, vec![1, 2, 3]));
        assert_eq!(batch(&taps, 9), (6, vec![1, 2, 3, 4]));
        assert_eq!(batch(&taps, 0), (0, vec![]));
        assert_eq!(batch(&[Tap::Stroke(Stroke { key: 9, mods: 0 })], 0), (1, vec![]));
    }
}
