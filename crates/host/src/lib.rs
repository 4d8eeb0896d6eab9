//! The Telepane agent: one network thread, one desk loop, one worker for large pictures.
//!
//! The desk loop owns everything that happens on the desktop: it polls the capture source, runs each viewer's
//! `session::Host`, injects input, and codes small changes inline. It decides nothing; what looks like a decision here
//! belongs in `session`.

pub mod alone;
pub mod ask;
pub mod cli;
pub mod clock;
pub mod coders;
pub mod config;
pub mod control;
pub mod desk;
pub mod doctor;
pub mod door;
pub mod exit;
pub mod files;
pub mod firewall;
pub mod guest;
pub mod hooks;
pub mod life;
pub mod metrics;
pub mod notes;
pub mod pages;
pub mod permissions;
pub mod policy;
pub mod reachable;
pub mod seat;
pub mod serve;
pub mod session;
pub mod sound;
pub mod surface;
mod system;
pub mod tools;
pub mod worker;
