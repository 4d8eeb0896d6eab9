//! The FILM op: H.264 for regions in lasting motion, a frame in fragments.
//!
//! Payload: slot, flags, then, in a frame's first fragment, the colours and the rectangle, then H.264 bytes to the end.
//! A frame may be larger than a slice; it is decoded when its last fragment has arrived, never in part. Each slot holds
//! one region and one stream. The encoder runs the same decoder on its own frames, so that it knows every pixel that
//! the viewer shows.

use crate::colour::{to_bgrx, to_i420};
use crate::fault::CodecFault;
use crate::h264::{H264Decoder, H264Encoder, I420};
use crate::sps;
use crate::wire::{Reader, kind, limits, put_op, put_rect};
use telepane_model::{Pixels, Rect, Surf};

/// This fragment begins a frame.
const FIRST: u8 = 1;
/// This fragment ends a frame.
const LAST: u8 = 2;
/// The frame needs no other: the slot's stream begins anew.
const KEY: u8 = 4;
/// BT.709, full range.
const BT709_FULL: u8 = 1;
/// The most bytes of a FILM op before the H.264 bytes, its own header included.
const HEAD: usize = 16;
/// What a frame rate is for openh264's rate control.
const HZ: u64 = 30;

/// Whether a region of this size can be film.
// spec: C-63
fn fits(rect: Rect<Surf>) -> bool {
    limits::FILM_SIDE.contains(&rect.w) && limits::FILM_SIDE.contains(&rect.h) && rect.area() <= limits::FILM_PIXELS
}

/// The sides of the coded picture: the region's, rounded up to even.
const fn even(rect: Rect<Surf>) -> (u32, u32) {
    (rect.w.next_multiple_of(2), rect.h.next_multiple_of(2))
}

/// A coded frame, to be sent in fragments.
#[derive(Debug)]
pub struct FilmFrame {
    /// The H.264 bytes.
    pub data: Vec<u8>,
    slot: u8,
    key: bool,
    rect: Rect<Surf>,
}

/// Appends a FILM op with as much of `rest`, the end of `frame.data`, as fits into `room` bytes; answers with what is
/// then left.
// spec: C-60 C-62 C-64
pub fn put_fragment<'a>(out: &mut Vec<u8>, frame: &FilmFrame, first: bool, rest: &'a [u8], room: usize) -> &'a [u8] {
    let (now, later) = rest.split_at(room.saturating_sub(HEAD).min(rest.len()));
    let mut flags = if first { FIRST } else { 0 };
    if later.is_empty() {
        flags |= LAST;
    }
    if first && frame.key {
        flags |= KEY;
    }
    let mut payload = Vec::with_capacity(now.len() + HEAD);
    payload.extend_from_slice(&[frame.slot, flags]);
    if first {
        payload.push(BT709_FULL);
        put_rect(&mut payload, frame.rect);
    }
    payload.extend_from_slice(now);
    put_op(out, kind::FILM, &payload);
    later
}

/// The host's streams.
#[derive(Default)]
pub struct FilmEncoder {
    streams: Vec<Stream>,
    clock: u64,
    picture: I420,
    padded: Vec<u8>,
}

struct Stream {
    slot: u8,
    rect: Rect<Surf>,
    encoder: H264Encoder,
    decoder: H264Decoder,
    key: bool,
    used: u64,
    bytes: usize,
}

impl FilmEncoder {
    /// The viewer does not hold what was last coded: every stream begins anew.
    // spec: C-70
    pub fn lost(&mut self) {
        self.streams.iter_mut().for_each(|s| s.key = true);
    }

    /// Whether a region can be film.
    pub fn takes(&self, rect: Rect<Surf>) -> bool {
        fits(rect)
    }

    /// About how many bytes the next frame of `rect` takes.
    pub fn expected(&self, rect: Rect<Surf>) -> usize {
        let stream = self.streams.iter().find(|s| s.rect == rect);
        // A first frame takes about 0.08 bytes a pixel (75 kB at 720p).
        stream.filter(|s| !s.key).map_or(rect.area() as usize / 12, |s| s.bytes)
    }

    /// Codes the next frame of `rect`, which lies inside `pixels`, so that frames like it take `share` bytes each over a
    /// second, thirty frames. None if openh264 refuses.
    pub fn code(&mut self, pixels: &Pixels, rect: Rect<Surf>, share: u64) -> Option<FilmFrame> {
        self.clock += 1;
        let at = match self.streams.iter().position(|s| s.rect == rect) {
            Some(at) => at,
            None => self.begin(rect, share.saturating_mul(8 * HZ))?,
        };
        if !to_i420(pixels, rect, &mut self.padded, &mut self.picture) {
            return None;
        }
        let stream = self.streams.get_mut(at)?;
        stream.encoder.rate(share.saturating_mul(8 * HZ));
        let mut data = Vec::new();
        let coded = stream.encoder.encode(&mut self.picture, stream.key, &mut data);
        if !coded || data.len() > limits::FILM_BYTES {
            self.streams.swap_remove(at);
            return None;
        }
        stream.used = self.clock;
        // The expectation is of P frames; a key frame says nothing of the next.
        stream.bytes = if stream.key { data.len() / 4 } else { (stream.bytes * 3 + data.len()) / 4 };
        let key = core::mem::take(&mut stream.key);
        Some(FilmFrame { data, slot: stream.slot, key, rect })
    }

    /// Shows a frame in `sent` as the viewer will. False if it cannot be decoded; its stream is then given up.
    pub fn show(&mut self, frame: &FilmFrame, sent: &mut Pixels) -> bool {
        let Some(at) = self.streams.iter().position(|s| s.slot == frame.slot) else { return false };
        let shown = self.streams[at].decoder.decode(&frame.data).filter(|p| (p.w, p.h) == even(frame.rect));
        match shown {
            Some(picture) => to_bgrx(&picture, frame.rect, sent),
            None => {
                self.streams.swap_remove(at);
                return false;
            }
        }
        true
    }

    /// A new stream in a free slot, or in that of the stream which was not used for longest.
    // spec: C-61
    fn begin(&mut self, rect: Rect<Surf>, bps: u64) -> Option<usize> {
        let taken = |slot: u8| self.streams.iter().any(|s| s.slot == slot);
        let slot = match (0..limits::FILM_SLOTS).find(|slot| !taken(*slot)) {
            Some(slot) => slot,
            None => {
                let oldest = (0..self.streams.len()).min_by_key(|i| self.streams[*i].used)?;
                self.streams.swap_remove(oldest).slot
            }
        };
        let (w, h) = even(rect);
        let encoder = H264Encoder::new(w, h, bps, HZ as f32)?;
        let decoder = H264Decoder::new()?;
        self.streams.push(Stream { slot, rect, encoder, decoder, key: true, used: self.clock, bytes: 0 });
        Some(self.streams.len() - 1)
    }
}

/// The viewer's streams.
#[derive(Default)]
pub struct FilmDecoder {
    slots: [Slot; limits::FILM_SLOTS as usize],
}

#[derive(Default)]
struct Slot {
    stream: Option<(Rect<Surf>, H264Decoder)>,
    frame: Option<Pending>,
}

/// A frame whose last fragment has not come.
struct Pending {
    rect: Rect<Surf>,
    key: bool,
    data: Vec<u8>,
}

impl FilmDecoder {
    /// Takes a fragment; with a frame's last one shows the frame and adds its rectangle to `changed`. `room` is how
    /// many pixels the slice may still write.
    // spec: C-60 C-61 C-62 C-63 C-64 C-65 C-66 C-69
    pub fn apply(
        &mut self,
        payload: &[u8],
        room: u64,
        pixels: &mut Pixels,
        changed: &mut Vec<Rect<Surf>>,
    ) -> Result<u64, CodecFault> {
        let mut r = Reader::new(payload);
        let slot = self.slots.get_mut(usize::from(r.u8()?)).ok_or(CodecFault::FilmSlot)?;
        let flags = r.u8()?;
        if flags & !(FIRST | LAST | KEY) != 0 || flags & (FIRST | KEY) == KEY {
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
            slot.frame = Some(Pending { rect, key: flags & KEY != 0, data: Vec::new() });
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
        let (w, h) = even(frame.rect);
        sps::check(&frame.data, w, h, frame.key)?;
        if frame.key && slot.stream.as_ref().is_none_or(|(rect, _)| *rect != frame.rect) {
            slot.stream = Some((frame.rect, H264Decoder::new().ok_or(CodecFault::FilmStream)?));
        }
        let (rect, decoder) = slot.stream.as_mut().ok_or(CodecFault::FilmOrder)?;
        if *rect != frame.rect {
            return Err(CodecFault::FilmSize);
        }
        let picture = decoder.decode(&frame.data).ok_or(CodecFault::FilmStream)?;
        if (picture.w, picture.h) != (w, h) {
            return Err(CodecFault::FilmSize);
        }
        to_bgrx(&picture, frame.rect, pixels);
        changed.push(frame.rect);
        Ok(area)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    /// A second takes its share within a quarter, also right after the share fell to a third.
    #[test]
    fn a_second_takes_its_share() {
        let mut rng = Rng::new(12);
        let size = Size::new(320, 192);
        let mut wide = Pixels::new(Size::new(900, 192));
        for (i, px) in wide.data_mut().as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let (x, y) = (i % 900, i / 900);
            let v = (x * y / 97 + ((x / 9) ^ (y / 7)) * 3) as u8;
            *px = [v ^ (rng.next_u64() & 7) as u8, v / 2, v.wrapping_add(40), 0];
        }
        let mut film = FilmEncoder::default();
        let mut bytes = Vec::new();
        let share = |n: u64| if n < 90 { 2400 } else { 800 };
        for n in 0..180u64 {
            let at = (n * 3) as i32 % 570;
            let frame = wide.crop(Rect::new(at, 0, size.w, size.h));
            bytes.push(film.code(&frame, size.rect(), share(n)).unwrap().data.len() as u64);
        }
        // From the second second on, and from a third of a second after the fall on.
        for start in (30..60).chain(100..150) {
            let (sum, want) = (bytes[start..start + 30].iter().sum::<u64>(), 30 * share(start as u64));
            assert!((want * 3 / 4..=want * 5 / 4).contains(&sum), "{start}: {sum} of {want}: {bytes:?}");
        }
    }
}
