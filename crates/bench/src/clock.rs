//! The harness's clock: the system's monotonic clock in microseconds, the same in every process of the machine, so that
//! the stimulus's stamps and the watcher's can be subtracted.
//!
//! Sleeping is done against the same clock with a timer slack of a nanosecond: the watcher looks every 50 us and a
//! default slack of as much would double its error.

/// Microseconds since the machine started.
pub fn now() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the result; the monotonic clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut t) };
    t.tv_sec as u64 * 1_000_000 + t.tv_nsec as u64 / 1000
}

/// CPU time of this thread, milliseconds.
pub fn cpu_ms() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut t) };
    t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
}

/// Sleeps until `at`, or until a signal comes.
pub fn sleep_until(at: u64) {
    let t = libc::timespec { tv_sec: (at / 1_000_000) as i64, tv_nsec: (at % 1_000_000) as i64 * 1000 };
    // SAFETY: `t` is valid, and with an absolute time there is no remainder to write.
    unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const t, std::ptr::null_mut()) };
}

/// Sleeps for so many microseconds.
pub fn pause(us: u64) {
    sleep_until(now() + us);
}

/// Makes this thread's sleeps as exact as the kernel can.
pub fn sharpen() {
    // SAFETY: PR_SET_TIMERSLACK takes a number and touches only this thread.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
}

/// Lets this thread run before all ordinary ones, where the system allows it (it takes root).
pub fn hasten() {
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameter is valid; 0 is the calling thread; being refused changes nothing.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const lowest) };
}

/// Today as `2026-11-21`, in UTC, for the reports.
pub fn today() -> String {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the result; the realtime clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut t) };
    date_of(t.tv_sec.max(0) as u64 / 86_400)
}

/// The civil date of a day counted from 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms").
fn date_of(day: u64) -> String {
    let z = day + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{:02}", doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward_across_a_sleep() {
        let before = now();
        pause(300);
        assert!(now() >= before + 300);
    }

    #[test]
    fn days_have_their_dates() {
        assert_eq!(date_of(0), "1970-01-01");
        assert_eq!(date_of(59), "1970-03-01");
        assert_eq!(date_of(11_016), "2000-02-29");
        assert_eq!(date_of(20_778), "2026-11-21");
    }
}
