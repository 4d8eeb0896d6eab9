//! What winit cannot do on X11, over a small connection of our own: give the window the keyboard where no window
//! manager runs (bare Xvfb, kiosks), let it cover several monitors and take the shortcuts where one does, and read the lock keys.
//!
//! winit asks the window manager for the focus; without one nobody answers, the focus stays on the root window, and
//! winit drops keys of a window it does not believe focused. On other platforms the lock keys are unknown.

use telepane_model::{Monitor, Rect};
use winit::event_loop::ActiveEventLoop;
use winit::platform::x11::ActiveEventLoopExtX11;
use winit::raw_window_handle::{HasDisplayHandle, HasWindowHandle, RawDisplayHandle, RawWindowHandle};
use winit::window::Window;
use x11_dl::xlib::{CurrentTime, GrabModeAsync, GrabSuccess, True, Xlib};
use x11rb::connection::{Connection, RequestConnection as _};
use x11rb::errors::ReplyError;
use x11rb::protocol::Event;
use x11rb::protocol::randr::{self, ConnectionExt as _};
use x11rb::protocol::screensaver::ConnectionExt as _;
use x11rb::protocol::xproto::{
    self, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt as _, EventMask, InputFocus, KeyButMask,
};
use x11rb::rust_connection::RustConnection;

/// Our own connection.
pub(super) struct X11 {
    connection: RustConnection,
    root: xproto::Window,
    /// winit's library, for what its own connection has to ask.
    xlib: Option<Xlib>,
}

impl X11 {
    /// `None` when the loop is not on X11 or the server takes no second connection.
    pub(super) fn open(events: &ActiveEventLoop) -> Option<Self> {
        if !events.is_x11() {
            return None;
        }
        let (connection, screen) = x11rb::connect(None).ok()?;
        let root = connection.setup().roots.get(screen)?.root;
        let mask = randr::NotifyMask::SCREEN_CHANGE | randr::NotifyMask::CRTC_CHANGE | randr::NotifyMask::OUTPUT_CHANGE;
        // A server without RANDR has the monitors it has.
        if connection.extension_information(randr::X11_EXTENSION_NAME).ok().flatten().is_some() {
            connection.randr_select_input(root, mask).ok()?.check().ok()?;
        }
        Some(Self { connection, root, xlib: Xlib::open().ok() })
    }

    /// Whether a window manager runs: exactly one client may redirect the root's children.
    pub(super) fn is_managed(&self) -> bool {
        let asked = self.connection.get_window_attributes(self.root).ok().and_then(|c| c.reply().ok());
        asked.is_some_and(|a| a.all_event_masks.contains(EventMask::SUBSTRUCTURE_REDIRECT))
    }

    /// What the server told of since this was asked last: whether monitors changed, and whether a window of ours moved, which
    /// winit tells only where a window manager says so.
    pub(super) fn changes(&self) -> (bool, bool) {
        let (mut monitors, mut moved) = (false, false);
        while let Ok(Some(event)) = self.connection.poll_for_event() {
            monitors |= matches!(event, Event::RandrScreenChangeNotify(_) | Event::RandrNotify(_));
            moved |= matches!(event, Event::ConfigureNotify(_) | Event::ReparentNotify(_));
        }
        (monitors, moved)
    }

    /// The server's monitors: where each lies, its rate, whether it is the primary one, and its name. winit keeps those of its start.
    pub(super) fn monitors(&self) -> Option<Vec<Monitor>> {
        let told = self.connection.randr_get_monitors(self.root, true).ok()?.reply().ok()?.monitors;
        let one = |m: &randr::MonitorInfo| {
            let name = self.connection.get_atom_name(m.name).ok().and_then(|c| c.reply().ok());
            Monitor {
                place: Rect::new(m.x.into(), m.y.into(), m.width.into(), m.height.into()),
                refresh: m.outputs.first().and_then(|output| self.rate(*output)).unwrap_or(0),
                primary: m.primary,
                name: name.map(|n| String::from_utf8_lossy(&n.name).into_owned()).unwrap_or_default(),
                ..Monitor::default()
            }
        };
        Some(told.iter().map(one).collect())
    }

    /// How many pictures an output shows in 1000 s, if it says.
    fn rate(&self, output: randr::Output) -> Option<u32> {
        let resources = self.connection.randr_get_screen_resources_current(self.root).ok()?.reply().ok()?;
        let crtc = self.connection.randr_get_output_info(output, 0).ok()?.reply().ok()?.crtc;
        let mode = self.connection.randr_get_crtc_info(crtc, 0).ok()?.reply().ok()?.mode;
        let mode = resources.modes.iter().find(|m| m.id == mode)?;
        let total = u64::from(mode.htotal) * u64::from(mode.vtotal);
        u32::try_from((u64::from(mode.dot_clock) * 1000).checked_div(total)?).ok()
    }

    /// Asks the window manager to let `window` cover these monitors together, or, with none, no longer the screen.
    pub(super) fn spread(&self, window: &Window, over: &[Monitor]) {
        let Some(window) = id_of(window) else { return };
        if let Err(error) = self.ask_to_spread(window, over) {
            tracing::debug!(%error, "the window manager cannot be asked");
        }
    }

    fn ask_to_spread(&self, window: xproto::Window, over: &[Monitor]) -> Result<(), ReplyError> {
        let atom = |name: &str| -> Result<u32, ReplyError> {
            Ok(self.connection.intern_atom(false, name.as_bytes())?.reply()?.atom)
        };
        let say = |kind: u32, data: [u32; 5]| -> Result<(), ReplyError> {
            let event = ClientMessageEvent::new(32, window, kind, data);
            let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
            self.connection.send_event(false, self.root, mask, event)?.check()
        };
        // EWMH: the outermost monitors by their numbers in the server's list; 1 adds the state, 0 takes it away, and the
        // request comes from an application (1).
        let there = self.connection.randr_get_monitors(self.root, true)?.reply()?.monitors;
        let number = |m: &Monitor| {
            let same = |t: &randr::MonitorInfo| (i32::from(t.x), i32::from(t.y)) == (m.place.x, m.place.y);
            there.iter().position(same).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
        };
        let outermost = |key: &dyn Fn(&Monitor) -> i32| over.iter().min_by_key(|m| key(m)).map_or(0, number);
        let supported = self.supports(atom("_NET_WM_FULLSCREEN_MONITORS")?, atom("_NET_SUPPORTED")?)?;
        let several = u32::from(!over.is_empty());
        if !supported {
            // It would make a fullscreen window as large as one monitor: a window above the others that is as large as all does.
            return say(atom("_NET_WM_STATE")?, [several, atom("_NET_WM_STATE_ABOVE")?, 0, 1, 0]);
        }
        if !over.is_empty() {
            let top = outermost(&|m| m.place.y);
            let bottom = outermost(&|m| -m.place.bottom());
            let left = outermost(&|m| m.place.x);
            let right = outermost(&|m| -m.place.right());
            say(atom("_NET_WM_FULLSCREEN_MONITORS")?, [top, bottom, left, right, 1])?;
        }
        let fullscreen = atom("_NET_WM_STATE_FULLSCREEN")?;
        say(atom("_NET_WM_STATE")?, [several, fullscreen, 0, 1, 0])
    }

    /// Whether the window manager says that it knows this word.
    fn supports(&self, word: u32, list: u32) -> Result<bool, ReplyError> {
        let kind = xproto::AtomEnum::ATOM;
        let known = self.connection.get_property(false, self.root, list, kind, 0, 4096)?.reply()?;
        Ok(known.value32().is_some_and(|mut words| words.any(|w| w == word)))
    }

    /// Has the server tell where a window is moved.
    pub(super) fn watch(&self, window: &Window) {
        let Some(window) = id_of(window) else { return };
        let aux = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        let set = self.connection.change_window_attributes(window, &aux).map(|cookie| cookie.check());
        if !matches!(set, Ok(Ok(()))) {
            tracing::debug!(?set, "the window's moves are not told");
        }
    }

    /// A window of winit's has no background: where it grows the server leaves what lay under it, until something is painted, and
    /// what it showed is anybody's guess. Black is what lies beside a picture, and the rest stays where it is.
    pub(super) fn keep_while_resized(&self, window: &Window) {
        let Some(window) = id_of(window) else { return };
        let aux = ChangeWindowAttributesAux::new().background_pixel(0).bit_gravity(xproto::Gravity::NORTH_WEST);
        let set = self.connection.change_window_attributes(window, &aux).map(|cookie| cookie.check());
        if !matches!(set, Ok(Ok(()))) {
            tracing::debug!(?set, "the window has no background");
        }
    }

    /// Whether `window` is on the screen: a window manager takes one that is minimised, or on another desktop, off it.
    pub(super) fn is_viewable(&self, window: &Window) -> bool {
        let asked = id_of(window).and_then(|id| self.connection.get_window_attributes(id).ok());
        // What is not known is taken for seen.
        asked.and_then(|cookie| cookie.reply().ok()).is_none_or(|a| a.map_state == xproto::MapState::VIEWABLE)
    }

    /// Gives `window` the keyboard; `false` while it is not yet on the screen.
    pub(super) fn focus(&self, window: &Window) -> bool {
        let id = id_of(window);
        let request = |id| self.connection.set_input_focus(InputFocus::PARENT, id, x11rb::CURRENT_TIME).ok();
        id.and_then(request).is_some_and(|cookie| cookie.check().is_ok())
    }

    /// Grabs the keyboard for `window`, so that no shortcut of another program is one meanwhile, or gives it back; whether it did.
    ///
    /// Through winit's connection, because what is typed goes to whom the grab belongs; the window has the focus, so that winit
    /// hears of no change of it.
    pub(super) fn grab(&self, window: &Window, on: bool) -> bool {
        let (Some(xlib), Some(id)) = (&self.xlib, id_of(window)) else { return false };
        let Ok(Some(display)) = window.display_handle().map(|handle| match handle.as_raw() {
            RawDisplayHandle::Xlib(handle) => handle.display,
            _ => None,
        }) else {
            return false;
        };
        let display = display.as_ptr().cast();
        // SAFETY: the display is winit's, which lives as long as the window that is borrowed here, and this is the thread of
        // winit's loop; the functions are libX11's, with the types that x11-dl declares for them.
        unsafe {
            if on {
                let (window, mode) = (id.into(), GrabModeAsync);
                return (xlib.XGrabKeyboard)(display, window, True, mode, mode, CurrentTime) == GrabSuccess;
            }
            (xlib.XUngrabKeyboard)(display, CurrentTime);
            (xlib.XFlush)(display);
        }
        true
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

/// The window's number.
fn id_of(window: &Window) -> Option<xproto::Window> {
    match window.window_handle().map(|h| h.as_raw()) {
        Ok(RawWindowHandle::Xlib(h)) => u32::try_from(h.window).ok(),
        Ok(RawWindowHandle::Xcb(h)) => Some(h.window.get()),
        _ => None,
    }
}
