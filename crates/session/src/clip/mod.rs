//! The clipboard's rules, the same on both sides: offers travel at once, contents only when someone pastes.
//!
//! An offer names kinds of contents; a request asks for one of them; the answer comes in parts on the control stream
//! when it is small and in a pipe of the bulk class when it is not. Both are bounded in size and in rate, and what goes
//! round between two clipboards that follow each other comes to rest.

mod contents;
mod limit;

use crate::bulk::{Bulk, BulkWish, clip_pipe};
use crate::output::{Alarm, ClipWish, Wake};
use limit::{Bucket, Echo, Taken, Verdict};
use std::collections::{BTreeMap, VecDeque};
use telepane_model::clipboard::{ClipFormat, ClipFormats, ClipOffer, MAX_CLIP, Selection};
use telepane_model::{Clock, Span, Stamp};
use telepane_protocol::control::MAX_CLIP_CHUNK;
use telepane_protocol::{Capabilities, Capability, ClipWord, Control, Fault, clip};

/// The most that is pasted from, or given to, an end that knows no pipes.
// spec: K-18
pub const MAX_PLAIN: usize = 8 << 20;
/// An answer up to this size goes on the control stream: it is on its way before the pipe's first turn would be.
// spec: K-53
const SMALL: usize = 64 << 10;
/// Pastes under way at once, each way.
// spec: K-18
const MOST_REQUESTS: usize = 8;
/// What is kept of all answers together.
// spec: K-18
const MOST_KEPT: usize = 64 << 20;
/// The number under which the clipboard is looked at here, and the second selection under the one before: the last that a peer
/// comes to ask by, and one that does gets no answer meanwhile.
const LOOK: u32 = 0x3fff_ffff;
/// Given from a buffer at once.
const FILL: usize = 64 << 10;
/// A paste is told how far it is this often, in bytes.
const PROGRESS: u64 = 256 << 10;
/// Nothing has come, or was taken, for so long: the paste is over. Applications have given up by then (Qt after 5 s, GTK
/// after 30 s).
const PATIENCE: Span = Span::secs(30);

/// An answer that is still being fetched from somebody else is said to be coming this often at most: several times within the
/// peer's patience and the 10 s that its display's end waits.
const COMING: Span = Span::secs(3);

/// What the peer can do.
#[derive(Clone, Copy, Debug)]
struct Peer {
    formats: ClipFormats,
    rich: bool,
    primary: bool,
}

/// Something that was asked of the peer.
#[derive(Debug)]
struct Asked<C: Clock> {
    asker: u32,
    selection: Selection,
    format: ClipFormat,
    bytes: Vec<u8>,
    /// As announced; 0 as long as it is not.
    size: u64,
    /// So much of it has come, and so much of that was told.
    come: u64,
    told: u64,
    last: Stamp<C>,
}

impl<C: Clock> Asked<C> {
    /// So many bytes more have come; how far it is, if it is time to tell.
    fn progress(&mut self, bytes: usize) -> Option<ClipWish> {
        self.come += bytes as u64;
        (self.come - self.told >= PROGRESS).then(|| {
            self.told = self.come;
            ClipWish::Progress { id: self.asker, come: self.come, size: self.size }
        })
    }
}

/// Something that is read here, mostly because the peer asked for it.
#[derive(Debug)]
enum Giving {
    /// To see whether it is what the peer offered.
    Looked(ClipFormat),
    /// It is being read.
    Awaited(ClipFormat),
    /// In a pipe, and how far.
    Bytes(Vec<u8>, usize),
    /// In a pipe that the shell fills.
    Stream,
}

/// One selection.
#[derive(Debug)]
struct Side<C: Clock> {
    /// What is here.
    own: ClipOffer,
    /// The number of the last offer.
    serial: u32,
    /// It is to be told when there is room for it.
    tell: bool,
    /// The peer's offer.
    theirs: Option<(u32, ClipOffer)>,
    /// It is to be handed over when there is room for it.
    hand: bool,
    echo: Echo<C>,
    taken: Taken,
    /// It is to be looked at in this kind before it is told.
    look: Option<ClipFormat>,
}

/// One side's clipboard state.
#[derive(Debug)]
pub struct Clip<C: Clock> {
    peer: Peer,
    linked: bool,
    sides: [Side<C>; 2],
    told: Bucket<C>,
    heard: Bucket<C>,
    wanted: Bucket<C>,
    asked: BTreeMap<u32, Asked<C>>,
    giving: BTreeMap<u32, (Giving, Stamp<C>)>,
    next_id: u32,
    words: VecDeque<Control>,
    wishes: VecDeque<ClipWish>,
}

impl<C: Clock> Default for Clip<C> {
    fn default() -> Self {
        let side = |selection| Side {
            own: ClipOffer { selection, ..ClipOffer::default() },
            serial: 0,
            tell: false,
            theirs: None,
            hand: false,
            echo: Echo::default(),
            taken: Taken::default(),
            look: None,
        };
        Self {
            peer: Peer { formats: ClipFormats::NONE, rich: false, primary: false },
            linked: false,
            sides: Selection::ALL.map(side),
            told: Bucket::OFFERS,
            heard: Bucket::OFFERS,
            wanted: Bucket::REQUESTS,
            asked: BTreeMap::new(),
            giving: BTreeMap::new(),
            next_id: 0,
            words: VecDeque::new(),
            wishes: VecDeque::new(),
        }
    }
}

impl<C: Clock> Clip<C> {
    /// What the peer said it can do.
    // spec: V-5, K-50
    pub fn on_capabilities(&mut self, capabilities: &Capabilities) {
        let value = capabilities.value(Capability::Clipboard);
        let formats = ClipFormats::from_bits((value & 0xffff) as u32);
        let rich = value & clip::RICH != 0;
        let formats = if rich { formats } else { formats.and(ClipFormats::TEXT) };
        self.peer = Peer { formats, rich, primary: rich && value & clip::PRIMARY != 0 };
    }

    /// Whether the peer takes X11's second selection.
    pub const fn peer_takes_primary(&self) -> bool {
        self.peer.primary
    }

    /// A connection stands: what is here is offered anew.
    pub fn on_attached(&mut self) {
        self.linked = true;
        for side in &mut self.sides {
            side.tell = !side.own.formats.is_empty();
        }
    }

    /// Something else is on the local clipboard now.
    // spec: K-13, K-56
    pub fn on_local_change(&mut self, now: Stamp<C>, offer: ClipOffer) {
        let side = self.side(offer.selection);
        side.own = offer;
        // What follows the peer's offers at once, time and again, may be those offers coming back.
        let suspect = !offer.formats.is_empty() && side.echo.suspects(now);
        let verdict = if suspect { side.taken.verdict(offer.formats) } else { Verdict::Another };
        side.tell = verdict == Verdict::Another;
        side.look = if let Verdict::Look(format) = verdict { Some(format) } else { None };
    }

    /// Reads what is suspected of being the peer's, one at a time.
    fn look(&mut self, now: Stamp<C>) {
        for selection in Selection::ALL {
            let id = LOOK - selection as u32;
            if self.giving.contains_key(&id) {
                continue;
            }
            if let Some(format) = self.side(selection).look.take() {
                self.giving.insert(id, (Giving::Looked(format), now));
                self.wishes.push_back(ClipWish::Fetch { id, selection, format });
            }
        }
    }

    /// It was read. What was copied meanwhile is looked at by itself.
    fn on_looked(&mut self, id: u32, format: ClipFormat, contents: Option<&[u8]>) {
        let selection = if id == LOOK { Selection::Clipboard } else { Selection::Primary };
        let side = self.side(selection);
        if side.look.is_none() {
            side.tell |= contents.is_some_and(|c| !side.taken.holds(format, c));
        }
    }

    /// An application here pastes what the peer offered; `asker` is the shell's number for it.
    // spec: K-52
    pub fn on_wanted(
        &mut self,
        now: Stamp<C>,
        bulk: &mut Bulk<C>,
        asker: u32,
        selection: Selection,
        format: ClipFormat,
    ) {
        let theirs = self.side(selection).theirs.filter(|(_, offer)| offer.formats.has(format));
        let Some((serial, _)) = theirs.filter(|_| self.linked && self.asked.len() < MOST_REQUESTS) else {
            self.wishes.push_back(ClipWish::Paste { id: asker, data: None });
            return;
        };
        // The pipe's number is twice this.
        self.next_id = (self.next_id + 1) & 0x3fff_ffff;
        let id = self.next_id;
        self.asked
            .insert(id, Asked { asker, selection, format, bytes: Vec::new(), size: 0, come: 0, told: 0, last: now });
        if self.peer.rich {
            bulk.expect(clip_pipe(id));
            self.words.push_back(Control::Clip(ClipWord::Request { serial, id, selection, format }));
        } else {
            self.words.push_back(Control::ClipRequest { serial, id });
        }
        if format == ClipFormat::Files {
            self.side(selection).taken.insert_files();
            self.wishes.push_back(ClipWish::Opened { id: asker, pipe: clip_pipe(id) });
        }
    }

    /// Nobody waits for that paste any more.
    // spec: K-54
    pub fn on_unwanted(&mut self, bulk: &mut Bulk<C>, asker: u32) {
        let ids = self.asked.iter().filter(|(_, a)| a.asker == asker).map(|(id, _)| *id);
        for id in ids.collect::<Vec<_>>() {
            self.asked.remove(&id);
            self.call_off(bulk, id);
        }
    }

    /// The answer to a [`ClipWish::Fetch`] of anything but files; `None` also ends files that were on their way.
    // spec: K-53
    pub fn on_local_data(&mut self, now: Stamp<C>, bulk: &mut Bulk<C>, id: u32, data: Option<Vec<u8>>) {
        match self.giving.get(&id) {
            Some(&(Giving::Looked(format), _)) => {
                self.giving.remove(&id);
                self.on_looked(id, format, data.as_deref());
                return;
            }
            Some((Giving::Awaited(_), _)) => {}
            // A file cannot be read any more.
            Some((Giving::Stream, _)) if data.is_none() => bulk.drop_pipe(clip_pipe(id)),
            _ => return,
        }
        self.giving.remove(&id);
        let most = if self.peer.rich { MAX_CLIP } else { MAX_PLAIN };
        let Some(bytes) = data.filter(|d| d.len() <= most) else {
            self.words.push_back(Control::ClipRefuse { id });
            return;
        };
        if self.peer.rich && bytes.len() > SMALL {
            self.words.push_back(Control::Clip(ClipWord::Size { id, size: bytes.len() as u64 }));
            bulk.offer(clip_pipe(id));
            self.giving.insert(id, (Giving::Bytes(bytes, 0), now));
            return;
        }
        let count = bytes.chunks(MAX_CLIP_CHUNK).count().max(1);
        for n in 0..count {
            let part = bytes.chunks(MAX_CLIP_CHUNK).nth(n).unwrap_or_default().to_vec();
            self.words.push_back(Control::ClipChunk { id, last: n + 1 == count, bytes: part });
        }
    }

    /// The answer to a [`ClipWish::Fetch`] of files: they come from the shell, piece by piece as the pipe asks for them.
    /// `size` is how much it will be, as far as that is known.
    pub fn on_local_stream(&mut self, now: Stamp<C>, bulk: &mut Bulk<C>, id: u32, size: u64) -> Option<u32> {
        let Some((Giving::Awaited(ClipFormat::Files), _)) = self.giving.get(&id) else { return None };
        self.words.push_back(Control::Clip(ClipWord::Size { id, size }));
        bulk.offer(clip_pipe(id));
        self.giving.insert(id, (Giving::Stream, now));
        Some(clip_pipe(id))
    }

    /// The answer to a [`ClipWish::Fetch`] is on its way to this end, `size` bytes as far as that is known: the peer is told
    /// so, and waits longer.
    // spec: K-64
    pub fn on_local_coming(&mut self, now: Stamp<C>, id: u32, size: u64) {
        if let Some((Giving::Awaited(_), last)) = self.giving.get_mut(&id)
            && self.peer.rich
            && now.since(*last) >= COMING
        {
            *last = now;
            self.words.push_back(Control::Clip(ClipWord::Size { id, size }));
        }
    }

    /// A clipboard message from the peer; anything else is [`Fault::Unexpected`].
    // spec: K-13, K-17, K-18, K-51, K-52, K-53, K-64
    pub fn on_control(&mut self, now: Stamp<C>, bulk: &mut Bulk<C>, message: Control) -> Result<(), Fault> {
        match message {
            Control::ClipOffer { serial, formats } => {
                let formats = ClipFormats::from_bits(formats).and(ClipFormats::TEXT);
                self.on_offer(now, serial, ClipOffer { formats, ..ClipOffer::default() });
            }
            Control::Clip(ClipWord::Offer { serial, offer }) => self.on_offer(now, serial, offer),
            Control::ClipRequest { id, .. } => self.on_request(now, id, Selection::Clipboard, ClipFormat::Text),
            Control::Clip(ClipWord::Request { id, selection, format, .. }) => {
                self.on_request(now, id, selection, format);
            }
            Control::ClipChunk { id, last, bytes } => {
                let asked = self.asked.get_mut(&id).ok_or(Fault::UnaskedClipboard)?;
                if asked.format == ClipFormat::Files {
                    return Err(Fault::UnaskedClipboard);
                }
                return self.on_part(now, bulk, id, bytes, last);
            }
            Control::ClipRefuse { id } => self.finish(bulk, id, None),
            Control::Clip(ClipWord::Size { id, size }) => {
                let Some(asked) = self.asked.get_mut(&id) else { return Ok(()) };
                // Nothing came for a while, and is said to come.
                let waits = now.since(asked.last) >= COMING.scaled(1, 2);
                (asked.size, asked.last) = (size, now);
                let (asker, come) = (asked.asker, asked.come);
                if asked.format != ClipFormat::Files && size > MAX_CLIP as u64 {
                    self.finish(bulk, id, None);
                    self.call_off(bulk, id);
                } else if waits {
                    // Who pastes waits longer too.
                    self.wishes.push_back(ClipWish::Progress { id: asker, come, size });
                }
            }
            Control::Clip(ClipWord::Cancel { id }) => {
                if self.giving.remove(&id).is_some() {
                    bulk.drop_pipe(clip_pipe(id));
                }
            }
            _ => return Err(Fault::Unexpected),
        }
        Ok(())
    }

    /// What a pipe wants, if it is one of these; what the shell has to do itself comes back.
    pub fn on_bulk(&mut self, now: Stamp<C>, bulk: &mut Bulk<C>, wish: BulkWish) -> Result<Option<BulkWish>, Fault> {
        let pipe = match &wish {
            BulkWish::Fill { pipe, .. } | BulkWish::Data { pipe, .. } => *pipe,
        };
        let id = pipe >> 1;
        if pipe != clip_pipe(id) {
            return Ok(Some(wish));
        }
        match wish {
            BulkWish::Fill { room, .. } => {
                let Some((giving, last)) = self.giving.get_mut(&id) else { return Ok(None) };
                *last = now;
                let Giving::Bytes(bytes, at) = giving else { return Ok(Some(wish)) };
                let rest = bytes.get(*at..).unwrap_or_default();
                let part = rest.get(..room.min(FILL)).unwrap_or(rest).to_vec();
                *at += part.len();
                let over = *at >= bytes.len();
                bulk.on_data(pipe, part, over);
                if over {
                    self.giving.remove(&id);
                }
            }
            BulkWish::Data { bytes, last, .. } => {
                let Some(asked) = self.asked.get_mut(&id) else { return Ok(None) };
                if asked.format == ClipFormat::Files {
                    asked.last = now;
                    self.wishes.extend(asked.progress(bytes.len()));
                    if last {
                        self.asked.remove(&id);
                    }
                    return Ok(Some(BulkWish::Data { pipe, bytes, last }));
                }
                bulk.on_used(pipe, bytes.len() as u64);
                self.on_part(now, bulk, id, bytes, last)?;
            }
        }
        Ok(None)
    }

    /// Tells and hands over what had to wait, and ends what has waited too long.
    // spec: K-55
    pub fn on_time(&mut self, now: Stamp<C>, bulk: &mut Bulk<C>, alarm: &mut Alarm<C>) {
        self.look(now);
        for n in 0..self.sides.len() {
            let Some(side) = self.sides.get_mut(n) else { continue };
            if side.tell && self.linked {
                match self.told.take(now) {
                    Ok(()) => {
                        side.tell = false;
                        side.serial = side.serial.wrapping_add(1);
                        self.words.extend(offered(self.peer, side.serial, side.own));
                    }
                    Err(at) => alarm.set(at, Wake::Clip),
                }
            }
            if side.hand {
                match self.heard.take(now) {
                    Ok(()) => {
                        side.hand = false;
                        side.echo.on_theirs(now);
                        self.wishes.extend(side.theirs.map(|(_, offer)| ClipWish::Offered(offer)));
                    }
                    Err(at) => alarm.set(at, Wake::Clip),
                }
            }
        }
        let late = |last: &Stamp<C>| now.since(*last) >= PATIENCE;
        let gone: Vec<u32> = self.asked.iter().filter(|(_, a)| late(&a.last)).map(|(id, _)| *id).collect();
        for id in gone {
            self.finish(bulk, id, None);
            self.call_off(bulk, id);
        }
        let gone: Vec<u32> = self.giving.iter().filter(|(_, (_, last))| late(last)).map(|(id, _)| *id).collect();
        for id in gone {
            if !matches!(self.giving.remove(&id), Some((Giving::Looked(_), _))) {
                bulk.drop_pipe(clip_pipe(id));
                self.words.push_back(Control::ClipRefuse { id });
            }
        }
        let asked = self.asked.values().map(|a| a.last);
        let next = asked.chain(self.giving.values().map(|(_, last)| *last)).min();
        alarm.set_if(next.map(|last| last + PATIENCE), Wake::Clip);
    }

    /// The link is gone: what was asked for will not come, and the offers stand no longer.
    pub fn on_link_lost(&mut self) {
        self.linked = false;
        self.words.clear();
        self.giving.clear();
        for side in &mut self.sides {
            side.hand = false;
            if let Some((_, offer)) = side.theirs.take() {
                self.wishes.push_back(ClipWish::Offered(ClipOffer { formats: ClipFormats::NONE, ..offer }));
            }
        }
        let asked = std::mem::take(&mut self.asked).into_values();
        self.wishes.extend(asked.map(|a| ClipWish::Paste { id: a.asker, data: None }));
    }

    /// The next message for the peer.
    pub fn word(&mut self) -> Option<Control> {
        self.words.pop_front()
    }

    /// The next thing the shell is to do.
    pub fn wish(&mut self) -> Option<ClipWish> {
        self.wishes.pop_front()
    }

    fn side(&mut self, selection: Selection) -> &mut Side<C> {
        let [clipboard, primary] = &mut self.sides;
        if selection == Selection::Primary { primary } else { clipboard }
    }

    fn on_offer(&mut self, now: Stamp<C>, serial: u32, offer: ClipOffer) {
        let room = self.heard.take(now).is_ok();
        let side = self.side(offer.selection);
        side.theirs = Some((serial, offer));
        side.hand = !room;
        if room {
            side.echo.on_theirs(now);
            self.wishes.push_back(ClipWish::Offered(offer));
        }
    }

    /// The offer may have changed meanwhile: the asker gets what is there now, as on one machine.
    fn on_request(&mut self, now: Stamp<C>, id: u32, selection: Selection, format: ClipFormat) {
        if self.giving.contains_key(&id) {
            return;
        }
        let there = self.side(selection).own.formats.and(self.peer.formats).has(format);
        if !there || self.giving.len() >= MOST_REQUESTS || self.wanted.take(now).is_err() {
            self.words.push_back(Control::ClipRefuse { id });
            return;
        }
        self.giving.insert(id, (Giving::Awaited(format), now));
        self.wishes.push_back(ClipWish::Fetch { id, selection, format });
    }

    // spec: K-18, K-57
    fn on_part(&mut self, now: Stamp<C>, bulk: &mut Bulk<C>, id: u32, bytes: Vec<u8>, last: bool) -> Result<(), Fault> {
        let kept: usize = self.asked.values().map(|a| a.bytes.len()).sum();
        let most = if self.peer.rich { MAX_CLIP } else { MAX_PLAIN };
        let Some(asked) = self.asked.get_mut(&id) else { return Ok(()) };
        asked.last = now;
        if asked.bytes.len() + bytes.len() > most || kept + bytes.len() > MOST_KEPT {
            self.finish(bulk, id, None);
            self.call_off(bulk, id);
            return Ok(());
        }
        asked.bytes.extend_from_slice(&bytes);
        let progress = asked.progress(bytes.len());
        if !last {
            self.wishes.extend(progress);
            return Ok(());
        }
        let data = std::mem::take(&mut asked.bytes);
        let (format, selection) = (asked.format, asked.selection);
        let fine = contents::are_fine(format, &data);
        if fine {
            self.side(selection).taken.insert(format, &data);
        }
        self.finish(bulk, id, fine.then_some(data));
        if fine { Ok(()) } else { Err(Fault::BadContents) }
    }

    fn call_off(&mut self, bulk: &mut Bulk<C>, id: u32) {
        bulk.drop_pipe(clip_pipe(id));
        if self.peer.rich {
            self.words.push_back(Control::Clip(ClipWord::Cancel { id }));
        }
    }

    fn finish(&mut self, bulk: &mut Bulk<C>, id: u32, data: Option<Vec<u8>>) {
        if let Some(asked) = self.asked.remove(&id) {
            bulk.drop_pipe(clip_pipe(id));
            self.wishes.push_back(ClipWish::Paste { id: asked.asker, data });
        }
    }
}

/// An offer as the peer understands it; none where it would understand something else.
// spec: V-5, K-50
fn offered(peer: Peer, serial: u32, own: ClipOffer) -> Option<Control> {
    if peer.formats.is_empty() || own.selection == Selection::Primary && !peer.primary {
        return None;
    }
    let offer = ClipOffer { formats: own.formats.and(peer.formats), ..own };
    if peer.rich {
        return Some(Control::Clip(ClipWord::Offer { serial, offer }));
    }
    // The mark would be lost on the way.
    let formats = if own.secret { ClipFormats::NONE } else { offer.formats };
    Some(Control::ClipOffer { serial, formats: formats.bits() })
}

#[cfg(test)]
mod tests;
