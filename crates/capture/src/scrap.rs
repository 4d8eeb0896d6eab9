//! Capture through the crate `scrap`: whole frames by the clock, compared here with the ones before.
//!
//! It knows neither damage nor the cursor nor errors: it reads on, unchanging, after its display died or changed its
//! size. A second connection therefore watches the display. Its shared segment can be read by every local user
//! (SysV, mode 0777), which is why it is never chosen without being named.
//!
//! Frames are read at most 60 times a second; after a second without change ten times, until something changes or
//! an echo is expected.

use crate::held::Held;
use crate::open::OpenError;
use crate::rects;
use crate::source::{Description, Event, Lost, ResizeRefused, Source, Wake};
use crate::x11::connect::prepare;
use ::scrap::x11::{Capturer, Server};
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use telepane_model::{Damage, FrameFacts, FrameId, HostClock, Pixels, Size, Span, Stamp, Surf, SurfaceId, Trust};
use x11rb::connection::Connection;
use x11rb::protocol::Event as XEvent;
use x11rb::protocol::xproto::{ChangeWindowAttributesAux, ConnectionExt as _, EventMask};
use x11rb::rust_connection::RustConnection;

/// 60 Hz.
const STEP: Span = Span::micros(16_667);
/// While nothing changes.
const REST_STEP: Span = Span::millis(100);
/// How long nothing must have changed for that.
const REST_AFTER: Span = Span::secs(1);

/// A screen read through `scrap`.
pub struct Scrap {
    name: String,
    capturer: Option<Alone>,
    watch: RustConnection,
    root: u32,
    held: Held,
    frame: FrameId,
    whole: bool,
    stale: bool,
    next: Stamp<HostClock>,
    changed_at: Stamp<HostClock>,
}

/// A capturer with its connection.
struct Alone(Capturer);

// SAFETY: not `Send` only because it counts its connection with `Rc`. Every count of that `Rc` is inside the capturer
// (the others were dropped in `capturer`), and xcb connections and SysV mappings are bound to no thread.
unsafe impl Send for Alone {}

impl Scrap {
    /// Opens `display` (`$DISPLAY` if `None`). The cookie can only come from where `$XAUTHORITY` or `$HOME` say:
    /// another file is refused.
    ///
    /// # Errors
    /// As [`crate::x11::X11::connect`].
    pub fn connect(display: Option<&str>, xauthority: Option<&Path>) -> Result<Self, OpenError> {
        let connected = prepare(display, xauthority)?;
        let name = connected.name.clone();
        let unusable = |reason: String| OpenError::Unusable { name: name.clone(), reason };
        if let Some(path) = xauthority
            && std::env::var_os("XAUTHORITY").map(PathBuf::from).as_deref() != Some(path)
        {
            return Err(unusable(format!(
                "scrap takes its cookie only from $XAUTHORITY; set XAUTHORITY={}, or use --capture x11",
                path.display()
            )));
        }
        let mask = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        connected
            .conn
            .change_window_attributes(connected.root, &mask)
            .and_then(|_| connected.conn.flush())
            .map_err(|e| unusable(e.to_string()))?;
        let capturer = capturer(&name).map_err(&unusable)?;
        Ok(Self {
            held: Held::new(area(&capturer)),
            capturer: Some(capturer),
            watch: connected.conn,
            root: connected.root,
            name: connected.name,
            frame: FrameId(0),
            whole: true,
            stale: false,
            next: Stamp::ZERO,
            changed_at: Stamp::ZERO,
        })
    }

    fn lost(&self, reason: &dyn std::fmt::Display) -> Lost {
        Lost::Display { name: self.name.clone(), reason: reason.to_string() }
    }

    /// Whether the display lives, and still has its size.
    fn look_after(&mut self) -> Result<(), Lost> {
        while let Some(event) = self.watch.poll_for_event().map_err(|e| self.lost(&e))? {
            self.stale |= matches!(event, XEvent::ConfigureNotify(n) if n.window == self.root);
        }
        if std::mem::take(&mut self.stale) {
            // The old one first: it holds two frames of memory.
            self.capturer = None;
            let fresh = capturer(&self.name).map_err(|e| self.lost(&e))?;
            if area(&fresh) != self.held.size() {
                self.held = Held::new(area(&fresh));
                self.whole = true;
            }
            self.capturer = Some(fresh);
        }
        Ok(())
    }
}

fn capturer(name: &str) -> Result<Alone, String> {
    let c_name = CString::new(name).map_err(|e| e.to_string())?;
    let server = Server::connect(c_name.as_ptr()).map_err(|e| format!("scrap cannot connect: {e:?}"))?;
    let mut displays = Server::displays(Rc::new(server));
    let first = displays.next();
    // All but the chosen display, and with them their counts of the connection, go away here.
    let display = if first.as_ref().is_some_and(|d| d.is_default()) {
        first
    } else {
        displays.find(|d| d.is_default()).or(first)
    };
    drop(displays);
    let display = display.ok_or("scrap finds no monitor on it")?;
    Capturer::new(display).map(Alone).map_err(|e| e.to_string())
}

/// The size of the monitor it reads.
fn area(capturer: &Alone) -> Size<Surf> {
    let r = capturer.0.display().rect();
    Size::new(r.w.into(), r.h.into())
}

impl Source for Scrap {
    fn describe(&self) -> Description {
        Description {
            name: format!("scrap {}", self.name),
            backend: "scrap",
            damage: Trust::Unknown,
            has_cursor: false,
            can_resize: false,
            size: self.held.size(),
        }
    }

    fn poll(&mut self, now: Stamp<HostClock>) -> Result<Option<Event>, Lost> {
        if now < self.next {
            return Ok(None);
        }
        self.look_after()?;
        let size = self.held.size();
        let Some(Alone(capturer)) = &mut self.capturer else {
            return Ok(None);
        };
        let mut changed = Vec::new();
        let fresh = capturer.frame();
        self.held.absorb(fresh, size.w as usize * 4, size.rect(), &mut changed);
        if !changed.is_empty() {
            self.changed_at = now;
        }
        let resting = now - self.changed_at >= REST_AFTER;
        self.next = now + if resting { REST_STEP } else { STEP };
        if changed.is_empty() && !self.whole {
            return Ok(None);
        }
        let damage =
            if std::mem::take(&mut self.whole) { Damage::all(size) } else { Damage::exact(rects::region(changed)) };
        self.frame = FrameId(self.frame.0 + 1);
        Ok(Some(Event::Frame(FrameFacts { id: self.frame, surface: SurfaceId(0), size, captured: now, damage })))
    }

    fn pixels(&self) -> Arc<Pixels> {
        self.held.pixels()
    }

    fn wake(&self) -> Wake {
        Wake { fd: None, at: Some(self.next) }
    }

    fn resize(&mut self, _size: Size<Surf>) -> Result<Size<Surf>, ResizeRefused> {
        Err(ResizeRefused::Fixed("a display read through scrap"))
    }

    fn expect_echo(&mut self, now: Stamp<HostClock>) {
        self.changed_at = self.changed_at.max(now);
        self.next = self.next.min(now + STEP);
    }
}
