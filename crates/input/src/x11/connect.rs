//! A connection to an X server, with the authority file said by the caller.
//!
//! `x11rb` takes the authority file from the environment only. An agent that starts a virtual desktop has its own file,
//! and changing the environment of a running process is unsound, so the file is read here: big-endian entries of
//! family, address, display number, protocol name and data (Xau(3)).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::reexports::x11rb_protocol::parse_display::parse_display;
use x11rb::rust_connection::{DefaultStream, RustConnection};

use crate::{Gone, OpenError};

/// The largest authority file read, in bytes. A real one holds some hundred.
const MAX_AUTHORITY: u64 = 1 << 20;
/// The one authority protocol spoken here; every X server offers it.
const COOKIE: &[u8] = b"MIT-MAGIC-COOKIE-1";
/// `FamilyLocal` and `FamilyWild` of Xauth.h.
const LOCAL: u16 = 256;
const WILD: u16 = 65_535;

impl From<ConnectionError> for Gone {
    fn from(e: ConnectionError) -> Self {
        Self(e.to_string())
    }
}

impl From<ReplyError> for Gone {
    fn from(e: ReplyError) -> Self {
        Self(e.to_string())
    }
}

/// Connects to `display` (`$DISPLAY` when `None`) with the cookie from `xauthority` (the environment's file when
/// `None`). Gives the connection and the screen's number.
pub(crate) fn connect(display: Option<&str>, xauthority: Option<&Path>) -> Result<(RustConnection, usize), OpenError> {
    let failed = |why: String| OpenError::Connect {
        display: display.map_or_else(|| std::env::var("DISPLAY").unwrap_or_else(|_| "(none)".into()), str::to_owned),
        why,
    };
    let Some(path) = xauthority else {
        return RustConnection::connect(display).map_err(|e| failed(e.to_string()));
    };
    let entries = read_authority(path)?;
    let parsed = parse_display(display).map_err(|e| failed(e.to_string()))?;
    let mut why = String::from("no address to try");
    for address in parsed.connect_instruction() {
        let (stream, (family, host)) = match DefaultStream::connect(&address) {
            Ok(found) => found,
            Err(e) => {
                why = e.to_string();
                continue;
            }
        };
        let exact = entries.iter().find(|entry| {
            entry.serves(parsed.display)
                && (entry.family == WILD || (family == entry.family.into() && entry.address == host))
        });
        // A machine's name may have changed since the display started; the display's number has not.
        let entry = exact.or_else(|| entries.iter().find(|e| e.serves(parsed.display) && e.family == LOCAL));
        let (name, data) = entry.map_or((Vec::new(), Vec::new()), |e| (COOKIE.to_vec(), e.data.clone()));
        let screen = usize::from(parsed.screen);
        return RustConnection::connect_to_stream_with_auth_info(stream, screen, name, data)
            .map(|conn| (conn, screen))
            .map_err(|e| failed(e.to_string()));
    }
    Err(failed(why))
}

/// One cookie of an authority file.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    family: u16,
    address: Vec<u8>,
    number: Vec<u8>,
    data: Vec<u8>,
}

impl Entry {
    /// Whether it is for this display number (an empty number is for all).
    fn serves(&self, display: u16) -> bool {
        self.number.is_empty() || self.number == display.to_string().as_bytes()
    }
}

fn read_authority(path: &Path) -> Result<Vec<Entry>, OpenError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_AUTHORITY).read_to_end(&mut bytes))
        .map_err(|e| OpenError::Authority { path: path.display().to_string(), why: e.to_string() })?;
    Ok(parse_authority(&bytes))
}

/// The cookies in `bytes`, up to the first entry cut short.
fn parse_authority(bytes: &[u8]) -> Vec<Entry> {
    fn number(rest: &mut &[u8]) -> Option<u16> {
        let (head, tail) = rest.split_first_chunk::<2>()?;
        *rest = tail;
        Some(u16::from_be_bytes(*head))
    }
    fn string(rest: &mut &[u8]) -> Option<Vec<u8>> {
        let len = usize::from(number(rest)?);
        let (head, tail) = rest.split_at_checked(len)?;
        *rest = tail;
        Some(head.to_vec())
    }
    fn entry(rest: &mut &[u8]) -> Option<(Vec<u8>, Entry)> {
        let family = number(rest)?;
        let (address, display, name, data) = (string(rest)?, string(rest)?, string(rest)?, string(rest)?);
        Some((name, Entry { family, address, number: display, data }))
    }
    let mut rest = bytes;
    let mut found = Vec::new();
    while let Some((name, entry)) = entry(&mut rest) {
        if name == COOKIE {
            found.push(entry);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(out: &mut Vec<u8>, bytes: &[u8]) {
        out.extend((bytes.len() as u16).to_be_bytes());
        out.extend(bytes);
    }

    fn file() -> Vec<u8> {
        let mut out = Vec::new();
        for (family, number, name, data) in
            [(LOCAL, &b"7"[..], &b"OTHER"[..], &[1][..]), (LOCAL, b"7", COOKIE, &[2, 3]), (WILD, b"", COOKIE, &[4])]
        {
            out.extend(family.to_be_bytes());
            field(&mut out, b"machine");
            field(&mut out, number);
            field(&mut out, name);
            field(&mut out, data);
        }
        out
    }

    #[test]
    fn cookies_are_found_and_other_protocols_passed_over() {
        let entries = parse_authority(&file());
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].data, [2, 3]);
        assert!(entries[0].serves(7) && !entries[0].serves(8) && entries[1].serves(8));
    }

    #[test]
    fn a_file_cut_anywhere_gives_only_whole_entries() {
        let whole = file();
        for cut in 0..whole.len() {
            assert!(parse_authority(&whole[..cut]).len() < 2, "cut at {cut}");
        }
    }
}
