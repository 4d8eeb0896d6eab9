//! `telepane-bench`: see the library's documentation and `benches/README.md`.

use clap::Parser;
use std::process::ExitCode;
use telepane_bench::cli::{Cli, Command};
use telepane_bench::{codec, columns, compare, faults, glass, link, process, record, simulated, soak, stimulus, wall};

fn main() -> ExitCode {
    let cli = Cli::parse();
    process::stop_on_signals();
    let result = match cli.command {
        Command::Codec(options) => codec::run(&options),
        Command::Record(options) => record::run(&options),
        Command::Glass(options) => glass::run(&options),
        Command::Idle(options) => glass::idle(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Columns(options) => columns::run(&options),
        Command::Faults(options) => faults::run(&options),
        Command::Link(options) => link::run(&options),
        Command::Virtual(options) => simulated::run(&options),
        Command::Wall(options) => wall::run(&options),
        Command::Load(options) => wall::load(&options),
        Command::Costs(options) => simulated::costs::run(options.write.as_deref(), options.times),
        Command::Stimulus(options) => stimulus::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("telepane-bench: {error:#}");
            ExitCode::from(1)
        }
    }
}
