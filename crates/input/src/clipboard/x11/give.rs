//! Giving: an application here pastes what the other side offered.

use std::path::PathBuf;

use tracing::debug;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, EventMask, PropMode, SELECTION_NOTIFY_EVENT,
    SelectionNotifyEvent, SelectionRequestEvent, Timestamp, Window,
};
use x11rb::wrapper::ConnectionExt as _;

use super::Clipboard;
use crate::Gone;
use crate::clipboard::{
    ClipEvent, LIMIT, MAX_OUTGOING, MAX_WANTED, PasteId, Patience, REQUESTOR, VIEWER, files, to_latin1,
};

/// Contents up to this many bytes goes in one request; the core protocol allows 262,140 with its header.
const DIRECT: usize = 128 << 10;

/// A paste that waits for the other side's contents.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) id: PasteId,
    pub(super) patience: Patience,
    reply: Reply,
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug)]
struct Reply {
    requestor: Window,
    target: Atom,
    property: Atom,
    time: Timestamp,
}

/// Large contents on their way, piece by piece (ICCCM 2.7.2).
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) requestor: Window,
    pub(super) patience: Patience,
    property: Atom,
    kind: Atom,
    bytes: Vec<u8>,
    sent: usize,
}

impl Clipboard {
    /// Answers a paste with the other side's contents. Longer than [`LIMIT`] bytes is refused; an unknown or expired `id` is
    /// ignored.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn provide(&mut self, id: PasteId, data: &[u8]) -> Result<(), Gone> {
        let Some(at) = self.wanted.iter().position(|wanted| wanted.id == id) else { return Ok(()) };
        let reply = self.wanted.remove(at).reply;
        let latin1 = reply.target == self.atoms.string;
        let bytes = if latin1 { to_latin1(&String::from_utf8_lossy(data)) } else { data.to_vec() };
        self.answer(reply, bytes)
    }

    /// Answers a paste of files with where they are now; as [`Clipboard::provide`] otherwise.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn provide_files(&mut self, id: PasteId, paths: &[PathBuf]) -> Result<(), Gone> {
        let Some(at) = self.wanted.iter().position(|wanted| wanted.id == id) else { return Ok(()) };
        let reply = self.wanted.remove(at).reply;
        let bytes = match reply.target == self.atoms.copied_files {
            true => files::copied(paths),
            false => files::uri_list(paths),
        };
        self.answer(reply, bytes)
    }

    /// What a paste waits for is on its way: it waits longer.
    pub fn still(&mut self, id: PasteId) {
        if let Some(wanted) = self.wanted.iter_mut().find(|wanted| wanted.id == id) {
            wanted.patience.renew();
        }
    }

    fn answer(&mut self, reply: Reply, bytes: Vec<u8>) -> Result<(), Gone> {
        if bytes.len() > LIMIT {
            debug!("a paste of {} bytes is refused", bytes.len());
            self.notify(reply, false)?;
            return Ok(self.conn.flush()?);
        }
        let kind = if reply.target == self.atoms.text { self.atoms.utf8 } else { reply.target };
        let (requestor, property) = (reply.requestor, reply.property);
        // The same place asked again: the older answer has nowhere to go.
        self.outgoing.retain(|outgoing| (outgoing.requestor, outgoing.property) != (requestor, property));
        if bytes.len() <= DIRECT {
            self.conn.change_property8(PropMode::REPLACE, requestor, property, kind, &bytes)?;
            self.notify(reply, true)?;
        } else if self.outgoing.len() < MAX_OUTGOING {
            let watch = EventMask::PROPERTY_CHANGE | EventMask::STRUCTURE_NOTIFY;
            self.conn.change_window_attributes(requestor, &ChangeWindowAttributesAux::new().event_mask(watch))?;
            let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            self.conn.change_property32(PropMode::REPLACE, requestor, property, self.atoms.incr, &[size])?;
            let patience = Patience::new(REQUESTOR);
            self.outgoing.push(Outgoing { requestor, patience, property, kind, bytes, sent: 0 });
            self.notify(reply, true)?;
        } else {
            self.notify(reply, false)?;
        }
        Ok(self.conn.flush()?)
    }

    /// Answers a paste with nothing: the other side is gone, may not, or has nothing. An unknown `id` is ignored.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn refuse(&mut self, id: PasteId) -> Result<(), Gone> {
        if let Some(at) = self.wanted.iter().position(|wanted| wanted.id == id) {
            let reply = self.wanted.remove(at).reply;
            self.notify(reply, false)?;
        }
        Ok(self.conn.flush()?)
    }

    /// An application asks for something of ours.
    pub(super) fn requested(&mut self, e: &SelectionRequestEvent) -> Result<(), Gone> {
        // Clients older than ICCCM name no property: the target's name serves.
        let property = if e.property == x11rb::NONE { e.target } else { e.property };
        let reply = Reply { requestor: e.requestor, target: e.target, property, time: e.time };
        let Some((since, _)) = self.owned.filter(|_| e.selection == self.atoms.selection) else {
            return self.notify(reply, false);
        };
        let format = self.atoms.format(e.target).filter(|f| self.given.formats.has(*f));
        if e.target == self.atoms.targets {
            let a = &self.atoms;
            let mut all = vec![a.targets, a.timestamp];
            all.extend(self.given.formats.iter().flat_map(|f| a.names(f)));
            all.extend(self.given.secret.then_some(a.marks[0]));
            self.conn.change_property32(PropMode::REPLACE, e.requestor, property, AtomEnum::ATOM, &all)?;
            self.notify(reply, true)
        } else if e.target == self.atoms.marks[0] && self.given.secret {
            self.conn.change_property8(PropMode::REPLACE, e.requestor, property, e.target, b"secret")?;
            self.notify(reply, true)
        } else if e.target == self.atoms.timestamp {
            self.conn.change_property32(PropMode::REPLACE, e.requestor, property, AtomEnum::INTEGER, &[since])?;
            self.notify(reply, true)
        } else if let Some(format) = format.filter(|_| self.wanted.len() < MAX_WANTED) {
            if self.given.secret && !self.is_at_work()? {
                debug!("a secret is not given: nobody is at work here");
                return self.notify(reply, false);
            }
            self.next_paste += 1;
            let id = PasteId(self.next_paste);
            self.wanted.push(Wanted { id, patience: Patience::new(VIEWER), reply });
            self.events.push_back(ClipEvent::Wanted { id, format });
            Ok(())
        } else {
            self.notify(reply, false)
        }
    }

    /// Tells the requestor that its answer is there, or that there is none.
    fn notify(&self, reply: Reply, done: bool) -> Result<(), Gone> {
        let event = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: reply.time,
            requestor: reply.requestor,
            selection: self.atoms.selection,
            target: reply.target,
            property: if done { reply.property } else { x11rb::NONE },
        };
        self.conn.send_event(false, reply.requestor, EventMask::NO_EVENT, event)?;
        Ok(())
    }

    /// The requestor has taken the last piece: the next, and an empty one at the end.
    pub(super) fn go_on(&mut self, requestor: Window, property: Atom) -> Result<(), Gone> {
        let found = self.outgoing.iter().position(|o| (o.requestor, o.property) == (requestor, property));
        let Some((at, outgoing)) = found.and_then(|at| Some((at, self.outgoing.get_mut(at)?))) else { return Ok(()) };
        let rest = outgoing.bytes.get(outgoing.sent..).unwrap_or_default();
        let piece = rest.get(..DIRECT).unwrap_or(rest);
        self.conn.change_property8(PropMode::REPLACE, requestor, property, outgoing.kind, piece)?;
        outgoing.sent += piece.len();
        outgoing.patience.renew();
        if piece.is_empty() {
            self.outgoing.remove(at);
            if !self.outgoing.iter().any(|o| o.requestor == requestor) {
                let nothing = ChangeWindowAttributesAux::new().event_mask(EventMask::NO_EVENT);
                self.conn.change_window_attributes(requestor, &nothing)?;
            }
        }
        Ok(())
    }
}
