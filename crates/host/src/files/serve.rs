//! Requests for files, answered one after the other.

use super::{Done, May};
use std::collections::{BTreeMap, VecDeque};
use telepane_files::{FilesError, Giving, Root, Taking};
use telepane_protocol::bulk::MAX_PIPE;
use telepane_protocol::files::MAX_ENTRIES;
use telepane_protocol::{FileWord, Outcome};
use telepane_session::{BulkWish, file_pipe};

/// Requests of one seat under way at once.
// spec: X-12
const MOST: usize = 16;
/// Read at once at most, so that the requests take turns.
const READ: usize = 256 << 10;

type Out = VecDeque<Done>;

/// The directory and what is under way with it.
pub struct Shelf {
    root: Root,
    /// By seat and request.
    open: BTreeMap<(u64, u32), Open>,
}

enum Open {
    Giving(Giving),
    Taking { taking: Taking, ended: bool, sum: Option<[u8; 32]> },
}

impl Shelf {
    /// A directory nobody has asked for yet.
    pub fn new(root: Root) -> Self {
        Self { root, open: BTreeMap::new() }
    }

    /// The viewer of `seat` said something.
    pub fn on_word(&mut self, seat: u64, may: May, word: FileWord, out: &mut Out) {
        let id = word.id();
        if let Err((outcome, text)) = self.answer(seat, may, word, out) {
            self.end(seat, id, outcome, text, out);
        }
    }

    // spec
    fn answer(&mut self, seat: u64, may: May, word: FileWord, out: &mut Out) -> Result<(), (Outcome, String)> {
        let (id, key) = (word.id(), (seat, word.id()));
        let reads = matches!(word, FileWord::Get { .. } | FileWord::List { .. });
        let writes = matches!(word, FileWord::Put { .. } | FileWord::MakeDir { .. });
        if reads && !may.download || writes && !may.upload {
            return Err(denied(if reads { "download" } else { "upload" }));
        }
        let mine = self.open.range((seat, 0)..=(seat, u32::MAX)).count();
        if (reads || writes) && (mine >= MOST || self.open.contains_key(&key)) {
            return Err((Outcome::TooLarge, "too many requests at a time".into()));
        }
        match word {
            FileWord::Get { path, held, size, modified, .. } => {
                let mut giving = Giving::open(&self.root, &path).map_err(told)?;
                let stat = giving.stat();
                let same = (size, modified) == (stat.size, stat.modified) && held <= size;
                let offset = if same { held } else { 0 };
                giving.skip_to(offset).map_err(told)?;
                tracing::debug!(seat, path, size = stat.size, offset, "download");
                let (size, modified, executable) = (stat.size, stat.modified, stat.executable);
                out.push_back(Done::Say(seat, FileWord::Info { id, offset, size, modified, executable }));
                out.push_back(Done::Offer(seat, file_pipe(id)));
                self.open.insert(key, Open::Giving(giving));
            }
            FileWord::Put { path, size, modified, executable, .. } => {
                if size > MAX_PIPE {
                    return Err((Outcome::TooLarge, "larger than a transfer may be".into()));
                }
                self.stop_others(&path, key, out);
                let taking = Taking::begin(&self.root, &path, size, modified, executable).map_err(told)?;
                let offset = taking.at();
                tracing::debug!(seat, path, size, offset, "upload");
                out.push_back(Done::Expect(seat, file_pipe(id)));
                out.push_back(Done::Say(seat, FileWord::Take { id, offset }));
                self.open.insert(key, Open::Taking { taking, ended: false, sum: None });
            }
            FileWord::Sum { sha256, .. } => {
                if let Some(Open::Taking { sum, .. }) = self.open.get_mut(&key) {
                    *sum = Some(sha256);
                    self.finish(seat, id, out)?;
                }
            }
            FileWord::End { .. } => {
                // What came stays for another try.
                self.open.remove(&key);
                out.push_back(Done::Drop(seat, file_pipe(id)));
            }
            FileWord::List { path, .. } => {
                let directory = self.root.stat(&path).map_err(told)?.kind == telepane_protocol::EntryKind::Directory;
                let entries = self.root.list(&path).map_err(told)?;
                let mut parts: Vec<Vec<_>> = entries.chunks(MAX_ENTRIES).map(<[_]>::to_vec).collect();
                if parts.is_empty() {
                    parts.push(Vec::new());
                }
                let count = parts.len();
                for (n, entries) in parts.into_iter().enumerate() {
                    let last = n + 1 == count;
                    out.push_back(Done::Say(seat, FileWord::Entries { id, last, directory, entries }));
                }
            }
            FileWord::MakeDir { path, .. } => {
                self.root.make_dir(&path).map_err(told)?;
                return Err((Outcome::Fine, String::new()));
            }
            FileWord::Attach | FileWord::Info { .. } | FileWord::Take { .. } | FileWord::Entries { .. } => {}
        }
        Ok(())
    }

    /// A pipe of `seat` wants something.
    // spec
    pub fn on_bulk(&mut self, seat: u64, may: May, wish: BulkWish, out: &mut Out) {
        let pipe = match wish {
            BulkWish::Fill { pipe, .. } | BulkWish::Data { pipe, .. } => pipe,
        };
        let id = pipe >> 1;
        let Some(open) = self.open.get_mut(&(seat, id)) else { return };
        let result = match (open, wish) {
            (Open::Giving(_), _) if !may.download => Err(denied("download")),
            (Open::Taking { .. }, _) if !may.upload => Err(denied("upload")),
            (Open::Giving(giving), BulkWish::Fill { room, .. }) => match giving.read(room.min(READ)) {
                Ok(bytes) => {
                    let last = giving.is_done();
                    out.push_back(Done::Data(seat, pipe, bytes, last));
                    if last { self.sum(seat, id, out) } else { Ok(()) }
                }
                Err(error) => Err(told(error)),
            },
            (Open::Taking { taking, ended, .. }, BulkWish::Data { bytes, last, .. }) => {
                *ended |= last;
                match taking.write(&bytes) {
                    Ok(()) => {
                        out.push_back(Done::Used(seat, pipe, bytes.len() as u64));
                        if last { self.finish(seat, id, out) } else { Ok(()) }
                    }
                    Err(error) => Err(told(error)),
                }
            }
            _ => Ok(()),
        };
        if let Err((outcome, text)) = result {
            self.end(seat, id, outcome, text, out);
        }
    }

    /// The connection of `seat` is gone: what came stays, for the next try.
    pub fn on_gone(&mut self, seat: u64) {
        self.open.retain(|(s, _), _| *s != seat);
    }

    /// Everything was read: the hash is told, and the request is over for this side.
    fn sum(&mut self, seat: u64, id: u32, out: &mut Out) -> Result<(), (Outcome, String)> {
        if let Some(Open::Giving(giving)) = self.open.remove(&(seat, id)) {
            let sha256 = giving.sum().map_err(told)?;
            out.push_back(Done::Say(seat, FileWord::Sum { id, sha256 }));
        }
        Ok(())
    }

    /// Takes the file in when both its end and its hash have come.
    // spec: X-10
    fn finish(&mut self, seat: u64, id: u32, out: &mut Out) -> Result<(), (Outcome, String)> {
        let key = (seat, id);
        if !matches!(self.open.get(&key), Some(Open::Taking { ended: true, sum: Some(_), .. })) {
            return Ok(());
        }
        if let Some(Open::Taking { taking, sum: Some(sum), .. }) = self.open.remove(&key) {
            taking.finish(&sum).map_err(told)?;
            out.push_back(Done::Say(seat, FileWord::End { id, outcome: Outcome::Fine, text: String::new() }));
        }
        Ok(())
    }

    /// The newest try at a file counts: the one before may be of a client that is dead and not yet known to be.
    fn stop_others(&mut self, path: &str, key: (u64, u32), out: &mut Out) {
        let same = |open: &Open| matches!(open, Open::Taking { taking, .. } if taking.path() == path);
        let others = self.open.iter().filter(|(k, open)| **k != key && same(open)).map(|(k, _)| *k);
        for (seat, id) in others.collect::<Vec<_>>() {
            self.end(seat, id, Outcome::Cancelled, "another upload of the same file has begun".into(), out);
        }
    }

    fn end(&mut self, seat: u64, id: u32, outcome: Outcome, text: String, out: &mut Out) {
        if outcome != Outcome::Fine {
            tracing::debug!(seat, id, ?outcome, text, "a request for files failed");
        }
        self.open.remove(&(seat, id));
        out.push_back(Done::Drop(seat, file_pipe(id)));
        out.push_back(Done::Say(seat, FileWord::End { id, outcome, text }));
    }
}

fn denied(what: &str) -> (Outcome, String) {
    (Outcome::Denied, format!("you may not {what} files here; the host's permission file says so"))
}

fn told(error: FilesError) -> (Outcome, String) {
    (error.outcome(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::{TempDir, tempdir};

    fn shelf(dir: &TempDir) -> Shelf {
        Shelf::new(Root::open(dir.path()).unwrap())
    }

    const ALL: May = May { download: true, upload: true };

    fn say(shelf: &mut Shelf, may: May, word: FileWord) -> Vec<Done> {
        let mut out = Out::new();
        shelf.on_word(1, may, word, &mut out);
        out.into()
    }

    fn outcome(done: &[Done]) -> Option<Outcome> {
        done.iter().find_map(|d| match d {
            Done::Say(_, FileWord::End { outcome, .. }) => Some(*outcome),
            _ => None,
        })
    }

    fn put(id: u32, path: &str) -> FileWord {
        FileWord::Put { id, path: path.into(), size: 3, modified: 9, executable: false }
    }

    // spec: X-11
    #[test]
    fn each_direction_has_its_right_and_loses_what_is_under_way_with_it() {
        let dir = tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "abc").unwrap();
        let mut shelf = shelf(&dir);
        let get = |id| FileWord::Get { id, path: "a".into(), held: 0, size: 0, modified: 0 };
        let (up, down) = (May { download: false, ..ALL }, May { upload: false, ..ALL });
        assert_eq!(outcome(&say(&mut shelf, up, get(1))), Some(Outcome::Denied));
        assert_eq!(outcome(&say(&mut shelf, up, FileWord::List { id: 2, path: "".into() })), Some(Outcome::Denied));
        assert_eq!(outcome(&say(&mut shelf, down, put(3, "b"))), Some(Outcome::Denied));
        assert_eq!(
            outcome(&say(&mut shelf, down, FileWord::MakeDir { id: 4, path: "d".into() })),
            Some(Outcome::Denied)
        );
        assert_eq!(outcome(&say(&mut shelf, ALL, put(5, "b"))), None);
        let mut out = Out::new();
        let data = BulkWish::Data { pipe: file_pipe(5), bytes: b"abc".to_vec(), last: true };
        shelf.on_bulk(1, down, data, &mut out);
        assert_eq!(outcome(out.make_contiguous()), Some(Outcome::Denied));
        assert!(!dir.path().join("b").exists());
    }

    // spec: X-12
    #[test]
    fn requests_are_bounded_and_a_number_is_used_once() {
        let dir = tempdir().unwrap();
        let mut shelf = shelf(&dir);
        for id in 0..16 {
            assert_eq!(outcome(&say(&mut shelf, ALL, put(id + 1, &format!("f{id}")))), None);
        }
        assert_eq!(outcome(&say(&mut shelf, ALL, put(99, "more"))), Some(Outcome::TooLarge));
        shelf.on_gone(1);
        assert_eq!(outcome(&say(&mut shelf, ALL, put(99, "more"))), None);
    }

    // spec
    #[test]
    fn hash_and_contents_may_come_in_either_order() {
        let dir = tempdir().unwrap();
        let mut shelf = shelf(&dir);
        let sum = |bytes: &[u8]| ring_sum(bytes);
        say(&mut shelf, ALL, put(1, "a"));
        assert_eq!(outcome(&say(&mut shelf, ALL, FileWord::Sum { id: 1, sha256: sum(b"abc") })), None);
        let mut out = Out::new();
        let data = BulkWish::Data { pipe: file_pipe(1), bytes: b"abc".to_vec(), last: true };
        shelf.on_bulk(1, ALL, data, &mut out);
        assert_eq!(outcome(out.make_contiguous()), Some(Outcome::Fine));
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"abc");
        say(&mut shelf, ALL, put(2, "a"));
        let data = BulkWish::Data { pipe: file_pipe(2), bytes: b"abX".to_vec(), last: true };
        shelf.on_bulk(1, ALL, data, &mut Out::new());
        let done = say(&mut shelf, ALL, FileWord::Sum { id: 2, sha256: sum(b"abc") });
        assert_eq!(outcome(&done), Some(Outcome::Corrupt));
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"abc");
    }

    /// The hash as `files` reads it, by way of a file that is given.
    fn ring_sum(bytes: &[u8]) -> [u8; 32] {
        let path = std::env::temp_dir().join(format!("telepane-sum-{}-{}", std::process::id(), bytes.len()));
        std::fs::write(&path, bytes).unwrap();
        let mut giving = Giving::open_local(&path).unwrap();
        giving.read(1_000).unwrap();
        let sum = giving.sum().unwrap();
        std::fs::remove_file(path).unwrap();
        sum
    }
}
