//! Where host and client keep their state and find their configuration.
//!
//! `--state-dir` stands over everything. Then the XDG base directories: `$XDG_STATE_HOME` (else `~/.local/state`) and
//! `$XDG_CONFIG_HOME` (else `~/.config`), with `telepane` for the client and `telepane-host` for the agent in them; a relative
//! value is ignored, as the XDG specification says. A systemd unit's `$STATE_DIRECTORY` comes before XDG for the agent. On
//! Windows `%LOCALAPPDATA%` and `%APPDATA%` take their places.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Which of the two programs asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The agent.
    Host,
    /// The viewer.
    Client,
}

/// The two directories of a program. Neither needs to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Keys, pins, lists. Made with mode 0700 by whoever writes first.
    pub state: PathBuf,
    /// What a person writes.
    pub config: PathBuf,
}

/// There is no place to keep anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither HOME nor XDG_STATE_HOME is set, so there is no place for keys; give --state-dir")]
pub struct NoHome;

impl Paths {
    /// The directories according to this process's environment.
    pub fn find(program: Program, state_dir: Option<&Path>) -> Result<Self, NoHome> {
        Self::from_env(program, state_dir, &|name| std::env::var_os(name))
    }

    /// The directories according to `env`. With `state_dir` and without a home, the configuration is looked for there as well.
    pub fn from_env(
        program: Program,
        state_dir: Option<&Path>,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, NoHome> {
        let absolute = |name: &str| env(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let home = || absolute("HOME").or_else(|| absolute("USERPROFILE"));
        let name = match program {
            Program::Host => "telepane-host",
            Program::Client => "telepane",
        };
        let state = match state_dir {
            Some(given) => Some(given.to_owned()),
            None => systemd(program, env).or_else(|| {
                absolute("XDG_STATE_HOME")
                    .or_else(|| absolute("LOCALAPPDATA"))
                    .or_else(|| home().map(|h| h.join(".local/state")))
                    .map(|d| d.join(name))
            }),
        };
        let state = state.ok_or(NoHome)?;
        let config = absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("APPDATA"))
            .or_else(|| home().map(|h| h.join(".config")))
            .map_or_else(|| state.clone(), |d| d.join(name));
        Ok(Self { state, config })
    }

    /// The configuration file that is read without `--config`.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The permission file that is read when the configuration names none.
    pub fn permissions_file(&self) -> PathBuf {
        self.config.join("default.perm")
    }

    /// Where a running agent keeps the code it made itself.
    pub fn code_file(&self) -> PathBuf {
        self.state.join(crate::code_file::FILE)
    }
}

/// The first of the directories that a unit's `StateDirectory=` names.
fn systemd(program: Program, env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if program != Program::Host {
        return None;
    }
    let all = env("STATE_DIRECTORY")?.into_string().ok()?;
    all.split(':').next().map(PathBuf::from).filter(|p| p.is_absolute())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn find(program: Program, state_dir: Option<&str>, vars: &[(&str, &str)]) -> Result<(String, String), NoHome> {
        let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        let paths = Paths::from_env(program, state_dir.map(Path::new), &env)?;
        Ok((paths.state.to_str().unwrap().into(), paths.config.to_str().unwrap().into()))
    }

    fn pair(state: &str, config: &str) -> Result<(String, String), NoHome> {
        Ok((state.into(), config.into()))
    }

    #[test]
    fn the_environment_is_asked_in_order() {
        use Program::{Client, Host};
        let home = ("HOME", "/h");
        assert_eq!(find(Client, None, &[home]), pair("/h/.local/state/telepane", "/h/.config/telepane"));
        assert_eq!(find(Host, None, &[home]), pair("/h/.local/state/telepane-host", "/h/.config/telepane-host"));
        let xdg = [home, ("XDG_STATE_HOME", "/s"), ("XDG_CONFIG_HOME", "/c"), ("STATE_DIRECTORY", "/var/lib/t:/x")];
        assert_eq!(find(Client, None, &xdg), pair("/s/telepane", "/c/telepane"));
        assert_eq!(find(Host, None, &xdg), pair("/var/lib/t", "/c/telepane-host"));
        assert_eq!(find(Host, Some("here"), &xdg), pair("here", "/c/telepane-host"));
        assert_eq!(
            find(Client, None, &[home, ("XDG_STATE_HOME", "s")]),
            pair("/h/.local/state/telepane", "/h/.config/telepane")
        );
    }

    #[test]
    fn without_a_home_the_state_directory_must_be_given() {
        assert_eq!(find(Program::Client, None, &[]), Err(NoHome));
        assert_eq!(find(Program::Client, None, &[("HOME", "")]), Err(NoHome));
        assert_eq!(find(Program::Client, Some("/s"), &[]), pair("/s", "/s"));
    }
}
