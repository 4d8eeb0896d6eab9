//! The measured journey of a key press, as the client's `--stats-json` tells it, as a table.
//!
//! The object holds `"journey": [{ "stage", "p50_us", "p95_us" }, …]`, stages in the order of the way, and for the whole of
//! it `"key_to_shown": { "p50_us", "p95_us" }`. What is absent is said to be absent; no figure is made up.

use std::fmt::Write;

use serde_json::Value;

use crate::tree::{items, text};

/// The table, or what to say when there is none.
pub fn table(stats: &Value) -> String {
    let mut rows: Vec<(&str, Option<u64>, Option<u64>)> = items(&stats["journey"])
        .map(|row| (text(&row["stage"]), row["p50_us"].as_u64(), row["p95_us"].as_u64()))
        .filter(|(stage, ..)| !stage.is_empty())
        .collect();
    if rows.iter().all(|(_, p50, _)| p50.is_none()) {
        return "the client measured no key press: its statistics hold no journey\n".to_owned();
    }
    let whole = &stats["key_to_shown"];
    rows.push(("key to shown", whole["p50_us"].as_u64(), whole["p95_us"].as_u64()));
    let width = rows.iter().map(|(stage, ..)| stage.chars().count()).max().unwrap_or(0);
    let mut table = String::new();
    let _ = writeln!(table, "{:<width$}  {:>9}  {:>9}", "stage", "p50 ms", "p95 ms");
    for (stage, p50, p95) in rows {
        let _ = writeln!(table, "{stage:<width$}  {:>9}  {:>9}", milliseconds(p50), milliseconds(p95));
    }
    table
}

fn milliseconds(micros: Option<u64>) -> String {
    micros.map_or_else(|| "-".to_owned(), |micros| format!("{}.{:03}", micros / 1000, micros % 1000))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stages_stand_in_order_with_milliseconds() {
        let stats = json!({ "journey": [
            { "stage": "sent to injected", "p50_us": 412, "p95_us": 1003 }, { "stage": "shown", "p50_us": 12_345 },
        ], "key_to_shown": { "p50_us": 20_000, "p95_us": null } });
        let table = table(&stats);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[1], "sent to injected      0.412      1.003");
        assert_eq!(lines[2], "shown                12.345          -");
        assert_eq!(lines[3], "key to shown         20.000          -");
    }

    #[test]
    fn nothing_measured_is_said() {
        for stats in [
            json!({}),
            json!({ "journey": [] }),
            json!({ "journey": 3 }),
            json!(null),
            json!({ "journey": [{}, { "stage": "network", "p50_us": null }] }),
        ] {
            assert!(table(&stats).contains("no journey"), "{stats}");
        }
    }
}
