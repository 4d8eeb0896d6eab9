//! `connect --headless`: the session without a window, for machines without a display, screenshots and measurements.

use crate::cli::Connect;
use crate::clock::Clock;
use crate::driver::{Driver, Phase, Wake, exit};
use anyhow::{Context, Result};
use std::io::BufWriter;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use telepane_model::{Button, InputEvent, KeyCode, KeyMove, Pixels, Point, Span, Stamp, ViewerClock};

/// The picture counts as whole when nothing has changed it for this long.
const QUIET: Span = Span::millis(700);
/// Applications get this long to appear, and to react to a click.
const SETTLE: Span = Span::secs(1);
/// A picture that never rests is taken as it is after this long.
const LONG_ENOUGH: Span = Span::secs(5);
/// Keys are typed this far apart, about as fast as a fast typist.
const KEY_EVERY: Span = Span::millis(120);
/// And are held for this long.
const KEY_HELD: Span = Span::millis(40);

/// Runs until the session is over, or what was asked for is done. Returns the exit code.
pub fn run(mut driver: Driver, options: &Connect, clock: Clock, wakes: &Receiver<Wake>) -> Result<i32> {
    let mut last_change: Option<Stamp<ViewerClock>> = None;
    let mut first_change = None::<Stamp<ViewerClock>>;
    let mut typist = options.typed.as_deref().map(Typist::new);
    let mut end: Option<Stamp<ViewerClock>> = None;
    let typing_from = clock.now() + Span::secs(options.type_after);
    loop {
        let now = clock.now();
        let mut wake_in = driver.turn();
        let (damage, all) = driver.take_damage();
        if !damage.is_empty() || all {
            last_change = Some(clock.now());
            first_change = first_change.or(last_change);
        }
        driver.shown();
        while let Some(text) = driver.life.news(now) {
            eprintln!("telepane: {text}");
        }
        if let Phase::Over(code, text) = &driver.phase {
            write_results(&driver, options.screenshot.as_deref(), options.stats_json.as_deref(), "none")?;
            if !text.is_empty() {
                eprintln!("telepane: {text}");
            }
            return Ok(*code);
        }
        if driver.phase == Phase::Live && end.is_none() {
            // From when the session is there: how long that takes says nothing of what it is to show.
            end = options.seconds.map(|s| now + Span::secs(s));
        }
        let quiet = last_change.is_some_and(|at| now.since(at) >= QUIET);
        let settled = first_change.is_some_and(|at| now.since(at) >= SETTLE);
        let may_type = settled && now >= typing_from;
        if let (Phase::Live, Some(typist), true) = (&driver.phase, &mut typist, may_type) {
            wake_in = [wake_in, typist.turn(now, &mut driver)].into_iter().flatten().min();
        }
        let typed = typist.as_ref().is_none_or(|t| t.done(now));
        let done = match options.seconds {
            Some(_) => end.is_some_and(|end| now >= end),
            // A blinking caret never rests: after a while the picture is good enough.
            None => {
                let long = first_change.is_some_and(|at| now.since(at) >= LONG_ENOUGH);
                typed && (quiet || long) && (options.screenshot.is_some() || options.typed.is_some())
            }
        };
        if done {
            driver.leave();
            continue;
        }
        let limit = [Some(QUIET), end.map(|e| e.since(now)), wake_in].into_iter().flatten().min().unwrap_or(QUIET);
        match wakes.recv_timeout(Duration::from_micros(limit.as_micros())) {
            Ok(wake) => {
                driver.on_wake(wake);
                while let Ok(wake) = wakes.try_recv() {
                    driver.on_wake(wake);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(exit::SESSION),
        }
    }
}

/// Types a text, key by key, once the picture is there.
struct Typist {
    keys: Vec<KeyCode>,
    next: usize,
    down: bool,
    at: Option<Stamp<ViewerClock>>,
}

impl Typist {
    fn new(text: &str) -> Self {
        Self { keys: text.chars().filter_map(key_of).collect(), next: 0, down: false, at: None }
    }

    /// Presses or lifts what is due; says when to come back.
    fn turn(&mut self, now: Stamp<ViewerClock>, driver: &mut Driver) -> Option<Span> {
        let code = *self.keys.get(self.next)?;
        // A click gives a window the keyboard; the first key waits until that has happened.
        let at = match self.at {
            Some(at) => at,
            None => {
                focus(driver);
                now + SETTLE
            }
        };
        if now < at {
            self.at = Some(at);
            return Some(at.since(now));
        }
        let action = if self.down { KeyMove::Up } else { KeyMove::Down };
        driver.on_input(InputEvent::Key { code, action });
        let pause = if self.down { KEY_EVERY.saturating_sub(KEY_HELD) } else { KEY_HELD };
        self.next += usize::from(self.down);
        self.down = !self.down;
        self.at = Some(now + pause);
        // At once, so that the mind sends what was just typed.
        Some(Span::ZERO)
    }

    /// Everything was typed, and its echo had time to come.
    fn done(&self, now: Stamp<ViewerClock>) -> bool {
        self.next >= self.keys.len() && self.at.is_none_or(|at| now.since(at) >= QUIET)
    }
}

/// Clicks into the upper left of the desktop, where a first window opens.
fn focus(driver: &mut Driver) {
    let Some(size) = driver.pixels().map(Pixels::size) else { return };
    driver.on_input(InputEvent::PointerTo(Point::new((size.w / 8) as i32, (size.h / 8) as i32)));
    for down in [true, false] {
        driver.on_input(InputEvent::Button { button: Button::Left, down });
    }
}

/// The key of a letter, digit or space on a US keyboard (`input-event-codes.h`).
fn key_of(c: char) -> Option<KeyCode> {
    const ROWS: [(&str, u16); 4] = [("1234567890", 2), ("qwertyuiop", 16), ("asdfghjkl", 30), ("zxcvbnm", 44)];
    if c == ' ' {
        return Some(KeyCode(57));
    }
    let c = c.to_ascii_lowercase();
    ROWS.iter().find_map(|(row, first)| row.find(c).map(|i| KeyCode(first + i as u16)))
}

/// Writes the screenshot and the statistics that were asked for.
pub fn write_results(driver: &Driver, screenshot: Option<&Path>, stats: Option<&Path>, renderer: &str) -> Result<()> {
    if let (Some(path), Some(pixels)) = (screenshot, driver.pixels()) {
        write_png(path, pixels).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = stats {
        let mut value = driver.stats_json();
        if let Some(map) = value.as_object_mut() {
            map.insert("renderer".into(), renderer.into());
        }
        let text = serde_json::to_string_pretty(&value)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn write_png(path: &Path, pixels: &Pixels) -> Result<()> {
    let size = pixels.size();
    let mut encoder = png::Encoder::new(BufWriter::new(std::fs::File::create(path)?), size.w, size.h);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let rgb: Vec<u8> = pixels.data().chunks_exact(4).flat_map(|p| [p[2], p[1], p[0]]).collect();
    encoder.write_header()?.write_image_data(&rgb)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_their_keys() {
        assert_eq!(key_of('a'), Some(KeyCode(30)));
        assert_eq!(key_of('Q'), Some(KeyCode(16)));
        assert_eq!(key_of('0'), Some(KeyCode(11)));
        assert_eq!(key_of('€'), None);
    }
}
