//! Committed results: a file for each scenario, and the difference from it, figure by figure.

use super::measure::Figures;
use super::scenario::Target;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A scenario's result as it is committed: whole numbers in the order of their names.
pub fn json(name: &str, about: &str, seed: u64, figures: &Figures, targets: &[Target]) -> Value {
    let verdict = |t: &Target| if t.met(figures) { "met" } else { "not met" };
    let held: Map<String, Value> =
        targets.iter().map(|t| (t.figure.to_owned(), json!(format!("{}, {}", t.bound, verdict(t))))).collect();
    let figures: Map<String, Value> = figures.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
    json!({ "scenario": name, "about": about, "seed": seed, "clock": "virtual", "figures": figures, "targets": held })
}

/// As text.
///
/// # Errors
/// Never: figures are numbers.
pub fn text(value: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Where a scenario's baseline is.
pub fn path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.json"))
}

/// What is different from the committed result; empty when nothing is.
///
/// # Errors
/// When the baseline is there and cannot be read.
pub fn difference(dir: &Path, name: &str, now: &Value) -> Result<String> {
    let path = path(dir, name);
    if !path.is_file() {
        return Ok(format!("{name}: no baseline; --bless writes one\n"));
    }
    let before = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    if before == text(now)? {
        return Ok(String::new());
    }
    let before: Value = serde_json::from_str(&before).with_context(|| format!("{} is no JSON", path.display()))?;
    Ok(lines(name, &before, now))
}

fn lines(name: &str, before: &Value, now: &Value) -> String {
    let mut out = format!("{name}:\n");
    let none = Map::new();
    let part = |v: &Value, key: &str| v[key].as_object().unwrap_or(&none).clone();
    let (old, new) = (part(before, "figures"), part(now, "figures"));
    let (was, is) = (part(before, "targets"), part(now, "targets"));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for figure in names {
        let (a, b) = (old.get(figure).and_then(Value::as_i64), new.get(figure).and_then(Value::as_i64));
        if a == b {
            continue;
        }
        let show = |v: Option<i64>| v.map_or_else(|| "-".into(), |v| v.to_string());
        let percent = match (a, b) {
            (Some(a), Some(b)) if a != 0 => format!("{:+.1} %", (b - a) as f64 * 100.0 / a.abs() as f64),
            _ => String::new(),
        };
        let target = |m: &Map<String, Value>| m.get(figure).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (was, is) = (target(&was), target(&is));
        let held = if was == is { is } else { format!("{is} (was: {was})") };
        let _ = writeln!(out, "  {figure:<28} {:>12} -> {:<12} {percent:>9}  {held}", show(a), show(b));
    }
    if out.lines().count() == 1 {
        out += "  only words or targets differ\n";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::scenario::Bound;

    #[test]
    fn a_difference_names_figure_percent_and_target() {
        let targets = [Target { figure: "age_p95_us", bound: Bound::AtMost(50) }];
        let of = |age, bytes| {
            let figures = Figures::from([("age_p95_us".to_owned(), age), ("bytes_down".to_owned(), bytes)]);
            json("scroll", "", 1, &figures, &targets)
        };
        let told = lines("scroll", &of(40, 7), &of(60, 7));
        assert!(told.contains("40 -> 60") && told.contains("+50.0 %"), "{told}");
        assert!(told.contains("<= 50, not met (was: <= 50, met)"), "{told}");
        assert!(!told.contains("bytes_down"), "{told}");
    }
}
