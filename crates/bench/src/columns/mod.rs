//! `telepane-bench columns`: the rate controller's targets in three columns: what the study demands, what the production
//! controller does in the simulator, and what the real programs do over the emulated link.
//!
//! The second column is virtual time, the same on every machine; the third is wall time on this one. Each row of [`rows`]
//! starts host and client anew over its own link ([`real`]), and is written to the JSON file as soon as it is measured: the
//! same command goes on where it was interrupted, and tries again what failed. Beside a bound that is not met stands why
//! ([`why`]). The file's `explained` may hold another sentence for a target, by its key, where one run has its own reason; it
//! is kept.

pub mod real;
pub mod rows;
pub mod trace;
pub mod why;

use crate::clock;
use crate::glass;
use crate::machine;
use crate::process::interrupted;
use crate::report::align;
use crate::stack::{self, Name};
use crate::summary::Samples;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rows::{NOT_REAL, OF_STEADY, OVER_LOSSLESS, ROWS, Row, Simulated, Target};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use telepane_sim::bottleneck::study::{ALL, Bound, Figure};
use telepane_sim::bottleneck::{App, Kind, Path as Simulation, runs as films};

/// `telepane-bench columns`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Rows to measure; otherwise all. Others in the file stay as they are.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub row: Vec<String>,
    /// Name the rows and their links, and end.
    #[arg(long)]
    pub list: bool,
    /// Measure rows that are in the file already from the beginning once more.
    #[arg(long)]
    pub again: bool,
    /// Runs of each row: the table has the median of each figure, and the least and the greatest beside it. A file with fewer is gone
    /// on with.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=25))]
    pub rounds: u64,
    /// Measure nothing: make the table from the file that is there.
    #[arg(long)]
    pub report: bool,
    /// Where the results go.
    #[arg(long, value_name = "DIR", default_value = "benches/results")]
    pub out: PathBuf,
    /// Their name; otherwise today's date and `-columns`. Name an earlier one to go on with it.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where telepane-host and telepane are; otherwise beside telepane-bench.
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
    /// Install Xvfb with apt-get if it is missing.
    #[arg(long)]
    pub install: bool,
    /// Keep each row's directory with the programs' output.
    #[arg(long)]
    pub keep: bool,
}

/// Measures what is missing, and makes the table.
///
/// # Errors
/// When there is no such row, something needed is missing, or rows failed.
pub fn run(options: &Options) -> Result<()> {
    for name in &options.row {
        ensure!(ROWS.iter().any(|r| r.name == name), "no row {name}; --list names them");
    }
    if options.list {
        for r in ROWS {
            println!("{:<12} {:>3} s  {}", r.name, r.seconds, r.link()?.describe());
        }
        return Ok(());
    }
    let name = options.name.clone().unwrap_or_else(|| format!("{}-columns", clock::today()));
    std::fs::create_dir_all(&options.out)?;
    let path = options.out.join(format!("{name}.json"));
    let mut state = if path.is_file() { load(&path)? } else { Value::Null };
    if options.report {
        ensure!(!state.is_null(), "{} is not there", path.display());
    } else {
        let programs = glass::programs(options.bin_dir.as_deref())?;
        stack::install::provide(&[Name::Telepane], &programs, options.install)?;
        let version = Name::Telepane.stack().version(&programs);
        if state.is_null() {
            state = json!({ "version": VERSION, "date": clock::today(), "machine": machine::describe(),
                "programs": version, "rows": {}, "explained": {} });
        }
        ensure!(
            state["programs"] == version.as_str(),
            "{} was measured with {}, these are {version}; give --name",
            path.display(),
            state["programs"]
        );
        measure(&mut state, &path, options, &programs)?;
    }
    let markdown = markdown(&state);
    println!("{markdown}");
    std::fs::write(options.out.join(format!("{name}.md")), &markdown)?;
    if interrupted() {
        bail!("interrupted; the same command goes on");
    }
    let failed = state["rows"].as_object().into_iter().flatten().filter(|(_, r)| !r["failed"].is_null()).count();
    ensure!(failed == 0, "{failed} rows failed; the same command tries them again");
    Ok(())
}

fn measure(state: &mut Value, path: &Path, options: &Options, programs: &Path) -> Result<()> {
    let asked: Vec<&Row> =
        ROWS.iter().filter(|r| options.row.is_empty() || options.row.iter().any(|n| n == r.name)).collect();
    if options.again
        && let Some(rows) = state["rows"].as_object_mut()
    {
        rows.retain(|name, _| asked.iter().all(|r| r.name != name));
    }
    let rounds = options.rounds as usize;
    // Round by round, so that what a machine does for a while is not all one row's.
    let open: Vec<&Row> = (1..=rounds)
        .flat_map(|n| asked.iter().copied().filter(|r| runs(&state["rows"][r.name]).len() < n).collect::<Vec<_>>())
        .collect();
    let bar = ProgressBar::new(open.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")?);
    bar.enable_steady_tick(Duration::from_millis(500));
    for row in open {
        bar.set_message(row.name);
        let (load, begun) = (machine::load(), clock::now());
        let result = real::run(row, programs, options.keep);
        if interrupted() {
            break;
        }
        let said = match &result {
            Ok(figures) => figures.iter().map(|(n, v)| format!("{n} {}", digits(*v))).collect::<Vec<_>>().join(", "),
            Err(error) => format!("FAILED: {error:#}"),
        };
        let mut value = json!({ "link": row.link()?.describe(), "load": load,
            "took_s": ((clock::now() - begun) as f64 / 1e5).round() / 10.0 });
        add_round(&mut value, runs(&state["rows"][row.name]), result.map(|f| json!(f)));
        if bar.is_hidden() {
            eprintln!("{}: {said}", row.name);
        } else {
            bar.println(format!("{}: {said}", row.name));
        }
        state["rows"][row.name] = value;
        save(state, path)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    // After the measuring, so that it takes nobody's processor.
    state["simulated"] = simulated();
    save(state, path)
}

/// The runs of a row that came about; a file from before there were rounds has one.
fn runs(row: &Value) -> Vec<Value> {
    match (&row["rounds"], &row["figures"]) {
        (Value::Array(rounds), _) => rounds.clone(),
        (_, figures @ Value::Object(_)) => vec![figures.clone()],
        _ => Vec::new(),
    }
}

/// A row's figures after another run: the median of each over the runs that have it. A run that failed leaves those before it.
fn add_round(row: &mut Value, mut rounds: Vec<Value>, last: Result<Value>) {
    match last {
        Ok(figures) => rounds.push(figures),
        Err(error) => row["failed"] = format!("{error:#}").into(),
    }
    if rounds.is_empty() {
        return;
    }
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in rounds.iter().filter_map(Value::as_object).flatten() {
        all.entry(name.clone()).or_default().extend(value.as_f64());
    }
    let median = |values: Vec<f64>| Samples(values).percentile(50.0);
    row["figures"] =
        all.into_iter().map(|(name, values)| (name, json!(median(values)))).collect::<serde_json::Map<_, _>>().into();
    row["rounds"] = rounds.into();
}

fn load(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let value: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    ensure!(value["version"] == VERSION, "{} is of another version", path.display());
    Ok(value)
}

fn save(state: &Value, path: &Path) -> Result<()> {
    let fresh = path.with_extension("json.new");
    std::fs::write(&fresh, serde_json::to_string_pretty(state)? + "\n")?;
    Ok(std::fs::rename(&fresh, path)?)
}

/// The second column, by target.
fn simulated() -> Value {
    let mut played: BTreeMap<&str, Vec<Figure>> = BTreeMap::new();
    let mut study = |scenario: &'static str, figure: &str| -> Option<f64> {
        let found = ALL.iter().find(|s| s.name == scenario)?;
        let figures = played.entry(scenario).or_insert_with(|| (found.play)(Kind::Ours));
        figures.iter().find(|f| f.name == figure).map(|f| f.value)
    };
    let mut all = serde_json::Map::new();
    for (row, target) in ROWS.iter().flat_map(|r| r.targets.iter().map(move |t| (r, t))) {
        let value = match target.simulated {
            Simulated::None => None,
            Simulated::Study(scenario, figure) => study(scenario, figure),
            Simulated::OfPhysics(scenario, figure) => {
                let rate = if scenario == "S5 burst tenth" { 2.0 } else { 20.0 };
                study(scenario, figure).map(|ms| ms / (BURST_BITS / rate / 1e3 + 20.0))
            }
            Simulated::OfSteady(scenario, figure) => study(scenario, figure).map(|used| {
                let path = Simulation::steady(20.0, 0.04);
                used / (films::film(path, App { kind: Kind::Ours, ..films::greedy() }, 30.0).rate / 20.0)
            }),
            Simulated::Film(mbps, rtt, pick) => {
                let path = Simulation::steady(mbps, rtt);
                Some(pick(&films::film(path, App { kind: Kind::Ours, ..films::greedy() }, 30.0)))
            }
        };
        if let Some(value) = value {
            all.insert(key(row, target), json!(value));
        }
    }
    all.into()
}

/// A target's name in the file.
fn key(row: &Row, target: &Target) -> String {
    format!("{}: {}", row.name, target.what)
}

/// The real figure of a target: the median of the runs, then the least and the greatest where there are several.
fn measured(state: &Value, row: &Row, target: &Target) -> Option<(f64, Option<(f64, f64)>)> {
    let own = |figures: &Value| -> Option<f64> {
        // What is held against another row's is held against its median.
        let other = |row: &str, name: &str| state["rows"][row]["figures"][name].as_f64();
        match target.real {
            OVER_LOSSLESS => {
                let name = "beyond_slices_percent";
                Some(figures[name].as_f64()? - other("film-modest", name)?)
            }
            OF_STEADY => Some(figures["used"].as_f64()? / other("film", "used")?),
            name => figures[name].as_f64(),
        }
    };
    let here = &state["rows"][row.name];
    let each: Vec<f64> = runs(here).iter().filter_map(own).collect();
    let spread = (each.len() > 1)
        .then(|| each.iter().fold((f64::MAX, f64::MIN), |(least, most), v| (least.min(*v), most.max(*v))));
    Some((own(&here["figures"])?, spread))
}

/// The table.
fn markdown(state: &Value) -> String {
    let mut rows = Vec::new();
    let (mut met, mut held, mut unexplained) = (0, 0, 0);
    for (row, target) in ROWS.iter().flat_map(|r| r.targets.iter().map(move |t| (r, t))) {
        let here = &state["rows"][row.name];
        if here.is_null() {
            continue;
        }
        let key = key(row, target);
        let (real, spread) = measured(state, row, target).unzip();
        let spread = spread.flatten().map_or_else(String::new, |(l, m)| format!(" ({} .. {})", digits(l), digits(m)));
        let simulated = state["simulated"][&key].as_f64();
        let show = |value: Option<f64>| match value {
            Some(v) if target.bound.is_kept(v) => digits(v),
            Some(v) => format!("**{}**", digits(v)),
            None => "-".into(),
        };
        let is_met = real.is_some_and(|v| target.bound.is_kept(v));
        let of_this_run = state["explained"][&key].as_str();
        let explained = of_this_run.or_else(|| why::real(row, target).filter(|_| !is_met)).unwrap_or_default();
        let mut verdict = match (&here["failed"], target.bound) {
            (Value::String(why), _) => format!("FAILED: {}", why.lines().next().unwrap_or_default()),
            (_, Bound::Free) => String::new(),
            _ if is_met => "met".into(),
            _ if explained.is_empty() => "not met".into(),
            _ => "not met:".into(),
        };
        if target.bound != Bound::Free {
            held += 1;
            met += usize::from(is_met);
            unexplained += usize::from(!is_met && explained.is_empty());
        }
        if !explained.is_empty() {
            verdict = format!("{verdict} {explained}").trim().to_owned();
        }
        if simulated.is_some_and(|v| !target.bound.is_kept(v)) {
            let why = why::simulated(row, target);
            unexplained += usize::from(why.is_none());
            let why = why.map_or_else(|| "not met".to_owned(), |w| format!("not met: {w}"));
            verdict = format!("{verdict}; the simulator: {why}");
        }
        rows.push(vec![
            target.number.to_owned(),
            target.what.to_owned(),
            target.bound.to_string(),
            show(simulated),
            show(real) + &spread,
            verdict,
        ]);
    }
    let mut out = String::from("# The rate controller's targets in three columns\n\n");
    let machine = &state["machine"];
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let _ = writeln!(
        out,
        "Bound: what the study demands. Simulated: the production controller over a modelled path, **virtual time**, the same on \
         every machine. Real: `telepane-host` and `telepane` on two X displays over a link of two network namespaces, **wall \
         time** on this machine; where a row was run several times, the median and behind it the least and the greatest. The two never share a number: the simulator's frames are bytes that exist at once, \
         the real ones are captured, coded, decoded and drawn, and headers take their part of the link. Bold is outside the bound.\n\n\
         {}; {}; {} cores of {}, {} MiB, Linux {}.\n",
        text(&state["date"]),
        text(&state["programs"]),
        text(&machine["cores"]),
        text(&machine["processor"]),
        text(&machine["memory_mib"]),
        text(&machine["kernel"]),
    );
    let titles = ["#", "what", "bound", "simulated (virtual)", "real (wall)", "met, or why not"].map(str::to_owned);
    out.push_str(&align(&titles, &rows));
    let _ = writeln!(
        out,
        "\n{met} of {held} bounds are met by the real programs; {unexplained} of those that are missed in either column have no \
         reason beside them.\n\n## The runs\n"
    );
    let runs = ROWS.iter().filter(|r| !state["rows"][r.name].is_null()).map(|r| {
        let here = &state["rows"][r.name];
        let figure = |name: &str| here["figures"][name].as_f64().map_or_else(|| "-".into(), digits);
        let (load, took) = (&here["load"], &here["took_s"]);
        let cores = format!("{} + {}", figure("host_cores"), figure("viewer_cores"));
        vec![r.name.into(), text(&here["link"]), text(load), cores, figure("other_cores"), text(took)]
    });
    let titles = ["row", "link", "load before", "cores host + viewer", "of others", "took s"].map(str::to_owned);
    out.push_str(&align(&titles, &runs.collect::<Vec<_>>()));
    out.push_str("\n## Without a real column\n\n");
    NOT_REAL.iter().for_each(|(number, why)| {
        let _ = writeln!(out, "- {number}: {why}.");
    });
    out
}

/// As many digits as say something.
fn digits(v: f64) -> String {
    match v.abs() {
        a if a < 2.0 => format!("{v:.2}"),
        a if a < 20.0 => format!("{v:.1}"),
        _ => format!("{v:.0}"),
    }
}

/// Of the file.
const VERSION: u32 = 1;
/// The study's burst.
const BURST_BITS: f64 = 300_000.0 * 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn state(rows: Value) -> Value {
        json!({ "version": VERSION, "rows": rows, "simulated": { "idle: nothing": 1.0 }, "explained": {} })
    }

    fn line(table: &str, what: &str) -> String {
        table.lines().find(|l| l.contains(what)).unwrap_or_default().to_owned()
    }

    #[test]
    fn a_target_is_met_not_met_explained_or_failed() {
        let mut s = state(json!({
            "idle": { "figures": { "down_kbit_per_s": 42.0 } },
            "film": { "figures": { "used": 0.5, "queue_p95_ms": 8.0 } },
            "typing": { "failed": "no display" },
        }));
        let table = markdown(&s);
        assert!(
            line(&table, "idle, from second 10").contains("met") && !line(&table, "idle, from").contains("not met")
        );
        assert!(line(&table, "20 Mbit/s, 40 ms: used").contains("**0.50**"));
        assert!(line(&table, "typing at 8 Mbit/s").contains("FAILED: no display"));
        assert!(!table.contains("Wi-Fi stalls"), "what was not measured is no row");
        s["explained"]["film: greedy film, 20 Mbit/s, 40 ms: used"] = "the coder is the limit".into();
        assert!(line(&markdown(&s), "40 ms: used").contains("not met: the coder is the limit"));
    }

    #[test]
    fn a_missed_bound_has_its_reason_beside_it_in_either_column() {
        let mut s = state(json!({
            "narrow": { "figures": { "used": 0.5, "age_p95_ms": 80.0 } },
            "loss": { "figures": { "age_p95_ms": 49.0 } },
            "two": { "figures": { "jain": 0.5 } },
        }));
        s["simulated"]["loss: frame p95, ms"] = 79.0.into();
        let table = markdown(&s);
        assert!(line(&table, "1 Mbit/s, 60 ms: used").contains("not met: as row 5"));
        let of = |what: &str| table.lines().filter(|l| l.contains(what)).collect::<Vec<_>>().join("\n");
        assert!(of("| 8  | frame p95, ms").contains("met; the simulator: not met: groups of eight"), "{table}");
        let narrow = table.lines().find(|l| l.starts_with("| S9") && l.contains("frame p95")).unwrap_or_default();
        assert!(narrow.contains("met") && !narrow.contains("not met"), "what is met needs no reason: {narrow}");
        assert!(!line(&table, "two sessions, one product").contains("not met:"));
        // Its other figures are missing.
        assert!(table.contains("of those that are missed in either column have no reason"), "{table}");
    }

    #[test]
    fn rounds_give_a_median_and_a_spread_and_a_failed_one_leaves_the_others() {
        let row = ROWS.iter().find(|r| r.name == "jitter-back").unwrap();
        let mut value = json!({});
        for used in [0.9, 0.6, 0.72] {
            let before = runs(&value);
            add_round(&mut value, before, Ok(json!({ "used": used, "age_p95_ms": 50.0 })));
        }
        let before = runs(&value);
        add_round(&mut value, before, Err(anyhow::anyhow!("no display")));
        assert_eq!((runs(&value).len(), value["figures"]["used"].as_f64()), (3, Some(0.72)));
        let mut s = state(json!({ "film": { "figures": { "used": 0.75 } } }));
        s["rows"]["jitter-back"] = value;
        let of = |real: &str| measured(&s, row, row.targets.iter().find(|t| t.real == real).unwrap()).unwrap();
        assert_eq!(of("used"), (0.72, Some((0.6, 0.9))));
        let (relative, spread) = of(OF_STEADY);
        assert!((relative - 0.96).abs() < 1e-9 && spread.is_some_and(|(l, m)| (l - 0.8).abs() < 1e-9 && m > 1.19));
        let table = markdown(&s);
        assert!(line(&table, "feedback late by 5 ms in the mean: used").contains("0.72 (0.60 .. 0.90)"), "{table}");
        assert!(line(&table, "of row 5's").contains("**0.96** (0.80 .. 1.20)"), "{table}");
    }

    #[test]
    fn a_row_of_one_run_from_before_is_gone_on_with() {
        let old = json!({ "figures": { "used": 0.5 } });
        let mut value = json!({});
        add_round(&mut value, runs(&old), Ok(json!({ "used": 0.7 })));
        assert_eq!((runs(&value).len(), value["figures"]["used"].as_f64()), (2, Some(0.5)));
    }

    #[test]
    fn overhead_under_loss_is_told_beside_the_overhead_without() {
        let s = state(json!({
            "film-modest": { "figures": { "beyond_slices_percent": 6.0 } },
            "loss": { "figures": { "beyond_slices_percent": 15.5 } },
        }));
        let row = ROWS.iter().find(|r| r.name == "loss").unwrap();
        let target = row.targets.iter().find(|t| t.real == OVER_LOSSLESS).unwrap();
        assert_eq!(measured(&s, row, target), Some((9.5, None)));
    }
}
