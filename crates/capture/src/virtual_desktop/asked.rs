//! What may be asked of a virtual desktop and what comes of it, also on systems that have none.

use telepane_model::{Size, Surf};

/// Which X server to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Server {
    /// Xorg with the dummy driver, else Xvfb.
    #[default]
    Best,
    /// Only Xorg with the dummy driver.
    Xorg,
    /// Only Xvfb.
    Xvfb,
}

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// One monitor for each, from left to right.
    pub heads: Vec<Size<Surf>>,
    /// The server.
    pub server: Server,
    /// The session.
    pub session: Session,
    /// What else the session finds in its environment.
    pub environment: Vec<(String, String)>,
}

/// What runs on the display.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Session {
    /// Xfce, LXQt, openbox with a terminal, or a terminal alone: the first that is installed.
    #[default]
    First,
    /// This program with these arguments.
    Command(Vec<String>),
    /// Nothing.
    None,
}

/// What became of a wish for a scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scaled {
    /// The desktop had it.
    Already,
    /// Running programs follow where their toolkit can, and new ones.
    Followed,
    /// Only programs that start from now on and read `Xft.dpi`: the session has a settings manager of its own.
    NewPrograms {
        /// What it calls itself.
        manager: String,
    },
}
