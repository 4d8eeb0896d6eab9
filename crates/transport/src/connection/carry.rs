//! Sending over QUIC without a hop: quinn's connection is shared, so a datagram is queued by the caller and only the network
//! thread's wake-up lies between it and the socket.

use super::{BULK_QUEUE, CONTROL_QUEUE, Conn, LINGER, Write, lock};
use crate::carrier::Carry;
use crate::config::STREAM_WINDOW;
use crate::event::{Carrier, LinkStats, MarkFate, SendError};
use crate::frame::framed;
use bytes::Bytes;
use quinn::VarInt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use tokio::time::timeout;

impl Conn {
    /// quinn sends as soon as the network thread wakes up, which the first datagram makes it do: often the second would
    /// go in a packet of its own. So that thread itself queues them, in one go.
    fn hand_over(self: Arc<Self>, datagrams: Vec<Bytes>) {
        let bytes = datagrams.iter().map(Bytes::len).sum();
        self.handed_over.fetch_add(bytes, Ordering::AcqRel);
        self.runtime.clone().spawn(async move {
            for datagram in datagrams {
                // A path that has shrunk meanwhile loses it, as it loses what is on the way.
                let _ = self.quinn.send_datagram(datagram);
            }
            self.handed_over.fetch_sub(bytes, Ordering::AcqRel);
        });
    }

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

impl Carry for Conn {
    // spec: T-11
    fn on_moved(&self) {
        if let Some(watch) = &self.watch {
            watch.on_moved();
        }
    }

    fn prove(&self) {
        Self::prove(self);
    }

    fn usable(&self) -> bool {
        !self.closing.load(Ordering::Relaxed)
    }

    fn send_datagram(self: Arc<Self>, bytes: Bytes) -> Result<(), SendError> {
        let _alone = self.room_for(std::slice::from_ref(&bytes))?;
        if self.handed_over.load(Ordering::Acquire) > 0 {
            self.clone().hand_over(vec![bytes]);
            return Ok(());
        }
        self.quinn.send_datagram(bytes).map_err(|e| match e {
            // The path may have shrunk since the look above.
            quinn::SendDatagramError::TooLarge => SendError::TooLarge { max: self.max_datagram() },
            _ => SendError::Gone,
        })
    }

    fn send_together(self: Arc<Self>, datagrams: Vec<Bytes>) -> Result<(), SendError> {
        let _alone = self.room_for(&datagrams)?;
        self.clone().hand_over(datagrams);
        Ok(())
    }

    fn send_control(&self, message: &[u8]) -> Result<(), SendError> {
        let bytes = framed(message);
        let len = bytes.len();
        if self.queued.fetch_add(len, Ordering::Relaxed).saturating_add(len) > CONTROL_QUEUE {
            self.queued.fetch_sub(len, Ordering::Relaxed);
            return Err(SendError::Full);
        }
        self.writes.send(Write::Message(bytes)).map_err(|_| SendError::Gone)
    }

    fn send_chunk(&self, chunk: Vec<u8>) -> Result<(), SendError> {
        let len = chunk.len();
        if self.bulk_queued.fetch_add(len, Ordering::Relaxed).saturating_add(len) > BULK_QUEUE {
            self.bulk_queued.fetch_sub(len, Ordering::Relaxed);
            return Err(SendError::Full);
        }
        self.chunks.send(chunk).map_err(|_| SendError::Gone)
    }

    fn close(self: Arc<Self>, code: u32, text: &[u8]) {
        if self.closing.swap(true, Ordering::Relaxed) {
            return;
        }
        if !self.has_stream.load(Ordering::Relaxed) {
            return self.quinn.close(VarInt::from_u32(code), text);
        }
        let text = text.to_vec();
        let _ = self.writes.send(Write::Close { code, text: text.clone() });
        // The writer may be stuck behind the peer's flow control.
        self.runtime.clone().spawn(async move {
            let _ = timeout(2 * LINGER, self.quinn.closed()).await;
            self.quinn.close(VarInt::from_u32(code), &text);
        });
    }

    fn max_datagram(&self) -> usize {
        Self::max_datagram(self)
    }

    fn stats(&self) -> LinkStats {
        let stats = self.quinn.stats();
        LinkStats {
            carrier: Carrier::Quic,
            rtt_us: u64::try_from(stats.path.rtt.as_micros()).unwrap_or(u64::MAX),
            lost: stats.path.lost_packets,
            sent_bytes: stats.udp_tx.bytes,
            recv_bytes: stats.udp_rx.bytes,
            sent_packets: stats.udp_tx.datagrams,
            recv_packets: stats.udp_rx.datagrams,
            marked: self.window.marked(),
            // Elsewhere no packet is marked (`marks::wrap`).
            marks: self.watch.as_ref().filter(|_| cfg!(target_os = "linux")).map_or(MarkFate::Off, |w| w.fate()),
            cwnd: stats.path.cwnd,
            mtu: stats.path.current_mtu,
            unproven_dropped: self.unproven_dropped.load(Ordering::Relaxed),
            ..LinkStats::default()
        }
    }

    fn set_window(&self, bytes: u64) {
        self.window.set(bytes);
    }
}
