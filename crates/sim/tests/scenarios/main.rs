//! The engine whole, in virtual time: one binary, a module for each kind of trouble.
//!
//! Every scenario prints what it measured (`-- --nocapture`); every failure prints the last of its journal and the
//! command that plays it again.

mod bulk;
mod cache;
mod clipboard;
mod film;
mod first;
mod hidden;
mod hostile;
mod kit;
mod life;
mod load;
mod loss;
mod monitors;
mod plans;
mod policy;
mod proof;
mod silence;
mod sound;
mod wire;
