//! How well a picture was shown: PSNR and SSIM of luma against what the application drew.

use crate::framebuffer::luma;

/// Luma of a picture, row by row.
#[derive(Clone, Debug)]
pub struct Luma {
    /// Width in pixels.
    pub width: usize,
    /// One byte a pixel.
    pub pixels: Vec<u8>,
}

impl Luma {
    /// An empty picture with room for its pixels.
    pub fn with_size(width: usize, height: usize) -> Self {
        Self { width, pixels: Vec::with_capacity(width * height) }
    }

    /// Adds pixels (`0xRRGGBB`) at the end.
    pub fn extend(&mut self, pixels: impl Iterator<Item = u32>) {
        self.pixels.extend(pixels.map(|p| luma(p) as u8));
    }

    fn at(&self, x: usize, y: usize) -> f64 {
        self.pixels.get(y * self.width + x).copied().unwrap_or(0).into()
    }
}

/// Peak signal to noise ratio in dB; equal pictures have [`EXACT_DB`].
pub fn psnr(a: &Luma, b: &Luma) -> f64 {
    let squares: u64 = a.pixels.iter().zip(&b.pixels).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    if squares == 0 {
        return EXACT_DB;
    }
    let mse = squares as f64 / a.pixels.len().max(1) as f64;
    (10.0 * (255.0 * 255.0 / mse).log10()).min(EXACT_DB)
}

/// Structural similarity (Wang et al. 2004), the mean over windows of 8 x 8 pixels that stand 4 apart.
pub fn ssim(a: &Luma, b: &Luma) -> f64 {
    let (c1, c2) = ((0.01 * 255.0_f64).powi(2), (0.03 * 255.0_f64).powi(2));
    let height = a.pixels.len() / a.width.max(1);
    let (mut sum, mut windows) = (0.0, 0_u32);
    for y in (0..height.saturating_sub(7)).step_by(4) {
        for x in (0..a.width.saturating_sub(7)).step_by(4) {
            let (mut ma, mut mb, mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for (dy, dx) in (0..8).flat_map(|dy| (0..8).map(move |dx| (dy, dx))) {
                let (p, q) = (a.at(x + dx, y + dy), b.at(x + dx, y + dy));
                (ma, mb, aa, bb, ab) = (ma + p, mb + q, aa + p * p, bb + q * q, ab + p * q);
            }
            let (ma, mb) = (ma / 64.0, mb / 64.0);
            let (va, vb, cov) = (aa / 64.0 - ma * ma, bb / 64.0 - mb * mb, ab / 64.0 - ma * mb);
            sum += (2.0 * ma * mb + c1) * (2.0 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
            windows += 1;
        }
    }
    sum / f64::from(windows.max(1))
}

/// What stands for an infinite PSNR.
pub const EXACT_DB: f64 = 99.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(change: impl Fn(usize) -> u8) -> Luma {
        Luma { width: 64, pixels: (0..64 * 64).map(change).collect() }
    }

    #[test]
    fn the_measures_know_equal_near_and_far() {
        let base = |i: usize| (i * 37 % 200) as u8;
        let truth = picture(base);
        assert_eq!((psnr(&truth, &truth), ssim(&truth, &truth)), (EXACT_DB, 1.0));
        // Every pixel off by one: 20 log10(255).
        let near = picture(|i| base(i) + 1);
        assert!((psnr(&truth, &near) - 48.13).abs() < 0.01, "{}", psnr(&truth, &near));
        let grey = picture(|_| 100);
        assert!(ssim(&truth, &near) > 0.99 && ssim(&truth, &grey) < 0.1);
        assert!(psnr(&truth, &grey) < 20.0);
    }
}
