//! One WebSocket's life on the network thread: the lanes over TLS over TCP, where UDP does not get through.
//!
//! Everything goes one after another on one stream, so order between the lanes is this end's to choose: datagrams first,
//! then control messages, then chunks, and hardly anything is handed to the kernel before it can go (`tcp`). What the peer
//! may send is bounded as over QUIC. Arrivals are stamped as messages are read, so that feedback says when things came here
//! too; what TCP held back behind a lost packet shows in [`HeldBack`].

mod accept;
mod connect;
mod outbox;

pub(crate) use accept::{Door, accept};
pub(crate) use connect::{Road, connect};

use crate::carrier::Carry;
use crate::connection::{
    Allowance, CONTROL_RATE, HELD_BYTES, HELD_PACKETS, LINGER, MESSAGE_COST, Shared, UNPROVEN_MESSAGES, harmless, lock,
    proven,
};
use crate::event::{
    Carrier, CloseReason, ConnFacts, ConnId, Event, Fault, HeldBack, Hold, LinkStats, MarkFate, SendError,
};
use crate::frame::{MAX_CONTROL, MAX_CONTROL_UNPROVEN};
#[cfg(target_os = "linux")]
use crate::marks::Class;
use crate::marks::Marks;
use crate::{MAX_CHUNK_BYTES, tcp};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use outbox::{Next, Outbox};
use std::any::Any;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use telepane_model::LinkSide;
use telepane_protocol::carried::{Carried, MAX_DATAGRAM, MAX_MESSAGE, Malformed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

/// What a WebSocket runs on: TLS over TCP, perhaps inside a proxy's own.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type Socket = WebSocketStream<Box<dyn Io>>;

/// What a peer is told of our receive buffer, in bytes: TCP lets no more come than there is room for, so this only bounds
/// what is on the way.
const RECV_BUFFER: usize = 4 << 20;
/// Bytes read at once, per connection.
const READ: usize = 16 * 1024;
/// Bytes of chunks that the shell has not taken yet.
const UNTAKEN: usize = 4 << 20;
/// Only after a pause of this long is the kernel asked whether something was held back; in microseconds.
const PAUSE_US: u64 = 1_000;
/// What is counted of a pause at most: the round trips, and the time, in microseconds, that a loss may take to be mended
/// (Linux sends again after 200 ms and a round trip when nothing else tells it of a loss).
const MENDED_RTTS: u64 = 2;
const MENDED_US: u64 = 200_000;

/// How often, and how many times after a WebSocket has come about, the kernel is asked whether anything of it gets through with its mark.
#[cfg(target_os = "linux")]
const MARK_LOOK: Duration = Duration::from_millis(250);
#[cfg(target_os = "linux")]
const MARK_LOOKS: u32 = 40;
/// The same packet was sent again so often without an answer: on Linux, 200, 600 and 1,400 ms after it was sent first on a short path.
#[cfg(target_os = "linux")]
const MARK_TIMEOUTS: u8 = 3;

/// The bounds of what the other end may send, for both ends.
// spec: WS-7
fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(READ)
        .max_write_buffer_size(8 * MAX_MESSAGE)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

/// A WebSocket whose handshake is done, not yet alive.
pub(crate) struct Fresh {
    id: ConnId,
    socket: Socket,
    /// A second hold on the TCP socket.
    kernel: socket2::Socket,
    remote: SocketAddr,
    exporter: [u8; 32],
    host_fingerprint: [u8; 32],
    /// Whether nothing more needs to be proven by the peer.
    proven: bool,
    place: Option<Box<dyn Any + Send>>,
}

/// One connection.
struct Conn {
    id: ConnId,
    proven: watch::Sender<bool>,
    outbox: Mutex<Outbox>,
    /// Something is in the outbox.
    filled: Notify,
    closing: AtomicBool,
    fault: OnceLock<Fault>,
    unproven_dropped: AtomicU64,
    sent_bytes: AtomicU64,
    recv_bytes: AtomicU64,
    held_back: Mutex<HeldBack>,
    marks: Mutex<MarkFate>,
    kernel: socket2::Socket,
    /// Freed when the peer has proven itself: its place among the unproven of its address.
    place: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Conn {
    /// Says why and ends the connection because of what the peer did.
    fn fail(&self, fault: Fault) -> CloseReason {
        let _ = self.fault.set(fault);
        self.closing.store(true, Ordering::Relaxed);
        lock(&self.outbox).close_now(fault.code(), fault.name().as_bytes());
        self.filled.notify_one();
        CloseReason::Fault(fault)
    }

    fn put(&self, put: impl FnOnce(&mut Outbox) -> bool) -> Result<(), SendError> {
        if !put(&mut lock(&self.outbox)) {
            return Err(SendError::Full);
        }
        self.filled.notify_one();
        Ok(())
    }

    /// The peer's next bytes came `pause_us` after the last.
    fn on_pause(&self, pause_us: u64, seen: &mut u32) {
        let Some(info) = tcp::info(&self.kernel) else { return };
        if info.out_of_order != std::mem::replace(seen, info.out_of_order) {
            let held_us = pause_us.min(MENDED_US + MENDED_RTTS * info.rtt_us);
            let mut held = lock(&self.held_back);
            held.times += 1;
            held.total_us += held_us;
            held.longest_us = held.longest_us.max(held_us);
        }
    }
}

impl Carry for Conn {
    fn prove(&self) {
        self.proven.send_replace(true);
        lock(&self.place).take();
    }

    fn usable(&self) -> bool {
        !self.closing.load(Ordering::Relaxed)
    }

    fn send_datagram(self: Arc<Self>, bytes: Bytes) -> Result<(), SendError> {
        self.send_together(vec![bytes])
    }

    fn send_together(self: Arc<Self>, datagrams: Vec<Bytes>) -> Result<(), SendError> {
        if datagrams.iter().any(|d| d.len() > MAX_DATAGRAM) {
            return Err(SendError::TooLarge { max: MAX_DATAGRAM });
        }
        self.put(|o| o.datagrams(&datagrams))
    }

    fn send_control(&self, message: &[u8]) -> Result<(), SendError> {
        self.put(|o| o.control(message))
    }

    fn send_chunk(&self, chunk: Vec<u8>) -> Result<(), SendError> {
        self.put(|o| o.chunk(&chunk))
    }

    fn close(self: Arc<Self>, code: u32, text: &[u8]) {
        if !self.closing.swap(true, Ordering::Relaxed) {
            lock(&self.outbox).close(code, text);
            self.filled.notify_one();
        }
    }

    fn max_datagram(&self) -> usize {
        MAX_DATAGRAM
    }

    fn stats(&self) -> LinkStats {
        let info = tcp::info(&self.kernel).unwrap_or_default();
        LinkStats {
            carrier: Carrier::WebSocket,
            held_back: *lock(&self.held_back),
            rtt_us: info.rtt_us,
            lost: info.retransmitted,
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            recv_bytes: self.recv_bytes.load(Ordering::Relaxed),
            sent_packets: info.sent,
            recv_packets: info.received,
            marked: 0,
            marks: *lock(&self.marks),
            cwnd: info.cwnd,
            mtu: info.mss,
            unproven_dropped: self.unproven_dropped.load(Ordering::Relaxed),
        }
    }

    /// TCP's own window holds.
    fn set_window(&self, _bytes: u64) {}

    fn on_moved(&self) {}
}

/// Lives a connection from its handshake to its end, and returns when it is over and said so.
pub(crate) async fn live(shared: Arc<Shared>, fresh: Fresh) {
    let Fresh { id, socket, kernel, remote, exporter, host_fingerprint, proven: is_proven, place } = fresh;
    let conn = Arc::new(Conn {
        id,
        proven: watch::Sender::new(is_proven),
        outbox: Mutex::default(),
        filled: Notify::new(),
        closing: AtomicBool::new(false),
        fault: OnceLock::new(),
        unproven_dropped: AtomicU64::new(0),
        sent_bytes: AtomicU64::new(0),
        recv_bytes: AtomicU64::new(0),
        held_back: Mutex::default(),
        marks: Mutex::default(),
        kernel,
        place: Mutex::new(place),
    });
    if is_proven {
        Carry::prove(&*conn);
    }
    let facts = ConnFacts {
        side: shared.side,
        carrier: Carrier::WebSocket,
        remote,
        exporter,
        host_fingerprint,
        max_datagram: MAX_DATAGRAM,
        recv_buffer: RECV_BUFFER,
        send_buffer: shared.send_buffer,
    };
    lock(&shared.conns).insert(id, conn.clone());
    (shared.sink)(Event::Connected { conn: id, facts });

    let (sink, stream) = socket.split();
    let mut reading = pin!(async {
        tokio::select! {
            reason = read(&shared, &conn, stream) => reason,
            never = mark(&conn, shared.options.marks) => match never {},
        }
    });
    let mut writing = pin!(write(&conn, sink));
    let patience = async {
        let mut watch = conn.proven.subscribe();
        if shared.side == LinkSide::Viewer || timeout(shared.options.limits.unproven, proven(&mut watch)).await.is_ok()
        {
            std::future::pending::<()>().await;
        }
    };
    let reason = tokio::select! {
        reason = &mut reading => {
            // The reason is still said to a peer that did wrong.
            if conn.fault.get().is_some() {
                let _ = timeout(LINGER, &mut writing).await;
            }
            reason
        }
        said = &mut writing => match said {
            // The peer closes in answer; a socket with something unread would cut the last words off.
            Ok(()) => {
                let _ = timeout(LINGER, &mut reading).await;
                conn.fault.get().map_or(CloseReason::LocalClosed, |f| CloseReason::Fault(*f))
            }
            Err(e) => broken(&e),
        },
        () = patience => {
            let reason = conn.fail(Fault::UnprovenTooLong);
            let _ = timeout(LINGER, &mut writing).await;
            reason
        }
    };
    lock(&shared.conns).remove(&id);
    conn.closing.store(true, Ordering::Relaxed);
    lock(&conn.place).take();
    (shared.sink)(Event::Closed { conn: id, reason });
}

/// Marks what is sent as the screen's, since everything goes on one stream, and takes the mark off where nothing gets through with it.
/// Before the WebSocket stood nothing was marked: what is acknowledged beyond that shows that marks pass. To be polled as long as the
/// connection lives.
// spec: T-4, T-11
#[cfg(target_os = "linux")]
async fn mark(conn: &Conn, marks: Marks) -> Infallible {
    if !marks.is_off() {
        let unmarked = tcp::info(&conn.kernel).map_or(0, |i| i.bytes.0);
        match tcp::mark(&conn.kernel, marks.byte(Some(Class::Ordinary))) {
            Ok(()) => {
                *lock(&conn.marks) = MarkFate::On;
                for _ in 0..MARK_LOOKS {
                    tokio::time::sleep(MARK_LOOK).await;
                    // One more than was sent is acknowledged: the SYN counts.
                    let Some(info) = tcp::info(&conn.kernel).filter(|i| i.bytes.1 <= unmarked + 1) else { break };
                    if info.timeouts >= MARK_TIMEOUTS {
                        tracing::warn!("marked packets of tcp do not get through; they go without (see --dscp)");
                        *lock(&conn.marks) = MarkFate::Dropped;
                        // Best effort, as the mark was.
                        let _ = tcp::mark(&conn.kernel, 0);
                        break;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "this system takes no marks on tcp; it goes without (see --dscp)");
                *lock(&conn.marks) = MarkFate::Refused;
            }
        }
    }
    std::future::pending().await
}

#[cfg(not(target_os = "linux"))]
async fn mark(_conn: &Conn, _marks: Marks) -> Infallible {
    std::future::pending().await
}

fn broken(error: &WsError) -> CloseReason {
    let text = match error {
        WsError::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the peer was gone without a word".to_owned()
        }
        e => harmless(e.to_string().as_bytes()),
    };
    CloseReason::Broken(text)
}

/// Writes what is in the outbox until that is a close, or the connection breaks.
// spec: WS-6
async fn write(conn: &Conn, mut sink: SplitSink<Socket, Message>) -> Result<(), WsError> {
    loop {
        let next = lock(&conn.outbox).next();
        match next {
            Next::Messages(messages) => {
                for message in messages {
                    conn.sent_bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
                    sink.feed(Message::Binary(message.into())).await?;
                }
                sink.flush().await?;
            }
            Next::Ping => sink.send(Message::Ping(Bytes::new())).await?,
            Next::Close(message) => {
                sink.send(Message::Binary(message.into())).await?;
                return sink.close().await;
            }
            Next::Nothing => conn.filled.notified().await,
        }
    }
}

/// What is kept for a shell that has yet to see its host proven.
#[derive(Default)]
struct HeldUp {
    datagrams: VecDeque<(Bytes, u64)>,
    bytes: usize,
}

/// Reads messages, stamps and delivers them, within the limits that hold for the peer; the reason why it ends.
// spec: WS-4, WS-6, WS-7
async fn read(shared: &Shared, conn: &Conn, mut stream: SplitStream<Socket>) -> CloseReason {
    let mut watch = conn.proven.subscribe();
    let mut held = HeldUp::default();
    let mut early = 0u32;
    let mut out_of_order = 0;
    let mut allowance = Allowance { bytes: CONTROL_RATE, at_us: (shared.clock)() };
    let room = Arc::new(Semaphore::new(UNTAKEN));
    loop {
        let waiting_us = (shared.clock)();
        let message = tokio::select! {
            biased;
            () = proven(&mut watch), if !held.datagrams.is_empty() => {
                deliver(shared, conn, &mut held);
                continue;
            }
            message = listen(shared, conn, &mut stream) => message,
        };
        let arrived_us = (shared.clock)();
        let bytes = match message {
            Ok(Some(Message::Binary(bytes))) => bytes,
            Ok(Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Ok(Some(Message::Close(_)) | None) => return CloseReason::PeerClosed { code: 0, text: String::new() },
            Ok(Some(Message::Text(_))) => return conn.fail(Fault::BadMessage),
            Err(Quiet::Timeout) => return CloseReason::Timeout,
            Err(Quiet::Error(WsError::Capacity(_) | WsError::Utf8(_))) => return conn.fail(Fault::BadMessage),
            Err(Quiet::Error(WsError::ConnectionClosed | WsError::AlreadyClosed)) => {
                return CloseReason::PeerClosed { code: 0, text: String::new() };
            }
            Err(Quiet::Error(e)) => return broken(&e),
        };
        conn.recv_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let pause_us = arrived_us.saturating_sub(waiting_us);
        if pause_us > PAUSE_US {
            conn.on_pause(pause_us, &mut out_of_order);
        }
        let is_proven = *conn.proven.borrow();
        if is_proven && !held.datagrams.is_empty() {
            deliver(shared, conn, &mut held);
        }
        let limit = if is_proven { MAX_CONTROL } else { MAX_CONTROL_UNPROVEN };
        match Carried::decode(&bytes, limit) {
            Ok(Carried::Datagram(_)) => {
                let bytes = bytes.slice(1..);
                if is_proven {
                    (shared.sink)(Event::Datagram { conn: conn.id, bytes, arrived_us });
                } else {
                    hold_up(shared, conn, &mut held, bytes, arrived_us);
                }
            }
            Ok(Carried::Control(message)) => {
                // spec
                early = early.saturating_add(u32::from(!is_proven));
                if !is_proven && early > UNPROVEN_MESSAGES {
                    return conn.fail(Fault::ControlTooMany);
                }
                let cost = (message.len() as u64).saturating_add(MESSAGE_COST);
                (shared.sink)(Event::Control { conn: conn.id, message: message.to_vec(), arrived_us });
                let wait = allowance.take((shared.clock)(), cost);
                if wait >= Duration::from_millis(1) {
                    tokio::time::sleep(wait).await;
                }
            }
            // Nobody unproven sends one, and nobody reads it.
            Ok(Carried::Chunk(_)) if !is_proven => {
                conn.unproven_dropped.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Carried::Chunk(chunk)) => {
                let places = chunk.len().clamp(1, MAX_CHUNK_BYTES) as u32;
                let Ok(hold) = room.clone().acquire_many_owned(places).await else {
                    return CloseReason::LocalClosed;
                };
                let hold = Hold::new(hold);
                (shared.sink)(Event::Chunk { conn: conn.id, bytes: chunk.to_vec(), arrived_us, hold });
            }
            Ok(Carried::Close { code, text }) => {
                return match Fault::from_code(code.into()) {
                    Some(Fault::WrongVersion) => CloseReason::VersionMismatch,
                    _ => CloseReason::PeerClosed { code: code.into(), text: harmless(text) },
                };
            }
            Ok(Carried::Unknown) => {}
            Err(Malformed::ControlTooLong) => return conn.fail(Fault::ControlTooLong),
            Err(Malformed::Length) => return conn.fail(Fault::BadMessage),
        }
    }
}

/// The host's first datagrams race the client's own proof of it: they keep their stamps. A viewer's are discarded.
// spec
fn hold_up(shared: &Shared, conn: &Conn, held: &mut HeldUp, bytes: Bytes, arrived_us: u64) {
    let fits = held.datagrams.len() < HELD_PACKETS && held.bytes + bytes.len() <= HELD_BYTES;
    if shared.side == LinkSide::Viewer && fits {
        held.bytes += bytes.len();
        held.datagrams.push_back((bytes, arrived_us));
    } else {
        conn.unproven_dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn deliver(shared: &Shared, conn: &Conn, held: &mut HeldUp) {
    for (bytes, arrived_us) in std::mem::take(held).datagrams {
        (shared.sink)(Event::Datagram { conn: conn.id, bytes, arrived_us });
    }
}

/// Why nothing was read.
enum Quiet {
    Timeout,
    Error(WsError),
}

/// The next message, `None` at the end. An end that hears nothing for a while asks, if it is to; neither waits for ever.
// spec: WS-9, L-7
async fn listen(shared: &Shared, conn: &Conn, stream: &mut SplitStream<Socket>) -> Result<Option<Message>, Quiet> {
    let options = &shared.options;
    let mut left = options.idle_timeout;
    if let Some(every) = options.asks_after(shared.side) {
        while left > every {
            if let Ok(message) = timeout(every, stream.next()).await {
                return message.transpose().map_err(Quiet::Error);
            }
            lock(&conn.outbox).ping();
            conn.filled.notify_one();
            left -= every;
        }
    }
    match timeout(left, stream.next()).await {
        Ok(message) => message.transpose().map_err(Quiet::Error),
        Err(_) => Err(Quiet::Timeout),
    }
}
