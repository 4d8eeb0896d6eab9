//! Hexadecimal, written and read: the one spelling of keys and fingerprints.
//!
//! Reading skips colons, hyphens and white space and takes either case, because people paste from terminals,
//! certificates and messages.

use core::fmt::Write as _;

/// `bytes` as lower-case hexadecimal.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// Why a text is not `N` bytes of hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// A character that is neither a digit nor a separator.
    #[error("{0:?} is not a hexadecimal digit")]
    Foreign(char),
    /// Another number of digits.
    #[error("{found} hexadecimal digits where {wanted} are needed")]
    Length {
        /// How many there are (counting stops just past `wanted`).
        found: usize,
        /// How many there must be.
        wanted: usize,
    },
}

/// The `N` bytes that `text` spells.
pub(crate) fn decode<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let mut out = [0u8; N];
    let mut digits = 0usize;
    for c in text.chars() {
        if c == ':' || c == '-' || c.is_whitespace() {
            continue;
        }
        let value = c.to_digit(16).ok_or(HexError::Foreign(c))? as u8;
        let Some(byte) = out.get_mut(digits / 2) else {
            return Err(HexError::Length { found: digits + 1, wanted: N * 2 });
        };
        *byte = (*byte << 4) | value;
        digits += 1;
    }
    if digits == N * 2 { Ok(out) } else { Err(HexError::Length { found: digits, wanted: N * 2 }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let bytes = [0x00, 0xff, 0x1a, 0x9c];
        assert_eq!(encode(&bytes), "00ff1a9c");
        assert_eq!(decode::<4>(" 00:FF-1a\n9C "), Ok(bytes));
    }

    #[test]
    fn wrong_lengths_and_foreign_characters_are_named() {
        assert_eq!(decode::<2>("00f"), Err(HexError::Length { found: 3, wanted: 4 }));
        assert_eq!(decode::<2>("00ff0"), Err(HexError::Length { found: 5, wanted: 4 }));
        assert_eq!(decode::<2>("00fg"), Err(HexError::Foreign('g')));
        assert_eq!(decode::<0>(""), Ok([]));
    }
}
