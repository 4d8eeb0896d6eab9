//! Sound: Opus in frames of 10 ms, 48 kHz, two channels in and out; and playing a little faster or slower.
//!
//! Desktop sound is coded as music (copies of frames bridge losses, see `session::sound`), with the least delay that Opus
//! has unless the link is thin; a microphone as speech in one channel, which carries its own correction where packets are
//! lost.

use opus::{Application, Bitrate, Channels, Decoder, Encoder};
use telepane_model::Span;
use thiserror::Error;

/// Samples of one channel in a frame.
pub const SAMPLES: usize = 480;
/// Samples of both channels in a frame.
pub const BOTH: usize = 2 * SAMPLES;
/// The most bytes of a frame (`protocol-spec/sound.md` S-3).
const MOST_BYTES: usize = 400;
const HERTZ: u32 = 48_000;
/// Of 10: half the cost of the best for what few hear (at 96 kbit/s).
const COMPLEXITY: i32 = 5;
/// Below this rate Opus codes a desktop's sound with its modes for speech too, which sound better there and look 4 ms
/// further ahead (RFC 6716 §2.1, §2.1.9).
const THIN: u64 = 20_000;
/// From this rate on it is coded without them again: a change is heard, so it is not made for a rate that wavers.
const WIDE: u64 = 40_000;

/// Opus refused.
#[derive(Debug, Error)]
#[error("opus: {0}")]
pub struct SoundError(#[from] opus::Error);

/// What is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything, in two channels.
    Desktop,
    /// A voice, in one.
    Microphone,
}

/// Makes frames of samples.
pub struct SoundEncoder {
    opus: Encoder,
    kind: Kind,
    /// Coded for the least delay, without modes for speech.
    quick: bool,
    mono: Vec<i16>,
}

fn encoder(kind: Kind, quick: bool) -> Result<Encoder, SoundError> {
    let (channels, application) = match kind {
        Kind::Desktop if quick => (Channels::Stereo, Application::LowDelay),
        Kind::Desktop => (Channels::Stereo, Application::Audio),
        Kind::Microphone => (Channels::Mono, Application::Voip),
    };
    let mut opus = Encoder::new(HERTZ, channels, application)?;
    opus.set_complexity(COMPLEXITY)?;
    Ok(opus)
}

impl SoundEncoder {
    /// A coder that has heard nothing.
    ///
    /// # Errors
    /// When Opus has no memory.
    pub fn new(kind: Kind) -> Result<Self, SoundError> {
        let quick = kind == Kind::Desktop;
        Ok(Self { opus: encoder(kind, quick)?, kind, quick, mono: Vec::new() })
    }

    /// From now on a frame takes so many bits a second, and so much is lost.
    ///
    /// # Errors
    /// When Opus refuses.
    pub fn set(&mut self, bits_per_second: u64, loss_percent: u8) -> Result<(), SoundError> {
        if self.kind == Kind::Desktop {
            let quick = bits_per_second >= if self.quick { THIN } else { WIDE };
            if quick != self.quick {
                (self.opus, self.quick) = (encoder(self.kind, quick)?, quick);
            }
        }
        let most = if self.kind == Kind::Microphone { 48_000 } else { 256_000 };
        self.opus.set_bitrate(Bitrate::Bits(bits_per_second.clamp(6_000, most) as i32))?;
        if self.kind == Kind::Microphone {
            self.opus.set_inband_fec(loss_percent > 0)?;
            self.opus.set_packet_loss_perc(i32::from(loss_percent.min(100)))?;
        }
        Ok(())
    }

    /// By how much what a frame decodes to is earlier than what it was coded of.
    ///
    /// # Errors
    /// When Opus does not tell.
    pub fn look_ahead(&mut self) -> Result<Span, SoundError> {
        let samples = self.opus.get_lookahead()?;
        Ok(Span::micros(u64::try_from(samples).unwrap_or(0) * 1_000 / 48))
    }

    /// Codes a frame of [`BOTH`] samples, left and right in turns.
    ///
    /// # Errors
    /// When there are not so many.
    pub fn encode(&mut self, samples: &[i16]) -> Result<Vec<u8>, SoundError> {
        match self.kind {
            Kind::Desktop => Ok(self.opus.encode_vec(samples, MOST_BYTES)?),
            Kind::Microphone => {
                let half = |p: &[i16]| ((p.iter().map(|s| i32::from(*s)).sum::<i32>()) / 2) as i16;
                self.mono.clear();
                self.mono.extend(samples.chunks_exact(2).map(half));
                Ok(self.opus.encode_vec(&self.mono, MOST_BYTES)?)
            }
        }
    }
}

/// Makes samples of frames. The bytes may be anything: libopus bounds them, and what does not decode is an error.
pub struct SoundDecoder(Decoder);

impl SoundDecoder {
    /// A decoder that has heard nothing.
    ///
    /// # Errors
    /// When Opus has no memory.
    pub fn new() -> Result<Self, SoundError> {
        Ok(Self(Decoder::new(HERTZ, Channels::Stereo)?))
    }

    /// The samples of a frame; `out` has [`BOTH`] of them.
    ///
    /// # Errors
    /// When it does not decode to just a frame.
    pub fn decode(&mut self, frame: &[u8], out: &mut [i16; BOTH]) -> Result<(), SoundError> {
        self.run(frame, out, false)
    }

    /// The samples of the frame before `next`, from the correction in it where there is any.
    ///
    /// # Errors
    /// When it does not decode.
    pub fn mend(&mut self, next: &[u8], out: &mut [i16; BOTH]) -> Result<(), SoundError> {
        self.run(next, out, true)
    }

    /// Samples that fit to what was heard.
    ///
    /// # Errors
    /// When Opus refuses.
    pub fn conceal(&mut self, out: &mut [i16; BOTH]) -> Result<(), SoundError> {
        self.run(&[], out, false)
    }

    fn run(&mut self, frame: &[u8], out: &mut [i16; BOTH], before: bool) -> Result<(), SoundError> {
        let samples = self.0.decode(frame, out, before)?;
        // A frame that is shorter than it promised leaves silence.
        out.get_mut(2 * samples..).unwrap_or_default().fill(0);
        Ok(())
    }
}

/// The greatest sample.
pub fn peak(samples: &[i16]) -> u16 {
    samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0)
}

/// Plays a little faster or slower: Catmull-Rom interpolation between samples. At the nominal speed it changes nothing.
#[derive(Debug, Default)]
pub struct Stretch {
    /// The four samples around the place, of both channels.
    around: [[f32; 2]; 4],
    /// The place between the second and the third.
    at: f64,
}

impl Stretch {
    /// Plays `samples` faster by so many millionths, to the end of `out`.
    pub fn play(&mut self, samples: &[i16], faster_ppm: i32, out: &mut std::collections::VecDeque<i16>) {
        let step = 1.0 + f64::from(faster_ppm) / 1e6;
        for pair in samples.chunks_exact(2) {
            let [a, b, c, _] = self.around;
            let d = [f32::from(pair[0]), f32::from(pair[1])];
            // One more sample came: the place is one further back.
            self.around = [b, c, d, d];
            let [x0, x1, x2, x3] = [a, b, c, d];
            while self.at < 1.0 {
                let t = self.at as f32;
                for channel in 0..2 {
                    let (p0, p1, p2, p3) = (x0[channel], x1[channel], x2[channel], x3[channel]);
                    let v = p1
                        + 0.5
                            * t
                            * (p2 - p0 + t * (2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3 + t * (3.0 * (p1 - p2) + p3 - p0)));
                    out.push_back(v.round().clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16);
                }
                self.at += step;
            }
            self.at -= 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A tone of so many hertz, a frame long, from sample `from` on.
    fn tone(hertz: f64, from: usize) -> Vec<i16> {
        let at = |i: usize| (8_000.0 * (std::f64::consts::TAU * hertz * i as f64 / 48_000.0).sin()) as i16;
        (from..from + SAMPLES).flat_map(|i| [at(i), at(i)]).collect()
    }

    fn correlation(a: &[i16], b: &[i16]) -> f64 {
        let dot = |x: &[i16], y: &[i16]| x.iter().zip(y).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1.0)
    }

    #[test]
    fn what_is_coded_is_heard_again() {
        for (kind, bits) in [(Kind::Desktop, 96_000), (Kind::Microphone, 32_000)] {
            let mut coder = SoundEncoder::new(kind).expect("opus");
            coder.set(bits, 0).expect("a rate");
            let mut decoder = SoundDecoder::new().expect("opus");
            let (mut sent, mut heard, mut bytes) = (Vec::new(), Vec::new(), 0);
            for n in 0..100 {
                let samples = tone(440.0, n * SAMPLES);
                let frame = coder.encode(&samples).expect("codes");
                bytes += frame.len();
                let mut out = [0; BOTH];
                decoder.decode(&frame, &mut out).expect("decodes");
                sent.extend(samples);
                heard.extend(out);
            }
            let best =
                (0..2_000).map(|lag| correlation(&sent[9_600..48_000], &heard[9_600 + 2 * lag..48_000 + 2 * lag]));
            let best = best.fold(0.0, f64::max);
            println!("{kind:?}: {} bit/s, correlation {best:.4}", bytes * 8);
            assert!(best > 0.98, "{kind:?} {best}");
            assert!(bytes * 8 <= bits as usize * 5 / 4, "{bytes}");
        }
    }

    /// By how many samples a rising tone is heard later than it was coded.
    fn delay(coder: &mut SoundEncoder) -> usize {
        let at = |i: usize| {
            let t = i as f64 / 48_000.0;
            (8_000.0 * (std::f64::consts::TAU * (300.0 * t + 1_500.0 * t * t)).sin()) as i16
        };
        let sent: Vec<i16> = (0..48_000).flat_map(|i| [at(i), at(i)]).collect();
        let (mut decoder, mut heard) = (SoundDecoder::new().expect("opus"), Vec::new());
        for frame in sent.chunks_exact(BOTH) {
            let mut out = [0; BOTH];
            decoder.decode(&coder.encode(frame).expect("codes"), &mut out).expect("decodes");
            heard.extend(out);
        }
        let part = &sent[20_000..80_000];
        let best = (0..1_000).map(|lag| (correlation(part, &heard[20_000 + 2 * lag..80_000 + 2 * lag]), lag));
        best.max_by(|a, b| a.0.total_cmp(&b.0)).expect("many").1
    }

    // spec: S-1
    #[test]
    fn what_is_coded_is_heard_later_by_what_the_coder_looks_ahead() {
        for (kind, bits, most) in
            [(Kind::Desktop, 96_000, 2_500), (Kind::Desktop, 16_000, 6_500), (Kind::Microphone, 32_000, 6_500)]
        {
            let mut coder = SoundEncoder::new(kind).expect("opus");
            coder.set(bits, 0).expect("a rate");
            let ahead = coder.look_ahead().expect("told");
            let heard = Span::micros(delay(&mut coder) as u64 * 1_000 / 48);
            println!("{kind:?} at {bits} bit/s looks {ahead:?} ahead and is heard {heard:?} later");
            assert_eq!(ahead, Span::micros(most));
            assert!(ahead.saturating_sub(heard).max(heard.saturating_sub(ahead)) < Span::millis(1), "{heard:?}");
        }
    }

    #[test]
    fn a_rate_that_wavers_does_not_change_the_way_of_coding() {
        let mut coder = SoundEncoder::new(Kind::Desktop).expect("opus");
        let mut ahead = |bits| {
            coder.set(bits, 0).expect("a rate");
            coder.look_ahead().expect("told").as_micros()
        };
        let seen = [96_000, 24_000, 16_000, 24_000, 32_000, 16_000, 40_000, 24_000].map(&mut ahead);
        assert_eq!(seen, [2_500, 2_500, 6_500, 6_500, 6_500, 6_500, 2_500, 2_500]);
    }

    // spec: S-3
    #[test]
    fn any_bytes_are_refused_or_heard() {
        let mut decoder = SoundDecoder::new().expect("opus");
        let mut out = [0; BOTH];
        for seed in 0..2_000u32 {
            let len = 1 + (seed * 7) as usize % 300;
            let bytes: Vec<u8> = (0..len as u32)
                .map(|i| (seed.wrapping_mul(2_654_435_761).wrapping_add(i * 40_503) >> 13) as u8)
                .collect();
            let _ = decoder.decode(&bytes, &mut out);
            let _ = decoder.mend(&bytes, &mut out);
        }
        decoder.conceal(&mut out).expect("it still plays");
    }

    #[test]
    fn at_the_nominal_speed_nothing_changes_and_faster_is_shorter() {
        let samples = tone(1_000.0, 0);
        let mut out = VecDeque::new();
        Stretch::default().play(&samples, 0, &mut out);
        let out: Vec<i16> = out.into();
        assert_eq!(out[4..], samples[..BOTH - 4], "two samples later, and the same");
        let mut faster = (Stretch::default(), VecDeque::new());
        let mut slower = (Stretch::default(), VecDeque::new());
        for n in 0..1_000 {
            faster.0.play(&tone(1_000.0, n * SAMPLES), 5_000, &mut faster.1);
            slower.0.play(&tone(1_000.0, n * SAMPLES), -5_000, &mut slower.1);
        }
        let (fast, slow) = (faster.1.len() as f64 / 2.0, slower.1.len() as f64 / 2.0);
        assert!((480_000.0 / fast - 1.005).abs() < 1e-5 && (480_000.0 / slow - 0.995).abs() < 1e-5, "{fast} {slow}");
    }
}
