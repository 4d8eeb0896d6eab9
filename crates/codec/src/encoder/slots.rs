//! What the viewer's slots hold, as far as the host knows: hashes, not pixels, at most 4096 of them.
//!
//! A slot is known by the slice that changed it last. Undoing a slice (the viewer never applied it) brings back what its
//! slots held before; a new epoch forgets what slices changed that were not confirmed, since nobody knows which of them
//! the viewer applied. Slots are given out in order, then those used longest ago, of those that never served first.

use crate::cache::slots_in;
use std::collections::{BTreeMap, BTreeSet};
use telepane_model::{Bytes, TileClass, UpdateId};

/// What a slot held before a slice put something else there.
#[derive(Clone, Copy, Debug)]
pub struct SlotWas {
    slot: u16,
    held: Held,
}

/// What is known of a slot's content.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    hash: Option<u128>,
    class: TileClass,
    /// The slice of this epoch that put it there; blank for an earlier epoch's that was confirmed.
    by: UpdateId,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    held: Held,
    /// Nothing was ever put here: what the viewer offers may be believed.
    touched: bool,
    order: Order,
}

/// Who goes first when a slot is needed: the unknown, then those that never served, then the others, each by the last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Order {
    rank: u8,
    used: u64,
}

const UNKNOWN: u8 = 0;
const NEW: u8 = 1;
const SERVED: u8 = 2;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct SlotMap {
    slots: Vec<Slot>,
    /// INVARIANT: names a slot whose hash is the key.
    index: BTreeMap<u128, u16>,
    /// INVARIANT: holds every slot once, under its order.
    queue: BTreeSet<(Order, u16)>,
    served: usize,
    now: u64,
}

impl SlotMap {
    /// As many slots as `bytes` hold, none of them known.
    pub fn new(bytes: Bytes) -> Self {
        let count = slots_in(bytes);
        let queue = (0..count as u16).map(|slot| (Order::default(), slot)).collect();
        Self { slots: vec![Slot::default(); count as usize], queue, ..Self::default() }
    }

    /// Whether there are slots at all.
    pub const fn is_off(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether no slot's content is known.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// A job begins: what it uses from now on is not given to others before the next one.
    pub const fn begin(&mut self) {
        self.now += 1;
    }

    /// The slot that holds this, which is thereby used.
    // spec: C-150
    pub fn find(&mut self, hash: u128) -> Option<(u16, TileClass)> {
        let slot = *self.index.get(&hash)?;
        let class = self.slots.get(usize::from(slot))?.held.class;
        let rank = self.slots.get(usize::from(slot))?.order.rank;
        self.order(slot, Order { rank, used: self.now });
        Some((slot, class))
    }

    /// The slot served.
    pub fn served(&mut self, slot: u16) {
        self.order(slot, Order { rank: SERVED, used: self.now });
    }

    /// A slot for content that is in none, if one is not used by this job.
    pub fn put(&mut self, hash: u128, class: TileClass, by: UpdateId) -> Option<SlotWas> {
        let first = *self.queue.first()?;
        // Of those that served, three quarters of all are safe from what is only passing by.
        let many = self.served * 4 > self.slots.len() * 3;
        let oldest =
            self.queue.range((Order { rank: SERVED, used: 0 }, 0)..).next().filter(|_| many && first.0.rank > 0);
        let (order, slot) = oldest.copied().unwrap_or(first);
        if order.rank != UNKNOWN && order.used >= self.now {
            return None;
        }
        let place = self.slots.get_mut(usize::from(slot))?;
        place.touched = true;
        let was = SlotWas { slot, held: place.held };
        self.hold(slot, Held { hash: Some(hash), class, by });
        Some(was)
    }

    /// The slice that did this was never applied.
    pub fn undo(&mut self, was: SlotWas) {
        self.hold(was.slot, was.held);
    }

    /// A new epoch: what slices after `confirmed` put somewhere is not known any more.
    // spec: C-153
    pub fn next_epoch(&mut self, confirmed: UpdateId) {
        for slot in 0..self.slots.len() as u16 {
            let Some(place) = self.slots.get_mut(usize::from(slot)) else { return };
            if place.held.by > confirmed {
                self.hold(slot, Held::default());
            } else {
                place.held.by = UpdateId::BLANK;
            }
        }
    }

    /// Nothing is known of any slot, and offers are not believed any more.
    pub fn forget(&mut self) {
        for slot in 0..self.slots.len() as u16 {
            self.hold(slot, Held::default());
            self.slots.get_mut(usize::from(slot)).into_iter().for_each(|s| s.touched = true);
        }
    }

    /// The slot that should hold this may hold something else.
    pub fn distrust(&mut self, hash: u128) {
        if let Some(slot) = self.index.get(&hash).copied() {
            self.hold(slot, Held::default());
            self.slots.get_mut(usize::from(slot)).into_iter().for_each(|s| s.touched = true);
        }
    }

    /// The viewer says that it holds these from slot `first` on (0 is nothing). It is believed where nothing was put.
    // spec: C-154
    pub fn offer(&mut self, first: u32, hashes: &[u128]) {
        for (slot, hash) in (first..self.slots.len() as u32).zip(hashes) {
            let free = self.slots.get(slot as usize).is_some_and(|s| !s.touched && s.held.hash.is_none());
            if free && *hash != 0 {
                self.hold(slot as u16, Held { hash: Some(*hash), ..Held::default() });
            }
        }
    }

    fn hold(&mut self, slot: u16, held: Held) {
        let Some(place) = self.slots.get_mut(usize::from(slot)) else { return };
        let old = std::mem::replace(&mut place.held, held).hash;
        if let Some(old) = old
            && self.index.get(&old) == Some(&slot)
        {
            self.index.remove(&old);
        }
        if let Some(hash) = held.hash {
            self.index.insert(hash, slot);
        }
        let rank = if held.hash.is_some() { NEW } else { UNKNOWN };
        self.order(slot, Order { rank, used: if rank == NEW { self.now } else { 0 } });
    }

    fn order(&mut self, slot: u16, order: Order) {
        let Some(place) = self.slots.get_mut(usize::from(slot)) else { return };
        let old = std::mem::replace(&mut place.order, order);
        self.served += usize::from(order.rank == SERVED);
        self.served -= usize::from(old.rank == SERVED);
        self.queue.remove(&(old, slot));
        self.queue.insert((order, slot));
    }

    #[cfg(test)]
    fn verify(&self) {
        assert_eq!(self.queue.len(), self.slots.len());
        assert_eq!(self.served, self.slots.iter().filter(|s| s.order.rank == SERVED).count());
        for (hash, slot) in &self.index {
            assert_eq!(self.slots[usize::from(*slot)].held.hash, Some(*hash));
        }
    }
}

impl SlotWas {
    /// The slot.
    pub const fn slot(&self) -> u16 {
        self.slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    fn map(slots: u64) -> SlotMap {
        SlotMap::new(Bytes(slots << 14))
    }

    fn put(map: &mut SlotMap, hash: u128, by: u32) -> Option<u16> {
        map.put(hash, TileClass::Text, UpdateId(by)).map(|w| w.slot)
    }

    fn held(map: &mut SlotMap, hash: u128) -> Option<u16> {
        map.find(hash).map(|f| f.0)
    }

    // spec: C-150
    #[test]
    fn slots_are_given_in_order_then_the_least_useful() {
        let mut m = map(4);
        m.begin();
        assert_eq!((1..=4).map(|h| put(&mut m, h, 1)).collect::<Vec<_>>(), [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(put(&mut m, 5, 1), None, "what the job uses is not taken from it");
        m.begin();
        m.served(0);
        assert_eq!(held(&mut m, 2), Some(1));
        m.begin();
        assert_eq!(put(&mut m, 6, 2), Some(2), "neither used nor served");
        assert_eq!(held(&mut m, 3), None);
        m.begin();
        assert_eq!(put(&mut m, 7, 3), Some(3));
        m.begin();
        assert_eq!((put(&mut m, 8, 3), put(&mut m, 9, 3), put(&mut m, 10, 3)), (Some(1), Some(2), Some(3)));
        assert_eq!(held(&mut m, 1), Some(0), "what served stays longer");
        m.verify();
    }

    // spec: C-153
    #[test]
    fn undone_slices_give_their_slots_back_and_epochs_forget_the_unconfirmed() {
        let mut m = map(2);
        m.begin();
        put(&mut m, 1, 1);
        put(&mut m, 2, 2);
        m.begin();
        let was = m.put(3, TileClass::Text, UpdateId(3)).unwrap();
        assert_eq!((held(&mut m, 1), held(&mut m, 3)), (None, Some(0)));
        m.undo(was);
        assert_eq!((held(&mut m, 1), held(&mut m, 3)), (Some(0), None));
        m.next_epoch(UpdateId(1));
        assert_eq!((held(&mut m, 1), held(&mut m, 2)), (Some(0), None));
        // What was confirmed stays so in any later epoch.
        m.next_epoch(UpdateId::BLANK);
        assert_eq!(held(&mut m, 1), Some(0));
        m.verify();
    }

    // spec: C-154
    #[test]
    fn an_offer_counts_where_nothing_was_put() {
        let mut m = map(4);
        m.begin();
        put(&mut m, 1, 1);
        m.offer(0, &[7, 8, 0]);
        m.offer(3, &[9, 10, 11]);
        m.offer(u32::MAX, &[12]);
        let found: Vec<_> = [7, 8, 9, 10, 12].into_iter().map(|h| held(&mut m, h)).collect();
        assert_eq!(found, [None, Some(1), Some(3), None, None]);
        m.next_epoch(UpdateId::BLANK);
        m.offer(0, &[7]);
        assert_eq!(held(&mut m, 7), None, "a slot once put to is not what it was");
        m.verify();
    }

    // spec: C-191
    #[test]
    fn a_slot_that_is_not_trusted_is_not_found_nor_offered_again() {
        let mut m = map(2);
        m.begin();
        put(&mut m, 1, 1);
        put(&mut m, 2, 1);
        m.distrust(1);
        m.distrust(7);
        assert_eq!((held(&mut m, 1), held(&mut m, 2)), (None, Some(1)));
        m.offer(0, &[1]);
        assert_eq!(held(&mut m, 1), None);
        m.verify();
    }

    #[test]
    fn whatever_happens_the_books_agree() {
        let mut rng = Rng::new(9);
        let mut m = map(12);
        let mut undo = Vec::new();
        for n in 1..3000 {
            match rng.below(6) {
                0 => m.begin(),
                1 => drop(m.find(u128::from(rng.below(30)))),
                2 => m.served(rng.below(12) as u16),
                3 => undo.pop().into_iter().for_each(|was| m.undo(was)),
                4 if rng.below(40) == 0 => {
                    m.next_epoch(UpdateId(rng.below(n) as u32));
                    undo.clear();
                }
                _ => {
                    let hash = u128::from(rng.below(30));
                    if m.find(hash).is_none() {
                        undo.extend(m.put(hash, TileClass::Text, UpdateId(n as u32)));
                    }
                }
            }
            m.verify();
        }
    }
}
