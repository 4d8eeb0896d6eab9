//! `cargo xtask`: the command line over [`xtask`].

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{Exit, bench, counts, demo, doctor, elsewhere, fuzz, layers, plot, proc, spec, test};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Telepane's chores", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Show Telepane: a virtual desktop with real applications, an agent on it, and a client
    Demo(demo::Args),
    /// Run everything that CI runs
    Test(test::Args),
    /// The same as `test`, plus what a pull request shows, and no test may fail even once
    Ci(test::Args),
    /// Measure: passes its arguments on to telepane-bench
    Bench {
        /// What telepane-bench is given, for example `glass --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Fuzz one target, or list the targets
    Fuzz(fuzz::Args),
    /// Draw a journal, or both sides' of one session, as an SVG beside it
    Plot {
        /// Journals, as `--notes` and the simulator write them
        #[arg(required = true)]
        journals: Vec<PathBuf>,
        /// Where to write; the first's name with `.svg` when left out
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Play a saved plan, or a recorded session, in the simulator
    Replay {
        /// A plan saved with SIM_SAVE, or the host's journal (`serve --notes`)
        what: PathBuf,
        /// The session's screen (`serve --record`)
        #[arg(long)]
        screen: Option<PathBuf>,
    },
    /// Count the instructions of kernels and coders with callgrind, against benches/instructions.json
    Counts {
        /// Commit them as the new baseline
        #[arg(long)]
        bless: bool,
    },
    /// Hold the numbered sentences of protocol-spec against code and tests
    Spec,
    /// Type-check what there is for Windows and macOS; with --run, run the client for Windows under Wine
    Elsewhere(elsewhere::Args),
    /// Print the crates by floors and what climbs
    Layers,
    /// Say what is missing on this machine and what to do about it
    Doctor,
}

fn main() -> ExitCode {
    proc::listen_for_ctrl_c();
    let done = match Cli::parse().chore {
        Chore::Demo(args) => demo::run(&args),
        Chore::Test(args) => test::run(&args, test::Extent::Test),
        Chore::Ci(args) => test::run(&args, test::Extent::Ci),
        Chore::Bench { args } => bench::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
        Chore::Plot { journals, out } => plot::run(&journals, out.as_deref()),
        Chore::Replay { what, screen } => bench::replay(&what, screen.as_deref()),
        Chore::Counts { bless } => counts::run(bless),
        Chore::Spec => spec::run(),
        Chore::Elsewhere(args) => elsewhere::run(&args),
        Chore::Layers => layers::run(),
        Chore::Doctor => doctor::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(error.downcast_ref::<Exit>().map_or(1, |exit| exit.code))
        }
    }
}
