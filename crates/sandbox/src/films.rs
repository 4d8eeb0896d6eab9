//! Films for the codec, decoded in a process that can do nothing else, or here where there cannot be one.

#[cfg(target_os = "linux")]
use crate::process::Process;
#[cfg(target_os = "linux")]
use crate::wire::{Fault, Verdict};
use std::path::PathBuf;
use std::str::FromStr;
use telepane_codec::CodecFault;
use telepane_codec::h264::Picture;
use telepane_codec::streams::{FilmStreams, InProcess, StreamFrame};

/// Whether films are decoded in a process of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Where one can be had; else in this process.
    #[default]
    Auto,
    /// In no other way.
    Required,
    /// No.
    Off,
}

impl When {
    /// Their names, in order.
    pub const NAMES: [&'static str; 3] = ["auto", "required", "off"];
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "required" => Ok(Self::Required),
            "off" => Ok(Self::Off),
            _ => Err(format!("{text:?} is none of {}", Self::NAMES.join(", "))),
        }
    }
}

/// There is no process to decode films in, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("films cannot be decoded in a process of their own: {0}")]
pub struct Lacking(pub String);

/// See the module.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "nothing is decoded elsewhere there"))]
pub struct Films {
    when: When,
    openh264: Option<PathBuf>,
    state: State,
    /// A process stood once: from then on nothing is decoded here, whatever becomes of it.
    stood: bool,
    /// Frames that the present process decoded.
    frames: u32,
    /// Processes that were lost in a row, none of which decoded [`FRUITFUL`] frames.
    barren: u32,
}

impl Default for Films {
    fn default() -> Self {
        Self::new(When::default(), None)
    }
}

enum State {
    /// Nothing is started yet, or no longer.
    None,
    #[cfg(target_os = "linux")]
    Process(Box<Process>),
    /// Decoded here.
    Here(Box<InProcess>),
}

/// A second of film.
#[cfg(target_os = "linux")]
const FRUITFUL: u32 = 30;
/// After so many processes that decoded less, films are given up: a host can make us start processes, and wait for them, no
/// more often than this.
#[cfg(target_os = "linux")]
const MOST_BARREN: u32 = 8;

impl Films {
    /// Nothing is started before [`Films::start`], or the first frame. `openh264`: see [`telepane_codec::h264::load`].
    pub fn new(when: When, openh264: Option<PathBuf>) -> Self {
        let state = if when == When::Off { State::Here(Box::default()) } else { State::None };
        Self { when, openh264, state, stood: false, frames: 0, barren: 0 }
    }

    /// Starts a process, so that the first frame need not wait for it. The calling thread must be the one that decodes.
    pub fn start(&mut self) {
        if matches!(self.state, State::None)
            && let Err(why) = self.begin()
        {
            self.lack(&why);
        }
    }

    /// Waits until a process stands, if one is required.
    ///
    /// # Errors
    /// When there is none.
    pub fn require(&mut self) -> Result<(), Lacking> {
        if self.when != When::Required {
            return Ok(());
        }
        if matches!(self.state, State::None) {
            self.begin()?;
        }
        self.stand()
    }

    /// Films are not decoded elsewhere. Where that is not asked for they are decoded here from now on, unless they ever were:
    /// whoever can end a process must not get at this one by that.
    fn lack(&mut self, why: &Lacking) {
        self.state = State::None;
        if self.stood {
            tracing::warn!(%why, "a film is not shown");
        } else if self.when == When::Required {
            tracing::warn!(%why, "films are not shown, as --film-sandbox required says");
        } else {
            tracing::warn!(%why, "films are decoded in this process");
            self.state = State::Here(Box::default());
        }
    }
}

#[cfg(target_os = "linux")]
impl Films {
    fn begin(&mut self) -> Result<(), Lacking> {
        if self.barren >= MOST_BARREN {
            return Err(Lacking(format!("{MOST_BARREN} processes were lost one after the other")));
        }
        let process = Process::start(self.openh264.as_deref()).map_err(|error| Lacking(error.to_string()))?;
        self.state = State::Process(Box::new(process));
        self.frames = 0;
        Ok(())
    }

    fn stand(&mut self) -> Result<(), Lacking> {
        let State::Process(process) = &mut self.state else { return Ok(()) };
        let had = process.stands.is_some();
        match process.stand() {
            Ok(hello) => {
                if !had && !self.stood {
                    tracing::info!(landlock = hello.landlock, "films are decoded in a process of their own");
                }
                self.stood = true;
                Ok(())
            }
            Err(fault) => Err(self.lose(fault)),
        }
    }

    /// The process is not gone on with.
    fn lose(&mut self, fault: Fault) -> Lacking {
        self.barren = if self.frames >= FRUITFUL { 0 } else { self.barren + 1 };
        match std::mem::replace(&mut self.state, State::None) {
            State::Process(process) => Lacking(format!("{fault} ({})", process.end())),
            State::None | State::Here(_) => Lacking(fault.to_string()),
        }
    }

    /// Has it decoded elsewhere, and waits for it.
    fn ask(&mut self, frame: &StreamFrame<'_>) -> Result<Verdict, CodecFault> {
        let State::Process(process) = &mut self.state else { return Err(CodecFault::FilmStream) };
        match process.channel.ask(frame) {
            Ok(verdict) => {
                self.frames = self.frames.saturating_add(1);
                Ok(verdict)
            }
            Err(fault) => {
                let Lacking(why) = self.lose(fault);
                tracing::warn!(why, "the process that decodes films is lost; another is started");
                // So that it stands when the film begins anew.
                self.start();
                Err(CodecFault::FilmStream)
            }
        }
    }
}

#[cfg(target_os = "linux")]
impl FilmStreams for Films {
    fn decode(&mut self, frame: StreamFrame<'_>) -> Result<Picture<'_>, CodecFault> {
        self.start();
        if let Err(why) = self.stand() {
            self.lack(&why);
        }
        let verdict = if matches!(self.state, State::Here(_)) { None } else { Some(self.ask(&frame)?) };
        match (&mut self.state, verdict) {
            (State::Here(streams), _) => streams.decode(frame),
            (State::Process(process), Some(Verdict::Picture)) => {
                process.channel.picture(frame.sides).ok_or(CodecFault::FilmStream)
            }
            (_, Some(Verdict::OtherSides)) => Err(CodecFault::FilmSize),
            _ => Err(CodecFault::FilmStream),
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Films {
    fn begin(&mut self) -> Result<(), Lacking> {
        Err(Lacking("this system has no way to lock one yet".into()))
    }

    fn stand(&mut self) -> Result<(), Lacking> {
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl FilmStreams for Films {
    fn decode(&mut self, frame: StreamFrame<'_>) -> Result<Picture<'_>, CodecFault> {
        self.start();
        match &mut self.state {
            State::Here(streams) => streams.decode(frame),
            State::None => Err(CodecFault::FilmStream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_codec::h264::{H264Encoder, I420};

    #[test]
    fn every_name_is_understood() {
        let all = When::NAMES.map(str::parse::<When>);
        assert_eq!(all, [Ok(When::Auto), Ok(When::Required), Ok(When::Off)]);
        assert!("on".parse::<When>().is_err());
    }

    /// A program whose `main` does not know the hidden argument, like this one, has no process to decode in.
    #[test]
    fn where_there_is_no_process_it_is_done_here_unless_one_is_required() {
        let (mut encoder, mut picture, mut data) =
            (H264Encoder::new(64, 64, 500_000, 30.0, (20, 51)), I420::default(), Vec::new());
        picture.resize(64, 64);
        assert!(encoder.as_mut().is_some_and(|e| e.encode(&mut picture, true, &mut data)));
        let frame = StreamFrame { slot: 0, anew: true, sides: (64, 64), data: &data };
        for (when, shown) in [(When::Auto, true), (When::Off, true), (When::Required, false)] {
            let mut films = Films::new(when, None);
            assert_eq!(films.require().is_ok(), shown, "{when:?}");
            films.start();
            for _ in 0..2 {
                assert_eq!(films.decode(frame).is_ok(), shown, "{when:?}");
            }
        }
    }
}
