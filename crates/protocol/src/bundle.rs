//! Files of a clipboard as one run of bytes: what was copied and everything below it, one after the other. It goes in the
//! pipe of the request that asked for them; the receiver reads it as it comes and keeps no more than one header of it.

use crate::fault::Fault;
use crate::path::{self, MAX_PATH, System};
use crate::wire::{Put, Reader};

/// Files and directories of one bundle at most.
// spec: K-61
pub const MOST_ENTRIES: usize = 10_000;
/// The most bytes of a header: kind, path with its length, size, time, flags.
const MAX_HEAD: usize = 1 + 4 + MAX_PATH + 8 + 8 + 1;
/// A hash.
const SUM: usize = 32;

/// What stands before a file's contents, or for a directory.
// spec: K-60
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// There is no more.
    End,
    /// A file; its contents and then their SHA-256 follow.
    File {
        /// Where, below the directory of the whole.
        path: String,
        /// Bytes.
        size: u64,
        /// When it was changed last, in microseconds since 1970.
        modified: u64,
        /// It may be run as a program.
        executable: bool,
    },
    /// A directory.
    Directory {
        /// Where, below the directory of the whole.
        path: String,
    },
}

impl Head {
    /// As it stands in the bundle.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::End => out.push(0),
            Self::File { path, size, modified, executable } => {
                out.push(1);
                out.text(path, MAX_PATH);
                out.varint(*size);
                out.varint(*modified);
                out.push(u8::from(*executable));
            }
            Self::Directory { path } => {
                out.push(2);
                out.text(path, MAX_PATH);
            }
        }
        out
    }

    // spec: K-60
    fn decode(r: &mut Reader<'_>) -> Result<Self, Fault> {
        let take = |r: &mut Reader<'_>| {
            let text = r.text(MAX_PATH)?;
            match path::names(text, System::Wire)?.is_empty() {
                true => Err(Fault::BadPath),
                false => Ok(text.to_owned()),
            }
        };
        Ok(match r.u8()? {
            0 => Self::End,
            1 => Self::File { path: take(r)?, size: r.varint()?, modified: r.varint()?, executable: r.u8()? & 1 != 0 },
            2 => Self::Directory { path: take(r)? },
            _ => return Err(Fault::BadContents),
        })
    }
}

/// A part of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Something begins.
    Head(Head),
    /// Contents of the file that began last.
    Bytes(Vec<u8>),
    /// The SHA-256 of that file, which ends with it.
    Sum([u8; SUM]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Head,
    Bytes(u64),
    Sum,
    Over,
}

/// Reads a bundle as it comes.
#[derive(Debug)]
pub struct Unbundle {
    at: At,
    /// Bytes of a header or a hash that is not whole.
    part: Vec<u8>,
    entries: usize,
}

impl Default for Unbundle {
    fn default() -> Self {
        Self { at: At::Head, part: Vec::new(), entries: 0 }
    }
}

impl Unbundle {
    /// The next bytes; what they complete.
    ///
    /// # Errors
    /// A fault, after which the bundle is of no use.
    // spec: K-60, K-61
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Part>, Fault> {
        let mut parts = Vec::new();
        loop {
            match self.at {
                At::Over if bytes.is_empty() => return Ok(parts),
                At::Over => return Err(Fault::BadContents),
                At::Bytes(0) => self.at = At::Sum,
                At::Bytes(left) => {
                    if bytes.is_empty() {
                        return Ok(parts);
                    }
                    let n = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let (head, rest) = bytes.split_at(n);
                    parts.push(Part::Bytes(head.to_vec()));
                    bytes = rest;
                    self.at = At::Bytes(left - n as u64);
                }
                At::Sum => {
                    let (head, rest) = bytes.split_at(bytes.len().min(SUM - self.part.len()));
                    self.part.extend_from_slice(head);
                    bytes = rest;
                    let Ok(sum) = <[u8; SUM]>::try_from(self.part.as_slice()) else { return Ok(parts) };
                    self.part.clear();
                    parts.push(Part::Sum(sum));
                    self.at = At::Head;
                }
                At::Head => {
                    let known = self.part.len();
                    self.part.extend_from_slice(bytes.get(..MAX_HEAD).unwrap_or(bytes));
                    let mut r = Reader::new(&self.part);
                    let head = match Head::decode(&mut r) {
                        // No header is longer than what is here.
                        Err(Fault::Truncated) if self.part.len() < MAX_HEAD => return Ok(parts),
                        other => other?,
                    };
                    let used = self.part.len() - r.rest().len();
                    bytes = bytes.get(used.saturating_sub(known)..).unwrap_or_default();
                    self.part.clear();
                    self.entries += 1;
                    if self.entries > MOST_ENTRIES + 1 {
                        return Err(Fault::ListTooLong);
                    }
                    self.at = match &head {
                        Head::End => At::Over,
                        Head::File { size, .. } => At::Bytes(*size),
                        Head::Directory { .. } => At::Head,
                    };
                    parts.push(Part::Head(head));
                }
            }
        }
    }

    /// Whether it came to its end.
    pub fn is_over(&self) -> bool {
        self.at == At::Over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(path: &str, contents: &[u8]) -> Vec<u8> {
        let size = contents.len() as u64;
        let head = Head::File { path: path.into(), size, modified: 1 << 50, executable: true };
        [head.encode(), contents.to_vec(), vec![7; SUM]].concat()
    }

    /// Pieces of contents put together again.
    fn joined(parts: Vec<Part>) -> Vec<Part> {
        parts.into_iter().fold(Vec::new(), |mut all, part| {
            match (all.last_mut(), part) {
                (Some(Part::Bytes(before)), Part::Bytes(more)) => before.extend(more),
                (_, part) => all.push(part),
            }
            all
        })
    }

    fn whole() -> Vec<u8> {
        let directory = Head::Directory { path: "büro".into() }.encode();
        [file("a", b""), directory, file("büro/x y", &[3; 5_000]), Head::End.encode()].concat()
    }

    proptest! {
        // spec: K-60
        #[test]
        fn it_is_the_same_in_whatever_pieces_it_comes(cuts in proptest::collection::vec(1usize..6_000, 1..60)) {
            let (bytes, mut all) = (whole(), Unbundle::default());
            let expected = joined(all.push(&bytes).unwrap());
            prop_assert!(all.is_over());
            let (mut unbundle, mut rest, mut parts) = (Unbundle::default(), &bytes[..], Vec::new());
            for cut in cuts.into_iter().cycle() {
                let (piece, more) = rest.split_at(cut.min(rest.len()));
                parts.extend(unbundle.push(piece).unwrap());
                rest = more;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(joined(parts), expected);
            prop_assert!(unbundle.is_over());
        }

        // spec: F-1
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            crate::fuzzing::bundle(&bytes);
        }
    }

    // spec: K-60, K-61
    #[test]
    fn what_leads_out_is_endless_or_goes_on_is_refused() {
        let push = |bytes: &[u8]| Unbundle::default().push(bytes);
        for bad in ["", ".", "..", "/etc/passwd", "a/../../b", "a//b", "a/\u{202e}b", "a\nb", "../a"] {
            assert_eq!(push(&file(bad, b"x")), Err(Fault::BadPath), "{bad:?}");
            assert_eq!(push(&Head::Directory { path: bad.into() }.encode()), Err(Fault::BadPath), "{bad:?}");
        }
        assert_eq!(push(&[3]), Err(Fault::BadContents));
        assert_eq!(push(&[Head::End.encode(), vec![0]].concat()), Err(Fault::BadContents), "after the end");
        let long = [1u8, 0x80, 0, 0x20, 0].into_iter().chain([b'a'; 9_000]).collect::<Vec<_>>();
        assert_eq!(push(&long), Err(Fault::TextTooLong));
        let many = Head::Directory { path: "d".into() }.encode().repeat(1_000_000);
        assert_eq!(push(&many), Err(Fault::ListTooLong));
        // A file that says it is enormous takes no memory.
        let huge = Head::File { path: "a".into(), size: u64::MAX >> 2, modified: 0, executable: false }.encode();
        assert_eq!(push(&huge).map(|p| p.len()), Ok(1));
        let mut cut = Unbundle::default();
        let most = whole();
        cut.push(&most[..most.len() - 1]).unwrap();
        assert!(!cut.is_over());
    }
}
