//! Systems that do not have Unix's descriptors. A directory that nothing leads out of is made of them (every step is opened from
//! the one before, and no link followed), so no directory can be had here yet, and whoever asks for one is told.

use crate::{FilesError, Stat};
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use telepane_protocol::Entry;

/// A directory that is given out or downloaded into: none can be opened.
#[derive(Debug)]
pub struct Root(Infallible);

/// A file that is being sent: there is none.
#[derive(Debug)]
pub struct Giving(Infallible);

/// A file that is being received: there is none.
#[derive(Debug)]
pub struct Taking(Infallible);

/// Where pasted files lie: nowhere.
pub(crate) struct Nest;

fn refusal() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "copying files is not there on this system yet")
}

#[allow(missing_docs, clippy::missing_errors_doc, reason = "as on Unix")]
impl Root {
    pub fn open(_: &Path) -> io::Result<Self> {
        Err(refusal())
    }

    pub fn stat(&self, _: &str) -> Result<Stat, FilesError> {
        match self.0 {}
    }

    pub fn list(&self, _: &str) -> Result<Vec<Entry>, FilesError> {
        match self.0 {}
    }

    pub fn make_dir(&self, _: &str) -> Result<(), FilesError> {
        match self.0 {}
    }

    pub fn make_parents(&self, _: &str) -> Result<(), FilesError> {
        match self.0 {}
    }
}

#[allow(missing_docs, clippy::missing_errors_doc, reason = "as on Unix")]
impl Giving {
    pub fn open(root: &Root, _: &str) -> Result<Self, FilesError> {
        match root.0 {}
    }

    pub fn open_local(path: &Path) -> Result<Self, FilesError> {
        Err(FilesError::io(&path.display().to_string())(refusal()))
    }

    pub const fn stat(&self) -> Stat {
        match self.0 {}
    }

    pub fn skip_to(&mut self, _: u64) -> Result<(), FilesError> {
        match self.0 {}
    }

    pub fn read(&mut self, _: usize) -> Result<Vec<u8>, FilesError> {
        match self.0 {}
    }

    pub const fn is_done(&self) -> bool {
        match self.0 {}
    }

    pub fn sum(&self) -> Result<[u8; 32], FilesError> {
        match self.0 {}
    }
}

#[allow(missing_docs, clippy::missing_errors_doc, reason = "as on Unix")]
impl Taking {
    pub fn begin(root: &Root, _: &str, _: u64, _: u64, _: bool) -> Result<Self, FilesError> {
        match root.0 {}
    }

    pub fn path(&self) -> &str {
        match self.0 {}
    }

    pub const fn at(&self) -> u64 {
        match self.0 {}
    }

    pub fn start_over(&mut self) -> Result<(), FilesError> {
        match self.0 {}
    }

    pub fn write(&mut self, _: &[u8]) -> Result<(), FilesError> {
        match self.0 {}
    }

    pub fn finish(self, _: &[u8; 32]) -> Result<(), FilesError> {
        match self.0 {}
    }

    pub fn abandon(self) {
        match self.0 {}
    }
}

impl Nest {
    pub(crate) const fn new(_: &Path) -> Self {
        Self
    }

    #[allow(clippy::unused_self, reason = "as on Unix")]
    pub(crate) fn place(&mut self) -> io::Result<PathBuf> {
        Err(refusal())
    }
}
