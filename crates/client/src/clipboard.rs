//! The local clipboard on X11: plain text, given only when someone pastes. It lives on a thread of its own, because its
//! connection has to be answered while the window is busy.

use polling::{Event as PollEvent, Events, Poller};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use telepane_input::clipboard::{ClipEvent, Clipboard, FetchId, PasteId};
use telepane_model::Stamp;

/// What happened locally.
#[derive(Clone, Debug)]
pub enum ClipFact {
    /// There is (or no longer is) text that someone here copied.
    Changed(bool),
    /// An application here pastes what the host offered.
    Wanted {
        /// The asker's number.
        asker: u32,
    },
    /// What [`ClipOrder::Fetch`] asked for.
    Text {
        /// The request's number.
        id: u32,
        /// The text, if there is any.
        text: Option<String>,
    },
}

/// What is to be done locally.
#[derive(Clone, Debug)]
pub enum ClipOrder {
    /// Own the clipboard in the host's name, or give it back.
    Offer(bool),
    /// Read the local text.
    Fetch {
        /// Answered under this number.
        id: u32,
    },
    /// Answer an application's paste.
    Paste {
        /// The asker's number.
        asker: u32,
        /// The text; `None` refuses.
        text: Option<String>,
    },
}

/// The thread's sending side; dropping it ends the thread.
pub struct LocalClipboard {
    orders: Sender<ClipOrder>,
    poller: Arc<Poller>,
}

impl LocalClipboard {
    /// Starts, on the display of the environment. `micros` is the client's clock; `tell` is called on the thread.
    pub fn start(
        micros: impl Fn() -> u64 + Send + 'static,
        tell: impl Fn(ClipFact) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let clipboard = Clipboard::open(None, None)?;
        let poller = Arc::new(Poller::new()?);
        // SAFETY: the descriptor belongs to `clipboard`, which moves into the thread below and is dropped there after
        // the last wait.
        unsafe { poller.add_with_mode(&clipboard.as_fd(), PollEvent::readable(0), polling::PollMode::Level)? };
        let (orders, received) = channel();
        let waits = poller.clone();
        std::thread::Builder::new()
            .name("telepane-clip".into())
            .spawn(move || run(clipboard, &waits, &received, &micros, &tell))?;
        Ok(Self { orders, poller })
    }

    /// Has something done.
    pub fn order(&self, order: ClipOrder) {
        // A thread that ended has said so in the log.
        if self.orders.send(order).is_ok() {
            let _ = self.poller.notify();
        }
    }
}

impl Drop for LocalClipboard {
    fn drop(&mut self) {
        let (dead, _) = channel();
        drop(std::mem::replace(&mut self.orders, dead));
        let _ = self.poller.notify();
    }
}

fn run(
    mut clipboard: Clipboard,
    poller: &Poller,
    orders: &Receiver<ClipOrder>,
    micros: &dyn Fn() -> u64,
    tell: &dyn Fn(ClipFact),
) {
    let mut events = Events::new();
    loop {
        loop {
            let order = match orders.try_recv() {
                Ok(order) => order,
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
            };
            if let Err(error) = carry_out(&mut clipboard, order) {
                tracing::warn!(%error, "the clipboard is gone");
                return;
            }
        }
        loop {
            match clipboard.poll(Stamp::from_micros(micros())) {
                Ok(Some(event)) => tell(fact(event)),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "the clipboard is gone");
                    return;
                }
            }
        }
        let timeout = clipboard.deadline().map(|at| Duration::from_micros(at.as_micros().saturating_sub(micros())));
        events.clear();
        if let Err(error) = poller.wait(&mut events, timeout) {
            tracing::warn!(%error, "the clipboard cannot be waited for");
            return;
        }
    }
}

fn carry_out(clipboard: &mut Clipboard, order: ClipOrder) -> Result<(), telepane_input::Gone> {
    match order {
        ClipOrder::Offer(true) => clipboard.offer(),
        ClipOrder::Offer(false) => clipboard.withdraw(),
        ClipOrder::Fetch { id } => clipboard.fetch(FetchId(u64::from(id))),
        ClipOrder::Paste { asker, text: Some(text) } => clipboard.provide(PasteId(u64::from(asker)), &text),
        ClipOrder::Paste { asker, text: None } => clipboard.refuse(PasteId(u64::from(asker))),
    }
}

fn fact(event: ClipEvent) -> ClipFact {
    match event {
        ClipEvent::OwnerChanged => ClipFact::Changed(true),
        ClipEvent::Emptied => ClipFact::Changed(false),
        ClipEvent::Wanted { id } => ClipFact::Wanted { asker: id.0 as u32 },
        ClipEvent::Fetched { id, text } => ClipFact::Text { id: id.0 as u32, text: text.ok() },
    }
}
