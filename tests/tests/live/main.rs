//! The real agent and the real client on real X servers, with real applications: what a person would see, done and
//! looked at by a program.
//!
//! Each test has displays, ports and directories of its own, prints what it measured, and asserts no speed: its
//! time-outs are generous. What a test needs and does not find (a program, a driver, a right) makes it say so and pass.
#![cfg(target_os = "linux")]

mod asleep;
mod blackout;
mod clipboard;
mod clipboard_on_wayland;
mod company;
mod composing;
mod compositor;
mod cursors;
mod desktop_file;
mod drops;
mod ending;
mod endurance;
mod fallback;
mod figures;
mod files;
mod film_sandbox;
mod guest;
mod hidden;
mod keyboards;
mod life;
mod machine;
mod marks;
mod memory;
mod monitors;
mod namespace;
mod on_gnome;
mod on_wayland;
mod pasting;
mod path;
mod places;
mod pointer;
mod policy;
mod process;
mod rearranged;
mod refusals;
mod resize;
mod rights;
mod scale;
mod screen;
mod secrecy;
mod selections;
mod selections_newer;
mod sharing;
mod shortcuts;
mod sound;
mod stage;
mod standby;
mod survival;
mod sway;
mod text;
mod told;
mod toolkits;
mod touch;
mod vanished;
mod wayland;
mod windows;
mod wine;
mod wire;
