//! `telepane`'s command line. Names and flags are a contract: people script them.

use crate::monitors::Pick;
use crate::ui::RendererChoice;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use telepane_model::{Preset, SessionPolicy, Size, View};
use telepane_sandbox::When;
use telepane_session::StandbyMode;
use telepane_transport::{Carriers, Marks};

/// The Telepane client: work on another machine's desktop.
#[derive(Debug, Parser)]
#[command(name = "telepane", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The window's own keys, for people.
const KEYS: &str = "Keys of the window (Alt is the left one):
  Ctrl+Alt+Enter  cover the whole screen, or stop
  Ctrl+Alt+O      show statistics, or hide them
  Ctrl+Alt+PageUp, Ctrl+Alt+PageDown
                  rather sharper pictures, or smoother motion, where there is not room for both
  Ctrl+Alt+S      hear the desktop no longer, or again
  Ctrl+Alt+M      turn the microphone on (it begins off; the title says while it is on), or off
  Ctrl+Alt+V      type the clipboard's text, for login screens where nothing can be pasted
  Ctrl+Alt++, Ctrl+Alt+-, Ctrl+Alt+0
                  larger or smaller text and widgets on a desktop that the agent started; as the window's screen has it
  Ctrl+Alt+G      let keys such as Alt+Tab and Super go to the desktop, as they do where the window covers the screen; again to
                  give them back to this machine (not on macOS)
  Ctrl+Alt+R      capture the pointer for programs that want its motion, such as games; again to set it free

Exit codes: 0 the person ended it, 2 wrong usage, 3 cannot connect, 4 not trusted or not allowed, 5 the host ended the session (idle,
too long, taken over, closed, revoked) or it ended with an error.";

/// What a copy's sides mean, for people.
const CP: &str = "One side is on a host: HOST:PATH, HOST:PORT:PATH or [ADDRESS]:PORT:PATH, PATH relative to the directory it gives out
(nothing or . for that directory). A path with a slash before any colon is here. Copying goes beside whoever works there, and on where
it stopped when the link comes back or the command is run again. What is copied is compared by its SHA-256 and takes its name in one step.

Exit codes: 0 everything was copied, 2 wrong usage, 3 cannot connect, 4 not trusted or not allowed, 5 something was not copied.";

/// What a look at the ways means, for people.
const DOCTOR: &str = "Tried one after another: what connect does (QUIC, and 250 ms behind it a WebSocket over TLS), then each of the two alone.

Exit codes: 0 connect would get there, 2 wrong usage, 3 it would not.";

/// The client's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a host's desktop.
    #[command(after_help = KEYS)]
    Connect(Box<Connect>),
    /// Copy files to or from a host that gives out a directory (telepane-host serve --files DIR).
    #[command(after_help = CP)]
    Cp(Box<Cp>),
    /// Say which ways lead to a host, and why the others do not, and whether the clipboard can be shared. Nothing is asked and nobody
    /// is let in.
    #[command(after_help = DOCTOR)]
    Doctor(Doctor),
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
}

/// How a host is reached: the same for every command.
#[derive(Args, Clone, Debug, Default)]
pub struct Way {
    /// What to connect over. Default: QUIC, and a WebSocket over TLS where UDP does not get through, which gives way to QUIC
    /// as soon as that works again.
    #[arg(long, value_name = "CARRIER", value_parser = PossibleValuesParser::new(Carriers::NAMES).try_map(|s| s.parse::<Carriers>()))]
    pub transport: Option<Carriers>,
    /// Try this TCP port too, such as 443, if the host listens there (telepane-host serve --tcp-port). May be given several
    /// times.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub tcp_port: Vec<u16>,
    /// Where UDP does not get through, connect by this proxy: [http|https|socks5]://[USER:PASSWORD@]HOST:PORT, or none.
    /// Default: $HTTPS_PROXY, else $ALL_PROXY, unless $NO_PROXY names the host.
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// How packets are marked for networks that tell traffic apart (DSCP): on, off, or two code points, the screen's and that of
    /// sound and input, such as AF41,EF. Default: on, which is AF41,EF.
    #[arg(long, value_name = "MARKS")]
    pub dscp: Option<Marks>,
}

/// `telepane connect`.
#[derive(Args, Clone, Debug, Default)]
pub struct Connect {
    /// The host: name or address, with :PORT if it is not 8443.
    #[arg(value_name = "HOST[:PORT]")]
    pub host: String,
    /// The user to work as.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Take the access code from this file instead of asking.
    #[arg(long, value_name = "FILE")]
    pub access_code_file: Option<PathBuf>,
    /// Accept only the host with this fingerprint.
    #[arg(long, value_name = "HEX", conflicts_with = "trust_new")]
    pub fingerprint: Option<String>,
    /// Trust a host that nothing is known of without asking. One that has changed is still refused.
    #[arg(long)]
    pub trust_new: bool,
    /// The way there.
    #[command(flatten)]
    pub way: Way,
    /// Keep a second network interface ready, and go on over it when the one in use falls silent: auto, always (over a metered
    /// one too) or off. A VPN that holds the way to the host is never gone around. Default: auto. On Linux.
    #[arg(long, value_name = "WHEN", value_parser = PossibleValuesParser::new(StandbyMode::NAMES).try_map(|s| s.parse::<StandbyMode>()))]
    pub standby: Option<StandbyMode>,
    /// How to draw. Default: pixels on a real GPU, else softbuffer.
    #[arg(long)]
    pub renderer: Option<Renderer>,
    /// Cover the whole screen.
    #[arg(long, conflicts_with_all = ["size", "headless"])]
    pub fullscreen: bool,
    /// Covering the whole screen, lie over these monitors: all, or numbers from the left such as 1,2. A desktop that the agent
    /// started then has the same monitors. Remembered for the set of monitors that is here.
    #[arg(long, value_name = "all|N,N…", conflicts_with = "headless")]
    pub monitors: Option<Pick>,
    /// Show each monitor in a window of its own: the desktop's monitors; with --fullscreen, one window over each monitor here, and a
    /// desktop that the agent started then has the same ones. A window that is closed takes its monitor away (Ctrl+Alt+N brings
    /// it back), the last one ends the session. With --fullscreen remembered like --monitors.
    #[arg(long, conflicts_with_all = ["size", "headless"])]
    pub windows: bool,
    /// The window's inside, in pixels.
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub size: Option<Size<View>>,
    /// Without a window: for statistics, screenshots and tests.
    #[arg(long)]
    pub headless: bool,
    /// Write what is shown to this file: in a window when it closes, without one as soon as it is there.
    #[arg(long, value_name = "FILE.png")]
    pub screenshot: Option<PathBuf>,
    /// How the picture is fitted into the window.
    #[arg(long, default_value = "fit")]
    pub scaling: Scaling,
    /// The scale of text and widgets on a desktop that the agent started, in percent; several, such as 100,200, are those of its
    /// monitors in turn. Default: that of the window's screen, live.
    #[arg(long, value_name = "PERCENT[,PERCENT…]", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(50..=500))]
    pub scale: Vec<u16>,
    /// Keep to one of PCoIP's profiles: A (fast network, exact) to E (600 kbit/s, 8 frames a second).
    #[arg(long, value_name = "A..E")]
    pub preset: Option<Preset>,
    /// Wish for one of limit, target, floor, min-quality, initial-quality, max-quality, max-fps, build-to-lossless, sharpness;
    /// may be given several times. Of this and what the host allows the stricter holds.
    #[arg(long, value_name = "NAME=VALUE", value_parser = telepane_model::policy::pair)]
    pub policy: Vec<(String, String)>,
    /// What the configuration file's [policy] table says.
    #[arg(skip)]
    pub policy_of_file: SessionPolicy,
    /// Do not tell the host this machine's time zone and language.
    #[arg(long)]
    pub no_place: bool,
    /// Where keys such as Alt+Tab go to the desktop, give them back to this machine when nobody has typed or pointed for so many
    /// seconds, because a screen locker that cannot take the keyboard does not lock; 0: never. Default: 60. On X11.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(..=86_400), conflicts_with = "headless")]
    pub free_keys_after: Option<u32>,
    /// Show statistics over the picture (Ctrl+Alt+O).
    #[arg(long)]
    pub overlay: bool,
    /// Share the second selection too (PRIMARY): what is selected here is pasted there with the middle button, and the other way.
    #[arg(long)]
    pub primary_selection: bool,
    /// No sound, in neither direction.
    #[arg(long, conflicts_with_all = ["microphone", "sound_level", "sound_device", "microphone_device"])]
    pub no_sound: bool,
    /// Turn the microphone on from the start (Ctrl+Alt+M).
    #[arg(long)]
    pub microphone: bool,
    /// How loud the desktop is, in percent.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u16).range(0..=200))]
    pub sound_level: Option<u16>,
    /// Play on the device whose name has this in it. Default: $PULSE_SINK, else the system's.
    #[arg(long, value_name = "NAME")]
    pub sound_device: Option<String>,
    /// Listen with the device whose name has this in it. Default: $PULSE_SOURCE, else the system's.
    #[arg(long, value_name = "NAME")]
    pub microphone_device: Option<String>,
    /// Write statistics to this file at the end.
    #[arg(long, value_name = "FILE")]
    pub stats_json: Option<PathBuf>,
    /// Write everything that happens to this file, one line each.
    #[arg(long, value_name = "FILE")]
    pub notes: Option<PathBuf>,
    /// Decode films with Cisco's own binary of openh264 in this file, as downloaded from Cisco to this machine, instead of the one
    /// that is built in. One that is not Cisco's is refused.
    #[arg(long, value_name = "FILE")]
    pub openh264: Option<PathBuf>,
    /// Decode films in a process of their own that can do nothing else: auto (where the system can lock one, else in this
    /// process), required (films are not decoded otherwise, and without it nothing is connected to) or off. Default: auto. On Linux.
    #[arg(long, value_name = "WHEN", value_parser = PossibleValuesParser::new(When::NAMES).try_map(|s| s.parse::<When>()))]
    pub film_sandbox: Option<When>,
    /// Read settings from this file instead of $XDG_CONFIG_HOME/telepane/config.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Keep keys and pins here instead of $XDG_STATE_HOME/telepane.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Without a window: end when the session has been there for this long.
    #[arg(long, value_name = "N", requires = "headless")]
    pub seconds: Option<u64>,
    /// Without a window: click into the upper left of the desktop, type this (letters, digits, spaces), and measure how
    /// long each key takes to be seen.
    #[arg(long = "type", value_name = "TEXT", requires = "headless")]
    pub typed: Option<String>,
    /// Without a window: type nothing before this many seconds have passed.
    #[arg(long, value_name = "N", requires = "typed", default_value_t = 0)]
    pub type_after: u64,
}

/// `telepane cp`.
#[derive(Args, Clone, Debug, Default)]
pub struct Cp {
    /// What to copy, and last where to: SOURCE… TARGET.
    #[arg(value_name = "PATH", num_args = 2.., required = true)]
    pub paths: Vec<String>,
    /// Copy directories with what is in them.
    #[arg(short, long)]
    pub recursive: bool,
    /// Say what happened as JSON, one line for each file and one for the whole.
    #[arg(long)]
    pub json: bool,
    /// Show no progress.
    #[arg(short, long)]
    pub quiet: bool,
    /// The user to work as.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Take the access code from this file instead of asking.
    #[arg(long, value_name = "FILE")]
    pub access_code_file: Option<PathBuf>,
    /// Accept only the host with this fingerprint.
    #[arg(long, value_name = "HEX", conflicts_with = "trust_new")]
    pub fingerprint: Option<String>,
    /// Trust a host that nothing is known of without asking. One that has changed is still refused.
    #[arg(long)]
    pub trust_new: bool,
    /// The way there.
    #[command(flatten)]
    pub way: Way,
    /// Keep keys and pins here instead of $XDG_STATE_HOME/telepane.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Read settings from this file instead of $XDG_CONFIG_HOME/telepane/config.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `telepane doctor`.
#[derive(Args, Clone, Debug, Default)]
pub struct Doctor {
    /// The host: name or address, with :PORT if it is not 8443.
    #[arg(value_name = "HOST[:PORT]")]
    pub host: String,
    /// Say it as JSON.
    #[arg(long)]
    pub json: bool,
    /// The way there.
    #[command(flatten)]
    pub way: Way,
    /// Keep keys and pins here instead of $XDG_STATE_HOME/telepane.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Read settings from this file instead of $XDG_CONFIG_HOME/telepane/config.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Doctor {
    /// What `connect` would be given for the same host.
    pub fn connect(&self) -> Connect {
        Connect {
            host: self.host.clone(),
            way: self.way.clone(),
            state_dir: self.state_dir.clone(),
            config: self.config.clone(),
            headless: true,
            ..Connect::default()
        }
    }
}

impl Cp {
    /// What `connect` would be given for the same host: the same questions are asked of the same answers.
    pub fn connect(&self, host: &str) -> Connect {
        Connect {
            host: host.to_owned(),
            user: self.user.clone(),
            access_code_file: self.access_code_file.clone(),
            fingerprint: self.fingerprint.clone(),
            trust_new: self.trust_new,
            way: self.way.clone(),
            state_dir: self.state_dir.clone(),
            config: self.config.clone(),
            headless: true,
            ..Connect::default()
        }
    }
}

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Renderer {
    /// On the GPU.
    Pixels,
    /// On the CPU.
    Softbuffer,
}

impl From<Renderer> for RendererChoice {
    fn from(r: Renderer) -> Self {
        match r {
            Renderer::Pixels => Self::Pixels,
            Renderer::Softbuffer => Self::Softbuffer,
        }
    }
}

/// How the picture is fitted into the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Scaling {
    /// As large as fits.
    #[default]
    Fit,
    /// One pixel for one pixel.
    #[value(name = "1:1")]
    OneToOne,
    /// By whole factors only.
    Integer,
}

impl From<Scaling> for crate::ui::Scaling {
    fn from(s: Scaling) -> Self {
        match s {
            Scaling::Fit => Self::Fit,
            Scaling::OneToOne => Self::OneToOne,
            Scaling::Integer => Self::Integer,
        }
    }
}

/// Completions for a shell.
pub fn completions(shell: clap_complete::Shell) -> String {
    let mut command = Cli::command();
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut command, "telepane", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes a manual page per command to `dir`.
///
/// # Errors
/// When the directory or a page cannot be written.
pub fn manual(dir: &std::path::Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), dir)
}

fn parse_size(text: &str) -> Result<Size<View>, String> {
    let size = text.split_once('x').and_then(|(w, h)| Some(Size::new(w.parse().ok()?, h.parse().ok()?)));
    size.filter(|s: &Size<View>| s.is_valid()).ok_or_else(|| "give width and height such as 1280x720".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_takes_the_same_way() {
        let way = ["--transport", "websocket", "--tcp-port", "443", "--proxy", "none", "--dscp", "CS1,EF"];
        let ways = [&["connect", "desk"][..], &["cp", "desk:a", "b"], &["doctor", "desk"]].map(|words| {
            let cli = Cli::try_parse_from([&["telepane"], words, &way].concat()).expect("it is understood");
            match cli.command {
                Command::Connect(options) => options.way,
                Command::Cp(options) => options.connect("desk").way,
                Command::Doctor(options) => options.connect().way,
                _ => panic!("another command"),
            }
        });
        for way in ways {
            assert_eq!(
                (way.transport, way.tcp_port, way.proxy.as_deref()),
                (Some(Carriers::WebSocket), vec![443], Some("none"))
            );
            assert_eq!(way.dscp, "8,46".parse().ok());
        }
        assert!(Cli::try_parse_from(["telepane", "connect", "desk", "--dscp", "loud"]).is_err());
    }

    #[test]
    fn the_shell_learns_the_flags() {
        let text = completions(clap_complete::Shell::Bash);
        assert!(text.contains("telepane") && text.contains("--screenshot") && text.contains("softbuffer"));
    }
}
