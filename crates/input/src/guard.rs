//! The guard: a small process that outlives a killed agent and puts its display back as it was.
//!
//! An X server keeps a key pressed through XTEST down when the client that pressed it dies; a remote user's Ctrl would
//! stay held for whoever sits there next. So the agent runs its own program once more with a hidden argument, holds one
//! end of a socket pair, and writes down on it what it is about to change, before it does. When the other end closes for
//! whatever reason, SIGKILL included, the guard connects to the display, lifts what is still held, gives back borrowed
//! keys, auto-repeat and lock states, and exits. After an orderly end nothing is left to undo and it exits at once.
//!
//! The guard lives in a session of its own, ignores the signals that end a service, keeps no descriptor of the agent's
//! but the socket, and bounds its own life after the agent's by an alarm. What it cannot survive is a SIGKILL to the whole
//! control group (`systemctl kill --signal=KILL`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::warn;
use x11rb::connection::Connection;
use x11rb::protocol::xkb::{ConnectionExt as _, ID};
use x11rb::protocol::xproto::{
    AutoRepeatMode, BUTTON_RELEASE_EVENT, ChangeKeyboardControlAux, ConnectionExt as _, KEY_RELEASE_EVENT, ModMask,
};
use x11rb::protocol::xtest::ConnectionExt as _;

use crate::Gone;
use crate::x11::connect::connect;
use crate::x11::devices::enable;

/// The hidden argument.
const ARGUMENT: &str = "__input-guard";
/// The longest line the guard reads, in bytes: 255 key codes of three digits and a word fit four times over.
const MAX_LINE: u64 = 4096;
/// Seconds the guard may take to undo after the agent's end; a server that hangs must not keep it for ever.
const ALARM: u32 = 10;
/// Times a lost guard is started again.
const RESTARTS: u8 = 3;

/// Whether `main` called [`run_if_asked`]: only then does this program know the hidden argument.
static HOOKED: AtomicBool = AtomicBool::new(false);

/// Becomes the guard, and never returns, when this process was started as one; else returns at once. The first thing
/// in `main`, before any thread and any file.
pub fn run_if_asked() {
    HOOKED.store(true, Ordering::Relaxed);
    if std::env::args_os().nth(1).is_some_and(|first| first == ARGUMENT) {
        std::process::exit(match run() {
            Ok(()) => 0,
            Err(_) => 1,
        });
    }
}

/// One change of what would have to be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A key goes down; `repeat` says that its auto-repeat is off meanwhile and was on.
    Down { key: u8, repeat: bool },
    /// A key came up.
    Up { key: u8 },
    /// A button goes down.
    Press { button: u8 },
    /// A button came up.
    Lift { button: u8 },
    /// These keys are about to be tapped; none of them when the tapping is over.
    Typing { keys: Vec<u8> },
    /// A key is borrowed; these keysyms were on it and its auto-repeat was `repeat`.
    Borrow { key: u8, repeat: bool, keysyms: Vec<u32> },
    /// A borrowed key was given back.
    Return { key: u8 },
    /// The locked modifiers are about to change for a moment; they were `mods`.
    Locks { mods: u8 },
    /// The locked modifiers are as before.
    Unlocks,
    /// One of the display's own devices is about to be connected to: it is to be off when we are gone.
    Opens { device: u16 },
    /// It is off.
    Closed { device: u16 },
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down { key, repeat } => write!(f, "down {key} {}", u8::from(*repeat)),
            Self::Up { key } => write!(f, "up {key}"),
            Self::Press { button } => write!(f, "press {button}"),
            Self::Lift { button } => write!(f, "lift {button}"),
            Self::Typing { keys } => {
                f.write_str("typing")?;
                keys.iter().try_for_each(|key| write!(f, " {key}"))
            }
            Self::Borrow { key, repeat, keysyms } => {
                write!(f, "borrow {key} {}", u8::from(*repeat))?;
                keysyms.iter().try_for_each(|sym| write!(f, " {sym}"))
            }
            Self::Return { key } => write!(f, "return {key}"),
            Self::Locks { mods } => write!(f, "locks {mods}"),
            Self::Unlocks => f.write_str("unlocks"),
            Self::Opens { device } => write!(f, "opens {device}"),
            Self::Closed { device } => write!(f, "closed {device}"),
        }
    }
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let verb = words.next()?;
        let mut byte = || words.next()?.parse::<u8>().ok();
        Some(match verb {
            "down" => Self::Down { key: byte()?, repeat: byte()? != 0 },
            "up" => Self::Up { key: byte()? },
            "press" => Self::Press { button: byte()? },
            "lift" => Self::Lift { button: byte()? },
            "typing" => Self::Typing { keys: words.map(str::parse).collect::<Result<_, _>>().ok()? },
            "borrow" => {
                let (key, repeat) = (byte()?, byte()? != 0);
                Self::Borrow { key, repeat, keysyms: words.map(str::parse).collect::<Result<_, _>>().ok()? }
            }
            "return" => Self::Return { key: byte()? },
            "locks" => Self::Locks { mods: byte()? },
            "unlocks" => Self::Unlocks,
            "opens" => Self::Opens { device: words.next()?.parse().ok()? },
            "closed" => Self::Closed { device: words.next()?.parse().ok()? },
            _ => return None,
        })
    }
}

/// Everything that would have to be undone now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    keys: BTreeMap<u8, bool>,
    buttons: BTreeSet<u8>,
    typing: Vec<u8>,
    borrowed: BTreeMap<u8, (bool, Vec<u32>)>,
    locks: Option<u8>,
    devices: BTreeSet<u16>,
}

impl Ledger {
    pub(crate) fn note(&mut self, entry: Entry) {
        match entry {
            Entry::Down { key, repeat } => drop(self.keys.insert(key, repeat)),
            Entry::Up { key } => drop(self.keys.remove(&key)),
            Entry::Press { button } => drop(self.buttons.insert(button)),
            Entry::Lift { button } => drop(self.buttons.remove(&button)),
            Entry::Typing { keys } => self.typing = keys,
            Entry::Borrow { key, repeat, keysyms } => drop(self.borrowed.insert(key, (repeat, keysyms))),
            Entry::Return { key } => drop(self.borrowed.remove(&key)),
            Entry::Locks { mods } => self.locks = Some(mods),
            Entry::Unlocks => self.locks = None,
            Entry::Opens { device } => drop(self.devices.insert(device)),
            Entry::Closed { device } => drop(self.devices.remove(&device)),
        }
    }

    /// The entries that make an empty ledger like this one.
    fn entries(&self) -> Vec<Entry> {
        let mut out: Vec<Entry> = self.keys.iter().map(|(&key, &repeat)| Entry::Down { key, repeat }).collect();
        out.extend(self.buttons.iter().map(|&button| Entry::Press { button }));
        if !self.typing.is_empty() {
            out.push(Entry::Typing { keys: self.typing.clone() });
        }
        out.extend(self.borrowed.iter().map(|(&key, (repeat, keysyms))| Entry::Borrow {
            key,
            repeat: *repeat,
            keysyms: keysyms.clone(),
        }));
        out.extend(self.locks.map(|mods| Entry::Locks { mods }));
        out.extend(self.devices.iter().map(|&device| Entry::Opens { device }));
        out
    }

    /// Undoes everything on the display of `conn`, and waits until the server has done it.
    pub(crate) fn undo(&self, conn: &impl Connection) -> Result<(), Gone> {
        for &key in self.keys.keys().chain(&self.typing) {
            conn.xtest_fake_input(KEY_RELEASE_EVENT, key, 0, x11rb::NONE, 0, 0, 0)?;
        }
        for &button in &self.buttons {
            conn.xtest_fake_input(BUTTON_RELEASE_EVENT, button, 0, x11rb::NONE, 0, 0, 0)?;
        }
        if let Some(mods) = self.locks {
            lock(conn, u8::MAX, mods)?;
        }
        for &device in &self.devices {
            // Its next user turns it on.
            enable(conn, device, false)?;
        }
        for (&key, (repeat, keysyms)) in &self.borrowed {
            map(conn, key, keysyms)?;
            repeats(conn, key, *repeat)?;
        }
        for (&key, &repeat) in &self.keys {
            if repeat {
                repeats(conn, key, true)?;
            }
        }
        conn.get_input_focus()?.reply()?;
        Ok(())
    }
}

/// Puts `keysyms` on `key`.
pub(crate) fn map(conn: &impl Connection, key: u8, keysyms: &[u32]) -> Result<(), Gone> {
    let width = u8::try_from(keysyms.len()).unwrap_or(u8::MAX);
    if width > 0 {
        conn.change_keyboard_mapping(1, key, width, keysyms)?;
    }
    Ok(())
}

/// Turns the server's auto-repeat of one key on or off.
pub(crate) fn repeats(conn: &impl Connection, key: u8, on: bool) -> Result<(), Gone> {
    let mode = if on { AutoRepeatMode::ON } else { AutoRepeatMode::OFF };
    conn.change_keyboard_control(&ChangeKeyboardControlAux::new().key(u32::from(key)).auto_repeat_mode(mode))?;
    Ok(())
}

/// Makes the locked modifiers among `affect` exactly `mods`.
pub(crate) fn lock(conn: &impl Connection, affect: u8, mods: u8) -> Result<(), Gone> {
    let (affect, mods) = (ModMask::from(u16::from(affect)), ModMask::from(u16::from(mods)));
    let keyboard = ID::USE_CORE_KBD.into();
    conn.xkb_latch_lock_state(keyboard, affect, mods, false, 0u8.into(), ModMask::from(0u16), false, 0)?;
    Ok(())
}

/// The agent's end: tells the guard what would have to be undone.
#[derive(Debug)]
pub struct Guard {
    display: Option<String>,
    xauthority: Option<std::path::PathBuf>,
    ledger: Ledger,
    process: Option<(Child, UnixStream)>,
    restarts: u8,
}

impl Guard {
    /// Starts a guard for this display (`None`: from the environment).
    ///
    /// # Errors
    /// When this program's `main` does not call [`run_if_asked`], or the process cannot be started.
    pub fn start(display: Option<&str>, xauthority: Option<&std::path::Path>) -> io::Result<Self> {
        if !HOOKED.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this program has no guard in its main"));
        }
        let mut guard = Self {
            display: display.map(str::to_owned).or_else(|| std::env::var("DISPLAY").ok()),
            xauthority: xauthority.map(Into::into).or_else(|| std::env::var_os("XAUTHORITY").map(Into::into)),
            ledger: Ledger::default(),
            process: None,
            restarts: RESTARTS,
        };
        guard.process = Some(guard.spawn()?);
        Ok(guard)
    }

    /// Whether a guard is listening, as far as is known.
    pub fn alive(&self) -> bool {
        self.process.is_some()
    }

    /// The guard's process id, for a log.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(|(child, _)| child.id())
    }

    fn spawn(&self) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        // A guard that is stopped must not stop the agent.
        ours.set_nonblocking(true)?;
        let mut command = Command::new("/proc/self/exe");
        command.arg(ARGUMENT).env_clear().current_dir("/");
        command.envs(std::env::var_os("HOME").map(|home| ("HOME", home)));
        command.envs(self.display.as_ref().map(|display| ("DISPLAY", display)));
        command.envs(self.xauthority.as_ref().map(|path| ("XAUTHORITY", path)));
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
        Ok((command.spawn()?, ours))
    }

    /// Writes one entry down, before the change it speaks of is made (or after it is undone).
    pub(crate) fn note(&mut self, entry: Entry) {
        let line = format!("{entry}\n");
        self.ledger.note(entry);
        let Some((_, stream)) = &mut self.process else { return };
        match stream.write(line.as_bytes()) {
            Ok(n) if n == line.len() => {}
            outcome => self.replace(&format!("{outcome:?}")),
        }
    }

    /// Starts another guard in the place of one that is lost, and tells it everything.
    fn replace(&mut self, why: &str) {
        if let Some((mut child, stream)) = self.process.take() {
            // The old one must not undo what is still wanted.
            let _ = child.kill();
            drop(stream);
            let _ = child.wait();
        }
        if self.restarts == 0 {
            warn!("the input guard was lost {RESTARTS} times; going on without one ({why})");
            return;
        }
        self.restarts -= 1;
        warn!("the input guard was lost ({why}); starting another");
        let lines: String = self.ledger.entries().iter().map(|entry| format!("{entry}\n")).collect();
        match self.spawn().and_then(|(child, mut stream)| stream.write_all(lines.as_bytes()).map(|()| (child, stream)))
        {
            Ok(process) => self.process = Some(process),
            Err(e) => warn!("the input guard cannot be started again: {e}"),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((mut child, stream)) = self.process.take() {
            drop(stream);
            // With nothing to undo it exits at once; otherwise its alarm bounds the wait.
            let _ = child.wait();
        }
    }
}

/// The guard's life.
fn run() -> Result<(), Gone> {
    detach();
    let mut ledger = Ledger::default();
    let mut lines = BufReader::new(io::stdin());
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(n) if n > 0 && line.ends_with(b"\n") => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            _ => break,
        }
        if let Some(entry) = std::str::from_utf8(&line).ok().and_then(Entry::parse) {
            ledger.note(entry);
        }
    }
    if ledger == Ledger::default() {
        return Ok(());
    }
    // SAFETY: alarm only arms a timer; its signal keeps the default action, which ends this process.
    unsafe { libc::alarm(ALARM) };
    let (conn, _) = connect(None, None).map_err(|e| Gone(e.to_string()))?;
    conn.xtest_grab_control(true)?;
    conn.xkb_use_extension(1, 0)?.reply()?;
    ledger.undo(&conn)
}

/// Leaves the agent's session and everything inherited from it but the three standard descriptors.
fn detach() {
    // SAFETY: these calls take plain numbers. The process was just executed and has opened nothing, so no descriptor above
    // 2 belongs to anything in it; SIG_IGN is a valid disposition for each of these signals.
    unsafe {
        libc::setsid();
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32);
        for signal in
            [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGTSTP, libc::SIGUSR1, libc::SIGUSR2]
        {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Entry> {
        vec![
            Entry::Down { key: 38, repeat: true },
            Entry::Down { key: 50, repeat: false },
            Entry::Up { key: 50 },
            Entry::Press { button: 1 },
            Entry::Press { button: 9 },
            Entry::Lift { button: 9 },
            Entry::Typing { keys: (8..=255).collect() },
            Entry::Borrow { key: 97, repeat: true, keysyms: vec![0, 0x0101_f600] },
            Entry::Borrow { key: 98, repeat: false, keysyms: vec![0] },
            Entry::Return { key: 98 },
            Entry::Locks { mods: 18 },
            Entry::Opens { device: 7 },
            Entry::Opens { device: 300 },
            Entry::Closed { device: 7 },
        ]
    }

    #[test]
    fn entries_survive_the_pipe() {
        for entry in all().into_iter().chain([Entry::Unlocks, Entry::Typing { keys: vec![] }]) {
            let line = entry.to_string();
            assert!((line.len() as u64) < MAX_LINE / 2);
            assert_eq!(Entry::parse(&line), Some(entry));
        }
        for broken in
            ["", "down", "down 300 1", "down 1", "typing 1 x", "borrow 9", "borrow 9 1 -4", "hold 1", "opens -1"]
        {
            assert_eq!(Entry::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_replacement_learns_the_same_ledger() {
        let mut ledger = Ledger::default();
        all().into_iter().for_each(|entry| ledger.note(entry));
        let mut other = Ledger::default();
        ledger.entries().into_iter().for_each(|entry| other.note(entry));
        assert_eq!(ledger, other);
        assert_eq!(ledger.keys.len(), 1);
        assert_eq!(ledger.borrowed.len(), 1);
        for undone in [
            Entry::Up { key: 38 },
            Entry::Lift { button: 1 },
            Entry::Typing { keys: vec![] },
            Entry::Return { key: 97 },
            Entry::Unlocks,
            Entry::Closed { device: 300 },
        ] {
            ledger.note(undone);
        }
        assert_eq!(ledger, Ledger::default());
    }
}
