//! Whether anybody can see a window of ours. Where none can be seen the host need not send what they show.
//!
//! The system says when others cover a window, but not everywhere when one is minimised or on another of its desktops. So it is
//! asked now and then while something is painted, and while nothing is seen. What it does not know is taken for seen.

use super::window::Shell;
use super::{Model, WindowFact};
use std::time::Duration;

/// So often is painted before it is asked again: four times a second of a film.
const PAINTED: u8 = 16;
/// It is asked this often while nothing is seen, besides with every event.
const PAUSE: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Seen {
    painted: u8,
    hidden: bool,
}

impl Seen {
    /// Something was painted.
    pub(super) const fn on_painted(&mut self) {
        self.painted = self.painted.saturating_add(1);
    }
}

impl<M: Model> Shell<M> {
    /// Tells the model when no window is seen any more, or one is again; answers when to ask again.
    pub(super) fn look_whether_seen(&mut self) -> Option<Duration> {
        if self.seen.hidden || self.seen.painted >= PAINTED {
            self.seen.painted = 0;
            let screen = self.screen.as_ref();
            let may = self.lives.iter().any(|l| !l.covered && screen.is_none_or(|s| s.may_be_seen(&l.window)));
            let hidden = !may && !self.lives.is_empty();
            if hidden != self.seen.hidden {
                self.seen.hidden = hidden;
                self.model.window(WindowFact::Hidden(hidden));
            }
        }
        self.seen.hidden.then_some(PAUSE)
    }
}
