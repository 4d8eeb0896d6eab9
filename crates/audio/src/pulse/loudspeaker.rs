//! A loudspeaker of this machine's, by way of its sound server: how much the server keeps of what it is given, and how long
//! that waits until it is heard.

use super::{BYTES_PER_MS, FRAGMENT, map, said, spec};
use crate::contract::{DeviceError, Fill, Stream};
use futures::executor::block_on;
use pulseaudio::protocol::PlaybackStreamParams;
use pulseaudio::protocol::stream::{BufferAttr, StreamFlags};
use pulseaudio::{AsPlaybackSource, Client};
use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use telepane_model::Span;

/// What a loudspeaker's server keeps of a stream: a thread, ours or the server's, may be 20 ms late before that is heard.
const KEPT: u32 = 5 * FRAGMENT;
/// The mean of so many answers is how long what is given waits: what a server says of its queue is of a moment ago.
const LOOKS: usize = 8;
/// A loudspeaker that says it plays later than this (some of the air's take a quarter of a second) is not believed.
const FURTHEST_SINK: Span = Span::millis(500);

struct Playing {
    stream: pulseaudio::PlaybackStream,
    /// What was asked lately: how long the newest sample that was given has to wait.
    asked: Mutex<VecDeque<u64>>,
    /// The mean of that, in microseconds.
    waits: Arc<AtomicU64>,
    _client: Client,
}

impl Stream for Playing {
    fn look(&self) {
        let Ok(told) = block_on(self.stream.timing_info()) else { return };
        let queued = told.write_offset.saturating_sub(told.read_offset).max(0) as u64 * 1_000 / BYTES_PER_MS;
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // Between two pieces the queue has half a piece less, on average.
        asked.push_back(told.sink_usec + queued + u64::from(FRAGMENT / 2) * 1_000 / BYTES_PER_MS);
        if asked.len() > LOOKS {
            asked.pop_front();
        }
        let mean = asked.iter().sum::<u64>() / asked.len().max(1) as u64;
        self.waits.store(mean.min(FURTHEST_SINK.as_micros()), Ordering::Relaxed);
    }
}

/// Plays on a sink of this machine's server, which has this name.
///
/// cpal keeps two pieces of a stream at the server, so that a thread may be late by no more than one: on a virtual machine that is heard now
/// and then. Here it keeps more, and still asks for little at a time.
pub(crate) fn speak(sink: &str, mut fill: Fill) -> Result<Box<dyn Stream>, DeviceError> {
    let client = Client::from_env(c"telepane").map_err(said)?;
    let params = PlaybackStreamParams {
        sample_spec: spec(),
        channel_map: map(),
        sink_name: Some(CString::new(sink).map_err(said)?),
        buffer_attr: BufferAttr { target_length: KEPT, minimum_request_length: FRAGMENT, ..BufferAttr::default() },
        // Of what the sink itself keeps the stream has that much less.
        flags: StreamFlags { adjust_latency: true, ..StreamFlags::default() },
        ..PlaybackStreamParams::default()
    };
    let waits = Arc::new(AtomicU64::new(u64::from(KEPT) * 1_000 / BYTES_PER_MS));
    let (known, mut samples) = (waits.clone(), Vec::<i16>::new());
    let give = move |bytes: &mut [u8]| {
        let pairs = bytes.len() / 4;
        samples.resize(2 * pairs, 0);
        // What is asked for is what is missing of the whole.
        let given = bytes.len() as u64 * 1_000 / BYTES_PER_MS;
        fill(&mut samples, Span::micros(known.load(Ordering::Relaxed).saturating_sub(given)));
        bytes.as_chunks_mut::<2>().0.iter_mut().zip(&samples).for_each(|(b, s)| *b = s.to_le_bytes());
        4 * pairs
    };
    let stream = block_on(client.create_playback_stream(params, give.as_playback_source())).map_err(said)?;
    Ok(Box::new(Playing { stream, asked: Mutex::default(), waits, _client: client }))
}
