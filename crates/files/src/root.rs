//! A directory that is given out, or downloaded into, and everything below it.
//!
//! Where the system can (`openat2` with `RESOLVE_BENEATH`), it keeps every step below the directory itself, whatever is
//! renamed or linked meanwhile. Elsewhere each step is opened by itself from the one before, and none may be a link. A link
//! is never followed, not even one that stays inside: what may be reached is what can be seen.

use crate::beneath::Beneath;
use crate::{FilesError, Stat};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use telepane_protocol::path::{self, System};
use telepane_protocol::{Entry, EntryKind};

/// Bytes that the entries told of one directory take at most: the control stream's queue holds 1 MiB, and what goes beside
/// them must have room.
// spec: X-6
const MOST_LISTED: usize = 512 << 10;
/// Bytes of an entry beside its name, at most: kind, size, time, the name's length.
const ENTRY: usize = 24;

/// See the module. Cheap to clone: it is one descriptor.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    beneath: Beneath,
}

impl Root {
    /// The directory at `path`, which must exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        Ok(Self { dir: rustix::fs::openat(CWD, path, flags, Mode::empty())?, beneath: Beneath::default() })
    }

    /// The same, but as where the system offers no help.
    #[cfg(test)]
    pub(crate) fn open_walking(path: &Path) -> io::Result<Self> {
        let root = Self::open(path)?;
        root.beneath.never();
        Ok(root)
    }

    /// What is at `path`.
    pub fn stat(&self, path: &str) -> Result<Stat, FilesError> {
        let (dir, name) = self.parent(path)?;
        let Some(name) = name else {
            return Ok(Stat { kind: EntryKind::Directory, size: 0, modified: 0, executable: false });
        };
        let found = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(wrong(path))?;
        Ok(stat_of(&found))
    }

    /// Opens a file for reading.
    pub fn read(&self, path: &str) -> Result<(File, Stat), FilesError> {
        // Without NONBLOCK a pipe would be waited for.
        let fd = self.reach(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let stat = stat_of(&rustix::fs::fstat(&fd).map_err(wrong(path))?);
        if stat.kind != EntryKind::File {
            return Err(FilesError::WrongKind(path.to_owned()));
        }
        Ok((File::from(fd), stat))
    }

    /// What a directory holds, or the one file that is named, in the order of names. What has a name that may not travel is
    /// left out.
    pub fn list(&self, path: &str) -> Result<Vec<Entry>, FilesError> {
        let stat = self.stat(path)?;
        if stat.kind != EntryKind::Directory {
            let name = path.rsplit('/').next().unwrap_or(path).to_owned();
            return Ok(vec![Entry { name, kind: stat.kind, size: stat.size, modified: stat.modified }]);
        }
        let dir = self.reach(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let (mut entries, mut listed) = (Vec::new(), 0);
        for found in Dir::read_from(&dir).map_err(wrong(path))? {
            let found = found.map_err(wrong(path))?;
            let Ok(name) = found.file_name().to_str() else { continue };
            if !path::is_name(name, System::Wire) || crate::take::is_temporary(name) {
                continue;
            }
            let Ok(found) = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let stat = stat_of(&found);
            listed += name.len() + ENTRY;
            if listed > MOST_LISTED {
                return Err(FilesError::TooLarge(path.to_owned()));
            }
            entries.push(Entry { name: name.to_owned(), kind: stat.kind, size: stat.size, modified: stat.modified });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Makes a directory; one that is there is fine.
    pub fn make_dir(&self, path: &str) -> Result<(), FilesError> {
        self.called_so_above(path)?;
        self.make(path)
    }

    /// Makes the directories above what `path` names; none of them when one of its names cannot be used.
    pub fn make_parents(&self, path: &str) -> Result<(), FilesError> {
        names(path)?;
        path.match_indices('/').try_for_each(|(end, _)| self.make(path.get(..end).unwrap_or(path)))
    }

    /// Making it is the question whether something has the name already, so nothing can come between the two.
    fn make(&self, path: &str) -> Result<(), FilesError> {
        let (dir, Some(name)) = self.parent(path)? else { return Ok(()) };
        match rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o777)) {
            Err(Errno::EXIST) => {
                called_so(&dir, name, path)?;
                let is_dir = self.stat(path)?.kind == EntryKind::Directory;
                is_dir.then_some(()).ok_or_else(|| FilesError::WrongKind(path.to_owned()))
            }
            made => made.map_err(wrong(path)),
        }
    }

    /// Whether every directory above what `path` names is called as it says.
    pub(crate) fn called_so_above(&self, path: &str) -> Result<(), FilesError> {
        path.match_indices('/').try_for_each(|(end, _)| {
            let (dir, name) = self.parent(path.get(..end).unwrap_or(path))?;
            name.map_or(Ok(()), |name| called_so(&dir, name, path))
        })
    }

    /// The directory that holds what `path` names, and its name there; no name for the root itself.
    pub(crate) fn parent<'p>(&self, path: &'p str) -> Result<(OwnedFd, Option<&'p str>), FilesError> {
        let mut names = names(path)?;
        let last = names.pop();
        Ok((self.directory(path, &names)?, last))
    }

    fn reach(&self, path: &str, flags: OFlags) -> Result<OwnedFd, FilesError> {
        let (dir, name) = self.parent(path)?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&dir, name.unwrap_or("."), flags, Mode::empty()).map_err(wrong(path))
    }

    fn directory(&self, path: &str, names: &[&str]) -> Result<OwnedFd, FilesError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        if names.is_empty() {
            return self.dir.try_clone().map_err(FilesError::io(path));
        }
        match self.beneath.open(&self.dir, names, flags) {
            Some(opened) => opened.map_err(wrong(path)),
            None => self.walk(path, names, flags),
        }
    }

    fn walk(&self, path: &str, names: &[&str], flags: OFlags) -> Result<OwnedFd, FilesError> {
        let mut at = self.dir.as_fd().try_clone_to_owned().map_err(FilesError::io(path))?;
        for name in names {
            at = rustix::fs::openat(&at, *name, flags, Mode::empty()).map_err(wrong(path))?;
        }
        Ok(at)
    }
}

/// Whether what answers to `name` in a directory, if anything does, is called exactly so. Some file systems answer to other names as
/// well, of other case or with a letter's mark written apart: by such a name nothing that is there may be replaced, or written below.
// spec: X-13
pub(crate) fn called_so(dir: &OwnedFd, name: &str, path: &str) -> Result<(), FilesError> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        answers => answers.map_err(wrong(path))?,
    };
    // For the person's sake: which name answers only the file system knows.
    let folded = name.to_lowercase();
    let mut other = None;
    // What is replaced while a directory is read need not be seen: a second look before it is refused.
    for _ in 0..2 {
        for there in Dir::read_from(dir).map_err(wrong(path))? {
            let there = there.map_err(wrong(path))?;
            if there.file_name().to_bytes() == name.as_bytes() {
                return Ok(());
            }
            if let Ok(there) = there.file_name().to_str()
                && there.to_lowercase() == folded
            {
                other = Some(there.to_owned());
            }
        }
    }
    Err(FilesError::Alike(path.to_owned(), other.unwrap_or_else(|| "another name".to_owned())))
}

/// The names of a path, if this system takes each of them.
// spec
fn names(path: &str) -> Result<Vec<&str>, FilesError> {
    let names = path::names(path, System::HERE).map_err(|_| FilesError::BadName(path.to_owned()))?;
    // What is on its way is nobody's to name.
    if names.iter().any(|n| crate::take::is_temporary(n)) {
        return Err(FilesError::BadName(path.to_owned()));
    }
    Ok(names)
}

/// A link in the way is said to be of the wrong kind.
pub(crate) fn wrong(path: &str) -> impl FnOnce(Errno) -> FilesError + '_ {
    move |errno| match errno {
        Errno::LOOP | Errno::XDEV | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO => {
            FilesError::WrongKind(path.to_owned())
        }
        other => FilesError::Io { path: path.to_owned(), why: other.into() },
    }
}

pub(crate) fn stat_of(s: &rustix::fs::Stat) -> Stat {
    let kind = match FileType::from_raw_mode(s.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        _ => EntryKind::Other,
    };
    #[allow(clippy::unnecessary_cast, reason = "its type differs between systems")]
    let nanos = s.st_mtime_nsec as u64;
    let modified = u64::try_from(s.st_mtime).unwrap_or(0).saturating_mul(1_000_000) + nanos / 1_000;
    let size = if kind == EntryKind::File { u64::try_from(s.st_size).unwrap_or(0) } else { 0 };
    Stat { kind, size, modified, executable: s.st_mode & 0o100 != 0 }
}
