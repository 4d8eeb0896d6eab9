//! Virtual desktops on systems that have no X servers of their own: there is none, and whoever asks for one is told.

#[path = "virtual_desktop/asked.rs"]
mod asked;

use crate::open::OpenError;
use crate::source::Source;
pub use asked::{Options, Scaled, Server, Session};
use std::convert::Infallible;
use std::path::PathBuf;
use telepane_model::{Size, Surf};

/// Why there is no virtual desktop.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// As on Linux.
    #[error("a virtual desktop of {0:?} is not possible: give one to sixteen sizes such as 1920x1080")]
    Size(Vec<Size<Surf>>),
    /// There are none here.
    #[error("virtual desktops are not there on this system; serve on Linux, or give --synthetic or --replay")]
    NoServer,
}

/// A running virtual desktop: there is none.
#[derive(Debug)]
pub struct VirtualDesktop(Infallible);

/// Starts none.
///
/// # Errors
/// Always.
pub const fn start(_: &Options) -> Result<VirtualDesktop, StartError> {
    Err(StartError::NoServer)
}

#[allow(missing_docs, clippy::missing_errors_doc, reason = "as on Linux")]
impl VirtualDesktop {
    pub fn display(&self) -> &str {
        match self.0 {}
    }

    pub fn xauthority(&self) -> PathBuf {
        match self.0 {}
    }

    pub fn server_name(&self) -> &'static str {
        match self.0 {}
    }

    pub fn session_name(&self) -> &str {
        match self.0 {}
    }

    pub fn server_ended(&mut self) -> Option<String> {
        match self.0 {}
    }

    pub fn begin(&mut self, _: &Options) -> Result<(), StartError> {
        match self.0 {}
    }

    pub fn source(&self) -> Result<Box<dyn Source>, OpenError> {
        match self.0 {}
    }

    pub fn set_scale(&mut self, _: u16) -> Result<Scaled, StartError> {
        match self.0 {}
    }

    pub fn tidy(&mut self) {
        match self.0 {}
    }
}
