//! The client's own Ed25519 key on disk: one line, `telepane-client-key-v1 ` and 64 hexadecimal digits, mode 0600.

use crate::files::{self, FileError, Privacy};
use crate::random;
use core::fmt::Write as _;
use std::path::Path;
use telepane_trust::{ClientKey, ClientPublic};
use zeroize::Zeroizing;

/// The file's name in the state directory.
pub const FILE: &str = "client_key";
const HEADER: &str = "telepane-client-key-v1 ";
/// The header, 64 digits and a line end, with room for white space.
const MAX_FILE: usize = 256;

/// The key in `dir`, made there (with the directory) when there is none.
pub fn load_or_create(dir: &Path) -> Result<ClientKey, FileError> {
    files::private_dir(dir)?;
    let path = dir.join(FILE);
    if let Some(found) = load(dir)? {
        return Ok(found);
    }
    let secret = ClientKey::generate(&random::seed()?).secret();
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE));
    text.push_str(HEADER);
    for byte in secret.iter() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    files::create(&path, text.as_bytes())?;
    // Another process may have been first; what lies there now is the key.
    load(dir)?.ok_or_else(|| FileError::content(&path, "the key vanished while it was made"))
}

/// The key in `dir`, or `None` when there is none.
pub fn load(dir: &Path) -> Result<Option<ClientKey>, FileError> {
    let path = dir.join(FILE);
    let Some(text) = files::read_text(&path, Privacy::Secret, MAX_FILE)? else { return Ok(None) };
    let digits = text.strip_prefix(HEADER).map(str::trim);
    // 32 bytes of hexadecimal are read by the type that has the same shape.
    let secret = digits.and_then(|d| d.parse::<ClientPublic>().ok()).map(|s| Zeroizing::new(s.0));
    let secret = secret.ok_or_else(|| {
        FileError::content(&path, "not a client key; restore it, or move it away and enrol again with an access code")
    })?;
    Ok(Some(ClientKey::from_secret(&secret)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_key_is_made_once_and_private() {
        let dir = Scratch::new();
        let state = dir.join("state");
        assert!(load(&state).unwrap().is_none());
        let first = load_or_create(&state).unwrap();
        assert_eq!(load_or_create(&state).unwrap().public(), first.public());
        assert_eq!(load(&state).unwrap().unwrap().secret(), first.secret());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = state.join(FILE);
            assert_eq!(files::mode_of(&std::fs::metadata(&path).unwrap()), 0o600);
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
            assert!(matches!(load_or_create(&state), Err(FileError::Open { mode: 0o640, .. })));
        }
    }

    #[test]
    fn a_damaged_key_stops_and_is_left_alone() {
        let dir = Scratch::new();
        for damage in ["", HEADER, "telepane-client-key-v1 00ff", "telepane-client-key-v2 00", "\u{1b}[2J"] {
            files::replace(&dir.join(FILE), damage.as_bytes()).unwrap();
            let text = load_or_create(dir.path()).unwrap_err().to_string();
            assert!(text.contains("not a client key"), "{damage:?}: {text}");
            assert_eq!(std::fs::read_to_string(dir.join(FILE)).unwrap(), damage);
        }
    }
}
