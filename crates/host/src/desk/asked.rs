//! What the desk loop does because a person asked for it: answers about sessions, ends them, takes rights away.
//!
//! Revocation and permissions are files that other commands change. While somebody is connected they are looked at once a
//! second, which costs two or three `stat` calls; when nobody is, nothing is looked at before the next knock at the door.

use super::life::goodbye;
use super::{Desk, RIGHTS_EVERY, Seat, State, clip};
use crate::ask::Ask;
use crate::metrics::Figures;
use telepane_model::{HostClock, Stamp, Version};
use telepane_session::life::Left;
use telepane_transport::Lanes;
use telepane_trust::{Feature, Rights};

impl Desk {
    /// Answers a question; whoever asked may be gone meanwhile.
    pub(super) fn answer(&mut self, state: &mut State, ask: Ask) {
        match ask {
            Ask::Sessions(reply) => drop(reply.send(self.sessions(state))),
            Ask::Figures(reply) => {
                let (counts, sound) = (self.notes.counts.clone(), self.sound.figures());
                drop(reply.send(Figures { counts, sessions: self.sessions(state), sound }));
            }
            Ask::SetPolicy { id, settings, reply } => {
                let now = self.clock.now();
                let set = |seat: &mut Seat| seat.set_policy(now, &settings).map_err(|e| e.to_string());
                let _ = reply.send(state.seats.get_mut(&id).map(set));
            }
            Ask::Message { id, text, reply } => {
                let now = self.clock.now();
                let known = id.is_none_or(|id| state.seats.contains_key(&id));
                let meant = |s: &&mut Seat| s.conn.is_some() && !s.files_only && id.is_none_or(|id| s.id == id);
                let told = state.seats.values_mut().filter(meant).map(|s| s.host.on_message(now, &text)).count();
                let _ = reply.send(known.then_some(told));
            }
            Ask::Close { id, reply } => {
                tracing::info!(session = id, "closed by a person on the host");
                let closed =
                    self.end_seat(state, id, Left::Closed, "it was closed on the host; connect again to begin another");
                let _ = reply.send(closed);
            }
        }
    }

    /// Lets those go who were revoked, and holds the others to what they may do now.
    pub(super) fn watch_rights(&mut self, state: &mut State) {
        let now = self.clock.now();
        if now < state.rights_at || state.seats.values().all(|s| s.conn.is_none()) {
            return;
        }
        state.rights_at = now + RIGHTS_EVERY;
        self.tidy();
        let changes = self.door.refresh();
        if changes == state.rights_seen {
            return;
        }
        state.rights_seen = changes;
        for id in state.seats.keys().copied().collect::<Vec<_>>() {
            let Some(seat) = state.seats.get_mut(&id) else { continue };
            let revoked = seat.guest.enrolled && seat.guest.client.is_some_and(|c| !self.door.is_enrolled(&c));
            let features = self.door.features(&seat.guest.user);
            let why = match (revoked, features.has(Feature::Display)) {
                (true, _) => "this client's key was revoked on the host; ask its owner for the access code",
                (false, false) => "the host's permissions no longer let this client in; ask its owner",
                (false, true) => {
                    if features != seat.guest.rights.features() {
                        tracing::info!(session = id, "other permissions hold now");
                        seat.guest.rights = Rights::new(features);
                        clip::of_others(state.clips, state.clip_of, id).for_each(|c| seat.on_clip_changed(now, c));
                        seat.on_sound(now, self.sound.has());
                        // What is held was pressed under the old rights.
                        self.let_go(state, id);
                    }
                    continue;
                }
            };
            tracing::info!(session = id, why, "revoked");
            self.notes.counts.revoked += 1;
            self.end_seat(state, id, Left::Revoked, why);
        }
    }

    /// When the rights have to be looked at next, if they have to.
    pub(super) fn rights_due(state: &State) -> Option<Stamp<HostClock>> {
        state.seats.values().any(|s| s.conn.is_some()).then_some(state.rights_at)
    }

    /// Ends a session aloud and forgets it; false when there is none with this number.
    pub(super) fn end_seat(&mut self, state: &mut State, id: u64, why: Left, text: &str) -> bool {
        let Some(mut seat) = state.seats.remove(&id) else { return false };
        let now = self.clock.now();
        seat.host.close(now, goodbye(why), text);
        self.seat_over(state, &seat, why);
        let pixels = self.desktop.source.pixels();
        seat.drain(&self.clock, &self.net, &mut self.coders, (&pixels, Version(0)), &mut self.notes, &mut |_| {});
        drop(pixels);
        self.let_go(state, id);
        if let Some(conn) = seat.conn {
            self.net.close(conn, 0, text);
        }
        true
    }
}
