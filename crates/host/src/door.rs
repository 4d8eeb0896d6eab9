//! Who may come in: drives `trust::handshake` for each connection until somebody is let in or sent away.
//!
//! Until then a connection may say hello, authenticate, and nothing else.

use crate::clock::unix_secs;
use crate::permissions::PermissionsFile;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use telepane_auth::{Enrolled, code_file, random};
use telepane_model::{HostClock, Stamp};
use telepane_protocol::clip::taken;
use telepane_protocol::control::Control;
use telepane_protocol::{Capabilities, Capability, OLDEST_VERSION, Proofs, RefuseReason, VERSION, agree_version};
use telepane_trust::{
    AccessCode, Admission, Authenticated, ClientId, ClientPublic, Door as TrustDoor, Exporter, Feature, FeatureSet,
    Fingerprint, HostAuth, HostStep, Throttle,
};

/// Everything that decides who comes in, shared by all connections.
pub struct Doorkeeper {
    fingerprint: Fingerprint,
    throttle: Throttle,
    code: AccessCode,
    /// The file the code was made into by this agent; `None` when a person chose the code.
    own_code_file: Option<PathBuf>,
    enrolled: Enrolled,
    permissions: PermissionsFile,
    /// Grows with every change of the list or of the permissions.
    changes: u64,
    /// That the list cannot be read was said.
    complained: bool,
    /// A directory of files is given out.
    pub files: bool,
    /// What the desktop takes of hands: the value of [`Capability::Hands`].
    pub hands: u64,
}

/// A connection at the door.
pub struct Caller {
    peer: IpAddr,
    auth: Option<HostAuth>,
    greeted: bool,
    /// The socket's receive buffer, which the caller is told.
    recv_buffer: usize,
    /// What the caller said it can do.
    pub capabilities: Capabilities,
    /// Set once it is let in.
    pub who: Option<Authenticated>,
}

/// What to do with a caller's message.
pub enum Answer {
    /// Send these and go on.
    Go(Vec<Control>),
    /// Send these: the caller is in.
    In(Vec<Control>),
    /// Send these and close.
    Out(Vec<Control>),
}

impl Doorkeeper {
    /// Opens the list of enrolled clients in `state`, and takes the code from `code_file` or makes a fresh one.
    pub fn open(
        state: &Path,
        code: Option<&Path>,
        own: &Path,
        fingerprint: Fingerprint,
        permissions: PermissionsFile,
    ) -> anyhow::Result<Self> {
        let (code, own_code_file) = match code {
            Some(path) => (code_file::read(path)?, None),
            None => (code_file::write_fresh(own)?, Some(own.to_owned())),
        };
        let enrolled = Enrolled::open(state)?;
        Ok(Self {
            fingerprint,
            throttle: Throttle::default(),
            code,
            own_code_file,
            enrolled,
            permissions,
            changes: 0,
            complained: false,
            files: false,
            hands: 0,
        })
    }

    /// Looks whether the list of enrolled clients or the permission file changed. The answer grows with every change, so
    /// that whoever remembers it knows when to ask [`Self::is_enrolled`] and [`Self::features`] again.
    pub fn refresh(&mut self) -> u64 {
        match self.enrolled.refresh() {
            Ok(changed) => {
                self.changes += u64::from(changed);
                self.complained = false;
            }
            // Nobody comes in by key until it can be read; who is in stays, or a slip of an editor would end every session.
            Err(error) if !self.complained => {
                self.complained = true;
                tracing::warn!(%error, "the list of enrolled clients cannot be read; nobody comes in by key until it can");
            }
            Err(_) => {}
        }
        self.changes += u64::from(self.permissions.refresh());
        self.changes
    }

    /// Whether this client's key stands in the list as it was last read.
    pub fn is_enrolled(&self, client: &ClientId) -> bool {
        self.enrolled.contains_id(client)
    }

    /// What somebody may do who was let in and says that this is their name.
    pub fn features(&self, user: &str) -> FeatureSet {
        self.permissions.granted(user)
    }

    /// The code, when this agent made it by itself and has to tell it.
    pub fn own_code(&self) -> Option<String> {
        self.own_code_file.as_ref().map(|_| self.code.reveal().to_string())
    }

    /// Somebody connected.
    pub fn greet(&self, peer: IpAddr, exporter: [u8; 32], recv_buffer: usize) -> anyhow::Result<Caller> {
        let auth = HostAuth::new(Exporter::new(exporter), self.fingerprint, random::seed()?);
        let capabilities = Capabilities::default();
        Ok(Caller { peer, auth: Some(auth), greeted: false, recv_buffer, capabilities, who: None })
    }

    /// A caller said something.
    pub fn on_message(&mut self, caller: &mut Caller, message: &[u8], now: Stamp<HostClock>) -> Answer {
        match Control::decode(message) {
            Ok(Control::Hello { oldest, newest, agent, capabilities }) if !caller.greeted => {
                caller.greeted = true;
                tracing::info!(peer = %caller.peer, %agent, "hello");
                caller.capabilities = capabilities;
                if let Err(fault) = agree_version(oldest, newest) {
                    tracing::warn!(peer = %caller.peer, fault = fault.name(), oldest, newest, "sent away");
                    let text =
                        format!("this agent speaks versions {OLDEST_VERSION} to {VERSION}; update the older side");
                    return Answer::Out(vec![Control::Refuse { reason: RefuseReason::Version, text }]);
                }
                Answer::Go(vec![self.hello(caller.recv_buffer)])
            }
            Ok(Control::Auth(bytes)) if caller.greeted => self.on_auth(caller, &bytes, now),
            other => {
                tracing::warn!(peer = %caller.peer, fault = ?other.err(), "a message that has no place at the door");
                let text = "say hello and authenticate first".into();
                Answer::Out(vec![Control::Refuse { reason: RefuseReason::Authentication, text }])
            }
        }
    }

    fn on_auth(&mut self, caller: &mut Caller, bytes: &[u8], now: Stamp<HostClock>) -> Answer {
        let Some(auth) = caller.auth.take() else { return Answer::Out(Vec::new()) };
        self.refresh();
        let enrolled = |key: &ClientPublic| self.enrolled.contains(key);
        let admit = |who: &Authenticated| match self.permissions.granted(who.user.as_str()).has(Feature::Display) {
            true => Admission::AdmitAndEnrol,
            false => Admission::Refuse,
        };
        let mut gate = TrustDoor {
            throttle: &mut self.throttle,
            peer: caller.peer.into(),
            now,
            code: Some(&self.code),
            enrolled: &enrolled,
            admit: &admit,
            rotate_code: false,
        };
        let step = auth.handle_bytes(bytes, &mut gate);
        let rotate = gate.rotate_code;
        if rotate {
            self.rotate_code();
        }
        match step {
            HostStep::Reply { auth, reply } => {
                caller.auth = Some(auth);
                Answer::Go(vec![Control::Auth(reply.encode())])
            }
            HostStep::Accepted { reply, who } => {
                tracing::info!(peer = %caller.peer, name = who.name.as_str(), method = ?who.method, "let in");
                self.remember(&who);
                caller.who = Some(who);
                Answer::In(vec![Control::Auth(reply.encode())])
            }
            HostStep::Refused { reply, reason } => {
                tracing::warn!(peer = %caller.peer, %reason, "sent away");
                Answer::Out(vec![Control::Auth(reply.encode())])
            }
        }
    }

    fn remember(&mut self, who: &Authenticated) {
        // Enrolling reads the list anew, and with it what others changed.
        self.changes += 1;
        if let Some(key) = who.enrol
            && let Err(error) = self.enrolled.enrol(key, &who.name, unix_secs())
        {
            tracing::warn!(%error, "the client's key could not be kept; it will need the code again");
        }
    }

    /// Too many wrong guesses: a code this agent made is replaced; one that a person chose stays.
    fn rotate_code(&mut self) {
        let Some(path) = &self.own_code_file else { return };
        match code_file::write_fresh(path) {
            Ok(code) => {
                self.code = code;
                tracing::warn!("too many wrong codes: a new one was made; `telepane-host code` prints it");
            }
            Err(error) => tracing::warn!(%error, "too many wrong codes, and a new one could not be written"),
        }
    }

    fn hello(&self, recv_buffer: usize) -> Control {
        let capabilities = Capabilities::default()
            .with(Capability::Ops, telepane_codec::wire::kind::CODED)
            .with(Capability::CacheBytes, crate::coders::CACHE_BYTES)
            .with(Capability::Clipboard, taken(true))
            .with(Capability::Sound, 1)
            .with(Capability::Files, if self.files { 3 } else { 0 })
            .with(Capability::Life, 1)
            .with(Capability::Proofs, Proofs::MOST as u64)
            .with(Capability::Reports, 3)
            .with(Capability::Keys, 1)
            .with(Capability::Hands, self.hands)
            .with(Capability::ReceiveBuffer, recv_buffer as u64);
        Control::Hello {
            oldest: OLDEST_VERSION,
            newest: VERSION,
            capabilities,
            agent: concat!("telepane-host ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

#[cfg(test)]
mod tests;
