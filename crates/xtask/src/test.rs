//! `cargo xtask test` and `cargo xtask ci`: what CI runs, in order, on any machine.
//!
//! The steps: packages, format, lints, build, tests (unit, properties, vectors, scenarios, the replay of every fuzz
//! corpus, real X servers), spec, layers, licences, the virtual benches and the counts of instructions against their baselines. A step that fails does not keep the others from running, only
//! from passing. Everything a step printed stands in `target/xtask/<step>.log`; what is said here is short, except
//! that the test harness's `test result:` lines always reach standard output.
//!
//! Tests with real X servers, input methods and time-outs share two cores with one another, and now and then one waits too long for
//! something that is not ours. So `test` runs one or two that failed once more, alone, and names them as unsteady if they
//! pass; a third, a second failure, or a program that crashed fails the step. `ci`, which a person runs before a change is
//! proposed, forgives nothing: what is unsteady is to be mended.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::build::{build, log_path};
use crate::packages::{self, Purpose, on_path};
use crate::proc::{self, Line};
use crate::progress::Progress;
use crate::steps::{Outcome, Report};
use crate::tally::Tally;
use crate::{bench, counts, elsewhere, layers, licences, spec, tree};

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything that must pass; a test or two of them at the second time.
    Test,
    /// That at the first time, with no step left out for want of a tool.
    Ci,
}

/// Options of `test` and `ci`.
#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Leave the lints out: about half of the time from a clean tree
    #[arg(long)]
    pub fast: bool,
    /// Install nothing; what is missing shows as a failing build or test
    #[arg(long)]
    pub no_install: bool,
}

/// Runs the steps.
///
/// # Errors
/// When one failed, and when a person must do something first (exit code 2).
pub fn run(args: &Args, extent: Extent) -> Result<()> {
    let root = tree::root()?;
    let root = root.as_path();
    announce(root, "test", PURPOSES, args.no_install, TEST_NEEDS);
    let mut report = Report::default();
    let mut report_of = |name, run: &mut dyn FnMut() -> Result<Outcome>| report.step(name, run);

    let prepared = report_of("packages", &mut || {
        if args.no_install { Ok(Outcome::Skipped("--no-install".into())) } else { prepare(root) }
    })?;
    if !prepared {
        return report.end();
    }
    report_of("format", &mut || format(root, extent))?;
    if args.fast {
        report_of("lints", &mut || Ok(Outcome::Skipped("--fast".into())))?;
    } else {
        report_of("lints", &mut || lints(root, extent))?;
    }
    let built = report_of("build", &mut || {
        build(root, "build", &["build", "--workspace", "--all-targets"], "build").map(|()| Outcome::passed())
    })?;
    if built {
        report_of("tests", &mut || tests(root, extent))?;
    } else {
        report_of("tests", &mut || Ok(Outcome::Skipped("the build failed".into())))?;
    }
    report_of("spec", &mut || spec::check(root).map(Outcome::Passed))?;
    report_of("layers", &mut || layers::check(root).map(Outcome::Passed))?;
    report_of("licences", &mut || licences::check(root).map(Outcome::Passed))?;
    if extent == Extent::Ci {
        report_of("elsewhere", &mut || elsewhere::check(root))?;
    }
    if built {
        report_of("virtual", &mut || bench::check_virtual(root))?;
        report_of("counts", &mut || counts::check(root))?;
    }
    report.end()
}

/// Says what will be installed and built, and what that needs, before doing any of it.
pub fn announce(root: &Path, command: &str, purposes: &[Purpose], no_install: bool, needs: Needs) {
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
    println!("cargo xtask {command}");
    let missing = packages::missing(purposes);
    if no_install || missing.is_empty() {
        println!(
            "  install  {}",
            if missing.is_empty() { "nothing, every system package is here" } else { "nothing, as asked" }
        );
    } else {
        for group in packages::groups(purposes) {
            let names: Vec<&str> = group.names.iter().copied().filter(|name| missing.contains(name)).collect();
            if !names.is_empty() {
                println!("  install  {}, at most {} MB: {}", group.why, group.megabytes, names.join(" "));
            }
        }
    }
    let minutes = |seconds: u32| seconds.div_ceil(60 * cores).max(1);
    let again =
        if tree::target_dir(root).join("debug/deps").is_dir() { "; less where parts are built already" } else { "" };
    println!(
        "  build    {:.1} GB in {}, about {} minutes on {cores} cores{again}",
        needs.build_megabytes as f64 / 1000.0,
        tree::target_dir(root).file_name().map_or_else(|| "target".into(), |name| name.to_string_lossy()),
        minutes(needs.build_cpu_seconds),
    );
    if needs.run_seconds > 0 {
        println!("  run      about {} minutes", needs.run_seconds.div_ceil(60));
    }
    if let Some(free) = free_megabytes(root)
        && free < needs.build_megabytes
    {
        println!("  warning  only {:.1} GB are free here", free as f64 / 1000.0);
    }
    println!();
}

/// What a command needs on a fresh machine.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Disk for what cargo builds and downloads.
    pub build_megabytes: u32,
    /// Processor time to build it, divided by the cores to be told in minutes.
    pub build_cpu_seconds: u32,
    /// Time for what runs after the build.
    pub run_seconds: u32,
}

fn prepare(root: &Path) -> Result<Outcome> {
    let count = packages::missing(PURPOSES).len();
    packages::install(root, PURPOSES)?;
    components();
    Ok(Outcome::Passed(if count == 0 { String::new() } else { format!("{count} installed") }))
}

/// A minimal toolchain lacks rustfmt and clippy; rustup brings them where there is rustup.
fn components() {
    if on_path("rustup") && !(cargo_has("fmt") && cargo_has("clippy")) {
        let _ = Command::new("rustup").args(["component", "add", "rustfmt", "clippy"]).stderr(Stdio::null()).status();
    }
}

/// Whether cargo has this subcommand.
pub fn cargo_has(name: &str) -> bool {
    tree::cargo()
        .args([name, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn format(root: &Path, extent: Extent) -> Result<Outcome> {
    if extent == Extent::Test && !cargo_has("fmt") {
        return Ok(Outcome::Skipped("rustfmt is not installed; rustup component add rustfmt".into()));
    }
    quietly(
        root,
        "format",
        &["fmt", "--all", "--check", "--", "--color=never"],
        "some files are not formatted; run cargo fmt --all",
    )
}

fn lints(root: &Path, extent: Extent) -> Result<Outcome> {
    if extent == Extent::Test && !cargo_has("clippy") {
        return Ok(Outcome::Skipped("clippy is not installed; rustup component add clippy".into()));
    }
    let lints = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    quietly(root, "lints", &lints, "clippy found something")
}

fn quietly(root: &Path, step: &'static str, args: &[&str], failure: &str) -> Result<Outcome> {
    let mut command = tree::cargo();
    command.current_dir(root).args(args);
    let mut alive = Progress::uncounted(step);
    let ended = proc::run(&mut command, &log_path(root, step), Duration::from_secs(40 * 60), |_| alive.tick());
    alive.end();
    let ended = ended?;
    if !ended.ok() {
        bail!("{failure}\n{}", ended.story());
    }
    Ok(Outcome::passed())
}

fn tests(root: &Path, extent: Extent) -> Result<Outcome> {
    let (ended, tally) = harness(root, "tests", &["--no-fail-fast"], &[], TEST_LIMIT)?;
    if ended.status.is_none() {
        bail!(
            "the tests took longer than {} minutes; under way: {}\n{}",
            TEST_LIMIT.as_secs() / 60,
            tally.under_way,
            ended.story()
        );
    }
    let ran = format!("{} passed, {} ignored", tally.passed, tally.ignored);
    if !ended.ok() || tally.failed > 0 {
        let names = tally.names();
        if extent == Extent::Test && tally.may_be_unsteady() && pass_alone(root, &tally)? {
            return Ok(Outcome::Passed(format!("{ran}; UNSTEADY, passed alone the second time: {names}")));
        }
        bail!("{} tests failed ({names})\n{}", tally.failed, ended.story());
    }
    if tally.passed == 0 {
        bail!("no test ran; everything it printed: {}", ended.log.display());
    }
    Ok(Outcome::Passed(ran))
}

/// Whether what failed passes when nothing runs beside it.
fn pass_alone(root: &Path, tally: &Tally) -> Result<bool> {
    println!("once more, alone: {}", tally.names());
    for failure in &tally.failures {
        let Some(target) = failure.target() else { return Ok(false) };
        let target = target.iter().map(String::as_str);
        let args: Vec<&str> = target.chain(["--", "--exact", failure.name.as_str()]).collect();
        let (ended, again) = harness(root, "tests-again", &args, &[], AGAIN_LIMIT)?;
        if !ended.ok() || again.failed > 0 || again.passed == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Runs `cargo test`, with these variables more, and adds up what its harness says.
///
/// # Errors
/// When it cannot be started.
pub fn harness(
    root: &Path,
    step: &str,
    args: &[&str],
    variables: &[(&str, &OsStr)],
    limit: Duration,
) -> Result<(proc::Ended, Tally)> {
    let mut command = tree::cargo();
    command.current_dir(root).args(["test", "--workspace"]).args(args).envs(variables.iter().copied());
    let everything = !std::io::stdout().is_terminal();
    let mut tally = Tally::default();
    let ended = proc::run(&mut command, &log_path(root, step), limit, |line| {
        if let Some(line) = line {
            let notable = tally.take(line);
            match line {
                Line::Out(text) if notable || everything => println!("{text}"),
                Line::Err(text) if notable => eprintln!("{text}"),
                _ => (),
            }
        }
    })?;
    Ok((ended, tally))
}

fn free_megabytes(root: &Path) -> Option<u32> {
    let output = Command::new("df").args(["-Pk"]).arg(root).output().context("df").ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let kilobytes: u64 = said.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    u32::try_from(kilobytes / 1000).ok()
}

/// What `test` installs.
pub const PURPOSES: &[Purpose] = &[Purpose::Build, Purpose::Desktop, Purpose::Tests];

/// From a clean tree on a 2-core machine: `cargo xtask test`, `du -s target`.
const TEST_NEEDS: Needs = Needs { build_megabytes: 7100, build_cpu_seconds: 1450, run_seconds: 740 };

/// A test that failed runs again with nothing beside it.
const AGAIN_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Real X servers, real time-outs and the scenarios together take minutes; past this something hangs.
const TEST_LIMIT: Duration = Duration::from_secs(40 * 60);
