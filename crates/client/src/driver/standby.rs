//! The path that stands by: interfaces looked at on a thread of their own, and what the mind wishes of the sockets done.

use super::{Driver, Phase, Wake};
use std::net::SocketAddr;
use std::sync::Arc;
use telepane_machine::ways;
use telepane_model::{Span, Stamp, ViewerClock, Ways};
use telepane_session::{NoStandby, Standby, StandbyMode, StandbyWish, pick};
use telepane_transport::{Carrier, Lanes};

/// See the module.
pub(super) struct Spare {
    mode: StandbyMode,
    mind: Standby,
    /// Why nothing stands by.
    none: Option<NoStandby>,
    /// Interfaces are being looked at.
    looking: bool,
    /// Packets that QUIC has had, answers to what it asks itself among them.
    received: u64,
    wake: Arc<dyn Fn(Wake) + Send + Sync>,
}

/// Which path carries the session and which stands by, for people and scripts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// The interface in use, as far as it is known.
    pub carrying: Option<String>,
    /// The one that stands by, and how long its last answer took.
    pub standby: Option<(String, Option<Span>)>,
    /// Why none does.
    pub none: Option<String>,
    /// How often the session was moved.
    pub switches: u32,
}

impl Spare {
    pub fn new(mode: StandbyMode, wake: Arc<dyn Fn(Wake) + Send + Sync>) -> Self {
        let none = (mode == StandbyMode::Off).then_some(NoStandby::Off);
        Self { mode, mind: Standby::default(), none, looking: false, received: 0, wake }
    }

    pub fn paths(&self) -> Paths {
        Paths {
            carrying: self.mind.carrying().map(str::to_owned),
            standby: self.mind.spare().map(|(name, took)| (name.to_owned(), took)),
            none: self.none.as_ref().map(ToString::to_string),
            switches: self.mind.switches(),
        }
    }

    pub fn on_input(&mut self, now: Stamp<ViewerClock>) {
        self.mind.on_input(now);
    }

    pub fn on_heard(&mut self, now: Stamp<ViewerClock>) {
        self.mind.on_heard(now);
    }
}

impl Driver {
    /// A new connection carries the session, where the system sends it.
    pub(super) fn on_fresh_path(&mut self) {
        self.spare.mind.on_attached(self.clock.now());
        self.spare.received = 0;
    }

    /// Does what the mind wishes; when it wants to be asked again.
    pub(super) fn mind_paths(&mut self) -> Option<Stamp<ViewerClock>> {
        if self.spare.mode == StandbyMode::Off || self.phase != Phase::Live || self.target.files_only {
            return None;
        }
        let host = self.line.as_ref().and_then(|l| l.facts.as_ref()).map(|f| (f.carrier, f.remote))?;
        if host.0 != Carrier::Quic {
            self.spare.none = Some(NoStandby::Carrier);
            return None;
        }
        let now = self.clock.now();
        let owed = self.viewer.owed_since();
        if owed.is_some() {
            self.look_at_quic(now);
        }
        self.spare.mind.on_owed(owed, self.viewer.rtt().unwrap_or_default());
        loop {
            match self.spare.mind.poll(now) {
                Ok(StandbyWish::Look) => self.look_at_ways(host.1),
                Ok(StandbyWish::Ask) => {
                    // It leaves with the next turn, which is at once.
                    self.viewer.on_doubt(now);
                    return Some(now);
                }
                Ok(StandbyWish::Probe) => {
                    if let Some(line) = &mut self.line
                        && let Err(error) = line.client.probe_standby()
                    {
                        tracing::debug!(%error, "the path that stands by cannot be tried");
                        // Its interface may be another one of the same name by now: the next socket is a fresh one.
                        let _ = line.client.keep_standby(None, host.1);
                        self.spare.mind.on_spare_lost();
                    }
                }
                Ok(StandbyWish::Switch(to)) => {
                    self.switch(&to);
                    return Some(now);
                }
                Err(at) => return at,
            }
        }
    }

    /// QUIC's own packets are a sign of life too: a busy host acknowledges before it answers.
    fn look_at_quic(&mut self, now: Stamp<ViewerClock>) {
        let Some(line) = &self.line else { return };
        let stats = line.handle().and_then(|h| h.stats(line.client.conn()));
        if let Some(received) = stats.map(|s| s.recv_packets)
            && std::mem::replace(&mut self.spare.received, received) != received
        {
            self.spare.mind.on_heard(now);
        }
    }

    fn look_at_ways(&mut self, host: SocketAddr) {
        if std::mem::replace(&mut self.spare.looking, true) {
            return;
        }
        let wake = self.spare.wake.clone();
        let look = move || wake(Wake::Ways(ways::look(host)));
        if let Err(error) = std::thread::Builder::new().name("telepane-ways".into()).spawn(look) {
            tracing::warn!(%error, "no thread to look at the interfaces");
        }
    }

    /// The interfaces were looked at.
    pub(super) fn on_ways(&mut self, ways: &Ways) {
        self.spare.looking = false;
        let Some(line) = &mut self.line else { return };
        let Some(host) = line.facts.as_ref().map(|f| f.remote) else { return };
        let picked = pick(self.spare.mode, ways, self.spare.mind.moved_to());
        let kept = picked.and_then(|name| match line.client.keep_standby(Some(&name), host) {
            Ok(()) => Ok(name),
            Err(error) => {
                tracing::debug!(%error, name, "no socket on the interface that could stand by");
                Err(NoStandby::Alone)
            }
        });
        let (spare, none) = match kept {
            Ok(name) => (Some(name), None),
            Err(why) => (None, Some(why)),
        };
        if spare.is_none() {
            // Closing a socket does not fail.
            let _ = line.client.keep_standby(None, host);
        }
        if spare.as_deref() != self.spare.mind.spare().map(|(name, _)| name) || self.spare.none != none {
            match (&spare, &none) {
                (Some(spare), _) => tracing::info!(spare, carrying = ways.chosen, "a path stands by"),
                (None, Some(why)) => tracing::info!(%why, "no path stands by"),
                _ => {}
            }
        }
        self.spare.none = none;
        self.spare.mind.on_ways(ways.chosen.clone(), spare);
    }

    fn switch(&mut self, to: &str) {
        let now = self.clock.now();
        let from = self.spare.mind.carrying().map(str::to_owned);
        let Some(line) = &mut self.line else { return };
        if let Err(error) = line.client.take_standby() {
            tracing::info!(%error, to, "the session cannot be moved there");
            self.spare.mind.on_spare_lost();
            return;
        }
        line.from = None;
        tracing::info!(from, to, "the session moves to another interface");
        let host = line.facts.as_ref().map(|f| f.remote);
        let from = from.filter(|from| {
            host.is_some_and(|host| match line.client.keep_standby(Some(from), host) {
                Ok(()) => true,
                Err(error) => {
                    tracing::debug!(%error, from, "what was left does not stand by");
                    false
                }
            })
        });
        self.spare.mind.on_switched(now, from);
        // What nothing has answered goes over the new path at once, with the question whether the host is there.
        self.viewer.on_path_changed(now);
    }

    pub(super) fn on_standby_answered(&mut self, took_us: u64) {
        self.spare.mind.on_answered(self.clock.now(), Span::micros(took_us));
    }
}
