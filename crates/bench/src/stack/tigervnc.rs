//! TigerVNC: the scraping server on the host's display and the native viewer. The wrapper that Debian calls `x0vncserver`
//! adds options of its own, so the program itself is started.

use super::{Server, Stack, Stage, free_port, wait_listening};
use crate::process::Process;
use anyhow::{Context, Result};
use std::process::Command;

/// TigerVNC.
pub struct TigerVnc;

impl Stack for TigerVnc {
    fn name(&self) -> &'static str {
        "TigerVNC"
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("X0tigervnc", "tigervnc-scraping-server"), ("xtigervncviewer", "tigervnc-viewer")]
    }

    fn settings(&self) -> &'static str {
        "X0tigervnc -SecurityTypes None -AlwaysShared; xtigervncviewer -FullScreen -SecurityTypes None (encoding chosen by the viewer)"
    }

    fn start_server(&self, stage: &Stage) -> Result<Server> {
        let port = free_port()?;
        let mut command = Command::new("X0tigervnc");
        command
            .args(["-display", &stage.host, "-rfbport", &port.to_string()])
            .args(["-SecurityTypes", "None", localhost(stage), "-AlwaysShared"])
            .env("HOME", &stage.dir);
        let mut process = stage.on_host(&mut command, "x0tigervnc")?;
        wait_listening(&mut process, port)?;
        Ok(Server { processes: vec![process], port: Some(port) })
    }

    fn start_viewer(&self, stage: &Stage, server: &Server) -> Result<Option<Process>> {
        viewer(stage, server)
    }
}

/// The viewer that every VNC server here is met with.
pub(super) fn viewer(stage: &Stage, server: &Server) -> Result<Option<Process>> {
    let port = server.port.context("the server has no port")?;
    let mut command = Command::new("xtigervncviewer");
    command
        .args(["-FullScreen", "-SecurityTypes", "None", &format!("{}::{port}", stage.address())])
        .env("DISPLAY", &stage.client)
        .env("HOME", &stage.dir);
    Ok(Some(stage.on_client(&mut command, "xtigervncviewer")?))
}

/// Servers of the family listen everywhere or on the loopback interface only.
pub(super) fn localhost(stage: &Stage) -> &'static str {
    if stage.net.link().is_some() { "-localhost=0" } else { "-localhost=1" }
}
