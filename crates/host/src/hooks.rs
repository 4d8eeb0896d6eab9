//! What others are told and asked to do when sessions come, rest and go: events as JSON lines and as a command, and the
//! command that locks the desktop.
//!
//! A thread of its own writes and runs, so that a disk or a program that hangs holds up nobody's picture. Commands run
//! without a shell, one at a time, and for at most [`MOST_TIME`]; what fails is said in the log and changes nothing.

use crate::clock::unix_millis;
use crate::system;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use telepane_model::{HostClock, Stamp};
use telepane_session::life::{Happened, LifeEvent};

/// A command is ended when it takes longer.
pub const MOST_TIME: Duration = Duration::from_secs(10);
/// How long the agent's end waits for what was told last.
const AT_THE_END: Duration = Duration::from_secs(2);
/// What waits to be told.
const MOST_WAITING: usize = 64;
/// How often it is looked whether a command has ended.
const LOOK: Duration = Duration::from_millis(10);
/// Of a command's complaint, so much is repeated in the log.
const MOST_WORDS: u64 = 1_000;

/// What the thread is to do.
enum Job {
    Event(Value),
    Lock,
}

/// See the module.
pub struct Hooks {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    done: Receiver<()>,
}

/// Where events go, and what is run.
#[derive(Debug, Default)]
pub struct Orders {
    /// Lines are added here.
    pub out: Option<Out>,
    /// Run for each event, with the line on its standard input.
    pub event: Vec<String>,
    /// Run to lock the desktop.
    pub lock: Vec<String>,
    /// What the lock finds in its environment: the display.
    pub environment: Vec<(String, String)>,
}

/// Where lines go.
#[derive(Debug)]
pub enum Out {
    /// Standard output.
    Standard,
    /// A file, of which only the owner may read.
    File(File),
}

impl Out {
    /// `-`, or a file that is added to.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Standard);
        }
        let mut options = File::options();
        Ok(Self::File(system::keep_private(options.append(true).create(true)).open(path)?))
    }

    fn line(&mut self, line: &str) -> std::io::Result<()> {
        match self {
            Self::Standard => {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{line}")?;
                out.flush()
            }
            // In one piece: somebody may be reading along.
            Self::File(file) => file.write_all(format!("{line}\n").as_bytes()),
        }
    }
}

impl Hooks {
    /// Begins to wait for things to tell.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(mut orders: Orders) -> std::io::Result<Self> {
        let (jobs, read) = sync_channel::<Job>(MOST_WAITING);
        let (say, done) = sync_channel(1);
        let run = move || {
            for job in read {
                match job {
                    Job::Event(event) => tell(&mut orders, &event),
                    Job::Lock => lock(&orders),
                }
            }
            // Nobody waits for it when the agent was told twice to stop.
            let _ = say.try_send(());
        };
        let thread = std::thread::Builder::new().name("telepane-hooks".into()).spawn(run)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), done })
    }

    /// Somebody is to hear of this.
    pub fn event(&self, event: Value) {
        self.job(Job::Event(event));
    }

    /// The desktop is to be locked.
    pub fn lock(&self) {
        self.job(Job::Lock);
    }

    fn job(&self, job: Job) {
        let Some(Err(error)) = self.jobs.as_ref().map(|jobs| jobs.try_send(job)) else { return };
        let lost = match &error {
            TrySendError::Full(Job::Event(event)) | TrySendError::Disconnected(Job::Event(event)) => event.to_string(),
            _ => "the desktop's lock".to_owned(),
        };
        tracing::warn!(lost, "commands take too long: this was neither written nor run");
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.jobs = None;
        if self.done.recv_timeout(AT_THE_END).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // It has said that it is at its end.
            let _ = thread.join();
        }
    }
}

/// An event as others read it. `who` is added as it is: name, user, address and the like.
pub fn event(event: &LifeEvent, now: Stamp<HostClock>, who: Value) -> Value {
    let wall = unix_millis();
    let millis = |at: Stamp<HostClock>| wall.saturating_sub(now.since(at).as_micros() / 1_000);
    let (name, why, resumed) = match event.what {
        Happened::Connected { resumed } => ("connected", None, Some(resumed)),
        Happened::Disconnected { why } => ("disconnected", Some(why), None),
        Happened::Ended { why } => ("ended", Some(why), None),
        Happened::LastInput => ("last-input", None, None),
    };
    let mut line = json!({
        "event": name,
        "at": rfc3339(millis(event.at)),
        "session": event.session,
        "connected": event.connected,
        "last-input": event.last_input.map(|at| rfc3339(millis(at))),
    });
    let Some(map) = line.as_object_mut() else { return line };
    if let Some(why) = why {
        map.insert("reason".into(), why.name().into());
    }
    if let Some(resumed) = resumed {
        map.insert("resumed".into(), resumed.into());
    }
    if let Value::Object(mut who) = who {
        map.append(&mut who);
    }
    line
}

fn tell(orders: &mut Orders, event: &Value) {
    let line = event.to_string();
    if let Some(Err(error)) = orders.out.as_mut().map(|out| out.line(&line)) {
        tracing::warn!(%error, line, "this event could not be written");
    }
    if !orders.event.is_empty() {
        let text = |name: &str| event[name].as_str().map_or_else(|| event[name].to_string(), str::to_owned);
        let environment = [("TELEPANE_EVENT", text("event")), ("TELEPANE_SESSION", text("session"))];
        run("event-command", &orders.event, environment.into_iter(), &format!("{line}\n"));
    }
}

fn lock(orders: &Orders) {
    tracing::info!("the last client has gone: locking the desktop");
    let environment = orders.environment.iter().map(|(name, value)| (name.as_str(), value.clone()));
    run("lock-command", &orders.lock, environment, "");
}

/// Runs a command to its end, or ends it.
fn run<'a>(what: &str, line: &[String], environment: impl Iterator<Item = (&'a str, String)>, input: &str) {
    let Some((program, arguments)) = line.split_first() else { return };
    let mut command = Command::new(program);
    system::apart(command.args(arguments).envs(environment));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(what, program, %error, "cannot be run");
            return;
        }
    };
    if let Some(mut stdin) = child.stdin.take() {
        // A line fits the pipe; a program that reads nothing is free to.
        let _ = stdin.write_all(input.as_bytes());
    }
    match wait(&mut child) {
        Some(status) if status.success() => {}
        Some(status) => {
            let said = child.stderr.take().map(last_words).unwrap_or_default();
            tracing::warn!(what, program, %status, said = said.trim(), "it failed");
        }
        None => tracing::warn!(what, program, seconds = MOST_TIME.as_secs(), "it took too long and was ended"),
    }
}

/// What it complained of so far: something that it left behind may still hold the other end.
fn last_words(from: ChildStderr) -> String {
    String::from_utf8_lossy(&system::read_now(from, MOST_WORDS)).into_owned()
}

/// How it ended; `None` when it had to be ended.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let mut left = MOST_TIME;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if left > Duration::ZERO => {
                std::thread::park_timeout(LOOK);
                left = left.saturating_sub(LOOK);
            }
            _ => break,
        }
    }
    system::end(child);
    let _ = child.wait();
    None
}

/// Milliseconds since 1970 as RFC 3339 has them, in UTC.
pub fn rfc3339(millis: u64) -> String {
    let (days, ms) = (millis / 86_400_000, millis % 86_400_000);
    let secs = ms / 1_000;
    // Days since 1 March of the year 0, in eras of 400 years (H. Hinnant, "chrono-compatible low-level date algorithms").
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (secs / 3_600, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Span;
    use telepane_session::life::Left;

    #[test]
    fn instants_are_written_as_rfc_3339_has_them() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_795_651_200_123, "2026-11-26T00:00:00.123Z"),
        ] {
            assert_eq!(rfc3339(millis), text);
        }
    }

    fn lost() -> LifeEvent {
        let at = Stamp::from_micros(5_000_000);
        let what = Happened::Disconnected { why: Left::Lost };
        LifeEvent { at, session: 7, what, last_input: Some(at - Span::secs(2)), connected: 0 }
    }

    #[test]
    fn an_event_says_when_who_and_why() {
        let line = event(&lost(), Stamp::from_micros(8_000_000), json!({ "name": "laptop" }));
        assert_eq!(
            (&line["event"], &line["reason"], &line["name"]),
            (&json!("disconnected"), &json!("lost"), &json!("laptop"))
        );
        assert_eq!((&line["session"], &line["connected"]), (&json!(7), &json!(0)));
        assert!(line["at"].as_str() > line["last-input"].as_str(), "{line}");
    }

    #[test]
    fn lines_are_written_and_the_command_gets_them_and_a_failing_one_stops_nothing() {
        let dir = std::env::temp_dir().join(format!("telepane-hooks-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (file, seen) = (dir.join("events"), dir.join("seen"));
        let script = format!("cat >> {0}; echo \"$TELEPANE_EVENT $TELEPANE_SESSION\" >> {0}; exit 3", seen.display());
        let orders = Orders {
            out: Some(Out::open(&file).unwrap()),
            event: ["sh", "-c", script.as_str()].map(str::to_owned).into(),
            ..Orders::default()
        };
        let hooks = Hooks::start(orders).unwrap();
        for _ in 0..2 {
            hooks.event(event(&lost(), Stamp::from_micros(8_000_000), Value::Null));
        }
        // The end waits for them, but not for ever.
        let have_run = || std::fs::read_to_string(&seen).is_ok_and(|seen| seen.lines().count() == 4);
        for _ in (0..2_000).take_while(|_| !have_run()) {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        drop(hooks);
        let written = std::fs::read_to_string(&file).unwrap();
        assert_eq!(written.lines().filter(|l| l.contains("\"disconnected\"")).count(), 2);
        let seen = std::fs::read_to_string(&seen).unwrap();
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[1]), (4, written.lines().next().unwrap(), "disconnected 7"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
