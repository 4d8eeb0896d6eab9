//! The measurement of `cost`.

use std::time::{Duration, Instant};
use telepane_codec::h264::{H264Encoder, I420};
use telepane_codec::streams::{FilmStreams, InProcess, StreamFrame};
use telepane_sandbox::{Films, When};

/// Of each size.
const FRAMES: usize = 240;

/// Measures each size and prints a line of it.
pub fn all() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "{:<11} {:>9} {:>22} {:>22} {:>7} {:>9}",
        "size", "bytes", "here p50 / p95 us", "there p50 / p95 us", "p50", "CPU"
    );
    for sides in [(640, 360), (1_280, 720), (1_920, 1_080), (3_840, 2_160)] {
        let film = film(sides)?;
        let mut there = Films::new(When::Required, None);
        there.require()?;
        let (mut here, mut there) = (Run::of(Box::new(InProcess::default())), Run::of(Box::new(there)));
        // Turn about, so that what else the machine does meets both.
        for (n, data) in film.iter().enumerate() {
            here.decode(n, sides, data)?;
            there.decode(n, sides, data)?;
        }
        // What a process used is counted when it has ended.
        let (here, there) = (here.end(), there.end());
        let ratio = |a: Duration, b: Duration| b.as_secs_f64() / a.as_secs_f64();
        println!(
            "{:<11} {:>9} {:>12} / {:>7} {:>12} / {:>7} {:>7.2} {:>9.2}",
            format!("{}x{}", sides.0, sides.1),
            film.iter().map(Vec::len).sum::<usize>() / film.len(),
            here.0.as_micros(),
            here.1.as_micros(),
            there.0.as_micros(),
            there.1.as_micros(),
            ratio(here.0, there.0),
            ratio(here.2, there.2),
        );
    }
    Ok(())
}

struct Run {
    streams: Box<dyn FilmStreams>,
    took: Vec<Duration>,
    cpu: Duration,
}

impl Run {
    fn of(streams: Box<dyn FilmStreams>) -> Self {
        Self { streams, took: Vec::new(), cpu: Duration::ZERO }
    }

    fn decode(&mut self, n: usize, sides: (u32, u32), data: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
        let (began, cpu) = (now(), used(libc::RUSAGE_SELF));
        let picture = self.streams.decode(StreamFrame { slot: 0, anew: n == 0, sides, data })?;
        assert_eq!((picture.w, picture.h), sides);
        self.took.push(now().duration_since(began));
        self.cpu += used(libc::RUSAGE_SELF) - cpu;
        Ok(())
    }

    /// Median, 95th percentile, and CPU time with that of a process that it had.
    fn end(mut self) -> (Duration, Duration, Duration) {
        let before = used(libc::RUSAGE_CHILDREN);
        drop(self.streams);
        self.took.sort_unstable();
        let at = |percent: usize| self.took[self.took.len() * percent / 100];
        (at(50), at(95), self.cpu + (used(libc::RUSAGE_CHILDREN) - before))
    }
}

/// A landscape with grain, over which a camera moves.
fn film((w, h): (u32, u32)) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut rng = telepane_model::Rng::new(7);
    let grain: Vec<u8> = (0..w as usize * h as usize).map(|_| (rng.next_u64() & 7) as u8).collect();
    let mut encoder = H264Encoder::new(w, h, 8_000_000, 30.0, (26, 51)).ok_or("no encoder")?;
    let mut picture = I420::default();
    picture.resize(w, h);
    let mut frame = |n: usize| {
        let samples = picture.y.iter_mut().enumerate();
        samples.for_each(|(i, y)| {
            let (x, row) = (i % w as usize + n * 3, i / w as usize);
            *y = ((x / 3) ^ (row / 5)) as u8 / 2 + grain[(i + n * 977) % grain.len()];
        });
        let mut data = Vec::new();
        encoder.encode(&mut picture, n == 0, &mut data).then_some(data).ok_or("not coded")
    };
    (0..FRAMES).map(&mut frame).collect()
}

#[expect(clippy::disallowed_methods, reason = "this measures")]
fn now() -> Instant {
    Instant::now()
}

/// CPU time, of this process or of those that it started and that have ended.
fn used(who: libc::c_int) -> Duration {
    // SAFETY: all zeros are a valid value of this structure of numbers, which the call fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    };
    let span = |t: libc::timeval| Duration::from_micros(t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64);
    span(usage.ru_utime) + span(usage.ru_stime)
}
