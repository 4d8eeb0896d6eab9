//! Exit codes, as DESIGN §5 has them.

/// Fine.
pub const FINE: i32 = 0;
/// The command line or a file that it names is wrong.
pub const USAGE: i32 = 2;
/// No connection came about.
pub const CANNOT_CONNECT: i32 = 3;
/// The host is not trusted, or we are not allowed in.
pub const NOT_TRUSTED: i32 = 4;
/// The session ended with an error.
pub const SESSION: i32 = 5;

/// The code for an error that ended the program before, or instead of, a session.
pub fn of(error: &anyhow::Error) -> i32 {
    error.chain().find_map(of_one).unwrap_or(SESSION)
}

fn of_one(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    if let Some(error) = error.downcast_ref::<crate::ui::UiError>() {
        return Some(match error {
            crate::ui::UiError::Model(inner) => of(inner),
            _ => CANNOT_CONNECT,
        });
    }
    // Keys and pins that cannot be relied on.
    if error.is::<telepane_auth::FileError>() || error.is::<telepane_auth::known_hosts::PinError>() {
        return Some(NOT_TRUSTED);
    }
    // A file that the command line names; the network's own errors are not of this kind.
    error.is::<std::io::Error>().then_some(USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn every_error_has_a_code_of_the_list() {
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let wrapped = Err::<(), _>(missing()).context("cannot write shot.png").unwrap_err();
        assert_eq!(of(&wrapped), USAGE);
        assert_eq!(of(&crate::ui::UiError::Renderer("none".into()).into()), CANNOT_CONNECT);
        assert_eq!(of(&crate::ui::UiError::Model(missing().into()).into()), USAGE);
        let pins = telepane_auth::FileError::NotAFile { path: "known_hosts".into() };
        assert_eq!(of(&anyhow::Error::from(pins)), NOT_TRUSTED);
        assert_eq!(of(&anyhow::anyhow!("something else")), SESSION);
    }
}
