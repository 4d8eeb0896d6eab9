//! Where pasted files lie: directories of this process, readable to its user alone.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Pastes whose files are kept.
pub(crate) const KEPT: usize = 4;

/// The directories that pastes are unpacked into.
pub(crate) struct Nest {
    dir: PathBuf,
    next: u64,
}

impl Nest {
    pub(crate) fn new(dir: &Path) -> Self {
        // What processes left that are no more.
        for found in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = found.file_name();
            let pid = name.to_str().and_then(|n| n.parse::<i32>().ok()).and_then(Pid::from_raw);
            // One of another user is there and may not be asked.
            if pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH)) {
                // Whoever cleans up finds the rest.
                let _ = std::fs::remove_dir_all(found.path());
            }
        }
        Self { dir: dir.join(std::process::id().to_string()), next: 0 }
    }

    /// A new, empty one.
    pub(crate) fn place(&mut self) -> io::Result<PathBuf> {
        let builder = || {
            let mut builder = std::fs::DirBuilder::new();
            builder.mode(0o700);
            builder
        };
        if self.next == 0 {
            let _ = std::fs::remove_dir_all(&self.dir);
            builder().recursive(true).create(&self.dir)?;
        }
        self.next += 1;
        if let Some(old) = self.next.checked_sub(KEPT as u64) {
            let _ = std::fs::remove_dir_all(self.dir.join(old.to_string()));
        }
        let place = self.dir.join(self.next.to_string());
        builder().create(&place)?;
        Ok(place)
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        if self.next > 0 {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
