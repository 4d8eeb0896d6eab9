//! The life of the world's one session, as an agent's shell carries it out.

use super::{HOST_EPOCH, SESSION, World};
use telepane_protocol::{Goodbye, HostState};
use telepane_session::life::{Caller, Left, Life, LifeOptions, LifeWish};

/// The session's name on the wire.
const TOKEN: [u8; 16] = [1; 16];

impl World {
    /// From now on the session rests, lasts and ends by these rules.
    pub fn live(&mut self, options: LifeOptions) {
        self.life = Some(Life::new(options));
        self.life_came();
    }

    /// The host's machine goes to sleep or down, or is there again.
    pub fn host_goes(&mut self, state: HostState) {
        self.host.on_host_state(self.host_now(), state);
        self.host_wake = Some(self.now);
    }

    /// Something on the desktop wants the screen to stay on, or no longer does.
    pub fn inhibit(&mut self, on: bool) {
        self.host.on_keep_awake(self.host_now(), on);
        self.host_wake = Some(self.now);
    }

    pub(super) fn life_came(&mut self) {
        let now = self.host_now();
        let caller = Caller { token: TOKEN, client: None, user: "" };
        let Some(life) = &mut self.life else { return };
        if life.on_knock(&caller, Some(SESSION)) == Ok(Vec::new()) {
            life.on_came(now, SESSION, &caller);
        }
        self.life_wake = Some(self.now);
    }

    pub(super) fn life_lost(&mut self) {
        let now = self.host_now();
        if let Some(life) = &mut self.life {
            life.on_lost(now, SESSION);
            self.life_wake = Some(self.now);
        }
    }

    pub(super) fn step_life(&mut self) {
        if self.life_wake.take_if(|at| *at <= self.now).is_none() {
            return;
        }
        let now = self.host_now();
        loop {
            let Some(life) = &mut self.life else { return };
            match life.poll(now) {
                LifeWish::Warn { ending, .. } => self.host.on_ending(now, ending),
                LifeWish::End { session, why } => {
                    life.on_ended(now, session, why);
                    let reason = if why == Left::Idle { Goodbye::Idle } else { Goodbye::TooLong };
                    self.host.close(now, reason, why.name());
                    self.note("host", format_args!("ends the session: {}", why.name()));
                }
                LifeWish::Listen { session } => {
                    // As long as the link passes anything, the client's PINGs pass too.
                    let heard = self.cut_since.unwrap_or(self.now);
                    life.on_heard(now, session, telepane_model::Stamp::from_micros(HOST_EPOCH + heard));
                }
                LifeWish::Lock => {
                    self.locks.push(self.now);
                    self.note("host", format_args!("lock"));
                }
                LifeWish::Event(event) => self.life_events.push(event),
                LifeWish::Idle { until } => {
                    self.life_wake = until.map(|t| t.as_micros().saturating_sub(HOST_EPOCH).max(self.now));
                    return;
                }
            }
            self.host_wake = Some(self.now);
        }
    }
}
