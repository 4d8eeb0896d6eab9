//! Large pictures are coded on a thread of their own, so that input and small changes never wait for them.

use crate::clock::Clock;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use telepane_codec::Shared;
use telepane_codec::shared::NotServed;
use telepane_model::{EncodeJob, EncodedSlices, Pixels, Span, Version};

/// A job with everything it needs.
pub struct Work {
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
    /// The answer.
    pub result: Result<EncodedSlices, NotServed>,
    /// How long it took.
    pub took: Span,
}

impl Work {
    /// Does it.
    pub fn run(self, clock: &Clock) -> Done {
        let Self { group, mut shared, seat, job, pixels, version } = self;
        let began = clock.now();
        let result = shared.encode(seat, &job, &pixels, version);
        let took = clock.now().since(began);
        Done { group, shared, seat, job, result, took }
    }
}

/// The thread. It ends when this is dropped.
pub struct Worker {
    work: Sender<Work>,
    done: Receiver<Done>,
}

impl Worker {
    /// Starts the thread; `wake` is called after each job.
    pub fn start(clock: Clock, wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (work, jobs) = channel::<Work>();
        let (answers, done) = channel();
        std::thread::Builder::new().name("telepane-code".into()).spawn(move || {
            for work in jobs {
                if answers.send(work.run(&clock)).is_err() {
                    return;
                }
                wake();
            }
        })?;
        Ok(Self { work, done })
    }

    /// Hands over a job. When the thread is gone the job comes back.
    pub fn give(&self, work: Work) -> Result<(), Box<Work>> {
        self.work.send(work).map_err(|e| Box::new(e.0))
    }

    /// A job that is done, if one is.
    pub fn take(&self) -> Option<Done> {
        self.done.try_recv().ok()
    }
}
