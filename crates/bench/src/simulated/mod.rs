//! `virtual`: the design's rows in the simulator's time, the same figures on every machine, held against committed ones.
//!
//! Both minds and the codec are the real ones; links and clocks are the simulator's, and what work costs comes from a
//! committed table ([`costs`]). Results are whole numbers. A change of any of them shows as a difference from
//! `benches/baselines` and is committed on purpose with `--bless`.

pub mod again;
pub mod baseline;
pub mod controllers;
pub mod costs;
pub mod desk;
pub mod measure;
pub mod office;
pub mod paint;
pub mod scenario;
pub mod stage;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use scenario::{ALL, Played};
use serde_json::Value;
use std::path::{Path, PathBuf};
use telepane_sim::{Plan, World, plan};

/// `telepane-bench virtual`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Only these; all without it.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub scenario: Vec<String>,
    /// Name them and stop.
    #[arg(long)]
    pub list: bool,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Commit the results as the new baselines.
    #[arg(long)]
    pub bless: bool,
    /// Fail when a result is not the baseline's.
    #[arg(long, conflicts_with = "bless")]
    pub check: bool,
    /// Where the baselines are.
    #[arg(long, value_name = "DIR", default_value = "benches/baselines")]
    pub baselines: PathBuf,
    /// Keep each scenario's journal here, to be drawn with `cargo xtask plot`.
    #[arg(long, value_name = "DIR")]
    pub journals: Option<PathBuf>,
    /// The rate controller beside others', over one modelled bottleneck each: a table.
    #[arg(long, conflicts_with_all = ["check", "bless", "day"])]
    pub controllers: bool,
    /// Write that table here too, as Markdown.
    #[arg(long, value_name = "FILE", requires = "controllers")]
    pub markdown: Option<PathBuf>,
    /// The whole working day of eight hours: minutes of computing.
    #[arg(long, conflicts_with_all = ["scenario", "check"])]
    pub day: bool,
    /// Play a saved plan instead, judged by the oracle.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "check", "bless", "day"])]
    pub plan: Option<PathBuf>,
    /// Play a recorded session instead: the host's journal, written by `serve --notes`.
    #[arg(long, value_name = "FILE", requires = "screen", conflicts_with_all = ["scenario", "check", "bless", "day", "plan"])]
    pub notes: Option<PathBuf>,
    /// And its screen, written by `serve --record`.
    #[arg(long, value_name = "FILE", requires = "notes")]
    pub screen: Option<PathBuf>,
}

/// `telepane-bench costs`.
#[derive(Args, Clone, Debug)]
pub struct CostOptions {
    /// Write the table here (`benches/costs.json` is the committed one).
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Each scene so often; every job counts with its least time.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub times: u32,
}

/// Plays what is asked for.
///
/// # Errors
/// When a name is unknown, a file cannot be read or written, or `--check` finds a difference.
pub fn run(options: &Options) -> Result<()> {
    if options.controllers {
        return controllers::run(options);
    }
    if options.list {
        ALL.iter().for_each(|s| println!("{:<12} {}", s.name, s.about));
        return Ok(());
    }
    if let Some(path) = &options.plan {
        return replay(path, options.journals.as_deref());
    }
    let cost = costs::committed()?;
    if let (Some(notes), Some(screen)) = (&options.notes, &options.screen) {
        return again::run(notes, screen, &cost, options.journals.as_deref());
    }
    let mut differs = String::new();
    let mut all = Vec::new();
    if options.day {
        let bar = ProgressBar::new(1);
        bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise}")?);
        let played = office::whole(&cost, &mut |n, of| {
            bar.set_length(of as u64);
            bar.set_position(n as u64);
        });
        bar.finish_and_clear();
        differs +=
            &take(options, "day", "the working day: 8 h at the office desktop; 20 Mbit/s, 40 ms", &played, &mut all)?;
    } else {
        let unknown = options.scenario.iter().find(|n| ALL.iter().all(|s| s.name != n.as_str()));
        if let Some(name) = unknown {
            bail!("no scenario {name:?}; --list names them");
        }
        for s in ALL.iter().filter(|s| options.scenario.is_empty() || options.scenario.iter().any(|n| n == s.name)) {
            differs += &take(options, s.name, s.about, &(s.play)(&cost), &mut all)?;
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
    }
    if differs.is_empty() {
        return Ok(());
    }
    eprint!("\n{}:\n{differs}", if options.bless { "blessed" } else { "not as committed" });
    ensure!(!options.check, "results differ from {}; if that is meant: --bless", options.baselines.display());
    Ok(())
}

/// Prints a result, keeps it if asked, and says how it differs.
fn take(options: &Options, name: &str, about: &str, played: &Played, all: &mut Vec<Value>) -> Result<String> {
    let value = baseline::json(name, about, played.seed, &played.figures, &played.targets);
    if let Some(dir) = &options.journals {
        std::fs::create_dir_all(dir)?;
        let path = dir.join(format!("{name}.notes"));
        std::fs::write(&path, &played.journal).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if !options.json {
        print(name, about, played);
    }
    let difference = baseline::difference(&options.baselines, name, &value)?;
    if options.bless && !difference.is_empty() {
        std::fs::create_dir_all(&options.baselines)?;
        std::fs::write(baseline::path(&options.baselines, name), baseline::text(&value)?)?;
    }
    all.push(value);
    Ok(difference)
}

fn print(name: &str, about: &str, played: &Played) {
    println!("\n{name}: {about}");
    for target in &played.targets {
        let v = played.figures.get(target.figure).map_or_else(|| "-".into(), i64::to_string);
        let verdict = if target.met(&played.figures) { "met" } else { "NOT MET" };
        println!("  {:<26} {v:>12}   {:<12} {verdict}", target.figure, target.bound.to_string());
    }
    let rest = played.figures.iter().filter(|(n, _)| played.targets.iter().all(|t| t.figure != n.as_str()));
    let rest: Vec<String> = rest.map(|(n, v)| format!("{n} {v}")).collect();
    println!("  {}", rest.join(", "));
}

/// Plays a saved plan, judged by the oracle.
fn replay(path: &Path, journals: Option<&Path>) -> Result<()> {
    let plan = Plan::load(path).map_err(anyhow::Error::msg)?;
    let mut world = World::from_plan(&plan);
    plan::play(&plan, &mut world);
    let mut figures = measure::Figures::new();
    measure::spread(&mut figures, "age", world.ages.iter().map(|a| a.as_micros()).collect());
    println!("{}: exact and confirmed at {} us", path.display(), world.now());
    figures.iter().for_each(|(n, v)| println!("  {n} {v}"));
    if let Some(dir) = journals {
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("plan.notes"), world.journal())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is not virtual would show here: hash maps, clocks, chance.
    #[test]
    fn a_scenario_played_twice_gives_the_same_bytes() {
        let cost = costs::committed().unwrap();
        let play = || {
            let s = ALL.iter().find(|s| s.name == "typing").unwrap();
            let p = (s.play)(&cost);
            (baseline::text(&baseline::json(s.name, s.about, p.seed, &p.figures, &p.targets)).unwrap(), p.journal)
        };
        let (a, b) = (play(), play());
        assert!(a.1.lines().count() > 500);
        assert!(a == b, "not the same twice");
    }

    #[test]
    fn names_are_their_own() {
        for s in ALL {
            assert_eq!(ALL.iter().filter(|o| o.name == s.name).count(), 1, "{}", s.name);
        }
    }
}
