//! `virtual --controllers`: the rate study's scenarios with the production controller, and with what others use.
//!
//! The rung below `virtual`'s other scenarios: one bottleneck, an application that draws frames, and the controller alone
//! ([`telepane_sim::bottleneck`]). Whole numbers would hide what shares and parts are about, so figures have digits; they
//! are the same on every machine all the same.

use super::Options;
use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use telepane_sim::bottleneck::Kind;
use telepane_sim::bottleneck::study::{ALL, DRAWN, Figure, Scenario, journal};

/// Plays the scenarios with everybody, prints the table, and says which of ours are not kept.
///
/// # Errors
/// When no scenario has a name that is asked for, or a file cannot be written.
pub fn run(options: &Options) -> Result<()> {
    if options.list {
        ALL.iter().for_each(|s| println!("{:<20} {}", s.name, s.about));
        return Ok(());
    }
    let asked = |s: &&Scenario| {
        options.scenario.is_empty()
            || options.scenario.iter().any(|n| s.name == n || s.name.split(' ').next() == Some(n))
    };
    let chosen: Vec<&Scenario> = ALL.iter().filter(asked).collect();
    ensure!(
        !chosen.is_empty(),
        "no such scenario; --controllers --list names them (S2 stands for all of the study's S2)"
    );
    let mut markdown = heading();
    print!("{:<20} {:<30} {:>12}", "scenario", "figure", "bound");
    Kind::ALL.iter().for_each(|k| print!(" {:>9}", k.name()));
    println!();
    let mut missed = 0;
    for scenario in chosen {
        let all = Kind::ALL.map(|kind| (scenario.play)(kind));
        let [ours, ..] = &all;
        for (row, figure) in ours.iter().enumerate() {
            let name = if row == 0 { scenario.name } else { "" };
            let kept = figure.bound.is_kept(figure.value);
            missed += usize::from(!kept);
            let values: Vec<String> = all.iter().filter_map(|f| f.get(row)).map(text).collect();
            print!("{name:<20} {:<30} {:>12}", figure.name, figure.bound.to_string());
            values.iter().for_each(|v| print!(" {v:>9}"));
            let by = digits(figure.bound.missed_by(figure.value));
            println!("{}", if kept { String::new() } else { format!("  NOT MET by {by}") });
            let (first, rest) = values.split_first().context("no figures")?;
            let first = if kept { format!("**{first}**") } else { format!("**{first}** (not met by {by})") };
            let _ =
                writeln!(markdown, "| {name} | {} | {} | {first} | {} |", figure.name, figure.bound, rest.join(" | "));
        }
    }
    println!("\n{missed} bounds of ours are not met");
    if let Some(path) = &options.markdown {
        let _ = writeln!(markdown, "\n{missed} bounds of ours are not met.\n\n## The scenarios\n");
        for s in ALL {
            let _ = writeln!(markdown, "- **{}**: {}", s.name, s.about);
        }
        std::fs::write(path, markdown).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if let Some(dir) = &options.journals {
        std::fs::create_dir_all(dir)?;
        for name in DRAWN {
            for kind in [Kind::Ours, Kind::Cubic] {
                let path = dir.join(format!("{name}-{}.notes", kind.name().to_lowercase()));
                let text = journal(name, kind).context("a drawn run has no name")?;
                std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
            }
        }
    }
    Ok(())
}

/// As many digits as say something.
fn text(figure: &Figure) -> String {
    digits(figure.value)
}

fn digits(v: f64) -> String {
    if v.is_infinite() || v.is_nan() {
        "never".into()
    } else if v.abs() < 2.0 {
        format!("{v:.2}")
    } else if v.abs() < 20.0 {
        format!("{v:.1}")
    } else {
        format!("{v:.0}")
    }
}

fn heading() -> String {
    let names: Vec<&str> = Kind::ALL.iter().map(|k| k.name()).collect();
    let rule = vec!["---"; names.len() + 3].join("|");
    format!(
        "# Controllers over one bottleneck\n\n\
         Virtual time: the same figures on every machine. Made by `telepane-bench virtual --controllers --markdown FILE`. The others are compact\n\
         rewritings of their specifications (`crates/sim/src/bottleneck/baseline`), not the upstream code, under the same sender, frames and path. Bounds\n\
         are ours; \"never\" is a frame that had not come whole when the run ended, or a film that skipped them all.\n\n\
         | scenario | figure | bound | {} |\n|{rule}|\n",
        names.join(" | ")
    )
}
