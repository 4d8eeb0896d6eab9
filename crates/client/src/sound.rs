//! Sound at the client: a speaker for the desktop's, a recorder for the microphone while the person has it on.

use crate::clock::Clock;
use crate::driver::Wake;
use serde_json::{Value, json};
use std::sync::Arc;
use telepane_audio::device::Device;
use telepane_audio::{Heard, Now, Recorder, Speaker};
use telepane_codec::sound::Kind;
use telepane_model::{ClockMap, HostClock, Journey, Span, Stamp, ViewerClock};
use telepane_session::Figures;
use telepane_session::sound::{PlayoutFigures, SoundArrival, SoundCoding, SoundFrame};

/// What the person set.
#[derive(Clone, Debug)]
pub struct SoundOptions {
    /// No sound at all, in neither direction.
    pub off: bool,
    /// The microphone is on from the start.
    pub microphone: bool,
    /// How loud, in percent.
    pub level: u16,
    /// The device to play on, by a part of its name.
    pub device: Option<String>,
    /// The device to listen with.
    pub microphone_device: Option<String>,
}

impl Default for SoundOptions {
    fn default() -> Self {
        Self { off: false, microphone: false, level: 100, device: None, microphone_device: None }
    }
}

/// See the module.
pub struct Sound {
    speaker: Option<Speaker<ViewerClock, HostClock>>,
    recorder: Option<Recorder>,
    /// The person wants to hear the desktop.
    pub listens: bool,
    /// The microphone is on.
    pub speaks: bool,
    /// What the host gives and takes.
    pub state: (bool, bool),
}

/// What is known, for people and scripts.
#[derive(Clone, Debug, Default)]
pub struct SoundReadings {
    /// The desktop is wanted.
    pub listens: bool,
    /// The microphone is on.
    pub speaks: bool,
    /// What the host gives and takes.
    pub state: (bool, bool),
    /// Of the player.
    pub playout: PlayoutFigures,
    /// Frames that did not decode.
    pub undecodable: u64,
    /// Why nothing can be heard, if so.
    pub trouble: Option<String>,
    /// Frames of the microphone that were sent or could have been.
    pub spoken: u64,
    /// Times a device was opened again.
    pub rebuilt: u64,
}

impl Sound {
    /// Starts the threads; devices are opened when there is something to play, or the microphone is on.
    pub fn start(options: &SoundOptions, clock: Clock, wake: Arc<dyn Fn(Wake) + Send + Sync>) -> Self {
        let now: Now = Arc::new(move || clock.micros());
        let (speaker, recorder) = if options.off {
            (None, None)
        } else {
            let sink = Box::new(Device::chosen(options.device.as_deref(), "PULSE_SINK"));
            let source = Box::new(Device::chosen(options.microphone_device.as_deref(), "PULSE_SOURCE"));
            let give = move |frame| wake(Wake::Microphone(frame));
            let recorder = Recorder::start("telepane-listen", source, Kind::Microphone, now.clone(), give);
            (Speaker::start("telepane-speak", sink, now).map_err(complain).ok(), recorder.map_err(complain).ok())
        };
        if let Some(speaker) = &speaker {
            speaker.set_level(f32::from(options.level) / 100.0);
        }
        let listens = speaker.is_some();
        let speaks = recorder.is_some() && options.microphone;
        Self { speaker, recorder, listens, speaks, state: (false, false) }
    }

    /// The person does or does not want to hear the desktop any more; whether that could be.
    // spec: S-16
    pub fn toggle_listening(&mut self) {
        self.listens = !self.listens && self.speaker.is_some();
    }

    /// The person turns the microphone on or off.
    // spec: S-16
    pub fn toggle_microphone(&mut self) {
        self.speaks = !self.speaks && self.recorder.is_some();
    }

    /// Sound came.
    pub fn play(&self, packet: SoundArrival<HostClock>) {
        if let Some(speaker) = &self.speaker {
            speaker.play(packet);
        }
    }

    /// How the microphone is to be coded.
    pub fn set(&self, coding: SoundCoding) {
        if let Some(recorder) = &self.recorder {
            recorder.set(coding);
        }
    }

    /// Another connection, perhaps another agent.
    pub fn reset(&self) {
        if let Some(speaker) = &self.speaker {
            speaker.reset();
        }
    }

    /// A picture was shown; sound keeps pace with film. Says how old what is heard now is, because film keeps pace with it.
    pub fn on_shown(&self, journey: &Journey, map: Option<ClockMap>) -> Option<Span> {
        let speaker = self.speaker.as_ref()?;
        if journey.host.captured != Stamp::ZERO {
            speaker.on_picture(journey.shown.since(map?.to_viewer(journey.host.captured)));
        }
        speaker.age()
    }

    /// What a person is told who has just turned something on or off.
    pub fn hint(&self) -> &'static str {
        match (self.listens, self.speaks, self.state) {
            (_, true, (_, true)) => "The microphone is on; Ctrl+Alt+M turns it off",
            (_, true, (_, false)) => "The microphone is on, but the host takes none",
            (true, false, (true, _)) => "The desktop is heard; Ctrl+Alt+S mutes it",
            (true, false, (false, _)) => "The host gives no sound",
            (false, false, _) => "The desktop is muted; Ctrl+Alt+S lets it be heard",
        }
    }

    /// What is known now.
    pub fn readings(&self) -> SoundReadings {
        let speaker = self.speaker.as_ref();
        let recorder = self.recorder.as_ref();
        let (playout, undecodable) = speaker.map(Speaker::figures).unwrap_or_default();
        SoundReadings {
            listens: self.listens,
            speaks: self.speaks,
            state: self.state,
            playout,
            undecodable,
            trouble: speaker.and_then(Speaker::trouble),
            spoken: recorder.map_or(0, Recorder::heard),
            rebuilt: speaker.map_or(0, Speaker::rebuilt) + recorder.map_or(0, Recorder::rebuilt),
        }
    }
}

/// A frame of the microphone as the mind takes it.
pub fn frame(heard: Heard) -> SoundFrame<ViewerClock> {
    SoundFrame { captured: Stamp::from_micros(heard.captured), bytes: heard.bytes, last: heard.last }
}

impl SoundReadings {
    /// The overlay's line.
    pub fn line(&self) -> String {
        let p = &self.playout;
        let hears = match (&self.trouble, self.state.0, self.listens) {
            (Some(why), ..) => format!("no device: {why}"),
            (None, false, _) => "the host gives none".into(),
            (None, true, false) => "muted (Ctrl+Alt+S)".into(),
            (None, true, true) if p.played == 0 => "nothing yet".into(),
            (None, true, true) => {
                let age = p.age.map_or(String::new(), |a| format!("{:.0} ms old, ", a.as_millis_f64()));
                let beside =
                    p.behind_picture.map_or(String::new(), |us| format!(", {:+.0} to the film", us as f64 / 1e3));
                let lost = p.concealed + p.mended;
                format!("{age}held {:.0} ms{beside}, {} restored, {lost} made up", p.held.as_millis_f64(), p.restored)
            }
        };
        let speaks = match (self.speaks, self.state.1) {
            (true, true) => ", MICROPHONE ON",
            (true, false) => ", microphone on but not let in",
            (false, _) => "",
        };
        format!("{hears}{speaks}")
    }

    /// For scripts. Times in microseconds; DCV's and PCoIP's audio figures are among them.
    pub fn json(&self, mind: &Figures) -> Value {
        let p = &self.playout;
        let at_all = p.played + p.concealed + p.mended + p.gaps;
        json!({
            "listens": self.listens,
            "microphone_on": self.speaks,
            "host_gives": self.state.0,
            "host_takes": self.state.1,
            "trouble": self.trouble,
            "packets": mind.sound.0,
            "bytes": mind.sound.1,
            "played": p.played,
            "restored": p.restored,
            "mended": p.mended,
            "concealed": p.concealed,
            "gaps": p.gaps,
            "late": p.late,
            "passed": p.passed,
            "device_dry": p.dry,
            "device_driest_us": p.driest.as_micros(),
            "undecodable": self.undecodable,
            "loss_percent": (at_all > 0).then(|| (p.concealed + p.mended + p.gaps) as f64 * 100.0 / at_all as f64),
            "held_us": p.held.as_micros(),
            "target_us": p.target.as_micros(),
            "needs_us": {
                "lateness": p.needs.lateness.as_micros(),
                "copies": p.needs.copies.as_micros(),
                "ahead": p.needs.ahead.as_micros(),
                "picture": p.needs.picture.as_micros(),
                "device": p.needs.device.as_micros(),
            },
            "worst_held_us": p.worst.as_micros(),
            "age_us": p.age.map(Span::as_micros),
            "behind_picture_us": p.behind_picture,
            "film_held_us": mind.film_held.as_micros(),
            "microphone_frames": self.spoken,
            "devices_rebuilt": self.rebuilt,
        })
    }
}

fn complain(error: std::io::Error) {
    tracing::warn!(%error, "no sound");
}
