//! Fills a device with what came: asks [`Playout`] for the next piece, decodes it, and plays it at the speed it says.

use std::collections::VecDeque;
use telepane_codec::sound::{BOTH, SoundDecoder, SoundError, Stretch};
use telepane_model::{Clock, Span, Stamp};
use telepane_session::sound::{Piece, Playout, PlayoutFigures, SoundArrival};

/// See the module. `C` is the player's clock, `P` the sender's.
pub struct Player<C: Clock, P: Clock> {
    playout: Playout<C, P>,
    decoder: SoundDecoder,
    stretch: Stretch,
    ready: VecDeque<i16>,
    level: f32,
    /// Frames that did not decode.
    undecodable: u64,
}

impl<C: Clock, P: Clock> Player<C, P> {
    /// Nothing has come.
    ///
    /// # Errors
    /// When Opus has no memory.
    pub fn new() -> Result<Self, SoundError> {
        Ok(Self {
            playout: Playout::new(),
            decoder: SoundDecoder::new()?,
            stretch: Stretch::default(),
            ready: VecDeque::new(),
            level: 1.0,
            undecodable: 0,
        })
    }

    /// A packet came.
    pub fn on_packet(&mut self, now: Stamp<C>, packet: SoundArrival<P>) {
        self.playout.on_packet(now, packet);
    }

    /// A picture was shown so long after its capture.
    pub fn on_picture(&mut self, now: Stamp<C>, age: Span) {
        self.playout.on_picture(now, age);
    }

    /// The sender or the connection is another.
    pub fn reset(&mut self) {
        self.playout.reset();
        self.ready.clear();
    }

    /// How loud, 1 as it was sent, 0 not at all.
    pub const fn set_level(&mut self, level: f32) {
        self.level = level;
    }

    /// Whether something is played or about to be.
    pub fn is_active(&self) -> bool {
        self.playout.is_active()
    }

    /// How old what is heard now is, if anything is.
    pub fn age(&self) -> Option<Span> {
        self.playout.age()
    }

    /// What happened so far, and how many frames did not decode.
    pub fn figures(&self) -> (PlayoutFigures, u64) {
        (self.playout.figures(), self.undecodable)
    }

    /// The device was opened.
    pub const fn on_open(&mut self, now: Stamp<C>) {
        self.playout.on_open(now);
    }

    /// Fills the device's next samples, of which the first sounds `latency` after `now`.
    pub fn fill(&mut self, now: Stamp<C>, latency: Span, out: &mut [i16]) {
        let turn = Span::micros(out.len() as u64 / 2 * 1_000 / 48);
        self.playout.on_device(now, latency, turn);
        let mut piece = [0; BOTH];
        while self.ready.len() < out.len() {
            let ahead = Span::micros(self.ready.len() as u64 / 2 * 1_000 / 48);
            let samples = match self.playout.next(now, ahead) {
                Piece::Silence(samples) => {
                    piece.fill(0);
                    2 * samples
                }
                wanted => {
                    self.decode(&wanted, &mut piece);
                    BOTH
                }
            };
            let piece = piece.get(..samples).unwrap_or_default();
            self.stretch.play(piece, self.playout.speed_ppm(), &mut self.ready);
            if samples == 0 {
                break;
            }
        }
        for sample in out {
            *sample = (f32::from(self.ready.pop_front().unwrap_or(0)) * self.level) as i16;
        }
    }

    fn decode(&mut self, piece: &Piece, out: &mut [i16; BOTH]) {
        let done = match piece {
            Piece::Frame(frame) => self.decoder.decode(frame, out),
            Piece::Mend(next) => self.decoder.mend(next, out),
            Piece::Conceal | Piece::Silence(_) => self.decoder.conceal(out),
        };
        // spec: F-2
        if done.is_err() {
            self.undecodable += 1;
            if self.decoder.conceal(out).is_err() {
                out.fill(0);
            }
        }
    }
}
