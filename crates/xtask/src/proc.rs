//! Running other programs: their output into a log, line by line to whoever listens, with a limit, stopped on Ctrl+C.
//!
//! Each program gets a process group of its own, so that stopping it stops what it started. A program that
//! leaves a child holding its pipe open does not hold us: two seconds after it ended we stop listening.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{clock, exit};

/// A line a program printed, without its end.
pub enum Line {
    /// On standard output.
    Out(String),
    /// On standard error.
    Err(String),
}

impl Line {
    /// Its text, from wherever it came.
    pub fn text(&self) -> &str {
        match self {
            Line::Out(text) | Line::Err(text) => text,
        }
    }
}

/// What came of a program.
pub struct Ended {
    /// How it ended; `None` when it was stopped at its limit.
    pub status: Option<ExitStatus>,
    /// Its last lines, oldest first, at most [`TAIL`].
    pub tail: VecDeque<String>,
    /// Where everything it printed stands.
    pub log: PathBuf,
}

impl Ended {
    /// Whether it ended by itself and well.
    pub fn ok(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// The tail and the log's place, for a person.
    pub fn story(&self) -> String {
        let mut story: String = self.tail.iter().map(|line| format!("    {line}\n")).collect();
        if self.status.is_none() {
            story.push_str("    (stopped: it took longer than its limit)\n");
        }
        story.push_str(&format!("    everything it printed: {}", self.log.display()));
        story
    }
}

/// A program under way. Dropping it stops it and what it started.
pub struct Job {
    child: Child,
    lines: Receiver<Line>,
    log: File,
    log_path: PathBuf,
    tail: VecDeque<String>,
}

/// What [`Job::next`] saw.
pub enum Seen {
    /// A line.
    Line(Line),
    /// Nothing within the time given.
    Nothing,
    /// It has closed its output, or ended.
    End,
}

/// From here on Ctrl+C and SIGTERM are noticed by [`interrupted`], so that what was started is stopped first.
pub fn listen_for_ctrl_c() {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let _ = signal_hook::flag::register(signal, Arc::clone(flag()));
    }
}

/// Fails with exit code 130 once Ctrl+C was pressed.
///
/// # Errors
/// That one.
pub fn interrupted() -> Result<()> {
    if flag().load(Ordering::Relaxed) { Err(exit(130, "interrupted")) } else { Ok(()) }
}

/// Runs a program to its end. `on` sees every line, and `None` about ten times a second.
///
/// # Errors
/// When it cannot be started, when its log cannot be written, and on Ctrl+C.
pub fn run(command: &mut Command, log: &Path, limit: Duration, mut on: impl FnMut(Option<&Line>)) -> Result<Ended> {
    let mut job = Job::start(command, log)?;
    let deadline = clock::now() + limit;
    loop {
        interrupted()?;
        match job.next(Duration::from_millis(100))? {
            Seen::Line(line) => on(Some(&line)),
            Seen::Nothing => on(None),
            Seen::End => break,
        }
        if clock::now() > deadline {
            job.stop();
            return Ok(job.into_ended(None));
        }
    }
    let status = job.child.wait().context("the program could not be waited for")?;
    Ok(job.into_ended(Some(status)))
}

/// Runs a program on our own terminal and waits for its end.
///
/// # Errors
/// When it cannot be started, and on Ctrl+C, after it was stopped.
pub fn attached(command: &mut Command) -> Result<ExitStatus> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("{name} could not be started"))?;
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("{name} could not be waited for"))? {
            return Ok(status);
        }
        if let Err(interrupted) = interrupted() {
            // The terminal has told it already; whoever sent us a signal from elsewhere has not.
            let _ =
                Command::new("sh").arg("-c").arg(format!("kill -TERM {}", child.id())).stderr(Stdio::null()).status();
            let _ = child.wait();
            return Err(interrupted);
        }
        clock::pause(Duration::from_millis(50));
    }
}

impl Job {
    /// Starts a program with no input, its output into `log`.
    ///
    /// # Errors
    /// When it cannot be started or the log cannot be written.
    pub fn start(command: &mut Command, log: &Path) -> Result<Job> {
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        let file = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        let (sender, lines) = channel();
        if let Some(pipe) = child.stdout.take() {
            read(pipe, sender.clone(), Line::Out);
        }
        if let Some(pipe) = child.stderr.take() {
            read(pipe, sender, Line::Err);
        }
        Ok(Job { child, lines, log: file, log_path: log.to_path_buf(), tail: VecDeque::new() })
    }

    /// The next line, waiting at most `wait`.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn next(&mut self, wait: Duration) -> Result<Seen> {
        match self.lines.recv_timeout(wait) {
            Ok(line) => self.keep(line).map(Seen::Line),
            Err(RecvTimeoutError::Disconnected) => Ok(Seen::End),
            Err(RecvTimeoutError::Timeout) if self.ended() => match self.lines.recv_timeout(LINGER) {
                Ok(line) => self.keep(line).map(Seen::Line),
                Err(_) => Ok(Seen::End),
            },
            Err(RecvTimeoutError::Timeout) => Ok(Seen::Nothing),
        }
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Takes in what it prints until it ends or `limit` has passed; its status if it ended.
    ///
    /// # Errors
    /// When the log cannot be written, and on Ctrl+C.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let deadline = clock::now() + limit;
        while clock::now() < deadline {
            interrupted()?;
            if matches!(self.next(Duration::from_millis(100))?, Seen::End) {
                return self.child.wait().map(Some).context("the program could not be waited for");
            }
        }
        Ok(None)
    }

    /// Stops it and what it started: SIGTERM to its group, three seconds later SIGKILL.
    pub fn stop(&mut self) {
        if self.ended() {
            return;
        }
        signal_group(self.child.id(), "TERM");
        let deadline = clock::now() + Duration::from_secs(3);
        while !self.ended() {
            if clock::now() > deadline {
                signal_group(self.child.id(), "KILL");
                let _ = self.child.wait();
                return;
            }
            let _ = self.next(Duration::from_millis(50));
        }
    }

    /// Its last lines, for a message.
    pub fn story(&self) -> String {
        Ended { status: None, tail: self.tail.clone(), log: self.log_path.clone() }
            .story()
            .replace("    (stopped: it took longer than its limit)\n", "")
    }

    fn keep(&mut self, line: Line) -> Result<Line> {
        writeln!(self.log, "{}", line.text())
            .with_context(|| format!("{} cannot be written", self.log_path.display()))?;
        // Cargo's messages are for programs; the tail is for people.
        if !line.text().starts_with("{\"reason\":") {
            if self.tail.len() == TAIL {
                self.tail.pop_front();
            }
            self.tail.push_back(line.text().to_owned());
        }
        Ok(line)
    }

    fn into_ended(mut self, status: Option<ExitStatus>) -> Ended {
        Ended { status, tail: std::mem::take(&mut self.tail), log: self.log_path.clone() }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.stop();
    }
}

fn flag() -> &'static Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(|| Arc::new(AtomicBool::new(false)))
}

/// The shell's own `kill` reaches a whole group, and every system with a shell has it.
fn signal_group(id: u32, signal: &str) {
    let _ = Command::new("sh").arg("-c").arg(format!("kill -{signal} -{id}")).stderr(Stdio::null()).status();
}

fn read(pipe: impl Read + Send + 'static, lines: Sender<Line>, wrap: fn(String) -> Line) {
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while matches!(pipe.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
            let text = String::from_utf8_lossy(&bytes);
            if lines.send(wrap(text.trim_end_matches(['\n', '\r']).to_owned())).is_err() {
                return;
            }
            bytes.clear();
        }
    });
}

/// Lines kept to show on failure.
pub const TAIL: usize = 40;

/// How long we listen to a pipe after the program at its other end is gone.
const LINGER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("xtask-{}-{name}.log", std::process::id()))
    }

    #[test]
    fn every_line_is_seen_logged_and_kept() {
        let path = log("lines");
        let mut seen = Vec::new();
        let ended = run(
            Command::new("sh").args(["-c", "echo a; echo b >&2; exit 3"]),
            &path,
            Duration::from_secs(20),
            |line| {
                seen.extend(line.map(|line| line.text().to_owned()));
            },
        )
        .unwrap();
        seen.sort();
        assert_eq!(seen, ["a", "b"]);
        assert_eq!(ended.status.unwrap().code(), Some(3));
        assert!(!ended.ok());
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        let _ = std::fs::remove_file(path);
    }

    #[test]
    fn a_program_past_its_limit_is_stopped_with_its_children() {
        let path = log("limit");
        let started = clock::now();
        let ended =
            run(Command::new("sh").args(["-c", "sleep 600 & sleep 600"]), &path, Duration::from_millis(200), |_| ())
                .unwrap();
        assert!(ended.status.is_none());
        assert!(started.elapsed() < Duration::from_secs(60));
        let _ = std::fs::remove_file(path);
    }

    #[test]
    fn a_pipe_left_open_by_a_child_does_not_hold_us() {
        let path = log("pipe");
        let ended =
            run(Command::new("sh").args(["-c", "sleep 30 & exit 0"]), &path, Duration::from_secs(25), |_| ()).unwrap();
        assert!(ended.ok());
        let _ = std::fs::remove_file(path);
    }
}
