//! What the host's owner sets about sessions: the configuration's `[session]` table and `--session NAME=VALUE`. Names and
//! units are DCV's where it has them.

use crate::doctor::in_path;
use std::path::{Path, PathBuf};
use std::time::Duration;
use telepane_model::Span;
use telepane_session::life::{Eviction, LifeOptions};
use thiserror::Error;

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What decides.
    pub life: LifeOptions,
    /// Viewers at once, if that was set.
    pub most: Option<usize>,
    /// What locks the desktop, without a shell.
    pub lock_command: Vec<String>,
    /// Where events are written, one JSON line each; `-` is standard output.
    pub events: Option<PathBuf>,
    /// What is run for each event, without a shell.
    pub event_command: Vec<String>,
    /// The virtual desktop's session begins with the first client instead of with the agent.
    pub first_client: bool,
    /// Where the person works is of no interest.
    pub no_place: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            life: LifeOptions { silence: Some(SILENCE), ..LifeOptions::default() },
            most: None,
            lock_command: Vec::new(),
            events: None,
            event_command: Vec::new(),
            first_client: false,
            no_place: false,
        }
    }
}

/// A setting that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadSession {
    /// None has this name.
    #[error("there is no session setting {0:?}; there are {names}", names = NAMES.join(", "))]
    Unknown(String),
    /// It cannot have this value.
    #[error("session setting {name}: {value:?} is not possible; give {write}")]
    Value {
        /// Which.
        name: &'static str,
        /// What was given.
        value: String,
        /// What may be given.
        write: &'static str,
    },
    /// A command that could not be run when it is needed.
    #[error("session setting {name}: there is no program {program:?}; install it, or name another")]
    NoProgram {
        /// Which setting.
        name: &'static str,
        /// What was named.
        program: String,
    },
    /// The desktop is to be locked by nothing.
    #[error(
        "session setting os-auto-lock: lock-command is empty; name a program such as i3lock, or leave it out for \
         `loginctl lock-session`"
    )]
    NoLock,
}

/// The names, in the order of the manual.
pub const NAMES: [&str; 14] = [
    "idle-timeout",
    "idle-timeout-warning",
    "max-length",
    "max-length-warning",
    "disconnect-timeout",
    "silence-timeout",
    "max-concurrent-clients",
    "client-eviction-policy",
    "os-auto-lock",
    "lock-command",
    "events",
    "event-command",
    "start-session",
    "enable-timezone-redirection",
];

/// Two of an idle client's signs of life, which come every 22 s (L-7), and what a lost one takes to be sent again.
const SILENCE: Span = Span::secs(45);
/// One of them, and the same: from here on their own signs of life do. Below, the agent asks for them.
const UNASKED_SILENCE: Span = Span::secs(30);
/// It asks three times within the silence, and that may be no oftener than a link of satellites answers.
const LEAST_SILENCE: Span = Span::secs(5);
/// A client that may vanish for a short silence only is asked so many times within it: one question may be lost.
const ASKED: u64 = 3;
/// Seats at once; each has pictures of the whole desktop.
pub const MOST_CLIENTS: usize = 8;
/// Of systemd, where the agent runs in the session that it shows.
const LOCK: [&str; 2] = ["loginctl", "lock-session"];
/// As DCV has it.
const MINUTES: &str = "minutes such as 60, or a time such as 90s, 15min or 2h; 0 for never";
const SECONDS: &str = "seconds such as 350, or a time such as 5min; 0 for no warning";
const COMMAND: &str = "a program, or in the configuration file a list of a program and its arguments";

/// A value from the command line or a file.
enum Value<'a> {
    Text(&'a str),
    List(Vec<String>),
}

impl Settings {
    /// What the file's table says, and then the command line's pairs.
    ///
    /// # Errors
    /// When a setting is not known or its value is impossible.
    pub fn of(table: &toml::Table, pairs: &[(String, String)]) -> Result<Self, BadSession> {
        let mut all = Self { lock_command: LOCK.map(str::to_owned).into(), ..Self::default() };
        for (name, value) in table {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let list: Option<Option<Vec<String>>> =
                value.as_array().map(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect());
            all.set(
                name,
                &text,
                match &list {
                    Some(Some(list)) => Value::List(Vec::clone(list)),
                    _ => Value::Text(&text),
                },
            )?;
        }
        for (name, text) in pairs {
            all.set(name, text, Value::Text(text))?;
        }
        Ok(all)
    }

    /// Looks for the programs that will be run: a lock that is missed when everybody has gone is missed too late.
    ///
    /// # Errors
    /// When one is not there.
    pub fn find_programs(&self) -> Result<(), BadSession> {
        if self.life.lock && self.lock_command.is_empty() {
            return Err(BadSession::NoLock);
        }
        let lock = self.life.lock.then_some(("lock-command", &self.lock_command));
        for (name, command) in lock.into_iter().chain([("event-command", &self.event_command)]) {
            match command.first() {
                Some(program) if !is_there(program) => {
                    return Err(BadSession::NoProgram { name, program: program.clone() });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, given: &str, value: Value<'_>) -> Result<(), BadSession> {
        let name = NAMES.into_iter().find(|n| *n == name).ok_or_else(|| BadSession::Unknown(name.to_owned()))?;
        let no = |write| BadSession::Value { name, value: given.to_owned(), write };
        let text = match &value {
            Value::Text(text) => Some(text.trim()),
            Value::List(_) => None,
        };
        let span = |unit, write| text.and_then(|t| span(t, unit)).ok_or_else(|| no(write));
        let minutes = || span(Span::secs(60), MINUTES);
        let seconds = || span(Span::secs(1), SECONDS);
        let some = |span: Span| (span > Span::ZERO).then_some(span);
        let flag = || match text {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => Err(no("true or false")),
        };
        let command = || match &value {
            Value::Text("") => Ok(Vec::new()),
            Value::Text(text) if !text.starts_with('[') => Ok(vec![(*text).to_owned()]),
            Value::List(list) if list.first().is_none_or(|program| !program.is_empty()) => Ok(list.clone()),
            _ => Err(no(COMMAND)),
        };
        let life = &mut self.life;
        match name {
            "idle-timeout" => life.idle_timeout = some(minutes()?),
            "idle-timeout-warning" => life.idle_warning = seconds()?,
            "max-length" => life.max_length = some(minutes()?),
            "max-length-warning" => life.length_warning = seconds()?,
            "disconnect-timeout" => life.disconnect_timeout = some(minutes()?).unwrap_or(Span::MAX),
            "silence-timeout" => {
                let write = "seconds from 5 on, or a time such as 2min; 0 for when the connection is over";
                let silence = some(span(Span::secs(1), write)?);
                if silence.is_some_and(|s| s < LEAST_SILENCE) {
                    return Err(no(write));
                }
                life.silence = silence;
            }
            "max-concurrent-clients" => {
                let most = text.and_then(|t| t.parse().ok()).filter(|n| (1..=MOST_CLIENTS).contains(n));
                self.most = Some(most.ok_or_else(|| no("1 to 8"))?);
            }
            "client-eviction-policy" => {
                let policy = Eviction::ALL.into_iter().find(|p| Some(p.name()) == text);
                let write = "oldest-connection, same-user-oldest-connection or reject-new-connection";
                life.eviction = policy.ok_or_else(|| no(write))?;
            }
            "os-auto-lock" => life.lock = flag()?,
            "lock-command" => self.lock_command = command()?,
            "events" => {
                let path = text.ok_or_else(|| no("a file, or - for standard output"))?;
                self.events = (!path.is_empty()).then(|| path.into());
            }
            "event-command" => self.event_command = command()?,
            "start-session" => {
                self.first_client = match text {
                    Some("at-once") => false,
                    Some("first-client") => true,
                    _ => return Err(no("at-once or first-client")),
                }
            }
            _ => {
                self.no_place = match text {
                    Some("client-decides") => false,
                    Some("always-off") => true,
                    _ => return Err(no("client-decides or always-off")),
                }
            }
        }
        Ok(())
    }

    /// After how much of a client's silence it is asked whether it is there; `None` where its own signs of life do.
    // spec: L-7, H-65
    pub fn asks(&self) -> Option<Duration> {
        let silence = self.life.silence.filter(|silence| *silence < UNASKED_SILENCE)?;
        Some(Duration::from_micros(silence.scaled(1, ASKED).as_micros()))
    }

    /// What decides, where `shared` says whether several viewers may be there at once.
    pub fn options(&self, shared: bool) -> LifeOptions {
        let most = self.most.unwrap_or(if shared { MOST_CLIENTS } else { 1 });
        LifeOptions { most, ..self.life.clone() }
    }
}

/// Whether a program can be found as it will be: by its path, or by its name in the search path.
fn is_there(program: &str) -> bool {
    if program.contains('/') { Path::new(program).is_file() } else { in_path(program) }
}

/// A time: a number of `unit`s, or a number with a unit of its own.
fn span(text: &str, unit: Span) -> Option<Span> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, name) = text.split_at_checked(digits)?;
    let unit = match name.trim() {
        "" => unit,
        "s" => Span::secs(1),
        "m" | "min" => Span::secs(60),
        "h" => Span::secs(3_600),
        "d" => Span::secs(86_400),
        _ => return None,
    };
    // A year is longer than anybody means.
    number.parse::<u32>().ok().map(|n| unit.scaled(u64::from(n), 1)).filter(|s| *s <= Span::secs(366 * 86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(table: &str, pairs: &[(&str, &str)]) -> Result<Settings, BadSession> {
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Settings::of(&table.parse().expect("toml"), &pairs)
    }

    #[test]
    fn the_line_beats_the_file_and_units_are_dcvs() {
        let file = "idle-timeout = 60\nidle-timeout-warning = 100\nmax-length = \"8h\"\nos-auto-lock = true\n\
                    event-command = [\"/usr/bin/logger\", \"-t\", \"telepane\"]\nmax-concurrent-clients = 3\n\
                    client-eviction-policy = \"same-user-oldest-connection\"\nlock-command = [\"xlock\"]\nevents = \"-\"\n\
                    start-session = \"first-client\"\nenable-timezone-redirection = \"always-off\"\ndisconnect-timeout = 0";
        let all = of(file, &[("idle-timeout", "90s"), ("max-length-warning", "0")]).expect("valid");
        assert_eq!(all.life.idle_timeout, Some(Span::secs(90)));
        assert_eq!((all.life.idle_warning, all.life.length_warning), (Span::secs(100), Span::ZERO));
        assert_eq!((all.life.max_length, all.life.disconnect_timeout), (Some(Span::secs(8 * 3_600)), Span::MAX));
        assert_eq!((all.life.eviction, all.life.lock), (Eviction::SameUserOldest, true));
        assert_eq!((all.event_command.len(), all.lock_command.len()), (3, 1));
        assert!(all.first_client && all.no_place && all.events == Some("-".into()));
        assert_eq!((all.options(false).most, all.options(true).most), (3, 3));
        let none = of("", &[("event-command", "/bin/a b")]).expect("valid");
        assert_eq!(none.event_command, ["/bin/a b"], "one program: there is no shell that would split it");
        assert_eq!((none.options(false).most, none.options(true).most), (1, 8));
        assert_eq!(none.life, LifeOptions { silence: Some(Span::secs(45)), ..LifeOptions::default() });
        let silence = |value: &str| of("", &[("silence-timeout", value)]).map(|all| all.life.silence).ok();
        assert_eq!(
            ["5", "2min", "0"].map(silence),
            [Some(Some(Span::secs(5))), Some(Some(Span::secs(120))), Some(None)]
        );
        let asks = |value: &str| of("", &[("silence-timeout", value)]).expect("valid").asks();
        assert_eq!(["6", "30", "0"].map(asks), [Some(Duration::from_secs(2)), None, None]);
        assert_eq!(none.asks(), None, "what nobody set costs nobody's rest");
    }

    #[test]
    fn what_makes_no_sense_is_named_with_what_to_write() {
        for (name, value, words) in [
            ("idle-timout", "60", "idle-timeout-warning"),
            ("idle-timeout", "soon", "90s"),
            ("idle-timeout", "4000000000", "0 for never"),
            ("idle-timeout", "-1", "minutes"),
            ("idle-timeout-warning", "5 parsecs", "350"),
            ("silence-timeout", "4", "from 5 on"),
            ("max-concurrent-clients", "0", "1 to 8"),
            ("max-concurrent-clients", "9", "1 to 8"),
            ("client-eviction-policy", "random", "reject-new-connection"),
            ("os-auto-lock", "yes", "true or false"),
            ("start-session", "later", "first-client"),
            ("enable-timezone-redirection", "on", "client-decides"),
        ] {
            let error = of("", &[(name, value)]).expect_err(name).to_string();
            assert!(error.contains(words), "{error}");
        }
        let locks = |command: &str| of("", &[("os-auto-lock", "true"), ("lock-command", command)]).expect("valid");
        assert_eq!(locks("").find_programs(), Err(BadSession::NoLock));
        let missing = BadSession::NoProgram { name: "lock-command", program: "no-such-locker".into() };
        assert_eq!(locks("no-such-locker").find_programs(), Err(missing));
        assert_eq!((locks("sh").find_programs(), locks("/bin/sh").find_programs()), (Ok(()), Ok(())));
        assert_eq!(of("", &[("lock-command", "")]).expect("valid").find_programs(), Ok(()), "nothing is locked");
        assert!(of("event-command = [1]", &[]).is_err() && of("events = [\"a\"]", &[]).is_err());
        assert!(of("idle-timeout = [60]", &[]).is_err());
    }
}
