//! The contract between the mind that orders pixels and the codec that codes them.
//!
//! A surface's slices form a chain: each names the slice whose result it is coded against, and changes exactly that
//! framebuffer. Slice 0 of an epoch is the black framebuffer, which both sides hold without being told.

use crate::frame::Move;
use crate::geometry::{Rect, Size, Surf};
use crate::policy::PictureBounds;
use crate::tile::{Epoch, Quality, SurfaceId, TileAt, Version};
use crate::units::Bytes;
use alloc::vec::Vec;

/// A slice of a surface within an epoch, counted from 1 in coding order, which is sending order. Never used twice in
/// one epoch, also not after a rebase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UpdateId(pub u32);

impl UpdateId {
    /// The black framebuffer at the start of an epoch.
    pub const BLANK: Self = Self(0);

    /// The id after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The slice whose result a slice is coded against.
pub type Base = UpdateId;

/// A job's number, unique within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct JobId(pub u64);

/// Pixels wanted at the viewer: a rectangle, the content it should at least show, and how good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeItem {
    /// Where; need not be aligned to tiles.
    pub rect: Rect<Surf>,
    /// The capture that last touched it. The codec reads the newest pixels, which may be newer still.
    pub version: Version,
    /// How good it is to be: [`Quality::EXACT`], which pictures that do not fit the job reach by layers, or [`Quality::FILM`] for a region in lasting motion.
    pub quality: Quality,
}

/// An order to code pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeJob {
    /// Its number; the answer carries it.
    pub id: JobId,
    /// Which surface.
    pub surface: SurfaceId,
    /// Which geometry; the answer is void in another.
    pub epoch: Epoch,
    /// The surface's size in that epoch.
    pub size: Size<Surf>,
    /// What to code against. If it is not the last coded slice this is a rebase: the codec returns to that state.
    pub base: Base,
    /// The id of the first slice; the following ones count on.
    pub first: UpdateId,
    /// What is wanted, most urgent first.
    pub items: Vec<EncodeItem>,
    /// Stop when about this much is coded, and say what is left. At least one slice is made if anything is wanted.
    pub max_bytes: Bytes,
    /// What a frame of film may take, also when less of it is to be coded into slices now.
    pub film_bytes: Bytes,
    /// The size in which a frame of film is coded.
    pub film_scale: FilmScale,
    /// The most one slice may take.
    pub slice_bytes: Bytes,
    /// Between which steps pictures are shown.
    pub pictures: PictureBounds,
    /// The viewer is known not to show what it was sent there: every tile that an item touches is coded whole, exactly and
    /// from nothing. What else it keeps (its tile cache, its coders' states) is not relied on either.
    pub anew: bool,
}

/// The size in which a film is coded against that in which it is shown; the smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum FilmScale {
    /// Half as wide and half as high.
    Half,
    /// Three quarters of both.
    ThreeQuarters,
    /// Pixel by pixel.
    #[default]
    Full,
}

impl FilmScale {
    /// How many quarters of a side are coded.
    pub const fn quarters(self) -> u32 {
        match self {
            Self::Half => 2,
            Self::ThreeQuarters => 3,
            Self::Full => 4,
        }
    }
}

/// What a frame of film came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filmed {
    /// Its length.
    pub bytes: Bytes,
    /// How fine it is, 0 to 100: four for each step by which its quantiser is finer than the coarsest.
    pub quality: u8,
    /// The size it was coded in.
    pub scale: FilmScale,
    /// It needs no other frame, and says nothing of what the next will take.
    pub key: bool,
}

impl Filmed {
    /// Film is coded with no coarser quantiser than this unless a person wants it coarser: what is saved above is paid for by
    /// the frames that follow. A camera's pan in 1080p at 1.2 Mbit/s took 5.2 kB a frame at 31.7 dB of luma with all
    /// quantisers up to 51, and 4.0 kB at 39.3 dB with those up to this.
    pub const COARSEST: u8 = 38;
}

/// What kind of pixels a tile holds, as the codec saw it. A fact for the planner, never a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TileClass {
    /// Text, lines, flat areas: few colours or sharp edges.
    #[default]
    Text,
    /// Photographs, gradients, film: many colours everywhere.
    Picture,
}

/// What a tile becomes when a slice is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileState {
    /// Which tile.
    pub at: TileAt,
    /// The content it then shows, whole.
    pub version: Version,
    /// How good it then is, whole.
    pub quality: Quality,
    /// What the pixels look like.
    pub class: TileClass,
}

/// One coded slice: decodes with what `base` left in the framebuffer and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedSlice {
    /// Its place in the chain.
    pub id: UpdateId,
    /// What it was coded against.
    pub base: Base,
    /// The tiles whose state it settles. A tile it only touches in part (more follows) is listed with
    /// [`Quality::NONE`].
    pub tiles: Vec<TileState>,
    /// The ops.
    pub bytes: Vec<u8>,
}

/// The answer to an [`EncodeJob`], or the next part of it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EncodedSlices {
    /// The job's number.
    pub job: JobId,
    /// The content that was read: at least every wanted version.
    pub version: Version,
    /// The slices, in order; possibly none.
    pub slices: Vec<EncodedSlice>,
    /// Tiles that already show the newest pixels bit for bit, or a picture as good as it is to be, so nothing was coded for
    /// them.
    pub same: Vec<TileState>,
    /// What was wanted and is not coded, for lack of room. A picture of which a layer was coded is not among it.
    pub left: Vec<Rect<Surf>>,
    /// A frame of film that is wanted is being coded beside everything else; it is among what is left. When it is coded,
    /// which is said apart, a job that asks again puts it into slices.
    pub awaits: bool,
    /// The frame of film of which the first slice is among these.
    pub filmed: Option<Filmed>,
    /// Film that was wanted and is none: what changed there went there from elsewhere, or is no picture. It was coded as
    /// everything else is.
    pub no_film: Vec<Rect<Surf>>,
    /// Moves that were found and used; a tile's exactness travels with its pixels.
    pub moved: Vec<Move>,
    /// What the slices changed they hold whole and from nothing ([`EncodeJob::anew`]).
    pub anew: bool,
    /// The job's next slices, and nothing else: it is still being coded, and at least one more slice follows.
    pub goes_on: bool,
}

impl EncodedSlices {
    /// A slice of `job` that can leave while the following ones are coded.
    pub fn part(job: JobId, version: Version, slice: EncodedSlice) -> Self {
        Self { job, version, slices: alloc::vec![slice], goes_on: true, ..Self::default() }
    }
}

/// What a viewer says one of its tiles shows, to be held against what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Proof {
    /// Which tile.
    pub at: TileAt,
    /// Of its pixels (`protocol-spec/codec.md` C-190).
    pub hash: u64,
}
