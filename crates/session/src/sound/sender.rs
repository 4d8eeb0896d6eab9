//! What each packet of sound carries: its frame, and copies of those before it where packets are lost.

use super::{SoundCoding, SoundFrame};
use std::collections::VecDeque;
use telepane_model::{BitRate, Clock, Span, Stamp};
use telepane_protocol::SoundPacket;
use telepane_protocol::sound::{MAX_SOUND_BYTES, MOST_COPIES};

/// All that sound may take, copies included (`research/rate-control.md` §5.9), and the least a frame is coded with.
// spec: S-10
const MOST: BitRate = BitRate::kbps(128);
const LEAST: BitRate = BitRate::kbps(16);
/// Without copies; more is not heard.
const FULL: BitRate = BitRate::kbps(96);
/// The share of the path that sound takes at most.
const SHARE: u64 = 8;
/// More copies stay for so long after the last reason for them.
// spec: S-9
const KEPT: Span = Span::secs(10);
/// From this much loss on there are so many copies, in millionths.
const STEPS: [(u32, usize); MOST_COPIES] = [(10_000, 1), (20_000, 2), (50_000, 3)];

/// What is known of the path.
#[derive(Clone, Copy, Debug)]
pub struct SoundPath {
    /// The part of the packets that is lost, in millionths.
    pub loss_ppm: u32,
    /// What it carries.
    pub pace: BitRate,
    /// The most a person allows for sound.
    pub limit: Option<BitRate>,
}

/// See the module. `C` is the sender's clock.
#[derive(Debug)]
pub struct Sender<C: Clock> {
    next: u32,
    /// The frames before, the newest first.
    recent: VecDeque<Vec<u8>>,
    copies: usize,
    /// When there was last a reason for so many copies.
    reason: Stamp<C>,
    /// The newest frame lost, and how many in a row were.
    lost: Option<(u32, usize)>,
    told: SoundCoding,
}

impl<C: Clock> Sender<C> {
    /// Nothing was sent, and nobody listens.
    pub const fn new() -> Self {
        Self { next: 0, recent: VecDeque::new(), copies: 0, reason: Stamp::ZERO, lost: None, told: SoundCoding::OFF }
    }

    /// A frame is to leave now.
    // spec: S-8, S-9
    pub fn packet(&mut self, now: Stamp<C>, frame: SoundFrame<C>, path: SoundPath) -> SoundPacket {
        self.follow(now, path);
        let earlier = self.recent.iter().take(self.copies).cloned().collect();
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let mut bytes = frame.bytes;
        bytes.truncate(MAX_SOUND_BYTES);
        if frame.last {
            // What follows is no neighbour of it.
            self.recent.clear();
        } else {
            self.recent.push_front(bytes.clone());
            self.recent.truncate(MOST_COPIES);
        }
        SoundPacket { number, captured: frame.captured.low32(), last: frame.last, frame: bytes, earlier }
    }

    /// The packet with frame `number` was lost.
    // spec: S-9
    pub fn on_lost(&mut self, now: Stamp<C>, number: u32) {
        let run = match self.lost {
            Some((before, run)) if number == before.wrapping_add(1) => run + 1,
            _ => 1,
        };
        self.lost = Some((number, run));
        if run >= 2 {
            self.raise(now, run.min(MOST_COPIES));
        }
    }

    /// How sound is to be coded from now on, if that has changed.
    // spec: S-10
    pub fn coding(&mut self, on: bool, path: SoundPath) -> Option<SoundCoding> {
        let share = BitRate::bps(path.pace.as_bps() / SHARE);
        let all = MOST.min(share).min(path.limit.unwrap_or(MOST));
        let rate = BitRate::bps(all.as_bps() / (1 + self.copies as u64)).clamp(LEAST, FULL);
        // In steps, so that the coder is not set anew with every packet.
        let rate = BitRate::kbps((rate.as_bps() / 8_000 * 8).max(16));
        let coding = SoundCoding { on, rate, loss_percent: (path.loss_ppm.div_ceil(10_000)).min(30) as u8 };
        let matters = on || self.told.on;
        (matters && coding != self.told).then(|| {
            self.told = coding;
            coding
        })
    }

    /// Copies in each packet.
    pub const fn copies(&self) -> usize {
        self.copies
    }

    fn follow(&mut self, now: Stamp<C>, path: SoundPath) {
        let wanted = STEPS.iter().filter(|(from, _)| path.loss_ppm >= *from).map(|(_, n)| *n).max().unwrap_or(0);
        if wanted > 0 {
            self.raise(now, wanted);
        }
        if now.since(self.reason) > KEPT {
            (self.copies, self.reason) = (wanted, now);
        }
    }

    fn raise(&mut self, now: Stamp<C>, copies: usize) {
        if copies >= self.copies {
            (self.copies, self.reason) = (copies, now);
        }
    }
}

impl<C: Clock> Default for Sender<C> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::HostClock;

    const PATH: SoundPath = SoundPath { loss_ppm: 0, pace: BitRate::mbps(20), limit: None };

    fn send(s: &mut Sender<HostClock>, ms: u64, path: SoundPath, last: bool) -> SoundPacket {
        let now = Stamp::from_micros(ms * 1_000);
        let frame = SoundFrame { captured: now, bytes: vec![0xf4, (ms / 10) as u8], last };
        s.packet(now, frame, path)
    }

    // spec: S-9
    #[test]
    fn copies_follow_the_loss_and_fall_back_after_it() {
        let mut s = Sender::new();
        assert!(send(&mut s, 0, PATH, false).earlier.is_empty());
        for (loss_ppm, copies) in [(10_000, 1), (25_000, 2), (60_000, 3)] {
            for ms in [10, 20, 30] {
                send(&mut s, ms, PATH, false);
            }
            let packet = send(&mut s, 40, SoundPath { loss_ppm, ..PATH }, false);
            let tags: Vec<u8> = packet.earlier.iter().map(|f| f[1]).collect();
            assert_eq!(tags, [3, 2, 1][..copies], "{loss_ppm}");
        }
        assert_eq!(send(&mut s, 9_000, PATH, false).earlier.len(), 3);
        assert!(send(&mut s, 10_100, PATH, false).earlier.is_empty());
    }

    // spec: S-9
    #[test]
    fn packets_lost_in_a_row_raise_them_at_once() {
        let mut s = Sender::<HostClock>::new();
        let now = Stamp::from_micros(5);
        s.on_lost(now, 7);
        s.on_lost(now, 9);
        assert_eq!(s.copies(), 0);
        s.on_lost(now, 10);
        assert_eq!(s.copies(), 2);
        s.on_lost(now, 11);
        assert_eq!(s.copies(), 3);
    }

    // spec: S-8, S-9
    #[test]
    fn what_was_heard_before_a_silence_is_not_said_again() {
        let mut s = Sender::new();
        let lossy = SoundPath { loss_ppm: 60_000, ..PATH };
        send(&mut s, 0, lossy, false);
        let last = send(&mut s, 10, lossy, true);
        assert!(last.last && last.earlier.len() == 1);
        let next = send(&mut s, 20, lossy, false);
        assert!(next.earlier.is_empty() && next.number == last.number + 1);
    }

    // spec: S-10
    #[test]
    fn frames_and_copies_stay_within_their_rate_and_share() {
        let mut s = Sender::<HostClock>::new();
        assert_eq!(s.coding(true, PATH).expect("new").rate, BitRate::kbps(96));
        assert_eq!(s.coding(true, PATH), None, "said once");
        s.raise(Stamp::ZERO, 3);
        assert_eq!(s.coding(true, SoundPath { loss_ppm: 60_000, ..PATH }).expect("new").rate, BitRate::kbps(32));
        let thin = SoundPath { pace: BitRate::kbps(400), ..PATH };
        assert_eq!(s.coding(true, thin).expect("new").rate, BitRate::kbps(16), "never less");
        let limited = SoundPath { limit: Some(BitRate::kbps(64)), ..PATH };
        let mut fresh = Sender::<HostClock>::new();
        assert_eq!(fresh.coding(true, limited).expect("new").rate, BitRate::kbps(64));
    }
}
