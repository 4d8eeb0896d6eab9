//! `telepane`, the client.

use clap::Parser;
use std::path::Path;
use std::process::ExitCode;
use telepane_client::cli::{self, Cli, Command};
use telepane_client::driver::exit;

fn main() -> ExitCode {
    telepane_auth::memory::keep_private();
    telepane_sandbox::run_if_asked();
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).compact().init();
    let result = match cli.command {
        Command::Connect(options) => telepane_client::connect::run(*options),
        Command::Cp(options) => telepane_client::cp::run(&options),
        Command::Doctor(options) => telepane_client::doctor::run(&options),
        Command::Completions { shell } => {
            print!("{}", cli::completions(shell));
            return ExitCode::SUCCESS;
        }
        Command::Man { dir } => return write_manual(&dir),
    };
    match result {
        Ok(code) => ExitCode::from(code as u8),
        Err(error) => {
            eprintln!("telepane: {error:#}");
            ExitCode::from(exit::of(&error) as u8)
        }
    }
}

fn write_manual(dir: &Path) -> ExitCode {
    match cli::manual(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("telepane: cannot write manual pages to {}: {error}", dir.display());
            ExitCode::from(exit::USAGE as u8)
        }
    }
}
