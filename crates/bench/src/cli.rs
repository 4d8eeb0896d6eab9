//! `telepane-bench`'s command line.

use crate::link::{self, profile::Profile};
use crate::stack::Name;
use crate::stimulus::{self, Kind};
use crate::{codec, columns, compare, faults, record, simulated, soak, wall};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Telepane's measuring harness.
#[derive(Debug, Parser)]
#[command(name = "telepane-bench", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to measure.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Recordings of screens through encoder and decoder: bytes, CPU by stage, exactness, beside other ways to code.
    Codec(codec::Options),
    /// Record a display for `codec`, or cut a piece out of a recording.
    Record(record::Options),
    /// From the key to the photon: Telepane and its peers, black box, on two X displays.
    Glass(Glass),
    /// What it costs when nobody works: CPU and packets, from second 35 after the last input.
    Idle(Idle),
    /// The real programs on loopback without X servers, by the journey's stamps.
    Wall(wall::WallOptions),
    /// More and more viewers of one agent, or desktops on this machine, until it is too much.
    Load(wall::LoadOptions),
    /// Memory, threads, descriptors of agent and client while an invented desktop runs for long.
    Soak(soak::Options),
    /// Every work over every network with every stack, in turn; goes on where it was interrupted.
    Compare(compare::Options),
    /// The rate controller's targets in three columns: bound, simulated, real programs over an emulated link.
    Columns(columns::Options),
    /// Twelve faults, one after another, and whether the overlay names the right one.
    Faults(faults::Options),
    /// Two network namespaces and a link between them: rate, delay, loss, queue, changes.
    Link(link::Options),
    /// The design's rows in virtual time: exact figures, held against committed ones.
    Virtual(simulated::Options),
    /// What work costs on this machine: the table that virtual time is made of.
    Costs(simulated::CostOptions),
    /// Be the application that is watched (started by the harness itself).
    Stimulus(stimulus::Options),
}

/// What `glass` and `idle` share.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Stacks, in the order in which they take turns.
    #[arg(long, value_delimiter = ',', default_value = "null,telepane,tigervnc,xrdp")]
    pub stack: Vec<Name>,
    /// Go through everything so many times, interleaved.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// The displays' size.
    #[arg(long, value_name = "WxH", default_value = "1920x1080", value_parser = parse_size)]
    pub size: (usize, usize),
    /// Put this link between the two ends: lan, drop, 20m40, 5m100l1 and the like (needs root; without it, UDP only).
    #[arg(long, value_name = "PROFILE", value_parser = link::parse_profile)]
    pub link: Option<Profile>,
    /// TCP congestion control over the link; otherwise the system's.
    #[arg(long, value_name = "NAME")]
    pub congestion: Option<String>,
    /// Write everything here.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the tables here too, as Markdown.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Where telepane-host and telepane are; otherwise beside telepane-bench.
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
    /// Install missing peers with apt-get.
    #[arg(long)]
    pub install: bool,
    /// Keep each cell's directory with the programs' output.
    #[arg(long)]
    pub keep: bool,
}

/// `telepane-bench glass`.
#[derive(Args, Clone, Debug)]
pub struct Glass {
    /// Stacks, size, output.
    #[command(flatten)]
    pub common: Common,
    /// Works, in this order.
    #[arg(long, value_delimiter = ',', default_value = "key,typing,scroll")]
    pub work: Vec<Kind>,
    /// Key presses in each cell of key, typing and menu.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub presses: u32,
    /// Seconds of scroll, drag, film, switch and idle.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=240))]
    pub seconds: u64,
}

/// `telepane-bench idle`.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    /// Stacks, size, output.
    #[command(flatten)]
    pub common: Common,
    /// Seconds that are measured.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Seconds after the last input from which on they are.
    #[arg(long, value_name = "N", default_value_t = 35)]
    pub after: u64,
}

/// Reads a screen's size from the command line.
///
/// # Errors
/// With what to give.
pub fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let size = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    // The patch, the typed lines and the parked pointer need their room.
    size.filter(|(w, h)| (1280..=8192).contains(w) && (720..=8192).contains(h))
        .ok_or_else(|| "give width and height such as 1920x1080, at least 1280x720".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_are_read_or_explained() {
        assert_eq!(parse_size("1280x720"), Ok((1280, 720)));
        assert!(parse_size("800x600").is_err() && parse_size("big").is_err());
    }
}
