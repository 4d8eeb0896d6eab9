//! What the two processes say to one another: three messages of fixed length, each one packet of the socket.
//!
//! A frame's bytes and its picture stand in the memory that both have; a picture's rows lie close together, so that its sides
//! say where everything is and no offset is ever told. Who asks believes nothing: an answer is one
//! to what was asked last, with the sides that were asked for, or a [`Fault`]. Numbers are little-endian.

use telepane_codec::limits;

/// What the memory holds: a frame's bytes, and behind them a picture's planes.
pub const MEMORY_BYTES: usize = limits::FILM_BYTES + PICTURE_BYTES;
/// Luma and twice a quarter of it, of the largest region with its sides rounded up to even.
const PICTURE_BYTES: usize = {
    let side = *limits::FILM_SIDE.end() as usize;
    (limits::FILM_PIXELS as usize + 2 * side + 4) * 3 / 2
};

/// What a process broke. It is killed and replaced, whatever it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It has ended.
    #[error("it has ended")]
    Gone,
    /// It did not answer in the time it has.
    #[error("it does not answer")]
    Silent,
    /// It began with something else than [`Hello`].
    #[error("it does not begin as it should")]
    Hello,
    /// An answer is shorter or longer than answers are.
    #[error("an answer has a wrong length")]
    Length,
    /// An answer to something that was not asked, or was answered already.
    #[error("an answer is not to what was asked")]
    Order,
    /// An answer that says nothing known.
    #[error("an answer says nothing that is known")]
    Verdict,
    /// A picture of other sides than were asked for, or sides without a picture.
    #[error("an answer's sides are not those that were asked for")]
    Sides,
}

/// The first thing a process says: it is locked, and by what beside seccomp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The kernel keeps it from files by Landlock too.
    pub landlock: bool,
}

impl Hello {
    /// Its length.
    pub const LEN: usize = 5;
    /// Name and version.
    const MARK: [u8; 4] = *b"TPF\x01";

    /// Its bytes.
    pub fn encode(self) -> [u8; Self::LEN] {
        let [a, b, c, d] = Self::MARK;
        [a, b, c, d, u8::from(self.landlock)]
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Fault::Hello`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        match bytes.split_first_chunk::<4>() {
            Some((&Self::MARK, [landlock @ (0 | 1)])) => Ok(Self { landlock: *landlock == 1 }),
            _ => Err(Fault::Hello),
        }
    }
}

/// Decode the frame that stands in the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Counts the requests.
    pub number: u32,
    /// The film's slot.
    pub slot: u8,
    /// The slot's stream begins with it.
    pub anew: bool,
    /// The sides its picture is to have.
    pub sides: (u32, u32),
    /// Bytes of the frame.
    pub len: u32,
}

impl Request {
    /// Its length.
    pub const LEN: usize = 14;

    /// Its bytes.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        let (w, h) = self.sides;
        out[..4].copy_from_slice(&self.number.to_le_bytes());
        (out[4], out[5]) = (self.slot, u8::from(self.anew));
        out[6..8].copy_from_slice(&(w as u16).to_le_bytes());
        out[8..10].copy_from_slice(&(h as u16).to_le_bytes());
        out[10..].copy_from_slice(&self.len.to_le_bytes());
        out
    }

    /// Reads one that keeps the bounds.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let [n0, n1, n2, n3, slot, anew, w0, w1, h0, h1, l0, l1, l2, l3] = *bytes;
        let request = Self {
            number: u32::from_le_bytes([n0, n1, n2, n3]),
            slot,
            anew: anew == 1,
            sides: (u16::from_le_bytes([w0, w1]).into(), u16::from_le_bytes([h0, h1]).into()),
            len: u32::from_le_bytes([l0, l1, l2, l3]),
        };
        (anew <= 1 && request.is_bounded()).then_some(request)
    }

    /// Whether frame and picture fit into the memory, and the slot exists.
    pub fn is_bounded(&self) -> bool {
        self.slot < limits::FILM_SLOTS && self.len as usize <= limits::FILM_BYTES && planes(self.sides).is_some()
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The picture stands in the memory.
    Picture,
    /// openh264 makes no picture of it.
    Refused,
    /// The picture has other sides, and does not stand in the memory.
    OtherSides,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request's.
    pub number: u32,
    /// What came of it.
    pub verdict: Verdict,
    /// The picture's, 0 by 0 without one.
    pub sides: (u32, u32),
}

impl Answer {
    /// Its length.
    pub const LEN: usize = 9;

    /// Its bytes.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..4].copy_from_slice(&self.number.to_le_bytes());
        out[4] = match self.verdict {
            Verdict::Picture => 1,
            Verdict::Refused => 2,
            Verdict::OtherSides => 3,
        };
        out[5..7].copy_from_slice(&(self.sides.0 as u16).to_le_bytes());
        out[7..].copy_from_slice(&(self.sides.1 as u16).to_le_bytes());
        out
    }

    /// The answer to `asked`, if `bytes` are one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8], asked: &Request) -> Result<Self, Fault> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().map_err(|_| Fault::Length)?;
        let [n0, n1, n2, n3, verdict, w0, w1, h0, h1] = *bytes;
        let number = u32::from_le_bytes([n0, n1, n2, n3]);
        if number != asked.number {
            return Err(Fault::Order);
        }
        let verdict = match verdict {
            1 => Verdict::Picture,
            2 => Verdict::Refused,
            3 => Verdict::OtherSides,
            _ => return Err(Fault::Verdict),
        };
        let sides = (u16::from_le_bytes([w0, w1]).into(), u16::from_le_bytes([h0, h1]).into());
        let wanted = if verdict == Verdict::Picture { asked.sides } else { (0, 0) };
        if sides == wanted { Ok(Self { number, verdict, sides }) } else { Err(Fault::Sides) }
    }
}

/// Where the planes of a picture of these sides stand in the memory: each one's beginning and length. None for sides that
/// no film has.
pub fn planes((w, h): (u32, u32)) -> Option<[(usize, usize); 3]> {
    let side = |n: u32| n >= 2 && n <= *limits::FILM_SIDE.end() && n.is_multiple_of(2);
    if !side(w) || !side(h) {
        return None;
    }
    let (luma, chroma) = (w as usize * h as usize, (w as usize / 2) * (h as usize / 2));
    let first = limits::FILM_BYTES;
    let planes = [(first, luma), (first + luma, chroma), (first + luma + chroma, chroma)];
    (luma + 2 * chroma <= PICTURE_BYTES).then_some(planes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_codec::scale::coded_sides;
    use telepane_model::{FilmScale, Rect};

    const ASKED: Request = Request { number: 7, slot: 1, anew: true, sides: (640, 360), len: 900 };
    const GOOD: Answer = Answer { number: 7, verdict: Verdict::Picture, sides: (640, 360) };

    #[test]
    fn what_is_said_is_understood() {
        assert_eq!(Request::decode(&ASKED.encode()), Some(ASKED));
        assert_eq!(Answer::decode(&GOOD.encode(), &ASKED), Ok(GOOD));
        for verdict in [Verdict::Refused, Verdict::OtherSides] {
            let answer = Answer { verdict, sides: (0, 0), ..GOOD };
            assert_eq!(Answer::decode(&answer.encode(), &ASKED), Ok(answer));
        }
        for landlock in [false, true] {
            assert_eq!(Hello::decode(&Hello { landlock }.encode()), Ok(Hello { landlock }));
        }
    }

    #[test]
    fn each_lie_has_its_name() {
        let decode = |answer: Answer| Answer::decode(&answer.encode(), &ASKED);
        for number in [0, 6, 8, u32::MAX] {
            assert_eq!(decode(Answer { number, ..GOOD }), Err(Fault::Order));
        }
        for sides in [(0, 0), (638, 360), (640, 362), (360, 640), (65_534, 65_534)] {
            assert_eq!(decode(Answer { sides, ..GOOD }), Err(Fault::Sides), "{sides:?}");
        }
        assert_eq!(decode(Answer { verdict: Verdict::Refused, ..GOOD }), Err(Fault::Sides));
        let mut bytes = GOOD.encode();
        for verdict in (0..=255).filter(|v| !(1..=3).contains(v)) {
            bytes[4] = verdict;
            assert_eq!(Answer::decode(&bytes, &ASKED), Err(Fault::Verdict), "{verdict}");
        }
        for len in (0..20).filter(|len| *len != Answer::LEN) {
            assert_eq!(Answer::decode(&[1; 20][..len], &ASKED), Err(Fault::Length), "{len}");
        }
        for wrong in [&b"TPF\x01"[..], b"TPF\x01\x02", b"TPF\x02\x00", b"TPF\x01\x00\x00", b""] {
            assert_eq!(Hello::decode(wrong), Err(Fault::Hello), "{wrong:?}");
        }
    }

    #[test]
    fn requests_out_of_bounds_are_none() {
        let wrong = [
            Request { slot: limits::FILM_SLOTS, ..ASKED },
            Request { len: limits::FILM_BYTES as u32 + 1, ..ASKED },
            Request { sides: (0, 360), ..ASKED },
            Request { sides: (641, 360), ..ASKED },
            Request { sides: (3_840, 3_840), ..ASKED },
            Request { sides: (3_842, 16), ..ASKED },
        ];
        for request in wrong {
            assert_eq!(Request::decode(&request.encode()), None, "{request:?}");
        }
    }

    /// Every film that the codec allows fits, in every scale.
    #[test]
    fn the_largest_films_fit_into_the_memory() {
        for (w, h) in
            [(3_840, 2_160), (2_160, 3_840), (3_839, 2_160), (2_161, 3_837), (3_840, 16), (16, 3_840), (16, 16)]
        {
            for scale in [FilmScale::Full, FilmScale::ThreeQuarters, FilmScale::Half] {
                let rect = Rect::new(0, 0, w, h);
                if !rect.is_empty() && telepane_codec::film::scale_for(rect, scale) == scale {
                    let sides = coded_sides(rect, scale);
                    let [_, _, (start, len)] = planes(sides).unwrap_or_else(|| panic!("{sides:?}"));
                    assert!(start + len <= MEMORY_BYTES, "{sides:?}");
                }
            }
        }
    }
}
