//! What was measured, as a table for people and as JSON for everything else.
//!
//! Each cell gives its own percentiles; over the rounds the table quotes the median of each percentile and, in brackets,
//! the least and the greatest. Nothing is left out: a cell that failed stands in the table with the reason.

use crate::clock;
use crate::glass::Done;
use crate::link::profile::Profile;
use crate::machine;
use crate::stack::Name;
use crate::stimulus::Kind;
use crate::summary::{Samples, Spread};
use crate::work::{Amount, LOOK_US};
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// A whole run.
pub struct Report {
    head: Map<String, Value>,
    stacks: Vec<Name>,
    /// The cells, in the order in which they were measured.
    pub cells: Vec<CellReport>,
}

/// One cell.
pub struct CellReport {
    round: u32,
    name: Name,
    kind: Kind,
    load: f64,
    result: Result<Done, String>,
}

impl CellReport {
    /// A cell as it came out.
    pub fn new(round: u32, name: Name, kind: Kind, load: f64, result: Result<Done>) -> Self {
        Self { round, name, kind, load, result: result.map_err(|e| format!("{e:#}")) }
    }

    /// Whether it could not be measured.
    pub fn failed(&self) -> bool {
        self.result.is_err()
    }

    /// One line of what matters most.
    pub fn headline(&self) -> String {
        if let Err(error) = &self.result {
            return format!("FAILED: {error}");
        }
        let cell: &[&Self] = &[self];
        match self.kind {
            Kind::Key | Kind::Typing | Kind::Menu | Kind::Beside => {
                format!("photon p50 / p95 {}", pair(cell, "photon"))
            }
            Kind::Switch | Kind::Burst | Kind::Photo => {
                format!("first exact p50 / p95 {}, again {}", pair(cell, "first_exact"), pair(cell, "again_exact"))
            }
            Kind::Scroll | Kind::Drag | Kind::Film | Kind::Grain => {
                format!("{} steps/s, age p50 / p95 {}", figure(cell, "steps_shown_per_s", 1), pair(cell, "age"))
            }
            Kind::Idle => format!("host {} % viewer {} % of a core", percent(cell, "host"), percent(cell, "viewer")),
        }
    }

    fn done(&self) -> Option<&Done> {
        self.result.as_ref().ok()
    }

    /// Everything of it.
    pub fn json(&self) -> Value {
        let head = json!({ "round": self.round, "stack": self.name.stack().name(), "work": self.kind.name(), "load": self.load });
        let done = match &self.result {
            Err(error) => json!({ "failed": error }),
            Ok(done) => {
                let m = &done.measured;
                let summaries: Map<String, Value> = m.samples.iter().map(|(n, s)| ((*n).into(), s.json())).collect();
                let traffic = m.spent.traffic.map(|t| {
                    json!({ "up": { "packets": t.up.packets, "bytes": t.up.bytes },
                            "down": { "packets": t.down.packets, "bytes": t.down.bytes } })
                });
                json!({
                    "first_picture_ms": done.connected_us as f64 / 1e3,
                    "seconds": m.spent.seconds,
                    "ms": summaries,
                    "figures": m.figures,
                    "shown": m.shown.iter().map(|(t, n, age)| json!([tenth(*t), n, tenth(*age)])).collect::<Vec<_>>(),
                    "link": m.ticks.iter().map(|t| t.json(m.begun)).collect::<Vec<_>>(),
                    "cores": m.spent.cores,
                    "cores_of_others": m.spent.others,
                    "traffic": traffic,
                    "differs_at_end": m.difference.map(|d| d.json()),
                    "samples_ms": samples_json(m.samples.iter().filter(|(n, _)| **n != "staleness")),
                    "viewer_statistics": done.statistics,
                    "notes": done.notes,
                })
            }
        };
        let mut all = Map::new();
        for part in [head, done] {
            all.extend(part.as_object().cloned().unwrap_or_default());
        }
        Value::Object(all)
    }
}

fn tenth(ms: f64) -> f64 {
    (ms * 10.0).round() / 10.0
}

/// Raw samples to a hundredth of a millisecond, which is finer than the watcher looks.
fn samples_json<'a>(samples: impl Iterator<Item = (&'a &'static str, &'a Samples)>) -> Value {
    let round = |v: &f64| (v * 100.0).round() / 100.0;
    let rows = samples.map(|(n, s)| ((*n).to_owned(), s.0.iter().map(round).collect::<Vec<_>>().into()));
    Value::Object(rows.collect())
}

impl Report {
    /// A report without cells yet.
    pub fn new(
        command: &str,
        stacks: &[Name],
        programs: &Path,
        size: (usize, usize),
        amount: Amount,
        link: Option<&Profile>,
    ) -> Self {
        let described = stacks.iter().map(|s| {
            let s = s.stack();
            json!({ "stack": s.name(), "version": s.version(programs), "settings": s.settings() })
        });
        let head = json!({
            "command": command,
            "date": clock::today(),
            "machine": machine::describe(),
            "size": format!("{}x{}", size.0, size.1),
            "presses": amount.presses,
            "seconds": amount.seconds,
            "idle": { "after_s": amount.after, "seconds": amount.idle_seconds },
            "watcher": { "looks_every_us": LOOK_US },
            "link": link.map(|l| json!({ "profile": l.name, "is": l.describe() })),
            "stacks": described.collect::<Vec<_>>(),
        });
        Self { head: head.as_object().cloned().unwrap_or_default(), stacks: stacks.to_vec(), cells: Vec::new() }
    }

    /// Everything, a line for each cell.
    ///
    /// # Errors
    /// Never: figures are numbers.
    pub fn json(&self) -> Result<String> {
        let mut head = serde_json::to_string_pretty(&self.head)?;
        head.truncate(head.trim_end().trim_end_matches('}').trim_end().len());
        let cells: Result<Vec<String>, _> = self.cells.iter().map(|c| serde_json::to_string(&c.json())).collect();
        Ok(format!("{head},\n  \"cells\": [\n    {}\n  ]\n}}\n", cells?.join(",\n    ")))
    }

    /// The tables.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let machine = &self.head["machine"];
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let loads: Vec<f64> = self.cells.iter().map(|c| c.load).collect();
        let others: Vec<f64> = self.cells.iter().filter_map(|c| Some(c.done()?.measured.spent.others)).collect();
        let rounds = self.cells.iter().map(|c| c.round).max().unwrap_or(0);
        let rig: Vec<f64> =
            self.cells.iter().filter_map(|c| c.done()?.measured.spent.cores.get("rig").copied()).collect();
        let spread = |figures: &[f64]| Spread::of(figures).map_or_else(|| "-".into(), |s| s.show(2));
        let _ = writeln!(
            out,
            "{}, {}, {rounds} interleaved rounds; {} cores of {}, {} MiB, {}, Linux {}; TCP congestion control {}.\n\
             Load average before each cell {}; cores used by everything else during the cells {}, \
             by the harness itself {}.\n",
            text(&self.head["date"]),
            text(&self.head["size"]),
            text(&machine["cores"]),
            text(&machine["processor"]),
            text(&machine["memory_mib"]),
            text(&machine["system"]),
            text(&machine["kernel"]),
            text(&machine["tcp_congestion_control"]),
            spread(&loads),
            spread(&others),
            spread(&rig),
        );
        if let Some(link) = self.head["link"]["is"].as_str() {
            let _ = writeln!(out, "Over a link of two network namespaces: {link}. Bytes are IP packets at its ends.\n");
        }
        for stack in self.head["stacks"].as_array().into_iter().flatten() {
            let [name, version, settings] = ["stack", "version", "settings"].map(|k| text(&stack[k]));
            let _ = writeln!(out, "- {name}: {version}. {settings}");
        }
        for kind in Kind::ALL {
            self.table(&mut out, kind);
        }
        self.journeys(&mut out);
        self.remarks(&mut out);
        out
    }

    fn cells_of(&self, name: Name, kind: Kind) -> Vec<&CellReport> {
        self.cells.iter().filter(|c| c.name == name && c.kind == kind && !c.failed()).collect()
    }

    fn table(&self, out: &mut String, kind: Kind) {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for name in &self.stacks {
            let cells = self.cells_of(*name, kind);
            let tried = self.cells.iter().filter(|c| c.name == *name && c.kind == kind).count();
            if tried == 0 {
                continue;
            }
            let mut row = vec![name.stack().name().to_owned()];
            row.extend(columns(kind).iter().map(|(_, show)| if cells.is_empty() { "-".into() } else { show(&cells) }));
            row.push(format!("{}/{tried}", cells.len()));
            rows.push(row);
        }
        if rows.is_empty() {
            return;
        }
        let mut titles = vec!["stack".to_owned()];
        titles.extend(columns(kind).iter().map(|(t, _)| (*t).to_owned()));
        titles.push("cells".into());
        let about = match kind {
            Kind::Key => {
                "key: a patch turns at each key press; milliseconds from the injected key to the pixels".to_owned()
            }
            Kind::Typing => "typing: a glyph appears at each key press".into(),
            Kind::Beside => "beside: a glyph appears at each key press, beside the film with strong grain".into(),
            Kind::Scroll => "scroll: a full window of text, 30 steps a second of 54 pixels".into(),
            Kind::Drag => "drag: a window of 720x480 over a photo, 60 steps a second".into(),
            Kind::Switch => {
                "switch: two full windows; milliseconds from the draw call to a screen that is exact".into()
            }
            Kind::Menu => "menu: 320x432 pixels open or close at each key press".into(),
            Kind::Film => "film: 1280x720 in a window, 30 frames a second".into(),
            Kind::Grain => "grain: the film with strong grain, which takes what the link carries".into(),
            Kind::Burst => "burst: 600x400 of noise in sixteen colours; milliseconds from the draw call".into(),
            Kind::Photo => {
                "photo: a new photograph over the whole window; milliseconds from the draw call; seen at 35 dB".into()
            }
            Kind::Idle => "idle: nothing happens".into(),
        };
        let _ = writeln!(out, "\n### {about}\n\n{}", align(&titles, &rows));
    }

    /// Where the time went, as the viewer itself stamped it, beside what the pixels showed.
    fn journeys(&self, out: &mut String) {
        for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::Idle) {
            let cells: Vec<_> = self.cells_of(Name::Telepane, kind);
            let statistics: Vec<&Value> = cells.iter().filter_map(|c| c.done()?.statistics.as_ref()).collect();
            let Some(first) = statistics.first() else { continue };
            let over = |pick: &dyn Fn(&Value) -> Option<f64>| {
                let figures: Vec<f64> = statistics.iter().filter_map(|s| pick(s)).collect();
                Spread::of(&figures).map_or_else(|| "-".into(), |s| s.show(2))
            };
            let ms = |row: &Value, key: &str| row[key].as_f64().map(|us| us / 1e3);
            let mut rows = Vec::new();
            for (i, stage) in first["journey"].as_array().into_iter().flatten().enumerate() {
                let at = |key: &'static str| over(&|s: &Value| ms(&s["journey"][i], key));
                rows.push(vec![stage["stage"].as_str().unwrap_or("?").to_owned(), at("p50_us"), at("p95_us")]);
            }
            for (title, key) in
                [("key to shown, by the stamps", "key_to_shown"), ("capture to shown, by the stamps", "age")]
            {
                let at = |p: &'static str| over(&|s: &Value| ms(&s[key], p));
                rows.push(vec![title.to_owned(), at("p50_us"), at("p95_us")]);
            }
            for (title, name) in
                [("key to photon, by the pixels", "photon"), ("draw call to photon, by the pixels", "age")]
            {
                let at = |p: f64| {
                    let figures: Vec<f64> =
                        cells.iter().filter_map(|c| c.done()?.measured.samples.get(name)?.percentile(p)).collect();
                    Spread::of(&figures).map_or_else(|| "-".into(), |s| s.show(2))
                };
                rows.push(vec![title.to_owned(), at(50.0), at(95.0)]);
            }
            let error = over(&|s: &Value| ms(s, "clock_error_us"));
            let titles = ["stage", "p50 ms", "p95 ms"].map(str::to_owned);
            let _ = writeln!(
                out,
                "\n### telepane's stages at {} (clocks related within {error} ms)\n\n{}",
                kind.name(),
                align(&titles, &rows)
            );
        }
    }

    fn remarks(&self, out: &mut String) {
        // The same remark in several rounds is one line.
        let mut lines: Vec<(String, Vec<u32>)> = Vec::new();
        let mut remark = |line: String, round: u32| match lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, rounds)) => rounds.push(round),
            None => lines.push((line, vec![round])),
        };
        for c in &self.cells {
            let title = format!("{} at {}", c.name.stack().name(), c.kind.name());
            match &c.result {
                Err(error) => remark(format!("{title} FAILED: {}", error.replace('\n', " ")), c.round),
                Ok(done) => {
                    done.notes.iter().for_each(|n| remark(format!("{title}: {n}"), c.round));
                    if let Some(d) = done.measured.difference {
                        let (pixels, largest) = (d.pixels, d.largest);
                        remark(
                            format!("{title}: not exact at the end, {pixels} pixels off by up to {largest} of 255"),
                            c.round,
                        );
                    }
                }
            }
        }
        if !lines.is_empty() {
            let _ = writeln!(out, "\n### Remarks\n");
        }
        for (line, rounds) in lines {
            let rounds: Vec<String> = rounds.iter().map(u32::to_string).collect();
            let _ = writeln!(out, "- {line} (round {})", rounds.join(", "));
        }
    }
}

type Show = fn(&[&CellReport]) -> String;

/// The columns of a work's table.
fn columns(kind: Kind) -> &'static [(&'static str, Show)] {
    match kind {
        Kind::Key => &[
            ("photon p50", |c| percentile(c, "photon", 50.0)),
            ("p95", |c| percentile(c, "photon", 95.0)),
            ("p99", |c| percentile(c, "photon", 99.0)),
            ("max", |c| percentile(c, "photon", 100.0)),
            ("to application p50", |c| percentile(c, "to_application", 50.0)),
            ("and back p50", |c| percentile(c, "age", 50.0)),
            ("B (packets)/key down", |c| per_key(c, "bytes_per_key_down", "packets_per_key_down")),
            ("up", |c| per_key(c, "bytes_per_key_up", "packets_per_key_up")),
            ("unseen", |c| total(c, "unseen")),
            ("too many", |c| total(c, "keys_too_many")),
            ("cores host + X", |c| with_x(c, "host", "host_x")),
            ("viewer + X", |c| with_x(c, "viewer", "viewer_x")),
            ("first picture s", first_picture),
        ],
        Kind::Typing | Kind::Menu | Kind::Beside => &[
            ("photon p50", |c| percentile(c, "photon", 50.0)),
            ("p95", |c| percentile(c, "photon", 95.0)),
            ("p99", |c| percentile(c, "photon", 99.0)),
            ("exact p50", |c| percentile(c, "exact", 50.0)),
            ("p95", |c| percentile(c, "exact", 95.0)),
            ("B (packets)/key down", |c| per_key(c, "bytes_per_key_down", "packets_per_key_down")),
            ("up", |c| per_key(c, "bytes_per_key_up", "packets_per_key_up")),
            ("unseen", |c| total(c, "unseen")),
            ("never exact", |c| total(c, "never_exact")),
            ("cores host + X", |c| with_x(c, "host", "host_x")),
            ("viewer + X", |c| with_x(c, "viewer", "viewer_x")),
        ],
        Kind::Scroll | Kind::Drag => &[
            ("steps/s", |c| figure(c, "steps_shown_per_s", 1)),
            ("age p50 ms", |c| percentile(c, "age", 50.0)),
            ("p95", |c| percentile(c, "age", 95.0)),
            ("stale p95 ms", |c| percentile(c, "staleness", 95.0)),
            ("longest gap ms", |c| figure(c, "longest_gap_ms", 0)),
            ("exact after stop ms", exact_after_stop),
            ("Mbit/s down", |c| figure(c, "mbit_per_s_down", 2)),
            ("up", |c| figure(c, "mbit_per_s_up", 2)),
            ("older after newer", |c| total(c, "older_after_newer")),
            ("cores host + X", |c| with_x(c, "host", "host_x")),
            ("viewer + X", |c| with_x(c, "viewer", "viewer_x")),
        ],
        Kind::Switch | Kind::Burst | Kind::Photo => &[
            ("first exact p50", |c| percentile(c, "first_exact", 50.0)),
            ("max", |c| percentile(c, "first_exact", 100.0)),
            ("first seen p50", |c| percentile(c, "first_seen", 50.0)),
            ("B down", |c| figure(c, "bytes_first", 0)),
            ("again exact p50", |c| percentile(c, "again_exact", 50.0)),
            ("max", |c| percentile(c, "again_exact", 100.0)),
            ("again seen p50", |c| percentile(c, "again_seen", 50.0)),
            ("B down", |c| figure(c, "bytes_again", 0)),
            ("unseen", |c| total(c, "unseen")),
            ("never exact", |c| total(c, "never_exact")),
            ("cores host + X", |c| with_x(c, "host", "host_x")),
            ("viewer + X", |c| with_x(c, "viewer", "viewer_x")),
        ],
        Kind::Film | Kind::Grain => &[
            ("fps", |c| figure(c, "steps_shown_per_s", 1)),
            ("age p50 ms", |c| percentile(c, "age", 50.0)),
            ("p95", |c| percentile(c, "age", 95.0)),
            ("stale p95 ms", |c| percentile(c, "staleness", 95.0)),
            ("longest gap ms", |c| figure(c, "longest_gap_ms", 0)),
            ("luma dB p50", |c| figure(c, "luma_psnr_db_p50", 1)),
            ("min", |c| figure(c, "luma_psnr_db_min", 1)),
            ("SSIM p50", |c| figure(c, "luma_ssim_p50", 3)),
            ("exact after stop ms", exact_after_stop),
            ("Mbit/s down", |c| figure(c, "mbit_per_s_down", 2)),
            ("up", |c| figure(c, "mbit_per_s_up", 2)),
            ("older after newer", |c| total(c, "older_after_newer")),
            ("cores host + X", |c| with_x(c, "host", "host_x")),
            ("viewer + X", |c| with_x(c, "viewer", "viewer_x")),
        ],
        Kind::Idle => &[
            ("host % of a core", |c| percent(c, "host")),
            ("viewer %", |c| percent(c, "viewer")),
            ("host X %", |c| percent(c, "host_x")),
            ("viewer X %", |c| percent(c, "viewer_x")),
            ("packets down", |c| figure(c, "packets_down", 0)),
            ("up", |c| figure(c, "packets_up", 0)),
            ("bit/s down", |c| figure(c, "bit_per_s_down", 0)),
            ("up", |c| figure(c, "bit_per_s_up", 0)),
        ],
    }
}

fn over(cells: &[&CellReport], digits: usize, pick: impl Fn(&Done) -> Option<f64>) -> String {
    let figures: Vec<f64> = cells.iter().filter_map(|c| pick(c.done()?)).collect();
    Spread::of(&figures).map_or_else(|| "-".into(), |s| s.show(digits))
}

fn percentile(cells: &[&CellReport], name: &str, p: f64) -> String {
    over(cells, 2, |d| d.measured.samples.get(name)?.percentile(p))
}

fn pair(cells: &[&CellReport], name: &str) -> String {
    format!("{} / {} ms", percentile(cells, name, 50.0), percentile(cells, name, 95.0))
}

fn figure(cells: &[&CellReport], name: &str, digits: usize) -> String {
    over(cells, digits, |d| d.measured.figures.get(name).copied())
}

fn percent(cells: &[&CellReport], group: &str) -> String {
    over(cells, 2, |d| d.measured.spent.cores.get(group).map(|c| c * 100.0))
}

fn per_key(cells: &[&CellReport], bytes: &str, packets: &str) -> String {
    match figure(cells, bytes, 0) {
        none if none == "-" => none,
        bytes => format!("{bytes} ({})", figure(cells, packets, 1)),
    }
}

/// Something that should be 0, over all rounds.
fn total(cells: &[&CellReport], name: &str) -> String {
    let sum: f64 = cells.iter().filter_map(|c| c.done()?.measured.figures.get(name).copied()).sum();
    format!("{sum:.0}")
}

/// Cores of a program and, apart, of the X server it works with.
fn with_x(cells: &[&CellReport], group: &str, x: &str) -> String {
    let one = |group: &str| over(cells, 2, |d| d.measured.spent.cores.get(group).copied());
    format!("{} + {}", one(group), one(x))
}

fn exact_after_stop(cells: &[&CellReport]) -> String {
    let never = cells.iter().filter(|c| c.done().is_some_and(|d| d.measured.difference.is_some())).count();
    let shown = figure(cells, "exact_after_stop_ms", 0);
    match never {
        0 => shown,
        n if n == cells.len() => "never".into(),
        n => format!("{shown}, never in {n} of {}", cells.len()),
    }
}

fn first_picture(cells: &[&CellReport]) -> String {
    over(cells, 2, |d| Some(d.connected_us as f64 / 1e6))
}

/// A Markdown table whose columns stand under one another.
pub(crate) fn align(titles: &[String], rows: &[Vec<String>]) -> String {
    let width = |i: usize| {
        let cells = rows.iter().filter_map(|r| r.get(i)).chain(titles.get(i));
        cells.map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}"));
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
    let mut out = line(titles) + &line(&rule);
    rows.iter().for_each(|r| out += &line(r));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stand_straight() {
        let rows = vec![vec!["a".to_owned(), "12.5 (1-2)".into()], vec!["longer".into(), "-".into()]];
        let table = align(&["stack".into(), "p50".into()], &rows);
        let widths: Vec<usize> = table.lines().map(|l| l.chars().count()).collect();
        assert!(widths.iter().all(|w| *w == widths[0]), "{table}");
    }

    #[test]
    fn a_failed_cell_is_named_and_the_json_is_json() {
        let amount = Amount { presses: 1, seconds: 1, after: 1, idle_seconds: 1 };
        let mut report = Report::new("glass", &[Name::Null], Path::new("target/none"), (1920, 1080), amount, None);
        let failed = Err(anyhow::anyhow!("the server went away"));
        report.cells.push(CellReport::new(1, Name::Null, Kind::Key, 0.5, failed));
        assert!(report.markdown().contains("FAILED: the server went away"));
        let value: Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(value["cells"][0]["failed"], "the server went away");
    }
}
