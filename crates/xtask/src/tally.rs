//! What a run of the tests adds up to: the lines of the test harness and of cargo.

use crate::proc::Line;

/// As many may fail at the first time and pass at the second: more is no accident.
const MOST_UNSTEADY: usize = 2;

/// What the test harness's lines add up to.
#[derive(Default, Debug)]
pub struct Tally {
    /// Tests.
    pub passed: u64,
    /// Tests.
    pub failed: u64,
    /// Tests.
    pub ignored: u64,
    /// Those that failed, in order.
    pub failures: Vec<Failure>,
    /// What cargo said last that it runs.
    pub under_way: String,
    /// What cargo said in the end that failed: how to name each program with tests in it.
    targets: Vec<String>,
}

/// A test that failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// With its modules.
    pub name: String,
    /// What cargo said that it ran.
    program: String,
}

impl Failure {
    /// Cargo's words for the program with this test; the tests of documentation have none.
    pub fn target(&self) -> Option<Vec<String>> {
        let (source, program) = self.program.strip_prefix("Running ")?.split_once(" (")?;
        let name = program.rsplit('/').next()?.trim_end_matches(')').rsplit_once('-')?.0;
        Some(match source.strip_prefix("unittests ") {
            Some("src/lib.rs") => vec!["--lib".into()],
            Some(_) => vec!["--bins".into()],
            None if source.starts_with("tests/") => vec!["--test".into(), name.into()],
            None => return None,
        })
    }
}

impl Tally {
    /// Those that failed, for a person.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.failures.iter().map(|failure| failure.name.as_str()).collect();
        names.join(", ")
    }

    /// Whether what failed is so little that it is worth another look: a test or two, each of a program that ended by itself.
    pub fn may_be_unsteady(&self) -> bool {
        let mut programs: Vec<&str> = self.failures.iter().map(|failure| failure.program.as_str()).collect();
        programs.sort_unstable();
        programs.dedup();
        let few = (1..=MOST_UNSTEADY).contains(&self.failures.len());
        few && self.failed == self.failures.len() as u64 && programs.len() == self.targets.len()
    }

    /// Takes a line in; whether a person at a terminal wants to see it.
    pub fn take(&mut self, line: &Line) -> bool {
        let text = line.text();
        let trimmed = text.trim_start();
        if let Some(result) = text.strip_prefix("test result:") {
            let figure = |name: &str| {
                let words: Vec<&str> = result.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
                words.windows(2).find(|pair| pair[1] == name).and_then(|pair| pair[0].parse().ok()).unwrap_or(0u64)
            };
            self.passed += figure("passed");
            self.failed += figure("failed");
            self.ignored += figure("ignored");
            return true;
        }
        if matches!(line, Line::Err(_)) {
            let begins = trimmed.starts_with("Running ") || trimmed.starts_with("Doc-tests ");
            if begins {
                self.under_way = trimmed.to_owned();
            }
            if let Some(target) = trimmed.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
                self.targets.push(target.to_owned());
            }
            return begins || trimmed.starts_with("error");
        }
        let failed = text.starts_with("test ") && text.ends_with("FAILED");
        if failed {
            let name = text["test ".len()..].split(" ...").next().unwrap_or_default().to_owned();
            self.failures.push(Failure { name, program: self.under_way.clone() });
        }
        failed || text.contains("has been running for over") || text.contains("panicked at")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(text: &str) -> Line {
        Line::Out(text.to_owned())
    }

    #[test]
    fn results_of_all_binaries_add_up() {
        let mut tally = Tally::default();
        assert!(tally.take(&out(
            "test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s"
        )));
        assert!(tally.take(&out(
            "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s"
        )));
        assert_eq!((tally.passed, tally.failed, tally.ignored), (15, 1, 2));
    }

    #[test]
    fn a_failing_test_is_named() {
        let mut tally = Tally::default();
        assert!(!tally.take(&out("test ledger::tests::counts ... ok")));
        assert!(tally.take(&out("test ledger::tests::loses ... FAILED")));
        assert_eq!(tally.names(), "ledger::tests::loses");
        assert!(tally.take(&Line::Err("     Running unittests src/lib.rs (target/debug/deps/x-1)".into())));
        assert!(tally.under_way.starts_with("Running unittests"));
    }

    fn failed_in(program: &str, name: &str, tally: &mut Tally) {
        tally.take(&Line::Err(format!("     Running {program}")));
        tally.take(&out(&format!("test {name} ... FAILED")));
        tally.take(&out(
            "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ));
    }

    fn said_in_the_end(target: &str) -> Line {
        Line::Err(format!("    `{target}`"))
    }

    #[test]
    fn one_or_two_that_failed_are_found_again() {
        let mut tally = Tally::default();
        failed_in("tests/live/main.rs (target/debug/deps/live-317742499400b3f6)", "keys::arrive", &mut tally);
        assert!(!tally.may_be_unsteady(), "cargo has not said what failed");
        tally.take(&said_in_the_end("-p telepane-tests --test live"));
        assert!(tally.may_be_unsteady());
        assert_eq!(tally.failures[0].target(), Some(vec!["--test".into(), "live".into()]));
        failed_in("unittests src/lib.rs (target/debug/deps/telepane_host-a01cbaad957884c5)", "door::opens", &mut tally);
        tally.take(&said_in_the_end("-p telepane-host --lib"));
        assert!(tally.may_be_unsteady());
        assert_eq!(tally.failures[1].target(), Some(vec!["--lib".into()]));
        failed_in(
            "unittests src/lib.rs (target/debug/deps/telepane_host-a01cbaad957884c5)",
            "door::closes",
            &mut tally,
        );
        assert!(!tally.may_be_unsteady(), "three are no accident");
    }

    #[test]
    fn a_program_that_crashed_is_no_accident() {
        let mut tally = Tally::default();
        failed_in("tests/live/main.rs (target/debug/deps/live-317742499400b3f6)", "keys::arrive", &mut tally);
        tally.take(&said_in_the_end("-p telepane-tests --test live"));
        tally.take(&said_in_the_end("-p telepane-codec --lib"));
        assert!(!tally.may_be_unsteady());
    }
}
