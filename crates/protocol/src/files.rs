//! Messages about files: the viewer asks, the host answers. Contents go in pipes (`bulk`), whose number follows from the
//! request's. Every path is relative to the directory the host gives out.

use crate::fault::Fault;
use crate::path::{self, MAX_PATH, System};
use crate::wire::{Put, Reader};

/// A message about files.
// spec: X-1
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileWord {
    /// Viewer to host, instead of an Attach: a session of files alone, beside any other.
    Attach,
    /// Viewer to host: send the contents of a file.
    Get {
        /// The request's number.
        id: u32,
        /// Which file.
        path: String,
        /// What is there already, if the file is still the same.
        held: u64,
        /// Its size then, in bytes.
        size: u64,
        /// When it was changed last then, in microseconds since 1970.
        modified: u64,
    },
    /// Host to viewer: the contents follow in the request's pipe.
    Info {
        /// The request.
        id: u32,
        /// From this byte on.
        offset: u64,
        /// The whole file's size, in bytes.
        size: u64,
        /// When it was changed last, in microseconds since 1970.
        modified: u64,
        /// It may be run as a program.
        executable: bool,
    },
    /// Viewer to host: take a file.
    Put {
        /// The request's number.
        id: u32,
        /// Which name it gets.
        path: String,
        /// Its size, in bytes.
        size: u64,
        /// When it was changed last, in microseconds since 1970.
        modified: u64,
        /// It may be run as a program.
        executable: bool,
    },
    /// Host to viewer: send it in the request's pipe.
    Take {
        /// The request.
        id: u32,
        /// From this byte on; those before it are here from an earlier try.
        offset: u64,
    },
    /// The sender of the contents: everything was sent, and this is the hash of the whole file.
    Sum {
        /// The request.
        id: u32,
        /// SHA-256 of the whole file.
        sha256: [u8; 32],
    },
    /// Either way: the request is over.
    End {
        /// The request.
        id: u32,
        /// How it went.
        outcome: Outcome,
        /// In words.
        text: String,
    },
    /// Viewer to host: say what a directory holds.
    List {
        /// The request's number.
        id: u32,
        /// Which directory or file; nothing for the one given out.
        path: String,
    },
    /// Host to viewer: a part of a directory.
    Entries {
        /// The request.
        id: u32,
        /// The last part.
        last: bool,
        /// The path is a directory.
        directory: bool,
        /// At most [`MAX_ENTRIES`].
        entries: Vec<Entry>,
    },
    /// Viewer to host: make a directory; one that is there is fine.
    MakeDir {
        /// The request's number.
        id: u32,
        /// Which.
        path: String,
    },
}

/// A thing in a directory; for a file that was named itself, that file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its size, in bytes.
    pub size: u64,
    /// When it was changed last, in microseconds since 1970.
    pub modified: u64,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// A file.
    File = 1,
    /// A directory.
    Directory = 2,
    /// A link, a pipe, a device: nothing that can be had.
    Other = 255,
}

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// As asked; contents were compared with their hash.
    Fine = 0,
    /// There is no such file or directory.
    Missing = 1,
    /// The host gives no files, the person may not, or the system says no.
    Denied = 2,
    /// The name or path is not acceptable.
    BadName = 3,
    /// No room.
    Full = 4,
    /// It changed while it was read.
    Changed = 5,
    /// The contents are not what their hash says; what came is thrown away.
    Corrupt = 6,
    /// Larger than allowed, or too many.
    TooLarge = 7,
    /// A directory where a file was meant, or the other way round.
    WrongKind = 8,
    /// Called off.
    Cancelled = 9,
    /// Anything else; the text says it.
    Other = 255,
}

/// The most entries of one message.
// spec: X-6
pub const MAX_ENTRIES: usize = 128;

pub(crate) const KINDS: core::ops::RangeInclusive<u64> = 21..=30;

impl FileWord {
    /// Whether it may come from the host.
    pub const fn from_host(&self) -> bool {
        matches!(
            self,
            Self::Info { .. } | Self::Take { .. } | Self::Sum { .. } | Self::End { .. } | Self::Entries { .. }
        )
    }

    /// Whether it may come from the viewer.
    pub const fn from_viewer(&self) -> bool {
        !matches!(self, Self::Info { .. } | Self::Take { .. } | Self::Entries { .. })
    }

    /// The request it is about.
    pub const fn id(&self) -> u32 {
        match self {
            Self::Attach => 0,
            Self::Get { id, .. }
            | Self::Info { id, .. }
            | Self::Put { id, .. }
            | Self::Take { id, .. }
            | Self::Sum { id, .. }
            | Self::End { id, .. }
            | Self::List { id, .. }
            | Self::Entries { id, .. }
            | Self::MakeDir { id, .. } => *id,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut head = |kind: u64, id: u32| {
            out.varint(kind);
            out.varint(u64::from(id));
        };
        match self {
            Self::Attach => out.varint(21),
            Self::Get { id, path, held, size, modified } => {
                head(22, *id);
                out.text(path, MAX_PATH);
                [held, size, modified].into_iter().for_each(|v| out.varint(*v));
            }
            Self::Info { id, offset, size, modified, executable } => {
                head(23, *id);
                [offset, size, modified].into_iter().for_each(|v| out.varint(*v));
                out.push(u8::from(*executable));
            }
            Self::Put { id, path, size, modified, executable } => {
                head(24, *id);
                out.text(path, MAX_PATH);
                [size, modified].into_iter().for_each(|v| out.varint(*v));
                out.push(u8::from(*executable));
            }
            Self::Take { id, offset } => {
                head(25, *id);
                out.varint(*offset);
            }
            Self::Sum { id, sha256 } => {
                head(26, *id);
                out.extend_from_slice(sha256);
            }
            Self::End { id, outcome, text } => {
                head(27, *id);
                out.push(*outcome as u8);
                out.text(text, crate::control::MAX_SENTENCE);
            }
            Self::List { id, path } => {
                head(28, *id);
                out.text(path, MAX_PATH);
            }
            Self::Entries { id, last, directory, entries } => {
                head(29, *id);
                out.push(u8::from(*last) | u8::from(*directory) << 1);
                let entries = entries.get(..MAX_ENTRIES).unwrap_or(entries);
                out.varint(entries.len() as u64);
                for e in entries {
                    out.push(e.kind as u8);
                    out.varint(e.size);
                    out.varint(e.modified);
                    out.text(&e.name, path::MAX_NAME);
                }
            }
            Self::MakeDir { id, path } => {
                head(30, *id);
                out.text(path, MAX_PATH);
            }
        }
    }

    pub(crate) fn decode(kind: u64, r: &mut Reader<'_>) -> Result<Self, Fault> {
        if kind == 21 {
            return Ok(Self::Attach);
        }
        let id: u32 = r.var()?;
        // spec: X-2
        if id > MAX_ID {
            return Err(Fault::NumberTooLarge);
        }
        Ok(match kind {
            22 => {
                let path = take_path(r)?;
                Self::Get { id, path, held: r.varint()?, size: r.varint()?, modified: r.varint()? }
            }
            23 => Self::Info {
                id,
                offset: r.varint()?,
                size: r.varint()?,
                modified: r.varint()?,
                executable: r.u8()? & 1 != 0,
            },
            24 => {
                let path = take_path(r)?;
                Self::Put { id, path, size: r.varint()?, modified: r.varint()?, executable: r.u8()? & 1 != 0 }
            }
            25 => Self::Take { id, offset: r.varint()? },
            26 => Self::Sum { id, sha256: r.array()? },
            27 => {
                let outcome = Outcome::from_wire(r.u8()?);
                Self::End { id, outcome, text: r.text(crate::control::MAX_SENTENCE)?.into() }
            }
            28 => Self::List { id, path: take_path(r)? },
            29 => {
                let flags = r.u8()?;
                let mut entries = Vec::new();
                for _ in 0..r.count(MAX_ENTRIES)? {
                    let (kind, size, modified) = (r.u8()?, r.varint()?, r.varint()?);
                    let name = r.text(path::MAX_NAME)?;
                    // spec: X-4
                    if !path::is_name(name, System::Wire) {
                        return Err(Fault::BadPath);
                    }
                    let kind = match kind {
                        1 => EntryKind::File,
                        2 => EntryKind::Directory,
                        _ => EntryKind::Other,
                    };
                    entries.push(Entry { name: name.into(), kind, size, modified });
                }
                Self::Entries { id, last: flags & 1 != 0, directory: flags & 2 != 0, entries }
            }
            30 => Self::MakeDir { id, path: take_path(r)? },
            _ => return Err(Fault::UnknownControl),
        })
    }
}

/// The greatest number of a request: its pipe's must fit 32 bits.
// spec: X-2
pub const MAX_ID: u32 = u32::MAX >> 1;

impl Outcome {
    // spec: X-7
    const fn from_wire(n: u8) -> Self {
        match n {
            0 => Self::Fine,
            1 => Self::Missing,
            2 => Self::Denied,
            3 => Self::BadName,
            4 => Self::Full,
            5 => Self::Changed,
            6 => Self::Corrupt,
            7 => Self::TooLarge,
            8 => Self::WrongKind,
            9 => Self::Cancelled,
            _ => Self::Other,
        }
    }
}

// spec: X-4
fn take_path(r: &mut Reader<'_>) -> Result<String, Fault> {
    let path = r.text(MAX_PATH)?;
    path::names(path, System::Wire)?;
    Ok(path.into())
}
