//! The hands of Telepane's user on the host: keys, text, pointer, wheel, fingers, a pen, and the clipboard.
//!
//! This crate only touches the world. What may be injected, when, in which order and for how long a key may be held is
//! decided by `session`; an [`Injector`] does what it is told, at once, and knows what it holds. On Linux it speaks to an
//! X server through XTEST ([`open_x11`]), and through input devices of the display's own where it has some that take events
//! from programs ([`open_x11_with`]); a small process ([`guard`]) outlives a killed agent and puts the display back
//! as it was. [`clipboard`] carries what is copied, both ways, fetched only when somebody pastes. Elsewhere `enigo` stands
//! behind the same trait.
//!
//! An agent's `main` calls [`guard::run_if_asked`] before anything else; without that call there is no guard.

#[cfg(target_os = "linux")]
pub mod clipboard;
mod copied;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
pub mod guard;
#[cfg(target_os = "linux")]
mod x11;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{clipboard, guard, open};
#[cfg(target_os = "linux")]
pub use x11::{Device, Devices, open_x11, open_x11_with};

use telepane_model::input::{Button, InputEvent, KeyCode};

/// The display went away: nothing can be injected any more, and nothing is held any more. Open it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host's display is gone ({0}); open it again")]
pub struct Gone(pub String);

/// Why a display's input or clipboard cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No connection to the display.
    #[error("cannot connect to display {display}: {why}; check the display's name and the authority file")]
    Connect {
        /// The display asked for, or what `$DISPLAY` said.
        display: String,
        /// What went wrong.
        why: String,
    },
    /// The authority file cannot be used.
    #[error("cannot read the authority file {path}: {why}; name the one the display was started with")]
    Authority {
        /// The file.
        path: String,
        /// What went wrong.
        why: String,
    },
    /// The display lacks an extension that is needed.
    #[error("the display lacks the extension {0}; start it with this extension enabled")]
    Extension(&'static str),
    /// No connection to the Wayland compositor.
    #[error("cannot connect to the Wayland compositor {socket}: {why}; check WAYLAND_DISPLAY and XDG_RUNTIME_DIR")]
    Compositor {
        /// Its socket.
        socket: String,
        /// What went wrong.
        why: String,
    },
    /// The compositor tells of its selections only the window in front, as GNOME's does.
    #[error(
        "the compositor has neither ext_data_control_manager_v1 nor zwlr_data_control_manager_v1, \
         so nothing is copied from here or pasted here; with Xwayland, under X11, or another compositor, it is"
    )]
    KeptByWindows,
    /// Telepane does not have it on this system.
    #[error("{0} is not there on this system yet")]
    NotThere(&'static str),
    /// The platform refuses input by programs.
    #[error("the system refuses injected input: {0}; grant the permission and start again")]
    Refused(String),
    /// The display went away while being opened.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// What a display takes besides keys, a mouse and whole notches of the wheel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// Fingers.
    pub touch: bool,
    /// A pen.
    pub pen: bool,
    /// Parts of a notch, each as it comes.
    pub fine_wheel: bool,
}

/// One display's keyboard and pointer. All methods act at once and in order.
///
/// Dropping an injector releases what it holds and undoes what it changed on the display.
pub trait Injector: Send {
    /// Does what the user did.
    ///
    /// A key that goes down while held, and a key or button that comes up while not held, are ignored; a repeat of a held
    /// key gives one more character, unless it is a key the display does not repeat (a modifier). Codes that the display
    /// cannot express are ignored, and so are fingers and a pen that it does not take. [`InputEvent::Blur`] releases
    /// everything; [`InputEvent::Focus`] makes the lock keys agree and releases nothing: whose keys come up knows the caller, who may have several
    /// viewers.
    ///
    /// # Errors
    /// [`Gone`] when the display went away; the injector is then of no use.
    fn inject(&mut self, event: &InputEvent) -> Result<(), Gone>;

    /// The keys and buttons held now, in the order in which they went down.
    fn held(&self) -> (Vec<KeyCode>, Vec<Button>);

    /// What can be done besides.
    fn takes(&self) -> Takes {
        Takes::default()
    }

    /// Lifts every held key, button and finger, and takes the pen away.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    fn release_all(&mut self) -> Result<(), Gone>;

    /// Gives back what was borrowed for typing text (spare keys of the keymap). To be called when no text came for some
    /// seconds; sooner, and applications that are behind would read the restored keymap.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    fn rest(&mut self) -> Result<(), Gone> {
        Ok(())
    }

    /// Whether something is borrowed that [`Injector::rest`] gives back.
    fn has_borrowed(&self) -> bool {
        false
    }

    /// One line for a person: by which means, on which display, and what is limited.
    fn describe(&self) -> String;
}
