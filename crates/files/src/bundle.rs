//! Files of a clipboard: what a person copied, packed as it is asked for, and unpacked into a directory of its own.
//!
//! What is packed was named by the person at this machine; what lies below it is reached without following a link. What is
//! unpacked was named by the other side: every path is checked, and nothing is written outside the directory.

use crate::{FilesError, Giving, Root, Taking};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use telepane_protocol::bundle::{Head, MOST_ENTRIES, Part, Unbundle};
use telepane_protocol::path::{MAX_DEPTH, System, is_name};
use telepane_protocol::{EntryKind, Fault};

/// What is unpacked of one paste at most: a film, or a disk's image of a small system.
const MOST_BYTES: u64 = 8 << 30;

/// Why a bundle cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is malformed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The disk says no.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// One thing to be packed.
#[derive(Debug)]
enum Item {
    Directory(String),
    /// What the person named, and its name there.
    Top(PathBuf, String),
    /// Below a directory that the person named (which, and the path in it), and its path there.
    Below(usize, String, String),
}

/// Files on their way out.
pub struct Packing {
    roots: Vec<Root>,
    items: VecDeque<Item>,
    file: Option<Giving>,
    /// A header or a hash that goes next.
    ready: VecDeque<u8>,
    size: u64,
    ended: bool,
}

impl Packing {
    /// Looks at what is to be packed. What has a name that may not travel, or is neither file nor directory, is left out.
    ///
    /// # Errors
    /// [`FilesError`]: nothing is left, or it is too much.
    pub fn open(paths: &[PathBuf]) -> Result<Self, FilesError> {
        let (roots, items, file) = (Vec::new(), VecDeque::new(), None);
        let mut all = Self { roots, items, file, ready: VecDeque::new(), size: 0, ended: false };
        let mut names = Vec::<String>::new();
        for path in paths {
            let Some(name) = path.file_name().and_then(|n| n.to_str()).filter(|n| is_name(n, System::Wire)) else {
                continue;
            };
            // Two directories may each have a file of this name.
            if names.iter().any(|n| n == name) {
                continue;
            }
            let Ok(found) = std::fs::metadata(path) else { continue };
            names.push(name.to_owned());
            if found.is_file() {
                all.size += found.len();
                all.items.push_back(Item::Top(path.clone(), name.to_owned()));
            } else if found.is_dir() {
                all.roots.push(Root::open(path).map_err(FilesError::io(name))?);
                all.items.push_back(Item::Directory(name.to_owned()));
                all.look(name, "", 1)?;
            }
        }
        match all.items.is_empty() {
            true => Err(FilesError::WrongKind(String::new())),
            false => Ok(all),
        }
    }

    /// What lies below a directory that was named.
    fn look(&mut self, there: &str, below: &str, depth: usize) -> Result<(), FilesError> {
        let at = self.roots.len() - 1;
        let Some(root) = self.roots.last() else { return Ok(()) };
        for entry in root.list(below)? {
            let (from, to) = (join(below, &entry.name), format!("{there}/{}", entry.name));
            if self.items.len() >= MOST_ENTRIES || depth >= MAX_DEPTH {
                return Err(FilesError::TooLarge(there.to_owned()));
            }
            match entry.kind {
                EntryKind::File => {
                    self.size += entry.size;
                    self.items.push_back(Item::Below(at, from, to));
                }
                EntryKind::Directory => {
                    self.items.push_back(Item::Directory(to.clone()));
                    self.look(&to, &from, depth + 1)?;
                }
                EntryKind::Other => {}
            }
        }
        Ok(())
    }

    /// How many bytes of contents there will be, if nothing changes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The next bytes, at most `room`, and whether they are the last.
    ///
    /// # Errors
    /// [`FilesError`] when a file cannot be read or changed meanwhile; the rest is of no use then.
    pub fn read(&mut self, room: usize) -> Result<(Vec<u8>, bool), FilesError> {
        let mut out = Vec::new();
        while out.len() < room && !(self.ended && self.ready.is_empty()) {
            if !self.ready.is_empty() {
                let n = self.ready.len().min(room - out.len());
                out.extend(self.ready.drain(..n));
            } else if let Some(file) = &mut self.file {
                out.extend(file.read(room - out.len())?);
                if file.is_done() {
                    self.ready.extend(file.sum()?);
                    self.file = None;
                }
            } else {
                let head = self.next()?;
                self.ready.extend(head.encode());
            }
        }
        Ok((out, self.ended && self.ready.is_empty()))
    }

    fn next(&mut self) -> Result<Head, FilesError> {
        let (file, path) = match self.items.pop_front() {
            None => {
                self.ended = true;
                return Ok(Head::End);
            }
            Some(Item::Directory(path)) => return Ok(Head::Directory { path }),
            Some(Item::Top(from, to)) => (Giving::open_local(&from)?, to),
            Some(Item::Below(root, from, to)) => match self.roots.get(root) {
                Some(root) => (Giving::open(root, &from)?, to),
                None => return Err(FilesError::BadName(from)),
            },
        };
        let stat = file.stat();
        self.file = Some(file);
        Ok(Head::File { path, size: stat.size, modified: stat.modified, executable: stat.executable })
    }
}

/// Files on their way in.
pub struct Unpacking {
    base: PathBuf,
    root: Root,
    unbundle: Unbundle,
    file: Option<Taking>,
    tops: Vec<String>,
    announced: u64,
}

impl Unpacking {
    /// Into this directory, which is there and empty.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn begin(base: &Path) -> std::io::Result<Self> {
        let root = Root::open(base)?;
        let (unbundle, tops) = (Unbundle::default(), Vec::new());
        Ok(Self { base: base.to_owned(), root, unbundle, file: None, tops, announced: 0 })
    }

    /// The next bytes.
    ///
    /// # Errors
    /// [`BundleError`], after which nothing of it is to be used.
    // spec: K-60, K-61
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        for part in self.unbundle.push(bytes)? {
            match part {
                Part::Head(Head::End) => {}
                Part::Head(Head::Directory { path }) => {
                    self.root.make_dir(&path)?;
                    self.top(&path);
                }
                Part::Head(Head::File { path, size, modified, executable }) => {
                    self.announced = self.announced.saturating_add(size);
                    if self.announced > MOST_BYTES {
                        return Err(FilesError::TooLarge(path).into());
                    }
                    self.file = Some(Taking::begin(&self.root, &path, size, modified, executable)?);
                    self.top(&path);
                }
                Part::Bytes(bytes) => {
                    if let Some(file) = &mut self.file {
                        file.write(&bytes)?;
                    }
                }
                Part::Sum(sum) => {
                    if let Some(file) = self.file.take() {
                        file.finish(&sum)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything came: what was copied, where it is now.
    ///
    /// # Errors
    /// It ended too early.
    pub fn finish(self) -> Result<Vec<PathBuf>, BundleError> {
        match self.unbundle.is_over() {
            true => Ok(self.tops.iter().map(|name| self.base.join(name)).collect()),
            false => Err(Fault::Truncated.into()),
        }
    }

    fn top(&mut self, path: &str) {
        let name = path.split('/').next().unwrap_or(path);
        if self.tops.last().is_none_or(|last| last != name) && !self.tops.iter().any(|top| top == name) {
            self.tops.push(name.to_owned());
        }
    }
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
