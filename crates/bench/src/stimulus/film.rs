//! A film that nobody has seen before: a camera moves over a landscape of noise, a few things fly across it, and grain
//! changes every pixel of every frame, as in anything that a camera took. Frame `n` is a function of `n`, so the harness
//! makes it again to tell how well it was shown; no two frames are alike, so no cache of tiles helps.

use super::page::{self, BAR, BARS, Chance};
use crate::shared::Shared;

/// Width of the film.
pub const WIDTH: usize = 1280;
/// Height of the film.
pub const HEIGHT: usize = 720;

/// What the frames are made from.
#[derive(Debug)]
pub struct Film {
    /// The landscape, each channel at most 255 minus the grain's most.
    scene: Vec<u32>,
    grain: Vec<u32>,
    /// The landscape is dimmed to make room for grain.
    dim: bool,
}

impl Film {
    /// The same in every process.
    pub fn new() -> Self {
        let mut chance = Chance::new(GRAIN_SEED);
        let grain = (0..GRAIN).map(|_| chance.below(GRAIN_STEPS) as u32 * 0x01_0101).collect();
        Self { scene: landscape(SCENE_W, SCENE_H, SCENE_SEED), grain, dim: false }
    }

    /// With so much grain that no rate is enough for it.
    pub fn grainy() -> Self {
        let mut chance = Chance::new(GRAIN_SEED);
        let grain = (0..GRAIN).map(|_| chance.below(STRONG_STEPS) as u32 * 0x01_0101).collect();
        Self { grain, dim: true, ..Self::new() }
    }

    /// Where it stands on a screen of this size.
    pub fn place(width: usize, height: usize) -> (usize, usize) {
        (((width - WIDTH) / 2) & !1, ((height - HEIGHT) / 2) & !1)
    }

    /// Where its two barcodes are: at the upper left and the lower right corner.
    pub fn corners(width: usize, height: usize) -> [(usize, usize); 2] {
        let (x, y) = Self::place(width, height);
        [(x, y), (x + WIDTH - BARS * BAR, y + HEIGHT - BAR)]
    }

    /// Draws frame `n` with its barcodes; the rectangle it covers.
    pub fn draw(&self, frame: &Shared, n: usize) -> (usize, usize, usize, usize) {
        let (x, y) = Self::place(frame.width, frame.height);
        let mut row = vec![0; WIDTH];
        for line in 0..HEIGHT {
            self.row(n, line, &mut row);
            frame.paste(x, y + line, WIDTH, &row);
        }
        Self::corners(frame.width, frame.height).into_iter().for_each(|at| page::barcode(frame, at, n));
        (x, y, WIDTH, HEIGHT)
    }

    /// A row of frame `n`, without barcodes.
    pub fn row(&self, n: usize, y: usize, out: &mut [u32]) {
        let (camera_x, camera_y) = (bounce(n * 3, SCENE_W - WIDTH), bounce(n * 2, SCENE_H - HEIGHT));
        let from = self.scene.iter().skip((y + camera_y) * SCENE_W + camera_x);
        out.iter_mut().zip(from).for_each(|(o, s)| *o = *s);
        for i in 0..FLYING {
            let (size, speed) = (60 + i * 28, 3 + i * 2);
            let left = bounce(n * speed + i * 400, WIDTH - size);
            let top = bounce(n * (speed - 1) + i * 170, HEIGHT - size);
            if !(top..top + size).contains(&y) {
                continue;
            }
            // A disc cut out of another part of the landscape.
            let (r, dy) = ((size / 2) as isize, y as isize - (top + size / 2) as isize);
            let half = ((r * r - dy * dy).max(0) as usize).isqrt();
            let first = left + size / 2 - half;
            let texture = self.scene.iter().skip((y - top + i * 90) * SCENE_W + i * 200);
            out.iter_mut().skip(first).take(2 * half).zip(texture).for_each(|(o, t)| *o = !*t & 0xf0_f0f0);
        }
        if self.dim {
            out.iter_mut().for_each(|o| *o = *o >> 1 & 0x7f_7f7f);
        }
        // The seed of a row's grain: any spread will do, as long as it differs from frame to frame.
        let at = (n * 7919 + y * 104_729) * 31 % (GRAIN - WIDTH);
        out.iter_mut().zip(self.grain.iter().skip(at)).for_each(|(o, g)| *o += g);
    }
}

/// Draws what of the barcodes of frame `n` is in row `y` of the film.
pub fn bars_of_row(n: usize, y: usize, row: &mut [u32]) {
    let first = match y {
        y if y < BAR => 0,
        y if y >= HEIGHT - BAR => WIDTH - BARS * BAR,
        _ => return,
    };
    let bars = page::bits(n).into_iter().flat_map(|bit| [if bit { 0xff_ffff } else { 0 }; BAR]);
    row.iter_mut().skip(first).zip(bars).for_each(|(to, bar)| *to = bar);
}

impl Default for Film {
    fn default() -> Self {
        Self::new()
    }
}

/// Back and forth between 0 and `most`.
pub fn bounce(n: usize, most: usize) -> usize {
    let most = most.max(1);
    let at = n % (2 * most);
    if at < most { at } else { 2 * most - at }
}

/// Coloured noise of six octaves with some hard edges: a photo's spectrum without anybody's photo. Channels are at most
/// 240.
pub fn landscape(width: usize, height: usize, seed: u64) -> Vec<u32> {
    let octaves: Vec<Octave> = (0..6).map(|i| Octave::new(width, height, 8 << i, seed + i)).collect();
    let hue = Octave::new(width, height, 200, seed + 99);
    let mut out = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            // The coarser the stronger, as in photos: amplitude goes with wavelength.
            let mut sum: u32 = octaves.iter().enumerate().map(|(i, o)| o.at(x, y) * (1 << i)).sum::<u32>() / 63;
            let h = hue.at(x, y);
            // Contour lines become edges: a ridge against the sky.
            if h > 150 {
                sum = 40 + sum / 2;
            }
            let channel = |weight: u32| (sum * (160 + weight) / 256).min(240);
            out.push(channel(h / 2) << 16 | channel(80) << 8 | channel(120 - h / 4));
        }
    }
    out
}

/// Random values on a grid, with straight lines between them.
struct Octave {
    grid: Vec<u32>,
    columns: usize,
    cell: usize,
}

impl Octave {
    fn new(width: usize, height: usize, cell: usize, seed: u64) -> Self {
        let (columns, rows) = (width / cell + 2, height / cell + 2);
        let mut chance = Chance::new(seed);
        Self { grid: (0..columns * rows).map(|_| chance.below(256) as u32).collect(), columns, cell }
    }

    /// 0 to 255.
    fn at(&self, x: usize, y: usize) -> u32 {
        let (gx, gy) = (x / self.cell, y / self.cell);
        let (fx, fy, c) = ((x % self.cell) as u32, (y % self.cell) as u32, self.cell as u32);
        let g = |dx: usize, dy: usize| self.grid.get((gy + dy) * self.columns + gx + dx).copied().unwrap_or(0);
        let (top, bottom) = (g(0, 0) * (c - fx) + g(1, 0) * fx, g(0, 1) * (c - fx) + g(1, 1) * fx);
        (top / c * (c - fy) + bottom / c * fy) / c
    }
}

const SCENE_W: usize = 2048;
const SCENE_H: usize = 1152;
const SCENE_SEED: u64 = 0x51ce;
/// Things that fly across.
const FLYING: usize = 4;
/// Grain of 0 to 4: a variance of 2, which a codec that drops it pays with 45 dB at best.
const GRAIN_STEPS: u64 = 5;
/// The same at its strongest: beside a channel of at most 127.
const STRONG_STEPS: u64 = 97;
const GRAIN: usize = 1 << 20;
const GRAIN_SEED: u64 = 0x6a17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_reproducible_differ_everywhere_and_do_not_overflow() {
        let (a, b) = (Film::new(), Film::new());
        let (mut one, mut same, mut next) = (vec![0; WIDTH], vec![0; WIDTH], vec![0; WIDTH]);
        for (n, y) in [(1, 0), (299, 360), (9_000, 719)] {
            a.row(n, y, &mut one);
            b.row(n, y, &mut same);
            a.row(n + 1, y, &mut next);
            assert_eq!(one, same);
            assert!(one.iter().zip(&next).filter(|(a, b)| a != b).count() > WIDTH / 2, "frame {n} row {y}");
            assert!(one.iter().all(|p| *p <= 0xff_ffff));
        }
        let (mut strong, mut later) = (vec![0; WIDTH], vec![0; WIDTH]);
        let grainy = Film::grainy();
        grainy.row(7, 100, &mut strong);
        grainy.row(8, 100, &mut later);
        assert!(strong.iter().all(|p| *p <= 0xff_ffff));
        // Half the pixels at least jump by more than any ordinary grain.
        let jumps = strong.iter().zip(&later).filter(|(a, b)| (*a & 0xff).abs_diff(*b & 0xff) > 16);
        assert!(jumps.count() > WIDTH / 2);
        let colours: std::collections::BTreeSet<_> = a.scene.iter().collect();
        assert!(colours.len() > 1_000, "{} colours", colours.len());
    }

    #[test]
    fn a_bounce_turns_at_both_ends() {
        assert_eq!((0..7).map(|n| bounce(n, 3)).collect::<Vec<_>>(), [0, 1, 2, 3, 2, 1, 0]);
    }
}
