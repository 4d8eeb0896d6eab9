//! Plots of a comparison as SVG: how latencies are distributed, age over time, quality against bytes, CPU.

use super::tables::{Cells, cores, figure, samples};
use serde_json::Value;
use std::fmt::Write as _;

/// All plots: a suffix for the file's name, a title, and the SVG.
pub fn all(cells: &Cells) -> Vec<(&'static str, String, String)> {
    let mut plots = Vec::new();
    for (suffix, work, name) in [("key", "key", "photon"), ("typing", "typing", "exact")] {
        let charts: Vec<Chart> = cells.networks.iter().map(|n| distribution(cells, work, name, n)).collect();
        plots.push((suffix, format!("{work}: share of presses within so many ms"), sheet(charts)));
    }
    for work in ["scroll", "film"] {
        let charts: Vec<Chart> = cells.networks.iter().map(|n| ages(cells, work, n)).collect();
        let suffix = if work == "film" { "film-age" } else { "scroll-age" };
        plots.push((suffix, format!("{work}: age of what is shown, over time"), sheet(charts)));
    }
    let links = || cells.networks.iter().filter(|n| **n != "-");
    let title = format!("film: luma dB against Mbit/s; {EXACT_DB:.0} dB stands for exact");
    plots.push(("quality", title, sheet(links().map(|n| quality(cells, n)).collect())));
    plots.push(("cpu", "film: cores, X servers included".into(), sheet(links().map(|n| cpu(cells, n)).collect())));
    plots.retain(|(_, _, svg)| !svg.is_empty());
    plots
}

fn distribution(cells: &Cells, work: &str, name: &str, network: &str) -> Chart {
    let mut chart = Chart::new(format!("{work}, {network}"), "ms", "share");
    for stack in &cells.stacks {
        let mut all = samples(&cells.at(stack, work, network), name).0;
        all.sort_by(f64::total_cmp);
        let n = all.len() as f64;
        let points = all.iter().enumerate().map(|(i, v)| (*v, (i + 1) as f64 / n)).collect();
        chart.add(stack, points, Mark::Line);
    }
    chart
}

fn ages(cells: &Cells, work: &str, network: &str) -> Chart {
    let mut chart = Chart::new(format!("{work}, {network}"), "s", "age, ms");
    for stack in &cells.stacks {
        // One round: several would lie over one another.
        let of = cells.at(stack, work, network);
        let rows = of.first().and_then(|c| c["shown"].as_array()).into_iter().flatten();
        let points = rows.filter_map(|r| Some((r[0].as_f64()? / 1e3, r[2].as_f64()?))).collect();
        chart.add(stack, points, Mark::Line);
    }
    chart
}

/// Bytes grow by powers of ten from stack to stack, and what is exact has no noise at all: it stands at the top.
fn quality(cells: &Cells, network: &str) -> Chart {
    let mut chart = Chart::new(format!("film, {network}"), "Mbit/s down", "luma dB, median frame");
    (chart.x_axis, chart.y_axis) = (Axis::Decades, Axis::From(20.0, EXACT_DB));
    for stack in &cells.stacks {
        let of: Vec<&Value> = cells.at(stack, "film", network);
        let at = |name: &str| figure(&of, &["figures", name]).map(|s| s.median);
        let point = at("mbit_per_s_down").zip(at("luma_psnr_db_p50")).map(|(rate, db)| (rate, db.min(EXACT_DB)));
        chart.add(stack, point.into_iter().collect(), Mark::Dots(fps(&of)));
    }
    chart
}

fn cpu(cells: &Cells, network: &str) -> Chart {
    let mut chart = Chart::new(format!("film, {network}"), "cores, host", "cores, viewer");
    for stack in &cells.stacks {
        let of = cells.at(stack, "film", network);
        let point = cores(&of, "host").zip(cores(&of, "viewer")).map(|(host, viewer)| (host.median, viewer.median));
        chart.add(stack, point.into_iter().collect(), Mark::Dots(fps(&of)));
    }
    chart
}

/// Few bytes and a cool processor are no feat of whoever shows one picture a second.
fn fps(of: &[&Value]) -> String {
    figure(of, &["figures", "steps_shown_per_s"]).map_or_else(|| "-".into(), |s| format!("{:.0} fps", s.median))
}

enum Mark {
    Line,
    /// With a word beside each.
    Dots(String),
}

/// What an axis shows.
#[derive(Clone, Copy)]
enum Axis {
    /// From nothing to the next round number.
    Round,
    /// Whole powers of ten.
    Decades,
    /// This much.
    From(f64, f64),
}

impl Axis {
    /// What it begins and ends with, for these values.
    fn ends(self, values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
        match self {
            Self::Round => (0.0, nice(values.fold(0.0, f64::max))),
            Self::From(least, most) => (least, most),
            Self::Decades => {
                let logs = values.filter(|v| *v > 0.0).map(f64::log10);
                let (least, most) = logs.fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)));
                let least = if least > most { 0.0 } else { least.floor() };
                (least, most.ceil().max(least + 1.0))
            }
        }
    }

    /// Where a value stands between them: 0 to 1.
    fn share(self, value: f64, (least, most): (f64, f64)) -> f64 {
        let value = if matches!(self, Self::Decades) { value.max(f64::MIN_POSITIVE).log10() } else { value };
        ((value - least) / (most - least)).clamp(0.0, 1.0)
    }

    /// Values with a line and a number.
    fn marks(self, (least, most): (f64, f64)) -> Vec<f64> {
        match self {
            Self::Decades => (least as i32..=most as i32).map(|n| 10_f64.powi(n)).collect(),
            _ => (0..=4).map(|i| least + (most - least) * f64::from(i) / 4.0).collect(),
        }
    }
}

/// What a stack has in a chart.
struct Series {
    colour: usize,
    name: String,
    points: Vec<(f64, f64)>,
    mark: Mark,
}

struct Chart {
    title: String,
    x: &'static str,
    y: &'static str,
    x_axis: Axis,
    y_axis: Axis,
    series: Vec<Series>,
    /// Colours already given, so that a stack has the same one in every chart.
    given: usize,
}

impl Chart {
    fn new(title: String, x: &'static str, y: &'static str) -> Self {
        Self { title, x, y, x_axis: Axis::Round, y_axis: Axis::Round, series: Vec::new(), given: 0 }
    }

    fn add(&mut self, name: &str, points: Vec<(f64, f64)>, mark: Mark) {
        if !points.is_empty() {
            self.series.push(Series { colour: self.given, name: name.to_owned(), points, mark });
        }
        self.given += 1;
    }

    fn draw(&self, out: &mut String, left: f64, top: f64) {
        let points = || self.series.iter().flat_map(|s| s.points.iter());
        let ends_x = self.x_axis.ends(points().map(|p| p.0));
        let ends_y = self.y_axis.ends(points().map(|p| p.1));
        let (w, h) = (PANEL_W - 80.0, PANEL_H - 78.0);
        let (left, top) = (left + 56.0, top + 30.0);
        let across = |v: f64| left + self.x_axis.share(v, ends_x) * w;
        let down = |v: f64| top + h - self.y_axis.share(v, ends_y) * h;
        let place = |p: &(f64, f64)| (across(p.0), down(p.1));
        let text = |out: &mut String, x: f64, y: f64, anchor: &str, words: &str| {
            let words = words.replace('&', "&amp;").replace('<', "&lt;");
            let _ = writeln!(out, "<text x='{x:.1}' y='{y:.1}' text-anchor='{anchor}'>{words}</text>");
        };
        text(out, left + w / 2.0, top - 12.0, "middle", &self.title);
        text(out, left + w, top + h + 32.0, "end", self.x);
        text(out, left - 44.0, top - 12.0, "start", self.y);
        for v in self.x_axis.marks(ends_x) {
            let x = across(v);
            let _ = writeln!(out, "<path class='grid' d='M{x:.1} {top}v{h}'/>");
            text(out, x, top + h + 16.0, "middle", &number(v));
        }
        for v in self.y_axis.marks(ends_y) {
            let y = down(v);
            let _ = writeln!(out, "<path class='grid' d='M{left} {y:.1}h{w}'/>");
            text(out, left - 6.0, y + 4.0, "end", &number(v));
        }
        for (row, Series { colour, name, points, mark }) in self.series.iter().enumerate() {
            let colour = COLOURS.get(colour % COLOURS.len()).copied().unwrap_or("#000");
            match mark {
                Mark::Line => {
                    let path: Vec<String> = points.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                    let _ = writeln!(
                        out,
                        "<polyline fill='none' stroke='{colour}' stroke-width='1.5' points='{}'/>",
                        path.join(" ")
                    );
                }
                Mark::Dots(label) => {
                    for (x, y) in points.iter().map(place) {
                        let _ = writeln!(out, "<circle cx='{x:.1}' cy='{y:.1}' r='4' fill='{colour}'/>");
                        text(out, x + 6.0, y - 4.0, "start", label);
                    }
                }
            }
            let y = top + 10.0 + row as f64 * 14.0;
            let _ = writeln!(
                out,
                "<rect x='{:.1}' y='{:.1}' width='9' height='9' fill='{colour}'/>",
                left + w - 104.0,
                y - 9.0
            );
            text(out, left + w - 90.0, y, "start", name);
        }
    }
}

/// Charts in two columns; nothing when all are empty.
fn sheet(charts: Vec<Chart>) -> String {
    let charts: Vec<Chart> = charts.into_iter().filter(|c| !c.series.is_empty()).collect();
    if charts.is_empty() {
        return String::new();
    }
    let columns = charts.len().min(2);
    let rows = charts.len().div_ceil(2);
    let (w, h) = (PANEL_W * columns as f64, PANEL_H * rows as f64);
    let mut out = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {w} {h}' width='{w}' height='{h}'>\n\
         <style>text{{font:11px sans-serif;fill:#222}}.grid{{stroke:#ddd;fill:none}}</style>\n\
         <rect width='{w}' height='{h}' fill='#fff'/>\n"
    );
    for (i, chart) in charts.iter().enumerate() {
        chart.draw(&mut out, (i % 2) as f64 * PANEL_W, (i / 2) as f64 * PANEL_H);
    }
    out + "</svg>\n"
}

/// The next of 1, 2, 4, 6, 8, 10 times a power of ten.
fn nice(most: f64) -> f64 {
    if most <= 0.0 || !most.is_finite() {
        return 1.0;
    }
    let unit = 10_f64.powf(most.log10().floor());
    [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].map(|m| m * unit).into_iter().find(|v| *v >= most).unwrap_or(10.0 * unit)
}

fn number(v: f64) -> String {
    if v >= 100.0 || v.fract() == 0.0 { format!("{v:.0}") } else { format!("{v:.2}") }
}

/// What stands for a picture without a difference.
const EXACT_DB: f64 = 60.0;
const PANEL_W: f64 = 560.0;
const PANEL_H: f64 = 320.0;
/// Okabe and Ito's colours, which most eyes tell apart.
const COLOURS: &[&str] = &["#888888", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.0, 1.0, 1.2, 37.0, 61.0, 99.0, 101.0].map(nice), [1.0, 1.0, 2.0, 40.0, 80.0, 100.0, 200.0]);
    }

    #[test]
    fn decades_hold_what_they_are_made_for() {
        let values = [0.3, 4.0, 205.0];
        let ends = Axis::Decades.ends(values.into_iter());
        assert_eq!(ends, (-1.0, 3.0));
        assert_eq!(Axis::Decades.marks(ends), [0.1, 1.0, 10.0, 100.0, 1000.0]);
        assert!((Axis::Decades.share(10.0, ends) - 0.5).abs() < 1e-9);
        assert_eq!(Axis::Decades.ends(std::iter::empty()), (0.0, 1.0));
        assert!((Axis::From(20.0, 60.0).share(99.0, (20.0, 60.0)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_sheet_holds_every_chart_that_has_something() {
        let mut chart = Chart::new("a <b>".into(), "x", "y");
        chart.add("nothing", Vec::new(), Mark::Line);
        chart.add("some", vec![(0.0, 1.0), (2.0, 4.0)], Mark::Line);
        let svg = sheet(vec![chart, Chart::new("empty".into(), "x", "y")]);
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert!(svg.contains("a &lt;b>") && svg.contains(COLOURS[1]), "the second stack has the second colour");
        assert!(sheet(Vec::new()).is_empty());
    }
}
