//! The real column: one row measured with telepane-host and telepane over the emulated link, in wall time.

use super::rows::{Row, Work};
use super::trace::Trace;
use crate::cell::{Cell, Scratch, Setting, wait_ready};
use crate::clock;
use crate::display::Display;
use crate::link::emulator::{Emulator, HOST};
use crate::link::profile::Profile;
use crate::link::{End, Net};
use crate::process::{self, Process, interrupted, rest};
use crate::shared::{Shared, Word};
use crate::stack::{Name, telepane};
use crate::stimulus::Kind;
use crate::summary::Samples;
use crate::watch;
use crate::work::{self, Amount};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Figures by name; the unit is in the name.
pub type Figures = BTreeMap<&'static str, f64>;

/// Measures a row.
///
/// # Errors
/// When there are no namespaces, something does not start, or a program ends early.
pub fn run(row: &Row, programs: &Path, keep: bool) -> Result<Figures> {
    clock::sharpen();
    let link = row.link()?;
    let start = |kind| -> Result<Cell> {
        let cell = Cell::start(Setting {
            name: Name::Telepane,
            kind,
            size: SIZE,
            programs,
            keep,
            link: Some(&link),
            congestion: None,
            seed: 1,
            closely: true,
            files: row.work == Work::Copies,
        })?;
        ensure!(cell.net().link().is_some(), "{}", cell.notes.join("; "));
        Ok(cell)
    };
    let mut figures = match row.work {
        Work::Burst => bursts(&mut start(Kind::Burst)?, &link, row.seconds)?,
        Work::Film => film(&mut start(Kind::Film)?, Kind::Film, row, None)?,
        Work::Grain => film(&mut start(Kind::Grain)?, Kind::Grain, row, None)?,
        Work::Rival(leaves) => film(&mut start(Kind::Grain)?, Kind::Grain, row, Some(leaves))?,
        Work::Typing => typing(&mut start(Kind::Typing)?, Kind::Typing, row.seconds)?,
        Work::Beside => typing(&mut start(Kind::Beside)?, Kind::Beside, row.seconds)?,
        Work::Copies => copies(&mut start(Kind::Typing)?, row.seconds, programs)?,
        Work::Idle => {
            let mut cell = start(Kind::Idle)?;
            let amount = Amount { presses: 0, seconds: 0, after: REST_S, idle_seconds: row.seconds };
            let measured = work::measure(&mut cell, Kind::Idle, amount)?;
            let down = measured.figures.get("bit_per_s_down").context("the link counted nothing")?;
            Figures::from([("down_kbit_per_s", down / 1e3)])
        }
        Work::Pair => pair(&link, row, programs, keep)?,
    };
    figures.retain(|_, v| v.is_finite());
    Ok(figures)
}

/// The link's moments since `begun`.
fn trace(cell: &Cell, begun: u64) -> Trace {
    Trace::new(begun, cell.net().link().map(|l| l.moments(begun)).unwrap_or_default())
}

/// Bursts, each after a rest. The session's first stands apart, unless it is the only one.
fn bursts(cell: &mut Cell, link: &Profile, seconds: u64) -> Result<Figures> {
    let rate =
        |at: f64| link.rate_at(telepane_model::Span::from_secs_f64(at)).map_or(f64::INFINITY, |r| r.as_bps() as f64);
    let way = link.rtt().as_millis_f64() / 2.0;
    let mut figures = Figures::new();
    cell.begin_schedule();
    let begun = clock::now();
    let mut all: BTreeMap<&'static str, Samples> = BTreeMap::new();
    while clock::now() < begun + seconds * 1_000_000 {
        rest(BURST_REST_US)?;
        let step = cell.shared.word(Word::Steps) as usize + 1;
        cell.injector.key('a', true)?;
        clock::pause(KEY_US);
        cell.injector.key('a', false)?;
        let until = clock::now() + BURST_MOST_US;
        while (cell.shared.word(Word::Steps) as usize) < step && clock::now() < until {
            clock::pause(200);
        }
        let drawn = cell.shared.drawn_at(step).context("the application did not answer the key")?;
        let exact = watch::wait_exact(&cell.shared, cell.screen()?, until)?;
        let exact = exact.context("a burst was not exact after 8 s")?;
        let at = |us: u64| us.saturating_sub(begun) as f64 / 1e6;
        let seen = trace(cell, begun);
        let (bytes, from, to) = seen.burst(at(drawn), at(exact)).context("the burst did not go over the link")?;
        let physics = bytes as f64 * 8e3 / rate(from) + way;
        for (name, value) in [
            ("burst_kb", bytes as f64 / 1e3),
            ("physics_ms", physics),
            ("wire_ms", (to - from) * 1e3),
            ("wire_of_physics", (to - from) * 1e3 / physics),
            ("last_byte_ms", (to - at(drawn)) * 1e3),
            ("exact_ms", exact.saturating_sub(drawn) as f64 / 1e3),
            ("burst_queue_peak_ms", seen.queue(from, to).percentile(100.0).unwrap_or(f64::NAN)),
        ] {
            all.entry(name).or_default().0.push(value);
        }
        for (name, of) in [("first_of_physics", "wire_of_physics"), ("first_queue_peak_ms", "burst_queue_peak_ms")] {
            let value = all.get(of).and_then(|s| s.0.last().copied()).unwrap_or(f64::NAN);
            figures.entry(name).or_insert(value);
        }
        cell.check()?;
    }
    let later = |s: Samples| Samples(s.0.get(1..).filter(|l| !l.is_empty()).unwrap_or(&s.0).to_vec());
    figures.extend(all.into_iter().filter_map(|(name, s)| Some((name, later(s).percentile(50.0)?))));
    Ok(figures)
}

/// A film, alone or beside a TCP flow that leaves after so many seconds.
fn film(cell: &mut Cell, kind: Kind, row: &Row, leaves: Option<u64>) -> Result<Figures> {
    let rival = match (leaves, cell.net().link()) {
        (Some(after), Some(link)) => Some(Rival::start(link, after)?),
        _ => None,
    };
    let amount = Amount { presses: 0, seconds: row.seconds, after: 0, idle_seconds: 0 };
    let measured = work::measure(cell, kind, amount)?;
    let seen = trace(cell, measured.begun);
    let end = row.seconds as f64;
    let link = cell.net().link().context("no link")?;
    let changes: Vec<f64> = link.profile.changes.iter().map(|(at, _)| at.as_secs_f64()).collect();
    let policer = link.profile.model.policer.map(|p| p.rate.as_bps() as f64 * 1e-6);
    let (up, down) = link.counts();
    let ages = |from: f64, to: f64| {
        let rows = measured.shown.iter().filter(|(ms, ..)| (from * 1e3..to * 1e3).contains(ms));
        Samples(rows.map(|r| r.2).collect())
    };
    let p = |s: Samples, p: f64| s.percentile(p).unwrap_or(f64::NAN);
    let mut figures = Figures::from([
        ("mbit_per_s", seen.mbps(SETTLED_S, end)),
        ("used", seen.mbps(SETTLED_S, end) / policer.unwrap_or_else(|| seen.capacity(SETTLED_S, end))),
        ("queue_p95_ms", p(seen.queue(SETTLED_S, end), 95.0)),
        ("queue_peak_ms", p(seen.queue(SETTLED_S, end), 100.0)),
        ("age_p50_ms", p(ages(SETTLED_S, end), 50.0)),
        ("age_p95_ms", p(ages(SETTLED_S, end), 95.0)),
        ("age_p99_ms", p(ages(SETTLED_S, end), 99.0)),
        ("shown_of_drawn", {
            let of = |name| measured.figures.get(name).copied().unwrap_or(f64::NAN);
            of("steps_shown_per_s") / of("steps_drawn_per_s")
        }),
        ("steps_per_s", ages(SETTLED_S, end).0.len() as f64 / (end - SETTLED_S)),
        ("dropped_percent", down.queue_dropped as f64 * 100.0 / down.packets_in.max(1) as f64),
        ("up_kbit_per_s", up.bytes_in as f64 * 8e-3 / end),
        ("host_cores", measured.spent.cores.get("host").copied().unwrap_or(f64::NAN)),
        ("viewer_cores", measured.spent.cores.get("viewer").copied().unwrap_or(f64::NAN)),
        ("other_cores", measured.spent.others),
    ]);
    if let ([low, high], None) = (changes.as_slice(), leaves) {
        let before = seen.mbps((low - 2.0).max(0.0), *low);
        let goal = before.min(seen.capacity((low - 2.0).max(0.0), *low)) * 0.9;
        let quiet = low + SETTLED_S;
        figures.extend([
            ("before_mbit_per_s", before),
            ("before_used", before / seen.capacity((low - 2.0).max(0.0), *low)),
            ("react_ms", seen.settles(*low, *high, 50.0)),
            ("drop_queue_peak_ms", p(seen.queue(*low, *high), 100.0)),
            ("low_used", seen.mbps(quiet, *high) / seen.capacity(quiet, *high)),
            ("low_age_p95_ms", p(ages(quiet, *high), 95.0)),
            ("rise_ms", seen.rises(*high, end, goal).unwrap_or(f64::NAN)),
        ]);
    }
    if let Some(rival) = &rival {
        let at = |s: f64| measured.begun + (s * 1e6) as u64;
        let leaves = rival.leaves_at.saturating_sub(measured.begun) as f64 / 1e6;
        let (from, to) = (SETTLED_S, leaves - 0.2);
        let theirs = rival.mbps(at(from), at(to));
        let ours = (seen.mbps(from, to) - theirs).max(0.0);
        let sum = ours + theirs;
        figures.extend([
            ("share", ours / sum),
            ("jain", sum * sum / (2.0 * (ours * ours + theirs * theirs))),
            ("both_used", sum / seen.capacity(from, to)),
            ("beside_age_p95_ms", p(ages(from, to), 95.0)),
            ("beside_queue_p95_ms", p(seen.queue(from, to), 95.0)),
            ("after_queue_p95_ms", p(seen.queue(leaves + LEFT_S, end), 95.0)),
            ("after_used", seen.mbps(leaves + LEFT_S, end) / seen.capacity(leaves + LEFT_S, end)),
        ]);
    }
    let told = cell.finish()?.context("the viewer wrote no statistics")?;
    if let Some(slices) = told["slice_bytes"].as_f64() {
        // Headers, parity, repairs and probes, of the whole session.
        figures.insert("beyond_slices_percent", 100.0 - slices * 100.0 / down.bytes_in.max(1) as f64);
    }
    Ok(figures)
}

/// From the draw call to the pixels while somebody types, six letters a second.
fn typing(cell: &mut Cell, kind: Kind, seconds: u64) -> Result<Figures> {
    let amount = Amount { presses: seconds as usize * 6, seconds: 0, after: 0, idle_seconds: 0 };
    let measured = work::measure(cell, kind, amount)?;
    let age = measured.samples.get("age").context("no letter was seen")?;
    let unseen = measured.figures.get("unseen").copied().unwrap_or(0.0);
    let p = |p| age.percentile(p).context("no letter was seen");
    let (seen, end) = (trace(cell, measured.begun), measured.spent.seconds);
    let used = seen.mbps(0.0, end) / seen.capacity(0.0, end);
    Ok(Figures::from([("age_p50_ms", p(50.0)?), ("age_p99_ms", p(99.0)?), ("unseen", unseen), ("used", used)]))
}

/// What somebody's typing for about so long came to.
struct Typed {
    /// From key to pixels, p50 and p95.
    photon: (f64, f64),
    /// From key to the application, p99.
    to_application: f64,
    /// Letters that were not seen.
    unseen: f64,
}

fn typed(cell: &mut Cell, seconds: u64) -> Result<Typed> {
    let amount = Amount { presses: seconds as usize * 4, seconds: 0, after: 0, idle_seconds: 0 };
    let measured = work::measure(cell, Kind::Typing, amount)?;
    let p = |name: &str, p| measured.samples.get(name).and_then(|s| s.percentile(p)).context("no letter was seen");
    Ok(Typed {
        photon: (p("photon", 50.0)?, p("photon", 95.0)?),
        to_application: p("to_application", 99.0)?,
        unseen: measured.figures.get("unseen").copied().unwrap_or(0.0),
    })
}

/// Somebody types, alone and then beside 100 MB down and up.
fn copies(cell: &mut Cell, seconds: u64, programs: &Path) -> Result<Figures> {
    let alone = typed(cell, seconds / 3)?;
    let (dir, port) = (cell.dir().to_owned(), cell.port().context("the host has no port")?);
    let hole = |path: &Path| std::fs::File::create(path).and_then(|file| file.set_len(COPIED));
    hole(&telepane::given(&dir).join("down"))?;
    hole(&dir.join("up"))?;
    let there = |name: &str| format!("{HOST}:{port}:{name}");
    let here = |name: &str| dir.join(name).display().to_string();
    let mut all = Vec::new();
    for (name, from, to) in [("cp-down", there("down"), here("came")), ("cp-up", here("up"), there("up"))] {
        let mut command = telepane::copy(programs, &dir, name);
        all.push(cell.net().start(End::Client, command.args([from, to]), name, &dir)?);
    }
    rest(COPIES_WARM_US)?;
    let (began, before) = (clock::now(), cell.traffic().context("the link counted nothing")?);
    let beside = typed(cell, seconds - seconds / 3)?;
    let (took, came) = (clock::now() - began, cell.traffic().context("the link counted nothing")?.since(&before));
    all.iter_mut().try_for_each(Process::check).context("a copy ended before the typing did")?;
    let mbps = |bytes: u64| bytes as f64 * 8.0 / took.max(1) as f64;
    Ok(Figures::from([
        ("alone_p50_ms", alone.photon.0),
        ("alone_p95_ms", alone.photon.1),
        ("beside_p50_ms", beside.photon.0),
        ("beside_p95_ms", beside.photon.1),
        ("beside_more_p95_ms", beside.photon.1 - alone.photon.1),
        ("alone_to_application_p99_ms", alone.to_application),
        ("beside_more_to_application_p99_ms", beside.to_application - alone.to_application),
        ("unseen", alone.unseen + beside.unseen),
        ("down_mbit_per_s", mbps(came.down.bytes)),
        ("up_mbit_per_s", mbps(came.up.bytes)),
    ]))
}

/// Two hosts of one display and two viewers without windows, over the same link.
fn pair(link: &Profile, row: &Row, programs: &Path, keep: bool) -> Result<Figures> {
    let (net, note) = Net::make(Some(link), 1, None);
    let emulator = net.link().with_context(|| note.unwrap_or_default())?;
    emulator.watch_closely();
    let dir = Scratch::new(keep)?;
    let display = Display::xvfb("host-x", &dir.path, SIZE)?;
    let path = dir.path.join("shared");
    let shared = Shared::create(&path, SIZE.0, SIZE.1)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["stimulus", Kind::Grain.name(), "--display", &display.name, "--shared"]).arg(&path);
    let mut stimulus = Process::start(&mut command, "stimulus", &dir.path)?;
    wait_ready(&shared, &mut stimulus)?;
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for n in 0..2 {
        let home = dir.path.join(format!("host{n}"));
        std::fs::create_dir_all(&home)?;
        telepane::write_code(&home)?;
        let mut command = telepane::host(programs, &home, &HOST.to_string());
        command.args(["--display", &display.name]);
        let mut host = net.start(End::Host, &mut command, "telepane-host", &home)?;
        ports.push((telepane::ready(&mut host)?, home));
        hosts.push(host);
    }
    let mut clients = Vec::new();
    for (port, home) in &ports {
        let statistics = home.join("statistics.json");
        let mut command = telepane::client(programs, home, &HOST.to_string(), *port);
        command.args(["--headless", "--seconds", "120", "--stats-json"]).arg(&statistics);
        clients.push((net.start(End::Client, &mut command, "telepane", home)?, statistics));
    }
    // Handshakes and first pictures.
    rest(2_000_000)?;
    shared.set(Word::Run, 1);
    rest(PAIR_WARM_US)?;
    let begun = clock::now();
    rest(row.seconds * 1_000_000)?;
    let end = (clock::now() - begun) as f64 / 1e6;
    hosts.iter_mut().try_for_each(Process::check)?;
    // Both at once, so that neither has the link for itself.
    process::signal(&clients.iter().map(|c| c.0.id()).collect::<Vec<_>>(), libc::SIGTERM);
    let seen = Trace::new(begun, emulator.moments(begun));
    let mut bytes = Vec::new();
    for (client, statistics) in &mut clients {
        ensure!(client.stop(5_000_000), "a viewer did not end within 5 s of SIGTERM");
        let text = std::fs::read_to_string(statistics).context("a viewer wrote no statistics")?;
        let told: Value = serde_json::from_str(&text)?;
        bytes.push(told["bytes_received"].as_f64().context("no bytes_received in the statistics")?);
    }
    let (sum, squares) = (bytes.iter().sum::<f64>(), bytes.iter().map(|b| b * b).sum::<f64>());
    Ok(Figures::from([
        ("jain", sum * sum / (2.0 * squares)),
        ("used", seen.mbps(0.0, end) / seen.capacity(0.0, end)),
        ("queue_p95_ms", seen.queue(0.0, end).percentile(95.0).unwrap_or(f64::NAN)),
    ]))
}

/// A TCP flow from the host's end to the client's, under the kernel's CUBIC.
struct Rival {
    /// When it leaves, on the harness's clock.
    leaves_at: u64,
    threads: Vec<JoinHandle<()>>,
    /// (when, bytes of its packets so far), each 20 ms at most.
    arrived: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl Rival {
    fn start(link: &Emulator, seconds: u64) -> Result<Self> {
        let listener = link.client.inside(|| Ok(TcpListener::bind((link.client.address, 0))?))?;
        let address = listener.local_addr()?;
        let mut sending = link.host.inside(move || Ok(TcpStream::connect(address)?))?;
        let (mut receiving, _) = listener.accept()?;
        sending.set_write_timeout(Some(PATIENCE))?;
        receiving.set_read_timeout(Some(PATIENCE))?;
        // What waits in its buffer goes with it: a flow that leaves is gone.
        let socket = socket2::SockRef::from(&sending);
        socket.set_linger(Some(Duration::ZERO))?;
        // On the socket: a namespace of its own may not have every one as its default.
        socket.set_tcp_congestion(b"cubic").context("this kernel does not offer CUBIC")?;
        let leaves_at = clock::now() + seconds * 1_000_000;
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let rows = arrived.clone();
        let write = move || {
            while clock::now() < leaves_at && !interrupted() {
                let _ = sending.write(&[0x5a; 16_384]);
            }
        };
        let read = move || {
            let (mut buffer, mut total, mut next) = (vec![0; 65_536], 0_u64, 0);
            while clock::now() < leaves_at && !interrupted() {
                match receiving.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(n) => total += n as u64,
                    Err(_) => continue,
                }
                let now = clock::now();
                if now >= next {
                    next = now + 20_000;
                    // A packet of 1500 bytes carries 1448 of them.
                    rows.lock().unwrap_or_else(PoisonError::into_inner).push((now, total * 1_500 / 1_448));
                }
            }
        };
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        let threads = vec![thread("rival-out").spawn(write)?, thread("rival-in").spawn(read)?];
        Ok(Self { leaves_at, threads, arrived })
    }

    /// Mbit/s of it between two instants of the harness's clock.
    fn mbps(&self, from: u64, to: u64) -> f64 {
        let rows = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let by = |at: u64| rows.iter().rev().find(|r| r.0 <= at).map_or(0, |r| r.1);
        (by(to) - by(from)) as f64 * 8.0 / to.saturating_sub(from).max(1) as f64
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

const SIZE: (usize, usize) = (1920, 1080);
/// A film is judged from then on, seconds.
const SETTLED_S: f64 = 3.0;
/// The queue is judged so long after a rival has left, seconds.
const LEFT_S: f64 = 3.0;
/// The rest before idle traffic is counted: shorter than DESIGN's 35 s, which the table says.
const REST_S: u64 = 10;
/// The rest before each burst, as in the study.
const BURST_REST_US: u64 = 5_000_000;
/// A burst that takes longer has failed.
const BURST_MOST_US: u64 = 8_000_000;
const KEY_US: u64 = 2_000;
/// What is copied each way: of zeros, which nothing on the way packs.
const COPIED: u64 = 100_000_000;
/// Copies have connected, and found what is left for them, by then.
const COPIES_WARM_US: u64 = 4_000_000;
/// Two viewers have found their rates by then.
const PAIR_WARM_US: u64 = 3_000_000;
/// How often the rival looks whether it is to leave.
const PATIENCE: Duration = Duration::from_millis(20);
