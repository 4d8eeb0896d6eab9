//! A desktop's own sinks in a sound server: one that its applications play into, one that they record from.
//!
//! Where a server runs already (PulseAudio, or PipeWire in its place) the sinks are added to it and taken away at the end;
//! else a PulseAudio of our own is started in a directory that only this user can enter. It ends itself when nobody has
//! been connected to it for a while, so none is left behind when the agent is killed.

use crate::contract::DeviceError;
use futures::executor::block_on;
use pulseaudio::protocol::SinkState;
use pulseaudio::{Client, ClientError};
use std::ffi::CString;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;

/// A server that does not answer within this is none.
const PATIENCE: Duration = Duration::from_secs(2);
/// A server of our own gets so many steps of so long to begin.
const STEPS: u32 = 250;
const STEP: Duration = Duration::from_millis(20);
/// Between two looks whether somebody still wants to hear, while nothing plays.
const LOOK: Duration = Duration::from_secs(2);

/// Why a desktop has no sound.
#[derive(Debug, Error)]
pub enum Nothing {
    /// Neither runs a server nor is one installed.
    #[error("no sound server runs and none is installed; apt install pulseaudio")]
    NoServer,
    /// There is a server, and no tool to add sinks to it.
    #[error("the sound server that runs needs pactl to be given a sink; apt install pulseaudio-utils")]
    NoPactl,
    /// It does not do as it should.
    #[error("the sound server: {0}")]
    Server(String),
}

/// See the module. Dropping it takes the sinks away.
#[derive(Debug)]
pub struct SoundServer {
    socket: PathBuf,
    cookie: Option<PathBuf>,
    /// The directory of a server of our own.
    own: Option<PathBuf>,
    sink: String,
    microphone: String,
    /// The sink is the system's own; only the microphone is ours.
    borrowed: bool,
    inner: Mutex<Inner>,
    activity: Arc<Activity>,
}

#[derive(Debug, Default)]
struct Inner {
    process: Option<Child>,
    modules: Vec<String>,
    /// Keeps a server of our own from ending itself.
    kept: Option<Client>,
    watcher: Option<Child>,
    /// There is a tool that tells of what begins to play.
    watches: bool,
    /// The agent ends.
    closed: bool,
}

/// Whether something has happened in the server since it was looked at; at first that is unknown.
#[derive(Debug)]
struct Activity {
    changed: Mutex<bool>,
    wake: Condvar,
}

impl SoundServer {
    /// A sink and a microphone for a desktop of its own, called by `tag`.
    ///
    /// # Errors
    /// When there is no server to be had.
    pub fn for_desktop(tag: &str) -> Result<Arc<Self>, Nothing> {
        let server = match sound_server() {
            Some(socket) if found("pactl") => Self::new(socket, cookie(), None, tag, false),
            // One of our own needs no tool, and harms nobody.
            _ if found("pulseaudio") => {
                let dir = private_dir(tag).map_err(|e| Nothing::Server(e.to_string()))?;
                Self::new(dir.join("native"), None, Some(dir), tag, false)
            }
            Some(_) => return Err(Nothing::NoPactl),
            None => return Err(Nothing::NoServer),
        };
        server.ensure().map_err(|e| Nothing::Server(e.to_string()))?;
        Ok(Arc::new(server))
    }

    /// The running server's present sink, and a microphone beside its own.
    ///
    /// # Errors
    /// When no server runs.
    pub fn of_session(tag: &str) -> Result<Arc<Self>, Nothing> {
        let socket = pulseaudio::socket_path_from_env().ok_or(Nothing::NoServer)?;
        let client = connect(&socket, cookie().as_deref()).map_err(|e| Nothing::Server(e.to_string()))?;
        let info = block_on(client.server_info()).map_err(|e| Nothing::Server(e.to_string()))?;
        let sink = info.default_sink_name.ok_or_else(|| Nothing::Server("it has no sink".into()))?;
        let mut server = Self::new(socket, cookie(), None, tag, true);
        server.sink = sink.to_string_lossy().into_owned();
        server.ensure().map_err(|e| Nothing::Server(e.to_string()))?;
        Ok(Arc::new(server))
    }

    fn new(socket: PathBuf, cookie: Option<PathBuf>, own: Option<PathBuf>, tag: &str, borrowed: bool) -> Self {
        let (sink, microphone) = (format!("telepane_{tag}"), format!("telepane_microphone_{tag}"));
        let inner = Mutex::new(Inner::default());
        let activity = Arc::new(Activity { changed: Mutex::new(true), wake: Condvar::new() });
        Self { socket, cookie, own, sink, microphone, borrowed, inner, activity }
    }

    /// What a session's applications need in their environment to find the sinks.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("PULSE_SERVER".into(), format!("unix:{}", self.socket.display())),
            ("PULSE_SINK".into(), self.sink.clone()),
            ("PULSE_SOURCE".into(), self.source()),
        ]
    }

    /// The sink that applications play into.
    pub fn sink(&self) -> &str {
        &self.sink
    }

    /// The sink that the viewer's microphone is played into.
    pub fn microphone(&self) -> &str {
        &self.microphone
    }

    /// Whether the server is one of our own.
    pub const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Starts what does not run and adds what is not there: the server and its sinks.
    ///
    /// # Errors
    /// When that fails.
    pub fn ensure(&self) -> Result<(), DeviceError> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(DeviceError("the agent ends".into()));
        }
        if self.own.is_some() {
            let ended = inner.process.as_mut().is_none_or(|p| !matches!(p.try_wait(), Ok(None)));
            if ended {
                inner.kept = None;
                inner.process = Some(self.start()?);
            }
            if inner.kept.is_none() {
                inner.kept = Some(self.client()?);
            }
        }
        let client = self.client()?;
        let there = |name: &str| CString::new(name).is_ok_and(|name| block_on(client.sink_info_by_name(name)).is_ok());
        if !self.borrowed && !there(&self.sink) {
            self.load(&mut inner, &null_sink(&self.sink, "Telepane"))?;
        }
        if !there(&self.microphone) && found("pactl") {
            self.load(&mut inner, &null_sink(&self.microphone, "Telepane-microphone-feed"))?;
            let remap = [
                "module-remap-source".into(),
                format!("master={}.monitor", self.microphone),
                format!("source_name={}", self.source()),
                "source_properties=device.description=Telepane-microphone".into(),
            ];
            self.load(&mut inner, &remap)?;
        }
        if inner.watcher.is_none() {
            inner.watcher = self.watch();
            inner.watches = inner.watcher.is_some();
        }
        Ok(())
    }

    /// Takes the sinks away, or ends the server where it is ours; nothing is made anew afterwards. The threads that hold
    /// this value may outlive the one that ends the agent.
    pub fn close(&self) {
        let mut inner = std::mem::replace(&mut *self.lock(), Inner { closed: true, ..Inner::default() });
        if let Some(watcher) = &mut inner.watcher {
            end(watcher);
        }
        inner.kept = None;
        match (&mut inner.process, &self.own) {
            (Some(process), Some(dir)) => {
                end(process);
                if let Err(error) = std::fs::remove_dir_all(dir) {
                    tracing::debug!(%error, "a private directory stays behind");
                }
            }
            _ => {
                // The newest first: the source stands on the sink before it.
                for module in inner.modules.iter().rev() {
                    let _ = self.pactl().args(["unload-module", module]).stdout(Stdio::null()).status();
                }
            }
        }
    }

    /// Whether the microphone has a place to go.
    pub fn takes_microphone(&self) -> bool {
        let name = CString::new(self.microphone.as_str());
        let client = self.client();
        client.is_ok_and(|c| name.is_ok_and(|name| block_on(c.sink_info_by_name(name)).is_ok()))
    }

    /// Whether some application plays into the sink, or the server cannot be asked.
    pub fn is_running(&self) -> bool {
        let (Ok(client), Ok(name)) = (self.client(), CString::new(self.sink.as_str())) else { return true };
        block_on(client.sink_info_by_name(name)).map_or(true, |info| info.state == SinkState::Running)
    }

    /// Waits a while until an application plays, and says whether one does.
    pub(crate) fn wait_until_running(&self) -> bool {
        if !self.lock().watches {
            return true;
        }
        let changed = self.activity.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.activity.wake.wait_timeout_while(changed, LOOK, |changed| !*changed);
        let (mut changed, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *changed) {
            drop(changed);
            return self.is_running();
        }
        drop(changed);
        // A watcher that has ended (the server did) is replaced when the source is opened.
        let mut inner = self.lock();
        let ended = inner.watcher.as_mut().is_none_or(|w| !matches!(w.try_wait(), Ok(None)));
        if ended {
            inner.watcher = None;
        }
        ended
    }

    /// A connection to the server.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn client(&self) -> Result<Client, DeviceError> {
        connect(&self.socket, self.cookie.as_deref()).map_err(|e| DeviceError(e.to_string()))
    }

    fn source(&self) -> String {
        format!("{}_source", self.microphone)
    }

    fn start(&self) -> Result<Child, DeviceError> {
        let Some(dir) = &self.own else { return Err(DeviceError("the server is not ours".into())) };
        let mut command = Command::new("pulseaudio");
        command.args(["-n", "--daemonize=no", "--exit-idle-time=20", "--use-pid-file=no", "--disable-shm=yes"]);
        // Who can enter the directory is this user.
        let native = format!("module-native-protocol-unix socket={} auth-anonymous=1", self.socket.display());
        command.args(["-L", &native]);
        for line in [null_sink(&self.sink, "Telepane"), null_sink(&self.microphone, "Telepane-microphone-feed")] {
            command.args(["-L", &line.join(" ")]);
        }
        let remap = format!(
            "module-remap-source master={}.monitor source_name={} source_properties=device.description=Telepane-microphone",
            self.microphone,
            self.source()
        );
        command.args(["-L", &remap, "-L", "module-suspend-on-idle timeout=5"]);
        command
            .env("XDG_RUNTIME_DIR", dir)
            .env("PULSE_RUNTIME_PATH", dir)
            .env("PULSE_STATE_PATH", dir)
            .env_remove("PULSE_SERVER")
            .env_remove("DISPLAY")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // A socket of one that was killed would only refuse.
        let _ = std::fs::remove_file(&self.socket);
        let mut child = command.spawn().map_err(|e| DeviceError(format!("cannot start pulseaudio: {e}")))?;
        for _ in 0..STEPS {
            if connect(&self.socket, None).is_ok() {
                return Ok(child);
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(DeviceError(format!("pulseaudio ended at once ({status})")));
            }
            // Nothing tells when its socket is there.
            std::thread::park_timeout(STEP);
        }
        end(&mut child);
        Err(DeviceError("pulseaudio did not begin".into()))
    }

    fn pactl(&self) -> Command {
        self.with_server(Command::new("pactl"))
    }

    fn with_server(&self, mut command: Command) -> Command {
        command
            .env("PULSE_SERVER", format!("unix:{}", self.socket.display()))
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn load(&self, inner: &mut Inner, line: &[String]) -> Result<(), DeviceError> {
        let out = self.pactl().arg("load-module").args(line).output();
        let out = out.map_err(|e| DeviceError(format!("pactl: {e}")))?;
        if !out.status.success() {
            return Err(DeviceError(format!("it does not load {}", line.join(" "))));
        }
        inner.modules.push(String::from_utf8_lossy(&out.stdout).trim().to_owned());
        Ok(())
    }

    /// A process that says when something begins or ends to play; `None` where the tool is missing.
    fn watch(&self) -> Option<Child> {
        // It would outlive an agent that is killed, and keep a server of ours from ending itself.
        let mut command = if found("setpriv") {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "TERM", "pactl"]);
            self.with_server(command)
        } else {
            self.pactl()
        };
        let mut child = command.env("LC_ALL", "C").arg("subscribe").stdout(Stdio::piped()).spawn().ok()?;
        let (out, activity) = (child.stdout.take()?, self.activity.clone());
        let read = move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if line.contains("sink-input") || line.contains("sink #") {
                    activity.tell();
                }
            }
            activity.tell();
        };
        if std::thread::Builder::new().name("telepane-sinks".into()).spawn(read).is_err() {
            end(&mut child);
            return None;
        }
        Some(child)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Activity {
    fn tell(&self) {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        self.close();
    }
}

/// Where the running sound server listens, if one runs and answers.
pub fn sound_server() -> Option<PathBuf> {
    pulseaudio::socket_path_from_env().filter(|path| connect(path, cookie().as_deref()).is_ok())
}

fn null_sink(name: &str, label: &str) -> [String; 5] {
    [
        "module-null-sink".into(),
        format!("sink_name={name}"),
        "rate=48000".into(),
        "channels=2".into(),
        format!("sink_properties=device.description={label}"),
    ]
}

fn connect(socket: &Path, cookie: Option<&Path>) -> Result<Client, ClientError> {
    let stream = UnixStream::connect(socket)?;
    // The handshake blocks; a server that hangs must not hang us.
    stream.set_read_timeout(Some(PATIENCE))?;
    // A server that asks for none still wants its 256 bytes.
    let cookie = cookie.and_then(|path| std::fs::read(path).ok()).unwrap_or_else(|| vec![0; 256]);
    Client::new_unix(c"telepane-host", stream, Some(cookie))
}

fn cookie() -> Option<PathBuf> {
    pulseaudio::cookie_path_from_env()
}

fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn private_dir(tag: &str) -> std::io::Result<PathBuf> {
    let base = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|d| d.is_absolute() && d.is_dir())
        .unwrap_or_else(std::env::temp_dir);
    for n in 0..1_000u32 {
        let dir = base.join(format!("telepane-sound-{tag}-{}-{n}", std::process::id()));
        // Fails if the name exists, so nobody can have prepared it.
        match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| dir),
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

/// Ends a process of ours and waits for it.
fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}
