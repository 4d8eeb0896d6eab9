//! The desk's part in the clipboard: carrying between the display's selections and the seats.

use super::{Desk, State, viewers};
use std::path::PathBuf;
use telepane_input::clipboard::{ClipEvent, Clipboard, FetchId, PasteId};
use telepane_model::{ClipFormat, ClipOffer, HostClock, Selection, Stamp};
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
                ClipEvent::Changed(offer) => {
                    state.clips[selection as usize] = offer;
                    viewers(state).for_each(|s| s.on_clip_changed(now, offer));
                }
                ClipEvent::Wanted { id, format } => self.on_pasted(state, now, (selection, id), format),
                ClipEvent::Unwanted { id } => {
                    let asker = asker(selection, id);
                    // Files go on: whoever pastes again has them at once.
                    if let Some(seat) = state.clip_from[selection as usize].and_then(|s| state.seats.get_mut(&s))
                        && !state.unpacking.values().any(|a| *a == asker)
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

    /// An application's paste is answered with files, or with none.
    pub(super) fn give_files(&mut self, state: &mut State, asker: u32, files: Option<Vec<PathBuf>>) {
        let (selection, id) = paste(asker);
        if let Some(clipboard) = self.selection(selection) {
            // The display's end shows at the next poll.
            let _ = match &files {
                Some(paths) => clipboard.provide_files(id, paths),
                None => clipboard.refuse(id),
            };
        }
        state.unpacked = files.map(|paths| (selection, paths)).or(state.unpacked.take());
    }

    pub(super) fn on_clip_wish(&mut self, state: &mut State, seat: u64, wish: ClipWish) {
        let now = self.clock.now();
        let selection = match &wish {
            ClipWish::Offered(offer) => offer.selection,
            ClipWish::Fetch { selection, .. } => *selection,
            ClipWish::Paste { id, .. } | ClipWish::Progress { id, .. } | ClipWish::Opened { id, .. } => paste(*id).0,
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
                clipboard.offer(offer.formats, offer.secret)
            }
            // Somebody else's offer is not this seat's to take back.
            ClipWish::Offered(_) if *from != Some(seat) => Ok(()),
            ClipWish::Offered(_) => clipboard.withdraw(),
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
