//! Who may come in, and what they may do: access codes, key exchange, client keys, throttle arithmetic, permissions.
//!
//! Nothing here touches a file, a clock, a socket or a source of randomness: instants and random bytes are arguments,
//! and every outcome is a value. The shells of host and client drive [`handshake::HostAuth`] and
//! [`handshake::ViewerAuth`] over the first stream of a connection; until they have succeeded nothing else that
//! arrives is parsed. Everything fails closed: what is not understood, not proven or not listed is refused.
//!
//! Files and key storage are the business of `telepane-auth`.

#![forbid(unsafe_code)]

pub mod client_key;
pub mod code;
pub mod fingerprint;
pub mod fuzzing;
pub mod gate;
pub mod handshake;
mod hex;
pub mod message;
pub mod pake;
pub mod permissions;
pub mod seed;
pub mod throttle;

pub use client_key::{ClientId, ClientKey, ClientProof, ClientPublic};
pub use code::{AccessCode, CodeError};
pub use fingerprint::Fingerprint;
pub use gate::{Admission, Door, Gate};
pub use handshake::{
    Authenticated, CodeWanted, HostAuth, HostStep, Method, NeedCode, Refused, ViewerAuth, ViewerOffer, ViewerStep,
};
pub use message::{AuthMessage, DecodeError, Label, RefuseReason};
pub use permissions::{Actor, Feature, FeatureSet, Permissions, Rights};
pub use seed::{Exporter, Seed};
pub use throttle::{PeerAddr, Throttle, Verdict};
