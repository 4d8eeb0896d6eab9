//! Input devices for a virtual desktop's Xorg that take their events from a program: a wheel, a touch screen, a pen and its
//! other end.
//!
//! `inputtest` is a driver that ships with the server (inputtestdrv(4)). Each device listens on a socket that the driver
//! makes for everybody; here it lies in a directory that only this user can enter.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// An input device that takes events over a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputDevice {
    /// Its name on the display.
    pub name: &'static str,
    /// Where the server listens for them.
    pub socket: PathBuf,
}

/// The input devices of a virtual desktop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputDevices {
    /// A mouse, for its wheel.
    pub wheel: InputDevice,
    /// A touch screen.
    pub touch: InputDevice,
    /// A pen with pressure.
    pub pen: InputDevice,
    /// Its end that rubs out.
    pub eraser: InputDevice,
}

impl InputDevices {
    /// With sockets in `dir`; `None` where a socket's path would be too long for one, or does not fit a configuration file.
    pub(super) fn in_dir(dir: &Path) -> Option<Self> {
        let device = |name, file: &str| InputDevice { name, socket: dir.join(file) };
        // Toolkits on X11 tell a pen from its other end, and both from a mouse, by what their names have in them.
        let devices = Self {
            wheel: device("telepane wheel", "wheel"),
            touch: device("telepane touch", "touch"),
            pen: device("telepane pen", "pen"),
            eraser: device("telepane eraser", "eraser"),
        };
        let fits = |device: &InputDevice| {
            let path = device.socket.to_str();
            path.is_some_and(|path| path.len() < SOCKET_PATH && !path.contains(['"', '\n']))
        };
        let all_fit = devices.each().iter().all(|(device, ..)| fits(device));
        all_fit.then_some(devices)
    }

    /// Each with its type in the driver's words, and further options.
    fn each(&self) -> [(&InputDevice, &'static str, &'static str); 4] {
        const FORCE: &str = "  Option \"PointerHasPressure\" \"true\"\n";
        [
            (&self.wheel, "Pointer", ""),
            (&self.touch, "Touch", ""),
            (&self.pen, "PointerAbsoluteProximity", FORCE),
            (&self.eraser, "PointerAbsoluteProximity", FORCE),
        ]
    }

    /// What they are in a configuration file whose only screen is `screen`.
    pub(super) fn config(&self, screen: &str) -> String {
        let mut text = String::new();
        let mut layout = format!("Section \"ServerLayout\"\n  Identifier \"layout\"\n  Screen \"{screen}\"\n");
        for (InputDevice { name, socket }, kind, options) in self.each() {
            let socket = socket.display();
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "Section \"InputDevice\"\n  Identifier \"{name}\"\n  Driver \"inputtest\"\n  \
                 Option \"SocketPath\" \"{socket}\"\n  Option \"DeviceType\" \"{kind}\"\n{options}EndSection"
            );
            let _ = writeln!(layout, "  InputDevice \"{name}\"");
        }
        text + &layout + "EndSection\n"
    }
}

/// A socket's path has fewer bytes than this (unix(7)).
const SOCKET_PATH: usize = 108;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_no_socket_can_have_gives_no_devices() {
        let dir = |name: &str| InputDevices::in_dir(Path::new(name));
        assert!(dir(&format!("/{}", "d".repeat(90))).is_some());
        assert!(dir(&format!("/{}", "d".repeat(107))).is_none());
        assert!(dir("/a\"b").is_none() && dir("/a\nb").is_none());
    }

    #[test]
    fn each_device_is_declared_and_named_in_the_layout() {
        let devices = InputDevices::in_dir(Path::new("/run/x")).unwrap();
        let text = devices.config("screen");
        for (device, ..) in devices.each() {
            assert_eq!(text.matches(&format!("\"{}\"", device.name)).count(), 2, "{text}");
            assert!(text.contains(device.socket.to_str().unwrap()));
        }
        assert_eq!(text.matches("EndSection").count(), 5);
        assert_eq!(text.matches("PointerHasPressure").count(), 2);
    }
}
