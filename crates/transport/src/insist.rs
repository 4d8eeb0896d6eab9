//! A QUIC handshake that one unlucky packet does not hold up.
//!
//! QUIC sends again what was lost after a time that it measures, and a handshake under loss measures it badly: where the first
//! acknowledgement is lost, the one that is repeated seconds later counts as the round trip, and the next loss then costs many
//! times that. So a handshake that is not done in a second is not left alone: another is begun beside it, with a measuring of
//! its own, and the first that is done is kept.
//!
//! Each has a socket of its own: the client's connection ids are empty, so what comes is told apart by addresses alone.

use crate::tls::SERVER_NAME;
use quinn::{ClientConfig, ConnectError, Connecting, Connection, ConnectionError, Endpoint};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// A handshake that is not done after this long is joined by another; the next one waits for twice as long.
// spec: L-11
const BESIDE: Duration = Duration::from_secs(1);
/// Handshakes with one address at a time: fewer than make an agent ask for a proof of the address (half of
/// [`crate::Limits::unproven_per_address`]).
const MOST: usize = 3;

type Try = Pin<Box<dyn Future<Output = Result<(Endpoint, Connection), ConnectionError>> + Send>>;

/// Why there is no connection.
#[derive(Debug)]
pub enum Failure {
    /// Nothing could be sent there.
    Connect(ConnectError),
    /// What the last handshake ended with.
    Connection(ConnectionError),
}

/// Connects to `addr` from `first`, and from further endpoints that `fresh` opens; returns the one whose connection came about.
/// `sleep` waits in the endpoints' time, `answered` is called when the host has begun to answer.
///
/// # Errors
/// With the last handshake's error, when none is left under way.
pub async fn connect<S: Future<Output = ()>>(
    first: &Endpoint,
    fresh: impl Fn() -> io::Result<Endpoint>,
    config: &ClientConfig,
    addr: SocketAddr,
    sleep: impl Fn(Duration) -> S,
    answered: impl Fn() + Clone + Send + 'static,
) -> Result<(Endpoint, Connection), Failure> {
    let begin = |endpoint: Endpoint| -> Result<Try, ConnectError> {
        let connecting = endpoint.connect_with(config.clone(), addr, SERVER_NAME)?;
        Ok(Box::pin(shake(endpoint, connecting, answered.clone())))
    };
    let mut tries = vec![begin(first.clone()).map_err(Failure::Connect)?];
    let mut wait = BESIDE;
    let mut pause = Box::pin(sleep(wait));
    poll_fn(move |cx| {
        if tries.len() < MOST && pause.as_mut().poll(cx).is_ready() {
            // Where no other can be begun, the first goes on alone.
            match fresh().map(&begin) {
                Ok(Ok(one)) => tries.push(one),
                Ok(Err(error)) => tracing::debug!(%error, "no further handshake"),
                Err(error) => tracing::debug!(%error, "no socket for a further handshake"),
            }
            wait += wait;
            pause.set(sleep(wait));
            // Being asked once makes it wake this task.
            if pause.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        let mut ended = None;
        let mut at = 0;
        while let Some(one) = tries.get_mut(at) {
            match one.as_mut().poll(cx) {
                Poll::Ready(Ok(done)) => return Poll::Ready(Ok(done)),
                Poll::Ready(Err(error)) => {
                    ended = Some(error);
                    drop(tries.swap_remove(at));
                }
                Poll::Pending => at += 1,
            }
        }
        match ended {
            Some(error) if tries.is_empty() => Poll::Ready(Err(Failure::Connection(error))),
            _ => Poll::Pending,
        }
    })
    .await
}

async fn shake(
    endpoint: Endpoint,
    mut connecting: Connecting,
    answered: impl Fn(),
) -> Result<(Endpoint, Connection), ConnectionError> {
    // The host's first flight is in when this resolves; errors come out of the handshake itself below.
    if connecting.handshake_data().await.is_ok() {
        answered();
    }
    Ok((endpoint, connecting.await?))
}
