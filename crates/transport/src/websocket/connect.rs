//! The viewer's end of a WebSocket's handshake: TCP, perhaps a proxy, TLS, then the request to upgrade; and what a failure
//! of each means.

use super::{Fresh, Io, limits};
use crate::connection::{Shared, harmless};
use crate::event::{ConnId, ConnectFailure};
use crate::proxy::Proxy;
use crate::socket::plain;
use crate::tcp;
use crate::tls::{
    self, ALPN_HTTP, EXPORTER_LABEL, HostExpectation, Over, SERVER_NAME, Verdict, spki_fingerprint, take_verdict,
};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use telepane_protocol::carried::{PATH, SUBPROTOCOL, SUBPROTOCOL_ANY_VERSION};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};

/// A way over TCP.
#[derive(Clone, Debug)]
pub(crate) enum Road {
    /// To this address.
    Direct(SocketAddr),
    /// Through a proxy to the host of this name and port.
    Proxied(Proxy, String, u16),
}

impl Road {
    /// The host and port at its end, for people and for the request.
    fn place(&self) -> String {
        match self {
            Self::Direct(addr) => addr.to_string(),
            Self::Proxied(_, host, port) if host.contains(':') => format!("[{host}]:{port}"),
            Self::Proxied(_, host, port) => format!("{host}:{port}"),
        }
    }
}

/// How far an attempt came.
const TCP: u8 = 1;
const TLS: u8 = 2;

/// Tries one road. TLS has to be there by `deadline`; the rest may take `patience` more.
pub(crate) async fn connect(
    shared: &Shared,
    id: ConnId,
    road: Road,
    expect: HostExpectation,
    deadline: Instant,
    patience: Duration,
) -> Result<Fresh, ConnectFailure> {
    let came = AtomicU8::new(0);
    let begun = timeout_at(deadline, begin(shared, &road, expect, &came)).await;
    let late = || match (&road, came.load(Ordering::Relaxed)) {
        (Road::Proxied(proxy, ..), _) => ConnectFailure::Proxy {
            proxy: proxy.to_string(),
            why: "does not get through to the host in time; check the proxy, or connect with --proxy none".into(),
        },
        (Road::Direct(_), 0) => ConnectFailure::Silent { host_up: false },
        (Road::Direct(_), _) => ConnectFailure::SilentButTcpOpen,
    };
    let begun = begun.unwrap_or_else(|_| Err(late()))?;
    timeout(patience, upgrade(id, road.place(), begun, expect)).await.unwrap_or_else(|_| Err(late()))
}

/// TLS is there.
struct Begun {
    stream: Box<dyn Io>,
    kernel: socket2::Socket,
    remote: SocketAddr,
    exporter: [u8; 32],
    host_fingerprint: [u8; 32],
}

async fn begin(
    shared: &Shared,
    road: &Road,
    expect: HostExpectation,
    came: &AtomicU8,
) -> Result<Begun, ConnectFailure> {
    let local = |e: io::Error| ConnectFailure::Local(e.to_string());
    let tcp = match road {
        Road::Direct(addr) => TcpStream::connect(addr).await.map_err(|e| no_tcp(&e))?,
        Road::Proxied(proxy, ..) => proxy.dial().await?,
    };
    came.store(TCP, Ordering::Relaxed);
    tcp::tune(&tcp, shared.options.idle_timeout).map_err(local)?;
    let kernel = tcp::watch(&tcp).map_err(local)?;
    let remote = plain(tcp.peer_addr().map_err(local)?);
    let stream: Box<dyn Io> = match road {
        Road::Direct(_) => Box::new(tcp),
        Road::Proxied(proxy, host, port) => proxy.through(tcp, host, *port).await?,
    };
    // spec: WS-1
    let (config, slot) = tls::client_config(expect, Over::Tcp, &[ALPN_HTTP]).map_err(ConnectFailure::Local)?;
    let name = SERVER_NAME.try_into().map_err(|_| ConnectFailure::Local("the name of every host is none".into()))?;
    let tls = match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(tls) => tls,
        Err(e) => {
            let verdict = match take_verdict(&slot) {
                None if speaks_older(&e) => look_at(road).await,
                seen => seen,
            };
            return Err(verdict.map_or_else(|| no_tls(&e, road), |verdict| refused(verdict, road)));
        }
    };
    came.store(TLS, Ordering::Relaxed);
    let state = tls.get_ref().1;
    // spec: WS-5
    let exporter = state
        .export_keying_material([0; 32], EXPORTER_LABEL, Some(b""))
        .map_err(|e| ConnectFailure::Local(e.to_string()))?;
    let identity = state.peer_certificates().and_then(|chain| chain.get(1));
    let host_fingerprint = identity
        .ok_or_else(|| "no identity".to_owned())
        .and_then(|c| spki_fingerprint(c))
        .map_err(ConnectFailure::Untrusted)?;
    Ok(Begun { stream: Box::new(tls), kernel, remote, exporter, host_fingerprint })
}

/// Whether TLS failed because the other side speaks an older version only.
fn speaks_older(e: &io::Error) -> bool {
    use rustls::{AlertDescription, Error};
    let of_tls = e.get_ref().and_then(|e| e.downcast_ref::<Error>());
    matches!(
        of_tls,
        Some(
            Error::PeerIncompatible(_)
                | Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure)
        )
    )
}

/// Goes the same road once more, to see who is there that speaks no TLS 1.3. Nothing is sent to him but that question.
// spec: WS-12
async fn look_at(road: &Road) -> Option<Verdict> {
    let stream: Box<dyn Io> = match road {
        Road::Direct(addr) => Box::new(TcpStream::connect(addr).await.ok()?),
        Road::Proxied(proxy, host, port) => proxy.through(proxy.dial().await.ok()?, host, *port).await.ok()?,
    };
    let (config, slot) = tls::onlooker_config().ok()?;
    let name = SERVER_NAME.try_into().ok()?;
    // It fails in any case, and what it saw is in the slot.
    let _ = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    take_verdict(&slot).filter(|v| matches!(v, Verdict::Stranger { .. }))
}

/// Asks for the WebSocket.
// spec: WS-2, WS-3
async fn upgrade(id: ConnId, place: String, begun: Begun, expect: HostExpectation) -> Result<Fresh, ConnectFailure> {
    let Begun { stream, kernel, remote, exporter, host_fingerprint } = begun;
    let local = |e: WsError| ConnectFailure::Local(e.to_string());
    let mut request = format!("wss://{place}{PATH}").into_client_request().map_err(local)?;
    let offered = format!("{SUBPROTOCOL}, {SUBPROTOCOL_ANY_VERSION}");
    let offered = HeaderValue::from_str(&offered).map_err(|e| ConnectFailure::Local(e.to_string()))?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
    let (socket, response) = client_async_with_config(request, stream, Some(limits())).await.map_err(|e| match e {
        WsError::Http(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => ConnectFailure::Busy,
        WsError::Io(_) => ConnectFailure::Busy,
        e => ConnectFailure::NotTelepane(harmless(e.to_string().as_bytes())),
    })?;
    match response.headers().get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|v| v.to_str().ok()) {
        Some(SUBPROTOCOL) => {}
        Some(SUBPROTOCOL_ANY_VERSION) => return Err(ConnectFailure::VersionMismatch),
        _ => return Err(ConnectFailure::NotTelepane("it agreed to no subprotocol".into())),
    }
    let proven = matches!(expect, HostExpectation::Pinned(_));
    Ok(Fresh { id, socket, kernel, remote, exporter, host_fingerprint, proven, place: None })
}

/// What certificates that were refused mean on this road.
// spec: WS-12
fn refused(verdict: Verdict, road: &Road) -> ConnectFailure {
    match verdict {
        Verdict::Changed(seen) => ConnectFailure::HostChanged { seen },
        Verdict::Untrusted(text) => ConnectFailure::Untrusted(text),
        Verdict::Stranger { by, made_for_us } if made_for_us || matches!(road, Road::Proxied(..)) => {
            ConnectFailure::Inspected { by, port: road.place() }
        }
        Verdict::Stranger { by, .. } => {
            ConnectFailure::NotTelepane(format!("over TCP it shows a certificate of \"{by}\""))
        }
    }
}

/// TLS came to nothing before a certificate was seen.
fn no_tls(e: &io::Error, road: &Road) -> ConnectFailure {
    match road {
        Road::Proxied(proxy, ..) => ConnectFailure::Proxy {
            proxy: proxy.to_string(),
            why: format!("lets no TLS 1.3 through to the host: {}", harmless(e.to_string().as_bytes())),
        },
        Road::Direct(_) => ConnectFailure::SilentButTcpOpen,
    }
}

fn no_tcp(e: &io::Error) -> ConnectFailure {
    match e.kind() {
        ErrorKind::ConnectionRefused => ConnectFailure::Refused,
        ErrorKind::TimedOut => ConnectFailure::Silent { host_up: false },
        ErrorKind::NetworkUnreachable
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable => ConnectFailure::NoRoute,
        _ => ConnectFailure::Silent { host_up: false },
    }
}
