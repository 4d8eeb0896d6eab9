//! The clipboard of a system whose clipboard is not shared yet: it cannot be opened, and whoever wants it is told.

pub use crate::copied::{ClipError, ClipEvent, FetchId, LIMIT, PasteId};
use crate::{Gone, OpenError};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use telepane_model::clipboard::{ClipFormat, ClipFormats, Selection};
use telepane_model::time::{HostClock, Stamp};

/// A selection of a display: there is none.
#[derive(Debug)]
pub struct Clipboard(Infallible);

#[allow(missing_docs, clippy::missing_errors_doc, reason = "as on Linux")]
impl Clipboard {
    pub fn open(_: Option<&str>, _: Option<&Path>, _: Selection) -> Result<Self, OpenError> {
        Err(OpenError::NotThere("the clipboard"))
    }

    pub fn open_wayland(_: Option<&Path>, _: Selection) -> Result<Self, OpenError> {
        Err(OpenError::NotThere("the clipboard"))
    }

    pub fn poll(&mut self, _: Stamp<HostClock>) -> Result<Option<ClipEvent>, Gone> {
        match self.0 {}
    }

    pub fn deadline(&self) -> Option<Stamp<HostClock>> {
        match self.0 {}
    }

    pub fn offer(&mut self, _: ClipFormats, _: bool) -> Result<(), Gone> {
        match self.0 {}
    }

    pub fn withdraw(&mut self) -> Result<(), Gone> {
        match self.0 {}
    }

    pub const fn selection(&self) -> Selection {
        match self.0 {}
    }

    pub fn is_ours(&self) -> bool {
        match self.0 {}
    }

    pub fn fetch(&mut self, _: FetchId, _: ClipFormat) -> Result<(), Gone> {
        match self.0 {}
    }

    pub fn provide(&mut self, _: PasteId, _: &[u8]) -> Result<(), Gone> {
        match self.0 {}
    }

    pub fn provide_files(&mut self, _: PasteId, _: &[PathBuf]) -> Result<(), Gone> {
        match self.0 {}
    }

    pub fn still(&mut self, _: PasteId) {
        match self.0 {}
    }

    pub fn refuse(&mut self, _: PasteId) -> Result<(), Gone> {
        match self.0 {}
    }
}

/// What is waited on, if there were one.
#[cfg(unix)]
impl std::os::fd::AsRawFd for Clipboard {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        match self.0 {}
    }
}

/// What is waited on, if there were one.
#[cfg(windows)]
impl std::os::windows::io::AsRawSocket for Clipboard {
    fn as_raw_socket(&self) -> std::os::windows::io::RawSocket {
        match self.0 {}
    }
}

/// Lists of copied files.
pub mod files {
    use std::path::PathBuf;

    /// The files in such a list: none, as no clipboard gives one.
    pub const fn paths(_: &[u8]) -> Vec<PathBuf> {
        Vec::new()
    }
}
