//! Shortcuts of this machine's system (Alt+Tab, Super): they go to the desktop while the window covers the screen, as the person
//! sees nothing else, and otherwise when asked to (Ctrl+Alt+G).
//!
//! They are taken where a window manager or a compositor runs that would answer them; a compositor that cannot give them away, or a
//! system where they are not taken yet, is said to keep them, once. The way out is said when one is pressed for the first
//! time, not before: nothing lies over a picture that covers the screen (DESIGN §5). When nobody has typed or pointed for a
//! while the keyboard is free, because a screen locker that cannot take it does not lock.

use super::live::{FOCUS_TRIES, Live};
use super::window::Shell;
use super::{Model, WindowFact};
use winit::window::WindowId;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Grab {
    /// What the person asked for; without it, what covers the screen has them.
    wished: Option<bool>,
    /// The window that has them, as far as anybody else would answer them.
    by: Option<WindowId>,
    /// There is somebody else.
    taken: bool,
    /// Somebody else may hold the keyboard for a moment, a switch between windows for example.
    tries: u8,
    told: bool,
    /// That they cannot be had was said.
    told_not: bool,
}

impl Grab {
    /// A window of ours has the keyboard now.
    pub(super) const fn try_anew(&mut self) {
        self.tries = FOCUS_TRIES;
    }

    /// Whether the person has to be told now, of a shortcut that went to the desktop.
    pub(super) const fn is_first(&mut self) -> bool {
        let first = self.taken && !self.told;
        self.told |= first;
        first
    }
}

impl<M: Model> Shell<M> {
    /// The other way round.
    pub(super) fn toggle_grab(&mut self) {
        let Some(screen) = &mut self.screen else { return };
        if !screen.can_grab() {
            self.grab.told_not = true;
            self.model.window(WindowFact::CannotGrab);
            return;
        }
        if screen.has_lost_grab() {
            self.grab.by = None;
        }
        let on = self.grab.by.is_none();
        self.grab.wished = Some(on);
        self.grab.told |= on;
        self.grab.try_anew();
        self.model.window(WindowFact::Grabbed(on));
    }

    // spec: Y-34
    /// Takes them for the window that should have them, or gives them back; whether to try again.
    pub(super) fn follow_grab(&mut self, asking: bool) -> bool {
        let wished = self.grab.wished;
        let free = asking || self.model.rests();
        let wants = |live: &&Live| live.focused && !free && wished.unwrap_or_else(|| live.covers_the_screen());
        let live = self.lives.iter().find(wants);
        let by = live.map(|live| live.window.id());
        // One window of ours may be about to hand the keyboard to the next.
        if by == self.grab.by || self.losing > 0 {
            return false;
        }
        let Some(screen) = &mut self.screen else { return false };
        if live.is_some() && !screen.can_grab() {
            self.grab.by = by;
            if !std::mem::replace(&mut self.grab.told_not, true) {
                self.model.window(WindowFact::CannotGrab);
            }
            return false;
        }
        let taken = match live {
            Some(live) if screen.is_managed() => screen.grab(&live.window, true),
            _ => false,
        };
        if let Some(live) = self.lives.first().filter(|_| self.grab.taken && !taken) {
            screen.grab(&live.window, false);
        }
        self.grab.taken = taken;
        if taken {
            self.grab.try_anew();
        }
        if live.is_some_and(|_| !taken && screen.is_managed()) && self.grab.tries > 0 {
            self.grab.tries -= 1;
            self.grab.by = None;
            return true;
        }
        self.grab.by = by;
        false
    }
}
