//! The local clipboard on X11, and where it is wanted the second selection: contents are given only when someone pastes. It
//! lives on a thread of its own, because its connections have to be answered while the window is busy.

use polling::{Event as PollEvent, Events, Poller};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use telepane_input::clipboard::{ClipEvent, Clipboard, FetchId, PasteId};
use telepane_model::{ClipFormat, ClipOffer, Selection, Stamp};

/// What happened locally.
#[derive(Clone, Debug)]
pub enum ClipFact {
    /// Someone here copied this, or, without a kind, what they copied is gone.
    Changed(ClipOffer),
    /// An application here pastes what the host offered.
    Wanted {
        /// The asker's number.
        asker: u32,
        /// What it pastes from.
        selection: Selection,
        /// In this kind.
        format: ClipFormat,
    },
    /// It waits no longer.
    Unwanted {
        /// The asker's number.
        asker: u32,
    },
    /// What [`ClipOrder::Fetch`] asked for.
    Data {
        /// The request's number.
        id: u32,
        /// The contents, if there are any.
        data: Option<Vec<u8>>,
    },
    /// What [`ClipOrder::Read`] asked for.
    Text(Option<Vec<u8>>),
}

/// What is to be done locally.
#[derive(Clone, Debug)]
pub enum ClipOrder {
    /// Own the selection in the host's name, or, without a kind, give it back.
    Offer(ClipOffer),
    /// Read what is here.
    Fetch {
        /// Answered under this number.
        id: u32,
        /// From here.
        selection: Selection,
        /// In this kind.
        format: ClipFormat,
    },
    /// Read the clipboard's text for this machine's own use.
    Read,
    /// Answer an application's paste.
    Paste {
        /// The asker's number.
        asker: u32,
        /// The contents; `None` refuses.
        data: Option<Vec<u8>>,
    },
    /// What an application waits for is on its way.
    Still {
        /// The asker's number.
        asker: u32,
    },
}

/// The number under which the clipboard is read for this machine itself: no request of the host's has it.
const OWN: FetchId = FetchId(1 << 40);

/// The thread's sending side; dropping it ends the thread.
pub struct LocalClipboard {
    orders: Sender<ClipOrder>,
    poller: Arc<Poller>,
}

impl LocalClipboard {
    /// Starts, on the display of the environment, with the second selection if `primary` says so. `micros` is the client's clock; `tell` is called on the thread.
    pub fn start(
        primary: bool,
        micros: impl Fn() -> u64 + Send + 'static,
        tell: impl Fn(ClipFact) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let mut clipboards = vec![Clipboard::open(None, None, Selection::Clipboard)?];
        if primary {
            clipboards.push(Clipboard::open(None, None, Selection::Primary)?);
        }
        let poller = Arc::new(Poller::new()?);
        for (key, clipboard) in clipboards.iter().enumerate() {
            // SAFETY: the descriptor belongs to `clipboard`, which moves into the thread below and is dropped there after
            // the last wait.
            unsafe { poller.add_with_mode(&clipboard.as_fd(), PollEvent::readable(key), polling::PollMode::Level)? };
        }
        let (orders, received) = channel();
        let waits = poller.clone();
        std::thread::Builder::new()
            .name("telepane-clip".into())
            .spawn(move || run(clipboards, &waits, &received, &micros, &tell))?;
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
    mut clipboards: Vec<Clipboard>,
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
            if let Err(error) = carry_out(&mut clipboards, order, tell) {
                tracing::warn!(%error, "the clipboard is gone");
                return;
            }
        }
        for clipboard in &mut clipboards {
            loop {
                match clipboard.poll(Stamp::from_micros(micros())) {
                    Ok(Some(event)) => tell(fact(clipboard.selection(), event)),
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "the clipboard is gone");
                        return;
                    }
                }
            }
        }
        let deadline = clipboards.iter().filter_map(Clipboard::deadline).min();
        let timeout = deadline.map(|at| Duration::from_micros(at.as_micros().saturating_sub(micros())));
        events.clear();
        if let Err(error) = poller.wait(&mut events, timeout) {
            tracing::warn!(%error, "the clipboard cannot be waited for");
            return;
        }
    }
}

fn carry_out(
    clipboards: &mut [Clipboard],
    order: ClipOrder,
    tell: &dyn Fn(ClipFact),
) -> Result<(), telepane_input::Gone> {
    let selection = match &order {
        ClipOrder::Offer(offer) => offer.selection,
        ClipOrder::Fetch { selection, .. } => *selection,
        ClipOrder::Read => Selection::Clipboard,
        ClipOrder::Paste { asker, .. } | ClipOrder::Still { asker } => paste(*asker).0,
    };
    let Some(clipboard) = clipboards.iter_mut().find(|c| c.selection() == selection) else {
        // Nobody here wants this selection.
        if let ClipOrder::Fetch { id, .. } = order {
            tell(ClipFact::Data { id, data: None });
        }
        return Ok(());
    };
    match order {
        ClipOrder::Offer(offer) if offer.formats.is_empty() => clipboard.withdraw(),
        ClipOrder::Offer(offer) => clipboard.offer(offer.formats, offer.secret),
        ClipOrder::Fetch { id, format, .. } => clipboard.fetch(FetchId(u64::from(id)), format),
        ClipOrder::Read => clipboard.fetch(OWN, ClipFormat::Text),
        ClipOrder::Paste { asker, data: Some(data) } => clipboard.provide(paste(asker).1, &data),
        ClipOrder::Paste { asker, data: None } => clipboard.refuse(paste(asker).1),
        ClipOrder::Still { asker } => {
            clipboard.still(paste(asker).1);
            Ok(())
        }
    }
}

fn fact(selection: Selection, event: ClipEvent) -> ClipFact {
    match event {
        ClipEvent::Changed(offer) => ClipFact::Changed(offer),
        ClipEvent::Wanted { id, format } => ClipFact::Wanted { asker: asker(selection, id), selection, format },
        ClipEvent::Unwanted { id } => ClipFact::Unwanted { asker: asker(selection, id) },
        ClipEvent::Fetched { id: OWN, data } => ClipFact::Text(data.ok()),
        ClipEvent::Fetched { id, data } => ClipFact::Data { id: id.0 as u32, data: data.ok() },
    }
}

/// An application's number for a paste: which selection is in its lowest bit.
fn asker(selection: Selection, id: PasteId) -> u32 {
    (id.0 as u32) << 1 | selection as u32
}

/// And back.
fn paste(asker: u32) -> (Selection, PasteId) {
    let selection = if asker & 1 == 0 { Selection::Clipboard } else { Selection::Primary };
    (selection, PasteId(u64::from(asker >> 1)))
}
