//! `--notes FILE`: everything that happens, one line each, to be plotted or replayed later.

use crate::metrics::Counts;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use telepane_model::{HostClock, Note, Stamp};

/// Writes notes to a file and to the log, and counts them.
#[derive(Debug, Default)]
pub struct Notes {
    file: Option<BufWriter<File>>,
    /// What was noted so far, and what the loop counts besides.
    pub counts: Counts,
}

impl Notes {
    /// To this file, or to the log only.
    pub fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(file, "telepane-notes 1 host")?;
        Ok(Self { file: Some(file), ..Self::default() })
    }

    /// Writes one.
    pub fn write(&mut self, now: Stamp<HostClock>, note: &Note) {
        self.counts.on_note(note);
        match note {
            Note::Rejected { .. } | Note::InputExpired { .. } | Note::LeaseExpired => tracing::warn!(?note),
            _ => tracing::debug!(?note),
        }
        if let Some(file) = &mut self.file
            && let Err(error) = writeln!(file, "{} {note:?}", now.as_micros())
        {
            tracing::warn!(%error, "the notes file cannot be written and is closed");
            self.file = None;
        }
    }

    /// Brings what was written to the disk.
    pub fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            // A failure shows at the next write.
            let _ = file.flush();
        }
    }
}
