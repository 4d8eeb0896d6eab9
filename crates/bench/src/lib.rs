//! Telepane's measuring harness: latency anyone can reproduce.
//!
//! `glass` measures a remote desktop as a person meets it, from the key to the photon, and knows nothing of what is
//! inside: a stimulus application draws on the host's display, keys are injected on the client's display, and the
//! client's framebuffer, which is mapped into memory, is watched. `link` puts a network between the two, `compare` goes
//! through works, networks and stacks. `columns` holds the rate controller's targets to the simulator and to the
//! real programs. `faults` asks whether the overlay blames the right one. `idle` and `soak` look at what is left when nobody
//! works and when somebody works for long. `codec` puts recordings of screens, which `record` makes, through the coders.
//! Telepane and its peers are treated alike: a stack is one small file.
//!
//! The harness measures on the monotonic clock, which all processes of one machine share, so a stamp of the stimulus
//! and a stamp of the watcher may be subtracted. Nothing here is used by the product.

pub mod cell;
pub mod cli;
pub mod clock;
pub mod codec;
pub mod columns;
pub mod compare;
pub mod count;
pub mod display;
pub mod faults;
pub mod framebuffer;
pub mod glass;
pub mod inject;
pub mod link;
pub mod machine;
pub mod process;
pub mod quality;
pub mod record;
pub mod recording;
pub mod report;
pub mod shared;
pub mod simulated;
pub mod soak;
pub mod stack;
pub mod stimulus;
pub mod summary;
pub mod wall;
pub mod watch;
pub mod work;
