//! Facts that come in with their time, and wishes that go out.

use crate::bulk::BulkWish;
use crate::sound::{SoundArrival, SoundCoding};
use telepane_model::{
    ClipFormat, ClipOffer, Clock, CursorShape, CursorState, Desk, EncodeJob, Epoch, HostClock, InputEvent, InputSeq,
    Journey, Monitor, Note, Point, Proof, Selection, Size, Span, Stamp, Surf, SurfaceId, TileAt, UpdateId, ViewerClock,
};
use telepane_protocol::{Control, Ending, FileWord, Goodbye, HostState, Person, Place};

/// A datagram as it was read from the socket. It cannot be built without the time of the read.
#[derive(Clone, Debug)]
pub struct Incoming<C: Clock> {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// When they were read.
    pub arrived: Stamp<C>,
}

/// Why a mind wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// The next packet may leave.
    Pacing,
    /// A frame that came too soon is taken.
    Frame,
    /// The next chunk of bulk may leave.
    Bulk,
    /// Something about the clipboard had to wait, or has waited too long.
    Clip,
    /// Feedback is due.
    Feedback,
    /// Something may be lost.
    Repair,
    /// What tiles show can be said of them.
    Proof,
    /// A region has been quiet long enough to be refined.
    Refine,
    /// A held key's lease ends, or has to be refreshed.
    Lease,
    /// Input has to be sent again.
    Resend,
    /// A slice has been missing too long.
    GiveUp,
    /// What was decoded of a frame is to be shown although the rest is not here.
    Show,
    /// The sound of a frame of film that waits for it is about to be heard.
    Sound,
    /// What the desktop should be is steady.
    Shape,
    /// Nobody has seen the screen for a while.
    Hidden,
    /// The peer is silent.
    Silence,
    /// Nothing.
    Nothing,
}

/// What the host's mind wants done.
#[derive(Clone, Debug)]
pub enum HostOutput {
    /// Send this datagram now.
    Datagram(Vec<u8>),
    /// Send this message on the control stream.
    Control(Control),
    /// Send this chunk on a stream of its own.
    Chunk(Vec<u8>),
    /// A pipe wants something of the shell.
    Bulk(BulkWish),
    /// A message about files.
    File(FileWord),
    /// Code pixels; answered by [`crate::Host::on_coded`] or [`crate::Host::on_base_gone`]. If the answer awaits a frame of
    /// film, [`crate::Host::on_film_coded`] follows.
    Encode(EncodeJob),
    /// The viewer holds this slice: the coder may forget how to return behind it.
    Confirmed {
        /// In this epoch.
        epoch: Epoch,
        /// This slice.
        applied: UpdateId,
    },
    /// Hold what the viewer says of tiles against what it should show when everything coded up to `coded` is applied; answered by
    /// [`crate::Host::on_checked`], or by [`crate::Host::on_unchecked`] when the coder is busy or at another state.
    Check {
        /// In this epoch.
        epoch: Epoch,
        /// The state.
        coded: UpdateId,
        /// What it says.
        proofs: Vec<Proof>,
    },
    /// Hand this to the desktop.
    Inject {
        /// The event's number; 0 for one the mind made itself (a lease that ended).
        seq: InputSeq,
        /// The event.
        event: InputEvent,
    },
    /// Release every key and button.
    ReleaseAll,
    /// Make the desktop this large, if it can.
    Resize {
        /// The size.
        size: Size<Surf>,
        /// The scale in percent.
        scale: u16,
    },
    /// Give the desktop these monitors, if it can.
    Monitors(Vec<Monitor>),
    /// Something about the clipboard.
    Clip(ClipWish),
    /// Where the viewer's person works.
    Place(Place),
    /// The viewer says what its slots of the tile cache hold, from slot `first` on (0: nothing).
    CacheOffer {
        /// The first slot.
        first: u32,
        /// One hash for each slot.
        hashes: Vec<u128>,
    },
    /// How the desktop's sound is to be taken and coded for this viewer.
    SoundCoding(SoundCoding),
    /// Play this to the desktop as its microphone.
    Sound(SoundArrival<ViewerClock>),
    /// The viewer could not decode what it was sent: nothing is known any more of what it keeps beside the framebuffer.
    Spoilt,
    /// Something happened.
    Note(Note),
    /// The session is over for this viewer.
    Closed(Goodbye),
    /// Nothing more now; wake me then.
    Idle {
        /// At this time at the latest, if at all.
        until: Option<Stamp<HostClock>>,
        /// Because of this.
        why: Wake,
    },
}

/// What the viewer's mind wants done.
#[derive(Clone, Debug)]
pub enum ViewerOutput {
    /// Send this datagram now.
    Datagram(Vec<u8>),
    /// Send this message on the control stream.
    Control(Control),
    /// Send this chunk on a stream of its own.
    Chunk(Vec<u8>),
    /// A pipe wants something of the shell.
    Bulk(BulkWish),
    /// A message about files.
    File(FileWord),
    /// Apply a slice to the framebuffer; answered by [`crate::Viewer::on_decoded`]. They come one at a time.
    Decode(DecodeJob),
    /// Hash these tiles of the framebuffer, which holds all that came; answered by [`crate::Viewer::on_proven`].
    Prove {
        /// Which surface.
        surface: SurfaceId,
        /// In this epoch.
        epoch: Epoch,
        /// Which, in row order.
        tiles: Vec<TileAt>,
    },
    /// Show what the framebuffer holds; answered by [`crate::Viewer::on_shown`].
    Present {
        /// Which surface.
        surface: SurfaceId,
        /// In which geometry.
        epoch: Epoch,
        /// Up to this slice.
        upto: UpdateId,
        /// Its story so far.
        journey: Journey,
    },
    /// The host's pointer.
    Cursor(CursorState),
    /// An application on the host put the pointer here: the person's own goes there too.
    PointerPut(Point<Desk>),
    /// A cursor image to keep.
    CursorShape(CursorShape),
    /// Something about the clipboard.
    Clip(ClipWish),
    /// How the microphone is to be taken and coded.
    SoundCoding(SoundCoding),
    /// Play this.
    Sound(SoundArrival<HostClock>),
    /// Which sound the host gives and takes now.
    SoundState {
        /// The desktop can be heard.
        offers: bool,
        /// The microphone is let in.
        takes: bool,
    },
    /// The peer has been silent this long although it was asked; `None`: it is back.
    Silent(Option<Span>),
    /// Open a new connection beside the old one and attach to this session with it.
    Reconnect,
    /// The monitors of the host's desktop.
    Monitors(Vec<Monitor>),
    /// A sentence for the person.
    Notice(String),
    /// The session ends at this time unless something changes; `None`: it no longer is about to.
    Ending(Option<(Ending, Stamp<ViewerClock>)>),
    /// The host goes to sleep or down, or is there again.
    HostState(HostState),
    /// This machine is to stay awake, or may sleep.
    KeepAwake(bool),
    /// Everybody who is connected; nobody while that is not known.
    People(Vec<Person>),
    /// Something happened.
    Note(Note),
    /// The session is over.
    Closed {
        /// Why.
        reason: Goodbye,
        /// In words.
        text: String,
    },
    /// Nothing more now; wake me then.
    Idle {
        /// At this time at the latest, if at all.
        until: Option<Stamp<ViewerClock>>,
        /// Because of this.
        why: Wake,
    },
}

/// A slice whose turn has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeJob {
    /// Which surface.
    pub surface: SurfaceId,
    /// Which epoch. A new one starts with a black framebuffer of `size`.
    pub epoch: Epoch,
    /// The epoch's size.
    pub size: Size<Surf>,
    /// Which slice.
    pub id: UpdateId,
    /// The ops.
    pub ops: Vec<u8>,
}

/// Clipboard wishes; the shell owns the selections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClipWish {
    /// The peer has this to paste (or, without a kind, nothing any more): own the selection in its name.
    Offered(ClipOffer),
    /// The peer pastes what is here: read it and answer with `on_clip_data`, files with `on_clip_stream`.
    Fetch {
        /// The request's number.
        id: u32,
        /// From here.
        selection: Selection,
        /// In this kind.
        format: ClipFormat,
    },
    /// What was asked for with `on_clip_wanted`, or `None` if it cannot be had.
    Paste {
        /// The asker's number.
        id: u32,
        /// The contents, checked to be what their kind says.
        data: Option<Vec<u8>>,
    },
    /// What was asked for is on its way.
    Progress {
        /// The asker's number.
        id: u32,
        /// Bytes that are here.
        come: u64,
        /// Bytes there will be; 0 where that is not known.
        size: u64,
    },
    /// Files were asked for: what comes in this pipe ([`BulkWish::Data`]) is for the asker. The pipe's end is the paste's;
    /// a [`ClipWish::Paste`] before it says that they do not come.
    Opened {
        /// The asker's number.
        id: u32,
        /// The pipe.
        pipe: u32,
    },
}

/// The earliest of several wake-ups, with its reason.
#[derive(Clone, Copy, Debug)]
pub struct Alarm<C: Clock> {
    at: Option<Stamp<C>>,
    why: Wake,
}

impl<C: Clock> Alarm<C> {
    /// None set.
    pub const fn new() -> Self {
        Self { at: None, why: Wake::Nothing }
    }

    /// Also wake at `at` because of `why`.
    pub fn set(&mut self, at: Stamp<C>, why: Wake) {
        if self.at.is_none_or(|a| at < a) {
            (self.at, self.why) = (Some(at), why);
        }
    }

    /// Also wake at `at`, if it is some time, because of `why`.
    pub fn set_if(&mut self, at: Option<Stamp<C>>, why: Wake) {
        if let Some(at) = at {
            self.set(at, why);
        }
    }

    /// The earliest.
    pub const fn earliest(&self) -> (Option<Stamp<C>>, Wake) {
        (self.at, self.why)
    }
}

impl<C: Clock> Default for Alarm<C> {
    fn default() -> Self {
        Self::new()
    }
}
