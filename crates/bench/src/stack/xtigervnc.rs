//! TigerVNC's virtual desktop: an X server that is its own VNC server, so nothing has to be scraped.

use super::{Server, Stack, Stage, free_port, tigervnc};
use crate::display::Display;
use crate::link::{End, Net};
use crate::process::Process;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// Xtigervnc.
pub struct Xtigervnc;

impl Stack for Xtigervnc {
    fn name(&self) -> &'static str {
        "Xtigervnc"
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("Xtigervnc", "tigervnc-standalone-server"), ("xtigervncviewer", "tigervnc-viewer")]
    }

    fn settings(&self) -> &'static str {
        "Xtigervnc -depth 24 -SecurityTypes None -AlwaysShared, display and server in one; xtigervncviewer -FullScreen"
    }

    fn host_display(&self, dir: &Path, (width, height): (usize, usize), net: &Net) -> Result<Option<Display>> {
        let port = free_port()?.to_string();
        std::fs::write(dir.join(PORT), &port)?;
        let local = if net.link().is_some() { "-localhost=0" } else { "-localhost=1" };
        let mut command = Command::new("Xtigervnc");
        command
            .args(["-displayfd", "1", "-geometry", &format!("{width}x{height}"), "-depth", "24", "-rfbport", &port])
            .args(["-SecurityTypes", "None", "-AlwaysShared", local, "-nolisten", "tcp", "-noreset", "-s", "0", "-ac"])
            .env("HOME", dir);
        let process = net.start(End::Host, &mut command, "xtigervnc", dir)?;
        Ok(Some(Display::started(process)?))
    }

    fn start_server(&self, stage: &Stage) -> Result<Server> {
        let port = std::fs::read_to_string(stage.dir.join(PORT)).context("the display has no port")?;
        Ok(Server { processes: Vec::new(), port: Some(port.parse()?) })
    }

    fn start_viewer(&self, stage: &Stage, server: &Server) -> Result<Option<Process>> {
        tigervnc::viewer(stage, server)
    }
}

/// Where the display's port is written down.
const PORT: &str = "rfbport";
