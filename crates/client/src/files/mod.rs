//! Files on their way between this machine and the host: what was asked for, what is under way, and what became of it.
//!
//! A machine like the minds: the host's messages go in, wishes come out. A lost link is not the end: what was under way is
//! asked for again on the next one, and goes on where it stopped.

mod transfer;

pub use transfer::{Finished, Transfer};

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use telepane_protocol::{Entry, FileWord, Outcome};
use telepane_session::{BulkWish, file_pipe};
use transfer::Active;

/// What the driver does for the transfers.
#[derive(Debug)]
pub enum Wish {
    /// Say this.
    Say(FileWord),
    /// Data may come in this pipe.
    Expect(u32),
    /// The host has opened this pipe.
    Offer(u32),
    /// What was asked for of this pipe, and whether it ends with it.
    Data(u32, Vec<u8>, bool),
    /// So many bytes of this pipe are put away.
    Used(u32, u64),
    /// Nothing more goes or comes in this pipe.
    Drop(u32),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A file from here to there.
    Upload {
        /// Here.
        from: PathBuf,
        /// There.
        to: String,
    },
    /// A file from there into a directory here.
    Download {
        /// There.
        from: String,
        /// This directory is here, and nothing leads out of it.
        root: PathBuf,
        /// The path below it.
        to: String,
        /// What an earlier try has left: how much, and of a file of which size and time.
        left: (u64, u64, u64),
    },
    /// A directory there.
    MakeDir(String),
    /// What a directory there holds.
    List(String),
}

/// What came of something that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Result {
    /// What.
    pub ask: Ask,
    /// How it went.
    pub outcome: Outcome,
    /// In words, when it failed.
    pub text: String,
    /// A file that was copied.
    pub file: Option<Finished>,
    /// What a directory holds, and whether it is one.
    pub listed: Option<(Vec<Entry>, bool)>,
    /// It is not over: this is to be asked instead.
    again: Option<Ask>,
}

impl Result {
    /// One that went so, without a file.
    #[cfg(test)]
    pub(crate) const fn over(ask: Ask, outcome: Outcome, listed: Option<(Vec<Entry>, bool)>) -> Self {
        Self { ask, outcome, text: String::new(), file: None, listed, again: None }
    }
}

/// See the module.
#[derive(Default)]
pub struct Transfers {
    waiting: VecDeque<Ask>,
    active: BTreeMap<u32, Active>,
    next: u32,
    linked: bool,
    wishes: VecDeque<Wish>,
    results: VecDeque<Result>,
    moved: u64,
}

/// Under way at once: small files do not wait a round trip each.
const MOST: usize = 8;

impl Transfers {
    /// Something is wanted.
    pub fn ask(&mut self, ask: Ask) {
        self.waiting.push_back(ask);
        self.start();
    }

    /// Nothing is waiting or under way.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.active.is_empty() && self.results.is_empty()
    }

    /// Bytes that were read or put away on this machine.
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// A connection stands: what was under way begins again.
    pub fn on_linked(&mut self) {
        self.linked = true;
        for (_, active) in std::mem::take(&mut self.active).into_iter().rev() {
            self.waiting.push_front(active.into_ask());
        }
        self.wishes.clear();
        self.next = 0;
        self.start();
    }

    /// The host said something about files.
    pub fn on_word(&mut self, word: FileWord) {
        let id = word.id();
        let Some(active) = self.active.get_mut(&id) else { return };
        let done = active.on_word(id, word, &mut self.wishes);
        self.follow(id, done);
    }

    /// A pipe wants something.
    pub fn on_bulk(&mut self, wish: BulkWish) {
        let pipe = match wish {
            BulkWish::Fill { pipe, .. } | BulkWish::Data { pipe, .. } => pipe,
        };
        let id = pipe >> 1;
        let Some(active) = self.active.get_mut(&id).filter(|_| pipe == file_pipe(id)) else { return };
        let (bytes, done) = active.on_bulk(id, wish, &mut self.wishes);
        self.moved += bytes;
        self.follow(id, done);
    }

    /// The next thing the driver is to do.
    pub fn wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// The next thing that is over.
    pub fn result(&mut self) -> Option<Result> {
        self.results.pop_front()
    }

    fn follow(&mut self, id: u32, done: Option<Result>) {
        if let Some(result) = done {
            self.active.remove(&id);
            self.wishes.push_back(Wish::Drop(file_pipe(id)));
            match result.again {
                Some(ask) => self.waiting.push_front(ask),
                None => self.results.push_back(result),
            }
            self.start();
        }
    }

    fn start(&mut self) {
        while self.linked && self.active.len() < MOST {
            let Some(ask) = self.waiting.pop_front() else { return };
            self.next += 1;
            match Active::begin(self.next, ask, &mut self.wishes) {
                Ok(active) => {
                    self.active.insert(self.next, active);
                }
                Err(result) => self.results.push_back(*result),
            }
        }
    }
}

#[cfg(test)]
mod tests;
