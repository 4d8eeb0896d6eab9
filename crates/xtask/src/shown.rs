//! Pages that name tests: every test they name is in the tree, and every row of their tables names one or says why not.
//!
//! A test is named by a link whose text is its function and whose target is its file, as in
//! `[no_path_leads_out](../crates/files/src/tests.rs)`. A table whose last column is headed `test` is held to it: each of
//! its rows names a test there, or says `no test`, or says `left for later`.

use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};

use crate::sources;

/// The pages that are held to their word.
pub const PAGES: &[&str] = &["docs/peers.md", "docs/attacks.md"];

/// Reads the pages and checks them.
///
/// # Errors
/// With everything that is wrong, one per line.
pub fn check(root: &Path) -> Result<String> {
    let (mut named, mut rows, mut wrong) = (0, 0, Vec::new());
    for page in PAGES {
        let text = sources::read(&root.join(page))?;
        for (line, test, target) in tests_of(&text) {
            named += 1;
            let file = beside(Path::new(page), target);
            let Ok(source) = sources::read(&root.join(&file)) else {
                wrong.push(format!("{page}:{line}: there is no {}", file.display()));
                continue;
            };
            if !has_test(&source, test) {
                wrong.push(format!("{page}:{line}: {} has no test {test} (any more)", file.display()));
            }
        }
        let (count, silent) = silent_rows(&text);
        rows += count;
        wrong.extend(silent.into_iter().map(|line| {
            format!(
                "{page}:{line}: the row's last cell names no test, and says neither \"no test\" nor \"left for later\""
            )
        }));
    }
    if wrong.is_empty() {
        return Ok(format!("{rows} rows name {named} tests"));
    }
    bail!("{} claims without what shows them\n  {}", wrong.len(), wrong.join("\n  "))
}

/// The tests a page names: line, function, target as it stands there.
pub fn tests_of(page: &str) -> Vec<(usize, &str, &str)> {
    let mut found = Vec::new();
    for (index, line) in page.lines().enumerate() {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("](") {
            let Some((target, after)) = after.split_once(')') else { break };
            if let Some((_, text)) = before.rsplit_once('[')
                && target.ends_with(".rs")
            {
                found.push((index + 1, text.trim_matches('`'), target));
            }
            rest = after;
        }
    }
    found
}

/// Whether a source has a test function of this name that is run: under `#[test]`, not ignored.
pub fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let opens = format!("fn {name}(");
    lines.iter().enumerate().filter(|(_, line)| line.starts_with(&opens)).any(|(at, _)| {
        let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        let attributes: Vec<&str> = above.filter(|line| line.starts_with("#[")).copied().collect();
        attributes.contains(&"#[test]") && !attributes.iter().any(|line| line.contains("ignore"))
    })
}

/// How many rows the tables with a last column `test` have, and the lines of those that show and admit nothing.
pub fn silent_rows(page: &str) -> (usize, Vec<usize>) {
    let (mut count, mut silent, mut held) = (0, Vec::new(), false);
    let mut above = "";
    for (index, line) in page.lines().enumerate() {
        let row = line.trim();
        if !row.starts_with('|') {
            held = false;
        } else if row.starts_with("|---") || row.starts_with("|:--") {
            held = last_cell(above) == "test";
        } else if held {
            count += 1;
            let cell = last_cell(row);
            if tests_of(cell).is_empty() && !cell.contains("no test") && !cell.contains("left for later") {
                silent.push(index + 1);
            }
        }
        above = row;
    }
    (count, silent)
}

fn last_cell(row: &str) -> &str {
    row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim()
}

/// Where a link of `page` leads, from the root.
fn beside(page: &Path, target: &str) -> PathBuf {
    let mut path = page.parent().unwrap_or(Path::new("")).to_path_buf();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            _ => (),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_named_by_a_link_to_its_file() {
        let page = "See [the map](../ARCHITECTURE.md).\n| a | [one_goes](../crates/x/src/a.rs), [`two_go`](b.rs) |\n";
        assert_eq!(tests_of(page), [(2, "one_goes", "../crates/x/src/a.rs"), (2, "two_go", "b.rs")]);
        assert_eq!(beside(Path::new("docs/peers.md"), "../crates/x/src/a.rs"), Path::new("crates/x/src/a.rs"));
        assert_eq!(beside(Path::new("SECURITY.md"), "tests/a.rs"), Path::new("tests/a.rs"));
    }

    #[test]
    fn only_a_test_that_runs_counts() {
        let source = "// spec: X-1\n#[test]\n// why\nfn runs() {}\nfn helper() {}\n#[test]\n#[ignore]\nfn rests() {}\n\
                      mod m {\n    #[test]\n    fn inside() {}\n}\n// fn runs_not(\n#[test]\nfn runs_too(x in any()) {}\n";
        let there: Vec<&str> = ["runs", "helper", "rests", "inside", "runs_not", "run", "runs_too"]
            .into_iter()
            .filter(|name| has_test(source, name))
            .collect();
        assert_eq!(there, ["runs", "inside", "runs_too"]);
    }

    #[test]
    fn a_row_that_shows_and_admits_nothing_is_found() {
        let page = "| a | test |\n|---|---|\n| x | [t](a.rs) |\n| y | surely |\n| z | no test: why |\n\n\
                    | a | where |\n|---|---|\n| q | there |\n\n| a | test |\n|---|---|\n| w | left for later: b |\n| v | |\n";
        assert_eq!(silent_rows(page), (5, vec![4, 14]));
    }
}
