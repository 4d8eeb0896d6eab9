//! Reading the frames of a packet (RFC 9000 §19, RFC 9221), as far as marks need it.
//!
//! They are this end's own, about to be sealed, or an authenticated peer's. A frame that is not known here ends the reading, and a packet
//! of ours then has the ordinary mark: a mistake costs a mark and nothing else.

use std::ops::RangeInclusive;
use telepane_protocol::datagram::{Haste, haste};

/// What a packet is, as far as its mark needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct What {
    /// It carries urgent datagrams, and otherwise nothing but what rides along.
    pub urgent: bool,
    /// It will be acknowledged.
    pub asks: bool,
}

/// What a packet with these frames is.
// spec: T-4
pub fn look(frames: &[u8]) -> What {
    let mut rest = frames;
    let mut what = What { urgent: false, asks: false };
    while !rest.is_empty() {
        let frame = frame(&mut rest);
        what.asks |= !matches!(frame, Some(Frame::Silent));
        match frame {
            Some(Frame::Datagram(first)) => match haste(first) {
                Haste::Urgent => what.urgent = true,
                Haste::Along => {}
                Haste::Ordinary => return What { urgent: false, ..what },
            },
            Some(Frame::Upkeep | Frame::Silent) => {}
            Some(Frame::Data) | None => return What { urgent: false, ..what },
        }
    }
    what
}

/// Ranges read of one acknowledgement: newer ones stand first, and the rest is old.
const MOST_RANGES: usize = 64;

/// The packets that these frames acknowledge, newest first. An acknowledgement that goes along with other frames stands behind them.
pub fn acked(frames: &[u8]) -> Option<Vec<RangeInclusive<u64>>> {
    let mut rest = frames;
    while !rest.is_empty() {
        let at = rest;
        match frame(&mut rest)? {
            Frame::Silent if matches!(at.first(), Some(0x02 | 0x03)) => return ranges(at.get(1..)?),
            _ => {}
        }
    }
    None
}

/// An ACK frame's ranges, without its type (RFC 9000 §19.3).
fn ranges(mut rest: &[u8]) -> Option<Vec<RangeInclusive<u64>>> {
    let mut largest = varint(&mut rest)?;
    let _delay = varint(&mut rest)?;
    let more = usize::try_from(varint(&mut rest)?).ok()?;
    let mut smallest = largest.checked_sub(varint(&mut rest)?)?;
    let mut out = vec![smallest..=largest];
    for _ in 0..more.min(MOST_RANGES - 1) {
        largest = smallest.checked_sub(varint(&mut rest)?.checked_add(2)?)?;
        smallest = largest.checked_sub(varint(&mut rest)?)?;
        out.push(smallest..=largest);
    }
    Some(out)
}

enum Frame {
    /// A datagram, by its first byte.
    Datagram(u8),
    /// A stream's or the handshake's bytes.
    Data,
    /// What QUIC itself needs.
    Upkeep,
    /// The same, if a packet with nothing else is not acknowledged.
    Silent,
}

/// Takes one frame off the front.
fn frame(rest: &mut &[u8]) -> Option<Frame> {
    let kind = varint(rest)?;
    let numbers = |rest: &mut &[u8], n: u64| (0..n).try_for_each(|_| varint(rest).map(|_| ()));
    match kind {
        // PADDING
        0x00 => return Some(Frame::Silent),
        // PING, HANDSHAKE_DONE, IMMEDIATE_ACK
        0x01 | 0x1e | 0x1f => {}
        // ACK: largest, delay, ranges, first; a gap and a length for each range; three counts with ECN
        0x02 | 0x03 => {
            numbers(rest, 2)?;
            let ranges = varint(rest)?;
            numbers(rest, 1)?;
            numbers(rest, ranges.checked_mul(2)?)?;
            numbers(rest, if kind == 0x03 { 3 } else { 0 })?;
            return Some(Frame::Silent);
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
        // CRYPTO: an offset; NEW_TOKEN; STREAM: a number, an offset and a length as the lowest bits say (RFC 9000 §19.6 to §19.8)
        0x06..=0x0f => {
            let before = match kind {
                0x06 => 1,
                0x07 => 0,
                stream => 1 + (stream >> 2 & 1),
            };
            numbers(rest, before)?;
            let len = if kind < 0x08 || kind & 2 != 0 { usize::try_from(varint(rest)?).ok()? } else { rest.len() };
            *rest = rest.get(len..)?;
            return Some(Frame::Data);
        }
        // What closes; what is not known
        _ => return None,
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

    fn is_urgent(frames: &[u8]) -> bool {
        look(frames).urgent
    }

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

    #[test]
    fn acknowledgements_and_padding_alone_are_not_acknowledged() {
        let ack: &[u8] = &[0x02, 0x41, 0x00, 9, 1, 3, 4, 5];
        for frames in [ack, &[0, 0, 0], &[]] {
            assert!(!look(frames).asks, "{frames:x?}");
            assert!(look(&[frames, &packed(&[FEEDBACK])[..]].concat()).asks);
        }
        for frames in [&[1][..], &[0x08, 0, 1], &[0x21], &packed(&[SOUND])[..]] {
            assert!(look(frames).asks, "{frames:x?}");
        }
    }

    #[test]
    fn what_is_acknowledged_is_read_wherever_it_stands() {
        // Largest 256, nothing more below it than 3; a gap of 4 and 2; then another kind of counting with ECN.
        let ack: &[u8] = &[0x02, 0x41, 0x00, 9, 1, 3, 4, 2];
        assert_eq!(acked(ack), Some(vec![253..=256, 245..=247]));
        assert_eq!(acked(&[&[0x1e, 0x00], ack].concat()), Some(vec![253..=256, 245..=247]));
        assert_eq!(acked(&[0x03, 7, 9, 0, 3, 1, 0x80, 1, 0, 0, 0]), Some(vec![4..=7]));
        let before: [&[u8]; 5] =
            [&packed(&[SOUND, SHARD]), &[0x0f, 0, 0, 1, 7], &[0x0a, 4, 2, 7, 7], &[0x06, 0, 1, 7], &[0x07, 1, 7]];
        for frames in before {
            assert_eq!(acked(&[frames, ack].concat()), Some(vec![253..=256, 245..=247]), "{frames:x?}");
        }
        // A stream without a length takes the rest.
        let behind_a_stream = [&[0x08, 0, 1], ack].concat();
        let below_nothing: [&[u8]; 2] = [&[0x02, 1, 0, 0, 2], &[0x02, 9, 0, 1, 0, 9, 0]];
        for none in
            [&[][..], &[0x00, 0x01], &packed(&[SOUND])[..], &behind_a_stream[..]].into_iter().chain(below_nothing)
        {
            assert_eq!(acked(none), None, "{none:x?}");
        }
        for cut in 0..ack.len() {
            assert_eq!(acked(&ack[..cut]), None, "{cut}");
        }
        // As many ranges as a packet holds: the newest are read.
        let long = [&[0x02, 0x7f, 0xff, 0, 0x43, 0x00, 0][..], &[0, 0].repeat(768)].concat();
        assert_eq!(acked(&long).map(|r| r.len()), Some(MOST_RANGES));
    }

    /// Whatever an authenticated peer packs: numbers of every length, at random, and what is true with a few bytes turned.
    #[test]
    fn any_bytes_are_survived_and_what_is_read_of_them_is_bounded() {
        let mut rng = telepane_model::Rng::new(9);
        let ack: &[u8] = &[0x02, 0x41, 0x00, 9, 3, 3, 4, 2, 0, 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        let whole = [ack, &packed(&[SOUND, SHARD]), &[0x18, 1, 0, 2, 0xaa, 0xbb], &[0; 16], ack].concat();
        for round in 0..200_000 {
            let mut bytes = whole.clone();
            for _ in 0..1 + rng.below(6) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = rng.next_u64() as u8;
            }
            if round % 2 == 0 {
                bytes.iter_mut().for_each(|b| *b = rng.next_u64() as u8);
            }
            look(&bytes);
            if let Some(ranges) = acked(&bytes) {
                assert!(ranges.len() <= MOST_RANGES && ranges.iter().all(|r| r.start() <= r.end()), "{bytes:x?}");
                assert!(ranges.windows(2).all(|pair| pair[1].end() < pair[0].start()), "newest first: {bytes:x?}");
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
