//! The agent's end of a WebSocket's handshake: TLS, then the request to upgrade.

use super::{Fresh, Io, limits};
use crate::connection::{Shared, harmless};
use crate::event::{ConnId, Fault};
use crate::tcp;
use crate::tls::EXPORTER_LABEL;
use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use telepane_protocol::Carried;
use telepane_protocol::carried::{PATH, SUBPROTOCOL, SUBPROTOCOL_ANY_VERSION};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};

/// What a client is shown.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) tls: Arc<rustls::ServerConfig>,
    pub(crate) fingerprint: [u8; 32],
}

/// Lets a client in as far as its proof; `None` when it is no client of ours.
// spec: WS-1, WS-2, WS-3, WS-5
pub(crate) async fn accept(
    shared: &Shared,
    stream: TcpStream,
    remote: SocketAddr,
    door: Door,
    place: Box<dyn Any + Send>,
) -> Option<Fresh> {
    let refused = |what: &str, e: &dyn std::fmt::Display| {
        tracing::debug!(%remote, "{what}: {}", harmless(e.to_string().as_bytes()));
    };
    let tuned = tcp::tune(&stream, shared.options.idle_timeout).and_then(|()| tcp::watch(&stream));
    let kernel = tuned.inspect_err(|e| refused("a tcp connection could not be set up", e)).ok()?;
    let tls = TlsAcceptor::from(door.tls).accept(stream).await;
    let tls = tls.inspect_err(|e| refused("tls over tcp failed", e)).ok()?;
    let exporter = tls.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, Some(b"")).ok()?;
    let mut agreed = "";
    let stream: Box<dyn Io> = Box::new(tls);
    #[expect(clippy::result_large_err, reason = "the library's own types")]
    let upgrade = |request: &Request, response: Response| answer(request, response, &mut agreed);
    let socket = accept_hdr_async_with_config(stream, upgrade, Some(limits())).await;
    let mut socket = socket.inspect_err(|e| refused("no websocket", e)).ok()?;
    if agreed != SUBPROTOCOL {
        // spec: A-2
        let fault = Fault::WrongVersion;
        let close = Carried::Close { code: fault.code(), text: fault.name().as_bytes() }.encode();
        let _ = futures_util::SinkExt::send(&mut socket, Message::Binary(close.into())).await;
        let _ = socket.close(None).await;
        return None;
    }
    let host_fingerprint = door.fingerprint;
    let id = ConnId::fresh();
    Some(Fresh { id, socket, kernel, remote, exporter, host_fingerprint, proven: false, place: Some(place) })
}

/// Upgrades a Telepane client, and nobody else: least of all a page in somebody's browser.
// spec: WS-2, WS-3
#[expect(clippy::result_large_err, reason = "the library's own types")]
fn answer(request: &Request, mut response: Response, agreed: &mut &str) -> Result<Response, ErrorResponse> {
    let refuse = |status: StatusCode, why: &str| {
        let mut answer = ErrorResponse::new(Some(format!("{why}\n")));
        *answer.status_mut() = status;
        Err(answer)
    };
    if request.uri().path() != PATH {
        return refuse(StatusCode::NOT_FOUND, "this is a telepane host; connect with a telepane client");
    }
    if request.headers().contains_key(header::ORIGIN) {
        return refuse(StatusCode::FORBIDDEN, "web pages are not let in");
    }
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offered: Vec<&str> =
        offered.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',').map(str::trim)).collect();
    let Some(chosen) = [SUBPROTOCOL, SUBPROTOCOL_ANY_VERSION].into_iter().find(|p| offered.contains(p)) else {
        return refuse(StatusCode::BAD_REQUEST, "no telepane subprotocol is offered");
    };
    *agreed = chosen;
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(chosen));
    Ok(response)
}
