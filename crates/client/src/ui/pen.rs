//! A pen on X11, of which winit tells nothing: what its events say, and which of winit's own are their echo.
//!
//! A tablet moves the pointer that all mice move, and winit hears of that pointer alone. Here each tablet is heard as the
//! device it is (`tablets`), which takes nothing from winit: of the common pointer, only one of two listeners on a window
//! would hear what comes while a button is down. Such a device's own event says where the pointer was before it, in whole
//! pixels, so its place is what its axes say, as the server itself reckons it.
//!
//! The server then tells winit the same once more, as the mouse's. That echo names neither tablet nor time, and comes over
//! another connection. But the tablet's event is always the first of the two: once winit has the echo, whoever waits for an
//! answer of the server has the event. So what winit tells is the pen's if the tablet was at that place, or had that button
//! in that state, and winit has not told so yet; else it is a mouse's, and the pen is not what points any more.

use std::collections::VecDeque;
use telepane_model::{Desk, Pen, Point};
use x11rb::protocol::xinput::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ButtonPressEvent, DeviceClassData, DeviceClassDataValuator, DeviceType,
    Fp3232, ValuatorMode, XIDeviceInfo,
};

/// What is remembered of a tablet's doings until winit tells of them: a second of the quickest tablets.
const MOST_ECHOES: usize = 256;
/// The most degrees that a pen's tilt is told in, where a tablet tells it in units of its own: as Wacom's do.
const USUAL_TILT: f64 = 60.0;
/// The tip, or the eraser's: a tablet's first button. The barrel's lower and upper are the second and third.
const TIP: u32 = 1;

/// The atoms of axes by which a pen is known (`xserver-properties.h`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Labels {
    pub(super) pressure: u32,
    pub(super) tilt: (u32, u32),
}

/// One axis of a device: what it may say and what it said last.
#[derive(Clone, Copy, Debug)]
struct Axis {
    number: usize,
    min: f64,
    max: f64,
    value: f64,
}

impl Axis {
    fn of(v: &DeviceClassDataValuator) -> Option<Self> {
        let (min, max) = (number(v.min), number(v.max));
        let axis = Self { number: v.number.into(), min, max, value: number(v.value) };
        (v.mode == ValuatorMode::ABSOLUTE && max > min).then_some(axis)
    }

    /// How much of its range it is at, 0 to 1.
    fn part(&self) -> f64 {
        ((self.value - self.min) / (self.max - self.min)).clamp(0.0, 1.0)
    }

    /// The place on a side of so many pixels, as the server scales it: a unit is as wide as any other.
    fn place(&self, side: u16) -> f64 {
        (self.value - self.min) * f64::from(side) / (self.max - self.min + 1.0)
    }

    fn degrees(&self) -> i8 {
        let told = self.min >= f64::from(-Pen::MAX_TILT) && self.max <= f64::from(Pen::MAX_TILT);
        let degrees = if told { self.value } else { (self.part() * 2.0 - 1.0) * USUAL_TILT };
        // `as` saturates, and a bound of its own is 90.
        (degrees.round() as i8).clamp(-Pen::MAX_TILT, Pen::MAX_TILT)
    }
}

/// A device that is a pen: its place is absolute, and it has a pressure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tablet {
    x: Axis,
    y: Axis,
    pressure: Axis,
    tilt: Option<(Axis, Axis)>,
    eraser: bool,
}

impl Tablet {
    /// `None` for what is no pen.
    pub(super) fn of(info: &XIDeviceInfo, labels: Labels) -> Option<Self> {
        // What is attached to no pointer was given to one program alone.
        if info.type_ != DeviceType::SLAVE_POINTER || !info.enabled {
            return None;
        }
        let mut axes = Vec::new();
        for class in &info.classes {
            match &class.data {
                // A touch screen's fingers press too.
                DeviceClassData::Touch(_) => return None,
                DeviceClassData::Valuator(v) => axes.push(v),
                _ => {}
            }
        }
        let nth = |n: u16| Axis::of(axes.iter().find(|v| v.number == n)?);
        let labelled = |label: u32| Axis::of(axes.iter().find(|v| label != x11rb::NONE && v.label == label)?);
        Some(Self {
            x: nth(0)?,
            y: nth(1)?,
            pressure: labelled(labels.pressure)?,
            tilt: labelled(labels.tilt.0).zip(labelled(labels.tilt.1)),
            // Toolkits know it by nothing else (GTK's `gdkdevicemanager-xi2.c`).
            eraser: String::from_utf8_lossy(&info.name).to_lowercase().contains("eraser"),
        })
    }

    /// Its own event, on a screen of this size.
    pub(super) fn on_event(&mut self, event: &ButtonPressEvent, screen: (u16, u16)) -> Stroke {
        let set = |n: &usize| event.valuator_mask.get(n / 32).is_some_and(|word| word >> (n % 32) & 1 == 1);
        let tilt = self.tilt.as_mut().map(|(x, y)| [x, y]).into_iter().flatten();
        let mut axes: Vec<&mut Axis> = [&mut self.x, &mut self.y, &mut self.pressure].into_iter().chain(tilt).collect();
        for (n, value) in (0..event.valuator_mask.len() * 32).filter(set).zip(&event.axisvalues) {
            axes.iter_mut().filter(|axis| axis.number == n).for_each(|axis| axis.value = number(*value));
        }
        let button = match event.event_type {
            BUTTON_PRESS_EVENT => Some((event.detail, true)),
            BUTTON_RELEASE_EVENT => Some((event.detail, false)),
            _ => None,
        };
        // The mask is of the time before the event.
        let held = |n: u32| match button {
            Some((of, down)) if of == n => down,
            _ => event.button_mask.first().is_some_and(|word| word >> n & 1 == 1),
        };
        let touching = held(TIP);
        // Both are of the place before, and their difference is where the window lies.
        let left = (f64::from(event.root_x) - f64::from(event.event_x)) / 65_536.0;
        let top = (f64::from(event.root_y) - f64::from(event.event_y)) / 65_536.0;
        Stroke {
            device: event.deviceid,
            window: event.event.into(),
            at: (self.x.place(screen.0) - left, self.y.place(screen.1) - top),
            pressure: if touching { (self.pressure.part() * 65_535.0).round().max(1.0) as u16 } else { 0 },
            tilt: self.tilt.map_or((0, 0), |(x, y)| (x.degrees(), y.degrees())),
            touching,
            eraser: self.eraser,
            buttons: u8::from(held(2)) | u8::from(held(3)) << 1,
            button,
        }
    }
}

/// A number of the protocol's 32 and 32 bits.
fn number(fixed: Fp3232) -> f64 {
    f64::from(fixed.integral) + f64::from(fixed.frac) / 4_294_967_296.0
}

/// What a tablet told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PenFact {
    /// The pen did something.
    Stroke(Stroke),
    /// This device's pen is out of reach.
    Left(u16),
}

/// A pen's state after an event of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stroke {
    pub(super) device: u16,
    /// The window, by winit's number, which on X11 is the server's.
    pub(super) window: u64,
    /// Where it is in the window, in pixels.
    pub(super) at: (f64, f64),
    pub(super) pressure: u16,
    pub(super) tilt: (i8, i8),
    pub(super) touching: bool,
    pub(super) eraser: bool,
    /// As the model counts them.
    pub(super) buttons: u8,
    /// The button that moved, by X's number, and whether it went down.
    pub(super) button: Option<(u32, bool)>,
}

impl Stroke {
    /// Whether this is hovering that goes on as that.
    pub(super) fn is_replaced_by(&self, next: &Self) -> bool {
        let Self { at, tilt, .. } = *next;
        !self.touching && self.button.is_none() && Self { at, tilt, ..*self } == *next
    }
}

/// The pen as it was told last.
#[derive(Debug, Default)]
pub(super) struct Tip {
    told: Option<(u16, Pen)>,
    /// It touched when it was taken back, and hovers for the desktop until it lifts.
    spent: bool,
}

impl Tip {
    /// It did something, over this pixel of the desktop; says what has to be told.
    pub(super) fn on_stroke(&mut self, stroke: &Stroke, at: Point<Desk>) -> Vec<Pen> {
        let Stroke { device, tilt, eraser, buttons, .. } = *stroke;
        let left = self.told.filter(|(of, _)| *of != device).and_then(|_| self.leave());
        self.spent &= stroke.touching;
        let touching = stroke.touching && !self.spent;
        let pressure = if touching { stroke.pressure } else { 0 };
        let pen = Pen { at, pressure, tilt, touching, eraser, buttons, near: true };
        let told = self.told.replace((device, pen)).map(|(_, pen)| pen);
        left.into_iter().chain((told != Some(pen)).then_some(pen)).collect()
    }

    /// It is out of reach, or points no more.
    pub(super) fn leave(&mut self) -> Option<Pen> {
        let (_, pen) = self.told.take()?;
        Some(Pen { pressure: 0, tilt: (0, 0), touching: false, buttons: 0, near: false, ..pen })
    }

    /// Takes back what it began.
    pub(super) fn take_back(&mut self) -> Option<Pen> {
        self.spent |= self.touches();
        self.leave()
    }

    /// Whether it is this device's.
    pub(super) fn is_of(&self, device: u16) -> bool {
        self.told.is_some_and(|(of, _)| of == device)
    }

    /// Whether it is in reach.
    pub(super) const fn is_near(&self) -> bool {
        self.told.is_some()
    }

    /// Whether it touches.
    pub(super) fn touches(&self) -> bool {
        self.told.is_some_and(|(_, pen)| pen.touching)
    }
}

/// What tablets did that winit has not told of yet.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    places: VecDeque<(u64, (f64, f64))>,
    buttons: VecDeque<(u32, bool)>,
}

impl Echoes {
    /// A tablet did this.
    pub(super) fn on_stroke(&mut self, stroke: &Stroke) {
        if self.places.len() == MOST_ECHOES {
            self.places.pop_front();
        }
        self.places.push_back((stroke.window, stroke.at));
        if let Some(button) = stroke.button {
            if self.buttons.len() == MOST_ECHOES {
                self.buttons.pop_front();
            }
            self.buttons.push_back(button);
        }
    }

    /// Whether that the pointer is at this place of a window is an echo, to a pixel: some of it comes in whole ones.
    pub(super) fn is_place(&mut self, window: u64, (x, y): (f64, f64)) -> bool {
        let is_it = |(w, at): &(u64, (f64, f64))| *w == window && (at.0 - x).abs() < 1.0 && (at.1 - y).abs() < 1.0;
        let Some(n) = self.places.iter().position(is_it) else { return false };
        // A place is told again where a window is entered there or gets the keyboard.
        self.places.drain(..n);
        true
    }

    /// Whether that this button went down or up is an echo.
    pub(super) fn is_button(&mut self, button: u32, down: bool) -> bool {
        let Some(n) = self.buttons.iter().position(|b| *b == (button, down)) else { return false };
        self.buttons.drain(..=n);
        true
    }

    /// Nothing of before is waited for.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.buttons.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x11rb::protocol::xinput::{DeviceClass, DeviceClassDataTouch, MOTION_EVENT, TouchMode};

    const LABELS: Labels = Labels { pressure: 501, tilt: (502, 503) };

    fn fixed(value: f64) -> Fp3232 {
        let floor = value.floor();
        Fp3232 { integral: floor as i32, frac: ((value - floor) * 4_294_967_296.0) as u32 }
    }

    fn axis(number: u16, label: u32, min: f64, max: f64) -> DeviceClass {
        let (min, max, value, mode) = (fixed(min), fixed(max), fixed(0.0), ValuatorMode::ABSOLUTE);
        let valuator = DeviceClassDataValuator { number, label, min, max, value, resolution: 1, mode };
        DeviceClass { len: 11, sourceid: 9, data: DeviceClassData::Valuator(valuator) }
    }

    fn device(name: &str) -> XIDeviceInfo {
        XIDeviceInfo {
            deviceid: 9,
            type_: DeviceType::SLAVE_POINTER,
            attachment: 2,
            enabled: true,
            name: name.into(),
            classes: vec![
                axis(0, 77, 0.0, 9_999.0),
                axis(1, 78, 0.0, 4_999.0),
                axis(2, 501, 0.0, 2_000.0),
                axis(3, 502, -64.0, 63.0),
                axis(4, 503, 0.0, 1_000.0),
            ],
        }
    }

    /// An event over a window at (100, 50), with axes from the first that are given, and the buttons held before it.
    fn event(kind: u16, detail: u32, held: u32, values: &[Option<f64>]) -> ButtonPressEvent {
        let mask = values.iter().enumerate().fold(0, |mask, (n, v)| mask | u32::from(v.is_some()) << n);
        ButtonPressEvent {
            event_type: kind,
            deviceid: 9,
            detail,
            event: 0x40_0001,
            root_x: 700 << 16,
            event_x: 600 << 16,
            root_y: 300 << 16,
            event_y: 250 << 16,
            button_mask: vec![held],
            valuator_mask: vec![mask, 0],
            axisvalues: values.iter().flatten().map(|v| fixed(*v)).collect(),
            ..ButtonPressEvent::default()
        }
    }

    #[test]
    fn a_pen_is_known_by_its_axes() {
        let is_pen = |change: &dyn Fn(&mut XIDeviceInfo)| {
            let mut info = device("Wacom Pen");
            change(&mut info);
            Tablet::of(&info, LABELS).is_some()
        };
        assert!(is_pen(&|_| {}));
        assert!(is_pen(&|d| d.classes.truncate(3)), "tilt is told by some");
        assert!(!is_pen(&|d| d.classes.truncate(2)), "a mouse of a virtual machine has absolute places");
        assert!(!is_pen(&|d| d.type_ = DeviceType::MASTER_POINTER), "the common pointer has the axes of who moved it");
        assert!(!is_pen(&|d| d.type_ = DeviceType::FLOATING_SLAVE));
        assert!(!is_pen(&|d| d.enabled = false));
        assert!(!is_pen(&|d| d.classes[2] = axis(2, 501, 0.0, 0.0)));
        assert!(!is_pen(&|d| {
            let touch = DeviceClassDataTouch { mode: TouchMode::DIRECT, num_touches: 10 };
            d.classes.push(DeviceClass { len: 2, sourceid: 9, data: DeviceClassData::Touch(touch) });
        }));
        assert!(!is_pen(&|d| {
            let DeviceClassData::Valuator(v) = &mut d.classes[0].data else { panic!() };
            v.mode = ValuatorMode::RELATIVE;
        }));
        assert!(Tablet::of(&device("Wacom Pen"), Labels::default()).is_none(), "a server without such labels");
    }

    #[test]
    fn a_pens_place_pressure_tilt_and_buttons() {
        let mut tablet = Tablet::of(&device("Some Stylus Eraser"), LABELS).unwrap();
        let all = [Some(5_000.0), Some(1_250.0), Some(500.0), Some(-12.0), Some(750.0)];
        let hover = tablet.on_event(&event(MOTION_EVENT, 0, 0, &all), (1_000, 800));
        let wanted = Stroke {
            device: 9,
            window: 0x40_0001,
            at: (400.0, 150.0),
            pressure: 0,
            tilt: (-12, 30),
            touching: false,
            eraser: true,
            buttons: 0,
            button: None,
        };
        assert_eq!(hover, wanted);
        // Axes that are not told are where they were; the press itself counts, and the mask is of before.
        let press = tablet.on_event(&event(BUTTON_PRESS_EVENT, 1, 1 << 3, &[None, Some(1_875.0)]), (1_000, 800));
        let at = (400.0, 250.0);
        assert_eq!(
            press,
            Stroke { at, pressure: 16_384, touching: true, buttons: 2, button: Some((1, true)), ..wanted }
        );
        let light = tablet.on_event(&event(MOTION_EVENT, 0, 1 << 1 | 1 << 2, &[None, None, Some(0.0)]), (1_000, 800));
        assert_eq!(light, Stroke { at, pressure: 1, touching: true, buttons: 1, ..wanted });
        let lift = tablet.on_event(&event(BUTTON_RELEASE_EVENT, 1, 1 << 1, &[]), (1_000, 800));
        assert_eq!(lift, Stroke { at, button: Some((1, false)), ..wanted });
        // More axes than values, and values beyond their range.
        let odd = ButtonPressEvent { valuator_mask: vec![!0; 3], ..event(MOTION_EVENT, 0, 1 << 1, &[Some(0.0); 4]) };
        let odd = tablet.on_event(&ButtonPressEvent { axisvalues: vec![fixed(1e9); 4], ..odd }, (1_000, 800));
        assert_eq!((odd.pressure, odd.tilt), (65_535, (90, 30)));
    }

    #[test]
    fn a_state_is_told_once_and_its_end() {
        let stroke = |device, touching, pressure| Stroke {
            device,
            window: 1,
            at: (0.0, 0.0),
            pressure,
            tilt: (1, 2),
            touching,
            eraser: false,
            buttons: 1,
            button: None,
        };
        let at = Point::new(3, 4);
        let pen = Pen { at, pressure: 0, tilt: (1, 2), touching: false, eraser: false, buttons: 1, near: true };
        let gone = Pen { tilt: (0, 0), buttons: 0, near: false, ..pen };
        let mut tip = Tip::default();
        assert_eq!(tip.leave(), None);
        assert_eq!(tip.on_stroke(&stroke(9, false, 0), at), [pen]);
        assert_eq!(tip.on_stroke(&stroke(9, false, 0), at), []);
        assert_eq!(tip.on_stroke(&stroke(9, true, 70), at), [Pen { touching: true, pressure: 70, ..pen }]);
        assert_eq!(tip.take_back(), Some(gone));
        assert_eq!(tip.on_stroke(&stroke(9, true, 80), at), [pen], "it hovers until it has lifted");
        assert_eq!(tip.on_stroke(&stroke(9, false, 0), at), []);
        assert_eq!(tip.on_stroke(&stroke(9, true, 90), at), [Pen { touching: true, pressure: 90, ..pen }]);
        assert_eq!(tip.on_stroke(&stroke(10, false, 0), at), [gone, pen], "another one");
        assert!(tip.is_of(10) && !tip.is_of(9) && !tip.touches());
        let moved = Stroke { at: (9.0, 9.0), tilt: (0, 0), ..stroke(9, false, 0) };
        assert!(stroke(9, false, 0).is_replaced_by(&moved));
        assert!(!stroke(9, false, 0).is_replaced_by(&stroke(9, true, 3)) && !stroke(9, true, 3).is_replaced_by(&moved));
        assert!(!stroke(9, false, 0).is_replaced_by(&stroke(8, false, 0)));
        assert!(!Stroke { button: Some((1, false)), ..moved }.is_replaced_by(&moved));
    }

    #[test]
    fn an_echo_is_heard_once_and_a_mouse_is_none() {
        let mut echoes = Echoes::default();
        let mut tablet = Tablet::of(&device("Pen"), LABELS).unwrap();
        let mut did = |echoes: &mut Echoes, kind, detail, x| {
            echoes.on_stroke(&tablet.on_event(&event(kind, detail, 0, &[Some(x), Some(625.0)]), (1_000, 800)));
        };
        for x in [2_000.0, 2_100.0, 2_200.0] {
            did(&mut echoes, MOTION_EVENT, 0, x);
        }
        let window = 0x40_0001;
        assert!(!echoes.is_place(window, (300.0, 50.0)) && !echoes.is_place(1, (110.0, 50.0)));
        assert!(echoes.is_place(window, (110.0, 50.0)), "winit leaves some out");
        assert!(echoes.is_place(window, (110.5, 50.0)), "where the window is entered");
        assert!(!echoes.is_place(window, (100.0, 50.0)), "that was before");
        assert!(echoes.is_place(window, (120.0, 50.0)));
        did(&mut echoes, BUTTON_PRESS_EVENT, 1, 2_200.0);
        did(&mut echoes, BUTTON_RELEASE_EVENT, 1, 2_200.0);
        assert!(!echoes.is_button(3, true));
        assert!(echoes.is_button(1, true) && !echoes.is_button(1, true) && echoes.is_button(1, false));
        for x in 0..2_000 {
            did(&mut echoes, BUTTON_PRESS_EVENT, 3, f64::from(x));
        }
        assert_eq!((echoes.places.len(), echoes.buttons.len()), (MOST_ECHOES, MOST_ECHOES));
        echoes.clear();
        assert!(!echoes.is_button(3, true));
    }
}
