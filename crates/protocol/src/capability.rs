//! What a side can do beyond the version's minimum, as a list of numbers with limits. Unknown ones are kept out of the
//! way; a missing one has the default given here.

use crate::fault::Fault;
use crate::wire::{Put, Reader};
use std::collections::BTreeMap;

/// A capability's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum Capability {
    /// Bit set of pixel ops understood, by op number (`protocol-spec/codec.md`). Default: ops 0 to 15.
    Ops = 1,
    /// Bit set of chroma layouts understood for film: bit 0 is 4:2:0. Default 1.
    Chroma = 2,
    /// Surfaces that can be shown at once. Default 1.
    Surfaces = 3,
    /// Bytes of tile cache offered. Default 0.
    CacheBytes = 4,
    /// The most pixels one slice may change. Default 524,288.
    SlicePixels = 5,
    /// The most bytes of slices waiting for their turn. Default 4 MiB.
    PendingBytes = 6,
    /// Bit set of what is taken of the clipboard: bits 0 to 4 the kinds of [`telepane_model::ClipFormat`], bit 16
    /// [`crate::clip::RICH`], bit 17 [`crate::clip::PRIMARY`]. Default 0.
    Clipboard = 7,
    /// Socket receive buffer in bytes, as the system granted it. Default 212,992 (Linux's usual default).
    ReceiveBuffer = 8,
    /// Whether forward error correction is understood: bit 0 is the Cauchy code of [`crate::fec`]. Default 0.
    Fec = 9,
    /// Bit set of the kinds of sound taken: bit 0 is Opus in frames of 10 ms, at most two channels. Default 0.
    Sound = 10,
    /// Bit set of what the TEXT decoder has besides its narrow models: bit 0 wide ones. Default 0.
    TextModels = 11,
    /// What may be done with the directory of files that is given out: bit 0 reading, bit 1 writing. Default 0.
    Files = 20,
    /// Said by a host: the most tiles' hashes that it takes in one message ([`crate::Proofs`]); 0 is no such message.
    /// Default 0.
    Proofs = 45,
    /// Bit set of what it takes of feedback besides D-18; bit 0, said by a host: what is shown (D-36); bit 1: the closer form
    /// (D-37). Default 0.
    Reports = 46,
    /// Bit set of what film is understood besides that of [`Capability::Chroma`]: bit 0 frames that are coded smaller than
    /// they are shown. Default 0.
    Film = 85,
    /// Whether messages about the life of a session are understood: bit 0 those of [`crate::life`]. Default 0.
    Life = 50,
    /// Whether keys are taken with what they mean at the viewer: bit 0 is event 12 of D-24. Default 0.
    Keys = 70,
    /// Said by a host: bit set of what its desktop takes besides keys, a mouse and whole notches of the wheel: [`HANDS_TOUCH`],
    /// [`HANDS_PEN`], [`HANDS_FINE_WHEEL`]. Default 0.
    Hands = 71,
}

/// Bit of [`Capability::Hands`]: fingers (event 13 of D-24).
pub const HANDS_TOUCH: u64 = 1;
/// Bit of [`Capability::Hands`]: a pen (event 14).
pub const HANDS_PEN: u64 = 2;
/// Bit of [`Capability::Hands`]: parts of a notch of the wheel act by themselves, without waiting for a whole one.
pub const HANDS_FINE_WHEEL: u64 = 4;

impl Capability {
    const fn default_value(self) -> u64 {
        match self {
            Self::Ops => 0xffff,
            Self::Chroma | Self::Surfaces => 1,
            Self::CacheBytes
            | Self::Clipboard
            | Self::Fec
            | Self::Sound
            | Self::TextModels
            | Self::Files
            | Self::Proofs
            | Self::Reports
            | Self::Film
            | Self::Life
            | Self::Keys
            | Self::Hands => 0,
            Self::SlicePixels => 524_288,
            Self::PendingBytes => 4 << 20,
            Self::ReceiveBuffer => 212_992,
        }
    }
}

/// The version that an end which names this range and ours will speak.
///
/// # Errors
/// [`Fault::VersionMismatch`]: the ranges have none in common.
// spec: V-2 V-3
pub fn agree_version(oldest: u16, newest: u16) -> Result<u16, Fault> {
    let (low, high) = (oldest.max(crate::OLDEST_VERSION), newest.min(crate::VERSION));
    if low > high { Err(Fault::VersionMismatch) } else { Ok(high) }
}

/// A side's capabilities. At most [`Capabilities::MOST`] entries.
// spec: V-4
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Capabilities(BTreeMap<u64, u64>);

impl Capabilities {
    /// The most entries a list may have.
    pub const MOST: usize = 64;

    /// The value of `capability`, or its default.
    pub fn value(&self, capability: Capability) -> u64 {
        self.0.get(&(capability as u64)).copied().unwrap_or(capability.default_value())
    }

    /// The same list with `capability` at `value`.
    pub fn with(mut self, capability: Capability, value: u64) -> Self {
        self.0.insert(capability as u64, value);
        self
    }

    /// The smaller of what both sides say of `capability`.
    pub fn agreed(&self, other: &Self, capability: Capability) -> u64 {
        self.value(capability).min(other.value(capability))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.varint(self.0.len() as u64);
        for (k, v) in &self.0 {
            out.varint(*k);
            out.varint(*v);
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut list = BTreeMap::new();
        for _ in 0..r.count(Self::MOST)? {
            let (k, v) = (r.varint()?, r.varint()?);
            if list.insert(k, v).is_some() {
                return Err(Fault::CapabilityTwice);
            }
        }
        Ok(Self(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OLDEST_VERSION, VERSION};

    // spec: V-2 V-3
    #[test]
    fn the_highest_common_version_is_spoken_or_none() {
        assert_eq!(agree_version(OLDEST_VERSION, VERSION), Ok(VERSION));
        assert_eq!(agree_version(0, u16::MAX), Ok(VERSION));
        assert_eq!(agree_version(0, OLDEST_VERSION), Ok(OLDEST_VERSION));
        for (oldest, newest) in [(VERSION + 1, u16::MAX), (0, OLDEST_VERSION - 1), (VERSION, OLDEST_VERSION - 1)] {
            assert_eq!(agree_version(oldest, newest), Err(Fault::VersionMismatch));
        }
    }

    // spec: V-4
    #[test]
    fn what_is_not_said_has_its_default_and_the_smaller_holds() {
        let (all, none) = (Capabilities::default().with(Capability::CacheBytes, 1 << 26), Capabilities::default());
        assert_eq!(all.agreed(&all, Capability::CacheBytes), 1 << 26);
        assert_eq!(all.agreed(&none, Capability::CacheBytes), 0);
    }
}
