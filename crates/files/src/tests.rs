//! The attack list for paths and names (anchors §6.3, 22 and 23), and what a broken transfer leaves.

use crate::{FilesError, Giving, Root, Taking};
use ring::digest::{SHA256, digest};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use telepane_protocol::{EntryKind, Outcome};

/// A directory that is given out, beside one that is not; both go when the test ends.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("telepane-files-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(place.join("root/sub")).unwrap();
        fs::create_dir_all(place.join("outside")).unwrap();
        fs::write(place.join("outside/secret"), "secret").unwrap();
        fs::write(place.join("root/a"), "contents").unwrap();
        Self(place)
    }

    /// As the system helps, and as where it does not.
    fn roots(&self) -> [Root; 2] {
        [Root::open(&self.root()).unwrap(), Root::open_walking(&self.root()).unwrap()]
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.root()).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sum(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

fn read(root: &Root, path: &str) -> Result<Vec<u8>, FilesError> {
    let mut giving = Giving::open(root, path)?;
    let bytes = giving.read(1 << 20)?;
    giving.sum()?;
    Ok(bytes)
}

fn put(root: &Root, path: &str, bytes: &[u8]) -> Result<(), FilesError> {
    let mut taking = Taking::begin(root, path, bytes.len() as u64, 1_000_000, false)?;
    taking.write(bytes)?;
    taking.finish(&sum(bytes))
}

// spec: X-4
#[test]
fn no_path_leads_out() {
    let place = Place::new("out");
    let secret = place.0.join("outside/secret");
    for root in place.roots() {
        for path in ["../outside/secret", "sub/../../outside/secret", secret.to_str().unwrap(), "..", "sub/..", "//a"] {
            assert!(matches!(read(&root, path), Err(FilesError::BadName(_))), "{path}");
            assert!(matches!(put(&root, path, b"x"), Err(FilesError::BadName(_))), "{path}");
            assert!(matches!(root.list(path), Err(FilesError::BadName(_))), "{path}");
            assert!(matches!(root.make_dir(path), Err(FilesError::BadName(_))), "{path}");
        }
        assert_eq!(read(&root, "a").unwrap(), b"contents");
    }
    assert_eq!(fs::read(secret).unwrap(), b"secret");
}

// spec: X-4
#[test]
fn links_are_never_followed() {
    let place = Place::new("links");
    let root = place.root();
    symlink("../outside/secret", root.join("file")).unwrap();
    symlink("../outside", root.join("dir")).unwrap();
    symlink("a", root.join("inside")).unwrap();
    symlink("/proc/self/root", root.join("magic")).unwrap();
    symlink("../outside/new", root.join("dangling")).unwrap();
    for root in place.roots() {
        for path in ["file", "dir/secret", "inside", "magic/etc/passwd", "magic", "dangling"] {
            let error = read(&root, path).unwrap_err();
            assert_eq!(error.outcome(), Outcome::WrongKind, "{path}: {error}");
        }
        for path in ["dir/new", "file", "dangling", "inside"] {
            assert_eq!(put(&root, path, b"x").unwrap_err().outcome(), Outcome::WrongKind, "{path}");
        }
        assert_eq!(root.make_dir("dir/new").unwrap_err().outcome(), Outcome::WrongKind);
        assert_eq!(root.list("dir").unwrap().first().map(|e| e.kind), Some(EntryKind::Other));
    }
    assert_eq!(fs::read(place.0.join("outside/secret")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(place.0.join("outside")).unwrap().count(), 1, "nothing was made outside");
    assert_eq!(fs::read(place.root().join("a")).unwrap(), b"contents");
}

/// While a directory of the path is exchanged with a link to the outside, over and over, nothing outside is ever had.
// spec: X-4
#[test]
fn a_race_of_renames_gains_nothing() {
    let place = Place::new("race");
    let root = place.root();
    fs::write(root.join("sub/secret"), "inside").unwrap();
    symlink("../outside", root.join("link")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (mut inside, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for (from, to) in [("sub", "kept"), ("link", "sub"), ("sub", "link"), ("kept", "sub")] {
                    fs::rename(root.join(from), root.join(to)).unwrap();
                }
            }
        });
        for root in place.roots() {
            // How often it is met in its place is chance.
            let before = inside;
            for i in 0..500_000 {
                if i >= 2_000 && inside > before {
                    break;
                }
                match read(&root, "sub/secret") {
                    Ok(bytes) => {
                        assert_eq!(bytes, b"inside");
                        inside += 1;
                    }
                    Err(_) => refused += 1,
                }
                let _ = put(&root, &format!("sub/new{}", i % 3), b"x");
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    println!("{inside} times read inside, {refused} times refused");
    assert!(inside > 0);
    assert_eq!(fs::read_dir(place.0.join("outside")).unwrap().count(), 1, "nothing was made outside");
}

/// What was opened is given out, whatever is put in its place afterwards.
// spec: X-4
#[test]
fn the_directory_itself_is_exchanged_and_the_old_one_is_still_meant() {
    let place = Place::new("itself");
    for root in place.roots() {
        fs::rename(place.root(), place.0.join("moved")).unwrap();
        symlink("outside", place.root()).unwrap();
        assert_eq!(read(&root, "a").unwrap(), b"contents");
        assert_eq!(read(&root, "secret").unwrap_err().outcome(), Outcome::Missing);
        put(&root, "new", b"x").unwrap();
        assert!(place.0.join("moved/new").is_file() && !place.0.join("outside/new").exists());
        fs::remove_file(place.root()).unwrap();
        fs::rename(place.0.join("moved"), place.root()).unwrap();
    }
}

// spec: X-4
#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let place = Place::new("kinds");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.root().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.root().join("socket")).unwrap();
    for root in place.roots() {
        for path in ["pipe", "socket", "sub", ""] {
            assert_eq!(read(&root, path).unwrap_err().outcome(), Outcome::WrongKind, "{path}");
            assert_eq!(put(&root, path, b"x").unwrap_err().outcome(), Outcome::WrongKind, "{path}");
        }
        assert_eq!(read(&root, "a/b").unwrap_err().outcome(), Outcome::WrongKind, "below a file");
        assert_eq!(read(&root, "absent").unwrap_err().outcome(), Outcome::Missing);
    }
}

/// Names that look alike are names of their own; what would deceive a reader is no name.
// spec: X-4
#[test]
fn odd_unicode_names_are_their_own_or_refused() {
    let place = Place::new("unicode");
    let [root, _] = place.roots();
    put(&root, "\u{e4}", b"composed").unwrap();
    assert_eq!(read(&root, "\u{e4}").unwrap(), b"composed");
    for bad in ["a\u{202e}txt.exe", "a\u{200b}", "a\nb", "a\0b", "\u{feff}"] {
        assert_eq!(put(&root, bad, b"x").unwrap_err().outcome(), Outcome::BadName, "{bad:?}");
    }
    assert_eq!(put(&root, &"n".repeat(256), b"x").unwrap_err().outcome(), Outcome::BadName);
    put(&root, &"n".repeat(255), b"x").unwrap();
}

/// Two names that some file systems take for one.
const ALIKE: [(&str, &str); 4] =
    [("readme", "README"), ("Sub", "sub"), ("\u{e4}.txt", "a\u{308}.txt"), ("stra\u{df}e", "STRASSE")];

/// Puts files and directories under such names below `base`: two where there are two, and where there is one the second is refused and
/// the first is what it was. How many of the pairs are one name there.
fn put_alike(base: &Path) -> usize {
    let mut folded = 0;
    for (n, (one, other)) in ALIKE.into_iter().enumerate() {
        for walking in [false, true] {
            let at = base.join(format!("{n}{walking}"));
            fs::create_dir_all(&at).unwrap();
            let probe = at.join(one);
            fs::write(&probe, "").unwrap();
            let folds = at.join(other).exists();
            fs::remove_file(probe).unwrap();
            folded += usize::from(folds);
            let root = if walking { Root::open_walking(&at) } else { Root::open(&at) }.unwrap();
            let is_right = |result: Result<(), FilesError>| match result {
                Ok(()) => assert!(!folds, "{one:?} {other:?}"),
                Err(error) => {
                    assert!(folds && matches!(error, FilesError::Alike(..)), "{one:?} {other:?}: {error}");
                    assert_eq!(error.outcome(), Outcome::BadName);
                    let mut names = [one, other].into_iter().filter(|name| name.is_ascii());
                    assert!(names.all(|name| error.to_string().contains(name)), "{error}");
                }
            };
            put(&root, one, b"1").unwrap();
            is_right(put(&root, other, b"2"));
            if folds {
                is_right(root.make_dir(other));
            }
            // Below a directory that is called otherwise nothing is put either, and nothing in it is replaced.
            let (here, there) = (format!("dir.{one}"), format!("dir.{other}"));
            root.make_dir(&here).unwrap();
            put(&root, &format!("{here}/x"), b"1").unwrap();
            is_right(root.make_dir(&there));
            is_right(root.make_parents(&format!("{there}/x")));
            is_right(put(&root, &format!("{there}/x"), b"2"));
            is_right(root.make_dir(&format!("{there}/deeper")));
            // Two that are under way at once: the first to be whole has the name.
            let (first, second) = (format!("new.{one}"), format!("new.{other}"));
            let mut taking = Taking::begin(&root, &first, 1, 7, false).unwrap();
            put(&root, &second, b"2").unwrap();
            taking.write(b"1").unwrap();
            is_right(taking.finish(&sum(b"1")));
            assert_eq!(read(&root, &second).unwrap(), b"2");
            // The others come all the same, and a name itself may be had again.
            put(&root, "other", b"3").unwrap();
            for (name, held) in [(one.to_owned(), b"1"), (format!("{here}/x"), b"1")] {
                assert_eq!(read(&root, &name).unwrap(), held, "{name:?}");
                put(&root, &name, b"newer").unwrap();
                assert_eq!(read(&root, &name).unwrap(), b"newer", "{name:?}");
            }
            let told = root.list("").unwrap();
            assert_eq!(told.len(), if folds { 4 } else { 7 }, "{told:?}");
            assert!(
                fs::read_dir(&at)
                    .unwrap()
                    .all(|e| !crate::take::is_temporary(e.unwrap().file_name().to_str().unwrap()))
            );
        }
    }
    folded
}

/// Where a file system tells names apart, a tree with both comes as it is.
// spec: X-13
#[test]
fn names_that_differ_by_case_or_composition_are_two_files_where_they_can_be() {
    let place = Place::new("case");
    println!("files: {} of {} names are one here", put_alike(&place.root()), 2 * ALIKE.len());
}

/// A file system that takes names of other case for one (exFAT), on a file of its own, and its mount; both go when the test ends.
struct Folding {
    device: String,
    at: PathBuf,
}

fn run(program: &str, args: &[&Path]) -> Result<String, String> {
    let output = std::process::Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(format!("{program}: {}", said(&output.stderr))) }
}

impl Folding {
    fn mount(place: &Place) -> Result<Self, String> {
        let (image, at) = (place.0.join("image"), place.0.join("folding"));
        let file = fs::File::create(&image).map_err(|e| e.to_string())?;
        file.set_len(16 << 20).map_err(|e| e.to_string())?;
        fs::create_dir(&at).map_err(|e| e.to_string())?;
        run("mkfs.exfat", &[&image])?;
        let device = run("losetup", &["--find".as_ref(), "--show".as_ref(), &image])?;
        let folding = Self { device, at };
        run("mount.exfat-fuse", &[folding.device.as_ref(), &folding.at])?;
        Ok(folding)
    }
}

impl Drop for Folding {
    fn drop(&mut self) {
        let _ = run("umount", &["-l".as_ref(), &self.at]);
        let _ = run("losetup", &["-d".as_ref(), self.device.as_ref()]);
    }
}

/// Where it does not, the second is refused and the first untouched, whatever order they come in.
// spec: X-13
#[test]
fn where_two_names_are_one_the_second_is_refused_and_the_first_untouched() {
    let place = Place::new("folding");
    match Folding::mount(&place) {
        Ok(folding) => assert_eq!(put_alike(&folding.at), 4, "it folds case, and letters one by one"),
        Err(why) => println!("files: skipped: no file system that folds case can be mounted: {why}"),
    }
}

/// A file system that cannot rename to a new name alone.
// spec: X-13
#[test]
fn a_name_that_is_held_is_new_or_refused() {
    let place = Place::new("held");
    let [root, _] = place.roots();
    let (dir, _) = root.parent("a").unwrap();
    fs::write(place.root().join("from"), "new").unwrap();
    assert_eq!(crate::take::put_held(&dir, "from", "a"), Err(rustix::io::Errno::EXIST));
    assert_eq!(read(&root, "a").unwrap(), b"contents");
    crate::take::put_held(&dir, "from", "to").unwrap();
    assert_eq!(
        (read(&root, "to").unwrap(), place.names()),
        (b"new".to_vec(), vec!["a".into(), "sub".into(), "to".into()])
    );
    assert!(crate::take::put_held(&dir, "absent", "next").is_err());
    assert_eq!(place.names(), ["a", "sub", "to"], "nothing is left of a try");
}

// spec: X-10
#[test]
fn a_failed_transfer_leaves_the_old_file_and_nothing_else() {
    let place = Place::new("failed");
    let before = place.names();
    for root in place.roots() {
        // Too much, damaged, too little.
        let mut taking = Taking::begin(&root, "a", 3, 7, false).unwrap();
        assert_eq!(taking.write(b"four").unwrap_err().outcome(), Outcome::Corrupt);
        drop(taking);
        let mut taking = Taking::begin(&root, "a", 3, 7, false).unwrap();
        taking.write(b"abc").unwrap();
        assert_eq!(taking.finish(&sum(b"abd")).unwrap_err().outcome(), Outcome::Corrupt);
        let mut taking = Taking::begin(&root, "a", 3, 7, false).unwrap();
        taking.write(b"ab").unwrap();
        assert_eq!(taking.finish(&sum(b"ab")).unwrap_err().outcome(), Outcome::Corrupt);
        assert_eq!(fs::read(place.root().join("a")).unwrap(), b"contents");
        assert_eq!(place.names(), before);
    }
}

// spec: X-9
#[test]
fn a_broken_transfer_goes_on_where_it_stopped_if_it_is_the_same_file() {
    let place = Place::new("resume");
    let [root, _] = place.roots();
    let whole = vec![7u8; 100_000];
    let mut taking = Taking::begin(&root, "big", 100_000, 42, true).unwrap();
    taking.write(&whole[..60_000]).unwrap();
    // Two at a time would mix.
    assert!(Taking::begin(&root, "big", 100_000, 42, true).is_err());
    drop(taking);
    assert!(root.list("").unwrap().iter().all(|e| !e.name.contains("part")), "what is on its way is not told of");
    assert_eq!(Taking::begin(&root, "big", 100_000, 43, true).unwrap().at(), 0, "changed since");
    let mut taking = Taking::begin(&root, "big", 100_000, 42, true).unwrap();
    assert_eq!(taking.at(), 60_000);
    taking.write(&whole[60_000..]).unwrap();
    taking.finish(&sum(&whole)).unwrap();
    let meta = fs::metadata(place.root().join("big")).unwrap();
    assert_eq!((meta.len(), meta.permissions().mode() & 0o100), (100_000, 0o100));
    assert_eq!(root.stat("big").unwrap().modified, 42);
    // A part that was damaged meanwhile is found out by the hash.
    let mut taking = Taking::begin(&root, "big", 10, 1, false).unwrap();
    taking.write(b"01234").unwrap();
    drop(taking);
    let part = fs::read_dir(place.root()).unwrap().map(|e| e.unwrap().path()).find(|p| part_of(p, 5)).unwrap();
    fs::write(&part, "0123X").unwrap();
    let mut taking = Taking::begin(&root, "big", 10, 1, false).unwrap();
    taking.write(b"56789").unwrap();
    assert_eq!(taking.finish(&sum(b"0123456789")).unwrap_err().outcome(), Outcome::Corrupt);
    assert!(!part.exists() && fs::metadata(place.root().join("big")).unwrap().len() == 100_000);
}

fn part_of(path: &Path, len: u64) -> bool {
    path.to_string_lossy().ends_with("part") && fs::metadata(path).unwrap().len() == len
}

/// A second name for somebody else's file, or a link, put where the temporary name will be, is not written through.
// spec: X-9
#[test]
fn a_temporary_name_that_is_taken_is_not_written_through() {
    let place = Place::new("planted");
    let [root, _] = place.roots();
    drop(Taking::begin(&root, "new", 5, 5, false).unwrap());
    let part = fs::read_dir(place.root()).unwrap().map(|e| e.unwrap().path()).find(|p| part_of(p, 0)).unwrap();
    for plant in [symlink::<PathBuf, PathBuf> as fn(PathBuf, PathBuf) -> _, fs::hard_link::<PathBuf, PathBuf>] {
        fs::remove_file(&part).unwrap();
        plant(place.0.join("outside/secret"), part.clone()).unwrap();
        assert_eq!(put_as(&root, "new", 5).unwrap_err().outcome(), Outcome::WrongKind);
    }
    assert_eq!(fs::read(place.0.join("outside/secret")).unwrap(), b"secret");
    // Nor can anybody name it.
    let name = part.file_name().unwrap().to_str().unwrap();
    assert_eq!(read(&root, name).unwrap_err().outcome(), Outcome::BadName);
    assert_eq!(put(&root, name, b"x").unwrap_err().outcome(), Outcome::BadName);
}

fn put_as(root: &Root, path: &str, size: u64) -> Result<(), FilesError> {
    Taking::begin(root, path, size, size, false).map(|_| ())
}

/// A list that was true when it was told, and is no longer when the file is read.
// spec: X-8
#[test]
fn a_file_that_changes_between_list_and_read_is_found_out() {
    let place = Place::new("changes");
    let [root, _] = place.roots();
    let file = place.root().join("a");
    let mut giving = Giving::open(&root, "a").unwrap();
    fs::OpenOptions::new().append(true).open(&file).unwrap().set_len(3).unwrap();
    assert_eq!(giving.read(100).unwrap_err().outcome(), Outcome::Changed);
    let mut giving = Giving::open(&root, "a").unwrap();
    giving.read(100).unwrap();
    fs::write(&file, "longer than before").unwrap();
    assert_eq!(giving.sum().unwrap_err().outcome(), Outcome::Changed);
    let mut giving = Giving::open(&root, "a").unwrap();
    assert_eq!(giving.skip_to(100).unwrap_err().outcome(), Outcome::Changed);
    giving.skip_to(7).unwrap();
    assert_eq!(giving.read(100).unwrap(), b"than before");
    assert_eq!(giving.sum().unwrap(), sum(b"longer than before"));
}

// spec: X-6
#[test]
fn a_directory_too_long_to_be_told_is_refused_whole() {
    let place = Place::new("long");
    let many = place.root().join("many");
    fs::create_dir(&many).unwrap();
    // 2,340 entries of 200 bytes and 24 are the most.
    for n in 0..2_340 {
        fs::write(many.join(format!("{n:0200}")), "").unwrap();
    }
    let [root, _] = place.roots();
    assert_eq!(root.list("many").unwrap().len(), 2_340);
    fs::write(many.join(format!("{:0200}", 9_999)), "").unwrap();
    assert_eq!(root.list("many").unwrap_err().outcome(), Outcome::TooLarge);
}
