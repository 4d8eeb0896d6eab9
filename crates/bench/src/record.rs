//! `telepane-bench record`: a display, or a part of it, into a `.seq`; or a piece cut out of another `.seq`.
//!
//! The screen is read with GetImage at even intervals, unsynchronised like a real capture, so a grab can be torn in the
//! middle of a repaint. Frames that show nothing new are left out. `benches/recordings/` has the scripts that work on
//! the display meanwhile.

use crate::clock;
use crate::recording::{Reader, Writer, cropped};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::path::PathBuf;
use telepane_model::{Pixels, Rect, Size, Surf};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt, ImageFormat, ImageOrder};

/// `telepane-bench record`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The display, such as :7.
    #[arg(long, value_name = ":N", required_unless_present = "from")]
    pub display: Option<String>,
    /// Cut this recording instead.
    #[arg(long, value_name = "FILE.seq", conflicts_with = "display")]
    pub from: Option<PathBuf>,
    /// The recording to write.
    #[arg(long, value_name = "FILE.seq")]
    pub out: PathBuf,
    /// How long.
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub seconds: f64,
    /// How often the screen is read in a second.
    #[arg(long, value_name = "F", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=240))]
    pub fps: u32,
    /// Only this part of the screen.
    #[arg(long, value_name = "X,Y,W,H", value_parser = parse_rect)]
    pub crop: Option<Rect<Surf>>,
    /// At most so many frames.
    #[arg(long, value_name = "N", default_value_t = u32::MAX)]
    pub frames: u32,
    /// With --from: leave so many frames out at the start.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "from")]
    pub skip: u32,
}

/// Records.
///
/// # Errors
/// When the display or a file cannot be opened, read or written.
pub fn run(options: &Options) -> Result<()> {
    let frames = match (&options.from, &options.display) {
        (Some(from), _) => cut(options, from)?,
        (None, Some(display)) => grab(options, display)?,
        (None, None) => bail!("give --display or --from"),
    };
    println!("{}: {frames} frames", options.out.display());
    Ok(())
}

fn part(options: &Options, size: Size<Surf>) -> Result<Rect<Surf>> {
    let part = options.crop.unwrap_or(size.rect());
    ensure!(!part.is_empty() && size.rect().contains(part), "{part:?} is not inside {size}");
    Ok(part)
}

fn cut(options: &Options, from: &std::path::Path) -> Result<u32> {
    let mut reader = Reader::open(from)?;
    let part = part(options, reader.size())?;
    let mut writer = Writer::create(&options.out, Size::new(part.w, part.h), 19)?;
    let (mut at, mut taken) = (0, 0);
    while taken < options.frames
        && let Some((ms, screen)) = reader.next_frame()?
    {
        at += 1;
        if at > options.skip {
            taken += u32::from(writer.frame(ms, &cropped(screen, part))?);
        }
    }
    writer.finish()
}

fn grab(options: &Options, display: &str) -> Result<u32> {
    let (x, screen) = x11rb::connect(Some(display)).with_context(|| format!("display {display}"))?;
    let setup = x.setup();
    let screen = setup.roots.get(screen).context("the display has no such screen")?;
    ensure!(setup.image_byte_order == ImageOrder::LSB_FIRST, "a big-endian display cannot be recorded");
    let part = part(options, Size::new(screen.width_in_pixels.into(), screen.height_in_pixels.into()))?;
    let mut writer = Writer::create(&options.out, Size::new(part.w, part.h), 1)?;
    let (start, mut taken, mut tick) = (clock::now(), 0, 0u64);
    while taken < options.frames {
        let at = start + tick * 1_000_000 / u64::from(options.fps);
        clock::sleep_until(at);
        let us = clock::now() - start;
        if us as f64 > options.seconds * 1e6 {
            break;
        }
        let (w, h) = (u16::try_from(part.w)?, u16::try_from(part.h)?);
        let (left, top) = (i16::try_from(part.x)?, i16::try_from(part.y)?);
        let image = x.get_image(ImageFormat::Z_PIXMAP, screen.root, left, top, w, h, u32::MAX)?.reply()?;
        let size = Size::new(part.w, part.h);
        let pixels = Pixels::from_bgrx(size, image.data).context("not a display of 32 bits a pixel")?;
        taken += u32::from(writer.frame(u32::try_from(us / 1000)?, &cropped(&pixels, size.rect()))?);
        // A grab that took longer than its interval is not made up for.
        tick = ((clock::now() - start) * u64::from(options.fps) / 1_000_000).max(tick) + 1;
    }
    writer.finish()
}

fn parse_rect(text: &str) -> Result<Rect<Surf>, String> {
    let n: Vec<u32> = text.split(',').filter_map(|n| n.parse().ok()).collect();
    match n[..] {
        [x, y, w, h] if w > 0 && h > 0 && [x, y, w, h].iter().all(|n| *n <= 16_384) => {
            Ok(Rect::new(x as i32, y as i32, w, h))
        }
        _ => Err("give X,Y,W,H such as 100,50,640,360".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rects_are_read_or_explained() {
        assert_eq!(parse_rect("100,50,640,360"), Ok(Rect::new(100, 50, 640, 360)));
        for bad in ["", "1,2,3", "1,2,0,4", "a,b,c,d", "1,2,3,4294967295"] {
            assert!(parse_rect(bad).is_err(), "{bad}");
        }
    }
}
