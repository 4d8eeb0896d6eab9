//! What the person wants the desktop to be: a size and scale, or monitors. It is told to the host when it is steady, and now
//! and then while a hand still changes it, so that the desktop follows without beginning anew for every step of the edge.

use super::Viewer;
use crate::output::{Alarm, Wake};
use telepane_model::monitor::surface_of;
use telepane_model::{Monitor, Size, Span, Stamp, Surf, ViewerClock};
use telepane_protocol::Control;

/// A wish that has not changed for this long is told.
const STEADY: Span = Span::millis(80);
/// One that keeps changing is told this often.
const MOVING: Span = Span::millis(200);

/// The wish that was told, and the one that was not yet.
#[derive(Debug, Default)]
pub(super) struct Shape {
    unsaid: Option<Unsaid>,
    said: Option<Control>,
    /// The one monitor that is wished for.
    lone: Option<Monitor>,
    /// The host of this connection has told of its monitors.
    told: bool,
}

#[derive(Debug)]
struct Unsaid {
    message: Control,
    /// Since when something has been unsaid, and since when this.
    first: Stamp<ViewerClock>,
    last: Stamp<ViewerClock>,
}

impl Shape {
    fn want(&mut self, now: Stamp<ViewerClock>, message: Control) {
        if self.said.as_ref() == Some(&message) {
            self.unsaid = None;
        } else if self.unsaid.as_ref().is_none_or(|u| u.message != message) {
            let first = self.unsaid.as_ref().map_or(now, |u| u.first);
            self.unsaid = Some(Unsaid { message, first, last: now });
        }
    }

    fn due(&self) -> Option<Stamp<ViewerClock>> {
        self.unsaid.as_ref().map(|u| (u.last + STEADY).min(u.first + MOVING))
    }

    /// Another connection knows nothing of what was said on the one before.
    pub(super) fn on_attached(&mut self) {
        (self.said, self.told) = (None, false);
    }

    /// The host tells of its monitors: it knows what one is.
    pub(super) fn on_told(&mut self, now: Stamp<ViewerClock>) {
        self.told = true;
        if let Some(lone) = &self.lone {
            self.want(now, Control::MonitorsWish(vec![lone.clone()]));
        }
    }
}

impl Viewer {
    /// The person wants the desktop to have this size.
    pub fn on_resize(&mut self, now: Stamp<ViewerClock>, size: Size<Surf>, scale: u16) {
        self.advance(now);
        self.shape.lone = None;
        self.shape.want(now, Control::Resize { size, scale });
    }

    /// The person wants the desktop to have these monitors; such that make none are not told. One alone is told of its size and
    /// scale to a host that has not shown that it knows of monitors.
    // spec: Y-45
    pub fn on_monitors(&mut self, now: Stamp<ViewerClock>, monitors: Vec<Monitor>) {
        self.advance(now);
        let Ok(size) = surface_of(&monitors) else { return };
        let lone = (monitors.len() == 1).then(|| monitors.first().cloned()).flatten();
        self.shape.lone.clone_from(&lone);
        let message = match lone.filter(|_| !self.shape.told) {
            Some(Monitor { scale, .. }) => Control::Resize { size, scale },
            None => Control::MonitorsWish(monitors),
        };
        self.shape.want(now, message);
    }

    // spec: Y-29
    pub(super) fn say_shape(&mut self, alarm: &mut Alarm<ViewerClock>) {
        if self.link.is_none() {
            return;
        }
        match self.shape.due() {
            Some(at) if at <= self.now => {
                let Some(Unsaid { message, .. }) = self.shape.unsaid.take() else { return };
                self.shape.said = Some(message.clone());
                self.send_control(message);
            }
            at => alarm.set_if(at, Wake::Shape),
        }
    }
}
