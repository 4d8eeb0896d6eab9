//! The FILM op: H.264 for regions in lasting motion, a frame in fragments.
//!
//! Payload: slot, flags, then, in a frame's first fragment, the colours, the rectangle and, if it is coded smaller than it
//! is shown, in which size, then H.264 bytes to the end.
//! A frame may be larger than a slice; it is decoded when its last fragment has arrived, never in part. Each slot holds
//! one region and one stream. The encoder runs the same decoder on its own frames, so that it knows every pixel that
//! the viewer shows.
//!
//! What a frame needs to look well it gets, and no more: the quantiser has a floor ([`FINEST`]), and the share of the link
//! binds above it, up to [`Filmed::COARSEST`]; where that is too much, frames come less often or smaller. After a loss the
//! next frame refers to the last long-term reference that the viewer is known to have shown. A frame can be coded on
//! another thread than everything else ([`FilmTask`]): its stream goes along, and hears afterwards of what happened
//! meanwhile.

mod decode;

use crate::colour::{to_bgrx, to_i420};
use crate::h264::{H264Decoder, H264Encoder, I420, Mark, Picture};
use crate::scale::{Enlarged, coded_sides, shrink};
use crate::wire::{kind, limits, put_op, put_rect};
pub use decode::FilmDecoder;
use telepane_model::{Bytes, FilmScale, Filmed, Pixels, Rect, Surf, UpdateId, Version};

/// The finest quantiser (1 to 51) that film is coded with unless a person says otherwise. It gives 41.3 to 42.2 dB of luma
/// on the films that were measured (the benches' two and one that a camera took) at 2 to 4 kB a frame of 720p; each two
/// steps less are 1 dB more at 1.2 to 1.5 times the bytes.
pub const FINEST: u8 = 26;
/// The coarsest there is.
const COARSEST: u8 = 51;

/// This fragment begins a frame.
const FIRST: u8 = 1;
/// This fragment ends a frame.
const LAST: u8 = 2;
/// The frame needs no other: the slot's stream begins anew.
const KEY: u8 = 4;
/// The frame is coded smaller than it is shown; how much so stands behind the rectangle.
const REDUCED: u8 = 8;
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

/// The scale itself, if the picture that it makes of the region is not too small for H.264, else none at all.
pub fn scale_for(rect: Rect<Surf>, scale: FilmScale) -> FilmScale {
    let (w, h) = coded_sides(rect, scale);
    let fits = limits::FILM_SIDE.contains(&w) && limits::FILM_SIDE.contains(&h);
    if fits { scale } else { FilmScale::Full }
}

/// What stands behind the rectangle of a reduced frame: how many quarters of a side are coded.
// spec: C-181
const fn scale_of(quarters: u8) -> Option<FilmScale> {
    match quarters {
        2 => Some(FilmScale::Half),
        3 => Some(FilmScale::ThreeQuarters),
        _ => None,
    }
}

/// Writes a picture of a region to its place.
fn paint(picture: &Picture<'_>, rect: Rect<Surf>, enlarged: &mut Enlarged, pixels: &mut Pixels) {
    let (w, h) = coded_sides(rect, FilmScale::Full);
    if (picture.w, picture.h) == (w, h) {
        to_bgrx(picture, rect, pixels);
    } else {
        to_bgrx(&enlarged.of(picture, w, h), rect, pixels);
    }
}

/// A coded frame, to be sent in fragments.
#[derive(Debug)]
pub struct FilmFrame {
    /// The H.264 bytes.
    pub data: Vec<u8>,
    /// Where it goes.
    pub rect: Rect<Surf>,
    /// The capture that it shows.
    pub version: Version,
    slot: u8,
    key: bool,
    scale: FilmScale,
    quantiser: u8,
    /// The bytes that it was to take.
    share: u64,
    /// Bytes of `data` that are in fragments.
    sent: usize,
}

impl FilmFrame {
    /// Appends a FILM op with as much of what is not sent as fits into `room` bytes.
    // spec: C-60, C-62, C-64, C-180
    pub fn put_fragment(&mut self, out: &mut Vec<u8>, room: usize) {
        let (first, rest) = (self.sent == 0, self.data.get(self.sent..).unwrap_or(&[]));
        let (now, later) = rest.split_at(room.saturating_sub(HEAD).min(rest.len()));
        let mut flags = if first { FIRST } else { 0 };
        if later.is_empty() {
            flags |= LAST;
        }
        if first && self.key {
            flags |= KEY;
        }
        if first && self.scale != FilmScale::Full {
            flags |= REDUCED;
        }
        let mut payload = Vec::with_capacity(now.len() + HEAD);
        payload.extend_from_slice(&[self.slot, flags]);
        if first {
            payload.push(BT709_FULL);
            put_rect(&mut payload, self.rect);
            if flags & REDUCED != 0 {
                payload.push(self.scale.quarters() as u8);
            }
        }
        payload.extend_from_slice(now);
        put_op(out, kind::FILM, &payload);
        self.sent += now.len();
    }

    /// How long an op may be so that what is left fits into as few of at most `room` bytes as can be, of equal length.
    pub fn fragment(&self, room: usize) -> usize {
        let most = room.saturating_sub(HEAD).max(1);
        let count = self.left().div_ceil(most).max(1);
        self.left().div_ceil(count) + HEAD
    }

    /// What it came to.
    pub fn filmed(&self) -> Filmed {
        let quality = (COARSEST.saturating_sub(self.quantiser) * 4).min(100);
        Filmed { bytes: Bytes(self.data.len() as u64), quality, scale: self.scale, key: self.key }
    }

    /// Nothing of it is in fragments yet.
    pub const fn is_whole(&self) -> bool {
        self.sent == 0
    }

    /// Whether it is not begun to be sent, and far too large for what such a frame may take by now, `share`, though not for what it
    /// was coded for. A key frame always is large, and was waited for. What is made in its place refers further back and takes
    /// more bytes for that, so it must save several times as many.
    pub fn outgrew(&self, share: u64) -> bool {
        let much = share.saturating_mul(4);
        self.is_whole() && !self.key && much < self.share && much < self.data.len() as u64
    }

    /// Bytes that are in no fragment yet.
    pub fn left(&self) -> usize {
        self.data.len().saturating_sub(self.sent)
    }
}

/// A region's next frame, to be coded on whatever thread: it has its stream with it.
pub struct FilmTask {
    stream: Stream,
    version: Version,
    share: u64,
    room: Room,
    /// The frame; none before it has run, and when openh264 refuses.
    coded: Option<Coded>,
}

/// Memory for the pictures on the way to H.264.
#[derive(Default)]
struct Room {
    picture: I420,
    smaller: I420,
    padded: Vec<u8>,
}

/// What a stream makes of a picture.
struct Coded {
    data: Vec<u8>,
    /// It needs no other frame.
    key: bool,
    quantiser: u8,
}

impl FilmTask {
    /// Codes the frame from `newest`, the pixels that were newest when it was begun.
    pub fn run(&mut self, newest: &Pixels) {
        let Room { picture, smaller, padded } = &mut self.room;
        if !to_i420(newest, self.stream.rect, padded, picture) {
            return;
        }
        let coded = match self.stream.scale {
            FilmScale::Full => picture,
            scale => {
                let (w, h) = coded_sides(self.stream.rect, scale);
                shrink(picture, w, h, smaller);
                smaller
            }
        };
        self.coded = self.stream.code(coded, self.share);
    }

    /// The region.
    pub const fn rect(&self) -> Rect<Surf> {
        self.stream.rect
    }

    /// How many pixels are coded.
    pub fn pixels(&self) -> u64 {
        let (w, h) = coded_sides(self.stream.rect, self.stream.scale);
        u64::from(w) * u64::from(h)
    }
}

/// What came of a task.
#[derive(Debug)]
pub enum FilmDone {
    /// A frame.
    Coded(FilmFrame),
    /// A frame that nobody wants any more: something happened meanwhile that the stream now knows.
    Stale,
    /// openh264 makes nothing of it.
    Refused,
}

/// The host's streams.
pub struct FilmEncoder {
    streams: Vec<Stream>,
    /// A stream is with a task, and is told this when it comes back.
    away: Option<Vec<Told>>,
    finest: u8,
    /// The finest and the coarsest quantiser of new frames.
    quantisers: (u8, u8),
    clock: u64,
    room: Room,
    enlarged: Enlarged,
}

/// What happened while a stream was with a task.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Confirmed(UpdateId),
    Lost(UpdateId),
    Anew,
}

struct Stream {
    slot: u8,
    rect: Rect<Surf>,
    scale: FilmScale,
    quantisers: (u8, u8),
    encoder: H264Encoder,
    decoder: H264Decoder,
    /// The next frame needs no other.
    key: bool,
    used: u64,
    bytes: usize,
    /// The last key frame's name, and the slice that ends it.
    began: Option<(i32, UpdateId)>,
    /// A long-term reference on its way, and the slice that ends the frame which marks it; not known before it ends.
    marked: Option<(Mark, Option<UpdateId>)>,
}

impl FilmEncoder {
    /// No stream; none will be coded finer than `finest`.
    pub fn new(finest: u8) -> Self {
        Self {
            streams: Vec::new(),
            away: None,
            finest,
            quantisers: (finest, Filmed::COARSEST.max(finest)),
            clock: 0,
            room: Room::default(),
            enlarged: Enlarged::default(),
        }
    }

    /// Frames from now on have at least and at most these qualities, 0 to 100. A stream that was begun with others begins anew with
    /// its next frame.
    // spec: H-45
    pub fn bound(&mut self, (least, greatest): (u8, u8)) {
        // Down to a picture that is hardly one; a least quality of 100 leaves no room under the finest.
        let finest = self.finest.saturating_add((100 - greatest.min(100)) / 5).min(COARSEST);
        self.quantisers = (finest, (COARSEST - least.min(100) / 4).min(Filmed::COARSEST).max(finest));
    }

    /// Someone follows who has seen no frame: every stream begins anew.
    pub fn begin_anew(&mut self) {
        self.streams.iter_mut().for_each(|s| s.key = true);
        self.tell(Told::Anew);
    }

    /// The viewer holds what slice `base` left, and no frame that ended later: each stream goes on from the last
    /// long-term reference that arrived, or begins anew.
    // spec: C-70
    pub fn lost(&mut self, base: UpdateId) {
        self.streams.iter_mut().for_each(|s| s.lost(base));
        self.tell(Told::Lost(base));
    }

    /// The rest of a frame will not be sent: its stream begins anew.
    pub fn abandon(&mut self, frame: &FilmFrame) {
        self.streams.iter_mut().filter(|s| s.slot == frame.slot).for_each(|s| s.key = true);
    }

    /// Nothing of a frame was sent, and nothing will be: its stream goes on from what the viewer will have without it.
    // spec: C-70
    pub fn skip(&mut self, frame: &FilmFrame) {
        self.streams.iter_mut().filter(|s| s.slot == frame.slot).for_each(Stream::skip);
    }

    /// The frame that a task is coding will not be sent.
    pub fn abandon_task(&mut self) {
        self.tell(Told::Anew);
    }

    /// The viewer has applied everything up to `applied`.
    pub fn confirm(&mut self, applied: UpdateId) {
        self.streams.iter_mut().for_each(|s| s.confirm(applied));
        self.tell(Told::Confirmed(applied));
    }

    fn tell(&mut self, what: Told) {
        let Some(told) = &mut self.away else { return };
        match (told.last_mut(), what) {
            (Some(Told::Confirmed(at)), Told::Confirmed(applied)) => *at = applied,
            (Some(last), what) if *last == what => {}
            _ => told.push(what),
        }
    }

    /// Whether a region can be film.
    pub fn takes(&self, rect: Rect<Surf>) -> bool {
        fits(rect)
    }

    /// About how many bytes the next frame of `rect` takes.
    pub fn expected(&self, rect: Rect<Surf>) -> usize {
        let stream = self.streams.iter().find(|s| s.rect == rect);
        // A first frame takes about 0.04 bytes a pixel (35 kB at 720p).
        stream.filter(|s| !s.key).map_or(rect.area() as usize / 26, |s| s.bytes)
    }

    /// Codes the next frame of `rect`, which lies inside `pixels`, in size `scale` (of [`scale_for`]), so that frames like it
    /// take `share` bytes each over thirty of them, or less if they are fine enough. None if openh264 refuses.
    pub fn code(
        &mut self,
        pixels: &Pixels,
        version: Version,
        (rect, scale): (Rect<Surf>, FilmScale),
        share: u64,
    ) -> Option<FilmFrame> {
        let mut task = self.task(version, (rect, scale), share)?;
        task.run(pixels);
        match self.done(task) {
            FilmDone::Coded(frame) => Some(frame),
            FilmDone::Stale | FilmDone::Refused => None,
        }
    }

    /// The same in two steps: what codes the frame of capture `version`, to be brought back with [`FilmEncoder::done`].
    /// There is one at a time. None if openh264 refuses.
    pub fn task(&mut self, version: Version, (rect, scale): (Rect<Surf>, FilmScale), share: u64) -> Option<FilmTask> {
        if self.away.is_some() {
            return None;
        }
        self.clock += 1;
        let bounds = self.quantisers;
        self.streams.retain(|s| s.rect != rect || (s.quantisers, s.scale) == (bounds, scale));
        let mut stream = match self.streams.iter().position(|s| s.rect == rect) {
            Some(at) => self.streams.swap_remove(at),
            None => self.begin(rect, scale, share.saturating_mul(8 * HZ))?,
        };
        stream.used = self.clock;
        self.away = Some(Vec::new());
        let room = core::mem::take(&mut self.room);
        Some(FilmTask { stream, version, share, room, coded: None })
    }

    /// A task comes back, having run.
    pub fn done(&mut self, task: FilmTask) -> FilmDone {
        let FilmTask { mut stream, version, share, room, coded } = task;
        self.room = room;
        let told = self.away.take().unwrap_or_default();
        // A stream that makes nothing of a frame is not gone on with.
        let Some(Coded { data, key, quantiser }) = coded else { return FilmDone::Refused };
        let (slot, rect, scale) = (stream.slot, stream.rect, stream.scale);
        let frame = FilmFrame { data, slot, key, rect, version, scale, quantiser, share, sent: 0 };
        let mut stale = false;
        for told in told {
            stale |= !matches!(told, Told::Confirmed(_));
            match told {
                Told::Confirmed(applied) => stream.confirm(applied),
                Told::Lost(base) => stream.lost(base),
                Told::Anew => stream.key = true,
            }
        }
        self.streams.push(stream);
        if stale { FilmDone::Stale } else { FilmDone::Coded(frame) }
    }

    /// Shows the frame that was coded last in its region's stream in `sent`, as the viewer will when it has applied slice
    /// `id`, which ends it.
    pub fn show(&mut self, frame: &FilmFrame, id: UpdateId, sent: &mut Pixels) {
        let Some(stream) = self.streams.iter_mut().find(|s| s.slot == frame.slot) else { return };
        if let Some(picture) = stream.decoder.picture() {
            paint(&picture, frame.rect, &mut self.enlarged, sent);
        }
        if frame.key {
            stream.began = stream.decoder.key().map(|name| (name, id));
            stream.marked = None;
        } else if let Some((_, end @ None)) = &mut stream.marked {
            *end = Some(id);
        }
    }

    /// A new stream in a free slot, or in that of the stream which was not used for longest.
    // spec: C-61
    fn begin(&mut self, rect: Rect<Surf>, scale: FilmScale, bps: u64) -> Option<Stream> {
        let taken = |slot: u8| self.streams.iter().any(|s| s.slot == slot);
        let slot = match (0..limits::FILM_SLOTS).find(|slot| !taken(*slot)) {
            Some(slot) => slot,
            None => {
                let oldest = (0..self.streams.len()).min_by_key(|i| self.streams[*i].used)?;
                self.streams.swap_remove(oldest).slot
            }
        };
        let (w, h) = coded_sides(rect, scale);
        let encoder = H264Encoder::new(w, h, bps, HZ as f32, self.quantisers)?;
        let decoder = H264Decoder::new()?;
        let (used, began, marked) = (self.clock, None, None);
        let quantisers = self.quantisers;
        Some(Stream { slot, rect, scale, quantisers, encoder, decoder, key: true, used, bytes: 0, began, marked })
    }
}

impl Stream {
    /// The next frame and whether it is a key frame; the decoder has shown it.
    fn code(&mut self, picture: &mut I420, share: u64) -> Option<Coded> {
        self.encoder.rate(share.saturating_mul(8 * HZ));
        let mut data = Vec::new();
        if !self.encoder.encode(picture, self.key, &mut data) || data.len() > limits::FILM_BYTES {
            return None;
        }
        // The expectation is of P frames; a key frame says nothing of the next.
        self.bytes = if self.key { data.len() / 4 } else { (self.bytes * 3 + data.len()) / 4 };
        let key = core::mem::take(&mut self.key);
        if key {
            (self.began, self.marked) = (None, None);
        }
        self.decoder.decode(&data).filter(|p| (p.w, p.h) == coded_sides(self.rect, self.scale))?;
        if !key && let Some(mark) = self.decoder.mark() {
            self.marked = Some((mark, None));
        }
        let quantiser = self.encoder.quantiser();
        Some(Coded { data, key, quantiser })
    }

    /// See [`FilmEncoder::lost`].
    fn lost(&mut self, base: UpdateId) {
        let Some((name, _)) = self.began.filter(|(_, at)| *at <= base && !self.key) else {
            self.key = true;
            return;
        };
        self.confirm(base);
        let marked = self.marked.take().map(|(mark, _)| mark);
        self.encoder.lost(name, marked);
    }

    /// The viewer will not have the last frame, but everything before it.
    fn skip(&mut self) {
        let Some((name, _)) = self.began.filter(|_| !self.key) else {
            self.key = true;
            return;
        };
        // What another frame marked is still on its way.
        let marked = self.marked.take_if(|(_, end)| end.is_none()).map(|(mark, _)| mark);
        self.encoder.lost(name, marked);
    }

    fn confirm(&mut self, applied: UpdateId) {
        if let Some((mark, _)) = self.marked.take_if(|(_, end)| end.is_some_and(|end| end <= applied)) {
            self.encoder.arrived(mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Rng, Size};

    /// A landscape with grain, of which a camera sees frame `n`.
    fn scene(size: Size<Surf>) -> impl Fn(u64) -> Pixels {
        let mut rng = Rng::new(21);
        let mut wide = Pixels::new(Size::new(size.w * 3, size.h));
        for (i, px) in wide.data_mut().as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let (x, y) = (i as u32 % (size.w * 3), i as u32 / (size.w * 3));
            let v = ((x * 3 / 2) ^ y) as u8;
            *px = [v.wrapping_add((rng.next_u64() & 7) as u8), (x / 3 + y) as u8, (y * 2) as u8, 0];
        }
        move |n| wide.crop(Rect::new((n * 3 % u64::from(size.w * 2)) as i32, 0, size.w, size.h))
    }

    /// What is sent, and a viewer that gets it or not.
    struct Pair {
        host: FilmEncoder,
        viewer: FilmDecoder,
        sent: Pixels,
        shown: Pixels,
        id: u32,
        scale: FilmScale,
    }

    impl Pair {
        fn new(size: Size<Surf>) -> Self {
            let (sent, shown) = (Pixels::new(size), Pixels::new(size));
            Self {
                host: FilmEncoder::new(FINEST),
                viewer: FilmDecoder::default(),
                sent,
                shown,
                id: 0,
                scale: FilmScale::Full,
            }
        }

        /// Codes and shows a frame; its op, and whether it is a key frame.
        fn code(&mut self, frame: &Pixels) -> (Vec<u8>, bool) {
            self.id += 1;
            let mut coded = self.host.code(frame, Version(1), (frame.size().rect(), self.scale), 8_000).unwrap();
            self.host.show(&coded, UpdateId(self.id), &mut self.sent);
            let mut op = Vec::new();
            coded.put_fragment(&mut op, usize::MAX);
            (op, coded.key)
        }

        fn apply(&mut self, op: &[u8]) {
            let (_, payload) = crate::wire::next_op(&mut crate::wire::Reader::new(op)).unwrap();
            self.viewer.apply(payload, u64::MAX, &mut self.shown, &mut Vec::new()).unwrap();
        }
    }

    // spec: C-70
    #[test]
    fn a_loss_is_gone_on_from_a_long_term_reference() {
        let size = Size::new(192, 128);
        let frame = scene(size);
        let mut p = Pair::new(size);
        let (mut keys, mut lost) = (0, 0);
        // Confirmations come three frames late. Now and then four frames in a row are lost, and noticed then.
        for n in 0..120u64 {
            let (op, key) = p.code(&frame(n));
            keys += u32::from(key);
            if n % 30 >= 26 {
                lost += 1;
                if n % 30 == 29 {
                    p.host.lost(UpdateId(p.id - 4));
                }
                continue;
            }
            p.apply(&op);
            assert!(p.shown == p.sent, "frame {n}");
            p.host.confirm(UpdateId(p.id.saturating_sub(3)));
        }
        assert_eq!((keys, lost), (1, 16));
    }

    // spec: C-70
    #[test]
    fn what_the_viewer_never_had_is_begun_anew() {
        let size = Size::new(96, 64);
        let frame = scene(size);
        let mut p = Pair::new(size);
        // The key frame itself is lost, with what followed.
        for n in 0..3 {
            p.code(&frame(n));
        }
        p.host.lost(UpdateId(0));
        let (op, key) = p.code(&frame(3));
        assert!(key);
        p.apply(&op);
        assert!(p.shown == p.sent);
        // The rest of a frame is not sent.
        let coded = p.host.code(&frame(4), Version(5), (size.rect(), p.scale), 8_000).unwrap();
        p.host.abandon(&coded);
        let (op, key) = p.code(&frame(5));
        assert!(key);
        p.apply(&op);
        assert!(p.shown == p.sent);
    }

    // spec: C-180, C-181, C-182
    #[test]
    fn a_smaller_film_is_shown_in_its_place_by_both_ends() {
        // Odd sides, so that everything is rounded.
        let size = Size::new(191, 127);
        let frame = scene(size);
        let mut p = Pair::new(size);
        let mut bytes = [0; 3];
        for (n, scale) in
            (0..30u64).map(|n| (n, [FilmScale::Full, FilmScale::ThreeQuarters, FilmScale::Half][n as usize / 10]))
        {
            p.scale = scale;
            let (op, key) = p.code(&frame(n));
            assert_eq!(key, n % 10 == 0, "another size is another stream");
            p.apply(&op);
            assert!(p.shown == p.sent, "frame {n}");
            bytes[n as usize / 10] += op.len();
            let off: u64 = frame(n).data().iter().zip(p.shown.data()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            assert!(off / (size.area() * 3) < 24, "frame {n} is another picture: {off}");
        }
        assert!(bytes[0] > bytes[1] && bytes[1] > bytes[2], "{bytes:?}");
    }

    #[test]
    fn what_would_be_too_small_is_not_made_smaller() {
        let scale = |w, h| scale_for(Rect::new(0, 0, w, h), FilmScale::Half);
        assert_eq!([scale(31, 64), scale(27, 64), scale(64, 28)], [FilmScale::Half, FilmScale::Full, FilmScale::Full]);
    }

    // spec: H-45
    #[test]
    fn a_frame_says_how_fine_it_is() {
        let size = Size::new(192, 128);
        let frame = scene(size);
        let quality = |finest: u8, share: u64| {
            let mut host = FilmEncoder::new(finest);
            let mut code = |n| host.code(&frame(n), Version(n), (size.rect(), FilmScale::Full), share).unwrap();
            (0..40).map(|n| code(n).filmed()).last().unwrap().quality
        };
        let (much, as_set, little) = (quality(10, 40_000), quality(35, 40_000), quality(10, 420));
        assert_eq!((much, as_set), (100, 4 * (COARSEST - 35)));
        assert!(little < 90, "{little}");
    }

    // spec: H-45
    #[test]
    fn no_frame_is_coarser_than_is_of_use_unless_that_is_wanted() {
        let size = Size::new(512, 384);
        let frame = scene(size);
        let worst = |greatest: u8| {
            let mut host = FilmEncoder::new(FINEST);
            host.bound((0, greatest));
            let mut code = |n| host.code(&frame(n), Version(n), (size.rect(), FilmScale::Full), 420).unwrap();
            (0..40).map(|n| code(n).filmed().quality).min().unwrap()
        };
        let (free, coarse) = (worst(100), worst(0));
        assert_eq!(free, 4 * (COARSEST - Filmed::COARSEST), "the share is far too small, and asks for the coarsest");
        assert!(coarse < free, "{coarse}");
    }

    /// A plain film takes what it needs for its quality and leaves the rest of the share.
    #[test]
    fn film_takes_no_more_than_it_needs() {
        let size = Size::new(192, 128);
        let frame = scene(size);
        let run = |finest: u8, share: u64| -> Vec<usize> {
            let mut host = FilmEncoder::new(finest);
            (0..60)
                .map(|n| host.code(&frame(n), Version(n), (size.rect(), FilmScale::Full), share).unwrap().data.len())
                .collect()
        };
        let sum = |of: &[usize]| of[20..].iter().sum::<usize>();
        let (plenty, more, fine) = (run(FINEST, 40_000), run(FINEST, 80_000), run(12, 40_000));
        assert_eq!(sum(&plenty), sum(&more), "twice the share changes nothing");
        assert!(sum(&fine) > sum(&plenty) * 2, "{} and {}", sum(&fine), sum(&plenty));
        assert!(sum(&plenty) < 40 * 20_000);
    }

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
        let mut film = FilmEncoder::new(10);
        let mut bytes = Vec::new();
        let share = |n: u64| if n < 90 { 2400 } else { 800 };
        for n in 0..180u64 {
            let at = (n * 3) as i32 % 570;
            let frame = wide.crop(Rect::new(at, 0, size.w, size.h));
            bytes.push(
                film.code(&frame, Version(n), (size.rect(), FilmScale::Full), share(n)).unwrap().data.len() as u64
            );
        }
        // From the second second on, and from a third of a second after the fall on.
        for start in (30..60).chain(100..150) {
            let (sum, want) = (bytes[start..start + 30].iter().sum::<u64>(), 30 * share(start as u64));
            assert!((want * 3 / 4..=want * 5 / 4).contains(&sum), "{start}: {sum} of {want}: {bytes:?}");
        }
    }
}
