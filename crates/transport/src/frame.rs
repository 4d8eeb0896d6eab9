//! Framing of the control stream: a QUIC varint (RFC 9000 §16) with the length, then that many bytes.
//!
//! The reader takes bytes as they come, allocates only what has arrived, and judges a length by the limit that holds when
//! it is asked, so that a reader which stopped at a limit can go on once the limit is raised.

use thiserror::Error;

/// The longest control message, in bytes.
// spec: L-2
pub const MAX_CONTROL: usize = 64 * 1024;
/// The longest control message of a peer that has not proven itself, in bytes.
// spec: A-10
pub const MAX_CONTROL_UNPROVEN: usize = 1024;

/// A message longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a control message of {0} bytes is longer than allowed")]
pub struct TooLong(pub u64);

/// One message with its length in front. The caller has checked that it is no longer than [`MAX_CONTROL`].
pub fn framed(message: &[u8]) -> Vec<u8> {
    let len = message.len() as u64;
    let mut out = Vec::with_capacity(message.len() + 8);
    match len {
        0..0x40 => out.push(len as u8),
        0x40..0x4000 => out.extend_from_slice(&(len as u16 | 0x4000).to_be_bytes()),
        0x4000..0x4000_0000 => out.extend_from_slice(&(len as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(len | 0xc000_0000_0000_0000).to_be_bytes()),
    }
    out.extend_from_slice(message);
    out
}

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub struct FrameReader {
    head: Vec<u8>,
    /// The length of the message being read, once known.
    want: Option<u64>,
    body: Vec<u8>,
}

impl FrameReader {
    /// Takes bytes off the front of `data` until a message is complete or `data` is empty.
    // spec: L-2
    pub fn take(&mut self, data: &mut &[u8], limit: usize) -> Result<Option<Vec<u8>>, TooLong> {
        let want = loop {
            if let Some(want) = self.want {
                break want;
            }
            let Some((first, rest)) = data.split_first() else {
                return Ok(None);
            };
            *data = rest;
            self.head.push(*first);
            // The two top bits of the first byte say how long the varint is: 1, 2, 4 or 8 bytes.
            let lead = self.head.first().copied().unwrap_or(0);
            if self.head.len() == 1usize << (lead >> 6) {
                let rest = self.head.iter().skip(1);
                self.want = Some(rest.fold(u64::from(lead & 0x3f), |v, b| v << 8 | u64::from(*b)));
                self.head.clear();
            }
        };
        if want > limit as u64 {
            return Err(TooLong(want));
        }
        let missing = (want as usize).saturating_sub(self.body.len());
        let (now, later) = data.split_at(missing.min(data.len()));
        self.body.extend_from_slice(now);
        *data = later;
        if now.len() < missing {
            return Ok(None);
        }
        self.want = None;
        Ok(Some(std::mem::take(&mut self.body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    fn read_all(reader: &mut FrameReader, mut data: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut out = Vec::new();
        while let Some(message) = reader.take(&mut data, limit)? {
            out.push(message);
        }
        assert!(data.is_empty());
        Ok(out)
    }

    // spec: L-2
    #[test]
    fn any_cut_gives_the_same_messages() {
        let mut rng = Rng::new(3);
        let messages: Vec<Vec<u8>> =
            [0, 1, 63, 64, 16_383, 16_384, MAX_CONTROL].iter().map(|n| (0..*n).map(|i| i as u8).collect()).collect();
        let wire: Vec<u8> = messages.iter().flat_map(|m| framed(m)).collect();
        for most in [1, 3, 1000, 100_000] {
            let mut reader = FrameReader::default();
            let (mut rest, mut got) = (wire.as_slice(), Vec::new());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((1 + rng.below(most) as usize).min(rest.len()));
                got.extend(read_all(&mut reader, now, MAX_CONTROL).unwrap());
                rest = later;
            }
            assert_eq!(got, messages);
        }
    }

    // spec: L-2, F-1
    #[test]
    fn a_length_is_refused_before_its_bytes_and_can_be_allowed_later() {
        let wire = framed(&[7; 2000]);
        let mut reader = FrameReader::default();
        let mut data = wire.as_slice();
        assert_eq!(reader.take(&mut data, 1024), Err(TooLong(2000)));
        assert_eq!(reader.body.capacity(), 0);
        assert_eq!(reader.take(&mut data, 4096), Ok(Some(vec![7; 2000])));
        let huge = [0xff; 8];
        assert_eq!(reader.take(&mut &huge[..], MAX_CONTROL), Err(TooLong((1 << 62) - 1)));
    }
}
