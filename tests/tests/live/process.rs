//! Programs a test starts: their output is collected, they are waited for with a limit, and they and their children
//! end with the test, also when it panics; then the ends of their logs are printed.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long anything may take on a loaded machine before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// What is asked over and over is asked this often.
const TICK: Duration = Duration::from_millis(10);
/// Of a failed test's logs, this many bytes are shown.
const LOG_SHOWN: usize = 6_000;

/// A program that ends with this value.
pub struct Running {
    name: String,
    child: Child,
    out: Collected,
    err: Collected,
    ended: Option<i32>,
}

/// What a program writes, and whether it has closed the pipe.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<(Vec<u8>, bool)>>);

/// What a program is told.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// Ctrl+C.
    Interrupt = libc::SIGINT as isize,
    /// A request to end.
    Terminate = libc::SIGTERM as isize,
    /// The end without a word.
    Kill = libc::SIGKILL as isize,
    /// To stand still, as all of a machine does that sleeps.
    Stop = libc::SIGSTOP as isize,
    /// To go on.
    Continue = libc::SIGCONT as isize,
}

impl Running {
    /// Starts `command` in a process group of its own, with nothing on standard input.
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        let out = collect(child.stdout.take().expect("piped"));
        let err = collect(child.stderr.take().expect("piped"));
        Self { name: name.to_owned(), child, out, err, ended: None }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output so far.
    pub fn out(&self) -> String {
        self.out.text()
    }

    /// What it wrote to standard error so far.
    pub fn err(&self) -> String {
        self.err.text()
    }

    /// All it wrote to standard output; for one that has ended.
    pub fn all_out(&self) -> String {
        until("the pipe is closed", PATIENCE, || self.out.lock().1);
        self.out()
    }

    /// All it wrote to standard error; for one that has ended.
    pub fn all_err(&self) -> String {
        until("the pipe is closed", PATIENCE, || self.err.lock().1);
        self.err()
    }

    /// The first line of its standard output that begins with `prefix`, waited for.
    pub fn line(&mut self, prefix: &str) -> String {
        let said = self.line_or_end(prefix);
        said.unwrap_or_else(|code| panic!("{} ended with {code} and never said {prefix:?}:\n{}", self.name, self.err()))
    }

    /// The same, or its exit code if it ends without.
    pub fn line_or_end(&mut self, prefix: &str) -> Result<String, i32> {
        let deadline = now() + PATIENCE;
        loop {
            // Asked before what it wrote is read: what has ended and closed its pipe writes no more.
            let ended = self.ended().filter(|_| self.out.lock().1);
            let out = self.out();
            let whole = out.rfind('\n').map_or("", |end| &out[..end]);
            if let Some(line) = whole.lines().find(|l| l.starts_with(prefix)) {
                return Ok(line.to_owned());
            }
            if let Some(code) = ended {
                return Err(code);
            }
            assert!(now() < deadline, "{} did not say {prefix:?} in {PATIENCE:?}:\n{}", self.name, self.err());
            pause(TICK);
        }
    }

    /// Sends a signal to this process alone.
    pub fn signal(&self, signal: Signal) {
        assert!(self.ended.is_none(), "{} has ended already", self.name);
        // SAFETY: `kill` takes two numbers; the process has not been waited for, so the number is still its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal as libc::c_int) };
    }

    /// Its exit code if it has ended; 128 and the signal's number after a signal, as shells have it.
    pub fn ended(&mut self) -> Option<i32> {
        if self.ended.is_none() {
            let status = self.child.try_wait().expect("our own child can be waited for")?;
            self.ended = status.code().or_else(|| status.signal().map(|s| 128 + s));
        }
        self.ended
    }

    /// Its exit code, waited for.
    pub fn exit_code(&mut self, within: Duration) -> i32 {
        let start = now();
        loop {
            if let Some(code) = self.ended() {
                return code;
            }
            assert!(start.elapsed() < within, "{} still runs after {within:?}:\n{}", self.name, self.err());
            pause(TICK);
        }
    }

    /// One figure of `/proc/PID/status` in kB, such as `VmRSS`.
    pub fn memory_kb(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process lives");
        let line = status.lines().find(|l| l.starts_with(field)).expect("the kernel counts it");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number of kB")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.ended();
        // SAFETY: `kill` takes two numbers. The group was made for this child; what is left of it are its children.
        unsafe { libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL) };
        let _ = self.child.wait();
        if std::thread::panicking() {
            let err = self.err();
            let from = err.char_indices().map(|(i, _)| i).find(|i| err.len() - i <= LOG_SHOWN).unwrap_or_default();
            eprintln!("--- {} ended {ended:?}; out: {:?}; its log's end:\n{}", self.name, self.out(), &err[from..]);
        }
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Collected {
    let collected = Collected::default();
    let kept = collected.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            kept.lock().0.extend_from_slice(&buffer[..n]);
        }
        kept.lock().1 = true;
    });
    collected
}

impl Collected {
    fn lock(&self) -> MutexGuard<'_, (Vec<u8>, bool)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().0).into_owned()
    }
}

/// A directory that goes with this value.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A fresh one that only this user can enter.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        loop {
            let n = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("telepane-live-{}-{n}", std::process::id()));
            match builder.create(&path) {
                Ok(()) => return Self(path),
                // Tests that were killed left one, and their number is a process's again.
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "a fresh directory: {error}"),
            }
        }
    }

    /// A path in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file that only this user can read.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        let new = path.with_extension("new");
        std::fs::write(&new, text).expect("the directory is ours");
        std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("the file is ours");
        // In one step, so that a program that reads it meanwhile never finds it empty.
        std::fs::rename(&new, &path).expect("the file is ours");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Asks until the answer is yes; panics with `what` when it stays no for `within`. Returns how long it took.
pub fn until(what: &str, within: Duration, mut asked: impl FnMut() -> bool) -> Duration {
    let start = now();
    while !asked() {
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        pause(TICK);
    }
    start.elapsed()
}

/// The present instant.
#[expect(clippy::disallowed_methods, reason = "real programs run in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of day of an instant, as the programs' logs say it.
#[expect(clippy::disallowed_methods, reason = "real programs run in real time")]
pub fn time_of_day(at: Instant) -> String {
    let wall = std::time::SystemTime::now() - Instant::now().saturating_duration_since(at);
    let since = wall.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let secs = since.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", secs / 3_600, secs / 60 % 60, secs % 60, since.subsec_millis())
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "real programs run in real time")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// An address whose port nobody takes by chance: systems give out others (Linux from 32768 on, unless told otherwise).
/// It stays free while an agent that had it ends and another one comes.
pub fn own_address() -> SocketAddr {
    const PORTS: std::ops::Range<u32> = 12_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in PORTS {
        // Two processes at once begin far from each other.
        let n = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + n % (PORTS.end - PORTS.start);
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port as u16));
        if TcpListener::bind(addr).is_ok() && UdpSocket::bind(addr).is_ok() {
            return addr;
        }
    }
    panic!("all ports are taken");
}

/// Whether all these programs are installed; says on standard output what is missing and so what was skipped.
pub fn have(test: &str, programs: &[&str]) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let missing = programs.iter().find(|p| !std::env::split_paths(&paths).any(|dir| dir.join(p).is_file()));
    if let Some(missing) = missing {
        println!("{test}: skipped, {missing} is not installed");
    }
    missing.is_none()
}

/// The path of one of the project's programs, built first. `TELEPANE_BIN_DIR` names a directory with programs that
/// are built already.
pub fn program(name: &str) -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        if let Some(dir) = std::env::var_os("TELEPANE_BIN_DIR") {
            return dir.into();
        }
        // target/<profile>/deps/live-<hash>
        let own = std::env::current_exe().expect("a test runs from a file");
        let dir = own.ancestors().nth(2).expect("cargo keeps tests in target/<profile>/deps").to_owned();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // The whole workspace, so that features are united as for this test and nothing is built a second time.
        cargo.args(["build", "--quiet", "--workspace", "--bin", "telepane-host", "--bin", "telepane"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        if dir.file_name().is_some_and(|n| n == "release") {
            cargo.arg("--release");
        }
        let built = cargo.status().expect("cargo can be started");
        assert!(built.success(), "the programs do not build; see above");
        dir
    })
    .join(name)
}
