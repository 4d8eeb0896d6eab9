//! Files that others must not read or change: created privately, replaced atomically, read with suspicion.
//!
//! A file is written under a random name in its own directory with mode 0600, synced, and renamed or linked into its place, so that a
//! reader sees the old content or the new and a crash leaves no half key. Reading opens once without following a
//! symbolic link, checks the mode of what was opened, and reads at most a given number of bytes. Changes of a list are made under
//! a lock on a `.lock` file beside it, which stays.

use crate::random;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What went wrong with a file, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {what} {}: {error}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Others can read a secret or change what is relied on.
    #[error("{} is open to other users (mode {mode:04o}); run `chmod {wanted:o} {}` and, if others had access, make a new one", path.display(), path.display())]
    Open {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they must be.
        wanted: u32,
    },
    /// A symbolic link, directory or device where a file must be.
    #[error("{} is not a regular file; put the file itself there, or choose another --state-dir", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
    },
    /// More bytes than such a file can have.
    #[error("{} has more than {limit} bytes; that is not a file of ours", path.display())]
    Large {
        /// Where.
        path: PathBuf,
        /// The most there may be.
        limit: usize,
    },
    /// The content is not what it must be.
    #[error("{}: {why}", path.display())]
    Content {
        /// Where.
        path: PathBuf,
        /// What is wrong, with the line where there is one.
        why: String,
    },
    /// No random bytes.
    #[error(transparent)]
    NoRandomness(#[from] random::NoRandomness),
}

impl FileError {
    pub(crate) fn content(path: &Path, why: impl ToString) -> Self {
        Self::Content { path: path.to_owned(), why: why.to_string() }
    }

    fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io { what, path: path.to_owned(), error }
    }
}

/// Makes sure that `dir` exists and that nobody else can enter it. A missing one is made with mode 0700, its parents as usual.
pub fn private_dir(dir: &Path) -> Result<(), FileError> {
    if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(FileError::io("create", parent))?;
    }
    let builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    let builder = {
        let mut private = builder;
        std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
        private
    };
    match builder.create(dir) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(FileError::io("create", dir)(e)),
    }
    let meta = std::fs::metadata(dir).map_err(FileError::io("examine", dir))?;
    if !meta.is_dir() {
        return Err(FileError::io("use", dir)(ErrorKind::NotADirectory.into()));
    }
    // Readable by others is tolerable, the secrets inside are 0600; writable would let others swap them.
    refuse_mode(dir, mode_of(&meta), 0o022, 0o700)
}

/// What others may do with a file that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Nothing: a secret.
    Secret,
    /// Read it: a list that only we may change.
    Listed,
}

/// Reads a whole file of at most `limit` bytes; `None` when there is none.
pub fn read(path: &Path, privacy: Privacy, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    let mut file = match open_plain(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(_) if std::fs::symlink_metadata(path).is_ok_and(|m| !m.is_file()) => {
            return Err(FileError::NotAFile { path: path.to_owned() });
        }
        Err(e) => return Err(FileError::io("open", path)(e)),
    };
    // Of what is open, not of what the name means by now.
    let meta = file.metadata().map_err(FileError::io("examine", path))?;
    if !meta.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    let forbidden = if privacy == Privacy::Secret { 0o077 } else { 0o022 };
    refuse_mode(path, mode_of(&meta), forbidden, 0o600)?;
    read_bounded(&mut file, path, limit).map(Some)
}

/// Reads at most `limit` bytes of what is open.
pub(crate) fn read_bounded(file: &mut File, path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // Reserved at once: growing would leave copies of a secret behind.
    let mut content = Zeroizing::new(Vec::with_capacity(limit.min(64 * 1024).saturating_add(1)));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut content).map_err(FileError::io("read", path))?;
    if content.len() > limit {
        return Err(FileError::Large { path: path.to_owned(), limit });
    }
    Ok(content)
}

/// The text of a file of at most `limit` bytes.
pub(crate) fn read_text(path: &Path, privacy: Privacy, limit: usize) -> Result<Option<Zeroizing<String>>, FileError> {
    let Some(bytes) = read(path, privacy, limit)? else { return Ok(None) };
    match core::str::from_utf8(&bytes) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(_) => Err(FileError::content(path, "the text is not UTF-8")),
    }
}

/// Replaces `path` by `content`, all of it or nothing.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let beside = write_beside(path, content)?;
    if let Err(e) = std::fs::rename(&beside, path) {
        let _ = std::fs::remove_file(&beside);
        return Err(FileError::io("replace", path)(e));
    }
    sync_parent(path);
    Ok(())
}

/// Creates `path` with `content` unless it exists by now; false when it does. Of two processes exactly one creates it.
pub fn create(path: &Path, content: &[u8]) -> Result<bool, FileError> {
    let beside = write_beside(path, content)?;
    // A hard link fails where the name is taken, a rename would replace it.
    let linked = std::fs::hard_link(&beside, path);
    let _ = std::fs::remove_file(&beside);
    match linked {
        Ok(()) => {
            sync_parent(path);
            Ok(true)
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(FileError::io("create", path)(e)),
    }
}

/// Holds every other process off `path` until dropped.
pub fn lock(path: &Path) -> Result<File, FileError> {
    let name = with_suffix(path, ".lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
    let file = options.open(&name).map_err(FileError::io("open", &name))?;
    file.lock().map_err(FileError::io("lock", &name))?;
    Ok(file)
}

fn write_beside(path: &Path, content: &[u8]) -> Result<PathBuf, FileError> {
    let beside = with_suffix(path, &format!(".{:016x}.new", u64::from_be_bytes(random::bytes()?)));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside).map_err(FileError::io("create", &beside))?;
    if let Err(e) = file.write_all(content).and_then(|()| file.sync_all()) {
        let _ = std::fs::remove_file(&beside);
        return Err(FileError::io("write", &beside)(e));
    }
    Ok(beside)
}

/// Makes a rename outlast a power cut, where the file system can; the content itself is already synced.
fn sync_parent(path: &Path) {
    if let Some(parent) = path.parent()
        && let Ok(dir) = File::open(parent)
    {
        let _ = dir.sync_all();
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Opens for reading without following a link at the end of the path, and without waiting on a pipe.
fn open_plain(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options.open(path)
}

fn refuse_mode(path: &Path, mode: u32, forbidden: u32, wanted: u32) -> Result<(), FileError> {
    if mode & forbidden == 0 { Ok(()) } else { Err(FileError::Open { path: path.to_owned(), mode, wanted }) }
}

#[cfg(unix)]
pub(crate) fn mode_of(meta: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(meta) & 0o777
}

/// Elsewhere the directory's access list decides, which is private to the user by default.
#[cfg(not(unix))]
pub(crate) fn mode_of(_: &std::fs::Metadata) -> u32 {
    0o600
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_are_private_from_the_start_and_replaced_whole() {
        let dir = Scratch::new();
        let path = dir.join("x");
        replace(&path, b"one").unwrap();
        assert_eq!(mode(&path), 0o600);
        replace(&path, b"two").unwrap();
        assert_eq!(read(&path, Privacy::Secret, 3).unwrap().unwrap().as_slice(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn of_many_creators_exactly_one_creates() {
        let dir = Scratch::new();
        let path = dir.join("x");
        let made: Vec<bool> = std::thread::scope(|s| {
            let threads: Vec<_> = (0..8u8)
                .map(|n| (n, path.clone()))
                .map(|(n, p)| s.spawn(move || create(&p, &[n; 9]).unwrap()))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let winner = made.iter().position(|m| *m).unwrap();
        assert_eq!(made.iter().filter(|m| **m).count(), 1);
        assert_eq!(read(&path, Privacy::Secret, 9).unwrap().unwrap().as_slice(), [winner as u8; 9]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn open_files_are_refused_with_the_command_to_run() {
        let dir = Scratch::new();
        let path = dir.join("key");
        replace(&path, b"secret").unwrap();
        for (bits, secret, listed) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o640, false, true),
            (0o604, false, true),
            (0o620, false, false),
            (0o602, false, false),
        ] {
            chmod(&path, bits);
            assert_eq!(read(&path, Privacy::Secret, 99).is_ok(), secret, "{bits:o}");
            assert_eq!(read(&path, Privacy::Listed, 99).is_ok(), listed, "{bits:o}");
        }
        let text = read(&path, Privacy::Secret, 99).unwrap_err().to_string();
        assert!(text.contains("mode 0602") && text.contains(&format!("chmod 600 {}", path.display())), "{text}");
    }

    #[test]
    fn links_pipes_directories_and_large_files_are_refused() {
        let dir = Scratch::new();
        let (path, link) = (dir.join("real"), dir.join("link"));
        replace(&path, b"secret").unwrap();
        symlink(&path, &link).unwrap();
        assert!(matches!(read(&link, Privacy::Secret, 99), Err(FileError::NotAFile { .. })));
        assert!(matches!(
            read(dir.path(), Privacy::Secret, 99),
            Err(FileError::NotAFile { .. } | FileError::Open { .. })
        ));
        assert!(matches!(read(&path, Privacy::Secret, 5), Err(FileError::Large { .. })));
        assert!(read(&dir.join("none"), Privacy::Secret, 5).unwrap().is_none());
    }

    #[test]
    fn directories_are_made_private_and_writable_ones_refused() {
        let dir = Scratch::new();
        let state = dir.join("a/b/state");
        private_dir(&state).unwrap();
        assert_eq!(mode(&state), 0o700);
        private_dir(&state).unwrap();
        chmod(&state, 0o755);
        private_dir(&state).unwrap();
        chmod(&state, 0o770);
        let text = private_dir(&state).unwrap_err().to_string();
        assert!(text.contains("chmod 700"), "{text}");
    }

    #[test]
    fn a_lock_holds_others_off() {
        let dir = Scratch::new();
        let path = dir.join("list");
        let held = lock(&path).unwrap();
        let other = OpenOptions::new().write(true).open(dir.join("list.lock")).unwrap();
        assert!(other.try_lock().is_err());
        drop(held);
        assert!(other.try_lock().is_ok());
    }
}
