//! Contents on their way through pipes: what an owner writes, and what somebody who pastes reads. Neither is ever waited for.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use polling::{Event, PollMode, Poller};

use crate::clipboard::{ClipError, LIMIT, Patience};

/// One end of a pipe that never blocks and that a poller waits on.
#[derive(Debug)]
struct End {
    file: File,
    poller: Arc<Poller>,
    watched: bool,
}

impl End {
    fn new(fd: OwnedFd, poller: &Arc<Poller>) -> io::Result<Self> {
        // SAFETY: the descriptor is open as long as `fd` lives; the flags asked for and set are plain numbers.
        unsafe {
            let flags = libc::fcntl(fd.as_raw_fd(), libc::F_GETFL);
            if flags < 0 || libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self { file: File::from(fd), poller: poller.clone(), watched: false })
    }

    fn watch(&mut self, event: Event) -> io::Result<()> {
        if !self.watched {
            // SAFETY: it is taken off the list below, before the descriptor is closed.
            unsafe { self.poller.add_with_mode(&self.file, event, PollMode::Level)? };
            self.watched = true;
        }
        Ok(())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if self.watched {
            // What is not on the list need not be taken off it.
            let _ = self.poller.delete(&self.file);
        }
    }
}

/// What an owner writes.
#[derive(Debug)]
pub(super) struct Reading {
    end: End,
    bytes: Vec<u8>,
    /// For the next piece.
    pub(super) patience: Patience,
    /// For the whole.
    pub(super) life: Patience,
}

impl Reading {
    pub(super) fn new(from: OwnedFd, poller: &Arc<Poller>, patience: Patience, life: Patience) -> io::Result<Self> {
        let mut end = End::new(from, poller)?;
        end.watch(Event::readable(0))?;
        Ok(Self { end, bytes: Vec::new(), patience, life })
    }

    /// Reads what there is; the contents when that is all, or why there are none.
    pub(super) fn go_on(&mut self) -> Option<Result<Vec<u8>, ClipError>> {
        let mut piece = [0; PIECE];
        loop {
            match self.end.file.read(&mut piece) {
                Ok(0) => return Some(Ok(std::mem::take(&mut self.bytes))),
                Ok(n) if self.bytes.len() + n > LIMIT => return Some(Err(ClipError::TooLarge)),
                Ok(n) => {
                    self.bytes.extend_from_slice(piece.get(..n).unwrap_or_default());
                    self.patience.renew();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => return Some(Err(ClipError::Nothing)),
            }
        }
    }
}

/// What somebody who pastes reads; closed with this value.
#[derive(Debug)]
pub(super) struct Writing {
    end: End,
    bytes: Vec<u8>,
    sent: usize,
    pub(super) patience: Patience,
}

impl Writing {
    pub(super) fn new(to: OwnedFd, poller: &Arc<Poller>, bytes: Vec<u8>, patience: Patience) -> io::Result<Self> {
        Ok(Self { end: End::new(to, poller)?, bytes, sent: 0, patience })
    }

    /// Writes what there is room for; whether there is more to write, to somebody who still reads.
    pub(super) fn go_on(&mut self) -> bool {
        loop {
            let rest = self.bytes.get(self.sent..).unwrap_or_default();
            if rest.is_empty() {
                return false;
            }
            match self.end.file.write(rest) {
                Ok(n) => {
                    self.sent += n;
                    self.patience.renew();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.end.watch(Event::writable(0)).is_ok();
                }
                Err(_) => return false,
            }
        }
    }
}

/// A pipe of Linux holds so many bytes.
const PIECE: usize = 64 << 10;
