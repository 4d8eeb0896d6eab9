//! The directory that is given out, on a thread of its own: disks are slower than desktops. The desk loop hands over what the
//! seats' viewers say, and takes back what is to be said and sent.

mod serve;

use serve::Shelf;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use telepane_files::Root;
use telepane_protocol::FileWord;
use telepane_session::BulkWish;

/// The thread's near end.
pub struct Files {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    /// Messages that wait for the thread. What pipes carry is bounded by their windows.
    waiting: Arc<AtomicUsize>,
}

/// Messages that wait at most: sixteen requests of each of the sessions there can be.
// spec: X-12
const MOST_WAITING: usize = 256;

/// What somebody may do with the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct May {
    /// Read from it.
    pub download: bool,
    /// Write to it.
    pub upload: bool,
}

/// What the thread is told of a seat.
enum Job {
    Word(u64, May, FileWord),
    Bulk(u64, May, BulkWish),
    Gone(u64),
}

/// What is to be done for a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Say this.
    Say(u64, FileWord),
    /// Data may come in this pipe.
    Expect(u64, u32),
    /// The viewer has opened this pipe.
    Offer(u64, u32),
    /// What was asked for of this pipe, and whether it ends with it.
    Data(u64, u32, Vec<u8>, bool),
    /// So many bytes of this pipe are put away.
    Used(u64, u32, u64),
    /// Nothing more goes or comes in this pipe.
    Drop(u64, u32),
}

impl Done {
    /// For which seat.
    pub const fn seat(&self) -> u64 {
        match self {
            Self::Say(seat, _)
            | Self::Expect(seat, _)
            | Self::Offer(seat, _)
            | Self::Data(seat, ..)
            | Self::Used(seat, ..)
            | Self::Drop(seat, _) => *seat,
        }
    }
}

impl Files {
    /// Gives out the directory at `path`; `wake` is called when there is something to take.
    pub fn start(path: &Path, wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let mut shelf = Shelf::new(Root::open(path)?);
        let (jobs, to_do) = channel();
        let (send, done) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&waiting);
        std::thread::Builder::new().name("telepane-files".into()).spawn(move || {
            while let Ok(job) = to_do.recv() {
                let mut out = VecDeque::new();
                match job {
                    Job::Word(seat, may, word) => {
                        taken.fetch_sub(1, Ordering::Relaxed);
                        shelf.on_word(seat, may, word, &mut out);
                    }
                    Job::Bulk(seat, may, wish) => shelf.on_bulk(seat, may, wish, &mut out),
                    Job::Gone(seat) => shelf.on_gone(seat),
                }
                let any = !out.is_empty();
                if out.into_iter().any(|d| send.send(d).is_err()) {
                    return;
                }
                if any {
                    wake();
                }
            }
        })?;
        Ok(Self { jobs, done, waiting })
    }

    /// A seat's viewer said something. False, and it is not taken, while too much waits.
    pub fn on_word(&self, seat: u64, may: May, word: FileWord) -> bool {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        // The thread ends only with this value.
        let _ = self.jobs.send(Job::Word(seat, may, word));
        true
    }

    /// A seat's pipe wants something.
    pub fn on_bulk(&self, seat: u64, may: May, wish: BulkWish) {
        let _ = self.jobs.send(Job::Bulk(seat, may, wish));
    }

    /// A seat's connection is gone; what was under way can be gone on with later.
    pub fn on_gone(&self, seat: u64) {
        let _ = self.jobs.send(Job::Gone(seat));
    }

    /// The next thing to do.
    pub fn take(&self) -> Option<Done> {
        self.done.try_recv().ok()
    }
}
