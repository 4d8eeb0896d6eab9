//! x11vnc, the other scraping VNC server, with TigerVNC's viewer.

use super::{Server, Stack, Stage, free_port, tigervnc, wait_listening};
use crate::process::Process;
use anyhow::Result;
use std::process::Command;

/// x11vnc.
pub struct X11vnc;

impl Stack for X11vnc {
    fn name(&self) -> &'static str {
        "x11vnc"
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("x11vnc", "x11vnc"), ("xtigervncviewer", "tigervnc-viewer")]
    }

    fn settings(&self) -> &'static str {
        "x11vnc -nopw -shared -forever -cursor none; xtigervncviewer -FullScreen -SecurityTypes None"
    }

    fn start_server(&self, stage: &Stage) -> Result<Server> {
        let port = free_port()?;
        let mut command = Command::new("x11vnc");
        command
            .args(["-display", &stage.host, "-rfbport", &port.to_string(), "-listen", &stage.address(), "-no6"])
            .args(["-nopw", "-shared", "-forever", "-cursor", "none", "-quiet"])
            .env("HOME", &stage.dir);
        let mut process = stage.on_host(&mut command, "x11vnc")?;
        wait_listening(&mut process, port)?;
        Ok(Server { processes: vec![process], port: Some(port) })
    }

    fn start_viewer(&self, stage: &Stage, server: &Server) -> Result<Option<Process>> {
        tigervnc::viewer(stage, server)
    }
}
