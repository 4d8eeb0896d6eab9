//! A scale for each monitor, where they are to have different ones: a monitor object each (RANDR 1.5) whose millimetres say
//! it, for toolkits that divide a monitor's pixels by them. X has one `Xft.dpi` for all, which follows the primary monitor.
//! Where all have the same scale there are no such objects.

use super::heads::DPI;
use telepane_model::{Monitor, Rect, Size, Surf};
use x11rb::errors::ReplyError;
use x11rb::protocol::randr::{self, ConnectionExt as _};
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

/// What the names of monitor objects of ours begin with.
const SCALED: &str = "telepane-";

/// Whether monitors want other scales than one another.
pub(super) fn are_mixed<'a>(mut monitors: impl Iterator<Item = &'a Monitor>) -> bool {
    let first = monitors.next().map(|m| m.scale);
    monitors.any(|m| Some(m.scale) != first)
}

/// What a monitor object of ours for this output is called; a server refuses the output's own name.
pub(super) fn name_for(output: &[u8]) -> String {
    format!("{SCALED}{}", String::from_utf8_lossy(output))
}

/// The monitor objects of ours that there are, also of outputs that are off, with the scale that their millimetres say.
pub(super) fn monitors(conn: &RustConnection, root: u32) -> Result<Vec<Monitor>, ReplyError> {
    let there = match conn.randr_get_monitors(root, false)?.reply() {
        Ok(there) => there.monitors,
        // RANDR before 1.5.
        Err(ReplyError::X11Error(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut ours = Vec::new();
    for m in there.iter().filter(|m| !m.automatic) {
        let name = conn.get_atom_name(m.name)?.reply()?.name;
        if let Ok(name) = String::from_utf8(name)
            && name.starts_with(SCALED)
        {
            let size = Size::new(m.width.into(), m.height.into());
            ours.push(Monitor {
                place: Rect::new(m.x.into(), m.y.into(), m.width.into(), m.height.into()),
                scale: scale_of(size, (m.width_in_millimeters, m.height_in_millimeters)),
                name,
                ..Monitor::default()
            });
        }
    }
    Ok(ours)
}

/// The millimetres of a monitor whose programs are to scale by this.
fn millimetres(size: Size<Surf>, scale: u16) -> (u32, u32) {
    let dpi = u64::from(DPI) * u64::from(scale.max(1));
    let mm = |px: u32| ((u64::from(px) * 2_540 + dpi / 2) / dpi) as u32;
    (mm(size.w).max(1), mm(size.h).max(1))
}

/// The scale that was meant by these millimetres, which are whole ones: the roundest that gives them.
fn scale_of(size: Size<Surf>, mm: (u32, u32)) -> u16 {
    let gives = |scale: &u16| millimetres(size, *scale) == mm;
    let by = |step: usize| (50..=500u16).step_by(step).find(gives);
    by(25).or_else(|| by(5)).or_else(|| by(1)).unwrap_or(100)
}

/// Gives each of these monitors an object with its scale, if they are to have different ones; else none has one.
pub(super) fn set(
    conn: &RustConnection,
    root: u32,
    heads: &[(randr::Output, &[u8], &Monitor)],
) -> Result<(), ReplyError> {
    for old in monitors(conn, root)? {
        let name = conn.intern_atom(false, old.name.as_bytes())?.reply()?.atom;
        conn.randr_delete_monitor(root, name)?.check()?;
    }
    if !are_mixed(heads.iter().map(|(_, _, m)| *m)) {
        return Ok(());
    }
    for (output, name, monitor) in heads {
        let place = monitor.place;
        let number = |n: i32| i16::try_from(n).unwrap_or(i16::MAX);
        let (width_in_millimeters, height_in_millimeters) = millimetres(place.size(), monitor.scale);
        let info = randr::MonitorInfo {
            name: conn.intern_atom(false, name_for(name).as_bytes())?.reply()?.atom,
            primary: monitor.primary,
            automatic: false,
            x: number(place.x),
            y: number(place.y),
            width: u16::try_from(place.w).unwrap_or(u16::MAX),
            height: u16::try_from(place.h).unwrap_or(u16::MAX),
            width_in_millimeters,
            height_in_millimeters,
            outputs: vec![*output],
        };
        match conn.randr_set_monitor(root, info)?.check() {
            Ok(()) => {}
            // RANDR before 1.5: the monitors stand, with one scale.
            Err(ReplyError::X11Error(error)) => {
                tracing::warn!(kind = ?error.error_kind, "the X server keeps no scale for each monitor");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_goes_through_whole_millimetres() {
        for (w, h) in [(640, 480), (800, 600), (1024, 768), (1920, 1080), (3840, 2160)] {
            for scale in [100, 125, 150, 175, 200, 300] {
                let size = Size::new(w, h);
                assert_eq!(scale_of(size, millimetres(size, scale)), scale, "{w}x{h}");
            }
        }
        assert_eq!(millimetres(Size::new(1920, 1080), 100), (508, 286));
        assert_eq!(scale_of(Size::new(1920, 1080), (0, 0)), 100);
    }
}
