//! The process that decodes: it has a socket for standard input and the memory for standard output, and is locked before
//! it is given anything.
#![allow(unsafe_code)]

use crate::lock::lock_down;
use crate::memory::Memory;
use crate::wire::{Answer, Hello, Request, Verdict};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use telepane_codec::CodecFault;
use telepane_codec::h264::{self, H264Decoder};
use telepane_codec::streams::{FilmStreams as _, InProcess, StreamFrame};

/// The hidden argument; a library for H.264 may follow.
pub(crate) const ARGUMENT: &str = "__film";
/// It cannot have the socket, the memory or the library.
pub(crate) const UNFIT: i32 = 3;
/// It cannot be locked.
pub(crate) const UNLOCKED: i32 = 4;

/// Whether `main` called [`run_if_asked`]: only then does this program know the hidden argument.
static HOOKED: AtomicBool = AtomicBool::new(false);

/// Whether this program can be started as one that decodes.
pub(crate) fn is_hooked() -> bool {
    HOOKED.load(Ordering::Relaxed)
}

/// Becomes the process that decodes, and never returns, when this process was started as one; else returns at once. The
/// first thing in `main`, before any thread and any file.
pub fn run_if_asked() {
    HOOKED.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == ARGUMENT) {
        let code = run(arguments.next());
        // SAFETY: ends the process, without what others registered for its end.
        unsafe { libc::_exit(code) };
    }
}

fn run(library: Option<OsString>) -> i32 {
    let input = std::io::stdin();
    let socket = input.as_fd();
    let Ok(mut memory) = Memory::map(std::io::stdout()) else { return UNFIT };
    if library.is_some_and(|file| h264::load(Path::new(&file)).is_err()) {
        return UNFIT;
    }
    // The library is chosen, and finds out what the processor can do.
    drop(H264Decoder::new());
    let Ok(locked) = lock_down() else { return UNLOCKED };
    let hello = Hello { landlock: locked.landlock }.encode();
    if send(socket, &hello, SendFlags::NOSIGNAL).is_err() {
        return 0;
    }
    serve(socket, &mut memory)
}

/// Until the other end closes the socket.
fn serve(socket: BorrowedFd<'_>, memory: &mut Memory) -> i32 {
    let mut streams = InProcess::default();
    loop {
        let mut buffer = [0; Request::LEN + 1];
        let len = match recv(socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => return 0,
            Ok((len, _)) => len,
            Err(Errno::INTR) => continue,
            Err(_) => return 0,
        };
        let Some(request) = buffer.get(..len).and_then(Request::decode) else { return UNFIT };
        let Request { number, slot, anew, sides, len } = request;
        let decoded = streams.decode(StreamFrame { slot, anew, sides, data: memory.frame(len as usize) });
        let (verdict, told) = match decoded {
            Ok(picture) if memory.put_picture(&picture) => (Verdict::Picture, sides),
            Err(CodecFault::FilmSize) => (Verdict::OtherSides, (0, 0)),
            Ok(_) | Err(_) => (Verdict::Refused, (0, 0)),
        };
        let answer = Answer { number, verdict, sides: told }.encode();
        if send(socket, &answer, SendFlags::NOSIGNAL).is_err() {
            return 0;
        }
    }
}
