//! Licences: every package linked into Telepane carries one that `deny.toml` allows.
//!
//! `cargo-deny` does this and more where it is installed; this is enough to hold the rule on a machine that has only
//! Rust's toolchain. The list is `deny.toml`'s `allow`, read from there, so that there is one list.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::build::log_path;
use crate::packages::on_path;
use crate::tree::{items, text};
use crate::{proc, sources, tree};

/// Checks every package of the workspace.
///
/// # Errors
/// With each package whose licence is not allowed.
pub fn check(root: &Path) -> Result<String> {
    let allowed = allowed(&sources::read(&root.join("deny.toml"))?)?;
    let metadata = tree::metadata(root)?;
    let wrong = refused(&metadata, &allowed);
    if !wrong.is_empty() {
        bail!("{} packages carry a licence that deny.toml does not allow\n  {}", wrong.len(), wrong.join("\n  "));
    }
    let count = items(&metadata["packages"]).count();
    if !on_path("cargo-deny") {
        return Ok(format!("{count} packages"));
    }
    let mut command = tree::cargo();
    command.current_dir(root).args(["deny", "--offline", "check", "licenses", "bans", "sources"]).stdin(Stdio::null());
    let ended = proc::run(&mut command, &log_path(root, "deny"), Duration::from_secs(300), |_| ())?;
    if !ended.ok() {
        bail!("cargo-deny found something\n{}", ended.story());
    }
    Ok(format!("{count} packages, cargo-deny agrees"))
}

/// The `allow` list of a `deny.toml`.
///
/// # Errors
/// When there is none.
pub fn allowed(deny: &str) -> Result<BTreeSet<String>> {
    let section = deny.split("[licenses]").nth(1).context("deny.toml has no [licenses]")?;
    let list = section.split("allow = [").nth(1).and_then(|rest| rest.split(']').next());
    let list = list.context("deny.toml's [licenses] has no allow list")?;
    let uncommented: String = list.lines().map(|line| line.split('#').next().unwrap_or_default()).collect();
    Ok(uncommented.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

fn refused(metadata: &Value, allowed: &BTreeSet<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in items(&metadata["packages"]) {
        let licence = text(&package["license"]);
        let name = format!("{} {}", text(&package["name"]), text(&package["version"]));
        match permits(licence, allowed) {
            Some(true) => (),
            Some(false) => wrong.push(format!("{name}: {licence}")),
            None if licence.is_empty() => wrong.push(format!("{name}: states no licence")),
            None => wrong.push(format!("{name}: cannot read \"{licence}\"")),
        }
    }
    wrong
}

/// Whether an SPDX expression can be met with allowed licences alone; `None` when it is no expression.
/// The `/` of old manifests means OR.
pub fn permits(expression: &str, allowed: &BTreeSet<String>) -> Option<bool> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let value = any(&words, &mut at, allowed)?;
    (at == words.len()).then_some(value)
}

fn any(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> Option<bool> {
    let mut value = all(words, at, allowed)?;
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        value |= all(words, at, allowed)?;
    }
    Some(value)
}

fn all(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> Option<bool> {
    let mut value = one(words, at, allowed)?;
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        value &= one(words, at, allowed)?;
    }
    Some(value)
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> Option<bool> {
    let word = *words.get(*at)?;
    *at += 1;
    match word {
        "(" => {
            let value = any(words, at, allowed)?;
            let closed = words.get(*at) == Some(&")");
            *at += 1;
            closed.then_some(value)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        name if words.get(*at) == Some(&"WITH") => {
            let exception = words.get(*at + 1)?;
            *at += 2;
            Some(allowed.contains(&format!("{name} WITH {exception}")))
        }
        name => Some(allowed.contains(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_or_not() {
        let allowed: BTreeSet<String> = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        for (expression, expected) in [
            ("MIT", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("MIT OR GPL-3.0-only", Some(true)),
            ("MIT AND GPL-3.0-only", Some(false)),
            ("MIT/Apache-2.0", Some(true)),
            ("(GPL-3.0-only OR MIT) AND ISC", Some(true)),
            ("(GPL-3.0-only AND MIT) OR LGPL-2.1", Some(false)),
            ("Apache-2.0 WITH LLVM-exception", Some(true)),
            ("Apache-2.0 WITH Other", Some(false)),
            ("", None),
            ("MIT OR", None),
            ("MIT ISC", None),
            ("(MIT", None),
        ] {
            assert_eq!(permits(expression, &allowed), expected, "{expression}");
        }
    }

    #[test]
    fn the_list_is_read_without_its_comments() {
        let deny = "[graph]\n[licenses]\nallow = [\n  \"MIT\",\n  # \"GPL-3.0\",\n  \"0BSD\", # why\n]\n[bans]\n";
        assert_eq!(allowed(deny).unwrap().into_iter().collect::<Vec<_>>(), ["0BSD", "MIT"]);
        assert!(allowed("[licenses]\n").is_err());
    }
}
