//! What the stimulus and the harness share: a file in memory with a few words, the stamps of every draw call, and the
//! frame as the application drew it, which is the truth that the viewer's screen is compared with. The X server reads the
//! frame from the same file (MIT-SHM), so there is no second copy that could differ.

use crate::framebuffer::{Mapping, RGB};
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// The shared file, mapped.
#[derive(Debug)]
pub struct Shared {
    map: Mapping,
    file: File,
    /// Width of the frame in pixels.
    pub width: usize,
    /// Height of the frame in pixels.
    pub height: usize,
}

/// The words at the file's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The frame's size in pixels.
    Width,
    /// The frame's size in pixels.
    Height,
    /// 1 when the stimulus's window stands and has the keyboard.
    Ready,
    /// Set by the harness: 1 while the stimulus shall move by itself.
    Run,
    /// Steps drawn, keys answered; each has its stamp.
    Steps,
    /// 1 when everything drawn has reached the X server; cleared by the harness before it looks for it.
    Settled,
}

impl Shared {
    /// Makes the file.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path, width: usize, height: usize) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.set_len((FRAME_OFFSET + width * height * 4) as u64)?;
        let me = Self { map: Mapping::new(&file, true)?, file, width, height };
        me.set(Word::Width, u32::try_from(width)?);
        me.set(Word::Height, u32::try_from(height)?);
        Ok(me)
    }

    /// Opens the file another process made.
    ///
    /// # Errors
    /// When it is not there or not such a file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path).context("the stimulus's shared file")?;
        let mut me = Self { map: Mapping::new(&file, true)?, file, width: 0, height: 0 };
        (me.width, me.height) = (me.word(Word::Width) as usize, me.word(Word::Height) as usize);
        me.row(me.height.saturating_sub(1)).context("the shared file is shorter than its frame")?;
        Ok(me)
    }

    /// The file itself, for the X server.
    ///
    /// # Errors
    /// When no descriptor is free.
    pub fn file(&self) -> Result<File> {
        Ok(self.file.try_clone()?)
    }

    /// Reads a word.
    pub fn word(&self, word: Word) -> u32 {
        self.at(word as usize).map_or(0, |w| w.load(Ordering::Acquire))
    }

    /// Writes a word.
    pub fn set(&self, word: Word, value: u32) {
        if let Some(w) = self.at(word as usize) {
            w.store(value, Ordering::Release);
        }
    }

    /// Notes that the next step's draw call begins at `at` (microseconds).
    pub fn stamp(&self, at: u64) {
        let step = self.word(Word::Steps) as usize;
        if let (Some(low), Some(high)) = self.stamp_words(step + 1) {
            low.store(at as u32, Ordering::Release);
            high.store((at >> 32) as u32, Ordering::Release);
        }
        self.set(Word::Steps, step as u32 + 1);
    }

    /// When step `step` (from 1) was drawn; `None` when it was not, or more than [`STAMPS`] steps ago.
    pub fn drawn_at(&self, step: usize) -> Option<u64> {
        let steps = self.word(Word::Steps) as usize;
        if step == 0 || step > steps || step + STAMPS <= steps {
            return None;
        }
        let (low, high) = self.stamp_words(step);
        Some(u64::from(low?.load(Ordering::Acquire)) | u64::from(high?.load(Ordering::Acquire)) << 32)
    }

    /// A row of the frame.
    pub fn row(&self, y: usize) -> Option<&[AtomicU32]> {
        if y >= self.height { None } else { self.map.words(FRAME_OFFSET + y * self.width * 4, self.width) }
    }

    /// Sets a pixel of the frame.
    pub fn put(&self, x: usize, y: usize, pixel: u32) {
        if let Some(p) = self.row(y).and_then(|r| r.get(x)) {
            p.store(pixel & RGB, Ordering::Relaxed);
        }
    }

    /// Fills a rectangle of the frame.
    pub fn fill(&self, x: usize, y: usize, w: usize, h: usize, pixel: u32) {
        for row in (y..y + h).filter_map(|y| self.row(y)) {
            row.iter().skip(x).take(w).for_each(|p| p.store(pixel & RGB, Ordering::Relaxed));
        }
    }

    /// A rectangle of the frame, row by row.
    pub fn copy(&self, x: usize, y: usize, w: usize, h: usize) -> Vec<u32> {
        let rows = (y..y + h).filter_map(|y| self.row(y)).filter_map(|r| r.get(x..x + w));
        rows.flat_map(|r| r.iter().map(|p| p.load(Ordering::Relaxed))).collect()
    }

    /// Puts rows of `w` pixels back.
    pub fn paste(&self, x: usize, y: usize, w: usize, pixels: &[u32]) {
        for (row, from) in pixels.chunks(w.max(1)).enumerate() {
            if let Some(to) = self.row(y + row).and_then(|r| r.get(x..)) {
                to.iter().zip(from).for_each(|(t, f)| t.store(f & RGB, Ordering::Relaxed));
            }
        }
    }

    /// Moves the frame's rows up by `by`.
    pub fn scroll_up(&self, by: usize) {
        for y in 0..self.height.saturating_sub(by) {
            if let (Some(to), Some(from)) = (self.row(y), self.row(y + by)) {
                to.iter().zip(from).for_each(|(t, f)| t.store(f.load(Ordering::Relaxed), Ordering::Relaxed));
            }
        }
    }

    fn at(&self, index: usize) -> Option<&AtomicU32> {
        self.map.words(index * 4, 1)?.first()
    }

    fn stamp_words(&self, step: usize) -> (Option<&AtomicU32>, Option<&AtomicU32>) {
        let index = FIRST_STAMP + step % STAMPS * 2;
        (self.at(index), self.at(index + 1))
    }
}

/// Where the frame begins in the file: a multiple of every page size in use.
pub const FRAME_OFFSET: usize = 65_536;
/// Stamps kept.
pub const STAMPS: usize = 8_000;
/// The first stamp's place, in words.
const FIRST_STAMP: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_see_the_same() {
        let path = std::env::temp_dir().join(format!("telepane-bench-shared-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let ours = Shared::create(&path, 16, 8).unwrap();
        let theirs = Shared::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        theirs.stamp(0x1_0000_0007);
        theirs.fill(2, 2, 3, 100, 0xff12_3456);
        assert_eq!((theirs.width, theirs.height), (16, 8));
        assert_eq!((ours.drawn_at(1), ours.drawn_at(2), ours.drawn_at(0)), (Some(0x1_0000_0007), None, None));
        assert_eq!(ours.row(7).unwrap()[4].load(Ordering::Relaxed), 0x12_3456);
        assert_eq!(ours.row(7).unwrap()[5].load(Ordering::Relaxed), 0);
        ours.scroll_up(6);
        assert_eq!(theirs.row(1).unwrap()[2].load(Ordering::Relaxed), 0x12_3456);
        assert!(ours.row(8).is_none());
    }
}
