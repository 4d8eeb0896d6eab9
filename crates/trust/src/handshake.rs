//! The handshake as two machines that are consumed by every message, so that no state is entered twice.
//!
//! ```text
//! known client, 1 round trip     first contact, 2 round trips
//! viewer  Start{key}      ->     Start{code element}          ->
//! host         <- Accept              <- Pake{element}
//! viewer                         Confirm{proof, key to enrol} ->
//! host                                <- Accept{proof}
//! ```
//! A viewer with both offers both at once; a host that does not know the key goes on with the code. After a refusal with
//! `again` the viewer may start over on the same connection: a code at most [`MAX_WRONG_CODES`] times, [`MAX_STARTS`] starts in all.
//!
//! The viewer offers its key as the only proof just to a host whose identity it already trusts (`pinned`): a key says
//! who the client is, and nothing about the host. A host that nothing vouches for must prove the code.

mod host;
mod viewer;

pub use host::{HostAuth, HostStep};
pub use viewer::{CodeWanted, NeedCode, Refused, ViewerAuth, ViewerOffer, ViewerStep};

use crate::client_key::{ClientId, ClientPublic};
use crate::message::Label;
use crate::seed::Seed;
use rand_core::RngCore;

/// Wrong codes on one connection, as DCV's `authentication-threshold` counts them.
// spec: A-26
pub const MAX_WRONG_CODES: u8 = 3;
/// Starts on one connection, throttled ones and unknown keys included.
// spec: A-26
pub const MAX_STARTS: u8 = 8;

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By an enrolled key.
    ClientKey,
    /// By the access code.
    Code,
}

/// Who came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// How.
    pub method: Method,
    /// The client, when it proved a key.
    pub client: Option<ClientId>,
    /// The key to write into the list of enrolled clients now. Before admission: the key it wants enrolled.
    pub enrol: Option<ClientPublic>,
    /// What the machine calls itself; not proven.
    pub name: Label,
    /// The user it asks for; not proven, empty for the session's owner.
    pub user: Label,
}

/// One seed per purpose and start: no scalar is used twice on a connection.
// spec: A-30
fn next_seed(seed: &Seed, start: u8, label: &[u8]) -> Seed {
    let mut bytes = [0; 32];
    seed.stream(&[label, &[0, start]].concat()).fill_bytes(&mut bytes);
    Seed::new(bytes)
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
