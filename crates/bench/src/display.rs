//! X servers for the two ends: Xvfb with its screen in a mapped file, and for xrdp an Xorg with xorgxrdp's module. The
//! servers choose their own numbers, so that any number of runs can live on one machine.

use crate::framebuffer::Framebuffer;
use crate::process::{Process, find};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// A running X server.
#[derive(Debug)]
pub struct Display {
    /// The server.
    pub process: Process,
    /// `:7`.
    pub name: String,
    /// Its screen, where the server shows it.
    pub screen: Option<Framebuffer>,
}

impl Display {
    /// An Xvfb with a screen of this size. `name` tells its files in `dir` from others'.
    ///
    /// # Errors
    /// When Xvfb is not installed or does not start.
    pub fn xvfb(name: &str, dir: &Path, (width, height): (usize, usize)) -> Result<Self> {
        let xvfb = find("Xvfb").context("Xvfb is not installed; on Debian and Ubuntu: apt-get install xvfb")?;
        let screen_dir = dir.join(format!("{name}-screen"));
        std::fs::create_dir(&screen_dir)?;
        let mut command = Command::new(xvfb);
        command
            .args(["-displayfd", "1", "-screen", "0", &format!("{width}x{height}x24"), "-nolisten", "tcp", "-noreset"])
            .args(["-s", "0", "-dpms"])
            .arg("-fbdir")
            .arg(&screen_dir);
        let mut process = Process::start(&mut command, name, dir)?;
        let number = process.wait_for(START_US, "its number", display_number)?;
        let screen = Framebuffer::open(&screen_dir.join("Xvfb_screen0"))?;
        Ok(Self { process, name: format!(":{number}"), screen: Some(screen) })
    }

    /// An Xorg as xrdp's session manager would start it, with its socket in `dir`.
    ///
    /// # Errors
    /// When Xorg or xorgxrdp is not installed or does not start.
    pub fn xorgxrdp(name: &str, dir: &Path, (width, height): (usize, usize)) -> Result<Self> {
        let xorg = find("Xorg").context("Xorg is not installed; on Debian and Ubuntu: apt-get install xorgxrdp")?;
        let mut command = Command::new(xorg);
        command
            .args(["-displayfd", "1", "-config", "xrdp/xorg.conf", "-nolisten", "tcp", "-noreset", "-ac"])
            .args(["-s", "0", "-dpms"])
            .arg("-logfile")
            .arg(dir.join(format!("{name}-xorg.log")))
            .env("XRDP_SOCKET_PATH", dir)
            .env("XRDP_START_WIDTH", width.to_string())
            .env("XRDP_START_HEIGHT", height.to_string());
        Self::started(Process::start(&mut command, name, dir)?)
    }

    /// An X server that was started with `-displayfd 1`, when it has said its number.
    ///
    /// # Errors
    /// When it does not.
    pub fn started(mut process: Process) -> Result<Self> {
        let number = process.wait_for(START_US, "its number", display_number)?;
        Ok(Self { process, name: format!(":{number}"), screen: None })
    }
}

fn display_number(line: &str) -> Option<u32> {
    line.trim().parse().ok()
}

/// X servers start within a second; a loaded machine may take longer.
const START_US: u64 = 20_000_000;
