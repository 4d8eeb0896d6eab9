//! How monitors are written: a list of places on the surface with what belongs to each.

use crate::fault::Fault;
use crate::wire::{Put, Reader};
use telepane_model::monitor::{MAX_MONITOR_NAME, MOST_MONITORS, surface_of};
use telepane_model::{Monitor, Rect};

pub(crate) fn put(out: &mut Vec<u8>, monitors: &[Monitor]) {
    let monitors = monitors.get(..MOST_MONITORS).unwrap_or(monitors);
    out.varint(monitors.len() as u64);
    for m in monitors {
        for v in [m.place.x.max(0).unsigned_abs(), m.place.y.max(0).unsigned_abs(), m.place.w, m.place.h] {
            out.varint(u64::from(v));
        }
        out.varint(u64::from(m.scale));
        out.varint(u64::from(m.refresh));
        out.push(u8::from(m.primary));
        out.text(&m.name, MAX_MONITOR_NAME);
    }
}

// spec: K-70, K-71
pub(crate) fn take(r: &mut Reader<'_>) -> Result<Vec<Monitor>, Fault> {
    let mut monitors = Vec::new();
    for _ in 0..r.count(MOST_MONITORS)? {
        let (x, y, w, h): (u16, u16, u16, u16) = (r.var()?, r.var()?, r.var()?, r.var()?);
        monitors.push(Monitor {
            place: Rect::new(x.into(), y.into(), w.into(), h.into()),
            scale: r.var()?,
            refresh: r.var()?,
            primary: r.u8()? & 1 != 0,
            name: r.text(MAX_MONITOR_NAME)?.into(),
        });
    }
    surface_of(&monitors).map_err(|_| Fault::BadMonitors)?;
    Ok(monitors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Control;

    fn read(places: &[[u64; 4]], flags: u8) -> Result<Control, Fault> {
        let mut bytes = vec![60];
        bytes.varint(places.len() as u64);
        for place in places {
            place.iter().chain(&[100, 60_000]).for_each(|n| bytes.varint(*n));
            bytes.push(flags);
            bytes.text("", 1);
        }
        Control::decode(&bytes)
    }

    // spec: K-71
    #[test]
    fn monitors_that_make_no_desktop_are_refused() {
        assert!(read(&[[0, 0, 800, 600], [800, 0, 600, 600]], 0).is_ok());
        for bad in [&[][..], &[[0, 0, 0, 600]], &[[0, 0, 800, 600], [16_384, 0, 1, 1]]] {
            assert_eq!(read(bad, 0), Err(Fault::BadMonitors), "{bad:?}");
        }
        assert_eq!(read(&[[0, 0, 8, 6], [8, 0, 8, 6]], 1), Err(Fault::BadMonitors), "two primaries");
        assert!(read(&[[0, 0, 8, 6]; 17], 0).is_err(), "too many");
    }
}
