//! The one vocabulary for what happens inside: log line, journal entry, overlay and test snapshot are all made of it.

use crate::budget::BudgetWhy;
use crate::coding::{FilmScale, UpdateId};
use crate::geometry::{Size, Surf};
use crate::input::InputSeq;
use crate::tile::{Epoch, SurfaceId, TileAt};
use crate::time::{HostClock, Span, Stamp};
use crate::units::{BitRate, Bytes};

/// Something that happened. Closed: a new kind is added here and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Something forbidden or malformed came from the peer; `fault` is its name in `protocol-spec/faults.md`.
    Rejected {
        /// The fault's name.
        fault: &'static str,
    },
    /// A geometry began.
    EpochBegan {
        /// Of this surface.
        surface: SurfaceId,
        /// With this number.
        epoch: Epoch,
        /// Of this size.
        size: Size<Surf>,
    },
    /// A slice was sent for the first time.
    SliceSent {
        /// Which.
        id: UpdateId,
        /// Against what.
        base: UpdateId,
        /// How large.
        bytes: Bytes,
    },
    /// Shards were sent again.
    Resent {
        /// Of this slice.
        id: UpdateId,
        /// How many.
        shards: u16,
    },
    /// The viewer gave a slice up and waits for a rebase.
    GaveUp {
        /// The last slice that was applied.
        at: UpdateId,
    },
    /// The newest pixels are coded against an older state.
    Rebased {
        /// That state.
        base: UpdateId,
    },
    /// The whole surface is sent anew in a new epoch, because the state to code against is no longer kept.
    Refreshed,
    /// A slice changed the framebuffer.
    Applied {
        /// Which.
        id: UpdateId,
    },
    /// A frame was shown.
    Shown {
        /// When its pixels were read.
        captured: Stamp<HostClock>,
        /// How old its pixels were, as far as the clocks are known.
        age: Span,
    },
    /// Every tile of the surface is confirmed exact.
    Exact {
        /// Which surface.
        surface: SurfaceId,
    },
    /// What the viewer says of these tiles was held against what they should show.
    Proven {
        /// Of which surface.
        surface: SurfaceId,
        /// How many.
        tiles: u32,
    },
    /// A tile that was confirmed exact is not, by what the viewer says of it: a mistake of ours, or a lie. It is sent again.
    ProofFailed {
        /// Of which surface.
        surface: SurfaceId,
        /// Which.
        at: TileAt,
    },
    /// An input event was handed to the host's desktop.
    Injected {
        /// Which.
        seq: InputSeq,
        /// How old it was, as far as the clocks are known.
        age: Span,
    },
    /// Input was dropped because it was too old.
    InputExpired {
        /// How many events.
        count: u32,
    },
    /// A held key was released because its hold was not refreshed.
    LeaseExpired,
    /// What the controller allows changed; ten times a second at most.
    Budget {
        /// The pace.
        pace: BitRate,
        /// The share.
        share: BitRate,
        /// The queue.
        queue: Span,
        /// The round trip without any queue.
        rtt: Span,
        /// Packets lost of a million, lately.
        lost_ppm: u32,
        /// The reason.
        why: BudgetWhy,
    },
    /// A film is sent with other frames a second at most, or coded in another size.
    FilmStep {
        /// Frames a second at most.
        fps: u32,
        /// The size.
        scale: FilmScale,
    },
    /// Nothing has been heard from the peer for this long.
    PeerSilent {
        /// How long.
        silence: Span,
    },
    /// The peer is heard again.
    PeerBack,
}
