//! Capture of an X server: SHM, DAMAGE, XFIXES, XInput and RANDR on one connection.
//!
//! DAMAGE reports each newly damaged rectangle once. To read: Subtract first, then GetImage, so that what is drawn in
//! between is reported again. Notices that arrive with the answers belong to the next read: they may describe what
//! was drawn before the Subtract, and then nothing else would ever report it.
//!
//! The first damage after a rest, and damage soon after input, is read at once; what follows within 2 ms of a read is
//! probably an application still drawing and waits for the rest of it. Pixels that turn out unchanged make no frame.
//! While nothing happens nothing wakes, but for one look at the pointer every few seconds (an application may warp it
//! without any notice).
//!
//! A reply is waited for, so `poll` takes as long as the server needs to copy the pixels: 0.03 ms for a glyph, 2 ms
//! for a full HD screen.

pub mod connect;
pub mod cursor;
pub mod heads;
mod read;
mod scales;
mod windows;

use crate::held::Held;
use crate::open::OpenError;
use crate::rects;
use crate::source::{Description, Event, Lost, ResizeRefused, Source, Wake};
use connect::{Connected, prepare};
use cursor::ShapeBook;
use read::{ReadFault, Reader};
use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use telepane_model::{
    AppWindow, CursorShape, CursorState, Damage, Desk, FrameFacts, FrameId, HostClock, Monitor, Pixels, Point, Rect,
    Size, Span, Stamp, Surf, SurfaceId, Trust,
};
use windows::Windows;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::Event as XEvent;
use x11rb::protocol::xproto::{ChangeWindowAttributesAux, ConnectionExt as _, EventMask};
use x11rb::protocol::{damage, randr, xfixes, xinput};
use x11rb::rust_connection::RustConnection;

/// How long after a read further damage waits for the application to finish.
const SETTLE: Span = Span::millis(2);
/// How long after input damage counts as its echo.
const ECHO: Span = Span::millis(200);
/// More damage than this many pixels is not taken for an echo: reading film at once, again and again, would only cost.
const ECHO_AREA: u64 = 100_000;
/// The pointer is looked at no more often than this, however fast a mouse reports.
const POINTER_STEP: Span = Span::millis(4);
/// The pointer is looked at this often with no hint that it moved: where raw motion is told and nothing was drawn
/// since, and else (an application that warps the pointer mostly draws too).
const POINTER_REST: Span = Span::secs(5);
const POINTER_REST_BLIND: Span = Span::secs(1);
/// An application that puts the pointer somewhere mostly does so in answer to input: the pointer is looked at this long after.
const GLANCES: [Span; 2] = [Span::millis(30), Span::millis(120)];
/// A read that failed with the geometry unchanged is tried again after this.
const RETRY: Span = Span::millis(100);
/// At most this many notices are taken in before a read, so that a storm of them cannot hold the pixels back.
const NOTICES: usize = 4096;

/// A connection to an X server whose root window is captured.
pub struct X11 {
    conn: RustConnection,
    name: String,
    root: u32,
    damage: damage::Damage,
    reader: Option<Reader>,
    held: Held,
    frame: FrameId,
    /// Damage not read yet.
    pending: Vec<Rect<Surf>>,
    /// The next frame is whole, changed or not.
    whole: bool,
    read_at: Option<Stamp<HostClock>>,
    retry_at: Option<Stamp<HostClock>>,
    echo_until: Stamp<HostClock>,
    look_at_geometry: bool,
    monitors: Vec<Monitor>,
    shapes: ShapeBook,
    shape: CursorShape,
    cursor: Option<CursorState>,
    shape_changed: bool,
    pointer_moved: bool,
    /// Where the last motion since then put the pointer, if that was told as a place.
    moved_to: Option<Point<Desk>>,
    /// Where input put it last.
    expected: Option<Point<Desk>>,
    pointer_at: Stamp<HostClock>,
    raw_motion: bool,
    /// When the pointer is looked at after input, the last first.
    glances: Vec<Stamp<HostClock>>,
    /// The screen changed since the pointer was looked at, which may have moved it.
    reshaped: bool,
    can_resize: bool,
    has_randr: bool,
    /// Asked for once a layout changes.
    windows: Option<Windows>,
    /// Answers that were waited for may have brought notices with them, which the descriptor will never announce.
    unread: bool,
    /// Nobody looks.
    rests: bool,
    out: VecDeque<Event>,
}

impl X11 {
    /// Connects to `display` (`$DISPLAY` if `None`), with the cookie of the file `xauthority` if given.
    ///
    /// # Errors
    /// When there is no such display, it is Xwayland, lacks DAMAGE or XFIXES, or has a pixel format other than
    /// 32-bit BGRX.
    pub fn connect(display: Option<&str>, xauthority: Option<&Path>) -> Result<Self, OpenError> {
        let connected = prepare(display, xauthority)?;
        let name = connected.name.clone();
        Self::start(connected).map_err(|e| OpenError::Unusable { name, reason: e.to_string() })
    }

    fn start(c: Connected) -> Result<Self, ReplyError> {
        let Connected { conn, name, root, size, has_randr, is_local, has_shm } = c;
        let mask = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        conn.change_window_attributes(root, &mask)?;
        xfixes::select_cursor_input(&conn, root, xfixes::CursorNotifyMask::DISPLAY_CURSOR)?;
        if has_randr {
            let mask =
                randr::NotifyMask::SCREEN_CHANGE | randr::NotifyMask::CRTC_CHANGE | randr::NotifyMask::OUTPUT_CHANGE;
            randr::select_input(&conn, root, mask)?;
        }
        let raw_motion = select_raw_motion(&conn, root);
        let damage = conn.generate_id().map_err(|e| match e {
            x11rb::errors::ReplyOrIdError::ConnectionError(e) => ReplyError::ConnectionError(e),
            x11rb::errors::ReplyOrIdError::X11Error(e) => ReplyError::X11Error(e),
            x11rb::errors::ReplyOrIdError::IdsExhausted => ConnectionError::UnknownError.into(),
        })?;
        damage::create(&conn, damage, root, damage::ReportLevel::DELTA_RECTANGLES)?.check()?;
        let can_resize = has_randr && heads::is_virtual(&conn, root);
        let reader = if is_local && has_shm { Reader::new(&conn, size) } else { Reader::Socket };
        Ok(Self {
            reader: Some(reader),
            held: Held::new(size),
            frame: FrameId(0),
            pending: vec![size.rect()],
            whole: true,
            read_at: None,
            retry_at: None,
            echo_until: Stamp::ZERO,
            // The monitors are not known yet.
            look_at_geometry: true,
            monitors: Vec::new(),
            shapes: ShapeBook::default(),
            shape: CursorShape::default(),
            cursor: None,
            shape_changed: true,
            pointer_moved: true,
            moved_to: None,
            expected: None,
            pointer_at: Stamp::ZERO,
            raw_motion,
            glances: Vec::new(),
            reshaped: true,
            can_resize,
            has_randr,
            windows: None,
            unread: false,
            rests: false,
            out: VecDeque::new(),
            conn,
            name,
            root,
            damage,
        })
    }

    fn lost(&self, reason: &dyn std::fmt::Display) -> Lost {
        Lost::Display { name: self.name.clone(), reason: reason.to_string() }
    }

    /// Takes in the notices that have arrived.
    fn notices(&mut self) -> Result<(), Lost> {
        for _ in 0..NOTICES {
            let event = match self.conn.poll_for_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(e) => return Err(self.lost(&e)),
            };
            match event {
                XEvent::DamageNotify(n) if n.damage == self.damage => {
                    let a = n.area;
                    self.pending.push(Rect::new(a.x.into(), a.y.into(), a.width.into(), a.height.into()));
                    if self.pending.len() > 4 * rects::MOST_RECTS {
                        rects::bound_by_band(&mut self.pending);
                    }
                }
                XEvent::ConfigureNotify(n) if n.window == self.root => self.look_at_geometry = true,
                XEvent::RandrScreenChangeNotify(_) | XEvent::RandrNotify(_) => self.look_at_geometry = true,
                XEvent::XfixesCursorNotify(_) => self.shape_changed = true,
                XEvent::XinputRawMotion(m) => (self.pointer_moved, self.moved_to) = (true, cursor::told_place(&m)),
                XEvent::XinputRawTouchBegin(_) | XEvent::XinputRawTouchUpdate(_) | XEvent::XinputRawTouchEnd(_) => {
                    (self.pointer_moved, self.moved_to) = (true, None)
                }
                XEvent::Error(e) => tracing::debug!(kind = ?e.error_kind, "the X server refused a request"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Follows a change of the root window's size, and of the monitors on it.
    fn geometry(&mut self) -> Result<(), Lost> {
        (self.look_at_geometry, self.reshaped) = (false, true);
        self.look_at_monitors()?;
        let reply = self.conn.get_geometry(self.root).map_err(|e| self.lost(&e))?.reply();
        let size = match reply {
            Ok(g) => Size::new(g.width.into(), g.height.into()),
            Err(e) => return Err(self.lost(&e)),
        };
        if size == self.held.size() || !size.is_valid() {
            return Ok(());
        }
        if let Some(old @ Reader::Shared(_)) = self.reader.take() {
            old.release(&self.conn);
            self.reader = Some(Reader::new(&self.conn, size));
        } else {
            self.reader = Some(Reader::Socket);
        }
        self.held = Held::new(size);
        self.pending = vec![size.rect()];
        self.whole = true;
        self.read_at = None;
        self.retry_at = None;
        Ok(())
    }

    fn look_at_monitors(&mut self) -> Result<(), Lost> {
        if !self.has_randr {
            return Ok(());
        }
        match heads::monitors(&self.conn, self.root) {
            Ok(monitors) if monitors != self.monitors => {
                self.monitors.clone_from(&monitors);
                self.out.push_back(Event::Monitors(monitors));
            }
            Ok(_) => {}
            Err(ReplyError::ConnectionError(e)) => return Err(self.lost(&e)),
            // An output went away meanwhile; its notice is on the way.
            Err(ReplyError::X11Error(e)) => tracing::debug!(kind = ?e.error_kind, "the monitors cannot be read"),
        }
        Ok(())
    }

    /// When what is pending is to be read.
    fn due(&self) -> Option<Stamp<HostClock>> {
        if self.pending.is_empty() || self.rests {
            return None;
        }
        if let Some(at) = self.retry_at {
            return Some(at);
        }
        let settled = self.read_at.map_or(Stamp::ZERO, |at| at + SETTLE);
        // Within the window of an expected echo, unless so much is damaged that it is hardly one.
        let area: u64 = self.pending.iter().map(|r| r.area()).sum();
        Some(if settled <= self.echo_until && area <= ECHO_AREA { Stamp::ZERO } else { settled })
    }

    /// Reads what is pending; a frame if any pixel changed.
    fn read(&mut self, now: Stamp<HostClock>) -> Result<Option<Event>, Lost> {
        let size = self.held.size();
        let mut wanted = std::mem::take(&mut self.pending);
        for r in &mut wanted {
            *r = r.intersect(size.rect());
        }
        rects::join(&mut wanted);
        self.read_at = Some(now);
        self.retry_at = None;
        if wanted.is_empty() {
            return Ok(None);
        }
        damage::subtract(&self.conn, self.damage, x11rb::NONE, x11rb::NONE).map_err(|e| self.lost(&e))?;
        let Some(reader) = self.reader.take() else {
            return Err(self.lost(&"no reader"));
        };
        let mut changed = Vec::new();
        let held = &mut self.held;
        let done = reader.read(&self.conn, self.root, &wanted, |r, rows, stride| {
            held.absorb(rows, stride, r, &mut changed);
        });
        self.reader = Some(reader);
        match done {
            Ok(()) => {}
            Err(ReadFault::Connection(reason)) => return Err(self.lost(&reason)),
            Err(ReadFault::Geometry) => {
                // What was copied is in `held`, so it must be told; the rest is asked for again.
                self.geometry()?;
                if self.held.size() == size {
                    self.pending.extend(wanted);
                    self.retry_at = Some(now + RETRY);
                } else {
                    return Ok(None);
                }
            }
        }
        // A whole frame waits until all of it was read; another is told as soon as anything changed.
        let nothing_to_tell = if self.whole { self.retry_at.is_some() } else { changed.is_empty() };
        if nothing_to_tell {
            return Ok(None);
        }
        let damage =
            if std::mem::take(&mut self.whole) { Damage::all(size) } else { Damage::exact(rects::region(changed)) };
        self.frame = FrameId(self.frame.0 + 1);
        Ok(Some(Event::Frame(FrameFacts { id: self.frame, surface: SurfaceId(0), size, captured: now, damage })))
    }

    /// When to look at the pointer.
    fn pointer_due(&self) -> Option<Stamp<HostClock>> {
        if self.rests {
            return None;
        }
        if self.cursor.is_none() {
            return Some(Stamp::ZERO);
        }
        let rest = self.pointer_at
            + if self.shape_changed || self.pointer_moved {
                POINTER_STEP
            } else if self.raw_motion && self.read_at.is_none_or(|at| at <= self.pointer_at) {
                POINTER_REST
            } else {
                POINTER_REST_BLIND
            };
        Some(self.glances.last().map_or(rest, |at| rest.min(*at)))
    }

    /// Whether the pointer can be there: the server keeps it on the screen, and on what monitors show of it.
    fn is_shown(&self, at: Point<Desk>) -> bool {
        let at = Point::new(at.x, at.y);
        let seen = self.monitors.is_empty() || self.monitors.iter().any(|m| m.place.holds(at));
        seen && self.held.size().rect().holds(at)
    }

    fn pointer(&mut self, now: Stamp<HostClock>) -> Result<(), Lost> {
        self.pointer_at = now;
        self.glances.retain(|at| *at > now);
        // A hand, or what stands for one, is told as raw motion; what an application does is not.
        let by_hand = std::mem::take(&mut self.pointer_moved) || !self.raw_motion;
        let reshaped = std::mem::take(&mut self.reshaped);
        // Where the hand left it: whatever an application does before the hand's motion, that undoes.
        let left = self.moved_to.take().filter(|at| self.expected == Some(*at) && self.is_shown(*at));
        let at = if std::mem::take(&mut self.shape_changed) {
            let image = xfixes::get_cursor_image(&self.conn).map_err(|e| self.lost(&e))?.reply();
            let image = match image {
                Ok(image) => image,
                Err(ReplyError::ConnectionError(e)) => return Err(self.lost(&e)),
                // No cursor is set on any screen: nothing to show.
                Err(ReplyError::X11Error(_)) => Default::default(),
            };
            let Some((shape, at)) = cursor::shape_of(&image) else {
                return Ok(());
            };
            let shape = self.shapes.number(shape);
            if shape != self.shape {
                self.shape = shape.clone();
                self.out.push_back(Event::CursorShape(shape));
            }
            at
        } else {
            match self.conn.query_pointer(self.root).map_err(|e| self.lost(&e))?.reply() {
                Ok(p) => Point::new(p.root_x.into(), p.root_y.into()),
                Err(e) => return Err(self.lost(&e)),
            }
        };
        let state = cursor::state(at, &self.shape);
        let before = self.cursor.replace(state);
        if before != Some(state) {
            self.out.push_back(Event::Cursor(state));
        }
        let left = if by_hand { left.filter(|_| self.raw_motion) } else { before.map(|b| b.at) };
        if !reshaped && left.is_some_and(|left| left != at) {
            // Motion that was under way while the pointer was asked for has its notice in the queue by now.
            self.notices()?;
            if !self.pointer_moved {
                self.out.push_back(Event::PointerPut(at));
            }
        }
        Ok(())
    }
}

/// Asks for raw motion of all pointers and fingers; whether the server can.
fn select_raw_motion(conn: &RustConnection, root: u32) -> bool {
    if !matches!(conn.extension_information(xinput::X11_EXTENSION_NAME), Ok(Some(_))) {
        return false;
    }
    let version = xinput::xi_query_version(conn, 2, 2).map(|c| c.reply());
    let Ok(Ok(version)) = version else { return false };
    if version.major_version < 2 {
        return false;
    }
    // A finger takes the pointer along without raw motion (XI2's version 2.2).
    let fingers = xinput::XIEventMask::RAW_TOUCH_BEGIN
        | xinput::XIEventMask::RAW_TOUCH_UPDATE
        | xinput::XIEventMask::RAW_TOUCH_END;
    let fingers = if version.minor_version >= 2 { fingers } else { 0u8.into() };
    let mask = xinput::EventMask {
        deviceid: xinput::Device::ALL_MASTER.into(),
        mask: vec![xinput::XIEventMask::RAW_MOTION | fingers],
    };
    matches!(xinput::xi_select_events(conn, root, &[mask]).map(|c| c.check()), Ok(Ok(())))
}

impl Source for X11 {
    fn describe(&self) -> Description {
        Description {
            name: format!("x11 {}", self.name),
            backend: "x11",
            damage: Trust::Exact,
            has_cursor: true,
            can_resize: self.can_resize,
            size: self.held.size(),
        }
    }

    fn poll(&mut self, now: Stamp<HostClock>) -> Result<Option<Event>, Lost> {
        if let Some(event) = self.out.pop_front() {
            return Ok(Some(event));
        }
        self.unread = false;
        self.notices()?;
        if self.look_at_geometry {
            self.geometry()?;
        }
        // A read that meets a new geometry is followed by one of the new size; twice, should it change meanwhile.
        for _ in 0..3 {
            if self.due().is_none_or(|at| at > now) {
                break;
            }
            if let Some(frame) = self.read(now)? {
                return Ok(Some(frame));
            }
        }
        if self.pointer_due().is_some_and(|at| at <= now) {
            self.pointer(now)?;
        }
        // A reply may have brought notices with it, which the descriptor will never announce.
        self.notices()?;
        if let Err(e) = self.conn.flush() {
            return Err(self.lost(&e));
        }
        Ok(self.out.pop_front())
    }

    fn pixels(&self) -> Arc<Pixels> {
        self.held.pixels()
    }

    fn wake(&self) -> Wake {
        if !self.out.is_empty() || self.look_at_geometry || self.unread {
            return Wake { fd: Some(self.conn.stream().as_raw_fd()), at: Some(Stamp::ZERO) };
        }
        let at = [self.due(), self.pointer_due()].into_iter().flatten().min();
        Wake { fd: Some(self.conn.stream().as_raw_fd()), at }
    }

    fn resize(&mut self, size: Size<Surf>) -> Result<Size<Surf>, ResizeRefused> {
        if !self.has_randr {
            return Err(ResizeRefused::Fixed("a display without RANDR 1.2"));
        }
        let got = heads::resize(&self.conn, self.root, size)?;
        self.look_at_geometry = true;
        Ok(got)
    }

    fn arrange(&mut self, monitors: &[Monitor]) -> Result<Size<Surf>, ResizeRefused> {
        if !self.has_randr {
            return Err(ResizeRefused::Fixed("a display without RANDR 1.2"));
        }
        let got = heads::place(&self.conn, self.root, monitors)?;
        self.look_at_geometry = true;
        Ok(got)
    }

    fn windows(&mut self) -> Vec<AppWindow> {
        self.unread = true;
        let listed = match &self.windows {
            Some(windows) => windows.list(&self.conn, self.root),
            None => Windows::new(&self.conn).and_then(|windows| {
                let listed = windows.list(&self.conn, self.root);
                self.windows = Some(windows);
                listed
            }),
        };
        // A connection that ended says so at the next poll.
        listed.inspect_err(|error| tracing::debug!(%error, "the windows cannot be listed")).unwrap_or_default()
    }

    fn put_windows(&mut self, windows: &[AppWindow]) {
        let Some(known) = self.windows.as_ref().filter(|_| !windows.is_empty()) else { return };
        self.unread = true;
        if let Err(error) = known.put(&self.conn, self.root, windows) {
            tracing::debug!(%error, "windows cannot be moved");
        }
    }

    fn expect_pointer(&mut self, at: Option<Point<Desk>>) {
        self.expected = at;
    }

    /// The server keeps what changed and says only once that a place did, so a screen that is full of changes costs nothing.
    fn rest(&mut self, rests: bool) {
        self.rests = rests;
    }

    fn expect_echo(&mut self, now: Stamp<HostClock>) {
        self.echo_until = now + ECHO;
        self.glances = GLANCES.iter().rev().map(|after| now + *after).collect();
    }
}
