//! What programs ask when they show a film or a talk: `org.freedesktop.ScreenSaver` on the session's bus. Where the desktop
//! has nobody who answers to that name (a bare virtual desktop), we do; where it has, that one tells logind or nobody.
//!
//! A program that vanishes without taking its wish back has taken it back.

use crate::logind::spawn;
use crate::{Fact, Tell, US};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zbus::blocking::connection::Builder;
use zbus::blocking::fdo::DBusProxy;
use zbus::message::Header;

const NAME: &str = "org.freedesktop.ScreenSaver";
/// The interface's specification has the first; programs that follow KDE's older one use the second.
const PATHS: [&str; 2] = ["/org/freedesktop/ScreenSaver", "/ScreenSaver"];
/// Wishes at once. A program that makes more is broken.
const MOST: usize = 256;

/// Who says that the screen is to stay on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Logind,
    Saver,
}

/// Whether anybody asks for it; a change is told.
#[derive(Clone)]
pub(super) struct Asked {
    by: Arc<Mutex<[bool; 2]>>,
    tell: Tell,
}

impl Asked {
    pub(super) fn new(tell: Tell) -> Self {
        Self { by: Arc::default(), tell }
    }

    pub(super) fn set(&self, source: Source, on: bool) {
        let mut by = lock(&self.by);
        let before = by.iter().any(|b| *b);
        if let Some(place) = by.get_mut(source as usize) {
            *place = on;
        }
        let after = by.iter().any(|b| *b);
        if before != after {
            (self.tell)(Fact::Inhibited(after));
        }
    }
}

/// Wishes by their cookies: who made them, and whether they are another's than ours.
#[derive(Clone)]
struct Saver {
    wishes: Arc<Mutex<BTreeMap<u32, (String, bool)>>>,
    asked: Asked,
}

#[zbus::interface(name = "org.freedesktop.ScreenSaver")]
impl Saver {
    fn inhibit(
        &self,
        #[zbus(header)] header: Header<'_>,
        application_name: &str,
        reason_for_inhibit: &str,
    ) -> zbus::fdo::Result<u32> {
        let sender = header.sender().map(|s| s.to_string()).unwrap_or_default();
        let mut wishes = lock(&self.wishes);
        if wishes.len() >= MOST {
            return Err(zbus::fdo::Error::LimitsExceeded("too many wishes".into()));
        }
        let cookie = wishes.last_key_value().map_or(1, |(last, _)| last.wrapping_add(1).max(1));
        let others = application_name != US;
        wishes.insert(cookie, (sender, others));
        if others {
            tracing::info!(application_name, reason_for_inhibit, "the screen is to stay on");
            self.asked.set(Source::Saver, true);
        }
        Ok(cookie)
    }

    fn un_inhibit(&self, #[zbus(header)] header: Header<'_>, cookie: u32) {
        let sender = header.sender().map(|s| s.to_string()).unwrap_or_default();
        self.forget(|known, by| known == cookie && by == sender);
    }

    fn simulate_user_activity(&self) {}

    fn get_active(&self) -> bool {
        false
    }
}

impl Saver {
    fn forget(&self, gone: impl Fn(u32, &str) -> bool) {
        let mut wishes = lock(&self.wishes);
        wishes.retain(|cookie, (by, _)| !gone(*cookie, by));
        self.asked.set(Source::Saver, wishes.values().any(|(_, others)| *others));
    }
}

pub(super) fn start(asked: Asked) {
    let run = move || {
        if let Err(error) = serve(asked) {
            tracing::info!(%error, "programs that keep the screen on are heard of by way of logind only");
        }
    };
    spawn("telepane-saver", run);
}

fn serve(asked: Asked) -> zbus::Result<()> {
    let saver = Saver { wishes: Arc::default(), asked };
    let mut builder = Builder::session()?.name(NAME)?;
    for path in PATHS {
        builder = builder.serve_at(path, saver.clone())?;
    }
    let bus = builder.build()?;
    tracing::info!("programs tell this agent when the screen is to stay on");
    for change in DBusProxy::new(&bus)?.receive_name_owner_changed()? {
        let change = change.args()?;
        if change.new_owner.is_none() {
            saver.forget(|_, by| by == change.name.as_str());
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_and_the_last_are_told() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = told.clone();
        let asked = Asked::new(Arc::new(move |fact| lock(&seen).push(fact)));
        for (source, on) in [
            (Source::Saver, false),
            (Source::Saver, true),
            (Source::Logind, true),
            (Source::Saver, false),
            (Source::Logind, true),
            (Source::Logind, false),
        ] {
            asked.set(source, on);
        }
        assert_eq!(*lock(&told), [Fact::Inhibited(true), Fact::Inhibited(false)]);
    }
}
