//! Windows, as far as it goes: what a file's access list says is not looked at, and only the command itself is ended.

use std::fs::{Metadata, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStderr, Command};

/// A file has the access list of its directory, which in a user's own directories lets nobody else in.
pub(crate) const fn keep_private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// There is no such number.
pub(crate) const fn mode(_: &Metadata) -> Option<u32> {
    None
}

/// There is none to be had.
pub(crate) const fn inode(_: &Metadata) -> Option<u64> {
    None
}

/// Not known.
pub(crate) const fn stranger(_: &Metadata) -> Option<u32> {
    None
}

/// Whether it is marked as one that may be written to.
pub(crate) fn is_writable(dir: &Path) -> bool {
    std::fs::metadata(dir).is_ok_and(|meta| !meta.permissions().readonly())
}

/// Users have no numbers here.
pub(crate) const fn ids() -> Option<(u32, Vec<u32>)> {
    None
}

/// Nothing is needed for what [`end`] does.
pub(crate) const fn apart(command: &mut Command) -> &mut Command {
    command
}

/// Ends a command.
pub(crate) fn end(child: &mut Child) {
    // One that has ended by itself is no error of anybody's.
    let _ = child.kill();
}

/// What a command that has ended wrote, at most so much.
pub(crate) fn read_now(from: ChildStderr, most: u64) -> Vec<u8> {
    let mut read = Vec::new();
    // What cannot be read is missing in the log.
    let _ = from.take(most).read_to_end(&mut read);
    read
}
