//! Child processes that are waited for by descriptor, and end when their handle is dropped.

use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout};

/// A child in a process group of its own; the group is ended on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Readable once the child has ended; absent on kernels before 5.3.
    pidfd: Option<OwnedFd>,
    grace_ms: i32,
    end: Option<String>,
}

impl Process {
    /// Watches `child`, which leads its own process group. On drop it gets `grace_ms` to end by itself after SIGTERM.
    pub fn new(child: Child, grace_ms: i32) -> Self {
        // SAFETY: a system call without pointers; the child is ours and not reaped yet, so the id is its own.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id() as libc::pid_t, 0) };
        // SAFETY: a descriptor just made, owned by nobody else.
        let pidfd = (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) });
        Self { child, pidfd, grace_ms, end: None }
    }

    /// The process id, which is also its group's.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Readable once the child has ended.
    pub fn fd(&self) -> Option<i32> {
        self.pidfd.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// How the child ended, if it has.
    pub fn ended(&mut self) -> Option<String> {
        if self.end.is_none() {
            self.end = match self.child.try_wait() {
                Ok(Some(status)) => Some(status.to_string()),
                Ok(None) => None,
                Err(e) => Some(e.to_string()),
            };
        }
        self.end.clone()
    }

    fn signal(&self, signal: i32) {
        let Ok(group) = libc::pid_t::try_from(self.child.id()) else {
            return;
        };
        // SAFETY: a system call without pointers. The group's leader is our child and not reaped, so no other group
        // can have its id.
        unsafe { libc::kill(-group, signal) };
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Once the leader is reaped its group's id may be another's: what it left behind ends with its display.
        if self.ended().is_some() {
            return;
        }
        self.signal(libc::SIGTERM);
        if let Some(fd) = self.fd() {
            readable(fd, self.grace_ms);
        }
        // Before the leader is reaped, so that members that ignored the first signal go too.
        self.signal(libc::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Waits until `fd` is readable or closed; false after `ms` milliseconds.
pub fn readable(fd: i32, ms: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid structure, as the count says.
    unsafe { libc::poll(&raw mut poll, 1, ms) > 0 }
}

/// The number a server writes for `-displayfd`, a line of digits, or `None` when it ends or says nothing for `ms`.
pub fn display_number(out: &mut ChildStdout, ms: i32) -> Option<u16> {
    let mut line = Vec::new();
    while line.len() < 16 && readable(out.as_raw_fd(), ms) {
        let mut byte = [0u8; 1];
        match out.read(&mut byte) {
            Ok(1) if byte[0] == b'\n' => return std::str::from_utf8(&line).ok()?.trim().parse().ok(),
            Ok(1) => line.push(byte[0]),
            _ => return None,
        }
    }
    None
}

/// The executable `name` in `$PATH`.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_executable(file))
}

/// Whether this is a file that may be executed.
pub fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
