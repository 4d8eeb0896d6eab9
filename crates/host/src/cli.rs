//! `telepane-host`'s command line. Names and flags are a contract: people script them.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use telepane_model::{BitRate, Preset, SessionPolicy, Size, Surf};
use telepane_protocol::control::MAX_SENTENCE;
use telepane_transport::{Carriers, Marks};

/// The Telepane agent: shows this machine's desktop to a telepane client.
#[derive(Debug, Parser)]
#[command(name = "telepane-host", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The QUIC stack's own congestion controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum QuicCongestion {
    /// CUBIC, the stack's default.
    Cubic,
    /// BBR, which the stack calls experimental.
    Bbr,
}

impl From<QuicCongestion> for telepane_transport::Congestion {
    fn from(of: QuicCongestion) -> Self {
        match of {
            QuicCongestion::Cubic => Self::Cubic,
            QuicCongestion::Bbr => Self::Bbr,
        }
    }
}

/// What sessions may be set to, for people. The names and units are DCV's where it has them.
const SESSION: &str = "Settings of --session NAME=VALUE, and of the configuration file's [session] table:
  idle-timeout            end a session after this long without input, in minutes or as 90s, 15min, 2h; 0, the default: never
  idle-timeout-warning    say so this long before, in seconds (350)
  max-length              end a session after this long, in minutes; 0, the default: never
  max-length-warning      say so this long before, in seconds (350)
  disconnect-timeout      forget a session whose client has been away for this long, in minutes (960: 16 h); 0: never
  silence-timeout         take a client that nothing was heard of for this long for gone, though its connection may still stand: 5
                          or more seconds (45); it is noticed a quarter of that later at most. It goes on when it is heard again.
                          Below 30 the agent asks clients at rest for a sign of life, three times within it.
                          0: only when the connection is over, after two minutes
  max-concurrent-clients  how many may be there at once, 1 to 8 (1; with --shared 8)
  client-eviction-policy  who gives way to one more: oldest-connection (the default), same-user-oldest-connection, or nobody:
                          reject-new-connection. The same client's key takes its own earlier place first in any case
  os-auto-lock            lock the desktop when the last client has gone: true or false (the default). One that vanishes without
                          a word has gone after the silence-timeout
  lock-command            what does that, without a shell: [\"loginctl\", \"lock-session\"]
  events                  add a JSON line to this file (- is standard output) when somebody connects, disconnects or rests
  event-command           run this for each event, without a shell, the line on its standard input, TELEPANE_EVENT and
                          TELEPANE_SESSION set; at most 10 s. In the file a list: [\"/usr/bin/logger\", \"-t\", \"telepane\"]
  start-session           begin the virtual desktop's session at-once (the default) or with the first-client, in whose time
                          zone and language it then is; at once it has those of the last client before
  enable-timezone-redirection
                          client-decides (the default) or always-off

An event is one JSON object on one line: event (connected, disconnected, ended, last-input), at and last-input (RFC 3339, UTC),
session, connected (how many are there now), and of whom it tells: name, user, client, proved-by, address. With connected: resumed.
With disconnected and ended: reason (lost, silent, left, idle-timeout, max-length, taken-over, closed, revoked, disconnect-timeout, stopping).
last-input is told after a minute without input, or when the client goes.";

/// The agent's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a desktop and wait for clients.
    #[command(after_help = SESSION)]
    Serve(Box<Serve>),
    /// Clients that may come in without a code.
    Client {
        /// What to do with them.
        #[command(subcommand)]
        command: ClientCommand,
        /// Where keys and lists are.
        #[command(flatten)]
        state: State,
    },
    /// Print this host's fingerprint.
    Fingerprint {
        /// Where keys and lists are.
        #[command(flatten)]
        state: State,
    },
    /// Print the access code of a running agent that made it by itself.
    Code {
        /// Where keys and lists are.
        #[command(flatten)]
        state: State,
    },
    /// Who is connected to a running agent.
    Session {
        /// What to do about it.
        #[command(subcommand)]
        command: SessionCommand,
        /// Where keys and lists are.
        #[command(flatten)]
        state: State,
    },
    /// What those who come in may do.
    Permissions {
        /// What to do with it.
        #[command(subcommand)]
        command: PermissionsCommand,
        /// Where keys and lists are.
        #[command(flatten)]
        state: State,
    },
    /// Print shell completions, to be sourced or installed.
    Completions {
        /// For this shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages.
    #[command(hide = true)]
    Man {
        /// Into this directory.
        dir: PathBuf,
    },
    /// Say what this machine has and lacks for serving.
    Doctor {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Where keys and lists are.
        #[command(flatten)]
        state: State,
    },
}

/// Where keys and lists are kept.
#[derive(Args, Clone, Debug, Default)]
pub struct State {
    /// Keep keys and lists here instead of $XDG_STATE_HOME/telepane-host.
    #[arg(long, value_name = "DIR", global = true)]
    pub state_dir: Option<PathBuf>,
}

/// What can be done with enrolled clients.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// List them.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take one's key off the list, by name or by the beginning of its id.
    Revoke {
        /// Name or beginning of the id.
        client: String,
    },
}

/// What can be done about sessions.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List them: number, name, client, address, for how long, round trip, size.
    List {
        /// As JSON, with everything that is known.
        #[arg(long)]
        json: bool,
    },
    /// Say everything about one.
    Describe {
        /// Its number.
        id: u64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change what one must keep to while it runs, e.g. `set-policy 1 preset=C max-fps=24 limit=none`. Of this and what its
    /// client wishes for the stricter holds.
    SetPolicy {
        /// Its number.
        id: u64,
        /// What to set; `none` takes a setting back.
        #[arg(value_name = "NAME=VALUE", required = true, value_parser = telepane_model::policy::pair)]
        settings: Vec<(String, String)>,
        /// Print what then holds as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a sentence to the person of one, or of `all`.
    Message {
        /// Its number, or `all`.
        #[arg(value_name = "ID|all", value_parser = parse_audience)]
        id: Audience,
        /// What to say, at most 512 bytes.
        #[arg(value_name = "TEXT", value_parser = parse_sentence)]
        text: String,
    },
    /// End one. Its client may connect again; `telepane-host client revoke` keeps it out.
    Close {
        /// Its number.
        id: u64,
    },
}

/// What can be done with permissions.
#[derive(Debug, Subcommand)]
pub enum PermissionsCommand {
    /// Check the permission file, and say what it grants.
    Describe {
        /// This file instead of $XDG_CONFIG_HOME/telepane-host/default.perm.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// To this user instead of the session's owner.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `telepane-host serve`.
#[derive(Args, Clone, Debug, Default)]
#[command(max_term_width = 100)]
pub struct Serve {
    /// Show this X display. Without a source: $DISPLAY, else a virtual desktop.
    #[arg(long, value_name = ":N", group = "source")]
    pub display: Option<String>,
    /// Start a desktop of its own with these monitors, e.g. 1920x1080 or 1920x1080+1280x720.
    #[arg(long = "virtual", value_name = "WxH[+WxH…]", group = "source", value_parser = parse_heads)]
    pub heads: Option<Heads>,
    /// Show an invented scene.
    #[arg(long, group = "source")]
    pub synthetic: Option<Scene>,
    /// The invented scene's size instead of 1920x1080.
    #[arg(long, value_name = "WxH", requires = "synthetic", conflicts_with_all = ["display", "heads", "replay"],
          value_parser = parse_size)]
    pub size: Option<Size<Surf>>,
    /// Show a recording (.deskrec or .seq) over and over.
    #[arg(long, value_name = "FILE", group = "source")]
    pub replay: Option<PathBuf>,
    /// How to read an X display.
    #[arg(long, value_name = "BACKEND", default_value = "x11")]
    pub capture: CaptureBackend,
    /// Listen on this address. Default: every address, UDP and TCP port 8443.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// What clients may come over: QUIC, a WebSocket over TLS on the same TCP port where UDP does not get through, or both.
    #[arg(long, value_name = "CARRIER", value_parser = PossibleValuesParser::new(Carriers::NAMES).try_map(|s| s.parse::<Carriers>()))]
    pub transport: Option<Carriers>,
    /// Let clients come over this TCP port too, such as 443. May be given several times.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub tcp_port: Vec<u16>,
    /// How packets are marked for networks that tell traffic apart (DSCP): on, off, or two code points, the screen's and that of
    /// sound, such as AF41,EF. Default: on, which is AF41,EF.
    #[arg(long, value_name = "MARKS")]
    pub dscp: Option<Marks>,
    /// Let several clients watch and work at once; otherwise a new one takes over.
    #[arg(long)]
    pub shared: bool,
    /// Set one of idle-timeout, idle-timeout-warning, max-length, max-length-warning, disconnect-timeout, silence-timeout,
    /// max-concurrent-clients, client-eviction-policy, os-auto-lock, lock-command, events, event-command, start-session,
    /// enable-timezone-redirection; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub session: Vec<(String, String)>,
    /// What the configuration file's [session] table says.
    #[arg(skip)]
    pub session_of_file: toml::Table,
    /// Read settings from this file instead of $XDG_CONFIG_HOME/telepane-host/config.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where keys and lists are.
    #[command(flatten)]
    pub state: State,
    /// Serve figures for Prometheus at this address.
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Write everything that happens to this file, one line each.
    #[arg(long, value_name = "FILE")]
    pub notes: Option<PathBuf>,
    /// Record the screen to this file (.deskrec, at most 4 GiB), for `cargo xtask replay` with the notes. It shows
    /// everything that was on the screen.
    #[arg(long, value_name = "FILE", requires = "notes")]
    pub record: Option<PathBuf>,
    /// Let clients read from and write to this directory, and nothing outside it. Who may do which says the permission
    /// file (file-download, file-upload).
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
    /// Never send faster than this, e.g. 20M or 800k (bits per second).
    #[arg(long, value_name = "BITRATE", value_parser = parse_rate)]
    pub limit: Option<BitRate>,
    /// Keep at least this much, whatever the path seems to say.
    #[arg(long, value_name = "BITRATE", value_parser = parse_rate)]
    pub floor: Option<BitRate>,
    /// Keep to one of PCoIP's profiles: A (fast network, exact) to E (600 kbit/s, 8 frames a second).
    #[arg(long, value_name = "A..E")]
    pub preset: Option<Preset>,
    /// Set one of limit, target, floor, min-quality, initial-quality, max-quality, max-fps, build-to-lossless, sharpness;
    /// may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = telepane_model::policy::pair)]
    pub policy: Vec<(String, String)>,
    /// What the configuration file's [policy] table says.
    #[arg(skip)]
    pub policy_of_file: SessionPolicy,
    /// Leave the desktop's sound and the viewers' microphones alone.
    #[arg(long)]
    pub no_sound: bool,
    /// The most that the desktop's sound may take, e.g. 64k (bits per second). Default: 128k.
    #[arg(long, value_name = "BITRATE", value_parser = parse_rate)]
    pub sound_limit: Option<BitRate>,
    /// Code films with Cisco's own binary of openh264 in this file, as downloaded from Cisco to this machine, instead of the one
    /// that is built in. One that is not Cisco's is refused.
    #[arg(long, value_name = "FILE")]
    pub openh264: Option<PathBuf>,
    /// Let the QUIC stack's own congestion control rule instead of ours, to compare them. Not for work.
    #[arg(long, value_name = "NAME", hide = true)]
    pub quic_congestion: Option<QuicCongestion>,
    /// Take the access code from this file instead of printing a fresh one.
    #[arg(long, value_name = "FILE")]
    pub access_code_file: Option<PathBuf>,
}

/// Who is meant: one session, or all (`None`).
pub type Audience = Option<u64>;

/// The monitors of a virtual desktop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heads(pub Vec<Size<Surf>>);

/// How an X display is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CaptureBackend {
    /// DAMAGE and shared memory.
    #[default]
    X11,
    /// The scrap crate: whole frames, no cursor.
    Scrap,
}

/// An invented scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scene {
    /// Someone types.
    Editor,
    /// Text scrolls.
    Scroll,
    /// A window is dragged over a photo.
    Drag,
    /// A film plays in a window.
    Film,
}

/// `20M`, `800k`, `64000`: bits per second.
pub fn parse_rate(text: &str) -> Result<BitRate, String> {
    let (digits, unit) = match text.trim().to_ascii_lowercase() {
        t if t.ends_with('g') => (t[..t.len() - 1].to_owned(), 1e9),
        t if t.ends_with('m') => (t[..t.len() - 1].to_owned(), 1e6),
        t if t.ends_with('k') => (t[..t.len() - 1].to_owned(), 1e3),
        t => (t, 1.0),
    };
    match digits.parse::<f64>() {
        Ok(n) if n.is_finite() && n > 0.0 && n * unit <= 1e12 => Ok(BitRate::bps((n * unit) as u64)),
        _ => Err("give bits per second, such as 20M, 1.5M or 800k".into()),
    }
}

fn parse_audience(text: &str) -> Result<Audience, String> {
    match text {
        "all" => Ok(None),
        number => number.parse().map(Some).map_err(|_| "give a session's number, or all".into()),
    }
}

fn parse_sentence(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say something".into()),
        text if text.len() > MAX_SENTENCE => Err(format!("at most {MAX_SENTENCE} bytes are shown")),
        text => Ok(text.to_owned()),
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE, such as idle-timeout=60")?;
    Ok((name.trim().into(), value.trim().into()))
}

fn size(text: &str) -> Option<Size<Surf>> {
    let (w, h) = text.split_once('x')?;
    Some(Size::new(w.parse().ok()?, h.parse().ok()?)).filter(|s: &Size<Surf>| s.is_valid())
}

fn parse_size(text: &str) -> Result<Size<Surf>, String> {
    size(text).ok_or_else(|| "give width and height such as 1280x720".into())
}

fn parse_heads(text: &str) -> Result<Heads, String> {
    let heads: Option<Vec<_>> = text.split('+').map(size).collect();
    heads.map(Heads).ok_or_else(|| "give one or more sizes such as 1920x1080 or 1920x1080+1280x720".into())
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
    fn rates_and_sizes_are_read_or_explained() {
        assert_eq!(parse_rate("1.5M"), Ok(BitRate::kbps(1_500)));
        assert!(parse_rate("fast").is_err() && parse_rate("-3k").is_err() && parse_rate("1e300G").is_err());
        assert_eq!(parse_heads("800x600+640x480").map(|h| h.0.len()), Ok(2));
        assert!(parse_heads("800").is_err() && parse_heads("0x5").is_err() && parse_heads("99999x9").is_err());
    }

    #[test]
    fn only_one_source_may_be_named() {
        let both = ["telepane-host", "serve", "--display", ":1", "--synthetic", "film"];
        assert!(Cli::try_parse_from(both).is_err());
        for order in [["session", "--state-dir", "d", "list"], ["session", "list", "--state-dir", "d"]] {
            assert!(Cli::try_parse_from([&["telepane-host"], &order[..]].concat()).is_ok(), "{order:?}");
        }
        let sized = |source: &str, value: &str| {
            Cli::try_parse_from(["telepane-host", "serve", source, value, "--size", "800x600"])
        };
        assert!(sized("--synthetic", "film").is_ok() && sized("--display", ":1").is_err());
        assert!(Cli::try_parse_from(["telepane-host", "serve", "--size", "800x600"]).is_err(), "of what?");
    }
}
