//! `cargo xtask plot JOURNAL…`: rate, capacity, queue, ages and the rare events of journals over time, as one SVG.
//!
//! A host's and a viewer's journal of one session go into one picture: what the viewer says of each frame (when it was
//! captured, and how old it was when shown) relates its clock to the host's.
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

/// Draws `journals` beside the first of them, or to `out`.
///
/// # Errors
/// When one cannot be read, none holds anything to draw, or the picture cannot be written.
pub fn run(journals: &[PathBuf], out: Option<&Path>) -> Result<()> {
    let first = journals.first().context("no journal")?;
    let mut story = Story::default();
    for journal in journals {
        let text = sources::read(journal)?;
        let header = text.lines().next().and_then(|line| line.strip_prefix("telepane-notes "));
        if header.is_some_and(|rest| rest.split(' ').next() != Some("1")) {
            bail!("{} was written by a newer Telepane; draw it with that one's xtask", journal.display());
        }
        let ahead = match header {
            Some(rest) if rest.ends_with("viewer") && journals.len() > 1 => clocks(&text).with_context(|| {
                format!(
                    "{} shows no frame, so nothing relates its clock to the host's; draw it alone",
                    journal.display()
                )
            })?,
            _ => 0.0,
        };
        story.add(&text, ahead);
    }
    story.finish();
    if story.series.is_empty() && story.events.is_empty() {
        bail!("{} holds no line of a journal; --notes FILE writes one", first.display());
    }
    let out: PathBuf = out.map_or_else(|| first.with_extension("svg"), Path::to_path_buf);
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
    /// Bytes of slices sent, by the tenth of a second.
    sent: BTreeMap<u64, f64>,
    passed_over: usize,
}

impl Story {
    #[cfg(test)]
    fn read(text: &str) -> Story {
        let mut story = Story::default();
        story.add(text, 0.0);
        story.finish();
        story
    }

    /// Adds a journal whose clock is so many seconds behind the picture's.
    fn add(&mut self, text: &str, ahead: f64) {
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("telepane-notes ")) {
            let Some((at, rest)) = time(line) else {
                self.passed_over += 1;
                continue;
            };
            let at = at + ahead;
            let kind = kind(rest);
            for (key, value) in figures(rest) {
                let key = match (kind, key) {
                    (Some("Shown"), "age") => "frame",
                    (Some("Injected"), "age") => "input",
                    _ => key,
                };
                if kind == Some("SliceSent") && key == "bytes" {
                    *self.sent.entry((at / BIN) as u64).or_default() += value;
                }
                if DRAWN.iter().any(|(_, keys)| keys.contains(&key)) {
                    self.series.entry(key.to_owned()).or_default().push((at, value));
                }
            }
            if let Some(kind) = kind {
                self.events.entry(kind.to_owned()).or_default().push(at);
            }
        }
    }

    fn finish(&mut self) {
        // What happens all the time is no event; what it measures is drawn.
        for usual in USUAL {
            self.events.remove(*usual);
        }
        let mut rate = Vec::new();
        for (bin, bytes) in std::mem::take(&mut self.sent) {
            let (from, to) = (bin as f64 * BIN, (bin + 1) as f64 * BIN);
            if rate.last().is_some_and(|(at, _)| *at == from) {
                rate.pop();
            }
            rate.extend([(from, bytes * 8.0 / 1e3 / BIN), (to, 0.0)]);
        }
        if !rate.is_empty() {
            self.series.insert("sent".to_owned(), rate);
        }
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

/// How far a viewer's clock is behind the host's in seconds, by the first frame it showed.
fn clocks(text: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let (at, rest) = time(line).filter(|(_, rest)| kind(rest) == Some("Shown"))?;
        let captured: f64 = rest.split_once("captured: host:")?.1.split([',', ' ']).next()?.parse().ok()?;
        let age = figures(rest).find(|(key, _)| *key == "age")?.1;
        Some(captured + age / 1e3 - at)
    })
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
    ("kbit/s: sent, pace (the capacity as it is taken), the coder's share; in a model the true capacity", RATE),
    ("the path's queue, ms", &["queue"]),
    ("a frame's age when shown, ms", &["frame"]),
    ("an input's age when injected, ms", &["input"]),
    ("slice, bytes", &["bytes"]),
];
const RATE: &[&str] = &["sent", "pace", "share", "capacity", "rival"];
/// What was sent is drawn by so many seconds.
const BIN: f64 = 0.1;

/// Kinds that come with every packet.
const USUAL: &[&str] = &["Budget", "Path", "Rival", "Sent", "SliceSent", "Applied", "Injected", "Shown"];

const LEFT: f64 = 140.0;
const WIDTH: f64 = 900.0;
const PANEL: f64 = 120.0;
const COLOURS: &[&str] = &["#2166ac", "#b2182b", "#4d9221", "#555555", "#e08214"];

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
    fn a_viewers_journal_goes_onto_the_hosts_clock() {
        let viewer = "telepane-notes 1 viewer\n90000000 Applied { id: UpdateId(1) }\n90000500 Shown { captured: host:7.000000, age: 25.000ms }\n";
        let ahead = clocks(viewer).unwrap();
        assert!((ahead - (7.025 - 90.0005)).abs() < 1e-6, "{ahead}");
        let mut story = Story::default();
        story.add(
            "telepane-notes 1 host\n6950000 SliceSent { id: UpdateId(1), base: UpdateId(0), bytes: Bytes(1250) }\n",
            0.0,
        );
        story.add(viewer, ahead);
        story.finish();
        assert!((story.series["frame"][0].0 - 7.025).abs() < 1e-6);
        assert_eq!(story.series["frame"][0].1, 25.0);
        let (at, kbps) = story.series["sent"][0];
        assert!((at - 6.9).abs() < 1e-9 && (kbps - 100.0).abs() < 1e-9, "{at} {kbps}");
        assert_eq!(story.passed_over, 0);
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
