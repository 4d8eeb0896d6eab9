//! The tablets of an X11 screen, over a connection of our own: found, heard over our windows, and followed as they are
//! plugged in and out.
//!
//! That a pen is out of reach is told by the first version of the X Input extension alone.

use super::pen::{Labels, PenFact, Tablet};
use std::collections::{BTreeMap, BTreeSet};
use x11rb::connection::{Connection as _, RequestConnection as _};
use x11rb::errors::ReplyError;
use x11rb::protocol::Event;
use x11rb::protocol::xinput::{self, ConnectionExt as _, EventMask as DeviceEvents, PROXIMITY_OUT_EVENT, XIEventMask};
use x11rb::protocol::xproto::{self, ChangeWindowAttributesAux, ConnectionExt as _, EventMask};
use x11rb::rust_connection::RustConnection;

/// Every device there is or will be (`XIAllDevices`).
const ALL: u16 = 0;

/// See the module.
pub(super) struct Tablets {
    connection: RustConnection,
    root: xproto::Window,
    /// The screen's size in pixels, over which tablets are spread.
    screen: (u16, u16),
    labels: Labels,
    /// The extension's first event.
    first_event: u8,
    there: BTreeMap<u16, Tablet>,
    /// The windows over which they are heard.
    windows: BTreeSet<xproto::Window>,
}

impl Tablets {
    /// `None` where the server is too old, or takes no further connection.
    pub(super) fn open() -> Option<Self> {
        let (connection, screen) = x11rb::connect(None).ok()?;
        let root = connection.setup().roots.get(screen)?.root;
        let first_event = connection.extension_information(xinput::X11_EXTENSION_NAME).ok()??.first_event;
        let mut tablets = Self {
            connection,
            root,
            screen: (1, 1),
            labels: Labels::default(),
            first_event,
            there: BTreeMap::new(),
            windows: BTreeSet::new(),
        };
        tablets.begin().inspect_err(|error| tracing::debug!(%error, "pens are mice")).ok()?;
        Some(tablets)
    }

    fn begin(&mut self) -> Result<(), ReplyError> {
        // With 2.2 the server says which devices take fingers.
        self.connection.xinput_xi_query_version(2, 2)?.reply()?;
        let atom = |name: &str| -> Result<u32, ReplyError> {
            Ok(self.connection.intern_atom(false, name.as_bytes())?.reply()?.atom)
        };
        self.labels = Labels { pressure: atom("Abs Pressure")?, tilt: (atom("Abs Tilt X")?, atom("Abs Tilt Y")?) };
        let changes = DeviceEvents { deviceid: ALL, mask: vec![XIEventMask::HIERARCHY] };
        self.connection.xinput_xi_select_events(self.root, &[changes])?.check()?;
        let sizes = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        self.connection.change_window_attributes(self.root, &sizes)?.check()?;
        let geometry = self.connection.get_geometry(self.root)?.reply()?;
        self.screen = (geometry.width, geometry.height);
        self.look()
    }

    /// Whether there are any.
    pub(super) fn are_there(&self) -> bool {
        !self.there.is_empty()
    }

    /// Hears them over these windows.
    pub(super) fn follow(&mut self, windows: impl Iterator<Item = u64>) {
        let windows: BTreeSet<_> = windows.filter_map(|w| xproto::Window::try_from(w).ok()).collect();
        if windows != self.windows {
            self.windows = windows;
            self.hear();
        }
    }

    /// What they did. `all`: of everything that any program has been told of by now.
    pub(super) fn facts(&mut self, all: bool) -> Vec<PenFact> {
        if all {
            let answer = self.connection.get_input_focus().map_err(ReplyError::from).and_then(|asked| asked.reply());
            if let Err(error) = answer {
                tracing::debug!(%error, "the display does not answer");
            }
        }
        let (mut facts, mut changed) = (Vec::new(), false);
        while let Ok(Some(event)) = self.connection.poll_for_event() {
            match event {
                Event::XinputMotion(e) | Event::XinputButtonPress(e) | Event::XinputButtonRelease(e) => {
                    let stroke = self.there.get_mut(&e.deviceid).map(|tablet| tablet.on_event(&e, self.screen));
                    facts.extend(stroke.map(PenFact::Stroke));
                }
                // The highest bit says that values follow, in an event of their own.
                Event::XinputProximityOut(e) => facts.push(PenFact::Left((e.device_id & 0x7f).into())),
                Event::XinputHierarchy(_) => changed = true,
                Event::ConfigureNotify(e) if e.window == self.root => self.screen = (e.width, e.height),
                _ => {}
            }
        }
        if changed {
            let before: Vec<u16> = self.there.keys().copied().collect();
            if let Err(error) = self.look() {
                tracing::debug!(%error, "the display does not say which tablets there are");
            }
            facts.extend(before.into_iter().filter(|id| !self.there.contains_key(id)).map(PenFact::Left));
        }
        facts
    }

    /// Asks which there are.
    fn look(&mut self) -> Result<(), ReplyError> {
        let devices = self.connection.xinput_xi_query_device(ALL)?.reply()?.infos;
        let labels = self.labels;
        self.there = devices.iter().filter_map(|d| Some((d.deviceid, Tablet::of(d, labels)?))).collect();
        let names = devices.iter().filter(|d| self.there.contains_key(&d.deviceid));
        names.for_each(|d| tracing::info!(name = %String::from_utf8_lossy(&d.name), "a pen's tablet"));
        self.hear();
        Ok(())
    }

    /// Has the server tell of them over the windows. What it refuses (a tablet that was just unplugged) it tells of later, and
    /// nothing follows.
    fn hear(&self) {
        let mask = vec![XIEventMask::MOTION | XIEventMask::BUTTON_PRESS | XIEventMask::BUTTON_RELEASE];
        let doings: Vec<_> = self.there.keys().map(|id| DeviceEvents { deviceid: *id, mask: mask.clone() }).collect();
        let out = u32::from(self.first_event) + u32::from(PROXIMITY_OUT_EVENT);
        let ends: Vec<u32> = self.there.keys().map(|id| u32::from(*id) << 8 | out).collect();
        if doings.is_empty() {
            return;
        }
        for window in &self.windows {
            let asked = self.connection.xinput_xi_select_events(*window, &doings).map(drop);
            let asked = asked.and_then(|()| self.connection.xinput_select_extension_event(*window, &ends).map(drop));
            if let Err(error) = asked.and_then(|()| self.connection.flush()) {
                tracing::debug!(%error, "tablets are not heard");
            }
        }
    }
}
