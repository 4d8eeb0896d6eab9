//! The words on Telepane's wire: datagrams, control messages, versions, capabilities and the list of faults.
//!
//! Everything here turns bytes into meaning and back, and holds no state. Byte layouts are specified in
//! `protocol-spec/datagrams.md` and `protocol-spec/control.md`. Reading is bounded: a length from the wire allocates
//! nothing that its own bytes have not paid for.

#![forbid(unsafe_code)]

pub mod bulk;
pub mod bundle;
pub mod capability;
pub mod carried;
pub mod clip;
pub mod control;
pub mod datagram;
pub mod fault;
pub mod fec;
mod feedback;
pub mod files;
pub mod fuzzing;
pub mod issuer;
pub mod life;
mod monitors;
pub mod path;
mod policy;
mod proof;
pub mod slice;
pub mod sound;
pub mod wire;

pub use bulk::{Chunk, MAX_CHUNK};
pub use capability::{Capabilities, Capability, agree_version};
pub use carried::Carried;
pub use clip::ClipWord;
pub use control::{Control, Goodbye, RefuseReason};
pub use datagram::{Datagram, InputBatch, Shard, expand_seq, lets_go};
pub use fault::Fault;
pub use feedback::{Feedback, InputReport, SurfaceReport};
pub use files::{Entry, EntryKind, FileWord, Outcome};
pub use life::{Ending, HostState, LifeWord, Person, Place};
pub use policy::MOST_KNOBS;
pub use proof::Proofs;
pub use slice::SliceBody;
pub use sound::SoundPacket;

/// The version of the protocol spoken here. ALPN is `telepane/1`; this counts within it.
pub const VERSION: u16 = 1;
/// The oldest version still understood.
pub const OLDEST_VERSION: u16 = 1;
/// The most bytes of one control message.
pub const MAX_CONTROL: usize = 64 * 1024;
/// The most shards of one slice, data and parity together.
pub const MAX_SHARDS: u8 = 16;
/// The most data shards of one slice (DESIGN §3.4: a slice is at most 8 datagrams).
pub const MAX_DATA_SHARDS: u8 = 8;
