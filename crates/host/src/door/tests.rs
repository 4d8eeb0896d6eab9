//! What changes at the door while the agent runs: revoked keys and permissions.

use super::*;
use crate::permissions::Owner;
use telepane_trust::{ClientKey, Label, Seed};
use tempfile::{TempDir, tempdir};

fn door(dir: &TempDir) -> Doorkeeper {
    let permissions = PermissionsFile::open(&dir.path().join("default.perm"), Owner::default()).unwrap();
    Doorkeeper::open(dir.path(), None, &dir.path().join("code"), Fingerprint([7; 32]), permissions).unwrap()
}

#[test]
fn a_key_revoked_by_another_process_is_noticed_also_when_a_caller_came_first() {
    let dir = tempdir().unwrap();
    let key = ClientKey::generate(&Seed::new([1; 32])).public();
    let mut elsewhere = Enrolled::open(dir.path()).unwrap();
    elsewhere.enrol(key, &Label::parse("laptop").unwrap(), 1).unwrap();
    let mut door = door(&dir);
    let before = door.refresh();
    assert!(door.is_enrolled(&key.id()));
    assert_eq!(door.refresh(), before, "nothing changed");
    elsewhere.revoke("laptop").unwrap();
    // A caller makes the door read the list; whoever watches must still learn of it.
    let mut caller = door.greet(IpAddr::from([192, 0, 2, 1]), [0; 32], 4 << 20).unwrap();
    caller.greeted = true;
    let nonsense = Control::Auth(vec![0xff; 8]).encode();
    assert!(matches!(door.on_message(&mut caller, &nonsense, Stamp::from_micros(1)), Answer::Out(_)));
    assert!(!door.is_enrolled(&key.id()));
    assert!(door.refresh() > before);
}

#[test]
fn a_list_that_breaks_ends_nobodys_session() {
    let dir = tempdir().unwrap();
    let key = ClientKey::generate(&Seed::new([2; 32])).public();
    Enrolled::open(dir.path()).unwrap().enrol(key, &Label::parse("laptop").unwrap(), 1).unwrap();
    let list = dir.path().join(telepane_auth::enrolled::FILE);
    let mut door = door(&dir);
    let before = door.refresh();
    let text = std::fs::read(&list).unwrap();
    telepane_auth::files::replace(&list, b"not a list").unwrap();
    assert_eq!(door.refresh(), before, "nothing is known to have changed");
    telepane_auth::files::replace(&list, &text).unwrap();
    assert!(door.refresh() > before && door.is_enrolled(&key.id()));
}

#[test]
fn permissions_are_a_change_like_a_revocation() {
    let dir = tempdir().unwrap();
    let mut door = door(&dir);
    let before = door.refresh();
    assert!(door.features("").has(Feature::Keyboard));
    telepane_auth::files::replace(&dir.path().join("default.perm"), b"[permissions]\n%owner% allow display\n").unwrap();
    assert!(door.refresh() > before);
    assert!(door.features("").has(Feature::Display) && !door.features("").has(Feature::Keyboard));
}
