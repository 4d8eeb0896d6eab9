//! Building under one bar: cargo's own messages counted against what `cargo metadata` says will come.
//!
//! The count is of packages, not of units: one step per package whose library (or, for a package without one, any
//! program) is ready. Packages that are already built count at once, so the bar starts where the work starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::proc::{self, Line};
use crate::progress::Progress;
use crate::tree::{self, items, text};

/// Runs `cargo <args>` with a bar; its whole output goes to `target/xtask/<log>.log`.
///
/// # Errors
/// When the build fails: the error carries the tail of what the compiler said.
pub fn build(root: &Path, what: &'static str, args: &[&str], log: &str) -> Result<()> {
    let total = packages_to_build(&tree::metadata(root)?, args);
    let mut bar = Progress::new(what, "crates", total.len() as u64);
    let mut ready = BTreeSet::new();
    let mut command = tree::cargo();
    command.current_dir(root).args(args).args(["--message-format=json-render-diagnostics", "--quiet"]);
    let log = log_path(root, log);
    let ended = proc::run(&mut command, &log, LIMIT, |line| match line {
        Some(Line::Out(message)) => {
            if let Some((id, name)) = finished(message)
                && total.contains(&id)
                && ready.insert(id)
            {
                bar.at(ready.len() as u64, &name);
            }
        }
        _ => bar.tick(),
    });
    bar.end();
    let ended = ended?;
    if !ended.ok() {
        bail!("{what} failed:\n{}", ended.story());
    }
    Ok(())
}

/// Where a step's whole output goes.
pub fn log_path(root: &Path, name: &str) -> std::path::PathBuf {
    tree::target_dir(root).join("xtask").join(format!("{name}.log"))
}

/// The package a message says is ready: its id, and its name for the bar.
fn finished(message: &str) -> Option<(String, String)> {
    let message: Value = serde_json::from_str(message).ok()?;
    if text(&message["reason"]) != "compiler-artifact" {
        return None;
    }
    let target = &message["target"];
    if items(&target["kind"]).any(|kind| text(kind) == "custom-build") {
        return None;
    }
    Some((text(&message["package_id"]).to_owned(), text(&target["name"]).to_owned()))
}

/// Ids of every package that building these (`-p NAME`, or the whole workspace) will touch.
fn packages_to_build(metadata: &Value, args: &[&str]) -> BTreeSet<String> {
    let named: BTreeSet<&str> = args.windows(2).filter(|pair| pair[0] == "-p").map(|pair| pair[1]).collect();
    let members: BTreeSet<&str> = items(&metadata["workspace_members"]).map(text).collect();
    let mut wanted: Vec<&str> = items(&metadata["packages"])
        .filter(|package| members.contains(text(&package["id"])))
        .filter(|package| named.is_empty() || named.contains(text(&package["name"])))
        .map(|package| text(&package["id"]))
        .collect();
    let nodes: BTreeMap<&str, &Value> =
        items(&metadata["resolve"]["nodes"]).map(|node| (text(&node["id"]), node)).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = wanted.pop() {
        if !seen.insert(id.to_owned()) {
            continue;
        }
        let Some(node) = nodes.get(id) else { continue };
        for dependency in items(&node["deps"]) {
            // What only tests need is built when tests are, and cargo builds tests of workspace members alone.
            let only_dev = items(&dependency["dep_kinds"]).all(|kind| text(&kind["kind"]) == "dev");
            if !only_dev || (members.contains(id) && args.contains(&"--all-targets")) {
                wanted.push(text(&dependency["pkg"]));
            }
        }
    }
    seen
}

/// A build on a slow single core; past it something hangs.
const LIMIT: Duration = Duration::from_secs(80 * 60);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata() -> Value {
        let kinds = |kind: Option<&str>| json!([{ "kind": kind }]);
        json!({
            "workspace_members": ["a", "b"],
            "packages": [{ "id": "a", "name": "a" }, { "id": "b", "name": "b" }, { "id": "x", "name": "x" }],
            "resolve": { "nodes": [
                { "id": "a", "deps": [{ "pkg": "x", "dep_kinds": kinds(None) }] },
                { "id": "b", "deps": [{ "pkg": "a", "dep_kinds": kinds(None) }, { "pkg": "t", "dep_kinds": kinds(Some("dev")) }] },
                { "id": "x", "deps": [{ "pkg": "y", "dep_kinds": kinds(Some("build")) }, { "pkg": "z", "dep_kinds": kinds(Some("dev")) }] },
                { "id": "y", "deps": [] }, { "id": "z", "deps": [] }, { "id": "t", "deps": [] },
            ]},
        })
    }

    #[test]
    fn the_bar_counts_what_will_be_built() {
        let count = |args: &[&str]| packages_to_build(&metadata(), args).into_iter().collect::<Vec<_>>().concat();
        assert_eq!(count(&["build", "-p", "a"]), "axy");
        assert_eq!(count(&["build", "--workspace"]), "abxy");
        assert_eq!(count(&["build", "--workspace", "--all-targets"]), "abtxy", "a member's tests, nobody else's");
    }

    #[test]
    fn build_scripts_do_not_finish_a_package() {
        let message = |kind: &str| {
            json!({ "reason": "compiler-artifact", "package_id": "a", "target": { "kind": [kind], "name": "a" } })
                .to_string()
        };
        assert!(finished(&message("custom-build")).is_none());
        assert_eq!(finished(&message("lib")), Some(("a".into(), "a".into())));
        assert!(finished("not json").is_none());
    }
}
