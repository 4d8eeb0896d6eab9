//! What the person is told of the session's life: what is about to end it, that the host sleeps, who else is there, and
//! what somebody on the host has to say. And this machine, kept awake while the host asks for it.

use serde_json::{Value, json};
use telepane_machine::KeepAwake;
use telepane_model::{Span, Stamp, ViewerClock};
use telepane_protocol::{Ending, Goodbye, HostState, Person};

/// See the module.
pub struct Life {
    keep: KeepAwake,
    /// This machine is to stay awake.
    pub awake: bool,
    ending: Option<(Ending, Stamp<ViewerClock>)>,
    away: Option<&'static str>,
    people: Vec<Person>,
    /// What was said last, and when.
    message: Option<(Stamp<ViewerClock>, String)>,
    /// What changed since [`Life::news`] was asked.
    unread: Unread,
}

#[derive(Default)]
struct Unread {
    message: bool,
    ending: bool,
    away: bool,
}

/// What somebody on the host says is shown for this long: a sentence is read twice in it.
const SHOWN: Span = Span::secs(20);
/// So many others are named in the title.
const NAMED: usize = 3;
/// A name longer than this is cut.
const LONG: usize = 32;

impl Life {
    /// Nothing is known yet.
    pub fn start() -> Self {
        let keep = KeepAwake::start();
        let unread = Unread::default();
        Self { keep, awake: false, ending: None, away: None, people: Vec::new(), message: None, unread }
    }

    /// What is about to end the session.
    pub fn on_ending(&mut self, ending: Option<(Ending, Stamp<ViewerClock>)>) {
        if let (Some((why, _)), None) = (ending, self.ending) {
            tracing::info!(?why, "the session is about to end");
            self.unread.ending = true;
        }
        self.ending = ending;
    }

    /// Whether the host is there.
    pub fn on_host_state(&mut self, state: HostState) {
        tracing::info!(?state, "the host");
        self.set_away(match state {
            HostState::There => None,
            HostState::Sleeps => Some("The host sleeps. The session goes on when it wakes."),
            HostState::GoesDown => Some("The host goes down. The session goes on when it is back."),
        });
    }

    fn set_away(&mut self, away: Option<&'static str>) {
        self.unread.away |= self.away != away;
        self.away = away;
    }

    /// The host said goodbye, and may be back.
    pub fn on_goodbye(&mut self, reason: Goodbye) {
        if reason == Goodbye::Stopping && self.away.is_none() {
            self.set_away(Some("The agent on the host was stopped. The session goes on when it runs again."));
        }
    }

    /// A session stands.
    pub fn on_welcome(&mut self) {
        self.set_away(None);
    }

    /// Whether this machine is to stay awake.
    pub fn on_keep_awake(&mut self, on: bool) {
        self.awake = on;
        self.keep.set(on);
    }

    /// Who is there.
    pub fn on_people(&mut self, people: Vec<Person>) {
        if people.len() > 1 || self.people.len() > 1 {
            tracing::info!(people = people.len(), "connected");
        }
        self.people = people;
    }

    /// Somebody on the host has something to say.
    pub fn on_message(&mut self, now: Stamp<ViewerClock>, text: &str) {
        let text = plain(text, usize::MAX);
        tracing::info!("a message from the host");
        (self.message, self.unread.message) = (Some((now, text)), true);
    }

    /// What changed and was not told yet, one thing at a time, for a client without a window.
    pub fn news(&mut self, now: Stamp<ViewerClock>) -> Option<String> {
        if std::mem::take(&mut self.unread.message)
            && let Some((_, text)) = &self.message
        {
            return Some(format!("the host says: {text}"));
        }
        if std::mem::take(&mut self.unread.ending)
            && let Some((text, _)) = self.impends(now)
        {
            return Some(text);
        }
        std::mem::take(&mut self.unread.away).then(|| self.away.unwrap_or("The host is there again.").to_owned())
    }

    /// Why the host is not there, if it said so.
    pub const fn away(&self) -> Option<&'static str> {
        self.away
    }

    /// What is shown over the picture, and when that changes.
    pub fn hint(&self, now: Stamp<ViewerClock>) -> Option<(String, Span)> {
        let message = self.message.as_ref().and_then(|(at, text)| {
            let left = SHOWN.saturating_sub(now.since(*at));
            (left > Span::ZERO).then(|| (text.clone(), left))
        });
        match (message, self.impends(now)) {
            (Some((text, a)), Some((words, b))) => Some((format!("{text} \u{2013} {words}"), a.min(b))),
            (one, other) => one.or(other),
        }
    }

    /// What is about to end the session and how soon, and when that is to be said anew.
    fn impends(&self, now: Stamp<ViewerClock>) -> Option<(String, Span)> {
        let (why, at) = self.ending?;
        let left = at.since(now);
        let (minutes, seconds) = (left.as_micros() / 60_000_000, left.as_micros() / 1_000_000 % 60);
        let words = match why {
            Ending::Idle => "Nobody has typed for long: a key keeps the session, which ends in",
            Ending::TooLong => "A session may last no longer: save your work, it ends in",
            Ending::Other => "The session ends in",
        };
        Some((format!("{words} {minutes}:{seconds:02}"), Span::micros(left.as_micros() % 1_000_000 + 1)))
    }

    /// The others that are there, for the title.
    pub fn company(&self) -> Option<String> {
        let others: Vec<String> = self.people.iter().filter(|p| !p.you).map(name).collect();
        if others.is_empty() {
            return None;
        }
        let named = others.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = others.len().saturating_sub(NAMED);
        Some(if more > 0 { format!("with {named} and {more} more") } else { format!("with {named}") })
    }

    /// Everybody, for the overlay.
    pub fn row(&self) -> String {
        let all: Vec<String> =
            self.people.iter().map(|p| if p.you { format!("{} (you)", name(p)) } else { name(p) }).collect();
        if all.is_empty() { "-".into() } else { all.join(", ") }
    }

    /// All of it, for scripts.
    pub fn json(&self, now: Stamp<ViewerClock>) -> Value {
        let person = |p: &Person| json!({ "name": p.name, "user": p.user, "you": p.you });
        json!({
            "people": self.people.iter().map(person).collect::<Vec<_>>(),
            "away": self.away,
            "keep_awake": self.awake,
            "ending": self.ending.map(|(why, at)| json!({
                "why": match why {
                    Ending::Idle => "idle-timeout",
                    Ending::TooLong => "max-length",
                    Ending::Other => "other",
                },
                "seconds": at.since(now).as_secs_f64(),
            })),
            "message": self.message.as_ref().map(|(_, text)| text),
        })
    }
}

/// What somebody is called: their machine's name, and the user's where one was given.
fn name(p: &Person) -> String {
    let machine = if p.name.is_empty() { "unnamed".to_owned() } else { plain(&p.name, LONG) };
    if p.user.is_empty() { machine } else { format!("{}@{machine}", plain(&p.user, LONG)) }
}

/// A text of the wire for a person's eyes: on one line, and no longer than that.
fn plain(text: &str, most: usize) -> String {
    // What turns the direction of a text would let a name pass for other words.
    let odd = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().take(most).map(|c| if odd(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Stamp<ViewerClock> {
        Stamp::from_micros(secs * 1_000_000)
    }

    fn person(name: &str, user: &str, you: bool) -> Person {
        Person { name: name.into(), user: user.into(), you }
    }

    #[test]
    fn what_impends_counts_down_and_a_message_stands_before_it_for_a_while() {
        let mut life = Life::start();
        assert_eq!(life.hint(at(10)), None);
        life.on_ending(Some((Ending::Idle, at(100))));
        let (text, again) = life.hint(at(10)).expect("it is said");
        assert!(text.ends_with("ends in 1:30") && again <= Span::secs(1) && again > Span::ZERO, "{text} {again:?}");
        life.on_message(at(20), "backup\nat six\u{1b}[2J");
        let (text, _) = life.hint(at(30)).expect("both");
        assert!(text.starts_with("backup at six [2J \u{2013} Nobody") && text.ends_with("1:10"), "{text}");
        life.on_ending(None);
        assert_eq!(life.hint(at(39)).map(|(_, left)| left), Some(Span::secs(1)));
        assert_eq!(life.hint(at(40)), None);
    }

    #[test]
    fn the_others_are_named_and_not_all_of_a_crowd() {
        let mut life = Life::start();
        life.on_people(vec![person("laptop", "", true)]);
        assert_eq!((life.company(), life.row().as_str()), (None, "laptop (you)"));
        life.on_people(vec![
            person("laptop", "", true),
            person("b\u{7}\u{202e}x", "bob", false),
            person("", "", false),
        ]);
        assert!(life.company().is_some_and(|c| c.starts_with("with bob@b ") && c.ends_with(", unnamed")));
        life.on_people((0..9).map(|n| person(&"n".repeat(90), "", n == 0)).collect());
        assert!(life.company().is_some_and(|c| c.ends_with("and 5 more") && c.len() < 140));
    }

    #[test]
    fn a_host_that_is_away_is_there_again_with_its_welcome() {
        let mut life = Life::start();
        life.on_host_state(HostState::Sleeps);
        life.on_goodbye(Goodbye::Stopping);
        assert!(life.away().is_some_and(|w| w.contains("sleeps")), "it said so before");
        life.on_welcome();
        assert_eq!(life.away(), None);
        life.on_goodbye(Goodbye::Stopping);
        assert!(life.away().is_some_and(|w| w.contains("stopped")));
    }

    #[test]
    fn what_changed_is_told_once() {
        let mut life = Life::start();
        life.on_welcome();
        life.on_host_state(HostState::There);
        assert_eq!(life.news(at(0)), None, "it was there all the time");
        life.on_message(at(1), "backup at six");
        life.on_ending(Some((Ending::TooLong, at(70))));
        life.on_host_state(HostState::Sleeps);
        let told: Vec<String> = std::iter::from_fn(|| life.news(at(10))).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].ends_with("says: backup at six") && told[1].ends_with("1:00") && told[2].contains("sleeps"));
        // A newer time for the same end is no news; that there is none any more shows in what is done.
        life.on_ending(Some((Ending::TooLong, at(60))));
        life.on_ending(None);
        assert_eq!(life.news(at(11)), None);
        life.on_welcome();
        assert_eq!(life.news(at(12)).as_deref(), Some("The host is there again."));
    }
}
