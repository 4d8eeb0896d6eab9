//! The bulk lane: each chunk goes on a one-way stream of its own, so that one lost packet holds back one chunk.
//!
//! What came and was not taken by the shell yet is bounded ([`Hold`]): beyond that the streams are not read, and the peer
//! runs out of leave to open more.

use super::{Conn, Shared, proven};
use crate::event::{Event, Hold};
use crate::{Lane, MAX_CHUNK_BYTES};
use quinn::RecvStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{Semaphore, mpsc};

/// Streams a proven peer may have open at once: 16 chunks in each of a dozen turns.
// spec: B-1
pub(super) const MOST_STREAMS: u32 = 256;
/// Bytes of chunks that the shell has not taken yet.
const UNTAKEN: usize = 4 << 20;

/// Lets the peer open streams, reads each as one chunk, and delivers it with the time at which its last byte came.
// spec: B-1, A-12
pub(super) async fn read(shared: Arc<Shared>, conn: Arc<Conn>) {
    let mut watch = conn.proven.subscribe();
    tokio::select! {
        () = proven(&mut watch) => {}
        _ = conn.quinn.closed() => return,
    }
    let room = Arc::new(Semaphore::new(UNTAKEN));
    while let Ok(stream) = conn.quinn.accept_uni().await {
        tokio::spawn(read_one(shared.clone(), conn.clone(), stream, room.clone()));
    }
}

async fn read_one(shared: Arc<Shared>, conn: Arc<Conn>, mut stream: RecvStream, room: Arc<Semaphore>) {
    // The longest chunk's place: how long this one is shows only at its end.
    let Ok(mut hold) = room.acquire_many_owned(MAX_CHUNK_BYTES as u32).await else { return };
    // A chunk that is too long, or was called off, is no chunk.
    let Ok(bytes) = stream.read_to_end(MAX_CHUNK_BYTES).await else { return };
    let arrived_us = (shared.clock)();
    drop(hold.split(MAX_CHUNK_BYTES.saturating_sub(bytes.len())));
    (shared.sink)(Event::Chunk { conn: conn.id, bytes, arrived_us, hold: Hold::new(hold) });
}

/// Writes chunks, one stream each, in the order in which they were given.
// spec: B-1
pub(super) async fn write(conn: Arc<Conn>, mut chunks: mpsc::UnboundedReceiver<Vec<u8>>) {
    loop {
        let chunk = tokio::select! {
            chunk = chunks.recv() => chunk,
            _ = conn.quinn.closed() => None,
        };
        let Some(chunk) = chunk else { return };
        let Ok(mut stream) = conn.quinn.open_uni().await else { return };
        let _ = stream.set_priority(Lane::Bulk.priority());
        let written = stream.write_all(&chunk).await;
        conn.bulk_queued.fetch_sub(chunk.len(), Ordering::Relaxed);
        if written.is_err() {
            continue;
        }
        let _ = stream.finish();
    }
}
