//! `cargo xtask counts`: how many instructions the kernels and coders take, by callgrind, against `benches/instructions.json`.
//!
//! Unlike time, a count does not depend on what else the machine does, so a few percent more is a finding. It does depend
//! on the compiler, the C library's memcpy and the processor's features (valgrind hides AVX-512, so AVX2 is the highest level anywhere):
//! where one of these is not the baseline's, or valgrind is absent, the step is skipped and says why. Fewer instructions
//! never fail; `--bless` commits them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::build::{build, log_path};
use crate::packages::on_path;
use crate::steps::Outcome;
use crate::{proc, sources, tree};

/// More than this above the baseline is a finding. Two builds of the same source differ by less than 0.1 %.
const TOLERANCE: f64 = 0.03;
const BASELINE: &str = "benches/instructions.json";
/// A workload takes a second or two, on a busy machine ten.
const LIMIT: Duration = Duration::from_secs(3 * 60);

/// Counts, and blesses or compares, with the program built anew.
///
/// # Errors
/// When it cannot be counted, or something takes more instructions than committed.
pub fn run(bless: bool) -> Result<()> {
    let root = tree::root()?;
    build(&root, "build", &["build", "-p", "telepane-benches", "--bin", "counted"], "counts-build")?;
    if bless {
        let counted = Counted::take(&root)?.map_err(anyhow::Error::msg)?;
        let path = root.join(BASELINE);
        std::fs::write(&path, serde_json::to_string_pretty(&counted.json())? + "\n")?;
        println!("{BASELINE}: {} counts", counted.counts.len());
        return Ok(());
    }
    match check(&root)? {
        Outcome::Passed(remark) => println!("{remark}"),
        Outcome::Skipped(why) => println!("skipped: {why}"),
    }
    Ok(())
}

/// The step of `test`: counts with the program that is built.
///
/// # Errors
/// As [`run`].
pub fn check(root: &Path) -> Result<Outcome> {
    let before = match sources::read(&root.join(BASELINE)) {
        Ok(text) => Counted::read(&serde_json::from_str(&text)?)?,
        Err(_) => return Ok(Outcome::Skipped(format!("no {BASELINE}; cargo xtask counts --bless makes it"))),
    };
    let now = match Counted::take(root)? {
        Ok(now) => now,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    if let Some((what, then, here)) = before.unlike(&now) {
        let why = format!("the baseline was counted with {what} {then:?}, here it is {here:?}; compare on one machine");
        return Ok(Outcome::Skipped(why));
    }
    println!("{}", table(&before, &now).trim_end());
    let more = worse(&before, &now);
    if !more.is_empty() {
        bail!(
            "more instructions than in {BASELINE}: {}; if that is meant: cargo xtask counts --bless",
            more.join(", ")
        );
    }
    Ok(Outcome::Passed(format!("{} counts within {:.0} %", now.counts.len(), TOLERANCE * 100.0)))
}

/// What was counted, and where.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counted {
    /// What a count depends on besides the source, by name.
    on: BTreeMap<String, String>,
    /// Instructions and units by workload.
    counts: BTreeMap<String, (u64, u64)>,
}

impl Counted {
    /// Runs the program under callgrind; what keeps it from being counted, if something does.
    fn take(root: &Path) -> Result<Result<Self, String>> {
        if !on_path("valgrind") {
            return Ok(Err("valgrind is not installed".into()));
        }
        let program = tree::binary(root, "counted");
        ensure!(program.is_file(), "{} is not built", program.display());
        let dir = tree::target_dir(root).join("xtask").join("counted");
        std::fs::create_dir_all(&dir)?;
        let listed = Command::new(&program).output().context("counted does not start")?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let mut counted = Self::default();
        counted.on.insert("features".into(), words(&listed, "features ").next().unwrap_or_default().to_owned());
        for (name, program) in [("compiler", "rustc"), ("libc", "ldd"), ("valgrind", "valgrind")] {
            counted.on.insert(name.into(), first_line(program));
        }
        for (n, work) in words(&listed, "work ").enumerate() {
            let (units, name) = work.split_once(' ').context("a workload's line")?;
            let out = dir.join(format!("{n}.out"));
            let mut command = Command::new("valgrind");
            command
                .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted_work*"])
                .arg(format!("--callgrind-out-file={}", out.display()))
                .arg(&program)
                .arg(n.to_string());
            let ended = proc::run(&mut command, &log_path(root, "counts"), LIMIT, |_| ())?;
            ensure!(ended.ok(), "counting failed\n{}", ended.story());
            let count = total(&sources::read(&out)?).with_context(|| format!("{} has no total", out.display()))?;
            ensure!(count > 0, "{name} was not counted: valgrind does not find counted_work");
            counted.counts.insert(name.to_owned(), (count, units.parse()?));
        }
        ensure!(!counted.counts.is_empty(), "nothing was counted");
        Ok(Ok(counted))
    }

    fn json(&self) -> Value {
        let counts: serde_json::Map<String, Value> =
            self.counts.iter().map(|(n, (i, u))| (n.clone(), json!({ "instructions": i, "units": u }))).collect();
        json!({ "command": "cargo xtask counts --bless", "on": self.on, "counts": counts })
    }

    fn read(value: &Value) -> Result<Self> {
        let mut all = Self::default();
        let map = |key: &str| value[key].as_object().with_context(|| format!("{BASELINE} has no {key:?}"));
        for (name, v) in map("on")? {
            all.on.insert(name.clone(), v.as_str().unwrap_or_default().to_owned());
        }
        for (name, v) in map("counts")? {
            let figure = |key: &str| v[key].as_u64().with_context(|| format!("{BASELINE}: {name} has no {key}"));
            all.counts.insert(name.clone(), (figure("instructions")?, figure("units")?));
        }
        Ok(all)
    }

    /// The first thing counts depend on that is not the same.
    fn unlike<'a>(&'a self, other: &'a Self) -> Option<(&'a str, &'a str, &'a str)> {
        self.on.iter().find_map(|(name, then)| {
            let here = other.on.get(name).map_or("", String::as_str);
            (then != here).then_some((name.as_str(), then.as_str(), here))
        })
    }
}

/// Workloads that take more than is tolerated, with by how much.
fn worse(before: &Counted, now: &Counted) -> Vec<String> {
    let grown = now.counts.iter().filter_map(|(name, (count, _))| {
        let then = before.counts.get(name)?.0.max(1);
        let more = *count as f64 / then as f64 - 1.0;
        (more > TOLERANCE).then(|| format!("{name} {:+.1} %", more * 100.0))
    });
    grown.collect()
}

fn table(before: &Counted, now: &Counted) -> String {
    let mut out = String::new();
    for (name, (count, units)) in &now.counts {
        let change = before.counts.get(name).map_or("new".into(), |(then, _)| {
            format!("{:+.2} %", (*count as f64 / (*then).max(1) as f64 - 1.0) * 100.0)
        });
        let each = *count as f64 / (*units).max(1) as f64;
        out.push_str(&format!("{name:<24} {count:>12} instructions {each:>8.2} a unit {change:>10}\n"));
    }
    out
}

fn words<'a>(said: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    said.lines().filter_map(move |line| line.strip_prefix(start))
}

/// The instructions of a dump of callgrind's.
fn total(dump: &str) -> Option<u64> {
    dump.lines()
        .find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")))?
        .trim()
        .parse()
        .ok()
}

fn first_line(program: &str) -> String {
    let said = Command::new(program).arg("--version").output().map(|o| o.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(count: u64) -> Counted {
        let on = [("compiler".to_owned(), "rustc 1.90".to_owned())].into();
        Counted { on, counts: [("text".to_owned(), (count, 1_000))].into() }
    }

    #[test]
    fn more_is_told_and_less_is_welcome() {
        assert!(worse(&counted(1_000_000), &counted(1_029_000)).is_empty());
        assert_eq!(worse(&counted(1_000_000), &counted(1_040_000)), ["text +4.0 %"]);
        assert!(worse(&counted(1_000_000), &counted(500_000)).is_empty());
        assert!(worse(&Counted::default(), &counted(7)).is_empty(), "what is new is not worse");
    }

    #[test]
    fn another_compiler_is_another_baseline() {
        let mut other = counted(9);
        assert_eq!(counted(9).unlike(&other), None);
        other.on.insert("compiler".into(), "rustc 1.91".into());
        assert_eq!(counted(9).unlike(&other), Some(("compiler", "rustc 1.90", "rustc 1.91")));
    }

    #[test]
    fn a_baseline_is_read_as_it_was_written() {
        assert_eq!(Counted::read(&counted(123).json()).unwrap(), counted(123));
        assert!(Counted::read(&json!({ "on": {} })).is_err());
        assert_eq!(total("events: Ir\nfn=(1)\n\ntotals: 123456\n"), Some(123_456));
        assert_eq!(total("events: Ir\n"), None);
    }
}
