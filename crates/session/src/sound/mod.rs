//! Sound, as far as it is decided: when something is heard ([`Gate`]), how it is coded and how often it is said
//! ([`Sender`]), and when each frame is played ([`Playout`]). Samples are none of its business.
//!
//! ```text
//! device -> Gate -> coder -> Sender -> Datagram ~ ~ ~ network ~ ~ ~> Playout -> decoder -> device
//! ```
//! `Sender` lives inside [`crate::Host`] and [`crate::Viewer`], because packets are numbered and charged there. `Gate` and
//! `Playout` live beside the devices, in the shells' sound threads and in the simulator: a device asks for its next 10 ms
//! when it needs them, whatever the desk loop or the window are doing.

mod gate;
mod playout;
mod sender;

pub use gate::{Gate, Hearing};
pub use playout::{CEILING, Needs, Piece, Playout, PlayoutFigures};
pub use sender::{Sender, SoundPath};

use telepane_model::{BitRate, Clock, Stamp};

/// A coded frame that is to be sent; `C` is the sender's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundFrame<C: Clock> {
    /// When the first sample that it decodes to was taken.
    pub captured: Stamp<C>,
    /// The Opus packet.
    pub bytes: Vec<u8>,
    /// Nothing is heard after it.
    pub last: bool,
}

/// What came in one packet; `P` is the sender's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundArrival<P: Clock> {
    /// The frame's number.
    pub number: u32,
    /// When the first sample that the frame decodes to was taken.
    pub captured: Stamp<P>,
    /// Nothing is heard after it.
    pub last: bool,
    /// The frame.
    pub frame: Vec<u8>,
    /// Copies of the frames before it, the newest first.
    pub earlier: Vec<Vec<u8>>,
    /// The sender's clock minus the receiver's in microseconds, as far as known.
    pub offset: Option<i64>,
}

/// How sound is to be taken and coded now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoundCoding {
    /// Whether anybody listens; else the device need not even be opened.
    pub on: bool,
    /// For a frame, without its copies.
    pub rate: BitRate,
    /// The part of the packets that is lost, in percent: with it speech carries its own correction.
    pub loss_percent: u8,
}

impl SoundCoding {
    /// Nobody listens.
    pub const OFF: Self = Self { on: false, rate: BitRate::kbps(96), loss_percent: 0 };
}
