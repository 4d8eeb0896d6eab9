//! Exit codes, as DESIGN §5 has them: 0 fine, 2 usage, 3 cannot connect, 4 not trusted or not allowed, 5 ended with an
//! error. A script can tell from the code alone whose turn it is.

use crate::alone::AloneError;
use crate::config::ConfigError;
use crate::control::ControlError;
use crate::life::BadSession;
use crate::metrics::http::MetricsError;
use crate::permissions::PermissionsFault;
use crate::session::SessionError;
use std::io::ErrorKind;
use telepane_auth::FileError;
use telepane_auth::enrolled::EnrolError;
use telepane_auth::identity::IdentityError;
use telepane_capture::OpenError;
use telepane_capture::virtual_desktop::StartError;
use telepane_codec::h264::LoadError;
use telepane_model::policy::BadSetting;
use telepane_transport::BindError;
use thiserror::Error;

/// What a person wrote is wrong, on the command line or in a file that it names.
pub const USAGE: u8 = 2;
/// No agent to speak to; no display, port or server to work with.
pub const CANNOT_CONNECT: u8 = 3;
/// The system, or another user's agent, does not allow it.
pub const NOT_ALLOWED: u8 = 4;
/// It began and ended with an error.
pub const FAILED: u8 = 5;

/// A file that the command line names and that cannot be used.
#[derive(Debug, Error)]
#[error("{what}: {why}; name another file")]
pub struct Unusable {
    /// What was to be done with which file.
    pub what: String,
    /// The system's word.
    pub why: std::io::Error,
}

/// The exit code for an error that ended the program.
pub fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(of).unwrap_or(FAILED)
}

/// The code for one link of an error's chain, if it decides.
fn of(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    let denied = |e: &std::io::Error| if e.kind() == ErrorKind::PermissionDenied { NOT_ALLOWED } else { USAGE };
    if error.is::<ConfigError>()
        || error.is::<BadSetting>()
        || error.is::<BadSession>()
        || error.is::<PermissionsFault>()
        || error.is::<EnrolError>()
    {
        return Some(USAGE);
    }
    if error.is::<MetricsError>() {
        return Some(CANNOT_CONNECT);
    }
    if error.is::<IdentityError>() {
        return Some(NOT_ALLOWED);
    }
    if let Some(e) = error.downcast_ref::<Unusable>() {
        return Some(denied(&e.why));
    }
    if let Some(e) = error.downcast_ref::<LoadError>() {
        return Some(if let LoadError::Unreadable { why, .. } = e { denied(why) } else { USAGE });
    }
    if let Some(e) = error.downcast_ref::<FileError>() {
        return Some(match e {
            FileError::Io { error, .. } => denied(error),
            FileError::Open { .. } => NOT_ALLOWED,
            _ => USAGE,
        });
    }
    if let Some(e) = error.downcast_ref::<AloneError>() {
        return Some(match e {
            AloneError::Taken { .. } => USAGE,
            AloneError::Io { .. } => NOT_ALLOWED,
        });
    }
    if let Some(e) = error.downcast_ref::<SessionError>() {
        return match e {
            SessionError::NoSuchSession(_) | SessionError::BadSetting(_) => Some(USAGE),
            SessionError::Control(e) => Some(of_control(e)),
            SessionError::Failed(_) => None,
        };
    }
    if let Some(e) = error.downcast_ref::<ControlError>() {
        return Some(of_control(e));
    }
    if let Some(e) = error.downcast_ref::<BindError>() {
        return Some(if matches!(e, BindError::NotAllowed(_)) { NOT_ALLOWED } else { CANNOT_CONNECT });
    }
    if let Some(e) = error.downcast_ref::<StartError>() {
        return Some(if matches!(e, StartError::Size(_)) { USAGE } else { CANNOT_CONNECT });
    }
    if let Some(e) = error.downcast_ref::<OpenError>() {
        return Some(match e {
            OpenError::NoBackend { .. } | OpenError::Recording { .. } | OpenError::Size(_) => USAGE,
            _ => CANNOT_CONNECT,
        });
    }
    error.is::<telepane_input::OpenError>().then_some(CANNOT_CONNECT)
}

fn of_control(error: &ControlError) -> u8 {
    if matches!(error, ControlError::NotAllowed { .. }) { NOT_ALLOWED } else { CANNOT_CONNECT }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    fn check(error: impl Into<anyhow::Error>, want: u8) {
        let error = error.into();
        assert_eq!(code(&error), want, "{error:#}");
        let wrapped = Err::<(), _>(error).context("while something was done").unwrap_err();
        assert_eq!(code(&wrapped), want, "{wrapped:#}");
    }

    #[test]
    fn every_error_has_one_of_the_four_codes() {
        check(AloneError::Taken { state: "d".into() }, USAGE);
        check(Unusable { what: "cannot write".into(), why: ErrorKind::NotFound.into() }, USAGE);
        check(Unusable { what: "cannot write".into(), why: ErrorKind::PermissionDenied.into() }, NOT_ALLOWED);
        check(LoadError::Unknown { path: "a.so".into(), sha256: String::new() }, USAGE);
        check(LoadError::Unreadable { path: "a.so".into(), why: ErrorKind::PermissionDenied.into() }, NOT_ALLOWED);
        check(OpenError::NoDisplay { sockets: Vec::new() }, CANNOT_CONNECT);
        check(OpenError::Wayland { found: String::new() }, CANNOT_CONNECT);
        check(OpenError::Recording { path: "a.seq".into(), reason: String::new() }, USAGE);
        check(StartError::Size(Vec::new()), USAGE);
        check(StartError::NoServer, CANNOT_CONNECT);
        check(BindError::PortInUse(8443), CANNOT_CONNECT);
        check(BindError::NotAllowed(([0, 0, 0, 0], 80).into()), NOT_ALLOWED);
        check(SessionError::NoSuchSession(3), USAGE);
        check(SessionError::Control(ControlError::NoAgent { state: "d".into() }), CANNOT_CONNECT);
        check(SessionError::Control(ControlError::NotAllowed { state: "d".into() }), NOT_ALLOWED);
        check(anyhow::anyhow!("the desktop is gone for good"), FAILED);
    }
}
