//! What is pinned of a host: the SHA-256 of its long-lived identity key's SubjectPublicKeyInfo.
//!
//! The TLS leaf changes every few days and is signed by the identity key, so a rotated leaf, a certificate authority's
//! certificate or a renewed one never looks like a changed host. Written as 16 groups of four hexadecimal digits with
//! colons, one word without spaces; read with or without colons, hyphens, spaces, and in either case.

use crate::hex;
pub use crate::hex::HexError;
use core::fmt;
use core::str::FromStr;
use sha2::{Digest, Sha256};

/// SHA-256 over the DER bytes of the host identity's SubjectPublicKeyInfo (the whole SEQUENCE, RFC 5280 §4.1.2.7).
// spec: A-6
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a key given as a whole SubjectPublicKeyInfo in DER.
    pub fn of_spki(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight digits, for a title or a log line; never for a decision.
    pub fn short(&self) -> String {
        hex::encode(self.0.get(..4).unwrap_or_default())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, pair) in self.0.chunks(2).enumerate() {
            if i > 0 {
                f.write_str(":")?;
            }
            f.write_str(&hex::encode(pair))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = HexError;

    /// Takes 64 digits in any grouping, also behind a `sha256:` prefix.
    fn from_str(text: &str) -> Result<Self, HexError> {
        let text = text.trim();
        let digits = match text.get(..7) {
            Some(prefix) if prefix.eq_ignore_ascii_case("sha256:") => text.get(7..).unwrap_or_default(),
            _ => text,
        };
        hex::decode(digits).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_word_and_reads_back() {
        let fp = Fingerprint::of_spki(b"abc");
        let text = fp.to_string();
        assert!(text.starts_with("ba78:16bf:8f01:"), "{text}");
        assert_eq!(text.len(), 79);
        assert!(!text.contains(' '));
        assert_eq!(text.parse(), Ok(fp));
    }

    #[test]
    fn spelling_does_not_matter_but_the_digits_do() {
        let fp = Fingerprint::of_spki(b"abc");
        let plain = fp.to_string().replace(':', "");
        assert_eq!(plain.to_uppercase().parse(), Ok(fp));
        assert_eq!(format!("  SHA256:{plain} ").parse(), Ok(fp));
        assert_eq!(
            plain
                .as_bytes()
                .chunks(2)
                .map(|p| format!("{}{} ", p[0] as char, p[1] as char))
                .collect::<String>()
                .parse(),
            Ok(fp)
        );
        assert!(plain[..63].parse::<Fingerprint>().is_err());
        assert!(format!("{plain}0").parse::<Fingerprint>().is_err());
        assert_eq!("ä".repeat(9).parse::<Fingerprint>(), Err(HexError::Foreign('ä')));
    }
}
