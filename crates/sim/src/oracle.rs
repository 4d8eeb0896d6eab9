//! What the viewer may legally show, judged from outside: every framebuffer state must be one the host meant, nothing
//! older may follow something newer, and every key arrives once, in order, and in time.

use std::collections::BTreeMap;
use telepane_model::{Epoch, InputEvent, KeyMove, Pixels, Span, UpdateId, Version};
use xxhash_rust::xxh3::xxh3_64;

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Oracle {
    meant: BTreeMap<(Epoch, UpdateId), (u64, Version)>,
    shown: Option<(Epoch, Version)>,
    /// When each key was pressed in the client, in the world's microseconds.
    pressed: Vec<(u16, u64)>,
    /// And when it went down on the host.
    delivered: Vec<(u16, u64)>,
}

impl Oracle {
    /// The host coded a job whose slices are `first` to `last`, of which the last leaves `pixels` at the viewer.
    pub fn on_coded(&mut self, epoch: Epoch, (first, last): (UpdateId, UpdateId), pixels: &Pixels, version: Version) {
        // What a job coded that was overtaken is never sent, and its ids are given again, perhaps to the middle of a job.
        self.meant.retain(|(of, id), _| *of != epoch || *id < first);
        self.meant.insert((epoch, last), (xxh3_64(pixels.data()), version));
    }

    /// The viewer applied slice `id`. `last_of_job`: the host's picture is known only after a job's last slice.
    pub fn on_applied(&mut self, epoch: Epoch, id: UpdateId, pixels: &Pixels) {
        let Some((hash, version)) = self.meant.get(&(epoch, id)) else { return };
        assert_eq!(*hash, xxh3_64(pixels.data()), "after {epoch:?} {id:?} the viewer holds what the host meant");
        if let Some((e, v)) = self.shown {
            assert!((epoch, *version) >= (e, v), "nothing older follows something newer");
        }
        self.shown = Some((epoch, *version));
    }

    /// A key was pressed in the client.
    pub fn on_pressed(&mut self, event: &InputEvent, now: u64) {
        if let InputEvent::Key { code, action: KeyMove::Down } = event {
            self.pressed.push((code.0, now));
        }
    }

    /// A key went down on the host.
    pub fn on_injected(&mut self, event: &InputEvent, now: u64) {
        if let InputEvent::Key { code, action: KeyMove::Down } = event {
            self.delivered.push((code.0, now));
        }
    }

    /// Presses that reached the host.
    pub fn delivered(&self) -> usize {
        self.delivered.len()
    }

    /// Presses in the client.
    pub fn pressed(&self) -> usize {
        self.pressed.len()
    }

    /// Every press that was delivered came in order, once, and no later than `most` after it; those that were not are
    /// exactly as many as `dropped` says.
    ///
    /// # Panics
    /// When that is not so.
    pub fn check_keys(&self, most: Span, dropped: u32) {
        let mut presses = self.pressed.iter();
        for (code, at) in &self.delivered {
            // Presses are matched greedily in order, so an extra or reordered one has no partner.
            let partner = presses.find(|(c, p)| c == code && at.saturating_sub(*p) <= most.as_micros());
            assert!(partner.is_some(), "key {code} at {at} us was pressed in time and not delivered before");
        }
        let missing = self.pressed.len() - self.delivered.len();
        assert!(missing as u32 <= dropped, "{missing} presses missing, {dropped} said to be dropped");
    }
}
