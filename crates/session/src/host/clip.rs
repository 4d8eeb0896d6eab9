//! The host's side of the clipboard.

use super::Host;
use crate::output::{Alarm, HostOutput};
use telepane_model::{ClipFormat, ClipOffer, HostClock, Selection, Stamp};

impl Host {
    /// This desktop's clipboard has something else to paste, or nothing any more.
    pub fn on_clip_changed(&mut self, now: Stamp<HostClock>, offer: ClipOffer) {
        self.advance(now);
        self.clip.on_local_change(now, offer);
    }

    /// An application here pastes what the viewer offered.
    pub fn on_clip_wanted(&mut self, now: Stamp<HostClock>, asker: u32, selection: Selection, format: ClipFormat) {
        self.advance(now);
        self.clip.on_wanted(now, &mut self.bulk, asker, selection, format);
    }

    /// It waits for it no longer.
    pub fn on_clip_unwanted(&mut self, now: Stamp<HostClock>, asker: u32) {
        self.advance(now);
        self.clip.on_unwanted(&mut self.bulk, asker);
    }

    /// The answer to [`crate::ClipWish::Fetch`].
    pub fn on_clip_data(&mut self, now: Stamp<HostClock>, id: u32, data: Option<Vec<u8>>) {
        self.advance(now);
        self.clip.on_local_data(now, &mut self.bulk, id, data);
    }

    /// The same for files: what fills the pipe that comes back is asked for with [`crate::BulkWish::Fill`].
    pub fn on_clip_stream(&mut self, now: Stamp<HostClock>, id: u32, size: u64) -> Option<u32> {
        self.advance(now);
        self.clip.on_local_stream(now, &mut self.bulk, id, size)
    }

    /// What the viewer pastes is on its way here, from another viewer.
    pub fn on_clip_coming(&mut self, now: Stamp<HostClock>, id: u32, size: u64) {
        self.advance(now);
        self.clip.on_local_coming(now, id, size);
    }

    /// Whether the viewer takes X11's second selection.
    pub const fn peer_takes_primary(&self) -> bool {
        self.clip.peer_takes_primary()
    }

    pub(super) fn send_clip(&mut self, alarm: &mut Alarm<HostClock>) {
        self.clip.on_time(self.now, &mut self.bulk, alarm);
        while let Some(word) = self.clip.word() {
            self.send_control(word);
        }
        while let Some(wish) = self.clip.wish() {
            self.out.push_back(HostOutput::Clip(wish));
        }
    }
}
