//! The viewer's end: one socket, one network thread, one connection.
//!
//! The addresses of a host are tried side by side, IPv6 first and each next one a moment later (RFC 8305), and the first
//! whose handshake succeeds is kept. Behind them starts the WebSocket over TCP, directly or through a proxy, for networks
//! that let no UDP through. When nothing comes about, the reason that came nearest to a connection is reported.

use crate::carrier::Handle;
use crate::config::{self, Options};
use crate::connection::{Fresh, Shared, harmless, live, lock, protocol};
use crate::event::{ConnId, ConnectFailure, Event, Fault};
use crate::insist;
use crate::marks::{self, Sealed};
use crate::probe::{self, Tcp};
use crate::socket::{Bound, for_client};
use crate::standby::Standby;
use crate::tls::{self, ALPN, ALPN_ANY_VERSION, HostExpectation, Over, Verdict, VerdictSlot, take_verdict};
use crate::websocket::{self, Road};
use crate::window::Window;
use crate::{ClockFn, Sink};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, ConnectionError, Endpoint, TokioRuntime, TransportErrorCode};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use telepane_model::LinkSide;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Between the starts of two addresses' attempts.
const STAGGER: Duration = Duration::from_millis(100);
/// QUIC's head start before the WebSocket (RFC 8305's delay between two attempts).
// spec: WS-14
const WEBSOCKET_AFTER: Duration = Duration::from_millis(250);
/// More addresses of one host than this are not tried.
const MOST_ADDRESSES: usize = 16;
/// quinn's CONNECTION_REFUSED (RFC 9000 §20.1).
const CONNECTION_REFUSED: u64 = 0x2;
/// APPLICATION_ERROR (RFC 9000 §20.1): the host's program closed in mid-handshake, as one does that stops.
const APPLICATION_ERROR: u64 = 0xc;
/// The TLS alert `no_application_protocol` as a QUIC code (RFC 7301, RFC 9001 §4.8).
const NO_PROTOCOL: u64 = 0x178;

/// What came about.
enum Made {
    /// From this endpoint.
    Quic(Fresh, Endpoint),
    WebSocket(Box<websocket::Fresh>),
}

/// What a client has once its socket is open.
struct Running {
    handle: Handle,
    endpoint: Carrying,
    sealed: Arc<Sealed>,
    v4_only: bool,
    standby: Option<Standby>,
}

/// The endpoint of the connection: the first, until a handshake from another one is done before.
type Carrying = Arc<Mutex<Endpoint>>;

/// An attempt to connect, then the connection. Dropping it closes the connection.
pub struct Client {
    conn: ConnId,
    running: Option<Running>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What the network thread is given.
struct Attempt {
    conn: ConnId,
    target: Vec<SocketAddr>,
    expect: HostExpectation,
    shared: Arc<Shared>,
    endpoint: Carrying,
    v4_only: bool,
    sealed: Arc<Sealed>,
    protocols: Vec<Vec<u8>>,
}

impl Client {
    /// Begins to connect to the first of `target` that answers as `expect` says, and returns at once: [`Event::Connected`]
    /// or [`Event::ConnectFailed`] follows. A client connects once; to connect again, make a new one.
    pub fn connect(
        target: Vec<SocketAddr>,
        expect: HostExpectation,
        clock: ClockFn,
        sink: Sink,
        options: Options,
    ) -> Self {
        Self::connect_as(target, expect, clock, sink, options, &[ALPN, ALPN_ANY_VERSION])
    }

    fn connect_as(
        target: Vec<SocketAddr>,
        expect: HostExpectation,
        clock: ClockFn,
        sink: Sink,
        options: Options,
        protocols: &[&[u8]],
    ) -> Self {
        let conn = ConnId::fresh();
        let (stop, stopped) = watch::channel(false);
        match Self::start(conn, target, expect, clock, sink.clone(), options, protocols, stopped) {
            Ok((running, thread)) => Self { conn, running: Some(running), stop, thread: Some(thread) },
            Err(e) => {
                sink(Event::ConnectFailed { attempt: conn, why: ConnectFailure::Local(e.to_string()) });
                Self { conn, running: None, stop, thread: None }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the public call's arguments, passed on once")]
    fn start(
        conn: ConnId,
        mut target: Vec<SocketAddr>,
        expect: HostExpectation,
        clock: ClockFn,
        sink: Sink,
        options: Options,
        protocols: &[&[u8]],
        stopped: watch::Receiver<bool>,
    ) -> io::Result<(Running, JoinHandle<()>)> {
        target.sort_by_key(SocketAddr::is_ipv4);
        target.dedup();
        target.truncate(MOST_ADDRESSES);
        let v4_only = target.iter().all(SocketAddr::is_ipv4);
        let bound: Bound = for_client(v4_only, None)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let shared = Shared::new(LinkSide::Viewer, clock, sink, options, &runtime, &bound);
        let sealed = Arc::<Sealed>::default();
        let endpoint = {
            let _inside = runtime.enter();
            Arc::new(Mutex::new(endpoint(bound.socket, &shared.options, &sealed)?))
        };
        let handle = Handle { shared: shared.clone() };
        let protocols = protocols.iter().map(|p| p.to_vec()).collect();
        let attempt = Attempt {
            conn,
            target,
            expect,
            shared,
            endpoint: endpoint.clone(),
            v4_only,
            sealed: sealed.clone(),
            protocols,
        };
        let thread = std::thread::Builder::new()
            .name("telepane-net".to_owned())
            .spawn(move || runtime.block_on(run(attempt, stopped)))?;
        Ok((Running { handle, endpoint, sealed, v4_only, standby: None }, thread))
    }

    /// The number its connection has, or its failure names.
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// Sends on its connection; `None` if no socket could be opened.
    pub fn handle(&self) -> Option<Handle> {
        self.running.as_ref().map(|r| r.handle.clone())
    }

    /// Goes on from a new socket, hence a new address: to be called when the machine's network has changed, or when the
    /// path is dead and another may not be.
    ///
    /// # Errors
    /// When no socket can be had; the old one stays then.
    pub fn rebind(&self) -> io::Result<()> {
        let running = self.running.as_ref().ok_or(ErrorKindNotConnected)?;
        let bound = for_client(running.v4_only, None)?;
        running.go_on_from(bound.socket)
    }

    /// Keeps a socket ready on `interface`, for a connection whose peer is `host`; none any more without an interface.
    ///
    /// # Errors
    /// When no socket can be had there; then none is kept.
    pub fn keep_standby(&mut self, interface: Option<&str>, host: SocketAddr) -> io::Result<()> {
        let conn = self.conn;
        let running = self.running.as_mut().ok_or(ErrorKindNotConnected)?;
        if running.standby.as_ref().map(Standby::interface) == interface {
            return Ok(());
        }
        running.standby = None;
        let Some(interface) = interface else { return Ok(()) };
        let bound = for_client(running.v4_only, Some(interface))?;
        let shared = running.handle.shared.clone();
        let (clock, sink) = (shared.clock.clone(), shared.sink.clone());
        let answered = move |took_us| sink(Event::StandbyAnswered { conn, took_us });
        let _inside = shared.runtime.enter();
        running.standby = Some(Standby::start(interface, bound, host, clock, answered)?);
        Ok(())
    }

    /// Tries out the path that stands by: [`Event::StandbyAnswered`] follows if it works.
    ///
    /// # Errors
    /// When nothing stands by, or the system knows no way there.
    pub fn probe_standby(&self) -> io::Result<()> {
        let running = self.running.as_ref().ok_or(ErrorKindNotConnected)?;
        running.standby.as_ref().ok_or(ErrorKindNotConnected)?.probe((running.handle.shared.clock)())
    }

    /// Goes on over the path that stands by. Nothing stands by then.
    ///
    /// # Errors
    /// When nothing stood by, or its socket cannot be used; the old one stays then.
    pub fn take_standby(&mut self) -> io::Result<()> {
        let running = self.running.as_mut().ok_or(ErrorKindNotConnected)?;
        let standby = running.standby.take().ok_or(ErrorKindNotConnected)?;
        running.go_on_from(standby.socket()?)
    }

    /// Where its socket is bound.
    ///
    /// # Errors
    /// When no socket could be opened.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        lock(&self.running.as_ref().ok_or(ErrorKindNotConnected)?.endpoint).local_addr()
    }

    /// Closes the connection, or calls the attempt off, and waits until the thread has ended: at most a second.
    pub fn shutdown(mut self) {
        self.end();
    }

    /// The same without waiting: who replaces a connection has something better to do. A thread that is still saying
    /// goodbye when the program ends is cut short.
    pub fn retire(mut self) {
        self.stop.send_replace(true);
        self.thread = None;
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stop.send_replace(true);
            // A sink may drop us on the network thread itself.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("the network thread panicked");
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}

impl Running {
    fn go_on_from(&self, socket: std::net::UdpSocket) -> io::Result<()> {
        let shared = &self.handle.shared;
        let _inside = shared.runtime.enter();
        let socket = marks::wrap(socket, shared.options.marks, self.sealed.clone(), &TokioRuntime)?;
        lock(&self.endpoint).rebind_abstract(socket)?;
        let there: Vec<_> = lock(&shared.conns).values().cloned().collect();
        there.iter().for_each(|conn| conn.on_moved());
        Ok(())
    }
}

/// There is no socket.
struct ErrorKindNotConnected;

impl From<ErrorKindNotConnected> for io::Error {
    fn from(_: ErrorKindNotConnected) -> Self {
        io::ErrorKind::NotConnected.into()
    }
}

/// An endpoint on this socket; to be called in the runtime.
fn endpoint(socket: std::net::UdpSocket, options: &Options, sealed: &Arc<Sealed>) -> io::Result<Endpoint> {
    let socket = marks::wrap(socket, options.marks, sealed.clone(), &TokioRuntime)?;
    Endpoint::new_with_abstract_socket(config::client_endpoint(), None, socket, Arc::new(TokioRuntime))
}

async fn run(attempt: Attempt, mut stopped: watch::Receiver<bool>) {
    let (conn, shared) = (attempt.conn, attempt.shared.clone());
    let stop = async move {
        let _ = stopped.wait_for(|s| *s).await;
    };
    tokio::pin!(stop);
    let made = tokio::select! {
        made = establish(&attempt) => made,
        () = &mut stop => Err(ConnectFailure::Cancelled),
    };
    match made {
        Ok(made) => {
            let life = async {
                match made {
                    Made::Quic(fresh, endpoint) => {
                        *lock(&attempt.endpoint) = endpoint;
                        live(shared.clone(), fresh).await;
                    }
                    Made::WebSocket(fresh) => websocket::live(shared.clone(), *fresh).await,
                }
            };
            tokio::pin!(life);
            tokio::select! {
                () = &mut life => {}
                () = &mut stop => {
                    Handle { shared: shared.clone() }.close_all(Fault::ShuttingDown);
                    let _ = timeout(Duration::from_millis(700), life).await;
                }
            }
        }
        Err(why) => (shared.sink)(Event::ConnectFailed { attempt: conn, why }),
    }
    let endpoint = lock(&attempt.endpoint).clone();
    let _ = timeout(Duration::from_millis(250), endpoint.wait_idle()).await;
}

/// Tries every way until one connects or all have failed.
// spec: WS-14
async fn establish(attempt: &Attempt) -> Result<Made, ConnectFailure> {
    let deadline = Instant::now() + attempt.shared.options.connect_within;
    let patience = attempt.shared.options.limits.handshake;
    let carriers = attempt.shared.options.carriers;
    let mut tries: JoinSet<Result<Made, ConnectFailure>> = JoinSet::new();
    let nth = |n: usize| STAGGER.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
    let conn = attempt.conn;
    for (i, addr) in attempt.target.iter().copied().enumerate().filter(|_| carriers.quic()) {
        let (config, slot, window) = client_config(attempt)?;
        let first = lock(&attempt.endpoint).clone();
        let (shared, sealed, v4_only) = (attempt.shared.clone(), attempt.sealed.clone(), attempt.v4_only);
        let fresh = move || endpoint(for_client(v4_only, None)?.socket, &shared.options, &sealed);
        let pinned = matches!(attempt.expect, HostExpectation::Pinned(_));
        tries.spawn(async move {
            sleep(nth(i)).await;
            let (endpoint, quinn) = one(&first, fresh, config, &slot, addr, deadline, patience).await?;
            let fresh = Fresh { id: conn, quinn, window, own_fingerprint: None, proven: pinned, place: None };
            Ok(Made::Quic(fresh, endpoint))
        });
    }
    let head_start = if carriers.quic() { WEBSOCKET_AFTER } else { Duration::ZERO };
    for (i, road) in roads(attempt).into_iter().enumerate() {
        let (shared, expect) = (attempt.shared.clone(), attempt.expect);
        tries.spawn(async move {
            sleep(head_start + nth(i)).await;
            let made = websocket::connect(&shared, conn, road, expect, deadline, patience).await?;
            Ok(Made::WebSocket(Box::new(made)))
        });
    }
    let mut nearest = ConnectFailure::NoRoute;
    let mut refused = false;
    while let Some(tried) = tries.join_next().await {
        match tried {
            Ok(Ok(made)) => return Ok(made),
            Ok(Err(why)) => {
                refused |= why == ConnectFailure::Refused;
                if why.distance() < nearest.distance() {
                    nearest = why;
                }
            }
            Err(e) => return Err(ConnectFailure::Local(e.to_string())),
        }
    }
    // UDP that is refused is not silent, whatever TCP does.
    Err(if refused && nearest == ConnectFailure::SilentButTcpOpen { ConnectFailure::Refused } else { nearest })
}

/// The ways over TCP: through the proxy when there is one, else to every address; the port that UDP has, then the others.
// spec: WS-13, WS-14
fn roads(attempt: &Attempt) -> Vec<Road> {
    let options = &attempt.shared.options;
    if !options.carriers.websocket() {
        return Vec::new();
    }
    let more = |port: u16| options.tcp_ports.iter().copied().filter(move |p| *p != port);
    match (&options.proxy, &options.named) {
        (Some(proxy), Some((host, port))) => std::iter::once(*port)
            .chain(more(*port))
            .map(|port| Road::Proxied(proxy.clone(), host.clone(), port))
            .collect(),
        _ => {
            let others = |addr: &SocketAddr| more(addr.port()).map(|port| SocketAddr::new(addr.ip(), port)).collect();
            let later: Vec<SocketAddr> = attempt.target.iter().flat_map(|addr| -> Vec<_> { others(addr) }).collect();
            attempt.target.iter().copied().chain(later).take(MOST_ADDRESSES).map(Road::Direct).collect()
        }
    }
}

fn client_config(attempt: &Attempt) -> Result<(ClientConfig, VerdictSlot, Arc<Window>), ConnectFailure> {
    let protocols: Vec<&[u8]> = attempt.protocols.iter().map(Vec::as_slice).collect();
    let shared = &attempt.shared;
    dialling(attempt.expect, &protocols, &shared.options, shared.clock.clone(), &attempt.sealed)
        .map_err(ConnectFailure::Local)
}

/// How a connection is asked for.
pub(crate) fn dialling(
    expect: HostExpectation,
    protocols: &[&[u8]],
    options: &Options,
    clock: ClockFn,
    sealed: &Arc<Sealed>,
) -> Result<(ClientConfig, VerdictSlot, Arc<Window>), String> {
    let (tls, slot) = tls::client_config(expect, Over::Quic, protocols)?;
    let quic = QuicClientConfig::try_from(tls).map_err(|e| e.to_string())?;
    let quic: Arc<dyn quinn::crypto::ClientConfig> = Arc::new(quic);
    let mut config = ClientConfig::new(if options.marks.is_off() { quic } else { sealed.client(quic, clock.clone()) });
    let (transport, window) = config::transport(options, LinkSide::Viewer, clock);
    config.transport_config(Arc::new(transport));
    Ok((config, slot, window))
}

/// Tries one address, and asks the network why when it stays silent.
async fn one(
    first: &Endpoint,
    fresh: impl Fn() -> io::Result<Endpoint>,
    config: ClientConfig,
    slot: &VerdictSlot,
    addr: SocketAddr,
    deadline: Instant,
    patience: Duration,
) -> Result<(Endpoint, quinn::Connection), ConnectFailure> {
    let answered = Arc::<AtomicBool>::default();
    let tcp_seen = Mutex::new(Tcp::default());
    let handshake = {
        let answered = answered.clone();
        insist::connect(first, fresh, &config, addr, sleep, move || answered.store(true, Ordering::Relaxed))
    };
    let silence = async {
        sleep_until(deadline).await;
        if answered.load(Ordering::Relaxed) {
            // Slow, but there.
            sleep(patience).await;
        }
    };
    let probing = async {
        let tcp = async {
            let seen = probe::tcp(addr).await;
            *lock(&tcp_seen) = seen;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            verdict = probe::udp(addr) => verdict,
            () = tcp => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        done = handshake => {
            let (endpoint, quinn) = done.map_err(|e| match e {
                insist::Failure::Connect(_) => ConnectFailure::NoRoute,
                insist::Failure::Connection(e) => failure(&e, slot),
            })?;
            match protocol(&quinn).as_deref() {
                Some(ALPN) => Ok((endpoint, quinn)),
                Some(ALPN_ANY_VERSION) => Err(ConnectFailure::VersionMismatch),
                _ => Err(ConnectFailure::NotTelepane("it agreed to no protocol".to_owned())),
            }
        }
        verdict = probing => Err(match verdict {
            probe::Verdict::NoRoute => ConnectFailure::NoRoute,
            probe::Verdict::Refused => ConnectFailure::Refused,
        }),
        () = silence => {
            let seen = *lock(&tcp_seen);
            Err(match seen {
                Tcp::Open => ConnectFailure::SilentButTcpOpen,
                Tcp::Refused => ConnectFailure::Silent { host_up: true },
                Tcp::Silent => ConnectFailure::Silent { host_up: false },
            })
        }
    }
}

/// What a failed handshake means.
fn failure(error: &ConnectionError, slot: &VerdictSlot) -> ConnectFailure {
    match take_verdict(slot) {
        Some(Verdict::Changed(seen)) => return ConnectFailure::HostChanged { seen },
        Some(Verdict::Untrusted(text)) => return ConnectFailure::Untrusted(text),
        // Only looked for over TCP.
        Some(Verdict::Stranger { by, .. }) => return ConnectFailure::Untrusted(by),
        None => {}
    }
    let not_telepane = || ConnectFailure::NotTelepane(harmless(error.to_string().as_bytes()));
    let of_code = |code: TransportErrorCode| match u64::from(code) {
        CONNECTION_REFUSED | APPLICATION_ERROR => ConnectFailure::Busy,
        NO_PROTOCOL => ConnectFailure::NotTelepane("it speaks another protocol".to_owned()),
        _ => not_telepane(),
    };
    match error {
        ConnectionError::ConnectionClosed(close) => of_code(close.error_code),
        ConnectionError::TransportError(e) => of_code(e.code),
        ConnectionError::ApplicationClosed(close) => match Fault::from_code(close.error_code.into_inner()) {
            Some(Fault::WrongVersion) => ConnectFailure::VersionMismatch,
            _ => ConnectFailure::Busy,
        },
        ConnectionError::TimedOut => ConnectFailure::Silent { host_up: false },
        ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => ConnectFailure::Local(error.to_string()),
        ConnectionError::VersionMismatch | ConnectionError::Reset => not_telepane(),
    }
}
