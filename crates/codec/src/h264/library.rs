//! Which openh264 codes: the one built in from source, or Cisco's own binary in a file that a person names.
//!
//! Cisco pays the patent pool for its own binary alone, and only where it was downloaded to the machine that it runs on
//! (<https://www.openh264.org/faq.html>). So nothing of it comes with Telepane: it is named, held against the hashes of
//! Cisco's releases before any of its code runs, and used for everything or not at all. There is no way back to the
//! one that is built in, which would be the one that the person does not want.

use openh264_sys2::{DynamicAPI, Error};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use thiserror::Error as ThisError;

/// Chosen at the first encoder or decoder at the latest, and for good: pictures are freed by the library that made them.
static IN_USE: OnceLock<DynamicAPI> = OnceLock::new();

/// Where Cisco's binaries of the version that is built in are described.
const RELEASE: &str = "https://github.com/cisco/openh264/releases/tag/v2.6.0";

/// Why a library is not used.
#[derive(Debug, ThisError)]
pub enum LoadError {
    /// There is no such file, or it may not be read.
    #[error("cannot read the H.264 library {path}: {why}; name the file that Cisco's openh264 was unpacked to")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        why: std::io::Error,
    },
    /// Its bytes are not those of one of Cisco's releases.
    #[error(
        "{path} is none of Cisco's binaries of openh264 2.6.0 (its SHA-256 is {sha256}); download the one for this system from \
         {RELEASE}, unpack it with bunzip2 and name that file, or name none to use the one that is built in"
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What its bytes have for a hash, in hexadecimal digits.
        sha256: String,
    },
    /// It is one of Cisco's, but the system does not take it.
    #[error("{path} cannot be loaded: {why}; take the one for this system and processor from {RELEASE}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// The system's word.
        why: String,
    },
    /// Something was coded already.
    #[error("{path} comes too late: an H.264 library is in use already")]
    Late {
        /// The file.
        path: PathBuf,
    },
}

/// Makes every encoder and decoder of this process one of Cisco's binary at `path`. To be called once, before the first of them.
///
/// # Errors
/// When the file is not one of Cisco's releases for this system, or an encoder or a decoder was there before. Nothing of the file has
/// run then, unless the system refused it.
pub fn load(path: &Path) -> Result<(), LoadError> {
    IN_USE.set(open(path)?).map_err(|_| LoadError::Late { path: path.to_owned() })
}

/// What codes.
pub(super) fn in_use() -> &'static DynamicAPI {
    IN_USE.get_or_init(DynamicAPI::from_source)
}

pub(super) fn open(path: &Path) -> Result<DynamicAPI, LoadError> {
    let path = path.to_owned();
    let library = match DynamicAPI::from_blob_path(&path) {
        Ok(library) => library,
        Err(Error::Io(why)) => return Err(LoadError::Unreadable { path, why }),
        Err(Error::InvalidHash(sha256)) => return Err(LoadError::Unknown { path, sha256 }),
        Err(Error::LibLoading(why)) => return Err(LoadError::Refused { path, why: why.to_string() }),
    };
    // A function that is missed would be a panic when it is called.
    let DynamicAPI::Libloading(found) = &library else { return Ok(library) };
    let missed = [
        found.WelsCreateSVCEncoder.as_ref().err(),
        found.WelsDestroySVCEncoder.as_ref().err(),
        found.WelsCreateDecoder.as_ref().err(),
        found.WelsDestroyDecoder.as_ref().err(),
    ];
    let missed = missed.into_iter().flatten().next().map(ToString::to_string);
    missed.map_or(Ok(library), |why| Err(LoadError::Refused { path, why }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is no release of Cisco's is refused before the system sees it, and coding goes on as before: a test's process, unlike
    /// a program at its start, is not ended by it.
    #[test]
    fn a_file_that_is_not_ciscos_is_refused_and_says_what_to_do() {
        let path = std::env::temp_dir().join(format!("telepane-openh264-{}.so", std::process::id()));
        // This test itself: the system would load it.
        std::fs::copy(std::env::current_exe().expect("a test has a file"), &path).expect("a temporary file");
        let error = load(&path).expect_err("it is a program");
        std::fs::remove_file(&path).expect("it was written");
        let LoadError::Unknown { sha256, .. } = &error else { panic!("{error}") };
        assert_eq!(sha256.len(), 64);
        let text = error.to_string();
        for words in [&path.display().to_string(), sha256.as_str(), RELEASE, "bunzip2", "built in"] {
            assert!(text.contains(words), "{words} in {text}");
        }
        assert!(matches!(in_use(), DynamicAPI::Source(_)));
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = load(Path::new("/nonexistent/libopenh264.so")).expect_err("there is none");
        assert!(matches!(&error, LoadError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains("/nonexistent/libopenh264.so"), "{error}");
    }

    /// What is in use cannot be changed: a file is too late even if it is right. Needs one of Cisco's.
    #[test]
    fn a_library_after_the_first_encoder_is_too_late() {
        let Some(path) = std::env::var_os("TELEPANE_OPENH264") else {
            println!("skipped: no Cisco binary of openh264 (TELEPANE_OPENH264 names one)");
            return;
        };
        in_use();
        assert!(matches!(load(Path::new(&path)), Err(LoadError::Late { .. })));
    }
}
