//! Files that travel, on disk: a directory that nothing leads out of, contents that are read with their hash, and contents
//! that come under a temporary name until they are whole and proven.
//!
//! Nothing here knows the network. Both shells use it: the agent for the directory it gives out, the client for the
//! directory it downloads into. Names come from the other side and are checked before any of them reaches the system.
//! On a system without Unix's descriptors nothing can be opened yet (`elsewhere`).

#![deny(unsafe_code)]

#[cfg(unix)]
mod beneath;
pub mod bundle;
pub mod courier;
#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod give;
#[cfg(unix)]
mod nest;
#[cfg(unix)]
mod root;
#[cfg(unix)]
mod take;

#[cfg(not(unix))]
pub use elsewhere::{Giving, Root, Taking};
#[cfg(unix)]
pub use give::Giving;
#[cfg(unix)]
pub use root::Root;
#[cfg(unix)]
pub use take::Taking;

#[cfg(not(unix))]
use elsewhere as nest;

use std::io::ErrorKind;
use telepane_protocol::{EntryKind, Outcome};
use thiserror::Error;

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: EntryKind,
    /// Bytes.
    pub size: u64,
    /// When it was changed last, in microseconds since 1970.
    pub modified: u64,
    /// It may be run as a program.
    pub executable: bool,
}

/// Why a file cannot be had or put.
#[derive(Debug, Error)]
pub enum FilesError {
    /// The path is not one that may be used.
    #[error("the path {0:?} cannot be used: it is absolute, climbs, or has an impossible name")]
    BadName(String),
    /// Something of another name is there that the file system takes for this one.
    #[error("{0:?} cannot be put beside {1:?}: the file system there takes them for one name; rename one of them")]
    Alike(String, String),
    /// A directory where a file was meant, or the other way round; a link, a device, a pipe.
    #[error("{0:?} is not of the right kind")]
    WrongKind(String),
    /// It changed while it was read.
    #[error("{0:?} changed while it was read; try again when it rests")]
    Changed(String),
    /// What came is not what was sent.
    #[error("{0:?} arrived damaged and was thrown away; try again")]
    Corrupt(String),
    /// Too large, or too many.
    #[error("{0:?} is larger, or holds more, than can be sent; pack it into an archive")]
    TooLarge(String),
    /// The system says no.
    #[error("{path:?}: {why}")]
    Io {
        /// What.
        path: String,
        /// The system's word.
        why: std::io::Error,
    },
}

impl FilesError {
    /// What the other side is told.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::BadName(_) | Self::Alike(..) => Outcome::BadName,
            Self::WrongKind(_) => Outcome::WrongKind,
            Self::Changed(_) => Outcome::Changed,
            Self::Corrupt(_) => Outcome::Corrupt,
            Self::TooLarge(_) => Outcome::TooLarge,
            Self::Io { why, .. } => match why.kind() {
                ErrorKind::NotFound => Outcome::Missing,
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Outcome::Denied,
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Outcome::Full,
                ErrorKind::IsADirectory | ErrorKind::NotADirectory => Outcome::WrongKind,
                ErrorKind::InvalidFilename => Outcome::BadName,
                _ => Outcome::Other,
            },
        }
    }

    fn io(path: &str) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |why| Self::Io { path: path.to_owned(), why }
    }
}

#[cfg(test)]
mod tests;
