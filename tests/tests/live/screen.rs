//! An X server of the test's own, seen as a person sees it: what is on it, which keys are down, and a keyboard and a
//! mouse (XTEST) to work with.

use super::process::{PATIENCE, Running, Signal, now, pause, until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use x11rb::connection::Connection;
use x11rb::protocol::randr::{ConnectionExt as _, MonitorInfo};
use x11rb::protocol::render::{Animcursorelt, ConnectionExt as _, PictType};
use x11rb::protocol::xfixes::ConnectionExt as _;
use x11rb::protocol::xinput::{ConnectionExt as _, XIChangePropertyAux};
use x11rb::protocol::xproto::{
    AtomEnum, AutoRepeatMode, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ChangeKeyboardControlAux,
    ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, GrabMode,
    GrabStatus, ImageFormat, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, KeyButMask, MOTION_NOTIFY_EVENT, MapState,
    PropMode, Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::reexports::x11rb_protocol::parse_display::parse_display;
use x11rb::rust_connection::{DefaultStream, RustConnection};

mod managed;

/// A display with a connection to it.
pub struct Screen {
    /// Its name, such as `:5`.
    pub name: String,
    /// Where its cookie is, if it wants one.
    pub xauthority: Option<PathBuf>,
    server: Option<Running>,
    conn: RustConnection,
    root: Window,
}

/// What a screen showed at one moment.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width and height in pixels.
    pub size: (u16, u16),
    /// Rows of blue, green, red and a zero.
    pub bgrx: Vec<u8>,
}

/// The pointer as the server shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointerImage {
    /// Width, height and hot spot in pixels.
    pub shape: [u16; 4],
    /// Premultiplied ARGB.
    pub argb: Vec<u32>,
}

impl Drop for Screen {
    /// Asked first, because a server that is killed leaves its lock, which is another process's as soon as that has its number.
    fn drop(&mut self) {
        if let Some(server) = &mut self.server
            && server.ended().is_none()
        {
            server.signal(Signal::Terminate);
            let start = now();
            while server.ended().is_none() && start.elapsed() < Duration::from_secs(3) {
                pause(Duration::from_millis(5));
            }
        }
    }
}

/// Servers are started one at a time, so that a number that is free for a moment is not given to another test.
static STARTING: Mutex<()> = Mutex::new(());

impl Screen {
    /// A fresh Xvfb of this size on a number of its own.
    pub fn start(width: u16, height: u16) -> Self {
        Self::choosing("Xvfb", &mut xvfb(width, height))
    }

    /// A fresh Xvfb on a number that no server chooses by itself, for those count from 0: it stays free while this one is away.
    pub fn start_apart(width: u16, height: u16) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let free = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed))
            .map(|n| 1_000 + std::process::id().wrapping_mul(31).wrapping_add(n) % 20_000)
            .find(|n| !Path::new(&format!("/tmp/.X{n}-lock")).exists());
        let name = format!(":{}", free.expect("there are many"));
        let server = Running::start("Xvfb", xvfb(width, height).arg(&name));
        let (conn, root) = reach(&name);
        Self { name, xauthority: None, server: Some(server), conn, root }
    }

    /// A screen in a window on another one, which can be turned.
    pub fn nested(below: &Self, width: u16, height: u16) -> Self {
        let mut command = Command::new("Xephyr");
        command.env("DISPLAY", &below.name).args(["-screen", &format!("{width}x{height}x24"), "-ac", "-noreset"]);
        Self::choosing("Xephyr", command.args(["-nolisten", "tcp"]))
    }

    /// A server that chooses its number and lets everybody in.
    pub fn choosing(server: &str, command: &mut Command) -> Self {
        let _one = starting();
        command.args(["-displayfd", "1"]);
        let deadline = now() + PATIENCE;
        loop {
            let mut run = Running::start(server, command);
            match run.line_or_end("") {
                Ok(number) => {
                    let name = format!(":{}", number.trim());
                    let (conn, root) = connect(&name, None);
                    return Self { name, xauthority: None, server: Some(run), conn, root };
                }
                // It has chosen that of a server that is just ending, whose socket is gone and whose lock is not.
                Err(code) => {
                    let said = run.all_err();
                    assert!(now() < deadline && said.contains("already active"), "{server} ended with {code}: {said}");
                }
            }
        }
    }

    /// Paints the root with a pattern that no empty screen has, so that equal pictures mean something.
    pub fn paint_root(&self, seed: u32) {
        const TILE: u16 = 96;
        let (pixmap, gc) = (self.conn.generate_id().expect("an id"), self.conn.generate_id().expect("an id"));
        let bgrx: Vec<u8> = (0..u32::from(TILE) * u32::from(TILE))
            .flat_map(|i| {
                let (x, y) = (i % u32::from(TILE), i / u32::from(TILE));
                let noise = (x ^ y).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 27;
                [(x * 2 + noise) as u8, (y * 2) as u8, (seed.wrapping_mul(40) + (x / 8 + y / 8) * 9) as u8, 0]
            })
            .collect();
        let aux = ChangeWindowAttributesAux::new().background_pixmap(pixmap);
        self.conn.create_pixmap(24, pixmap, self.root, TILE, TILE).expect("alive");
        self.conn.create_gc(gc, pixmap, &Default::default()).expect("alive");
        self.conn.put_image(ImageFormat::Z_PIXMAP, pixmap, gc, TILE, TILE, 0, 0, 0, 24, &bgrx).expect("alive");
        self.conn.change_window_attributes(self.root, &aux).expect("alive");
        self.conn.free_gc(gc).expect("alive");
        self.conn.free_pixmap(pixmap).expect("alive");
        self.conn.clear_area(false, self.root, 0, 0, 0, 0).expect("alive").check().expect("it can be painted");
    }

    /// A display that somebody else runs.
    pub fn join(name: &str, xauthority: &Path) -> Self {
        let (conn, root) = connect(name, Some(xauthority));
        Self { name: name.to_owned(), xauthority: Some(xauthority.to_owned()), server: None, conn, root }
    }

    /// Kills a server that was started apart, and starts another under the same name after `away`.
    pub fn kill_and_restart(&mut self, width: u16, height: u16, away: Duration) {
        let mut server = self.server.take().expect("the server is ours");
        server.signal(Signal::Kill);
        server.exit_code(PATIENCE);
        pause(away);
        self.server = Some(Running::start("Xvfb again", xvfb(width, height).arg(&self.name)));
        (self.conn, self.root) = reach(&self.name);
    }

    /// An application on this screen.
    pub fn run(&self, name: &str, home: &Path, args: &[&str]) -> Running {
        let mut command = Command::new(args[0]);
        command.args(&args[1..]);
        Running::start(name, environment(&mut command, home).env("DISPLAY", &self.name))
    }

    /// What is on it now, without the pointer.
    pub fn picture(&self) -> Picture {
        let geometry = self.conn.get_geometry(self.root).expect("alive").reply().expect("the root has a geometry");
        let size = (geometry.width, geometry.height);
        let image = self.conn.get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, size.0, size.1, !0);
        // The screen may have become smaller since it was asked for its size.
        let Ok(image) = image.expect("alive").reply() else { return self.picture() };
        let mut bgrx = image.data;
        bgrx.chunks_exact_mut(4).for_each(|p| p[3] = 0);
        Picture { size, bgrx }
    }

    /// One pixel: blue, green, red.
    pub fn pixel(&self, x: i16, y: i16) -> [u8; 3] {
        let image = self.conn.get_image(ImageFormat::Z_PIXMAP, self.root, x, y, 1, 1, !0).expect("alive");
        let data = image.reply().expect("it is on the screen").data;
        [data[0], data[1], data[2]]
    }

    /// A window above everything, to paint in.
    pub fn canvas(&self, [x, y, w, h]: [i16; 4]) -> Window {
        let window = self.conn.generate_id().expect("an id");
        let aux = CreateWindowAux::new().override_redirect(1);
        let class = WindowClass::INPUT_OUTPUT;
        let made = self.conn.create_window(0, window, self.root, x, y, w as u16, h as u16, 0, class, 0, &aux);
        made.expect("alive").check().expect("a window");
        self.conn.map_window(window).expect("alive").check().expect("it can be shown");
        window
    }

    /// Paints all of a [`Screen::canvas`], and waits until it is there.
    pub fn paint(&self, canvas: Window, (w, h): (u16, u16), bgrx: &[u8]) {
        let gc = self.conn.generate_id().expect("an id");
        self.conn.create_gc(gc, canvas, &Default::default()).expect("alive");
        let put = self.conn.put_image(ImageFormat::Z_PIXMAP, canvas, gc, w, h, 0, 0, 0, 24, bgrx);
        put.expect("alive").check().expect("it can be painted");
        self.conn.free_gc(gc).expect("alive");
    }

    /// The pointer's image.
    pub fn pointer(&self) -> PointerImage {
        self.conn.xfixes_query_version(4, 0).expect("alive").reply().expect("it has XFIXES");
        let c = self.conn.xfixes_get_cursor_image().expect("alive").reply().expect("there is a pointer");
        PointerImage { shape: [c.width, c.height, c.xhot, c.yhot], argb: c.cursor_image }
    }

    /// Gives the desktop a pointer that shows these images in turn, each for this many milliseconds.
    pub fn animate_pointer(&self, images: &[PointerImage], each_ms: u32) {
        let frame = |image| Animcursorelt { cursor: self.cursor(image), delay: each_ms };
        let frames: Vec<_> = images.iter().map(frame).collect();
        let moving = self.conn.generate_id().expect("an id");
        self.conn.render_create_anim_cursor(moving, &frames).expect("alive");
        self.show_pointer(moving);
    }

    /// Gives the desktop a pointer.
    pub fn set_pointer(&self, image: &PointerImage) {
        self.show_pointer(self.cursor(image));
    }

    fn show_pointer(&self, cursor: u32) {
        let aux = ChangeWindowAttributesAux::new().cursor(cursor);
        self.conn.change_window_attributes(self.root, &aux).expect("alive").check().expect("it may have a pointer");
    }

    fn cursor(&self, image: &PointerImage) -> u32 {
        let formats = self.conn.render_query_pict_formats().expect("alive").reply().expect("it has RENDER");
        let argb = |f: &&x11rb::protocol::render::Pictforminfo| {
            f.type_ == PictType::DIRECT && f.depth == 32 && (f.direct.alpha_shift, f.direct.red_shift) == (24, 16)
        };
        let argb = formats.formats.iter().find(argb).expect("there are pictures with alpha").id;
        let id = || self.conn.generate_id().expect("an id");
        let (pixmap, gc, picture, cursor) = (id(), id(), id(), id());
        let [width, height, x, y] = image.shape;
        let bytes: Vec<u8> = image.argb.iter().flat_map(|p| p.to_le_bytes()).collect();
        self.conn.create_pixmap(32, pixmap, self.root, width, height).expect("alive");
        self.conn.create_gc(gc, pixmap, &Default::default()).expect("alive");
        self.conn.put_image(ImageFormat::Z_PIXMAP, pixmap, gc, width, height, 0, 0, 0, 32, &bytes).expect("alive");
        self.conn.render_create_picture(picture, pixmap, argb, &Default::default()).expect("alive");
        self.conn.render_create_cursor(cursor, picture, x, y).expect("alive").check().expect("it is a pointer");
        cursor
    }

    /// The X codes of the keys that are down.
    pub fn held(&self) -> Vec<u8> {
        let keys = self.conn.query_keymap().expect("alive").reply().expect("it has a keyboard").keys;
        (8..=255).filter(|k| keys[usize::from(*k / 8)] & (1 << (k % 8)) != 0).collect()
    }

    /// Whether Caps Lock and Num Lock are on.
    pub fn locks(&self) -> (bool, bool) {
        let mask = self.conn.query_pointer(self.root).expect("alive").reply().expect("it has a pointer").mask;
        (mask.contains(KeyButMask::LOCK), mask.contains(KeyButMask::MOD2))
    }

    /// Where the pointer is.
    pub fn pointer_at(&self) -> (i16, i16) {
        let p = self.conn.query_pointer(self.root).expect("alive").reply().expect("there is a pointer");
        (p.root_x, p.root_y)
    }

    /// Moves the pointer.
    pub fn point(&self, x: i16, y: i16) {
        self.fake(MOTION_NOTIFY_EVENT, 0, x, y);
    }

    /// Moves the pointer by a distance, as a mouse does.
    pub fn point_by(&self, dx: i16, dy: i16) {
        self.fake(MOTION_NOTIFY_EVENT, 1, dx, dy);
    }

    /// Puts the pointer somewhere as an application does, not a hand.
    pub fn warp(&self, x: i16, y: i16) {
        let warp = self.conn.warp_pointer(x11rb::NONE, self.root, 0, 0, 0, 0, x, y);
        warp.expect("alive").check().expect("it can be warped");
    }

    /// Unplugs an input device of this name, or plugs it in again.
    pub fn plug(&self, device: &str, on: bool) {
        self.conn.xinput_xi_query_version(2, 2).expect("alive").reply().expect("it has XInput");
        let there = self.conn.xinput_xi_query_device(0_u16).expect("alive").reply().expect("an answer").infos;
        let device = there.iter().find(|d| d.name == device.as_bytes()).expect("there is such a device").deviceid;
        let (enabled, kind) = (self.atom("Device Enabled"), AtomEnum::INTEGER.into());
        let value = XIChangePropertyAux::Data8(vec![on.into()]);
        let set = self.conn.xinput_xi_change_property(device, PropMode::REPLACE, enabled, kind, 1, &value);
        set.expect("alive").check().expect("it can be set");
    }

    /// Whether some client holds the pointer: then nobody else may.
    pub fn pointer_is_grabbed(&self) -> bool {
        self.alone(|| {
            let grab = self.conn.grab_pointer(
                false,
                self.root,
                EventMask::NO_EVENT,
                GrabMode::ASYNC,
                GrabMode::ASYNC,
                x11rb::NONE,
                x11rb::NONE,
                x11rb::CURRENT_TIME,
            );
            let status = grab.expect("alive").reply().expect("an answer").status;
            if status == GrabStatus::SUCCESS {
                self.conn.ungrab_pointer(x11rb::CURRENT_TIME).expect("alive").check().expect("it was ours");
            }
            status == GrabStatus::ALREADY_GRABBED
        })
    }

    /// Whether some client holds the keyboard.
    pub fn keyboard_is_grabbed(&self) -> bool {
        self.alone(|| {
            let mode = GrabMode::ASYNC;
            let grab = self.conn.grab_keyboard(false, self.root, x11rb::CURRENT_TIME, mode, mode);
            let status = grab.expect("alive").reply().expect("an answer").status;
            if status == GrabStatus::SUCCESS {
                self.conn.ungrab_keyboard(x11rb::CURRENT_TIME).expect("alive").check().expect("it was ours");
            }
            status == GrabStatus::ALREADY_GRABBED
        })
    }

    /// What `ask` finds while the server serves nobody else: whoever wants the same just then would be refused because it was
    /// asked for.
    fn alone<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.conn.grab_server().expect("alive");
        let found = ask();
        self.conn.ungrab_server().expect("alive").check().expect("it was ours");
        found
    }

    /// A text property of the root, such as its resources.
    pub fn root_text(&self, property: AtomEnum) -> String {
        let asked = self.conn.get_property(false, self.root, property, AtomEnum::STRING, 0, 1 << 16);
        String::from_utf8_lossy(&asked.expect("alive").reply().expect("an answer").value).into_owned()
    }

    /// Its monitors: place and size, and whether each is the primary one.
    pub fn monitors(&self) -> Vec<([i32; 4], bool)> {
        let asked = self.conn.randr_get_monitors(self.root, true).expect("alive").reply().expect("it has RANDR 1.5");
        let one = |m: &MonitorInfo| ([m.x.into(), m.y.into(), m.width.into(), m.height.into()], m.primary);
        asked.monitors.iter().map(one).collect()
    }

    /// How many pictures in 1000 s each of its outputs shows that is in use, in the order of the outputs.
    pub fn rates(&self) -> Vec<u64> {
        let asked = self.conn.randr_get_screen_resources_current(self.root).expect("alive");
        let resources = asked.reply().expect("it has RANDR 1.3");
        let rate = |output: &u32| {
            let crtc = self.conn.randr_get_output_info(*output, 0).expect("alive").reply().ok()?.crtc;
            let mode = self.conn.randr_get_crtc_info(crtc, 0).expect("alive").reply().ok()?.mode;
            let mode = resources.modes.iter().find(|m| m.id == mode)?;
            let total = u64::from(mode.htotal) * u64::from(mode.vtotal);
            Some((u64::from(mode.dot_clock) * 1000 + total / 2) / total)
        };
        resources.outputs.iter().filter_map(rate).collect()
    }

    /// Its dots per inch, as its size in millimetres says.
    pub fn dots_per_inch(&self) -> u32 {
        // Whoever connects is told the present size.
        let (conn, _) = connect(&self.name, self.xauthority.as_deref());
        let screen = &conn.setup().roots[0];
        let (pixels, mm) = (u32::from(screen.width_in_pixels), u32::from(screen.width_in_millimeters));
        (pixels * 254 + mm * 5) / (mm * 10).max(1)
    }

    /// Clicks the first button at a place.
    pub fn click(&self, x: i16, y: i16) {
        self.point(x, y);
        pause(Duration::from_millis(60));
        self.press_button(1);
        pause(Duration::from_millis(40));
        self.lift_button(1);
    }

    /// Presses a button of the mouse, by X's number.
    pub fn press_button(&self, button: u8) {
        self.fake(BUTTON_PRESS_EVENT, button, 0, 0);
    }

    /// Lifts it.
    pub fn lift_button(&self, button: u8) {
        self.fake(BUTTON_RELEASE_EVENT, button, 0, 0);
    }

    /// Presses a key, by its evdev code.
    pub fn press(&self, key: u8) {
        self.fake(KEY_PRESS_EVENT, key + 8, 0, 0);
    }

    /// Lifts a key, by its evdev code.
    pub fn lift(&self, key: u8) {
        self.fake(KEY_RELEASE_EVENT, key + 8, 0, 0);
    }

    /// Types a text on a US keyboard, a key every 12 ms; `\n` is Enter.
    pub fn type_text(&self, text: &str) {
        for c in text.chars() {
            let (key, shift) = key_of(c);
            if shift {
                self.press(LEFT_SHIFT);
            }
            self.press(key);
            pause(Duration::from_millis(6));
            self.lift(key);
            if shift {
                self.lift(LEFT_SHIFT);
            }
            pause(Duration::from_millis(6));
        }
    }

    /// Ctrl and a letter.
    pub fn control(&self, letter: char) {
        self.press(LEFT_CTRL);
        self.type_text(&letter.to_string());
        self.lift(LEFT_CTRL);
    }

    /// The mapped children of the root: place and size, bottom to top, without those of one pixel.
    pub fn windows(&self) -> Vec<[i32; 4]> {
        let tree = self.conn.query_tree(self.root).expect("alive").reply().expect("the root has children");
        let shown = |w: &u32| {
            let attributes = self.conn.get_window_attributes(*w).ok()?.reply().ok()?;
            let g = self.conn.get_geometry(*w).ok()?.reply().ok()?;
            let shown = attributes.map_state == MapState::VIEWABLE && g.width > 1 && g.height > 1;
            shown.then(|| [i32::from(g.x), i32::from(g.y), i32::from(g.width), i32::from(g.height)])
        };
        tree.children.iter().filter_map(shown).collect()
    }

    /// The titles of the windows below the root.
    pub fn titles(&self) -> Vec<String> {
        let name = self.conn.intern_atom(false, b"_NET_WM_NAME").expect("alive").reply().expect("an atom").atom;
        let tree = self.conn.query_tree(self.root).expect("alive").reply().expect("the root has children");
        let title = |window: &u32| {
            let asked = self.conn.get_property(false, *window, name, AtomEnum::ANY, 0, 1 << 10).expect("alive");
            // A window may have gone since the root was asked.
            asked.reply().ok().map(|text| String::from_utf8_lossy(&text.value).into_owned())
        };
        tree.children.iter().filter_map(title).filter(|title| !title.is_empty()).collect()
    }

    fn atom(&self, name: &str) -> u32 {
        self.conn.intern_atom(false, name.as_bytes()).expect("alive").reply().expect("an atom").atom
    }

    /// Asks every window below the root that understands it to close, as the cross in a window's frame does.
    pub fn close_windows(&self) {
        let tree = self.conn.query_tree(self.root).expect("alive").reply().expect("the root has children");
        self.close(tree.children);
    }

    /// Asks the window of this place and size to close.
    pub fn close_window(&self, place: [i32; 4]) {
        self.close(vec![self.child_at(place)]);
    }

    /// Gives the window of this place and size another size.
    pub fn resize_window(&self, place: [i32; 4], width: u32, height: u32) {
        use x11rb::protocol::xproto::ConfigureWindowAux;
        let size = ConfigureWindowAux::new().width(width).height(height);
        let done = self.conn.configure_window(self.child_at(place), &size);
        done.expect("alive").check().expect("it can be resized");
    }

    /// The child of the root with this place and size.
    fn child_at(&self, place: [i32; 4]) -> Window {
        let tree = self.conn.query_tree(self.root).expect("alive").reply().expect("the root has children");
        let lies = |w: &Window| {
            let g = self.conn.get_geometry(*w).expect("alive").reply();
            g.is_ok_and(|g| place == [i32::from(g.x), i32::from(g.y), i32::from(g.width), i32::from(g.height)])
        };
        tree.children.into_iter().rev().find(lies).expect("a window is there")
    }

    fn close(&self, windows: Vec<Window>) {
        let atom =
            |name: &str| self.conn.intern_atom(false, name.as_bytes()).expect("alive").reply().expect("an atom").atom;
        let (protocols, delete) = (atom("WM_PROTOCOLS"), atom("WM_DELETE_WINDOW"));
        for window in windows {
            let event = ClientMessageEvent::new(32, window, protocols, [delete, 0, 0, 0, 0]);
            self.conn.send_event(false, window, EventMask::NO_EVENT, event).expect("alive");
        }
        self.conn.flush().expect("alive");
    }

    /// Presses Ctrl, Alt and a letter, and lifts them.
    pub fn chord(&self, letter: char) {
        [LEFT_CTRL, LEFT_ALT].into_iter().for_each(|key| self.press(key));
        self.type_text(&letter.to_string());
        [LEFT_ALT, LEFT_CTRL].into_iter().for_each(|key| self.lift(key));
    }

    /// Whether some client owns the selection of this name.
    pub fn has_selection(&self, name: &str) -> bool {
        let atom = self.conn.intern_atom(false, name.as_bytes()).expect("alive").reply().expect("an atom").atom;
        self.conn.get_selection_owner(atom).expect("alive").reply().expect("an answer").owner != x11rb::NONE
    }

    /// Whether a window manager runs.
    pub fn is_managed(&self) -> bool {
        let asked = self.conn.get_window_attributes(self.root).expect("alive").reply().expect("an answer");
        asked.all_event_masks.contains(EventMask::SUBSTRUCTURE_REDIRECT)
    }

    /// What has the keyboard.
    pub fn focus(&self) -> Window {
        self.conn.get_input_focus().expect("alive").reply().expect("an answer").focus
    }

    /// Where the window that has the keyboard lies: place and size, without its frame.
    pub fn focus_place(&self) -> Option<[i32; 4]> {
        let window = self.focus();
        let g = self.conn.get_geometry(window).expect("alive").reply().ok()?;
        let at = self.conn.translate_coordinates(window, self.root, 0, 0).expect("alive").reply().ok()?;
        Some([at.dst_x.into(), at.dst_y.into(), g.width.into(), g.height.into()])
    }

    /// Whether a window has the keyboard.
    pub fn has_focus(&self) -> bool {
        let focus = self.focus();
        ![x11rb::NONE, u32::from(InputFocus::POINTER_ROOT), self.root].contains(&focus)
    }

    /// Gives all windows below the root this size, as a person or a window manager would.
    pub fn resize_windows(&self, width: u32, height: u32) {
        use x11rb::protocol::xproto::ConfigureWindowAux;
        let tree = self.conn.query_tree(self.root).expect("alive").reply().expect("the root has children");
        for window in tree.children {
            let g = self.conn.get_geometry(window).expect("alive").reply();
            if g.is_ok_and(|g| g.width > 1) {
                let size = ConfigureWindowAux::new().width(width).height(height);
                self.conn.configure_window(window, &size).expect("alive").check().expect("it can be resized");
            }
        }
    }

    /// Puts all windows below the root there, as a hand that drags them does.
    pub fn move_windows(&self, x: i32, y: i32) {
        use x11rb::protocol::xproto::ConfigureWindowAux;
        let tree = self.conn.query_tree(self.root).expect("alive").reply().expect("the root has children");
        for window in tree.children {
            let g = self.conn.get_geometry(window).expect("alive").reply();
            if g.is_ok_and(|g| g.width > 1) {
                let place = ConfigureWindowAux::new().x(x).y(y);
                self.conn.configure_window(window, &place).expect("alive").check().expect("it can be moved");
            }
        }
    }

    /// Takes all windows below the root off the screen, as a window manager does with one that is minimised, or puts them back.
    pub fn show_windows(&self, on: bool) {
        let tree = self.conn.query_tree(self.root).expect("alive").reply().expect("the root has children");
        for window in tree.children {
            let g = self.conn.get_geometry(window).expect("alive").reply();
            if g.is_ok_and(|g| g.width > 1) {
                let done = if on { self.conn.map_window(window) } else { self.conn.unmap_window(window) };
                done.expect("alive").check().expect("it is there");
            }
        }
    }

    /// Gives the keyboard to the window of this title.
    pub fn give_focus(&self, title: &str) {
        let name = self.conn.intern_atom(false, b"_NET_WM_NAME").expect("alive").reply().expect("an atom").atom;
        let has_title = |window: &&Window| {
            let asked = self.conn.get_property(false, **window, name, AtomEnum::ANY, 0, 1 << 10).expect("alive");
            asked.reply().is_ok_and(|text| text.value == title.as_bytes())
        };
        // Only one that is shown can have it.
        until("the window has the keyboard", PATIENCE, || {
            let tree = self.conn.query_tree(self.root).expect("alive").reply().expect("the root has children");
            tree.children.iter().find(has_title).is_some_and(|window| {
                let set = self.conn.set_input_focus(InputFocus::PARENT, *window, x11rb::CURRENT_TIME);
                set.expect("alive").check().is_ok()
            })
        });
    }

    /// What is on a key, by its evdev code: the keysyms of the core protocol, in which levels 3 and 4 are at 4 and 5.
    pub fn keysyms(&self, key: u8) -> Vec<u32> {
        let asked = self.conn.get_keyboard_mapping(key + 8, 1).expect("alive");
        asked.reply().expect("it has a keyboard").keysyms
    }

    /// Has the server repeat no key from now on, so that how long one is held is no matter.
    pub fn repeat_no_key(&self) {
        let off = ChangeKeyboardControlAux::new().auto_repeat_mode(AutoRepeatMode::OFF);
        self.conn.change_keyboard_control(&off).expect("alive").check().expect("it can be told");
    }

    /// A key on which nothing is, by its evdev code.
    pub fn spare_key(&self) -> u8 {
        let is_spare = |key: &u8| self.keysyms(*key).iter().all(|sym| *sym == x11rb::NONE);
        (0..=247).find(is_spare).expect("keymaps have room")
    }

    /// Puts a character on a key, by its evdev code, or nothing.
    pub fn put_on_key(&self, key: u8, c: Option<char>) {
        // `X11/keysymdef.h`: Latin-1 as it is, and all of Unicode from here on.
        let sym = c.map_or(x11rb::NONE, |c| if u32::from(c) < 0x100 { c.into() } else { 0x0100_0000 | u32::from(c) });
        let put = self.conn.change_keyboard_mapping(1, key + 8, 2, &[sym, sym]);
        put.expect("alive").check().expect("it takes another character");
    }

    /// Takes the keyboard from every window.
    pub fn focus_nobody(&self) {
        let set = self.conn.set_input_focus(InputFocus::NONE, x11rb::NONE, x11rb::CURRENT_TIME);
        set.expect("alive").check().expect("nobody may have the focus");
    }

    fn fake(&self, kind: u8, detail: u8, x: i16, y: i16) {
        self.conn.xtest_fake_input(kind, detail, 0, self.root, x, y, 0).expect("alive").check().expect("XTEST");
    }
}

impl Picture {
    /// How it differs from `other`, in words; `None` if it does not.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.size != other.size {
            return Some(format!("{:?} against {:?}", self.size, other.size));
        }
        let (n, [low, high]) = self.changed(other)?;
        Some(format!("{n} pixels differ, all between {low:?} and {high:?}"))
    }

    /// How many pixels differ from those of `other`, which has the same size, and between which two they lie.
    pub fn changed(&self, other: &Self) -> Option<(usize, [(usize, usize); 2])> {
        let width = usize::from(self.size.0);
        let (mut n, mut low, mut high) = (0, (usize::MAX, usize::MAX), (0, 0));
        for (i, (a, b)) in self.bgrx.chunks_exact(4).zip(other.bgrx.chunks_exact(4)).enumerate() {
            if a != b {
                let (x, y) = (i % width, i / width);
                n += 1;
                low = (low.0.min(x), low.1.min(y));
                high = (high.0.max(x), high.1.max(y));
            }
        }
        (n > 0).then_some((n, [low, high]))
    }

    /// How many pixels have another colour than the first.
    pub fn lively(&self) -> usize {
        let pixels = self.bgrx.chunks_exact(4);
        let first = &self.bgrx[..4];
        pixels.filter(|p| *p != first).count()
    }

    /// From a PNG file with eight bits of red, green and blue.
    pub fn from_png(path: &Path) -> Self {
        let file = std::io::BufReader::new(std::fs::File::open(path).expect("the screenshot was written"));
        let mut reader = png::Decoder::new(file).read_info().expect("it is a PNG");
        let mut rgb = vec![0; reader.output_buffer_size().expect("it has a size")];
        let info = reader.next_frame(&mut rgb).expect("it is whole");
        assert_eq!(info.color_type, png::ColorType::Rgb);
        let bgrx = rgb.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0], 0]).collect();
        Self { size: (info.width as u16, info.height as u16), bgrx }
    }
}

/// Waits until `client` shows what `host` shows, pixel for pixel, and neither changes for a moment; returns how long it
/// took until the client was right.
pub fn exact(host: &Screen, client: &Screen, within: Duration) -> Duration {
    /// Longer than an application takes from one part of its drawing to the next.
    const MOMENT: Duration = Duration::from_millis(120);
    let start = now();
    let mut steady: Option<(Duration, Picture)> = None;
    loop {
        let (wanted, shown) = (host.picture(), client.picture());
        match &steady {
            Some((since, picture)) if *picture == wanted && shown == wanted => {
                if start.elapsed() - *since > MOMENT {
                    return *since;
                }
            }
            _ => steady = (shown == wanted).then(|| (start.elapsed(), wanted.clone())),
        }
        if start.elapsed() > within {
            let difference =
                wanted.difference(&shown).unwrap_or_else(|| "the host's picture changes all the time".into());
            panic!("the client does not show what the host shows after {within:?}: {difference}");
        }
        pause(Duration::from_millis(10));
    }
}

/// Where `TELEPANE_KEEP` names a directory, the picture is kept there for people to look at.
pub fn keep(screen: &Screen, name: &str) {
    let Some(dir) = std::env::var_os("TELEPANE_KEEP") else { return };
    let picture = screen.picture();
    let rgb: Vec<u8> = picture.bgrx.chunks_exact(4).flat_map(|p| [p[2], p[1], p[0]]).collect();
    let head = format!("P6 {} {} 255\n", picture.size.0, picture.size.1);
    let path = Path::new(&dir).join(name).with_extension("ppm");
    std::fs::write(path, [head.as_bytes(), &rgb].concat()).expect("it can be written");
}

/// Waits until no key is down; returns how long it took.
pub fn no_key_held(screen: &Screen, within: Duration) -> Duration {
    until("no key is held", within, || screen.held().is_empty())
}

/// An environment in which nothing of the person who runs the tests is found.
pub fn environment<'c>(command: &'c mut Command, home: &Path) -> &'c mut Command {
    for name in ["DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "DBUS_SESSION_BUS_ADDRESS"] {
        command.env_remove(name);
    }
    for name in ["XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
        command.env_remove(name);
    }
    command.env("HOME", home).env("XDG_RUNTIME_DIR", home).env("LC_ALL", "C.UTF-8").env("NO_AT_BRIDGE", "1")
}

/// What [`Screen::held`] says when everything is up.
pub const NO_KEY: [u8; 0] = [];
/// The evdev codes used by name (`input-event-codes.h`).
pub const LEFT_CTRL: u8 = 29;
/// See [`LEFT_CTRL`].
pub const LEFT_SHIFT: u8 = 42;
/// See [`LEFT_CTRL`]; no test holds it.
pub const RIGHT_SHIFT: u8 = 54;
/// See [`LEFT_CTRL`].
pub const LEFT_ALT: u8 = 56;

fn starting() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn xvfb(width: u16, height: u16) -> Command {
    let mut command = Command::new("Xvfb");
    command.args(["-screen", "0", &format!("{width}x{height}x24"), "-nolisten", "tcp", "-noreset", "-ac"]);
    command
}

fn connect(name: &str, xauthority: Option<&Path>) -> (RustConnection, Window) {
    let (conn, screen) = match xauthority {
        None => RustConnection::connect(Some(name)).expect("the server accepts connections"),
        Some(path) => {
            let parsed = parse_display(Some(name)).expect("a display's name");
            let address = parsed.connect_instruction().next().expect("it has an address");
            let (stream, _) = DefaultStream::connect(&address).expect("the server accepts connections");
            // The cookie is the last 16 bytes of a file with one entry.
            let file = std::fs::read(path).expect("the cookie is there");
            let cookie = file[file.len() - 16..].to_vec();
            let kind = b"MIT-MAGIC-COOKIE-1".to_vec();
            let conn = RustConnection::connect_to_stream_with_auth_info(stream, 0, kind, cookie).expect("let in");
            (conn, 0)
        }
    };
    let root = conn.setup().roots[screen].root;
    (conn, root)
}

/// A connection to a server that is about to come.
fn reach(name: &str) -> (RustConnection, Window) {
    let deadline = now() + PATIENCE;
    loop {
        match RustConnection::connect(Some(name)) {
            Ok((conn, screen)) => {
                let root = conn.setup().roots[screen].root;
                return (conn, root);
            }
            Err(e) => assert!(now() < deadline, "no Xvfb came at {name}: {e}"),
        }
        pause(Duration::from_millis(20));
    }
}

/// The key of a US keyboard that gives a character, by its evdev code, and whether with Shift.
pub fn key_of(c: char) -> (u8, bool) {
    const PLAIN: [(&str, u8); 4] =
        [("1234567890-=", 2), ("qwertyuiop[]", 16), ("asdfghjkl;'`", 30), ("\\zxcvbnm,./", 43)];
    const SHIFTED: [(&str, u8); 4] =
        [("!@#$%^&*()_+", 2), ("QWERTYUIOP{}", 16), ("ASDFGHJKL:\"~", 30), ("|ZXCVBNM<>?", 43)];
    match c {
        '\n' => return (28, false),
        ' ' => return (57, false),
        '\u{1b}' => return (1, false),
        _ => {}
    }
    let find = |rows: &[(&str, u8)]| rows.iter().find_map(|(row, first)| row.find(c).map(|i| first + i as u8));
    find(&PLAIN).map(|k| (k, false)).or_else(|| find(&SHIFTED).map(|k| (k, true))).expect("a US keyboard has the key")
}
