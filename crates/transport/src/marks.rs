//! How packets are marked for networks that tell kinds of traffic apart: differentiated services (RFC 2474), the upper six bits
//! of the byte whose lower two are ECN's.
//!
//! A packet is marked by what it carries, and it is encrypted: once it is, nobody can tell. So the classes are read where QUIC
//! seals packets (`seal`), from the frames' own bytes (`frames`), and a packet is known again at the socket (`socket`) by the
//! tag that sealing it gave: no two packets have the same. Marks are therefore exact whatever QUIC packs together, holds back
//! or sends in one system call. What carries more than urgent datagrams has the ordinary mark.
//!
//! Where the system refuses marks, packets go without; where the path drops marked packets, they go without soon after (`trial`). Either
//! is said once in the log, and stands in the statistics.

mod frames;
mod seal;
mod socket;
mod trial;

pub use seal::{Sealed, Watch, shaken};
#[cfg(target_os = "linux")]
pub(crate) use socket::Control;
pub use socket::wrap;
pub(crate) use trial::Class;

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The code points of the two classes; 0 is no mark.
// spec: T-4
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    ordinary: u8,
    urgent: u8,
}

impl Marks {
    /// No packet is marked.
    pub const OFF: Self = Self { ordinary: 0, urgent: 0 };

    /// Whether nothing is marked.
    pub fn is_off(self) -> bool {
        self == Self::OFF
    }

    /// Whether urgent packets may overtake others: only where they are marked otherwise.
    // spec: T-5
    pub fn may_overtake(self) -> bool {
        self.ordinary != self.urgent
    }

    /// The traffic class's byte for one mark, or none; ECN's bits are clear.
    pub(crate) fn byte(self, mark: Option<Class>) -> u8 {
        mark.map_or(0, |class| if class == Class::Urgent { self.urgent } else { self.ordinary }) << 2
    }
}

impl Default for Marks {
    /// AF41 (RFC 4594: interactive video) and EF (telephony).
    // spec: T-4
    fn default() -> Self {
        Self { ordinary: 34, urgent: 46 }
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_off() { f.write_str("off") } else { write!(f, "{},{}", self.ordinary, self.urgent) }
    }
}

/// A text that says no marks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is neither on nor off nor two code points, the screen's and then sound's, such as AF41,EF or 34,46 (CS0 to CS7, AF11 to \
     AF43, EF, VA, LE, or a number to 63)"
)]
pub struct UnknownMarks(String);

impl FromStr for Marks {
    type Err = UnknownMarks;

    fn from_str(text: &str) -> Result<Self, UnknownMarks> {
        match text {
            "on" => return Ok(Self::default()),
            "off" => return Ok(Self::OFF),
            _ => {}
        }
        let both = text.split_once(',').and_then(|(ordinary, urgent)| {
            Some(Self { ordinary: code_point(ordinary.trim())?, urgent: code_point(urgent.trim())? })
        });
        both.ok_or_else(|| UnknownMarks(text.to_owned()))
    }
}

/// A code point by its name in the registry, or by number.
fn code_point(text: &str) -> Option<u8> {
    let name = text.to_ascii_uppercase();
    let digits = |prefix| name.strip_prefix(prefix).map(str::as_bytes);
    if let Some([class @ b'0'..=b'7']) = digits("CS") {
        return Some((class - b'0') * 8);
    }
    if let Some([class @ b'1'..=b'4', drop @ b'1'..=b'3']) = digits("AF") {
        return Some((class - b'0') * 8 + (drop - b'0') * 2);
    }
    match name.as_str() {
        "EF" => Some(46),
        "VA" => Some(44),
        "LE" => Some(1),
        number => number.parse().ok().filter(|n| *n < 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: T-4
    #[test]
    fn code_points_have_names_and_numbers() {
        let of =
            |text: &str| text.parse::<Marks>().map(|m| (m.byte(Some(Class::Ordinary)), m.byte(Some(Class::Urgent))));
        assert_eq!(of("on"), Ok((0x88, 0xb8)));
        assert_eq!(of("AF41,EF"), Ok((0x88, 0xb8)));
        assert_eq!(of("off"), Ok((0, 0)));
        assert_eq!(of("cs1, va"), Ok((0x20, 0xb0)));
        assert_eq!(of("AF11,63"), Ok((0x28, 0xfc)));
        assert_eq!(of("0,LE"), Ok((0, 4)));
        for wrong in ["", "AF41", "AF44,EF", "CS8,EF", "64,0", "-1,0", "EF,EF,EF", "ON"] {
            assert_eq!(of(wrong), Err(UnknownMarks(wrong.into())), "{wrong}");
        }
        for marks in [Marks::OFF, Marks::default()] {
            assert_eq!(marks.to_string().parse(), Ok(marks));
        }
        assert_eq!(Marks::default().byte(None), 0);
        assert!(Marks::default().may_overtake() && !Marks::OFF.may_overtake());
    }
}
