//! The small commands: clients, fingerprint, code, doctor.

use crate::cli::ClientCommand;
use anyhow::{Context, Result};
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

/// `telepane-host doctor`
pub fn doctor(state: Option<&Path>) -> Result<()> {
    let paths = paths(state)?;
    println!("state       {}", paths.state.display());
    println!("config      {}", paths.config_file().display());
    match telepane_capture::session_kind() {
        telepane_capture::SessionKind::X11 { display } => println!("session     X11 at {display}"),
        telepane_capture::SessionKind::Wayland { found } => {
            println!("session     Wayland ({found}): not captured yet; use --virtual 1920x1080");
        }
        telepane_capture::SessionKind::None => println!("session     none: serve starts a virtual desktop"),
    }
    let displays = telepane_capture::open::sockets();
    println!("displays    {}", if displays.is_empty() { "none".into() } else { displays.join(" ") });
    for (program, package) in [("Xorg", "xserver-xorg-core xserver-xorg-video-dummy"), ("Xvfb", "xvfb"), ("xterm", "xterm")]
    {
        let found = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
        println!("{program:<11} {}", if found { "found".into() } else { format!("missing; apt install {package}") });
    }
    Ok(())
}
