//! The socket itself, as Unix has it.

use super::{ControlError, FILE, Reply, Request, carry_out};
use crate::ask::Asker;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A listening socket; its file goes when this does.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    /// Of the socket's file: another agent may have put its own there meanwhile.
    inode: u64,
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if inode(&self.path) == Some(self.inode) {
            // It is of no use to anybody any more; one that stays is replaced by the next agent.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens in `state`, on a thread of its own, until the process ends.
pub fn listen(state: &Path, asker: Asker) -> Result<ControlSocket, ControlError> {
    let path = state.join(FILE);
    let failed = |error| ControlError::Listen { path: path.clone(), error };
    let (_dir, short) = platform::short(state).map_err(failed)?;
    if UnixStream::connect(&short).is_ok() {
        return Err(ControlError::Taken { state: state.to_owned() });
    }
    // What a killed agent left behind; nobody answered there.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&short).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let inode = inode(&path).unwrap_or_default();
    let socket = ControlSocket { path: path.clone(), inode };
    let serve = move || loop {
        match listener.accept() {
            // Who goes away in the middle has no use for the answer.
            Ok((stream, _)) => drop(serve_one(stream, &asker)),
            // Out of descriptors, most likely; trying at once would spin.
            Err(_) => std::thread::park_timeout(Duration::from_secs(1)),
        }
    };
    std::thread::Builder::new().name("telepane-control".into()).spawn(serve).map_err(failed)?;
    Ok(socket)
}

/// Asks the agent of `state`.
pub fn ask(state: &Path, request: &Request) -> Result<Reply, ControlError> {
    let no_agent = || ControlError::NoAgent { state: state.to_owned() };
    let odd = |error: std::io::Error| ControlError::NoAnswer(error.to_string());
    let (_dir, short) = platform::short(state).map_err(|e| match e.kind() {
        ErrorKind::PermissionDenied => ControlError::NotAllowed { state: state.to_owned() },
        _ => no_agent(),
    })?;
    let mut stream = UnixStream::connect(short).map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => no_agent(),
        ErrorKind::PermissionDenied => ControlError::NotAllowed { state: state.to_owned() },
        _ => odd(e),
    })?;
    stream.set_read_timeout(Some(ANSWER_IN)).map_err(odd)?;
    stream.set_write_timeout(Some(ANSWER_IN)).map_err(odd)?;
    let line = serde_json::to_string(request).map_err(|e| ControlError::NoAnswer(e.to_string()))?;
    stream.write_all(format!("{line}\n").as_bytes()).map_err(odd)?;
    let reply = read_line(&mut stream, MOST_REPLY).map_err(odd)?;
    serde_json::from_str(&reply).map_err(|e| ControlError::NoAnswer(e.to_string()))
}

fn serve_one(mut stream: UnixStream, asker: &Asker) -> std::io::Result<()> {
    let uid = platform::user_of(&stream)?;
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        tracing::warn!(uid, "another user tried the control socket");
        return Ok(());
    }
    stream.set_read_timeout(Some(REQUEST_IN))?;
    stream.set_write_timeout(Some(REQUEST_IN))?;
    let reply = match read_line(&mut stream, MOST_REQUEST) {
        Ok(line) => match serde_json::from_str(&line) {
            Ok(request) => carry_out(&request, asker),
            Err(error) => Reply::Failed { why: format!("not understood: {error}") },
        },
        Err(error) if error.kind() == ErrorKind::InvalidData => Reply::Failed { why: error.to_string() },
        Err(error) => return Err(error),
    };
    let line = serde_json::to_string(&reply)?;
    stream.write_all(format!("{line}\n").as_bytes())
}

/// One line of at most `most` bytes, without its end.
fn read_line(stream: &mut UnixStream, most: usize) -> std::io::Result<String> {
    let mut line = Vec::new();
    let mut some = [0; 4096];
    let end = loop {
        if let Some(end) = line.iter().position(|b| *b == b'\n') {
            break end;
        }
        if line.len() > most {
            return Err(std::io::Error::new(ErrorKind::InvalidData, "the line is too long"));
        }
        match stream.read(&mut some)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => line.extend_from_slice(some.get(..n).unwrap_or_default()),
        }
    };
    line.truncate(end);
    String::from_utf8(line).map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "the line is not utf-8"))
}

fn inode(path: &Path) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::ino(&std::fs::symlink_metadata(path).ok()?))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod platform {
    use super::FILE;
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};

    /// The socket's name by way of its open directory: a socket's name has at most 107 bytes, a state directory's may have more.
    pub(super) fn short(state: &Path) -> std::io::Result<(File, PathBuf)> {
        let dir = File::open(state)?;
        let name = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(FILE);
        Ok((dir, name))
    }

    /// Who is at the other end.
    pub(super) fn user_of(stream: &UnixStream) -> std::io::Result<u32> {
        Ok(rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw())
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod platform {
    use super::FILE;
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};

    /// The socket's name, which has at most 103 bytes: a directory whose name is too long for that is refused by the system.
    pub(super) fn short(state: &Path) -> std::io::Result<(File, PathBuf)> {
        Ok((File::open(state)?, state.join(FILE)))
    }

    /// Who is at the other end.
    pub(super) fn user_of(stream: &UnixStream) -> std::io::Result<u32> {
        let (mut uid, mut gid) = (libc::uid_t::MAX, libc::gid_t::MAX);
        // SAFETY: the descriptor is the stream's, which is borrowed here, and both numbers are ours to be written to.
        match unsafe { libc::getpeereid(stream.as_raw_fd(), &raw mut uid, &raw mut gid) } {
            0 => Ok(uid),
            _ => Err(std::io::Error::last_os_error()),
        }
    }
}

/// A request is some 30 bytes.
const MOST_REQUEST: usize = 4 * 1024;
/// Eight sessions have some 6 kB.
const MOST_REPLY: usize = 1 << 20;
/// Between two reads of a request; both ends are on one machine.
const REQUEST_IN: Duration = Duration::from_secs(1);
/// More than the desk loop is given to answer.
const ANSWER_IN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{Ask, SessionInfo};
    use polling::Poller;
    use std::sync::Arc;
    use tempfile::TempDir;

    /// Longer than a socket's name may be.
    fn long_dir() -> TempDir {
        tempfile::Builder::new().prefix(&"x".repeat(160)).tempdir().unwrap()
    }

    fn agent(dir: &Path) -> Result<ControlSocket, ControlError> {
        let (asker, asks) = Asker::new(Arc::new(Poller::new().unwrap()));
        std::thread::spawn(move || {
            for ask in asks {
                match ask {
                    Ask::Sessions(reply) => drop(reply.send(vec![SessionInfo { id: 3, ..SessionInfo::default() }])),
                    Ask::Close { id, reply } => drop(reply.send(id == 3)),
                    Ask::Figures(_) | Ask::SetPolicy { .. } | Ask::Message { .. } => {}
                }
            }
        });
        listen(dir, asker)
    }

    #[test]
    fn requests_are_answered_and_the_file_is_private() {
        let dir = long_dir();
        assert!(matches!(ask(dir.path(), &Request::Sessions {}), Err(ControlError::NoAgent { .. })));
        let socket = agent(dir.path()).unwrap();
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let Ok(Reply::Sessions { sessions }) = ask(dir.path(), &Request::Sessions {}) else { panic!("no list") };
        assert_eq!(sessions.iter().map(|s| s.id).collect::<Vec<_>>(), [3]);
        assert_eq!(ask(dir.path(), &Request::Close { id: 3 }).unwrap(), Reply::Closed { id: 3 });
        assert_eq!(ask(dir.path(), &Request::Close { id: 4 }).unwrap(), Reply::NoSuchSession { id: 4 });
        assert!(matches!(agent(dir.path()), Err(ControlError::Taken { .. })), "one agent to a state directory");
        drop(socket);
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn what_a_killed_agent_left_is_replaced() {
        let dir = long_dir();
        let (_open, name) = platform::short(dir.path()).unwrap();
        drop(UnixListener::bind(name).unwrap());
        assert!(dir.path().join(FILE).exists(), "nobody removed it");
        assert!(matches!(ask(dir.path(), &Request::Sessions {}), Err(ControlError::NoAgent { .. })));
        let _socket = agent(dir.path()).unwrap();
        assert!(ask(dir.path(), &Request::Sessions {}).is_ok());
    }

    #[test]
    fn nonsense_is_answered_as_such_and_too_long_a_line_is_cut() {
        let dir = long_dir();
        let _socket = agent(dir.path()).unwrap();
        let say = |text: &[u8]| {
            let (_open, name) = platform::short(dir.path()).unwrap();
            let mut stream = UnixStream::connect(name).unwrap();
            stream.write_all(text).unwrap();
            read_line(&mut stream, MOST_REPLY).and_then(|line| Ok(serde_json::from_str::<Reply>(&line)?))
        };
        for text in ["{}\n", "{\"ask\":\"sessions\",\"more\":1}\n", "{\"ask\":\"close\",\"id\":-1}\n", "\n"] {
            assert!(matches!(say(text.as_bytes()), Ok(Reply::Failed { .. })), "{text}");
        }
        assert!(matches!(say(&[b'x'; MOST_REQUEST + 4096]), Ok(Reply::Failed { .. }) | Err(_)));
        assert!(ask(dir.path(), &Request::Sessions {}).is_ok(), "it goes on");
    }
}
