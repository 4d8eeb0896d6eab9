//! Rate control alone: one bottleneck, flows that draw frames, and whatever controller steers them, in virtual time.
//!
//! [`Link`] is a discrete-event model of a path ([`Path`]): a drop-tail or managed queue with a rate trace, a delay, loss
//! on both ways, jitter on the way back. Over it run any number of flows ([`App`] says what they draw) and at most one
//! bulk flow with a CUBIC window. What decides how fast a flow may send stands behind one trait, [`Steer`]: the
//! production controller, and beside it what others use ([`baseline`]), written from their specifications so that one
//! run holds all of them against the same work. [`study`] is the scenarios and what each is held to.
//!
//! Times are nanoseconds inside and seconds in what is told. A packet is 1,200 bytes, headers included.

pub mod baseline;
mod bulk;
mod flow;
mod link;
mod path;
pub mod runs;
mod steer;
pub mod study;

pub use bulk::Bulk;
pub use flow::{App, Flow, Work};
pub use link::Link;
pub use path::{Gilbert, Path};
pub use steer::{Kind, Reporting, Steer};

/// Bytes of a full packet.
pub const PACKET: u64 = 1_200;
const SECOND: f64 = 1e9;

/// The value at quantile `p`, NaN of nothing.
pub fn quantile(mut values: Vec<f64>, p: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let i = (values.len().saturating_sub(1) as f64 * p).round() as usize;
    values.get(i).copied().unwrap_or(f64::NAN)
}

/// Mbit/s of (second, bytes) between two seconds.
pub fn mbps(arrived: &[(f64, u64)], from: f64, to: f64) -> f64 {
    let bytes: u64 = arrived.iter().filter(|a| a.0 >= from && a.0 < to).map(|a| a.1).sum();
    bytes as f64 * 8e-6 / (to - from)
}
