//! The viewer's films: fragments come together, and whole frames go to their streams and to their place.

use super::{BT709_FULL, FIRST, KEY, LAST, REDUCED, fits, paint, scale_for, scale_of};
use crate::fault::CodecFault;
use crate::scale::{Enlarged, coded_sides};
use crate::sps;
use crate::streams::{FilmStreams, InProcess, StreamFrame};
use crate::wire::{Reader, limits};
use telepane_model::{FilmScale, Pixels, Rect, Surf};

/// The viewer's streams.
pub struct FilmDecoder {
    slots: [Slot; limits::FILM_SLOTS as usize],
    streams: Box<dyn FilmStreams>,
    enlarged: Enlarged,
}

impl Default for FilmDecoder {
    fn default() -> Self {
        Self::with_streams(Box::new(InProcess::default()))
    }
}

#[derive(Default)]
struct Slot {
    /// The region of the stream that `streams` has for it.
    stream: Option<(Rect<Surf>, FilmScale)>,
    frame: Option<Pending>,
}

/// A frame whose last fragment has not come.
struct Pending {
    rect: Rect<Surf>,
    scale: FilmScale,
    key: bool,
    data: Vec<u8>,
}

impl FilmDecoder {
    /// No film yet; those to come are decoded by `streams`.
    pub fn with_streams(streams: Box<dyn FilmStreams>) -> Self {
        Self { slots: Default::default(), streams, enlarged: Enlarged::default() }
    }

    /// What decoded films, to decode those of another epoch; here they are from now on decoded in this process.
    pub fn take_streams(&mut self) -> Box<dyn FilmStreams> {
        core::mem::take(self).streams
    }

    /// Takes a fragment; with a frame's last one shows the frame and adds its rectangle to `changed`. `room` is how
    /// many pixels the slice may still write.
    // spec: C-60, C-61, C-62, C-63, C-64, C-65, C-66, C-69, C-180, C-181
    pub fn apply(
        &mut self,
        payload: &[u8],
        room: u64,
        pixels: &mut Pixels,
        changed: &mut Vec<Rect<Surf>>,
    ) -> Result<u64, CodecFault> {
        let mut r = Reader::new(payload);
        let number = r.u8()?;
        let slot = self.slots.get_mut(usize::from(number)).ok_or(CodecFault::FilmSlot)?;
        let flags = r.u8()?;
        if flags & !(FIRST | LAST | KEY | REDUCED) != 0 || flags & FIRST == 0 && flags & (KEY | REDUCED) != 0 {
            return Err(CodecFault::FilmFlags);
        }
        if flags & FIRST != 0 {
            if r.u8()? != BT709_FULL {
                return Err(CodecFault::FilmColour);
            }
            let rect = r.rect(pixels.size())?;
            if !fits(rect) {
                return Err(CodecFault::FilmSize);
            }
            let scale = match flags & REDUCED {
                0 => FilmScale::Full,
                _ => scale_of(r.u8()?).filter(|s| scale_for(rect, *s) == *s).ok_or(CodecFault::FilmScale)?,
            };
            slot.frame = Some(Pending { rect, scale, key: flags & KEY != 0, data: Vec::new() });
        }
        let frame = slot.frame.as_mut().ok_or(CodecFault::FilmOrder)?;
        let data = r.rest();
        if frame.data.len() + data.len() > limits::FILM_BYTES {
            return Err(CodecFault::FilmTooLong);
        }
        frame.data.extend_from_slice(data);
        if flags & LAST == 0 {
            return Ok(0);
        }
        let frame = slot.frame.take().ok_or(CodecFault::FilmOrder)?;
        let area = frame.rect.area();
        if area > room {
            return Err(CodecFault::TooMuchWork);
        }
        let sides @ (w, h) = coded_sides(frame.rect, frame.scale);
        sps::check(&frame.data, w, h, frame.key)?;
        let anew = frame.key && slot.stream != Some((frame.rect, frame.scale));
        if anew {
            slot.stream = Some((frame.rect, frame.scale));
        }
        if slot.stream.ok_or(CodecFault::FilmOrder)? != (frame.rect, frame.scale) {
            return Err(CodecFault::FilmSize);
        }
        let picture = self.streams.decode(StreamFrame { slot: number, anew, sides, data: &frame.data })?;
        paint(&picture, frame.rect, &mut self.enlarged, pixels);
        changed.push(frame.rect);
        Ok(area)
    }
}
