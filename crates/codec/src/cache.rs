//! The CACHE op and the viewer's slots: tiles kept by the viewer, drawn again when the host says so.
//!
//! Payload: a verb (PUT or REF), then runs to the end. A run is tiles that follow one another in the surface's row order
//! and slots that follow one another, so a window that was kept in one sweep comes back in a few bytes: *skip* tiles
//! since the run before, *count* - 1, and how far the first slot is from the one after the run before's last. The host
//! assigns the slots; the viewer allocates one when it is first put to.
//!
//! A slot holds what [`tile_hash`] names. The host compares nothing but that: 128 bits of XXH3 over the tile's colours,
//! so that it need not hold 64 MiB of pixels for each viewer. Two tiles meet by chance once in 2^64 tiles. Whoever
//! makes two on purpose draws both of them on the host's own screen, and gains that a viewer sees one for the other.

use crate::fault::CodecFault;
use crate::kernel::COLOUR;
use crate::wire::{Reader, limits, put_signed, put_varint};
use telepane_model::{Bytes, Grid, Pixels, Rect, Surf, TILE};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// What a CACHE op does with its tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verb {
    /// Keep what the tile shows.
    Put = 0,
    /// Draw what the slot holds.
    Ref = 1,
}

/// Tiles and slots that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first tile's number in row order.
    pub tile: u32,
    /// The first slot.
    pub slot: u32,
    /// How many.
    pub count: u32,
}

/// The most bytes a run takes: two numbers up to 65,536 (tiles of the largest surface) and a slot's difference.
pub const RUN_BYTES: usize = 8;

/// How many slots so many bytes are, at most [`limits::CACHE_SLOTS`].
// spec: C-141
pub fn slots_in(bytes: Bytes) -> u32 {
    let slots = bytes.0 / limits::CACHE_SLOT_BYTES;
    u32::try_from(slots).unwrap_or(u32::MAX).min(limits::CACHE_SLOTS)
}

/// The name of what a tile shows: XXH3, 128 bits, of its pixels row by row (blue, green, red and a zero each), with the
/// width and 65536 times the height as the seed. `rect` lies inside `pixels`; `scratch` is reused.
// spec: C-151
pub fn tile_hash(pixels: &Pixels, rect: Rect<Surf>, scratch: &mut Vec<u8>) -> u128 {
    let seed = pack(pixels, rect, scratch);
    xxh3_128_with_seed(scratch, seed)
}

/// Puts what [`tile_hash`] names into `scratch`; gives the seed.
pub(crate) fn pack(pixels: &Pixels, rect: Rect<Surf>, scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    pixels.rows(rect).for_each(|row| scratch.extend_from_slice(row));
    for px in scratch.as_chunks_mut::<4>().0 {
        *px = (u32::from_le_bytes(*px) & COLOUR).to_le_bytes();
    }
    u64::from(rect.w) | u64::from(rect.h) << 16
}

/// Joins pairs of tile and slot, in the order of the tiles, to runs.
pub fn runs(pairs: impl IntoIterator<Item = (u32, u32)>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (tile, slot) in pairs {
        match runs.last_mut() {
            Some(r) if r.tile + r.count == tile && r.slot + r.count == slot => r.count += 1,
            _ => runs.push(Run { tile, slot, count: 1 }),
        }
    }
    runs
}

/// The payload that does `verb` with `runs`, whose tiles rise.
// spec: C-142 C-143
pub fn payload(verb: Verb, runs: &[Run]) -> Vec<u8> {
    let mut out = vec![verb as u8];
    let (mut tile, mut slot) = (0, 0);
    for run in runs {
        put_varint(&mut out, run.tile.saturating_sub(tile));
        put_varint(&mut out, run.count.saturating_sub(1));
        put_signed(&mut out, run.slot as i32 - slot as i32);
        (tile, slot) = (run.tile + run.count, run.slot + run.count);
    }
    out
}

/// A viewer's slots. They outlive the epoch and the connection, and belong to one host identity.
#[derive(Debug)]
pub struct TileCache {
    slots: Vec<Option<Pixels>>,
    count: u32,
}

impl TileCache {
    /// As many slots as `bytes` hold, none of them allocated.
    // spec: C-141
    pub fn new(bytes: Bytes) -> Self {
        Self { slots: Vec::new(), count: slots_in(bytes) }
    }

    /// Slots there may be.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Another number of slots was agreed; those past it are let go.
    pub fn resize(&mut self, bytes: Bytes) {
        self.count = slots_in(bytes);
        self.slots.truncate(self.count as usize);
    }

    /// Memory held, in pixels' bytes.
    pub fn kept(&self) -> Bytes {
        Bytes(self.slots.iter().flatten().map(|p| p.data().len() as u64).sum())
    }

    /// What each slot holds, by [`tile_hash`], up to the last one that holds something; 0 is an empty one.
    // spec: C-152
    pub fn hashes(&self) -> Vec<u128> {
        let mut scratch = Vec::new();
        let mut hash = |tile: &Pixels| tile_hash(tile, tile.size().rect(), &mut scratch);
        self.slots.iter().map(|s| s.as_ref().map_or(0, &mut hash)).collect()
    }

    // spec: C-144
    fn put(&mut self, slot: u32, pixels: &Pixels, rect: Rect<Surf>) {
        let at = slot as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        let Some(place) = self.slots.get_mut(at) else { return };
        match place {
            // Memory that is there is written to again.
            Some(kept) if kept.size() == rect.size() => {
                for (y, row) in pixels.rows(rect).enumerate() {
                    kept.row_mut(0, y as u32, rect.w).copy_from_slice(row);
                }
            }
            place => *place = Some(pixels.crop(rect)),
        }
    }
}

impl Default for TileCache {
    /// The most that can be agreed.
    fn default() -> Self {
        Self { slots: Vec::new(), count: limits::CACHE_SLOTS }
    }
}

/// What a slice may still do with the cache and the framebuffer, in pixels.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Pixels it may still write.
    pub write: u64,
    /// Pixels it may still keep.
    pub keep: u64,
}

/// Applies an op; adds the tiles that REF drew to `changed`. Answers how many pixels were written and kept.
// spec: C-140 C-142 C-143 C-144 C-145 C-146 C-147 C-148 C-149
pub fn apply(
    payload: &[u8],
    room: Room,
    pixels: &mut Pixels,
    cache: &mut TileCache,
    changed: &mut Vec<Rect<Surf>>,
) -> Result<Room, CodecFault> {
    let grid = Grid::new(pixels.size());
    let mut r = Reader::new(payload);
    let verb = match r.u8()? {
        0 => Verb::Put,
        1 => Verb::Ref,
        _ => return Err(CodecFault::CacheVerb),
    };
    let mut done = Room { write: 0, keep: 0 };
    let (mut tile, mut slot) = (0u64, 0i64);
    if r.is_empty() {
        return Err(CodecFault::CacheRuns);
    }
    while !r.is_empty() {
        let (skip, count) = (u64::from(r.varint()?), u64::from(r.varint()?) + 1);
        tile += skip;
        slot += i64::from(r.signed()?);
        if tile + count > grid.count() as u64 {
            return Err(CodecFault::CacheTile);
        }
        if slot < 0 || slot as u64 + count > u64::from(cache.count) {
            return Err(CodecFault::CacheSlot);
        }
        for _ in 0..count {
            let rect = grid.rect(grid.at(tile as usize));
            match verb {
                Verb::Put => {
                    done.keep += rect.area();
                    if done.keep > room.keep {
                        return Err(CodecFault::TooMuchWork);
                    }
                    cache.put(slot as u32, pixels, rect);
                }
                Verb::Ref => {
                    done.write += rect.area();
                    if done.write > room.write {
                        return Err(CodecFault::TooMuchWork);
                    }
                    let kept = cache.slots.get(slot as usize).and_then(Option::as_ref);
                    let kept = kept.ok_or(CodecFault::CacheEmpty)?;
                    if kept.size() != rect.size() {
                        return Err(CodecFault::CacheSize);
                    }
                    pixels.paste(kept, rect.x, rect.y);
                    match changed.last_mut() {
                        Some(left) if left.right() == rect.x && left.y == rect.y && left.h == rect.h => {
                            left.w += rect.w
                        }
                        _ => changed.push(rect),
                    }
                }
            }
            tile += 1;
            slot += 1;
        }
    }
    Ok(done)
}

const _: () = assert!(TILE as u64 * TILE as u64 * 4 == limits::CACHE_SLOT_BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    const ALL: Room = Room { write: 1 << 30, keep: 1 << 30 };

    fn noise(size: Size<Surf>) -> Pixels {
        let mut rng = Rng::new(3);
        let mut p = Pixels::new(size);
        p.data_mut().chunks_exact_mut(4).for_each(|px| px[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]));
        p
    }

    // spec: C-142 C-143 C-144 C-145
    #[test]
    fn kept_tiles_come_back_and_partial_ones_too() {
        let old = noise(Size::new(150, 100));
        let mut p = old.clone();
        let mut cache = TileCache::default();
        let mut changed = Vec::new();
        // Six tiles: 64, 64 and 22 wide, 64 and 36 high.
        let keep = runs([(0, 7), (1, 8), (2, 9), (4, 3), (5, 2)]);
        assert_eq!(keep.len(), 3);
        let done = apply(&payload(Verb::Put, &keep), ALL, &mut p, &mut cache, &mut changed).unwrap();
        assert_eq!((done.keep, done.write), (150 * 64 + 86 * 36, 0));
        assert!(changed.is_empty() && cache.kept() == Bytes(done.keep * 4));
        p.fill(p.size().rect(), [1, 2, 3]);
        let done = apply(&payload(Verb::Ref, &keep), ALL, &mut p, &mut cache, &mut changed).unwrap();
        assert_eq!(done.write, 150 * 64 + 86 * 36);
        assert_eq!(changed, [Rect::new(0, 0, 150, 64), Rect::new(64, 64, 86, 36)]);
        assert!(changed.iter().all(|r| p.same(&old, *r)));
        assert_eq!(p.get(63, 64), Some([1, 2, 3]));
        // The same tile elsewhere, where it fits.
        let there = [Run { tile: 1, slot: 7, count: 1 }];
        apply(&payload(Verb::Ref, &there), ALL, &mut p, &mut cache, &mut changed).unwrap();
        assert_eq!(p.get(64 + 5, 9), old.get(5, 9));
    }

    #[test]
    fn what_is_forbidden_is_named() {
        let mut p = Pixels::new(Size::new(150, 100));
        let mut cache = TileCache::new(Bytes(4 * limits::CACHE_SLOT_BYTES + 5));
        let mut run = |bytes: &[u8]| {
            let room = Room { write: 5000, keep: 5000 };
            apply(bytes, room, &mut p, &mut cache, &mut Vec::new()).map(|r| r.keep + r.write)
        };
        let one = |verb, tile, slot, count| payload(verb, &[Run { tile, slot, count }]);
        // spec: C-142
        assert_eq!(run(&[2, 0, 0, 0]), Err(CodecFault::CacheVerb));
        assert_eq!(run(&[0]), Err(CodecFault::CacheRuns));
        assert_eq!(run(&[]), Err(CodecFault::Truncated));
        // spec: C-146
        assert_eq!(run(&one(Verb::Put, 6, 0, 1)), Err(CodecFault::CacheTile));
        assert_eq!(run(&one(Verb::Ref, 5, 0, 2)), Err(CodecFault::CacheTile));
        assert_eq!(run(&[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]), Err(CodecFault::CacheTile));
        // spec: C-147
        assert_eq!(run(&one(Verb::Put, 0, 4, 1)), Err(CodecFault::CacheSlot));
        assert_eq!(run(&one(Verb::Ref, 0, 3, 2)), Err(CodecFault::CacheSlot));
        assert_eq!(run(&[0, 0, 0, 1]), Err(CodecFault::CacheSlot), "a slot below 0");
        // spec: C-148
        assert_eq!(run(&one(Verb::Ref, 0, 3, 1)), Err(CodecFault::CacheEmpty));
        assert_eq!(run(&one(Verb::Put, 0, 3, 1)), Ok(4096));
        assert_eq!(run(&one(Verb::Ref, 1, 3, 1)), Ok(4096));
        // spec: C-149
        assert_eq!(run(&one(Verb::Ref, 2, 3, 1)), Err(CodecFault::CacheSize));
        // spec: C-145
        assert_eq!(run(&one(Verb::Put, 0, 0, 2)), Err(CodecFault::TooMuchWork));
        assert_eq!(run(&[1, 0, 0, 6, 0, 0, 1]), Err(CodecFault::TooMuchWork));
    }

    // spec: C-141
    #[test]
    fn memory_is_what_was_agreed_and_no_more() {
        let mut p = noise(Size::new(640, 640));
        let agreed = Bytes(20 * limits::CACHE_SLOT_BYTES);
        let mut cache = TileCache::new(agreed);
        assert_eq!(cache.kept(), Bytes(0));
        let mut rng = Rng::new(1);
        for _ in 0..500 {
            let (tile, slot) = (rng.below(90) as u32, rng.below(22) as u32);
            let count = 1 + rng.below(10) as u32;
            let _ = apply(&payload(Verb::Put, &[Run { tile, slot, count }]), ALL, &mut p, &mut cache, &mut Vec::new());
            assert!(cache.kept() <= agreed);
        }
        assert_eq!(cache.kept(), agreed);
        cache.resize(Bytes(5 * limits::CACHE_SLOT_BYTES));
        assert_eq!((cache.kept(), cache.hashes().len()), (Bytes(5 * limits::CACHE_SLOT_BYTES), 5));
        assert_eq!(slots_in(Bytes(u64::MAX)), limits::CACHE_SLOTS);
    }

    // spec: C-151
    #[test]
    fn the_name_of_a_tile_is_its_colours_and_its_shape() {
        let p = noise(Size::new(64, 64));
        let mut q = p.clone();
        q.data_mut().chunks_exact_mut(4).for_each(|px| px[3] = 0x5a);
        let mut scratch = Vec::new();
        let mut hash = |p: &Pixels, w, h| tile_hash(p, Rect::new(0, 0, w, h), &mut scratch);
        assert_eq!(hash(&p, 64, 64), hash(&q, 64, 64));
        let black = Pixels::new(Size::new(64, 64));
        assert_ne!(hash(&black, 64, 32), hash(&black, 32, 64));
        // A second implementation's check value: 2 by 1 pixels of (1, 2, 3).
        let mut small = Pixels::new(Size::new(2, 1));
        small.fill(small.size().rect(), [1, 2, 3]);
        let expected = xxh3_128_with_seed(&[1, 2, 3, 0, 1, 2, 3, 0], 0x1_0002);
        assert_eq!(hash(&small, 2, 1), expected);
    }
}
