//! `telepane-host doctor`: what this machine has and lacks for serving, each lack with what mends it.
//!
//! Looks and changes nothing. What stops `serve` is *bad* and makes the command fail; what makes it worse is *poor*.

mod packages;

use crate::control::{self, Reply, Request};
use crate::firewall::{self, Firewall};
use crate::permissions::{Owner, PermissionsFile};
use crate::{config, reachable, system};
use packages::{Need, install};
use serde::Serialize;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use telepane_auth::Paths;
use telepane_capture::SessionKind;

/// How well it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// As it should be.
    Good,
    /// Works, with a loss.
    Poor,
    /// `serve` cannot work.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub name: &'static str,
    /// How it is.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do about it, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Looks at everything.
pub fn examine(paths: &Paths, port: u16) -> Vec<Finding> {
    let agent = control::ask(&paths.state, &Request::Sessions {}).ok();
    let dummy = dummy_driver();
    let xvfb = in_path("Xvfb");
    let mut all = vec![
        state(&paths.state),
        configuration(&paths.config_file()),
        permissions(&paths.permissions_file()),
        session(dummy || xvfb),
        displays(),
        program(
            "Xorg with dummy",
            dummy,
            "virtual desktops with any size, up to 16 monitors, and fingers and pens",
            &[Need::Dummy],
            xvfb,
        ),
        program("Xvfb", xvfb, "virtual desktops where Xorg is not installed", &[Need::Xvfb], dummy),
        desktop_session(),
        sound(),
        agent_line(agent.as_ref()),
        udp_port(port, agent.is_some()),
        tcp_port(port, agent.is_some()),
    ];
    all.extend(["rmem_max", "wmem_max"].map(|which| buffer(which, &Path::new("/proc/sys/net/core").join(which))));
    all.push(addresses(port));
    all.push(firewall(&firewall::look(port)));
    all.push(Finding {
        name: "nasm",
        health: Health::Good,
        found: "not needed to run, only to build".into(),
        advice: None,
    });
    all
}

/// The findings for people: one line each, its advice below.
pub fn table(findings: &[Finding]) -> String {
    findings.iter().fold(String::new(), |mut out, f| {
        let mark = match f.health {
            Health::Good => "ok",
            Health::Poor => "poor",
            Health::Bad => "BAD",
        };
        let _ = writeln!(out, "{mark:<5} {:<16} {}", f.name, f.found);
        if let Some(advice) = &f.advice {
            let _ = writeln!(out, "      {:<16} -> {advice}", "");
        }
        out
    })
}

fn good(name: &'static str, found: impl Into<String>) -> Finding {
    Finding { name, health: Health::Good, found: found.into(), advice: None }
}

fn lacking(name: &'static str, health: Health, found: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { name, health, found: found.into(), advice: Some(advice.into()) }
}

fn state(dir: &Path) -> Finding {
    const NAME: &str = "state";
    let at = dir.display();
    let meta = match std::fs::metadata(dir) {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            // Made by the first start; what counts is whether it can be.
            let above = dir.ancestors().find(|d| d.is_dir()).unwrap_or(Path::new("."));
            return if system::is_writable(above) {
                good(NAME, format!("{at}: made by the first start"))
            } else {
                lacking(
                    NAME,
                    Health::Bad,
                    format!("{at} cannot be made: {} is not writable", above.display()),
                    "give another --state-dir",
                )
            };
        }
        Err(e) => return lacking(NAME, Health::Bad, format!("{at}: {e}"), "give another --state-dir"),
    };
    let mode = system::mode(&meta);
    if !meta.is_dir() || !system::is_writable(dir) {
        lacking(
            NAME,
            Health::Bad,
            format!("{at} is not a directory this user can write to"),
            "give another --state-dir",
        )
    } else if let Some(mode) = mode.filter(|mode| mode & 0o022 != 0) {
        lacking(
            NAME,
            Health::Bad,
            format!("{at} can be changed by other users (mode {mode:04o})"),
            format!("chmod 700 {at}"),
        )
    } else if let Some(owner) = system::stranger(&meta) {
        lacking(NAME, Health::Poor, format!("{at} belongs to another user (uid {owner})"), "run the agent as that user")
    } else {
        good(NAME, mode.map_or_else(|| at.to_string(), |mode| format!("{at}, mode {mode:04o}")))
    }
}

fn configuration(path: &Path) -> Finding {
    match config::complete(crate::cli::Serve::default(), path) {
        Ok(_) if path.exists() => good("configuration", path.display().to_string()),
        Ok(_) => good("configuration", format!("none at {}", path.display())),
        Err(e) => lacking("configuration", Health::Bad, e.to_string(), "correct it"),
    }
}

fn permissions(path: &Path) -> Finding {
    match PermissionsFile::open(path, Owner::of_this_process()) {
        Ok(_) if path.exists() => good("permissions", path.display().to_string()),
        Ok(_) => good("permissions", format!("none at {}: whoever comes in may do everything", path.display())),
        Err(e) => lacking("permissions", Health::Bad, e.to_string(), "correct it"),
    }
}

fn session(can_start_one: bool) -> Finding {
    match telepane_capture::session_kind() {
        SessionKind::X11 { display } => good("session", format!("X11 at {display}")),
        SessionKind::Wayland { found } => lacking(
            "session",
            Health::Poor,
            format!("Wayland ({found}): not captured yet"),
            "telepane-host serve --virtual 1920x1080",
        ),
        SessionKind::None if can_start_one => good("session", "none: serve starts a virtual desktop"),
        SessionKind::None => {
            lacking("session", Health::Bad, "none, and no X server to start one", install(&[Need::Dummy]))
        }
    }
}

fn displays() -> Finding {
    let displays = telepane_capture::open::sockets();
    good("displays", if displays.is_empty() { "none".into() } else { displays.join(" ") })
}

fn program(name: &'static str, there: bool, for_what: &str, package: &[Need], instead: bool) -> Finding {
    match (there, instead) {
        (true, _) => good(name, "found"),
        (false, true) => good(name, format!("not installed, and not needed: it is for {for_what}")),
        (false, false) => lacking(name, Health::Poor, format!("missing: it is for {for_what}"), install(package)),
    }
}

fn sound() -> Finding {
    const FOR: &str = "a virtual desktop's sound and microphone";
    match (telepane_audio::sound_server(), in_path("pactl"), in_path("pulseaudio")) {
        (Some(path), true, _) => good("sound", format!("a server runs at {}", path.display())),
        (Some(path), false, own) => {
            let found = format!("a server runs at {}, and no pactl to add sinks for {FOR}", path.display());
            if own {
                good("sound", format!("{found}; a server of its own will serve"))
            } else {
                lacking("sound", Health::Poor, found, install(&[Need::Pactl]))
            }
        }
        (None, _, true) => good("sound", "no server runs; a virtual desktop is given one of its own"),
        (None, _, false) => lacking(
            "sound",
            Health::Poor,
            format!("no server runs and none is installed for {FOR}"),
            install(&[Need::SoundServer, Need::Pactl]),
        ),
    }
}

fn desktop_session() -> Finding {
    // In the order in which serve tries them (DESIGN §5).
    let known = ["startxfce4", "startlxqt", "openbox", "xterm"];
    match known.into_iter().find(|p| in_path(p)) {
        Some("xterm") => lacking("desktop", Health::Poor, "xterm, without a window manager", install(&[Need::Openbox])),
        Some(program) => good("desktop", format!("a virtual desktop runs {program}")),
        None => lacking(
            "desktop",
            Health::Poor,
            "no session for a virtual desktop: it stays empty",
            install(&[Need::Openbox, Need::Xterm]),
        ),
    }
}

fn agent_line(agent: Option<&Reply>) -> Finding {
    match agent {
        Some(Reply::Sessions { sessions }) => {
            let connected = sessions.iter().filter(|s| s.connected).count();
            good("agent", format!("runs, {connected} connected"))
        }
        Some(_) => lacking("agent", Health::Poor, "runs, and does not answer as it should", "restart it"),
        None => good("agent", "does not run"),
    }
}

fn udp_port(port: u16, agent_runs: bool) -> Finding {
    const NAME: &str = "udp port";
    let at = |ip: std::net::IpAddr| UdpSocket::bind(SocketAddr::new(ip, port));
    // Where IPv6 is absent, the agent listens on IPv4 only.
    match at(Ipv6Addr::UNSPECIFIED.into()).or_else(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => Err(e),
        _ => at(Ipv4Addr::UNSPECIFIED.into()),
    }) {
        Ok(_) => good(NAME, format!("{port} is free")),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse && agent_runs => {
            good(NAME, format!("{port} is in use, and an agent runs"))
        }
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => lacking(
            NAME,
            Health::Bad,
            format!("{port} is in use"),
            format!("`ss -lunp sport = :{port}` shows by what; or pass another --listen"),
        ),
        Err(e) => lacking(NAME, Health::Bad, format!("{port}: {e}"), "pass another --listen"),
    }
}

/// Beside UDP's, for clients to whom UDP does not get through; without it the others still come.
fn tcp_port(port: u16, agent_runs: bool) -> Finding {
    const NAME: &str = "tcp port";
    let at = |ip: std::net::IpAddr| TcpListener::bind(SocketAddr::new(ip, port));
    match at(Ipv6Addr::UNSPECIFIED.into()).or_else(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => Err(e),
        _ => at(Ipv4Addr::UNSPECIFIED.into()),
    }) {
        Ok(_) if agent_runs => lacking(
            NAME,
            Health::Poor,
            format!("{port} is free although an agent runs: clients to whom only TCP is open cannot connect here"),
            "if it serves this port, let it: serve --transport auto",
        ),
        Ok(_) => good(NAME, format!("{port} is free")),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse && agent_runs => {
            good(NAME, format!("{port} is in use, and an agent runs"))
        }
        Err(e) => lacking(
            NAME,
            Health::Poor,
            format!("{port}: {e}: clients to whom only TCP is open cannot connect"),
            format!("`ss -ltnp sport = :{port}` shows by what; or give another --tcp-port"),
        ),
    }
}

/// The most a socket may ask for, against the 4 MiB that the transport asks for (DESIGN §3.1).
fn buffer(name: &'static str, path: &Path) -> Finding {
    let most = std::fs::read_to_string(path).ok().and_then(|t| t.trim().parse::<u64>().ok());
    match most {
        None => lacking(name, Health::Poor, "unknown", format!("look at net.core.{name}")),
        Some(most) if most >= WANTED_BUFFER => good(name, format!("{} KiB", most / 1024)),
        Some(most) => lacking(
            name,
            Health::Poor,
            format!("{} KiB of the {} KiB asked for: bursts may be lost", most / 1024, WANTED_BUFFER / 1024),
            format!("sudo sysctl -w net.core.{name}={WANTED_BUFFER}, and a line in /etc/sysctl.d to keep it"),
        ),
    }
}

fn addresses(port: u16) -> Finding {
    let all = reachable::addresses(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port));
    match all.is_empty() {
        true => {
            lacking("addresses", Health::Poor, "none that another machine reaches", "connect this machine to a network")
        }
        false => good("addresses", all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
    }
}

fn firewall(found: &Firewall) -> Finding {
    let health = if matches!(found, Firewall::Blocks(..)) { Health::Poor } else { Health::Good };
    Finding { name: "firewall", health, found: found.to_string(), advice: None }
}

/// Whether the search path has a program of this name.
pub(crate) fn in_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

fn dummy_driver() -> bool {
    const PLACES: [&str; 3] = ["/usr/lib/xorg", "/usr/lib64/xorg", "/usr/local/lib/xorg"];
    let server = in_path("Xorg") || Path::new("/usr/lib/xorg/Xorg").exists();
    server && PLACES.iter().any(|p| Path::new(p).join("modules/drivers/dummy_drv.so").exists())
}

const WANTED_BUFFER: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_lack_comes_with_what_mends_it() {
        let file = std::env::temp_dir().join(format!("telepane-rmem-{}", std::process::id()));
        std::fs::write(&file, "212992\n").unwrap();
        let low = buffer("rmem_max", &file);
        assert_eq!(low.health, Health::Poor);
        assert!(low.advice.unwrap().contains("net.core.rmem_max=4194304"));
        std::fs::write(&file, "4194304\n").unwrap();
        assert_eq!(buffer("rmem_max", &file).health, Health::Good);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(buffer("rmem_max", &file).health, Health::Poor);
    }

    #[test]
    fn a_state_directory_others_can_change_is_bad() {
        let dir = std::env::temp_dir().join(format!("telepane-doctor-{}", std::process::id()));
        assert_eq!(state(&dir).health, Health::Good, "it will be made");
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).unwrap();
        let open = state(&dir);
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).unwrap();
        let private = state(&dir);
        std::fs::remove_dir(&dir).unwrap();
        assert_eq!((open.health, private.health), (Health::Bad, Health::Good));
        assert!(open.advice.unwrap().starts_with("chmod 700"));
    }

    #[test]
    fn a_port_that_is_taken_is_bad_unless_the_agent_has_it() {
        let taken = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
            .or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
            .unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(udp_port(port, false).health, Health::Bad);
        assert_eq!(udp_port(port, true).health, Health::Good);
        drop(taken);
    }

    #[test]
    fn a_tcp_port_that_is_taken_is_poor_unless_the_agent_has_it() {
        let taken = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))
            .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))
            .unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(tcp_port(port, false).health, Health::Poor);
        assert_eq!(tcp_port(port, true).health, Health::Good);
        drop(taken);
        assert_eq!(tcp_port(port, false).health, Health::Good);
        assert_eq!(tcp_port(port, true).health, Health::Poor);
    }

    #[test]
    fn findings_are_printed_for_people_and_scripts() {
        let all = [good("a", "fine"), lacking("b", Health::Bad, "broken", "mend it")];
        assert_eq!(
            table(&all),
            "ok    a                fine\nBAD   b                broken\n                       -> mend it\n"
        );
        let json = serde_json::to_value(&all).unwrap();
        assert_eq!(json[1]["health"], "bad");
        assert!(json[0].get("advice").is_none());
    }
}
