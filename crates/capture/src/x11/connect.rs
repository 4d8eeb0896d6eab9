//! Connecting to an X server, and what must hold there before its screen can be captured.

use crate::open::{OpenError, sockets};
use std::os::fd::AsRawFd;
use std::path::Path;
use telepane_model::{Size, Surf};
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::ConnectError;
use x11rb::protocol::xproto::{ConnectionExt as _, ImageOrder, Screen, VisualClass};
use x11rb::protocol::{damage, randr, shm, xfixes};
use x11rb::reexports::x11rb_protocol::parse_display::parse_display;
use x11rb::rust_connection::{DefaultStream, RustConnection};

/// A connection with the facts the source needs of it.
pub(crate) struct Connected {
    pub conn: RustConnection,
    pub name: String,
    pub root: u32,
    pub size: Size<Surf>,
    pub has_randr: bool,
    /// On this machine, so that descriptors can be passed.
    pub is_local: bool,
    pub has_shm: bool,
}

/// Opens a connection to `display` (`$DISPLAY` if `None`), with the cookie from `xauthority` (or where `$XAUTHORITY`
/// and `$HOME` say).
///
/// # Errors
/// With the display's name and what is known about why.
pub fn connect(display: Option<&str>, xauthority: Option<&Path>) -> Result<(RustConnection, usize, String), OpenError> {
    let name = display.map_or_else(|| std::env::var("DISPLAY").unwrap_or_default(), str::to_owned);
    if name.is_empty() {
        return Err(OpenError::NoDisplay { sockets: sockets() });
    }
    let refused = |reason: String| OpenError::NoSuchDisplay { name: name.clone(), reason, sockets: sockets() };
    let parsed = parse_display(Some(&name)).map_err(|e| refused(e.to_string()))?;
    // x11rb adds 6000 to it in 16 bits.
    if parsed.display > u16::MAX - 6000 {
        return Err(refused("there is no such number".into()));
    }
    let (conn, screen) = match xauthority {
        None => RustConnection::connect(Some(&name)).map_err(|e| refused(plain(&e)))?,
        Some(path) => {
            let cookie = super::super::virtual_desktop::xauth::cookie(path, parsed.display)
                .map_err(|e| refused(format!("{}: {e}", path.display())))?;
            let mut last = "no address".to_owned();
            let mut stream = None;
            for address in parsed.connect_instruction() {
                match DefaultStream::connect(&address) {
                    Ok((s, _)) => {
                        stream = Some(s);
                        break;
                    }
                    Err(e) => last = e.to_string(),
                }
            }
            let stream = stream.ok_or_else(|| refused(last))?;
            let screen = usize::from(parsed.screen);
            let (kind, data) = cookie.map_or((Vec::new(), Vec::new()), |c| (b"MIT-MAGIC-COOKIE-1".to_vec(), c));
            let conn = RustConnection::connect_to_stream_with_auth_info(stream, screen, kind, data)
                .map_err(|e| refused(plain(&e)))?;
            (conn, screen)
        }
    };
    Ok((conn, screen, name))
}

/// x11rb's message without its type names.
fn plain(e: &ConnectError) -> String {
    match e {
        ConnectError::SetupFailed(f) => String::from_utf8_lossy(&f.reason).trim().to_owned(),
        ConnectError::SetupAuthenticate(f) => String::from_utf8_lossy(&f.reason).trim().to_owned(),
        ConnectError::IoError(e) => e.to_string(),
        other => other.to_string(),
    }
}

/// Connects and checks that the screen can be captured.
pub(crate) fn prepare(display: Option<&str>, xauthority: Option<&Path>) -> Result<Connected, OpenError> {
    let (conn, screen, name) = connect(display, xauthority)?;
    let fault = |e: &dyn std::fmt::Display| OpenError::Unusable { name: name.clone(), reason: e.to_string() };
    if is_xwayland(&conn, screen) {
        return Err(OpenError::Xwayland { name });
    }
    let Some(screen) = conn.setup().roots.get(screen) else {
        return Err(fault(&"no such screen"));
    };
    check_format(&conn, screen).map_err(|e| fault(&e))?;
    let has = |extension: &'static str| matches!(conn.extension_information(extension), Ok(Some(_)));
    if !has(damage::X11_EXTENSION_NAME) || !has(xfixes::X11_EXTENSION_NAME) {
        return Err(fault(&"it lacks the DAMAGE or XFIXES extension"));
    }
    damage::query_version(&conn, 1, 1).map_err(|e| fault(&e))?.reply().map_err(|e| fault(&e))?;
    xfixes::query_version(&conn, 4, 0).map_err(|e| fault(&e))?.reply().map_err(|e| fault(&e))?;
    let mut has_randr = has(randr::X11_EXTENSION_NAME);
    if has_randr {
        // Output and mode requests came with 1.2.
        let version = randr::query_version(&conn, 1, 5).map_err(|e| fault(&e))?.reply().map_err(|e| fault(&e))?;
        has_randr = (version.major_version, version.minor_version) >= (1, 2);
    }
    let geometry = conn.get_geometry(screen.root).map_err(|e| fault(&e))?.reply().map_err(|e| fault(&e))?;
    let size = Size::new(geometry.width.into(), geometry.height.into());
    if !size.is_valid() {
        return Err(fault(&format!("its screen of {size} is outside 1x1 to 16384x16384")));
    }
    let (root, has_shm) = (screen.root, has(shm::X11_EXTENSION_NAME));
    let is_local = is_unix_socket(conn.stream().as_raw_fd());
    Ok(Connected { root, size, has_randr, is_local, has_shm, name, conn })
}

/// Whether this server is Xwayland, whose root window is empty: it says so by an extension, and older ones by the
/// names of their outputs.
pub fn is_xwayland(conn: &RustConnection, screen: usize) -> bool {
    if let Ok(Ok(reply)) = conn.query_extension(b"XWAYLAND").map(|c| c.reply())
        && reply.present
    {
        return true;
    }
    let Some(root) = conn.setup().roots.get(screen).map(|s| s.root) else {
        return false;
    };
    if !matches!(conn.extension_information(randr::X11_EXTENSION_NAME), Ok(Some(_))) {
        return false;
    }
    let Some(resources) = randr::get_screen_resources_current(conn, root).ok().and_then(|c| c.reply().ok()) else {
        return false;
    };
    resources.outputs.iter().any(|output| {
        randr::get_output_info(conn, *output, resources.config_timestamp)
            .ok()
            .and_then(|c| c.reply().ok())
            .is_some_and(|info| info.name.starts_with(b"XWAYLAND"))
    })
}

/// Whether descriptors can be passed over it. The display's name does not tell: `:5` may end up at TCP port 6005.
fn is_unix_socket(fd: i32) -> bool {
    let mut domain = 0i32;
    let mut len = std::mem::size_of::<i32>() as libc::socklen_t;
    // SAFETY: the value and its length are ours and fit each other.
    let done =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_DOMAIN, (&raw mut domain).cast(), &raw mut len) };
    done == 0 && domain == libc::AF_UNIX
}

/// Only 32 bits a pixel, little endian, blue first: what every X server of the last fifteen years has at depth 24.
fn check_format(conn: &RustConnection, screen: &Screen) -> Result<(), String> {
    let setup = conn.setup();
    let bits = setup.pixmap_formats.iter().find(|f| f.depth == screen.root_depth).map_or(0, |f| f.bits_per_pixel);
    let visual = screen.allowed_depths.iter().flat_map(|d| &d.visuals).find(|v| v.visual_id == screen.root_visual);
    let colours = visual.is_some_and(|v| {
        v.class == VisualClass::TRUE_COLOR
            && (v.red_mask, v.green_mask, v.blue_mask) == (0x00ff_0000, 0x0000_ff00, 0x0000_00ff)
    });
    if matches!(screen.root_depth, 24 | 32) && bits == 32 && setup.image_byte_order == ImageOrder::LSB_FIRST && colours
    {
        return Ok(());
    }
    Err(format!(
        "its pixels have depth {} in {bits} bits; run it at depth 24 (Xvfb -screen 0 1920x1080x24, or DefaultDepth 24 \
         in xorg.conf)",
        screen.root_depth
    ))
}
