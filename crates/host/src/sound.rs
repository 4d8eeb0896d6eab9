//! The desktop's sound: its own sinks, a thread that listens to one, a thread that plays the viewers' microphone into
//! the other. Sound that is not there is said once, and everything else works without it.

use crate::cli::Serve;
use crate::clock::Clock;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use telepane_audio::pulse::{Microphone, Monitor};
use telepane_audio::{Heard, Now, Recorder, SoundServer, Speaker};
use telepane_codec::sound::Kind;
use telepane_model::{HostClock, Span, Stamp, ViewerClock};
use telepane_session::sound::{PlayoutFigures, SoundArrival, SoundCoding, SoundFrame};

/// See the module.
pub struct Sound {
    server: Option<Arc<SoundServer>>,
    recorder: Option<Recorder>,
    speaker: Option<Speaker<HostClock, ViewerClock>>,
    heard: Receiver<Heard>,
    told: SoundCoding,
    /// Whose microphone is played, and when it was last heard.
    speaks: Option<(u64, Stamp<HostClock>)>,
}

/// What happened so far, for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoundFigures {
    /// Frames of the desktop's sound that were coded.
    pub heard: u64,
    /// Times a sound device was opened again after it failed.
    pub rebuilt: u64,
    /// The microphone's.
    pub microphone: PlayoutFigures,
}

/// Another viewer's microphone is played once the one before has been quiet for so long.
const QUIET: Span = Span::millis(500);

/// The sinks for a desktop that is about to be started; `None` if there is no sound to be had, which was said.
pub fn for_desktop(serve: &Serve) -> Option<Arc<SoundServer>> {
    found(serve, SoundServer::for_desktop)
}

/// The sound of a session that runs already.
pub fn of_session(serve: &Serve) -> Option<Arc<SoundServer>> {
    found(serve, SoundServer::of_session)
}

type Open = fn(&str) -> Result<Arc<SoundServer>, telepane_audio::Nothing>;

fn found(serve: &Serve, open: Open) -> Option<Arc<SoundServer>> {
    if serve.no_sound {
        return None;
    }
    match open(&std::process::id().to_string()) {
        Ok(server) => {
            tracing::info!(sink = server.sink(), own = server.is_own(), "sound");
            Some(server)
        }
        Err(why) => {
            tracing::warn!(%why, "the desktop has no sound");
            None
        }
    }
}

impl Sound {
    /// Starts the threads. `wake` is called whenever there are frames to be taken.
    pub fn start(server: Option<Arc<SoundServer>>, clock: Clock, wake: impl Fn() + Send + 'static) -> Self {
        let (send, heard) = channel();
        let now: Now = Arc::new(move || clock.micros());
        let give = move |frame| {
            // The loop has ended when nobody takes it.
            if send.send(frame).is_ok() {
                wake();
            }
        };
        let (recorder, speaker) = match &server {
            Some(server) => {
                let monitor = Box::new(Monitor(server.clone()));
                let recorder = Recorder::start("telepane-listen", monitor, Kind::Desktop, now.clone(), give);
                let sink = server.takes_microphone().then(|| Box::new(Microphone(server.clone())));
                let speaker = sink.map(|sink| Speaker::start("telepane-speak", sink, now)).transpose();
                (recorder.map_err(complain).ok(), speaker.map_err(complain).ok().flatten())
            }
            None => (None, None),
        };
        Self { server, recorder, speaker, heard, told: SoundCoding::OFF, speaks: None }
    }

    /// Whether the desktop can be heard, and whether a microphone has a place to go.
    pub const fn has(&self) -> (bool, bool) {
        (self.recorder.is_some(), self.speaker.is_some())
    }

    /// The next frame that was heard.
    pub fn next_frame(&self) -> Option<SoundFrame<HostClock>> {
        let Heard { captured, bytes, last } = self.heard.try_recv().ok()?;
        Some(SoundFrame { captured: Stamp::from_micros(captured), bytes, last })
    }

    /// How the seats want it coded: there is one coder for all, so the least rate and the most loss hold.
    pub fn follow(&mut self, seats: impl Iterator<Item = SoundCoding>) {
        let all = seats.filter(|c| c.on).reduce(|a, b| SoundCoding {
            on: true,
            rate: a.rate.min(b.rate),
            loss_percent: a.loss_percent.max(b.loss_percent),
        });
        let coding = all.unwrap_or(SoundCoding::OFF);
        if let Some(recorder) = self.recorder.as_ref().filter(|_| coding != self.told) {
            self.told = coding;
            recorder.set(coding);
        }
    }

    /// Plays a frame of a seat's microphone.
    pub fn play(&mut self, now: Stamp<HostClock>, seat: u64, packet: SoundArrival<ViewerClock>) {
        let Some(speaker) = &self.speaker else { return };
        if let Some((other, at)) = self.speaks.filter(|(other, _)| *other != seat) {
            if now.since(at) < QUIET {
                tracing::debug!(other, seat, "two microphones at once: the first one is played");
                return;
            }
            speaker.reset();
        }
        self.speaks = Some((seat, now));
        speaker.play(packet);
    }

    /// What happened so far.
    pub fn figures(&self) -> SoundFigures {
        let recorder = self.recorder.as_ref();
        let speaker = self.speaker.as_ref();
        SoundFigures {
            heard: recorder.map_or(0, Recorder::heard),
            rebuilt: recorder.map_or(0, Recorder::rebuilt) + speaker.map_or(0, Speaker::rebuilt),
            microphone: speaker.map(|s| s.figures().0).unwrap_or_default(),
        }
    }

    /// The sinks' server.
    pub fn server(&self) -> Option<&SoundServer> {
        self.server.as_deref()
    }
}

impl Drop for Sound {
    fn drop(&mut self) {
        // The threads hold the server too, and may still run when the process ends.
        if let Some(server) = &self.server {
            server.close();
        }
    }
}

fn complain(error: std::io::Error) {
    tracing::warn!(%error, "the desktop has no sound");
}
