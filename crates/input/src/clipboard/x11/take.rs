//! Taking: what somebody here copied, when the other side pastes.

use telepane_model::clipboard::{ClipFormat, ClipOffer};
use telepane_model::time::{HostClock, Span, Stamp};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{Atom, ConnectionExt as _, GetPropertyReply, GetPropertyType, SelectionNotifyEvent};

use super::Clipboard;
use crate::Gone;
use crate::clipboard::{ClipError, ClipEvent, FetchId, LIFE, LIMIT, MAX_ASKS, OWNER, Patience, lossy, travelling};

/// How long it may take to say what it has. It is asked again after that, with twice the time each time: some owners (xclip)
/// do not hear a question while they hand out something large, and a busy program answers late.
const FIRST: Span = Span::millis(1_000);
/// Names of kinds that are read of an owner: what the best-equipped office program has is a few dozen.
const MAX_TARGETS: usize = 4_096;

/// What is to be asked of the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Which formats it has.
    Offers,
    /// Its contents in this kind, for this fetch.
    Contents(FetchId, ClipFormat),
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
    /// Other names of the same kind that the owner may know.
    others: Vec<Atom>,
    /// What has come, and its type, once the owner said that it comes in pieces.
    pieces: Option<(Vec<u8>, Atom)>,
}

impl Conversion {
    pub(super) fn is_about_offers(&self) -> bool {
        self.question == Question::Offers
    }
}

impl Clipboard {
    /// Fetches what is here in one kind: later a [`ClipEvent::Fetched`] with the same `id` follows, in any case.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn fetch(&mut self, id: FetchId, format: ClipFormat) -> Result<(), Gone> {
        if self.is_ours() || self.asks.len() >= MAX_ASKS {
            let why = if self.is_ours() { ClipError::Nothing } else { ClipError::Busy };
            self.events.push_back(ClipEvent::Fetched { id, data: Err(why) });
            return Ok(());
        }
        self.asks.push_back(Ask { question: Question::Contents(id, format) });
        self.next_ask()?;
        Ok(self.conn.flush()?)
    }

    /// Asks the next question if none is open.
    pub(super) fn next_ask(&mut self) -> Result<(), Gone> {
        if self.active.is_some() {
            return Ok(());
        }
        let Some(Ask { question }) = self.asks.pop_front() else { return Ok(()) };
        let targets = match question {
            Question::Offers => vec![self.atoms.targets],
            Question::Contents(_, format) => self.candidates(format),
        };
        let first = if question == Question::Offers { FIRST } else { OWNER };
        self.convert(question, targets, Patience::new(first), Patience::new(LIFE))
    }

    /// The owner has not answered in time: asked what it has, it is asked again until its life is over.
    pub(super) fn late(&mut self, now: Stamp<HostClock>) -> Result<(), Gone> {
        match &self.active {
            Some(Conversion { question: Question::Offers, patience, life, .. }) if !life.is_over(now) => {
                let (patience, life) = (Patience::new(patience.span + patience.span), *life);
                self.convert(Question::Offers, vec![self.atoms.targets], patience, life)
            }
            _ => self.finish(Err(ClipError::TimedOut)),
        }
    }

    /// The owner's names for this kind, the best first. Owners of text need not say so (ICCCM asks only for TARGETS).
    fn candidates(&self, format: ClipFormat) -> Vec<Atom> {
        let names = self.atoms.names(format).iter().copied();
        let known: Vec<Atom> = names.filter(|name| self.theirs.contains(name)).collect();
        match format {
            ClipFormat::Text => vec![self.atoms.utf8, self.atoms.string],
            _ => known,
        }
    }

    fn convert(
        &mut self,
        question: Question,
        targets: Vec<Atom>,
        patience: Patience,
        life: Patience,
    ) -> Result<(), Gone> {
        let mut others = targets.into_iter();
        let Some(target) = others.next() else {
            let others = Vec::new();
            let (property, target) = (x11rb::NONE, x11rb::NONE);
            self.active = Some(Conversion { patience, life, question, property, target, others, pieces: None });
            return self.finish(Err(ClipError::Nothing));
        };
        let others = others.collect();
        self.turn = self.turn.wrapping_add(1);
        let Some(&property) = self.atoms.slots.get(self.turn % self.atoms.slots.len()) else { return Ok(()) };
        self.conn.delete_property(self.window, property)?;
        let selection = self.atoms.selection;
        self.conn.convert_selection(self.window, selection, target, property, x11rb::CURRENT_TIME)?;
        self.active = Some(Conversion { patience, life, question, property, target, others, pieces: None });
        Ok(())
    }

    /// The owner answered.
    pub(super) fn answered(&mut self, e: &SelectionNotifyEvent) -> Result<(), Gone> {
        let Some(active) = self.active.as_mut().filter(|active| e.target == active.target && active.pieces.is_none())
        else {
            return self.pass_over(e.property);
        };
        if e.property == x11rb::NONE {
            let (question, others, life) = (active.question, std::mem::take(&mut active.others), active.life);
            return self.convert(question, others, Patience::new(OWNER), life);
        }
        if e.property != active.property {
            return self.pass_over(e.property);
        }
        active.patience.renew();
        let offers = active.question == Question::Offers;
        let reply = self.read(e.property, if offers { MAX_TARGETS * 4 } else { LIMIT })?;
        if reply.type_ == self.atoms.incr && !offers {
            if let Some(active) = self.active.as_mut() {
                // Reading it has deleted it, which asks for the first piece.
                active.pieces = Some((Vec::new(), self.atoms.utf8));
            }
            return Ok(());
        }
        match offers {
            true => {
                if reply.bytes_after > 0 {
                    self.conn.delete_property(self.window, e.property)?;
                }
                self.theirs = reply.value32().map(|atoms| atoms.take(MAX_TARGETS).collect()).unwrap_or_default();
                self.finish(if self.theirs.is_empty() { Err(ClipError::Nothing) } else { Ok(Vec::new()) })
            }
            _ if reply.bytes_after > 0 || reply.value.len() > LIMIT => {
                self.conn.delete_property(self.window, e.property)?;
                self.finish(Err(ClipError::TooLarge))
            }
            _ => {
                let data = self.decode(reply.value, reply.type_);
                self.finish(data)
            }
        }
    }

    /// A property of ours got a new value: the next piece, or the rest of what was given up.
    pub(super) fn arrived(&mut self, property: Atom) -> Result<(), Gone> {
        let room = match &self.active {
            Some(active) if active.property == property => match &active.pieces {
                Some((bytes, _)) => LIMIT.saturating_sub(bytes.len()),
                // The whole, of which the notice follows.
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
        let data = self.decode(bytes, kind);
        self.finish(data)
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

    /// Contents as they travel.
    fn decode(&self, bytes: Vec<u8>, kind: Atom) -> Result<Vec<u8>, ClipError> {
        let Some(Question::Contents(_, format)) = self.active.as_ref().map(|active| active.question) else {
            return Err(ClipError::Nothing);
        };
        if format == ClipFormat::Text && !self.atoms.is_text(kind) {
            return Err(ClipError::Nothing);
        }
        let is_latin1 = kind == self.atoms.string;
        let text = |bytes: Vec<u8>| if is_latin1 { bytes.into_iter().map(char::from).collect() } else { lossy(bytes) };
        travelling(format, bytes, text)
    }

    /// The open question is answered: tells, and asks the next.
    pub(super) fn finish(&mut self, data: Result<Vec<u8>, ClipError>) -> Result<(), Gone> {
        match self.active.take().map(|active| active.question) {
            Some(Question::Contents(id, _)) => self.events.push_back(ClipEvent::Fetched { id, data }),
            Some(Question::Offers) if self.is_ours() => {}
            Some(Question::Offers) => self.announce(),
            None => {}
        }
        self.next_ask()
    }

    /// Tells what the owner has.
    fn announce(&mut self) {
        let has = |format: &ClipFormat| self.atoms.names(*format).iter().any(|name| self.theirs.contains(name));
        let formats = ClipFormat::ALL.into_iter().filter(has).collect();
        let secret = self.atoms.marks.iter().any(|mark| self.theirs.contains(mark));
        let offer = ClipOffer { selection: self.selection, formats, secret };
        if offer.formats.is_empty() {
            return self.emptied();
        }
        self.announced = true;
        self.events.push_back(ClipEvent::Changed(offer));
    }
}
