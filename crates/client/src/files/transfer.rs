//! One thing that was asked for, from the request to its end.

use super::{Ask, Result, Wish};
use std::collections::VecDeque;
use telepane_files::{FilesError, Giving, Root, Stat, Taking};
use telepane_protocol::{Entry, FileWord, Outcome};
use telepane_session::{BulkWish, file_pipe};

/// Read at once at most: the loop that shows the desktop waits meanwhile.
const READ: usize = 64 << 10;
/// Entries of one directory kept at most.
// spec: X-6
const MOST_ENTRIES: usize = 100_000;

/// A file that was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its size, in bytes.
    pub size: u64,
    /// Of these, so many were there from an earlier try.
    pub held: u64,
    /// SHA-256 of the whole.
    pub sha256: [u8; 32],
}

/// What is under way.
pub struct Active {
    ask: Ask,
    kind: Transfer,
}

/// By kind.
pub enum Transfer {
    /// From here.
    Giving(Box<Giving>, u64, Option<[u8; 32]>),
    /// To here: before the host has said what comes, the data that came already, and whether it ended.
    Awaiting(Box<Root>, Vec<u8>, bool),
    /// To here.
    Taking {
        /// The file.
        taking: Box<Taking>,
        /// So much was there.
        held: u64,
        /// Its size.
        size: u64,
        /// All data came.
        ended: bool,
        /// The hash came.
        sum: Option<[u8; 32]>,
    },
    /// A directory's contents so far.
    Listing(Vec<Entry>),
    /// A directory to be made.
    Making,
}

type Done = Option<Result>;

impl Active {
    /// Asks the host.
    // spec
    pub fn begin(id: u32, ask: Ask, wishes: &mut VecDeque<Wish>) -> std::result::Result<Self, Box<Result>> {
        let failed = |ask: &Ask, error: FilesError| Box::new(fail(ask.clone(), error.outcome(), error.to_string()));
        let kind = match &ask {
            Ask::Upload { from, to } => {
                let giving = Giving::open_local(from).map_err(|e| failed(&ask, e))?;
                let Stat { size, modified, executable, .. } = giving.stat();
                wishes.push_back(Wish::Say(FileWord::Put { id, path: to.clone(), size, modified, executable }));
                Transfer::Giving(Box::new(giving), 0, None)
            }
            Ask::Download { from, root, to, left: (held, size, modified) } => {
                let root = Root::open(root)
                    .map_err(|why| failed(&ask, FilesError::Io { path: root.display().to_string(), why }))?;
                root.make_parents(to).map_err(|e| failed(&ask, e))?;
                let (held, size, modified) = (*held, *size, *modified);
                // The pipe is open before anything can come.
                wishes.push_back(Wish::Expect(file_pipe(id)));
                wishes.push_back(Wish::Say(FileWord::Get { id, path: from.clone(), held, size, modified }));
                Transfer::Awaiting(Box::new(root), Vec::new(), false)
            }
            Ask::MakeDir(path) => {
                wishes.push_back(Wish::Say(FileWord::MakeDir { id, path: path.clone() }));
                Transfer::Making
            }
            Ask::List(path) => {
                wishes.push_back(Wish::Say(FileWord::List { id, path: path.clone() }));
                Transfer::Listing(Vec::new())
            }
        };
        Ok(Self { ask, kind })
    }

    /// What it was, to be asked again.
    pub fn into_ask(self) -> Ask {
        self.ask
    }

    /// The host said something.
    pub fn on_word(&mut self, id: u32, word: FileWord, wishes: &mut VecDeque<Wish>) -> Done {
        let result = match (&mut self.kind, word) {
            (kind, FileWord::End { outcome, text, .. }) => {
                let file = match kind {
                    Transfer::Giving(giving, held, Some(sha256)) if outcome == Outcome::Fine => {
                        Some(Finished { size: giving.stat().size, held: *held, sha256: *sha256 })
                    }
                    // It cannot be well before it knows the hash.
                    Transfer::Giving(..) if outcome == Outcome::Fine => {
                        return Some(fail(self.ask.clone(), Outcome::Other, "the host broke the order".into()));
                    }
                    _ => None,
                };
                return Some(Result { ask: self.ask.clone(), outcome, text, file, listed: None, again: None });
            }
            (Transfer::Giving(giving, held, _), FileWord::Take { offset, .. }) => {
                *held = offset;
                giving.skip_to(offset).map(|()| {
                    wishes.push_back(Wish::Offer(file_pipe(id)));
                    None
                })
            }
            (Transfer::Awaiting(..), FileWord::Info { offset, size, modified, executable, .. }) => {
                self.take(id, (offset, size, modified, executable), wishes)
            }
            (Transfer::Awaiting(..), FileWord::Sum { .. }) => {
                return Some(fail(self.ask.clone(), Outcome::Other, "the host broke the order".into()));
            }
            (Transfer::Taking { sum, .. }, FileWord::Sum { sha256, .. }) => {
                *sum = Some(sha256);
                self.finish()
            }
            (Transfer::Listing(entries), FileWord::Entries { last, directory, entries: more, .. }) => {
                entries.extend(more);
                if entries.len() > MOST_ENTRIES {
                    return Some(fail(
                        self.ask.clone(),
                        Outcome::TooLarge,
                        "the directory has too many entries".into(),
                    ));
                }
                if !last {
                    return None;
                }
                let listed = Some((std::mem::take(entries), directory));
                let (ask, outcome) = (self.ask.clone(), Outcome::Fine);
                return Some(Result { ask, outcome, text: String::new(), file: None, listed, again: None });
            }
            _ => Ok(None),
        };
        self.or_fail(id, result, wishes)
    }

    /// A pipe wants something. Says how many bytes were moved.
    pub fn on_bulk(&mut self, id: u32, wish: BulkWish, wishes: &mut VecDeque<Wish>) -> (u64, Done) {
        let pipe = file_pipe(id);
        let (moved, result) = match (&mut self.kind, wish) {
            (Transfer::Giving(giving, _, sum), BulkWish::Fill { room, .. }) => match giving.read(room.min(READ)) {
                Ok(bytes) => {
                    let (moved, last) = (bytes.len() as u64, giving.is_done());
                    wishes.push_back(Wish::Data(pipe, bytes, last));
                    let told = if last { giving.sum().map(Some) } else { Ok(None) };
                    let result = told.map(|sha256| {
                        if let Some(sha256) = sha256 {
                            *sum = Some(sha256);
                            wishes.push_back(Wish::Say(FileWord::Sum { id, sha256 }));
                        }
                        None
                    });
                    (moved, result)
                }
                Err(error) => (0, Err(error)),
            },
            // The window bounds what may come before the answer.
            (Transfer::Awaiting(_, early, ended), BulkWish::Data { bytes, last, .. }) => {
                early.extend(bytes);
                *ended |= last;
                (0, Ok(None))
            }
            (Transfer::Taking { taking, ended, .. }, BulkWish::Data { bytes, last, .. }) => {
                *ended |= last;
                let moved = bytes.len() as u64;
                wishes.push_back(Wish::Used(pipe, moved));
                let written = taking.write(&bytes);
                (moved, written.and_then(|()| self.finish()))
            }
            _ => (0, Ok(None)),
        };
        (moved, self.or_fail(id, result, wishes))
    }

    /// The host has said what comes.
    fn take(
        &mut self,
        id: u32,
        (offset, size, modified, executable): (u64, u64, u64, bool),
        wishes: &mut VecDeque<Wish>,
    ) -> std::result::Result<Done, FilesError> {
        let Transfer::Awaiting(root, early, ended) = &mut self.kind else { return Ok(None) };
        let Ask::Download { from, to, root: dir, left } = &self.ask else { return Ok(None) };
        let mut taking = Taking::begin(root, to, size, modified, executable)?;
        if taking.at() > 0 && left.0 == 0 {
            // An earlier try has left a part of this very file, which shows only now: the rest is asked for.
            let left = (taking.at(), size, modified);
            let ask = Ask::Download { from: from.clone(), root: dir.clone(), to: to.clone(), left };
            wishes.push_back(Wish::Say(FileWord::End { id, outcome: Outcome::Cancelled, text: String::new() }));
            return Ok(Some(Result { again: Some(ask), ..fail(self.ask.clone(), Outcome::Cancelled, String::new()) }));
        }
        if offset == 0 {
            taking.start_over()?;
        }
        if taking.at() != offset {
            return Err(FilesError::Changed(to.clone()));
        }
        let (early, ended) = (std::mem::take(early), *ended);
        taking.write(&early)?;
        wishes.push_back(Wish::Used(file_pipe(id), early.len() as u64));
        self.kind = Transfer::Taking { taking: Box::new(taking), held: offset, size, ended, sum: None };
        self.finish()
    }

    // spec: X-10
    fn finish(&mut self) -> std::result::Result<Done, FilesError> {
        if !matches!(self.kind, Transfer::Taking { ended: true, sum: Some(_), .. }) {
            return Ok(None);
        }
        let kind = std::mem::replace(&mut self.kind, Transfer::Making);
        let Transfer::Taking { taking, held, size, sum: Some(sha256), .. } = kind else { return Ok(None) };
        taking.finish(&sha256)?;
        let file = Some(Finished { size, held, sha256 });
        Ok(Some(Result {
            ask: self.ask.clone(),
            outcome: Outcome::Fine,
            text: String::new(),
            file,
            listed: None,
            again: None,
        }))
    }

    fn or_fail(&self, id: u32, result: std::result::Result<Done, FilesError>, wishes: &mut VecDeque<Wish>) -> Done {
        result.unwrap_or_else(|error| {
            let (outcome, text) = (error.outcome(), error.to_string());
            wishes.push_back(Wish::Say(FileWord::End { id, outcome: Outcome::Cancelled, text: String::new() }));
            Some(fail(self.ask.clone(), outcome, text))
        })
    }
}

fn fail(ask: Ask, outcome: Outcome, text: String) -> Result {
    Result { ask, outcome, text, file: None, listed: None, again: None }
}
