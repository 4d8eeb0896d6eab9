//! `cargo xtask spec`: the numbered sentences of `protocol-spec/` held against code and tests.
//!
//! A sentence is numbered where its number stands in brackets, as in `[W-17]`; elsewhere in prose it is called W-17.
//! Code that carries a sentence out says `// spec: W-17` (several after commas), and so does a test that would
//! fail if it were not. What has no code or no test stands in `protocol-spec/exceptions.md` as
//! `- W-17 no test: why`, `- W-17 no code: why` or `- W-17 no code, no test: why`.
//!
//! Wrong are a sentence without code or test and without excuse, a number given twice, a citation or an excuse of a
//! number that does not exist, an excuse without a reason or for something that is there after all, and a page that
//! the index in `README.md` does not name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};

use crate::sources::{self, Source};
use crate::tree;

/// Prints what is missing.
///
/// # Errors
/// When something is.
pub fn run() -> Result<()> {
    println!("{}", check(&tree::root()?)?);
    Ok(())
}

/// Reads the tree and checks it.
///
/// # Errors
/// With every fault, one per line.
pub fn check(root: &Path) -> Result<String> {
    let mut book = Book::default();
    let folder = root.join("protocol-spec");
    let mut pages = BTreeSet::new();
    for path in sources::files(&folder, "md")? {
        let relative = path.strip_prefix(&folder).unwrap_or(&path).to_path_buf();
        let text = sources::read(&path)?;
        pages.insert(relative.display().to_string());
        if relative == Path::new("exceptions.md") {
            book.read_exceptions(&text);
        } else if relative != Path::new("README.md")
            && !relative.starts_with("decisions")
            && !relative.starts_with("vectors")
        {
            book.read_sentences(&relative.display().to_string(), &text);
        }
    }
    book.wrong.extend(index_errors(&sources::read(&folder.join("README.md"))?, &pages));
    for folder in ["crates", "tests", "benches", "fuzz/fuzz_targets"] {
        for source in sources::rust(root, &root.join(folder))? {
            // This package and its tests speak about citations.
            if !source.relative.starts_with("crates/xtask") {
                book.read_source(&source);
            }
        }
    }
    let wrong = book.faults();
    if wrong.is_empty() {
        return Ok(book.summary());
    }
    bail!("{} faults between protocol-spec and the code ({})\n  {}", wrong.len(), book.summary(), wrong.join("\n  "))
}

/// What the specification says and who cites it.
#[derive(Default, Debug)]
pub struct Book {
    sentences: BTreeMap<Number, Sentence>,
    /// Where numbers are cited that no sentence has.
    strangers: BTreeMap<Number, Vec<String>>,
    excuses: BTreeMap<Number, Excuse>,
    wrong: Vec<String>,
}

/// A sentence's number: its letters and its count, so that W-2 stands before W-17.
type Number = (String, u32);

#[derive(Debug)]
struct Sentence {
    place: String,
    code: u32,
    tests: u32,
}

#[derive(Debug, Default)]
struct Excuse {
    no_code: bool,
    no_test: bool,
}

impl Book {
    /// Takes the sentences of one page in.
    pub fn read_sentences(&mut self, page: &str, text: &str) {
        let mut fenced = false;
        for (index, line) in text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            if fenced {
                continue;
            }
            for number in bracketed(line) {
                let place = format!("{page}:{}", index + 1);
                if let Some(first) = self.sentences.get(&number) {
                    self.wrong.push(format!(
                        "{place}: [{}] is numbered at {} already; refer to it without brackets",
                        show(&number),
                        first.place
                    ));
                } else {
                    self.sentences.insert(number, Sentence { place, code: 0, tests: 0 });
                }
            }
        }
    }

    /// Takes the citations of one source file in. All sentences must have been read before.
    pub fn read_source(&mut self, source: &Source) {
        for line in sources::lines(&source.text) {
            let Some((_, comment)) = line.text.split_once("//") else { continue };
            let Some((_, list)) = comment.split_once("spec: ") else { continue };
            for word in list
                .split([',', ' ', ';'])
                .map(|word| word.trim_end_matches(['.', ')', ':']))
                .filter(|word| !word.is_empty())
            {
                // The list ends where prose begins.
                let Some(number) = number(word) else { break };
                match self.sentences.get_mut(&number) {
                    Some(sentence) if source.test || line.test => sentence.tests += 1,
                    Some(sentence) => sentence.code += 1,
                    None => {
                        let place = format!("{}:{}", source.relative.display(), line.number);
                        self.strangers.entry(number).or_default().push(place);
                    }
                }
            }
        }
    }

    /// Takes `exceptions.md` in.
    pub fn read_exceptions(&mut self, text: &str) {
        for (index, line) in text.lines().enumerate() {
            let Some(entry) = line.strip_prefix("- ") else { continue };
            let Some(number) =
                entry.split_whitespace().next().and_then(|word| number(word.trim_matches(['[', ']', '`'])))
            else {
                continue;
            };
            let (claim, reason) = entry.split_once(':').unwrap_or((entry, ""));
            let excuse = Excuse { no_code: claim.contains("no code"), no_test: claim.contains("no test") };
            if reason.trim().is_empty() || !(excuse.no_code || excuse.no_test) {
                self.wrong.push(format!("exceptions.md:{}: write \"- {} no test: why\"", index + 1, show(&number)));
            }
            self.excuses.insert(number, excuse);
        }
    }

    /// Everything wrong, in the order of the numbers.
    pub fn faults(&self) -> Vec<String> {
        let mut wrong = self.wrong.clone();
        let none = Excuse::default();
        for (number, sentence) in &self.sentences {
            let excuse = self.excuses.get(number).unwrap_or(&none);
            for (what, count, excused) in
                [("code", sentence.code, excuse.no_code), ("test", sentence.tests, excuse.no_test)]
            {
                match (count, excused) {
                    (0, false) => wrong.push(format!("{}: {} has no {what}", sentence.place, show(number))),
                    (1.., true) => {
                        wrong.push(format!("exceptions.md: {} has a {what} now; take the excuse out", show(number)))
                    }
                    _ => (),
                }
            }
        }
        let unknown = self.excuses.keys().filter(|number| !self.sentences.contains_key(*number));
        wrong.extend(unknown.map(|number| format!("exceptions.md: {} is no sentence", show(number))));
        for (number, places) in &self.strangers {
            let more = if places.len() > 1 { format!(" and {} more", places.len() - 1) } else { String::new() };
            wrong.push(format!("{}{more}: cites {}, which is no sentence", places[0], show(number)));
        }
        wrong
    }

    /// How many of what.
    pub fn summary(&self) -> String {
        let whole = self.sentences.values().filter(|sentence| sentence.code > 0 && sentence.tests > 0).count();
        format!("{} sentences, {whole} with code and test, {} excused", self.sentences.len(), self.excuses.len())
    }
}

/// Pages that the index in `README.md` does not name, and names in it (as in `` `lanes.md` `` or a link) without a page.
fn index_errors(index: &str, pages: &BTreeSet<String>) -> Vec<String> {
    let named: BTreeSet<&str> =
        index.split(['`', '(', ')']).filter(|word| word.ends_with(".md") && !word.contains(' ')).collect();
    let untold = pages.iter().filter(|page| *page != "README.md" && !named.contains(page.as_str()));
    let gone = named.iter().filter(|name| !pages.contains(**name));
    untold
        .map(|page| format!("README.md: its index does not name {page}"))
        .chain(gone.map(|name| format!("README.md: its index names {name}, which is not there")))
        .collect()
}

/// Numbers in brackets that are neither the text of a link nor an example in code.
fn bracketed(line: &str) -> Vec<Number> {
    let mut found = Vec::new();
    let prose: Vec<&str> = line.split('`').step_by(2).collect();
    let prose = prose.join("`");
    let mut rest = prose.as_str();
    while let Some((_, after)) = rest.split_once('[') {
        rest = after;
        if let Some((inside, after)) = after.split_once(']')
            && !after.starts_with(['(', '['])
            && let Some(number) = number(inside)
        {
            found.push(number);
        }
    }
    found
}

/// `W-17`: one to four capital letters, a hyphen, a count.
fn number(word: &str) -> Option<Number> {
    let (letters, count) = word.split_once('-')?;
    let fits = (1..=4).contains(&letters.len()) && letters.chars().all(|c| c.is_ascii_uppercase());
    (fits && count.chars().all(|c| c.is_ascii_digit())).then_some(())?;
    Some((letters.to_owned(), count.parse().ok()?))
}

fn show(number: &Number) -> String {
    format!("{}-{}", number.0, number.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(relative: &str, text: &str) -> Source {
        let test = sources::is_test_file(Path::new(relative));
        Source { relative: relative.into(), text: text.to_owned(), test }
    }

    fn book() -> Book {
        let mut book = Book::default();
        book.read_sentences(
            "wire.md",
            "[W-1] A.\n- **[W-2]** B, as W-1 says.\n```\n[W-9]\n```\nSee [W-1](#w1) and `[W-2]`. [W-3] C. [W-4] D.\n",
        );
        book
    }

    #[test]
    fn numbers_in_brackets_are_sentences_and_links_are_not() {
        let book = book();
        let numbers: Vec<String> = book.sentences.keys().map(show).collect();
        assert_eq!(numbers, ["W-1", "W-2", "W-3", "W-4"]);
        assert!(book.wrong.is_empty());
    }

    #[test]
    fn code_and_tests_are_told_apart() {
        let mut book = book();
        let text = "// spec: W-1, W-2 because\nfn f() {}\n#[cfg(test)]\nmod tests {\n// spec: W-1.\n}\n";
        book.read_source(&source("crates/x/src/a.rs", text));
        book.read_source(&source("tests/tests/wire.rs", "//! spec: W-2; W-3\n"));
        let faults = book.faults();
        assert_eq!(faults, ["wire.md:6: W-3 has no code", "wire.md:6: W-4 has no code", "wire.md:6: W-4 has no test"]);
        assert!(book.summary().starts_with("4 sentences, 2 with code and test"));
    }

    #[test]
    fn excuses_need_a_reason_a_sentence_and_a_need() {
        let mut book = book();
        book.read_source(&source("crates/x/src/a.rs", "// spec: W-1, W-2, W-3, W-4"));
        book.read_exceptions("# Exceptions\n- W-2 no test: it is advice\n- W-3 no test:\n- W-4 no code, no test: later\n- W-8 no test: gone\n");
        let faults = book.faults().join("\n");
        assert!(faults.contains("W-1 has no test"), "{faults}");
        assert!(!faults.contains("W-2"), "{faults}");
        assert!(faults.contains("write \"- W-3 no test: why\""), "{faults}");
        assert!(faults.contains("W-4 has a code now"), "{faults}");
        assert!(faults.contains("W-8 is no sentence"), "{faults}");
    }

    #[test]
    fn a_number_given_twice_and_a_citation_of_nothing_are_faults() {
        let mut book = book();
        book.read_sentences("more.md", "[W-2] again");
        book.read_source(&source("crates/x/src/a.rs", "// spec: W-77\n"));
        let faults = book.faults().join("\n");
        assert!(faults.contains("[W-2] is numbered at wire.md:2 already"), "{faults}");
        assert!(faults.contains("crates/x/src/a.rs:1: cites W-77"), "{faults}");
    }

    #[test]
    fn the_index_and_the_pages_are_the_same() {
        let pages: BTreeSet<String> = ["README.md", "lanes.md", "decisions/0001-x.md"].map(str::to_owned).into();
        assert!(index_errors("| `lanes.md` | x |\n[1](decisions/0001-x.md)", &pages).is_empty());
        assert_eq!(index_errors("`lanes.md` `faults.md`", &pages).len(), 2);
    }

    #[test]
    fn a_number_is_capitals_a_hyphen_and_a_count() {
        assert_eq!(number("W-17"), Some(("W".into(), 17)));
        for word in ["W17", "w-17", "W-", "-17", "W-1a", "VERYLONG-1", "UTF-8x"] {
            assert_eq!(number(word), None, "{word}");
        }
    }
}
