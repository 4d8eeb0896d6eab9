//! Reading our own sources as text: which files there are, which lines are code, and where a file's tests begin.
//!
//! This is no parser. It leans on two manners of the house: tests stand at the foot of a file, and what a line says
//! in a `//` comment is not code.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One line of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLine<'a> {
    /// From 1.
    pub number: usize,
    /// As it stands.
    pub text: &'a str,
    /// Whether it belongs to the tests at the file's foot.
    pub test: bool,
}

impl<'a> SourceLine<'a> {
    /// Without its `//` comment.
    pub fn code(&self) -> &'a str {
        self.text.split("//").next().unwrap_or_default()
    }
}

/// A Rust source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// From the repository's root.
    pub relative: PathBuf,
    /// All of it.
    pub text: String,
    /// Whether the whole file is tests: by where it stands, or because its module is declared under `#[cfg(test)]`.
    pub test: bool,
}

/// Every Rust source below `folder`, in order.
///
/// # Errors
/// When one cannot be read.
pub fn rust(root: &Path, folder: &Path) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    for path in files(folder, "rs")? {
        let relative = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
        let test = is_test_file(&relative);
        found.push(Source { text: read(&path)?, relative, test });
    }
    let modules: Vec<PathBuf> = found.iter().flat_map(|source| test_modules(&source.relative, &source.text)).collect();
    for source in &mut found {
        source.test |= modules
            .iter()
            .any(|module| source.relative.starts_with(module) || source.relative == module.with_extension("rs"));
    }
    Ok(found)
}

/// Every file below `folder` whose name ends in `.<extension>`, in order; none when the folder is not there.
/// Folders named `target` and hidden ones are passed over.
///
/// # Errors
/// When a folder cannot be read.
pub fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The text of a file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// A file's lines, each marked as test or not. Everything from a `#[cfg(test)]` that opens a module on is test.
pub fn lines(text: &str) -> impl Iterator<Item = SourceLine<'_>> {
    let tests_begin = tests_begin(text).unwrap_or(usize::MAX);
    text.lines().enumerate().map(move |(index, text)| SourceLine {
        number: index + 1,
        text,
        test: index >= tests_begin,
    })
}

/// Whether a whole file is tests by where it stands: a `tests` folder, a `tests.rs` or `…_tests.rs`, or the simulator.
pub fn is_test_file(relative: &Path) -> bool {
    relative.starts_with("crates/sim")
        || relative.components().any(|part| part.as_os_str() == "tests")
        || relative.file_name().is_some_and(|name| name == "tests.rs" || name.to_string_lossy().ends_with("_tests.rs"))
}

fn tests_begin(text: &str) -> Option<usize> {
    under_cfg_test(text).find(|(_, item)| item.starts_with("mod ") && item.ends_with('{')).map(|(line, _)| line)
}

/// Where the modules stand that a file declares for tests only, without `.rs`.
fn test_modules(relative: &Path, text: &str) -> Vec<PathBuf> {
    let stem = relative.file_stem().unwrap_or_default();
    let beside = relative.parent().unwrap_or(Path::new(""));
    let folder =
        if ["lib", "main", "mod"].iter().any(|name| stem == *name) { beside.to_path_buf() } else { beside.join(stem) };
    under_cfg_test(text)
        .filter_map(|(_, item)| item.strip_suffix(';')?.strip_prefix("mod "))
        .map(|name| folder.join(name))
        .collect()
}

/// The first line of each item that stands under `#[cfg(test)]`, with the line of the attribute, from 0.
fn under_cfg_test(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let starts: Vec<usize> = (0..lines.len()).filter(|&line| lines[line].starts_with("#[cfg(test)]")).collect();
    starts.into_iter().filter_map(move |start| {
        let item = lines[start..].iter().find(|line| !line.starts_with('#') && !line.starts_with("//"))?;
        Some((start, *item))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_begin_at_the_module_not_at_a_helper() {
        let text = "#[cfg(test)]\nfn helper() {}\n// std::fs\nlet x = 1; // why\n#[cfg(test)]\n#[allow(x)]\nmod tests {\nuse std::fs;\n}";
        let marks: Vec<bool> = lines(text).map(|line| line.test).collect();
        assert_eq!(marks, [false, false, false, false, true, true, true, true, true]);
        assert_eq!(lines(text).nth(3).unwrap().code(), "let x = 1; ");
    }

    #[test]
    fn a_module_of_tests_in_another_file_leaves_this_one_code() {
        assert!(lines("#[cfg(test)]\nmod tests;\nfn code() {}").all(|line| !line.test));
        let text = "#[cfg(test)]\nmod vectors;\nmod wire;\n";
        assert_eq!(test_modules(Path::new("crates/x/src/lib.rs"), text), [Path::new("crates/x/src/vectors")]);
        assert_eq!(test_modules(Path::new("crates/x/src/a.rs"), text), [Path::new("crates/x/src/a/vectors")]);
        assert!(is_test_file(Path::new("crates/session/src/ledger/tests.rs")));
        assert!(is_test_file(Path::new("tests/tests/layers.rs")));
        assert!(!is_test_file(Path::new("crates/xtask/src/test.rs")));
    }
}
