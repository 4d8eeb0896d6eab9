//! Randomness and channel bindings that are handed in from outside.
//!
//! This crate draws no randomness. A shell hands in 32 bytes from the operating system as a [`Seed`]; they are expanded
//! by HMAC-SHA256 in counter mode under a label, so that one seed serves several purposes independently. A seed is used
//! for one handshake or one key and is not `Clone`: the same PAKE scalar twice would let a passive observer relate two
//! exchanges.

use core::fmt;
use hmac::{Hmac, Mac};
use rand_core::{CryptoRng, RngCore};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// The TLS exporter label both sides ask for (RFC 8446 §7.5), with an empty context and 32 bytes of output.
// spec: A-8
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-telepane-auth";

/// 32 uniformly random bytes from the operating system, for one use.
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// Takes the bytes over.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A stream of bytes that differs for every label.
    pub(crate) fn stream(&self, label: &[u8]) -> SeedStream {
        SeedStream { key: self.block(label, 0), counter: 0, block: [0; 32], used: 32 }
    }

    fn block(&self, label: &[u8], counter: u64) -> [u8; 32] {
        hmac(self.0.as_slice(), &[label, &counter.to_be_bytes()])
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// HMAC-SHA256 in counter mode over one seed and label.
pub(crate) struct SeedStream {
    key: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Drop for SeedStream {
    fn drop(&mut self) {
        self.key.zeroize();
        self.block.zeroize();
    }
}

impl RngCore for SeedStream {
    fn next_u32(&mut self) -> u32 {
        let mut b = [0; 4];
        self.fill_bytes(&mut b);
        u32::from_be_bytes(b)
    }

    fn next_u64(&mut self) -> u64 {
        let mut b = [0; 8];
        self.fill_bytes(&mut b);
        u64::from_be_bytes(b)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for out in dest {
            if self.used >= self.block.len() {
                self.block = hmac(&self.key, &[b"block", &self.counter.to_be_bytes()]);
                self.counter = self.counter.wrapping_add(1);
                self.used = 0;
            }
            *out = self.block.get(self.used).copied().unwrap_or(0);
            self.used += 1;
        }
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for SeedStream {}

/// What ties a proof to one TLS connection: 32 bytes of exported keying material under [`EXPORTER_LABEL`].
#[derive(Clone, PartialEq, Eq)]
pub struct Exporter([u8; 32]);

impl Exporter {
    /// Takes the exported bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The exported bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exporter(..)")
    }
}

/// HMAC-SHA256 over the concatenation of `parts`; callers keep the concatenation unambiguous.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    keyed(key, parts).finalize().into_bytes().into()
}

/// True when `tag` is the HMAC of `parts`; the time taken does not depend on where they differ.
pub(crate) fn hmac_is(key: &[u8], parts: &[&[u8]], tag: &[u8; 32]) -> bool {
    keyed(key, parts).verify_slice(tag).is_ok()
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    // HMAC is defined for keys of every length, so this cannot fail.
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    for part in parts {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_differ_by_label_and_never_repeat() {
        let seed = Seed::new([7; 32]);
        let mut seen = std::collections::BTreeSet::new();
        for label in [b"a".as_slice(), b"b", b"ab"] {
            let mut stream = seed.stream(label);
            for _ in 0..64 {
                assert!(seen.insert(stream.next_u64()));
            }
        }
    }

    #[test]
    fn reading_in_pieces_gives_the_same_bytes() {
        let seed = Seed::new([9; 32]);
        let (mut whole, mut pieces) = ([0; 100], [0; 100]);
        seed.stream(b"x").fill_bytes(&mut whole);
        let mut stream = seed.stream(b"x");
        for chunk in pieces.chunks_mut(7) {
            stream.fill_bytes(chunk);
        }
        assert_eq!(whole, pieces);
    }

    #[test]
    fn hmac_agrees_with_rfc_4231_case_2() {
        let tag = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(crate::hex::encode(&tag), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(hmac_is(b"Jefe", &[b"what do ya want for nothing?"], &tag));
        assert!(!hmac_is(b"jefe", &[b"what do ya want for nothing?"], &tag));
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?} {:?}", Seed::new([1; 32]), Exporter::new([1; 32])), "Seed(..) Exporter(..)");
    }
}
