//! `cargo xtask elsewhere`: what Telepane has for Windows and macOS stays compiling.
//!
//! No such machine is needed: [`CRATES`] are type-checked for both targets, warnings being errors. That takes the
//! targets' standard libraries, which rustup fetches; where it cannot, the step is skipped and says so. A type-check
//! links nothing, so no C compiler for these systems is needed either: build scripts of C libraries are given a
//! compiler that compiles nothing. It shows that the code compiles, not that it works; with `--run` Wine shows that of the
//! client for Windows ([`crate::wine`]).

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::build::log_path;
use crate::packages::on_path;
use crate::progress::Progress;
use crate::steps::Outcome;
use crate::{proc, tree, wine};

/// What `elsewhere` is asked.
#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Instead, build the client for Windows with MinGW and run it under Wine, with the tests for that
    #[arg(long)]
    run: bool,
}

/// The one whose programs something here can run.
pub const WINDOWS: (&str, &str) = ("Windows", "x86_64-pc-windows-gnu");
/// The systems, and what Rust calls them.
pub const TARGETS: &[(&str, &str)] = &[WINDOWS, ("macOS", "aarch64-apple-darwin")];

/// The crates that are type-checked.
pub const CRATES: &[&str] = &[
    "model",
    "protocol",
    "codec",
    "rate",
    "trust",
    "session",
    "capture",
    "input",
    "auth",
    "transport",
    "machine",
    "audio",
    "sandbox",
    "files",
    "host",
    "client",
];

/// Type-checks, or runs, and says how it went.
///
/// # Errors
/// When something does not compile there, or does not work.
pub fn run(args: &Args) -> Result<()> {
    if args.run {
        return wine::run(&tree::root()?);
    }
    match check(&tree::root()?)? {
        Outcome::Passed(remark) => println!("{remark}"),
        Outcome::Skipped(why) => println!("skipped: {why}"),
    }
    Ok(())
}

/// The step of `ci`.
///
/// # Errors
/// As [`run`].
pub fn check(root: &Path) -> Result<Outcome> {
    if !on_path("rustup") {
        return Ok(Outcome::Skipped("without rustup the targets for Windows and macOS cannot be installed".into()));
    }
    for (system, target) in TARGETS {
        if !add_target(root, target) {
            return Ok(Outcome::Skipped(format!(
                "Rust's standard library for {system} cannot be installed; rustup target add {target} says why"
            )));
        }
    }
    for (system, target) in TARGETS {
        let ended = {
            let mut alive = Progress::uncounted("elsewhere");
            let log = log_path(root, "elsewhere");
            let ended = proc::run(&mut type_check(root, target), &log, LIMIT, |_| alive.tick());
            alive.end();
            ended?
        };
        if !ended.ok() {
            bail!("for {system} ({target}) it does not compile\n{}", ended.story());
        }
    }
    Ok(Outcome::Passed(format!("{} crates type-check for Windows and macOS", CRATES.len())))
}

/// Whether Rust's standard library for it is here, or could be fetched.
pub fn add_target(root: &Path, target: &str) -> bool {
    let mut command = Command::new("rustup");
    command.current_dir(root).args(["target", "add", target]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn type_check(root: &Path, target: &str) -> Command {
    let mut command = tree::cargo();
    command.current_dir(root).args(["check", "--quiet", "--target", target]);
    command.args(CRATES.iter().map(|name| format!("--package=telepane-{name}")));
    command.env("RUSTFLAGS", "-Dwarnings");
    let target = target.replace('-', "_");
    for tool in ["CC", "CXX", "AR", "CMAKE"] {
        command.env(format!("{tool}_{target}"), "true");
    }
    command
}

/// From nothing it takes two minutes a target.
const LIMIT: Duration = Duration::from_secs(20 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_crate_is_checked_or_stands_among_those_that_are_not() {
        // Tools for developers' machines.
        let not = ["sim", "bench", "xtask"];
        let listed: BTreeSet<&str> = CRATES.iter().copied().chain(not).collect();
        let crates = tree::root().unwrap().join("crates");
        let there: BTreeSet<String> =
            std::fs::read_dir(crates).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(listed, there.iter().map(String::as_str).collect());
    }
}
