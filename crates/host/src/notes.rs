//! `--notes FILE`: everything that happens, one line each, to be plotted or replayed later; and `--record FILE`: the screen
//! beside it, as `.deskrec`.

use crate::metrics::Counts;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use telepane_capture::replay::Recorder;
use telepane_model::{FrameFacts, HostClock, Note, Pixels, Stamp};

/// The screen's recording.
#[derive(Debug, Default)]
enum Screen {
    /// Not wanted, or over.
    #[default]
    None,
    /// Its size is known with the first frame.
    Wanted(File),
    /// Being written.
    Written(Box<Recorder<Capped>>),
}

/// A file that takes so much and no more: a recording ends before the disk does.
#[derive(Debug)]
struct Capped {
    file: BufWriter<File>,
    left: u64,
}

/// A recording's most bytes: hours of an office, minutes of film over the whole screen.
const MOST_RECORDED: u64 = 4 << 30;

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| std::io::Error::other("the recording has reached its 4 GiB"))?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Writes notes to a file and to the log, and counts them.
#[derive(Debug, Default)]
pub struct Notes {
    file: Option<BufWriter<File>>,
    screen: Screen,
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

    /// And the screen to this file.
    pub fn record(&mut self, path: &Path) -> std::io::Result<()> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        // It shows whatever was on the screen.
        self.screen = Screen::Wanted(crate::system::keep_private(&mut options).open(path)?);
        Ok(())
    }

    /// A frame was captured: it is recorded if that was asked for. A recording that cannot go on ends there.
    pub fn frame(&mut self, facts: &FrameFacts, pixels: &Pixels) {
        let (mut recorder, began) = match std::mem::take(&mut self.screen) {
            Screen::None => return,
            Screen::Written(recorder) => (recorder, false),
            Screen::Wanted(file) => {
                let out = Capped { file: BufWriter::new(file), left: MOST_RECORDED };
                match Recorder::new(out, pixels.size()) {
                    Ok(recorder) => (Box::new(recorder), true),
                    Err(error) => {
                        tracing::warn!(%error, "the screen cannot be recorded");
                        return;
                    }
                }
            }
        };
        if began && let Some(file) = &mut self.file {
            // What relates the two files. A failure shows at the next write.
            let at = facts.captured;
            let _ = writeln!(file, "{} Recording {{ began: {at:?} }}", at.as_micros());
        }
        match recorder.frame(facts, pixels) {
            Ok(()) => self.screen = Screen::Written(recorder),
            Err(error) => tracing::warn!(%error, "the screen's recording ends here"),
        }
    }

    /// Ends the recording.
    pub fn finish(&mut self, now: Stamp<HostClock>) {
        if let Screen::Written(recorder) = std::mem::take(&mut self.screen)
            && let Err(error) = recorder.finish(now)
        {
            tracing::warn!(%error, "the screen's recording lacks its end");
        }
    }

    /// Writes one.
    pub fn write(&mut self, now: Stamp<HostClock>, note: &Note) {
        self.counts.on_note(note);
        match note {
            Note::Rejected { .. } | Note::InputExpired { .. } | Note::LeaseExpired => tracing::warn!(?note),
            // spec: H-73
            Note::ProofFailed { surface, at } => {
                tracing::error!(
                    surface = surface.0,
                    col = at.col,
                    row = at.row,
                    "a viewer does not show what it was sent"
                )
            }
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
