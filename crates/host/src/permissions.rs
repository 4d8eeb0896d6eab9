//! `default.perm`: what those who come in may do, read again when it changes while the agent runs.
//!
//! Without a file everybody who is let in may do everything. A file that cannot be understood keeps the agent from
//! starting; one that breaks, or vanishes, under a running agent changes nothing until it is right again, and is said
//! aloud once. What the lines mean is `telepane_trust::permissions`; this is where the text comes from.

use crate::system;
use serde_json::json;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use telepane_trust::permissions::{MAX_TEXT, PermissionsError};
use telepane_trust::{Actor, Feature, FeatureSet, Permissions};
use thiserror::Error;

/// Why a permission file counts for nothing.
#[derive(Debug, Error)]
pub enum PermissionsFault {
    /// It cannot be read.
    #[error("cannot read the permission file {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        error: std::io::Error,
    },
    /// Others may change it.
    #[error("{} can be changed by other users (mode {mode:04o}); run `chmod go-w {}`", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A line of it is wrong.
    #[error("{}: {why}; `telepane-host permissions describe` checks it", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which, and what.
        why: PermissionsError,
    },
}

/// Whoever runs the agent: the session's owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The system's name for them.
    pub user: Option<String>,
    /// The system's names for their groups.
    pub groups: Vec<String>,
}

/// The file, and what it says.
#[derive(Debug)]
pub struct PermissionsFile {
    path: PathBuf,
    owner: Owner,
    /// The file and what it imports, as they looked when they were read.
    looks: Vec<(PathBuf, Option<Look>)>,
    rules: Option<Permissions>,
    /// A change that could not be used was said.
    complained: bool,
}

impl PermissionsFile {
    /// Reads `path`, which need not exist.
    pub fn open(path: &Path, owner: Owner) -> Result<Self, PermissionsFault> {
        let (rules, looks) = read(path)?;
        if looks.iter().any(|(_, look)| look.is_some_and(|look| look.mode.is_none())) {
            tracing::warn!(path = %path.display(), "who else may change the permission file is not looked at on this system");
        }
        Ok(Self { path: path.to_owned(), owner, looks, rules, complained: false })
    }

    /// Reads it again if it or an import has changed; true when other rules hold now.
    pub fn refresh(&mut self) -> bool {
        if self.looks.iter().all(|(path, then)| look(path) == *then) {
            return false;
        }
        let read = read(&self.path);
        let vanished = matches!(&read, Ok((None, _))) && self.rules.is_some();
        match read {
            Ok((rules, looks)) if !vanished => {
                (self.rules, self.looks, self.complained) = (rules, looks, false);
                return true;
            }
            Ok(_) if !self.complained => {
                tracing::warn!(path = %self.path.display(), "the permission file is gone; its rules hold until the agent ends");
            }
            Err(error) if !self.complained => {
                tracing::warn!(%error, "the permission file cannot be used; the rules read before hold");
            }
            _ => {}
        }
        self.complained = true;
        false
    }

    /// What somebody may do who came in and says that their name is `claimed`.
    pub fn granted(&self, claimed: &str) -> FeatureSet {
        granted(self.rules.as_ref(), &self.owner, claimed)
    }
}

fn granted(rules: Option<&Permissions>, owner: &Owner, claimed: &str) -> FeatureSet {
    let Some(rules) = rules else { return FeatureSet::BUILTIN };
    let groups: Vec<&str> = owner.groups.iter().map(String::as_str).collect();
    rules.granted_to(&Actor { user: owner.user.as_deref(), os_groups: &groups, owner: true }, claimed)
}

type Read = (Option<Permissions>, Vec<(PathBuf, Option<Look>)>);

fn read(path: &Path) -> Result<Read, PermissionsFault> {
    let mut looks = vec![(path.to_owned(), look(path))];
    let text = match text_of(path) {
        Ok(text) => text,
        Err(PermissionsFault::Unreadable { error, .. }) if error.kind() == ErrorKind::NotFound => {
            return Ok((None, looks));
        }
        Err(error) => return Err(error),
    };
    let beside = path.parent().unwrap_or(Path::new("."));
    let rules = Permissions::parse_with(&text, &mut |name| {
        let path = beside.join(name);
        looks.push((path.clone(), look(&path)));
        text_of(&path).map_err(|e| e.to_string())
    });
    let rules = rules.map_err(|why| PermissionsFault::Invalid { path: path.to_owned(), why })?;
    Ok((Some(rules), looks))
}

fn text_of(path: &Path) -> Result<String, PermissionsFault> {
    let unreadable = |error| PermissionsFault::Unreadable { path: path.to_owned(), error };
    // What is no plain file is not opened: reading a pipe could wait for ever.
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        return Err(unreadable(std::io::Error::other("not a regular file")));
    }
    if let Some(mode) = system::mode(&meta).filter(|mode| mode & 0o022 != 0) {
        return Err(PermissionsFault::Open { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // One byte more than allowed is enough for the parser to refuse it.
    file.take(MAX_TEXT as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    modified: Option<SystemTime>,
    length: u64,
    inode: Option<u64>,
    mode: Option<u32>,
}

fn look(path: &Path) -> Option<Look> {
    let meta = std::fs::metadata(path).ok()?;
    let (inode, mode) = (system::inode(&meta), system::mode(&meta));
    Some(Look { modified: meta.modified().ok(), length: meta.len(), inode, mode })
}

impl Owner {
    /// Whoever runs this process, by the system's own lists.
    pub fn of_this_process() -> Self {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let group = std::fs::read_to_string("/etc/group").unwrap_or_default();
        let (uid, gids) = system::ids().unzip();
        // Users of a directory service stand in no file here.
        let user =
            uid.and_then(|uid| name_of(&passwd, uid)).or_else(|| std::env::var("USER").ok()).filter(|u| !u.is_empty());
        let mut groups: Vec<String> = gids.iter().flatten().filter_map(|gid| name_of(&group, *gid)).collect();
        groups.sort();
        groups.dedup();
        Self { user, groups }
    }
}

/// The name in a line `name:password:number:…`.
fn name_of(list: &str, number: u32) -> Option<String> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(number) && !name.is_empty()).then(|| name.to_owned())
    })
}

/// `telepane-host permissions describe`: what the file grants to `user` (the owner when none is named), for people or as JSON.
pub fn describe(path: &Path, named: bool, user: Option<&str>, json: bool) -> anyhow::Result<String> {
    let (rules, _) = read(path)?;
    anyhow::ensure!(rules.is_some() || !named, "there is no file {}", path.display());
    let owner = Owner::of_this_process();
    let claimed = user.unwrap_or_default();
    let features = granted(rules.as_ref(), &owner, claimed);
    let who = user.or(owner.user.as_deref()).unwrap_or("the owner").to_owned();
    let (yes, no): (Vec<&str>, Vec<&str>) = (
        features.iter().map(Feature::name).collect(),
        Feature::ALL.iter().filter(|f| !features.has(**f)).map(|f| f.name()).collect(),
    );
    let admitted = features.has(Feature::Display);
    let idle: Vec<&str> = REFUSED_IN_VAIN.iter().filter(|f| !features.has(**f)).map(|f| f.name()).collect();
    if json {
        let file = rules.is_some().then(|| path.display().to_string());
        let value = json!({
            "file": file, "user": who, "owner": user.is_none() || owner.user.as_deref() == user,
            "admitted": admitted, "allowed": yes, "refused": no, "refused_in_vain": idle,
        });
        return Ok(serde_json::to_string_pretty(&value)? + "\n");
    }
    let file = match rules {
        Some(_) => path.display().to_string(),
        None => format!("none ({} does not exist): whoever comes in may do everything", path.display()),
    };
    let list = |names: &[&str]| if names.is_empty() { "nothing".to_owned() } else { names.join(" ") };
    let door = if admitted { "let in" } else { "not let in: display is refused" };
    let mut text =
        format!("file     {file}\nuser     {who}: {door}\nallowed  {}\nrefused  {}\n", list(&yes), list(&no));
    if !idle.is_empty() {
        text += &format!("note     refusing {} has no effect here\n", idle.join(" and "));
    }
    Ok(text)
}

/// Features that DCV's files refuse and that nothing here can: whoever sees pixels can keep them, and whoever is in has proven
/// the owner's code or an enrolled key.
const REFUSED_IN_VAIN: [Feature; 2] = [Feature::Screenshot, Feature::UnsupervisedAccess];

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::{TempDir, tempdir};

    fn write(dir: &TempDir, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.path().join(name);
        // Renamed into place, as an editor does: another inode, whatever the clock's grain.
        let fresh = dir.path().join("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::rename(fresh, &path).unwrap();
        path
    }

    fn owner() -> Owner {
        Owner { user: Some("jane".into()), groups: vec!["staff".into()] }
    }

    #[test]
    fn a_change_holds_at_once_and_a_broken_or_missing_file_changes_nothing() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("default.perm");
        let mut file = PermissionsFile::open(&path, owner()).unwrap();
        assert_eq!(file.granted(""), FeatureSet::BUILTIN);
        assert!(!file.refresh());
        write(&dir, "default.perm", "[permissions]\n%owner% allow display keyboard\n");
        assert!(file.refresh());
        assert!(file.granted("").has(Feature::Keyboard) && !file.granted("").has(Feature::Mouse));
        write(&dir, "default.perm", "[permissions]\n%owner% permits everything\n");
        assert!(!file.refresh() && file.granted("").has(Feature::Keyboard));
        std::fs::remove_file(&path).unwrap();
        assert!(!file.refresh() && !file.granted("").has(Feature::Mouse));
        write(&dir, "default.perm", "[permissions]\nosgroup:staff allow display\n");
        assert!(file.refresh() && !file.granted("").has(Feature::Keyboard));
        assert!(file.granted("").has(Feature::Display) && !file.granted("bob").has(Feature::Display));
    }

    #[test]
    fn an_import_is_found_beside_the_file_and_watched() {
        let dir = tempdir().unwrap();
        write(&dir, "team.perm", "[permissions]\n%owner% allow display\n");
        let path = write(&dir, "default.perm", "#import team.perm\n");
        let mut file = PermissionsFile::open(&path, owner()).unwrap();
        assert!(file.granted("").has(Feature::Display));
        write(&dir, "team.perm", "[permissions]\n%owner% allow display mouse\n");
        assert!(file.refresh() && file.granted("").has(Feature::Mouse));
    }

    #[test]
    fn a_wrong_file_is_named_with_its_line_and_an_open_one_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempdir().unwrap();
        let path = write(&dir, "default.perm", "[permissions]\n%owner% allow telepathy\n");
        let error = PermissionsFile::open(&path, owner()).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("telepathy"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(PermissionsFile::open(&path, owner()), Err(PermissionsFault::Open { mode: 0o666, .. })));
        assert!(PermissionsFile::open(dir.path(), owner()).is_err(), "a directory is no file");
    }

    #[test]
    fn it_is_described_for_people_and_scripts() {
        let dir = tempdir().unwrap();
        let path = write(&dir, "p", "[permissions]\n%any% allow display\n%owner% allow mouse\n");
        let text = describe(&path, true, Some("somebody-else"), false).unwrap();
        assert!(text.contains("let in") && text.contains("allowed  display\n"), "{text}");
        assert!(text.ends_with("note     refusing screenshot and unsupervised-access has no effect here\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&describe(&path, true, None, true).unwrap()).unwrap();
        assert_eq!(json["refused_in_vain"], json!(["screenshot", "unsupervised-access"]));
        assert_eq!((&json["owner"], &json["allowed"]), (&json!(true), &json!(["display", "mouse"])));
        assert!(describe(&dir.path().join("absent"), true, None, false).is_err());
        assert!(describe(&dir.path().join("absent"), false, None, false).unwrap().contains("may do everything"));
    }

    #[test]
    fn names_are_found_in_the_systems_lists() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\njane:x:1000:1000::/home/jane:/bin/sh\n";
        assert_eq!(name_of(passwd, 1000).as_deref(), Some("jane"));
        assert_eq!(name_of(passwd, 7), None);
    }
}
