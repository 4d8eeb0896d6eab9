//! One cell of a comparison: one stack at one work. Everything is started anew for it, so that no cell inherits another's
//! warm caches or full queues, and everything is gone when it is dropped.

use crate::clock;
use crate::count::{Both, Counter};
use crate::display::Display;
use crate::framebuffer::Framebuffer;
use crate::inject::Injector;
use crate::link::emulator::Emulator;
use crate::link::profile::Profile;
use crate::link::{self, Net};
use crate::machine;
use crate::process::{CpuTime, Process, rest};
use crate::shared::{Shared, Word};
use crate::stack::{Name, Server, Stage};
use crate::stimulus::Kind;
use crate::watch;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use telepane_transport::relay::Relay;

/// What a cell is to be.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The stack.
    pub name: Name,
    /// The work.
    pub kind: Kind,
    /// Both displays' size.
    pub size: (usize, usize),
    /// Where Telepane's programs are.
    pub programs: &'a Path,
    /// Keep the cell's directory.
    pub keep: bool,
    /// The link; `None` is the loopback interface.
    pub link: Option<&'a Profile>,
    /// TCP congestion control over the link; `None` is the system's.
    pub congestion: Option<&'a str>,
    /// Decides which packets the link loses.
    pub seed: u64,
    /// The link is written down every 5 ms.
    pub closely: bool,
    /// The host gives out `given` in the cell's directory, where the stack can.
    pub files: bool,
}

/// A running cell, whose viewer shows what the stimulus draws. Fields are dropped in this order.
pub struct Cell {
    viewer: Option<Process>,
    server: Server,
    stimulus: Process,
    /// Injects keys on the client's display.
    pub injector: Injector,
    counter: Option<Counter>,
    client: Display,
    host: Option<Display>,
    stage: Stage,
    relay: Option<Relay>,
    kind: Kind,
    /// Whether the stack's pictures are film, and so never exact.
    pub films: bool,
    /// What the stimulus shares.
    pub shared: Shared,
    statistics: Option<PathBuf>,
    leftover: Option<PathBuf>,
    /// From the start of the viewer to its first exact picture, microseconds.
    pub connected_us: u64,
    /// What could not be done, for the report.
    pub notes: Vec<String>,
    _dir: Scratch,
}

impl Cell {
    /// Starts everything and waits until the client's screen is what the stimulus drew.
    ///
    /// # Errors
    /// When something does not start, or the screen never becomes exact.
    pub fn start(setting: Setting) -> Result<Self> {
        let Setting { name, kind, size, programs, keep, .. } = setting;
        let stack = name.stack();
        let mut notes = Vec::new();
        let link = setting.link.filter(|_| name != Name::Null);
        let (net, note) = Net::make(link, setting.seed, setting.congestion);
        notes.extend(note);
        if let Some(link) = net.link().filter(|_| setting.closely) {
            link.watch_closely();
        }
        ensure!(
            !matches!(net, Net::Relay(_)) || stack.is_udp(),
            "{} needs TCP over the link: run as root",
            stack.name()
        );
        let dir = Scratch::new(keep)?;
        let client = Display::xvfb("client-x", &dir.path, size)?;
        let host = stack.host_display(&dir.path, size, &net)?;
        let stage = Stage {
            dir: dir.path.clone(),
            host: host.as_ref().map_or_else(|| client.name.clone(), |h| h.name.clone()),
            client: client.name.clone(),
            size,
            programs: programs.into(),
            net,
            files: setting.files,
        };
        let injector = Injector::open(&stage.client)?;
        injector.park_pointer()?;
        let path = dir.path.join("shared");
        let shared = Shared::create(&path, size.0, size.1)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["stimulus", kind.name(), "--display", &stage.host, "--shared"]).arg(&path);
        let mut stimulus = Process::start(&mut command, "stimulus", &dir.path)?;
        wait_ready(&shared, &mut stimulus)?;
        let mut server = stack.start_server(&stage)?;
        let mut relay = None;
        if let (Net::Relay(profile), Some(port)) = (&stage.net, server.port) {
            let started = link::start_relay(profile, setting.seed, SocketAddr::from(([127, 0, 0, 1], port)))?;
            server.port = Some(started.addr().port());
            relay = Some(started);
        }
        let counter = server.port.filter(|_| stage.net.link().is_none()).and_then(|port| match Counter::start(port) {
            Ok(counter) => Some(counter),
            Err(error) => {
                notes.push(format!("bytes were not counted: {error}; run as root or with CAP_NET_RAW"));
                None
            }
        });
        let begun = clock::now();
        let viewer = stack.start_viewer(&stage, &server)?;
        let statistics = stack.statistics(&stage);
        let leftover = viewer.as_ref().and_then(|v| stack.leaves_behind(v.id()));
        let connected_us = 0;
        let mut cell = Self {
            viewer,
            server,
            stimulus,
            injector,
            counter,
            client,
            host,
            stage,
            relay,
            kind,
            films: stack.films(),
            shared,
            statistics,
            leftover,
            connected_us,
            notes,
            _dir: dir,
        };
        cell.connected_us = cell.wait_shown(begun)?;
        cell.check_traffic()?;
        Ok(cell)
    }

    /// The client's pixels.
    ///
    /// # Errors
    /// Never in a started cell: the client's display is an Xvfb.
    pub fn screen(&self) -> Result<&Framebuffer> {
        self.client.screen.as_ref().context("the client's display is not mapped")
    }

    /// Fails when one of the processes has ended.
    ///
    /// # Errors
    /// With the last words of the process that ended.
    pub fn check(&mut self) -> Result<()> {
        self.stimulus.check()?;
        self.server.processes.iter_mut().try_for_each(Process::check)?;
        self.viewer.iter_mut().try_for_each(Process::check)
    }

    /// The host's processes, the viewer's, the stimulus's.
    pub fn processes(&self) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
        let host = self.server.processes.iter().map(Process::id).collect();
        (host, self.viewer.iter().map(Process::id).collect(), vec![self.stimulus.id()])
    }

    /// The cell's own directory.
    pub fn dir(&self) -> &Path {
        &self.stage.dir
    }

    /// Where the server listens.
    pub const fn port(&self) -> Option<u16> {
        self.server.port
    }

    /// From here on the link's changes count.
    pub fn begin_schedule(&self) {
        if let Some(link) = self.net().link() {
            link.begin();
        }
    }

    /// The network between the two ends.
    pub fn net(&self) -> &Net {
        &self.stage.net
    }

    /// What went over the link so far, if it is counted.
    pub fn traffic(&self) -> Option<Both> {
        self.net().link().map(Emulator::traffic).or_else(|| self.counter.as_ref().map(Counter::read))
    }

    /// Reads every meter, to measure from here on.
    pub fn meters(&self) -> Meters {
        let cpu = self.groups().into_iter().map(|(name, ids)| (name, CpuTime::of(&ids))).collect();
        let traffic = self.traffic();
        let emulator = self.net().link().map_or(0, Emulator::cpu_us);
        Meters { emulator, at: clock::now(), cpu, rig: clock_of_self(), busy: machine::busy_us(), traffic }
    }

    /// What was spent since `before`, as figures: cores, bytes, packets, and the cores that others used.
    pub fn spent(&mut self, before: &Meters) -> Spent {
        let now = self.meters();
        let seconds = (now.at - before.at) as f64 / 1e6;
        let mut cores: BTreeMap<&'static str, f64> = BTreeMap::new();
        for (name, cpu) in &now.cpu {
            let us = before.cpu.get(name).map_or(0, |b| cpu.since(b));
            cores.insert(name, us as f64 / 1e6 / seconds);
        }
        // The link is a thread of the harness, and no part of what the harness costs as a watcher.
        let link = now.emulator - before.emulator;
        cores.insert("rig", (now.rig - before.rig).saturating_sub(link) as f64 / 1e6 / seconds);
        if self.net().link().is_some() {
            cores.insert("link", link as f64 / 1e6 / seconds);
        }
        let ours: f64 = cores.values().sum();
        let others = ((now.busy.saturating_sub(before.busy)) as f64 / 1e6 / seconds - ours).max(0.0);
        let traffic = now.traffic.zip(before.traffic).map(|(now, before)| now.since(&before));
        if let Some(missed) = self.counter.as_ref().map(Counter::missed).filter(|n| *n > 0) {
            self.notes.push(format!("{missed} packets were not counted"));
        }
        Spent { seconds, cores, others, traffic }
    }

    /// Ends the viewer as a person does and reads the statistics it leaves.
    ///
    /// # Errors
    /// When it writes statistics and did not, or nothing readable.
    pub fn finish(&mut self) -> Result<Option<Value>> {
        let Some(mut viewer) = self.viewer.take() else { return Ok(None) };
        let ended = viewer.stop(5_000_000);
        let Some(path) = &self.statistics else { return Ok(None) };
        ensure!(ended, "the viewer did not end within 5 s of SIGTERM");
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the viewer wrote no statistics; it said: {}", viewer.output()))?;
        Ok(Some(serde_json::from_str(&text)?))
    }

    fn wait_shown(&mut self, begun: u64) -> Result<u64> {
        let patience = if self.net().link().is_some() { CONNECT_LINK_US } else { CONNECT_US };
        let until = begun + patience;
        let lossy = if self.kind == Kind::Drag || self.net().link().is_some() { LOSSY_MUCH } else { LOSSY };
        let (w, h) = self.stage.size;
        let mut before: Option<(u64, watch::Difference)> = None;
        let mut near_since = None;
        loop {
            let exact = watch::wait_exact(&self.shared, self.screen()?, until.min(clock::now() + 500_000))?;
            if let Some(at) = exact {
                // A viewer may still draw a hint or a bar over it.
                rest(SETTLE_US)?;
                if watch::difference(&self.shared, self.screen()?).is_none() {
                    return Ok(at - begun);
                }
            }
            self.check()?;
            let Some(d) = watch::difference(&self.shared, self.screen()?) else { continue };
            let near = d.largest <= lossy || self.films && d.total <= FILMED * (w * h) as u64;
            near_since = near.then(|| near_since.unwrap_or_else(clock::now));
            if let Some(at) = near_since.filter(|at| clock::now() > at + NEAR_US) {
                self.notes.push(format!(
                    "first picture still sharpened after {} s: {} pixels off by up to {}",
                    NEAR_US / 1_000_000,
                    d.pixels,
                    d.largest
                ));
                return Ok(at - begun);
            }
            // Some viewers are left with a lossy picture for good: what has not changed for long counts as shown.
            match before {
                // Some code the same pixels again and again, a little otherwise each time.
                Some((at, same)) if near && d.pixels.abs_diff(same.pixels) * 100 <= same.pixels => {
                    if clock::now() > at + LOSSY_US {
                        self.notes
                            .push(format!("first picture not exact: {} pixels off by up to {}", d.pixels, d.largest));
                        return Ok(at - begun);
                    }
                }
                _ => before = Some((clock::now(), d)),
            }
            if clock::now() > until {
                bail!("the client's screen is not the host's after {} s: {d:?}", patience / 1_000_000);
            }
        }
    }

    /// A first picture that needed no bytes went some other way.
    fn check_traffic(&self) -> Result<()> {
        if let Some(traffic) = self.traffic() {
            let down = traffic.down.bytes;
            ensure!(down > 2_000, "the first picture took {down} bytes of the link: it came by some other way");
        }
        Ok(())
    }

    fn groups(&self) -> Vec<(&'static str, Vec<u32>)> {
        let mut groups = vec![
            ("host", self.server.processes.iter().map(Process::id).collect()),
            ("viewer", self.viewer.iter().map(Process::id).collect()),
            ("viewer_x", vec![self.client.process.id()]),
            ("stimulus", vec![self.stimulus.id()]),
        ];
        if let Some(host) = &self.host {
            groups.push(("host_x", vec![host.process.id()]));
        }
        groups
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.viewer = None;
        self.relay = None;
        if let Some(path) = &self.leftover {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Readings of every meter at one time.
pub struct Meters {
    at: u64,
    cpu: BTreeMap<&'static str, CpuTime>,
    rig: u64,
    emulator: u64,
    busy: u64,
    traffic: Option<Both>,
}

/// What a piece of work took.
#[derive(Debug)]
pub struct Spent {
    /// How long it was.
    pub seconds: f64,
    /// Cores used by `host`, `host_x`, `viewer`, `viewer_x`, `stimulus`, `rig` (the harness itself) and `link`
    /// (the emulator).
    pub cores: BTreeMap<&'static str, f64>,
    /// Cores used by everything else on the machine.
    pub others: f64,
    /// What went over the link.
    pub traffic: Option<Both>,
}

/// Waits until the application stands on its display.
///
/// # Errors
/// When it ends, or does not come up within 20 s.
pub fn wait_ready(shared: &Shared, stimulus: &mut Process) -> Result<()> {
    let until = clock::now() + 20_000_000;
    while shared.word(Word::Ready) == 0 {
        stimulus.check()?;
        ensure!(clock::now() < until, "the stimulus does not come up; it said: {}", stimulus.output());
        rest(5_000)?;
    }
    Ok(())
}

fn clock_of_self() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the result; every process has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut t) };
    t.tv_sec as u64 * 1_000_000 + t.tv_nsec as u64 / 1000
}

/// A directory in memory that is removed at the end: screens and frames on a disk would be written back to it all the time.
#[derive(Debug)]
pub struct Scratch {
    /// Where it is.
    pub path: PathBuf,
    keep: bool,
}

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(keep: bool) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = base.join(format!("telepane-bench.{}.{}", std::process::id(), clock::now()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, keep })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("kept {}", self.path.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// How long a stack may take to show the first exact picture.
const CONNECT_US: u64 = 20_000_000;
/// The same over a link: a megabyte takes its time at 5 Mbit/s.
const CONNECT_LINK_US: u64 = 45_000_000;
/// A channel's error that a lossy viewer may be left with.
const LOSSY: u32 = 16;
/// The same for a photo, and over a link, where viewers choose a lower quality.
const LOSSY_MUCH: u32 = 64;
/// The mean error of a channel in a picture that is coded as film, whose colours have half the resolution.
const FILMED: u64 = 16;
/// For how long such a picture must stay as it is.
const LOSSY_US: u64 = 3_000_000;
/// For how long a picture that is near and is still made sharper is waited for: by then a person has begun to work.
const NEAR_US: u64 = 6_000_000;
/// And how long the picture must then stay.
const SETTLE_US: u64 = 1_500_000;
