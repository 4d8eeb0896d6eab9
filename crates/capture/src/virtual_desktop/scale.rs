//! The scale of a virtual desktop: what its applications size their text and widgets by.
//!
//! `Xft.dpi` in the root window's resources is read by Qt, by Xft programs and by bare window managers when they start.
//! GTK reads XSETTINGS and follows them while it runs; they are offered here unless the session brought a manager of
//! its own (Xfce, LXQt), whose settings a person has chosen. GTK 3 scales widgets by whole factors only, so 150 %
//! there means larger text.
//!
//! Where a session's own manager stands, nothing is written into its settings: they would outlive the virtual desktop
//! and scale the person's other screens too. `Xft.dpi` then tells the programs that read it.
//!
//! The formats: `RESOURCE_MANAGER` of X(7), and freedesktop's XSETTINGS specification 0.5.

use super::{Scaled, StartError};
use crate::x11::{connect, heads};
use std::path::Path;
use x11rb::connection::Connection;
use x11rb::errors::ReplyError;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, PropMode, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// The least and the largest scale in percent; a viewer that says something else means the nearer one.
const RANGE: (u16, u16) = (50, 500);
/// The pointer's side at 100 %, in pixels, as libXcursor has it.
const POINTER: u32 = 24;
/// The most of a settings manager's name that is told, in bytes.
const MOST_NAME: usize = 64;

/// Keeps a display's scale; the settings stand while it lives.
#[derive(Debug)]
pub(super) struct Scale {
    conn: RustConnection,
    screen: usize,
    root: Window,
    /// Our window as the settings' owner, once it is.
    manager: Option<Window>,
    serial: u32,
    percent: u16,
}

impl Scale {
    /// The display's scale as it is, taken for 100 %.
    pub(super) fn open(display: &str, xauthority: &Path) -> Result<Self, StartError> {
        let (conn, screen, _) = connect::connect(Some(display), Some(xauthority))?;
        let root = conn.setup().roots.get(screen).map_or(x11rb::NONE, |s| s.root);
        Ok(Self { conn, screen, root, manager: None, serial: 0, percent: 100 })
    }

    // spec: K-30
    /// Sets it.
    pub(super) fn set(&mut self, percent: u16) -> Result<Scaled, ReplyError> {
        let percent = percent.clamp(RANGE.0, RANGE.1);
        self.tidy()?;
        if percent == self.percent {
            return Ok(Scaled::Already);
        }
        self.set_resources(percent)?;
        let manager = self.set_settings(percent)?;
        if let Err(error) = heads::fit_millimetres(&self.conn, self.root) {
            tracing::debug!(%error, "the screen keeps its millimetres");
        }
        self.conn.sync()?;
        self.percent = percent;
        Ok(manager.map_or(Scaled::Followed, |manager| Scaled::NewPrograms { manager }))
    }

    /// Throws away what has come: nothing here is waited for, but every program is told when keys get other symbols, and what it
    /// does not read fills its socket and then the server's memory.
    pub(super) fn tidy(&self) -> Result<(), ReplyError> {
        while self.conn.poll_for_event()?.is_some() {}
        Ok(())
    }

    fn set_resources(&self, percent: u16) -> Result<(), ReplyError> {
        let (property, kind) = (AtomEnum::RESOURCE_MANAGER, AtomEnum::STRING);
        let old = self.conn.get_property(false, self.root, property, kind, 0, heads::MOST_RESOURCES)?.reply()?;
        let new = resources(&String::from_utf8_lossy(&old.value), percent);
        self.conn.change_property8(PropMode::REPLACE, self.root, property, kind, new.as_bytes())?.check()
    }

    /// Offers the settings; the name of the manager whose they are, if it is not us.
    fn set_settings(&mut self, percent: u16) -> Result<Option<String>, ReplyError> {
        let atom = |name: &str| -> Result<u32, ReplyError> {
            Ok(self.conn.intern_atom(false, name.as_bytes())?.reply()?.atom)
        };
        let selection = atom(&format!("_XSETTINGS_S{}", self.screen))?;
        let settings = atom("_XSETTINGS_SETTINGS")?;
        let owner = self.conn.get_selection_owner(selection)?.reply()?.owner;
        self.manager = self.manager.filter(|ours| *ours == owner);
        if self.manager.is_none() && owner != x11rb::NONE {
            return self.name_of(owner).map(Some);
        }
        self.serial = self.serial.wrapping_add(1);
        let value = xsettings(percent, self.serial);
        let window = match self.manager {
            Some(window) => window,
            None => {
                let window = self.conn.generate_id().map_err(|_| x11rb::errors::ConnectionError::UnknownError)?;
                let aux = CreateWindowAux::new();
                self.conn.create_window(0, window, self.root, 0, 0, 1, 1, 0, WindowClass::INPUT_ONLY, 0, &aux)?;
                window
            }
        };
        self.conn.change_property8(PropMode::REPLACE, window, settings, settings, &value)?.check()?;
        if self.manager.is_none() {
            self.conn.set_selection_owner(window, selection, x11rb::CURRENT_TIME)?.check()?;
            // ICCCM 2.8: whoever waits for a manager is told.
            let told = [x11rb::CURRENT_TIME, selection, window, 0, 0];
            let event = ClientMessageEvent::new(32, self.root, atom("MANAGER")?, told);
            self.conn.send_event(false, self.root, EventMask::STRUCTURE_NOTIFY, event)?;
            self.manager = Some(window);
        }
        Ok(None)
    }

    /// What the program of this window calls itself: any program may have written it.
    fn name_of(&self, window: Window) -> Result<String, ReplyError> {
        let reply = self.conn.get_property(false, window, AtomEnum::WM_NAME, AtomEnum::ANY, 0, 64)?.reply();
        let name = match reply {
            Ok(reply) => String::from_utf8_lossy(&reply.value).into_owned(),
            // It went away meanwhile.
            Err(ReplyError::X11Error(_)) => String::new(),
            Err(error) => return Err(error),
        };
        let name: String = name.chars().filter(|c| !c.is_control()).take(MOST_NAME).collect();
        Ok(if name.trim().is_empty() { "a settings manager".into() } else { name })
    }
}

/// The root's resources with the scale in them, all other lines as they were.
fn resources(old: &str, percent: u16) -> String {
    let ours = ["Xft.dpi:", "Xcursor.size:"];
    let kept = old.lines().filter(|line| !ours.iter().any(|name| line.trim_start().starts_with(name)));
    let mut new: String = kept.flat_map(|line| [line, "\n"]).collect();
    let scaled = |n: u32| (n * u32::from(percent) + 50) / 100;
    new.push_str(&format!("Xft.dpi:\t{}\nXcursor.size:\t{}\n", scaled(heads::DPI), scaled(POINTER)));
    new
}

/// The XSETTINGS property: byte order, serial, count, and whole numbers by name.
fn xsettings(percent: u16, serial: u32) -> Vec<u8> {
    let factor = u32::from(percent / 100).max(1);
    // In 1/1024 of a dot per inch, as the names of the settings imply.
    let dpi = 1024 * heads::DPI * u32::from(percent) / 100;
    let settings = [
        ("Gdk/UnscaledDPI", dpi / factor),
        ("Gdk/WindowScalingFactor", factor),
        ("Gtk/CursorThemeSize", POINTER * u32::from(percent) / 100),
        ("Xft/DPI", dpi),
    ];
    let mut out = vec![0, 0, 0, 0];
    out.extend(serial.to_le_bytes());
    out.extend((settings.len() as u32).to_le_bytes());
    for (name, value) in settings {
        out.extend([0, 0]);
        out.extend((name.len() as u16).to_le_bytes());
        out.extend(name.as_bytes());
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(serial.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_resources_stay() {
        let old = "*customization: -color\nXft.dpi:\t96\nXft.hinting: 1\n";
        let new = resources(old, 150);
        assert_eq!(new, "*customization: -color\nXft.hinting: 1\nXft.dpi:\t144\nXcursor.size:\t36\n");
        assert_eq!(resources(&new, 150), new);
        assert_eq!(resources("", 100), "Xft.dpi:\t96\nXcursor.size:\t24\n");
    }

    // spec: K-30
    #[test]
    fn settings_are_laid_out_as_the_specification_says() {
        let bytes = xsettings(200, 7);
        assert_eq!(bytes[..12], [0, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0]);
        // Type 0, name of 15 bytes and one of padding, serial, value.
        assert_eq!(bytes[12..16], [0, 0, 15, 0]);
        assert_eq!(&bytes[16..31], b"Gdk/UnscaledDPI");
        assert_eq!(bytes[32..40], [7, 0, 0, 0, 0, 128, 1, 0], "96 dots per inch once the widgets are doubled");
        assert_eq!(bytes.len() % 4, 0);
        let value = |percent, name: &str| {
            let bytes = xsettings(percent, 1);
            let at = bytes.windows(name.len()).position(|w| w == name.as_bytes()).unwrap();
            let at = (at + name.len()).next_multiple_of(4) + 4;
            u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
        };
        assert_eq!((value(150, "Gdk/WindowScalingFactor"), value(150, "Xft/DPI")), (1, 144 * 1024));
        assert_eq!((value(300, "Gdk/WindowScalingFactor"), value(300, "Xft/DPI")), (3, 288 * 1024));
    }
}
