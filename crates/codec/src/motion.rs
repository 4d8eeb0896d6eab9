//! Finds what moved: the ways in which content seems to have gone.
//!
//! Content anchors ([`crate::kernel::anchor`]) are the same places in the same content wherever it stands. First a few
//! anchors of the new frame are tried with the vectors that are expected: those of the last frame, and capture's. If
//! none explains half of them, anchors in every eighth row of the old frame are indexed by a hash of the pixels around
//! them, and anchors of the new frame, taken from all over what changed, look theirs up and vote for the way they came,
//! until the votes are clear. [`crate::blocks`] then verifies byte for byte, so a move can be useless but never wrong.

use crate::kernel::anchor::{LEAST_BITS, REACH, anchors};
use std::collections::BTreeMap;
use telepane_model::{Pixels, Rect, Surf, Version};

/// The pixels of an anchor's key: this many from the anchor on, in its row and in the row [`BELOW`] it.
const KEY: u32 = 24;
const BELOW: u32 = 3;
/// Rows of the new frame are looked at in groups of this many.
const GROUP: usize = 8;
/// The fewest votes of a vector that is tried.
const VOTES: u32 = 4;
/// The most vectors of one search.
const VECTORS: usize = 3;
/// About how many anchors are indexed at most; in pictures, where every pixel is an edge, fewer edges are anchors.
const INDEXED: u64 = 6144;
/// A power of two with room for twice as many.
const SLOTS: usize = 1 << 14;
/// Votes that settle the matter.
const ENOUGH: u32 = 96;
/// Anchors that are looked up at most, and after how many without any vector in sight the search is given up.
const LOOKUPS: u32 = 12_000;
const PATIENCE: u32 = 3_000;
/// Anchors that expected vectors are tried on, and the fewest of them that a vector must explain.
const TRIED: usize = 192;
const EXPLAINED: usize = 16;

/// A way that content went: pixels to the right and down.
pub type Vector = (i32, i32);

/// Finds vectors; holds memory to use again.
#[derive(Default)]
pub struct Finder {
    index: Index,
    /// One row of so many is in the index, and an anchor there has so many bits; none before it is filled.
    filled: Option<(usize, u32)>,
    found: Vec<u32>,
    groups: Vec<(Rect<Surf>, i32)>,
    /// Of the last frames that were remembered, the newer one second.
    traces: [Trace; 2],
}

/// Anchors of a frame that is gone.
#[derive(Default)]
struct Trace {
    version: Version,
    index: Index,
    bits: u32,
    /// One row of so many is in the index.
    step: usize,
}

impl Finder {
    /// A new pair of frames, of the same size, or other sources.
    pub fn begin(&mut self) {
        self.filled = None;
    }

    /// The ways in which content of `sources` seems to have gone to `tiles`, best first. `expected` are tried first, and
    /// what was `tried` is not found again. From [`Finder::begin`] on the frames and the sources stay the same.
    pub fn vectors(
        &mut self,
        before: &Pixels,
        now: &Pixels,
        [sources, tiles]: [&[Rect<Surf>]; 2],
        expected: &[Vector],
        tried: &[Vector],
    ) -> Vec<Vector> {
        let sources = bands(sources);
        let (step, bits) = self.filled.unwrap_or_else(|| self.spacing(before, &sources));
        self.scatter(&bands(tiles));
        if let Some(vector) = self.expected(before, now, bits, expected) {
            return vec![vector];
        }
        if self.filled.is_none() {
            self.index.fill(before, &sources, (step, bits), &mut self.found);
            self.filled = Some((step, bits));
        }
        if self.index.count == 0 { Vec::new() } else { self.vote(now, bits, tried) }
    }

    /// Remembers what `tiles` of this frame showed; nothing, if there are none.
    pub fn remember(&mut self, frame: &Pixels, version: Version, tiles: &[Rect<Surf>]) {
        let sources = bands(tiles);
        let (step, bits) = self.spacing(frame, &sources);
        if self.traces[1].version != version {
            self.traces.swap(0, 1);
        }
        let trace = &mut self.traces[1];
        (trace.version, trace.bits, trace.step) = (version, bits, step);
        trace.index.fill(frame, &sources, (step, bits), &mut self.found);
    }

    /// Whether what `tiles` show was in the last frame that is remembered, however coarsely the viewer was shown it: two thirds
    /// in their place, or a third of the rest elsewhere, all of it by one vector.
    pub fn remembers(&mut self, now: &Pixels, version: Version, tiles: &[Rect<Surf>]) -> bool {
        self.scatter(&bands(tiles));
        let Self { found, groups, traces, .. } = self;
        let Some(Trace { index, bits, step, .. }) = traces.iter_mut().rev().find(|t| t.version < version) else {
            return false;
        };
        if index.count == 0 {
            return false;
        }
        let (mut votes, mut lookups, mut stands) = (BTreeMap::<Vector, u32>::new(), 0, 0);
        for (band, top) in groups.iter() {
            for y in *top..(*top + GROUP as i32).min(band.bottom()) {
                places(now, *band, y, *bits, found, |x, y, key| {
                    lookups += 1;
                    match index.find(key).map(|(from_x, from_y)| (x - from_x, y - from_y)) {
                        Some((0, 0)) => stands += 1,
                        Some(vector) => *votes.entry(vector).or_default() += 1,
                        None => {}
                    }
                });
            }
            if lookups >= LOOKUPS {
                break;
            }
        }
        let most = votes.into_values().max().unwrap_or(0);
        // One row of `step` can be found again.
        let all = |found: u32| found as usize * *step;
        let moved = most >= VOTES && all(most) * 3 + all(stands) >= lookups as usize;
        moved || stands >= VOTES && all(stands) * 3 >= lookups as usize * 2
    }

    /// How many rows of `bands` are one row of their index, and how many bits an anchor there has.
    fn spacing(&mut self, frame: &Pixels, bands: &[Rect<Surf>]) -> (usize, u32) {
        let area: u64 = bands.iter().map(|b| b.area()).sum();
        let step = match area {
            0..=0x1_0000 => 1,
            0x1_0001..=0x4_0000 => 2,
            0x4_0001..=0x8_0000 => 4,
            _ => 8,
        };
        (step, self.rarity(frame, bands, area / step as u64))
    }

    /// How many bits an anchor has, so that about [`INDEXED`] stand in so many pixels like those of `bands`.
    fn rarity(&mut self, frame: &Pixels, bands: &[Rect<Surf>], pixels: u64) -> u32 {
        let (mut seen, mut count) = (0, 0);
        for band in bands {
            let y = band.y + band.h as i32 / 3;
            spots(frame, *band, y, LEAST_BITS, &mut self.found, |_, _| count += 1);
            seen += u64::from(band.w);
        }
        let all = pixels * count / seen.max(1);
        LEAST_BITS + (0..6).find(|more| all >> more <= INDEXED).unwrap_or(6)
    }

    /// Lists the groups of rows of `bands` in an order that soon sees every part.
    fn scatter(&mut self, bands: &[Rect<Surf>]) {
        let rows = |band: &Rect<Surf>| (band.y..band.bottom()).step_by(GROUP);
        let all: Vec<_> = bands.iter().flat_map(|band| rows(band).map(|y| (*band, y))).collect();
        let n = all.len().max(1);
        // A stride near the golden section, without a common factor.
        let stride = (n * 618 / 1000..).find(|s| *s > 0 && gcd(*s, n) == 1).unwrap_or(1);
        self.groups.clear();
        self.groups.extend((0..all.len()).filter_map(|i| all.get(i * stride % n)));
    }

    /// The expected vector that explains at least half of some anchors that changed.
    fn expected(&mut self, before: &Pixels, now: &Pixels, bits: u32, vectors: &[Vector]) -> Option<Vector> {
        if vectors.is_empty() {
            return None;
        }
        let mut anchors: Vec<(i32, i32, u64)> = Vec::new();
        for (band, top) in &self.groups {
            places(now, *band, *top + 1, bits, &mut self.found, |x, y, key| {
                if key_at(before, x, y) != Some(key) {
                    anchors.push((x, y, key));
                }
            });
            if anchors.len() >= TRIED {
                break;
            }
        }
        let explained = |(dx, dy): &Vector| {
            let comes = |(x, y, key): &&(i32, i32, u64)| {
                let from = x.checked_sub(*dx).zip(y.checked_sub(*dy));
                from.and_then(|(x, y)| key_at(before, x, y)) == Some(*key)
            };
            anchors.iter().filter(comes).count()
        };
        let best = vectors.iter().map(|v| (explained(v), *v)).max()?;
        (best.0 >= EXPLAINED && best.0 * 2 >= anchors.len()).then_some(best.1)
    }

    fn vote(&mut self, now: &Pixels, bits: u32, tried: &[Vector]) -> Vec<Vector> {
        let mut votes: BTreeMap<Vector, u32> = BTreeMap::new();
        let (mut lookups, mut most) = (0, 0);
        let Self { index, found, groups, .. } = self;
        for (band, top) in groups.iter() {
            for y in *top..(*top + GROUP as i32).min(band.bottom()) {
                places(now, *band, y, bits, found, |x, y, key| {
                    lookups += 1;
                    let Some((from_x, from_y)) = index.find(key) else { return };
                    let vector = (x - from_x, y - from_y);
                    if vector != (0, 0) && !tried.contains(&vector) {
                        let count = votes.entry(vector).or_default();
                        *count += 1;
                        most = most.max(*count);
                    }
                });
            }
            if most >= ENOUGH || lookups >= LOOKUPS || (lookups >= PATIENCE && most < VOTES) {
                break;
            }
        }
        let mut best: Vec<_> = votes.into_iter().filter(|(_, n)| *n >= VOTES).map(|(v, n)| (n, v)).collect();
        best.sort_unstable_by(|a, b| b.cmp(a));
        best.into_iter().take(VECTORS).map(|(_, v)| v).collect()
    }
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Neighbouring tiles of a row as one rectangle.
pub fn bands(tiles: &[Rect<Surf>]) -> Vec<Rect<Surf>> {
    let mut sorted = tiles.to_vec();
    sorted.sort_unstable_by_key(|t| (t.y, t.x));
    sorted.dedup_by(|next, kept| {
        let joins = next.y == kept.y && next.x <= kept.right();
        if joins {
            *kept = kept.union(*next);
        }
        joins
    });
    sorted
}

/// Calls `each` with the anchors of row `y` of `band`: column, row, key. `found` is scratch.
fn places(
    pixels: &Pixels,
    band: Rect<Surf>,
    y: i32,
    bits: u32,
    found: &mut Vec<u32>,
    mut each: impl FnMut(i32, i32, u64),
) {
    spots(pixels, band, y, bits, found, |x, content| each(x, y, key(content)));
}

/// The pixels of an anchor's key in its row, and in the row below.
type Content<'a> = [&'a [u8; KEY as usize * 4]; 2];

/// Calls `each` with the anchors of row `y` of `band` that have a key: column, and what the key is made of.
fn spots(
    pixels: &Pixels,
    band: Rect<Surf>,
    y: i32,
    bits: u32,
    found: &mut Vec<u32>,
    mut each: impl FnMut(i32, Content<'_>),
) {
    let size = pixels.size();
    // An anchor has a left neighbour, which a band at the left edge has from its second column on.
    let left = if band.x == 0 && band.w > 1 { Ok(0) } else { u32::try_from(band.x - 1) };
    let (Ok(left), Ok(top)) = (left, u32::try_from(y)) else { return };
    let right = (band.right().max(0) as u32).min(size.w);
    let end = (right + REACH as u32).min(size.w);
    let [row, below] = [top, top.saturating_add(BELOW)].map(|y| pixels.row(0, y, size.w));
    let part = left as usize * 4..end as usize * 4;
    let (Some(here), Some(under)) = (row.get(part.clone()), below.get(part)) else { return };
    found.clear();
    anchors(here, under, bits, found);
    for i in found.iter() {
        let x = left + i;
        let content = [row, below].map(|row| row.get(x as usize * 4..).and_then(|row| row.first_chunk()));
        if let [Some(here), Some(under)] = content
            && x < right
        {
            each(x as i32, [here, under]);
        }
    }
}

/// The hash of the pixels at an anchor; none where they reach outside.
fn key_at(pixels: &Pixels, x: i32, y: i32) -> Option<u64> {
    let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
    let [here, under] = [y, y.checked_add(BELOW)?].map(|y| pixels.row(x, y, KEY).first_chunk());
    Some(key([here?, under?]))
}

/// The hash of what stands at an anchor.
#[inline]
fn key(content: Content<'_>) -> u64 {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    // Two chains side by side: a multiplication waits for the one before it.
    let mut h = [0u64; 2];
    let [here, under] = content.map(|row| row.as_chunks::<8>().0);
    for (a, b) in here.iter().zip(under) {
        for (h, pair) in h.iter_mut().zip([a, b]) {
            let v = u64::from_le_bytes(*pair) & 0x00ff_ffff_00ff_ffff;
            *h = (*h ^ v).wrapping_mul(SPREAD).rotate_left(29);
        }
    }
    let h = (h[0] ^ h[1].rotate_left(17)).wrapping_mul(SPREAD);
    h ^ h >> 32
}

/// Anchors by key. A key that comes twice says nothing and finds nothing.
#[derive(Default)]
struct Index {
    slots: Vec<(u64, i32, i32)>,
    count: usize,
}

/// No anchor has this column: none yet, or more than one.
const EMPTY: i32 = -1;
const TWICE: i32 = -2;

impl Index {
    /// The anchors with so many bits in one row of so many of `bands`.
    fn fill(&mut self, frame: &Pixels, bands: &[Rect<Surf>], (step, bits): (usize, u32), found: &mut Vec<u32>) {
        self.count = 0;
        self.slots.clear();
        self.slots.resize(SLOTS, (0, EMPTY, 0));
        for band in bands {
            for y in (band.y..band.bottom()).step_by(step) {
                places(frame, *band, y, bits, found, |x, y, key| self.add(key, x, y));
            }
        }
    }

    fn add(&mut self, key: u64, x: i32, y: i32) {
        self.count += 1;
        if let Some(slot) = self.slot(key) {
            match slot.1 {
                EMPTY => *slot = (key, x, y),
                _ => slot.1 = TWICE,
            }
        }
    }

    fn find(&mut self, key: u64) -> Option<(i32, i32)> {
        let (found, x, y) = *self.slot(key)?;
        (found == key && x >= 0).then_some((x, y))
    }

    /// The slot of this key or a free one, within a few steps.
    fn slot(&mut self, key: u64) -> Option<&mut (u64, i32, i32)> {
        let mask = self.slots.len().checked_sub(1)?;
        let at = (0..8).map(|i| (key as usize).wrapping_add(i) & mask);
        let at = { at }.find(|i| self.slots.get(*i).is_some_and(|s| s.1 == EMPTY || s.0 == key))?;
        self.slots.get_mut(at)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use telepane_model::{Grid, Rng, Size};

    pub fn text(size: Size<Surf>, seed: u64) -> Pixels {
        let mut rng = Rng::new(seed);
        let mut p = Pixels::new(size);
        p.fill(size.rect(), [250, 250, 250]);
        for _ in 0..size.area() / 60 {
            let v = (rng.below(10) * 20) as u8;
            let (x, y) = (rng.below(size.w as u64) as i32, rng.below(size.h as u64) as i32);
            p.fill(Rect::new(x, y, 1 + rng.below(4) as u32, 1 + rng.below(3) as u32), [v, v, v]);
        }
        p
    }

    #[test]
    fn scrolls_and_drags_are_found_also_in_large_and_two_coloured_screens() {
        for (size, two) in [(Size::new(640, 400), false), (Size::new(1920, 1080), false), (Size::new(1920, 1080), true)]
        {
            let mut before = text(size, 1);
            if two {
                let data = before.data_mut().as_chunks_mut::<4>().0;
                data.iter_mut().for_each(|px| *px = if px[0] < 250 { [0, 0, 0, 0] } else { [250, 250, 250, 0] });
            }
            let grid = Grid::new(size);
            let tiles: Vec<_> = grid.all().map(|t| grid.rect(t)).collect();
            for (dx, dy) in [(0, -17), (0, 54), (40, 0), (-23, 31)] {
                let mut now = before.clone();
                let window = Rect::new(100, 90, size.w - 240, size.h - 200);
                now.paste(&before.crop(window), window.x + dx, window.y + dy);
                let mut finder = Finder::default();
                finder.begin();
                assert_eq!(finder.vectors(&before, &now, [&tiles, &tiles], &[], &[]).first(), Some(&(dx, dy)));
                // What is expected is tried first, and what is expected wrongly does no harm.
                let expected = [(5, 5), (dx, dy), (i32::MIN, i32::MAX)];
                assert_eq!(finder.vectors(&before, &now, [&tiles, &tiles], &expected, &[]), [(dx, dy)]);
                assert_eq!(
                    finder.vectors(&before, &now, [&tiles, &tiles], &expected[..1], &[]).first(),
                    Some(&(dx, dy))
                );
                assert!(!finder.vectors(&before, &now, [&tiles, &tiles], &[], &[(dx, dy)]).contains(&(dx, dy)));
            }
        }
    }

    #[test]
    fn what_went_elsewhere_is_remembered_and_a_pan_with_grain_is_not() {
        let size = Size::new(700, 600);
        let before = noise(size, 7);
        let tiles = [size.rect()];
        let mut finder = Finder::default();
        let (first, then) = (Version(4), Version(5));
        assert!(!finder.remembers(&before, then, &tiles), "nothing yet");
        finder.remember(&before, first, &tiles);
        assert!(finder.remembers(&before, then, &tiles), "it only stands there");
        assert!(!finder.remembers(&before, first, &tiles), "what is before it is not known");
        for (dx, dy) in [(0, -40), (33, 0), (7, 90)] {
            let mut now = noise(size, 8);
            now.paste(&before.crop(Rect::new(50, 100, 600, 400)), 50 + dx, 100 + dy);
            assert!(finder.remembers(&now, then, &tiles), "{dx},{dy}");
            now.data_mut().as_chunks_mut::<4>().0.iter_mut().step_by(5).for_each(|px| px[1] ^= 1);
            assert!(!finder.remembers(&now, then, &tiles), "{dx},{dy}, with grain");
        }
        // The job that is to judge was not the first to read the frame.
        finder.remember(&noise(size, 9), then, &tiles);
        assert!(finder.remembers(&before, then, &tiles) && !finder.remembers(&before, Version(6), &tiles));
        finder.remember(&before, Version(6), &[]);
        assert!(!finder.remembers(&before, Version(7), &tiles));
    }

    pub fn noise(size: Size<Surf>, seed: u64) -> Pixels {
        let (mut rng, mut p) = (Rng::new(seed), Pixels::new(size));
        p.data_mut().as_chunks_mut::<4>().0.iter_mut().for_each(|px| px[..3].fill(rng.next_u64() as u8));
        p
    }

    /// The anchors of whole rows, each with its key.
    #[test]
    fn a_band_has_the_anchors_of_its_part_of_the_row() {
        let (mut rng, mut total) = (Rng::new(3), 0);
        for round in 0..600 {
            let size = Size::new(1 + rng.below(400) as u32, 1 + rng.below(12) as u32);
            let frame = if round % 2 == 0 { noise(size, round) } else { text(size, round) };
            let (x, y) = (rng.below(140) as i32 - 10, rng.below(16) as i32 - 2);
            let band = Rect::new(if round % 3 == 0 { 0 } else { x }, y, rng.below(400) as u32, 8);
            let (mut got, mut want, mut found) = (vec![], vec![], vec![]);
            places(&frame, band, y, LEAST_BITS, &mut vec![7], |x, y, key| got.push((x, y, key)));
            if y >= 0 && band.x >= 0 {
                let rows = [y, y + BELOW as i32].map(|y| frame.row(0, y as u32, size.w));
                anchors(rows[0], rows[1], LEAST_BITS, &mut found);
                let inside = found.iter().map(|x| *x as i32).filter(|x| (band.x.max(1)..band.right()).contains(x));
                want.extend(inside.filter_map(|x| Some((x, y, key_at(&frame, x, y)?))));
            }
            assert_eq!(got, want, "{size} {band:?}");
            total += got.len();
        }
        assert!(total > 200, "{total}");
    }

    #[test]
    fn unlike_screens_give_no_move() {
        let size = Size::new(640, 400);
        let (before, now) = (text(size, 3), text(size, 4));
        assert_eq!(Finder::default().vectors(&before, &now, [&[size.rect()]; 2], &[(0, 9)], &[]), []);
    }

    #[test]
    fn little_surfaces_are_no_trouble() {
        for (w, h) in [(1, 1), (2, 3), (24, 4), (26, 40), (65, 66)] {
            let size = Size::new(w, h);
            let (before, now) = (text(size, 5), text(size, 6));
            let grid = Grid::new(size);
            let tiles: Vec<_> = grid.all().map(|t| grid.rect(t)).collect();
            Finder::default().vectors(&before, &now, [&tiles, &tiles], &[(1, 1)], &[]);
        }
    }
}
