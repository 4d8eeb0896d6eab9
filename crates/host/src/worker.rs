//! Large pictures are coded on a thread of their own, so that input and small changes never wait for them.

use crate::clock::Clock;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use telepane_codec::{BaseGone, Encoder};
use telepane_model::{EncodeJob, EncodedSlices, Pixels, Span, Version};

/// A job with everything it needs.
pub struct Work {
    /// Whose.
    pub seat: u64,
    /// The coder; it comes back with the answer.
    pub encoder: Box<Encoder>,
    /// The job.
    pub job: EncodeJob,
    /// The newest pixels.
    pub pixels: Arc<Pixels>,
    /// Their version.
    pub version: Version,
}

/// A job done.
pub struct Done {
    /// Whose.
    pub seat: u64,
    /// The coder.
    pub encoder: Box<Encoder>,
    /// Which job.
    pub job: EncodeJob,
    /// The answer.
    pub result: Result<EncodedSlices, BaseGone>,
    /// How long it took.
    pub took: Span,
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
            for Work { seat, mut encoder, job, pixels, version } in jobs {
                let began = clock.now();
                let result = encoder.encode(&job, &pixels, version);
                let took = clock.now().since(began);
                if answers.send(Done { seat, encoder, job, result, took }).is_err() {
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
