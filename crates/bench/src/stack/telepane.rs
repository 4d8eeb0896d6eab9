//! Telepane: `telepane-host serve` and `telepane connect --fullscreen`, as a person starts them, with an access code.

use super::{Server, Stack, Stage};
use crate::process::Process;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Telepane.
pub struct Telepane {
    name: &'static str,
    settings: &'static str,
    /// Who says how much may be sent; none is the session.
    congestion: Option<&'static str>,
    /// The one carrier that the client takes; none is the first that comes about, QUIC.
    carrier: Option<&'static str>,
}

impl Telepane {
    /// As everybody uses it.
    pub const OURS: Self = Self {
        name: "telepane",
        settings: "telepane-host serve --display :H --listen ADDR:0; telepane connect --fullscreen; defaults otherwise",
        congestion: None,
        carrier: None,
    };
    /// As where UDP is blocked.
    pub const WEBSOCKET: Self = Self {
        name: "telepane-ws",
        settings: "telepane, with connect --transport websocket: everything over TLS over TCP, as where UDP is blocked",
        congestion: None,
        carrier: Some("websocket"),
    };
    /// With quinn's CUBIC.
    pub const CUBIC: Self = Self {
        name: "telepane-cubic",
        settings: "telepane, with serve --quic-congestion cubic: quinn's CUBIC says how much may be sent",
        congestion: Some("cubic"),
        carrier: None,
    };
    /// With quinn's BBR.
    pub const BBR: Self = Self {
        name: "telepane-bbr",
        settings: "telepane, with serve --quic-congestion bbr: quinn's BBR says how much may be sent",
        congestion: Some("bbr"),
        carrier: None,
    };
}

impl Stack for Telepane {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("Xvfb", "xvfb")]
    }

    fn settings(&self) -> &'static str {
        self.settings
    }

    fn is_udp(&self) -> bool {
        self.carrier.is_none()
    }

    fn version(&self, programs: &Path) -> String {
        let told = Command::new(programs.join("telepane")).arg("--version").output().ok();
        let told = told.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default();
        let profile = programs.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        format!("{told} ({profile} build)")
    }

    fn start_server(&self, stage: &Stage) -> Result<Server> {
        write_code(&stage.dir)?;
        let mut command = host(&stage.programs, &stage.dir, &stage.address());
        command.args(["--display", &stage.host]);
        command.args(self.congestion.iter().flat_map(|name| ["--quic-congestion", name]));
        if stage.files {
            std::fs::create_dir_all(given(&stage.dir))?;
            command.arg("--files").arg(given(&stage.dir));
        }
        let mut process = stage.on_host(&mut command, "telepane-host")?;
        let port = ready(&mut process)?;
        Ok(Server { processes: vec![process], port: Some(port) })
    }

    fn start_viewer(&self, stage: &Stage, server: &Server) -> Result<Option<Process>> {
        let port = server.port.context("the host has no port")?;
        let mut command = client(&stage.programs, &stage.dir, &stage.address(), port);
        command.args(self.carrier.iter().flat_map(|name| ["--transport", name]));
        command.args(["--fullscreen", "--stats-json"]).arg(statistics(&stage.dir)).env("DISPLAY", &stage.client);
        Ok(Some(stage.on_client(&mut command, "telepane")?))
    }

    fn statistics(&self, stage: &Stage) -> Option<PathBuf> {
        Some(statistics(&stage.dir))
    }
}

/// `telepane-host serve` in a directory of its own, without a source.
pub fn host(programs: &Path, dir: &Path, address: &str) -> Command {
    let mut command = Command::new(programs.join("telepane-host"));
    command.args(["serve", "--listen", &format!("{address}:0"), "--access-code-file"]).arg(dir.join("code"));
    command.arg("--state-dir").arg(dir.join("host-state")).env("XDG_CONFIG_HOME", dir).env("HOME", dir);
    count_descriptors(&mut command);
    command
}

/// `telepane connect` to a host on this machine, without a window or a size.
pub fn client(programs: &Path, dir: &Path, address: &str, port: u16) -> Command {
    let mut command = Command::new(programs.join("telepane"));
    command.args(["connect", &format!("{address}:{port}"), "--access-code-file"]).arg(dir.join("code"));
    command.arg("--state-dir").arg(dir.join("client-state")).env("XDG_CONFIG_HOME", dir).env("HOME", dir);
    count_descriptors(&mut command);
    command
}

/// `telepane cp` without what is copied; `name` is who copies.
pub fn copy(programs: &Path, dir: &Path, name: &str) -> Command {
    let mut command = Command::new(programs.join("telepane"));
    command.args(["cp", "--quiet", "--access-code-file"]).arg(dir.join("code"));
    command.arg("--state-dir").arg(dir.join(name)).env("XDG_CONFIG_HOME", dir).env("HOME", dir);
    command
}

/// The directory that a host of ours gives out, in its cell's.
pub fn given(dir: &Path) -> PathBuf {
    dir.join("given")
}

/// Lets [`crate::process::descriptors`] look into it, which the programs let nobody do otherwise.
fn count_descriptors(command: &mut Command) {
    command.env("TELEPANE_ALLOW_CORE_DUMPS", "1");
}

/// Waits for the host's `ready <addr> <fingerprint>` and returns the port.
///
/// # Errors
/// When the host ends first or says nothing for 20 s.
pub fn ready(process: &mut Process) -> Result<u16> {
    process.wait_for(20_000_000, "ready", |line| {
        let address = line.strip_prefix("ready ")?.split_whitespace().next()?;
        address.rsplit_once(':')?.1.parse().ok()
    })
}

/// Writes the code where [`host`] and [`client`] look for it.
///
/// # Errors
/// When it cannot be written.
pub fn write_code(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let code = dir.join("code");
    std::fs::write(&code, format!("{CODE}\n"))?;
    Ok(std::fs::set_permissions(&code, std::fs::Permissions::from_mode(0o600))?)
}

fn statistics(dir: &Path) -> PathBuf {
    dir.join("statistics.json")
}

/// Both ends are ours and live for one cell on the loopback interface.
const CODE: &str = "K7WM-3RTX-9PHQ";
