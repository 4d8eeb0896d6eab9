//! The handshake's messages and their bytes: the only thing that is parsed before somebody is trusted.
//!
//! Layout, all integers big-endian: `version u8 = 1, kind u8, fields`. A message is at most [`MAX_MESSAGE`] bytes and must be used
//! up exactly. On the stream each one follows its length as a `u16` ([`AuthMessage::framed`], [`take_frame`]).
//!
//! | kind | message | fields |
//! |---|---|---|
//! | 1 | `ViewerStart` | flags u8 (1 key, 2 code), name len u8 + UTF-8, user len u8 + UTF-8, [public 32, signature 64], [element 32] |
//! | 2 | `HostPake` | element 32 |
//! | 3 | `ViewerConfirm` | confirmation 32, flags u8 (1 enrol), [public 32, signature 64] |
//! | 4 | `HostAccept` | flags u8 (1 by code, 2 enrolled), [confirmation 32 if by code] |
//! | 5 | `HostRefuse` | reason u8, again u8 (0 or 1), wait in milliseconds u32 |
//!
//! `HostRefuse` keeps this layout in every later version, so that a newer host can tell an older viewer why.

use crate::client_key::{ClientProof, ClientPublic};
use crate::pake::{Confirmation, PakeMessage};
use core::fmt;

/// The version this build speaks.
pub const VERSION: u8 = 1;
/// The most bytes of one encoded message. The longest today has 261.
// spec: A-15
pub const MAX_MESSAGE: usize = 1024;
/// The most bytes of a name.
pub const MAX_LABEL: usize = 64;

/// A name shown to people: at most [`MAX_LABEL`] bytes of UTF-8 without control, line or direction characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Label(String);

impl Label {
    /// The text itself, if it is a label.
    pub fn parse(text: &str) -> Result<Self, DecodeError> {
        if text.len() > MAX_LABEL || !text.chars().all(is_plain) {
            return Err(DecodeError::Label);
        }
        Ok(Self(text.to_owned()))
    }

    /// The nearest label: what does not belong becomes `?`, what is too long is cut.
    pub fn from_lossy(text: &str) -> Self {
        let mut out = String::new();
        for c in text.chars().map(|c| if is_plain(c) { c } else { '?' }) {
            if out.len() + c.len_utf8() > MAX_LABEL {
                break;
            }
            out.push(c);
        }
        Self(out)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not able to forge a log line, move a terminal's cursor or turn the reading direction.
// spec: A-17
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Why the host does not let the viewer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[repr(u8)]
pub enum RefuseReason {
    /// The code was not proven.
    #[error("the access code is wrong; look at the host or run `telepane-host code` there")]
    WrongCode = 1,
    /// The key is not enrolled, or was not proven.
    #[error("this client is not enrolled on the host; connect once with the host's access code")]
    UnknownClient = 2,
    /// Too many wrong codes, from here or in all.
    #[error("too many wrong access codes; wait before the next try")]
    Throttled = 3,
    /// Known, but not permitted.
    #[error("the host knows this client but does not allow it in; ask its owner to check `telepane-host permissions`")]
    NotAllowed = 4,
    /// The other side speaks another version.
    #[error("host and viewer speak different versions; update the older one")]
    VersionMismatch = 5,
    /// What was sent is not the handshake.
    #[error("the handshake was not understood; is the other side Telepane?")]
    Malformed = 6,
    /// This connection has had its tries.
    #[error("too many tries on one connection; connect again")]
    TooManyTries = 7,
}

impl RefuseReason {
    fn from_wire(byte: u8) -> Option<Self> {
        [
            Self::WrongCode,
            Self::UnknownClient,
            Self::Throttled,
            Self::NotAllowed,
            Self::VersionMismatch,
            Self::Malformed,
            Self::TooManyTries,
        ]
        .into_iter()
        .find(|r| *r as u8 == byte)
    }
}

/// One message of the handshake.
#[derive(Clone, Debug)]
pub enum AuthMessage {
    /// Viewer: what it offers. At least one of `key` and `pake`.
    ViewerStart {
        /// The machine's name, for the list of enrolled clients.
        name: Label,
        /// The user asked for; empty means the session's owner.
        user: Label,
        /// A proof by the client's key.
        key: Option<ClientProof>,
        /// The beginning of a proof of the code.
        pake: Option<PakeMessage>,
    },
    /// Host: the other half of the key exchange.
    HostPake {
        /// The host's element.
        pake: PakeMessage,
    },
    /// Viewer: proof of the code, and the key it wants enrolled.
    ViewerConfirm {
        /// The viewer's proof.
        confirmation: Confirmation,
        /// The key to enrol, proven like any other.
        enrol: Option<ClientProof>,
    },
    /// Host: come in.
    HostAccept {
        /// The host's proof of the code; none when a client key was accepted.
        confirmation: Option<Confirmation>,
        /// The offered key is enrolled from now on.
        enrolled: bool,
    },
    /// Host: not now, or not at all.
    HostRefuse {
        /// Why.
        reason: RefuseReason,
        /// Another `ViewerStart` on this connection will be heard.
        again: bool,
        /// How long to wait before it, in milliseconds.
        wait_ms: u32,
    },
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Another version; everything after the first byte is unknown.
    #[error("handshake version {0}, this build speaks {VERSION}")]
    Version(u8),
    /// An unknown kind of message.
    #[error("unknown handshake message {0}")]
    Kind(u8),
    /// The bytes end early.
    #[error("the handshake message ends early")]
    Short,
    /// Bytes are left over.
    #[error("the handshake message has bytes left over")]
    Trailing,
    /// Longer than [`MAX_MESSAGE`].
    #[error("a handshake message of {0} bytes, at most {MAX_MESSAGE} are allowed")]
    Long(usize),
    /// A flag, reason or combination that has no meaning.
    #[error("the handshake message has an impossible field")]
    Field,
    /// A name that is too long, not UTF-8, or holds control characters.
    #[error("a name in the handshake is too long or holds control characters")]
    Label,
}

impl AuthMessage {
    /// A refusal after which the connection ends.
    pub const fn refuse(reason: RefuseReason) -> Self {
        Self::HostRefuse { reason, again: false, wait_ms: 0 }
    }

    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Self::ViewerStart { name, user, key, pake } => {
                out.push(1);
                out.push(u8::from(key.is_some()) | u8::from(pake.is_some()) << 1);
                put_label(&mut out, name);
                put_label(&mut out, user);
                put_proof(&mut out, key.as_ref());
                if let Some(pake) = pake {
                    out.extend_from_slice(&pake.0);
                }
            }
            Self::HostPake { pake } => {
                out.push(2);
                out.extend_from_slice(&pake.0);
            }
            Self::ViewerConfirm { confirmation, enrol } => {
                out.push(3);
                out.extend_from_slice(&confirmation.0);
                out.push(u8::from(enrol.is_some()));
                put_proof(&mut out, enrol.as_ref());
            }
            Self::HostAccept { confirmation, enrolled } => {
                out.push(4);
                out.push(u8::from(confirmation.is_some()) | u8::from(*enrolled) << 1);
                if let Some(confirmation) = confirmation {
                    out.extend_from_slice(&confirmation.0);
                }
            }
            Self::HostRefuse { reason, again, wait_ms } => {
                out.push(5);
                out.push(*reason as u8);
                out.push(u8::from(*again));
                out.extend_from_slice(&wait_ms.to_be_bytes());
            }
        }
        out
    }

    /// The message behind its length, as it goes onto the stream.
    pub fn framed(&self) -> Vec<u8> {
        let body = self.encode();
        // encode() stays below MAX_MESSAGE, so the length fits.
        let mut out = (body.len() as u16).to_be_bytes().to_vec();
        out.extend_from_slice(&body);
        out
    }

    /// Reads exactly one message.
    // spec
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(DecodeError::Long(bytes.len()));
        }
        let mut r = Reader(bytes);
        let version = r.byte()?;
        // A refusal has one layout for all versions; everything else must be ours.
        let kind = match (version, bytes.get(1)) {
            (VERSION, _) | (_, Some(5)) => r.byte()?,
            _ => return Err(DecodeError::Version(version)),
        };
        let message = match kind {
            1 => {
                let flags = r.flags(3)?;
                if flags == 0 {
                    return Err(DecodeError::Field);
                }
                let (name, user) = (r.label()?, r.label()?);
                let key = if flags & 1 != 0 { Some(r.proof()?) } else { None };
                let pake = if flags & 2 != 0 { Some(PakeMessage(r.array()?)) } else { None };
                Self::ViewerStart { name, user, key, pake }
            }
            2 => Self::HostPake { pake: PakeMessage(r.array()?) },
            3 => {
                let confirmation = Confirmation(r.array()?);
                let enrol = if r.flags(1)? != 0 { Some(r.proof()?) } else { None };
                Self::ViewerConfirm { confirmation, enrol }
            }
            4 => {
                let flags = r.flags(3)?;
                let confirmation = if flags & 1 != 0 { Some(Confirmation(r.array()?)) } else { None };
                Self::HostAccept { confirmation, enrolled: flags & 2 != 0 }
            }
            5 => Self::HostRefuse {
                reason: RefuseReason::from_wire(r.byte()?).ok_or(DecodeError::Field)?,
                again: r.flags(1)? != 0,
                wait_ms: u32::from_be_bytes(r.array()?),
            },
            other => return Err(DecodeError::Kind(other)),
        };
        if r.0.is_empty() { Ok(message) } else { Err(DecodeError::Trailing) }
    }
}

/// Takes the first framed message off `buffer`: its bytes and how many bytes of the buffer they and their length use.
/// `None` while more must arrive; an error as soon as the length is impossible, so nothing large is ever awaited.
pub fn take_frame(buffer: &[u8]) -> Result<Option<(&[u8], usize)>, DecodeError> {
    let Some(length) = buffer.get(..2).and_then(|b| <[u8; 2]>::try_from(b).ok()) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes(length));
    match length {
        0 => Err(DecodeError::Short),
        n if n > MAX_MESSAGE => Err(DecodeError::Long(n)),
        n => Ok(buffer.get(2..2 + n).map(|body| (body, 2 + n))),
    }
}

fn put_label(out: &mut Vec<u8>, label: &Label) {
    // A Label never exceeds MAX_LABEL, which fits.
    out.push(label.0.len() as u8);
    out.extend_from_slice(label.0.as_bytes());
}

fn put_proof(out: &mut Vec<u8>, proof: Option<&ClientProof>) {
    if let Some(proof) = proof {
        out.extend_from_slice(&proof.public.0);
        out.extend_from_slice(&proof.signature);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.take(N)?.try_into().map_err(|_| DecodeError::Short)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[b]| b)
    }

    /// A byte of which only the bits in `known` may be set.
    fn flags(&mut self, known: u8) -> Result<u8, DecodeError> {
        let flags = self.byte()?;
        if flags & !known == 0 { Ok(flags) } else { Err(DecodeError::Field) }
    }

    fn label(&mut self) -> Result<Label, DecodeError> {
        let length = usize::from(self.byte()?);
        let text = core::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::Label)?;
        Label::parse(text)
    }

    fn proof(&mut self) -> Result<ClientProof, DecodeError> {
        Ok(ClientProof { public: ClientPublic(self.array()?), signature: self.array()? })
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
