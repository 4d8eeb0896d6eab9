//! Does the overlay blame the right one? Each fault is really there (a line that is too thin, a processor that others
//! use, an application that thinks) while somebody works over the real programs, and the one word of the viewer's
//! statistics that says who is slow is held against it.

use crate::cell::{Cell, Setting};
use crate::clock;
use crate::glass;
use crate::link::profile::Profile;
use crate::machine;
use crate::process::{self, Process, interrupted, rest};
use crate::shared::Word;
use crate::stack::Name;
use crate::stimulus::Kind;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// `telepane-bench faults`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Faults, in this order; otherwise all.
    #[arg(long, value_delimiter = ',')]
    pub fault: Vec<Fault>,
    /// Runs of each.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Write everything here.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where telepane-host and telepane are; otherwise beside telepane-bench.
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Nothing: somebody types over a good line.
    None,
    /// Nothing happens at all.
    Rest,
    /// Text scrolls over a line that is too thin for it.
    ThinLine,
    /// The line becomes too thin in mid-work.
    LineDrops,
    /// Five packets in a hundred are lost.
    Loss,
    /// As many are lost, in bursts.
    BurstyLoss,
    /// Packets take now long, now short, as over a busy radio.
    Radio,
    /// The other end of the world.
    Far,
    /// Others use the host's processor.
    BusyHost,
    /// The application takes its time to draw.
    SlowApplication,
    /// Others use the viewer's processor.
    BusyViewer,
    /// The host has stopped.
    StoppedHost,
}

impl Fault {
    /// The work, the link, and who is to be named.
    fn plan(self) -> (Kind, &'static str, &'static str) {
        match self {
            Self::None => (Kind::Typing, "20m40", "nobody"),
            Self::Rest => (Kind::Idle, "20m40", "idle"),
            Self::ThinLine => (Kind::Scroll, "300k40", "line"),
            Self::LineDrops => (Kind::Scroll, "20m40@2=300k", "line"),
            Self::Loss => (Kind::Typing, "20m40l5", "loss"),
            Self::BurstyLoss => (Kind::Scroll, "20m20b5", "loss"),
            Self::Radio => (Kind::Scroll, "20m20j60", "wireless"),
            Self::Far => (Kind::Typing, "20m180", "distance"),
            Self::BusyHost => (Kind::Film, "20m40", "host"),
            Self::SlowApplication => (Kind::Typing, "20m40", "application"),
            Self::BusyViewer => (Kind::Film, "20m40", "viewer"),
            Self::StoppedHost => (Kind::Typing, "20m40", "silent"),
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
    }
}

/// Goes through the faults, round by round.
///
/// # Errors
/// When a cell does not come up, or the harness is to end.
pub fn run(options: &Options) -> Result<()> {
    let programs = glass::programs(options.bin_dir.as_deref())?;
    let faults = if options.fault.is_empty() { Fault::value_variants().to_vec() } else { options.fault.clone() };
    let bar = indicatif::ProgressBar::new(faults.len() as u64 * u64::from(options.runs));
    let mut rows = Vec::new();
    for round in 1..=options.runs {
        for fault in &faults {
            bar.set_message(fault.name());
            let load = machine::load();
            let told = once(*fault, &programs, round).with_context(|| format!("{} (run {round})", fault.name()))?;
            let row = Row { fault: *fault, round, load, told };
            if bar.is_hidden() {
                eprintln!("{}", row.line());
            } else {
                bar.println(row.line());
            }
            rows.push(row);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    println!("| fault | work, link | to be named | right | otherwise |\n|---|---|---|---|---|");
    for fault in &faults {
        let (kind, link, who) = fault.plan();
        let of = || rows.iter().filter(|r| r.fault == *fault);
        let others: Vec<&str> = of().filter(|r| !r.is_right()).map(Row::who).collect();
        let right = of().filter(|r| r.is_right()).count();
        println!(
            "| {} | {}, {link} | {who} | {right} of {} | {} |",
            fault.name(),
            kind.name(),
            of().count(),
            others.join(", ")
        );
    }
    let right = rows.iter().filter(|r| r.is_right()).count();
    println!("\nthe right one was named {right} of {} times", rows.len());
    if let Some(path) = &options.json {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        let value = json!({ "what": "faults", "date": clock::today(), "machine": machine::describe(), "rows": rows });
        std::fs::write(path, serde_json::to_string_pretty(&value)? + "\n")
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// What one run told.
struct Row {
    fault: Fault,
    round: u32,
    load: f64,
    told: Value,
}

impl Row {
    fn who(&self) -> &str {
        self.told["slow_who"].as_str().unwrap_or("-")
    }

    fn is_right(&self) -> bool {
        self.who() == self.fault.plan().2
    }

    fn line(&self) -> String {
        let mark = if self.is_right() { "right" } else { "WRONG" };
        format!("{} · run {}: {mark}: {}", self.fault.name(), self.round, self.told["slow"].as_str().unwrap_or("-"))
    }

    fn json(&self) -> Value {
        json!({ "fault": self.fault.name(), "run": self.round, "load": self.load, "right": self.is_right(),
            "who": self.who(), "sentence": self.told["slow"], "statistics": self.told })
    }
}

/// Works for a while with the fault there; what the viewer's statistics say at the end.
fn once(fault: Fault, programs: &Path, round: u32) -> Result<Value> {
    let (kind, link, _) = fault.plan();
    let link: Profile = link.parse()?;
    let setting = Setting {
        name: Name::Telepane,
        kind,
        size: (1920, 1080),
        programs,
        keep: false,
        link: Some(&link),
        congestion: None,
        seed: u64::from(round),
        closely: false,
        files: false,
    };
    let mut cell = Cell::start(setting)?;
    let (host, viewer, stimulus) = cell.processes();
    let mut hogs = Vec::new();
    let victims = match fault {
        Fault::BusyHost => host.clone(),
        Fault::BusyViewer => viewer,
        _ => Vec::new(),
    };
    if !victims.is_empty() {
        process::pin(&victims, CROWDED)?;
        for _ in 0..HOGS {
            let mut command = Command::new("sh");
            hogs.push(Process::start(command.args(["-c", "while :; do :; done"]), "hog", cell.dir())?);
        }
        process::pin(&hogs.iter().map(Process::id).collect::<Vec<_>>(), CROWDED)?;
    }
    cell.begin_schedule();
    cell.shared.set(Word::Run, 1);
    let until = clock::now() + WORK_US;
    match kind {
        Kind::Typing => type_until(&cell, until, (fault == Fault::SlowApplication).then_some(&stimulus))?,
        _ => rest(WORK_US)?,
    }
    if fault == Fault::StoppedHost {
        process::signal(&host, libc::SIGSTOP);
        // The first input that goes unanswered makes it known.
        let typed = type_until(&cell, clock::now() + SILENT_US, None);
        let told = cell.finish();
        process::signal(&host, libc::SIGCONT);
        typed?;
        return told?.context("no statistics");
    }
    cell.check()?;
    let told = cell.finish()?.context("the viewer wrote no statistics");
    drop(hogs);
    told
}

/// Presses keys at a typist's pace. An application that thinks is stopped at each of them and goes on somewhat later.
fn type_until(cell: &Cell, until: u64, thinks: Option<&[u32]>) -> Result<()> {
    while clock::now() < until {
        if let Some(thinks) = thinks {
            process::signal(thinks, libc::SIGSTOP);
        }
        let pressed = cell.injector.key('e', true);
        clock::pause(30_000);
        let lifted = cell.injector.key('e', false);
        if let Some(thinks) = thinks {
            clock::pause(THOUGHT_US);
            process::signal(thinks, libc::SIGCONT);
        }
        pressed.and(lifted)?;
        if interrupted() {
            bail!("interrupted");
        }
        clock::pause(110_000);
    }
    Ok(())
}

/// How long the work goes on before the judgement is read: it looks back two seconds.
const WORK_US: u64 = 6_000_000;
/// Unanswered input is known after the longer of 400 ms and three round trips.
const SILENT_US: u64 = 1_500_000;
/// What an application takes to draw.
const THOUGHT_US: u64 = 120_000;
/// Others who want the processor that the host or the viewer is on …
const HOGS: usize = 6;
/// … which is this one.
const CROWDED: usize = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_link_that_can_be_made() {
        for fault in Fault::value_variants() {
            let (_, link, who) = fault.plan();
            assert!(link.parse::<Profile>().is_ok() && !who.is_empty(), "{}", fault.name());
        }
        assert_eq!(Fault::value_variants().len(), 12);
    }
}
