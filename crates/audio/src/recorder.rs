//! The thread that owns a source: opens it while somebody listens and something may be heard, codes what is heard, and
//! hands the frames on.

use crate::Now;
use crate::contract::Source;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use telepane_codec::sound::{BOTH, Kind, SoundEncoder, peak};
use telepane_model::Span;
use telepane_session::sound::{Gate, Hearing, SoundCoding};

/// A frame is so long, in microseconds.
const FRAME: u64 = 10_000;
/// While open the source is looked after this often.
const LOOK: Duration = Duration::from_secs(1);
/// Silent for so many looks, the source is asked whether it may still be heard.
const QUIET: u32 = 2;
/// A sink's queue is asked for at each look. It is fullest when what plays was just given to us, so almost the most of so many
/// looks is what it has then: on a busy machine single ones tell of a tenth of a second that was not there.
const LOOKS: usize = 8;
const OUTLIERS: usize = 2;
/// After the first it is followed by so much a look, in microseconds, as a clock that differs would be (S-13): a step is as
/// many late frames to who plays them.
// spec: S-1
const FOLLOWED: u64 = 1_000;
/// A source that gives nothing for so long has stood still, in microseconds; one that is asked for 5 ms at a time gives each 10 ms at least.
const STALLED: u64 = 25_000;
/// Between two tries to open it.
const AGAIN: Duration = Duration::from_millis(500);

/// A coded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When the first sample that it decodes to was taken, in microseconds of the shell's clock; of a desktop's sound, when
    /// this machine's own loudspeaker would be heard.
    pub captured: u64,
    /// The Opus packet.
    pub bytes: Vec<u8>,
    /// Nothing is heard after it.
    pub last: bool,
}

enum Order {
    Code(SoundCoding),
    Failed(String),
    End,
}

/// See the module. Dropping it ends the thread.
pub struct Recorder {
    orders: Sender<Order>,
    shared: Arc<Shared>,
}

struct Shared {
    coding: Mutex<SoundCoding>,
    heard: AtomicU64,
    takes: AtomicU64,
    rebuilt: AtomicU64,
    /// How much later what is taken is heard on this machine, in microseconds.
    heard_after: AtomicU64,
}

impl Recorder {
    /// Starts the thread; nothing is opened before [`Recorder::set`] says that somebody listens. `give` is called with each
    /// frame on the source's thread.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(
        name: &str,
        source: Box<dyn Source>,
        kind: Kind,
        now: Now,
        give: impl FnMut(Heard) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (orders, list) = channel();
        let shared = Arc::new(Shared {
            coding: Mutex::new(SoundCoding::OFF),
            heard: AtomicU64::new(0),
            takes: AtomicU64::new(0),
            rebuilt: AtomicU64::new(0),
            heard_after: AtomicU64::new(0),
        });
        let work = Work {
            source,
            kind,
            now,
            give: Arc::new(Mutex::new(give)),
            shared: shared.clone(),
            orders: orders.clone(),
            complained: false,
        };
        std::thread::Builder::new().name(name.into()).spawn(move || work.run(&list))?;
        Ok(Self { orders, shared })
    }

    /// How sound is to be coded from now on.
    pub fn set(&self, coding: SoundCoding) {
        *self.shared.coding.lock().unwrap_or_else(PoisonError::into_inner) = coding;
        // Without its thread there is no sound, and that was said.
        let _ = self.orders.send(Order::Code(coding));
    }

    /// Frames that were heard and coded.
    pub fn heard(&self) -> u64 {
        self.shared.heard.load(Ordering::Relaxed)
    }

    /// How often the device was opened again after it had failed.
    pub fn rebuilt(&self) -> u64 {
        self.shared.rebuilt.load(Ordering::Relaxed)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // A thread that is gone need not be told.
        let _ = self.orders.send(Order::End);
    }
}

struct Work<G> {
    source: Box<dyn Source>,
    kind: Kind,
    now: Now,
    give: Arc<Mutex<G>>,
    shared: Arc<Shared>,
    orders: Sender<Order>,
    complained: bool,
}

enum Ended {
    /// Nobody listens, or nothing can be heard for now.
    Idle,
    Failed(String),
    Asked,
}

impl<G: FnMut(Heard) + Send + 'static> Work<G> {
    fn run(mut self, list: &Receiver<Order>) {
        loop {
            if !self.coding().on {
                match list.recv() {
                    Ok(Order::End) | Err(_) => return,
                    Ok(_) => continue,
                }
            }
            if !self.source.wait_until_audible() {
                // It waited a while itself; orders meanwhile are looked at.
                match list.try_recv() {
                    Ok(Order::End) => return,
                    _ => continue,
                }
            }
            match self.listen(list) {
                Ended::Asked => return,
                Ended::Idle => {}
                Ended::Failed(why) => {
                    if !self.complained {
                        tracing::warn!(source = self.source.name(), why, "the sound source failed; opening it again");
                    }
                    self.complained = true;
                    if let Ok(Order::End) | Err(RecvTimeoutError::Disconnected) = list.recv_timeout(AGAIN) {
                        return;
                    }
                }
            }
        }
    }

    fn listen(&mut self, list: &Receiver<Order>) -> Ended {
        let mut cutter = match Cutter::new(self.kind, self.shared.clone()) {
            Ok(cutter) => cutter,
            Err(error) => return Ended::Failed(error.to_string()),
        };
        let (now, give, orders) = (self.now.clone(), self.give.clone(), self.orders.clone());
        let take = Box::new(move |samples: &[i16], ago: Span| {
            let mut give = give.lock().unwrap_or_else(PoisonError::into_inner);
            cutter.take(samples, now().saturating_sub(ago.as_micros()), &mut *give);
        });
        let failed = Box::new(move |why: String| {
            let _ = orders.send(Order::Failed(why));
        });
        let stream = match self.source.open(take, failed) {
            Ok(stream) => stream,
            Err(error) => return Ended::Failed(error.to_string()),
        };
        if std::mem::take(&mut self.complained) {
            self.shared.rebuilt.fetch_add(1, Ordering::Relaxed);
            tracing::info!(source = self.source.name(), "the sound source is back");
        }
        // What a sink keeps before it is asked to be quick is of no interest: it is not asked now, but at the first look.
        self.shared.heard_after.store(0, Ordering::Relaxed);
        let mut after = After::default();
        let (mut heard, mut takes, mut quiet) = (self.shared.heard.load(Ordering::Relaxed), None, 0);
        let ended = loop {
            match list.recv_timeout(LOOK) {
                Ok(Order::Code(coding)) if !coding.on => break Ended::Idle,
                Ok(Order::Code(_)) => continue,
                Ok(Order::Failed(why)) => break Ended::Failed(why),
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => break Ended::Asked,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let told = stream.heard_after().as_micros();
            after.look(told);
            if after.heard() != self.shared.heard_after.swap(after.heard(), Ordering::Relaxed) {
                tracing::debug!(told, taken = after.heard(), "what is taken is heard so much later");
            }
            let count = self.shared.takes.load(Ordering::Relaxed);
            if takes == Some(count) {
                break if self.source.is_audible() {
                    Ended::Failed("it gives nothing any more".into())
                } else {
                    Ended::Idle
                };
            }
            takes = Some(count);
            let count = self.shared.heard.load(Ordering::Relaxed);
            quiet = if count == heard { quiet + 1 } else { 0 };
            heard = count;
            if quiet >= QUIET && !self.source.is_audible() {
                break Ended::Idle;
            }
        };
        drop(stream);
        ended
    }

    fn coding(&self) -> SoundCoding {
        *self.shared.coding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much later what is taken is heard on this machine, as far as a sink that is asked now and then tells.
#[derive(Default)]
struct After {
    told: VecDeque<u64>,
    heard: Option<u64>,
}

impl After {
    fn look(&mut self, told: u64) {
        self.told.push_back(told);
        if self.told.len() > LOOKS {
            self.told.pop_front();
        }
        let mut sorted: Vec<u64> = self.told.iter().copied().collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let Some(now) = sorted.get(OUTLIERS).copied() else { return };
        self.heard = Some(self.heard.map_or(now, |heard| now.clamp(heard.saturating_sub(FOLLOWED), heard + FOLLOWED)));
    }

    fn heard(&self) -> u64 {
        self.heard.unwrap_or(0)
    }
}

/// Cuts what comes into frames, and codes those that are heard.
struct Cutter {
    gate: Gate,
    coder: SoundEncoder,
    coding: SoundCoding,
    left: Vec<i16>,
    /// When samples came last.
    came: Option<u64>,
    shared: Arc<Shared>,
}

impl Cutter {
    fn new(kind: Kind, shared: Arc<Shared>) -> Result<Self, telepane_codec::sound::SoundError> {
        let gate = match kind {
            Kind::Desktop => Gate::digital(),
            Kind::Microphone => Gate::microphone(),
        };
        Ok(Self {
            gate,
            coder: SoundEncoder::new(kind)?,
            coding: SoundCoding::OFF,
            left: Vec::new(),
            came: None,
            shared,
        })
    }

    /// The newest sample was taken at `newest`.
    // spec: S-1
    fn take(&mut self, samples: &[i16], newest: u64, give: &mut impl FnMut(Heard)) {
        self.shared.takes.fetch_add(1, Ordering::Relaxed);
        if let Some(waited) = self.came.map(|came| newest.saturating_sub(came)).filter(|waited| *waited > STALLED) {
            let ms = samples.len() / (BOTH / 10);
            tracing::debug!(at = newest, waited, ms, "a source has not given anything for a while");
        }
        self.came = Some(newest);
        self.left.extend_from_slice(samples);
        let frames = self.left.len() / BOTH;
        let rest = (self.left.len() % BOTH) as u64 / 2 * 1_000 / 48;
        let newest = newest + self.shared.heard_after.load(Ordering::Relaxed);
        for (i, frame) in self.left.chunks_exact(BOTH).enumerate() {
            let hearing = self.gate.on_frame(peak(frame));
            if hearing == Hearing::Silence {
                continue;
            }
            let wanted = *self.shared.coding.lock().unwrap_or_else(PoisonError::into_inner);
            if self.coding != wanted {
                self.coding = wanted;
                if let Err(error) = self.coder.set(wanted.rate.as_bps(), wanted.loss_percent) {
                    tracing::debug!(%error, "the sound coder keeps its rate");
                }
            }
            match self.coder.encode(frame) {
                Ok(bytes) => {
                    self.shared.heard.fetch_add(1, Ordering::Relaxed);
                    let ahead = self.coder.look_ahead().map_or(0, Span::as_micros);
                    let captured = newest.saturating_sub(rest + (frames - i) as u64 * FRAME + ahead);
                    give(Heard { captured, bytes, last: hearing == Hearing::Last });
                }
                Err(error) => tracing::debug!(%error, "a frame of sound could not be coded"),
            }
        }
        self.left.drain(..frames * BOTH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: S-1
    #[test]
    fn what_a_busy_sink_tells_now_and_then_moves_no_frame() {
        let mut after = After::default();
        let mut heard = Vec::new();
        for n in 0..60u64 {
            // Between nothing and 10 ms of a piece, and seldom a tenth of a second.
            after.look(if n % 11 == 7 { 110_000 } else { n * 3_700 % 10_000 });
            heard.push(after.heard());
        }
        assert_eq!(heard[1], 0, "two looks tell nothing");
        assert!(heard[12..].iter().all(|us| (5_000..10_000).contains(us)), "{heard:?}");
        assert!(heard[3..].windows(2).all(|w| w[0].abs_diff(w[1]) <= FOLLOWED), "{heard:?}");
        // Another device is followed.
        (0..300).for_each(|_| after.look(150_000));
        assert_eq!(after.heard(), 150_000);
    }
}
