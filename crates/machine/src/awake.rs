//! Keeping this machine awake while a host asks for it: by the desktop's screen saver and by logind, whichever answers.

use crate::US;
use crate::logind::spawn;
use std::sync::mpsc::{Receiver, Sender, channel};
use zbus::blocking::{Connection, Proxy};
use zbus::zvariant::OwnedFd;

const WHY: &str = "a remote desktop asks for it";
const SAVER: &str = "org.freedesktop.ScreenSaver";

/// Keeps it awake, or not; begins with not.
#[derive(Debug)]
pub struct KeepAwake(Sender<bool>);

/// What was taken; given back when dropped.
#[derive(Default)]
struct Taken {
    saver: Option<(Connection, u32)>,
    lock: Option<OwnedFd>,
}

impl KeepAwake {
    /// Wants nothing so far, and asks no bus before it does.
    pub fn start() -> Self {
        let (wishes, read) = channel();
        spawn("telepane-awake", move || follow(&read));
        Self(wishes)
    }

    /// Wants it, or no longer.
    pub fn set(&self, on: bool) {
        // Without the thread, which was complained of, it is never kept awake.
        let _ = self.0.send(on);
    }
}

fn follow(wishes: &Receiver<bool>) {
    let mut taken: Option<Taken> = None;
    for on in wishes {
        if on && taken.is_none() {
            let now = Taken { saver: by_saver().ok(), lock: by_logind().ok() };
            let (saver, logind) = (now.saver.is_some(), now.lock.is_some());
            tracing::info!(saver, logind, "kept awake, as the host asks");
            taken = Some(now);
        } else if !on && taken.take().is_some() {
            tracing::info!("no longer kept awake");
        }
    }
}

fn by_saver() -> zbus::Result<(Connection, u32)> {
    let bus = Connection::session()?;
    let saver = Proxy::new(&bus, SAVER, "/org/freedesktop/ScreenSaver", SAVER)?;
    let cookie = saver.call("Inhibit", &(US, WHY))?;
    drop(saver);
    Ok((bus, cookie))
}

fn by_logind() -> zbus::Result<OwnedFd> {
    let bus = Connection::system()?;
    let path = "/org/freedesktop/login1";
    let manager = Proxy::new(&bus, "org.freedesktop.login1", path, "org.freedesktop.login1.Manager")?;
    manager.call("Inhibit", &("idle", US, WHY, "block"))
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some((bus, cookie)) = self.saver.take()
            && let Ok(saver) = Proxy::new(&bus, SAVER, "/org/freedesktop/ScreenSaver", SAVER)
        {
            // A saver that is gone holds nothing.
            let _ = saver.call::<_, _, ()>("UnInhibit", &(cookie,));
        }
    }
}
