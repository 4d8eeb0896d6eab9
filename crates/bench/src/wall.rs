//! `wall` and `load`: the real programs on the loopback interface, without X servers: an invented desktop on the host and
//! a client without a window.
//!
//! Ages are those of the journey's stamps (`--stats-json`), which two processes take on two clocks that begin at
//! unlike times; the client's clock map relates them, and its error is stated. `load` adds viewers to one agent, or
//! whole desktops to one machine, until it is too much.

use crate::cell::Scratch;
use crate::clock;
use crate::glass;
use crate::machine;
use crate::process::{CpuTime, Process, descriptors, resident_kib, rest, threads};
use crate::soak::Scene;
use crate::stack::telepane;
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// From the last start to the measured time: a handshake, a first picture.
const SETTLES_US: u64 = 2_000_000;
/// Viewers come this far apart, in ms: a handshake keeps a core busy for some 30.
const COMES_EVERY_MS: u64 = 60;

/// `telepane-bench wall`.
#[derive(Args, Clone, Debug)]
pub struct WallOptions {
    /// Desktops, one after another.
    #[arg(long, value_delimiter = ',', default_value = "editor,scroll,drag,film")]
    pub scene: Vec<Scene>,
    /// Seconds of each.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(3..=3600))]
    pub seconds: u64,
    /// Output and programs.
    #[command(flatten)]
    pub common: Common,
}

/// What `wall` and `load` share.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Write everything here.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where telepane-host and telepane are; otherwise beside telepane-bench.
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
}

/// `telepane-bench load`.
#[derive(Args, Clone, Debug)]
pub struct LoadOptions {
    /// What is multiplied.
    #[arg(value_enum)]
    pub of: Load,
    /// How many at most; doubled from one on.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub most: u32,
    /// Seconds of each step.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(3..=3600))]
    pub seconds: u64,
    /// What the viewers watch.
    #[arg(long, default_value = "scroll")]
    pub scene: Scene,
    /// Output and programs.
    #[command(flatten)]
    pub common: Common,
}

/// What is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Load {
    /// Viewers of one agent.
    Viewers,
    /// Agents, each with a viewer who types eight keys a second.
    Desktops,
}

/// Runs the scenes one after another.
///
/// # Errors
/// When a program does not start or ends early.
pub fn run(options: &WallOptions) -> Result<()> {
    let programs = glass::programs(options.common.bin_dir.as_deref())?;
    println!("wall: real programs on loopback; ages by the journey's stamps, related by the client's clock map\n");
    println!(
        "| scene | updates/s | age p50 / p95 / max ms | key p50 / p95 ms | clocks within ms | kB/s down | host, client cores |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    for scene in &options.scene {
        let step = Step::run(&programs, *scene, (1, 1), *scene == Scene::Editor, options.seconds)?;
        let told = step.told.first().context("the client wrote no statistics")?;
        let rate = |key: &str| told[key].as_f64().unwrap_or(0.0) / step.seconds;
        println!(
            "| {} | {:.1} | {} / {} / {} | {} / {} | {} | {:.0} | {:.2}, {:.2} |",
            scene.name(),
            rate("updates_shown"),
            ms(&told["age"]["p50_us"]),
            ms(&told["age"]["p95_us"]),
            ms(&told["age"]["max_us"]),
            ms(&told["key_to_shown"]["p50_us"]),
            ms(&told["key_to_shown"]["p95_us"]),
            ms(&told["clock_error_us"]),
            rate("bytes_received") / 1e3,
            step.host.cores,
            step.client.cores,
        );
        rows.push(step.json(scene.name()));
    }
    keep(options.common.json.as_deref(), "wall", rows)
}

/// Doubles until it is too much, then halves what lies between: for desktops when a key's p95 passes 15 ms, for viewers when
/// the age's passes 100 ms. Programs that do not start, or end, in the crowd are too much as well. For viewers the agent is
/// measured without one first, so that the second's part can be told beside the first's.
///
/// # Errors
/// As [`run`], when not even one runs.
pub fn load(options: &LoadOptions) -> Result<()> {
    let programs = glass::programs(options.common.bin_dir.as_deref())?;
    let desktops = options.of == Load::Desktops;
    let scene = if desktops { Scene::Editor } else { options.scene };
    let (figure, limit_us) = if desktops { ("key_to_shown", 15_000) } else { ("age", 100_000) };
    println!(
        "load: {:?}, {} s each; knee: {figure} p95 of the worst viewer > {} ms\n",
        options.of,
        options.seconds,
        limit_us / 1_000
    );
    println!(
        "| {:?} | {figure} p95 median / worst ms | host cores | host MiB | clients' cores | MiB each client |",
        options.of
    );
    println!("|---|---|---|---|---|---|");
    let (mut rows, mut good, mut too_many, mut n) = (Vec::new(), None::<(u32, f64, f64)>, None, 1);
    let mut first_mib = None;
    // What the agent does without a viewer is no viewer's cost.
    let mut agent = Vec::new();
    if !desktops {
        let step = Step::run(&programs, scene, (1, 0), false, options.seconds)?;
        println!("| 0 | - / - | {:.3} | {:.1} | - | - |", step.host.cores, step.host.mib);
        agent.push(step.host.cores);
        rows.push(step.json("0"));
    }
    while n <= options.most {
        let pair = if desktops { (n, 1) } else { (1, n) };
        let step = match Step::run(&programs, scene, pair, desktops, options.seconds) {
            Ok(step) => step,
            Err(e) if good.is_none() => return Err(e),
            Err(e) => {
                println!("| {n} | failed | - | - | - | - |");
                eprintln!("load: with {n}: {e:#}");
                rows.push(json!({ "name": n.to_string(), "failed": format!("{e:#}") }));
                too_many = Some(n);
                let Some(next) = between(good.map(|(n, ..)| n), too_many) else { break };
                n = next;
                continue;
            }
        };
        let mut p95: Vec<u64> = step.told.iter().map(|t| t[figure]["p95_us"].as_u64().unwrap_or(u64::MAX)).collect();
        p95.sort_unstable();
        let worst = p95.last().copied().unwrap_or(u64::MAX);
        let show =
            |us: Option<&u64>| us.filter(|v| **v < u64::MAX).map_or("-".into(), |v| format!("{:.1}", *v as f64 / 1e3));
        println!(
            "| {n} | {} / {} | {:.3} | {:.1} | {:.2} | {:.1} |",
            show(p95.get(p95.len() / 2)),
            show(p95.last()),
            step.host.cores,
            step.host.mib,
            step.client.cores,
            step.client.mib / f64::from(n),
        );
        rows.push(step.json(&n.to_string()));
        agent.push(step.host.cores);
        let first = *first_mib.get_or_insert(step.host.mib);
        if worst > limit_us {
            too_many = Some(n);
        } else {
            good = Some((n, step.host.mib, first));
        }
        let Some(next) = between(good.map(|(n, ..)| n), too_many) else { break };
        n = next;
    }
    if let [none, one, two, ..] = agent[..]
        && !desktops
    {
        let (first, second) = (one - none, two - one);
        let share = second / first.max(1e-9) * 100.0;
        let verdict = if share < 20.0 { "met" } else { "NOT MET" };
        println!(
            "\nthe first viewer takes {first:.3} cores of the agent, the second {second:.3}: {share:.0} % (DESIGN 3.12: < 20 %, {verdict})"
        );
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    match good {
        None => println!("\nnot even one"),
        Some((n, mib, _)) if desktops => {
            let end = if too_many.is_none() { "at least " } else { "" };
            let (per_core, each) = (f64::from(n) / cores, mib / f64::from(n));
            println!("\n{end}{per_core:.1} desktops a core with their viewers on the same machine, {each:.1} MiB each");
        }
        Some((n, mib, first)) => {
            let each = if n > 1 { (mib - first) / f64::from(n - 1) } else { 0.0 };
            println!("\n{n} viewers, {each:.1} MiB of the agent for each after the first");
        }
    }
    keep(options.common.json.as_deref(), "load", rows)
}

/// How many to try next: double until it is too much, then the middle, until an eighth is left between. `None` when
/// the knee is found, or not even one runs.
fn between(good: Option<u32>, too_many: Option<u32>) -> Option<u32> {
    match (good?, too_many) {
        (good, None) => Some(good * 2),
        (good, Some(bad)) => (bad - good > (good / 8).max(1)).then(|| good.midpoint(bad)),
    }
}

/// What one side used.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    cores: f64,
    mib: f64,
    descriptors: usize,
    threads: usize,
}

impl Used {
    fn of(ids: &[u32], before: &CpuTime, seconds: f64) -> Self {
        Self {
            cores: CpuTime::of(ids).since(before) as f64 / 1e6 / seconds,
            mib: resident_kib(ids) as f64 / 1024.0,
            descriptors: descriptors(ids),
            threads: threads(ids),
        }
    }

    fn json(self) -> Value {
        json!({ "cores": self.cores, "mib": self.mib, "descriptors": self.descriptors, "threads": self.threads })
    }
}

/// Some hosts, some clients of each, for a while.
struct Step {
    seconds: f64,
    load: f64,
    host: Used,
    client: Used,
    told: Vec<Value>,
}

impl Step {
    fn run(programs: &Path, scene: Scene, (hosts, clients): (u32, u32), types: bool, seconds: u64) -> Result<Self> {
        let dir = Scratch::new(false)?;
        let load = machine::load();
        let (mut host, mut client, mut files, mut ports) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for h in 0..hosts {
            let home = dir.path.join(format!("host{h}"));
            std::fs::create_dir_all(&home)?;
            telepane::write_code(&home)?;
            let mut command = telepane::host(programs, &home, "127.0.0.1");
            let mut started =
                Process::start(command.args(["--synthetic", scene.name(), "--shared"]), "telepane-host", &home)?;
            ports.push((telepane::ready(&mut started)?, home));
            host.push(started);
        }
        let viewers = u64::from(hosts) * u64::from(clients);
        // All begin to type when the last has had its first picture.
        let crowd = (viewers * COMES_EVERY_MS).div_ceil(1_000) + 1;
        let opened = clock::now();
        for (port, home) in &ports {
            for c in 0..clients {
                let own = home.join(format!("client{c}"));
                std::fs::create_dir_all(&own)?;
                telepane::write_code(&own)?;
                let statistics = own.join("statistics.json");
                let mut command = telepane::client(programs, &own, "127.0.0.1", *port);
                command.args(["--headless", "--stats-json"]).arg(&statistics);
                // Somewhat longer than we look; it is ended by us.
                command.args(["--seconds", &(crowd + seconds + 60).to_string()]);
                if types {
                    let keys = (seconds as usize + 60) * 9;
                    let left = crowd.saturating_sub((clock::now() - opened) / 1_000_000);
                    command.args(["--type", &"the quick brown fox ".repeat(keys / 20 + 1)]);
                    command.args(["--type-after", &left.to_string()]);
                }
                client.push(Process::start(&mut command, "telepane", &own)?);
                files.push(statistics);
                if viewers > 1 {
                    rest(COMES_EVERY_MS * 1_000)?;
                }
            }
        }
        // The handshake and the first picture are not what is measured.
        rest(SETTLES_US)?;
        let ids = |all: &[Process]| all.iter().map(Process::id).collect::<Vec<u32>>();
        let (host_ids, client_ids) = (ids(&host), ids(&client));
        let before = (CpuTime::of(&host_ids), CpuTime::of(&client_ids));
        let begun = clock::now();
        rest(seconds * 1_000_000)?;
        host.iter_mut().chain(&mut client).try_for_each(Process::check)?;
        let lasted = (clock::now() - begun) as f64 / 1e6;
        let used = (Used::of(&host_ids, &before.0, lasted), Used::of(&client_ids, &before.1, lasted));
        let mut told = Vec::new();
        for (process, file) in client.iter_mut().zip(&files) {
            ensure!(process.stop(5_000_000), "a client did not end within 5 s of SIGTERM");
            let text = std::fs::read_to_string(file).context("a client wrote no statistics")?;
            told.push(serde_json::from_str(&text)?);
        }
        // Statistics count from the first picture on, which is the rest before.
        Ok(Self { seconds: lasted + SETTLES_US as f64 / 1e6, load, host: used.0, client: used.1, told })
    }

    fn json(&self, name: &str) -> Value {
        json!({ "name": name, "seconds": self.seconds, "load": self.load, "host": self.host.json(),
            "client": self.client.json(), "statistics": self.told })
    }
}

fn ms(us: &Value) -> String {
    us.as_f64().map_or_else(|| "-".into(), |us| format!("{:.2}", us / 1e3))
}

fn keep(path: Option<&Path>, what: &str, rows: Vec<Value>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let value = json!({ "what": what, "clock": "wall, by the journey's stamps", "date": clock::today(),
        "machine": machine::describe(), "rows": rows });
    std::fs::write(path, serde_json::to_string_pretty(&value)? + "\n")
        .with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_knee_is_closed_in_on() {
        let knee = |limit: u32| {
            let (mut good, mut bad, mut n, mut tries) = (None, None, 1, 0_u32);
            loop {
                if n > limit {
                    bad = Some(n)
                } else {
                    good = Some(n)
                }
                tries += 1;
                let Some(next) = between(good, bad) else { return (good, tries) };
                n = next;
            }
        };
        assert_eq!(knee(0), (None, 1));
        assert_eq!(knee(1), (Some(1), 2));
        assert_eq!(knee(3), (Some(3), 4));
        let (good, tries) = knee(200);
        assert!(good.is_some_and(|good| (178..=200).contains(&good)) && tries <= 13, "{good:?} after {tries}");
    }
}
