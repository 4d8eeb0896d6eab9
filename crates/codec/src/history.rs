//! The way back: for each coded slice, what its pixels were before.
//!
//! A viewer that gave up holds exactly what some slice left. Undoing the slices after it, newest first, gives the same
//! pixels here. What is kept is the old contents of the touched rectangles, bounded in bytes; the oldest goes first.
//! A rectangle in one colour keeps that colour only, and a move the pixels that it overwrote without having copied
//! them elsewhere: the rest is copied back.

use crate::encoder::{SlotMap, SlotWas};
use crate::{fill, shift};
use std::collections::VecDeque;
use telepane_model::{Bytes, Pixels, Rect, Region, Surf, UpdateId};

/// How many buffers are kept for reuse, and how large one is: what a full screen in slices of 9600 bytes takes. Smaller
/// ones come from the allocator at no cost.
const SPARES: usize = 16;
const SPARE_LEAST: usize = 64 << 10;
const SPARE_MOST: usize = 1 << 20;

/// How to undo one slice.
#[derive(Debug)]
pub struct Undo {
    /// The slice.
    pub id: UpdateId,
    /// The state it was coded against.
    pub base: UpdateId,
    steps: Vec<Step>,
    data: Vec<u8>,
    /// Slots of the tile cache that it put to, in its order, and what they held.
    slots: Vec<SlotWas>,
}

/// What is undone, the last one first.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The rectangle's old pixels are the last in `data`.
    Pixels(Rect<Surf>),
    /// The rectangle had one colour.
    Colour(Rect<Surf>, [u8; 3]),
    /// The pixels of the first came to the second; what the second had outside the first was kept by the steps before.
    Back(Rect<Surf>, Rect<Surf>),
}

impl Undo {
    /// Nothing to undo yet.
    pub const fn new(id: UpdateId, base: UpdateId) -> Self {
        Self { id, base, steps: Vec::new(), data: Vec::new(), slots: Vec::new() }
    }

    /// Remembers what a slot of the tile cache held.
    pub fn save_slot(&mut self, was: SlotWas) {
        self.slots.push(was);
    }

    /// Keeps what `rect` holds, before it is overwritten. `rect` lies inside `pixels`.
    pub fn save(&mut self, pixels: &Pixels, rect: Rect<Surf>) {
        if let Some(colour) = fill::solid(pixels, rect) {
            self.steps.push(Step::Colour(rect, colour));
            return;
        }
        self.data.reserve(rect.area() as usize * 4);
        for row in pixels.rows(rect) {
            self.data.extend_from_slice(row);
        }
        self.steps.push(Step::Pixels(rect));
    }

    /// Keeps what is needed to undo the copy of `from` to `to`, before it is made. Both lie inside `pixels`.
    pub fn save_move(&mut self, pixels: &Pixels, from: Rect<Surf>, to: Rect<Surf>) {
        let mut lost = Region::from(to);
        lost.subtract(from);
        lost.rects().iter().for_each(|r| self.save(pixels, *r));
        self.steps.push(Step::Back(from, to));
    }

    /// Puts everything back.
    pub fn restore(&self, pixels: &mut Pixels) {
        let mut end = self.data.len();
        for step in self.steps.iter().rev() {
            match *step {
                Step::Colour(rect, colour) => pixels.fill(rect, colour),
                Step::Back(from, to) => shift::copy(pixels, to, from),
                Step::Pixels(rect) => {
                    let mut at = end.saturating_sub(rect.area() as usize * 4);
                    end = at;
                    for y in rect.y..rect.bottom() {
                        let row = pixels.row_mut(rect.x as u32, y as u32, rect.w);
                        if let Some(old) = self.data.get(at..at + row.len()) {
                            row.copy_from_slice(old);
                        }
                        at += row.len();
                    }
                }
            }
        }
    }

    fn bytes(&self) -> u64 {
        let lists = self.steps.capacity() * size_of::<Step>() + self.slots.capacity() * size_of::<SlotWas>();
        (size_of::<Self>() + self.data.capacity() + lists) as u64
    }
}

/// The chain of slices that can be undone.
#[derive(Debug)]
pub struct History {
    undos: VecDeque<Undo>,
    /// Memory to use again: fresh pages cost as much as coding text does.
    spare: Vec<Vec<u8>>,
    now: UpdateId,
    bytes: u64,
    limit: u64,
}

impl History {
    /// At the black framebuffer, keeping at most `limit`.
    pub const fn new(limit: Bytes) -> Self {
        Self { undos: VecDeque::new(), spare: Vec::new(), now: UpdateId::BLANK, bytes: 0, limit: limit.0 }
    }

    /// At the state `now`, of which nothing before is known.
    pub fn at(now: UpdateId, limit: Bytes) -> Self {
        Self { now, ..Self::new(limit) }
    }

    /// The state that was reached.
    pub const fn now(&self) -> UpdateId {
        self.now
    }

    /// The oldest state that can be returned to.
    pub fn oldest(&self) -> UpdateId {
        self.undos.front().map_or(self.now, |u| u.base)
    }

    /// Memory held.
    pub const fn kept(&self) -> Bytes {
        Bytes(self.bytes)
    }

    /// The way back from slice `id`, which is about to be coded.
    pub fn begin(&mut self, id: UpdateId) -> Undo {
        let data = self.spare.pop().unwrap_or_default();
        self.bytes = self.bytes.saturating_sub(data.capacity() as u64);
        Undo { data, ..Undo::new(id, self.now) }
    }

    /// A slice was coded.
    pub fn push(&mut self, mut undo: Undo) {
        if undo.data.capacity() > undo.data.len() * 2 {
            // A little change takes a little memory; the large one serves the next large change.
            let exact = undo.data.as_slice().to_vec();
            let large = core::mem::replace(&mut undo.data, exact);
            self.recycle(large);
        }
        self.now = undo.id;
        self.bytes += undo.bytes();
        self.undos.push_back(undo);
        while self.bytes > self.limit {
            if let Some(data) = self.spare.pop() {
                self.bytes = self.bytes.saturating_sub(data.capacity() as u64);
            } else if !self.drop_oldest() {
                break;
            }
        }
    }

    /// States before `applied` are not needed any more.
    pub fn confirm(&mut self, applied: UpdateId) {
        while self.undos.front().is_some_and(|u| u.id <= applied) {
            let Some(undo) = self.undos.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(undo.bytes());
            self.recycle(undo.data);
        }
    }

    /// Keeps memory for later if it is worth it. Full of nothing it counts as well.
    fn recycle(&mut self, mut data: Vec<u8>) {
        let room = data.capacity();
        if self.spare.len() < SPARES && (SPARE_LEAST..=SPARE_MOST).contains(&room) {
            self.bytes += room as u64;
            data.clear();
            self.spare.push(data);
        }
    }

    /// Takes `pixels` and what is known of the viewer's slots back to what slice `base` left; false, and nothing touched,
    /// if that is not kept.
    pub fn return_to(&mut self, base: UpdateId, pixels: &mut Pixels, slots: &mut SlotMap) -> bool {
        if base != self.now && !self.undos.iter().any(|u| u.base == base) {
            return false;
        }
        while self.now != base {
            let Some(undo) = self.undos.pop_back() else { return false };
            self.bytes = self.bytes.saturating_sub(undo.bytes());
            undo.restore(pixels);
            undo.slots.iter().rev().for_each(|was| slots.undo(*was));
            self.now = undo.base;
        }
        true
    }

    /// What `pixels`, which show the state that was reached, were at `base`; nothing, if that is not kept.
    pub fn pixels_at(&self, base: UpdateId, pixels: &Pixels) -> Option<Pixels> {
        let mut at = self.now;
        let undone = self.undos.iter().rev().take_while(|u| {
            let before = core::mem::replace(&mut at, u.base);
            before != base
        });
        let undone: Vec<_> = undone.collect();
        let reached = undone.last().map_or(self.now, |u| u.base);
        (reached == base).then(|| {
            let mut pixels = pixels.clone();
            undone.into_iter().for_each(|u| u.restore(&mut pixels));
            pixels
        })
    }

    fn drop_oldest(&mut self) -> bool {
        let oldest = self.undos.pop_front();
        self.bytes = self.bytes.saturating_sub(oldest.as_ref().map_or(0, Undo::bytes));
        oldest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    #[test]
    fn every_kept_state_comes_back() {
        let mut rng = Rng::new(8);
        let mut pixels = Pixels::new(Size::new(30, 30));
        let mut history = History::new(Bytes(1 << 20));
        let mut states = vec![pixels.clone()];
        for id in 1..=12u32 {
            let mut undo = Undo::new(UpdateId(id), UpdateId(id - 1));
            for _ in 0..3 {
                let r = Rect::new(rng.below(20) as i32, rng.below(20) as i32, 5, 7);
                match rng.below(3) {
                    0 => {
                        let from = Rect::new(rng.below(20) as i32, rng.below(20) as i32, 5, 7);
                        undo.save_move(&pixels, from, r);
                        shift::copy(&mut pixels, from, r);
                    }
                    1 => {
                        undo.save(&pixels, r);
                        pixels.fill(r, [rng.next_u64() as u8, 1, 2]);
                    }
                    _ => {
                        undo.save(&pixels, r);
                        for y in r.y..r.bottom() {
                            let row = pixels.row_mut(r.x as u32, y as u32, r.w).as_chunks_mut::<4>().0;
                            row.iter_mut().for_each(|px| px[1] = rng.next_u64() as u8);
                        }
                    }
                }
            }
            history.push(undo);
            states.push(pixels.clone());
        }
        history.confirm(UpdateId(3));
        assert_eq!(history.oldest(), UpdateId(3));
        assert!(!history.return_to(UpdateId(2), &mut pixels, &mut SlotMap::default()));
        assert!(pixels == states[12]);
        for base in [12, 9, 8, 3] {
            assert!(history.return_to(UpdateId(base), &mut pixels, &mut SlotMap::default()));
            assert!(pixels == states[base as usize]);
            assert_eq!(history.now(), UpdateId(base));
        }
        assert_eq!(history.kept(), Bytes(0));
    }

    #[test]
    fn memory_is_bounded() {
        let mut pixels = Pixels::new(Size::new(100, 100));
        let mut history = History::new(Bytes(100_000));
        for id in 1..=50 {
            let mut undo = Undo::new(UpdateId(id), UpdateId(id - 1));
            undo.save(&pixels, Rect::new(0, 0, 70, 70));
            let noise = pixels.data_mut().as_chunks_mut::<4>().0;
            noise.iter_mut().enumerate().for_each(|(i, px)| px[0] = (i % 251) as u8);
            history.push(undo);
            assert!(history.kept() <= Bytes(100_000));
        }
        assert_eq!(history.now(), UpdateId(50));
        assert!(history.oldest() > UpdateId(40));
    }
}
