//! QUIC as [`crate::Server`] and [`crate::Client`] configure it, without their sockets, threads and runtime: on a socket and a runtime
//! that the caller brings. For a network that is simulated; a shell has no use for it.

use crate::ClockFn;
use crate::client::dialling;
use crate::config::{self, Options};
use crate::event::BindError;
pub use crate::insist::{Failure, connect};
use crate::marks::Sealed;
use crate::server::{accepting, quic_config};
use crate::tls::{ALPN, HostExpectation, ServerCredentials};
pub use crate::window::Window;
use quinn::{AsyncUdpSocket, ClientConfig, Endpoint, Runtime};
use std::io;
use std::sync::Arc;
use telepane_model::LinkSide;

/// An end without its connections.
pub struct Bare {
    /// quinn's.
    pub endpoint: Endpoint,
    /// What may be in flight, once it is set: see [`crate::Lanes::set_window`].
    pub window: Arc<Window>,
    /// What a client connects with; an agent has none.
    pub dial: Option<ClientConfig>,
}

/// What a simulated network gives an end.
pub struct World {
    /// Its socket.
    pub socket: Arc<dyn AsyncUdpSocket>,
    /// Its tasks and timers.
    pub runtime: Arc<dyn Runtime>,
    /// Its clock.
    pub clock: ClockFn,
    /// What the QUIC stack draws its chances from.
    pub seed: [u8; 32],
}

/// An agent's end.
///
/// # Errors
/// When the credentials do not fit together.
pub fn agent(world: World, credentials: &ServerCredentials, options: &Options) -> Result<Bare, BindError> {
    let mut accept = accepting(quic_config(credentials, options, &Arc::<Sealed>::default(), &world.clock)?, options);
    let (transport, window) = config::transport(options, LinkSide::Host, world.clock);
    accept.transport_config(Arc::new(transport));
    let mut config = config::server_endpoint(options.reset_secret);
    config.rng_seed(Some(world.seed));
    let endpoint = Endpoint::new_with_abstract_socket(config, Some(accept), world.socket, world.runtime)?;
    Ok(Bare { endpoint, window, dial: None })
}

/// A viewer's end.
///
/// # Errors
/// When the socket cannot be used.
pub fn viewer(world: World, expect: HostExpectation, options: &Options) -> io::Result<Bare> {
    let (dial, _, window) =
        dialling(expect, &[ALPN], options, world.clock, &Arc::<Sealed>::default()).map_err(io::Error::other)?;
    let mut config = config::client_endpoint();
    config.rng_seed(Some(world.seed));
    let endpoint = Endpoint::new_with_abstract_socket(config, None, world.socket, world.runtime)?;
    Ok(Bare { endpoint, window, dial: Some(dial) })
}
