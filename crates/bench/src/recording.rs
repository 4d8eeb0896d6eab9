//! Recordings of screens, `SEQ2`: what `record` writes and `codec` replays.
//!
//! Little endian: `SEQ2`, u32 width, height, frames; then for each frame u32 milliseconds, u32 kind, u32 length and as
//! many bytes of zstd, which unpack to the frame's pixels (BGRX, X is 0), XORed with the frame before where the kind is
//! 0. `capture` plays the same files as a source, at their times; here every frame counts and none is skipped.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use telepane_model::{Pixels, Rect, Size, Surf};

/// Reads a recording, frame by frame.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    left: u32,
    screen: Pixels,
}

impl Reader<BufReader<File>> {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read or is no such recording.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Self::new(BufReader::new(file)).with_context(|| path.display().to_string())
    }
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is not one.
    pub fn new(mut from: R) -> Result<Self> {
        let mut magic = [0; 4];
        from.read_exact(&mut magic)?;
        ensure!(&magic == MAGIC, "not a SEQ2 recording");
        let size = Size::new(number(&mut from)?, number(&mut from)?);
        ensure!(size.is_valid() && size.area() <= MOST_AREA, "a screen of {size} is not possible in a recording");
        let left = number(&mut from)?;
        Ok(Self { from, left, screen: Pixels::new(size) })
    }

    /// The screen's size.
    pub fn size(&self) -> Size<Surf> {
        self.screen.size()
    }

    /// The next frame and its time in milliseconds; none at the end.
    ///
    /// # Errors
    /// When the file is cut off or its pixels do not unpack.
    pub fn next_frame(&mut self) -> Result<Option<(u32, &Pixels)>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let [ms, kind, len] = [number(&mut self.from)?, number(&mut self.from)?, number(&mut self.from)?];
        let mut packed = Vec::new();
        (&mut self.from).take(len.into()).read_to_end(&mut packed)?;
        ensure!(packed.len() == len as usize, "the recording is cut off");
        let data = self.screen.data_mut();
        let pixels = zstd::bulk::decompress(&packed, data.len())?;
        ensure!(pixels.len() == data.len(), "a frame's pixels do not unpack");
        match kind {
            0 => data.iter_mut().zip(&pixels).for_each(|(old, new)| *old ^= new),
            _ => data.copy_from_slice(&pixels),
        }
        Ok(Some((ms, &self.screen)))
    }
}

/// Writes a recording; frames that show nothing new are left out.
#[derive(Debug)]
pub struct Writer {
    out: BufWriter<File>,
    size: Size<Surf>,
    last: Option<Pixels>,
    frames: u32,
    level: i32,
}

impl Writer {
    /// Begins a file, packed at zstd's `level`: 1 keeps up with a screen, 19 is for what is kept.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path, size: Size<Surf>, level: i32) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        let mut out = BufWriter::new(file);
        out.write_all(MAGIC)?;
        // The number of frames is put in at the end.
        [size.w, size.h, 0].iter().try_for_each(|n| out.write_all(&n.to_le_bytes()))?;
        Ok(Self { out, size, last: None, frames: 0, level })
    }

    /// Adds a frame; false if it shows nothing new.
    ///
    /// # Errors
    /// When it has another size or the file cannot be written.
    pub fn frame(&mut self, ms: u32, pixels: &Pixels) -> Result<bool> {
        ensure!(pixels.size() == self.size, "a frame of {} in a recording of {}", pixels.size(), self.size);
        let (kind, data) = match &self.last {
            Some(last) if last.same(pixels, self.size.rect()) => return Ok(false),
            Some(last) => (0u32, pixels.data().iter().zip(last.data()).map(|(new, old)| new ^ old).collect()),
            None => (1, pixels.data().to_vec()),
        };
        let packed = zstd::bulk::compress(&data, self.level)?;
        [ms, kind, u32::try_from(packed.len())?].iter().try_for_each(|n| self.out.write_all(&n.to_le_bytes()))?;
        self.out.write_all(&packed)?;
        self.frames += 1;
        self.last = Some(pixels.clone());
        Ok(true)
    }

    /// Ends the file; answers how many frames it has.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<u32> {
        self.out.seek(SeekFrom::Start(12))?;
        self.out.write_all(&self.frames.to_le_bytes())?;
        self.out.flush()?;
        Ok(self.frames)
    }
}

/// The part `rect` of `pixels`, whose fourth bytes are 0.
pub fn cropped(pixels: &Pixels, rect: Rect<Surf>) -> Pixels {
    let mut part = pixels.crop(rect);
    part.data_mut().iter_mut().skip(3).step_by(4).for_each(|x| *x = 0);
    part
}

fn number(from: &mut impl Read) -> Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes).context("the recording is cut off")?;
    Ok(u32::from_le_bytes(bytes))
}

const MAGIC: &[u8; 4] = b"SEQ2";
/// The largest screen: 7680x4320 and a little, as in `capture`.
const MOST_AREA: u64 = 33_554_432;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let path = std::env::temp_dir().join(format!("telepane-recording-{}.seq", std::process::id()));
        let size = Size::new(33, 9);
        let mut writer = Writer::create(&path, size, 1).unwrap();
        let mut frame = Pixels::new(size);
        let mut shown = Vec::new();
        for i in 0..5u8 {
            // The third shows nothing new.
            frame.fill(Rect::new(i.into(), 1, 4, 3), [9, if i == 2 { 1 } else { i }, 7]);
            if i == 2 {
                frame = shown.last().map(|(_, p): &(u32, Pixels)| p.clone()).unwrap();
            }
            let new = writer.frame(u32::from(i) * 40, &frame).unwrap();
            assert_eq!(new, i != 2);
            if new {
                shown.push((u32::from(i) * 40, frame.clone()));
            }
        }
        assert!(writer.frame(0, &Pixels::new(Size::new(4, 4))).is_err());
        assert_eq!(writer.finish().unwrap(), 4);
        let mut reader = Reader::open(&path).unwrap();
        for (ms, pixels) in &shown {
            assert_eq!(reader.next_frame().unwrap(), Some((*ms, pixels)));
        }
        assert_eq!(reader.next_frame().unwrap(), None);
        let whole = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut cut = Reader::new(&whole[..whole.len() - 1]).unwrap();
        (0..3).for_each(|_| assert!(cut.next_frame().is_ok()));
        assert!(cut.next_frame().is_err());
        assert!(Reader::new(&b"SEQ1"[..]).is_err());
    }
}
