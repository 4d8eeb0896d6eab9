//! `telepane connect`: from the command line to a running window or headless loop.

use crate::app::App;
use crate::cli::Connect;
use crate::clipboard::System;
use crate::clock::Clock;
use crate::config;
use crate::driver::{Ask, Driver, Target, Wake, exit};
use crate::headless;
use crate::monitors::{Choice, Choices, Pick};
use crate::policy;
use crate::proxy;
use crate::sound::SoundOptions;
use crate::ui::{self, Chosen, Spread, UiOptions};
use anyhow::Result;
use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use telepane_auth::paths::Program;
use telepane_auth::{Paths, code_file};
use telepane_model::Size;
use telepane_sandbox::Films;
use telepane_transport::Options;
use telepane_trust::Fingerprint;

type Waking = Arc<dyn Fn(Wake) + Send + Sync>;

/// UDP port (DESIGN §3.1), and TCP's beside it.
const PORT: u16 = 8443;
/// How long a name may take to be found: a failure says within 3 s which it is (DESIGN §5).
const NAMING: Duration = Duration::from_millis(2_600);

/// Runs a session; the exit code.
pub fn run(options: Connect) -> Result<i32> {
    let clock = Clock::new();
    let mut found = target(options)?;
    // Before anything is decoded: what the person wants is used or nothing is.
    if let Ok((_, Connect { openh264: Some(file), .. })) = &found
        && let Err(error) = telepane_codec::h264::load(file)
    {
        return Ok(usage(&error));
    }
    // Nor before what is required is there.
    if let Ok((target, _)) = &mut found
        && let Err(error) = target.films.require()
    {
        return Ok(usage(&format_args!("{error}; give --film-sandbox auto to have them decoded in this one")));
    }
    match found {
        Ok((target, options)) if options.headless => without_window(target, &options, clock),
        Ok((target, options)) => in_window(target, &options, clock),
        Err(code) => Ok(code),
    }
}

/// What to connect to, with the settings that hold; or the exit code when that cannot be known.
pub fn target(options: Connect) -> Result<Result<(Target, Connect), i32>> {
    let paths = Paths::find(Program::Client, options.state_dir.as_deref())?;
    let options = match config::complete(options, &paths.config_file()) {
        Ok(options) => options,
        Err(error) => return Ok(Err(usage(&error))),
    };
    let (host, port) = match split_port(&options.host) {
        Ok(both) => both,
        Err(why) => return Ok(Err(usage(&why))),
    };
    let resolved = resolve(&host, port);
    let found: Vec<IpAddr> = resolved.iter().flatten().map(SocketAddr::ip).collect();
    let proxy = match proxy::find(options.way.proxy.as_deref(), |name| std::env::var(name).ok(), &host, &found) {
        Ok(proxy) => proxy,
        Err(why) => return Ok(Err(usage(&why))),
    };
    let addresses = match resolved {
        Ok(addresses) => addresses,
        // A proxy may know names that this machine does not.
        Err(_) if proxy.is_some() => Vec::new(),
        Err(why) => {
            eprintln!("telepane: {why}");
            return Ok(Err(exit::CANNOT_CONNECT));
        }
    };
    let fingerprint = match options.fingerprint.as_deref().map(str::parse::<Fingerprint>).transpose() {
        Ok(fingerprint) => fingerprint,
        Err(error) => return Ok(Err(usage(&format_args!("--fingerprint: {error}")))),
    };
    let code = match options.access_code_file.as_deref().map(code_file::read).transpose() {
        Ok(code) => code,
        Err(error) => return Ok(Err(usage(&format_args!("--access-code-file: {error}")))),
    };
    let wish = match policy::wish(&options) {
        Ok(wish) => wish,
        Err(error) => return Ok(Err(usage(&format_args!("--policy: {error}")))),
    };
    let network = Options {
        carriers: options.way.transport.unwrap_or_default(),
        tcp_ports: options.way.tcp_port.clone(),
        proxy,
        named: Some((host.clone(), port)),
        marks: options.way.dscp.unwrap_or_default(),
        ..Options::default()
    };
    let target = Target {
        wish,
        network,
        host,
        port,
        addresses,
        state: paths.state,
        user: options.user.clone().unwrap_or_default(),
        code,
        fingerprint,
        trust_new: options.trust_new,
        notes: options.notes.clone(),
        place: !options.no_place,
        films: Films::new(options.film_sandbox.unwrap_or_default(), options.openh264.clone()),
        want: options.size.map(|s| Size::new(s.w, s.h)),
        scale: options.scale.first().copied().unwrap_or(100),
        refresh: 0,
        monitors: Vec::new(),
        standby: options.standby.unwrap_or_default(),
        files_only: false,
        primary: options.primary_selection,
        clipboard: System::here(),
        ask: Ask::Nobody,
        sound: SoundOptions {
            off: options.no_sound,
            microphone: options.microphone,
            level: options.sound_level.unwrap_or(100),
            device: options.sound_device.clone(),
            microphone_device: options.microphone_device.clone(),
        },
    };
    Ok(Ok((target, options)))
}

/// What was asked for cannot be understood.
pub fn usage(error: &dyn std::fmt::Display) -> i32 {
    eprintln!("telepane: {error}");
    exit::USAGE
}

fn without_window(target: Target, options: &Connect, clock: Clock) -> Result<i32> {
    let (driver, wakes) = drive(target, clock)?;
    headless::run(driver, options, clock, &wakes)
}

/// A driver whose events are taken from a channel, and who asks on the terminal.
pub fn drive(mut target: Target, clock: Clock) -> Result<(Driver, Receiver<Wake>)> {
    let (send, wakes) = channel();
    let wake: Waking = Arc::new(move |w| {
        // The loop has ended when nobody takes it.
        let _ = send.send(w);
    });
    watch_signals(wake.clone())?;
    if target.code.is_none() && std::io::stdin().is_terminal() {
        target.ask = Ask::Terminal(on_terminal(wake.clone()));
    }
    Ok((Driver::start(clock, target, wake)?, wakes))
}

fn in_window(mut target: Target, options: &Connect, clock: Clock) -> Result<i32> {
    let choices = Choices::new(&target.state, chosen(options));
    let spread = Spread::new(move |seen| {
        let (numbers, apart) = choices.choose(seen).unwrap_or_default();
        Chosen { numbers, apart }
    });
    let ui_options = UiOptions {
        fullscreen: options.fullscreen,
        size: options.size,
        renderer: options.renderer.map(Into::into),
        scaling: options.scaling.into(),
        spread,
        windows: options.windows,
        title: format!("{} – Telepane", target.host),
    };
    let terminal = std::io::stdin().is_terminal();
    let ended = std::rc::Rc::<std::cell::RefCell<String>>::default();
    let (words, options) = (ended.clone(), options.clone());
    let make = move |waker: ui::Waker<Wake>| {
        // Whatever the environment says by now: this is where the window is.
        target.clipboard = if waker.is_on_wayland() { System::Wayland } else { System::Display };
        let wake: Waking = Arc::new(move |w| {
            // A window that is gone needs no waking.
            let _ = waker.wake(w);
        });
        watch_signals(wake.clone())?;
        target.ask = match (&target.code, terminal) {
            (Some(_), _) => Ask::Nobody,
            (None, true) => Ask::Terminal(on_terminal(wake.clone())),
            (None, false) => Ask::Window,
        };
        let driver = Driver::start(clock, target, wake)?;
        Ok(App::new(driver, &options, terminal, words, Box::new(move || clock.micros())))
    };
    let code = ui::run(make, ui_options)?;
    let words = ended.borrow();
    if !words.is_empty() {
        eprintln!("telepane: {words}");
    }
    Ok(code)
}

/// What the command line says of this machine's monitors.
fn chosen(options: &Connect) -> Option<Choice> {
    let windows = options.windows && options.fullscreen;
    let pick = options.monitors.clone().or(windows.then_some(Pick::All))?;
    Some(Choice { pick, windows })
}

/// Asks on the terminal without echo, on a thread of its own.
fn on_terminal(wake: Waking) -> Box<dyn Fn(String)> {
    Box::new(move |prompt| {
        let wake = wake.clone();
        std::thread::spawn(move || wake(Wake::Code(rpassword::prompt_password(format!("{prompt}: ")).ok())));
    })
}

fn watch_signals(wake: Waking) -> std::io::Result<()> {
    let asked = AtomicBool::new(false);
    telepane_machine::on_stop(move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        wake(Wake::Stop);
    })
}

/// `host`, `host:port`, `[v6]:port` or a bare IPv6 address.
fn split_port(text: &str) -> Result<(String, u16), String> {
    let bare = |t: &str| t.trim_start_matches('[').trim_end_matches(']').to_owned();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) if port > 0 => (bare(host), port),
            _ => {
                return Err(format!(
                    "{port:?} is not a port; give HOST, HOST:PORT or [IPV6]:PORT, a port being 1 to 65535"
                ));
            }
        },
        _ => (bare(text), PORT),
    };
    match host.is_empty() {
        true => Err("no host is named; give HOST, HOST:PORT or [IPV6]:PORT".into()),
        false => Ok((host, port)),
    }
}

/// Asks the system for the host's addresses, on a thread of its own: a name server that does not answer holds it up for
/// much longer than a person wants to wait to hear so.
fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let (send, found) = channel();
    let name = host.to_owned();
    std::thread::spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        // Nobody waits for it any more.
        let _ = send.send(found);
    });
    match found.recv_timeout(NAMING) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(format!("{host} has no address; check the name")),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(e)) => Err(format!("cannot find {host}: {e}; check the name, or give the address")),
        Err(_) => {
            Err(format!("cannot find {host}: the name server does not answer; check the network, or give the address"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        let parts = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(split_port("desk"), parts("desk", 8443));
        assert_eq!(split_port("desk:99"), parts("desk", 99));
        assert_eq!(split_port("[::1]:99"), parts("::1", 99));
        assert_eq!(split_port("fe80::1"), parts("fe80::1", 8443));
        for wrong in ["", ":99", "desk:", "desk:0", "desk:99999", "desk:http", "[::1]:x"] {
            assert!(split_port(wrong).is_err(), "{wrong}");
        }
        assert_eq!(resolve("::1", 7), Ok(vec![([0, 0, 0, 0, 0, 0, 0, 1], 7).into()]));
        assert!(resolve("no.such.host.invalid", 1).is_err());
    }
}
