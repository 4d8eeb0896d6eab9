//! One agent per state directory: a lock that lives as long as the process, taken before anything there is written.
//!
//! Two agents over one directory would each replace the other's access code and control socket, so that the code a
//! person reads is not the code that lets in. The lock is the system's, on a file that stays: an agent that was killed
//! holds nothing.

use crate::system;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The lock's file in the state directory.
const FILE: &str = "agent.lock";

/// Why the directory cannot be used.
#[derive(Debug, Error)]
pub enum AloneError {
    /// Another agent has it.
    #[error(
        "another agent runs with the state directory {}; stop it, or give this one a --state-dir of its own",
        state.display()
    )]
    Taken {
        /// The directory.
        state: PathBuf,
    },
    /// The lock's file cannot be made or locked.
    #[error("cannot lock {}: {error}; give a --state-dir that this user can write to", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        error: std::io::Error,
    },
}

/// The right to use a state directory; given back when dropped, or by the system when the process ends.
#[derive(Debug)]
pub struct Alone {
    _locked: File,
}

/// Takes `state` for this process.
///
/// # Errors
/// [`AloneError`] when another agent has it, or the lock's file cannot be made.
pub fn take(state: &Path) -> Result<Alone, AloneError> {
    let path = state.join(FILE);
    let io = |error| AloneError::Io { path: path.clone(), error };
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let file = system::keep_private(&mut options).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(Alone { _locked: file }),
        Err(TryLockError::WouldBlock) => Err(AloneError::Taken { state: state.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_agent_at_a_time() {
        let dir = std::env::temp_dir().join(format!("telepane-alone-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let first = take(&dir).unwrap();
        let second = take(&dir).unwrap_err();
        assert!(matches!(second, AloneError::Taken { .. }));
        assert!(second.to_string().contains("--state-dir"));
        drop(first);
        take(&dir).unwrap();
        assert!(matches!(take(&dir.join("missing")), Err(AloneError::Io { .. })));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
