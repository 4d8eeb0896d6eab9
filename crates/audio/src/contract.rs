//! What a place is where sound comes from or goes to.

use telepane_model::Span;
use thiserror::Error;

/// Called with each stretch of sound as it comes: whole pairs, of any number, of which the last was taken so long ago.
pub type Take = Box<dyn FnMut(&[i16], Span) + Send>;

/// Called when a device wants sound: fills the slice, whose first sample sounds after so long.
pub type Fill = Box<dyn FnMut(&mut [i16], Span) + Send>;

/// Called when a stream has failed: it has to be opened again. At most once each stream, on any thread.
pub type Failed = Box<dyn FnMut(String) + Send>;

/// An open stream. Dropping it closes it; afterwards nothing is called.
pub trait Stream {
    /// How much later than it is given what was taken is heard on this machine. What plays into a sink is given as soon as
    /// the sink has it, and its loudspeaker has its own queue.
    fn heard_after(&self) -> Span {
        Span::ZERO
    }

    /// Called about once a second while it is open: what it knows of its device can be brought up to date.
    fn look(&self) {}
}

/// Why a device cannot be opened.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct DeviceError(pub String);

/// Where sound comes from.
pub trait Source: Send {
    /// What it is, for people.
    fn name(&self) -> String;

    /// Begins to listen.
    ///
    /// # Errors
    /// When there is no device now, or it cannot give 48 kHz; another try may succeed.
    fn open(&mut self, take: Take, failed: Failed) -> Result<Box<dyn Stream>, DeviceError>;

    /// Waits until something may be heard, and says whether that is so; at most for a second or so. A source that
    /// cannot know answers yes at once.
    fn wait_until_audible(&mut self) -> bool {
        true
    }

    /// Nothing has been heard for long: whether something still may be.
    fn is_audible(&mut self) -> bool {
        true
    }
}

/// Where sound goes to.
pub trait Sink: Send {
    /// What it is, for people.
    fn name(&self) -> String;

    /// Begins to play.
    ///
    /// # Errors
    /// When there is no device now, or it cannot take 48 kHz; another try may succeed.
    fn open(&mut self, fill: Fill, failed: Failed) -> Result<Box<dyn Stream>, DeviceError>;
}
