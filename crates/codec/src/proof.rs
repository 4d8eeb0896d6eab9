//! What a tile shows, in 64 bits: the viewer says it of what it holds, the host of what it sent.
//!
//! A hash finds a mistake of ours; a viewer that lies gains nothing but pixels that it is sent again.

use crate::cache::pack;
use telepane_model::{Pixels, Rect, Surf};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// XXH3, 64 bits, of the pixels of `rect` as [`crate::cache::tile_hash`] reads them. `rect` lies inside `pixels`; `scratch` is
/// reused.
// spec: C-190
pub fn proof(pixels: &Pixels, rect: Rect<Surf>, scratch: &mut Vec<u8>) -> u64 {
    let seed = pack(pixels, rect, scratch);
    xxh3_64_with_seed(scratch, seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    // spec: C-190
    #[test]
    fn every_colour_byte_counts_and_no_other() {
        let mut rng = Rng::new(4);
        let size = Size::new(70, 64);
        let mut pixels = Pixels::new(size);
        for y in 0..size.h {
            pixels.row_mut(0, y, size.w).iter_mut().for_each(|b| *b = rng.next_u64() as u8);
        }
        let (rect, mut scratch) = (Rect::new(64, 0, 6, 64), Vec::new());
        let before = proof(&pixels, rect, &mut scratch);
        for byte in 0..4 {
            let mut other = pixels.clone();
            other.row_mut(66, 63, 1)[byte] ^= 0x10;
            assert_eq!(proof(&other, rect, &mut scratch) == before, byte == 3, "byte {byte}");
        }
        let mut beside = pixels.clone();
        beside.row_mut(63, 5, 1)[0] ^= 1;
        assert_eq!(proof(&beside, rect, &mut scratch), before);
        // The same bytes in another shape are another tile.
        let flat = Pixels::new(Size::new(64, 64));
        let shapes = [Rect::new(0, 0, 4, 8), Rect::new(0, 0, 8, 4)].map(|r| proof(&flat, r, &mut scratch));
        assert_ne!(shapes[0], shapes[1]);
    }
}
