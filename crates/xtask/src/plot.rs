//! `cargo xtask plot JOURNAL`: pace, share, queue and the rare events of a journal over time, as one SVG.
//!
//! A journal is lines; a line begins with its time and then names a note and its figures. Read are the note's own
//! debug form (`1234567 Budget { pace: 20000kbit/s, queue: 3.100ms, … }`), `key=value` pairs, and one JSON
//! object per line; a time without a point is in microseconds, one with a point in seconds. Lines that are none of
//! these are passed over and counted. Units are those of the notes: `kbit/s` and `ms` are shown as they stand.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::sources;

/// Draws `journal` beside itself, or to `out`.
///
/// # Errors
/// When it cannot be read, holds nothing to draw, or the picture cannot be written.
pub fn run(journal: &Path, out: Option<&Path>) -> Result<()> {
    let text = sources::read(journal)?;
    let version =
        text.lines().next().and_then(|line| line.strip_prefix("telepane-notes ")).map(|rest| rest.split(' ').next());
    if version.is_some_and(|version| version != Some("1")) {
        bail!("{} was written by a newer Telepane; draw it with that one's xtask", journal.display());
    }
    let story = Story::read(&text);
    if story.series.is_empty() && story.events.is_empty() {
        bail!("{} holds no line of a journal; --notes FILE writes one", journal.display());
    }
    let out: PathBuf = out.map_or_else(|| journal.with_extension("svg"), Path::to_path_buf);
    std::fs::write(&out, story.svg()).with_context(|| format!("{} cannot be written", out.display()))?;
    let events: usize = story.events.values().map(Vec::len).sum();
    let points: usize = story.series.values().map(Vec::len).sum();
    println!("{}: {points} points, {events} events, {} lines passed over", out.display(), story.passed_over);
    Ok(())
}

/// A journal, read: times in seconds.
#[derive(Default, Debug)]
struct Story {
    /// Figures over time, by the figure's name (`pace`, `queue`).
    series: BTreeMap<String, Vec<(f64, f64)>>,
    /// When each kind of note happened.
    events: BTreeMap<String, Vec<f64>>,
    passed_over: usize,
}

impl Story {
    fn read(text: &str) -> Story {
        let mut story = Story::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let Some((at, rest)) = time(line) else {
                story.passed_over += 1;
                continue;
            };
            let kind = kind(rest);
            for (key, value) in figures(rest) {
                if DRAWN.iter().any(|(_, keys)| keys.contains(&key)) {
                    story.series.entry(key.to_owned()).or_default().push((at, value));
                }
            }
            if let Some(kind) = kind {
                story.events.entry(kind.to_owned()).or_default().push(at);
            }
        }
        // What happens all the time is no event; what it measures is drawn above.
        for usual in USUAL {
            story.events.remove(*usual);
        }
        story
    }

    fn svg(&self) -> String {
        let times = self.series.values().flatten().map(|(at, _)| *at).chain(self.events.values().flatten().copied());
        let (first, last) = times.fold((f64::MAX, f64::MIN), |(low, high), at| (low.min(at), high.max(at)));
        let span = (last - first).max(1e-6);
        let x = |at: f64| LEFT + (at - first) / span * WIDTH;
        let mut body = String::new();
        let mut top = 30.0;
        for (title, keys) in DRAWN {
            let drawn: Vec<(&str, &Vec<(f64, f64)>)> =
                keys.iter().filter_map(|key| self.series.get(*key).map(|points| (*key, points))).collect();
            if drawn.is_empty() {
                continue;
            }
            let high = drawn.iter().flat_map(|(_, points)| points.iter()).map(|(_, value)| *value).fold(1e-9, f64::max);
            let y = |value: f64| top + PANEL - value / high * PANEL;
            let _ = writeln!(body, "<text x=\"{LEFT}\" y=\"{:.0}\">{title}, up to {high}</text>", top - 6.0);
            let _ = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{PANEL}\" fill=\"#f6f6f6\" stroke=\"#bbb\"/>"
            );
            for (index, (key, points)) in drawn.iter().enumerate() {
                // A figure holds until the next one: steps, not slopes.
                let mut path = String::new();
                let mut before = None;
                for (at, value) in *points {
                    match before {
                        None => _ = write!(path, "M{:.1} {:.1}", x(*at), y(*value)),
                        Some(_) => _ = write!(path, "H{:.1}V{:.1}", x(*at), y(*value)),
                    }
                    before = Some(*value);
                }
                let colour = COLOURS[index % COLOURS.len()];
                let _ = writeln!(body, "<path d=\"{path}H{:.1}\" fill=\"none\" stroke=\"{colour}\"/>", LEFT + WIDTH);
                let label = LEFT + WIDTH - 60.0 * (drawn.len() - index) as f64;
                let _ = writeln!(body, "<text x=\"{label:.0}\" y=\"{:.0}\" fill=\"{colour}\">{key}</text>", top - 6.0);
            }
            top += PANEL + 40.0;
        }
        for (kind, times) in &self.events {
            let _ = writeln!(body, "<text x=\"8\" y=\"{:.0}\">{} ({})</text>", top + 4.0, escape(kind), times.len());
            for at in times {
                let _ =
                    writeln!(body, "<path d=\"M{0:.1} {1:.0}V{2:.0}\" stroke=\"#a33\"/>", x(*at), top - 6.0, top + 6.0);
            }
            top += 20.0;
        }
        let _ = writeln!(body, "<text x=\"{LEFT}\" y=\"{:.0}\">{first:.3} s</text>", top + 10.0);
        let _ = writeln!(body, "<text x=\"{:.0}\" y=\"{:.0}\">{last:.3} s</text>", LEFT + WIDTH - 60.0, top + 10.0);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n",
            LEFT + WIDTH + 20.0,
            top + 30.0
        )
    }
}

/// A line's time in seconds, and what follows it.
fn time(line: &str) -> Option<(f64, &str)> {
    let line = line.trim_start();
    if line.starts_with('{') {
        let at = ["t_us", "at_us", "at", "t"].iter().find_map(|key| figures(line).find(|(name, _)| name == key));
        return at.map(|(_, micros)| (micros / 1e6, line));
    }
    // A stamp names its clock first: `host:1.500000`.
    let line = line
        .split_once(':')
        .map_or(line, |(clock, rest)| if clock.chars().all(char::is_alphabetic) { rest } else { line });
    let end = line.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(line.len());
    let (figure, rest) = line.split_at(end);
    let value: f64 = figure.parse().ok()?;
    Some((if figure.contains('.') { value } else { value / 1e6 }, rest))
}

/// The first capitalised word: a note's kind.
fn kind(rest: &str) -> Option<&str> {
    rest.split(|c: char| !c.is_alphanumeric()).find(|word| {
        word.len() > 2
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.contains(|c: char| c.is_ascii_lowercase())
    })
}

/// Every `name: 12.5`, `name=12`, `"name":12` and `name: Wrapper(12)` of a line.
fn figures(line: &str) -> impl Iterator<Item = (&str, f64)> {
    line.match_indices([':', '=']).filter_map(|(at, _)| {
        let before = line[..at].trim_end_matches('"');
        let from = before.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |index| index + 1);
        let key = &before[from..];
        let after = line[at + 1..].trim_start_matches([' ', '"']);
        let after = after.trim_start_matches(|c: char| c.is_alphabetic() || c == '_').trim_start_matches('(');
        let end = after.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).unwrap_or(after.len());
        let value = after[..end].parse().ok()?;
        (!key.is_empty()).then_some((key, value))
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// The panels from the top: a title and the figures drawn in it.
const DRAWN: &[(&str, &[&str])] = &[
    ("rate, as noted (kbit/s)", &["pace", "share", "capacity"]),
    ("queue, as noted (ms)", &["queue"]),
    ("input's age, as noted (ms)", &["age"]),
    ("slice, bytes", &["bytes"]),
];

/// Kinds that come with every packet.
const USUAL: &[&str] = &["Budget", "SliceSent", "Applied", "Injected"];

const LEFT: f64 = 140.0;
const WIDTH: f64 = 900.0;
const PANEL: f64 = 120.0;
const COLOURS: &[&str] = &["#2166ac", "#b2182b", "#4d9221"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_manners_of_a_line_say_the_same() {
        for line in [
            "1.500000 host Budget { pace: 20000kbit/s, queue: 3.100ms, why: Track }",
            "1500000 host Budget pace=20000 queue=3.1",
            "host:1.500000 Budget { pace: 20000kbit/s, queue: 3.100ms }",
            "{\"t_us\":1500000,\"note\":\"Budget\",\"pace\":20000,\"queue\":3.1}",
            "1500000 host Budget { pace: BitRate(20000), queue: Span(3.1) }",
        ] {
            let story = Story::read(line);
            assert_eq!(story.series["pace"], [(1.5, 20000.0)], "{line}");
            assert_eq!(story.series["queue"], [(1.5, 3.1)], "{line}");
        }
    }

    #[test]
    fn rare_notes_are_events_and_noise_is_counted() {
        let story = Story::read(
            "0 v GaveUp { at: UpdateId(7) }\n1000000 h Refreshed\nsome prose\n2000000 h Applied { id: UpdateId(3) }\n",
        );
        assert_eq!(story.events["GaveUp"], [0.0]);
        assert_eq!(story.events["Refreshed"], [1.0]);
        assert!(!story.events.contains_key("Applied"));
        assert_eq!(story.passed_over, 1);
    }

    #[test]
    fn a_picture_is_well_formed_even_for_one_point() {
        let svg = Story::read("5 host Budget { pace: 1kbit/s }\n5 host Refreshed").svg();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
