//! Keys, pins, enrolled clients and access codes on disk, and that they do not leave memory otherwise.
//!
//! The decisions are `telepane-trust`'s; this crate keeps what they need between runs. Secret files have mode 0600 in a directory
//! with mode 0700, are written beside their place and renamed into it, and are refused when others could have read or
//! changed them. Text files are TOML in which an unknown key is an error with its line: a pin that is not understood must
//! not be skipped. Time is handed in as seconds since 1970, for names and lifetimes only.

#![forbid(unsafe_code)]

pub mod client_key;
pub mod code_file;
pub mod enrolled;
pub mod files;
pub mod identity;
pub mod known_hosts;
mod list;
pub mod memory;
pub mod paths;
pub mod random;

pub use client_key::load_or_create as load_or_create_client_key;
pub use enrolled::{Enrolled, EnrolledClient};
pub use files::FileError;
pub use identity::{HostIdentity, TlsCredentials};
pub use known_hosts::{HostLookup, KnownHosts};
pub use paths::Paths;

#[cfg(test)]
mod scratch;
