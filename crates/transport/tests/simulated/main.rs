//! Real QUIC in a simulated network: quinn's endpoints as Telepane configures them, on a clock that jumps from event to event, one
//! thread, and links in memory. The same seed gives the same packets at the same microseconds.
//!
//! One thing is not the seed's: what TLS signs with differs in length by a byte or two from run to run. So the network counts every
//! datagram that begins a handshake's packet as one of [`world::LONG`] bytes.

mod minds;
mod scenes;
mod world;
