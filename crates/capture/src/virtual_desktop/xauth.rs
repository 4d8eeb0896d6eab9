//! X authority files: one cookie written for a server of our own, and cookies read from any file.
//!
//! The format is libXau's: per entry a family, then address, display number, name and data, each behind a 16-bit
//! big-endian length. Lengths are bounded by their type, the file by [`MOST_BYTES`].

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A longer file is not an authority file.
const MOST_BYTES: u64 = 1 << 20;

/// `FamilyWild` of `X11/Xauth.h`: the entry is for any address.
const WILD: u16 = 0xffff;

const NAME: &[u8] = b"MIT-MAGIC-COOKIE-1";

/// A secret number.
pub type Cookie = [u8; 16];

/// A fresh cookie from the system's generator.
///
/// # Errors
/// When the system has no random numbers to give.
pub fn fresh() -> std::io::Result<Cookie> {
    let mut cookie = [0u8; 16];
    // SAFETY: a buffer of the stated length.
    let got = unsafe { libc::getrandom(cookie.as_mut_ptr().cast(), cookie.len(), 0) };
    if got == cookie.len() as isize { Ok(cookie) } else { Err(std::io::Error::last_os_error()) }
}

/// Writes a new file, readable by this user alone, that lets the holder of `cookie` in at any address and any
/// display number (the number is not known before the server has chosen it).
///
/// # Errors
/// When the file exists or cannot be written.
pub fn write(path: &Path, cookie: &Cookie) -> std::io::Result<()> {
    let mut entry = WILD.to_be_bytes().to_vec();
    for part in [&b""[..], b"", NAME, cookie] {
        entry.extend((part.len() as u16).to_be_bytes());
        entry.extend(part);
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&entry)
}

/// The cookie for display number `display` of this machine in a file, if there is one.
///
/// # Errors
/// When the file cannot be read or is not an authority file.
pub fn cookie(path: &Path, display: u16) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    find(&bytes, display).ok_or_else(|| std::io::Error::other("not an X authority file"))
}

/// `None` if the bytes are malformed, `Some(None)` if no entry fits. Entries for this host's name are not told from
/// those of others: the number and a local socket decide.
fn find(bytes: &[u8], display: u16) -> Option<Option<Vec<u8>>> {
    let number = display.to_string();
    let mut rest = bytes;
    let mut best = None;
    while !rest.is_empty() {
        take(&mut rest, 2)?;
        let mut parts = [&b""[..]; 4];
        for part in &mut parts {
            let len = take(&mut rest, 2)?;
            *part = take(&mut rest, usize::from(u16::from_be_bytes([len[0], len[1]])))?;
        }
        let [_, for_number, name, data] = parts;
        if best.is_none() && name == NAME && (for_number.is_empty() || for_number == number.as_bytes()) {
            best = Some(data.to_vec());
        }
    }
    Some(best)
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(n)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found() {
        let path = std::env::temp_dir().join(format!("telepane-xauth-{}", std::process::id()));
        let secret = fresh().unwrap();
        write(&path, &secret).unwrap();
        assert!(write(&path, &secret).is_err(), "an existing file is never taken over");
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(cookie(&path, 42).unwrap().as_deref(), Some(&secret[..]));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_number_decides_and_every_cut_is_an_error() {
        // xauth -f FILE add :1 MIT-MAGIC-COOKIE-1 deadbeef, with the host name ZweiLED.
        let mut bytes = vec![1, 0, 0, 7];
        bytes.extend(b"ZweiLED");
        bytes.extend([0, 1, b'1', 0, 18]);
        bytes.extend(NAME);
        bytes.extend([0, 4, 0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(find(&bytes, 1), Some(Some(vec![0xde, 0xad, 0xbe, 0xef])));
        assert_eq!(find(&bytes, 2), Some(None));
        for cut in 1..bytes.len() {
            assert_eq!(find(&bytes[..cut], 1), None);
        }
    }
}
