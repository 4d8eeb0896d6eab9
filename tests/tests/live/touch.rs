//! Fingers and a pen: at a host that takes them, as what they are; at one that does not, as the mouse.
//!
//! The client's screen has a touch screen and a tablet, devices of Xorg's own driver for tests (inputtestdrv(4)). The test is
//! the hand: it writes to their sockets, in the driver's C structures as they lie in memory.

use super::monitors::has_heads;
use super::process::{PATIENCE, Running, Scratch, have, pause, until};
use super::screen::{Screen, environment, exact};
use super::stage::{Agent, connect};
use super::toolkits::{PYTHON, has_module};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The size of every screen here.
const SIZE: (u16, u16) = (1024, 768);
/// The tablet's name.
const PEN: &str = "a pen";
/// Two fingers beside each other.
const FINGERS: [u32; 2] = [11, 12];

/// A window over everything that says what comes: the event, a number for the finger, its place, pressure, button or
/// direction, and the kind of device.
const LOGGER: &str = r#"
import gi
gi.require_version("Gtk", "3.0")
gi.require_version("Gdk", "3.0")
from gi.repository import GLib, Gtk, Gdk
w = Gtk.Window(type=Gtk.WindowType.POPUP)
w.set_size_request(1024, 768)
m = Gdk.EventMask
w.add_events(m.TOUCH_MASK | m.POINTER_MOTION_MASK | m.BUTTON_PRESS_MASK | m.BUTTON_RELEASE_MASK | m.SCROLL_MASK)
fingers = {}
def on(_, e):
    kind = e.get_event_type().value_nick
    if not (kind.startswith("touch") or kind in ("motion-notify", "button-press", "button-release", "scroll")):
        return False
    # Two objects for one sequence say the same address.
    finger = fingers.setdefault(repr(e.get_event_sequence()).split("(")[-1], len(fingers))
    ok, x, y = e.get_root_coords()
    pressed, pressure = e.get_axis(Gdk.AxisUse.PRESSURE)
    has_button, button = e.get_button()
    turned, direction = e.get_scroll_direction()
    what = direction.value_nick if turned else button if has_button else "-"
    device = e.get_source_device()
    source = device.get_source().value_nick if device else "-"
    print(kind, finger, x, y, pressure if pressed else "-", what, source, flush=True)
    return True
w.connect("event", on)
w.connect("map-event", lambda *_: print("ready", flush=True))
w.realize()
w.get_window().set_event_compression(False)
w.show_all()
# Above what the desktop's session opens meanwhile.
GLib.timeout_add(100, lambda: (w.get_window().raise_(), True)[1])
Gtk.main()
"#;

/// What the window said of one event.
#[derive(Debug)]
struct Heard {
    kind: String,
    finger: u32,
    at: (f64, f64),
    pressure: Option<f64>,
    /// The button's number or the direction.
    what: String,
    source: String,
}

impl Heard {
    fn is_at(&self, x: u16, y: u16) -> bool {
        (self.at.0 - f64::from(x)).abs() <= 1.0 && (self.at.1 - f64::from(y)).abs() <= 1.0
    }

    fn presses(&self, part: f64) -> bool {
        self.pressure.is_some_and(|told| (told - part).abs() <= 0.02)
    }
}

/// All it said of events whose kind begins so.
fn heard(logger: &Running, kind: &str) -> Vec<Heard> {
    let out = logger.out();
    let whole = out.rfind('\n').map_or("", |end| &out[..end]);
    let one = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let &[kind, finger, x, y, pressure, what, source] = &words[..] else { return None };
        Some(Heard {
            kind: kind.to_owned(),
            finger: finger.parse().ok()?,
            at: (x.parse().ok()?, y.parse().ok()?),
            pressure: pressure.parse().ok(),
            what: what.to_owned(),
            source: source.to_owned(),
        })
    };
    whole.lines().filter_map(one).filter(|h| h.kind.starts_with(kind)).collect()
}

/// Waits until it said something of this kind that is so.
fn hears(logger: &Running, what: &str, kind: &str, is_so: impl Fn(&Heard) -> bool) {
    let start = super::process::now();
    while !heard(logger, kind).iter().any(&is_so) {
        assert!(start.elapsed() < PATIENCE, "not heard: {what}; but:\n{}\n{}", logger.out(), logger.err());
        pause(Duration::from_millis(10));
    }
    println!("touch: {what} after {:?}", start.elapsed());
}

fn logger(dir: &Scratch, display: &str, xauthority: Option<&Path>) -> Running {
    let mut command = Command::new(PYTHON);
    environment(&mut command, &dir.join("")).env("DISPLAY", display).env("GSETTINGS_BACKEND", "memory");
    if let Some(cookie) = xauthority {
        command.env("XAUTHORITY", cookie);
    }
    let mut logger = Running::start("logger", command.args(["-c", LOGGER]));
    logger.line("ready");
    logger
}

/// Whether all that is here that the client's screen needs, and a window to look at; says so if not.
fn has_all(test: &str) -> bool {
    let driver = "/usr/lib/xorg/modules/input/inputtest_drv.so";
    if !have(test, &["Xvfb"]) || !has_heads(test) || !has_module(test, "gi; gi.require_version(\"Gtk\", \"3.0\")") {
        return false;
    }
    let found = Path::new(driver).exists();
    if !found {
        println!("skipped: {test}: no {driver}");
    }
    found
}

/// A client's screen, its touch screen and its tablet.
fn with_hands(dir: &Scratch) -> (Screen, Device, Device) {
    let (touch, pen) = (dir.join("touch"), dir.join("pen"));
    let config = format!(
        r#"Section "ServerLayout"
  Identifier "layout"
  Screen "screen"
  InputDevice "a touch screen"
  InputDevice "{PEN}"
EndSection
Section "ServerFlags"
  Option "AutoAddDevices" "false"
  Option "AutoAddGPU" "false"
  Option "DontVTSwitch" "true"
  Option "AllowMouseOpenFail" "true"
EndSection
Section "InputDevice"
  Identifier "a touch screen"
  Driver "inputtest"
  Option "SocketPath" "{}"
  Option "DeviceType" "Touch"
EndSection
Section "InputDevice"
  Identifier "{PEN}"
  Driver "inputtest"
  Option "SocketPath" "{}"
  Option "DeviceType" "PointerAbsoluteProximity"
  Option "PointerHasPressure" "true"
EndSection
Section "Device"
  Identifier "dummy"
  Driver "dummy"
  VideoRam 16384
EndSection
Section "Monitor"
  Identifier "monitor"
  HorizSync 1-2000
  VertRefresh 1-1000
EndSection
Section "Screen"
  Identifier "screen"
  Device "dummy"
  Monitor "monitor"
  DefaultDepth 24
  SubSection "Display"
    Depth 24
    Modes "{w}x{h}"
    Virtual {w} {h}
  EndSubSection
EndSection
"#,
        touch.display(),
        pen.display(),
        w = SIZE.0,
        h = SIZE.1,
    );
    let mut command = Command::new("/usr/lib/xorg/Xorg");
    environment(&mut command, &dir.join(""));
    command.arg("-config").arg(dir.write("xorg.conf", &config)).arg("-logfile").arg(dir.join("Xorg.log"));
    command.args(["-novtswitch", "-sharevts", "-nolisten", "tcp", "-noreset", "-ac", "-s", "0", "-dpms"]);
    let screen = Screen::choosing("Xorg", &mut command);
    assert_eq!(screen.picture().size, SIZE);
    (screen, Device::open(&touch), Device::open(&pen))
}

/// One input device of the screen's.
struct Device(UnixStream);

/// The driver's kinds of messages.
const HELLO: u32 = 0;
const SYNC: u32 = 1;
const MOTION: u32 = 2;
const PROXIMITY: u32 = 3;
const BUTTON: u32 = 4;
const TOUCH: u32 = 6;
/// XI2's numbers of what a touch does.
const BEGIN: u32 = 18;
const UPDATE: u32 = 19;
const END: u32 = 20;
/// The axis of a tablet's pressure and its full value.
const PRESSURE: (usize, f64) = (4, 1000.0);

impl Device {
    fn open(path: &Path) -> Self {
        let mut stream = None;
        until("the device listens", PATIENCE, || {
            stream = UnixStream::connect(path).ok();
            stream.is_some()
        });
        let mut device = Self(stream.expect("it listens"));
        device.0.set_read_timeout(Some(PATIENCE)).expect("a socket has time-outs");
        // Version 1.0 of its protocol.
        device.send(HELLO, &[1, 0, 0, 0]);
        device.0.read_exact(&mut [0; 12]).expect("it answers");
        device
    }

    fn send(&mut self, kind: u32, body: &[u8]) {
        let length = (8 + body.len()) as u32;
        let message = [&length.to_ne_bytes(), &kind.to_ne_bytes(), body].concat();
        self.0.write_all(&message).expect("the server reads");
    }

    /// Numbers, then the axes, which lie at a multiple of 8 bytes.
    fn say(&mut self, kind: u32, numbers: &[u32], at: (u16, u16), pressure: Option<f64>) {
        let scaled = |n: u16, side: u16| (f64::from(n) + 0.5) * 65_536.0 / f64::from(side);
        let mut values = [0.0; 64];
        (values[0], values[1]) = (scaled(at.0, SIZE.0), scaled(at.1, SIZE.1));
        let mut mask = 0b11_u64;
        if let Some(part) = pressure {
            values[PRESSURE.0] = part * PRESSURE.1;
            mask |= 1 << PRESSURE.0;
        }
        let mut body: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
        body.resize(body.len().next_multiple_of(8), 0);
        body.extend([0; 4]);
        body.extend(mask.to_le_bytes());
        body.extend([0; 4]);
        body.extend(values.iter().flat_map(|v: &f64| v.to_ne_bytes()));
        body.extend([0; 64 * 8]);
        self.send(kind, &body);
        // Until the server has done all of it.
        self.send(SYNC, &[]);
        self.0.read_exact(&mut [0; 8]).expect("the server has done it");
    }

    fn finger(&mut self, what: u32, id: u32, at: (u16, u16)) {
        self.say(TOUCH, &[id, what], at, None);
    }

    fn pen(&mut self, at: (u16, u16), pressure: f64) {
        self.say(MOTION, &[1], at, Some(pressure));
    }

    fn near(&mut self, near: bool, at: (u16, u16)) {
        self.say(PROXIMITY, &[near.into()], at, Some(0.0));
    }

    fn button(&mut self, button: u32, down: bool, at: (u16, u16), pressure: f64) {
        self.say(BUTTON, &[1, button, down.into()], at, Some(pressure));
    }
}

// spec: D-34, D-35, H-23, Y-35
#[test]
fn fingers_and_a_pen_arrive_as_what_they_are() {
    if !has_all("fingers and a pen") {
        return;
    }
    let dir = Scratch::new();
    let mut agent = Agent::start(&dir, &["--virtual", "1024x768"]);
    let (name, xauthority) = agent.display();
    let here = Screen::join(&name, &xauthority);
    let (there, mut touch, mut pen) = with_hands(&dir);
    let logger = logger(&dir, &name, Some(&xauthority));
    let _client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &["--fullscreen"]);
    exact(&here, &there, PATIENCE);

    touch.finger(BEGIN, FINGERS[0], (200, 150));
    hears(&logger, "one finger", "touch-begin", |h| h.is_at(200, 150) && h.source == "touchscreen");
    touch.finger(BEGIN, FINGERS[1], (600, 400));
    hears(&logger, "two fingers", "touch-begin", |h| h.is_at(600, 400));
    let begun = heard(&logger, "touch-begin");
    assert!(begun.len() == 2 && begun[0].finger != begun[1].finger, "{begun:?}");
    let second = begun[1].finger;
    touch.finger(UPDATE, FINGERS[1], (640, 480));
    hears(&logger, "the second moved", "touch-update", |h| h.finger == second && h.is_at(640, 480));
    touch.finger(UPDATE, FINGERS[0], (100, 110));
    hears(&logger, "the first moved", "touch-update", |h| h.finger != second && h.is_at(100, 110));
    FINGERS.into_iter().for_each(|finger| touch.finger(END, finger, (300, 300)));
    hears(&logger, "the first lifted", "touch-end", |h| h.finger != second);
    hears(&logger, "the second lifted", "touch-end", |h| h.finger == second);
    let clicked = heard(&logger, "button");
    assert!(clicked.is_empty(), "fingers click nothing: {clicked:?}");

    pen.near(true, (300, 200));
    pen.pen((300, 200), 0.0);
    hears(&logger, "the pen hovers", "motion", |h| h.is_at(300, 200) && h.source == "pen");
    pen.pen((310, 205), 0.25);
    pen.button(1, true, (310, 205), 0.25);
    hears(&logger, "the pen touches", "button-press", |h| h.is_at(310, 205) && h.what == "1" && h.presses(0.25));
    for step in 1..=10 {
        pen.pen((310 + step * 4, 205 + step * 6), 0.25 + 0.05 * f64::from(step));
    }
    hears(&logger, "the pen presses harder", "motion", |h| h.is_at(350, 265) && h.presses(0.75));
    let strokes = heard(&logger, "motion");
    println!("touch: pressures {:?}", strokes.iter().filter_map(|h| h.pressure).collect::<Vec<_>>());
    let between = strokes.iter().filter(|h| h.pressure.is_some_and(|p| p > 0.27 && p < 0.73)).count();
    assert!(between >= 9, "each point of a stroke is told: {strokes:?}");
    pen.button(1, false, (350, 265), 0.0);
    hears(&logger, "the pen lifted", "button-release", |h| h.is_at(350, 265));
    pen.near(false, (350, 265));
    let pressed: Vec<Heard> = heard(&logger, "button-press");
    assert_eq!(pressed.len(), 1, "a pen is no mouse besides: {pressed:?}");
    assert_eq!(pressed[0].source, "pen");

    // What begins at a window that has no keyboard brings it there, and goes on.
    let ends = heard(&logger, "touch-end").len();
    there.focus_nobody();
    touch.finger(BEGIN, FINGERS[0], (700, 150));
    hears(&logger, "a finger at a window without the keyboard", "touch-begin", |h| h.is_at(700, 150));
    super::keyboards::hears(&there, &here);
    touch.finger(UPDATE, FINGERS[0], (720, 160));
    hears(&logger, "it goes on", "touch-update", |h| h.is_at(720, 160));
    assert_eq!(heard(&logger, "touch-end").len(), ends, "it has not lifted");
    touch.finger(END, FINGERS[0], (720, 160));
    hears(&logger, "it lifted", "touch-end", |h| h.is_at(720, 160));
    let (presses, lifts) = (heard(&logger, "button-press").len(), heard(&logger, "button-release").len());
    there.focus_nobody();
    pen.near(true, (400, 300));
    pen.button(1, true, (400, 300), 0.5);
    hears(&logger, "a pen at a window without the keyboard", "button-press", |h| h.is_at(400, 300));
    super::keyboards::hears(&there, &here);
    pen.pen((420, 310), 0.5);
    hears(&logger, "it draws on", "motion", |h| h.is_at(420, 310) && h.presses(0.5));
    assert_eq!(heard(&logger, "button-release").len(), lifts, "it has not lifted");
    pen.button(1, false, (420, 310), 0.0);
    pen.near(false, (420, 310));
    until("it lifted", PATIENCE, || heard(&logger, "button-release").len() > lifts);
    there.focus_nobody();
    there.point(450, 400);
    there.press_button(1);
    hears(&logger, "a button at a window without the keyboard", "button-press", |h| h.is_at(450, 400));
    super::keyboards::hears(&there, &here);
    there.point(470, 420);
    hears(&logger, "it drags", "motion", |h| h.is_at(470, 420) && h.source == "mouse");
    assert_eq!(heard(&logger, "button-release").len(), lifts + 1, "it has not come up");
    there.lift_button(1);
    until("it came up", PATIENCE, || heard(&logger, "button-release").len() > lifts + 1);
    assert_eq!(heard(&logger, "button-press").len(), presses + 2);

    // A mouse is one again after it.
    there.point(500, 500);
    hears(&logger, "the mouse moved", "motion", |h| h.is_at(500, 500) && h.source == "mouse");
    there.click(510, 505);
    hears(&logger, "the mouse clicked", "button-release", |h| h.is_at(510, 505) && h.source == "mouse");
    assert_eq!(heard(&logger, "button-press").len(), presses + 3);

    drop(pen);
    there.plug(PEN, false);
    there.plug(PEN, true);
    let mut pen = Device::open(&dir.join("pen"));
    // One that was just plugged in may be a mouse until the client has seen it.
    let mut x = 600;
    until("a pen that was plugged in is one", PATIENCE, || {
        x += 1;
        pen.pen((x, 300), 0.0);
        pause(Duration::from_millis(30));
        heard(&logger, "motion").iter().any(|h| h.at.0 > 599.0 && h.source == "pen")
    });
}

#[test]
fn at_a_host_without_a_touch_screen_they_are_the_mouse() {
    if !has_all("fingers that are a mouse") {
        return;
    }
    let dir = Scratch::new();
    let here = Screen::start(SIZE.0, SIZE.1);
    here.paint_root(1);
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let (there, mut touch, mut pen) = with_hands(&dir);
    let logger = logger(&dir, &here.name, None);
    let _client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &["--fullscreen"]);
    exact(&here, &there, PATIENCE);

    // At once: one that rests is something else.
    touch.finger(BEGIN, FINGERS[0], (200, 150));
    touch.finger(UPDATE, FINGERS[0], (203, 151));
    touch.finger(END, FINGERS[0], (203, 151));
    hears(&logger, "a finger points", "motion", |h| h.is_at(200, 150));
    hears(&logger, "a tap clicked", "button-release", |h| h.is_at(200, 150) && h.what == "1");

    touch.finger(BEGIN, FINGERS[0], (400, 300));
    touch.finger(UPDATE, FINGERS[0], (430, 310));
    hears(&logger, "a drag begins", "button-press", |h| h.is_at(400, 300) && h.what == "1");
    touch.finger(UPDATE, FINGERS[0], (500, 340));
    hears(&logger, "it is dragged", "motion", |h| h.is_at(500, 340));
    touch.finger(END, FINGERS[0], (500, 340));
    hears(&logger, "a drag ends", "button-release", |h| h.is_at(500, 340) && h.what == "1");

    touch.finger(BEGIN, FINGERS[0], (700, 200));
    hears(&logger, "a finger rests", "button-press", |h| h.is_at(700, 200) && h.what == "3");
    touch.finger(END, FINGERS[0], (700, 200));
    hears(&logger, "it lifted", "button-release", |h| h.is_at(700, 200) && h.what == "3");

    let clicks = heard(&logger, "button").len();
    FINGERS.into_iter().zip([600, 700]).for_each(|(finger, x)| touch.finger(BEGIN, finger, (x, 600)));
    for step in 1..=25 {
        FINGERS.into_iter().zip([600, 700]).for_each(|(finger, x)| touch.finger(UPDATE, finger, (x, 600 - step * 6)));
    }
    FINGERS.into_iter().zip([600, 700]).for_each(|(finger, x)| touch.finger(END, finger, (x, 450)));
    // 150 pixels up are three notches down.
    let turned = || heard(&logger, "scroll");
    until("two fingers scroll", PATIENCE, || turned().iter().filter(|h| h.what == "down").count() >= 2);
    assert!(turned().iter().all(|h| h.what == "down" && h.is_at(600, 600)), "{:?}", turned());
    assert!(turned().len() <= 3, "{:?}", turned());
    assert_eq!(heard(&logger, "button").len(), clicks, "two fingers click nothing");

    pen.near(true, (300, 500));
    pen.pen((300, 500), 0.0);
    pen.button(1, true, (300, 500), 0.5);
    hears(&logger, "a pen is a mouse", "button-press", |h| h.is_at(300, 500) && h.what == "1");
    pen.button(1, false, (300, 500), 0.0);
    hears(&logger, "it lifted", "button-release", |h| h.is_at(300, 500) && h.what == "1");
}
