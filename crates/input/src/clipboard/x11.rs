//! A selection of an X11 display: ICCCM 2's selections both ways, with INCR for what is larger than a request.
//!
//! Spoken: UTF8_STRING, TEXT, STRING (Latin-1, `?` for what it lacks), text/plain, text/html, text/rtf and its other names,
//! image/png, text/uri-list and x-special/gnome-copied-files, TARGETS, TIMESTAMP. Not spoken: MULTIPLE, which
//! single-format requestors do not use, and COMPOUND_TEXT.

mod give;
mod take;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use telepane_model::clipboard::{ClipFormat, ClipFormats, ClipOffer, SECRET_MARKS, Selection};
use telepane_model::time::{HostClock, Stamp};
use x11rb::CURRENT_TIME;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::Event;
use x11rb::protocol::randr::{self, ConnectionExt as _};
use x11rb::protocol::screensaver::{self, ConnectionExt as _};
use x11rb::protocol::xfixes::{self, ConnectionExt as _, SelectionEventMask};
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, CreateWindowAux, EventMask, PropMode, Property, Timestamp, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use super::{COPIED_FILES, ClipEvent, GREEDY, PasteId, names_of};
use crate::x11::connect::connect;
use crate::{Gone, OpenError};
use give::{Outgoing, Wanted};
use take::{Ask, Conversion, Question};

/// A person is at work so long after a key or button: the way through a menu to Paste.
const AT_WORK: u32 = 2_000;

/// The names that this module needs the server's numbers of.
#[derive(Debug)]
struct Atoms {
    selection: Atom,
    targets: Atom,
    timestamp: Atom,
    incr: Atom,
    utf8: Atom,
    text: Atom,
    string: Atom,
    copied_files: Atom,
    /// The names of each kind, the best first.
    names: [(ClipFormat, Vec<Atom>); 5],
    /// The names that mark a secret; the first is ours to give.
    marks: [Atom; SECRET_MARKS.len()],
    /// A property of ours whose change tells the server's time.
    stamp: Atom,
    /// Properties of ours for incoming contents, used in turn so that a late answer cannot be taken for the present one.
    slots: [Atom; 8],
}

impl Atoms {
    fn read(conn: &RustConnection, selection: Selection) -> Result<Self, Gone> {
        let atom = |name: &str| -> Result<Atom, Gone> { Ok(conn.intern_atom(false, name.as_bytes())?.reply()?.atom) };
        let mut slots = [x11rb::NONE; 8];
        for (i, slot) in slots.iter_mut().enumerate() {
            *slot = atom(&format!("TELEPANE_TEXT_{i}"))?;
        }
        let mut marks = [x11rb::NONE; SECRET_MARKS.len()];
        for (mark, name) in marks.iter_mut().zip(SECRET_MARKS) {
            *mark = atom(name)?;
        }
        let mut names = ClipFormat::ALL.map(|format| (format, Vec::new()));
        for (format, list) in &mut names {
            for name in names_of(*format) {
                list.push(atom(name)?);
            }
        }
        Ok(Self {
            selection: match selection {
                Selection::Clipboard => atom("CLIPBOARD")?,
                Selection::Primary => AtomEnum::PRIMARY.into(),
            },
            targets: atom("TARGETS")?,
            timestamp: atom("TIMESTAMP")?,
            incr: atom("INCR")?,
            utf8: atom("UTF8_STRING")?,
            text: atom("TEXT")?,
            string: AtomEnum::STRING.into(),
            copied_files: atom(COPIED_FILES)?,
            names,
            marks,
            stamp: atom("TELEPANE_TIME")?,
            slots,
        })
    }

    fn names(&self, format: ClipFormat) -> &[Atom] {
        self.names.iter().find(|(f, _)| *f == format).map_or(&[], |(_, names)| names)
    }

    fn format(&self, target: Atom) -> Option<ClipFormat> {
        self.names.iter().find(|(_, names)| names.contains(&target)).map(|(format, _)| *format)
    }

    fn is_text(&self, target: Atom) -> bool {
        self.format(target) == Some(ClipFormat::Text)
    }
}

/// One selection of a display.
#[derive(Debug)]
pub(super) struct Clipboard {
    conn: RustConnection,
    root: Window,
    window: Window,
    selection: Selection,
    atoms: Atoms,
    /// The time of the last poll.
    now: Stamp<HostClock>,
    /// The display can tell when a person last did something.
    sees_hands: bool,
    /// The server's time at which the selection became ours, and ours.
    owned: Option<(Timestamp, Stamp<HostClock>)>,
    /// What we offer, once the selection is ours.
    given: ClipOffer,
    /// The offer waits for the server's time.
    offering: bool,
    /// The last thing told was that there is something.
    announced: bool,
    /// What the owner has, by its own names.
    theirs: Vec<Atom>,
    events: VecDeque<ClipEvent>,
    asks: VecDeque<Ask>,
    active: Option<Conversion>,
    turn: usize,
    next_paste: u64,
    wanted: Vec<Wanted>,
    outgoing: Vec<Outgoing>,
}

impl Clipboard {
    /// Opens a selection of a display (`None`: from the environment). If somebody has copied already, the first event
    /// says so.
    ///
    /// # Errors
    /// [`OpenError`] when there is no connection, or XFIXES is missing.
    pub fn open(display: Option<&str>, xauthority: Option<&Path>, selection: Selection) -> Result<Self, OpenError> {
        let (conn, screen) = connect(display, xauthority)?;
        if conn.extension_information(xfixes::X11_EXTENSION_NAME).map_err(Gone::from)?.is_none() {
            return Err(OpenError::Extension("XFIXES"));
        }
        Ok(Self::set_up(conn, screen, selection)?)
    }

    /// The same on the display of the environment, if that is a Wayland compositor's own X server.
    pub(super) fn open_xwayland(selection: Selection) -> Result<Option<Self>, OpenError> {
        let Ok((conn, screen)) = connect(None, None) else { return Ok(None) };
        Ok(if is_xwayland(&conn, screen)? { Some(Self::set_up(conn, screen, selection)?) } else { None })
    }

    fn set_up(conn: RustConnection, screen: usize, selection: Selection) -> Result<Self, Gone> {
        conn.xfixes_query_version(5, 0)?.reply()?;
        let sees_hands = conn.extension_information(screensaver::X11_EXTENSION_NAME)?.is_some();
        let atoms = Atoms::read(&conn, selection)?;
        let root = conn.setup().roots.get(screen).map(|s| s.root).ok_or_else(|| Gone("no such screen".into()))?;
        let window = conn.generate_id().map_err(|e| Gone(e.to_string()))?;
        let aux = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        conn.create_window(0, window, root, 0, 0, 1, 1, 0, WindowClass::INPUT_ONLY, 0, &aux)?;
        let every = SelectionEventMask::SET_SELECTION_OWNER
            | SelectionEventMask::SELECTION_WINDOW_DESTROY
            | SelectionEventMask::SELECTION_CLIENT_CLOSE;
        conn.xfixes_select_selection_input(window, atoms.selection, every)?;
        let owner = conn.get_selection_owner(atoms.selection)?.reply()?.owner;
        let mut clipboard = Self {
            conn,
            root,
            window,
            selection,
            atoms,
            now: Stamp::ZERO,
            sees_hands,
            owned: None,
            given: ClipOffer::default(),
            offering: false,
            announced: false,
            theirs: Vec::new(),
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
        self.now = now;
        loop {
            while let Some(event) = self.conn.poll_for_event()? {
                self.handle(event)?;
            }
            self.expire(now)?;
            self.conn.flush()?;
            // What came in while a full pipe was written to is in our memory, where no poller sees it.
            match self.conn.poll_for_event()? {
                Some(event) => self.handle(event)?,
                None => return Ok(self.events.pop_front()),
            }
        }
    }

    /// When to poll again even if nothing comes.
    pub fn deadline(&self) -> Option<Stamp<HostClock>> {
        let wanted = self.wanted.iter().map(|wanted| &wanted.patience);
        let outgoing = self.outgoing.iter().map(|outgoing| &outgoing.patience);
        let active = self.active.iter().flat_map(|active| [&active.patience, &active.life]);
        wanted.chain(outgoing).chain(active).filter_map(|patience| patience.until).min()
    }

    /// Offers what the other side has, in these kinds: from now on pastes here are [`ClipEvent::Wanted`]. To be called anew
    /// whenever somebody has copied there.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn offer(&mut self, formats: ClipFormats, secret: bool) -> Result<(), Gone> {
        self.given = ClipOffer { selection: self.selection, formats, secret };
        // ICCCM 2.1 wants a real time for the ownership: a property's change brings one.
        self.offering = true;
        self.conn.change_property8(PropMode::APPEND, self.window, self.atoms.stamp, self.atoms.string, &[])?;
        Ok(self.conn.flush()?)
    }

    /// Ends our offer, if it still stands: the other side has nothing any more.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn withdraw(&mut self) -> Result<(), Gone> {
        self.offering = false;
        if let Some((time, _)) = self.owned.take() {
            self.conn.set_selection_owner(x11rb::NONE, self.atoms.selection, time)?;
        }
        Ok(self.conn.flush()?)
    }

    /// Which selection this is.
    pub const fn selection(&self) -> Selection {
        self.selection
    }

    /// Whether the selection is ours, for the other side.
    pub fn is_ours(&self) -> bool {
        self.owned.is_some()
    }

    fn handle(&mut self, event: Event) -> Result<(), Gone> {
        match event {
            Event::XfixesSelectionNotify(e) if e.selection == self.atoms.selection => {
                if e.owner == self.window {
                    self.owned = Some((e.selection_timestamp, self.now));
                    self.announced = false;
                } else {
                    self.owned = None;
                    self.owner_changed(e.owner)?;
                }
            }
            Event::SelectionClear(e) if e.selection == self.atoms.selection => self.owned = None,
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
            self.conn.set_selection_owner(self.window, self.atoms.selection, time)?;
            // Known at once, not only when XFIXES says so: a request may come before.
            if self.conn.get_selection_owner(self.atoms.selection)?.reply()?.owner == self.window {
                self.owned = Some((time, self.now));
                self.announced = false;
            }
        }
        Ok(())
    }

    /// Somebody else owns the selection, or nobody: finds out what there is before telling.
    fn owner_changed(&mut self, owner: Window) -> Result<(), Gone> {
        self.theirs.clear();
        // An older question about what is offered is void, and who was asked may be gone.
        self.asks.retain(|ask| ask.question != Question::Offers);
        self.active.take_if(|active| active.is_about_offers());
        if owner == x11rb::NONE {
            self.emptied();
            return Ok(());
        }
        self.asks.push_front(Ask { question: Question::Offers });
        self.next_ask()
    }

    /// Whether a person may be behind a paste.
    // spec: K-58
    fn is_at_work(&self) -> Result<bool, Gone> {
        if !self.sees_hands {
            return Ok(self.owned.is_some_and(|(_, at)| self.now.since(at) >= GREEDY));
        }
        Ok(self.conn.screensaver_query_info(self.root)?.reply()?.ms_since_user_input < AT_WORK)
    }

    fn emptied(&mut self) {
        if std::mem::take(&mut self.announced) {
            let nothing = ClipOffer { selection: self.selection, ..ClipOffer::default() };
            self.events.push_back(ClipEvent::Changed(nothing));
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
            self.events.push_back(ClipEvent::Unwanted { id });
        }
        self.outgoing.retain_mut(|outgoing| !outgoing.patience.over(now));
        if self.active.as_mut().is_some_and(|active| active.patience.over(now) | active.life.over(now)) {
            self.late(now)?;
        }
        Ok(())
    }
}

impl AsFd for Clipboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.conn.stream().as_fd()
    }
}

/// Whether the server is Xwayland: it names its outputs so, and since 23.1 has an extension of that name.
fn is_xwayland(conn: &RustConnection, screen: usize) -> Result<bool, Gone> {
    if conn.extension_information(xfixes::X11_EXTENSION_NAME)?.is_none() {
        return Ok(false);
    }
    if conn.query_extension(b"XWAYLAND")?.reply()?.present {
        return Ok(true);
    }
    if conn.extension_information(randr::X11_EXTENSION_NAME)?.is_none() {
        return Ok(false);
    }
    let Some(root) = conn.setup().roots.get(screen).map(|s| s.root) else { return Ok(false) };
    for output in conn.randr_get_screen_resources_current(root)?.reply()?.outputs {
        if conn.randr_get_output_info(output, CURRENT_TIME)?.reply()?.name.starts_with(b"XWAYLAND") {
            return Ok(true);
        }
    }
    Ok(false)
}
