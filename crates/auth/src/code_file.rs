//! Access codes in files: `--access-code-file` on both sides, and the code of a running agent in its state directory.
//!
//! A file that others can read is used with a warning and not refused, because orchestrators mount secrets with modes and links
//! of their own; a pipe works too. One code on one line; white space around it does not matter.

use crate::files::{self, FileError};
use crate::random;
use std::fs::File;
use std::path::Path;
use telepane_trust::AccessCode;
use telepane_trust::code::DEFAULT_CHARS;

/// The name in the host's state directory under which a running agent keeps the code it made itself.
pub const FILE: &str = "access_code";
/// More than the longest code with all its hyphens.
const MAX_FILE: usize = 1024;

/// Reads the code in `path`.
pub fn read(path: &Path) -> Result<AccessCode, FileError> {
    let io = |what| move |error| FileError::Io { what, path: path.to_owned(), error };
    let mut file = File::open(path).map_err(io("open"))?;
    let mode = files::mode_of(&file.metadata().map_err(io("examine"))?);
    if mode & 0o077 != 0 && file.metadata().is_ok_and(|m| m.is_file()) {
        tracing::warn!(
            "the access code file {} can be used by others (mode {mode:04o}); run `chmod 600 {}`",
            path.display(),
            path.display()
        );
    }
    let bytes = files::read_bounded(&mut file, path, MAX_FILE)?;
    let text = core::str::from_utf8(&bytes).map_err(|_| FileError::content(path, "the text is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if text.contains(['\n', '\r']) {
        return Err(FileError::content(
            path,
            "more than one line; an access code file holds one code and nothing else",
        ));
    }
    AccessCode::parse(text).map_err(|e| FileError::content(path, e))
}

/// Makes a fresh code and writes it to `path`, mode 0600, in place of what was there.
pub fn write_fresh(path: &Path) -> Result<AccessCode, FileError> {
    let code = fresh()?;
    files::replace(path, format!("{}\n", *code.reveal()).as_bytes())?;
    Ok(code)
}

/// A fresh code of the usual length.
pub fn fresh() -> Result<AccessCode, FileError> {
    Ok(AccessCode::generate(DEFAULT_CHARS, &random::seed()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_fresh_code_is_written_privately_and_read_back() {
        let dir = Scratch::new();
        let path = dir.join("code");
        let first = write_fresh(&path).unwrap();
        assert_eq!(first.reveal().len(), 14);
        assert_eq!(read(&path).unwrap().reveal(), first.reveal());
        #[cfg(unix)]
        assert_eq!(files::mode_of(&std::fs::metadata(&path).unwrap()), 0o600);
        assert_ne!(write_fresh(&path).unwrap().reveal(), first.reveal());
    }

    #[test]
    fn what_people_and_orchestrators_leave_in_files_is_read() {
        let dir = Scratch::new();
        let path = dir.join("code");
        for text in ["k7qf-m2xa", "\n  K7QF M2XA \r\n\n", "\u{feff}K7QFM2XA"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path).unwrap().reveal().as_str(), "K7QF-M2XA", "{text:?}");
        }
        #[cfg(unix)]
        {
            let link = dir.join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert!(read(&link).is_ok());
        }
    }

    #[test]
    fn what_is_not_a_code_is_refused_without_showing_it() {
        let dir = Scratch::new();
        let path = dir.join("code");
        for (text, part) in [
            ("", "empty"),
            ("K7QF", "4 characters"),
            ("K7QF-M2XA\nK7QF-M2XB", "more than one line"),
            ("K7QF-M2XA-HUNTER0", "'0'"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("K7QF") && !error.contains("HUNTER"), "{error}");
        }
        std::fs::write(&path, "A".repeat(5000)).unwrap();
        assert!(matches!(read(&path), Err(FileError::Large { .. })));
        assert!(matches!(read(&dir.join("none")), Err(FileError::Io { .. })));
    }
}
