//! One bar on a terminal; elsewhere a line about every twenty seconds.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock;

/// How far something is, told to a person.
pub struct Progress {
    what: &'static str,
    unit: &'static str,
    bar: ProgressBar,
    quiet: bool,
    started: Instant,
    told: Instant,
}

impl Progress {
    /// Something that cannot be counted: only the time runs.
    pub fn uncounted(what: &'static str) -> Progress {
        let progress = Progress::new(what, "", 0);
        if let Ok(style) = ProgressStyle::with_template("{prefix:>12} {spinner} {elapsed_precise} {wide_msg}") {
            progress.bar.set_style(style);
        }
        progress
    }

    /// Of `total` pieces called `unit`, nothing is done.
    pub fn new(what: &'static str, unit: &'static str, total: u64) -> Progress {
        let quiet = !std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            Some(total),
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() },
        );
        if let Ok(style) =
            ProgressStyle::with_template("{prefix:>12} {bar:32} {pos}/{len} {elapsed_precise} {wide_msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what);
        let now = clock::now();
        Progress { what, unit, bar, quiet, started: now, told: now }
    }

    /// What is under way, beside the count or the time.
    pub fn say(&mut self, message: &str) {
        self.bar.set_message(message.to_owned());
        self.tick();
    }

    /// `done` pieces are ready; `last` is the newest.
    pub fn at(&mut self, done: u64, last: &str) {
        // What was counted before is an estimate; it never reads "371 of 356".
        if self.bar.length().is_some_and(|length| done > length) {
            self.bar.set_length(done);
        }
        self.bar.set_position(done);
        self.bar.set_message(last.to_owned());
        self.tick();
    }

    /// Time passes: keeps the seconds running, and off a terminal speaks when it has been silent for long.
    pub fn tick(&mut self) {
        let now = clock::now();
        if !self.quiet {
            self.bar.tick();
        } else if now.duration_since(self.told) >= SILENCE {
            self.told = now;
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
            let count = if total > 0 { format!("{done} of {total} {}, ", self.unit) } else { String::new() };
            let message = self.bar.message();
            let last = if message.is_empty() { String::new() } else { format!(", {message}") };
            eprintln!("{}: {count}{}{last}", self.what, clock::human(now - self.started));
        }
    }

    /// It is over, well or not.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// Off a terminal: long enough to keep a CI log short, short enough to show that it lives.
const SILENCE: Duration = Duration::from_secs(20);
