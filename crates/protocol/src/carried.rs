//! What a WebSocket's binary messages carry: a byte for the lane, then what the lane says (`protocol-spec/websocket.md`).
//!
//! A datagram, a control message and a chunk stand there without a length of their own: the message has one. How long each
//! may be depends on what the peer has proven, so that the reader judges it with a limit.

use crate::{Chunk, MAX_CHUNK};

/// The subprotocol of this version; the ALPN's name with a dot, because a slash has no place there.
// spec: WS-3
pub const SUBPROTOCOL: &str = "telepane.1";
/// The subprotocol of every version, only to tell "another version" from "not Telepane".
// spec: WS-3
pub const SUBPROTOCOL_ANY_VERSION: &str = "telepane";
/// The path that is asked for.
// spec: WS-2
pub const PATH: &str = "/telepane";
/// The longest datagram, in bytes.
// spec: WS-8
pub const MAX_DATAGRAM: usize = 1_200;
/// The longest message of all, in bytes: a control message and the lane's byte.
// spec: WS-7
pub const MAX_MESSAGE: usize = crate::MAX_CONTROL + 1;
/// What is read of a close's text, in bytes.
const MAX_CLOSE_TEXT: usize = 256;

const DATAGRAM: u8 = 0;
const CONTROL: u8 = 1;
const CHUNK: u8 = 2;
const CLOSE: u8 = 3;

/// One message, borrowed from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried<'a> {
    /// A datagram.
    Datagram(&'a [u8]),
    /// A message of the control stream.
    Control(&'a [u8]),
    /// A chunk of the bulk lane.
    Chunk(&'a [u8]),
    /// The sender ends the connection.
    Close {
        /// Why, as in `lanes.md`.
        code: u32,
        /// In words; hostile.
        text: &'a [u8],
    },
    /// Of a later version: skipped.
    Unknown,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It is longer than its lane allows, or a close shorter than its code.
    Length,
    /// A control message longer than what the peer has proven allows.
    ControlTooLong,
}

impl<'a> Carried<'a> {
    /// Reads a message; a control message may have `control_limit` bytes.
    ///
    /// # Errors
    /// When the length does not fit the lane.
    // spec: WS-6, WS-7, WS-8
    pub fn decode(message: &'a [u8], control_limit: usize) -> Result<Self, Malformed> {
        let Some((lane, body)) = message.split_first() else { return Ok(Self::Unknown) };
        match *lane {
            DATAGRAM if body.len() > MAX_DATAGRAM => Err(Malformed::Length),
            DATAGRAM => Ok(Self::Datagram(body)),
            CONTROL if body.len() > control_limit => Err(Malformed::ControlTooLong),
            CONTROL => Ok(Self::Control(body)),
            CHUNK if body.len() > MAX_CHUNK + Chunk::HEADER => Err(Malformed::Length),
            CHUNK => Ok(Self::Chunk(body)),
            CLOSE => {
                let (code, text) = body.split_first_chunk::<4>().ok_or(Malformed::Length)?;
                let text = text.get(..MAX_CLOSE_TEXT.min(text.len())).unwrap_or_default();
                Ok(Self::Close { code: u32::from_be_bytes(*code), text })
            }
            _ => Ok(Self::Unknown),
        }
    }

    /// Writes it; nothing for [`Carried::Unknown`].
    pub fn encode(&self) -> Vec<u8> {
        let (lane, code, body) = match *self {
            Self::Datagram(body) => (DATAGRAM, None, body),
            Self::Control(body) => (CONTROL, None, body),
            Self::Chunk(body) => (CHUNK, None, body),
            Self::Close { code, text } => (CLOSE, Some(code.to_be_bytes()), text),
            Self::Unknown => return Vec::new(),
        };
        let mut out = Vec::with_capacity(body.len() + 5);
        out.push(lane);
        out.extend(code.into_iter().flatten());
        out.extend_from_slice(body);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: WS-6
    #[test]
    fn what_is_written_is_read_and_what_is_unknown_is_skipped() {
        let all = [
            Carried::Datagram(b"d"),
            Carried::Datagram(b""),
            Carried::Control(&[7; 2000]),
            Carried::Chunk(&[8; MAX_CHUNK]),
            Carried::Close { code: 0x7405, text: b"wrong-version" },
        ];
        for message in all {
            assert_eq!(Carried::decode(&message.encode(), 65_536), Ok(message));
        }
        assert_eq!(Carried::Close { code: 0x7400, text: b"bye" }.encode(), b"\x03\x00\x00\x74\x00bye");
        for skipped in [&b""[..], b"\x04", b"\xffrest"] {
            assert_eq!(Carried::decode(skipped, 0), Ok(Carried::Unknown));
        }
    }

    // spec: WS-7, WS-8
    #[test]
    fn each_lane_has_its_longest_message() {
        let of = |lane: u8, len: usize| Carried::decode(&[&[lane][..], &vec![0; len]].concat(), 1024).map(|_| ());
        assert_eq!(of(DATAGRAM, MAX_DATAGRAM), Ok(()));
        assert_eq!(of(DATAGRAM, MAX_DATAGRAM + 1), Err(Malformed::Length));
        assert_eq!(of(CONTROL, 1024), Ok(()));
        assert_eq!(of(CONTROL, 1025), Err(Malformed::ControlTooLong));
        assert_eq!(of(CHUNK, MAX_CHUNK + Chunk::HEADER), Ok(()));
        assert_eq!(of(CHUNK, MAX_CHUNK + Chunk::HEADER + 1), Err(Malformed::Length));
        assert_eq!(of(CLOSE, 3), Err(Malformed::Length));
        let long = Carried::Close { code: 1, text: &[b'x'; 5000] }.encode();
        assert_eq!(Carried::decode(&long, 0), Ok(Carried::Close { code: 1, text: &[b'x'; MAX_CLOSE_TEXT] }));
    }
}
