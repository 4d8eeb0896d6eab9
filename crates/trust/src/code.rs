//! Access codes: what a person reads off the host and types on the other machine, once per host.
//!
//! The alphabet has 31 letters and digits; those that are mistaken for one another (0 O, 1 I L) are left out. A code has
//! at least 8 characters (39.6 bits, enough because a PAKE allows one guess per exchange and the throttle counts
//! them), by default 12 (59.4 bits). It is printed in groups of four, "K7QF-M2XA-9BCD"; when it is read back, case,
//! white space and dashes do not matter. `Debug` never shows it and its memory is overwritten when it is dropped.

use crate::seed::Seed;
use core::fmt;
use rand_core::RngCore;
use zeroize::Zeroizing;

/// Every character that occurs in a code.
pub const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
/// The fewest characters of a code.
pub const MIN_CHARS: usize = 8;
/// The characters of a code that the host makes itself.
pub const DEFAULT_CHARS: usize = 12;
/// The most characters of a code.
pub const MAX_CHARS: usize = 64;

/// A valid access code.
#[derive(Clone)]
pub struct AccessCode(Zeroizing<String>);

/// Why a text is not an access code. No message repeats more than one character of what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Nothing but spaces and dashes.
    #[error("the access code is empty; type the code that `telepane-host serve` printed")]
    Empty,
    /// Fewer than [`MIN_CHARS`] characters.
    #[error("the access code has {0} characters, it needs at least {MIN_CHARS}; check that all groups were typed")]
    TooShort(usize),
    /// More than [`MAX_CHARS`] characters.
    #[error("the access code is longer than {MAX_CHARS} characters; check that nothing else was pasted with it")]
    TooLong,
    /// A character outside the alphabet.
    #[error("{0:?} never occurs in an access code (0, O, 1, I and L are left out on purpose); check what was typed")]
    Foreign(char),
}

impl AccessCode {
    /// A fresh code of `chars` characters (forced into [`MIN_CHARS`]`..=`[`MAX_CHARS`]), each drawn uniformly.
    pub fn generate(chars: usize, seed: &Seed) -> Self {
        let chars = chars.clamp(MIN_CHARS, MAX_CHARS);
        let mut stream = seed.stream(b"telepane access code v1");
        let mut text = Zeroizing::new(String::with_capacity(chars));
        while text.len() < chars {
            let mut byte = [0];
            stream.fill_bytes(&mut byte);
            // 5 bits pick one of 32; the 32nd is drawn again, so that all 31 are equally likely.
            if let Some(&c) = ALPHABET.get(usize::from(byte[0] & 31)) {
                text.push(char::from(c));
            }
        }
        Self(text)
    }

    /// Reads what a person typed or a file holds.
    // spec: A-28
    pub fn parse(typed: &str) -> Result<Self, CodeError> {
        let mut text = Zeroizing::new(String::with_capacity(MAX_CHARS));
        for c in typed.chars() {
            if c.is_whitespace() || is_dash(c) {
                continue;
            }
            let upper = c.to_ascii_uppercase();
            if !u8::try_from(upper).is_ok_and(|b| ALPHABET.contains(&b)) {
                return Err(CodeError::Foreign(c));
            }
            if text.len() >= MAX_CHARS {
                return Err(CodeError::TooLong);
            }
            text.push(upper);
        }
        match text.len() {
            0 => Err(CodeError::Empty),
            n if n < MIN_CHARS => Err(CodeError::TooShort(n)),
            _ => Ok(Self(text)),
        }
    }

    /// The code in groups of four with hyphens, to be shown to a person. The text overwrites itself when dropped.
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(self.0.len() + self.0.len() / 4));
        for (i, c) in self.0.chars().enumerate() {
            if i > 0 && i % 4 == 0 {
                out.push('-');
            }
            out.push(c);
        }
        out
    }

    /// The characters without hyphens.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Hyphen-minus and what word processors and chat programs make of it.
fn is_dash(c: char) -> bool {
    matches!(c, '-' | '_' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ad}' | '\u{200b}' | '\u{feff}')
}

impl fmt::Debug for AccessCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(text: &str) -> Result<String, CodeError> {
        AccessCode::parse(text).map(|c| c.reveal().to_string())
    }

    // spec: A-28
    #[test]
    fn case_spaces_and_dashes_do_not_matter() {
        for typed in ["K7QF-M2XA", "k7qfm2xa", " k7 qf\tm2-xa\r\n", "K7QF\u{2013}M2XA", "--K7QF--M2XA--"] {
            assert_eq!(code(typed).as_deref(), Ok("K7QF-M2XA"), "{typed:?}");
        }
    }

    // spec: A-28
    #[test]
    fn what_is_not_a_code_is_refused_by_name() {
        assert_eq!(code(" - "), Err(CodeError::Empty));
        assert_eq!(code("K7QF-M2X"), Err(CodeError::TooShort(7)));
        assert_eq!(code("K7QF-M2X0"), Err(CodeError::Foreign('0')));
        assert_eq!(code("l7QF-M2XA"), Err(CodeError::Foreign('l')));
        assert_eq!(code("K7QF-M2XÄ"), Err(CodeError::Foreign('Ä')));
        assert_eq!(code(&"A".repeat(64)).map(|c| c.len()), Ok(79));
        assert_eq!(code(&"A".repeat(65)), Err(CodeError::TooLong));
    }

    #[test]
    fn generated_codes_use_the_whole_alphabet_evenly() {
        let mut count = [0u32; 256];
        for i in 0..200u8 {
            for &b in AccessCode::generate(64, &Seed::new([i; 32])).as_bytes() {
                count[usize::from(b)] += 1;
            }
        }
        // 12800 draws over 31 characters: 413 each, standard deviation 20.
        for &c in ALPHABET {
            let n = count[usize::from(c)];
            assert!((300..=530).contains(&n), "{} occurs {n} times", char::from(c));
        }
        assert_eq!(count.iter().sum::<u32>(), 12_800);
    }

    #[test]
    fn lengths_are_forced_into_bounds_and_debug_is_silent() {
        assert_eq!(AccessCode::generate(0, &Seed::new([0; 32])).as_bytes().len(), 8);
        assert_eq!(AccessCode::generate(999, &Seed::new([0; 32])).as_bytes().len(), 64);
        let made = AccessCode::generate(DEFAULT_CHARS, &Seed::new([3; 32]));
        assert_eq!(made.reveal().len(), 14);
        assert_eq!(format!("{made:?}"), "AccessCode(..)");
    }

    proptest! {
        #[test]
        fn what_is_generated_is_read_back(seed: [u8; 32], chars in 0usize..80) {
            let made = AccessCode::generate(chars, &Seed::new(seed));
            let read = AccessCode::parse(&made.reveal().to_lowercase()).unwrap();
            prop_assert_eq!(made.as_bytes(), read.as_bytes());
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,120}") {
            if let Ok(c) = AccessCode::parse(&text) {
                prop_assert!((MIN_CHARS..=MAX_CHARS).contains(&c.as_bytes().len()));
            }
        }
    }
}
