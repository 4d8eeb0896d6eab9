//! From text to a checked permission file.
//!
//! Lines are read in order, imports in place. What is only known at the end (groups and aliases may be defined after they are
//! used) is checked then, with the line it stands on. Work is bounded by the size of the text: each group and alias is
//! walked once.

use super::feature::{Feature, FeatureSet};
use super::{Fault, MAX_DEPTH, MAX_TEXT, Permissions, PermissionsError, Rule, Who};
use std::collections::{BTreeMap, BTreeSet};

/// Where a line stands, for errors that are found only after all lines are read.
#[derive(Clone)]
struct Place {
    file: String,
    line: usize,
}

impl Place {
    fn error(&self, fault: Fault) -> PermissionsError {
        let file = if self.file.is_empty() { String::new() } else { format!("{}: ", self.file) };
        PermissionsError { line: self.line, file, fault }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Section {
    None,
    Groups,
    Aliases,
    Permissions,
}

pub(super) struct Reader<'a> {
    import: &'a mut dyn FnMut(&str) -> Result<String, String>,
    bytes: usize,
    groups: BTreeMap<String, (Place, Vec<Who>)>,
    aliases: BTreeMap<String, (Place, Vec<String>)>,
    lines: Vec<(Place, Who, Rule, Vec<String>)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(import: &'a mut dyn FnMut(&str) -> Result<String, String>) -> Self {
        Self { import, bytes: 0, groups: BTreeMap::new(), aliases: BTreeMap::new(), lines: Vec::new() }
    }

    pub(super) fn read(&mut self, text: &str, file: &str, depth: usize) -> Result<(), PermissionsError> {
        self.bytes = self.bytes.saturating_add(text.len());
        let mut section = Section::None;
        for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
            let place = Place { file: file.to_owned(), line: index + 1 };
            if self.bytes > MAX_TEXT {
                return Err(place.error(Fault::Size));
            }
            let line = line.trim();
            if let Some(path) = line.strip_prefix("#import").filter(|p| p.starts_with(char::is_whitespace)) {
                let path = path.trim().trim_matches('"');
                let failed = |why| place.error(Fault::Import { path: path.to_owned(), why });
                if depth >= MAX_DEPTH {
                    return Err(failed(format!("more than {MAX_DEPTH} imports within one another")));
                }
                let imported = (self.import)(path).map_err(failed)?;
                self.read(&imported, path, depth + 1)?;
            } else if line.is_empty() || line.starts_with('#') {
                continue;
            } else if line.starts_with('[') {
                section = match line {
                    "[groups]" => Section::Groups,
                    "[aliases]" => Section::Aliases,
                    "[permissions]" => Section::Permissions,
                    other => return Err(place.error(Fault::Section(other.to_owned()))),
                };
            } else {
                self.line(section, line, &place).map_err(|fault| place.error(fault))?;
            }
        }
        Ok(())
    }

    fn line(&mut self, section: Section, line: &str, place: &Place) -> Result<(), Fault> {
        match section {
            Section::None => Err(Fault::NoSection),
            Section::Permissions => {
                let mut words = words(line, char::is_whitespace)?.into_iter();
                let (Some(actor), Some(rule)) = (words.next(), words.next()) else {
                    return Err(Fault::Permission);
                };
                let rule = match rule.as_str() {
                    "allow" => Rule::Allow,
                    "disallow" => Rule::Disallow,
                    "deny" => Rule::Deny,
                    _ => return Err(Fault::Rule(rule)),
                };
                let features: Vec<String> = words.collect();
                if features.is_empty() {
                    return Err(Fault::Permission);
                }
                self.lines.push((place.clone(), who(&actor)?, rule, features));
                Ok(())
            }
            Section::Groups | Section::Aliases => {
                let (name, members) = line.split_once('=').ok_or(Fault::Definition)?;
                let name = name.trim().trim_matches('"').to_owned();
                let members = words(members, |c| c == ',')?;
                if name.is_empty() || members.is_empty() || members.iter().any(String::is_empty) {
                    return Err(Fault::Definition);
                }
                let taken = if section == Section::Groups {
                    let members = members.iter().map(|m| who(m)).collect::<Result<_, _>>()?;
                    self.groups.insert(name.clone(), (place.clone(), members)).is_some()
                } else {
                    let reserved = name == "builtin" || name.parse::<Feature>().is_ok();
                    self.aliases.insert(name.clone(), (place.clone(), members)).is_some() || reserved
                };
                if taken { Err(Fault::Twice(name)) } else { Ok(()) }
            }
        }
    }

    pub(super) fn resolve(self) -> Result<Permissions, PermissionsError> {
        let mut sound = BTreeSet::new();
        for (name, (place, _)) in &self.groups {
            self.check_group(name, place, &mut sound, 0)?;
        }
        let mut expanded = BTreeMap::new();
        for (name, (place, _)) in &self.aliases {
            self.features(name, place, &mut expanded, 0)?;
        }
        let mut lines = Vec::with_capacity(self.lines.len());
        for (place, who, rule, names) in &self.lines {
            if let Who::Group(name) = who {
                self.check_group(name, place, &mut sound, 0)?;
            }
            let mut set = FeatureSet::NONE;
            for name in names {
                set = set.with(self.features(name, place, &mut expanded, 0)?);
            }
            lines.push((who.clone(), *rule, set));
        }
        let groups = self.groups.into_iter().map(|(name, (_, members))| (name, members)).collect();
        Ok(Permissions { groups, lines })
    }

    /// Checks that `name` is defined and does not contain itself; each group is walked once.
    fn check_group(
        &self,
        name: &str,
        from: &Place,
        sound: &mut BTreeSet<String>,
        depth: usize,
    ) -> Result<(), PermissionsError> {
        if sound.contains(name) {
            return Ok(());
        }
        let (place, members) = self.groups.get(name).ok_or_else(|| from.error(Fault::Group(name.to_owned())))?;
        if depth >= MAX_DEPTH {
            return Err(place.error(Fault::Nested(name.to_owned())));
        }
        for member in members {
            if let Who::Group(inner) = member {
                self.check_group(inner, place, sound, depth + 1)?;
            }
        }
        sound.insert(name.to_owned());
        Ok(())
    }

    fn features(
        &self,
        name: &str,
        from: &Place,
        expanded: &mut BTreeMap<String, FeatureSet>,
        depth: usize,
    ) -> Result<FeatureSet, PermissionsError> {
        if name == "builtin" {
            return Ok(FeatureSet::BUILTIN);
        }
        if let Ok(feature) = name.parse::<Feature>() {
            return Ok(FeatureSet::of(feature));
        }
        if let Some(set) = expanded.get(name) {
            return Ok(*set);
        }
        let (place, members) = self.aliases.get(name).ok_or_else(|| from.error(Fault::Feature(name.to_owned())))?;
        if depth >= MAX_DEPTH {
            return Err(place.error(Fault::Nested(name.to_owned())));
        }
        let mut set = FeatureSet::NONE;
        for member in members {
            set = set.with(self.features(member, place, expanded, depth + 1)?);
        }
        expanded.insert(name.to_owned(), set);
        Ok(set)
    }
}

fn who(word: &str) -> Result<Who, Fault> {
    let named = |name: &str| if name.is_empty() { Err(Fault::Actor(word.to_owned())) } else { Ok(name.to_owned()) };
    match word {
        "%any%" => return Ok(Who::Any),
        "%owner%" => return Ok(Who::Owner),
        _ if word.starts_with('%') => return Err(Fault::Actor(word.to_owned())),
        _ => {}
    }
    match word.split_once(':') {
        Some(("user", name)) => named(name).map(Who::User),
        Some(("group", name)) => named(name).map(Who::Group),
        Some(("osgroup", name)) => named(name).map(Who::OsGroup),
        Some(_) => Err(Fault::Actor(word.to_owned())),
        None => named(word).map(Who::User),
    }
}

/// The words of `line` between separators, without surrounding space; within double quotes nothing separates.
fn words(line: &str, separates: impl Fn(char) -> bool) -> Result<Vec<String>, Fault> {
    let (mut out, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            c if !quoted && separates(c) => out.push(core::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    if quoted {
        return Err(Fault::Quote);
    }
    out.push(word);
    let by_space = separates(' ');
    Ok(out.iter().map(|w| w.trim().to_owned()).filter(|w| !(by_space && w.is_empty())).collect())
}
