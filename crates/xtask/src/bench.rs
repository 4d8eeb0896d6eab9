//! `cargo xtask bench` and `replay`: builds telepane-bench and passes on what it is given.
//!
//! Optimised, because a figure from an unoptimised build is about the wrong program; the virtual benches count
//! decisions, not processor time, and run with whatever `test` has built.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::build::{build, log_path};
use crate::steps::Outcome;
use crate::{exit, proc, tree};

/// Builds in release and runs telepane-bench with `args`, on this terminal.
///
/// # Errors
/// When the build fails; with telepane-bench's own exit code when it does.
pub fn run(args: &[String]) -> Result<()> {
    let root = tree::root()?;
    let programs = ["telepane-bench", "telepane-host", "telepane-client"];
    let mut build_args = vec!["build", "--release"];
    build_args.extend(programs.iter().flat_map(|name| ["-p", name]));
    build(&root, "build", &build_args, "bench-build")?;
    let program = tree::target_dir(&root).join("release").join("telepane-bench");
    let status = proc::attached(Command::new(program).args(args))?;
    match status.code() {
        Some(0) => Ok(()),
        code => {
            Err(exit(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1), "telepane-bench ended with an error"))
        }
    }
}

/// Plays a saved plan in the simulator, or with `screen` a recorded session whose journal `what` is.
///
/// # Errors
/// When there is no such file, and as [`run`].
pub fn replay(what: &Path, screen: Option<&Path>) -> Result<()> {
    let whole = |path: &Path, hint: &str| -> Result<String> {
        let path = path.canonicalize().with_context(|| format!("{} is not there; {hint}", path.display()))?;
        Ok(path.display().to_string())
    };
    match screen {
        None => run(&["virtual".into(), "--plan".into(), whole(what, "SIM_SAVE=FILE saves a plan")?]),
        Some(screen) => {
            let notes = whole(what, "telepane-host serve --notes FILE writes one")?;
            let screen = whole(screen, "telepane-host serve --record FILE writes one")?;
            run(&["virtual".into(), "--notes".into(), notes, "--screen".into(), screen])
        }
    }
}

/// Compares the virtual benches with their baselines in `benches/baselines`, with the binary that is built.
///
/// # Errors
/// When they differ: the difference is printed.
pub fn check_virtual(root: &Path) -> Result<Outcome> {
    let mut command = Command::new(tree::binary(root, "telepane-bench"));
    command.current_dir(root).args(["virtual", "--check"]);
    let ended = proc::run(&mut command, &log_path(root, "virtual"), Duration::from_secs(20 * 60), |_| ())?;
    if !ended.ok() {
        bail!(
            "the virtual benches differ from benches/baselines; if that is meant: cargo xtask bench virtual --bless\n{}",
            ended.story()
        );
    }
    Ok(Outcome::passed())
}
