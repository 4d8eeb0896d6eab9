//! Sending on a connection from any thread, whatever carries it.
//!
//! A [`Handle`] finds the connection by its number; [`Carry`] is what QUIC and the WebSocket each do with what it is given.

use crate::connection::Shared;
use crate::event::{ConnId, Fault, LinkStats, SendError};
use crate::frame::MAX_CONTROL;
use crate::{Lanes, MAX_CHUNK_BYTES};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::connection::lock;

/// What is kept of a closing text, in bytes.
pub(crate) const CLOSE_TEXT: usize = 256;

/// One connection, to the handles. The lanes' own limits are checked before it is called.
pub(crate) trait Carry: Send + Sync {
    /// The peer has proven itself.
    fn prove(&self);
    /// Whether it still takes anything.
    fn usable(&self) -> bool;
    fn send_datagram(self: Arc<Self>, bytes: Bytes) -> Result<(), SendError>;
    fn send_together(self: Arc<Self>, datagrams: Vec<Bytes>) -> Result<(), SendError>;
    fn send_control(&self, message: &[u8]) -> Result<(), SendError>;
    fn send_chunk(&self, chunk: Vec<u8>) -> Result<(), SendError>;
    fn close(self: Arc<Self>, code: u32, text: &[u8]);
    fn max_datagram(&self) -> usize;
    fn stats(&self) -> LinkStats;
    fn set_window(&self, bytes: u64);
    /// It goes on over another path.
    fn on_moved(&self);
}

/// Sends on a server's or a client's connections, from any thread. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// Says that the peer of `conn` has proven itself: its datagrams are delivered from now on, and the limits on its
    /// control messages rise. Not needed on a client whose host was pinned.
    pub fn authenticated(&self, conn: ConnId) {
        if let Some(conn) = self.shared.find(conn) {
            conn.prove();
        }
    }

    /// The connections that are alive.
    pub fn connections(&self) -> Vec<ConnId> {
        lock(&self.shared.conns).keys().copied().collect()
    }

    /// Takes no new client from now on; who tries is told so at once. To be called before the clients are told that the
    /// agent stops: they try again when they hear it, and one that is let in then would speak to nobody.
    pub fn refuse_new(&self) {
        self.shared.leaving.store(true, Ordering::Relaxed);
    }

    pub(crate) fn close_all(&self, fault: Fault) {
        for conn in self.connections() {
            self.close(conn, fault.code(), fault.name());
        }
    }

    fn usable(&self, id: ConnId) -> Result<Arc<dyn Carry>, SendError> {
        self.shared.find(id).filter(|c| c.usable()).ok_or(SendError::Gone)
    }
}

impl Lanes for Handle {
    // spec: L-4
    fn send_datagram(&self, conn: ConnId, bytes: Bytes) -> Result<(), SendError> {
        self.usable(conn)?.send_datagram(bytes)
    }

    // spec: L-4, H-25
    fn send_together(&self, conn: ConnId, datagrams: Vec<Bytes>) -> Result<(), SendError> {
        self.usable(conn)?.send_together(datagrams)
    }

    fn send_control(&self, conn: ConnId, message: &[u8]) -> Result<(), SendError> {
        let conn = self.usable(conn)?;
        if message.len() > MAX_CONTROL {
            return Err(SendError::TooLarge { max: MAX_CONTROL });
        }
        conn.send_control(message)
    }

    fn send_chunk(&self, conn: ConnId, chunk: Vec<u8>) -> Result<(), SendError> {
        let conn = self.usable(conn)?;
        if chunk.len() > MAX_CHUNK_BYTES {
            return Err(SendError::TooLarge { max: MAX_CHUNK_BYTES });
        }
        conn.send_chunk(chunk)
    }

    fn close(&self, conn: ConnId, code: u32, text: &str) {
        if let Some(conn) = self.shared.find(conn) {
            conn.close(code, text.as_bytes().get(..CLOSE_TEXT.min(text.len())).unwrap_or_default());
        }
    }

    fn max_datagram(&self, conn: ConnId) -> usize {
        self.shared.find(conn).map_or(0, |c| c.max_datagram())
    }

    fn stats(&self, conn: ConnId) -> Option<LinkStats> {
        Some(self.shared.find(conn)?.stats())
    }

    fn set_window(&self, conn: ConnId, bytes: u64) {
        if let Some(conn) = self.shared.find(conn) {
            conn.set_window(bytes);
        }
    }
}
