//! Being asked to end: by signals on Unix, by the console on Windows.
#![allow(unsafe_code)]

#[cfg(windows)]
use std::sync::{Mutex, OnceLock, PoisonError};

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

/// Calls `stop` on a thread of the system's each time: at Ctrl+C, and when the console is closed or the person leaves.
///
/// # Errors
/// When the system refuses, or something of this process is told already.
#[cfg(windows)]
pub fn on_stop(stop: impl Fn() + Send + 'static) -> std::io::Result<()> {
    use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;
    if STOP.set(Mutex::new(Box::new(stop))).is_err() {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    // SAFETY: the handler has the type that such a one has, and is there for as long as the process.
    if unsafe { SetConsoleCtrlHandler(Some(on_ctrl), 1) } == 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(windows)]
static STOP: OnceLock<Mutex<Box<dyn Fn() + Send>>> = OnceLock::new();

#[cfg(windows)]
unsafe extern "system" fn on_ctrl(what: u32) -> i32 {
    use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT};
    if let Some(stop) = STOP.get() {
        stop.lock().unwrap_or_else(PoisonError::into_inner)();
    }
    // Otherwise Windows ends the process when this returns, or after some seconds: time to end by itself.
    while !matches!(what, CTRL_C_EVENT | CTRL_BREAK_EVENT) {
        std::thread::park();
    }
    1
}
