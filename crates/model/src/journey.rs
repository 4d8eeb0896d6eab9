//! The story of one update, stamp by stamp: the only source of latency figures.

use crate::input::InputSeq;
use crate::time::{HostClock, Stamp, ViewerClock};

/// The host's half: travels with a slice that ends a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HostJourney {
    /// The newest press that had been injected when the pixels were read, and when it was injected, if they can answer it.
    pub input: Option<(InputSeq, Stamp<HostClock>)>,
    /// Pixels read.
    pub captured: Stamp<HostClock>,
    /// Chosen for sending.
    pub planned: Stamp<HostClock>,
    /// Coded.
    pub encoded: Stamp<HostClock>,
    /// First datagram handed to the network.
    pub sent: Stamp<HostClock>,
}

/// An update's whole way from the host's screen to the viewer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Journey {
    /// On the host.
    pub host: HostJourney,
    /// Last datagram read from the socket.
    pub arrived: Stamp<ViewerClock>,
    /// Pixels in the framebuffer.
    pub decoded: Stamp<ViewerClock>,
    /// Pixels handed to the screen.
    pub shown: Stamp<ViewerClock>,
}
