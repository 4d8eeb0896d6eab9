//! Files that are pasted, for a thread of its own: a shell hands over what is to be packed or unpacked and takes back what came
//! of it. Unpacked files lie in a directory of this process, readable to its user alone; the newest few pastes are kept,
//! because whoever pasted copies them from there, and all of them go when the process ends.

use crate::bundle::{Packing, Unpacking};
use crate::nest::Nest;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};

/// Read at once at most.
const READ: usize = 64 << 10;

/// What a shell wants done.
#[derive(Debug)]
pub enum Order {
    /// These are to be packed under this number; answered with [`Done::Packed`].
    Pack(u64, Vec<PathBuf>),
    /// The next bytes of a packing, so many at most; answered with [`Done::Filled`].
    Fill(u64, usize),
    /// Something is to be unpacked under this number.
    Unpack(u64),
    /// The next bytes of it, and whether they are the last; answered with [`Done::Used`], and at the end, or as soon as it
    /// is of no use, with [`Done::Unpacked`].
    Put(u64, Vec<u8>, bool),
    /// Nothing more comes or goes under this number.
    Forget(u64),
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Done {
    /// So many bytes of contents are ready to go; `None`: nothing can be had.
    Packed(u64, Option<u64>),
    /// The next bytes, and whether they are the last; `None`: a file cannot be read, and the rest is of no use.
    Filled(u64, Option<(Vec<u8>, bool)>),
    /// So many bytes were put away.
    Used(u64, u64),
    /// Where the files are; `None`: they do not come.
    Unpacked(u64, Option<Vec<PathBuf>>),
}

/// See the module.
pub struct Courier {
    nest: Nest,
    packing: BTreeMap<u64, Packing>,
    unpacking: BTreeMap<u64, Unpacking>,
}

impl Courier {
    /// Unpacks below `dir`, which is made when something is.
    pub fn new(dir: &Path) -> Self {
        Self { nest: Nest::new(dir), packing: BTreeMap::new(), unpacking: BTreeMap::new() }
    }

    /// The same on a thread of its own, which ends with the sender that comes back; `tell` is called there.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(dir: &Path, tell: impl Fn(Done) + Send + 'static) -> io::Result<Sender<Order>> {
        let (send, orders) = channel();
        let dir = dir.to_owned();
        std::thread::Builder::new().name("telepane-paste".into()).spawn(move || {
            let mut courier = Self::new(&dir);
            while let Ok(order) = orders.recv() {
                courier.on_order(order, &tell);
            }
        })?;
        Ok(send)
    }

    /// Does it.
    pub fn on_order(&mut self, order: Order, mut tell: impl FnMut(Done)) {
        match order {
            Order::Pack(key, paths) => {
                let packing = Packing::open(&paths).ok();
                tell(Done::Packed(key, packing.as_ref().map(Packing::size)));
                self.packing.extend(packing.map(|p| (key, p)));
            }
            Order::Fill(key, room) => {
                let Some(packing) = self.packing.get_mut(&key) else { return };
                let read = packing.read(room.min(READ)).ok();
                if read.as_ref().is_none_or(|(_, last)| *last) {
                    self.packing.remove(&key);
                }
                tell(Done::Filled(key, read));
            }
            Order::Unpack(key) => match self.nest.place().and_then(|place| Unpacking::begin(&place)) {
                Ok(unpacking) => drop(self.unpacking.insert(key, unpacking)),
                Err(_) => tell(Done::Unpacked(key, None)),
            },
            Order::Put(key, bytes, last) => {
                let Some(unpacking) = self.unpacking.get_mut(&key) else { return };
                if unpacking.push(&bytes).is_err() {
                    self.unpacking.remove(&key);
                    tell(Done::Unpacked(key, None));
                    return;
                }
                tell(Done::Used(key, bytes.len() as u64));
                if last && let Some(unpacking) = self.unpacking.remove(&key) {
                    tell(Done::Unpacked(key, unpacking.finish().ok()));
                }
            }
            Order::Forget(key) => {
                self.packing.remove(&key);
                self.unpacking.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nest::KEPT;
    use telepane_protocol::bundle::Head;
    use tempfile::tempdir;

    fn order(courier: &mut Courier, order: Order) -> Vec<Done> {
        let mut done = Vec::new();
        courier.on_order(order, |d| done.push(d));
        done
    }

    /// Packs and unpacks; where the copies are.
    fn carried(courier: &mut Courier, paths: Vec<PathBuf>) -> Option<Vec<PathBuf>> {
        let packed = order(courier, Order::Pack(1, paths));
        let [Done::Packed(1, Some(_))] = packed[..] else { return None };
        assert_eq!(order(courier, Order::Unpack(2)), []);
        loop {
            let [Done::Filled(1, filled)] = &order(courier, Order::Fill(1, 1_000))[..] else { panic!("not filled") };
            let (bytes, last) = filled.clone()?;
            for done in order(courier, Order::Put(2, bytes, last)) {
                if let Done::Unpacked(2, paths) = done {
                    return paths;
                }
            }
        }
    }

    // spec: K-60
    #[test]
    fn files_and_directories_arrive_as_they_were_and_links_do_not() {
        let (from, to) = (tempdir().unwrap(), tempdir().unwrap());
        let long: Vec<u8> = (0..200_000u32).map(|i| (i ^ i >> 7) as u8).collect();
        std::fs::create_dir_all(from.path().join("d/e")).unwrap();
        std::fs::write(from.path().join("a b.txt"), "abc").unwrap();
        std::fs::write(from.path().join("d/long"), &long).unwrap();
        std::fs::write(from.path().join("d/e/empty"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", from.path().join("d/link")).unwrap();
        std::os::unix::fs::symlink("/etc", from.path().join("d/e/up")).unwrap();
        let mut courier = Courier::new(to.path());
        let paths = vec![from.path().join("a b.txt"), from.path().join("d"), from.path().join("missing")];
        let there = carried(&mut courier, paths).unwrap();
        let names: Vec<_> = there.iter().filter_map(|p| p.file_name()?.to_str()).collect();
        assert_eq!(names, ["a b.txt", "d"]);
        assert_eq!(std::fs::read(&there[0]).unwrap(), b"abc");
        assert_eq!(std::fs::read(there[1].join("long")).unwrap(), long);
        assert_eq!(std::fs::read(there[1].join("e/empty")).unwrap(), b"");
        let left: Vec<_> = std::fs::read_dir(there[1].join("e")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(there[1].join("link").symlink_metadata().is_err());
        // Readable to nobody else, a few kept, and gone with the process.
        use std::os::unix::fs::PermissionsExt;
        let mode = there[0].parent().unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o77, 0);
        for _ in 0..KEPT {
            carried(&mut courier, vec![from.path().join("a b.txt")]).unwrap();
        }
        assert!(!there[0].exists(), "the oldest goes");
        drop(courier);
        assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 0);
    }

    // spec: K-60, K-61, X-4
    #[test]
    fn nothing_is_written_outside_or_beyond_what_was_said() {
        let to = tempdir().unwrap();
        std::fs::create_dir_all(to.path().join("nest")).unwrap();
        let mut courier = Courier::new(&to.path().join("nest"));
        let file =
            |path: &str, size: u64| Head::File { path: path.into(), size, modified: 0, executable: false }.encode();
        for bytes in [
            file("../x", 1),
            file("/tmp/x", 1),
            file("a/../../x", 1),
            file("missing/x", 1),
            file("huge", u64::MAX >> 2),
            [file("wrong", 1), vec![b'x'], vec![0; 32]].concat(),
            vec![9],
        ] {
            assert_eq!(order(&mut courier, Order::Unpack(1)), []);
            assert_eq!(order(&mut courier, Order::Put(1, bytes, false)), [Done::Unpacked(1, None)]);
            assert_eq!(order(&mut courier, Order::Put(1, vec![0], true)), [], "it is over");
        }
        // One that breaks off gives nothing.
        order(&mut courier, Order::Unpack(1));
        let done = order(&mut courier, Order::Put(1, file("a", 5), true));
        assert_eq!(done.last(), Some(&Done::Unpacked(1, None)));
        let names = std::fs::read_dir(to.path()).unwrap().flatten().map(|e| e.file_name()).collect::<Vec<_>>();
        assert_eq!(names, ["nest"]);
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_not_given() {
        let from = tempdir().unwrap();
        let path = from.path().join("a");
        std::fs::write(&path, vec![1; 100_000]).unwrap();
        let mut courier = Courier::new(&from.path().join("nest"));
        order(&mut courier, Order::Pack(1, vec![path.clone()]));
        order(&mut courier, Order::Fill(1, 1_000));
        std::fs::write(&path, vec![2; 50]).unwrap();
        let ends = (0..100).find_map(|_| match order(&mut courier, Order::Fill(1, 1 << 16)).pop() {
            Some(Done::Filled(1, None)) => Some(true),
            Some(Done::Filled(1, Some((_, true)))) | None => Some(false),
            _ => None,
        });
        assert_eq!(ends, Some(true));
    }
}
