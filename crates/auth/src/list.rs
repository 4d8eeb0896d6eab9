//! What the two TOML lists have in common: reading with the line of an error, writing, noticing a change.

use crate::files::{self, FileError, Privacy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::SystemTime;

/// The most bytes of a list.
pub(crate) const MAX_LIST: usize = 1024 * 1024;
/// The most entries of a list.
pub(crate) const MAX_ENTRIES: usize = 2048;

/// Reads a list; the empty one when there is no file.
pub(crate) fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<T, FileError> {
    let Some(text) = files::read_text(path, Privacy::Listed, MAX_LIST)? else { return Ok(T::default()) };
    toml::from_str(&text).map_err(|error| {
        let line = error.span().and_then(|s| text.get(..s.start)).map(|before| before.matches('\n').count() + 1);
        // The message can quote the file, which must not reach a terminal raw.
        let message = error.message().escape_debug().to_string();
        match line {
            Some(line) => FileError::content(path, format!("line {line}: {message}")),
            None => FileError::content(path, message),
        }
    })
}

/// Replaces a list, under a heading that says what the file is.
pub(crate) fn write<T: Serialize>(path: &Path, heading: &str, list: &T) -> Result<(), FileError> {
    let body = toml::to_string(list).map_err(|e| FileError::content(path, e))?;
    files::replace(path, format!("{heading}\n{body}").as_bytes())
}

/// What a file looks like from outside; another value means that it must be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

/// `None` when there is no file.
pub(crate) fn look(path: &Path) -> Option<Look> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&meta);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Look { modified: meta.modified().ok(), length: meta.len(), inode })
}
