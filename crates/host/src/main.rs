//! `telepane-host`, the agent.

use clap::Parser;
use std::io::IsTerminal;
use std::process::ExitCode;
use telepane_host::cli::{Cli, Command};
use telepane_host::{exit, serve, tools};

fn main() -> ExitCode {
    // The process that outlives a killed agent and lets go of its keys is this same program.
    telepane_input::guard::run_if_asked();
    telepane_auth::memory::keep_private();
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.compact().init()
    } else {
        log.json().init()
    }
    let result = match cli.command {
        Command::Serve(options) => serve::run(*options),
        Command::Client { command, state } => tools::client(&command, state.state_dir.as_deref()),
        Command::Fingerprint { state } => tools::fingerprint(state.state_dir.as_deref()),
        Command::Code { state } => tools::code(state.state_dir.as_deref()),
        Command::Session { command, state } => tools::sessions(&command, state.state_dir.as_deref()),
        Command::Permissions { command, state } => tools::permissions(&command, state.state_dir.as_deref()),
        Command::Completions { shell } => tools::completions(shell),
        Command::Man { dir } => tools::man(&dir),
        Command::Doctor { json, state } => tools::doctor(json, state.state_dir.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("telepane-host: {error:#}");
            ExitCode::from(exit::code(&error))
        }
    }
}
