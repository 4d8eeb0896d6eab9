//! Reading the frames of one of our own packets (RFC 9000 §19, RFC 9221), as far as its class needs it.
//!
//! These are this end's own bytes, about to be sealed. A frame that is not known here ends the reading, and the packet has the
//! ordinary mark: a mistake costs a mark and nothing else.

use telepane_protocol::datagram::{Haste, haste};

/// Whether a packet with these frames carries urgent datagrams, and otherwise nothing but what rides along.
// spec: T-4
pub fn is_urgent(frames: &[u8]) -> bool {
    let mut rest = frames;
    let mut urgent = false;
    while !rest.is_empty() {
        match frame(&mut rest) {
            Some(Frame::Datagram(first)) => match haste(first) {
                Haste::Urgent => urgent = true,
                Haste::Along => {}
                Haste::Ordinary => return false,
            },
            Some(Frame::Upkeep) => {}
            Some(Frame::Data) | None => return false,
        }
    }
    urgent
}

enum Frame {
    /// A datagram, by its first byte.
    Datagram(u8),
    /// A stream's or the handshake's bytes.
    Data,
    /// What QUIC itself needs.
    Upkeep,
}

/// Takes one frame off the front.
fn frame(rest: &mut &[u8]) -> Option<Frame> {
    let kind = varint(rest)?;
    let numbers = |rest: &mut &[u8], n: u64| (0..n).try_for_each(|_| varint(rest).map(|_| ()));
    match kind {
        // PADDING, PING, HANDSHAKE_DONE, IMMEDIATE_ACK
        0x00 | 0x01 | 0x1e | 0x1f => {}
        // ACK: largest, delay, ranges, first; a gap and a length for each range; three counts with ECN
        0x02 | 0x03 => {
            numbers(rest, 2)?;
            let ranges = varint(rest)?;
            numbers(rest, 1)?;
            numbers(rest, ranges.checked_mul(2)?)?;
            numbers(rest, if kind == 0x03 { 3 } else { 0 })?;
        }
        // RESET_STREAM
        0x04 => numbers(rest, 3)?,
        // MAX_DATA, MAX_STREAMS, DATA_BLOCKED, STREAMS_BLOCKED, RETIRE_CONNECTION_ID
        0x10 | 0x12 | 0x13 | 0x14 | 0x16 | 0x17 | 0x19 => numbers(rest, 1)?,
        // STOP_SENDING, MAX_STREAM_DATA, STREAM_DATA_BLOCKED
        0x05 | 0x11 | 0x15 => numbers(rest, 2)?,
        // NEW_CONNECTION_ID: two numbers, the id with its length, a reset token
        0x18 => {
            numbers(rest, 2)?;
            let (len, id) = rest.split_first()?;
            *rest = id.get(usize::from(*len).checked_add(16)?..)?;
        }
        // PATH_CHALLENGE, PATH_RESPONSE
        0x1a | 0x1b => *rest = rest.get(8..)?,
        // ACK_FREQUENCY (draft-ietf-quic-ack-frequency)
        0xaf => numbers(rest, 4)?,
        // DATAGRAM to the packet's end, and with a length
        0x30 => return Some(Frame::Datagram(*std::mem::take(rest).first()?)),
        0x31 => {
            let len = usize::try_from(varint(rest)?).ok()?;
            let (datagram, later) = rest.split_at_checked(len)?;
            *rest = later;
            return Some(Frame::Datagram(*datagram.first()?));
        }
        // CRYPTO, NEW_TOKEN, STREAM; what closes; what is not known
        _ => return Some(Frame::Data),
    }
    Some(Frame::Upkeep)
}

/// Takes a number off the front (RFC 9000 §16).
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let (first, _) = rest.split_first()?;
    let (number, later) = rest.split_at_checked(1 << (first >> 6))?;
    *rest = later;
    Some(number.iter().skip(1).fold(u64::from(first & 0x3f), |v, b| v << 8 | u64::from(*b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &[u8] = &[6, 0, 0, 9];
    const INPUT: &[u8] = &[3, 0, 0];
    const FEEDBACK: &[u8] = &[0x12, 0, 0, 7, 7];
    const SHARD: &[u8] = &[0x41, 0, 0, 7];

    /// DATAGRAM frames with lengths.
    fn packed(datagrams: &[&[u8]]) -> Vec<u8> {
        datagrams.iter().flat_map(|d| [&[0x31, d.len() as u8][..], d].concat()).collect()
    }

    // spec: T-4
    #[test]
    fn sound_and_input_are_urgent_alone_and_with_what_rides_along() {
        assert!(is_urgent(&packed(&[SOUND])) && is_urgent(&packed(&[INPUT])));
        assert!(is_urgent(&packed(&[INPUT, FEEDBACK])) && is_urgent(&packed(&[FEEDBACK, SOUND])));
        assert!(is_urgent(&[&[0x30][..], SOUND].concat()), "to the packet's end");
        assert!(!is_urgent(&packed(&[FEEDBACK])), "nothing urgent");
        assert!(!is_urgent(&packed(&[SOUND, SHARD])) && !is_urgent(&packed(&[SHARD])));
        assert!(!is_urgent(&[]) && !is_urgent(&[0x30]) && !is_urgent(&[0x31, 0]));
    }

    #[test]
    fn what_quic_needs_does_not_count() {
        // Each of the frames that may stand before a datagram, numbers of one, two and four bytes.
        let before: [&[u8]; 13] = [
            &[0x00, 0x00],
            &[0x01, 0x1e, 0x1f],
            &[0x02, 0x41, 0x00, 9, 1, 3, 4, 5],
            &[0x03, 7, 9, 0, 3, 1, 0x80, 1, 0, 0, 0],
            &[0x04, 1, 2, 3],
            &[0x05, 1, 2],
            &[0x10, 0x44, 0x00, 0x19, 5],
            &[0x11, 1, 2, 0x12, 9, 0x13, 9],
            &[0x14, 1, 0x15, 1, 2, 0x16, 1, 0x17, 1],
            &[0x18, 1, 0, 2, 0xaa, 0xbb, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
            &[0x1a, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x1b, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x40, 0xaf, 1, 2, 3, 4],
        ];
        for frames in before {
            assert!(is_urgent(&[frames, &packed(&[SOUND])].concat()), "{frames:x?}");
            assert!(is_urgent(&[&packed(&[SOUND])[..], frames].concat()), "{frames:x?}");
            assert!(!is_urgent(frames), "{frames:x?}");
            for cut in 1..frames.len() {
                // Cut short, a frame takes the datagram's bytes for its own; nothing worse may come of it.
                let _ = is_urgent(&[&frames[..cut], &packed(&[SOUND])].concat());
            }
        }
    }

    // spec: T-4
    #[test]
    fn a_streams_bytes_make_a_packet_ordinary() {
        for data in [&[0x08, 0, 1][..], &[0x0f, 0, 0, 1, 7], &[0x06, 0, 1, 7], &[0x07, 1, 7], &[0x1c, 0, 0, 0], &[0x21]]
        {
            assert!(!is_urgent(&[&packed(&[SOUND])[..], data].concat()), "{data:x?}");
            assert!(!is_urgent(&[data, &packed(&[SOUND])].concat()), "{data:x?}");
        }
    }
}
