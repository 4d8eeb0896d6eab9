//! Messages about the life of a session: what is about to end it, whether the host is there, who is connected, and where
//! the person at the viewer lives.

use crate::fault::Fault;
use crate::wire::{Put, Reader};
use telepane_model::Span;

/// A message about the life of a session. All but [`LifeWord::Place`] come from the host.
// spec: K-80
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifeWord {
    /// The session ends after this long, in whole seconds, unless something changes; `None`: nothing is about to end it.
    Ending(Option<(Ending, Span)>),
    /// Whether the host is there.
    HostState(HostState),
    /// Something on the desktop asks that the screen stays on.
    KeepAwake(bool),
    /// Everybody who is connected, the viewer itself among them. At most [`MOST_PEOPLE`].
    People(Vec<Person>),
    /// Viewer to host: where and in which language the person works.
    Place(Place),
}

/// What is about to end a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Ending {
    /// The person has given no input for too long.
    Idle = 1,
    /// A session may last no longer.
    TooLong = 2,
    /// Anything else.
    Other = 255,
}

/// Whether the host is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum HostState {
    /// It is.
    #[default]
    There = 0,
    /// It goes to sleep.
    Sleeps = 1,
    /// It goes down, perhaps to start again.
    GoesDown = 2,
}

/// Somebody who is connected.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Person {
    /// What their machine calls itself; not proven.
    pub name: String,
    /// Who they say they are; not proven, empty for the owner.
    pub user: String,
    /// It is the viewer that is told.
    pub you: bool,
}

/// Where a person works, by names that the host may not know.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Place {
    /// The time zone as the IANA's database names it, such as `Europe/Berlin`; empty when it is not known.
    pub zone: String,
    /// The locale as POSIX names it, such as `de_DE.UTF-8`; empty when it is not known.
    pub locale: String,
}

/// The kinds of control messages that are read here.
pub(crate) const KINDS: core::ops::RangeInclusive<u64> = 50..=54;
/// The most people of one message.
// spec: K-83
pub const MOST_PEOPLE: usize = 16;
/// The most bytes of a person's name or user name.
const MAX_NAME: usize = 128;
/// The most bytes of a time zone's or a locale's name; the longest known have some 32.
const MAX_PLACE: usize = 64;

impl LifeWord {
    /// Whether it comes from the host; all others come from the viewer.
    pub const fn from_host(&self) -> bool {
        !matches!(self, Self::Place(_))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ending(ending) => {
                out.varint(50);
                out.push(ending.map_or(0, |(why, _)| why as u8));
                let secs = ending.map_or(0, |(_, within)| within.as_micros() / 1_000_000);
                out.varint(secs.min(u64::from(u32::MAX)));
            }
            Self::HostState(state) => {
                out.varint(51);
                out.push(*state as u8);
            }
            Self::KeepAwake(on) => {
                out.varint(52);
                out.push(u8::from(*on));
            }
            Self::People(people) => {
                out.varint(53);
                let people = people.get(..MOST_PEOPLE).unwrap_or(people);
                out.varint(people.len() as u64);
                for person in people {
                    out.push(u8::from(person.you));
                    out.text(&person.name, MAX_NAME);
                    out.text(&person.user, MAX_NAME);
                }
            }
            Self::Place(place) => {
                out.varint(54);
                out.text(&place.zone, MAX_PLACE);
                out.text(&place.locale, MAX_PLACE);
            }
        }
    }

    // spec: K-80, K-81, K-82, K-83, K-84
    pub(crate) fn decode(kind: u64, r: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(match kind {
            50 => {
                let (why, secs): (u8, u32) = (r.u8()?, r.var()?);
                let why = match why {
                    0 => None,
                    1 => Some(Ending::Idle),
                    2 => Some(Ending::TooLong),
                    _ => Some(Ending::Other),
                };
                Self::Ending(why.map(|why| (why, Span::secs(u64::from(secs)))))
            }
            51 => Self::HostState(match r.u8()? {
                1 => HostState::Sleeps,
                2 => HostState::GoesDown,
                _ => HostState::There,
            }),
            52 => Self::KeepAwake(r.u8()? & 1 != 0),
            53 => {
                let mut people = Vec::new();
                for _ in 0..r.count(MOST_PEOPLE)? {
                    let you = r.u8()? & 1 != 0;
                    people.push(Person { you, name: r.text(MAX_NAME)?.into(), user: r.text(MAX_NAME)?.into() });
                }
                Self::People(people)
            }
            54 => Self::Place(Place { zone: r.text(MAX_PLACE)?.into(), locale: r.text(MAX_PLACE)?.into() }),
            _ => return Err(Fault::UnknownControl),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Control;

    // spec: K-80, K-81
    #[test]
    fn what_is_not_known_yet_has_a_meaning_all_the_same() {
        let read = |bytes: &[u8]| Control::decode(bytes);
        let life = |word| Ok(Control::Life(word));
        assert_eq!(read(&[50, 9, 5]), life(LifeWord::Ending(Some((Ending::Other, Span::secs(5))))));
        assert_eq!(read(&[50, 0, 5]), life(LifeWord::Ending(None)));
        assert_eq!(read(&[51, 9]), life(LifeWord::HostState(HostState::There)));
    }

    // spec: K-83, K-84, F-1
    #[test]
    fn lists_and_texts_are_bounded() {
        assert_eq!(Control::decode(&[53, MOST_PEOPLE as u8 + 1]), Err(Fault::ListTooLong));
        assert_eq!(Control::decode(&[53, MOST_PEOPLE as u8, 0]), Err(Fault::Truncated));
        assert_eq!(Control::decode(&[54, 0x40, 65]), Err(Fault::TextTooLong));
        assert_eq!(Control::decode(&[54, 1, 0xff, 0]), Err(Fault::TextNotUtf8));
        let crowd = vec![Person { name: "x".repeat(500), ..Person::default() }; 40];
        let Ok(Control::Life(LifeWord::People(read))) =
            Control::decode(&Control::Life(LifeWord::People(crowd)).encode())
        else {
            panic!("it is readable");
        };
        assert_eq!((read.len(), read[0].name.len()), (MOST_PEOPLE, MAX_NAME));
    }

    // spec: K-3
    #[test]
    fn only_the_place_comes_from_the_viewer() {
        let place = Control::Life(LifeWord::Place(Place::default()));
        assert!(place.from_viewer() && !place.from_host());
        let state = Control::Life(LifeWord::HostState(HostState::Sleeps));
        assert!(state.from_host() && !state.from_viewer());
    }
}
