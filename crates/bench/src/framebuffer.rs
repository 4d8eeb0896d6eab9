//! A display's pixels, read where the X server keeps them: the file that `Xvfb -fbdir` maps is an XWD image whose pixels
//! are the screen itself. Reading it costs the server nothing and has no queue in between.
//!
//! Another process writes the memory while it is read, so pixels are read as relaxed atomics: a pixel is either the old
//! or the new one, and what it means is the watcher's affair.

use anyhow::{Context, Result, ensure};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file mapped into memory and shared with other processes.
#[derive(Debug)]
pub struct Mapping {
    at: *mut libc::c_void,
    len: usize,
}

impl Mapping {
    /// Maps the whole file.
    ///
    /// # Errors
    /// When the file is empty or the system refuses.
    pub fn new(file: &File, writable: bool) -> Result<Self> {
        let len = usize::try_from(file.metadata()?.len())?;
        ensure!(len > 0, "the file to map is empty");
        let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        // SAFETY: a fresh mapping of an open file; the address is the kernel's choice.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        ensure!(at != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        Ok(Self { at, len })
    }

    /// `count` words of 32 bits from `offset` bytes on; `None` when that is outside or not aligned.
    pub fn words(&self, offset: usize, count: usize) -> Option<&[AtomicU32]> {
        let end = offset.checked_add(count.checked_mul(4)?)?;
        if !offset.is_multiple_of(4) || end > self.len {
            return None;
        }
        // SAFETY: inside the mapping, which lives as long as `self`; aligned, as pages are and `offset` was checked;
        // atomics may be shared with other processes. A read-only mapping is only ever loaded from.
        Some(unsafe { std::slice::from_raw_parts(self.at.cast::<u8>().add(offset).cast::<AtomicU32>(), count) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped, and nothing borrows from it any more.
        unsafe { libc::munmap(self.at, self.len) };
    }
}

/// The mapped screen of an Xvfb.
#[derive(Debug)]
pub struct Framebuffer {
    map: Mapping,
    offset: usize,
    stride: usize,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

impl Framebuffer {
    /// Opens `Xvfb_screen0` of an `-fbdir`.
    ///
    /// # Errors
    /// When it is not there or not an image of 32 bits a pixel.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).open(path).with_context(|| format!("{}", path.display()))?;
        let map = Mapping::new(&file, false)?;
        let words = map.words(0, 25).context("no XWD header")?;
        let header: Vec<usize> = words.iter().map(|w| u32::from_be(w.load(Ordering::Relaxed)) as usize).collect();
        let layout = Layout::read(&header)?;
        let me = Self { offset: layout.offset, stride: layout.stride, width: layout.width, height: layout.height, map };
        ensure!(me.row(me.height - 1).is_some(), "the XWD file is shorter than its header says");
        Ok(me)
    }

    /// One row of pixels, `0x??RRGGBB`.
    pub fn row(&self, y: usize) -> Option<&[AtomicU32]> {
        if y >= self.height {
            return None;
        }
        self.map.words(self.offset + y * self.stride, self.width)
    }

    /// One pixel as `0xRRGGBB`; outside the screen black.
    pub fn pixel(&self, x: usize, y: usize) -> u32 {
        self.row(y).and_then(|r| r.get(x)).map_or(0, |p| p.load(Ordering::Relaxed) & RGB)
    }
}

/// Where the pixels of an XWD file are (X11/XWDFile.h).
struct Layout {
    offset: usize,
    stride: usize,
    width: usize,
    height: usize,
}

impl Layout {
    fn read(header: &[usize]) -> Result<Self> {
        let field = |i: usize| header.get(i).copied().context("the XWD header is too short");
        let (size, version, bits) = (field(0)?, field(1)?, field(11)?);
        ensure!(version == 7, "XWD version {version} is not 7");
        ensure!(bits == 32, "{bits} bits a pixel: start Xvfb with -screen 0 WxHx24");
        let offset = size + field(19)? * XWD_COLOUR;
        let layout = Self { offset, stride: field(12)?, width: field(4)?, height: field(5)? };
        ensure!(layout.width > 0 && layout.height > 0 && layout.stride >= layout.width * 4, "the XWD header is wrong");
        Ok(layout)
    }
}

/// How bright a pixel is, 0 to 255, with BT.709's weights in 8 bits.
pub fn luma(pixel: u32) -> u32 {
    let [_, r, g, b] = pixel.to_be_bytes().map(u32::from);
    (54 * r + 183 * g + 19 * b) >> 8
}

/// The bits of a pixel that are seen.
pub const RGB: u32 = 0x00ff_ffff;
/// Bytes of a colour map entry in an XWD file.
const XWD_COLOUR: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_where_the_pixels_are() {
        let mut header = vec![0; 25];
        (header[0], header[1], header[4], header[5], header[11], header[12], header[19]) =
            (160, 7, 640, 480, 32, 2560, 256);
        let layout = Layout::read(&header).unwrap();
        assert_eq!((layout.offset, layout.stride, layout.width, layout.height), (160 + 256 * 12, 2560, 640, 480));
        header[11] = 16;
        assert!(Layout::read(&header).is_err());
    }

    #[test]
    fn luma_is_full_range() {
        assert_eq!((luma(0), luma(0x00ff_ffff)), (0, 255));
        assert!(luma(0x0000_ff00) > luma(0x00ff_0000));
    }
}
