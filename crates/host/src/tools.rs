//! The small commands: clients, sessions, permissions, fingerprint, code, doctor, completions and manual pages.

use crate::cli::{Cli, ClientCommand, PermissionsCommand, SessionCommand};
use crate::doctor::Health;
use crate::{config, doctor as examination, pages, permissions, serve, session};
use anyhow::{Context, Result, bail};
use std::path::Path;
use telepane_auth::paths::Program;
use telepane_auth::{Enrolled, HostIdentity, Paths, code_file};

fn paths(state: Option<&Path>) -> Result<Paths> {
    Ok(Paths::find(Program::Host, state)?)
}

/// `telepane-host client …`
pub fn client(command: &ClientCommand, state: Option<&Path>) -> Result<()> {
    let mut enrolled = Enrolled::open(&paths(state)?.state)?;
    match command {
        ClientCommand::List { json: true } => {
            let rows: Vec<_> = enrolled
                .list()
                .iter()
                .map(|c| {
                    serde_json::json!({
                        "id": c.id().to_hex(), "name": c.name.as_str(), "first_seen": c.first_seen, "last_seen": c.last_seen,
                    })
                })
                .collect();
            println!("{}", serde_json::to_string_pretty(&rows)?);
        }
        ClientCommand::List { json: false } => {
            for c in enrolled.list() {
                println!("{}  {}", c.id(), c.name.as_str());
            }
            if enrolled.list().is_empty() {
                eprintln!("no client is enrolled; the first one comes in with the access code");
            }
        }
        ClientCommand::Revoke { client } => {
            let gone = enrolled.revoke(client)?;
            println!("revoked {} {}", gone.id(), gone.name.as_str());
        }
    }
    Ok(())
}

/// `telepane-host fingerprint`
pub fn fingerprint(state: Option<&Path>) -> Result<()> {
    println!("{}", HostIdentity::load_or_create(&paths(state)?.state)?.fingerprint());
    Ok(())
}

/// `telepane-host code`
pub fn code(state: Option<&Path>) -> Result<()> {
    let path = paths(state)?.code_file();
    let code = code_file::read(&path).context("no agent has made a code here; start one with `telepane-host serve`")?;
    println!("{}", code.reveal().as_str());
    Ok(())
}

/// `telepane-host session …`
pub fn sessions(command: &SessionCommand, state: Option<&Path>) -> Result<()> {
    print!("{}", session::run(command, &paths(state)?.state)?);
    Ok(())
}

/// `telepane-host permissions …`
pub fn permissions(command: &PermissionsCommand, state: Option<&Path>) -> Result<()> {
    let PermissionsCommand::Describe { file, user, json } = command;
    let standing = paths(state)?.permissions_file();
    let path = file.as_deref().unwrap_or(&standing);
    print!("{}", permissions::describe(path, file.is_some(), user.as_deref(), *json)?);
    Ok(())
}

/// `telepane-host completions`
pub fn completions(shell: clap_complete::Shell) -> Result<()> {
    print!("{}", pages::completions::<Cli>(shell));
    Ok(())
}

/// `telepane-host man`
pub fn man(dir: &Path) -> Result<()> {
    pages::manual::<Cli>(dir).with_context(|| format!("cannot write manual pages to {}", dir.display()))
}

/// `telepane-host doctor`
pub fn doctor(json: bool, state: Option<&Path>) -> Result<()> {
    let paths = paths(state)?;
    // A configuration that cannot be read is among the findings.
    let listen = config::complete(Default::default(), &paths.config_file()).ok().and_then(|serve| serve.listen);
    let findings = examination::examine(&paths, listen.map_or(serve::PORT, |at| at.port()));
    if json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        print!("{}", examination::table(&findings));
    }
    match findings.iter().filter(|f| f.health == Health::Bad).count() {
        0 => Ok(()),
        n => bail!("{n} of these keep `telepane-host serve` from working"),
    }
}
