//! A desktop without a monitor: an X server of our own, closed to everyone without its cookie, and a session on it.
//!
//! Xorg with the dummy driver where both are installed: any number of monitors up to 16 and any size, changed while
//! it runs. Else Xvfb: any size up to what it was started with, which is [`ROOM`] or the size asked for, whichever is
//! larger. The display number is the server's choice (`-displayfd`), TCP is off, and the cookie lies in a directory
//! only this user can enter. Everything ends when the handle is dropped: the session first, then the server.
//!
//! An X server whose authority file vanishes opens itself to all local users at its next look: the directory is
//! therefore made where no cleaner comes (`$XDG_RUNTIME_DIR`), else in the temporary directory, and removed only
//! after the server has ended.

mod asked;
mod devices;
pub mod process;
mod scale;
mod session;
pub mod xauth;

use crate::open::OpenError;
use crate::source::{ResizeRefused, Source};
use crate::x11::{X11, connect, heads};
pub use asked::{Options, Scaled, Server, Session};
pub use devices::{InputDevice, InputDevices};
use process::Process;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use telepane_model::{Size, Surf};

/// How large an Xvfb is started, so that it can be resized within.
pub const ROOM: Size<Surf> = Size::new(3840, 2160);

/// How long a server may take until it says its number, ms. Xorg on a busy small machine has taken 4 s.
const START_MS: i32 = 30_000;
/// A server chooses a number by its free socket, and refuses to start with this complaint where the server that had it is just ending
/// and has not taken its lock away. So often it may choose again.
const ALREADY_ACTIVE: &str = "already active for display";
const TRIES: u32 = 5;

/// What the largest dummy screen may hold: 16384 by 4320 pixels, in KiB. Only touched pages take memory.
const VIDEO_RAM_KIB: u32 = 16_384 * 4_320 * 4 / 1024;

/// Why there is no virtual desktop.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No monitor was asked for, or one of an impossible size.
    #[error("a virtual desktop of {0:?} is not possible: give one to sixteen sizes such as 1920x1080")]
    Size(Vec<Size<Surf>>),
    /// No server is installed.
    #[error(
        "no X server for a virtual desktop is installed; install one: apt install xserver-xorg-core \
         xserver-xorg-video-dummy, or apt install xvfb"
    )]
    NoServer,
    /// The server ended or stayed silent.
    #[error("{server} did not start: {reason}")]
    Server {
        /// Which.
        server: &'static str,
        /// Its last words.
        reason: String,
    },
    /// The session asked for is not installed.
    #[error("cannot start the session {command}: {reason}")]
    Session {
        /// What was to be run.
        command: String,
        /// Why not.
        reason: String,
    },
    /// A file or process could not be made.
    #[error("cannot start a virtual desktop: {0}")]
    System(#[from] std::io::Error),
    /// The display started but cannot be talked to.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The display started but does not take the size.
    #[error(transparent)]
    Resize(#[from] ResizeRefused),
}

/// A running virtual desktop; dropping it ends it.
#[derive(Debug)]
pub struct VirtualDesktop {
    // Dropped in this order: the session before the server before the cookie.
    session: Option<Process>,
    server: Process,
    session_name: String,
    server_name: &'static str,
    display: String,
    /// Once somebody wished for one.
    scale: Option<scale::Scale>,
    /// Where the server has such.
    devices: Option<InputDevices>,
    dir: PrivateDir,
}

/// Starts a server and a session on it.
///
/// # Errors
/// When nothing suitable is installed or it does not start.
pub fn start(options: &Options) -> Result<VirtualDesktop, StartError> {
    let valid = (1..=16).contains(&options.heads.len()) && options.heads.iter().all(|s| s.is_valid());
    let whole = Size::new(
        options.heads.iter().fold(0, |w, s| w.saturating_add(s.w)),
        options.heads.iter().fold(0, |h, s| h.max(s.h)),
    );
    if !valid || !whole.is_valid() {
        return Err(StartError::Size(options.heads.clone()));
    }
    let xorg = matches!(options.server, Server::Best | Server::Xorg).then(find_xorg).flatten();
    let xvfb = matches!(options.server, Server::Best | Server::Xvfb).then(|| process::find("Xvfb")).flatten();
    let mut desktop = match (xorg, xvfb) {
        (Some(xorg), fallback) => match start_xorg(&xorg, &options.heads) {
            Ok(desktop) => desktop,
            Err(e) => {
                let Some(xvfb) = fallback else { return Err(e) };
                tracing::warn!(error = %e, "falling back to Xvfb");
                start_xvfb(&xvfb, &options.heads, whole)?
            }
        },
        (None, Some(xvfb)) => start_xvfb(&xvfb, &options.heads, whole)?,
        (None, None) => return Err(StartError::NoServer),
    };
    let (name, child) = session::start(options, &desktop.display, &desktop.dir.0)?;
    desktop.session_name = name;
    desktop.session = child;
    Ok(desktop)
}

impl VirtualDesktop {
    /// The display's name, such as `:5`.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// The file with the cookie, for `$XAUTHORITY`.
    pub fn xauthority(&self) -> PathBuf {
        self.dir.0.join("Xauthority")
    }

    /// Its input devices that take events from a program, where its server has such.
    pub const fn input_devices(&self) -> Option<&InputDevices> {
        self.devices.as_ref()
    }

    /// What runs: `Xorg` or `Xvfb`.
    pub fn server_name(&self) -> &'static str {
        self.server_name
    }

    /// The command of the session that was started; empty if none.
    pub fn session_name(&self) -> &str {
        &self.session_name
    }

    /// A descriptor that is readable once the server has ended.
    pub fn server_fd(&self) -> Option<i32> {
        self.server.fd()
    }

    /// A descriptor that is readable once the session has ended.
    pub fn session_fd(&self) -> Option<i32> {
        self.session.as_ref()?.fd()
    }

    /// How the server ended, if it has.
    pub fn server_ended(&mut self) -> Option<String> {
        self.server.ended()
    }

    /// How the session ended, if there was one and it has. A user who logs out ends it.
    pub fn session_ended(&mut self) -> Option<String> {
        self.session.as_mut()?.ended()
    }

    /// Begins a session on a display that was started without one.
    ///
    /// # Errors
    /// When it does not start.
    pub fn begin(&mut self, options: &Options) -> Result<(), StartError> {
        let (name, child) = session::start(options, &self.display, &self.dir.0)?;
        (self.session_name, self.session) = (name, child);
        Ok(())
    }

    /// A source over this display.
    ///
    /// # Errors
    /// When it cannot be captured, which would be odd.
    pub fn source(&self) -> Result<Box<dyn Source>, OpenError> {
        Ok(Box::new(X11::connect(Some(&self.display), Some(&self.xauthority()))?))
    }

    /// Has applications draw at this scale in percent.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn set_scale(&mut self, percent: u16) -> Result<Scaled, StartError> {
        if self.scale.is_none() {
            if percent == 100 {
                return Ok(Scaled::Already);
            }
            self.scale = Some(scale::Scale::open(&self.display, &self.xauthority())?);
        }
        let set = self.scale.as_mut().map(|s| s.set(percent)).transpose();
        set.map(|scaled| scaled.unwrap_or(Scaled::Already)).map_err(|e| {
            // A server that was restarted is asked anew next time.
            self.scale = None;
            StartError::Server { server: self.server_name, reason: e.to_string() }
        })
    }

    /// Reads what the display tells every program. To be called now and then.
    pub fn tidy(&mut self) {
        if self.scale.as_ref().is_some_and(|scale| scale.tidy().is_err()) {
            // The server has ended; another one is asked anew.
            self.scale = None;
        }
    }

    /// One monitor for each size, from left to right.
    ///
    /// # Errors
    /// When the server cannot.
    pub fn arrange(&self, sizes: &[Size<Surf>]) -> Result<Size<Surf>, StartError> {
        let (conn, screen, _) = connect::connect(Some(&self.display), Some(&self.xauthority()))?;
        let Some(root) = x11rb::connection::Connection::setup(&conn).roots.get(screen) else {
            return Err(StartError::Server { server: self.server_name, reason: "it has no screen".into() });
        };
        let got = heads::arrange(&conn, root.root, sizes)?;
        Ok(got)
    }
}

/// Whether Xorg has this driver.
fn has_driver(file: &str) -> bool {
    ["/usr/lib/xorg", "/usr/lib64/xorg", "/usr/lib/x86_64-linux-gnu/xorg"]
        .iter()
        .any(|dir| Path::new(dir).join("modules").join(file).exists())
}

fn find_xorg() -> Option<PathBuf> {
    if !has_driver("drivers/dummy_drv.so") {
        return None;
    }
    // The one in $PATH may be a wrapper that lets only users at the console start a server.
    ["/usr/lib/xorg/Xorg", "/usr/libexec/Xorg"]
        .iter()
        .map(PathBuf::from)
        .find(|p| process::is_executable(p))
        .or_else(|| process::find("Xorg"))
}

/// The dummy driver asks for no console, so no virtual terminal is opened or switched, as root or not.
fn start_xorg(program: &Path, sizes: &[Size<Surf>]) -> Result<VirtualDesktop, StartError> {
    let dir = PrivateDir::new()?;
    let config = dir.0.join("xorg.conf");
    let devices = has_driver("input/inputtest_drv.so").then(|| InputDevices::in_dir(&dir.0)).flatten();
    std::fs::write(&config, xorg_config(devices.as_ref()))?;
    let mut command = Command::new(program);
    command.arg("-config").arg(&config);
    command.arg("-logfile").arg(dir.0.join("Xorg.log"));
    command.args(["-novtswitch", "-sharevts"]);
    let mut desktop = launch("Xorg", command, dir)?;
    desktop.devices = devices;
    desktop.arrange(sizes)?;
    Ok(desktop)
}

fn xorg_config(devices: Option<&InputDevices>) -> String {
    let devices = devices.map(|devices| devices.config("screen")).unwrap_or_default();
    format!(
        r#"Section "ServerFlags"
  Option "AutoAddDevices" "false"
  Option "AutoEnableDevices" "false"
  Option "AutoAddGPU" "false"
  Option "DontVTSwitch" "true"
  Option "AllowMouseOpenFail" "true"
  Option "BlankTime" "0"
  Option "StandbyTime" "0"
  Option "SuspendTime" "0"
  Option "OffTime" "0"
EndSection
Section "Device"
  Identifier "dummy"
  Driver "dummy"
  VideoRam {VIDEO_RAM_KIB}
EndSection
Section "Monitor"
  Identifier "monitor"
  HorizSync 1-2000
  VertRefresh 1-1000
EndSection
Section "Screen"
  Identifier "screen"
  Device "dummy"
  Monitor "monitor"
  DefaultDepth 24
  SubSection "Display"
    Depth 24
    Virtual 16384 4320
  EndSubSection
EndSection
{devices}"#
    )
}

fn start_xvfb(program: &Path, sizes: &[Size<Surf>], whole: Size<Surf>) -> Result<VirtualDesktop, StartError> {
    let room = Size::<Surf>::new(whole.w.max(ROOM.w), whole.h.max(ROOM.h));
    let mut command = Command::new(program);
    command.args(["-screen", "0", &format!("{room}x24"), "+extension", "RANDR"]);
    let desktop = launch("Xvfb", command, PrivateDir::new()?)?;
    if sizes.len() > 1 {
        tracing::warn!("Xvfb has one output: the monitors asked for become one screen of {whole}");
    }
    desktop.arrange(&[whole])?;
    Ok(desktop)
}

/// Runs a server with what all servers share, and waits for its number.
fn launch(server_name: &'static str, mut command: Command, dir: PrivateDir) -> Result<VirtualDesktop, StartError> {
    xauth::write(&dir.0.join("Xauthority"), &xauth::fresh()?)?;
    let errors = dir.0.join("server.log");
    command
        .arg("-auth")
        .arg(dir.0.join("Xauthority"))
        .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset", "-s", "0", "-dpms"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0);
    let mut tries = 0..TRIES;
    let (server, number) = loop {
        let mut child = command.stderr(std::fs::File::create(&errors)?).spawn()?;
        let out = child.stdout.take();
        // 2 s: a server that must be killed leaves its socket and lock file behind.
        let server = Process::new(child, 2_000);
        if let Some(number) = out.and_then(|mut out| process::display_number(&mut out, START_MS)) {
            break (server, number);
        }
        let active = std::fs::read_to_string(&errors).is_ok_and(|said| said.contains(ALREADY_ACTIVE));
        if !active || tries.next().is_none() {
            return Err(StartError::Server { server: server_name, reason: last_words(&errors) });
        }
    };
    Ok(VirtualDesktop {
        session: None,
        server,
        session_name: String::new(),
        server_name,
        display: format!(":{number}"),
        scale: None,
        devices: None,
        dir,
    })
}

/// The end of a log, for an error message.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let from = lines.len().saturating_sub(4);
    if lines.is_empty() { "it said nothing".into() } else { lines[from..].join("; ") }
}

/// A directory only this user can enter, removed with what is in it on drop.
#[derive(Debug)]
struct PrivateDir(PathBuf);

impl PrivateDir {
    fn new() -> std::io::Result<Self> {
        let base = std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|d| d.is_absolute() && d.is_dir())
            .unwrap_or_else(std::env::temp_dir);
        let tag = u128::from_le_bytes(xauth::fresh()?);
        let dir = base.join(format!("telepane-desktop-{tag:032x}"));
        // Fails if the name exists, so nobody can have prepared it.
        std::fs::DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, "a private directory stays behind");
        }
    }
}
