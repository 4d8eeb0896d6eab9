//! A file's contents on their way in: a temporary name beside the place they are for, then hash, fsync, rename. What is
//! there under the name is untouched until the new contents are whole and proven, and a broken transfer can go on where
//! it stopped.

use crate::root::{called_so, wrong};
use crate::{FilesError, Root};
use ring::digest::{Context, SHA256};
use rustix::fs::{AtFlags, Mode, OFlags, RawMode, Timespec, Timestamps};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use telepane_protocol::EntryKind;

/// A file that is being received.
#[derive(Debug)]
pub struct Taking {
    path: String,
    dir: OwnedFd,
    name: String,
    temporary: String,
    file: File,
    size: u64,
    modified: u64,
    executable: bool,
    at: u64,
    kept: bool,
}

/// Temporary names begin and end so; nobody else's request may name or see one.
const BEGIN: &str = ".";
const END: &str = ".telepane-part";

/// Whether this is the name of a file that is on its way.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with(BEGIN) && name.ends_with(END)
}

impl Taking {
    /// Begins, or goes on with, a file of `size` bytes that its sender changed last at `modified`. What an earlier try at
    /// the same file (name, size and time) left is kept.
    // spec: X-9
    pub fn begin(root: &Root, path: &str, size: u64, modified: u64, executable: bool) -> Result<Self, FilesError> {
        let (dir, name) = root.parent(path)?;
        let Some(name) = name else { return Err(FilesError::WrongKind(path.to_owned())) };
        root.called_so_above(path)?;
        if let Ok(there) = root.stat(path)
            && there.kind != EntryKind::File
        {
            return Err(FilesError::WrongKind(path.to_owned()));
        }
        called_so(&dir, name, path)?;
        // A name derived from the whole identity, so that two tries at the same file meet and others never do.
        let mut hash = Context::new(&SHA256);
        hash.update(name.as_bytes());
        [size, modified].iter().for_each(|v| hash.update(&v.to_le_bytes()));
        let id: String = hash.finish().as_ref().iter().take(12).map(|b| format!("{b:02x}")).collect();
        let temporary = format!("{BEGIN}{id}{END}");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::openat(&dir, &temporary, flags, Mode::from_raw_mode(0o600)).map_err(wrong(path))?;
        let found = rustix::fs::fstat(&fd).map_err(wrong(path))?;
        // Something else under this name, or a second name for it, is no leftover of ours.
        if crate::root::stat_of(&found).kind != EntryKind::File || found.st_nlink != 1 {
            return Err(FilesError::WrongKind(path.to_owned()));
        }
        // One transfer at a time writes it.
        rustix::fs::flock(&fd, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(wrong(path))?;
        let mut file = File::from(fd);
        let there = u64::try_from(found.st_size).unwrap_or(0);
        let at = if there > size { 0 } else { there };
        if there > size {
            file.set_len(0).map_err(FilesError::io(path))?;
        }
        file.seek(SeekFrom::Start(at)).map_err(FilesError::io(path))?;
        let (path, name) = (path.to_owned(), name.to_owned());
        Ok(Self { path, dir, name, temporary, file, size, modified, executable, at, kept: true })
    }

    /// What it is for.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// So many bytes are here from an earlier try.
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// The earlier try was of something else: from the beginning.
    pub fn start_over(&mut self) -> Result<(), FilesError> {
        self.file.set_len(0).map_err(FilesError::io(&self.path))?;
        self.file.seek(SeekFrom::Start(0)).map_err(FilesError::io(&self.path))?;
        self.at = 0;
        Ok(())
    }

    /// The next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FilesError> {
        self.at += bytes.len() as u64;
        if self.at > self.size {
            self.kept = false;
            return Err(FilesError::Corrupt(self.path.clone()));
        }
        self.file.write_all(bytes).map_err(FilesError::io(&self.path))
    }

    /// Everything came, and should have this hash: it takes its place, or is thrown away.
    // spec: X-10
    pub fn finish(mut self, sha256: &[u8; 32]) -> Result<(), FilesError> {
        self.kept = false;
        if self.at != self.size || self.hash()? != *sha256 {
            return Err(FilesError::Corrupt(self.path.clone()));
        }
        let mode = if self.executable { 0o777 } else { 0o666 };
        let io = |errno| wrong(&self.path)(errno);
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode & !umask())).map_err(io)?;
        let at =
            Timespec { tv_sec: (self.modified / 1_000_000) as _, tv_nsec: (self.modified % 1_000_000 * 1_000) as _ };
        // A time the file system cannot hold is not worth losing the file.
        let _ = rustix::fs::futimens(&self.file, &Timestamps { last_access: at, last_modification: at });
        self.file.sync_all().map_err(FilesError::io(&self.path))?;
        match put_new(&self.dir, &self.temporary, &self.name) {
            // Also where another one came meanwhile: what has this name is replaced, what only answers to it is not.
            Err(Errno::EXIST) => {
                called_so(&self.dir, &self.name, &self.path)?;
                rustix::fs::renameat(&self.dir, &self.temporary, &self.dir, &self.name).map_err(io)?;
            }
            put => put.map_err(io)?,
        }
        // The directory's own entry is on the disk with this; where it cannot be asked for, the system does it later.
        let _ = rustix::fs::fsync(&self.dir);
        // What has the name now is not ours to remove.
        self.kept = true;
        Ok(())
    }

    /// It will not be gone on with: what came is thrown away.
    pub fn abandon(mut self) {
        self.kept = false;
    }

    /// Read back from the disk, because that is what will be there; an earlier try's part is in it too.
    fn hash(&mut self) -> Result<[u8; 32], FilesError> {
        let mut hash = Context::new(&SHA256);
        self.file.seek(SeekFrom::Start(0)).map_err(FilesError::io(&self.path))?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            match self.file.read(&mut buffer).map_err(FilesError::io(&self.path))? {
                0 => break,
                n => hash.update(buffer.get(..n).unwrap_or_default()),
            }
        }
        let mut sum = [0; 32];
        sum.copy_from_slice(hash.finish().as_ref());
        Ok(sum)
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        if !self.kept {
            // Whoever cleans up finds it by its name.
            let _ = rustix::fs::unlinkat(&self.dir, &self.temporary, AtFlags::empty());
        }
    }
}

/// Renames where nothing may answer to the new name: the file system says so itself, in the same step.
// spec: X-13
fn put_new(dir: &OwnedFd, from: &str, to: &str) -> Result<(), Errno> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    match rustix::fs::renameat_with(dir, from, dir, to, rustix::fs::RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
        put => return put,
    }
    put_held(dir, from, to)
}

/// The same where the file system knows no such step: an empty file holds the name for a moment.
pub(crate) fn put_held(dir: &OwnedFd, from: &str, to: &str) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    drop(rustix::fs::openat(dir, to, flags, Mode::from_raw_mode(0o600))?);
    rustix::fs::renameat(dir, from, dir, to).inspect_err(|_| {
        // The name is free again.
        let _ = rustix::fs::unlinkat(dir, to, AtFlags::empty());
    })
}

/// What this process keeps from others. Reading it means setting it, for a moment, on every thread: once.
fn umask() -> RawMode {
    static MASK: std::sync::OnceLock<RawMode> = std::sync::OnceLock::new();
    *MASK.get_or_init(|| {
        let mask = rustix::process::umask(Mode::from_raw_mode(0o077));
        rustix::process::umask(mask);
        mask.as_raw_mode()
    })
}
