//! What the scenes are made of: words that follow from a seed and a line number, and a texture like a photograph.

use telepane_model::{Pixels, Rng, Size, Surf};

const WORDS: [&str; 32] = [
    "the",
    "screen",
    "is",
    "state",
    "not",
    "a",
    "stream",
    "of",
    "frames",
    "every",
    "tile",
    "has",
    "its",
    "version",
    "and",
    "nothing",
    "stale",
    "shows",
    "after",
    "something",
    "newer",
    "let",
    "mut",
    "fn",
    "match",
    "return",
    "self",
    "damage",
    "region",
    "budget",
    "pace",
    "exact",
];

/// A number that follows from two others; SplitMix64's finisher over both.
pub fn mix(a: u64, b: u64) -> u64 {
    Rng::new(a ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)).next_u64()
}

/// Line `number` of an endless text: words, some lines short, some empty.
pub fn text_line(seed: u64, number: u64, columns: usize) -> String {
    let mut rng = Rng::new(mix(seed, number));
    let fill = match rng.below(8) {
        0 => 0,
        1 | 2 => columns / 3,
        _ => columns * 9 / 10,
    };
    let indent = rng.below(4) as usize * 4;
    let mut line = " ".repeat(if fill == 0 { 0 } else { indent });
    while line.len() < fill {
        line.push_str(WORDS[rng.below(WORDS.len() as u64) as usize]);
        line.push(if rng.below(7) == 0 { '_' } else { ' ' });
    }
    line.truncate(columns);
    line
}

/// A photograph's likeness: light and colour change smoothly over large distances, and brightness over small ones.
pub fn photo(size: Size<Surf>, seed: u64) -> Pixels {
    let mut p = Pixels::new(size);
    let (w, h) = (size.w as usize, size.h as usize);
    let octaves = [(256, 96), (64, 40), (16, 16), (4, 6)];
    let mut light = vec![0i32; w * h];
    for (i, (cell, strength)) in octaves.into_iter().enumerate() {
        noise(&mut light, w, cell, strength, mix(seed, i as u64));
    }
    let mut chroma = [vec![0i32; w * h], vec![0i32; w * h]];
    for (i, plane) in chroma.iter_mut().enumerate() {
        noise(plane, w, 200, 60, mix(seed, 100 + i as u64));
        noise(plane, w, 32, 12, mix(seed, 200 + i as u64));
    }
    let [cb, cr] = &chroma;
    for (i, px) in p.data_mut().chunks_exact_mut(4).enumerate() {
        let slope = (i / w * 50 / h.max(1)) as i32;
        let y = 150 + light[i] - slope;
        let channels = [y + cb[i], y - (cb[i] + cr[i]) / 2, y + cr[i], 0];
        for (byte, v) in px.iter_mut().zip(channels) {
            *byte = v.clamp(0, 255) as u8;
        }
        px[3] = 0;
    }
    p
}

/// Adds value noise: a lattice of random numbers from `-strength` to `strength` every `cell` pixels, between which
/// the value runs smoothly.
fn noise(plane: &mut [i32], w: usize, cell: usize, strength: i64, seed: u64) {
    if w == 0 {
        return;
    }
    let columns = w / cell + 2;
    let node = |cx: usize, cy: usize| {
        let n = mix(seed, (cy * columns + cx) as u64) % (2 * strength as u64 + 1);
        (n as i64 - strength) as i32
    };
    // Smoothstep in 1/256.
    let ease: Vec<i32> = (0..cell)
        .map(|i| {
            let t = (i * 256 / cell) as i32;
            t * t * (768 - 2 * t) / 65_536
        })
        .collect();
    let mut nodes = [Vec::new(), Vec::new()];
    for (y, row) in plane.chunks_exact_mut(w).enumerate() {
        let (cy, fy) = (y / cell, ease[y % cell]);
        if y % cell == 0 {
            nodes = [0, 1].map(|d| (0..columns).map(|cx| node(cx, cy + d)).collect());
        }
        let column: Vec<i32> = nodes[0].iter().zip(&nodes[1]).map(|(a, b)| a * 256 + (b - a) * fy).collect();
        for (pair, span) in column.windows(2).zip(row.chunks_mut(cell)) {
            for (v, fx) in span.iter_mut().zip(&ease) {
                *v += (pair[0] + ((pair[1] - pair[0]) / 256) * fx) / 256;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_picture() {
        let size = Size::new(300, 200);
        assert!(photo(size, 5) == photo(size, 5));
        assert!(photo(size, 5) != photo(size, 6));
        assert_eq!(text_line(1, 77, 80), text_line(1, 77, 80));
        assert!((0..50).any(|n| text_line(1, n, 80) != text_line(2, n, 80)));
    }

    /// Neighbours are close, the whole is not flat: what makes a picture a picture to a codec.
    #[test]
    fn a_photo_is_smooth_and_varied() {
        let p = photo(Size::new(640, 400), 9);
        let (mut step, mut low, mut high) = (0u64, 255u8, 0u8);
        for row in p.data().chunks_exact(p.stride()) {
            for pair in row.chunks_exact(4).collect::<Vec<_>>().windows(2) {
                step += u64::from(pair[0][1].abs_diff(pair[1][1]));
                low = low.min(pair[0][1]);
                high = high.max(pair[0][1]);
            }
        }
        assert!(step / (639 * 400) < 8);
        assert!(high - low > 120);
        let colours: std::collections::BTreeSet<&[u8]> = p.data().chunks_exact(4).collect();
        assert!(colours.len() > 10_000);
    }
}
