//! Sending on a connection from any thread, without a hop: quinn's connection is shared, so a datagram is queued by the
//! caller and only the network thread's wake-up lies between it and the socket.

use super::{BULK_QUEUE, CLOSE_TEXT, CONTROL_QUEUE, Conn, LINGER, Shared, Write, lock};
use crate::config::STREAM_WINDOW;
use crate::event::{ConnId, Fault, LinkStats, SendError};
use crate::frame::{MAX_CONTROL, framed};
use crate::{Lanes, MAX_CHUNK_BYTES};
use bytes::Bytes;
use quinn::VarInt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use tokio::time::timeout;

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

    pub(crate) fn close_all(&self, fault: Fault) {
        for conn in self.connections() {
            self.close(conn, fault.code(), fault.name());
        }
    }

    /// quinn sends as soon as the network thread wakes up, which the first datagram makes it do: often the second would
    /// go in a packet of its own. So that thread itself queues them, in one go.
    fn hand_over(&self, conn: &Arc<Conn>, datagrams: Vec<Bytes>) {
        let bytes = datagrams.iter().map(Bytes::len).sum();
        conn.handed_over.fetch_add(bytes, Ordering::AcqRel);
        let conn = conn.clone();
        self.shared.runtime.spawn(async move {
            for datagram in datagrams {
                // A path that has shrunk meanwhile loses it, as it loses what is on the way.
                let _ = conn.quinn.send_datagram(datagram);
            }
            conn.handed_over.fetch_sub(bytes, Ordering::AcqRel);
        });
    }

    fn usable(&self, id: ConnId) -> Result<Arc<Conn>, SendError> {
        self.shared.find(id).filter(|c| !c.closing.load(Ordering::Relaxed)).ok_or(SendError::Gone)
    }
}

impl Conn {
    /// Whether these can be sent now; the guard keeps their place until they are queued.
    fn room_for(&self, datagrams: &[Bytes]) -> Result<MutexGuard<'_, ()>, SendError> {
        let max = self.max_datagram();
        if datagrams.iter().any(|d| d.len() > max) {
            return Err(SendError::TooLarge { max });
        }
        let alone = lock(&self.sending);
        let bytes: usize = datagrams.iter().map(Bytes::len).sum();
        let space = self.quinn.datagram_send_buffer_space();
        if space.saturating_sub(self.handed_over.load(Ordering::Acquire)) < bytes.max(1) {
            // The queue may wait for nothing but the clock (see `window`), and only a wake-up makes quinn look at it: this
            // setting changes nothing else.
            self.quinn.set_send_window(u64::from(STREAM_WINDOW));
            return Err(SendError::Full);
        }
        Ok(alone)
    }
}

impl Lanes for Handle {
    // spec: L-4
    fn send_datagram(&self, conn: ConnId, bytes: Bytes) -> Result<(), SendError> {
        let conn = self.usable(conn)?;
        let _alone = conn.room_for(std::slice::from_ref(&bytes))?;
        if conn.handed_over.load(Ordering::Acquire) > 0 {
            self.hand_over(&conn, vec![bytes]);
            return Ok(());
        }
        conn.quinn.send_datagram(bytes).map_err(|e| match e {
            // The path may have shrunk since the look above.
            quinn::SendDatagramError::TooLarge => SendError::TooLarge { max: conn.max_datagram() },
            _ => SendError::Gone,
        })
    }

    // spec: L-4, H-25
    fn send_together(&self, conn: ConnId, datagrams: Vec<Bytes>) -> Result<(), SendError> {
        let conn = self.usable(conn)?;
        let _alone = conn.room_for(&datagrams)?;
        self.hand_over(&conn, datagrams);
        Ok(())
    }

    fn send_control(&self, conn: ConnId, message: &[u8]) -> Result<(), SendError> {
        let conn = self.usable(conn)?;
        if message.len() > MAX_CONTROL {
            return Err(SendError::TooLarge { max: MAX_CONTROL });
        }
        let bytes = framed(message);
        let len = bytes.len();
        if conn.queued.fetch_add(len, Ordering::Relaxed).saturating_add(len) > CONTROL_QUEUE {
            conn.queued.fetch_sub(len, Ordering::Relaxed);
            return Err(SendError::Full);
        }
        conn.writes.send(Write::Message(bytes)).map_err(|_| SendError::Gone)
    }

    fn send_chunk(&self, conn: ConnId, chunk: Vec<u8>) -> Result<(), SendError> {
        let conn = self.usable(conn)?;
        if chunk.len() > MAX_CHUNK_BYTES {
            return Err(SendError::TooLarge { max: MAX_CHUNK_BYTES });
        }
        let len = chunk.len();
        if conn.bulk_queued.fetch_add(len, Ordering::Relaxed).saturating_add(len) > BULK_QUEUE {
            conn.bulk_queued.fetch_sub(len, Ordering::Relaxed);
            return Err(SendError::Full);
        }
        conn.chunks.send(chunk).map_err(|_| SendError::Gone)
    }

    fn close(&self, conn: ConnId, code: u32, text: &str) {
        let Some(conn) = self.shared.find(conn) else { return };
        if conn.closing.swap(true, Ordering::Relaxed) {
            return;
        }
        let text = text.as_bytes().get(..CLOSE_TEXT.min(text.len())).unwrap_or_default().to_vec();
        if !conn.has_stream.load(Ordering::Relaxed) {
            return conn.quinn.close(VarInt::from_u32(code), &text);
        }
        let _ = conn.writes.send(Write::Close { code, text: text.clone() });
        // The writer may be stuck behind the peer's flow control.
        self.shared.runtime.spawn(async move {
            let _ = timeout(2 * LINGER, conn.quinn.closed()).await;
            conn.quinn.close(VarInt::from_u32(code), &text);
        });
    }

    fn max_datagram(&self, conn: ConnId) -> usize {
        self.shared.find(conn).map_or(0, |c| c.max_datagram())
    }

    fn stats(&self, conn: ConnId) -> Option<LinkStats> {
        let conn = self.shared.find(conn)?;
        let stats = conn.quinn.stats();
        Some(LinkStats {
            rtt_us: u64::try_from(stats.path.rtt.as_micros()).unwrap_or(u64::MAX),
            lost: stats.path.lost_packets,
            sent_bytes: stats.udp_tx.bytes,
            recv_bytes: stats.udp_rx.bytes,
            sent_packets: stats.udp_tx.datagrams,
            recv_packets: stats.udp_rx.datagrams,
            cwnd: stats.path.cwnd,
            mtu: stats.path.current_mtu,
            unproven_dropped: conn.unproven_dropped.load(Ordering::Relaxed),
        })
    }

    fn set_window(&self, conn: ConnId, bytes: u64) {
        if let Some(conn) = self.shared.find(conn) {
            conn.window.set(bytes);
        }
    }
}
