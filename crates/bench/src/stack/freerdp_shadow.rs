//! FreeRDP's shadow server on the host's display, and xfreerdp with the graphics pipeline. The server polls the screen 16
//! times a second by design, which is most of its latency. [`DEFAULT`] leaves colours, network and pipeline to the viewer.

use super::{Server, Stack, Stage, free_port, wait_listening};
use crate::process::Process;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

/// FreeRDP's shadow server by one of its viewer's settings.
pub struct FreerdpShadow {
    default: bool,
}

/// With the settings that serve it best here.
pub const BEST: FreerdpShadow = FreerdpShadow { default: false };
/// With the viewer's own.
pub const DEFAULT: FreerdpShadow = FreerdpShadow { default: true };

impl Stack for FreerdpShadow {
    fn name(&self) -> &'static str {
        if self.default { "FreeRDP shadow default" } else { "FreeRDP shadow" }
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("freerdp-shadow-cli", "freerdp2-shadow-x11"), ("xfreerdp", "freerdp2-x11")]
    }

    fn settings(&self) -> &'static str {
        if self.default {
            "freerdp-shadow-cli -auth -sec-nla -sec-ext; xfreerdp /f, colours, network and pipeline as it chooses"
        } else {
            "freerdp-shadow-cli -auth -sec-nla -sec-ext; xfreerdp /f /bpp:32 /gfx /network:lan"
        }
    }

    fn start_server(&self, stage: &Stage) -> Result<Server> {
        let port = free_port()?;
        let mut command = Command::new("freerdp-shadow-cli");
        command
            .args([
                &format!("/port:{port}"),
                &format!("/bind-address:{}", stage.address()),
                "-auth",
                "-sec-nla",
                "-sec-ext",
            ])
            .env("DISPLAY", &stage.host)
            .env("HOME", &stage.dir);
        let mut process = stage.on_host(&mut command, "freerdp-shadow")?;
        wait_listening(&mut process, port)?;
        Ok(Server { processes: vec![process], port: Some(port) })
    }

    fn start_viewer(&self, stage: &Stage, server: &Server) -> Result<Option<Process>> {
        let port = server.port.context("the server has no port")?;
        let (w, h) = stage.size;
        let mut command = Command::new("xfreerdp");
        command
            .args([&format!("/v:{}:{port}", stage.address()), "/cert:ignore", "/f", &format!("/size:{w}x{h}")])
            .args(if self.default { &[][..] } else { &["/bpp:32", "/gfx", "/network:lan"][..] })
            .args(["/u:bench", "/p:bench", "-grab-keyboard", "/log-level:WARN"])
            .env("DISPLAY", &stage.client)
            .env("HOME", &stage.dir);
        Ok(Some(stage.on_client(&mut command, "xfreerdp")?))
    }

    /// By itself the viewer asks for fewer colours, so that no pixel is what was drawn.
    fn films(&self) -> bool {
        self.default
    }

    fn leaves_behind(&self, viewer: u32) -> Option<PathBuf> {
        Some(super::freerdp_leaves_behind(viewer))
    }
}
