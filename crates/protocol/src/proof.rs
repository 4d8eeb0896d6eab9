//! What a viewer's tiles show, by their hashes: so that a host finds its own mistakes.

use crate::fault::Fault;
use crate::wire::{Put, Reader};
use telepane_model::{Epoch, SurfaceId, UpdateId};

/// The kind of the message.
pub(crate) const KIND: u64 = 45;

/// Tiles of one surface and what they show, while the framebuffer is what one slice left.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Proofs {
    /// Which surface.
    pub surface: SurfaceId,
    /// In which epoch.
    pub epoch: Epoch,
    /// The framebuffer is exactly what this slice left.
    pub applied: UpdateId,
    /// The tiles' numbers in row order, rising, each with the hash of its pixels. At most [`Proofs::MOST`].
    pub tiles: Vec<(u32, u64)>,
}

impl Proofs {
    /// The most tiles in one message: they fit into a packet on every path.
    // spec: K-90
    pub const MOST: usize = 120;

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.varint(KIND);
        for v in [u32::from(self.surface.0), self.epoch.0, self.applied.0] {
            out.varint(u64::from(v));
        }
        let tiles = self.tiles.get(..Self::MOST).unwrap_or(&self.tiles);
        out.varint(tiles.len() as u64);
        let mut next = 0;
        for (tile, hash) in tiles {
            out.varint(u64::from(tile.saturating_sub(next)));
            out.extend_from_slice(&hash.to_le_bytes());
            next = tile.saturating_add(1);
        }
    }

    // spec: K-90
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, Fault> {
        let (surface, epoch, applied) = (SurfaceId(r.var()?), Epoch(r.var()?), UpdateId(r.var()?));
        let (mut tiles, mut next) = (Vec::new(), 0u32);
        for _ in 0..r.count(Self::MOST)? {
            let tile = next.checked_add(r.var()?).ok_or(Fault::NumberTooLarge)?;
            tiles.push((tile, u64::from_le_bytes(r.array()?)));
            next = tile.checked_add(1).ok_or(Fault::NumberTooLarge)?;
        }
        Ok(Self { surface, epoch, applied, tiles })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Control;

    fn read(gaps: &[u64]) -> Result<Control, Fault> {
        let mut bytes = vec![KIND as u8, 0, 1, 9];
        bytes.varint(gaps.len() as u64);
        for gap in gaps {
            bytes.varint(*gap);
            bytes.extend_from_slice(&[7; 8]);
        }
        Control::decode(&bytes)
    }

    // spec: K-90
    #[test]
    fn tiles_rise_and_are_bounded() {
        let tiles = |gaps: &[u64]| -> Vec<u32> {
            match read(gaps) {
                Ok(Control::Proofs(p)) => p.tiles.iter().map(|(tile, _)| *tile).collect(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(tiles(&[3, 0, 5]), [3_u32, 4, 10]);
        assert_eq!(tiles(&[u64::from(u32::MAX) - 1]), [u32::MAX - 1]);
        assert_eq!(read(&[u64::from(u32::MAX)]), Err(Fault::NumberTooLarge));
        assert_eq!(read(&[5, u64::from(u32::MAX)]), Err(Fault::NumberTooLarge));
        assert_eq!(read(&[1 << 32]), Err(Fault::NumberTooLarge));
        assert!(read(&[0; Proofs::MOST]).is_ok());
        assert_eq!(read(&[0; Proofs::MOST + 1]), Err(Fault::ListTooLong));
    }
}
