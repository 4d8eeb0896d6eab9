//! What stacks need, checked by name and, when asked, installed: programs and packages of the system, and programs written
//! in Python, which get an environment of their own below the user's cache directory.

use super::Name;
use crate::process::find;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Something that is not there.
struct Missing {
    stack: &'static str,
    program: &'static str,
    package: &'static str,
    from: Way,
}

/// Who brings it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    System,
    Python,
}

/// Checks that what the stacks need is there; with `install` asks the system's package manager, and pip, for what is not.
///
/// # Errors
/// With what is missing and what to do about it.
pub fn provide(stacks: &[Name], programs: &Path, install: bool) -> Result<()> {
    if stacks.iter().any(|s| matches!(s, Name::Telepane | Name::TelepaneCubic | Name::TelepaneBbr | Name::TelepaneWs)) {
        for program in ["telepane-host", "telepane"] {
            let path = programs.join(program);
            let packages = "cargo build --release -p telepane-host -p telepane-client";
            ensure!(path.is_file(), "{} is not there; build it with `{packages}`", path.display());
        }
    }
    let missing = missing(stacks);
    if missing.is_empty() {
        return Ok(());
    }
    let of = |from: Way| {
        let mut packages: Vec<&str> = missing.iter().filter(|m| m.from == from).map(|m| m.package).collect();
        packages.sort_unstable();
        packages.dedup();
        packages
    };
    let (mut system, python) = (of(Way::System), of(Way::Python));
    if !python.is_empty() && !has_venv() {
        system.push("python3-venv");
    }
    if !install {
        let list: Vec<String> = missing.iter().map(|m| format!("{}: {} ({})", m.stack, m.program, m.package)).collect();
        let mut ways = Vec::new();
        if !system.is_empty() {
            ways.push(format!("`apt-get install {}`", system.join(" ")));
        }
        if !python.is_empty() {
            ways.push(format!("`pip install {}` in {}", python.join(" "), environment().display()));
        }
        bail!(
            "not installed: {}; give --install to run {}, or name other stacks with --stack",
            list.join(", "),
            ways.join(" and ")
        );
    }
    if !system.is_empty() {
        let mut command = Command::new("apt-get");
        command
            .args(["install", "-y", "--no-install-recommends"])
            .args(&system)
            .env("DEBIAN_FRONTEND", "noninteractive");
        let status = command.status().context("cannot start apt-get")?;
        ensure!(status.success(), "apt-get could not install {}", system.join(" "));
    }
    if !python.is_empty() {
        let place = environment();
        let status =
            Command::new("python3").args(["-m", "venv"]).arg(&place).status().context("cannot start python3")?;
        ensure!(status.success(), "no Python environment could be made in {}", place.display());
        let status =
            Command::new(place.join("bin/pip")).arg("install").args(&python).status().context("no pip there")?;
        ensure!(status.success(), "pip could not install {}", python.join(" "));
    }
    provide(stacks, programs, false)
}

fn missing(stacks: &[Name]) -> Vec<Missing> {
    let mut missing = Vec::new();
    for stack in stacks.iter().map(|s| s.stack()) {
        let mut lacks = |program, package, from| missing.push(Missing { stack: stack.name(), program, package, from });
        for (program, package) in stack.needs().iter().filter(|(program, _)| find(program).is_none()) {
            lacks(*program, *package, Way::System);
        }
        for package in stack.needs_packages().iter().filter(|p| crate::machine::package_version(p) == "-") {
            lacks(*package, *package, Way::System);
        }
        for (program, package) in stack.needs_python().iter().filter(|(program, _)| python_program(program).is_none()) {
            lacks(*program, *package, Way::Python);
        }
    }
    missing
}

/// A program of the harness's own Python environment, if it is there.
pub fn python_program(name: &str) -> Option<PathBuf> {
    Some(environment().join("bin").join(name)).filter(|p| p.is_file())
}

/// Debian parts the module that makes environments from Python.
fn has_venv() -> bool {
    let asked = Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
    asked.is_ok_and(|o| o.status.success())
}

/// `$XDG_CACHE_HOME/telepane-bench/python`.
fn environment() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute()).or_else(home);
    cache.unwrap_or_else(std::env::temp_dir).join("telepane-bench/python")
}
