//! The permission file: who may use which feature, in the grammar of Amazon DCV's.
//!
//! ```text
//! #import team.perm
//! [groups]
//! support = john, user:jane, group:night-shift, osgroup:helpdesk
//! [aliases]
//! files = file-upload, file-download
//! [permissions]
//! %owner% allow builtin
//! group:support allow display pointer keyboard mouse
//! %any% deny files
//! ```
//! Lines are read in order. `allow` grants, `disallow` takes back until a later line grants again, `deny` is final whatever
//! follows. What no line grants is refused, and an empty file refuses everything. Other lines that begin with `#` are
//! comments; a word in double quotes may hold spaces. Groups and aliases may be defined after they are used, but must be
//! defined and must not contain themselves. Imports are resolved by a function the caller hands in.

mod feature;
mod reader;
mod rights;

pub use feature::{Feature, FeatureSet};
pub use rights::Rights;

use reader::Reader;
use std::collections::BTreeMap;

/// The most bytes of a file together with all its imports.
pub const MAX_TEXT: usize = 256 * 1024;
/// The deepest nesting of imports, groups and aliases.
pub const MAX_DEPTH: usize = 8;

/// Whoever asks: as the host knows them after authentication.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    /// The user's name; `None` when only the code was proven.
    pub user: Option<&'a str>,
    /// The operating system groups of that user.
    pub os_groups: &'a [&'a str],
    /// Owns the session.
    pub owner: bool,
}

/// What is wrong with a permission file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}line {line}: {fault}")]
pub struct PermissionsError {
    /// The line, counted from 1.
    pub line: usize,
    /// The imported file the line is in, followed by ": "; empty for the file itself.
    pub file: String,
    /// What is wrong there.
    pub fault: Fault,
}

/// What can be wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A heading that does not exist.
    #[error("unknown section {0:?}; there are [groups], [aliases] and [permissions]")]
    Section(String),
    /// Text before the first heading.
    #[error("a line before the first section; begin with [groups], [aliases] or [permissions]")]
    NoSection,
    /// A definition without `=`, a name or members.
    #[error("a definition reads `name = member, member`")]
    Definition,
    /// A permission without actor, rule or features.
    #[error("a permission reads `actor allow|disallow|deny feature ...`")]
    Permission,
    /// A word that is no rule.
    #[error("unknown rule {0:?}; there are allow, disallow and deny")]
    Rule(String),
    /// A word that is neither feature nor alias.
    #[error("unknown feature or alias {0:?}")]
    Feature(String),
    /// A group that is not defined.
    #[error("unknown group {0:?}; define it under [groups]")]
    Group(String),
    /// An actor that cannot be.
    #[error("unknown actor {0:?}; write a user, group:NAME, osgroup:NAME, %owner% or %any%")]
    Actor(String),
    /// A name that is defined twice or is reserved.
    #[error("{0:?} is already defined")]
    Twice(String),
    /// A group or alias within itself, or nested too deeply.
    #[error("{0:?} contains itself or is nested more than {MAX_DEPTH} deep")]
    Nested(String),
    /// A quote that is not closed.
    #[error("a double quote is not closed")]
    Quote,
    /// An import that could not be read.
    #[error("cannot import {path:?}: {why}")]
    Import {
        /// What was asked for.
        path: String,
        /// Why not.
        why: String,
    },
    /// More than [`MAX_TEXT`] bytes.
    #[error("the file and its imports have more than {MAX_TEXT} bytes")]
    Size,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Any,
    Owner,
    User(String),
    Group(String),
    OsGroup(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Allow,
    Disallow,
    Deny,
}

/// A parsed and checked permission file.
#[derive(Clone, Debug)]
pub struct Permissions {
    groups: BTreeMap<String, Vec<Who>>,
    lines: Vec<(Who, Rule, FeatureSet)>,
}

impl Default for Permissions {
    /// What holds without a file: the owner may do everything, nobody else anything.
    fn default() -> Self {
        Self { groups: BTreeMap::new(), lines: vec![(Who::Owner, Rule::Allow, FeatureSet::BUILTIN)] }
    }
}

impl Permissions {
    /// Parses a file that imports nothing.
    pub fn parse(text: &str) -> Result<Self, PermissionsError> {
        Self::parse_with(text, &mut |_| Err("imports are not possible here".into()))
    }

    /// Parses a file; `import` gives the text of an imported one, or says why not.
    pub fn parse_with(
        text: &str,
        import: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<Self, PermissionsError> {
        let mut reader = Reader::new(import);
        reader.read(text, "", 0)?;
        reader.resolve()
    }

    /// Everything `actor` may do.
    pub fn granted(&self, actor: &Actor<'_>) -> FeatureSet {
        let (mut granted, mut denied) = (FeatureSet::NONE, FeatureSet::NONE);
        for (who, rule, features) in &self.lines {
            if !self.means(who, actor, 0) {
                continue;
            }
            match rule {
                Rule::Allow => granted = granted.with(*features),
                Rule::Disallow => granted = granted.without(*features),
                Rule::Deny => denied = denied.with(*features),
            }
        }
        let mut granted = granted.without(denied);
        if !granted.has(Feature::Keyboard) {
            granted = granted.without(FeatureSet::of(Feature::KeyboardSas));
        }
        granted
    }

    /// True when `actor` may use `feature`.
    pub fn allows(&self, actor: &Actor<'_>, feature: Feature) -> bool {
        self.granted(actor).has(feature)
    }

    fn means(&self, who: &Who, actor: &Actor<'_>, depth: usize) -> bool {
        match who {
            Who::Any => true,
            Who::Owner => actor.owner,
            Who::User(name) => actor.user == Some(name.as_str()),
            Who::OsGroup(name) => actor.os_groups.contains(&name.as_str()),
            Who::Group(name) => {
                // Definitions were checked to be free of cycles; the depth is a second fence.
                depth <= MAX_DEPTH
                    && self.groups.get(name).is_some_and(|m| m.iter().any(|w| self.means(w, actor, depth + 1)))
            }
        }
    }
}

#[cfg(test)]
#[path = "permissions_tests.rs"]
mod tests;
