//! The session on a virtual display: the first desktop that is installed, or a command.

use super::process::{Process, find};
use super::{Options, Session, StartError};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What must be installed, and the command line.
///
/// Openbox runs its startup command once it manages windows. A terminal started beside it is often mapped at the
/// moment openbox takes over, and then stays unmapped for good (seen in half of all starts).
const KNOWN: [(&str, &[&str]); 4] = [
    ("startxfce4", &["startxfce4"]),
    ("startlxqt", &["startlxqt"]),
    ("openbox", &["openbox", "--startup", OPENBOX_STARTUP]),
    ("xterm", &["xterm", "-geometry", "120x40"]),
];

/// The user's and the system's autostart, as `openbox-session` runs them, from where distributions keep the script;
/// and a terminal, without which openbox is a bare grey screen.
const OPENBOX_STARTUP: &str = "sh -c 'for a in /usr/lib/*/openbox-autostart /usr/lib/openbox-autostart \
/usr/libexec/openbox-autostart; do if test -x $a; then $a OPENBOX & break; fi; done; exec xterm'";

/// Starts it; gives its name and process.
pub(super) fn start(options: &Options, display: &str, dir: &Path) -> Result<(String, Option<Process>), StartError> {
    let (name, line): (String, Vec<String>) = match &options.session {
        Session::None => return Ok((String::new(), None)),
        Session::Command(line) => {
            let Some(program) = line.first() else {
                return Ok((String::new(), None));
            };
            (program.clone(), line.clone())
        }
        Session::First => match KNOWN.iter().find(|(name, _)| find(name).is_some()) {
            Some((name, line)) => ((*name).to_owned(), line.iter().map(|s| (*s).to_owned()).collect()),
            None => {
                tracing::warn!("no session found (startxfce4, startlxqt, openbox, xterm): the desktop is empty");
                return Ok((String::new(), None));
            }
        },
    };
    // Desktops want a message bus of their own; the one of the user's other session would mix the two.
    let own_bus = name.starts_with("start") && find("dbus-run-session").is_some();
    let line: Vec<String> =
        if own_bus { ["dbus-run-session", "--"].into_iter().map(String::from).chain(line).collect() } else { line };
    let (Some(program), arguments) = (line.first(), line.get(1..).unwrap_or_default()) else {
        return Ok((String::new(), None));
    };
    let log = std::fs::File::create(dir.join("session.log"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("DISPLAY", display)
        .env("XAUTHORITY", dir.join("Xauthority"))
        .env("XDG_SESSION_TYPE", "x11")
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("WAYLAND_SOCKET")
        .env_remove("DESKTOP_STARTUP_ID")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    if own_bus {
        command.env_remove("DBUS_SESSION_BUS_ADDRESS");
    }
    let child = command.spawn().map_err(|e| StartError::Session { command: name.clone(), reason: e.to_string() })?;
    Ok((name, Some(Process::new(child, 1_000))))
}
