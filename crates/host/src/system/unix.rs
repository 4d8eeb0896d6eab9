//! Unix.

use std::fs::{Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command};

/// A file that is made belongs to this user alone.
pub(crate) fn keep_private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Who may do what with a file, as `chmod` takes it.
pub(crate) fn mode(meta: &Metadata) -> Option<u32> {
    Some(meta.permissions().mode() & 0o7777)
}

/// What a file system calls a file by, whatever its name.
pub(crate) fn inode(meta: &Metadata) -> Option<u64> {
    Some(meta.ino())
}

/// The number of the user whom it belongs to, where that is not this process's.
pub(crate) fn stranger(meta: &Metadata) -> Option<u32> {
    Some(meta.uid()).filter(|uid| *uid != rustix::process::geteuid().as_raw())
}

/// Whether this process may write there.
pub(crate) fn is_writable(dir: &Path) -> bool {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}

/// The numbers of this process's user and groups.
pub(crate) fn ids() -> Option<(u32, Vec<u32>)> {
    let mut gids: Vec<u32> = rustix::process::getgroups().unwrap_or_default().iter().map(|g| g.as_raw()).collect();
    gids.push(rustix::process::getegid().as_raw());
    Some((rustix::process::geteuid().as_raw(), gids))
}

/// What the command begins can be ended with it.
pub(crate) fn apart(command: &mut Command) -> &mut Command {
    command.process_group(0)
}

/// Ends a command that was started [`apart`] and is not reaped yet, with all it began.
pub(crate) fn end(child: &mut Child) {
    if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// What is there to be read now, at most so much: something may still hold the other end.
pub(crate) fn read_now(from: ChildStderr, most: u64) -> Vec<u8> {
    let mut read = Vec::new();
    if rustix::fs::fcntl_setfl(&from, rustix::fs::OFlags::NONBLOCK).is_ok() {
        // It ends with nothing more to read, one way or the other.
        let _ = from.take(most).read_to_end(&mut read);
    }
    read
}
