//! Every input of every fuzz corpus, through the function its target calls. No panic, and the target's own property.

use std::collections::BTreeSet;
use std::panic;
use std::path::{Path, PathBuf};

use telepane_tests::{seeds, targets::TARGETS};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The files of a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn names(folder: &Path) -> BTreeSet<String> {
    files(folder).iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_committed_input_is_survived() {
    for (target, run) in TARGETS {
        for path in files(&fuzz().join("corpus").join(target)) {
            let bytes = std::fs::read(&path).unwrap();
            // Named, because the panic inside says only what went wrong and not with which input.
            if panic::catch_unwind(|| run(&bytes)).is_err() {
                panic!("{target} does not survive {}", path.display());
            }
        }
    }
}

#[test]
fn every_seed_of_today_is_survived_cut_anywhere_and_with_any_byte_turned() {
    for (target, name, bytes) in seeds::all() {
        let run = TARGETS.iter().find(|(other, _)| *other == target).unwrap_or_else(|| panic!("no target {target}")).1;
        run(&bytes);
        // Long ones are sampled: this is a smoke test beside the fuzzers, not one of them.
        let step = bytes.len() / 64 + 1;
        for at in (0..bytes.len()).step_by(step) {
            let mut turned = bytes.clone();
            turned[at] ^= 0x81;
            if panic::catch_unwind(|| {
                run(&bytes[..at]);
                run(&turned);
            })
            .is_err()
            {
                panic!("{target} does not survive seed {name} changed at byte {at}");
            }
        }
    }
}

#[test]
fn targets_corpora_and_table_name_the_same() {
    let table: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("fuzz_targets")), table, "fuzz/fuzz_targets against tests/src/targets.rs");
    assert_eq!(names(&fuzz().join("corpus")), table, "fuzz/corpus against tests/src/targets.rs");
    let readme = std::fs::read_to_string(fuzz().join("README.md")).unwrap();
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in &table {
        assert!(readme.contains(&format!("`{name}`")), "fuzz/README.md does not explain {name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml has no [[bin]] {name}");
        assert!(!files(&fuzz().join("corpus").join(name)).is_empty(), "fuzz/corpus/{name} is empty");
    }
}
