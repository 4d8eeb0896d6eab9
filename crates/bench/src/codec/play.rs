//! One recording on its way through the coders, and what was measured.

use super::baseline::{Baseline, Baselines};
use super::equal::{Filmed, Side};
use super::{Options, Rate};
use crate::clock::cpu_ms;
use crate::summary::Samples;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, VecDeque};
use telepane_codec::text::TextOp;
use telepane_codec::wire::{Reader as Ops, kind, next_op};
use telepane_codec::{Decoder, Encoder, EncoderOptions, Stage, diff};
use telepane_model::{
    Bytes, EncodeItem, EncodeJob, EncodedSlices, Epoch, Grid, HostClock, Pixels, Quality, Rect, Size, Stamp, Surf,
    TileAt, UpdateId, Version,
};
use telepane_session::{Film, Ledger};

/// The virtual clock's tick: the interval of the frames' budgets.
const TICK_MS: f64 = 1000.0 / 30.0;
/// After the last frame the rest is waited for at most so long.
const REST_MS: f64 = 60_000.0;
/// The ops of the wire by their kinds.
pub const OPS: [&str; 7] = ["fill", "move", "cache", "text", "picture", "film", "exact"];
/// The encoder's stages.
pub const STAGES: [(Stage, &str); 7] = [
    (Stage::Compare, "compare"),
    (Stage::Move, "move"),
    (Stage::Cache, "cache"),
    (Stage::Plan, "plan"),
    (Stage::Text, "text"),
    (Stage::Picture, "picture"),
    (Stage::Film, "film"),
];

/// What was measured of one recording. Everything but the first frame.
#[derive(Debug, Default)]
pub struct Played {
    /// The recording.
    pub name: String,
    /// Bytes of the first frame.
    pub first_bytes: u64,
    /// Bytes of each job, and of these each op's.
    pub bytes: Samples,
    pub ops: [Samples; OPS.len()],
    /// CPU of each job in milliseconds: encode, its stages, decode.
    pub encode: Samples,
    pub stages: [Samples; STAGES.len()],
    pub decode: Samples,
    /// A full scan of two equal frames, and memcmp of the same two, by turns.
    pub scan: Samples,
    pub memcmp: Samples,
    pub(super) baselines: Vec<Baseline>,
    /// The frames with film, and what openh264 makes of them at the same quality, ours first.
    pub(super) filmed: Vec<Filmed>,
    pub(super) equal: Vec<Side>,
    exact: u64,
    tiles: u64,
    squares: f64,
    lossy: u64,
    exact_ms: Samples,
    moves: usize,
    films: usize,
    /// TEXT ops, the first frame's too: their bytes and the pixels they say.
    text: [u64; 2],
}

impl Played {
    /// Jobs.
    pub fn jobs(&self) -> usize {
        self.bytes.0.len()
    }

    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.bytes.0.iter().sum::<f64>() as u64
    }

    /// Rectangles that were moved.
    pub const fn moves(&self) -> usize {
        self.moves
    }

    /// Jobs that put film.
    pub const fn films(&self) -> usize {
        self.films
    }

    /// The share of the tiles that were exact in the job that touched them first.
    pub fn first_pass_share(&self) -> f64 {
        self.exact as f64 / self.tiles.max(1) as f64
    }

    /// Of what is shown and not exact, over all jobs: luma, decibels. None if everything was exact.
    pub fn lossy_db(&self) -> Option<f64> {
        (self.lossy > 0).then(|| 10.0 * (255.0 * 255.0 / (self.squares / self.lossy as f64).max(1e-9)).log10())
    }

    /// From a change to when everything is exact again, milliseconds: on the virtual clock, and without a rate CPU alone.
    pub const fn exact_ms(&self) -> &Samples {
        &self.exact_ms
    }

    /// Bytes of TEXT for each pixel that it said anew, in the first frame and all others. None without text.
    pub fn text_density(&self) -> Option<f64> {
        let [bytes, pixels] = self.text;
        (pixels > 0).then(|| bytes as f64 / pixels as f64)
    }

    /// Other ways to code the same frames.
    pub fn baselines(&self) -> &[Baseline] {
        &self.baselines
    }
}

/// A recording being played.
pub struct Play {
    rate: Rate,
    rtt_ms: f64,
    slice: u64,
    encoder: Encoder,
    decoder: Decoder,
    grid: Grid,
    newest: Pixels,
    base: UpdateId,
    version: u64,
    /// When each slice's confirmation arrives.
    flying: VecDeque<(f64, UpdateId)>,
    now_ms: f64,
    /// Bytes that the job before took ahead.
    debt: f64,
    stale_since: Option<f64>,
    baselines: Option<Baselines>,
    film: Option<Box<Watch>>,
    played: Played,
}

/// What the host keeps to tell a film.
struct Watch {
    ledger: Ledger,
    film: Film,
}

impl Play {
    /// Before the first frame.
    pub fn new(name: String, size: Size<Surf>, options: &Options) -> Self {
        Self {
            rate: options.rate,
            rtt_ms: options.rtt.into(),
            slice: options.slice,
            encoder: Encoder::new(size, EncoderOptions { film_judged: true, ..EncoderOptions::default() }),
            decoder: Decoder::new(size),
            grid: Grid::new(size),
            newest: Pixels::new(size),
            base: UpdateId::BLANK,
            version: 0,
            flying: VecDeque::new(),
            now_ms: 0.0,
            debt: 0.0,
            stale_since: None,
            film: options.film.then(|| {
                let ledger = Ledger::new(Epoch(1), size, Version(0), Stamp::ZERO);
                Box::new(Watch { ledger, film: Film::new() })
            }),
            baselines: options.baseline.then(|| Baselines::new(size, options.rate.0)),
            played: Played { name, ..Played::default() },
        }
    }

    /// The screen shows `frame` from `ms` on.
    pub fn frame(&mut self, ms: u32, frame: &Pixels) -> Result<()> {
        let ms = f64::from(ms);
        if self.version > 0 && self.rate.0.is_some() {
            while self.now_ms + TICK_MS <= ms {
                self.tick()?;
            }
        } else {
            self.now_ms = ms;
        }
        if frame.same(&self.newest, self.newest.size().rect()) && self.version > 0 {
            return Ok(());
        }
        if let Some(baselines) = &mut self.baselines {
            baselines.frame(&self.newest, frame, self.version == 0);
        }
        let changed = diff(&self.newest, frame, &frame.size().rect().into());
        self.newest.copy_from(frame, frame.size().rect());
        self.version += 1;
        let now = self.now();
        if let Some(watch) = &mut self.film {
            watch.ledger.touch(&changed, Version(self.version), now);
            watch.film.on_frame(&watch.ledger, changed.bounds(), now);
        }
        self.stale_since.get_or_insert(ms);
        if self.version == 1 {
            self.job(u64::MAX)?;
            self.played = Played {
                name: std::mem::take(&mut self.played.name),
                first_bytes: self.played.total(),
                text: self.played.text,
                ..Played::default()
            };
        } else if self.rate.0.is_none() {
            self.scan();
            self.job(u64::MAX)?;
        }
        Ok(())
    }

    /// The last frame stands until everything is exact.
    pub fn finish(mut self) -> Result<Played> {
        let end = self.now_ms + REST_MS;
        while self.stale_since.is_some() {
            ensure!(self.now_ms < end, "not exact {REST_MS} ms after the last frame");
            self.tick()?;
        }
        self.played.baselines = self.baselines.map(Baselines::finish).unwrap_or_default();
        Ok(self.played)
    }

    fn now(&self) -> Stamp<HostClock> {
        Stamp::from_micros((self.now_ms * 1_000.0) as u64)
    }

    fn tick(&mut self) -> Result<()> {
        self.now_ms += TICK_MS;
        let share = self.rate.0.map_or(f64::MAX, |r| r as f64 / 8000.0 * TICK_MS);
        let room = share - self.debt;
        self.debt = (self.debt - share).max(0.0);
        if self.stale_since.is_some() && room > 0.0 {
            let bytes = self.job(room as u64)?;
            self.debt = (bytes as f64 - room).max(0.0);
        }
        Ok(())
    }

    /// The full scan beside its bound, by turns so that neither has the warm cache.
    fn scan(&mut self) {
        let (before, now) = (self.newest.clone(), &self.newest);
        let all = now.size().rect().into();
        for turn in 0..2 {
            let start = cpu_ms();
            if (self.played.jobs() + turn).is_multiple_of(2) {
                assert!(diff(&before, now, &all).is_empty());
                self.played.scan.0.push(cpu_ms() - start);
            } else {
                assert!(before.data() == now.data());
                self.played.memcmp.0.push(cpu_ms() - start);
            }
        }
    }

    /// One job of at most `max` bytes, decoded and verified; answers its bytes.
    fn job(&mut self, max: u64) -> Result<u64> {
        while let Some((_, id)) = self.flying.pop_front_if(|(at, _)| *at <= self.now_ms) {
            self.encoder.confirm(id);
            self.film.iter_mut().for_each(|watch| watch.ledger.confirm(id));
        }
        let version = Version(self.version);
        let changed = diff(self.encoder.sent(), &self.newest, &self.newest.size().rect().into());
        let (now, mut items, mut film) = (self.now(), Vec::new(), None);
        let mut exact = changed;
        if let Some(watch) = &mut self.film {
            watch.film.on_time(now);
            if let Some(rect) = watch.film.region() {
                exact.subtract(rect);
                let is_stale = |at| watch.ledger.tile(at).is_some_and(Ledger::is_stale);
                if watch.ledger.grid().touching(rect).any(is_stale) {
                    items.push(EncodeItem { rect, version, quality: Quality::FILM });
                    film = Some(rect);
                }
            }
        }
        items.extend(exact.rects().iter().map(|rect| EncodeItem { rect: *rect, version, quality: Quality::EXACT }));
        let job = EncodeJob {
            id: Default::default(),
            surface: Default::default(),
            epoch: Default::default(),
            size: self.newest.size(),
            base: self.base,
            first: self.base.next(),
            items,
            max_bytes: Bytes(max),
            film_bytes: Bytes(max),
            film_scale: Default::default(),
            slice_bytes: Bytes(self.slice),
            pictures: Default::default(),
            anew: false,
        };
        if job.items.is_empty() {
            return Ok(0);
        }
        let start = cpu_ms();
        let (mut spent, mut stage, mut since) = ([0.0; STAGES.len()], 0, start);
        let answer = self.encoder.encode_watched(&job, &self.newest, version, &mut |entered| {
            let now = cpu_ms();
            spent[stage] += now - since;
            stage = STAGES.iter().position(|(s, _)| *s == entered).unwrap_or(0);
            since = now;
        })?;
        let end = cpu_ms();
        spent[stage] += end - since;
        for slice in &answer.slices {
            self.decoder.apply(&slice.bytes)?;
        }
        let decode = cpu_ms() - end;
        if let Some(watch) = &mut self.film {
            watch.ledger.on_coded(&answer);
            answer.no_film.iter().for_each(|rect| watch.film.refuse(*rect));
        }
        let films = self.played.films;
        let bytes = self.count(&answer)?;
        if let Some(rect) = film.filter(|_| self.played.films > films) {
            self.on_film(rect, bytes, end - start);
        }
        let played = &mut self.played;
        played.encode.0.push(end - start);
        played.decode.0.push(decode);
        played.stages.iter_mut().zip(spent).for_each(|(all, ms)| all.0.push(ms));
        self.verify(&answer)?;
        if let Some(last) = answer.slices.last() {
            self.base = last.id;
            self.flying.push_back((self.now_ms + self.rtt_ms, last.id));
        }
        let exact = self.decoder.pixels().same(&self.newest, self.newest.size().rect());
        ensure!(exact || !answer.left.is_empty() || self.played.lossy > 0, "nothing is left, yet it is not exact");
        if exact && let Some(since) = self.stale_since.take() {
            let sent = self.rate.0.map_or(0.0, |r| bytes as f64 * 8000.0 / r as f64);
            let waited = if self.rate.0.is_some() { self.now_ms - since } else { 0.0 };
            self.played.exact_ms.0.push(waited + sent + end - start + decode);
        }
        Ok(bytes)
    }

    /// A job put film in `rect`. One frame may take several jobs.
    fn on_film(&mut self, rect: Rect<Surf>, bytes: u64, encode_ms: f64) {
        let squares = squares(self.decoder.pixels(), &self.newest, rect);
        let new = Filmed { version: self.version, rect, squares, bytes, encode_ms };
        match self.played.filmed.last_mut().filter(|last| last.version == new.version) {
            Some(last) => {
                *last = Filmed { bytes: last.bytes + bytes, encode_ms: last.encode_ms + encode_ms, ..new };
            }
            None => self.played.filmed.push(new),
        }
    }

    fn count(&mut self, answer: &EncodedSlices) -> Result<u64> {
        let mut ops = [0u64; OPS.len()];
        for slice in &answer.slices {
            let (mut rest, mut before) = (Ops::new(&slice.bytes), slice.bytes.len());
            while !rest.is_empty() {
                let (kind, payload) = next_op(&mut rest)?;
                let left = rest.clone().rest().len();
                *ops.get_mut(usize::from(kind)).context("an op without a name")? += (before - left) as u64;
                if kind == kind::TEXT {
                    let op = TextOp::parse(payload, u64::MAX, self.newest.size())?;
                    self.played.text[0] += (before - left) as u64;
                    self.played.text[1] += op.rects().iter().map(|r| r.area()).sum::<u64>();
                }
                before = left;
            }
        }
        let all: u64 = ops.iter().sum();
        self.played.films += usize::from(ops[usize::from(kind::FILM)] > 0);
        self.played.bytes.0.push(all as f64);
        self.played.ops.iter_mut().zip(ops).for_each(|(of, n)| of.0.push(n as f64));
        self.played.moves += answer.moved.len();
        Ok(all)
    }

    /// The decoder shows what was sent, and what is called exact is.
    fn verify(&mut self, answer: &EncodedSlices) -> Result<()> {
        let shown = self.decoder.pixels();
        ensure!(shown == self.encoder.sent(), "the decoder does not show what was sent");
        let states = answer.slices.iter().flat_map(|s| &s.tiles).chain(&answer.same);
        let last: BTreeMap<TileAt, Quality> = states.map(|t| (t.at, t.quality)).collect();
        for (at, quality) in &last {
            let rect = self.grid.rect(*at);
            if *quality == Quality::EXACT {
                ensure!(shown.same(&self.newest, rect), "{at:?} is called exact and is not");
            } else if *quality != Quality::NONE {
                self.played.squares += squares(shown, &self.newest, rect);
                self.played.lossy += rect.area();
            }
        }
        let left = answer.left.iter().flat_map(|r| self.grid.touching(*r)).filter(|at| !last.contains_key(at));
        self.played.tiles += (last.len() + left.count()) as u64;
        self.played.exact += last.values().filter(|q| **q == Quality::EXACT).count() as u64;
        Ok(())
    }
}

/// The sum of the squared differences of luma (BT.709).
pub fn squares(a: &Pixels, b: &Pixels, rect: Rect<Surf>) -> f64 {
    let luma = |p: &[u8]| 0.0722 * f64::from(p[0]) + 0.7152 * f64::from(p[1]) + 0.2126 * f64::from(p[2]);
    let rows = a.rows(rect).zip(b.rows(rect));
    rows.flat_map(|(a, b)| a.chunks_exact(4).zip(b.chunks_exact(4))).map(|(a, b)| (luma(a) - luma(b)).powi(2)).sum()
}
