//! No stack: the stimulus draws on the very screen that is watched, and keys go to it directly. What is measured then is
//! the X server, the application and the harness: the floor under every other figure.

use super::{Server, Stack, Stage};
use crate::display::Display;
use crate::link::Net;
use crate::process::Process;
use anyhow::Result;
use std::path::Path;

/// The null stack.
pub struct Null;

impl Stack for Null {
    fn name(&self) -> &'static str {
        "null (floor)"
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("Xvfb", "xvfb")]
    }

    fn settings(&self) -> &'static str {
        "stimulus and watcher on one display, no network"
    }

    fn host_display(&self, _dir: &Path, _size: (usize, usize), _net: &Net) -> Result<Option<Display>> {
        Ok(None)
    }

    fn start_server(&self, _stage: &Stage) -> Result<Server> {
        Ok(Server { processes: Vec::new(), port: None })
    }

    fn start_viewer(&self, _stage: &Stage, _server: &Server) -> Result<Option<Process>> {
        Ok(None)
    }
}
