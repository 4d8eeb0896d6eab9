//! Selkies from PyPI, which captures the display with pixelflux, and Chromium in kiosk mode: over a WebSocket, which is its
//! default, or over WebRTC.

use super::install::python_program;
use super::{Server, Stack, Stage, free_port, wait_listening};
use crate::process::Process;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// Selkies by one of its ways.
pub struct Selkies {
    webrtc: bool,
}

/// Over a WebSocket.
pub const WEBSOCKET: Selkies = Selkies { webrtc: false };
/// Over WebRTC.
pub const WEBRTC: Selkies = Selkies { webrtc: true };

impl Stack for Selkies {
    fn name(&self) -> &'static str {
        if self.webrtc { "Selkies WebRTC" } else { "Selkies" }
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("chromium", "chromium")]
    }

    fn needs_python(&self) -> &'static [(&'static str, &'static str)] {
        &[("selkies", REQUIREMENT)]
    }

    fn settings(&self) -> &'static str {
        if self.webrtc {
            "selkies --mode=webrtc --congestion-control=true, without sound and sidebar; chromium --kiosk; defaults otherwise"
        } else {
            "selkies (WebSocket, H.264 by pixelflux), without sound and sidebar; chromium --kiosk; defaults otherwise"
        }
    }

    fn version(&self, _programs: &Path) -> String {
        format!("{REQUIREMENT}, chromium {}", crate::machine::package_version("chromium"))
    }

    fn films(&self) -> bool {
        true
    }

    fn start_server(&self, stage: &Stage) -> Result<Server> {
        let port = free_port()?;
        let (w, h) = stage.size;
        let mut command = Command::new(python_program("selkies").context("selkies is not installed")?);
        command
            .args([&format!("--addr={}", stage.address()), &format!("--port={port}"), "--enable-basic-auth=false"])
            .args(["--manual-resolution=true", &format!("--manual-width={w}"), &format!("--manual-height={h}")])
            // What the page draws over the picture.
            .args(["--ui-show-sidebar=false", "--ui-show-connection-indicator=false", "--audio-enabled=false"])
            .env("DISPLAY", &stage.host)
            .env("HOME", &stage.dir)
            .env("XDG_RUNTIME_DIR", &stage.dir);
        if self.webrtc {
            command.args(["--mode=webrtc", "--congestion-control=true"]);
        }
        let mut process = stage.on_host(&mut command, "selkies")?;
        wait_listening(&mut process, port)?;
        Ok(Server { processes: vec![process], port: Some(port) })
    }

    fn start_viewer(&self, stage: &Stage, server: &Server) -> Result<Option<Process>> {
        let port = server.port.context("the server has no port")?;
        let origin = format!("http://{}:{port}", stage.address());
        let (w, h) = stage.size;
        let mut command = Command::new("chromium");
        command
            // Decoders of film and the clipboard are for secure origins only, and this one has no certificate.
            .args(["--kiosk", "--no-sandbox", &format!("--unsafely-treat-insecure-origin-as-secure={origin}")])
            .args(["--no-first-run", "--disable-infobars", "--autoplay-policy=no-user-gesture-required"])
            // Without a window manager Chromium leaves a pixel at each edge.
            .args([&format!("--window-size={},{}", w + 2, h + 2), "--window-position=-1,-1"])
            .arg(format!("--user-data-dir={}", stage.dir.join("chromium").display()))
            .arg(format!("{origin}/"))
            .env("DISPLAY", &stage.client)
            .env("HOME", &stage.dir);
        Ok(Some(stage.on_client(&mut command, "chromium")?))
    }
}

/// As pip reads it.
const REQUIREMENT: &str = "selkies==2.1.0";
