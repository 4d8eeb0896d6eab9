//! Stages for the conformance suite: an X server of the test's own, drawn on over a second connection, and a virtual
//! clock for sources that need no world.
#![allow(dead_code)]

use std::time::Instant;
use telepane_capture::conformance::Stage;
use telepane_capture::virtual_desktop::process::find;
use telepane_capture::virtual_desktop::{Options, Server, Session, VirtualDesktop, start};
use telepane_capture::x11::connect::connect;
use telepane_capture::{Source, Wake};
use telepane_model::{HostClock, Pixels, Rect, Size, Span, Stamp, Surf};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ChangeGCAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, ImageFormat, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// The tests' clock.
#[derive(Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "tests against a live X server live in real time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn now(&self) -> Stamp<HostClock> {
        // One second on, so that no stamp is near zero.
        Stamp::from_micros(1_000_000 + self.0.elapsed().as_micros() as u64)
    }

    /// Waits as a shell does.
    pub fn wait(&self, wake: Wake, most: Span) -> Stamp<HostClock> {
        let until = wake.at.map_or(most, |at| (at - self.now()).min(most));
        let mut poll = libc::pollfd { fd: wake.fd.unwrap_or(-1), events: libc::POLLIN, revents: 0 };
        let ms = until.as_micros().div_ceil(1000).min(60_000) as i32;
        // SAFETY: one valid structure, as the count says; a negative descriptor is ignored.
        unsafe { libc::poll(&raw mut poll, 1, ms) };
        self.now()
    }
}

/// `None`, with a line that says so, if the server is not installed.
pub fn server(server: Server, size: Size<Surf>) -> Option<VirtualDesktop> {
    let options = Options { heads: vec![size], server, session: Session::None, environment: Vec::new() };
    match start(&options) {
        Ok(desktop) => Some(desktop),
        Err(telepane_capture::virtual_desktop::StartError::NoServer) => {
            eprintln!("skipped: no {server:?}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

/// An Xvfb of this depth without a cookie, as `scrap` needs it, and its display.
pub fn open_xvfb(size: Size<Surf>, depth: u8) -> Option<(telepane_capture::virtual_desktop::process::Process, String)> {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    let Some(xvfb) = find("Xvfb") else {
        eprintln!("skipped: no Xvfb");
        return None;
    };
    let mut child = Command::new(xvfb)
        .args(["-screen", "0", &format!("{size}x{depth}"), "-displayfd", "1", "-nolisten", "tcp", "-noreset"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let process = telepane_capture::virtual_desktop::process::Process::new(child, 2_000);
    let number = telepane_capture::virtual_desktop::process::display_number(&mut out, 30_000).expect("Xvfb starts");
    Some((process, format!(":{number}")))
}

/// Draws on an X display over a connection of its own.
pub struct Painter {
    pub conn: RustConnection,
    pub root: u32,
    pub window: u32,
    gc: u32,
}

impl Painter {
    pub fn new(display: &str, xauthority: Option<&std::path::Path>) -> Self {
        let (conn, screen, _) = connect(Some(display), xauthority).unwrap();
        let root = conn.setup().roots[screen].root;
        let (window, gc) = (conn.generate_id().unwrap(), conn.generate_id().unwrap());
        let aux = CreateWindowAux::new().override_redirect(1).background_pixel(0x0020_3040);
        // Larger than any screen here, so that everything that is drawn shows.
        conn.create_window(0, window, root, 0, 0, 8000, 5000, 0, WindowClass::INPUT_OUTPUT, 0, &aux).unwrap();
        conn.map_window(window).unwrap();
        conn.create_gc(gc, window, &CreateGCAux::new()).unwrap();
        conn.sync().unwrap();
        Self { conn, root, window, gc }
    }

    pub fn send(&self, rect: Rect<Surf>, [b, g, r]: [u8; 3]) {
        let pixel = u32::from_be_bytes([0, r, g, b]);
        self.conn.change_gc(self.gc, &ChangeGCAux::new().foreground(pixel)).unwrap();
        let rect = x11rb::protocol::xproto::Rectangle {
            x: rect.x as i16,
            y: rect.y as i16,
            width: rect.w as u16,
            height: rect.h as u16,
        };
        self.conn.poly_fill_rectangle(self.window, self.gc, &[rect]).unwrap();
        self.conn.flush().unwrap();
    }

    pub fn fill(&self, rect: Rect<Surf>, colour: [u8; 3]) {
        self.send(rect, colour);
        self.conn.sync().unwrap();
    }

    /// The whole screen by a plain GetImage.
    pub fn truth(&self) -> Pixels {
        let g = self.conn.get_geometry(self.root).unwrap().reply().unwrap();
        let image = self
            .conn
            .get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, g.width, g.height, !0)
            .unwrap()
            .reply()
            .unwrap();
        let mut data = image.data;
        data.chunks_exact_mut(4).for_each(|p| p[3] = 0);
        Pixels::from_bgrx(Size::new(g.width.into(), g.height.into()), data).unwrap()
    }
}

/// A stage on an X display.
pub struct Display<'a> {
    pub clock: Clock,
    pub painter: Painter,
    pub make: Box<dyn FnMut() -> Box<dyn Source> + 'a>,
    pub lag: Span,
}

impl Stage for Display<'_> {
    fn open(&mut self) -> Box<dyn Source> {
        (self.make)()
    }
    fn fill(&mut self, rect: Rect<Surf>, colour: [u8; 3]) -> bool {
        self.painter.fill(rect, colour);
        true
    }
    fn truth(&mut self) -> Option<Pixels> {
        Some(self.painter.truth())
    }
    fn wait(&mut self, wake: Wake, most: Span) -> Stamp<HostClock> {
        self.clock.wait(wake, most)
    }
    fn lag(&self) -> Span {
        self.lag
    }
}

/// A stage where time passes only by waiting.
pub struct Virtual<'a> {
    pub now: Stamp<HostClock>,
    pub make: Box<dyn FnMut() -> Box<dyn Source> + 'a>,
}

impl Stage for Virtual<'_> {
    fn open(&mut self) -> Box<dyn Source> {
        (self.make)()
    }
    fn fill(&mut self, _rect: Rect<Surf>, _colour: [u8; 3]) -> bool {
        false
    }
    fn truth(&mut self) -> Option<Pixels> {
        None
    }
    fn wait(&mut self, wake: Wake, most: Span) -> Stamp<HostClock> {
        let until = wake.at.map_or(most, |at| (at - self.now).min(most));
        self.now += until.max(Span::micros(1));
        self.now
    }
}
