//! Screens to frames: everything that turns a display, a recording or an invented scene into pixels and facts.
//!
//! Every backend is a [`Source`]: polled without blocking, it says what happened as [`Event`]s, hands out the newest
//! pixels, and says through [`Wake`] when it has something to say again. The minds never see a backend.
//!
//! - [`x11`]: an X server, by SHM, DAMAGE, XFIXES and RANDR on one connection.
//! - [`scrap`]: the crate of that name; whole frames on a schedule, compared here. A named option.
//! - [`synthetic`]: scenes computed from kind, size, seed and time.
//! - [`replay`]: recordings (`.seq`, `.deskrec`), and the recorder of the latter.
//! - [`reconnect`]: keeps a source alive over restarts of its display.
//! - [`virtual_desktop`]: starts an X server of our own with a session on it.
//! - [`open()`]: from what was asked on the command line to a source, or to an error that says the next step.
//! - [`conformance`]: the tests every source passes.

pub mod conformance;
pub mod held;
pub mod open;
pub mod reconnect;
pub mod rects;
pub mod replay;
#[cfg(all(feature = "scrap", target_os = "linux"))]
pub mod scrap;
pub mod source;
pub mod synthetic;
#[cfg(target_os = "linux")]
pub mod virtual_desktop;
#[cfg(not(target_os = "linux"))]
#[path = "no_virtual_desktop.rs"]
pub mod virtual_desktop;
#[cfg(target_os = "linux")]
pub mod x11;

pub use open::{Backend, OpenError, Options, SessionKind, What, open, session_kind};
pub use reconnect::Reconnect;
pub use source::{Description, Event, Lost, ResizeRefused, Source, Wake};
