//! `cargo xtask fuzz`: builds the fuzz targets with coverage on the stable compiler and runs one.
//!
//! The targets are lines in `fuzz/fuzz_targets`, the entry points live in the crates (`telepane_*::fuzzing`), and
//! `cargo xtask test` replays `fuzz/corpus` through the same entry points without any of this. What a run finds goes
//! to `fuzz/artifacts/<target>`; a fixed finding is copied into the corpus under a name that says what it was.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build::log_path;
use crate::packages::on_path;
use crate::progress::Progress;
use crate::{proc, sources, tree};

/// Options of `fuzz`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Which target; lists them when left out
    pub target: Option<String>,
    /// How long
    #[arg(long, default_value_t = 60)]
    pub seconds: u32,
    /// Build with cargo-fuzz and the nightly toolchain, with AddressSanitizer's leak check
    #[arg(long)]
    pub cargo_fuzz: bool,
}

/// Runs one target, or lists all.
///
/// # Errors
/// When the target does not exist or build, and when it finds something.
pub fn run(args: &Args) -> Result<()> {
    let root = tree::root()?;
    let folder = root.join("fuzz");
    let targets = targets(&root)?;
    let Some(target) = &args.target else {
        println!("targets: {}\nrun one with cargo xtask fuzz TARGET --seconds 60", targets.join(" "));
        return Ok(());
    };
    if !targets.contains(target) {
        bail!("there is no fuzz target {target}; there are: {}", targets.join(" "));
    }
    let corpus = folder.join("corpus").join(target);
    let artifacts = folder.join("artifacts").join(target);
    std::fs::create_dir_all(&artifacts).with_context(|| format!("{} cannot be made", artifacts.display()))?;
    let limit = format!("-max_total_time={}", args.seconds);
    if args.cargo_fuzz {
        if !on_path("cargo-fuzz") {
            bail!("cargo-fuzz is not installed; cargo install cargo-fuzz --locked, or leave --cargo-fuzz out");
        }
        let run = ["+nightly", "fuzz", "run", target, "--", &limit];
        let status = proc::attached(Command::new("cargo").current_dir(&root).args(run))?;
        return found(status.success(), &artifacts);
    }
    build(&folder, &root, target)?;
    let program = folder.join("target").join(TRIPLE).join("release").join(target);
    // What the run grows stays out of the committed corpus until someone chooses it: the first folder is written to.
    let grown = folder.join("target").join("grown").join(target);
    std::fs::create_dir_all(&grown).with_context(|| format!("{} cannot be made", grown.display()))?;
    let mut command = Command::new(program);
    command.arg(&grown).args(corpus.is_dir().then_some(&corpus)).arg(limit);
    command.args([&format!("-artifact_prefix={}/", artifacts.display()), "-timeout=10", "-rss_limit_mb=2048"]);
    // OpenH264 compiles one table into its encoder and its decoder under one name, with the same contents.
    command.env("ASAN_OPTIONS", "detect_odr_violation=0");
    let status = proc::attached(&mut command)?;
    found(status.success(), &artifacts)
}

/// The names of all targets.
///
/// # Errors
/// When the folder cannot be read.
pub fn targets(root: &Path) -> Result<Vec<String>> {
    let files = sources::files(&root.join("fuzz/fuzz_targets"), "rs")?;
    Ok(files.iter().filter_map(|path| path.file_stem()).map(|name| name.to_string_lossy().into_owned()).collect())
}

fn build(folder: &Path, root: &Path, target: &str) -> Result<()> {
    let mut command = tree::cargo();
    command.current_dir(folder).env_remove("CARGO_TARGET_DIR");
    // Unstable flags on the stable compiler: coverage for libFuzzer, for this build alone.
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS.join(" "));
    command.args(["build", "--release", "--quiet", "--target", TRIPLE, "--bin", target]);
    let mut alive = Progress::uncounted("fuzz build");
    let limit = std::time::Duration::from_secs(40 * 60);
    let ended = proc::run(&mut command, &log_path(root, "fuzz-build"), limit, |_| alive.tick());
    alive.end();
    let ended = ended?;
    if !ended.ok() {
        bail!("the fuzz target does not build\n{}", ended.story());
    }
    Ok(())
}

fn found(well: bool, artifacts: &Path) -> Result<()> {
    if well {
        return Ok(());
    }
    bail!("it found something; the input is in {}", artifacts.display())
}

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// What cargo-fuzz passes, in the spelling of the stable compiler's LLVM.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    "-Zsanitizer=address",
    "-Ccodegen-units=1",
    // A broken invariant must be found here, not run past.
    "-Cdebug-assertions=yes",
    "-Coverflow-checks=yes",
];
