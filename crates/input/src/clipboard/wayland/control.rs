//! The two protocols by which a Wayland compositor gives its selections to a program that has no window in front:
//! `ext_data_control_v1`, and `zwlr_data_control_v1`, which it came from and which says the same. Both stand behind one type
//! for each of their objects here, and what a compositor says is one [`Fact`].

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};

use telepane_model::clipboard::{ClipFormat, ClipFormats, SECRET_MARKS, Selection};
use wayland_client::backend::ObjectId;
use wayland_client::globals::{GlobalList, GlobalListContents};
use wayland_client::protocol::wl_registry::WlRegistry;
use wayland_client::protocol::wl_seat::WlSeat;
use wayland_client::{Connection, Dispatch, Proxy, QueueHandle};
use wayland_protocols::ext::data_control::v1::client as ext;
use wayland_protocols::ext::idle_notify::v1::client::ext_idle_notification_v1::{self as idle, ExtIdleNotificationV1};
use wayland_protocols::ext::idle_notify::v1::client::ext_idle_notifier_v1::ExtIdleNotifierV1;
use wayland_protocols_wlr::data_control::v1::client as wlr;

use crate::clipboard::names_of;

/// An object of the one protocol or of the other.
#[derive(Debug)]
pub(super) enum Either<E, W> {
    Ext(E),
    Wlr(W),
}

/// The same of whichever it is.
macro_rules! either {
    ($either:expr, $one:ident => $done:expr) => {
        match $either {
            Either::Ext($one) => $done,
            Either::Wlr($one) => $done,
        }
    };
}

pub(super) type Manager = Either<
    ext::ext_data_control_manager_v1::ExtDataControlManagerV1,
    wlr::zwlr_data_control_manager_v1::ZwlrDataControlManagerV1,
>;
type Device = Either<
    ext::ext_data_control_device_v1::ExtDataControlDeviceV1,
    wlr::zwlr_data_control_device_v1::ZwlrDataControlDeviceV1,
>;
type Given = Either<
    ext::ext_data_control_source_v1::ExtDataControlSourceV1,
    wlr::zwlr_data_control_source_v1::ZwlrDataControlSourceV1,
>;
type Offered = Either<
    ext::ext_data_control_offer_v1::ExtDataControlOfferV1,
    wlr::zwlr_data_control_offer_v1::ZwlrDataControlOfferV1,
>;

/// What we give; it ends with this value.
#[derive(Debug)]
pub(super) struct Source {
    given: Given,
    /// Which of ours it is.
    pub(super) number: u64,
}

impl Drop for Source {
    fn drop(&mut self) {
        either!(&self.given, given => given.destroy());
    }
}

/// What an owner has; it ends with this value.
#[derive(Debug)]
pub(super) struct Offer {
    offered: Offered,
    /// Its name for each kind.
    names: [Option<String>; ClipFormat::ALL.len()],
    /// How good that is: the place among the kind's names.
    places: [usize; ClipFormat::ALL.len()],
    pub(super) secret: bool,
    /// It is one of ours that comes back.
    pub(super) own: Option<u64>,
}

impl Drop for Offer {
    fn drop(&mut self) {
        either!(&self.offered, offered => offered.destroy());
    }
}

impl Offer {
    fn new(offered: Offered) -> Self {
        Self { offered, names: Default::default(), places: Default::default(), secret: false, own: None }
    }

    fn id(&self) -> ObjectId {
        either!(&self.offered, offered => offered.id())
    }

    /// It has this too.
    fn has(&mut self, name: String, mark: &str) {
        self.secret |= SECRET_MARKS.contains(&name.as_str());
        if let Some(number) = name.strip_prefix(mark) {
            self.own = self.own.max(number.parse().ok());
        }
        for (format, (known, place)) in ClipFormat::ALL.into_iter().zip(self.names.iter_mut().zip(&mut self.places)) {
            let found = names_of(format).iter().position(|one| one.eq_ignore_ascii_case(&name));
            if let Some(found) = found.filter(|found| known.is_none() || found < place) {
                (*known, *place) = (Some(name), found);
                return;
            }
        }
    }

    /// Its name for this kind.
    pub(super) fn name(&self, format: ClipFormat) -> Option<&str> {
        self.names.get(format as usize)?.as_deref()
    }

    /// What it has.
    pub(super) fn formats(&self) -> ClipFormats {
        ClipFormat::ALL.into_iter().filter(|format| self.name(*format).is_some()).collect()
    }

    /// Has its owner write what it calls so.
    pub(super) fn receive(&self, name: String, to: BorrowedFd<'_>) {
        either!(&self.offered, offered => offered.receive(name, to));
    }
}

/// Whichever of the two protocols there is.
pub(super) fn manager(globals: &GlobalList, selection: Selection, handle: &QueueHandle<Told>) -> Option<Manager> {
    // The second selection of the older protocol came with its second version.
    let least = if selection == Selection::Primary { 2 } else { 1 };
    let newer = globals.bind(handle, 1..=1, ()).map(Manager::Ext);
    newer.or_else(|_| globals.bind(handle, least..=2, ()).map(Manager::Wlr)).ok()
}

/// What a compositor's selections are reached through.
#[derive(Debug)]
pub(super) struct Control {
    manager: Manager,
    device: Device,
    selection: Selection,
}

impl Drop for Control {
    fn drop(&mut self) {
        either!(&self.device, device => device.destroy());
        either!(&self.manager, manager => manager.destroy());
    }
}

impl Control {
    /// Of this seat, through what [`manager`] found.
    pub(super) fn new(manager: Manager, seat: &WlSeat, selection: Selection, handle: &QueueHandle<Told>) -> Self {
        let device = match &manager {
            Manager::Ext(manager) => Device::Ext(manager.get_data_device(seat, handle, ())),
            Manager::Wlr(manager) => Device::Wlr(manager.get_data_device(seat, handle, ())),
        };
        Self { manager, device, selection }
    }

    /// Makes a source with these names the selection.
    pub(super) fn give(&self, number: u64, names: impl Iterator<Item = String>, handle: &QueueHandle<Told>) -> Source {
        let given = match &self.manager {
            Manager::Ext(manager) => Given::Ext(manager.create_data_source(handle, number)),
            Manager::Wlr(manager) => Given::Wlr(manager.create_data_source(handle, number)),
        };
        names.for_each(|name| either!(&given, given => given.offer(name)));
        match (&self.device, &given, self.selection) {
            (Device::Ext(device), Given::Ext(given), Selection::Clipboard) => device.set_selection(Some(given)),
            (Device::Ext(device), Given::Ext(given), Selection::Primary) => device.set_primary_selection(Some(given)),
            (Device::Wlr(device), Given::Wlr(given), Selection::Clipboard) => device.set_selection(Some(given)),
            (Device::Wlr(device), Given::Wlr(given), Selection::Primary) => device.set_primary_selection(Some(given)),
            // Both are of the manager's protocol.
            (Device::Ext(_), Given::Wlr(_), _) | (Device::Wlr(_), Given::Ext(_), _) => {}
        }
        Source { given, number }
    }
}

/// What the compositor said.
#[derive(Debug)]
pub(super) enum Fact {
    /// The selection is this now, or nothing.
    Selected(Option<Box<Offer>>),
    /// Somebody wants what our source of that number calls so.
    Send(u64, String, OwnedFd),
    /// That source of ours is the selection no longer.
    Cancelled(u64),
    /// There is no seat any more.
    Finished,
}

/// Where what the compositor says is put.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) facts: VecDeque<Fact>,
    /// Nobody has done anything for the time asked about.
    pub(super) rests: bool,
    selection: Selection,
    /// The name by which what is ours is known, up to its number.
    mark: String,
    /// Offers whose names are coming; what is none of the selection's goes.
    coming: Vec<Offer>,
}

/// A compositor introduces an offer and says at once what it is for.
const MAX_COMING: usize = 8;

impl Told {
    pub(super) const fn new(selection: Selection, mark: String) -> Self {
        Self { facts: VecDeque::new(), rests: false, selection, mark, coming: Vec::new() }
    }

    /// The name by which one of ours is known.
    pub(super) fn own_name(&self, number: u64) -> String {
        format!("{}{number}", self.mark)
    }

    fn introduced(&mut self, offered: Offered) {
        if self.coming.len() >= MAX_COMING {
            self.coming.remove(0);
        }
        self.coming.push(Offer::new(offered));
    }

    fn named(&mut self, id: &ObjectId, name: String) {
        if let Some(offer) = self.coming.iter_mut().find(|offer| offer.id() == *id) {
            offer.has(name, &self.mark);
        }
    }

    fn selected(&mut self, selection: Selection, id: Option<ObjectId>) {
        let at = id.and_then(|id| self.coming.iter().position(|offer| offer.id() == id));
        let offer = at.map(|at| Box::new(self.coming.remove(at)));
        if selection == self.selection {
            self.facts.push_back(Fact::Selected(offer));
        }
    }
}

/// One protocol's objects, as the neutral facts.
macro_rules! speaks {
    ($one:ident, $of:ident, $manager:ident::$Manager:ident, $device:ident::$Device:ident, $source:ident::$Source:ident, $offer:ident::$Offer:ident) => {
        impl Dispatch<$of::$manager::$Manager, ()> for Told {
            fn event(
                _: &mut Self,
                _: &$of::$manager::$Manager,
                _: $of::$manager::Event,
                (): &(),
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
            }
        }

        impl Dispatch<$of::$device::$Device, ()> for Told {
            fn event(
                told: &mut Self,
                _: &$of::$device::$Device,
                event: $of::$device::Event,
                (): &(),
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
                match event {
                    $of::$device::Event::DataOffer { id } => told.introduced(Either::$one(id)),
                    $of::$device::Event::Selection { id } => {
                        told.selected(Selection::Clipboard, id.map(|offer| offer.id()));
                    }
                    $of::$device::Event::PrimarySelection { id } => {
                        told.selected(Selection::Primary, id.map(|offer| offer.id()));
                    }
                    $of::$device::Event::Finished => told.facts.push_back(Fact::Finished),
                    _ => {}
                }
            }

            wayland_client::event_created_child!(Told, $of::$device::$Device, [
                $of::$device::EVT_DATA_OFFER_OPCODE => ($of::$offer::$Offer, ()),
            ]);
        }

        impl Dispatch<$of::$source::$Source, u64> for Told {
            fn event(
                told: &mut Self,
                _: &$of::$source::$Source,
                event: $of::$source::Event,
                number: &u64,
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
                match event {
                    $of::$source::Event::Send { mime_type, fd } => {
                        told.facts.push_back(Fact::Send(*number, mime_type, fd));
                    }
                    $of::$source::Event::Cancelled => told.facts.push_back(Fact::Cancelled(*number)),
                    _ => {}
                }
            }
        }

        impl Dispatch<$of::$offer::$Offer, ()> for Told {
            fn event(
                told: &mut Self,
                offer: &$of::$offer::$Offer,
                event: $of::$offer::Event,
                (): &(),
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
                if let $of::$offer::Event::Offer { mime_type } = event {
                    told.named(&offer.id(), mime_type);
                }
            }
        }
    };
}

speaks!(
    Ext,
    ext,
    ext_data_control_manager_v1::ExtDataControlManagerV1,
    ext_data_control_device_v1::ExtDataControlDeviceV1,
    ext_data_control_source_v1::ExtDataControlSourceV1,
    ext_data_control_offer_v1::ExtDataControlOfferV1
);
speaks!(
    Wlr,
    wlr,
    zwlr_data_control_manager_v1::ZwlrDataControlManagerV1,
    zwlr_data_control_device_v1::ZwlrDataControlDeviceV1,
    zwlr_data_control_source_v1::ZwlrDataControlSourceV1,
    zwlr_data_control_offer_v1::ZwlrDataControlOfferV1
);

impl Dispatch<ExtIdleNotificationV1, ()> for Told {
    fn event(
        told: &mut Self,
        _: &ExtIdleNotificationV1,
        event: idle::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        told.rests = matches!(event, idle::Event::Idled);
    }
}

/// What of these says nothing of interest.
macro_rules! silent {
    ($($to:ty, $data:ty);*) => {$(
        impl Dispatch<$to, $data> for Told {
            fn event(_: &mut Self, _: &$to, _: <$to as Proxy>::Event, _: &$data, _: &Connection, _: &QueueHandle<Self>) {}
        }
    )*};
}

silent!(WlRegistry, GlobalListContents; WlSeat, (); ExtIdleNotifierV1, ());
