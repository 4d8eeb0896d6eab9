//! Slices on their way: cut into shards, sent, acknowledged, sent again, and forgotten once the viewer has them.

use crate::viewer::{SHARD_COST, SLICE_COST};
use std::collections::{BTreeMap, VecDeque};
use telepane_model::{Epoch, HostClock, Stamp, SurfaceId, UpdateId};
use telepane_protocol::{MAX_DATA_SHARDS, Shard, SliceBody};

/// Slices not yet confirmed, of one surface in one epoch.
#[derive(Debug, Default)]
pub struct Outbox {
    slices: BTreeMap<UpdateId, OutSlice>,
    /// Shards never sent, in coding order.
    fresh: VecDeque<ShardRef>,
    /// Shards to send again; they go first.
    repair: VecDeque<ShardRef>,
    fresh_bytes: usize,
}

/// One shard of one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardRef {
    /// The slice.
    pub id: UpdateId,
    /// The shard.
    pub index: u8,
}

#[derive(Debug)]
struct OutSlice {
    header: Shard,
    shards: Vec<Vec<u8>>,
    arrived: Vec<bool>,
    queued: Vec<bool>,
    /// When it was coded, until its journey says how long it waited.
    unstamped: Option<Stamp<HostClock>>,
}

/// A slice ready to be cut.
#[derive(Debug)]
pub struct Whole {
    /// Of which surface.
    pub surface: SurfaceId,
    /// In which epoch.
    pub epoch: Epoch,
    /// Which slice.
    pub id: UpdateId,
    /// Coded against which.
    pub base: UpdateId,
    /// The body carries the surface's size.
    pub has_size: bool,
    /// The body carries a journey.
    pub has_journey: bool,
    /// The slice ends a frame.
    pub last: bool,
    /// When it was coded, if the body carries a journey.
    pub coded: Option<Stamp<HostClock>>,
    /// The body.
    pub body: Vec<u8>,
}

impl Outbox {
    /// Cuts a slice into as few shards of at most `shard` bytes as hold it, of nearly equal size, and queues them.
    // spec: H-6, D-16
    pub fn push(&mut self, whole: Whole, shard: usize) {
        let data = whole.body.len().div_ceil(shard.max(1)).clamp(1, usize::from(MAX_DATA_SHARDS));
        let piece = whole.body.len().div_ceil(data).max(1);
        let mut shards: Vec<Vec<u8>> = whole.body.chunks(piece).map(<[u8]>::to_vec).collect();
        if shards.is_empty() {
            shards.push(Vec::new());
        }
        let header = Shard {
            surface: whole.surface,
            epoch: whole.epoch,
            id: whole.id,
            base: whole.base,
            has_size: whole.has_size,
            has_journey: whole.has_journey,
            last: whole.last,
            index: 0,
            data: shards.len() as u8,
            parity: 0,
            total: if shards.len() > 1 { whole.body.len() as u32 } else { 0 },
            payload: Vec::new(),
        };
        self.fresh.extend((0..shards.len()).map(|i| ShardRef { id: whole.id, index: i as u8 }));
        self.fresh_bytes += whole.body.len();
        let n = shards.len();
        let slice =
            OutSlice { header, shards, arrived: vec![false; n], queued: vec![false; n], unstamped: whole.coded };
        self.slices.insert(whole.id, slice);
    }

    /// The shard that goes next and whether it is a repair, without taking it.
    // spec: H-7
    pub fn peek(&mut self) -> Option<(ShardRef, usize, bool)> {
        while let Some(r) = self.repair.front() {
            match self.slices.get(&r.id).and_then(|s| s.pending(r.index)) {
                Some(len) => return Some((*r, len, true)),
                None => self.repair.pop_front(),
            };
        }
        let r = *self.fresh.front()?;
        Some((r, self.slices.get(&r.id).and_then(|s| s.shards.get(usize::from(r.index))).map_or(0, Vec::len), false))
    }

    /// Takes what [`Outbox::peek`] showed.
    pub fn take(&mut self, now: Stamp<HostClock>) -> Option<(ShardRef, Shard)> {
        let (r, len, repair) = self.peek()?;
        if repair {
            self.repair.pop_front();
        } else {
            self.fresh.pop_front();
            self.fresh_bytes = self.fresh_bytes.saturating_sub(len);
        }
        let slice = self.slices.get_mut(&r.id)?;
        if let Some(queued) = slice.queued.get_mut(usize::from(r.index)) {
            *queued = false;
        }
        // The first shard to leave says how long the slice waited here; what is sent again says the same.
        if let (0, Some(coded), Some(front)) = (r.index, slice.unstamped.take(), slice.shards.first_mut()) {
            SliceBody::stamp_queued(front, slice.header.has_size, now.since(coded));
        }
        let payload = slice.shards.get(usize::from(r.index)).cloned().unwrap_or_default();
        Some((r, Shard { index: r.index, payload, ..slice.header.clone() }))
    }

    /// A shard arrived.
    pub fn on_arrived(&mut self, r: ShardRef) {
        if let Some(arrived) = self.slices.get_mut(&r.id).and_then(|s| s.arrived.get_mut(usize::from(r.index))) {
            *arrived = true;
        }
    }

    /// A shard was lost: queue it again if it still matters. Says whether it does.
    // spec: H-7, H-9
    pub fn on_lost(&mut self, r: ShardRef) -> bool {
        let Some(slice) = self.slices.get_mut(&r.id) else { return false };
        if slice.pending(r.index).is_none() {
            return false;
        }
        if let Some(queued) = slice.queued.get_mut(usize::from(r.index))
            && !std::mem::replace(queued, true)
        {
            // The oldest slice first: everything behind it waits for it.
            let at = self.repair.partition_point(|q| q.id <= r.id);
            self.repair.insert(at, r);
        }
        true
    }

    /// The viewer has applied everything up to `id`.
    pub fn confirm(&mut self, id: UpdateId) {
        self.slices = self.slices.split_off(&id.next());
        self.drop_orphans();
    }

    /// Nothing after `base` is wanted any more.
    pub fn discard_after(&mut self, base: UpdateId) {
        self.slices.split_off(&base.next());
        self.drop_orphans();
    }

    fn drop_orphans(&mut self) {
        let slices = &self.slices;
        self.fresh.retain(|r| slices.contains_key(&r.id));
        self.repair.retain(|r| slices.contains_key(&r.id));
        self.fresh_bytes = self
            .fresh
            .iter()
            .filter_map(|r| slices.get(&r.id).and_then(|s| s.shards.get(usize::from(r.index))))
            .map(Vec::len)
            .sum();
    }

    /// Whether something waits to be sent, for the first time or again.
    pub fn is_idle(&mut self) -> bool {
        self.peek().is_none()
    }

    /// What slices that are not confirmed may take at the viewer while they wait for their turn.
    pub fn waiting_bytes(&self) -> u64 {
        self.slices.values().map(OutSlice::cost).sum()
    }

    /// Bytes coded and never sent.
    pub const fn fresh_bytes(&self) -> usize {
        self.fresh_bytes
    }
}

impl OutSlice {
    // spec: V-5
    fn cost(&self) -> u64 {
        let payload: usize = self.shards.iter().map(Vec::len).sum();
        (SLICE_COST + self.shards.len() * SHARD_COST + payload) as u64
    }

    /// The shard's size, if it has been sent and is not known to have arrived.
    fn pending(&self, index: u8) -> Option<usize> {
        let i = usize::from(index);
        if *self.arrived.get(i)? { None } else { self.shards.get(i).map(Vec::len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(id: u32, len: usize) -> Whole {
        Whole {
            surface: SurfaceId(0),
            epoch: Epoch(1),
            id: UpdateId(id),
            base: UpdateId(id - 1),
            has_size: false,
            has_journey: false,
            last: true,
            coded: None,
            body: vec![id as u8; len],
        }
    }

    // spec: H-6, H-7, H-9
    #[test]
    fn shards_are_even_and_repairs_go_first() {
        let mut o = Outbox::default();
        o.push(whole(1, 2_500), 1_200);
        o.push(whole(2, 10), 1_200);
        let first: Vec<_> =
            (0..3).filter_map(|_| o.take(Stamp::ZERO)).map(|(r, s)| (r.index, s.payload.len())).collect();
        assert_eq!(first, vec![(0, 834), (1, 834), (2, 832)]);
        assert!(o.on_lost(ShardRef { id: UpdateId(1), index: 1 }));
        assert!(o.on_lost(ShardRef { id: UpdateId(1), index: 1 }), "told twice, queued once");
        assert_eq!(o.take(Stamp::ZERO).map(|(r, _)| r), Some(ShardRef { id: UpdateId(1), index: 1 }));
        assert_eq!(o.take(Stamp::ZERO).map(|(r, _)| r.id), Some(UpdateId(2)));
        assert!(o.take(Stamp::ZERO).is_none());
    }

    // spec: H-9, H-10
    #[test]
    fn what_is_confirmed_or_given_up_is_not_sent_again() {
        let mut o = Outbox::default();
        (1..=3).for_each(|id| o.push(whole(id, 10), 1_200));
        while o.take(Stamp::ZERO).is_some() {}
        o.confirm(UpdateId(1));
        assert!(!o.on_lost(ShardRef { id: UpdateId(1), index: 0 }));
        assert!(o.on_lost(ShardRef { id: UpdateId(3), index: 0 }));
        o.discard_after(UpdateId(2));
        assert!(o.take(Stamp::ZERO).is_none());
        assert_eq!(o.slices.len(), 1);
    }
}
