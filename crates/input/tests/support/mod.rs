//! A private X server, a window that records what it gets, and waiting with a deadline.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::disallowed_methods, reason = "real servers and applications are waited for in real time")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::*;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// How long a machine under load may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A process that ends with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A private Xvfb.
pub struct Server {
    pub display: String,
    process: Running,
}

impl Server {
    /// `None`, with the reason printed, when there is no Xvfb here.
    pub fn start() -> Option<Self> {
        // One that chooses the number of a server that is just ending does not start.
        for _ in 0..5 {
            let spawned = Command::new("Xvfb")
                .args(["-displayfd", "1", "-screen", "0", "1000x700x24", "-nolisten", "tcp", "-noreset"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn();
            let mut process = match spawned {
                Ok(child) => Running(child),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    println!("skipped: no Xvfb here (install xvfb)");
                    return None;
                }
                Err(e) => panic!("cannot start Xvfb: {e}"),
            };
            let mut number = String::new();
            BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
            if !number.trim().is_empty() {
                return Some(Self { display: format!(":{}", number.trim()), process });
            }
        }
        panic!("Xvfb did not start");
    }

    pub fn connect(&self) -> (RustConnection, Window) {
        let (conn, screen) = RustConnection::connect(Some(&self.display)).unwrap();
        let root = conn.setup().roots[screen].root;
        (conn, root)
    }

    /// Runs a program on this display.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DISPLAY", &self.display).env("LC_ALL", "C.UTF-8").env_remove("XMODIFIERS");
        command
    }
}

/// Waits until `done` gives something.
pub fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What the recording window saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saw {
    /// Key code and modifier state.
    Down(u8, u16),
    Up(u8, u16),
    Press(u8),
    Lift(u8),
}

/// A window over the whole screen, with the focus, that records keys and buttons.
pub struct Recorder {
    pub conn: RustConnection,
    pub root: Window,
    pub window: Window,
}

impl Recorder {
    pub fn open(server: &Server) -> Self {
        let (conn, root) = server.connect();
        let window = conn.generate_id().unwrap();
        let events = EventMask::KEY_PRESS
            | EventMask::KEY_RELEASE
            | EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE
            | EventMask::STRUCTURE_NOTIFY;
        let aux = CreateWindowAux::new().override_redirect(1).event_mask(events);
        conn.create_window(0, window, root, 0, 0, 1000, 700, 0, WindowClass::INPUT_OUTPUT, 0, &aux).unwrap();
        conn.map_window(window).unwrap();
        conn.flush().unwrap();
        while !matches!(conn.wait_for_event().unwrap(), Event::MapNotify(_)) {}
        conn.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME).unwrap();
        conn.sync().unwrap();
        Self { conn, root, window }
    }

    /// Everything seen up to now. What the server has done for another client before is in.
    pub fn saw(&self) -> Vec<Saw> {
        self.conn.sync().unwrap();
        let mut all = Vec::new();
        while let Some(event) = self.conn.poll_for_event().unwrap() {
            match event {
                Event::KeyPress(e) => all.push(Saw::Down(e.detail, u16::from(e.state))),
                Event::KeyRelease(e) => all.push(Saw::Up(e.detail, u16::from(e.state))),
                Event::ButtonPress(e) => all.push(Saw::Press(e.detail)),
                Event::ButtonRelease(e) => all.push(Saw::Lift(e.detail)),
                _ => {}
            }
        }
        all
    }

    /// Watches for `time` and gives what was seen.
    pub fn watch(&self, time: Duration) -> Vec<Saw> {
        std::thread::sleep(time);
        self.saw()
    }
}

/// Everything on a display that an injector may change: it must be as before afterwards.
#[derive(Debug, PartialEq, Eq)]
pub struct Facts {
    pub keys_down: [u8; 32],
    pub buttons_and_modifiers: u16,
    pub repeats: [u8; 32],
    pub global_repeat: u8,
    pub keymap: Vec<u32>,
}

impl Facts {
    pub fn of(conn: &RustConnection, root: Window) -> Self {
        let control = conn.get_keyboard_control().unwrap().reply().unwrap();
        let (first, last) = (conn.setup().min_keycode, conn.setup().max_keycode);
        let map = conn.get_keyboard_mapping(first, last - first + 1).unwrap().reply().unwrap();
        let width = usize::from(map.keysyms_per_keycode);
        // The width of the reply follows the widest key; only what is on the keys counts.
        let keymap =
            map.keysyms.chunks(width).flat_map(|row| (0..8).map(|i| row.get(i).copied().unwrap_or(0))).collect();
        Self {
            keys_down: conn.query_keymap().unwrap().reply().unwrap().keys,
            buttons_and_modifiers: u16::from(conn.query_pointer(root).unwrap().reply().unwrap().mask),
            repeats: control.auto_repeats,
            global_repeat: u32::from(control.global_auto_repeat) as u8,
            keymap,
        }
    }

    pub fn idle(&self) -> bool {
        self.keys_down == [0; 32] && self.buttons_and_modifiers == 0
    }
}

/// A path of our own for a test's file.
pub fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("telepane-input-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(name);
    let _ = std::fs::remove_file(&path);
    path
}
