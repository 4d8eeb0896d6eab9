//! Large pictures are coded on a thread of their own, so that input and small changes never wait for them, and frames of
//! film on another, so that nothing waits for those.

use crate::clock::Clock;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use telepane_codec::Shared;
use telepane_codec::film::FilmTask;
use telepane_codec::shared::NotServed;
use telepane_model::{EncodeJob, EncodedSlices, Pixels, Span, Version};

/// What a thread does.
pub trait Work: Send + 'static {
    /// What comes of it.
    type Done: Send + 'static;
    /// Does it.
    fn run(self, clock: &Clock) -> Self::Done;
}

/// A job with everything it needs.
pub struct Job {
    /// Of which seats the coder is.
    pub group: u64,
    /// The coder; it comes back with the answer.
    pub shared: Box<Shared>,
    /// Whose job.
    pub seat: u64,
    /// The job.
    pub job: EncodeJob,
    /// The newest pixels.
    pub pixels: Arc<Pixels>,
    /// Their version.
    pub version: Version,
}

/// A job done.
pub struct Done {
    /// Of which seats the coder is.
    pub group: u64,
    /// The coder.
    pub shared: Box<Shared>,
    /// Whose job.
    pub seat: u64,
    /// Which job.
    pub job: EncodeJob,
    /// The pixels that were coded.
    pub pixels: Arc<Pixels>,
    /// The answer.
    pub result: Result<EncodedSlices, NotServed>,
    /// How long it took.
    pub took: Span,
}

impl Work for Job {
    type Done = Done;

    fn run(self, clock: &Clock) -> Done {
        let Self { group, mut shared, seat, job, pixels, version } = self;
        let began = clock.now();
        let result = shared.encode(seat, &job, &pixels, version);
        let took = clock.now().since(began);
        Done { group, shared, seat, job, pixels, result, took }
    }
}

/// A frame of film with everything it needs.
pub struct Reel {
    /// Of which seats the coder is.
    pub group: u64,
    /// The frame.
    pub task: FilmTask,
    /// What it shows.
    pub pixels: Arc<Pixels>,
}

/// A frame of film that is coded.
pub struct Filmed {
    /// Of which seats the coder is.
    pub group: u64,
    /// The frame.
    pub task: FilmTask,
    /// How long it took.
    pub took: Span,
}

impl Work for Reel {
    type Done = Filmed;

    fn run(self, clock: &Clock) -> Filmed {
        let Self { group, mut task, pixels } = self;
        let began = clock.now();
        task.run(&pixels);
        Filmed { group, task, took: clock.now().since(began) }
    }
}

/// A thread that does such work, one piece after the other. It ends when this is dropped.
pub struct Worker<W: Work> {
    work: Sender<W>,
    done: Receiver<W::Done>,
}

impl<W: Work> Worker<W> {
    /// Starts the thread under this name; `wake` is called after each piece.
    pub fn start(name: &str, clock: Clock, wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (work, pieces) = channel::<W>();
        let (answers, done) = channel();
        std::thread::Builder::new().name(name.into()).spawn(move || {
            for work in pieces {
                if answers.send(work.run(&clock)).is_err() {
                    return;
                }
                wake();
            }
        })?;
        Ok(Self { work, done })
    }

    /// Hands over a piece. When the thread is gone it comes back.
    pub fn give(&self, work: W) -> Result<(), Box<W>> {
        self.work.send(work).map_err(|e| Box::new(e.0))
    }

    /// A piece that is done, if one is.
    pub fn take(&self) -> Option<W::Done> {
        self.done.try_recv().ok()
    }
}
