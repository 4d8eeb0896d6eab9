//! The host's list of enrolled clients: whose key opens the door without a code.
//!
//! `enrolled_clients.toml` is changed under a lock and replaced whole. A running agent calls [`Enrolled::refresh`] before each handshake and now
//! and then, so that `telepane-host client revoke` takes effect on it. A list that cannot be read lets nobody in.

use crate::files::{self, FileError};
use crate::list::{self, Look, MAX_ENTRIES};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use telepane_trust::{ClientId, ClientPublic, Label};

/// The file's name in the host's state directory.
pub const FILE: &str = "enrolled_clients.toml";
const HEADING: &str = "# Clients that come in without an access code; see `telepane-host client list`.\n";
/// `last_seen` is written at most this often, so that reconnects do not wear the disk.
const SEEN_EVERY_SECS: u64 = 3600;

/// One enrolled client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolledClient {
    /// Its key.
    pub key: ClientPublic,
    /// What it called itself when it was enrolled.
    pub name: Label,
    /// When it was enrolled, in seconds since 1970.
    pub first_seen: u64,
    /// When it last came in, within an hour, in seconds since 1970.
    pub last_seen: u64,
}

impl EnrolledClient {
    /// The key's name.
    pub fn id(&self) -> ClientId {
        self.key.id()
    }
}

/// Why the list was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The list is full.
    #[error("{MAX_ENTRIES} clients are enrolled already; revoke some with `telepane-host client revoke`")]
    Full,
    /// No client has this id or name.
    #[error("no enrolled client has the id or name {0:?}; see `telepane-host client list`")]
    NoSuchClient(String),
    /// More than one client is meant.
    #[error("{wanted:?} means {} clients ({}); give the id of one", ids.len(), ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Whom it could mean.
        ids: Vec<ClientId>,
    },
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default)]
    client: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: String,
    name: String,
    first_seen: u64,
    last_seen: u64,
}

/// The list as it was last read.
#[derive(Debug)]
pub struct Enrolled {
    path: PathBuf,
    look: Option<Look>,
    clients: Vec<EnrolledClient>,
}

impl Enrolled {
    /// Reads the list in the host's state directory; empty when there is no file.
    pub fn open(dir: &Path) -> Result<Self, FileError> {
        let mut list = Self { path: dir.join(FILE), look: None, clients: Vec::new() };
        list.read()?;
        Ok(list)
    }

    /// Reads the list again if the file has changed; true when it has. On an error the list is empty until it can be read.
    pub fn refresh(&mut self) -> Result<bool, FileError> {
        if list::look(&self.path) == self.look {
            return Ok(false);
        }
        self.read()?;
        Ok(true)
    }

    /// True when `key` is enrolled.
    pub fn contains(&self, key: &ClientPublic) -> bool {
        self.clients.iter().any(|c| c.key == *key)
    }

    /// True when a client with this id is enrolled: to end the session of one that was revoked.
    pub fn contains_id(&self, id: &ClientId) -> bool {
        self.clients.iter().any(|c| c.id() == *id)
    }

    /// All enrolled clients, in the order they were enrolled.
    pub fn list(&self) -> &[EnrolledClient] {
        &self.clients
    }

    /// Enrols `key`, or renames it when it is enrolled.
    pub fn enrol(&mut self, key: ClientPublic, name: &Label, now_unix_secs: u64) -> Result<(), EnrolError> {
        let _held = self.begin()?;
        let full = self.clients.len() >= MAX_ENTRIES;
        match self.clients.iter_mut().find(|c| c.key == key) {
            Some(known) => {
                known.name = name.clone();
                known.last_seen = known.last_seen.max(now_unix_secs);
            }
            None if full => return Err(EnrolError::Full),
            None => self.clients.push(EnrolledClient {
                key,
                name: name.clone(),
                first_seen: now_unix_secs,
                last_seen: now_unix_secs,
            }),
        }
        Ok(self.store()?)
    }

    /// Notes that `key` came in. Not written more than once an hour, and never for a key that was revoked meanwhile.
    pub fn seen(&mut self, key: &ClientPublic, now_unix_secs: u64) -> Result<(), EnrolError> {
        let due = |c: &EnrolledClient| c.key == *key && now_unix_secs >= c.last_seen.saturating_add(SEEN_EVERY_SECS);
        if !self.clients.iter().any(due) {
            return Ok(());
        }
        let _held = self.begin()?;
        match self.clients.iter_mut().find(|c| due(c)) {
            Some(client) => client.last_seen = now_unix_secs,
            None => return Ok(()),
        }
        Ok(self.store()?)
    }

    /// Removes the one client that `wanted` means: a name, or the beginning of an id (4 digits or more).
    pub fn revoke(&mut self, wanted: &str) -> Result<EnrolledClient, EnrolError> {
        let _held = self.begin()?;
        let wanted = wanted.trim();
        let meant: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|c| c.name.as_str() == wanted || c.id().has_prefix(wanted))
            .map(EnrolledClient::id)
            .collect();
        let id = match meant.as_slice() {
            [] => return Err(EnrolError::NoSuchClient(wanted.to_owned())),
            [one] => *one,
            _ => return Err(EnrolError::Ambiguous { wanted: wanted.to_owned(), ids: meant }),
        };
        let Some(at) = self.clients.iter().position(|c| c.id() == id) else {
            return Err(EnrolError::NoSuchClient(wanted.to_owned()));
        };
        let gone = self.clients.remove(at);
        self.store()?;
        Ok(gone)
    }

    /// Locks the list and reads what others have written meanwhile.
    fn begin(&mut self) -> Result<std::fs::File, FileError> {
        if let Some(dir) = self.path.parent() {
            files::private_dir(dir)?;
        }
        let held = files::lock(&self.path)?;
        self.read()?;
        Ok(held)
    }

    fn read(&mut self) -> Result<(), FileError> {
        self.clients.clear();
        // Looked at before reading: a change in between is then read twice and never missed. Forgotten on an error, so
        // that the next refresh tries again.
        let look = list::look(&self.path);
        self.look = None;
        self.clients = parse(&self.path)?;
        self.look = look;
        Ok(())
    }

    fn store(&mut self) -> Result<(), FileError> {
        let client = self
            .clients
            .iter()
            .map(|c| Entry {
                key: c.key.to_hex(),
                name: c.name.as_str().to_owned(),
                first_seen: c.first_seen,
                last_seen: c.last_seen,
            })
            .collect();
        list::write(&self.path, HEADING, &Listed { client }).inspect_err(|_| {
            // What is in memory must not claim more than what is on disk.
            self.look = None;
            self.clients.clear();
        })?;
        self.look = list::look(&self.path);
        Ok(())
    }
}

fn parse(path: &Path) -> Result<Vec<EnrolledClient>, FileError> {
    let listed: Listed = list::read(path)?;
    let mut seen = BTreeSet::new();
    let mut clients = Vec::with_capacity(listed.client.len());
    for entry in listed.client {
        let key: ClientPublic =
            entry.key.parse().map_err(|e| FileError::content(path, format!("the key of {:?}: {e}", entry.name)))?;
        let name = Label::parse(&entry.name)
            .map_err(|_| FileError::content(path, format!("{:?} is not a client's name", entry.name)))?;
        if !seen.insert(key) {
            return Err(FileError::content(path, format!("the key of {name} is listed twice; remove one entry")));
        }
        clients.push(EnrolledClient { key, name, first_seen: entry.first_seen, last_seen: entry.last_seen });
    }
    Ok(clients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn key(n: u8) -> ClientPublic {
        ClientPublic([n; 32])
    }

    fn name(text: &str) -> Label {
        Label::parse(text).unwrap()
    }

    #[test]
    fn a_revoked_client_is_out_on_a_running_agent() {
        let dir = Scratch::new();
        let mut agent = Enrolled::open(dir.path()).unwrap();
        agent.enrol(key(1), &name("laptop"), 100).unwrap();
        agent.enrol(key(2), &name("phone"), 100).unwrap();
        assert!(!agent.refresh().unwrap());
        let gone = Enrolled::open(dir.path()).unwrap().revoke("laptop").unwrap();
        assert_eq!((gone.key, gone.first_seen), (key(1), 100));
        assert!(agent.contains(&key(1)), "not read yet");
        assert!(agent.refresh().unwrap());
        assert!(!agent.contains(&key(1)) && !agent.contains_id(&key(1).id()) && agent.contains(&key(2)));
        std::fs::remove_file(dir.join(FILE)).unwrap();
        assert!(agent.refresh().unwrap());
        assert!(agent.list().is_empty());
    }

    #[test]
    fn an_agent_does_not_write_back_what_was_revoked() {
        let dir = Scratch::new();
        let mut agent = Enrolled::open(dir.path()).unwrap();
        agent.enrol(key(1), &name("laptop"), 100).unwrap();
        agent.enrol(key(2), &name("phone"), 100).unwrap();
        Enrolled::open(dir.path()).unwrap().revoke("laptop").unwrap();
        agent.seen(&key(1), 999_999).unwrap();
        agent.enrol(key(3), &name("desk"), 100).unwrap();
        let keys: Vec<_> = Enrolled::open(dir.path()).unwrap().list().iter().map(|c| c.key).collect();
        assert_eq!(keys, [key(2), key(3)]);
    }

    #[test]
    fn clients_are_meant_by_name_or_id_and_never_by_accident() {
        let dir = Scratch::new();
        let mut list = Enrolled::open(dir.path()).unwrap();
        for n in 1..=3 {
            list.enrol(key(n), &name(if n < 3 { "laptop" } else { "phone" }), 0).unwrap();
        }
        let text = list.revoke("laptop").unwrap_err().to_string();
        assert!(text.contains("2 clients") && text.contains(&key(1).id().to_string()), "{text}");
        assert!(matches!(list.revoke(""), Err(EnrolError::NoSuchClient(_))));
        assert!(matches!(list.revoke(&key(1).id().to_hex()[..3]), Err(EnrolError::NoSuchClient(_))));
        assert_eq!(list.revoke(&key(1).id().to_string()).unwrap().key, key(1));
        assert_eq!(list.revoke("laptop").unwrap().key, key(2));
        assert_eq!(list.list().len(), 1);
    }

    #[test]
    fn being_seen_is_written_once_an_hour() {
        let dir = Scratch::new();
        let mut list = Enrolled::open(dir.path()).unwrap();
        list.enrol(key(1), &name("laptop"), 1000).unwrap();
        let last = || Enrolled::open(dir.path()).unwrap().list()[0].last_seen;
        list.seen(&key(1), 1500).unwrap();
        assert_eq!(last(), 1000);
        list.seen(&key(1), 4600).unwrap();
        assert_eq!(last(), 4600);
        list.enrol(key(1), &name("renamed"), 50).unwrap();
        assert_eq!((last(), list.list().len(), list.list()[0].name.as_str()), (4600, 1, "renamed"));
    }

    #[test]
    fn a_list_that_cannot_be_read_lets_nobody_in() {
        let dir = Scratch::new();
        let mut agent = Enrolled::open(dir.path()).unwrap();
        agent.enrol(key(1), &name("laptop"), 0).unwrap();
        let good = std::fs::read_to_string(dir.join(FILE)).unwrap();
        for (damage, part) in [
            (format!("{good}admin = true\n"), "unknown field `admin`"),
            (good.replace("0101", "01"), "hexadecimal digits"),
            (good.replace("laptop", "lap\\ntop"), "not a client's name"),
            (format!("{good}{good}"), "listed twice"),
            ("[[client]]\nkey = 1\n".into(), "line 2"),
        ] {
            files::replace(&dir.join(FILE), damage.as_bytes()).unwrap();
            let text = agent.refresh().unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
            assert!(!agent.contains(&key(1)));
            assert!(agent.refresh().is_err(), "still refused when asked again");
            assert!(agent.enrol(key(2), &name("x"), 0).is_err(), "and not overwritten");
            assert_eq!(std::fs::read_to_string(dir.join(FILE)).unwrap(), damage);
        }
        files::replace(&dir.join(FILE), good.as_bytes()).unwrap();
        assert!(agent.refresh().unwrap() && agent.contains(&key(1)));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(dir.join(FILE), PermissionsExt::from_mode(0o666)).unwrap();
            assert!(Enrolled::open(dir.path()).is_err(), "others could have added themselves");
        }
    }
}
