//! Files dropped onto the window: uploaded into the directory that the host gives out, under names that nothing there has, so
//! that a drop never replaces anything.

use crate::files::{self, Ask, Transfers};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use telepane_protocol::path::{MAX_DEPTH, System, is_name};
use telepane_protocol::{Capabilities, Capability, Outcome};

/// What lies in dropped directories at most: more is better packed first.
const MOST: usize = 10_000;
/// Bit 1 of the capability: the directory may be written to.
const WRITES: u64 = 2;

/// What was dropped and is not there yet.
#[derive(Debug, Default)]
pub struct Drops {
    /// Until it is known which names are taken.
    waiting: Vec<PathBuf>,
    /// What is under way: asked for, done, failed.
    asked: usize,
    done: usize,
    failed: usize,
    /// Files and directories counted since nothing was under way.
    count: usize,
    bytes: u64,
    /// Bytes that were moved before.
    before: u64,
    /// The first thing that went wrong.
    why: Option<String>,
}

/// How far dropped files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uploading {
    /// Bytes on the way or there, and in all.
    pub moved: u64,
    /// See there.
    pub bytes: u64,
    /// Files and directories there, and in all.
    pub done: usize,
    /// See there.
    pub asked: usize,
}

impl Uploading {
    /// In percent; never all before it is over.
    pub fn percent(&self) -> u64 {
        (self.moved * 100 / self.bytes.max(1)).min(99)
    }

    /// For people.
    pub fn line(&self) -> String {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let (moved, bytes) = (megabytes(self.moved), megabytes(self.bytes));
        format!("{} %, {moved:.1} of {bytes:.1} MB, {} of {} done", self.percent(), self.done, self.asked)
    }
}

impl Drops {
    /// A file or directory was dropped. `Err` says why nothing comes of it.
    pub fn on_dropped(
        &mut self,
        path: PathBuf,
        host: Option<&Capabilities>,
        files: &mut Transfers,
    ) -> Result<(), String> {
        if host.is_none_or(|c| c.value(Capability::Files) & WRITES == 0) {
            return Err("This host takes no files (telepane-host serve --files DIR)".into());
        }
        if path.file_name().and_then(|n| n.to_str()).is_none_or(|n| !is_name(n, System::Wire)) {
            return Err(format!("{} has a name that cannot be sent", path.display()));
        }
        if self.is_idle() {
            *self = Self { before: files.moved(), ..Self::default() };
        }
        self.waiting.push(path);
        if self.waiting.len() == 1 {
            files.ask(Ask::List(String::new()));
        }
        Ok(())
    }

    /// Something that was asked for is over; a sentence when that was the last.
    pub fn on_result(&mut self, result: files::Result, files: &mut Transfers) -> Option<String> {
        match (&result.ask, result.outcome) {
            (Ask::List(_), Outcome::Fine) => {
                let entries = result.listed.into_iter().flat_map(|(entries, _)| entries);
                let mut taken: BTreeSet<String> = entries.map(|e| e.name).collect();
                for path in std::mem::take(&mut self.waiting) {
                    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
                    let name = free(name, &taken);
                    taken.insert(name.clone());
                    self.upload(&path, name, 1, files);
                }
            }
            (Ask::List(_), outcome) => {
                self.waiting.clear();
                self.fail(&result.text, outcome);
            }
            (_, Outcome::Fine) => self.done += 1,
            (_, outcome) => {
                self.done += 1;
                self.fail(&result.text, outcome);
            }
        }
        if !self.is_idle() {
            return None;
        }
        let done = self.asked - self.failed.min(self.asked);
        Some(match self.why.take() {
            None => format!("Uploaded {}", counted(done)),
            Some(why) => format!("Uploaded {}, {} failed: {why}", counted(done), self.failed),
        })
    }

    /// How far it is, while something is under way.
    pub fn progress(&self, files: &Transfers) -> Option<Uploading> {
        let moved = files.moved().saturating_sub(self.before).min(self.bytes);
        (!self.is_idle()).then_some(Uploading { moved, bytes: self.bytes, done: self.done, asked: self.asked })
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.done >= self.asked
    }

    fn fail(&mut self, text: &str, outcome: Outcome) {
        self.failed += 1;
        tracing::warn!(text, ?outcome, "a dropped file was not uploaded");
        let why = if text.is_empty() { format!("{outcome:?}") } else { text.to_owned() };
        self.why.get_or_insert(why);
    }

    /// Asks for one thing and what is in it. What is linked is left out, for it may lead anywhere.
    fn upload(&mut self, from: &Path, to: String, depth: usize, files: &mut Transfers) {
        self.count += 1;
        let found = match std::fs::symlink_metadata(from) {
            // What was dropped itself may be a link: the person chose it.
            Ok(found) if depth == 1 && found.is_symlink() => std::fs::metadata(from),
            other => other,
        };
        let found = match found {
            Ok(found) if self.count <= MOST && depth <= MAX_DEPTH => found,
            Ok(_) => return self.fail("too much at once; pack it into an archive", Outcome::TooLarge),
            Err(error) => return self.fail(&format!("{}: {error}", from.display()), Outcome::Missing),
        };
        if found.is_file() {
            self.asked += 1;
            self.bytes += found.len();
            files.ask(Ask::Upload { from: from.to_owned(), to });
        } else if found.is_dir() {
            self.asked += 1;
            files.ask(Ask::MakeDir(to.clone()));
            let mut inside: Vec<PathBuf> = match std::fs::read_dir(from) {
                Ok(entries) => entries.filter_map(|e| e.ok().map(|e| e.path())).collect(),
                Err(error) => return self.fail(&format!("{}: {error}", from.display()), Outcome::Denied),
            };
            inside.sort();
            for path in inside {
                match path.file_name().and_then(|n| n.to_str()).filter(|n| is_name(n, System::Wire)) {
                    Some(name) => self.upload(&path, format!("{to}/{name}"), depth + 1, files),
                    None => self.fail(&format!("{}: the name cannot be sent", path.display()), Outcome::BadName),
                }
            }
        }
    }
}

/// A name like this one that is not taken.
fn free(name: &str, taken: &BTreeSet<String>) -> String {
    let (stem, end) = match name.rfind('.').filter(|at| *at > 0) {
        Some(at) => name.split_at(at),
        None => (name, ""),
    };
    let other = |n: usize| if n == 1 { name.to_owned() } else { format!("{stem} ({n}){end}") };
    (1..).map(other).find(|name| !taken.contains(name)).unwrap_or_default()
}

fn counted(files: usize) -> String {
    if files == 1 { "1 file".into() } else { format!("{files} files and directories") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_protocol::{Entry, EntryKind, FileWord};

    fn host(bits: u64) -> Capabilities {
        Capabilities::default().with(Capability::Files, bits)
    }

    fn said(files: &mut Transfers) -> Vec<FileWord> {
        let wishes = std::iter::from_fn(|| files.wish());
        wishes.filter_map(|w| if let files::Wish::Say(word) = w { Some(word) } else { None }).collect()
    }

    fn result(ask: Ask, outcome: Outcome, listed: Option<Vec<&str>>) -> files::Result {
        let entry = |name: &str| Entry { name: name.into(), kind: EntryKind::File, size: 0, modified: 0 };
        let listed = listed.map(|names| (names.into_iter().map(entry).collect(), true));
        files::Result::over(ask, outcome, listed)
    }

    #[test]
    fn a_drop_is_uploaded_under_a_name_that_nothing_has() {
        let dir = std::env::temp_dir().join(format!("telepane-drop-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("d")).unwrap();
        std::fs::write(dir.join("a.txt"), "abc").unwrap();
        std::fs::write(dir.join("d/x"), "12345").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.join("d/link")).unwrap();
        let (mut drops, mut files) = (Drops::default(), Transfers::default());
        files.on_linked();
        drops.on_dropped(dir.join("a.txt"), Some(&host(3)), &mut files).unwrap();
        drops.on_dropped(dir.join("d"), Some(&host(3)), &mut files).unwrap();
        assert!(matches!(said(&mut files)[..], [FileWord::List { .. }]), "the names there are asked for once");
        let listed = result(Ask::List(String::new()), Outcome::Fine, Some(vec!["a.txt", "a (2).txt"]));
        assert_eq!(drops.on_result(listed, &mut files), None);
        let paths: Vec<String> = said(&mut files)
            .into_iter()
            .map(|w| match w {
                FileWord::Put { path, .. } | FileWord::MakeDir { path, .. } => path,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(paths, ["a (3).txt", "d", "d/x"], "nothing is replaced and no link followed");
        let far = drops.progress(&files).unwrap();
        assert_eq!((far.percent(), far.bytes, far.done, far.asked), (0, 8, 0, 3));
        let made = |outcome| result(Ask::MakeDir("d".into()), outcome, None);
        assert_eq!(drops.on_result(made(Outcome::Fine), &mut files), None);
        assert_eq!(drops.on_result(made(Outcome::Fine), &mut files), None);
        assert_eq!(drops.progress(&files).map(|far| far.done), Some(2));
        let end = drops.on_result(made(Outcome::Full), &mut files).unwrap();
        assert_eq!(end, "Uploaded 2 files and directories, 1 failed: Full");
        assert_eq!(drops.progress(&files), None);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_host_that_takes_no_files_is_told_to_the_person() {
        let (mut drops, mut files) = (Drops::default(), Transfers::default());
        files.on_linked();
        for host in [None, Some(&host(0)), Some(&host(1))] {
            assert!(drops.on_dropped("/tmp/x".into(), host, &mut files).unwrap_err().contains("takes no files"));
        }
        let odd = drops.on_dropped("/tmp/a\u{202e}txt.exe".into(), Some(&host(3)), &mut files);
        assert!(odd.unwrap_err().contains("cannot be sent"));
        assert_eq!(said(&mut files), []);
    }
}
