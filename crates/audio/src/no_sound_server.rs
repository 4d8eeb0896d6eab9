//! A system without a sound server that can be given sinks: what applications play there cannot be heard yet, and whoever wants to is
//! told.

use crate::contract::{DeviceError, Failed, Fill, Sink, Source, Stream, Take};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// Why a desktop has no sound.
#[derive(Debug, Error)]
pub enum Nothing {
    /// There is none here.
    #[error("a desktop's sound is not there on this system yet")]
    NotThere,
}

/// A sound server: there is none.
#[derive(Debug)]
pub struct SoundServer(Infallible);

/// The program that one would be: there is none.
pub const fn sound_server() -> Option<PathBuf> {
    None
}

#[allow(missing_docs, clippy::missing_errors_doc, reason = "as on Unix")]
impl SoundServer {
    pub const fn for_desktop(_: &str) -> Result<Arc<Self>, Nothing> {
        Err(Nothing::NotThere)
    }

    pub const fn of_session(_: &str) -> Result<Arc<Self>, Nothing> {
        Err(Nothing::NotThere)
    }

    pub fn environment(&self) -> Vec<(String, String)> {
        match self.0 {}
    }

    pub fn sink(&self) -> &str {
        match self.0 {}
    }

    pub const fn is_own(&self) -> bool {
        match self.0 {}
    }

    pub fn takes_microphone(&self) -> bool {
        match self.0 {}
    }

    pub fn close(&self) {
        match self.0 {}
    }
}

/// What listens to one and plays into one.
pub mod pulse {
    use super::{Arc, DeviceError, Failed, Fill, Sink, SoundServer, Source, Stream, Take};

    /// What applications play into the server's sink.
    pub struct Monitor(pub Arc<SoundServer>);

    /// The sink whose monitor applications take for a microphone.
    pub struct Microphone(pub Arc<SoundServer>);

    impl Source for Monitor {
        fn name(&self) -> String {
            match self.0.0 {}
        }

        fn open(&mut self, _: Take, _: Failed) -> Result<Box<dyn Stream>, DeviceError> {
            match self.0.0 {}
        }
    }

    impl Sink for Microphone {
        fn name(&self) -> String {
            match self.0.0 {}
        }

        fn open(&mut self, _: Fill, _: Failed) -> Result<Box<dyn Stream>, DeviceError> {
            match self.0.0 {}
        }
    }
}
