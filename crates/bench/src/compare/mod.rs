//! `telepane-bench compare`: every work over every network with every stack, interleaved, several rounds, resumable.
//!
//! The JSON file is the state: each cell is written to it as soon as it is measured, and a run that is started again
//! with the same plan does what is missing and what failed. Tables ([`tables`]), the design's targets ([`targets`]) and
//! plots ([`plot`]) are made from that file alone, so they can be made again without measuring.

pub mod plot;
pub mod tables;
pub mod targets;

use crate::cli::parse_size;
use crate::clock;
use crate::glass::{self, Job};
use crate::link::check::ping;
use crate::link::emulator::{Emulator, HOST};
use crate::link::profile::Profile;
use crate::machine;
use crate::process::interrupted;
use crate::report::CellReport;
use crate::stack::{self, Name};
use crate::stimulus::Kind;
use crate::work::Amount;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// `telepane-bench compare`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Stacks, in the order in which they take turns. `null` runs once a work, without a network.
    #[arg(long, value_delimiter = ',', default_value = "null,telepane,tigervnc,xrdp,freerdp-shadow,selkies")]
    pub stack: Vec<Name>,
    /// Works.
    #[arg(long, value_delimiter = ',', default_value = "key,typing,scroll,drag,switch,film")]
    pub work: Vec<Kind>,
    /// Networks: profiles as of `link`.
    #[arg(long, value_name = "PROFILES", value_delimiter = ',', default_value = "lan,20m40,5m100l1,20m60l3,drop",
          value_parser = crate::link::parse_profile)]
    pub network: Vec<Profile>,
    /// Go through everything so many times.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Key presses in each cell of key, typing and menu.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub presses: u32,
    /// Seconds of scroll, drag, film and switch; more where the network changes later.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=240))]
    pub seconds: u64,
    /// The displays' size.
    #[arg(long, value_name = "WxH", default_value = "1920x1080", value_parser = parse_size)]
    pub size: (usize, usize),
    /// TCP congestion control; otherwise the system's.
    #[arg(long, value_name = "NAME")]
    pub congestion: Option<String>,
    /// Where the results go.
    #[arg(long, value_name = "DIR", default_value = "benches/results")]
    pub out: PathBuf,
    /// Their name; otherwise today's date and `-compare`. Name an earlier one to go on with it.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What `virtual` measured, for the targets that need no wall clock.
    #[arg(long, value_name = "DIR", default_value = "benches/baselines")]
    pub baselines: PathBuf,
    /// Measure nothing: make tables and plots from the file that is there.
    #[arg(long)]
    pub report: bool,
    /// Where telepane-host and telepane are; otherwise beside telepane-bench.
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
    /// Install missing peers with apt-get.
    #[arg(long)]
    pub install: bool,
    /// Keep each cell's directory with the programs' output.
    #[arg(long)]
    pub keep: bool,
}

/// Which cell.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    round: u32,
    network: Option<usize>,
    kind: Kind,
    name: Name,
}

/// Measures what is missing, and reports.
///
/// # Errors
/// When something needed is missing, the file is of another plan, or cells failed.
pub fn run(options: &Options) -> Result<()> {
    let name = options.name.clone().unwrap_or_else(|| format!("{}-compare", clock::today()));
    std::fs::create_dir_all(&options.out)?;
    let path = options.out.join(format!("{name}.json"));
    let mut state = if options.report {
        State::load(&path)?
    } else {
        let programs = glass::programs(options.bin_dir.as_deref())?;
        stack::install::provide(&options.stack, &programs, options.install)?;
        let mut state = State::open(&path, options, &programs)?;
        measure(&mut state, options, &programs)?;
        state
    };
    if interrupted() {
        eprintln!("interrupted; the same command goes on");
    }
    let cells = tables::Cells::of(&mut state.value);
    let simulated = targets::simulated(&options.baselines)?;
    let markdown = format!("{}{}{simulated}", tables::markdown(&cells), targets::markdown(&cells));
    println!("{markdown}");
    let plots = plot::all(&cells);
    let links: String = plots.iter().map(|(suffix, title, _)| format!("![{title}]({name}-{suffix}.svg)\n\n")).collect();
    std::fs::write(options.out.join(format!("{name}.md")), format!("{markdown}\n## Plots\n\n{links}"))?;
    for (suffix, _, svg) in plots {
        std::fs::write(options.out.join(format!("{name}-{suffix}.svg")), svg)?;
    }
    let failed = cells.failed();
    ensure!(failed == 0, "{failed} cells failed; the same command tries them again");
    if interrupted() {
        bail!("interrupted");
    }
    Ok(())
}

fn measure(state: &mut State, options: &Options, programs: &Path) -> Result<()> {
    let amount =
        Amount { presses: options.presses as usize, seconds: options.seconds, after: 3, idle_seconds: options.seconds };
    let keys = keys(options);
    let begun = clock::now();
    let open: Vec<&Key> = keys.iter().filter(|k| !state.has(k, options)).collect();
    let total = open.len();
    eprintln!("{total} of {} cells to measure", keys.len());
    // How long it takes is promised too, so the file says it for each time the command was run.
    let mut runs = state.value["runs"].as_array().cloned().unwrap_or_default();
    runs.push(json!({ "cells": 0, "seconds": 0 }));
    for (done, key) in open.into_iter().enumerate() {
        if interrupted() {
            return Ok(());
        }
        let link = key.network.and_then(|i| options.network.get(i));
        let job = Job {
            name: key.name,
            kind: key.kind,
            round: key.round,
            size: options.size,
            programs,
            keep: options.keep,
            link,
            congestion: options.congestion.as_deref(),
            amount: link.map_or(amount, |l| amount.for_link(l)),
        };
        let load = machine::load();
        let cell = CellReport::new(key.round, key.name, key.kind, load, job.run());
        if interrupted() {
            return Ok(());
        }
        let network = link.map_or("-", |l| l.name.as_str());
        eprintln!(
            "{}/{total} {:.0} s · round {} · {network} · {} · {}: {}",
            done + 1,
            (clock::now() - begun) as f64 / 1e6,
            key.round,
            key.kind.name(),
            key.name.stack().name(),
            cell.headline()
        );
        if let Some(run) = runs.last_mut() {
            *run = json!({ "cells": done + 1, "seconds": (clock::now() - begun) / 1_000_000 });
        }
        state.value["runs"] = runs.clone().into();
        state.add(slim(cell.json(), network, link))?;
    }
    Ok(())
}

/// Every cell, interleaved: stacks take turns within a work, works within a network, networks within a round.
fn keys(options: &Options) -> Vec<Key> {
    let mut keys = Vec::new();
    for round in 1..=options.rounds {
        if options.stack.contains(&Name::Null) {
            keys.extend(options.work.iter().map(|kind| Key { round, network: None, kind: *kind, name: Name::Null }));
        }
        for network in 0..options.network.len() {
            for kind in &options.work {
                let stacks = options.stack.iter().filter(|n| **n != Name::Null);
                keys.extend(stacks.map(|name| Key { round, network: Some(network), kind: *kind, name: *name }));
            }
        }
    }
    keys
}

/// A cell without what can be made from the rest of it.
fn slim(mut cell: Value, network: &str, link: Option<&Profile>) -> Value {
    cell["network"] = network.into();
    let moves = cell["shown"].as_array().is_some_and(|s| !s.is_empty());
    if let Some(samples) = cell["samples_ms"].as_object_mut()
        && moves
    {
        samples.remove("age");
    }
    let changes = link.is_some_and(|l| !l.changes.is_empty());
    if let Some(all) = cell.as_object_mut() {
        all.remove("viewer_statistics");
        if !changes {
            all.remove("link");
        }
    }
    cell
}

/// The file.
struct State {
    path: PathBuf,
    value: Value,
}

impl State {
    fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let value: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        ensure!(value["version"] == VERSION, "{} is of another version", path.display());
        Ok(Self { path: path.into(), value })
    }

    fn open(path: &Path, options: &Options, programs: &Path) -> Result<Self> {
        let plan = plan(options);
        if path.is_file() {
            let mut state = Self::load(path)?;
            state.join(options, programs);
            ensure!(
                state.value["plan"] == plan,
                "{} was measured by another plan; give --name for a new file, or delete it\n there: {}\n now: {plan}",
                path.display(),
                state.value["plan"]
            );
            return Ok(state);
        }
        let described = options.stack.iter().map(|s| described(*s, programs));
        let value = json!({
            "version": VERSION,
            "date": clock::today(),
            "machine": machine::describe(),
            "stacks": described.collect::<Vec<_>>(),
            "networks": options.network.iter().map(|n| network(n, options)).collect::<Vec<_>>(),
            "plan": plan,
            "cells": [],
        });
        Ok(Self { path: path.into(), value })
    }

    /// Stacks may join a run that has begun. They take no turns with the others, so the file says who they are.
    fn join(&mut self, options: &Options, programs: &Path) {
        let names = |value: &Value| value.as_array().into_iter().flatten().cloned().collect::<Vec<_>>();
        let there = names(&self.value["plan"]["stacks"]);
        let wanted = names(&plan(options)["stacks"]);
        if !there.iter().all(|name| wanted.contains(name)) {
            return;
        }
        for name in options.stack.iter().filter(|s| !there.contains(&s.stack().name().into())) {
            for (list, value) in
                [("stacks", described(*name, programs)), ("joined_later", Value::from(name.stack().name()))]
            {
                let mut all = names(&self.value[list]);
                all.push(value);
                self.value[list] = all.into();
            }
        }
        self.value["plan"]["stacks"] = wanted.into();
    }

    fn has(&self, key: &Key, options: &Options) -> bool {
        let network = key.network.and_then(|i| options.network.get(i)).map_or("-", |l| l.name.as_str());
        self.value["cells"].as_array().into_iter().flatten().any(|c| {
            c["failed"].is_null()
                && c["round"] == key.round
                && c["network"] == network
                && c["work"] == key.kind.name()
                && c["stack"] == key.name.stack().name()
        })
    }

    /// Adds a cell in place of one that failed before, and writes the file whole.
    fn add(&mut self, cell: Value) -> Result<()> {
        if let Some(cells) = self.value["cells"].as_array_mut() {
            let same = |c: &Value| ["round", "network", "work", "stack"].iter().all(|k| c[k] == cell[k]);
            cells.retain(|c| !same(c));
            cells.push(cell);
        }
        let mut head = self.value.clone();
        let cells = head["cells"].take();
        if let Some(all) = head.as_object_mut() {
            all.remove("cells");
        }
        let mut text = serde_json::to_string_pretty(&head)?;
        text.truncate(text.trim_end().trim_end_matches('}').trim_end().len());
        let lines: Result<Vec<String>, _> = cells.as_array().into_iter().flatten().map(serde_json::to_string).collect();
        text.push_str(&format!(",\n  \"cells\": [\n    {}\n  ]\n}}\n", lines?.join(",\n    ")));
        let fresh = self.path.with_extension("json.new");
        std::fs::write(&fresh, text)?;
        Ok(std::fs::rename(&fresh, &self.path)?)
    }
}

fn described(name: Name, programs: &Path) -> Value {
    let stack = name.stack();
    json!({ "stack": stack.name(), "version": stack.version(programs), "settings": stack.settings() })
}

/// What must be the same for a run to go on, but for stacks that join it.
fn plan(options: &Options) -> Value {
    json!({
        "stacks": options.stack.iter().map(|s| s.stack().name()).collect::<Vec<_>>(),
        "works": options.work.iter().map(|k| k.name()).collect::<Vec<_>>(),
        "networks": options.network.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(),
        "rounds": options.rounds,
        "presses": options.presses,
        "seconds": options.seconds,
        "size": format!("{}x{}", options.size.0, options.size.1),
        "congestion": options.congestion,
    })
}

/// A network as it is set, and as ping finds it.
fn network(profile: &Profile, options: &Options) -> Value {
    let mut value =
        json!({ "profile": profile.name, "is": profile.describe(), "rtt_set_ms": profile.rtt().as_millis_f64() });
    match Emulator::start(profile, 1, options.congestion.as_deref(), None) {
        Ok(link) => {
            value["congestion"] = link.host.congestion().into();
            if let Ok(pings) = ping(&link.client, HOST, 50, 5_000) {
                value["rtt_ms"] = pings.rtt.percentile(50.0).into();
            }
        }
        Err(error) => value["namespaces"] = format!("{error:#}").into(),
    }
    value
}

/// Of the file.
const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn options(args: &[&str]) -> Options {
        let all = ["telepane-bench", "compare"].iter().chain(args);
        match crate::cli::Cli::parse_from(all).command {
            crate::cli::Command::Compare(options) => options,
            _ => unreachable!(),
        }
    }

    #[test]
    fn the_default_set_is_the_one_agreed_on() {
        let keys = keys(&options(&[]));
        // Five stacks at six works over five networks, twice, and the floor.
        assert_eq!(keys.len(), 2 * (5 * 6 * 5 + 6));
        assert!(keys.iter().all(|k| (k.name == Name::Null) == k.network.is_none()));
    }

    #[test]
    fn a_run_goes_on_where_it_stopped_and_tries_again_what_failed() {
        let dir = std::env::temp_dir().join(format!("telepane-bench-compare-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("x.json");
        let options = options(&["--stack", "telepane", "--work", "key,film", "--network", "20m40", "--rounds", "1"]);
        let value = json!({ "version": VERSION, "plan": plan(&options), "cells": [] });
        let mut state = State { path: path.clone(), value };
        let cell = |work: &str, failed: Option<&str>| json!({ "round": 1, "network": "20m40", "work": work, "stack": "telepane", "failed": failed });
        state.add(cell("key", None)).unwrap();
        state.add(cell("film", Some("fell over"))).unwrap();
        let open = |state: &State| {
            keys(&options).iter().filter(|k| !state.has(k, &options)).map(|k| k.kind).collect::<Vec<_>>()
        };
        let mut again = State::open(&path, &options, Path::new(".")).unwrap();
        assert_eq!(open(&again), [Kind::Film]);
        again.add(cell("film", None)).unwrap();
        assert_eq!(open(&State::load(&path).unwrap()), []);
        let other = Options { rounds: 2, ..options.clone() };
        assert!(State::open(&path, &other, Path::new(".")).is_err(), "another plan");
        let more = Options { stack: vec![Name::Telepane, Name::Xrdp], ..options.clone() };
        let joined = State::open(&path, &more, Path::new(".")).unwrap();
        assert_eq!(joined.value["joined_later"], json!(["xrdp"]));
        assert!(keys(&more).iter().all(|k| joined.has(k, &more) == (k.name == Name::Telepane)));
        let fewer = Options { stack: vec![Name::Xrdp], ..options.clone() };
        assert!(State::open(&path, &fewer, Path::new(".")).is_err(), "a stack left");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
