//! The viewer's side of the clipboard.

use super::Viewer;
use crate::output::{Alarm, ViewerOutput};
use telepane_model::{ClipFormat, ClipOffer, Selection, Stamp, ViewerClock};

impl Viewer {
    /// This machine's clipboard has something else to paste, or nothing any more.
    pub fn on_clip_changed(&mut self, now: Stamp<ViewerClock>, offer: ClipOffer) {
        self.advance(now);
        self.clip.on_local_change(now, offer);
    }

    /// An application here pastes what the host offered.
    pub fn on_clip_wanted(&mut self, now: Stamp<ViewerClock>, asker: u32, selection: Selection, format: ClipFormat) {
        self.advance(now);
        self.clip.on_wanted(now, &mut self.bulk, asker, selection, format);
    }

    /// It waits for it no longer.
    pub fn on_clip_unwanted(&mut self, now: Stamp<ViewerClock>, asker: u32) {
        self.advance(now);
        self.clip.on_unwanted(&mut self.bulk, asker);
    }

    /// The answer to [`crate::ClipWish::Fetch`].
    pub fn on_clip_data(&mut self, now: Stamp<ViewerClock>, id: u32, data: Option<Vec<u8>>) {
        self.advance(now);
        self.clip.on_local_data(now, &mut self.bulk, id, data);
    }

    /// The same for files: what fills the pipe that comes back is asked for with [`crate::BulkWish::Fill`].
    pub fn on_clip_stream(&mut self, now: Stamp<ViewerClock>, id: u32, size: u64) -> Option<u32> {
        self.advance(now);
        self.clip.on_local_stream(now, &mut self.bulk, id, size)
    }

    /// Whether the host takes X11's second selection.
    pub const fn peer_takes_primary(&self) -> bool {
        self.clip.peer_takes_primary()
    }

    pub(super) fn send_clip(&mut self, alarm: &mut Alarm<ViewerClock>) {
        self.clip.on_time(self.now, &mut self.bulk, alarm);
        while let Some(word) = self.clip.word() {
            self.send_control(word);
        }
        while let Some(wish) = self.clip.wish() {
            self.out.push_back(ViewerOutput::Clip(wish));
        }
    }
}
