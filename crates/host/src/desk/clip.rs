//! The desk's part in the clipboard: carrying between the display's selections and the seats, and from one seat to another.
//!
//! What a viewer offers the agent owns on the display. Asking the display for it would go round in a circle, so what
//! another viewer pastes of it is asked of the viewer that has it.

use super::{Desk, State, viewers};
use std::path::PathBuf;
use telepane_input::clipboard::{ClipEvent, Clipboard, FetchId, PasteId};
use telepane_model::{ClipFormat, ClipFormats, ClipOffer, HostClock, Selection, Stamp};
use telepane_session::ClipWish;
use telepane_trust::Feature;

/// A seat's number for a paste: which selection is in its lowest bit.
fn asker(selection: Selection, id: PasteId) -> u32 {
    (id.0 as u32) << 1 | selection as u32
}

/// And back.
fn paste(asker: u32) -> (Selection, PasteId) {
    let selection = if asker & 1 == 0 { Selection::Clipboard } else { Selection::Primary };
    (selection, PasteId(u64::from(asker >> 1)))
}

/// One viewer's paste of what another one offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Between {
    /// Who has it.
    from: u64,
    /// Who pastes, and the number of its request.
    to: u64,
    request: u32,
    format: ClipFormat,
    /// How much it will be, as far as the one who has it said.
    size: u64,
}

/// Set in the numbers under which one viewer is asked for another; those of the display's pastes count from zero.
const BETWEEN: u32 = 1 << 31;

/// What was copied, as far as the seat `id` did not offer it itself.
pub(super) fn of_others(clips: [ClipOffer; 2], of: [Option<u64>; 2], id: u64) -> impl Iterator<Item = ClipOffer> {
    clips.into_iter().zip(of).filter(move |(_, of)| *of != Some(id)).map(|(offer, _)| offer)
}

/// Something else can be pasted now: every viewer is told that may know, but for the one that offers it.
// spec: K-63
fn copied(state: &mut State, now: Stamp<HostClock>, offer: ClipOffer, of: Option<u64>) {
    state.clips[offer.selection as usize] = offer;
    state.clip_of[offer.selection as usize] = of;
    viewers(state).filter(|s| Some(s.id) != of).for_each(|s| s.on_clip_changed(now, offer));
}

impl Desk {
    pub(super) fn poll_clipboard(&mut self, state: &mut State) {
        for selection in Selection::ALL {
            self.poll_selection(state, selection);
        }
    }

    /// The second selection is watched once a viewer wants it: most programs change it with every word that is selected.
    pub(super) fn open_primary(&mut self, state: &State) {
        let wanted = || state.seats.values().any(|s| s.conn.is_some() && s.host.peer_takes_primary());
        if self.desktop.primary.is_none() && self.desktop.clipboard.is_some() && wanted() {
            self.desktop.open_primary();
        }
    }

    fn selection(&mut self, selection: Selection) -> &mut Option<Clipboard> {
        match selection {
            Selection::Clipboard => &mut self.desktop.clipboard,
            Selection::Primary => &mut self.desktop.primary,
        }
    }

    fn poll_selection(&mut self, state: &mut State, selection: Selection) {
        loop {
            let now = self.clock.now();
            let Some(clipboard) = self.selection(selection) else { return };
            let event = match clipboard.poll(now) {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "the clipboard is gone");
                    *self.selection(selection) = None;
                    return;
                }
            };
            match event {
                ClipEvent::Changed(offer) => copied(state, now, offer, None),
                ClipEvent::Wanted { id, format } => self.on_pasted(state, now, (selection, id), format),
                ClipEvent::Unwanted { id } => {
                    let asker = asker(selection, id);
                    // Files go on: whoever pastes again has them at once.
                    if let Some(seat) = state.clip_from[selection as usize].and_then(|s| state.seats.get_mut(&s))
                        && !state.unpacking.values().any(|(a, _)| *a == asker)
                    {
                        seat.host.on_clip_unwanted(now, asker);
                    }
                }
                ClipEvent::Fetched { id, data } => {
                    let Some((seat, request, files)) = state.fetches.remove(&id.0) else { continue };
                    if files {
                        self.pack(state, seat, request, data.ok());
                    } else if let Some(seat) = state.seats.get_mut(&seat) {
                        seat.host.on_clip_data(now, request, data.ok());
                    }
                }
            }
        }
    }

    /// An application pastes: whoever offered last is asked.
    fn on_pasted(
        &mut self,
        state: &mut State,
        now: Stamp<HostClock>,
        (selection, id): (Selection, PasteId),
        format: ClipFormat,
    ) {
        if let Some((_, paths)) =
            state.unpacked.as_ref().filter(|(s, _)| format == ClipFormat::Files && *s == selection)
        {
            if let Some(clipboard) = self.selection(selection) {
                // The display's end shows at the next poll.
                let _ = clipboard.provide_files(id, paths);
            }
            return;
        }
        let from = state.clip_from[selection as usize].and_then(|seat| state.seats.get_mut(&seat));
        match from.filter(|s| s.conn.is_some() && s.may_paste(format)) {
            Some(seat) => seat.host.on_clip_wanted(now, asker(selection, id), selection, format),
            None => {
                if let Some(clipboard) = self.selection(selection) {
                    // The display's end shows at the next poll.
                    let _ = clipboard.refuse(id);
                }
            }
        }
    }

    /// What an application waits for is on its way.
    pub(super) fn still(&mut self, asker: u32) {
        let (selection, id) = paste(asker);
        if let Some(clipboard) = self.selection(selection) {
            clipboard.still(id);
        }
    }

    /// A paste is answered with files, or with none. What `stands` is pasted again without being asked for.
    pub(super) fn give_files(&mut self, state: &mut State, asker: u32, files: Option<Vec<PathBuf>>, stands: bool) {
        let (selection, id) = paste(asker);
        if let Some(between) = state.between.remove(&asker) {
            match &files {
                Some(paths) => self.pack_again(between.to, between.request, paths),
                None => refuse(state, self.clock.now(), between),
            }
        } else if let Some(clipboard) = self.selection(selection) {
            // The display's end shows at the next poll.
            let _ = match &files {
                Some(paths) => clipboard.provide_files(id, paths),
                None => clipboard.refuse(id),
            };
        }
        if let Some(paths) = files.filter(|_| stands) {
            state.unpacked = Some((selection, paths));
        }
    }

    pub(super) fn on_clip_wish(&mut self, state: &mut State, seat: u64, wish: ClipWish) {
        let now = self.clock.now();
        let selection = match &wish {
            ClipWish::Offered(offer) => offer.selection,
            ClipWish::Fetch { selection, .. } => *selection,
            ClipWish::Paste { id, .. } | ClipWish::Progress { id, .. } | ClipWish::Opened { id, .. } => paste(*id).0,
        };
        if let ClipWish::Fetch { id, format, .. } = wish
            && let Some(from) = state.clip_of[selection as usize]
        {
            self.ask_viewer(state, selection, Between { from, to: seat, request: id, format, size: 0 });
            return;
        }
        let wish = match wish {
            ClipWish::Paste { id, data } if state.between.contains_key(&id) => {
                self.on_pasted_between(state, id, data);
                return;
            }
            ClipWish::Progress { id, size, .. } if state.between.contains_key(&id) => {
                self.between_comes(state, id, Some(size));
                return;
            }
            wish => wish,
        };
        let Some(clipboard) = self.selection(selection) else {
            if let (ClipWish::Fetch { id, .. }, Some(seat)) = (wish, state.seats.get_mut(&seat)) {
                seat.host.on_clip_data(now, id, None);
            }
            return;
        };
        let from = &mut state.clip_from[selection as usize];
        let result = match wish {
            ClipWish::Offered(offer) if !offer.formats.is_empty() => {
                *from = Some(seat);
                state.unpacked.take_if(|(s, _)| *s == selection);
                let older = state.unpacking.values_mut().filter(|(asker, _)| paste(*asker).0 == selection);
                older.for_each(|(_, stands)| *stands = false);
                copied(state, now, offer, Some(seat));
                clipboard.offer(offer.formats, offer.secret)
            }
            // Somebody else's offer is not this seat's to take back.
            ClipWish::Offered(_) if *from != Some(seat) => Ok(()),
            ClipWish::Offered(offer) => {
                if state.clip_of[selection as usize] == Some(seat) {
                    copied(state, now, offer, None);
                }
                clipboard.withdraw()
            }
            ClipWish::Fetch { id, format, .. } => {
                let fetch = state.next_fetch;
                state.next_fetch += 1;
                state.fetches.insert(fetch, (seat, id, format == ClipFormat::Files));
                clipboard.fetch(FetchId(fetch), format)
            }
            ClipWish::Paste { id, data: Some(data) } => clipboard.provide(paste(id).1, &data),
            ClipWish::Paste { id, data: None } => {
                let refused = clipboard.refuse(paste(id).1);
                self.forget_paste(state, id);
                refused
            }
            ClipWish::Progress { id, come, size } => {
                tracing::debug!(seat, come, size, "a paste is on its way");
                clipboard.still(paste(id).1);
                Ok(())
            }
            ClipWish::Opened { id, pipe } => {
                self.unpack(state, seat, id, pipe);
                Ok(())
            }
        };
        if let Err(error) = result {
            tracing::warn!(%error, "the clipboard is gone");
            *self.selection(selection) = None;
        }
    }
}

impl Desk {
    /// A viewer pastes what another one offers.
    // spec: K-63
    fn ask_viewer(&mut self, state: &mut State, selection: Selection, between: Between) {
        let Between { from, to, request, format, .. } = between;
        let there = state.unpacked.as_ref().filter(|(s, _)| format == ClipFormat::Files && *s == selection);
        if let Some((_, paths)) = there {
            self.pack_again(to, request, paths);
            return;
        }
        let has = state.seats.get_mut(&from).filter(|s| s.id != to && s.conn.is_some() && s.may_paste(format));
        let Some(has) = has else { return refuse(state, self.clock.now(), between) };
        let asker = BETWEEN | (state.next_between << 1 & !BETWEEN) | selection as u32;
        state.next_between = state.next_between.wrapping_add(1);
        has.host.on_clip_wanted(self.clock.now(), asker, selection, format);
        state.between.insert(asker, between);
    }

    /// Some of it is here: who pastes it is told, and waits longer. False where it is no viewer that pastes.
    // spec: K-64
    pub(super) fn between_comes(&self, state: &mut State, asker: u32, size: Option<u64>) -> bool {
        let Some(between) = state.between.get_mut(&asker) else { return false };
        between.size = size.unwrap_or(between.size);
        if let Some(seat) = state.seats.get_mut(&between.to) {
            seat.host.on_clip_coming(self.clock.now(), between.request, between.size);
        }
        true
    }

    /// It is here, or will not come.
    fn on_pasted_between(&mut self, state: &mut State, asker: u32, data: Option<Vec<u8>>) {
        let Some(between) = state.between.remove(&asker) else { return };
        if data.is_none() {
            self.forget_paste(state, asker);
        }
        if let Some(seat) = state.seats.get_mut(&between.to) {
            // Its right may have gone meanwhile.
            let data = data.filter(|_| seat.may_copy(between.format));
            seat.host.on_clip_data(self.clock.now(), between.request, data);
        }
    }

    /// A session is over: what its viewer offered cannot be pasted any more.
    pub(super) fn on_clip_owner_gone(&mut self, state: &mut State, id: u64) {
        let now = self.clock.now();
        for selection in Selection::ALL {
            if state.clip_of[selection as usize] != Some(id) {
                continue;
            }
            copied(state, now, ClipOffer { selection, formats: ClipFormats::NONE, secret: false }, None);
            if let Some(clipboard) = self.selection(selection) {
                // The display's end shows at the next poll.
                let _ = clipboard.withdraw();
            }
        }
        let over = |between: &Between| between.from == id || between.to == id;
        let gone: Vec<(u32, Between)> = state.between.iter().filter(|(_, b)| over(b)).map(|(n, b)| (*n, *b)).collect();
        for (asker, between) in gone {
            state.between.remove(&asker);
            self.forget_paste(state, asker);
            refuse(state, now, between);
        }
    }
}

/// Who pastes gets nothing.
fn refuse(state: &mut State, now: Stamp<HostClock>, between: Between) {
    if let Some(seat) = state.seats.get_mut(&between.to) {
        seat.host.on_clip_data(now, between.request, None);
    }
}

impl crate::seat::Seat {
    /// What the viewer may know of what was copied on the desktop.
    pub(super) fn on_clip_changed(&mut self, now: Stamp<HostClock>, offer: ClipOffer) {
        let formats = offer.formats.iter().filter(|format| self.may_copy(*format)).collect();
        self.host.on_clip_changed(now, ClipOffer { formats, ..offer });
    }

    /// Whether the desktop's clipboard may be read in this kind.
    // spec: K-59, K-62
    pub fn may_copy(&self, format: ClipFormat) -> bool {
        let rights = &self.guest.rights;
        rights.has(Feature::ClipboardCopy) && (format != ClipFormat::Files || rights.has(Feature::FileDownload))
    }

    /// Whether the viewer's clipboard may be pasted in this kind.
    // spec: K-59, K-62
    pub fn may_paste(&self, format: ClipFormat) -> bool {
        let rights = &self.guest.rights;
        rights.has(Feature::ClipboardPaste) && (format != ClipFormat::Files || rights.has(Feature::FileUpload))
    }
}
