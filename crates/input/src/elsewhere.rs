//! Injection on Windows and macOS, by `enigo`. Type-checked only: no such machine was at hand.
//!
//! There, injected keys do not repeat by themselves, so a repeat is one more press. The positions of physical keys differ by
//! platform: evdev's codes up to 88 are Windows' scan codes as they are, macOS has codes of its own. There is no guard and
//! lock keys are not reconciled: neither system keeps a dead program's keys apart.

pub mod clipboard;
pub mod guard;

use enigo::{Axis, Coordinate, Direction, Enigo, InputError, Keyboard, Mouse, NewConError, Settings};
use telepane_model::input::{Button, InputEvent, KeyCode, KeyMove};
use tracing::debug;

use crate::{Gone, Injector, OpenError};

/// A wheel notch in the model's units.
const NOTCH: i32 = 120;
/// Notches that one event may turn.
const MAX_NOTCHES: i32 = 64;

/// Keys whose code is not evdev's: evdev, Windows scan code (0xe0 in the high byte: extended).
#[cfg(not(target_os = "macos"))]
const KEYS: [(u16, u16); 18] = [
    (96, 0xe01c),  // keypad Enter
    (97, 0xe01d),  // right Ctrl
    (98, 0xe035),  // keypad slash
    (100, 0xe038), // AltGr
    (102, 0xe047), // Home
    (103, 0xe048), // up
    (104, 0xe049), // page up
    (105, 0xe04b), // left
    (106, 0xe04d), // right
    (107, 0xe04f), // End
    (108, 0xe050), // down
    (109, 0xe051), // page down
    (110, 0xe052), // Insert
    (111, 0xe053), // Delete
    (119, 0xe11d), // Pause
    (125, 0xe05b), // left Windows
    (126, 0xe05c), // right Windows
    (127, 0xe05d), // menu
];

/// macOS' key codes (`HIToolbox/Events.h`, kVK_*) by evdev's, from 1 (Esc) to 88 (F12); 0xff where there is none.
#[cfg(target_os = "macos")]
#[rustfmt::skip]
const MAC: [u8; 89] = [
    0xff, 0x35, 0x12, 0x13, 0x14, 0x15, 0x17, 0x16, 0x1a, 0x1c, 0x19, 0x1d, 0x1b, 0x18, 0x33, 0x30, // to Tab
    0x0c, 0x0d, 0x0e, 0x0f, 0x11, 0x10, 0x20, 0x22, 0x1f, 0x23, 0x21, 0x1e, 0x24, 0x3b, 0x00, 0x01, // Q to S
    0x02, 0x03, 0x05, 0x04, 0x26, 0x28, 0x25, 0x29, 0x27, 0x32, 0x38, 0x2a, 0x06, 0x07, 0x08, 0x09, // D to V
    0x0b, 0x2d, 0x2e, 0x2b, 0x2f, 0x2c, 0x3c, 0x43, 0x3a, 0x31, 0x39, 0x7a, 0x78, 0x63, 0x76, 0x60, // B to F5
    0x61, 0x62, 0x64, 0x65, 0x6d, 0x47, 0xff, 0x59, 0x5b, 0x5c, 0x4e, 0x56, 0x57, 0x58, 0x45, 0x53, // F6 to keypad 1
    0x54, 0x55, 0x52, 0x41, 0xff, 0xff, 0x0a, 0x67, 0x6f,                                           // to F12
];
/// The rest of macOS' keys: evdev, macOS.
#[cfg(target_os = "macos")]
const KEYS: [(u16, u16); 15] = [
    (96, 0x4c),
    (97, 0x3e),
    (98, 0x4b),
    (100, 0x3d),
    (102, 0x73),
    (103, 0x7e),
    (104, 0x74),
    (105, 0x7b),
    (106, 0x7c),
    (107, 0x77),
    (108, 0x7d),
    (109, 0x79),
    (111, 0x75),
    (125, 0x37),
    (126, 0x36),
];

/// Opens this machine's keyboard and pointer.
///
/// # Errors
/// [`OpenError::Refused`] when the system does not let programs inject input.
pub fn open() -> Result<Box<dyn Injector>, OpenError> {
    let settings = Settings { release_keys_when_dropped: true, ..Settings::default() };
    let enigo = Enigo::new(&settings).map_err(|e: NewConError| OpenError::Refused(e.to_string()))?;
    Ok(Box::new(Elsewhere { enigo, keys: Vec::new(), buttons: Vec::new(), wheel: (0, 0) }))
}

struct Elsewhere {
    enigo: Enigo,
    keys: Vec<KeyCode>,
    buttons: Vec<Button>,
    wheel: (i32, i32),
}

/// The platform's code of a physical key.
fn platform_code(code: KeyCode) -> Option<u16> {
    #[cfg(target_os = "macos")]
    let plain = MAC.get(usize::from(code.0)).filter(|&&mac| mac != 0xff).map(|&mac| u16::from(mac));
    #[cfg(not(target_os = "macos"))]
    let plain = (1..=88).contains(&code.0).then_some(code.0);
    plain.or_else(|| KEYS.iter().find(|(evdev, _)| *evdev == code.0).map(|&(_, other)| other))
}

fn platform_button(button: Button) -> enigo::Button {
    match button {
        Button::Left => enigo::Button::Left,
        Button::Right => enigo::Button::Right,
        Button::Middle => enigo::Button::Middle,
        #[cfg(not(target_os = "macos"))]
        Button::Back => enigo::Button::Back,
        #[cfg(not(target_os = "macos"))]
        Button::Forward => enigo::Button::Forward,
        #[cfg(target_os = "macos")]
        Button::Back | Button::Forward => enigo::Button::Middle,
    }
}

/// A refused event is the world's business (a secure desktop, say); only a lost connection ends the injector.
fn outcome(result: Result<(), InputError>) -> Result<(), Gone> {
    if let Err(e) = result {
        debug!("the system refused an input event: {e}");
    }
    Ok(())
}

impl Elsewhere {
    fn key(&mut self, code: KeyCode, action: KeyMove) -> Result<(), Gone> {
        let Some(raw) = platform_code(code) else { return Ok(()) };
        let held = self.keys.contains(&code);
        match action {
            KeyMove::Down if !held => {
                self.keys.push(code);
                outcome(self.enigo.raw(raw, Direction::Press))
            }
            KeyMove::Repeat if held => outcome(self.enigo.raw(raw, Direction::Press)),
            KeyMove::Up if held => {
                self.keys.retain(|&other| other != code);
                outcome(self.enigo.raw(raw, Direction::Release))
            }
            _ => Ok(()),
        }
    }

    fn button(&mut self, button: Button, down: bool) -> Result<(), Gone> {
        let held = self.buttons.contains(&button);
        if down == held {
            return Ok(());
        }
        if down {
            self.buttons.push(button);
        } else {
            self.buttons.retain(|&other| other != button);
        }
        let direction = if down { Direction::Press } else { Direction::Release };
        outcome(self.enigo.button(platform_button(button), direction))
    }

    fn wheel(&mut self, x: i32, y: i32) -> Result<(), Gone> {
        let (x, y) = (self.wheel.0.saturating_add(x), self.wheel.1.saturating_add(y));
        self.wheel = (x % NOTCH, y % NOTCH);
        for (turned, axis) in [(y, Axis::Vertical), (x, Axis::Horizontal)] {
            let notches = (turned / NOTCH).clamp(-MAX_NOTCHES, MAX_NOTCHES);
            if notches != 0 {
                outcome(self.enigo.scroll(notches, axis))?;
            }
        }
        Ok(())
    }
}

impl Injector for Elsewhere {
    fn inject(&mut self, event: &InputEvent) -> Result<(), Gone> {
        match event {
            InputEvent::Key { code, action } => self.key(*code, *action),
            // What a layout there makes of a key is not known here: the place decides.
            InputEvent::Press { code, .. } => self.key(*code, KeyMove::Down),
            InputEvent::Text(text) => outcome(self.enigo.text(text)),
            InputEvent::PointerTo(at) => outcome(self.enigo.move_mouse(at.x, at.y, Coordinate::Abs)),
            InputEvent::PointerBy { dx, dy } => outcome(self.enigo.move_mouse(*dx, *dy, Coordinate::Rel)),
            InputEvent::Button { button, down } => self.button(*button, *down),
            InputEvent::Wheel { x, y } => self.wheel(*x, *y),
            InputEvent::Touch { .. } | InputEvent::Pen(_) => Ok(()),
            InputEvent::Focus { .. } => Ok(()),
            InputEvent::Blur => self.release_all(),
        }
    }

    fn held(&self) -> (Vec<KeyCode>, Vec<Button>) {
        (self.keys.clone(), self.buttons.clone())
    }

    fn release_all(&mut self) -> Result<(), Gone> {
        for button in self.buttons.clone().into_iter().rev() {
            self.button(button, false)?;
        }
        for code in self.keys.clone().into_iter().rev() {
            self.key(code, KeyMove::Up)?;
        }
        self.wheel = (0, 0);
        Ok(())
    }

    fn describe(&self) -> String {
        "the system's own input injection (enigo), no guard, locks not reconciled, wheel in whole notches, no touch, no pen".into()
    }
}
