//! A file's contents on their way out: read in order from any byte, hashed from the first.

use crate::{FilesError, Root, Stat};
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use telepane_protocol::EntryKind;

/// A file that is being sent.
pub struct Giving {
    name: String,
    file: File,
    stat: Stat,
    hash: Context,
    /// The next byte to be read.
    at: u64,
}

impl Giving {
    /// Opens the file at `path` of `root`.
    pub fn open(root: &Root, path: &str) -> Result<Self, FilesError> {
        let (file, stat) = root.read(path)?;
        Ok(Self { name: path.to_owned(), file, stat, hash: Context::new(&SHA256), at: 0 })
    }

    /// Opens a file that the person at this machine named.
    pub fn open_local(path: &std::path::Path) -> Result<Self, FilesError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(FilesError::io(&name))?;
        let stat = stat(&file, &name)?;
        if stat.kind != EntryKind::File {
            return Err(FilesError::WrongKind(name));
        }
        Ok(Self { name, file, stat, hash: Context::new(&SHA256), at: 0 })
    }

    /// What is known of it.
    pub const fn stat(&self) -> Stat {
        self.stat
    }

    /// Where reading stands.
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// Goes on at `offset`, if what lies before is of this file; what is skipped is hashed.
    pub fn skip_to(&mut self, offset: u64) -> Result<(), FilesError> {
        if offset > self.stat.size {
            return Err(FilesError::Changed(self.name.clone()));
        }
        self.file.seek(SeekFrom::Start(0)).map_err(FilesError::io(&self.name))?;
        (self.hash, self.at) = (Context::new(&SHA256), 0);
        while self.at < offset {
            let most = usize::try_from(offset - self.at).unwrap_or(usize::MAX);
            self.read(most.min(1 << 20))?;
        }
        Ok(())
    }

    /// The next bytes, at most `room` of them; fewer only at the end.
    pub fn read(&mut self, room: usize) -> Result<Vec<u8>, FilesError> {
        let left = usize::try_from(self.stat.size - self.at).unwrap_or(usize::MAX);
        let mut bytes = vec![0; room.min(left)];
        // A file that was cut short meanwhile ends too early.
        self.file.read_exact(&mut bytes).map_err(|why| match why.kind() {
            std::io::ErrorKind::UnexpectedEof => FilesError::Changed(self.name.clone()),
            _ => FilesError::Io { path: self.name.clone(), why },
        })?;
        self.hash.update(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes)
    }

    /// Whether everything was read.
    pub const fn is_done(&self) -> bool {
        self.at >= self.stat.size
    }

    /// The hash of the whole, when everything was read and the file is still what it was.
    pub fn sum(&self) -> Result<[u8; 32], FilesError> {
        if !self.is_done() || stat(&self.file, &self.name)? != self.stat {
            return Err(FilesError::Changed(self.name.clone()));
        }
        let mut sum = [0; 32];
        sum.copy_from_slice(self.hash.clone().finish().as_ref());
        Ok(sum)
    }
}

fn stat(file: &File, name: &str) -> Result<Stat, FilesError> {
    rustix::fs::fstat(file).map(|s| crate::root::stat_of(&s)).map_err(crate::root::wrong(name))
}
