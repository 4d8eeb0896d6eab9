//! The H.264 streams of a viewer's films, behind a trait, so that a shell can have them decoded elsewhere.
//!
//! openh264 is C++ and is given a stranger's bytes. Where a process can be had that may do nothing but decode, a shell gives the
//! decoder [`FilmStreams`] that ask it; else they are decoded [here](InProcess). Either way a frame's units and sizes
//! were checked before ([`crate::sps::check`]), and the picture that comes back has the sides that were asked for.

use crate::fault::CodecFault;
use crate::h264::{H264Decoder, Picture};
use crate::wire::limits;

/// A whole frame of a film.
#[derive(Clone, Copy, Debug)]
pub struct StreamFrame<'a> {
    /// The film's slot, below [`limits::FILM_SLOTS`].
    pub slot: u8,
    /// The slot's stream begins with it: what the slot had is forgotten.
    pub anew: bool,
    /// The sides of its picture, even.
    pub sides: (u32, u32),
    /// Annex B bytes, at most [`limits::FILM_BYTES`].
    pub data: &'a [u8],
}

/// Decodes the frames of films, of each slot in the order of its stream.
pub trait FilmStreams: Send {
    /// The frame's picture, which has the sides that it was asked for with.
    ///
    /// # Errors
    /// [`CodecFault::FilmSize`] when the picture has other sides, [`CodecFault::FilmStream`] when there is none.
    fn decode(&mut self, frame: StreamFrame<'_>) -> Result<Picture<'_>, CodecFault>;
}

/// Decodes in this process.
#[derive(Default)]
pub struct InProcess {
    slots: [Option<H264Decoder>; limits::FILM_SLOTS as usize],
}

impl FilmStreams for InProcess {
    fn decode(&mut self, frame: StreamFrame<'_>) -> Result<Picture<'_>, CodecFault> {
        let slot = self.slots.get_mut(usize::from(frame.slot)).ok_or(CodecFault::FilmSlot)?;
        if frame.anew {
            *slot = H264Decoder::new();
        }
        let decoder = slot.as_mut().ok_or(CodecFault::FilmStream)?;
        let picture = decoder.decode(frame.data).ok_or(CodecFault::FilmStream)?;
        if (picture.w, picture.h) == frame.sides { Ok(picture) } else { Err(CodecFault::FilmSize) }
    }
}
