//! Virtual desktops on systems that have no X servers of their own: there is none, and whoever asks for one is told.

use crate::open::OpenError;
use crate::source::Source;
use std::convert::Infallible;
use std::path::PathBuf;
use telepane_model::{Size, Surf};

/// Which server: there is none to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Server {
    /// What there is.
    #[default]
    Best,
}

/// What runs on it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Session {
    /// What is installed.
    #[default]
    First,
    /// Nothing.
    None,
}

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// One monitor for each.
    pub heads: Vec<Size<Surf>>,
    /// The server.
    pub server: Server,
    /// The session.
    pub session: Session,
    /// What else the session finds in its environment.
    pub environment: Vec<(String, String)>,
}

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

/// What became of a wish for a scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scaled {
    /// The desktop had it.
    Already,
    /// Programs follow.
    Followed,
    /// New ones do.
    NewPrograms {
        /// What keeps the others from it.
        manager: String,
    },
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
