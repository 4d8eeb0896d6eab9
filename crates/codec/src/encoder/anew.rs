//! Tiles that the viewer does not show as it should: found by what it says of them, and coded from nothing.
//!
//! What is found wrong is a mistake of ours, and nobody knows which: the decoder, a slot of the tile cache, a move. So what
//! mends it relies on nothing that the viewer keeps: no move, no tile of the cache, no layer and no text model, only FILL
//! and EXACT.

use super::{Encoder, Run};
use crate::cache::tile_hash;
use crate::plan::{Dirty, Work, plan};
use crate::proof::proof;
use std::collections::{BTreeSet, VecDeque};
use telepane_model::{EncodeJob, Proof, TileAt};

impl Encoder {
    /// Which of these tiles do not show, after everything that was coded, what they are said to. What the cache should hold of
    /// such a tile is not drawn from there again.
    // spec: H-70, C-191
    pub fn wrong(&mut self, proofs: &[Proof]) -> Vec<TileAt> {
        let mut wrong = Vec::new();
        for said in proofs {
            let rect = self.grid.rect(said.at);
            if rect.is_empty() || proof(&self.sent, rect, &mut self.scratch) == said.hash {
                continue;
            }
            let name = tile_hash(&self.sent, rect, &mut self.scratch);
            self.slots.distrust(name);
            wrong.push(said.at);
        }
        wrong
    }

    /// The work of a job that relies on nothing: its tiles, whole.
    // spec: H-71
    pub(super) fn plan_anew(&mut self, job: &EncodeJob, run: &Run<'_>) -> VecDeque<Work> {
        self.tiles.begin();
        self.drop_stale_frame(job);
        // Nor is what follows to rely on it.
        self.lane_lost = true;
        self.tiles.forget_shown();
        let mut seen = BTreeSet::new();
        let mut dirty = Vec::new();
        for (item, wanted) in job.items.iter().enumerate() {
            let tiles = self.grid.touching(wanted.rect).filter(|at| seen.insert(*at));
            dirty.extend(tiles.map(|at| Dirty { item, at, bbox: self.grid.rect(at) }));
        }
        for d in &dirty {
            self.tiles.want(d.at);
            self.tiles.differs(d.at, d.bbox);
        }
        let tiles = &mut self.tiles;
        plan(run.newest, &dirty, &[], &mut self.exact, |at, class| tiles.saw(at, class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Reader, kind, next_op};
    use crate::{Decoder, EncoderOptions};
    use telepane_model::{
        Bytes, EncodeItem, EncodedSlices, Grid, Pixels, Quality, Rect, Rng, Size, Surf, UpdateId, Version,
    };

    const SIZE: Size<Surf> = Size::new(300, 200);

    struct Pair {
        encoder: Encoder,
        decoder: Decoder,
        base: UpdateId,
        version: u64,
    }

    impl Pair {
        fn new(ops: u64) -> Self {
            let options = EncoderOptions { ops, ..EncoderOptions::default() };
            let (encoder, decoder) = (Encoder::new(SIZE, options), Decoder::new(SIZE));
            Self { encoder, decoder, base: UpdateId::BLANK, version: 0 }
        }

        fn code(&mut self, newest: &Pixels, rects: &[Rect<Surf>], anew: bool, max: u64) -> EncodedSlices {
            self.version += 1;
            let version = Version(self.version);
            let item = |rect| EncodeItem { rect, version, quality: Quality::EXACT };
            let job = EncodeJob {
                base: self.base,
                first: self.base.next(),
                size: SIZE,
                items: rects.iter().copied().map(item).collect(),
                max_bytes: Bytes(max),
                film_bytes: Bytes(max),
                film_scale: Default::default(),
                slice_bytes: Bytes(1_000),
                pictures: Default::default(),
                anew,
                id: Default::default(),
                surface: Default::default(),
                epoch: Default::default(),
            };
            let answer = self.encoder.encode(&job, newest, version).unwrap();
            for slice in &answer.slices {
                self.decoder.apply(&slice.bytes).unwrap();
                self.base = slice.id;
            }
            answer
        }

        fn show(&mut self, newest: &Pixels) {
            self.code(newest, &[SIZE.rect()], false, 1 << 20);
        }

        /// What the encoder finds of what the decoder shows.
        fn wrong(&mut self) -> Vec<TileAt> {
            let grid = Grid::new(SIZE);
            let hash = |at| proof(self.decoder.pixels(), grid.rect(at), &mut Vec::new());
            let all: Vec<_> = grid.all().map(|at| Proof { at, hash: hash(at) }).collect();
            self.encoder.wrong(&all)
        }

        fn spoil(&mut self, x: u32, y: u32) {
            self.decoder.pixels_mut().row_mut(x, y, 1)[2] ^= 1;
        }
    }

    fn page(seed: u64) -> Pixels {
        let mut rng = Rng::new(seed);
        let mut p = Pixels::new(SIZE);
        p.fill(SIZE.rect(), [240, 250, 245]);
        for _ in 0..900 {
            let (x, y) = (rng.below(290) as i32, rng.below(190) as i32);
            p.fill(Rect::new(x, y, 1 + rng.below(6) as u32, 2), [(rng.below(5) * 20) as u8, 9, seed as u8]);
        }
        p
    }

    /// Text, one colour and noise.
    fn mixed() -> Pixels {
        let mut p = page(1);
        p.fill(Rect::new(64, 0, 64, 64), [1, 2, 3]);
        let mut rng = Rng::new(3);
        for y in 64..128 {
            p.row_mut(0, y, 64).iter_mut().for_each(|b| *b = rng.next_u64() as u8);
        }
        p
    }

    // spec: H-70, H-71
    #[test]
    fn what_is_found_wrong_is_sent_whole_and_relies_on_nothing() {
        let newest = mixed();
        for (x, y) in [(3, 3), (70, 9), (5, 99), (299, 199)] {
            let mut pair = Pair::new(u64::MAX);
            pair.show(&newest);
            assert_eq!(pair.wrong(), []);
            pair.spoil(x, y);
            let at = TileAt { col: (x / 64) as u16, row: (y / 64) as u16 };
            assert_eq!(pair.wrong(), [at]);
            let rect = Grid::new(SIZE).rect(at);
            let mut ops = Vec::new();
            // The room of one job is less than the noise takes: only what has all of the tile says that it is exact.
            for _ in 0..40 {
                let answer = pair.code(&newest, &[rect], true, 3_000 + (ops.len() as u64) * 4_000);
                assert!(answer.anew);
                for slice in &answer.slices {
                    let mut reader = Reader::new(&slice.bytes);
                    while !reader.is_empty() {
                        ops.push(next_op(&mut reader).unwrap().0);
                    }
                }
                let states: Vec<_> = answer.slices.iter().flat_map(|s| &s.tiles).collect();
                assert!(states.iter().all(|s| s.at == at), "nothing else is sent");
                let (last, earlier) = states.split_last().unwrap();
                assert!(earlier.iter().all(|s| s.quality == Quality::NONE));
                assert_eq!(last.quality == Quality::EXACT, answer.left.is_empty());
                if answer.left.is_empty() {
                    break;
                }
            }
            assert!(ops.iter().all(|op| [kind::FILL, kind::EXACT].contains(op)), "{ops:?}");
            assert_eq!(pair.wrong(), []);
            assert!(pair.decoder.pixels() == pair.encoder.sent());
        }
    }

    // spec: C-191
    #[test]
    fn a_slot_that_held_something_else_is_not_drawn_from_again() {
        let (a, b) = (page(1), page(2));
        // TEXT looks at what was there before: where that is wrong it may not decode, which is found without a proof.
        let mut pair = Pair::new(!(1 << kind::TEXT));
        pair.show(&a);
        // What the viewer shows is wrong when it is kept.
        pair.spoil(70, 70);
        pair.show(&b);
        assert_eq!(pair.wrong(), []);
        pair.show(&a);
        let wrong = pair.wrong();
        assert_eq!(wrong, [TileAt { col: 1, row: 1 }], "it came back from the cache");
        pair.code(&a, &[Rect::new(64, 64, 64, 64)], true, 1 << 20);
        assert_eq!(pair.wrong(), []);
        for page in [&b, &a, &b, &a] {
            pair.show(page);
            assert_eq!(pair.wrong(), []);
        }
    }

    #[test]
    fn a_page_changes_while_a_tile_is_sent_anew() {
        let (a, b) = (page(1), page(2));
        let mut pair = Pair::new(u64::MAX);
        pair.show(&a);
        pair.spoil(1, 1);
        pair.code(&b, &[Rect::new(0, 0, 64, 64)], true, 1 << 20);
        pair.show(&b);
        assert_eq!(pair.wrong(), []);
        assert!(pair.decoder.pixels() == &b);
    }
}
