//! The Telepane client: connects to an agent, shows its desktop, and carries the user's input there.
//!
//! [`driver::Driver`] owns the viewer's mind, the decoder and the connections; the window ([`ui`]) and the headless
//! loop ([`headless`]) drive it. Nothing here decides what a scenario would want to test.

pub mod app;
pub mod cli;
pub mod clipboard;
pub mod clock;
pub mod config;
pub mod connect;
pub mod cp;
pub mod doctor;
pub mod driver;
pub mod drops;
pub mod entry;
pub mod files;
pub mod headless;
pub mod life;
pub mod monitors;
pub mod overlay;
pub mod parts;
pub mod policy;
mod policy_overlay;
pub mod proxy;
pub mod slow;
pub mod sound;
pub mod stats;
pub mod tiles;
pub mod traffic;
pub mod ui;
