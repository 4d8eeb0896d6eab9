//! A Wayland compositor, sway, with one output in memory: what it shows, and a keyboard and a pointer of the test's own, whose keys
//! are a real keyboard's.

use super::process::{PATIENCE, Running, Scratch, pause, until};
use super::screen::{LEFT_ALT, LEFT_CTRL, LEFT_SHIFT, Picture, environment, key_of};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::{wl_pointer::ButtonState, wl_registry::WlRegistry, wl_seat::WlSeat};
use wayland_client::{Connection, Dispatch, Proxy, QueueHandle};
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;
use wayland_protocols_wlr::virtual_pointer::v1::client::zwlr_virtual_pointer_manager_v1::ZwlrVirtualPointerManagerV1;
use wayland_protocols_wlr::virtual_pointer::v1::client::zwlr_virtual_pointer_v1::ZwlrVirtualPointerV1;

/// What these tests call, for `have`.
pub const PROGRAMS: &[&str] = &["sway", "swaymsg", "grim", "setpriv", "Xvfb"];

/// A running compositor. The fields end in this order.
pub struct Sway {
    connection: Connection,
    keyboard: ZwpVirtualKeyboardV1,
    pointer: ZwlrVirtualPointerV1,
    size: (u16, u16),
    /// Where the pointer is.
    pub at: (i32, i32),
    /// The modifiers that are down, as the keymap counts them.
    modifiers: u32,
    /// And those that are locked.
    locked: u32,
    _server: Running,
    /// Its runtime directory, where its sockets are.
    dir: Scratch,
}

impl Sway {
    /// With an output of this size, and these lines in its configuration; `@` in them is a directory that it may write to.
    pub fn start(width: u16, height: u16, lines: &str) -> Self {
        let dir = Scratch::new();
        let config = format!(
            "output * resolution {width}x{height}\nxwayland disable\ndefault_border none\n{}\n",
            lines.replace('@', &dir.join("").display().to_string())
        );
        let config = dir.write("config", &config);
        // It refuses to run as root, so there it is nobody, whom its own directory is open to.
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let mut command = Command::new(if is_root { "setpriv" } else { "sway" });
        if is_root {
            std::fs::set_permissions(dir.join(""), PermissionsExt::from_mode(0o777)).expect("it is ours");
            std::fs::set_permissions(&config, PermissionsExt::from_mode(0o644)).expect("it is ours");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sway"]);
        }
        environment(&mut command, &dir.join("")).arg("--config").arg(config);
        command.env("WLR_BACKENDS", "headless").env("WLR_RENDERER", "pixman").env("WLR_LIBINPUT_NO_DEVICES", "1");
        let server = Running::start("sway", &mut command);
        let socket = dir.join("wayland-1");
        let mut stream = None;
        until("sway listens", PATIENCE, || {
            stream = UnixStream::connect(&socket).ok();
            stream.is_some()
        });
        let connection = Connection::from_socket(stream.expect("it listens")).expect("a connection");
        let (globals, mut queue) = registry_queue_init::<Deaf>(&connection).expect("it says what it has");
        let handle = queue.handle();
        let seat: WlSeat = globals.bind(&handle, 1..=1, ()).expect("it has a seat");
        let keyboards: ZwpVirtualKeyboardManagerV1 = globals.bind(&handle, 1..=1, ()).expect("it takes keyboards");
        let pointers: ZwlrVirtualPointerManagerV1 = globals.bind(&handle, 1..=1, ()).expect("it takes pointers");
        let keyboard = keyboards.create_virtual_keyboard(&seat, &handle, ());
        let pointer = pointers.create_virtual_pointer(Some(&seat), &handle, ());
        let keymap = dir.write("keymap", KEYMAP);
        let keymap = std::fs::File::open(keymap).expect("just written");
        // 1: text as xkbcommon reads it, which ends with a zero.
        keyboard.keymap(1, keymap.as_fd(), KEYMAP.len() as u32);
        queue.roundtrip(&mut Deaf).expect("it takes them");
        let size = (width, height);
        let mut sway =
            Self { connection, keyboard, pointer, size, at: (0, 0), modifiers: 0, locked: 0, _server: server, dir };
        sway.point((i32::from(width) / 2, i32::from(height) / 2));
        sway
    }

    /// The variables by which a program finds it.
    pub fn variables(&self) -> [(&'static str, PathBuf); 2] {
        [("XDG_RUNTIME_DIR", self.dir.join("")), ("WAYLAND_DISPLAY", "wayland-1".into())]
    }

    /// A file in the directory that `@` stands for.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What the output shows: an output in memory has no other pointer than one that is drawn into it.
    pub fn picture(&self) -> Picture {
        let to = self.dir.join("picture.png");
        let mut command = Command::new("grim");
        environment(&mut command, &self.dir.join("")).envs(self.variables());
        command.arg(&to).stdin(Stdio::null());
        assert!(command.status().expect("grim runs").success());
        Picture::from_png(&to)
    }

    /// What sway says to a request of `swaymsg`.
    pub fn ask(&self, request: &[&str]) -> String {
        let mut command = Command::new("swaymsg");
        environment(&mut command, &self.dir.join("")).envs(self.variables()).args(request).stdin(Stdio::null());
        let socket = std::fs::read_dir(self.dir.join("")).expect("it is there").flatten().map(|found| found.path());
        let is_its = |path: &PathBuf| path.to_string_lossy().contains("sway-ipc.");
        let said = command.arg("-s").args(socket.into_iter().find(is_its)).output().expect("swaymsg runs");
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    /// Presses a key, by its evdev code, or lifts it.
    pub fn key(&mut self, key: u8, down: bool) {
        // A keyboard of a program's says itself which modifiers are down: X's Shift, Control, Mod1 and Mod4.
        let bit = match key {
            LEFT_SHIFT => 1,
            LEFT_CTRL => 4,
            LEFT_ALT => 8,
            LEFT_SUPER => 64,
            _ => 0,
        };
        self.modifiers = if down { self.modifiers | bit } else { self.modifiers & !bit };
        self.keyboard.key(0, key.into(), down.into());
        self.keyboard.modifiers(self.modifiers, 0, self.locked, 0);
        self.connection.flush().expect("it lives");
        pause(Duration::from_millis(6));
    }

    /// Has these locks on: Caps Lock and Num Lock.
    pub fn lock(&mut self, caps: bool, num: bool) {
        self.locked = u32::from(caps) << 1 | u32::from(num) << 4;
        self.keyboard.modifiers(self.modifiers, 0, self.locked, 0);
        self.connection.flush().expect("it lives");
    }

    /// Types a text on a US keyboard; `\n` is Enter.
    pub fn type_text(&mut self, text: &str) {
        for c in text.chars() {
            let (key, shift) = key_of(c);
            let keys: &[u8] = if shift { &[LEFT_SHIFT, key] } else { &[key] };
            keys.iter().for_each(|key| self.key(*key, true));
            keys.iter().rev().for_each(|key| self.key(*key, false));
        }
    }

    /// Presses Ctrl, Alt and a letter, and lifts them.
    pub fn chord(&mut self, letter: char) {
        let keys = [LEFT_CTRL, LEFT_ALT, key_of(letter).0];
        keys.iter().for_each(|key| self.key(*key, true));
        keys.iter().rev().for_each(|key| self.key(*key, false));
    }

    /// Puts the pointer there.
    pub fn point(&mut self, at: (i32, i32)) {
        self.at = at;
        let (x, y) = (at.0.unsigned_abs(), at.1.unsigned_abs());
        self.pointer.motion_absolute(0, x, y, self.size.0.into(), self.size.1.into());
        self.pointer.frame();
        self.connection.flush().expect("it lives");
    }

    /// Clicks with the left button (`BTN_LEFT`).
    pub fn click(&self) {
        for state in [ButtonState::Pressed, ButtonState::Released] {
            self.pointer.button(0, 0x110, state);
            self.pointer.frame();
            self.connection.flush().expect("it lives");
            pause(Duration::from_millis(20));
        }
    }
}

/// See `screen::LEFT_CTRL`.
pub const LEFT_SUPER: u8 = 125;

/// A US keyboard; what it is made of is found where xkbcommon keeps it.
const KEYMAP: &str = "xkb_keymap {
xkb_keycodes { include \"evdev+aliases(qwerty)\" };
xkb_types { include \"complete\" };
xkb_compat { include \"complete\" };
xkb_symbols { include \"pc+us+inet(evdev)\" };
};\0";

/// Nothing that is said here is of interest.
struct Deaf;

impl Dispatch<WlRegistry, GlobalListContents> for Deaf {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: <WlRegistry as Proxy>::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

/// The same for all that has no data.
macro_rules! deaf {
    ($($to:ty),*) => {$(
        impl Dispatch<$to, ()> for Deaf {
            fn event(_: &mut Self, _: &$to, _: <$to as Proxy>::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {}
        }
    )*};
}

deaf!(WlSeat, ZwpVirtualKeyboardManagerV1, ZwpVirtualKeyboardV1, ZwlrVirtualPointerManagerV1, ZwlrVirtualPointerV1);
