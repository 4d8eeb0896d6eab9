//! Being asked to end: by signals on Unix, by Ctrl+C elsewhere.

/// Calls `stop` on a thread of its own each time.
///
/// # Errors
/// When the system has no thread or no signal to spare.
#[cfg(unix)]
pub fn on_stop(stop: impl Fn() + Send + 'static) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("telepane-signals".into()).spawn(move || {
        for _ in signals.forever() {
            stop();
        }
    })?;
    Ok(())
}

/// Calls `stop` on a thread of its own each time.
///
/// # Errors
/// When the system has no thread or no signal to spare.
#[cfg(not(unix))]
pub fn on_stop(stop: impl Fn() + Send + 'static) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;
    /// Nothing wakes a thread for it here.
    const LOOK: Duration = Duration::from_millis(200);
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, asked.clone())?;
    }
    std::thread::Builder::new().name("telepane-signals".into()).spawn(move || {
        loop {
            std::thread::park_timeout(LOOK);
            if asked.swap(false, Ordering::Relaxed) {
                stop();
            }
        }
    })?;
    Ok(())
}
