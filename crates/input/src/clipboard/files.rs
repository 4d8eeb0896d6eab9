//! Files on the clipboard, as file managers say them: a list of addresses, of which only the ones on this machine count.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Files of one copy at most: a person selects no more, and each is looked at before any is sent.
pub const MOST: usize = 10_000;

/// The files of this machine in a list of addresses (RFC 2483) or in what GNOME's file manager copies, at most [`MOST`]. Cut
/// files count as copied: nothing is ever taken away here.
pub fn paths(list: &[u8]) -> Vec<PathBuf> {
    let lines = list.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter_map(path).take(MOST).collect()
}

/// One address, if it is a file's of this machine and absolute.
fn path(line: &[u8]) -> Option<PathBuf> {
    let rest = line.strip_prefix(b"file://")?;
    let rest = rest.strip_prefix(b"localhost").unwrap_or(rest);
    if !rest.starts_with(b"/") {
        return None;
    }
    let mut bytes = Vec::with_capacity(rest.len());
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        let digits = rest.get(at + 1..at + 3).filter(|_| byte == b'%');
        at += if digits.is_some() { 3 } else { 1 };
        bytes.push(match digits {
            Some(digits) => u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?,
            None => byte,
        });
    }
    // The system's names end at a zero byte.
    (!bytes.contains(&0)).then(|| PathBuf::from(OsStr::from_bytes(&bytes)))
}

/// Addresses of these files, one to a line.
pub(super) fn uri_list(paths: &[PathBuf]) -> Vec<u8> {
    paths.iter().map(|path| address(path) + "\r\n").collect::<String>().into_bytes()
}

/// The same as GNOME's file manager says it.
pub(super) fn copied(paths: &[PathBuf]) -> Vec<u8> {
    let lines: Vec<String> = std::iter::once("copy".to_owned()).chain(paths.iter().map(address)).collect();
    lines.join("\n").into_bytes()
}

#[allow(clippy::ptr_arg, reason = "called for each of a list of them")]
fn address(path: &PathBuf) -> String {
    let mut text = String::from("file://");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_as_it_was() {
        let names: Vec<PathBuf> = ["/tmp/a b", "/home/ä/#1%.txt", "/x\n"].map(PathBuf::from).to_vec();
        assert_eq!(paths(&uri_list(&names)), names);
        assert_eq!(paths(&copied(&names)), names);
    }

    #[test]
    fn what_is_no_file_of_this_machine_is_left_out() {
        for bad in [
            "https://example.org/x",
            "file://elsewhere/etc/passwd",
            "file:relative",
            "file://../x",
            "# a remark",
            "/plain/path",
            "file:///a%00b",
            "file:///a%zz",
            "",
        ] {
            assert_eq!(paths(bad.as_bytes()), Vec::<PathBuf>::new(), "{bad}");
        }
        assert_eq!(paths(b"cut\nfile:///a\nfile://localhost/b"), ["/a", "/b"].map(PathBuf::from));
        let many = "file:///x\n".repeat(1_000_000);
        assert_eq!(paths(many.as_bytes()).len(), MOST);
    }
}
