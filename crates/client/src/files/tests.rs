use super::*;
use std::path::Path;
use tempfile::tempdir;

fn linked() -> Transfers {
    let mut t = Transfers::default();
    t.on_linked();
    t
}

fn said(t: &mut Transfers) -> Vec<FileWord> {
    std::iter::from_fn(|| t.wish()).filter_map(|w| if let Wish::Say(word) = w { Some(word) } else { None }).collect()
}

fn download(root: &Path, to: &str) -> Ask {
    Ask::Download { from: "a".into(), root: root.to_owned(), to: to.into(), left: (0, 0, 0) }
}

const INFO: FileWord = FileWord::Info { id: 1, offset: 0, size: 6, modified: 5, executable: false };

fn data(bytes: &[u8], last: bool) -> BulkWish {
    BulkWish::Data { pipe: file_pipe(1), bytes: bytes.to_vec(), last }
}

/// SHA-256 of "abcdef".
const SUM: [u8; 32] = [
    0xbe, 0xf5, 0x7e, 0xc7, 0xf5, 0x3a, 0x6d, 0x40, 0xbe, 0xb6, 0x40, 0xa7, 0x80, 0xa6, 0x39, 0xc8, 0x3b, 0xc2, 0x9a,
    0xc8, 0xa9, 0x81, 0x6f, 0x1f, 0xc6, 0xc5, 0xc6, 0xdc, 0xd9, 0x3c, 0x47, 0x21,
];

// spec: X-8
#[test]
fn data_may_come_before_the_host_says_what_it_is() {
    let dir = tempdir().unwrap();
    let mut t = linked();
    t.ask(download(dir.path(), "sub/a"));
    t.on_bulk(data(b"abc", false));
    t.on_bulk(data(b"def", true));
    t.on_word(INFO);
    assert_eq!(t.result(), None);
    t.on_word(FileWord::Sum { id: 1, sha256: SUM });
    let result = t.result().expect("over");
    assert_eq!((result.outcome, result.file.map(|f| f.size)), (Outcome::Fine, Some(6)));
    assert_eq!(std::fs::read(dir.path().join("sub/a")).unwrap(), b"abcdef");
}

// spec
#[test]
fn a_lost_link_goes_on_where_it_stopped_and_a_wrong_hash_keeps_the_old_file() {
    let dir = tempdir().unwrap();
    std::fs::write(dir.path().join("a"), "old").unwrap();
    let mut t = linked();
    t.ask(download(dir.path(), "a"));
    t.on_word(INFO);
    t.on_bulk(data(b"abc", false));
    t.on_linked();
    assert!(matches!(said(&mut t)[..], [FileWord::Get { id: 1, held: 0, .. }]));
    // The host begins anew; what is here shows now, and the rest is asked for.
    t.on_word(INFO);
    let words = said(&mut t);
    assert!(
        matches!(words[..], [FileWord::End { .. }, FileWord::Get { id: 2, held: 3, size: 6, modified: 5, .. }]),
        "{words:?}"
    );
    t.on_word(FileWord::Info { id: 2, offset: 3, size: 6, modified: 5, executable: false });
    t.on_bulk(BulkWish::Data { pipe: file_pipe(2), bytes: b"deX".to_vec(), last: true });
    t.on_word(FileWord::Sum { id: 2, sha256: SUM });
    assert_eq!(t.result().map(|r| r.outcome), Some(Outcome::Corrupt));
    assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "and nothing is left");
}

/// The host is the adversary: names that lead out, more than it said, an end without contents.
// spec: X-4
#[test]
fn a_hostile_host_writes_nothing_outside_and_nothing_false() {
    let dir = tempdir().unwrap();
    for to in ["../out", "/tmp/out", "a/../../out", "..", "a\0b"] {
        let mut t = linked();
        t.ask(download(dir.path(), to));
        t.on_word(INFO);
        assert_eq!(t.result().map(|r| r.outcome), Some(Outcome::BadName), "{to:?}");
    }
    let mut t = linked();
    t.ask(download(dir.path(), "a"));
    t.on_word(INFO);
    t.on_bulk(data(b"more than six", false));
    assert_eq!(t.result().map(|r| r.outcome), Some(Outcome::Corrupt));
    let mut t = linked();
    t.ask(download(dir.path(), "a"));
    t.on_word(FileWord::Sum { id: 1, sha256: SUM });
    assert_eq!(t.result().map(|r| r.outcome), Some(Outcome::Other));
    let mut t = linked();
    std::fs::write(dir.path().join("mine"), "mine").unwrap();
    t.ask(Ask::Upload { from: dir.path().join("mine"), to: "x".into() });
    t.on_word(FileWord::End { id: 1, outcome: Outcome::Fine, text: String::new() });
    assert_eq!(t.result().map(|r| r.outcome), Some(Outcome::Other), "nothing was sent");
    let mut t = linked();
    t.ask(Ask::Upload { from: dir.path().join("mine"), to: "x".into() });
    t.on_word(FileWord::Take { id: 1, offset: 99 });
    assert_eq!(t.result().map(|r| r.outcome), Some(Outcome::Changed));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_directory_without_end_is_refused() {
    let mut t = linked();
    t.ask(Ask::List(String::new()));
    let entry = Entry { name: "n".into(), kind: telepane_protocol::EntryKind::File, size: 0, modified: 0 };
    let part = || FileWord::Entries { id: 1, last: false, directory: true, entries: vec![entry.clone(); 128] };
    let end = (0..1_000).find_map(|_| {
        t.on_word(part());
        t.result()
    });
    assert_eq!(end.map(|r| r.outcome), Some(Outcome::TooLarge));
}
