//! `telepane-bench link`: two network namespaces and a link between them that is as bad as one likes.
//!
//! [`profile`] says what a link is like, [`space`] is a namespace with a TUN device, [`emulator`] carries packets between
//! two of them through the link model of `telepane_transport::relay`, and [`check`] holds it to its promises. Without
//! root there are no namespaces: then UDP, which is all that Telepane needs, goes through the relay on the loopback
//! interface, and what needs TCP cannot be measured over a link.

pub mod check;
pub mod emulator;
pub mod profile;
pub mod space;

use crate::clock;
use crate::process::{Process, rest, stop_if_interrupted};
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use emulator::{CLIENT, Emulator, HOST};
use profile::Profile;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use telepane_model::Bytes;
use telepane_transport::relay::Relay;

/// `telepane-bench link`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// lan, drop, or rate, round trip and faults such as 20m40 and 5m100l1; `none` limits nothing.
    #[arg(long, value_name = "PROFILE", default_value = "20m40", value_parser = parse_profile)]
    pub profile: Profile,
    /// The bottleneck instead of the profile's, such as 20m.
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,
    /// The round trip, ms.
    #[arg(long, value_name = "MS")]
    pub rtt: Option<f64>,
    /// Up to so much more each way, ms.
    #[arg(long, value_name = "MS")]
    pub jitter: Option<f64>,
    /// Random loss each way, percent.
    #[arg(long, value_name = "PERCENT")]
    pub loss: Option<f64>,
    /// Loss in bursts of five packets in the mean, percent.
    #[arg(long, value_name = "PERCENT")]
    pub burst_loss: Option<f64>,
    /// Packets held back by 3 ms, percent.
    #[arg(long, value_name = "PERCENT")]
    pub reorder: Option<f64>,
    /// The bottleneck's queue: 100ms or 250kB.
    #[arg(long, value_name = "SIZE")]
    pub queue: Option<String>,
    /// Rates from these seconds on, such as 4=2m,9=20m.
    #[arg(long, value_name = "S=RATE", value_delimiter = ',')]
    pub schedule: Vec<String>,
    /// The devices' MTU.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(576..=9000))]
    pub mtu: Option<u16>,
    /// Decides which packets are lost.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// TCP congestion control in both namespaces; otherwise the system's.
    #[arg(long, value_name = "NAME")]
    pub congestion: Option<String>,
    /// Write a line each 100 ms: bytes, queue, drops and losses each way.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Measure round trip, rate and the emulator's own cost, print them beside the settings, and end.
    #[arg(long)]
    pub check: bool,
    /// Without namespaces: listen on the loopback interface and pass UDP on to this address.
    #[arg(long, value_name = "ADDR:PORT")]
    pub relay_to: Option<SocketAddr>,
    /// The namespace COMMAND runs in.
    #[arg(long = "in", value_enum, default_value = "client", value_name = "END")]
    pub end: End,
    /// Run this in a namespace and end with it and as it did; otherwise the link stays until Ctrl+C. Without root it runs
    /// here, and finds the relay's address in $TELEPANE_RELAY.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// An end of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum End {
    /// The server's.
    Host,
    /// The viewer's.
    Client,
}

/// Reads a profile from the command line.
///
/// # Errors
/// With what is wrong.
pub fn parse_profile(text: &str) -> Result<Profile, String> {
    text.parse().map_err(|e: anyhow::Error| format!("{e:#}"))
}

impl Options {
    /// The profile with what the other flags change.
    ///
    /// # Errors
    /// With the flag that is wrong.
    pub fn link(&self) -> Result<Profile> {
        let mut p = self.profile.clone();
        if let Some(rate) = &self.rate {
            p.model.rate = Some(profile::parse_rate(rate).context("--rate")?);
        }
        if let Some(rtt) = self.rtt {
            p.model.delay = profile::ms(rtt / 2.0).context("--rtt")?;
        }
        if let Some(jitter) = self.jitter {
            p.model.jitter = profile::ms(jitter).context("--jitter")?;
        }
        if let Some(loss) = self.loss {
            p.model.loss_ppm = profile::ppm(loss).context("--loss")?;
        }
        if let Some(loss) = self.burst_loss {
            p.model.burst = Some(profile::bursts(loss).context("--burst-loss")?);
        }
        if let Some(reorder) = self.reorder {
            p.model.reorder_ppm = profile::ppm(reorder).context("--reorder")?;
        }
        if let Some(queue) = &self.queue {
            let lower = queue.to_ascii_lowercase();
            let number = |unit: &str| lower.strip_suffix(unit).and_then(|n| n.trim().parse::<f64>().ok());
            (p.model.queue_time, p.model.queue) = match (number("ms"), number("kb")) {
                (Some(ms), _) => (Some(profile::ms(ms).context("--queue")?), Bytes(u64::MAX / 2)),
                (_, Some(kb)) if (0.0..1e7).contains(&kb) => (None, Bytes((kb * 1e3) as u64)),
                _ => anyhow::bail!("--queue: give 100ms or 250kB"),
            };
        }
        if !self.schedule.is_empty() {
            let text = format!("1g0@{}", self.schedule.join("@"));
            p.changes = text.parse::<Profile>().context("--schedule")?.changes;
        }
        p.mtu = self.mtu.unwrap_or(p.mtu);
        Ok(p)
    }
}

/// Keeps a link up.
///
/// # Errors
/// When it cannot be made.
pub fn run(options: &Options) -> Result<()> {
    let profile = options.link()?;
    if options.check {
        println!("{}", check::run(&profile, options.seed)?);
        return Ok(());
    }
    let link = match Emulator::start(&profile, options.seed, options.congestion.as_deref(), options.csv.as_deref()) {
        Ok(link) => link,
        Err(error) => {
            eprintln!("telepane-bench: {error:#}; falling back to a relay for UDP on the loopback interface");
            return relay(options, &profile);
        }
    };
    if !options.command.is_empty() {
        let space = if options.end == End::Host { &link.host } else { &link.client };
        let mut command = command(options)?;
        space.enter(&mut command);
        link.begin();
        let code = wait_for(&mut command)?;
        drop(link);
        return end_with(code);
    }
    let names = Names::make(&link)?;
    println!("{}\n", profile.describe());
    for (end, name, space, address) in
        [("host", &names.0[0], &link.host, HOST), ("client", &names.0[1], &link.client, CLIENT)]
    {
        println!("{end}: {address} in namespace {name}");
        println!("  ip netns exec {name} COMMAND");
        println!("  nsenter --net={} COMMAND", space.path().display());
    }
    println!("\nTCP congestion control {}; Ctrl+C takes the link down", link.host.congestion());
    link.begin();
    while rest(1_000_000).is_ok() {}
    let (up, down) = link.counts();
    println!("down {down:?}\nup {up:?}\nCPU of the emulator {:.1} s", link.cpu_us() as f64 / 1e6);
    Ok(())
}

/// What is to run over the link.
fn command(options: &Options) -> Result<Command> {
    let (program, args) = options.command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(args);
    Ok(command)
}

/// Runs it to its end; its exit code.
fn wait_for(command: &mut Command) -> Result<i32> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if stop_if_interrupted().is_err() {
            // The terminal has told it too; a service manager has not.
            let _ = child.kill();
        }
        clock::pause(20_000);
    };
    if !status.success() {
        eprintln!("telepane-bench: {program} ended with {status}");
    }
    Ok(status.code().unwrap_or(1))
}

/// Ends as the command did, so that a script can ask it.
fn end_with(code: i32) -> Result<()> {
    if code == 0 { Ok(()) } else { std::process::exit(code) }
}

fn relay(options: &Options, profile: &Profile) -> Result<()> {
    ensure!(options.csv.is_none(), "--csv is the emulator's, which needs root; the relay counts nothing");
    let to = options.relay_to.context("say with --relay-to ADDR:PORT where UDP is to go; or run it as root")?;
    let relay = start_relay(profile, options.seed, to)?;
    println!("{}\nrelay {} -> {to}, UDP only", profile.describe(), relay.addr());
    if options.command.is_empty() {
        println!("Ctrl+C ends it");
        while rest(1_000_000).is_ok() {}
        return Ok(());
    }
    let code = wait_for(command(options)?.env(RELAY, relay.addr().to_string()))?;
    drop(relay);
    end_with(code)
}

/// Tells a command where the relay is.
const RELAY: &str = "TELEPANE_RELAY";

/// The in-process relay with a profile's model. Changes of the rate are not followed.
///
/// # Errors
/// When a socket cannot be had.
pub fn start_relay(profile: &Profile, seed: u64, to: SocketAddr) -> Result<Relay> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Ok(Relay::start(any, to, profile.model, profile.model, seed, Arc::new(clock::now))?)
}

/// Names for `ip netns exec`, which are links to our descriptors: dead when we are, whatever happens.
struct Names([String; 2]);

impl Names {
    fn make(link: &Emulator) -> Result<Self> {
        let names = ["host", "client"].map(|end| format!("telepane-{end}-{}", std::process::id()));
        std::fs::create_dir_all(NAMES)?;
        for (name, space) in names.iter().zip([&link.host, &link.client]) {
            std::os::unix::fs::symlink(space.path(), format!("{NAMES}/{name}"))?;
        }
        Ok(Self(names))
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = std::fs::remove_file(format!("{NAMES}/{name}"));
        }
    }
}

/// Where `ip netns` looks (ip-netns(8)).
const NAMES: &str = "/run/netns";

/// Where server and viewer of a cell meet.
#[derive(Debug)]
pub enum Net {
    /// The loopback interface, no limits.
    Loopback,
    /// Two namespaces.
    Link(Box<Emulator>),
    /// A relay on the loopback interface, UDP only.
    Relay(Profile),
}

impl Net {
    /// The network for a profile; without one the loopback interface. Where namespaces may not be made, a relay.
    pub fn make(profile: Option<&Profile>, seed: u64, congestion: Option<&str>) -> (Self, Option<String>) {
        let Some(profile) = profile else { return (Self::Loopback, None) };
        match Emulator::start(profile, seed, congestion, None) {
            Ok(link) => (Self::Link(Box::new(link)), None),
            Err(error) => {
                let note = format!("no namespaces ({error:#}): UDP goes through the relay in the harness instead");
                (Self::Relay(profile.clone()), Some(note))
            }
        }
    }

    /// The server's address.
    pub fn address(&self) -> String {
        if let Self::Link(_) = self { HOST.to_string() } else { "127.0.0.1".into() }
    }

    /// Starts a program at one end.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start(&self, end: End, command: &mut Command, name: &str, dir: &std::path::Path) -> Result<Process> {
        match (self, end) {
            (Self::Link(link), End::Host) => link.host.enter(command),
            (Self::Link(link), End::Client) => link.client.enter(command),
            _ => {}
        }
        Process::start(command, name, dir)
    }

    /// The link, if there is one.
    pub fn link(&self) -> Option<&Emulator> {
        if let Self::Link(link) = self { Some(link) } else { None }
    }
}
