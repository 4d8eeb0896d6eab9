//! The host's side: codes the difference between what the viewer will hold and the newest pixels.
//!
//! `sent` is the viewer's framebuffer once everything coded so far has arrived, bit for bit, film included. A job names
//! the state to code against: if it is not the last one, the slices after it are undone first (a rebase), which needs
//! no old frames at the viewer. What a tile's state is after a slice is never assumed: it is compared.

use crate::exact::ExactCoder;
use crate::film::FilmEncoder;
use crate::history::{History, Undo};
use crate::plan::{Dirty, Work, cut, plan};
use crate::wire::{RECT_BYTES, kind, limits, op_len, put_op};
use crate::{diff, fill, film, kernel, motion, shift};
use std::collections::VecDeque;
use telepane_model::{
    Bytes, EncodeJob, EncodedSlice, EncodedSlices, Grid, Move, Pixels, Quality, Rect, Size, Surf, TileAt, TileClass,
    TileState, UpdateId, Version,
};

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
}

impl Default for EncoderOptions {
    /// 64 MiB for ways back (`DESIGN` §3.3), every tool on.
    fn default() -> Self {
        Self { undo_limit: Bytes(64 << 20), moves: true, film: true }
    }
}

/// Fewer changed tiles than this are coded faster than a move is found (`research/codec.md` §4).
const MOVE_TILES: usize = 5;
/// No slice is begun with less room than this, if slices may be larger.
const LEAST_ROOM: usize = 300;
/// Slices must have room for at least this: a pixel by any op with every field at its longest.
const LEAST_SLICE: usize = 64;
/// Film is thought to run at this rate when a job's bytes are turned into a bit rate.
const FILM_RATE: u64 = 30;

/// Codes one surface for one viewer in one epoch.
pub struct Encoder {
    grid: Grid,
    options: EncoderOptions,
    sent: Pixels,
    history: History,
    exact: ExactCoder,
    film: FilmEncoder,
    classes: Vec<TileClass>,
    wanted: Vec<u32>,
    touched: Vec<u32>,
    filmed: Vec<u32>,
    stamp: u32,
    /// Bytes for each pixel that the last areas took, text and pictures, in 1/1024.
    ratios: [u64; 2],
}

/// A slice in the making.
struct Draft {
    id: UpdateId,
    base: UpdateId,
    bytes: Vec<u8>,
    limit: usize,
    tiles: Vec<TileAt>,
    stamp: u32,
    undo: Undo,
}

impl Draft {
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }
}

/// A job in the making.
struct Run<'a> {
    newest: &'a Pixels,
    next: UpdateId,
    used: u64,
    max_bytes: u64,
    slice_bytes: usize,
    answer: EncodedSlices,
}

impl Encoder {
    /// An encoder for a viewer that holds a black surface of this size.
    pub fn new(size: Size<Surf>, options: EncoderOptions) -> Self {
        let grid = Grid::new(size);
        Self {
            grid,
            options,
            sent: Pixels::new(size),
            history: History::new(options.undo_limit),
            exact: ExactCoder::default(),
            film: FilmEncoder::default(),
            classes: vec![TileClass::Text; grid.count()],
            wanted: vec![0; grid.count()],
            touched: vec![0; grid.count()],
            filmed: vec![0; grid.count()],
            stamp: 0,
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
        // spec: C-10
        if job.base != self.history.now() {
            if !self.history.return_to(job.base, &mut self.sent) {
                return Err(BaseGone { base: job.base });
            }
            self.film.lost();
        }
        let mut run = Run {
            newest,
            next: job.first,
            used: 0,
            max_bytes: job.max_bytes.0,
            slice_bytes: usize::try_from(job.slice_bytes.0).unwrap_or(usize::MAX).min(limits::SLICE_BYTES),
            answer: EncodedSlices { job: job.id, version, ..EncodedSlices::default() },
        };
        if newest.size() != self.grid.size() || run.slice_bytes < LEAST_SLICE {
            run.answer.left = job.items.iter().map(|i| i.rect).filter(|r| !r.is_empty()).collect();
            return Ok(run.answer);
        }
        let (mut dirty, films) = self.survey(job, &mut run);
        let mut draft = None;
        if self.options.moves && dirty.len() >= MOVE_TILES {
            draft = self.make_moves(&mut dirty, &mut run);
        }
        let classes = &mut self.classes;
        let grid = self.grid;
        let mut queue = plan(newest, &dirty, &films, &mut self.exact, |at, class| {
            if let Some(slot) = grid.index(at).and_then(|i| classes.get_mut(i)) {
                *slot = class;
            }
        });
        while let Some(work) = queue.pop_front() {
            let Some(mut open) = draft.take().or_else(|| self.begin(&run)) else {
                queue.push_front(work);
                break;
            };
            let full = match work {
                Work::Fill(colour, rects) => self.put_fill(&mut open, &run, colour, rects, &mut queue),
                Work::Area(rect, class) => self.put_area(&mut open, &run, rect, class, &mut queue),
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
        run.answer.left.extend(queue.iter().flat_map(|w| w.rects().iter().copied()));
        Ok(run.answer)
    }

    /// The viewer has applied everything up to `applied`: older states are not returned to.
    pub fn confirm(&mut self, applied: UpdateId) {
        self.history.confirm(applied);
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
        let mark = self.next_stamp();
        let (mut films, mut dirty) = (Vec::new(), Vec::new());
        for (item, wanted) in job.items.iter().enumerate() {
            let rect = wanted.rect.intersect(self.grid.size().rect());
            let is_film = wanted.quality == Quality::FILM && self.options.film;
            if !is_film || !self.film.takes(rect) || films.iter().any(|(_, f): &(_, Rect<Surf>)| *f == rect) {
                continue;
            }
            let tiles: Vec<_> = self.grid.touching(rect).filter(|at| rect.contains(self.grid.rect(*at))).collect();
            tiles.iter().filter_map(|at| self.grid.index(*at)).for_each(|i| self.wanted[i] = mark);
            if !self.same(run.newest, rect) {
                films.push((item, rect));
            } else {
                let states = tiles.into_iter().filter_map(|at| self.state(at, run, 0));
                let states: Vec<_> = states.collect();
                run.answer.same.extend(states);
            }
        }
        for (item, wanted) in job.items.iter().enumerate() {
            let rect = wanted.rect.intersect(self.grid.size().rect());
            for row in self.tile_rows(rect) {
                let start = dirty.len();
                diff::boxes(&self.sent, run.newest, row, |at, bbox| {
                    if self.grid.index(at).is_some_and(|i| self.wanted[i] != mark) {
                        dirty.push(Dirty { item, at, bbox });
                    }
                });
                let mut found = dirty[start..].iter().peekable();
                for at in self.grid.touching(row) {
                    let differs = found.next_if(|d| d.at == at).is_some();
                    let Some(i) = self.grid.index(at) else { continue };
                    if self.wanted[i] != mark {
                        self.wanted[i] = mark;
                        if !differs {
                            let class = self.classes[i];
                            let (version, quality) = (run.answer.version, Quality::EXACT);
                            run.answer.same.push(TileState { at, version, quality, class });
                        }
                    }
                }
            }
        }
        (dirty, films)
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

    /// Finds and codes moves; the tiles in `dirty` that they mend are taken out.
    fn make_moves(&mut self, dirty: &mut Vec<Dirty>, run: &mut Run<'_>) -> Option<Draft> {
        let mark = self.stamp;
        let rect_of = |d: &Dirty| self.grid.rect(d.at);
        let mut tiles: Vec<_> = dirty.iter().map(rect_of).collect();
        let mut draft: Option<Draft> = None;
        for (dx, dy) in motion::vectors(&self.sent, run.newest, &tiles) {
            if dirty.len() < MOVE_TILES {
                break;
            }
            let (grid, wanted) = (self.grid, &self.wanted);
            let allowed = |at: TileAt| grid.index(at).is_some_and(|i| wanted.get(i) == Some(&mark));
            let mut rects = motion::verified(&self.sent, run.newest, &tiles, (dx, dy), allowed);
            let open = match &mut draft {
                Some(open) => open,
                None => draft.insert(self.begin(run)?),
            };
            rects.truncate((open.room().saturating_sub(24) / RECT_BYTES).min(limits::OP_RECTS));
            if rects.is_empty() {
                continue;
            }
            put_op(&mut open.bytes, kind::MOVE, &shift::payload(dx, dy, &rects));
            for to in rects {
                let Some(from) = shift::source(to, dx, dy) else { continue };
                open.undo.save(&self.sent, to);
                shift::copy(&mut self.sent, from, to);
                Self::touch(&mut self.touched, grid, open, to);
                run.answer.moved.push(Move { to, dx, dy });
            }
            dirty.retain_mut(|d| {
                if grid.index(d.at).is_some_and(|i| self.touched[i] == open.stamp) {
                    d.bbox = Rect::default();
                    diff::boxes(&self.sent, run.newest, grid.rect(d.at), |_, bbox| d.bbox = bbox);
                }
                !d.bbox.is_empty()
            });
            tiles = dirty.iter().map(|d| grid.rect(d.at)).collect();
        }
        draft.filter(|d| !d.bytes.is_empty())
    }

    /// A new slice, if the job has room for one.
    fn begin(&mut self, run: &Run<'_>) -> Option<Draft> {
        let max = usize::try_from(run.max_bytes).unwrap_or(usize::MAX);
        let limit = if run.answer.slices.is_empty() {
            run.slice_bytes.min(max.max(LEAST_ROOM))
        } else {
            let left = max.saturating_sub(usize::try_from(run.used).unwrap_or(usize::MAX));
            if left < LEAST_ROOM.min(run.slice_bytes) {
                return None;
            }
            run.slice_bytes.min(left)
        };
        let base = self.history.now();
        let stamp = self.next_stamp();
        Some(Draft {
            id: run.next,
            base,
            bytes: Vec::new(),
            limit,
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
        let rest = rects.split_off(fit.min(rects.len()));
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

    /// Puts `rect` and as many areas of its class behind it as fit. Answers whether the slice is full.
    fn put_area(
        &mut self,
        open: &mut Draft,
        run: &Run<'_>,
        rect: Rect<Surf>,
        class: TileClass,
        queue: &mut VecDeque<Work>,
    ) -> bool {
        let kind_of = usize::from(class == TileClass::Picture);
        let room = open.room();
        let guess = |area: u64, ratio: u64| (area * ratio / 1024) as usize + 24;
        if room < 48 || (guess(rect.area(), self.ratios[kind_of]) > room && room < open.limit / 2) {
            queue.push_front(Work::Area(rect, class));
            return true;
        }
        let mut rects = vec![rect];
        let mut area = rect.area();
        while let Some(Work::Area(next, of)) = queue.front() {
            let with = area + next.area();
            let fits = guess(with, self.ratios[kind_of]) + rects.len() * 6 <= room * 15 / 16;
            if *of != class || !fits || with > limits::OP_PIXELS || rects.len() == limits::OP_RECTS {
                break;
            }
            rects.push(*next);
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
                    queue.push_front(Work::Area(last, class));
                }
            }
            if let [only] = rects[..]
                && area > keep
            {
                if !open.bytes.is_empty() && room < open.limit / 2 {
                    queue.push_front(Work::Area(only, class));
                    return true;
                }
                match cut(only, (keep * 256 / area.max(1)).min(255)) {
                    Some((head, tail)) => {
                        queue.push_front(Work::Area(tail, class));
                        rects = vec![head];
                        area = head.area();
                    }
                    None => {
                        queue.push_front(Work::Area(only, class));
                        return true;
                    }
                }
            }
        }
    }

    /// Puts a film frame: one fragment for each slice, the last of which shows it. When there is no room it is left;
    /// when H.264 fails the region is coded exactly.
    fn put_film(&mut self, rect: Rect<Surf>, run: &mut Run<'_>, queue: &mut VecDeque<Work>) {
        let left = run.max_bytes.saturating_sub(run.used);
        if !run.answer.slices.is_empty() && left < self.film.expected(rect) as u64 {
            run.answer.left.push(rect);
            return;
        }
        let bps = left.saturating_mul(8 * FILM_RATE);
        let mut shown = Undo::new(run.next, self.history.now());
        shown.save(&self.sent, rect);
        let frame = self.film.code(run.newest, rect, bps).filter(|frame| self.film.show(frame, &mut self.sent));
        let Some(frame) = frame else {
            let mut dirty = Vec::new();
            diff::boxes(&self.sent, run.newest, rect, |at, bbox| dirty.push(Dirty { item: 0, at, bbox }));
            let exact = plan(run.newest, &dirty, &[], &mut self.exact, |_, _| {});
            exact.into_iter().rev().for_each(|w| queue.push_front(w));
            return;
        };
        let mut shown = Some(shown);
        let mut rest = &frame.data[..];
        let mut first = true;
        while !rest.is_empty() {
            let (id, base, stamp) = (run.next, self.history.now(), self.next_stamp());
            let mut bytes = Vec::new();
            rest = film::put_fragment(&mut bytes, &frame, first, rest, run.slice_bytes);
            first = false;
            let undo = Undo::new(id, base);
            let mut open = Draft { id, base, bytes, limit: run.slice_bytes, tiles: Vec::new(), stamp, undo };
            if rest.is_empty() {
                if let Some(mut shown) = shown.take() {
                    (shown.id, shown.base) = (id, base);
                    open.undo = shown;
                }
                Self::touch(&mut self.touched, self.grid, &mut open, rect);
                for i in open.tiles.iter().filter_map(|at| self.grid.index(*at)) {
                    if rect.contains(self.grid.rect(self.grid.at(i))) {
                        self.filmed[i] = stamp;
                        self.classes[i] = TileClass::Picture;
                    }
                }
            }
            self.close(open, run);
        }
    }

    /// `rect` now shows the newest pixels.
    fn take(&mut self, open: &mut Draft, newest: &Pixels, rect: Rect<Surf>) {
        open.undo.save(&self.sent, rect);
        self.sent.copy_from(newest, rect);
        for y in rect.y..rect.bottom() {
            // The fourth byte means nothing, but is kept 0 here whatever the source says.
            for px in self.sent.row_mut(rect.x as u32, y as u32, rect.w).chunks_exact_mut(4) {
                px[3] = 0;
            }
        }
        Self::touch(&mut self.touched, self.grid, open, rect);
    }

    fn touch(touched: &mut [u32], grid: Grid, open: &mut Draft, rect: Rect<Surf>) {
        for at in grid.touching(rect) {
            if let Some(slot) = grid.index(at).and_then(|i| touched.get_mut(i))
                && *slot != open.stamp
            {
                *slot = open.stamp;
                open.tiles.push(at);
            }
        }
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

    /// What a tile is, by comparing it: exact, or film if this slice (`stamp`) put film on it, or in part.
    fn state(&self, at: TileAt, run: &Run<'_>, stamp: u32) -> Option<TileState> {
        let i = self.grid.index(at)?;
        let rect = self.grid.rect(at);
        let same = self.same(run.newest, rect);
        let quality = if same {
            Quality::EXACT
        } else if *self.filmed.get(i)? == stamp {
            Quality::FILM
        } else {
            Quality::NONE
        };
        Some(TileState { at, version: run.answer.version, quality, class: *self.classes.get(i)? })
    }

    /// Whether `rect`, which lies inside the surface, shows the newest pixels.
    fn same(&self, newest: &Pixels, rect: Rect<Surf>) -> bool {
        let stride = newest.stride();
        let at = rect.y as usize * stride + rect.x as usize * 4;
        let (len, h) = (rect.w as usize * 4, rect.h as usize);
        kernel::same_block(self.sent.data(), at, newest.data(), at, stride, len, h)
    }

    fn next_stamp(&mut self) -> u32 {
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            for list in [&mut self.wanted, &mut self.touched, &mut self.filmed] {
                list.fill(0);
            }
            self.stamp = 1;
        }
        self.stamp
    }
}
