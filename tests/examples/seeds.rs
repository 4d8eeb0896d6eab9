//! Writes the seeds of the fuzz corpora; see `telepane_tests::seeds`.
//!
//! What is there stays: bytes that were once valid must still be understood or refused. A seed that the encoders make
//! otherwise now goes beside it, with a number.

use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (target, name, bytes) in telepane_tests::seeds::all() {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        if let Some(free) = place_for(&folder, name, &bytes)? {
            println!("{}", free.display());
            std::fs::write(free, bytes)?;
        }
    }
    Ok(())
}

/// Where these bytes go, unless they are there.
fn place_for(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<Option<PathBuf>> {
    let mut number = 1;
    loop {
        let path = match number {
            1 => folder.join(format!("seed-{name}")),
            n => folder.join(format!("seed-{name}-{n}")),
        };
        if !path.exists() {
            return Ok(Some(path));
        }
        if std::fs::read(&path)? == bytes {
            return Ok(None);
        }
        number += 1;
    }
}
