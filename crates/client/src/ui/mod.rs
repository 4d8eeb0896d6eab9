//! The client's window: it shows a picture it is handed and reports what the user's hands did.
//!
//! The window drives a [`Model`] that it does not know. Everything happens on the thread that called [`run`]: other
//! threads reach it only through a [`Waker`]. After every batch of events the window calls [`Model::turn`] and
//! presents the damage that comes back at once, in the same callback, without waiting for a redraw event or a vertical
//! blank: this is the last stage of the path from a key to a photon (DESIGN §2).
//!
//! Keys of the window itself, taken before the model sees them: Ctrl+Alt+Enter toggles fullscreen, Ctrl+Alt+O toggles
//! the statistics overlay ([`WindowFact::OverlayToggled`]), Ctrl+Alt+R captures the pointer for programs that want motion
//! instead of places, and sets it free ([`WindowFact::Captured`]), Ctrl+Alt+G lets shortcuts of this machine's system go to the desktop
//! and gives them back ([`WindowFact::Grabbed`]; the former from the start where the window covers the screen), Ctrl+Alt++, - and 0 change the desktop's scale
//! ([`WindowFact::ScaleWished`]), Ctrl+Alt+N shows monitors again whose windows were closed. The Alt key there is the left one, because AltGr types.
//!
//! Map: `window` the event loop and `live` a window in it; `windows` opens and closes them, `set` says which there should be
//! where each monitor has its own, `screen` is this machine's; `show` presents; `keys`, `pointer` and `grab` input,
//! `hands` what is told by `touch` and by a `pen` on one of an X11 screen's `tablets`; `layout` where the
//! picture lies and what a pixel of the window is on the desktop; `span` a window over several monitors; `scale` the resampler;
//! `paint`, `panel` and `text` what is drawn; `composing` what an input method composes, at the desktop's `caret` and in the
//! system's `glyphs`; `present` the two renderers; `cursor` the native pointer; `x11`, `wayland` and
//! `win32` what winit cannot do there; `taken` the order of keys that a hook keeps from the system.

mod canvas;
mod caret;
mod composing;
mod cursor;
mod glyphs;
mod grab;
mod hands;
mod keys;
mod layout;
mod live;
mod meaning;
mod paint;
mod panel;
#[cfg(all(unix, not(target_os = "macos")))]
mod pen;
mod pointer;
mod present;
mod scale;
mod screen;
mod seen;
mod set;
mod show;
mod span;
#[cfg(all(unix, not(target_os = "macos")))]
mod tablets;
#[cfg_attr(not(any(windows, test)), expect(dead_code, reason = "only a hook takes keys past the system"))]
mod taken;
mod text;
mod touch;
#[cfg(all(unix, not(target_os = "macos")))]
mod wayland;
#[cfg(windows)]
mod win32;
mod window;
mod windows;
#[cfg(all(unix, not(target_os = "macos")))]
mod x11;

pub use keys::key_code;
pub use layout::{Layout, Scaling};
pub use present::RendererChoice;
pub use span::{Chosen, Spread};
pub use window::{Waker, run};

use telepane_model::{
    CursorShape, CursorState, Desk, InputEvent, Monitor, Pixels, Point, Rect, Region, Size, Span, Stamp, Surf, View,
    ViewerClock,
};

/// What the window shows and whom it tells of input. Every call comes on the thread of [`run`].
pub trait Model {
    /// What another thread posts through a [`Waker`].
    type Wake: Send + 'static;

    /// Something another thread posted.
    fn on_wake(&mut self, wake: Self::Wake);
    /// Runs timers and decodes; says what changed. Called after every batch of events and when `wake_in` has passed.
    fn turn(&mut self) -> Turn;
    /// What the user did, in desktop pixels. Motion within one batch arrives as its last place only, but that of a pen that
    /// touches, which draws.
    fn input(&mut self, event: InputEvent);
    /// The time: a finger that rests means something else than one that taps.
    fn now(&self) -> Stamp<ViewerClock>;
    /// Whether [`InputEvent::Touch`] means anything to whom it is told; else fingers are the mouse.
    fn takes_touch(&self) -> bool {
        false
    }
    /// Whether [`InputEvent::Pen`] does; else a pen is the mouse.
    fn takes_pen(&self) -> bool {
        false
    }
    /// What happened to the window.
    fn window(&mut self, fact: WindowFact);
    /// The host's picture; `None` before the first frame.
    fn pixels(&self) -> Option<&Pixels>;
    /// The host's monitors, as parts of [`Model::pixels`], where each is to have a window of its own ([`UiOptions::windows`]);
    /// none before they are known.
    fn monitors(&self) -> &[Monitor] {
        &[]
    }
    /// The host's pointer; `None` leaves the platform's arrow.
    fn cursor(&self) -> Option<(&CursorShape, CursorState)>;
    /// What lies over the picture.
    fn veil(&self) -> Veil;
    /// What was typed for [`Veil::Ask`], without line end. Escape instead gives [`WindowFact::CloseRequested`].
    fn answer(&mut self, text: String);
    /// The window's title.
    fn title(&self) -> String;
    /// The statistics overlay, when it is on. The renderer's name is added by the window.
    fn overlay(&self) -> Option<Overlay>;
    /// A sentence shown at the window's top for the present, over everything.
    fn hint(&self) -> Option<String> {
        None
    }
    /// Whether the screen is to stay on although nobody types here.
    fn keep_awake(&self) -> bool {
        false
    }
    /// Whether nobody has used the keyboard or the pointer for so long that a screen locker may want them.
    fn rests(&self) -> bool {
        false
    }
    /// Called immediately after a present that contains the newest pixels. Not called while nothing can be presented
    /// (a window of no size, a renderer that failed).
    fn shown(&mut self);
}

/// What a turn of the model asks for.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// What changed in [`Model::pixels`] since the last turn.
    pub damage: Region<Surf>,
    /// Everything changed (a new size is noticed without it).
    pub redraw_all: bool,
    /// An application put the pointer to this place of the desktop: the platform's goes there, if it is over the picture.
    pub put: Option<Point<Desk>>,
    /// Call [`Model::turn`] again after this long even if nothing happens; `None` waits for an event.
    pub wake_in: Option<Span>,
    /// Close the window and return this code from [`run`].
    pub exit: Option<i32>,
}

/// What happened to the window.
#[derive(Clone, Debug, PartialEq)]
pub enum WindowFact {
    /// Its inside has this size in physical pixels, and the desktop scales its widgets by `scale`.
    Resized {
        /// Physical pixels.
        physical: Size<View>,
        /// HiDPI factor, 1.0 on ordinary screens.
        scale: f64,
    },
    /// The fastest of this machine's monitors that show any of it shows so many pictures in 1000 s; 0: it is not known. Told
    /// after [`WindowFact::Resized`].
    Refresh(u32),
    /// It was made to lie over these monitors (in its own pixels, from its top left corner): one or none is the ordinary case.
    /// Told after [`WindowFact::Resized`].
    Spans(Vec<Monitor>),
    /// The windows together want a desktop with these monitors. Told instead of [`WindowFact::Resized`], [`WindowFact::Refresh`] and
    /// [`WindowFact::Spans`] where each monitor has a window of its own.
    Laid(Vec<Monitor>),
    /// The window of one of several monitors was closed; Ctrl+Alt+N opens it again.
    MonitorClosed,
    /// The user wants it closed (close button, or Escape in a question). The model answers with [`Turn::exit`].
    CloseRequested,
    /// Nothing of it can be seen, or something can again.
    Hidden(bool),
    /// Ctrl+Alt+Enter was pressed, and it covers the monitor now, or no longer.
    Fullscreen(bool),
    /// Ctrl+Alt+O was pressed.
    OverlayToggled,
    /// Ctrl+Alt+PageUp was pressed (1), or Ctrl+Alt+PageDown (-1).
    Sharpen(i8),
    /// Ctrl+Alt++ was pressed (1), Ctrl+Alt+- (-1), or Ctrl+Alt+0 (0).
    ScaleWished(i8),
    /// Ctrl+Alt+S was pressed.
    SoundToggled,
    /// Ctrl+Alt+M was pressed.
    MicrophoneToggled,
    /// Ctrl+Alt+V was pressed.
    PasteAsKeys,
    /// Files were dropped onto it.
    Dropped(std::path::PathBuf),
    /// Shortcuts of this machine's system (Alt+Tab) go to the desktop, or no longer, by Ctrl+Alt+G; or one was pressed for the first
    /// time that does because the window covers the screen.
    Grabbed(bool),
    /// Such shortcuts stay with this machine's system: told when they are wanted for the first time, and whenever Ctrl+Alt+G is pressed.
    CannotGrab,
    /// The pointer is captured, or free again; `None`: the platform does not let it be captured.
    Captured(Option<bool>),
    /// This renderer presents from now on, for statistics: `softbuffer`, `pixels (Vulkan, adapter's name)`.
    Renderer(String),
}

/// What lies over the picture.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Veil {
    /// Nothing.
    #[default]
    Clear,
    /// The picture at half brightness with the seconds since the host last answered.
    Dim {
        /// Seconds without an answer.
        seconds: u32,
    },
    /// The picture at half brightness, because the host said that it is not there.
    Away {
        /// In words.
        why: &'static str,
        /// Seconds without an answer, if it was asked.
        seconds: Option<u32>,
    },
    /// A message in a panel.
    Message {
        /// Its first line.
        title: String,
        /// The rest.
        lines: Vec<String>,
    },
    /// A question; keys go into the answer and not to the model.
    Ask {
        /// What is asked.
        prompt: String,
        /// Show bullets for what is typed.
        secret: bool,
    },
}

impl Veil {
    /// Whether the picture is at half brightness.
    pub const fn dims(&self) -> bool {
        matches!(self, Self::Dim { .. } | Self::Away { .. })
    }
}

/// A colour: blue, green, red.
pub type Colour = [u8; 3];

/// Statistics over the picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    /// Lines of pieces, each in its colour.
    pub lines: Vec<Vec<(String, Colour)>>,
    /// Frames around parts of the picture.
    pub marks: Vec<(Rect<Surf>, Colour)>,
}

/// How the window looks at first.
#[derive(Clone, Debug, Default)]
pub struct UiOptions {
    /// Cover the whole monitor.
    pub fullscreen: bool,
    /// The inside's size in physical pixels; 1280x800 without it.
    pub size: Option<Size<View>>,
    /// Which renderer; without it, `pixels` on a real GPU and else softbuffer.
    pub renderer: Option<RendererChoice>,
    /// How the picture is fitted into the window.
    pub scaling: Scaling,
    /// Which monitors are covered together.
    pub spread: Spread,
    /// Each monitor has a window of its own: the host's, or where the screen is covered this machine's.
    pub windows: bool,
    /// The title until [`Model::title`] is asked.
    pub title: String,
}

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
pub enum UiError {
    /// No display server answers. (winit's own message names files of its source, so it is not told as the source.)
    #[error("no display to open a window on; set DISPLAY or WAYLAND_DISPLAY, or use --headless")]
    NoDisplay(winit::error::EventLoopError),
    /// The display server refused the window.
    #[error("the display server refused the window; use --headless to go on without one")]
    Window(winit::error::OsError),
    /// No renderer could draw into it.
    #[error("nothing can be drawn into the window: {0}; use --headless to go on without one")]
    Renderer(String),
    /// What it should show could not begin.
    #[error("{0:#}")]
    Model(anyhow::Error),
    /// The event loop ended with an error.
    #[error("the connection to the display failed; start again")]
    Loop(#[source] winit::error::EventLoopError),
}
