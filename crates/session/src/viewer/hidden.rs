//! Whether anything of the screen is seen: a host need not send what nobody looks at.

use super::Viewer;
use crate::output::{Alarm, Wake};
use telepane_model::{Span, Stamp, ViewerClock};
use telepane_protocol::Control;

/// Who looks at another window for a moment comes back to one that is up to date.
const HIDDEN: Span = Span::secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    since: Option<Stamp<ViewerClock>>,
    /// The host was told on this connection.
    said: bool,
}

impl Hidden {
    /// Another connection knows nothing of what was said on the one before.
    pub(super) const fn on_attached(&mut self) {
        self.said = false;
    }

    /// Whether nothing of the screen is seen now.
    pub(super) const fn is_hidden(&self) -> bool {
        self.since.is_some()
    }
}

impl Viewer {
    /// Nothing of the screen is seen from now on, or something is again.
    pub fn on_hidden(&mut self, now: Stamp<ViewerClock>, hidden: bool) {
        self.advance(now);
        self.hidden.since = hidden.then(|| self.hidden.since.unwrap_or(now));
    }

    // spec: Y-43, K-92
    pub(super) fn say_hidden(&mut self, alarm: &mut Alarm<ViewerClock>) {
        if self.link.is_none() {
            return;
        }
        let due = self.hidden.since.map(|since| since + HIDDEN);
        let hidden = due.is_some_and(|due| due <= self.now);
        if hidden != self.hidden.said {
            self.hidden.said = hidden;
            self.send_control(Control::SuppressOutput(hidden));
        } else if !hidden {
            alarm.set_if(due, Wake::Hidden);
        }
    }
}
