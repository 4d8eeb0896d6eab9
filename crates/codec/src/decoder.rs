//! The viewer's side: applies slices to a framebuffer.
//!
//! Everything comes from the wire and is hostile: every rectangle is checked against the surface, the pixels written
//! by one slice are bounded, nothing is allocated from a length that was not earned by bytes received, and no input
//! panics. After a fault the framebuffer holds anything, and the viewer asks for a new epoch.

use crate::cache::{self, Room, TileCache};
use crate::diff;
use crate::exact::ExactDecoder;
use crate::fault::CodecFault;
use crate::film::FilmDecoder;
use crate::picture::{self, PictureDecoder};
use crate::streams::FilmStreams;
use crate::text::{Lane, MODELS, TextOp};
use crate::wire::{Reader, kind, limits, next_op};
use crate::{fill, shift};
use telepane_model::{Pixels, Rect, Region, Size, Surf};

/// More rectangles than this are joined before they become a [`Region`].
const MANY: usize = 48;

/// What one op wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The op, a number of [`kind`].
    pub op: u8,
    /// Where.
    pub rect: Rect<Surf>,
    /// It may show something else than the host has: film, and every layer of a picture but the exact one. What was
    /// moved is as it was.
    pub lossy: bool,
    /// Where the pixels came from, when they were moved.
    pub from: Option<Rect<Surf>>,
}

/// The most rectangles [`Decoder::take_seen`] gives.
pub const MOST_SEEN: usize = 8_192;

/// Decodes one surface in one epoch.
pub struct Decoder {
    pixels: Pixels,
    exact: ExactDecoder,
    film: FilmDecoder,
    cache: TileCache,
    /// The text models, each from its first use on.
    lanes: [Option<Lane>; MODELS],
    picture: PictureDecoder,
    changed: Vec<Rect<Surf>>,
    /// Which op wrote what, while somebody looks.
    seen: Option<Vec<Seen>>,
}

/// What a slice did.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Applied {
    /// The pixels that were written; hardly more, never less.
    pub changed: Region<Surf>,
}

impl Decoder {
    /// What the surface shows, to be spoilt: for tests of what finds that.
    pub const fn pixels_mut(&mut self) -> &mut Pixels {
        &mut self.pixels
    }

    /// A black framebuffer of this size, with a tile cache of the largest size, which is empty.
    // spec: C-1
    pub fn new(size: Size<Surf>) -> Self {
        Self::with_cache(size, TileCache::default())
    }

    /// A black framebuffer of this size, with what was kept in the epoch before.
    // spec: C-1 C-140
    pub fn with_cache(size: Size<Surf>, cache: TileCache) -> Self {
        Self {
            pixels: Pixels::new(size),
            exact: ExactDecoder::default(),
            film: FilmDecoder::default(),
            cache,
            lanes: Default::default(),
            picture: PictureDecoder::default(),
            changed: Vec::new(),
            seen: None,
        }
    }

    /// Films are decoded by `streams` from now on; to be said before the first of them.
    pub fn with_streams(mut self, streams: Box<dyn FilmStreams>) -> Self {
        self.film = FilmDecoder::with_streams(streams);
        self
    }

    /// What decoded films, to be taken along into the next epoch.
    pub fn take_streams(&mut self) -> Box<dyn FilmStreams> {
        self.film.take_streams()
    }

    /// Remembers from now on which op wrote what, for a person to see; or no longer.
    pub fn watch(&mut self, on: bool) {
        self.seen = on.then(|| self.seen.take().unwrap_or_default());
    }

    /// Which op wrote what since this was asked last, in order. At most [`MOST_SEEN`], the latest.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        self.seen.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Applies the next slice of the chain.
    ///
    /// # Errors
    /// The rule that the slice broke. The framebuffer is then unspecified; only a new epoch mends it.
    // spec: C-2 C-7 C-8 C-9
    pub fn apply(&mut self, bytes: &[u8]) -> Result<Applied, CodecFault> {
        if bytes.len() > limits::SLICE_BYTES {
            return Err(CodecFault::SliceTooLong);
        }
        let mut slice = Reader::new(bytes);
        let mut room = limits::slice_pixels(self.pixels.size());
        let mut keep = limits::slice_keeps(self.pixels.size());
        self.changed.clear();
        while !slice.is_empty() {
            let (kind, payload) = next_op(&mut slice)?;
            let from = self.changed.len();
            let written = match kind {
                kind::FILL => fill::apply(payload, room, &mut self.pixels, &mut self.changed)?,
                kind::MOVE => shift::apply(payload, room, &mut self.pixels, &mut self.changed)?,
                kind::CACHE => {
                    let room = Room { write: room, keep };
                    let done = cache::apply(payload, room, &mut self.pixels, &mut self.cache, &mut self.changed)?;
                    keep = keep.saturating_sub(done.keep);
                    done.write
                }
                kind::EXACT => {
                    let rects = self.exact.apply(payload, room, &mut self.pixels)?;
                    self.changed.extend_from_slice(rects);
                    rects.iter().map(|r| r.area()).sum()
                }
                kind::TEXT => {
                    let op = TextOp::parse(payload, room, self.pixels.size())?;
                    let lane = &mut self.lanes[op.model()];
                    lane.get_or_insert_with(|| Lane::new(op.is_wide())).apply(&op, &mut self.pixels)?;
                    self.changed.extend_from_slice(op.rects());
                    op.work()
                }
                kind::PICTURE => {
                    let rects = self.picture.apply(payload, room, &mut self.pixels)?;
                    self.changed.extend_from_slice(rects);
                    rects.iter().map(|r| r.area()).sum()
                }
                kind::FILM => self.film.apply(payload, room, &mut self.pixels, &mut self.changed)?,
                _ => 0,
            };
            room = room.saturating_sub(written);
            self.see(kind, payload, from);
        }
        Ok(Applied { changed: region(&mut self.changed) })
    }

    /// What was kept, to be taken along into the next epoch; nothing stays here.
    pub fn take_cache(&mut self) -> TileCache {
        std::mem::replace(&mut self.cache, TileCache::new(telepane_model::Bytes(0)))
    }

    /// What is kept, to be changed when another size is agreed on.
    pub const fn cache_mut(&mut self) -> &mut TileCache {
        &mut self.cache
    }

    /// What is kept.
    pub const fn cache(&self) -> &TileCache {
        &self.cache
    }

    fn see(&mut self, op: u8, payload: &[u8], from: usize) {
        let Some(seen) = &mut self.seen else { return };
        let by = (op == kind::MOVE).then(|| shift::distance(payload)).flatten();
        let lossy = op == kind::FILM || op == kind::PICTURE && !picture::is_exact(payload);
        let rects = self.changed.get(from..).unwrap_or_default();
        seen.extend(rects.iter().map(|r| Seen {
            op,
            rect: *r,
            lossy,
            from: by.and_then(|(dx, dy)| shift::source(*r, dx, dy)),
        }));
        let over = seen.len().saturating_sub(MOST_SEEN);
        seen.drain(..over);
    }

    /// Goes on from other pixels, as a viewer does that stayed at an older state.
    #[cfg(test)]
    pub(crate) fn set_for_test(&mut self, pixels: Pixels) {
        self.pixels = pixels;
    }

    /// The framebuffer.
    pub const fn pixels(&self) -> &Pixels {
        &self.pixels
    }
}

/// The rectangles as a region, joined when there are many, since whoever shows them works for each.
fn region(rects: &mut Vec<Rect<Surf>>) -> Region<Surf> {
    if rects.len() > MANY {
        diff::stack(rects);
    }
    if rects.len() > MANY { diff::by_rows(rects) } else { rects.iter().copied().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Layer, PictureCoder, Planes, Step};
    use crate::wire::{put_op, put_rect};

    // spec: C-1
    #[test]
    fn an_empty_slice_changes_nothing() {
        let mut d = Decoder::new(Size::new(9, 9));
        assert_eq!(d.apply(&[]), Ok(Applied::default()));
        assert!(*d.pixels() == Pixels::new(Size::new(9, 9)));
    }

    #[test]
    fn what_an_op_wrote_is_told_while_somebody_looks() {
        let mut slice = Vec::new();
        put_op(&mut slice, kind::FILL, &fill::payload([7, 7, 7], &[Rect::new(2, 2, 3, 3), Rect::new(7, 7, 1, 1)]));
        put_op(&mut slice, 200, &[1]);
        let mut d = Decoder::new(Size::new(9, 9));
        d.apply(&slice).unwrap();
        assert_eq!(d.take_seen(), []);
        d.watch(true);
        d.apply(&slice).unwrap();
        let seen = |op, rect, from| Seen { op, rect, lossy: false, from };
        let fills = [Rect::new(2, 2, 3, 3), Rect::new(7, 7, 1, 1)].map(|r| seen(kind::FILL, r, None));
        assert_eq!(d.take_seen(), fills);
        let mut moved = Vec::new();
        put_op(&mut moved, kind::MOVE, &shift::payload(0, -2, &[Rect::new(1, 1, 4, 4)]));
        d.apply(&moved).unwrap();
        assert_eq!(d.take_seen(), [seen(kind::MOVE, Rect::new(1, 1, 4, 4), Some(Rect::new(1, 3, 4, 4)))]);
        assert_eq!(d.take_seen(), []);
        for _ in 0..MOST_SEEN {
            d.apply(&slice).unwrap();
        }
        assert_eq!(d.take_seen().len(), MOST_SEEN);
    }

    // spec: C-111
    #[test]
    fn only_the_exact_layer_of_a_picture_is_told_to_be_without_loss() {
        let mut newest = Pixels::new(Size::new(64, 64));
        let colours = newest.data_mut().chunks_exact_mut(4).enumerate();
        colours.for_each(|(i, px)| px[..3].copy_from_slice(&[(i % 251) as u8, (i / 64) as u8, (i % 7 * 30) as u8]));
        let rect = newest.size().rect();
        let mut d = Decoder::new(newest.size());
        d.watch(true);
        let mut coder = PictureCoder::default();
        let luma = Step { from: Some(Layer::First), to: Layer::Exact, planes: Planes::LUMA };
        let steps = [
            (Step::new(None, Layer::First), true),
            (luma, true),
            (Step::new(Some(Layer::First), Layer::Exact), false),
            (Step::new(None, Layer::Fine), true),
            (Step::new(None, Layer::Exact), false),
        ];
        for (step, lossy) in steps {
            coder.begin(step);
            assert!(coder.push(&newest, d.pixels(), rect));
            let (mut payload, mut slice) = (Vec::new(), Vec::new());
            coder.finish(&mut payload);
            put_op(&mut slice, kind::PICTURE, &payload);
            d.apply(&slice).unwrap();
            assert_eq!(d.take_seen(), [Seen { op: kind::PICTURE, rect, lossy, from: None }], "{step:?}");
            assert_eq!(d.pixels().same(&newest, rect), !lossy, "{step:?}");
        }
    }

    // spec: C-7
    #[test]
    fn an_unknown_op_is_skipped_by_its_length() {
        let mut d = Decoder::new(Size::new(9, 9));
        let mut slice = Vec::new();
        put_op(&mut slice, 200, &[1, 2, 3]);
        put_op(&mut slice, 7, &[0xff; 30]);
        put_op(&mut slice, kind::FILL, &fill::payload([7, 7, 7], &[Rect::new(2, 2, 3, 3)]));
        assert_eq!(d.apply(&slice).unwrap().changed.bounds(), Rect::new(2, 2, 3, 3));
        assert_eq!(d.pixels().get(4, 4), Some([7, 7, 7]));
    }

    // spec: C-8
    #[test]
    fn the_work_of_one_slice_is_bounded() {
        let size = Size::new(1000, 1000);
        let mut d = Decoder::new(size);
        let mut payload = vec![1, 1, 1];
        (0..4).for_each(|_| put_rect(&mut payload, size.rect()));
        let mut slice = Vec::new();
        put_op(&mut slice, kind::FILL, &payload);
        assert_eq!(d.apply(&slice), Err(CodecFault::TooMuchWork));
    }

    // spec: C-2
    #[test]
    fn an_endless_slice_is_refused() {
        let mut d = Decoder::new(Size::new(9, 9));
        assert_eq!(d.apply(&vec![0; limits::SLICE_BYTES + 1]), Err(CodecFault::SliceTooLong));
    }
}
