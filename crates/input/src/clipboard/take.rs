//! Taking: what somebody on the host copied, when the viewer pastes.

use telepane_model::time::Span;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, GetPropertyReply, GetPropertyType, SelectionNotifyEvent,
};

use super::{ClipError, ClipEvent, Clipboard, FetchId, LIMIT, Patience};
use crate::Gone;

/// Fetches that may wait at once.
const MAX_ASKS: usize = 8;
/// How long the owner may take for an answer or a piece.
const OWNER: Span = Span::millis(5_000);
/// How long a fetch may take altogether, however steadily pieces come.
const LIFE: Span = Span::millis(60_000);

/// What is to be asked of the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Which formats it has.
    Offers,
    /// Its text, for this fetch.
    Text(FetchId),
}

/// A question not asked yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) question: Question,
}

/// The question being answered.
#[derive(Debug)]
pub(super) struct Conversion {
    pub(super) patience: Patience,
    pub(super) life: Patience,
    question: Question,
    property: Atom,
    target: Atom,
    /// What has come, and its type, once the owner said that it comes in pieces.
    pieces: Option<(Vec<u8>, Atom)>,
}

impl Clipboard {
    /// Fetches the host's text: later a [`ClipEvent::Fetched`] with the same `id` follows, in any case.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn fetch(&mut self, id: FetchId) -> Result<(), Gone> {
        if self.is_ours() || self.asks.len() >= MAX_ASKS {
            let why = if self.is_ours() { ClipError::NoText } else { ClipError::Busy };
            self.events.push_back(ClipEvent::Fetched { id, text: Err(why) });
            return Ok(());
        }
        self.asks.push_back(Ask { question: Question::Text(id) });
        self.next_ask()?;
        Ok(self.conn.flush()?)
    }

    /// Asks the next question if none is open.
    pub(super) fn next_ask(&mut self) -> Result<(), Gone> {
        if self.active.is_some() {
            return Ok(());
        }
        let Some(Ask { question }) = self.asks.pop_front() else { return Ok(()) };
        let target = match question {
            Question::Offers => self.atoms.targets,
            Question::Text(_) => self.atoms.utf8,
        };
        self.convert(question, target, Patience::new(LIFE))
    }

    fn convert(&mut self, question: Question, target: Atom, life: Patience) -> Result<(), Gone> {
        self.turn = self.turn.wrapping_add(1);
        let Some(&property) = self.atoms.slots.get(self.turn % self.atoms.slots.len()) else { return Ok(()) };
        self.conn.delete_property(self.window, property)?;
        let clipboard = self.atoms.clipboard;
        self.conn.convert_selection(self.window, clipboard, target, property, x11rb::CURRENT_TIME)?;
        let patience = Patience::new(OWNER);
        self.active = Some(Conversion { patience, life, question, property, target, pieces: None });
        Ok(())
    }

    /// The owner answered.
    pub(super) fn answered(&mut self, e: &SelectionNotifyEvent) -> Result<(), Gone> {
        let Some(active) = self.active.as_mut().filter(|active| e.target == active.target && active.pieces.is_none())
        else {
            return self.pass_over(e.property);
        };
        if e.property == x11rb::NONE {
            let (question, target, life) = (active.question, active.target, active.life);
            return match question {
                Question::Text(_) if target == self.atoms.utf8 => self.convert(question, self.atoms.string, life),
                _ => self.finish(Err(ClipError::NoText)),
            };
        }
        if e.property != active.property {
            return self.pass_over(e.property);
        }
        active.patience.renew();
        let reply = self.read(e.property, LIMIT)?;
        if reply.type_ == self.atoms.incr {
            if let Some(active) = self.active.as_mut() {
                // Reading it has deleted it, which asks for the first piece.
                active.pieces = Some((Vec::new(), self.atoms.utf8));
            }
            return Ok(());
        }
        match self.active.as_ref().map(|active| active.question) {
            Some(Question::Offers) => {
                let found = reply.value32().is_some_and(|mut atoms| atoms.any(|atom| self.atoms.is_text(atom)));
                self.finish(if found { Ok(String::new()) } else { Err(ClipError::NoText) })
            }
            _ if reply.bytes_after > 0 || reply.value.len() > LIMIT => {
                self.conn.delete_property(self.window, e.property)?;
                self.finish(Err(ClipError::TooLarge))
            }
            _ => {
                let text = self.decode(reply.value, reply.type_);
                self.finish(text)
            }
        }
    }

    /// A property of ours got a new value: the next piece, or the rest of a text that was given up.
    pub(super) fn arrived(&mut self, property: Atom) -> Result<(), Gone> {
        let room = match &self.active {
            Some(active) if active.property == property => match &active.pieces {
                Some((bytes, _)) => LIMIT.saturating_sub(bytes.len()),
                // The whole text, of which the notice follows.
                None => return Ok(()),
            },
            _ => return self.pass_over(property),
        };
        let reply = self.read(property, room)?;
        let Some(active) = self.active.as_mut() else { return Ok(()) };
        let Some((bytes, kind)) = active.pieces.as_mut() else { return Ok(()) };
        if reply.bytes_after > 0 || reply.value.len() > room {
            self.conn.delete_property(self.window, property)?;
            return self.finish(Err(ClipError::TooLarge));
        }
        if !reply.value.is_empty() {
            bytes.extend_from_slice(&reply.value);
            *kind = reply.type_;
            active.patience.renew();
            return Ok(());
        }
        let (bytes, kind) = (std::mem::take(bytes), *kind);
        let text = self.decode(bytes, kind);
        self.finish(text)
    }

    /// Reads and deletes a property, unless it is longer than `room` bytes: then part of it is read and it stays.
    fn read(&self, property: Atom, room: usize) -> Result<GetPropertyReply, Gone> {
        let words = u32::try_from(room / 4 + 1).unwrap_or(u32::MAX);
        Ok(self.conn.get_property(true, self.window, property, GetPropertyType::ANY, 0, words)?.reply()?)
    }

    /// Takes a late answer off the window unread, so that its owner can go on and end.
    fn pass_over(&self, property: Atom) -> Result<(), Gone> {
        if self.atoms.slots.contains(&property) {
            self.conn.delete_property(self.window, property)?;
        }
        Ok(())
    }

    fn decode(&self, bytes: Vec<u8>, kind: Atom) -> Result<String, ClipError> {
        let latin1 = kind == Atom::from(AtomEnum::STRING);
        let mut text = if latin1 {
            bytes.into_iter().map(char::from).collect()
        } else if kind == self.atoms.utf8 || self.atoms.is_text(kind) {
            // What is not UTF-8 is shown as such rather than losing the whole paste.
            String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
        } else {
            return Err(ClipError::NoText);
        };
        // Some owners count C's terminator in.
        text.truncate(text.trim_end_matches('\0').len());
        if text.len() > LIMIT { Err(ClipError::TooLarge) } else { Ok(text) }
    }

    /// The open question is answered: tells, and asks the next.
    pub(super) fn finish(&mut self, text: Result<String, ClipError>) -> Result<(), Gone> {
        match self.active.take().map(|active| active.question) {
            Some(Question::Text(id)) => self.events.push_back(ClipEvent::Fetched { id, text }),
            Some(Question::Offers) if self.is_ours() => {}
            Some(Question::Offers) if text.is_ok() => {
                self.announced = true;
                self.events.push_back(ClipEvent::OwnerChanged);
            }
            Some(Question::Offers) => self.emptied(),
            None => {}
        }
        self.next_ask()
    }
}
