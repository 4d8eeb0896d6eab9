//! The host's side of the handshake.
//!
//! Whatever the viewer sends, the answer is one of: go on, a refusal after which it may start over, or the end. What only the host knows
//! is asked of the [`Gate`] at the moment it is needed. A guess is reserved before it is examined.

use super::{Authenticated, MAX_STARTS, MAX_WRONG_CODES, Method, next_seed};
use crate::client_key::ClientPublic;
use crate::code::{AccessCode, MAX_CHARS};
use crate::fingerprint::Fingerprint;
use crate::gate::{Admission, Gate};
use crate::message::{AuthMessage, DecodeError, Label, RefuseReason};
use crate::pake::{Confirmation, HostKeys, HostPake, PakeMessage};
use crate::seed::{Exporter, Seed};
use crate::throttle::Verdict;
use telepane_model::Span;

/// What the host does next.
#[derive(Debug)]
pub enum HostStep {
    /// Send this and wait for the next message.
    Reply {
        /// The machine from here on.
        auth: HostAuth,
        /// To be sent.
        reply: AuthMessage,
    },
    /// Send this; the viewer is in.
    Accepted {
        /// To be sent.
        reply: AuthMessage,
        /// Who it is. `enrol` is set when the key must be written to the list.
        who: Authenticated,
    },
    /// Send this and close the connection.
    Refused {
        /// To be sent.
        reply: AuthMessage,
        /// What it says.
        reason: RefuseReason,
    },
}

/// The host's machine for one connection.
#[derive(Debug)]
pub struct HostAuth {
    exporter: Exporter,
    fingerprint: Fingerprint,
    seed: Seed,
    starts: u8,
    wrong_codes: u8,
    wait: HostWait,
}

enum HostWait {
    Start,
    Confirm { keys: HostKeys, name: Label, user: Label, has_code: bool },
}

impl core::fmt::Debug for HostWait {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Start => "Start",
            Self::Confirm { .. } => "Confirm",
        })
    }
}

impl HostAuth {
    /// Waits for a viewer on the connection that `exporter` came from; `fingerprint` is this host's own.
    pub fn new(exporter: Exporter, fingerprint: Fingerprint, seed: Seed) -> Self {
        Self { exporter, fingerprint, seed, starts: 0, wrong_codes: 0, wait: HostWait::Start }
    }

    /// Handles what came off the wire; what cannot be read ends the handshake.
    // spec, F-3
    pub fn handle_bytes(self, bytes: &[u8], gate: &mut dyn Gate) -> HostStep {
        match AuthMessage::decode(bytes) {
            Ok(message) => self.handle(message, gate),
            Err(DecodeError::Version(_)) => refused(RefuseReason::VersionMismatch),
            Err(_) => refused(RefuseReason::Malformed),
        }
    }

    /// Handles one message.
    pub fn handle(mut self, message: AuthMessage, gate: &mut dyn Gate) -> HostStep {
        match (core::mem::replace(&mut self.wait, HostWait::Start), message) {
            (HostWait::Start, AuthMessage::ViewerStart { name, user, key, pake }) => {
                self.starts = self.starts.saturating_add(1);
                if self.starts > MAX_STARTS {
                    return refused(RefuseReason::TooManyTries);
                }
                // spec
                if let Some(proof) = key {
                    // Both are always asked: an outsider must not learn from the time taken whether a key is enrolled.
                    let proven = proof.verify(&self.exporter, &self.fingerprint);
                    let enrolled = gate.is_enrolled(&proof.public);
                    if proven & enrolled {
                        let client = Some(proof.public.id());
                        let who = Authenticated { method: Method::ClientKey, client, enrol: None, name, user };
                        return accepted(who, None, gate);
                    }
                }
                match pake {
                    Some(element) => self.answer_pake(&element, name, user, gate),
                    None => self.again(RefuseReason::UnknownClient, Span::ZERO),
                }
            }
            (HostWait::Confirm { keys, name, user, has_code }, AuthMessage::ViewerConfirm { confirmation, enrol }) => {
                // spec: A-33
                if let Verdict::Wait(wait) = gate.reserve_guess() {
                    return self.again(RefuseReason::Throttled, wait);
                }
                let proven = keys.verify_viewer(&confirmation);
                // spec: A-25
                let enrol = enrol.filter(|proof| proof.verify(&self.exporter, &self.fingerprint)).map(|p| p.public);
                match proven {
                    // spec: A-24
                    Ok(ours) if has_code => {
                        gate.settle_guess(true);
                        let client = enrol.as_ref().map(ClientPublic::id);
                        accepted(Authenticated { method: Method::Code, client, enrol, name, user }, Some(ours), gate)
                    }
                    _ => {
                        gate.settle_guess(false);
                        self.wrong_code(gate)
                    }
                }
            }
            // spec: A-27
            _ => refused(RefuseReason::Malformed),
        }
    }

    fn answer_pake(mut self, element: &PakeMessage, name: Label, user: Label, gate: &mut dyn Gate) -> HostStep {
        if let Verdict::Wait(wait) = gate.may_guess() {
            return self.again(RefuseReason::Throttled, wait);
        }
        let code = gate.code();
        let has_code = code.is_some();
        // Without a code the exchange runs over one that nobody knows, so that both look the same from outside.
        // spec: A-35
        let code = code.unwrap_or_else(|| AccessCode::generate(MAX_CHARS, &self.next_seed(b"nobody's code")));
        let (ours, reply) = HostPake::start(&code, &self.next_seed(b"host pake"));
        match ours.finish(element, &self.exporter, &self.fingerprint) {
            Ok(keys) => {
                self.wait = HostWait::Confirm { keys, name, user, has_code };
                HostStep::Reply { auth: self, reply: AuthMessage::HostPake { pake: reply } }
            }
            Err(_) => refused(RefuseReason::Malformed),
        }
    }

    // spec: A-26
    fn wrong_code(mut self, gate: &dyn Gate) -> HostStep {
        self.wrong_codes = self.wrong_codes.saturating_add(1);
        if self.wrong_codes >= MAX_WRONG_CODES {
            // The reason stays WrongCode: it is what the person at the other end must know.
            return refused(RefuseReason::WrongCode);
        }
        let wait = match gate.may_guess() {
            Verdict::Wait(wait) => wait,
            _ => Span::ZERO,
        };
        self.again(RefuseReason::WrongCode, wait)
    }

    fn again(self, reason: RefuseReason, wait: Span) -> HostStep {
        if self.starts >= MAX_STARTS {
            return refused(RefuseReason::TooManyTries);
        }
        let reply = AuthMessage::HostRefuse { reason, again: true, wait_ms: whole_millis(wait) };
        HostStep::Reply { auth: self, reply }
    }

    fn next_seed(&mut self, label: &[u8]) -> Seed {
        next_seed(&self.seed, self.starts, label)
    }
}

/// Rounded up, so that a viewer that waits this long has waited long enough.
fn whole_millis(wait: Span) -> u32 {
    u32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u32::MAX)
}

fn refused(reason: RefuseReason) -> HostStep {
    HostStep::Refused { reply: AuthMessage::refuse(reason), reason }
}

// spec
fn accepted(mut who: Authenticated, ours: Option<Confirmation>, gate: &mut dyn Gate) -> HostStep {
    match gate.admit(&who) {
        Admission::Refuse => return refused(RefuseReason::NotAllowed),
        Admission::Admit => who.enrol = None,
        Admission::AdmitAndEnrol => {}
    }
    let enrolled = who.enrol.is_some() || who.method == Method::ClientKey;
    HostStep::Accepted { reply: AuthMessage::HostAccept { confirmation: ours, enrolled }, who }
}
