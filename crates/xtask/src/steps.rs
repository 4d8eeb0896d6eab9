//! A list of steps, run in order, each told when it begins and ends, with a table of seconds at the end.

use std::time::Duration;

use anyhow::Result;

use crate::{Exit, clock, exit};

/// How a step went.
pub enum Outcome {
    /// Well; the text is a figure for the table, or empty.
    Passed(String),
    /// Not run, and why. Never used for something that ran and failed.
    Skipped(String),
}

impl Outcome {
    /// Passed, with nothing to add.
    pub fn passed() -> Outcome {
        Outcome::Passed(String::new())
    }
}

/// What has run so far.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    state: State,
    remark: String,
    took: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Passed,
    Skipped,
    Failed,
}

impl Report {
    /// Runs a step. A failure is printed and remembered, and the next steps still run, so that one run shows all.
    ///
    /// # Errors
    /// Only what must stop everything: Ctrl+C, and what a person must do first.
    pub fn step(&mut self, name: &'static str, run: impl FnOnce() -> Result<Outcome>) -> Result<bool> {
        eprintln!("-- {name}");
        let started = clock::now();
        let (state, remark) = match run() {
            Ok(Outcome::Passed(remark)) => (State::Passed, remark),
            Ok(Outcome::Skipped(why)) => (State::Skipped, why),
            Err(error) if error.is::<Exit>() => return Err(error),
            Err(error) => {
                eprintln!("{error:#}");
                (State::Failed, error.to_string().lines().next().unwrap_or_default().to_owned())
            }
        };
        self.rows.push(Row { name, state, remark, took: started.elapsed() });
        Ok(state != State::Failed)
    }

    /// Notes that a step was not run because an earlier one failed.
    pub fn skip(&mut self, name: &'static str, why: &str) {
        self.rows.push(Row { name, state: State::Skipped, remark: why.to_owned(), took: Duration::ZERO });
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut table = String::new();
        for row in &self.rows {
            let state = match row.state {
                State::Passed => "ok",
                State::Skipped => "skipped",
                State::Failed => "FAILED",
            };
            let line = format!("{:<12} {:<8} {:>7.1} s  {}", row.name, state, row.took.as_secs_f64(), row.remark);
            table.push_str(line.trim_end());
            table.push('\n');
        }
        let total: Duration = self.rows.iter().map(|row| row.took).sum();
        table.push_str(&format!(
            "{:<12} {:<8} {:>7.1} s\n",
            "all",
            if self.failed() { "FAILED" } else { "ok" },
            total.as_secs_f64()
        ));
        table
    }

    /// Whether any step failed.
    pub fn failed(&self) -> bool {
        self.rows.iter().any(|row| row.state == State::Failed)
    }

    /// Prints the table.
    ///
    /// # Errors
    /// When a step failed.
    pub fn end(&self) -> Result<()> {
        println!("\n{}", self.table().trim_end());
        if self.failed() {
            Err(exit(1, "not everything passed; the steps marked FAILED say why above"))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_failed_step_fails_the_whole_and_the_rest_still_runs() {
        let mut report = Report::default();
        assert!(!report.step("first", || Err(anyhow!("it broke\nbadly"))).unwrap());
        assert!(report.step("second", || Ok(Outcome::Passed("3 passed".into()))).unwrap());
        assert!(report.failed());
        let table = report.table();
        assert!(table.contains("first        FAILED"), "{table}");
        assert!(table.contains("it broke\n"), "only the first line stands in the table: {table}");
        assert!(table.contains("3 passed"), "{table}");
        assert!(report.end().is_err());
    }

    #[test]
    fn a_skipped_step_does_not_fail_and_is_seen() {
        let mut report = Report::default();
        assert!(report.step("lints", || Ok(Outcome::Skipped("no clippy".into()))).unwrap());
        assert!(report.table().contains("skipped"));
        assert!(report.end().is_ok());
    }

    #[test]
    fn what_a_person_must_do_first_stops_everything() {
        let mut report = Report::default();
        assert!(report.step("packages", || Err(exit(2, "install these"))).is_err());
    }
}
