//! Sound on the wire: frames of 10 ms, each an Opus packet, the same both ways.
//!
//! Layout after the datagram's header: `number u32 | captured u32 | [count u8, (length varint, frame)*] | frame`. The
//! copies of the frames before stand only with the flag [`COPIES`]; the packet's own frame is the rest.

use crate::fault::Fault;
use crate::wire::{Put, Reader};
use telepane_model::Span;

/// How much sound a frame holds.
// spec: S-2
pub const SOUND_FRAME: Span = Span::millis(10);
/// Samples a second, for each channel.
pub const SOUND_RATE: u32 = 48_000;
/// Samples of one channel in a frame.
pub const SOUND_SAMPLES: usize = 480;
/// The most bytes of a frame: 320 kbit/s, more than Opus gains anything from (RFC 6716 §2.1.1).
pub const MAX_SOUND_BYTES: usize = 400;
/// The most copies of earlier frames in one packet.
pub const MOST_COPIES: usize = 3;

pub(crate) const LAST: u8 = 0x10;
pub(crate) const COPIES: u8 = 0x20;

/// One frame of sound, with copies of those before it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SoundPacket {
    /// The frame's number; it rises by one with each frame of this direction and wraps.
    pub number: u32,
    /// The low 32 bits of the sender's clock when the frame's first sample was taken.
    pub captured: u32,
    /// Nothing is heard after this frame, and nothing is sent, until something is heard again.
    pub last: bool,
    /// The frame: an Opus packet of one frame of 10 ms.
    pub frame: Vec<u8>,
    /// The frames before, the newest first. At most [`MOST_COPIES`].
    pub earlier: Vec<Vec<u8>>,
}

impl SoundPacket {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> u8 {
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.captured.to_le_bytes());
        let mut flags = if self.last { LAST } else { 0 };
        let earlier = self.earlier.get(..MOST_COPIES).unwrap_or(&self.earlier);
        if !earlier.is_empty() {
            flags |= COPIES;
            out.push(earlier.len() as u8);
            for frame in earlier {
                out.varint(frame.len() as u64);
                out.extend_from_slice(frame);
            }
        }
        out.extend_from_slice(&self.frame);
        flags
    }

    // spec: S-1, S-2, S-3, S-4
    pub(crate) fn decode(flags: u8, r: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut packet = Self { number: r.u32()?, captured: r.u32()?, last: flags & LAST != 0, ..Self::default() };
        if flags & COPIES != 0 {
            let count = usize::from(r.u8()?);
            if count == 0 || count > MOST_COPIES {
                return Err(Fault::BadSound);
            }
            for _ in 0..count {
                let len: usize = r.var()?;
                packet.earlier.push(checked(r.bytes(len)?)?);
            }
        }
        packet.frame = checked(r.rest())?;
        Ok(packet)
    }
}

/// A frame whose first byte promises one Opus frame of 10 ms (RFC 6716 §3.1), of a length that is allowed.
// spec: S-2, S-3
fn checked(frame: &[u8]) -> Result<Vec<u8>, Fault> {
    let Some(toc) = frame.first() else { return Err(Fault::BadSound) };
    // Configurations 0, 4, 8 (SILK), 12, 14 (hybrid) and 18, 22, 26, 30 (CELT) are 10 ms long; code 0 is a lone frame.
    let ten = matches!(toc >> 3, 0 | 4 | 8 | 12 | 14 | 18 | 22 | 26 | 30);
    if !ten || toc & 3 != 0 || frame.len() > MAX_SOUND_BYTES {
        return Err(Fault::BadSound);
    }
    Ok(frame.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Datagram;

    /// CELT, full band, 10 ms, two channels, one frame.
    const TOC: u8 = 30 << 3 | 4;

    // spec: S-1, S-4
    #[test]
    fn a_packet_comes_back_as_it_was_said() {
        let plain = SoundPacket { number: 7, captured: 0xdead_beef, frame: vec![TOC, 1, 2], ..SoundPacket::default() };
        let last = SoundPacket { last: true, ..plain.clone() };
        let copies = SoundPacket { earlier: vec![vec![TOC, 9], vec![TOC], vec![TOC, 8, 8]], ..plain.clone() };
        for packet in [plain, last, copies] {
            let datagram = Datagram::Sound(packet);
            assert_eq!(Datagram::decode(&datagram.encode(3)), Ok((3, datagram)));
        }
    }

    // spec: S-2, S-3, S-4
    #[test]
    fn what_is_not_one_frame_of_ten_milliseconds_is_refused() {
        let head = [6, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0];
        let sound = |flags: u8, body: &[u8]| {
            let mut bytes = [&head[..], body].concat();
            bytes[0] |= flags;
            Datagram::decode(&bytes).err()
        };
        assert_eq!(sound(0, &[TOC]), None);
        // No frame; too long; 20 ms; two frames; a count of none and of too many; a copy past the end, an empty one.
        assert_eq!(sound(0, &[]), Some(Fault::BadSound));
        assert_eq!(sound(0, &[TOC; MAX_SOUND_BYTES + 1]), Some(Fault::BadSound));
        assert_eq!(sound(0, &[31 << 3]), Some(Fault::BadSound));
        assert_eq!(sound(0, &[TOC | 1]), Some(Fault::BadSound));
        assert_eq!(sound(COPIES, &[0, TOC]), Some(Fault::BadSound));
        assert_eq!(sound(COPIES, &[4, 1, TOC, 1, TOC, 1, TOC, 1, TOC, TOC]), Some(Fault::BadSound));
        assert_eq!(sound(COPIES, &[1, 9, TOC]), Some(Fault::Truncated));
        assert_eq!(sound(COPIES, &[1, 0, TOC]), Some(Fault::BadSound));
        assert_eq!(sound(COPIES, &[1, 1, TOC]), Some(Fault::BadSound));
    }
}
