//! A host that does not answer: when that is noticed, how often it is asked, and when a new connection is tried.

use super::{SILENCE, Viewer, send_batch};
use crate::host::ANSWER_LETTING_GO;
use crate::link::Link;
use crate::output::{Alarm, ViewerOutput, Wake};
use telepane_model::{Note, Span, Stamp, ViewerClock};

/// While it lasts, the silence is said this often, so that its seconds can be shown.
const SAY_SILENCE_EVERY: Span = Span::millis(100);
/// A new connection is tried from this much silence on.
// spec: Y-22
const RECONNECT: Span = Span::secs(3);
/// After this much silence before a wake-up the host has closed the connection (its idle timeout, DESIGN §3.1).
const SURELY_GONE: Span = Span::secs(120);

impl Viewer {
    /// Whether the host is there has come into doubt: it is asked at once.
    // spec: T-9
    pub fn on_doubt(&mut self, now: Stamp<ViewerClock>) {
        self.advance(now);
        self.ask_at = Some(now);
    }

    /// Since when the host owes an answer, which it does not as long as it may keep it back.
    // spec: H-26
    pub fn owed_since(&self) -> Option<Stamp<ViewerClock>> {
        let since = self.link.as_ref().and_then(Link::unanswered_since)?;
        Some(if self.input.is_patient() { since + ANSWER_LETTING_GO } else { since })
    }

    /// A connection that was wished for could not be made; another is wished for when it is time.
    pub fn on_reconnect_failed(&mut self, now: Stamp<ViewerClock>) {
        self.advance(now);
        let silence = self.silence();
        self.reconnect_at = Some(now + retry_after(silence));
    }

    /// The machine woke up, or the network changed: ask at once whether the host is there.
    // spec: Y-21, Y-22
    pub fn on_woke(&mut self, now: Stamp<ViewerClock>) {
        self.advance(now);
        self.ask_at = Some(now);
        self.woke = true;
        if self.link.as_ref().is_some_and(|l| now.since(l.heard) >= SURELY_GONE) {
            self.reconnect_at = Some(now);
        }
    }

    fn silence(&self) -> Span {
        match (&self.link, self.link_lost_at) {
            (Some(link), _) => link.silence(self.now),
            (None, Some(at)) => self.now.since(at),
            (None, None) => Span::ZERO,
        }
    }

    // spec: Y-20, Y-21, Y-22
    pub(super) fn watch_silence(&mut self, alarm: &mut Alarm<ViewerClock>) {
        let now = self.now;
        let silence = self.silence();
        let patience = self.link.as_ref().map_or(SILENCE, |l| SILENCE.max(l.rtt().scaled(3, 1)));
        if silence >= patience {
            self.be_silent(Some(silence));
            alarm.set(now + SAY_SILENCE_EVERY, Wake::Silence);
            if self.ask_at.is_none() && self.link.is_some() {
                self.ask_at = Some(now + retry_after(silence));
            }
            if (silence >= RECONNECT || self.woke) && self.reconnect_at.is_none() {
                self.reconnect_at = Some(now);
            }
        } else {
            let since = self.link.as_ref().map_or(self.link_lost_at, Link::unanswered_since);
            alarm.set_if(since.map(|at| at + patience), Wake::Silence);
            if self.link.is_some() {
                self.be_silent(None);
                // spec: Y-42
                let narrow = self.widths.is_narrow();
                // A wish made on waking stands until the host has answered on the old connection.
                self.reconnect_at = self.reconnect_at.or(narrow.then_some(now)).filter(|_| self.woke || narrow);
            }
        }
        if let Some(at) = self.ask_at {
            if at > now {
                alarm.set(at, Wake::Silence);
            } else {
                self.ask_at = None;
                if let Some(link) = &mut self.link {
                    let batch = self.input.ask(now);
                    let bytes = send_batch(link, now, batch, self.input.is_patient());
                    self.out.push_back(ViewerOutput::Datagram(bytes));
                    // What is held goes along: the host may have heard nothing for as long as we have.
                    link.arrivals.hurry(now);
                }
            }
        }
        if let Some(at) = self.reconnect_at {
            if at > now {
                alarm.set(at, Wake::Silence);
            } else {
                // The next try is set when this one has failed, or after a while if it says nothing.
                self.reconnect_at = Some(now + RECONNECT);
                self.out.push_back(ViewerOutput::Reconnect);
            }
        }
    }

    pub(super) fn be_silent(&mut self, silence: Option<Span>) {
        match silence {
            Some(span) => {
                if self.silent.is_none() {
                    self.out.push_back(ViewerOutput::Note(Note::PeerSilent { silence: span }));
                }
                if self.silent.is_none_or(|said| self.now.since(said) >= SAY_SILENCE_EVERY) {
                    self.silent = Some(self.now);
                    self.out.push_back(ViewerOutput::Silent(Some(span)));
                }
            }
            None if self.silent.is_some() => {
                self.silent = None;
                self.out.push_back(ViewerOutput::Silent(None));
                self.out.push_back(ViewerOutput::Note(Note::PeerBack));
            }
            None => {}
        }
    }
}

/// How long to wait before asking again after so much silence: every 100 ms for 10 s, every 500 ms to 60 s, then every
/// 2 s.
// spec: Y-21
fn retry_after(silence: Span) -> Span {
    match silence {
        s if s < Span::secs(10) => Span::millis(100),
        s if s < Span::secs(60) => Span::millis(500),
        _ => Span::secs(2),
    }
}
