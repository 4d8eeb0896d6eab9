//! What the shards of a slice make together: the epoch's size, the journey, and the pixel ops.

use crate::fault::Fault;
use crate::wire::{Put, Reader};
use telepane_model::journey::HostJourney;
use telepane_model::{InputSeq, Size, Span, Stamp, Surf};

/// A slice, whole.
///
/// Layout: `[size: w varint, h varint]` if the shards' SIZE flag is set, `[journey]` if JOURNEY is set, then the ops.
// spec: D-14
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
    pub const OVERHEAD: usize = 4 + 4 + 4 + 3 + 2 * 8 + 4 + 8;

    /// Writes the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.ops.len() + Self::OVERHEAD);
        if let Some(size) = self.size {
            out.varint(u64::from(size.w));
            out.varint(u64::from(size.h));
        }
        // spec: D-15
        if let Some(j) = self.journey {
            out.extend_from_slice(&j.encoded.low32().to_le_bytes());
            out.extend_from_slice(&queued_field(j.sent.since(j.encoded)));
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

    /// Writes into the front of a body with a journey how long it waited between coding and sending, which is known only
    /// when its first shard leaves. The field has a fixed width, so nothing moves.
    // spec: D-15
    pub fn stamp_queued(front: &mut [u8], has_size: bool, queued: Span) {
        let mut r = Reader::new(front);
        if has_size && (r.varint().is_err() || r.varint().is_err()) {
            return;
        }
        let at = front.len() - r.rest().len() + 4;
        if let Some(field) = front.get_mut(at..at + 3) {
            field.copy_from_slice(&queued_field(queued));
        }
    }

    /// Whether all that the slice changes is film: each of its ops is a FILM one. Ops that cannot be read are not.
    // spec: C-3, C-7, S-17
    pub fn is_film(&self) -> bool {
        const FILM: u8 = 5;
        let mut rest = self.ops.as_slice();
        while let Some((kind, after)) = rest.split_first() {
            let Some((length, payload)) = number(after).filter(|_| *kind == FILM) else { return false };
            let Some((_, next)) = payload.split_at_checked(length) else { return false };
            rest = next;
        }
        !self.ops.is_empty()
    }

    /// Reads the body that shards with these flags carried. The journey's stamps are whole only after
    /// `near` (any instant of the host's clock within half an hour) has been applied; give the latest known.
    // spec: D-14, D-15, D-30
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
            let encoded = near.near(r.u32()?);
            let [a, b, c] = r.array()?;
            let sent = encoded + Span::micros(u64::from(u32::from_le_bytes([a, b, c, 0])));
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

/// A number of the ops', which are not this page's, and what follows it.
// spec: C-4
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(i + 1..)?));
        }
    }
    None
}

/// Three bytes of microseconds, at most 16.8 s.
fn queued_field(queued: Span) -> [u8; 3] {
    let [a, b, c, ..] = queued.as_micros().min(0xff_ffff).to_le_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: C-3, C-7
    #[test]
    fn film_is_told_from_everything_else() {
        let is_film = |ops: &[u8]| SliceBody { ops: ops.to_vec(), ..SliceBody::default() }.is_film();
        assert!(is_film(&[5, 2, 9, 9]) && is_film(&[5, 0, 5, 1, 7]));
        let long = [vec![5, 0x80, 0x01], vec![3; 128]].concat();
        assert!(is_film(&long), "a length of two bytes");
        for other in [&[][..], &[3, 1, 0], &[5, 1, 0, 3, 1, 0], &[3, 0, 5, 0], &[5], &[5, 3, 1, 1], &long[..130]] {
            assert!(!is_film(other), "{other:?}");
        }
        assert!(!is_film(&[5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), "a length without an end");
        assert!(!is_film(&[5, 0xff, 0xff, 0xff, 0xff, 0x0f]), "a length beyond everything");
    }

    // spec: D-14, D-15
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
        let mut bytes = body.encode();
        SliceBody::stamp_queued(&mut bytes, true, Span::millis(70));
        let late = SliceBody::decode(&bytes, true, true, at(0)).expect("still well formed");
        assert_eq!(late.journey.map(|j| (j.encoded, j.sent)), Some((at(1_900), at(71_900))));
        assert_eq!(late.ops, body.ops);
        let bare = SliceBody { size: None, journey: None, ops: vec![9] };
        assert_eq!(SliceBody::decode(&bare.encode(), false, false, at(0)), Ok(bare));
    }

    // spec: D-14
    #[test]
    fn an_impossible_size_is_a_fault() {
        let body = SliceBody { size: Some(Size::new(0, 5)), ..SliceBody::default() };
        assert_eq!(SliceBody::decode(&body.encode(), true, false, Stamp::ZERO), Err(Fault::BadSize));
        assert_eq!(SliceBody::decode(&[], true, false, Stamp::ZERO), Err(Fault::Truncated));
    }
}
