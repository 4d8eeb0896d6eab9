//! The host's clipboard (the CLIPBOARD selection), plain text both ways, fetched only when somebody pastes.
//!
//! Nothing is copied ahead of need: that somebody copied is told as [`ClipEvent::OwnerChanged`] and the text is fetched
//! when the viewer pastes; what the viewer copied is offered by [`Clipboard::offer`] and asked for by
//! [`ClipEvent::Wanted`] when an application on the host pastes. Both ways are ICCCM 2's selections with INCR for what
//! is larger than a request, bounded by [`LIMIT`] bytes each. Taking the selection ourselves is never reported as a
//! change of owner, so two clipboards that follow each other come to rest.
//!
//! Spoken: UTF8_STRING, TEXT, STRING (Latin-1, `?` for what it lacks), text/plain, TARGETS, TIMESTAMP. Not spoken: MULTIPLE,
//! which single-format requestors do not use, and COMPOUND_TEXT.
//!
//! The object has no thread and no clock: [`Clipboard::poll`] when [`AsFd::as_fd`] is readable, after every other call, and
//! at [`Clipboard::deadline`].

mod give;
mod take;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use telepane_model::time::{HostClock, Span, Stamp};
use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::Event;
use x11rb::protocol::xfixes::{self, ConnectionExt as _, SelectionEventMask};
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, CreateWindowAux, EventMask, PropMode, Property, Timestamp, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::x11::connect::connect;
use crate::{Gone, OpenError};
use give::{Outgoing, Wanted};
use take::{Ask, Conversion, Question};

/// The longest text taken or given, in bytes. Larger is refused: it would stand in memory on both hosts and fill the link.
pub const LIMIT: usize = 8 << 20;

/// A paste on the host, to be answered by [`Clipboard::provide`] or [`Clipboard::refuse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PasteId(pub u64);

/// A fetch by the caller, who chooses the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// What happened on the host's clipboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClipEvent {
    /// Somebody on the host copied text: it can be offered to the viewer. What we offered is over.
    OwnerChanged,
    /// There is no text on the host's clipboard any more (the owner ended, or copied something else).
    Emptied,
    /// An application on the host pastes what we offered.
    Wanted {
        /// To answer with.
        id: PasteId,
    },
    /// A fetch is over.
    Fetched {
        /// The one given to [`Clipboard::fetch`].
        id: FetchId,
        /// The text, or why there is none.
        text: Result<String, ClipError>,
    },
}

/// Why there is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClipError {
    /// Longer than [`LIMIT`].
    #[error("the clipboard's text is longer than {} MiB; copy it as a file", LIMIT >> 20)]
    TooLarge,
    /// Nobody owns the clipboard, or its owner has no text.
    #[error("the clipboard holds no text")]
    NoText,
    /// The owner did not answer in time.
    #[error("the application that owns the clipboard does not answer; copy again")]
    TimedOut,
    /// Too many fetches at once.
    #[error("too many clipboard fetches at once; try again")]
    Busy,
}

/// The names that this module needs the server's numbers of.
#[derive(Debug)]
struct Atoms {
    clipboard: Atom,
    targets: Atom,
    timestamp: Atom,
    incr: Atom,
    utf8: Atom,
    text: Atom,
    string: Atom,
    plain: Atom,
    plain_utf8: Atom,
    /// A property of ours whose change tells the server's time.
    stamp: Atom,
    /// Properties of ours for incoming text, used in turn so that a late answer cannot be taken for the present one.
    slots: [Atom; 8],
}

impl Atoms {
    fn read(conn: &RustConnection) -> Result<Self, Gone> {
        let atom = |name: &str| -> Result<Atom, Gone> { Ok(conn.intern_atom(false, name.as_bytes())?.reply()?.atom) };
        let mut slots = [x11rb::NONE; 8];
        for (i, slot) in slots.iter_mut().enumerate() {
            *slot = atom(&format!("TELEPANE_TEXT_{i}"))?;
        }
        Ok(Self {
            clipboard: atom("CLIPBOARD")?,
            targets: atom("TARGETS")?,
            timestamp: atom("TIMESTAMP")?,
            incr: atom("INCR")?,
            utf8: atom("UTF8_STRING")?,
            text: atom("TEXT")?,
            string: AtomEnum::STRING.into(),
            plain: atom("text/plain")?,
            plain_utf8: atom("text/plain;charset=utf-8")?,
            stamp: atom("TELEPANE_TIME")?,
            slots,
        })
    }

    fn is_text(&self, target: Atom) -> bool {
        [self.utf8, self.text, self.string, self.plain, self.plain_utf8].contains(&target)
    }
}

/// The host's clipboard.
#[derive(Debug)]
pub struct Clipboard {
    conn: RustConnection,
    window: Window,
    atoms: Atoms,
    /// The server's time at which the selection became ours.
    owned: Option<Timestamp>,
    /// An offer waits for the server's time.
    offering: bool,
    /// The last thing told was that there is text.
    announced: bool,
    events: VecDeque<ClipEvent>,
    asks: VecDeque<Ask>,
    active: Option<Conversion>,
    turn: usize,
    next_paste: u64,
    wanted: Vec<Wanted>,
    outgoing: Vec<Outgoing>,
}

impl Clipboard {
    /// Opens the clipboard of a display (`None`: from the environment). If somebody owns text already, the first event
    /// says so.
    ///
    /// # Errors
    /// [`OpenError`] when there is no connection, or XFIXES is missing.
    pub fn open(display: Option<&str>, xauthority: Option<&Path>) -> Result<Self, OpenError> {
        let (conn, screen) = connect(display, xauthority)?;
        if conn.extension_information(xfixes::X11_EXTENSION_NAME).map_err(Gone::from)?.is_none() {
            return Err(OpenError::Extension("XFIXES"));
        }
        Ok(Self::set_up(conn, screen)?)
    }

    fn set_up(conn: RustConnection, screen: usize) -> Result<Self, Gone> {
        conn.xfixes_query_version(5, 0)?.reply()?;
        let atoms = Atoms::read(&conn)?;
        let root = conn.setup().roots.get(screen).map(|s| s.root).ok_or_else(|| Gone("no such screen".into()))?;
        let window = conn.generate_id().map_err(|e| Gone(e.to_string()))?;
        let aux = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        conn.create_window(0, window, root, 0, 0, 1, 1, 0, WindowClass::INPUT_ONLY, 0, &aux)?;
        let every = SelectionEventMask::SET_SELECTION_OWNER
            | SelectionEventMask::SELECTION_WINDOW_DESTROY
            | SelectionEventMask::SELECTION_CLIENT_CLOSE;
        conn.xfixes_select_selection_input(window, atoms.clipboard, every)?;
        let owner = conn.get_selection_owner(atoms.clipboard)?.reply()?.owner;
        let mut clipboard = Self {
            conn,
            window,
            atoms,
            owned: None,
            offering: false,
            announced: false,
            events: VecDeque::new(),
            asks: VecDeque::new(),
            active: None,
            turn: 0,
            next_paste: 0,
            wanted: Vec::new(),
            outgoing: Vec::new(),
        };
        if owner != x11rb::NONE {
            clipboard.owner_changed(owner)?;
        }
        clipboard.conn.flush()?;
        Ok(clipboard)
    }

    /// Takes in what happened up to `now` and gives the next event; `None` when there is no more for the present.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn poll(&mut self, now: Stamp<HostClock>) -> Result<Option<ClipEvent>, Gone> {
        while let Some(event) = self.conn.poll_for_event()? {
            self.handle(event)?;
        }
        self.expire(now)?;
        self.conn.flush()?;
        Ok(self.events.pop_front())
    }

    /// When to poll again even if nothing comes.
    pub fn deadline(&self) -> Option<Stamp<HostClock>> {
        let wanted = self.wanted.iter().map(|wanted| &wanted.patience);
        let outgoing = self.outgoing.iter().map(|outgoing| &outgoing.patience);
        let active = self.active.iter().flat_map(|active| [&active.patience, &active.life]);
        wanted.chain(outgoing).chain(active).filter_map(|patience| patience.until).min()
    }

    /// Offers the viewer's text: from now on pastes on the host are [`ClipEvent::Wanted`]. To be called anew whenever the
    /// viewer has copied.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn offer(&mut self) -> Result<(), Gone> {
        // ICCCM 2.1 wants a real time for the ownership: a property's change brings one.
        self.offering = true;
        self.conn.change_property8(PropMode::APPEND, self.window, self.atoms.stamp, self.atoms.string, &[])?;
        Ok(self.conn.flush()?)
    }

    /// Ends our offer, if it still stands: the viewer has no text any more.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn withdraw(&mut self) -> Result<(), Gone> {
        self.offering = false;
        if let Some(time) = self.owned.take() {
            self.conn.set_selection_owner(x11rb::NONE, self.atoms.clipboard, time)?;
        }
        Ok(self.conn.flush()?)
    }

    /// Whether the host's clipboard is the viewer's.
    pub fn is_ours(&self) -> bool {
        self.owned.is_some()
    }

    fn handle(&mut self, event: Event) -> Result<(), Gone> {
        match event {
            Event::XfixesSelectionNotify(e) if e.selection == self.atoms.clipboard => {
                if e.owner == self.window {
                    self.owned = Some(e.selection_timestamp);
                    self.announced = false;
                } else {
                    self.owned = None;
                    self.owner_changed(e.owner)?;
                }
            }
            Event::SelectionClear(e) if e.selection == self.atoms.clipboard => self.owned = None,
            Event::SelectionRequest(e) => self.requested(&e)?,
            Event::SelectionNotify(e) if e.requestor == self.window => self.answered(&e)?,
            Event::PropertyNotify(e) if e.window == self.window && e.state == Property::NEW_VALUE => {
                if e.atom == self.atoms.stamp {
                    self.take_ownership(e.time)?;
                } else if self.atoms.slots.contains(&e.atom) {
                    self.arrived(e.atom)?;
                }
            }
            Event::PropertyNotify(e) if e.window != self.window && e.state == Property::DELETE => {
                self.go_on(e.window, e.atom)?;
            }
            Event::DestroyNotify(e) => self.outgoing.retain(|outgoing| outgoing.requestor != e.window),
            _ => {}
        }
        Ok(())
    }

    fn take_ownership(&mut self, time: Timestamp) -> Result<(), Gone> {
        if std::mem::take(&mut self.offering) {
            self.conn.set_selection_owner(self.window, self.atoms.clipboard, time)?;
            // Known at once, not only when XFIXES says so: a request may come before.
            if self.conn.get_selection_owner(self.atoms.clipboard)?.reply()?.owner == self.window {
                self.owned = Some(time);
                self.announced = false;
            }
        }
        Ok(())
    }

    /// Somebody else owns the selection, or nobody: finds out whether there is text before telling.
    fn owner_changed(&mut self, owner: Window) -> Result<(), Gone> {
        // An older question about what is offered is void.
        self.asks.retain(|ask| ask.question != Question::Offers);
        if owner == x11rb::NONE {
            self.emptied();
            return Ok(());
        }
        self.asks.push_front(Ask { question: Question::Offers });
        self.next_ask()
    }

    fn emptied(&mut self) {
        if std::mem::take(&mut self.announced) {
            self.events.push_back(ClipEvent::Emptied);
        }
    }

    /// Ends what has waited too long.
    fn expire(&mut self, now: Stamp<HostClock>) -> Result<(), Gone> {
        let mut late: Vec<PasteId> = Vec::new();
        for wanted in &mut self.wanted {
            if wanted.patience.over(now) {
                late.push(wanted.id);
            }
        }
        for id in late {
            self.refuse(id)?;
        }
        self.outgoing.retain_mut(|outgoing| !outgoing.patience.over(now));
        if self.active.as_mut().is_some_and(|active| active.patience.over(now) | active.life.over(now)) {
            self.finish(Err(ClipError::TimedOut))?;
        }
        Ok(())
    }
}

impl AsFd for Clipboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.conn.stream().as_fd()
    }
}

/// A wait with an end. The end is set by the first poll after it began, since only polls know the time.
#[derive(Clone, Copy, Debug)]
struct Patience {
    span: Span,
    until: Option<Stamp<HostClock>>,
}

impl Patience {
    const fn new(span: Span) -> Self {
        Self { span, until: None }
    }

    /// Begins anew.
    fn renew(&mut self) {
        self.until = None;
    }

    fn over(&mut self, now: Stamp<HostClock>) -> bool {
        now >= *self.until.get_or_insert(now + self.span)
    }
}
