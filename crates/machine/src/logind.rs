//! systemd's logind over the system bus: sleep and shutdown before they happen, and who keeps the machine from idling.
//!
//! A *delay* lock holds a sleep or a shutdown back until the viewers were told (systemd's "Inhibitor Locks"; logind itself
//! waits for 5 s at most). They are two locks: whoever asks for one on both needs the right to one on the lid's switch
//! (`method_inhibit` of systemd's `logind-dbus.c`), which a service of a user who is not logged in does not have.

use crate::saver::{Asked, Source};
use crate::{Fact, Tell, US};
use std::time::Duration;
use zbus::blocking::fdo::DBusProxy;
use zbus::blocking::{Connection, MessageIterator, Proxy};
use zbus::zvariant::OwnedFd;
use zbus::{MatchRule, message};

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// How logind refuses a lock: to one who may not have it, to one for whom a person would have to be asked, and while what it is against
/// is under way already.
const REFUSALS: [&str; 3] = ["AccessDenied", "InteractiveAuthorizationRequired", "OperationInProgress"];
/// What is held back, and the signal that comes before it.
const DELAYED: [(&str, &str); 2] = [("sleep", "PrepareForSleep"), ("shutdown", "PrepareForShutdown")];
/// How long it is held back, so that the viewers hear of it: a turn of the agent's loop and a packet's way out of the machine.
const TELLING: Duration = Duration::from_millis(500);

pub(super) fn start(tell: Tell, asked: Asked) {
    let run = move || {
        if let Err(error) = watch(&tell, &asked) {
            tracing::info!(%error, "no word from logind: viewers are not told when this machine sleeps");
        }
    };
    spawn("telepane-logind", run);
}

/// A thread that the process may end without.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) {
    if let Err(error) = std::thread::Builder::new().name(name.into()).spawn(run) {
        tracing::warn!(%error, name, "no thread");
    }
}

fn watch(tell: &Tell, asked: &Asked) -> zbus::Result<()> {
    let bus = Connection::system()?;
    let manager = Proxy::new(&bus, NAME, PATH, MANAGER)?;
    let dbus = DBusProxy::new(&bus)?;
    for interface in [MANAGER, PROPERTIES] {
        let rule =
            MatchRule::builder().msg_type(message::Type::Signal).sender(NAME)?.path(PATH)?.interface(interface)?;
        dbus.add_match_rule(rule.build())?;
    }
    let messages = MessageIterator::from(&bus);
    let idle = || -> zbus::Result<()> {
        let locks: Vec<Lock> = manager.call("ListInhibitors", &())?;
        asked.set(Source::Logind, locks.iter().any(blocks_idle));
        Ok(())
    };
    let mut delays = [hold(&manager, DELAYED[0].0)?, hold(&manager, DELAYED[1].0)?];
    idle()?;
    tracing::info!("logind says when this machine sleeps or goes down");
    for message in messages {
        let message = message?;
        let header = message.header();
        let member = header.member().map(|m| m.as_str().to_owned()).unwrap_or_default();
        // spec: H-57
        for ((what, signal), delay) in DELAYED.iter().zip(&mut delays) {
            if member == *signal {
                let on: bool = message.body().deserialize()?;
                tell(if *what == "sleep" { Fact::Sleeps(on) } else { Fact::GoesDown(on) });
                if on {
                    std::thread::park_timeout(TELLING);
                    *delay = None;
                } else if delay.is_none() {
                    *delay = hold(&manager, what)?;
                }
            }
        }
        if member == "PropertiesChanged" {
            idle()?;
        }
    }
    Ok(())
}

/// Has logind wait for us before it lets the machine do that; where it refuses, it does not wait, and tells us all the same.
fn hold(manager: &Proxy<'_>, what: &str) -> zbus::Result<Option<OwnedFd>> {
    let why = (what, US, "tells the viewers", "delay");
    match manager.call::<_, _, OwnedFd>("Inhibit", &why) {
        Ok(lock) => Ok(Some(lock)),
        Err(zbus::Error::MethodError(name, why, _)) if REFUSALS.iter().any(|end| name.as_str().ends_with(end)) => {
            tracing::info!(what, name = name.as_str(), ?why, "logind does not wait for us");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A lock as logind lists it: on what (such as `sleep:idle`), whose, why, in which mode, and of which user and process.
type Lock = (String, String, String, String, u32, u32);

/// Whether somebody else keeps the machine from idling with it.
fn blocks_idle((what, who, _, mode, ..): &Lock) -> bool {
    what.split(':').any(|what| what == "idle") && mode.starts_with("block") && who != US
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_hold_against_idling_counts() {
        let lock = |what: &str, who: &str, mode: &str| {
            blocks_idle(&(what.into(), who.into(), String::new(), mode.into(), 0, 0))
        };
        assert!(lock("idle", "film", "block") && lock("shutdown:sleep:idle", "film", "block-weak"));
        assert!(!lock("", "film", "block") && !lock("handle-lid-switch:sleep", "film", "block"));
        assert!(!lock("idleness", "film", "block") && !lock("idle", "film", "delay") && !lock("idle", US, "block"));
    }
}
