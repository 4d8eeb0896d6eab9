//! Sound in a box: a source on the host and a loudspeaker at the viewer, each with a clock of its own, and frames that
//! carry their number instead of samples.

use telepane_model::{BitRate, HostClock, Span, Stamp, ViewerClock};
use telepane_session::sound::{Gate, Hearing, Piece, Playout, SoundArrival, SoundCoding, SoundFrame};

/// A frame lasts so long on its device's clock, in nanoseconds.
const FRAME_NS: u64 = 10_000_000;
/// From the first packet to a loudspeaker that plays, in microseconds.
const OPENING: u64 = 15_000;
/// A loudspeaker is closed after so many turns of silence.
const KEPT: u32 = 1_000;
/// What a coder looks ahead, in microseconds: Opus with the least delay.
const LOOK_AHEAD: u64 = 2_500;
/// The first byte of an Opus packet: CELT, full band, 10 ms, two channels.
const TOC: u8 = 0xf4;

/// See the module.
pub struct Sounds {
    plays: bool,
    gate: Gate,
    /// How the host's mind wants it coded.
    pub coding: SoundCoding,
    /// When the source has its next frame, in nanoseconds of the world.
    frame_at: Option<u64>,
    made: u32,
    /// How much faster the source's clock runs, in millionths.
    pub source_ppm: i64,
    /// How much faster the loudspeaker's does.
    pub device_ppm: i64,
    /// What the loudspeaker takes from asking to sounding.
    pub device: Span,
    /// The viewer's jitter buffer.
    pub playout: Playout<ViewerClock, HostClock>,
    turn_at: Option<u64>,
    /// Samples that the loudspeaker has too much, in millionths of a sample.
    left: i64,
    quiet: u32,
    last: Option<u32>,
    /// Frames of the viewer's microphone that the host's applications were given.
    pub spoken: u64,
    /// Frames heard.
    pub heard: u64,
    /// Frames heard that were not the one after the one before.
    pub broken: u64,
    /// The least and the greatest smoothed time held, since they were cleared.
    pub extremes: Option<(Span, Span)>,
    /// The greatest rate of frames and copies together that was ordered.
    pub most_rate: BitRate,
}

impl Default for Sounds {
    fn default() -> Self {
        Self {
            plays: false,
            gate: Gate::digital(),
            coding: SoundCoding::OFF,
            frame_at: None,
            made: 0,
            source_ppm: 0,
            device_ppm: 0,
            device: Span::ZERO,
            playout: Playout::new(),
            turn_at: None,
            left: 0,
            quiet: 0,
            last: None,
            spoken: 0,
            heard: 0,
            broken: 0,
            extremes: None,
            most_rate: BitRate::default(),
        }
    }
}

/// Scales a span of a clock that runs faster by `ppm` to true time.
const fn in_true_time(ns: u64, ppm: i64) -> u64 {
    (ns as i128 * 1_000_000 / (1_000_000 + ppm as i128)) as u64
}

impl Sounds {
    /// Applications on the host begin to play, or end.
    pub const fn set_playing(&mut self, now: u64, on: bool) {
        self.plays = on;
        if on && self.frame_at.is_none() {
            self.frame_at = Some(now * 1_000 + FRAME_NS);
        }
    }

    /// When something is due, in microseconds of the world.
    pub fn next_at(&self) -> Option<u64> {
        [self.frame_at, self.turn_at].into_iter().flatten().min().map(|ns| ns.div_ceil(1_000))
    }

    /// The next frame that the source has by `now` and that is heard.
    pub fn take_frame(&mut self, now: u64, host_now: Stamp<HostClock>) -> Option<SoundFrame<HostClock>> {
        loop {
            let at = self.frame_at.filter(|at| *at <= now * 1_000)?;
            self.frame_at = Some(at + in_true_time(FRAME_NS, self.source_ppm));
            let hearing = self.gate.on_frame(if self.plays { 9_000 } else { 0 });
            if hearing == Hearing::Silence {
                // The server tells when something plays; until then it is not read.
                self.frame_at = None;
            } else if self.coding.on {
                let mut bytes = vec![0; (self.coding.rate.as_bps() / 800).max(8) as usize];
                bytes[0] = TOC;
                bytes[1..5].copy_from_slice(&self.made.to_le_bytes());
                self.made += 1;
                let late = now.saturating_sub(at / 1_000);
                let captured = Stamp::from_micros(host_now.as_micros() - late - FRAME_NS / 1_000 - LOOK_AHEAD);
                return Some(SoundFrame { captured, bytes, last: hearing == Hearing::Last });
            }
        }
    }

    /// A packet came to the viewer.
    pub fn on_packet(&mut self, now: u64, viewer_now: Stamp<ViewerClock>, packet: SoundArrival<HostClock>) {
        self.playout.on_packet(viewer_now, packet);
        self.turn_at = self.turn_at.or(Some((now + OPENING) * 1_000));
    }

    /// The loudspeaker's turns that are due.
    pub fn turn(&mut self, now: u64, viewer_now: Stamp<ViewerClock>) {
        while let Some(at) = self.turn_at.filter(|at| *at <= now * 1_000) {
            self.turn_at = Some(at + in_true_time(FRAME_NS, self.device_ppm));
            self.fill(viewer_now);
            self.quiet = if self.playout.is_active() { 0 } else { self.quiet + 1 };
            if self.quiet > KEPT {
                (self.turn_at, self.quiet, self.left) = (None, 0, 0);
            }
        }
    }

    fn fill(&mut self, now: Stamp<ViewerClock>) {
        const TURN: i64 = 480 * 1_000_000;
        self.left += TURN;
        self.playout.on_device(now, self.device, Span::micros(FRAME_NS / 1_000));
        while self.left > 0 {
            let ahead = Span::micros(((TURN - self.left) / 48_000).max(0) as u64);
            let samples = match self.playout.next(now, ahead) {
                Piece::Silence(n) => n as i64,
                Piece::Frame(bytes) => {
                    self.hear(&bytes);
                    480
                }
                Piece::Mend(_) | Piece::Conceal => 480,
            };
            self.left -= samples * 1_000_000 * 1_000_000 / (1_000_000 + i64::from(self.playout.speed_ppm()));
        }
        if self.playout.is_active() {
            let held = self.playout.figures().held;
            let (least, most) = self.extremes.unwrap_or((held, held));
            self.extremes = Some((least.min(held), most.max(held)));
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let number = bytes.get(1..5).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
        self.heard += 1;
        self.broken += u64::from(self.last.is_some_and(|last| number != last + 1));
        self.last = Some(number);
    }
}
