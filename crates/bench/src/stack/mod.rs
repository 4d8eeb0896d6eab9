//! The stacks that are compared. Each is one small file: what to install, how the server and the viewer are started, with
//! which settings, and how a version is found out. The settings are those that make each fastest while it stays what a
//! person would use; where a peer's own defaults are others, they are a stack beside it.

pub mod freerdp_shadow;
pub mod install;
pub mod null;
pub mod selkies;
pub mod telepane;
pub mod tigervnc;
pub mod x11vnc;
pub mod xpra;
pub mod xrdp;
pub mod xtigervnc;

use crate::clock;
use crate::display::Display;
use crate::link::{End, Net};
use crate::process::Process;
use anyhow::{Result, ensure};
use clap::ValueEnum;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A stack by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Name {
    /// No stack at all: the stimulus draws on the screen that is watched. The floor.
    Null,
    /// Ours.
    Telepane,
    /// Ours with the QUIC stack's CUBIC in charge of what is sent.
    TelepaneCubic,
    /// Ours with the QUIC stack's BBR in charge of what is sent.
    TelepaneBbr,
    /// Ours over a WebSocket, as where UDP is blocked.
    TelepaneWs,
    /// X0tigervnc and xtigervncviewer.
    Tigervnc,
    /// xrdp with xorgxrdp, and xfreerdp.
    Xrdp,
    /// The same with the viewer's default settings.
    XrdpDefault,
    /// freerdp-shadow-cli and xfreerdp.
    FreerdpShadow,
    /// The same with the viewer's default settings.
    FreerdpShadowDefault,
    /// x11vnc and xtigervncviewer.
    X11vnc,
    /// Xtigervnc and xtigervncviewer.
    Xtigervnc,
    /// xpra shadow and xpra attach.
    Xpra,
    /// selkies over a WebSocket, and Chromium.
    Selkies,
    /// selkies over WebRTC, and Chromium.
    SelkiesWebrtc,
}

impl Name {
    /// The stack.
    pub fn stack(self) -> &'static dyn Stack {
        match self {
            Self::Null => &null::Null,
            Self::Telepane => &telepane::Telepane::OURS,
            Self::TelepaneCubic => &telepane::Telepane::CUBIC,
            Self::TelepaneBbr => &telepane::Telepane::BBR,
            Self::TelepaneWs => &telepane::Telepane::WEBSOCKET,
            Self::Tigervnc => &tigervnc::TigerVnc,
            Self::Xrdp => &xrdp::BEST,
            Self::XrdpDefault => &xrdp::DEFAULT,
            Self::FreerdpShadow => &freerdp_shadow::BEST,
            Self::FreerdpShadowDefault => &freerdp_shadow::DEFAULT,
            Self::X11vnc => &x11vnc::X11vnc,
            Self::Xtigervnc => &xtigervnc::Xtigervnc,
            Self::Xpra => &xpra::Xpra,
            Self::Selkies => &selkies::WEBSOCKET,
            Self::SelkiesWebrtc => &selkies::WEBRTC,
        }
    }
}

/// Where a cell takes place.
#[derive(Debug)]
pub struct Stage {
    /// A directory of the cell's own.
    pub dir: PathBuf,
    /// The host's display.
    pub host: String,
    /// The client's display.
    pub client: String,
    /// Width and height of both.
    pub size: (usize, usize),
    /// Where Telepane's programs are.
    pub programs: PathBuf,
    /// What is between the two.
    pub net: Net,
    /// The host gives out a directory.
    pub files: bool,
}

impl Stage {
    /// The server's address.
    pub fn address(&self) -> String {
        self.net.address()
    }

    /// Starts a program at the server's end of the network.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn on_host(&self, command: &mut Command, name: &str) -> Result<Process> {
        self.net.start(End::Host, command, name, &self.dir)
    }

    /// Starts a program at the viewer's end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn on_client(&self, command: &mut Command, name: &str) -> Result<Process> {
        self.net.start(End::Client, command, name, &self.dir)
    }
}

/// A started server.
#[derive(Debug)]
pub struct Server {
    /// Its processes.
    pub processes: Vec<Process>,
    /// The port it listens on; `None` when there is no network.
    pub port: Option<u16>,
}

/// One remote desktop: a server and a viewer.
pub trait Stack: Sync {
    /// As in tables.
    fn name(&self) -> &'static str;

    /// The programs it needs, and the Debian package of each.
    fn needs(&self) -> &'static [(&'static str, &'static str)];

    /// Debian packages it needs that bring no program.
    fn needs_packages(&self) -> &'static [&'static str] {
        &[]
    }

    /// The Python programs it needs, and what pip installs for each.
    fn needs_python(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// What was chosen and why, in one line, for the report.
    fn settings(&self) -> &'static str;

    /// Its version.
    fn version(&self, programs: &Path) -> String {
        let _ = programs;
        let versions = self.needs().iter().map(|(_, p)| format!("{p} {}", crate::machine::package_version(p)));
        let mut versions: Vec<String> = versions.collect();
        versions.dedup();
        versions.join(", ")
    }

    /// The host's display. Xvfb, unless the stack insists on its own.
    ///
    /// # Errors
    /// When it cannot be started.
    fn host_display(&self, dir: &Path, size: (usize, usize), net: &Net) -> Result<Option<Display>> {
        let _ = net;
        Ok(Some(Display::xvfb("host-x", dir, size)?))
    }

    /// Starts the server on the host's display and waits until it listens.
    ///
    /// # Errors
    /// When it does not start.
    fn start_server(&self, stage: &Stage) -> Result<Server>;

    /// Starts the viewer on the client's display, filling it. Does not wait.
    ///
    /// # Errors
    /// When it does not start.
    fn start_viewer(&self, stage: &Stage, server: &Server) -> Result<Option<Process>>;

    /// Whether a relay for UDP is network enough.
    fn is_udp(&self) -> bool {
        false
    }

    /// Whether everything is coded as film, so that coloured text is never near to what was drawn.
    fn films(&self) -> bool {
        false
    }

    /// A file outside the cell's directory that the viewer with this process id leaves behind, to be removed.
    fn leaves_behind(&self, viewer: u32) -> Option<PathBuf> {
        let _ = viewer;
        None
    }

    /// Where the viewer writes its own statistics when it is ended, if it does.
    fn statistics(&self, stage: &Stage) -> Option<PathBuf> {
        let _ = stage;
        None
    }
}

/// What xfreerdp leaves in shared memory when it is ended by a signal.
fn freerdp_leaves_behind(viewer: u32) -> PathBuf {
    PathBuf::from(format!("/dev/shm/com.freerdp.xfreerdp.tsmf_{viewer:016X}"))
}

/// A TCP port that was free a moment ago.
///
/// # Errors
/// When none is.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until somebody listens on a TCP port, without connecting to it: a server would count that as a viewer.
///
/// # Errors
/// When the server ends first, or the time is over.
pub fn wait_listening(process: &mut Process, port: u16) -> Result<()> {
    let until = clock::now() + 20_000_000;
    let hex = format!(":{port:04X}");
    loop {
        // The server's own table: it may live in another network namespace.
        for table in ["tcp", "tcp6"] {
            let text = std::fs::read_to_string(format!("/proc/{}/net/{table}", process.id())).unwrap_or_default();
            // Columns: number, local address, remote address, state; 0A is LISTEN (proc(5)).
            let listens = |l: &str| {
                let mut columns = l.split_whitespace().skip(1);
                columns.next().is_some_and(|local| local.ends_with(&hex)) && columns.nth(1) == Some("0A")
            };
            if text.lines().any(listens) {
                return Ok(());
            }
        }
        process.check()?;
        ensure!(clock::now() < until, "nobody listens on TCP port {port} after 20 s; output: {}", process.output());
        crate::process::rest(10_000)?;
    }
}
