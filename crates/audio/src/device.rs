//! This machine's devices, through cpal: a sound server where there is one (PulseAudio, PipeWire's), else what the system
//! has (ALSA, WASAPI, CoreAudio). A sound server is spoken to by [`crate::pulse`].

use crate::contract::{DeviceError, Failed, Fill, Sink, Source, Stream, Take};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, ErrorKind, SampleFormat, StreamConfig};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use telepane_model::Span;

/// What the device is asked to want at once, in samples of one channel: 5 ms.
const PERIOD: u32 = 240;
/// Both ends of a device are this far from its samples at most; what says more is not believed.
const FURTHEST: Duration = Duration::from_millis(500);
/// A device that does not answer within this is none.
const PATIENCE: Duration = Duration::from_secs(2);

/// The system's device, or one by name.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// Part of its name; the system's choice if `None`.
    pub name: Option<String>,
}

impl Device {
    /// The device that the person's settings name (`name`), else the environment's (`$PULSE_SINK` or `$PULSE_SOURCE`), else
    /// the system's.
    pub fn chosen(name: Option<&str>, variable: &str) -> Self {
        let of_environment = || std::env::var(variable).ok().filter(|n| !n.is_empty());
        Self { name: name.map(str::to_owned).or_else(of_environment) }
    }

    fn find(&self, listen: bool) -> Result<cpal::Device, DeviceError> {
        let host = host()?;
        let Some(name) = &self.name else {
            let device = if listen { host.default_input_device() } else { host.default_output_device() };
            return device.ok_or_else(|| DeviceError(format!("{} has no device", host.id())));
        };
        let fits = |d: &cpal::Device| if listen { d.supports_input() } else { d.supports_output() };
        let called = |d: &cpal::Device| d.description().map_or_else(|_| String::new(), |x| x.name().to_owned());
        let mut there = Vec::new();
        for device in host.devices().map_err(said)?.filter(fits) {
            let id = device.id().map(|id| id.to_string()).unwrap_or_default();
            if id.ends_with(name.as_str()) || called(&device).contains(name.as_str()) {
                return Ok(device);
            }
            there.push(called(&device));
        }
        Err(DeviceError(format!("no sound device is called {name}; there are: {}", there.join(", "))))
    }

    fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| "the system's device".into())
    }
}

/// The sound server if one runs: it mixes, follows the person's choice of device, and needs no configuration.
fn host() -> Result<cpal::Host, DeviceError> {
    #[cfg(target_os = "linux")]
    if let Ok(host) = cpal::host_from_id(cpal::HostId::PulseAudio) {
        return Ok(host);
    }
    #[cfg(target_os = "linux")]
    if !std::path::Path::new("/proc/asound/cards").exists() {
        // Without cards ALSA prints its complaints to the terminal.
        return Err(DeviceError("no sound server runs, and this machine has no sound card".into()));
    }
    Ok(cpal::default_host())
}

fn said(error: cpal::Error) -> DeviceError {
    DeviceError(error.to_string())
}

/// The first of these that the device takes: our own samples, else floating point.
fn config(device: &cpal::Device, listen: bool) -> Result<(StreamConfig, SampleFormat), DeviceError> {
    let ranges: Vec<_> = match listen {
        true => device.supported_input_configs().map_err(said)?.collect(),
        false => device.supported_output_configs().map_err(said)?.collect(),
    };
    let fits = |channels: u16, format: SampleFormat| {
        ranges.iter().any(|r| {
            r.channels() == channels
                && r.sample_format() == format
                && (r.min_sample_rate()..=r.max_sample_rate()).contains(&48_000)
        })
    };
    for format in [SampleFormat::I16, SampleFormat::F32] {
        for channels in if listen { &[2, 1][..] } else { &[2] } {
            let channels = *channels;
            if fits(channels, format) {
                let config = StreamConfig { channels, sample_rate: 48_000, buffer_size: BufferSize::Fixed(PERIOD) };
                return Ok((config, format));
            }
        }
    }
    Err(DeviceError("it cannot do 48 kHz in two channels".into()))
}

struct Open(#[allow(dead_code)] cpal::Stream);

impl Stream for Open {}

/// What cpal tells of a stream: a hiccup passes, anything else ends it.
fn on_error(failed: Failed) -> impl FnMut(cpal::Error) + Send + 'static {
    let mut failed = Some(failed);
    move |error: cpal::Error| {
        if matches!(error.kind(), ErrorKind::Xrun | ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged) {
            tracing::debug!(%error, "sound");
            return;
        }
        if let Some(mut failed) = failed.take() {
            failed(error.to_string());
        }
    }
}

impl Sink for Device {
    fn name(&self) -> String {
        self.label()
    }

    fn open(&mut self, mut fill: Fill, failed: Failed) -> Result<Box<dyn Stream>, DeviceError> {
        let device = self.find(false)?;
        #[cfg(target_os = "linux")]
        if let Some(id) = device.id().ok().filter(|id| id.host() == cpal::HostId::PulseAudio) {
            return crate::pulse::speak(id.id(), fill);
        }
        let (config, format) = config(&device, false)?;
        let latency = |info: &cpal::OutputCallbackInfo| {
            let at = info.timestamp();
            let wait = at.playback.checked_duration_since(at.callback).unwrap_or_default();
            Span::micros(wait.min(FURTHEST).as_micros() as u64)
        };
        let stream = if format == SampleFormat::I16 {
            let give = move |out: &mut [i16], info: &cpal::OutputCallbackInfo| fill(out, latency(info));
            device.build_output_stream(config, give, on_error(failed), Some(PATIENCE))
        } else {
            let mut whole = Vec::new();
            let give = move |out: &mut [f32], info: &cpal::OutputCallbackInfo| {
                whole.resize(out.len(), 0);
                fill(&mut whole, latency(info));
                out.iter_mut().zip(&whole).for_each(|(o, s)| *o = f32::from(*s) / 32_768.0);
            };
            device.build_output_stream(config, give, on_error(failed), Some(PATIENCE))
        };
        let stream = stream.map_err(said)?;
        stream.play().map_err(said)?;
        Ok(Box::new(Open(stream)))
    }
}

impl Source for Device {
    fn name(&self) -> String {
        self.label()
    }

    fn open(&mut self, take: Take, failed: Failed) -> Result<Box<dyn Stream>, DeviceError> {
        let device = self.find(true)?;
        #[cfg(target_os = "linux")]
        if let Some(id) = device.id().ok().filter(|id| id.host() == cpal::HostId::PulseAudio) {
            return crate::pulse::listen(id.id(), take);
        }
        let (config, format) = config(&device, true)?;
        let mono = config.channels == 1;
        let channels = usize::from(config.channels).max(1);
        // What is told is when the first of them was taken.
        let ago = move |info: &cpal::InputCallbackInfo, samples: usize| {
            let at = info.timestamp();
            let first = at.callback.checked_duration_since(at.capture).unwrap_or_default().min(FURTHEST);
            let long = Duration::from_micros((samples / channels) as u64 * 1_000 / 48);
            Span::micros(first.saturating_sub(long).as_micros() as u64)
        };
        let take = Arc::new(Mutex::new(take));
        let give = move |samples: &mut Vec<i16>, ago: Span| {
            if mono {
                *samples = samples.iter().flat_map(|s| [*s, *s]).collect();
            }
            let mut take = take.lock().unwrap_or_else(PoisonError::into_inner);
            take(samples, ago);
        };
        let mut whole = Vec::new();
        let stream = if format == SampleFormat::I16 {
            let heard = move |samples: &[i16], info: &cpal::InputCallbackInfo| {
                whole.clear();
                whole.extend_from_slice(samples);
                give(&mut whole, ago(info, samples.len()));
            };
            device.build_input_stream(config, heard, on_error(failed), Some(PATIENCE))
        } else {
            let heard = move |samples: &[f32], info: &cpal::InputCallbackInfo| {
                whole.clear();
                whole.extend(samples.iter().map(|s| (s * 32_767.0) as i16));
                give(&mut whole, ago(info, samples.len()));
            };
            device.build_input_stream(config, heard, on_error(failed), Some(PATIENCE))
        };
        let stream = stream.map_err(said)?;
        stream.play().map_err(said)?;
        Ok(Box::new(Open(stream)))
    }
}
