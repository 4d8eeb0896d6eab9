//! Telepane's chores: what `cargo xtask …` does, as a library so that tests can hold the tree to the same rules.
//!
//! The two commands a stranger runs are `demo` and `test`; each first says what it will install and build. Everything
//! here talks to a person at a terminal, so failures are [`anyhow::Error`]s whose text says what to do next. It is
//! built before anything else on a fresh machine and therefore depends on little.
//!
//! The rules of the house live here once and are used by the command and by the `tests` package alike:
//! [`layers`] (floors), [`licences`] (what may be linked), [`shown`] (pages that name tests) and [`spec`] (numbered sentences
//! against code and tests).

#![forbid(unsafe_code)]

pub mod bench;
pub mod build;
pub mod clock;
pub mod counts;
pub mod demo;
pub mod doctor;
pub mod elsewhere;
pub mod fuzz;
pub mod journey;
pub mod layers;
pub mod licences;
pub mod packages;
pub mod plot;
pub mod proc;
pub mod progress;
pub mod shown;
pub mod sources;
pub mod spec;
pub mod steps;
pub mod tally;
pub mod test;
pub mod tree;
pub mod wine;

/// A failure with an exit code of its own; every other error ends in 1.
#[derive(Debug)]
pub struct Exit {
    /// The process's exit code: 2 for "you must do something first", 130 for Ctrl+C.
    pub code: u8,
    /// What to tell the person.
    pub message: String,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Exit {}

/// An error that ends the process with `code`.
pub fn exit(code: u8, message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Exit { code, message: message.into() })
}
