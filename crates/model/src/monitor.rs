//! The monitors of a desktop: parts of its surface, each with a scale and a refresh rate of its own.

use crate::geometry::{Rect, Size, Surf};
use alloc::string::String;
use alloc::vec::Vec;

/// The most monitors a desktop may have (outputs of Xorg's dummy driver).
pub const MOST_MONITORS: usize = 16;
/// The most bytes of a monitor's name.
pub const MAX_MONITOR_NAME: usize = 64;

/// One monitor.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Monitor {
    /// Which part of the surface it shows.
    pub place: Rect<Surf>,
    /// What text and widgets are sized by there, in percent.
    pub scale: u16,
    /// Pictures it shows in 1000 s; 0 where that is not known.
    pub refresh: u32,
    /// Panels and new windows belong there.
    pub primary: bool,
    /// Its name, for people. At most [`MAX_MONITOR_NAME`] bytes.
    pub name: String,
}

/// Why monitors make no desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadMonitors {
    /// None, or more than [`MOST_MONITORS`].
    Count,
    /// One has no pixels, lies left of or above the surface, or reaches beyond 16,384 pixels.
    Place,
    /// Two are the primary one.
    Primary,
}

/// The size of the surface that holds these monitors.
///
/// # Errors
/// When they make no desktop.
pub fn surface_of(monitors: &[Monitor]) -> Result<Size<Surf>, BadMonitors> {
    if !(1..=MOST_MONITORS).contains(&monitors.len()) {
        return Err(BadMonitors::Count);
    }
    let whole = monitors.iter().fold(Rect::default(), |whole: Rect<Surf>, m| whole.union(m.place));
    let size = Size::new(whole.right().max(0).unsigned_abs(), whole.bottom().max(0).unsigned_abs());
    let inside = |m: &Monitor| m.place.size().is_valid() && size.rect().contains(m.place);
    if !size.is_valid() || !monitors.iter().all(inside) {
        return Err(BadMonitors::Place);
    }
    match monitors.iter().filter(|m| m.primary).count() {
        0 | 1 => Ok(size),
        _ => Err(BadMonitors::Primary),
    }
}

/// The same monitors with the top left corner of all of them at the surface's origin.
pub fn from_the_origin(mut monitors: Vec<Monitor>) -> Vec<Monitor> {
    let x = monitors.iter().map(|m| m.place.x).min().unwrap_or(0);
    let y = monitors.iter().map(|m| m.place.y).min().unwrap_or(0);
    for m in &mut monitors {
        m.place = m.place.offset(x.saturating_neg(), y.saturating_neg());
    }
    monitors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: i32, y: i32, w: u32, h: u32) -> Monitor {
        Monitor { place: Rect::new(x, y, w, h), scale: 100, ..Monitor::default() }
    }

    #[test]
    fn a_desktop_holds_its_monitors() {
        let two = from_the_origin(alloc::vec![at(-300, 20, 300, 200), at(0, -80, 400, 300)]);
        assert_eq!((two[0].place, two[1].place), (Rect::new(0, 100, 300, 200), Rect::new(300, 0, 400, 300)));
        assert_eq!(surface_of(&two), Ok(Size::new(700, 300)));
    }

    #[test]
    fn what_makes_no_desktop_is_named() {
        assert_eq!(surface_of(&[]), Err(BadMonitors::Count));
        assert_eq!(surface_of(&alloc::vec![at(0, 0, 1, 1); 17]), Err(BadMonitors::Count));
        for place in [at(0, 0, 0, 5), at(-1, 0, 5, 5), at(16_380, 0, 5, 5), at(i32::MAX, 0, 5, 5), at(0, 0, 5, 20_000)]
        {
            assert_eq!(surface_of(&[at(0, 0, 5, 5), place.clone()]), Err(BadMonitors::Place), "{place:?}");
        }
        let first = Monitor { primary: true, ..at(0, 0, 5, 5) };
        assert_eq!(surface_of(&[first.clone(), first]), Err(BadMonitors::Primary));
    }
}
