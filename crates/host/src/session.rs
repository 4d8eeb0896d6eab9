//! `telepane-host session …`: who is connected to a running agent, and sending them away.

use crate::ask::SessionInfo;
use crate::cli::SessionCommand;
use crate::clock::unix_secs;
use crate::control::{self, ControlError, Reply, Request};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use telepane_model::{Knob, SessionPolicy};
use thiserror::Error;

/// Why the command did not do what was asked.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The agent cannot be spoken to.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// No such session.
    #[error("there is no session {0}; see `telepane-host session list`")]
    NoSuchSession(u64),
    /// A setting cannot be understood.
    #[error("{0}")]
    BadSetting(String),
    /// The agent said why not.
    #[error("the agent could not do it: {0}")]
    Failed(String),
}

/// Carries out the command; gives what is to be printed.
pub fn run(command: &SessionCommand, state: &Path) -> Result<String, SessionError> {
    match command {
        SessionCommand::List { json: true } => Ok(json(&sessions(state)?)),
        SessionCommand::List { json: false } => {
            let sessions = sessions(state)?;
            if sessions.is_empty() {
                eprintln!("nobody is connected");
            }
            Ok(sessions.iter().map(|s| line(s, unix_secs()) + "\n").collect())
        }
        SessionCommand::Describe { id, json: as_json } => {
            let sessions = sessions(state)?;
            let session = sessions.iter().find(|s| s.id == *id).ok_or(SessionError::NoSuchSession(*id))?;
            Ok(if *as_json { json(session) } else { page(session, unix_secs()) })
        }
        SessionCommand::SetPolicy { id, settings, json: as_json } => {
            let request = Request::SetPolicy { id: *id, settings: settings.clone() };
            match control::ask(state, &request)? {
                Reply::Policy { policy, .. } if *as_json => Ok(json(&policy)),
                Reply::Policy { id, policy } => Ok(format!("session {id} keeps to {}\n", words(&policy))),
                Reply::BadSetting { why } => Err(SessionError::BadSetting(why)),
                Reply::NoSuchSession { id } => Err(SessionError::NoSuchSession(id)),
                Reply::Failed { why } => Err(SessionError::Failed(why)),
                other => Err(odd(&other)),
            }
        }
        SessionCommand::Message { id, text } => {
            match control::ask(state, &Request::Message { id: *id, text: text.clone() })? {
                Reply::Shown { people: 0 } => Err(SessionError::Failed("nobody is there to read it".into())),
                Reply::Shown { people } => Ok(format!("shown to {people}\n")),
                Reply::NoSuchSession { id } => Err(SessionError::NoSuchSession(id)),
                Reply::Failed { why } => Err(SessionError::Failed(why)),
                other => Err(odd(&other)),
            }
        }
        SessionCommand::Close { id } => match control::ask(state, &Request::Close { id: *id })? {
            Reply::Closed { id } => Ok(format!("closed session {id}\n")),
            Reply::NoSuchSession { id } => Err(SessionError::NoSuchSession(id)),
            Reply::Failed { why } => Err(SessionError::Failed(why)),
            other => Err(odd(&other)),
        },
    }
}

fn sessions(state: &Path) -> Result<Vec<SessionInfo>, SessionError> {
    match control::ask(state, &Request::Sessions {})? {
        Reply::Sessions { sessions } => Ok(sessions),
        Reply::Failed { why } => Err(SessionError::Failed(why)),
        other => Err(odd(&other)),
    }
}

fn odd(reply: &Reply) -> SessionError {
    ControlError::NoAnswer(format!("{reply:?}")).into()
}

fn json(value: &impl serde::Serialize) -> String {
    // Numbers, texts and lists of them cannot fail to be written.
    serde_json::to_string_pretty(value).map_or_else(|e| e.to_string(), |text| text + "\n")
}

/// One line of the list.
fn line(s: &SessionInfo, now: u64) -> String {
    let client = s.client.as_deref().and_then(|c| c.get(..16)).unwrap_or("no key");
    let link = match &s.link {
        Some(link) => format!("rtt {:.1} ms", link.rtt_ms),
        None => "away".into(),
    };
    let picture = match (s.size, s.exact) {
        (Some([w, h]), true) => format!("{w}x{h} exact"),
        (Some([w, h]), false) => format!("{w}x{h}"),
        (None, _) => "no picture".into(),
    };
    let lasted = lasted(s.since, now);
    let picture = if s.files_only { "files only".into() } else { picture };
    let input = s.last_input.map_or_else(String::new, |at| format!("  last input {} ago", self::lasted(at, now)));
    format!("{}  {}  {client}  {}  for {lasted}  {link}  {picture}{input}", s.id, named(s), s.address)
}

fn page(s: &SessionInfo, now: u64) -> String {
    let lasted = lasted(s.since, now);
    let mut rows = vec![
        ("session", s.id.to_string()),
        ("name", named(s).to_owned()),
        ("client", s.client.clone().unwrap_or_else(|| "no key".into())),
        ("proved by", s.proved_by.clone()),
        ("user", if s.user.is_empty() { "the owner".into() } else { format!("{} (not proven)", s.user) }),
        ("address", s.address.clone()),
        (
            "state",
            match s.last_disconnection {
                _ if s.connected => "connected".into(),
                Some(at) => format!("away for {}, may come back", self::lasted(at, now)),
                None => "away, may come back".into(),
            },
        ),
        ("since", format!("{} s since 1970, for {lasted}", s.since)),
        ("last input", s.last_input.map_or_else(|| "none yet".into(), |at| format!("{} ago", self::lasted(at, now)))),
        ("ends", s.ending.clone().unwrap_or_else(|| "not soon".into())),
        ("picture", s.size.map_or_else(|| "none".into(), |[w, h]| format!("{w}x{h}"))),
        (
            "exact",
            match s.exact_since.filter(|_| s.exact) {
                Some(since) => format!("yes, for {}", self::lasted(since, now)),
                None if s.exact => "yes".into(),
                None => "no".into(),
            },
        ),
        ("sound", if s.hears { "hears the desktop".into() } else { "does not hear the desktop".into() }),
        ("microphone", if s.speaks { "ON".into() } else { "off".into() }),
        ("allowed", s.features.join(" ")),
        ("policy", words(&s.policy)),
        ("sent", format!("{} bytes", s.sent_bytes)),
        ("received", format!("{} bytes", s.received_bytes)),
    ];
    if let Some(link) = &s.link {
        rows.extend([
            ("round trip", format!("{:.1} ms", link.rtt_ms)),
            ("capacity", format!("{:.2} Mbit/s", link.capacity_bps as f64 / 1e6)),
            ("share", format!("{:.2} Mbit/s", link.share_bps as f64 / 1e6)),
            ("queue", format!("{:.1} ms", link.queue_ms)),
            ("control", link.state.clone()),
            ("lost", format!("{} packets", link.lost_packets)),
            ("mtu", format!("{} bytes", link.mtu)),
        ]);
    }
    rows.into_iter().fold(String::new(), |mut out, (name, value)| {
        let _ = writeln!(out, "{name:<11} {value}");
        out
    })
}

/// What a session keeps to, as people write it.
fn words(policy: &BTreeMap<String, u64>) -> String {
    let known = policy.iter().filter_map(|(name, value)| Some((Knob::named(name)?, *value)));
    let all = known.fold(SessionPolicy::NONE, |all, (knob, value)| all.with(knob, Some(value)).unwrap_or(all));
    if all.is_empty() { "nothing in particular".into() } else { all.to_string() }
}

fn named(s: &SessionInfo) -> &str {
    if s.name.is_empty() { "unnamed" } else { &s.name }
}

fn lasted(since: u64, now: u64) -> String {
    let secs = now.saturating_sub(since);
    match (secs / 3600, secs / 60 % 60, secs % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::LinkInfo;

    #[test]
    fn a_session_fits_a_line() {
        let here = SessionInfo {
            id: 4,
            name: "laptop".into(),
            client: Some("0123456789abcdef".repeat(4)),
            address: "192.0.2.7:50000".into(),
            since: 1_000,
            size: Some([1920, 1080]),
            exact: true,
            link: Some(LinkInfo { rtt_ms: 12.34, ..LinkInfo::default() }),
            ..SessionInfo::default()
        };
        let text = line(&here, 1_000 + 3_725);
        assert_eq!(text, "4  laptop  0123456789abcdef  192.0.2.7:50000  for 1 h 2 min  rtt 12.3 ms  1920x1080 exact");
        let away = SessionInfo { link: None, client: None, size: None, ..here.clone() };
        assert!(line(&away, 1_061).contains("no key  192.0.2.7:50000  for 1 min 1 s  away  no picture"));
        assert!(
            page(&here, 1_000).contains("round trip  12.3 ms\n") && page(&here, 1_000).contains("exact       yes\n")
        );
        let since = SessionInfo { exact_since: Some(940), ..here.clone() };
        assert!(page(&since, 1_000).contains("exact       yes, for 1 min 0 s\n"));
        let rests = SessionInfo {
            last_input: Some(1_000),
            connected: false,
            last_disconnection: Some(1_060),
            ending: Some("no input in 9 s".into()),
            ..here.clone()
        };
        assert!(line(&rests, 1_090).ends_with("1920x1080 exact  last input 1 min 30 s ago"), "{}", line(&rests, 1_090));
        let text = page(&rests, 1_090);
        assert!(
            text.contains("away for 30 s, may come back\n") && text.contains("ends        no input in 9 s\n"),
            "{text}"
        );
        let policy = [("limit".to_owned(), 2_400_000), ("build-to-lossless".to_owned(), 0)].into();
        let bound = SessionInfo { policy, ..here };
        assert!(page(&bound, 1_000).contains("policy      limit 2400k, build-to-lossless off\n"));
    }
}
