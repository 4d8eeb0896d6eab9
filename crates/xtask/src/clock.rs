//! The chores' only clock.

use std::time::{Duration, Instant};

/// The present instant.
#[expect(clippy::disallowed_methods, reason = "a chore waits for real programs; nothing here is replayed")]
pub fn now() -> Instant {
    Instant::now()
}

/// Waits before another program is asked again.
#[expect(clippy::disallowed_methods, reason = "a program has no event to wait for; nothing here is replayed")]
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// `2 min 05 s`, `41 s` or `0.4 s`.
pub fn human(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds >= 60 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else if seconds >= 10 {
        format!("{seconds} s")
    } else {
        format!("{:.1} s", span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_a_person_says_them() {
        assert_eq!(human(Duration::from_millis(430)), "0.4 s");
        assert_eq!(human(Duration::from_secs(41)), "41 s");
        assert_eq!(human(Duration::from_secs(125)), "2 min 05 s");
    }
}
