//! Telepane in a box: the real minds and the real codec over modelled links, on a virtual clock.
//!
//! A [`World`] holds a host, a viewer and a link each way. Each step goes to the earliest deadline; ties are broken by
//! a fixed order, so the same seed gives the same journal, byte for byte. An [`oracle`] that knows nothing of the minds'
//! insides watches what the viewer shows.
//!
//! [`bottleneck`] is a smaller box: one link and the rate controller alone, beside the controllers of others.

#![forbid(unsafe_code)]

pub mod bottleneck;
pub mod cost;
pub mod link;
pub mod oracle;
pub mod plan;
pub mod quic;
pub mod screen;
pub mod sound;
mod streams;
pub mod world;

pub use cost::{CostTable, Prices, Work};
pub use link::{LinkModel, Path};
pub use oracle::Oracle;
pub use plan::Plan;
pub use screen::{Canvas, Screen};
pub use sound::Sounds;
pub use world::{Direction, Loads, ProofTally, Sample, World, WorldOptions};
