//! RANDR: the outputs of a virtual display, their modes, and one or several monitors of any size.
//!
//! A change is made under a server grab in an order that leaves every monitor lit at each step: the screen grows to
//! hold the old and the new layout, the monitors change, the screen shrinks. Applications see only the result.
//! Modes made here are called `telepane-WxH` or, with a rate that is asked for, `telepane-WxH-R`, and removed when no output
//! shows them. There is no glass that would refresh: the rate is what applications draw by that ask for it.

use super::scales;
use crate::source::ResizeRefused;
use telepane_model::monitor::{MAX_MONITOR_NAME, MOST_MONITORS, surface_of};
use telepane_model::{Monitor, Rect, Size, Surf};
use x11rb::connection::Connection;
use x11rb::errors::ReplyError;
use x11rb::protocol::randr::{self, ConnectionExt as _, ModeFlag, ModeInfo, Rotation};
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _};
use x11rb::rust_connection::RustConnection;

/// Output names of drivers without hardware: Xorg's dummy, Xvfb, TigerVNC's Xvnc, Xephyr.
const VIRTUAL_OUTPUTS: [&[u8]; 4] = [b"DUMMY", b"screen", b"VNC-", b"default"];

/// Dots per inch where nothing else is said.
pub const DPI: u32 = 96;

/// The rate of a monitor for which none is asked, in pictures per 1000 s.
const RATE: u32 = 60_000;
/// The rates that are made (the servers started here are told 1 to 1000 Hz).
const RATES: std::ops::RangeInclusive<u32> = 1_000..=1_000_000;

/// The most of the root's resources that is read, in 32-bit units.
pub const MOST_RESOURCES: u32 = 1 << 18;

/// Whether every connected output belongs to a display without a real monitor.
pub fn is_virtual(conn: &RustConnection, root: u32) -> bool {
    outputs(conn, root).is_ok_and(|all| !all.is_empty() && all.iter().all(|o| !o.connected || o.is_virtual()))
}

/// Makes the whole screen one monitor of `size`.
///
/// # Errors
/// When a real monitor is connected, the size is out of range, or the server says no.
pub fn resize(conn: &RustConnection, root: u32, size: Size<Surf>) -> Result<Size<Surf>, ResizeRefused> {
    arrange(conn, root, &[size])
}

/// Makes one monitor for each of `sizes`, side by side from the left with their tops aligned, and gives the size of
/// the screen that holds them.
///
/// # Errors
/// When a real monitor is connected, there are too few outputs, the size is out of range, or the server says no.
pub fn arrange(conn: &RustConnection, root: u32, sizes: &[Size<Surf>]) -> Result<Size<Surf>, ResizeRefused> {
    let mut x = 0u32;
    let places = sizes.iter().enumerate().map(|(i, size)| {
        let place = Rect::new(i32::try_from(x).unwrap_or(i32::MAX), 0, size.w, size.h);
        x = x.saturating_add(size.w);
        Monitor { place, primary: i == 0, ..Monitor::default() }
    });
    place(conn, root, &places.collect::<Vec<_>>())
}

/// Makes these monitors, each on the output of its name, else the first on the first output that is free and so on, and gives
/// the size of the screen that holds them. What is so already is left alone. A server with one output (Xvfb) makes one monitor of all.
///
/// # Errors
/// When a real monitor is connected, there are too few outputs, the size is out of range, or the server says no.
pub fn place(conn: &RustConnection, root: u32, monitors: &[Monitor]) -> Result<Size<Surf>, ResizeRefused> {
    let whole = surface_of(monitors).map_err(|_| ResizeRefused::NoDesktop)?;
    let refused = |e: &dyn std::fmt::Display| ResizeRefused::Server { asked: whole, reason: e.to_string() };
    let all = outputs(conn, root).map_err(|e| refused(&e))?;
    if let Some(real) = all.iter().find(|o| o.connected && !o.is_virtual()) {
        return Err(ResizeRefused::RealMonitor(String::from_utf8_lossy(&real.name).into_owned()));
    }
    let range = conn.randr_get_screen_size_range(root).map_err(|e| refused(&e))?.reply().map_err(|e| refused(&e))?;
    let least = Size::new(range.min_width.into(), range.min_height.into());
    let most = Size::new(range.max_width.into(), range.max_height.into());
    if whole.w < least.w || whole.h < least.h || whole.w > most.w || whole.h > most.h {
        return Err(ResizeRefused::OutOfRange { asked: whole, least, most });
    }
    let refresh = monitors.iter().map(|m| m.refresh).max().unwrap_or(0);
    let one = [Monitor { place: whole.rect(), primary: true, refresh, ..Monitor::default() }];
    let monitors = if all.len() == 1 { &one[..] } else { monitors };
    if all.len() < monitors.len() {
        return Err(refused(&format!("it has {} outputs", all.len())));
    }
    let pairs = assigned(&all, monitors);
    if stands(conn, root, &pairs, whole).map_err(|e| refused(&e))? {
        return Ok(whole);
    }
    conn.grab_server().map_err(|e| refused(&e))?;
    let done = apply(conn, root, &all, &pairs, whole);
    let _ = conn.ungrab_server();
    let _ = conn.flush();
    done.map_err(|e| refused(&e))?;
    Ok(whole)
}

/// The monitors there are, in the order of the outputs they hang on.
///
/// # Errors
/// When the server does not answer, or has no RANDR 1.3.
pub fn monitors(conn: &RustConnection, root: u32) -> Result<Vec<Monitor>, ReplyError> {
    let resources = conn.randr_get_screen_resources_current(root)?.reply()?;
    let primary = conn.randr_get_output_primary(root)?.reply()?.output;
    let scale = resolution(conn, root)? * 100 / DPI;
    let scaled = scales::monitors(conn, root)?;
    let mut seen: Vec<randr::Crtc> = Vec::new();
    let mut found = Vec::new();
    for head in outputs(conn, root)?.into_iter().filter(|h| h.crtc != 0) {
        // Outputs that show the same are one monitor.
        if seen.contains(&head.crtc) {
            continue;
        }
        seen.push(head.crtc);
        let crtc = conn.randr_get_crtc_info(head.crtc, resources.config_timestamp)?.reply()?;
        let mode = resources.modes.iter().find(|m| m.id == crtc.mode);
        let mut name = String::from_utf8_lossy(&head.name).into_owned();
        while name.len() > MAX_MONITOR_NAME {
            name.pop();
        }
        let place = Rect::new(crtc.x.into(), crtc.y.into(), crtc.width.into(), crtc.height.into());
        let own = scaled.iter().find(|m| m.name == scales::name_for(&head.name) && m.place == place);
        found.push(Monitor {
            place,
            scale: own.map_or(u16::try_from(scale).unwrap_or(u16::MAX), |m| m.scale),
            refresh: mode.map_or(0, rate_of),
            primary: head.id == primary,
            name,
        });
        if found.len() == MOST_MONITORS {
            break;
        }
    }
    Ok(found)
}

/// Which output shows which monitor, in the order of the outputs.
// spec: K-85
fn assigned<'a>(heads: &'a [Head], monitors: &'a [Monitor]) -> Vec<(&'a Head, &'a Monitor)> {
    let mut on: Vec<Option<&Monitor>> = vec![None; heads.len()];
    let named = |m: &Monitor| heads.iter().position(|h| h.name == m.name.as_bytes());
    let mut rest = Vec::new();
    for monitor in monitors {
        match named(monitor).and_then(|n| on.get_mut(n)).filter(|there| there.is_none()) {
            Some(there) => *there = Some(monitor),
            None => rest.push(monitor),
        }
    }
    for (there, monitor) in on.iter_mut().filter(|there| there.is_none()).zip(rest) {
        *there = Some(monitor);
    }
    heads.iter().zip(on).filter_map(|(head, monitor)| Some((head, monitor?))).collect()
}

/// Whether the screen is as it should be.
fn stands(
    conn: &RustConnection,
    root: u32,
    wanted: &[(&Head, &Monitor)],
    whole: Size<Surf>,
) -> Result<bool, ReplyError> {
    let now = conn.get_geometry(root)?.reply()?;
    let mixed = scales::are_mixed(wanted.iter().map(|(_, m)| *m));
    let there = monitors(conn, root)?;
    let same = |(a, (head, b)): (&Monitor, &(&Head, &Monitor))| {
        let as_large = a.place == b.place && a.name.as_bytes() == head.name;
        // Where there is only one, nothing asks which is the primary one.
        let primary = a.primary || !b.primary || wanted.len() == 1;
        let as_fast = wanted_rate(b).is_none_or(|rate| are_near(a.refresh, rate_of(&timing(b.place.size(), rate, 0))));
        as_large && primary && as_fast && (!mixed || a.scale == b.scale)
    };
    Ok((u32::from(now.width), u32::from(now.height)) == (whole.w, whole.h)
        && there.len() == wanted.len()
        && scales::are_mixed(there.iter()) == mixed
        && there.iter().zip(wanted).all(same))
}

/// An output and what it can show.
struct Head {
    id: randr::Output,
    name: Vec<u8>,
    connected: bool,
    crtc: randr::Crtc,
    crtcs: Vec<randr::Crtc>,
    modes: Vec<randr::Mode>,
}

impl Head {
    fn is_virtual(&self) -> bool {
        VIRTUAL_OUTPUTS.iter().any(|v| self.name.starts_with(v))
    }
}

fn outputs(conn: &RustConnection, root: u32) -> Result<Vec<Head>, ReplyError> {
    let resources = conn.randr_get_screen_resources_current(root)?.reply()?;
    let cookies: Result<Vec<_>, _> = resources
        .outputs
        .iter()
        .map(|o| conn.randr_get_output_info(*o, resources.config_timestamp).map(|c| (*o, c)))
        .collect();
    let mut heads = Vec::new();
    for (id, cookie) in cookies? {
        let info = cookie.reply()?;
        heads.push(Head {
            id,
            name: info.name,
            connected: info.connection == randr::Connection::CONNECTED,
            crtc: info.crtc,
            crtcs: info.crtcs,
            modes: info.modes,
        });
    }
    Ok(heads)
}

/// Makes the screen's millimetres fit the resolution that `Xft.dpi` says, for programs that divide one by the other.
///
/// # Errors
/// When the server does not answer, or has no RANDR.
pub fn fit_millimetres(conn: &RustConnection, root: u32) -> Result<(), ReplyError> {
    let now = conn.get_geometry(root)?.reply()?;
    set_screen(conn, root, Size::new(now.width.into(), now.height.into()), resolution(conn, root)?)
}

/// What applications are told to scale by, in dots per inch.
fn resolution(conn: &RustConnection, root: u32) -> Result<u32, ReplyError> {
    let (property, kind) = (AtomEnum::RESOURCE_MANAGER, AtomEnum::STRING);
    let text = conn.get_property(false, root, property, kind, 0, MOST_RESOURCES)?.reply()?.value;
    Ok(xft_dpi(&String::from_utf8_lossy(&text)).unwrap_or(DPI))
}

/// The value of `Xft.dpi`, if it is a sensible one.
fn xft_dpi(resources: &str) -> Option<u32> {
    let value = resources.lines().rev().find_map(|line| line.trim_start().strip_prefix("Xft.dpi:"))?;
    let dpi: f64 = value.trim().parse().ok()?;
    (24.0..=1200.0).contains(&dpi).then_some(dpi.round() as u32)
}

fn apply(
    conn: &RustConnection,
    root: u32,
    heads: &[Head],
    pairs: &[(&Head, &Monitor)],
    whole: Size<Surf>,
) -> Result<(), ReplyError> {
    let now = conn.get_geometry(root)?.reply()?;
    let (old_w, old_h) = (u32::from(now.width), u32::from(now.height));
    let dpi = resolution(conn, root)?;
    set_screen(conn, root, Size::new(whole.w.max(old_w), whole.h.max(old_h)), dpi)?;
    // An output that shows something goes on with what feeds it.
    let mut used: Vec<randr::Crtc> = pairs.iter().map(|(h, _)| h.crtc).filter(|c| *c != 0).collect();
    let mut shown: Vec<randr::Mode> = Vec::new();
    for (head, monitor) in pairs {
        let (crtc, rotation, before) = match head.crtc {
            0 => (head.crtcs.iter().copied().find(|c| !used.contains(c)).unwrap_or(0), Rotation::ROTATE0, 0),
            // One that is turned stays so.
            own => {
                let now = conn.randr_get_crtc_info(own, 0)?.reply()?;
                (own, now.rotation, now.mode)
            }
        };
        let place = monitor.place;
        let upright = match rotation.intersects(Rotation::ROTATE90 | Rotation::ROTATE270) {
            true => Size::new(place.h, place.w),
            false => place.size(),
        };
        let mode = mode_for(conn, root, head, upright, wanted_rate(monitor), before)?;
        set_crtc(conn, crtc, (place.x, place.y), (mode, rotation), &[head.id])?;
        used.push(crtc);
        shown.push(mode);
    }
    for head in heads.iter().filter(|h| h.crtc != 0 && !used.contains(&h.crtc)) {
        set_crtc(conn, head.crtc, (0, 0), (0, Rotation::ROTATE0), &[])?;
    }
    if let Some((head, _)) = pairs.iter().find(|(_, m)| m.primary) {
        conn.randr_set_output_primary(root, head.id)?.check()?;
    }
    let scaled: Vec<_> = pairs.iter().map(|(h, m)| (h.id, h.name.as_slice(), *m)).collect();
    scales::set(conn, root, &scaled)?;
    set_screen(conn, root, whole, dpi)?;
    forget_modes(conn, root, heads, &shown)
}

fn set_screen(conn: &RustConnection, root: u32, size: Size<Surf>, dpi: u32) -> Result<(), ReplyError> {
    // There is no glass: the size in millimetres is only what applications scale by.
    let mm = |px: u32| (px * 254 + dpi * 5) / (dpi * 10);
    let (w, h) = (size.w as u16, size.h as u16);
    conn.randr_set_screen_size(root, w, h, mm(size.w), mm(size.h))?.check()
}

fn set_crtc(
    conn: &RustConnection,
    crtc: randr::Crtc,
    (x, y): (i32, i32),
    (mode, rotation): (randr::Mode, Rotation),
    outputs: &[randr::Output],
) -> Result<(), ReplyError> {
    let [x, y] = [x, y].map(|v| i16::try_from(v).unwrap_or(i16::MAX));
    let reply = conn.randr_set_crtc_config(crtc, 0, 0, x, y, mode, rotation, outputs)?.reply()?;
    if reply.status == randr::SetConfig::SUCCESS {
        Ok(())
    } else {
        tracing::warn!(status = ?reply.status, "the X server did not take a monitor's mode");
        Err(x11rb::errors::ConnectionError::UnknownError.into())
    }
}

/// The rate that is asked for, if one is.
fn wanted_rate(monitor: &Monitor) -> Option<u32> {
    (monitor.refresh > 0).then(|| monitor.refresh.clamp(*RATES.start(), *RATES.end()))
}

/// Pictures in 1000 s.
fn rate_of(mode: &ModeInfo) -> u32 {
    let total = u64::from(mode.htotal) * u64::from(mode.vtotal);
    let rate = (u64::from(mode.dot_clock) * 1000 + total / 2).checked_div(total).unwrap_or(0);
    u32::try_from(rate).unwrap_or(0)
}

/// Whether two rates are one to everybody: 59.94 Hz and 60 Hz are.
const fn are_near(a: u32, b: u32) -> bool {
    a.abs_diff(b) <= if a < b { b / 200 } else { a / 200 }
}

/// The mode of this size, and rate if one is asked for, on this output: the one `before` if it will do, else one that is made
/// and added if need be.
fn mode_for(
    conn: &RustConnection,
    root: u32,
    head: &Head,
    size: Size<Surf>,
    rate: Option<u32>,
    before: randr::Mode,
) -> Result<randr::Mode, ReplyError> {
    let resources = conn.randr_get_screen_resources_current(root)?.reply()?;
    let made = rate.map(|rate| rate_of(&timing(size, rate, 0)));
    let fits = |m: &&ModeInfo| {
        let as_large = u32::from(m.width) == size.w && u32::from(m.height) == size.h;
        as_large && made.is_none_or(|rate| are_near(rate_of(m), rate))
    };
    let has = |m: &&ModeInfo| m.id == before || head.modes.contains(&m.id);
    if let Some(mode) = resources.modes.iter().filter(fits).filter(has).min_by_key(|m| m.id != before) {
        return Ok(mode.id);
    }
    let name = mode_name(size, rate);
    let known = named_modes(&resources.modes, &resources.names).find(|(_, n)| *n == name.as_bytes());
    let id = match known {
        Some((id, _)) => id,
        None => {
            let info = timing(size, rate.unwrap_or(RATE), name.len() as u16);
            conn.randr_create_mode(root, info, name.as_bytes())?.reply()?.mode
        }
    };
    conn.randr_add_output_mode(head.id, id)?.check()?;
    Ok(id)
}

fn mode_name(size: Size<Surf>, rate: Option<u32>) -> String {
    rate.map_or_else(|| format!("telepane-{size}"), |rate| format!("telepane-{size}-{rate}"))
}

/// Each mode with its name; the names lie end to end.
fn named_modes<'a>(modes: &'a [ModeInfo], names: &'a [u8]) -> impl Iterator<Item = (randr::Mode, &'a [u8])> {
    let mut rest = names;
    modes.iter().map(move |m| {
        let (name, after) = rest.split_at(usize::from(m.name_len).min(rest.len()));
        rest = after;
        (m.id, name)
    })
}

/// A timing at this rate, or as near below as the pixel clock's number allows. The numbers mean nothing without a monitor,
/// but the server checks that they rise. (It holds the modes of its configuration to the 300 MHz of the dummy driver, and
/// not those that are made while it runs.)
fn timing(size: Size<Surf>, rate: u32, name_len: u16) -> ModeInfo {
    let (w, h) = (size.w as u16, size.h as u16);
    let (total_w, total_h) = (w.saturating_add(24), h.saturating_add(9));
    let pixels = u64::from(total_w) * u64::from(total_h);
    ModeInfo {
        id: 0,
        width: w,
        height: h,
        dot_clock: u32::try_from(pixels * u64::from(rate) / 1000).unwrap_or(u32::MAX),
        hsync_start: w.saturating_add(8),
        hsync_end: w.saturating_add(16),
        htotal: total_w,
        hskew: 0,
        vsync_start: h.saturating_add(3),
        vsync_end: h.saturating_add(6),
        vtotal: total_h,
        name_len,
        mode_flags: ModeFlag::default(),
    }
}

/// Removes our modes that are not shown.
fn forget_modes(conn: &RustConnection, root: u32, heads: &[Head], shown: &[randr::Mode]) -> Result<(), ReplyError> {
    let resources = conn.randr_get_screen_resources_current(root)?.reply()?;
    for (id, name) in named_modes(&resources.modes, &resources.names) {
        if !name.starts_with(b"telepane-") || shown.contains(&id) {
            continue;
        }
        for head in heads {
            // An output that does not have the mode refuses, which is as good.
            conn.randr_delete_output_mode(head.id, id)?.ignore_error();
        }
        conn.randr_destroy_mode(id)?.ignore_error();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_rise_and_have_the_rate() {
        for (w, h) in [(64, 64), (1700, 900), (3840, 2160), (16384, 16384)] {
            for rate in [1_000, 59_940, 144_000, 1_000_000] {
                let t = timing(Size::new(w, h), rate, 1);
                assert!(t.width < t.hsync_start && t.hsync_start < t.hsync_end && t.hsync_end < t.htotal);
                assert!(t.height < t.vsync_start && t.vsync_start < t.vsync_end && t.vsync_end < t.vtotal);
                assert!(
                    rate_of(&t).abs_diff(rate) <= 1 || (t.dot_clock == u32::MAX && rate_of(&t) < rate),
                    "{w}x{h} {t:?}"
                );
            }
        }
        assert_eq!(rate_of(&ModeInfo { htotal: 0, ..timing(Size::new(64, 64), RATE, 1) }), 0);
        assert!(
            are_near(59_940, 60_000) && are_near(60_000, 59_940) && !are_near(60_000, 61_000) && !are_near(0, 60_000)
        );
        let wanted = |refresh| wanted_rate(&Monitor { refresh, ..Monitor::default() });
        assert_eq!([0, 1, 144_000, u32::MAX].map(wanted), [None, Some(1_000), Some(144_000), Some(1_000_000)]);
    }

    #[test]
    fn a_monitor_stays_on_the_output_of_its_name() {
        let head = |name: &str| Head {
            id: 0,
            name: name.into(),
            connected: true,
            crtc: 0,
            crtcs: Vec::new(),
            modes: Vec::new(),
        };
        let heads = ["DUMMY0", "DUMMY1", "DUMMY2", "DUMMY3"].map(head);
        let on = |names: &[&str]| {
            let monitors: Vec<_> = names.iter().map(|n| Monitor { name: (*n).into(), ..Monitor::default() }).collect();
            let found = assigned(&heads, &monitors);
            let one = |(h, m): &(&Head, &Monitor)| (String::from_utf8(h.name.clone()).unwrap(), m.name.clone());
            found.iter().map(one).collect::<Vec<_>>()
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(on(&["DUMMY0", "DUMMY2"]), [pair("DUMMY0", "DUMMY0"), pair("DUMMY2", "DUMMY2")]);
        assert_eq!(on(&["left", "right"]), [pair("DUMMY0", "left"), pair("DUMMY1", "right")]);
        assert_eq!(on(&["DUMMY1", "DUMMY1", "x"]).len(), 3, "a name twice");
        assert_eq!(on(&["x", "DUMMY0"]), [pair("DUMMY0", "DUMMY0"), pair("DUMMY1", "x")]);
    }

    #[test]
    fn the_resolution_is_what_the_resources_say_last() {
        assert_eq!(xft_dpi("*a: b\nXft.dpi:\t96\n Xft.dpi: 144\n"), Some(144));
        for nothing in ["", "Xft.dpi: many", "Xft.dpi: 0", "Xft.dpi: 1e9", "XXft.dpi: 96"] {
            assert_eq!(xft_dpi(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn names_are_cut_where_the_modes_say() {
        let mode = |id, name_len| ModeInfo { id, name_len, ..timing(Size::new(64, 64), RATE, 0) };
        let modes = [mode(1, 2), mode(2, 0), mode(3, 9)];
        let got: Vec<_> = named_modes(&modes, b"abcde").collect();
        assert_eq!(got, [(1, &b"ab"[..]), (2, b""), (3, b"cde")]);
    }
}
