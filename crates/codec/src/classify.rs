//! Text or picture: what kind of pixels a rectangle holds.
//!
//! A picture is at least 256 pixels of which more than 30 % differ from both their left and upper neighbour, in more
//! than 160 colours (`research` measured 0 of 1294 text tiles called picture, and 96 to 100 % of film and photo tiles
//! recognised). The colours are only counted when the first test passes, so text costs one pass over its rows.

use crate::exact::ExactCoder;
use crate::kernel::COLOUR;
use telepane_model::{Pixels, Rect, Surf, TileClass};

/// The fewest pixels of a picture.
const LEAST: u64 = 256;
/// The colours above which a rectangle may be a picture.
const COLOURS: usize = 160;
/// The share of lonely pixels above which it may be, in percent.
const LONELY: u64 = 30;

/// What `rect`, which lies inside `pixels`, holds.
pub fn classify(pixels: &Pixels, rect: Rect<Surf>, coder: &mut ExactCoder) -> TileClass {
    let area = rect.area();
    if area < LEAST || lonely(pixels, rect) * 100 <= area * LONELY {
        return TileClass::Text;
    }
    if coder.colours(pixels, rect, COLOURS + 1) > COLOURS { TileClass::Picture } else { TileClass::Text }
}

/// How many pixels differ from their left and their upper neighbour.
fn lonely(pixels: &Pixels, rect: Rect<Surf>) -> u64 {
    let mut count = 0u64;
    let mut above: &[u8] = &[];
    for row in pixels.rows(rect) {
        if above.len() == row.len() {
            let mut line = 0u32;
            for (p, n) in row.as_chunks::<8>().0.iter().zip(above.as_chunks::<8>().0) {
                // Two pixels at a time: the right one against its left and upper neighbour. Half the pixels are a fair
                // sample, and the pairs need no look at their neighbours.
                let p = u64::from_le_bytes(*p);
                let n = u64::from_le_bytes(*n);
                let (left, right) = (p as u32 & COLOUR, (p >> 32) as u32 & COLOUR);
                let up = (n >> 32) as u32 & COLOUR;
                line += u32::from(right != left && right != up);
            }
            count += u64::from(line) * 2;
        }
        above = row;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    #[test]
    fn noise_is_a_picture_and_text_is_not() {
        let mut rng = Rng::new(6);
        let mut coder = ExactCoder::default();
        let size = Size::new(64, 64);
        let mut noise = Pixels::new(size);
        noise.data_mut().chunks_exact_mut(4).for_each(|p| p[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]));
        assert_eq!(classify(&noise, size.rect(), &mut coder), TileClass::Picture);
        assert_eq!(classify(&noise, Rect::new(0, 0, 9, 9), &mut coder), TileClass::Text);
        let mut dither = Pixels::new(size);
        dither.data_mut().chunks_exact_mut(4).for_each(|p| p[0] = rng.below(30) as u8 * 8);
        assert_eq!(classify(&dither, size.rect(), &mut coder), TileClass::Text);
        assert_eq!(classify(&Pixels::new(size), size.rect(), &mut coder), TileClass::Text);
    }
}
