//! This machine's screen, for all windows of ours on it: its monitors, whether it stays on, and the lock keys.

use super::span;
use super::taken::TakenKey;
#[cfg(windows)]
use super::win32::{self, Hook};
#[cfg(all(unix, not(target_os = "macos")))]
use super::{wayland::Wayland, x11::X11};
use telepane_model::{KeyCode, Monitor};
use winit::event_loop::{ActiveEventLoop, EventLoop};
use winit::window::Window;

/// How often monitors are looked at after a notice of a change: winit, which is asked, hears of it by a connection of its own.
const LOOKS: u8 = 8;

/// See the module.
pub(super) struct Screen {
    #[cfg(all(unix, not(target_os = "macos")))]
    x11: Option<X11>,
    #[cfg(all(unix, not(target_os = "macos")))]
    wayland: Option<Wayland>,
    /// While the system's shortcuts are ours.
    #[cfg(windows)]
    hook: Option<Hook>,
    /// What a hook that is gone had still to say.
    #[cfg(windows)]
    left: Vec<TakenKey>,
    /// This machine's monitors.
    pub(super) seen: Vec<Monitor>,
    /// So often they are looked at again, because something may have changed about them.
    looks: u8,
    /// A window of ours was moved, as far as the system tells.
    moved: bool,
    /// The screen is kept on.
    awake: bool,
}

/// Whether windows of this loop are on Wayland.
#[cfg(all(unix, not(target_os = "macos")))]
pub(super) fn is_wayland<T>(events: &EventLoop<T>) -> bool {
    winit::platform::wayland::EventLoopExtWayland::is_wayland(events)
}

#[cfg(not(all(unix, not(target_os = "macos"))))]
pub(super) fn is_wayland<T>(_: &EventLoop<T>) -> bool {
    false
}

impl Screen {
    pub(super) fn open(events: &ActiveEventLoop) -> Self {
        Self {
            #[cfg(all(unix, not(target_os = "macos")))]
            x11: X11::open(events),
            #[cfg(all(unix, not(target_os = "macos")))]
            wayland: Wayland::open(events),
            #[cfg(windows)]
            hook: None,
            #[cfg(windows)]
            left: Vec::new(),
            seen: span::seen(events.available_monitors(), events.primary_monitor()),
            looks: 0,
            moved: false,
            awake: false,
        }
    }

    /// A window changed: its monitors may have.
    pub(super) const fn look_again(&mut self) {
        self.looks = LOOKS;
    }

    /// Whether the monitors are others than they were; `window` is one of ours.
    pub(super) fn changed(&mut self, window: &Window) -> bool {
        #[cfg(all(unix, not(target_os = "macos")))]
        let (told, moved) = self.x11.as_ref().map_or((false, true), X11::changes);
        // Other systems are asked each time: that is no question to a server.
        #[cfg(not(all(unix, not(target_os = "macos"))))]
        let (told, moved) = (false, true);
        self.moved |= moved;
        if told {
            self.looks = LOOKS;
        }
        let looks = self.looks > 0;
        self.looks = self.looks.saturating_sub(1);
        if !looks {
            return false;
        }
        let now = self.monitors_now(window);
        let changed = now != self.seen && !now.is_empty();
        if changed {
            self.seen = now;
        }
        changed
    }

    /// Whether a window of ours may have been moved since this was asked last.
    pub(super) const fn moved(&mut self) -> bool {
        std::mem::replace(&mut self.moved, false)
    }

    fn monitors_now(&self, window: &Window) -> Vec<Monitor> {
        #[cfg(all(unix, not(target_os = "macos")))]
        if let Some(told) = self.x11.as_ref().and_then(X11::monitors) {
            return span::renewed(told, &self.seen, window.scale_factor());
        }
        span::seen(window.available_monitors(), window.primary_monitor())
    }

    /// Whether the screen is X11's, to which we have a connection of our own.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) const fn is_x11(&self) -> bool {
        self.x11.is_some()
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) const fn is_x11(&self) -> bool {
        false
    }

    /// Whether somebody places windows, where it may be that nobody does.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn is_managed(&self) -> bool {
        self.x11.as_ref().is_none_or(X11::is_managed)
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) fn is_managed(&self) -> bool {
        true
    }

    /// Has the system keep what a window shows while its edge is dragged, and show black where nothing is painted yet.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn keep_while_resized(&self, window: &Window) {
        if let Some(x11) = &self.x11 {
            x11.keep_while_resized(window);
        }
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) fn keep_while_resized(&self, _: &Window) {}

    /// Has the system tell that a window is moved.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn watch(&self, window: &Window) {
        if let Some(x11) = &self.x11 {
            x11.watch(window);
        }
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) fn watch(&self, _: &Window) {}

    /// Asks the window manager, where there is one, to let a window lie over several monitors.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn spread(&self, window: &Window, over: &[Monitor]) {
        if let Some(x11) = self.x11.as_ref().filter(|x| x.is_managed()) {
            x11.spread(window, over);
        }
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) fn spread(&self, _: &Window, _: &[Monitor]) {}

    /// Gives a window the keyboard where no window manager does; whether it has it, `None` where that is not for us to do.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn focus(&self, window: &Window) -> Option<bool> {
        self.x11.as_ref().filter(|x| !x.is_managed()).map(|x| x.focus(window))
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) fn focus(&self, _: &Window) -> Option<bool> {
        None
    }

    /// Whether a window may be on the screen, as far as the system says.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn may_be_seen(&self, window: &Window) -> bool {
        window.is_minimized() != Some(true) && self.x11.as_ref().is_none_or(|x| x.is_viewable(window))
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) fn may_be_seen(&self, window: &Window) -> bool {
        window.is_minimized() != Some(true)
    }

    /// Whether the system's shortcuts can be had at all.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn can_grab(&self) -> bool {
        self.x11.is_some() || self.wayland.as_ref().is_some_and(Wayland::can_inhibit)
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) const fn can_grab(&self) -> bool {
        cfg!(windows)
    }

    /// Takes the shortcuts of the window manager or compositor for a window, or gives them back; whether it did.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn grab(&mut self, window: &Window, on: bool) -> bool {
        match &mut self.wayland {
            Some(wayland) => wayland.inhibit(window, on),
            None => self.x11.as_ref().is_some_and(|x| x.grab(window, on)),
        }
    }

    #[cfg(windows)]
    pub(super) fn grab(&mut self, window: &Window, on: bool) -> bool {
        if !on {
            if let Some(hook) = self.hook.take() {
                self.left.extend(hook.keys().end());
            }
            return true;
        }
        match &self.hook {
            Some(hook) => hook.move_to(window),
            None => self.hook = Hook::install(window),
        }
        self.hook.is_some()
    }

    #[cfg(target_os = "macos")]
    pub(super) fn grab(&mut self, _: &Window, _: bool) -> bool {
        false
    }

    /// A key came from the system: keys that went past it, to which the system's shortcuts belong, and came before.
    #[cfg(windows)]
    pub(super) fn taken_before(&mut self, code: KeyCode, down: bool) -> Vec<TakenKey> {
        self.hook.as_ref().map(|hook| hook.keys().before(code, down)).unwrap_or_default()
    }

    #[cfg(not(windows))]
    pub(super) const fn taken_before(&mut self, _: KeyCode, _: bool) -> Vec<TakenKey> {
        Vec::new()
    }

    /// Those of a moment at which no other key is on its way.
    #[cfg(windows)]
    pub(super) fn taken(&mut self) -> Vec<TakenKey> {
        let mut all = std::mem::take(&mut self.left);
        if let Some(hook) = &self.hook {
            let mut keys = hook.keys();
            all.extend(keys.settled());
            let deaf = keys.is_deaf().then(|| keys.end());
            drop(keys);
            if let Some(last) = deaf {
                tracing::debug!("the system dropped the keyboard hook");
                all.extend(last);
                self.hook = hook.renewed();
            }
        }
        all
    }

    #[cfg(not(windows))]
    pub(super) const fn taken(&mut self) -> Vec<TakenKey> {
        Vec::new()
    }

    /// Whether somebody else took back what was grabbed.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn has_lost_grab(&mut self) -> bool {
        self.wayland.as_mut().is_some_and(Wayland::has_taken_back)
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) fn has_lost_grab(&mut self) -> bool {
        false
    }

    /// Keeps the screen on, where these windows of ours are, or no longer.
    pub(super) fn keep_awake<'w>(&mut self, on: bool, windows: impl Iterator<Item = &'w Window>) {
        // A window may have come since: each has the compositor's promise for itself.
        #[cfg(all(unix, not(target_os = "macos")))]
        if let Some(wayland) = &mut self.wayland {
            wayland.keep_awake(windows.filter(|_| on));
        }
        #[cfg(not(all(unix, not(target_os = "macos"))))]
        drop(windows);
        if on != self.awake {
            self.awake = on;
            #[cfg(all(unix, not(target_os = "macos")))]
            if let Some(x11) = &self.x11 {
                x11.keep_awake(on);
            }
            #[cfg(windows)]
            win32::keep_awake(on);
        }
    }

    /// Caps Lock and Num Lock as far as the platform tells; off where it does not.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn locks(&mut self) -> (bool, bool) {
        let x11 = self.x11.as_ref().and_then(X11::locks);
        x11.or_else(|| self.wayland.as_mut().and_then(Wayland::locks)).unwrap_or_default()
    }

    #[cfg(windows)]
    pub(super) fn locks(&mut self) -> (bool, bool) {
        win32::locks()
    }

    #[cfg(target_os = "macos")]
    pub(super) fn locks(&mut self) -> (bool, bool) {
        (false, false)
    }
}
