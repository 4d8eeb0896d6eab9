//! The machines beneath: one that sleeps or goes down and says so, one that is kept awake, and where its person works. The
//! message bus is a real one; of logind, which needs a machine of its own, a stand-in speaks the part of its interface that
//! is used.

use super::life::{connected, session};
use super::process::{PATIENCE, Running, Scratch, Signal, have, now, pause, program, until};
use super::screen::{Screen, environment, keep};
use super::stage::CODE;
use super::sway::{PROGRAMS, Sway};
use std::collections::HashMap;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use x11rb::connection::Connection as _;
use x11rb::protocol::screensaver::ConnectionExt as _;
use x11rb::protocol::xproto::{Blanking, ConnectionExt as _, Exposures};
use zbus::blocking::connection::Builder;
use zbus::blocking::{Connection, Proxy};
use zbus::zvariant::{OwnedFd, Value};

/// A message bus of the test's own.
pub fn bus(dir: &Scratch) -> (Running, String) {
    let mut command = Command::new("dbus-daemon");
    let address = format!("--address=unix:path={}", dir.join("bus").display());
    let mut daemon =
        Running::start("dbus-daemon", command.args(["--session", "--nofork", "--print-address=1", &address]));
    let address = daemon.line("unix:");
    (daemon, address)
}

/// Locks by what they hold, their mode, and the end that closes with them.
type Locks = Arc<Mutex<Vec<(String, String, UnixStream)>>>;

/// The part of logind that is used.
struct Logind {
    locks: Locks,
    blocks: Arc<Mutex<String>>,
    /// A person would have to be asked before it waits for anybody.
    asks: bool,
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::fdo::Result<OwnedFd> {
        assert!(who == "Telepane" && !why.is_empty(), "{who} {why}");
        if mode == "delay" && what.contains(':') {
            // It would need the right to one on the lid's switch, as in logind.
            return Err(zbus::fdo::Error::AccessDenied("Permission denied".to_owned()));
        }
        if self.asks && mode == "delay" {
            let why = "Interactive authentication required.";
            return Err(zbus::fdo::Error::InteractiveAuthorizationRequired(why.to_owned()));
        }
        let (ours, theirs) = UnixStream::pair().map_err(|e| zbus::fdo::Error::Failed(e.to_string()))?;
        ours.set_nonblocking(true).map_err(|e| zbus::fdo::Error::Failed(e.to_string()))?;
        self.locks.lock().expect("no panic").push((what.into(), mode.into(), ours));
        Ok(std::os::fd::OwnedFd::from(theirs).into())
    }

    fn list_inhibitors(&self) -> Vec<(String, String, String, String, u32, u32)> {
        let lock = |what: &str, who: &str, mode: &str| (what.into(), who.into(), "why".into(), mode.into(), 0, 0);
        let ours = self.locks.lock().expect("no panic");
        let mut all: Vec<_> = ours.iter().map(|(what, mode, _)| lock(what, "Telepane", mode)).collect();
        all.push(lock(&self.blocks.lock().expect("no panic"), "somebody", "block"));
        all
    }
}

const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";

/// The stand-in on a bus.
struct Machine {
    bus: Connection,
    locks: Locks,
    blocks: Arc<Mutex<String>>,
}

impl Machine {
    fn on(address: &str) -> Self {
        Self::that(address, false)
    }

    fn that(address: &str, asks: bool) -> Self {
        let (locks, blocks) = (Locks::default(), Arc::<Mutex<String>>::default());
        let logind = Logind { locks: locks.clone(), blocks: blocks.clone(), asks };
        let bus = Builder::address(address)
            .and_then(|b| b.name("org.freedesktop.login1"))
            .and_then(|b| b.serve_at(PATH, logind))
            .and_then(Builder::build)
            .expect("the bus takes the name");
        Self { bus, locks, blocks }
    }

    fn tell(&self, signal: &str, on: bool) {
        self.bus.emit_signal(None::<&str>, PATH, MANAGER, signal, &(on,)).expect("the bus lives");
    }

    fn block(&self, what: &str) {
        *self.blocks.lock().expect("no panic") = what.to_owned();
        let changed = HashMap::from([("BlockInhibited", Value::from(what))]);
        let body = (MANAGER, changed, Vec::<&str>::new());
        let properties = "org.freedesktop.DBus.Properties";
        self.bus.emit_signal(None::<&str>, PATH, properties, "PropertiesChanged", &body).expect("the bus lives");
    }

    /// How many locks of this kind are held now.
    fn held(&self, what: &str, mode: &str) -> usize {
        let mut locks = self.locks.lock().expect("no panic");
        // The other end is read to its end when it was let go.
        locks.retain_mut(|(_, _, lock)| !matches!(lock.read(&mut [0; 8]), Ok(0)));
        locks.iter().filter(|(w, m, _)| w == what && m == mode).count()
    }
}

/// `command` on these buses.
fn on_bus<'c>(command: &'c mut Command, dir: &Scratch, address: &str) -> &'c mut Command {
    environment(command, &dir.join(""));
    command.env("DBUS_SYSTEM_BUS_ADDRESS", address).env("DBUS_SESSION_BUS_ADDRESS", address).env("RUST_LOG", "info")
}

/// An agent on this bus, at this address, and a client over all of `screen`.
fn pair(dir: &Scratch, address: &str, screen: &Screen) -> (Running, Running) {
    pair_on(dir, address, &[("DISPLAY", screen.name.clone().into())])
}

/// The same on the screen that these variables name.
fn pair_on(dir: &Scratch, address: &str, variables: &[(&str, PathBuf)]) -> (Running, Running) {
    let code = dir.write("code", CODE).display().to_string();
    let mut command = Command::new(program("telepane-host"));
    on_bus(&mut command, dir, address).args(["serve", "--listen", "127.0.0.1:0", "--synthetic", "editor"]);
    command.args(["--size", "320x200", "--access-code-file", &code, "--state-dir"]).arg(dir.join("host"));
    let mut agent = Running::start("telepane-host", &mut command);
    let ready = agent.line("ready ");
    let at = ready.split(' ').nth(1).expect("an address").to_owned();
    let mut command = Command::new(program("telepane"));
    on_bus(&mut command, dir, address).args(["connect", &at, "--access-code-file", &code, "--state-dir"]);
    command.arg(dir.join("client"));
    command.arg("--fullscreen").envs(variables.iter().cloned());
    let client = Running::start("telepane", &mut command);
    connected(dir, 1);
    (agent, client)
}

// spec: H-57, K-81
#[test]
fn a_host_that_goes_to_sleep_says_so_before_it_does_and_that_it_is_back() {
    if !have("sleep", &["dbus-daemon", "Xvfb"]) {
        return;
    }
    let dir = Scratch::new();
    let (_daemon, address) = bus(&dir);
    let machine = Machine::on(&address);
    let screen = Screen::start(640, 400);
    let (agent, mut client) = pair(&dir, &address, &screen);
    for (signal, what, words) in
        [("PrepareForSleep", "sleep", "Sleeps"), ("PrepareForShutdown", "shutdown", "GoesDown")]
    {
        until("it waits for the agent", PATIENCE, || machine.held(what, "delay") == 1);
        let before = client.err().matches(words).count();
        machine.tell(signal, true);
        until("the client is told", PATIENCE, || client.err().matches(words).count() > before);
        let let_go = until("and it may come", PATIENCE, || machine.held(what, "delay") == 0);
        println!("{signal}: let go {let_go:?} after the client had heard of it");
        if what == "sleep" {
            // All of the machine stands still, the person clicks meanwhile, and the client asks in vain.
            agent.signal(Signal::Stop);
            screen.click(100, 100);
            let asks = || client.err().matches("trying a new connection").count();
            until("the client asks for the host", PATIENCE, || asks() > 0);
            keep(&screen, words);
            agent.signal(Signal::Continue);
        }
        let back = client.err().matches("There").count();
        machine.tell(signal, false);
        until("it is there again", PATIENCE, || client.err().matches("There").count() > back);
        until("the next one waits again", PATIENCE, || machine.held(what, "delay") == 1);
    }
    connected(&dir, 1);
    assert_eq!(client.ended(), None, "{}", client.err());
    drop((client, agent));
    let held = || machine.held("sleep", "delay") + machine.held("shutdown", "delay");
    until("nobody holds anything", PATIENCE, || held() == 0);
}

// spec: H-57, K-81
#[test]
fn a_host_for_which_its_system_does_not_wait_says_that_it_sleeps_all_the_same() {
    if !have("sleep without a lock", &["dbus-daemon", "Xvfb"]) {
        return;
    }
    let dir = Scratch::new();
    let (_daemon, address) = bus(&dir);
    let machine = Machine::that(&address, true);
    let screen = Screen::start(400, 300);
    let (agent, client) = pair(&dir, &address, &screen);
    until("the agent listens", PATIENCE, || agent.err().contains("logind says when this machine sleeps"));
    assert!(agent.err().contains("logind does not wait for us"), "{}", agent.err());
    machine.tell("PrepareForSleep", true);
    until("the client is told", PATIENCE, || client.err().contains("Sleeps"));
    machine.tell("PrepareForSleep", false);
    until("it is there again", PATIENCE, || client.err().contains("There"));
    assert_eq!(machine.held("sleep", "delay"), 0);
}

// spec: K-82, Y-30
#[test]
fn what_keeps_the_hosts_screen_on_keeps_the_clients_machine_awake_and_no_longer() {
    if !have("awake", &["dbus-daemon", "Xvfb"]) {
        return;
    }
    let dir = Scratch::new();
    let (_daemon, address) = bus(&dir);
    let machine = Machine::on(&address);
    let screen = Screen::start(400, 300);
    let (agent, mut client) = pair(&dir, &address, &screen);
    let kept = |n: usize| until("the client's machine follows", PATIENCE, || machine.held("idle", "block") == n);
    assert_eq!(machine.held("idle", "block"), 0, "nobody asked");
    // Somebody asks logind on the host.
    machine.block("sleep:idle");
    println!("kept awake {:?} after logind said so", kept(1));
    machine.block("sleep");
    println!("and no longer {:?} after it did not", kept(0));
    // A program that shows a film asks the screen saver, which on a bare desktop is the agent.
    let film = Builder::address(address.as_str()).and_then(Builder::build).expect("the bus lives");
    let saver = "org.freedesktop.ScreenSaver";
    let proxy = Proxy::new(&film, saver, "/org/freedesktop/ScreenSaver", saver).expect("a name");
    let cookie: u32 = proxy.call("Inhibit", &("film", "it plays")).expect("the agent answers");
    kept(1);
    let () = proxy.call("UnInhibit", &(cookie,)).expect("the agent answers");
    kept(0);
    let _: u32 = proxy.call("Inhibit", &("film", "it plays again")).expect("the agent answers");
    kept(1);
    // The client's screen does not blank meanwhile, though its server is told to after a second.
    let (server, n) = x11rb::connect(Some(&screen.name)).expect("the screen is there");
    let root = server.setup().roots[n].root;
    server
        .set_screen_saver(1, 0, Blanking::PREFERRED, Exposures::NOT_ALLOWED)
        .expect("sent")
        .check()
        .expect("it is set");
    let state = || server.screensaver_query_info(root).expect("sent").reply().expect("Xvfb has the extension").state;
    let watched = now();
    while watched.elapsed() < Duration::from_secs(3) {
        assert_ne!(state(), 1, "blank after {:?}", watched.elapsed());
        pause(Duration::from_millis(100));
    }
    // A program that ends without a word no longer asks.
    drop(proxy);
    film.close().expect("it was open");
    kept(0);
    until("the screen may blank again", PATIENCE, || state() == 1);
    // Nor does one whose session is over.
    machine.block("idle");
    kept(1);
    assert_eq!(session(&dir, &["close", "1"]).0, 0);
    assert_eq!(client.exit_code(PATIENCE), 5, "{}", client.err());
    kept(0);
    drop(agent);
}

// spec: K-82
#[test]
fn what_keeps_the_hosts_screen_on_keeps_a_wayland_clients_on_and_no_longer() {
    if !have("awake on Wayland", PROGRAMS) || !have("awake on Wayland", &["dbus-daemon"]) {
        return;
    }
    let dir = Scratch::new();
    let (_daemon, address) = bus(&dir);
    let machine = Machine::on(&address);
    let sway = Sway::start(400, 300, "");
    let (_agent, mut client) = pair_on(&dir, &address, &sway.variables());
    let lit = || sway.ask(&["-t", "get_tree", "-r"]).contains("\"inhibit_idle\": true");
    assert!(!lit(), "nobody asked");
    for _ in 0..2 {
        machine.block("sleep:idle");
        println!("the compositor keeps it on {:?} after logind said so", until("it stays on", PATIENCE, lit));
        machine.block("sleep");
        println!("and no longer {:?} after it did not", until("it may go dark", PATIENCE, || !lit()));
    }
    // Nor is it kept on for a window that nobody sees.
    machine.block("idle");
    until("it stays on", PATIENCE, lit);
    sway.ask(&["workspace", "2"]);
    until("it may go dark", PATIENCE, || !lit());
    sway.ask(&["workspace", "1"]);
    until("it stays on again", PATIENCE, lit);
    assert_eq!(client.ended(), None, "{}", client.err());
}

// spec: H-58, K-84
#[test]
fn a_session_that_begins_with_its_first_client_is_in_that_clients_time_and_language() {
    if !have("place", &["Xvfb", "xterm"]) {
        return;
    }
    let dir = Scratch::new();
    // A session of a person's own making, found before any that is installed.
    let out = dir.join("place");
    std::fs::create_dir(dir.join("bin")).expect("the directory is ours");
    let script = dir.write(
        "bin/startxfce4",
        &format!("#!/bin/sh\necho \"$TZ $LANG\" > {0}.new; mv {0}.new {0}; exec sleep 1000\n", out.display()),
    );
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("the file is ours");
    let path = format!("{}:{}", dir.join("bin").display(), std::env::var("PATH").unwrap_or_default());
    let code = dir.write("code", CODE).display().to_string();
    let start = |settings: &[&str]| {
        let mut command = Command::new(program("telepane-host"));
        environment(&mut command, &dir.join("")).env("PATH", &path).env_remove("TZ").env("LANG", "C");
        command.args(["serve", "--listen", "127.0.0.1:0", "--virtual", "320x200", "--no-sound", "--access-code-file"]);
        command.args([&code, "--state-dir"]).arg(dir.join("host"));
        for setting in settings {
            command.args(["--session", setting]);
        }
        let mut run = Running::start("telepane-host", &mut command);
        let ready = run.line("ready ");
        (run, ready.split(' ').nth(1).expect("an address").to_owned())
    };
    let stop = |mut run: Running| {
        run.signal(Signal::Terminate);
        run.exit_code(PATIENCE)
    };
    let (agent, at) = start(&["start-session=first-client"]);
    let waited = now();
    while waited.elapsed() < Duration::from_millis(500) {
        assert!(!out.exists(), "nobody is there yet");
        pause(Duration::from_millis(50));
    }
    let mut command = Command::new(program("telepane"));
    environment(&mut command, &dir.join("")).env("TZ", "Pacific/Chatham").env("LANG", "C.UTF-8").env_remove("LC_ALL");
    command.args(["connect", &at, "--headless", "--seconds", "30", "--access-code-file", &code, "--state-dir"]);
    let client = Running::start("telepane", command.arg(dir.join("client")));
    let place = || std::fs::read_to_string(&out).unwrap_or_default();
    until("the session begins", PATIENCE, || place().ends_with('\n'));
    let known = std::path::Path::new("/usr/share/zoneinfo/Pacific/Chatham").is_file();
    println!("the session is at {:?}; this machine knows the zone: {known}", place().trim());
    assert!(place().starts_with(if known { "Pacific/Chatham " } else { " " }), "{}", place());
    assert!(place().to_lowercase().contains("c.utf"), "{}", place());
    drop(client);
    assert_eq!(stop(agent), 0);
    // The next agent begins its session at once, and where the last client was.
    let first = place();
    std::fs::remove_file(&out).expect("it was written");
    let (agent, _) = start(&[]);
    until("the session begins", PATIENCE, || place() == first);
    assert_eq!(stop(agent), 0);
    // And nowhere if its owner wants it so.
    std::fs::remove_file(&out).expect("it was written");
    let (agent, _) = start(&["enable-timezone-redirection=always-off"]);
    until("the session begins", PATIENCE, || place() == " C\n");
    assert_eq!(stop(agent), 0);
}
