//! The local clipboard, X11's or Wayland's, and where it is wanted the second selection: contents are given only when someone
//! pastes. It lives on a thread of its own, because its connections have to be answered while the window is busy.

use polling::{Event as PollEvent, Events, Poller};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use telepane_files::courier::{Courier, Done, Order};
use telepane_input::OpenError;
use telepane_input::clipboard::files::paths;
use telepane_input::clipboard::{ClipEvent, Clipboard, FetchId, PasteId};
use telepane_model::{ClipFormat, ClipOffer, Selection, Stamp};
use telepane_session::{BulkWish, clip_pipe};

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
    /// Of files that someone here copied so many bytes are ready.
    Packed {
        /// The request's number.
        id: u32,
        /// Bytes.
        size: u64,
    },
    /// The next bytes of them, and whether they are the last.
    Filled {
        /// The request's pipe.
        pipe: u32,
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether they are the last.
        last: bool,
    },
    /// So many bytes of the host's files are put away.
    Used {
        /// The pipe.
        pipe: u32,
        /// Bytes.
        bytes: u64,
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
    /// The host's files will come in this pipe.
    Unpack {
        /// The asker's number.
        asker: u32,
        /// The pipe.
        pipe: u32,
    },
    /// A pipe of files wants something.
    Bulk(BulkWish),
}

/// Whose clipboard it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// An X server's, or that of a system with one clipboard.
    Display,
    /// A Wayland compositor's: what its X server has is only for programs of X11, unless there is no other way.
    Wayland,
}

impl System {
    /// That of the environment, which windows are opened on by the same rule.
    pub fn here() -> Self {
        let named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if named("WAYLAND_DISPLAY") { Self::Wayland } else { Self::Display }
    }
}

/// The selection of this machine.
///
/// # Errors
/// [`OpenError`] in words for a person.
pub fn open(on: System, selection: Selection) -> Result<Clipboard, OpenError> {
    match on {
        System::Display => Clipboard::open(None, None, selection),
        System::Wayland => Clipboard::open_wayland(None, selection),
    }
}

/// The number under which the clipboard is read for this machine itself: no request of the host's has it.
const OWN: FetchId = FetchId(1 << 40);

/// The thread's sending side; dropping it ends the thread.
pub struct LocalClipboard {
    orders: Sender<ClipOrder>,
    poller: Arc<Poller>,
}

impl LocalClipboard {
    /// Starts, on the display or the compositor of the environment, with the second selection if `primary` says so. The host's
    /// files are put below `pasted`. `micros` is the client's clock; `tell` is called on the thread.
    pub fn start(
        on: System,
        primary: bool,
        pasted: &Path,
        micros: impl Fn() -> u64 + Send + 'static,
        tell: impl Fn(ClipFact) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let mut clipboards = vec![open(on, Selection::Clipboard)?];
        if primary {
            match open(on, Selection::Primary) {
                Ok(second) => clipboards.push(second),
                Err(error) => tracing::warn!(%error, "the second selection is not shared"),
            }
        }
        let poller = Arc::new(Poller::new()?);
        for (key, clipboard) in clipboards.iter().enumerate() {
            // SAFETY: the descriptor belongs to `clipboard`, which moves into the thread below and is dropped there after
            // the last wait.
            unsafe { poller.add_with_mode(clipboard, PollEvent::readable(key), polling::PollMode::Level)? };
        }
        let (orders, received) = channel();
        let (send, done) = channel();
        let wake = poller.clone();
        let files = Courier::start(pasted, move |answer| {
            if send.send(answer).is_ok() {
                let _ = wake.notify();
            }
        })?;
        let waits = poller.clone();
        std::thread::Builder::new().name("telepane-clip".into()).spawn(move || {
            let mut near =
                Near { clipboards, files, done, packing: BTreeSet::new(), unpacking: BTreeMap::new(), unpacked: None };
            near.run(&waits, &received, &micros, &tell);
        })?;
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

/// What the thread has.
struct Near {
    clipboards: Vec<Clipboard>,
    /// The thread that packs and unpacks files.
    files: Sender<Order>,
    done: Receiver<Done>,
    /// Requests for which files are being read from the clipboard.
    packing: BTreeSet<u32>,
    /// Pastes for which files come, by their pipe, and whether the offer they are of still stands.
    unpacking: BTreeMap<u32, (u32, bool)>,
    /// What was unpacked last, of the offer that stands: who pastes again has it at once.
    unpacked: Option<(Selection, Vec<PathBuf>)>,
}

/// The courier's number for a pipe: the ways have numbers of their own.
const fn key(pipe: u32, out: bool) -> u64 {
    (out as u64) << 32 | pipe as u64
}

impl Near {
    fn run(
        &mut self,
        poller: &Poller,
        orders: &Receiver<ClipOrder>,
        micros: &dyn Fn() -> u64,
        tell: &dyn Fn(ClipFact),
    ) {
        let mut events = Events::new();
        loop {
            let turned = self.turn(orders, micros, tell);
            let deadline = self.clipboards.iter().filter_map(Clipboard::deadline).min();
            match turned {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "the clipboard is gone");
                    return;
                }
            }
            let timeout = deadline.map(|at| Duration::from_micros(at.as_micros().saturating_sub(micros())));
            events.clear();
            if let Err(error) = poller.wait(&mut events, timeout) {
                tracing::warn!(%error, "the clipboard cannot be waited for");
                return;
            }
        }
    }

    /// Does what there is to do; false when nobody wants it any more.
    fn turn(
        &mut self,
        orders: &Receiver<ClipOrder>,
        micros: &dyn Fn() -> u64,
        tell: &dyn Fn(ClipFact),
    ) -> Result<bool, telepane_input::Gone> {
        loop {
            match orders.try_recv() {
                Ok(order) => self.carry_out(order, tell)?,
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return Ok(false),
            }
        }
        while let Ok(done) = self.done.try_recv() {
            self.on_done(done, tell)?;
        }
        for n in 0..self.clipboards.len() {
            while let Some(clipboard) = self.clipboards.get_mut(n)
                && let Some(event) = clipboard.poll(Stamp::from_micros(micros()))?
            {
                let selection = clipboard.selection();
                self.on_event(selection, event, tell)?;
            }
        }
        Ok(true)
    }

    fn selection(&mut self, selection: Selection) -> Option<&mut Clipboard> {
        self.clipboards.iter_mut().find(|c| c.selection() == selection)
    }

    fn order(&self, order: Order) {
        // A thread that ended packs nothing; the other side's patience ends it.
        let _ = self.files.send(order);
    }

    fn carry_out(&mut self, order: ClipOrder, tell: &dyn Fn(ClipFact)) -> Result<(), telepane_input::Gone> {
        match order {
            ClipOrder::Offer(offer) => {
                self.unpacked.take_if(|(selection, _)| *selection == offer.selection);
                let older = self.unpacking.values_mut().filter(|(asker, _)| paste(*asker).0 == offer.selection);
                older.for_each(|(_, stands)| *stands = false);
                match self.selection(offer.selection) {
                    Some(clipboard) if offer.formats.is_empty() => clipboard.withdraw()?,
                    Some(clipboard) => clipboard.offer(offer.formats, offer.secret)?,
                    None => {}
                }
            }
            ClipOrder::Fetch { id, selection, format } => {
                if format == ClipFormat::Files {
                    self.packing.insert(id);
                }
                match self.selection(selection) {
                    Some(clipboard) => clipboard.fetch(FetchId(u64::from(id)), format)?,
                    // Nobody here wants this selection.
                    None => tell(ClipFact::Data { id, data: None }),
                }
            }
            ClipOrder::Read => {
                if let Some(clipboard) = self.selection(Selection::Clipboard) {
                    clipboard.fetch(OWN, ClipFormat::Text)?;
                }
            }
            ClipOrder::Paste { asker, data } => {
                let (selection, id) = paste(asker);
                let gone: Vec<u32> = self.unpacking.iter().filter(|(_, (a, _))| *a == asker).map(|(p, _)| *p).collect();
                for pipe in gone {
                    self.unpacking.remove(&pipe);
                    self.order(Order::Forget(key(pipe, false)));
                }
                match (self.selection(selection), data) {
                    (Some(clipboard), Some(data)) => clipboard.provide(id, &data)?,
                    (Some(clipboard), None) => clipboard.refuse(id)?,
                    (None, _) => {}
                }
            }
            ClipOrder::Still { asker } => self.still(asker),
            ClipOrder::Unpack { asker, pipe } => {
                self.unpacking.insert(pipe, (asker, true));
                self.order(Order::Unpack(key(pipe, false)));
            }
            ClipOrder::Bulk(BulkWish::Fill { pipe, room }) => self.order(Order::Fill(key(pipe, true), room)),
            ClipOrder::Bulk(BulkWish::Data { pipe, bytes, last }) => {
                if let Some((asker, _)) = self.unpacking.get(&pipe) {
                    self.still(*asker);
                    self.order(Order::Put(key(pipe, false), bytes, last));
                }
            }
        }
        Ok(())
    }

    fn still(&mut self, asker: u32) {
        let (selection, id) = paste(asker);
        if let Some(clipboard) = self.selection(selection) {
            clipboard.still(id);
        }
    }

    fn on_event(
        &mut self,
        selection: Selection,
        event: ClipEvent,
        tell: &dyn Fn(ClipFact),
    ) -> Result<(), telepane_input::Gone> {
        match event {
            ClipEvent::Changed(offer) => tell(ClipFact::Changed(offer)),
            ClipEvent::Wanted { id, format } => {
                let again = self.unpacked.clone().filter(|(s, _)| *s == selection && format == ClipFormat::Files);
                match (again, self.selection(selection)) {
                    (Some((_, paths)), Some(clipboard)) => clipboard.provide_files(id, &paths)?,
                    _ => tell(ClipFact::Wanted { asker: asker(selection, id), selection, format }),
                }
            }
            // Files go on: whoever pastes again has them at once.
            ClipEvent::Unwanted { id } if self.unpacking.values().any(|(a, _)| *a == asker(selection, id)) => {}
            ClipEvent::Unwanted { id } => tell(ClipFact::Unwanted { asker: asker(selection, id) }),
            ClipEvent::Fetched { id: OWN, data } => tell(ClipFact::Text(data.ok())),
            ClipEvent::Fetched { id: FetchId(id), data } => {
                let id = id as u32;
                if !self.packing.remove(&id) {
                    tell(ClipFact::Data { id, data: data.ok() });
                    return Ok(());
                }
                match data.map(|list| paths(&list)).ok().filter(|files| !files.is_empty()) {
                    Some(files) => self.order(Order::Pack(key(clip_pipe(id), true), files)),
                    None => tell(ClipFact::Data { id, data: None }),
                }
            }
        }
        Ok(())
    }

    fn on_done(&mut self, done: Done, tell: &dyn Fn(ClipFact)) -> Result<(), telepane_input::Gone> {
        let (Done::Packed(key, _) | Done::Filled(key, _) | Done::Used(key, _) | Done::Unpacked(key, _)) = &done;
        let pipe = *key as u32;
        let id = pipe >> 1;
        match done {
            Done::Packed(_, Some(size)) => tell(ClipFact::Packed { id, size }),
            Done::Packed(_, None) | Done::Filled(_, None) => tell(ClipFact::Data { id, data: None }),
            Done::Filled(_, Some((bytes, last))) => tell(ClipFact::Filled { pipe, bytes, last }),
            Done::Used(_, bytes) => tell(ClipFact::Used { pipe, bytes }),
            Done::Unpacked(_, files) => {
                let Some((asker, stands)) = self.unpacking.remove(&pipe) else { return Ok(()) };
                let (selection, id) = paste(asker);
                match (self.selection(selection), &files) {
                    (Some(clipboard), Some(paths)) => clipboard.provide_files(id, paths)?,
                    (Some(clipboard), None) => clipboard.refuse(id)?,
                    (None, _) => {}
                }
                match files {
                    Some(paths) if stands => self.unpacked = Some((selection, paths)),
                    Some(_) => {}
                    None => tell(ClipFact::Unwanted { asker }),
                }
            }
        }
        Ok(())
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
