//! Which of this machine's monitors a session covers, and whether with one window or one each: what the person said last for
//! the set of monitors that is here, so that a desk with two screens and the road with none are each as they were left.
//!
//! The file is text: a first line with its version, then one line for each set, `monitors<TAB>choice`, the newest first.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use telepane_auth::files::{Privacy, private_dir, read, replace};
use telepane_model::Monitor;

/// Which ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Every one.
    All,
    /// These, from the left, the first being 1.
    These(Vec<usize>),
}

impl FromStr for Pick {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let numbers = text.split(',').map(|n| n.parse::<usize>().ok().filter(|n| (1..=16).contains(n)));
        let numbers: Option<Vec<usize>> = numbers.collect();
        numbers.map(Self::These).ok_or_else(|| "give all, or numbers from the left such as 1,2".into())
    }
}

impl std::fmt::Display for Pick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::These(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                f.write_str(&numbers.join(","))
            }
        }
    }
}

impl Pick {
    /// Their places in a list of all.
    fn of(&self, all: usize) -> Vec<usize> {
        match self {
            Self::All => (0..all).collect(),
            Self::These(numbers) => numbers.iter().map(|n| n - 1).filter(|n| *n < all).collect(),
        }
    }
}

/// What was chosen for a set of monitors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which of them.
    pub pick: Pick,
    /// A window over each, not one over all.
    pub windows: bool,
}

/// What stands before a choice of a window over each.
const WINDOWS: &str = "windows:";

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let windows = text.strip_prefix(WINDOWS);
        Ok(Self { pick: windows.unwrap_or(text).parse()?, windows: windows.is_some() })
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", if self.windows { WINDOWS } else { "" }, self.pick)
    }
}

/// What was chosen for each set of monitors.
#[derive(Debug)]
pub struct Choices {
    path: PathBuf,
    /// What the command line says, which is remembered for the sets it is used with.
    said: Option<Choice>,
}

/// The first line of the file.
const HEAD: &str = "telepane-monitors 1";
/// The largest file that is read: 64 sets of 16 monitors are less.
const MOST_BYTES: usize = 64 * 1024;
/// Sets that are remembered.
const MOST_SETS: usize = 64;

impl Choices {
    /// Those kept in the directory `state`.
    pub fn new(state: &Path, said: Option<Choice>) -> Self {
        Self { path: state.join("monitors"), said }
    }

    /// Which of these monitors to cover, by their numbers from 0, and whether with a window each; `None`: nothing was ever said.
    pub fn choose(&self, seen: &[Monitor]) -> Option<(Vec<usize>, bool)> {
        let set = name_of(seen);
        let kept = self.read();
        let before = kept.iter().find(|(s, _)| *s == set).map(|(_, choice)| choice);
        if let Some(said) = self.said.as_ref().filter(|said| before != Some(said)) {
            self.write(&set, said, &kept);
        }
        let choice = self.said.as_ref().or(before)?;
        Some((choice.pick.of(seen.len()), choice.windows))
    }

    fn read(&self) -> Vec<(String, Choice)> {
        // One that cannot be read, or is not ours, says nothing.
        let bytes = read(&self.path, Privacy::Listed, MOST_BYTES).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let Some(lines) = text.strip_prefix(HEAD) else { return Vec::new() };
        let line = |line: &str| {
            let (set, choice) = line.split_once('\t')?;
            Some((set.to_owned(), choice.parse().ok()?))
        };
        lines.lines().filter_map(line).take(MOST_SETS).collect()
    }

    fn write(&self, set: &str, choice: &Choice, kept: &[(String, Choice)]) {
        let mut text = format!("{HEAD}\n{set}\t{choice}\n");
        for (set, choice) in kept.iter().filter(|(s, _)| s != set).take(MOST_SETS - 1) {
            let _ = writeln!(text, "{set}\t{choice}");
        }
        // A choice that is not kept is asked for again; nothing else depends on it.
        let dir = self.path.parent().map(private_dir).transpose();
        if let Err(error) = dir.and_then(|_| replace(&self.path, text.as_bytes())) {
            tracing::warn!(%error, path = %self.path.display(), "the choice of monitors is not remembered");
        }
    }
}

/// A name for a set of monitors: what each is called, where it lies, how large it is, and its scale.
fn name_of(seen: &[Monitor]) -> String {
    let called = |m: &Monitor| m.name.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let one = |m: &Monitor| format!("{}:{:?}@{}", called(m), m.place, m.scale);
    seen.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rect;

    fn at(x: i32) -> Monitor {
        Monitor { place: Rect::new(x, 0, 100, 80), scale: 100, ..Monitor::default() }
    }

    #[test]
    fn a_choice_is_kept_for_its_set_of_monitors() {
        let dir = std::env::temp_dir().join(format!("telepane-monitors-{}", std::process::id()));
        let (home, road) = ([at(0), at(100), at(200)], [at(0)]);
        let chosen = |said: Option<&str>, seen: &[Monitor]| {
            let said = said.map(|s| s.parse().unwrap());
            Choices::new(&dir, said).choose(seen)
        };
        assert_eq!(chosen(None, &home), None, "nothing was ever said");
        assert_eq!(chosen(Some("1,3"), &home), Some((vec![0, 2], false)));
        assert_eq!(chosen(Some("windows:all"), &road), Some((vec![0], true)));
        assert_eq!(chosen(None, &home), Some((vec![0, 2], false)), "as it was left");
        assert_eq!(chosen(None, &road), Some((vec![0], true)));
        assert_eq!(chosen(Some("2"), &home), Some((vec![1], false)));
        assert_eq!(chosen(None, &home), Some((vec![1], false)));
        assert_eq!(chosen(None, &[at(0), at(100)]), None, "another set");
        let renamed = home.clone().map(|m| Monitor { name: "Other 1".into(), ..m });
        assert_eq!(chosen(None, &renamed), None, "others in the same places");
        replace(&dir.join("monitors"), b"something else\n").unwrap();
        assert_eq!(chosen(None, &home), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn choices_are_read_as_they_are_written() {
        for text in ["all", "1", "2,1,16", "windows:all"] {
            assert_eq!(text.parse::<Choice>().unwrap().to_string(), text);
        }
        for wrong in ["", "0", "17", "1,", "left", "windows:"] {
            assert!(wrong.parse::<Choice>().is_err(), "{wrong}");
        }
    }
}
