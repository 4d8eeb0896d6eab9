//! What winit cannot do on Wayland: have the compositor leave its shortcuts to a window
//! (keyboard-shortcuts-inhibit-unstable-v1), keep the screen on (idle-inhibit-unstable-v1), and read the lock keys. A compositor may
//! lack the former two, and may take the shortcuts back by ways of its own.
//!
//! The requests go over winit's connection, because they name its windows; what is answered comes to a queue of ours, which
//! winit's reading fills.

use wayland_client::backend::{Backend, ObjectId};
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::wl_keyboard::{self, WlKeyboard};
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::protocol::wl_seat::{self, WlSeat};
use wayland_client::protocol::wl_surface::WlSurface;
use wayland_client::{Connection, Dispatch, EventQueue, Proxy, QueueHandle, WEnum};
use wayland_protocols::wp::idle_inhibit::zv1::client::zwp_idle_inhibit_manager_v1::ZwpIdleInhibitManagerV1;
use wayland_protocols::wp::idle_inhibit::zv1::client::zwp_idle_inhibitor_v1::ZwpIdleInhibitorV1;
use wayland_protocols::wp::keyboard_shortcuts_inhibit::zv1::client::zwp_keyboard_shortcuts_inhibit_manager_v1::{
    self as manager, ZwpKeyboardShortcutsInhibitManagerV1,
};
use wayland_protocols::wp::keyboard_shortcuts_inhibit::zv1::client::zwp_keyboard_shortcuts_inhibitor_v1::{
    self as inhibitor, ZwpKeyboardShortcutsInhibitorV1,
};
use winit::event_loop::ActiveEventLoop;
use winit::raw_window_handle::{HasDisplayHandle, HasWindowHandle, RawDisplayHandle, RawWindowHandle};
use winit::window::{Window, WindowId};

/// The real modifiers' bits, in X's order.
const LOCK: u32 = 1 << 1;
const MOD2: u32 = 1 << 4;
/// A seat whose keyboard comes and goes is not asked for it without end.
const MOST_KEYBOARDS: usize = 16;

/// What the compositor is asked through.
pub(super) struct Wayland {
    connection: Connection,
    queue: EventQueue<Told>,
    told: Told,
    /// Those that were there at the start.
    seats: Vec<WlSeat>,
    manager: Option<ZwpKeyboardShortcutsInhibitManagerV1>,
    /// Of the one window that has the shortcuts: one for each seat.
    inhibitors: Vec<ZwpKeyboardShortcutsInhibitorV1>,
    idle: Option<ZwpIdleInhibitManagerV1>,
    /// Of the windows on whose screens there is to be light.
    lit: Vec<(WindowId, ZwpIdleInhibitorV1)>,
}

/// What the compositor said.
#[derive(Debug, Default)]
struct Told {
    /// It took the shortcuts back.
    taken_back: bool,
    /// The seats' keyboards, which tell of locks.
    keyboards: Vec<WlKeyboard>,
    /// The modifiers that are locked, as the keymap numbers them, once a window had a keyboard.
    locked: Option<u32>,
}

impl Wayland {
    /// `None` when the loop is not on Wayland. What this returns has to end before the loop does.
    pub(super) fn open(events: &ActiveEventLoop) -> Option<Self> {
        let RawDisplayHandle::Wayland(display) = events.display_handle().ok()?.as_raw() else { return None };
        // SAFETY: the display is winit's, which lives as long as the loop; the shell drops what uses it before the loop ends.
        let backend = unsafe { Backend::from_foreign_display(display.display.as_ptr().cast()) };
        let connection = Connection::from_backend(backend);
        let (globals, mut queue) = registry_queue_init::<Told>(&connection).ok()?;
        let handle = queue.handle();
        let manager = globals.bind(&handle, 1..=1, ()).ok();
        if manager.is_none() {
            tracing::info!("the compositor keeps its shortcuts: it has no zwp_keyboard_shortcuts_inhibit_manager_v1");
        }
        let idle = globals.bind(&handle, 1..=1, ()).ok();
        let all = globals.contents().clone_list();
        let seats = all.iter().filter(|global| global.interface == WlSeat::interface().name);
        let seats = seats.map(|seat| globals.registry().bind(seat.name, 1, &handle, ())).collect();
        let mut told = Told::default();
        // The seats say what they have.
        queue.roundtrip(&mut told).ok()?;
        Some(Self { connection, queue, told, seats, manager, inhibitors: Vec::new(), idle, lit: Vec::new() })
    }

    /// Whether the compositor can be asked for its shortcuts.
    pub(super) const fn can_inhibit(&self) -> bool {
        self.manager.is_some()
    }

    /// Asks it to leave its shortcuts to `window` while that has the keyboard, or no longer; whether it was asked to.
    pub(super) fn inhibit(&mut self, window: &Window, on: bool) -> bool {
        // What it says of seats and outputs has to be taken now and then.
        self.hear();
        // There may be one for a window and a seat, and no more.
        self.inhibitors.drain(..).for_each(|inhibitor| inhibitor.destroy());
        self.told.taken_back = false;
        if on && let Some((manager, surface)) = self.manager.as_ref().zip(self.surface(window)) {
            let handle = self.queue.handle();
            let one = |seat| manager.inhibit_shortcuts(&surface, seat, &handle, ());
            self.inhibitors = self.seats.iter().map(one).collect();
        }
        if let Err(error) = self.connection.flush() {
            tracing::debug!(%error, "the compositor cannot be asked");
        }
        !self.inhibitors.is_empty()
    }

    /// Whether the compositor took them back, which a person can make it do.
    pub(super) fn has_taken_back(&mut self) -> bool {
        self.hear();
        self.told.taken_back
    }

    /// Keeps on the screens that these windows are seen on, and no others any more.
    pub(super) fn keep_awake<'w>(&mut self, windows: impl Iterator<Item = &'w Window>) {
        let Some(manager) = &self.idle else { return };
        let mut before = std::mem::take(&mut self.lit);
        let (handle, mut begun) = (self.queue.handle(), false);
        for window in windows {
            if let Some(at) = before.iter().position(|(id, _)| *id == window.id()) {
                self.lit.push(before.remove(at));
            } else if let Some(surface) = self.surface(window) {
                begun = true;
                self.lit.push((window.id(), manager.create_inhibitor(&surface, &handle, ())));
            }
        }
        let ended = !before.is_empty();
        before.into_iter().for_each(|(_, inhibitor)| inhibitor.destroy());
        if (begun || ended)
            && let Err(error) = self.connection.flush()
        {
            tracing::debug!(%error, "the compositor cannot be asked");
        }
    }

    /// Caps Lock and Num Lock, once a window had the keyboard. Num Lock is read as Mod2, where every keymap in use puts it.
    pub(super) fn locks(&mut self) -> Option<(bool, bool)> {
        self.hear();
        self.told.locked.map(|locked| (locked & LOCK != 0, locked & MOD2 != 0))
    }

    fn hear(&mut self) {
        // winit says what is wrong with the connection.
        let _ = self.queue.dispatch_pending(&mut self.told);
    }

    fn surface(&self, window: &Window) -> Option<WlSurface> {
        let RawWindowHandle::Wayland(handle) = window.window_handle().ok()?.as_raw() else { return None };
        // SAFETY: the surface is that of the window, which is borrowed here, and was made on this connection's display.
        let id = unsafe { ObjectId::from_ptr(WlSurface::interface(), handle.surface.as_ptr().cast()) };
        WlSurface::from_id(&self.connection, id.ok()?).ok()
    }
}

impl Dispatch<ZwpKeyboardShortcutsInhibitorV1, ()> for Told {
    fn event(
        told: &mut Self,
        _: &ZwpKeyboardShortcutsInhibitorV1,
        event: inhibitor::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            inhibitor::Event::Active => told.taken_back = false,
            inhibitor::Event::Inactive => told.taken_back = true,
            _ => {}
        }
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for Told {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

impl Dispatch<WlSeat, ()> for Told {
    fn event(
        told: &mut Self,
        seat: &WlSeat,
        event: wl_seat::Event,
        (): &(),
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        let wl_seat::Event::Capabilities { capabilities: WEnum::Value(has) } = event else { return };
        // One for each seat, and never more than a few; it stays when its device goes, and tells of the next one.
        if has.contains(wl_seat::Capability::Keyboard) && told.keyboards.len() < MOST_KEYBOARDS {
            told.keyboards.push(seat.get_keyboard(handle, ()));
        }
    }
}

impl Dispatch<WlKeyboard, ()> for Told {
    fn event(
        told: &mut Self,
        _: &WlKeyboard,
        event: wl_keyboard::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_keyboard::Event::Modifiers { mods_locked, .. } = event {
            told.locked = Some(mods_locked);
        }
    }
}

impl Dispatch<ZwpIdleInhibitManagerV1, ()> for Told {
    fn event(
        _: &mut Self,
        _: &ZwpIdleInhibitManagerV1,
        _: <ZwpIdleInhibitManagerV1 as Proxy>::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

impl Dispatch<ZwpIdleInhibitorV1, ()> for Told {
    fn event(
        _: &mut Self,
        _: &ZwpIdleInhibitorV1,
        _: <ZwpIdleInhibitorV1 as Proxy>::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

impl Dispatch<ZwpKeyboardShortcutsInhibitManagerV1, ()> for Told {
    fn event(
        _: &mut Self,
        _: &ZwpKeyboardShortcutsInhibitManagerV1,
        _: manager::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}
