//! The host's side: codes the difference between what the viewer will hold and the newest pixels.
//!
//! `sent` is the viewer's framebuffer once everything coded so far has arrived, bit for bit, film included. A job names
//! the state to code against: if it is not the last one, the slices after it are undone first (a rebase), which needs
//! no old frames at the viewer. Each tile's box of differences is known from the comparison that began the job; a tile is
//! said to be exact when all of its box was written, and is compared again where that is not so. Moves and film have
//! their own files.

mod anew;
mod film;
mod keep;
mod moves;
mod picture;
mod slots;
mod text_areas;
mod tiles;

pub use slots::{SlotMap, SlotWas};

use crate::exact::ExactCoder;
use crate::film::{FINEST, FilmEncoder, FilmTask};
use crate::history::{History, Undo};
use crate::picture::Layer;
use crate::plan::{Dirty, Work, cut, plan};
use crate::text::Lane;
use crate::wire::{RECT_BYTES, kind, limits, op_len, put_op};
use crate::{diff, fill, kernel};
use film::Filming;
use moves::Mover;
use picture::Pictures;
use std::collections::VecDeque;
use telepane_model::{
    Bytes, EncodeJob, EncodedSlice, EncodedSlices, FilmScale, Grid, PictureBounds, Pixels, Quality, Rect, Size, Surf,
    TileAt, TileClass, TileState, UpdateId, Version,
};
use tiles::Tiles;

/// The state a job wants to be coded against is no longer kept: begin a new epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state of slice {} is no longer kept; begin a new epoch", base.0)]
pub struct BaseGone {
    /// The state that was asked for.
    pub base: UpdateId,
}

/// What an encoder may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderOptions {
    /// The most memory for ways back; past it the oldest go.
    pub undo_limit: Bytes,
    /// Look for moves.
    pub moves: bool,
    /// Code film items as H.264; without it they are coded exactly.
    pub film: bool,
    /// The finest quantiser of film, 1 to 51: how good it becomes where the link would carry more ([`FINEST`]).
    pub film_finest: u8,
    /// A frame of film is only begun by the job that wants it: whoever owns the encoder has it coded
    /// ([`Encoder::take_film`]) and asks again.
    pub film_apart: bool,
    /// What is to begin a film is looked at first, and is none if it is a scroll or no picture
    /// ([`EncodedSlices::no_film`]); without it a job that wants film gets film.
    pub film_judged: bool,
    /// The ops that the viewer has, by their kinds' bits ([`kind`]). FILL, MOVE and EXACT are never left out.
    pub ops: u64,
    /// Bytes of tile cache that were agreed on; 0 is none.
    pub cache: Bytes,
    /// The most pixels that one slice may change, at least [`LEAST_SLICE_PIXELS`].
    pub slice_pixels: u64,
    /// The viewer shows film that is coded smaller.
    // spec: C-180
    pub film_scales: bool,
    /// The viewer has the wide models of TEXT.
    // spec: C-156
    pub wide: bool,
}

impl Default for EncoderOptions {
    /// 64 MiB for ways back and 64 MiB of tiles at the viewer (`DESIGN` §3.3), every tool on.
    fn default() -> Self {
        Self {
            undo_limit: Bytes(64 << 20),
            moves: true,
            film: true,
            film_finest: FINEST,
            film_apart: false,
            film_judged: false,
            ops: u64::MAX,
            cache: Bytes(64 << 20),
            slice_pixels: u64::MAX,
            film_scales: true,
            wide: true,
        }
    }
}

/// What an encoder is doing: see [`Encoder::encode_watched`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Goes back to the job's base and compares the wanted tiles.
    Compare,
    /// Finds, verifies and makes moves.
    Move,
    /// Keeps tiles at the viewer and draws them from there.
    Cache,
    /// Classifies what is left and joins it to areas.
    Plan,
    /// Codes text, user interface and fills.
    Text,
    /// Codes pictures.
    Picture,
    /// Codes film.
    Film,
}

/// No slice is begun with less room than this, if slices may be larger.
const LEAST_ROOM: usize = 300;
/// Slices must have room for at least this: a pixel by any op with every field at its longest.
const LEAST_SLICE: usize = 64;

/// Four rows of the widest surface: a viewer that can change less is told as much all the same.
pub const LEAST_SLICE_PIXELS: u64 = 65_536;

/// Codes one surface for one viewer in one epoch.
pub struct Encoder {
    grid: Grid,
    options: EncoderOptions,
    sent: Pixels,
    history: History,
    exact: ExactCoder,
    film: FilmEncoder,
    /// A frame of which not everything is in slices.
    filming: Option<Filming>,
    /// One that was begun and not fetched yet.
    film_task: Option<FilmTask>,
    mover: Mover,
    pictures: Box<Pictures>,
    tiles: Tiles,
    slots: SlotMap,
    /// The last slice that the viewer is known to have applied.
    confirmed: UpdateId,
    scratch: Vec<u8>,
    lane: Lane,
    /// The viewer's text model is not the lane's any more.
    lane_lost: bool,
    /// The last job was of these pixels and left something: what it did not find need not be searched again.
    goes_on: Option<Version>,
    /// Bytes for each pixel that the last areas took, text and pictures, in 1/1024.
    ratios: [u64; 2],
}

/// A slice in the making.
struct Draft {
    id: UpdateId,
    base: UpdateId,
    bytes: Vec<u8>,
    limit: usize,
    /// Pixels that it may still change.
    pixels: u64,
    tiles: Vec<TileAt>,
    stamp: u32,
    undo: Undo,
}

impl Draft {
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    /// Leaves out the rectangles that would change more pixels than the slice may.
    fn retain_fitting<T>(&self, all: &mut Vec<T>, rect: impl Fn(&T) -> Rect<Surf>) {
        let mut left = self.pixels;
        all.retain(|t| left.checked_sub(rect(t).area()).map(|rest| left = rest).is_some());
    }
}

/// A job in the making.
struct Run<'a> {
    newest: &'a Pixels,
    next: UpdateId,
    used: u64,
    max_bytes: u64,
    /// What a film frame may take.
    film_bytes: u64,
    /// The size in which it is coded.
    film_scale: FilmScale,
    slice_bytes: usize,
    /// Nothing was overwritten yet, so what the tiles show can still be kept.
    may_keep: bool,
    /// The job before was of the same pixels and left something.
    goes_on: bool,
    /// Everything is coded from nothing.
    anew: bool,
    pictures: PictureBounds,
    /// So many slices were told of before the answer.
    told: usize,
    answer: EncodedSlices,
}

impl Run<'_> {
    /// What is left of the job's bytes.
    const fn left(&self) -> u64 {
        self.max_bytes.saturating_sub(self.used)
    }
}

impl Encoder {
    /// An encoder for a viewer that holds a black surface of this size.
    pub fn new(size: Size<Surf>, options: EncoderOptions) -> Self {
        Self::with_slots(size, options, SlotMap::new(options.cache))
    }

    /// An encoder for the next epoch of a viewer whose slots hold what [`Encoder::into_slots`] said.
    pub fn with_slots(size: Size<Surf>, options: EncoderOptions, slots: SlotMap) -> Self {
        let grid = Grid::new(size);
        Self {
            grid,
            options,
            sent: Pixels::new(size),
            history: History::new(options.undo_limit),
            exact: ExactCoder::default(),
            film: FilmEncoder::new(options.film_finest),
            filming: None,
            film_task: None,
            mover: Mover::default(),
            pictures: Box::default(),
            tiles: Tiles::new(grid),
            slots,
            confirmed: UpdateId::BLANK,
            scratch: Vec::new(),
            lane: Lane::new(options.wide),
            lane_lost: false,
            goes_on: None,
            ratios: [100, 820],
        }
    }

    /// Codes `job` from `newest`, the pixels of capture `version`.
    ///
    /// Whole tiles are compared, also where an item covers one in part. If `newest` has another size than the encoder,
    /// or a slice may not even hold a pixel, nothing is coded and everything is left.
    ///
    /// # Errors
    /// The job's base is no longer kept; nothing has changed, and a new epoch is needed.
    pub fn encode(&mut self, job: &EncodeJob, newest: &Pixels, version: Version) -> Result<EncodedSlices, BaseGone> {
        self.encode_watched(job, newest, version, &mut |_| {})
    }

    /// As [`Encoder::encode`], and tells `each` of every slice behind which another one is begun, so that it can leave at once. What is
    /// told stands whatever follows; all slices are in the answer too, and the last one was never told. What is coded from
    /// nothing and what is filmed is answered whole.
    ///
    /// # Errors
    /// As [`Encoder::encode`]; then nothing was told.
    pub fn encode_by_slices(
        &mut self,
        job: &EncodeJob,
        newest: &Pixels,
        version: Version,
        each: &mut dyn FnMut(&EncodedSlice),
    ) -> Result<EncodedSlices, BaseGone> {
        self.encode_telling(job, newest, version, &mut |_| {}, each)
    }

    /// As [`Encoder::encode`], and tells `enter` of each stage that begins: there is no clock in here, but whoever has
    /// one can see where the time goes. Stages return; what follows the last one belongs to it.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_watched(
        &mut self,
        job: &EncodeJob,
        newest: &Pixels,
        version: Version,
        enter: &mut dyn FnMut(Stage),
    ) -> Result<EncodedSlices, BaseGone> {
        self.encode_telling(job, newest, version, enter, &mut |_| {})
    }

    fn encode_telling(
        &mut self,
        job: &EncodeJob,
        newest: &Pixels,
        version: Version,
        enter: &mut dyn FnMut(Stage),
        each: &mut dyn FnMut(&EncodedSlice),
    ) -> Result<EncodedSlices, BaseGone> {
        enter(Stage::Compare);
        let mut goes_on = self.goes_on.take() == Some(version);
        // spec: C-10
        if job.base != self.history.now() {
            goes_on = false;
            if !self.history.return_to(job.base, &mut self.sent, &mut self.slots) {
                return Err(BaseGone { base: job.base });
            }
            self.tiles.forget_shown();
            self.film.lost(job.base);
            self.leave_frame();
            self.lane_lost = true;
        }
        let mut run = Run {
            newest,
            next: job.first,
            used: 0,
            max_bytes: job.max_bytes.0,
            film_bytes: job.film_bytes.0,
            film_scale: job.film_scale,
            slice_bytes: usize::try_from(job.slice_bytes.0).unwrap_or(usize::MAX).min(limits::SLICE_BYTES),
            may_keep: true,
            goes_on,
            anew: job.anew,
            pictures: job.pictures,
            told: if job.anew || job.items.iter().any(|i| i.quality == Quality::FILM) { usize::MAX } else { 0 },
            answer: EncodedSlices { job: job.id, version, anew: job.anew, ..EncodedSlices::default() },
        };
        if newest.size() != self.grid.size() || run.slice_bytes < LEAST_SLICE {
            run.answer.left = job.items.iter().map(|i| i.rect).filter(|r| !r.is_empty()).collect();
            return Ok(run.answer);
        }
        self.film.bound(job.pictures.film);
        self.slots.begin();
        if job.anew {
            enter(Stage::Plan);
            let queue = self.plan_anew(job, &run);
            let answer = self.put(queue, None, run, enter, each);
            // The next job finds nothing searched.
            self.goes_on = None;
            return Ok(answer);
        }
        let (mut dirty, films) = self.survey(job, &mut run);
        self.answer_finished(&mut dirty, &mut run);
        let mut draft = None;
        enter(Stage::Move);
        let searched = run.goes_on && self.mover.is_done();
        if self.options.moves && !searched && !self.comes_back(&dirty, &run) {
            draft = self.make_moves(&mut dirty, &mut run);
        }
        enter(Stage::Cache);
        if self.keeps_any(&dirty, &run) {
            draft = draft.or_else(|| self.begin(&run));
            if let Some(open) = &mut draft {
                self.keep(open, 0, &dirty, &mut run);
            }
        }
        for d in &dirty {
            self.tiles.differs(d.at, d.bbox);
            self.tiles.ask(d.at, job.items.get(d.item).map_or(version, |i| i.version));
        }
        let recalled = self.recall(&mut dirty, &run);
        enter(Stage::Plan);
        let tiles = &mut self.tiles;
        let mut queue = plan(newest, &dirty, &films, &mut self.exact, |at, class| tiles.saw(at, class));
        if self.options.film_judged && !run.goes_on {
            self.remember_pictures(&dirty, &run);
        }
        queue = self.layer(queue, &run);
        recalled.into_iter().for_each(|work| queue.push_front(work));
        Ok(self.put(queue, draft, run, enter, each))
    }

    /// Puts what is in `queue` into slices, the first of which may be begun, until the job's bytes are spent.
    fn put(
        &mut self,
        mut queue: VecDeque<Work>,
        mut draft: Option<Draft>,
        mut run: Run<'_>,
        enter: &mut dyn FnMut(Stage),
        each: &mut dyn FnMut(&EncodedSlice),
    ) -> EncodedSlices {
        self.pictures.begin_job();
        while let Some(work) = queue.pop_front() {
            if draft.is_none() && self.pictures.waits(&work, &run) {
                queue.push_front(work);
                break;
            }
            let Some(mut open) = draft.take().or_else(|| self.begin(&run)) else {
                queue.push_front(work);
                break;
            };
            run.answer.slices.iter().skip(run.told).for_each(&mut *each);
            run.told = run.told.max(run.answer.slices.len());
            enter(match work {
                Work::Cached(..) => Stage::Cache,
                Work::Fill(..) | Work::Area(_, TileClass::Text) => Stage::Text,
                Work::Area(_, TileClass::Picture) | Work::Picture(..) => Stage::Picture,
                Work::Film(_) => Stage::Film,
            });
            let full = match work {
                Work::Cached(rects, slots) => self.put_cached(&mut open, &run, rects, slots, &mut queue),
                Work::Fill(colour, rects) => self.put_fill(&mut open, &run, colour, rects, &mut queue),
                Work::Area(rect, TileClass::Text) if self.options.ops & 1 << kind::TEXT != 0 && !run.anew => {
                    self.put_text(&mut open, &run, rect, &mut queue)
                }
                work @ Work::Area(..) => self.put_area(&mut open, &run, work, &mut queue),
                work if work.finishes().is_some() && self.pictures.finishes_plainly() => {
                    self.put_area(&mut open, &run, work, &mut queue)
                }
                Work::Picture(cell, step) => self.put_picture(&mut open, &run, cell, step, &mut queue),
                Work::Film(rect) => {
                    if !open.bytes.is_empty() {
                        self.close(open, &mut run);
                    }
                    self.put_film(rect, &mut run, &mut queue);
                    continue;
                }
            };
            if full {
                self.close(open, &mut run);
            } else {
                draft = Some(open);
            }
        }
        if let Some(open) = draft {
            self.close(open, &mut run);
        }
        if run.told > 0 && run.told == run.answer.slices.len() {
            // What was begun behind the last one came to nothing, and somebody waits for it.
            let (id, base) = (run.next, self.history.now());
            run.next = id.next();
            let undo = self.history.begin(id);
            self.history.push(undo);
            run.answer.slices.push(EncodedSlice { id, base, tiles: Vec::new(), bytes: Vec::new() });
        }
        self.goes_on = (!queue.is_empty()).then_some(run.answer.version);
        // A picture that is only to be refined is shown: its quality says how.
        let left = queue.iter().filter(|w| !w.refines());
        run.answer.left.extend(left.flat_map(|w| w.rects().iter().copied()));
        run.answer
    }

    /// The viewer has applied everything up to `applied`: older states are not returned to.
    pub fn confirm(&mut self, applied: UpdateId) {
        self.confirmed = self.confirmed.max(applied);
        self.history.confirm(applied);
        self.film.confirm(applied);
    }

    /// What the viewer's slots surely hold whatever it applied of what is not confirmed, for the next epoch's encoder.
    // spec: C-153
    pub fn into_slots(mut self) -> SlotMap {
        self.slots.next_epoch(self.confirmed);
        self.slots
    }

    /// The viewer says what its slots held when the session began, from slot `first` on.
    // spec: C-154
    pub fn offer(&mut self, first: u32, hashes: &[u128]) {
        self.slots.offer(first, hashes);
    }

    /// What it may do.
    pub const fn options(&self) -> &EncoderOptions {
        &self.options
    }

    /// The state that was coded last.
    pub const fn coded(&self) -> UpdateId {
        self.history.now()
    }

    /// What is coded from here on refers to nothing but the framebuffer, so that another viewer that holds the same
    /// pixels can follow.
    pub fn start_anew(&mut self) {
        self.film.begin_anew();
        self.leave_frame();
        self.lane_lost = true;
        self.slots.forget();
    }

    /// A coder for a viewer that stays at the state `base`; nothing, if that is no longer kept.
    pub fn fork(&self, base: UpdateId) -> Option<Self> {
        let sent = self.history.pixels_at(base, &self.sent)?;
        let mut fork = Self::with_slots(self.grid.size(), self.options, self.slots_at(base));
        fork.sent = sent;
        fork.history = History::at(base, self.options.undo_limit);
        fork.confirmed = base;
        fork.lane_lost = true;
        Some(fork)
    }

    /// What the slots of a viewer that stays at the state `at` surely hold, for the next epoch's encoder.
    // spec: C-153
    pub fn slots_at(&self, at: UpdateId) -> SlotMap {
        let mut slots = self.slots.clone();
        slots.next_epoch(at);
        slots
    }

    /// The oldest state that a job may name as its base.
    pub fn oldest_base(&self) -> UpdateId {
        self.history.oldest()
    }

    /// Memory held for going back.
    pub fn kept(&self) -> Bytes {
        self.history.kept()
    }

    /// What the viewer holds when everything coded has arrived.
    pub const fn sent(&self) -> &Pixels {
        &self.sent
    }

    /// Which wanted tiles differ, and which film regions have a frame to send; tiles that do not differ are answered.
    fn survey(&mut self, job: &EncodeJob, run: &mut Run<'_>) -> (Vec<Dirty>, Vec<(usize, Rect<Surf>)>) {
        self.tiles.begin();
        self.drop_stale_frame(job);
        let (mut films, mut dirty) = (Vec::new(), Vec::new());
        for (item, wanted) in job.items.iter().enumerate() {
            let rect = wanted.rect.intersect(self.grid.size().rect());
            let is_film = wanted.quality == Quality::FILM && self.films() && rect.area() <= self.slice_pixels();
            if !is_film || !self.film.takes(rect) || films.iter().any(|(_, f): &(_, Rect<Surf>)| *f == rect) {
                continue;
            }
            if self.begins_film(rect) && !self.is_motion(rect, run) {
                run.answer.no_film.push(wanted.rect);
                continue;
            }
            let tiles: Vec<_> = self.grid.touching(rect).filter(|at| rect.contains(self.grid.rect(*at))).collect();
            for at in &tiles {
                self.tiles.want(*at);
                self.tiles.doubt(*at);
            }
            let same = !self.is_filming(rect) && self.same(run.newest, rect);
            if !same {
                let here = self.is_filming(rect) || self.codes_film_itself(rect);
                if here || !self.begin_film(rect, run) {
                    films.push((item, rect));
                }
            } else {
                let states: Vec<_> = tiles.into_iter().filter_map(|at| self.state(at, run, 0)).collect();
                run.answer.same.extend(states);
            }
        }
        for (item, wanted) in job.items.iter().enumerate() {
            let rect = wanted.rect.intersect(self.grid.size().rect());
            for row in self.tile_rows(rect) {
                let start = dirty.len();
                diff::boxes(&self.sent, run.newest, row, |at, bbox| {
                    if !self.tiles.is_wanted(at) {
                        dirty.push(Dirty { item, at, bbox });
                    }
                });
                let mut found = dirty[start..].iter().peekable();
                for at in self.grid.touching(row) {
                    let differs = found.next_if(|d| d.at == at).is_some();
                    if self.tiles.want(at) && !differs {
                        let class = self.tiles.class(at);
                        let (version, quality) = (run.answer.version, Quality::EXACT);
                        run.answer.same.push(TileState { at, version, quality, class });
                    }
                }
            }
        }
        (dirty, films)
    }

    /// Film is wanted and the viewer has it.
    const fn films(&self) -> bool {
        self.options.film && self.options.ops & 1 << kind::FILM != 0
    }

    fn slice_pixels(&self) -> u64 {
        self.options.slice_pixels.max(LEAST_SLICE_PIXELS)
    }

    /// `rect` grown to whole tiles, one rectangle for each tile row.
    fn tile_rows(&self, rect: Rect<Surf>) -> Vec<Rect<Surf>> {
        let mut rows: Vec<Rect<Surf>> = Vec::new();
        for at in self.grid.touching(rect) {
            let tile = self.grid.rect(at);
            match rows.last_mut() {
                Some(row) if row.y == tile.y => *row = row.union(tile),
                _ => rows.push(tile),
            }
        }
        rows
    }

    /// A new slice, if the job has room for one.
    fn begin(&mut self, run: &Run<'_>) -> Option<Draft> {
        let max = usize::try_from(run.max_bytes).unwrap_or(usize::MAX);
        let limit = if run.answer.slices.is_empty() {
            run.slice_bytes.min(max.max(LEAST_ROOM))
        } else {
            let left = usize::try_from(run.left()).unwrap_or(usize::MAX);
            if left < LEAST_ROOM.min(run.slice_bytes) {
                return None;
            }
            run.slice_bytes.min(left)
        };
        let base = self.history.now();
        let stamp = self.tiles.stamp();
        Some(Draft {
            id: run.next,
            base,
            bytes: Vec::new(),
            limit,
            pixels: self.slice_pixels(),
            tiles: Vec::new(),
            stamp,
            undo: self.history.begin(run.next),
        })
    }

    /// Puts as many rectangles as fit; the rest goes back to the queue. Answers whether the slice is full.
    fn put_fill(
        &mut self,
        open: &mut Draft,
        run: &Run<'_>,
        colour: [u8; 3],
        mut rects: Vec<Rect<Surf>>,
        queue: &mut VecDeque<Work>,
    ) -> bool {
        let fit = (open.room().saturating_sub(op_len(3) + 2) / RECT_BYTES).min(limits::OP_RECTS);
        let mut left = open.pixels;
        let within = rects.iter().take_while(|r| left.checked_sub(r.area()).map(|rest| left = rest).is_some()).count();
        let mut rest = rects.split_off(fit.min(within).min(rects.len()));
        if let (true, Some(large)) = (rects.is_empty() && open.bytes.is_empty() && fit > 0, rest.first_mut()) {
            // Larger than a whole slice may change: as many rows as it may.
            let rows = (open.pixels / u64::from(large.w.max(1))).max(1) as u32;
            rects.push(Rect::new(large.x, large.y, large.w, rows.min(large.h)));
            *large =
                Rect::between(large.x, large.y + rows as i32, large.right(), large.bottom().max(large.y + rows as i32));
        }
        if !rects.is_empty() {
            put_op(&mut open.bytes, kind::FILL, &fill::payload(colour, &rects));
            rects.iter().for_each(|r| self.take(open, run.newest, *r));
        }
        let full = !rest.is_empty();
        if full {
            queue.push_front(Work::Fill(colour, rest));
        }
        full
    }

    /// Puts `work`, an area or the finish of a picture, exactly, and as much of its kind behind it as fits. Answers whether
    /// the slice is full.
    fn put_area(&mut self, open: &mut Draft, run: &Run<'_>, work: Work, queue: &mut VecDeque<Work>) -> bool {
        let part = |work: &Work| match work {
            Work::Area(rect, class) => Some((*rect, *class, None)),
            Work::Picture(rect, step) if work.finishes().is_some() => Some((*rect, TileClass::Picture, Some(*step))),
            _ => None,
        };
        let Some((rect, class, mut step)) = part(&work) else { return false };
        let as_work = |rect, step| match step {
            Some(step) => Work::Picture(rect, step),
            None => Work::Area(rect, class),
        };
        let kind_of = usize::from(class == TileClass::Picture);
        let room = open.room();
        if rect.area() > open.pixels {
            queue.push_front(as_work(rect, step));
            return true;
        }
        let guess = |area: u64, ratio: u64| (area * ratio / 1024) as usize + 24;
        if room < 48 || (guess(rect.area(), self.ratios[kind_of]) > room && room < open.limit / 2) {
            queue.push_front(as_work(rect, step));
            return true;
        }
        let mut rects = vec![rect];
        let mut area = rect.area();
        while let Some((next, of, beside)) = queue.front().and_then(part) {
            let with = area + next.area();
            let fits = guess(with, self.ratios[kind_of]) + rects.len() * 6 <= room * 15 / 16;
            if (of, beside) != (class, step)
                || !fits
                || with > limits::OP_PIXELS.min(open.pixels)
                || rects.len() == limits::OP_RECTS
            {
                break;
            }
            rects.push(next);
            area = with;
            queue.pop_front();
        }
        loop {
            let payload = self.exact.code(run.newest, &rects, class);
            let need = op_len(payload.len());
            let ratio = &mut self.ratios[kind_of];
            *ratio = (*ratio + (need as u64 * 1024 / area.max(1)).max(1)) / 2;
            if need <= room {
                put_op(&mut open.bytes, kind::EXACT, payload);
                rects.iter().for_each(|r| self.take(open, run.newest, *r));
                return open.room() < open.limit / 8;
            }
            // Too much: keep the part that should fit, at least one rectangle, and at last a part of one.
            let keep = area * room as u64 / need as u64 * 7 / 8;
            while rects.len() > 1 && area > keep {
                if let Some(last) = rects.pop() {
                    area -= last.area();
                    queue.push_front(as_work(last, step));
                }
            }
            if let [only] = rects[..]
                && area > keep
            {
                if !open.bytes.is_empty() && room < open.limit / 2 {
                    queue.push_front(as_work(only, step));
                    return true;
                }
                match cut(only, (keep * 256 / area.max(1)).min(255)) {
                    Some((head, tail)) => {
                        // Of a picture in layers only a part will be exact: the other is said to be left.
                        step = None;
                        queue.push_front(as_work(tail, step));
                        rects = vec![head];
                        area = head.area();
                    }
                    None => {
                        queue.push_front(as_work(only, step));
                        return true;
                    }
                }
            }
        }
    }

    /// `rect` now shows the newest pixels.
    fn take(&mut self, open: &mut Draft, newest: &Pixels, rect: Rect<Surf>) {
        open.undo.save(&self.sent, rect);
        for y in rect.y..rect.bottom() {
            let from = newest.row(rect.x as u32, y as u32, rect.w).as_chunks::<4>().0;
            let to = self.sent.row_mut(rect.x as u32, y as u32, rect.w).as_chunks_mut::<4>().0;
            // The fourth byte means nothing, but is kept 0 here whatever the source says.
            to.iter_mut()
                .zip(from)
                .for_each(|(to, from)| *to = (u32::from_le_bytes(*from) & kernel::COLOUR).to_le_bytes());
        }
        open.pixels = open.pixels.saturating_sub(rect.area());
        self.tiles.shows(rect);
        self.tiles.touch(open.stamp, rect, &mut open.tiles);
    }

    fn close(&mut self, open: Draft, run: &mut Run<'_>) {
        if open.bytes.is_empty() {
            return;
        }
        debug_assert!(open.bytes.len() <= run.slice_bytes);
        run.used += open.bytes.len() as u64;
        run.next = open.id.next();
        let tiles = open.tiles.iter().filter_map(|at| self.state(*at, run, open.stamp)).collect();
        self.history.push(open.undo);
        run.answer.slices.push(EncodedSlice { id: open.id, base: open.base, tiles, bytes: open.bytes });
    }

    /// What a tile is: exact, or film if this slice (`stamp`) put film on it, or in part.
    fn state(&self, at: TileAt, run: &Run<'_>, stamp: u32) -> Option<TileState> {
        self.grid.index(at)?;
        // Exact is what compares equal, never what the bookkeeping believes.
        let shown = !run.anew || self.tiles.is_exact(at);
        let exact = shown && self.same(run.newest, self.grid.rect(at));
        debug_assert!(exact || !self.tiles.is_exact(at), "{at:?} is not exact");
        let now = run.answer.version;
        let (version, quality) = match self.tiles.filmed(at, stamp) {
            _ if exact => (now, Quality::EXACT),
            // A frame may have been coded before what is newest now.
            Some(version) => (version, Quality::FILM),
            None => (now, self.tiles.layer_of(at, stamp).map_or(Quality::NONE, Layer::quality)),
        };
        Some(TileState { at, version, quality, class: self.tiles.class(at) })
    }

    /// Whether `rect`, which lies inside the surface, shows the newest pixels.
    fn same(&self, newest: &Pixels, rect: Rect<Surf>) -> bool {
        let stride = newest.stride();
        let at = rect.y as usize * stride + rect.x as usize * 4;
        let (len, h) = (rect.w as usize * 4, rect.h as usize);
        kernel::same_block(self.sent.data(), at, newest.data(), at, stride, len, h)
    }
}
