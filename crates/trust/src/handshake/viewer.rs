//! The viewer's side of the handshake.
//!
//! The host is the primary adversary here: nothing it says lets the viewer believe in it except the proof of the code, or
//! an identity that was trusted before the handshake began.

use super::{MAX_STARTS, Method, next_seed};
use crate::client_key::ClientKey;
use crate::code::AccessCode;
use crate::fingerprint::Fingerprint;
use crate::message::{AuthMessage, DecodeError, Label, RefuseReason};
use crate::pake::{ViewerKeys, ViewerPake};
use crate::seed::{Exporter, Seed};
use telepane_model::Span;

/// What a viewer brings to one connection.
#[derive(Debug)]
pub struct ViewerOffer {
    /// From this TLS connection.
    pub exporter: Exporter,
    /// Of the identity key that signed the host's TLS leaf.
    pub fingerprint: Fingerprint,
    /// The fingerprint is already trusted: pinned, given with `--fingerprint`, or a person said yes.
    pub pinned: bool,
    /// The client's key: offered to a pinned host, and enrolled after a code.
    pub client_key: Option<ClientKey>,
    /// The code, when it is at hand.
    pub code: Option<AccessCode>,
    /// What this machine calls itself.
    pub name: Label,
    /// The user asked for; empty for the session's owner.
    pub user: Label,
    /// Random bytes for this connection.
    pub seed: Seed,
}

/// What the viewer does next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one per connection, moved once per message")]
pub enum ViewerStep {
    /// Send this and wait for the host.
    Reply {
        /// The machine from here on.
        auth: ViewerAuth,
        /// To be sent.
        reply: AuthMessage,
    },
    /// A code is needed before anything can be sent; see [`NeedCode::with_code`].
    NeedCode(NeedCode),
    /// The host is who it should be, and the viewer is in.
    Accepted {
        /// What both sides relied on. After [`Method::Code`] the fingerprint is proven and may be pinned without asking.
        method: Method,
        /// The client's key asks nothing from now on.
        enrolled: bool,
    },
    /// It is over: close the connection.
    Refused(Refused),
}

/// Why the viewer does not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The host said so.
    #[error("{reason}")]
    ByHost {
        /// Its reason.
        reason: RefuseReason,
        /// How long it asks to wait.
        wait: Span,
    },
    /// The host accepted without proving the code, or with a wrong proof.
    #[error("the host did not prove that it knows the access code; somebody may stand between the two machines")]
    HostNotProven,
    /// What came is not the handshake.
    #[error("the host's answer was not understood ({0}); is it Telepane?")]
    Malformed(DecodeError),
    /// A message that has no place here.
    #[error("the host broke the order of the handshake")]
    OutOfOrder,
    /// The host speaks another version.
    #[error("the host speaks handshake version {0}; update the older side")]
    Version(u8),
}

/// Why a code is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeWanted {
    /// Nothing is known of this host and no code was given.
    FirstContact,
    /// The host does not know the key.
    UnknownClient,
    /// The last code was wrong.
    WrongCode,
    /// The host wants time to pass first; the code itself was not examined.
    Throttled,
}

/// The viewer's machine for one connection.
#[derive(Debug)]
pub struct ViewerAuth {
    offer: ViewerOffer,
    starts: u8,
    wait: ViewerWait,
}

enum ViewerWait {
    /// Start was sent, with the key and the exchange it holds.
    Answer { with_key: bool, pake: Option<ViewerPake> },
    /// Confirm was sent.
    Accept { keys: ViewerKeys },
}

impl core::fmt::Debug for ViewerWait {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Answer { .. } => "Answer",
            Self::Accept { .. } => "Accept",
        })
    }
}

/// A handshake that waits for a person, or for time to pass.
#[derive(Debug)]
pub struct NeedCode {
    /// Why.
    pub why: CodeWanted,
    /// How long the host wants to wait before the next try.
    pub wait: Span,
    offer: ViewerOffer,
    starts: u8,
}

impl NeedCode {
    /// Goes on with a code.
    pub fn with_code(mut self, code: AccessCode) -> ViewerStep {
        self.offer.code = Some(code);
        start(self.offer, self.starts)
    }

    /// Goes on with the code that was not examined; `None` when there is none to repeat.
    pub fn retry(self) -> Option<ViewerStep> {
        (self.why == CodeWanted::Throttled && self.offer.code.is_some()).then(|| start(self.offer, self.starts))
    }
}

impl ViewerAuth {
    /// Begins: the first message, or the wish for a code.
    pub fn begin(offer: ViewerOffer) -> ViewerStep {
        start(offer, 0)
    }

    /// Handles what came off the wire; what cannot be read ends the handshake.
    pub fn handle_bytes(self, bytes: &[u8]) -> ViewerStep {
        match AuthMessage::decode(bytes) {
            Ok(message) => self.handle(message),
            Err(DecodeError::Version(v)) => ViewerStep::Refused(Refused::Version(v)),
            Err(error) => ViewerStep::Refused(Refused::Malformed(error)),
        }
    }

    /// Handles one message.
    pub fn handle(self, message: AuthMessage) -> ViewerStep {
        let Self { offer, starts, wait } = self;
        match (wait, message) {
            (ViewerWait::Answer { pake: Some(pake), .. }, AuthMessage::HostPake { pake: theirs }) => {
                let keys = match pake.finish(&theirs, &offer.exporter, &offer.fingerprint) {
                    Ok(keys) => keys,
                    Err(_) => {
                        return ViewerStep::Refused(Refused::HostNotProven);
                    }
                };
                let enrol = offer.client_key.as_ref().map(|k| k.prove(&offer.exporter, &offer.fingerprint));
                let reply = AuthMessage::ViewerConfirm { confirmation: keys.confirmation(), enrol };
                ViewerStep::Reply { auth: Self { offer, starts, wait: ViewerWait::Accept { keys } }, reply }
            }
            // A key proves nothing about the host, so this is only good enough for one that is pinned.
            // spec: A-23
            (ViewerWait::Answer { with_key: true, .. }, AuthMessage::HostAccept { confirmation: None, enrolled })
                if offer.pinned =>
            {
                ViewerStep::Accepted { method: Method::ClientKey, enrolled }
            }
            (ViewerWait::Accept { keys }, AuthMessage::HostAccept { confirmation: Some(theirs), enrolled }) => {
                match keys.verify_host(&theirs) {
                    Ok(()) => ViewerStep::Accepted { method: Method::Code, enrolled },
                    Err(_) => ViewerStep::Refused(Refused::HostNotProven),
                }
            }
            // spec: A-23
            (_, AuthMessage::HostAccept { .. }) => ViewerStep::Refused(Refused::HostNotProven),
            (_, AuthMessage::HostRefuse { reason, again, wait_ms }) => {
                let wait = Span::millis(u64::from(wait_ms));
                let why = match reason {
                    RefuseReason::WrongCode => CodeWanted::WrongCode,
                    RefuseReason::UnknownClient => CodeWanted::UnknownClient,
                    RefuseReason::Throttled => CodeWanted::Throttled,
                    _ => return ViewerStep::Refused(Refused::ByHost { reason, wait }),
                };
                if !again || starts >= MAX_STARTS {
                    return ViewerStep::Refused(Refused::ByHost { reason, wait });
                }
                ViewerStep::NeedCode(NeedCode { why, wait, offer, starts })
            }
            _ => ViewerStep::Refused(Refused::OutOfOrder),
        }
    }
}

// spec
fn start(offer: ViewerOffer, starts: u8) -> ViewerStep {
    // The key was refused once on this connection when this is not the first start; it is not offered again.
    let key = match &offer.client_key {
        Some(key) if offer.pinned && starts == 0 => Some(key.prove(&offer.exporter, &offer.fingerprint)),
        _ => None,
    };
    let exchange =
        offer.code.as_ref().map(|code| ViewerPake::start(code, &next_seed(&offer.seed, starts, b"viewer pake")));
    let (pake, element) = match exchange {
        Some((pake, element)) => (Some(pake), Some(element)),
        None => (None, None),
    };
    if key.is_none() && element.is_none() {
        return ViewerStep::NeedCode(NeedCode { why: CodeWanted::FirstContact, wait: Span::ZERO, offer, starts });
    }
    let wait = ViewerWait::Answer { with_key: key.is_some(), pake };
    let reply = AuthMessage::ViewerStart { name: offer.name.clone(), user: offer.user.clone(), key, pake: element };
    ViewerStep::Reply { auth: ViewerAuth { offer, starts: starts.saturating_add(1), wait }, reply }
}
