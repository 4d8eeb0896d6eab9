//! The client's clock: the only place that reads it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use telepane_model::{Stamp, ViewerClock};

/// Microseconds from an arbitrary epoch. Each process begins somewhere else, so that only the clock map can relate the
/// stamps of two processes, in tests as in the field.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    epoch: u64,
}

impl Clock {
    /// A clock that begins now, at a time nobody can guess.
    pub fn new() -> Self {
        // Up to 18 hours, from the wall clock's nanoseconds: unlike in every process is all that is wanted.
        let epoch = 1_000_000 + u64::from(wall().subsec_nanos()) * 64;
        Self { start: instant(), epoch }
    }

    /// Now, in microseconds.
    pub fn micros(&self) -> u64 {
        self.epoch + instant().duration_since(self.start).as_micros() as u64
    }

    /// How much longer it has been by the wall clock than by this one since `before`: the time the machine slept, or
    /// somebody set the clock.
    pub fn slept(&self, before: &mut Option<(u64, Duration)>) -> Duration {
        let (now, wall) = (self.micros(), wall());
        let slept = before.map_or(Duration::ZERO, |(then, wall_then)| {
            wall.saturating_sub(wall_then).saturating_sub(Duration::from_micros(now - then))
        });
        *before = Some((now, wall));
        slept
    }

    /// Now.
    pub fn now(&self) -> Stamp<ViewerClock> {
        Stamp::from_micros(self.micros())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// Seconds since 1970, for certificates and lists.
pub fn unix_secs() -> u64 {
    wall().as_secs()
}

#[expect(clippy::disallowed_methods, reason = "the client's one clock")]
fn instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the client's one clock")]
fn wall() -> Duration {
    // A machine whose clock stands before 1970 gets the epoch itself.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
