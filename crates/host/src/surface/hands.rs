//! Whose hands a viewer's input moves: an X display's on Linux, elsewhere this machine's own.

use std::path::Path;
use telepane_capture::virtual_desktop::VirtualDesktop;
use telepane_input::{Injector, OpenError};

/// Opens them; a desktop of our own may have input devices that take events from programs.
#[cfg(target_os = "linux")]
pub(super) fn open(
    name: Option<&str>,
    xauthority: Option<&Path>,
    running: Option<&VirtualDesktop>,
) -> Result<Box<dyn Injector>, OpenError> {
    match running.and_then(VirtualDesktop::input_devices).map(devices) {
        Some(devices) => telepane_input::open_x11_with(name, xauthority, &devices),
        None => telepane_input::open_x11(name, xauthority),
    }
}

#[cfg(target_os = "linux")]
fn devices(of: &telepane_capture::virtual_desktop::InputDevices) -> telepane_input::Devices {
    let device = |of: &telepane_capture::virtual_desktop::InputDevice| telepane_input::Device {
        name: of.name.to_owned(),
        socket: of.socket.clone(),
    };
    telepane_input::Devices {
        wheel: device(&of.wheel),
        touch: device(&of.touch),
        pen: device(&of.pen),
        eraser: device(&of.eraser),
    }
}

/// Opens them.
#[cfg(not(target_os = "linux"))]
pub(super) fn open(
    _: Option<&str>,
    _: Option<&Path>,
    _: Option<&VirtualDesktop>,
) -> Result<Box<dyn Injector>, OpenError> {
    telepane_input::open()
}
