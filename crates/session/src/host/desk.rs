//! What the viewer is told of the desk beside its pixels: the pointer and the monitors.

use super::Host;
use telepane_model::monitor::surface_of;
use telepane_model::{CursorShape, CursorState, Desk, HostClock, Monitor, Point, Stamp};
use telepane_protocol::Control;

impl Host {
    /// The pointer moved or changed its shape on the host.
    pub fn on_cursor(&mut self, now: Stamp<HostClock>, state: CursorState) {
        self.advance(now);
        // Where this viewer itself put the pointer, it has drawn it already.
        let same_look = self.cursor.is_some_and(|c| CursorState { at: state.at, ..c } == state);
        let at = Point::new(state.at.x, state.at.y);
        let echo = same_look && !self.relative && at == self.focus;
        if self.relative {
            self.focus = at;
        }
        if self.cursor != Some(state) && !echo {
            self.cursor_dirty = true;
            self.cursor_serial = self.cursor_serial.wrapping_add(1);
        }
        self.cursor = Some(state);
    }

    /// An application put the pointer here. A viewer whose pointer is captured is told the place already.
    // spec: K-74
    pub fn on_pointer_put(&mut self, now: Stamp<HostClock>, at: Point<Desk>) {
        self.advance(now);
        let here = Point::new(at.x, at.y);
        if !self.relative && here != self.focus {
            self.focus = here;
            self.send_control(Control::PointerPut(at));
        }
    }

    /// A cursor image.
    pub fn on_cursor_shape(&mut self, now: Stamp<HostClock>, shape: CursorShape) {
        self.advance(now);
        self.cursor_dirty = true;
        self.shape = Some(fitting(shape));
    }

    /// The desktop has these monitors.
    // spec: K-73
    pub fn on_monitors(&mut self, now: Stamp<HostClock>, monitors: &[Monitor]) {
        self.advance(now);
        if self.monitors != monitors {
            self.monitors = monitors.to_vec();
            self.tell_monitors();
        }
    }

    /// The viewer shows the desktop on monitors like these, or said nothing of them.
    // spec: H-67
    pub(super) fn follow_monitors(&mut self, monitors: &[Monitor]) {
        self.cadence.follow(monitors);
        if let Some(surface) = &mut self.surface {
            surface.ledger.expect_pictures(self.cadence.every());
        }
    }

    pub(super) fn tell_monitors(&mut self) {
        if surface_of(&self.monitors).is_ok() {
            self.send_control(Control::MonitorsTold(self.monitors.clone()));
        }
    }
}

/// The image, halved until its message fits a control frame. Large cursors are rare and mostly transparent.
// spec: K-12
fn fitting(mut shape: CursorShape) -> CursorShape {
    while Control::CursorShape(shape.clone()).encode().len() > telepane_protocol::MAX_CONTROL {
        let (w, h) = (shape.w / 2, shape.h / 2);
        let row = usize::from(shape.w) * 4;
        let pixel = |x: usize, y: usize| shape.bgra.get(2 * y * row + 8 * x..).and_then(|p| p.first_chunk::<4>());
        let bgra = (0..usize::from(h))
            .flat_map(|y| (0..usize::from(w)).map(move |x| (x, y)))
            .flat_map(|(x, y)| pixel(x, y).copied().unwrap_or_default())
            .collect();
        shape = CursorShape { id: shape.id, w, h, hot_x: shape.hot_x / 2, hot_y: shape.hot_y / 2, bgra };
    }
    shape
}
