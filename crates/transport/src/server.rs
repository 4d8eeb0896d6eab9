//! The agent's end: a UDP socket and TCP's beside it on the same port, one network thread, many connections.
//!
//! A client costs nothing until its handshake has begun, little until it is done, and a bounded amount until it has
//! proven itself: handshakes, connections and unproven connections per address are counted, and beyond a threshold a
//! client first has to show that its address is its own.

use crate::carrier::Handle;
use crate::config::{self, Limits, Options};
use crate::connection::{Fresh, Shared, live, lock};
use crate::event::{BindError, ConnId, Fault};
use crate::marks::{self, Sealed};
use crate::socket::{Bound, Listen, listen, plain};
use crate::tls::{self, ALPN, ALPN_ANY_VERSION, ALPN_HTTP, Over, ServerCredentials};
use crate::websocket::{self, Door};
use crate::{ClockFn, Sink, tcp};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, Incoming, ServerConfig, TokioRuntime};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use telepane_model::LinkSide;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// What is shown to clients that come now.
struct Shown {
    config: ServerConfig,
    door: Door,
}

/// A listening agent. Dropping it closes every connection.
pub struct Server {
    handle: Handle,
    local_addr: SocketAddr,
    endpoint: Endpoint,
    shown: Arc<Mutex<Shown>>,
    sealed: Arc<Sealed>,
    stop: watch::Sender<Option<Duration>>,
    thread: Option<JoinHandle<()>>,
}

/// Ports that any port is looked for among, until one is free for UDP and for TCP.
const ANY_PORT_TRIES: u32 = 16;
/// After a connection could not be accepted, for want of descriptors most likely.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// `sealed` is told what is sealed, where packets are marked.
fn configs(
    credentials: &ServerCredentials,
    options: &Options,
    sealed: &Arc<Sealed>,
    clock: &ClockFn,
) -> Result<(Arc<dyn quinn::crypto::ServerConfig>, Door), BindError> {
    let quic = quic_config(credentials, options, sealed, clock)?;
    let tls = tls::server_config(credentials, Over::Tcp, &[ALPN_HTTP]);
    let (tls, fingerprint) = tls.map_err(BindError::Credentials)?;
    Ok((quic, Door { tls: Arc::new(tls), fingerprint }))
}

/// What QUIC shows and demands in the handshake.
pub(crate) fn quic_config(
    credentials: &ServerCredentials,
    options: &Options,
    sealed: &Arc<Sealed>,
    clock: &ClockFn,
) -> Result<Arc<dyn quinn::crypto::ServerConfig>, BindError> {
    let tls = tls::server_config(credentials, Over::Quic, &[ALPN, ALPN_ANY_VERSION]);
    let (tls, _) = tls.map_err(BindError::Credentials)?;
    let quic = Arc::new(QuicServerConfig::try_from(tls).map_err(|e| BindError::Credentials(e.to_string()))?);
    Ok(if options.marks.is_off() { quic } else { sealed.server(quic, clock.clone()) })
}

/// How connections are taken.
pub(crate) fn accepting(quic: Arc<dyn quinn::crypto::ServerConfig>, options: &Options) -> ServerConfig {
    let mut config = ServerConfig::with_crypto(quic);
    config
        // spec: L-9
        .migration(true)
        .max_incoming(options.limits.handshakes)
        .incoming_buffer_size(16 * 1024)
        .incoming_buffer_size_total(1 << 20);
    config
}

/// The UDP socket, and the TCP sockets beside it. One of those that cannot be had costs only the clients that need it.
fn sockets(at: Listen, options: &Options) -> Result<(Bound, Vec<std::net::TcpListener>), BindError> {
    let dual = matches!(at, Listen::DualStack(_));
    let beside = |bound: &Bound, port: Option<u16>| -> io::Result<std::net::TcpListener> {
        let mut addr = bound.socket.local_addr()?;
        addr.set_port(port.unwrap_or(addr.port()));
        tcp::listen(addr, dual && addr.is_ipv6())
    };
    let mut bound = listen(at)?;
    if !options.carriers.websocket() {
        return Ok((bound, Vec::new()));
    }
    let mut first = beside(&bound, None);
    let any = matches!(at, Listen::DualStack(0)) || matches!(at, Listen::Exact(a) if a.port() == 0);
    for _ in 0..ANY_PORT_TRIES {
        if !any || first.is_ok() {
            break;
        }
        bound = listen(at)?;
        first = beside(&bound, None);
    }
    let mut found = Vec::new();
    let more = options.tcp_ports.iter().map(|port| (Some(*port), beside(&bound, Some(*port))));
    for (port, listener) in std::iter::once((None, first)).chain(more) {
        match listener {
            Ok(listener) => found.push(listener),
            Err(error) => tracing::warn!(
                %error,
                port = port.or_else(|| bound.socket.local_addr().ok().map(|a| a.port())),
                "no tcp beside udp: clients to whom only tcp is open cannot connect to this port"
            ),
        }
    }
    Ok((bound, found))
}

impl Server {
    /// Listens, and accepts from now on.
    ///
    /// # Errors
    /// When the socket cannot be had or the credentials do not fit together.
    pub fn bind(
        at: Listen,
        credentials: &ServerCredentials,
        clock: ClockFn,
        sink: Sink,
        options: Options,
    ) -> Result<Self, BindError> {
        let sealed = Arc::<Sealed>::default();
        let (quic, door) = configs(credentials, &options, &sealed, &clock)?;
        let config = accepting(quic, &options);
        let (bound, listeners) = sockets(at, &options)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let shared = Shared::new(LinkSide::Host, clock, sink, options, &runtime, &bound);
        let endpoint = {
            let _inside = runtime.enter();
            let endpoint = config::server_endpoint(shared.options.reset_secret);
            let socket = marks::wrap(bound.socket, shared.options.marks, sealed.clone(), &TokioRuntime)?;
            Endpoint::new_with_abstract_socket(endpoint, Some(config.clone()), socket, Arc::new(TokioRuntime))?
        };
        let local_addr = endpoint.local_addr()?;
        let listeners = {
            let _inside = runtime.enter();
            listeners.into_iter().map(TcpListener::from_std).collect::<io::Result<Vec<_>>>()?
        };
        let shown = Arc::new(Mutex::new(Shown { config, door }));
        let (stop, stopped) = watch::channel(None);
        let handle = Handle { shared: shared.clone() };
        let task = serve(handle.clone(), endpoint.clone(), listeners, shown.clone(), stopped);
        let thread =
            std::thread::Builder::new().name("telepane-net".to_owned()).spawn(move || runtime.block_on(task))?;
        Ok(Self { handle, local_addr, endpoint, shown, sealed, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Sends on this server's connections.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// SHA-256 of the identity's SubjectPublicKeyInfo that new clients are shown.
    pub fn fingerprint(&self) -> [u8; 32] {
        lock(&self.shown).door.fingerprint
    }

    /// Shows these certificates to clients that come from now on; living connections stay.
    ///
    /// # Errors
    /// When they do not fit together; the old ones stay then.
    pub fn set_credentials(&self, credentials: &ServerCredentials) -> Result<(), BindError> {
        let (quic, door) = configs(credentials, &self.handle.shared.options, &self.sealed, &self.handle.shared.clock)?;
        let mut shown = lock(&self.shown);
        shown.config.crypto = quic;
        shown.door = door;
        self.endpoint.set_server_config(Some(shown.config.clone()));
        Ok(())
    }

    /// Closes every connection, waits at most `deadline` for the peers to hear of it, and ends the thread.
    pub fn shutdown(mut self, deadline: Duration) {
        self.end(deadline);
    }

    fn end(&mut self, deadline: Duration) {
        if let Some(thread) = self.thread.take() {
            self.stop.send_replace(Some(deadline));
            // A sink may drop us on the network thread itself.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("the network thread panicked");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Duration::from_millis(500));
    }
}

/// Connections in all, and the unproven ones per address.
#[derive(Default)]
struct Census {
    handshakes: AtomicUsize,
    connections: AtomicUsize,
    unproven: Mutex<BTreeMap<IpAddr, usize>>,
}

/// Counts one while it lives.
struct Counted(Arc<Census>, fn(&Census) -> &AtomicUsize);

impl Counted {
    fn new(census: &Arc<Census>, which: fn(&Census) -> &AtomicUsize) -> Self {
        which(census).fetch_add(1, Ordering::Relaxed);
        Self(census.clone(), which)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place among the unproven of an address, while it lives.
struct Place(Arc<Census>, IpAddr);

impl Drop for Place {
    fn drop(&mut self) {
        let mut unproven = lock(&self.0.unproven);
        if let Some(count) = unproven.get_mut(&self.1) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                unproven.remove(&self.1);
            }
        }
    }
}

/// Who counts as one address: an IPv4 address, or an IPv6 /64, which is what one site usually has.
fn site(addr: SocketAddr) -> IpAddr {
    match addr.ip().to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

async fn serve(
    handle: Handle,
    endpoint: Endpoint,
    listeners: Vec<TcpListener>,
    shown: Arc<Mutex<Shown>>,
    mut stopped: watch::Receiver<Option<Duration>>,
) {
    let census = Arc::new(Census::default());
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::spawn(accept_tcp(handle.shared.clone(), census.clone(), shown.clone(), listener)))
        .collect();
    let deadline = loop {
        tokio::select! {
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => admit(&handle.shared, &census, &shown, incoming),
                None => break Duration::ZERO,
            },
            stop = stopped.wait_for(Option::is_some) => break stop.ok().and_then(|d| *d).unwrap_or_default(),
        }
    };
    accepting.iter().for_each(tokio::task::JoinHandle::abort);
    endpoint.set_server_config(None);
    handle.refuse_new();
    handle.close_all(Fault::ShuttingDown);
    let _ = timeout(deadline, async {
        // Each connection says that it is closed before it goes.
        while census.connections.load(Ordering::Relaxed) > census.handshakes.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(2)).await;
        }
        // Handshakes under way as well: their clients would go on for long with a peer that its successor does not know.
        endpoint.close(Fault::ShuttingDown.code().into(), Fault::ShuttingDown.name().as_bytes());
        endpoint.wait_idle().await;
    })
    .await;
}

/// Takes, delays or refuses a client.
fn admit(shared: &Arc<Shared>, census: &Arc<Census>, shown: &Arc<Mutex<Shown>>, incoming: Incoming) {
    let limits: &Limits = &shared.options.limits;
    let site = site(incoming.remote_address());
    let handshakes = census.handshakes.load(Ordering::Relaxed);
    let of_site = lock(&census.unproven).get(&site).copied().unwrap_or(0);
    if shared.is_leaving() {
        return incoming.refuse();
    }
    if handshakes >= limits.handshakes || !shared.options.carriers.quic() {
        return incoming.ignore();
    }
    // A forged sender must not use up the places of the address it names.
    if !incoming.remote_address_validated()
        && (handshakes >= limits.retry_above || of_site >= limits.unproven_per_address / 2)
    {
        if let Err(e) = incoming.retry() {
            e.into_incoming().ignore();
        }
        return;
    }
    if census.connections.load(Ordering::Relaxed) >= limits.connections || of_site >= limits.unproven_per_address {
        return incoming.refuse();
    }
    let (mut config, fingerprint) = {
        let shown = lock(shown);
        (shown.config.clone(), shown.door.fingerprint)
    };
    let (transport, window) = config::transport(&shared.options, LinkSide::Host, shared.clock.clone());
    config.transport_config(Arc::new(transport));
    *lock(&census.unproven).entry(site).or_insert(0) += 1;
    let place = Place(census.clone(), site);
    let handshake = Counted::new(census, |c| &c.handshakes);
    let connection = Counted::new(census, |c| &c.connections);
    let (shared, patience) = (shared.clone(), limits.handshake);
    tokio::spawn(async move {
        let _connection = connection;
        let connecting = match incoming.accept_with(Arc::new(config)) {
            Ok(connecting) => connecting,
            Err(e) => return tracing::debug!("client refused: {e}"),
        };
        let quinn = match timeout(patience, connecting).await {
            Ok(Ok(quinn)) => quinn,
            Ok(Err(e)) => return tracing::debug!("handshake failed: {e}"),
            Err(_) => return tracing::debug!("handshake took too long"),
        };
        drop(handshake);
        if shared.is_leaving() {
            return quinn.close(Fault::ShuttingDown.code().into(), Fault::ShuttingDown.name().as_bytes());
        }
        let fresh = Fresh {
            id: ConnId::fresh(),
            quinn,
            window,
            own_fingerprint: Some(fingerprint),
            proven: false,
            place: Some(Box::new(place)),
        };
        live(shared, fresh).await;
    });
}

/// Accepts on one TCP socket, under the same counts as QUIC: an address that got through TCP's handshake is its own.
// spec: WS-4
async fn accept_tcp(shared: Arc<Shared>, census: Arc<Census>, shown: Arc<Mutex<Shown>>, listener: TcpListener) {
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a tcp connection could not be accepted");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        admit_tcp(&shared, &census, &shown, stream, plain(remote));
    }
}

/// Takes a client that came over TCP, or hangs up.
fn admit_tcp(
    shared: &Arc<Shared>,
    census: &Arc<Census>,
    shown: &Arc<Mutex<Shown>>,
    stream: TcpStream,
    remote: SocketAddr,
) {
    let limits: &Limits = &shared.options.limits;
    let site = site(remote);
    let of_site = lock(&census.unproven).get(&site).copied().unwrap_or(0);
    if shared.is_leaving()
        || census.handshakes.load(Ordering::Relaxed) >= limits.handshakes
        || census.connections.load(Ordering::Relaxed) >= limits.connections
        || of_site >= limits.unproven_per_address
    {
        return;
    }
    *lock(&census.unproven).entry(site).or_insert(0) += 1;
    let place = Place(census.clone(), site);
    let handshake = Counted::new(census, |c| &c.handshakes);
    let connection = Counted::new(census, |c| &c.connections);
    let (shared, patience, door) = (shared.clone(), limits.handshake, lock(shown).door.clone());
    tokio::spawn(async move {
        let _connection = connection;
        let accepted = timeout(patience, websocket::accept(&shared, stream, remote, door, Box::new(place))).await;
        drop(handshake);
        match accepted {
            Ok(Some(fresh)) if !shared.is_leaving() => websocket::live(shared, fresh).await,
            Ok(_) => {}
            Err(_) => tracing::debug!(%remote, "a handshake over tcp took too long"),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_an_ipv4_address_or_an_ipv6_64() {
        let of = |s: &str| site(s.parse().unwrap());
        assert_eq!(of("[2001:db8::1]:1"), of("[2001:db8::ffff:2]:9"));
        assert_ne!(of("[2001:db8::1]:1"), of("[2001:db8:0:1::1]:1"));
        assert_eq!(of("[::ffff:192.0.2.1]:1"), of("192.0.2.1:2"));
        assert_ne!(of("192.0.2.1:1"), of("192.0.2.2:1"));
    }
}
