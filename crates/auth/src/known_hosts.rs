//! The client's pins: which identity answered at which address.
//!
//! `known_hosts.toml` lists `host:port` and fingerprint. A pin is never overwritten: another identity at a pinned address is
//! [`HostLookup::Changed`], a hard stop until a person has removed the pin. A file that cannot be read whole is an error,
//! because a pin that is skipped would be a host that is trusted anew.

use crate::files::{self, FileError};
use crate::list::{self, MAX_ENTRIES};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use telepane_trust::Fingerprint;

/// The file's name in the client's state directory.
pub const FILE: &str = "known_hosts.toml";
const HEADING: &str = "# Hosts that this client trusts. Remove an entry to be asked again.\n";

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostLookup {
    /// This identity is pinned there.
    Known,
    /// Nothing is pinned there.
    Unknown,
    /// Another identity is pinned there.
    Changed {
        /// The pinned one.
        was: Fingerprint,
    },
}

/// Why a pin was not made.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another identity is pinned there.
    #[error(
        "{address} had the identity {was} before; if the host was reinstalled, remove its entry from {}, otherwise somebody else answers there",
        path.display()
    )]
    Changed {
        /// The address.
        address: String,
        /// The pinned identity.
        was: Fingerprint,
        /// The file to edit.
        path: PathBuf,
    },
    /// The list is full.
    #[error("{} holds {MAX_ENTRIES} hosts already; remove some", path.display())]
    Full {
        /// The file to edit.
        path: PathBuf,
    },
    /// A host name with characters that no name has.
    #[error("{0:?} is not a host name or address")]
    Address(String),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default)]
    host: Vec<Pin>,
}

/// One pin as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// `host:port`, lower case, IPv6 in brackets.
    pub address: String,
    /// The identity, in hexadecimal.
    pub fingerprint: String,
    /// When it was pinned, in seconds since 1970.
    #[serde(default)]
    pub pinned: u64,
}

/// The pins of one client.
#[derive(Debug)]
pub struct KnownHosts {
    path: PathBuf,
    pins: Vec<Pin>,
}

impl KnownHosts {
    /// Reads the pins in the client's state directory; none when there is no file.
    pub fn open(dir: &Path) -> Result<Self, FileError> {
        let path = dir.join(FILE);
        let pins = read(&path)?;
        Ok(Self { path, pins })
    }

    /// What is known of `host:port` when `found` answers there.
    pub fn lookup(&self, host: &str, port: u16, found: &Fingerprint) -> HostLookup {
        match self.pinned(host, port) {
            None => HostLookup::Unknown,
            Some(was) if was == *found => HostLookup::Known,
            Some(was) => HostLookup::Changed { was },
        }
    }

    /// The identity pinned at `host:port`.
    pub fn pinned(&self, host: &str, port: u16) -> Option<Fingerprint> {
        let address = address(host, port)?;
        // Every fingerprint was parsed when the file was read.
        self.pins.iter().find(|p| p.address == address).and_then(|p| p.fingerprint.parse().ok())
    }

    /// Other addresses at which this identity is pinned, to be told to a person who is asked about it.
    pub fn other_addresses(&self, found: &Fingerprint) -> impl Iterator<Item = &str> {
        let found = *found;
        self.pins.iter().filter(move |p| p.fingerprint.parse() == Ok(found)).map(|p| p.address.as_str())
    }

    /// All pins, in the order they were made.
    pub fn list(&self) -> &[Pin] {
        &self.pins
    }

    /// Pins `found` at `host:port`; no change when it is pinned there, an error when another one is.
    pub fn add(&mut self, host: &str, port: u16, found: &Fingerprint, now_unix_secs: u64) -> Result<(), PinError> {
        let address = address(host, port).ok_or_else(|| PinError::Address(host.to_owned()))?;
        let _held = self.begin()?;
        match self.lookup(host, port, found) {
            HostLookup::Known => return Ok(()),
            HostLookup::Changed { was } => return Err(PinError::Changed { address, was, path: self.path.clone() }),
            HostLookup::Unknown => {}
        }
        if self.pins.len() >= MAX_ENTRIES {
            return Err(PinError::Full { path: self.path.clone() });
        }
        let mut pins = self.pins.clone();
        pins.push(Pin { address, fingerprint: found.to_string(), pinned: now_unix_secs });
        self.store(pins)
    }

    /// Removes the pin at `host:port`; false when there was none.
    pub fn forget(&mut self, host: &str, port: u16) -> Result<bool, PinError> {
        let address = address(host, port).ok_or_else(|| PinError::Address(host.to_owned()))?;
        let _held = self.begin()?;
        let pins: Vec<Pin> = self.pins.iter().filter(|p| p.address != address).cloned().collect();
        if pins.len() == self.pins.len() {
            return Ok(false);
        }
        self.store(pins)?;
        Ok(true)
    }

    /// Locks the list and reads what others have written meanwhile.
    fn begin(&mut self) -> Result<std::fs::File, FileError> {
        if let Some(dir) = self.path.parent() {
            files::private_dir(dir)?;
        }
        let held = files::lock(&self.path)?;
        self.pins = read(&self.path)?;
        Ok(held)
    }

    fn store(&mut self, pins: Vec<Pin>) -> Result<(), PinError> {
        let listed = Listed { host: pins };
        list::write(&self.path, HEADING, &listed)?;
        self.pins = listed.host;
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<Pin>, FileError> {
    let listed: Listed = list::read(path)?;
    let mut seen = BTreeSet::new();
    for pin in &listed.host {
        let sound = split(&pin.address).and_then(|(h, p)| address(h, p)).as_ref() == Some(&pin.address);
        if !sound {
            return Err(FileError::content(path, format!("{:?} is not an address like \"host:8443\"", pin.address)));
        }
        if let Err(error) = pin.fingerprint.parse::<Fingerprint>() {
            return Err(FileError::content(path, format!("the fingerprint of {}: {error}", pin.address)));
        }
        if !seen.insert(&pin.address) {
            return Err(FileError::content(path, format!("{} is listed twice; remove one entry", pin.address)));
        }
    }
    Ok(listed.host)
}

/// One spelling for one address: lower case, no dot at the end, IPv6 shortest and in brackets.
fn address(host: &str, port: u16) -> Option<String> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Ok(v6) = bare.parse::<Ipv6Addr>() {
        return Some(format!("[{v6}]:{port}"));
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_lowercase();
    // A colon is left only by an IPv6 address with a zone, which goes into brackets as well.
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '[' | ']' | '/' | '@' | '"');
    match name.len() {
        1..=255 if name.contains(':') && bare.contains('%') && !bare.contains(odd) => {
            Some(format!("[{}]:{port}", bare.to_lowercase()))
        }
        1..=255 if !name.contains(odd) && !name.contains(':') => Some(format!("{name}:{port}")),
        _ => None,
    }
}

fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    const A: Fingerprint = Fingerprint([1; 32]);
    const B: Fingerprint = Fingerprint([2; 32]);

    #[test]
    fn a_pin_is_kept_and_a_change_is_a_hard_stop() {
        let dir = Scratch::new();
        let mut hosts = KnownHosts::open(dir.path()).unwrap();
        assert_eq!(hosts.lookup("desk", 8443, &A), HostLookup::Unknown);
        hosts.add("desk", 8443, &A, 7).unwrap();
        hosts.add("desk", 8443, &A, 8).unwrap();
        let mut hosts = KnownHosts::open(dir.path()).unwrap();
        assert_eq!(hosts.lookup("DESK.", 8443, &A), HostLookup::Known);
        assert_eq!(hosts.lookup("desk", 8443, &B), HostLookup::Changed { was: A });
        assert_eq!(hosts.lookup("desk", 8444, &A), HostLookup::Unknown);
        let text = hosts.add("desk", 8443, &B, 9).unwrap_err().to_string();
        assert!(text.contains("desk:8443") && text.contains("known_hosts.toml"), "{text}");
        assert_eq!(KnownHosts::open(dir.path()).unwrap().list().len(), 1);
        assert!(hosts.forget("desk", 8443).unwrap());
        assert!(!hosts.forget("desk", 8443).unwrap());
        hosts.add("desk", 8443, &B, 9).unwrap();
        assert_eq!(hosts.other_addresses(&B).collect::<Vec<_>>(), ["desk:8443"]);
    }

    #[test]
    fn addresses_have_one_spelling() {
        for (host, wanted) in [
            ("Example.ORG.", Some("example.org:1")),
            ("::1", Some("[::1]:1")),
            ("[2001:DB8:0::1]", Some("[2001:db8::1]:1")),
            ("fe80::1%eth0", Some("[fe80::1%eth0]:1")),
            ("10.0.0.1", Some("10.0.0.1:1")),
            ("", None),
            ("a b", None),
            ("a\nb", None),
            ("a:b", None),
            ("user@a", None),
        ] {
            assert_eq!(address(host, 1).as_deref(), wanted, "{host:?}");
            if let Some(address_) = wanted {
                let (host, port) = split(address_).unwrap();
                assert_eq!(address(host, port).as_deref(), wanted);
            }
        }
    }

    #[test]
    fn two_writers_lose_nothing() {
        let dir = Scratch::new();
        std::thread::scope(|s| {
            for n in 0..4u16 {
                let dir = dir.path().to_owned();
                s.spawn(move || {
                    let mut hosts = KnownHosts::open(&dir).unwrap();
                    for port in 0..5 {
                        hosts.add("h", n * 100 + port, &A, 0).unwrap();
                    }
                });
            }
        });
        assert_eq!(KnownHosts::open(dir.path()).unwrap().list().len(), 20);
    }

    #[test]
    fn hostile_content_is_refused_with_its_line() {
        let dir = Scratch::new();
        let fp = A.to_string();
        let entry = format!("[[host]]\naddress = \"a:1\"\nfingerprint = \"{fp}\"\n");
        let refuse = |text: &str, part: &str| {
            files::replace(&dir.join(FILE), text.as_bytes()).unwrap();
            let error = KnownHosts::open(dir.path()).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains(['\n', '\u{1b}']), "{error}");
        };
        refuse(&format!("{entry}trusted = true\n"), "line 4: unknown field `trusted`");
        refuse(&format!("[[hosts]]\n{entry}"), "line 1: unknown field `hosts`");
        refuse(&format!("{entry}{entry}"), "listed twice");
        refuse(&entry.replace("a:1", "A:1"), "not an address");
        refuse(&entry.replace("a:1", "a:99999"), "not an address");
        refuse(&entry.replace("a:1", "a\\u001b[2J:1"), "not an address");
        refuse(&entry.replace(&fp, &fp[2..]), "62 hexadecimal digits");
        refuse("[[host]]\naddress = \"a:1\n", "line 2");
        refuse(&"#".repeat(list::MAX_LIST + 1), "more than");
        files::replace(&dir.join(FILE), &[0xff, 0xfe]).unwrap();
        assert!(KnownHosts::open(dir.path()).is_err());
        files::replace(&dir.join(FILE), entry.as_bytes()).unwrap();
        assert_eq!(KnownHosts::open(dir.path()).unwrap().pinned("a", 1), Some(A));
    }
}
