//! Messages about a clipboard of more than text, between ends that both know them (capability 7, bit 16). The ones before
//! them (kinds 9 and 10) carry plain text; what answers a request is the same for both.

use crate::fault::Fault;
use crate::wire::{Put, Reader};
use telepane_model::{ClipFormat, ClipFormats, ClipOffer, Selection};

/// Bit 16 of capability 7: these messages, and answers in pipes.
pub const RICH: u64 = 1 << 16;
/// Bit 17 of capability 7: X11's second selection.
pub const PRIMARY: u64 = 1 << 17;

/// What this version takes, as capability 7 says it; the second selection only where it is wanted.
pub const fn taken(primary: bool) -> u64 {
    ClipFormats::ALL.bits() as u64 | RICH | if primary { PRIMARY } else { 0 }
}

/// A message about the clipboard.
// spec: K-50
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClipWord {
    /// There is something to paste. A newer offer of the same selection replaces an older one.
    Offer {
        /// The offer's number, rising.
        serial: u32,
        /// What.
        offer: ClipOffer,
    },
    /// Someone pastes what was offered, in one kind.
    Request {
        /// The offer.
        serial: u32,
        /// The request's number.
        id: u32,
        /// From which selection.
        selection: Selection,
        /// In which kind.
        format: ClipFormat,
    },
    /// The answer comes in the request's pipe and has so many bytes, as far as that is known (0: it is not).
    Size {
        /// The request.
        id: u32,
        /// Bytes.
        size: u64,
    },
    /// The asker wants no answer any more.
    Cancel {
        /// The request.
        id: u32,
    },
}

/// Bit 0 of an offer's or a request's flags: X11's second selection.
const SECOND: u32 = 1;
/// Bit 1 of an offer's flags: secret.
const SECRET: u32 = 2;

impl ClipWord {
    /// The kinds of these messages.
    pub(crate) const KINDS: core::ops::RangeInclusive<u64> = 31..=34;

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let second = |s: &Selection| u32::from(*s == Selection::Primary) * SECOND;
        match self {
            Self::Offer { serial, offer } => {
                out.varint(31);
                out.varint(u64::from(*serial));
                out.varint(u64::from(offer.formats.bits()));
                out.varint(u64::from(second(&offer.selection) | (u32::from(offer.secret) * SECRET)));
            }
            Self::Request { serial, id, selection, format } => {
                out.varint(32);
                out.varint(u64::from(*serial));
                out.varint(u64::from(*id));
                out.varint(u64::from(second(selection)));
                out.push(*format as u8);
            }
            Self::Size { id, size } => {
                out.varint(33);
                out.varint(u64::from(*id));
                out.varint(*size);
            }
            Self::Cancel { id } => {
                out.varint(34);
                out.varint(u64::from(*id));
            }
        }
    }

    // spec: K-50, K-51
    pub(crate) fn decode(kind: u64, r: &mut Reader<'_>) -> Result<Self, Fault> {
        let selection = |flags: u32| if flags & SECOND != 0 { Selection::Primary } else { Selection::Clipboard };
        Ok(match kind {
            31 => {
                let (serial, formats, flags) = (r.var()?, r.var()?, r.var()?);
                let formats = ClipFormats::from_bits(formats);
                let offer = ClipOffer { selection: selection(flags), formats, secret: flags & SECRET != 0 };
                Self::Offer { serial, offer }
            }
            32 => {
                let (serial, id, flags) = (r.var()?, r.var()?, r.var()?);
                let format = ClipFormat::from_number(r.u8()?).ok_or(Fault::BadFormat)?;
                Self::Request { serial, id, selection: selection(flags), format }
            }
            33 => Self::Size { id: r.var()?, size: r.varint()? },
            34 => Self::Cancel { id: r.var()? },
            _ => return Err(Fault::UnknownControl),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Control;

    // spec: K-51
    #[test]
    fn a_kind_that_does_not_exist_cannot_be_asked_for_and_is_not_offered() {
        assert_eq!(Control::decode(&[32, 1, 1, 0, 5]), Err(Fault::BadFormat));
        let word =
            ClipWord::Offer { serial: 1, offer: ClipOffer { formats: ClipFormats::TEXT, ..ClipOffer::default() } };
        // Bits 0, 5 and 29.
        assert_eq!(Control::decode(&[31, 1, 0xa0, 0, 0, 0x21, 0]), Ok(Control::Clip(word)));
    }
}
