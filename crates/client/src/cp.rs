//! `telepane cp`: copies files to or from the directory that a host gives out, as scp does.

use crate::cli::Cp;
use crate::clock::Clock;
use crate::connect;
use crate::driver::{Phase, exit};
use crate::files::{self, Ask};
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use telepane_model::Span;
use telepane_protocol::{EntryKind, Outcome};

/// A host that has not answered for so long is not waited for any longer.
const PATIENCE: Span = Span::secs(600);
/// How often the loop looks around by itself.
const LOOK: Span = Span::millis(200);
/// Directories inside one another at most, as on the wire.
const DEPTH: usize = telepane_protocol::path::MAX_DEPTH;

/// One side of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Side {
    Here(PathBuf),
    /// The host as `connect` takes it, and the path there.
    There(String, String),
}

/// Copies; the exit code.
pub fn run(options: &Cp) -> Result<i32> {
    let sides: Vec<Side> = options.paths.iter().map(|p| side(p, cfg!(windows))).collect();
    let Some((target, sources)) = sides.split_last() else { return Ok(usage("name what to copy and where to")) };
    let (host, mut plan) = match plan(target, sources, options.recursive) {
        Ok(plan) => plan,
        Err(why) => return Ok(usage(&why)),
    };
    let clock = Clock::new();
    let mut to = match connect::target(options.connect(&host))? {
        Ok((target, _)) => target,
        Err(code) => return Ok(code),
    };
    to.files_only = true;
    let (mut driver, wakes) = connect::drive(to, clock)?;
    plan.begin(&mut driver.files);
    let bar = bar(options);
    let began = clock.now();
    loop {
        let wake_in = driver.turn().unwrap_or(LOOK).min(LOOK);
        while let Some(result) = driver.files.result() {
            plan.on_result(result, &mut driver.files, options, &bar);
        }
        bar.set_length(plan.total);
        bar.set_position(driver.files.moved().min(plan.total));
        if driver.silent().is_some_and(|s| s > PATIENCE) {
            bar.abandon();
            eprintln!(
                "telepane: the host has not answered for {} s; run the same again to go on",
                PATIENCE.as_millis_f64() / 1e3
            );
            return Ok(exit::SESSION);
        }
        if let Phase::Over(code, text) = &driver.phase {
            bar.finish_and_clear();
            if !text.is_empty() {
                eprintln!("telepane: {text}");
            }
            if *code == exit::FINE && plan.failed == 0 && !plan.is_done(&driver.files) {
                return Ok(exit::SESSION);
            }
            if options.json {
                println!("{}", plan.summary(clock.now().since(began)));
            }
            return Ok(if *code == exit::FINE { plan.code() } else { *code });
        }
        if plan.is_done(&driver.files) {
            driver.leave();
            continue;
        }
        match wakes.recv_timeout(Duration::from_micros(wake_in.as_micros())) {
            Ok(wake) => {
                driver.on_wake(wake);
                while let Ok(wake) = wakes.try_recv() {
                    driver.on_wake(wake);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(exit::SESSION),
        }
    }
}

fn usage(why: &str) -> i32 {
    connect::usage(&why)
}

/// A path with a colon before any slash is on a host, as scp has it; on Windows one letter before it is a drive.
fn side(text: &str, windows: bool) -> Side {
    let here = || Side::Here(PathBuf::from(text));
    let head = text.split(|c| c == '/' || windows && c == '\\').next().unwrap_or_default();
    if windows && matches!(head.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return here();
    }
    let (host, rest) = match text.strip_prefix('[').and_then(|t| t.split_once("]:")) {
        Some((address, rest)) => (format!("[{address}]"), rest),
        None if head.contains(':') => match text.split_once(':') {
            Some((host, rest)) if !host.is_empty() => (host.to_owned(), rest),
            _ => return here(),
        },
        None => return here(),
    };
    match rest.split_once(':') {
        Some((port, path)) if port.parse::<u16>().is_ok() => Side::There(format!("{host}:{port}"), path.to_owned()),
        _ => Side::There(host, rest.to_owned()),
    }
}

/// What has to be copied, as far as it is known.
struct Plan {
    upload: bool,
    recursive: bool,
    /// Uploads: what is here. Downloads: what is there.
    sources: Vec<String>,
    /// The path there, or the directory here.
    target: String,
    /// Downloads: the directory here that everything goes below, and the name a single file gets.
    root: PathBuf,
    name: Option<String>,
    /// Directories there that are being looked into, and where each goes below `root`; `None`: as the source itself is named.
    looking: VecDeque<(String, Option<String>)>,
    /// Bytes in all, as far as known.
    total: u64,
    copied: u64,
    bytes: u64,
    failed: u64,
    denied: bool,
}

fn plan(target: &Side, sources: &[Side], recursive: bool) -> std::result::Result<(String, Plan), String> {
    let mut plan = Plan {
        upload: matches!(target, Side::There(..)),
        recursive,
        sources: Vec::new(),
        target: String::new(),
        root: PathBuf::new(),
        name: None,
        looking: VecDeque::new(),
        total: 0,
        copied: 0,
        bytes: 0,
        failed: 0,
        denied: false,
    };
    let mut hosts = Vec::new();
    for source in sources {
        match source {
            Side::Here(path) if plan.upload => {
                let found = std::fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
                if found.is_dir() && !recursive {
                    return Err(format!("{} is a directory; copy it with -r", path.display()));
                }
                let text = path.to_str().ok_or_else(|| format!("{} is no UTF-8 name", path.display()))?;
                plan.sources.push(text.to_owned());
            }
            Side::There(host, path) if !plan.upload => {
                travels(path)?;
                hosts.push(host.clone());
                plan.sources.push(path.clone());
            }
            _ => return Err("one side must be on a host (HOST:PATH) and the other here".into()),
        }
    }
    match target {
        Side::There(host, path) => {
            travels(path)?;
            hosts.push(host.clone());
            plan.target = path.clone();
        }
        Side::Here(path) if path.is_dir() => plan.root.clone_from(path),
        Side::Here(path) => {
            let many = sources.len() > 1 || path.to_string_lossy().ends_with(std::path::is_separator);
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let name = path.file_name().and_then(|n| n.to_str());
            match name {
                Some(name) if !many && parent.is_dir() => {
                    plan.root = parent.to_owned();
                    plan.name = Some(name.to_owned());
                }
                _ => return Err(format!("{} is not a directory", path.display())),
            }
        }
    }
    hosts.dedup();
    match &hosts[..] {
        [host] => Ok((host.clone(), plan)),
        _ => Err("all sources must be on one host".into()),
    }
}

/// Paths there are relative.
fn travels(path: &str) -> std::result::Result<(), String> {
    if path.starts_with('/') {
        return Err(format!("{path}: paths on a host are relative to the directory it gives out"));
    }
    telepane_protocol::path::names(path, telepane_protocol::path::System::Wire)
        .map(|_| ())
        .map_err(|fault| format!("{path}: {fault}"))
}

fn join(directory: &str, name: &str) -> String {
    match directory.trim_end_matches('/') {
        "" | "." => name.to_owned(),
        directory => format!("{directory}/{name}"),
    }
}

fn last_name(path: &str) -> Option<&str> {
    path.trim_end_matches('/').rsplit('/').next().filter(|n| !n.is_empty() && *n != "." && *n != "..")
}

impl Plan {
    /// Asks what has to be known first.
    fn begin(&mut self, files: &mut files::Transfers) {
        if self.upload {
            files.ask(Ask::List(self.target.clone()));
        } else {
            for source in self.sources.clone() {
                self.looking.push_back((source.clone(), None));
                files.ask(Ask::List(source));
            }
        }
    }

    fn is_done(&self, files: &files::Transfers) -> bool {
        files.is_idle()
    }

    fn code(&self) -> i32 {
        match self.failed {
            0 => exit::FINE,
            _ if self.denied => exit::NOT_TRUSTED,
            _ => exit::SESSION,
        }
    }

    fn on_result(&mut self, result: files::Result, files: &mut files::Transfers, options: &Cp, bar: &ProgressBar) {
        let asked_to = self.upload && matches!(&result.ask, Ask::List(_));
        match (&result.ask, &result.listed) {
            // The target of an upload: a directory, a file, or not there yet.
            (Ask::List(_), _) if asked_to => match (result.outcome, &result.listed) {
                (Outcome::Fine, Some((_, directory))) => self.upload_into(*directory, files, bar),
                (Outcome::Missing, _) => self.upload_into(false, files, bar),
                // A right to upload alone is enough; then the path is taken as it is written.
                (Outcome::Denied, _) => {
                    self.upload_into(self.target.ends_with('/') || self.target.is_empty(), files, bar)
                }
                _ => self.fail(&self.target.clone(), result.outcome, &result.text, options, bar),
            },
            (Ask::List(path), Some((entries, directory))) => {
                let at = self.looking.iter().position(|(p, _)| p == path);
                let Some((path, below)) = at.and_then(|i| self.looking.remove(i)) else { return };
                let entries = entries.clone();
                self.download(&path, below, &entries, *directory, files, options, bar);
            }
            (Ask::List(path), None) => {
                self.looking.retain(|(p, _)| p != path);
                self.fail(&path.clone(), result.outcome, &result.text, options, bar);
            }
            (Ask::MakeDir(path), _) => {
                if result.outcome != Outcome::Fine {
                    self.fail(&path.clone(), result.outcome, &result.text, options, bar);
                }
            }
            (Ask::Upload { to: path, .. } | Ask::Download { from: path, .. }, _) => match &result.file {
                Some(file) => {
                    self.copied += 1;
                    self.bytes += file.size;
                    // What was there already need not be moved.
                    self.total = self.total.saturating_sub(file.held);
                    if options.json {
                        let sum: String = file.sha256.iter().map(|b| format!("{b:02x}")).collect();
                        let line = serde_json::json!({
                            "path": path, "bytes": file.size, "resumed_at": file.held, "sha256": sum, "outcome": "fine",
                        });
                        println!("{line}");
                    }
                }
                None => self.fail(&path.clone(), result.outcome, &result.text, options, bar),
            },
        }
    }

    fn fail(&mut self, path: &str, outcome: Outcome, text: &str, options: &Cp, bar: &ProgressBar) {
        self.failed += 1;
        self.denied |= outcome == Outcome::Denied;
        let word = format!("{outcome:?}").to_lowercase();
        if options.json {
            println!("{}", serde_json::json!({ "path": path, "outcome": word, "text": text }));
        }
        let why = if text.is_empty() { &word } else { text };
        // Escaped: the host's words are not to be trusted with a terminal.
        bar.suspend(|| eprintln!("telepane: {}: {}", path.escape_debug(), why.escape_debug()));
    }

    fn summary(&self, took: Span) -> serde_json::Value {
        let seconds = took.as_millis_f64() / 1e3;
        serde_json::json!({
            "files": self.copied, "failed": self.failed, "bytes": self.bytes, "seconds": seconds,
            "bytes_per_second": (self.bytes as f64 / seconds.max(1e-6)) as u64,
        })
    }

    fn upload_into(&mut self, directory: bool, files: &mut files::Transfers, bar: &ProgressBar) {
        if !directory && (self.sources.len() > 1 || self.target.ends_with('/')) {
            self.failed += 1;
            bar.suspend(|| eprintln!("telepane: {} is not a directory on the host", self.target.escape_debug()));
            return;
        }
        for source in self.sources.clone() {
            let path = PathBuf::from(&source);
            let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            let name = last_name(&source).or_else(|| real.file_name().and_then(|n| n.to_str()));
            let to = match name {
                Some(name) if directory => join(&self.target, name),
                _ => self.target.clone(),
            };
            self.upload(&path, to, 0, files, bar);
        }
    }

    fn upload(&mut self, from: &Path, to: String, depth: usize, files: &mut files::Transfers, bar: &ProgressBar) {
        let odd = |plan: &mut Self, why: &str| {
            plan.failed += 1;
            bar.suspend(|| eprintln!("telepane: {}: {why}", from.display()));
        };
        let found = match std::fs::metadata(from) {
            Ok(found) => found,
            Err(error) => return odd(self, &error.to_string()),
        };
        if found.is_file() {
            self.total += found.len();
            files.ask(Ask::Upload { from: from.to_owned(), to });
            return;
        }
        // A link to a directory may lead round in a circle.
        let link = depth > 0 && from.is_symlink();
        if !found.is_dir() || link || depth > DEPTH {
            return odd(self, "left out: neither a file nor a directory");
        }
        if last_name(&to).is_some() {
            files.ask(Ask::MakeDir(to.clone()));
        }
        let entries = match std::fs::read_dir(from) {
            Ok(entries) => entries,
            Err(error) => return odd(self, &error.to_string()),
        };
        let mut names: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.file_name())).collect();
        names.sort();
        for name in names {
            match name.to_str() {
                Some(text) => self.upload(&from.join(text), join(&to, text), depth + 1, files, bar),
                None => odd(self, "left out: a name in it is no UTF-8"),
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a listing is answered with")]
    fn download(
        &mut self,
        path: &str,
        below: Option<String>,
        entries: &[telepane_protocol::Entry],
        directory: bool,
        files: &mut files::Transfers,
        options: &Cp,
        bar: &ProgressBar,
    ) {
        if !directory {
            let Some(entry) = entries.first().filter(|e| e.kind == EntryKind::File) else {
                return self.fail(path, Outcome::WrongKind, "is no file that can be copied", options, bar);
            };
            let named = self.name.clone().or_else(|| last_name(path).map(str::to_owned));
            self.total += entry.size;
            files.ask(self.ask(path.to_owned(), named.unwrap_or_default()));
            return;
        }
        if !self.recursive {
            return self.fail(path, Outcome::WrongKind, "is a directory; copy it with -r", options, bar);
        }
        let below = below
            .unwrap_or_else(|| self.name.clone().unwrap_or_else(|| last_name(path).unwrap_or_default().to_owned()));
        if below.matches('/').count() >= DEPTH {
            return self.fail(path, Outcome::TooLarge, "too many directories inside one another", options, bar);
        }
        let made = telepane_files::Root::open(&self.root)
            .map_err(|e| (Outcome::Other, e.to_string()))
            .and_then(|root| root.make_dir(&below).map_err(|e| (e.outcome(), e.to_string())));
        if let Err((outcome, text)) = made {
            return self.fail(path, outcome, &text, options, bar);
        }
        for entry in entries {
            let (from, to) = (join(path, &entry.name), join(&below, &entry.name));
            match entry.kind {
                EntryKind::File => {
                    self.total += entry.size;
                    files.ask(self.ask(from, to));
                }
                EntryKind::Directory => {
                    self.looking.push_back((from.clone(), Some(to)));
                    files.ask(Ask::List(from));
                }
                EntryKind::Other => self.fail(&from, Outcome::WrongKind, "left out: a link or a device", options, bar),
            }
        }
    }

    fn ask(&self, from: String, to: String) -> Ask {
        Ask::Download { from, root: self.root.clone(), to, left: (0, 0, 0) }
    }
}

fn bar(options: &Cp) -> ProgressBar {
    let shown = !options.quiet && !options.json && std::io::stderr().is_terminal();
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let style = ProgressStyle::with_template("{bytes:>10} of {total_bytes:10} {bar:30} {bytes_per_sec:>12} {eta:>5}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(host: &str, path: &str) -> Side {
        Side::There(host.into(), path.into())
    }

    #[test]
    fn the_sides_are_told_apart_as_scp_does() {
        for (text, expected) in [
            ("desk:a/b", there("desk", "a/b")),
            ("desk:", there("desk", "")),
            ("desk:8443:a", there("desk:8443", "a")),
            ("[::1]:a", there("[::1]", "a")),
            ("[::1]:99:a:b", there("[::1]:99", "a:b")),
            ("desk:99999:a", there("desk", "99999:a")),
        ] {
            assert_eq!([side(text, false), side(text, true)], [expected.clone(), expected], "{text}");
        }
        for text in ["a", "./a:b", "/x:y", "dir/a:b", ":a"] {
            assert_eq!([side(text, false), side(text, true)], [(); 2].map(|()| Side::Here(text.into())), "{text}");
        }
        for text in ["C:\\a\\b", "z:/a", "c:a", "C:", ".\\a:b", "\\\\server\\share\\a:b"] {
            assert_eq!(side(text, true), Side::Here(text.into()), "{text}");
        }
        assert_eq!(side("c:a", false), there("c", "a"));
    }

    #[test]
    fn what_cannot_be_copied_is_said_before_connecting() {
        let here = || Side::Here(std::env::temp_dir());
        let wrong =
            |target: Side, sources: &[Side], recursive| plan(&target, sources, recursive).map(|_| ()).unwrap_err();
        assert!(wrong(here(), &[here()], true).contains("HOST:PATH"));
        assert!(wrong(there("a", "x"), &[there("b", "y")], false).contains("HOST:PATH"));
        assert!(wrong(here(), &[there("a", "x"), there("b", "y")], false).contains("one host"));
        assert!(wrong(there("a", "x"), &[here()], false).contains("-r"));
        assert!(wrong(there("a", "/etc"), &[here()], true).contains("relative"));
        assert!(wrong(here(), &[there("a", "../x")], false).contains("climbs"));
        assert!(wrong(Side::Here("/nonexistent/".into()), &[there("a", "x")], false).contains("not a directory"));
        assert!(wrong(there("a", "x"), &[Side::Here("/nonexistent".into())], false).contains("nonexistent"));
    }
}
