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
        self.said = None;
    }
}

impl Viewer {
    /// The person wants the desktop to have this size.
    pub fn on_resize(&mut self, now: Stamp<ViewerClock>, size: Size<Surf>, scale: u16) {
        self.advance(now);
        self.shape.want(now, Control::Resize { size, scale });
    }

    /// The person wants the desktop to have these monitors; such that make none are not told.
    pub fn on_monitors(&mut self, now: Stamp<ViewerClock>, monitors: Vec<Monitor>) {
        self.advance(now);
        if surface_of(&monitors).is_ok() {
            self.shape.want(now, Control::MonitorsWish(monitors));
        }
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
