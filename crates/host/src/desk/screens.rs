//! What size, scale and monitors the desktop has: the wish that came last counts, whoever's it is. And where its windows
//! lie afterwards.

use super::{Desk, State};
use telepane_capture::virtual_desktop::Scaled;
use telepane_model::{Monitor, Size, Surf};

impl Desk {
    /// A desktop of our own takes the scale of the viewer that came, or changed, last.
    pub(super) fn rescale(&mut self, state: &mut State, seat: u64, percent: u16) {
        let Some(running) = &mut self.desktop.running else { return };
        match running.set_scale(percent) {
            Ok(Scaled::Already) => {}
            Ok(Scaled::Followed) => tracing::info!(percent, "the desktop's applications scale by this"),
            Ok(Scaled::NewPrograms { manager }) => {
                let text = format!(
                    "{manager} keeps the scale of the session's running programs; those that start from now on may \
                     follow the {percent} % asked for"
                );
                tracing::info!(text);
                if let Some(seat) = state.seats.get_mut(&seat) {
                    seat.host.say(self.clock.now(), &text);
                }
            }
            Err(error) => tracing::warn!(%error, percent, "the desktop keeps its scale"),
        }
    }

    /// The desktop takes this size, if it can.
    pub(super) fn resize(&mut self, state: &mut State, size: Size<Surf>) {
        if !self.desktop.source.describe().can_resize {
            return;
        }
        state.places.on_asked(self.clock.now(), || self.desktop.source.windows());
        match self.desktop.source.resize(size) {
            Ok(got) => tracing::info!(%size, %got, "desktop resized"),
            Err(error) => tracing::warn!(%error, %size, "the desktop keeps its size"),
        }
    }

    /// The desktop takes these monitors, if it can, and the scale of the primary one: X has one scale for all of a screen.
    pub(super) fn arrange(&mut self, state: &mut State, seat: u64, monitors: &[Monitor]) {
        let scale = monitors.iter().find(|m| m.primary).or(monitors.first()).map_or(100, |m| m.scale);
        self.rescale(state, seat, scale);
        if !self.desktop.source.describe().can_resize {
            return;
        }
        state.places.on_asked(self.clock.now(), || self.desktop.source.windows());
        match self.desktop.source.arrange(monitors) {
            Ok(got) => tracing::info!(monitors = monitors.len(), %got, "desktop arranged"),
            Err(error) => tracing::warn!(%error, "the desktop keeps its monitors"),
        }
    }

    /// What needs no more than to be done now and then.
    pub(super) fn tidy(&mut self) {
        if let Some(running) = &mut self.desktop.running {
            running.tidy();
        }
    }

    /// Sees to the windows after the desktop's layout has changed.
    pub(super) fn take_places(&mut self, state: &mut State) {
        let now = self.clock.now();
        if state.places.due().is_some_and(|at| at <= now) {
            let windows = self.desktop.source.windows();
            let moves = state.places.on_look(now, &windows);
            self.desktop.source.put_windows(&moves);
        }
    }
}
