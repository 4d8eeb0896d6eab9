//! A client with two interfaces: cables between two network namespaces, one of which dies without a word. Needs root; says so where
//! it is not.

use super::process::{PATIENCE, Running, Scratch, have, now, pause, until};
use super::screen::{Screen, environment, exact, no_key_held};
use super::stage::{Agent, CODE, SIZE, Stage, connect_in, enter, types};
use super::survival::read;
use std::time::Duration;
use telepane_bench::link::emulator::{Emulator, HOST};
use telepane_bench::link::space::Space;
use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

/// The host's address, which no cable's network has: it is reached over either.
const DESK: &str = "10.88.0.1";
/// What each cable's ends are called and have: the client's, the host's.
const CABLES: [[[&str; 2]; 2]; 2] =
    [[["va", "10.78.1.2/24"], ["ha", "10.78.1.1/24"]], [["vb", "10.78.2.2/24"], ["hb", "10.78.2.1/24"]]];

/// Two namespaces with two cables, the first of them preferred, and a tunnel between them that leads to `HOST`; or `None` with the
/// reason said where none may be made.
fn network(test: &str) -> Option<Emulator> {
    let made = Emulator::start(&"1g10".parse().expect("a profile"), 5, None, None).and_then(|net| {
        net.host.ip(&["addr", "add", &format!("{DESK}/32"), "dev", "lo"])?;
        for (n, [ours, theirs]) in CABLES.into_iter().enumerate() {
            net.client.cable(ours, &net.host, theirs)?;
            let (by, metric) = (address(theirs), (100 * (n + 1)).to_string());
            for to in [DESK, &HOST.to_string()] {
                net.client.ip(&["route", "add", to, "via", by, "dev", ours[0], "metric", &metric])?;
            }
        }
        Ok(net)
    });
    made.inspect_err(|why| println!("{test}: skipped, {why:#}")).ok()
}

fn address(end: [&'static str; 2]) -> &'static str {
    end[1].split('/').next().unwrap_or_default()
}

/// A cable's ends take each other for somebody else, or no longer: frames are sent and thrown away, and nobody is told.
fn silence(net: &Emulator, cable: usize, on: bool) {
    let [ours, theirs] = CABLES[cable];
    let stranger = ["lladdr", "02:00:00:00:00:99", "nud", "permanent"];
    for (space, own, peer) in [(&net.client, ours, theirs), (&net.host, theirs, ours)] {
        let neighbour = [address(peer), "dev", own[0]];
        let done = match on {
            true => space.ip(&[&["neigh", "replace"][..], &neighbour, &stranger].concat()),
            false => space.ip(&[&["neigh", "del"][..], &neighbour].concat()),
        };
        done.expect("a neighbour");
    }
}

/// The client says this so many times.
fn says(client: &Running, words: &str, times: usize) {
    until(words, PATIENCE, || client.err().matches(words).count() >= times);
}

/// Packets that came at the host's end of a cable.
fn came(space: &Space, name: &str) -> u64 {
    let file = "/proc/net/dev";
    let text = space.inside(|| Ok(std::fs::read_to_string("/proc/thread-self/net/dev")?)).expect(file);
    let line = text.lines().find_map(|l| l.trim().strip_prefix(&format!("{name}:"))).expect("the device");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

// spec: T-8, T-9, T-10
#[test]
fn a_path_that_dies_in_silence_gives_way_to_the_one_that_stands_by() {
    if !have("standby", &["Xvfb", "xterm", "ip"]) {
        return;
    }
    let Some(net) = network("standby") else { return };
    let dir = Scratch::new();
    let (here, there) = (Screen::start(SIZE.0, SIZE.1), Screen::start(SIZE.0, SIZE.1));
    here.paint_root(1);
    let agent = Agent::in_namespace(&net.host, &dir, &format!("{DESK}:0"), &["--display", &here.name]);
    let addr = agent.addr.to_string();
    let client = connect_in(&net.client, &dir, "client", &there, &addr, &["--fullscreen"]);
    println!("standby: exact {:?} after the start of the client", exact(&here, &there, PATIENCE));
    let mut stage = Stage { client, relay: None, agent, there, here, dir };
    says(&stage.client, "a path stands by spare=\"vb\" carrying=\"va\"", 1);
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    types(&stage, &file, "before\n");

    // In the middle of a line, that nobody looks at: every letter comes, once and in its place.
    let text = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789";
    let (first, rest) = text.split_at(20);
    stage.there.type_text(first);
    silence(&net, 0, true);
    let dead = now();
    stage.there.type_text(rest);
    stage.there.type_text("\n");
    says(&stage.client, "moves to another interface", 1);
    until("the line arrived", PATIENCE, || read(&file).lines().count() == 2);
    let arrived = dead.elapsed();
    stage.here.paint_root(2);
    println!(
        "standby: the line was there {arrived:?} after the cable died, exact {:?} after the next change",
        stage.exact()
    );
    assert_eq!(read(&file), format!("before\n{text}\n"), "no letter is lost, doubled or out of its place");
    no_key_held(&stage.here, PATIENCE);
    until("the agent sees the other address", PATIENCE, || stage.agent.run.err().contains(address(CABLES[1][0])));

    // A picture that moves by itself while nobody types; then the first cable is there again.
    silence(&net, 0, false);
    let start = now();
    let mut seed = 10;
    while stage.client.err().matches("moves to another interface").count() < 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "it goes home:\n{}", stage.client.err());
        stage.here.paint_root(seed);
        stage.there.press(super::screen::LEFT_CTRL);
        stage.there.lift(super::screen::LEFT_CTRL);
        pause(Duration::from_millis(100));
        seed += 1;
    }
    println!("standby: home {:?} after the first cable was there again", start.elapsed());
    types(&stage, &file, "home\n");
    silence(&net, 0, true);
    let dead = now();
    while stage.client.err().matches("moves to another interface").count() < 3 {
        assert!(dead.elapsed() < PATIENCE, "it moves:\n{}", stage.client.err());
        stage.here.paint_root(seed);
        pause(Duration::from_millis(33));
        seed += 1;
    }
    println!("standby: a moving picture moved the session {:?} after the cable died", dead.elapsed());
    println!("standby: exact {:?} after that", stage.exact());
    assert_eq!(stage.client.ended(), None, "the client lives");
    assert!(!stage.client.err().contains("trying a new connection"), "it was the same connection all along");
}

// spec: T-8
#[test]
fn a_vpn_is_not_gone_around() {
    if !have("standby beside a VPN", &["Xvfb", "ip"]) {
        return;
    }
    let Some(net) = network("standby beside a VPN") else { return };
    let dir = Scratch::new();
    let (here, there) = (Screen::start(SIZE.0, SIZE.1), Screen::start(SIZE.0, SIZE.1));
    here.paint_root(1);
    // The tunnel's own peer, to which the cables lead as well.
    let agent = Agent::in_namespace(&net.host, &dir, &format!("{HOST}:0"), &["--display", &here.name]);
    let addr = agent.addr.to_string();
    let args = ["--fullscreen", "--standby", "always"];
    let client = connect_in(&net.client, &dir, "client", &there, &addr, &args);
    exact(&here, &there, PATIENCE);
    says(&client, "no path stands by why=tp0 is a VPN, which is not gone around", 1);
    let before = CABLES.map(|[_, theirs]| came(&net.host, theirs[0]));
    net.blackout(true);
    there.type_text("typed into the dark");
    pause(Duration::from_secs(3));
    let after = CABLES.map(|[_, theirs]| came(&net.host, theirs[0]));
    assert_eq!(before, after, "nothing went beside the tunnel");
    net.blackout(false);
    here.paint_root(2);
    println!("standby beside a VPN: exact {:?} after it was back", exact(&here, &there, PATIENCE));
}

/// The part of NetworkManager that is used: the second cable is metered.
struct Manager;

#[zbus::interface(name = "org.freedesktop.NetworkManager")]
impl Manager {
    fn get_device_by_ip_iface(&self, name: &str) -> zbus::fdo::Result<OwnedObjectPath> {
        let path = format!("/org/freedesktop/NetworkManager/Devices/{name}");
        ObjectPath::try_from(path).map(Into::into).map_err(|e| zbus::fdo::Error::Failed(e.to_string()))
    }
}

struct Device(u32);

#[zbus::interface(name = "org.freedesktop.NetworkManager.Device")]
impl Device {
    #[zbus(property)]
    fn metered(&self) -> u32 {
        self.0
    }
}

fn network_manager(bus: &str) -> Connection {
    let device = |name: &str| format!("/org/freedesktop/NetworkManager/Devices/{name}");
    Builder::address(bus)
        .and_then(|b| b.name("org.freedesktop.NetworkManager"))
        .and_then(|b| b.serve_at("/org/freedesktop/NetworkManager", Manager))
        .and_then(|b| b.serve_at(device("va"), Device(4)))
        .and_then(|b| b.serve_at(device("vb"), Device(1)))
        .and_then(Builder::build)
        .expect("the bus takes the name")
}

// spec: T-8
#[test]
fn a_metered_interface_is_left_alone_unless_it_is_asked_for() {
    if !have("metered standby", &["dbus-daemon", "ip"]) {
        return;
    }
    let Some(net) = network("metered standby") else { return };
    let dir = Scratch::new();
    let (_daemon, bus) = super::machine::bus(&dir);
    let _manager = network_manager(&bus);
    let agent = Agent::in_namespace(&net.host, &dir, &format!("{DESK}:0"), &["--synthetic", "editor", "--shared"]);
    let code = dir.write("client-code", CODE).display().to_string();
    for (mode, expected) in [
        ("auto", "no path stands by why=vb is metered"),
        ("always", "a path stands by spare=\"vb\""),
        ("off", "attached carrier"),
    ] {
        let mut command = enter(&net.client, "telepane");
        environment(&mut command, &dir.join("")).env("RUST_LOG", "info").env("NO_COLOR", "1");
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &bus);
        command.args([
            "connect",
            &agent.addr.to_string(),
            "--headless",
            "--access-code-file",
            &code,
            "--standby",
            mode,
        ]);
        let client = Running::start("telepane", command.arg("--state-dir").arg(dir.join(mode)));
        says(&client, expected, 1);
        if mode == "off" {
            pause(Duration::from_millis(500));
            assert!(!client.err().contains("stands by"), "{}", client.err());
        }
    }
}
