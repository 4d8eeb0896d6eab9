//! Loudspeakers and microphones: the edge where sound enters and leaves the machine.
//!
//! Two contracts ([`Source`], [`Sink`]) hide what there is: a device through cpal ([`device`]), a sound server's sinks on
//! Linux ([`pulse`]), an invented sweep and a buffer in memory for tests ([`synthetic`]). Above them stand the two threads
//! that a shell starts: a [`Recorder`] takes sound from a source, codes what is heard and hands frames on; a [`Speaker`]
//! plays what came into a sink. Both open their device only while it is needed, and open it again when it fails.
//!
//! All samples are 16 bits, 48 kHz, left and right in turns. What decides stands in `telepane_session::sound`, what codes
//! in `telepane_codec::sound`.

#![deny(unsafe_code)]

pub mod contract;
pub mod device;
#[cfg(not(unix))]
mod no_sound_server;
pub mod player;
#[cfg(unix)]
pub mod pulse;
#[cfg(unix)]
mod pulse_server;
pub mod recorder;
pub mod speaker;
pub mod synthetic;

pub use contract::{DeviceError, Failed, Fill, Sink, Source, Stream, Take};
#[cfg(not(unix))]
pub use no_sound_server::{Nothing, SoundServer, pulse, sound_server};
pub use player::Player;
#[cfg(unix)]
pub use pulse_server::{Nothing, SoundServer, sound_server};
pub use recorder::{Heard, Recorder};
pub use speaker::Speaker;

/// The shell's clock in microseconds.
pub type Now = std::sync::Arc<dyn Fn() -> u64 + Send + Sync>;
