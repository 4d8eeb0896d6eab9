//! A selection of a Wayland compositor that lets programs follow it, over a connection of its own.
//!
//! A window that is not in front learns nothing of a selection from Wayland itself; what `control` speaks is made for
//! clipboard managers and for us. Contents go through pipes from program to program, and the compositor only hands their ends
//! on: nothing is read of an owner before [`Clipboard::fetch`], and nobody who pastes gets a byte before
//! [`Clipboard::provide`]. Every source of ours has a name that nobody else gives, because a compositor offers it to us as
//! anybody's; a name that comes back after the source was replaced is a clipboard manager's copy, and is told.
//!
//! The first seat's selections are meant; a second seat has its own, and no program of the first pastes there.

mod control;
mod pipes;

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polling::{Event, PollMode, Poller};
use telepane_model::clipboard::{ClipFormat, ClipFormats, ClipOffer, SECRET_MARKS, Selection};
use telepane_model::time::{HostClock, Stamp};
use tracing::debug;
use wayland_client::backend::WaylandError;
use wayland_client::globals::registry_queue_init;
use wayland_client::protocol::wl_seat::WlSeat;
use wayland_client::{Connection, EventQueue, Proxy};
use wayland_protocols::ext::idle_notify::v1::client::ext_idle_notification_v1::ExtIdleNotificationV1;
use wayland_protocols::ext::idle_notify::v1::client::ext_idle_notifier_v1::ExtIdleNotifierV1;

use super::{
    COPIED_FILES, ClipError, ClipEvent, FetchId, GREEDY, LIFE, LIMIT, MAX_ASKS, MAX_OUTGOING, MAX_WANTED, OWNER,
    PasteId, Patience, REQUESTOR, STRING, VIEWER, files, lossy, names_of, to_latin1, travelling,
};
use crate::{Gone, OpenError};
use control::{Control, Fact, Offer, Source, Told};
use pipes::{Reading, Writing};

/// A person is at work so many milliseconds after a key or button: the way through a menu to Paste.
const AT_WORK: u32 = 2_000;

/// One selection of a compositor. The fields end in this order: what hangs on others first.
#[derive(Debug)]
pub(super) struct Clipboard {
    active: Option<(FetchId, ClipFormat, Reading)>,
    outgoing: Vec<Writing>,
    wanted: Vec<Wanted>,
    /// What somebody else owns.
    theirs: Option<Box<Offer>>,
    /// What is ours, while it is.
    source: Option<Source>,
    given: ClipOffer,
    /// Programs that read every clipboard have asked since it was offered.
    greedy: Option<Patience>,
    control: Control,
    hands: Option<Hands>,
    queue: EventQueue<Told>,
    told: Told,
    connection: Connection,
    /// Readable when the connection or a pipe is to be looked at; what is on its list is closed before it.
    poller: Arc<Poller>,
    selection: Selection,
    /// The last thing told was that there is something.
    announced: bool,
    events: VecDeque<ClipEvent>,
    asks: VecDeque<(FetchId, ClipFormat)>,
    next_source: u64,
    next_paste: u64,
}

/// A paste that waits for the other side's contents.
#[derive(Debug)]
struct Wanted {
    id: PasteId,
    patience: Patience,
    name: String,
    to: OwnedFd,
}

/// What tells whether a person is at work.
#[derive(Debug)]
struct Hands {
    notification: ExtIdleNotificationV1,
    /// Nothing but hands counts: no program that keeps the screen on.
    exact: bool,
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.notification.destroy();
    }
}

impl Clipboard {
    /// See [`super::Clipboard::open_wayland`].
    pub(super) fn open(socket: Option<&Path>, selection: Selection) -> Result<Self, OpenError> {
        let path = socket.map_or_else(from_environment, |path| Some(path.to_owned()));
        let refused = |why: String| OpenError::Compositor {
            socket: path.as_ref().map_or_else(|| "without a name".into(), |path| path.display().to_string()),
            why,
        };
        let Some(path) = &path else { return Err(refused("WAYLAND_DISPLAY is not set".into())) };
        let stream = UnixStream::connect(path).map_err(|error| refused(error.to_string()))?;
        let connection = Connection::from_socket(stream).map_err(|error| refused(error.to_string()))?;
        let (globals, mut queue) = registry_queue_init(&connection).map_err(|error| refused(error.to_string()))?;
        let handle = queue.handle();
        let manager = control::manager(&globals, selection, &handle).ok_or(OpenError::KeptByWindows)?;
        let seat: WlSeat = globals.bind(&handle, 1..=1, ()).map_err(|error| refused(format!("no seat: {error}")))?;
        let control = Control::new(manager, &seat, selection, &handle);
        let notifier: Result<ExtIdleNotifierV1, _> = globals.bind(&handle, 1..=2, ());
        let hands = notifier.ok().map(|notifier| {
            let exact = notifier.version() >= 2;
            let notification = match exact {
                true => notifier.get_input_idle_notification(AT_WORK, &seat, &handle, ()),
                false => notifier.get_idle_notification(AT_WORK, &seat, &handle, ()),
            };
            notifier.destroy();
            Hands { notification, exact }
        });
        let poller = Arc::new(Poller::new().map_err(|error| refused(error.to_string()))?);
        // SAFETY: the connection is closed after the poller's last use, with this value, whose list goes with it.
        let added = unsafe { poller.add_with_mode(&connection.as_fd(), Event::readable(0), PollMode::Level) };
        added.map_err(|error| refused(error.to_string()))?;
        // Chance, so that no two programs have the same even where each believes that it is process 2.
        let mut chance = [0; 8];
        let read = File::open("/dev/urandom").and_then(|mut from| from.read_exact(&mut chance));
        read.map_err(|error| refused(format!("no chance: {error}")))?;
        let mut told = Told::new(selection, format!("application/x-telepane-{:016x}-", u64::from_ne_bytes(chance)));
        queue.roundtrip(&mut told).map_err(gone)?;
        Ok(Self {
            active: None,
            outgoing: Vec::new(),
            wanted: Vec::new(),
            theirs: None,
            source: None,
            given: ClipOffer::default(),
            greedy: None,
            control,
            hands,
            queue,
            told,
            connection,
            poller,
            selection,
            announced: false,
            events: VecDeque::new(),
            asks: VecDeque::new(),
            next_source: 0,
            next_paste: 0,
        })
    }

    pub(super) fn poll(&mut self, now: Stamp<HostClock>) -> Result<Option<ClipEvent>, Gone> {
        self.hear()?;
        if self.greedy.as_mut().is_some_and(|greedy| greedy.over(now)) {
            self.greedy = None;
        }
        while let Some(fact) = self.told.facts.pop_front() {
            self.handle(fact)?;
        }
        self.outgoing.retain_mut(|writing| writing.go_on() && !writing.patience.over(now));
        self.read();
        self.expire(now);
        self.flush()?;
        Ok(self.events.pop_front())
    }

    pub(super) fn deadline(&self) -> Option<Stamp<HostClock>> {
        let wanted = self.wanted.iter().map(|wanted| &wanted.patience);
        let outgoing = self.outgoing.iter().map(|writing| &writing.patience);
        let active = self.active.iter().flat_map(|(_, _, reading)| [&reading.patience, &reading.life]);
        wanted.chain(outgoing).chain(active).chain(&self.greedy).filter_map(|patience| patience.until).min()
    }

    pub(super) fn offer(&mut self, formats: ClipFormats, secret: bool) -> Result<(), Gone> {
        self.given = ClipOffer { selection: self.selection, formats, secret };
        self.next_source += 1;
        let number = self.next_source;
        let names = formats.iter().flat_map(names_of).map(|name| (*name).to_owned());
        let mark = SECRET_MARKS.first().filter(|_| secret).map(|mark| (*mark).to_owned());
        let own = self.told.own_name(number);
        let source = self.control.give(number, names.chain(mark).chain([own]), &self.queue.handle());
        // The one before ends after it was replaced: in between there is never nothing.
        self.source = Some(source);
        self.announced = false;
        self.greedy = Some(Patience::new(GREEDY));
        self.flush()
    }

    pub(super) fn withdraw(&mut self) -> Result<(), Gone> {
        // The compositor takes a selection away whose source ends, and only that: somebody else's stays.
        self.source = None;
        self.flush()
    }

    pub(super) const fn selection(&self) -> Selection {
        self.selection
    }

    pub(super) const fn is_ours(&self) -> bool {
        self.source.is_some()
    }

    pub(super) fn fetch(&mut self, id: FetchId, format: ClipFormat) -> Result<(), Gone> {
        if self.is_ours() || self.asks.len() >= MAX_ASKS {
            let why = if self.is_ours() { ClipError::Nothing } else { ClipError::Busy };
            self.events.push_back(ClipEvent::Fetched { id, data: Err(why) });
            return Ok(());
        }
        self.asks.push_back((id, format));
        self.next_ask();
        self.flush()
    }

    pub(super) fn provide(&mut self, id: PasteId, data: &[u8]) -> Result<(), Gone> {
        if let Some(Wanted { name, to, .. }) = self.take_wanted(id) {
            let latin1 = name == STRING;
            self.write(to, if latin1 { to_latin1(&String::from_utf8_lossy(data)) } else { data.to_vec() });
        }
        Ok(())
    }

    pub(super) fn provide_files(&mut self, id: PasteId, paths: &[PathBuf]) -> Result<(), Gone> {
        if let Some(Wanted { name, to, .. }) = self.take_wanted(id) {
            self.write(to, if name == COPIED_FILES { files::copied(paths) } else { files::uri_list(paths) });
        }
        Ok(())
    }

    pub(super) fn still(&mut self, id: PasteId) {
        if let Some(wanted) = self.wanted.iter_mut().find(|wanted| wanted.id == id) {
            wanted.patience.renew();
        }
    }

    pub(super) fn refuse(&mut self, id: PasteId) -> Result<(), Gone> {
        // Whoever reads the pipe finds its end.
        drop(self.take_wanted(id));
        Ok(())
    }

    /// Reads what the compositor has said.
    fn hear(&mut self) -> Result<(), Gone> {
        loop {
            self.queue.dispatch_pending(&mut self.told).map_err(gone)?;
            let Some(reader) = self.queue.prepare_read() else { continue };
            match reader.read() {
                Ok(0) => break,
                Ok(_) => {}
                Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(gone(error)),
            }
        }
        self.queue.dispatch_pending(&mut self.told).map_err(gone)?;
        Ok(())
    }

    /// Says what is to be said. What finds no room is said the next time: a compositor that reads nothing says nothing either.
    fn flush(&self) -> Result<(), Gone> {
        match self.connection.flush() {
            Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            flushed => flushed.map_err(gone),
        }
    }

    fn handle(&mut self, fact: Fact) -> Result<(), Gone> {
        let ours = self.source.as_ref().map(|source| source.number);
        match fact {
            Fact::Selected(Some(offer)) if offer.own.is_some() && offer.own == ours => self.theirs = None,
            // One of ours that was replaced before this was read.
            Fact::Selected(Some(offer)) if ours.is_some() && offer.own.is_some() => {}
            Fact::Selected(offer) => {
                let formats = offer.as_ref().map(|offer| offer.formats()).unwrap_or_default();
                let secret = offer.as_ref().is_some_and(|offer| offer.secret);
                self.theirs = offer;
                if !formats.is_empty() {
                    self.announced = true;
                    let offer = ClipOffer { selection: self.selection, formats, secret };
                    self.events.push_back(ClipEvent::Changed(offer));
                } else if std::mem::take(&mut self.announced) {
                    let nothing = ClipOffer { selection: self.selection, ..ClipOffer::default() };
                    self.events.push_back(ClipEvent::Changed(nothing));
                }
            }
            Fact::Send(number, name, to) if Some(number) == ours => self.requested(name, to),
            Fact::Cancelled(number) if Some(number) == ours => self.source = None,
            Fact::Send(..) | Fact::Cancelled(_) => {}
            Fact::Finished => return Err(Gone("the compositor's seat is gone".into())),
        }
        Ok(())
    }

    /// An application asks for something of ours; without an answer the pipe ends here.
    fn requested(&mut self, name: String, to: OwnedFd) {
        if self.given.secret && SECRET_MARKS.first() == Some(&name.as_str()) {
            return self.write(to, b"secret".to_vec());
        }
        let format = ClipFormat::ALL.into_iter().find(|format| names_of(*format).contains(&name.as_str()));
        let Some(format) = format.filter(|format| self.given.formats.has(*format)) else { return };
        if self.given.secret && !self.is_at_work() {
            return debug!("nobody is at work: a secret is not given");
        }
        if self.wanted.len() >= MAX_WANTED {
            return;
        }
        self.next_paste += 1;
        let id = PasteId(self.next_paste);
        self.wanted.push(Wanted { id, patience: Patience::new(VIEWER), name, to });
        self.events.push_back(ClipEvent::Wanted { id, format });
    }

    /// Whether a person may be behind a paste.
    // spec: K-58
    fn is_at_work(&self) -> bool {
        match &self.hands {
            Some(Hands { exact: true, .. }) => !self.told.rests,
            // A film that keeps the screen on hides here that nobody is.
            Some(_) => !self.told.rests && self.greedy.is_none(),
            None => self.greedy.is_none(),
        }
    }

    fn take_wanted(&mut self, id: PasteId) -> Option<Wanted> {
        let at = self.wanted.iter().position(|wanted| wanted.id == id)?;
        Some(self.wanted.remove(at))
    }

    fn write(&mut self, to: OwnedFd, bytes: Vec<u8>) {
        // Before the first byte: what ends early looks whole to whoever reads it.
        if bytes.len() > LIMIT || self.outgoing.len() >= MAX_OUTGOING {
            return debug!("a paste of {} bytes is refused", bytes.len());
        }
        match Writing::new(to, &self.poller, bytes, Patience::new(REQUESTOR)) {
            Ok(mut writing) => {
                if writing.go_on() {
                    self.outgoing.push(writing);
                }
            }
            Err(error) => debug!(%error, "a paste cannot be written"),
        }
    }

    /// Asks for the next contents if none are on their way.
    fn next_ask(&mut self) {
        while self.active.is_none()
            && let Some((id, format)) = self.asks.pop_front()
        {
            match self.ask(format) {
                Ok(reading) => self.active = Some((id, format, reading)),
                Err(why) => self.events.push_back(ClipEvent::Fetched { id, data: Err(why) }),
            }
        }
    }

    fn ask(&self, format: ClipFormat) -> Result<Reading, ClipError> {
        let (offer, name) = self.theirs.as_ref().and_then(|o| Some((o, o.name(format)?))).ok_or(ClipError::Nothing)?;
        let reading = std::io::pipe().and_then(|(from, to)| {
            let reading = Reading::new(from.into(), &self.poller, Patience::new(OWNER), Patience::new(LIFE))?;
            // The owner's end alone stays open, so that its closing is the end.
            offer.receive(name.to_owned(), to.as_fd());
            Ok(reading)
        });
        reading.map_err(|error| {
            debug!(%error, "no pipe");
            ClipError::Busy
        })
    }

    /// Takes what the owner has written.
    fn read(&mut self) {
        while let Some((_, format, reading)) = &mut self.active {
            let Some(read) = reading.go_on() else { return };
            let format = *format;
            self.finish(read.and_then(|bytes| match bytes.is_empty() && format != ClipFormat::Text {
                // An owner that has nothing after all closes the pipe.
                true => Err(ClipError::Nothing),
                false => travelling(format, bytes, lossy),
            }));
        }
    }

    fn finish(&mut self, data: Result<Vec<u8>, ClipError>) {
        if let Some((id, _, _)) = self.active.take() {
            self.events.push_back(ClipEvent::Fetched { id, data });
        }
        self.next_ask();
    }

    /// Ends what has waited too long.
    fn expire(&mut self, now: Stamp<HostClock>) {
        let events = &mut self.events;
        self.wanted.retain_mut(|Wanted { id, patience, .. }| {
            let late = patience.over(now);
            events.extend(late.then_some(ClipEvent::Unwanted { id: *id }));
            !late
        });
        let late =
            |(_, _, reading): &mut (FetchId, ClipFormat, Reading)| reading.patience.over(now) | reading.life.over(now);
        if self.active.as_mut().is_some_and(late) {
            self.finish(Err(ClipError::TimedOut));
        }
    }
}

impl AsFd for Clipboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

/// The compositor's socket, as the environment names it.
fn from_environment() -> Option<PathBuf> {
    let name = std::env::var_os("WAYLAND_DISPLAY").filter(|name| !name.is_empty())?;
    // An absolute name stands for itself.
    Some(Path::new(&std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_default()).join(name))
}

fn gone(error: impl std::fmt::Display) -> Gone {
    Gone(error.to_string())
}
