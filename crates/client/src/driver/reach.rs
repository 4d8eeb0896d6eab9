//! Reaching the host: a connection that comes about beside the one in use, who is proven to whom on it, what the person is
//! asked, and what a connection's end means for the session.

use super::{Ask, Driver, Phase, code_prompt, exit};
use crate::clock::unix_secs;
use crate::entry::{Entry, Offer, Step, attach};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use telepane_auth::{KnownHosts, load_or_create_client_key};
use telepane_machine::ways;
use telepane_model::{Span, Stamp, ViewerClock};
use telepane_protocol::{Control, FileWord, Goodbye};
use telepane_session::Incoming;
use telepane_transport::{
    Carrier, Carriers, Client, CloseReason, ConnFacts, ConnId, ConnectFailure, Event as NetEvent, Fault, Handle,
    HostExpectation, Lanes,
};
use telepane_trust::{CodeWanted, Fingerprint};

/// A new connection from which nothing has come for so long gives way to another try. Its peer may be an agent that has
/// ended in mid-handshake, of which its successor knows nothing.
pub(super) const ATTEMPT: Span = Span::secs(2);
/// Each further one is given twice as long, up to this: the way there may be slow.
const LONGEST_ATTEMPT: Span = Span::secs(8);
/// QUIC has this long to begin to answer when it is tried beside a session that something else carries: the next try is near.
const HOMEWARD: Duration = Duration::from_secs(1);

/// One way to the host.
pub(super) struct Line {
    pub client: Client,
    pub entry: Option<Entry>,
    pub facts: Option<ConnFacts>,
    /// The host was asked for the session: it may have moved there, whatever the line before still carries.
    pub attaches: bool,
    /// It is QUIC's, tried beside a session that something else carries: nothing depends on it.
    pub homeward: bool,
    /// Where the system sent from when its socket was opened; none for one that is tied to an interface.
    pub from: Option<IpAddr>,
    /// When something came on it last, or it was begun.
    heard: Stamp<ViewerClock>,
}

impl Driver {
    pub(super) fn dial(&mut self, homeward: bool) {
        let expect = self.key_pinned.map_or(HostExpectation::Any, |f| HostExpectation::Pinned(f.0));
        let clock = self.clock;
        let micros = Arc::new(move || clock.micros());
        let mut options = self.target.network.clone();
        if homeward {
            options.carriers = Carriers::Quic;
            options.connect_within = HOMEWARD;
        }
        let client = Client::connect(self.target.addresses.clone(), expect, micros, self.sink.clone(), options);
        let heard = clock.now();
        self.candidate = Some(Line { client, entry: None, facts: None, attaches: false, homeward, from: None, heard });
    }

    /// Tries QUIC again when it is time, beside the connection in use.
    pub(super) fn go_home(&mut self, now: Stamp<ViewerClock>) {
        if self.phase == Phase::Live && self.candidate.is_none() && self.homing.take_due(now) {
            tracing::debug!("trying quic again");
            self.dial(true);
        }
    }

    /// The candidate came to nothing. Whether it was one on which nothing depends.
    fn not_home(&mut self) -> bool {
        let homeward = self.candidate.as_ref().is_some_and(|l| l.homeward);
        retire(self.candidate.take());
        if homeward {
            self.homing.on_failed(self.clock.now());
        }
        homeward
    }

    /// The old connection answers again: the one that was coming about beside it is not needed.
    pub(super) fn call_off(&mut self) {
        if self.line.is_some()
            && let Some(line) = self.candidate.take_if(|l| !l.attaches && !l.homeward)
        {
            line.client.retire();
        }
    }

    pub(super) fn redial(&mut self) {
        // One that tries QUIC alone and has heard nothing yet must not keep the others waiting.
        retire(self.candidate.take_if(|l| l.homeward && l.facts.is_none()));
        let now = self.clock.now();
        if self.candidate.as_ref().is_some_and(|l| now.since(l.heard) >= self.attempt) {
            tracing::info!("nothing came of the new connection");
            retire(self.candidate.take());
            self.attempt = (self.attempt + self.attempt).min(LONGEST_ATTEMPT);
        }
        if self.candidate.is_none() {
            tracing::info!("trying a new connection");
            if let Some(line) = &mut self.line {
                line.follow_the_way();
            }
            self.dial(false);
        }
    }

    pub(super) fn on_net(&mut self, event: NetEvent) {
        match event {
            NetEvent::Connected { conn, facts } => self.on_connected(conn, facts),
            NetEvent::Datagram { conn, bytes, arrived_us }
                if self.line.as_ref().is_some_and(|l| l.client.conn() == conn) =>
            {
                let arrived = Stamp::from_micros(arrived_us);
                self.spare.on_heard(arrived);
                self.traffic.on_datagram(arrived, bytes.len());
                self.viewer.on_datagram(&Incoming { bytes: bytes.to_vec(), arrived });
            }
            NetEvent::Chunk { conn, bytes, arrived_us, .. }
                if self.line.as_ref().is_some_and(|l| l.client.conn() == conn) =>
            {
                self.viewer.on_chunk(&Incoming { bytes, arrived: Stamp::from_micros(arrived_us) });
            }
            NetEvent::Control { conn, message, .. } => self.on_control(conn, &message),
            NetEvent::ConnectFailed { attempt, why } => self.on_connect_failed(attempt, &why),
            NetEvent::PathChanged { conn, remote, max_datagram } => {
                let line = self.line.as_mut().filter(|l| l.client.conn() == conn);
                if line.and_then(|l| l.facts.as_mut()).is_some_and(|f| has_moved(f, remote, max_datagram)) {
                    self.viewer.on_path_changed(self.clock.now());
                }
            }
            NetEvent::StandbyAnswered { conn, took_us }
                if self.line.as_ref().is_some_and(|l| l.client.conn() == conn) =>
            {
                self.on_standby_answered(took_us);
            }
            NetEvent::Marked { conn } if self.line.as_ref().is_some_and(|l| l.client.conn() == conn) => {
                self.viewer.on_marked(self.clock.now());
            }
            NetEvent::Closed { conn, reason } => self.on_closed(conn, &reason),
            _ => {}
        }
    }

    fn on_connected(&mut self, conn: ConnId, facts: ConnFacts) {
        let Some(line) = self.candidate.as_mut().filter(|l| l.client.conn() == conn) else { return };
        line.facts = Some(facts.clone());
        line.from = ways::leaves_from(facts.remote);
        line.heard = self.clock.now();
        let fingerprint = Fingerprint(facts.host_fingerprint);
        let key = match load_or_create_client_key(&self.target.state) {
            Ok(key) => key,
            Err(error) => {
                self.over(exit::NOT_TRUSTED, error.to_string());
                return;
            }
        };
        let pinned = self.key_pinned == Some(fingerprint) || (self.key_pinned.is_none() && self.target.trust_new);
        let (code, user, primary) = (self.target.code.clone(), self.target.user.clone(), self.target.primary);
        let offer = Offer { key, code, user, name: local_name(), pinned, primary };
        let (entry, step) = Entry::begin(&facts, offer);
        line.entry = Some(entry);
        self.follow(step);
    }

    pub(super) fn follow(&mut self, step: Step) {
        if matches!(step, Step::Code(_) | Step::Refused(_)) && self.candidate.as_ref().is_some_and(|l| l.homeward) {
            // A client whose key was not kept stays where it is.
            self.not_home();
            return;
        }
        let shape = self.shape();
        let Some(line) = &mut self.candidate else { return };
        match step {
            Step::Send(messages) => messages.iter().for_each(|m| line.say(m)),
            Step::Code(why) => {
                if self.line.is_some() || self.session != [0; 16] {
                    // A session that resumes asks nothing; without its key it cannot be had back.
                    self.over(exit::NOT_TRUSTED, "the host no longer knows this client; connect again with a code");
                } else {
                    self.ask_for_code(why);
                }
            }
            Step::In { proven_by_code } => {
                let fingerprint = line.entry.as_ref().map(|e| e.fingerprint);
                if let Some(handle) = line.handle() {
                    handle.authenticated(line.client.conn());
                }
                line.attaches = true;
                match self.target.files_only {
                    true => line.say(&Control::File(FileWord::Attach)),
                    false => {
                        self.attached = shape;
                        line.say(&attach(self.session, shape.0, shape.1, self.viewer.held()));
                    }
                }
                if let Some(fingerprint) = fingerprint
                    && (proven_by_code || self.target.trust_new)
                {
                    self.pin(fingerprint);
                }
            }
            // spec: H-52
            Step::Refused(text) if line.attaches && self.session != [0; 16] => {
                self.over(exit::SESSION, format!("the session ended: {text}"));
            }
            Step::Refused(text) => self.over(exit::NOT_TRUSTED, text),
        }
    }

    pub(super) fn ask_for_code(&mut self, why: CodeWanted) {
        match (&self.target.ask, &self.target.code) {
            (Ask::Nobody, Some(_)) => {
                let text = match why {
                    CodeWanted::Throttled => "too many wrong access codes; wait a minute and try again",
                    _ => {
                        "the host refused the access code; check the file, or ask the host's owner for the present code"
                    }
                };
                self.over(exit::NOT_TRUSTED, text);
            }
            (Ask::Nobody, None) => {
                let text =
                    "the host asks for its access code; give it with --access-code-file FILE, or run in a terminal";
                self.over(exit::NOT_TRUSTED, text);
            }
            (Ask::Terminal(ask), _) => {
                ask(code_prompt(why, self.notice.take().as_deref()));
                self.phase = Phase::NeedCode(why);
            }
            (Ask::Window, _) => self.phase = Phase::NeedCode(why),
        }
    }

    fn pin(&mut self, fingerprint: Fingerprint) {
        self.key_pinned = Some(fingerprint);
        let added = KnownHosts::open(&self.target.state).map_err(anyhow::Error::from).and_then(|mut pins| {
            let (host, port) = (self.target.host.as_str(), self.target.port);
            if self.target.fingerprint == Some(fingerprint) && pins.pinned(host, port) != Some(fingerprint) {
                // The person has named the host's new identity.
                pins.forget(host, port)?;
            }
            Ok(pins.add(host, port, &fingerprint, unix_secs())?)
        });
        if let Err(error) = added {
            tracing::warn!(%error, "the host could not be remembered; it will be asked about again");
        }
    }

    fn on_control(&mut self, conn: ConnId, message: &[u8]) {
        let now = self.clock.now();
        let message = match Control::decode(message) {
            Ok(message) => message,
            Err(fault) => {
                tracing::warn!(fault = fault.name(), "control message");
                return;
            }
        };
        if self.line.as_ref().is_some_and(|l| l.client.conn() == conn) {
            self.viewer.on_control(now, message);
            return;
        }
        let Some(line) = self.candidate.as_mut().filter(|l| l.client.conn() == conn) else { return };
        line.heard = now;
        match message {
            Control::Welcome { session, resumed, now: host_now, resizable, host, .. } => {
                tracing::info!(host, resumed, "welcome");
                (self.session, self.host_name, self.resizable) = (session, host, resizable);
                let before = std::mem::replace(&mut self.line, self.candidate.take());
                retire(before);
                self.attempt = ATTEMPT;
                self.agree(resumed);
                self.sound.reset();
                self.on_fresh_path();
                self.viewer.on_attached(now, host_now);
                self.files.on_linked();
                let carrier = self.line.as_ref().and_then(|l| l.facts.as_ref()).map(|f| f.carrier);
                let may_be_better = self.target.network.carriers == Carriers::Auto;
                self.homing.on_carried(now, may_be_better && carrier == Some(Carrier::WebSocket));
                tracing::info!(carrier = carrier.unwrap_or_default().name(), "attached");
                self.phase = Phase::Live;
                self.life.on_welcome();
                self.silent = None;
                self.redraw_all = true;
                // What changed since it was asked for, or could not be asked for then.
                if self.attached != self.shape() || self.target.monitors.len() > 1 || self.target.refresh > 0 {
                    self.say_shape();
                }
            }
            // An agent that stops just now may be back, as after any loss.
            Control::Bye { reason: Goodbye::Stopping, .. } if self.session != [0; 16] => {
                retire(self.candidate.take());
                self.viewer.on_reconnect_failed(now);
            }
            Control::Bye { text, .. } => self.over(exit::SESSION, text),
            message => {
                if let Some(entry) = &mut line.entry {
                    let step = entry.on_message(message);
                    self.follow(step);
                }
            }
        }
    }

    fn on_connect_failed(&mut self, attempt: ConnId, why: &ConnectFailure) {
        if self.candidate.as_ref().is_none_or(|l| l.client.conn() != attempt) {
            return;
        }
        if self.not_home() {
            tracing::debug!(%why, "quic does not work yet");
            return;
        }
        if let ConnectFailure::HostChanged { seen } = why {
            let seen = Fingerprint(*seen);
            let was = self.key_pinned.map_or_else(String::new, |f| f.to_string());
            let text = format!(
                "the host's identity has changed, so somebody may be between you and it.\n  known: {was}\n  now:   {seen}\n\
                 If the host was set up anew, compare with what `telepane-host fingerprint` prints there and connect with --fingerprint {seen}"
            );
            self.over(exit::NOT_TRUSTED, text);
        } else if self.session == [0; 16] {
            self.over(exit::CANNOT_CONNECT, format!("cannot connect to {}: {why}", self.target.host));
        } else {
            tracing::info!(%why, "no new connection yet");
            self.viewer.on_reconnect_failed(self.clock.now());
        }
    }

    fn on_closed(&mut self, conn: ConnId, reason: &CloseReason) {
        let now = self.clock.now();
        if self.candidate.as_ref().is_some_and(|l| l.client.conn() == conn) {
            if self.not_home() {
                tracing::debug!(%reason, "quic does not work yet");
            } else if self.session == [0; 16] {
                self.over(exit::CANNOT_CONNECT, closed_by_host(reason));
            } else {
                self.viewer.on_reconnect_failed(now);
            }
        } else if self.line.as_ref().is_some_and(|l| l.client.conn() == conn) {
            tracing::info!(%reason, "connection lost");
            retire(self.line.take());
            self.viewer.on_link_lost(now);
        }
    }

    pub(super) fn on_goodbye(&mut self, reason: Goodbye, text: &str) {
        self.life.on_goodbye(reason);
        match reason {
            // The agent may be restarting; the session is tried again as after any loss.
            // spec: K-15
            Goodbye::Stopping => {
                retire(self.line.take());
                self.viewer.on_link_lost(self.clock.now());
            }
            Goodbye::Left => self.over(exit::FINE, text),
            _ => self.over(exit::SESSION, format!("the session ended: {text}")),
        }
    }
}

impl Line {
    pub fn handle(&self) -> Option<Handle> {
        self.client.handle()
    }

    /// A new socket for a silent connection, if the system would send from another address now. Without need it is not done: the
    /// socket takes whatever way the system knows anyhow, and to the host a new address is a new path, over which it says next
    /// to nothing until a round trip has shown that somebody is there (RFC 9000 §8.1). What a network between holds against the
    /// old address does not hold against the connection that is tried beside it.
    fn follow_the_way(&mut self) {
        let Some(host) = self.facts.as_ref().map(|f| f.remote) else { return };
        let Some(from) = ways::leaves_from(host).filter(|from| self.from != Some(*from)) else { return };
        match self.client.rebind() {
            Ok(()) => self.from = Some(from),
            Err(error) => tracing::debug!(%error, "no new socket for the old connection"),
        }
    }

    pub fn say(&self, message: &Control) {
        if let Some(handle) = self.handle()
            && let Err(error) = handle.send_control(self.client.conn(), &message.encode())
        {
            tracing::debug!(%error, "control message not sent");
        }
    }
}

/// Takes down what the path is now; whether it is another one. A step of MTU discovery is none: what was measured of the path
/// holds. A move of this end is none either: who moves it says so itself.
fn has_moved(facts: &mut ConnFacts, remote: SocketAddr, max_datagram: usize) -> bool {
    facts.max_datagram = max_datagram;
    std::mem::replace(&mut facts.remote, remote) != remote
}

/// Why there is no session, in a person's words.
fn closed_by_host(reason: &CloseReason) -> String {
    let fault = match reason {
        CloseReason::PeerClosed { code, .. } => Fault::from_code(*code),
        _ => None,
    };
    match fault {
        Some(Fault::ShuttingDown) => "the agent was stopped; connect again when it runs".into(),
        Some(Fault::UnprovenTooLong) => "the agent waited too long for an access code; connect again".into(),
        _ => format!("the host closed the connection: {reason}; connect again"),
    }
}

/// Waiting for a connection's end would hold up the picture of the one that takes its place.
fn retire(line: Option<Line>) {
    if let Some(line) = line {
        line.client.retire();
    }
}

fn local_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "telepane".into(), |n| n.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::LinkSide;

    #[test]
    fn a_step_of_mtu_discovery_moves_nothing_and_another_address_does() {
        let at = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let mut facts = ConnFacts {
            side: LinkSide::Viewer,
            carrier: Carrier::Quic,
            remote: at(8443),
            exporter: [0; 32],
            host_fingerprint: [0; 32],
            max_datagram: 1_162,
            recv_buffer: 0,
            send_buffer: 0,
        };
        for step in [1_292, 1_414, 1_162] {
            assert!(!has_moved(&mut facts, at(8443), step), "{step} bytes");
            assert_eq!(facts.max_datagram, step);
        }
        assert!(has_moved(&mut facts, at(8444), 1_162));
        assert!(!has_moved(&mut facts, at(8444), 1_292), "it is there now");
    }
}
