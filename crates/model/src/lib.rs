//! The nouns that flow through Telepane: stamps, units, typed geometry, frames, damage, tiles, jobs, notes.
//!
//! Nothing here acts. A noun states its unit and its invariant, and every crate above uses the same word for the
//! same thing (`protocol-spec/glossary.md`).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod budget;
pub mod clipboard;
pub mod coding;
pub mod cursor;
pub mod frame;
pub mod geometry;
pub mod input;
pub mod interface;
pub mod journey;
pub mod link;
pub mod monitor;
pub mod note;
pub mod pixels;
pub mod policy;
pub mod region;
pub mod rng;
pub mod tile;
pub mod time;
pub mod units;
pub mod window;

pub use budget::{Budget, BudgetWhy};
pub use clipboard::{ClipFormat, ClipFormats, ClipOffer, Selection};
pub use coding::{
    Base, EncodeItem, EncodeJob, EncodedSlice, EncodedSlices, FilmScale, Filmed, JobId, Proof, TileClass, TileState,
    UpdateId,
};
pub use cursor::{CursorShape, CursorState};
pub use frame::{Damage, Frame, FrameFacts, FrameId, Move, Trust};
pub use geometry::{Desk, Point, Rect, Size, Surf, View};
pub use input::{Button, InputEvent, InputSeq, KeyCode, KeyMove, MAX_FINGERS, Meaning, Pen, StampedInput, TouchPhase};
pub use interface::{Interface, InterfaceKind, Ways};
pub use journey::Journey;
pub use link::{Arrival, LinkSide, SentPacket};
pub use monitor::Monitor;
pub use note::Note;
pub use pixels::Pixels;
pub use policy::{Knob, PictureBounds, Preset, SessionPolicy};
pub use region::Region;
pub use rng::Rng;
pub use tile::{Epoch, Grid, Quality, SurfaceId, TILE, TileAt, Version};
pub use time::{Clock, ClockMap, HostClock, Span, Stamp, ViewerClock};
pub use units::{BitRate, Bytes};
pub use window::AppWindow;
