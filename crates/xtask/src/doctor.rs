//! `cargo xtask doctor`: what this machine lacks for building and testing Telepane, and what to do about each.
//!
//! It changes nothing. Every line is a finding: `ok`, `--` (works, but less than it could) or `!!` (something the
//! README's commands need is missing).

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::packages::{self, Installer, Purpose, TABLE, on_path};
use crate::test::cargo_has;
use crate::{exit, tree};

/// Prints the findings.
///
/// # Errors
/// Exit code 2 when something needed is missing.
pub fn run() -> Result<()> {
    let mut findings = toolchain();
    findings.extend(system_packages());
    findings.extend(display());
    findings.extend(network());
    for finding in &findings {
        println!("{} {:<12} {}", finding.mark(), finding.what, finding.said);
        if !finding.cure.is_empty() {
            println!("   {:<12} {}", "", finding.cure);
        }
    }
    let needed = findings.iter().filter(|finding| finding.grade == Grade::Missing).count();
    if needed == 0 {
        Ok(())
    } else {
        Err(exit(2, format!("{needed} needed things are missing; the lines marked !! say what to do")))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Grade {
    Good,
    Less,
    Missing,
}

struct Finding {
    grade: Grade,
    what: &'static str,
    said: String,
    cure: String,
}

impl Finding {
    fn mark(&self) -> &'static str {
        match self.grade {
            Grade::Good => "ok",
            Grade::Less => "--",
            Grade::Missing => "!!",
        }
    }
}

fn finding(grade: Grade, what: &'static str, said: impl Into<String>, cure: impl Into<String>) -> Finding {
    Finding { grade, what, said: said.into(), cure: cure.into() }
}

fn toolchain() -> Vec<Finding> {
    let mut found = Vec::new();
    let version = first_line("rustc", &["--version"]).unwrap_or_default();
    let wanted = minimum_rust();
    found.push(if release(&version) >= wanted {
        finding(Grade::Good, "rustc", version, "")
    } else {
        let cure = format!("rustup update stable (needed: {}.{} or newer)", wanted.0, wanted.1);
        finding(Grade::Missing, "rustc", if version.is_empty() { "not found".into() } else { version }, cure)
    });
    for (name, step) in [("fmt", "format"), ("clippy", "lints")] {
        if !cargo_has(name) {
            let said = format!("cargo {name} is missing, so the {step} step is left out");
            found.push(finding(Grade::Less, "cargo", said, "rustup component add rustfmt clippy"));
        }
    }
    for tool in ["cc", "c++", "nasm", "cmake", "make"] {
        if !on_path(tool) {
            found.push(finding(
                Grade::Missing,
                "tools",
                format!("{tool} is not on the path"),
                "cargo xtask test installs it",
            ));
        }
    }
    found
}

fn system_packages() -> Vec<Finding> {
    if Installer::here() == Installer::None && !on_path("dpkg-query") {
        let names: Vec<&str> = TABLE
            .iter()
            .filter(|group| !ON_REQUEST.contains(&group.purpose))
            .flat_map(|group| group.names)
            .copied()
            .collect();
        return vec![finding(Grade::Less, "packages", "no dpkg here to ask", packages::by_hand(&names))];
    }
    TABLE
        .iter()
        .map(|group| {
            let missing = packages::missing(&[group.purpose]);
            if missing.is_empty() {
                return finding(
                    Grade::Good,
                    "packages",
                    format!("{}: all {} installed", group.why, group.names.len()),
                    "",
                );
            }
            let grade = if ON_REQUEST.contains(&group.purpose) { Grade::Less } else { Grade::Missing };
            let said = format!("{}: {} missing", group.why, missing.join(" "));
            let first: Vec<&str> = missing.iter().map(|name| name.split('|').next().unwrap_or(name)).collect();
            finding(grade, "packages", said, format!("apt-get install {}", first.join(" ")))
        })
        .collect()
}

fn display() -> Vec<Finding> {
    let mut found = Vec::new();
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    found.push(match (named("WAYLAND_DISPLAY"), named("DISPLAY")) {
        (Some(display), _) => {
            finding(Grade::Good, "display", format!("Wayland, {display}: the demo opens a window"), "")
        }
        (None, Some(display)) => {
            finding(Grade::Good, "display", format!("X11, {display}: the demo opens a window"), "")
        }
        (None, None) => {
            finding(Grade::Good, "display", "none: the demo writes a picture instead of opening a window", "")
        }
    });
    let drivers: usize = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"]
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .map(Iterator::count)
        .sum();
    found.push(if drivers > 0 {
        finding(Grade::Good, "vulkan", format!("{drivers} drivers"), "")
    } else {
        let cure = "apt-get install mesa-vulkan-drivers, or your GPU's own driver";
        finding(Grade::Less, "vulkan", "no driver: the client draws with the processor", cure)
    });
    found
}

fn network() -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, side) in [("net.core.rmem_max", "receive"), ("net.core.wmem_max", "send")] {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let Some(bytes) = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok()) else {
            continue;
        };
        found.push(if bytes >= WANTED_BUFFER {
            finding(Grade::Good, "udp", format!("{side} buffers up to {} kB", bytes / 1024), "")
        } else {
            let said = format!("{side} buffers only up to {} kB: bursts on fast links are cut shorter", bytes / 1024);
            finding(Grade::Less, "udp", said, format!("sysctl -w {name}={WANTED_BUFFER} (as root)"))
        });
    }
    found
}

fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}

/// `rust-version` of the workspace, as (major, minor).
fn minimum_rust() -> (u32, u32) {
    let manifest =
        tree::root().ok().and_then(|root| std::fs::read_to_string(root.join("Cargo.toml")).ok()).unwrap_or_default();
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    numbers(line.unwrap_or_default().trim_matches('"'))
}

/// The (major, minor) of `rustc 1.95.0 (…)`.
fn release(version: &str) -> (u32, u32) {
    numbers(version.split_whitespace().nth(1).unwrap_or_default())
}

fn numbers(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// What nobody needs who does not ask for it.
const ON_REQUEST: [Purpose; 3] = [Purpose::Peers, Purpose::Windows, Purpose::Guest];

/// What each side asks of its socket: half of it bounds what may be in flight.
const WANTED_BUFFER: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_as_numbers() {
        assert!(release("rustc 1.100.0 (abc 2027-01-01)") > release("rustc 1.95.0 (def 2026-04-14)"));
        assert_eq!(release(""), (0, 0));
        assert_eq!(minimum_rust().0, 1);
    }
}
