//! A window that is dragged over a photo, with its number in barcodes at two of its own corners. Where it is at a step is
//! a function of the step, so the watcher knows where to look.

use super::film::{bounce, landscape};
use super::font::{CELL_H, CELL_W, Font};
use super::page::{self, BAR, Chance, INK, PAPER};
use crate::shared::Shared;

/// The photo and the window.
#[derive(Debug)]
pub struct Drag {
    photo: Vec<u32>,
    window: Vec<u32>,
    size: (usize, usize),
}

impl Drag {
    /// For a screen of this size.
    pub fn new(width: usize, height: usize, font: &Font) -> Self {
        Self { photo: landscape(width, height, SEED), window: window(font), size: (width, height) }
    }

    /// Where the window's upper left corner is at a step.
    pub fn place((width, height): (usize, usize), step: usize) -> (usize, usize) {
        (40 + bounce(step * 9, width - WIDTH - 80), 30 + bounce(step * 5, height - HEIGHT - 120))
    }

    /// Where the window's two barcodes are at a step.
    pub fn corners(size: (usize, usize), step: usize) -> [(usize, usize); 2] {
        let (x, y) = Self::place(size, step);
        [(x + 4, y + 4), (x + 4, y + HEIGHT - BAR - 4)]
    }

    /// Moves the window; what of the screen changed.
    pub fn draw(&self, frame: &Shared, step: usize) -> (usize, usize, usize, usize) {
        if step == 0 {
            frame.paste(0, 0, self.size.0, &self.photo);
        }
        let (old_x, old_y) = Self::place(self.size, step.saturating_sub(1));
        let (x, y) = Self::place(self.size, step);
        for row in old_y..old_y + HEIGHT {
            let at = row * self.size.0 + old_x;
            frame.paste(old_x, row, WIDTH, self.photo.get(at..at + WIDTH).unwrap_or_default());
        }
        frame.paste(x, y, WIDTH, &self.window);
        Self::corners(self.size, step).into_iter().for_each(|at| page::barcode(frame, at, step));
        let (left, top) = (x.min(old_x), y.min(old_y));
        (left, top, x.max(old_x) + WIDTH - left, y.max(old_y) + HEIGHT - top)
    }
}

/// A title bar and a page of text.
fn window(font: &Font) -> Vec<u32> {
    let mut pixels = vec![PAPER; WIDTH * HEIGHT];
    let mut chance = Chance::new(SEED);
    for (i, p) in pixels.iter_mut().enumerate() {
        let (x, y) = (i % WIDTH, i / WIDTH);
        if y < 24 {
            *p = 0x3a_4660;
        } else if !(2..WIDTH - 2).contains(&x) || y >= HEIGHT - 2 {
            *p = 0x20_2838;
        }
    }
    for line in 2..HEIGHT / CELL_H - 1 {
        let end = WIDTH * (4 + chance.below(6) as usize) / 10;
        for x in (12..end).step_by(CELL_W) {
            let letters = super::font::LETTERS;
            let c = letters.chars().nth(chance.below(letters.len() as u64 + 6) as usize).unwrap_or(' ');
            for (dy, dx) in (0..CELL_H).flat_map(|dy| (0..CELL_W).map(move |dx| (dy, dx))) {
                if let Some(p) = pixels.get_mut((line * CELL_H + dy) * WIDTH + x + dx) {
                    *p = font.pixel(c, dx, dy, INK, PAPER);
                }
            }
        }
    }
    pixels
}

/// Width of the window.
pub const WIDTH: usize = 720;
/// Height of the window.
pub const HEIGHT: usize = 480;
const SEED: u64 = 0xd2a6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_moves_at_every_step_and_stays_on_the_screen() {
        for size in [(1280, 720), (1920, 1080)] {
            for step in 0..5_000 {
                let (x, y) = Drag::place(size, step);
                assert!(x + WIDTH < size.0 && y + HEIGHT < size.1 - 64, "{size:?} {step}: {x} {y}");
                assert_ne!(Drag::place(size, step + 1), (x, y));
            }
        }
    }
}
