//! The contract between a capture backend and the shell that drives it.
//!
//! The shell waits on [`Source::wake`], calls [`Source::poll`] with the clock it read, again until `None`, and takes
//! [`Source::pixels`] whenever it codes. Nothing here reads a clock or starts a thread.

use std::sync::Arc;
use telepane_model::monitor::surface_of;
use telepane_model::{
    AppWindow, CursorShape, CursorState, Desk, FrameFacts, HostClock, InputEvent, Monitor, Pixels, Point, Size, Stamp,
    Surf, Trust,
};

/// What a source is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// For people: `x11 :5`, `replay menu.seq`.
    pub name: String,
    /// The backend's name: `x11`, `scrap`, `synthetic`, `replay`.
    pub backend: &'static str,
    /// How far the backend's own word on change can be believed, before pixels are compared here.
    pub damage: Trust,
    /// Whether the cursor comes apart from the pixels.
    pub has_cursor: bool,
    /// Whether [`Source::resize`] can succeed.
    pub can_resize: bool,
    /// The surface's size; 0 by 0 while there is none (a display that has not appeared yet).
    pub size: Size<Surf>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The pixels changed. Ids rise by one from 1; the first frame, and the first of every new size, is whole.
    Frame(FrameFacts),
    /// The pointer moved, or took another shape.
    Cursor(CursorState),
    /// An application put the pointer here; no hand did. Comes after the [`Event::Cursor`] that shows it there, and only from
    /// sources that can tell the two apart.
    PointerPut(Point<Desk>),
    /// The pointer's new image. Comes before the [`Event::Cursor`] that names it, and again each time the pointer
    /// returns to an earlier image, so that a reader need keep only the newest.
    CursorShape(CursorShape),
    /// The surface has these monitors; told at the beginning and after every change, by sources that know.
    Monitors(Vec<Monitor>),
    /// The surface is gone, for now or for good. The last pixels stay readable.
    Gone,
}

/// When to poll again: when the descriptor is readable, or at the instant, whichever comes first.
/// Both `None` means nothing will ever come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Wake {
    /// A descriptor (`RawFd`) to wait on for reading; it belongs to the source and may change between calls.
    pub fd: Option<i32>,
    /// The latest instant to poll at.
    pub at: Option<Stamp<HostClock>>,
}

/// A stream of frames.
pub trait Source: Send {
    /// What this is.
    fn describe(&self) -> Description;

    /// What happened since the last call, without waiting for anything to happen; call until `None`.
    /// `now` is the host's clock, read once for this call.
    ///
    /// # Errors
    /// When the source will never say anything again.
    fn poll(&mut self, now: Stamp<HostClock>) -> Result<Option<Event>, Lost>;

    /// The newest pixels: those of the last [`Event::Frame`], or newer. Cheap; an `Arc` once handed out keeps its
    /// pixels.
    fn pixels(&self) -> Arc<Pixels>;

    /// When to poll next.
    fn wake(&self) -> Wake;

    /// Makes the surface `size` large and gives the size it got; the frame that shows it follows as an event.
    ///
    /// # Errors
    /// When it cannot be had; the surface is then as before.
    fn resize(&mut self, size: Size<Surf>) -> Result<Size<Surf>, ResizeRefused>;

    /// Gives the surface these monitors, and says its size; what came of it follows as events. A source that has no monitors
    /// takes the size that holds them all.
    ///
    /// # Errors
    /// When they cannot be had; the surface is then as before, as far as the system lets it.
    fn arrange(&mut self, monitors: &[Monitor]) -> Result<Size<Surf>, ResizeRefused> {
        let size = surface_of(monitors).map_err(|_| ResizeRefused::NoDesktop)?;
        self.resize(size)
    }

    /// The applications' windows, where the source knows them: those that a layout of monitors may put out of sight, so none
    /// that fills a monitor or belongs to the desktop itself.
    fn windows(&mut self) -> Vec<AppWindow> {
        Vec::new()
    }

    /// Puts these windows there; what came of it is for [`Source::windows`] to say. One that is gone by now is left out.
    fn put_windows(&mut self, windows: &[AppWindow]) {
        let _ = windows;
    }

    /// What changes within the next 200 ms is probably the echo of input: read it at once, half drawn or not.
    fn expect_echo(&mut self, now: Stamp<HostClock>);

    /// Input has just moved the pointer: to this place, unless it was by a distance or by something else than a mouse.
    fn expect_pointer(&mut self, at: Option<Point<Desk>>) {
        let _ = at;
    }

    /// Whether nobody looks from now on: what changes is then read, and told as one frame, when somebody looks again. A source that
    /// costs nothing to look at may go on.
    fn rest(&mut self, rests: bool) {
        let _ = rests;
    }

    /// What a user did, for a source that is its own application. A display has it from the injector already.
    fn input(&mut self, event: &InputEvent) {
        let _ = event;
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn describe(&self) -> Description {
        (**self).describe()
    }
    fn poll(&mut self, now: Stamp<HostClock>) -> Result<Option<Event>, Lost> {
        (**self).poll(now)
    }
    fn pixels(&self) -> Arc<Pixels> {
        (**self).pixels()
    }
    fn wake(&self) -> Wake {
        (**self).wake()
    }
    fn resize(&mut self, size: Size<Surf>) -> Result<Size<Surf>, ResizeRefused> {
        (**self).resize(size)
    }
    fn arrange(&mut self, monitors: &[Monitor]) -> Result<Size<Surf>, ResizeRefused> {
        (**self).arrange(monitors)
    }
    fn windows(&mut self) -> Vec<AppWindow> {
        (**self).windows()
    }
    fn put_windows(&mut self, windows: &[AppWindow]) {
        (**self).put_windows(windows);
    }
    fn expect_echo(&mut self, now: Stamp<HostClock>) {
        (**self).expect_echo(now);
    }
    fn expect_pointer(&mut self, at: Option<Point<Desk>>) {
        (**self).expect_pointer(at);
    }
    fn rest(&mut self, rests: bool) {
        (**self).rest(rests);
    }
    fn input(&mut self, event: &InputEvent) {
        (**self).input(event);
    }
}

/// The source ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The X server closed the connection, or died.
    #[error("display {name} went away: {reason}")]
    Display {
        /// The display.
        name: String,
        /// What the connection said.
        reason: String,
    },
    /// The recording cannot be read further.
    #[error("recording {name} is damaged: {reason}")]
    Recording {
        /// The file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a surface keeps its size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResizeRefused {
    /// The source has the size it has.
    #[error("{0} has a fixed size")]
    Fixed(&'static str),
    /// A real monitor hangs on it.
    #[error("output {0} is a real monitor; only virtual displays are resized")]
    RealMonitor(String),
    /// Monitors that make no desktop.
    #[error("the monitors asked for make no desktop")]
    NoDesktop,
    /// More, or less, than it can be.
    #[error("{asked} is outside what the display can be: {least} to {most}")]
    OutOfRange {
        /// The size asked for.
        asked: Size<Surf>,
        /// The smallest there is.
        least: Size<Surf>,
        /// The largest there is.
        most: Size<Surf>,
    },
    /// The server said no.
    #[error("the display refused {asked}: {reason}")]
    Server {
        /// The size asked for.
        asked: Size<Surf>,
        /// Its reason.
        reason: String,
    },
}
