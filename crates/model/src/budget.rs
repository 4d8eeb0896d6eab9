//! What the rate controller allows.

use crate::time::{Clock, Span, Stamp};
use crate::units::{BitRate, Bytes};

/// Why a budget is what it is; for people and tests, never for decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BudgetWhy {
    /// Nothing is known of the path yet.
    #[default]
    Startup,
    /// The path is clear and followed.
    Track,
    /// A queue is being emptied.
    Drain,
    /// Holding against another flow.
    Compete,
    /// No feedback comes back.
    Silent,
    /// A limit set by a person.
    Limit,
}

/// What may be sent, and how. Valid from `at` to `until`; an expired budget means: only what is vital.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget<C: Clock> {
    /// When it was made.
    pub at: Stamp<C>,
    /// When it stops holding.
    pub until: Stamp<C>,
    /// The pace of packets on the wire (the path's capacity, about).
    pub pace: BitRate,
    /// The sustained share: what the encoder may produce over time.
    pub share: BitRate,
    /// What may go back to back.
    pub burst: Bytes,
    /// The most that may be on the way, unacknowledged.
    pub in_flight_cap: Bytes,
    /// How long a packet now waits in the path's queue, own and others'.
    pub queue: Span,
    /// The reason.
    pub why: BudgetWhy,
}
