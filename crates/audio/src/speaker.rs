//! The thread that owns a sink: opens it when something is to be played, closes it when nothing is, and opens it again
//! when it fails.

use crate::Now;
use crate::contract::{Sink, Stream};
use crate::player::Player;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use telepane_model::{Clock, Span, Stamp};
use telepane_session::sound::{PlayoutFigures, SoundArrival};

/// A sink is kept open for so long after the last sound.
const KEPT: Duration = Duration::from_secs(10);
/// While open it is looked after this often: a device that wants nothing any more has failed without saying so.
const LOOK: Duration = Duration::from_secs(1);
/// Between two tries to open it.
const AGAIN: Duration = Duration::from_millis(500);

enum Order {
    Play,
    Failed(String),
    End,
}

/// See the module. `C` is this machine's clock, `P` the sender's. Dropping it ends the thread.
pub struct Speaker<C: Clock, P: Clock> {
    shared: Arc<Shared<C, P>>,
    orders: Sender<Order>,
    now: Now,
}

struct Shared<C: Clock, P: Clock> {
    player: Mutex<Player<C, P>>,
    open: AtomicBool,
    /// Times the device asked for samples.
    fills: AtomicU64,
    /// Times the device was opened again after it had failed.
    rebuilt: AtomicU64,
    /// Why there is no device now.
    trouble: Mutex<Option<String>>,
}

impl<C: Clock + Send + 'static, P: Clock + Send + 'static> Speaker<C, P> {
    /// Starts the thread; the sink is opened with the first sound.
    ///
    /// # Errors
    /// When there is no memory for a decoder or a thread.
    pub fn start(name: &str, sink: Box<dyn Sink>, now: Now) -> std::io::Result<Self> {
        let player = Mutex::new(Player::new().map_err(std::io::Error::other)?);
        let shared = Arc::new(Shared {
            player,
            open: AtomicBool::new(false),
            fills: AtomicU64::new(0),
            rebuilt: AtomicU64::new(0),
            trouble: Mutex::new(None),
        });
        let (orders, list) = channel();
        let work = Work { shared: shared.clone(), sink, now: now.clone(), orders: orders.clone() };
        std::thread::Builder::new().name(name.into()).spawn(move || work.run(&list))?;
        Ok(Self { shared, orders, now })
    }

    /// A packet came.
    pub fn play(&self, packet: SoundArrival<P>) {
        self.lock().on_packet(Stamp::from_micros((self.now)()), packet);
        if !self.shared.open.load(Ordering::Relaxed) {
            // Without its thread there is no sound, and that was said.
            let _ = self.orders.send(Order::Play);
        }
    }

    /// A picture was shown so long after its capture.
    pub fn on_picture(&self, age: Span) {
        self.lock().on_picture(Stamp::from_micros((self.now)()), age);
    }

    /// The sender or the connection is another.
    pub fn reset(&self) {
        self.lock().reset();
    }

    /// How loud, 1 as it was sent.
    pub fn set_level(&self, level: f32) {
        self.lock().set_level(level);
    }

    /// How old what is heard now is, if anything is.
    pub fn age(&self) -> Option<Span> {
        self.lock().age()
    }

    /// What happened so far, and how many frames did not decode.
    pub fn figures(&self) -> (PlayoutFigures, u64) {
        self.lock().figures()
    }

    /// How often the device was opened again after it had failed.
    pub fn rebuilt(&self) -> u64 {
        self.shared.rebuilt.load(Ordering::Relaxed)
    }

    /// Why nothing can be heard now, if that is so.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Player<C, P>> {
        self.shared.player.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clock, P: Clock> Drop for Speaker<C, P> {
    fn drop(&mut self) {
        // A thread that is gone need not be told.
        let _ = self.orders.send(Order::End);
    }
}

struct Work<C: Clock, P: Clock> {
    shared: Arc<Shared<C, P>>,
    sink: Box<dyn Sink>,
    now: Now,
    orders: Sender<Order>,
}

impl<C: Clock + Send + 'static, P: Clock + Send + 'static> Work<C, P> {
    fn run(mut self, list: &Receiver<Order>) {
        loop {
            // Nothing is open and nothing runs until something is to be heard.
            match list.recv() {
                Ok(Order::Play) => {}
                Ok(Order::Failed(_)) => continue,
                Ok(Order::End) | Err(_) => return,
            }
            while self.player().is_active() {
                match self.open() {
                    Ok(stream) => {
                        let ended = self.watch(&*stream, list);
                        self.shared.open.store(false, Ordering::Relaxed);
                        drop(stream);
                        match ended {
                            Ended::Idle => break,
                            Ended::Failed(why) => {
                                tracing::warn!(
                                    sink = self.sink.name(),
                                    why,
                                    "the sound device failed; opening it again"
                                );
                                self.shared.rebuilt.fetch_add(1, Ordering::Relaxed);
                            }
                            Ended::Asked => return,
                        }
                    }
                    Err(why) => self.complain(Some(why)),
                }
                match list.recv_timeout(AGAIN) {
                    Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => return,
                    // What came meanwhile asks for the device that is opened now anyway, unless it asks for the end.
                    _ if list.try_iter().any(|order| matches!(order, Order::End)) => return,
                    _ => {}
                }
            }
        }
    }

    fn open(&mut self) -> Result<Box<dyn Stream>, String> {
        let (shared, now, orders) = (self.shared.clone(), self.now.clone(), self.orders.clone());
        let fill = Box::new(move |out: &mut [i16], latency: Span| {
            shared.fills.fetch_add(1, Ordering::Relaxed);
            let mut player = shared.player.lock().unwrap_or_else(PoisonError::into_inner);
            let (before, at) = (player.figures().0, now());
            player.fill(Stamp::from_micros(at), latency, out);
            tell(at, &before, &player.figures().0);
        });
        let failed = Box::new(move |why: String| {
            let _ = orders.send(Order::Failed(why));
        });
        self.shared.open.store(true, Ordering::Relaxed);
        let stream = self.sink.open(fill, failed).map_err(|error| {
            self.shared.open.store(false, Ordering::Relaxed);
            error.to_string()
        })?;
        self.player().on_open(Stamp::from_micros((self.now)()));
        self.complain(None);
        Ok(stream)
    }

    /// Until nothing is played any more, or the device fails.
    fn watch(&self, stream: &dyn Stream, list: &Receiver<Order>) -> Ended {
        let mut quiet = Duration::ZERO;
        let mut seen = self.shared.fills.load(Ordering::Relaxed);
        loop {
            match list.recv_timeout(LOOK) {
                Ok(Order::Play) => continue,
                Ok(Order::Failed(why)) => return Ended::Failed(why),
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => return Ended::Asked,
                Err(RecvTimeoutError::Timeout) => {}
            }
            stream.look();
            let fills = self.shared.fills.load(Ordering::Relaxed);
            let active = self.player().is_active();
            if fills == seen && active {
                return Ended::Failed("it asks for nothing any more".into());
            }
            seen = fills;
            quiet = if active { Duration::ZERO } else { quiet + LOOK };
            if quiet >= KEPT {
                return Ended::Idle;
            }
        }
    }

    fn player(&self) -> MutexGuard<'_, Player<C, P>> {
        self.shared.player.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says once what is wrong.
    fn complain(&self, why: Option<String>) {
        let mut trouble = self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &why
            && trouble.is_none()
        {
            tracing::warn!(sink = self.sink.name(), why, "no sound: the device cannot be opened");
        }
        *trouble = why;
    }
}

/// Says what went wrong for the ear in a turn of the device, with its time: what counts at the end does not say what came together.
fn tell(at: u64, before: &PlayoutFigures, after: &PlayoutFigures) {
    let went = |figures: fn(&PlayoutFigures) -> u64| figures(after) - figures(before);
    let (dry, concealed) = (went(|f| f.dry), went(|f| f.concealed + f.mended));
    let (gaps, passed) = (went(|f| f.gaps), went(|f| f.passed));
    if dry + concealed + gaps + passed > 0 {
        let (held, target) = (after.held.as_micros(), after.target.as_micros());
        tracing::debug!(at, dry, concealed, gaps, passed, late = after.late, held, target, "sound is not whole");
    }
}

enum Ended {
    Idle,
    Failed(String),
    Asked,
}
