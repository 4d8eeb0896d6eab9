//! A sound server, spoken to directly: what applications play is read from a sink's monitor, what the viewer's microphone
//! hears is played into a sink whose monitor they record, and a microphone of this machine's is listened to.

#[cfg(target_os = "linux")]
mod loudspeaker;

use crate::contract::{DeviceError, Failed, Fill, Sink, Source, Stream, Take};
use crate::pulse_server::SoundServer;
use futures::executor::block_on;
#[cfg(target_os = "linux")]
pub(crate) use loudspeaker::speak;
use pulseaudio::protocol::stream::{BufferAttr, StreamFlags};
use pulseaudio::protocol::{
    ChannelMap, ChannelPosition, PlaybackStreamParams, RecordStreamParams, SampleFormat, SampleSpec,
};
use pulseaudio::{AsPlaybackSource, Client};
use std::ffi::CString;
use std::sync::Arc;
use telepane_model::Span;

/// 10 ms of two channels of 16 bits.
const PERIOD: u32 = 480 * 4;
/// What is heard comes in pieces of 5 ms. In pieces of a frame's length each frame waits for the rest of the piece that
/// it ends in, half a frame on average.
const FRAGMENT: u32 = PERIOD / 2;

/// A millisecond of the same.
const BYTES_PER_MS: u64 = 192;
/// A sink that says it plays later than this is not believed: one that nobody has asked to be quick keeps two seconds.
const FURTHEST: Span = Span::millis(200);

/// What applications play into the server's sink.
pub struct Monitor(pub Arc<SoundServer>);

/// The sink whose monitor applications take for a microphone.
pub struct Microphone(pub Arc<SoundServer>);

struct Recording {
    stream: pulseaudio::RecordStream,
    /// It is a sink's monitor.
    monitor: bool,
    _client: Client,
}

impl Stream for Recording {
    fn heard_after(&self) -> Span {
        if !self.monitor {
            return Span::ZERO;
        }
        // A stream that the server ended is noticed by what does not come.
        let after = block_on(self.stream.timing_info()).map_or(Span::ZERO, |told| Span::micros(told.sink_usec));
        if after > FURTHEST { Span::ZERO } else { after }
    }
}

struct Spoken {
    _stream: pulseaudio::PlaybackStream,
    _client: Client,
}

impl Stream for Spoken {}

fn spec() -> SampleSpec {
    SampleSpec { format: SampleFormat::S16Le, channels: 2, sample_rate: 48_000 }
}

fn map() -> ChannelMap {
    ChannelMap::new([ChannelPosition::FrontLeft, ChannelPosition::FrontRight])
}

fn said(error: impl std::fmt::Display) -> DeviceError {
    DeviceError(error.to_string())
}

impl Source for Monitor {
    fn name(&self) -> String {
        format!("the monitor of {}", self.0.sink())
    }

    fn open(&mut self, take: Take, _: Failed) -> Result<Box<dyn Stream>, DeviceError> {
        self.0.ensure()?;
        record(self.0.client()?, &format!("{}.monitor", self.0.sink()), true, take)
    }

    fn wait_until_audible(&mut self) -> bool {
        self.0.wait_until_running()
    }

    fn is_audible(&mut self) -> bool {
        self.0.is_running()
    }
}

/// Listens to a source of this machine's server, which has this name.
///
/// cpal allows a stream no more than one fragment of room: what a source hands over in larger pieces, as it does whenever its
/// thread wakes a little late, the server throws away. Here it has the server's room, and the fragment is only what is wanted.
#[cfg(target_os = "linux")]
pub(crate) fn listen(source: &str, take: Take) -> Result<Box<dyn Stream>, DeviceError> {
    record(Client::from_env(c"telepane").map_err(said)?, source, false, take)
}

fn record(client: Client, source: &str, monitor: bool, mut take: Take) -> Result<Box<dyn Stream>, DeviceError> {
    let params = RecordStreamParams {
        sample_spec: spec(),
        channel_map: map(),
        source_name: Some(CString::new(source).map_err(said)?),
        buffer_attr: BufferAttr { fragment_size: FRAGMENT, ..BufferAttr::default() },
        flags: StreamFlags {
            adjust_latency: true,
            // Were the sink to vanish, another source (the person's own microphone) must not be recorded in its place.
            no_move: monitor,
            no_inhibit_auto_suspend: monitor,
            ..StreamFlags::default()
        },
        ..RecordStreamParams::default()
    };
    let mut samples = Vec::new();
    let heard = move |bytes: &[u8]| {
        samples.clear();
        samples.extend(bytes.as_chunks::<2>().0.iter().map(|b| i16::from_le_bytes(*b)));
        take(&samples, Span::ZERO);
    };
    // That a stream was ended by the server is not told; the recorder notices that nothing comes.
    let stream = block_on(client.create_record_stream(params, heard)).map_err(said)?;
    Ok(Box::new(Recording { stream, monitor, _client: client }))
}

impl Sink for Microphone {
    fn name(&self) -> String {
        self.0.microphone().into()
    }

    fn open(&mut self, mut fill: Fill, _: Failed) -> Result<Box<dyn Stream>, DeviceError> {
        self.0.ensure()?;
        let client = self.0.client()?;
        let params = PlaybackStreamParams {
            sample_spec: spec(),
            channel_map: map(),
            sink_name: Some(CString::new(self.0.microphone()).map_err(said)?),
            buffer_attr: BufferAttr {
                target_length: 2 * PERIOD,
                minimum_request_length: PERIOD,
                ..BufferAttr::default()
            },
            flags: StreamFlags { adjust_latency: true, no_move: true, ..StreamFlags::default() },
            ..PlaybackStreamParams::default()
        };
        let mut samples: Vec<i16> = Vec::new();
        let give = move |bytes: &mut [u8]| {
            let pairs = bytes.len() / 4;
            samples.resize(2 * pairs, 0);
            // What is asked for is what is missing of the whole.
            let waits = u64::from(2 * PERIOD).saturating_sub(bytes.len() as u64) * 1_000 / BYTES_PER_MS;
            fill(&mut samples, Span::micros(waits));
            bytes.as_chunks_mut::<2>().0.iter_mut().zip(&samples).for_each(|(b, s)| *b = s.to_le_bytes());
            4 * pairs
        };
        let stream = block_on(client.create_playback_stream(params, give.as_playback_source())).map_err(said)?;
        Ok(Box::new(Spoken { _stream: stream, _client: client }))
    }
}
