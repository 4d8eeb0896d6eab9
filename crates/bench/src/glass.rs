//! `glass` and `idle`: runs the cells in turn, keeps going when one fails, and hands everything to the report.
//!
//! Rounds are interleaved: each round goes through all works, and in each work through all stacks, so that what else the
//! machine does falls on all alike.

use crate::cell::{Cell, Setting};
use crate::cli::{Common, Glass, Idle};
use crate::link::profile::Profile;
use crate::machine;
use crate::process::interrupted;
use crate::report::{CellReport, Report};
use crate::stack::{self, Name};
use crate::stimulus::Kind;
use crate::work::{self, Amount};
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `telepane-bench glass`.
///
/// # Errors
/// When something needed is missing, or at least one cell failed.
pub fn run(options: &Glass) -> Result<()> {
    let amount =
        Amount { presses: options.presses as usize, seconds: options.seconds, after: 3, idle_seconds: options.seconds };
    compare("glass", &options.common, &options.work, amount)
}

/// `telepane-bench idle`.
///
/// # Errors
/// As [`run`].
pub fn idle(options: &Idle) -> Result<()> {
    let amount = Amount { presses: 0, seconds: 0, after: options.after, idle_seconds: options.seconds };
    compare("idle", &options.common, &[Kind::Idle], amount)
}

fn compare(command: &str, common: &Common, works: &[Kind], amount: Amount) -> Result<()> {
    let programs = programs(common.bin_dir.as_deref())?;
    stack::install::provide(&common.stack, &programs, common.install)?;
    let amount = match &common.link {
        Some(link) => amount.for_link(link),
        None => amount,
    };
    let mut report = Report::new(command, &common.stack, &programs, common.size, amount, common.link.as_ref());
    let cells = common.rounds as usize * works.len() * common.stack.len();
    let bar = ProgressBar::new(cells as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")?);
    bar.enable_steady_tick(Duration::from_millis(500));
    'all: for round in 1..=common.rounds {
        for kind in works {
            for name in &common.stack {
                if interrupted() {
                    break 'all;
                }
                let title = format!("round {round} · {} · {}", kind.name(), name.stack().name());
                bar.set_message(title.clone());
                let load = machine::load();
                let job = Job {
                    name: *name,
                    kind: *kind,
                    round,
                    size: common.size,
                    programs: &programs,
                    keep: common.keep,
                    link: common.link.as_ref(),
                    congestion: common.congestion.as_deref(),
                    amount,
                };
                let result = job.run();
                if interrupted() {
                    break 'all;
                }
                let cell = CellReport::new(round, *name, *kind, load, result);
                if bar.is_hidden() {
                    eprintln!("{title}: {}", cell.headline());
                } else if cell.failed() {
                    bar.println(format!("{title}: {}", cell.headline()));
                }
                report.cells.push(cell);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    let text = report.markdown();
    println!("{text}");
    if let Some(path) = &common.markdown {
        std::fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &common.json {
        std::fs::write(path, report.json()?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let failed = report.cells.iter().filter(|c| c.failed()).count();
    if interrupted() {
        bail!("interrupted after {} of {cells} cells", report.cells.len());
    }
    if failed > 0 {
        bail!("{failed} of {cells} cells failed; --keep keeps the programs' output");
    }
    Ok(())
}

/// One cell to measure.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The stack.
    pub name: Name,
    /// The work.
    pub kind: Kind,
    /// The round, from 1; it decides which packets a link loses.
    pub round: u32,
    /// Both displays' size.
    pub size: (usize, usize),
    /// Where Telepane's programs are.
    pub programs: &'a Path,
    /// Keep the cell's directory.
    pub keep: bool,
    /// The link; `None` is the loopback interface.
    pub link: Option<&'a Profile>,
    /// TCP congestion control over the link.
    pub congestion: Option<&'a str>,
    /// How much of the work.
    pub amount: Amount,
}

impl Job<'_> {
    /// Starts everything, does the work, ends everything.
    ///
    /// # Errors
    /// When something does not start, or ends before it should.
    pub fn run(self) -> Result<Done> {
        let Self { name, kind, size, programs, keep, link, congestion, .. } = self;
        let seed = u64::from(self.round);
        let mut cell = Cell::start(Setting {
            name,
            kind,
            size,
            programs,
            keep,
            link,
            congestion,
            seed,
            closely: false,
            files: false,
        })?;
        let measured = work::measure(&mut cell, kind, self.amount)?;
        let statistics = cell.finish()?;
        Ok(Done { measured, statistics, connected_us: cell.connected_us, notes: std::mem::take(&mut cell.notes) })
    }
}

/// A cell that was measured.
pub struct Done {
    /// What the pixels and the meters said.
    pub measured: work::Measured,
    /// What the viewer itself wrote.
    pub statistics: Option<serde_json::Value>,
    /// From the viewer's start to the first exact picture.
    pub connected_us: u64,
    /// What could not be done.
    pub notes: Vec<String>,
}

/// Where Telepane's programs are.
///
/// # Errors
/// When the harness does not know where it is itself.
pub fn programs(given: Option<&Path>) -> Result<PathBuf> {
    match given {
        Some(dir) => Ok(dir.to_owned()),
        None => Ok(std::env::current_exe()?.parent().context("telepane-bench lies nowhere")?.to_owned()),
    }
}
