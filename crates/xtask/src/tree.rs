//! Where things stand in the repository, and what `cargo metadata` says about it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The repository's root: the folder above this package's, or the first one above the current folder that holds
/// `protocol-spec`.
pub fn root() -> Result<PathBuf> {
    let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => std::env::current_dir().context("the current folder is gone")?,
    };
    for folder in start.ancestors() {
        if folder.join("Cargo.lock").is_file() && folder.join("protocol-spec").is_dir() {
            return Ok(folder.to_path_buf());
        }
    }
    bail!("not inside Telepane's repository; change into it and run cargo xtask again")
}

/// Cargo, the one that started us if one did.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // `cargo run` set these for us; they must not look like a change to the build scripts of others.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "CARGO_BIN_NAME" {
            command.env_remove(&name);
        }
    }
    command
}

/// Where cargo puts what it builds.
pub fn target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// A program built by the dev profile.
pub fn binary(root: &Path, name: &str) -> PathBuf {
    target_dir(root).join("debug").join(name)
}

/// What `cargo metadata` says, for this machine's platform only.
///
/// # Errors
/// When cargo cannot resolve the workspace; its own message is passed on.
pub fn metadata(root: &Path) -> Result<Value> {
    let mut command = cargo();
    command.current_dir(root).args(["metadata", "--format-version", "1"]);
    if let Some(triple) = host_triple() {
        command.args(["--filter-platform", &triple]);
    }
    let output = command.output().context("cargo metadata could not be started")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata did not print JSON")
}

/// The elements of a JSON array; nothing for anything else.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A JSON string's text; empty for anything else.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn host_triple() -> Option<String> {
    let output = Command::new("rustc").arg("-vV").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}
