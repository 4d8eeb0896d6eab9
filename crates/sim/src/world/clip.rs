//! The clipboards of both machines: applications that copy and paste, and read what they own in no time.

use super::{Direction, World};
use std::collections::BTreeMap;
use telepane_model::{ClipFormat, ClipOffer, Selection};
use telepane_protocol::Capability;
use telepane_session::ClipWish;

/// One machine's clipboard.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// What was copied here, by kind.
    own: BTreeMap<ClipFormat, Vec<u8>>,
    /// What the other machine has.
    pub offered: ClipOffer,
    /// How often what is here was read for the other machine.
    pub read: u64,
    /// What came of pastes here: when, and what.
    pub pasted: Vec<(u64, Option<Vec<u8>>)>,
    /// Progress that was told.
    pub progress: u64,
    next: u32,
}

impl World {
    /// Both ends know the whole clipboard.
    pub fn share_clipboard(&mut self) {
        let host = Self::host_capabilities().with(Capability::Clipboard, telepane_protocol::clip::taken(true));
        self.viewer.on_capabilities(&host);
    }

    /// Someone copies on the host (`Down`) or at the viewer (`Up`).
    pub fn copy(&mut self, way: Direction, contents: impl IntoIterator<Item = (ClipFormat, Vec<u8>)>, secret: bool) {
        let board = &mut self.boards[usize::from(way == Direction::Up)];
        board.own = contents.into_iter().collect();
        let formats = board.own.keys().copied().collect();
        let offer = ClipOffer { selection: Selection::Clipboard, formats, secret };
        match way {
            Direction::Down => self.host.on_clip_changed(self.host_now(), offer),
            Direction::Up => self.viewer.on_clip_changed(self.viewer_now(), offer),
        }
        (self.host_wake, self.viewer_wake) = (Some(self.now), Some(self.now));
    }

    /// Someone pastes what came down, at the viewer, or what came up, on the host.
    pub fn paste(&mut self, way: Direction, format: ClipFormat) {
        let board = &mut self.boards[usize::from(way == Direction::Down)];
        board.next += 1;
        let (asker, selection) = (board.next, Selection::Clipboard);
        match way {
            Direction::Down => self.viewer.on_clip_wanted(self.viewer_now(), asker, selection, format),
            Direction::Up => self.host.on_clip_wanted(self.host_now(), asker, selection, format),
        }
        (self.host_wake, self.viewer_wake) = (Some(self.now), Some(self.now));
    }

    /// The host's clipboard, or the viewer's.
    pub const fn board(&mut self, host: bool) -> &mut Board {
        let [there, here] = &mut self.boards;
        if host { there } else { here }
    }

    /// What the shell does; `side` is the way that what it sends takes.
    pub(super) fn on_clip(&mut self, side: Direction, wish: ClipWish) {
        let (h, v) = (self.host_now(), self.viewer_now());
        let board = &mut self.boards[usize::from(side == Direction::Up)];
        match wish {
            ClipWish::Offered(offer) => board.offered = offer,
            ClipWish::Fetch { id, format, .. } => {
                board.read += 1;
                let data = board.own.get(&format).cloned();
                match side {
                    Direction::Down => self.host.on_clip_data(h, id, data),
                    Direction::Up => self.viewer.on_clip_data(v, id, data),
                }
            }
            ClipWish::Paste { data, .. } => board.pasted.push((self.now, data)),
            ClipWish::Progress { .. } => board.progress += 1,
            ClipWish::Opened { .. } => {}
        }
    }
}
