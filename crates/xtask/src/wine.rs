//! `cargo xtask elsewhere --run`: the client is built for Windows by MinGW, and Wine runs it against the agent of this machine.
//!
//! It is asked for and never part of `test` or `ci`: building everything once more takes minutes. Nothing is installed either;
//! what is missing is named. Wine stands in for Windows as far as it goes: its drivers are this machine's X server and sound server,
//! its kernel this machine's.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::build::log_path;
use crate::packages::{self, Purpose};
use crate::progress::Progress;
use crate::test::harness;
use crate::{elsewhere, exit, proc, tree};

/// Builds and runs.
///
/// # Errors
/// Exit code 2 with what is missing; when it does not build, or a test fails.
pub fn run(root: &Path) -> Result<()> {
    let missing = packages::missing(&[Purpose::Build, Purpose::Desktop, Purpose::Tests, Purpose::Windows]);
    if !missing.is_empty() {
        let first: Vec<&str> = missing.iter().map(|name| name.split('|').next().unwrap_or(name)).collect();
        return Err(exit(2, format!("to run the client under Wine install first: {}", first.join(" "))));
    }
    let (system, target) = elsewhere::WINDOWS;
    if !elsewhere::add_target(root, target) {
        bail!("Rust's standard library for {system} cannot be installed; rustup target add {target} says why");
    }
    let mut command = tree::cargo();
    command.current_dir(root).args([
        "build",
        "--quiet",
        "--package=telepane-client",
        "--bin=telepane",
        "--target",
        target,
    ]);
    // Nobody debugs it there, and lines of every crate make it five times as large.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0");
    let mut alive = Progress::uncounted("for Windows");
    let ended = proc::run(&mut command, &log_path(root, "windows"), LIMIT, |_| alive.tick());
    alive.end();
    let ended = ended?;
    if !ended.ok() {
        bail!("the client does not build for {system} ({target})\n{}", ended.story());
    }
    let program = tree::target_dir(root).join(target).join("debug/telepane.exe");
    let args = ["--test=live", "wine::", "--", "--test-threads=1", "--show-output"];
    let (ended, tally) = harness(root, "wine", &args, &[("TELEPANE_WINE", program.as_os_str())], LIMIT)?;
    if !ended.ok() || tally.failed > 0 || tally.passed == 0 {
        bail!("{} tests failed under Wine ({})\n{}", tally.failed, tally.names(), ended.story());
    }
    println!("{} tests passed under Wine", tally.passed);
    Ok(())
}

/// From nothing the build takes ten minutes on two cores.
const LIMIT: Duration = Duration::from_secs(60 * 60);
