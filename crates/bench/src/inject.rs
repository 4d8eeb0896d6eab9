//! Keys and the pointer on the client's display, through XTEST: for the viewer they are the hardware.

use crate::stimulus;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{self, ConnectionExt as _};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// A connection that injects.
pub struct Injector {
    conn: RustConnection,
    root: u32,
    codes: BTreeMap<char, u8>,
}

impl Injector {
    /// Opens the client's display.
    ///
    /// # Errors
    /// When it is not there or has no XTEST.
    pub fn open(display: &str) -> Result<Self> {
        let (conn, screen) = x11rb::connect(Some(display)).context("cannot reach the client's display")?;
        let root = conn.setup().roots.get(screen).context("the display has no screen")?.root;
        conn.xtest_get_version(2, 2)?.reply().context("the display has no XTEST")?;
        let codes = stimulus::letters(&conn)?.into_iter().map(|(code, c)| (c, code)).collect();
        Ok(Self { conn, root, codes })
    }

    /// Puts the pointer into the lower right corner, where no work draws and no comparison looks.
    ///
    /// # Errors
    /// When the display is gone.
    pub fn park_pointer(&self) -> Result<()> {
        let size = self.conn.get_geometry(self.root)?.reply()?;
        let (x, y) = (size.width as i16 - 2, size.height as i16 - 2);
        self.conn.xtest_fake_input(xproto::MOTION_NOTIFY_EVENT, 0, 0, self.root, x, y, 0)?;
        Ok(self.conn.sync()?)
    }

    /// Presses or lifts the key of a letter. It has left this process when the call returns.
    ///
    /// # Errors
    /// When the display is gone or its keyboard has no such letter.
    pub fn key(&self, letter: char, down: bool) -> Result<()> {
        let code = *self.codes.get(&letter).context("the client's keyboard has no such letter")?;
        let kind = if down { xproto::KEY_PRESS_EVENT } else { xproto::KEY_RELEASE_EVENT };
        self.conn.xtest_fake_input(kind, code, 0, self.root, 0, 0, 0)?;
        Ok(self.conn.flush()?)
    }
}
