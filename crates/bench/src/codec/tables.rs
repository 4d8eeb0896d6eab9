//! The figures as Markdown, JSON and a picture.

use super::Options;
use super::equal::Side;
use super::play::{OPS, Played, STAGES};
use crate::summary::Samples;
use crate::{clock, machine};
use serde_json::{Value, json};
use std::fmt::Write as _;

fn mean(s: &Samples) -> f64 {
    s.0.iter().sum::<f64>() / s.0.len().max(1) as f64
}

fn p(s: &Samples, percent: f64) -> f64 {
    s.percentile(percent).unwrap_or(0.0)
}

/// What the run was, for the head of a report.
fn asked(options: &Options) -> String {
    let rate = options.rate.0.map_or("no limit".into(), |r| format!("{} kbit/s", r / 1000));
    format!("rate: {rate}; confirmations after {} ms; slices of at most {} B", options.rtt, options.slice)
}

/// The tables: bytes, CPU, quality, and the other ways.
pub fn markdown(all: &[Played], options: &Options, load: f64) -> String {
    let mut out = String::new();
    let machine = machine::describe();
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "Codec alone, {}; load {load}; {}, {} cores\n",
        asked(options),
        machine["processor"],
        machine["cores"]
    );
    let _ = writeln!(out, "Date: {}. CPU of one thread in ms. Every frame was decoded and verified.\n", clock::today());
    let _ = write!(out, "| sequence | jobs | first kB | mean B | p95 B | total kB | moves |");
    OPS.iter().for_each(|op| _ = write!(out, " {op} mean/p95 B |"));
    let _ = writeln!(out, "\n|---|{}", "---|".repeat(6 + OPS.len()));
    for s in all {
        let kb = [s.first_bytes, s.total()].map(|b| b as f64 / 1e3);
        let (m, p95) = (mean(&s.bytes), p(&s.bytes, 95.0));
        let _ = write!(
            out,
            "| {} | {} | {:.1} | {m:.0} | {p95:.0} | {:.1} | {} |",
            s.name,
            s.jobs(),
            kb[0],
            kb[1],
            s.moves()
        );
        s.ops.iter().for_each(|op| _ = write!(out, " {:.0}/{:.0} |", mean(op), p(op, 95.0)));
        out.push('\n');
    }
    let (jobs, first) = (all.iter().map(Played::jobs).sum::<usize>(), all.iter().map(|s| s.first_bytes).sum::<u64>());
    let total: u64 = all.iter().map(Played::total).sum();
    let every = Samples(all.iter().flat_map(|s| s.bytes.0.iter().copied()).collect());
    let moves: usize = all.iter().map(Played::moves).sum();
    let (first, total) = (first as f64 / 1e3, total as f64 / 1e3);
    let _ = write!(
        out,
        "| all | {jobs} | {first:.1} | {:.0} | {:.0} | {total:.1} | {moves} |",
        mean(&every),
        p(&every, 95.0)
    );
    for i in 0..OPS.len() {
        let op = Samples(all.iter().flat_map(|s| s.ops[i].0.iter().copied()).collect());
        let _ = write!(out, " {:.0}/{:.0} |", mean(&op), p(&op, 95.0));
    }
    let _ = write!(out, "\n\n| sequence | encode mean/p95 |");
    STAGES.iter().for_each(|(_, name)| _ = write!(out, " {name} mean/p95 |"));
    let _ =
        writeln!(out, " decode mean/p95 | scan p50 | memcmp p50 | ratio |\n|---|{}", "---|".repeat(STAGES.len() + 5));
    for s in all {
        let _ = write!(out, "| {} | {:.2}/{:.2} |", s.name, mean(&s.encode), p(&s.encode, 95.0));
        s.stages.iter().for_each(|stage| _ = write!(out, " {:.2}/{:.2} |", mean(stage), p(stage, 95.0)));
        let (scan, memcmp) = (p(&s.scan, 50.0), p(&s.memcmp, 50.0));
        let ratio = if memcmp > 0.0 { format!("{:.2}", scan / memcmp) } else { "-".into() };
        let _ =
            writeln!(out, " {:.2}/{:.2} | {scan:.2} | {memcmp:.2} | {ratio} |", mean(&s.decode), p(&s.decode, 95.0));
    }
    let _ = writeln!(
        out,
        "\n| sequence | tiles exact at first pass | lossy dB | to exact ms p50/p95 | text B/px | jobs with film |\n|---|---|---|---|---|---|"
    );
    for s in all {
        let db = s.lossy_db().map_or("-".into(), |db| format!("{db:.1}"));
        let (exact, share) = (s.exact_ms(), s.first_pass_share() * 100.0);
        let text = s.text_density().map_or("-".into(), |d| format!("{d:.4}"));
        let (p50, p95) = (p(exact, 50.0), p(exact, 95.0));
        let _ = writeln!(out, "| {} | {share:.1} % | {db} | {p50:.1}/{p95:.1} | {text} | {} |", s.name, s.films());
    }
    if all.iter().any(|s| !s.baselines().is_empty()) {
        let _ = writeln!(
            out,
            "\n| sequence | way | mean B | p95 B | total kB | times ours | encode mean ms | dB |\n|---|---|---|---|---|---|---|---|"
        );
        for s in all {
            for b in s.baselines() {
                let total = b.bytes.0.iter().sum::<f64>();
                let db = b.db.map_or("-".into(), |db| format!("{db:.1}"));
                let (m, p95, times) = (mean(&b.bytes), p(&b.bytes, 95.0), total / (s.total().max(1)) as f64);
                let (kb, ms) = (total / 1e3, mean(&b.encode));
                let _ = writeln!(
                    out,
                    "| {} | {} | {m:.0} | {p95:.0} | {kb:.1} | {times:.1} | {ms:.2} | {db} |",
                    s.name, b.name
                );
            }
        }
    }
    out.push_str(&equal(all));
    out
}

/// The films beside openh264 at the same quality.
fn equal(all: &[Played]) -> String {
    let mut out = String::new();
    if all.iter().all(|s| s.equal.is_empty()) {
        return out;
    }
    let _ = writeln!(
        out,
        "\n| sequence | film by | frames | mean B | total kB | times ours | encode mean ms | times ours | dB | kbit/s asked |\n|---|{}",
        "---|".repeat(9)
    );
    for s in all {
        let Some(ours) = s.equal.first() else { continue };
        for side in &s.equal {
            let times = |of: fn(&Side) -> &Samples| mean(of(side)) / mean(of(ours)).max(1e-9);
            let rate = side.rate.map_or("-".into(), |r| (r / 1000).to_string());
            let (m, frames, ms) = (mean(&side.bytes), side.bytes.0.len(), mean(&side.encode));
            let _ = writeln!(
                out,
                "| {} | {} | {frames} | {m:.0} | {:.1} | {:.2} | {ms:.2} | {:.2} | {:.2} | {rate} |",
                s.name,
                side.name,
                m * frames as f64 / 1e3,
                times(|s| &s.bytes),
                times(|s| &s.encode),
                side.db
            );
        }
    }
    out
}

/// Everything, for programs.
pub fn json(all: &[Played], options: &Options, load: f64) -> Value {
    let figures = |s: &Samples| json!({ "mean": mean(s), "p50": p(s, 50.0), "p95": p(s, 95.0) });
    let sequence = |s: &Played| {
        let ops: serde_json::Map<_, _> = OPS.iter().zip(&s.ops).map(|(n, op)| ((*n).into(), figures(op))).collect();
        let stages: serde_json::Map<_, _> =
            STAGES.iter().zip(&s.stages).map(|((_, n), ms)| ((*n).into(), figures(ms))).collect();
        let other = s.baselines().iter().map(
            |b| json!({ "way": b.name, "bytes": figures(&b.bytes), "encode_ms": figures(&b.encode), "luma_db": b.db }),
        );
        let equal = s.equal.iter().map(|e| {
            json!({ "by": e.name, "bytes": figures(&e.bytes), "encode_ms": figures(&e.encode), "luma_db": e.db, "bps": e.rate })
        });
        json!({
            "sequence": s.name, "jobs": s.jobs(), "first_bytes": s.first_bytes, "total_bytes": s.total(),
            "moves": s.moves(), "film_jobs": s.films(), "bytes": figures(&s.bytes), "ops": ops, "encode_ms": figures(&s.encode),
            "stages_ms": stages, "decode_ms": figures(&s.decode), "scan_ms": figures(&s.scan),
            "memcmp_ms": figures(&s.memcmp), "exact_at_first_pass": s.first_pass_share(), "lossy_db": s.lossy_db(),
            "to_exact_ms": figures(s.exact_ms()), "baselines": other.collect::<Vec<_>>(),
            "equal_film": equal.collect::<Vec<_>>(),
        })
    };
    json!({
        "version": 1, "clock": "CPU of the thread; to_exact on a virtual clock where there is a rate",
        "machine": machine::describe(), "load": load, "date": clock::today(), "asked": asked(options),
        "sequences": all.iter().map(sequence).collect::<Vec<_>>(),
    })
}

/// Bytes over jobs, a row for each recording, by a logarithm.
pub fn svg(all: &[Played]) -> String {
    let (w, row) = (900.0, 90.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        row * all.len() as f64 + 10.0
    );
    for (i, s) in all.iter().enumerate() {
        let floor = row * (i as f64 + 1.0) - 8.0;
        let step = (w - 160.0) / s.jobs().max(1) as f64;
        // Six decades, 1 B to 1 MB, in the row's height.
        let height = |bytes: f64| bytes.max(1.0).log10() / 6.0 * (row - 20.0);
        let _ = writeln!(
            out,
            "<text x=\"4\" y=\"{floor}\">{}</text><text x=\"4\" y=\"{}\">{:.1} kB</text>",
            s.name,
            floor - 14.0,
            s.total() as f64 / 1e3
        );
        for (n, bytes) in s.bytes.0.iter().enumerate() {
            let (x, h) = (150.0 + n as f64 * step, height(*bytes));
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{h:.1}\" fill=\"#357\"/>",
                floor - h,
                (step * 0.8).max(0.5)
            );
        }
    }
    out.push_str("</svg>\n");
    out
}
