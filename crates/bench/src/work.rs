//! The works: what is done in a cell, and what is measured of it.

use crate::cell::{Cell, Spent};
use crate::clock;
use crate::framebuffer::{Framebuffer, RGB};
use crate::link::emulator::Tick;
use crate::link::profile::Profile;
use crate::process::{rest, stop_if_interrupted};
use crate::quality::{Luma, psnr, ssim};
use crate::shared::Word;
use crate::stimulus::film::{self, Film};
use crate::stimulus::font::{Font, LETTERS};
use crate::stimulus::page::{self, Chance, MENU};
use crate::stimulus::{Kind, is_fresh};
use crate::summary::Samples;
use crate::watch::{self, Target};
use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// How much of each work.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Keys pressed and measured.
    pub presses: usize,
    /// Seconds of what moves by itself, and at most so many of switching.
    pub seconds: u64,
    /// Seconds of rest before idle figures are taken.
    pub after: u64,
    /// Seconds of idle figures.
    pub idle_seconds: u64,
}

impl Amount {
    /// Long enough to see what follows the link's last change.
    pub fn for_link(self, link: &Profile) -> Self {
        let changes = link.changes.last().map_or(0, |(at, _)| at.as_micros().div_ceil(1_000_000) + 4);
        Self { seconds: self.seconds.max(changes), ..self }
    }
}

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    /// Samples in milliseconds, by name.
    pub samples: BTreeMap<&'static str, Samples>,
    /// Single figures, by name; the unit is in the name.
    pub figures: BTreeMap<&'static str, f64>,
    /// Each step that was shown: milliseconds since the work began, its number, its age in milliseconds.
    pub shown: Vec<(f64, usize, f64)>,
    /// The link, each 100 ms.
    pub ticks: Vec<Tick>,
    /// When the work began, on the harness's clock.
    pub begun: u64,
    /// What differs at the end, if anything does.
    pub difference: Option<watch::Difference>,
    /// What it took.
    pub spent: Spent,
}

/// Does a work in a cell that shows its first picture.
///
/// # Errors
/// When a process of the cell ends, or the harness is to end.
pub fn measure(cell: &mut Cell, kind: Kind, amount: Amount) -> Result<Measured> {
    clock::sharpen();
    match kind {
        Kind::Key | Kind::Typing | Kind::Menu | Kind::Beside => press(cell, kind, amount.presses),
        Kind::Scroll | Kind::Drag | Kind::Film | Kind::Grain => moves(cell, kind, amount.seconds),
        Kind::Switch | Kind::Burst | Kind::Photo => switch(cell, kind, amount),
        Kind::Idle => idle(cell, amount),
    }
}

/// Presses keys at a typist's pace. The pauses are of random length, so that no stack that polls is met always in the same
/// phase.
fn press(cell: &mut Cell, kind: Kind, presses: usize) -> Result<Measured> {
    let font = Font::new();
    let mut chance = Chance::new(SEED);
    let mut samples: BTreeMap<&'static str, Samples> = BTreeMap::new();
    let (mut unseen, mut never_exact) = (0_u32, 0_u32);
    // Presses in a row that no exact picture answered.
    let mut inexact = 0_u32;
    if kind == Kind::Beside {
        cell.shared.set(Word::Run, 1);
        rest(WARM_UP_SCROLL_US)?;
    }
    for _ in 0..WARM_UP {
        rest(100_000 + chance.below(100_000))?;
        let pressed = press_one(cell, kind, &font, letter(&mut chance), inexact >= HOPELESS)?;
        inexact = if pressed.exact.is_some() { 0 } else { inexact + 1 };
    }
    let drawn_before = cell.shared.word(Word::Steps);
    cell.begin_schedule();
    let before = cell.meters();
    let begun = clock::now();
    for _ in 0..presses {
        rest(PAUSE_US + chance.below(PAUSE_US))?;
        let pressed = press_one(cell, kind, &font, letter(&mut chance), inexact >= HOPELESS)?;
        inexact = if pressed.exact.is_some() { 0 } else { inexact + 1 };
        let mut add = |name, us: Option<u64>| {
            if let Some(us) = us {
                samples.entry(name).or_default().add_us(us);
            }
        };
        let since_key = |at: Option<u64>| at.map(|at| at.saturating_sub(pressed.at));
        add("photon", since_key(pressed.changed));
        add("exact", since_key(pressed.exact));
        add("to_application", since_key(pressed.drawn));
        add("age", pressed.changed.zip(pressed.drawn).map(|(c, d)| c.saturating_sub(d)));
        unseen += u32::from(pressed.changed.is_none());
        never_exact += u32::from(pressed.exact.is_none());
        cell.check()?;
    }
    let spent = cell.spent(&before);
    let drawn = cell.shared.word(Word::Steps) - drawn_before;
    cell.shared.set(Word::Run, 0);
    settle(cell)?;
    let until = clock::now() + exact_us(cell);
    watch::wait_exact(&cell.shared, cell.screen()?, until)?;
    let difference = watch::difference(&cell.shared, cell.screen()?);
    let mut figures = BTreeMap::from([
        ("presses", presses as f64),
        ("unseen", f64::from(unseen)),
        ("never_exact", f64::from(never_exact)),
        ("keys_too_many", f64::from(drawn) - presses as f64),
    ]);
    if let Some(traffic) = spent.traffic {
        figures.insert("bytes_per_key_down", traffic.down.bytes as f64 / presses as f64);
        figures.insert("bytes_per_key_up", traffic.up.bytes as f64 / presses as f64);
        figures.insert("packets_per_key_down", traffic.down.packets as f64 / presses as f64);
        figures.insert("packets_per_key_up", traffic.up.packets as f64 / presses as f64);
    }
    let ticks = ticks(cell, begun);
    Ok(Measured { samples, figures, shown: Vec::new(), ticks, begun, difference, spent })
}

/// Goes back and forth between two windows that fill the screen. Each fourth time the other one is new. Bursts and photographs
/// are new each time.
fn switch(cell: &mut Cell, kind: Kind, amount: Amount) -> Result<Measured> {
    let mut samples: BTreeMap<&'static str, Samples> = BTreeMap::new();
    let mut chance = Chance::new(SEED);
    let (mut never_exact, mut unseen) = (0_u32, 0_u32);
    let mut bytes: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    cell.begin_schedule();
    let before = cell.meters();
    let begun = clock::now();
    let mut presses = 0_usize;
    // Whole cycles of four, so that each kind of switch has its share.
    while presses == 0 || !presses.is_multiple_of(4) || clock::now() < begun + amount.seconds * 1_000_000 {
        rest(SWITCH_PAUSE_US + chance.below(PAUSE_US))?;
        let step = cell.shared.word(Word::Steps) as usize + 1;
        let traffic = cell.traffic();
        let truth = &cell.shared;
        let (target, most) = match kind {
            Kind::Photo => (Target::Photo { truth, step }, PHOTO_US),
            _ => (Target::Window { truth, step }, EXACT_US),
        };
        let after = if cell.films { HOPELESS_US } else { most };
        let pressed = press_until(cell, &target, 'a', step, (most, after))?;
        let fresh = kind != Kind::Switch || is_fresh(step);
        let mut add = |name, us: Option<u64>| {
            if let Some(us) = us {
                samples.entry(name).or_default().add_us(us);
            }
        };
        let since_drawn = |at: Option<u64>| Some(at?.saturating_sub(pressed.drawn?));
        add("photon", pressed.changed.map(|at| at.saturating_sub(pressed.at)));
        add(if fresh { "first_exact" } else { "again_exact" }, since_drawn(pressed.exact));
        add(if fresh { "first_seen" } else { "again_seen" }, since_drawn(pressed.changed));
        if let Some((now, before)) = cell.traffic().zip(traffic) {
            let key = if fresh { "first" } else { "again" };
            bytes.entry(key).or_default().push(now.since(&before).down.bytes as f64);
        }
        unseen += u32::from(pressed.changed.is_none());
        never_exact += u32::from(pressed.exact.is_none());
        presses += 1;
        cell.check()?;
    }
    let spent = cell.spent(&before);
    let difference = watch::difference(&cell.shared, cell.screen()?);
    let mut figures = BTreeMap::from([
        ("presses", presses as f64),
        ("unseen", f64::from(unseen)),
        ("never_exact", f64::from(never_exact)),
    ]);
    for (name, key) in [("bytes_first", "first"), ("bytes_again", "again")] {
        if let Some(median) = bytes.remove(key).and_then(|b| Samples(b).percentile(50.0)) {
            figures.insert(name, median);
        }
    }
    let ticks = ticks(cell, begun);
    Ok(Measured { samples, figures, shown: Vec::new(), ticks, begun, difference, spent })
}

fn ticks(cell: &Cell, begun: u64) -> Vec<Tick> {
    cell.net().link().map(|link| link.ticks(begun)).unwrap_or_default()
}

/// One key press.
struct Pressed {
    at: u64,
    drawn: Option<u64>,
    changed: Option<u64>,
    exact: Option<u64>,
}

/// `hopeless` is a stack whose pictures are never exact: only the change is waited for, and a little more.
fn press_one(cell: &Cell, kind: Kind, font: &Font, letter: char, hopeless: bool) -> Result<Pressed> {
    let step = cell.shared.word(Word::Steps) as usize + 1;
    let target = match kind {
        Kind::Typing | Kind::Beside => Target::Letter(font, letter, page::typed_cell(step - 1, cell.shared.height)),
        Kind::Menu => Target::Menu { truth: &cell.shared, step, before: watch::sample(cell.screen()?, MENU) },
        _ => Target::patch(step),
    };
    press_until(cell, &target, letter, step, (UNSEEN_US, if hopeless { HOPELESS_US } else { UNSEEN_US }))
}

/// Presses a key and watches until the target is exact, at most so long, and so long after it changed.
fn press_until(cell: &Cell, target: &Target, letter: char, step: usize, (most, after): (u64, u64)) -> Result<Pressed> {
    let screen = cell.screen()?;
    let at = clock::now();
    cell.injector.key(letter, true)?;
    let mut is_down = true;
    let (mut changed, mut exact) = (None, None);
    while exact.is_none() && clock::now() < changed.map_or(at + most, |c: u64| (c + after).min(at + most)) {
        let now = clock::now();
        if is_down && now >= at + HELD_US {
            cell.injector.key(letter, false)?;
            is_down = false;
        }
        if changed.is_none() && target.changed(screen) {
            changed = Some(clock::now());
        }
        if changed.is_some() && target.exact(screen) {
            exact = Some(clock::now());
        }
        stop_if_interrupted()?;
        clock::sleep_until(now + LOOK_US);
    }
    if is_down {
        clock::sleep_until(at + HELD_US);
        cell.injector.key(letter, false)?;
    }
    Ok(Pressed { at, drawn: cell.shared.drawn_at(step), changed, exact })
}

/// Lets it move and reads the steps off the client's screen; then stops it and waits for the exact picture.
fn moves(cell: &mut Cell, kind: Kind, seconds: u64) -> Result<Measured> {
    cell.shared.set(Word::Run, 1);
    rest(WARM_UP_SCROLL_US)?;
    cell.begin_schedule();
    let before = cell.meters();
    let first = cell.shared.word(Word::Steps) as usize;
    let begun = clock::now();
    let mut seen = Seen::default();
    let mut frames = Frames::new(kind, seconds);
    let size = (cell.shared.width, cell.shared.height);
    while clock::now() < begun + seconds * 1_000_000 {
        let now = clock::now();
        let screen = cell.screen()?;
        // A step counts as shown when the whole window shows it.
        let shown = match kind {
            Kind::Drag => {
                let newest = cell.shared.word(Word::Steps) as usize;
                let from = seen.last().map_or(newest.saturating_sub(DRAG_LOOKS_BACK), |last| last + 1);
                watch::dragged_step(screen, size, from.max(newest.saturating_sub(DRAG_LOOKS_BACK)), newest)
            }
            Kind::Film | Kind::Grain => watch::step_shown(screen, Film::corners(size.0, size.1)),
            _ => watch::step_shown(screen, page::corners(size.1)),
        };
        if let Some(step) = shown {
            let at = clock::now();
            if seen.last() != Some(step) {
                seen.note(at, step);
                frames.take(screen, at, step);
            }
        }
        stop_if_interrupted()?;
        clock::sleep_until(now + LOOK_US);
    }
    let spent = cell.spent(&before);
    let ended = clock::now();
    let last = cell.shared.word(Word::Steps) as usize;
    cell.shared.set(Word::Run, 0);
    settle(cell)?;
    let stopped = cell.shared.drawn_at(cell.shared.word(Word::Steps) as usize).context("nothing was drawn")?;
    let exact = watch::wait_exact(&cell.shared, cell.screen()?, stopped + exact_us(cell))?;
    let difference = watch::difference(&cell.shared, cell.screen()?);
    cell.check()?;
    let seconds = (ended - begun) as f64 / 1e6;
    let drawn_at = |step| cell.shared.drawn_at(step);
    let mut samples =
        BTreeMap::from([("age", seen.ages(drawn_at)), ("staleness", seen.staleness(drawn_at, begun, ended))]);
    let mut figures = BTreeMap::from([
        ("steps_drawn_per_s", (last - first) as f64 / seconds),
        ("steps_shown_per_s", seen.distinct() as f64 / seconds),
        ("longest_gap_ms", seen.longest_gap(begun, ended) as f64 / 1e3),
        ("older_after_newer", seen.backwards as f64),
    ]);
    if let Some(exact) = exact {
        samples.entry("exact_after_stop").or_default().add_us(exact.saturating_sub(stopped));
        figures.insert("exact_after_stop_ms", exact.saturating_sub(stopped) as f64 / 1e3);
    }
    if let Some(traffic) = spent.traffic {
        figures.insert("mbit_per_s_down", traffic.down.bytes as f64 * 8.0 / 1e6 / spent.seconds);
        figures.insert("mbit_per_s_up", traffic.up.bytes as f64 * 8.0 / 1e6 / spent.seconds);
    }
    figures.extend(frames.figures());
    let shown = seen.rows(drawn_at, begun);
    let ticks = ticks(cell, begun);
    if let Some(link) = cell.net().link() {
        figures.extend(squeeze(&link.profile.changes, &shown, &ticks, begun));
    }
    Ok(Measured { samples, figures, shown, ticks, begun, difference, spent })
}

/// A change of the link's rate downwards: what is shown while it lasts, apart from its first second, and the queue.
fn squeeze(
    changes: &[(telepane_model::Span, telepane_model::BitRate)],
    shown: &[(f64, usize, f64)],
    ticks: &[Tick],
    begun: u64,
) -> BTreeMap<&'static str, f64> {
    let mut figures = BTreeMap::new();
    let [(from, _), (to, _), ..] = changes else { return figures };
    let (from, to) = (from.as_millis_f64(), to.as_millis_f64());
    let between = |from: f64, to: f64| {
        let rows: Vec<_> = shown.iter().filter(move |(t, ..)| (from..to).contains(t)).collect();
        let mut gap = 0.0_f64;
        let mut last = from;
        for t in rows.iter().map(|r| r.0).chain([to]) {
            (gap, last) = (gap.max(t - last), t);
        }
        let ages = Samples(rows.iter().map(|r| r.2).collect());
        (rows.len() as f64 * 1e3 / (to - from), ages.percentile(95.0), gap)
    };
    let settled = (from + SQUEEZE_MS).min(to);
    let ((_, transient_age, transient_gap), (fps, age, gap)) = (between(from, settled), between(settled, to));
    let tick_ms = |t: &Tick| (t.at as f64 - begun as f64) / 1e3;
    let queue = |from: f64, to: f64| {
        let in_time = ticks.iter().filter(|t| (from..to).contains(&tick_ms(t)));
        in_time.map(|t| t.down.queue_us as f64 / 1e3).fold(0.0, f64::max)
    };
    let rows = [
        ("squeeze_steps_per_s", Some(fps)),
        ("squeeze_age_p95_ms", age),
        ("squeeze_gap_ms", Some(gap)),
        ("transient_age_p95_ms", transient_age),
        ("transient_gap_ms", Some(transient_gap)),
        ("squeeze_queue_ms", Some(queue(from, to))),
        ("squeeze_queue_after_600_ms", Some(queue(from + 600.0, to))),
    ];
    figures.extend(rows.into_iter().filter_map(|(name, value)| Some((name, value?))));
    figures
}

/// Frames of the film as the client showed them, taken now and then to be compared afterwards.
struct Frames {
    taken: Vec<(usize, Luma)>,
    next: u64,
    every: u64,
}

impl Frames {
    fn new(kind: Kind, seconds: u64) -> Self {
        let every = if kind == Kind::Film { (seconds * 1_000_000 / FRAMES_TAKEN).max(1) } else { u64::MAX };
        Self { taken: Vec::new(), next: 0, every }
    }

    /// Copies the film off the screen, unless another frame comes meanwhile.
    fn take(&mut self, screen: &Framebuffer, at: u64, step: usize) {
        if self.every == u64::MAX || at < self.next {
            return;
        }
        let (x, y) = Film::place(screen.width, screen.height);
        let mut luma = Luma::with_size(film::WIDTH, film::HEIGHT);
        for row in (y..y + film::HEIGHT).filter_map(|y| screen.row(y)) {
            let pixels = row.iter().skip(x).take(film::WIDTH);
            luma.extend(pixels.map(|p| p.load(std::sync::atomic::Ordering::Relaxed) & RGB));
        }
        if watch::step_shown(screen, Film::corners(screen.width, screen.height)) == Some(step) {
            self.taken.push((step, luma));
            self.next = at + self.every;
        }
    }

    fn figures(&self) -> BTreeMap<&'static str, f64> {
        if self.taken.is_empty() {
            return BTreeMap::new();
        }
        let film = Film::new();
        let (mut db, mut similar) = (Samples::default(), Samples::default());
        let mut row = vec![0; film::WIDTH];
        for (step, shown) in &self.taken {
            let mut truth = Luma::with_size(film::WIDTH, film::HEIGHT);
            for y in 0..film::HEIGHT {
                film.row(*step, y, &mut row);
                // The barcodes are in both: leaving them out of the one would count them as wrong.
                film::bars_of_row(*step, y, &mut row);
                truth.extend(row.iter().copied());
            }
            db.0.push(psnr(&truth, shown));
            similar.0.push(ssim(&truth, shown));
        }
        let at = |s: &Samples, p| s.percentile(p).unwrap_or(0.0);
        BTreeMap::from([
            ("luma_psnr_db_p50", at(&db, 50.0)),
            ("luma_psnr_db_min", at(&db, 0.0)),
            ("luma_ssim_p50", at(&similar, 50.0)),
            ("luma_ssim_min", at(&similar, 0.0)),
            ("frames_compared", db.0.len() as f64),
        ])
    }
}

/// What steps the screen has shown, and when each came.
#[derive(Debug, Default)]
struct Seen {
    shown: Vec<(u64, usize)>,
    backwards: usize,
}

impl Seen {
    fn note(&mut self, at: u64, step: usize) {
        match self.shown.last() {
            Some((_, last)) if *last == step => {}
            Some((_, last)) if step < *last => self.backwards += 1,
            _ => self.shown.push((at, step)),
        }
    }

    fn last(&self) -> Option<usize> {
        self.shown.last().map(|(_, step)| *step)
    }

    /// When each was shown since `begun`, in milliseconds, and how old it was.
    fn rows(&self, drawn_at: impl Fn(usize) -> Option<u64>, begun: u64) -> Vec<(f64, usize, f64)> {
        let row = |(at, step): &(u64, usize)| {
            let age = at.saturating_sub(drawn_at(*step)?);
            Some((at.saturating_sub(begun) as f64 / 1e3, *step, age as f64 / 1e3))
        };
        self.shown.iter().skip(1).filter_map(row).collect()
    }

    /// The first one stood there before the watch began, so it is not counted.
    fn distinct(&self) -> usize {
        self.shown.len().saturating_sub(1)
    }

    /// From each shown step's draw call to its pixels.
    fn ages(&self, drawn_at: impl Fn(usize) -> Option<u64>) -> Samples {
        let mut ages = Samples::default();
        for (at, step) in self.shown.iter().skip(1) {
            if let Some(drawn) = drawn_at(*step) {
                ages.add_us(at.saturating_sub(drawn));
            }
        }
        ages
    }

    /// For how long what is shown has been out of date, sampled each millisecond.
    fn staleness(&self, drawn_at: impl Fn(usize) -> Option<u64>, begun: u64, ended: u64) -> Samples {
        let mut samples = Samples::default();
        let mut index = 0;
        for at in (begun..ended).step_by(1000) {
            while self.shown.get(index + 1).is_some_and(|(t, _)| *t <= at) {
                index += 1;
            }
            let Some((_, step)) = self.shown.get(index).filter(|(t, _)| *t <= at) else { continue };
            samples.add_us(drawn_at(step + 1).map_or(0, |newer| at.saturating_sub(newer)));
        }
        samples
    }

    fn longest_gap(&self, begun: u64, ended: u64) -> u64 {
        let times = self.shown.iter().skip(1).map(|(t, _)| *t);
        let mut longest = 0;
        let mut before = begun;
        for at in times.chain([ended]) {
            longest = longest.max(at - before);
            before = at;
        }
        longest
    }
}

/// Nothing happens; what does that cost?
fn idle(cell: &mut Cell, amount: Amount) -> Result<Measured> {
    // The last input, from which the rest is counted.
    cell.injector.key('a', true)?;
    clock::pause(HELD_US);
    cell.injector.key('a', false)?;
    rest(amount.after * 1_000_000)?;
    let before = cell.meters();
    rest(amount.idle_seconds * 1_000_000)?;
    let spent = cell.spent(&before);
    cell.check()?;
    let difference = watch::difference(&cell.shared, cell.screen()?);
    let mut figures = BTreeMap::new();
    if let Some(traffic) = spent.traffic {
        figures.insert("packets_up", traffic.up.packets as f64);
        figures.insert("packets_down", traffic.down.packets as f64);
        figures.insert("bit_per_s_up", traffic.up.bytes as f64 * 8.0 / spent.seconds);
        figures.insert("bit_per_s_down", traffic.down.bytes as f64 * 8.0 / spent.seconds);
    }
    let (ticks, begun) = (Vec::new(), 0);
    Ok(Measured { samples: BTreeMap::new(), figures, shown: Vec::new(), ticks, begun, difference, spent })
}

/// For how long an exact picture is waited for.
fn exact_us(cell: &Cell) -> u64 {
    if cell.films { HOPELESS_US } else { EXACT_US }
}

/// Waits until what the stimulus has drawn is on the host's screen.
fn settle(cell: &mut Cell) -> Result<()> {
    cell.shared.set(Word::Settled, 0);
    let until = clock::now() + EXACT_US;
    while cell.shared.word(Word::Settled) == 0 && clock::now() < until {
        clock::pause(200);
    }
    cell.check()
}

fn letter(chance: &mut Chance) -> char {
    LETTERS.chars().nth(chance.below(LETTERS.len() as u64) as usize).unwrap_or('a')
}

/// How often the watcher looks. With the kernel's sleep it sees a change 0.03 ms late in the mean.
pub const LOOK_US: u64 = 50;
/// Keys pressed before the measurement begins.
const WARM_UP: usize = 5;
/// The same for scrolling.
const WARM_UP_SCROLL_US: u64 = 1_000_000;
/// Pauses between keys are this long to twice this long: 7 to 8 keys a second, a fast typist.
const PAUSE_US: u64 = 80_000;
/// The least rest between two switches, so that a viewer has confirmed what it shows.
const SWITCH_PAUSE_US: u64 = 400_000;
/// How many steps old a dragged window may be to be found: 10 s.
const DRAG_LOOKS_BACK: usize = 600;
/// The transient after a change of the rate, which is reported apart.
const SQUEEZE_MS: f64 = 1_000.0;
/// Frames of a film that are compared.
const FRAMES_TAKEN: u64 = 16;
/// How long a key is held.
const HELD_US: u64 = 30_000;
/// A key that shows nothing for so long counts as unseen.
const UNSEEN_US: u64 = 1_500_000;
/// After so many presses in a row that no exact picture answered it is waited for no longer than …
const HOPELESS: u32 = 3;
/// … so long after the change: a lossy stack would take a minute for thirty keys.
const HOPELESS_US: u64 = 250_000;
/// A picture that is not exact for so long counts as never exact.
const EXACT_US: u64 = 3_000_000;
/// The same for a photograph: 1.5 MB take 2.5 s at 5 Mbit/s, and twice that where a stack codes it poorly.
const PHOTO_US: u64 = 8_000_000;
const SEED: u64 = 0x9d5c_0b1e;

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps drawn every 33 ms from 0 on; step 3 was never shown.
    fn seen() -> (Seen, impl Fn(usize) -> Option<u64>) {
        let mut seen = Seen::default();
        for (at, step) in [(1_000, 0), (50_000, 1), (80_000, 2), (80_100, 2), (90_000, 1), (150_000, 4)] {
            seen.note(at, step);
        }
        (seen, |step| (step <= 4).then_some(step as u64 * 33_000))
    }

    #[test]
    fn ages_gaps_and_steps_are_of_what_was_shown() {
        let (seen, drawn) = seen();
        assert_eq!(seen.ages(&drawn).0, [17.0, 14.0, 18.0]);
        assert_eq!((seen.distinct(), seen.backwards), (3, 1));
        assert_eq!(seen.longest_gap(0, 160_000), 70_000);
    }

    #[test]
    fn staleness_counts_what_never_came_too() {
        let (seen, drawn) = seen();
        let stale = seen.staleness(&drawn, 0, 200_000);
        // At 149 ms step 2 is shown, and step 3 has been there for 50 ms.
        assert_eq!(stale.percentile(100.0), Some(50.0));
        // From 150 ms on nothing newer exists.
        assert_eq!(stale.0.last(), Some(&0.0));
    }
}
