//! The works: what is done in a cell, and what is measured of it.

use crate::cell::{Cell, Spent};
use crate::clock;
use crate::process::{rest, stop_if_interrupted};
use crate::shared::Word;
use crate::stimulus::Kind;
use crate::stimulus::font::{Font, LETTERS};
use crate::stimulus::page::{self, Chance};
use crate::summary::Samples;
use crate::watch::{self, Target};
use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// How much of each work.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Keys pressed and measured.
    pub presses: usize,
    /// Seconds of scrolling.
    pub seconds: u64,
    /// Seconds of rest before idle figures are taken.
    pub after: u64,
    /// Seconds of idle figures.
    pub idle_seconds: u64,
}

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    /// Samples in milliseconds, by name.
    pub samples: BTreeMap<&'static str, Samples>,
    /// Single figures, by name; the unit is in the name.
    pub figures: BTreeMap<&'static str, f64>,
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
        Kind::Key | Kind::Typing => press(cell, kind, amount.presses),
        Kind::Scroll => scroll(cell, amount.seconds),
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
    for _ in 0..WARM_UP {
        rest(100_000 + chance.below(100_000))?;
        press_one(cell, kind, &font, letter(&mut chance))?;
    }
    let drawn_before = cell.shared.word(Word::Steps);
    let before = cell.meters();
    for _ in 0..presses {
        rest(PAUSE_US + chance.below(PAUSE_US))?;
        let pressed = press_one(cell, kind, &font, letter(&mut chance))?;
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
    settle(cell)?;
    let until = clock::now() + EXACT_US;
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
    Ok(Measured { samples, figures, difference, spent })
}

/// One key press.
struct Pressed {
    at: u64,
    drawn: Option<u64>,
    changed: Option<u64>,
    exact: Option<u64>,
}

fn press_one(cell: &Cell, kind: Kind, font: &Font, letter: char) -> Result<Pressed> {
    let screen = cell.screen()?;
    let steps = cell.shared.word(Word::Steps) as usize;
    let target = match kind {
        Kind::Typing => Target::Letter(font, letter, page::typed_cell(steps, cell.shared.height)),
        Kind::Key | Kind::Scroll | Kind::Idle => Target::patch(steps + 1),
    };
    let at = clock::now();
    cell.injector.key(letter, true)?;
    let mut is_down = true;
    let (mut changed, mut exact) = (None, None);
    while exact.is_none() && clock::now() < at + UNSEEN_US {
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
    Ok(Pressed { at, drawn: cell.shared.drawn_at(steps + 1), changed, exact })
}

/// Lets the text scroll and reads the steps off the client's screen; then stops it and waits for the exact picture.
fn scroll(cell: &mut Cell, seconds: u64) -> Result<Measured> {
    cell.shared.set(Word::Run, 1);
    rest(WARM_UP_SCROLL_US)?;
    let before = cell.meters();
    let first = cell.shared.word(Word::Steps) as usize;
    let begun = clock::now();
    let mut seen = Seen::default();
    while clock::now() < begun + seconds * 1_000_000 {
        let now = clock::now();
        if let [Some(upper), Some(lower)] = watch::steps_shown(cell.screen()?) {
            // A step counts as shown when the whole window shows it.
            seen.note(clock::now(), upper.min(lower));
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
    let exact = watch::wait_exact(&cell.shared, cell.screen()?, stopped + EXACT_US)?;
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
    Ok(Measured { samples, figures, difference, spent })
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
    Ok(Measured { samples: BTreeMap::new(), figures, difference, spent })
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
/// How long a key is held.
const HELD_US: u64 = 30_000;
/// A key that shows nothing for so long counts as unseen.
const UNSEEN_US: u64 = 1_500_000;
/// A picture that is not exact for so long counts as never exact.
const EXACT_US: u64 = 3_000_000;
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
