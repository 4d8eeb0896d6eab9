//! The desk's part in the life of sessions: carries out what [`telepane_session::life`] wants, tells viewers of each other
//! and of the machine, and others of what happened.

use super::{Desk, State};
use crate::ask::SessionInfo;
use crate::clock::unix_secs;
use crate::hooks;
use crate::seat::Seat;
use serde_json::json;
use telepane_model::{HostClock, Stamp};
use telepane_protocol::{Ending, Goodbye, HostState, Person, RefuseReason};
use telepane_session::life::{Left, LifeEvent, LifeWish, Refused};

impl Desk {
    /// Lets the sessions' life go on; says when it wants to go on at the latest, which is now when something was done.
    pub(super) fn take_life(&mut self, state: &mut State) -> Option<Stamp<HostClock>> {
        let now = self.clock.now();
        let mut busy = false;
        let until = loop {
            match self.life.poll(now) {
                LifeWish::Warn { session, ending } => {
                    if let Some(seat) = state.seats.get_mut(&session) {
                        tracing::info!(session, ?ending, "the session's end");
                        seat.host.on_ending(now, ending);
                    }
                }
                LifeWish::End { session, why } => {
                    tracing::info!(session, why = why.name(), "the session ends");
                    self.end_seat(state, session, why, &self.words(why));
                }
                LifeWish::Listen { session } => {
                    if let Some(seat) = state.seats.get_mut(&session) {
                        let heard = seat.heard_at(now, &self.net);
                        self.life.on_heard(now, session, heard);
                    }
                }
                LifeWish::Lock => self.hooks.lock(),
                LifeWish::Event(event) => self.tell_event(state, &event),
                LifeWish::Idle { until } => break until,
            }
            busy = true;
        };
        if std::mem::take(&mut state.people_changed) {
            tell_people(state, now);
            busy = true;
        }
        if busy { Some(now) } else { until }
    }

    fn tell_event(&self, state: &State, event: &LifeEvent) {
        // An ended session's person is remembered until its last event is told.
        let who = state.seats.get(&event.session).map(who_of).or_else(|| state.gone.get(&event.session).cloned());
        let line = hooks::event(event, self.clock.now(), who.unwrap_or_default());
        tracing::info!(event = %line["event"], session = event.session, reason = %line["reason"], "session");
        self.hooks.event(line);
    }

    /// What the machine says of itself.
    pub(super) fn take_machine(&mut self, state: &mut State) {
        let now = self.clock.now();
        while let Some(fact) = self.machine.as_ref().and_then(|facts| facts.try_recv().ok()) {
            tracing::info!(?fact, "the machine");
            match fact {
                telepane_machine::Fact::Sleeps(on) => {
                    state.machine = if on { HostState::Sleeps } else { HostState::There };
                }
                telepane_machine::Fact::GoesDown(on) => {
                    state.machine = if on { HostState::GoesDown } else { HostState::There };
                }
                telepane_machine::Fact::Inhibited(on) => state.keep_awake = on,
            }
            for seat in state.seats.values_mut() {
                tell_machine(seat, now, (state.machine, state.keep_awake));
            }
        }
    }

    /// All sessions, as people and scripts are told of them.
    pub(super) fn sessions(&self, state: &State) -> Vec<SessionInfo> {
        let now = self.clock.now();
        let wall = |at: Stamp<HostClock>| unix_secs().saturating_sub(now.since(at).as_micros() / 1_000_000);
        let info = |seat: &Seat| {
            let ending = self.life.ending(seat.id).map(|(why, at)| {
                let secs = at.since(now).as_micros() / 1_000_000;
                format!("{} in {secs} s", if why == Ending::Idle { "no input" } else { "its length" })
            });
            SessionInfo {
                last_input: self.life.last_input(seat.id).map(wall),
                last_disconnection: self.life.away_since(seat.id).map(wall),
                ending,
                files_only: seat.files_only,
                connected: seat.conn.is_some() && self.life.away_since(seat.id).is_none(),
                ..seat.describe(&self.net)
            }
        };
        state.seats.values().map(info).collect()
    }

    /// Why a session ends, for its person.
    fn words(&self, why: Left) -> String {
        let span = |span: Option<telepane_model::Span>| {
            let secs = span.unwrap_or_default().as_micros() / 1_000_000;
            if secs.is_multiple_of(60) { format!("{} min", secs / 60) } else { format!("{secs} s") }
        };
        match why {
            Left::Idle => format!("no input came for {}; connect again to go on", span(self.life_options.idle_timeout)),
            Left::TooLong => {
                format!(
                    "it has lasted {}, and may last no longer; connect again to begin another",
                    span(self.life_options.max_length)
                )
            }
            other => other.name().to_owned(),
        }
    }
}

/// Said to whoever gives way.
pub(super) const TAKEN_OVER: &str = "another client has connected; connect again to take over";

/// A viewer that may not have a session: the reason and the words.
pub(super) fn refusal(why: Refused) -> (RefuseReason, &'static str) {
    match why {
        Refused::Full => (RefuseReason::Busy, "as many are connected as may be; try again later"),
        Refused::Over(Left::TakenOver) => {
            (RefuseReason::Busy, "another client has taken over while this one was away; connect again to take over")
        }
        Refused::Over(_) => (RefuseReason::Other, "the session is over; connect again to begin another"),
    }
}

/// As the viewer is told.
pub(super) const fn goodbye(why: Left) -> Goodbye {
    match why {
        Left::Left => Goodbye::Left,
        Left::Idle => Goodbye::Idle,
        Left::TooLong => Goodbye::TooLong,
        Left::TakenOver => Goodbye::TakenOver,
        Left::Revoked => Goodbye::Revoked,
        Left::Stopping => Goodbye::Stopping,
        Left::Lost | Left::Silent | Left::Closed | Left::Away => Goodbye::Other,
    }
}

/// What a seat's viewer is to know of the machine.
pub(super) fn tell_machine(seat: &mut Seat, now: Stamp<HostClock>, (state, keep_awake): (HostState, bool)) {
    if !seat.files_only {
        seat.host.on_host_state(now, state);
        seat.host.on_keep_awake(now, keep_awake);
    }
}

/// Who somebody is, for others.
pub(super) fn who_of(seat: &Seat) -> serde_json::Value {
    let guest = &seat.guest;
    json!({
        "name": guest.name,
        "user": guest.user,
        "client": guest.client.map(|c| c.to_hex()),
        "proved-by": guest.proved_by(),
        "address": guest.remote.to_string(),
    })
}

/// Tells everybody who is there of everybody who is there.
fn tell_people(state: &mut State, now: Stamp<HostClock>) {
    let here = |s: &&Seat| s.conn.is_some() && !s.files_only;
    let person = |s: &Seat| (s.id, s.guest.name.clone(), s.guest.user.clone());
    let people: Vec<_> = state.seats.values().filter(here).map(person).collect();
    for seat in state.seats.values_mut().filter(|s| s.conn.is_some() && !s.files_only) {
        let told = |(id, name, user): &(u64, String, String)| Person {
            name: name.clone(),
            user: user.clone(),
            you: *id == seat.id,
        };
        let told = people.iter().map(told).collect();
        seat.host.on_people(now, told);
    }
}
