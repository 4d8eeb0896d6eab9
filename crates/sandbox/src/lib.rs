//! Films are decoded in a process that can do nothing else.
//!
//! openh264 is C++, and what it is given comes from whoever the person connected to. So the program starts itself again
//! ([`run_if_asked`]) as a process that has one socket and one piece of memory, locks itself ([`lock_down`]: no new
//! privileges, limits, Landlock, seccomp), and from then on decodes what it is handed. [`Films`] is the other end: the codec's
//! [`telepane_codec::streams::FilmStreams`], which asks the process and believes it as much as it would believe a
//! stranger ([`wire`]). A process that ends, lies or falls silent is killed and replaced, the frame is refused like one that does not
//! decode, and the viewer begins its film anew as after any other loss (`protocol-spec/decisions/0093`).

#![deny(unsafe_code)]

#[cfg(target_os = "linux")]
mod channel;
#[cfg(target_os = "linux")]
mod child;
mod films;
pub mod fuzzing;
#[cfg(target_os = "linux")]
mod lock;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod process;
pub mod wire;

#[cfg(target_os = "linux")]
pub use child::run_if_asked;
pub use films::{Films, Lacking, When};
#[cfg(target_os = "linux")]
pub use lock::{LockError, Locked, lock_down};

/// On this system there is no such process.
#[cfg(not(target_os = "linux"))]
pub const fn run_if_asked() {}
