//! The control socket: how `telepane-host session …` talks to a running agent.
//!
//! A Unix socket of mode 0600 in the state directory. Besides the file's mode, each connection's credentials are asked of
//! the system: only the agent's own user and root are heard. A connection carries one request and one reply, each a line
//! of JSON; the reply to what is not understood says so. The desk loop answers (see [`crate::ask`]).

use crate::ask::{Asker, SessionInfo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Who is connected.
    Sessions {},
    /// Change what a session must keep to.
    SetPolicy {
        /// Its number.
        id: u64,
        /// What is set, by names and values.
        settings: Vec<(String, String)>,
    },
    /// Show a sentence to a session's person.
    Message {
        /// Its number; none for all.
        id: Option<u64>,
        /// The sentence.
        text: String,
    },
    /// End a session.
    Close {
        /// Its number.
        id: u64,
    },
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// All sessions, by number.
    Sessions {
        /// Them.
        sessions: Vec<SessionInfo>,
    },
    /// What a session keeps to now.
    Policy {
        /// Which.
        id: u64,
        /// By the knobs' names.
        policy: BTreeMap<String, u64>,
    },
    /// A setting cannot be understood.
    BadSetting {
        /// Which, and what to write.
        why: String,
    },
    /// So many people are there to read it.
    Shown {
        /// How many.
        people: usize,
    },
    /// It is over.
    Closed {
        /// Which.
        id: u64,
    },
    /// There is none with this number.
    NoSuchSession {
        /// Which.
        id: u64,
    },
    /// It could not be answered.
    Failed {
        /// Why.
        why: String,
    },
}

/// Why an agent cannot be spoken to.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no agent runs with the state directory {}; start one with `telepane-host serve`, or name its --state-dir", state.display())]
    NoAgent {
        /// The state directory.
        state: PathBuf,
    },
    /// It belongs to somebody else.
    #[error("not allowed to speak to the agent of {}; run this as the user it runs as", state.display())]
    NotAllowed {
        /// The state directory.
        state: PathBuf,
    },
    /// It did not answer as it should.
    #[error("the agent gave no usable answer: {0}; is it of another version, or stuck?")]
    NoAnswer(String),
    /// The socket cannot be made.
    #[error("cannot listen at {}: {error}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// The system's word.
        error: std::io::Error,
    },
    /// Another agent has it.
    #[error("another agent runs with the state directory {}", state.display())]
    Taken {
        /// The state directory.
        state: PathBuf,
    },
}

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
    let (_dir, short) = short(state).map_err(failed)?;
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
    let (_dir, short) = short(state).map_err(|e| match e.kind() {
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
    let peer = rustix::net::sockopt::socket_peercred(&stream)?.uid;
    if !peer.is_root() && peer != rustix::process::geteuid() {
        tracing::warn!(uid = peer.as_raw(), "another user tried the control socket");
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

fn carry_out(request: &Request, asker: &Asker) -> Reply {
    let answer = match request {
        Request::Sessions {} => asker.sessions().map(|sessions| Reply::Sessions { sessions }),
        Request::SetPolicy { id, settings } => asker.set_policy(*id, settings.clone()).map(|answer| match answer {
            Some(Ok(policy)) => Reply::Policy { id: *id, policy },
            Some(Err(why)) => Reply::BadSetting { why },
            None => Reply::NoSuchSession { id: *id },
        }),
        Request::Message { id, text } => asker.message(*id, text.clone()).map(|answer| match answer {
            Some(people) => Reply::Shown { people },
            None => Reply::NoSuchSession { id: id.unwrap_or_default() },
        }),
        Request::Close { id } => asker.close(*id).map(|closed| match closed {
            true => Reply::Closed { id: *id },
            false => Reply::NoSuchSession { id: *id },
        }),
    };
    answer.unwrap_or_else(|| Reply::Failed { why: "the desk loop does not answer".into() })
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

/// The socket's name by way of its open directory: a socket's name has at most 107 bytes, a state directory's may have more.
fn short(state: &Path) -> std::io::Result<(File, PathBuf)> {
    let dir = File::open(state)?;
    let name = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(FILE);
    Ok((dir, name))
}

fn inode(path: &Path) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::ino(&std::fs::symlink_metadata(path).ok()?))
}

/// The socket's name in the state directory.
pub const FILE: &str = "agent.sock";
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
    use crate::ask::Ask;
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
        let (_open, name) = short(dir.path()).unwrap();
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
            let (_open, name) = short(dir.path()).unwrap();
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
