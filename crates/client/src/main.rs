//! `telepane`, the client.

use clap::Parser;
use std::process::ExitCode;
use telepane_client::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).compact().init();
    let result = match cli.command {
        Command::Connect(options) => telepane_client::connect::run(*options),
    };
    match result {
        Ok(code) => ExitCode::from(code as u8),
        Err(error) => {
            eprintln!("telepane: {error:#}");
            ExitCode::from(1)
        }
    }
}
