//! Large pictures are coded on a thread of their own, so that input and small changes never wait for them, and frames of
//! film on another, so that nothing waits for those.

use crate::clock::Clock;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use telepane_codec::Shared;
use telepane_codec::film::FilmTask;
use telepane_codec::shared::NotServed;
use telepane_model::{EncodeJob, EncodedSlice, EncodedSlices, Pixels, Span, Version};

/// What a thread does.
pub trait Work: Send + 'static {
    /// What comes of it.
    type Done: Send + 'static;
    /// Does it. What comes of it before the end goes to `early`.
    fn run(self, clock: &Clock, early: &mut dyn FnMut(Self::Done)) -> Self::Done;
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

/// What comes of a job.
pub enum Coded {
    /// Slices that can leave while the others are coded.
    Part {
        /// Whose job.
        seat: u64,
        /// They.
        slices: EncodedSlices,
    },
    /// The end.
    Done(Done),
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
    /// The answer, without its parts.
    pub result: Result<EncodedSlices, NotServed>,
    /// How long it took.
    pub took: Span,
}

impl Job {
    /// Does it, and gives `each` what can leave before the end. The answer has all slices.
    pub fn code(self, clock: &Clock, each: &mut dyn FnMut(EncodedSlice)) -> Done {
        let Self { group, mut shared, seat, job, pixels, version } = self;
        let began = clock.now();
        let result = shared.encode_by_slices(seat, &job, &pixels, version, each);
        let took = clock.now().since(began);
        Done { group, shared, seat, job, pixels, result, took }
    }
}

impl Work for Job {
    type Done = Coded;

    fn run(self, clock: &Clock, early: &mut dyn FnMut(Coded)) -> Coded {
        let (seat, job, version) = (self.seat, self.job.id, self.version);
        let mut parts = 0;
        let mut done = self.code(clock, &mut |slice| {
            // What brings a seat to others (version 0) is not what its job asked for, and is answered as a whole.
            if version != Version(0) {
                parts += 1;
                early(Coded::Part { seat, slices: EncodedSlices::part(job, version, slice) });
            }
        });
        if let Ok(answer) = &mut done.result {
            answer.slices.drain(..parts);
        }
        Coded::Done(done)
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

    fn run(self, clock: &Clock, _: &mut dyn FnMut(Filmed)) -> Filmed {
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
    /// Starts the thread under this name; `wake` is called when [`Worker::take`] has something.
    pub fn start(name: &str, clock: Clock, wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (work, pieces) = channel::<W>();
        let (answers, done) = channel();
        std::thread::Builder::new().name(name.into()).spawn(move || {
            for work in pieces {
                let say = |done| answers.send(done).is_ok().then(&wake);
                // Who no longer listens to a part hears no end either.
                let done = work.run(&clock, &mut |part| {
                    say(part);
                });
                if say(done).is_none() {
                    return;
                }
            }
        })?;
        Ok(Self { work, done })
    }

    /// Hands over a piece. When the thread is gone it comes back.
    pub fn give(&self, work: W) -> Result<(), Box<W>> {
        self.work.send(work).map_err(|e| Box::new(e.0))
    }

    /// What came of a piece, if something did.
    pub fn take(&self) -> Option<W::Done> {
        self.done.try_recv().ok()
    }
}
