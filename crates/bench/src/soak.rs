//! `soak`: agent and client run for long on an invented desktop, and their memory, descriptors and CPU are sampled. What
//! must not happen is growth, so the slope is fitted and stated.

use crate::cell::Scratch;
use crate::clock;
use crate::glass;
use crate::machine;
use crate::process::{CpuTime, Process, descriptors, resident_kib, rest, threads};
use crate::stack::telepane;
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::path::PathBuf;

/// `telepane-bench soak`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How long.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub minutes: u64,
    /// What is on the desktop.
    #[arg(long, default_value = "film")]
    pub scene: Scene,
    /// Seconds between samples.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub every: u64,
    /// Write every sample here.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where telepane-host and telepane are; otherwise beside telepane-bench.
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
}

/// An invented desktop (`telepane-host serve --synthetic`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scene {
    /// A film plays in a window.
    Film,
    /// Someone types.
    Editor,
    /// Text scrolls.
    Scroll,
    /// A window is dragged over a photo.
    Drag,
}

impl Scene {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Film => "film",
            Self::Editor => "editor",
            Self::Scroll => "scroll",
            Self::Drag => "drag",
        }
    }
}

/// Runs to the end, or until Ctrl+C, and reports what there is.
///
/// # Errors
/// When a program does not start or ends early.
pub fn run(options: &Options) -> Result<()> {
    let programs = glass::programs(options.bin_dir.as_deref())?;
    let dir = Scratch::new(false)?;
    telepane::write_code(&dir.path)?;
    let mut command = telepane::host(&programs, &dir.path, "127.0.0.1");
    let mut host = Process::start(command.args(["--synthetic", options.scene.name()]), "telepane-host", &dir.path)?;
    let port = telepane::ready(&mut host)?;
    let statistics = dir.path.join("statistics.json");
    let seconds = options.minutes * 60;
    let mut command = telepane::client(&programs, &dir.path, "127.0.0.1", port);
    command.args(["--headless", "--stats-json"]).arg(&statistics);
    // A little longer than the samples, so that it is ended by us.
    command.args(["--seconds", &(seconds + 60).to_string()]);
    let mut client = Process::start(&mut command, "telepane", &dir.path)?;
    let bar = ProgressBar::new(seconds);
    bar.set_style(ProgressStyle::with_template("{bar:30} {elapsed_precise} {msg}")?);
    let load = machine::load();
    let begun = clock::now();
    let (host_ids, client_ids) = ([host.id()], [client.id()]);
    let cpu_before = (CpuTime::of(&host_ids), CpuTime::of(&client_ids));
    let mut samples: Vec<Sample> = Vec::new();
    while clock::now() < begun + seconds * 1_000_000 {
        if rest(options.every * 1_000_000).is_err() {
            break;
        }
        host.check()?;
        client.check()?;
        let sample = Sample {
            seconds: (clock::now() - begun) as f64 / 1e6,
            host_kib: resident_kib(&host_ids),
            client_kib: resident_kib(&client_ids),
            host_descriptors: descriptors(&host_ids),
            client_descriptors: descriptors(&client_ids),
            threads: (threads(&host_ids), threads(&client_ids)),
        };
        bar.set_position(sample.seconds as u64);
        bar.set_message(format!("host {} MiB · client {} MiB", sample.host_kib / 1024, sample.client_kib / 1024));
        samples.push(sample);
    }
    bar.finish_and_clear();
    let lasted = (clock::now() - begun) as f64 / 1e6;
    let cores = |ids: &[u32], before: &CpuTime| CpuTime::of(ids).since(before) as f64 / 1e6 / lasted;
    let cores = (cores(&host_ids, &cpu_before.0), cores(&client_ids, &cpu_before.1));
    ensure!(client.stop(5_000_000), "the client did not end within 5 s of SIGTERM");
    let told = std::fs::read_to_string(&statistics).context("the client wrote no statistics")?;
    let told: Value = serde_json::from_str(&told)?;
    println!(
        "soak: --synthetic {}, {:.1} min, load {load:.1} before and {:.1} after\n",
        options.scene.name(),
        lasted / 60.0,
        machine::load()
    );
    println!(
        "| | RSS MiB first minute | last | peak | slope KiB/min, second half | descriptors first / last | threads first / last | cores |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut sides = Vec::new();
    for (name, kib, fds, threads, cores) in [
        (
            "host",
            samples.iter().map(Sample::host).collect::<Vec<_>>(),
            ends(&samples, |s| s.host_descriptors),
            ends(&samples, |s| s.threads.0),
            cores.0,
        ),
        (
            "client",
            samples.iter().map(Sample::client).collect(),
            ends(&samples, |s| s.client_descriptors),
            ends(&samples, |s| s.threads.1),
            cores.1,
        ),
    ] {
        let Some(side) = Side::of(&kib) else { continue };
        let [first, last, peak] = [side.first, side.last, side.peak].map(|v| v / 1024.0);
        println!(
            "| {name} | {first:.1} | {last:.1} | {peak:.1} | {:+.1} | {} / {} | {} / {} | {cores:.2} |",
            side.slope, fds.0, fds.1, threads.0, threads.1
        );
        sides.push(json!({ "side": name, "first_mib": first, "last_mib": last, "peak_mib": peak,
            "slope_kib_per_min": side.slope, "descriptors": [fds.0, fds.1], "threads": [threads.0, threads.1], "cores": cores }));
    }
    let age = |p: &str| told["age"][p].as_f64().map_or_else(|| "-".into(), |us| format!("{:.1}", us / 1e3));
    println!(
        "\nage of the last 4096 updates, by the stamps: p50 {} ms, p95 {} ms, max {} ms",
        age("p50_us"),
        age("p95_us"),
        age("max_us")
    );
    println!("{} updates shown, {} bytes received", told["updates_shown"], told["bytes_received"]);
    if let Some(path) = &options.json {
        let rows: Vec<Value> = samples.iter().map(Sample::json).collect();
        let value = json!({ "date": clock::today(), "machine": machine::describe(), "scene": options.scene.name(),
            "seconds": lasted, "load": load, "sides": sides, "statistics": told, "samples": rows });
        std::fs::write(path, serde_json::to_string(&value)? + "\n")?;
    }
    Ok(())
}

struct Sample {
    seconds: f64,
    host_kib: u64,
    client_kib: u64,
    host_descriptors: usize,
    client_descriptors: usize,
    threads: (usize, usize),
}

impl Sample {
    fn host(&self) -> (f64, f64) {
        (self.seconds, self.host_kib as f64)
    }

    fn client(&self) -> (f64, f64) {
        (self.seconds, self.client_kib as f64)
    }

    fn json(&self) -> Value {
        json!([
            self.seconds,
            self.host_kib,
            self.client_kib,
            self.host_descriptors,
            self.client_descriptors,
            self.threads.0,
            self.threads.1
        ])
    }
}

/// A side's memory in KiB.
struct Side {
    first: f64,
    last: f64,
    peak: f64,
    slope: f64,
}

impl Side {
    fn of(samples: &[(f64, f64)]) -> Option<Self> {
        let (begin, end) = (samples.first()?.0, samples.last()?.0);
        let first = samples.iter().take_while(|(t, _)| *t <= begin + 60.0).last()?.1;
        let peak = samples.iter().map(|(_, kib)| *kib).fold(0.0, f64::max);
        // The first half fills caches and rings that are meant to be filled.
        let late: Vec<_> = samples.iter().copied().filter(|(t, _)| *t >= (begin + end) / 2.0).collect();
        Some(Self { first, last: samples.last()?.1, peak, slope: slope(&late) * 60.0 })
    }
}

/// The least-squares slope, in the value's unit a second.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let n = samples.len().max(1) as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| samples.iter().map(f).sum::<f64>() / n;
    let (mt, mv) = (mean(|s| s.0), mean(|s| s.1));
    let (covariance, variance) =
        samples.iter().fold((0.0, 0.0), |(c, v), (t, value)| (c + (t - mt) * (value - mv), v + (t - mt) * (t - mt)));
    if variance == 0.0 { 0.0 } else { covariance / variance }
}

fn ends(samples: &[Sample], of: impl Fn(&Sample) -> usize) -> (usize, usize) {
    (samples.first().map_or(0, &of), samples.last().map_or(0, &of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_has_a_slope_and_noise_has_none() {
        let leak: Vec<_> = (0..600).map(|t| (f64::from(t), 50_000.0 + f64::from(t) * 2.0)).collect();
        let side = Side::of(&leak).unwrap();
        assert!((side.slope - 120.0).abs() < 1e-6);
        assert_eq!((side.peak, side.last), (51_198.0, 51_198.0));
        let flat: Vec<_> = (0..600).map(|t| (f64::from(t), 50_000.0 + f64::from(t % 2))).collect();
        assert!(Side::of(&flat).unwrap().slope.abs() < 0.5);
        assert!(Side::of(&[]).is_none());
    }
}
