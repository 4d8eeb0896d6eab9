//! Who sits on a seat: how they proved it, from where, and what they may do.

use crate::clock::unix_secs;
use std::net::SocketAddr;
use telepane_trust::{Authenticated, ClientId, FeatureSet, Method, Rights};

/// Somebody who was let in.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The proven key, if one was.
    pub client: Option<ClientId>,
    /// What their machine calls itself; not proven.
    pub name: String,
    /// The user they say they are; not proven, empty for the owner.
    pub user: String,
    /// How they proved themselves.
    pub method: Method,
    /// Where they are connected from.
    pub remote: SocketAddr,
    /// When they came in, in seconds since 1970.
    pub since: u64,
    /// Their key stood in the list of enrolled clients when they came in, so that taking it off ends the session.
    pub enrolled: bool,
    /// What they may do.
    pub rights: Rights,
}

impl Guest {
    /// Whoever was authenticated, as of now.
    pub fn new(who: &Authenticated, remote: SocketAddr, enrolled: bool, features: FeatureSet) -> Self {
        Self {
            client: who.client,
            name: who.name.as_str().to_owned(),
            user: who.user.as_str().to_owned(),
            method: who.method,
            remote,
            since: unix_secs(),
            enrolled,
            rights: Rights::new(features),
        }
    }

    /// The way they proved themselves, in a word.
    pub const fn proved_by(&self) -> &'static str {
        match self.method {
            Method::ClientKey => "client-key",
            Method::Code => "code",
        }
    }
}
