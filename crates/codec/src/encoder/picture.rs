//! The picture part of a job: what would not fit it exactly is shown coarsely first.
//!
//! When a job's bytes hold everything exactly, it is coded exactly. Else text stays exact, tiles of pictures get a first
//! view, and those that have one are made exact behind everything else. What a tile has is remembered only to choose the
//! step: layers are coded against what the framebuffer shows, so a wrong memory costs bytes and nothing more.
//!
//! To make exact what shows a layer, PICTURE needs a tenth fewer bytes than EXACT for a photograph and a quarter more
//! for a page or a film, and four times the time for either; so both are tried now and then, and EXACT goes on where it is not much longer.

use super::{Draft, Encoder, Run};
use crate::cache::tile_hash;
use crate::picture::{Layer, PictureCoder, Step};
use crate::plan::{Dirty, Work};
use crate::wire::{kind, op_len, put_op};
use std::collections::VecDeque;
use telepane_model::{PictureBounds, Quality, Rect, Surf, TileAt, TileClass, TileState};

/// Ops between two trials.
const TRIAL: u8 = 8;
/// A first view of all pictures may take this many times a job's bytes; past it a preview goes before.
const PREVIEW: u64 = 4;

/// Codes the layers, and remembers what they cost.
pub struct Pictures {
    coder: PictureCoder,
    /// Bytes for each pixel of the last cells, by the layer they led to, in 1/1024.
    ratios: [u64; 4],
    payload: Vec<u8>,
    /// EXACT was the shorter when both were tried, and how many ops go before they are tried again.
    plainly: bool,
    until_trial: u8,
    /// This job made a cell exact by PICTURE.
    finished: bool,
}

impl Default for Pictures {
    fn default() -> Self {
        Self {
            coder: PictureCoder::default(),
            ratios: [9, 66, 60, 620],
            payload: Vec::new(),
            plainly: false,
            until_trial: 0,
            finished: false,
        }
    }
}

impl Pictures {
    /// What shows a layer is made exact by EXACT this time.
    pub(super) const fn finishes_plainly(&mut self) -> bool {
        if !self.plainly || self.until_trial == 0 {
            return false;
        }
        self.until_trial -= 1;
        true
    }

    /// Another job.
    pub(super) const fn begin_job(&mut self) {
        self.finished = false;
    }

    /// Whether what is next is better left to the next job: it makes a cell exact, which the little that is left of this job's
    /// bytes does not hold. In pieces it would go by EXACT, dearer by a quarter, and so would what is left of the cell. It waits only
    /// behind another that went, so that none waits for ever, and where less than an eighth of the job is lost.
    pub(super) fn waits(&self, work: &Work, run: &Run<'_>) -> bool {
        let Work::Picture(cell, step) = work else { return false };
        let guess = guess(*cell, self.ratios[step.to as usize]) * 9 / 8 + 40;
        self.finished && !self.plainly && step.to == Layer::Exact && run.left() < guess && guess < run.max_bytes / 8
    }
}

/// Bytes that a cell is likely to take at a layer's bytes for each pixel, in 1/1024.
const fn guess(rect: Rect<Surf>, ratio: u64) -> u64 {
    rect.area() * ratio / 1024 + 8
}

/// Bytes of a first view beyond which it is not worth having: two fifths of a byte a pixel, five times a photo's.
const fn dear(rect: Rect<Surf>) -> u64 {
    rect.area() * 2 / 5
}

impl Layer {
    /// The quality of a tile that has it.
    pub(super) const fn quality(self) -> Quality {
        match self {
            Self::Preview => Quality::PREVIEW,
            Self::First => Quality::FIRST_VIEW,
            Self::Fine => Quality::FINE,
            Self::Exact => Quality::EXACT,
        }
    }

    /// The greatest layer of at most this quality.
    const fn of(quality: Quality) -> Self {
        match quality.0 {
            ..=31 => Self::Preview,
            32..=47 => Self::First,
            48..=254 => Self::Fine,
            255 => Self::Exact,
        }
    }
}

/// Whether pictures may be as good as there is room for.
fn unbound(bounds: PictureBounds) -> bool {
    bounds.first == Quality::EXACT && bounds.last == Quality::EXACT
}

impl Encoder {
    /// Turns pictures into layers if not everything fits the job exactly, or is to be exact; refinements go last, the
    /// coarsest first.
    pub(super) fn layer(&mut self, queue: VecDeque<Work>, run: &Run<'_>) -> VecDeque<Work> {
        if self.options.ops & 1 << kind::PICTURE == 0 {
            return queue;
        }
        let areas = |picture: bool| {
            let of = queue.iter().filter_map(move |w| match w {
                Work::Area(rect, class) if (*class == TileClass::Picture) == picture => Some(rect.area()),
                _ => None,
            });
            of.sum::<u64>()
        };
        let (text, pictures) = (areas(false), areas(true));
        let fits = (text * self.ratios[0] + pictures * self.ratios[1]) / 1024 <= run.max_bytes;
        let shows_layer = |w: &Work| match w {
            Work::Area(rect, TileClass::Picture) => {
                self.grid.touching(*rect).any(|at| self.tiles.layer(at, self.grid.rect(at).intersect(*rect)).is_some())
            }
            _ => false,
        };
        if pictures == 0 || fits && unbound(run.pictures) && !queue.iter().any(shows_layer) {
            return queue;
        }
        let PictureBounds { least, first, last, .. } = run.pictures;
        let (last, first) = (Layer::of(last), Layer::of(first.min(last)));
        let view = pictures * self.pictures.ratios[Layer::First as usize] / 1024;
        let begin = match fits {
            true => Layer::Exact,
            false if view > run.max_bytes.saturating_mul(PREVIEW) => Layer::Preview,
            false => Layer::First,
        };
        let begin = begin.max(Layer::of(least)).min(first);
        let mut now = VecDeque::new();
        let (mut second, mut rest) = (Vec::new(), Vec::new());
        for work in queue {
            let Work::Area(rect, TileClass::Picture) = work else {
                now.push_back(work);
                continue;
            };
            for at in self.grid.touching(rect) {
                let cell = self.grid.rect(at).intersect(rect);
                // One that may go no further is of older content, else it were answered: it begins anew.
                match self.shown_layer(at, cell, run).filter(|(layer, _)| *layer < last) {
                    None if begin == Layer::Exact => now.push_back(Work::Area(cell, TileClass::Picture)),
                    None => now.push_back(Work::Picture(cell, Step::new(None, begin))),
                    Some((Layer::Preview, rect)) if !fits => {
                        let to = Layer::First.min(last);
                        second.push(Work::Picture(rect, Step::new(Some(Layer::Preview), to)));
                    }
                    Some((layer, rect)) => rest.push(Work::Picture(rect, Step::new(Some(layer), last))),
                }
            }
        }
        now.extend(second);
        now.extend(rest);
        now
    }

    /// Answers for the tiles whose pictures are as good as they are to be, and takes them out.
    pub(super) fn answer_finished(&mut self, dirty: &mut Vec<Dirty>, run: &mut Run<'_>) {
        let last = run.pictures.last;
        if last == Quality::EXACT {
            return;
        }
        dirty.retain(|d| {
            let Some((layer, _)) = self.same_layer(d.at, d.bbox, run).filter(|(l, _)| l.quality() >= last) else {
                return true;
            };
            let (version, quality) = (run.answer.version, layer.quality());
            run.answer.same.push(TileState { at: d.at, version, quality, class: TileClass::Picture });
            false
        });
    }

    /// The layer that the tile has of what is wanted, and where, if that has all of `cell`.
    fn shown_layer(&mut self, at: TileAt, cell: Rect<Surf>, run: &Run<'_>) -> Option<(Layer, Rect<Surf>)> {
        let known = self.tiles.layer(at, cell);
        if known.is_some() || run.pictures.last == Quality::EXACT {
            return known;
        }
        self.same_layer(at, cell, run)
    }

    /// A picture that never becomes exact never turns out to be the same: what it was coded from is compared.
    fn same_layer(&mut self, at: TileAt, cell: Rect<Surf>, run: &Run<'_>) -> Option<(Layer, Rect<Surf>)> {
        let (hash, has) = self.tiles.layer_from(at, cell)?;
        (hash == tile_hash(run.newest, self.grid.rect(at), &mut self.scratch)).then_some(has)
    }

    /// Puts `cell` and as many behind it that want the same step as fit. Answers whether the slice is full.
    pub(super) fn put_picture(
        &mut self,
        open: &mut Draft,
        run: &Run<'_>,
        cell: Rect<Surf>,
        step: Step,
        queue: &mut VecDeque<Work>,
    ) -> bool {
        let room = open.room();
        let ratio = self.pictures.ratios[step.to as usize];
        let guess = |rect| guess(rect, ratio) as usize;
        let small = room < open.limit / 2;
        if cell.area() > open.pixels || (small && guess(cell) + 40 > room) {
            queue.push_front(Work::Picture(cell, step));
            return true;
        }
        let coder = &mut self.pictures.coder;
        coder.begin(step);
        let (mut next, mut pixels) = (Some(cell), 0);
        let mut full = false;
        while let Some(rect) = next {
            let before = coder.expected();
            let fits = pixels + rect.area() <= open.pixels && coder.push(run.newest, &self.sent, rect);
            // Noise has no coarse form worth its bytes: it goes exactly at once.
            let cost = coder.expected().saturating_sub(before) as u64;
            if fits && step == Step::new(None, Layer::First) && unbound(run.pictures) && cost > dear(rect) {
                coder.pop();
                queue.push_front(Work::Area(rect, TileClass::Picture));
                if coder.rects().is_empty() {
                    return false;
                }
                break;
            }
            if !fits || op_len(coder.expected()) > room {
                if fits {
                    coder.pop();
                }
                queue.push_front(Work::Picture(rect, step));
                full = true;
                break;
            }
            pixels += rect.area();
            next = match queue.front() {
                Some(Work::Picture(rect, other))
                    if *other == step && op_len(coder.expected()) + guess(*rect) <= room =>
                {
                    Some(*rect)
                }
                _ => None,
            };
            if next.is_some() {
                queue.pop_front();
            }
        }
        loop {
            let payload = &mut self.pictures.payload;
            payload.clear();
            let coder = &mut self.pictures.coder;
            if coder.rects().is_empty() {
                // Not even one cell: it waits for an empty slice, or goes exactly, in pieces.
                if small {
                    return true;
                }
                if let Some(Work::Picture(rect, _)) = queue.pop_front() {
                    queue.push_front(Work::Area(rect, TileClass::Picture));
                }
                return false;
            }
            coder.finish(payload);
            if op_len(payload.len()) <= room {
                break;
            }
            coder.pop().into_iter().for_each(|rect| queue.push_front(Work::Picture(rect, step)));
            full = true;
        }
        let Pictures { coder, payload, ratios, plainly, until_trial, finished } = &mut *self.pictures;
        let mut by = (kind::PICTURE, &payload[..]);
        if Work::Picture(cell, step).finishes().is_some() {
            if *until_trial == 0 {
                *until_trial = TRIAL;
                let exact = self.exact.code(run.newest, coder.rects(), TileClass::Picture);
                let fits;
                (*plainly, fits) = weigh(exact.len(), payload.len(), room);
                if fits {
                    by = (kind::EXACT, exact);
                }
            }
            *until_trial -= 1;
        }
        *finished |= step.to == Layer::Exact;
        put_op(&mut open.bytes, by.0, by.1);
        let rects = coder.rects().to_vec();
        let area = rects.iter().map(|r| r.area()).sum::<u64>().max(1);
        let ratio = &mut ratios[step.to as usize];
        *ratio = (*ratio + (payload.len() as u64 * 1024 / area).max(1)) / 2;
        if step.to == Layer::Exact {
            rects.iter().for_each(|r| self.take(open, run.newest, *r));
        } else {
            rects.iter().for_each(|r| open.undo.save(&self.sent, *r));
            coder.show(&mut self.sent);
            for rect in rects {
                open.pixels = open.pixels.saturating_sub(rect.area());
                self.tiles.touch(open.stamp, rect, &mut open.tiles);
                for at in self.grid.touching(rect) {
                    let whole = self.grid.rect(at);
                    let from =
                        (run.pictures.last < Quality::EXACT).then(|| tile_hash(run.newest, whole, &mut self.scratch));
                    self.tiles.layered(at, open.stamp, step.to, rect, run.answer.version, from);
                }
            }
        }
        full || open.room() < open.limit / 8
    }
}

/// Whether EXACT finishes pictures from here on, which it may where it takes little more than PICTURE; and whether what it made of
/// this one, which the slice has room for as a PICTURE, goes into the slice.
fn weigh(exact: usize, picture: usize, room: usize) -> (bool, bool) {
    let plainly = exact * 32 <= picture * 33;
    (plainly, plainly && op_len(exact) <= room)
}

#[cfg(test)]
mod tests {
    use super::weigh;
    use crate::wire::{Reader, kind, next_op};
    use crate::{Decoder, Encoder, EncoderOptions};
    use telepane_model::{
        Bytes, EncodeItem, EncodeJob, EncodedSlices, Grid, PictureBounds, Pixels, Quality, Rect, Rng, Size, UpdateId,
        Version,
    };

    /// A smooth picture with grain, and on its left a column of text.
    fn desk(seed: u64) -> Pixels {
        let mut rng = Rng::new(seed);
        let mut screen = Pixels::new(Size::new(512, 256));
        for (i, px) in screen.data_mut().chunks_exact_mut(4).enumerate() {
            let (x, y) = ((i % 512) as u64, (i / 512) as u64);
            let grain = rng.below(5);
            px[..3].copy_from_slice(&[(x / 3 + grain + seed) as u8, (y / 2 + x / 5 + grain) as u8, (y + grain) as u8]);
        }
        screen.fill(Rect::new(0, 0, 128, 256), [255; 3]);
        (0..200).for_each(|i| screen.fill(Rect::new(i * 37 % 120, i * 11 % 250, 3, 2), [(i % 7 * 30) as u8; 3]));
        screen
    }

    struct Pair {
        encoder: Encoder,
        decoder: Decoder,
        base: UpdateId,
        next: u32,
    }

    impl Pair {
        fn new(options: EncoderOptions) -> Self {
            let size = Size::new(512, 256);
            Self { encoder: Encoder::new(size, options), decoder: Decoder::new(size), base: UpdateId::BLANK, next: 1 }
        }

        fn job(&mut self, newest: &Pixels, version: u64, max_bytes: u64) -> EncodedSlices {
            self.bounded(newest, version, max_bytes, PictureBounds::default())
        }

        fn bounded(&mut self, newest: &Pixels, version: u64, max_bytes: u64, pictures: PictureBounds) -> EncodedSlices {
            let job = EncodeJob {
                id: Default::default(),
                surface: Default::default(),
                epoch: Default::default(),
                size: newest.size(),
                base: self.base,
                first: UpdateId(self.next),
                items: vec![EncodeItem {
                    rect: newest.size().rect(),
                    version: Version(version),
                    quality: Quality::EXACT,
                }],
                max_bytes: Bytes(max_bytes),
                film_bytes: Bytes(max_bytes),
                film_scale: Default::default(),
                slice_bytes: Bytes(4_000),
                pictures,
                anew: false,
            };
            let answer = self.encoder.encode(&job, newest, Version(version)).unwrap();
            for slice in &answer.slices {
                self.decoder.apply(&slice.bytes).unwrap();
                (self.base, self.next) = (slice.id, slice.id.0 + 1);
            }
            assert!(self.decoder.pixels() == self.encoder.sent());
            answer
        }
    }

    #[test]
    fn what_does_not_fit_is_seen_first_and_ends_exactly_while_text_is_exact_at_once() {
        let newest = desk(1);
        let mut pair = Pair::new(EncoderOptions::default());
        let first = pair.job(&newest, 1, 12_000);
        let text = Rect::new(0, 0, 128, 256);
        assert!(pair.decoder.pixels().same(&newest, text), "text is never coarse");
        let mut qualities: Vec<_> = first.slices.iter().flat_map(|s| &s.tiles).collect();
        assert!(qualities.iter().any(|t| t.quality == Quality::FIRST_VIEW));
        qualities.retain(|t| Grid::new(newest.size()).rect(t.at).x < 128);
        assert!(qualities.iter().all(|t| !t.quality.is_layer()));
        let mut jobs = 0;
        while !pair.decoder.pixels().same(&newest, newest.size().rect()) {
            pair.job(&newest, 1, 12_000);
            jobs += 1;
            assert!(jobs < 40, "it never ends");
        }
        let done = pair.job(&newest, 1, 12_000);
        assert!(done.slices.is_empty() && done.same.len() == Grid::new(newest.size()).count());
    }

    #[test]
    fn what_fits_is_exact_at_once() {
        let newest = desk(2);
        let mut pair = Pair::new(EncoderOptions::default());
        let answer = pair.job(&newest, 1, 1 << 20);
        assert!(answer.slices.iter().flat_map(|s| &s.tiles).all(|t| !t.quality.is_layer()));
        assert!(pair.decoder.pixels().same(&newest, newest.size().rect()));
    }

    #[test]
    fn a_new_picture_is_seen_before_the_old_one_is_refined() {
        let (old, new) = (desk(3), desk(90));
        let mut pair = Pair::new(EncoderOptions::default());
        pair.job(&old, 1, 14_000);
        let answer = pair.job(&new, 2, 14_000);
        let states: Vec<_> = answer.slices.iter().flat_map(|s| &s.tiles).filter(|t| t.quality.is_layer()).collect();
        assert!(states.len() > 10 && states.iter().all(|t| t.version == Version(2)));
    }

    #[test]
    fn a_very_thin_job_begins_with_a_preview() {
        let newest = desk(4);
        let mut pair = Pair::new(EncoderOptions::default());
        let answer = pair.job(&newest, 1, 1_200);
        assert!(answer.slices.iter().flat_map(|s| &s.tiles).all(|t| t.quality != Quality::FIRST_VIEW));
        let mut jobs = 0;
        while !pair.decoder.pixels().same(&newest, newest.size().rect()) {
            pair.job(&newest, 1, 1_200);
            jobs += 1;
            assert!(jobs < 400, "it never ends");
        }
    }

    /// A photograph's likeness, without text: light that changes over three distances, between points of a lattice.
    fn landscape(seed: u64) -> Pixels {
        let mut screen = Pixels::new(Size::new(512, 256));
        let node = |cell: u64, x: u64, y: u64, strength: i64| {
            let n = Rng::new(seed ^ cell << 40 ^ x << 20 ^ y).below(2 * strength as u64 + 1);
            n as i64 - strength
        };
        let smooth = |cell: u64, x: u64, y: u64, strength: i64| {
            let ease = |n: u64| ((n % cell).pow(2) * (3 * cell - 2 * (n % cell)) * 256 / cell.pow(3)) as i64;
            let row = |cy: u64| {
                let [left, right] = [0, 1].map(|d| node(cell, x / cell + d, cy, strength));
                left * 256 + (right - left) * ease(x)
            };
            let [above, below] = [0, 1].map(|d| row(y / cell + d));
            (above * 256 + (below - above) * ease(y)) / 65_536
        };
        for (i, px) in screen.data_mut().chunks_exact_mut(4).enumerate() {
            let (x, y) = ((i % 512) as u64, (i / 512) as u64);
            let light = 128 + smooth(64, x, y, 40) + smooth(16, x, y, 16) + smooth(4, x, y, 16);
            let colour = smooth(32, x, y, 12);
            px[..3].copy_from_slice(&[light + colour, light - colour / 2, light - colour].map(|v| v as u8));
        }
        screen
    }

    /// How many of a job's ops are of this kind.
    fn ops(answer: &EncodedSlices, of: u8) -> usize {
        let in_slice = |bytes: &[u8]| {
            let (mut rest, mut count) = (Reader::new(bytes), 0);
            while !rest.is_empty() {
                count += usize::from(next_op(&mut rest).unwrap().0 == of);
            }
            count
        };
        answer.slices.iter().map(|s| in_slice(&s.bytes)).sum()
    }

    // A slice holds one cell of it.
    #[test]
    fn a_cell_for_which_too_little_is_left_waits_and_goes_whole() {
        let newest = landscape(1);
        for max_bytes in [36_000, 37_000, 38_000, 39_000] {
            let mut pair = Pair::new(EncoderOptions::default());
            pair.job(&newest, 1, max_bytes);
            let (mut jobs, mut pictures) = (0, 0);
            while !pair.decoder.pixels().same(&newest, newest.size().rect()) {
                let answer = pair.job(&newest, 1, max_bytes);
                assert_eq!(ops(&answer, kind::EXACT), 0, "a piece of a cell, in job {jobs} of {max_bytes} bytes");
                (jobs, pictures) = (jobs + 1, pictures + ops(&answer, kind::PICTURE));
                assert!(jobs < 40, "it never ends");
            }
            assert!(jobs > 1 && pictures >= 8, "{jobs} jobs, {pictures} ops");
        }
    }

    #[test]
    fn a_viewer_without_pictures_gets_none() {
        let newest = desk(5);
        let ops = !(1 << kind::PICTURE);
        let mut pair = Pair::new(EncoderOptions { ops, ..EncoderOptions::default() });
        let answer = pair.job(&newest, 1, 12_000);
        assert!(answer.slices.iter().flat_map(|s| &s.tiles).all(|t| !t.quality.is_layer()));
    }

    #[test]
    fn a_rebase_forgets_what_tiles_had() {
        let newest = desk(6);
        let mut pair = Pair::new(EncoderOptions::default());
        let first = pair.job(&newest, 1, 12_000);
        let mut viewer = Decoder::new(newest.size());
        viewer.apply(&first.slices[0].bytes).unwrap();
        (pair.decoder, pair.base) = (viewer, first.slices[0].id);
        let mut jobs = 0;
        while !pair.decoder.pixels().same(&newest, newest.size().rect()) {
            pair.job(&newest, 1, 12_000);
            jobs += 1;
            assert!(jobs < 40, "it never ends");
        }
    }
    /// The qualities of the picture's tiles that a job settled.
    fn pictures(answer: &EncodedSlices) -> Vec<Quality> {
        let slices = answer.slices.iter().flat_map(|s| &s.tiles);
        let tiles = slices.chain(&answer.same).filter(|t| t.at.col >= 2);
        tiles.map(|t| t.quality).collect()
    }

    // spec: H-42
    #[test]
    fn a_picture_begins_no_better_than_it_may_and_ends_where_it_is_to_end() {
        let newest = desk(7);
        let bounds = PictureBounds { last: Quality::FINE, first: Quality::FIRST_VIEW, ..PictureBounds::default() };
        let mut pair = Pair::new(EncoderOptions::default());
        let first = pair.bounded(&newest, 1, 1 << 20, bounds);
        assert!(pictures(&first).iter().all(|q| *q == Quality::FIRST_VIEW), "there is room for more");
        assert!(pair.decoder.pixels().same(&newest, Rect::new(0, 0, 128, 256)), "text is exact all the same");
        let second = pair.bounded(&newest, 1, 1 << 20, bounds);
        assert!(pictures(&second).len() == 24 && pictures(&second).iter().all(|q| *q == Quality::FINE));
        // Drawn again as it was, it costs nothing; and nothing when it is asked for again.
        for version in [1, 2] {
            let again = pair.bounded(&newest, version, 1 << 20, bounds);
            assert!(again.slices.is_empty() && pictures(&again).iter().all(|q| *q == Quality::FINE));
            assert_eq!(again.same.iter().map(|t| t.version).max(), Some(Version(version)));
        }
        let other = pair.bounded(&desk(8), 3, 1 << 20, bounds);
        assert!(pictures(&other).iter().all(|q| *q == Quality::FIRST_VIEW), "another picture begins anew");
        while !pair.decoder.pixels().same(&desk(8), newest.size().rect()) {
            assert!(!pair.job(&desk(8), 3, 1 << 20).slices.is_empty(), "when it may be exact, it becomes so");
        }
    }

    // spec: H-42
    #[test]
    fn a_picture_is_never_coarser_than_it_may_be() {
        let newest = desk(9);
        let of = |least| {
            let mut pair = Pair::new(EncoderOptions::default());
            let answer = pair.bounded(&newest, 1, 1_200, PictureBounds { least, ..PictureBounds::default() });
            pictures(&answer).into_iter().filter(|q| *q > Quality::NONE).min()
        };
        assert_eq!(of(Quality::PREVIEW), Some(Quality::PREVIEW));
        assert!(of(Quality::FIRST_VIEW) >= Some(Quality::FIRST_VIEW) || of(Quality::FIRST_VIEW).is_none());
        assert!(of(Quality::FINE) >= Some(Quality::FINE) || of(Quality::FINE).is_none());
    }

    #[test]
    fn the_coder_that_takes_a_little_more_is_not_taken_where_that_is_too_much() {
        assert_eq!(weigh(1_020, 1_000, 1_100), (true, true));
        assert_eq!(weigh(1_020, 1_000, 1_010), (true, false), "the next slice may be for it");
        assert_eq!(weigh(1_040, 1_000, 9_000), (false, false));
    }

    #[test]
    fn noise_is_not_shown_coarsely_first() {
        let mut rng = Rng::new(10);
        let mut noise = Pixels::new(Size::new(512, 256));
        noise.data_mut().chunks_exact_mut(4).for_each(|p| p[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]));
        let mut pair = Pair::new(EncoderOptions::default());
        let mut bytes = 0;
        for _ in 0..20 {
            let answer = pair.job(&noise, 1, 50_000);
            bytes += answer.slices.iter().map(|s| s.bytes.len()).sum::<usize>();
        }
        assert!(pair.decoder.pixels().same(&noise, noise.size().rect()));
        let raw = 512 * 256 * 3;
        assert!(bytes < raw * 103 / 100, "{bytes} of {raw}");
    }
}
