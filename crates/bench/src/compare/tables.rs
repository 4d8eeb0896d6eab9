//! Tables from a comparison's file: for each work a row for each network and stack, medians over the rounds with the
//! least and the greatest.

use crate::report::align;
use crate::stimulus::Kind;
use crate::summary::{Samples, Spread};
use serde_json::Value;
use std::fmt::Write as _;

/// The cells of a file.
pub struct Cells<'a> {
    /// Everything else of the file.
    pub head: &'a Value,
    cells: Vec<&'a Value>,
    /// Stacks by name, in their order.
    pub stacks: Vec<&'a str>,
    /// Networks by name, in their order; the floor's is `-`.
    pub networks: Vec<&'a str>,
}

impl<'a> Cells<'a> {
    /// Reads a file's value.
    pub fn of(value: &'a mut Value) -> Self {
        let value: &'a Value = value;
        let names = |key: &str| -> Vec<&'a str> {
            value["plan"][key].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let cells = value["cells"].as_array().map(|c| c.iter().collect()).unwrap_or_default();
        let mut networks = vec!["-"];
        networks.extend(names("networks"));
        Self { head: value, cells, stacks: names("stacks"), networks }
    }

    /// Cells that failed.
    pub fn failed(&self) -> usize {
        self.cells.iter().filter(|c| !c["failed"].is_null()).count()
    }

    /// The cells that came out, of a stack at a work over a network.
    pub fn at(&self, stack: &str, work: &str, network: &str) -> Vec<&'a Value> {
        let wanted =
            |c: &&&Value| c["failed"].is_null() && c["stack"] == stack && c["work"] == work && c["network"] == network;
        self.cells.iter().filter(wanted).copied().collect()
    }

    /// The cells that came out, of a stack at any work over a network.
    pub fn over(&self, stack: &str, network: &str) -> Vec<&'a Value> {
        let wanted = |c: &&&Value| c["failed"].is_null() && c["stack"] == stack && c["network"] == network;
        self.cells.iter().filter(wanted).copied().collect()
    }

    fn tried(&self, stack: &str, work: &str, network: &str) -> usize {
        self.cells.iter().filter(|c| c["stack"] == stack && c["work"] == work && c["network"] == network).count()
    }

    /// A network's round trip as ping found it before the run, else as set.
    pub fn rtt(&self, network: &str) -> Option<f64> {
        let found = self.head["networks"].as_array()?.iter().find(|n| n["profile"] == network)?;
        found["rtt_ms"].as_f64().or_else(|| found["rtt_set_ms"].as_f64())
    }
}

/// A figure of some cells: `figures/NAME`, `cores/NAME`, `ms/NAME/p95` or `up+down/…`.
pub fn figure(cells: &[&Value], path: &[&str]) -> Option<Spread> {
    let pick = |c: &&Value| path.iter().fold(*c, |v, key| &v[key]).as_f64();
    Spread::of(&cells.iter().filter_map(pick).collect::<Vec<_>>())
}

/// The sum of a side's cores, its X server included.
pub fn cores(cells: &[&Value], side: &str) -> Option<Spread> {
    let x = format!("{side}_x");
    let pick = |c: &&Value| Some(c["cores"][side].as_f64()? + c["cores"][x.as_str()].as_f64().unwrap_or(0.0));
    Spread::of(&cells.iter().filter_map(pick).collect::<Vec<_>>())
}

type Show = fn(&[&Value]) -> String;

fn show(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(|| "-".into(), |s| s.show(digits))
}

fn ms(cells: &[&Value], name: &str, p: &str) -> String {
    show(figure(cells, &["ms", name, p]), 1)
}

fn fig(cells: &[&Value], name: &str, digits: usize) -> String {
    show(figure(cells, &["figures", name]), digits)
}

fn both_cores(cells: &[&Value]) -> String {
    format!("{} / {}", show(cores(cells, "host"), 2), show(cores(cells, "viewer"), 2))
}

fn exact(cells: &[&Value]) -> String {
    let never = cells.iter().filter(|c| !c["differs_at_end"].is_null()).count();
    match never {
        0 => fig(cells, "exact_after_stop_ms", 0),
        n if n == cells.len() => "never".into(),
        n => format!("{}, never in {n}", fig(cells, "exact_after_stop_ms", 0)),
    }
}

fn columns(kind: Kind) -> &'static [(&'static str, Show)] {
    const MOVES: &[(&str, Show)] = &[
        ("steps/s", |c| fig(c, "steps_shown_per_s", 1)),
        ("age p50", |c| ms(c, "age", "p50")),
        ("p95", |c| ms(c, "age", "p95")),
        ("stale p95", |c| ms(c, "staleness", "p95")),
        ("longest gap", |c| fig(c, "longest_gap_ms", 0)),
        ("exact after stop", exact),
        ("Mbit/s down", |c| fig(c, "mbit_per_s_down", 2)),
        ("up", |c| fig(c, "mbit_per_s_up", 2)),
        ("cores host / viewer", both_cores),
    ];
    match kind {
        Kind::Key | Kind::Typing | Kind::Menu | Kind::Beside => &[
            ("photon p50", |c| ms(c, "photon", "p50")),
            ("p95", |c| ms(c, "photon", "p95")),
            ("max", |c| ms(c, "photon", "max")),
            ("exact p50", |c| ms(c, "exact", "p50")),
            ("p95", |c| ms(c, "exact", "p95")),
            ("B/key down", |c| fig(c, "bytes_per_key_down", 0)),
            ("up", |c| fig(c, "bytes_per_key_up", 0)),
            ("unseen", |c| fig(c, "unseen", 0)),
            ("never exact", |c| fig(c, "never_exact", 0)),
            ("cores host / viewer", both_cores),
        ],
        Kind::Switch | Kind::Burst | Kind::Photo => &[
            ("first seen p50", |c| ms(c, "first_seen", "p50")),
            ("first exact p50", |c| ms(c, "first_exact", "p50")),
            ("max", |c| ms(c, "first_exact", "max")),
            ("B down", |c| fig(c, "bytes_first", 0)),
            ("again seen p50", |c| ms(c, "again_seen", "p50")),
            ("again exact p50", |c| ms(c, "again_exact", "p50")),
            ("max", |c| ms(c, "again_exact", "max")),
            ("B down", |c| fig(c, "bytes_again", 0)),
            ("never exact", |c| fig(c, "never_exact", 0)),
            ("cores host / viewer", both_cores),
        ],
        Kind::Film | Kind::Grain => &[
            ("fps", |c| fig(c, "steps_shown_per_s", 1)),
            ("age p50", |c| ms(c, "age", "p50")),
            ("p95", |c| ms(c, "age", "p95")),
            ("stale p95", |c| ms(c, "staleness", "p95")),
            ("longest gap", |c| fig(c, "longest_gap_ms", 0)),
            ("luma dB", |c| fig(c, "luma_psnr_db_p50", 1)),
            ("SSIM", |c| fig(c, "luma_ssim_p50", 3)),
            ("exact after stop", exact),
            ("Mbit/s down", |c| fig(c, "mbit_per_s_down", 2)),
            ("up", |c| fig(c, "mbit_per_s_up", 2)),
            ("cores host / viewer", both_cores),
        ],
        Kind::Scroll | Kind::Drag => MOVES,
        Kind::Idle => &[
            ("bit/s down", |c| fig(c, "bit_per_s_down", 0)),
            ("up", |c| fig(c, "bit_per_s_up", 0)),
            ("cores host / viewer", both_cores),
        ],
    }
}

/// Head, a table for each work, what failed and what was noted.
pub fn markdown(cells: &Cells) -> String {
    let mut out = String::new();
    let head = cells.head;
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let machine = &head["machine"];
    let all = |path: &[&str]| show(figure(&cells.cells, path), 2);
    let _ = writeln!(
        out,
        "# Side by side, {}\n\n{}, {} cores of {}, {}, Linux {}. Load average before each cell {}; cores used by \
         others {}, by the watcher {}, by the emulated link {}.\n",
        text(&head["date"]),
        text(&head["plan"]["size"]),
        text(&machine["cores"]),
        text(&machine["processor"]),
        text(&machine["system"]),
        text(&machine["kernel"]),
        all(&["load"]),
        all(&["cores_of_others"]),
        all(&["cores", "rig"]),
        all(&["cores", "link"]),
    );
    for run in head["runs"].as_array().into_iter().flatten() {
        let minutes = run["seconds"].as_f64().unwrap_or(0.0) / 60.0;
        let _ = writeln!(out, "{} cells were measured in {minutes:.0} minutes.\n", run["cells"]);
    }
    for stack in head["stacks"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "- {}: {}. {}", text(&stack["stack"]), text(&stack["version"]), text(&stack["settings"]));
    }
    for stack in head["joined_later"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "- {} was measured after the others, not in turn with them.", text(stack));
    }
    let _ = writeln!(out);
    for n in head["networks"].as_array().into_iter().flatten() {
        let rtt = n["rtt_ms"].as_f64().map_or_else(|| "-".into(), |v| format!("{v:.1}"));
        let name = text(&n["profile"]);
        let _ = writeln!(out, "- {name}: {}; RTT by ping {rtt} ms; TCP {}", text(&n["is"]), text(&n["congestion"]));
    }
    for kind in Kind::ALL {
        table(&mut out, cells, kind);
    }
    squeezes(&mut out, cells);
    remarks(&mut out, cells);
    out
}

fn table(out: &mut String, cells: &Cells, kind: Kind) {
    let mut rows = Vec::new();
    for network in &cells.networks {
        for stack in &cells.stacks {
            let tried = cells.tried(stack, kind.name(), network);
            if tried == 0 {
                continue;
            }
            let of = cells.at(stack, kind.name(), network);
            let mut row = vec![(*network).to_owned(), (*stack).to_owned()];
            row.extend(columns(kind).iter().map(|(_, show)| if of.is_empty() { "-".into() } else { show(&of) }));
            row.push(format!("{}/{tried}", of.len()));
            rows.push(row);
        }
    }
    if rows.is_empty() {
        return;
    }
    let mut titles = vec!["network".to_owned(), "stack".into()];
    titles.extend(columns(kind).iter().map(|(t, _)| (*t).to_owned()));
    titles.push("cells".into());
    let _ = writeln!(out, "\n## {} (milliseconds)\n\n{}", kind.name(), align(&titles, &rows));
}

/// What a drop of the rate did.
fn squeezes(out: &mut String, cells: &Cells) {
    let columns = [
        ("steps/s in the squeeze", "squeeze_steps_per_s"),
        ("age p95", "squeeze_age_p95_ms"),
        ("longest gap", "squeeze_gap_ms"),
        ("first second: age p95", "transient_age_p95_ms"),
        ("gap", "transient_gap_ms"),
        ("greatest queue", "squeeze_queue_ms"),
        ("after 0.6 s", "squeeze_queue_after_600_ms"),
    ];
    let mut rows = Vec::new();
    for kind in [Kind::Scroll, Kind::Drag, Kind::Film, Kind::Grain] {
        for (network, stack) in cells.networks.iter().flat_map(|n| cells.stacks.iter().map(move |s| (n, s))) {
            let of = cells.at(stack, kind.name(), network);
            if figure(&of, &["figures", "squeeze_steps_per_s"]).is_none() {
                continue;
            }
            let mut row = vec![kind.name().to_owned(), (*network).to_owned(), (*stack).to_owned()];
            row.extend(columns.iter().map(|(_, name)| fig(&of, name, 0)));
            rows.push(row);
        }
    }
    if !rows.is_empty() {
        let titles = ["work", "network", "stack"].into_iter().chain(columns.iter().map(|c| c.0)).map(str::to_owned);
        let titles: Vec<String> = titles.collect();
        let _ = writeln!(out, "\n## While the rate is down (milliseconds)\n\n{}", align(&titles, &rows));
    }
}

fn remarks(out: &mut String, cells: &Cells) {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for c in &cells.cells {
        let text = |key: &str| c[key].as_str().unwrap_or("?").to_owned();
        let title = format!("{} at {} over {}", text("stack"), text("work"), text("network"));
        let mut said: Vec<String> = Vec::new();
        if let Some(why) = c["failed"].as_str() {
            said.push(format!("{title} FAILED: {}", why.replace('\n', " ")));
        }
        let notes = c["notes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        said.extend(notes.map(|n| format!("{title}: {n}")));
        if let Some(pixels) = c["differs_at_end"]["pixels"].as_u64() {
            let largest = &c["differs_at_end"]["largest"];
            said.push(format!("{title}: not exact 3 s after the end, {pixels} pixels off by up to {largest} of 255"));
        }
        for line in said {
            match lines.iter_mut().find(|(known, _)| *known == line) {
                Some((_, times)) => *times += 1,
                None => lines.push((line, 1)),
            }
        }
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "\n## Remarks\n");
    }
    for (line, times) in lines {
        let _ = writeln!(out, "- {line}{}", if times > 1 { format!(" ({times} times)") } else { String::new() });
    }
}

/// Samples of a name over all cells, for a plot.
pub fn samples(cells: &[&Value], name: &str) -> Samples {
    let rows = cells.iter().filter_map(|c| c["samples_ms"][name].as_array()).flatten();
    Samples(rows.filter_map(Value::as_f64).collect())
}
