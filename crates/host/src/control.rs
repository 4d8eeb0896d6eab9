//! The control socket: how `telepane-host session …` talks to a running agent.
//!
//! A Unix socket of mode 0600 in the state directory. Besides the file's mode, each connection's credentials are asked of
//! the system: only the agent's own user and root are heard. A connection carries one request and one reply, each a line
//! of JSON; the reply to what is not understood says so. The desk loop answers (see [`crate::ask`]). A system without Unix's sockets
//! has none of this yet, and says so.

use crate::ask::{Asker, SessionInfo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use thiserror::Error;

#[cfg(unix)]
mod socket;

#[cfg(unix)]
pub use socket::{ControlSocket, ask, listen};

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
    /// There is no such socket here.
    #[error("speaking to a running agent is not there on this system yet")]
    NotThere,
    /// Another agent has it.
    #[error("another agent runs with the state directory {}", state.display())]
    Taken {
        /// The state directory.
        state: PathBuf,
    },
}

#[cfg_attr(not(unix), allow(dead_code, reason = "nobody can ask"))]
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

/// A listening socket: there is none.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct ControlSocket(std::convert::Infallible);

/// Listens nowhere.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub fn listen(_: &std::path::Path, _: Asker) -> Result<ControlSocket, ControlError> {
    Err(ControlError::NotThere)
}

/// Reaches nobody.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub const fn ask(_: &std::path::Path, _: &Request) -> Result<Reply, ControlError> {
    Err(ControlError::NotThere)
}

/// The socket's name in the state directory.
pub const FILE: &str = "agent.sock";
