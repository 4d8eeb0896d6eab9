//! Injection into an X server through XTEST.
//!
//! A physical key is the server's key of the same place (`keycodes`), so the host's layout decides the character. The server would repeat
//! an XTEST key like any other (Xvfb and Xorg alike): while a key is held its auto-repeat is off, that key's alone,
//! and it is back on when the key is up, so somebody at the host's own keyboard notices nothing. A repeat from the client
//! is a release and a press in one write; they reach applications with the same time, as the server's own repeats do,
//! and give exactly one more character. A second press alone does not: the server drops it.
//!
//! The wheel is XTEST's buttons 4 to 7, whole notches only, unless the display has input devices of its own that take events
//! from us ([`devices`]): then it turns by any part of a notch, and there are fingers and a pen. What goes to one of them and
//! what goes through XTEST travel on connections of their own, and neither overtakes the other ([`X11::go`]).
//!
//! Buttons are meant as they arrive: the client's system has already applied the user's left-handed or natural-scrolling
//! choice, so the host's own pointer mapping is undone here.

pub(crate) mod connect;
pub(crate) mod devices;
mod keycodes;
pub(crate) mod keymap;
mod press;
mod testdevice;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use telepane_model::geometry::{Desk, Point};
use telepane_model::input::{Button, InputEvent, KeyCode, KeyMove, Meaning, Pen, TouchPhase};
use tracing::{debug, info, warn};
use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::Event;
use x11rb::protocol::xkb::{ConnectionExt as _, EventType, ID, MapPart, SelectEventsAux};
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ChangeWindowAttributesAux, ConnectionExt as _, EventMask,
    KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT, Mapping, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::protocol::{xinput, xkb, xtest};
use x11rb::rust_connection::RustConnection;

use crate::guard::{Entry, Guard, lock, repeats};
use crate::{Gone, Injector, OpenError, Takes};
use connect::connect;
pub use devices::{Device, Devices};
use devices::{Hands, Tool};
use keycodes::KeyCodes;
use keymap::{Keymap, LOCK};
use press::State;
use text::Pool;

/// A wheel notch in the model's units.
const NOTCH: i32 = 120;
/// Notches that one event may turn: no hand does more, and each costs the host two events.
const MAX_NOTCHES: i32 = 64;

/// Opens the keyboard and pointer of a display (`$DISPLAY` when `None`), with a guard if this program's `main` calls
/// [`crate::guard::run_if_asked`].
///
/// # Errors
/// [`OpenError`] when there is no connection, or XTEST or XKB is missing.
pub fn open_x11(display: Option<&str>, xauthority: Option<&Path>) -> Result<Box<dyn Injector>, OpenError> {
    X11::open(display, xauthority, None).map(|x11| Box::new(x11) as Box<dyn Injector>)
}

/// The same for a display that has these input devices, as far as it has them.
///
/// # Errors
/// As for [`open_x11`]; a device that does not answer is left out.
pub fn open_x11_with(
    display: Option<&str>,
    xauthority: Option<&Path>,
    devices: &Devices,
) -> Result<Box<dyn Injector>, OpenError> {
    X11::open(display, xauthority, Some(devices)).map(|x11| Box::new(x11) as Box<dyn Injector>)
}

/// The connection that an event takes to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Core,
    Device(Tool),
}

/// A key that is down because of us.
#[derive(Clone, Copy, Debug)]
struct Held {
    code: KeyCode,
    key: u8,
    /// The server would have repeated it: its auto-repeat is off until it is up.
    repeat: bool,
    /// The level's modifiers that were in effect for just its press.
    mods: Option<u8>,
    /// No key is down (`key` is 0): this was typed instead.
    typed: Option<char>,
}

struct X11 {
    conn: RustConnection,
    root: Window,
    name: String,
    codes: KeyCodes,
    keymap: Keymap,
    /// The keymap changed since it was read.
    stale: bool,
    /// The logical button (index + 1 is the physical one) of the host's pointer mapping.
    buttons: Vec<u8>,
    keys: Vec<Held>,
    pressed: Vec<Button>,
    /// What is left of the wheel's turning, right and down, in 1/120 of a notch.
    wheel: (i32, i32),
    pool: Pool,
    /// The modifiers in effect, unless something has changed them since.
    state: Option<State>,
    /// What modifiers meant when they last went down: they may be pressed again without a word (H-22).
    meant: BTreeMap<KeyCode, Meaning>,
    guard: Option<Guard>,
    hands: Hands,
    /// The way that the last event took.
    way: Way,
    /// The whole screen, once a device needs it.
    screen: (u16, u16),
}

impl X11 {
    fn open(display: Option<&str>, xauthority: Option<&Path>, devices: Option<&Devices>) -> Result<Self, OpenError> {
        let (conn, screen) = connect(display, xauthority)?;
        let has = |name| conn.extension_information(name).map(|info| info.is_some()).map_err(Gone::from);
        if !has(xtest::X11_EXTENSION_NAME)? {
            return Err(OpenError::Extension("XTEST"));
        }
        if !has(xkb::X11_EXTENSION_NAME)? {
            return Err(OpenError::Extension("XKEYBOARD"));
        }
        let devices = if has(xinput::X11_EXTENSION_NAME)? { devices } else { None };
        let mut opened = Self::set_up(conn, screen, display)?;
        match Guard::start(display, xauthority) {
            Ok(guard) => opened.guard = Some(guard),
            Err(e) => warn!("no input guard ({e}): keys stay held if this process is killed"),
        }
        if let Some(devices) = devices {
            opened.open_devices(devices)?;
        }
        info!("{}", opened.describe());
        Ok(opened)
    }

    fn set_up(conn: RustConnection, screen: usize, display: Option<&str>) -> Result<Self, Gone> {
        conn.xkb_use_extension(1, 0)?.reply()?;
        // An application that grabs the server must not lock the user out.
        conn.xtest_grab_control(true)?;
        let events = EventType::MAP_NOTIFY | EventType::NEW_KEYBOARD_NOTIFY | EventType::STATE_NOTIFY;
        let map = MapPart::KEY_TYPES | MapPart::KEY_SYMS | MapPart::MODIFIER_MAP;
        let nothing = EventType::from(0u16);
        conn.xkb_select_events(ID::USE_CORE_KBD.into(), nothing, events, map, map, &SelectEventsAux::new())?;
        let keymap = Keymap::read(&conn)?;
        let buttons = conn.get_pointer_mapping()?.reply()?.map;
        let setup = conn.setup();
        let root = setup.roots.get(screen).map(|s| s.root).ok_or_else(|| Gone("no such screen".into()))?;
        let vendor = String::from_utf8_lossy(&setup.vendor);
        let shown = display.map_or_else(|| std::env::var("DISPLAY").unwrap_or_default(), str::to_owned);
        let name = format!("{shown} ({vendor} {})", setup.release_number);
        let codes = KeyCodes::read(&conn)?;
        let pool = Pool::new(&keymap);
        Ok(Self {
            conn,
            root,
            name,
            codes,
            keymap,
            stale: false,
            buttons,
            keys: Vec::new(),
            pressed: Vec::new(),
            wheel: (0, 0),
            pool,
            state: None,
            meant: BTreeMap::new(),
            guard: None,
            hands: Hands::default(),
            way: Way::Core,
            screen: (1, 1),
        })
    }

    fn open_devices(&mut self, devices: &Devices) -> Result<(), Gone> {
        let watched = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        self.conn.change_window_attributes(self.root, &watched)?;
        let now = self.conn.get_geometry(self.root)?.reply()?;
        self.screen = (now.width, now.height);
        let Self { conn, guard, .. } = self;
        self.hands = Hands::open(conn, devices, |device| {
            if let Some(guard) = guard {
                guard.note(Entry::Opens { device });
            }
        })?;
        Ok(())
    }

    /// The next event takes this way: what went another one before must have been acted on, or it might be overtaken. Says
    /// whether it is another way than the last.
    fn go(&mut self, way: Way) -> Result<bool, Gone> {
        let before = std::mem::replace(&mut self.way, way);
        if before == way {
            return Ok(false);
        }
        match before {
            Way::Core => {
                self.conn.get_input_focus()?.reply()?;
            }
            Way::Device(tool) => self.hands.settle(tool),
        }
        Ok(true)
    }

    fn note(&mut self, entry: Entry) {
        if let Some(guard) = &mut self.guard {
            guard.note(entry);
        }
    }

    /// Takes in what the server has said meanwhile.
    fn listen(&mut self) -> Result<(), Gone> {
        while let Some(event) = self.conn.poll_for_event()? {
            match event {
                Event::XkbStateNotify(_) => self.state = None,
                Event::ConfigureNotify(e) if e.window == self.root => self.screen = (e.width, e.height),
                Event::XkbMapNotify(e) if self.pool.covers(e.first_key_sym, e.n_key_syms) => {}
                Event::MappingNotify(e) if e.request == Mapping::POINTER => {
                    self.buttons = self.conn.get_pointer_mapping()?.reply()?.map;
                }
                Event::MappingNotify(e) if self.pool.covers(e.first_keycode, e.count) => {}
                Event::XkbMapNotify(_) | Event::XkbNewKeyboardNotify(_) | Event::MappingNotify(_) => self.stale = true,
                Event::Error(e) => debug!("the server refused a request: {:?}", e.error_kind),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads the keymap again if it changed.
    fn refresh(&mut self) -> Result<(), Gone> {
        if !self.stale {
            return Ok(());
        }
        self.stale = false;
        self.state = None;
        let mut fresh = Keymap::read(&self.conn)?;
        for held in self.keys.iter().filter(|held| held.repeat) {
            // Off because of us: on is what it is to be again.
            if let Some(byte) = fresh.repeats.get_mut(usize::from(held.key >> 3)) {
                *byte |= 1 << (held.key & 7);
            }
        }
        for lost in self.pool.reconcile(&fresh) {
            self.note(Entry::Return { key: lost });
        }
        // What is there only because we put it there is no part of the host's keyboard.
        self.pool.bound().for_each(|key| fresh.hide(key));
        self.keymap = fresh;
        self.codes = KeyCodes::read(&self.conn)?;
        Ok(())
    }

    fn fake_key(&self, down: bool, key: u8) -> Result<(), Gone> {
        self.fake(if down { KEY_PRESS_EVENT } else { KEY_RELEASE_EVENT }, key, 0, 0)
    }

    fn fake(&self, kind: u8, detail: u8, x: i16, y: i16) -> Result<(), Gone> {
        let window = if kind == MOTION_NOTIFY_EVENT { self.root } else { x11rb::NONE };
        self.conn.xtest_fake_input(kind, detail, x11rb::CURRENT_TIME, window, x, y, 0)?;
        Ok(())
    }

    /// The server's key code, if it has one for this key.
    fn key_of(&self, code: KeyCode) -> Option<u8> {
        let key = self.codes.key(code.0)?;
        let setup = self.conn.setup();
        (setup.min_keycode..=setup.max_keycode).contains(&key).then_some(key)
    }

    fn key(&mut self, code: KeyCode, action: KeyMove) -> Result<(), Gone> {
        let held = self.keys.iter().copied().find(|held| held.code == code);
        match (action, held) {
            (KeyMove::Down, None) => {
                if let Some(&means) = self.meant.get(&code) {
                    return self.press(code, means);
                }
                self.refresh()?;
                let Some(key) = self.key_of(code) else {
                    debug!("the display has no key for code {}", code.0);
                    return Ok(());
                };
                if self.pool.lends(key) || self.keys.iter().any(|held| held.key == key) {
                    return Ok(());
                }
                let repeat = self.keymap.repeats(key);
                self.note(Entry::Down { key, repeat });
                if repeat {
                    repeats(&self.conn, key, false)?;
                }
                self.fake_key(true, key)?;
                self.state = None;
                self.keys.push(Held { code, key, repeat, mods: None, typed: None });
            }
            (KeyMove::Up, Some(held)) => {
                self.keys.retain(|other| other.code != code);
                self.lift(held)?;
            }
            (KeyMove::Repeat, Some(Held { typed: Some(c), .. })) => self.type_char(c)?,
            (KeyMove::Repeat, Some(Held { key, repeat: true, mods, .. })) => {
                self.fake_key(false, key)?;
                match mods {
                    Some(mods) => self.on_level(mods, |x11| x11.fake_key(true, key))?,
                    None => self.fake_key(true, key)?,
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Lifts a key for good; the caller has taken it off the list.
    fn lift(&mut self, held: Held) -> Result<(), Gone> {
        if held.typed.is_some() {
            return Ok(());
        }
        self.fake_key(false, held.key)?;
        if !held.repeat {
            self.state = None;
        }
        if held.repeat {
            repeats(&self.conn, held.key, true)?;
        }
        // Told after it is done: if we die between, lifting a lifted key does no harm.
        self.conn.flush()?;
        self.note(Entry::Up { key: held.key });
        Ok(())
    }

    /// The physical button that gives the logical one under the host's pointer mapping.
    fn physical(&self, logical: u8) -> Option<u8> {
        let at = self.buttons.iter().position(|&mapped| mapped == logical)?;
        u8::try_from(at + 1).ok()
    }

    fn button(&mut self, button: Button, down: bool) -> Result<(), Gone> {
        let held = self.pressed.contains(&button);
        let Some(physical) = self.physical(number(button)) else {
            debug!("the display has no {button:?} button");
            return Ok(());
        };
        if down && !held {
            self.note(Entry::Press { button: physical });
            self.fake(BUTTON_PRESS_EVENT, physical, 0, 0)?;
            self.pressed.push(button);
        } else if held && !down {
            self.pressed.retain(|&other| other != button);
            self.fake(BUTTON_RELEASE_EVENT, physical, 0, 0)?;
            self.conn.flush()?;
            self.note(Entry::Lift { button: physical });
        }
        Ok(())
    }

    fn wheel(&mut self, x: i32, y: i32) -> Result<(), Gone> {
        if self.hands.has(Tool::Wheel) {
            let anew = self.go(Way::Device(Tool::Wheel))?;
            let most = NOTCH * MAX_NOTCHES;
            self.hands.turn(x.clamp(-most, most), y.clamp(-most, most), anew);
            return Ok(());
        }
        self.go(Way::Core)?;
        let (clicks_x, left_x) = notches(self.wheel.0, x);
        let (clicks_y, left_y) = notches(self.wheel.1, y);
        self.wheel = (left_x, left_y);
        for (clicks, back, forth) in [(clicks_y, 4, 5), (clicks_x, 6, 7)] {
            let Some(physical) = self.physical(if clicks < 0 { back } else { forth }) else { continue };
            for _ in 0..clicks.unsigned_abs() {
                self.fake(BUTTON_PRESS_EVENT, physical, 0, 0)?;
                self.fake(BUTTON_RELEASE_EVENT, physical, 0, 0)?;
            }
        }
        Ok(())
    }

    fn touch(&mut self, finger: u8, phase: TouchPhase, at: Point<Desk>, pressure: u16) -> Result<(), Gone> {
        let concerns = phase == TouchPhase::Down || self.hands.touched();
        if concerns && self.hands.ready(&self.conn, Tool::Touch)? {
            self.go(Way::Device(Tool::Touch))?;
            self.hands.touch(finger, phase, at, pressure, self.screen);
        }
        Ok(())
    }

    fn pen(&mut self, pen: &Pen) -> Result<(), Gone> {
        let tool = self.hands.tool_of(pen);
        if self.hands.near().is_some_and(|old| old != tool || !pen.near) {
            self.take_pen_away()?;
        }
        if pen.near && self.hands.ready(&self.conn, tool)? {
            self.go(Way::Device(tool))?;
            self.hands.pen(tool, pen, self.screen);
        }
        Ok(())
    }

    fn take_pen_away(&mut self) -> Result<(), Gone> {
        if let Some(tool) = self.hands.near() {
            self.go(Way::Device(tool))?;
            self.hands.take_pen_away(self.screen);
        }
        Ok(())
    }

    fn lift_contacts(&mut self) -> Result<(), Gone> {
        if self.hands.touched() {
            self.go(Way::Device(Tool::Touch))?;
            self.hands.lift_fingers();
        }
        self.take_pen_away()
    }

    /// Makes the display's lock keys agree with the client's. What the host has no key for is left alone: nobody there
    /// could turn it off again.
    fn reconcile(&mut self, caps: bool, num: bool) -> Result<(), Gone> {
        self.refresh()?;
        let affect = if self.keymap.has_caps { LOCK } else { 0 } | self.keymap.num;
        let wanted = if caps { LOCK } else { 0 } | if num { self.keymap.num } else { 0 };
        let state = self.conn.xkb_get_state(ID::USE_CORE_KBD.into())?.reply()?;
        let locked = u16::from(state.locked_mods) as u8;
        if (locked ^ wanted) & affect != 0 {
            lock(&self.conn, affect, wanted & affect)?;
            self.state = None;
        }
        Ok(())
    }

    fn lift_everything(&mut self) -> Result<(), Gone> {
        self.lift_contacts()?;
        self.go(Way::Core)?;
        // Buttons first: a drag ends while its modifiers still hold, as a hand would end it.
        for button in self.pressed.clone().into_iter().rev() {
            self.button(button, false)?;
        }
        while let Some(held) = self.keys.pop() {
            self.lift(held)?;
        }
        self.wheel = (0, 0);
        Ok(())
    }
}

impl Injector for X11 {
    fn inject(&mut self, event: &InputEvent) -> Result<(), Gone> {
        self.listen()?;
        match event {
            InputEvent::Wheel { .. } | InputEvent::Touch { .. } | InputEvent::Pen(_) => {}
            _ => {
                self.go(Way::Core)?;
            }
        }
        match event {
            InputEvent::Key { code, action } => self.key(*code, *action)?,
            InputEvent::Press { code, means } => {
                if is_modifier_key(*code) {
                    self.meant.insert(*code, *means);
                }
                self.press(*code, *means)?;
            }
            InputEvent::Text(text) => self.text(text)?,
            InputEvent::PointerTo(at) => self.fake(MOTION_NOTIFY_EVENT, 0, clamp(at.x), clamp(at.y))?,
            InputEvent::PointerBy { dx, dy } => self.fake(MOTION_NOTIFY_EVENT, 1, clamp(*dx), clamp(*dy))?,
            InputEvent::Button { button, down } => self.button(*button, *down)?,
            InputEvent::Wheel { x, y } => self.wheel(*x, *y)?,
            InputEvent::Touch { finger, phase, at, pressure } => self.touch(*finger, *phase, *at, *pressure)?,
            InputEvent::Pen(pen) => self.pen(pen)?,
            InputEvent::Focus { caps, num } => {
                self.meant.clear();
                self.reconcile(*caps, *num)?;
            }
            InputEvent::Blur => self.lift_everything()?,
        }
        self.conn.flush()?;
        Ok(())
    }

    fn held(&self) -> (Vec<KeyCode>, Vec<Button>) {
        (self.keys.iter().map(|held| held.code).collect(), self.pressed.clone())
    }

    fn release_all(&mut self) -> Result<(), Gone> {
        self.lift_everything()?;
        self.conn.flush()?;
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Gone> {
        self.listen()?;
        self.refresh()?;
        self.give_back()
    }

    fn has_borrowed(&self) -> bool {
        self.pool.bound().next().is_some()
    }

    fn takes(&self) -> Takes {
        let has = |tool| self.hands.has(tool);
        Takes { touch: has(Tool::Touch), pen: has(Tool::Pen), fine_wheel: has(Tool::Wheel) }
    }

    fn describe(&self) -> String {
        let guard = match &self.guard {
            Some(guard) if guard.alive() => "guarded",
            Some(_) => "guard lost",
            None => "no guard",
        };
        let spare = self.pool.len();
        let takes = self.takes();
        let wheel = if takes.fine_wheel { "wheel by parts of a notch" } else { "wheel in whole notches" };
        let touch = if takes.touch { "touch" } else { "no touch" };
        let pen = match (takes.pen, self.hands.has(Tool::Eraser)) {
            (true, true) => "pen with eraser, without tilt",
            (true, false) => "pen without eraser and tilt",
            (false, _) => "no pen",
        };
        format!(
            "XTEST on {}, key codes {}, {guard}, {spare} spare keys for text, {wheel}, {touch}, {pen}",
            self.name, self.codes.table
        )
    }
}

impl Drop for X11 {
    fn drop(&mut self) {
        let undone = self
            .lift_everything()
            .and_then(|()| self.give_back())
            .and_then(|()| self.hands.close(&self.conn))
            .and_then(|()| self.conn.get_input_focus()?.reply().map(drop).map_err(Gone::from));
        match undone {
            Ok(()) => self.hands.closed().into_iter().for_each(|device| self.note(Entry::Closed { device })),
            Err(e) => debug!("nothing left to release: {e}"),
        }
    }
}

/// Control, Shift, Alt and Super, left and right: the keys of H-22.
const fn is_modifier_key(code: KeyCode) -> bool {
    matches!(code.0, 29 | 42 | 54 | 56 | 97 | 100 | 125 | 126)
}

/// X11's number of a button; 4 to 7 are the wheel.
fn number(button: Button) -> u8 {
    match button {
        Button::Left => 1,
        Button::Middle => 2,
        Button::Right => 3,
        Button::Back => 8,
        Button::Forward => 9,
    }
}

/// Whole notches and the rest, after turning by `more`. A change of direction forgets the rest, so that the first notch
/// back acts at once.
fn notches(left: i32, more: i32) -> (i32, i32) {
    let turned = if i64::from(left) * i64::from(more) < 0 { more } else { left.saturating_add(more) };
    let clicks = turned / NOTCH;
    (clicks.clamp(-MAX_NOTCHES, MAX_NOTCHES), turned % NOTCH)
}

fn clamp(n: i32) -> i16 {
    n.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wheel_keeps_what_is_left_and_forgets_it_on_turning_back() {
        assert_eq!(notches(0, 119), (0, 119));
        assert_eq!(notches(119, 1), (1, 0));
        assert_eq!(notches(0, -250), (-2, -10));
        assert_eq!(notches(90, -120), (-1, 0));
        assert_eq!(notches(-10, -110), (-1, 0));
        assert_eq!(notches(100, i32::MAX).0, MAX_NOTCHES);
        assert_eq!(notches(-100, i32::MIN).0, -MAX_NOTCHES);
    }

    #[test]
    fn places_outside_the_protocol_are_clamped() {
        assert_eq!((clamp(40_000), clamp(-40_000), clamp(-3)), (i16::MAX, i16::MIN, -3));
    }
}
