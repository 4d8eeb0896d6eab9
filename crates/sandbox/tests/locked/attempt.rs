//! A process that is locked as the decoding one is, and then tries something else.

use telepane_codec::h264::{H264Decoder, H264Encoder, I420};
use telepane_sandbox::lock_down;

/// It is there after what it tried.
pub const ALIVE: i32 = 42;
/// It was not given what it wanted, and is there.
pub const REFUSED: i32 = 43;

/// What it is killed for.
pub const FORBIDDEN: &[&str] = &[
    "open",
    "openat2",
    "socket",
    "connect",
    "execve",
    "fork",
    "thread",
    "kill",
    "ptrace",
    "process_vm_readv",
    "read",
    "write",
    "send elsewhere",
    "dup",
    "ioctl",
    "memfd",
    "executable memory",
    "memory made executable",
    "map a file",
    "prctl",
    "limits",
    "io_uring",
    "bpf",
    "keys",
    "user namespace",
    "unlink",
    "getdents",
    "time",
];

/// Locks this process and tries `what`; never returns.
pub fn run(what: &str) -> ! {
    // What is coded before can be decoded afterwards.
    let (mut picture, mut film) = (I420::default(), Vec::new());
    picture.resize(64, 64);
    let mut encoder = H264Encoder::new(64, 64, 500_000, 30.0, (20, 51)).expect("an encoder");
    assert!(encoder.encode(&mut picture, true, &mut film));
    drop(H264Decoder::new());
    // SAFETY: the version of Landlock is asked for; nothing is made.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    let Ok(locked) = lock_down() else { exit(1) };
    let code = match what {
        "nothing" => ALIVE,
        "landlock" => [REFUSED, ALIVE][usize::from(locked.landlock == (version > 0))],
        "decode" => H264Decoder::new().and_then(|mut d| d.decode(&film).map(|_| ALIVE)).unwrap_or(REFUSED),
        "memory" => {
            let mut much = Vec::<u8>::new();
            if much.try_reserve_exact(2 << 30).is_ok() { ALIVE } else { REFUSED }
        }
        _ => {
            attempt(what);
            ALIVE
        }
    };
    exit(code)
}

fn exit(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

fn attempt(what: &str) {
    let (path, null) = (c"/etc/passwd".as_ptr(), std::ptr::null::<libc::c_char>());
    let mut byte = 0u8;
    let place: *mut u8 = &mut byte;
    let (read, execute) = (libc::PROT_READ, libc::PROT_READ | libc::PROT_EXEC);
    let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let nowhere = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: each call is given strings and places that live through it; none of them comes back in a process that is locked.
    unsafe {
        match what {
            "open" => libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, libc::O_RDONLY),
            "openat2" => libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, path, null, 0),
            "socket" => libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0),
            "connect" => libc::syscall(libc::SYS_connect, 0, null, 0),
            "execve" => libc::syscall(libc::SYS_execve, c"/bin/sh".as_ptr(), null, null),
            "fork" => libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0),
            "thread" => libc::syscall(libc::SYS_clone3, null, 0),
            "kill" => libc::syscall(libc::SYS_kill, 1, 0),
            "ptrace" => libc::syscall(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0),
            "process_vm_readv" => libc::syscall(libc::SYS_process_vm_readv, 1, null, 0, null, 0, 0),
            "read" => libc::syscall(libc::SYS_read, 0, place, 1),
            "write" => libc::syscall(libc::SYS_write, 1, place, 1),
            "send elsewhere" => libc::syscall(libc::SYS_sendto, 2, place, 1, 0, null, 0),
            "dup" => libc::syscall(libc::SYS_dup, 0),
            "ioctl" => libc::syscall(libc::SYS_ioctl, 0, libc::TIOCSTI, place),
            "memfd" => libc::syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0),
            "executable memory" => libc::syscall(libc::SYS_mmap, nowhere, 4096, execute, anonymous, -1, 0),
            "memory made executable" => {
                let at = libc::mmap(nowhere, 4096, read, anonymous, -1, 0);
                libc::syscall(libc::SYS_mprotect, at, 4096, execute)
            }
            "map a file" => libc::syscall(libc::SYS_mmap, nowhere, 4096, read, libc::MAP_SHARED, 1, 0),
            "prctl" => libc::syscall(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0),
            "limits" => libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_AS, null, null),
            "io_uring" => libc::syscall(libc::SYS_io_uring_setup, 1, null),
            "bpf" => libc::syscall(libc::SYS_bpf, 0, null, 0),
            "keys" => libc::syscall(libc::SYS_keyctl, 0, 0),
            "user namespace" => libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER),
            "unlink" => libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path, 0),
            "getdents" => libc::syscall(libc::SYS_getdents64, 0, place, 1),
            "time" => libc::syscall(libc::SYS_clock_settime, 0, null),
            _ => panic!("no attempt is called {what}"),
        };
    }
}
