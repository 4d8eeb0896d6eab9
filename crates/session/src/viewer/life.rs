//! What the host says of the session's life, and where the person works.

use super::Viewer;
use crate::output::ViewerOutput;
use telepane_model::{Stamp, ViewerClock};
use telepane_protocol::{Control, HostState, LifeWord, Place};

/// What was told and holds.
#[derive(Debug, Default)]
pub struct Life {
    /// The host understands where the person works.
    pub understood: bool,
    place: Place,
    ending: bool,
    state: HostState,
    keep_awake: bool,
    people: bool,
}

impl Viewer {
    /// Where the person works; said to each host that cares.
    // spec: K-84
    pub fn set_place(&mut self, now: Stamp<ViewerClock>, place: Place) {
        self.advance(now);
        self.life.place = place;
        self.say_place();
    }

    /// A connection begins: what the one before it was told no longer holds, but for who is there, which is told anew.
    // spec: Y-30
    pub(super) fn begin_life(&mut self) {
        self.forget_life();
        if std::mem::take(&mut self.life.state) != HostState::There {
            self.out.push_back(ViewerOutput::HostState(HostState::There));
        }
        self.say_place();
    }

    /// The connection is gone, and with it what the host asked for. That the host sleeps stands.
    // spec: Y-30
    pub(super) fn forget_life(&mut self) {
        if std::mem::take(&mut self.life.ending) {
            self.out.push_back(ViewerOutput::Ending(None));
        }
        if std::mem::take(&mut self.life.keep_awake) {
            self.out.push_back(ViewerOutput::KeepAwake(false));
        }
        if std::mem::take(&mut self.life.people) {
            self.out.push_back(ViewerOutput::People(Vec::new()));
        }
    }

    // spec: K-80, K-81, K-82, K-83
    pub(super) fn on_life(&mut self, word: LifeWord) {
        match word {
            LifeWord::Ending(ending) => {
                self.life.ending = ending.is_some();
                let at = ending.map(|(why, within)| (why, self.now + within));
                self.out.push_back(ViewerOutput::Ending(at));
            }
            LifeWord::HostState(state) => {
                if std::mem::replace(&mut self.life.state, state) != state {
                    self.out.push_back(ViewerOutput::HostState(state));
                }
            }
            LifeWord::KeepAwake(on) => {
                if std::mem::replace(&mut self.life.keep_awake, on) != on {
                    self.out.push_back(ViewerOutput::KeepAwake(on));
                }
            }
            LifeWord::People(people) => {
                self.life.people = !people.is_empty();
                self.out.push_back(ViewerOutput::People(people));
            }
            // It comes from viewers; `on_control` has refused it.
            LifeWord::Place(_) => {}
        }
    }

    fn say_place(&mut self) {
        if self.life.understood && self.life.place != Place::default() {
            self.send_control(Control::Life(LifeWord::Place(self.life.place.clone())));
        }
    }
}
