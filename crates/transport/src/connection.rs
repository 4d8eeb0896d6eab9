//! One QUIC connection's life on the network thread; [`crate::Handle`] is how any thread sends on it.
//!
//! Three tasks per connection: one reads datagrams and stamps them, one reads control messages, one writes them. The
//! sending of datagrams has no task: quinn's connection is shared between threads, so the caller queues the datagram
//! itself, which wakes the network thread.

mod bulk;
mod carry;

use crate::carrier::{CLOSE_TEXT, Carry};
use crate::config::{Options, STREAM_WINDOW};
use crate::event::{Carrier, CloseReason, ConnFacts, ConnId, Event, Fault};
use crate::frame::{FrameReader, MAX_CONTROL, MAX_CONTROL_UNPROVEN};
use crate::marks;
use crate::socket::{Bound, plain};
use crate::tls::{ALPN, EXPORTER_LABEL, spki_fingerprint};
use crate::window::Window;
use crate::{ClockFn, Lane, Sink};
use bytes::Bytes;
use quinn::crypto::rustls::HandshakeData;
use quinn::rustls::pki_types::CertificateDer;
use quinn::{ConnectionError, ReadError, RecvStream, SendStream, TransportErrorCode, VarInt};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use telepane_model::LinkSide;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// Control bytes that may wait to be written; more is [`SendError::Full`].
pub(crate) const CONTROL_QUEUE: usize = 1 << 20;
/// Bytes of chunks that may wait for a stream: what the session keeps on the way is less.
pub(crate) const BULK_QUEUE: usize = 8 << 20;
/// Control messages that are taken from a peer that has not proven itself.
// spec
pub(crate) const UNPROVEN_MESSAGES: u32 = 16;
/// Control bytes per second that are read from a proven peer, and what may come at once; the rest waits at the peer.
pub(crate) const CONTROL_RATE: u64 = 4 << 20;
/// What a message counts for besides its bytes.
pub(crate) const MESSAGE_COST: u64 = 64;
/// Datagrams of a host not yet proven that a client keeps, with their stamps, until it is: packets and bytes.
// spec: A-12
pub(crate) const HELD_PACKETS: usize = 512;
pub(crate) const HELD_BYTES: usize = 1 << 20;
/// How long queued control messages get to arrive when a connection is closed.
pub(crate) const LINGER: Duration = Duration::from_millis(250);

/// A lock whose holder never panics half-way: a poisoned one is as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an endpoint's connections share with the handles.
pub(crate) struct Shared {
    pub(crate) conns: Mutex<BTreeMap<ConnId, Arc<dyn Carry>>>,
    pub(crate) clock: ClockFn,
    pub(crate) sink: Sink,
    pub(crate) options: Options,
    pub(crate) side: LinkSide,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) recv_buffer: usize,
    pub(crate) send_buffer: usize,
    /// No new client is taken.
    pub(crate) leaving: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        side: LinkSide,
        clock: ClockFn,
        sink: Sink,
        options: Options,
        runtime: &tokio::runtime::Runtime,
        bound: &Bound,
    ) -> Arc<Self> {
        Arc::new(Self {
            conns: Mutex::default(),
            clock,
            sink,
            options,
            side,
            runtime: runtime.handle().clone(),
            recv_buffer: bound.recv_buffer,
            send_buffer: bound.send_buffer,
            leaving: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    pub(crate) fn find(&self, id: ConnId) -> Option<Arc<dyn Carry>> {
        lock(&self.conns).get(&id).cloned()
    }
}

/// Work for the task that writes the control stream.
enum Write {
    Message(Vec<u8>),
    Close { code: u32, text: Vec<u8> },
}

/// One connection.
pub(crate) struct Conn {
    id: ConnId,
    quinn: quinn::Connection,
    runtime: tokio::runtime::Handle,
    window: Arc<Window>,
    /// What becomes of its marks, where it has any.
    watch: Option<Arc<marks::Watch>>,
    /// Whether the peer has proven itself.
    proven: watch::Sender<bool>,
    writes: mpsc::UnboundedSender<Write>,
    /// Bytes in `writes`.
    queued: AtomicUsize,
    chunks: mpsc::UnboundedSender<Vec<u8>>,
    /// Bytes in `chunks`.
    bulk_queued: AtomicUsize,
    /// Held between the look at the queue's space and the sending, so that two threads cannot push each other's out.
    sending: Mutex<()>,
    /// Bytes of datagrams on their way to the network thread, which queues them: what is sent meanwhile goes the same way.
    handed_over: AtomicUsize,
    closing: AtomicBool,
    /// Whether the control stream is there, so that messages may be on their way.
    has_stream: AtomicBool,
    fault: OnceLock<Fault>,
    unproven_dropped: AtomicU64,
    /// Freed when the peer has proven itself: its place among the unproven of its address.
    place: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Conn {
    /// Ends the connection now because of what the peer did.
    fn fail(&self, fault: Fault) {
        let _ = self.fault.set(fault);
        self.closing.store(true, Ordering::Relaxed);
        self.quinn.close(VarInt::from_u32(fault.code()), fault.name().as_bytes());
    }

    /// The limits that hold for what the peer sends.
    fn limit(&self) -> usize {
        if *self.proven.borrow() { MAX_CONTROL } else { MAX_CONTROL_UNPROVEN }
    }

    fn prove(&self) {
        self.quinn.set_receive_window(VarInt::from_u32(STREAM_WINDOW));
        self.quinn.set_max_concurrent_uni_streams(VarInt::from_u32(bulk::MOST_STREAMS));
        self.proven.send_replace(true);
        lock(&self.place).take();
    }

    fn max_datagram(&self) -> usize {
        self.quinn.max_datagram_size().unwrap_or(0)
    }
}

/// Waits until the peer has proven itself; for ever if it never does.
pub(crate) async fn proven(watch: &mut watch::Receiver<bool>) {
    if watch.wait_for(|p| *p).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A connection whose handshake is done, not yet alive.
pub(crate) struct Fresh {
    pub(crate) id: ConnId,
    pub(crate) quinn: quinn::Connection,
    pub(crate) window: Arc<Window>,
    /// `Some` on the server, whose own identity it is; a client looks at the peer's.
    pub(crate) own_fingerprint: Option<[u8; 32]>,
    /// Whether nothing more needs to be proven by the peer.
    pub(crate) proven: bool,
    pub(crate) place: Option<Box<dyn Any + Send>>,
}

/// The protocol that was agreed in the handshake.
pub(crate) fn protocol(quinn: &quinn::Connection) -> Option<Vec<u8>> {
    marks::shaken(quinn.handshake_data()?).0.downcast::<HandshakeData>().ok()?.protocol
}

/// The identity's fingerprint, from the certificates the peer showed.
fn peer_fingerprint(quinn: &quinn::Connection) -> Option<[u8; 32]> {
    let chain = quinn.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    spki_fingerprint(chain.get(1)?).ok()
}

/// Lives a connection from its handshake to its end, and returns when it is over and said so.
pub(crate) async fn live(shared: Arc<Shared>, fresh: Fresh) {
    let Fresh { id, quinn, window, own_fingerprint, proven: is_proven, place } = fresh;
    // spec
    let fault = if protocol(&quinn).as_deref() != Some(ALPN) {
        Some(Fault::WrongVersion)
    } else if quinn.max_datagram_size().is_none() {
        Some(Fault::NoDatagrams)
    } else {
        None
    };
    if let Some(fault) = fault {
        quinn.close(VarInt::from_u32(fault.code()), fault.name().as_bytes());
        return;
    }
    let mut exporter = [0; 32];
    let exported = quinn.export_keying_material(&mut exporter, EXPORTER_LABEL, b"").is_ok();
    let (true, Some(host_fingerprint)) = (exported, own_fingerprint.or_else(|| peer_fingerprint(&quinn))) else {
        // Without either nothing can be proven on this connection.
        quinn.close(VarInt::from_u32(Fault::WrongVersion.code()), b"no exporter");
        return;
    };
    let (writes, to_write) = mpsc::unbounded_channel();
    let (chunks, to_chunk) = mpsc::unbounded_channel();
    let watch = quinn.handshake_data().and_then(|data| marks::shaken(data).1);
    let conn = Arc::new(Conn {
        id,
        quinn,
        watch,
        runtime: shared.runtime.clone(),
        window,
        proven: watch::Sender::new(is_proven),
        writes,
        queued: AtomicUsize::new(0),
        chunks,
        bulk_queued: AtomicUsize::new(0),
        sending: Mutex::new(()),
        handed_over: AtomicUsize::new(0),
        closing: AtomicBool::new(false),
        has_stream: AtomicBool::new(false),
        fault: OnceLock::new(),
        unproven_dropped: AtomicU64::new(0),
        place: Mutex::new(place),
    });
    if is_proven {
        conn.prove();
    }
    let facts = ConnFacts {
        side: shared.side,
        carrier: Carrier::Quic,
        remote: plain(conn.quinn.remote_address()),
        exporter,
        host_fingerprint,
        max_datagram: conn.max_datagram(),
        recv_buffer: shared.recv_buffer,
        send_buffer: shared.send_buffer,
    };
    lock(&shared.conns).insert(id, conn.clone());
    (shared.sink)(Event::Connected { conn: id, facts });

    let datagrams = tokio::spawn(read_datagrams(shared.clone(), conn.clone()));
    let control = tokio::spawn(control(shared.clone(), conn.clone(), to_write));
    let bulk = tokio::spawn(bulk::read(shared.clone(), conn.clone()));
    let chunks = tokio::spawn(bulk::write(conn.clone(), to_chunk));
    let patience = async {
        let mut watch = conn.proven.subscribe();
        if shared.side == LinkSide::Viewer || timeout(shared.options.limits.unproven, proven(&mut watch)).await.is_ok()
        {
            std::future::pending::<()>().await;
        }
    };
    let error = tokio::select! {
        error = conn.quinn.closed() => error,
        () = patience => {
            conn.fail(Fault::UnprovenTooLong);
            conn.quinn.closed().await
        }
    };
    // Both readers end with the connection, after delivering what had arrived.
    let _ = datagrams.await;
    let _ = control.await;
    let _ = bulk.await;
    let _ = chunks.await;
    lock(&shared.conns).remove(&id);
    lock(&conn.place).take();
    (shared.sink)(Event::Closed { conn: id, reason: close_reason(&error, conn.fault.get().copied()) });
}

/// Reads datagrams for as long as the connection lives, stamps each once and delivers it.
// spec
async fn read_datagrams(shared: Arc<Shared>, conn: Arc<Conn>) {
    let mut watch = conn.proven.subscribe();
    let mut open = *watch.borrow_and_update();
    let mut held: VecDeque<(Bytes, u64)> = VecDeque::new();
    let mut held_bytes = 0;
    let mut path = (conn.quinn.remote_address(), conn.max_datagram());
    let mut marked = 0;
    loop {
        let read = if open {
            conn.quinn.read_datagram().await
        } else {
            tokio::select! {
                biased;
                () = proven(&mut watch) => {
                    open = true;
                    for (bytes, arrived_us) in std::mem::take(&mut held) {
                        (shared.sink)(Event::Datagram { conn: conn.id, bytes, arrived_us });
                    }
                    continue;
                }
                read = conn.quinn.read_datagram() => read,
            }
        };
        let Ok(bytes) = read else { return };
        let arrived_us = (shared.clock)();
        let now = (conn.quinn.remote_address(), conn.max_datagram());
        if now != path {
            if now.0 != path.0 {
                conn.on_moved();
            }
            path = now;
            (shared.sink)(Event::PathChanged { conn: conn.id, remote: plain(now.0), max_datagram: now.1 });
        }
        let marks = conn.window.marked();
        if std::mem::replace(&mut marked, marks) != marks {
            (shared.sink)(Event::Marked { conn: conn.id });
        }
        if open {
            (shared.sink)(Event::Datagram { conn: conn.id, bytes, arrived_us });
        } else if shared.side == LinkSide::Viewer && held.len() < HELD_PACKETS && held_bytes + bytes.len() <= HELD_BYTES
        {
            // The host's first datagrams race the client's own proof of it: they keep their stamps.
            held_bytes += bytes.len();
            held.push_back((bytes, arrived_us));
        } else {
            conn.unproven_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Obtains the control stream, then reads and writes it.
// spec: L-1, L-3
async fn control(shared: Arc<Shared>, conn: Arc<Conn>, mut to_write: mpsc::UnboundedReceiver<Write>) {
    let stream = async {
        match shared.side {
            LinkSide::Viewer => conn.quinn.open_bi().await,
            LinkSide::Host => conn.quinn.accept_bi().await,
        }
    };
    let Ok((send, recv)) = stream.await else { return };
    conn.has_stream.store(true, Ordering::Relaxed);
    let _ = send.set_priority(Lane::Control.priority());
    let reader = tokio::spawn(read_control(shared.clone(), conn.clone(), recv));
    write_control(&conn, send, &mut to_write).await;
    let _ = reader.await;
}

/// Writes messages until told to close or the connection is lost.
async fn write_control(conn: &Conn, mut send: SendStream, to_write: &mut mpsc::UnboundedReceiver<Write>) {
    loop {
        let write = tokio::select! {
            write = to_write.recv() => write,
            _ = conn.quinn.closed() => None,
        };
        match write {
            Some(Write::Message(bytes)) => {
                let written = send.write_all(&bytes).await;
                conn.queued.fetch_sub(bytes.len(), Ordering::Relaxed);
                if written.is_err() {
                    return;
                }
            }
            Some(Write::Close { code, text }) => {
                let _ = send.finish();
                let _ = timeout(LINGER, send.stopped()).await;
                conn.quinn.close(VarInt::from_u32(code), &text);
                return;
            }
            None => return,
        }
    }
}

/// How much of the control stream may be read now: a peer cannot fill the shell's queue faster than it is emptied.
pub(crate) struct Allowance {
    pub(crate) bytes: u64,
    pub(crate) at_us: u64,
}

impl Allowance {
    /// Takes `cost` and says how long to wait for it.
    pub(crate) fn take(&mut self, now_us: u64, cost: u64) -> Duration {
        let earned = now_us.saturating_sub(self.at_us).saturating_mul(CONTROL_RATE) / 1_000_000;
        self.bytes = self.bytes.saturating_add(earned).min(CONTROL_RATE);
        self.at_us = now_us;
        let missing = cost.saturating_sub(self.bytes);
        self.bytes = self.bytes.saturating_sub(cost);
        Duration::from_micros(missing.saturating_mul(1_000_000) / CONTROL_RATE)
    }
}

/// Reads messages and delivers them, within the limits that hold for the peer.
async fn read_control(shared: Arc<Shared>, conn: Arc<Conn>, mut recv: RecvStream) {
    let mut watch = conn.proven.subscribe();
    let mut reader = FrameReader::default();
    let mut early = 0u32;
    let mut allowance = Allowance { bytes: CONTROL_RATE, at_us: (shared.clock)() };
    loop {
        let chunk = match recv.read_chunk(MAX_CONTROL, true).await {
            Ok(Some(chunk)) => chunk.bytes,
            Ok(None) | Err(ReadError::Reset(_)) => {
                (shared.sink)(Event::ControlClosed { conn: conn.id });
                return;
            }
            Err(_) => return,
        };
        let arrived_us = (shared.clock)();
        let mut data: &[u8] = &chunk;
        loop {
            let is_proven = *conn.proven.borrow();
            let fault = if !is_proven && early >= UNPROVEN_MESSAGES && !data.is_empty() {
                Fault::ControlTooMany
            } else {
                match reader.take(&mut data, conn.limit()) {
                    Ok(Some(message)) => {
                        early = early.saturating_add(u32::from(!is_proven));
                        let cost = (message.len() as u64).saturating_add(MESSAGE_COST);
                        (shared.sink)(Event::Control { conn: conn.id, message, arrived_us });
                        let wait = allowance.take((shared.clock)(), cost);
                        // Shorter waits than a timer's tick are paid with the next.
                        if wait >= Duration::from_millis(1) {
                            tokio::time::sleep(wait).await;
                        }
                        continue;
                    }
                    Ok(None) => break,
                    Err(_) => Fault::ControlTooLong,
                }
            };
            if !is_proven && *conn.proven.borrow() {
                // Proven by another thread between the two looks: the wider limit holds.
                continue;
            }
            if is_proven || shared.side == LinkSide::Host {
                conn.fail(fault);
                return;
            }
            // A client has yet to look at the host's proof: the stream waits, and with it the host.
            tokio::select! {
                () = proven(&mut watch) => {}
                _ = conn.quinn.closed() => return,
            }
        }
    }
}

/// The peer's words, made harmless.
pub(crate) fn harmless(bytes: &[u8]) -> String {
    let most = bytes.get(..CLOSE_TEXT.min(bytes.len())).unwrap_or_default();
    String::from_utf8_lossy(most).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether a transport error code is a TLS alert (RFC 9001 §4.8).
pub(crate) fn is_tls(code: TransportErrorCode) -> bool {
    (0x100..0x200).contains(&u64::from(code))
}

fn close_reason(error: &ConnectionError, fault: Option<Fault>) -> CloseReason {
    match error {
        ConnectionError::VersionMismatch => CloseReason::VersionMismatch,
        ConnectionError::TimedOut => CloseReason::Timeout,
        ConnectionError::Reset => CloseReason::Reset,
        ConnectionError::LocallyClosed => fault.map_or(CloseReason::LocalClosed, CloseReason::Fault),
        ConnectionError::ApplicationClosed(close) => match Fault::from_code(close.error_code.into_inner()) {
            Some(Fault::WrongVersion) => CloseReason::VersionMismatch,
            _ => CloseReason::PeerClosed { code: close.error_code.into_inner(), text: harmless(&close.reason) },
        },
        ConnectionError::ConnectionClosed(close) if is_tls(close.error_code) => {
            CloseReason::Tls(format!("{} {}", close.error_code, harmless(&close.reason)))
        }
        ConnectionError::TransportError(e) if is_tls(e.code) => CloseReason::Tls(harmless(e.to_string().as_bytes())),
        other => CloseReason::Protocol(harmless(other.to_string().as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_is_a_rate_with_a_burst() {
        let mut allowance = Allowance { bytes: CONTROL_RATE, at_us: 0 };
        assert_eq!(allowance.take(0, CONTROL_RATE), Duration::ZERO);
        assert_eq!(allowance.take(0, CONTROL_RATE / 2), Duration::from_millis(500));
        assert_eq!(allowance.take(500_000, CONTROL_RATE / 2), Duration::ZERO);
        assert_eq!(allowance.take(u64::MAX, CONTROL_RATE + 8), Duration::from_micros(1));
    }

    #[test]
    fn the_peers_words_are_made_harmless() {
        assert_eq!(harmless(b"a\x1b[2Jb\n"), "a [2Jb ");
        assert_eq!(harmless(&[b'x'; 5000]).len(), CLOSE_TEXT);
        assert_eq!(harmless(&[0xff, b'y']), "\u{fffd}y");
    }
}
