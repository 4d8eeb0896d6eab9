//! The agent's clock: the only place that reads it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use telepane_model::{HostClock, Stamp};

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

    /// Now.
    pub fn now(&self) -> Stamp<HostClock> {
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

/// Milliseconds since 1970, for events.
pub fn unix_millis() -> u64 {
    wall().as_millis() as u64
}

#[expect(clippy::disallowed_methods, reason = "the agent's one clock")]
fn instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the agent's one clock")]
fn wall() -> Duration {
    // A machine whose clock stands before 1970 gets the epoch itself.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
