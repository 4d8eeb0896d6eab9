//! From what was asked for to a source; and, where there is none, to a sentence that says what was found and what to
//! do next.
//!
//! A Wayland session is recognised and refused: its Xwayland has an empty root window, and a black screen would help
//! nobody.

use crate::replay::Replay;
use crate::source::Source;
use crate::synthetic::{Kind, Synthetic};
use std::path::PathBuf;
use telepane_model::{Size, Surf};

/// Who reads the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Backend {
    /// [`crate::x11`].
    #[default]
    X11,
    /// The crate `scrap`.
    Scrap,
}

impl std::str::FromStr for Backend {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "x11" => Ok(Self::X11),
            "scrap" => Ok(Self::Scrap),
            _ => Err(format!("no capture backend {s:?}; there are x11 and scrap")),
        }
    }
}

/// What to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An X display: `:5`, or `$DISPLAY` if `None`, with the cookie in this file if given.
    Display {
        /// The display's name.
        name: Option<String>,
        /// The cookie file, if not the one of the environment.
        xauthority: Option<PathBuf>,
    },
    /// An invented scene.
    Synthetic {
        /// Which.
        kind: Kind,
        /// How large.
        size: Size<Surf>,
        /// Of all the scenes of this kind, which.
        seed: u64,
    },
    /// A recording, `.seq` or `.deskrec`.
    Replay {
        /// The file.
        path: PathBuf,
        /// Whether it starts again at its end.
        looping: bool,
    },
}

/// What to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The backend for displays.
    pub backend: Backend,
    /// What to show.
    pub what: What,
}

/// Why there is no source. Each message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No display was named, and the environment names none.
    #[error("no X display: $DISPLAY is not set and none was named; {}or start one with --virtual 1920x1080", displays(.sockets))]
    NoDisplay {
        /// Displays that have a socket here.
        sockets: Vec<String>,
    },
    /// The named display does not answer, or does not let us in.
    #[error("cannot open X display {name:?}: {reason}; {}or start one with --virtual 1920x1080", displays(.sockets))]
    NoSuchDisplay {
        /// The name asked for.
        name: String,
        /// What the system or the server said.
        reason: String,
        /// Displays that have a socket here.
        sockets: Vec<String>,
    },
    /// The display answers but cannot be captured.
    #[error("cannot capture X display {name}: {reason}; or start one that can with --virtual 1920x1080")]
    Unusable {
        /// The display.
        name: String,
        /// What it lacks.
        reason: String,
    },
    /// The session is a Wayland session.
    #[error(
        "this is a Wayland session ({found}), which cannot be captured yet; start a desktop of its own with --virtual 1920x1080, or log in to an Xorg session"
    )]
    Wayland {
        /// What says so.
        found: String,
    },
    /// The display is Xwayland.
    #[error(
        "X display {name} is Xwayland, whose root window is empty: the screen belongs to a Wayland compositor, which cannot be captured yet; start a desktop of its own with --virtual 1920x1080"
    )]
    Xwayland {
        /// The display.
        name: String,
    },
    /// The backend is not part of this program.
    #[error(
        "--capture {name} is not part of this program on this system; use --capture x11, or build with the feature {name}"
    )]
    NoBackend {
        /// Its name.
        name: &'static str,
    },
    /// The recording cannot be opened.
    #[error("cannot replay {path}: {reason}; give a .deskrec or .seq file")]
    Recording {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A surface cannot be this large.
    #[error("a screen of {0} is not possible: both sides must be from 1 to 16384 pixels")]
    Size(Size<Surf>),
}

fn displays(found: &[String]) -> String {
    if found.is_empty() {
        "no X server runs here (nothing in /tmp/.X11-unix); start one, ".into()
    } else {
        format!("displays found here: {}; name one with --display, ", found.join(" "))
    }
}

/// The displays that have a socket on this machine, in order of number.
pub fn sockets() -> Vec<String> {
    let mut numbers: Vec<u32> = std::fs::read_dir("/tmp/.X11-unix")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.strip_prefix('X')?.parse().ok())
        .collect();
    numbers.sort_unstable();
    // A long list helps nobody, and the directory is writable by all.
    numbers.truncate(16);
    numbers.into_iter().map(|n| format!(":{n}")).collect()
}

/// What kind of graphical session this process lives in, going by its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// An X session on this display.
    X11 {
        /// `$DISPLAY`.
        display: String,
    },
    /// A Wayland session.
    Wayland {
        /// Which variables say so.
        found: String,
    },
    /// None.
    None,
}

/// The kind of session of this process.
pub fn session_kind() -> SessionKind {
    session_kind_of(|name| std::env::var(name).ok())
}

/// The same, with the environment handed in.
pub fn session_kind_of(env: impl Fn(&str) -> Option<String>) -> SessionKind {
    let set = |name: &str| env(name).filter(|v| !v.is_empty());
    let kind = set("XDG_SESSION_TYPE");
    let socket = set("WAYLAND_DISPLAY");
    if socket.is_some() || kind.as_deref() == Some("wayland") {
        let found: Vec<String> = [("WAYLAND_DISPLAY", socket), ("XDG_SESSION_TYPE", kind)]
            .into_iter()
            .filter_map(|(n, v)| v.map(|v| format!("${n} is {v}")))
            .collect();
        return SessionKind::Wayland { found: found.join(", ") };
    }
    set("DISPLAY").map_or(SessionKind::None, |display| SessionKind::X11 { display })
}

/// Opens a source.
///
/// A display named by the caller is tried whatever the session is; only an unnamed one inside a Wayland session is
/// refused by name alone.
///
/// # Errors
/// With what was found and what to do next.
pub fn open(options: &Options) -> Result<Box<dyn Source>, OpenError> {
    match &options.what {
        What::Display { name, xauthority } => {
            if name.is_none()
                && let SessionKind::Wayland { found } = session_kind()
            {
                return Err(OpenError::Wayland { found });
            }
            open_display(options.backend, name.as_deref(), xauthority.as_deref())
        }
        What::Synthetic { kind, size, seed } => {
            if !size.is_valid() {
                return Err(OpenError::Size(*size));
            }
            Ok(Box::new(Synthetic::new(*kind, *size, *seed)))
        }
        What::Replay { path, looping } => {
            let replay = Replay::open(path, *looping)
                .map_err(|e| OpenError::Recording { path: path.display().to_string(), reason: e.to_string() })?;
            Ok(Box::new(replay))
        }
    }
}

#[cfg(target_os = "linux")]
fn open_display(
    backend: Backend,
    name: Option<&str>,
    xauthority: Option<&std::path::Path>,
) -> Result<Box<dyn Source>, OpenError> {
    match backend {
        Backend::X11 => Ok(Box::new(crate::x11::X11::connect(name, xauthority)?)),
        #[cfg(feature = "scrap")]
        Backend::Scrap => Ok(Box::new(crate::scrap::Scrap::connect(name, xauthority)?)),
        #[cfg(not(feature = "scrap"))]
        Backend::Scrap => Err(OpenError::NoBackend { name: "scrap" }),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_display(
    backend: Backend,
    _name: Option<&str>,
    _xauthority: Option<&std::path::Path>,
) -> Result<Box<dyn Source>, OpenError> {
    let name = match backend {
        Backend::X11 => "x11",
        Backend::Scrap => "scrap",
    };
    Err(OpenError::NoBackend { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wayland_session_is_recognised() {
        let env = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|p| p.0 == name).map(|p| p.1.to_owned())
        };
        let wayland = session_kind_of(env(&[("WAYLAND_DISPLAY", "wayland-0"), ("DISPLAY", ":0")]));
        let SessionKind::Wayland { found } = wayland else {
            panic!("{wayland:?}");
        };
        assert!(found.contains("wayland-0"));
        assert!(matches!(
            session_kind_of(env(&[("XDG_SESSION_TYPE", "wayland"), ("DISPLAY", ":0")])),
            SessionKind::Wayland { .. }
        ));
        assert_eq!(
            session_kind_of(env(&[("XDG_SESSION_TYPE", "x11"), ("DISPLAY", ":3"), ("WAYLAND_DISPLAY", "")])),
            SessionKind::X11 { display: ":3".into() }
        );
        assert_eq!(session_kind_of(env(&[])), SessionKind::None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_display_that_is_not_there_is_named_with_the_way_out() {
        for name in [":59000", ":65535", ":none", "", "no.such.host.invalid:0"] {
            let Err(error) = open(&Options {
                backend: Backend::X11,
                what: What::Display { name: Some(name.into()), xauthority: None },
            }) else {
                panic!("there is no display {name}");
            };
            let text = error.to_string();
            assert!(text.contains(name) && text.contains("--virtual"), "{text}");
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let what = What::Synthetic { kind: Kind::Editor, size: Size::new(0, 5), seed: 1 };
        let backend = Backend::X11;
        assert!(matches!(open(&Options { backend, what }), Err(OpenError::Size(_))));
    }
}
