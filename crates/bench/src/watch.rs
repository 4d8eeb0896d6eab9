//! What the client's screen shows, compared with what the application drew.

use crate::clock;
use crate::framebuffer::{Framebuffer, RGB, luma};
use crate::process::stop_if_interrupted;
use crate::quality::{Luma, psnr};
use crate::shared::{Shared, Word};
use crate::stimulus::drag::Drag;
use crate::stimulus::font::{CELL_H, CELL_W, Font};
use crate::stimulus::page::{self, BAR, BARS, INK, MENU, PAPER, PATCH, PATCH_COLOURS};
use anyhow::Result;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// What a key press is to change.
#[derive(Debug)]
pub enum Target<'a> {
    /// The patch takes this colour.
    Patch(u32),
    /// This letter appears in this cell.
    Letter(&'a Font, char, (usize, usize)),
    /// The menu opens or closes.
    Menu {
        /// What the application draws.
        truth: &'a Shared,
        /// The step after which its frame is right.
        step: usize,
        /// [`sample`] of the menu's rectangle before the key.
        before: Vec<u32>,
    },
    /// The whole window shows this step.
    Window {
        /// What the application draws.
        truth: &'a Shared,
        /// The step.
        step: usize,
    },
    /// The photograph of this step: seen when it is so near as to be a first view ([`FIRST_VIEW_DB`]).
    Photo {
        /// What the application draws.
        truth: &'a Shared,
        /// The step.
        step: usize,
    },
}

impl Target<'_> {
    /// The patch, after `steps` steps.
    pub fn patch(steps: usize) -> Self {
        Self::Patch(PATCH_COLOURS[steps & 1])
    }

    /// Whether something of it is seen: the whole patch turned (by luma, so that a lossy first view counts), or any pixel
    /// of the letter's cell is no longer paper.
    pub fn changed(&self, screen: &Framebuffer) -> bool {
        match self {
            Self::Patch(colour) => {
                let (x, y, w, h) = PATCH;
                let points = [(2, 2), (w - 3, 2), (w / 2, h / 2), (2, h - 3), (w - 3, h - 3)];
                points.iter().all(|(dx, dy)| luma(screen.pixel(x + dx, y + dy)).abs_diff(luma(*colour)) < 64)
            }
            Self::Letter(_, _, (x, y)) => cell(*x, *y).any(|(_, _, px, py)| {
                // More than a picture codec's ringing around a neighbour.
                luma(screen.pixel(px, py)).abs_diff(luma(PAPER)) > 48
            }),
            Self::Menu { before, .. } => {
                let now = sample(screen, MENU);
                // A third of the points: text and menu have some in common.
                let other = now.iter().zip(before).filter(|(n, b)| n.abs_diff(**b) > 48).count();
                other * 3 > now.len()
            }
            Self::Window { truth, step } => step_shown(screen, page::corners(truth.height)) == Some(*step & 0xffff),
            Self::Photo { truth, step } => {
                truth.word(Word::Steps) as usize >= *step && sampled_psnr(truth, screen) >= FIRST_VIEW_DB
            }
        }
    }

    /// Whether every pixel of it is right.
    pub fn exact(&self, screen: &Framebuffer) -> bool {
        match self {
            Self::Patch(colour) => {
                let (x, y, w, h) = PATCH;
                (y..y + h).all(|y| (x..x + w).all(|x| screen.pixel(x, y) == *colour))
            }
            Self::Letter(font, c, (x, y)) => {
                cell(*x, *y).all(|(dx, dy, px, py)| screen.pixel(px, py) == font.pixel(*c, dx, dy, INK, PAPER))
            }
            Self::Menu { truth, step, .. } => {
                truth.word(Word::Steps) as usize >= *step && rect_is_exact(truth, screen, MENU)
            }
            Self::Window { truth, step } | Self::Photo { truth, step } => {
                truth.word(Word::Steps) as usize >= *step && (0..truth.height).all(|y| row_is_exact(truth, screen, y))
            }
        }
    }
}

/// The pixels of a character cell: inside it, and on the screen.
fn cell(x: usize, y: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..CELL_H).flat_map(move |dy| (0..CELL_W).map(move |dx| (dx, dy, x + dx, y + dy)))
}

/// The step that a barcode shows; `None` for one that is torn.
pub fn step_at(screen: &Framebuffer, (x, y): (usize, usize)) -> Option<usize> {
    let bars: [bool; BARS] = std::array::from_fn(|i| luma(screen.pixel(x + i * BAR + BAR / 2, y + BAR / 2)) > 127);
    page::step_of(bars)
}

/// The step that is on the screen as a whole: the older of what two barcodes at its ends show.
pub fn step_shown(screen: &Framebuffer, corners: [(usize, usize); 2]) -> Option<usize> {
    let [upper, lower] = corners.map(|at| step_at(screen, at));
    Some(upper?.min(lower?))
}

/// The step of a dragged window: where it would be after each of the steps `from..=to`, is it there? The newest counts.
pub fn dragged_step(screen: &Framebuffer, size: (usize, usize), from: usize, to: usize) -> Option<usize> {
    let shows = |step: &usize| {
        let number = Some(*step & 0xffff);
        Drag::corners(size, *step).into_iter().all(|at| step_at(screen, at) == number)
    };
    (from..=to).rev().find(shows)
}

/// Points of a rectangle, 8 pixels apart, as they are now.
pub fn sample(screen: &Framebuffer, (x, y, w, h): (usize, usize, usize, usize)) -> Vec<u32> {
    let points = (y..y + h).step_by(8).flat_map(|y| (x..x + w).step_by(8).map(move |x| (x, y)));
    points.map(|(x, y)| luma(screen.pixel(x, y))).collect()
}

/// PSNR of luma in dB, from points 8 pixels apart.
fn sampled_psnr(truth: &Shared, screen: &Framebuffer) -> f64 {
    let mut of =
        [Luma::with_size(truth.width / 8, truth.height / 8), Luma::with_size(truth.width / 8, truth.height / 8)];
    for y in (0..truth.height).step_by(8) {
        for (luma, row) in of.iter_mut().zip([truth.row(y), screen.row(y)]) {
            let points = row.into_iter().flatten().take(truth.width).step_by(8);
            luma.extend(points.map(|p| p.load(Ordering::Relaxed) & RGB));
        }
    }
    let [drawn, shown] = &of;
    psnr(drawn, shown)
}

/// Whether a rectangle of the screen is what the application drew.
pub fn rect_is_exact(truth: &Shared, screen: &Framebuffer, (x, y, w, h): (usize, usize, usize, usize)) -> bool {
    (y..y + h).all(|row| {
        let (Some(expected), Some(shown)) = (truth.row(row), screen.row(row)) else { return false };
        let pairs = expected.iter().zip(shown).skip(x).take(w);
        pairs.into_iter().all(|(e, s)| (e.load(Ordering::Relaxed) ^ s.load(Ordering::Relaxed)) & RGB == 0)
    })
}

/// How the client's screen differs from the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Pixels that differ.
    pub pixels: usize,
    /// The largest difference of a colour channel.
    pub largest: u32,
    /// The sum over all pixels of the largest difference of each one's channels.
    pub total: u64,
    /// The first pixel that differs.
    pub first: (usize, usize),
}

impl Difference {
    /// For the report.
    pub fn json(&self) -> Value {
        json!({ "pixels": self.pixels, "largest": self.largest, "first": [self.first.0, self.first.1] })
    }
}

/// Counts what differs; `None` when the screen is exact.
pub fn difference(truth: &Shared, screen: &Framebuffer) -> Option<Difference> {
    let mut found: Option<Difference> = None;
    for y in 0..truth.height {
        let (Some(expected), Some(shown)) = (truth.row(y), screen.row(y)) else { continue };
        for (x, (e, s)) in expected.iter().zip(shown).take(compared(truth, y)).enumerate() {
            let (e, s) = (e.load(Ordering::Relaxed) & RGB, s.load(Ordering::Relaxed) & RGB);
            if e == s {
                continue;
            }
            let channels = e.to_be_bytes().into_iter().zip(s.to_be_bytes()).map(|(a, b)| u32::from(a.abs_diff(b)));
            let d = found.get_or_insert(Difference { pixels: 0, largest: 0, total: 0, first: (x, y) });
            let most = channels.max().unwrap_or(0);
            d.pixels += 1;
            d.largest = d.largest.max(most);
            d.total += u64::from(most);
        }
    }
    found
}

/// Waits until the screen is exact, at most until `until`; returns when it was found so. Finding out takes one pass over
/// the screen, a few milliseconds, which is in the figure.
///
/// # Errors
/// When the harness is to end.
pub fn wait_exact(truth: &Shared, screen: &Framebuffer, until: u64) -> Result<Option<u64>> {
    let mut row = 0;
    let mut right = 0;
    loop {
        if row_is_exact(truth, screen, row) {
            (row, right) = ((row + 1) % truth.height, right + 1);
            if right == truth.height {
                return Ok(Some(clock::now()));
            }
        } else {
            right = 0;
            stop_if_interrupted()?;
            let now = clock::now();
            if now > until {
                return Ok(None);
            }
            clock::sleep_until(now + 200);
        }
    }
}

fn row_is_exact(truth: &Shared, screen: &Framebuffer, y: usize) -> bool {
    let (Some(expected), Some(shown)) = (truth.row(y), screen.row(y)) else { return false };
    let mut pairs = expected.iter().zip(shown).take(compared(truth, y));
    pairs.all(|(e, s)| (e.load(Ordering::Relaxed) ^ s.load(Ordering::Relaxed)) & RGB == 0)
}

/// How many pixels of a row count: not those of the corner where the pointer is parked.
fn compared(truth: &Shared, y: usize) -> usize {
    if y + CORNER >= truth.height { truth.width - CORNER } else { truth.width }
}

/// What a first view of a picture is to have: DESIGN 2, a photograph that is new.
const FIRST_VIEW_DB: f64 = 35.0;
/// The lower right corner that belongs to the pointer.
const CORNER: usize = 64;
