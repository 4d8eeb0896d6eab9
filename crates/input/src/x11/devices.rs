//! The display's own input devices, where it has such as take events from us: a wheel with scroll valuators, a touch screen,
//! a pen and its other end.
//!
//! XTEST has a keyboard and a mouse, and neither a touch, a proximity nor an axis beside the place. An Xorg that we start can
//! be given devices of the driver `inputtest` ([`super::testdevice`]); applications meet them as what they are, through
//! XInput, and those that know only the core protocol get what the server makes of them (a first finger is a pointer, a
//! whole notch is a button).
//!
//! A device is turned off and on again before it is connected to: that ends whatever client it had, with all it held. It is
//! turned off for good when it is left, by the guard if this program was killed: then it holds nothing, and the driver,
//! which never notices that its client has gone, does not ask for more in an endless loop. A touch screen and a pen are on
//! only from their first use, because applications behave otherwise where there is one (browsers tell pages of it).

use std::collections::BTreeSet;
use std::path::PathBuf;

use telepane_model::geometry::{Desk, Point};
use telepane_model::input::{Pen, TouchPhase};
use tracing::{debug, warn};
use x11rb::connection::Connection;
use x11rb::protocol::xinput::{ConnectionExt as _, Device as Every, XIChangePropertyAux};
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, PropMode};

use super::testdevice::{Axis, Message, TestDevice, Touching};
use crate::Gone;

/// An input device of a display that takes events over a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name on the display.
    pub name: String,
    /// Where the server listens for them.
    pub socket: PathBuf,
}

/// The devices of a display that take events from this program: Xorg's driver `inputtest`, one of each type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Devices {
    /// `Pointer`: its wheel is used, nothing else.
    pub wheel: Device,
    /// `Touch`.
    pub touch: Device,
    /// `PointerAbsoluteProximity`, with pressure.
    pub pen: Device,
    /// The same for the end that rubs out: applications tell the two by their devices.
    pub eraser: Device,
}

/// Which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Wheel,
    Touch,
    Pen,
    Eraser,
}

impl Tool {
    const ALL: [Self; 4] = [Self::Wheel, Self::Touch, Self::Pen, Self::Eraser];
}

/// A device that the display has.
struct Slot {
    /// The server's number of it.
    id: u16,
    path: PathBuf,
    /// While it is on; also when it is of no use any more, because the driver asks a closed socket for ever.
    link: Option<TestDevice>,
    broken: bool,
}

/// The devices in use, and what is down on them.
#[derive(Default)]
pub(super) struct Hands {
    slots: [Option<Slot>; 4],
    fingers: BTreeSet<u8>,
    /// The pen in reach, and the end of it that points down.
    pen: Option<(Tool, Pen)>,
    /// The devices that may be on, by number.
    used: Vec<u16>,
}

impl Hands {
    /// Finds those of the devices that the display has, and turns them off. Each is told to `opens` before.
    pub(super) fn open(conn: &impl Connection, devices: &Devices, mut opens: impl FnMut(u16)) -> Result<Self, Gone> {
        conn.xinput_xi_query_version(2, 2)?.reply()?;
        let known = conn.xinput_xi_query_device(Every::ALL)?.reply()?.infos;
        let mut hands = Self::default();
        for (tool, slot) in Tool::ALL.into_iter().zip(&mut hands.slots) {
            let Device { name, socket } = match tool {
                Tool::Wheel => &devices.wheel,
                Tool::Touch => &devices.touch,
                Tool::Pen => &devices.pen,
                Tool::Eraser => &devices.eraser,
            };
            let Some(info) = known.iter().find(|info| info.name == name.as_bytes()) else {
                debug!("the display has no device {name}");
                continue;
            };
            opens(info.deviceid);
            hands.used.push(info.deviceid);
            enable(conn, info.deviceid, false)?;
            *slot = Some(Slot { id: info.deviceid, path: socket.clone(), link: None, broken: false });
        }
        // A wheel is nothing new to anybody.
        hands.ready(conn, Tool::Wheel)?;
        Ok(hands)
    }

    /// Turns a device on and connects to it, unless that was done before. Says whether it is of use.
    pub(super) fn ready(&mut self, conn: &impl Connection, tool: Tool) -> Result<bool, Gone> {
        let Some(Some(slot)) = self.slots.get_mut(tool as usize) else { return Ok(false) };
        for attempt in 1..=ATTEMPTS {
            if slot.broken || slot.link.is_some() {
                break;
            }
            enable(conn, slot.id, false)?;
            enable(conn, slot.id, true)?;
            // The server has turned it on when this is answered.
            conn.get_input_focus()?.reply()?;
            match TestDevice::connect(&slot.path) {
                Ok(link) => slot.link = Some(link),
                Err(error) if attempt == ATTEMPTS => {
                    warn!(%error, ?tool, "an input device of the display cannot be used");
                    slot.broken = true;
                    enable(conn, slot.id, false)?;
                }
                Err(error) => debug!(%error, ?tool, "an input device of the display did not answer"),
            }
        }
        Ok(!slot.broken)
    }

    /// Turns the devices off.
    pub(super) fn close(&mut self, conn: &impl Connection) -> Result<(), Gone> {
        for &device in &self.used {
            enable(conn, device, false)?;
        }
        Ok(())
    }

    /// The devices that were turned off; nothing is known of them any more.
    pub(super) fn closed(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.used)
    }

    /// Whether there is such a device.
    pub(super) fn has(&self, tool: Tool) -> bool {
        self.slots.get(tool as usize).is_some_and(|slot| slot.as_ref().is_some_and(|slot| !slot.broken))
    }

    /// Whether a finger touches.
    pub(super) fn touched(&self) -> bool {
        !self.fingers.is_empty()
    }

    /// The end of a pen that its events are for.
    pub(super) fn tool_of(&self, pen: &Pen) -> Tool {
        if pen.eraser && self.has(Tool::Eraser) { Tool::Eraser } else { Tool::Pen }
    }

    /// The end of the pen that is in reach.
    pub(super) fn near(&self) -> Option<Tool> {
        self.pen.map(|(tool, _)| tool)
    }

    /// Waits until the server has acted on what this device was told.
    pub(super) fn settle(&mut self, tool: Tool) {
        self.with(tool, TestDevice::settle);
    }

    /// Turns the wheel by so many 1/120 of a notch, which is the driver's own unit. `anew`: another device moved the pointer
    /// since.
    pub(super) fn turn(&mut self, x: i32, y: i32, anew: bool) {
        if anew {
            // Applications learn of the change of devices, and forget where this one's wheel stood: the first they hear of it
            // tells them that, and turns nothing.
            self.send(Tool::Wheel, &Message::Motion { absolute: false, axes: &[(SIDEWAYS, 0.0), (DOWN, 0.0)] });
        }
        let (mut x, mut y) = (x, y);
        while (x, y) != (0, 0) {
            let part = (x.clamp(-AT_ONCE, AT_ONCE), y.clamp(-AT_ONCE, AT_ONCE));
            (x, y) = (x - part.0, y - part.1);
            let turned = [(SIDEWAYS, part.0), (DOWN, part.1)].into_iter().filter(|(_, n)| *n != 0);
            let axes: Vec<Axis> = turned.map(|(axis, n)| (axis, f64::from(n))).collect();
            self.send(Tool::Wheel, &Message::Motion { absolute: false, axes: &axes });
        }
    }

    /// A finger did something on a screen of this size.
    pub(super) fn touch(&mut self, finger: u8, phase: TouchPhase, at: Point<Desk>, pressure: u16, screen: (u16, u16)) {
        let there = self.fingers.contains(&finger);
        let what = match (phase, there) {
            (TouchPhase::Down, false) => {
                self.fingers.insert(finger);
                Touching::Begin
            }
            (TouchPhase::Move, true) => Touching::Update,
            (TouchPhase::Up | TouchPhase::Cancel, true) => {
                self.fingers.remove(&finger);
                Touching::End
            }
            _ => return,
        };
        let [x, y] = place(at, screen);
        let force = (PRESSURE, f64::from(pressure) * TOUCH_FULL / FULL);
        let axes = [x, y, force];
        let told = if pressure > 0 { 3 } else { 2 };
        self.send(Tool::Touch, &Message::Touch { id: finger.into(), what, axes: axes.get(..told).unwrap_or(&axes) });
    }

    /// The pen, whose end in use has this device, is like this.
    pub(super) fn pen(&mut self, tool: Tool, pen: &Pen, screen: (u16, u16)) {
        let before = self.pen.map(|(_, old)| old);
        if !pen.near {
            return;
        }
        let [x, y] = place(pen.at, screen);
        let axes = [x, y, (PRESSURE, f64::from(pen.pressure) * PEN_FULL / FULL)];
        if before.is_none() {
            self.send(tool, &Message::Proximity { near: true, axes: &axes });
        }
        self.send(tool, &Message::Motion { absolute: true, axes: &axes });
        self.press(tool, before.map_or(0, |old| buttons(&old)), buttons(pen), &axes);
        self.pen = Some((tool, *pen));
    }

    /// The pen is out of reach.
    pub(super) fn take_pen_away(&mut self, screen: (u16, u16)) {
        let Some((tool, pen)) = self.pen.take() else { return };
        let [x, y] = place(pen.at, screen);
        let axes = [x, y, (PRESSURE, 0.0)];
        self.send(tool, &Message::Motion { absolute: true, axes: &axes });
        self.press(tool, buttons(&pen), 0, &axes);
        self.send(tool, &Message::Proximity { near: false, axes: &axes });
    }

    /// Lifts every finger, each where the server last heard of it.
    pub(super) fn lift_fingers(&mut self) {
        for finger in std::mem::take(&mut self.fingers) {
            self.send(Tool::Touch, &Message::Touch { id: finger.into(), what: Touching::End, axes: &[] });
        }
    }

    /// Buttons that are down no more come up, then others go down.
    fn press(&mut self, tool: Tool, before: u8, now: u8, axes: &[Axis]) {
        for (bits, down) in [(before & !now, false), (now & !before, true)] {
            for number in (1..=3).filter(|n| bits & 1 << (n - 1) != 0) {
                self.send(tool, &Message::Button { number, down, axes });
            }
        }
    }

    fn send(&mut self, tool: Tool, message: &Message<'_>) {
        self.with(tool, |device| device.send(message));
    }

    fn with(&mut self, tool: Tool, act: impl FnOnce(&mut TestDevice) -> std::io::Result<()>) {
        let Some(Some(slot)) = self.slots.get_mut(tool as usize) else { return };
        let Some(link) = slot.link.as_mut().filter(|_| !slot.broken) else { return };
        if let Err(error) = act(link) {
            warn!(%error, ?tool, "an input device of the display takes nothing any more");
            slot.broken = true;
        }
    }
}

/// Turns a device on or off. One that is off holds nothing: its touches end and its buttons come up.
pub(crate) fn enable(conn: &impl Connection, device: u16, on: bool) -> Result<(), Gone> {
    let enabled = conn.intern_atom(false, b"Device Enabled")?.reply()?.atom;
    let value = XIChangePropertyAux::Data8(vec![u8::from(on)]);
    conn.xinput_xi_change_property(device, PropMode::REPLACE, enabled, AtomEnum::INTEGER.into(), 1, &value)?;
    Ok(())
}

/// A place on the screen in the range of an absolute axis, which spans the whole of it. A hair right of and below the pixel's
/// corner, so that what the server makes of it, rounded down, is this pixel.
fn place(at: Point<Desk>, (width, height): (u16, u16)) -> [Axis; 2] {
    let along = |n: i32, side: u16| {
        let pixel = n.clamp(0, i32::from(side.max(1)) - 1);
        (f64::from(pixel) + HAIR) * RANGE / f64::from(side.max(1))
    };
    [(0, along(at.x, width)), (1, along(at.y, height))]
}

/// What is pressed on a pen: bit 0 its tip, 1 and 2 its barrel's buttons, numbered as Xorg's drivers of tablets do.
const fn buttons(pen: &Pen) -> u8 {
    pen.touching as u8 | (pen.buttons & Pen::BUTTONS) << 1
}

// The driver's axes.
const SIDEWAYS: usize = 2;
const DOWN: usize = 3;
const PRESSURE: usize = 4;
/// The most that one message turns an axis, in 1/120 of a notch. The server makes a hundred events of a message at most, four
/// of each notch among them, and clicks no more for what is beyond.
const AT_ONCE: i32 = 10 * 120;
/// Values of an absolute place (0 to 65535), as the server counts them to spread them over the screen.
const RANGE: f64 = 65_536.0;
const HAIR: f64 = 1.0 / 256.0;
/// The model's full pressure, and the driver's.
const FULL: f64 = 65_535.0;
const TOUCH_FULL: f64 = 2_047.0;
const PEN_FULL: f64 = 1_000.0;
/// A connection of somebody who is gone may wait before ours: each turning on takes one.
const ATTEMPTS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_of_every_screen_is_told_as_itself() {
        for side in [1, 640, 1000, 1366, 1920, 16_384, 32_767] {
            let pixels = [0, 1, 2, 333, 639, i32::from(side) / 3, i32::from(side) - 1];
            for pixel in pixels.into_iter().filter(|p| (0..i32::from(side)).contains(p)) {
                let [(_, x), (_, y)] = place(Point::new(pixel, pixel), (side, side));
                // What the server does with it.
                assert_eq!(((x * f64::from(side) / RANGE) as i32, x), (pixel, y), "{pixel} of {side}");
                assert!((0.0..=65_535.0).contains(&x), "within the axis: {pixel} of {side} is {x}");
            }
        }
        let [(_, x), (_, y)] = place(Point::new(-5, 70_000), (800, 600));
        assert!(x < 1.0 && (y * 600.0 / RANGE) as i32 == 599);
    }

    #[test]
    fn a_pens_buttons_are_those_of_tablets() {
        let pen = Pen {
            at: Point::new(0, 0),
            pressure: 0,
            tilt: (0, 0),
            touching: true,
            eraser: false,
            buttons: 2,
            near: true,
        };
        assert_eq!(buttons(&pen), 0b101);
        assert_eq!(buttons(&Pen { touching: false, buttons: 1, ..pen }), 0b010);
    }
}
