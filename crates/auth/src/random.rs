//! Randomness from the operating system, in the shape `telepane-trust` takes it.

use ring::rand::{SecureRandom, SystemRandom};
use telepane_trust::Seed;

/// The operating system gave no random bytes. Nothing secret can be made then, so there is no fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes; nothing secret can be made without them")]
pub struct NoRandomness;

/// 32 bytes for one handshake, key or code.
pub fn seed() -> Result<Seed, NoRandomness> {
    bytes().map(Seed::new)
}

/// `N` random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut out = [0; N];
    SystemRandom::new().fill(&mut out).map_err(|_| NoRandomness)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_differ() {
        assert_ne!(super::bytes::<32>().unwrap(), super::bytes::<32>().unwrap());
    }
}
