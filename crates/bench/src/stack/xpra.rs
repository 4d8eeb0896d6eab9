//! Xpra as a shadow of the host's display. With both ends on one machine it would pass pixels through shared memory, so
//! that is off on both.

use super::{Server, Stack, Stage, free_port, wait_listening};
use crate::process::Process;
use anyhow::{Context, Result};
use std::process::Command;

/// Xpra.
pub struct Xpra;

impl Stack for Xpra {
    fn name(&self) -> &'static str {
        "Xpra shadow"
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("xpra", "xpra")]
    }

    fn needs_packages(&self) -> &'static [&'static str] {
        &["python3-gi-cairo", "python3-pil"]
    }

    fn settings(&self) -> &'static str {
        "xpra shadow --mmap=no; xpra attach --desktop-fullscreen=yes --opengl=no --mmap=no; encodings chosen by Xpra"
    }

    fn start_server(&self, stage: &Stage) -> Result<Server> {
        let port = free_port()?;
        let mut command = xpra(stage);
        command
            .args(["shadow", &stage.host, &format!("--bind-tcp={}:{port}", stage.address()), "--tcp-auth=none"])
            .args(["--daemon=no", "--pulseaudio=no", "--dbus-proxy=no", "--dbus-control=no", "--systemd-run=no"])
            .args(COMMON);
        let mut process = stage.on_host(&mut command, "xpra-shadow")?;
        wait_listening(&mut process, port)?;
        Ok(Server { processes: vec![process], port: Some(port) })
    }

    fn start_viewer(&self, stage: &Stage, server: &Server) -> Result<Option<Process>> {
        let port = server.port.context("the server has no port")?;
        let mut command = xpra(stage);
        command
            .args(["attach", &format!("tcp://{}:{port}/", stage.address()), "--desktop-fullscreen=yes", "--opengl=no"])
            .args(["--tray=no", "--desktop-scaling=off"])
            .args(COMMON)
            .env("DISPLAY", &stage.client);
        Ok(Some(stage.on_client(&mut command, "xpra-attach")?))
    }
}

fn xpra(stage: &Stage) -> Command {
    let mut command = Command::new("xpra");
    command.env("HOME", &stage.dir).env("XDG_RUNTIME_DIR", &stage.dir);
    // The distribution's configuration starts a session on the display that is only to be shadowed, and that puts a window
    // of its complaints over the picture.
    command.env("XPRA_SYSTEM_CONF_DIRS", &stage.dir);
    command
}

/// What a person would not miss here, on both ends.
const COMMON: &[&str] = &[
    "--mmap=no",
    "--mdns=no",
    "--notifications=no",
    "--clipboard=no",
    "--speaker=off",
    "--microphone=off",
    "--webcam=no",
    "--printing=no",
    "--file-transfer=no",
    "--bell=no",
];
