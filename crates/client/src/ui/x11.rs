//! What winit cannot do on X11, over a small connection of our own: give the window the keyboard where no window
//! manager runs (bare Xvfb, kiosks), and read the lock keys.
//!
//! winit asks the window manager for the focus; without one nobody answers, the focus stays on the root window, and
//! winit drops keys of a window it does not believe focused. On other platforms the lock keys are unknown.

use winit::event_loop::ActiveEventLoop;
use winit::platform::x11::ActiveEventLoopExtX11;
use winit::raw_window_handle::{HasWindowHandle, RawWindowHandle};
use winit::window::Window;
use x11rb::connection::Connection;
use x11rb::protocol::screensaver::ConnectionExt as _;
use x11rb::protocol::xproto::{self, ConnectionExt as _, EventMask, InputFocus, KeyButMask};
use x11rb::rust_connection::RustConnection;

/// Our own connection.
pub(super) struct X11 {
    connection: RustConnection,
    root: xproto::Window,
}

impl X11 {
    /// `None` when the loop is not on X11 or the server takes no second connection.
    pub(super) fn open(events: &ActiveEventLoop) -> Option<Self> {
        if !events.is_x11() {
            return None;
        }
        let (connection, screen) = x11rb::connect(None).ok()?;
        let root = connection.setup().roots.get(screen)?.root;
        Some(Self { connection, root })
    }

    /// Whether a window manager runs: exactly one client may redirect the root's children.
    pub(super) fn is_managed(&self) -> bool {
        let asked = self.connection.get_window_attributes(self.root).ok().and_then(|c| c.reply().ok());
        asked.is_some_and(|a| a.all_event_masks.contains(EventMask::SUBSTRUCTURE_REDIRECT))
    }

    /// Gives `window` the keyboard; `false` while it is not yet on the screen.
    pub(super) fn focus(&self, window: &Window) -> bool {
        let id = match window.window_handle().map(|h| h.as_raw()) {
            Ok(RawWindowHandle::Xlib(h)) => u32::try_from(h.window).ok(),
            Ok(RawWindowHandle::Xcb(h)) => Some(h.window.get()),
            _ => None,
        };
        let request = |id| self.connection.set_input_focus(InputFocus::PARENT, id, x11rb::CURRENT_TIME).ok();
        id.and_then(request).is_some_and(|cookie| cookie.check().is_ok())
    }

    /// Keeps the server from blanking the screen for as long as this connection lives, or no longer (the X Screen Saver
    /// extension's Suspend, which counts).
    pub(super) fn keep_awake(&self, on: bool) {
        let suspended = self.connection.screensaver_suspend(u32::from(on)).and_then(|_| self.connection.flush());
        if let Err(error) = suspended {
            tracing::debug!(%error, on, "the screen saver is left alone");
        }
    }

    /// Caps Lock and Num Lock. Num Lock is read as Mod2, where every X keymap in use puts it.
    pub(super) fn locks(&self) -> Option<(bool, bool)> {
        let mask = self.connection.query_pointer(self.root).ok()?.reply().ok()?.mask;
        Some((mask.contains(KeyButMask::LOCK), mask.contains(KeyButMask::MOD2)))
    }
}
