//! What the viewer is told of its session's life, and what it says of its person's place. Deciding is [`crate::life`]'s.

use super::Host;
use crate::output::HostOutput;
use telepane_model::{HostClock, Span, Stamp};
use telepane_protocol::{Control, Ending, HostState, LifeWord, Person};

/// What holds, to be told to each connection anew.
#[derive(Debug, Default)]
pub struct Told {
    /// The viewer understands such messages.
    pub understood: bool,
    people: Vec<Person>,
    state: HostState,
    keep_awake: bool,
}

impl Host {
    /// These are connected now, the viewer among them.
    // spec: K-83
    pub fn on_people(&mut self, now: Stamp<HostClock>, people: Vec<Person>) {
        self.advance(now);
        if self.life.people != people {
            self.life.people.clone_from(&people);
            self.send_life(LifeWord::People(people));
        }
    }

    /// The session is about to end, or no longer is.
    // spec: K-80
    pub fn on_ending(&mut self, now: Stamp<HostClock>, ending: Option<(Ending, Span)>) {
        self.advance(now);
        self.send_life(LifeWord::Ending(ending));
    }

    /// The machine goes to sleep or down, or stays.
    // spec: K-81
    pub fn on_host_state(&mut self, now: Stamp<HostClock>, state: HostState) {
        self.advance(now);
        if self.life.state != state {
            self.life.state = state;
            self.send_life(LifeWord::HostState(state));
        }
    }

    /// Something on the desktop asks that the screen stays on, or no longer does.
    // spec: K-82
    pub fn on_keep_awake(&mut self, now: Stamp<HostClock>, on: bool) {
        self.advance(now);
        if self.life.keep_awake != on {
            self.life.keep_awake = on;
            self.send_life(LifeWord::KeepAwake(on));
        }
    }

    /// A sentence for the person at the viewer.
    // spec: K-14
    pub fn on_message(&mut self, now: Stamp<HostClock>, text: &str) {
        self.advance(now);
        self.send_control(Control::Notice(text.into()));
    }

    /// A new connection knows nothing but that the host is there.
    // spec: K-81, K-82, K-83
    pub(super) fn begin_life(&mut self) {
        if !self.life.people.is_empty() {
            self.send_life(LifeWord::People(self.life.people.clone()));
        }
        if self.life.state != HostState::There {
            self.send_life(LifeWord::HostState(self.life.state));
        }
        if self.life.keep_awake {
            self.send_life(LifeWord::KeepAwake(true));
        }
    }

    fn send_life(&mut self, word: LifeWord) {
        if self.life.understood && self.link.is_some() {
            self.out.push_back(HostOutput::Control(Control::Life(word)));
        }
    }
}
