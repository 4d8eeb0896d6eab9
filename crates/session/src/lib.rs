//! The two minds: [`Host`] decides for the agent, [`Viewer`] for the client.
//!
//! Beside them [`life`] decides for all of an agent's sessions together: who comes in, who rests, who is sent home; and
//! [`places`] where the desktop's windows lie while they come and go; [`hands`] what its one keyboard, mouse, touch screen and
//! pen do when several viewers have theirs on them.
//!
//! All are machines without a clock, a socket or a thread. Facts come in with their time (`on_*`), wishes go out
//! (`poll_output`, until it is idle), so everything that goes wrong in the field can be played again in a box.

#![forbid(unsafe_code)]

mod arrivals;
mod bucket;
mod bulk;
mod clip;
mod clock_map;
mod film;
pub mod fuzzing;
pub mod hands;
mod homing;
mod host;
mod ledger;
pub mod life;
mod link;
mod output;
pub mod places;
mod planner;
pub mod sound;
mod standby;
mod viewer;

pub use bulk::{BulkWish, clip_pipe, file_pipe};
pub use film::Film;
pub use homing::Homing;
pub use host::{Host, HostOptions, LEASE, ShownFigures, Stages, TOO_OLD};
pub use ledger::Ledger;
pub use output::{ClipWish, DecodeJob, HostOutput, Incoming, ViewerOutput, Wake};
pub use standby::{NoStandby, Standby, StandbyMode, StandbyWish, pick};
pub use viewer::{Figures, KeyJourney, Viewer};
