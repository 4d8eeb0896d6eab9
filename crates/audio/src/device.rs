//! This machine's devices, through cpal: a sound server where there is one (PulseAudio, PipeWire's), else what the system
//! has (ALSA, WASAPI, CoreAudio). A sound server is spoken to by [`crate::pulse`].

use crate::contract::{DeviceError, Failed, Fill, Sink, Source, Stream, Take};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, ErrorKind, SampleFormat, StreamConfig, SupportedStreamConfigRange};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use telepane_codec::sound::Stretch;
use telepane_model::Span;

/// Samples of one channel in a second, everywhere but in a device.
const RATE: u32 = 48_000;
/// What is understood, our own first.
const FORMATS: [SampleFormat; 2] = [SampleFormat::I16, SampleFormat::F32];
/// What a device may give: a telephone's, and what no ear asks for.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=384_000;
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

/// How a device is asked to play: our own samples where it takes them, else floating point.
fn to_play(device: &cpal::Device) -> Result<(StreamConfig, SampleFormat), DeviceError> {
    let ranges: Vec<_> = device.supported_output_configs().map_err(said)?.collect();
    let takes = |format: &SampleFormat| ranges.iter().any(|r| is_ours(r) && r.sample_format() == *format);
    let format = FORMATS.into_iter().find(takes);
    // WASAPI tells of as many channels as the device has, six perhaps, and converts ours itself.
    let format = format.or_else(|| (cfg!(windows) && !ranges.is_empty()).then_some(SampleFormat::F32));
    let config = StreamConfig { channels: 2, sample_rate: RATE, buffer_size: BufferSize::Fixed(PERIOD) };
    Ok((config, format.ok_or_else(|| DeviceError("it cannot do 48 kHz in two channels".into()))?))
}

/// How a device is asked to listen: as we take it, else as it is, for then it is converted here.
fn to_listen(device: &cpal::Device) -> Result<(StreamConfig, SampleFormat), DeviceError> {
    let ranges: Vec<_> = device.supported_input_configs().map_err(said)?.collect();
    let ours = FORMATS.into_iter().find_map(|format| {
        let fits = |r: &&SupportedStreamConfigRange| r.sample_format() == format && holds_ours(r);
        let channels = ranges.iter().filter(fits).map(SupportedStreamConfigRange::channels);
        // Two, else one, which is twice as much as is needed for a voice.
        channels.filter(|n| *n <= 2).max().map(|channels| (channels, RATE, format))
    });
    let own = || {
        let own = device.default_input_config().ok()?;
        let at = |format: &SampleFormat| {
            let is_it = |r: &SupportedStreamConfigRange| {
                let rates = r.min_sample_rate()..=r.max_sample_rate();
                r.sample_format() == *format && r.channels() == own.channels() && rates.contains(&own.sample_rate())
            };
            ranges.iter().any(is_it)
        };
        Some((own.channels(), own.sample_rate(), FORMATS.into_iter().find(at)?))
    };
    let (channels, sample_rate, format) = ours
        .or_else(own)
        .filter(|(channels, rate, _)| *channels > 0 && RATES.contains(rate))
        .ok_or_else(|| DeviceError("it gives samples of no kind that is understood here".into()))?;
    // So long is a period, at whatever rate.
    let period = (PERIOD * sample_rate / RATE).max(1);
    Ok((StreamConfig { channels, sample_rate, buffer_size: BufferSize::Fixed(period) }, format))
}

fn is_ours(range: &SupportedStreamConfigRange) -> bool {
    range.channels() == 2 && holds_ours(range)
}

fn holds_ours(range: &SupportedStreamConfigRange) -> bool {
    (range.min_sample_rate()..=range.max_sample_rate()).contains(&RATE)
}

/// Makes pairs at 48 kHz of what a device gives: of one channel both, of more the first two.
#[derive(Debug, Default)]
struct Converted {
    stretch: Stretch,
    ready: VecDeque<i16>,
    pairs: Vec<i16>,
}

impl Converted {
    fn of(&mut self, channels: u16, rate: u32, samples: &[i16]) -> &[i16] {
        let channels = usize::from(channels).max(1);
        let pair = |frame: &[i16]| [frame[0], frame[channels.min(2) - 1]];
        self.pairs.clear();
        self.pairs.extend(samples.chunks_exact(channels).flat_map(pair));
        if rate != RATE {
            // A slower device's samples last longer.
            let faster = (i64::from(rate) - i64::from(RATE)) * 1_000_000 / i64::from(RATE);
            self.stretch.play(&self.pairs, faster as i32, &mut self.ready);
            self.pairs.clear();
            self.pairs.extend(self.ready.drain(..));
        }
        &self.pairs
    }
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
        let (config, format) = to_play(&device)?;
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
        let (config, format) = to_listen(&device)?;
        let (channels, rate) = (config.channels, config.sample_rate);
        // What is told is when the last of them was taken.
        let ago = move |info: &cpal::InputCallbackInfo, samples: usize| {
            let at = info.timestamp();
            let first = at.callback.checked_duration_since(at.capture).unwrap_or_default().min(FURTHEST);
            let frames = (samples / usize::from(channels).max(1)) as u64;
            let long = Duration::from_micros(frames * 1_000_000 / u64::from(rate));
            Span::micros(first.saturating_sub(long).as_micros() as u64)
        };
        let (take, mut converted) = (Arc::new(Mutex::new(take)), Converted::default());
        let mut give = move |samples: &[i16], ago: Span| {
            let mut take = take.lock().unwrap_or_else(PoisonError::into_inner);
            take(converted.of(channels, rate, samples), ago);
        };
        let stream = if format == SampleFormat::I16 {
            let heard = move |samples: &[i16], info: &cpal::InputCallbackInfo| give(samples, ago(info, samples.len()));
            device.build_input_stream(config, heard, on_error(failed), Some(PATIENCE))
        } else {
            let mut whole = Vec::new();
            let heard = move |samples: &[f32], info: &cpal::InputCallbackInfo| {
                whole.clear();
                whole.extend(samples.iter().map(|s| (s * 32_767.0) as i16));
                give(&whole, ago(info, samples.len()));
            };
            device.build_input_stream(config, heard, on_error(failed), Some(PATIENCE))
        };
        let stream = stream.map_err(said)?;
        stream.play().map_err(said)?;
        Ok(Box::new(Open(stream)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone of 1 kHz as a device of this rate and so many channels gives it, in stretches of 10 ms; only the first two have it.
    fn tone(channels: u16, rate: u32) -> impl Iterator<Item = Vec<i16>> {
        let at =
            move |n: u32| (10_000.0 * (std::f64::consts::TAU * 1_000.0 * f64::from(n) / f64::from(rate)).sin()) as i16;
        let frame = move |n: u32| (0..channels).map(move |c| if c < 2 { at(n) } else { 30_000 });
        (0..100).map(move |turn| (turn * rate / 100..(turn + 1) * rate / 100).flat_map(frame).collect())
    }

    #[test]
    fn what_a_device_gives_comes_at_our_rate_in_pairs() {
        for (channels, rate) in
            [(2, 48_000), (1, 48_000), (1, 16_000), (2, 44_100), (4, 96_000), (6, 44_100), (1, 8_000)]
        {
            let mut converted = Converted::default();
            let all: Vec<i16> =
                tone(channels, rate).flat_map(|part| converted.of(channels, rate, &part).to_vec()).collect();
            assert!((95_980..=96_020).contains(&all.len()), "a second: {} from {channels} at {rate}", all.len());
            // The same tone, whatever its beginning: how much of it is in the second half.
            let half = &all[48_000..];
            let part = |shift: f64| -> f64 {
                let reference = |n: usize| (std::f64::consts::TAU * (n as f64 / 48.0 + shift)).sin();
                half.chunks_exact(2).enumerate().map(|(n, pair)| f64::from(pair[0]) * reference(n)).sum()
            };
            let power: f64 = half.chunks_exact(2).map(|pair| f64::from(pair[0]).powi(2)).sum();
            let of_it = part(0.0).hypot(part(0.25)) / (power * (half.len() / 2) as f64 / 2.0).sqrt();
            assert!(of_it > 0.999, "{of_it} from {channels} at {rate}");
            assert!(half.chunks_exact(2).all(|pair| pair[0] == pair[1]), "both channels have it");
        }
    }
}
