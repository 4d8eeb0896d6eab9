//! The applications' windows: where they lie, and how they are put elsewhere. A window manager that speaks EWMH knows which
//! they are and is asked to move them, frame and all; without one they are the children of the root.

use telepane_model::window::MOST_WINDOWS;
use telepane_model::{AppWindow, Rect, Surf};
use x11rb::atom_manager;
use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _, EventMask, GetGeometryReply,
    GetPropertyReply, MapState, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;

atom_manager! {
    /// The names of EWMH that are used here.
    Names: NamesCookie {
        _NET_SUPPORTING_WM_CHECK,
        _NET_SUPPORTED,
        _NET_CLIENT_LIST,
        _NET_MOVERESIZE_WINDOW,
        _NET_FRAME_EXTENTS,
        _NET_WM_STATE,
        _NET_WM_STATE_FULLSCREEN,
        _NET_WM_STATE_MAXIMIZED_HORZ,
        _NET_WM_STATE_MAXIMIZED_VERT,
        _NET_WM_WINDOW_TYPE,
        _NET_WM_WINDOW_TYPE_DESKTOP,
        _NET_WM_WINDOW_TYPE_DOCK,
    }
}

/// Of a property that lists things, so many are read.
const MOST_READ: u32 = 1 << 10;
/// The place given is that of the frame's upper left corner (EWMH, `_NET_MOVERESIZE_WINDOW`).
const NORTH_WEST: u32 = 1;
/// Which of x, y, width and height are given.
const PLACE: u32 = 0b11 << 8;
const SIZE: u32 = 0b11 << 10;
/// Who asks is no application that moves its own window.
const PAGER: u32 = 2 << 12;

/// See the module.
pub(super) struct Windows {
    names: Names,
}

/// The sides of a window's frame: left, right, top, bottom.
type Frame = [u32; 4];

impl Windows {
    pub(super) fn new(conn: &RustConnection) -> Result<Self, ReplyError> {
        Ok(Self { names: Names::new(conn)?.reply()? })
    }

    /// The windows there are now.
    pub(super) fn list(&self, conn: &RustConnection, root: Window) -> Result<Vec<AppWindow>, ReplyError> {
        let managed = self.is_managed(conn, root)?;
        let mut ids = match managed {
            true => read(conn, root, self.names._NET_CLIENT_LIST)?.map_or(Vec::new(), |list| numbers(&list)),
            false => conn.query_tree(root)?.reply()?.children,
        };
        ids.truncate(MOST_WINDOWS);
        let places = if managed { self.framed(conn, root, &ids)? } else { bare(conn, &ids)? };
        Ok(places.into_iter().map(|(id, place)| AppWindow { id, place }).collect())
    }

    /// Puts windows where they are to be; one that has gone meanwhile is refused, and that is all.
    pub(super) fn put(&self, conn: &RustConnection, root: Window, windows: &[AppWindow]) -> Result<(), ReplyError> {
        let managed = self.is_managed(conn, root)?;
        let word = self.names._NET_MOVERESIZE_WINDOW;
        let can =
            managed && read(conn, root, self.names._NET_SUPPORTED)?.is_some_and(|all| numbers(&all).contains(&word));
        for AppWindow { id, place } in windows {
            let Some(now) = answered(conn.get_geometry(*id)?.reply())? else { continue };
            let frame = if managed { self.frame(conn, *id)? } else { [u32::from(now.border_width); 4] };
            let inner = place.w.saturating_sub(frame[0] + frame[1]).max(1);
            let size = (inner, place.h.saturating_sub(frame[2] + frame[3]).max(1));
            let resized = size != (u32::from(now.width), u32::from(now.height));
            if can {
                let flags = NORTH_WEST | PLACE | PAGER | if resized { SIZE } else { 0 };
                let data = [flags, place.x.cast_unsigned(), place.y.cast_unsigned(), size.0, size.1];
                let event = ClientMessageEvent::new(32, *id, word, data);
                let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
                conn.send_event(false, root, mask, event)?;
            } else {
                // A manager that is not EWMH's gets this as the window's own wish, whose place is the frame's too (ICCCM 4.1.2.3).
                let mut wish = ConfigureWindowAux::new().x(place.x).y(place.y);
                if resized {
                    wish = wish.width(size.0).height(size.1);
                }
                conn.configure_window(*id, &wish)?;
            }
        }
        conn.flush()?;
        Ok(())
    }

    /// Whether a manager that speaks EWMH is there: the window that it named names itself.
    fn is_managed(&self, conn: &RustConnection, root: Window) -> Result<bool, ReplyError> {
        let check = self.names._NET_SUPPORTING_WM_CHECK;
        let named = |window| Ok::<_, ReplyError>(read(conn, window, check)?.and_then(|p| numbers(&p).first().copied()));
        match named(root)? {
            Some(own) if own != x11rb::NONE => Ok(named(own)? == Some(own)),
            _ => Ok(false),
        }
    }

    fn frame(&self, conn: &RustConnection, window: Window) -> Result<Frame, ReplyError> {
        Ok(read(conn, window, self.names._NET_FRAME_EXTENTS)?.map_or([0; 4], |p| frame_of(&p)))
    }

    /// Where these windows of a manager lie, on whichever of its desktops, but for those that fill a monitor or are no application's.
    fn framed(
        &self,
        conn: &RustConnection,
        root: Window,
        ids: &[Window],
    ) -> Result<Vec<(Window, Rect<Surf>)>, ReplyError> {
        let n = &self.names;
        let all = |window: Window, name: u32| conn.get_property(false, window, name, AtomEnum::ANY, 0, MOST_READ);
        let asked: Result<Vec<_>, ConnectionError> = ids
            .iter()
            .map(|id| {
                let geometry = conn.get_geometry(*id)?;
                let origin = conn.translate_coordinates(*id, root, 0, 0)?;
                let properties = [n._NET_FRAME_EXTENTS, n._NET_WM_STATE, n._NET_WM_WINDOW_TYPE];
                let [frame, state, kind] = properties.map(|name| all(*id, name));
                Ok((*id, geometry, origin, frame?, state?, kind?))
            })
            .collect();
        let fills = [n._NET_WM_STATE_FULLSCREEN, n._NET_WM_STATE_MAXIMIZED_HORZ, n._NET_WM_STATE_MAXIMIZED_VERT];
        let fixed = [n._NET_WM_WINDOW_TYPE_DESKTOP, n._NET_WM_WINDOW_TYPE_DOCK];
        let mut places = Vec::new();
        for (id, geometry, origin, frame, state, kind) in asked? {
            // Every answer is taken, also those of a window that is gone by now.
            let (geometry, origin) = (answered(geometry.reply())?, answered(origin.reply())?);
            let [frame, state, kind] = [frame.reply(), state.reply(), kind.reply()].map(answered);
            let (frame, state, kind) = (frame?, state?, kind?);
            let has = |of: Option<GetPropertyReply>, any: &[u32]| {
                of.is_some_and(|list| numbers(&list).iter().any(|one| any.contains(one)))
            };
            let (Some(geometry), Some(origin)) = (geometry, origin) else { continue };
            if has(state, &fills) || has(kind, &fixed) {
                continue;
            }
            let [left, right, top, bottom] = frame.map_or([0; 4], |p| frame_of(&p));
            let corner = [(origin.dst_x, left), (origin.dst_y, top)].map(|(at, side)| i32::from(at) - side as i32);
            let (w, h) = (u32::from(geometry.width) + left + right, u32::from(geometry.height) + top + bottom);
            places.push((id, Rect::new(corner[0], corner[1], w, h)));
        }
        Ok(places)
    }
}

/// Where these children of the root lie, of those that are seen and are not menus and the like.
fn bare(conn: &RustConnection, ids: &[Window]) -> Result<Vec<(Window, Rect<Surf>)>, ReplyError> {
    let asked: Result<Vec<_>, ConnectionError> =
        ids.iter().map(|id| Ok((*id, conn.get_window_attributes(*id)?, conn.get_geometry(*id)?))).collect();
    let mut places = Vec::new();
    for (id, attributes, geometry) in asked? {
        let (attributes, geometry) = (answered(attributes.reply())?, answered(geometry.reply())?);
        let (Some(attributes), Some(geometry)) = (attributes, geometry) else { continue };
        let seen = attributes.map_state == MapState::VIEWABLE && attributes.class == WindowClass::INPUT_OUTPUT;
        if seen && !attributes.override_redirect && geometry.width > 1 && geometry.height > 1 {
            places.push((id, outer(&geometry)));
        }
    }
    Ok(places)
}

/// A window with its border.
fn outer(g: &GetGeometryReply) -> Rect<Surf> {
    let border = 2 * u32::from(g.border_width);
    Rect::new(g.x.into(), g.y.into(), u32::from(g.width) + border, u32::from(g.height) + border)
}

/// A property of a window; none if it has none or is gone.
fn read(conn: &RustConnection, window: Window, name: u32) -> Result<Option<GetPropertyReply>, ReplyError> {
    answered(conn.get_property(false, window, name, AtomEnum::ANY, 0, MOST_READ)?.reply())
}

fn numbers(property: &GetPropertyReply) -> Vec<u32> {
    property.value32().map(Iterator::collect).unwrap_or_default()
}

/// A frame whose sides are of a size that frames have: whoever can write on the display can write any.
fn frame_of(property: &GetPropertyReply) -> Frame {
    const WIDEST: u32 = 1_000;
    let sides: Option<Frame> = numbers(property).get(..4).and_then(|sides| sides.try_into().ok());
    sides.filter(|sides| sides.iter().all(|side| *side <= WIDEST)).unwrap_or([0; 4])
}

/// The answer; none where the server refused, as it does when a window has gone.
fn answered<T>(reply: Result<T, ReplyError>) -> Result<Option<T>, ReplyError> {
    match reply {
        Ok(answer) => Ok(Some(answer)),
        Err(ReplyError::X11Error(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
