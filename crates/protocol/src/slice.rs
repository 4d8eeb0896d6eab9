//! What the shards of a slice make together: the epoch's size, the journey, and the pixel ops.

use crate::fault::Fault;
use crate::wire::{Put, Reader};
use telepane_model::journey::HostJourney;
use telepane_model::{InputSeq, Size, Span, Stamp, Surf};

/// A slice, whole.
///
/// Layout: `[size: w varint, h varint]` if the shards' SIZE flag is set, `[journey]` if JOURNEY is set, then the ops.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SliceBody {
    /// The surface's size in this epoch; sent until the viewer has shown that it knows the epoch.
    pub size: Option<Size<Surf>>,
    /// The host's half of the journey; present on the slice that ends a frame.
    pub journey: Option<HostJourney>,
    /// The ops, as the codec made them.
    pub ops: Vec<u8>,
}

impl SliceBody {
    /// The most bytes that size and journey add to the ops.
    pub const OVERHEAD: usize = 4 + 4 + 4 * 8 + 4 + 8;

    /// Writes the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.ops.len() + Self::OVERHEAD);
        if let Some(size) = self.size {
            out.varint(u64::from(size.w));
            out.varint(u64::from(size.h));
        }
        if let Some(j) = self.journey {
            out.extend_from_slice(&j.sent.low32().to_le_bytes());
            out.varint(j.sent.since(j.encoded).as_micros());
            out.varint(j.encoded.since(j.planned).as_micros());
            out.varint(j.planned.since(j.captured).as_micros());
            match j.input {
                Some((seq, injected)) => {
                    out.varint(u64::from(seq.0));
                    out.varint(j.captured.since(injected).as_micros());
                }
                None => out.varint(0),
            }
        }
        out.extend_from_slice(&self.ops);
        out
    }

    /// Reads the body that shards with these flags carried. The journey's stamps are whole only after
    /// `near` (any instant of the host's clock within half an hour) has been applied; give the latest known.
    pub fn decode(
        bytes: &[u8],
        has_size: bool,
        has_journey: bool,
        near: Stamp<telepane_model::HostClock>,
    ) -> Result<Self, Fault> {
        let mut r = Reader::new(bytes);
        let mut body = Self::default();
        if has_size {
            let size = Size::new(r.var()?, r.var()?);
            if !size.is_valid() {
                return Err(Fault::BadSize);
            }
            body.size = Some(size);
        }
        if has_journey {
            let sent = near.near(r.u32()?);
            let encoded = sent - Span::micros(r.varint()?);
            let planned = encoded - Span::micros(r.varint()?);
            let captured = planned - Span::micros(r.varint()?);
            let seq: u32 = r.var()?;
            let input = match seq {
                0 => None,
                seq => Some((InputSeq(seq), captured - Span::micros(r.varint()?))),
            };
            body.journey = Some(HostJourney { input, captured, planned, encoded, sent });
        }
        body.ops = r.rest().to_vec();
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_round_trips() {
        let at = |us: u64| Stamp::from_micros(5_000_000_000 + us);
        let journey = HostJourney {
            input: Some((InputSeq(77), at(100))),
            captured: at(1_000),
            planned: at(1_100),
            encoded: at(1_900),
            sent: at(2_000),
        };
        let body = SliceBody { size: Some(Size::new(1920, 1080)), journey: Some(journey), ops: vec![1, 2, 3] };
        assert_eq!(SliceBody::decode(&body.encode(), true, true, at(900_000)), Ok(body.clone()));
        let bare = SliceBody { size: None, journey: None, ops: vec![9] };
        assert_eq!(SliceBody::decode(&bare.encode(), false, false, at(0)), Ok(bare));
    }

    #[test]
    fn an_impossible_size_is_a_fault() {
        let body = SliceBody { size: Some(Size::new(0, 5)), ..SliceBody::default() };
        assert_eq!(SliceBody::decode(&body.encode(), true, false, Stamp::ZERO), Err(Fault::BadSize));
        assert_eq!(SliceBody::decode(&[], true, false, Stamp::ZERO), Err(Fault::Truncated));
    }
}
